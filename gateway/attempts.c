/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * attempts.c: two bounded tables of small rings (by GUID, by source host) in order of use, and one ring of the newest of all. A key's
 * ring grows with what is in it: most devices connect once and stay.
 */
#include "gateway/attempts.h"
#include "core/map.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEY_LEN    16
#define NEWEST_MAX 256

/* The attempts under one key; in its table's list, most recently used first. */
struct entry {
	struct entry *next, **prev;
	uint8_t key[KEY_LEN];
	unsigned count; /* ever added; the newest stands at (count - 1) % cap */
	unsigned cap;   /* of ring; ATTEMPTS_PER_KEY before anything is overwritten */
	struct attempt *ring;
};

struct table {
	struct map map;
	struct entry *newest, *oldest;
	uint64_t evictions;
};

struct attempts {
	pthread_mutex_t lock;
	struct table by_guid, by_source;
	unsigned count;
	struct attempt newest[NEWEST_MAX];
};

struct attempts *attempts_new(void)
{
	struct attempts *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	pthread_mutex_init(&a->lock, NULL);
	map_init(&a->by_guid.map, KEY_LEN, ATTEMPTS_KEYS_MAX);
	map_init(&a->by_source.map, KEY_LEN, ATTEMPTS_KEYS_MAX);
	return a;
}

static void table_free(struct table *t)
{
	struct entry *e = t->newest;

	while (e != NULL) {
		struct entry *next = e->next;

		free(e->ring);
		free(e);
		e = next;
	}
	map_free(&t->map);
}

void attempts_free(struct attempts *a)
{
	if (a == NULL)
		return;
	table_free(&a->by_guid);
	table_free(&a->by_source);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static void entry_unlink(struct table *t, struct entry *e)
{
	if (e->next != NULL)
		e->next->prev = e->prev;
	else
		t->oldest =
			e->prev == &t->newest ? NULL : container_of(e->prev, struct entry, next);
	*e->prev = e->next;
}

static void entry_link_first(struct table *t, struct entry *e)
{
	e->next = t->newest;
	e->prev = &t->newest;
	if (e->next != NULL)
		e->next->prev = &e->next;
	else
		t->oldest = e;
	t->newest = e;
}

/* The entry of the key, made if need be; the one unused for longest makes room. NULL: no memory. */
static struct entry *entry_get(struct table *t, const uint8_t key[KEY_LEN])
{
	struct entry *e = map_get(&t->map, span_of(key, KEY_LEN));

	if (e != NULL) {
		entry_unlink(t, e);
		entry_link_first(t, e);
		return e;
	}
	if (t->map.count >= ATTEMPTS_KEYS_MAX) {
		e = t->oldest;
		t->evictions++;
		entry_unlink(t, e);
		(void)map_remove(&t->map, span_of(e->key, KEY_LEN));
		free(e->ring);
		e->ring = NULL;
		e->count = e->cap = 0;
	} else {
		e = calloc(1, sizeof(*e));
	}
	if (e == NULL)
		return NULL;
	memcpy(e->key, key, KEY_LEN);
	if (map_put(&t->map, span_of(key, KEY_LEN), e) != 0) {
		free(e);
		return NULL;
	}
	entry_link_first(t, e);
	return e;
}

static void source_key(const struct addr *source, uint8_t key[KEY_LEN])
{
	struct addr a = *source;

	memset(key, 0, KEY_LEN);
	addr_unmap(&a);
	if (a.ss.ss_family == AF_INET)
		memcpy(key, &((const struct sockaddr_in *)&a.ss)->sin_addr, 4);
	else if (a.ss.ss_family == AF_INET6)
		memcpy(key, &((const struct sockaddr_in6 *)&a.ss)->sin6_addr, 16);
}

/* Grows the ring while it has not reached its full size. False: no memory, the attempt is not noted under this key. */
static bool entry_has_room(struct entry *e)
{
	unsigned cap = e->cap == 0 ? 1 : MIN(2 * e->cap, (unsigned)ATTEMPTS_PER_KEY);
	struct attempt *bigger;

	if (e->count < e->cap || e->cap == ATTEMPTS_PER_KEY)
		return true;
	bigger = realloc(e->ring, cap * sizeof(*bigger));
	if (bigger == NULL)
		return false;
	e->ring = bigger;
	e->cap = cap;
	return true;
}

static void table_add(struct table *t, const uint8_t key[KEY_LEN], const struct attempt *at)
{
	struct entry *e = entry_get(t, key);

	if (e != NULL && entry_has_room(e))
		e->ring[e->count++ % e->cap] = *at;
}

void attempts_add(struct attempts *a, const struct attempt *at)
{
	uint8_t key[KEY_LEN];

	source_key(&at->source, key);
	pthread_mutex_lock(&a->lock);
	table_add(&a->by_source, key, at);
	if (at->has_guid)
		table_add(&a->by_guid, at->guid.b, at);
	a->newest[a->count++ % NEWEST_MAX] = *at;
	pthread_mutex_unlock(&a->lock);
}

static size_t ring_copy(const struct attempt *ring, unsigned size, unsigned count,
                        struct attempt *out, size_t max)
{
	size_t n = 0;

	while (n < max && n < count && n < size) {
		out[n] = ring[(count - 1 - n) % size];
		n++;
	}
	return n;
}

size_t attempts_get(struct attempts *a, const struct guid *guid, const struct addr *source,
                    struct attempt *out, size_t max)
{
	uint8_t key[KEY_LEN];
	const struct entry *e = NULL;
	size_t n = 0;

	if (source != NULL)
		source_key(source, key);
	pthread_mutex_lock(&a->lock);
	if (guid != NULL)
		e = map_get(&a->by_guid.map, span_of(guid->b, KEY_LEN));
	else if (source != NULL)
		e = map_get(&a->by_source.map, span_of(key, KEY_LEN));
	else
		n = ring_copy(a->newest, NEWEST_MAX, a->count, out, max);
	if (e != NULL)
		n = ring_copy(e->ring, e->cap, e->count, out, max);
	pthread_mutex_unlock(&a->lock);
	return n;
}

void attempts_stats(struct attempts *a, struct attempts_stats *out)
{
	pthread_mutex_lock(&a->lock);
	*out = (struct attempts_stats){a->by_guid.map.count, a->by_source.map.count,
	                               a->by_guid.evictions + a->by_source.evictions};
	pthread_mutex_unlock(&a->lock);
}
