/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd_operation.c: the commands `operation ...` and `audit`, and waiting for an operation with its progress. One thread. */
#include <string.h>
#include <unistd.h>

#include "causeway/v1/audit.pb-c.h"
#include "causeway/v1/operations.pb-c.h"
#include "core/clock.h"
#include "mgmtapi/call.h"
#include "mgmtapi/cli/show.h"

#define SERVICE     (&causeway__v1__operation_service__descriptor)
#define WAIT_STEP_S 1 /* how often progress is shown */

static void state_word(int state, char out[32])
{
	cli_enum_word(&causeway__v1__operation_state__descriptor, state, out, 32);
}

/* "operations/" in front of an id is the server's to take. */
static int call_id(struct cli *cli, const char *method, ProtobufCMessage **m)
{
	Causeway__V1__GetOperationRequest get = CAUSEWAY__V1__GET_OPERATION_REQUEST__INIT;
	Causeway__V1__CancelOperationRequest cancel = CAUSEWAY__V1__CANCEL_OPERATION_REQUEST__INIT;

	get.id = cancel.id = CLI_TEXT(cli_word(&cli->args, 0));
	return cli_call(cli, SERVICE, method,
	                strcmp(method, "GetOperation") == 0 ? &get.base : &cancel.base, m);
}

/* ---- list and show */

static void operation_row(struct cli *cli, const ProtobufCMessage *item, void *arg)
{
	const Causeway__V1__Operation *o = (const Causeway__V1__Operation *)item;
	struct cli_table *t = arg;
	char state[32];

	(void)cli;
	state_word((int)o->state, state);
	cli_cell(t, "%s", o->id);
	cli_cell(t, "%s", o->kind);
	cli_cell(t, "%s", state);
	cli_cell(t, "%u/%u", o->progress_done, o->progress_total);
	cli_cell(t, "%s", o->principal);
	cli_cell_age(t, o->created_time);
}

int cli_operation_list(struct cli *cli)
{
	static const char *const heads[] = {"ID", "KIND", "STATE", "DONE", "BY", "STARTED"};
	Causeway__V1__ListOperationsRequest req = CAUSEWAY__V1__LIST_OPERATIONS_REQUEST__INIT;
	const char *state = cli_arg(&cli->args, "state");
	struct cli_list_opts opts = {.row = operation_row};
	uint32_t limit = 0;
	struct cli_table t;
	int r = cli_arg_u32(cli, "limit", UINT32_MAX - 1, &limit);

	if (r != 0)
		return r;
	if (state != NULL)
		req.state = (Causeway__V1__OperationState)cli_enum_value(
			&causeway__v1__operation_state__descriptor, state);
	cli_table_init(&t, heads, ARRAY_LEN(heads));
	opts.arg = &t;
	opts.limit = limit;
	r = cli_list(cli, SERVICE, "ListOperations", &req.base, &opts);
	if (r == 0)
		return cli_print_table(cli, &t);
	buf_free(&t.text);
	return r;
}

static int print_results(struct cli *cli, const Causeway__V1__Operation *o, bool failed_only)
{
	static const char *const heads[] = {"DEVICE", "RESULT", "WHAT HAPPENED"};
	struct cli_table t;

	cli_table_init(&t, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < o->n_results; i++) {
		const Causeway__V1__DeviceResult *d = o->results[i];

		if (failed_only && d->code == 0)
			continue;
		cli_cell(&t, "%s", d->device);
		cli_cell(&t, "%s",
		         d->code == 0           ? "done"
		         : d->reason[0] != '\0' ? d->reason
		                                : call_code_name(d->code));
		cli_cell(&t, "%s", d->message);
	}
	if (t.cells > 0)
		return cli_print_table(cli, &t);
	buf_free(&t.text);
	return CLI_OK;
}

static int show(struct cli *cli, const ProtobufCMessage *m)
{
	const Causeway__V1__Operation *o = (const Causeway__V1__Operation *)m;
	char state[32];

	if (cli->json)
		return cli_print_json(cli, m);
	state_word((int)o->state, state);
	cli_field(cli->out, "ID", "%s", o->id);
	cli_field(cli->out, "Kind", "%s", o->kind);
	cli_field(cli->out, "Resource", "%s", o->resource);
	cli_field(cli->out, "State", "%s", state);
	cli_field(cli->out, "Done", "%u of %u", o->progress_done, o->progress_total);
	cli_field(cli->out, "By", "%s", o->principal);
	cli_field_time(cli->out, "Started", o->created_time);
	cli_field_time(cli->out, "Progress", o->updated_time);
	if (o->error != NULL)
		cli_field(cli->out, "Error", "%s (%s)", o->error->message,
		          call_code_name(o->error->code));
	if (o->n_results > 0)
		(void)fputc('\n', cli->out);
	return print_results(cli, o, false);
}

int cli_operation_show(struct cli *cli)
{
	ProtobufCMessage *m;
	int r = call_id(cli, "GetOperation", &m);

	if (r != 0)
		return r;
	r = show(cli, m);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int cli_operation_cancel(struct cli *cli)
{
	ProtobufCMessage *m;
	char state[32];
	int r = call_id(cli, "CancelOperation", &m);

	if (r != 0)
		return r;
	state_word((int)((Causeway__V1__Operation *)m)->state, state);
	r = cli_done(cli, m, "Operation %s asked to stop; it is %s.",
	             ((Causeway__V1__Operation *)m)->id, state);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

/* ---- waiting */

static bool at_work(const Causeway__V1__Operation *o)
{
	return o->state == CAUSEWAY__V1__OPERATION_STATE__OPERATION_STATE_RUNNING;
}

/* The exit status that belongs to an ended operation; sets the error. */
static int outcome(struct cli *cli, const Causeway__V1__Operation *o)
{
	size_t failed = 0;
	char state[32];

	for (size_t i = 0; i < o->n_results; i++)
		failed += o->results[i]->code != 0;
	if (o->state == CAUSEWAY__V1__OPERATION_STATE__OPERATION_STATE_FAILED && o->error != NULL)
		return cli_fail_status(cli, o->error->code, o->error->message, span_of(NULL, 0));
	state_word((int)o->state, state);
	if (o->state != CAUSEWAY__V1__OPERATION_STATE__OPERATION_STATE_DONE)
		return cli_fail(cli, CLI_FAILED, NULL, "operation %s is %s after %u of %u", o->id,
		                state, o->progress_done, o->progress_total);
	if (failed > 0)
		return cli_fail(cli, CLI_FAILED, NULL, "%zu of %u devices failed", failed,
		                o->progress_total);
	return CLI_OK;
}

/* A line that overwrites itself on a terminal; elsewhere a line for each change. */
static void show_progress(struct cli *cli, const Causeway__V1__Operation *o, uint32_t *last)
{
	if (cli->quiet || *last == o->progress_done)
		return;
	*last = o->progress_done;
	(void)fprintf(cli->err, cli->color ? "\r%u of %u done" : "%u of %u done\n",
	              o->progress_done, o->progress_total);
	(void)fflush(cli->err);
}

/* Replaces *m by the operation's newer state until it ended or until_ms (0: never). */
static int wait_end(struct cli *cli, ProtobufCMessage **m, uint64_t until_ms)
{
	Causeway__V1__WaitOperationRequest req = CAUSEWAY__V1__WAIT_OPERATION_REQUEST__INIT;
	Google__Protobuf__Duration step = GOOGLE__PROTOBUF__DURATION__INIT;
	uint32_t last = UINT32_MAX;
	ProtobufCMessage *old;
	int r = 0;

	step.seconds = WAIT_STEP_S;
	req.timeout = &step;
	while (r == 0 && at_work((Causeway__V1__Operation *)*m)) {
		if (until_ms != 0 && clock_mono_ms() >= until_ms)
			r = cli_fail(cli, CLI_UNAVAILABLE,
			             "wait again with 'causeway operation wait'",
			             "operation %s is still at work",
			             ((Causeway__V1__Operation *)*m)->id);
		show_progress(cli, (Causeway__V1__Operation *)*m, &last);
		old = *m;
		req.id = ((Causeway__V1__Operation *)old)->id;
		if (r == 0)
			r = cli_call(cli, SERVICE, "WaitOperation", &req.base, m);
		if (r == CLI_INTERRUPTED)
			(void)cli_fail(cli, CLI_INTERRUPTED,
			               "'causeway operation cancel' with its id stops it",
			               "interrupted; operation %s goes on", req.id);
		if (r == 0)
			protobuf_c_message_free_unpacked(old, NULL);
		else
			*m = old; /* the last known state */
	}
	if (r == 0)
		show_progress(cli, (Causeway__V1__Operation *)*m, &last);
	if (last != UINT32_MAX && cli->color)
		(void)fputc('\n', cli->err);
	return r;
}

static int follow_until(struct cli *cli, ProtobufCMessage *m, uint64_t until_ms)
{
	int r = wait_end(cli, &m, until_ms);

	if (r == 0)
		r = cli->json ? cli_print_json(cli, m)
		              : print_results(cli, (Causeway__V1__Operation *)m, true);
	if (r == 0)
		r = outcome(cli, (Causeway__V1__Operation *)m);
	if (r == 0 && !cli->json)
		(void)fprintf(cli->out, "%u of %u done.\n",
		              ((Causeway__V1__Operation *)m)->progress_done,
		              ((Causeway__V1__Operation *)m)->progress_total);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int cli_operation_follow(struct cli *cli, ProtobufCMessage *operation)
{
	return follow_until(cli, operation, 0);
}

int cli_operation_wait(struct cli *cli)
{
	uint64_t last_ms = 0;
	ProtobufCMessage *m;
	int r = cli_arg_ms(cli, "for", &last_ms);

	if (r == 0)
		r = call_id(cli, "GetOperation", &m);
	if (r != 0)
		return r;
	return follow_until(cli, m, last_ms != 0 ? clock_mono_ms() + last_ms : 0);
}

/* ---- audit */

static void audit_row(struct cli *cli, const ProtobufCMessage *item, void *arg)
{
	const Causeway__V1__AuditRecord *a = (const Causeway__V1__AuditRecord *)item;
	const char *method = a->method;
	struct cli_table *t = arg;
	struct buf when;

	(void)cli;
	if (strncmp(method, "causeway.v1.", 12) == 0)
		method += 12;
	buf_init(&when, 64);
	cli_local_time(&when, cli_ms_of(a->record_time), true);
	cli_cell(t, "%llu", (unsigned long long)a->sequence);
	cli_cell(t, "%s", buf_cstr(&when));
	cli_cell(t, "%s", a->principal);
	cli_cell(t, "%s", method);
	cli_cell(t, "%s", a->resource);
	cli_cell(t, "%s", a->outcome);
	cli_cell(t, "%s", a->detail);
	buf_free(&when);
}

int cli_audit(struct cli *cli)
{
	static const char *const heads[] = {"NUMBER", "WHEN",    "WHO",   "WHAT",
	                                    "ON",     "OUTCOME", "DETAIL"};
	Causeway__V1__ListAuditRecordsRequest req = CAUSEWAY__V1__LIST_AUDIT_RECORDS_REQUEST__INIT;
	Google__Protobuf__Timestamp start = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	struct cli_list_opts opts = {.row = audit_row};
	const char *filter = cli_arg(&cli->args, "filter");
	uint64_t since_ms = 0;
	uint32_t limit = 100;
	struct cli_table t;
	int r = cli_arg_u32(cli, "limit", UINT32_MAX - 1, &limit);

	if (r == 0)
		r = cli_arg_ms(cli, "since", &since_ms);
	if (r != 0)
		return r;
	if (filter != NULL)
		req.filter = CLI_TEXT(filter);
	if (since_ms != 0) {
		start.seconds = (clock_wall_ms() - (int64_t)since_ms) / 1000;
		req.start_time = &start;
	}
	cli_table_init(&t, heads, ARRAY_LEN(heads));
	opts.arg = &t;
	opts.limit = limit;
	r = cli_list(cli, &causeway__v1__audit_service__descriptor, "ListAuditRecords", &req.base,
	             &opts);
	if (r == 0)
		return cli_print_table(cli, &t);
	buf_free(&t.text);
	return r;
}
