/* SPDX-License-Identifier: GPL-3.0-or-later */
/* top_figures.c: which metrics `causeway top` shows, and what two answers say about the time between them. Pure. */
#include "mgmtapi/cli/top.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "mgmtapi/cli/show.h"

#define BOUNDS_MAX 64

typedef Causeway__V1__GetStatisticsResponse answer;

/* Series of one name: all, those with key=value, or those without it. */
struct pick {
	const char *name, *key, *value;
	bool other; /* those whose label has another value */
};

#define TUNNELS    "causeway_tunnels"
#define ACCEPTED   "causeway_cira_accepted_total"
#define REFUSED    "causeway_cira_refused_total"
#define CONNECT    "causeway_cira_connect_seconds"
#define TLS        "causeway_cira_tls_handshakes_total"
#define AUTH       "causeway_cira_auth_total"
#define READY      "causeway_tunnels_ready_total"
#define CALLS      "causeway_grpc_server_handled_total"
#define CALL_TIME  "causeway_grpc_server_handling_seconds"
#define FAILURES   "causeway_api_failures_total"
#define WSMAN      "causeway_wsman_calls_total"
#define WSMAN_TIME "causeway_wsman_seconds"
#define RECEIVED   "causeway_received_bytes_total"
#define SENT       "causeway_sent_bytes_total"
#define UPDATES    "causeway_store_updates_total"
#define UPDATE     "causeway_store_update_seconds"
#define LOOP       "causeway_loop_iteration_seconds"
#define CPU        "process_cpu_seconds_total"
#define RESIDENT   "process_resident_memory_bytes"
#define WORKERS    "causeway_workers"

static const struct {
	const char *key, *label, *now, *limit;
	enum top_unit unit;
} uses[TOP_USES] = {
	{"tunnels", "tunnels", TUNNELS, "causeway_tunnels_limit", TOP_COUNT},
	{"handshakes", "handshakes", "causeway_cira_handshakes", "causeway_cira_handshakes_limit",
         TOP_COUNT},
	{"devices", "devices up", "causeway_devices_connected", "causeway_devices", TOP_COUNT},
	{"channels", "channels", "causeway_channels", NULL, TOP_COUNT},
	{"openers", "openers waiting", "causeway_channel_openers", NULL, TOP_COUNT},
	{"api_connections", "API connections", "causeway_api_connections",
         "causeway_api_connections_limit", TOP_COUNT},
	{"api_calls", "API calls", "causeway_api_calls", "causeway_api_calls_limit", TOP_COUNT},
	{"watchers", "watchers", "causeway_device_watchers", NULL, TOP_COUNT},
	{"fibers", "fibers", "causeway_fibers", "causeway_fibers_limit", TOP_COUNT},
	{"store_queue", "store queue", "causeway_store_queue", "causeway_store_queue_limit",
         TOP_COUNT},
	{"send_memory", "send memory", "causeway_send_memory_bytes",
         "causeway_send_memory_limit_bytes", TOP_BYTES},
	{"descriptors", "descriptors", "process_open_fds", "process_max_fds", TOP_COUNT},
};

static const struct {
	const char *key, *label;
	struct pick pick;
	enum top_unit unit;
	bool bad;
} rates[TOP_RATES] = {
	{"accepted", "connects", {ACCEPTED, NULL, NULL, false}, TOP_COUNT, false},
	{"refused", "refused", {REFUSED, NULL, NULL, false}, TOP_COUNT, true},
	{"tls_failed", "TLS failed", {TLS, "result", "ok", true}, TOP_COUNT, true},
	{"login_failed", "login failed", {AUTH, "result", "ok", true}, TOP_COUNT, true},
	{"ready", "tunnels ready", {READY, NULL, NULL, false}, TOP_COUNT, false},
	{"api_calls", "API calls", {CALLS, NULL, NULL, false}, TOP_COUNT, false},
	{"api_failed", "API failures", {FAILURES, NULL, NULL, false}, TOP_COUNT, true},
	{"wsman_calls", "WSMAN calls", {WSMAN, NULL, NULL, false}, TOP_COUNT, false},
	{"wsman_failed", "WSMAN failures", {WSMAN, "result", "ok", true}, TOP_COUNT, true},
	{"store_updates", "store updates", {UPDATES, NULL, NULL, false}, TOP_COUNT, false},
	{"received", "received", {RECEIVED, NULL, NULL, false}, TOP_BYTES, false},
	{"sent", "sent", {SENT, NULL, NULL, false}, TOP_BYTES, false},
};

static const struct {
	const char *key, *label;
	struct pick pick;
} latencies[TOP_LATENCIES] = {
	{"connect_tls", "connect: TLS", {CONNECT, "stage", "tls", false}},
	{"connect_login", "connect: login", {CONNECT, "stage", "login", false}},
	{"api_call", "API call", {CALL_TIME, "grpc_type", "unary", false}},
	{"wsman_call", "WSMAN call", {WSMAN_TIME, NULL, NULL, false}},
	{"store_update", "store update", {UPDATE, NULL, NULL, false}},
	{"loop_iteration", "loop iteration", {LOOP, NULL, NULL, false}},
};

const char *const top_names[] = {
	TUNNELS,
	"causeway_tunnels_limit",
	"causeway_cira_handshakes",
	"causeway_cira_handshakes_limit",
	"causeway_devices_connected",
	"causeway_devices",
	"causeway_channels",
	"causeway_channel_openers",
	"causeway_api_connections",
	"causeway_api_connections_limit",
	"causeway_api_calls",
	"causeway_api_calls_limit",
	"causeway_device_watchers",
	"causeway_fibers",
	"causeway_fibers_limit",
	"causeway_store_queue",
	"causeway_store_queue_limit",
	"causeway_send_memory_bytes",
	"causeway_send_memory_limit_bytes",
	"process_open_fds",
	"process_max_fds",
	ACCEPTED,
	REFUSED,
	CONNECT,
	TLS,
	AUTH,
	READY,
	CALLS,
	CALL_TIME,
	FAILURES,
	WSMAN,
	WSMAN_TIME,
	RECEIVED,
	SENT,
	UPDATES,
	UPDATE,
	LOOP,
	CPU,
	RESIDENT,
	WORKERS,
	NULL,
};

/* ---- looking things up ---- */

static const char *label_of(const Causeway__V1__Statistic *s, const char *key)
{
	for (size_t i = 0; i < s->n_labels; i++)
		if (strcmp(s->labels[i]->key, key) == 0)
			return s->labels[i]->value;
	return "";
}

static bool picks(const struct pick *p, const Causeway__V1__Statistic *s)
{
	if (strcmp(s->name, p->name) != 0)
		return false;
	return p->key == NULL || (strcmp(label_of(s, p->key), p->value) == 0) != p->other;
}

/* The sum of the values; 0 for a NULL answer and for what the server does not know. */
static double sum_of(const answer *a, const struct pick *p)
{
	double sum = 0;

	for (size_t i = 0; a != NULL && i < a->n_statistics; i++)
		if (picks(p, a->statistics[i]))
			sum += a->statistics[i]->value;
	return sum;
}

static double value_of(const answer *a, const char *name)
{
	const struct pick p = {.name = name};

	return name != NULL ? sum_of(a, &p) : 0;
}

/* Histograms of one name have the same bounds. */
struct times {
	size_t n;
	double bounds[BOUNDS_MAX], counts[BOUNDS_MAX], count, sum;
};

static void add_times(const answer *a, const struct pick *p, double sign, struct times *t)
{
	for (size_t i = 0; a != NULL && i < a->n_statistics; i++) {
		const Causeway__V1__StatisticHistogram *h = a->statistics[i]->histogram;

		if (h == NULL || !picks(p, a->statistics[i]) || h->n_bounds != h->n_counts ||
		    h->n_bounds > BOUNDS_MAX || (t->n != 0 && t->n != h->n_bounds))
			continue;
		t->n = h->n_bounds;
		memcpy(t->bounds, h->bounds, t->n * sizeof(t->bounds[0]));
		for (size_t k = 0; k < t->n; k++)
			t->counts[k] += sign * (double)h->counts[k];
		t->count += sign * (double)h->count;
		t->sum += sign * h->sum;
	}
}

/* As Prometheus does: linear inside a bucket; beyond the last bound, that bound. */
static double quantile(const struct times *t, double q)
{
	double rank = q * t->count, below = 0;

	if (t->count <= 0 || t->n == 0)
		return NAN;
	for (size_t i = 0; i < t->n; i++) {
		double from = i > 0 ? t->bounds[i - 1] : 0;

		if (t->counts[i] > 0 && below + t->counts[i] >= rank)
			return from + (t->bounds[i] - from) * (rank - below) / t->counts[i];
		below += t->counts[i];
	}
	return t->bounds[t->n - 1];
}

/* ---- the figures ---- */

static double per_second(double before, double now, double seconds)
{
	return seconds > 0 && now > before ? (now - before) / seconds : 0;
}

static int by_rate(const void *x, const void *y)
{
	const struct top_reason *a = x, *b = y;
	double left = a->per_s != b->per_s ? a->per_s : a->total;
	double right = a->per_s != b->per_s ? b->per_s : b->total;

	return left < right ? 1 : left > right ? -1 : strcmp(a->name, b->name);
}

static void fill_reasons(const answer *before, const answer *now, double seconds,
                         struct top_figures *out)
{
	for (size_t i = 0; i < now->n_statistics && out->reasons_len < TOP_REASONS_MAX; i++) {
		const Causeway__V1__Statistic *s = now->statistics[i];
		struct pick p = {.name = REFUSED, .key = "reason", .value = label_of(s, "reason")};
		struct top_reason *r = &out->reasons[out->reasons_len];

		if (strcmp(s->name, REFUSED) != 0)
			continue;
		(void)str_copy(r->name, sizeof(r->name), p.value);
		r->total = s->value;
		r->per_s = per_second(sum_of(before, &p), r->total, seconds);
		out->reasons_len++;
	}
	qsort(out->reasons, out->reasons_len, sizeof(out->reasons[0]), by_rate);
}

/* How busy the loops are: each worker's histogram adds up the time that it worked. */
static void fill_busy(const answer *before, const answer *now, double seconds,
                      struct top_figures *out)
{
	double all = 0;
	unsigned n = 0;

	for (size_t i = 0; i < now->n_statistics; i++) {
		const Causeway__V1__Statistic *s = now->statistics[i];
		struct pick p = {.name = LOOP, .key = "worker", .value = label_of(s, "worker")};
		struct times t = {0};
		double busy;

		if (strcmp(s->name, LOOP) != 0)
			continue;
		add_times(now, &p, 1, &t);
		add_times(before, &p, -1, &t);
		busy = seconds > 0 ? t.sum / seconds : 0;
		all += busy;
		out->busy_most = MAX(out->busy_most, busy);
		n++;
	}
	out->busy_mean = n > 0 ? all / n : 0;
}

static void fill_latencies(const answer *before, const answer *now, double seconds,
                           struct top_figures *out)
{
	for (size_t i = 0; i < TOP_LATENCIES; i++) {
		struct top_latency *l = &out->latencies[i];
		struct times t = {0};

		add_times(now, &latencies[i].pick, 1, &t);
		add_times(before, &latencies[i].pick, -1, &t);
		*l = (struct top_latency){.key = latencies[i].key, .label = latencies[i].label};
		l->per_s = per_second(0, t.count, seconds);
		l->p50_s = before != NULL ? quantile(&t, 0.5) : NAN;
		l->p99_s = before != NULL ? quantile(&t, 0.99) : NAN;
		l->mean_s = before != NULL && t.count > 0 ? t.sum / t.count : NAN;
	}
}

void top_figures(const answer *before, const answer *now, struct top_figures *out)
{
	double seconds = 0;

	*out = (struct top_figures){.time_ms = cli_ms_of(now->time), .uptime_ms = now->uptime_ms};
	/* Another run of the server counts from 0 again. */
	if (before != NULL && before->uptime_ms < now->uptime_ms)
		seconds = (double)(now->uptime_ms - before->uptime_ms) / 1000;
	else
		before = NULL;
	out->rates_known = before != NULL;
	out->cpu = per_second(value_of(before, CPU), value_of(now, CPU), seconds);
	out->resident_bytes = value_of(now, RESIDENT);
	out->workers = value_of(now, WORKERS);
	for (size_t i = 0; i < TOP_USES; i++)
		out->uses[i] =
			(struct top_use){uses[i].key, uses[i].label, uses[i].unit,
		                         value_of(now, uses[i].now), value_of(now, uses[i].limit)};
	for (size_t i = 0; i < TOP_RATES; i++) {
		double total = sum_of(now, &rates[i].pick);

		out->rates[i] = (struct top_rate){
			rates[i].key, rates[i].label, rates[i].unit, rates[i].bad, 0, total};
		out->rates[i].per_s = per_second(sum_of(before, &rates[i].pick), total, seconds);
	}
	fill_latencies(before, now, seconds, out);
	fill_reasons(before, now, seconds, out);
	fill_busy(before, now, seconds, out);
}
