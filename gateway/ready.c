/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ready.c: what another folder wants done on every new tunnel (amt/ reads general facts), a few at a time so that a storm stays calm. */
#include "gateway/internal.h"

#define READY_TIMEOUT_MS 60000

/*
 * Facts can wait, an operator's call cannot: while so many connections are on their way in, or the loop works for so much of its time, few are
 * read. Slow devices leave the loop idle, and then many are asked at once.
 */
#define READY_STORM_HANDSHAKES 32
#define READY_BUSY_PERCENT     50
#define READY_RUNNING_MIN      2
#define READY_PACE_MS          100

static void ready_next(struct worker *w);

/* Looked at anew when fibers end, once in the time that loop_busy_percent looks back: one more, or half as many. */
static void ready_pace(struct worker *w)
{
	uint64_t now_ms = loop_now_ms(w->loop);
	bool busy;

	if (now_ms < w->ready_pace_ms)
		return;
	w->ready_pace_ms = now_ms + READY_PACE_MS;
	busy = atomic_load(&w->g->handshakes) >= READY_STORM_HANDSHAKES ||
	       loop_busy_percent(w->loop) > READY_BUSY_PERCENT;

	w->ready_limit = busy ? MAX(w->ready_limit / 2, (unsigned)READY_RUNNING_MIN)
	                      : MIN(w->ready_limit + 1, (unsigned)READY_RUNNING_MAX);
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
	ready_pace(w);
	ready_next(w);
}

static void ready_next(struct worker *w)
{
	while (w->ready_head != NULL &&
	       w->ready_running < MAX(w->ready_limit, (unsigned)READY_RUNNING_MIN)) {
		struct tunnel *t = w->ready_head;

		w->ready_head = t->ready_next;
		if (w->ready_head == NULL)
			w->ready_tail = &w->ready_head;
		gw_move(GW_READY_WAITING, -1);
		if (!tunnel_alive(t)) {
			tunnel_unref(t);
			continue;
		}
		if (fiber_spawn("ready", ready_fiber, t, loop_now_ms(w->loop) + READY_TIMEOUT_MS) ==
		    NULL) {
			gw_count(GW_READY_SKIPPED);
			tunnel_unref(t); /* facts are read on demand, then */
		} else {
			gw_move(GW_READY_RUNNING, 1);
			w->ready_running++;
		}
	}
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
