/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rpc_head.c: a request's head: what is kept of it, and the checks in their order: method, protocol, path, timeout, credentials, access,
 * limits.
 */
#include <string.h>

#include "core/err.h"
#include "core/text.h"
#include "mgmtapi/call_internal.h"

#define TIMEOUT_MAX_MS ((int64_t)365 * 24 * 3600 * 1000)

/* ---- what is kept ---- */

static const char *const field_names[RPC_F_COUNT] = {
	[RPC_F_CONTENT_TYPE] = "content-type",
	[RPC_F_AUTHORIZATION] = "authorization",
	[RPC_F_GRPC_TIMEOUT] = "grpc-timeout",
	[RPC_F_GRPC_ENCODING] = "grpc-encoding",
	[RPC_F_CONNECT_TIMEOUT] = "connect-timeout-ms",
	[RPC_F_CONNECT_VERSION] = "connect-protocol-version",
	[RPC_F_CONTENT_ENCODING] = "content-encoding",
	[RPC_F_CONNECT_ENCODING] = "connect-content-encoding",
	[RPC_F_CONTENT_LENGTH] = "content-length",
};

void rpc_head_init(struct rpc_head *h)
{
	memset(h, 0, sizeof(*h));
	buf_init(&h->mem, RPC_HEAD_MAX);
}

void rpc_head_free(struct rpc_head *h)
{
	buf_free_secret(&h->mem);
}

void rpc_head_add(struct rpc_head *h, struct span name, struct span value)
{
	if (span_is(name, ":method") || span_is(name, ":path")) {
		bool path = name.ptr[1] == 'p';
		const uint8_t *query = path ? memchr(value.ptr, '?', value.len) : NULL;

		if (query != NULL)
			value.len = (size_t)(query - value.ptr);
		if (!str_copy_span(path ? h->path : h->method,
		                   path ? sizeof(h->path) : sizeof(h->method), value))
			h->bad = true;
		return;
	}
	for (size_t i = 0; i < RPC_F_COUNT; i++) {
		if (!span_is(name, field_names[i]))
			continue;
		/* The first one of a name counts; two different credentials or types would be an ambiguity. */
		if (h->at[i] != 0 || !text_is_printable(value)) {
			h->bad = true;
			return;
		}
		h->at[i] = (uint32_t)h->mem.len + 1;
		buf_put_span(&h->mem, value);
		buf_put_u8(&h->mem, 0);
		if (h->mem.err != 0)
			h->bad = true;
		return;
	}
}

const char *rpc_head_get(const struct rpc_head *h, enum rpc_field f)
{
	if (h->at[f] == 0 || h->at[f] > h->mem.len)
		return "";
	return (const char *)h->mem.data + h->at[f] - 1;
}

/* ---- checks ---- */

/* A plain HTTP answer, for requests that speak none of our protocols. */
static void answer_plain(struct call *c, unsigned status, struct http_pair field)
{
	const struct http_pair f[] = {field, {"content-length", "0"}};

	c->kind = RPC_PLAIN;
	c->finished = true;
	c->code = CALL_UNIMPLEMENTED;
	c->hs->ops->head(c->hs, status, f, ARRAY_LEN(f), true);
}

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

bool rpc_head_check(struct call *c, const struct rpc_head *head, const struct rpc_peer *peer)
{
	const char *type = rpc_head_get(head, RPC_F_CONTENT_TYPE);
	bool streaming;

	if (strcmp(head->method, "POST") != 0) {
		answer_plain(c, 405, (struct http_pair){"allow", "POST"});
		return false;
	}
	c->kind = grpc_content_type(type) ? RPC_GRPC : connect_kind(type, &c->json);
	if (c->kind == RPC_PLAIN || (c->kind == RPC_GRPC && !peer->trailers)) {
		reject_type(c);
		return false;
	}
	if (!find(c, head)) {
		rpc_finish(c);
		return false;
	}
	streaming = c->method->client_streaming || c->method->server_streaming;
	if (c->kind != RPC_GRPC && streaming != (c->kind == RPC_CONNECT_STREAM)) {
		reject_type(c);
		return false;
	}
	if (!take_timeout(c, head) || !allowed(c, head, peer->cert_cn) || !admissible(c, head)) {
		rpc_finish(c);
		return false;
	}
	return true;
}
