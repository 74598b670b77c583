/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * wsman_write.c: requests. Prefixes: a SOAP, b addressing, c WS-Management, in the envelope; n
 * enumeration and r the resource, where they are used. The header's children stand in the order
 * that all peers use (amt.md A.5).
 */
#include "wire/wsman.h"
#include "core/err.h"
#include "core/text.h"
#include "wire/scan.h"

#include <stdio.h>
#include <string.h>

#define ENVELOPE_USUAL \
	1536 /* octets that nearly every request fits in, so that it is not moved while it grows */

static const struct {
	const char *prefix, *base;
} schemas[] = {
	{"AMT_", "http://intel.com/wbem/wscim/1/amt-schema/1/"},
	{"CIM_", "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"},
	{"IPS_", "http://intel.com/wbem/wscim/1/ips-schema/1/"},
};

static bool is_class_name(const char *s)
{
	for (const char *p = s; *p != '\0'; p++)
		if (!(*p >= '0' && *p <= '9') && !(*p >= 'a' && *p <= 'z') &&
		    !(*p >= 'A' && *p <= 'Z') && *p != '_')
			return false;
	return strlen(s) > 4 && strlen(s) < 128;
}

int wsman_resource_uri(const char *class_name, struct buf *b)
{
	if (!is_class_name(class_name))
		return -ERR_INVALID;
	for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
		if (strncmp(class_name, schemas[i].prefix, 4) != 0)
			continue;
		buf_put_str(b, schemas[i].base);
		buf_put_str(b, class_name);
		return b->err;
	}
	return -ERR_INVALID;
}

int wsman_resource_text(const char *class_name, char out[WSMAN_URI_MAX])
{
	struct buf b;
	int r;

	buf_init(&b, WSMAN_URI_MAX - 1);
	r = wsman_resource_uri(class_name, &b);
	if (r == 0 && !str_copy_span(out, WSMAN_URI_MAX, buf_span(&b)))
		r = -ERR_TOO_BIG;
	buf_free(&b);
	return r;
}

const char *wsman_class_of(const char *resource_uri)
{
	const char *slash = strrchr(resource_uri, '/');

	return slash != NULL ? slash + 1 : resource_uri;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

/* Members are written in the resource's prefix: <r:name>. */
static void open_member(struct buf *b, const char *name)
{
	buf_printf(b, "<r:%s>", name);
}

static void close_member(struct buf *b, const char *name)
{
	buf_printf(b, "</r:%s>", name);
}

void wsman_body_begin(struct buf *b, const char *resource_uri, const char *element)
{
	buf_printf(b, "<r:%s xmlns:r=\"", element);
	xml_put_text(b, span_str(resource_uri));
	buf_put_str(b, "\">");
}

void wsman_body_end(struct buf *b, const char *element)
{
	close_member(b, element);
}

void wsman_body_span(struct buf *b, const char *name, struct span value)
{
	open_member(b, name);
	xml_put_text(b, value);
	close_member(b, name);
}

void wsman_body_text(struct buf *b, const char *name, const char *value)
{
	wsman_body_span(b, name, span_str(value));
}

void wsman_body_uint(struct buf *b, const char *name, uint64_t value)
{
	buf_printf(b, "<r:%s>%llu</r:%s>", name, (unsigned long long)value, name);
}

void wsman_body_bool(struct buf *b, const char *name, bool value)
{
	wsman_body_text(b, name, value ? "true" : "false");
}

void wsman_body_base64(struct buf *b, const char *name, struct span value)
{
	/* One octet for the NUL, taken back after it. */
	size_t n = base64_encoded_len(value.len);
	uint8_t *p;

	open_member(b, name);
	p = buf_reserve(b, n + 1);
	if (p != NULL)
		b->len += base64_encode((char *)p, value, true);
	close_member(b, name);
}

static void put_common(struct buf *b, const char *name, const char *kind, const char *value)
{
	open_member(b, name);
	buf_printf(b, "<d:%s xmlns:d=\"" WSMAN_NS_COMMON "\">", kind);
	xml_put_text(b, span_str(value));
	buf_printf(b, "</d:%s>", kind);
	close_member(b, name);
}

void wsman_body_datetime(struct buf *b, const char *name, const char *utc)
{
	put_common(b, name, "Datetime", utc);
}

void wsman_body_interval(struct buf *b, const char *name, const char *duration)
{
	put_common(b, name, "Interval", duration);
}

void wsman_body_member(struct buf *b, const struct xml_node *node)
{
	xml_write_node(b, node);
}

/* ---- selectors and references ---------------------------------------------------------------- */

static void put_selector_open(struct buf *b, const char *name)
{
	buf_put_str(b, "<c:Selector Name=\"");
	xml_put_text(b, span_str(name));
	buf_put_str(b, "\">");
}

/* The selectors of a reference that is itself a selector's value: plain text only. */
static void put_plain_selectors(struct buf *b, const struct wsman_selector *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i].value == NULL) {
			b->err = b->err != 0 ? b->err : -ERR_INVALID;
			return;
		}
		put_selector_open(b, s[i].name);
		xml_put_text(b, span_str(s[i].value));
		buf_put_str(b, "</c:Selector>");
	}
}

static void put_reference_open(struct buf *b, const struct wsman_epr *epr)
{
	buf_put_str(b, "<b:Address>" WSMAN_ANONYMOUS "</b:Address><b:ReferenceParameters>");
	xml_put_element_str(b, "c:ResourceURI", epr->resource_uri);
	buf_put_str(b, "<c:SelectorSet>");
}

static void put_reference_close(struct buf *b)
{
	buf_put_str(b, "</c:SelectorSet></b:ReferenceParameters>");
}

static void put_selectors(struct buf *b, const struct wsman_selector *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i].epr == NULL) {
			put_plain_selectors(b, &s[i], 1);
			continue;
		}
		put_selector_open(b, s[i].name);
		buf_put_str(b, "<b:EndpointReference>");
		put_reference_open(b, s[i].epr);
		put_plain_selectors(b, s[i].epr->selectors, s[i].epr->selectors_len);
		put_reference_close(b);
		buf_put_str(b, "</b:EndpointReference></c:Selector>");
	}
}

void wsman_body_epr(struct buf *b, const char *name, const struct wsman_epr *epr)
{
	/* Declared here too, so that a body stands by itself and can be normalized. */
	buf_printf(b, "<r:%s xmlns:b=\"" WSMAN_NS_WSA "\" xmlns:c=\"" WSMAN_NS_WSMAN "\">", name);
	put_reference_open(b, epr);
	put_selectors(b, epr->selectors, epr->selectors_len);
	put_reference_close(b);
	close_member(b, name);
}

/* ---- envelopes ------------------------------------------------------------------------------- */

static void put_action(struct buf *b, const struct wsman_request *req)
{
	static const char *const actions[] = {
		[WSMAN_GET] = WSMAN_NS_WXF "/Get",
		[WSMAN_PUT] = WSMAN_NS_WXF "/Put",
		[WSMAN_CREATE] = WSMAN_NS_WXF "/Create",
		[WSMAN_DELETE] = WSMAN_NS_WXF "/Delete",
		[WSMAN_ENUMERATE] = WSMAN_NS_WSEN "/Enumerate",
		[WSMAN_PULL] = WSMAN_NS_WSEN "/Pull",
		[WSMAN_RELEASE] = WSMAN_NS_WSEN "/Release",
	};

	buf_put_str(b, "<b:Action>");
	if (req->op == WSMAN_INVOKE) {
		xml_put_text(b, span_str(req->resource_uri));
		buf_printf(b, "/%s", req->method);
	} else {
		buf_put_str(b, actions[req->op]);
	}
	buf_put_str(b, "</b:Action>");
}

static void put_header(struct buf *b, const struct wsman_request *req)
{
	buf_put_str(b, "<a:Header>");
	put_action(b, req);
	buf_put_str(b, "<b:To>/wsman</b:To>");
	xml_put_element_str(b, "c:ResourceURI", req->resource_uri);
	xml_put_element_uint(b, "b:MessageID", req->message_id);
	buf_put_str(b, "<b:ReplyTo><b:Address>" WSMAN_ANONYMOUS "</b:Address></b:ReplyTo>");
	buf_printf(b, "<c:OperationTimeout>PT%uS</c:OperationTimeout>",
	           req->timeout_s != 0 ? req->timeout_s : WSMAN_TIMEOUT_S);
	if (req->selectors_len > 0) {
		buf_put_str(b, "<c:SelectorSet>");
		put_selectors(b, req->selectors, req->selectors_len);
		buf_put_str(b, "</c:SelectorSet>");
	}
	buf_put_str(b, "</a:Header>");
}

static void put_pull(struct buf *b, const struct wsman_request *req)
{
	buf_put_str(b, "<n:Pull xmlns:n=\"" WSMAN_NS_WSEN "\">");
	xml_put_element(b, "n:EnumerationContext", req->context);
	xml_put_element_uint(b, "n:MaxElements",
	                     req->max_elements != 0 ? req->max_elements : WSMAN_PULL_ELEMENTS);
	xml_put_element_uint(b, "n:MaxCharacters", WSMAN_PULL_CHARACTERS);
	buf_put_str(b, "</n:Pull>");
}

static void put_no_parameters(struct buf *b, const struct wsman_request *req)
{
	char element[XML_NAME_MAX + sizeof("_INPUT")];

	(void)snprintf(element, sizeof(element), "%s_INPUT", req->method);
	wsman_body_begin(b, req->resource_uri, element);
	wsman_body_end(b, element);
}

static void put_body(struct buf *b, const struct wsman_request *req)
{
	switch (req->op) {
	case WSMAN_GET:
	case WSMAN_DELETE:
		break;
	case WSMAN_ENUMERATE:
		buf_put_str(b, "<n:Enumerate xmlns:n=\"" WSMAN_NS_WSEN "\"></n:Enumerate>");
		break;
	case WSMAN_PULL:
		put_pull(b, req);
		break;
	case WSMAN_RELEASE:
		buf_put_str(b, "<n:Release xmlns:n=\"" WSMAN_NS_WSEN "\">");
		xml_put_element(b, "n:EnumerationContext", req->context);
		buf_put_str(b, "</n:Release>");
		break;
	case WSMAN_INVOKE:
		if (req->body.len == 0) {
			put_no_parameters(b, req);
			break;
		}
		buf_put_span(b, req->body);
		break;
	case WSMAN_PUT:
	case WSMAN_CREATE:
		buf_put_span(b, req->body);
		break;
	}
}

static bool is_complete(const struct wsman_request *req)
{
	if (req->resource_uri == NULL || req->resource_uri[0] == '\0' ||
	    req->selectors_len > WSMAN_SELECTORS_MAX)
		return false;
	if (req->op == WSMAN_INVOKE)
		return req->method != NULL && xml_is_name(span_str(req->method));
	if (req->op == WSMAN_PUT || req->op == WSMAN_CREATE)
		return req->body.len > 0;
	if (req->op == WSMAN_PULL || req->op == WSMAN_RELEASE)
		return req->context.len > 0;
	return true;
}

int wsman_write(struct buf *b, const struct wsman_request *req)
{
	if (!is_complete(req))
		return -ERR_INVALID;
	(void)buf_reserve(b, ENVELOPE_USUAL + req->body.len);
	buf_put_str(b,
	            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a:Envelope xmlns:a=\"" WSMAN_NS_SOAP
	            "\" xmlns:b=\"" WSMAN_NS_WSA "\" xmlns:c=\"" WSMAN_NS_WSMAN "\">");
	put_header(b, req);
	buf_put_str(b, "<a:Body>");
	put_body(b, req);
	buf_put_str(b, "</a:Body></a:Envelope>");
	return b->err;
}
