/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sim_wsman.c: the operations on classes: Get, Put, Create, Delete, Enumerate, Pull and methods. */
#include "bench/fleet/sim_wsman.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/text.h"

struct call {
	struct sim_wsman *w;
	const struct sim_soap_request *req;
	const struct sim_cim_class *cls;
	struct buf *out;
};

static void put_power_states(struct sim_wsman *w, struct buf *out)
{
	uint8_t states[SIM_POWER_AVAILABLE_MAX];
	size_t n = sim_power_available(w->power, w->now_ms, states);

	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%u",
		           i == 0 ? "" : "\nAvailableRequestedPowerStates=", states[i]);
}

/* The words of sim_cim_data.c. */
static void variable(void *user, const char *word, struct buf *out)
{
	struct sim_wsman *w = user;
	const struct sim_facts *f = w->facts;

	if (strcmp(word, "available") == 0)
		put_power_states(w, out);
	else if (strcmp(word, "power") == 0)
		buf_printf(out, "%u", sim_power_state(w->power, w->now_ms));
	else if (strcmp(word, "realm") == 0)
		buf_put_str(out, f->realm);
	else if (strcmp(word, "host") == 0)
		buf_put_str(out, f->host);
	else if (strcmp(word, "domain") == 0)
		buf_put_str(out, f->domain);
	else if (strcmp(word, "fqdn") == 0)
		buf_printf(out, "%s.%s", f->host, f->domain);
	else if (strcmp(word, "version") == 0)
		buf_put_str(out, SIM_WSMAN_VERSION);
	else if (strcmp(word, "build") == 0)
		buf_put_str(out, SIM_WSMAN_BUILD);
	else if (strcmp(word, "serial") == 0)
		buf_put_str(out, f->serial);
	else if (strcmp(word, "address") == 0)
		buf_put_str(out, f->address);
	else if (strcmp(word, "guidraw") == 0)
		for (size_t i = 0; i < sizeof(f->guid.b); i++)
			buf_printf(out, "%02X", f->guid.b[i]);
	else if (strcmp(word, "mac") == 0 || strcmp(word, "machex") == 0)
		for (size_t i = 0; i < sizeof(f->mac); i++)
			buf_printf(out, "%s%02x", i > 0 && word[3] == '\0' ? "-" : "", f->mac[i]);
}

void sim_wsman_init(struct sim_wsman *w, const struct sim_facts *facts, struct sim_power *power)
{
	memset(w, 0, sizeof(*w));
	w->facts = facts;
	w->power = power;
	w->boots_seen = power->boots;
	w->next_context = 0x14;
	sim_cim_init(&w->cim, variable, w);
}

void sim_wsman_free(struct sim_wsman *w)
{
	sim_cim_free(&w->cim);
}

static int fault(struct call *c, enum sim_soap_fault f)
{
	c->w->faults++;
	buf_clear(c->out);
	sim_soap_put_fault(c->out, c->req, ++c->w->message_number, f);
	return 400;
}

static int fault_of(struct call *c, int err)
{
	switch (err) {
	case -ERR_NOT_FOUND:
		return fault(c, SIM_FAULT_UNREACHABLE);
	case -ERR_INVALID:
		return fault(c, SIM_FAULT_SELECTORS);
	default:
		return fault(c, SIM_FAULT_INTERNAL);
	}
}

static void begin(struct call *c, const char *g_uri, const char *h_class, bool common)
{
	sim_soap_begin(c->out, &(struct sim_soap_answer){
				       .request = c->req,
				       .message_number = ++c->w->message_number,
				       .g_uri = g_uri,
				       .h_class = h_class,
				       .common = common,
			       });
}

static bool common_of(const struct sim_cim_class *cls)
{
	return (cls->flags & SIM_CIM_COMMON) != 0;
}

static int answer_instance(struct call *c, struct span text)
{
	begin(c, c->req->resource, NULL, common_of(c->cls));
	sim_soap_put_instance(c->out, c->cls->name, 'g', 'h', text);
	sim_soap_end(c->out);
	return 200;
}

static int do_get(struct call *c)
{
	struct buf text;
	size_t index;
	int err, status;

	if ((c->cls->flags & SIM_CIM_ENUM_ONLY) != 0)
		return fault(c, SIM_FAULT_ACTION);
	buf_init(&text, SIM_CIM_TEXT_MAX);
	err = sim_cim_find(&c->w->cim, c->cls, buf_span(&c->req->selectors), &index, &text);
	status = err == 0 ? answer_instance(c, buf_span(&text)) : fault_of(c, err);
	buf_free(&text);
	return status;
}

/* Boot settings were taken over by a Put: firmware reports that they are no longer cleared. */
static int after_put(struct call *c, size_t index)
{
	if (strcmp(c->cls->name, "AMT_BootSettingData") == 0)
		return sim_cim_set(&c->w->cim, c->cls, index, "OptionsCleared=false\n");
	return 0;
}

static int do_put(struct call *c)
{
	struct buf text, merged;
	size_t index;
	int err, status;

	if ((c->cls->flags & SIM_CIM_PUT) == 0)
		return fault(c, SIM_FAULT_ACTION);
	if (strcmp(c->req->body_name, c->cls->name) != 0)
		return fault(c, SIM_FAULT_SCHEMA);
	buf_init(&text, SIM_CIM_TEXT_MAX);
	buf_init(&merged, SIM_CIM_TEXT_MAX);
	err = sim_cim_find(&c->w->cim, c->cls, buf_span(&c->req->selectors), &index, &text);
	if (err == 0 &&
	    sim_cim_merge(c->cls, buf_span(&text), buf_span(&c->req->params), &merged) != 0) {
		status = fault(c, SIM_FAULT_REPRESENTATION);
	} else {
		if (err == 0)
			err = sim_cim_replace(&c->w->cim, c->cls, index, buf_span(&merged));
		if (err == 0)
			err = after_put(c, index);
		status = err == 0 ? answer_instance(c, buf_span(&merged)) : fault_of(c, err);
	}
	buf_free(&text);
	buf_free(&merged);
	return status;
}

/* The members of text that are keys, in their order. */
static void put_keys(const struct sim_cim_class *cls, struct span text, struct buf *out)
{
	struct span line;

	while (sim_cim_next_line(&text, &line)) {
		if (!sim_cim_list_has(cls->keys, sim_cim_line_name(line)))
			continue;
		buf_put_span(out, line);
		buf_put_u8(out, '\n');
	}
}

static void put_key_selectors(struct buf *out, struct span keys)
{
	struct span line;

	while (sim_cim_next_line(&keys, &line)) {
		struct span name = sim_cim_line_name(line);
		struct span value = span_of(line.ptr + name.len, line.len - name.len);

		buf_put_str(out, "<c:Selector Name=\"");
		sim_soap_put_escaped(out, name);
		buf_put_str(out, "\">");
		if (value.len > 0 && value.ptr[0] == '@') {
			buf_put_str(out, "<b:EndpointReference>");
			sim_soap_put_reference(out, value);
			buf_put_str(out, "</b:EndpointReference>");
		} else if (value.len > 0) {
			sim_soap_put_escaped(out, span_of(value.ptr + 1, value.len - 1));
		}
		buf_put_str(out, "</c:Selector>");
	}
}

static int answer_created(struct call *c, struct span keys)
{
	begin(c, SIM_NS_TRANSFER, NULL, false);
	buf_put_str(c->out, "<g:ResourceCreated><b:Address>" SIM_ANONYMOUS
	                    "</b:Address><b:ReferenceParameters><c:ResourceURI>");
	sim_soap_put_escaped(c->out, span_str(c->req->resource));
	buf_put_str(c->out, "</c:ResourceURI><c:SelectorSet>");
	put_key_selectors(c->out, keys);
	buf_put_str(c->out, "</c:SelectorSet></b:ReferenceParameters></g:ResourceCreated>");
	sim_soap_end(c->out);
	return 200;
}

static int do_create(struct call *c)
{
	struct buf text, keys, old;
	size_t index;
	int status;

	if ((c->cls->flags & SIM_CIM_CREATE) == 0)
		return fault(c, SIM_FAULT_ACTION);
	buf_init(&text, SIM_CIM_TEXT_MAX);
	buf_init(&keys, SIM_CIM_TEXT_MAX);
	buf_init(&old, SIM_CIM_TEXT_MAX);
	/* Only members that the class knows, sorted, as a Put into an empty instance. */
	if (sim_cim_merge(c->cls, span_of(NULL, 0), buf_span(&c->req->params), &text) != 0)
		status = fault(c, SIM_FAULT_REPRESENTATION);
	else
		status = 0;
	put_keys(c->cls, buf_span(&text), &keys);
	if (status == 0 && keys.len == 0)
		status = fault(c, SIM_FAULT_REPRESENTATION);
	if (status == 0 && sim_cim_find(&c->w->cim, c->cls, buf_span(&keys), &index, &old) == 0)
		status = fault(c, SIM_FAULT_EXISTS);
	if (status == 0 && sim_cim_create(&c->w->cim, c->cls, buf_span(&text)) != 0)
		status = fault(c, SIM_FAULT_INTERNAL);
	if (status == 0)
		status = answer_created(c, buf_span(&keys));
	buf_free(&text);
	buf_free(&keys);
	buf_free(&old);
	return status;
}

static int do_delete(struct call *c)
{
	struct buf text;
	size_t index;
	int err;

	if ((c->cls->flags & SIM_CIM_DELETE) == 0)
		return fault(c, SIM_FAULT_ACTION);
	buf_init(&text, SIM_CIM_TEXT_MAX);
	err = sim_cim_find(&c->w->cim, c->cls, buf_span(&c->req->selectors), &index, &text);
	buf_free(&text);
	if (err == 0)
		err = sim_cim_delete(&c->w->cim, c->cls, index);
	if (err != 0)
		return fault_of(c, err);
	begin(c, NULL, NULL, false);
	sim_soap_end(c->out);
	return 200;
}

/* A counter, little-endian in the first group of what looks like a GUID. */
static void put_context(struct buf *b, uint32_t id)
{
	buf_printf(b,
	           "<g:EnumerationContext>%02X%02X%02X%02X-0000-0000-0000-000000000000</"
	           "g:EnumerationContext>",
	           id & 255, id >> 8 & 255, id >> 16 & 255, id >> 24);
}

static int do_enumerate(struct call *c)
{
	size_t slot = c->w->next_context % SIM_WSMAN_CONTEXTS;

	c->w->contexts[slot].id = c->w->next_context++;
	c->w->contexts[slot].cls = c->cls;
	c->w->contexts[slot].pos = 0;
	begin(c, SIM_NS_ENUM, NULL, false);
	buf_put_str(c->out, "<g:EnumerateResponse>");
	put_context(c->out, c->w->contexts[slot].id);
	buf_put_str(c->out, "</g:EnumerateResponse>");
	sim_soap_end(c->out);
	return 200;
}

static size_t context_slot(const struct call *c)
{
	char text[64];
	uint8_t b[4];

	if (!sim_cim_value(buf_span(&c->req->params), "EnumerationContext", text, sizeof(text)) ||
	    strlen(text) < 8 || hex_decode(b, sizeof(b), span_of(text, 8)) != 4)
		return SIM_WSMAN_CONTEXTS;
	for (size_t i = 0; i < SIM_WSMAN_CONTEXTS; i++) {
		uint32_t id = c->w->contexts[i].id;

		if (id != 0 && c->w->contexts[i].cls == c->cls &&
		    id == ((uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 |
		           b[0]))
			return i;
	}
	return SIM_WSMAN_CONTEXTS;
}

static size_t limit_param(const struct call *c, const char *name)
{
	char text[32];
	unsigned long v;

	if (!sim_cim_value(buf_span(&c->req->params), name, text, sizeof(text)))
		return SIZE_MAX;
	v = strtoul(text, NULL, 10);
	return v == 0 ? SIZE_MAX : v;
}

/* Appends items from the context's place on; true when the sequence is at its end. */
static bool put_items(struct call *c, const struct sim_cim_class *cls, size_t slot,
                      struct buf *items)
{
	size_t most = limit_param(c, "MaxElements"), chars = limit_param(c, "MaxCharacters");
	size_t done = 0;

	while (done < most) {
		struct buf text;
		size_t before = items->len;
		int err;

		buf_init(&text, SIM_CIM_TEXT_MAX);
		err = sim_cim_text(&c->w->cim, cls, c->w->contexts[slot].pos, &text);
		if (err == 0)
			sim_soap_put_instance(items, cls->name, 'h', 'i', buf_span(&text));
		buf_free(&text);
		if (err == -ERR_NOT_FOUND)
			return true;
		if (items->len > chars && done > 0) {
			items->len = before;
			return false;
		}
		c->w->contexts[slot].pos++;
		done += err == 0;
	}
	return false;
}

static int do_pull(struct call *c)
{
	size_t slot = context_slot(c);
	const struct sim_cim_class *cls;
	struct buf items;
	bool last;

	if (slot == SIM_WSMAN_CONTEXTS)
		return fault(c, SIM_FAULT_CONTEXT);
	cls = c->cls->items != NULL ? sim_cim_class_by_name(c->cls->items) : c->cls;
	buf_init(&items, SIM_SOAP_RESPONSE_MAX);
	last = put_items(c, cls, slot, &items);
	begin(c, SIM_NS_ENUM, cls->name, common_of(cls));
	buf_put_str(c->out, "<g:PullResponse>");
	if (!last)
		put_context(c->out, c->w->contexts[slot].id);
	buf_put_str(c->out, "<g:Items>");
	buf_put_span(c->out, buf_span(&items));
	buf_put_str(c->out, "</g:Items>");
	if (last) {
		c->w->contexts[slot].id = 0;
		buf_put_str(c->out, "<g:EndOfSequence></g:EndOfSequence>");
	}
	buf_put_str(c->out, "</g:PullResponse>");
	sim_soap_end(c->out);
	buf_free(&items);
	return 200;
}

static int do_release(struct call *c)
{
	size_t slot = context_slot(c);

	if (slot == SIM_WSMAN_CONTEXTS)
		return fault(c, SIM_FAULT_CONTEXT);
	c->w->contexts[slot].id = 0;
	begin(c, SIM_NS_ENUM, NULL, false);
	sim_soap_end(c->out);
	return 200;
}

static int do_invoke(struct call *c)
{
	size_t n = strlen(c->req->resource);
	const char *method = c->req->action + n + 1;
	char input[SIM_CIM_NAME_MAX + 8];
	struct buf lines;
	int64_t value;

	if (strncmp(c->req->action, c->req->resource, n) != 0 || c->req->action[n] != '/')
		return fault(c, SIM_FAULT_ACTION);
	if (!str_copy(input, SIM_CIM_NAME_MAX, method))
		return fault(c, SIM_FAULT_ACTION);
	memcpy(input + strlen(method), "_INPUT", 7);
	buf_init(&lines, SIM_CIM_TEXT_MAX);
	value = strcmp(c->req->body_name, input) == 0 || c->req->body_name[0] == '\0'
	                ? sim_wsman_invoke(c->w, c->cls, method, buf_span(&c->req->params), &lines)
	                : -ERR_INVALID;
	if (value < 0) {
		buf_free(&lines);
		return fault(c, value == -ERR_INVALID ? SIM_FAULT_SCHEMA : SIM_FAULT_ACTION);
	}
	buf_printf(&lines, "ReturnValue=%" PRId64 "\n", value);
	begin(c, c->req->resource, NULL, false);
	buf_printf(c->out, "<g:%s_OUTPUT>", method);
	sim_soap_put_members(c->out, 'g', 'h', buf_span(&lines));
	buf_printf(c->out, "</g:%s_OUTPUT>", method);
	sim_soap_end(c->out);
	buf_free(&lines);
	return 200;
}

static const struct {
	const char *action;
	int (*run)(struct call *c);
} operations[] = {
	{SIM_NS_TRANSFER "/Get", do_get},         {SIM_NS_TRANSFER "/Put", do_put},
	{SIM_NS_TRANSFER "/Create", do_create},   {SIM_NS_TRANSFER "/Delete", do_delete},
	{SIM_NS_ENUM "/Enumerate", do_enumerate}, {SIM_NS_ENUM "/Pull", do_pull},
	{SIM_NS_ENUM "/Release", do_release},
};

static int dispatch(struct call *c)
{
	if (c->cls == NULL)
		return fault(c, SIM_FAULT_UNREACHABLE);
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		if (strcmp(operations[i].action, c->req->action) == 0)
			return operations[i].run(c);
	}
	return do_invoke(c);
}

int sim_wsman_handle(struct sim_wsman *w, struct span body, uint64_t now_ms, struct buf *out)
{
	struct sim_soap_request req;
	struct call c = {.w = w, .req = &req, .out = out};
	int status = 0;

	w->requests++;
	w->now_ms = now_ms;
	sim_power_state(w->power, now_ms);
	if (w->boots_seen != w->power->boots) {
		w->boots_seen = w->power->boots;
		sim_cim_restore(&w->cim, sim_cim_class_by_name("AMT_BootSettingData"));
	}
	if (sim_soap_read(body, &req) == 0) {
		c.cls = sim_cim_class_by_uri(req.resource);
		status = dispatch(&c);
	}
	sim_soap_request_free(&req);
	return status;
}
