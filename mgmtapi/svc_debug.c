/* SPDX-License-Identifier: GPL-3.0-or-later */
/* svc_debug.c: DebugService. Times come from the metrics; what is under way is asked of each worker in its own thread. */
#include "causeway/v1/debug.pb-c.h"
#include "amt/amt.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/metric.h"
#include "core/text.h"
#include "mgmtapi/api_internal.h"

#include <stdio.h>
#include <string.h>

#define CALLS_DEFAULT   100
#define TUNNELS_DEFAULT 20
#define LIMIT_MAX       1000
#define LOOPS_MAX       64

/* ---- times ---- */

static uint64_t microseconds(double seconds)
{
	return (uint64_t)(seconds * 1e6 + 0.5);
}

static void fill_timing(Causeway__V1__Timing *t, const struct metric_view *v)
{
	t->count = v->count;
	t->total_us = microseconds(v->sum);
	t->p50_us = microseconds(metric_quantile(v, 0.5));
	t->p90_us = microseconds(metric_quantile(v, 0.9));
	t->p99_us = microseconds(metric_quantile(v, 0.99));
}

/* label_is: the series has the label key=value. */
static bool label_is(const struct metric_view *v, const char *key, const char *value)
{
	const char *labels = v->labels;
	struct span k, x;

	while (metric_label(&labels, &k, &x))
		if (span_is(k, key) && span_is(x, value))
			return true;
	return false;
}

struct profile {
	Causeway__V1__CallStage stages[AMT_STAGE_LEN], *list[AMT_STAGE_LEN];
	Causeway__V1__Timing timings[AMT_STAGE_LEN], calls;
};

static void profile_one(void *arg, const struct metric_view *v)
{
	struct profile *p = arg;

	if (v->buckets == NULL)
		return;
	if (strcmp(v->name, AMT_CALL_METRIC) == 0)
		fill_timing(&p->calls, v);
	if (strcmp(v->name, AMT_STAGE_METRIC) != 0)
		return;
	for (int i = 0; i < AMT_STAGE_LEN; i++)
		if (label_is(v, "stage", amt_stage_name((enum amt_stage)i)))
			fill_timing(&p->timings[i], v);
}

static int get_call_profile(struct call *c, const ProtobufCMessage *request)
{
	Causeway__V1__GetCallProfileResponse out = CAUSEWAY__V1__GET_CALL_PROFILE_RESPONSE__INIT;
	struct profile *p = call_alloc(c, sizeof(*p));
	uint64_t all_us = 0;
	int err = need_all_groups(c);

	(void)request;
	if (err != 0)
		return err;
	if (p == NULL)
		return no_memory(c);
	causeway__v1__timing__init(&p->calls);
	for (int i = 0; i < AMT_STAGE_LEN; i++) {
		causeway__v1__timing__init(&p->timings[i]);
		causeway__v1__call_stage__init(&p->stages[i]);
		p->stages[i].stage = (char *)(uintptr_t)amt_stage_name((enum amt_stage)i);
		p->stages[i].timing = &p->timings[i];
		p->list[i] = &p->stages[i];
	}
	metric_each(profile_one, p);
	for (int i = 0; i < AMT_STAGE_LEN; i++)
		all_us += p->timings[i].total_us;
	for (int i = 0; i < AMT_STAGE_LEN && all_us > 0; i++)
		p->stages[i].share = (double)p->timings[i].total_us / (double)all_us;
	out.stages = p->list;
	out.n_stages = AMT_STAGE_LEN;
	out.calls = &p->calls;
	return call_send(c, &out.base);
}

/* ---- calls under way ---- */

struct gathering {
	struct amt_running *out;
	size_t len, max;
};

static int gather(void *arg)
{
	struct gathering *g = arg;

	g->len += amt_running(g->out + g->len, g->max - g->len);
	return 0;
}

static Causeway__V1__RunningCall *running_msg(struct msg_mem *m, const struct amt_running *r)
{
	Causeway__V1__RunningCall *out = msg_take(m, sizeof(*out));
	char text[DEVICE_KEY_TEXT_MAX];

	if (out == NULL)
		return NULL;
	causeway__v1__running_call__init(out);
	device_key_format(&r->key, text);
	out->device = msg_text(m, text);
	out->operation = msg_text(m, r->op);
	out->class_name = msg_text(m, r->class_name);
	out->method = msg_text(m, r->method);
	out->stage = msg_text(m, amt_stage_name(r->stage));
	out->age_us = r->age_us;
	out->stage_age_us = r->stage_us;
	return out;
}

static size_t limit_of(uint32_t asked, size_t usual)
{
	return asked == 0 ? usual : MIN((size_t)asked, (size_t)LIMIT_MAX);
}

static int list_running_calls(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__ListRunningCallsRequest *rq = (const void *)request;
	Causeway__V1__ListRunningCallsResponse out =
		CAUSEWAY__V1__LIST_RUNNING_CALLS_RESPONSE__INIT;
	struct msg_mem mem = msg_mem_of(call_allocator(c));
	struct gathering g = {.max = limit_of(rq->limit, CALLS_DEFAULT)};
	struct loop *loop;
	int err = need_all_groups(c);

	if (err != 0)
		return err;
	g.out = call_alloc(c, g.max * sizeof(*g.out));
	out.calls = call_alloc(c, g.max * sizeof(*out.calls));
	if (g.out == NULL || out.calls == NULL)
		return no_memory(c);
	for (size_t i = 0; (loop = gateway_worker_loop(api_of(c)->gateway, i)) != NULL; i++) {
		err = fiber_call_on(loop, "running", gather, &g);
		if (err != 0)
			return call_fail_err(c, err, "the worker");
		for (; out.n_calls < g.len; out.n_calls++) {
			Causeway__V1__RunningCall *r = running_msg(&mem, &g.out[out.n_calls]);

			if (r == NULL)
				return no_memory(c);
			r->worker = (uint32_t)i;
			out.calls[out.n_calls] = r;
		}
	}
	return mem.failed ? no_memory(c) : call_send(c, &out.base);
}

/* ---- tunnels ---- */

static Causeway__V1__TunnelMemory *memory_msg(struct msg_mem *m, const struct tunnel_load *l)
{
	static const struct guid nobody;
	Causeway__V1__TunnelMemory *out = msg_take(m, sizeof(*out));
	char text[DEVICE_KEY_TEXT_MAX];

	if (out == NULL)
		return NULL;
	causeway__v1__tunnel_memory__init(out);
	device_key_format(&l->key, text);
	out->device = msg_text(m, guid_equal(&l->key.guid, &nobody) ? "" : text);
	out->tunnel_id = l->tunnel_id;
	out->worker = l->worker;
	out->total_bytes = l->total;
	out->send_bytes = l->send;
	out->receive_bytes = l->receive;
	out->session_bytes = l->session;
	out->channel_bytes = l->channel;
	out->channels = l->channels;
	out->opening = l->openers;
	return out;
}

static int list_tunnel_memory(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__ListTunnelMemoryRequest *rq = (const void *)request;
	Causeway__V1__ListTunnelMemoryResponse out =
		CAUSEWAY__V1__LIST_TUNNEL_MEMORY_RESPONSE__INIT;
	struct msg_mem mem = msg_mem_of(call_allocator(c));
	size_t max = limit_of(rq->limit, TUNNELS_DEFAULT);
	struct tunnel_load *loads;
	ssize_t n;
	int err = need_all_groups(c);

	if (err != 0)
		return err;
	loads = call_alloc(c, max * sizeof(*loads));
	out.tunnels = call_alloc(c, max * sizeof(*out.tunnels));
	if (loads == NULL || out.tunnels == NULL)
		return no_memory(c);
	n = gateway_tunnel_loads(api_of(c)->gateway, loads, max);
	if (n < 0)
		return call_fail_err(c, (int)n, "the worker");
	for (; out.n_tunnels < (size_t)n; out.n_tunnels++)
		out.tunnels[out.n_tunnels] = memory_msg(&mem, &loads[out.n_tunnels]);
	return mem.failed ? no_memory(c) : call_send(c, &out.base);
}

/* ---- loops ---- */

struct probing {
	uint64_t asked_us, delay_us;
};

static int probe_there(void *arg)
{
	struct probing *p = arg;

	p->delay_us = clock_mono_us() - p->asked_us;
	return 0;
}

struct loops {
	Causeway__V1__Loop loops[LOOPS_MAX], *list[LOOPS_MAX];
	Causeway__V1__Timing iterations[LOOPS_MAX];
	size_t len;
};

static void loops_one(void *arg, const struct metric_view *v)
{
	struct loops *ls = arg;
	char worker[24];

	if (v->buckets == NULL || strcmp(v->name, LOOP_ITERATION_METRIC) != 0)
		return;
	for (size_t i = 0; i < ls->len; i++) {
		(void)snprintf(worker, sizeof(worker), "%zu", i);
		if (label_is(v, "worker", worker))
			fill_timing(&ls->iterations[i], v);
	}
}

static void fill_loop(Causeway__V1__Loop *out, const struct loop *loop)
{
	struct loop_stats st;

	loop_stats_read(loop, &st);
	out->worker = loop_index(loop);
	out->tasks = st.tasks;
	out->timers = st.timers;
	out->enters = st.enters;
	out->completions = st.completions;
	out->fibers = st.fibers_live;
	out->connections = st.conns_live;
	out->handshakes_queued = st.handshakes_queued;
	out->send_memory_bytes = st.send_memory_size;
	out->no_buffers = st.no_buffers;
}

static int get_loops(struct call *c, const ProtobufCMessage *request)
{
	Causeway__V1__GetLoopsResponse out = CAUSEWAY__V1__GET_LOOPS_RESPONSE__INIT;
	struct loops *ls = call_alloc(c, sizeof(*ls));
	struct loop *loop;
	int err = need_all_groups(c);

	(void)request;
	if (err != 0)
		return err;
	if (ls == NULL)
		return no_memory(c);
	ls->len = 0;
	while (ls->len < LOOPS_MAX &&
	       (loop = gateway_worker_loop(api_of(c)->gateway, ls->len)) != NULL) {
		struct probing p = {.asked_us = clock_mono_us()};
		size_t i = ls->len++;

		err = fiber_call_on(loop, "probe", probe_there, &p);
		if (err != 0)
			return call_fail_err(c, err, "the worker");
		causeway__v1__loop__init(&ls->loops[i]);
		causeway__v1__timing__init(&ls->iterations[i]);
		fill_loop(&ls->loops[i], loop);
		ls->loops[i].delay_us = p.delay_us;
		ls->loops[i].iterations = &ls->iterations[i];
		ls->list[i] = &ls->loops[i];
	}
	metric_each(loops_one, ls);
	out.loops = ls->list;
	out.n_loops = ls->len;
	return call_send(c, &out.base);
}

static const struct service_method methods[] = {
	{"GetCallProfile", &causeway__v1__get_call_profile_request__descriptor,
         &causeway__v1__get_call_profile_response__descriptor, get_call_profile},
	{"ListRunningCalls", &causeway__v1__list_running_calls_request__descriptor,
         &causeway__v1__list_running_calls_response__descriptor, list_running_calls},
	{"ListTunnelMemory", &causeway__v1__list_tunnel_memory_request__descriptor,
         &causeway__v1__list_tunnel_memory_response__descriptor, list_tunnel_memory},
	{"GetLoops", &causeway__v1__get_loops_request__descriptor,
         &causeway__v1__get_loops_response__descriptor, get_loops},
};

const struct service debug_service = {"causeway.v1.DebugService", methods, ARRAY_LEN(methods),
                                      false};
