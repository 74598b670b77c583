/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apf_rig.c: a session with recording callbacks. */
#include "tests/unit/support/test.h"
#include "tests/unit/support/apf_rig.h"
#include "tests/golden/apf_vectors.h"
#include "core/err.h"

#include <stdlib.h>
#include <string.h>

static void on_send(void *ctx, struct span octets)
{
	struct rig *r = ctx;

	buf_put_span(&r->out, octets);
	assert_int_equal(r->out.err, 0);
}

static bool on_hello(void *ctx, const struct guid *guid, uint32_t trigger)
{
	struct rig *r = ctx;

	r->hellos++;
	r->guid = *guid;
	r->trigger = trigger;
	return !r->refuse_hello;
}

static enum apf_auth on_userauth(void *ctx, struct span user, struct span password)
{
	struct rig *r = ctx;

	r->auths++;
	assert_true(text_is_printable(user));
	assert_true(str_copy_span(r->user, sizeof(r->user), user));
	(void)str_copy_span(r->password, sizeof(r->password), password);
	return r->answer;
}

static bool on_cert(void *ctx)
{
	return ((struct rig *)ctx)->cert;
}

static void on_ready(void *ctx)
{
	((struct rig *)ctx)->readies++;
}

static void on_added(void *ctx, uint16_t port, struct span host)
{
	struct rig *r = ctx;

	assert_true(apf_forwards_find(apf_session_forwards(&r->s), port) >= 0);
	assert_true(str_copy_span(r->host, sizeof(r->host), host));
	r->added++;
}

static void on_removed(void *ctx, uint16_t port)
{
	struct rig *r = ctx;

	assert_int_equal(apf_forwards_find(apf_session_forwards(&r->s), port), -1);
	r->removed++;
}

static void on_udp(void *ctx, const struct apf_global *request)
{
	struct rig *r = ctx;

	r->datagrams++;
	buf_clear(&r->datagram);
	buf_put_span(&r->datagram, request->datagram);
}

static void on_glitch(void *ctx, enum apf_glitch what)
{
	((struct rig *)ctx)->glitches[what]++;
}

static void on_disconnect(void *ctx, uint32_t code)
{
	struct rig *r = ctx;

	assert_int_equal(apf_session_disconnect_received(&r->s), code);
	r->disconnects++;
}

static void on_slot_free(void *ctx)
{
	((struct rig *)ctx)->slots_freed++;
}

static const struct apf_session_ops ops = {
	.send = on_send,
	.hello = on_hello,
	.userauth = on_userauth,
	.client_cert_verified = on_cert,
	.ready = on_ready,
	.forward_added = on_added,
	.forward_removed = on_removed,
	.udp_send_to = on_udp,
	.glitch = on_glitch,
	.disconnect = on_disconnect,
	.slot_free = on_slot_free,
};

void rig_init(struct rig *r, const struct apf_limits *limits, size_t piece)
{
	*r = (struct rig){.now = 1000000, .piece = piece, .answer = APF_AUTH_ACCEPT};
	buf_init(&r->out, 16u << 20);
	buf_init(&r->datagram, 4096);
	apf_session_init(&r->s, &ops, r, limits, r->now);
}

void rig_fini(struct rig *r)
{
	apf_session_fini(&r->s);
	buf_free(&r->out);
	buf_free(&r->datagram);
}

struct span rig_hex(const char *hex)
{
	static uint8_t out[8192];
	char packed[2 * sizeof(out)];
	size_t n = 0;
	ssize_t len;

	for (; *hex != '\0'; hex++) {
		if (*hex != ' ' && n < sizeof(packed))
			packed[n++] = *hex;
	}
	len = hex_decode(out, sizeof(out), span_of(packed, n));
	assert_true(len >= 0);
	return span_of(out, (size_t)len);
}

const struct apf_vector *rig_vector(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(apf_vectors); i++) {
		if (strcmp(apf_vectors[i].name, name) == 0)
			return &apf_vectors[i];
	}
	fail_msg("no vector %s", name);
	return NULL;
}

struct span rig_vector_octets(const char *name)
{
	const struct apf_vector *v = rig_vector(name);
	struct span s = rig_hex(v->hex);

	assert_int_equal(s.len, v->len);
	return s;
}

/* The octets of several vectors, in order. */
static void put_vectors(struct buf *b, const char *names)
{
	buf_init(b, 65536);
	while (*names != '\0') {
		char name[8] = {0};
		size_t n = strcspn(names, " ");

		assert_true(n < sizeof(name));
		memcpy(name, names, n);
		names += n + (names[n] == ' ');
		if (strcmp(name, "V36") == 0) {
			buf_put_span(b, rig_vector_octets("V01"));
			buf_put_span(b, rig_vector_octets("V02"));
		} else {
			buf_put_span(b, rig_vector_octets(name));
		}
	}
	assert_int_equal(b->err, 0);
}

/* Each piece is fed from memory of exactly its size, so that a sanitizer sees any read beyond it. */
static int feed_piece(struct rig *r, struct span in)
{
	uint8_t *copy = malloc(in.len);
	int rc;

	assert_non_null(copy);
	memcpy(copy, in.ptr, in.len);
	rc = apf_session_feed(&r->s, span_of(copy, in.len), r->now);
	free(copy);
	return rc;
}

void rig_feed(struct rig *r, struct span in)
{
	size_t piece = r->piece != 0 ? r->piece : in.len;

	for (size_t at = 0; at < in.len; at += piece)
		r->rc = feed_piece(r, span_of(in.ptr + at, MIN(piece, in.len - at)));
}

void rig_feed_hex(struct rig *r, const char *hex)
{
	rig_feed(r, rig_hex(hex));
}

void rig_feed_msg(struct rig *r, const struct apf_msg *m)
{
	uint8_t out[APF_MESSAGE_MAX];
	ssize_t n = apf_pack(out, sizeof(out), m);

	assert_true(n > 0);
	rig_feed(r, span_of(out, (size_t)n));
}

void rig_feed_vectors(struct rig *r, const char *names)
{
	struct buf b;

	put_vectors(&b, names);
	rig_feed(r, buf_span(&b));
	buf_free(&b);
}

void rig_tick(struct rig *r, uint64_t after_ms)
{
	r->now += after_ms;
	r->rc = apf_session_tick(&r->s, r->now);
}

void rig_expect(struct rig *r, struct span octets)
{
	assert_int_equal(r->out.len, octets.len);
	if (octets.len > 0)
		assert_memory_equal(r->out.data, octets.ptr, octets.len);
	buf_clear(&r->out);
}

void rig_expect_hex(struct rig *r, const char *hex)
{
	rig_expect(r, rig_hex(hex));
}

void rig_expect_vectors(struct rig *r, const char *names)
{
	struct buf b;

	put_vectors(&b, names);
	rig_expect(r, buf_span(&b));
	buf_free(&b);
}

void rig_expect_msg(struct rig *r, const struct apf_msg *m)
{
	uint8_t out[APF_MESSAGE_MAX];
	ssize_t n = apf_pack(out, sizeof(out), m);

	assert_true(n > 0);
	rig_expect(r, span_of(out, (size_t)n));
}

void rig_expect_nothing(struct rig *r)
{
	assert_int_equal(r->out.len, 0);
}

void rig_expect_closed(struct rig *r, enum apf_close_reason reason, uint32_t code)
{
	assert_string_equal(apf_close_label(apf_session_reason(&r->s)), apf_close_label(reason));
	assert_int_equal(apf_session_state(&r->s), APF_STATE_CLOSED);
	assert_true(r->rc < 0);
	assert_int_equal(apf_session_disconnect_sent(&r->s), code);
	assert_int_equal(apf_channel_count(&r->s), 0);
	assert_true(apf_session_deadline(&r->s) == UINT64_MAX);
	assert_false(apf_session_wants_input(&r->s));
	if (code != 0)
		rig_expect_msg(r, &(struct apf_msg){.type = APF_DISCONNECT, .disconnect = code});
	else
		rig_expect_nothing(r);
}

void rig_expect_alive(struct rig *r)
{
	assert_int_equal(r->rc, 0);
	assert_int_equal(apf_session_reason(&r->s), APF_CLOSE_NONE);
	rig_expect_nothing(r);
	rig_feed_vectors(r, "V20");
	rig_expect_vectors(r, "V21");
}

void rig_forward(struct rig *r)
{
	rig_feed_vectors(r, "V36");
	rig_expect_vectors(r, "V03");
	rig_feed_vectors(r, "V05");
	rig_expect_vectors(r, "V07");
	rig_feed_vectors(r, "V08");
	rig_expect_vectors(r, "V09");
	rig_feed_vectors(r, "V10");
	rig_expect_vectors(r, "V11");
	rig_feed_hex(r, "50" HEX_FORWARD "01 00000000 00004260");
	rig_expect_vectors(r, "V37");
	assert_int_equal(r->rc, 0);
	assert_int_equal(apf_session_state(&r->s), APF_STATE_FORWARD);
}

void rig_begin(struct rig *r, const char *names, size_t piece)
{
	rig_init(r, NULL, piece);
	rig_feed_vectors(r, names);
	assert_int_equal(r->rc, 0);
	buf_clear(&r->out);
}

void rig_closes(const char *names, const char *hex, enum apf_close_reason reason, uint32_t code)
{
	for (size_t piece = 0; piece < 2; piece++) {
		struct rig r;

		rig_begin(&r, names, piece);
		rig_feed_hex(&r, hex);
		rig_expect_closed(&r, reason, code);
		rig_fini(&r);
	}
}

static void send_outgoing(struct rig_channel *c)
{
	size_t n = apf_channel_send(c->ch, buf_span(&c->outgoing), c->rig->now);

	if (n > 0)
		buf_consume(&c->outgoing, n);
}

static void drop(struct rig_channel *c)
{
	apf_channel_close(c->ch, c->rig->now);
	c->ch = NULL;
}

static void on_opened(void *ctx)
{
	struct rig_channel *c = ctx;

	c->opened++;
	if (c->close_on_open)
		drop(c);
	else if (c->outgoing.len > 0)
		send_outgoing(c);
}

static void ended(struct rig_channel *c)
{
	struct rig *r = c->rig;

	c->ch = NULL;
	if (c->close_on_end != NULL && c->close_on_end->ch != NULL)
		drop(c->close_on_end);
	if (!c->reopen_on_end)
		return;
	c->reopen_on_end = false;
	rig_open(r, c, 0);
}

static void on_failed(void *ctx, uint32_t reason)
{
	struct rig_channel *c = ctx;

	c->failed++;
	c->reason = reason;
	ended(c);
}

static void on_data(void *ctx, struct span octets)
{
	struct rig_channel *c = ctx;

	buf_put_span(&c->in, octets);
	if (c->consume)
		apf_channel_consumed(c->ch, octets.len);
	if (c->disconnect_on_data)
		apf_session_disconnect(&c->rig->s, APF_DISCONNECT_BY_APPLICATION);
	else if (c->close_on_data)
		drop(c);
}

static void on_credit(void *ctx)
{
	struct rig_channel *c = ctx;

	c->credits++;
	if (c->outgoing.len > 0)
		send_outgoing(c);
}

static void on_closed(void *ctx, enum apf_channel_end why)
{
	struct rig_channel *c = ctx;

	c->closed++;
	c->end = why;
	ended(c);
}

static const struct apf_channel_ops channel_ops = {
	.opened = on_opened,
	.open_failed = on_failed,
	.data = on_data,
	.credit = on_credit,
	.closed = on_closed,
};

/* The channel struct may be zero or hold settings; what it has recorded stays. */
void rig_open(struct rig *r, struct rig_channel *c, uint32_t window)
{
	const struct apf_channel_args args = {
		.ops = &channel_ops,
		.ctx = c,
		.port = 16992,
		.originator = span_str("1.2.3.4"),
		.originator_port = 1024,
		.window = window,
		.window_most = c->window_most,
	};
	struct buf keep = r->out;

	c->rig = r;
	c->in.cap = 4u << 20;
	c->outgoing.cap = 4u << 20;
	buf_init(&r->out, keep.cap);
	assert_int_equal(apf_channel_open(&r->s, &args, r->now, &c->ch), 0);
	rig_expect_msg(r, &(struct apf_msg){.type = APF_CHANNEL_OPEN,
	                                    .open = {.type = span_str("forwarded-tcpip"),
	                                             .sender = apf_channel_id(c->ch),
	                                             .window = window != 0 ? window : 65536,
	                                             .host = span_of("", 0),
	                                             .port = 16992,
	                                             .originator = span_str("1.2.3.4"),
	                                             .originator_port = 1024}});
	buf_free(&r->out);
	r->out = keep;
}

void rig_confirm(struct rig *r, struct rig_channel *c, uint32_t peer, uint32_t window)
{
	rig_feed_msg(r, &(struct apf_msg){.type = APF_CHANNEL_CONFIRM,
	                                  .confirm = {apf_channel_id(c->ch), peer, window}});
}

void rig_channel_fini(struct rig_channel *c)
{
	buf_free(&c->in);
	buf_free(&c->outgoing);
}

void rig_data(struct rig *r, uint32_t id, uint32_t n)
{
	uint8_t *body = calloc(1, n + 1u);

	assert_non_null(body);
	for (uint32_t i = 0; i < n; i++)
		body[i] = (uint8_t)(i * 7);
	rig_feed_msg(r, &(struct apf_msg){.type = APF_CHANNEL_DATA, .channel = {id, n}});
	if (n > 0)
		rig_feed(r, span_of(body, n));
	free(body);
}
