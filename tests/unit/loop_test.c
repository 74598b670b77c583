/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks, wake-ups, timers and the end of a loop; what is said when io_uring cannot be used. */
#include "core/clock.h"
#include "core/err.h"
#include "core/loop.h"
#include "core/uring_caps.h"
#include "tests/unit/support/loops.h"
#include "tests/unit/support/test.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POSTERS   4
#define POSTS     20000
#define PINGPONGS 2000

static void sleep_ms(unsigned ms)
{
	struct timespec ts = {.tv_nsec = (long)ms * 1000000};

	nanosleep(&ts, NULL);
}

static void stop_now(void *arg)
{
	(void)arg;
	loop_stop(loop_current());
}

static void test_starts_and_stops(void **state)
{
	unsigned fds = loops_fds();

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		loops_run_here(loops_new(0), stop_now, NULL);
	assert_null(loop_current());
	assert_int_equal(loops_fds(), fds);
}

static int policy_inside;

static void note_policy(void *arg)
{
	policy_inside = sched_getscheduler(0);
	stop_now(arg);
}

/* Whoever started the program with chrt or systemd's CPUSchedulingPolicy= wants just that. */
static void test_a_given_policy_stays(void **state)
{
	const struct sched_param zero = {0};

	(void)state;
	assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &zero), 0);
	loops_run_here(loops_new(0), note_policy, NULL);
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &zero), 0);
	assert_int_equal(policy_inside, SCHED_BATCH);
}

/* ---- posting --------------------------------------------------------------------------------------------------------- */

struct numbered {
	struct task task;
	unsigned poster, number;
};

static unsigned next_number[POSTERS];
static unsigned misordered;
static _Atomic unsigned received;

static void numbered_run(struct task *t)
{
	struct numbered *n = container_of(t, struct numbered, task);

	if (next_number[n->poster]++ != n->number)
		misordered++;
	atomic_fetch_add(&received, 1);
	free(n);
}

struct poster {
	struct loop *loop;
	unsigned index;
};

static void *poster_main(void *arg)
{
	struct poster *p = arg;

	for (unsigned i = 0; i < POSTS; i++) {
		struct numbered *n = calloc(1, sizeof(*n));

		if (n == NULL)
			abort();
		*n = (struct numbered){{NULL, numbered_run}, p->index, i};
		if (!loop_post(p->loop, &n->task))
			abort();
		if (i % 4096 == 0)
			sleep_ms(2); /* let the loop fall asleep now and then */
	}
	return NULL;
}

static void test_posts_arrive_in_order(void **state)
{
	struct loops_thread lt;
	struct poster posters[POSTERS];
	pthread_t threads[POSTERS];

	(void)state;
	memset(next_number, 0, sizeof(next_number));
	misordered = 0;
	atomic_store(&received, 0);
	loops_start(&lt);
	for (unsigned i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){lt.loop, i};
		assert_int_equal(pthread_create(&threads[i], NULL, poster_main, &posters[i]), 0);
	}
	for (unsigned i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; atomic_load(&received) < POSTERS * POSTS && i < 5000; i++)
		sleep_ms(1);
	loops_join(&lt);
	assert_int_equal(atomic_load(&received), POSTERS * POSTS);
	assert_int_equal(misordered, 0);
}

struct ball {
	struct task task;
	struct loop *side[2];
	unsigned hits;
	_Atomic bool over;
	bool quietly;
};

static void ball_run(struct task *t)
{
	struct ball *b = container_of(t, struct ball, task);
	struct loop *to;

	if (++b->hits == PINGPONGS) {
		atomic_store(&b->over, true);
		return;
	}
	to = b->side[loop_current() == b->side[0] ? 1 : 0];
	if (!b->quietly) {
		loop_post(to, t);
		return;
	}
	assert_true(loop_post_quietly(to, t));
	loop_rouse(to);
}

/* Each hit finds the other loop asleep or about to be: a lost wake-up would hang. */
static void play(bool quietly)
{
	struct loops_thread a, b;
	struct ball ball = {.task = {.run = ball_run}, .quietly = quietly};
	struct loop_stats stats;

	loops_start(&a);
	loops_start(&b);
	ball.side[0] = a.loop;
	ball.side[1] = b.loop;
	assert_true(loop_post(a.loop, &ball.task));
	for (unsigned i = 0; !atomic_load(&ball.over) && i < 10000; i++)
		sleep_ms(1);
	assert_true(atomic_load(&ball.over));
	loop_stats_read(b.loop, &stats);
	loops_join(&a);
	loops_join(&b);
	assert_int_equal(ball.hits, PINGPONGS);
	assert_in_range(stats.doorbells, 1, PINGPONGS + 10);
}

static void test_loops_wake_each_other(void **state)
{
	(void)state;
	play(false);
}

static void test_who_rouses_wakes(void **state)
{
	(void)state;
	play(true);
}

static struct numbered quiet_one, loud_one;

static void loud_run(struct task *t)
{
	assert_ptr_equal(t, &loud_one.task);
	assert_int_equal(quiet_one.number, 1);
	loop_stop(loop_current());
}

static void quiet_run(struct task *t)
{
	container_of(t, struct numbered, task)->number++;
}

/* A bell for one is a bell for all that were posted before. */
static void test_a_quiet_post_comes_with_the_next(void **state)
{
	struct loop *l = loops_new(0);

	(void)state;
	quiet_one = (struct numbered){.task = {.run = quiet_run}};
	loud_one = (struct numbered){.task = {.run = loud_run}};
	assert_true(loop_post_quietly(l, &quiet_one.task));
	assert_true(loop_post(l, &loud_one.task));
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(quiet_one.number, 1);
	loop_free(l);
}

static struct numbered last_task;

static void deferred_run(struct task *t)
{
	(void)t;
	received++;
	if (received == 3)
		loop_stop(loop_current());
}

static void defer_three(void *arg)
{
	struct task *tasks = arg;

	for (unsigned i = 0; i < 3; i++) {
		tasks[i].run = deferred_run;
		loop_defer(loop_current(), &tasks[i]);
	}
	assert_int_equal(received, 0);
}

static void test_deferred_tasks_run_without_a_wake(void **state)
{
	struct task tasks[3];
	struct loop *l = loops_new(0);

	(void)state;
	atomic_store(&received, 0);
	loops_run_here(l, defer_three, tasks);
	assert_int_equal(received, 3);
}

static void test_post_after_the_end_is_refused(void **state)
{
	struct loop *l = loops_new(0);

	(void)state;
	loop_stop(l);
	assert_int_equal(loop_run(l), 0);
	last_task.task.run = deferred_run;
	assert_false(loop_post(l, &last_task.task));
	loop_free(l);
}

/* ---- timers ------------------------------------------------------------------------------------------------------------ */

struct alarm {
	struct timer timer;
	uint64_t set_ms, fired_ms;
};

static void alarm_fired(struct timer *t)
{
	struct alarm *a = container_of(t, struct alarm, timer);

	assert_false(timer_armed(t));
	a->fired_ms = clock_mono_ms();
	loop_stop(loop_current());
}

static void alarm_set(void *arg)
{
	struct alarm *a = arg;

	a->timer.fire = alarm_fired;
	a->set_ms = clock_mono_ms();
	timer_set(loop_current(), &a->timer, a->set_ms + 50);
	assert_true(timer_armed(&a->timer));
}

static void test_timer_wakes_the_loop(void **state)
{
	struct alarm a = {.set_ms = 0};

	(void)state;
	loops_run_here(loops_new(0), alarm_set, &a);
	assert_true(a.fired_ms >= a.set_ms + 50);
	assert_true(a.fired_ms < a.set_ms + 2000);
}

static void test_an_idle_loop_sleeps(void **state)
{
	struct loops_thread t;
	struct loop_stats before, after;

	(void)state;
	loops_start(&t);
	sleep_ms(50);
	loop_stats_read(t.loop, &before);
	sleep_ms(200);
	loop_stats_read(t.loop, &after);
	loops_join(&t);
	assert_in_range(after.iterations - before.iterations, 0, 3);
}

/* ---- stop in a signal handler ------------------------------------------------------------------------------------------- */

static struct loop *signalled;

static void on_signal(int sig)
{
	(void)sig;
	loop_stop(signalled);
}

static void test_stop_from_a_signal_handler(void **state)
{
	struct loops_thread t;
	struct sigaction sa = {.sa_handler = on_signal}, old;

	(void)state;
	loops_start(&t);
	signalled = t.loop;
	sleep_ms(20);
	assert_int_equal(sigaction(SIGUSR1, &sa, &old), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	pthread_join(t.thread, NULL);
	sigaction(SIGUSR1, &old, NULL);
	loop_free(t.loop);
}

/* ---- probe --------------------------------------------------------------------------------------------------------------- */

static void test_probe(void **state)
{
	struct uring_caps caps;
	struct buf why;

	(void)state;
	buf_init(&why, 1024);
	if (uring_probe(&caps, &why) != 0)
		fail_msg("%s", buf_cstr(&why));
	assert_int_equal(why.len, 0);
	assert_true(caps.kernel_major >= 6);
	setenv("CAUSEWAY_URING", "min", 1);
	assert_int_equal(uring_probe(&caps, &why), 0);
	unsetenv("CAUSEWAY_URING");
	assert_true(caps.min && !caps.multishot && !caps.msg_ring);
	buf_free(&why);
}

static void test_refusals_name_cause_and_cure(void **state)
{
	static const struct {
		struct uring_refusal r;
		const char *must_say[2];
	} cases[] = {
		{{EPERM, "6.12.0", 6, 12, 2}, {"io_uring_disabled is 2", "sysctl -w"}},
		{{EPERM, "6.12.0", 6, 12, 0}, {"seccomp", "SystemCallFilter"}},
		{{ENOSYS, "6.12.0", 6, 12, -1}, {"CONFIG_IO_URING", "seccomp"}},
		{{ENOSYS, "4.19.0", 4, 19, -1}, {"4.19.0", "6.1"}},
		{{EINVAL, "5.10.0", 5, 10, -1}, {"5.10.0", "6.1"}},
		{{ENOMEM, "6.1.0", 6, 1, -1}, {"LimitMEMLOCK", "cgroup"}},
		{{EPROTO, "6.1.0", 6, 1, -1}, {"self-test", "liburing"}},
		{{EMFILE, "6.1.0", 6, 1, -1}, {"LimitNOFILE", "descriptor"}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf why;

		buf_init(&why, 1024);
		uring_explain(&cases[i].r, &why);
		for (size_t k = 0; k < 2; k++)
			if (strstr(buf_cstr(&why), cases[i].must_say[k]) == NULL)
				fail_msg("'%s' lacks '%s'", buf_cstr(&why), cases[i].must_say[k]);
		buf_free(&why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOPS_TEST(test_starts_and_stops),
		LOOPS_TEST(test_a_given_policy_stays),
		LOOPS_TEST(test_posts_arrive_in_order),
		LOOPS_TEST(test_loops_wake_each_other),
		LOOPS_TEST(test_who_rouses_wakes),
		LOOPS_TEST(test_a_quiet_post_comes_with_the_next),
		LOOPS_TEST(test_deferred_tasks_run_without_a_wake),
		LOOPS_TEST(test_post_after_the_end_is_refused),
		LOOPS_TEST(test_timer_wakes_the_loop),
		LOOPS_TEST(test_an_idle_loop_sleeps),
		LOOPS_TEST(test_stop_from_a_signal_handler),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_refusals_name_cause_and_cure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
