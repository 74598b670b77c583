/* SPDX-License-Identifier: GPL-3.0-or-later */
/* arena.c: a stack of blocks. start is the arena's total when a block was begun, so that a mark is one number. */
#include "mgmtapi/arena.h"

#include <stdlib.h>
#include <string.h>

struct arena_block {
	struct arena_block *below;
	size_t start; /* arena total before this block */
	size_t size, used;
	_Alignas(max_align_t) uint8_t data[];
};

#define ALIGN _Alignof(max_align_t)

void arena_init(struct arena *a, size_t cap)
{
	*a = (struct arena){.cap = cap};
}

void arena_free(struct arena *a)
{
	arena_release(a, 0);
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->top;
	void *p;

	if (n > a->cap)
		return NULL;
	n = (n + ALIGN - 1) & ~(ALIGN - 1);
	if (n == 0)
		n = ALIGN;
	if (n > a->cap - a->total)
		return NULL;
	if (b == NULL || n > b->size - b->used) {
		size_t size = MAX(n, (size_t)ARENA_BLOCK - sizeof(*b));

		b = malloc(sizeof(*b) + size);
		if (b == NULL)
			return NULL;
		*b = (struct arena_block){.below = a->top, .start = a->total, .size = size};
		a->top = b;
	}
	p = b->data + b->used;
	b->used += n;
	a->total += n;
	memset(p, 0, n);
	return p;
}

size_t arena_mark(const struct arena *a)
{
	return a->total;
}

void arena_release(struct arena *a, size_t mark)
{
	while (a->top != NULL && a->top->start >= mark) {
		struct arena_block *b = a->top;

		a->total = b->start;
		a->top = b->below;
		free(b);
	}
	if (a->top != NULL && mark < a->total) {
		a->top->used = mark - a->top->start;
		a->total = mark;
	}
}
