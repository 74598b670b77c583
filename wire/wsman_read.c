/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * wsman_read.c: envelopes that were received. What the prefixes are called does not matter;
 * namespaces are compared.
 */
#include "wire/wsman.h"
#include "core/err.h"
#include "wire/wsman_fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int not_soap(struct wsman_message *m, const char *why)
{
	wsman_free(m);
	m->doc.error = why;
	return -ERR_PROTOCOL;
}

static void take_header(struct wsman_message *m)
{
	m->action = xml_text(xml_child_ns(m->header, WSMAN_NS_WSA, "Action"));
	m->to = xml_text(xml_child_ns(m->header, WSMAN_NS_WSA, "To"));
	m->message_id = xml_text(xml_child_ns(m->header, WSMAN_NS_WSA, "MessageID"));
	m->relates_to = xml_text(xml_child_ns(m->header, WSMAN_NS_WSA, "RelatesTo"));
	m->resource_uri = xml_text(xml_child_ns(m->header, WSMAN_NS_WSMAN, "ResourceURI"));
}

int wsman_read(struct wsman_message *m, struct span text, const struct xml_limits *limits)
{
	const struct xml_node *body;
	int r;

	*m = (struct wsman_message){0};
	r = xml_parse(&m->doc, text, limits);
	if (r != 0)
		return r;
	if (!xml_is(m->doc.root, WSMAN_NS_SOAP, "Envelope"))
		return not_soap(m, "not a SOAP 1.2 envelope");
	body = xml_child_ns(m->doc.root, WSMAN_NS_SOAP, "Body");
	if (body == NULL)
		return not_soap(m, "an envelope without a body");
	m->header = xml_child_ns(m->doc.root, WSMAN_NS_SOAP, "Header");
	m->body = body->child;
	take_header(m);
	if (xml_is(m->body, WSMAN_NS_SOAP, "Fault"))
		wsman_fault_read(m->body, &m->fault);
	return 0;
}

void wsman_free(struct wsman_message *m)
{
	xml_free(&m->doc);
	*m = (struct wsman_message){0};
}

int wsman_check(const struct wsman_message *m, uint64_t message_id)
{
	char want[24];

	/* A fault over a header that could not be read may relate to nothing. */
	if (m->relates_to == NULL)
		return m->fault.kind != WSMAN_FAULT_NONE ? wsman_fault_err(&m->fault)
		                                         : -ERR_PROTOCOL;
	(void)snprintf(want, sizeof(want), "%" PRIu64, message_id);
	if (strcmp(m->relates_to, want) != 0)
		return -ERR_PROTOCOL;
	return wsman_fault_err(&m->fault);
}

const char *wsman_selector(const struct wsman_message *m, const char *name)
{
	const struct xml_node *set = xml_child_ns(m->header, WSMAN_NS_WSMAN, "SelectorSet");
	const struct xml_node *s = xml_child(set, "Selector");

	for (; s != NULL; s = xml_next(s, "Selector")) {
		const char *n = xml_attr(s, "Name");

		if (n != NULL && strcmp(n, name) == 0)
			return s->text;
	}
	return NULL;
}

int wsman_return_value(const struct wsman_message *m, uint32_t *out)
{
	return xml_u32(xml_child(m->body, "ReturnValue"), out);
}

static bool is_answer(const struct wsman_message *m, const char *name)
{
	return xml_is(m->body, WSMAN_NS_WSEN, name);
}

const char *wsman_context(const struct wsman_message *m)
{
	if (!is_answer(m, "EnumerateResponse") && !is_answer(m, "PullResponse"))
		return NULL;
	return xml_text(xml_child_ns(m->body, WSMAN_NS_WSEN, "EnumerationContext"));
}

const struct xml_node *wsman_items(const struct wsman_message *m)
{
	const struct xml_node *items =
		is_answer(m, "PullResponse") ? xml_child_ns(m->body, WSMAN_NS_WSEN, "Items") : NULL;

	return items != NULL ? items->child : NULL;
}

bool wsman_end_of_sequence(const struct wsman_message *m)
{
	return is_answer(m, "PullResponse") &&
	       xml_child_ns(m->body, WSMAN_NS_WSEN, "EndOfSequence") != NULL;
}
