/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * h2.c: nghttp2 behind h2.h. Each stream is an http_stream for its call. Nothing is sent inside a callback; what a call does is
 * queued in the session, and kick() asks for h2_output. Loop thread only.
 */
#include "mgmtapi/h2.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto.h"
#include "core/err.h"

#define PAIRS_MAX   8
#define SHUTDOWN_MS 1000 /* between the notice and the final GOAWAY: more than a round trip */
#define AGE_JITTER \
	8 /* ages differ by up to an eighth, so that clients do not come back all at once */
#define FRAME_HEAD 9 /* octets */

struct h2_stream {
	struct http_stream base; /* first */
	struct h2 *h;
	struct h2_stream *prev, *next;
	int32_t id;
	struct rpc_head head;
	size_t head_list;    /* as RFC 9113 counts */
	struct sendq out;    /* of the body, not sent */
	struct buf trailers; /* name NUL value NUL ... */
	size_t trailers_len;
	bool out_end, deferred, blocked;
	bool uploading; /* DATA has come that was not the end */
	bool answered;  /* our side has ended, the client's has not */
	uint64_t answered_ms;
};

struct h2 {
	nghttp2_session *session;
	struct h2_opts opts;
	struct h2_stream *streams;
	size_t streams_len;
	uint64_t now_ms, born_ms, age_ms, heard_ms, ping_ms, pings_ms, idle_ms, drain_ms;
	unsigned pings;
	struct buf *output; /* inside h2_output */
	bool ping_out, draining, drained;
};

static struct h2_stream *stream_of(struct http_stream *s)
{
	return container_of(s, struct h2_stream, base);
}

static void kick(struct h2 *h)
{
	h->opts.kick(h->opts.arg);
}

/* ---- what a call does ----------------------------------------------------------------------------------------------- */

static nghttp2_nv nv_of(const char *name, const char *value)
{
	return (nghttp2_nv){
		(uint8_t *)(uintptr_t)name,
		(uint8_t *)(uintptr_t)value,
		strlen(name),
		strlen(value),
		NGHTTP2_NV_FLAG_NONE,
	};
}

static int submit_trailers(struct h2_stream *s)
{
	nghttp2_nv nv[PAIRS_MAX];
	const char *at = (const char *)s->trailers.data;

	for (size_t i = 0; i < s->trailers_len; i++) {
		const char *value = at + strlen(at) + 1;

		nv[i] = nv_of(at, value);
		at = value + strlen(value) + 1;
	}
	return nghttp2_submit_trailer(s->h->session, s->id, nv, s->trailers_len);
}

/* Tells the call that there is room again. */
static void body_sent(struct h2_stream *s)
{
	if (!s->blocked || s->out.len >= RPC_SEND_QUEUE_MAX / 2)
		return;
	s->blocked = false;
	if (s->base.call != NULL)
		rpc_writable(s->base.call);
}

/* A DATA frame goes from the stream's queue to the output without a stop in nghttp2's buffer. */
static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t n, nghttp2_data_source *source, void *user)
{
	struct h2_stream *s = source->ptr;
	struct h2 *h = user;
	uint8_t *at;

	(void)session;
	(void)frame;
	if (h->output->len >= H2_OUTPUT_MAX)
		return NGHTTP2_ERR_WOULDBLOCK; /* asked again in the next h2_output */
	at = buf_reserve(h->output, FRAME_HEAD + n);
	if (at == NULL)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	memcpy(at, head, FRAME_HEAD);
	sendq_take(&s->out, h->opts.pool, at + FRAME_HEAD, n);
	h->output->len += FRAME_HEAD + n;
	body_sent(s);
	return 0;
}

/* How much the next frame takes; on_send_data moves it. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_stream *s = source->ptr;
	size_t left = s->out.len;
	size_t n = MIN(left, len);

	(void)session;
	(void)id;
	(void)to;
	(void)user;
	if (n > 0)
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	left -= n;
	if (left == 0 && s->out_end) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (s->trailers_len > 0) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			if (submit_trailers(s) != 0)
				return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		}
		return (ssize_t)n;
	}
	if (n > 0)
		return (ssize_t)n;
	s->deferred = true;
	return NGHTTP2_ERR_DEFERRED;
}

static void op_head(struct http_stream *base, unsigned status, const struct http_pair *f, size_t n,
                    bool end)
{
	struct h2_stream *s = stream_of(base);
	nghttp2_data_provider body = {.source = {.ptr = s}, .read_callback = read_body};
	nghttp2_nv nv[PAIRS_MAX + 1];
	char text[12];

	ASSERT(n <= PAIRS_MAX);
	(void)snprintf(text, sizeof(text), "%u", status);
	nv[0] = nv_of(":status", text);
	for (size_t i = 0; i < n; i++)
		nv[i + 1] = nv_of(f[i].name, f[i].value);
	if (nghttp2_submit_response(s->h->session, s->id, nv, n + 1, end ? NULL : &body) != 0)
		(void)nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id,
		                                NGHTTP2_INTERNAL_ERROR);
	kick(s->h);
}

static void resume(struct h2_stream *s)
{
	if (s->deferred) {
		s->deferred = false;
		(void)nghttp2_session_resume_data(s->h->session, s->id);
	}
	kick(s->h);
}

static void op_body(struct http_stream *base, struct span data)
{
	struct h2_stream *s = stream_of(base);

	if (s->out.len + data.len > s->h->opts.env->message_max + (size_t)2 * RPC_SEND_QUEUE_MAX ||
	    sendq_append(&s->out, s->h->opts.pool, data) != 0) {
		(void)nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id,
		                                NGHTTP2_INTERNAL_ERROR);
		kick(s->h);
		return;
	}
	s->blocked = s->blocked || s->out.len >= RPC_SEND_QUEUE_MAX;
	resume(s);
}

static void op_end(struct http_stream *base, const struct http_pair *trailers, size_t n)
{
	struct h2_stream *s = stream_of(base);

	ASSERT(n <= PAIRS_MAX);
	for (size_t i = 0; i < n; i++) {
		buf_put(&s->trailers, trailers[i].name, strlen(trailers[i].name) + 1);
		buf_put(&s->trailers, trailers[i].value, strlen(trailers[i].value) + 1);
	}
	if (s->trailers.err == 0)
		s->trailers_len = n;
	else
		(void)nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id,
		                                NGHTTP2_INTERNAL_ERROR);
	s->out_end = true;
	resume(s);
}

static void op_consume(struct http_stream *base, size_t n)
{
	struct h2_stream *s = stream_of(base);

	(void)nghttp2_session_consume(s->h->session, s->id, n);
	kick(s->h);
}

static size_t op_queued(const struct http_stream *base)
{
	const struct h2_stream *s = container_of(base, const struct h2_stream, base);

	return s->out.len;
}

static const struct http_stream_ops stream_ops = {
	.head = op_head,
	.body = op_body,
	.end = op_end,
	.consume = op_consume,
	.queued = op_queued,
};

/* ---- what nghttp2 says ---------------------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2 *h = user;
	struct h2_stream *s;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	s->base.ops = &stream_ops;
	s->h = h;
	s->id = frame->hd.stream_id;
	rpc_head_init(&s->head);
	buf_init(&s->trailers, (size_t)2 * RPC_HEAD_MAX);
	s->next = h->streams;
	if (s->next != NULL)
		s->next->prev = s;
	h->streams = s;
	h->streams_len++;
	atomic_fetch_add_explicit(&h->opts.env->streams, 1, memory_order_relaxed);
	(void)nghttp2_session_set_stream_user_data(session, s->id, s);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)flags;
	(void)user;
	if (s == NULL || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	s->head_list += name_len + value_len + 32;
	if (s->head_list > H2_HEADER_LIST_MAX)
		s->head.bad = true;
	else
		rpc_head_add(&s->head, span_of(name, name_len), span_of(value, value_len));
	return 0;
}

static void open_call(struct h2 *h, struct h2_stream *s)
{
	static const struct http_pair none[] = {{"content-length", "0"}};

	if (s->head.bad)
		op_head(&s->base, s->head_list > H2_HEADER_LIST_MAX ? 431 : 400, none, 1, true);
	else if (rpc_open(h->opts.env, &s->base, &s->head, &h->opts.peer, h->now_ms) == NULL)
		op_head(&s->base, 503, none, 1, true);
	rpc_head_free(&s->head);
}

static void on_ping(struct h2 *h)
{
	static const char why[] = "too_many_pings";

	if (h->now_ms - h->pings_ms > H2_PINGS_MS) {
		h->pings_ms = h->now_ms;
		h->pings = 0;
	}
	if (++h->pings == H2_PINGS_MAX)
		(void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
		                            nghttp2_session_get_last_proc_stream_id(h->session),
		                            NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)why,
		                            strlen(why));
}

/*
 * We answered before the client had sent all (a refusal, most often). What is on its way already may still come: curl 7.88 forgets an
 * answer that a reset follows. A client that has more to send is asked to stop, but only once the end of our answer has
 * left the queue: submitted together with the trailers, the reset would overtake and drop them (ecosystem.md 1.4).
 */
static void ask_to_stop(struct h2_stream *s)
{
	s->answered = false;
	(void)nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
	kick(s->h);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)user;
	if (s == NULL || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 ||
	    nghttp2_session_get_stream_remote_close(session, s->id) != 0)
		return 0;
	s->answered = true;
	s->answered_ms = s->h->now_ms;
	if (s->uploading)
		ask_to_stop(s);
	return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct h2 *h = user;

	if (frame->hd.type == NGHTTP2_PING) {
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			h->ping_out = false;
		else
			on_ping(h);
		return 0;
	}
	if (s == NULL || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		open_call(h, s);
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && s->base.call != NULL)
		rpc_end(s->base.call);
	else if (frame->hd.type == NGHTTP2_DATA)
		s->uploading = true;
	if (s->answered && s->uploading)
		ask_to_stop(s);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)flags;
	(void)user;
	if (s != NULL && s->base.call != NULL)
		rpc_data(s->base.call, span_of(data, len));
	else
		(void)nghttp2_session_consume(session, id, len);
	return 0;
}

static void unlink_stream(struct h2_stream *s)
{
	struct h2 *h = s->h;

	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		h->streams = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	h->streams_len--;
	h->idle_ms = h->now_ms;
}

/* The stream is off the list. */
static void free_stream(struct h2_stream *s)
{
	if (s->base.call != NULL)
		rpc_gone(s->base.call, s->h->now_ms);
	atomic_fetch_sub_explicit(&s->h->opts.env->streams, 1, memory_order_relaxed);
	rpc_head_free(&s->head);
	sendq_clear(&s->out, s->h->opts.pool);
	buf_free(&s->trailers);
	free(s);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)error;
	(void)user;
	if (s == NULL)
		return 0;
	(void)nghttp2_session_set_stream_user_data(session, id, NULL);
	unlink_stream(s);
	free_stream(s);
	return 0;
}

/* ---- the connection ------------------------------------------------------------------------------------------------- */

static int make_session(struct h2 *h)
{
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_option *option = NULL;
	int err = -1;

	if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
		nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks,
		                                                        on_begin_headers);
		nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
		nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
		nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
		nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
		nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
		nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
		nghttp2_option_set_no_auto_window_update(option, 1);
		nghttp2_option_set_no_closed_streams(option, 1);
		nghttp2_option_set_stream_reset_rate_limit(option, H2_RESET_BURST, H2_RESET_RATE);
		nghttp2_option_set_max_continuations(option, H2_CONTINUATIONS_MAX);
		nghttp2_option_set_max_settings(option, H2_SETTINGS_MAX);
		nghttp2_option_set_max_outbound_ack(option, H2_ACKS_MAX);
		err = nghttp2_session_server_new2(&h->session, callbacks, h, option);
	}
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return err == 0 ? 0 : -ERR_NOMEM;
}

struct h2 *h2_new(const struct h2_opts *opts, uint64_t now_ms)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
	         opts->far ? H2_STREAM_WINDOW_FAR : H2_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEADER_LIST_MAX},
	};
	struct h2 *h = calloc(1, sizeof(*h));
	uint64_t age = opts->age_ms != 0 ? opts->age_ms : H2_AGE_MS;

	if (h == NULL)
		return NULL;
	h->opts = *opts;
	h->now_ms = h->born_ms = h->heard_ms = h->idle_ms = h->pings_ms = now_ms;
	h->age_ms = age - random_u64() % (age / AGE_JITTER + 1);
	if (make_session(h) != 0 ||
	    nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) !=
	            0 ||
	    nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
	                                          H2_CONN_WINDOW) != 0) {
		h2_free(h);
		return NULL;
	}
	return h;
}

void h2_free(struct h2 *h)
{
	if (h == NULL)
		return;
	for (struct h2_stream *s = h->streams, *next; s != NULL; s = next) {
		next = s->next;
		free_stream(s);
	}
	nghttp2_session_del(h->session);
	free(h);
}

int h2_input(struct h2 *h, struct span data, uint64_t now_ms)
{
	ssize_t n;

	h->now_ms = h->heard_ms = now_ms;
	n = nghttp2_session_mem_recv(h->session, data.ptr, data.len);
	kick(h);
	return n >= 0 ? 0 : -ERR_PROTOCOL;
}

int h2_output(struct h2 *h, struct buf *out, uint64_t now_ms)
{
	h->now_ms = now_ms;
	h->output = out;
	while (out->len < H2_OUTPUT_MAX) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(h->session, &data);

		if (n < 0)
			return -ERR_PROTOCOL;
		if (n == 0)
			break;
		buf_put(out, data, (size_t)n);
	}
	return out->err;
}

void h2_drain(struct h2 *h, uint64_t now_ms)
{
	if (h->draining)
		return;
	h->draining = true;
	h->drain_ms = now_ms;
	(void)nghttp2_submit_shutdown_notice(h->session);
	kick(h);
}

static void finish_drain(struct h2 *h)
{
	h->drained = true;
	(void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
	                            nghttp2_session_get_last_proc_stream_id(h->session),
	                            NGHTTP2_NO_ERROR, NULL, 0);
	kick(h);
}

int h2_tick(struct h2 *h, uint64_t now_ms)
{
	h->now_ms = now_ms;
	for (struct h2_stream *s = h->streams, *next; s != NULL; s = next) {
		next = s->next;
		if (s->base.call != NULL)
			rpc_tick(s->base.call, now_ms);
		if (s->answered && now_ms - s->answered_ms >= H2_LINGER_MS)
			ask_to_stop(s);
	}
	if (h->ping_out && now_ms - h->ping_ms >= H2_PING_WAIT_MS)
		return -ERR_TIMEOUT;
	if (!h->ping_out && now_ms - h->heard_ms >= H2_PING_IDLE_MS) {
		h->ping_out = true;
		h->ping_ms = now_ms;
		(void)nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
		kick(h);
	}
	if (now_ms - h->born_ms >= h->age_ms ||
	    (h->streams == NULL && now_ms - h->idle_ms >= H2_IDLE_MS))
		h2_drain(h, now_ms);
	if (h->draining && !h->drained && now_ms - h->drain_ms >= SHUTDOWN_MS)
		finish_drain(h);
	return 0;
}

bool h2_done(const struct h2 *h)
{
	return nghttp2_session_want_read(h->session) == 0 &&
	       nghttp2_session_want_write(h->session) == 0;
}

size_t h2_streams(const struct h2 *h)
{
	return h->streams_len;
}
