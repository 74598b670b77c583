/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * metric.c: the registry. Registration and showing take the lock; updates touch only the atomics of their
 * handle. A handle starts on its own cache line, so that hot counters of different workers do not share one.
 */
#include "core/metric.h"
#include "core/err.h"
#include "core/text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric {
	/* counter, gauge; number of observations of a histogram */
	_Alignas(CACHE_LINE) _Atomic uint64_t value;
	_Atomic uint64_t sum;
	const struct metric_buckets *buckets;
	_Atomic uint64_t *bucket; /* bounds_len counts, not cumulative */
	/* The rest never changes after registration. */
	enum metric_kind kind;
	const char *name, *help;
	char labels[METRIC_LABELS_MAX];
};

static const uint64_t latency_bounds[] = {1,   2,    5,    10,   20,    50,    100,  200,
                                          500, 1000, 2000, 5000, 10000, 30000, 60000};
const struct metric_buckets metric_latency_ms = {latency_bounds, ARRAY_LEN(latency_bounds), 0.001};
static const uint64_t short_bounds[] = {50,     100,    200,    500,     1000,
                                        2000,   5000,   10000,  20000,   50000,
                                        100000, 200000, 500000, 1000000, 5000000};
const struct metric_buckets metric_latency_us = {short_bounds, ARRAY_LEN(short_bounds), 1e-6};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *series[METRIC_MAX]; /* those of one name stand together */
static size_t series_len;
static _Atomic uint64_t overflow_bucket[METRIC_BUCKETS_MAX];
static struct metric overflow = {
	.bucket = overflow_bucket}; /* takes what the registry has no room for */
static struct metric_group *groups;
static _Atomic uint64_t dropped, series_count;

static bool name_is_valid(const char *s, size_t n)
{
	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool digit = s[i] >= '0' && s[i] <= '9';

		if (!(s[i] >= 'a' && s[i] <= 'z') && s[i] != '_' && !(digit && i > 0))
			return false;
	}
	return true;
}

bool metric_label(const char **labels, struct span *key, struct span *value)
{
	const char *p = *labels;
	size_t n = strcspn(p, ",");
	const char *eq = memchr(p, '=', n);

	if (eq == NULL)
		return false;
	*key = span_of(p, (size_t)(eq - p));
	*value = span_of(eq + 1, n - key->len - 1);
	*labels = p[n] == ',' ? p + n + 1 : p + n;
	return true;
}

static bool labels_are_valid(const char *labels)
{
	const char *p = labels;
	struct span key, value;

	if (strlen(labels) >= METRIC_LABELS_MAX)
		return false;
	while (*p != '\0')
		if (!metric_label(&p, &key, &value) ||
		    !name_is_valid((const char *)key.ptr, key.len))
			return false;
	return true;
}

static struct metric *metric_alloc(const struct metric *like)
{
	struct metric *m = aligned_alloc(CACHE_LINE, sizeof(*m));

	if (m == NULL)
		return NULL;
	memset(m, 0, sizeof(*m));
	m->kind = like->kind;
	m->name = like->name;
	m->help = like->help;
	m->buckets = like->buckets;
	memcpy(m->labels, like->labels, sizeof(m->labels));
	if (m->kind == METRIC_HISTOGRAM) {
		m->bucket = calloc(MAX(m->buckets->bounds_len, (size_t)1), sizeof(*m->bucket));
		if (m->bucket == NULL) {
			free(m);
			return NULL;
		}
	}
	return m;
}

static bool same_series(const struct metric *a, const struct metric *b)
{
	return a->kind == b->kind && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->labels, b->labels) == 0;
}

/* The lock is held. */
static struct metric *metric_add_series(const struct metric *like)
{
	size_t at = series_len;
	struct metric *m;

	for (size_t i = 0; i < series_len; i++) {
		if (strcmp(series[i]->name, like->name) != 0)
			continue;
		at = i + 1;
		ASSERT(series[i]->kind == like->kind);
		if (same_series(series[i], like))
			return series[i];
	}
	m = series_len < METRIC_MAX ? metric_alloc(like) : NULL;
	if (m == NULL) {
		atomic_fetch_add(&dropped, 1);
		return &overflow;
	}
	memmove(&series[at + 1], &series[at], (series_len - at) * sizeof(series[0]));
	series[at] = m;
	series_len++;
	atomic_store(&series_count, series_len);
	return m;
}

static struct metric *metric_register(struct metric *like, const char *labels)
{
	struct metric *m;

	ASSERT(name_is_valid(like->name, strlen(like->name)));
	ASSERT(labels == NULL || labels_are_valid(labels));
	(void)str_copy(like->labels, sizeof(like->labels), labels != NULL ? labels : "");
	pthread_mutex_lock(&lock);
	m = metric_add_series(like);
	pthread_mutex_unlock(&lock);
	return m;
}

struct metric *metric_counter(const char *name, const char *help, const char *labels)
{
	return metric_register(&(struct metric){.kind = METRIC_COUNTER, .name = name, .help = help},
	                       labels);
}

struct metric *metric_gauge(const char *name, const char *help, const char *labels)
{
	return metric_register(&(struct metric){.kind = METRIC_GAUGE, .name = name, .help = help},
	                       labels);
}

void metric_group_add(struct metric_group *g)
{
	struct metric_group **at = &groups;

	for (size_t i = 0; i < g->fields_len; i++) {
		const struct metric_field *f = &g->fields[i];

		ASSERT(name_is_valid(f->name, strlen(f->name)));
		ASSERT(f->labels == NULL || labels_are_valid(f->labels));
		ASSERT(f->offset + sizeof(uint64_t) <= METRIC_GROUP_SIZE);
	}
	pthread_mutex_lock(&lock);
	while (*at != NULL)
		at = &(*at)->next;
	g->next = NULL;
	*at = g;
	pthread_mutex_unlock(&lock);
}

void metric_group_remove(struct metric_group *g)
{
	struct metric_group **at = &groups;

	ASSERT(g != NULL);
	pthread_mutex_lock(&lock);
	while (*at != NULL && *at != g)
		at = &(*at)->next;
	if (*at == g)
		*at = g->next;
	pthread_mutex_unlock(&lock);
}

uint64_t metric_series(void)
{
	return atomic_load(&series_count);
}

uint64_t metric_dropped(void)
{
	return atomic_load(&dropped);
}

struct metric *metric_histogram(const char *name, const char *help, const char *labels,
                                const struct metric_buckets *b)
{
	struct metric like = {.kind = METRIC_HISTOGRAM, .name = name, .help = help, .buckets = b};

	ASSERT(b->bounds_len <= METRIC_BUCKETS_MAX);
	return metric_register(&like, labels);
}

void metric_inc(struct metric *counter)
{
	metric_add(counter, 1);
}

void metric_add(struct metric *counter, uint64_t n)
{
	atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
}

void metric_set(struct metric *gauge, int64_t value)
{
	atomic_store_explicit(&gauge->value, (uint64_t)value, memory_order_relaxed);
}

void metric_move(struct metric *gauge, int64_t delta)
{
	atomic_fetch_add_explicit(&gauge->value, (uint64_t)delta, memory_order_relaxed);
}

void metric_observe(struct metric *histogram, uint64_t value)
{
	const struct metric_buckets *b = histogram->buckets;
	size_t i = 0;

	while (b != NULL && i < b->bounds_len && value > b->bounds[i])
		i++;
	if (b != NULL && i < b->bounds_len)
		atomic_fetch_add_explicit(&histogram->bucket[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->value, 1, memory_order_relaxed);
}

int64_t metric_value(const struct metric *m)
{
	return (int64_t)atomic_load_explicit(&m->value, memory_order_relaxed);
}

/* ---- showing ---- */

static void show_series(const struct metric *m, metric_each_fn *fn, void *arg)
{
	const struct metric_buckets *b = m->kind == METRIC_HISTOGRAM ? m->buckets : NULL;
	uint64_t counts[METRIC_BUCKETS_MAX], below = 0;
	struct metric_view v = {.name = m->name,
	                        .help = m->help,
	                        .labels = m->labels,
	                        .counter = m->kind == METRIC_COUNTER,
	                        .buckets = b,
	                        .counts = counts};

	if (b == NULL) {
		v.value = v.counter ? (double)(uint64_t)metric_value(m) : (double)metric_value(m);
		fn(arg, &v);
		return;
	}
	for (size_t i = 0; i < b->bounds_len; i++) {
		counts[i] = atomic_load_explicit(&m->bucket[i], memory_order_relaxed);
		below += counts[i];
	}
	/* Updates may run meanwhile: the buckets must never add up to more than the count. */
	v.count = MAX((uint64_t)metric_value(m), below);
	v.sum = (double)atomic_load_explicit(&m->sum, memory_order_relaxed) * b->scale;
	fn(arg, &v);
}

static void show_group(const struct metric_group *g, metric_each_fn *fn, void *arg)
{
	uint64_t stats[METRIC_GROUP_SIZE / sizeof(uint64_t)] = {0};

	g->read(g->arg, stats);
	for (size_t i = 0; i < g->fields_len; i++) {
		const struct metric_field *f = &g->fields[i];
		struct metric_view v = {.name = f->name,
		                        .help = f->help,
		                        .labels = f->labels != NULL ? f->labels : "",
		                        .counter = f->counter};
		uint64_t n;

		memcpy(&n, (const uint8_t *)stats + f->offset, sizeof(n));
		v.value = (double)n * (f->scale != 0 ? f->scale : 1);
		fn(arg, &v);
	}
}

void metric_each(metric_each_fn *fn, void *arg)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < series_len; i++)
		show_series(series[i], fn, arg);
	for (const struct metric_group *g = groups; g != NULL; g = g->next)
		show_group(g, fn, arg);
	pthread_mutex_unlock(&lock);
}
