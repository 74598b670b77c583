/* SPDX-License-Identifier: GPL-3.0-or-later */
/* loops.c: loops in tests. */
#include "tests/unit/support/loops.h"
#include "core/handshake.h"
#include "tests/unit/support/test.h"

#include <dirent.h>

bool loops_min;
bool loops_threads;
bool loops_own_fds;
static struct handshakes *handshakes;

int loops_full_setup(void **state)
{
	(void)state;
	loops_min = loops_threads = false;
	return 0;
}

int loops_min_setup(void **state)
{
	(void)state;
	loops_min = true;
	loops_threads = false;
	return 0;
}

int loops_threads_setup(void **state)
{
	(void)loops_full_setup(state);
	loops_threads = true;
	return 0;
}

struct loop *loops_new(unsigned recv_buffers)
{
	struct loop_opts opts = {
		.force_min = loops_min, .recv_buffers = recv_buffers, .own_fds = loops_own_fds};
	struct buf why;
	struct loop *l;

	buf_init(&why, 1024);
	if (loops_threads)
		opts.handshakes = handshakes = handshakes_new(2, &why);
	l = loop_new(&opts);
	assert_non_null(l);
	return l;
}

void loops_free(struct loop *l)
{
	handshakes_free(handshakes); /* they post to it */
	handshakes = NULL;
	loop_free(l);
}

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

void loops_run_keep(struct loop *l, void (*start)(void *arg), void *arg)
{
	struct start s = {.task = {.run = run_start}, .fn = start, .arg = arg};

	assert_true(loop_post(l, &s.task));
	assert_int_equal(loop_run(l), 0);
}

void loops_run_here(struct loop *l, void (*start)(void *arg), void *arg)
{
	loops_run_keep(l, start, arg);
	loop_free(l);
}

static void *thread_main(void *arg)
{
	struct loops_thread *t = arg;
	static int failed;

	return loop_run(t->loop) == 0 ? NULL : &failed;
}

static void start_thread(struct loops_thread *t)
{
	assert_int_equal(pthread_create(&t->thread, NULL, thread_main, t), 0);
}

void loops_start(struct loops_thread *t)
{
	t->loop = loops_new(0);
	start_thread(t);
}

void loops_start_two(struct loops_thread *a, struct loops_thread *b)
{
	a->loop = loops_new(0);
	b->loop = loops_new(0);
	start_thread(a);
	start_thread(b);
}

void loops_join(struct loops_thread *t)
{
	void *failed = NULL;

	loop_stop(t->loop);
	assert_int_equal(pthread_join(t->thread, &failed), 0);
	assert_null(failed);
	loop_free(t->loop);
}

unsigned loops_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}
