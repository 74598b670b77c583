/* SPDX-License-Identifier: GPL-3.0-or-later */
/* inflight.c: a locked map of counts. Entries live only while something is under way, so the table is as small as that. */
#include "gateway/inflight.h"
#include "core/err.h"

static struct span key_of(const uint64_t *source)
{
	return span_of(source, sizeof(*source));
}

static void *count_as_value(uintptr_t n)
{
	return (void *)n; /* the map keeps pointers; a count needs no memory of its own */
}

void inflight_init(struct inflight *f, uint32_t sources_max)
{
	pthread_mutex_init(&f->lock, NULL);
	map_init(&f->counts, sizeof(uint64_t), sources_max);
}

void inflight_fini(struct inflight *f)
{
	map_free(&f->counts);
	pthread_mutex_destroy(&f->lock);
}

uint64_t inflight_source(const struct addr *peer)
{
	char host[ADDR_TEXT_MAX];
	uint64_t h;

	addr_format_host(peer, host);
	h = map_hash(span_str(host));
	return h != 0 ? h : 1;
}

bool inflight_take(struct inflight *f, uint64_t source, uint32_t max)
{
	uintptr_t n;
	void *old;
	bool ok;

	pthread_mutex_lock(&f->lock);
	n = (uintptr_t)map_get(&f->counts, key_of(&source));
	ok = n < max && map_replace(&f->counts, key_of(&source), count_as_value(n + 1), &old) == 0;
	pthread_mutex_unlock(&f->lock);
	return ok;
}

void inflight_release(struct inflight *f, uint64_t source)
{
	uintptr_t n;
	void *old;

	pthread_mutex_lock(&f->lock);
	n = (uintptr_t)map_get(&f->counts, key_of(&source));
	ASSERT(n > 0);
	if (n == 1)
		(void)map_remove(&f->counts, key_of(&source));
	else
		ASSERT(map_replace(&f->counts, key_of(&source), count_as_value(n - 1), &old) == 0);
	pthread_mutex_unlock(&f->lock);
}
