/* SPDX-License-Identifier: GPL-3.0-or-later */
/* svc_operations.c: OperationService. A caller sees its own operations; administrators without group limits see all. */
#include "core/clock.h"
#include "core/err.h"
#include "google/protobuf/duration.pb-c.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/mutation.h"
#include "mgmtapi/operations.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_MAX_MS  (10ull * 60 * 1000)
#define WAIT_STEP_MS 100

static const char *bare_id(const char *id)
{
	return strncmp(id, "operations/", 11) == 0 ? id + 11 : id;
}

static bool may_see(struct call *c, const char *owner)
{
	const struct principal *p = call_principal(c);

	return strcmp(p->name, owner) == 0 || (p->role == ROLE_ADMINISTRATOR && p->groups_len == 0);
}

static int gone(struct call *c, const char *id)
{
	return call_fail(c, CALL_NOT_FOUND, "OPERATION_NOT_FOUND",
	                 "list operations; they are kept for seven days",
	                 "there is no operation %.64s", id);
}

/* The message of an operation, running or stored. */
struct looking {
	struct call *c;
	const char *id;
	struct msg_mem mem;
	Causeway__V1__Operation *msg;
};

static int view_one(struct store_txn *txn, void *arg)
{
	struct looking *l = arg;
	struct store_operation *o = calloc(1, sizeof(*o));
	int err = o != NULL ? store_operation_get(txn, l->id, o) : -ERR_NOMEM;

	if (err == 0) {
		l->msg = operation_msg_record(o, &l->mem, true);
		free(o->result);
	}
	free(o);
	return err;
}

static int look_up(struct call *c, const char *id, Causeway__V1__Operation **out)
{
	struct looking l = {.c = c, .id = id, .mem = msg_mem_of(call_allocator(c))};
	struct operation *op = operations_find(api_of(c)->operations, id);
	int err = 0;

	if (op != NULL)
		l.msg = operation_msg(op, &l.mem, true);
	else
		err = id[0] != '\0' && strlen(id) <= OPERATION_ID_LEN
		              ? store_view(api_of(c)->store, view_one, &l)
		              : -ERR_NOT_FOUND;
	operation_unref(op);
	if (err == -ERR_NOT_FOUND || (err == 0 && l.msg != NULL && !may_see(c, l.msg->principal)))
		return gone(c, id);
	if (err != 0)
		return call_fail_err(c, err, "the operation");
	*out = l.msg;
	return l.msg != NULL ? 0 : no_memory(c);
}

static int get_operation(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__GetOperationRequest *rq = (const void *)request;
	Causeway__V1__Operation *msg;
	int err = look_up(c, bare_id(rq->id), &msg);

	return err != 0 ? err : call_send(c, &msg->base);
}

static int wait_operation(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__WaitOperationRequest *rq = (const void *)request;
	const char *id = bare_id(rq->id);
	uint64_t end = clock_mono_ms() + WAIT_MAX_MS;
	Causeway__V1__Operation *msg;
	size_t mark = call_mark(c);
	struct operation *op;
	int err = look_up(c, id, &msg);

	if (err != 0)
		return err;
	if (rq->timeout != NULL && rq->timeout->seconds < (int64_t)(WAIT_MAX_MS / 1000))
		end = clock_mono_ms() + (uint64_t)(MAX(rq->timeout->seconds, (int64_t)0) * 1000 +
		                                   rq->timeout->nanos / 1000000);
	/* A little before the call's own deadline, so that the state still reaches the caller. */
	if (fiber_deadline_ms() != FIBER_NO_DEADLINE)
		end = MIN(end, fiber_deadline_ms() -
		                       MIN(fiber_deadline_ms(), (uint64_t)2 * WAIT_STEP_MS));
	op = operations_find(api_of(c)->operations, id);
	while (op != NULL && err == 0 && !operation_ended(op) && clock_mono_ms() < end)
		err = fiber_sleep(WAIT_STEP_MS);
	operation_unref(op);
	call_release(c, mark);
	if (err == 0)
		err = look_up(c, id, &msg);
	else
		err = call_fail_err(c, err, "the operation");
	return err != 0 ? err : call_send(c, &msg->base);
}

/* ---- list: newest first needs an order that the ids do not have: the newest of all that are kept are picked. ---- */

struct row {
	uint64_t created_ms;
	char id[OPERATION_ID_LEN + 1];
};

struct listing {
	struct call *c;
	const Causeway__V1__ListOperationsRequest *rq;
	struct row before; /* the last row of the page before; created_ms 0: none */
	struct row *rows;  /* sorted, newest first; max + 1 places */
	size_t len, max;
};

static bool newer(const struct row *a, const struct row *b)
{
	return a->created_ms != b->created_ms ? a->created_ms > b->created_ms
	                                      : strcmp(a->id, b->id) > 0;
}

static void insert(struct listing *l, const struct row *row)
{
	size_t at = l->len;

	while (at > 0 && newer(row, &l->rows[at - 1]))
		at--;
	if (at > l->max)
		return;
	if (l->len <= l->max)
		l->len++;
	memmove(&l->rows[at + 1], &l->rows[at], (l->len - 1 - at) * sizeof(*row));
	l->rows[at] = *row;
}

static int list_one(void *arg, struct span key, const void *record)
{
	struct listing *l = arg;
	const struct store_operation *o = record;
	struct row row = {.created_ms = o->created_ms};

	(void)key;
	(void)str_copy(row.id, sizeof(row.id), o->id);
	if (!may_see(l->c, o->principal) ||
	    (l->rq->state != 0 && (int)o->state != (int)l->rq->state))
		return 0;
	if (l->before.created_ms == 0 || newer(&l->before, &row))
		insert(l, &row);
	return 0;
}

static int view_all(struct store_txn *txn, void *arg)
{
	return store_each(txn, STORE_OPERATIONS, span_of(NULL, 0), false, list_one, arg);
}

static int open_list(struct call *c, const char *token, struct listing *l)
{
	uint8_t position[PAGE_POSITION_MAX];
	struct cur cur;
	size_t len;
	int err = page_open(c, "", token, position, &len);

	if (err != 0 || len == 0)
		return err;
	cur = cur_of(span_of(position, len));
	l->before.created_ms = (uint64_t)cur_u32(&cur) << 32;
	l->before.created_ms |= cur_u32(&cur);
	(void)str_copy_span(l->before.id, sizeof(l->before.id), cur_bytes(&cur, cur.left));
	return 0;
}

static char *close_list(struct call *c, const struct row *last)
{
	uint8_t raw[PAGE_POSITION_MAX];
	size_t n = strlen(last->id);

	for (unsigned i = 0; i < 8; i++)
		raw[i] = (uint8_t)(last->created_ms >> (56 - 8 * i));
	memcpy(raw + 8, last->id, n);
	return page_close(c, "", span_of(raw, 8 + n));
}

static int list_operations(struct call *c, const ProtobufCMessage *request)
{
	Causeway__V1__ListOperationsResponse out = CAUSEWAY__V1__LIST_OPERATIONS_RESPONSE__INIT;
	struct listing l = {.c = c, .rq = (const void *)request};
	int err;

	l.max = page_size(l.rq->page_size);
	l.rows = call_alloc(c, (l.max + 2) * sizeof(*l.rows));
	out.operations = call_alloc(c, l.max * sizeof(*out.operations));
	if (l.rows == NULL || out.operations == NULL)
		return no_memory(c);
	err = open_list(c, l.rq->page_token, &l);
	if (err != 0)
		return err;
	err = store_view(api_of(c)->store, view_all, &l);
	if (err < 0)
		return call_fail_err(c, err, "the operations");
	for (size_t i = 0; i < MIN(l.len, l.max); i++) {
		err = look_up(c, l.rows[i].id, &out.operations[out.n_operations]);
		if (err != 0)
			return err;
		out.operations[out.n_operations++]->n_results = 0; /* only GetOperation has them */
	}
	if (l.len > l.max)
		out.next_page_token = close_list(c, &l.rows[l.max - 1]);
	return out.next_page_token != NULL ? call_send(c, &out.base) : no_memory(c);
}

/* ---- cancel ---- */

static int apply_cancel(struct mutation *m, struct store_txn *txn, void *arg)
{
	(void)txn;
	return mutation_respond(m, arg);
}

static int cancel_operation(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__CancelOperationRequest *rq = (const void *)request;
	const char *id = bare_id(rq->id);
	Causeway__V1__Operation *msg = NULL;
	struct operation *op;
	struct mutation *m;
	int err = look_up(c, id, &msg);

	m = err == 0 && msg != NULL ? mutation_new(c, request) : NULL;
	if (m == NULL)
		return err != 0 ? err : -ERR_NOMEM;
	msg->n_results = 0;
	mutation_about(m, "operations/%.64s", id);
	err = mutation_run(m, apply_cancel, &msg->base);
	op = err == 0 && !m->replayed ? operations_find(api_of(c)->operations, id) : NULL;
	if (op != NULL)
		operation_cancel(op);
	operation_unref(op);
	return mutation_finish(m, err);
}

#define OPERATION &causeway__v1__operation__descriptor

static const struct service_method methods[] = {
	{"GetOperation", &causeway__v1__get_operation_request__descriptor, OPERATION,
         get_operation},
	{"ListOperations", &causeway__v1__list_operations_request__descriptor,
         &causeway__v1__list_operations_response__descriptor, list_operations},
	{"CancelOperation", &causeway__v1__cancel_operation_request__descriptor, OPERATION,
         cancel_operation},
	{"WaitOperation", &causeway__v1__wait_operation_request__descriptor, OPERATION,
         wait_operation},
};

const struct service operations_service = {"causeway.v1.OperationService", methods,
                                           ARRAY_LEN(methods), false};
