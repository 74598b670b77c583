/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fiber_stack.c: on x86-64 the switch is a dozen instructions of our own: ucontext makes a system call for the signal mask at each
 * one, which was a fifth of the time of a short API call. It does not switch shadow stacks, so the Makefile compiles this file
 * without that promise, and the C library leaves them off. Elsewhere ucontext does it.
 */
#include "core/fiber_stack.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* At the upper end of a free stack, in the page that its next use touches first. */
struct stack_kept {
	struct stack_kept *next;
	void *stack;
};

static void *take_kept(struct stack_pool *p)
{
	struct stack_kept *k = p->kept;

	p->kept = k->next;
	p->kept_len--;
	p->kept_least = MIN(p->kept_least, p->kept_len);
	return k->stack;
}

void *stack_get(struct stack_pool *p)
{
	size_t guard = page_size();
	uint8_t *map;

	if (p->kept != NULL)
		return take_kept(p);
	map = mmap(NULL, guard + STACK_SIZE, PROT_READ | PROT_WRITE,
	           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	if (mprotect(map, guard, PROT_NONE) != 0) {
		munmap(map, guard + STACK_SIZE);
		return NULL;
	}
	return map + guard;
}

static void stack_unmap(void *stack)
{
	size_t guard = page_size();

	munmap((uint8_t *)stack - guard, guard + STACK_SIZE);
}

void stack_put(struct stack_pool *p, void *stack)
{
	struct stack_kept *k;

#ifdef __SANITIZE_ADDRESS__
	/* The entry function never returns, so its frame was left poisoned. */
	__asan_unpoison_memory_region(stack, STACK_SIZE);
#endif
	k = (struct stack_kept *)(void *)((uint8_t *)stack + STACK_SIZE) - 1;
	*k = (struct stack_kept){p->kept, stack};
	p->kept = k;
	p->kept_len++;
}

bool stack_pool_trim(struct stack_pool *p)
{
	unsigned idle = p->kept_least;

	while (idle-- > STACKS_KEPT_MIN)
		stack_unmap(take_kept(p));
	p->kept_least = p->kept_len;
	return p->kept_len > STACKS_KEPT_MIN;
}

void stack_pool_fini(struct stack_pool *p)
{
	while (p->kept != NULL)
		stack_unmap(take_kept(p));
}

void co_adopt(struct co *co)
{
	memset(co, 0, sizeof(*co));
#ifdef __SANITIZE_THREAD__
	co->tsan = __tsan_get_current_fiber();
#endif
}

#if CO_OWN_SWITCH
/*
 * co_swap(from, to): pushes what the ABI lets a callee keep, leaves the stack pointer in *from and takes up to. The control words of the
 * floating point units are the same everywhere in this program.
 */
void co_swap(void **from, void *to);
__asm__(".text\n"
        ".p2align 4\n"
        ".type co_swap, @function\n"
        ".hidden co_swap\n"
        ".globl co_swap\n"
        "co_swap:\n"
        "	endbr64\n"
        "	pushq %rbp\n"
        "	pushq %rbx\n"
        "	pushq %r12\n"
        "	pushq %r13\n"
        "	pushq %r14\n"
        "	pushq %r15\n"
        "	movq %rsp, (%rdi)\n"
        "	movq %rsi, %rsp\n"
        "	popq %r15\n"
        "	popq %r14\n"
        "	popq %r13\n"
        "	popq %r12\n"
        "	popq %rbx\n"
        "	popq %rbp\n"
        "	ret\n"
        ".size co_swap, . - co_swap\n");

/* As if entry had been called from nowhere: six registers, its address, and a return address that ends a backtrace. */
static void prepare(struct co *co, void (*entry)(void))
{
	void **sp = (void **)(void *)((uint8_t *)co->stack + STACK_SIZE);

	*--sp = NULL;
	*--sp = (void *)(uintptr_t)entry;
	for (unsigned i = 0; i < 6; i++)
		*--sp = NULL;
	co->sp = sp;
}

static void swap(struct co *from, struct co *to)
{
	co_swap(&from->sp, to->sp);
}
#else
static void prepare(struct co *co, void (*entry)(void))
{
	ASSERT(getcontext(&co->context) == 0);
	co->context.uc_stack.ss_sp = co->stack;
	co->context.uc_stack.ss_size = STACK_SIZE;
	co->context.uc_link = NULL;
	makecontext(&co->context, entry, 0);
}

static void swap(struct co *from, struct co *to)
{
	ASSERT(swapcontext(&from->context, &to->context) == 0);
}
#endif

void co_init(struct co *co, void *stack, void (*entry)(void))
{
	memset(co, 0, sizeof(*co));
	co->stack = stack;
	co->bottom = stack;
	co->size = STACK_SIZE;
	prepare(co, entry);
#ifdef __SANITIZE_THREAD__
	co->tsan = __tsan_create_fiber(0);
#endif
}

void co_switch(struct co *from, struct co *to, bool last)
{
	(void)last;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(last ? NULL : &from->asan_fake, to->bottom, to->size);
#endif
#ifdef __SANITIZE_THREAD__
	__tsan_switch_to_fiber(to->tsan, 0);
#endif
	swap(from, to);
	/* Back again: whoever switched here is to. */
	co_entered(from, to);
}

void co_entered(struct co *self, struct co *from)
{
	(void)self;
	(void)from;
#ifdef __SANITIZE_ADDRESS__
	/* The thread's own stack becomes known when it is left for the first time. */
	__sanitizer_finish_switch_fiber(self->asan_fake, &from->bottom, &from->size);
#endif
}

void co_fini(struct co *co)
{
	(void)co;
#ifdef __SANITIZE_THREAD__
	__tsan_destroy_fiber(co->tsan);
#endif
}
