/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * http_front.c: one connection of the API: which HTTP it speaks (ALPN, else the first octets), and the pump between core/conn and h1 or
 * h2. Output is gathered and written once an iteration. Loop thread only.
 */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "mgmtapi/front.h"

#define DETECT_MAX (sizeof(H2_PREFACE) - 1)

struct front_conn {
	struct list link;
	struct front_worker *worker;
	struct conn *conn; /* NULL once closed */
	struct h1 *h1;
	struct h2 *h2;
	struct buf first; /* octets before the protocol is known */
	struct task pump;
	uint64_t born_ms;
	bool pumping; /* the task is queued */
	bool closing;
};

static void kick(void *arg)
{
	struct front_conn *f = arg;

	if (f->pumping)
		return;
	f->pumping = true;
	loop_defer(f->worker->loop, &f->pump);
}

static void close_conn(struct front_conn *f, uint32_t flush_ms)
{
	if (f->closing || f->conn == NULL)
		return;
	f->closing = true;
	conn_close(f->conn, flush_ms);
}

/* Some output; false: nothing more now. */
static bool pump_once(struct front_conn *f)
{
	struct buf *out = &f->worker->out;
	uint64_t now_ms = loop_now_ms(f->worker->loop);
	bool more;
	int err;

	buf_clear(out);
	if (f->h2 != NULL)
		err = h2_output(f->h2, out, now_ms);
	else
		err = h1_output(f->h1, out, now_ms);
	if (out->len > 0 && conn_write(f->conn, buf_span(out)) != 0)
		err = -ERR_CLOSED;
	more = out->len > 0 && err == 0;
	if (err != 0)
		close_conn(f, FRONT_FLUSH_MS);
	return more;
}

static void pump(struct task *t)
{
	struct front_conn *f = container_of(t, struct front_conn, pump);

	f->pumping = false;
	if (f->conn == NULL) {
		free(f);
		return;
	}
	if (f->h1 == NULL && f->h2 == NULL)
		return;
	while (!f->closing && !conn_congested(f->conn) && pump_once(f))
		;
	if (f->h2 != NULL ? h2_done(f->h2) : h1_done(f->h1))
		close_conn(f, FRONT_FLUSH_MS);
}

static struct rpc_peer peer_of(const struct front_conn *f)
{
	struct rpc_peer peer = {.cert_cn = "", .trailers = true};
	struct tls *tls = conn_tls(f->conn);
	struct tls_info info;

	conn_peer(f->conn, &peer.addr);
	if (tls == NULL)
		return peer;
	tls_info(tls, &info);
	if (info.peer_cert)
		peer.cert_cn = tls_peer_cn(tls);
	return peer;
}

static void use_h2(struct front_conn *f)
{
	const struct h2_opts opts = {.env = &f->worker->api->env,
	                             .peer = peer_of(f),
	                             .pool = conn_pool(f->worker->loop),
	                             .far = conn_rtt_ms(f->conn) >= FRONT_FAR_MS,
	                             .kick = kick,
	                             .arg = f};

	f->h2 = h2_new(&opts, loop_now_ms(f->worker->loop));
	if (f->h2 == NULL)
		close_conn(f, 0);
	else
		kick(f);
}

static void use_h1(struct front_conn *f)
{
	const struct h1_opts opts = {
		.env = &f->worker->api->env, .peer = peer_of(f), .kick = kick, .arg = f};

	f->h1 = h1_new(&opts, loop_now_ms(f->worker->loop));
	if (f->h1 == NULL)
		close_conn(f, 0);
}

static void input(struct front_conn *f, struct span s)
{
	uint64_t now_ms = loop_now_ms(f->worker->loop);
	int err = f->h2 != NULL ? h2_input(f->h2, s, now_ms) : h1_input(f->h1, s, now_ms);

	if (err == 0 || f->closing)
		return;
	metric_inc(f->worker->api->failed[FRONT_FAILED_PROTOCOL]);
	/* Say why (GOAWAY, 400), then close. */
	(void)pump_once(f);
	close_conn(f, FRONT_FLUSH_MS);
}

/* h2 by prior knowledge begins with its preface; anything else is HTTP/1.1. */
static void detect(struct front_conn *f, struct span s)
{
	size_t n;

	buf_put_span(&f->first, s);
	n = MIN(f->first.len, DETECT_MAX);
	if (f->first.err != 0) {
		close_conn(f, 0);
		return;
	}
	if (memcmp(f->first.data, H2_PREFACE, n) != 0)
		use_h1(f);
	else if (n == DETECT_MAX)
		use_h2(f);
	if (f->h1 == NULL && f->h2 == NULL)
		return;
	input(f, buf_span(&f->first));
	buf_free_secret(&f->first);
}

static void on_ready(struct conn *c)
{
	struct front_conn *f = conn_user(c);
	struct tls *tls = conn_tls(c);
	struct tls_info info;

	if (tls == NULL)
		return;
	tls_info(tls, &info);
	if (strcmp(info.alpn, "h2") == 0)
		use_h2(f);
}

static void on_data(struct conn *c, struct span s)
{
	struct front_conn *f = conn_user(c);

	if (f->closing)
		return;
	if (f->h1 == NULL && f->h2 == NULL)
		detect(f, s);
	else
		input(f, s);
}

static void on_drained(struct conn *c)
{
	kick(conn_user(c));
}

static void on_closed(struct conn *c, int err)
{
	struct front_conn *f = conn_user(c);
	struct front_worker *w = f->worker;
	struct addr peer;

	if (err == -ERR_TLS && conn_tls(c) != NULL) {
		metric_inc(w->api->failed[FRONT_FAILED_TLS]);
		conn_peer(c, &peer);
		log_event(LOG_INFO, "api_tls_failed", LOG_ADDR("peer", &peer),
		          LOG_STR("why", tls_error(conn_tls(c))));
	}
	f->conn = NULL;
	f->closing = true;
	h2_free(f->h2);
	h1_free(f->h1);
	f->h2 = NULL;
	f->h1 = NULL;
	buf_free_secret(&f->first);
	list_remove(&f->link);
	atomic_fetch_sub(&w->conns_len, 1);
	atomic_fetch_sub(&w->api->connections, 1);
	if (!f->pumping)
		free(f); /* else the task does it */
}

static const struct conn_ops conn_ops = {
	.ready = on_ready,
	.data = on_data,
	.drained = on_drained,
	.closed = on_closed,
};

static struct tls_ctx *current_tls(struct mgmtapi *m)
{
	struct tls_ctx *ctx = NULL;

	pthread_mutex_lock(&m->tls_lock);
	if (m->tls != NULL)
		ctx = tls_ctx_ref(m->tls);
	pthread_mutex_unlock(&m->tls_lock);
	return ctx;
}

void front_open(struct front_worker *w, int fd, const struct addr *peer)
{
	struct front_conn *f = calloc(1, sizeof(*f));
	struct tls_ctx *ctx = current_tls(w->api);
	const struct conn_opts opts = {
		.ops = &conn_ops, .user = f, .tls = ctx, .send_limit = FRONT_SEND_LIMIT};

	if (f != NULL) {
		f->worker = w;
		f->pump.run = pump;
		f->born_ms = loop_now_ms(w->loop);
		buf_init(&f->first, FRONT_FIRST_MAX);
		list_push_back(&w->conns, &f->link);
		f->conn = conn_accept(w->loop, fd, peer, &opts);
	}
	if (f == NULL || f->conn == NULL) {
		metric_inc(w->api->failed[FRONT_FAILED_MEMORY]);
		if (f != NULL)
			list_remove(&f->link);
		free(f);
		atomic_fetch_sub(&w->conns_len, 1);
		atomic_fetch_sub(&w->api->connections, 1);
	}
	if (ctx != NULL)
		tls_ctx_unref(ctx);
}

static void tick_one(struct front_conn *f, uint64_t now_ms)
{
	int err = 0;

	if (f->closing)
		return;
	if (f->h2 != NULL)
		err = h2_tick(f->h2, now_ms);
	else if (f->h1 != NULL)
		err = h1_tick(f->h1, now_ms);
	else if (now_ms - f->born_ms >= FRONT_DETECT_MS + FRONT_DETECT_MS)
		err = -ERR_TIMEOUT; /* conn has its own limit for the handshake; this one is for silence after it */
	if (err != 0) {
		metric_inc(f->worker->api->failed[FRONT_FAILED_TIMEOUT]);
		close_conn(f, 0);
	} else {
		kick(f);
	}
}

void front_tick(struct front_worker *w, uint64_t now_ms)
{
	for (struct list *i = w->conns.next, *next; i != &w->conns; i = next) {
		next = i->next;
		tick_one(container_of(i, struct front_conn, link), now_ms);
	}
}

void front_drain_all(struct front_worker *w)
{
	for (struct list *i = w->conns.next; i != &w->conns; i = i->next) {
		struct front_conn *f = container_of(i, struct front_conn, link);

		if (f->h2 != NULL)
			h2_drain(f->h2, loop_now_ms(w->loop));
		else if (f->h1 != NULL)
			h1_drain(f->h1);
		kick(f);
	}
}

void front_close_all(struct front_worker *w)
{
	for (struct list *i = w->conns.next, *next; i != &w->conns; i = next) {
		next = i->next;
		close_conn(container_of(i, struct front_conn, link), 0);
	}
}
