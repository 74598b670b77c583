/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Malformed input M1-M43 (apf.md 13) and the required reaction to each, in order; whole and octet by octet where it matters. */
#include "core/err.h"
#include "tests/unit/support/apf_rig.h"
#include "tests/unit/support/test.h"

#include <string.h>

static struct rig r;
static struct rig_channel c;

static void begin(const char *names, size_t piece)
{
	rig_init(&r, NULL, piece);
	rig_feed_vectors(&r, names);
	assert_int_equal(r.rc, 0);
	buf_clear(&r.out);
}

static void begin_forward(const struct apf_limits *limits)
{
	rig_init(&r, limits, 0);
	rig_forward(&r);
	c = (struct rig_channel){0};
}

static void finish(void)
{
	rig_fini(&r);
	rig_channel_fini(&c);
}

/* After these vectors, this input closes the tunnel for this reason; both ways of feeding. */
static void closes(const char *names, const char *hex, enum apf_close_reason reason, uint32_t code)
{
	for (size_t piece = 0; piece < 2; piece++) {
		begin(names, piece);
		rig_feed_hex(&r, hex);
		rig_expect_closed(&r, reason, code);
		finish();
	}
}

static void feed_id(uint8_t type, uint32_t id, uint32_t n)
{
	rig_feed_msg(&r, &(struct apf_msg){.type = type, .channel = {id, n}});
}

#define FWD     "V36 V05 V08 V10 V12"
#define PFWD    "00000012 7066776440616d742e696e74656c2e636f6d"
#define FORWARD "0000000d 74637069702d666f7277617264"
#define UDP     "00000019 7564702d73656e642d746f40616d742e696e74656c2e636f6d"

static void test_m01_first_octet_is_not_apf(void **state)
{
	(void)state;
	closes("", "0a", APF_CLOSE_NOT_APF, 0);
	closes("", "00", APF_CLOSE_NOT_APF, 0);
	closes("", "ff", APF_CLOSE_NOT_APF, 0);
	closes("", "16030100", APF_CLOSE_NOT_APF, 0);
}

static void cut(const char *before, const char *name, uint64_t wait, enum apf_close_reason reason)
{
	struct span v = rig_vector_octets(name);

	for (size_t k = 1; k < v.len; k++) {
		begin(before, 0);
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
	closes("V01", "05 00000801", APF_CLOSE_TOO_LONG, 0);
	closes("V01", "05 ffffffff", APF_CLOSE_TOO_LONG, 0);
}

static void test_m05_unknown_service(void **state)
{
	(void)state;
	closes("V01", "05 00000007 666f6f40626172", APF_CLOSE_SERVICE, 7);
	closes("V36 V05", "05 00000007 666f6f40626172", APF_CLOSE_SERVICE, 7);
}

static void test_m06_userauth_lengths(void **state)
{
	(void)state;
	closes("V36", "32 ffffffff", APF_CLOSE_TOO_LONG, 0);
	closes("V36", "32 00000001 61 fffffffa", APF_CLOSE_TOO_LONG, 0);
	closes("V36", "32 00000001 61" PFWD "fffffff0", APF_CLOSE_TOO_LONG, 0);
	closes("V36", "32 00000001 61" PFWD "00000008 70617373776f7264 00 ffffffff",
	       APF_CLOSE_TOO_LONG, 0);
}

static void test_m07_userauth_in_two_pieces(void **state)
{
	struct span v;

	(void)state;
	begin("V36", 0);
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
	begin("V36", 0);
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
		begin("V36", piece);
		rig_feed_hex(&r, "32 00000001 61" PFWD "00000008 70617373776f7264 01 00000001 62");
		rig_expect_vectors(&r, "V06");
		rig_expect_closed(&r, APF_CLOSE_AUTH_METHOD, 0);
		assert_int_equal(r.auths, 0);
		finish();
	}
}

static void bad_user(const char *hex)
{
	begin("V36", 0);
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
	begin("V36 V05 V08", 0); /* a host of that kind never leaves the session */
	rig_feed_hex(&r, "50" FORWARD "01 00000004 611b5b6d 00004261");
	rig_expect_vectors(&r, "V11");
	assert_string_equal(r.host, "");
	assert_int_equal(r.glitches[APF_GLITCH_HOST_TEXT], 1);
	finish();
}

static void test_m11_userauth_before_the_version(void **state)
{
	(void)state;
	begin("", 0);
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
		begin(stages[i], 0);
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
		begin("", major == 2);
		rig_feed_msg(&r, &(struct apf_msg){.type = APF_VERSION, .version.major = major});
		rig_expect_closed(&r, APF_CLOSE_VERSION, 8);
		assert_int_equal(r.hellos, 0);
		finish();
	}
	begin("", 0); /* a newer minor version is fine */
	rig_feed_msg(&r,
	             &(struct apf_msg){.type = APF_VERSION, .version = {.major = 1, .minor = 7}});
	assert_int_equal(r.rc, 0);
	finish();
}

static void blank_guid(uint8_t octet, bool cert)
{
	struct apf_msg m = {.type = APF_VERSION, .version.major = 1};

	memset(m.version.guid.b, octet, sizeof(m.version.guid.b));
	begin("", 0);
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
		begin(stages[i], 0);
		rig_feed_vectors(&r, "V10");
		rig_expect_closed(&r, APF_CLOSE_OUT_OF_ORDER, 2);
		assert_int_equal(r.added, 0);
		finish();
	}
}

static void test_m16_forward_address_too_long(void **state)
{
	(void)state;
	closes(FWD, "50" FORWARD "01 7fffffff", APF_CLOSE_TOO_LONG, 0);
	closes(FWD, "50" FORWARD "01 00000100", APF_CLOSE_TOO_LONG, 0);
}

static void test_m17_forward_port_out_of_range(void **state)
{
	(void)state;
	begin(FWD, 0);
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
	begin("V36 V05 V08", 0);
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
	closes(FWD, "50 00000003 666f6f 01", APF_CLOSE_UNKNOWN_REQUEST, 2);
	closes(FWD, "50 00000003 666f6f 01 d0 0000002a", APF_CLOSE_UNKNOWN_REQUEST, 2);
	closes(FWD, "50 ffffffff", APF_CLOSE_TOO_LONG, 0);
}

static void test_m21_datagram_lengths(void **state)
{
	(void)state;
	closes(FWD, "50" UDP "00 00000100", APF_CLOSE_TOO_LONG, 0);
	closes(FWD, "50" UDP "00 00000001 61 00000001 00000100", APF_CLOSE_TOO_LONG, 0);
	closes(FWD, "50" UDP "00 00000001 61 00000001 00000001 61 00000001 00000801",
	       APF_CLOSE_TOO_LONG, 0);
	closes(FWD, "50" UDP "00 00000001 61 00000001 00000001 61 00000001 ffffffff",
	       APF_CLOSE_TOO_LONG, 0);
}

static void test_m22_channels_that_the_device_opens(void **state)
{
	(void)state;
	for (size_t piece = 0; piece < 2; piece++) {
		begin(FWD, piece);
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
	begin(FWD, 0); /* each costs us an answer, so they are limited like requests */
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
	closes(FWD, "5a 00000021", APF_CLOSE_TOO_LONG, 0);
	closes(FWD, "5a 00000001 61 00000001 00000001 ffffffff 00000100", APF_CLOSE_TOO_LONG, 0);
	closes(FWD, "5a 00000001 61 00000001 00000001 ffffffff 00000001 61 00000001 ffffffff",
	       APF_CLOSE_TOO_LONG, 0);
}

static void test_m24_confirmation_of_an_unknown_channel(void **state)
{
	(void)state;
	begin_forward(NULL);
	rig_feed_vectors(&r, "V23 V24");
	rig_expect_nothing(&r);
	assert_int_equal(r.glitches[APF_GLITCH_UNKNOWN_CONFIRM], 1);
	assert_int_equal(r.glitches[APF_GLITCH_UNKNOWN_OPEN_FAILURE], 1);
	rig_expect_alive(&r);
	finish();
}

static void open_one(uint32_t window)
{
	rig_open(&r, &c, window);
	rig_confirm(&r, &c, 0, 4096);
	assert_int_equal(c.opened, 1);
	rig_expect_nothing(&r);
}

static void test_m25_second_confirmation(void **state)
{
	(void)state;
	begin_forward(NULL);
	open_one(0);
	rig_confirm(&r, &c, 0, 4096);
	rig_expect_closed(&r, APF_CLOSE_CHANNEL_PROTOCOL, 2);
	assert_int_equal(c.end, APF_CHANNEL_TUNNEL_LOST);
	finish();
	begin_forward(NULL);
	open_one(0);
	apf_channel_close(c.ch, r.now);
	buf_clear(&r.out);
	rig_feed_hex(&r, "5b 00000001 00000000 00001000 ffffffff");
	rig_expect_closed(&r, APF_CLOSE_CHANNEL_PROTOCOL, 2);
	finish();
}

static void test_m26_open_failure_of_an_open_channel(void **state)
{
	(void)state;
	begin_forward(NULL);
	open_one(0);
	rig_feed_hex(&r, "5c 00000001 00000002 00000000 00000000");
	assert_int_equal(c.closed, 1);
	assert_int_equal(c.failed, 0);
	assert_int_equal(c.end, APF_CHANNEL_FAILED_LATE);
	assert_int_equal(apf_channel_count(&r.s), 0);
	rig_expect_alive(&r); /* no CLOSE went out */
	finish();
}

static void test_m27_data_for_an_unknown_channel(void **state)
{
	(void)state;
	for (size_t piece = 0; piece < 2; piece++) {
		begin(FWD, piece);
		rig_feed_vectors(&r, "V26");
		rig_expect_nothing(&r);
		assert_int_equal(r.glitches[APF_GLITCH_UNKNOWN_DATA], 1);
		rig_expect_alive(&r);
		finish();
	}
	begin_forward(NULL); /* more than 64 in 10 s end it */
	for (unsigned i = 0; i < 64; i++)
		feed_id(i % 2 != 0 ? APF_CHANNEL_DATA : APF_CHANNEL_ADJUST, 9, 0);
	rig_expect_alive(&r);
	r.now += 10000;
	for (unsigned i = 0; i < 64; i++)
		feed_id(APF_CHANNEL_ADJUST, 9, 1);
	assert_int_equal(r.rc, 0);
	feed_id(APF_CHANNEL_ADJUST, 9, 1);
	rig_expect_closed(&r, APF_CLOSE_STRAY_FLOOD, 2);
	finish();
}

static void test_m28_data_of_more_than_a_mebibyte(void **state)
{
	(void)state;
	closes(FWD, "5e 00000001 ffffffff", APF_CLOSE_TOO_LONG, 0);
	closes(FWD, "5e 00000001 00100001", APF_CLOSE_TOO_LONG, 0);
	begin_forward(NULL);
	open_one(0);
	rig_feed_hex(&r, "5e 00000001 ffffffff");
	rig_expect_closed(&r, APF_CLOSE_TOO_LONG, 0);
	assert_int_equal(c.closed, 1);
	finish();
}

static void test_m29_data_beyond_the_window(void **state)
{
	(void)state;
	begin_forward(NULL);
	open_one(1000);
	rig_data(&r, 1, 1001);
	assert_int_equal(c.in.len, 0);
	assert_int_equal(c.end, APF_CHANNEL_OVERRUN);
	rig_expect_vectors(&r, "V29");
	rig_expect_alive(&r); /* exactly 1001 octets were skipped */
	finish();
	begin_forward(&apf_limits_agent);
	open_one(1000);
	rig_data(&r, 1, 1001);
	assert_int_equal(c.in.len, 1001);
	assert_int_equal(c.closed, 0);
	rig_expect_alive(&r);
	finish();
}

static void test_m30_empty_data(void **state)
{
	(void)state;
	begin_forward(NULL);
	c.consume = true;
	open_one(0);
	rig_data(&r, 1, 0);
	assert_int_equal(c.in.len, 0);
	assert_int_equal(c.closed, 0);
	rig_expect_alive(&r);
	finish();
}

static void test_m31_frames_before_the_confirmation(void **state)
{
	static const uint8_t types[] = {APF_CHANNEL_DATA, APF_CHANNEL_CLOSE, APF_CHANNEL_ADJUST};

	(void)state;
	begin_forward(NULL);
	for (uint32_t i = 0; i < 3; i++) {
		c.failed = 0;
		rig_open(&r, &c, 0);
		if (types[i] == APF_CHANNEL_DATA)
			rig_data(&r, i + 1, 10);
		else
			feed_id(types[i], i + 1, 1);
		assert_int_equal(c.failed, 1);
		assert_true(c.reason == APF_OPEN_VIOLATION);
		assert_int_equal(apf_channel_count(&r.s), i + 1);
		rig_expect_alive(&r);
	}
	rig_feed_hex(&r, "5b 00000001 00000006 00001000 ffffffff"); /* late, but now B is known */
	rig_expect_hex(&r, "61 00000006");
	feed_id(APF_CHANNEL_CLOSE, 2, 0);
	rig_expect_closed(&r, APF_CLOSE_CHANNEL_PROTOCOL, 2);
	finish();
}

static void test_m32_credit_saturates(void **state)
{
	(void)state;
	begin_forward(NULL);
	open_one(0);
	feed_id(APF_CHANNEL_ADJUST, 1, 0xffffffffu);
	feed_id(APF_CHANNEL_ADJUST, 1, 0xffffffffu);
	assert_true(apf_channel_credit(c.ch) == 0xffffffffu);
	assert_int_equal(r.glitches[APF_GLITCH_CREDIT_SATURATED], 2);
	assert_int_equal(apf_channel_send(c.ch, span_str("abc"), r.now), 3);
	assert_true(apf_channel_credit(c.ch) == 0xfffffffcu);
	rig_expect_hex(&r, "5e 00000000 00000003 616263");
	finish();
}

static void test_m33_adjust_by_zero(void **state)
{
	(void)state;
	begin_forward(NULL);
	open_one(0);
	feed_id(APF_CHANNEL_ADJUST, 1, 0);
	assert_int_equal(apf_channel_credit(c.ch), 4096);
	assert_int_equal(c.credits, 0);
	rig_expect_alive(&r);
	finish();
}

static void test_m34_close_twice_and_unknown(void **state)
{
	(void)state;
	begin_forward(NULL);
	open_one(0);
	feed_id(APF_CHANNEL_CLOSE, 1, 0);
	feed_id(APF_CHANNEL_CLOSE, 1, 0);
	feed_id(APF_CHANNEL_CLOSE, 77, 0);
	rig_expect_vectors(&r, "V29");
	assert_int_equal(c.closed, 1);
	assert_int_equal(r.glitches[APF_GLITCH_UNKNOWN_CLOSE], 2);
	rig_expect_alive(&r);
	finish();
}

static void test_m35_data_after_close(void **state)
{
	(void)state;
	begin_forward(NULL);
	open_one(0);
	apf_channel_close(c.ch, r.now);
	rig_expect_vectors(&r, "V29");
	for (unsigned i = 0; i < 200; i++) /* a full window in small pieces may be under way */
		rig_data(&r, 1, 300);
	assert_int_equal(r.glitches[APF_GLITCH_DATA_AFTER_CLOSE], 200);
	rig_expect_alive(&r);
	feed_id(APF_CHANNEL_CLOSE, 1, 0);
	rig_data(&r, 1, 300);
	assert_int_equal(r.glitches[APF_GLITCH_UNKNOWN_DATA], 1);
	assert_int_equal(c.in.len, 0);
	rig_expect_alive(&r);
	finish();
}

static void test_m36_keepalive_flood(void **state)
{
	unsigned n = 0;

	(void)state;
	begin_forward(NULL);
	for (unsigned s = 0; s < 60; s++) { /* ten a second can go on */
		for (unsigned i = 0; i < 10; i++)
			rig_expect_alive(&r);
		r.now += 1000;
	}
	while (r.rc == 0 && n < 100000) {
		rig_feed_vectors(&r, "V20");
		n++;
	}
	assert_int_equal(n, 101);
	assert_int_equal(r.out.len, 100 * 5); /* the write queue is bounded */
	buf_clear(&r.out);
	rig_expect_closed(&r, APF_CLOSE_KEEPALIVE_FLOOD, 0);
	finish();
}

static void test_m37_keepalive_reply_unasked(void **state)
{
	(void)state;
	begin_forward(NULL);
	rig_tick(&r, 299999);
	buf_clear(&r.out);
	rig_feed_vectors(&r, "V21");
	rig_expect_nothing(&r);
	assert_int_equal(r.glitches[APF_GLITCH_KEEPALIVE_REPLY], 1);
	rig_tick(&r, 299999); /* it counted as activity */
	rig_expect_alive(&r);
	finish();
}

static void test_m38_messages_of_the_other_direction(void **state)
{
	static const char *const types[] = {"d2", "06", "33", "34", "51", "52"};
	static const char *const stages[] = {"", "V01", "V36", "V36 V05", FWD};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		for (size_t st = 0; st < ARRAY_LEN(stages); st++)
			closes(stages[st], types[i], APF_CLOSE_OUT_OF_ORDER, 2);
	}
}

static void test_m39_json_on_a_firmware_tunnel(void **state)
{
	(void)state;
	closes("", "fa 00000002 7b7d", APF_CLOSE_JSON, 0);
	closes(FWD, "fa 00000002 7b7d", APF_CLOSE_JSON, 0);
}

static void feed_json(const char *text)
{
	rig_feed_msg(&r, &(struct apf_msg){.type = APF_JSON_CONTROL,
	                                   .json_len = (uint32_t)strlen(text)});
	rig_feed(&r, span_str(text));
}

static void test_m40_json_on_an_agent_tunnel(void **state)
{
	static const char *const good[] = {
		"{\"action\":\"connType\",\"value\":2}",
		" { \"a\" : [ 1 , -0.5e+10 , { } , [ ] , true , false , null ] , \"action\" : "
		"\"\\u00e4\\n\" } \n",
		"{\"action\":\"\"}",
	};
	static const char *const bad[] = {
		"",
		"{",
		"{}",
		"[]",
		"{\"action\":1}",
		"{\"action\":\"a\"}x",
		"{\"x\":{\"action\":\"a\"}}",
		"{\"actions\":\"a\"}",
		"{\"actio\":\"a\"}",
		"{\"action\":\"a\",}",
		"{\"action\" \"a\"}",
		"{action:\"a\"}",
		"{\"action\":\"a\",\"n\":01}",
		"{\"action\":\"a\",\"n\":1.}",
		"{\"action\":\"a\",\"n\":-}",
		"{\"action\":\"a\",\"n\":tru}",
		"{\"action\":\"a\",\"n\":nulll}",
		"{\"action\":\"\\x\"}",
		"{\"action\":\"\\u12g4\"}",
		"{\"action\":\"a\n\"}",
		"{\"action\":\"a\",\"n\":[1}",
		"\"action\"",
		"{\"action\":\"a\",\"n\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}",
		"{\"\\u0061ction\":1",
	};
	struct apf_limits lax = apf_limits_agent;

	(void)state;
	lax.json_bad_max = 100;
	for (size_t piece = 0; piece < 2; piece++) {
		rig_init(&r, &lax, piece);
		for (size_t i = 0; i < ARRAY_LEN(good); i++)
			feed_json(good[i]);
		assert_int_equal(r.glitches[APF_GLITCH_JSON], 0);
		for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
			feed_json(bad[i]);
			if (r.glitches[APF_GLITCH_JSON] != i + 1)
				fail_msg("taken for good: %s", bad[i]);
		}
		assert_int_equal(r.rc, 0);
		rig_fini(&r);
	}
	rig_init(&r, &apf_limits_agent, 0);
	rig_forward(&r);
	for (unsigned i = 0; i < 3; i++)
		feed_json("{}");
	rig_expect_alive(&r);
	feed_json("{}");
	rig_expect_closed(&r, APF_CLOSE_JSON, 0);
	finish();
	rig_init(&r, &apf_limits_agent, 0);
	rig_feed_hex(&r, "fa 00010001");
	rig_expect_closed(&r, APF_CLOSE_TOO_LONG, 0);
	finish();
}

static void test_m41_data_after_disconnect(void **state)
{
	(void)state;
	for (size_t piece = 0; piece < 2; piece++) {
		begin(FWD, piece);
		rig_feed_vectors(&r, "V32 V20 V10");
		rig_expect_closed(&r, APF_CLOSE_BY_DEVICE, 0);
		assert_int_equal(r.disconnects, 1);
		assert_int_equal(apf_session_disconnect_received(&r.s), 2);
		assert_int_equal(r.rc, -ERR_CLOSED);
		finish();
	}
}

/* What ends the connection (FIN, RST, alert) and the guard by connection id are the gateway's; it calls fini once. */
static void test_m42_connection_lost_in_mid_message(void **state)
{
	static struct rig_channel opening;

	(void)state;
	opening = (struct rig_channel){0};
	begin_forward(NULL);
	open_one(0);
	rig_open(&r, &opening, 0);
	rig_feed_hex(&r, "5e 00000001 00000010 0102");
	rig_feed_hex(&r, "03");
	rig_feed_hex(&r, "0405060708090a0b0c0d0e0f10 50 0000000d 7463");
	assert_non_null(r.s.in.data);
	apf_session_fini(&r.s);
	rig_expect_nothing(&r);
	assert_int_equal(c.closed, 1);
	assert_int_equal(c.end, APF_CHANNEL_TUNNEL_LOST);
	assert_int_equal(opening.failed, 1);
	assert_true(opening.reason == APF_OPEN_TUNNEL_LOST);
	assert_null(r.s.in.data);
	finish(); /* a second fini finds nothing */
	assert_int_equal(c.closed + opening.failed, 2);
}

/* Which tunnel a device has is the gateway's to decide; here: sessions share nothing, and the wrong one says nothing but FAILURE. */
static void test_m43_same_device_twice(void **state)
{
	struct rig second;

	(void)state;
	begin_forward(NULL);
	open_one(0);
	rig_init(&second, NULL, 0);
	second.answer = APF_AUTH_REJECT;
	rig_feed_vectors(&second, "V36 V05");
	rig_expect_vectors(&second, "V03 V06");
	rig_expect_closed(&second, APF_CLOSE_AUTH_REJECTED, 0);
	assert_int_equal(second.readies + second.added, 0);
	assert_true(guid_equal(apf_session_guid(&second.s), apf_session_guid(&r.s)));
	rig_fini(&second);
	rig_data(&r, 1, 10);
	assert_int_equal(c.in.len, 10);
	rig_expect_alive(&r);
	finish();
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
		cmocka_unit_test(test_m24_confirmation_of_an_unknown_channel),
		cmocka_unit_test(test_m25_second_confirmation),
		cmocka_unit_test(test_m26_open_failure_of_an_open_channel),
		cmocka_unit_test(test_m27_data_for_an_unknown_channel),
		cmocka_unit_test(test_m28_data_of_more_than_a_mebibyte),
		cmocka_unit_test(test_m29_data_beyond_the_window),
		cmocka_unit_test(test_m30_empty_data),
		cmocka_unit_test(test_m31_frames_before_the_confirmation),
		cmocka_unit_test(test_m32_credit_saturates),
		cmocka_unit_test(test_m33_adjust_by_zero),
		cmocka_unit_test(test_m34_close_twice_and_unknown),
		cmocka_unit_test(test_m35_data_after_close),
		cmocka_unit_test(test_m36_keepalive_flood),
		cmocka_unit_test(test_m37_keepalive_reply_unasked),
		cmocka_unit_test(test_m38_messages_of_the_other_direction),
		cmocka_unit_test(test_m39_json_on_a_firmware_tunnel),
		cmocka_unit_test(test_m40_json_on_an_agent_tunnel),
		cmocka_unit_test(test_m41_data_after_disconnect),
		cmocka_unit_test(test_m42_connection_lost_in_mid_message),
		cmocka_unit_test(test_m43_same_device_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
