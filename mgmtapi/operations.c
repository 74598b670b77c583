/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * operations.c: the table of running operations. Parts are handed out and reported under the operation's lock; the stored result is
 * a packed Operation message that holds only the results.
 */
#include "mgmtapi/operations.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/err.h"
#include "mgmtapi/mutation.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct operation {
	struct operations *table;
	struct store_operation rec; /* under lock, as everything below */
	char method[96];
	pthread_mutex_t lock;
	atomic_uint refs;
	atomic_bool cancelled;
	bool ended;
	size_t next, audited;
	size_t *order; /* parts in the order they ended */
	struct operation_part *parts;
	size_t parts_len;
};

struct operations {
	struct store *store;
	pthread_mutex_t lock;
	struct operation *running[OPERATIONS_RUNNING_MAX];
};

struct operations *operations_new(struct store *store)
{
	struct operations *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->store = store;
	(void)pthread_mutex_init(&o->lock, NULL);
	return o;
}

void operations_free(struct operations *o)
{
	if (o == NULL)
		return;
	(void)pthread_mutex_destroy(&o->lock);
	free(o);
}

unsigned operations_running(struct operations *o)
{
	unsigned n = 0;

	pthread_mutex_lock(&o->lock);
	for (size_t i = 0; i < OPERATIONS_RUNNING_MAX; i++)
		n += o->running[i] != NULL ? 1 : 0;
	pthread_mutex_unlock(&o->lock);
	return n;
}

void operation_unref(struct operation *op)
{
	if (op == NULL || atomic_fetch_sub(&op->refs, 1) != 1)
		return;
	for (size_t i = 0; i < op->parts_len; i++)
		free(op->parts[i].text);
	free(op->parts);
	free(op->order);
	(void)pthread_mutex_destroy(&op->lock);
	free(op);
}

static struct operation *operation_make(struct operations *o, const struct operation_spec *spec)
{
	struct operation *op = calloc(1, sizeof(*op));
	uint8_t id[OPERATION_ID_LEN / 2];

	if (op == NULL)
		return NULL;
	op->table = o;
	(void)pthread_mutex_init(&op->lock, NULL);
	atomic_store(&op->refs, 1);
	op->parts = calloc(MAX(spec->keys_len, (size_t)1), sizeof(*op->parts));
	op->order = calloc(MAX(spec->keys_len, (size_t)1), sizeof(*op->order));
	if (op->parts == NULL || op->order == NULL) {
		operation_unref(op);
		return NULL;
	}
	op->parts_len = spec->keys_len;
	for (size_t i = 0; i < spec->keys_len; i++)
		op->parts[i].key = spec->keys[i];
	random_bytes(id, sizeof(id));
	hex_encode(op->rec.id, span_of(id, sizeof(id)));
	(void)str_copy(op->rec.kind, sizeof(op->rec.kind), spec->kind);
	(void)str_copy(op->rec.principal, sizeof(op->rec.principal), spec->principal);
	(void)str_copy(op->rec.resource, sizeof(op->rec.resource), spec->resource);
	(void)str_copy(op->method, sizeof(op->method), spec->method);
	op->rec.state = OPERATION_RUNNING;
	op->rec.progress_total = (uint32_t)spec->keys_len;
	op->rec.created_ms = op->rec.updated_ms = (uint64_t)clock_wall_ms();
	return op;
}

struct operation *operations_add(struct operations *o, const struct operation_spec *spec)
{
	struct operation *op = operation_make(o, spec);
	bool added = false;

	if (op == NULL)
		return NULL;
	pthread_mutex_lock(&o->lock);
	for (size_t i = 0; i < OPERATIONS_RUNNING_MAX && !added; i++) {
		if (o->running[i] != NULL)
			continue;
		o->running[i] = op;
		(void)atomic_fetch_add(&op->refs, 1);
		added = true;
	}
	pthread_mutex_unlock(&o->lock);
	if (added)
		return op;
	operation_unref(op);
	return NULL;
}

struct operation *operations_find(struct operations *o, const char *id)
{
	struct operation *found = NULL;

	pthread_mutex_lock(&o->lock);
	for (size_t i = 0; i < OPERATIONS_RUNNING_MAX && found == NULL; i++)
		if (o->running[i] != NULL && strcmp(o->running[i]->rec.id, id) == 0)
			found = o->running[i];
	if (found != NULL)
		(void)atomic_fetch_add(&found->refs, 1);
	pthread_mutex_unlock(&o->lock);
	return found;
}

void operation_drop(struct operation *op)
{
	struct operations *o = op->table;
	bool held = false;

	pthread_mutex_lock(&o->lock);
	for (size_t i = 0; i < OPERATIONS_RUNNING_MAX; i++) {
		if (o->running[i] != op)
			continue;
		o->running[i] = NULL;
		held = true;
	}
	pthread_mutex_unlock(&o->lock);
	if (held)
		operation_unref(op);
}

const char *operation_id(const struct operation *op)
{
	return op->rec.id;
}

void operation_cancel(struct operation *op)
{
	atomic_store(&op->cancelled, true);
}

bool operation_cancelled(const struct operation *op)
{
	return atomic_load(&op->cancelled);
}

bool operation_ended(const struct operation *op)
{
	struct operation *o = (struct operation *)(uintptr_t)op;
	bool ended;

	pthread_mutex_lock(&o->lock);
	ended = o->ended;
	pthread_mutex_unlock(&o->lock);
	return ended;
}

bool operation_take(struct operation *op, size_t *part)
{
	bool there;

	pthread_mutex_lock(&op->lock);
	there = op->next < op->parts_len && !operation_cancelled(op);
	if (there)
		*part = op->next++;
	pthread_mutex_unlock(&op->lock);
	return there;
}

const struct device_key *operation_key(const struct operation *op, size_t part)
{
	return &op->parts[part].key;
}

void operation_report(struct operation *op, size_t part, const struct failure *f)
{
	struct operation_part *p = &op->parts[part];

	pthread_mutex_lock(&op->lock);
	p->done = true;
	p->code = (int)f->code;
	p->reason = f->code != CALL_OK ? f->reason : "";
	if (f->code != CALL_OK)
		p->text = strndup(f->text, OPERATION_TEXT_MAX);
	op->order[op->rec.progress_done++] = part;
	op->rec.updated_ms = (uint64_t)clock_wall_ms();
	pthread_mutex_unlock(&op->lock);
}

/* ---- messages ---- */

static void put_part(struct msg_mem *m, Causeway__V1__DeviceResult *r,
                     const struct operation_part *p)
{
	char text[DEVICE_KEY_TEXT_MAX];

	causeway__v1__device_result__init(r);
	device_key_format(&p->key, text);
	r->device = msg_text(m, text);
	r->code = p->code;
	r->reason = msg_text(m, p->reason);
	r->message = msg_text(m, p->text);
}

static void put_parts(struct operation *op, struct msg_mem *m, Causeway__V1__Operation *out)
{
	size_t n = op->rec.progress_done;
	Causeway__V1__DeviceResult **list = msg_take(m, n * sizeof(*list));
	Causeway__V1__DeviceResult *all = msg_take(m, n * sizeof(*all));

	if (list == NULL || all == NULL)
		return;
	out->results = list;
	for (size_t i = 0; i < n; i++) {
		put_part(m, &all[i], &op->parts[op->order[i]]);
		list[i] = &all[i];
	}
	out->n_results = n;
}

static Causeway__V1__Operation *head_msg(const struct store_operation *rec, struct msg_mem *m)
{
	Causeway__V1__Operation *out = msg_take(m, sizeof(*out));

	if (out == NULL)
		return NULL;
	causeway__v1__operation__init(out);
	out->id = msg_text(m, rec->id);
	out->kind = msg_text(m, rec->kind);
	out->principal = msg_text(m, rec->principal);
	out->resource = msg_text(m, rec->resource);
	out->state = (Causeway__V1__OperationState)rec->state;
	out->progress_done = rec->progress_done;
	out->progress_total = rec->progress_total;
	out->created_time = msg_time(m, rec->created_ms);
	out->updated_time = msg_time(m, rec->updated_ms);
	return m->failed ? NULL : out;
}

Causeway__V1__Operation *operation_msg(struct operation *op, struct msg_mem *m, bool with_results)
{
	Causeway__V1__Operation *out;

	pthread_mutex_lock(&op->lock);
	out = head_msg(&op->rec, m);
	if (out != NULL && with_results)
		put_parts(op, m, out);
	pthread_mutex_unlock(&op->lock);
	return m->failed ? NULL : out;
}

Causeway__V1__Operation *operation_msg_record(const struct store_operation *rec, struct msg_mem *m,
                                              bool with_results)
{
	Causeway__V1__Operation *out = head_msg(rec, m), *kept;

	if (out == NULL || !with_results || rec->result_len == 0)
		return out;
	kept = causeway__v1__operation__unpack(m->from, rec->result_len, rec->result);
	if (kept == NULL)
		return out;
	out->results = kept->results;
	out->n_results = kept->n_results;
	return out;
}

/* ---- storing ---- */

/* Only the results; the rest is in the record's own fields. Without texts if that is too much. */
static int pack_results(struct operation *op, struct buf *out)
{
	struct arena arena;
	struct msg_mem m;
	ProtobufCAllocator from;
	Causeway__V1__Operation msg = CAUSEWAY__V1__OPERATION__INIT;
	uint8_t *at;
	size_t n;

	arena_init(&arena, 16UL * 1024 * 1024);
	from = mutation_allocator(&arena);
	m = msg_mem_of(&from);
	put_parts(op, &m, &msg);
	n = causeway__v1__operation__get_packed_size(&msg);
	for (size_t i = 0; n > OPERATION_RESULT_MAX && i < msg.n_results; i++)
		msg.results[i]->message = msg_text(&m, "");
	n = causeway__v1__operation__get_packed_size(&msg);
	at = m.failed || n > OPERATION_RESULT_MAX ? NULL : buf_reserve(out, n + 1);
	if (at != NULL)
		out->len = causeway__v1__operation__pack(&msg, at);
	arena_free(&arena);
	return at != NULL ? 0 : -ERR_NOMEM;
}

int operation_put(struct operation *op, struct store_txn *txn)
{
	struct buf result;
	int err;

	buf_init(&result, OPERATION_RESULT_MAX + 1);
	pthread_mutex_lock(&op->lock);
	err = pack_results(op, &result);
	op->rec.result = result.data;
	op->rec.result_len = (uint32_t)result.len;
	if (err == 0)
		err = store_operation_put(txn, &op->rec);
	op->rec.result = NULL;
	op->rec.result_len = 0;
	pthread_mutex_unlock(&op->lock);
	buf_free(&result);
	return err;
}

static int audit_part(struct operation *op, struct store_txn *txn, const struct operation_part *p)
{
	char resource[DEVICE_KEY_TEXT_MAX + 16], detail[OPERATION_TEXT_MAX + 64],
		key[DEVICE_KEY_TEXT_MAX];
	const struct audit_entry e = {
		.principal = op->rec.principal,
		.method = op->method,
		.resource = resource,
		.outcome = call_code_name(p->code),
		.detail = detail,
	};

	device_key_format(&p->key, key);
	(void)snprintf(resource, sizeof(resource), "devices/%s", key);
	(void)snprintf(detail, sizeof(detail), "operations/%s%s%s", op->rec.id,
	               p->text != NULL ? ": " : "", p->text != NULL ? p->text : "");
	return mutation_audit(txn, &e);
}

struct persist {
	struct operation *op;
	size_t upto;
};

static int txn_persist(struct store_txn *txn, void *arg)
{
	struct persist *p = arg;
	int err = operation_put(p->op, txn);

	/* order[..upto) is settled: nobody changes it any more. */
	for (size_t i = p->op->audited; i < p->upto && err == 0; i++)
		err = audit_part(p->op, txn, &p->op->parts[p->op->order[i]]);
	return err;
}

int operation_persist(struct operation *op, bool end)
{
	struct persist p = {.op = op};
	int err;

	pthread_mutex_lock(&op->lock);
	p.upto = op->rec.progress_done;
	if (end)
		op->rec.state = p.upto < op->parts_len ? OPERATION_CANCELLED : OPERATION_DONE;
	pthread_mutex_unlock(&op->lock);
	if (p.upto == op->audited && !end)
		return 0;
	err = store_update(op->table->store, txn_persist, &p);
	if (err == 0)
		op->audited = p.upto;
	if (!end)
		return err;
	pthread_mutex_lock(&op->lock);
	op->ended = true;
	pthread_mutex_unlock(&op->lock);
	operation_drop(op);
	return err;
}

/* ---- at start ---- */

struct interrupted {
	char (*ids)[OPERATION_ID_LEN + 1];
	size_t len;
};

static int note_running(void *arg, struct span key, const void *record)
{
	struct interrupted *in = arg;
	const struct store_operation *o = record;
	void *more;

	(void)key;
	if (o->state != OPERATION_RUNNING)
		return 0;
	more = realloc(in->ids, (in->len + 1) * sizeof(*in->ids));
	if (more == NULL)
		return -ERR_NOMEM;
	in->ids = more;
	(void)str_copy(in->ids[in->len++], sizeof(in->ids[0]), o->id);
	return 0;
}

static int interrupt_one(struct store_txn *txn, const char *id)
{
	struct store_operation *o = calloc(1, sizeof(*o));
	int err = o != NULL ? store_operation_get(txn, id, o) : -ERR_NOMEM;

	if (err == 0) {
		o->state = OPERATION_INTERRUPTED;
		o->updated_ms = (uint64_t)clock_wall_ms();
		err = store_operation_put(txn, o);
		free(o->result);
	}
	free(o);
	return err;
}

static int txn_interrupt(struct store_txn *txn, void *arg)
{
	struct interrupted in = {.len = 0};
	int err = store_each(txn, STORE_OPERATIONS, span_of(NULL, 0), false, note_running, &in);

	(void)arg;
	for (size_t i = 0; i < in.len && err == 0; i++)
		err = interrupt_one(txn, in.ids[i]);
	free(in.ids);
	return err;
}

int operations_interrupt(struct store *store)
{
	return store_update(store, txn_interrupt, NULL);
}
