/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stages.c: histograms of a call's stages, and the list of the calls that run on this worker. */
#include "amt/stages.h"
#include "amt/session.h"
#include "core/clock.h"
#include "core/metric.h"
#include "core/probe.h"

#include <stdio.h>

static const char *const names[AMT_STAGE_LEN] = {
	[AMT_STAGE_QUEUE] = "queue", [AMT_STAGE_CHANNEL] = "channel", [AMT_STAGE_TLS] = "tls",
	[AMT_STAGE_SEND] = "send",   [AMT_STAGE_DEVICE] = "device",   [AMT_STAGE_ANSWER] = "answer",
};
static struct metric *times[AMT_STAGE_LEN];

static _Thread_local struct list running; /* all zero before the first call */

const char *amt_stage_name(enum amt_stage s)
{
	return names[s];
}

void stages_metrics(void)
{
	for (size_t i = 0; i < AMT_STAGE_LEN; i++) {
		char labels[32];

		(void)snprintf(labels, sizeof(labels), "stage=%s", names[i]);
		times[i] = metric_histogram(AMT_STAGE_METRIC,
		                            "Time that a WSMAN call spent in a stage.", labels,
		                            &metric_latency_us);
	}
}

void stages_begin(struct amt_stages *m, struct tunnel *t, const struct wsman_request *rq)
{
	if (running.next == NULL)
		list_init(&running);
	*m = (struct amt_stages){.t = t, .rq = rq, .stage = AMT_STAGE_QUEUE};
	m->seen = 1U << AMT_STAGE_QUEUE;
	m->began_us = m->at_us = clock_mono_us();
	list_push_back(&running, &m->link);
	PROBE(call_begin, t, rq->op);
}

void stages_enter(struct amt_stages *m, enum amt_stage stage)
{
	uint64_t now_us;

	if (m == NULL)
		return;
	now_us = clock_mono_us();
	m->spent_us[m->stage] += now_us - m->at_us;
	m->at_us = now_us;
	m->stage = stage;
	m->seen |= 1U << stage;
	PROBE(call_stage, m->t, stage);
}

uint64_t stages_end(struct amt_stages *m)
{
	list_remove(&m->link);
	stages_enter(m, m->stage);
	for (size_t i = 0; i < AMT_STAGE_LEN; i++)
		if (times[i] != NULL && (m->seen & 1U << i) != 0)
			metric_observe(times[i], m->spent_us[i]);
	PROBE(call_end, m->t, m->at_us - m->began_us);
	return m->at_us - m->began_us;
}

struct amt_stages *stages_of(const struct tunnel *t)
{
	const struct amt_session *s = tunnel_ext(t);

	return s != NULL ? s->stages : NULL;
}

static const char *op_name(enum wsman_op op)
{
	static const char *const ops[] = {
		[WSMAN_GET] = "get",       [WSMAN_PUT] = "put",
		[WSMAN_CREATE] = "create", [WSMAN_DELETE] = "delete",
		[WSMAN_INVOKE] = "invoke", [WSMAN_ENUMERATE] = "enumerate",
		[WSMAN_PULL] = "pull",     [WSMAN_RELEASE] = "release",
	};

	return ops[op];
}

size_t amt_running(struct amt_running *out, size_t max)
{
	uint64_t now_us = clock_mono_us();
	size_t n = 0;

	if (running.next == NULL)
		return 0;
	/* The list is in the order of beginning: the oldest first. */
	for (struct list *l = running.next; l != &running && n < max; l = l->next, n++) {
		const struct amt_stages *m = container_of(l, struct amt_stages, link);

		out[n] = (struct amt_running){.key = *tunnel_device(m->t), .stage = m->stage};
		out[n].age_us = now_us - m->began_us;
		out[n].stage_us = now_us - m->at_us;
		out[n].op = op_name(m->rq->op);
		(void)str_copy(out[n].class_name, sizeof(out[n].class_name),
		               wsman_class_of(m->rq->resource_uri));
		(void)str_copy(out[n].method, sizeof(out[n].method),
		               m->rq->method != NULL ? m->rq->method : "");
	}
	return n;
}
