/* SPDX-License-Identifier: GPL-3.0-or-later */
/* call.c: WSMAN over the session's HTTP: envelope out, envelope in, faults and return values to errors (amt.md A.5-A.8). */
#include "amt/call.h"
#include "amt/session.h"
#include "amt/stages.h"
#include "core/err.h"
#include "core/metric.h"

#include <stdio.h>

#define PULLS_MAX 1024 /* a device that never ends its sequence is stopped */

/* What came of a call, for the metric. */
static const struct {
	int err;
	const char *labels;
} results[] = {
	{0, "result=ok"},
	{-ERR_FAULT, "result=fault"},            /* a SOAP fault or a return value */
	{-ERR_UNAUTHENTICATED, "result=denied"}, /* the AMT account */
	{-ERR_TIMEOUT, "result=timeout"},
	{-ERR_CANCELLED, "result=cancelled"},
	{-ERR_CLOSED, "result=lost"},     /* the tunnel or the channel */
	{-ERR_REFUSED, "result=refused"}, /* the port */
	{-ERR_FULL, "result=busy"},       /* too many wait for a channel */
	{-ERR_PROTOCOL, "result=protocol"},
	{-ERR_INTERNAL, "result=failed"}, /* the rest */
};

static struct metric *calls[ARRAY_LEN(results)], *latency;

void amt_metrics(void)
{
	for (size_t i = 0; i < ARRAY_LEN(results); i++)
		calls[i] = metric_counter("causeway_wsman_calls_total", "WSMAN calls to devices.",
		                          results[i].labels);
	latency = metric_histogram(AMT_CALL_METRIC,
	                           "Time of a WSMAN call, with waiting for its turn.", NULL,
	                           &metric_latency_ms);
	stages_metrics();
}

static void count(int err, uint64_t took_us)
{
	size_t i = 0;

	if (latency == NULL)
		return;
	while (i + 1 < ARRAY_LEN(results) && results[i].err != err)
		i++;
	metric_inc(calls[i]);
	metric_observe(latency, took_us / 1000);
}

static int fault_to_error(const struct wsman_message *m, struct amt_error *why)
{
	const struct wsman_fault *f = &m->fault;

	(void)str_copy(why->subcode, sizeof(why->subcode), f->subcode);
	why->absent = f->kind == WSMAN_FAULT_ABSENT;
	(void)snprintf(why->text, sizeof(why->text),
	               "the device answered with the fault %s: %s%s%s", f->subcode, f->reason,
	               f->detail[0] != '\0' ? " - " : "", f->detail);
	return wsman_fault_err(f);
}

static int judge_return_value(const struct wsman_request *rq, const struct wsman_message *m,
                              bool judge, struct amt_error *why)
{
	uint32_t value;

	if (rq->op != WSMAN_INVOKE || wsman_return_value(m, &value) != 0)
		return 0;
	why->has_return_value = true;
	why->return_value = value;
	if (!judge || value == 0)
		return 0;
	(void)snprintf(why->text, sizeof(why->text), "the device refused %s: return value %u (%s)",
	               rq->method, value, wsman_return_name(rq->resource_uri, rq->method, value));
	return -ERR_FAULT;
}

/* An answer that is not SOAP: the status says more than the body (amt.md A.2: HTML pages). */
static int not_soap(const struct amt_exchange *x, const struct wsman_message *m, int err,
                    struct amt_error *why)
{
	(void)snprintf(why->text, sizeof(why->text),
	               "the device answered with HTTP status %d and no usable SOAP body (%s)",
	               x->status, m->doc.error != NULL ? m->doc.error : err_text(err));
	return err == -ERR_NOMEM || err == -ERR_TOO_BIG ? err : -ERR_PROTOCOL;
}

static int exchange(struct amt_session *s, struct wsman_request *rq, struct amt_exchange *x,
                    struct amt_error *why)
{
	struct buf envelope;
	int err;

	buf_init(&envelope, WSMAN_REQUEST_MAX);
	rq->message_id = ++s->message_id;
	err = wsman_write(&envelope, rq);
	if (err == 0) {
		x->body = buf_span(&envelope);
		err = http_exchange(s, x, why);
	} else {
		(void)snprintf(why->text, sizeof(why->text), "the request cannot be written: %s",
		               err_text(err));
	}
	buf_free_secret(&envelope); /* may hold passwords */
	return err;
}

static int read_answer(const struct wsman_request *rq, const struct amt_exchange *x, bool judge,
                       struct wsman_message *out, struct amt_error *why)
{
	int err = wsman_read(out, buf_span(&x->answer), NULL);

	if (err != 0)
		return not_soap(x, out, err, why);
	if (out->fault.kind != WSMAN_FAULT_NONE)
		err = fault_to_error(out, why);
	else if (x->status != 200)
		err = not_soap(x, out, -ERR_PROTOCOL, why);
	else
		err = wsman_check(out, rq->message_id);
	if (err == -ERR_PROTOCOL && why->text[0] == '\0')
		(void)snprintf(why->text, sizeof(why->text),
		               "the device's answer belongs to another request");
	if (err == 0)
		err = judge_return_value(rq, out, judge, why);
	if (err != 0)
		wsman_free(out);
	return err;
}

/* In its turn: the session's lock is held. */
static int call_in_turn(struct amt_session *s, struct amt_stages *stages, struct wsman_request *rq,
                        struct amt_exchange *x, struct amt_error *why)
{
	int err;

	s->stages = stages;
	err = exchange(s, rq, x, why);
	s->stages = NULL;
	session_release(s);
	return err;
}

int amt_call(struct tunnel *t, struct wsman_request *rq, bool judge, struct wsman_message *out,
             struct amt_error *why)
{
	struct amt_session *s = session_of(t);
	struct amt_exchange x = {.repeatable = rq->op == WSMAN_GET || rq->op == WSMAN_ENUMERATE};
	struct amt_stages stages;
	int err;

	*why = (struct amt_error){.http_status = 0};
	if (s == NULL)
		return -ERR_NOMEM;
	stages_begin(&stages, t, rq);
	err = session_acquire(s);
	if (err != 0) {
		(void)snprintf(why->text, sizeof(why->text),
		               "the device is busy with other requests: %s", err_text(err));
		(void)stages_end(&stages);
		return err;
	}
	buf_init(&x.answer, AMT_REPLY_MAX);
	err = call_in_turn(s, &stages, rq, &x, why);
	if (err == 0)
		err = read_answer(rq, &x, judge, out, why);
	buf_free_secret(&x.answer);
	count(err, stages_end(&stages));
	return err;
}

int amt_call_get(struct tunnel *t, const char *resource_uri, struct wsman_message *out,
                 struct amt_error *why)
{
	struct wsman_request rq = {.op = WSMAN_GET, .resource_uri = resource_uri};

	return amt_call(t, &rq, true, out, why);
}

/* The next context, copied: it lives in the message that is freed. */
static int keep_context(const struct wsman_message *m, struct buf *context)
{
	const char *c = wsman_context(m);

	buf_clear(context);
	if (c != NULL)
		buf_put_str(context, c);
	return context->err;
}

static int each_item(const struct wsman_message *m, amt_node_fn *item, void *arg)
{
	int err = 0;

	for (const struct xml_node *n = wsman_items(m); n != NULL && err == 0; n = n->next)
		err = item(arg, n);
	return err;
}

/* Enumerate, then Pull until the device says that it is the end. */
int amt_call_enumerate(struct tunnel *t, const struct wsman_request *base, amt_node_fn *item,
                       void *arg, struct amt_error *why)
{
	struct wsman_request rq = *base;
	struct wsman_message m;
	struct buf context;
	bool end = false;
	int err;

	buf_init(&context, 1024);
	rq.op = WSMAN_ENUMERATE;
	err = amt_call(t, &rq, true, &m, why);
	if (err == 0) {
		err = keep_context(&m, &context);
		wsman_free(&m);
	}
	for (unsigned pulls = 0; err == 0 && !end; pulls++) {
		rq.op = WSMAN_PULL;
		rq.context = buf_span(&context);
		err = pulls < PULLS_MAX ? amt_call(t, &rq, true, &m, why) : -ERR_TOO_BIG;
		if (err != 0)
			break;
		err = each_item(&m, item, arg);
		end = wsman_end_of_sequence(&m) || wsman_context(&m) == NULL;
		if (err == 0)
			err = keep_context(&m, &context);
		wsman_free(&m);
	}
	buf_free(&context);
	return err == 1 ? 0 : err;
}
