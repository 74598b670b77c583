/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h2_client.c: one gRPC call at a time over an nghttp2 client session. No I/O. One thread. */
#include "mgmtapi/cli/h2_client.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/text.h"
#include "mgmtapi/cli/cli.h"

#define BODY_OUT_MAX (CLI_SEND_MAX + 65536)
#define BODY_IN_MAX  (CLI_MESSAGE_MAX + 262144) /* a message and what one pump reads behind it */
#define HEADERS_MAX  65536                      /* SETTINGS_MAX_HEADER_LIST_SIZE */

struct h2_client {
	nghttp2_session *session;
	h2_client_send_fn *send;
	void *arg;
	int32_t stream; /* of the call; -1 none */
	bool goaway;
	bool ended; /* the request's body is complete */
	struct buf body;
	struct h2_client_answer answer;
};

/* ---- small forms */

static int hex_digit(uint8_t ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch |= 0x20;
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

void h2_client_percent_decode(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		int high = -1, low = -1;

		if (text.ptr[i] == '%' && i + 2 < text.len) {
			high = hex_digit(text.ptr[i + 1]);
			low = hex_digit(text.ptr[i + 2]);
		}
		if (high < 0 || low < 0) {
			buf_put_u8(out, text.ptr[i]);
			continue;
		}
		buf_put_u8(out, (uint8_t)(high << 4 | low));
		i += 2;
	}
}

void h2_client_timeout(uint64_t ms, char out[16])
{
	if (ms < 100000000)
		(void)snprintf(out, 16, "%llum", (unsigned long long)ms);
	else
		(void)snprintf(out, 16, "%lluS", (unsigned long long)MIN(ms / 1000, 99999999ull));
}

/* ---- what comes in */

static bool name_is(struct span name, const char *text)
{
	return name.len == strlen(text) && memcmp(name.ptr, text, name.len) == 0;
}

/* A small decimal number, or -1. */
static int small_number(struct span value)
{
	int n = 0;

	if (value.len == 0 || value.len > 3)
		return -1;
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] < '0' || value.ptr[i] > '9')
			return -1;
		n = n * 10 + value.ptr[i] - '0';
	}
	return n;
}

static void take_details(struct h2_client_answer *a, struct span value)
{
	uint8_t *room;
	ssize_t n;

	buf_clear(&a->details);
	room = buf_reserve(&a->details, value.len);
	n = room != NULL ? base64_decode(room, value.len, value) : -ERR_NOMEM;
	a->details.len = n > 0 ? (size_t)n : 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
	struct h2_client *c = user;
	struct h2_client_answer *a = &c->answer;
	struct span n = span_of(name, name_len), v = span_of(value, value_len);

	(void)session;
	(void)flags;
	if (frame->hd.stream_id != c->stream || value_len > H2_CLIENT_VALUE_MAX)
		return 0;
	if (name_is(n, ":status")) {
		a->http_status = small_number(v);
	} else if (name_is(n, "content-type")) {
		a->is_grpc = v.len >= 16 && memcmp(v.ptr, "application/grpc", 16) == 0;
	} else if (name_is(n, "grpc-status")) {
		a->grpc_status = small_number(v);
		if (a->grpc_status < 0)
			a->grpc_status = 2; /* UNKNOWN: what is not a number is not a success */
	} else if (name_is(n, "grpc-message")) {
		buf_clear(&a->message);
		h2_client_percent_decode(&a->message, v);
	} else if (name_is(n, "grpc-status-details-bin")) {
		take_details(a, v);
	}
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *user)
{
	struct h2_client *c = user;

	(void)session;
	(void)flags;
	if (stream == c->stream)
		buf_put(&c->answer.body, data, len);
	return c->answer.body.err == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *user)
{
	struct h2_client *c = user;

	(void)session;
	if (stream != c->stream)
		return 0;
	c->answer.closed = true;
	c->answer.reset = error;
	if (error == NGHTTP2_REFUSED_STREAM)
		c->answer.refused = true;
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_client *c = user;

	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    frame->hd.stream_id == c->stream && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
		c->answer.closed =
			true; /* the status is there: what we might still send interests nobody */
		if (!c->ended)
			(void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, c->stream,
			                                NGHTTP2_NO_ERROR);
		return 0;
	}
	if (frame->hd.type != NGHTTP2_GOAWAY)
		return 0;
	c->goaway = true;
	if (c->stream > frame->goaway.last_stream_id && !c->answer.closed) {
		c->answer.refused = true;
		c->answer.closed = true;
	}
	return 0;
}

/* ---- what goes out */

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
                       void *user)
{
	struct h2_client *c = user;

	(void)session;
	(void)flags;
	return c->send(c->arg, span_of(data, len)) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE
	                                               : (ssize_t)len;
}

static ssize_t on_read(nghttp2_session *session, int32_t stream, uint8_t *out, size_t size,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_client *c = user;
	size_t n = MIN(size, c->body.len);

	(void)session;
	(void)source;
	if (stream != c->stream)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (n == 0 && !c->ended)
		return NGHTTP2_ERR_DEFERRED;
	if (n > 0)
		memcpy(out, c->body.data, n);
	buf_consume(&c->body, n);
	if (c->ended && c->body.len == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* ---- the connection */

static int make_session(struct h2_client *c)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_CLIENT_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX},
	};
	nghttp2_session_callbacks *cb;
	int r;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return -ERR_NOMEM;
	nghttp2_session_callbacks_set_send_callback(cb, on_send);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	r = nghttp2_session_client_new(&c->session, cb, c);
	nghttp2_session_callbacks_del(cb);
	if (r != 0)
		return -ERR_NOMEM;
	if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) !=
	            0 ||
	    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
	                                          H2_CLIENT_WINDOW) != 0)
		return -ERR_NOMEM;
	return 0;
}

struct h2_client *h2_client_new(h2_client_send_fn *send, void *arg)
{
	struct h2_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->send = send;
	c->arg = arg;
	c->stream = -1;
	buf_init(&c->body, BODY_OUT_MAX);
	buf_init(&c->answer.body, BODY_IN_MAX);
	buf_init(&c->answer.message, H2_CLIENT_VALUE_MAX);
	buf_init(&c->answer.details, H2_CLIENT_VALUE_MAX);
	if (make_session(c) == 0)
		return c;
	h2_client_free(c);
	return NULL;
}

void h2_client_free(struct h2_client *c)
{
	if (c == NULL)
		return;
	nghttp2_session_del(c->session);
	buf_free_secret(&c->body);
	buf_free_secret(&c->answer.body);
	buf_free(&c->answer.message);
	buf_free(&c->answer.details);
	free(c);
}

bool h2_client_usable(const struct h2_client *c)
{
	return !c->goaway && nghttp2_session_check_request_allowed(c->session) != 0;
}

int h2_client_input(struct h2_client *c, struct span data)
{
	ssize_t r = nghttp2_session_mem_recv(c->session, data.ptr, data.len);

	return r == (ssize_t)data.len ? 0 : -ERR_PROTOCOL;
}

int h2_client_flush(struct h2_client *c)
{
	return nghttp2_session_send(c->session) == 0 ? 0 : -ERR_CLOSED;
}

struct h2_client_answer *h2_client_answer(struct h2_client *c)
{
	return &c->answer;
}

/* ---- the call */

static nghttp2_nv pair(const char *name, struct span value, uint8_t flags)
{
	/* nghttp2 copies both; its type only lacks the const */
	return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value.ptr,
	                    strlen(name), value.len, flags};
}

static void reset_answer(struct h2_client *c)
{
	struct h2_client_answer *a = &c->answer;

	buf_clear(&c->body);
	buf_clear(&a->body);
	buf_clear(&a->message);
	buf_clear(&a->details);
	a->closed = a->refused = a->is_grpc = false;
	a->reset = 0;
	a->http_status = 0;
	a->grpc_status = H2_CLIENT_STATUS_NONE;
	c->ended = false;
}

int h2_client_start(struct h2_client *c, const struct h2_client_request *r)
{
	nghttp2_data_provider body = {.read_callback = on_read};
	nghttp2_nv nv[10];
	char timeout[16];
	size_t n = 0;

	reset_answer(c);
	if (!h2_client_usable(c))
		return -ERR_CLOSED;
	nv[n++] = pair(":method", span_str("POST"), 0);
	nv[n++] = pair(":scheme", span_str("https"), 0);
	nv[n++] = pair(":authority", span_str(r->authority), 0);
	nv[n++] = pair(":path", span_str(r->path), 0);
	nv[n++] = pair("te", span_str("trailers"), 0);
	nv[n++] = pair("content-type", span_str("application/grpc+proto"), 0);
	nv[n++] = pair("user-agent", span_str("causeway/" CAUSEWAY_VERSION), 0);
	if (r->timeout_ms != 0) {
		h2_client_timeout(r->timeout_ms, timeout);
		nv[n++] = pair("grpc-timeout", span_str(timeout), 0);
	}
	if (r->authorization.len > 0)
		nv[n++] = pair("authorization", r->authorization, NGHTTP2_NV_FLAG_NO_INDEX);
	c->stream = nghttp2_submit_request(c->session, NULL, nv, n, &body, NULL);
	return c->stream > 0 ? 0 : -ERR_NOMEM;
}

int h2_client_data(struct h2_client *c, struct span data)
{
	buf_put_span(&c->body, data);
	if (c->body.err == 0)
		(void)nghttp2_session_resume_data(c->session, c->stream);
	return c->body.err;
}

void h2_client_end(struct h2_client *c)
{
	c->ended = true;
	(void)nghttp2_session_resume_data(c->session, c->stream);
}

size_t h2_client_unsent(const struct h2_client *c)
{
	return c->body.len;
}

void h2_client_cancel(struct h2_client *c)
{
	if (c->stream > 0 && !c->answer.closed)
		(void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, c->stream,
		                                NGHTTP2_CANCEL);
}
