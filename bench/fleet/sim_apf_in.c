/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sim_apf_in.c: what the server sends: cutting the stream into messages, checking each against what firmware may see at this
 * point (apf.md sections 5 to 8) and acting on it. Whatever a careful firmware could choke on is a violation.
 */
#include "bench/fleet/sim_apf.h"

#include <string.h>

#include "core/err.h"

static void send_words(struct sim_apf *a, uint8_t type, const uint32_t *words, size_t n)
{
	struct buf b;

	buf_init(&b, 64);
	buf_put_u8(&b, type);
	for (size_t i = 0; i < n; i++)
		buf_put_u32(&b, words[i]);
	sim_apf_emit(a, &b);
}

static uint32_t peek_u32(struct span m, size_t at)
{
	struct cur c = cur_of(span_of(m.ptr + at, m.len - at));

	return cur_u32(&c);
}

/* The length of CHANNEL_OPEN as far as it can be known from what is here; 0: a string in it is too long. */
static size_t open_len(struct span m)
{
	size_t at = 1, total = 33;
	static const size_t fixed_after[] = {12, 4, 4}; /* after type, host, originator */

	for (size_t i = 0; i < 3; i++) {
		uint32_t n;

		if (m.len < at + 4)
			return at + 4;
		n = peek_u32(m, at);
		if (n > SIM_APF_STRING_MAX)
			return 0;
		total += n;
		at += 4 + n + fixed_after[i];
	}
	return total;
}

static size_t string_len(struct span m, size_t fixed)
{
	uint32_t n;

	if (m.len < 5)
		return 5;
	n = peek_u32(m, 1);
	return n > SIM_APF_STRING_MAX ? 0 : fixed + n;
}

/*
 * The length of the message that starts with m, or how many octets are needed to know; complete when <= m.len.
 * 0: not a message that a server may send. Sizes: apf.md section 4; 81 depends on what was asked (7.2).
 */
static size_t message_len(const struct sim_apf *a, struct span m)
{
	switch (m.ptr[0]) {
	case 1:
		return 7;
	case 6:
		return string_len(m, 5);
	case 51:
		return string_len(m, 6);
	case 52:
	case 82:
		return 1;
	case 81:
		return a->fifo_len > 0 && !a->fifo[a->fifo_head].cancel ? 5 : 1;
	case 90:
		return open_len(m);
	case 91:
	case 92:
		return 17;
	case 93:
	case 94: /* header only; the payload is streamed */
	case 210:
		return 9;
	case 97:
	case 208:
	case 209:
		return 5;
	case 192:
		return 93;
	default:
		return 0;
	}
}

static bool forwarding(const struct sim_apf *a)
{
	return a->stage == SIM_APF_FORWARDING || a->stage == SIM_APF_READY;
}

static bool name_is(struct span m, const char *name)
{
	size_t n = strlen(name);

	return m.len >= 5 + n && peek_u32(m, 1) == n && memcmp(m.ptr + 5, name, n) == 0;
}

static void on_service_accept(struct sim_apf *a, struct span m)
{
	if (a->stage == SIM_APF_AUTH_SERVICE && name_is(m, SIM_APF_SERVICE_AUTH)) {
		a->stage = SIM_APF_USERAUTH;
		sim_apf_userauth(a);
	} else if (a->stage == SIM_APF_PFWD_SERVICE && name_is(m, SIM_APF_SERVICE_PFWD)) {
		a->stage = SIM_APF_FORWARDING;
		sim_apf_request_ports(a);
	} else {
		sim_apf_violation(a, "SERVICE_ACCEPT out of order or for another service", a->stage,
		                  0);
	}
}

static void on_userauth(struct sim_apf *a, bool success)
{
	if (a->stage != SIM_APF_USERAUTH) {
		sim_apf_violation(a, "answer to USERAUTH that was not asked", success, a->stage);
	} else if (!success) {
		sim_apf_end(a, SIM_APF_END_AUTH, 0);
	} else {
		a->stage = SIM_APF_PFWD_SERVICE;
		sim_apf_service_request(a, SIM_APF_SERVICE_PFWD);
	}
}

static void port_forget(struct sim_apf *a, uint16_t port)
{
	for (size_t i = 0; i < a->forwarded_len; i++) {
		if (a->forwarded[i] == port)
			a->forwarded[i--] = a->forwarded[--a->forwarded_len];
	}
}

/* Answers come in the order of the requests (apf.md 7.2). */
static void on_request_answer(struct sim_apf *a, struct span m, bool success)
{
	bool cancel = a->fifo[a->fifo_head].cancel;
	uint16_t port = a->fifo[a->fifo_head].port;

	if (a->fifo_len == 0) {
		sim_apf_violation(a, "REQUEST_SUCCESS or REQUEST_FAILURE without a request",
		                  m.ptr[0], 0);
		return;
	}
	a->fifo_head = (a->fifo_head + 1) % SIM_APF_FIFO_MAX;
	a->fifo_len--;
	if (success && !cancel && peek_u32(m, 1) != port) {
		sim_apf_violation(a, "REQUEST_SUCCESS of wrong size or port: got, asked",
		                  peek_u32(m, 1), port);
		return;
	}
	if (success && cancel)
		port_forget(a, port);
	else if (success && a->forwarded_len < SIM_APF_PORTS_MAX)
		a->forwarded[a->forwarded_len++] = port;
	sim_apf_request_ports(a);
}

static bool port_forwarded(const struct sim_apf *a, uint32_t port)
{
	for (size_t i = 0; i < a->forwarded_len; i++) {
		if (a->forwarded[i] == port)
			return true;
	}
	return false;
}

static void refuse_open(struct sim_apf *a, uint32_t peer, uint32_t reason)
{
	send_words(a, 92, (const uint32_t[]){peer, reason, 0, 0}, 4);
}

static bool peer_id_in_use(const struct sim_apf *a, uint32_t peer)
{
	for (size_t i = 0; i < SIM_APF_SLOTS; i++) {
		enum sim_slot_state st = a->slots[i].state;

		if (st != SIM_SLOT_FREE && st != SIM_SLOT_DIRECT && a->slots[i].peer == peer)
			return true;
	}
	return false;
}

static void accept_open(struct sim_apf *a, uint32_t peer, uint32_t window, uint16_t port)
{
	unsigned i = 0;
	uint32_t reason;

	while (i < SIM_APF_SLOTS && a->slots[i].state != SIM_SLOT_FREE)
		i++;
	if (i == SIM_APF_SLOTS) {
		refuse_open(a, peer, 4);
		return;
	}
	reason = a->ops->open(a->user, i, port);
	if (reason != 0) {
		refuse_open(a, peer, reason);
		return;
	}
	a->slots[i].state = SIM_SLOT_OPENING;
	a->slots[i].port = port;
	a->slots[i].peer = peer;
	a->slots[i].credit = window;
	a->slots[i].answer_at_ms = a->now_ms + a->opts->answer_ms;
	if (a->opts->answer_ms == 0)
		sim_apf_confirm(a, i);
}

static void on_open(struct sim_apf *a, struct span m)
{
	struct cur c = cur_of(m);
	struct span type;
	uint32_t peer, window, port;

	cur_u8(&c);
	type = cur_bytes(&c, cur_u32(&c));
	peer = cur_u32(&c);
	window = cur_u32(&c);
	cur_u32(&c);
	cur_bytes(&c, cur_u32(&c));
	port = cur_u32(&c);
	if (!forwarding(a))
		sim_apf_violation(a, "CHANNEL_OPEN before port forwarding was started", peer, port);
	else if (type.len != 15 || memcmp(type.ptr, "forwarded-tcpip", 15) != 0)
		sim_apf_violation(a, "CHANNEL_OPEN of a type other than forwarded-tcpip", peer,
		                  port);
	else if (peer == 0)
		sim_apf_violation(a, "CHANNEL_OPEN with sender channel 0", peer, port);
	else if (peer_id_in_use(a, peer))
		sim_apf_violation(a, "CHANNEL_OPEN with a sender channel that is in use", peer,
		                  port);
	else if (port == 0 || port > UINT16_MAX)
		sim_apf_violation(a, "CHANNEL_OPEN with an impossible port", peer, port);
	else if (!port_forwarded(a, port))
		refuse_open(a, peer, 1);
	else
		accept_open(a, peer, window, (uint16_t)port);
}

/* Answers to our own direct-tcpip. Its one event is delivered and the channel closed. */
static void on_open_answer(struct sim_apf *a, struct span m, bool confirmed)
{
	uint32_t id = peek_u32(m, 1);
	struct sim_slot *s = id < SIM_APF_SLOTS ? &a->slots[id] : NULL;

	if (s == NULL || s->state != SIM_SLOT_DIRECT) {
		sim_apf_violation(
			a, "CONFIRMATION or OPEN_FAILURE for a channel that was not asked for",
			m.ptr[0], id);
		return;
	}
	if (!confirmed) {
		sim_apf_slot_free(s);
		return;
	}
	s->peer = peek_u32(m, 5);
	s->credit = peek_u32(m, 9);
	s->state = SIM_SLOT_OPEN;
	buf_put_str(&s->queue, "POST /event HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
	s->close_wanted = true;
	sim_apf_pump(a, id);
}

static struct sim_slot *live_slot(struct sim_apf *a, uint32_t id, const char *what)
{
	struct sim_slot *s = id < SIM_APF_SLOTS ? &a->slots[id] : NULL;

	if (s != NULL && (s->state == SIM_SLOT_OPEN || s->state == SIM_SLOT_CLOSE_SENT))
		return s;
	if (s != NULL && (s->state == SIM_SLOT_OPENING || s->state == SIM_SLOT_DIRECT))
		sim_apf_violation(a, "DATA, ADJUST or CLOSE before CONFIRMATION", id, s->port);
	else
		sim_apf_violation(a, what, id, 0);
	return NULL;
}

static void on_adjust(struct sim_apf *a, struct span m)
{
	uint32_t id = peek_u32(m, 1), n = peek_u32(m, 5);
	struct sim_slot *s = live_slot(a, id, "WINDOW_ADJUST for an unknown channel");

	if (s == NULL)
		return;
	if (n > UINT32_MAX - s->credit) {
		sim_apf_violation(a, "WINDOW_ADJUST beyond 2^32-1", id, n);
		n = UINT32_MAX - s->credit;
	}
	s->credit += n;
	if (a->stage != SIM_APF_ENDED)
		sim_apf_pump(a, id);
}

static void on_data_header(struct sim_apf *a, struct span m)
{
	uint32_t id = peek_u32(m, 1), n = peek_u32(m, 5);
	struct sim_slot *s = live_slot(a, id, "DATA for an unknown channel");

	if (a->stage == SIM_APF_ENDED)
		return;
	a->data_left = n;
	a->data_slot = s == NULL ? SIM_APF_DISCARD : id;
	if (s == NULL)
		return;
	if (n > s->granted) {
		sim_apf_violation(a, "DATA beyond the window: octets, granted", n, s->granted);
		s->granted = n; /* lenient: taken all the same */
	}
	s->granted -= n;
}

static void send_late_data(struct sim_apf *a, struct sim_slot *s)
{
	static const char late[] = "late";
	uint32_t n = MIN((uint32_t)sizeof(late) - 1, s->credit);
	struct buf b;

	buf_init(&b, 64);
	buf_put_u8(&b, 94);
	buf_put_u32(&b, s->peer);
	buf_put_u32(&b, n);
	buf_put(&b, late, n);
	sim_apf_emit(a, &b);
	send_words(a, 93, (const uint32_t[]){s->peer, 1}, 2);
}

/* Each side sends CLOSE exactly once; the slot is free when both were seen (apf.md 5.12). */
static void on_close(struct sim_apf *a, struct span m)
{
	uint32_t id = peek_u32(m, 1);
	struct sim_slot *s = live_slot(a, id, "CLOSE for an unknown channel, or a second CLOSE");
	bool open;

	if (s == NULL)
		return;
	open = s->state == SIM_SLOT_OPEN;
	if (open && a->opts->late_data)
		send_late_data(a, s);
	if (open)
		sim_apf_send_close(a, id);
	/* After sim_apf_close the owner has let go already. */
	open = open && !s->close_wanted && !s->direct;
	sim_apf_slot_free(s);
	if (open)
		a->ops->closed(a->user, id);
}

static void on_keepalive_reply(struct sim_apf *a, uint32_t cookie)
{
	if (!a->keepalive_waits || cookie != a->cookie)
		sim_apf_violation(a, "KEEPALIVE_REPLY that was not asked for: got, expected",
		                  cookie, a->cookie);
	a->keepalive_waits = false;
}

/* apf.md 5.14; 0 in a field leaves the value alone. */
static void on_options(struct sim_apf *a, struct span m)
{
	uint32_t interval = peek_u32(m, 1), timeout = peek_u32(m, 5);

	if (!forwarding(a)) {
		sim_apf_violation(a, "KEEPALIVE_OPTIONS before port forwarding was started",
		                  interval, timeout);
	} else if (a->got_210) {
		sim_apf_violation(a, "KEEPALIVE_OPTIONS twice", interval, timeout);
	} else {
		a->got_210 = true;
		if (a->opts->obey_210 && interval > 0) {
			a->keepalive_s = interval;
			a->keepalive_at_ms = a->now_ms + interval * UINT64_C(1000);
		}
		if (a->opts->obey_210 && timeout > 0)
			a->timeout_s = timeout;
		send_words(a, 211,
		           (const uint32_t[]){a->keepalive_s,
		                              a->opts->obey_210 ? timeout : a->timeout_s},
		           2);
	}
}

/* Two production servers send none, one echoes (apf.md 5.1): tolerated once, as the first message. */
static void on_version(struct sim_apf *a)
{
	if (a->got_version || a->stage != SIM_APF_AUTH_SERVICE)
		sim_apf_violation(a, "PROTOCOLVERSION out of order", a->stage, 0);
	a->got_version = true;
}

void sim_apf_dispatch(struct sim_apf *a, struct span m)
{
	switch (m.ptr[0]) {
	case 1:
		sim_apf_end(a, SIM_APF_END_DISCONNECT, peek_u32(m, 1));
		break;
	case 6:
		on_service_accept(a, m);
		break;
	case 51:
	case 52:
		on_userauth(a, m.ptr[0] == 52);
		break;
	case 81:
	case 82:
		on_request_answer(a, m, m.ptr[0] == 81);
		break;
	case 90:
		on_open(a, m);
		break;
	case 91:
	case 92:
		on_open_answer(a, m, m.ptr[0] == 91);
		break;
	case 93:
		on_adjust(a, m);
		break;
	case 94:
		on_data_header(a, m);
		break;
	case 97:
		on_close(a, m);
		break;
	case 192:
		on_version(a);
		break;
	case 208:
		send_words(a, 209, (const uint32_t[]){peek_u32(m, 1)}, 1);
		break;
	case 209:
		on_keepalive_reply(a, peek_u32(m, 1));
		break;
	default:
		on_options(a, m);
		break;
	}
}

/* Hands payload octets to the service; the credit comes back afterwards. */
static size_t take_data(struct sim_apf *a, struct span s)
{
	uint32_t n = (uint32_t)MIN((size_t)a->data_left, s.len);
	unsigned slot = a->data_slot;

	a->data_left -= n;
	if (slot < SIM_APF_SLOTS && a->slots[slot].state == SIM_SLOT_OPEN &&
	    !a->slots[slot].close_wanted) {
		if (!a->slots[slot].direct)
			a->ops->data(a->user, slot, span_of(s.ptr, n));
		if (a->stage != SIM_APF_ENDED && !a->slots[slot].close_wanted)
			sim_apf_take(a, &a->slots[slot], n);
	}
	return n;
}

/* Adds octets to the message under way until it is whole; returns how many were used. */
static size_t take_control(struct sim_apf *a, struct span s)
{
	size_t used = 0;

	for (;;) {
		size_t want = a->in.len == 0 ? 1 : message_len(a, buf_span(&a->in));
		size_t n;

		if (want == 0) {
			sim_apf_violation(a, "unknown message type or impossible length",
			                  a->in.data[0], 0);
			/* Sync is lost for good: lenient devices hang up, too. */
			sim_apf_end(a, SIM_APF_END_VIOLATION, 0);
			return s.len;
		}
		if (a->in.len > 0 && want <= a->in.len) {
			struct buf msg = a->in;

			buf_init(&a->in, SIM_APF_MSG_MAX);
			sim_apf_dispatch(a, buf_span(&msg));
			buf_free(&msg);
			return used;
		}
		n = MIN(want - a->in.len, s.len - used);
		if (n == 0)
			return used;
		buf_put(&a->in, s.ptr + used, n);
		used += n;
	}
}

void sim_apf_input(struct sim_apf *a, struct span s, uint64_t now_ms)
{
	a->now_ms = now_ms;
	if (a->silent || a->stage == SIM_APF_IDLE)
		return;
	a->dispatching = true;
	while (s.len > 0 && a->stage != SIM_APF_ENDED) {
		size_t n = a->data_left > 0 ? take_data(a, s) : take_control(a, s);

		s = span_of(s.ptr + n, s.len - n);
	}
	a->dispatching = false;
	if (a->stage != SIM_APF_ENDED)
		sim_apf_flush(a);
}
