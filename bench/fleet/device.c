/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * device.c: one device's life: it dials, starts APF, answers, loses its tunnel and comes back; and the ways in which some
 * profiles misbehave. Loop thread. A tunnel is freed in conn's closed callback, which always comes.
 */
#include "bench/fleet/fleet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto.h"
#include "core/err.h"

#define FLUSH_MS        500
#define LOCK_MS         30000
#define DRIP_MS         1000
#define GARBAGE_SIZE    512
#define SOURCES_PER_NET 250 /* 127.n.x.1 .. 127.n.x.250 */
#define VIOLATIONS_PRINTED \
	50 /* lines in all, so that a broken server does not flood the terminal */

struct fleet_tunnel {
	struct fleet_device *device;
	struct conn *conn;
	struct sim_apf apf;
	struct fleet_service *services[SIM_APF_SLOTS];
	char host[64];
	enum sim_apf_stage stage; /* furthest reached */
	bool up;                  /* TCP and TLS are established */
	bool was_ready, ended, dropped;
	enum sim_apf_end why;
	struct buf drip; /* octets that go out one by one: framing=octet, hostile=drip */
	uint64_t drip_at_ms;
};

static uint64_t now_of(const struct fleet_device *d)
{
	return loop_now_ms(d->worker->loop);
}

static uint64_t jitter(uint64_t ms)
{
	return ms / 2 + random_u64() % (ms / 2 + 1);
}

/* ---- events of APF ---- */

static bool one_by_one(const struct fleet_profile *p)
{
	return p->apf.framing == SIM_FRAMING_OCTET && p->hostile != FLEET_HOSTILE_DRIP;
}

/*
 * The connection puts what is written in one turn into one record. With a send limit of one octet it refuses the second, and
 * drained asks for it when the first is out.
 */
static void send_one_by_one(struct fleet_tunnel *t)
{
	while (t->drip.len > 0 && conn_write(t->conn, span_of(t->drip.data, 1)) == 0)
		buf_consume(&t->drip, 1);
}

static void on_send(void *user, struct span s)
{
	struct fleet_tunnel *t = user;
	const struct fleet_profile *p = t->device->profile;

	if (p->hostile == FLEET_HOSTILE_DRIP || one_by_one(p)) {
		buf_put_span(&t->drip, s);
		if (one_by_one(p))
			send_one_by_one(t);
		return;
	}
	if (conn_write(t->conn, s) != 0) {
		t->dropped = true;
		conn_close(t->conn, 0);
	}
}

static void on_ready(void *user)
{
	struct fleet_tunnel *t = user;
	struct fleet_device *d = t->device;
	const struct fleet_profile *p = d->profile;
	uint32_t period_s = MAX(p->churn_s, MAX(p->overlap_s, p->silent_s));

	t->was_ready = true;
	d->failures = 0;
	FLEET_COUNT(d->fleet, connected);
	atomic_fetch_add(&d->fleet->ready_now, 1);
	d->act_at_ms = SIM_APF_NO_TIME;
	if (period_s > 0)
		d->act_at_ms = now_of(d) + (p->churn_s > 0 ? jitter(period_s * UINT64_C(2000))
		                                           : period_s * UINT64_C(1000));
}

static uint32_t on_open(void *user, unsigned slot, uint16_t port)
{
	struct fleet_tunnel *t = user;

	FLEET_COUNT(t->device->fleet, channels);
	fleet_service_free(t->services[slot]);
	t->services[slot] = fleet_service_new(&(struct fleet_service_opts){
		.device = t->device,
		.apf = &t->apf,
		.slot = slot,
		.port = port,
	});
	return t->services[slot] == NULL ? 2 : 0;
}

static void on_more(void *user, unsigned slot)
{
	struct fleet_tunnel *t = user;

	if (t->services[slot] != NULL)
		fleet_service_more(t->services[slot]);
}

static void drop_service(struct fleet_tunnel *t, unsigned slot)
{
	fleet_service_free(t->services[slot]);
	t->services[slot] = NULL;
}

static void on_data(void *user, unsigned slot, struct span s)
{
	struct fleet_tunnel *t = user;

	if (t->services[slot] != NULL &&
	    !fleet_service_input(t->services[slot], s, now_of(t->device)))
		drop_service(t, slot);
}

static void on_closed(void *user, unsigned slot)
{
	drop_service(user, slot);
}

static void on_violation(void *user, const char *text, uint32_t a, uint32_t b)
{
	struct fleet_tunnel *t = user;
	char guid[GUID_TEXT_LEN + 1];

	if (FLEET_COUNT(t->device->fleet, violations) >= VIOLATIONS_PRINTED)
		return;
	guid_format(&t->device->facts.guid, guid);
	fprintf(stderr, "violation: device %zu (%s): %s (%u, %u)\n", t->device->index, guid, text,
	        a, b);
}

static void on_ended(void *user, enum sim_apf_end why, uint32_t code)
{
	struct fleet_tunnel *t = user;

	(void)code;
	t->ended = true;
	t->why = why;
	conn_close(t->conn, FLUSH_MS);
}

static const struct sim_apf_ops apf_ops = {
	.send = on_send,
	.ready = on_ready,
	.open = on_open,
	.opened = on_more,
	.data = on_data,
	.drained = on_more,
	.closed = on_closed,
	.violation = on_violation,
	.ended = on_ended,
};

/* ---- events of the connection ---- */

static void start_apf(struct fleet_tunnel *t)
{
	struct fleet_device *d = t->device;

	if (!d->profile->host_empty)
		snprintf(t->host, sizeof(t->host), "%s.%s", d->facts.host, d->facts.domain);
	sim_apf_start(&t->apf,
	              &(struct sim_apf_identity){
			      .guid = d->facts.guid,
			      .host = t->host,
			      .user = d->fleet->user,
			      .password = d->fleet->password,
		      },
	              now_of(d));
	t->stage = t->apf.stage;
}

static void send_garbage(struct fleet_tunnel *t)
{
	uint8_t noise[GARBAGE_SIZE];

	random_bytes(noise, sizeof(noise));
	on_send(t, span_of(noise, sizeof(noise)));
}

/* AMT compares the subject's CN with the configured name (apf.md section 2); alternative names do not count. */
static bool name_matches(const struct fleet_tunnel *t)
{
	const struct fleet *f = t->device->fleet;
	const struct tls *tls = conn_tls(t->conn);

	return f->ca_pem.len == 0 || f->name[0] == '\0' || tls == NULL ||
	       strcmp(tls_peer_cn(tls), f->name) == 0;
}

static void conn_is_ready(struct conn *c)
{
	struct fleet_tunnel *t = conn_user(c);
	struct fleet_device *d = t->device;

	t->up = true;
	if (!name_matches(t)) {
		FLEET_COUNT(d->fleet, failed_name);
		t->dropped = true;
		conn_close(c, 0);
		return;
	}
	switch (d->profile->hostile) {
	case FLEET_HOSTILE_HALF_OPEN:
	case FLEET_HOSTILE_MUTE:
		break;
	case FLEET_HOSTILE_GARBAGE:
		send_garbage(t);
		break;
	default:
		start_apf(t);
		break;
	}
	t->drip_at_ms = now_of(d) + DRIP_MS;
	fleet_device_arm(d);
}

static void conn_has_data(struct conn *c, struct span s)
{
	struct fleet_tunnel *t = conn_user(c);

	sim_apf_input(&t->apf, s, now_of(t->device));
	if (t->apf.stage != SIM_APF_ENDED)
		t->stage = t->apf.stage;
	fleet_device_arm(t->device);
}

static void count_loss(const struct fleet_tunnel *t, enum conn_stage stage, int err)
{
	struct fleet *f = t->device->fleet;

	if (!t->up && (stage == CONN_TLS || err == -ERR_TLS))
		FLEET_COUNT(f, failed_tls);
	else if (!t->up)
		FLEET_COUNT(f, failed_tcp);
	else if (!t->was_ready && t->dropped)
		return;
	else if (!t->was_ready &&
	         ((t->ended && t->why == SIM_APF_END_AUTH) || t->stage == SIM_APF_USERAUTH))
		FLEET_COUNT(f, failed_auth);
	else if (!t->was_ready && t->stage < SIM_APF_USERAUTH)
		FLEET_COUNT(f, failed_hello);
	else if (!t->was_ready)
		FLEET_COUNT(f, failed_forward);
	else if (t->ended && t->why == SIM_APF_END_DISCONNECT)
		FLEET_COUNT(f, lost_disconnect);
	else if (t->ended && t->why == SIM_APF_END_KEEPALIVE)
		FLEET_COUNT(f, lost_keepalive);
	else if (t->ended || t->dropped)
		FLEET_COUNT(f, lost_local);
	else
		FLEET_COUNT(f, lost_closed);
}

static void schedule_reconnect(struct fleet_device *d)
{
	uint64_t wait_ms = (uint64_t)FLEET_BACKOFF_MIN_MS << MIN(d->failures, 16U);

	d->failures++;
	d->connect_at_ms =
		now_of(d) + jitter(MIN(wait_ms, d->fleet->backoff_max_s * UINT64_C(1000)));
}

static void conn_is_closed(struct conn *c, int err)
{
	struct fleet_tunnel *t = conn_user(c);
	struct fleet_device *d = t->device;

	if (!d->worker->stopping)
		count_loss(t, conn_stage(c), err);
	if (t->was_ready)
		atomic_fetch_sub(&d->fleet->ready_now, 1);
	for (unsigned i = 0; i < SIM_APF_SLOTS; i++)
		drop_service(t, i);
	sim_apf_free(&t->apf);
	buf_free(&t->drip);
	if (d->old == t)
		d->old = NULL;
	if (d->tunnel == t) {
		d->tunnel = NULL;
		d->act_at_ms = SIM_APF_NO_TIME;
		schedule_reconnect(d);
	}
	free(t);
	if (!d->worker->stopping)
		fleet_device_arm(d);
}

static void conn_has_drained(struct conn *c)
{
	struct fleet_tunnel *t = conn_user(c);

	if (one_by_one(t->device->profile))
		send_one_by_one(t);
	for (unsigned i = 0; i < SIM_APF_SLOTS; i++)
		on_more(t, i);
}

bool fleet_device_congested(const struct fleet_device *d)
{
	return d->tunnel == NULL || d->tunnel->conn == NULL || conn_congested(d->tunnel->conn);
}

static const struct conn_ops conn_ops = {
	.ready = conn_is_ready,
	.data = conn_has_data,
	.drained = conn_has_drained,
	.closed = conn_is_closed,
};

/* ---- dialling ---- */

static const struct addr *source_address(const struct fleet_device *d, const struct addr *to,
                                         struct addr *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&out->ss;
	uint32_t n;

	if (d->fleet->source_addresses == 0 || to->ss.ss_family != AF_INET)
		return NULL;
	n = (uint32_t)(d->index % d->fleet->source_addresses);
	memset(out, 0, sizeof(*out));
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(UINT32_C(0x7f000000) | d->fleet->source_net << 16 |
	                            n / SOURCES_PER_NET << 8 | (n % SOURCES_PER_NET + 1));
	out->len = sizeof(*in);
	return out;
}

static void dial(struct fleet_device *d)
{
	const struct fleet *f = d->fleet;
	const struct addr *to = &f->servers[d->index % f->servers_len];
	struct fleet_tunnel *t = calloc(1, sizeof(*t));
	struct addr from;

	d->connect_at_ms = SIM_APF_NO_TIME;
	FLEET_COUNT(d->fleet, connects);
	if (t != NULL) {
		t->device = d;
		buf_init(&t->drip, SIM_APF_QUEUE_MAX);
		sim_apf_init(&t->apf, &d->profile->apf, &apf_ops, t);
		t->conn = conn_connect(d->worker->loop, to, source_address(d, to, &from),
		                       &(struct conn_opts){
					       .ops = &conn_ops,
					       .user = t,
					       .tls = d->profile->hostile == FLEET_HOSTILE_HALF_OPEN
		                                              ? NULL
		                                              : d->profile->tls,
					       .server_name = f->name[0] != '\0' ? f->name : NULL,
					       .send_limit = one_by_one(d->profile) ? 1 : 0,
				       });
	}
	if (t == NULL || t->conn == NULL) {
		FLEET_COUNT(d->fleet, failed_tcp);
		free(t);
		schedule_reconnect(d);
		return;
	}
	d->tunnel = t;
}

void fleet_device_drop(struct fleet_device *d, bool polite)
{
	struct fleet_tunnel *t = d->tunnel;

	if (t == NULL)
		return;
	t->dropped = true;
	d->failures = 0;
	if (polite && t->up)
		sim_apf_disconnect(&t->apf, 11);
	else
		conn_close(t->conn, 0);
}

void fleet_device_silence(struct fleet_device *d, bool silent)
{
	if (d->tunnel != NULL)
		d->tunnel->apf.silent = silent;
	fleet_device_arm(d);
}

/* The new tunnel starts while the old one is left as a dead peer would leave it. */
static void overlap(struct fleet_device *d)
{
	if (d->old != NULL) {
		d->old->dropped = true;
		conn_close(d->old->conn, 0);
	}
	d->old = d->tunnel;
	d->old->apf.silent = true;
	d->tunnel = NULL;
	dial(d);
}

static void act(struct fleet_device *d)
{
	d->act_at_ms = SIM_APF_NO_TIME;
	if (d->tunnel == NULL)
		return;
	if (d->profile->churn_s > 0)
		fleet_device_drop(d, (random_u64() & 1) != 0);
	else if (d->profile->silent_s > 0)
		d->tunnel->apf.silent = true;
	else
		overlap(d);
}

static void drip(struct fleet_tunnel *t, uint64_t now_ms)
{
	if (t->drip.len == 0 || t->drip_at_ms > now_ms || one_by_one(t->device->profile))
		return;
	t->drip_at_ms = now_ms + DRIP_MS;
	if (conn_write(t->conn, span_of(t->drip.data, 1)) == 0)
		buf_consume(&t->drip, 1);
}

static void tick_tunnel(struct fleet_tunnel *t, uint64_t now_ms)
{
	sim_apf_tick(&t->apf, now_ms);
	for (unsigned i = 0; i < SIM_APF_SLOTS && t->apf.stage != SIM_APF_ENDED; i++) {
		if (t->services[i] != NULL && !fleet_service_tick(t->services[i], now_ms))
			drop_service(t, i);
	}
	drip(t, now_ms);
}

static void timer_fired(struct timer *timer)
{
	struct fleet_device *d = container_of(timer, struct fleet_device, timer);
	uint64_t now_ms = now_of(d);

	if (d->worker->stopping)
		return;
	if (d->connect_at_ms <= now_ms && d->tunnel == NULL)
		dial(d);
	if (d->tunnel != NULL && d->tunnel->up)
		tick_tunnel(d->tunnel, now_ms);
	if (d->act_at_ms <= now_ms)
		act(d);
	fleet_device_arm(d);
}

void fleet_device_arm(struct fleet_device *d)
{
	uint64_t at = MIN(d->connect_at_ms, d->act_at_ms);
	const struct fleet_tunnel *t = d->tunnel;

	if (t != NULL && t->up) {
		at = MIN(at, sim_apf_next_ms(&t->apf));
		for (unsigned i = 0; i < SIM_APF_SLOTS; i++)
			at = t->services[i] != NULL ? MIN(at, fleet_service_next_ms(t->services[i]))
			                            : at;
		if (t->drip.len > 0 && !one_by_one(d->profile))
			at = MIN(at, t->drip_at_ms);
	}
	if (at == SIM_APF_NO_TIME)
		timer_cancel(d->worker->loop, &d->timer);
	else if (!timer_armed(&d->timer) || d->timer.at_ms != at)
		timer_set(d->worker->loop, &d->timer, at);
}

bool fleet_device_held(const struct fleet_device *d)
{
	const struct fleet_tunnel *t =
		d->tunnel != NULL && d->tunnel->was_ready ? d->tunnel : d->old;

	return t != NULL && t->was_ready && !t->ended && !t->dropped;
}

void fleet_device_init(struct fleet_device *d, struct fleet *f, size_t index)
{
	d->fleet = f;
	d->index = index;
	d->connect_at_ms = d->act_at_ms = SIM_APF_NO_TIME;
	d->timer.fire = timer_fired;
	fleet_identity_make(f->seed, index, &d->facts);
	sim_power_init(&d->power, d->profile->agent, f->speed_pct);
	d->power.broken = d->profile->power_broken;
	sim_wsman_init(&d->wsman, &d->facts, &d->power);
	d->digest = (struct sim_digest){
		.user = f->amt_user,
		.password = f->amt_password,
		.realm = d->facts.realm,
		.qop = d->profile->qop,
		.lock_after = d->profile->lock_after,
		.lock_ms = LOCK_MS,
	};
}

void fleet_device_free(struct fleet_device *d)
{
	sim_wsman_free(&d->wsman);
	if (d->own_cert.ctx != NULL)
		tls_ctx_unref(d->own_cert.ctx);
}

void fleet_device_start(struct fleet_device *d)
{
	double wait_ms = d->fleet->rate > 0 ? (double)d->index * 1000 / d->fleet->rate : 0;

	d->connect_at_ms = now_of(d) + (uint64_t)wait_ms;
	fleet_device_arm(d);
}
