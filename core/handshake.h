/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * handshake.h: threads that take the steps of TLS servers' handshakes, so that a storm of them does not delay the loops' other
 * work (docs/adr/0011). They run at a lower priority than the loops: on a busy machine the loops win.
 *
 * A step is ciphertext in, ciphertext and a verdict out. While it is under way the TLS session and all of the step belong to
 * the pool; then the step comes back to its loop as a task. Steps of sessions that were answered once go first, since they
 * cost little and end a wait; the others take turns by source, so that many from one place do not hold up the rest.
 */
#pragma once

#include "core/buf.h"
#include "core/list.h"
#include "core/loop.h"

#include <stdatomic.h>

#define HANDSHAKE_THREADS_MAX 256
#define HANDSHAKE_QUEUE_MAX   131072 /* steps in line; one that comes on top is refused */
#define HANDSHAKE_LANES       1024 /* sources that take turns; those with the same hash share a turn */
#define HANDSHAKE_OUT_MAX \
	(2u * 1024 * 1024) /* the longest answer: what a certificate chain may be, and more */

struct tls;
struct handshakes;

struct handshake_step {
	struct task task;  /* run is called on loop when the step is done */
	struct list link;  /* internal */
	struct loop *loop; /* where it comes from */
	struct tls *
		tls; /* its output is redirected to out while the step is under way: who takes it back sets it anew */
	uint64_t source; /* addr_source of the peer */
	bool answered;   /* an earlier step of this session sent something */
	struct span in;  /* borrowed until the step is back, and longer if tls_input_left says so */
	uint64_t queued_us; /* internal */
	atomic_bool
		cancelled; /* set by the owner at any time: the verdict is not wanted any more */
	/* the result */
	struct buf out;
	int verdict; /* what tls_handshake returned; -ERR_CANCELLED: not tried; -ERR_NOMEM: out did not fit */
};

/* handshakes_new: starts the threads (0: one for each core). NULL with why. Any thread. */
struct handshakes *handshakes_new(unsigned threads, struct buf *why);
/* handshakes_free: ends the threads. No step may be under way: loops that use them have ended. */
void handshakes_free(struct handshakes *h);
unsigned handshakes_threads(const struct handshakes *h);

/* handshakes_busy: a step is under way or in line. Any thread, without a lock. */
bool handshakes_busy(const struct handshakes *h);

/* handshakes_post: hands a step over; out is initialised here and freed by the owner. False: too many are in line. Any thread. */
bool handshakes_post(struct handshakes *h, struct handshake_step *s) MUST_CHECK;
/* handshake_step_run: takes the step in the calling thread, at once; out is initialised by the caller, the task is not posted. */
void handshake_step_run(struct handshake_step *s);
