/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * metric.h: counters, gauges and histograms in the Prometheus text format 0.0.4. Register at start, keep the handle, update from
 * any thread with relaxed atomics. Handles live until the process ends. Label sets are fixed at registration: never put
 * in a label what a peer chose.
 */
#pragma once

#include "core/buf.h"

#define METRIC_MAX         2048 /* series; registrations beyond share one handle that is not rendered */
#define METRIC_LABELS_MAX  256 /* octets of the label text */
#define METRIC_BUCKETS_MAX 24
#define METRIC_GROUP_SIZE  1024 /* octets of a group's struct */

struct metric;

/*
 * Registration. name: [a-z_][a-z0-9_]*, help: one sentence; both literals. labels: NULL, or "key=value,key=value" (copied; values
 * without a comma). The same name, kind and labels again give the same handle. One name has one kind and one help.
 * Never NULL. Any thread.
 */
struct metric *metric_counter(const char *name, const char *help, const char *labels);
struct metric *metric_gauge(const char *name, const char *help, const char *labels);

/*
 * A group: figures that stand in one struct, which is filled once whenever they are shown. For what a module counts anyway, and
 * for present values and their limits. read runs on the showing thread under the registry's lock: it may read atomics and take a
 * short lock, and must not register. Fields of one name stand together, in one group only. Everything is borrowed until
 * metric_group_remove has returned. Any thread.
 */
struct metric_field {
	const char *name, *help, *labels; /* as above; labels may be NULL */
	bool counter;                     /* else a gauge */
	size_t offset;                    /* of a uint64_t in the struct */
	double scale;                     /* what one of it is in the metric's unit; 0: 1 */
};
struct metric_group {
	const struct metric_field *fields;
	size_t fields_len;
	void (*read)(void *arg, void *stats); /* stats: zeroed, METRIC_GROUP_SIZE octets */
	void *arg;
	struct metric_group *next; /* internal */
};
void metric_group_add(struct metric_group *g);
/* metric_group_remove: no read is running when it returns. Harmless if it was not added. */
void metric_group_remove(struct metric_group *g);

/*
 * Histograms count integers (milliseconds, octets); bounds are ascending upper limits in the same unit and are rendered times
 * scale (0.001 turns milliseconds into the seconds that Prometheus wants). bounds is borrowed for ever (static).
 */
struct metric_buckets {
	const uint64_t *bounds;
	size_t bounds_len; /* <= METRIC_BUCKETS_MAX, without +Inf */
	double scale;
};
struct metric *metric_histogram(const char *name, const char *help, const char *labels,
                                const struct metric_buckets *b);
/* Ready-made, shown in seconds: 1 ms to 60 s, counted in milliseconds; 50 us to 5 s, counted in microseconds. */
extern const struct metric_buckets metric_latency_ms, metric_latency_us;

/* Updates: any thread, lock-free. */
void metric_inc(struct metric *counter);
void metric_add(struct metric *counter, uint64_t n);
void metric_set(struct metric *gauge, int64_t value);
void metric_move(struct metric *gauge, int64_t delta);
void metric_observe(struct metric *histogram, uint64_t value);

/* metric_value: the present value of a counter or gauge, the number of observations of a histogram. */
int64_t metric_value(const struct metric *m);

/* metric_series: how many there are, of METRIC_MAX. metric_dropped: registrations that found no room. Any thread. */
uint64_t metric_series(void);
uint64_t metric_dropped(void);

/* A series as metric_each shows it; borrowed inside the callback, which must not register. */
struct metric_view {
	const char *name, *help;
	const char *labels; /* "key=value,key=value" or "" */
	bool counter;
	double value;                         /* of a counter or gauge */
	const struct metric_buckets *buckets; /* NULL: no histogram */
	const uint64_t *counts; /* of each bucket, not added up; buckets->bounds_len */
	uint64_t count;         /* observations, those beyond the last bound too */
	double sum;             /* in the metric's unit */
};
typedef void metric_each_fn(void *arg, const struct metric_view *v);
/* metric_each: every series, those of one name one after the other. Any thread. */
void metric_each(metric_each_fn *fn, void *arg);
/*
 * metric_quantile: a value, in the metric's unit, that the share q (0..1) of a histogram's observations does not exceed: the upper limit of
 * its bucket, thus never too small; the last limit for what lies beyond it. 0 without observations. Pure.
 */
double metric_quantile(const struct metric_view *v, double q);
/* metric_label: takes the first "key=value" off *labels. False: there is none. */
bool metric_label(const char **labels, struct span *key, struct span *value);

/* metric_render: appends everything; out->err tells if it did not fit. Any thread. */
void metric_render(struct buf *out);
