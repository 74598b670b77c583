/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tunnel.c: the life of one tunnel on its worker: connection -> TLS -> APF session, and back.
 *
 *	TLS --handshake--> SNIFF --not HTTP--> APF --any end--> CLOSING --connection gone--> freed when the last reference is
 *	                     \---- GET/HEAD: page.c ----------/
 *
 * The slot lives as long as an operation holds a reference; the handle finds nothing once the state is CLOSING.
 */
#include "gateway/internal.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/probe.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct apf_session_ops session_ops;
static const struct conn_ops tunnel_conn_ops;

/* ---- lifetime ---- */

struct tunnel *tunnel_by_handle(struct worker *w, uint64_t handle)
{
	struct tunnel *t = slot_get(&w->tunnels, handle);

	return t != NULL && t->state != TUNNEL_CLOSING ? t : NULL;
}

struct tunnel *tunnel_ref(struct tunnel *t)
{
	t->refs++;
	return t;
}

void tunnel_unref(struct tunnel *t)
{
	struct worker *w = t->w;

	ASSERT(t->refs > 0);
	if (--t->refs > 0)
		return;
	ASSERT(t->conn == NULL && t->channels == NULL && t->waiters == NULL);
	if (t->ext_ops != NULL)
		t->ext_ops->free(t->ext);
	ASSERT(slot_free(&w->tunnels, t->handle) == 0);
}

static void live_init(struct tunnel *t)
{
	struct tls_info info = {.version = "", .cipher = ""};
	struct addr peer;

	if (conn_tls(t->conn) != NULL)
		tls_info(conn_tls(t->conn), &info);
	t->live = (struct live){
		.handle = t->handle,
		.worker = t->w->index,
		.connected_ms = (uint64_t)clock_wall_ms(),
		.tls_version = info.version,
		.tls_cipher = info.cipher,
	};
	conn_peer(t->conn, &peer);
	addr_pack(&t->live.source, &peer);
	atomic_store_explicit(&t->live.last_seen_ms, t->live.connected_ms, memory_order_relaxed);
}

/* ---- waiting for changes ---- */

void tunnel_changed(struct tunnel *t)
{
	for (struct tunnel_waiter *x = t->waiters; x != NULL; x = x->next)
		fiber_wake(x->fiber);
}

int tunnel_wait(struct tunnel *t)
{
	struct tunnel_waiter self = {.fiber = fiber_current()};
	int err;

	self.prev = t->waiters_tail;
	*t->waiters_tail = &self;
	t->waiters_tail = &self.next;
	err = fiber_wait();
	*self.prev = self.next;
	if (self.next != NULL)
		self.next->prev = self.prev;
	else
		t->waiters_tail = self.prev;
	return err;
}

int tunnel_wait_ready(struct tunnel *t)
{
	uint64_t until = loop_now_ms(t->w->loop) + READY_WAIT_MS, before = fiber_deadline_ms();
	int err = 0;

	(void)fiber_set_deadline(MIN(before, until));
	while (err == 0 && !t->ready && tunnel_alive(t))
		err = tunnel_wait(t);
	(void)fiber_set_deadline(before);
	if (err == 0 && !tunnel_alive(t))
		err = -ERR_CLOSED;
	return err;
}

/* ---- closing ---- */

void tunnel_close(struct tunnel *t, uint32_t disconnect_code, const char *why)
{
	bool flush = t->state == TUNNEL_APF || t->state == TUNNEL_SNIFF;

	if (t->state == TUNNEL_CLOSING)
		return;
	if (t->attached)
		log_event(LOG_INFO, "tunnel_close", LOG_GUID("device", &t->key.guid),
		          LOG_U64("instance", t->key.instance), LOG_U64("tunnel", t->handle),
		          LOG_STR("why", why));
	PROBE(tunnel_close, t, t->handle, disconnect_code);
	t->state = TUNNEL_CLOSING;
	timer_cancel(t->w->loop, &t->timer);
	if (t->apf_made)
		apf_session_disconnect(&t->apf, disconnect_code);
	if (t->attached)
		registry_detach(t->w->g->registry, &t->key, &t->live);
	attempt_reach(t, 0, why);
	conn_close(t->conn, flush ? TUNNEL_FLUSH_MS : 0);
	tunnel_changed(t);
}

/* The session ended by itself: what it has to say was queued already. */
static void tunnel_session_ended(struct tunnel *t)
{
	enum apf_close_reason r = apf_session_reason(&t->apf);

	gw_count_close(r);
	if (r == APF_CLOSE_BY_DEVICE)
		tunnel_close(t, 0, "the device said goodbye");
	else
		tunnel_close(t, 0, apf_close_text(r));
}

void tunnel_rearm(struct tunnel *t)
{
	uint64_t at;

	if (!t->apf_made || (t->state != TUNNEL_APF && t->state != TUNNEL_SNIFF))
		return;
	at = apf_session_deadline(&t->apf);
	if (at == UINT64_MAX)
		timer_cancel(t->w->loop, &t->timer);
	else if (!timer_armed(&t->timer) || at < t->timer.at_ms)
		timer_set(
			t->w->loop, &t->timer,
			at); /* a later deadline waits for the timer to fire: no work per message */
}

static void tunnel_tick(struct timer *timer)
{
	struct tunnel *t = container_of(timer, struct tunnel, timer);

	if (t->state != TUNNEL_APF &&
	    t->state != TUNNEL_SNIFF) /* who says nothing after TLS has to go, too */
		return;
	if (apf_session_tick(&t->apf, loop_now_ms(t->w->loop)) != 0)
		tunnel_session_ended(t);
	else
		tunnel_rearm(t);
}

/* ---- connection events ---- */

static void tunnel_on_ready(struct conn *c)
{
	struct tunnel *t = conn_user(c);

	acceptor_finished(t->w->g, t->source);
	gw_count(GW_TLS_OK);
	attempt_stage_done(t, GW_STAGE_TLS);
	t->state = TUNNEL_SNIFF;
	attempt_reach(t, ATTEMPT_HELLO,
	              "TLS was established but no APF hello came: is this really an AMT device?");
	live_init(t);
	apf_session_init(&t->apf, &session_ops, t, &t->config->limits, loop_now_ms(t->w->loop));
	t->apf_made = true;
	timer_set(t->w->loop, &t->timer, apf_session_deadline(&t->apf));
}

/* Holds back the first octets until they are not the start of an HTTP request. Returns what may go to the session. */
static bool tunnel_sniffed(struct tunnel *t, struct span s)
{
	size_t n = MIN(s.len, sizeof(t->sniff) - t->sniff_len);
	enum apf_http verdict;

	memcpy(t->sniff + t->sniff_len, s.ptr, n);
	verdict = apf_looks_like_http(span_of(t->sniff, t->sniff_len + n));
	if (verdict == APF_HTTP_MORE) {
		t->sniff_len = (uint8_t)(t->sniff_len + n);
		return false;
	}
	if (verdict == APF_HTTP_YES) {
		page_answer(t, s);
		return false;
	}
	t->state = TUNNEL_APF;
	return true;
}

static void tunnel_feed(struct tunnel *t, struct span s)
{
	if (apf_session_feed(&t->apf, s, loop_now_ms(t->w->loop)) != 0) {
		tunnel_session_ended(t);
		return;
	}
	if (t->state != TUNNEL_APF)
		return;
	if (!apf_session_wants_input(&t->apf))
		conn_pause(t->conn, true);
	tunnel_rearm(t);
}

static void tunnel_on_data(struct conn *c, struct span s)
{
	struct tunnel *t = conn_user(c);

	if (t->state == TUNNEL_CLOSING || s.len == 0)
		return;
	atomic_store_explicit(&t->live.last_seen_ms, (uint64_t)clock_wall_ms(),
	                      memory_order_relaxed);
	if (t->state == TUNNEL_SNIFF) {
		uint8_t held = t->sniff_len;

		if (!tunnel_sniffed(t, s))
			return;
		if (held > 0)
			tunnel_feed(t, span_of(t->sniff, held));
	}
	if (t->state == TUNNEL_APF)
		tunnel_feed(t, s);
}

static void tunnel_on_drained(struct conn *c)
{
	struct tunnel *t = conn_user(c);

	for (struct channel *ch = t->channels; ch != NULL; ch = ch->next)
		if (ch->waiter != NULL)
			fiber_wake(ch->waiter);
}

#define CHECK_TRUST \
	"check that root.crt is installed on the device and that its MPS address equals cira.name"

/* The alerts by which a device says that it does not take our certificate (apf.md 14: bad, unsupported, revoked, expired, unknown, unknown CA). */
static bool alert_is_distrust(int alert)
{
	return (alert >= 42 && alert <= 46) || alert == 48;
}

/* What TLS says, with what to do about it where that is known. */
static void tunnel_tls_refused(struct tunnel *t, const struct tls *tls)
{
	char text[sizeof(((struct attempt *)0)->detail)];

	if (!alert_is_distrust(tls_alert(tls))) {
		attempt_reach(t, ATTEMPT_TLS, tls_error(tls));
		return;
	}
	(void)snprintf(text, sizeof(text),
	               "the device does not trust the certificate (%s): " CHECK_TRUST,
	               tls_error(tls));
	attempt_reach(t, ATTEMPT_TLS, text);
}

static void tunnel_handshake_failed(struct tunnel *t, struct conn *c, int err)
{
	const struct tls *tls = conn_tls(c);

	acceptor_finished(t->w->g, t->source);
	gw_count(GW_TLS_FAILED);
	if (conn_end_stage(c) == CONN_PROXY)
		attempt_reach(
			t, ATTEMPT_TCP,
			err == -ERR_PROTOCOL
				? "the load balancer's PROXY v2 header is missing or malformed"
				: "closed before the PROXY v2 header");
	else if (tls != NULL && tls_error(tls)[0] != '\0')
		tunnel_tls_refused(t, tls);
	else if (err == -ERR_TIMEOUT)
		attempt_reach(t, ATTEMPT_TLS, "the TLS handshake was not finished in time");
	else if (conn_bytes_in(c) == 0)
		attempt_reach(t, ATTEMPT_TCP, "connected and closed without a word");
	else
		attempt_reach(
			t, ATTEMPT_TLS,
			"closed during the TLS handshake, perhaps for lack of trust: " CHECK_TRUST);
}

static void tunnel_on_closed(struct conn *c, int err)
{
	struct tunnel *t = conn_user(c);
	struct worker *w = t->w;

	if (t->state == TUNNEL_TLS)
		tunnel_handshake_failed(t, c, err);
	if (t->state != TUNNEL_CLOSING) {
		if (t->attached)
			log_event(LOG_INFO, "tunnel_lost", LOG_GUID("device", &t->key.guid),
			          LOG_U64("tunnel", t->handle), LOG_ERR("err", err));
		t->state = TUNNEL_CLOSING;
		timer_cancel(w->loop, &t->timer);
		if (t->attached)
			registry_detach(w->g->registry, &t->key, &t->live);
	}
	attempt_finish(t);
	if (t->apf_made)
		apf_session_fini(&t->apf);
	t->apf_made = false;
	t->conn = NULL;
	room_fit(t);
	config_put(t->config);
	t->config = NULL;
	atomic_fetch_sub(&w->g->tunnels, 1);
	atomic_fetch_sub(&w->load, 1);
	tunnel_changed(t);
	if (t->ext_ops != NULL)
		t->ext_ops->lost(t->ext);
	tunnel_unref(t);
}

static const struct conn_ops tunnel_conn_ops = {
	.ready = tunnel_on_ready,
	.data = tunnel_on_data,
	.drained = tunnel_on_drained,
	.closed = tunnel_on_closed,
};

/* ---- session events ---- */

static void session_send(void *ctx, struct span octets)
{
	struct tunnel *t = ctx;
	int err;

	if (t->conn == NULL)
		return;
	err = conn_write(t->conn, octets);
	if (err == -ERR_AGAIN && t->state != TUNNEL_CLOSING) {
		/* The peer does not read: apf.md 10, write queue. Not from in here, for the session is in the middle of a message. */
		gw_count(GW_QUEUE_OVERFLOW);
		conn_close(t->conn, 0);
	}
}

static void session_ready(void *ctx)
{
	struct tunnel *t = ctx;
	struct addr source;

	addr_unpack(&source, &t->live.source);
	t->ready = true;
	PROBE(tunnel_ready, t, t->handle);
	gw_count(GW_READY);
	attempt_stage_done(t, GW_STAGE_READY);
	attempt_reach(t, ATTEMPT_READY, "connected");
	attempt_finish(t);
	log_event(LOG_INFO, "tunnel_ready", LOG_GUID("device", &t->key.guid),
	          LOG_U64("instance", t->key.instance), LOG_U64("tunnel", t->handle),
	          LOG_ADDR("source", &source), LOG_STR("tls", t->live.tls_version),
	          LOG_STR("cipher", t->live.tls_cipher), LOG_U64("ports", t->live.ports_len));
	tunnel_changed(t);
	ready_enqueue(t);
}

static void session_forward_added(void *ctx, uint16_t port, struct span host)
{
	struct tunnel *t = ctx;

	(void)host;
	registry_live_port(t->w->g->registry, &t->live, port, true);
	tunnel_changed(t);
}

static void session_forward_removed(void *ctx, uint16_t port)
{
	struct tunnel *t = ctx;

	registry_live_port(t->w->g->registry, &t->live, port, false);
}

static void session_udp_send_to(void *ctx, const struct apf_global *request)
{
	(void)ctx;
	(void)request;
	gw_count(GW_UDP_SEND_TO);
}

static void session_glitch(void *ctx, enum apf_glitch what)
{
	(void)ctx;
	gw_count_glitch(what);
}

static void session_disconnect(void *ctx, uint32_t code)
{
	struct tunnel *t = ctx;

	if (t->attached)
		log_event(LOG_DEBUG, "tunnel_disconnect", LOG_GUID("device", &t->key.guid),
		          LOG_U64("code", code));
}

static void session_slot_free(void *ctx)
{
	room_fit(ctx);
	tunnel_changed(ctx);
}

static const struct apf_session_ops session_ops = {
	.send = session_send,
	.hello = tunnel_hello,
	.userauth = tunnel_userauth,
	.client_cert_verified = tunnel_client_cert,
	.ready = session_ready,
	.forward_added = session_forward_added,
	.forward_removed = session_forward_removed,
	.udp_send_to = session_udp_send_to,
	.glitch = session_glitch,
	.disconnect = session_disconnect,
	.slot_free = session_slot_free,
};

/* ---- making one ---- */

/* Gives back what acceptor.c counted when no tunnel came of it. */
static void accept_undo(struct worker *w, uint64_t source)
{
	atomic_fetch_sub(&w->g->tunnels, 1);
	atomic_fetch_sub(&w->load, 1);
	acceptor_finished(w->g, source);
}

static void accept_refuse(struct worker *w, const struct arrival *a)
{
	gw_count(a->fd < 0 ? GW_REFUSED_DESCRIPTORS : GW_REFUSED_LIMIT);
	if (a->fd >= 0)
		close(a->fd);
	accept_undo(w, a->source);
}

void tunnel_accept(struct worker *w, const struct arrival *a)
{
	uint64_t handle;
	struct tunnel *t = a->fd >= 0 ? slot_alloc(&w->tunnels, &handle) : NULL;
	struct conn_opts opts = {
		.ops = &tunnel_conn_ops,
		.user = t,
		.preface = acceptor_wants_proxy(a->l, &a->peer) ? acceptor_proxy_preface : NULL,
		.send_limit = TUNNEL_QUEUE_MAX,
	};

	if (t == NULL) {
		accept_refuse(w, a);
		return;
	}
	t->w = w;
	t->handle = handle;
	t->source = a->source;
	t->refs = 1;
	t->waiters_tail = &t->waiters;
	t->timer.fire = tunnel_tick;
	t->attempt = attempt_begin(&a->peer);
	t->config = config_get(w->g);
	opts.handshake_ms = t->config->limits.handshake_ms;
	opts.tls = a->l->profile == TLS_LEGACY ? t->config->legacy : t->config->modern;
	t->conn = conn_accept(w->loop, a->fd, &a->peer, &opts);
	if (t->conn != NULL)
		return;
	attempt_finish(t);
	config_put(t->config);
	ASSERT(slot_free(&w->tunnels, handle) == 0);
	accept_undo(w, a->source);
}

/* ---- what operations ask ---- */

struct gateway *tunnel_gateway(const struct tunnel *t)
{
	return t->w->g;
}

const struct device_key *tunnel_device(const struct tunnel *t)
{
	return &t->key;
}

bool tunnel_has_port(const struct tunnel *t, uint16_t port)
{
	for (size_t i = 0; i < t->live.ports_len; i++)
		if (t->live.ports[i] == port)
			return true;
	return false;
}

bool tunnel_alive(const struct tunnel *t)
{
	return t->state == TUNNEL_APF;
}

void *tunnel_ext(const struct tunnel *t)
{
	return t->ext;
}

void tunnel_set_ext(struct tunnel *t, void *ext, const struct tunnel_ext_ops *ops)
{
	ASSERT(t->ext_ops == NULL);
	t->ext = ext;
	t->ext_ops = ops;
}

struct loop *tunnel_loop(const struct tunnel *t)
{
	return t->w->loop;
}

bool tunnel_amt_credential(struct tunnel *t, struct credential *out)
{
	return registry_amt_credential(t->w->g->registry, &t->key, out);
}

bool tunnel_pin(struct tunnel *t, uint8_t out_sha256[32])
{
	return registry_pin(t->w->g->registry, &t->key, out_sha256);
}
