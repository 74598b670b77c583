/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h2_test.c: the connection itself: abuse guards, keep-alive, age and drain. */
#include "tests/unit/support/test.h"
#include "tests/unit/support/h2client.h"

#include <nghttp2/nghttp2.h>
#include <string.h>

#include "causeway/v1/power.pb-c.h"
#include "core/err.h"
#include "tests/unit/support/coro.h"

#define STATE_PATH "/causeway.v1.PowerService/GetPowerState"

static struct buf body_for(const char *device)
{
	Causeway__V1__GetPowerStateRequest q = CAUSEWAY__V1__GET_POWER_STATE_REQUEST__INIT;
	struct buf b;

	buf_init(&b, 1 << 16);
	q.device = (char *)(uintptr_t)device;
	envelope_msg(&b, &q.base);
	return b;
}

static struct reply *start(struct h2client *c, const char *device)
{
	struct buf b = body_for(device);
	struct request q = {.path = STATE_PATH, .body = buf_span(&b)};
	struct reply *r = h2client_request(c, &q);

	h2client_run(c);
	buf_free(&b);
	return r;
}

static void tick(struct h2client *c, uint64_t by_ms, int expect)
{
	c->now_ms += by_ms;
	coro_set_now(c->now_ms);
	assert_int_equal(h2_tick(c->h, c->now_ms), expect);
	h2client_run(c);
}

static void large_header_is_refused(void **state)
{
	static char value[9000];
	struct request q = {.path = STATE_PATH, .extra = {{"x-large", value}}};
	struct h2client c;
	struct reply *r;

	(void)state;
	memset(value, 'a', sizeof(value) - 1);
	h2client_init(&c);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_int_equal(r->status, 431);
	assert_int_equal(c.env.calls, 0);
	assert_string_equal(start(&c, "d")->grpc_status, "0");
	h2client_free(&c);
}

static void doubled_credentials_are_refused(void **state)
{
	struct request q = {.path = STATE_PATH, .extra = {{"authorization", "Bearer other"}}};
	struct h2client c;
	struct reply *r;

	(void)state;
	h2client_init(&c);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_int_equal(r->status, 400);
	h2client_free(&c);
}

/* A client that opens and resets streams as fast as it can is cut off (CVE-2023-44487). */
static void rapid_reset(void **state)
{
	struct request q = {.path = STATE_PATH, .keep_open = true};
	struct h2client c;

	(void)state;
	h2client_init(&c);
	for (unsigned i = 0; i < 2 * H2_RESET_BURST && !c.goaway && !c.h2_failed; i++) {
		struct reply *r = h2client_request(&c, &q);

		h2client_run(&c);
		h2client_reset(&c, r->id);
		h2client_run(&c);
	}
	assert_true(c.goaway);
	assert_int_equal(demo.calls, 0);
	h2client_free(&c);
}

/* Refused before its body came: the rest of the request may come, then the stream ends without a reset. */
static void early_answer_takes_the_rest(void **state)
{
	struct buf b = body_for("d");
	struct request q = {.path = STATE_PATH, .token = "", .keep_open = true};
	struct h2client c;
	struct reply *r;

	(void)state;
	h2client_init(&c);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "16");
	assert_false(r->closed);
	h2client_send(&c, r->id, buf_span(&b), true);
	h2client_run(&c);
	assert_true(r->closed);
	assert_int_equal(r->error, NGHTTP2_NO_ERROR);
	assert_int_equal(h2_streams(c.h), 0);
	buf_free(&b);
	h2client_free(&c);
}

/* The same from a client that goes on sending, or falls silent: it is asked to stop. */
static void early_answer_asks_to_stop(void **state)
{
	struct buf b = body_for("d");
	struct request q = {.path = STATE_PATH, .token = "", .keep_open = true};
	struct h2client c;
	struct reply *sends, *silent;

	(void)state;
	h2client_init(&c);
	sends = h2client_request(&c, &q);
	silent = h2client_request(&c, &q);
	h2client_run(&c);
	h2client_send(&c, sends->id, buf_span(&b), false);
	h2client_run(&c);
	assert_true(sends->closed);
	assert_int_equal(sends->error, NGHTTP2_NO_ERROR);
	assert_false(silent->closed);
	tick(&c, H2_LINGER_MS, 0);
	assert_true(silent->closed);
	assert_int_equal(silent->error, NGHTTP2_NO_ERROR);
	assert_int_equal(h2_streams(c.h), 0);
	buf_free(&b);
	h2client_free(&c);
}

static void concurrent_streams_are_bounded(void **state)
{
	struct request q = {.path = STATE_PATH, .keep_open = true};
	struct h2client c;

	(void)state;
	h2client_init(&c);
	for (unsigned i = 0; i < H2_STREAMS_MAX + 50; i++)
		(void)h2client_request(&c, &q);
	h2client_run(&c);
	assert_int_equal(h2_streams(c.h), H2_STREAMS_MAX);
	assert_int_equal(c.env.calls, H2_STREAMS_MAX);
	h2client_free(&c);
}

static void ping_flood(void **state)
{
	struct h2client c;

	(void)state;
	h2client_init(&c);
	for (unsigned i = 0; i < H2_PINGS_MAX && !c.goaway; i++) {
		(void)nghttp2_submit_ping(c.session, 0, NULL);
		h2client_run(&c);
	}
	assert_true(c.goaway);
	assert_int_equal(c.goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
	h2client_free(&c);
}

static void garbage_is_refused(void **state)
{
	struct h2client c;

	(void)state;
	h2client_init(&c);
	assert_int_equal(
		h2client_input(&c, span_str("GET / HTTP/1.1\r\nHost: x\r\n\r\n0000000000000000")),
		0);
	h2client_run(&c);
	assert_true(h2_done(c.h) || c.goaway || c.h2_failed);
	h2client_free(&c);
}

static void keep_alive(void **state)
{
	struct h2client c;

	(void)state;
	h2client_init(&c);
	tick(&c, H2_PING_IDLE_MS - 1, 0);
	tick(&c, 1, 0); /* a ping goes out, the client answers it in run */
	tick(&c, H2_PING_WAIT_MS, 0);
	/* Now the client is silent: its answers never come. */
	c.now_ms += H2_PING_IDLE_MS;
	assert_int_equal(h2_tick(c.h, c.now_ms), 0);
	c.now_ms += H2_PING_WAIT_MS;
	assert_int_equal(h2_tick(c.h, c.now_ms), -ERR_TIMEOUT);
	h2client_free(&c);
}

static void drain_lets_streams_finish(void **state)
{
	struct h2client c;
	struct reply *slow;

	(void)state;
	h2client_init(&c);
	slow = start(&c, "slow");
	h2_drain(c.h, c.now_ms);
	h2client_run(&c);
	assert_true(c.goaway);
	assert_int_equal(c.goaway_error, 0);
	tick(&c, 1500, 0);
	assert_false(slow->closed);
	assert_false(h2_done(c.h));
	h2client_reset(&c, slow->id);
	h2client_run(&c);
	assert_int_equal(h2_streams(c.h), 0);
	assert_true(h2_done(c.h));
	h2client_free(&c);
}

static void draining_server_refuses_calls(void **state)
{
	struct h2client c;

	(void)state;
	h2client_init(&c);
	c.env.draining = true;
	assert_string_equal(start(&c, "d")->grpc_status, "14");
	assert_int_equal(demo.calls, 0);
	h2client_free(&c);
}

static void old_connections_are_sent_away(void **state)
{
	struct h2client c;
	uint64_t end;

	(void)state;
	h2client_init(&c);
	end = c.now_ms + H2_AGE_MS;
	(void)start(&c, "slow"); /* keeps it from being idle */
	while (c.now_ms < end && !c.goaway)
		tick(&c, 30000, 0);
	assert_true(c.goaway);
	assert_true(c.now_ms >= end - H2_AGE_MS / 7);
	h2client_free(&c);
}

static void slow_upload_ends(void **state)
{
	struct request q = {.path = STATE_PATH, .keep_open = true};
	struct h2client c;
	struct reply *r;

	(void)state;
	h2client_init(&c);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	tick(&c, RPC_UPLOAD_MS - 1, 0);
	assert_false(r->closed);
	tick(&c, 1, 0);
	assert_string_equal(r->grpc_status, "4");
	tick(&c, H2_LINGER_MS, 0);
	assert_true(r->closed);
	h2client_free(&c);
}

static uint32_t window_of(const struct h2client *c)
{
	return nghttp2_session_get_remote_settings(c->session,
	                                           NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
}

static void far_clients_may_send_more_ahead(void **state)
{
	struct h2client c;

	(void)state;
	h2client_init(&c);
	assert_int_equal(window_of(&c), H2_STREAM_WINDOW);
	h2client_free(&c);
	h2client_init_far(&c);
	assert_int_equal(window_of(&c), H2_STREAM_WINDOW_FAR);
	h2client_free(&c);
}

static void limits_of_the_server(void **state)
{
	struct h2client c;

	(void)state;
	h2client_init(&c);
	c.env.calls_max = 0;
	assert_string_equal(start(&c, "d")->grpc_status, "8");
	c.env.calls_max = 10;
	c.env.buffered_max = 4;
	assert_string_equal(start(&c, "d")->grpc_status, "8");
	c.env.buffered_max = 4096;
	assert_string_equal(start(&c, "d")->grpc_status, "0");
	h2client_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_header_is_refused),
		cmocka_unit_test(doubled_credentials_are_refused),
		cmocka_unit_test(rapid_reset),
		cmocka_unit_test(early_answer_takes_the_rest),
		cmocka_unit_test(early_answer_asks_to_stop),
		cmocka_unit_test(concurrent_streams_are_bounded),
		cmocka_unit_test(ping_flood),
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(keep_alive),
		cmocka_unit_test(drain_lets_streams_finish),
		cmocka_unit_test(draining_server_refuses_calls),
		cmocka_unit_test(old_connections_are_sent_away),
		cmocka_unit_test(slow_upload_ends),
		cmocka_unit_test(far_clients_may_send_more_ahead),
		cmocka_unit_test(limits_of_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
