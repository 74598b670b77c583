/* SPDX-License-Identifier: GPL-3.0-or-later */
/* client.c: gRPC over HTTP/2 and TLS: many connections with many streams each, on one loop. */
#include "bench/api_load/api_load.h"
#include "core/conn.h"
#include "core/err.h"

#include <nghttp2/nghttp2.h>
#include <string.h>
#include <time.h>

#define WINDOW      (16 << 20)
#define WINDOW_SLOW 65535

struct link {
	struct conn *conn;
	nghttp2_session *session;
	struct task pump;
	bool pumping;
	struct stream streams[STREAMS_MAX];
};

static struct {
	struct loop *loop;
	struct tls_ctx *tls;
	struct link *links;
	const char *authorization;
	unsigned up, open;
	bool stopped;
} client;

static nghttp2_nv pair(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
	                    strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void kick(struct link *l)
{
	if (l->pumping)
		return;
	l->pumping = true;
	loop_defer(client.loop, &l->pump);
}

/* ---- requests ---- */

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct stream *s = source->ptr;
	bool endless = s->open && opt.kind->endless.len > 0;
	struct span from = endless ? opt.kind->endless : span_of(s->body, s->body_len);
	size_t n = MIN(len, from.len - s->body_at);

	(void)session;
	(void)id;
	(void)user;
	memcpy(to, from.ptr + s->body_at, n);
	s->body_at += n;
	if (endless) {
		counts.octets += n;
		s->body_at %= from.len;
	}
	if (!opt.kind->bidirectional && s->body_at == from.len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return opt.kind->bidirectional && n == 0 ? NGHTTP2_ERR_DEFERRED : (ssize_t)n;
}

static void begin_call(struct stream *s)
{
	nghttp2_data_provider body = {.source = {.ptr = s}, .read_callback = read_body};
	const nghttp2_nv nv[] = {
		pair(":method", "POST"),
		pair(":scheme", "https"),
		pair(":authority", "localhost"),
		pair(":path", opt.kind->path),
		pair("te", "trailers"),
		pair("content-type", "application/grpc+proto"),
		pair("authorization", client.authorization),
	};

	opt.kind->request(s);
	s->body_at = 0;
	s->head_len = 0;
	s->status = -1;
	s->open = false;
	s->begin_us = now_us(CLOCK_MONOTONIC);
	s->id = nghttp2_submit_request(s->link->session, NULL, nv, ARRAY_LEN(nv), &body, s);
	must(s->id > 0, "starting a call");
	kick(s->link);
}

void stream_opened(struct stream *s)
{
	s->open = true;
	client.open++;
	if (opt.kind->endless.len == 0)
		return;
	s->body_at = 0;
	(void)nghttp2_session_resume_data(s->link->session, s->id);
	kick(s->link);
}

/* ---- answers ---- */

static void took_message(struct stream *s)
{
	counts.messages++;
	if (opt.kind->message != NULL)
		opt.kind->message(s);
	buf_clear(&s->message);
}

static void take(struct stream *s, struct span in)
{
	while (in.len > 0) {
		size_t n;

		if (s->head_len < MESSAGE_HEAD) {
			s->head[s->head_len++] = in.ptr[0];
			in = span_of(in.ptr + 1, in.len - 1);
			s->left = s->head_len < MESSAGE_HEAD
			                  ? 0
			                  : (uint32_t)s->head[1] << 24 |
			                            (uint32_t)s->head[2] << 16 |
			                            (uint32_t)s->head[3] << 8 | s->head[4];
			if (s->head_len < MESSAGE_HEAD || s->left > 0)
				continue;
		}
		n = MIN(in.len, (size_t)s->left);
		if (opt.kind->keeps)
			buf_put(&s->message, in.ptr, n);
		else if (opt.kind->counts_in)
			counts.octets += n;
		must(s->message.err == 0, "holding a message");
		s->left -= (uint32_t)n;
		in = span_of(in.ptr + n, in.len - n);
		if (s->left > 0)
			continue;
		s->head_len = 0;
		took_message(s);
	}
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)flags;
	(void)user;
	if (s == NULL || (s->slow && s->open)) {
		(void)nghttp2_session_consume_connection(session, len);
		return 0;
	}
	(void)nghttp2_session_consume(session, id, len);
	take(s, span_of(data, len));
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)flags;
	(void)user;
	if (s == NULL || value_len == 0)
		return 0;
	if (name_len == 11 && memcmp(name, "grpc-status", 11) == 0)
		s->status = value_len == 1 ? value[0] - '0' : 99;
	if (name_len == 12 && memcmp(name, "grpc-message", 12) == 0 && !s->failed) {
		s->failed = true;
		fprintf(stderr, "api_load: %.*s\n", (int)value_len, (const char *)value);
	}
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)error;
	(void)user;
	if (s == NULL)
		return 0;
	counts.calls++;
	counts.failed += s->status != 0;
	if (!opt.kind->lasts && s->status == 0)
		measure_latency(now_us(CLOCK_MONOTONIC) - s->begin_us);
	/* what should last is over: that was a failure, and beginning again would hide it */
	if (!client.stopped && !opt.kind->lasts)
		begin_call(s);
	return 0;
}

/* ---- connections ---- */

static nghttp2_session *make_session(struct link *l, bool slow)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, slow ? WINDOW_SLOW : WINDOW},
	};
	nghttp2_session_callbacks *cb;
	nghttp2_session *session;
	nghttp2_option *option;

	must(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&option) == 0,
	     "nghttp2");
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_option_set_no_auto_window_update(option, 1);
	must(nghttp2_session_client_new2(&session, cb, l, option) == 0, "an HTTP/2 session");
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	must(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) ==
	                     0 &&
	             nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, WINDOW) ==
	                     0,
	     "settings");
	return session;
}

static void pump(struct task *t)
{
	struct link *l = container_of(t, struct link, pump);

	l->pumping = false;
	while (l->conn != NULL && !conn_congested(l->conn)) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(l->session, &data);

		must(n >= 0, "making frames");
		if (n == 0)
			break;
		must(conn_write(l->conn, span_of(data, (size_t)n)) == 0, "sending");
	}
}

static void on_ready(struct conn *c)
{
	struct link *l = conn_user(c);
	size_t index = (size_t)(l - client.links);

	client.up++;
	for (unsigned i = 0; i < opt.streams; i++) {
		struct stream *s = &l->streams[i];

		s->link = l;
		s->slow = index * opt.streams + i < opt.slow;
		buf_init(&s->message, MESSAGE_MAX);
		begin_call(s);
	}
}

static void on_input(struct conn *c, struct span s)
{
	struct link *l = conn_user(c);

	must(nghttp2_session_mem_recv(l->session, s.ptr, s.len) == (ssize_t)s.len, "the server");
	kick(l);
}

static void on_drained(struct conn *c)
{
	kick(conn_user(c));
}

static void on_closed(struct conn *c, int err)
{
	struct link *l = conn_user(c);

	must(client.stopped, err == 0 ? "keeping a connection" : err_text(err));
	l->conn = NULL;
}

static const struct conn_ops conn_ops = {
	.ready = on_ready, .data = on_input, .drained = on_drained, .closed = on_closed};

void client_start(struct loop *loop, struct tls_ctx *tls, const struct addr *api,
                  const char *authorization)
{
	const struct conn_opts o = {.ops = &conn_ops,
	                            .tls = tls,
	                            .server_name = opt.ca != NULL ? opt.name : NULL,
	                            .send_limit = 262144};

	client.loop = loop;
	client.authorization = authorization;
	client.links = calloc(opt.connections, sizeof(*client.links));
	must(client.links != NULL, "memory");
	for (unsigned i = 0; i < opt.connections; i++) {
		struct link *l = &client.links[i];

		l->pump.run = pump;
		l->session = make_session(l, i * opt.streams < opt.slow);
		l->conn = conn_connect(loop, api, NULL, &o);
		must(l->conn != NULL, "connecting");
		conn_set_user(l->conn, &conn_ops, l);
	}
}

bool client_ready(void)
{
	return client.up == opt.connections &&
	       (!opt.kind->lasts || client.open == opt.connections * opt.streams);
}

unsigned client_open(void)
{
	return client.open;
}

void client_stop(void)
{
	client.stopped = true;
}
