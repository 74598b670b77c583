/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * loops.h: running loops in tests. Each case runs twice, with all the kernel has and with CAUSEWAY_URING=min's feature set
 * (loops_min). loops_run_here runs a loop in the test's own thread, loops_start in one of its own.
 */
#pragma once

#include "core/loop.h"

#include <pthread.h>

extern bool loops_min;
/* The next loops_new makes two handshake threads beside the loop; loops_free ends them. One such loop at a time. */
extern bool loops_threads;

/* Loops made from now on take tables of descriptors of their own. */
extern bool loops_own_fds;

/* loops_new: a loop with the present profile. */
struct loop *loops_new(unsigned recv_buffers);
void loops_free(struct loop *l);
/* loops_run_here: calls start(arg) in the loop and returns after somebody called loop_stop. Frees the loop. */
void loops_run_here(struct loop *l, void (*start)(void *arg), void *arg);
/* loops_run_keep: the same without freeing it. */
void loops_run_keep(struct loop *l, void (*start)(void *arg), void *arg);

struct loops_thread {
	struct loop *loop;
	pthread_t thread;
};
void loops_start(struct loops_thread *t);
/* loops_start_two: both are made before one starts, as loops with tables of descriptors of their own have to be. */
void loops_start_two(struct loops_thread *a, struct loops_thread *b);
/* loops_join: stops the loop, waits for its end and frees it. */
void loops_join(struct loops_thread *t);

/* loops_fds: how many descriptors the process has. */
unsigned loops_fds(void);

/* A case for both profiles: LOOPS_TEST(name) needs static void name(void **state). */
int loops_full_setup(void **state);
int loops_min_setup(void **state);
/* A case with handshake threads: for those who free their loops with loops_free. */
int loops_threads_setup(void **state);
#define LOOPS_THREADS_TEST(f)                                     \
	{                                                         \
#f "_threads", f, loops_threads_setup, NULL, NULL \
	}

#define LOOPS_TEST(f)                                     \
	cmocka_unit_test_setup(f, loops_full_setup),      \
	{                                                 \
#f "_min", f, loops_min_setup, NULL, NULL \
	}
