/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "tests/unit/support/test.h"
#include "wire/wsman.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CIM      "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
#define AMT      "http://intel.com/wbem/wscim/1/amt-schema/1/"
#define FILE_MAX (1024 * 1024)
#define REPLY_TO "<b:ReplyTo><b:Address>" WSMAN_ANONYMOUS "</b:Address></b:ReplyTo>"
#define ENVELOPE                                                                         \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a:Envelope xmlns:a=\"" WSMAN_NS_SOAP \
	"\" xmlns:b=\"" WSMAN_NS_WSA "\" xmlns:c=\"" WSMAN_NS_WSMAN "\"><a:Header>"

/* ---- requests -------------------------------------------------------------------------------- */

static void written(const struct wsman_request *req, const char *want)
{
	struct wsman_message m;
	struct buf b;

	buf_init(&b, WSMAN_REQUEST_MAX);
	assert_int_equal(wsman_write(&b, req), 0);
	assert_string_equal(buf_cstr(&b), want);
	assert_int_equal(wsman_read(&m, buf_span(&b), NULL), 0);
	assert_string_equal(m.resource_uri, req->resource_uri);
	assert_string_equal(m.to, "/wsman");
	wsman_free(&m);
	buf_free(&b);
}

static void test_get(void **state)
{
	const struct wsman_selector sel[] = {{.name = "Name", .value = "a<b>&\"c\""},
	                                     {.name = "N2", .value = ""}};

	(void)state;
	written(&(struct wsman_request){.op = WSMAN_GET,
	                                .resource_uri = AMT "AMT_GeneralSettings",
	                                .message_id = 7},
	        ENVELOPE "<b:Action>" WSMAN_NS_WXF
	                 "/Get</b:Action><b:To>/wsman</b:To><c:ResourceURI>" AMT
	                 "AMT_GeneralSettings</c:ResourceURI><b:MessageID>7</b:MessageID>" REPLY_TO
	                 "<c:OperationTimeout>PT60S</c:OperationTimeout></a:Header><a:Body></"
	                 "a:Body></a:Envelope>");
	written(&(struct wsman_request){.op = WSMAN_DELETE,
	                                .resource_uri = AMT "AMT_X",
	                                .message_id = 8,
	                                .timeout_s = 30,
	                                .selectors = sel,
	                                .selectors_len = 2},
	        ENVELOPE "<b:Action>" WSMAN_NS_WXF
	                 "/Delete</b:Action><b:To>/wsman</b:To><c:ResourceURI>" AMT
	                 "AMT_X</c:ResourceURI><b:MessageID>8</b:MessageID>" REPLY_TO
	                 "<c:OperationTimeout>PT30S</c:OperationTimeout><c:SelectorSet>"
	                 "<c:Selector Name=\"Name\">a&lt;b&gt;&amp;&quot;c&quot;</c:Selector>"
	                 "<c:Selector "
	                 "Name=\"N2\"></c:Selector></c:SelectorSet></a:Header><a:Body></a:Body></"
	                 "a:Envelope>");
}

/* Writes and reads a request; the caller frees m. */
static void round_trip(const struct wsman_request *req, struct wsman_message *m)
{
	struct buf b;

	buf_init(&b, WSMAN_REQUEST_MAX);
	assert_int_equal(wsman_write(&b, req), 0);
	assert_int_equal(wsman_read(m, buf_span(&b), NULL), 0);
	buf_free(&b);
}

static void test_enumeration_requests(void **state)
{
	struct wsman_request req = {.resource_uri = CIM "CIM_Chip",
	                            .message_id = 1,
	                            .context = span_str("14-0 & more")};
	struct wsman_message m;

	(void)state;
	req.op = WSMAN_ENUMERATE;
	round_trip(&req, &m);
	assert_string_equal(m.action, WSMAN_NS_WSEN "/Enumerate");
	assert_true(xml_is(m.body, WSMAN_NS_WSEN, "Enumerate"));
	wsman_free(&m);
	req.op = WSMAN_PULL;
	round_trip(&req, &m);
	assert_string_equal(m.action, WSMAN_NS_WSEN "/Pull");
	assert_true(xml_is(m.body, WSMAN_NS_WSEN, "Pull"));
	assert_string_equal(xml_child_text(m.body, "EnumerationContext"), "14-0 & more");
	assert_string_equal(xml_child_text(m.body, "MaxElements"), "999");
	assert_string_equal(xml_child_text(m.body, "MaxCharacters"), "99999");
	wsman_free(&m);
	req.op = WSMAN_RELEASE;
	round_trip(&req, &m);
	assert_string_equal(m.action, WSMAN_NS_WSEN "/Release");
	assert_string_equal(xml_child_text(m.body, "EnumerationContext"), "14-0 & more");
	wsman_free(&m);
}

/* amt.md B.2 */
static void test_invoke_with_a_reference(void **state)
{
	const struct wsman_selector sel[] = {
		{.name = "CreationClassName", .value = "CIM_ComputerSystem"},
		{.name = "Name", .value = "ManagedSystem"}};
	const struct wsman_epr host = {CIM "CIM_ComputerSystem", sel, 2};
	const char *uri = CIM "CIM_PowerManagementService";
	struct buf body;

	(void)state;
	buf_init(&body, 10000);
	wsman_body_begin(&body, uri, "RequestPowerStateChange_INPUT");
	wsman_body_uint(&body, "PowerState", 5);
	wsman_body_epr(&body, "ManagedElement", &host);
	wsman_body_end(&body, "RequestPowerStateChange_INPUT");
	written(&(struct wsman_request){.op = WSMAN_INVOKE,
	                                .resource_uri = uri,
	                                .message_id = 18446744073709551615ULL,
	                                .method = "RequestPowerStateChange",
	                                .body = buf_span(&body)},
	        ENVELOPE
	        "<b:Action>" CIM
	        "CIM_PowerManagementService/RequestPowerStateChange</b:Action><b:To>/wsman</b:To>"
	        "<c:ResourceURI>" CIM "CIM_PowerManagementService</c:ResourceURI>"
	        "<b:MessageID>18446744073709551615</b:MessageID>" REPLY_TO
	        "<c:OperationTimeout>PT60S</c:OperationTimeout></a:Header><a:Body>"
	        "<r:RequestPowerStateChange_INPUT xmlns:r=\"" CIM "CIM_PowerManagementService\">"
	        "<r:PowerState>5</r:PowerState><r:ManagedElement xmlns:b=\"" WSMAN_NS_WSA
	        "\" xmlns:c=\"" WSMAN_NS_WSMAN "\"><b:Address>" WSMAN_ANONYMOUS "</b:Address>"
	        "<b:ReferenceParameters><c:ResourceURI>" CIM
	        "CIM_ComputerSystem</c:ResourceURI><c:SelectorSet>"
	        "<c:Selector Name=\"CreationClassName\">CIM_ComputerSystem</c:Selector>"
	        "<c:Selector "
	        "Name=\"Name\">ManagedSystem</c:Selector></c:SelectorSet></b:ReferenceParameters>"
	        "</r:ManagedElement></r:RequestPowerStateChange_INPUT></a:Body></a:Envelope>");
	buf_free(&body);
}

static void test_selector_that_is_a_reference(void **state)
{
	const struct wsman_selector inner[] = {{.name = "InstanceID", .value = "x"}};
	const struct wsman_epr epr = {AMT "AMT_PublicKeyCertificate", inner, 1};
	const struct wsman_selector sel[] = {{.name = "ElementInContext", .epr = &epr}};
	const struct wsman_selector deep_sel[] = {{.name = "Deep", .epr = &epr}};
	const struct wsman_epr deep = {AMT "AMT_Y", deep_sel, 1};
	const struct wsman_selector too_deep[] = {{.name = "Too", .epr = &deep}};
	struct wsman_request req = {.op = WSMAN_DELETE,
	                            .resource_uri = AMT "AMT_TLSCredentialContext",
	                            .selectors = sel,
	                            .selectors_len = 1};
	struct wsman_message m;
	const struct xml_node *n;
	struct buf b;

	(void)state;
	round_trip(&req, &m);
	n = xml_child(xml_child(xml_child(m.header, "SelectorSet"), "Selector"),
	              "EndpointReference");
	assert_true(xml_is(n, WSMAN_NS_WSA, "EndpointReference"));
	n = xml_child(n, "ReferenceParameters");
	assert_string_equal(xml_child_text(n, "ResourceURI"), AMT "AMT_PublicKeyCertificate");
	n = xml_child(xml_child(n, "SelectorSet"), "Selector");
	assert_string_equal(xml_attr(n, "Name"), "InstanceID");
	assert_string_equal(n->text, "x");
	wsman_free(&m);
	req.selectors = too_deep;
	buf_init(&b, WSMAN_REQUEST_MAX);
	assert_int_equal(wsman_write(&b, &req), -ERR_INVALID);
	buf_free(&b);
}

static void test_bodies(void **state)
{
	struct wsman_request req = {.op = WSMAN_PUT, .resource_uri = AMT "AMT_X"};
	struct wsman_message m;
	struct xml_doc doc;
	struct buf body;

	(void)state;
	assert_int_equal(xml_parse(&doc,
	                           span_str("<q:Old xmlns:q=\"" AMT
	                                    "AMT_X\"><q:Kept><q:Deep>1</q:Deep></q:Kept></q:Old>"),
	                           NULL),
	                 0);
	buf_init(&body, 10000);
	wsman_body_begin(&body, AMT "AMT_X", "AMT_X");
	wsman_body_text(&body, "Ssid", "<&\xc3\xa4>");
	wsman_body_bool(&body, "On", true);
	wsman_body_bool(&body, "Off", false);
	wsman_body_base64(&body, "Key", span_of("\x00\xff\x10", 3));
	wsman_body_datetime(&body, "Start", "2026-01-02T03:04:05Z");
	wsman_body_interval(&body, "Every", "P1DT0H0M");
	wsman_body_uint(&body, "List", 1);
	wsman_body_uint(&body, "List", 2);
	wsman_body_member(&body, xml_child(doc.root, "Kept"));
	wsman_body_end(&body, "AMT_X");
	req.body = buf_span(&body);
	round_trip(&req, &m);
	assert_true(xml_is(m.body, AMT "AMT_X", "AMT_X"));
	for (const struct xml_node *n = m.body->child; n != NULL; n = n->next)
		assert_string_equal(n->ns, AMT "AMT_X");
	assert_string_equal(xml_child_text(m.body, "Ssid"), "<&\xc3\xa4>");
	assert_string_equal(xml_child_text(m.body, "On"), "true");
	assert_string_equal(xml_child_text(m.body, "Off"), "false");
	assert_string_equal(xml_child_text(m.body, "Key"), "AP8Q");
	assert_string_equal(
		xml_child_ns(xml_child(m.body, "Start"), WSMAN_NS_COMMON, "Datetime")->text,
		"2026-01-02T03:04:05Z");
	assert_string_equal(
		xml_child_ns(xml_child(m.body, "Every"), WSMAN_NS_COMMON, "Interval")->text,
		"P1DT0H0M");
	assert_string_equal(xml_next(xml_child(m.body, "List"), "List")->text, "2");
	assert_string_equal(xml_child_ns(xml_child(m.body, "Kept"), AMT "AMT_X", "Deep")->text,
	                    "1");
	wsman_free(&m);
	/* An invocation without a body gets an empty input. */
	req = (struct wsman_request){
		.op = WSMAN_INVOKE, .resource_uri = AMT "AMT_X", .method = "GetUuid"};
	round_trip(&req, &m);
	assert_true(xml_is(m.body, AMT "AMT_X", "GetUuid_INPUT"));
	assert_string_equal(m.action, AMT "AMT_X/GetUuid");
	wsman_free(&m);
	xml_free(&doc);
	buf_free(&body);
}

static void not_written(const struct wsman_request *req)
{
	struct buf b;

	buf_init(&b, WSMAN_REQUEST_MAX);
	assert_int_equal(wsman_write(&b, req), -ERR_INVALID);
	buf_free(&b);
}

static void test_incomplete_requests(void **state)
{
	const struct wsman_selector bad[] = {{.name = "N", .value = "\x01"}};
	const struct wsman_selector many[WSMAN_SELECTORS_MAX + 1] = {{.name = "N", .value = "v"}};

	(void)state;
	not_written(&(struct wsman_request){.op = WSMAN_GET});
	not_written(&(struct wsman_request){.op = WSMAN_GET, .resource_uri = ""});
	not_written(&(struct wsman_request){.op = WSMAN_PUT, .resource_uri = "u"});
	not_written(&(struct wsman_request){.op = WSMAN_CREATE, .resource_uri = "u"});
	not_written(&(struct wsman_request){.op = WSMAN_PULL, .resource_uri = "u"});
	not_written(&(struct wsman_request){.op = WSMAN_RELEASE, .resource_uri = "u"});
	not_written(&(struct wsman_request){.op = WSMAN_INVOKE, .resource_uri = "u"});
	not_written(
		&(struct wsman_request){.op = WSMAN_INVOKE, .resource_uri = "u", .method = "a b"});
	not_written(
		&(struct wsman_request){.op = WSMAN_INVOKE, .resource_uri = "u", .method = "</x>"});
	not_written(&(struct wsman_request){
		.op = WSMAN_GET, .resource_uri = "u", .selectors = bad, .selectors_len = 1});
	not_written(&(struct wsman_request){.op = WSMAN_GET,
	                                    .resource_uri = "u",
	                                    .selectors = many,
	                                    .selectors_len = ARRAY_LEN(many)});
}

static void test_resource_uris(void **state)
{
	char out[WSMAN_URI_MAX];

	(void)state;
	assert_int_equal(wsman_resource_text("AMT_GeneralSettings", out), 0);
	assert_string_equal(out, AMT "AMT_GeneralSettings");
	assert_int_equal(wsman_resource_text("CIM_Chip", out), 0);
	assert_string_equal(out, CIM "CIM_Chip");
	assert_int_equal(wsman_resource_text("IPS_OptInService", out), 0);
	assert_string_equal(out, "http://intel.com/wbem/wscim/1/ips-schema/1/IPS_OptInService");
	assert_string_equal(wsman_class_of(out), "IPS_OptInService");
	assert_string_equal(wsman_class_of("x"), "x");
	assert_int_equal(wsman_resource_text("XYZ_Chip", out), -ERR_INVALID);
	assert_int_equal(wsman_resource_text("CIM_", out), -ERR_INVALID);
	assert_int_equal(wsman_resource_text("CIM_a/b", out), -ERR_INVALID);
	assert_int_equal(wsman_resource_text("CIM_a<", out), -ERR_INVALID);
	assert_int_equal(wsman_resource_text("", out), -ERR_INVALID);
}

/* ---- responses ------------------------------------------------------------------------------- */

/* The firmware's prefixes (amt.md A.6): g is what the body is about. */
#define RESPONSE(g, h, action, body)                                                             \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a:Envelope xmlns:a=\"" WSMAN_NS_SOAP         \
	"\" xmlns:b=\"" WSMAN_NS_WSA "\" xmlns:c=\"" WSMAN_NS_WSMAN "\" xmlns:d=\"" WSMAN_NS_WST \
	"\" xmlns:e=\"" WSMAN_NS_WSSE "\" xmlns:f=\"" WSMAN_NS_CIMBIND "\" xmlns:g=\"" g         \
	"\" xmlns:h=\"" h "\" xmlns:xsi=\"" WSMAN_NS_XSI "\">"                                   \
	"<a:Header><b:To>" WSMAN_ANONYMOUS                                                       \
	"</b:To><b:RelatesTo>3</b:RelatesTo><b:Action a:mustUnderstand=\"true\">" action         \
	"</b:Action><b:MessageID>uuid:00000000-8086-8086-8086-00000000010F</"                    \
	"b:MessageID><c:ResourceURI>" CIM "CIM_Chip</c:ResourceURI></a:Header><a:Body>" body     \
	"</a:Body></a:Envelope>"

static void read_ok(struct wsman_message *m, const char *text)
{
	assert_int_equal(wsman_read(m, span_str(text), NULL), 0);
}

static void test_get_response(void **state)
{
	struct wsman_message m;
	uint32_t v;

	(void)state;
	read_ok(&m, RESPONSE(CIM "CIM_Chip", "urn:h", WSMAN_NS_WXF "/GetResponse",
	                     "<g:CIM_Chip><g:CanBeFRUed>true</g:CanBeFRUed><g:Tag>CPU "
	                     "0</g:Tag></g:CIM_Chip>"));
	assert_string_equal(m.action, WSMAN_NS_WXF "/GetResponse");
	assert_string_equal(m.message_id, "uuid:00000000-8086-8086-8086-00000000010F");
	assert_string_equal(m.resource_uri, CIM "CIM_Chip");
	assert_int_equal(wsman_check(&m, 3), 0);
	assert_int_equal(wsman_check(&m, 4), -ERR_PROTOCOL);
	assert_true(xml_is(m.body, CIM "CIM_Chip", "CIM_Chip"));
	assert_string_equal(xml_child_text(m.body, "Tag"), "CPU 0");
	assert_int_equal(wsman_return_value(&m, &v), -ERR_NOT_FOUND);
	assert_null(wsman_context(&m));
	assert_null(wsman_items(&m));
	assert_false(wsman_end_of_sequence(&m));
	wsman_free(&m);
	read_ok(&m, RESPONSE("urn:g", "urn:h", WSMAN_NS_WXF "/DeleteResponse", ""));
	assert_null(m.body);
	assert_int_equal(wsman_check(&m, 3), 0);
	assert_int_equal(wsman_return_value(&m, &v), -ERR_NOT_FOUND);
	wsman_free(&m);
}

static void test_enumeration_responses(void **state)
{
	struct wsman_message m;
	const struct xml_node *item;

	(void)state;
	read_ok(&m, RESPONSE(WSMAN_NS_WSEN, "urn:h", WSMAN_NS_WSEN "/EnumerateResponse",
	                     "<g:EnumerateResponse><g:EnumerationContext>14000000-0000-0000-0000-"
	                     "000000000000"
	                     "</g:EnumerationContext></g:EnumerateResponse>"));
	assert_string_equal(wsman_context(&m), "14000000-0000-0000-0000-000000000000");
	assert_null(wsman_items(&m));
	assert_false(wsman_end_of_sequence(&m));
	wsman_free(&m);
	read_ok(&m, RESPONSE(WSMAN_NS_WSEN, CIM "CIM_Chip", WSMAN_NS_WSEN "/PullResponse",
	                     "<g:PullResponse><g:Items><h:CIM_Chip><h:Tag>0</h:Tag></"
	                     "h:CIM_Chip><h:CIM_Chip><h:Tag>1</h:Tag>"
	                     "</h:CIM_Chip></g:Items><g:EndOfSequence></g:EndOfSequence></"
	                     "g:PullResponse>"));
	item = wsman_items(&m);
	assert_string_equal(xml_child_text(item, "Tag"), "0");
	item = item->next;
	assert_string_equal(xml_child_text(item, "Tag"), "1");
	assert_null(item->next);
	assert_true(wsman_end_of_sequence(&m));
	assert_null(wsman_context(&m));
	wsman_free(&m);
	read_ok(&m, RESPONSE(WSMAN_NS_WSEN, "urn:h", WSMAN_NS_WSEN "/PullResponse",
	                     "<g:PullResponse><g:EnumerationContext>15</"
	                     "g:EnumerationContext><g:Items></g:Items></g:PullResponse>"));
	assert_null(wsman_items(&m));
	assert_string_equal(wsman_context(&m), "15");
	assert_false(wsman_end_of_sequence(&m));
	wsman_free(&m);
}

static void test_return_value(void **state)
{
	struct wsman_message m;
	uint32_t v;

	(void)state;
	read_ok(&m, RESPONSE(CIM "CIM_PowerManagementService", "urn:h",
	                     "x/RequestPowerStateChangeResponse",
	                     "<g:RequestPowerStateChange_OUTPUT><g:ReturnValue>2</g:ReturnValue>"
	                     "</g:RequestPowerStateChange_OUTPUT>"));
	assert_int_equal(wsman_return_value(&m, &v), 0);
	assert_int_equal(v, 2);
	wsman_free(&m);
	read_ok(&m, RESPONSE("urn:g", "urn:h", "x",
	                     "<g:M_OUTPUT><g:ReturnValue>two</g:ReturnValue></g:M_OUTPUT>"));
	assert_int_equal(wsman_return_value(&m, &v), -ERR_INVALID);
	wsman_free(&m);
}

/* The firmware's prefixes in faults (amt.md A.7). */
#define FAULT_HEAD                                                                               \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a:Envelope xmlns:g=\"" WSMAN_NS_CIMBIND      \
	"\" xmlns:f=\"" WSMAN_NS_WSE "\" xmlns:e=\"" WSMAN_NS_WSMAN "\" xmlns:d=\"" WSMAN_NS_WXF \
	"\" xmlns:c=\"" WSMAN_NS_WSEN "\" xmlns:b=\"" WSMAN_NS_WSA "\" xmlns:a=\"" WSMAN_NS_SOAP \
	"\"><a:Header><b:To>" WSMAN_ANONYMOUS                                                    \
	"</b:To><b:RelatesTo>5</b:RelatesTo></a:Header><a:Body><a:Fault><a:Code><a:Value>a:%s</" \
	"a:Value>"                                                                               \
	"<a:Subcode><a:Value>%s</a:Value></a:Subcode></a:Code><a:Reason><a:Text "                \
	"xml:lang=\"en-US\">Why &lt;so"                                                          \
	"</a:Text></a:Reason><a:Detail>%s</a:Detail></a:Fault></a:Body></a:Envelope>"

static void test_faults(void **state)
{
	static const struct {
		const char *subcode;
		enum wsman_fault_kind kind;
		int err;
	} cases[] = {
		{"b:DestinationUnreachable", WSMAN_FAULT_ABSENT, -ERR_UNSUPPORTED},
		{"b:ActionNotSupported", WSMAN_FAULT_ABSENT, -ERR_UNSUPPORTED},
		{"e:NotSupported", WSMAN_FAULT_ABSENT, -ERR_UNSUPPORTED},
		{"e:InvalidResourceURI", WSMAN_FAULT_ABSENT, -ERR_UNSUPPORTED},
		{"e:AlreadyExists", WSMAN_FAULT_EXISTS, -ERR_EXISTS},
		{"e:InvalidParameter", WSMAN_FAULT_INVALID, -ERR_INVALID},
		{"e:SchemaValidationError", WSMAN_FAULT_INVALID, -ERR_INVALID},
		{"d:InvalidRepresentation", WSMAN_FAULT_INVALID, -ERR_INVALID},
		{"e:InvalidSelectors", WSMAN_FAULT_INVALID, -ERR_INVALID},
		{"e:AccessDenied", WSMAN_FAULT_DENIED, -ERR_DENIED},
		{"e:InternalError", WSMAN_FAULT_OTHER, -ERR_FAULT},
		{"c:InvalidEnumerationContext", WSMAN_FAULT_CONTEXT, -ERR_FAULT},
		{"e:TimedOut", WSMAN_FAULT_BUSY, -ERR_BUSY},
		{"e:QuotaLimit", WSMAN_FAULT_BUSY, -ERR_BUSY},
		/* The right word in the wrong namespace. */
		{"e:DestinationUnreachable", WSMAN_FAULT_OTHER, -ERR_FAULT},
		{"x:DestinationUnreachable", WSMAN_FAULT_OTHER, -ERR_FAULT},
		{"", WSMAN_FAULT_OTHER, -ERR_FAULT},
	};
	struct wsman_message m;
	char text[4000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(text, sizeof(text), FAULT_HEAD, i % 2 == 0 ? "Sender" : "Receiver",
		               cases[i].subcode,
		               i % 2 == 0 ? "" : "<e:FaultDetail>more</e:FaultDetail>");
		read_ok(&m, text);
		assert_int_equal(m.fault.kind, cases[i].kind);
		assert_int_equal(m.fault.sender, i % 2 == 0);
		assert_string_equal(m.fault.reason, "Why <so");
		assert_string_equal(m.fault.detail, i % 2 == 0 ? "" : "more");
		assert_int_equal(wsman_check(&m, 5), cases[i].err);
		assert_int_equal(wsman_check(&m, 6), -ERR_PROTOCOL);
		assert_int_equal(wsman_fault_retryable(&m.fault),
		                 cases[i].kind == WSMAN_FAULT_BUSY);
		wsman_free(&m);
	}
	(void)snprintf(text, sizeof(text), FAULT_HEAD, "Sender", "b:ActionNotSupported", "");
	read_ok(&m, text);
	assert_string_equal(m.fault.ns, WSMAN_NS_WSA);
	assert_string_equal(m.fault.subcode, "ActionNotSupported");
	wsman_free(&m);
}

#define SOAP_ONLY(body) "<a:Envelope xmlns:a=\"" WSMAN_NS_SOAP "\">" body "</a:Envelope>"

static void test_bare_envelopes(void **state)
{
	struct wsman_message m;

	(void)state;
	read_ok(&m, SOAP_ONLY("<a:Body><a:Fault/></a:Body>"));
	assert_int_equal(m.fault.kind, WSMAN_FAULT_OTHER);
	assert_string_equal(m.fault.reason, "");
	assert_string_equal(m.fault.subcode, "");
	assert_int_equal(wsman_check(&m, 1), -ERR_FAULT);
	wsman_free(&m);
	read_ok(&m, SOAP_ONLY("<a:Body/>"));
	assert_null(m.action);
	assert_null(wsman_selector(&m, "x"));
	assert_int_equal(wsman_check(&m, 1), -ERR_PROTOCOL);
	wsman_free(&m);
}

static void not_read(const char *text, int err)
{
	struct wsman_message m;

	assert_int_equal(wsman_read(&m, span_str(text), NULL), err);
	assert_non_null(m.doc.error);
	assert_null(m.body);
	wsman_free(&m);
}

static void test_not_soap(void **state)
{
	(void)state;
	not_read("", -ERR_PROTOCOL);
	not_read("<html><h2>Log on failed</h2></html>", -ERR_PROTOCOL);
	not_read("<Envelope><Body/></Envelope>", -ERR_PROTOCOL);
	not_read("<a:Envelope "
	         "xmlns:a=\"http://schemas.xmlsoap.org/soap/envelope/\"><a:Body/></a:Envelope>",
	         -ERR_PROTOCOL);
	not_read(SOAP_ONLY(""), -ERR_PROTOCOL);
	not_read(SOAP_ONLY("<Body/>"), -ERR_PROTOCOL);
	not_read("<!DOCTYPE a>" SOAP_ONLY("<a:Body/>"), -ERR_PROTOCOL);
	not_read("<a:Envelope xmlns:a=\"" WSMAN_NS_SOAP "\"><a:Body>", -ERR_PROTOCOL);
}

static void test_selectors_of_a_request(void **state)
{
	const struct wsman_selector sel[] = {{.name = "A", .value = "1"},
	                                     {.name = "B", .value = "2"}};
	struct wsman_message m;

	(void)state;
	round_trip(
		&(struct wsman_request){
			.op = WSMAN_GET, .resource_uri = "u", .selectors = sel, .selectors_len = 2},
		&m);
	assert_string_equal(wsman_selector(&m, "A"), "1");
	assert_string_equal(wsman_selector(&m, "B"), "2");
	assert_null(wsman_selector(&m, "C"));
	wsman_free(&m);
}

static void test_status_names(void **state)
{
	(void)state;
	assert_string_equal(wsman_status_name(0), "SUCCESS");
	assert_string_equal(wsman_status_name(3), "INVALID_PT_MODE");
	assert_string_equal(wsman_status_name(16), "NOT_PERMITTED");
	assert_string_equal(wsman_status_name(0x1b), "INVALID_IP_ADDRESS");
	assert_string_equal(wsman_status_name(36), "INVALID_PARAMETER");
	assert_string_equal(wsman_status_name(0x31), "CERTIFICATE_NOT_READY");
	assert_null(wsman_status_name(50));
	assert_string_equal(wsman_status_name(0x400), "DISABLED_BY_POLICY");
	assert_string_equal(wsman_status_name(2058), "DUPLICATE");
	assert_null(wsman_status_name(2071));
	assert_string_equal(wsman_status_name(2081), "USER_CONSENT_REQUIRED");
	assert_string_equal(wsman_cim_status_name(6), "IN_USE");
	assert_null(wsman_cim_status_name(7));
	assert_string_equal(
		wsman_return_name(CIM "CIM_PowerManagementService", "RequestPowerStateChange", 2),
		"UNKNOWN_OR_INVALID_STATE");
	assert_string_equal(
		wsman_return_name(AMT "AMT_RedirectionService", "RequestStateChange", 1),
		"NOT_SUPPORTED");
	assert_string_equal(
		wsman_return_name(AMT "AMT_SetupAndConfigurationService", "Unprovision", 1),
		"INTERNAL_ERROR");
	assert_string_equal(wsman_return_name(CIM "CIM_BootService", "SetBootConfigRole", 2066),
	                    "UNSUPPORTED");
	assert_string_equal(wsman_return_name(CIM "CIM_BootService", "SetBootConfigRole", 99999),
	                    "unknown");
}

/* ---- recorded answers, where they are at hand ------------------------------------------------ */

static unsigned fixtures_good, fixtures_refused;

static void check_fixture(const char *path, struct span text)
{
	struct wsman_message m;
	struct buf b;
	int r = wsman_read(&m, text, NULL);

	/* The recordings under amt/asset are not well-formed. */
	if (strstr(path, "/amt/asset/") != NULL) {
		assert_int_equal(r, -ERR_PROTOCOL);
		fixtures_refused++;
		return;
	}
	if (r != 0)
		fail_msg("%s: %s in line %u", path, m.doc.error, m.doc.error_line);
	assert_int_equal(m.fault.kind, WSMAN_FAULT_NONE);
	if (m.action == NULL)
		fail_msg("%s: no action", path);
	if (m.body != NULL) {
		buf_init(&b, FILE_MAX);
		xml_write_node(&b, m.body);
		assert_int_equal(b.err, 0);
		buf_free(&b);
	}
	if (strstr(path, "/pull.xml") != NULL)
		assert_true(wsman_end_of_sequence(&m) || wsman_context(&m) != NULL);
	if (strstr(path, "/enumerate.xml") != NULL)
		assert_non_null(wsman_context(&m));
	wsman_free(&m);
	fixtures_good++;
}

static int visit_fixture(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	size_t n = strlen(path);
	uint8_t *text;
	FILE *f;

	(void)st;
	(void)ftw;
	if (type != FTW_F || n < 4 || strcmp(path + n - 4, ".xml") != 0)
		return 0;
	f = fopen(path, "rb");
	text = malloc(FILE_MAX);
	assert_non_null(f);
	assert_non_null(text);
	n = fread(text, 1, FILE_MAX, f);
	(void)fclose(f);
	check_fixture(path, span_of(text, n));
	free(text);
	return 0;
}

static void test_recorded(void **state)
{
	const char *base = getenv("CAUSEWAY_FIXTURES");
	char path[1024];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/wsman", base != NULL ? base : "../shared/fixtures");
	fixtures_good = fixtures_refused = 0;
	if (nftw(path, visit_fixture, 16, FTW_PHYS) != 0 || fixtures_good + fixtures_refused == 0) {
		print_message("no recorded answers in %s\n", path);
		skip();
	}
	print_message("%u recorded answers read, %u refused\n", fixtures_good, fixtures_refused);
	assert_true(fixtures_good > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_enumeration_requests),
		cmocka_unit_test(test_invoke_with_a_reference),
		cmocka_unit_test(test_selector_that_is_a_reference),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_incomplete_requests),
		cmocka_unit_test(test_resource_uris),
		cmocka_unit_test(test_get_response),
		cmocka_unit_test(test_enumeration_responses),
		cmocka_unit_test(test_return_value),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_bare_envelopes),
		cmocka_unit_test(test_not_soap),
		cmocka_unit_test(test_selectors_of_a_request),
		cmocka_unit_test(test_status_names),
		cmocka_unit_test(test_recorded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
