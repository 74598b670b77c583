/* SPDX-License-Identifier: GPL-3.0-or-later */
/* grpc_test.c: gRPC through a whole HTTP/2 connection in memory: the wire contract of ecosystem.md 1.4. */
#include "tests/unit/support/test.h"
#include "tests/unit/support/h2client.h"

#include <nghttp2/nghttp2.h>
#include <string.h>
#include <zlib.h>

#include "causeway/v1/power.pb-c.h"
#include "causeway/v1/tunnels.pb-c.h"
#include "causeway/v1/wsman.pb-c.h"
#include "core/err.h"
#include "core/text.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "tests/unit/support/coro.h"

#define STATE_PATH "/causeway.v1.PowerService/GetPowerState"
#define ENUM_PATH  "/causeway.v1.WsmanService/EnumerateInstances"
#define OPEN_PATH  "/causeway.v1.TunnelService/OpenTunnel"

static struct buf body_for(const char *device)
{
	Causeway__V1__GetPowerStateRequest q = CAUSEWAY__V1__GET_POWER_STATE_REQUEST__INIT;
	struct buf b;

	buf_init(&b, 1 << 16);
	q.device = (char *)(uintptr_t)device;
	envelope_msg(&b, &q.base);
	return b;
}

/* One GetPowerState with this token. */
static struct reply *get_state(struct h2client *c, const char *device, const char *token)
{
	struct buf b = body_for(device);
	struct request q = {.path = STATE_PATH, .token = token, .body = buf_span(&b)};
	struct reply *r = h2client_request(c, &q);

	h2client_run(c);
	buf_free(&b);
	return r;
}

static void unary(void **state)
{
	Causeway__V1__GetPowerStateResponse *m;
	struct h2client c;
	struct reply *r;

	(void)state;
	h2client_init(&c);
	r = get_state(&c, "d1", NULL);
	assert_int_equal(r->status, 200);
	assert_string_equal(r->grpc_status, "0");
	assert_string_equal(r->content_type, "application/grpc+proto");
	assert_int_equal(r->head_frames, 2);
	assert_true(r->closed);
	assert_int_equal(r->error, 0);
	assert_int_equal(r->body.data[0], 0);
	m = causeway__v1__get_power_state_response__unpack(NULL, r->body.len - 5, r->body.data + 5);
	assert_non_null(m);
	assert_string_equal(m->device, "d1");
	assert_int_equal(m->power_state, 2);
	causeway__v1__get_power_state_response__free_unpacked(m, NULL);
	assert_string_equal(demo.principal, "token:cwt_demo");
	assert_int_equal(h2_streams(c.h), 0);
	h2client_free(&c);
}

static void error_is_trailers_only_with_details(void **state)
{
	Google__Rpc__Status *s;
	Google__Rpc__ErrorInfo *info;
	uint8_t raw[2048];
	struct h2client c;
	struct reply *r;
	ssize_t n;

	(void)state;
	h2client_init(&c);
	r = get_state(&c, "missing", NULL);
	assert_string_equal(r->grpc_status, "5");
	assert_string_equal(r->grpc_message, "no device \"missing\" %C3%A4%0A");
	assert_int_equal(r->head_frames, 1);
	assert_int_equal(r->body.len, 0);
	assert_null(strchr(r->details, '='));
	n = base64_decode(raw, sizeof(raw), span_str(r->details));
	assert_true(n > 0);
	s = google__rpc__status__unpack(NULL, (size_t)n, raw);
	assert_non_null(s);
	assert_int_equal(s->code, 5);
	assert_string_equal(s->message, "no device \"missing\" \xc3\xa4\n");
	assert_int_equal(s->n_details, 2);
	assert_string_equal(s->details[0]->type_url, "type.googleapis.com/google.rpc.ErrorInfo");
	info = google__rpc__error_info__unpack(NULL, s->details[0]->value.len,
	                                       s->details[0]->value.data);
	assert_string_equal(info->reason, "DEVICE_NOT_FOUND");
	assert_string_equal(info->domain, "causeway");
	assert_int_equal(info->n_metadata, 2);
	assert_string_equal(info->metadata[0]->value, "list devices");
	assert_string_equal(s->details[1]->type_url, "type.googleapis.com/google.rpc.RetryInfo");
	google__rpc__error_info__free_unpacked(info, NULL);
	google__rpc__status__free_unpacked(s, NULL);
	h2client_free(&c);
}

static void access_is_enforced(void **state)
{
	Causeway__V1__ChangePowerRequest q = CAUSEWAY__V1__CHANGE_POWER_REQUEST__INIT;
	struct h2client c;
	struct buf b;
	struct request rq = {.path = "/causeway.v1.PowerService/ChangePower",
	                     .token = "cwt_viewer"};

	(void)state;
	h2client_init(&c);
	assert_string_equal(get_state(&c, "d", "")->grpc_status, "16");
	assert_string_equal(get_state(&c, "d", "wrong")->grpc_status, "16");
	assert_string_equal(get_state(&c, "d", "cwt_old")->grpc_status, "16");
	assert_int_equal(demo.calls, 0);
	assert_string_equal(get_state(&c, "d", "cwt_viewer")->grpc_status, "0");
	assert_int_equal(demo.calls, 1);
	buf_init(&b, 4096);
	q.request_id = (char *)(uintptr_t) "r-1";
	envelope_msg(&b, &q.base);
	rq.body = buf_span(&b);
	struct reply *r = h2client_request(&c, &rq);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "7");
	assert_int_equal(demo.calls, 1);
	rq.token = NULL;
	r = h2client_request(&c, &rq);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "0");
	assert_string_equal(demo.request_id, "r-1");
	buf_clear(&b);
	q.request_id = (char *)(uintptr_t) "0123456789012345678901234567890123456789012345678901234"
					   "567890123";
	envelope_msg(&b, &q.base);
	rq.body = buf_span(&b);
	r = h2client_request(&c, &rq);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "3");
	buf_free(&b);
	h2client_free(&c);
}

static void status_of_raw(struct h2client *c, struct span body, const struct http_pair *extra,
                          const char *status)
{
	struct request q = {.path = STATE_PATH, .body = body};
	struct reply *r;

	if (extra != NULL)
		q.extra[0] = *extra;
	r = h2client_request(c, &q);
	h2client_run(c);
	assert_string_equal(r->grpc_status, status);
	assert_int_equal(demo.calls, 0);
}

static void malformed_requests(void **state)
{
	const struct http_pair snappy = {"grpc-encoding", "snappy"};
	const struct http_pair zero = {"grpc-timeout", "0m"};
	const struct http_pair bad = {"grpc-timeout", "1x"};
	struct buf one = body_for("d");
	struct buf two;
	struct h2client c;
	struct reply *r;
	struct request q = {.path = "/causeway.v1.PowerService/Nope"};

	(void)state;
	h2client_init(&c);
	buf_init(&two, 4096);
	buf_put_span(&two, buf_span(&one));
	buf_put_span(&two, buf_span(&one));
	status_of_raw(&c, span_of(NULL, 0), NULL, "12");
	status_of_raw(&c, buf_span(&two), NULL, "12");
	status_of_raw(&c, span_of(one.data, one.len - 1), NULL, "13");
	status_of_raw(&c, span_of("\0\0\0\0\2\xff\xff", 7), NULL, "13");
	status_of_raw(&c, span_of("\1\0\0\0\0", 5), NULL, "13");
	status_of_raw(&c, span_of("\2\0\0\0\0", 5), NULL, "13");
	status_of_raw(&c, buf_span(&one), &snappy, "12");
	status_of_raw(&c, buf_span(&one), &zero, "4");
	status_of_raw(&c, buf_span(&one), &bad, "3");
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "12");
	q.path = "/nope.Service/X";
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "12");
	q.path = STATE_PATH;
	q.content_type = "text/plain";
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_int_equal(r->status, 415);
	q.content_type = NULL;
	q.method = "GET";
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_int_equal(r->status, 405);
	buf_free(&one);
	buf_free(&two);
	h2client_free(&c);
}

/* 5 MiB are refused by the declared length: far less than that may have travelled. */
static void too_big_is_refused_before_it_comes(void **state)
{
	static uint8_t big[5 * 1024 * 1024 + 5] = {0, 0, 0x50, 0, 0};
	struct h2client c;
	struct request q = {.path = STATE_PATH, .body = {big, sizeof(big)}};
	struct reply *r;

	(void)state;
	h2client_init(&c);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "8");
	assert_int_equal(demo.calls, 0);
	assert_true(c.to_server < 1200 * 1024);
	assert_string_equal(get_state(&c, "d", NULL)->grpc_status, "0");
	h2client_free(&c);
}

/* A message larger than the stream's window gets through. */
static void larger_than_the_window(void **state)
{
	static uint8_t big[3 * 1024 * 1024];
	Causeway__V1__GetPowerStateRequest m = CAUSEWAY__V1__GET_POWER_STATE_REQUEST__INIT;
	struct h2client c;
	struct buf b;
	struct request q = {.path = STATE_PATH};
	struct reply *r;

	(void)state;
	h2client_init(&c);
	memset(big, 'd', sizeof(big) - 1);
	m.device = (char *)big;
	buf_init(&b, 1 << 23);
	envelope_msg(&b, &m.base);
	q.body = buf_span(&b);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "0");
	assert_true(r->body.len > sizeof(big));
	buf_free(&b);
	h2client_free(&c);
}

static void gzip_requests(void **state)
{
	uint8_t packed[32];
	uint8_t zipped[256];
	Causeway__V1__GetPowerStateRequest m = CAUSEWAY__V1__GET_POWER_STATE_REQUEST__INIT;
	struct h2client c;
	struct buf b;
	struct request q = {.path = STATE_PATH, .extra = {{"grpc-encoding", "gzip"}}};
	struct reply *r;
	z_stream z = {0};

	(void)state;
	h2client_init(&c);
	m.device = (char *)(uintptr_t) "zip";
	z.next_in = packed;
	z.avail_in = (uInt)causeway__v1__get_power_state_request__pack(&m, packed);
	z.next_out = zipped;
	z.avail_out = sizeof(zipped);
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_init(&b, 4096);
	envelope(&b, 1, span_of(zipped, z.total_out));
	(void)deflateEnd(&z);
	q.body = buf_span(&b);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "0");
	c.env.message_max = 4; /* what comes out is larger: a bomb */
	b.data[4] = 4;
	q.body = span_of(b.data, 9);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "13");
	buf_free(&b);
	h2client_free(&c);
}

static void deadline(void **state)
{
	struct buf b = body_for("slow");
	struct request q = {
		.path = STATE_PATH, .body = buf_span(&b), .extra = {{"grpc-timeout", "250m"}}};
	struct h2client c;
	struct reply *r;

	(void)state;
	h2client_init(&c);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_false(r->closed);
	coro_set_now(c.now_ms + 249);
	h2client_run(&c);
	assert_false(r->closed);
	coro_set_now(c.now_ms + 250);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "4");
	assert_int_equal(demo.last_err, -ERR_TIMEOUT);
	buf_free(&b);
	h2client_free(&c);
}

static void cancel(void **state)
{
	struct h2client c;
	struct reply *r;

	(void)state;
	h2client_init(&c);
	r = get_state(&c, "slow", NULL);
	assert_false(r->closed);
	h2client_reset(&c, r->id);
	h2client_run(&c);
	assert_int_equal(demo.last_err, -ERR_CANCELLED);
	assert_int_equal(c.env.calls, 0);
	/* And when the whole connection goes: h2client_free checks that the handler ended. */
	(void)get_state(&c, "slow", NULL);
	h2client_free(&c);
}

static void no_answer_is_internal(void **state)
{
	struct h2client c;

	(void)state;
	h2client_init(&c);
	assert_string_equal(get_state(&c, "silent", NULL)->grpc_status, "13");
	h2client_free(&c);
}

static struct reply *enumerate(struct h2client *c, unsigned items, const char *resource,
                               struct http_pair extra)
{
	Causeway__V1__EnumerateInstancesRequest m = CAUSEWAY__V1__ENUMERATE_INSTANCES_REQUEST__INIT;
	struct request q = {.path = ENUM_PATH, .extra = {extra}};
	struct reply *r;
	struct buf b;

	buf_init(&b, 4096);
	m.max_items = items;
	m.resource = (char *)(uintptr_t)resource;
	envelope_msg(&b, &m.base);
	q.body = buf_span(&b);
	r = h2client_request(c, &q);
	h2client_run(c);
	buf_free(&b);
	return r;
}

static void server_stream(void **state)
{
	struct h2client c;
	struct reply *r;

	(void)state;
	h2client_init(&c);
	r = enumerate(&c, 40, "x", (struct http_pair){0});
	assert_string_equal(r->grpc_status, "0");
	assert_int_equal(r->body.len % 40, 0);
	assert_true(r->body.len > 40u * 65536);
	r = enumerate(&c, 2, "fail", (struct http_pair){0});
	assert_string_equal(r->grpc_status, "10");
	assert_true(r->body.len > 2u * 65536);
	assert_int_equal(r->head_frames, 2);
	r = enumerate(&c, 0, "fail", (struct http_pair){0});
	assert_int_equal(r->head_frames, 1);
	h2client_free(&c);
}

/* A client that reads nothing stops the handler at the queue's limit. */
static void back_pressure_out(void **state)
{
	struct h2client c;
	struct reply *r;
	unsigned stopped;

	(void)state;
	h2client_init(&c);
	nghttp2_session_set_local_window_size(c.session, 0, 0, 0);
	r = enumerate(&c, 1000, "x", (struct http_pair){0});
	stopped = demo.received;
	/* Messages of a little over 64 KiB: as many as the queue takes, and the one that waits. */
	assert_in_range(stopped, RPC_SEND_QUEUE_MAX / 65536, RPC_SEND_QUEUE_MAX / 65536 + 1);
	nghttp2_session_set_local_window_size(c.session, 0, 0, 1 << 30);
	h2client_run(&c);
	assert_true(r->closed || demo.received > stopped);
	h2client_free(&c);
}

static void bidi_echo(void **state)
{
	Causeway__V1__OpenTunnelRequest m = CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__INIT;
	struct request q = {.path = OPEN_PATH, .keep_open = true};
	struct h2client c;
	struct reply *r;
	struct buf b;

	(void)state;
	h2client_init(&c);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_int_equal(demo.calls, 1);
	buf_init(&b, 4096);
	m.message_case = CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__MESSAGE_DATA;
	m.data = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "abc"};
	envelope_msg(&b, &m.base);
	/* One octet at a time. */
	for (size_t i = 0; i < b.len; i++) {
		h2client_send(&c, r->id, span_of(b.data + i, 1), false);
		h2client_run(&c);
	}
	assert_int_equal(demo.received, 1);
	assert_int_equal(r->body.len, b.len);
	assert_memory_equal(r->body.data, b.data, b.len);
	h2client_send(&c, r->id, buf_span(&b), true);
	h2client_run(&c);
	assert_int_equal(demo.received, 2);
	assert_string_equal(r->grpc_status, "0");
	r = h2client_request(&c, &q);
	h2client_run(&c);
	h2client_send(&c, r->id, span_of(b.data, 3), true);
	h2client_run(&c);
	assert_string_equal(r->grpc_status, "13");
	buf_free(&b);
	h2client_free(&c);
}

static void timeouts(void **state)
{
	(void)state;
	assert_int_equal(grpc_timeout_ms("1H"), 3600000);
	assert_int_equal(grpc_timeout_ms("2M"), 120000);
	assert_int_equal(grpc_timeout_ms("3S"), 3000);
	assert_int_equal(grpc_timeout_ms("4m"), 4);
	assert_int_equal(grpc_timeout_ms("1u"), 1);
	assert_int_equal(grpc_timeout_ms("99999999n"), 100);
	assert_int_equal(grpc_timeout_ms("99999999H"), 99999999LL * 3600000);
	assert_int_equal(grpc_timeout_ms("999999999S"), -1);
	assert_int_equal(grpc_timeout_ms("S"), -1);
	assert_int_equal(grpc_timeout_ms("1"), -1);
	assert_int_equal(grpc_timeout_ms("1SS"), -1);
	assert_true(grpc_timeout_ms("") == INT64_MAX);
	assert_true(grpc_content_type("application/grpc"));
	assert_true(grpc_content_type("application/grpc+proto"));
	assert_true(grpc_content_type("application/grpc; charset=utf-8"));
	assert_false(grpc_content_type("application/grpc-web"));
	assert_false(grpc_content_type("application/grpc+json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unary),
		cmocka_unit_test(error_is_trailers_only_with_details),
		cmocka_unit_test(access_is_enforced),
		cmocka_unit_test(malformed_requests),
		cmocka_unit_test(too_big_is_refused_before_it_comes),
		cmocka_unit_test(larger_than_the_window),
		cmocka_unit_test(gzip_requests),
		cmocka_unit_test(deadline),
		cmocka_unit_test(cancel),
		cmocka_unit_test(no_answer_is_internal),
		cmocka_unit_test(server_stream),
		cmocka_unit_test(back_pressure_out),
		cmocka_unit_test(bidi_echo),
		cmocka_unit_test(timeouts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
