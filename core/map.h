/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * map.h: a hash map from byte strings to pointers, keys copied inline, with a hard limit of entries. Keys may come from
 * strangers (GUIDs, names, addresses): they are hashed with SipHash-2-4 under a random key of the process.
 * Not locked: the owner of the map uses it from one thread or under its own lock. The map never owns the values.
 */
#pragma once

#include "core/base.h"

#define MAP_KEY_MAX 64 /* longest key in octets */

struct map {
	uint8_t *slots; /* capacity * stride octets; NULL while empty */
	uint32_t capacity;
	uint32_t count;
	uint32_t max;
	uint16_t key_size; /* every key has exactly this size; 0: variable, 0..MAP_KEY_MAX */
	uint16_t stride;
};

/* map_init: an empty map of at most max entries (max <= 2^28). key_size: see above (16 for GUIDs). Allocates nothing. */
void map_init(struct map *m, size_t key_size, uint32_t max);
/* map_free: releases the table, not the values; the map is empty again with the same limits. */
void map_free(struct map *m);

/* map_get: the value or NULL. A key of a size that the map cannot hold is simply not there. */
void *map_get(const struct map *m, struct span key);
/* map_put: adds. 0, -ERR_EXISTS (nothing changed), -ERR_FULL, -ERR_TOO_BIG (key size), -ERR_NOMEM. value is not NULL. */
int map_put(struct map *m, struct span key, void *value) MUST_CHECK;
/* map_replace: adds or replaces; *old is the replaced value or NULL. Errors as map_put, without -ERR_EXISTS. */
int map_replace(struct map *m, struct span key, void *value, void **old) MUST_CHECK;
/* map_remove: the removed value or NULL. */
void *map_remove(struct map *m, struct span key);

/*
 * map_next: iterates in no particular order: start with *pos = 0; false at the end. key (may be NULL) is borrowed until the map
 * changes. The map must not change during an iteration, except by map_free.
 */
bool map_next(const struct map *m, uint32_t *pos, struct span *key, void **value);

/* siphash24: SipHash-2-4 of data under a 128-bit key. Pure; exposed for tests and other keyed tables. */
uint64_t siphash24(const uint8_t key[16], struct span data);
/* map_hash: siphash24 under the process's random key. Any thread. */
uint64_t map_hash(struct span data);
