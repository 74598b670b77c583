/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * call.c: a call as handlers see it: memory, status, sending and receiving. Runs in the handler's fiber on the connection's loop.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/text.h"
#include "mgmtapi/call_internal.h"
#include "mgmtapi/json.h"

#define INFO_VALUE_MAX 512
#define JSON_GROWTH    4 /* a message as JSON is seldom larger than so many times what it is packed */
#define SMALL_MAX      1024 /* octets of a message that is packed before it is queued */

bool principal_sees_group(void *principal, const char *group)
{
	const struct principal *p = principal;

	if (p->groups_len == 0)
		return true;
	for (size_t i = 0; i < p->groups_len; i++)
		if (strcmp(p->groups[i], group) == 0)
			return true;
	return false;
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

void *call_alloc(struct call *c, size_t n)
{
	return arena_alloc(&c->arena, n);
}

char *call_strdup(struct call *c, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = call_alloc(c, n);

	if (p != NULL)
		memcpy(p, s, n);
	return p;
}

static char *arena_vprintf(struct arena *a, size_t max, const char *fmt, va_list ap)
{
	va_list again;
	char *p;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return NULL;
	if ((size_t)n > max)
		n = (int)max;
	p = arena_alloc(a, (size_t)n + 1);
	if (p != NULL)
		(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	return p;
}

char *call_printf(struct call *c, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = arena_vprintf(&c->arena, CALL_ARENA_MAX, fmt, ap);
	va_end(ap);
	return p;
}

size_t call_mark(struct call *c)
{
	return arena_mark(&c->arena);
}

void call_release(struct call *c, size_t mark)
{
	arena_release(&c->arena, mark);
}

ProtobufCAllocator *call_allocator(struct call *c)
{
	return &c->allocator;
}

/* ---- status --------------------------------------------------------------------------------------------------------- */

/* Status texts go out as UTF-8 and in headers: octets that are not UTF-8 become '?'. */
static const char *clean(char *s)
{
	size_t len = s != NULL ? strlen(s) : 0;

	for (size_t i = 0; i < len;) {
		size_t n = pbjson_utf8_len((const uint8_t *)s + i, len - i);

		if (n == 0)
			s[i] = '?';
		i += MAX(n, (size_t)1);
	}
	return s != NULL ? s : "out of memory";
}

static const char *status_text(struct call *c, size_t max, const char *fmt, ...) PRINTF_LIKE(3, 4);
static const char *status_text(struct call *c, size_t max, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = arena_vprintf(&c->status_arena, max, fmt, ap);
	va_end(ap);
	return clean(p);
}

int call_fail(struct call *c, enum call_code code, const char *reason, const char *hint,
              const char *fmt, ...)
{
	va_list ap;

	arena_free(&c->status_arena);
	va_start(ap, fmt);
	c->message = clean(arena_vprintf(&c->status_arena, CALL_MESSAGE_MAX, fmt, ap));
	va_end(ap);
	c->code = code == CALL_OK ? CALL_UNKNOWN : code;
	c->reason = status_text(c, CALL_HINT_MAX, "%s", reason);
	c->hint = hint != NULL ? status_text(c, CALL_HINT_MAX, "%s", hint) : NULL;
	c->info_len = 0;
	c->retry_ms = 0;
	c->failed = true;
	return -ERR_FAULT;
}

void call_fail_info(struct call *c, const char *key, const char *value)
{
	if (c->info_len == RPC_STATUS_INFO_MAX)
		return;
	c->info[c->info_len++] = (struct http_pair){status_text(c, INFO_VALUE_MAX, "%s", key),
	                                            status_text(c, INFO_VALUE_MAX, "%s", value)};
}

void call_fail_retry(struct call *c, uint32_t after_ms)
{
	c->retry_ms = after_ms;
}

static const struct {
	int err;
	enum call_code code;
	const char *reason;
	const char *hint;
} by_error[] = {
	{ERR_NOMEM, CALL_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "try again later"},
	{ERR_INVALID, CALL_INVALID_ARGUMENT, "INVALID", NULL},
	{ERR_TOO_BIG, CALL_RESOURCE_EXHAUSTED, "TOO_BIG", "ask for less at a time"},
	{ERR_PROTOCOL, CALL_INTERNAL, "DEVICE_PROTOCOL",
         "the device's answer could not be understood"},
	{ERR_CLOSED, CALL_UNAVAILABLE, "CONNECTION_LOST", "try again when the device is connected"},
	{ERR_TIMEOUT, CALL_DEADLINE_EXCEEDED, "TIMEOUT",
         "the device did not answer in time; try again or allow more time"},
	{ERR_CANCELLED, CALL_CANCELLED, "CANCELLED", NULL},
	{ERR_BUSY, CALL_UNAVAILABLE, "BUSY", "try again in a moment"},
	{ERR_NOT_FOUND, CALL_NOT_FOUND, "NOT_FOUND", NULL},
	{ERR_EXISTS, CALL_ALREADY_EXISTS, "EXISTS", NULL},
	{ERR_DENIED, CALL_PERMISSION_DENIED, "DENIED", NULL},
	{ERR_UNAUTHENTICATED, CALL_FAILED_PRECONDITION, "DEVICE_CREDENTIALS",
         "set the device's AMT user and password"},
	{ERR_PRECONDITION, CALL_FAILED_PRECONDITION, "PRECONDITION", NULL},
	{ERR_TLS, CALL_UNAVAILABLE, "DEVICE_TLS", "TLS with the device failed"},
	{ERR_PIN, CALL_FAILED_PRECONDITION, "DEVICE_CERTIFICATE_CHANGED",
         "if the change is expected, unpin the device's certificate"},
	{ERR_FULL, CALL_RESOURCE_EXHAUSTED, "LIMIT", "try again later"},
	{ERR_NO_SPACE, CALL_UNAVAILABLE, "DISK_FULL", "make room on the server's disk"},
	{ERR_READONLY, CALL_UNAVAILABLE, "READ_ONLY",
         "the server's store takes no changes now; see its log"},
	{ERR_UNSUPPORTED, CALL_UNIMPLEMENTED, "UNSUPPORTED", NULL},
	{ERR_CORRUPT, CALL_DATA_LOSS, "CORRUPT", "check the store with causewayd --check"},
	{ERR_OFFLINE, CALL_FAILED_PRECONDITION, "DEVICE_OFFLINE",
         "see why with: causeway device why"},
	{ERR_REFUSED, CALL_FAILED_PRECONDITION, "DEVICE_REFUSED",
         "the device does not forward this port or refused the channel"},
	{ERR_FAULT, CALL_INTERNAL, "DEVICE_FAULT", NULL},
};

int call_fail_err(struct call *c, int err, const char *what)
{
	if (c->failed)
		return -ERR_FAULT;
	for (size_t i = 0; i < ARRAY_LEN(by_error); i++)
		if (by_error[i].err == -err)
			return call_fail(c, by_error[i].code, by_error[i].reason, by_error[i].hint,
			                 "%s: %s", what, err_text(err));
	return call_fail(c, CALL_INTERNAL, "INTERNAL", NULL, "%s: %s", what, err_text(err));
}

enum call_code call_status(const struct call *c)
{
	return c->code;
}

const char *call_status_message(const struct call *c)
{
	return c->message;
}

/* ---- what a call is ------------------------------------------------------------------------------------------------- */

const struct principal *call_principal(const struct call *c)
{
	return &c->principal;
}

const char *call_method(const struct call *c)
{
	return c->method != NULL ? c->method->path + 1 : "";
}

const char *call_request_id(const struct call *c)
{
	return c->request_id;
}

bool call_mutates(const struct call *c)
{
	return c->method != NULL && c->method->access.mutates;
}

const struct addr *call_peer(const struct call *c)
{
	return &c->peer;
}

void *call_user(const struct call *c)
{
	return c->env->user;
}

/* ---- sending -------------------------------------------------------------------------------------------------------- */

bool call_send_ready(struct call *c)
{
	return c->hs == NULL || c->hs->ops->queued(c->hs) < RPC_SEND_QUEUE_MAX;
}

static int wait_for_room(struct call *c)
{
	while (c->hs != NULL && c->hs->ops->queued(c->hs) >= RPC_SEND_QUEUE_MAX) {
		int err = c->env->exec->wait();

		if (err != 0)
			return err;
	}
	return c->hs != NULL ? 0 : -ERR_CANCELLED;
}

static int pack(struct buf *out, const ProtobufCMessage *msg, size_t max)
{
	size_t n = protobuf_c_message_get_packed_size(msg);
	uint8_t *at;

	if (n > max)
		return -ERR_TOO_BIG;
	buf_init(out, max);
	at = buf_reserve(out, n + 1);
	if (at == NULL)
		return -ERR_NOMEM;
	out->len = protobuf_c_message_pack(msg, at);
	return 0;
}

static int make_json(struct call *c, struct buf *out, const ProtobufCMessage *msg)
{
	buf_init(out, c->env->message_max);
	return pbjson_encode(msg, NULL, out);
}

static void send_head(struct call *c)
{
	if (c->head_sent)
		return;
	if (c->kind == RPC_GRPC)
		grpc_send_head(c);
	else
		connect_send_head(c);
}

static int put_on_stream(struct call *c, struct span message)
{
	int err = wait_for_room(c);

	if (err != 0)
		return err;
	send_head(c);
	rpc_put_envelope(c, 0, message);
	c->sent++;
	return 0;
}

/* A ProtobufCBuffer that is the transport's queue. */
struct stream_buffer {
	ProtobufCBuffer base;
	struct http_stream *hs;
};

static void append_packed(ProtobufCBuffer *base, size_t n, const uint8_t *octets)
{
	struct stream_buffer *b = container_of(base, struct stream_buffer, base);

	b->hs->ops->body(b->hs, span_of(octets, n));
}

/* A large message of n octets is packed where it waits. */
static int put_large(struct call *c, const ProtobufCMessage *msg, size_t n)
{
	struct stream_buffer to = {.base = {append_packed}};
	int err = wait_for_room(c);

	if (err != 0)
		return err;
	send_head(c);
	rpc_put_envelope_head(c, 0, n);
	to.hs = c->hs;
	(void)protobuf_c_message_pack_to_buffer(msg, &to.base);
	c->sent++;
	return 0;
}

static int put_packed(struct call *c, const ProtobufCMessage *msg)
{
	size_t n = protobuf_c_message_get_packed_size(msg);
	uint8_t small[SMALL_MAX];

	if (n > c->env->message_max)
		return -ERR_TOO_BIG;
	if (n > sizeof(small))
		return put_large(c, msg, n);
	return put_on_stream(c, span_of(small, protobuf_c_message_pack(msg, small)));
}

static int send_stream(struct call *c, const ProtobufCMessage *msg)
{
	struct buf out;
	int err;

	if (!c->json)
		return put_packed(c, msg);
	err = make_json(c, &out, msg);
	if (err == 0)
		err = put_on_stream(c, buf_span(&out));
	buf_free(&out);
	return err;
}

int call_send(struct call *c, const ProtobufCMessage *msg)
{
	int err;

	ASSERT(msg->descriptor == c->method->def->response);
	if (c->finished)
		return -ERR_CLOSED;
	if (c->method->server_streaming)
		return send_stream(c, msg);
	ASSERT(!c->have_response);
	err = pack(&c->response, msg, c->env->message_max);
	if (err == 0 && c->json)
		err = make_json(c, &c->body, msg);
	c->have_response = err == 0;
	c->sent++;
	return err;
}

int call_send_bytes(struct call *c, struct span packed)
{
	ProtobufCMessage *msg = protobuf_c_message_unpack(c->method->def->response, &c->allocator,
	                                                  packed.len, packed.ptr);

	return msg != NULL ? call_send(c, msg) : -ERR_CORRUPT;
}

int call_send_packed(struct call *c, struct buf *packed)
{
	int err = packed->err;

	if (err == 0 && packed->len > c->env->message_max)
		err = -ERR_TOO_BIG;
	if (err == 0 && c->finished)
		err = -ERR_CLOSED;
	if (err == 0 && c->json) {
		err = call_send_bytes(c, buf_span(packed));
	} else if (err == 0 && c->method->server_streaming) {
		err = put_on_stream(c, buf_span(packed));
	} else if (err == 0) {
		ASSERT(!c->have_response);
		c->response = *packed;
		c->have_response = true;
		c->sent++;
		buf_init(packed, 0);
	}
	buf_free(packed);
	return err;
}

size_t call_send_max(const struct call *c)
{
	return c->json ? c->env->message_max / JSON_GROWTH : c->env->message_max;
}

struct span call_response_bytes(const struct call *c)
{
	return buf_span(&c->response);
}

/* ---- receiving ------------------------------------------------------------------------------------------------------ */

bool call_recv_ready(struct call *c)
{
	return c->ready > 0 || c->in_end || c->in_bad || c->hs == NULL;
}

int call_recv(struct call *c, ProtobufCMessage **msg)
{
	ASSERT(c->method->client_streaming);
	*msg = NULL;
	arena_release(&c->recv_arena, 0);
	while (c->ready == 0) {
		int err;

		if (c->in_bad)
			return -ERR_INVALID;
		if (c->in_end)
			return 0;
		if (c->hs == NULL)
			return -ERR_CANCELLED;
		err = c->env->exec->wait();
		if (err != 0)
			return err;
	}
	*msg = rpc_take_message(c);
	return *msg != NULL ? 1 : -ERR_INVALID;
}
