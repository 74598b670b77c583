/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pool.c: one free list a class. Blocks come one by one from malloc: the lists only save the trips for what is used again at
 * once. Without trimming, a burst of handshakes would keep its memory for ever.
 */
#include "core/pool.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_POISONS 1
#endif
#endif

#ifdef POOL_POISONS
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

struct pool_free {
	struct pool_free *next;
};

static const size_t class_sizes[POOL_CLASSES] = {256, 1024, 4096, POOL_BLOCK_MAX};

size_t pool_class_size(unsigned class_index)
{
	ASSERT(class_index < POOL_CLASSES);
	return class_sizes[class_index];
}

void pool_init(struct pool *p, size_t size_max)
{
	*p = (struct pool){.size_max = size_max};
}

static unsigned class_of(size_t size)
{
	unsigned c = 0;

	ASSERT(size > 0 && size <= POOL_BLOCK_MAX);
	while (class_sizes[c] < size)
		c++;
	return c;
}

static struct pool_free *take_kept(struct pool *p, unsigned c)
{
	struct pool_free *f = p->free[c];

	UNPOISON(f, class_sizes[c]);
	p->free[c] = f->next;
	p->n.kept[c]--;
	p->n.held_size -= class_sizes[c];
	return f;
}

void *pool_alloc(struct pool *p, size_t size, size_t *got)
{
	unsigned c = class_of(size);
	void *block = NULL;

	if (class_sizes[c] <= p->size_max - p->n.used_size)
		block = p->free[c] != NULL ? take_kept(p, c) : malloc(class_sizes[c]);
	if (block == NULL) {
		p->n.refusals++;
		return NULL;
	}
	p->n.allocs++;
	p->n.used[c]++;
	p->n.peak[c] = MAX(p->n.peak[c], p->n.used[c]);
	p->n.used_size += class_sizes[c];
	p->n.held_size += class_sizes[c];
	if (got != NULL)
		*got = class_sizes[c];
	return block;
}

void pool_release(struct pool *p, void *block, size_t size)
{
	unsigned c = class_of(size);
	struct pool_free *f = block;

	if (block == NULL)
		return;
	ASSERT(p->n.used[c] > 0);
	p->n.used[c]--;
	p->n.used_size -= class_sizes[c];
	f->next = p->free[c];
	p->free[c] = f;
	p->n.kept[c]++;
	POISON(f, class_sizes[c]);
}

static void shrink_class(struct pool *p, unsigned c, uint32_t keep)
{
	while (p->n.kept[c] > keep)
		free(take_kept(p, c));
}

void pool_trim(struct pool *p)
{
	for (unsigned c = 0; c < POOL_CLASSES; c++) {
		uint32_t min = (uint32_t)MIN(POOL_FREE_MIN, POOL_FREE_SIZE / class_sizes[c]);

		shrink_class(p, c, MAX(p->n.peak[c] / POOL_FREE_SHARE, min));
		p->n.peak[c] = p->n.used[c];
	}
}

void pool_fini(struct pool *p)
{
	for (unsigned c = 0; c < POOL_CLASSES; c++) {
		ASSERT(p->n.used[c] == 0);
		shrink_class(p, c, 0);
	}
}
