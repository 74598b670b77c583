/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * connect.c: what is the Connect protocol's own in a call: content types, codes and HTTP statuses, error JSON, the end-of-stream
 * envelope. Works the same over HTTP/1.1 and HTTP/2. Pure but for the transport's table.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/err.h"
#include "google/rpc/error_details.pb-c.h"
#include "mgmtapi/call_internal.h"
#include "mgmtapi/json.h"

#define ERROR_TEXT_MAX     16384
#define TIMEOUT_DIGITS_MAX 10 /* Connect-Timeout-Ms */
#define FLAG_END_STREAM    0x02

static const struct {
	const char *name;
	unsigned status;
} codes[CALL_CODE_COUNT] = {
	[CALL_OK] = {"ok", 200},
	[CALL_CANCELLED] = {"canceled", 499},
	[CALL_UNKNOWN] = {"unknown", 500},
	[CALL_INVALID_ARGUMENT] = {"invalid_argument", 400},
	[CALL_DEADLINE_EXCEEDED] = {"deadline_exceeded", 504},
	[CALL_NOT_FOUND] = {"not_found", 404},
	[CALL_ALREADY_EXISTS] = {"already_exists", 409},
	[CALL_PERMISSION_DENIED] = {"permission_denied", 403},
	[CALL_RESOURCE_EXHAUSTED] = {"resource_exhausted", 429},
	[CALL_FAILED_PRECONDITION] = {"failed_precondition", 400},
	[CALL_ABORTED] = {"aborted", 409},
	[CALL_OUT_OF_RANGE] = {"out_of_range", 400},
	[CALL_UNIMPLEMENTED] = {"unimplemented", 501},
	[CALL_INTERNAL] = {"internal", 500},
	[CALL_UNAVAILABLE] = {"unavailable", 503},
	[CALL_DATA_LOSS] = {"data_loss", 500},
	[CALL_UNAUTHENTICATED] = {"unauthenticated", 401},
};

unsigned connect_http_status(enum call_code code)
{
	return code < CALL_CODE_COUNT ? codes[code].status : 500;
}

const char *connect_code_name(enum call_code code)
{
	return code < CALL_CODE_COUNT ? codes[code].name : "unknown";
}

static bool is_type(const char *value, const char *type)
{
	size_t n = strlen(type);

	return strncasecmp(value, type, n) == 0 &&
	       (value[n] == '\0' || value[n] == ';' || value[n] == ' ');
}

enum rpc_kind connect_kind(const char *content_type, bool *json)
{
	*json = is_type(content_type, "application/json") ||
	        is_type(content_type, "application/connect+json");
	if (*json || is_type(content_type, "application/proto") ||
	    is_type(content_type, "application/connect+proto"))
		return strncasecmp(content_type, "application/connect+", 20) == 0
		               ? RPC_CONNECT_STREAM
		               : RPC_CONNECT_UNARY;
	return RPC_PLAIN;
}

int64_t connect_timeout_ms(const char *value)
{
	size_t digits = strspn(value, "0123456789");
	int64_t v = 0;

	if (value[0] == '\0')
		return INT64_MAX;
	if (digits == 0 || digits > TIMEOUT_DIGITS_MAX || value[digits] != '\0')
		return -1;
	for (size_t i = 0; i < digits; i++)
		v = v * 10 + (value[i] - '0');
	return v;
}

/* The same for people and programs without protobuf; the protocol leaves room for it. */
static void put_debug(struct buf *out, struct span value)
{
	Google__Rpc__ErrorInfo *info = google__rpc__error_info__unpack(NULL, value.len, value.ptr);

	if (info == NULL)
		return;
	buf_put_str(out, ",\"debug\":{\"reason\":");
	pbjson_put_string(out, span_str(info->reason));
	buf_put_str(out, ",\"domain\":");
	pbjson_put_string(out, span_str(info->domain));
	buf_put_str(out, ",\"metadata\":{");
	for (size_t i = 0; i < info->n_metadata; i++) {
		buf_put_str(out, i > 0 ? "," : "");
		pbjson_put_string(out, span_str(info->metadata[i]->key));
		buf_put_u8(out, ':');
		pbjson_put_string(out, span_str(info->metadata[i]->value));
	}
	buf_put_str(out, "}}");
	google__rpc__error_info__free_unpacked(info, NULL);
}

static void put_detail(void *arg, const char *type, struct span value)
{
	struct buf *out = arg;

	buf_put_str(out, out->data[out->len - 1] == '[' ? "{\"type\":" : ",{\"type\":");
	pbjson_put_string(out, span_str(type));
	buf_put_str(out, ",\"value\":");
	pbjson_put_base64(out, value, false);
	if (strcmp(type, "google.rpc.ErrorInfo") == 0)
		put_debug(out, value);
	buf_put_u8(out, '}');
}

static void put_error(const struct call *c, struct buf *out)
{
	buf_printf(out, "{\"code\":\"%s\",\"message\":", connect_code_name(c->code));
	pbjson_put_string(out, span_str(c->message));
	buf_put_str(out, ",\"details\":[");
	if (out->err == 0)
		rpc_details_each(c, put_detail, out);
	buf_put_str(out, "]}");
}

void connect_send_head(struct call *c)
{
	const struct http_pair fields[] = {
		{"content-type",
	         c->json ? "application/connect+json" : "application/connect+proto"},
		{"connect-accept-encoding", "identity,gzip"},
	};

	c->head_sent = true;
	c->hs->ops->head(c->hs, 200, fields, ARRAY_LEN(fields), false);
}

void connect_finish_unary(struct call *c)
{
	struct http_pair f[4];
	struct buf error;
	struct span body;
	char length[24];
	size_t n = 0;

	buf_init(&error, ERROR_TEXT_MAX);
	if (c->code == CALL_OK) {
		f[n++] = (struct http_pair){"content-type",
		                            c->json ? "application/json" : "application/proto"};
		body = buf_span(c->json ? &c->body : &c->response);
	} else {
		put_error(c, &error);
		f[n++] = (struct http_pair){"content-type", "application/json"};
		if (c->code == CALL_UNAUTHENTICATED)
			f[n++] = (struct http_pair){"www-authenticate", "Bearer"};
		body = buf_span(&error);
	}
	(void)snprintf(length, sizeof(length), "%zu", body.len);
	f[n++] = (struct http_pair){"content-length", length};
	f[n++] = (struct http_pair){"accept-encoding", "identity,gzip"};
	/* A path that nobody serves is 404 by Connect's rules; clients read it as unimplemented. */
	c->hs->ops->head(c->hs,
	                 c->method == NULL && c->code == CALL_UNIMPLEMENTED
	                         ? 404
	                         : connect_http_status(c->code),
	                 f, n, body.len == 0);
	if (body.len > 0) {
		c->hs->ops->body(c->hs, body);
		c->hs->ops->end(c->hs, NULL, 0);
	}
	c->head_sent = true;
	buf_free(&error);
}

void connect_finish_stream(struct call *c)
{
	struct buf last;

	buf_init(&last, ERROR_TEXT_MAX);
	if (!c->head_sent)
		connect_send_head(c);
	if (c->code == CALL_OK && c->have_response)
		rpc_put_envelope(c, 0, buf_span(c->json ? &c->body : &c->response));
	if (c->code == CALL_OK) {
		buf_put_str(&last, "{}");
	} else {
		buf_put_str(&last, "{\"error\":");
		put_error(c, &last);
		buf_put_u8(&last, '}');
	}
	rpc_put_envelope(c, FLAG_END_STREAM, buf_span(&last));
	c->hs->ops->end(c->hs, NULL, 0);
	buf_free(&last);
}
