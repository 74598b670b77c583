/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sim_soap_write.c: envelopes, instances, references and faults in firmware's own shape: no white space, never self-closed. */
#include "bench/fleet/sim_soap.h"

#include <inttypes.h>
#include <string.h>

#include "core/err.h"
#include "core/text.h"

#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
#define NS_SOAP     "http://www.w3.org/2003/05/soap-envelope"
#define NS_TRUST    "http://schemas.xmlsoap.org/ws/2005/02/trust"
#define NS_SECURITY \
	"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
#define NS_CIMBIND  "http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd"
#define NS_EVENTING "http://schemas.xmlsoap.org/ws/2004/08/eventing"
#define NS_XSI      "http://www.w3.org/2001/XMLSchema-instance"

void sim_soap_put_escaped(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		switch (s.ptr[i]) {
		case '&':
			buf_put_str(b, "&amp;");
			break;
		case '<':
			buf_put_str(b, "&lt;");
			break;
		case '>':
			buf_put_str(b, "&gt;");
			break;
		case '"':
			buf_put_str(b, "&quot;");
			break;
		default:
			buf_put_u8(b, s.ptr[i]);
			break;
		}
	}
}

static void put_ns(struct buf *b, const char *prefix, const char *uri)
{
	buf_printf(b, " xmlns:%s=\"%s\"", prefix, uri);
}

static void put_header_start(struct buf *b, const struct sim_soap_request *r)
{
	buf_put_str(b, "<a:Header><b:To>" SIM_ANONYMOUS "</b:To><b:RelatesTo>");
	sim_soap_put_escaped(b, span_str(r->message_id));
	buf_put_str(b, "</b:RelatesTo><b:Action a:mustUnderstand=\"true\">");
}

static void put_message_id(struct buf *b, uint64_t number)
{
	buf_printf(b,
	           "</b:Action><b:MessageID>uuid:00000000-8086-8086-8086-%012" PRIX64
	           "</b:MessageID>",
	           number & UINT64_C(0xffffffffffff));
}

void sim_soap_begin(struct buf *b, const struct sim_soap_answer *a)
{
	char letter[2] = "g";

	buf_put_str(b, DECLARATION "<a:Envelope");
	put_ns(b, "a", NS_SOAP);
	put_ns(b, "b", SIM_NS_ADDRESSING);
	put_ns(b, "c", SIM_NS_WSMAN);
	put_ns(b, "d", NS_TRUST);
	put_ns(b, "e", NS_SECURITY);
	put_ns(b, "f", NS_CIMBIND);
	if (a->g_uri != NULL) {
		put_ns(b, letter, a->g_uri);
		letter[0]++;
	}
	if (a->h_class != NULL) {
		buf_printf(b, " xmlns:%s=\"", letter);
		sim_cim_put_uri(b, a->h_class);
		buf_put_u8(b, '"');
		letter[0]++;
	}
	if (a->common)
		put_ns(b, letter, SIM_NS_COMMON);
	put_ns(b, "xsi", NS_XSI);
	buf_put_u8(b, '>');
	put_header_start(b, a->request);
	sim_soap_put_escaped(b, span_str(a->request->action));
	buf_put_str(b, "Response");
	put_message_id(b, a->message_number);
	buf_put_str(b, "<c:ResourceURI>");
	sim_soap_put_escaped(b, span_str(a->request->resource));
	buf_put_str(b, "</c:ResourceURI></a:Header><a:Body>");
}

void sim_soap_end(struct buf *b)
{
	buf_put_str(b, "</a:Body></a:Envelope>");
}

static void put_selector(struct buf *b, struct span pair)
{
	struct span name = sim_cim_line_name(pair);

	buf_put_str(b, "<c:Selector Name=\"");
	sim_soap_put_escaped(b, name);
	buf_put_str(b, "\">");
	if (pair.len > name.len)
		sim_soap_put_escaped(b, span_of(pair.ptr + name.len + 1, pair.len - name.len - 1));
	buf_put_str(b, "</c:Selector>");
}

void sim_soap_put_reference(struct buf *b, struct span value)
{
	struct span rest = value.len > 0 ? span_of(value.ptr + 1, value.len - 1) : value;
	char cls[SIM_CIM_NAME_MAX];
	bool first = true;

	buf_put_str(b, "<b:Address>" SIM_ANONYMOUS
	               "</b:Address><b:ReferenceParameters><c:ResourceURI>");
	while (first || rest.len > 0) {
		const uint8_t *bar = rest.len > 0 ? memchr(rest.ptr, '|', rest.len) : NULL;
		struct span part =
			span_of(rest.ptr, bar == NULL ? rest.len : (size_t)(bar - rest.ptr));

		if (first) {
			if (str_copy_span(cls, sizeof(cls), part))
				sim_cim_put_uri(b, cls);
			buf_put_str(b, "</c:ResourceURI><c:SelectorSet>");
		} else {
			put_selector(b, part);
		}
		first = false;
		rest = span_of(rest.ptr + part.len, rest.len - part.len);
		if (bar != NULL)
			rest = span_of(rest.ptr + 1, rest.len - 1);
	}
	buf_put_str(b, "</c:SelectorSet></b:ReferenceParameters>");
}

void sim_soap_put_members(struct buf *b, char prefix, char common, struct span text)
{
	struct span line;

	while (sim_cim_next_line(&text, &line)) {
		struct span name = sim_cim_line_name(line);
		struct span value = span_of(line.ptr + name.len, line.len - name.len);

		if (value.len == 0)
			continue;
		buf_printf(b, "<%c:%.*s>", prefix, (int)name.len, (const char *)name.ptr);
		if (value.ptr[0] == '@')
			sim_soap_put_reference(b, value);
		if (value.ptr[0] == '#')
			buf_printf(b, "<%c:Datetime>", common);
		if (value.ptr[0] != '@')
			sim_soap_put_escaped(b, span_of(value.ptr + 1, value.len - 1));
		if (value.ptr[0] == '#')
			buf_printf(b, "</%c:Datetime>", common);
		buf_printf(b, "</%c:%.*s>", prefix, (int)name.len, (const char *)name.ptr);
	}
}

void sim_soap_put_instance(struct buf *b, const char *cls, char prefix, char common,
                           struct span text)
{
	buf_printf(b, "<%c:%s>", prefix, cls);
	sim_soap_put_members(b, prefix, common, text);
	buf_printf(b, "</%c:%s>", prefix, cls);
}

static const struct {
	const char *code, *subcode, *action, *reason;
} faults[] = {
	[SIM_FAULT_UNREACHABLE] = {"a:Sender", "b:DestinationUnreachable",
                                   SIM_NS_ADDRESSING "/fault",
                                   "No route can be determined to reach the destination role "
                                   "defined by the WSAddressing To."},
	[SIM_FAULT_ACTION] = {"a:Sender", "b:ActionNotSupported", SIM_NS_ADDRESSING "/fault",
                              "The action is not supported by the service."},
	[SIM_FAULT_EXISTS] = {"a:Sender", "e:AlreadyExists",
                              "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault",
                              "The sender attempted to create a resource which already exists."},
	[SIM_FAULT_SELECTORS] = {"a:Sender", "e:InvalidSelectors",
                                 "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault",
                                 "The Selectors for the resource are not valid."},
	[SIM_FAULT_REPRESENTATION] = {"a:Sender", "d:InvalidRepresentation",
                                      SIM_NS_TRANSFER "/fault", "The XML content is not valid."},
	[SIM_FAULT_SCHEMA] =
		{"a:Sender", "e:SchemaValidationError",
                 "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault",
                 "The supplied SOAP violates the corresponding XML schema definition."},
	[SIM_FAULT_CONTEXT] = {"a:Receiver", "c:InvalidEnumerationContext", SIM_NS_ENUM "/fault",
                               "The supplied enumeration context is invalid."},
	[SIM_FAULT_INTERNAL] =
		{"a:Receiver", "e:InternalError",
                 "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault",
                 "The service cannot comply with the request due to internal processing errors."},
};

void sim_soap_put_fault(struct buf *b, const struct sim_soap_request *r, uint64_t message_number,
                        enum sim_soap_fault f)
{
	buf_put_str(b, DECLARATION "<a:Envelope");
	put_ns(b, "g", NS_CIMBIND);
	put_ns(b, "f", NS_EVENTING);
	put_ns(b, "e", SIM_NS_WSMAN);
	put_ns(b, "d", SIM_NS_TRANSFER);
	put_ns(b, "c", SIM_NS_ENUM);
	put_ns(b, "b", SIM_NS_ADDRESSING);
	put_ns(b, "a", NS_SOAP);
	put_ns(b, "h", NS_TRUST);
	put_ns(b, "i", NS_SECURITY);
	put_ns(b, "xsi", NS_XSI);
	buf_put_u8(b, '>');
	put_header_start(b, r);
	buf_put_str(b, faults[f].action);
	put_message_id(b, message_number);
	buf_printf(
		b,
		"</a:Header><a:Body><a:Fault><a:Code><a:Value>%s</a:Value><a:Subcode><a:Value>%s</"
		"a:Value>"
		"</a:Subcode></a:Code><a:Reason><a:Text xml:lang=\"en-US\">%s</a:Text></a:Reason>"
		"<a:Detail></a:Detail></a:Fault>",
		faults[f].code, faults[f].subcode, faults[f].reason);
	sim_soap_end(b);
}
