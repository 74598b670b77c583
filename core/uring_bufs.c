/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * uring_bufs.c: what the kernel was given comes back by being used only, so a buffer too many is kept back when it returns. Its page is given
 * back to the system by uring_bufs_trim, also while the kernel still has the buffer: it writes into one when it makes a completion, which it
 * does in our own system calls only (DEFER_TASKRUN), so that without a pending completion all that it has are empty.
 */
#include "core/uring_bufs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIMIT_MAX  32768
#define RESERVE_OF 4 /* a batch that leaves less than one part in so many makes it more */

static void give(struct uring_bufs *b, unsigned number)
{
	io_uring_buf_ring_add(b->ring, uring_bufs_at(b, number), IO_BUFFER_SIZE,
	                      (unsigned short)number, io_uring_buf_ring_mask(b->limit), 0);
	io_uring_buf_ring_advance(b->ring, 1);
}

static void grow(struct uring_bufs *b, unsigned keep)
{
	b->keep = MIN(keep, b->limit);
	for (unsigned i = 0; i < b->keep && b->given < b->limit; i++) {
		if (!b->idle[i])
			continue;
		b->idle[i] = false;
		b->given++;
		give(b, i);
	}
}

void uring_bufs_used(struct uring_bufs *b, unsigned used, unsigned starved)
{
	unsigned left = b->given - MIN(used, b->given);

	b->most = MAX(b->most, used + starved);
	if (b->keep < b->limit && (starved > 0 || left < b->given / RESERVE_OF))
		grow(b, 2 * MAX(b->keep, used + starved));
}

void uring_bufs_return(struct uring_bufs *b, unsigned number)
{
	if (number < b->keep) {
		give(b, number);
		return;
	}
	b->idle[number] = true;
	b->given--;
	b->stale = true;
}

static void release_pages(const struct uring_bufs *b)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t from = ((size_t)b->keep * IO_BUFFER_SIZE + page - 1) / page * page;
	size_t end = (size_t)b->limit * IO_BUFFER_SIZE;

	if (from < end)
		(void)madvise(b->data + from, end - from, MADV_DONTNEED);
}

void uring_bufs_trim(struct uring_bufs *b, bool pending)
{
	unsigned keep = MAX(MAX(b->keep / 2, 2 * b->most), MIN(IO_BUFFERS_MIN, b->limit));

	if (keep < b->keep) {
		b->keep = keep;
		b->stale = true;
	}
	b->most = 0;
	if (!b->stale || pending)
		return;
	release_pages(b);
	b->stale = false;
}

static void *map_anonymous(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int uring_bufs_open(struct uring_bufs *b, struct io_uring *ring, unsigned limit)
{
	struct io_uring_buf_reg reg = {.ring_entries = limit, .bgid = URING_BUFS_GROUP};

	ASSERT((limit & (limit - 1)) == 0 && limit > 0 && limit <= LIMIT_MAX);
	*b = (struct uring_bufs){.limit = limit};
	b->ring = map_anonymous(limit * sizeof(struct io_uring_buf));
	b->data = map_anonymous((size_t)limit * IO_BUFFER_SIZE);
	b->idle = calloc(limit, sizeof(*b->idle));
	if (b->ring == NULL || b->data == NULL || b->idle == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < limit; i++)
		b->idle[i] = true;
	reg.ring_addr = (uint64_t)(uintptr_t)b->ring;
	io_uring_buf_ring_init(b->ring);
	grow(b, IO_BUFFERS_MIN);
	return io_uring_register_buf_ring(ring, &reg, 0);
}

void uring_bufs_close(struct uring_bufs *b)
{
	if (b->ring != NULL)
		munmap(b->ring, b->limit * sizeof(struct io_uring_buf));
	if (b->data != NULL)
		munmap(b->data, (size_t)b->limit * IO_BUFFER_SIZE);
	free(b->idle);
}
