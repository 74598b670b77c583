/* SPDX-License-Identifier: GPL-3.0-or-later */
/* arrivals.c: a locked map of counts. Entries live only while something is under way, so the table is as small as that. */
#include "gateway/arrivals.h"
#include "core/err.h"

static struct span key_of(const uint64_t *source)
{
	return span_of(source, sizeof(*source));
}

static void *count_as_value(uintptr_t n)
{
	return (void *)n; /* the map keeps pointers; a count needs no memory of its own */
}

void arrivals_init(struct arrivals *f, uint32_t sources_max)
{
	pthread_mutex_init(&f->lock, NULL);
	map_init(&f->counts, sizeof(uint64_t), sources_max);
}

void arrivals_fini(struct arrivals *f)
{
	map_free(&f->counts);
	pthread_mutex_destroy(&f->lock);
}

bool arrivals_take(struct arrivals *f, uint64_t source, uint32_t max)
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

void arrivals_release(struct arrivals *f, uint64_t source)
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

uint32_t arrivals_sources(struct arrivals *f)
{
	uint32_t n;

	pthread_mutex_lock(&f->lock);
	n = f->counts.count;
	pthread_mutex_unlock(&f->lock);
	return n;
}
