/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rpc.c: the life of a call: from its head (rpc_head.c) through its request (rpc_input.c) to the handler and the end. On the connection's
 * loop; the handler in its fiber.
 */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/text.h"
#include "mgmtapi/call_internal.h"
#include "mgmtapi/metrics_api.h"

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

static void free_call(struct call *c)
{
	rpc_drop_input(c);
	atomic_fetch_sub_explicit(&c->env->calls, 1, memory_order_relaxed);
	buf_free_secret(&c->response);
	buf_free_secret(&c->body);
	arena_free(&c->arena);
	arena_free(&c->recv_arena);
	arena_free(&c->status_arena);
	free(c);
}

/* ---- the end -------------------------------------------------------------------------------------------------------- */

void rpc_put_envelope_head(struct call *c, uint8_t flags, size_t len)
{
	const uint8_t head[RPC_ENVELOPE_HEAD] = {flags, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
	                                         (uint8_t)(len >> 8), (uint8_t)len};

	c->hs->ops->body(c->hs, span_of(head, sizeof(head)));
}

void rpc_put_envelope(struct call *c, uint8_t flags, struct span payload)
{
	rpc_put_envelope_head(c, flags, payload.len);
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

void rpc_finish(struct call *c)
{
	if (c->finished)
		return;
	c->finished = true;
	rpc_drop_input(c);
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

void rpc_data(struct call *c, struct span data)
{
	if (c->finished || c->in_bad) {
		if (c->hs != NULL)
			c->hs->ops->consume(c->hs, data.len);
		return;
	}
	c->held += data.len;
	if (!rpc_take_input(c, data)) {
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
	if (!rpc_take_request(c) || !take_request_id(c)) {
		rpc_finish(c);
		return;
	}
	rpc_drop_input(c);
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

/* ---- the beginning ------------------------------------------------------------------------------------------------- */

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
	if (rpc_head_check(c, head, peer) && c->method->client_streaming)
		start_handler(c);
	/* Streams hold at most a message and what the flow-control window lets in. */
	buf_init(&c->in,
	         c->kind == RPC_CONNECT_UNARY ? env->message_max : env->message_max + RPC_IN_EXTRA);
	return c;
}
