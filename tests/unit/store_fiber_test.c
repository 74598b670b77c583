/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Updates from fibers: only the fiber waits, and a cancelled one still learns what became of its update. */
#include "core/clock.h"
#include "core/err.h"
#include "core/fiber.h"
#include "store/internal.h"
#include "tests/unit/support/loops.h"
#include "tests/unit/support/store_help.h"
#include "tests/unit/support/test.h"

#include <unistd.h>

enum { FIBERS = 64, EACH = 40 };

static struct store_home home;
static unsigned ended, failed;

struct start {
	struct task task;
	void (*fn)(void *arg);
	void *arg;
};

static void run_start(struct task *t)
{
	struct start *s = container_of(t, struct start, task);

	s->fn(s->arg);
}

/* Runs a loop in this thread until somebody stops it. It is freed by the caller, after the store was closed. */
static struct loop *run_loop(void (*fn)(void *arg), void *arg)
{
	struct start start = {.task = {.run = run_start}, .fn = fn, .arg = arg};
	struct loop *l = loops_new(0);

	assert_true(loop_post(l, &start.task));
	assert_int_equal(loop_run(l), 0);
	return l;
}

static int put_token(struct store_txn *t, void *arg)
{
	struct store_token tok;

	fill_token(&tok, *(unsigned *)arg, false);
	return store_token_put(t, &tok);
}

static int has_token(struct store_txn *t, void *arg)
{
	struct store_token tok, want;

	fill_token(&want, *(unsigned *)arg, false);
	return store_token_get(t, want.id, &tok);
}

static void write_in_fiber(void *arg)
{
	unsigned base = *(unsigned *)arg;

	for (unsigned n = base; n < base + EACH; n++) {
		failed += store_update(home.s, put_token, &n) != 0 ? 1 : 0;
		failed += store_view(home.s, has_token, &n) != 0 ? 1 : 0;
	}
	if (++ended == FIBERS)
		loop_stop(loop_current());
}

static void start_writers(void *arg)
{
	unsigned *bases = arg;

	for (unsigned i = 0; i < FIBERS; i++) {
		bases[i] = i * EACH;
		assert_non_null(
			fiber_spawn("writer", write_in_fiber, &bases[i], FIBER_NO_DEADLINE));
	}
}

static void test_many_fibers_write(void **state)
{
	unsigned bases[FIBERS];
	struct store_stats st;
	struct loop *loop;

	(void)state;
	ended = failed = 0;
	store_home_init(&home);
	loop = run_loop(start_writers, bases);
	assert_int_equal(ended, FIBERS);
	assert_int_equal(failed, 0);
	store_stats_read(home.s, &st);
	assert_int_equal(st.updates, FIBERS * EACH);
	print_message("%u updates in %u commits\n", (unsigned)st.updates, (unsigned)st.commits);
	assert_true(store_home_reopen(&home));
	loop_free(loop);
	for (unsigned n = 0; n < FIBERS * EACH; n++)
		assert_int_equal(store_view(home.s, has_token, &n), 0);
	store_home_free(&home);
}

/* Holds the writer until all others are in line. */
static int put_after_all_came(struct store_txn *t, void *arg)
{
	struct store_stats st;

	do {
		usleep(1000);
		store_stats_read(home.s, &st);
	} while (st.queue_depth < FIBERS - 1);
	return put_token(t, arg);
}

static void write_once(void *arg)
{
	unsigned n = *(unsigned *)arg;

	failed += store_update(home.s, n == 0 ? put_after_all_came : put_token, &n) != 0 ? 1 : 0;
	if (++ended == FIBERS)
		loop_stop(loop_current());
}

static void start_in_line(void *arg)
{
	unsigned *numbers = arg;

	for (unsigned i = 0; i < FIBERS; i++) {
		numbers[i] = i;
		assert_non_null(fiber_spawn("writer", write_once, &numbers[i], FIBER_NO_DEADLINE));
	}
}

static void test_updates_that_wait_share_commits(void **state)
{
	unsigned numbers[FIBERS];
	struct store_stats before, after;
	struct loop *loop;

	(void)state;
	ended = failed = 0;
	store_home_init(&home);
	home.s->limits.batch_us = 60000000; /* a slow machine must not cut the batch */
	store_stats_read(home.s, &before);
	loop = run_loop(start_in_line, numbers);
	assert_int_equal(failed, 0);
	store_stats_read(home.s, &after);
	assert_int_equal(after.updates - before.updates, FIBERS);
	assert_int_equal(after.commits - before.commits, 1);
	store_home_free(&home);
	loop_free(loop);
}

static int put_slowly(struct store_txn *t, void *arg)
{
	usleep(100000);
	return put_token(t, arg);
}

struct slow {
	struct fiber *fiber;
	int result;
	unsigned beats;
};

static void slow_writer(void *arg)
{
	struct slow *s = arg;
	unsigned n = 7;

	s->result = store_update(home.s, put_slowly, &n);
	loop_stop(loop_current());
}

/* Beats while the other waits, and cancels it on the way. */
static void beater(void *arg)
{
	struct slow *s = arg;

	while (fiber_sleep(5) == 0)
		if (++s->beats == 2)
			fiber_cancel(s->fiber);
}

static void start_slow(void *arg)
{
	struct slow *s = arg;

	s->fiber = fiber_spawn("slow", slow_writer, s, FIBER_NO_DEADLINE);
	assert_non_null(s->fiber);
	assert_non_null(fiber_spawn("beater", beater, s, FIBER_NO_DEADLINE));
}

static void test_the_loop_goes_on_and_a_cancelled_fiber_gets_its_result(void **state)
{
	struct slow s = {.result = -1};
	struct loop *loop;
	unsigned n = 7;

	(void)state;
	store_home_init(&home);
	loop = run_loop(start_slow, &s);
	assert_int_equal(s.result, 0);
	assert_true(s.beats >= 2);
	assert_int_equal(store_view(home.s, has_token, &n), 0);
	store_home_free(&home);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_fibers_write),
		cmocka_unit_test(test_updates_that_wait_share_commits),
		cmocka_unit_test(test_the_loop_goes_on_and_a_cancelled_fiber_gets_its_result),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
