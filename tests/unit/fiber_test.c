/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fibers: waits, deadlines, cancellation, calls across loops, completions, locks, limits, the guard page. */
#include "core/clock.h"
#include "core/err.h"
#include "core/fiber.h"
#include "tests/unit/support/loops.h"
#include "tests/unit/support/test.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* run_fiber: fn(arg) in a fiber of a new loop; returns when the loop has ended. fn calls loop_stop. */
struct first {
	fiber_fn *fn;
	void *arg;
	uint64_t deadline_after_ms;
};

static void first_start(void *arg)
{
	struct first *f = arg;
	uint64_t at = f->deadline_after_ms == 0
	                      ? FIBER_NO_DEADLINE
	                      : loop_now_ms(loop_current()) + f->deadline_after_ms;

	assert_non_null(fiber_spawn("first", f->fn, f->arg, at));
}

static void run_fiber(fiber_fn *fn, void *arg, uint64_t deadline_after_ms)
{
	struct first f = {fn, arg, deadline_after_ms};

	loops_run_here(loops_new(0), first_start, &f);
}

/* The same beside t's loop, which posts here: that has to be joined before this loop may be freed. */
static void run_fiber_beside(struct loops_thread *t, fiber_fn *fn, void *arg,
                             uint64_t deadline_after_ms)
{
	struct first f = {fn, arg, deadline_after_ms};
	struct loop *l = loops_new(0);

	loops_run_keep(l, first_start, &f);
	loops_join(t);
	loop_free(l);
}

static void stop(void)
{
	loop_stop(loop_current());
}

/* ---- waiting ----------------------------------------------------------------------------------------------------------- */

static void sleeper(void *arg)
{
	uint64_t *slept = arg;
	uint64_t t0 = loop_now_ms(loop_current());

	assert_int_equal(fiber_sleep(40), 0);
	*slept = loop_now_ms(loop_current()) - t0;
	assert_int_equal(fiber_deadline_ms(), FIBER_NO_DEADLINE);
	stop();
}

static void test_sleep(void **state)
{
	uint64_t slept = 0;

	(void)state;
	run_fiber(sleeper, &slept, 0);
	/* By the loop's clock: it is sampled once an iteration, and a busy machine may hold a thread up between the two. */
	assert_true(slept >= 40);
}

static void deadliner(void *arg)
{
	int *results = arg;

	results[0] = fiber_wait();
	results[1] = fiber_sleep(10);
	(void)fiber_set_deadline(FIBER_NO_DEADLINE);
	results[2] = fiber_wait_until(loop_now_ms(loop_current()) + 20);
	results[3] = fiber_sleep(10);
	stop();
}

static void test_deadline(void **state)
{
	int results[4] = {1, 1, 1, 1};

	(void)state;
	run_fiber(deadliner, results, 30);
	assert_int_equal(results[0], -ERR_TIMEOUT);
	assert_int_equal(results[1], -ERR_TIMEOUT);
	assert_int_equal(results[2], -ERR_TIMEOUT);
	assert_int_equal(results[3], 0);
}

struct pair {
	struct fiber *waiter;
	int results[3];
	bool cancelled;
};

static void pair_waiter(void *arg)
{
	struct pair *p = arg;

	fiber_yield(); /* the wake comes before the wait */
	p->results[0] = fiber_wait();
	p->results[1] = fiber_wait();
	p->cancelled = fiber_cancelled();
	p->results[2] = fiber_sleep(10);
	p->waiter = NULL;
}

static void pair_main(void *arg)
{
	struct pair *p = arg;

	p->waiter = fiber_spawn("waiter", pair_waiter, p, FIBER_NO_DEADLINE);
	assert_non_null(p->waiter);
	assert_int_equal(p->results[0], 1); /* spawning does not run it */
	fiber_wake(p->waiter);
	assert_int_equal(fiber_sleep(20), 0);
	assert_int_equal(p->results[0], 0);
	assert_int_equal(p->results[1], 1);
	fiber_cancel(p->waiter);
	while (p->waiter != NULL)
		fiber_yield();
	stop();
}

static void test_wake_and_cancel(void **state)
{
	struct pair p = {.results = {1, 1, 1}};

	(void)state;
	run_fiber(pair_main, &p, 0);
	assert_int_equal(p.results[1], -ERR_CANCELLED);
	assert_int_equal(p.results[2], -ERR_CANCELLED);
	assert_true(p.cancelled);
}

static void stop_then_wait(void *arg)
{
	int *rc = arg;

	stop();
	*rc = fiber_wait();
}

static void test_stopping_cancels(void **state)
{
	int rc = 0;

	(void)state;
	run_fiber(stop_then_wait, &rc, 0);
	assert_int_equal(rc, -ERR_CANCELLED);
}

/* ---- limits -------------------------------------------------------------------------------------------------------------- */

static unsigned alive;

static void brief(void *arg)
{
	(void)arg;
	alive++;
	assert_int_equal(fiber_sleep(1), 0);
	alive--;
}

static void crowd_main(void *arg)
{
	struct loop_stats s;
	unsigned n = 0;

	(void)arg;
	for (unsigned round = 0; round < 2; round++) {
		for (n = 0; fiber_spawn("brief", brief, NULL, FIBER_NO_DEADLINE) != NULL; n++)
			;
		assert_int_equal(n, FIBERS_PER_LOOP_MAX - 1);
		fiber_yield();
		while (alive > 0)
			assert_int_equal(fiber_sleep(1), 0);
	}
	loop_stats_read(loop_current(), &s);
	assert_int_equal(s.fibers_refused, 2);
	assert_int_equal(s.fibers_live, 1);
	stop();
}

static void test_limit_and_reuse(void **state)
{
	(void)state;
	run_fiber(crowd_main, NULL, 0);
	assert_int_equal(alive, 0);
}

/* ---- completion ---------------------------------------------------------------------------------------------------------- */

static void *complete_later(void *arg)
{
	usleep(20000);
	completion_done(arg, 42);
	return NULL;
}

static void completion_main(void *arg)
{
	struct completion c;
	pthread_t thread;

	completion_init(&c);
	assert_int_equal(pthread_create(&thread, NULL, complete_later, &c), 0);
	fiber_cancel(fiber_current()); /* must not shorten the wait */
	*(int *)arg = completion_wait(&c);
	pthread_join(thread, NULL);
	stop();
}

static void test_completion_from_a_thread(void **state)
{
	int result = 0;

	(void)state;
	run_fiber(completion_main, &result, 0);
	assert_int_equal(result, 42);
}

/* ---- calls ------------------------------------------------------------------------------------------------------------------ */

struct remote {
	struct loop *target;
	struct loop *ran_on;
	uint64_t deadline_ms;
	int wait_result;
};

static int remote_fn(void *arg)
{
	struct remote *r = arg;

	r->ran_on = loop_current();
	r->deadline_ms = fiber_deadline_ms();
	r->wait_result = fiber_sleep(5);
	return 7;
}

static void call_main(void *arg)
{
	struct remote *r = arg;

	assert_int_equal(fiber_call_on(r->target, "remote", remote_fn, r), 7);
	assert_true(r->ran_on == r->target);
	assert_int_equal(r->deadline_ms, fiber_deadline_ms());
	assert_int_equal(r->wait_result, 0);
	assert_int_equal(fiber_call_on(loop_current(), "local", remote_fn, r), 7);
	assert_true(r->ran_on == loop_current());
	stop();
}

static void test_call_on(void **state)
{
	struct loops_thread t;
	struct remote r = {.wait_result = 1};

	(void)state;
	loops_start(&t);
	r.target = t.loop;
	run_fiber_beside(&t, call_main, &r, 60000);
}

static int remote_forever(void *arg)
{
	struct remote *r = arg;

	do
		r->wait_result = fiber_wait();
	while (r->wait_result == 0);
	return r->wait_result;
}

static void cancelled_caller(void *arg)
{
	struct remote *r = arg;

	assert_int_equal(fiber_call_on(r->target, "forever", remote_forever, r), -ERR_CANCELLED);
	r->ran_on = r->target;
}

static void cancel_call_main(void *arg)
{
	struct remote *r = arg;
	struct fiber *f = fiber_spawn("caller", cancelled_caller, r, FIBER_NO_DEADLINE);

	assert_non_null(f);
	assert_int_equal(fiber_sleep(30), 0);
	fiber_cancel(f);
	while (r->ran_on == NULL)
		assert_int_equal(fiber_sleep(1), 0);
	stop();
}

static void test_cancelling_a_call(void **state)
{
	struct loops_thread t;
	struct remote r = {.wait_result = 1};

	(void)state;
	loops_start(&t);
	r.target = t.loop;
	run_fiber_beside(&t, cancel_call_main, &r, 0);
	assert_int_equal(r.wait_result, -ERR_CANCELLED);
}

/* Many calls whose cancellation races with their end. */
static int remote_brief(void *arg)
{
	(void)arg;
	return fiber_sleep(1);
}

static _Atomic unsigned race_left;

static void race_caller(void *arg)
{
	struct remote *r = arg;
	int rc = fiber_call_on(r->target, "brief", remote_brief, NULL);

	if (rc != 0 && rc != -ERR_CANCELLED)
		abort();
	race_left--;
}

static void race_main(void *arg)
{
	for (unsigned i = 0; i < 200; i++) {
		struct fiber *f[4];

		race_left = 4;
		for (unsigned k = 0; k < 4; k++)
			f[k] = fiber_spawn("caller", race_caller, arg, FIBER_NO_DEADLINE);
		fiber_yield();
		for (unsigned spin = 0; spin < i % 7; spin++)
			fiber_yield();
		/* They may have ended by now only if none is left. */
		if (race_left == 4)
			for (unsigned k = 0; k < 4; k++)
				fiber_cancel(f[k]);
		while (race_left > 0)
			fiber_yield();
	}
	stop();
}

static void test_cancellation_races_with_the_end(void **state)
{
	struct loops_thread t;
	struct remote r = {.wait_result = 1};

	(void)state;
	loops_start(&t);
	r.target = t.loop;
	run_fiber_beside(&t, race_main, &r, 0);
}

static void ended_target_main(void *arg)
{
	assert_int_equal(fiber_call_on(arg, "remote", remote_fn, NULL), -ERR_CLOSED);
	stop();
}

static void test_call_on_an_ended_loop(void **state)
{
	struct loop *l = loops_new(0);

	(void)state;
	loop_stop(l);
	assert_int_equal(loop_run(l), 0);
	run_fiber(ended_target_main, l, 0);
	loop_free(l);
}

/* ---- lock -------------------------------------------------------------------------------------------------------------------- */

#define LOCKERS 6

static struct fiber_lock lock;
static unsigned inside, order[LOCKERS], order_len, lockers_left;

static void locker(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	int rc = fiber_lock_acquire(&lock);

	if (rc == 0) {
		assert_int_equal(inside++, 0);
		order[order_len++] = me;
		fiber_yield();
		fiber_yield();
		inside--;
		fiber_lock_release(&lock);
	} else {
		assert_int_equal(me, 2);
		assert_int_equal(rc, -ERR_CANCELLED);
	}
	lockers_left--;
}

static void lock_main(void *arg)
{
	struct fiber *f[LOCKERS];

	(void)arg;
	memset(&lock, 0, sizeof(lock));
	order_len = 0;
	lockers_left = LOCKERS;
	for (unsigned i = 0; i < LOCKERS; i++)
		f[i] = fiber_spawn("locker", locker, (void *)(uintptr_t)i, FIBER_NO_DEADLINE);
	fiber_yield();
	fiber_cancel(f[2]);
	while (lockers_left > 0)
		assert_int_equal(fiber_sleep(1), 0);
	stop();
}

static void test_lock_is_first_come_first_served(void **state)
{
	static const unsigned want[] = {0, 1, 3, 4, 5};

	(void)state;
	run_fiber(lock_main, NULL, 0);
	assert_int_equal(order_len, ARRAY_LEN(want));
	assert_memory_equal(order, want, sizeof(want));
	assert_false(lock.held);
}

/* ---- guard page ---------------------------------------------------------------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static volatile unsigned depth_limit = 4000;

static __attribute__((noinline)) unsigned dig(unsigned depth)
{
	volatile uint8_t frame[256];

	frame[0] = (uint8_t)depth;
	if (depth < depth_limit)
		return dig(depth + 1) + frame[0];
	return frame[0];
}

static void digger(void *arg)
{
	*(unsigned *)arg = dig(0);
	stop();
}

/* 4000 frames of 256 octets do not fit: the process dies by a signal instead of writing over a neighbour. */
static void test_overflow_hits_the_guard_page(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = {0, 0};
		unsigned result;

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL);
		run_fiber(digger, &result, 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOPS_TEST(test_sleep),
		LOOPS_TEST(test_deadline),
		LOOPS_TEST(test_wake_and_cancel),
		LOOPS_TEST(test_stopping_cancels),
		cmocka_unit_test(test_limit_and_reuse),
		LOOPS_TEST(test_completion_from_a_thread),
		LOOPS_TEST(test_call_on),
		LOOPS_TEST(test_cancelling_a_call),
		LOOPS_TEST(test_cancellation_races_with_the_end),
		cmocka_unit_test(test_call_on_an_ended_loop),
		cmocka_unit_test(test_lock_is_first_come_first_served),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(test_overflow_hits_the_guard_page),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
