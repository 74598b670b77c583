/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fiber.h: stackful coroutines for operations that take several round trips, written top to bottom. A fiber runs on one
 * loop's thread for all of its life and blocks only itself. Every wait has a deadline and can be cancelled.
 */
#pragma once

#include "core/loop.h"

struct fiber;
typedef void fiber_fn(void *arg);

#define FIBER_STACK_SIZE    (64UL * 1024) /* pooled, with a guard page; a deeper one is a bug */
#define FIBERS_PER_LOOP_MAX 4096
#define FIBER_NO_DEADLINE   UINT64_MAX

/*
 * fiber_spawn: starts fn(arg) on the loop of the calling thread, soon (not before this call returns). name: static string.
 * deadline_ms: absolute, FIBER_NO_DEADLINE for none; waits in the fiber end with -ERR_TIMEOUT after it.
 * Returns the fiber (valid until fn returns) or NULL when FIBERS_PER_LOOP_MAX run already or memory is short.
 */
struct fiber *fiber_spawn(const char *name, fiber_fn *fn, void *arg, uint64_t deadline_ms);

/* fiber_current: NULL outside a fiber. */
struct fiber *fiber_current(void);

/* fiber_cancel: loop thread only: every present and later wait of f returns -ERR_CANCELLED (so cleanup must not wait). */
void fiber_cancel(struct fiber *f);
bool fiber_cancelled(void);

/* fiber_deadline_ms: the current fiber's deadline. fiber_set_deadline replaces it and returns the old one. */
uint64_t fiber_deadline_ms(void);
uint64_t fiber_set_deadline(uint64_t deadline_ms);

/*
 * fiber_wait: suspends the current fiber until fiber_wake. 0 woken (a wake that came before the wait counts),
 * -ERR_TIMEOUT (its deadline passed), -ERR_CANCELLED. Wakes may be spurious: check the condition in a loop.
 */
int fiber_wait(void) MUST_CHECK;
/* fiber_wait_until: with a nearer deadline for this wait only; -ERR_TIMEOUT when either passes. */
int fiber_wait_until(uint64_t at_ms) MUST_CHECK;
/* fiber_wake: loop thread only. */
void fiber_wake(struct fiber *f);

/* fiber_sleep: 0 after ms milliseconds, or -ERR_TIMEOUT/-ERR_CANCELLED earlier. */
int fiber_sleep(uint64_t ms) MUST_CHECK;
/* fiber_yield: lets others run. */
void fiber_yield(void);

/*
 * fiber_call_on: runs fn(arg) in a new fiber on another loop (or this one) with the caller's deadline and waits for its end, so
 * that arg may live on the caller's stack. Cancelling the caller cancels the callee; the call returns only after fn ended.
 * Returns fn's result, or -ERR_FULL if no fiber could be made there. In a fiber only.
 */
int fiber_call_on(struct loop *target, const char *name, int (*fn)(void *arg),
                  void *arg) MUST_CHECK;

/*
 * A one-shot completion that another thread can give to a fiber: init in the fiber, wait in it, done from any thread, once.
 * completion_wait does not return before done was called, so the memory may live on the fiber's stack; it is for work that
 * always ends by itself (the store's writer). result is what done was given.
 */
struct completion {
	struct task task;
	struct loop *loop;
	struct fiber *fiber;
	int result;
	bool done;
};
void completion_init(struct completion *c);
int completion_wait(struct completion *c) MUST_CHECK;
void completion_done(struct completion *c, int result);

/* A lock that fibers of one loop wait for in turn. All zero: free. */
struct fiber_lock {
	struct fiber_waiter *head, **tail;
	bool held;
};
/* fiber_lock_acquire: 0, -ERR_TIMEOUT or -ERR_CANCELLED. First come, first served. */
int fiber_lock_acquire(struct fiber_lock *l) MUST_CHECK;
void fiber_lock_release(struct fiber_lock *l);
