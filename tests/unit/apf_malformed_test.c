/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Malformed input M1-M23 (apf.md 13), the tunnel's part, and the required reaction to each, in order; whole and octet by octet. */
#include "tests/unit/support/apf_rig.h"
#include "tests/unit/support/test.h"

#include <string.h>

static struct rig r;

static void finish(void)
{
	rig_fini(&r);
}

#define FWD     "V36 V05 V08 V10 V12"
#define PFWD    "00000012 7066776440616d742e696e74656c2e636f6d"
#define FORWARD "0000000d 74637069702d666f7277617264"
#define UDP     "00000019 7564702d73656e642d746f40616d742e696e74656c2e636f6d"

static void test_m01_first_octet_is_not_apf(void **state)
{
	(void)state;
	rig_closes("", "0a", APF_CLOSE_NOT_APF, 0);
	rig_closes("", "00", APF_CLOSE_NOT_APF, 0);
	rig_closes("", "ff", APF_CLOSE_NOT_APF, 0);
	rig_closes("", "16030100", APF_CLOSE_NOT_APF, 0);
}

static void cut(const char *before, const char *name, uint64_t wait, enum apf_close_reason reason)
{
	struct span v = rig_vector_octets(name);

	for (size_t k = 1; k < v.len; k++) {
		rig_begin(&r, before, 0);
		rig_feed(&r, span_of(rig_vector_octets(name).ptr, k));
		assert_int_equal(r.rc, 0);
		assert_true(apf_session_deadline(&r.s) >
		            r.now); /* nothing to do before: no busy loop */
		rig_tick(&r, wait - 1);
		assert_int_equal(r.rc, 0);
		buf_clear(&r.out);
		rig_tick(&r, 1);
		rig_expect_closed(&r, reason, 0);
		finish();
	}
}

static void test_m02_cut_then_silence(void **state)
{
	(void)state;
	cut("", "V01", 30000, APF_CLOSE_HANDSHAKE_TIMEOUT);
	cut("V01", "V02", 30000, APF_CLOSE_HANDSHAKE_TIMEOUT);
	cut("V36", "V05", 30000, APF_CLOSE_HANDSHAKE_TIMEOUT);
	cut("V36 V05", "V08", 30000, APF_CLOSE_FORWARD_TIMEOUT);
	cut("V36 V05 V08", "V10", 30000, APF_CLOSE_FORWARD_TIMEOUT);
	cut(FWD, "V20", 300000, APF_CLOSE_IDLE_TIMEOUT);
	cut(FWD, "V26", 300000, APF_CLOSE_IDLE_TIMEOUT);
}

static void test_m03_one_octet_at_a_time(void **state)
{
	(void)state;
	rig_init(&r, NULL, 1);
	rig_feed_vectors(&r, "V36 V05 V08 V10 V12 V14 V17 V20 V33");
	assert_int_equal(r.rc, 0);
	buf_consume(&r.out, r.out.len - 17);
	rig_expect_hex(&r, "5c 00000007 00000001 00000000 00000000");
	assert_int_equal(r.datagrams, 1);
	finish();
}

static void test_m04_service_name_too_long(void **state)
{
	(void)state;
	rig_closes("V01", "05 00000801", APF_CLOSE_TOO_LONG, 0);
	rig_closes("V01", "05 ffffffff", APF_CLOSE_TOO_LONG, 0);
}

static void test_m05_unknown_service(void **state)
{
	(void)state;
	rig_closes("V01", "05 00000007 666f6f40626172", APF_CLOSE_SERVICE, 7);
	rig_closes("V36 V05", "05 00000007 666f6f40626172", APF_CLOSE_SERVICE, 7);
}

static void test_m06_userauth_lengths(void **state)
{
	(void)state;
	rig_closes("V36", "32 ffffffff", APF_CLOSE_TOO_LONG, 0);
	rig_closes("V36", "32 00000001 61 fffffffa", APF_CLOSE_TOO_LONG, 0);
	rig_closes("V36", "32 00000001 61" PFWD "fffffff0", APF_CLOSE_TOO_LONG, 0);
	rig_closes("V36", "32 00000001 61" PFWD "00000008 70617373776f7264 00 ffffffff",
	           APF_CLOSE_TOO_LONG, 0);
}

static void test_m07_userauth_in_two_pieces(void **state)
{
	struct span v;

	(void)state;
	rig_begin(&r, "V36", 0);
	v = rig_vector_octets("V05");
	rig_feed(&r, span_of(v.ptr, 20));
	rig_expect_nothing(&r);
	assert_int_equal(r.auths, 0);
	v = rig_vector_octets("V05");
	rig_feed(&r, span_of(v.ptr + 20, v.len - 20));
	rig_expect_vectors(&r, "V07");
	assert_int_equal(r.auths, 1);
	finish();
}

static void test_m08_none_followed_by_another_message(void **state)
{
	(void)state;
	rig_begin(&r, "V36", 0);
	rig_feed_vectors(&r, "V04 V20");
	rig_expect_vectors(&r, "V06");
	rig_expect_closed(&r, APF_CLOSE_AUTH_METHOD, 0);
	finish();
	rig_init(&r, NULL,
	         0); /* where none is accepted, the next message is seen from its first octet */
	r.cert = true;
	rig_feed_vectors(&r, "V36 V04 V20");
	rig_expect_vectors(&r, "V03 V07 V21");
	finish();
}

static void test_m09_change_flag(void **state)
{
	(void)state;
	for (size_t piece = 0; piece < 2; piece++) {
		rig_begin(&r, "V36", piece);
		rig_feed_hex(&r, "32 00000001 61" PFWD "00000008 70617373776f7264 01 00000001 62");
		rig_expect_vectors(&r, "V06");
		rig_expect_closed(&r, APF_CLOSE_AUTH_METHOD, 0);
		assert_int_equal(r.auths, 0);
		finish();
	}
}

static void bad_user(const char *hex)
{
	rig_begin(&r, "V36", 0);
	rig_feed_hex(&r, hex);
	rig_expect_vectors(&r, "V06");
	rig_expect_closed(&r, APF_CLOSE_AUTH_TEXT, 0);
	assert_int_equal(r.auths, 0);
	finish();
}

static void test_m10_text_with_strange_octets(void **state)
{
	(void)state;
	bad_user("32 00000001 00" PFWD "00000008 70617373776f7264 00 00000001 62");
	bad_user("32 00000002 c3a4" PFWD "00000008 70617373776f7264 00 00000001 62");
	bad_user("32 00000002 610a" PFWD "00000008 70617373776f7264 00 00000001 62");
	rig_begin(&r, "V36 V05 V08", 0); /* a host of that kind never leaves the session */
	rig_feed_hex(&r, "50" FORWARD "01 00000004 611b5b6d 00004261");
	rig_expect_vectors(&r, "V11");
	assert_string_equal(r.host, "");
	assert_int_equal(r.glitches[APF_GLITCH_HOST_TEXT], 1);
	finish();
}

static void test_m11_userauth_before_the_version(void **state)
{
	(void)state;
	rig_begin(&r, "", 0);
	rig_feed_vectors(&r, "V05");
	rig_expect_closed(&r, APF_CLOSE_OUT_OF_ORDER, 2);
	assert_int_equal(r.auths, 0);
	finish();
}

static void test_m12_second_version(void **state)
{
	static const char *const stages[] = {"V01", "V36", "V36 V05", FWD};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
		rig_begin(&r, stages[i], 0);
		rig_feed_vectors(&r, "FIELD");
		rig_expect_closed(&r, APF_CLOSE_OUT_OF_ORDER, 2);
		assert_int_equal(r.hellos, 1);
		assert_true(guid_equal(apf_session_guid(&r.s), &r.guid));
		finish();
	}
}

static void test_m13_major_version(void **state)
{
	(void)state;
	for (uint32_t major = 0; major < 4; major++) {
		if (major == 1)
			continue;
		rig_begin(&r, "", major == 2);
		rig_feed_msg(&r, &(struct apf_msg){.type = APF_VERSION, .version.major = major});
		rig_expect_closed(&r, APF_CLOSE_VERSION, 8);
		assert_int_equal(r.hellos, 0);
		finish();
	}
	rig_begin(&r, "", 0); /* a newer minor version is fine */
	rig_feed_msg(&r,
	             &(struct apf_msg){.type = APF_VERSION, .version = {.major = 1, .minor = 7}});
	assert_int_equal(r.rc, 0);
	finish();
}

static void blank_guid(uint8_t octet, bool cert)
{
	struct apf_msg m = {.type = APF_VERSION, .version.major = 1};

	memset(m.version.guid.b, octet, sizeof(m.version.guid.b));
	rig_begin(&r, "", 0);
	r.cert = cert;
	rig_feed_msg(&r, &m);
	assert_int_equal(r.hellos, 1);
	if (cert) {
		rig_feed_vectors(&r, "V08");
	} else {
		rig_feed_vectors(&r, "V02 V05");
		rig_expect_vectors(&r, "V03 V06");
	}
	rig_expect_closed(&r, APF_CLOSE_BLANK_GUID, 0);
	assert_int_equal(r.auths, 0);
	finish();
}

static void test_m14_blank_guid(void **state)
{
	struct apf_limits lax = apf_limits_default;

	(void)state;
	blank_guid(0, false);
	blank_guid(0xff, false);
	blank_guid(0, true);
	lax.refuse_blank_guids = false; /* then the gateway's userauth decides; it knows the GUID */
	rig_init(&r, &lax, 0);
	rig_feed_msg(&r, &(struct apf_msg){.type = APF_VERSION, .version.major = 1});
	rig_feed_vectors(&r, "V02 V05");
	rig_expect_vectors(&r, "V03 V07");
	finish();
}

static void test_m15_forward_before_authentication(void **state)
{
	static const char *const stages[] = {"", "V01", "V36"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
		rig_begin(&r, stages[i], 0);
		rig_feed_vectors(&r, "V10");
		rig_expect_closed(&r, APF_CLOSE_OUT_OF_ORDER, 2);
		assert_int_equal(r.added, 0);
		finish();
	}
}

static void test_m16_forward_address_too_long(void **state)
{
	(void)state;
	rig_closes(FWD, "50" FORWARD "01 7fffffff", APF_CLOSE_TOO_LONG, 0);
	rig_closes(FWD, "50" FORWARD "01 00000100", APF_CLOSE_TOO_LONG, 0);
}

static void test_m17_forward_port_out_of_range(void **state)
{
	(void)state;
	rig_begin(&r, FWD, 0);
	rig_feed_hex(&r, "50" FORWARD "01 00000000 00000000");
	rig_expect_vectors(&r, "V16");
	rig_feed_hex(&r, "50" FORWARD "01 00000000 00011170");
	rig_expect_vectors(&r, "V16");
	rig_feed_hex(&r, "50" FORWARD "01 00000000 00014260"); /* 16992 in its lower half */
	rig_expect_vectors(&r, "V16");
	rig_feed_hex(&r, "50" FORWARD "01 00000000 00000016"); /* not a port of AMT */
	rig_expect_vectors(&r, "V16");
	assert_int_equal(r.added, 2);
	assert_int_equal(r.glitches[APF_GLITCH_FORWARD_REFUSED], 4);
	rig_expect_alive(&r);
	finish();
}

static void test_m18_forward_without_want_reply(void **state)
{
	(void)state;
	rig_begin(&r, "V36 V05 V08", 0);
	rig_feed_hex(&r, "50" FORWARD "00 00000000 00004260");
	rig_expect_vectors(&r, "V37");
	finish();
}

static void feed_forward(uint32_t port)
{
	rig_feed_msg(&r, &(struct apf_msg){.type = APF_GLOBAL_REQUEST,
	                                   .global = {.kind = APF_REQUEST_FORWARD, .port = port}});
}

static void test_m19_a_thousand_forwards(void **state)
{
	struct apf_limits any = apf_limits_default;
	unsigned n;

	(void)state;
	any.ports_len = 0;
	rig_init(&r, &any, 0);
	rig_feed_vectors(&r, "V36 V05 V08");
	for (n = 1; n <= 16; n++)
		feed_forward(n);
	assert_int_equal(r.added, 16);
	buf_clear(&r.out);
	feed_forward(70000); /* M17 where every port is permitted */
	rig_expect_vectors(&r, "V16");
	feed_forward(17);
	rig_expect_vectors(&r, "V16");
	feed_forward(16); /* known: still succeeds */
	rig_expect_hex(&r, "51 00000010");
	for (n = 18; n < 255; n++)
		feed_forward(n);
	assert_int_equal(r.rc, 0); /* 256 requests so far */
	buf_clear(&r.out);
	feed_forward(1);
	rig_expect_closed(&r, APF_CLOSE_REQUEST_FLOOD, 0);
	finish();
}

static void test_m20_unknown_request(void **state)
{
	(void)state;
	rig_closes(FWD, "50 00000003 666f6f 01", APF_CLOSE_UNKNOWN_REQUEST, 2);
	rig_closes(FWD, "50 00000003 666f6f 01 d0 0000002a", APF_CLOSE_UNKNOWN_REQUEST, 2);
	rig_closes(FWD, "50 ffffffff", APF_CLOSE_TOO_LONG, 0);
}

static void test_m21_datagram_lengths(void **state)
{
	(void)state;
	rig_closes(FWD, "50" UDP "00 00000100", APF_CLOSE_TOO_LONG, 0);
	rig_closes(FWD, "50" UDP "00 00000001 61 00000001 00000100", APF_CLOSE_TOO_LONG, 0);
	rig_closes(FWD, "50" UDP "00 00000001 61 00000001 00000001 61 00000001 00000801",
	           APF_CLOSE_TOO_LONG, 0);
	rig_closes(FWD, "50" UDP "00 00000001 61 00000001 00000001 61 00000001 ffffffff",
	           APF_CLOSE_TOO_LONG, 0);
}

static void test_m22_channels_that_the_device_opens(void **state)
{
	(void)state;
	for (size_t piece = 0; piece < 2; piece++) {
		rig_begin(&r, FWD, piece);
		rig_feed_hex(&r, "5a 00000007 73657373696f6e 00000009 00001000 ffffffff 00000000 "
		                 "00000001 00000000"
		                 "00000002");
		rig_expect_hex(&r, "5c 00000009 00000003 00000000 00000000");
		rig_feed_hex(&r, "5a 0000000f 666f727761726465642d7463706970 00000007 00008000 "
		                 "ffffffff 00000000"
		                 "00004260 00000007 312e322e332e34 00000400");
		rig_expect_vectors(&r, "V34");
		rig_feed_vectors(&r, "V33"); /* direct-tcpip: prohibited */
		rig_expect_hex(&r, "5c 00000007 00000001 00000000 00000000");
		assert_int_equal(r.glitches[APF_GLITCH_DEVICE_OPEN], 3);
		rig_expect_alive(&r);
		finish();
	}
	rig_begin(&r, FWD, 0); /* each costs us an answer, so they are limited like requests */
	for (unsigned i = 0; r.rc == 0 && i < 1000; i++) {
		buf_clear(&r.out);
		rig_feed_vectors(&r, "V33");
	}
	rig_expect_closed(&r, APF_CLOSE_REQUEST_FLOOD, 0);
	finish();
}

static void test_m23_channel_open_lengths(void **state)
{
	(void)state;
	rig_closes(FWD, "5a 00000021", APF_CLOSE_TOO_LONG, 0);
	rig_closes(FWD, "5a 00000001 61 00000001 00000001 ffffffff 00000100", APF_CLOSE_TOO_LONG,
	           0);
	rig_closes(FWD, "5a 00000001 61 00000001 00000001 ffffffff 00000001 61 00000001 ffffffff",
	           APF_CLOSE_TOO_LONG, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_m01_first_octet_is_not_apf),
		cmocka_unit_test(test_m02_cut_then_silence),
		cmocka_unit_test(test_m03_one_octet_at_a_time),
		cmocka_unit_test(test_m04_service_name_too_long),
		cmocka_unit_test(test_m05_unknown_service),
		cmocka_unit_test(test_m06_userauth_lengths),
		cmocka_unit_test(test_m07_userauth_in_two_pieces),
		cmocka_unit_test(test_m08_none_followed_by_another_message),
		cmocka_unit_test(test_m09_change_flag),
		cmocka_unit_test(test_m10_text_with_strange_octets),
		cmocka_unit_test(test_m11_userauth_before_the_version),
		cmocka_unit_test(test_m12_second_version),
		cmocka_unit_test(test_m13_major_version),
		cmocka_unit_test(test_m14_blank_guid),
		cmocka_unit_test(test_m15_forward_before_authentication),
		cmocka_unit_test(test_m16_forward_address_too_long),
		cmocka_unit_test(test_m17_forward_port_out_of_range),
		cmocka_unit_test(test_m18_forward_without_want_reply),
		cmocka_unit_test(test_m19_a_thousand_forwards),
		cmocka_unit_test(test_m20_unknown_request),
		cmocka_unit_test(test_m21_datagram_lengths),
		cmocka_unit_test(test_m22_channels_that_the_device_opens),
		cmocka_unit_test(test_m23_channel_open_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
