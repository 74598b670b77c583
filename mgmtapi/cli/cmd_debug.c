/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd_debug.c: the commands `debug ...`: where calls spend their time, and what is under way. One thread. */
#include "causeway/v1/debug.pb-c.h"
#include "mgmtapi/cli/show.h"

#define SERVICE (&causeway__v1__debug_service__descriptor)

/* cell_time: "850us", "12.3ms", "4.5s"; "-" for 0. */
static void cell_time(struct cli_table *t, uint64_t us)
{
	if (us == 0)
		cli_cell(t, "%s", "");
	else if (us < 1000)
		cli_cell(t, "%lluus", (unsigned long long)us);
	else if (us < 1000000)
		cli_cell(t, "%.1fms", (double)us / 1e3);
	else
		cli_cell(t, "%.1fs", (double)us / 1e6);
}

static void cell_size(struct cli_table *t, uint64_t octets)
{
	struct buf text;

	buf_init(&text, 64);
	if (octets > 0)
		cli_size(&text, octets);
	cli_cell(t, "%s", buf_cstr(&text));
	buf_free(&text);
}

/* Count, mean and percentiles: five cells. */
static void cell_timing(struct cli_table *t, const Causeway__V1__Timing *x)
{
	cli_cell(t, "%llu", (unsigned long long)x->count);
	cell_time(t, x->count > 0 ? x->total_us / x->count : 0);
	cell_time(t, x->p50_us);
	cell_time(t, x->p90_us);
	cell_time(t, x->p99_us);
}

typedef void print_fn(struct cli_table *t, const ProtobufCMessage *m);

/* show: calls a method and prints the answer, as a table of its own form. */
static int show(struct cli *cli, const char *method, ProtobufCMessage *request, struct cli_table *t,
                print_fn *print)
{
	ProtobufCMessage *m;
	int r = cli_call(cli, SERVICE, method, request, &m);

	if (r == 0 && cli->json)
		r = cli_print_json(cli, m);
	else if (r == 0)
		print(t, m);
	if (r == 0 && !cli->json)
		r = cli_print_table(cli, t);
	if (m != NULL)
		protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

static void print_calls(struct cli_table *t, const ProtobufCMessage *m)
{
	const Causeway__V1__GetCallProfileResponse *p = (const void *)m;

	for (size_t i = 0; i < p->n_stages; i++) {
		cli_cell(t, "%s", p->stages[i]->stage);
		cli_cell(t, "%.0f%%", p->stages[i]->share * 100);
		cell_timing(t, p->stages[i]->timing);
	}
	cli_cell(t, "%s", "whole call");
	cli_cell(t, "%s", "");
	cell_timing(t, p->calls);
}

int cli_debug_calls(struct cli *cli)
{
	static const char *const heads[] = {"STAGE", "SHARE", "CALLS", "MEAN", "P50", "P90", "P99"};
	Causeway__V1__GetCallProfileRequest req = CAUSEWAY__V1__GET_CALL_PROFILE_REQUEST__INIT;
	struct cli_table t;

	cli_table_init(&t, heads, ARRAY_LEN(heads));
	return show(cli, "GetCallProfile", &req.base, &t, print_calls);
}

static void print_running(struct cli_table *t, const ProtobufCMessage *m)
{
	const Causeway__V1__ListRunningCallsResponse *a = (const void *)m;

	for (size_t i = 0; i < a->n_calls; i++) {
		const Causeway__V1__RunningCall *c = a->calls[i];

		cli_cell(t, "%s", c->device);
		cli_cell(t, "%s %s%s%s", c->operation, c->class_name,
		         c->method[0] != '\0' ? "." : "", c->method);
		cli_cell(t, "%s", c->stage);
		cell_time(t, c->stage_age_us);
		cell_time(t, c->age_us);
		cli_cell(t, "%u", c->worker);
	}
}

int cli_debug_operations(struct cli *cli)
{
	static const char *const heads[] = {"DEVICE", "CALL", "STAGE", "IN STAGE", "AGE", "WORKER"};
	Causeway__V1__ListRunningCallsRequest req = CAUSEWAY__V1__LIST_RUNNING_CALLS_REQUEST__INIT;
	struct cli_table t;
	int r = cli_arg_u32(cli, "limit", 1000, &req.limit);

	if (r != 0)
		return r;
	cli_table_init(&t, heads, ARRAY_LEN(heads));
	return show(cli, "ListRunningCalls", &req.base, &t, print_running);
}

static void print_tunnels(struct cli_table *t, const ProtobufCMessage *m)
{
	const Causeway__V1__ListTunnelMemoryResponse *a = (const void *)m;

	for (size_t i = 0; i < a->n_tunnels; i++) {
		const Causeway__V1__TunnelMemory *u = a->tunnels[i];

		cli_cell(t, "%s", u->device[0] != '\0' ? u->device : "(not authenticated)");
		cell_size(t, u->total_bytes);
		cell_size(t, u->send_bytes);
		cell_size(t, u->receive_bytes);
		cell_size(t, u->session_bytes);
		cell_size(t, u->channel_bytes);
		cli_cell(t, "%u", u->channels);
		cli_cell(t, "%u", u->opening);
		cli_cell(t, "%u", u->worker);
	}
}

int cli_debug_tunnels(struct cli *cli)
{
	static const char *const heads[] = {"DEVICE", "HOLDS",    "TO SEND", "RECEIVED", "MESSAGE",
	                                    "UNREAD", "CHANNELS", "OPENING", "WORKER"};
	Causeway__V1__ListTunnelMemoryRequest req = CAUSEWAY__V1__LIST_TUNNEL_MEMORY_REQUEST__INIT;
	struct cli_table t;
	int r = cli_arg_u32(cli, "limit", 1000, &req.limit);

	if (r != 0)
		return r;
	cli_table_init(&t, heads, ARRAY_LEN(heads));
	return show(cli, "ListTunnelMemory", &req.base, &t, print_tunnels);
}

static void print_loops(struct cli_table *t, const ProtobufCMessage *m)
{
	const Causeway__V1__GetLoopsResponse *a = (const void *)m;

	for (size_t i = 0; i < a->n_loops; i++) {
		const Causeway__V1__Loop *l = a->loops[i];

		cli_cell(t, "%u", l->worker);
		cell_time(t, l->delay_us);
		cell_timing(t, l->iterations);
		cli_cell(t, "%llu", (unsigned long long)l->tasks);
		cli_cell(t, "%llu", (unsigned long long)l->fibers);
		cli_cell(t, "%llu", (unsigned long long)l->connections);
		cli_cell(t, "%llu", (unsigned long long)l->handshakes_queued);
		cell_size(t, l->send_memory_bytes);
	}
}

int cli_debug_loops(struct cli *cli)
{
	static const char *const heads[] = {"WORKER", "DELAY",       "ITERATIONS", "MEAN",
	                                    "P50",    "P90",         "P99",        "TASKS",
	                                    "FIBERS", "CONNECTIONS", "QUEUED",     "TO SEND"};
	Causeway__V1__GetLoopsRequest req = CAUSEWAY__V1__GET_LOOPS_REQUEST__INIT;
	struct cli_table t;

	cli_table_init(&t, heads, ARRAY_LEN(heads));
	return show(cli, "GetLoops", &req.base, &t, print_loops);
}
