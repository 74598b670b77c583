/* SPDX-License-Identifier: GPL-3.0-or-later */
/* json_test.c: the JSON mapping against texts worked out by hand from the proto3 JSON rules. */
#include "tests/unit/support/test.h"

#include <string.h>

#include "causeway/v1/devices.pb-c.h"
#include "causeway/v1/groups.pb-c.h"
#include "causeway/v1/operations.pb-c.h"
#include "causeway/v1/power.pb-c.h"
#include "causeway/v1/tunnels.pb-c.h"
#include "core/err.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "google/rpc/error_details.pb-c.h"
#include "mgmtapi/json.h"

static ProtobufCMessage *decode(const ProtobufCMessageDescriptor *d, const char *text,
                                struct buf *why)
{
	buf_init(why, 4096);
	return pbjson_decode(d, span_str(text), NULL, NULL, why);
}

/* Reads text and expects it back as `again`. */
static void round_trip(const ProtobufCMessageDescriptor *d, const char *text, const char *again)
{
	struct buf why;
	struct buf out;
	ProtobufCMessage *m = decode(d, text, &why);

	if (m == NULL)
		fail_msg("%s: %s", text, buf_cstr(&why));
	buf_init(&out, 1 << 20);
	assert_int_equal(pbjson_encode(m, NULL, &out), 0);
	assert_string_equal(buf_cstr(&out), again);
	buf_free(&out);
	buf_free(&why);
	protobuf_c_message_free_unpacked(m, NULL);
}

static void refuse(const ProtobufCMessageDescriptor *d, const char *text, const char *because)
{
	struct buf why;
	ProtobufCMessage *m = decode(d, text, &why);

	if (m != NULL || strstr(buf_cstr(&why), because) == NULL)
		fail_msg("%s: %s, expected: %s", text, m != NULL ? "accepted" : buf_cstr(&why),
		         because);
	buf_free(&why);
}

#define DEVICE &causeway__v1__device__descriptor

static void names_and_scalars(void **state)
{
	(void)state;
	round_trip(DEVICE, "{\"id\":\"a\",\"hostName\":\"h\",\"connected\":true}",
	           "{\"id\":\"a\",\"hostName\":\"h\",\"connected\":true}");
	round_trip(DEVICE, "{\"host_name\":\"h\"}", "{\"hostName\":\"h\"}");
	round_trip(DEVICE, "{\"connects\":\"18446744073709551615\",\"sku\":4294967295}",
	           "{\"sku\":4294967295,\"connects\":\"18446744073709551615\"}");
	round_trip(DEVICE, "{\"connects\":12,\"sku\":\"7\"}", "{\"sku\":7,\"connects\":\"12\"}");
	round_trip(DEVICE, "{\"sku\":7.0}", "{\"sku\":7}");
	round_trip(DEVICE, "{\"id\":null,\"sku\":null}", "{}");
	round_trip(DEVICE, "{\"name\":\"\\u00e4\\n\\\"\\\\\\u0001\"}",
	           "{\"name\":\"\xc3\xa4\\n\\\"\\\\\\u0001\"}");
	round_trip(DEVICE, "{\"forwardedPorts\":[16992,16993]}",
	           "{\"forwardedPorts\":[16992,16993]}");
	round_trip(DEVICE, "{\"labels\":[{\"key\":\"a\",\"value\":\"b\"},{}]}",
	           "{\"labels\":[{\"key\":\"a\",\"value\":\"b\"},{}]}");
}

static void enums(void **state)
{
	(void)state;
	round_trip(DEVICE, "{\"powerState\":\"POWER_STATE_ON\"}",
	           "{\"powerState\":\"POWER_STATE_ON\"}");
	round_trip(DEVICE, "{\"powerState\":8}", "{\"powerState\":\"POWER_STATE_OFF_SOFT\"}");
	round_trip(DEVICE, "{\"powerState\":99}", "{\"powerState\":99}");
	refuse(DEVICE, "{\"powerState\":\"ON\"}", "enum value");
}

static void special_messages(void **state)
{
	(void)state;
	round_trip(DEVICE, "{\"connectedTime\":\"2026-01-31T23:59:59.5Z\"}",
	           "{\"connectedTime\":\"2026-01-31T23:59:59.500Z\"}");
	round_trip(DEVICE, "{\"connectedTime\":\"2026-02-01T01:00:00+01:00\"}",
	           "{\"connectedTime\":\"2026-02-01T00:00:00Z\"}");
	round_trip(DEVICE, "{\"connectedTime\":\"1969-12-31T23:59:58.000000001Z\"}",
	           "{\"connectedTime\":\"1969-12-31T23:59:58.000000001Z\"}");
	refuse(DEVICE, "{\"connectedTime\":\"yesterday\"}", "RFC 3339");
	refuse(DEVICE, "{\"connectedTime\":12}", "string");
	round_trip(&causeway__v1__change_power_request__descriptor, "{\"delay\":\"1.5s\"}",
	           "{\"delay\":\"1.500s\"}");
	round_trip(&causeway__v1__change_power_request__descriptor, "{\"delay\":\"-0.25s\"}",
	           "{\"delay\":\"-0.250s\"}");
	refuse(&causeway__v1__change_power_request__descriptor, "{\"delay\":\"1m\"}", "duration");
	refuse(&causeway__v1__change_power_request__descriptor, "{\"delay\":\"1.s\"}", "duration");
	round_trip(&causeway__v1__update_group_request__descriptor,
	           "{\"updateMask\":\"ciraUser,enroll\"}", "{\"updateMask\":\"ciraUser,enroll\"}");
	refuse(&causeway__v1__update_group_request__descriptor, "{\"updateMask\":\"a,,b\"}",
	       "field names");
	refuse(&causeway__v1__update_group_request__descriptor, "{\"updateMask\":\"a\\r\"}",
	       "field names");
}

static void oneofs_and_bytes(void **state)
{
	const ProtobufCMessageDescriptor *d = &causeway__v1__open_tunnel_request__descriptor;

	(void)state;
	round_trip(d, "{\"data\":\"AP8=\"}", "{\"data\":\"AP8=\"}");
	round_trip(d, "{\"data\":\"_w\"}", "{\"data\":\"/w==\"}");
	round_trip(d, "{\"data\":\"\"}", "{\"data\":\"\"}");
	round_trip(d, "{\"open\":{\"device\":\"d\",\"port\":16994}}",
	           "{\"open\":{\"device\":\"d\",\"port\":16994}}");
	refuse(d, "{\"data\":\"\",\"open\":{}}", "oneof");
	refuse(d, "{\"data\":\"*\"}", "base64");
}

static void maps_and_any(void **state)
{
	(void)state;
	round_trip(&google__rpc__error_info__descriptor,
	           "{\"reason\":\"R\",\"metadata\":{\"hint\":\"h\",\"k\":\"\"}}",
	           "{\"reason\":\"R\",\"metadata\":{\"hint\":\"h\",\"k\":\"\"}}");
	/* ErrorInfo{reason: "R"} is 0a 01 52. */
	round_trip(&causeway__v1__operation__descriptor,
	           "{\"error\":{\"code\":9,\"details\":[{\"@type\":\"type.googleapis.com/"
	           "google.rpc.ErrorInfo\",\"value\":\"CgFS\"}]}}",
	           "{\"error\":{\"code\":9,\"details\":[{\"@type\":\"type.googleapis.com/"
	           "google.rpc.ErrorInfo\",\"reason\":\"R\"}]}}");
	round_trip(&causeway__v1__operation__descriptor,
	           "{\"error\":{\"details\":[{\"@type\":\"x/y.Z\",\"value\":\"CgFS\"}]}}",
	           "{\"error\":{\"details\":[{\"@type\":\"x/y.Z\",\"value\":\"CgFS\"}]}}");
}

static void proto2_presence(void **state)
{
	(void)state;
	round_trip(&google__protobuf__method_options__descriptor, "{\"deprecated\":false}",
	           "{\"deprecated\":false}");
	round_trip(&google__protobuf__uninterpreted_option__descriptor,
	           "{\"doubleValue\":\"NaN\",\"positiveIntValue\":0}",
	           "{\"positiveIntValue\":\"0\",\"doubleValue\":\"NaN\"}");
	round_trip(&google__protobuf__uninterpreted_option__descriptor, "{\"doubleValue\":1.5}",
	           "{\"doubleValue\":1.5}");
}

static void bad_input(void **state)
{
	char deep[200];

	(void)state;
	refuse(DEVICE, "", "line 1");
	refuse(DEVICE, "[]", "object");
	refuse(DEVICE, "{\"nope\":1}", "\"nope\": there is no such field");
	refuse(DEVICE, "{\"id\":\"a\",\"id\":\"b\"}", "duplicate");
	refuse(DEVICE, "{\"hostName\":\"a\",\"host_name\":\"b\"}", "twice");
	refuse(DEVICE, "{\"id\":1}", "string");
	refuse(DEVICE, "{\"sku\":-1}", "negative");
	refuse(DEVICE, "{\"sku\":4294967296}", "32 bits");
	refuse(DEVICE, "{\"sku\":1.5}", "integer");
	refuse(DEVICE, "{\"connected\":1}", "true or false");
	refuse(DEVICE, "{\"connects\":\"18446744073709551616\"}", "integer");
	refuse(DEVICE, "{\"forwardedPorts\":[null]}", "null");
	refuse(DEVICE, "{\"forwardedPorts\":1}", "array");
	refuse(DEVICE, "{\"id\":\"\\u0000\"}", "line 1");
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	refuse(DEVICE, deep, "deep");
}

static void options(void **state)
{
	const struct pbjson_opts ignore = {.ignore_unknown = true};
	const struct pbjson_opts pretty = {.proto_names = true, .indent = 2};
	const struct pbjson_opts full = {.emit_defaults = true};
	struct buf why;
	struct buf out;
	ProtobufCMessage *m;

	(void)state;
	buf_init(&why, 4096);
	buf_init(&out, 4096);
	m = pbjson_decode(&causeway__v1__device_result__descriptor,
	                  span_str("{\"nope\":{},\"device\":\"d\",\"code\":3}"), &ignore, NULL,
	                  &why);
	assert_non_null(m);
	assert_int_equal(pbjson_encode(m, &pretty, &out), 0);
	assert_string_equal(buf_cstr(&out), "{\n  \"device\": \"d\",\n  \"code\": 3\n}");
	buf_clear(&out);
	assert_int_equal(pbjson_encode(m, &full, &out), 0);
	assert_string_equal(buf_cstr(&out),
	                    "{\"device\":\"d\",\"code\":3,\"reason\":\"\",\"message\":\"\"}");
	buf_free(&out);
	buf_init(&out, 4);
	assert_int_equal(pbjson_encode(m, NULL, &out), -ERR_TOO_BIG);
	buf_free(&out);
	buf_free(&why);
	protobuf_c_message_free_unpacked(m, NULL);
}

static void repairs_utf8(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	pbjson_put_string(&out, span_str("a\xff\xc0\x80\xed\xa0\x80z\xf0\x9f\x98\x80"));
	assert_string_equal(
		buf_cstr(&out),
		"\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz"
		"\xf0\x9f\x98\x80\"");
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_scalars), cmocka_unit_test(enums),
		cmocka_unit_test(special_messages),  cmocka_unit_test(oneofs_and_bytes),
		cmocka_unit_test(maps_and_any),      cmocka_unit_test(proto2_presence),
		cmocka_unit_test(bad_input),         cmocka_unit_test(options),
		cmocka_unit_test(repairs_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
