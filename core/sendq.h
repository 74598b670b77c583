/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sendq.h: a queue of octets in pool blocks, for sending and for what waits to be read. Blocks are freed as they drain: an empty queue owns nothing. Octets
 * once queued stay where they are until consumed, so the kernel may read them while more is appended.
 */
#pragma once

#include "core/pool.h"

#include <sys/uio.h>

struct sendq {
	struct sendq_block *head, *tail;
	size_t len; /* octets queued */
};

/* sendq_append: queues a copy of all of s, or nothing: 0 or -ERR_NOMEM (the pool's limit). */
int sendq_append(struct sendq *q, struct pool *p, struct span s) MUST_CHECK;
/* sendq_first: the octets of the first block; empty if there are none. Borrowed until consumed. */
struct span sendq_first(const struct sendq *q);
/* sendq_iov: points up to max entries at the first octets; returns how many. */
unsigned sendq_iov(const struct sendq *q, struct iovec *iov, unsigned max);
/* sendq_consume: drops the first n <= len octets. */
void sendq_consume(struct sendq *q, struct pool *p, size_t n);
/* sendq_take: copies the first n <= len octets to out and drops them. */
void sendq_take(struct sendq *q, struct pool *p, uint8_t *out, size_t n);
void sendq_clear(struct sendq *q, struct pool *p);
