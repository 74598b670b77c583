/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dstream.c: see dstream.h. Octets, wakes and "who has left" are the relay's; here is the operation and its outcome. */
#include "mgmtapi/dstream.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/priority.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct dstream {
	struct relay *relay;
	struct dstream_opts opts;
	struct device_op op;  /* the worker's until the device's side has left */
	struct fiber *runner; /* call's loop */
	atomic_uint refs;
	atomic_bool opened;
};

static void dstream_unref(struct dstream *d)
{
	if (atomic_fetch_sub(&d->refs, 1) != 1)
		return;
	if (d->opts.free_user != NULL)
		d->opts.free_user(d->opts.user);
	free(d);
}

void *dstream_user(const struct dstream *d)
{
	return d->opts.user;
}

/* ---- octets ---- */

static enum relay_side writer(enum dstream_way way)
{
	return way == DSTREAM_TO_CLIENT ? RELAY_DEVICE : RELAY_CLIENT;
}

static enum relay_side reader(enum dstream_way way)
{
	return way == DSTREAM_TO_CLIENT ? RELAY_CLIENT : RELAY_DEVICE;
}

size_t dstream_put(struct dstream *d, enum dstream_way way, struct span s)
{
	priority_urgent(clock_mono_ms());
	return relay_put(d->relay, writer(way), s);
}

size_t dstream_take(struct dstream *d, enum dstream_way way, void *out, size_t n)
{
	size_t taken = 0;

	/* Twice at most: up to the ring's end and from its start. */
	while (taken < n) {
		struct span s = relay_peek(d->relay, reader(way));
		size_t part = MIN(s.len, n - taken);

		if (part == 0)
			break;
		memcpy((uint8_t *)out + taken, s.ptr, part);
		relay_consume(d->relay, reader(way), part);
		taken += part;
	}
	return taken;
}

struct span dstream_peek(struct dstream *d, enum dstream_way way)
{
	return relay_peek(d->relay, reader(way));
}

void dstream_consume(struct dstream *d, enum dstream_way way, size_t n)
{
	relay_consume(d->relay, reader(way), n);
}

size_t dstream_held(struct dstream *d, enum dstream_way way)
{
	return relay_peek(d->relay, reader(way)).len;
}

/* ---- the device's side ---- */

void dstream_device_here(struct dstream *d)
{
	relay_attach(d->relay, RELAY_DEVICE);
}

void dstream_device_gone(struct dstream *d)
{
	relay_detach(d->relay, RELAY_DEVICE);
}

void dstream_opened(struct dstream *d)
{
	atomic_store(&d->opened, true);
	relay_wake(d->relay, RELAY_CLIENT);
}

bool dstream_client_ended(struct dstream *d)
{
	return relay_ended(d->relay, RELAY_DEVICE);
}

bool dstream_client_left(struct dstream *d)
{
	return relay_left(d->relay, RELAY_DEVICE, NULL);
}

int dstream_put_all(struct dstream *d, enum dstream_way way, struct span s)
{
	int err = 0;

	while (s.len > 0 && err == 0) {
		size_t n = dstream_put(d, way, s);

		s = span_of(s.ptr + n, s.len - n);
		if (dstream_client_left(d))
			return -ERR_CANCELLED;
		if (s.len > 0 && n == 0)
			err = fiber_wait();
	}
	return err;
}

/* ---- the call's side ---- */

void dstream_client_end(struct dstream *d)
{
	relay_finish(d->relay, RELAY_CLIENT);
}

bool dstream_is_open(struct dstream *d)
{
	return atomic_load(&d->opened);
}

bool dstream_ended(struct dstream *d, const struct device_op **op, int *err)
{
	*op = &d->op;
	return relay_left(d->relay, RELAY_CLIENT, err);
}

static void runner_fiber(void *arg)
{
	struct dstream *d = arg;
	int err = device_op_run(d->opts.gateway, &d->opts.key, &d->op);

	d->runner = NULL;
	relay_leave(d->relay, RELAY_DEVICE, err);
	dstream_unref(d);
}

/* No fiber was started: both sides of the relay are still ours. */
static void give_up(struct dstream *d)
{
	if (d->relay != NULL) {
		relay_leave(d->relay, RELAY_DEVICE, -ERR_CANCELLED);
		relay_leave(d->relay, RELAY_CLIENT, -ERR_CANCELLED);
	}
	free(d);
}

struct dstream *dstream_start(const struct dstream_opts *opts)
{
	struct dstream *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->opts = *opts;
	d->op = (struct device_op){.fn = opts->fn, .arg = d, .limit_ms = opts->limit_ms};
	atomic_store(&d->refs, 2);
	d->relay = relay_new();
	if (d->relay != NULL)
		d->runner = fiber_spawn("stream", runner_fiber, d, fiber_deadline_ms());
	if (d->runner == NULL) {
		give_up(d);
		return NULL;
	}
	relay_attach(d->relay, RELAY_CLIENT);
	return d;
}

void dstream_leave(struct dstream *d)
{
	relay_detach(d->relay, RELAY_CLIENT);
	if (d->runner != NULL)
		fiber_cancel(d->runner);
	/* The relay lives on until the other side has left, too. */
	relay_leave(d->relay, RELAY_CLIENT, 0);
	dstream_unref(d);
}
