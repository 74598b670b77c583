/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * acceptor.c: accepts on one loop and gives each connection to the least loaded worker: tunnels live for days, an uneven hash would never
 * heal (design section 3). Admission happens before TLS: a source that has to wait, too many tunnels, too many handshakes at once.
 *
 * When a whole fleet dials in, the kernel has thousands of connections ready. Taken all at once they would keep the loops from everything
 * else for as long; so they are taken at a pace that is beyond what the processors can set up, but leaves the loops room.
 */
#include "gateway/internal.h"
#include "core/err.h"
#include "core/log.h"
#include "wire/proxy2.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPTS_ARMED 4 /* so many in an iteration of the loop */
#define PACE_TICK_MS  16
#define PACE_ARRIVALS 32 /* of each worker in a tick: 2,000 a second */

/* An arrival in the mailbox of its worker. Bounded by max_handshakes. */
struct handover {
	struct task task;
	struct worker *w;
	struct arrival arrival;
};

static void handover_run(struct task *task)
{
	struct handover *h = container_of(task, struct handover, task);

	h->arrival.fd = loop_fd_take(h->w->loop, h->arrival.fd);
	tunnel_accept(h->w, &h->arrival);
	free(h);
}

static struct worker *least_loaded(struct gateway *g)
{
	struct worker *best = &g->workers[0];

	for (size_t i = 1; i < g->workers_len; i++)
		if (atomic_load(&g->workers[i].load) < atomic_load(&best->load))
			best = &g->workers[i];
	return best;
}

static void pause_listeners(struct gateway *g, bool paused)
{
	if (g->listeners_paused == paused)
		return;
	g->listeners_paused = paused;
	for (size_t i = 0; i < g->listeners_len; i++)
		if (g->listeners[i].l != NULL)
			listener_pause(g->listeners[i].l, paused);
}

static bool handshakes_full(struct gateway *g)
{
	return atomic_load(&g->handshakes) >= g->accept_config->max_handshakes;
}

/* Full listeners go on before the next tick once no more than these are under way. Going on each time that one ends would cost a message for each. */
static unsigned room_again(unsigned max)
{
	return max - MAX(max / 8, 1u);
}

static unsigned pace_of(const struct gateway *g)
{
	return PACE_ARRIVALS * (unsigned)g->workers_len;
}

static void pace_tick(struct timer *timer)
{
	struct gateway *g = container_of(timer, struct gateway, pace);
	struct loop *l = loop_current();

	g->arrived = 0;
	if (handshakes_full(g))
		timer_set(l, timer, loop_now_ms(l) + PACE_TICK_MS);
	else
		pause_listeners(g, false);
}

/* One more was taken: is that enough for now? */
static void pace(struct gateway *g)
{
	struct loop *l = loop_current();

	if (!timer_armed(&g->pace))
		timer_set(l, &g->pace, loop_now_ms(l) + PACE_TICK_MS);
	g->arrived++;
	if (g->listeners_paused)
		return;
	if (handshakes_full(g))
		gw_count(GW_PAUSED);
	else if (g->arrived >= pace_of(g))
		gw_count(GW_PACED);
	else
		return;
	pause_listeners(g, true);
}

/* Why a connection is not wanted now, or NULL. Cheap: it happens before TLS. */
static const char *admission(struct gateway *g, const struct cira_listener *l,
                             const struct addr *peer, uint64_t now_ms)
{
	if (atomic_load(&g->tunnels) >= g->accept_config->max_tunnels) {
		gw_count(GW_REFUSED_LIMIT);
		return "refused: cira.max_tunnels is reached";
	}
	/* Behind a load balancer the source is not known yet. */
	if (!acceptor_wants_proxy(l, peer) && backoff_of_source(g, peer, now_ms) > 0) {
		gw_count(GW_REFUSED_BACKOFF);
		return "refused for now: too many wrong credentials from this address; it may try "
		       "again within minutes";
	}
	return NULL;
}

/*
 * While there is room, anybody may have it. Once half of it is taken, one source may hold only a part, so that half-open connections from
 * one place do not shut others out. Behind a load balancer sources are not known yet.
 */
static bool take_share(struct gateway *g, const struct cira_listener *l, const struct arrival *a)
{
	const struct gateway_config *c = g->accept_config;
	bool pressed = atomic_load(&g->handshakes) >= c->max_handshakes / 2;
	bool limited = pressed && !acceptor_wants_proxy(l, &a->peer);

	if (arrivals_take(&g->arrivals, a->source, limited ? c->max_handshakes_source : UINT32_MAX))
		return true;
	gw_count(GW_REFUSED_SOURCE);
	return false;
}

static void hand_over(struct gateway *g, const struct arrival *a)
{
	struct handover *h = malloc(sizeof(*h));

	if (h == NULL) {
		arrivals_release(&g->arrivals, a->source);
		close(a->fd);
		return;
	}
	*h = (struct handover){.task = {.run = handover_run}, .w = least_loaded(g), .arrival = *a};
	h->arrival.fd = loop_fd_send(h->w->loop, a->fd);
	if (h->arrival.fd < 0) {
		gw_count(GW_REFUSED_DESCRIPTORS);
		arrivals_release(&g->arrivals, a->source);
		free(h);
		return;
	}
	atomic_fetch_add(&h->w->load, 1);
	atomic_fetch_add(&g->tunnels, 1);
	atomic_fetch_add(&g->handshakes, 1);
	pace(g);
	if (!loop_post(h->w->loop, &h->task)) /* that worker has ended: so does the process */
		free(h);
}

static void accepted(void *user, int fd, const struct addr *peer)
{
	const struct cira_listener *l = user;
	struct gateway *g = l->g;
	const struct arrival a = {.l = l, .peer = *peer, .source = addr_source(peer), .fd = fd};
	const char *no = admission(g, l, peer, loop_now_ms(loop_current()));

	gw_count(GW_ACCEPTED);
	if (no == NULL && !take_share(g, l, &a))
		no = "refused for now: too many connections from this address are being set up at "
		     "once";
	if (no == NULL) {
		hand_over(g, &a);
		return;
	}
	close(fd);
	attempt_refused(g, peer, no);
}

/* ---- on the accepting loop ---- */

/* Takes the limits in force now; the accepting loop keeps its own reference so that no lock is needed for each connection. */
static void take_config(struct gateway *g)
{
	struct gateway_config *old = g->accept_config;

	g->accept_config = config_get(g);
	if (old != NULL)
		config_put(old);
}

static void run_start(struct task *t)
{
	struct gateway *g = container_of(t, struct gateway, start);

	take_config(g);
	for (size_t i = 0; i < g->listeners_len; i++)
		if (!listener_start(g->listeners[i].l))
			log_event(LOG_ERROR, "listener_failed",
			          LOG_ADDR("address", &g->listeners[i].addr));
}

static void run_stop(struct task *t)
{
	struct gateway *g = container_of(t, struct gateway, stop);

	for (size_t i = 0; i < g->listeners_len; i++) {
		if (g->listeners[i].l != NULL)
			listener_close(g->listeners[i].l);
		g->listeners[i].l = NULL;
	}
	timer_cancel(loop_current(), &g->pace);
	if (g->accept_config != NULL)
		config_put(g->accept_config);
	g->accept_config = NULL;
}

static void run_resume(struct task *t)
{
	struct gateway *g = container_of(t, struct gateway, resume);

	atomic_store(&g->resume_posted, false);
	if (g->accept_config == NULL)
		return; /* stopped meanwhile */
	take_config(g);
	if (!handshakes_full(g) && g->arrived < pace_of(g))
		pause_listeners(g, false);
}

void acceptor_refresh(struct gateway *g)
{
	if (!atomic_exchange(&g->resume_posted, true))
		loop_post(g->workers[0].loop, &g->resume);
}

void acceptor_finished(struct gateway *g, uint64_t source)
{
	struct gateway_config *c;
	unsigned left = atomic_fetch_sub(&g->handshakes, 1) - 1;

	arrivals_release(&g->arrivals, source);

	/* Only worth a message when there is room for several again, or for a source that was limited; the accepting loop decides. */
	c = config_get(g);
	if (left == room_again(c->max_handshakes) || left == c->max_handshakes / 2 || left == 0)
		acceptor_refresh(g);
	config_put(c);
}

void acceptor_start(struct gateway *g)
{
	g->start.run = run_start;
	g->resume.run = run_resume;
	g->pace.fire = pace_tick;
	loop_post(g->workers[0].loop, &g->start);
}

void acceptor_stop(struct gateway *g)
{
	g->stop.run = run_stop;
	loop_post(g->workers[0].loop, &g->stop);
}

/* ---- opening ---- */

static int open_one(struct gateway *g, const struct settings_listener *sl, struct buf *why)
{
	struct cira_listener *l = &g->listeners[g->listeners_len];
	struct listener_opts opts = {
		.rcvbuf = ROOM_RECEIVE_FIRST,
		.sndbuf = ROOM_SEND_FIRST,
		.accepts_armed = ACCEPTS_ARMED,
		.accepted = accepted,
		.user = l,
	};
	int err;

	*l = (struct cira_listener){
		.g = g, .proxy_from = sl->proxy_from, .profile = (enum tls_profile)sl->profile};
	opts.addr = sl->address;
	l->l = listener_open(g->workers[0].loop, &opts, &err);
	if (l->l == NULL) {
		char text[ADDR_TEXT_MAX];

		addr_format(&sl->address, text);
		buf_printf(
			why, "cira.listen: cannot listen on %s: %s", text,
			err == -ERR_EXISTS
				? "another program uses this port; stop it or choose another port"
			: err == -ERR_DENIED
				? "no permission; ports below 1024 need CAP_NET_BIND_SERVICE"
				: err_text(err));
		return err;
	}
	l->addr = *listener_addr(l->l);
	g->listeners_len++;
	return 0;
}

int acceptor_open(struct gateway *g, struct buf *why)
{
	struct settings_listener all[LISTENERS_MAX];
	size_t n = settings_listeners(g->settings, all, LISTENERS_MAX);
	int err = 0;

	for (size_t i = 0; err == 0 && i < n; i++)
		err = open_one(g, &all[i], why);
	return err;
}

/* ---- PROXY protocol ---- */

static void proxy_source(const struct proxy2 *h, struct addr *peer)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&peer->ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&peer->ss;

	if (h->family == PROXY2_NONE)
		return; /* the balancer's own health check: it is the peer */
	*peer = (struct addr){.len = h->family == PROXY2_V4 ? sizeof(*v4) : sizeof(*v6)};
	if (h->family == PROXY2_V4) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(h->source_port);
		memcpy(&v4->sin_addr, h->source, sizeof(v4->sin_addr));
	} else {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(h->source_port);
		memcpy(&v6->sin6_addr, h->source, sizeof(v6->sin6_addr));
	}
}

/* What conn.h wants of a preface: octets consumed, 0 for more, negative for an error. */
ssize_t acceptor_proxy_preface(void *arg, struct span in, struct addr *peer)
{
	struct proxy2 h;
	ssize_t n = proxy2_parse(in, &h);

	(void)arg;
	if (n > 0)
		proxy_source(&h, peer);
	return n == -ERR_MORE ? 0 : n;
}

bool acceptor_wants_proxy(const struct cira_listener *l, const struct addr *peer)
{
	for (size_t i = 0; i < l->proxy_from.n; i++)
		if (cidr_contains(&l->proxy_from.v[i], peer))
			return true;
	return false;
}
