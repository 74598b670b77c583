/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rpc.c: the life of a call: checks of the head in order (method, protocol, path, credentials, access, limits), collecting the request
 * under the limits, running the handler, and the end. On the connection's loop; the handler in its fiber.
 */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/text.h"
#include "mgmtapi/call_internal.h"
#include "mgmtapi/json.h"
#include "mgmtapi/metrics_api.h"

#define ENVELOPE_HEAD  5
#define TIMEOUT_MAX_MS ((int64_t)365 * 24 * 3600 * 1000)

void rpc_env_init(struct rpc_env *env, struct dispatch *d, const struct authn *a,
                  const struct call_exec *exec)
{
	memset(env, 0, sizeof(*env));
	env->dispatch = d;
	env->authn = *a;
	env->exec = exec;
	env->message_max = RPC_MESSAGE_MAX;
	env->buffered_max = RPC_BUFFERED_MAX;
	env->calls_max = RPC_CALLS_MAX;
}

static void *arena_pb_alloc(void *arena, size_t n)
{
	return arena_alloc(arena, n);
}

/* The arena gives everything back at once. */
static void arena_pb_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

/* Brings env->buffered in line with what the call holds. */
static void account(struct call *c)
{
	size_t held = c->in.len - c->in_at;

	if (held > c->accounted)
		atomic_fetch_add_explicit(&c->env->buffered, held - c->accounted,
		                          memory_order_relaxed);
	else if (held < c->accounted)
		atomic_fetch_sub_explicit(&c->env->buffered, c->accounted - held,
		                          memory_order_relaxed);
	c->accounted = held;
}

static void free_call(struct call *c)
{
	buf_free_secret(&c->in);
	c->in_at = 0;
	account(c);
	atomic_fetch_sub_explicit(&c->env->calls, 1, memory_order_relaxed);
	buf_free_secret(&c->response);
	buf_free_secret(&c->body);
	arena_free(&c->arena);
	arena_free(&c->recv_arena);
	arena_free(&c->status_arena);
	free(c);
}

/* ---- the end -------------------------------------------------------------------------------------------------------- */

void rpc_put_envelope(struct call *c, uint8_t flags, struct span payload)
{
	const uint8_t head[ENVELOPE_HEAD] = {flags, (uint8_t)(payload.len >> 24),
	                                     (uint8_t)(payload.len >> 16),
	                                     (uint8_t)(payload.len >> 8), (uint8_t)payload.len};

	c->hs->ops->body(c->hs, span_of(head, sizeof(head)));
	c->hs->ops->body(c->hs, payload);
}

static void log_call(struct call *c, uint64_t now_ms)
{
	uint64_t took = now_ms > c->start_ms ? now_ms - c->start_ms : 0;

	if (c->logged)
		return;
	c->logged = true;
	if (c->method != NULL)
		method_count(c->method, (int)c->code, took);
	if (c->code != CALL_OK)
		metrics_api_failed(c->reason);
	log_event(LOG_INFO, "api_call",
	          LOG_STR("method", c->method != NULL ? call_method(c) : c->path),
	          LOG_STR("status", call_code_name((int)c->code)), LOG_STR("reason", c->reason),
	          LOG_U64("ms", took), LOG_STR("principal", c->principal.name),
	          LOG_ADDR("peer", &c->peer), LOG_STR("request_id", c->request_id));
}

/* Gives back the credit for octets that nobody will read any more. */
static void drop_input(struct call *c)
{
	if (c->hs != NULL && c->held > 0)
		c->hs->ops->consume(c->hs, c->held);
	c->held = 0;
	c->ready = 0;
	c->scan_at = c->in_at = 0;
	buf_free_secret(&c->in);
	account(c);
}

void rpc_finish(struct call *c)
{
	if (c->finished)
		return;
	c->finished = true;
	drop_input(c);
	if (c->hs == NULL)
		return;
	switch (c->kind) {
	case RPC_GRPC:
		grpc_finish(c);
		break;
	case RPC_CONNECT_UNARY:
		connect_finish_unary(c);
		break;
	case RPC_CONNECT_STREAM:
		connect_finish_stream(c);
		break;
	case RPC_PLAIN:
		break;
	}
	buf_free_secret(&c->response);
	buf_free_secret(&c->body);
}

void rpc_refuse(struct call *c, enum call_code code, const char *reason, const char *text)
{
	(void)call_fail(c, code, reason, NULL, "%s", text);
	if (c->started) {
		/* The handler learns it from call_recv and returns. */
		c->in_bad = true;
		if (c->fiber != NULL)
			c->env->exec->wake(c->fiber);
		return;
	}
	rpc_finish(c);
}

/* A plain HTTP answer, for requests that speak none of our protocols. */
static void answer_plain(struct call *c, unsigned status, struct http_pair field)
{
	const struct http_pair f[] = {field, {"content-length", "0"}};

	c->kind = RPC_PLAIN;
	c->finished = true;
	c->code = CALL_UNIMPLEMENTED;
	c->hs->ops->head(c->hs, status, f, ARRAY_LEN(f), true);
}

void rpc_gone(struct call *c, uint64_t now_ms)
{
	if (!c->finished && c->hs != NULL) {
		/* The client went away first. */
		if (!c->failed)
			(void)call_fail(c, CALL_CANCELLED, "CANCELLED", NULL,
			                "the client went away");
		log_call(c, now_ms);
	}
	c->hs = NULL;
	c->finished = true;
	if (c->fiber != NULL) {
		c->env->exec->cancel(c->fiber);
		c->env->exec->wake(c->fiber);
		return;
	}
	log_call(c, now_ms);
	free_call(c);
}

/* ---- the handler ---------------------------------------------------------------------------------------------------- */

static void run_handler(void *arg)
{
	struct call *c = arg;
	/* A client that left before its call began gets nothing done. */
	int err = c->hs != NULL ? c->method->def->handler(c, c->request) : -ERR_CANCELLED;

	if (err == 0 && !c->in_bad) {
		c->code = CALL_OK;
		c->failed = false;
		if (!c->method->server_streaming && !c->have_response)
			(void)call_fail(c, CALL_INTERNAL, "NO_RESPONSE", NULL,
			                "the method gave no answer");
	} else {
		(void)call_fail_err(c, err, "the call failed");
	}
	if (c->code != CALL_OK)
		c->have_response = false;
	c->fiber = NULL;
	rpc_finish(c);
	if (c->hs == NULL)
		free_call(c);
}

static void start_handler(struct call *c)
{
	struct fiber *f;

	c->started = true;
	f = c->env->exec->spawn("api", run_handler, c, c->deadline_ms);
	if (f == NULL) {
		c->started = false;
		rpc_refuse(c, CALL_UNAVAILABLE, "OVERLOADED",
		           "too many calls are under way; try again");
		return;
	}
	c->fiber = f;
}

/* ---- messages ------------------------------------------------------------------------------------------------------- */

/* Enveloped: what stands at the front of `in`. */
static struct span front_message(const struct call *c, uint8_t *flags)
{
	struct cur cur = cur_of(span_of(c->in.data + c->in_at, c->in.len - c->in_at));
	uint32_t len;

	*flags = cur_u8(&cur);
	len = cur_u32(&cur);
	return cur_bytes(&cur, len);
}

static ProtobufCMessage *unpack(struct call *c, struct span s, ProtobufCAllocator *alloc)
{
	const ProtobufCMessageDescriptor *d = c->method->def->request;
	ProtobufCMessage *m;
	struct buf why;

	if (!c->json) {
		m = protobuf_c_message_unpack(d, alloc, s.len, s.ptr);
		if (m == NULL)
			(void)call_fail(c, CALL_INTERNAL, "MALFORMED", NULL,
			                "the request is no valid %s", d->name);
		return m;
	}
	buf_init(&why, CALL_MESSAGE_MAX);
	/* An empty body is an empty request, as a convenience for curl. */
	m = pbjson_decode(d, s.len > 0 ? s : span_str("{}"), NULL, alloc, &why);
	if (m == NULL)
		(void)call_fail(c, CALL_INVALID_ARGUMENT, "MALFORMED",
		                "see the .proto files for the fields", "%s", buf_cstr(&why));
	buf_free(&why);
	return m;
}

static ProtobufCMessage *unpack_any(struct call *c, struct span s, bool compressed,
                                    ProtobufCAllocator *alloc)
{
	ProtobufCMessage *m = NULL;
	struct buf plain;
	int err;

	if (!compressed)
		return unpack(c, s, alloc);
	err = rpc_inflate(s, c->env->message_max, &plain);
	if (err == -ERR_TOO_BIG)
		(void)call_fail(c, CALL_RESOURCE_EXHAUSTED, "TOO_BIG", NULL,
		                "the message is larger than %zu octets", c->env->message_max);
	else if (err != 0)
		(void)call_fail(c, CALL_INTERNAL, "MALFORMED", NULL,
		                "the message is no valid gzip data");
	else
		m = unpack(c, buf_span(&plain), alloc);
	buf_free_secret(&plain);
	return m;
}

ProtobufCMessage *rpc_take_message(struct call *c)
{
	uint8_t flags;
	struct span s = front_message(c, &flags);
	ProtobufCMessage *m = unpack_any(c, s, (flags & 1) != 0, &c->recv_allocator);
	size_t n = ENVELOPE_HEAD + s.len;

	if (m == NULL)
		c->in_bad = true;
	c->in_at += n;
	if (c->in_at >
	    c->in.len /
	            2) { /* what is left is the smaller part, so that an octet moves once at most */
		buf_consume(&c->in, c->in_at);
		c->scan_at -= c->in_at;
		c->in_at = 0;
	}
	c->ready--;
	account(c);
	/* Without another complete message all that is held is the start of the next one: the client has to be able to send its rest. */
	n = c->ready == 0 ? c->held : MIN(n, c->held);
	c->held -= n;
	if (c->hs != NULL && n > 0)
		c->hs->ops->consume(c->hs, n);
	return m;
}

static bool envelope_ok(struct call *c, uint8_t flags, uint32_t len)
{
	if (len > c->env->message_max) {
		(void)call_fail(c, CALL_RESOURCE_EXHAUSTED, "TOO_BIG", "send less in one message",
		                "the message has %u octets, the limit is %zu", len,
		                c->env->message_max);
		return false;
	}
	if (flags > 1) {
		(void)call_fail(c, CALL_INTERNAL, "MALFORMED", NULL, "unknown message flags 0x%02x",
		                flags);
		return false;
	}
	if (flags == 1 && !c->gzip) {
		(void)call_fail(c, CALL_INTERNAL, "MALFORMED", NULL,
		                "a compressed message without an encoding header");
		return false;
	}
	return true;
}

/* Counts complete messages; refuses one by its declared length before it is there. */
static bool scan(struct call *c)
{
	while (c->in.len - c->scan_at >= ENVELOPE_HEAD) {
		struct cur cur = cur_of(span_of(c->in.data + c->scan_at, c->in.len - c->scan_at));
		uint8_t flags = cur_u8(&cur);
		uint32_t len = cur_u32(&cur);

		if (!envelope_ok(c, flags, len))
			return false;
		if (cur.left < len)
			break;
		c->scan_at += ENVELOPE_HEAD + (size_t)len;
		c->ready++;
	}
	if (!c->method->client_streaming &&
	    (c->ready > 1 || (c->ready == 1 && c->in.len > c->scan_at))) {
		(void)call_fail(c, CALL_UNIMPLEMENTED, "MALFORMED", NULL,
		                "this method takes exactly one message");
		return false;
	}
	return true;
}

static void refuse_as_set(struct call *c)
{
	if (c->started) {
		c->in_bad = true;
		if (c->fiber != NULL)
			c->env->exec->wake(c->fiber);
	} else {
		rpc_finish(c);
	}
}

static bool take_input(struct call *c, struct span data)
{
	size_t before = atomic_load_explicit(&c->env->buffered, memory_order_relaxed);

	if (before + data.len > c->env->buffered_max) {
		(void)call_fail(c, CALL_RESOURCE_EXHAUSTED, "OVERLOADED", "try again later",
		                "the server holds too many requests");
		return false;
	}
	buf_put_span(&c->in, data);
	account(c);
	if (c->in.err != 0) {
		(void)call_fail(c, CALL_RESOURCE_EXHAUSTED, "TOO_BIG", "send less in one message",
		                "the request is larger than %zu octets", c->env->message_max);
		return false;
	}
	return c->kind == RPC_CONNECT_UNARY || scan(c);
}

void rpc_data(struct call *c, struct span data)
{
	if (c->finished || c->in_bad) {
		if (c->hs != NULL)
			c->hs->ops->consume(c->hs, data.len);
		return;
	}
	c->held += data.len;
	if (!take_input(c, data)) {
		refuse_as_set(c);
		return;
	}
	c->received = c->ready;
	if (c->ready == 0 && c->held > 0) {
		/* A message in the making may be larger than the window. */
		c->hs->ops->consume(c->hs, c->held);
		c->held = 0;
	}
	if (c->fiber != NULL)
		c->env->exec->wake(c->fiber);
}

/* The request_id of the request: short and printable, else the call is refused. */
static bool take_request_id(struct call *c)
{
	const ProtobufCFieldDescriptor *f;
	const char *text;

	if (c->method->request_id_field < 0 || c->request == NULL)
		return true;
	f = &c->method->def->request->fields[c->method->request_id_field];
	text = *(const char *const *)(const void *)((const char *)c->request + f->offset);
	if (text == NULL || (str_copy(c->request_id, sizeof(c->request_id), text) &&
	                     text_is_printable(span_str(text))))
		return true;
	c->request_id[0] = '\0';
	(void)call_fail(c, CALL_INVALID_ARGUMENT, "REQUEST_ID_INVALID",
	                "use up to 63 printable ASCII characters, such as a UUID",
	                "request_id is too long or has other characters");
	return false;
}

/* A unary or server-streaming request is complete: one message, unpacked here, on the loop's large stack. */
static void start_with_request(struct call *c)
{
	struct span s = buf_span(&c->in);
	uint8_t flags = c->gzip ? 1 : 0;

	if (c->kind != RPC_CONNECT_UNARY) {
		if (c->ready != 1) {
			bool cut = c->in.len > 0;

			(void)call_fail(c, cut ? CALL_INTERNAL : CALL_UNIMPLEMENTED, "MALFORMED",
			                NULL,
			                cut ? "the request ends inside a message"
			                    : "this method takes exactly one message");
			rpc_finish(c);
			return;
		}
		s = front_message(c, &flags);
	}
	c->request = unpack_any(c, s, (flags & 1) != 0, &c->allocator);
	if (c->request == NULL || !take_request_id(c)) {
		rpc_finish(c);
		return;
	}
	drop_input(c);
	start_handler(c);
}

void rpc_end(struct call *c)
{
	if (c->in_end || c->finished)
		return;
	c->in_end = true;
	if (c->in_bad)
		return;
	if (!c->method->client_streaming) {
		start_with_request(c);
		return;
	}
	if (c->in.len > c->scan_at) {
		rpc_refuse(c, CALL_INTERNAL, "MALFORMED", "the request ends inside a message");
		return;
	}
	if (c->fiber != NULL)
		c->env->exec->wake(c->fiber);
}

void rpc_writable(struct call *c)
{
	if (c->fiber != NULL)
		c->env->exec->wake(c->fiber);
}

void rpc_tick(struct call *c, uint64_t now_ms)
{
	if (c->finished || c->started)
		return;
	if (now_ms >= c->deadline_ms)
		rpc_refuse(c, CALL_DEADLINE_EXCEEDED, "TIMEOUT",
		           "the deadline passed before the request was complete");
	else if (now_ms >= c->start_ms + RPC_UPLOAD_MS)
		rpc_refuse(c, CALL_DEADLINE_EXCEEDED, "UPLOAD_TIMEOUT",
		           "the request took too long to come");
}

/* ---- the head ------------------------------------------------------------------------------------------------------- */

static bool encoding_ok(struct call *c, const char *value)
{
	if (value[0] == '\0' || strcmp(value, "identity") == 0)
		return true;
	c->gzip = strcmp(value, "gzip") == 0;
	return c->gzip;
}

static bool take_timeout(struct call *c, const struct rpc_head *head)
{
	int64_t ms = c->kind == RPC_GRPC
	                     ? grpc_timeout_ms(rpc_head_get(head, RPC_F_GRPC_TIMEOUT))
	                     : connect_timeout_ms(rpc_head_get(head, RPC_F_CONNECT_TIMEOUT));

	c->deadline_ms = FIBER_NO_DEADLINE;
	if (ms < 0) {
		(void)call_fail(c, CALL_INVALID_ARGUMENT, "MALFORMED", NULL,
		                "the timeout header is malformed");
		return false;
	}
	if (ms <= TIMEOUT_MAX_MS)
		c->deadline_ms = c->start_ms + (uint64_t)ms;
	if (ms == 0) {
		(void)call_fail(c, CALL_DEADLINE_EXCEEDED, "TIMEOUT", NULL,
		                "the deadline passed before the call began");
		return false;
	}
	return true;
}

/* Who, and may they? Default deny. */
static bool allowed(struct call *c, const struct rpc_head *head, const char *cert_cn)
{
	const char *why = "";

	if (!c->method->service->open &&
	    authn_check(&c->env->authn, rpc_head_get(head, RPC_F_AUTHORIZATION), cert_cn,
	                &c->principal, &why) != 0) {
		(void)call_fail(c, CALL_UNAUTHENTICATED, "UNAUTHENTICATED",
		                "make a token with: causeway token create", "%s", why);
		return false;
	}
	if (access_allows(c->method, &c->principal, &why) != 0) {
		(void)call_fail(c, CALL_PERMISSION_DENIED, "DENIED",
		                "use a token with the needed role and scope", "%s", why);
		call_fail_info(c, "scope", c->method->access.scope);
		return false;
	}
	return true;
}

/* By Content-Length, before any of it is taken. */
static bool declared_too_big(const struct call *c, const char *length)
{
	size_t digits = strspn(length, "0123456789");
	uint64_t v = 0;

	for (size_t i = 0; i < digits && v <= c->env->message_max; i++)
		v = v * 10 + (uint64_t)(length[i] - '0');
	return v > c->env->message_max;
}

static bool admissible(struct call *c, const struct rpc_head *head)
{
	const char *encoding =
		rpc_head_get(head, c->kind == RPC_GRPC             ? RPC_F_GRPC_ENCODING
	                           : c->kind == RPC_CONNECT_STREAM ? RPC_F_CONNECT_ENCODING
	                                                           : RPC_F_CONTENT_ENCODING);

	if (c->kind == RPC_CONNECT_UNARY &&
	    declared_too_big(c, rpc_head_get(head, RPC_F_CONTENT_LENGTH))) {
		(void)call_fail(c, CALL_RESOURCE_EXHAUSTED, "TOO_BIG", "send less in one message",
		                "the request is larger than %zu octets", c->env->message_max);
		return false;
	}
	if (atomic_load_explicit(&c->env->calls, memory_order_relaxed) > c->env->calls_max) {
		(void)call_fail(c, CALL_RESOURCE_EXHAUSTED, "OVERLOADED", "try again later",
		                "too many calls are under way");
		call_fail_retry(c, 1000);
		return false;
	}
	if (atomic_load_explicit(&c->env->draining, memory_order_relaxed) &&
	    !c->method->service->open) {
		(void)call_fail(c, CALL_UNAVAILABLE, "DRAINING",
		                "call another server, or again later",
		                "the server is about to stop");
		return false;
	}
	if (!encoding_ok(c, encoding)) {
		(void)call_fail(c, CALL_UNIMPLEMENTED, "ENCODING", "use identity or gzip",
		                "unknown message encoding \"%.32s\"", encoding);
		return false;
	}
	return true;
}

static void reject_type(struct call *c)
{
	answer_plain(c, 415,
	             (struct http_pair){"accept-post",
	                                "application/grpc, application/grpc+proto, "
	                                "application/proto, application/json, "
	                                "application/connect+proto, application/connect+json"});
}

static bool find(struct call *c, const struct rpc_head *head)
{
	bool service_known = false;

	c->method = dispatch_find(c->env->dispatch, span_str(head->path), &service_known);
	if (c->method != NULL)
		return true;
	(void)call_fail(c, CALL_UNIMPLEMENTED, service_known ? "METHOD_UNKNOWN" : "SERVICE_UNKNOWN",
	                "server reflection lists what is there",
	                service_known ? "the service has no method %s"
	                              : "there is no service for %s",
	                c->path);
	return false;
}

/* The head decides; false: the call is refused, answered or both. */
static void check_head(struct call *c, const struct rpc_head *head, const struct rpc_peer *peer)
{
	const char *type = rpc_head_get(head, RPC_F_CONTENT_TYPE);
	bool streaming;

	if (strcmp(head->method, "POST") != 0) {
		answer_plain(c, 405, (struct http_pair){"allow", "POST"});
		return;
	}
	c->kind = grpc_content_type(type) ? RPC_GRPC : connect_kind(type, &c->json);
	if (c->kind == RPC_PLAIN || (c->kind == RPC_GRPC && !peer->trailers)) {
		reject_type(c);
		return;
	}
	if (!find(c, head)) {
		rpc_finish(c);
		return;
	}
	streaming = c->method->client_streaming || c->method->server_streaming;
	if (c->kind != RPC_GRPC && streaming != (c->kind == RPC_CONNECT_STREAM)) {
		reject_type(c);
		return;
	}
	if (!take_timeout(c, head) || !allowed(c, head, peer->cert_cn) || !admissible(c, head)) {
		rpc_finish(c);
		return;
	}
	if (c->method->client_streaming)
		start_handler(c);
}

struct call *rpc_open(struct rpc_env *env, struct http_stream *hs, const struct rpc_head *head,
                      const struct rpc_peer *peer, uint64_t now_ms)
{
	struct call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	atomic_fetch_add_explicit(&env->calls, 1, memory_order_relaxed);
	c->env = env;
	c->hs = hs;
	hs->call = c;
	c->peer = peer->addr;
	c->start_ms = now_ms;
	c->deadline_ms = FIBER_NO_DEADLINE;
	c->message = "";
	c->reason = "";
	(void)str_copy(c->path, sizeof(c->path), head->path);
	arena_init(&c->arena, CALL_ARENA_MAX);
	arena_init(&c->recv_arena, CALL_ARENA_MAX);
	arena_init(&c->status_arena, RPC_STATUS_MAX);
	c->allocator = (ProtobufCAllocator){arena_pb_alloc, arena_pb_free, &c->arena};
	c->recv_allocator = (ProtobufCAllocator){arena_pb_alloc, arena_pb_free, &c->recv_arena};
	check_head(c, head, peer);
	/* Streams hold at most a message and what the flow-control window lets in. */
	buf_init(&c->in,
	         c->kind == RPC_CONNECT_UNARY ? env->message_max : env->message_max + RPC_IN_EXTRA);
	return c;
}
