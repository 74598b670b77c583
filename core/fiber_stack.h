/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fiber_stack.h: stacks for fibers and the switch between them, with what the sanitizers have to be told. For fiber.c.
 * A pool belongs to one loop's thread.
 */
#pragma once

#include "core/fiber.h"

#ifdef __x86_64__
#define CO_OWN_SWITCH 1
#else
#define CO_OWN_SWITCH 0
#include <ucontext.h>
#endif

/* Instrumented code has larger frames. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SIZE ((size_t)4 * FIBER_STACK_SIZE)
#else
#define STACK_SIZE ((size_t)FIBER_STACK_SIZE)
#endif
#define STACKS_KEPT_MIN \
	2 /* free stacks that a trimmed pool keeps, resident as far as they were used */

/* Free stacks, as many as were in use at once; stack_pool_trim gives back what a while did without. */
struct stack_pool {
	struct stack_kept *kept;
	unsigned kept_len, kept_least; /* since the last trim */
};

/* stack_get: the lowest address of STACK_SIZE octets, with a page below that faults; NULL: no memory. */
void *stack_get(struct stack_pool *p);
void stack_put(struct stack_pool *p, void *stack);
/* stack_pool_trim: call now and then. True: there may be more to trim later. */
bool stack_pool_trim(struct stack_pool *p);
void stack_pool_fini(struct stack_pool *p);

/* One place execution can be switched to. All zero plus co_adopt: the thread's own stack. */
struct co {
#if CO_OWN_SWITCH
	void *sp; /* while switched away: the registers that a call preserves, and where to go on */
#else
	ucontext_t context;
#endif
	void *stack;        /* NULL: the thread's own */
	void *tsan;         /* the sanitizer's fiber */
	void *asan_fake;    /* its fake stack while switched away */
	const void *bottom; /* as the sanitizer knows it */
	size_t size;
};

void co_adopt(struct co *co);
/* co_init: entry runs on stack at the first switch; it must call co_entered first and never return. */
void co_init(struct co *co, void *stack, void (*entry)(void));
/* co_switch: from the running one. last: from will never run again. */
void co_switch(struct co *from, struct co *to, bool last);
void co_entered(struct co *self, struct co *from);
void co_fini(struct co *co);
