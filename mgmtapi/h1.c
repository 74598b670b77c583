/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * h1.c: the parser of wire/http1.h in front of a call, and the writer behind it. A call's answer is collected in `out`; the exchange
 * ends in h1_output, never inside what a call does. Loop thread only.
 */
#include "mgmtapi/h1.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/text.h"
#include "wire/http1.h"

#define FIELD_NAME_MAX 64

static const char page[] = "This is the management API of a Causeway gateway.\n"
			   "It speaks gRPC (HTTP/2) and Connect (POST /causeway.v1.SERVICE/METHOD "
			   "with JSON), and server reflection.\n";

struct h1 {
	struct http_stream base; /* first */
	struct h1_opts opts;
	struct http1 parser;
	struct buf out;
	struct buf rest;   /* input behind the present request */
	uint64_t since_ms; /* idle, or the present head is awaited */
	bool in_request;   /* from the head to the end of the answer */
	bool request_done; /* no more of the request is to come */
	bool ended;        /* and the parser has said so */
	bool answer_done;
	bool chunked, no_body, minor0;
	bool close; /* after the present answer */
	bool blocked;
};

static struct h1 *h1_of(struct http_stream *s)
{
	return container_of(s, struct h1, base);
}

/* ---- what a call does ----------------------------------------------------------------------------------------------- */

static void op_head(struct http_stream *base, unsigned status, const struct http_pair *f, size_t n,
                    bool end)
{
	struct h1 *h = h1_of(base);
	bool length = false;

	http1_write_response(&h->out, status);
	for (size_t i = 0; i < n; i++) {
		length = length || strcmp(f[i].name, "content-length") == 0;
		http1_write_field_str(&h->out, f[i].name, f[i].value);
	}
	/* An answer before the request's end leaves the client's position unknown: the connection cannot go on. */
	if (!h->request_done)
		h->close = true;
	if (!length && !end) {
		h->chunked = !h->minor0;
		if (h->chunked)
			http1_write_field_str(&h->out, "transfer-encoding", "chunked");
		else
			h->close = true;
	}
	if (h->close)
		http1_write_field_str(&h->out, "connection", "close");
	http1_write_head_end(&h->out);
	h->answer_done = end;
	h->opts.kick(h->opts.arg);
}

static void op_body(struct http_stream *base, struct span data)
{
	struct h1 *h = h1_of(base);

	if (h->chunked)
		http1_write_chunk(&h->out, data);
	else
		buf_put_span(&h->out, data);
	h->blocked = h->blocked || h->out.len >= RPC_SEND_QUEUE_MAX;
	h->opts.kick(h->opts.arg);
}

static void op_end(struct http_stream *base, const struct http_pair *trailers, size_t n)
{
	struct h1 *h = h1_of(base);

	(void)trailers;
	(void)n;
	if (h->chunked)
		http1_write_chunk_end(&h->out);
	h->answer_done = true;
	h->opts.kick(h->opts.arg);
}

/* No windows here: a request is bounded by the limit of one message. */
static void op_consume(struct http_stream *base, size_t n)
{
	(void)base;
	(void)n;
}

static size_t op_queued(const struct http_stream *base)
{
	return container_of(base, const struct h1, base)->out.len;
}

static const struct http_stream_ops ops = {op_head, op_body, op_end, op_consume, op_queued};

/* ---- requests ------------------------------------------------------------------------------------------------------- */

static void plain(struct h1 *h, unsigned status, const char *text)
{
	const struct http_pair f[] = {{"content-type", "text/plain; charset=utf-8"},
	                              {"cache-control", "no-store"}};
	size_t n = strlen(text);

	http1_write_response(&h->out, status);
	for (size_t i = 0; i < ARRAY_LEN(f); i++)
		http1_write_field_str(&h->out, f[i].name, f[i].value);
	http1_write_field_uint(&h->out, "content-length", n);
	if (!h->request_done)
		h->close = true;
	if (h->close)
		http1_write_field_str(&h->out, "connection", "close");
	http1_write_head_end(&h->out);
	if (!h->no_body)
		buf_put_str(&h->out, text);
	h->answer_done = true;
}

static void fill_head(struct h1 *h, struct rpc_head *head)
{
	char lower[FIELD_NAME_MAX];
	size_t n = http1_header_count(&h->parser);

	rpc_head_add(head, span_str(":method"), h->parser.msg.method);
	rpc_head_add(head, span_str(":path"), http1_path(h->parser.msg.target));
	for (size_t i = 0; i < n; i++) {
		struct span name;
		struct span value;

		http1_header_at(&h->parser, i, &name, &value);
		if (name.len >= sizeof(lower))
			continue;
		for (size_t j = 0; j < name.len; j++)
			lower[j] = name.ptr[j] >= 'A' && name.ptr[j] <= 'Z'
			                   ? (char)(name.ptr[j] + 32)
			                   : (char)name.ptr[j];
		rpc_head_add(head, span_of(lower, name.len), value);
	}
}

static void begin(struct h1 *h, uint64_t now_ms)
{
	const struct http1_msg *m = &h->parser.msg;
	bool get = span_is(m->method, "GET") || span_is(m->method, "HEAD");
	struct rpc_head head;

	h->in_request = true;
	h->ended = h->answer_done = h->chunked = false;
	h->close = h->close || !m->keep_alive;
	h->minor0 = m->minor == 0;
	h->no_body = span_is(m->method, "HEAD");
	h->request_done = !m->chunked && (!m->has_length || m->length == 0);
	if (get) {
		bool root = span_is(http1_path(m->target), "/");

		plain(h, root ? 200 : 404, root ? page : "Not found.\n");
		return;
	}
	rpc_head_init(&head);
	fill_head(h, &head);
	if (head.bad)
		plain(h, 400, "A header is too long, doubled or not plain text.\n");
	else if (rpc_open(h->opts.env, &h->base, &head, &h->opts.peer, now_ms) == NULL)
		plain(h, 503, "Out of memory.\n");
	else if (m->expect_continue && !h->answer_done)
		buf_put_str(&h->out, "HTTP/1.1 100 Continue\r\n\r\n");
	rpc_head_free(&head);
}

static int refuse(struct h1 *h)
{
	h->close = true;
	if (!h->in_request || !h->answer_done)
		plain(h, h->parser.error_status != 0 ? h->parser.error_status : 400,
		      "The request is malformed.\n");
	return -ERR_PROTOCOL;
}

/* Takes input until the present request is complete. */
static int parse(struct h1 *h, struct span *in, uint64_t now_ms)
{
	struct span body;

	while (!(h->in_request && h->ended)) {
		switch (http1_next(&h->parser, in, &body)) {
		case HTTP1_MORE:
			return 0;
		case HTTP1_HEAD:
			begin(h, now_ms);
			http1_release(&h->parser);
			break;
		case HTTP1_BODY:
			if (h->base.call != NULL)
				rpc_data(h->base.call, body);
			break;
		case HTTP1_END:
			h->request_done = h->ended = true;
			if (h->base.call != NULL)
				rpc_end(h->base.call);
			return 0;
		case HTTP1_ERROR:
			return refuse(h);
		}
	}
	return 0;
}

int h1_input(struct h1 *h, struct span data, uint64_t now_ms)
{
	int err = 0;

	h->since_ms = now_ms;
	if (h->rest.len == 0 && !(h->in_request && h->ended))
		err = parse(h, &data, now_ms);
	h->opts.kick(h->opts.arg);
	if (err != 0)
		return err;
	buf_put_span(&h->rest, data);
	return h->rest.err != 0 ? -ERR_PROTOCOL : 0;
}

/* The answer is out: forget the call and go on with what came meanwhile. */
static int next_request(struct h1 *h, uint64_t now_ms)
{
	struct span in;
	int err;

	if (h->base.call != NULL)
		rpc_gone(h->base.call, now_ms);
	h->base.call = NULL;
	h->in_request = false;
	h->since_ms = now_ms;
	if (h->close || h->rest.len == 0)
		return 0;
	in = buf_span(&h->rest);
	err = parse(h, &in, now_ms);
	buf_consume(&h->rest, h->rest.len - in.len);
	return err;
}

int h1_output(struct h1 *h, struct buf *out, uint64_t now_ms)
{
	size_t n = MIN(h->out.len, (size_t)H1_OUTPUT_MAX);
	int err = 0;

	if (h->out.err != 0)
		return h->out.err;
	if (n > 0)
		buf_put(out, h->out.data, n);
	buf_consume(&h->out, n);
	if (h->blocked && h->out.len < RPC_SEND_QUEUE_MAX / 2) {
		h->blocked = false;
		if (h->base.call != NULL)
			rpc_writable(h->base.call);
	}
	if (h->out.len == 0 && h->in_request && h->answer_done && (h->ended || h->close)) {
		err = next_request(h, now_ms);
		h->opts.kick(h->opts.arg);
	}
	return err != 0 ? err : out->err;
}

struct h1 *h1_new(const struct h1_opts *opts, uint64_t now_ms)
{
	struct http1_limits limits = {RPC_HEAD_MAX, 4u * RPC_PATH_MAX, 64,
	                              opts->env->message_max + 5};
	struct h1 *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->base.ops = &ops;
	h->opts = *opts;
	h->opts.peer.trailers = false;
	h->since_ms = now_ms;
	http1_init_request(&h->parser, &limits);
	buf_init(&h->out, 2 * opts->env->message_max + (size_t)2 * RPC_SEND_QUEUE_MAX);
	buf_init(&h->rest, H1_REST_MAX);
	return h;
}

void h1_free(struct h1 *h)
{
	if (h == NULL)
		return;
	if (h->base.call != NULL)
		rpc_gone(h->base.call, h->since_ms);
	http1_free(&h->parser);
	buf_free(&h->out);
	buf_free_secret(&h->rest);
	free(h);
}

int h1_tick(struct h1 *h, uint64_t now_ms)
{
	if (h->base.call != NULL)
		rpc_tick(h->base.call, now_ms);
	else if (now_ms - h->since_ms >= H1_IDLE_MS)
		return -ERR_TIMEOUT;
	return 0;
}

void h1_drain(struct h1 *h)
{
	h->close = true;
}

bool h1_done(const struct h1 *h)
{
	return h->close && !h->in_request && h->out.len == 0;
}
