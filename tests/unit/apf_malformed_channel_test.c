/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Malformed input M24-M43 (apf.md 13), channels, keep-alive, control text and endings, and the required reaction to each, in order. */
#include "core/err.h"
#include "tests/unit/support/apf_rig.h"
#include "tests/unit/support/test.h"

#include <string.h>

static struct rig r;
static struct rig_channel c;

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

static void feed_id(uint8_t type, uint32_t id, uint32_t n)
{
	rig_feed_msg(&r, &(struct apf_msg){.type = type, .channel = {id, n}});
}

#define FWD "V36 V05 V08 V10 V12"

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
		rig_begin(&r, FWD, piece);
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
	rig_closes(FWD, "5e 00000001 ffffffff", APF_CLOSE_TOO_LONG, 0);
	rig_closes(FWD, "5e 00000001 00100001", APF_CLOSE_TOO_LONG, 0);
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
			rig_closes(stages[st], types[i], APF_CLOSE_OUT_OF_ORDER, 2);
	}
}

static void test_m39_json_on_a_firmware_tunnel(void **state)
{
	(void)state;
	rig_closes("", "fa 00000002 7b7d", APF_CLOSE_JSON, 0);
	rig_closes(FWD, "fa 00000002 7b7d", APF_CLOSE_JSON, 0);
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
		rig_begin(&r, FWD, piece);
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
