/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * metric.c: the registry and the text format. Registration and rendering take the lock; updates touch only the atomics of their
 * handle. A handle starts on its own cache line, so that hot counters of different workers do not share one.
 */
#include "core/metric.h"
#include "core/err.h"
#include "core/text.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_GAUGE_FN, METRIC_HISTOGRAM };

struct metric {
	/* counter, gauge; number of observations of a histogram */
	_Alignas(CACHE_LINE) _Atomic uint64_t value;
	_Atomic uint64_t sum;
	const struct metric_buckets *buckets;
	_Atomic uint64_t *bucket; /* bounds_len counts, not cumulative */
	/* The rest never changes after registration, except read_fn and arg under the lock. */
	enum metric_kind kind;
	const char *name, *help;
	char labels[METRIC_LABELS_MAX];
	metric_read_fn *read_fn;
	void *arg;
};

static const uint64_t latency_bounds[] = {1,   2,    5,    10,   20,    50,    100,  200,
                                          500, 1000, 2000, 5000, 10000, 30000, 60000};
const struct metric_buckets metric_latency_ms = {latency_bounds, ARRAY_LEN(latency_bounds), 0.001};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *series[METRIC_MAX]; /* those of one name stand together */
static size_t series_len;
static _Atomic uint64_t overflow_bucket[METRIC_BUCKETS_MAX];
static struct metric overflow = {
	.bucket = overflow_bucket}; /* takes what the registry has no room for */
static uint64_t dropped;

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

/* One "key=value" of the label text, and where the next one starts. */
struct label {
	struct span key, value;
	const char *next; /* NULL: this was the last */
};

static bool label_at(const char *p, struct label *l)
{
	size_t n = strcspn(p, ",");
	const char *eq = memchr(p, '=', n);

	if (eq == NULL || !name_is_valid(p, (size_t)(eq - p)))
		return false;
	l->key = span_of(p, (size_t)(eq - p));
	l->value = span_of(eq + 1, n - l->key.len - 1);
	l->next = p[n] == ',' ? p + n + 1 : NULL;
	return true;
}

static bool labels_are_valid(const char *labels)
{
	struct label l = {.next = labels};

	if (strlen(labels) >= METRIC_LABELS_MAX)
		return false;
	while (l.next != NULL && l.next[0] != '\0')
		if (!label_at(l.next, &l))
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
	m->read_fn = like->read_fn;
	m->arg = like->arg;
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
		ASSERT((series[i]->kind == METRIC_GAUGE_FN ? METRIC_GAUGE : series[i]->kind) ==
		       (like->kind == METRIC_GAUGE_FN ? METRIC_GAUGE : like->kind));
		if (!same_series(series[i], like))
			continue;
		series[i]->read_fn = like->read_fn;
		series[i]->arg = like->arg;
		return series[i];
	}
	m = series_len < METRIC_MAX ? metric_alloc(like) : NULL;
	if (m == NULL) {
		dropped++;
		return &overflow;
	}
	memmove(&series[at + 1], &series[at], (series_len - at) * sizeof(series[0]));
	series[at] = m;
	series_len++;
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

void metric_gauge_fn(const char *name, const char *help, const char *labels, metric_read_fn *fn,
                     void *arg)
{
	struct metric like = {.kind = METRIC_GAUGE_FN, .name = name, .help = help, .arg = arg};

	like.read_fn = fn;
	(void)metric_register(&like, labels);
}

void metric_gauge_fn_remove(void *arg)
{
	size_t kept = 0;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < series_len; i++) {
		if (series[i]->kind == METRIC_GAUGE_FN && series[i]->arg == arg)
			free(series[i]);
		else
			series[kept++] = series[i];
	}
	series_len = kept;
	pthread_mutex_unlock(&lock);
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

static void put_escaped(struct buf *out, struct span s, bool quote_too)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = (char)s.ptr[i];

		if (c == '\n')
			buf_put_str(out, "\\n");
		else if (c == '\\' || (c == '"' && quote_too))
			buf_printf(out, "\\%c", c);
		else
			buf_put_u8(out, (uint8_t)c);
	}
}

/* name and suffix, then {labels} with an le label behind them if le is not NULL, then a space. */
static void put_sample_name(struct buf *out, const struct metric *m, const char *suffix,
                            const char *le)
{
	struct label l = {.next = m->labels};
	char open = '{';

	buf_put_str(out, m->name);
	buf_put_str(out, suffix);
	while (l.next != NULL && l.next[0] != '\0' && label_at(l.next, &l)) {
		buf_put_u8(out, (uint8_t)open);
		buf_put_span(out, l.key);
		buf_put_str(out, "=\"");
		put_escaped(out, l.value, true);
		buf_put_u8(out, '"');
		open = ',';
	}
	if (le != NULL) {
		buf_printf(out, "%cle=\"%s\"", open, le);
		open = ',';
	}
	buf_put_str(out, open == ',' ? "} " : " ");
}

static void put_number(struct buf *out, double v)
{
	if (isnan(v))
		buf_put_str(out, "NaN\n");
	else if (isinf(v))
		buf_put_str(out, v > 0 ? "+Inf\n" : "-Inf\n");
	else
		buf_printf(out, "%.15g\n", v);
}

static void put_histogram(struct buf *out, const struct metric *m)
{
	const struct metric_buckets *b = m->buckets;
	uint64_t total = (uint64_t)metric_value(m), below = 0;
	char le[32];
	struct buf text = {.cap = sizeof(le)};

	for (size_t i = 0; i < b->bounds_len; i++) {
		below += atomic_load_explicit(&m->bucket[i], memory_order_relaxed);
		buf_clear(&text);
		buf_printf(&text, "%.9g", (double)b->bounds[i] * b->scale);
		(void)str_copy(le, sizeof(le), buf_cstr(&text));
		put_sample_name(out, m, "_bucket", le);
		buf_printf(out, "%llu\n", (unsigned long long)below);
	}
	buf_free(&text);
	/* Updates may run meanwhile: the buckets must never add up to more than the count. */
	total = MAX(total, below);
	put_sample_name(out, m, "_bucket", "+Inf");
	buf_printf(out, "%llu\n", (unsigned long long)total);
	put_sample_name(out, m, "_sum", NULL);
	buf_printf(out, "%.15g\n",
	           (double)atomic_load_explicit(&m->sum, memory_order_relaxed) * b->scale);
	put_sample_name(out, m, "_count", NULL);
	buf_printf(out, "%llu\n", (unsigned long long)total);
}

static void put_series(struct buf *out, const struct metric *m)
{
	switch (m->kind) {
	case METRIC_COUNTER:
		put_sample_name(out, m, "", NULL);
		buf_printf(out, "%llu\n", (unsigned long long)metric_value(m));
		break;
	case METRIC_GAUGE:
		put_sample_name(out, m, "", NULL);
		buf_printf(out, "%lld\n", (long long)metric_value(m));
		break;
	case METRIC_GAUGE_FN:
		put_sample_name(out, m, "", NULL);
		put_number(out, m->read_fn(m->arg));
		break;
	case METRIC_HISTOGRAM:
		put_histogram(out, m);
		break;
	}
}

void metric_render(struct buf *out)
{
	static const char *const types[] = {"counter", "gauge", "gauge", "histogram"};

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < series_len; i++) {
		const struct metric *m = series[i];

		if (i == 0 || strcmp(series[i - 1]->name, m->name) != 0) {
			buf_printf(out, "# HELP %s ", m->name);
			put_escaped(out, span_str(m->help), false);
			buf_printf(out, "\n# TYPE %s %s\n", m->name, types[m->kind]);
		}
		put_series(out, m);
	}
	if (dropped > 0)
		buf_printf(out,
		           "# HELP causeway_metrics_dropped Series that found no room in the "
		           "registry.\n"
		           "# TYPE causeway_metrics_dropped gauge\ncauseway_metrics_dropped %llu\n",
		           (unsigned long long)dropped);
	pthread_mutex_unlock(&lock);
}
