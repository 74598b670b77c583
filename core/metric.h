/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * metric.h: counters, gauges and histograms in the Prometheus text format 0.0.4. Register at start, keep the handle, update from
 * any thread with relaxed atomics. Handles live until the process ends. Label sets are fixed at registration: never put
 * in a label what a peer chose.
 */
#pragma once

#include "core/buf.h"

#define METRIC_MAX         1024 /* series; registrations beyond share one handle that is not rendered */
#define METRIC_LABELS_MAX  256 /* octets of the label text */
#define METRIC_BUCKETS_MAX 24

struct metric;

/*
 * Registration. name: [a-z_][a-z0-9_]*, help: one sentence; both literals. labels: NULL, or "key=value,key=value" (copied; values
 * without a comma). The same name, kind and labels again give the same handle. One name has one kind and one help.
 * Never NULL. Any thread.
 */
struct metric *metric_counter(const char *name, const char *help, const char *labels);
struct metric *metric_gauge(const char *name, const char *help, const char *labels);

/* A gauge whose value is asked for when it is rendered; fn runs on the rendering thread and must only read atomics or lock. */
typedef double metric_read_fn(void *arg);
void metric_gauge_fn(const char *name, const char *help, const char *labels, metric_read_fn *fn,
                     void *arg);
/* metric_gauge_fn_remove: forgets every callback gauge with this arg; no call is running when it returns. */
void metric_gauge_fn_remove(void *arg);

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
/* Ready-made: 1 ms to 60 s, shown in seconds. */
extern const struct metric_buckets metric_latency_ms;

/* Updates: any thread, lock-free. */
void metric_inc(struct metric *counter);
void metric_add(struct metric *counter, uint64_t n);
void metric_set(struct metric *gauge, int64_t value);
void metric_move(struct metric *gauge, int64_t delta);
void metric_observe(struct metric *histogram, uint64_t value);

/* metric_value: the present value of a counter or gauge, the number of observations of a histogram. */
int64_t metric_value(const struct metric *m);

/* metric_render: appends everything; out->err tells if it did not fit. Any thread. */
void metric_render(struct buf *out);
