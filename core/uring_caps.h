/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * uring_caps.h: what the running kernel's io_uring can do, and a clear word when it cannot be used.
 * Any thread; nothing is kept open.
 */
#pragma once

#include "core/buf.h"

struct uring_caps {
	unsigned kernel_major, kernel_minor; /* from uname */
	bool multishot; /* multishot receive is fair and complete: kernel 6.6 and later */
	bool msg_ring;  /* rings can wake each other: kernel 6.6 and later */
	bool min;       /* restricted on purpose: CAUSEWAY_URING=min or force_min */
};

/* uring_caps_read: from uname and the environment (CAUSEWAY_URING=min). Does not touch io_uring. */
void uring_caps_read(bool force_min, struct uring_caps *caps);

/*
 * uring_probe: makes a ring as the loops do, sends three no-operations through it and closes it. 0, or a negative error with a
 * sentence for people appended to why: what blocks io_uring and how to allow it.
 */
int uring_probe(struct uring_caps *caps, struct buf *why) MUST_CHECK;

/* What the explanation is made of (pure, for tests). */
struct uring_refusal {
	int error;           /* positive errno of io_uring_setup */
	const char *release; /* uname -r */
	unsigned kernel_major, kernel_minor;
	int disabled; /* /proc/sys/kernel/io_uring_disabled; -1: there is none */
};
void uring_explain(const struct uring_refusal *r, struct buf *why);

/* uring_ring_init: the ring all loops use: flags, sizes, self-test. 0 or a negative errno. For io_uring.c. */
struct io_uring;
int uring_ring_init(struct io_uring *ring) MUST_CHECK;
#define URING_SQ_ENTRIES 512
#define URING_CQ_ENTRIES 8192
