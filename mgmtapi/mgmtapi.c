/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * mgmtapi.c: the server: listeners on the first loop, connections given to the loop with the fewest, drain and stop by tasks. Atomics
 * and tasks only between threads.
 */
#include "mgmtapi/mgmtapi.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "core/metric.h"
#include "mgmtapi/descriptors.h"
#include "mgmtapi/front.h"
#include "mgmtapi/health.h"
#include "mgmtapi/reflect.h"

struct handoff {
	struct task task;
	struct front_worker *worker;
	struct addr peer;
	int fd;
};

/* ---- figures ---- */

struct figures {
	uint64_t connections, connections_limit, calls, calls_limit, buffered, buffered_limit;
	uint64_t streams, streams_limit;
};

#define AT(m) .offset = offsetof(struct figures, m)

static const struct metric_field fields[] = {
	{"causeway_api_connections", "Connections to the management API.", NULL, false,
         AT(connections)},
	{"causeway_api_connections_limit",
         "Connections that the management API takes (api.max_connections).", NULL, false,
         AT(connections_limit)},
	{"causeway_api_calls", "Calls of the management API under way.", NULL, false, AT(calls)},
	{"causeway_api_calls_limit", "Calls that may be under way; more are refused.", NULL, false,
         AT(calls_limit)},
	{"causeway_api_requests_bytes", "Memory of requests that are not complete.", NULL, false,
         AT(buffered)},
	{"causeway_api_requests_limit_bytes", "Memory that such requests may have.", NULL, false,
         AT(buffered_limit)},
	{"causeway_api_streams", "HTTP/2 streams that are open on all connections.", NULL, false,
         AT(streams)},
	{"causeway_api_streams_connection_limit",
         "HTTP/2 streams that one connection may have open at once.", NULL, false,
         AT(streams_limit)},
};

static void read_figures(void *arg, void *stats)
{
	const struct mgmtapi *m = arg;
	struct figures *f = stats;

	f->connections = atomic_load(&m->connections);
	f->connections_limit = m->connections_max;
	f->calls = atomic_load(&m->env.calls);
	f->calls_limit = m->env.calls_max;
	f->buffered = atomic_load(&m->env.buffered);
	f->buffered_limit = m->env.buffered_max;
	f->streams = atomic_load(&m->env.streams);
	f->streams_limit = H2_STREAMS_MAX;
}

static void add_metrics(struct mgmtapi *m)
{
	static const char *const reasons[FRONT_FAILED_LEN] = {
		[FRONT_FAILED_LIMIT] = "reason=limit",
		[FRONT_FAILED_TLS] = "reason=tls",
		[FRONT_FAILED_PROTOCOL] = "reason=protocol",
		[FRONT_FAILED_TIMEOUT] = "reason=timeout",
		[FRONT_FAILED_MEMORY] = "reason=memory",
	};

	for (size_t i = 0; i < FRONT_FAILED_LEN; i++)
		m->failed[i] = metric_counter("causeway_api_connections_failed_total",
		                              "Connections to the management API that were refused "
		                              "or broken off.",
		                              reasons[i]);
	m->metrics = (struct metric_group){
		.fields = fields, .fields_len = ARRAY_LEN(fields), .read = read_figures, .arg = m};
	metric_group_add(&m->metrics);
}

static bool add_services(struct mgmtapi *m, const struct mgmtapi_opts *opts)
{
	static const struct service *const own[] = {&health_service, &reflection_v1_service,
	                                            &reflection_v1alpha_service};

	m->services = calloc(opts->services_len + ARRAY_LEN(own), sizeof(struct service *));
	if (m->services == NULL)
		return false;
	for (size_t i = 0; i < opts->services_len; i++)
		m->services[m->services_len++] = opts->services[i];
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		m->services[m->services_len++] = own[i];
	health_set_services(m->services, m->services_len);
	reflect_set_services(m->services, m->services_len);
	return true;
}

static void tick(struct timer *t)
{
	struct front_worker *w = container_of(t, struct front_worker, timer);
	uint64_t now_ms = loop_now_ms(w->loop);

	front_tick(w, now_ms);
	if (!w->stopped)
		timer_set(w->loop, &w->timer, now_ms + FRONT_TICK_MS);
}

static void start_worker(struct task *t)
{
	struct front_worker *w = container_of(t, struct front_worker, start);

	timer_set(w->loop, &w->timer, loop_now_ms(w->loop) + FRONT_TICK_MS);
	if (w == w->api->workers)
		for (size_t i = 0; i < w->api->listeners_len; i++)
			if (!listener_start(w->api->listeners[i]))
				log_event(LOG_ERROR, "api_listener_failed",
				          LOG_ADDR("address", listener_addr(w->api->listeners[i])),
				          LOG_ERR("err", -ERR_NOMEM));
}

static void close_listeners(struct front_worker *w)
{
	if (w != w->api->workers)
		return;
	for (size_t i = 0; i < w->api->listeners_len; i++)
		listener_close(w->api->listeners[i]);
	w->api->listeners_len = 0;
}

static void drain_worker(struct task *t)
{
	struct front_worker *w = container_of(t, struct front_worker, drain);

	w->draining = true;
	close_listeners(w);
	front_drain_all(w);
}

static void stop_worker(struct task *t)
{
	struct front_worker *w = container_of(t, struct front_worker, stop);

	w->stopped = true;
	timer_cancel(w->loop, &w->timer);
	close_listeners(w);
	front_close_all(w);
}

static int add_workers(struct mgmtapi *m, const struct mgmtapi_opts *opts)
{
	m->workers = calloc(opts->loops_len, sizeof(*m->workers));
	if (m->workers == NULL)
		return -ERR_NOMEM;
	m->workers_len = opts->loops_len;
	for (size_t i = 0; i < m->workers_len; i++) {
		struct front_worker *w = &m->workers[i];

		buf_init(&w->out, 2 * H2_OUTPUT_MAX + RPC_HEAD_MAX);
		w->api = m;
		w->loop = opts->loops[i];
		w->timer.fire = tick;
		w->start.run = start_worker;
		w->drain.run = drain_worker;
		w->stop.run = stop_worker;
		list_init(&w->conns);
	}
	return 0;
}

struct mgmtapi *mgmtapi_new(const struct mgmtapi_opts *opts, struct buf *why)
{
	struct mgmtapi *m = calloc(1, sizeof(*m));
	struct dispatch *d;

	if (m == NULL || !add_services(m, opts) || add_workers(m, opts) != 0) {
		buf_put_str(why, "out of memory");
		mgmtapi_free(m);
		return NULL;
	}
	pthread_mutex_init(&m->tls_lock, NULL);
	d = dispatch_new(m->services, m->services_len,
	                 span_of(api_descriptors, api_descriptors_len), why);
	rpc_env_init(&m->env, d, &opts->authn, &call_exec_fibers);
	if (d == NULL) {
		mgmtapi_free(m);
		return NULL;
	}
	m->env.user = opts->user;
	if (opts->message_max != 0)
		m->env.message_max = opts->message_max;
	m->connections_max =
		opts->connections_max != 0 ? opts->connections_max : MGMTAPI_CONNECTIONS_MAX;
	if (opts->tls != NULL)
		m->tls = tls_ctx_ref(opts->tls);
	add_metrics(m);
	return m;
}

static void accepted(void *user, int fd, const struct addr *peer)
{
	mgmtapi_accept(user, fd, peer);
}

int mgmtapi_listen(struct mgmtapi *m, const struct addr *addr, struct buf *why)
{
	const struct listener_opts opts = {.addr = *addr, .accepted = accepted, .user = m};
	char text[ADDR_TEXT_MAX];
	int err = -ERR_FULL;

	if (m->listeners_len < MGMTAPI_LISTENERS_MAX)
		m->listeners[m->listeners_len] = listener_open(m->workers[0].loop, &opts, &err);
	if (m->listeners_len < MGMTAPI_LISTENERS_MAX && m->listeners[m->listeners_len] != NULL) {
		m->listeners_len++;
		return 0;
	}
	addr_format(addr, text);
	buf_printf(why, "cannot listen on %s: %s", text,
	           err == -ERR_EXISTS
	                   ? "another program uses this port; stop it or choose another port"
	           : err == -ERR_DENIED
	                   ? "no permission; ports below 1024 need CAP_NET_BIND_SERVICE"
	                   : err_text(err));
	return err;
}

size_t mgmtapi_addrs(const struct mgmtapi *m, struct addr *out, size_t max)
{
	size_t n = 0;

	for (; n < max && n < m->listeners_len; n++)
		out[n] = *listener_addr(m->listeners[n]);
	return n;
}

void mgmtapi_start(struct mgmtapi *m)
{
	if (atomic_exchange(&m->started, true))
		return;
	health_set_serving(true);
	for (size_t i = 0; i < m->workers_len; i++)
		loop_post(m->workers[i].loop, &m->workers[i].start);
}

static void take_over(struct task *t)
{
	struct handoff *h = container_of(t, struct handoff, task);
	int fd = loop_fd_take(h->worker->loop, h->fd);

	if (fd < 0 || h->worker->stopped || h->worker->draining) {
		if (fd >= 0)
			(void)close(fd);
		else
			metric_inc(h->worker->api->failed[FRONT_FAILED_LIMIT]);
		atomic_fetch_sub(&h->worker->conns_len, 1);
		atomic_fetch_sub(&h->worker->api->connections, 1);
	} else {
		front_open(h->worker, fd, &h->peer);
	}
	free(h);
}

void mgmtapi_accept(struct mgmtapi *m, int fd, const struct addr *peer)
{
	struct front_worker *w = &m->workers[0];
	struct handoff *h = calloc(1, sizeof(*h));

	for (size_t i = 1; i < m->workers_len; i++)
		if (atomic_load(&m->workers[i].conns_len) < atomic_load(&w->conns_len))
			w = &m->workers[i];
	if (h != NULL && atomic_load(&m->connections) < m->connections_max)
		fd = loop_fd_send(w->loop, fd);
	else {
		(void)close(fd);
		fd = -ERR_FULL;
	}
	if (fd < 0) {
		metric_inc(m->failed[FRONT_FAILED_LIMIT]);
		free(h);
		return;
	}
	atomic_fetch_add(&m->connections, 1);
	atomic_fetch_add(&w->conns_len, 1);
	*h = (struct handoff){.task = {.run = take_over}, .worker = w, .peer = *peer, .fd = fd};
	loop_post(w->loop, &h->task);
}

void mgmtapi_set_tls(struct mgmtapi *m, struct tls_ctx *tls)
{
	struct tls_ctx *old;

	pthread_mutex_lock(&m->tls_lock);
	old = m->tls;
	m->tls = tls_ctx_ref(tls);
	pthread_mutex_unlock(&m->tls_lock);
	if (old != NULL)
		tls_ctx_unref(old);
}

void mgmtapi_drain(struct mgmtapi *m)
{
	if (atomic_exchange(&m->drain_asked, true))
		return;
	health_set_serving(false);
	atomic_store(&m->env.draining, true);
	for (size_t i = 0; i < m->workers_len; i++)
		loop_post(m->workers[i].loop, &m->workers[i].drain);
}

void mgmtapi_stop(struct mgmtapi *m)
{
	if (atomic_exchange(&m->stop_asked, true))
		return;
	for (size_t i = 0; i < m->workers_len; i++)
		loop_post(m->workers[i].loop, &m->workers[i].stop);
}

unsigned mgmtapi_connections(const struct mgmtapi *m)
{
	return atomic_load(&m->connections);
}

unsigned mgmtapi_calls(const struct mgmtapi *m)
{
	return atomic_load(&m->env.calls);
}

void mgmtapi_free(struct mgmtapi *m)
{
	if (m == NULL)
		return;
	metric_group_remove(&m->metrics);
	/* Opened, but never started and so never stopped. */
	for (size_t i = 0; i < m->listeners_len && !atomic_load(&m->started); i++)
		listener_close(m->listeners[i]);
	if (m->tls != NULL)
		tls_ctx_unref(m->tls);
	dispatch_free(m->env.dispatch);
	for (size_t i = 0; i < m->workers_len; i++)
		buf_free_secret(&m->workers[i].out);
	free(m->workers);
	free(m->services);
	free(m);
}
