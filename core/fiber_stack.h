/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fiber_stack.h: stacks for fibers and the switch between them, with what the sanitizers have to be told. For fiber.c.
 * A pool belongs to one loop's thread.
 */
#pragma once

#include "core/fiber.h"

#include <ucontext.h>

/* Instrumented code has larger frames. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SIZE ((size_t)4 * FIBER_STACK_SIZE)
#else
#define STACK_SIZE ((size_t)FIBER_STACK_SIZE)
#endif
#define STACKS_KEPT_MAX \
	64 /* free stacks a pool keeps; 4 MiB of address space, resident as far as they were used */

struct stack_pool {
	void *kept[STACKS_KEPT_MAX];
	unsigned kept_len;
};

/* stack_get: the lowest address of STACK_SIZE octets, with a page below that faults; NULL: no memory. */
void *stack_get(struct stack_pool *p);
void stack_put(struct stack_pool *p, void *stack);
void stack_pool_fini(struct stack_pool *p);

/* One place execution can be switched to. All zero plus co_adopt: the thread's own stack. */
struct co {
	ucontext_t context;
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
