/* SPDX-License-Identifier: GPL-3.0-or-later */
/* svc_power.c: PowerService but for the batch. Handlers run in their call's fiber; power_there and read_there on the tunnel's worker. */
#include "mgmtapi/power.h"
#include "causeway/v1/power.pb-c.h"
#include "core/clock.h"
#include "core/err.h"
#include "google/protobuf/duration.pb-c.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/mutation.h"
#include "mgmtapi/pending.h"

#include <stdlib.h>
#include <string.h>

#define DELAY_MAX_MS (24ull * 3600 * 1000)

_Static_assert((int)CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_NMI == (int)AMT_POWER_NMI, "actions");
_Static_assert((int)CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_SOFT_OFF == (int)AMT_POWER_SOFT_OFF,
               "actions");
_Static_assert((int)CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_POWER_CYCLE == (int)AMT_POWER_CYCLE,
               "actions");

/* ---- doing it ---- */

static int power_there(struct tunnel *t, struct device_op *op)
{
	struct power_change *ch = op->arg;
	int err;

	op->sent = true;
	err = amt_power_change(t, ch->action, ch->force, &ch->before, &op->why);
	if (err == 0)
		amt_power_follow(t);
	return err;
}

int power_change_run(struct gateway *g, const struct device_key *key, struct power_change *ch,
                     struct failure *f, bool *untouched)
{
	struct device_op op = {.fn = power_there, .arg = ch, .limit_ms = DEVICE_OP_MS};
	int err = device_op_run(g, key, &op);

	*untouched = err != 0 && device_op_untouched(&op, err);
	return err != 0 ? failure_from_device(f, g, key, &op, err) : 0;
}

/* ---- reading ---- */

static int read_there(struct tunnel *t, struct device_op *op)
{
	return amt_power_get(t, op->arg, &op->why);
}

static int read_power(struct call *c, const struct device_key *key, struct amt_power *out)
{
	struct device_op op = {.fn = read_there, .arg = out, .limit_ms = DEVICE_OP_MS};
	struct gateway *g = api_of(c)->gateway;
	struct failure *f;
	int err = device_op_run(g, key, &op);

	if (err == 0)
		return 0;
	f = call_alloc(c, sizeof(*f));
	if (f == NULL)
		return no_memory(c);
	(void)failure_from_device(f, g, key, &op, err);
	return api_fail(c, f);
}

struct remembered {
	enum power_state state;
	uint64_t at_ms;
};

static void remember(void *arg, const struct device_view *v)
{
	struct remembered *r = arg;

	*r = (struct remembered){v->power, v->power_ms};
}

static int64_t duration_ms(const Google__Protobuf__Duration *d)
{
	int64_t s = MIN(MAX(d->seconds, (int64_t)-1000000000), (int64_t)1000000000);

	return s * 1000 + d->nanos / 1000000;
}

static int get_state(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__GetPowerStateRequest *rq = (const void *)request;
	Causeway__V1__GetPowerStateResponse out = CAUSEWAY__V1__GET_POWER_STATE_RESPONSE__INIT;
	struct msg_mem mem = msg_mem_of(call_allocator(c));
	struct remembered r = {POWER_UNKNOWN, 0};
	struct device_key key;
	struct amt_power power;
	char text[DEVICE_KEY_TEXT_MAX];
	int err = find_device(c, rq->device, &key);

	if (err != 0)
		return err;
	if (gateway_device_view(api_of(c)->gateway, &key, remember, &r) != 0)
		return device_gone(c, rq->device);
	out.cached = rq->max_age != NULL && r.at_ms != 0 &&
	             clock_wall_ms() - (int64_t)r.at_ms <= duration_ms(rq->max_age);
	if (!out.cached) {
		err = read_power(c, &key, &power);
		if (err != 0)
			return err;
		r = (struct remembered){power.state, (uint64_t)clock_wall_ms()};
	}
	device_key_format(&key, text);
	out.device = msg_text(&mem, text);
	out.power_state = (Causeway__V1__PowerState)r.state;
	out.observed_time = msg_time(&mem, r.at_ms);
	return mem.failed ? no_memory(c) : call_send(c, &out.base);
}

static Causeway__V1__PendingPower *pending_msg(struct msg_mem *m, const struct pending_power *p)
{
	Causeway__V1__PendingPower *out = msg_take(m, sizeof(*out));

	if (out == NULL)
		return NULL;
	causeway__v1__pending_power__init(out);
	out->action = (Causeway__V1__PowerAction)p->action;
	out->due_time = msg_time(m, p->due_ms);
	out->requested_by = msg_text(m, p->principal);
	return out;
}

static int get_capabilities(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__GetPowerCapabilitiesRequest *rq = (const void *)request;
	Causeway__V1__GetPowerCapabilitiesResponse out =
		CAUSEWAY__V1__GET_POWER_CAPABILITIES_RESPONSE__INIT;
	struct msg_mem mem = msg_mem_of(call_allocator(c));
	Causeway__V1__PowerAction actions[AMT_POWER_ACTION_COUNT];
	struct pending_power waiting;
	struct device_key key;
	struct amt_power power;
	char text[DEVICE_KEY_TEXT_MAX];
	int err = find_device(c, rq->device, &key);

	if (err == 0)
		err = read_power(c, &key, &power);
	if (err != 0)
		return err;
	for (unsigned a = 1; a < AMT_POWER_ACTION_COUNT; a++)
		if (power.offered[a])
			actions[out.n_actions++] = (Causeway__V1__PowerAction)a;
	out.actions = actions;
	out.power_state = (Causeway__V1__PowerState)power.state;
	if (pending_find(api_of(c)->pending, &key, &waiting))
		out.pending = pending_msg(&mem, &waiting);
	device_key_format(&key, text);
	out.device = msg_text(&mem, text);
	return mem.failed ? no_memory(c) : call_send(c, &out.base);
}

/* ---- changing ---- */

static void fill_answer(struct msg_mem *mem, Causeway__V1__ChangePowerResponse *out,
                        const struct device_key *key, enum amt_power_action action)
{
	char text[DEVICE_KEY_TEXT_MAX];

	causeway__v1__change_power_response__init(out);
	device_key_format(key, text);
	out->device = msg_text(mem, text);
	out->action = (Causeway__V1__PowerAction)action;
}

static int change_now(struct mutation *m, const struct device_key *key, struct power_change *ch)
{
	Causeway__V1__ChangePowerResponse out;
	struct msg_mem mem = msg_mem_of(call_allocator(m->call));
	bool untouched = false;
	int err = mutation_begin(m);

	if (err != 0)
		return err == 1 ? 0 : err;
	err = power_change_run(api_of(m->call)->gateway, key, ch, &m->failure, &untouched);
	fill_answer(&mem, &out, key, ch->action);
	out.previous_state = (Causeway__V1__PowerState)ch->before;
	return mutation_end(m, err == 0 ? &out.base : NULL, untouched);
}

/*
 * The answer is kept once the action waits, so that a repeated request_id never tells of one that was not taken. The action itself is
 * not kept: it does not outlive the process, and nothing was sent yet, whatever becomes of the request.
 */
static int change_later(struct mutation *m, const struct device_key *key,
                        const struct power_change *ch, int64_t delay_ms)
{
	struct pending_power p = {.key = *key, .action = ch->action, .force = ch->force};
	struct msg_mem mem = msg_mem_of(call_allocator(m->call));
	Causeway__V1__ChangePowerResponse out;
	int err;

	mutation_note(m, "%s in %lld s", amt_power_action_name(ch->action),
	              (long long)(delay_ms / 1000));
	err = mutation_begin(m);
	if (err != 0)
		return err == 1 ? 0 : err;
	p.due_ms = (uint64_t)clock_wall_ms() + (uint64_t)delay_ms;
	(void)str_copy(p.principal, sizeof(p.principal), call_principal(m->call)->name);
	fill_answer(&mem, &out, key, ch->action);
	out.due_time = msg_time(&mem, p.due_ms);
	err = mem.failed ? -ERR_NOMEM : pending_add(api_of(m->call)->pending, &p);
	if (err != 0)
		(void)failure_set(&m->failure, CALL_RESOURCE_EXHAUSTED, "TOO_MANY_DELAYED",
		                  "wait until some of them are done",
		                  "%u delayed actions wait already", PENDING_MAX);
	return mutation_end(m, err == 0 ? &out.base : NULL, true);
}

static int change_power(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__ChangePowerRequest *rq = (const void *)request;
	struct power_change ch = {.action = (enum amt_power_action)rq->action, .force = rq->force};
	int64_t delay_ms = rq->delay != NULL ? duration_ms(rq->delay) : 0;
	struct mutation *m;
	struct device_key key;
	char text[DEVICE_KEY_TEXT_MAX];
	int err;

	if ((int)rq->action <= 0 || (int)rq->action >= AMT_POWER_ACTION_COUNT)
		return call_fail(c, CALL_INVALID_ARGUMENT, "ACTION_INVALID",
		                 "take one of the values of PowerAction",
		                 "the field action is not set or not known");
	if (delay_ms < 0 || delay_ms > (int64_t)DELAY_MAX_MS)
		return call_fail(c, CALL_INVALID_ARGUMENT, "DELAY_INVALID", "0 to 24 hours",
		                 "the delay is out of range");
	err = find_device(c, rq->device, &key);
	m = err == 0 ? mutation_new(c, request) : NULL;
	if (m == NULL)
		return err != 0 ? err : -ERR_NOMEM;
	device_key_format(&key, text);
	mutation_about(m, "devices/%s", text);
	mutation_note(m, "%s%s", amt_power_action_name(ch.action), ch.force ? " (force)" : "");
	err = delay_ms > 0 ? change_later(m, &key, &ch, delay_ms) : change_now(m, &key, &ch);
	return mutation_finish(m, err);
}

/* ---- taking back ---- */

struct taking_back {
	struct api *api;
	struct device_key key;
};

static int apply_cancel(struct mutation *m, struct store_txn *txn, void *arg)
{
	const struct taking_back *t = arg;
	Causeway__V1__CancelPendingPowerResponse out =
		CAUSEWAY__V1__CANCEL_PENDING_POWER_RESPONSE__INIT;
	struct msg_mem mem = msg_mem_of(&m->allocator);
	struct pending_power p;

	(void)txn;
	if (!pending_find(t->api->pending, &t->key, &p))
		return mutation_fail(m, CALL_NOT_FOUND, "NOTHING_PENDING",
		                     "it may have begun; read the power state",
		                     "no delayed action waits for this device");
	out.cancelled = pending_msg(&mem, &p);
	return mem.failed ? -ERR_NOMEM : mutation_respond(m, &out.base);
}

static int cancel_pending(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__CancelPendingPowerRequest *rq = (const void *)request;
	struct taking_back t = {.api = api_of(c)};
	struct pending_power gone;
	struct mutation *m;
	char text[DEVICE_KEY_TEXT_MAX];
	int err = find_device(c, rq->device, &t.key);

	m = err == 0 ? mutation_new(c, request) : NULL;
	if (m == NULL)
		return err != 0 ? err : -ERR_NOMEM;
	device_key_format(&t.key, text);
	mutation_about(m, "devices/%s", text);
	err = mutation_run(m, apply_cancel, &t);
	/* It may have begun while the transaction was written. */
	if (err == 0 && !m->replayed && !pending_remove(t.api->pending, &t.key, &gone))
		err = call_fail(c, CALL_NOT_FOUND, "NOTHING_PENDING", "read the power state",
		                "the delayed action has just begun");
	return mutation_finish(m, err);
}

static const struct service_method methods[] = {
	{"GetPowerState", &causeway__v1__get_power_state_request__descriptor,
         &causeway__v1__get_power_state_response__descriptor, get_state},
	{"GetPowerCapabilities", &causeway__v1__get_power_capabilities_request__descriptor,
         &causeway__v1__get_power_capabilities_response__descriptor, get_capabilities},
	{"ChangePower", &causeway__v1__change_power_request__descriptor,
         &causeway__v1__change_power_response__descriptor, change_power},
	{"CancelPendingPower", &causeway__v1__cancel_pending_power_request__descriptor,
         &causeway__v1__cancel_pending_power_response__descriptor, cancel_pending},
	{"BatchChangePower", &causeway__v1__batch_change_power_request__descriptor,
         &causeway__v1__operation__descriptor, batch_change_power},
};

const struct service power_service = {"causeway.v1.PowerService", methods, ARRAY_LEN(methods),
                                      false};
