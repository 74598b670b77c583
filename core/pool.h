/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pool.h: memory blocks in four sizes (256 octets to 16 KiB) with a hard limit of octets and free lists that are kept short.
 * A pool belongs to one thread; a block goes back to the pool it came from. Builds with AddressSanitizer poison
 * blocks on the free lists.
 */
#pragma once

#include "core/base.h"

#define POOL_CLASSES   4
#define POOL_BLOCK_MAX 16384
#define POOL_FREE_SHARE \
	4 /* free blocks of a class may hold 1/4 of its peak since the last trim; fewer blocks and octets than these stay anyway */
#define POOL_FREE_MIN  16
#define POOL_FREE_SIZE 4096

struct pool_counters {
	uint64_t allocs;   /* blocks handed out, ever */
	uint64_t refusals; /* requests denied: limit or no memory */
	uint32_t used[POOL_CLASSES];
	uint32_t kept[POOL_CLASSES]; /* on the free lists */
	uint32_t peak[POOL_CLASSES]; /* most used since the last trim */
	size_t used_size;            /* octets in blocks handed out */
	size_t held_size;            /* the same and the free lists */
};

struct pool_free;

struct pool {
	struct pool_free *free[POOL_CLASSES];
	struct pool_counters n;
	size_t size_max; /* octets handed out at once, at most */
};

/* pool_init: an empty pool that hands out at most size_max octets (counted in whole blocks). Allocates nothing. */
void pool_init(struct pool *p, size_t size_max);
/* pool_fini: releases the free lists. Every block must have come back. */
void pool_fini(struct pool *p);

/*
 * pool_alloc: an uninitialised block of at least size octets (1..POOL_BLOCK_MAX). *got (may be NULL) is the real size of the block.
 * NULL: over the limit or no memory. Aligned for any type.
 */
void *pool_alloc(struct pool *p, size_t size, size_t *got);
/* pool_pressed: more than half of the limit is handed out. A good moment to promise nobody more. */
static inline bool pool_pressed(const struct pool *p)
{
	return p->n.used_size > p->size_max / 2;
}
/* pool_release: gives a block back; size is what was asked for or got. NULL is ignored. */
void pool_release(struct pool *p, void *block, size_t size);
/* pool_trim: frees what the free lists hold beyond POOL_FREE_SHARE of the recent peak. Call every few seconds. */
void pool_trim(struct pool *p);
/* pool_class_size: octets of a block of class 0..POOL_CLASSES-1. */
size_t pool_class_size(unsigned class_index);
