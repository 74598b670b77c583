/* SPDX-License-Identifier: GPL-3.0-or-later */
/* raw.c: Get, Put, Create, Delete, Enumerate and Invoke on any class, with XML text in and out. */
#include "amt/call.h"
#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_USUAL 2048

/* A request under way; on the heap, for fibers have small stacks. */
struct raw {
	char uri[WSMAN_URI_MAX];
	struct wsman_selector selectors[AMT_SELECTORS_MAX];
	struct wsman_request rq;
	struct buf body; /* normalized */
};

static int bad(struct amt_error *why, int err, const char *what)
{
	*why = (struct amt_error){.http_status = 0};
	(void)snprintf(why->text, sizeof(why->text), "%s", what);
	return err;
}

static int raw_target(struct raw *r, const struct amt_target *at, struct amt_error *why)
{
	if (at->selectors_len > AMT_SELECTORS_MAX)
		return bad(why, -ERR_TOO_BIG, "more than 8 selectors");
	if (strncmp(at->resource, "http://", 7) == 0) {
		if (!str_copy(r->uri, sizeof(r->uri), at->resource))
			return bad(why, -ERR_TOO_BIG, "the resource URI is too long");
	} else if (wsman_resource_text(at->resource, r->uri) != 0) {
		return bad(why, -ERR_INVALID,
		           "the class must be a name that starts with AMT_, CIM_ or IPS_, or a "
		           "whole resource URI");
	}
	for (size_t i = 0; i < at->selectors_len; i++)
		r->selectors[i] = (struct wsman_selector){.name = at->selectors[i].name,
		                                          .value = at->selectors[i].value};
	r->rq.resource_uri = r->uri;
	r->rq.selectors = r->selectors;
	r->rq.selectors_len = at->selectors_len;
	return 0;
}

static struct raw *raw_new(const struct amt_target *at, enum wsman_op op, struct span body,
                           struct amt_error *why, int *err)
{
	struct raw *r = calloc(1, sizeof(*r));

	*err = -ERR_NOMEM;
	if (r == NULL)
		return NULL;
	r->rq.op = op;
	buf_init(&r->body, WSMAN_REQUEST_MAX);
	*err = raw_target(r, at, why);
	if (*err == 0 && body.len > 0) {
		*err = xml_normalize(body, NULL, &r->body);
		if (*err != 0)
			(void)bad(why, 0, "the body is not one well-formed XML element");
		*err = *err == -ERR_PROTOCOL ? -ERR_INVALID : *err;
	}
	r->rq.body = buf_span(&r->body);
	return r;
}

static void raw_free(struct raw *r)
{
	if (r == NULL)
		return;
	buf_free_secret(&r->body);
	free(r);
}

/* Runs it and writes the answer's body element as text. */
static int raw_run(struct tunnel *t, struct raw *r, struct buf *out, struct amt_error *why)
{
	struct wsman_message m;
	int err = amt_call(t, &r->rq, false, &m, why);

	if (err != 0)
		return err;
	if (m.body != NULL && out != NULL) {
		(void)buf_reserve(out, ANSWER_USUAL); /* else it grows, and moves, four times */
		xml_write_node(out, m.body);
	}
	wsman_free(&m);
	return out != NULL ? out->err : 0;
}

static int raw_once(struct tunnel *t, const struct amt_target *at, enum wsman_op op,
                    struct span body, struct buf *out, struct amt_error *why)
{
	int err;
	struct raw *r = raw_new(at, op, body, why, &err);

	if (err == 0)
		err = raw_run(t, r, out, why);
	raw_free(r);
	return err;
}

int amt_get(struct tunnel *t, const struct amt_target *at, struct buf *out, struct amt_error *why)
{
	return raw_once(t, at, WSMAN_GET, span_str(""), out, why);
}

int amt_put(struct tunnel *t, const struct amt_target *at, struct span body, struct buf *out,
            struct amt_error *why)
{
	return raw_once(t, at, WSMAN_PUT, body, out, why);
}

int amt_create(struct tunnel *t, const struct amt_target *at, struct span body, struct buf *out,
               struct amt_error *why)
{
	return raw_once(t, at, WSMAN_CREATE, body, out, why);
}

int amt_delete(struct tunnel *t, const struct amt_target *at, struct amt_error *why)
{
	return raw_once(t, at, WSMAN_DELETE, span_str(""), NULL, why);
}

int amt_invoke(struct tunnel *t, const struct amt_invocation *call, struct buf *out,
               struct amt_error *why)
{
	int err;
	struct raw *r = raw_new(&call->at, WSMAN_INVOKE, call->input, why, &err);

	if (err == 0 && !xml_is_name(span_str(call->method)))
		err = bad(why, -ERR_INVALID, "the method's name is not one");
	if (err == 0) {
		r->rq.method = call->method;
		err = raw_run(t, r, out, why);
	}
	raw_free(r);
	return err;
}

struct each {
	amt_item_fn *item;
	void *arg;
};

static int each_node(void *arg, const struct xml_node *n)
{
	const struct each *e = arg;
	struct buf text;
	int err;

	buf_init(&text, AMT_REPLY_MAX);
	xml_write_node(&text, n);
	err = text.err != 0 ? text.err : e->item(e->arg, buf_span(&text));
	buf_free(&text);
	return err;
}

int amt_enumerate(struct tunnel *t, const struct amt_target *at, amt_item_fn *item, void *arg,
                  struct amt_error *why)
{
	struct each e = {.item = item, .arg = arg};
	int err;
	struct raw *r = raw_new(at, WSMAN_ENUMERATE, span_str(""), why, &err);

	if (err == 0)
		err = amt_call_enumerate(t, &r->rq, each_node, &e, why);
	raw_free(r);
	return err;
}
