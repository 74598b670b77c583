/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * loop_int.h: what loop.c, fiber.c, conn.c and listener.c share about a loop. Not for others.
 */
#pragma once

#include "core/fd_table.h"
#include "core/io.h"
#include "core/list.h"
#include "core/loop.h"
#include "core/wheel.h"

/* Written by the loop's thread (relaxed), read by any. */
struct loop_counters {
	_Atomic uint64_t iterations, tasks, timers;
	_Atomic uint64_t fibers_started, fibers_refused, fibers_live;
	_Atomic uint64_t conns_opened, conns_live, accept_errors;
	_Atomic uint64_t handshakes_done, handshakes_failed, handshakes_resumed, handshakes_queued;
	_Atomic uint64_t real_time; /* 1 if its thread has such a priority */
	_Atomic uint64_t bytes_in, bytes_out, send_memory_size, send_memory_refused;
};

static inline void counter_sub(_Atomic uint64_t *c, uint64_t n)
{
	counter_add(c, (uint64_t)0 - n);
}

/*
 * The connections of a loop, seen from the loop: attached by conn.c when the first connection or listener is made, so that a
 * loop without any does not depend on TLS.
 */
struct conn_sched;
struct loop_part {
	/* The end of an iteration: handshakes, resumed receives, sends, releases. True: there is more to do at once. */
	bool (*run)(struct loop *l);
	/* Starts to close every connection and listener; returns how many there still are. */
	unsigned (*close_all)(struct loop *l);
	void (*free)(struct conn_sched *s);
};

struct loop {
	struct loop_opts opts;
	struct io *io; /* NULL outside loop_run */
	struct io_bell bell;
	struct fd_pass pass;  /* with own_fds: descriptors on their way here */
	_Atomic pid_t thread; /* with own_fds: whose table it is, while loop_run runs */
	_Atomic bool stop;
	/* The mailbox: a stack that posters push on and the loop takes whole; &mailbox_closed after the end. */
	_Atomic(struct task *) mailbox;
	_Atomic bool sleeping;            /* the loop is about to wait: who posts has to ring */
	struct task *ready, **ready_tail; /* tasks to run here, first in, first out */
	bool ending;                      /* the loop has seen stop */
	uint64_t now_ms;
	struct wheel wheel;
	struct fiber_sched *fibers;
	const struct loop_part *part; /* NULL: no connection yet */
	struct conn_sched *conns;
	struct io_counters io_counters;
	struct loop_counters n;
	struct metric *busy;             /* time of an iteration without the wait */
	uint64_t work_us, work_since_us; /* worked in the present window, and its beginning */
	unsigned busy_percent;           /* of the last whole window */
	uint64_t hurry_until_ms;         /* the thread keeps its real-time priority until then */
};

/* fiber.c */
struct fiber_sched *fiber_sched_new(void);
void fiber_sched_free(struct fiber_sched *s);
/* fiber_sched_cancel_all: returns how many fibers live. */
unsigned fiber_sched_cancel_all(struct fiber_sched *s);
