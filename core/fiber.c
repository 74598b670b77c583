/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fiber.c: fibers are scheduled as tasks of their loop: waking one defers its task, running the task switches to its stack
 * until it waits or ends. All of a fiber belongs to its loop's thread. A fiber switches only to and from the loop's own
 * stack, never to another fiber.
 */
#include "core/fiber.h"
#include "core/err.h"
#include "core/fiber_stack.h"
#include "core/loop_int.h"

#include <stdlib.h>

#define STACKS_TRIM_MS 5000

struct fiber {
	struct list link; /* of all that live on the loop */
	struct task task; /* queued while runnable */
	struct timer timer;
	struct co co;
	struct loop *loop;
	const char *name;
	fiber_fn *fn;
	void *arg;
	uint64_t deadline_ms;
	bool queued, woken, cancelled, waiting, ended;
};

struct fiber_sched {
	struct list fibers;
	unsigned live;
	struct fiber *running;
	struct co home; /* the loop's own stack */
	bool adopted;
	struct stack_pool stacks;
	struct timer trim;
};

static void trim_stacks(struct timer *t)
{
	struct fiber_sched *s = container_of(t, struct fiber_sched, trim);
	struct loop *l = loop_current();

	if (stack_pool_trim(&s->stacks))
		timer_set(l, t, loop_now_ms(l) + STACKS_TRIM_MS);
}

struct fiber_sched *fiber_sched_new(void)
{
	struct fiber_sched *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	list_init(&s->fibers);
	s->trim.fire = trim_stacks;
	return s;
}

void fiber_sched_free(struct fiber_sched *s)
{
	if (s == NULL)
		return;
	ASSERT(s->live == 0);
	stack_pool_fini(&s->stacks);
	free(s);
}

struct fiber *fiber_current(void)
{
	struct loop *l = loop_current();

	return l != NULL ? l->fibers->running : NULL;
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

static void fiber_main(void)
{
	struct fiber *f = fiber_current();
	struct fiber_sched *s = f->loop->fibers;

	co_entered(&f->co, &s->home);
	f->fn(f->arg);
	f->ended = true;
	co_switch(&f->co, &s->home, true);
	ASSERT(false);
}

static void fiber_release(struct fiber *f)
{
	struct loop *l = f->loop;

	ASSERT(!f->queued);
	timer_cancel(l, &f->timer);
	list_remove(&f->link);
	co_fini(&f->co);
	stack_put(&l->fibers->stacks, f->co.stack);
	if (l->fibers->stacks.kept_len > STACKS_KEPT_MIN && !timer_armed(&l->fibers->trim))
		timer_set(l, &l->fibers->trim, loop_now_ms(l) + STACKS_TRIM_MS);
	l->fibers->live--;
	counter_sub(&l->n.fibers_live, 1);
	free(f);
}

static void run_fiber(struct task *t)
{
	struct fiber *f = container_of(t, struct fiber, task);
	struct fiber_sched *s = f->loop->fibers;

	if (!s->adopted) {
		co_adopt(&s->home);
		s->adopted = true;
	}
	f->queued = false;
	s->running = f;
	co_switch(&s->home, &f->co, false);
	s->running = NULL;
	if (f->ended)
		fiber_release(f);
}

static void make_runnable(struct fiber *f)
{
	if (f->queued || f->ended)
		return;
	f->queued = true;
	loop_defer(f->loop, &f->task);
}

static void deadline_passed(struct timer *t)
{
	make_runnable(container_of(t, struct fiber, timer));
}

static struct fiber *fiber_new(struct loop *l)
{
	struct fiber *f = calloc(1, sizeof(*f));
	void *stack = f != NULL ? stack_get(&l->fibers->stacks) : NULL;

	if (stack == NULL) {
		free(f);
		return NULL;
	}
	co_init(&f->co, stack, fiber_main);
	f->loop = l;
	f->task.run = run_fiber;
	f->timer.fire = deadline_passed;
	list_push_back(&l->fibers->fibers, &f->link);
	return f;
}

struct fiber *fiber_spawn(const char *name, fiber_fn *fn, void *arg, uint64_t deadline_ms)
{
	struct loop *l = loop_current();
	struct fiber *f;

	ASSERT(l != NULL);
	f = l->fibers->live < FIBERS_PER_LOOP_MAX ? fiber_new(l) : NULL;
	if (f == NULL) {
		counter_add(&l->n.fibers_refused, 1);
		return NULL;
	}
	f->name = name;
	f->fn = fn;
	f->arg = arg;
	f->deadline_ms = deadline_ms;
	f->cancelled = l->ending;
	l->fibers->live++;
	counter_add(&l->n.fibers_live, 1);
	counter_add(&l->n.fibers_started, 1);
	make_runnable(f);
	return f;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------ */

/* suspend: runs others until make_runnable. Says nothing about why it came back. */
static void suspend(struct fiber *f)
{
	f->waiting = true;
	co_switch(&f->co, &f->loop->fibers->home, false);
	f->waiting = false;
}

static struct fiber *must_be_fiber(void)
{
	struct fiber *f = fiber_current();

	ASSERT(f != NULL);
	return f;
}

int fiber_wait_until(uint64_t at_ms)
{
	struct fiber *f = must_be_fiber();
	uint64_t until_ms = MIN(at_ms, f->deadline_ms);

	for (;;) {
		if (f->cancelled)
			break;
		if (f->woken)
			break;
		if (loop_now_ms(f->loop) >= until_ms)
			break;
		if (until_ms != FIBER_NO_DEADLINE)
			timer_set(f->loop, &f->timer, until_ms);
		suspend(f);
	}
	timer_cancel(f->loop, &f->timer);
	if (f->cancelled)
		return -ERR_CANCELLED;
	if (!f->woken)
		return -ERR_TIMEOUT;
	f->woken = false;
	return 0;
}

int fiber_wait(void)
{
	return fiber_wait_until(FIBER_NO_DEADLINE);
}

void fiber_wake(struct fiber *f)
{
	ASSERT(f->loop == loop_current());
	f->woken = true;
	if (f->waiting)
		make_runnable(f);
}

void fiber_cancel(struct fiber *f)
{
	ASSERT(f->loop == loop_current());
	f->cancelled = true;
	if (f->waiting)
		make_runnable(f);
}

bool fiber_cancelled(void)
{
	return must_be_fiber()->cancelled;
}

unsigned fiber_sched_cancel_all(struct fiber_sched *s)
{
	for (struct list *i = s->fibers.next; i != &s->fibers; i = i->next) {
		struct fiber *f = container_of(i, struct fiber, link);

		if (!f->cancelled)
			fiber_cancel(f);
	}
	return s->live;
}

uint64_t fiber_deadline_ms(void)
{
	return must_be_fiber()->deadline_ms;
}

uint64_t fiber_set_deadline(uint64_t deadline_ms)
{
	struct fiber *f = must_be_fiber();
	uint64_t old_ms = f->deadline_ms;

	f->deadline_ms = deadline_ms;
	return old_ms;
}

int fiber_sleep(uint64_t ms)
{
	struct fiber *f = must_be_fiber();
	uint64_t until_ms = loop_now_ms(f->loop) + ms;
	int rc;

	do {
		rc = fiber_wait_until(until_ms);
	} while (rc == 0);
	/* Whose end was it: the sleep's, or the fiber's? */
	return rc == -ERR_TIMEOUT && loop_now_ms(f->loop) >= until_ms ? 0 : rc;
}

void fiber_yield(void)
{
	struct fiber *f = must_be_fiber();

	make_runnable(f);
	suspend(f);
}

/* ---- completion --------------------------------------------------------------------------------------------------------- */

static void completion_run(struct task *t)
{
	struct completion *c = container_of(t, struct completion, task);

	c->done = true;
	if (c->fiber->waiting)
		make_runnable(c->fiber);
}

void completion_init(struct completion *c)
{
	struct fiber *f = must_be_fiber();

	*c = (struct completion){.task = {.run = completion_run}, .loop = f->loop, .fiber = f};
}

int completion_wait(struct completion *c)
{
	while (!c->done)
		suspend(c->fiber);
	return c->result;
}

void completion_done(struct completion *c, int result)
{
	c->result = result;
	/* The loop runs: it does not end while the fiber lives. */
	(void)loop_post(c->loop, &c->task);
}

/* ---- calls to another loop ---------------------------------------------------------------------------------------------- */

/*
 * On the caller's stack. start and cancel go there, finished and cancel_seen come back; the caller stays until all that it
 * sent has come back, so none of them is posted while queued.
 */
struct call {
	struct task start, cancel;
	struct completion finished, cancel_seen;
	struct loop *target;
	const char *name;
	int (*fn)(void *arg);
	void *arg;
	uint64_t deadline_ms;
	struct fiber *callee; /* target's thread only; NULL before the start and after the end */
};

static void call_main(void *arg)
{
	struct call *call = arg;
	int rc = call->fn(call->arg);

	call->callee = NULL;
	completion_done(&call->finished, rc);
}

static void call_start(struct task *t)
{
	struct call *call = container_of(t, struct call, start);

	call->callee = fiber_spawn(call->name, call_main, call, call->deadline_ms);
	if (call->callee == NULL)
		completion_done(&call->finished, -ERR_FULL);
}

static void call_cancel(struct task *t)
{
	struct call *call = container_of(t, struct call, cancel);

	if (call->callee != NULL)
		fiber_cancel(call->callee);
	completion_done(&call->cancel_seen, 0);
}

int fiber_call_on(struct loop *target, const char *name, int (*fn)(void *arg), void *arg)
{
	struct fiber *f = must_be_fiber();
	struct call call = {.start = {.run = call_start}, .cancel = {.run = call_cancel}};
	bool sent = false;

	call.target = target;
	call.name = name;
	call.fn = fn;
	call.arg = arg;
	call.deadline_ms = f->deadline_ms;
	completion_init(&call.finished);
	completion_init(&call.cancel_seen);
	if (f->cancelled)
		return -ERR_CANCELLED;
	if (!loop_post(target, &call.start))
		return -ERR_CLOSED;
	while (!call.finished.done) {
		if (f->cancelled && !sent)
			sent = loop_post(target, &call.cancel);
		if (!call.finished.done)
			suspend(f);
	}
	while (sent && !call.cancel_seen.done)
		suspend(f);
	return call.finished.result;
}

/* ---- lock ------------------------------------------------------------------------------------------------------------------ */

struct fiber_waiter {
	struct fiber_waiter *next;
	struct fiber *fiber;
	bool granted;
};

static void waiter_remove(struct fiber_lock *l, struct fiber_waiter *w)
{
	struct fiber_waiter **p = &l->head;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	if (w->next == NULL)
		l->tail = p;
}

int fiber_lock_acquire(struct fiber_lock *l)
{
	struct fiber_waiter w = {.fiber = must_be_fiber()};
	int rc = 0;

	if (w.fiber->cancelled)
		return -ERR_CANCELLED;
	if (!l->held) {
		l->held = true;
		return 0;
	}
	if (l->head == NULL)
		l->tail = &l->head;
	*l->tail = &w;
	l->tail = &w.next;
	while (!w.granted && rc == 0)
		rc = fiber_wait();
	if (w.granted && rc != 0)
		fiber_lock_release(l); /* it came together with the cancellation: pass it on */
	else if (rc != 0)
		waiter_remove(l, &w);
	return rc;
}

void fiber_lock_release(struct fiber_lock *l)
{
	struct fiber_waiter *w = l->head;

	ASSERT(l->held);
	if (w == NULL) {
		l->held = false;
		return;
	}
	/* Handed over while held, so that nobody who comes now is served first. */
	l->head = w->next;
	w->granted = true;
	fiber_wake(w->fiber);
}
