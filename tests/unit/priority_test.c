/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/priority.h"
#include "tests/unit/support/test.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

/* What a thread had, what it asked for, and what it has then. */
struct asked {
	int given;            /* policy before */
	bool computes, again; /* again: ordinary after real-time */
	bool answers, got, back;
	int policy, nice, inherited;
};

static void *report_policy(void *arg)
{
	*(int *)arg = sched_getscheduler(0);
	return NULL;
}

static void *asking(void *arg)
{
	struct asked *a = arg;
	const struct sched_param param = {.sched_priority = sched_get_priority_min(a->given)};
	pthread_t child;

	if (a->given != SCHED_OTHER && sched_setscheduler(0, a->given, &param) != 0)
		return arg;
	if (a->computes)
		priority_computes();
	else
		a->answers = priority_answers();
	if (a->answers)
		a->got = priority_real_time(true);
	if (a->again)
		a->back = priority_real_time(false);
	a->policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
	a->nice = getpriority(PRIO_PROCESS, 0);
	if (pthread_create(&child, NULL, report_policy, &a->inherited) != 0)
		return arg;
	pthread_join(child, NULL);
	return NULL;
}

/* false: the policy that the thread was to have before was refused. */
static bool ask(struct asked *a)
{
	pthread_t thread;
	void *failed;

	assert_int_equal(pthread_create(&thread, NULL, asking, a), 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	return failed == NULL;
}

/* Root may, and so may others whose limit allows it; but not in every container, nor where the kernel groups real-time threads. */
static bool may(void)
{
	return ask(&(struct asked){.given = SCHED_RR});
}

static void test_as_the_system_allows(void **state)
{
	struct asked a = {.again = false};
	bool allowed = may();

	(void)state;
	assert_true(ask(&a));
	assert_true(a.answers);
	assert_int_equal(a.got, allowed);
	assert_int_equal(a.policy, allowed ? SCHED_RR : SCHED_OTHER);
	assert_int_equal(a.inherited, SCHED_OTHER);
}

static void test_and_back(void **state)
{
	struct asked a = {.again = true};

	(void)state;
	assert_true(ask(&a));
	assert_true(a.back);
	assert_int_equal(a.policy, SCHED_OTHER);
	assert_int_equal(a.nice, getpriority(PRIO_PROCESS, 0));
}

/* Whoever started the program with chrt or systemd's CPUSchedulingPolicy= wants just that. */
static void test_a_given_policy_stays(void **state)
{
	struct asked batch = {.given = SCHED_BATCH}, fifo = {.given = SCHED_FIFO};

	(void)state;
	assert_true(ask(&batch));
	assert_false(batch.answers);
	assert_int_equal(batch.policy, SCHED_BATCH);
	if (ask(&fifo)) {
		assert_false(fifo.answers);
		assert_int_equal(fifo.policy, SCHED_FIFO);
	}
}

static void test_computing_is_never_real_time(void **state)
{
	struct asked plain = {.computes = true}, fifo = {.given = SCHED_FIFO, .computes = true};

	(void)state;
	assert_true(ask(&plain));
	assert_int_equal(plain.policy, SCHED_OTHER);
	assert_int_equal(plain.nice, 10);
	if (ask(&fifo)) {
		assert_int_equal(fifo.policy, SCHED_OTHER);
		assert_int_equal(fifo.nice, 10);
	}
}

#define NOT_GIVEN 77

/* The limit decides for who is not root: 0 refuses, 1 suffices where root itself may, and back again. Ends with 0 if it was so. */
static int as_nobody(rlim_t limit, bool expected)
{
	struct asked a = {.again = true};
	const struct rlimit r = {limit, limit};

	if (setrlimit(RLIMIT_RTPRIO, &r) != 0)
		return NOT_GIVEN;
	if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
		return 1;
	return ask(&a) && a.got == expected && a.back && a.policy == SCHED_OTHER ? 0 : 2;
}

static void test_the_limit_decides(void **state)
{
	bool allowed = may();

	(void)state;
	if (geteuid() != 0)
		return; /* test_as_the_system_allows saw this user's limit */
	for (rlim_t limit = 0; limit <= 1; limit++) {
		pid_t pid = fork();
		int status = -1;

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(as_nobody(limit, allowed && limit > 0));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		/* Containers may keep even root from raising a limit. */
		if (limit == 0 || WEXITSTATUS(status) != NOT_GIVEN)
			assert_int_equal(status, 0);
	}
}

static void test_what_is_urgent(void **state)
{
	(void)state;
	assert_false(priority_is_urgent(5000));
	priority_urgent(5000);
	assert_true(priority_is_urgent(5000));
	assert_true(priority_is_urgent(5000 + PRIORITY_URGENT_MS - 1));
	assert_false(priority_is_urgent(5000 + PRIORITY_URGENT_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_system_allows),
		cmocka_unit_test(test_and_back),
		cmocka_unit_test(test_a_given_policy_stays),
		cmocka_unit_test(test_computing_is_never_real_time),
		cmocka_unit_test(test_the_limit_decides),
		cmocka_unit_test(test_what_is_urgent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
