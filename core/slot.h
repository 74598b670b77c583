/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * slot.h: tables of equally sized items that are named by 64-bit handles instead of pointers. A handle holds an index, the
 * table's owner (worker number) and a generation, so that a handle kept too long finds nothing instead of a stranger.
 * Items never move. Not locked: one thread owns the table; handles may travel anywhere.
 */
#pragma once

#include "core/base.h"

#define SLOT_CHUNK_ITEMS 256
#define SLOT_MAX_ITEMS   (1u << 24)
#define SLOT_NONE        0 /* no handle: never valid */

/* Layout of a handle: generation in bits 63..32 (never 0), owner in bits 31..24, index in bits 23..0. */
struct slot_table {
	uint8_t **chunks;
	uint32_t chunks_len;
	uint32_t count;     /* items in use */
	uint32_t used;      /* slots that were ever in use: the first ones */
	uint32_t max;       /* most items in use */
	uint32_t free_head; /* index + 1 of the first free slot, 0 none */
	size_t stride;
	uint8_t owner;
};

/* slot_table_init: an empty table for items of item_size octets, at most max (<= SLOT_MAX_ITEMS). Allocates nothing. */
void slot_table_init(struct slot_table *t, size_t item_size, uint32_t max, uint8_t owner);
/* slot_table_free: releases all memory; items are not visited. */
void slot_table_free(struct slot_table *t);

/* slot_alloc: a new zeroed item (aligned for any type) and its handle. NULL with *handle SLOT_NONE: at max, or no memory. */
void *slot_alloc(struct slot_table *t, uint64_t *handle);
/* slot_get: the item, or NULL if the handle is stale, of another owner or nonsense. */
void *slot_get(const struct slot_table *t, uint64_t handle);
/* slot_free: ends the item; every copy of its handle is stale from now on. -ERR_NOT_FOUND if it was stale already. */
int slot_free(struct slot_table *t, uint64_t handle);
/* slot_next: iterates over items in use: start with *pos = 0; NULL at the end. The current item may be freed meanwhile. */
void *slot_next(const struct slot_table *t, uint32_t *pos, uint64_t *handle);

/* slot_owner: the owner number inside a handle. */
static inline uint8_t slot_owner(uint64_t handle)
{
	return (uint8_t)(handle >> 24);
}
