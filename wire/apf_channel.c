/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * apf_channel.c: the channel state machine (apf.md 7.3), flow control (8) and the DATA stream. Invariants: a channel is in the
 * session's list from open until the device has answered for it; ops is NULL once the opener has let go or been told the end;
 * CLOSE goes out at most once per channel and never before CONFIRMATION; a callback is the last thing that a handler does
 * with a channel, since it may let go of it. One thread.
 */
#include "wire/apf_internal.h"
#include "core/err.h"

#include <stdlib.h>

#define ENOUGH_CREDIT  1024u
#define ORIGINATOR_MAX 255u
#define GROW_RTT_MS    5u /* round trips below never make a window grow: scheduling looks like them */

static struct apf_channel *find(const struct apf_session *s, uint32_t id)
{
	struct apf_channel *ch = s->channels;

	while (ch != NULL && ch->id != id)
		ch = ch->next;
	return ch;
}

static void channel_free(struct apf_channel *ch)
{
	struct apf_channel **at = &ch->session->channels;

	while (*at != ch)
		at = &(*at)->next;
	*at = ch->next;
	ch->session->grown -= ch->window - ch->window_first;
	free(ch);
}

unsigned apf_channel_count(const struct apf_session *s)
{
	unsigned n = 0;

	for (const struct apf_channel *ch = s->channels; ch != NULL; ch = ch->next)
		n++;
	return n;
}

uint32_t apf_channel_window(const struct apf_channel *ch)
{
	return ch->window;
}

void apf_channel_stay(struct apf_channel *ch)
{
	ch->window_most = MIN(ch->window_most, ch->window);
}

uint64_t apf_channel_windows(const struct apf_session *s, uint32_t above)
{
	uint64_t sum = 0;

	for (const struct apf_channel *ch = s->channels; ch != NULL; ch = ch->next)
		sum += ch->window > above ? ch->window : 0;
	return sum;
}

bool apf_channel_far(const struct apf_channel *ch)
{
	return ch->rtt_ms >= GROW_RTT_MS;
}

uint32_t apf_channel_id(const struct apf_channel *ch)
{
	return ch->id;
}

uint32_t apf_channel_credit(const struct apf_channel *ch)
{
	return ch->state == APF_CHANNEL_OPEN_STATE ? ch->credit : 0;
}

const char *apf_channel_end_label(enum apf_channel_end why)
{
	static const char *const labels[] = {
#define X(name, label) [name] = (label),
		APF_CHANNEL_END_LIST(X)
#undef X
	};

	return why < APF_CHANNEL_END_COUNT ? labels[why] : "?";
}

/* What the opener is told when a channel ends; taken from the channel before it changes or goes. */
struct farewell {
	const struct apf_channel_ops *ops;
	void *ctx;
	bool opened;
};

static struct farewell let_go(struct apf_channel *ch)
{
	struct farewell f = {ch->ops, ch->ctx, ch->state == APF_CHANNEL_OPEN_STATE};

	ch->ops = NULL;
	return f;
}

static void tell_end(const struct farewell *f, uint32_t failure, enum apf_channel_end why)
{
	if (f->ops == NULL)
		return;
	if (f->opened)
		f->ops->closed(f->ctx, why);
	else
		f->ops->open_failed(f->ctx, failure);
}

static void end_and_free(struct apf_session *s, struct apf_channel *ch, uint32_t failure,
                         enum apf_channel_end why)
{
	struct farewell f = let_go(ch);

	channel_free(ch);
	tell_end(&f, failure, why);
	if (s->state != APF_STATE_CLOSED)
		s->ops->slot_free(s->ctx);
}

void apf_channels_drop(struct apf_session *s)
{
	while (s->channels != NULL)
		end_and_free(s, s->channels, APF_OPEN_TUNNEL_LOST, APF_CHANNEL_TUNNEL_LOST);
}

static void send_close(struct apf_channel *ch, uint64_t now_ms)
{
	struct apf_session *s = ch->session;

	apf_send(s, &(struct apf_msg){.type = APF_CHANNEL_CLOSE, .channel.recipient = ch->peer});
	ch->state = APF_CHANNEL_CLOSE_SENT;
	ch->timer_ms = now_ms + s->limits->close_answer_ms;
	ch->stuck = false;
}

static uint32_t new_id(struct apf_session *s)
{
	uint32_t id;

	do
		id = s->next_id++;
	while (id == 0 || find(s, id) != NULL);
	return id;
}

static struct apf_channel *channel_new(struct apf_session *s, const struct apf_channel_args *args,
                                       uint64_t now_ms)
{
	struct apf_channel *ch = calloc(1, sizeof(*ch));

	if (ch == NULL)
		return NULL;
	ch->session = s;
	ch->ops = args->ops;
	ch->ctx = args->ctx;
	ch->window = args->window != 0 ? args->window : s->limits->window;
	ch->window_first = ch->window;
	ch->granted = ch->window;
	ch->window_most = args->window_most;
	ch->id = new_id(s);
	ch->state = APF_CHANNEL_OPENING;
	ch->timer_ms = now_ms + s->limits->open_answer_ms;
	ch->next = s->channels;
	s->channels = ch;
	return ch;
}

int apf_channel_open(struct apf_session *s, const struct apf_channel_args *args, uint64_t now_ms,
                     struct apf_channel **out)
{
	int forward = apf_forwards_find(&s->forwards, args->port);
	struct apf_channel *ch;

	if (s->state != APF_STATE_FORWARD)
		return -ERR_PRECONDITION;
	if (args->originator.len > ORIGINATOR_MAX || args->window > s->limits->window_max)
		return -ERR_INVALID;
	if (forward < 0)
		return -ERR_REFUSED;
	if (apf_channel_count(s) >= s->limits->channels_max)
		return -ERR_FULL;
	ch = channel_new(s, args, now_ms);
	if (ch == NULL)
		return -ERR_NOMEM;
	apf_send(s, &(struct apf_msg){.type = APF_CHANNEL_OPEN,
	                              .open = {
					      .type = span_str(APF_CHANNEL_FORWARDED),
					      .sender = ch->id,
					      .window = ch->window,
					      .host = apf_forwards_host(&s->forwards, forward),
					      .port = args->port,
					      .originator = args->originator,
					      .originator_port = args->originator_port,
				      }});
	*out = ch;
	return 0;
}

/* Whether there is credit that is worth a message (apf.md 8.2.3). */
static bool worth_sending(const struct apf_channel *ch)
{
	return ch->credit > 0 && (ch->credit >= ch->wanted || ch->credit >= ch->enough ||
	                          ch->flush || ch->session->limits->silly_wait_ms == 0);
}

static void wait_for_more_credit(struct apf_channel *ch, uint64_t now_ms)
{
	if (ch->credit > 0 && ch->timer_ms == APF_NEVER)
		ch->timer_ms = now_ms + ch->session->limits->silly_wait_ms;
}

static void send_chunks(struct apf_channel *ch, struct span octets)
{
	struct apf_session *s = ch->session;
	size_t at = 0;

	while (at < octets.len) {
		size_t n = MIN(octets.len - at, s->limits->chunk_max);

		apf_send(s, &(struct apf_msg){.type = APF_CHANNEL_DATA,
		                              .channel = {ch->peer, (uint32_t)n}});
		s->ops->send(s->ctx, span_of(octets.ptr + at, n));
		at += n;
	}
}

size_t apf_channel_send(struct apf_channel *ch, struct span octets, uint64_t now_ms)
{
	size_t n;

	ASSERT(ch->ops != NULL);
	ch->wanted = (uint32_t)MIN(octets.len, UINT32_MAX);
	if (ch->state != APF_CHANNEL_OPEN_STATE || octets.len == 0)
		return 0;
	if (!worth_sending(ch)) {
		wait_for_more_credit(ch, now_ms);
		return 0;
	}
	n = MIN(octets.len, ch->credit);
	ch->credit -= (uint32_t)n;
	ch->wanted = (uint32_t)MIN(octets.len - n, UINT32_MAX);
	ch->flush = false;
	ch->timer_ms = APF_NEVER;
	send_chunks(ch, span_of(octets.ptr, n));
	return n;
}

/*
 * By how much the window grows now. The clock is that of the last input: who keeps up consumes then. What is consumed of half a window
 * later than a round trip after the last half was not held back by the window but by the device or the path's rate.
 */
static uint32_t window_growth(struct apf_channel *ch)
{
	struct apf_session *s = ch->session;
	bool fast = s->received_ms - ch->adjusted_ms <= ch->rtt_ms;
	uint32_t room = s->limits->grown_max - MIN(s->grown, s->limits->grown_max), n;

	ch->adjusted_ms = s->received_ms;
	if (!fast || !apf_channel_far(ch) || ch->window_most <= ch->window ||
	    ch->unconsumed > ch->window / 2)
		return 0;
	n = MIN(ch->window, ch->window_most - ch->window);
	n = MIN(n, room);
	ch->window += n;
	s->grown += n;
	return n;
}

void apf_channel_consumed(struct apf_channel *ch, size_t n)
{
	uint32_t worth = MAX(ch->window / 2, 1u);

	ASSERT(ch->ops != NULL && n <= ch->unconsumed);
	ch->unconsumed -= n;
	ch->drained += n;
	if (ch->state != APF_CHANNEL_OPEN_STATE || ch->drained < worth)
		return;
	ch->drained += window_growth(ch);
	apf_send(ch->session, &(struct apf_msg){.type = APF_CHANNEL_ADJUST,
	                                        .channel = {ch->peer, (uint32_t)ch->drained}});
	ch->granted += (int64_t)ch->drained;
	ch->drained = 0;
}

void apf_channel_close(struct apf_channel *ch, uint64_t now_ms)
{
	ASSERT(ch->ops != NULL);
	ch->ops = NULL;
	if (ch->session->state == APF_STATE_CLOSED)
		channel_free(ch);
	else if (ch->state == APF_CHANNEL_OPENING)
		ch->state =
			APF_CHANNEL_ZOMBIE; /* its id is unknown: nothing can be sent (apf.md 7.3) */
	else
		send_close(ch, now_ms);
}

static int protocol_error(struct apf_session *s)
{
	return apf_close(s, APF_CLOSE_CHANNEL_PROTOCOL, APF_DISCONNECT_PROTOCOL_ERROR);
}

/* Device-opened channels are for alerts; no relay takes them (apf.md 5.7). */
static int on_open(struct apf_session *s, const struct apf_open *o, uint64_t now_ms)
{
	uint32_t reason =
		apf_is(o->type, APF_CHANNEL_DIRECT) ? APF_OPEN_PROHIBITED : APF_OPEN_UNKNOWN_TYPE;

	if (apf_rate_exceeded(&s->requests, now_ms, APF_RATE_LONG_MS,
	                      s->limits->requests_per_minute))
		return apf_close(s, APF_CLOSE_REQUEST_FLOOD, 0);
	apf_send(s, &(struct apf_msg){.type = APF_CHANNEL_OPEN_FAILURE,
	                              .failure = {o->sender, reason}});
	apf_glitch(s, APF_GLITCH_DEVICE_OPEN);
	return 0;
}

/*
 * Frees a channel whose CLOSE the device never answered although it now gives its id to another (it frees and re-uses ids
 * at once). An id of an open channel is an error.
 */
static bool peer_id_free(struct apf_session *s, uint32_t peer)
{
	for (struct apf_channel *ch = s->channels; ch != NULL; ch = ch->next) {
		if (ch->state < APF_CHANNEL_OPEN_STATE || ch->peer != peer)
			continue;
		if (ch->state == APF_CHANNEL_OPEN_STATE)
			return false;
		end_and_free(s, ch, 0, APF_CHANNEL_BY_DEVICE);
		apf_glitch(s, APF_GLITCH_ID_REUSED);
		break;
	}
	return true;
}

static int on_confirm(struct apf_session *s, const struct apf_msg *m, uint64_t now_ms)
{
	uint32_t window = m->confirm.window;
	struct apf_channel *ch = find(s, m->confirm.recipient);

	if (ch == NULL) {
		apf_glitch(s, APF_GLITCH_UNKNOWN_CONFIRM);
		return 0;
	}
	if (ch->state >= APF_CHANNEL_OPEN_STATE || !peer_id_free(s, m->confirm.sender))
		return protocol_error(s);
	ch = find(s, m->confirm.recipient); /* callbacks may have closed the session */
	if (ch == NULL)
		return 0;
	if (ch->state == APF_CHANNEL_OPENING)
		ch->rtt_ms = (uint32_t)(now_ms + s->limits->open_answer_ms - ch->timer_ms);
	ch->adjusted_ms = now_ms;
	ch->peer = m->confirm.sender;
	ch->credit = window;
	ch->enough = MAX(MIN(window / 2, ENOUGH_CREDIT), 1u);
	if (ch->state == APF_CHANNEL_ZOMBIE) {
		send_close(ch, now_ms);
		return 0;
	}
	ch->state = APF_CHANNEL_OPEN_STATE;
	ch->timer_ms = APF_NEVER;
	ch->ops->opened(ch->ctx);
	return 0;
}

static int on_open_failure(struct apf_session *s, const struct apf_msg *m)
{
	struct apf_channel *ch = find(s, m->failure.recipient);
	uint32_t reason = m->failure.reason;
	bool late;

	if (ch == NULL) {
		apf_glitch(s, APF_GLITCH_UNKNOWN_OPEN_FAILURE);
		return 0;
	}
	if (reason >= APF_OPEN_TIMED_OUT) /* our own codes are not the device's to use */
		reason = APF_OPEN_CONNECT_FAILED;
	late = ch->state == APF_CHANNEL_OPEN_STATE;
	end_and_free(s, ch, reason, APF_CHANNEL_FAILED_LATE);
	if (late)
		apf_glitch(s, APF_GLITCH_LATE_FAILURE);
	return 0;
}

/* DATA, ADJUST or CLOSE for a channel that the device has not confirmed: its id is unknown, so say nothing (M31). */
static int on_early(struct apf_session *s, struct apf_channel *ch)
{
	struct farewell f;

	if (++s->early_frames > s->limits->early_frames_max)
		return protocol_error(s);
	f = let_go(ch);
	ch->state = APF_CHANNEL_ZOMBIE;
	apf_glitch(s, APF_GLITCH_EARLY_FRAME);
	tell_end(&f, APF_OPEN_VIOLATION, APF_CHANNEL_BY_DEVICE);
	return 0;
}

static int on_stray(struct apf_session *s, enum apf_glitch what, uint64_t now_ms)
{
	if (apf_rate_exceeded(&s->strays, now_ms, APF_RATE_SHORT_MS, s->limits->strays_per_10s))
		return apf_close(s, APF_CLOSE_STRAY_FLOOD, APF_DISCONNECT_PROTOCOL_ERROR);
	apf_glitch(s, what);
	return 0;
}

static int on_adjust(struct apf_session *s, const struct apf_msg *m, uint64_t now_ms)
{
	struct apf_channel *ch = find(s, m->channel.recipient);
	uint32_t n = m->channel.len;

	if (ch == NULL)
		return on_stray(s, APF_GLITCH_UNKNOWN_ADJUST, now_ms);
	if (ch->state < APF_CHANNEL_OPEN_STATE)
		return on_early(s, ch);
	if (ch->state == APF_CHANNEL_CLOSE_SENT)
		return 0;
	if (n > UINT32_MAX - ch->credit) {
		ch->credit = UINT32_MAX;
		apf_glitch(s, APF_GLITCH_CREDIT_SATURATED);
		ch = find(s, m->channel.recipient);
		if (ch == NULL || ch->state != APF_CHANNEL_OPEN_STATE)
			return 0;
	} else {
		ch->credit += n;
	}
	if (ch->wanted == 0)
		return 0;
	if (worth_sending(ch))
		ch->ops->credit(ch->ctx);
	else
		wait_for_more_credit(ch, now_ms);
	return 0;
}

/* Agents ignore windows, within reason; firmware that does loses the channel (apf.md 8.1.2, M29). */
static int64_t data_limit(const struct apf_channel *ch)
{
	const struct apf_limits *l = ch->session->limits;

	return ch->granted + (l->agent_mode ? (int64_t)l->caps->data_max : 0);
}

static void on_overrun(struct apf_channel *ch, uint64_t now_ms)
{
	struct apf_session *s = ch->session;
	struct farewell f = let_go(ch);

	send_close(ch, now_ms);
	apf_glitch(s, APF_GLITCH_OVERRUN);
	tell_end(&f, 0, APF_CHANNEL_OVERRUN);
}

static int on_data(struct apf_session *s, const struct apf_msg *m, uint64_t now_ms)
{
	struct apf_channel *ch = find(s, m->channel.recipient);
	uint32_t n = m->channel.len;

	s->body = n > 0 ? APF_BODY_SKIP : APF_BODY_NONE;
	s->body_left = n;
	if (ch == NULL)
		return on_stray(s, APF_GLITCH_UNKNOWN_DATA, now_ms);
	if (ch->state < APF_CHANNEL_OPEN_STATE)
		return on_early(s, ch);
	if (ch->state == APF_CHANNEL_CLOSE_SENT) {
		apf_glitch(s, APF_GLITCH_DATA_AFTER_CLOSE);
		return 0;
	}
	if (n > data_limit(ch)) {
		on_overrun(ch, now_ms);
		return 0;
	}
	ch->granted -= n;
	if (n > 0) {
		s->body = APF_BODY_CHANNEL;
		s->body_id = ch->id;
	}
	return 0;
}

void apf_channel_body(struct apf_session *s, struct span octets)
{
	struct apf_channel *ch = find(s, s->body_id);

	if (ch == NULL || ch->state != APF_CHANNEL_OPEN_STATE)
		return; /* closed since the header */
	ch->unconsumed += octets.len;
	ch->ops->data(ch->ctx, octets);
}

static int on_close(struct apf_session *s, const struct apf_msg *m)
{
	struct apf_channel *ch = find(s, m->channel.recipient);

	if (ch == NULL) {
		apf_glitch(s, APF_GLITCH_UNKNOWN_CLOSE);
		return 0;
	}
	if (ch->state < APF_CHANNEL_OPEN_STATE)
		return on_early(s, ch);
	if (ch->state == APF_CHANNEL_OPEN_STATE)
		apf_send(s, &(struct apf_msg){.type = APF_CHANNEL_CLOSE,
		                              .channel.recipient = ch->peer});
	end_and_free(s, ch, 0, APF_CHANNEL_BY_DEVICE);
	return 0;
}

int apf_on_channel(struct apf_session *s, const struct apf_msg *m, uint64_t now_ms)
{
	switch (m->type) {
	case APF_CHANNEL_OPEN:
		return on_open(s, &m->open, now_ms);
	case APF_CHANNEL_CONFIRM:
		return on_confirm(s, m, now_ms);
	case APF_CHANNEL_OPEN_FAILURE:
		return on_open_failure(s, m);
	case APF_CHANNEL_ADJUST:
		return on_adjust(s, m, now_ms);
	case APF_CHANNEL_DATA:
		return on_data(s, m, now_ms);
	default:
		ASSERT(m->type == APF_CHANNEL_CLOSE);
		return on_close(s, m);
	}
}

static struct apf_channel *first_due(const struct apf_session *s, uint64_t now_ms)
{
	struct apf_channel *ch = s->channels;

	while (ch != NULL && ch->timer_ms > now_ms)
		ch = ch->next;
	return ch;
}

static void mark_stuck(struct apf_session *s, struct apf_channel *ch)
{
	enum apf_glitch what = ch->state == APF_CHANNEL_CLOSE_SENT ? APF_GLITCH_CLOSE_UNANSWERED
	                                                           : APF_GLITCH_OPEN_UNANSWERED;
	struct farewell f = let_go(ch);

	ch->stuck = true;
	if (ch->state == APF_CHANNEL_OPENING)
		ch->state = APF_CHANNEL_ZOMBIE;
	apf_glitch(s, what);
	tell_end(&f, APF_OPEN_TIMED_OUT, APF_CHANNEL_BY_DEVICE);
}

static bool all_stuck(const struct apf_session *s)
{
	unsigned n = 0;

	for (const struct apf_channel *ch = s->channels; ch != NULL; ch = ch->next)
		n += ch->stuck;
	return n > 0 && n >= s->limits->channels_max;
}

int apf_channels_tick(struct apf_session *s, uint64_t now_ms)
{
	struct apf_channel *ch = first_due(s, now_ms);

	for (; ch != NULL; ch = first_due(s, now_ms)) {
		ch->timer_ms = APF_NEVER;
		if (ch->state != APF_CHANNEL_OPEN_STATE) {
			mark_stuck(s, ch);
			continue;
		}
		ch->flush = true;
		if (ch->wanted > 0)
			ch->ops->credit(ch->ctx);
	}
	/* No channel could ever be opened again: better a new tunnel. */
	return all_stuck(s) ? apf_close(s, APF_CLOSE_CHANNELS_STUCK, 0) : apf_error(s);
}

uint64_t apf_channels_due(const struct apf_session *s)
{
	uint64_t due = APF_NEVER;

	for (const struct apf_channel *ch = s->channels; ch != NULL; ch = ch->next)
		due = MIN(due, ch->timer_ms);
	return due;
}
