/* SPDX-License-Identifier: GPL-3.0-or-later */
/* connect_test.c: the Connect protocol over HTTP/1.1 and HTTP/2, in memory. */
#include "tests/unit/support/test.h"
#include "tests/unit/support/h2client.h"

#include <string.h>

#include "causeway/v1/power.pb-c.h"
#include "core/err.h"
#include "mgmtapi/h1.h"
#include "tests/unit/support/coro.h"

#define STATE_PATH "/causeway.v1.PowerService/GetPowerState"
#define ENUM_PATH  "/causeway.v1.WsmanService/EnumerateInstances"

static struct reply *post(struct h2client *c, const char *path, const char *type, const char *json)
{
	struct request q = {.path = path, .content_type = type, .body = span_str(json)};
	struct reply *r = h2client_request(c, &q);

	h2client_run(c);
	return r;
}

static void h2_unary(void **state)
{
	struct h2client c;
	struct reply *r;

	(void)state;
	h2client_init(&c);
	r = post(&c, STATE_PATH, "application/json", "{\"device\":\"d\"}");
	assert_int_equal(r->status, 200);
	assert_string_equal(r->content_type, "application/json");
	assert_string_equal(buf_cstr(&r->body),
	                    "{\"device\":\"d\",\"powerState\":\"POWER_STATE_ON\"}");
	r = post(&c, STATE_PATH, "application/proto",
	         "\x0a\x01"
	         "d");
	assert_int_equal(r->status, 200);
	assert_string_equal(r->content_type, "application/proto");
	assert_int_equal(r->body.len, 5);
	assert_memory_equal(r->body.data,
	                    "\x0a\x01"
	                    "d\x10\x02",
	                    5);
	r = post(&c, STATE_PATH, "application/json; charset=utf-8", "");
	assert_int_equal(r->status, 200);
	h2client_free(&c);
}

static void h2_errors(void **state)
{
	struct h2client c;
	struct reply *r;

	(void)state;
	h2client_init(&c);
	r = post(&c, STATE_PATH, "application/json", "{\"device\":\"missing\"}");
	assert_int_equal(r->status, 404);
	assert_string_equal(r->content_type, "application/json");
	assert_non_null(strstr(
		buf_cstr(&r->body),
		"{\"code\":\"not_found\",\"message\":\"no device \\\"missing\\\" \xc3\xa4\\n\","
		"\"details\":[{\"type\":\"google.rpc.ErrorInfo\",\"value\":\""));
	assert_non_null(strstr(buf_cstr(&r->body), "\"debug\":{\"reason\":\"DEVICE_NOT_FOUND\","
	                                           "\"domain\":\"causeway\",\"metadata\":{"));
	assert_non_null(strstr(buf_cstr(&r->body), "google.rpc.RetryInfo"));
	r = post(&c, STATE_PATH, "application/json", "{\"devic\":1}");
	assert_int_equal(r->status, 400);
	assert_non_null(strstr(buf_cstr(&r->body), "invalid_argument"));
	assert_non_null(strstr(buf_cstr(&r->body), "no such field"));
	r = post(&c, "/causeway.v1.PowerService/Nope", "application/json", "{}");
	assert_int_equal(r->status, 404);
	assert_non_null(strstr(buf_cstr(&r->body), "unimplemented"));
	r = post(&c, ENUM_PATH, "application/json", "{}");
	assert_int_equal(r->status, 415);
	r = post(&c, STATE_PATH, "application/connect+json", "{}");
	assert_int_equal(r->status, 415);
	h2client_free(&c);
}

static void h2_stream(void **state)
{
	static const char end[] = "\x02\0\0\0\x02{}";
	struct buf b;
	struct h2client c;
	struct reply *r;
	struct request q = {.path = ENUM_PATH, .content_type = "application/connect+json"};

	(void)state;
	h2client_init(&c);
	buf_init(&b, 4096);
	envelope(&b, 0, span_str("{\"maxItems\":2}"));
	q.body = buf_span(&b);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_int_equal(r->status, 200);
	assert_string_equal(r->content_type, "application/connect+json");
	assert_true(r->body.len > 2u * 65536);
	assert_memory_equal(r->body.data + r->body.len - 7, end, 7);
	buf_clear(&b);
	envelope(&b, 0, span_str("{\"resource\":\"fail\"}"));
	q.body = buf_span(&b);
	r = h2client_request(&c, &q);
	h2client_run(&c);
	assert_int_equal(r->status, 200);
	assert_int_equal(r->body.data[0], 2);
	assert_memory_equal(r->body.data + 5, "{\"error\":{\"code\":\"aborted\"", 26);
	buf_free(&b);
	h2client_free(&c);
}

/* Whatever is spoken, a client cannot tell how the handler made its answer. */
static void packed_answers_are_the_same(void **state)
{
	static const struct request all[] = {
		{.path = STATE_PATH,
	         .content_type = "application/json",
	         .body = {(const uint8_t *)"{\"device\":\"d\"}", 14}},
		{.path = STATE_PATH,
	         .content_type = "application/proto",
	         .body = {(const uint8_t *)"\x0a\x01"
	                                   "d",
	                  3}},
		{.path = STATE_PATH,
	         .content_type = "application/grpc",
	         .body = {(const uint8_t *)"\0\0\0\0\x03\x0a\x01"
	                                   "d",
	                  8}},
		{.path = ENUM_PATH,
	         .content_type = "application/connect+json",
	         .body = {(const uint8_t *)"\0\0\0\0\x0e{\"maxItems\":2}", 19}},
		{.path = ENUM_PATH,
	         .content_type = "application/grpc",
	         .body = {(const uint8_t *)"\0\0\0\0\x02\x18\x02", 7}},
	};
	struct h2client c;

	(void)state;
	h2client_init(&c);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct reply *r[2];

		for (int packed = 0; packed < 2; packed++) {
			demo.packed = packed != 0;
			r[packed] = h2client_request(&c, &all[i]);
			h2client_run(&c);
			assert_int_equal(demo.last_err, 0);
		}
		assert_int_equal(r[1]->status, 200);
		assert_string_equal(r[1]->content_type, r[0]->content_type);
		assert_string_equal(r[1]->grpc_status, r[0]->grpc_status);
		assert_true(r[0]->body.len > 0);
		assert_int_equal(r[1]->body.len, r[0]->body.len);
		assert_memory_equal(r[1]->body.data, r[0]->body.data, r[0]->body.len);
	}
	c.env.message_max = 4; /* less than the answer */
	for (size_t i = 1; i < 3; i++) {
		struct reply *r = h2client_request(&c, &all[i]);

		h2client_run(&c);
		if (i == 1)
			assert_int_equal(r->status, 429);
		else
			assert_string_equal(r->grpc_status, "8");
	}
	h2client_free(&c);
}

static void codes(void **state)
{
	(void)state;
	assert_int_equal(connect_http_status(CALL_CANCELLED), 499);
	assert_int_equal(connect_http_status(CALL_FAILED_PRECONDITION), 400);
	assert_int_equal(connect_http_status(CALL_ABORTED), 409);
	assert_int_equal(connect_http_status(CALL_RESOURCE_EXHAUSTED), 429);
	assert_int_equal(connect_http_status(CALL_UNIMPLEMENTED), 501);
	assert_int_equal(connect_http_status(CALL_UNAVAILABLE), 503);
	assert_int_equal(connect_http_status(CALL_DEADLINE_EXCEEDED), 504);
	assert_int_equal(connect_http_status(CALL_UNAUTHENTICATED), 401);
	assert_int_equal(connect_timeout_ms("1500"), 1500);
	assert_int_equal(connect_timeout_ms("12345678901"), -1);
	assert_int_equal(connect_timeout_ms("1s"), -1);
	assert_true(connect_timeout_ms("") == INT64_MAX);
}

/* ---- HTTP/1.1 ------------------------------------------------------------------------------------------------------- */

struct h1side {
	struct h2client c; /* for its environment */
	struct h1 *h;
	struct buf out;
};

static void nothing(void *arg)
{
	(void)arg;
}

static void h1_start(struct h1side *s)
{
	struct h1_opts opts = {.peer = {.cert_cn = ""}, .kick = nothing};

	h2client_init(&s->c);
	opts.env = &s->c.env;
	s->h = h1_new(&opts, s->c.now_ms);
	buf_init(&s->out, 1 << 24);
}

static void h1_end(struct h1side *s)
{
	h1_free(s->h);
	buf_free(&s->out);
	h2client_free(&s->c);
}

static int h1_say(struct h1side *s, const char *text, size_t step)
{
	size_t n = strlen(text);
	size_t before;
	int err = 0;

	for (size_t i = 0; i < n && err == 0; i += step) {
		err = h1_input(s->h, span_of(text + i, MIN(step, n - i)), s->c.now_ms);
		(void)coro_run();
	}
	(void)coro_run();
	do {
		struct buf part;

		before = s->out.len;
		buf_init(&part, 1 << 20);
		assert_int_equal(h1_output(s->h, &part, s->c.now_ms), 0);
		buf_put_span(&s->out, buf_span(&part));
		buf_free(&part);
		(void)coro_run();
	} while (s->out.len > before);
	return err;
}

static size_t count(struct h1side *s, const char *what)
{
	size_t n = 0;

	for (const char *p = buf_cstr(&s->out); (p = strstr(p, what)) != NULL; p += strlen(what))
		n++;
	return n;
}

#define HEAD                                                                           \
	"POST " STATE_PATH " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " DEMO_TOKEN \
	"\r\nContent-Type: application/json\r\n"

static void h1_unary(void **state)
{
	static const size_t steps[] = {1, 7, 100000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct h1side s;

		h1_start(&s);
		assert_int_equal(
			h1_say(&s, HEAD "Content-Length: 14\r\n\r\n{\"device\":\"d\"}", steps[i]),
			0);
		assert_memory_equal(buf_cstr(&s.out), "HTTP/1.1 200 ", 13);
		assert_non_null(strstr(buf_cstr(&s.out), "content-length: 44\r\n"));
		assert_non_null(
			strstr(buf_cstr(&s.out),
		               "\r\n\r\n{\"device\":\"d\",\"powerState\":\"POWER_STATE_ON\"}"));
		assert_int_equal(s.c.env.calls, 0);
		assert_false(h1_done(s.h));
		/* The same connection again, chunked. */
		buf_clear(&s.out);
		assert_int_equal(
			h1_say(&s, HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		               steps[i]),
			0);
		assert_memory_equal(buf_cstr(&s.out), "HTTP/1.1 200 ", 13);
		h1_end(&s);
	}
}

static void h1_pipelined(void **state)
{
	struct h1side s;

	(void)state;
	h1_start(&s);
	assert_int_equal(h1_say(&s,
	                        HEAD "Content-Length: 2\r\n\r\n{}" HEAD
	                             "Content-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	                        4096),
	                 0);
	assert_int_equal(count(&s, "HTTP/1.1 200 "), 3);
	assert_int_equal(demo.calls, 2);
	assert_int_equal(count(&s, "management API of a Causeway gateway"), 1);
	h1_end(&s);
}

static void h1_stream_is_chunked(void **state)
{
	static const char request[] =
		"POST " ENUM_PATH " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " DEMO_TOKEN
		"\r\nContent-Type: application/connect+json\r\nContent-Length: 20\r\n\r\n";
	struct h1side s;
	struct buf b;

	(void)state;
	h1_start(&s);
	assert_int_equal(h1_input(s.h, span_str(request), s.c.now_ms), 0);
	buf_init(&b, 100);
	envelope(&b, 0, span_str("{\"maxItems\":20}"));
	assert_int_equal(h1_input(s.h, buf_span(&b), s.c.now_ms), 0);
	assert_int_equal(h1_say(&s, "", 1), 0);
	assert_non_null(strstr(buf_cstr(&s.out), "transfer-encoding: chunked\r\n"));
	assert_int_equal(demo.received, 20);
	assert_true(s.out.len > 20u * 65536);
	assert_memory_equal(buf_cstr(&s.out) + s.out.len - 5, "0\r\n\r\n", 5);
	buf_free(&b);
	h1_end(&s);
}

static void h1_refusals(void **state)
{
	struct h1side s;

	(void)state;
	h1_start(&s);
	/* 5 MiB by declared length: refused at the head; the connection closes, as the rest is on its way. */
	assert_int_equal(h1_say(&s, HEAD "Content-Length: 5242880\r\n\r\n", 4096), -ERR_PROTOCOL);
	assert_int_equal(count(&s, "HTTP/1.1 429 "), 1);
	assert_int_equal(count(&s, "connection: close"), 1);
	assert_true(h1_done(s.h));
	assert_int_equal(demo.calls, 0);
	h1_end(&s);
	h1_start(&s);
	assert_int_equal(h1_say(&s, "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", 4096), 0);
	assert_int_equal(count(&s, "HTTP/1.1 404 "), 1);
	assert_int_equal(
		h1_say(&s, "PUT " STATE_PATH " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	               4096),
		0);
	assert_int_equal(count(&s, "HTTP/1.1 405 "), 1);
	assert_int_equal(h1_say(&s,
	                        "POST " STATE_PATH " HTTP/1.1\r\nHost: x\r\nContent-Type: "
	                        "application/grpc\r\nContent-Length: 0\r\n\r\n",
	                        4096),
	                 0);
	assert_int_equal(count(&s, "HTTP/1.1 415 "), 1);
	assert_int_equal(h1_say(&s, "BAD\r\n\r\n", 4096), -ERR_PROTOCOL);
	assert_int_equal(count(&s, "HTTP/1.1 400 "), 1);
	h1_end(&s);
}

static void h1_client_leaves(void **state)
{
	struct h1side s;

	(void)state;
	h1_start(&s);
	assert_int_equal(h1_say(&s, HEAD "Content-Length: 17\r\n\r\n{\"device\":\"slow\"}", 4096),
	                 0);
	assert_int_equal(s.c.env.calls, 1);
	h1_free(s.h);
	s.h = NULL;
	(void)coro_run();
	assert_int_equal(demo.last_err, -ERR_CANCELLED);
	assert_int_equal(s.c.env.calls, 0);
	h1_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h2_unary),     cmocka_unit_test(h2_errors),
		cmocka_unit_test(h2_stream),    cmocka_unit_test(packed_answers_are_the_same),
		cmocka_unit_test(codes),        cmocka_unit_test(h1_unary),
		cmocka_unit_test(h1_pipelined), cmocka_unit_test(h1_stream_is_chunked),
		cmocka_unit_test(h1_refusals),  cmocka_unit_test(h1_client_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
