/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apf_auth.c: a tunnel from the hello until its device may forward ports (apf.md 5.1-5.4, 7.1). One thread. */
#include "wire/apf_internal.h"
#include "core/err.h"

int apf_on_version(struct apf_session *s, const struct apf_msg *m)
{
	if (m->version.major != APF_VERSION_MAJOR)
		return apf_close(s, APF_CLOSE_VERSION, APF_DISCONNECT_VERSION_NOT_SUPPORTED);
	s->guid = m->version.guid;
	s->state = APF_STATE_AUTH_SERVICE;
	if (!s->ops->hello(s->ctx, &s->guid, m->version.trigger))
		return apf_close(s, APF_CLOSE_HELLO_REFUSED, 0);
	return apf_error(s);
}

static bool guid_is_blank(const struct guid *g)
{
	for (size_t i = 1; i < sizeof(g->b); i++) {
		if (g->b[i] != g->b[0])
			return false;
	}
	return g->b[0] == 0 || g->b[0] == 0xff;
}

static bool guid_refused(const struct apf_session *s)
{
	return s->limits->refuse_blank_guids && guid_is_blank(&s->guid);
}

/* Firmware expects 14 octets here (apf.md 5.4), then the end of the tunnel. */
static int refuse(struct apf_session *s, enum apf_close_reason why)
{
	apf_send(s, &(struct apf_msg){.type = APF_USERAUTH_FAILURE,
	                              .auth_failure.methods = span_str(APF_METHOD_PASSWORD)});
	return apf_close(s, why, 0);
}

static void authenticated(struct apf_session *s, enum apf_state next, uint64_t now_ms)
{
	s->state = (uint8_t)next;
	s->phase_ms = now_ms;
}

int apf_auth_settle(struct apf_session *s, bool ok, uint64_t now_ms)
{
	if (!ok)
		return refuse(s, APF_CLOSE_AUTH_REJECTED);
	authenticated(s, APF_STATE_PFWD_SERVICE, now_ms);
	apf_send(s, &(struct apf_msg){.type = APF_USERAUTH_SUCCESS});
	return 0;
}

static int accept_service(struct apf_session *s, const struct apf_msg *m)
{
	apf_send(s, &(struct apf_msg){.type = APF_SERVICE_ACCEPT, .service = m->service});
	return 0;
}

int apf_on_service(struct apf_session *s, const struct apf_msg *m, uint64_t now_ms)
{
	bool first = s->state == APF_STATE_AUTH_SERVICE;

	if (apf_is(m->service, APF_SERVICE_AUTH) && first) {
		s->state = APF_STATE_USERAUTH;
		return accept_service(s, m);
	}
	if (apf_is(m->service, APF_SERVICE_PFWD) && !first) {
		s->state = APF_STATE_FORWARD;
		return accept_service(s, m);
	}
	/* A device with a verified client certificate may leave userauth out (apf.md 5.3). */
	if (apf_is(m->service, APF_SERVICE_PFWD) && s->ops->client_cert_verified(s->ctx)) {
		if (guid_refused(s))
			return apf_close(s, APF_CLOSE_BLANK_GUID, 0);
		authenticated(s, APF_STATE_FORWARD, now_ms);
		return accept_service(s, m);
	}
	if (apf_is(m->service, APF_SERVICE_AUTH) || apf_is(m->service, APF_SERVICE_PFWD))
		return apf_close(s, APF_CLOSE_OUT_OF_ORDER, APF_DISCONNECT_PROTOCOL_ERROR);
	return apf_close(s, APF_CLOSE_SERVICE, APF_DISCONNECT_SERVICE_NOT_AVAILABLE);
}

static int by_password(struct apf_session *s, const struct apf_userauth *a, uint64_t now_ms)
{
	enum apf_auth answer;

	s->state = APF_STATE_AUTH_WAIT;
	answer = s->ops->userauth(s->ctx, a->user, a->password);
	if (s->state == APF_STATE_CLOSED)
		return apf_error(s);
	if (answer == APF_AUTH_PENDING)
		return 0;
	return apf_auth_settle(s, answer == APF_AUTH_ACCEPT, now_ms);
}

int apf_on_userauth(struct apf_session *s, const struct apf_msg *m, uint64_t now_ms)
{
	const struct apf_userauth *a = &m->auth;

	if (!apf_is(a->service, APF_SERVICE_PFWD))
		return apf_close(s, APF_CLOSE_SERVICE, APF_DISCONNECT_SERVICE_NOT_AVAILABLE);
	if (!text_is_printable(a->user))
		return refuse(s, APF_CLOSE_AUTH_TEXT);
	if (guid_refused(s))
		return refuse(s, APF_CLOSE_BLANK_GUID);
	if (apf_is(a->method, APF_METHOD_PASSWORD) && !a->change)
		return by_password(s, a, now_ms);
	if (apf_is(a->method, APF_METHOD_NONE) && s->ops->client_cert_verified(s->ctx))
		return apf_auth_settle(s, true, now_ms);
	return refuse(s, APF_CLOSE_AUTH_METHOD);
}
