/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * uring_bufs.h: the receive buffers of a ring. The kernel takes those that it was given in turn, so that all of them become resident: it is
 * given few, more as soon as a batch of completions used most of them, and fewer again when a while did without. For io_uring.c; one thread.
 */
#pragma once

#include "core/io.h"
#include "core/uring_compat.h"

#define URING_BUFS_GROUP 0 /* of IOSQE_BUFFER_SELECT */

struct uring_bufs {
	struct io_uring_buf_ring *ring;
	uint8_t *data;
	bool *idle;     /* by number: not given to the kernel, nor with a completion */
	unsigned limit; /* a power of two */
	unsigned keep;  /* buffers from here on do not go back to the kernel */
	unsigned given; /* those that are not idle */
	unsigned most;  /* that one batch wanted since the last trim */
	bool stale;     /* buffers beyond keep may have pages */
};

/* uring_bufs_open: 0 or a negative errno. uring_bufs_close: in any case, after the ring's end. */
int uring_bufs_open(struct uring_bufs *b, struct io_uring *ring, unsigned limit) MUST_CHECK;
void uring_bufs_close(struct uring_bufs *b);

/* uring_bufs_used: a batch of completions has used buffers, which were not returned yet, and starved ones would have used one. */
void uring_bufs_used(struct uring_bufs *b, unsigned used, unsigned starved);
void uring_bufs_return(struct uring_bufs *b, unsigned number);
/* uring_bufs_trim: pending: completions that were not seen yet may have buffers. */
void uring_bufs_trim(struct uring_bufs *b, bool pending);

static inline uint8_t *uring_bufs_at(const struct uring_bufs *b, size_t number)
{
	return b->data + number * IO_BUFFER_SIZE;
}
