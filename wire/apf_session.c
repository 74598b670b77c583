/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * apf_session.c: cuts the input into messages, checks that each is permitted at its stage, and hands it on; timers; the end of
 * the session. A message is parsed where it lies; only one that is cut short is copied, to a buffer that goes when it is
 * complete. Invariants: `in` is empty unless a message is incomplete or authentication pending; after apf_close there are
 * no channels and no buffer. One thread.
 */
#include "wire/apf_internal.h"
#include "core/err.h"

static const uint16_t firmware_ports[] = {16992, 16993, 16994, 16995, 623, 664, 5900};

#define LIMITS_COMMON                                                                        \
	.handshake_ms = 30000, .first_forward_ms = 30000, .options_quiet_ms = 2000,          \
	.options_latest_ms = 5000, .keepalive_interval_s = 30, .keepalive_timeout_s = 0,     \
	.idle_unknown_ms = 300000, .idle_min_ms = 90000, .idle_max_ms = 3600000,             \
	.open_answer_ms = 20000, .close_answer_ms = 10000, .silly_wait_ms = 10,              \
	.preauth_max = 8192, .requests_per_minute = 256, .keepalives_per_10s = 100,          \
	.strays_per_10s = 64, .early_frames_max = 3, .json_bad_max = 3, .window = 65536,     \
	.window_max = 1u << 20, .grown_max = 4u << 20, .chunk_max = 4096, .channels_max = 6, \
	.refuse_blank_guids = true

const struct apf_limits apf_limits_default = {
	.caps = &apf_caps_default,
	.ports = firmware_ports,
	.ports_len = ARRAY_LEN(firmware_ports),
	LIMITS_COMMON,
};

const struct apf_limits apf_limits_agent = {
	.caps = &apf_caps_agent,
	.ports = firmware_ports,
	.ports_len = ARRAY_LEN(firmware_ports),
	LIMITS_COMMON,
	.agent_mode = true,
};

static const struct {
	const char *label;
	const char *text;
	int err;
} reasons[] = {
#define X(name, label, err, text) [name] = {label, text, -(int)(err)},
	APF_CLOSE_LIST(X)
#undef X
};

const char *apf_close_label(enum apf_close_reason r)
{
	return r < APF_CLOSE_REASON_COUNT ? reasons[r].label : "?";
}

const char *apf_close_text(enum apf_close_reason r)
{
	return r < APF_CLOSE_REASON_COUNT ? reasons[r].text : "?";
}

const char *apf_glitch_label(enum apf_glitch g)
{
	static const char *const labels[] = {
#define X(name, label) [name] = (label),
		APF_GLITCH_LIST(X)
#undef X
	};

	return g < APF_GLITCH_COUNT ? labels[g] : "?";
}

void apf_session_init(struct apf_session *s, const struct apf_session_ops *ops, void *ctx,
                      const struct apf_limits *limits, uint64_t now_ms)
{
	*s = (struct apf_session){
		.ops = ops,
		.ctx = ctx,
		.limits = limits != NULL ? limits : &apf_limits_default,
		.phase_ms = now_ms,
		.received_ms = now_ms,
		.next_id = 1,
		.state = APF_STATE_HELLO,
	};
	buf_init(&s->in, APF_MESSAGE_MAX);
}

void apf_session_fini(struct apf_session *s)
{
	s->state = APF_STATE_CLOSED;
	apf_channels_drop(s);
	apf_forwards_fini(&s->forwards);
	buf_free_secret(&s->in);
}

int apf_error(const struct apf_session *s)
{
	return reasons[s->reason].err;
}

int apf_close(struct apf_session *s, enum apf_close_reason reason, uint32_t code)
{
	if (s->state == APF_STATE_CLOSED)
		return apf_error(s);
	s->reason = (uint8_t)reason;
	s->state = APF_STATE_CLOSED;
	if (code != APF_DISCONNECT_NONE) {
		s->disconnect_sent = code;
		apf_send(s, &(struct apf_msg){.type = APF_DISCONNECT, .disconnect = code});
	}
	s->body = APF_BODY_NONE;
	buf_free_secret(&s->in);
	apf_channels_drop(s);
	return apf_error(s);
}

void apf_session_disconnect(struct apf_session *s, uint32_t code)
{
	(void)apf_close(s, APF_CLOSE_BY_US, code);
}

void apf_send(struct apf_session *s, const struct apf_msg *m)
{
	uint8_t out
		[640]; /* the largest that we send is CHANNEL_OPEN with two hosts of 255 octets */
	ssize_t n = apf_pack(out, sizeof(out), m);

	ASSERT(n > 0);
	s->ops->send(s->ctx, span_of(out, (size_t)n));
}

void apf_glitch(struct apf_session *s, enum apf_glitch what)
{
	s->ops->glitch(s->ctx, what);
}

bool apf_rate_exceeded(struct apf_rate *r, uint64_t now_ms, uint32_t window_ms, uint32_t max)
{
	if (now_ms - r->start_ms >= window_ms)
		*r = (struct apf_rate){.start_ms = now_ms};
	if (r->n <= max)
		r->n++;
	return r->n > max;
}

/* Whether a message of this (known) type may come now (apf.md 7.1). Decided before its body is read. */
static bool permitted(const struct apf_session *s, uint8_t type)
{
	if (type == APF_DISCONNECT || type == APF_JSON_CONTROL)
		return true;
	if (type == APF_KEEPALIVE_REQUEST)
		return s->state != APF_STATE_HELLO;
	switch ((enum apf_state)s->state) {
	case APF_STATE_HELLO:
		return type == APF_VERSION;
	case APF_STATE_AUTH_SERVICE:
	case APF_STATE_PFWD_SERVICE:
		return type == APF_SERVICE_REQUEST;
	case APF_STATE_USERAUTH:
		return type == APF_USERAUTH_REQUEST;
	case APF_STATE_FORWARD:
		return type == APF_GLOBAL_REQUEST || type == APF_KEEPALIVE_REPLY ||
		       type == APF_OPTIONS_REPLY ||
		       (type >= APF_CHANNEL_OPEN && type <= APF_CHANNEL_CLOSE);
	case APF_STATE_AUTH_WAIT:
	case APF_STATE_CLOSED:
		break;
	}
	return false;
}

static int check_type(struct apf_session *s, uint8_t type)
{
	if (apf_type_name(type) == NULL)
		return apf_close(
			s, s->state == APF_STATE_HELLO ? APF_CLOSE_NOT_APF : APF_CLOSE_UNKNOWN_TYPE,
			0);
	if (type == APF_JSON_CONTROL && !s->limits->agent_mode)
		return apf_close(s, APF_CLOSE_JSON, 0);
	if (!permitted(s, type))
		return apf_close(s, APF_CLOSE_OUT_OF_ORDER, APF_DISCONNECT_PROTOCOL_ERROR);
	return 0;
}

static int on_disconnect(struct apf_session *s, uint32_t code)
{
	s->disconnect_received = code;
	s->ops->disconnect(s->ctx, code);
	return apf_close(s, APF_CLOSE_BY_DEVICE, 0);
}

static int json_end(struct apf_session *s)
{
	s->body = APF_BODY_NONE;
	if (apf_json_ok(&s->json))
		return 0;
	apf_glitch(s, APF_GLITCH_JSON);
	if (s->state != APF_STATE_CLOSED && ++s->json_bad > s->limits->json_bad_max)
		return apf_close(s, APF_CLOSE_JSON, 0);
	return apf_error(s);
}

static int on_json(struct apf_session *s, uint32_t len)
{
	apf_json_init(&s->json);
	s->body = APF_BODY_JSON;
	s->body_left = len;
	return len == 0 ? json_end(s) : 0;
}

static int dispatch(struct apf_session *s, const struct apf_msg *m, uint64_t now_ms)
{
	switch (m->type) {
	case APF_VERSION:
		return apf_on_version(s, m);
	case APF_SERVICE_REQUEST:
		return apf_on_service(s, m, now_ms);
	case APF_USERAUTH_REQUEST:
		return apf_on_userauth(s, m, now_ms);
	case APF_GLOBAL_REQUEST:
		return apf_on_global(s, m, now_ms);
	case APF_KEEPALIVE_REQUEST:
	case APF_KEEPALIVE_REPLY:
		return apf_on_keepalive(s, m, now_ms);
	case APF_OPTIONS_REPLY:
		return apf_on_options_reply(s, m);
	case APF_DISCONNECT:
		return on_disconnect(s, m->disconnect);
	case APF_JSON_CONTROL:
		return on_json(s, m->json_len);
	default:
		return apf_on_channel(s, m, now_ms);
	}
}

static int unpack_failed(struct apf_session *s, const struct apf_msg *m, ssize_t err)
{
	if (err == -ERR_UNSUPPORTED && m->type == APF_GLOBAL_REQUEST)
		return apf_close(s, APF_CLOSE_UNKNOWN_REQUEST, APF_DISCONNECT_PROTOCOL_ERROR);
	return apf_close(s, APF_CLOSE_TOO_LONG, 0);
}

/* Parses a message where it lies; keeps what there is of it if it is cut short. */
static int step_in_place(struct apf_session *s, struct span *in, uint64_t now_ms)
{
	const struct apf_unpack_opts opts = {.caps = s->limits->caps};
	struct apf_msg m;
	size_t need = 0;
	int rc = check_type(s, in->ptr[0]);
	ssize_t n;

	if (rc != 0)
		return rc;
	n = apf_unpack(*in, &opts, &m, &need);
	if (n == -ERR_MORE) {
		s->need = (uint32_t)need;
		buf_put_span(&s->in, *in);
		*in = span_of(in->ptr + in->len, 0);
		return s->in.err != 0 ? apf_close(s, APF_CLOSE_NOMEM, 0) : 0;
	}
	if (n < 0)
		return unpack_failed(s, &m, n);
	*in = span_of(in->ptr + n, in->len - (size_t)n);
	return dispatch(s, &m, now_ms);
}

/* Adds to a message that was cut short, never beyond its end. */
static int step_in_buffer(struct apf_session *s, struct span *in, uint64_t now_ms)
{
	const struct apf_unpack_opts opts = {.caps = s->limits->caps};
	size_t take = MIN(s->need - s->in.len, in->len);
	struct buf held;
	struct apf_msg m;
	size_t need = 0;
	ssize_t n;
	int rc;

	buf_put(&s->in, in->ptr, take);
	*in = span_of(in->ptr + take, in->len - take);
	if (s->in.err != 0)
		return apf_close(s, APF_CLOSE_NOMEM, 0);
	if (s->in.len < s->need)
		return 0;
	n = apf_unpack(buf_span(&s->in), &opts, &m, &need);
	if (n == -ERR_MORE) {
		s->need = (uint32_t)need;
		return 0;
	}
	if (n < 0)
		return unpack_failed(s, &m, n);
	held = s->in; /* the handler may close the session or come to hold new input */
	buf_init(&s->in, APF_MESSAGE_MAX);
	rc = dispatch(s, &m, now_ms);
	buf_free_secret(&held);
	return rc;
}

static int step_body(struct apf_session *s, struct span *in)
{
	struct span piece = span_of(in->ptr, MIN(s->body_left, in->len));
	enum apf_body body = s->body;

	*in = span_of(in->ptr + piece.len, in->len - piece.len);
	s->body_left -= (uint32_t)piece.len;
	if (s->body_left == 0)
		s->body = APF_BODY_NONE;
	if (body == APF_BODY_CHANNEL)
		apf_channel_body(s, piece);
	if (body == APF_BODY_JSON) {
		apf_json_feed(&s->json, piece);
		return s->body_left == 0 ? json_end(s) : 0;
	}
	return apf_error(s);
}

/* T_AUTH_WAIT: reading has been stopped; what was already read waits for the result. */
static int step_hold(struct apf_session *s, struct span *in)
{
	if (in->len > APF_MESSAGE_MAX - s->in.len)
		return apf_close(s, APF_CLOSE_PREAUTH_FLOOD, 0);
	buf_put_span(&s->in, *in);
	*in = span_of(in->ptr + in->len, 0);
	return s->in.err != 0 ? apf_close(s, APF_CLOSE_NOMEM, 0) : 0;
}

static int step(struct apf_session *s, struct span *in, uint64_t now_ms)
{
	if (s->body != APF_BODY_NONE)
		return step_body(s, in);
	if (s->state == APF_STATE_AUTH_WAIT)
		return step_hold(s, in);
	if (s->in.len > 0)
		return step_in_buffer(s, in, now_ms);
	return step_in_place(s, in, now_ms);
}

int apf_session_feed(struct apf_session *s, struct span in, uint64_t now_ms)
{
	int rc = apf_error(s);

	if (in.len > 0)
		s->received_ms = now_ms;
	while (rc == 0 && in.len > 0) {
		bool before_auth = s->state <= APF_STATE_AUTH_WAIT;
		size_t left = in.len;

		rc = step(s, &in, now_ms);
		if (rc == 0)
			rc = apf_error(s); /* a callback may have closed it */
		if (!before_auth || rc != 0)
			continue;
		s->preauth += (uint32_t)MIN(left - in.len, UINT32_MAX - s->preauth);
		if (s->preauth > s->limits->preauth_max)
			rc = apf_close(s, APF_CLOSE_PREAUTH_FLOOD, 0);
	}
	return rc;
}

bool apf_session_wants_input(const struct apf_session *s)
{
	return s->state != APF_STATE_CLOSED && (s->state != APF_STATE_AUTH_WAIT || s->in.len == 0);
}

int apf_session_auth_result(struct apf_session *s, bool ok, uint64_t now_ms)
{
	struct buf held = s->in;
	int rc;

	if (s->state == APF_STATE_CLOSED)
		return apf_error(s);
	ASSERT(s->state == APF_STATE_AUTH_WAIT);
	buf_init(&s->in, APF_MESSAGE_MAX);
	rc = apf_auth_settle(s, ok, now_ms);
	if (rc == 0)
		rc = apf_session_feed(s, buf_span(&held), now_ms);
	buf_free_secret(&held);
	return rc;
}

static uint64_t idle_limit(const struct apf_session *s)
{
	const struct apf_limits *l = s->limits;
	uint64_t limit = 3000ull * s->interval_s;

	if (!s->interval_known || s->interval_s == 0)
		return l->idle_unknown_ms;
	limit = MAX(limit, (uint64_t)l->idle_min_ms);
	return MIN(limit, (uint64_t)l->idle_max_ms);
}

/* When the device must have got further, and why the tunnel closes if it has not. */
static uint64_t patience(const struct apf_session *s, enum apf_close_reason *why)
{
	if (s->state <= APF_STATE_AUTH_WAIT) {
		*why = APF_CLOSE_HANDSHAKE_TIMEOUT;
		return s->phase_ms + s->limits->handshake_ms;
	}
	if (!s->forwarded) {
		*why = APF_CLOSE_FORWARD_TIMEOUT;
		return s->phase_ms + s->limits->first_forward_ms;
	}
	*why = APF_CLOSE_IDLE_TIMEOUT;
	return s->received_ms + idle_limit(s);
}

int apf_session_tick(struct apf_session *s, uint64_t now_ms)
{
	enum apf_close_reason why;

	if (s->state == APF_STATE_CLOSED)
		return apf_error(s);
	if (now_ms >= patience(s, &why))
		return apf_close(s, why, 0);
	if (now_ms >= apf_options_due(s))
		apf_options_send(s);
	return apf_channels_tick(s, now_ms);
}

uint64_t apf_session_deadline(const struct apf_session *s)
{
	enum apf_close_reason why;
	uint64_t due;

	if (s->state == APF_STATE_CLOSED)
		return APF_NEVER;
	due = patience(s, &why);
	due = MIN(due, apf_options_due(s));
	return MIN(due, apf_channels_due(s));
}

enum apf_state apf_session_state(const struct apf_session *s)
{
	return s->state;
}

enum apf_close_reason apf_session_reason(const struct apf_session *s)
{
	return s->reason;
}

uint32_t apf_session_disconnect_sent(const struct apf_session *s)
{
	return s->disconnect_sent;
}

uint32_t apf_session_disconnect_received(const struct apf_session *s)
{
	return s->disconnect_received;
}

const struct guid *apf_session_guid(const struct apf_session *s)
{
	return &s->guid;
}

const struct apf_forwards *apf_session_forwards(const struct apf_session *s)
{
	return &s->forwards;
}

uint32_t apf_session_interval_s(const struct apf_session *s)
{
	return s->interval_known ? s->interval_s : 0;
}
