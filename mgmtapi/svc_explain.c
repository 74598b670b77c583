/* SPDX-License-Identifier: GPL-3.0-or-later */
/* svc_explain.c: DeviceService.ExplainDevice: the last attempts to connect, put in one sentence with advice. */
#include "core/clock.h"
#include "core/err.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/device_msg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_DEFAULT 8
#define ATTEMPTS_MAX     64

_Static_assert((int)CAUSEWAY__V1__ATTEMPT_STAGE__ATTEMPT_STAGE_READY == (int)ATTEMPT_READY,
               "stages");

/* What is asked, and what is known of it. */
struct asking {
	struct call *c;
	bool has_guid, has_source, known, connected, held;
	struct guid guid;
	struct addr source;
	char what[160];
	struct attempt *list;
	size_t len;
};

static void look(void *arg, const struct device_view *v)
{
	struct asking *a = arg;
	char text[DEVICE_KEY_TEXT_MAX];

	if (!principal_sees_group((void *)(uintptr_t)call_principal(a->c), v->group))
		return;
	device_key_format(&v->key, text);
	a->known = true;
	a->connected = v->connected;
	a->held = v->state == DEVICE_HELD;
	(void)snprintf(a->what, sizeof(a->what), "device %s%s%s%s", text,
	               v->name[0] != '\0' ? " (" : "", v->name, v->name[0] != '\0' ? ")" : "");
}

/* A device that never connected is asked for by its GUID. */
static int ask_device(struct asking *a, const char *text)
{
	struct device_key key;
	const char *bare = strncmp(text, "devices/", 8) == 0 ? text + 8 : text;
	int err = device_key_parse(span_str(bare), &key);

	if (err != 0 || sees_device(a->c, &key)) {
		err = find_device(a->c, text, &key);
		if (err != 0)
			return err;
		a->known =
			gateway_device_view(api_of(a->c)->gateway, &key, look, a) == 0 && a->known;
	} else {
		(void)snprintf(a->what, sizeof(a->what), "device %.60s", bare);
	}
	a->has_guid = true;
	a->guid = key.guid;
	return 0;
}

static int ask_source(struct asking *a, const char *text)
{
	char with_port[ADDR_TEXT_MAX];

	(void)snprintf(with_port, sizeof(with_port),
	               strchr(text, ':') != NULL && text[0] != '[' ? "[%.60s]:0" : "%.60s:0", text);
	if (addr_parse(with_port, &a->source) != 0)
		return call_fail(a->c, CALL_INVALID_ARGUMENT, "ADDRESS_INVALID",
		                 "an IPv4 or IPv6 address without port",
		                 "the source address cannot be read");
	a->has_source = true;
	(void)snprintf(a->what, sizeof(a->what), "address %.60s", text);
	return 0;
}

/*
 * What the caller may read: attempts of its groups; those that belong to no group yet (no user came so far) only without group limits, for
 * they could be anybody's.
 */
static void keep_visible(struct asking *a)
{
	const struct principal *p = call_principal(a->c);
	size_t n = 0;

	for (size_t i = 0; i < a->len; i++) {
		const struct attempt *at = &a->list[i];

		if (at->group[0] != '\0' ? principal_sees_group((void *)(uintptr_t)p, at->group)
		                         : p->groups_len == 0)
			a->list[n++] = *at;
	}
	a->len = n;
}

static const char *advice_of(enum attempt_stage s)
{
	switch (s) {
	case ATTEMPT_TCP:
		return "the device's TLS did not begin: check that it dials this port, and that "
		       "nothing in between closes the connection";
	case ATTEMPT_TLS:
		return "check that the device trusts this server's root certificate and was given "
		       "its exact name; AMT up to 11 needs a "
		       "listener with the legacy profile";
	case ATTEMPT_HELLO:
		return "what connected does not speak CIRA as expected; check that it is an AMT "
		       "device";
	case ATTEMPT_USER:
		return "configure the device with the CIRA user of a group, or give a group this "
		       "user";
	case ATTEMPT_PASSWORD:
		return "configure the device with the right CIRA password, or set the one it has "
		       "with UpdateGroup";
	case ATTEMPT_POLICY:
		return "change the group's enroll policy, approve the device, or wait if it was "
		       "turned away for its tries";
	case ATTEMPT_READY:
		return "it did connect; if it is gone, see the detail for why, and whether it has "
		       "power and network";
	}
	return "";
}

static void summarize(const struct asking *a, struct buf *summary, const char **advice)
{
	char when[CLOCK_TEXT_MAX];

	*advice = "";
	if (a->connected) {
		buf_printf(summary, "%s is connected%s", a->what, a->held ? " and held" : "");
		*advice =
			a->held ? "approve it with ApproveDevice, so that operations reach it" : "";
		return;
	}
	if (a->len == 0) {
		buf_printf(summary,
		           "nothing has come from %s since the server started, or it is forgotten",
		           a->what[0] != '\0' ? a->what : "any device");
		*advice = "check that the device is configured for remote access to this server's "
			  "name and port, and that a firewall lets it out";
		return;
	}
	clock_format((int64_t)a->list[0].time_ms, when);
	buf_printf(summary, "%s%sthe last attempt (%s) came as far as %s: %s", a->what,
	           a->has_guid     ? " is not connected; "
	           : a->has_source ? ": "
	                           : "",
	           when, attempt_stage_name(a->list[0].stage), a->list[0].detail);
	*advice = advice_of(a->list[0].stage);
}

static Causeway__V1__Attempt *attempt_msg(struct msg_mem *m, const struct attempt *at)
{
	Causeway__V1__Attempt *out = msg_take(m, sizeof(*out));
	char guid[GUID_TEXT_LEN + 1] = "";

	if (out == NULL)
		return NULL;
	causeway__v1__attempt__init(out);
	if (at->has_guid)
		guid_format(&at->guid, guid);
	out->attempt_time = msg_time(m, at->time_ms);
	out->source_address = msg_addr(m, &at->source);
	out->guid = msg_text(m, guid);
	out->stage = (Causeway__V1__AttemptStage)at->stage;
	out->user = msg_text(m, at->user);
	out->detail = msg_text(m, at->detail);
	return out;
}

static int answer(struct asking *a, size_t max)
{
	Causeway__V1__ExplainDeviceResponse out = CAUSEWAY__V1__EXPLAIN_DEVICE_RESPONSE__INIT;
	struct msg_mem mem = msg_mem_of(call_allocator(a->c));
	struct buf summary;
	const char *advice;

	buf_init(&summary, 1024);
	summarize(a, &summary, &advice);
	out.summary = msg_text(&mem, buf_cstr(&summary));
	out.advice = msg_text(&mem, advice);
	buf_free(&summary);
	out.attempts = msg_take(&mem, (a->len + 1) * sizeof(*out.attempts));
	for (size_t i = 0; out.attempts != NULL && i < MIN(a->len, max); i++)
		out.attempts[out.n_attempts++] = attempt_msg(&mem, &a->list[i]);
	return mem.failed ? no_memory(a->c) : call_send(a->c, &out.base);
}

int explain_device(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__ExplainDeviceRequest *rq = (const void *)request;
	struct asking a = {.c = c};
	size_t max = rq->page_size == 0 ? ATTEMPTS_DEFAULT
	                                : MIN((size_t)rq->page_size, (size_t)ATTEMPTS_MAX);
	int err = 0;

	if (rq->target_case == CAUSEWAY__V1__EXPLAIN_DEVICE_REQUEST__TARGET_DEVICE)
		err = ask_device(&a, rq->device);
	else if (rq->target_case == CAUSEWAY__V1__EXPLAIN_DEVICE_REQUEST__TARGET_SOURCE_ADDRESS)
		err = ask_source(&a, rq->source_address);
	if (err != 0)
		return err;
	a.list = call_alloc(c, ATTEMPTS_MAX * sizeof(*a.list));
	if (a.list == NULL)
		return no_memory(c);
	a.len = gateway_attempts(api_of(c)->gateway, a.has_guid ? &a.guid : NULL,
	                         a.has_source ? &a.source : NULL, a.list, ATTEMPTS_MAX);
	keep_visible(&a);
	/* For a caller with group limits, a GUID that it may not see is as one that never came. */
	if (a.has_guid && !a.known && a.len == 0 && call_principal(c)->groups_len > 0)
		return device_gone(c, rq->device);
	return answer(&a, max);
}
