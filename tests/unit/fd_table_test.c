/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/fd_table.h"
#include "core/err.h"
#include "tests/unit/support/loops.h"
#include "tests/unit/support/test.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 5000

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* A thread that does something with a table of its own. */
static void *own_main(void *arg)
{
	void (**fn)(void) = arg;

	if (fd_table_own() != 0)
		return arg;
	(*fn)();
	return NULL;
}

static void in_own_table(void (*fn)(void))
{
	pthread_t thread;
	void *failed = NULL;

	assert_int_equal(pthread_create(&thread, NULL, own_main, &fn), 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
}

static int before, inside;
static bool before_was_there;

static void open_and_close(void)
{
	before_was_there = is_open(before);
	close(before);
	inside = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
}

static void test_tables_part(void **state)
{
	(void)state;
	assert_true(fd_table_can());
	before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 90);
	in_own_table(open_and_close);
	assert_true(before_was_there);
	assert_true(is_open(before)); /* closed there only */
	assert_true(inside >= 100);
	assert_false(is_open(inside));
	close(before);
}

static unsigned held_there;

static void fill_up(void)
{
	int fds[64];

	held_there = 0;
	while (held_there < 64 && (fds[held_there] = dup(STDERR_FILENO)) >= 0)
		held_there++;
	for (unsigned i = 0; i < held_there; i++)
		close(fds[i]);
}

static void test_the_limit_counts_for_each(void **state)
{
	struct rlimit old, low;
	unsigned here;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 40;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	fill_up();
	here = held_there;
	in_own_table(fill_up);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_in_range(here, 1, 39);
	assert_int_equal(held_there, here);
}

/* FDSize of the calling thread: places in its table. */
static unsigned long places(void)
{
	char line[128];
	unsigned long n = 0;
	FILE *f = fopen("/proc/thread-self/status", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "FDSize:", 7) == 0)
			n = strtoul(line + 7, NULL, 10);
	(void)fclose(f);
	return n;
}

static unsigned long places_before, places_after, places_at_most;
static bool left_open;

static void reserve_some(void)
{
	places_before = places();
	fd_table_reserve(places_before + 1);
	places_after = places();
	left_open = is_open((int)places_before);
	fd_table_reserve(UINT64_MAX);
	places_at_most = places();
}

static void test_reserve(void **state)
{
	struct rlimit before_it, lowered;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before_it), 0);
	lowered = (struct rlimit){.rlim_cur = MIN((rlim_t)3000, before_it.rlim_max),
	                          .rlim_max = before_it.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lowered), 0);
	in_own_table(reserve_some);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before_it), 0);
	assert_true(places_before < lowered.rlim_cur);
	assert_true(places_after > places_before);
	assert_false(left_open);
	assert_true(places_at_most >= lowered.rlim_cur);
	assert_true(places_at_most < 2 * lowered.rlim_cur);
}

static void test_length(void **state)
{
	uint64_t n = fd_table_len(0);
	int fd = dup(STDERR_FILENO);

	(void)state;
	if (n > 0) /* else the kernel is older than 6.2 */
		assert_int_equal(fd_table_len(gettid()), n + 1);
	close(fd);
	assert_int_equal(fd_table_len(1 << 22), 0);
}

/* ---- passing ---- */

/* A descriptor by which it can be told from others. */
static int marked(char mark)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], &mark, 1), 1);
	close(p[1]);
	return p[0];
}

static char mark_of(int fd)
{
	char mark = 0;

	assert_int_equal(read(fd, &mark, 1), 1);
	close(fd);
	return mark;
}

static void test_pass_keeps_the_order(void **state)
{
	struct fd_pass p;

	(void)state;
	assert_int_equal(fd_pass_init(&p), 0);
	assert_true(fd_pass_take(&p) < 0);
	for (char c = 'a'; c <= 'z'; c++) {
		int fd = marked(c);

		assert_int_equal(fd_pass_send(&p, fd), 0);
		assert_false(is_open(fd));
	}
	for (char c = 'a'; c <= 'z'; c++) {
		int fd = fd_pass_take(&p);

		assert_true(fd >= 0);
		assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
		assert_int_equal(mark_of(fd), c);
	}
	assert_true(fd_pass_take(&p) < 0);
	fd_pass_fini(&p);
}

static void test_pass_is_bounded_and_recovers(void **state)
{
	unsigned sent = 0, fds = loops_fds();
	struct fd_pass p;
	int err = 0;

	(void)state;
	assert_int_equal(fd_pass_init(&p), 0);
	while (sent < MANY && (err = fd_pass_send(&p, dup(STDERR_FILENO))) == 0)
		sent++;
	assert_int_equal(err, -ERR_FULL);
	assert_in_range(sent, 64, MANY - 1);
	for (unsigned i = 0; i < sent; i++)
		close(fd_pass_take(&p));
	assert_int_equal(fd_pass_send(&p, marked('x')), 0);
	assert_int_equal(mark_of(fd_pass_take(&p)), 'x');
	fd_pass_fini(&p);
	assert_int_equal(loops_fds(), fds);
}

static void test_pass_into_a_full_table(void **state)
{
	struct rlimit old, low;
	struct fd_pass p;

	(void)state;
	assert_int_equal(fd_pass_init(&p), 0);
	assert_int_equal(fd_pass_send(&p, marked('1')), 0);
	assert_int_equal(fd_pass_send(&p, marked('2')), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(fd_pass_take(&p), -ERR_FULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(mark_of(fd_pass_take(&p)), '2'); /* the first one is lost, no more */
	fd_pass_fini(&p);
}

/* ---- loops ---- */

struct parcel {
	struct task task;
	struct loop *to;
	int sent;
	char mark;
	_Atomic bool over;
};

static void parcel_open(struct task *t)
{
	struct parcel *p = container_of(t, struct parcel, task);

	p->mark = mark_of(loop_fd_take(p->to, p->sent));
	atomic_store(&p->over, true);
}

static void parcel_send(struct task *t)
{
	struct parcel *p = container_of(t, struct parcel, task);

	p->sent = loop_fd_send(p->to, marked('m'));
	p->task.run = parcel_open;
	loop_post(p->to, t);
}

static void pass_between(struct loops_thread *a, struct loop *to)
{
	struct parcel p = {.task = {.run = parcel_send}, .to = to};

	assert_true(loop_post(a->loop, &p.task));
	for (unsigned i = 0; !atomic_load(&p.over) && i < 10000; i++)
		usleep(1000);
	assert_true(atomic_load(&p.over));
	assert_int_equal(p.mark, 'm');
}

static void between_loops(bool own)
{
	struct loops_thread a, b;
	unsigned fds = loops_fds();
	struct loop_stats stats;

	loops_own_fds = own;
	loops_start_two(&a, &b);
	pass_between(&a, b.loop);
	pass_between(&b, a.loop);
	pass_between(&a, a.loop);
	loop_stats_read(a.loop, &stats);
	assert_int_equal(stats.own_fds > 0, own);
	loops_join(&a);
	loops_join(&b);
	loops_own_fds = false;
	assert_int_equal(loops_fds(), fds);
}

static void test_loops_with_tables_of_their_own(void **state)
{
	(void)state;
	between_loops(true);
}

static void test_loops_that_share_one(void **state)
{
	(void)state;
	between_loops(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables_part),
		cmocka_unit_test(test_the_limit_counts_for_each),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_pass_keeps_the_order),
		cmocka_unit_test(test_pass_is_bounded_and_recovers),
		cmocka_unit_test(test_pass_into_a_full_table),
		LOOPS_TEST(test_loops_with_tables_of_their_own),
		LOOPS_TEST(test_loops_that_share_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
