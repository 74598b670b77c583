/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * power.c: power state and power actions (amt.md B.2): CIM_AssociatedPowerManagementService tells the state and what is offered,
 * CIM_PowerManagementService.RequestPowerStateChange does it.
 */
#include "amt/call.h"
#include "amt/session.h"
#include "core/err.h"
#include "core/log.h"

#include <stdio.h>

#define FOLLOW_MS      60000 /* how long the state is watched after a change */
#define FOLLOW_STEP_MS 500
#define FOLLOW_SAME    20    /* so many equal reads end the watch early ... */
#define FOLLOW_MIN_MS  20000 /* ... but not before: a power cycle takes its time */

/* What each action is in CIM, and whether it needs the operating system's cooperation. */
static const struct {
	const char *name;
	uint32_t cim;     /* requested PowerState */
	uint32_t cim_alt; /* another value that devices offer for the same, 0 none */
	bool cooperative;
} actions[AMT_POWER_ACTION_COUNT] = {
	[AMT_POWER_ON] = {"on", 2, 0, false},
	[AMT_POWER_FORCE_OFF] = {"off", 8, 6, false},
	[AMT_POWER_CYCLE] = {"cycle", 5, 9, false},
	[AMT_POWER_FORCE_RESTART] = {"reset", 10, 0, false},
	[AMT_POWER_GRACEFUL_SHUTDOWN] = {"graceful-off", 12, 13, true},
	[AMT_POWER_GRACEFUL_RESTART] = {"graceful-restart", 14, 15, true},
	[AMT_POWER_SOFT_OFF] = {"soft-off", 8, 0, false},
	[AMT_POWER_SLEEP] = {"sleep", 4, 3, true},
	[AMT_POWER_HIBERNATE] = {"hibernate", 7, 0, true},
	[AMT_POWER_NMI] = {"nmi", 11, 0, false},
};

const char *amt_power_action_name(enum amt_power_action a)
{
	return a > 0 && a < AMT_POWER_ACTION_COUNT ? actions[a].name : "";
}

/* CIM's states, where several stand for one of ours. */
static enum power_state state_of(uint32_t cim)
{
	switch (cim) {
	case 2:
		return POWER_ON;
	case 3:
		return POWER_SLEEP_LIGHT;
	case 4:
		return POWER_SLEEP_DEEP;
	case 5:
	case 9:
	case 10:
		return POWER_CYCLING;
	case 6:
	case 13:
		return POWER_OFF_HARD;
	case 7:
		return POWER_HIBERNATE;
	case 8:
	case 12:
		return POWER_OFF_SOFT;
	default:
		return POWER_UNKNOWN;
	}
}

static void note_offer(struct amt_power *p, uint32_t cim)
{
	for (unsigned a = 1; a < AMT_POWER_ACTION_COUNT; a++)
		if (actions[a].cim == cim || (actions[a].cim_alt != 0 && actions[a].cim_alt == cim))
			p->offered[a] = true;
}

/* Which of an action's values the device offers: the usual one unless only the other is there. */
struct reading {
	struct amt_power power;
	uint32_t offered_mask;
	bool found;
};

static int read_state(void *arg, const struct xml_node *n)
{
	struct reading *r = arg;
	uint32_t v;

	if (xml_u32(xml_child(n, "PowerState"), &v) != 0)
		return 0;
	r->power.state = state_of(v);
	r->found = true;
	for (const struct xml_node *a = xml_child(n, "AvailableRequestedPowerStates"); a != NULL;
	     a = xml_next(a, "AvailableRequestedPowerStates")) {
		if (xml_u32(a, &v) != 0 || v >= 32)
			continue;
		r->offered_mask |= 1u << v;
		note_offer(&r->power, v);
	}
	return 1;
}

static int read_power(struct tunnel *t, struct reading *r, struct amt_error *why)
{
	const struct wsman_request rq = {.resource_uri =
	                                         CIM_SCHEMA "CIM_AssociatedPowerManagementService"};
	int err;

	*r = (struct reading){.found = false};
	err = amt_call_enumerate(t, &rq, read_state, r, why);
	if (err == 0 && !r->found) {
		(void)snprintf(why->text, sizeof(why->text), "the device reports no power state");
		return -ERR_PROTOCOL;
	}
	if (err == 0)
		gateway_set_power(tunnel_gateway(t), tunnel_device(t), r->power.state);
	return err;
}

int amt_power_get(struct tunnel *t, struct amt_power *out, struct amt_error *why)
{
	struct reading r;
	int err = read_power(t, &r, why);

	*out = r.power;
	return err;
}

static uint32_t cim_value(enum amt_power_action a, uint32_t offered_mask)
{
	bool usual = (offered_mask & 1u << actions[a].cim) != 0;
	bool other = actions[a].cim_alt != 0 && (offered_mask & 1u << actions[a].cim_alt) != 0;

	return !usual && other ? actions[a].cim_alt : actions[a].cim;
}

/* RequestPowerStateChange on the host's computer system. */
static int request_change(struct tunnel *t, uint32_t cim, struct amt_error *why)
{
	static const char uri[] = CIM_SCHEMA "CIM_PowerManagementService";
	static const char input[] = "RequestPowerStateChange_INPUT";
	const struct wsman_selector host[] = {
		{.name = "CreationClassName", .value = "CIM_ComputerSystem"},
		{.name = "Name", .value = "ManagedSystem"},
	};
	const struct wsman_epr managed = {CIM_SCHEMA "CIM_ComputerSystem", host, ARRAY_LEN(host)};
	struct wsman_request rq = {
		.op = WSMAN_INVOKE, .resource_uri = uri, .method = "RequestPowerStateChange"};
	struct wsman_message m;
	struct buf body;
	int err;

	buf_init(&body, 4096);
	wsman_body_begin(&body, uri, input);
	wsman_body_uint(&body, "PowerState", cim);
	wsman_body_epr(&body, "ManagedElement", &managed);
	wsman_body_end(&body, input);
	rq.body = buf_span(&body);
	err = body.err != 0 ? body.err : amt_call(t, &rq, true, &m, why);
	if (err == 0)
		wsman_free(&m);
	buf_free(&body);
	return err;
}

int amt_power_change(struct tunnel *t, enum amt_power_action action, bool force,
                     enum power_state *before, struct amt_error *why)
{
	struct reading r;
	int err;

	ASSERT(action > 0 && action < AMT_POWER_ACTION_COUNT);
	*before = POWER_UNKNOWN;
	err = read_power(t, &r, why);
	if (err != 0)
		return err;
	*before = r.power.state;
	if (actions[action].cooperative && !r.power.offered[action] && !force) {
		(void)snprintf(why->text, sizeof(why->text),
		               "the device does not offer %s now: it needs Intel's management "
		               "software (LMS) running in the operating system",
		               actions[action].name);
		return -ERR_UNSUPPORTED;
	}
	return request_change(t, cim_value(action, r.offered_mask), why);
}

/* ---- watching what comes of it ---- */

static bool follow_on(uint64_t started_ms, uint64_t now_ms, unsigned same)
{
	uint64_t age = now_ms - started_ms;

	return age < FOLLOW_MS && (age < FOLLOW_MIN_MS || same < FOLLOW_SAME);
}

static void follow_fiber(void *arg)
{
	struct tunnel *t = arg;
	struct amt_session *s = session_of(t);
	struct loop *l = tunnel_loop(t);
	uint64_t started = loop_now_ms(l);
	enum power_state last = POWER_UNKNOWN;
	struct amt_error why;
	struct amt_power p;
	unsigned same = 0;

	while (tunnel_alive(t) && follow_on(started, loop_now_ms(l), same)) {
		if (fiber_sleep(FOLLOW_STEP_MS) != 0 || amt_power_get(t, &p, &why) != 0)
			break;
		same = p.state == last ? same + 1 : 0;
		last = p.state;
	}
	s->following = false;
	tunnel_unref(t);
}

void amt_power_follow(struct tunnel *t)
{
	struct amt_session *s = session_of(t);

	if (s == NULL || s->following)
		return;
	if (fiber_spawn("power-follow", follow_fiber, tunnel_ref(t),
	                loop_now_ms(tunnel_loop(t)) + 2 * FOLLOW_MS) == NULL)
		tunnel_unref(t);
	else
		s->following = true;
}
