/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc_power_batch.c: PowerService.BatchChangePower. The handler finds the devices, stores the operation with the request, and starts the
 * runner: one fiber that stores progress and up to `parallel` others that each take the next device. All on the call's loop.
 */
#include "causeway/v1/power.pb-c.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/map.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/device_msg.h"
#include "mgmtapi/mutation.h"
#include "mgmtapi/operations.h"
#include "mgmtapi/power.h"

#include <stdlib.h>
#include <string.h>

#define PARALLEL_DEFAULT 32
#define PARALLEL_MAX     256

/* ---- the runner ---- */

struct runner {
	struct api *api;
	struct operation *op;
	enum amt_power_action action;
	bool force;
	unsigned parallel, live;
	struct fiber *keeper;
};

static void work(struct runner *r)
{
	struct failure *f = calloc(1, sizeof(*f));
	bool untouched;
	size_t part;

	while (f != NULL && !fiber_cancelled() && operation_take(r->op, &part)) {
		struct power_change ch = {.action = r->action, .force = r->force};

		f->code = CALL_OK;
		if (power_change_run(r->api->gateway, operation_key(r->op, part), &ch, f,
		                     &untouched) == 0)
			f->code = CALL_OK;
		operation_report(r->op, part, f);
	}
	free(f);
}

static void worker_fiber(void *arg)
{
	struct runner *r = arg;

	work(r);
	r->live--;
	fiber_wake(r->keeper);
}

/* When the process ends, the record stays RUNNING and the next start says INTERRUPTED. */
static void keeper_fiber(void *arg)
{
	struct runner *r = arg;
	bool stopped;
	int err = 0;

	r->keeper = fiber_current();
	for (unsigned i = 0; i < r->parallel; i++)
		if (fiber_spawn("batch", worker_fiber, r, FIBER_NO_DEADLINE) != NULL)
			r->live++;
	if (r->live == 0)
		work(r);
	while (r->live > 0 && err != -ERR_CANCELLED) {
		uint64_t next = clock_mono_ms() + OPERATION_PERSIST_MS;

		while (r->live > 0 && err == 0)
			err = fiber_wait_until(next);
		err = err == -ERR_TIMEOUT ? 0 : err;
		if (err == 0 && r->live > 0 && operation_persist(r->op, false) != 0)
			log_event(LOG_WARN, "progress_not_kept",
			          LOG_STR("operation", operation_id(r->op)));
	}
	stopped = err != 0;
	while (r->live > 0) /* the workers are cancelled as well: the loop ends */
		fiber_yield();
	if (stopped)
		operation_drop(r->op);
	else if (operation_persist(r->op, true) != 0)
		log_event(LOG_ERROR, "outcome_not_kept", LOG_STR("operation", operation_id(r->op)));
	operation_unref(r->op);
	free(r);
}

/* ---- which devices ---- */

struct choosing {
	struct call *c;
	const struct filter *filter;
	struct device_key *keys; /* OPERATION_PARTS_MAX */
	size_t len;
	bool too_many;
	struct map seen;
};

static void choose(struct choosing *ch, const struct device_key *key)
{
	char text[DEVICE_KEY_TEXT_MAX];

	device_key_format(key, text);
	if (map_get(&ch->seen, span_str(text)) != NULL)
		return;
	if (ch->len == OPERATION_PARTS_MAX || map_put(&ch->seen, span_str(text), ch) != 0) {
		ch->too_many = true;
		return;
	}
	ch->keys[ch->len++] = *key;
}

static bool choose_matching(void *arg, const struct device_view *v)
{
	struct choosing *ch = arg;

	if (principal_sees_group((void *)(uintptr_t)call_principal(ch->c), v->group) &&
	    filter_matches(ch->filter, device_filter_value, v))
		choose(ch, &v->key);
	return !ch->too_many;
}

static int choose_named(struct choosing *ch, const Causeway__V1__BatchChangePowerRequest *rq)
{
	struct device_key key;
	int err = 0;

	for (size_t i = 0; i < rq->n_devices && err == 0 && !ch->too_many; i++) {
		err = find_device(ch->c, rq->devices[i], &key);
		if (err == 0)
			choose(ch, &key);
	}
	return err;
}

static int choose_filtered(struct choosing *ch, const Causeway__V1__BatchChangePowerRequest *rq)
{
	struct filter *f = calloc(1, sizeof(*f));
	struct buf why;
	int err = f != NULL ? 0 : no_memory(ch->c);

	buf_init(&why, CALL_MESSAGE_MAX);
	if (err == 0 && filter_parse(rq->filter, &device_filter, f, &why) != 0)
		err = call_fail(ch->c, CALL_INVALID_ARGUMENT, "FILTER_INVALID", "as in ListDevices",
		                "%s", buf_cstr(&why));
	if (err == 0) {
		ch->filter = f;
		gateway_device_each(api_of(ch->c)->gateway, NULL, choose_matching, ch);
	}
	buf_free(&why);
	free(f);
	return err;
}

static int choose_all(struct choosing *ch, const Causeway__V1__BatchChangePowerRequest *rq)
{
	int err;

	map_init(&ch->seen, 0, OPERATION_PARTS_MAX);
	err = choose_named(ch, rq);
	if (err == 0 && rq->filter[0] != '\0')
		err = choose_filtered(ch, rq);
	map_free(&ch->seen);
	if (err != 0)
		return err;
	if (ch->too_many)
		return call_fail(ch->c, CALL_INVALID_ARGUMENT, "TOO_MANY_DEVICES",
		                 "split it into several batches", "more than %u devices",
		                 OPERATION_PARTS_MAX);
	if (ch->len == 0)
		return call_fail(ch->c, CALL_INVALID_ARGUMENT, "NO_DEVICES",
		                 "name devices, or give a filter that matches some",
		                 "no device is named or matches");
	return 0;
}

/* ---- the call ---- */

static int apply_batch(struct mutation *m, struct store_txn *txn, void *arg)
{
	struct operation *op = arg;
	struct msg_mem mem = msg_mem_of(&m->allocator);
	Causeway__V1__Operation *msg = operation_msg(op, &mem, false);
	int err = msg != NULL ? operation_put(op, txn) : -ERR_NOMEM;

	return err == 0 ? mutation_respond(m, &msg->base) : err;
}

static int start(struct call *c, struct operation *op,
                 const Causeway__V1__BatchChangePowerRequest *rq)
{
	struct runner *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ERR_NOMEM;
	*r = (struct runner){.api = api_of(c),
	                     .op = op,
	                     .action = (enum amt_power_action)rq->action,
	                     .force = rq->force};
	r->parallel =
		rq->parallel == 0 ? PARALLEL_DEFAULT : MIN(rq->parallel, (uint32_t)PARALLEL_MAX);
	if (fiber_spawn("batch-keeper", keeper_fiber, r, FIBER_NO_DEADLINE) != NULL)
		return 0;
	free(r);
	return -ERR_FULL;
}

static int run_batch(struct mutation *m, const struct choosing *ch,
                     const Causeway__V1__BatchChangePowerRequest *rq)
{
	struct call *c = m->call;
	const struct operation_spec spec = {
		.kind = "power.batch",
		.principal = call_principal(c)->name,
		.method = call_method(c),
		.resource = "",
		.keys = ch->keys,
		.keys_len = ch->len,
	};
	struct operation *op = operations_add(api_of(c)->operations, &spec);
	int err;

	if (op == NULL)
		return call_fail(c, CALL_RESOURCE_EXHAUSTED, "TOO_MANY_OPERATIONS",
		                 "wait until one of them has ended", "%u operations run already",
		                 OPERATIONS_RUNNING_MAX);
	mutation_about(m, "operations/%s", operation_id(op));
	mutation_note(m, "%s on %zu devices",
	              amt_power_action_name((enum amt_power_action)rq->action), ch->len);
	err = mutation_run(m, apply_batch, op);
	if (err == 0 && !m->replayed) {
		err = start(c, op, rq);
		if (err == 0)
			return 0; /* the reference is the runner's */
		operation_cancel(op);
		(void)operation_persist(op, true);
		err = call_fail_err(c, err, "the batch was not started");
	} else {
		operation_drop(op);
	}
	operation_unref(op);
	return err;
}

int batch_change_power(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__BatchChangePowerRequest *rq = (const void *)request;
	struct choosing ch = {.c = c};
	struct mutation *m;
	int err;

	if ((int)rq->action <= 0 || (int)rq->action >= AMT_POWER_ACTION_COUNT)
		return call_fail(c, CALL_INVALID_ARGUMENT, "ACTION_INVALID",
		                 "take one of the values of PowerAction",
		                 "the field action is not set or not known");
	m = mutation_new(c, request);
	if (m == NULL)
		return -ERR_NOMEM;
	err = mutation_kept(m); /* a filter matches other devices by now */
	if (err != 0)
		return mutation_finish(m, err == 1 ? 0 : err);
	ch.keys = calloc(OPERATION_PARTS_MAX, sizeof(*ch.keys));
	err = ch.keys != NULL ? choose_all(&ch, rq) : no_memory(c);
	if (err == 0)
		err = run_batch(m, &ch, rq);
	free(ch.keys);
	return mutation_finish(m, err);
}
