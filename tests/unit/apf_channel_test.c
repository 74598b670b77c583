/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Channels: every transition of apf.md 7.3, windows both ways (8), slots, timers, and callers that let go inside callbacks. */
#include "core/err.h"
#include "tests/unit/support/apf_rig.h"
#include "tests/unit/support/test.h"

#include <string.h>

static struct rig r;
static struct rig_channel c;

static int begin(void **state)
{
	(void)state;
	rig_init(&r, NULL, 0);
	rig_forward(&r);
	c = (struct rig_channel){0};
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_channel_fini(&c);
	rig_fini(&r);
	return 0;
}

static void open_confirmed(uint32_t window, uint32_t credit)
{
	rig_open(&r, &c, window);
	rig_confirm(&r, &c, 7, credit);
	assert_int_equal(c.opened, 1);
	buf_clear(&r.out);
}

static void feed_id(uint8_t type, uint32_t id, uint32_t n)
{
	rig_feed_msg(&r, &(struct apf_msg){.type = type, .channel = {id, n}});
}

static void feed_failure(uint32_t id, uint32_t reason)
{
	rig_feed_msg(&r,
	             &(struct apf_msg){.type = APF_CHANNEL_OPEN_FAILURE, .failure = {id, reason}});
}

static void expect_id(uint8_t type, uint32_t id, uint32_t n)
{
	rig_expect_msg(&r, &(struct apf_msg){.type = type, .channel = {id, n}});
}

static int try_open(uint16_t port, struct span originator, uint32_t window)
{
	static const struct apf_channel_ops none;
	const struct apf_channel_args args = {
		.ops = &none, .port = port, .originator = originator, .window = window};
	struct apf_channel *ch;

	return apf_channel_open(&r.s, &args, r.now, &ch);
}

static void test_open_is_refused_early_and_for_other_ports(void **state)
{
	static char text[256];
	struct rig early;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(try_open(16994, span_str("a"), 0), -ERR_REFUSED);
	assert_int_equal(try_open(0, span_str("a"), 0), -ERR_REFUSED);
	assert_int_equal(try_open(16992, span_of(text, 256), 0), -ERR_INVALID);
	assert_int_equal(try_open(16992, span_str("a"), (1u << 20) + 1), -ERR_INVALID);
	rig_expect_nothing(&r);
	rig_init(&early, NULL, 0);
	rig_feed_vectors(&early, "V36 V05");
	c.rig = &early;
	assert_int_equal(
		apf_channel_open(&early.s, &(struct apf_channel_args){.port = 16992}, 0, &c.ch),
		-ERR_PRECONDITION);
	rig_fini(&early);
	apf_session_disconnect(&r.s, 0);
	assert_int_equal(try_open(16992, span_str("a"), 0), -ERR_PRECONDITION);
}

static void test_host_and_originator_come_out_whole(void **state)
{
	static char text[255];
	static const struct apf_channel_ops none = {.open_failed = NULL};
	struct apf_channel *ch;
	const struct apf_channel_args args = {.ops = &none,
	                                      .port = 16993,
	                                      .originator = span_of(text, 255),
	                                      .originator_port = 65535,
	                                      .window = 1};

	(void)state;
	memset(text, 'o', sizeof(text));
	assert_int_equal(apf_channel_open(&r.s, &args, r.now, &ch), 0);
	rig_expect_msg(&r, &(struct apf_msg){.type = APF_CHANNEL_OPEN,
	                                     .open = {.type = span_str("forwarded-tcpip"),
	                                              .sender = 1,
	                                              .window = 1,
	                                              .host = span_str("amt01.example"),
	                                              .port = 16993,
	                                              .originator = span_of(text, 255),
	                                              .originator_port = 65535}});
	apf_channel_close(ch, r.now);
}

static void test_at_most_six_slots(void **state)
{
	static struct rig_channel many[6];

	(void)state;
	memset(many, 0, sizeof(many)); /* static: the teardown still tells them the end */
	for (uint32_t i = 0; i < 6; i++) {
		rig_open(&r, &many[i], 0);
		assert_int_equal(apf_channel_id(many[i].ch), i + 1);
		rig_confirm(&r, &many[i], i, 4096);
	}
	assert_int_equal(try_open(16992, span_str("a"), 0), -ERR_FULL);
	buf_clear(&r.out);
	apf_channel_close(many[2].ch, r.now);
	expect_id(APF_CHANNEL_CLOSE, 2, 0);
	assert_int_equal(try_open(16992, span_str("a"), 0),
	                 -ERR_FULL); /* until the device has answered */
	assert_int_equal(r.slots_freed, 0);
	feed_id(APF_CHANNEL_CLOSE, 3, 0);
	rig_expect_nothing(&r);
	assert_int_equal(r.slots_freed, 1);
	many[2].ch = NULL;
	rig_open(&r, &many[2], 0);
	assert_int_equal(apf_channel_id(many[2].ch), 7);
}

static void test_ids_skip_zero_and_live_ones(void **state)
{
	static struct rig_channel d;

	(void)state;
	rig_open(&r, &c, 0);
	r.s.next_id = UINT32_MAX;
	rig_open(&r, &d, 0);
	assert_true(apf_channel_id(d.ch) == UINT32_MAX);
	rig_confirm(&r, &d, 3, 1);
	apf_channel_close(d.ch, r.now);
	feed_id(APF_CHANNEL_CLOSE, UINT32_MAX, 0);
	d.ch = NULL;
	rig_open(&r, &d, 0);
	assert_int_equal(apf_channel_id(d.ch), 2);
}

static void test_opening_refused(void **state)
{
	(void)state;
	rig_open(&r, &c, 0);
	feed_failure(1, 4);
	assert_int_equal(c.failed, 1);
	assert_int_equal(c.reason, APF_OPEN_RESOURCE_SHORTAGE);
	assert_int_equal(apf_channel_count(&r.s), 0);
	assert_int_equal(r.slots_freed, 1);
	rig_open(&r, &c, 0);
	feed_failure(2, 0xfffffff0u); /* cannot pass for a local reason */
	assert_int_equal(c.reason, APF_OPEN_CONNECT_FAILED);
	rig_expect_alive(&r);
}

static void test_opener_gone_while_opening(void **state)
{
	(void)state;
	rig_open(&r, &c, 0);
	apf_channel_close(c.ch, r.now);
	rig_expect_nothing(&r); /* B is unknown */
	assert_int_equal(apf_channel_count(&r.s), 1);
	rig_feed_hex(&r, "5b 00000001 00000000 00001000 ffffffff");
	expect_id(APF_CHANNEL_CLOSE, 0, 0);
	feed_id(APF_CHANNEL_CLOSE, 1, 0);
	rig_expect_nothing(&r);
	assert_int_equal(apf_channel_count(&r.s), 0);

	rig_open(&r, &c, 0);
	apf_channel_close(c.ch, r.now);
	feed_failure(2, 2);
	assert_int_equal(apf_channel_count(&r.s), 0);
	assert_int_equal(c.opened + c.failed + c.closed, 0);
	rig_expect_alive(&r);
}

static void test_open_unanswered(void **state)
{
	(void)state;
	rig_open(&r, &c, 0);
	rig_tick(&r, 19999);
	buf_clear(&r.out);
	assert_int_equal(c.failed, 0);
	rig_tick(&r, 1);
	assert_int_equal(c.failed, 1);
	assert_true(c.reason == APF_OPEN_TIMED_OUT);
	assert_int_equal(apf_channel_count(&r.s), 1); /* the id stays reserved */
	assert_int_equal(r.glitches[APF_GLITCH_OPEN_UNANSWERED], 1);
	rig_feed_hex(&r, "5b 00000001 00000005 00001000 ffffffff");
	expect_id(APF_CHANNEL_CLOSE, 5, 0);
	feed_id(APF_CHANNEL_CLOSE, 1, 0);
	assert_int_equal(apf_channel_count(&r.s), 0);
}

static void test_close_unanswered(void **state)
{
	(void)state;
	open_confirmed(0, 4096);
	apf_channel_close(c.ch, r.now);
	expect_id(APF_CHANNEL_CLOSE, 7, 0);
	rig_tick(&r, 9999);
	buf_clear(&r.out);
	assert_int_equal(r.glitches[APF_GLITCH_CLOSE_UNANSWERED], 0);
	rig_tick(&r, 1);
	assert_int_equal(r.glitches[APF_GLITCH_CLOSE_UNANSWERED], 1);
	assert_int_equal(apf_channel_count(&r.s), 1);
	rig_tick(&r, 60000);
	assert_int_equal(r.glitches[APF_GLITCH_CLOSE_UNANSWERED], 1);
	feed_id(APF_CHANNEL_CLOSE, 1, 0);
	assert_int_equal(apf_channel_count(&r.s), 0);
	rig_expect_alive(&r);
}

static void test_all_slots_stuck_ends_the_tunnel(void **state)
{
	static struct rig_channel many[6];

	(void)state;
	memset(many, 0, sizeof(many)); /* static: the teardown still tells them the end */
	for (size_t i = 0; i < 6; i++)
		rig_open(&r, &many[i], 0);
	rig_tick(&r, 20000);
	buf_clear(&r.out);
	rig_expect_closed(&r, APF_CLOSE_CHANNELS_STUCK, 0);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(many[i].failed, 1);
}

static void test_id_reused_without_close(void **state)
{
	static struct rig_channel d;

	(void)state;
	open_confirmed(0, 4096);
	apf_channel_close(c.ch, r.now);
	expect_id(APF_CHANNEL_CLOSE, 7, 0);
	rig_open(&r, &d, 0);
	rig_confirm(&r, &d, 7, 4096);
	assert_int_equal(d.opened, 1);
	assert_int_equal(apf_channel_count(&r.s), 1);
	assert_int_equal(r.glitches[APF_GLITCH_ID_REUSED], 1);
	c = (struct rig_channel){0};
	rig_open(&r, &c, 0);
	buf_clear(&r.out);
	rig_confirm(&r, &c, 7, 4096); /* but not of an open one */
	rig_expect_closed(&r, APF_CLOSE_CHANNEL_PROTOCOL, 2);
	assert_int_equal(d.closed, 1);
	assert_int_equal(c.failed, 1);
	assert_true(c.reason == APF_OPEN_TUNNEL_LOST);
}

static void test_device_closes(void **state)
{
	(void)state;
	open_confirmed(0, 4096);
	feed_id(APF_CHANNEL_CLOSE, 1, 0);
	expect_id(APF_CHANNEL_CLOSE, 7, 0);
	assert_int_equal(c.closed, 1);
	assert_int_equal(c.end, APF_CHANNEL_BY_DEVICE);
	assert_int_equal(apf_channel_count(&r.s), 0);
}

static void test_both_close(void **state)
{
	(void)state;
	open_confirmed(0, 4096);
	apf_channel_close(c.ch, r.now);
	expect_id(APF_CHANNEL_CLOSE, 7, 0);
	rig_data(&r, 1, 500); /* in flight */
	feed_id(APF_CHANNEL_ADJUST, 1, 5);
	feed_id(APF_CHANNEL_CLOSE, 1, 0);
	rig_expect_nothing(&r); /* never a second CLOSE, never an ADJUST */
	assert_int_equal(c.in.len, 0);
	assert_int_equal(c.closed, 0);
	assert_int_equal(apf_channel_count(&r.s), 0);
	rig_expect_alive(&r);
}

static void test_window_is_returned_as_it_is_consumed(void **state)
{
	(void)state;
	open_confirmed(1000, 4096);
	rig_data(&r, 1, 600);
	rig_data(&r, 1, 400);
	assert_int_equal(c.in.len, 1000);
	rig_expect_nothing(&r); /* arriving is not enough */
	apf_channel_consumed(c.ch, 499);
	rig_expect_nothing(&r);
	apf_channel_consumed(c.ch, 1);
	expect_id(APF_CHANNEL_ADJUST, 7, 500);
	apf_channel_consumed(c.ch, 500);
	expect_id(APF_CHANNEL_ADJUST, 7, 500);
	rig_data(&r, 1, 1000); /* the whole window is there again, and not one octet more */
	assert_int_equal(c.closed, 0);
	rig_data(&r, 1, 1);
	assert_int_equal(c.closed, 1);
	assert_int_equal(c.end, APF_CHANNEL_OVERRUN);
}

/* A closed channel counts until the device has answered: what its window allowed may still be on the way. */
static void test_windows_until_the_device_is_done(void **state)
{
	(void)state;
	rig_open(&r, &c, 1000);
	rig_confirm(&r, &c, 7, 4096);
	assert_int_equal(apf_channel_windows(&r.s, 999), 1000);
	assert_int_equal(apf_channel_windows(&r.s, 1000), 0);
	apf_channel_close(c.ch, r.now);
	assert_int_equal(apf_channel_windows(&r.s, 0), 1000);
	feed_id(APF_CHANNEL_CLOSE, 1, 0);
	assert_int_equal(apf_channel_windows(&r.s, 0), 0);
}

/* Opens with a window of 1000 that may grow; the device's answer takes rtt_ms. */
static void open_growing(uint64_t rtt_ms, uint32_t most)
{
	c.window_most = most;
	rig_open(&r, &c, 1000);
	r.now += rtt_ms;
	rig_confirm(&r, &c, 7, 4096);
}

/* Half a window of data after ms, consumed at once. */
static void half_window(uint32_t n, uint64_t ms)
{
	r.now += ms;
	rig_data(&r, 1, n);
	apf_channel_consumed(c.ch, n);
}

static void test_window_grows_with_the_path(void **state)
{
	(void)state;
	open_growing(200, 3500);
	assert_true(apf_channel_far(c.ch));
	half_window(500, 100);
	assert_int_equal(apf_channel_window(c.ch), 2000);
	half_window(1000, 201); /* slower than the window allows: the device has no more */
	assert_int_equal(apf_channel_window(c.ch), 2000);
	half_window(1000, 200);
	assert_int_equal(apf_channel_window(c.ch), 3500); /* its most */
	half_window(1750, 100);
	assert_int_equal(apf_channel_window(c.ch), 3500);
	buf_clear(&r.out);
	rig_data(&r, 1, 3500); /* all of it was granted, and not one octet more */
	assert_int_equal(c.closed, 0);
	rig_data(&r, 1, 1);
	assert_int_equal(c.end, APF_CHANNEL_OVERRUN);
}

static void test_window_stays_when_told(void **state)
{
	(void)state;
	open_growing(200, 1 << 20);
	apf_channel_stay(c.ch);
	half_window(500, 100);
	assert_int_equal(apf_channel_window(c.ch), 1000);
}

static void test_window_stays_on_a_short_path(void **state)
{
	(void)state;
	open_growing(4, 1 << 20);
	assert_false(apf_channel_far(c.ch));
	half_window(500, 0);
	assert_int_equal(apf_channel_window(c.ch), 1000);
}

static void test_smallest_window(void **state)
{
	(void)state;
	c.consume = true;
	open_confirmed(1, 1);
	for (unsigned i = 0; i < 10; i++) {
		rig_data(&r, 1, 1);
		expect_id(APF_CHANNEL_ADJUST, 7, 1);
	}
	assert_int_equal(c.in.len, 10);
}

static void test_sending_keeps_to_the_credit_and_the_chunk(void **state)
{
	static uint8_t text[10000];
	struct span sent;

	(void)state;
	open_confirmed(0, 9000);
	assert_int_equal(apf_channel_credit(c.ch), 9000);
	assert_int_equal(apf_channel_send(c.ch, span_of(text, sizeof(text)), r.now), 9000);
	sent = buf_span(&r.out);
	assert_int_equal(sent.len, 9000 + 3 * 9);
	assert_memory_equal(sent.ptr, rig_hex("5e 00000007 00001000").ptr, 9);
	assert_memory_equal(sent.ptr + 4105, rig_hex("5e 00000007 00001000").ptr, 9);
	assert_memory_equal(sent.ptr + 8210, rig_hex("5e 00000007 00000328").ptr, 9);
	buf_clear(&r.out);
	assert_int_equal(apf_channel_send(c.ch, span_of(text, 1000), r.now), 0);
	rig_expect_nothing(&r);
	feed_id(APF_CHANNEL_ADJUST, 1, 1000);
	assert_int_equal(c.credits, 1);
	assert_int_equal(apf_channel_send(c.ch, span_of(text, 1000), r.now), 1000);
	assert_int_equal(apf_channel_credit(c.ch), 0);
}

/* apf.md 8.2.3: scraps of credit gather for 10 ms, or until min(V/2, 1024), or until they are enough for all. */
static void test_silly_window(void **state)
{
	static uint8_t text[5000];

	(void)state;
	open_confirmed(0, 4096);
	assert_int_equal(apf_channel_send(c.ch, span_of(text, 5000), r.now), 4096);
	buf_clear(&r.out);
	feed_id(APF_CHANNEL_ADJUST, 1, 499);
	assert_int_equal(c.credits, 0);
	assert_int_equal(apf_channel_send(c.ch, span_of(text, 904), r.now), 0);
	assert_true(apf_session_deadline(&r.s) == r.now + 10);
	feed_id(APF_CHANNEL_ADJUST, 1, 404);
	assert_int_equal(c.credits, 0);
	feed_id(APF_CHANNEL_ADJUST, 1, 1); /* now all of it fits */
	assert_int_equal(c.credits, 1);
	assert_int_equal(apf_channel_send(c.ch, span_of(text, 904), r.now), 904);
	assert_int_equal(apf_channel_send(c.ch, span_of(text, 5000), r.now), 0);
	feed_id(APF_CHANNEL_ADJUST, 1, 1023);
	assert_int_equal(c.credits, 1);
	feed_id(APF_CHANNEL_ADJUST, 1, 1);
	assert_int_equal(c.credits, 2);
	assert_int_equal(apf_channel_send(c.ch, span_of(text, 5000), r.now), 1024);
	feed_id(APF_CHANNEL_ADJUST, 1, 10);
	rig_tick(&r, 9);
	assert_int_equal(c.credits, 2);
	rig_tick(&r, 1);
	assert_int_equal(c.credits, 3);
	assert_int_equal(apf_channel_send(c.ch, span_of(text, 3976), r.now), 10);
}

static void test_window_zero_then_adjust(void **state)
{
	(void)state;
	c.outgoing.cap = 100;
	buf_put(&c.outgoing, "hello", 5);
	open_confirmed(0, 0);
	assert_int_equal(c.outgoing.len, 5);
	feed_id(APF_CHANNEL_ADJUST, 1, 1);
	assert_int_equal(c.outgoing.len, 4);
	rig_expect_hex(&r, "5e 00000007 00000001 68");
	feed_id(APF_CHANNEL_ADJUST, 1, 100);
	rig_expect_hex(&r, "5e 00000007 00000004 656c6c6f");
	assert_int_equal(apf_channel_credit(c.ch), 96);
}

static void test_sending_before_the_confirmation_waits(void **state)
{
	(void)state;
	rig_open(&r, &c, 0);
	assert_int_equal(apf_channel_send(c.ch, span_str("x"), r.now), 0);
	rig_expect_nothing(&r);
	assert_int_equal(apf_channel_credit(c.ch), 0);
}

static void test_data_is_streamed_not_kept(void **state)
{
	struct rig small;

	(void)state;
	rig_init(&small, NULL, 7);
	rig_forward(&small);
	c.consume = true;
	rig_open(&small, &c, 1u << 20);
	rig_confirm(&small, &c, 0, 0);
	for (unsigned i = 0; i < 4; i++) {
		rig_data(&small, 1, 200000);
		assert_null(small.s.in.data);
	}
	assert_int_equal(c.in.len, 800000);
	for (uint32_t i = 0; i < 200000; i++)
		assert_int_equal(c.in.data[i], (uint8_t)(i * 7));
	rig_fini(&small);
	assert_int_equal(c.closed, 1);
	assert_int_equal(c.end, APF_CHANNEL_TUNNEL_LOST);
}

static void test_closing_inside_data(void **state)
{
	(void)state;
	r.piece = 10;
	c.close_on_data = true;
	open_confirmed(0, 4096);
	rig_data(&r, 1, 100);
	assert_int_equal(c.in.len, 10); /* the first piece, none of the rest */
	expect_id(APF_CHANNEL_CLOSE, 7, 0);
	rig_expect_alive(&r);
}

static void test_closing_inside_opened_and_ends(void **state)
{
	(void)state;
	c.close_on_open = true;
	rig_open(&r, &c, 0);
	rig_confirm(&r, &c, 9, 1);
	expect_id(APF_CHANNEL_CLOSE, 9, 0);
	feed_id(APF_CHANNEL_CLOSE, 1, 0);
	c = (struct rig_channel){.reopen_on_end = true};
	rig_open(&r, &c, 0);
	rig_confirm(&r, &c, 9, 1);
	feed_id(APF_CHANNEL_CLOSE, 2, 0);
	assert_int_equal(c.closed, 1);
	assert_non_null(c.ch);
	assert_int_equal(apf_channel_id(c.ch), 3);
}

static void test_disconnect_inside_data(void **state)
{
	(void)state;
	c.disconnect_on_data = true;
	open_confirmed(0, 4096);
	rig_data(&r, 1, 100);
	assert_int_equal(r.rc, -ERR_CLOSED);
	rig_expect_vectors(&r, "V31");
	assert_int_equal(c.closed, 1);
}

static void test_closing_another_while_the_tunnel_ends(void **state)
{
	static struct rig_channel d;

	(void)state;
	d = (struct rig_channel){.close_on_end = &c};
	open_confirmed(0, 4096);
	rig_open(&r, &d, 0); /* told first */
	buf_clear(&r.out);
	apf_session_disconnect(&r.s, 0);
	assert_int_equal(d.failed, 1);
	assert_int_equal(c.closed, 0);
	assert_null(c.ch);
	assert_int_equal(apf_channel_count(&r.s), 0);
	rig_expect_nothing(&r);
}

static void test_agent_overrun_is_tolerated_to_a_cap(void **state)
{
	struct rig agent;

	(void)state;
	rig_init(&agent, &apf_limits_agent, 0);
	rig_forward(&agent);
	rig_open(&agent, &c, 1000);
	rig_confirm(&agent, &c, 1, 0);
	rig_data(&agent, 1, 1000000);
	assert_int_equal(c.closed, 0);
	apf_channel_consumed(c.ch, 1000000);
	rig_expect_msg(&agent,
	               &(struct apf_msg){.type = APF_CHANNEL_ADJUST, .channel = {1, 1000000}});
	rig_data(&agent, 1, 1000000);
	rig_data(&agent, 1, 49576);
	assert_int_equal(c.closed, 0);
	rig_data(&agent, 1, 1);
	assert_int_equal(c.end, APF_CHANNEL_OVERRUN);
	rig_expect_msg(&agent, &(struct apf_msg){.type = APF_CHANNEL_CLOSE, .channel = {1, 0}});
	rig_expect_alive(&agent);
	rig_fini(&agent);
}

static void test_a_cancelled_port_keeps_its_channels(void **state)
{
	(void)state;
	open_confirmed(0, 4096);
	rig_feed_vectors(&r, "V14");
	rig_expect_vectors(&r, "V15");
	assert_int_equal(try_open(16992, span_str("a"), 0), -ERR_REFUSED);
	rig_data(&r, 1, 10);
	assert_int_equal(c.in.len, 10);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(test_open_is_refused_early_and_for_other_ports),
		TEST(test_host_and_originator_come_out_whole),
		TEST(test_at_most_six_slots),
		TEST(test_ids_skip_zero_and_live_ones),
		TEST(test_opening_refused),
		TEST(test_opener_gone_while_opening),
		TEST(test_open_unanswered),
		TEST(test_close_unanswered),
		TEST(test_all_slots_stuck_ends_the_tunnel),
		TEST(test_id_reused_without_close),
		TEST(test_device_closes),
		TEST(test_both_close),
		TEST(test_window_is_returned_as_it_is_consumed),
		TEST(test_windows_until_the_device_is_done),
		TEST(test_window_stays_when_told),
		TEST(test_window_grows_with_the_path),
		TEST(test_window_stays_on_a_short_path),
		TEST(test_smallest_window),
		TEST(test_sending_keeps_to_the_credit_and_the_chunk),
		TEST(test_silly_window),
		TEST(test_window_zero_then_adjust),
		TEST(test_sending_before_the_confirmation_waits),
		TEST(test_data_is_streamed_not_kept),
		TEST(test_closing_inside_data),
		TEST(test_closing_inside_opened_and_ends),
		TEST(test_disconnect_inside_data),
		TEST(test_closing_another_while_the_tunnel_ends),
		TEST(test_agent_overrun_is_tolerated_to_a_cap),
		TEST(test_a_cancelled_port_keeps_its_channels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
