/* SPDX-License-Identifier: GPL-3.0-or-later */
/* svc_statistics.c: ServerService.GetStatistics: the registry of metrics as messages. */
#include "causeway/v1/server.pb-c.h"
#include "core/clock.h"
#include "core/metric.h"
#include "mgmtapi/api_internal.h"

#include <string.h>

#define NAMES_MAX       256
#define LABELS_A_SERIES 8
#define ROOM            64 /* series that may appear between counting and copying */

struct gathering {
	const Causeway__V1__GetStatisticsRequest *rq;
	struct msg_mem mem;
	Causeway__V1__Statistic **list;
	size_t len, cap;
};

static bool wanted(const Causeway__V1__GetStatisticsRequest *rq, const char *name)
{
	for (size_t i = 0; i < rq->n_names; i++)
		if (strcmp(rq->names[i], name) == 0)
			return true;
	return rq->n_names == 0;
}

static void count_one(void *arg, const struct metric_view *v)
{
	struct gathering *g = arg;

	g->cap += wanted(g->rq, v->name) ? 1 : 0;
}

static void put_labels(struct msg_mem *mem, Causeway__V1__Statistic *s, const char *labels)
{
	struct span key, value;

	if (labels[0] == '\0')
		return;
	s->labels = msg_take(mem, LABELS_A_SERIES * sizeof(*s->labels));
	while (s->labels != NULL && s->n_labels < LABELS_A_SERIES &&
	       metric_label(&labels, &key, &value)) {
		Causeway__V1__StatisticLabel *l = msg_take(mem, sizeof(*l));

		if (l == NULL)
			return;
		causeway__v1__statistic_label__init(l);
		l->key = msg_span(mem, key);
		l->value = msg_span(mem, value);
		s->labels[s->n_labels++] = l;
	}
}

static void put_histogram(struct msg_mem *mem, Causeway__V1__Statistic *s,
                          const struct metric_view *v)
{
	Causeway__V1__StatisticHistogram *h = msg_take(mem, sizeof(*h));
	size_t n = v->buckets->bounds_len;

	if (h == NULL)
		return;
	causeway__v1__statistic_histogram__init(h);
	h->bounds = msg_take(mem, n * sizeof(*h->bounds));
	h->counts = msg_take(mem, n * sizeof(*h->counts));
	if (h->bounds == NULL || h->counts == NULL)
		return;
	h->n_bounds = h->n_counts = n;
	for (size_t i = 0; i < n; i++)
		h->bounds[i] = (double)v->buckets->bounds[i] * v->buckets->scale;
	memcpy(h->counts, v->counts, n * sizeof(*h->counts));
	h->count = v->count;
	h->sum = v->sum;
	s->histogram = h;
}

static void copy_one(void *arg, const struct metric_view *v)
{
	struct gathering *g = arg;
	Causeway__V1__Statistic *s;

	if (g->len == g->cap || !wanted(g->rq, v->name))
		return;
	s = msg_take(&g->mem, sizeof(*s));
	if (s == NULL)
		return;
	causeway__v1__statistic__init(s);
	s->name = msg_text(&g->mem, v->name);
	put_labels(&g->mem, s, v->labels);
	s->value = v->value;
	s->kind = v->buckets != NULL ? CAUSEWAY__V1__STATISTIC_KIND__STATISTIC_KIND_HISTOGRAM
	          : v->counter       ? CAUSEWAY__V1__STATISTIC_KIND__STATISTIC_KIND_COUNTER
	                             : CAUSEWAY__V1__STATISTIC_KIND__STATISTIC_KIND_GAUGE;
	if (v->buckets != NULL)
		put_histogram(&g->mem, s, v);
	g->list[g->len++] = s;
}

int get_statistics(struct call *c, const ProtobufCMessage *request)
{
	Causeway__V1__GetStatisticsResponse out = CAUSEWAY__V1__GET_STATISTICS_RESPONSE__INIT;
	struct gathering g = {
		.rq = (const void *)request, .mem = msg_mem_of(call_allocator(c)), .cap = ROOM};
	int err = need_all_groups(c);

	if (err != 0)
		return err;
	if (g.rq->n_names > NAMES_MAX)
		return call_fail(c, CALL_INVALID_ARGUMENT, "NAMES_INVALID",
		                 "ask for fewer, or for all without naming them",
		                 "names has more than %d elements", NAMES_MAX);
	metric_each(count_one, &g);
	g.list = msg_take(&g.mem, g.cap * sizeof(*g.list));
	if (g.list == NULL)
		return no_memory(c);
	out.time = msg_time(&g.mem, (uint64_t)clock_wall_ms());
	out.uptime_ms = clock_mono_ms() - api_of(c)->started_mono_ms;
	metric_each(copy_one, &g);
	out.statistics = g.list;
	out.n_statistics = g.len;
	return g.mem.failed ? no_memory(c) : call_send(c, &out.base);
}
