/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bucket.h: bounded tables of per-key budgets: exponential back-off after failures, and token buckets. Keys are byte strings of
 * up to MAP_KEY_MAX octets, chosen by strangers (addresses, GUIDs). When a table is full the key that was quiet longest is
 * forgotten; keys that are being made to wait are kept in preference. Any thread: each table has its lock.
 */
#pragma once

#include "core/list.h"
#include "core/map.h"

#include <pthread.h>

#define BACKOFF_FREE_FAILS 2 /* failures without a wait; the third one waits */
#define BACKOFF_FIRST_MS \
	1000 /* wait after failure BACKOFF_FREE_FAILS + 1, doubled with each further one */
#define BACKOFF_MAX_MS    300000 /* longest wait */
#define BACKOFF_FORGET_MS 600000 /* a key without failure for so long starts afresh */
#define BUCKET_EVICT_SCAN 8      /* candidates looked at for an eviction */

struct bucket_table {
	pthread_mutex_t lock;
	struct map keys;
	struct list oldest; /* least recently charged first */
	uint64_t evictions;
};

/* bucket_table_init: a table for at most max_keys keys; about 200 octets each, allocated when used. */
void bucket_table_init(struct bucket_table *t, uint32_t max_keys);
void bucket_table_free(struct bucket_table *t);
uint32_t bucket_table_count(struct bucket_table *t);
/* bucket_table_stats: the keys there are, and how many had to make room for others since the start. */
struct bucket_stats {
	uint64_t keys, keys_max, evictions;
};
void bucket_table_stats(struct bucket_table *t, struct bucket_stats *out);

/* backoff_fail: notes a failure. Returns the wait in ms that now holds (0 for the first ones). Keys too long are cut. */
uint32_t backoff_fail(struct bucket_table *t, struct span key, uint64_t now_ms);
/* backoff_wait_ms: how long the key has still to wait; 0: may try now. Changes nothing. */
uint32_t backoff_wait_ms(struct bucket_table *t, struct span key, uint64_t now_ms);
/* backoff_ok: a success: the key is forgotten. */
void backoff_ok(struct bucket_table *t, struct span key);

/* What a token bucket gives: rate_per_s tokens a second, at most burst saved up. burst >= 1. */
struct bucket_rate {
	uint32_t rate_per_s;
	uint32_t burst;
};
/* bucket_take: takes one token; false if there is none. A table serves either back-off or buckets, not both. */
bool bucket_take(struct bucket_table *t, struct span key, const struct bucket_rate *rate,
                 uint64_t now_ms);
