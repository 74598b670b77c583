/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fake_api.c: see fake_api.h. One connection at a time, blocking sockets under poll. */
#include "tests/unit/support/fake_api.h"

#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/err.h"
#include "core/text.h"
#include "tests/unit/support/tls_pair.h"

#define OUT_MAX (8 * 1024 * 1024)

struct fake_api {
	int listener, stop_fd;
	uint16_t port;
	pthread_t thread;
	bool stopped;
	struct tls_ctx *ctx;
	const struct fake_step *steps;
	size_t steps_len;
	struct fake_seen seen[FAKE_SEEN_MAX];
	size_t seen_len, connections;
	/* of the present connection */
	int fd;
	struct tls *tls;
	nghttp2_session *session;
	struct buf out;
	bool drop;
	/* of the present stream */
	int32_t stream;
	struct buf body;
	const struct fake_step *step;
	bool headers_sent;
};

static struct fake_seen *now_seen(struct fake_api *f)
{
	return &f->seen[f->seen_len - 1];
}

static void frame_message(struct buf *out, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *room;

	buf_put_u8(out, 0);
	buf_put_u32(out, (uint32_t)n);
	room = buf_reserve(out, n);
	ASSERT(room != NULL);
	out->len += protobuf_c_message_pack(m, room);
}

/* ---- nghttp2's callbacks */

static nghttp2_nv nv(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
	                    strlen(value), 0};
}

static ssize_t on_read(nghttp2_session *s, int32_t id, uint8_t *out, size_t size, uint32_t *flags,
                       nghttp2_data_source *src, void *user)
{
	struct fake_api *f = user;
	size_t n = MIN(size, f->body.len);
	nghttp2_nv ok = nv("grpc-status", "0");
	bool over;

	(void)src;
	if (n > 0)
		memcpy(out, f->body.data, n);
	buf_consume(&f->body, n);
	over = f->step->kind == FAKE_MESSAGES || f->step->kind == FAKE_PARTIAL ||
	       f->step->kind == FAKE_HTTP || (f->step->kind == FAKE_ECHO && now_seen(f)->ended);
	if (f->body.len > 0)
		return (ssize_t)n;
	if (over) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (f->step->kind != FAKE_HTTP) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			(void)nghttp2_submit_trailer(s, id, &ok, 1);
		}
		if (f->step->goaway)
			(void)nghttp2_submit_goaway(s, 0, id, NGHTTP2_NO_ERROR, NULL, 0);
		return (ssize_t)n;
	}
	f->drop = f->drop || f->step->kind == FAKE_DROP;
	return n > 0 ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
}

static void answer_error(struct fake_api *f)
{
	char status[8], *details = calloc(1, base64_encoded_len(f->step->details.len) + 1);
	nghttp2_nv head[5] = {nv(":status", "200"), nv("content-type", "application/grpc+proto")};
	size_t n = 2;

	ASSERT(details != NULL);
	(void)snprintf(status, sizeof(status), "%d", f->step->status);
	head[n++] = nv("grpc-status", status);
	if (f->step->message != NULL)
		head[n++] = nv("grpc-message", f->step->message);
	if (f->step->details.len > 0) {
		(void)base64_encode(details, f->step->details, false);
		head[n++] = nv("grpc-status-details-bin", details);
	}
	(void)nghttp2_submit_response(f->session, f->stream, head, n, NULL);
	free(details);
}

static void answer(struct fake_api *f)
{
	nghttp2_data_provider body = {.read_callback = on_read};
	nghttp2_nv head[2] = {nv(":status", "200"), nv("content-type", "application/grpc+proto")};

	if (f->headers_sent)
		return;
	f->headers_sent = true;
	for (size_t i = 0; i < 4 && f->step->messages[i] != NULL; i++)
		frame_message(&f->body, f->step->messages[i]);
	switch (f->step->kind) {
	case FAKE_ERROR:
		answer_error(f);
		return;
	case FAKE_RESET:
		(void)nghttp2_submit_rst_stream(f->session, 0, f->stream,
		                                (uint32_t)f->step->status);
		return;
	case FAKE_HTTP:
		head[0] = nv(":status", f->step->message);
		head[1] = nv("content-type", "text/plain");
		buf_put_str(&f->body, "no gRPC here");
		break;
	case FAKE_PARTIAL:
		buf_put(&f->body, "\0\0\0\0\x10half", 9);
		break;
	case FAKE_DROP:
		if (f->body.len == 0) {
			f->drop = true;
			return;
		}
		break;
	default:
		break;
	}
	(void)nghttp2_submit_response(f->session, f->stream, head, 2, &body);
}

static int on_begin(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct fake_api *f = user;

	(void)s;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	ASSERT(f->seen_len < FAKE_SEEN_MAX);
	f->step = &f->steps[MIN(f->seen_len, f->steps_len - 1)];
	f->seen_len++;
	buf_init(&now_seen(f)->body, OUT_MAX);
	f->stream = frame->hd.stream_id;
	f->headers_sent = false;
	buf_clear(&f->body);
	return 0;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
	struct fake_seen *seen = now_seen(user);
	struct span v = span_of(value, value_len);
	const char *n = (const char *)name; /* nghttp2 ends names with a NUL */

	(void)s;
	(void)frame;
	(void)name_len;
	if (strcmp(n, "authorization") == 0) {
		ASSERT((flags & NGHTTP2_NV_FLAG_NO_INDEX) !=
		       0); /* a token must not get into HPACK's table */
		str_copy_span(seen->authorization, sizeof(seen->authorization), v);
	} else if (strcmp(n, ":path") == 0) {
		str_copy_span(seen->path, sizeof(seen->path), v);
	} else if (strcmp(n, "grpc-timeout") == 0) {
		str_copy_span(seen->timeout, sizeof(seen->timeout), v);
	} else if (strcmp(n, "te") == 0) {
		str_copy_span(seen->te, sizeof(seen->te), v);
	} else if (strcmp(n, "content-type") == 0) {
		str_copy_span(seen->content_type, sizeof(seen->content_type), v);
	}
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *user)
{
	struct fake_api *f = user;

	(void)flags;
	buf_put(&now_seen(f)->body, data, len);
	if (f->step->kind == FAKE_ECHO) {
		buf_put(&f->body, data, len);
		(void)nghttp2_session_resume_data(s, id);
	}
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct fake_api *f = user;

	if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code == NGHTTP2_CANCEL)
		now_seen(f)->reset = true;
	if (frame->hd.stream_id != f->stream || f->stream == 0)
		return 0;
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
		now_seen(f)->ended = true;
		(void)nghttp2_session_resume_data(s, f->stream);
		answer(f);
	} else if (f->step->kind == FAKE_ECHO && frame->hd.type == NGHTTP2_HEADERS) {
		answer(f);
	}
	return 0;
}

static ssize_t on_send(nghttp2_session *s, const uint8_t *data, size_t len, int flags, void *user)
{
	struct fake_api *f = user;

	(void)s;
	(void)flags;
	return tls_write(f->tls, span_of(data, len)) == 0 ? (ssize_t)len
	                                                  : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- the connection */

static int on_ciphertext(void *arg, struct span data)
{
	struct fake_api *f = arg;

	buf_put_span(&f->out, data);
	return f->out.err;
}

static bool flush(struct fake_api *f)
{
	bool ok = true;

	for (size_t sent = 0; ok && sent < f->out.len;) {
		ssize_t n = send(f->fd, f->out.data + sent, f->out.len - sent, MSG_NOSIGNAL);

		ok = n > 0;
		sent += ok ? (size_t)n : 0;
	}
	buf_clear(&f->out);
	return ok;
}

static void new_session(struct fake_api *f)
{
	nghttp2_session_callbacks *cb;
	int r = nghttp2_session_callbacks_new(&cb);

	ASSERT(r == 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_send_callback(cb, on_send);
	r = nghttp2_session_server_new(&f->session, cb, f);
	ASSERT(r == 0);
	nghttp2_session_callbacks_del(cb);
	(void)nghttp2_submit_settings(f->session, 0, NULL, 0);
}

/* Ciphertext from the client. False: the connection is over. */
static bool take_input(struct fake_api *f, struct span in)
{
	uint8_t plain[16384];
	ssize_t n;

	tls_input(f->tls, in);
	if (!tls_established(f->tls)) {
		n = tls_handshake(f->tls);
		if (n != 0)
			return flush(f) && n == -ERR_AGAIN;
	}
	while ((n = tls_read(f->tls, plain, sizeof(plain))) > 0)
		if (nghttp2_session_mem_recv(f->session, plain, (size_t)n) < 0)
			return false;
	return n == -ERR_AGAIN && nghttp2_session_send(f->session) == 0 && flush(f) && !f->drop;
}

static void serve(struct fake_api *f)
{
	uint8_t in[16384];

	f->drop = false;
	f->stream = 0;
	f->connections++;
	buf_init(&f->out, OUT_MAX);
	f->tls = tls_new(f->ctx, NULL, on_ciphertext, f);
	ASSERT(f->tls != NULL);
	new_session(f);
	for (;;) {
		struct pollfd p[] = {{.fd = f->fd, .events = POLLIN},
		                     {.fd = f->stop_fd, .events = POLLIN}};
		ssize_t n;

		/* What has arrived already is looked at before the stop: a test asks about it afterwards. */
		if (poll(p, 2, -1) < 0 || p[0].revents == 0)
			break;
		n = recv(f->fd, in, sizeof(in), 0);
		if (n <= 0 || !take_input(f, span_of(in, (size_t)n)))
			break;
	}
	nghttp2_session_del(f->session);
	tls_free(f->tls);
	buf_free(&f->out);
	(void)close(f->fd);
}

static void *run(void *arg)
{
	struct fake_api *f = arg;

	for (;;) {
		struct pollfd p[] = {{.fd = f->listener, .events = POLLIN},
		                     {.fd = f->stop_fd, .events = POLLIN}};

		if (poll(p, 2, -1) < 0 || p[1].revents != 0)
			return NULL;
		f->fd = accept(f->listener, NULL, NULL);
		if (f->fd >= 0)
			serve(f);
	}
}

struct fake_api *fake_api_start(const struct fake_step *steps, size_t steps_len)
{
	const struct tls_pki *pki = tls_pki_get();
	struct tls_ctx_opts opts = {.server = true,
	                            .profile = TLS_API,
	                            .cert_chain_pem = buf_span(&pki->server_pem),
	                            .key_pem = buf_span(&pki->server_key_pem),
	                            .alpn = "h2"};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	struct fake_api *f = calloc(1, sizeof(*f));
	struct buf why;

	ASSERT(f != NULL);
	buf_init(&why, 1000);
	buf_init(&f->body, OUT_MAX);
	f->steps = steps;
	f->steps_len = steps_len;
	f->ctx = tls_ctx_new(&opts, &why);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	f->stop_fd = eventfd(0, EFD_CLOEXEC);
	ASSERT(f->ctx != NULL && f->listener >= 0 && f->stop_fd >= 0);
	ASSERT(bind(f->listener, (struct sockaddr *)&a, len) == 0 && listen(f->listener, 8) == 0);
	ASSERT(getsockname(f->listener, (struct sockaddr *)&a, &len) == 0);
	f->port = ntohs(a.sin_port);
	ASSERT(pthread_create(&f->thread, NULL, run, f) == 0);
	buf_free(&why);
	return f;
}

void fake_api_stop(struct fake_api *f)
{
	if (f->stopped)
		return;
	ASSERT(eventfd_write(f->stop_fd, 1) == 0);
	(void)pthread_join(f->thread, NULL);
	(void)close(f->listener);
	(void)close(f->stop_fd);
	f->stopped = true;
}

void fake_api_free(struct fake_api *f)
{
	fake_api_stop(f);
	for (size_t i = 0; i < f->seen_len; i++)
		buf_free(&f->seen[i].body);
	buf_free(&f->body);
	tls_ctx_unref(f->ctx);
	free(f);
}

uint16_t fake_api_port(const struct fake_api *f)
{
	return f->port;
}

size_t fake_api_requests(const struct fake_api *f)
{
	return f->seen_len;
}

size_t fake_api_connections(const struct fake_api *f)
{
	return f->connections;
}

const struct fake_seen *fake_api_seen(const struct fake_api *f, size_t nth)
{
	ASSERT(f->stopped && nth < f->seen_len);
	return &f->seen[nth];
}
