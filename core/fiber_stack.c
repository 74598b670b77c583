/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fiber_stack.c: ucontext does the switching: it is in the C library for every architecture, knows about shadow stacks
 * (CET) and debuggers unwind it. Its price is two system calls for the signal mask, well under a microsecond, on operations
 * that wait for a device's round trip. The data path does not run on fibers.
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

void *stack_get(struct stack_pool *p)
{
	size_t guard = page_size();
	uint8_t *map;

	if (p->kept_len > 0)
		return p->kept[--p->kept_len];
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
#ifdef __SANITIZE_ADDRESS__
	/* The entry function never returns, so its frame was left poisoned. */
	__asan_unpoison_memory_region(stack, STACK_SIZE);
#endif
	if (p->kept_len < STACKS_KEPT_MAX)
		p->kept[p->kept_len++] = stack;
	else
		stack_unmap(stack);
}

void stack_pool_fini(struct stack_pool *p)
{
	while (p->kept_len > 0)
		stack_unmap(p->kept[--p->kept_len]);
}

void co_adopt(struct co *co)
{
	memset(co, 0, sizeof(*co));
#ifdef __SANITIZE_THREAD__
	co->tsan = __tsan_get_current_fiber();
#endif
}

void co_init(struct co *co, void *stack, void (*entry)(void))
{
	memset(co, 0, sizeof(*co));
	co->stack = stack;
	co->bottom = stack;
	co->size = STACK_SIZE;
	ASSERT(getcontext(&co->context) == 0);
	co->context.uc_stack.ss_sp = stack;
	co->context.uc_stack.ss_size = STACK_SIZE;
	co->context.uc_link = NULL;
	makecontext(&co->context, entry, 0);
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
	ASSERT(swapcontext(&from->context, &to->context) == 0);
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
