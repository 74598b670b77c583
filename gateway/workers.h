/* SPDX-License-Identifier: GPL-3.0-or-later */
/* workers.h: the worker threads: one loop each, one thread each (design section 3). Main thread only. */
#pragma once

#include "core/buf.h"
#include "core/loop.h"

struct workers;

/* workers_default: how many loops 0 stands for: one for each core. */
unsigned workers_default(void);
struct workers_opts {
	unsigned n;                 /* 0: workers_default */
	unsigned handshake_threads; /* that take TLS handshakes; 0: one for each core */
	bool own_fds;               /* each loop has a table of descriptors of its own */
	bool real_time;             /* the loops ask for real-time priority */
};

/* workers_new: loops that do not run yet, and the handshake threads. NULL with why. */
struct workers *workers_new(const struct workers_opts *opts, struct buf *why);
struct loop *const *workers_loops(const struct workers *w, size_t *n);
/* workers_start: starts the threads. 0 or negative with why (what blocks io_uring, ...). */
int workers_start(struct workers *w, struct buf *why) MUST_CHECK;
/* workers_stop: ends the loops and joins the threads. */
void workers_stop(struct workers *w);
void workers_free(struct workers *w);
