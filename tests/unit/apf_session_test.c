/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The APF session: the scripted dialogue, order, authentication, forwards, keep-alive, timers. Every test runs whole and octet by octet. */
#include "core/err.h"
#include "tests/unit/support/apf_rig.h"
#include "tests/unit/support/test.h"

#include <string.h>

static const size_t pieces[] = {0, 1, 3};
#define EACH_WAY(i) for (size_t i = 0; i < ARRAY_LEN(pieces); i++)

static void open_as_scripted(struct rig *r, struct rig_channel *c)
{
	const struct rig_channel fresh = {.consume = true};

	*c = fresh;
	r->s.next_id = 4; /* the script's channel id */
	rig_open(r, c, 32768);
	assert_int_equal(apf_channel_id(c->ch), 4);
	buf_put_span(&c->outgoing, span_str("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

/* apf.md 12, message by message. */
static void test_scripted_dialogue(void **state)
{
	static const char *const steps[][2] = {
		{"V36", "V03"}, {"V05", "V07"}, {"V08", "V09"}, {"V10", "V11"}, {"V12", "V13"},
	};

	(void)state;
	EACH_WAY(w)
	{
		struct rig_channel c;
		struct rig r;

		rig_init(&r, NULL, pieces[w]);
		for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
			rig_feed_vectors(&r, steps[i][0]);
			rig_expect_vectors(&r, steps[i][1]);
		}
		rig_tick(&r, 2000);
		rig_expect_vectors(&r, "V18");
		rig_feed_vectors(&r, "V19 V20");
		rig_expect_vectors(&r, "V21");
		rig_feed_hex(&r, "50 0000000d 74637069702d666f7277617264 01 00000000 00004260");
		rig_expect_vectors(&r, "V37");
		open_as_scripted(&r, &c);
		rig_feed_vectors(&r, "V23");
		assert_int_equal(c.opened, 1);
		rig_expect_vectors(&r, "V25");
		rig_feed_vectors(&r, "V27 V26");
		assert_int_equal(c.in.len, 27);
		assert_memory_equal(c.in.data, "HTTP/1.1 401 Unauthorized\r\n", 27);
		rig_expect_nothing(&r);
		rig_feed_vectors(&r, "V30");
		rig_expect_vectors(&r, "V29");
		assert_int_equal(c.closed, 1);
		assert_int_equal(c.end, APF_CHANNEL_BY_DEVICE);
		assert_int_equal(r.hellos + r.auths + r.readies, 3);
		assert_int_equal(r.added, 3);
		assert_string_equal(r.user, "standalone01");
		assert_string_equal(r.password, "P@ssw0rd");
		assert_int_equal(r.trigger, 4);
		assert_int_equal(r.rc, 0);
		rig_channel_fini(&c);
		rig_fini(&r);
	}
}

static void test_dialogue_as_one_blob(void **state)
{
	(void)state;
	EACH_WAY(w)
	{
		struct rig r;

		rig_init(&r, NULL, pieces[w]);
		rig_feed_vectors(&r, "V36 V05 V08 V10 V12 V20 V14 V17");
		assert_int_equal(r.rc, 0);
		rig_expect_vectors(&r, "V03 V07 V09 V11 V13 V21 V15");
		rig_fini(&r);
	}
}

static void test_one_octet_short_waits_and_one_more_is_the_next(void **state)
{
	static const char *const flight[] = {"V01", "V02", "V05", "V08",
	                                     "V10", "V20", "V17", "V12"};

	(void)state;
	for (size_t cut = 0; cut < ARRAY_LEN(flight); cut++) {
		struct rig r;
		struct span v;

		rig_init(&r, NULL, 0);
		for (size_t i = 0; i < cut; i++)
			rig_feed_vectors(&r, flight[i]);
		buf_clear(&r.out);
		v = rig_vector_octets(flight[cut]);
		rig_feed(&r, span_of(v.ptr, v.len - 1));
		assert_int_equal(r.rc, 0);
		rig_expect_nothing(&r);
		assert_true(r.s.in.len == v.len - 1);
		rig_feed(&r, span_of(v.ptr + v.len - 1, 1));
		assert_int_equal(r.rc, 0);
		assert_null(r.s.in.data); /* nothing is kept while idle */
		buf_clear(&r.out);
		rig_feed_hex(&r, "00");
		assert_true(r.rc < 0);
		assert_int_equal(apf_session_disconnect_sent(&r.s), 0);
		rig_fini(&r);
	}
}

/* At each stage, every type that does not belong there ends the tunnel (apf.md 7.1). */
static void test_every_type_at_every_stage(void **state)
{
	static const char *const stages[] = {"", "V01", "V36", "V36 V05", "V36 V05 V08"};
	static const char *const allowed[] = {"\xc0\x01", "\x05\x01\xd0", "\x32\x01\xd0",
	                                      "\x05\x01\xd0",
	                                      "\x50\x01\xd0\xd1\xd3\x5a\x5b\x5c\x5d\x5e\x61"};

	(void)state;
	for (size_t st = 0; st < ARRAY_LEN(stages); st++) {
		for (unsigned type = 1; type < 256; type++) {
			uint8_t octet = (uint8_t)type;
			struct rig r;

			rig_init(&r, NULL, 0);
			rig_feed_vectors(&r, stages[st]);
			buf_clear(&r.out);
			rig_feed(&r, span_of(&octet, 1));
			if (strchr(allowed[st], (int)type) != NULL)
				assert_int_equal(r.rc, 0);
			else if (apf_type_name(octet) == NULL)
				rig_expect_closed(
					&r, st == 0 ? APF_CLOSE_NOT_APF : APF_CLOSE_UNKNOWN_TYPE,
					0);
			else if (type == APF_JSON_CONTROL)
				rig_expect_closed(&r, APF_CLOSE_JSON, 0);
			else
				rig_expect_closed(&r, APF_CLOSE_OUT_OF_ORDER, 2);
			rig_fini(&r);
		}
	}
}

static void test_keepalive_is_answered_after_the_hello(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, NULL, 0);
	rig_feed_vectors(&r, "V01 V20");
	rig_expect_vectors(&r, "V21");
	rig_feed_vectors(&r, "V02 V20");
	rig_expect_vectors(&r, "V03 V21");
	rig_feed_vectors(&r, "V05 V20");
	rig_expect_vectors(&r, "V07 V21");
	rig_fini(&r);
}

static void test_services_in_the_wrong_order(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, NULL, 0);
	rig_feed_vectors(&r, "V01 V08");
	rig_expect_closed(&r, APF_CLOSE_OUT_OF_ORDER, 2);
	rig_fini(&r);
	rig_init(&r, NULL, 0);
	rig_feed_vectors(&r, "V36 V05");
	buf_clear(&r.out);
	rig_feed_vectors(&r, "V02");
	rig_expect_closed(&r, APF_CLOSE_OUT_OF_ORDER, 2);
	rig_fini(&r);
}

static void test_rejected_user(void **state)
{
	(void)state;
	EACH_WAY(w)
	{
		struct rig r;

		rig_init(&r, NULL, pieces[w]);
		r.answer = APF_AUTH_REJECT;
		rig_feed_vectors(&r, "V36 V05 V08");
		rig_expect_vectors(&r, "V03 V06");
		rig_expect_closed(&r, APF_CLOSE_AUTH_REJECTED, 0);
		assert_int_equal(r.rc, -ERR_UNAUTHENTICATED);
		rig_fini(&r);
	}
}

static void test_refused_hello(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, NULL, 0);
	r.refuse_hello = true;
	rig_feed_vectors(&r, "V36");
	rig_expect_closed(&r, APF_CLOSE_HELLO_REFUSED, 0);
	assert_int_equal(r.rc, -ERR_DENIED);
	rig_fini(&r);
}

static void test_pending_authentication_holds_input(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, NULL, 0);
	r.answer = APF_AUTH_PENDING;
	rig_feed_vectors(&r, "V36 V05");
	rig_expect_vectors(&r, "V03");
	assert_int_equal(apf_session_state(&r.s), APF_STATE_AUTH_WAIT);
	assert_true(apf_session_wants_input(&r.s));
	rig_feed_vectors(&r, "V08");
	rig_feed_vectors(&r, "V10");
	rig_expect_nothing(&r);
	assert_false(apf_session_wants_input(&r.s));
	assert_int_equal(apf_session_auth_result(&r.s, true, r.now), 0);
	rig_expect_vectors(&r, "V07 V09 V11");
	assert_true(apf_session_wants_input(&r.s));
	assert_null(r.s.in.data);
	rig_fini(&r);

	rig_init(&r, NULL, 0);
	r.answer = APF_AUTH_PENDING;
	rig_feed_vectors(&r, "V36 V05 V08");
	assert_int_equal(apf_session_auth_result(&r.s, false, r.now), -ERR_UNAUTHENTICATED);
	rig_expect_vectors(&r, "V03 V06");
	assert_int_equal(apf_session_auth_result(&r.s, true, r.now), -ERR_UNAUTHENTICATED);
	rig_expect_nothing(&r);
	rig_fini(&r);
}

static void test_pending_authentication_is_bounded(void **state)
{
	static const uint8_t flood[APF_MESSAGE_MAX + 1];
	struct rig r;

	(void)state;
	rig_init(&r, NULL, 0);
	r.answer = APF_AUTH_PENDING;
	rig_feed_vectors(&r, "V36 V05");
	buf_clear(&r.out);
	rig_feed(&r, span_of(flood, sizeof(flood) - 1));
	assert_int_equal(r.rc, 0);
	rig_feed(&r, span_of(flood, 1));
	rig_expect_closed(&r, APF_CLOSE_PREAUTH_FLOOD, 0);
	rig_fini(&r);

	rig_init(&r, NULL, 0);
	r.answer = APF_AUTH_PENDING;
	rig_feed_vectors(&r, "V36 V05");
	buf_clear(&r.out);
	rig_tick(&r, 30000);
	rig_expect_closed(&r, APF_CLOSE_HANDSHAKE_TIMEOUT, 0);
	rig_fini(&r);
}

static void test_octets_before_authentication_are_bounded(void **state)
{
	struct apf_limits limits = apf_limits_default;
	struct rig r;
	unsigned n = 0;

	(void)state;
	limits.keepalives_per_10s = 100000;
	rig_init(&r, &limits, 0);
	rig_feed_vectors(&r, "V01");
	while (r.rc == 0 && n < 100000) {
		buf_clear(&r.out);
		rig_feed_vectors(&r, "V20");
		n++;
	}
	assert_int_equal(n, (8192 - 93) / 5 + 1);
	assert_int_equal(apf_session_reason(&r.s), APF_CLOSE_PREAUTH_FLOOD);
	rig_fini(&r);
}

static void test_client_certificate(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, NULL, 0); /* method none after a verified certificate */
	r.cert = true;
	rig_feed_vectors(&r, "V36 V04 V08");
	rig_expect_vectors(&r, "V03 V07 V09");
	assert_int_equal(r.auths, 0);
	rig_fini(&r);

	rig_init(&r, NULL, 0); /* no userauth at all */
	r.cert = true;
	rig_feed_vectors(&r, "V01 V08 V10");
	rig_expect_vectors(&r, "V09 V11");
	rig_fini(&r);

	rig_init(&r, NULL, 0); /* and the password is still checked if it is sent */
	r.cert = true;
	r.answer = APF_AUTH_REJECT;
	rig_feed_vectors(&r, "V36 V05");
	rig_expect_vectors(&r, "V03 V06");
	rig_expect_closed(&r, APF_CLOSE_AUTH_REJECTED, 0);
	rig_fini(&r);
}

static void test_userauth_for_another_service_or_method(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, NULL, 0);
	rig_feed_vectors(&r, "V36");
	rig_expect_vectors(&r, "V03");
	rig_feed_hex(&r, "32 00000001 61 00000001 62 00000004 6e6f6e65");
	rig_expect_closed(&r, APF_CLOSE_SERVICE, 7);
	rig_fini(&r);
	rig_init(&r, NULL, 0);
	rig_feed_vectors(&r, "V36");
	rig_feed_hex(
		&r, "32 00000001 61 00000012 7066776440616d742e696e74656c2e636f6d 00000003 6b6579");
	rig_expect_vectors(&r, "V03 V06");
	rig_expect_closed(&r, APF_CLOSE_AUTH_METHOD, 0);
	rig_fini(&r);
}

static void test_forwards_are_remembered(void **state)
{
	struct rig r;
	const struct apf_forwards *f;

	(void)state;
	rig_init(&r, NULL, 0);
	rig_forward(&r);
	f = apf_session_forwards(&r.s);
	assert_int_equal(f->n, 2);
	assert_int_equal(apf_forwards_host(f, apf_forwards_find(f, 16993)).len, 13);
	assert_int_equal(apf_forwards_host(f, apf_forwards_find(f, 16992)).len, 0);
	rig_feed_vectors(&r, "V10"); /* again: succeeds, nothing new */
	rig_expect_vectors(&r, "V11");
	assert_int_equal(r.added, 2);
	rig_feed_vectors(&r, "V14");
	rig_expect_vectors(&r, "V15");
	assert_int_equal(r.removed, 1);
	assert_int_equal(f->n, 1);
	rig_feed_vectors(&r, "V14"); /* not forwarded any more */
	rig_expect_vectors(&r, "V15");
	assert_int_equal(r.removed, 1);
	assert_int_equal(r.glitches[APF_GLITCH_CANCEL_UNKNOWN], 1);
	rig_feed_hex(&r,
	             "50 00000014 63616e63656c2d74637069702d666f7277617264 00 00000000 00004261");
	rig_expect_nothing(&r);
	assert_int_equal(f->n, 0);
	rig_fini(&r);
}

static void test_hosts_change_and_are_shared(void **state)
{
	struct apf_forwards f = {0};
	char host[] = "host-000.example";

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		host[5] = (char)('0' + i % 10);
		host[6] = (char)('0' + i / 100);
		assert_int_equal(apf_forwards_set(&f, (uint16_t)(1 + i % 16), span_str(host)),
		                 i < 16);
		assert_true(f.hosts_len <= 17 * (1 + strlen(host)));
	}
	assert_memory_equal(apf_forwards_host(&f, 7).ptr, "host-990", 8);
	assert_int_equal(apf_forwards_set(&f, 17, span_str(host)), -ERR_FULL);
	assert_true(apf_forwards_remove(&f, 1));
	assert_false(apf_forwards_remove(&f, 1));
	assert_int_equal(apf_forwards_find(&f, 16), 14);
	apf_forwards_fini(&f);
	for (uint16_t port = 1; port <= 16; port++)
		assert_int_equal(apf_forwards_set(&f, port, span_str(host)), 1);
	assert_int_equal(f.hosts_len, 1 + strlen(host));
	apf_forwards_fini(&f);
}

static void test_datagrams_are_counted(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, NULL, 1);
	rig_forward(&r);
	rig_feed_vectors(&r, "V17");
	rig_expect_nothing(&r);
	assert_int_equal(r.datagrams, 1);
	assert_int_equal(r.datagram.len, 5);
	rig_feed_hex(&r, "50 00000019 7564702d73656e642d746f40616d742e696e74656c2e636f6d 01 "
	                 "00000000 00000001"
	                 "00000000 00000001 00000000");
	rig_expect_vectors(&r, "V16");
	rig_fini(&r);
}

static void test_options_two_seconds_after_the_last_forward(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, NULL, 0);
	rig_forward(&r);
	assert_true(apf_session_deadline(&r.s) == r.now + 2000);
	rig_tick(&r, 1500);
	rig_expect_nothing(&r);
	rig_feed_vectors(&r, "V12");
	rig_expect_vectors(&r, "V13");
	rig_tick(&r, 1999);
	rig_expect_nothing(&r);
	assert_int_equal(r.readies, 0);
	rig_tick(&r, 1);
	rig_expect_vectors(&r, "V18");
	assert_int_equal(r.readies, 1);
	rig_feed_vectors(&r, "V12");
	rig_expect_vectors(&r, "V13");
	rig_tick(&r, 60000); /* never again */
	rig_expect_nothing(&r);
	assert_int_equal(r.readies, 1);
	rig_fini(&r);
}

static void test_options_five_seconds_after_the_first_forward(void **state)
{
	struct apf_limits limits = apf_limits_default;
	struct rig r;

	(void)state;
	limits.keepalive_interval_s = 45;
	limits.keepalive_timeout_s = 90;
	rig_init(&r, &limits, 0);
	rig_forward(&r);
	for (unsigned i = 0; i < 4; i++) {
		rig_tick(&r, 1000);
		rig_feed_vectors(&r, "V12");
		rig_expect_vectors(&r, "V13");
	}
	rig_tick(&r, 999);
	rig_expect_nothing(&r);
	rig_tick(&r, 1);
	rig_expect_hex(&r, "d2 0000002d 0000005a");
	rig_fini(&r);
}

static void test_handshake_and_forward_timeouts(void **state)
{
	static const char *const stages[] = {"", "V01", "V36"};
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
		rig_init(&r, NULL, 0);
		r.now += 20000;
		rig_feed_vectors(&r, stages[i]);
		buf_clear(&r.out);
		assert_true(apf_session_deadline(&r.s) == r.now + 10000);
		rig_tick(&r, 9999);
		assert_int_equal(r.rc, 0);
		rig_tick(&r, 1);
		rig_expect_closed(&r, APF_CLOSE_HANDSHAKE_TIMEOUT, 0);
		assert_int_equal(r.rc, -ERR_TIMEOUT);
		rig_fini(&r);
	}
	rig_init(&r, NULL, 0);
	r.now += 20000;
	rig_feed_vectors(&r, "V36 V05 V08");
	buf_clear(&r.out);
	rig_tick(&r, 29999);
	rig_expect_alive(&r);
	rig_tick(&r, 1);
	rig_expect_closed(&r, APF_CLOSE_FORWARD_TIMEOUT, 0);
	rig_fini(&r);
}

static void idle(struct rig *r, const char *reply, uint64_t limit)
{
	rig_init(r, NULL, 0);
	rig_forward(r);
	rig_tick(r, 2000);
	rig_expect_vectors(r, "V18");
	if (reply[0] != '\0')
		rig_feed_hex(r, reply);
	else
		rig_expect_alive(r);
	assert_true(apf_session_deadline(&r->s) == r->now + limit);
	rig_tick(r, limit - 1);
	rig_expect_alive(r);
	rig_tick(r, limit - 1);
	assert_int_equal(r->rc, 0);
	rig_tick(r, 1);
	rig_expect_closed(r, APF_CLOSE_IDLE_TIMEOUT, 0);
	rig_fini(r);
}

static void test_idle_limits(void **state)
{
	struct rig r;

	(void)state;
	idle(&r, "", 300000);
	idle(&r, "d3 0000001e 00000000", 90000);
	idle(&r, "d3 0000000a 00000000", 90000);
	idle(&r, "d3 0000005a 00000000", 270000);
	idle(&r, "d3 00000000 00000000", 300000); /* off, or unchanged: nobody knows (apf.md 15) */
	idle(&r, "d3 ffffffff 00000000", 3600000);
}

static void test_unasked_options_reply_changes_nothing(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, NULL, 0);
	rig_forward(&r);
	rig_feed_hex(&r, "d3 00000001 00000000");
	assert_int_equal(r.glitches[APF_GLITCH_OPTIONS_REPLY], 1);
	assert_int_equal(apf_session_interval_s(&r.s), 0);
	rig_expect_alive(&r);
	rig_fini(&r);
}

static void test_agents_never_get_options(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, &apf_limits_agent, 0);
	rig_feed_vectors(&r, "V35");
	rig_forward(&r);
	rig_tick(&r, 5000);
	rig_expect_nothing(&r);
	assert_int_equal(r.readies, 1);
	rig_feed_vectors(&r, "V35");
	rig_expect_alive(&r);
	rig_fini(&r);
}

static void test_our_own_disconnect(void **state)
{
	struct rig_channel c = {0};
	struct rig r;

	(void)state;
	rig_init(&r, NULL, 0);
	rig_forward(&r);
	rig_open(&r, &c, 0);
	rig_confirm(&r, &c, 0, 4096);
	apf_session_disconnect(&r.s, APF_DISCONNECT_BY_APPLICATION);
	assert_int_equal(c.closed, 1);
	assert_int_equal(c.end, APF_CHANNEL_TUNNEL_LOST);
	rig_expect_vectors(&r, "V31");
	rig_feed_vectors(&r, "V20");
	rig_expect_nothing(&r);
	assert_int_equal(r.rc, -ERR_CLOSED);
	assert_int_equal(apf_session_reason(&r.s), APF_CLOSE_BY_US);
	rig_channel_fini(&c);
	rig_fini(&r);
}

static void test_sizes_and_names(void **state)
{
	(void)state;
	assert_true(sizeof(struct apf_session) <= 400);
	for (int i = 0; i < APF_CLOSE_REASON_COUNT; i++) {
		assert_true(strlen(apf_close_label((enum apf_close_reason)i)) > 1);
		assert_true(strlen(apf_close_text((enum apf_close_reason)i)) > 1);
	}
	for (int i = 0; i < APF_GLITCH_COUNT; i++)
		assert_true(strlen(apf_glitch_label((enum apf_glitch)i)) > 1);
	assert_string_equal(apf_close_label(APF_CLOSE_BY_DEVICE), "by_device");
	assert_string_equal(apf_channel_end_label(APF_CHANNEL_OVERRUN), "overrun");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scripted_dialogue),
		cmocka_unit_test(test_dialogue_as_one_blob),
		cmocka_unit_test(test_one_octet_short_waits_and_one_more_is_the_next),
		cmocka_unit_test(test_every_type_at_every_stage),
		cmocka_unit_test(test_keepalive_is_answered_after_the_hello),
		cmocka_unit_test(test_services_in_the_wrong_order),
		cmocka_unit_test(test_rejected_user),
		cmocka_unit_test(test_refused_hello),
		cmocka_unit_test(test_pending_authentication_holds_input),
		cmocka_unit_test(test_pending_authentication_is_bounded),
		cmocka_unit_test(test_octets_before_authentication_are_bounded),
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_userauth_for_another_service_or_method),
		cmocka_unit_test(test_forwards_are_remembered),
		cmocka_unit_test(test_hosts_change_and_are_shared),
		cmocka_unit_test(test_datagrams_are_counted),
		cmocka_unit_test(test_options_two_seconds_after_the_last_forward),
		cmocka_unit_test(test_options_five_seconds_after_the_first_forward),
		cmocka_unit_test(test_handshake_and_forward_timeouts),
		cmocka_unit_test(test_idle_limits),
		cmocka_unit_test(test_unasked_options_reply_changes_nothing),
		cmocka_unit_test(test_agents_never_get_options),
		cmocka_unit_test(test_our_own_disconnect),
		cmocka_unit_test(test_sizes_and_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
