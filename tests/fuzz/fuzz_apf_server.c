/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fuzz_apf_server.c: a session with channels, driven by the input: the first octet sets it up, then commands follow (see run).
 * Checked throughout: whole messages go out; bounded memory; no deadline in the past after a tick; every channel tells its
 * opener exactly one end, and nothing after it; firmware never makes us hold more than a window; nothing sent beyond the credit.
 */
#include "core/err.h"
#include "wire/apf_internal.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 8u

struct world;

struct slot {
	struct world *w;
	struct apf_channel *ch;
	size_t held; /* delivered, not yet consumed */
	uint32_t window;
	bool opened;
};

struct world {
	struct apf_session s;
	struct slot slots[SLOTS];
	uint64_t now;
	uint32_t body_left;
	uint8_t setup;
	bool agent;
	unsigned depth;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void open_slot(struct slot *c, uint8_t how);

static void on_send(void *ctx, struct span octets)
{
	struct world *w = ctx;
	const struct apf_unpack_opts opts = {.caps = &apf_caps_default,
	                                     .success_has_port = octets.len == 5};
	struct apf_msg m;
	size_t need = 0;

	if (w->body_left > 0) {
		ASSERT(octets.len == w->body_left);
		w->body_left = 0;
		return;
	}
	ASSERT(apf_unpack(octets, &opts, &m, &need) == (ssize_t)octets.len);
	if (m.type != APF_CHANNEL_DATA)
		return;
	ASSERT(m.channel.len > 0 && m.channel.len <= 4096);
	w->body_left = m.channel.len;
}

static bool on_hello(void *ctx, const struct guid *guid, uint32_t trigger)
{
	(void)ctx;
	return guid->b[0] != 0x13 || trigger != 13;
}

static enum apf_auth on_userauth(void *ctx, struct span user, struct span password)
{
	const struct world *w = ctx;

	ASSERT(text_is_printable(user));
	ASSERT(password.len <= 2048);
	return (w->setup & 6) == 6   ? APF_AUTH_PENDING
	       : (w->setup & 6) == 4 ? APF_AUTH_REJECT
	                             : APF_AUTH_ACCEPT;
}

static bool on_cert(void *ctx)
{
	return (((struct world *)ctx)->setup & 8) != 0;
}

static void on_nothing(void *ctx)
{
	(void)ctx;
}

static void on_added(void *ctx, uint16_t port, struct span host)
{
	struct world *w = ctx;

	ASSERT(port != 0 && text_is_printable(host));
	if ((w->setup & 16) != 0)
		open_slot(&w->slots[7], 0);
}

static void on_removed(void *ctx, uint16_t port)
{
	ASSERT(apf_forwards_find(&((struct world *)ctx)->s.forwards, port) < 0);
}

static void on_udp(void *ctx, const struct apf_global *request)
{
	(void)ctx;
	ASSERT(request->datagram.len <= 2048);
}

static void on_glitch(void *ctx, enum apf_glitch what)
{
	(void)ctx;
	ASSERT(what < APF_GLITCH_COUNT);
}

static void on_disconnect(void *ctx, uint32_t code)
{
	(void)ctx;
	(void)code;
}

static void on_slot_free(void *ctx)
{
	struct world *w = ctx;

	if ((w->setup & 32) != 0)
		open_slot(&w->slots[6], 1);
}

static const struct apf_session_ops session_ops = {
	.send = on_send,
	.hello = on_hello,
	.userauth = on_userauth,
	.client_cert_verified = on_cert,
	.ready = on_nothing,
	.forward_added = on_added,
	.forward_removed = on_removed,
	.udp_send_to = on_udp,
	.glitch = on_glitch,
	.disconnect = on_disconnect,
	.slot_free = on_slot_free,
};

static void let_go(struct slot *c)
{
	apf_channel_close(c->ch, c->w->now);
	c->ch = NULL;
}

static void push(struct slot *c, size_t n)
{
	static const uint8_t text[70000];
	size_t credit = apf_channel_credit(c->ch);
	size_t sent = apf_channel_send(c->ch, span_of(text, MIN(n, sizeof(text))), c->w->now);

	ASSERT(sent <= credit && sent <= n);
	ASSERT(c->w->body_left == 0);
}

static void consume(struct slot *c, size_t n)
{
	n = MIN(n, c->held);
	c->held -= n;
	apf_channel_consumed(c->ch, n);
}

static unsigned slot_no(const struct slot *c)
{
	return (unsigned)(c - c->w->slots);
}

static void on_opened(void *ctx)
{
	struct slot *c = ctx;

	ASSERT(c->ch != NULL && !c->opened);
	c->opened = true;
	if (slot_no(c) == 1)
		let_go(c);
	else
		push(c, 5000);
}

/* Some openers come back at once; not without end. */
static void ended(struct slot *c)
{
	c->ch = NULL;
	if (slot_no(c) == 4 && c->w->slots[0].ch != NULL)
		let_go(&c->w->slots[0]);
	if (slot_no(c) != 2 || c->w->depth > 3)
		return;
	c->w->depth++;
	open_slot(c, 2);
	c->w->depth--;
}

static void on_failed(void *ctx, uint32_t reason)
{
	struct slot *c = ctx;

	(void)reason;
	ASSERT(c->ch != NULL && !c->opened);
	ended(c);
}

static void on_closed(void *ctx, enum apf_channel_end why)
{
	struct slot *c = ctx;

	ASSERT(c->ch != NULL && c->opened && why < APF_CHANNEL_END_COUNT);
	ended(c);
}

static void on_data(void *ctx, struct span octets)
{
	struct slot *c = ctx;

	ASSERT(c->ch != NULL && c->opened && octets.len > 0);
	c->held += octets.len;
	ASSERT(c->held <= c->window + (c->w->agent ? 1u << 20 : 0));
	if (slot_no(c) == 3)
		let_go(c);
	else if (slot_no(c) == 4 && octets.len == 13)
		apf_session_disconnect(&c->w->s, octets.ptr[0]);
	else if (slot_no(c) != 5)
		consume(c, octets.len);
}

static void on_credit(void *ctx)
{
	struct slot *c = ctx;

	ASSERT(c->ch != NULL && c->opened);
	if (slot_no(c) != 0)
		push(c, 3000);
}

static const struct apf_channel_ops channel_ops = {
	.opened = on_opened,
	.open_failed = on_failed,
	.data = on_data,
	.credit = on_credit,
	.closed = on_closed,
};

static void open_slot(struct slot *c, uint8_t how)
{
	static const uint32_t windows[] = {0, 1, 100, 4096, 1u << 20, (1u << 20) + 1};
	const struct apf_channel_args args = {
		.ops = &channel_ops,
		.ctx = c,
		.port = how % 2 != 0 ? 16993 : 16992,
		.originator = span_of("localhost", how % 10),
		.window = windows[how % ARRAY_LEN(windows)],
	};

	if (c->ch != NULL)
		return;
	if (apf_channel_open(&c->w->s, &args, c->w->now, &c->ch) != 0)
		return;
	c->opened = false;
	c->held = 0;
	c->window = args.window != 0 ? args.window : 65536;
}

static void check(struct world *w)
{
	const struct apf_session *s = &w->s;

	ASSERT(apf_channel_count(s) <= 6);
	ASSERT(s->in.len <= APF_MESSAGE_MAX && s->in.alloc <= APF_MESSAGE_MAX);
	ASSERT(s->in.len > 0 || s->in.data == NULL);
	ASSERT(s->forwards.n <= APF_FORWARDS_MAX && s->forwards.hosts_len <= 17 * 256);
	ASSERT(w->body_left == 0);
	if (s->state != APF_STATE_CLOSED)
		return;
	ASSERT(apf_session_deadline(s) == UINT64_MAX && apf_channel_count(s) == 0);
	for (unsigned i = 0; i < SLOTS; i++)
		ASSERT(w->slots[i].ch == NULL);
}

static void feed(struct world *w, struct span in)
{
	uint8_t *copy = malloc(in.len + 1);
	int rc;

	ASSERT(copy != NULL);
	memcpy(copy, in.ptr, in.len);
	rc = apf_session_feed(&w->s, span_of(copy, in.len), w->now);
	free(copy);
	ASSERT((rc < 0) == (w->s.state == APF_STATE_CLOSED));
}

static void tick(struct world *w, uint64_t after)
{
	w->now += after;
	if (apf_session_tick(&w->s, w->now) == 0)
		ASSERT(apf_session_deadline(&w->s) > w->now);
}

static void act(struct slot *c, uint8_t what, uint8_t amount)
{
	if (c->ch == NULL)
		open_slot(c, amount);
	else if (what % 4 == 0)
		let_go(c);
	else if (what % 4 == 1)
		consume(c, (size_t)amount * 300);
	else
		push(c, (size_t)amount * 300);
}

static void settle(struct world *w, uint8_t how)
{
	if (w->s.state == APF_STATE_AUTH_WAIT)
		ASSERT(apf_session_auth_result(&w->s, how % 4 != 0, w->now) <= 0);
	else if (how == 0xdd)
		apf_session_disconnect(&w->s, how);
}

/* 0-3: feed the next 1-64, 65-... octets; 4, 5: a channel acts; 6: time passes; 7: authentication settles, or we hang up. */
static void run(struct world *w, struct cur in)
{
	while (in.left > 0) {
		uint8_t op = cur_u8(&in);
		uint8_t arg = cur_u8(&in);
		size_t n = op % 8 == 3 ? (size_t)arg * 40 : arg;

		if (in.err != 0)
			return;
		if (op % 8 < 4)
			feed(w, cur_bytes(&in, MIN(n, in.left)));
		else if (op % 8 < 6)
			act(&w->slots[op / 8 % SLOTS], (uint8_t)(op % 8 == 4 ? 2 : arg), arg);
		else if (op % 8 == 6)
			tick(w, (uint64_t)arg * (op > 127 ? 1000 : 1));
		else
			settle(w, arg);
		check(w);
	}
}

/* Through authentication, with two ports forwarded. */
static void feed_prologue(struct world *w)
{
	const struct apf_msg flight[] = {
		{.type = APF_VERSION, .version = {.major = 1, .trigger = 4, .guid = {{1, 2, 3}}}},
		{.type = APF_SERVICE_REQUEST, .service = span_str(APF_SERVICE_AUTH)},
		{.type = APF_USERAUTH_REQUEST,
	         .auth = {span_str("u"), span_str(APF_SERVICE_PFWD), span_str(APF_METHOD_PASSWORD),
	                  span_str("p"), false}},
		{.type = APF_SERVICE_REQUEST, .service = span_str(APF_SERVICE_PFWD)},
		{.type = APF_GLOBAL_REQUEST,
	         .global = {.kind = APF_REQUEST_FORWARD, .port = 16992}},
		{.type = APF_GLOBAL_REQUEST,
	         .global = {.kind = APF_REQUEST_FORWARD,
	                    .host = span_str("amt.example"),
	                    .port = 16993}},
	};
	uint8_t out[256];

	for (size_t i = 0; i < ARRAY_LEN(flight); i++) {
		ssize_t n = apf_pack(out, sizeof(out), &flight[i]);

		ASSERT(n > 0);
		feed(w, span_of(out, (size_t)n));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.now = 1000};

	if (size == 0)
		return 0;
	w.setup = data[0];
	w.agent = (w.setup & 64) != 0;
	for (unsigned i = 0; i < SLOTS; i++)
		w.slots[i].w = &w;
	apf_session_init(&w.s, &session_ops, &w, w.agent ? &apf_limits_agent : NULL, w.now);
	if ((w.setup & 1) != 0)
		feed_prologue(&w);
	run(&w, cur_of(span_of(data + 1, size - 1)));
	apf_session_fini(&w.s);
	for (unsigned i = 0; i < SLOTS; i++)
		ASSERT(w.slots[i].ch == NULL);
	return 0;
}
