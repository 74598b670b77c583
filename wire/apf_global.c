/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apf_global.c: forwarded ports, datagrams and keep-alive (apf.md 5.5, 5.13, 5.14, 9). One thread. */
#include "wire/apf_internal.h"
#include "core/err.h"

static int reply(struct apf_session *s, uint8_t type)
{
	apf_send(s, &(struct apf_msg){.type = type});
	return apf_error(s);
}

static bool port_permitted(const struct apf_limits *l, uint32_t port)
{
	if (port == 0 || port > APF_PORT_MAX)
		return false;
	if (l->ports_len == 0)
		return true;
	for (uint32_t i = 0; i < l->ports_len; i++) {
		if (l->ports[i] == port)
			return true;
	}
	return false;
}

/* A name that could not be shown safely is dropped; the port alone decides (apf.md 5.7, M10). */
static struct span clean_host(struct apf_session *s, struct span host)
{
	if (text_is_printable(host))
		return host;
	apf_glitch(s, APF_GLITCH_HOST_TEXT);
	return span_of("", 0);
}

static int refuse_forward(struct apf_session *s)
{
	apf_glitch(s, APF_GLITCH_FORWARD_REFUSED);
	return s->state == APF_STATE_CLOSED ? apf_error(s) : reply(s, APF_REQUEST_FAILURE);
}

/* Always answered, whatever want_reply says: agents leave it 0 and wait for the answer (apf.md 5.5). */
static int on_forward(struct apf_session *s, const struct apf_global *g, uint64_t now_ms)
{
	uint16_t port = (uint16_t)g->port;
	struct span host;
	int rc;

	if (!port_permitted(s->limits, g->port))
		return refuse_forward(s);
	host = clean_host(s, g->host);
	rc = apf_forwards_set(&s->forwards, port, host);
	if (rc == -ERR_NOMEM)
		return apf_close(s, APF_CLOSE_NOMEM, 0);
	if (rc < 0)
		return refuse_forward(s);
	if (!s->forwarded)
		s->phase_ms = now_ms;
	s->forwarded = true;
	s->forward_ms = now_ms;
	apf_send(s, &(struct apf_msg){.type = APF_REQUEST_SUCCESS, .success = {true, port}});
	if (rc == 1)
		s->ops->forward_added(s->ctx, port, host);
	return apf_error(s);
}

/* Cancelling what was not forwarded succeeds too, as on the servers that firmware is used to. */
static int on_cancel(struct apf_session *s, const struct apf_global *g)
{
	bool known = apf_forwards_remove(&s->forwards, g->port);

	if (g->want_reply)
		(void)reply(s, APF_REQUEST_SUCCESS);
	if (known)
		s->ops->forward_removed(s->ctx, (uint16_t)g->port);
	else
		apf_glitch(s, APF_GLITCH_CANCEL_UNKNOWN);
	return apf_error(s);
}

int apf_on_global(struct apf_session *s, const struct apf_msg *m, uint64_t now_ms)
{
	const struct apf_global *g = &m->global;

	if (apf_rate_exceeded(&s->requests, now_ms, APF_RATE_LONG_MS,
	                      s->limits->requests_per_minute))
		return apf_close(s, APF_CLOSE_REQUEST_FLOOD, 0);
	switch (g->kind) {
	case APF_REQUEST_FORWARD:
		return on_forward(s, g, now_ms);
	case APF_REQUEST_CANCEL:
		return on_cancel(s, g);
	case APF_REQUEST_UDP_SEND:
		break;
	}
	if (g->want_reply)
		(void)reply(s, APF_REQUEST_FAILURE);
	s->ops->udp_send_to(s->ctx, g);
	return apf_error(s);
}

int apf_on_keepalive(struct apf_session *s, const struct apf_msg *m, uint64_t now_ms)
{
	if (m->type == APF_KEEPALIVE_REPLY) {
		apf_glitch(s, APF_GLITCH_KEEPALIVE_REPLY); /* we never ask */
		return apf_error(s);
	}
	if (apf_rate_exceeded(&s->keepalives, now_ms, APF_RATE_SHORT_MS,
	                      s->limits->keepalives_per_10s))
		return apf_close(s, APF_CLOSE_KEEPALIVE_FLOOD, 0);
	apf_send(s, &(struct apf_msg){.type = APF_KEEPALIVE_REPLY, .cookie = m->cookie});
	return 0;
}

int apf_on_options_reply(struct apf_session *s, const struct apf_msg *m)
{
	if (!s->options_sent) {
		apf_glitch(s, APF_GLITCH_OPTIONS_REPLY);
		return apf_error(s);
	}
	s->interval_s = m->options.interval_s;
	s->interval_known = true;
	return 0;
}

uint64_t apf_options_due(const struct apf_session *s)
{
	uint64_t latest = s->phase_ms + s->limits->options_latest_ms;
	uint64_t quiet = s->forward_ms + s->limits->options_quiet_ms;

	return s->forwarded && !s->ready ? MIN(latest, quiet) : APF_NEVER;
}

/* Message 210 is fatal to a MeshCentral agent (apf.md 5.14). */
void apf_options_send(struct apf_session *s)
{
	const struct apf_limits *l = s->limits;

	s->ready = true;
	if (!l->agent_mode) {
		s->options_sent = true;
		apf_send(s, &(struct apf_msg){
				    .type = APF_OPTIONS_REQUEST,
				    .options = {l->keepalive_interval_s, l->keepalive_timeout_s}});
	}
	s->ops->ready(s->ctx);
}
