/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * attempts.c: two bounded tables of small rings (by GUID, by source host) in order of use, and one ring of the newest of all. A key's
 * ring grows with what is in it: most devices connect once and stay.
 */
#include "gateway/attempts.h"
#include "core/addr_pack.h"
#include "core/map.h"
#include "core/text.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEY_LEN    16
#define NEWEST_MAX 256

/* An attempt as it is kept, once for all places: strings behind each other, each with its NUL. */
struct note {
	unsigned refs;
	uint8_t stage;
	bool has_guid;
	struct addr_pack source;
	struct guid guid;
	uint64_t time_ms;
	char text[]; /* user, detail, group */
};

/* The attempts under one key; in its table's list, most recently used first. */
struct entry {
	struct entry *next, **prev;
	uint8_t key[KEY_LEN];
	unsigned count; /* ever added; the newest stands at (count - 1) % cap */
	unsigned cap;   /* of ring; ATTEMPTS_PER_KEY before anything is overwritten */
	struct note **ring;
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
	struct note *newest[NEWEST_MAX];
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

/* ---- notes ---- */

static struct note *note_make(const struct attempt *at)
{
	size_t user = strlen(at->user) + 1, detail = strlen(at->detail) + 1,
	       group = strlen(at->group) + 1;
	struct note *n = malloc(sizeof(*n) + user + detail + group);

	if (n == NULL)
		return NULL;
	*n = (struct note){.refs = 1,
	                   .stage = (uint8_t)at->stage,
	                   .has_guid = at->has_guid,
	                   .guid = at->guid,
	                   .time_ms = at->time_ms};
	addr_pack(&n->source, &at->source);
	memcpy(n->text, at->user, user);
	memcpy(n->text + user, at->detail, detail);
	memcpy(n->text + user + detail, at->group, group);
	return n;
}

static void note_unref(struct note *n)
{
	if (n != NULL && --n->refs == 0)
		free(n);
}

/* Puts n where another note or none was. */
static void note_place(struct note **place, struct note *n)
{
	note_unref(*place);
	n->refs++;
	*place = n;
}

static void note_read(const struct note *n, struct attempt *out)
{
	const char *text = n->text;

	*out = (struct attempt){.time_ms = n->time_ms,
	                        .has_guid = n->has_guid,
	                        .guid = n->guid,
	                        .stage = (enum attempt_stage)n->stage};
	addr_unpack(&out->source, &n->source);
	(void)str_copy(out->user, sizeof(out->user), text);
	text += strlen(text) + 1;
	(void)str_copy(out->detail, sizeof(out->detail), text);
	text += strlen(text) + 1;
	(void)str_copy(out->group, sizeof(out->group), text);
}

/* ---- tables ---- */

static void entry_clear(struct entry *e)
{
	for (unsigned i = 0; i < e->cap; i++)
		note_unref(e->ring[i]);
	free(e->ring);
	e->ring = NULL;
	e->count = e->cap = 0;
}

static void table_free(struct table *t)
{
	struct entry *e = t->newest;

	while (e != NULL) {
		struct entry *next = e->next;

		entry_clear(e);
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
	for (unsigned i = 0; i < NEWEST_MAX; i++)
		note_unref(a->newest[i]);
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
		entry_clear(e);
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
	struct note **bigger;

	if (e->count < e->cap || e->cap == ATTEMPTS_PER_KEY)
		return true;
	bigger = realloc(e->ring, cap * sizeof(*bigger));
	if (bigger == NULL)
		return false;
	memset(bigger + e->cap, 0, (cap - e->cap) * sizeof(*bigger));
	e->ring = bigger;
	e->cap = cap;
	return true;
}

static void table_add(struct table *t, const uint8_t key[KEY_LEN], struct note *n)
{
	struct entry *e = entry_get(t, key);

	if (e != NULL && entry_has_room(e))
		note_place(&e->ring[e->count++ % e->cap], n);
}

void attempts_add(struct attempts *a, const struct attempt *at)
{
	struct note *n = note_make(at);
	uint8_t key[KEY_LEN];

	if (n == NULL)
		return;
	source_key(&at->source, key);
	pthread_mutex_lock(&a->lock);
	table_add(&a->by_source, key, n);
	if (at->has_guid)
		table_add(&a->by_guid, at->guid.b, n);
	note_place(&a->newest[a->count++ % NEWEST_MAX], n);
	note_unref(n);
	pthread_mutex_unlock(&a->lock);
}

static size_t ring_copy(struct note *const *ring, unsigned size, unsigned count,
                        struct attempt *out, size_t max)
{
	size_t n = 0;

	while (n < max && n < count && n < size) {
		note_read(ring[(count - 1 - n) % size], &out[n]);
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
