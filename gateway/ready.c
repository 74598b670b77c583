/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ready.c: what another folder wants done on every new tunnel (amt/ reads general facts), a few at a time so that a storm stays calm. */
#include "gateway/internal.h"

#define READY_TIMEOUT_MS 60000

/*
 * Facts can wait, an operator's call cannot, nor a device that dials in. While a storm lasts one tunnel in READY_PACE_MS is served, and while the
 * loop works for most of its time few are at once. Slow devices leave the loop idle, and then many are asked together.
 */
#define READY_STORM_HANDSHAKES 32
#define READY_BUSY_PERCENT     50
#define READY_RUNNING_MIN      2
#define READY_PACE_MS          100

static void ready_next(struct worker *w);

static bool storm(const struct worker *w)
{
	return atomic_load(&w->g->handshakes) >= READY_STORM_HANDSHAKES;
}

static void ready_fiber(void *arg)
{
	struct tunnel *t = arg;
	struct worker *w = t->w;

	if (tunnel_alive(t))
		(void)w->g->on_ready(t, w->g->on_ready_arg);
	tunnel_unref(t);
	w->ready_running--;
	gw_move(GW_READY_RUNNING, -1);
	ready_next(w);
}

/* Starts the first in line that is still there. */
static void ready_start(struct worker *w)
{
	bool started = false;

	while (w->ready_head != NULL && !started) {
		struct tunnel *t = w->ready_head;

		w->ready_head = t->ready_next;
		if (w->ready_head == NULL)
			w->ready_tail = &w->ready_head;
		gw_move(GW_READY_WAITING, -1);
		if (tunnel_alive(t)) {
			started = fiber_spawn("ready", ready_fiber, t,
			                      loop_now_ms(w->loop) + READY_TIMEOUT_MS) != NULL;
			if (!started)
				gw_count(GW_READY_SKIPPED); /* facts are read on demand, then */
		}
		if (!started)
			tunnel_unref(t);
	}
	if (started) {
		gw_move(GW_READY_RUNNING, 1);
		w->ready_running++;
	}
}

static void ready_next(struct worker *w)
{
	unsigned most = storm(w) ? 0 : MAX(w->ready_limit, (unsigned)READY_RUNNING_MIN);

	while (w->ready_head != NULL && w->ready_running < most)
		ready_start(w);
	if (w->ready_head != NULL && !timer_armed(&w->ready_pace))
		timer_set(w->loop, &w->ready_pace, loop_now_ms(w->loop) + READY_PACE_MS);
}

/* In the time that loop_busy_percent looks back: one more than before, or half as many. */
void ready_pace(struct timer *timer)
{
	struct worker *w = container_of(timer, struct worker, ready_pace);

	if (storm(w)) {
		w->ready_limit = 0;
		if (w->ready_running == 0)
			ready_start(w);
	} else if (loop_busy_percent(w->loop) > READY_BUSY_PERCENT) {
		w->ready_limit /= 2;
	} else {
		w->ready_limit = MIN(w->ready_limit + 1, (unsigned)READY_RUNNING_MAX);
	}
	ready_next(w);
}

void ready_enqueue(struct tunnel *t)
{
	struct worker *w = t->w;
	enum device_state state;
	struct live_ref ref;

	if (w->g->on_ready == NULL)
		return;
	if (registry_live(w->g->registry, &t->key, &ref, &state) != 0 || state != DEVICE_APPROVED)
		return;
	t->ready_next = NULL;
	*w->ready_tail = tunnel_ref(t);
	w->ready_tail = &t->ready_next;
	gw_move(GW_READY_WAITING, 1);
	ready_next(w);
}

void gateway_on_ready(struct gateway *g, tunnel_fn *fn, void *arg)
{
	g->on_ready_arg = arg;
	g->on_ready = fn;
}
