/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sim_apf.c: what the device sends: the sequence of apf.md section 6, channels, credit and timers. Reading is in
 * sim_apf_in.c. Invariant: nothing is sent after sim_apf_end.
 */
#include "bench/fleet/sim_apf.h"

#include <string.h>

#include "core/err.h"

void sim_apf_init(struct sim_apf *a, const struct sim_apf_opts *opts, const struct sim_apf_ops *ops,
                  void *user)
{
	memset(a, 0, sizeof(*a));
	a->opts = opts;
	a->ops = ops;
	a->user = user;
	a->data_slot = SIM_APF_DISCARD;
	buf_init(&a->in, SIM_APF_MSG_MAX);
	buf_init(&a->out, SIM_APF_QUEUE_MAX);
	for (size_t i = 0; i < SIM_APF_SLOTS; i++)
		buf_init(&a->slots[i].queue, SIM_APF_QUEUE_MAX);
}

void sim_apf_free(struct sim_apf *a)
{
	buf_free(&a->in);
	buf_free(&a->out);
	for (size_t i = 0; i < SIM_APF_SLOTS; i++)
		buf_free(&a->slots[i].queue);
}

static void send_octets(struct sim_apf *a, struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		a->ops->send(a->user, span_of(s.ptr + i, 1));
}

/* sim_apf_emit: sends one message in the wanted framing and frees it. */
void sim_apf_emit(struct sim_apf *a, struct buf *msg)
{
	if (a->stage != SIM_APF_ENDED && !a->silent && msg->err == 0) {
		if (a->opts->framing == SIM_FRAMING_COALESCED)
			buf_put_span(&a->out, buf_span(msg));
		else if (a->opts->framing == SIM_FRAMING_OCTET)
			send_octets(a, buf_span(msg));
		else
			a->ops->send(a->user, buf_span(msg));
	}
	buf_free_secret(msg);
}

/* sim_apf_flush: hands over what coalesced framing gathered, unless more may come in this turn. */
void sim_apf_flush(struct sim_apf *a)
{
	struct buf out = a->out;

	if (a->dispatching || out.len == 0)
		return;
	buf_init(&a->out, SIM_APF_QUEUE_MAX);
	a->ops->send(a->user, buf_span(&out));
	buf_free_secret(&out);
}

static void put_string(struct buf *b, const char *s)
{
	buf_put_u32(b, (uint32_t)strlen(s));
	buf_put_str(b, s);
}

static void send_u32s(struct sim_apf *a, uint8_t type, const uint32_t *words, size_t n)
{
	struct buf b;

	buf_init(&b, 64);
	buf_put_u8(&b, type);
	for (size_t i = 0; i < n; i++)
		buf_put_u32(&b, words[i]);
	sim_apf_emit(a, &b);
}

static void send_disconnect(struct sim_apf *a, uint32_t reason)
{
	struct buf b;

	buf_init(&b, 16);
	buf_put_u8(&b, 1);
	buf_put_u32(&b, reason);
	buf_put_u16(&b, 0);
	sim_apf_emit(a, &b);
}

void sim_apf_slot_free(struct sim_slot *s)
{
	size_t cap = s->queue.cap;

	buf_free(&s->queue);
	memset(s, 0, sizeof(*s));
	buf_init(&s->queue, cap);
}

void sim_apf_end(struct sim_apf *a, enum sim_apf_end why, uint32_t code)
{
	if (a->stage == SIM_APF_ENDED)
		return;
	a->dispatching = false;
	sim_apf_flush(a);
	a->stage = SIM_APF_ENDED;
	for (unsigned i = 0; i < SIM_APF_SLOTS; i++) {
		bool told =
			a->slots[i].state == SIM_SLOT_OPEN || a->slots[i].state == SIM_SLOT_OPENING;

		told = told && !a->slots[i].direct;
		sim_apf_slot_free(&a->slots[i]);
		if (told)
			a->ops->closed(a->user, i);
	}
	a->ops->ended(a->user, why, code);
}

void sim_apf_violation(struct sim_apf *a, const char *text, uint32_t p, uint32_t q)
{
	a->ops->violation(a->user, text, p, q);
	if (!a->opts->strict)
		return;
	send_disconnect(a, 2);
	sim_apf_end(a, SIM_APF_END_VIOLATION, 2);
}

void sim_apf_disconnect(struct sim_apf *a, uint32_t reason)
{
	if (a->stage == SIM_APF_ENDED)
		return;
	send_disconnect(a, reason);
	sim_apf_end(a, SIM_APF_END_LOCAL, reason);
}

/* apf.md 5.2. */
void sim_apf_service_request(struct sim_apf *a, const char *name)
{
	struct buf b;

	buf_init(&b, 64);
	buf_put_u8(&b, 5);
	put_string(&b, name);
	sim_apf_emit(a, &b);
}

/* apf.md 5.3: with method "none" the message ends after the method's name. */
void sim_apf_userauth(struct sim_apf *a)
{
	bool none = a->opts->auth == SIM_AUTH_NONE;
	struct buf b;

	buf_init(&b, 4UL * SIM_APF_STRING_MAX);
	buf_put_u8(&b, 50);
	put_string(&b, a->id.user);
	put_string(&b, SIM_APF_SERVICE_PFWD);
	put_string(&b, none ? "none" : "password");
	if (!none) {
		buf_put_u8(&b, 0);
		put_string(&b,
		           a->opts->auth == SIM_AUTH_WRONG ? "not-the-password" : a->id.password);
	}
	sim_apf_emit(a, &b);
}

void sim_apf_start(struct sim_apf *a, const struct sim_apf_identity *id, uint64_t now_ms)
{
	static const uint8_t zeros[64];
	struct buf b;

	a->id = *id;
	a->now_ms = now_ms;
	a->stage = SIM_APF_AUTH_SERVICE;
	a->keepalive_s = a->opts->keepalive_s;
	a->timeout_s = a->opts->timeout_s;
	a->keepalive_at_ms = a->reply_due_ms = SIM_APF_NO_TIME;
	buf_init(&b, 128);
	buf_put_u8(&b, 192);
	buf_put_u32(&b, 1);
	buf_put_u32(&b, 0);
	buf_put_u32(&b, a->opts->trigger);
	buf_put(&b, id->guid.b, sizeof(id->guid.b));
	buf_put(&b, zeros, sizeof(zeros));
	sim_apf_emit(a, &b);
	sim_apf_service_request(a, SIM_APF_SERVICE_AUTH);
	sim_apf_flush(a);
}

static void global_request(struct sim_apf *a, const char *name, uint16_t port, bool cancel)
{
	size_t at = (a->fifo_head + a->fifo_len) % SIM_APF_FIFO_MAX;
	struct buf b;

	if (a->fifo_len == SIM_APF_FIFO_MAX)
		return;
	a->fifo[at].cancel = cancel;
	a->fifo[at].port = port;
	a->fifo_len++;
	buf_init(&b, 3UL * SIM_APF_STRING_MAX);
	buf_put_u8(&b, 80);
	put_string(&b, name);
	buf_put_u8(&b, 1);
	put_string(&b, a->id.host);
	buf_put_u32(&b, port);
	sim_apf_emit(a, &b);
}

/* sim_apf_request_ports: the next tcpip-forward, or all of them; READY when every one was answered. */
void sim_apf_request_ports(struct sim_apf *a)
{
	while (a->next_port < a->opts->ports_len && (a->opts->pipelined || a->fifo_len == 0))
		global_request(a, "tcpip-forward", a->opts->ports[a->next_port++], false);
	if (a->stage != SIM_APF_FORWARDING || a->fifo_len > 0 || a->next_port < a->opts->ports_len)
		return;
	a->stage = SIM_APF_READY;
	if (a->keepalive_s > 0)
		a->keepalive_at_ms = a->now_ms + a->keepalive_s * UINT64_C(1000);
	a->ops->ready(a->user);
	if (a->stage == SIM_APF_READY)
		sim_apf_extras(a);
}

static void udp_send(struct sim_apf *a)
{
	/* A minimal SNMP version 1 header: enough to be recognisable in a capture. */
	static const uint8_t datagram[] = {0x30, 0x03, 0x02, 0x01, 0x00};
	struct buf b;

	buf_init(&b, 512);
	buf_put_u8(&b, 80);
	put_string(&b, "udp-send-to@amt.intel.com");
	buf_put_u8(&b, 0);
	put_string(&b, "192.0.2.9");
	buf_put_u32(&b, 162);
	put_string(&b, "192.0.2.42");
	buf_put_u32(&b, 664);
	buf_put_u32(&b, sizeof(datagram));
	buf_put(&b, datagram, sizeof(datagram));
	sim_apf_emit(a, &b);
}

static void direct_open(struct sim_apf *a)
{
	unsigned i = 0;
	struct buf b;

	while (i < SIM_APF_SLOTS && a->slots[i].state != SIM_SLOT_FREE)
		i++;
	if (i == SIM_APF_SLOTS)
		return;
	a->slots[i].state = SIM_SLOT_DIRECT;
	a->slots[i].direct = true;
	a->slots[i].granted = a->opts->window;
	buf_init(&b, 512);
	buf_put_u8(&b, 90);
	put_string(&b, "direct-tcpip");
	buf_put_u32(&b, i);
	buf_put_u32(&b, a->opts->window);
	buf_put_u32(&b, UINT32_MAX);
	put_string(&b, "192.0.2.9");
	buf_put_u32(&b, 16998);
	put_string(&b, "127.0.0.1");
	buf_put_u32(&b, 16992);
	sim_apf_emit(a, &b);
}

/* sim_apf_extras: what an alert would send, and a cancel, once the tunnel is up (apf.md section 6, alert). */
void sim_apf_extras(struct sim_apf *a)
{
	if (a->opts->udp_send)
		udp_send(a);
	if (a->opts->direct_open)
		direct_open(a);
	if (a->opts->cancel_last && a->forwarded_len > 0)
		global_request(a, "cancel-tcpip-forward", a->forwarded[a->forwarded_len - 1], true);
}

/* sim_apf_confirm: CONFIRMATION for an accepted CHANNEL_OPEN (apf.md 5.8). */
void sim_apf_confirm(struct sim_apf *a, unsigned slot)
{
	struct sim_slot *s = &a->slots[slot];
	uint32_t window = a->opts->late_window > 0 ? 0 : a->opts->window;

	s->state = SIM_SLOT_OPEN;
	s->answer_at_ms = 0;
	s->granted = window;
	if (a->opts->late_window > 0)
		s->grant_at_ms = a->now_ms + a->opts->late_ms;
	send_u32s(a, 91, (const uint32_t[]){s->peer, slot, window, UINT32_MAX}, 4);
	if (a->ops->opened != NULL)
		a->ops->opened(a->user, slot);
}

static void send_adjust(struct sim_apf *a, struct sim_slot *s, uint32_t n)
{
	s->granted += n;
	send_u32s(a, 93, (const uint32_t[]){s->peer, n}, 2);
}

/* sim_apf_take: gives credit back for n octets that the service took. */
void sim_apf_take(struct sim_apf *a, struct sim_slot *s, uint32_t n)
{
	uint32_t window = a->opts->late_window > 0 ? a->opts->late_window : a->opts->window;

	if (s->state != SIM_SLOT_OPEN || a->opts->adjust == SIM_ADJUST_NEVER || n == 0)
		return;
	s->owed += n;
	if (a->opts->adjust == SIM_ADJUST_BATCHED && s->owed < (window + 1) / 2)
		return;
	n = s->owed;
	s->owed = 0;
	send_adjust(a, s, n);
}

void sim_apf_send_close(struct sim_apf *a, unsigned slot)
{
	send_u32s(a, 97, (const uint32_t[]){a->slots[slot].peer}, 1);
}

/* sim_apf_pump: sends from the queue what the server's window allows; closes when that was wanted and all is sent. */
void sim_apf_pump(struct sim_apf *a, unsigned slot)
{
	struct sim_slot *s = &a->slots[slot];
	bool had = s->queue.len > 0;

	if (s->state != SIM_SLOT_OPEN)
		return;
	while (s->queue.len > 0 && s->credit > 0) {
		uint32_t n = (uint32_t)MIN(s->queue.len,
		                           (size_t)MIN(s->credit, (uint32_t)SIM_APF_DATA_MAX));
		struct buf b;

		buf_init(&b, SIM_APF_DATA_MAX + 16);
		buf_put_u8(&b, 94);
		buf_put_u32(&b, s->peer);
		buf_put_u32(&b, n);
		buf_put(&b, s->queue.data, n);
		s->credit -= n;
		buf_consume(&s->queue, n);
		sim_apf_emit(a, &b);
	}
	if (s->queue.len > 0)
		return;
	if (s->close_wanted) {
		sim_apf_send_close(a, slot);
		s->state = SIM_SLOT_CLOSE_SENT;
	} else if (had && !s->direct && a->ops->drained != NULL) {
		a->ops->drained(a->user, slot);
	}
}

int sim_apf_write(struct sim_apf *a, unsigned slot, struct span data)
{
	struct sim_slot *s = &a->slots[slot];

	if (s->state != SIM_SLOT_OPEN || s->close_wanted)
		return -ERR_CLOSED;
	buf_put_span(&s->queue, data);
	if (s->queue.err != 0)
		return -ERR_FULL;
	sim_apf_pump(a, slot);
	sim_apf_flush(a);
	return 0;
}

void sim_apf_close(struct sim_apf *a, unsigned slot)
{
	struct sim_slot *s = &a->slots[slot];

	if (s->state != SIM_SLOT_OPEN || s->close_wanted)
		return;
	s->close_wanted = true;
	sim_apf_pump(a, slot);
	sim_apf_flush(a);
}

static void tick_slots(struct sim_apf *a)
{
	for (unsigned i = 0; i < SIM_APF_SLOTS; i++) {
		struct sim_slot *s = &a->slots[i];

		if (s->state == SIM_SLOT_OPENING && s->answer_at_ms <= a->now_ms)
			sim_apf_confirm(a, i);
		if (s->state == SIM_SLOT_OPEN && s->grant_at_ms > 0 &&
		    s->grant_at_ms <= a->now_ms) {
			s->grant_at_ms = 0;
			send_adjust(a, s, a->opts->late_window);
		}
	}
}

void sim_apf_tick(struct sim_apf *a, uint64_t now_ms)
{
	a->now_ms = now_ms;
	if (a->stage == SIM_APF_ENDED || a->stage == SIM_APF_IDLE || a->silent)
		return;
	if (a->keepalive_waits && a->reply_due_ms <= now_ms) {
		sim_apf_end(a, SIM_APF_END_KEEPALIVE, 0);
		return;
	}
	tick_slots(a);
	if (a->keepalive_at_ms <= now_ms) {
		a->keepalive_at_ms = now_ms + MAX(a->keepalive_s, 1U) * UINT64_C(1000);
		if (!a->keepalive_waits) {
			a->keepalive_waits = true;
			a->reply_due_ms = a->timeout_s > 0 ? now_ms + a->timeout_s * UINT64_C(1000)
			                                   : SIM_APF_NO_TIME;
			send_u32s(a, 208, (const uint32_t[]){++a->cookie}, 1);
		}
	}
	sim_apf_flush(a);
}

uint64_t sim_apf_next_ms(const struct sim_apf *a)
{
	uint64_t at = a->keepalive_at_ms;

	if (a->stage == SIM_APF_ENDED || a->stage == SIM_APF_IDLE || a->silent)
		return SIM_APF_NO_TIME;
	if (a->keepalive_waits)
		at = MIN(at, a->reply_due_ms);
	for (unsigned i = 0; i < SIM_APF_SLOTS; i++) {
		const struct sim_slot *s = &a->slots[i];

		if (s->state == SIM_SLOT_OPENING)
			at = MIN(at, s->answer_at_ms);
		if (s->state == SIM_SLOT_OPEN && s->grant_at_ms > 0)
			at = MIN(at, s->grant_at_ms);
	}
	return at;
}
