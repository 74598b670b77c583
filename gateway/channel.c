/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * channel.c: byte streams to a device's ports for fibers on the tunnel's worker (apf.md 7.3, 8). The device's window bounds what is sent,
 * ours bounds what is held in rx: credit goes back only for what was read.
 */
#include "gateway/internal.h"
#include "core/err.h"
#include "core/log.h"
#include "core/probe.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_DEFAULT 65536
#define WINDOW_MAX     (1024 * 1024)
#define WINDOW_MOST    (4 * 1024 * 1024)

static void channel_wake(struct channel *c)
{
	if (c->waiter != NULL)
		fiber_wake(c->waiter);
}

/* The window was granted or has grown. */
static void window_changed(struct channel *c)
{
	if (c->apf == NULL || apf_channel_window(c->apf) == c->window)
		return;
	c->window = apf_channel_window(c->apf);
	room_fit(c->t);
}

/* The device gets credit. Windows do not grow while what is held already is much. */
static void consumed(struct channel *c, size_t n)
{
	if (c->apf == NULL)
		return;
	if (pool_pressed(c->pool))
		apf_channel_stay(c->apf);
	apf_channel_consumed(c->apf, n);
	window_changed(c);
}

/* ---- session events ---- */

static void channel_on_opened(void *ctx)
{
	struct channel *c = ctx;

	c->opened = true;
	PROBE(channel_opened, c, c->t);
	window_changed(c);
	gw_count(GW_CHANNELS_OPENED);
	channel_wake(c);
}

static void channel_on_open_failed(void *ctx, uint32_t reason)
{
	struct channel *c = ctx;

	c->apf = NULL;
	gw_count(GW_CHANNELS_FAILED);
	if (reason == APF_OPEN_TUNNEL_LOST)
		c->err = -ERR_CLOSED;
	else if (reason == APF_OPEN_TIMED_OUT)
		c->err = -ERR_TIMEOUT;
	else if (reason == APF_OPEN_VIOLATION)
		c->err = -ERR_PROTOCOL;
	else
		c->err = -ERR_REFUSED;
	log_event(LOG_DEBUG, "channel_open_failed", LOG_GUID("device", &c->t->key.guid),
	          LOG_U64("reason", reason));
	channel_wake(c);
}

/* Hands on what the sink takes, without a stop in rx; returns the rest. */
static struct span sink_some(struct channel *c, struct span octets)
{
	size_t n = c->sink(c->sink_arg, octets);

	PROBE(channel_read, c, n);
	if (n > 0)
		consumed(c, n);
	return span_of(octets.ptr + n, octets.len - n);
}

static void channel_on_data(void *ctx, struct span octets)
{
	struct channel *c = ctx;

	PROBE(channel_data, c, octets.len);
	if (c->sink != NULL && c->rx.len == 0)
		octets = sink_some(c, octets);
	if (octets.len == 0)
		return;
	if (sendq_append(&c->rx, c->pool, octets) != 0)
		c->err = -ERR_NOMEM; /* the session keeps the device within the window */
	channel_wake(c);
}

static void channel_on_credit(void *ctx)
{
	channel_wake(ctx);
}

static void channel_on_closed(void *ctx, enum apf_channel_end why)
{
	struct channel *c = ctx;

	c->apf = NULL;
	if (why == APF_CHANNEL_BY_DEVICE || why == APF_CHANNEL_FAILED_LATE)
		c->eof = true;
	else
		c->err = why == APF_CHANNEL_OVERRUN ? -ERR_PROTOCOL : -ERR_CLOSED;
	channel_wake(c);
}

static const struct apf_channel_ops channel_ops = {
	.opened = channel_on_opened,
	.open_failed = channel_on_open_failed,
	.data = channel_on_data,
	.credit = channel_on_credit,
	.closed = channel_on_closed,
};

/* ---- opening ---- */

static struct channel *channel_new(struct tunnel *t)
{
	struct pool *pool = conn_pool(t->w->loop);
	struct channel *c = pool != NULL ? calloc(1, sizeof(*c)) : NULL;

	if (c == NULL)
		return NULL;
	c->t = tunnel_ref(t);
	c->pool = pool;
	c->next = t->channels;
	c->prev = &t->channels;
	if (c->next != NULL)
		c->next->prev = &c->next;
	t->channels = c;
	gw_move(GW_CHANNELS, 1);
	return c;
}

static void channel_free(struct channel *c)
{
	struct tunnel *t = c->t;

	*c->prev = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	sendq_clear(&c->rx, c->pool);
	free(c);
	gw_move(GW_CHANNELS, -1);
	tunnel_unref(t);
}

/* Sends CHANNEL_OPEN as soon as a slot is free; the caller holds open_lock, so it is this opener's turn. */
static int channel_send_open(struct channel *c, const struct channel_opts *opts, uint32_t window)
{
	struct tunnel *t = c->t;
	char host[ADDR_TEXT_MAX] = "127.0.0.1";
	struct apf_channel_args args = {
		.ops = &channel_ops,
		.ctx = c,
		.port = opts->port,
		.originator_port = opts->origin.len > 0 ? addr_port(&opts->origin) : 0,
		.window = window,
		.window_most = MIN(opts->window_most, (uint32_t)WINDOW_MOST),
	};
	int err;

	if (opts->origin.len > 0)
		addr_format_host(&opts->origin, host);
	args.originator = span_str(host);
	for (;;) {
		if (!tunnel_alive(t))
			return -ERR_CLOSED;
		err = apf_channel_open(&t->apf, &args, loop_now_ms(t->w->loop), &c->apf);
		tunnel_rearm(t);
		if (err != -ERR_FULL)
			return err;
		err = tunnel_wait(t);
		if (err != 0)
			return err;
	}
}

/* Waits until the device answered. */
static int channel_wait_opened(struct channel *c)
{
	int err = 0;

	c->waiter = fiber_current();
	while (err == 0 && !c->opened && c->err == 0)
		err = fiber_wait();
	c->waiter = NULL;
	return c->err != 0 ? c->err : err;
}

static int channel_open_in_turn(struct channel *c, const struct channel_opts *opts, uint32_t window)
{
	struct tunnel *t = c->t;
	int err = fiber_lock_acquire(&t->open_lock);

	if (err != 0)
		return err;
	err = channel_send_open(c, opts, window);
	fiber_lock_release(&t->open_lock);
	return err == 0 ? channel_wait_opened(c) : err;
}

int channel_open(struct tunnel *t, const struct channel_opts *opts, struct channel **out)
{
	uint32_t window =
		opts->window != 0 ? MIN(opts->window, (uint32_t)WINDOW_MAX) : WINDOW_DEFAULT;
	struct channel *c;
	int err = tunnel_wait_ready(t);

	*out = NULL;
	if (err != 0)
		return err;
	if (!tunnel_has_port(t, opts->port))
		return -ERR_REFUSED;
	if (t->openers >= CHANNEL_WAITING_MAX) {
		gw_count(GW_CHANNELS_REFUSED_FULL);
		return -ERR_FULL;
	}
	c = channel_new(t);
	if (c == NULL)
		return -ERR_NOMEM;
	PROBE(channel_open, c, t, opts->port);
	t->openers++;
	gw_move(GW_OPENERS, 1);
	err = channel_open_in_turn(c, opts, window);
	gw_move(GW_OPENERS, -1);
	t->openers--;
	if (err != 0) {
		channel_close(c);
		return err;
	}
	*out = c;
	return 0;
}

void channel_close(struct channel *c)
{
	struct tunnel *t = c->t;

	PROBE(channel_close, c, t);
	if (c->apf != NULL)
		apf_channel_close(c->apf, loop_now_ms(t->w->loop));
	c->apf = NULL;
	tunnel_rearm(t);
	channel_free(c);
}

/* ---- reading and writing ---- */

bool channel_is_open(const struct channel *c)
{
	return c->opened && !c->eof && c->err == 0 && tunnel_alive(c->t);
}

size_t channel_readable(const struct channel *c)
{
	return c->rx.len;
}

void channel_set_waiter(struct channel *c, struct fiber *f)
{
	c->waiter = f;
}

void channel_set_sink(struct channel *c, channel_sink_fn *sink, void *arg)
{
	c->sink = sink;
	c->sink_arg = arg;
}

static int channel_wait(struct channel *c)
{
	int err;

	c->waiter = fiber_current();
	err = fiber_wait();
	c->waiter = NULL;
	return err;
}

struct span channel_peek(const struct channel *c)
{
	return sendq_first(&c->rx);
}

void channel_consume(struct channel *c, size_t n)
{
	ASSERT(n <= channel_readable(c));
	if (n == 0)
		return;
	PROBE(channel_read, c, n);
	sendq_consume(&c->rx, c->pool, n); /* an idle channel owns no buffer */
	consumed(c, n);
}

static size_t channel_take(struct channel *c, void *out, size_t n)
{
	struct span s = channel_peek(c);

	n = MIN(n, s.len);
	memcpy(out, s.ptr, n);
	channel_consume(c, n);
	return n;
}

ssize_t channel_read(struct channel *c, void *out, size_t n)
{
	int err;

	ASSERT(n > 0);
	for (;;) {
		if (channel_readable(c) > 0)
			return (ssize_t)channel_take(c, out, n);
		if (c->err != 0)
			return c->err;
		if (c->eof)
			return 0;
		err = channel_wait(c);
		if (err != 0)
			return err;
	}
}

ssize_t channel_write_some(struct channel *c, struct span s)
{
	size_t n;

	if (c->err != 0)
		return c->err;
	if (c->apf == NULL || c->eof)
		return -ERR_CLOSED;
	if (conn_congested(c->t->conn)) {
		if (apf_channel_far(c->apf))
			room_send_more(c->t);
		return 0; /* drained comes, and wakes all channels */
	}
	n = apf_channel_send(c->apf, s, loop_now_ms(c->t->w->loop));
	PROBE(channel_write, c, n);
	tunnel_rearm(c->t);
	return (ssize_t)n;
}

int channel_write(struct channel *c, struct span s)
{
	while (s.len > 0) {
		ssize_t n = channel_write_some(c, s);

		if (n < 0)
			return (int)n;
		s = span_of(s.ptr + n, s.len - (size_t)n);
		if (s.len > 0 && n == 0) {
			int err = channel_wait(c);

			if (err != 0)
				return err;
		}
	}
	return 0;
}
