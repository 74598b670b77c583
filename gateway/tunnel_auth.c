/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tunnel_auth.c: who dials in (design section 5). Known devices are judged from memory at once; a new device of an accepting group is
 * stored durably first, while its session waits.
 */
#include "gateway/internal.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENROLL_TIMEOUT_MS 20000

static struct addr source_of(const struct tunnel *t)
{
	struct addr a;

	addr_unpack(&a, &t->live.source);
	return a;
}

bool tunnel_hello(void *ctx, const struct guid *guid, uint32_t trigger)
{
	struct tunnel *t = ctx;
	struct addr source = source_of(t);

	t->live.trigger = trigger;
	t->key = (struct device_key){.guid = *guid};
	if (t->attempt != NULL) {
		t->attempt->has_guid = true;
		t->attempt->guid = *guid;
	}
	attempt_reach(t, ATTEMPT_USER, "the device said hello but sent no user and password");
	if (backoff_of_pair(t->w->g, &source, guid, loop_now_ms(t->w->loop)) == 0)
		return true;
	gw_count(GW_REFUSED_BACKOFF);
	attempt_reach(t, ATTEMPT_POLICY,
	              "refused for now: this device sent wrong credentials several times; it may "
	              "try again within minutes");
	return false;
}

/* The device proved who it is: it gets this tunnel, and an older one ends (apf.md 6, re-connection overlap). */
static bool tunnel_adopt(struct tunnel *t, const struct device_key *key)
{
	struct gateway *g = t->w->g;
	struct live_ref old;
	struct addr source = source_of(t);
	struct guid claimed = t->key.guid;

	t->key = *key;
	if (registry_attach(g->registry, key, &t->live, &old) != 0)
		return false; /* deleted this very moment */
	t->attached = true;
	backoff_succeeded(g, &source, &claimed);
	gw_count(GW_AUTH_OK);
	attempt_stage_done(t, GW_STAGE_LOGIN);
	attempt_reach(t, ATTEMPT_READY,
	              "authenticated; waiting for the device to forward its ports");
	if (old.handle != 0) {
		gw_count(GW_REPLACED);
		gateway_close_ref(g, old, "a newer tunnel of the same device took its place");
	}
	return true;
}

/* Asked where mutual TLS replaces user and password (apf.md 5.3): true accepts the device there and then. */
bool tunnel_client_cert(void *ctx)
{
	struct tunnel *t = ctx;
	struct auth_result r;
	struct tls_info info;

	if (t->attached)
		return true;
	if (conn_tls(t->conn) == NULL)
		return false;
	tls_info(conn_tls(t->conn), &info);
	if (!info.peer_cert)
		return false;
	registry_authenticate_cert(t->w->g->registry, &t->key.guid, tls_peer_cn(conn_tls(t->conn)),
	                           &r);
	if (r.verdict == AUTH_KNOWN)
		return tunnel_adopt(t, &r.key);
	attempt_reach(t, ATTEMPT_POLICY, r.detail);
	return false;
}

static void tunnel_refused(struct tunnel *t, enum attempt_stage stage, const char *detail)
{
	struct addr source = source_of(t);

	attempt_reach(t, stage, detail);
	log_event(LOG_WARN, "tunnel_refused", LOG_GUID("device", &t->key.guid),
	          LOG_ADDR("source", &source), LOG_STR("stage", attempt_stage_name(stage)),
	          LOG_STR("why", detail));
}

/* ---- enrolment ---- */

/* Small, for hundreds wait for the disk at once in a storm. */
struct enrolment {
	struct tunnel *t;
	struct device_key key;
	enum device_state state;
	uint64_t time_ms;
	char group[NAME_MAX_LEN + 1];
};

struct enrolment_records {
	struct store_device device;
	struct store_audit audit;
};

static void fill_records(struct enrolment_records *r, const struct enrolment *e)
{
	char id[DEVICE_KEY_TEXT_MAX];

	memset(r, 0, sizeof(*r));
	r->device.key = e->key;
	r->device.state = e->state;
	r->device.created_ms = r->device.updated_ms = e->time_ms;
	(void)str_copy(r->device.group, sizeof(r->device.group), e->group);
	device_key_format(&e->key, id);
	r->audit.time_ms = e->time_ms;
	(void)str_copy(r->audit.principal, sizeof(r->audit.principal), "system");
	(void)str_copy(r->audit.method, sizeof(r->audit.method), "system/Enroll");
	(void)snprintf(r->audit.resource, sizeof(r->audit.resource), "devices/%s", id);
	(void)str_copy(r->audit.outcome, sizeof(r->audit.outcome), "OK");
	(void)snprintf(r->audit.detail, sizeof(r->audit.detail), "enrolled into group %s%s",
	               e->group, e->state == DEVICE_HELD ? ", held for approval" : "");
}

/* Another tunnel of the same device may have been faster: then there is nothing left to do. */
static int enroll_apply(struct store_txn *txn, void *arg)
{
	const struct enrolment *e = arg;
	struct enrolment_records *r = malloc(sizeof(*r));
	int err;

	if (r == NULL)
		return -ERR_NOMEM;
	err = store_device_get(txn, &e->key, &r->device);
	if (err == -ERR_NOT_FOUND) {
		fill_records(r, e);
		err = store_device_put(txn, &r->device);
		if (err == 0)
			err = store_audit_append(txn, &r->audit);
	} else {
		secret_zero(&r->device, sizeof(r->device));
	}
	free(r);
	return err;
}

static void enroll_finish(struct tunnel *t, const struct device_key *key, int err)
{
	bool ok = false;

	t->pending = false;
	if (t->state != TUNNEL_APF)
		return;
	gw_count(err == 0 ? GW_ENROLLED : GW_ENROLL_FAILED);
	if (err == 0)
		ok = tunnel_adopt(t, key);
	else
		tunnel_refused(t, ATTEMPT_POLICY,
		               "right credentials, but the new device could not be stored (see the "
		               "store's state in "
		               "'causeway server status' and the log)");
	if (apf_session_auth_result(&t->apf, ok, loop_now_ms(t->w->loop)) != 0) {
		tunnel_close(t, 0, ok ? "protocol error" : "the device could not be enrolled");
		return;
	}
	conn_pause(t->conn, !apf_session_wants_input(&t->apf));
	tunnel_rearm(t);
}

static void enroll_fiber(void *arg)
{
	struct enrolment *e = arg;
	struct tunnel *t = e->t;
	int err = store_update_patient(t->w->g->store, enroll_apply, e);

	if (err != 0)
		log_event(LOG_ERROR, "enroll_failed", LOG_GUID("device", &e->key.guid),
		          LOG_ERR("err", err));
	else
		log_event(LOG_INFO, "enrolled", LOG_GUID("device", &e->key.guid),
		          LOG_U64("instance", e->key.instance), LOG_STR("group", e->group),
		          LOG_BOOL("held", e->state == DEVICE_HELD));
	enroll_finish(t, &e->key, err);
	free(e);
	tunnel_unref(t);
}

static enum apf_auth tunnel_enroll(struct tunnel *t, const struct auth_result *r)
{
	struct enrolment *e = malloc(sizeof(*e));

	if (e == NULL)
		return APF_AUTH_REJECT;
	*e = (struct enrolment){
		.t = t, .key = r->key, .state = r->state, .time_ms = (uint64_t)clock_wall_ms()};
	(void)str_copy(e->group, sizeof(e->group), r->group);
	if (fiber_spawn("enroll", enroll_fiber, e, loop_now_ms(t->w->loop) + ENROLL_TIMEOUT_MS) ==
	    NULL) {
		free(e);
		return APF_AUTH_REJECT;
	}
	(void)tunnel_ref(t);
	t->pending = true;
	return APF_AUTH_PENDING;
}

/* ---- the answer ---- */

static enum apf_auth tunnel_wrong(struct tunnel *t, enum attempt_stage stage, const char *detail)
{
	struct addr source = source_of(t);

	backoff_failed(t->w->g, &source, &t->key.guid, loop_now_ms(t->w->loop));
	tunnel_refused(t, stage, detail);
	return APF_AUTH_REJECT;
}

static enum apf_auth tunnel_judge(struct tunnel *t, const struct auth_result *r)
{
	switch (r->verdict) {
	case AUTH_KNOWN:
		return tunnel_adopt(t, &r->key) ? APF_AUTH_ACCEPT : APF_AUTH_REJECT;
	case AUTH_ENROLL:
		return tunnel_enroll(t, r);
	case AUTH_BAD_USER:
		gw_count(GW_AUTH_BAD_USER);
		return tunnel_wrong(t, ATTEMPT_USER,
		                    "no group and no device has this CIRA user name");
	case AUTH_BAD_PASSWORD:
		gw_count(GW_AUTH_BAD_PASSWORD);
		return tunnel_wrong(t, ATTEMPT_PASSWORD,
		                    "the user name is right, the password is not");
	case AUTH_POLICY:
	default:
		gw_count(GW_AUTH_POLICY);
		tunnel_refused(t, ATTEMPT_POLICY, r->detail);
		return APF_AUTH_REJECT;
	}
}

enum apf_auth tunnel_userauth(void *ctx, struct span user, struct span password)
{
	struct tunnel *t = ctx;
	struct auth_result r;

	if (t->attempt != NULL)
		(void)str_copy_span(t->attempt->user, sizeof(t->attempt->user), user);
	registry_authenticate(t->w->g->registry, &t->key.guid, user, password, &r);
	if (t->attempt != NULL)
		(void)str_copy(t->attempt->group, sizeof(t->attempt->group), r.group);
	return tunnel_judge(t, &r);
}
