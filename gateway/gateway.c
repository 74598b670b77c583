/* SPDX-License-Identifier: GPL-3.0-or-later */
/* gateway.c: the gateway as a whole: start, reload, drain, end, and the way into a device's tunnel for other folders. */
#include "gateway/internal.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/log.h"
#include "core/priority.h"

#include <stdlib.h>

/* APF code of a server that goes away (apf.md 5.15). */
#define DISCONNECT_BY_APPLICATION 11

/* ---- start and end ---- */

static void worker_drain(struct task *t)
{
	struct worker *w = container_of(t, struct worker, drain);
	struct tunnel *tun;
	uint32_t pos = 0;
	uint64_t handle;

	while ((tun = slot_next(&w->tunnels, &pos, &handle)) != NULL)
		if (tun->conn != NULL)
			tunnel_close(tun, DISCONNECT_BY_APPLICATION,
			             "the gateway is being stopped");
}

static void worker_init(struct gateway *g, unsigned index, struct loop *loop, uint32_t max_tunnels)
{
	struct worker *w = &g->workers[index];

	w->g = g;
	w->loop = loop;
	w->index = index;
	w->ready_tail = &w->ready_head;
	w->ready_pace.fire = ready_pace;
	w->drain.run = worker_drain;
	slot_table_init(&w->tunnels, sizeof(struct tunnel), MIN(max_tunnels, SLOT_MAX_ITEMS),
	                (uint8_t)index);
}

struct gateway *gateway_new(const struct gateway_opts *opts, struct buf *why)
{
	struct gateway *g = calloc(1, sizeof(*g) + opts->loops_len * sizeof(g->workers[0]));

	ASSERT(opts->loops_len > 0 && opts->loops_len <= WORKERS_MAX);
	if (g == NULL)
		return NULL;
	g->store = opts->store;
	g->settings = opts->settings;
	g->data_dir = opts->data_dir;
	g->tickets = opts->tickets;
	g->run_id = random_u64();
	g->workers_len = opts->loops_len;
	pthread_mutex_init(&g->config_lock, NULL);
	bucket_table_init(&g->backoff_source, BACKOFF_KEYS_MAX);
	bucket_table_init(&g->backoff_pair, BACKOFF_KEYS_MAX);
	bucket_table_init(&g->source_fails, BACKOFF_KEYS_MAX);
	arrivals_init(&g->arrivals, ARRIVALS_SOURCES_MAX);
	for (unsigned i = 0; i < opts->loops_len; i++)
		worker_init(g, i, opts->loops[i], (uint32_t)opts->settings->cira.max_tunnels);
	g->events = events_new(opts->loops, opts->loops_len);
	g->attempts = attempts_new();
	if (g->events != NULL && g->attempts != NULL)
		g->registry = registry_new(opts->store, g->events, why);
	if (g->registry != NULL)
		g->config = config_make(g, opts->settings, why);
	if (g->config == NULL) {
		gateway_free(g);
		return NULL;
	}
	registry_on_removed(g->registry, gateway_close_removed, g);
	return g;
}

void gateway_free(struct gateway *g)
{
	if (g == NULL)
		return;
	metric_group_remove(&g->metrics);
	for (size_t i = 0; i < g->workers_len; i++)
		slot_table_free(&g->workers[i].tunnels);
	if (g->accept_config != NULL)
		config_put(g->accept_config);
	if (g->config != NULL)
		config_put(g->config);
	registry_free(g->registry);
	events_free(g->events);
	attempts_free(g->attempts);
	bucket_table_free(&g->backoff_source);
	bucket_table_free(&g->backoff_pair);
	bucket_table_free(&g->source_fails);
	arrivals_fini(&g->arrivals);
	pthread_mutex_destroy(&g->config_lock);
	free(g);
}

int gateway_listen(struct gateway *g, struct buf *why)
{
	return acceptor_open(g, why);
}

void gateway_start(struct gateway *g)
{
	acceptor_start(g);
}

size_t gateway_cira_addrs(const struct gateway *g, struct addr *out, size_t max)
{
	size_t n = 0;

	while (n < max && n < g->listeners_len) {
		out[n] = g->listeners[n].addr;
		n++;
	}
	return n;
}

int gateway_reload(struct gateway *g, const struct settings *settings, struct buf *why)
{
	struct gateway_config *c = config_make(g, settings, why), *old;

	if (c == NULL)
		return -ERR_INVALID;
	pthread_mutex_lock(&g->config_lock);
	old = g->config;
	g->config = c;
	pthread_mutex_unlock(&g->config_lock);
	config_put(old);
	acceptor_refresh(g);
	return 0;
}

void gateway_drain(struct gateway *g)
{
	if (atomic_exchange(&g->draining, true))
		return;
	acceptor_stop(g);
	for (size_t i = 0; i < g->workers_len; i++)
		loop_post(g->workers[i].loop, &g->workers[i].drain);
}

size_t gateway_tunnels(const struct gateway *g)
{
	return atomic_load(&g->tunnels);
}

/* ---- closing a tunnel from anywhere ---- */

struct close_order {
	struct task task;
	struct worker *w;
	uint64_t handle;
	const char *why; /* static */
};

static void close_run(struct task *task)
{
	struct close_order *o = container_of(task, struct close_order, task);
	struct tunnel *t = tunnel_by_handle(o->w, o->handle);

	if (t != NULL)
		tunnel_close(t, DISCONNECT_BY_APPLICATION, o->why);
	free(o);
}

void gateway_close_ref(struct gateway *g, struct live_ref ref, const char *why)
{
	struct close_order *o = malloc(sizeof(*o));

	if (o == NULL)
		return; /* the tunnel's own idle limit ends it */
	*o = (struct close_order){.task = {.run = close_run},
	                          .w = &g->workers[ref.worker],
	                          .handle = ref.handle,
	                          .why = why};
	if (!loop_post(o->w->loop, &o->task))
		free(o);
}

void gateway_close_removed(void *g, struct live_ref ref)
{
	gateway_close_ref(g, ref, "the device was deleted");
}

int gateway_disconnect(struct gateway *g, const struct device_key *key)
{
	struct live_ref ref;
	int err = registry_live(g->registry, key, &ref, NULL);

	if (err == 0)
		gateway_close_ref(g, ref, "disconnected by an operator");
	return err;
}

/* ---- operations on a tunnel's worker ---- */

struct run {
	struct worker *w;
	uint64_t handle;
	tunnel_fn *fn;
	void *arg;
};

static int run_there(void *arg)
{
	const struct run *r = arg;
	struct tunnel *t = tunnel_by_handle(r->w, r->handle);
	int err;

	if (t == NULL)
		return -ERR_OFFLINE;
	(void)tunnel_ref(t);
	err = r->fn(t, r->arg);
	tunnel_unref(t);
	return err;
}

int gateway_run(struct gateway *g, const struct device_key *key, tunnel_fn *fn, void *arg)
{
	enum device_state state = DEVICE_APPROVED;
	struct live_ref ref;
	struct run r;
	int err = registry_live(g->registry, key, &ref, &state);

	if (err != -ERR_NOT_FOUND && state == DEVICE_HELD)
		return -ERR_PRECONDITION;
	if (err != 0)
		return err;
	priority_urgent(clock_mono_ms());
	r = (struct run){.w = &g->workers[ref.worker], .handle = ref.handle, .fn = fn, .arg = arg};
	return fiber_call_on(r.w->loop, "device", run_there, &r);
}

/* ---- what gateway.h offers of its parts ---- */

int gateway_device_view(struct gateway *g, const struct device_key *key, device_view_fn *fn,
                        void *arg)
{
	return registry_view(g->registry, key, fn, arg);
}

void gateway_device_each(struct gateway *g, const struct device_key *after, device_each_fn *fn,
                         void *arg)
{
	registry_each(g->registry, after, fn, arg);
}

size_t gateway_device_count(struct gateway *g)
{
	return registry_count(g->registry);
}

int gateway_device_find(struct gateway *g, const char *text, group_visible_fn *visible, void *arg,
                        struct device_key *out)
{
	return registry_find(g->registry, text, visible, arg, out);
}

void gateway_set_power(struct gateway *g, const struct device_key *key, enum power_state state)
{
	registry_set_power(g->registry, key, state);
}

void gateway_set_facts(struct gateway *g, const struct device_key *key,
                       const struct device_facts *facts)
{
	registry_set_facts(g->registry, key, facts);
}

void gateway_set_amt_problem(struct gateway *g, const struct device_key *key, const char *text)
{
	registry_set_amt_problem(g->registry, key, text);
}

unsigned gateway_amt_refused(struct gateway *g, const struct device_key *key)
{
	return registry_amt_refusals(g->registry, key, 1);
}

unsigned gateway_amt_refusals(struct gateway *g, const struct device_key *key)
{
	return registry_amt_refusals(g->registry, key, 0);
}

uint64_t gateway_events_last(struct gateway *g)
{
	return events_last(g->events);
}

uint64_t gateway_run_id(const struct gateway *g)
{
	return g->run_id;
}

ssize_t gateway_events_read(struct gateway *g, uint64_t after_seq, struct device_event *out,
                            size_t max)
{
	return events_read(g->events, after_seq, out, max);
}

int gateway_events_wait(struct gateway *g, uint64_t after_seq, uint64_t at_ms)
{
	return events_wait(g->events, after_seq, at_ms);
}

size_t gateway_attempts(struct gateway *g, const struct guid *guid, const struct addr *source,
                        struct attempt *out, size_t max)
{
	return attempts_get(g->attempts, guid, source, out, max);
}

bool gateway_token_lookup(struct gateway *g, const uint8_t sha256[32], struct store_token *out)
{
	return registry_token(g->registry, sha256, out);
}

int gateway_group_get(struct gateway *g, const char *name, struct store_group *out)
{
	return registry_group(g->registry, name, out);
}
