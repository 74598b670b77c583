/* SPDX-License-Identifier: GPL-3.0-or-later */
/* loads.c: which tunnels hold most memory. Each worker looks at its own, in steps, so that its loop goes on in between. */
#include "gateway/internal.h"
#include "core/err.h"

#include <string.h>

#define TUNNELS_PER_STEP 1024

struct loads {
	struct worker *w;
	struct tunnel_load *out; /* largest first */
	size_t len, max;
};

struct loop *gateway_worker_loop(const struct gateway *g, size_t i)
{
	return i < g->workers_len ? g->workers[i].loop : NULL;
}

static struct tunnel_load load_of(const struct tunnel *t)
{
	struct tunnel_load l = {
		.tunnel_id = t->handle, .worker = t->w->index, .openers = t->openers};

	if (t->attached)
		l.key = t->key;
	if (t->conn != NULL) {
		l.send = conn_queued(t->conn);
		l.receive = conn_held(t->conn);
	}
	l.session = t->apf_made ? t->apf.in.len : 0;
	for (const struct channel *c = t->channels; c != NULL; c = c->next, l.channels++)
		l.channel += c->rx.len;
	l.total = l.send + l.receive + l.session + l.channel;
	return l;
}

/* Channels decide between tunnels that hold the same. */
static bool larger(const struct tunnel_load *a, const struct tunnel_load *b)
{
	return a->total != b->total ? a->total > b->total : a->channels > b->channels;
}

static void insert(struct loads *ls, const struct tunnel_load *l)
{
	size_t at = ls->len;

	if (at == ls->max && !larger(l, &ls->out[at - 1]))
		return;
	while (at > 0 && larger(l, &ls->out[at - 1]))
		at--;
	if (ls->len < ls->max)
		ls->len++;
	memmove(&ls->out[at + 1], &ls->out[at], (ls->len - 1 - at) * sizeof(*l));
	ls->out[at] = *l;
}

static int collect(void *arg)
{
	struct loads *ls = arg;
	const struct tunnel *t;
	uint32_t pos = 0;
	uint64_t handle;
	unsigned n = 0;

	while ((t = slot_next(&ls->w->tunnels, &pos, &handle)) != NULL) {
		const struct tunnel_load l = load_of(t);

		insert(ls, &l);
		if (++n % TUNNELS_PER_STEP == 0)
			fiber_yield();
		if (fiber_cancelled())
			return -ERR_CANCELLED;
	}
	return 0;
}

ssize_t gateway_tunnel_loads(struct gateway *g, struct tunnel_load *out, size_t max)
{
	struct loads ls = {.out = out, .max = max};

	ASSERT(max > 0 && max <= TUNNEL_LOADS_MAX);
	/* One worker after the other: the list is touched by one at a time. */
	for (size_t i = 0; i < g->workers_len; i++) {
		int err;

		ls.w = &g->workers[i];
		err = fiber_call_on(ls.w->loop, "loads", collect, &ls);
		if (err != 0)
			return err;
	}
	return (ssize_t)ls.len;
}
