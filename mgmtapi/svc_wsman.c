/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc_wsman.c: WsmanService. The *_there functions run on the tunnel's worker; what they need lives in struct raw on the heap. Instances
 * of an enumeration come through a relay, each with its length in front, so that a slow client slows the pulls.
 */
#include "causeway/v1/wsman.pb-c.h"
#include "core/err.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/mutation.h"
#include "mgmtapi/dstream.h"

#include <stdlib.h>
#include <string.h>

#define ENUMERATE_MS (10u * 60 * 1000)
#define BODY_MAX     (512 * 1024) /* octets of a body that is sent to a device */
#define RESOURCE_MAX 256

/* One request. Texts are the call's; copied by amt/ before they are used after a wait. */
struct raw {
	struct amt_target at;
	struct amt_selector selectors[AMT_SELECTORS_MAX];
	const char *method;
	struct span body;
	struct buf out;
	struct device_op op;
	struct failure failure;
};

static int get_there(struct tunnel *t, struct device_op *op)
{
	struct raw *r = op->arg;

	return amt_get(t, &r->at, &r->out, &op->why);
}

static int put_there(struct tunnel *t, struct device_op *op)
{
	struct raw *r = op->arg;

	op->sent = true;
	return amt_put(t, &r->at, r->body, &r->out, &op->why);
}

static int create_there(struct tunnel *t, struct device_op *op)
{
	struct raw *r = op->arg;

	op->sent = true;
	return amt_create(t, &r->at, r->body, &r->out, &op->why);
}

static int delete_there(struct tunnel *t, struct device_op *op)
{
	struct raw *r = op->arg;

	op->sent = true;
	return amt_delete(t, &r->at, &op->why);
}

static int invoke_there(struct tunnel *t, struct device_op *op)
{
	struct raw *r = op->arg;
	const struct amt_invocation call = {.at = r->at, .method = r->method, .input = r->body};

	op->sent = true;
	return amt_invoke(t, &call, &r->out, &op->why);
}

/* ---- requests ---- */

static int fill_selectors(struct call *c, struct raw *r, Causeway__V1__Selector *const *list,
                          size_t n)
{
	if (n > AMT_SELECTORS_MAX)
		return call_fail(c, CALL_INVALID_ARGUMENT, "SELECTORS_TOO_MANY",
		                 "give the keys of one instance, 8 at most",
		                 "more than 8 selectors");
	for (size_t i = 0; i < n; i++)
		r->selectors[i] = (struct amt_selector){list[i]->name, list[i]->value};
	r->at.selectors = r->selectors;
	r->at.selectors_len = n;
	return 0;
}

static int check_raw(struct call *c, const char *resource, const char *body)
{
	if (resource[0] == '\0' || strlen(resource) > RESOURCE_MAX)
		return call_fail(c, CALL_INVALID_ARGUMENT, "RESOURCE_INVALID",
		                 "give a class name such as AMT_GeneralSettings",
		                 "the resource is empty or too long");
	if (strlen(body) > BODY_MAX)
		return call_fail(c, CALL_INVALID_ARGUMENT, "BODY_TOO_BIG", "512 KiB at most",
		                 "the body is too long");
	return 0;
}

static struct raw *raw_new(struct call *c, const char *resource, const char *body)
{
	struct raw *r = check_raw(c, resource, body) == 0 ? calloc(1, sizeof(*r)) : NULL;

	if (r == NULL) {
		if (call_status(c) == CALL_OK)
			(void)no_memory(c);
		return NULL;
	}
	r->at.resource = resource;
	r->body = span_str(body);
	buf_init(&r->out, AMT_REPLY_MAX + 1);
	r->op = (struct device_op){.arg = r, .limit_ms = DEVICE_OP_MS};
	return r;
}

static int raw_end(struct raw *r, int err)
{
	if (r != NULL)
		buf_free_secret(&r->out);
	free(r);
	return err;
}

/* The class in the audit's detail, and the method if there is one. */
static struct mutation *raw_mutation(struct call *c, const struct raw *r,
                                     const ProtobufCMessage *request, const struct device_key *key)
{
	struct mutation *m = mutation_new(c, request);
	char text[DEVICE_KEY_TEXT_MAX];

	if (m == NULL)
		return NULL;
	device_key_format(key, text);
	mutation_about(m, "devices/%s", text);
	mutation_note(m, "%.120s%s%.100s", r->at.resource, r->method != NULL ? "." : "",
	              r->method != NULL ? r->method : "");
	return m;
}

/* Makes the answer of a mutating method from what came back. */
typedef const ProtobufCMessage *answer_fn(struct raw *r, void *out);

struct raw_call {
	const char *device;
	const ProtobufCMessage *request;
	int (*there)(struct tunnel *t, struct device_op *op);
	answer_fn *answer;
	void *out;
};

static int raw_change(struct call *c, struct raw *r, const struct raw_call *rc)
{
	struct gateway *g = api_of(c)->gateway;
	struct mutation *m;
	struct device_key key;
	int err = find_device(c, rc->device, &key);

	m = err == 0 ? raw_mutation(c, r, rc->request, &key) : NULL;
	if (m == NULL)
		return err != 0 ? err : -ERR_NOMEM;
	err = mutation_begin(m);
	if (err != 0)
		return mutation_finish(m, err == 1 ? 0 : err);
	r->op.fn = rc->there;
	err = device_op_run(g, &key, &r->op);
	if (err != 0) {
		bool untouched = device_op_untouched(&r->op, err);

		(void)failure_from_device(&m->failure, g, &key, &r->op, err);
		return mutation_finish(m, mutation_end(m, NULL, untouched));
	}
	return mutation_finish(m, mutation_end(m, rc->answer(r, rc->out), false));
}

static int raw_read(struct call *c, struct raw *r, const char *device)
{
	struct gateway *g = api_of(c)->gateway;
	struct device_key key;
	int err = find_device(c, device, &key);

	if (err != 0)
		return err;
	r->op.fn = get_there;
	err = device_op_run(g, &key, &r->op);
	if (err == 0)
		return 0;
	(void)failure_from_device(&r->failure, g, &key, &r->op, err);
	return api_fail(c, &r->failure);
}

static char *body_text(struct raw *r)
{
	return (char *)(uintptr_t)buf_cstr(&r->out);
}

/* ---- get, put, create, delete ---- */

static int get_instance(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__GetInstanceRequest *rq = (const void *)request;
	Causeway__V1__GetInstanceResponse out = CAUSEWAY__V1__GET_INSTANCE_RESPONSE__INIT;
	struct raw *r = raw_new(c, rq->resource, "");
	int err = r != NULL ? fill_selectors(c, r, rq->selectors, rq->n_selectors) : -ERR_FAULT;

	if (err == 0)
		err = raw_read(c, r, rq->device);
	if (err == 0) {
		out.body = body_text(r);
		err = call_send(c, &out.base);
	}
	return raw_end(r, err);
}

static const ProtobufCMessage *put_answer(struct raw *r, void *arg)
{
	Causeway__V1__PutInstanceResponse *out = arg;

	causeway__v1__put_instance_response__init(out);
	out->body = body_text(r);
	return &out->base;
}

static int put_instance(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__PutInstanceRequest *rq = (const void *)request;
	Causeway__V1__PutInstanceResponse out;
	const struct raw_call rc = {rq->device, request, put_there, put_answer, &out};
	struct raw *r = raw_new(c, rq->resource, rq->body);
	int err = r != NULL ? fill_selectors(c, r, rq->selectors, rq->n_selectors) : -ERR_FAULT;

	return raw_end(r, err != 0 ? err : raw_change(c, r, &rc));
}

static const ProtobufCMessage *create_answer(struct raw *r, void *arg)
{
	Causeway__V1__CreateInstanceResponse *out = arg;

	causeway__v1__create_instance_response__init(out);
	out->body = body_text(r);
	return &out->base;
}

static int create_instance(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__CreateInstanceRequest *rq = (const void *)request;
	Causeway__V1__CreateInstanceResponse out;
	const struct raw_call rc = {rq->device, request, create_there, create_answer, &out};
	struct raw *r = raw_new(c, rq->resource, rq->body);

	return raw_end(r, r == NULL ? -ERR_FAULT : raw_change(c, r, &rc));
}

static const ProtobufCMessage *delete_answer(struct raw *r, void *arg)
{
	Causeway__V1__DeleteInstanceResponse *out = arg;

	(void)r;
	causeway__v1__delete_instance_response__init(out);
	return &out->base;
}

static int delete_instance(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__DeleteInstanceRequest *rq = (const void *)request;
	Causeway__V1__DeleteInstanceResponse out;
	const struct raw_call rc = {rq->device, request, delete_there, delete_answer, &out};
	struct raw *r = raw_new(c, rq->resource, "");
	int err = r != NULL ? fill_selectors(c, r, rq->selectors, rq->n_selectors) : -ERR_FAULT;

	return raw_end(r, err != 0 ? err : raw_change(c, r, &rc));
}

/* ---- invoke ---- */

static const ProtobufCMessage *invoke_answer(struct raw *r, void *arg)
{
	Causeway__V1__InvokeMethodResponse *out = arg;

	causeway__v1__invoke_method_response__init(out);
	out->body = body_text(r);
	out->has_return_value = r->op.why.has_return_value;
	out->return_value = r->op.why.return_value;
	return &out->base;
}

static int invoke_method(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__InvokeMethodRequest *rq = (const void *)request;
	Causeway__V1__InvokeMethodResponse out;
	const struct raw_call rc = {rq->device, request, invoke_there, invoke_answer, &out};
	struct raw *r = raw_new(c, rq->resource, rq->body);
	int err = r != NULL ? fill_selectors(c, r, rq->selectors, rq->n_selectors) : -ERR_FAULT;

	if (err == 0 && rq->method[0] == '\0')
		err = call_fail(c, CALL_INVALID_ARGUMENT, "METHOD_MISSING",
		                "give a method such as RequestPowerStateChange",
		                "the field method is empty");
	if (err == 0) {
		r->method = rq->method;
		err = raw_change(c, r, &rc);
	}
	return raw_end(r, err);
}

/* ---- enumerate ---- */

/* Lives as long as the relay: the call may be gone while the worker still pulls. */
struct pulling {
	char resource[RESOURCE_MAX + 1];
	uint32_t max, count;
	struct dstream *stream;
};

static int one_item(void *arg, struct span item)
{
	struct pulling *p = arg;
	struct buf head;
	int err;

	if (p->max != 0 && p->count == p->max)
		return 1;
	buf_init(&head, 4);
	buf_put_u32(&head, (uint32_t)item.len);
	err = head.err != 0 ? head.err
	                    : dstream_put_all(p->stream, DSTREAM_TO_CLIENT, buf_span(&head));
	buf_free(&head);
	if (err == 0)
		err = dstream_put_all(p->stream, DSTREAM_TO_CLIENT, item);
	p->count++;
	return err == 0 && p->max != 0 && p->count == p->max ? 1 : err;
}

static int enumerate_there(struct tunnel *t, struct device_op *op)
{
	struct dstream *r = op->arg;
	struct pulling *p = dstream_user(r);
	const struct amt_target at = {.resource = p->resource};
	int err;

	p->stream = r;
	dstream_device_here(r);
	err = amt_enumerate(t, &at, one_item, p, &op->why);
	dstream_device_gone(r);
	return err;
}

/* What has come of the item that is on its way. */
struct assembling {
	struct call *c;
	struct dstream *r;
	struct buf item;
	size_t want;
	bool has_length;
};

static int send_item(struct assembling *a)
{
	Causeway__V1__EnumerateInstancesResponse out =
		CAUSEWAY__V1__ENUMERATE_INSTANCES_RESPONSE__INIT;
	int err;

	out.body = (char *)(uintptr_t)buf_cstr(&a->item);
	err = call_send(a->c, &out.base);
	buf_clear(&a->item);
	a->has_length = false;
	return err;
}

/* Takes the length, then the text. True: something came. */
static bool take_some(struct assembling *a, int *err)
{
	size_t want = a->has_length ? a->want : 4, n;
	uint8_t *at = buf_reserve(&a->item, want - a->item.len + 1);
	struct cur cur;

	if (at == NULL) {
		*err = a->item.err;
		return false;
	}
	n = dstream_take(a->r, DSTREAM_TO_CLIENT, at, want - a->item.len);
	a->item.len += n;
	if (a->item.len < want)
		return n > 0;
	if (a->has_length) {
		*err = send_item(a);
		return true;
	}
	cur = cur_of(buf_span(&a->item));
	a->want = cur_u32(&cur);
	a->has_length = true;
	buf_clear(&a->item);
	if (a->want > AMT_REPLY_MAX)
		*err = -ERR_TOO_BIG;
	else if (a->want == 0)
		*err = send_item(a);
	return true;
}

static int stream_items(struct assembling *a, const struct device_op **op, int *result)
{
	int err = 0;

	while (err == 0) {
		bool ended = dstream_ended(a->r, op, result);
		bool moved = take_some(a, &err);

		if (err == 0 && ended && !moved)
			return 0;
		if (err == 0 && !moved)
			err = fiber_wait();
	}
	return err;
}

static struct dstream *start_pulling(struct call *c, const struct device_key *key,
                                     const Causeway__V1__EnumerateInstancesRequest *rq)
{
	struct dstream_opts opts = {
		.gateway = api_of(c)->gateway,
		.key = *key,
		.fn = enumerate_there,
		.limit_ms = ENUMERATE_MS,
		.free_user = free,
	};
	struct pulling *p = calloc(1, sizeof(*p));
	struct dstream *r;

	if (p == NULL)
		return NULL;
	(void)str_copy(p->resource, sizeof(p->resource), rq->resource);
	p->max = rq->max_items;
	opts.user = p;
	r = dstream_start(&opts);
	if (r == NULL)
		free(p);
	return r;
}

static int enumerate_instances(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__EnumerateInstancesRequest *rq = (const void *)request;
	struct assembling a = {.c = c};
	const struct device_op *op;
	struct device_key key;
	struct failure *f = call_alloc(c, sizeof(*f));
	int err = check_raw(c, rq->resource, ""), result = 0;

	if (err == 0)
		err = find_device(c, rq->device, &key);
	if (err != 0)
		return err;
	a.r = f != NULL ? start_pulling(c, &key, rq) : NULL;
	if (a.r == NULL)
		return no_memory(c);
	buf_init(&a.item, AMT_REPLY_MAX + 8);
	err = stream_items(&a, &op, &result);
	if (err == 0 && result != 0) {
		(void)failure_from_device(f, api_of(c)->gateway, &key, op, result);
		err = api_fail(c, f);
	} else if (err != 0) {
		err = call_fail_err(c, err, "the enumeration");
	}
	buf_free(&a.item);
	dstream_leave(a.r);
	return err;
}

static const struct service_method methods[] = {
	{"GetInstance", &causeway__v1__get_instance_request__descriptor,
         &causeway__v1__get_instance_response__descriptor, get_instance},
	{"PutInstance", &causeway__v1__put_instance_request__descriptor,
         &causeway__v1__put_instance_response__descriptor, put_instance},
	{"CreateInstance", &causeway__v1__create_instance_request__descriptor,
         &causeway__v1__create_instance_response__descriptor, create_instance},
	{"DeleteInstance", &causeway__v1__delete_instance_request__descriptor,
         &causeway__v1__delete_instance_response__descriptor, delete_instance},
	{"EnumerateInstances", &causeway__v1__enumerate_instances_request__descriptor,
         &causeway__v1__enumerate_instances_response__descriptor, enumerate_instances},
	{"InvokeMethod", &causeway__v1__invoke_method_request__descriptor,
         &causeway__v1__invoke_method_response__descriptor, invoke_method},
};

const struct service wsman_service = {"causeway.v1.WsmanService", methods, ARRAY_LEN(methods),
                                      false};
