/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * slot.c: chunks of SLOT_CHUNK_ITEMS items, each behind a small header. A slot in use has SLOT_IN_USE
 * in next; a free one links to the next free slot. The generation changes when a slot is freed.
 */
#include "core/slot.h"
#include "core/err.h"

#include <stdlib.h>
#include <string.h>

#define SLOT_IN_USE UINT32_MAX
#define SLOT_ALIGN  _Alignof(max_align_t)

struct slot_head {
	_Alignas(max_align_t) uint32_t generation;
	uint32_t next; /* SLOT_IN_USE, or index + 1 of the next free slot, 0 at the end */
};

void slot_table_init(struct slot_table *t, size_t item_size, uint32_t max, uint8_t owner)
{
	size_t size = (item_size + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;

	ASSERT(max <= SLOT_MAX_ITEMS && item_size > 0 &&
	       item_size < SIZE_MAX / 2 / SLOT_CHUNK_ITEMS);
	*t = (struct slot_table){
		.max = max, .stride = sizeof(struct slot_head) + size, .owner = owner};
}

void slot_table_free(struct slot_table *t)
{
	for (uint32_t i = 0; i < t->chunks_len; i++)
		free(t->chunks[i]);
	free(t->chunks);
	t->chunks = NULL;
	t->chunks_len = 0;
	t->count = 0;
	t->used = 0;
	t->free_head = 0;
}

static struct slot_head *head_at(const struct slot_table *t, uint32_t index)
{
	return (struct slot_head *)(void *)(t->chunks[index / SLOT_CHUNK_ITEMS] +
	                                    (size_t)(index % SLOT_CHUNK_ITEMS) * t->stride);
}

static uint64_t handle_of(const struct slot_table *t, uint32_t index)
{
	return (uint64_t)head_at(t, index)->generation << 32 | (uint64_t)t->owner << 24 | index;
}

/* Adds a chunk. Its pages are touched as its slots are used, not all at once. */
static bool add_chunk(struct slot_table *t)
{
	uint8_t **chunks;

	if (t->used >= SLOT_MAX_ITEMS)
		return false;
	chunks = realloc(t->chunks, (t->chunks_len + 1) * sizeof(*chunks));
	if (chunks == NULL)
		return false;
	t->chunks = chunks;
	chunks[t->chunks_len] = malloc(SLOT_CHUNK_ITEMS * t->stride);
	if (chunks[t->chunks_len] == NULL)
		return false;
	t->chunks_len++;
	return true;
}

/* One that was used before if there is any, else the next one. NULL: no memory. */
static struct slot_head *take(struct slot_table *t, uint32_t *index)
{
	struct slot_head *h;

	if (t->free_head != 0) {
		*index = t->free_head - 1;
		h = head_at(t, *index);
		t->free_head = h->next;
		return h;
	}
	if (t->used == t->chunks_len * SLOT_CHUNK_ITEMS && !add_chunk(t))
		return NULL;
	*index = t->used++;
	h = head_at(t, *index);
	h->generation = 1;
	return h;
}

void *slot_alloc(struct slot_table *t, uint64_t *handle)
{
	uint32_t index = 0;
	struct slot_head *h = t->count < t->max ? take(t, &index) : NULL;

	*handle = SLOT_NONE;
	if (h == NULL)
		return NULL;
	h->next = SLOT_IN_USE;
	t->count++;
	memset(h + 1, 0, t->stride - sizeof(*h));
	*handle = handle_of(t, index);
	return h + 1;
}

/* The header of a live handle, or NULL. */
static struct slot_head *lookup(const struct slot_table *t, uint64_t handle)
{
	uint32_t index = (uint32_t)handle & (SLOT_MAX_ITEMS - 1);
	struct slot_head *h;

	if (index >= t->used || slot_owner(handle) != t->owner)
		return NULL;
	h = head_at(t, index);
	return h->next == SLOT_IN_USE && h->generation == (uint32_t)(handle >> 32) ? h : NULL;
}

void *slot_get(const struct slot_table *t, uint64_t handle)
{
	struct slot_head *h = lookup(t, handle);

	return h != NULL ? h + 1 : NULL;
}

int slot_free(struct slot_table *t, uint64_t handle)
{
	struct slot_head *h = lookup(t, handle);

	if (h == NULL)
		return -ERR_NOT_FOUND;
	h->generation = h->generation == UINT32_MAX ? 1 : h->generation + 1;
	h->next = t->free_head;
	t->free_head = ((uint32_t)handle & (SLOT_MAX_ITEMS - 1)) + 1;
	t->count--;
	return 0;
}

void *slot_next(const struct slot_table *t, uint32_t *pos, uint64_t *handle)
{
	while (*pos < t->used) {
		uint32_t index = (*pos)++;
		struct slot_head *h = head_at(t, index);

		if (h->next != SLOT_IN_USE)
			continue;
		if (handle != NULL)
			*handle = handle_of(t, index);
		return h + 1;
	}
	return NULL;
}
