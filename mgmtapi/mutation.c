/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mutation.c: see mutation.h. The txn_* functions run on the store's writer thread, everything else in the call's fiber. */
#include "mgmtapi/mutation.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/log.h"
#include "core/map.h"
#include "mgmtapi/api_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_PACKED_MAX (16 * 1024 * 1024)

/* Kept instead of a status code. */
#define STATUS_UNTOUCHED   100 /* nothing was sent: the id may be used again for the same request */
#define STATUS_ANSWER_LOST 101 /* done, but the answer was too large to be kept */

struct inflight {
	pthread_mutex_t lock;
	struct map ids;
};

struct inflight *inflight_new(void)
{
	struct inflight *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	(void)pthread_mutex_init(&f->lock, NULL);
	map_init(&f->ids, 32, INFLIGHT_MAX);
	return f;
}

void inflight_free(struct inflight *f)
{
	if (f == NULL)
		return;
	map_free(&f->ids);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

unsigned inflight_count(struct inflight *f)
{
	unsigned n;

	pthread_mutex_lock(&f->lock);
	n = f->ids.count;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static int inflight_enter(struct inflight *f, const uint8_t key[32])
{
	int err;

	pthread_mutex_lock(&f->lock);
	err = map_put(&f->ids, span_of(key, 32), f);
	pthread_mutex_unlock(&f->lock);
	return err;
}

static void inflight_leave(struct inflight *f, const uint8_t key[32])
{
	pthread_mutex_lock(&f->lock);
	(void)map_remove(&f->ids, span_of(key, 32));
	pthread_mutex_unlock(&f->lock);
}

/* ---- making ---- */

static void *arena_take(void *data, size_t n)
{
	return arena_alloc(data, n);
}

static void arena_leave(void *data, void *p)
{
	(void)data;
	(void)p;
}

ProtobufCAllocator mutation_allocator(struct arena *arena)
{
	return (ProtobufCAllocator){arena_take, arena_leave, arena};
}

/* The request without its id, packed, under the store's key: the same bytes for the same content. */
static int hash_request(struct mutation *m)
{
	const ProtobufCMessageDescriptor *d = m->request->descriptor;
	const ProtobufCFieldDescriptor *id =
		protobuf_c_message_descriptor_get_field_by_name(d, "request_id");
	ProtobufCMessage *copy = malloc(d->sizeof_message);
	struct buf packed;
	uint8_t *at;
	size_t n;

	buf_init(&packed, REQUEST_PACKED_MAX);
	if (copy == NULL)
		return -ERR_NOMEM;
	memcpy(copy, m->request, d->sizeof_message);
	if (id != NULL)
		*(const char **)(void *)((char *)copy + id->offset) = protobuf_c_empty_string;
	n = protobuf_c_message_get_packed_size(copy);
	at = buf_reserve(&packed, n + 1);
	if (at != NULL)
		packed.len = protobuf_c_message_pack(copy, at);
	hmac_sha256(span_of(api_of(m->call)->request_key, 32), buf_span(&packed), m->hash);
	secret_zero(copy, d->sizeof_message);
	free(copy);
	n = (size_t)(packed.err != 0);
	buf_free_secret(&packed);
	return n != 0 ? -ERR_NOMEM : 0;
}

struct mutation *mutation_new(struct call *c, const ProtobufCMessage *request)
{
	struct mutation *m = calloc(1, sizeof(*m));
	const struct span who[] = {
		span_of(call_principal(c)->name, strlen(call_principal(c)->name) + 1),
		span_str(call_request_id(c))};

	if (m == NULL) {
		(void)call_fail_err(c, -ERR_NOMEM, "the request");
		return NULL;
	}
	m->call = c;
	m->request = request;
	arena_init(&m->arena, MUTATION_ARENA_MAX);
	m->allocator = mutation_allocator(&m->arena);
	buf_init(&m->response, AMT_REPLY_MAX + 64 * 1024);
	buf_init(&m->message, sizeof(((struct store_request *)0)->message) - 1);
	hash_once(HASH_SHA256, who, ARRAY_LEN(who), m->key);
	if (request != NULL && call_request_id(c)[0] != '\0' && hash_request(m) != 0) {
		(void)call_fail_err(c, -ERR_NOMEM, "the request");
		mutation_free(m);
		return NULL;
	}
	return m;
}

void mutation_free(struct mutation *m)
{
	if (m == NULL)
		return;
	arena_free(&m->arena);
	buf_free_secret(&m->response);
	buf_free(&m->message);
	free(m);
}

void mutation_about(struct mutation *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(m->resource, sizeof(m->resource), fmt, ap);
	va_end(ap);
}

void mutation_note(struct mutation *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(m->detail, sizeof(m->detail), fmt, ap);
	va_end(ap);
}

int mutation_fail(struct mutation *m, enum call_code code, const char *reason, const char *hint,
                  const char *fmt, ...)
{
	va_list ap;

	(void)failure_set(&m->failure, code, reason, hint, "%s", "");
	va_start(ap, fmt);
	(void)vsnprintf(m->failure.text, sizeof(m->failure.text), fmt, ap);
	va_end(ap);
	return -ERR_FAULT;
}

int mutation_respond(struct mutation *m, const ProtobufCMessage *answer)
{
	size_t n = protobuf_c_message_get_packed_size(answer);
	uint8_t *at;

	buf_clear(&m->response);
	at = buf_reserve(&m->response, n + 1);
	if (at == NULL)
		return m->response.err;
	m->response.len = protobuf_c_message_pack(answer, at);
	return 0;
}

/* ---- on the writer's thread ---- */

int mutation_audit(struct store_txn *txn, const struct audit_entry *e)
{
	struct store_audit a = {.time_ms = (uint64_t)clock_wall_ms()};

	(void)str_copy(a.principal, sizeof(a.principal), e->principal);
	(void)str_copy(a.method, sizeof(a.method), e->method);
	(void)str_copy(a.resource, sizeof(a.resource), e->resource);
	(void)str_copy(a.request_id, sizeof(a.request_id),
	               e->request_id != NULL ? e->request_id : "");
	(void)str_copy(a.outcome, sizeof(a.outcome), e->outcome);
	(void)str_copy(a.detail, sizeof(a.detail), e->detail != NULL ? e->detail : "");
	return store_audit_append(txn, &a);
}

static int txn_audit(struct mutation *m, struct store_txn *txn, const char *outcome)
{
	const struct audit_entry e = {
		.principal = call_principal(m->call)->name,
		.method = call_method(m->call),
		.resource = m->resource,
		.request_id = call_request_id(m->call),
		.outcome = outcome,
		.detail = m->detail,
	};

	return mutation_audit(txn, &e);
}

/* What a record of an earlier request with this id means: 0 nothing, 1 replayed, negative with the failure set. */
static int txn_replay(struct mutation *m, const struct store_request *r)
{
	const char *line = strchr(r->message, '\n');

	if (strcmp(r->method, call_method(m->call)) != 0 ||
	    !secret_equal(span_of(r->request_sha256, 32), span_of(m->hash, 32)))
		return mutation_fail(m, CALL_INVALID_ARGUMENT, "REQUEST_ID_REUSED",
		                     "take a new request_id for a new request, best a random UUID",
		                     "this request_id was used for a request with other content");
	if (r->state != REQUEST_DONE)
		return mutation_fail(
			m, CALL_ABORTED, "REQUEST_OUTCOME_UNKNOWN",
			"read the device's state; if it is to be done again, take a new "
			"request_id",
			"the server stopped while this request was under way; it is not known "
			"whether the device acted, and it is not sent again");
	if (r->status == STATUS_UNTOUCHED)
		return 0;
	if (r->status == STATUS_ANSWER_LOST)
		return mutation_fail(m, CALL_ABORTED, "REQUEST_ANSWER_LOST",
		                     "read the state from the device",
		                     "the request was done; its answer was too large to be kept");
	if (r->status != CALL_OK) {
		/* Kept as "REASON\ntext". */
		(void)mutation_fail(
			m, (enum call_code)r->status, "FAILED_BEFORE",
			"the answer is the first request's; take a new request_id to try again",
			"%s", line != NULL ? line + 1 : r->message);
		if (line != NULL &&
		    str_copy_span(m->failure.reason_text, sizeof(m->failure.reason_text),
		                  span_of(r->message, (size_t)(line - r->message))))
			m->failure.reason = m->failure.reason_text;
		return -ERR_FAULT;
	}
	buf_clear(&m->response);
	buf_put(&m->response, r->response, r->response_len);
	m->replayed = true;
	return m->response.err != 0 ? m->response.err : 1;
}

static int txn_check_id(struct mutation *m, struct store_txn *txn)
{
	struct store_request *r;
	int err;

	m->replayed = false;
	m->failure.code = CALL_OK;
	if (call_request_id(m->call)[0] == '\0' || m->request == NULL)
		return 0;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ERR_NOMEM;
	err = store_request_get(txn, call_principal(m->call)->name, call_request_id(m->call), r);
	if (err == 0) {
		err = txn_replay(m, r);
		free(r->response);
	} else if (err == -ERR_NOT_FOUND) {
		err = 0;
	}
	free(r);
	return err;
}

static int txn_keep(struct mutation *m, struct store_txn *txn, enum request_state state)
{
	struct store_request *r;
	int err;

	if (call_request_id(m->call)[0] == '\0' || m->request == NULL)
		return 0;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ERR_NOMEM;
	(void)str_copy(r->principal, sizeof(r->principal), call_principal(m->call)->name);
	(void)str_copy(r->request_id, sizeof(r->request_id), call_request_id(m->call));
	(void)str_copy(r->method, sizeof(r->method), call_method(m->call));
	(void)str_copy(r->message, sizeof(r->message), buf_cstr(&m->message));
	memcpy(r->request_sha256, m->hash, sizeof(r->request_sha256));
	r->state = state;
	r->time_ms = (uint64_t)clock_wall_ms();
	r->status = m->status;
	if (state == REQUEST_DONE && m->status == CALL_OK) {
		if (m->response.len > REQUEST_RESPONSE_MAX)
			r->status = STATUS_ANSWER_LOST;
		else
			r->response_len = (uint32_t)m->response.len;
		r->response = m->response.data;
	}
	err = store_request_put(txn, r);
	free(r);
	return err;
}

static int txn_run(struct store_txn *txn, void *arg)
{
	struct mutation *m = arg;
	int err = txn_check_id(m, txn);

	if (err != 0)
		return err == 1 ? 0 : err;
	arena_release(&m->arena, 0);
	err = m->apply(m, txn, m->arg);
	if (err == 0)
		err = txn_keep(m, txn, REQUEST_DONE);
	if (err == 0)
		err = txn_audit(m, txn, call_code_name(CALL_OK));
	return err;
}

static int txn_begin(struct store_txn *txn, void *arg)
{
	struct mutation *m = arg;
	int err = txn_check_id(m, txn);

	if (err != 0)
		return err == 1 ? 0 : err;
	err = txn_keep(m, txn, REQUEST_STARTED);
	return err != 0 ? err : txn_audit(m, txn, "STARTED");
}

static int txn_end(struct store_txn *txn, void *arg)
{
	struct mutation *m = arg;
	enum call_code code = m->failure.code;
	int err;

	m->status = m->untouched ? STATUS_UNTOUCHED : (uint32_t)code;
	err = txn_keep(m, txn, REQUEST_DONE);
	return err != 0 ? err : txn_audit(m, txn, call_code_name((int)code));
}

/* ---- in the call's fiber ---- */

static int fail_call(struct mutation *m, int err)
{
	if (m->failure.code != CALL_OK)
		return api_fail(m->call, &m->failure);
	return call_fail_err(m->call, err, "the change could not be kept");
}

int mutation_run(struct mutation *m, mutation_apply_fn *apply, void *arg)
{
	int err;

	m->apply = apply;
	m->arg = arg;
	err = store_update(api_of(m->call)->store, txn_run, m);
	return err != 0 ? fail_call(m, err) : 0;
}

static int view_kept(struct store_txn *txn, void *arg)
{
	int err = txn_check_id(arg, txn);

	return err == 1 ? 0 : err;
}

int mutation_kept(struct mutation *m)
{
	int err;

	if (call_request_id(m->call)[0] == '\0')
		return 0;
	err = store_view(api_of(m->call)->store, view_kept, m);
	if (err != 0)
		return fail_call(m, err);
	return m->replayed ? 1 : 0;
}

static int in_progress(struct mutation *m, int err)
{
	if (err == -ERR_EXISTS)
		return call_fail(
			m->call, CALL_ABORTED, "REQUEST_IN_PROGRESS",
			"wait for the first request's answer, then repeat to get the same one",
			"a request with this request_id is under way");
	return call_fail_err(m->call, err, "the request");
}

int mutation_begin(struct mutation *m)
{
	struct api *a = api_of(m->call);
	int err;

	if (call_request_id(m->call)[0] != '\0') {
		err = inflight_enter(a->inflight, m->key);
		if (err != 0)
			return in_progress(m, err);
		m->running = true;
	}
	err = store_update(a->store, txn_begin, m);
	if (err == 0 && !m->replayed)
		return 0;
	if (m->running)
		inflight_leave(a->inflight, m->key);
	m->running = false;
	return err != 0 ? fail_call(m, err) : 1;
}

int mutation_end(struct mutation *m, const ProtobufCMessage *answer, bool untouched)
{
	struct api *a = api_of(m->call);
	int kept, err = 0;

	if (answer != NULL) {
		m->failure.code = CALL_OK;
		err = mutation_respond(m, answer);
		if (err != 0)
			(void)mutation_fail(m, CALL_INTERNAL, "ANSWER_TOO_BIG",
			                    "read the state from the device",
			                    "it was done, but the answer is too large");
	}
	ASSERT(answer != NULL || m->failure.code != CALL_OK);
	m->untouched = answer == NULL && untouched;
	buf_clear(&m->message);
	if (m->failure.code != CALL_OK)
		buf_printf(&m->message, "%s\n%.180s", m->failure.reason, m->failure.text);
	if (m->failure.code != CALL_OK && m->detail[0] == '\0')
		mutation_note(m, "%.250s", m->failure.text);
	kept = store_update(a->store, txn_end, m);
	if (m->running)
		inflight_leave(a->inflight, m->key);
	m->running = false;
	if (m->failure.code != CALL_OK)
		return m->keep_status ? -ERR_FAULT : api_fail(m->call, &m->failure);
	if (kept != 0) {
		log_event(LOG_ERROR, "outcome_not_kept", LOG_STR("resource", m->resource),
		          LOG_ERR("err", kept));
		return call_fail(m->call, CALL_UNAVAILABLE, "OUTCOME_NOT_KEPT",
		                 "do not repeat it blindly: read the state first",
		                 "it was done, but this could not be written down: %s",
		                 err_text(kept));
	}
	return err;
}

int mutation_finish(struct mutation *m, int err)
{
	if (err == 0) {
		err = call_send_bytes(m->call, buf_span(&m->response));
		if (err != 0)
			err = call_fail_err(m->call, err, "the answer");
	}
	mutation_free(m);
	return err;
}
