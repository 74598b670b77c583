/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * http.c: POST /wsman with digest (amt.md A.1-A.3). The firmware closes the connection after a 401 and answers in chunks; a nonce is used
 * again with a rising count until the device wants a new one. At most two refused logons in all: firmware locks accounts.
 */
#include "amt/session.h"
#include "amt/stages.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/metric.h"
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REQUEST_HEAD_MAX 4096
#define HEAD_USUAL \
	768 /* octets that nearly every head fits in, so that it is not moved while it grows */
#define ANSWER_USUAL    2048 /* the same of an answer's body */
#define READ_CHUNK      4096
#define AUTH_ROUNDS_MAX 3 /* cold start, stale nonce, final */
#define REFUSALS_MAX    2
#define CNONCE_OCTETS   16

/* What one round trip yielded. */
struct round {
	struct http1 parser;
	bool keep_alive;
	bool any_octet; /* something of the answer had arrived */
	int challenge;  /* result of digest_client_refused, on 401 */
};

static int put_authorization(struct amt_session *s, const struct amt_exchange *x,
                             const struct credential *c, struct buf *head)
{
	uint8_t random[CNONCE_OCTETS];
	char cnonce[2 * CNONCE_OCTETS + 1];
	struct digest_use use = {
		.method = span_str("POST"),
		.uri = span_str("/wsman"),
		.body = x->body,
		.user = span_str(c->user),
		.password = span_str(c->password),
	};
	struct buf value;
	int err;

	random_bytes(random, sizeof(random));
	hex_encode(cnonce, span_of(random, sizeof(random)));
	use.cnonce = span_str(cnonce);
	buf_init(&value, REQUEST_HEAD_MAX);
	(void)buf_reserve(&value, HEAD_USUAL);
	err = digest_client_authorize(&s->digest, &use, &value);
	if (err == 0)
		http1_write_field(head, "Authorization", buf_span(&value));
	buf_free_secret(&value);
	return err;
}

/* Head and body go in one piece: the device gets one message to take in and to give credit back for. */
static int send_request(struct amt_session *s, const struct amt_exchange *x,
                        const struct credential *c)
{
	char host[32];
	struct buf b;
	int err = 0;

	(void)snprintf(host, sizeof(host), "127.0.0.1:%u", transport_port(s->tr));
	buf_init(&b, REQUEST_HEAD_MAX + x->body.len);
	(void)buf_reserve(&b, HEAD_USUAL + x->body.len);
	http1_write_request(&b, "POST", "/wsman");
	http1_write_field_str(&b, "Host", host);
	http1_write_field_str(&b, "Content-Type", "application/soap+xml;charset=utf-8");
	http1_write_field_uint(&b, "Content-Length", x->body.len);
	if (s->digest.ready)
		err = put_authorization(s, x, c, &b);
	http1_write_head_end(&b);
	buf_put_span(&b, x->body);
	err = err != 0 ? err : b.err;
	if (err == 0)
		err = transport_write(s->tr, buf_span(&b));
	buf_free_secret(&b);
	return err;
}

/* The 401's challenges go to the digest client before the head is forgotten. */
static void note_challenge(struct amt_session *s, struct round *r)
{
	struct span values[4], name, value;
	size_t n = 0;

	for (size_t i = 0; i < http1_header_count(&r->parser) && n < ARRAY_LEN(values); i++) {
		http1_header_at(&r->parser, i, &name, &value);
		if (name.len == strlen("WWW-Authenticate") &&
		    strncasecmp((const char *)name.ptr, "WWW-Authenticate", name.len) == 0)
			values[n++] = value;
	}
	r->challenge = n > 0 ? digest_client_refused(&s->digest, values, n) : -ERR_PROTOCOL;
}

/* Takes in one piece of input. 1: the answer is complete, 0: more is needed, negative. */
static int take(struct amt_session *s, struct amt_exchange *x, struct round *r, struct span in)
{
	struct span body;

	for (;;) {
		switch (http1_next(&r->parser, &in, &body)) {
		case HTTP1_MORE:
			return 0;
		case HTTP1_HEAD:
			x->status = r->parser.msg.status;
			r->keep_alive = r->parser.msg.keep_alive;
			if (x->status == 401)
				note_challenge(s, r);
			break;
		case HTTP1_BODY:
			buf_put_span(&x->answer, body);
			if (x->answer.err != 0)
				return x->answer.err;
			break;
		case HTTP1_END:
			return 1;
		case HTTP1_ERROR:
		default:
			return -ERR_PROTOCOL;
		}
	}
}

static int read_answer(struct amt_session *s, struct amt_exchange *x, struct round *r)
{
	uint8_t *chunk = malloc(READ_CHUNK);
	size_t most = 0;
	int done = 0;

	if (chunk == NULL)
		return -ERR_NOMEM;
	while (done == 0) {
		ssize_t n = transport_read(s->tr, chunk, READ_CHUNK);

		if (n < 0) {
			done = (int)n;
		} else if (n == 0) {
			done = http1_eof(&r->parser) == HTTP1_END ? 1 : -ERR_CLOSED;
		} else {
			if (!r->any_octet)
				stages_enter(s->stages, AMT_STAGE_ANSWER);
			r->any_octet = true;
			most = MAX(most, (size_t)n);
			done = take(s, x, r, span_of(chunk, (size_t)n));
		}
	}
	secret_zero(chunk, most);
	free(chunk);
	return done < 0 ? done : 0;
}

/* One request and its answer on the open transport. */
static int round_trip(struct amt_session *s, struct amt_exchange *x, const struct credential *c,
                      struct round *r)
{
	static const struct http1_limits limits = {
		.head_max = HTTP1_HEAD_MAX,
		.start_line_max = 1024,
		.headers_max = 32,
		.body_max = AMT_REPLY_MAX,
	};
	int err;

	*r = (struct round){.challenge = 0};
	http1_init_response(&r->parser, &limits);
	buf_clear(&x->answer);
	(void)buf_reserve(&x->answer, ANSWER_USUAL);
	x->status = 0;
	stages_enter(s->stages, AMT_STAGE_SEND);
	err = send_request(s, x, c);
	stages_enter(s->stages, AMT_STAGE_DEVICE);
	if (err == 0 || err == -ERR_CLOSED) /* closed while we wrote: the answer may say why */
		err = read_answer(s, x, r);
	http1_free(&r->parser);
	if (err != 0 || !r->keep_alive)
		session_drop_transport(s);
	return err;
}

/*
 * An idle connection that the device has closed meanwhile fails at once: then a new one is made, but only if nothing was answered and
 * sending twice does no harm.
 */
static int round_trip_fresh(struct amt_session *s, struct amt_exchange *x,
                            const struct credential *c, struct round *r, struct amt_error *why)
{
	bool reused = s->tr != NULL && transport_usable(s->tr);
	int err = 0;

	if (s->tr != NULL && !reused)
		session_drop_transport(s);
	if (s->tr == NULL)
		err = transport_open(s->t, &s->tr, why);
	if (err != 0)
		return err;
	err = round_trip(s, x, c, r);
	if (err != -ERR_CLOSED || !reused || r->any_octet || !x->repeatable || !tunnel_alive(s->t))
		return err;
	err = transport_open(s->t, &s->tr, why);
	return err == 0 ? round_trip(s, x, c, r) : err;
}

static int refused(struct amt_session *s, struct amt_error *why)
{
	struct gateway *g = tunnel_gateway(s->t);
	unsigned n = gateway_amt_refused(g, tunnel_device(s->t));

	digest_client_init(&s->digest, true);
	s->proven = false;
	(void)snprintf(why->text, sizeof(why->text),
	               "the device refused the AMT user or password%s; set them with 'causeway "
	               "device credentials set'",
	               n >= REFUSALS_MAX
	                       ? " twice, no more tries are made (firmware locks accounts)"
	                       : "");
	gateway_set_amt_problem(g, tunnel_device(s->t), why->text);
	return -ERR_UNAUTHENTICATED;
}

static int may_try(struct amt_session *s, struct credential *c, struct amt_error *why)
{
	if (!tunnel_amt_credential(s->t, c)) {
		(void)snprintf(why->text, sizeof(why->text),
		               "no AMT account is set for the device or its group; set one with "
		               "'causeway device credentials "
		               "set' or 'causeway group update'");
		return -ERR_PRECONDITION;
	}
	if (gateway_amt_refusals(tunnel_gateway(s->t), tunnel_device(s->t)) < REFUSALS_MAX)
		return 0;
	(void)snprintf(why->text, sizeof(why->text),
	               "the AMT account was refused twice, no more tries are made (firmware locks "
	               "accounts) until it is set "
	               "again with 'causeway device credentials set'");
	return -ERR_UNAUTHENTICATED;
}

static void explain(int err, struct amt_error *why)
{
	if (why->text[0] == '\0')
		(void)snprintf(why->text, sizeof(why->text),
		               "the device's WSMAN service did not answer: %s", err_text(err));
}

/* A problem that was reported before is one no longer. */
static void proven(struct amt_session *s)
{
	if (!s->proven)
		gateway_set_amt_problem(tunnel_gateway(s->t), tunnel_device(s->t), "");
	s->proven = true;
}

int http_exchange(struct amt_session *s, struct amt_exchange *x, struct amt_error *why)
{
	struct credential c;
	struct round r = {0};
	int err = may_try(s, &c, why);

	for (unsigned round = 0; err == 0 && round < AUTH_ROUNDS_MAX; round++) {
		err = round_trip_fresh(s, x, &c, &r, why);
		if (err != 0 || x->status != 401)
			break;
		err = r.challenge == -ERR_UNAUTHENTICATED ? refused(s, why) : r.challenge;
		if (err == 0 && round + 1 == AUTH_ROUNDS_MAX)
			err = refused(s, why);
	}
	secret_zero(&c, sizeof(c));
	why->http_status = x->status;
	if (err != 0)
		explain(err, why);
	else
		proven(s);
	return err;
}
