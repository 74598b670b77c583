/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bucket.c: entries hang in a map and in a list by age; the lock covers both. */
#include "core/bucket.h"
#include "core/err.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN \
	1000 /* a token in the unit of entry.tokens, so that a millisecond is worth rate_per_s of them */

struct entry {
	struct list by_age;
	uint64_t last_ms;  /* last failure, or when the bucket was filled */
	uint64_t until_ms; /* back-off: waits until then */
	uint64_t tokens;
	uint32_t fails;
	uint8_t key_len;
	uint8_t key[MAP_KEY_MAX];
};

void bucket_table_init(struct bucket_table *t, uint32_t max_keys)
{
	ASSERT(max_keys > 0);
	*t = (struct bucket_table){0};
	ASSERT(pthread_mutex_init(&t->lock, NULL) == 0);
	map_init(&t->keys, 0, max_keys);
	list_init(&t->oldest);
}

void bucket_table_free(struct bucket_table *t)
{
	LIST_FOREACH(item, after, &t->oldest)
	free(list_entry(item, struct entry, by_age));
	map_free(&t->keys);
	list_init(&t->oldest);
	pthread_mutex_destroy(&t->lock);
}

uint32_t bucket_table_count(struct bucket_table *t)
{
	uint32_t n;

	pthread_mutex_lock(&t->lock);
	n = t->keys.count;
	pthread_mutex_unlock(&t->lock);
	return n;
}

void bucket_table_stats(struct bucket_table *t, struct bucket_stats *out)
{
	pthread_mutex_lock(&t->lock);
	*out = (struct bucket_stats){t->keys.count, t->keys.max, t->evictions};
	pthread_mutex_unlock(&t->lock);
}

static struct span cut(struct span key)
{
	return span_of(key.ptr, MIN(key.len, (size_t)MAP_KEY_MAX));
}

static void forget(struct bucket_table *t, struct entry *e)
{
	(void)map_remove(&t->keys, span_of(e->key, e->key_len));
	list_remove(&e->by_age);
	free(e);
}

/* Makes room: the oldest of the first few that is not waiting, else the oldest. */
static void evict(struct bucket_table *t, uint64_t now_ms)
{
	struct entry *victim = NULL;
	unsigned seen = 0;

	LIST_FOREACH(item, after, &t->oldest)
	{
		struct entry *e = list_entry(item, struct entry, by_age);

		if (victim == NULL)
			victim = e;
		if (e->until_ms <= now_ms) {
			victim = e;
			break;
		}
		if (++seen == BUCKET_EVICT_SCAN)
			break;
	}
	if (victim == NULL)
		return;
	forget(t, victim);
	t->evictions++;
}

/* The entry of key, new (all zero) if need be, now the youngest. NULL: no memory. */
static struct entry *touch(struct bucket_table *t, struct span key, uint64_t now_ms)
{
	struct entry *e = map_get(&t->keys, key);

	if (e != NULL) {
		list_remove(&e->by_age);
		list_push_back(&t->oldest, &e->by_age);
		return e;
	}
	if (t->keys.count >= t->keys.max)
		evict(t, now_ms);
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	e->key_len = (uint8_t)key.len;
	if (key.len > 0)
		memcpy(e->key, key.ptr, key.len);
	if (map_put(&t->keys, key, e) != 0) {
		free(e);
		return NULL;
	}
	list_push_back(&t->oldest, &e->by_age);
	return e;
}

static uint32_t wait_after(uint32_t fails)
{
	uint32_t wait_ms = BACKOFF_FIRST_MS;

	if (fails <= BACKOFF_FREE_FAILS)
		return 0;
	for (uint32_t i = BACKOFF_FREE_FAILS + 1; i < fails && wait_ms < BACKOFF_MAX_MS; i++)
		wait_ms *= 2;
	return MIN(wait_ms, (uint32_t)BACKOFF_MAX_MS);
}

uint32_t backoff_fail(struct bucket_table *t, struct span key, uint64_t now_ms)
{
	uint32_t wait_ms = BACKOFF_FIRST_MS; /* without memory for the entry */
	struct entry *e;

	pthread_mutex_lock(&t->lock);
	e = touch(t, cut(key), now_ms);
	if (e != NULL) {
		if (e->fails > 0 && now_ms >= e->last_ms + BACKOFF_FORGET_MS)
			e->fails = 0;
		e->fails += e->fails < UINT32_MAX ? 1 : 0;
		e->last_ms = now_ms;
		wait_ms = wait_after(e->fails);
		e->until_ms = now_ms + wait_ms;
	}
	pthread_mutex_unlock(&t->lock);
	return wait_ms;
}

uint32_t backoff_wait_ms(struct bucket_table *t, struct span key, uint64_t now_ms)
{
	const struct entry *e;
	uint32_t wait_ms = 0;

	pthread_mutex_lock(&t->lock);
	e = map_get(&t->keys, cut(key));
	if (e != NULL && e->until_ms > now_ms)
		wait_ms = (uint32_t)MIN(e->until_ms - now_ms, (uint64_t)BACKOFF_MAX_MS);
	pthread_mutex_unlock(&t->lock);
	return wait_ms;
}

void backoff_ok(struct bucket_table *t, struct span key)
{
	struct entry *e;

	pthread_mutex_lock(&t->lock);
	e = map_get(&t->keys, cut(key));
	if (e != NULL)
		forget(t, e);
	pthread_mutex_unlock(&t->lock);
}

bool bucket_take(struct bucket_table *t, struct span key, const struct bucket_rate *rate,
                 uint64_t now_ms)
{
	uint64_t full = (uint64_t)rate->burst * TOKEN, gone_ms;
	bool ok = false;
	struct entry *e;

	pthread_mutex_lock(&t->lock);
	e = touch(t, cut(key), now_ms);
	if (e != NULL) {
		if (e->fails == 0) { /* new: full; fails marks the entry as filled */
			e->fails = 1;
			e->tokens = full;
			e->last_ms = now_ms;
		}
		gone_ms = now_ms > e->last_ms ? now_ms - e->last_ms : 0;
		/* One token a second fills it in full ms: more time than that only makes the product large. */
		gone_ms = MIN(gone_ms, full);
		e->tokens = MIN(e->tokens + gone_ms * rate->rate_per_s, full);
		e->last_ms = MAX(e->last_ms, now_ms);
		ok = e->tokens >= TOKEN;
		e->tokens -= ok ? TOKEN : 0;
	}
	pthread_mutex_unlock(&t->lock);
	return ok;
}
