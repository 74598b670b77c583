/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each input is parsed whole and in pieces of 1, 2, 3, 7 and 61 octets; the transcript of what came
 * out must be the same. A transcript has "<" start line and headers ">" "[" body "]" "." for the
 * end and "!" status for an error.
 */
#include "core/buf.h"
#include "core/err.h"
#include "tests/unit/support/test.h"
#include "wire/http1.h"
#include "wire/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRANSCRIPT_MAX (4 * 1024 * 1024)

struct run {
	bool response, head_request, eof;
	const struct http1_limits *limits;
};

static void put_head(struct buf *out, const struct http1 *p)
{
	struct span name, value;

	if (p->msg.status != 0)
		buf_printf(out, "<%u", p->msg.status);
	else
		buf_printf(out, "<%.*s %.*s", (int)p->msg.method.len,
		           (const char *)p->msg.method.ptr, (int)p->msg.target.len,
		           (const char *)p->msg.target.ptr);
	for (size_t i = 0; i < http1_header_count(p); i++) {
		http1_header_at(p, i, &name, &value);
		buf_printf(out, "|%.*s=%.*s", (int)name.len, (const char *)name.ptr, (int)value.len,
		           (const char *)value.ptr);
	}
	buf_printf(out, "%s%s>", p->msg.keep_alive ? "+" : "-", p->msg.expect_continue ? "?" : "");
}

/* Returns false when the parser reported an error. in_body tells whether a "[" is open. */
static bool drain(struct http1 *p, struct span in, struct buf *out, bool *in_body)
{
	struct span body;

	for (;;) {
		switch (http1_next(p, &in, &body)) {
		case HTTP1_MORE:
			assert_int_equal(in.len, 0);
			return true;
		case HTTP1_HEAD:
			put_head(out, p);
			break;
		case HTTP1_BODY:
			assert_true(body.len > 0);
			if (!*in_body)
				buf_put_str(out, "[");
			*in_body = true;
			buf_put_span(out, body);
			break;
		case HTTP1_END:
			buf_put_str(out, *in_body ? "]." : ".");
			*in_body = false;
			http1_release(p);
			assert_null(p->head.data);
			assert_null(p->fields.data);
			break;
		case HTTP1_ERROR:
			buf_printf(out, "!%u", p->error_status);
			assert_non_null(p->error_text);
			return false;
		}
	}
}

static void parse_pieces(const struct run *r, struct span input, size_t piece, struct buf *out)
{
	struct http1 p;
	bool in_body = false, good = true;

	if (r->response)
		http1_init_response(&p, r->limits);
	else
		http1_init_request(&p, r->limits);
	if (r->head_request)
		http1_expect_head(&p);
	while (good && input.len > 0) {
		size_t n = MIN(piece, input.len);
		/* An exact heap copy, so that the sanitizer sees a read beyond the piece. */
		uint8_t *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, input.ptr, n);
		good = drain(&p, span_of(copy, n), out, &in_body);
		free(copy);
		input = scan_skip(input, n);
	}
	if (good && r->eof) {
		enum http1_event e = http1_eof(&p);

		buf_put_str(out, e == HTTP1_END    ? (in_body ? "]$" : "$")
		                 : e == HTTP1_MORE ? "~"
		                                   : "!eof");
	}
	http1_free(&p);
}

static void expect(const struct run *r, struct span input, const char *want)
{
	static const size_t pieces[] = {SIZE_MAX, 1, 2, 3, 7, 61};
	struct buf out;

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		buf_init(&out, TRANSCRIPT_MAX);
		parse_pieces(r, input, pieces[i], &out);
		if (want != NULL && strcmp(buf_cstr(&out), want) != 0)
			fail_msg("pieces of %zu of %.*s: %s, not %s", pieces[i],
			         (int)MIN(input.len, 200), (const char *)input.ptr, buf_cstr(&out),
			         want);
		buf_free(&out);
	}
}

static void request(const char *input, const char *want)
{
	expect(&(struct run){0}, span_str(input), want);
}

static void response(const char *input, const char *want)
{
	expect(&(struct run){.response = true, .eof = true}, span_str(input), want);
}

#define H "Host: x\r\n"

static void test_requests(void **state)
{
	(void)state;
	request("GET / HTTP/1.1\r\n" H "\r\n", "<GET /|Host=x+>.");
	request("POST /a?b=c HTTP/1.1\r\nhost:x\r\nContent-Length: 3\r\n\r\nabc",
	        "<POST /a?b=c|host=x|Content-Length=3+>[abc].");
	request("GET / HTTP/1.1\r\n" H "X: \t a b \t \r\nE:\r\n\r\n", "<GET /|Host=x|X=a b|E=+>.");
	request("GET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H
	        "Connection: close\r\n\r\nGET /3",
	        "<GET /1|Host=x+>.<GET /2|Host=x|Connection=close->.");
	request("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "<GET /|Host=x+>.");
	request("OPTIONS * HTTP/1.1\r\n" H "\r\n", "<OPTIONS *|Host=x+>.");
	request("PUT / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
	        "<PUT /|Host=x|Content-Length=0+>.");
	request("PUT / HTTP/1.1\r\n" H "Content-Length: 2\r\ncontent-length: 2\r\n\r\nab",
	        "<PUT /|Host=x|Content-Length=2|content-length=2+>[ab].");
}

static void test_persistence(void **state)
{
	(void)state;
	request("GET / HTTP/1.0\r\n\r\n", "<GET /->.");
	request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
	        "<GET /|Connection=Keep-Alive+>.");
	request("GET / HTTP/1.1\r\n" H "Connection: a, CLOSE ,b\r\n\r\n",
	        "<GET /|Host=x|Connection=a, CLOSE ,b->.");
	request("GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: close\r\n\r\n",
	        "<GET /|Host=x|Connection=keep-alive|Connection=close->.");
	request("GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n",
	        "<GET /|Host=x|Connection=closed+>.");
}

static void test_expectation(void **state)
{
	(void)state;
	request("PUT / HTTP/1.1\r\n" H "Expect: 100-Continue\r\n\r\n",
	        "<PUT /|Host=x|Expect=100-Continue+?>.");
	request("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "<PUT /|Expect=100-continue->.");
	request("PUT / HTTP/1.1\r\n" H "Expect: tea\r\n\r\n", "!417");
}

#define CHUNKED      "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_HEAD "<POST /|Host=x|Transfer-Encoding=chunked+>"

static void test_chunked(void **state)
{
	(void)state;
	request(CHUNKED "3\r\nabc\r\n0010\r\n0123456789abcdef\r\n0\r\n\r\n",
	        CHUNKED_HEAD "[abc0123456789abcdef].");
	request(CHUNKED
	        "3;a=b;c=\"d\"\r\nabc\r\n1 ; e\r\nd\r\n1 \r\ne\r\n00\r\nX-Sum: 1\r\nY: 2\r\n\r\n"
	        "GET / HTTP/1.1\r\n" H "\r\n",
	        CHUNKED_HEAD "[abcde].<GET /|Host=x+>.");
	request(CHUNKED "0\r\n\r\n", CHUNKED_HEAD ".");
	request(CHUNKED "\r\n", CHUNKED_HEAD "!400");
	request(CHUNKED "g\r\n", CHUNKED_HEAD "!400");
	request(CHUNKED "-1\r\n", CHUNKED_HEAD "!400");
	request(CHUNKED "0x3\r\nabc\r\n", CHUNKED_HEAD "!400");
	request(CHUNKED "3 4\r\nabc\r\n", CHUNKED_HEAD "!400");
	request(CHUNKED "3\nabc\r\n", CHUNKED_HEAD "!400");
	request(CHUNKED "3\rabc\r\n", CHUNKED_HEAD "!400");
	request(CHUNKED "3\r\nabcd\r\n", CHUNKED_HEAD "[abc!400");
	request(CHUNKED "3\r\nabc\r0", CHUNKED_HEAD "[abc!400");
	request(CHUNKED "3;a\nb\r\nabc\r\n", CHUNKED_HEAD "!400");
	request(CHUNKED "0\r\nX: 1\n\r\n", CHUNKED_HEAD "!400");
	request(CHUNKED "0\r\nX: 1\rY", CHUNKED_HEAD "!400");
	request(CHUNKED "FFFFFFFFFFFFFFFF\r\n", CHUNKED_HEAD "!413");
	request(CHUNKED "1FFFFFFFFFFFFFFFF\r\n", CHUNKED_HEAD "!400");
	request(CHUNKED "00000000000000001\r\n", CHUNKED_HEAD "!400");
}

/* Requests on whose end two parties could disagree. */
static void test_smuggling(void **state)
{
	static const char *const bad[] = {
		"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
		"Content-Length: 3\r\nContent-Length: 4\r\n",
		"Content-Length: 3, 3\r\n",
		"Content-Length: +3\r\n",
		"Content-Length: -3\r\n",
		"Content-Length: 0x3\r\n",
		"Content-Length: 3 3\r\n",
		"Content-Length:\r\n",
		"Content-Length: 18446744073709551616\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Content-Length : 3\r\n",
		"Content-Length\t: 3\r\n",
		" Content-Length: 3\r\n",
		"X: a\r\n b\r\n",
		"X: a\r\n\tContent-Length: 3\r\n",
		"X: a\nContent-Length: 3\r\n",
		"X: a\rContent-Length: 3\r\n",
		"X: a\x01\r\n",
		"X: a\x7f\r\n",
		": a\r\n",
		"NoColon\r\n",
		"X\x80: a\r\n",
		"X(: a\r\n",
		"Host: y\r\n",
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n" H "%s\r\nabc", bad[i]);
		request(text, "!400");
	}
	request("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", "!501");
	request("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", "!501");
	request("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", "!501");
	request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "!400");
	expect(&(struct run){0}, span_of("GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", 35),
	       "!400");
}

static void test_start_lines(void **state)
{
	static const struct {
		const char *line, *want;
	} bad[] = {
		{"GET / HTTP/2.0\r\n", "!505"},
		{"GET / HTTP/0.9\r\n", "!505"},
		{"GET / HTTP/1.10\r\n", "!400"},
		{"GET / http/1.1\r\n", "!400"},
		{"GET /\r\n", "!400"},
		{"GET  / HTTP/1.1\r\n", "!400"},
		{"GET / HTTP/1.1 \r\n", "!400"},
		{"GET /a b HTTP/1.1\r\n", "!400"},
		{"GET /\x01 HTTP/1.1\r\n", "!400"},
		{"GET /\xc3\xa4 HTTP/1.1\r\n", "!400"},
		{"GET\t/ HTTP/1.1\r\n", "!400"},
		{"G(T / HTTP/1.1\r\n", "!400"},
		{" GET / HTTP/1.1\r\n", "!400"},
		{"GET / HTTP/1.1\n", "!400"},
		{"\n", "!400"},
		{"\r\n\r\n\r\n", "!400"},
		{"GET / HTTP/1.1\r\n\r\n", "!400"}, /* no Host */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		request(bad[i].line, bad[i].want);
	request("GET / HTTP/1.9\r\n" H "\r\n", "<GET /|Host=x+>.");
}

static void test_limits(void **state)
{
	const struct http1_limits limits = {
		.head_max = 64, .start_line_max = 32, .headers_max = 3, .body_max = 5};
	const struct run run = {.limits = &limits};

	(void)state;
	/* 32 octets of start line fit, 33 do not. */
	expect(&run, span_str("GET /34567890123456789 HTTP/1.1\r\n"), "!414");
	expect(&run, span_str("GET /3456789012345678 HTTP/1.1\r\n" H "\r\n"),
	       "<GET /3456789012345678|Host=x+>.");
	expect(&run, span_str("GET / HTTP/1.1\r\n" H "a:1\r\nb:2\r\n\r\n"),
	       "<GET /|Host=x|a=1|b=2+>.");
	expect(&run, span_str("GET / HTTP/1.1\r\n" H "a:1\r\nb:2\r\nc:3\r\n\r\n"), "!431");
	/* 16 + 9 + 37 + 2 octets are 64. */
	expect(&run, span_str("GET / HTTP/1.1\r\n" H "a: 90123456789012345678901234567890\r\n\r\n"),
	       "<GET /|Host=x|a=90123456789012345678901234567890+>.");
	expect(&run,
	       span_str("GET / HTTP/1.1\r\n" H "a: 901234567890123456789012345678901\r\n\r\n"),
	       "!431");
	expect(&run, span_str("GET / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nabcde"),
	       "<GET /|Host=x|Content-Length=5+>[abcde].");
	expect(&run, span_str("GET / HTTP/1.1\r\n" H "Content-Length: 6\r\n\r\nabcdef"),
	       "<GET /|Host=x|Content-Length=6+>!413");
	expect(&run,
	       span_str("GET / HTTP/1.1\r\n" H
	                "Transfer-Encoding:chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
	       "<GET /|Host=x|Transfer-Encoding=chunked+>[abcde].");
	expect(&run,
	       span_str("GET / HTTP/1.1\r\n" H
	                "Transfer-Encoding:chunked\r\n\r\n3\r\nabc\r\n3\r\nde"),
	       "<GET /|Host=x|Transfer-Encoding=chunked+>[abc!413");
}

/* n octets 'a' after a prefix and before a suffix; what came out must begin or end as said. */
static void around(const struct run *r, const char *prefix, size_t n, const char *suffix,
                   const char *want_end)
{
	struct buf in, out;

	buf_init(&in, TRANSCRIPT_MAX);
	buf_init(&out, TRANSCRIPT_MAX);
	buf_put_str(&in, prefix);
	for (size_t i = 0; i < n; i++)
		buf_put_u8(&in, 'a');
	buf_put_str(&in, suffix);
	expect(r, buf_span(&in), NULL);
	parse_pieces(r, buf_span(&in), SIZE_MAX, &out);
	assert_true(out.len >= strlen(want_end));
	assert_string_equal(buf_cstr(&out) + out.len - strlen(want_end), want_end);
	buf_free(&in);
	buf_free(&out);
}

static void test_default_limits(void **state)
{
	const struct run req = {0}, resp = {.response = true, .eof = true};

	(void)state;
	around(&req, "GET /", HTTP1_START_LINE_MAX - 16, " HTTP/1.1\r\n" H "\r\n", "|Host=x+>.");
	around(&req, "GET /", HTTP1_START_LINE_MAX - 15, " HTTP/1.1\r\n" H "\r\n", "!414");
	around(&req, "GET / HTTP/1.1\r\n" H "x:", HTTP1_HEAD_MAX - 31, "\r\n\r\n", "+>.");
	around(&req, "GET / HTTP/1.1\r\n" H "x:", HTTP1_HEAD_MAX - 30, "\r\n\r\n", "!431");
	around(&req, CHUNKED "1;", HTTP1_CHUNK_EXT_MAX - 1, "\r\nz\r\n0\r\n\r\n", "[z].");
	around(&req, CHUNKED "1;", HTTP1_CHUNK_EXT_MAX, "\r\nz\r\n0\r\n\r\n", "!400");
	around(&req, CHUNKED "0\r\nx:", HTTP1_TRAILER_MAX - 6, "\r\n\r\n", CHUNKED_HEAD ".");
	around(&req, CHUNKED "0\r\nx:", HTTP1_TRAILER_MAX - 5, "\r\n\r\n", "!431");
	around(&resp, "HTTP/1.1 200 OK\r\n\r\n", HTTP1_BODY_MAX - 1, "z", "z]$");
	around(&resp, "HTTP/1.1 200 OK\r\n\r\n", HTTP1_BODY_MAX, "z", "!502");
}

static void test_header_count_limit(void **state)
{
	struct buf in, out;

	(void)state;
	for (unsigned n = HTTP1_HEADERS_MAX; n <= HTTP1_HEADERS_MAX + 1; n++) {
		buf_init(&in, HTTP1_HEAD_MAX);
		buf_init(&out, TRANSCRIPT_MAX);
		buf_put_str(&in, "GET / HTTP/1.1\r\n" H);
		for (unsigned i = 1; i < n; i++)
			buf_printf(&in, "h%u: %u\r\n", i, i);
		buf_put_str(&in, "\r\n");
		parse_pieces(&(struct run){0}, buf_span(&in), 5, &out);
		if (n == HTTP1_HEADERS_MAX)
			assert_non_null(strstr(buf_cstr(&out), "|h63=63+>."));
		else
			assert_string_equal(buf_cstr(&out), "!431");
		buf_free(&in);
		buf_free(&out);
	}
}

static void test_responses(void **state)
{
	(void)state;
	response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "<200|Content-Length=2+>[hi].~");
	response("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "<200|Content-Length=0+>.~");
	response("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "<200|Content-Length=0+>.~");
	response("HTTP/1.1 200 OK\r\n\r\nuntil the end", "<200->[until the end]$");
	response("HTTP/1.1 200 OK\r\n\r\n", "<200->$");
	response("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
	         "<200|Connection=keep-alive|Content-Length=1+>[x].~");
	response("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n",
	         "<204+>.<304|Content-Length=9+>.~");
	response("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: y\r\n\r\n"
	         "HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
	         "<201|Content-Length=1+>[x].~");
	response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
	         "<200|Content-Length=3+>[hi!eof");
	response("HTTP/1.1 100 Continue\r\n\r\n", "!eof");
	response("HTTP/1.1 20", "!eof");
	response("", "~");
	response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
	         "upgrade\r\n\r\n",
	         "<101|Upgrade=websocket|Connection=upgrade+>.~");
	/* RFC 9112 6.3: the coding wins over the length, and the connection ends with it. */
	response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: "
	         "chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nrest",
	         "<200|Content-Length=3|Transfer-Encoding=chunked->[x].~");
}

static void test_response_errors(void **state)
{
	(void)state;
	response("HTTP/1.1 99 x\r\n\r\n", "!502");
	response("HTTP/1.1 099 x\r\n\r\n", "!502");
	response("HTTP/1.1 2000 x\r\n\r\n", "!502");
	response("HTTP/2.0 200 OK\r\n\r\n", "!502");
	response("ICY 200 OK\r\n\r\n", "!502");
	response("\r\nHTTP/1.1 200 OK\r\n\r\n", "!502");
	response("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "!502");
	response("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "!502");
	response("HTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 "
	         "a\r\n\r\n"
	         "HTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 "
	         "a\r\n\r\n"
	         "HTTP/1.1 100 a\r\n\r\n",
	         "!502");
}

static void test_head_response_has_no_body(void **state)
{
	(void)state;
	expect(&(struct run){.response = true, .head_request = true},
	       span_str("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
	       "<200|Content-Length=10+>.<200|Content-Length=1+>[x].");
	expect(&(struct run){.response = true, .head_request = true},
	       span_str("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
	       "<200|Transfer-Encoding=chunked+>.");
}

/* amt.md A.2: four upper-case digits, chunks of at most 762 octets, cut anywhere. */
static void test_firmware_shape(void **state)
{
	struct buf in, body, out;
	struct span rest;

	(void)state;
	buf_init(&in, TRANSCRIPT_MAX);
	buf_init(&body, TRANSCRIPT_MAX);
	buf_init(&out, TRANSCRIPT_MAX);
	for (unsigned i = 0; i < 2100; i++)
		buf_put_u8(&body, (uint8_t)('a' + i % 26));
	http1_write_response(&in, 200);
	http1_write_field_str(&in, "Server", "Intel(R) Active Management Technology 15.0.23.1706");
	http1_write_field_str(&in, "Transfer-Encoding", "chunked");
	http1_write_head_end(&in);
	for (rest = buf_span(&body); rest.len > 0; rest = scan_skip(rest, MIN(rest.len, 762U)))
		http1_write_chunk(&in, span_of(rest.ptr, MIN(rest.len, 762U)));
	http1_write_chunk_end(&in);
	assert_non_null(strstr(buf_cstr(&in), "\r\n\r\n02FA\r\nabc"));
	assert_non_null(strstr(buf_cstr(&in), "\r\n0240\r\n"));
	parse_pieces(&(struct run){.response = true, .eof = true}, buf_span(&in), 1, &out);
	assert_non_null(strstr(buf_cstr(&out), "1706|Transfer-Encoding=chunked+>[abcdef"));
	assert_non_null(strstr(buf_cstr(&out), buf_cstr(&body)));
	assert_string_equal(buf_cstr(&out) + out.len - 3, "].~");
	expect(&(struct run){.response = true, .eof = true}, buf_span(&in), buf_cstr(&out));
	buf_free(&in);
	buf_free(&body);
	buf_free(&out);
}

static void test_body_limit_can_change_at_the_head(void **state)
{
	const struct http1_limits limits = {
		.head_max = 1000, .start_line_max = 100, .headers_max = 5, .body_max = 2};
	struct span in = span_str("PUT / HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nabcd"), body;
	struct http1 p;

	(void)state;
	http1_init_request(&p, &limits);
	assert_true(http1_idle(&p));
	assert_int_equal(http1_next(&p, &in, &body), HTTP1_HEAD);
	assert_false(http1_idle(&p));
	assert_true(p.msg.has_length && p.msg.length == 4);
	p.limits.body_max = 4;
	http1_release(&p);
	assert_int_equal(http1_next(&p, &in, &body), HTTP1_BODY);
	assert_memory_equal(body.ptr, "abcd", 4);
	assert_int_equal(http1_next(&p, &in, &body), HTTP1_END);
	assert_true(http1_idle(&p));
	http1_free(&p);
}

static void test_upgrade_leaves_the_rest(void **state)
{
	struct span in =
		span_str("HTTP/1.1 101 x\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\n\x81\x00");
	struct span body;
	struct http1 p;

	(void)state;
	http1_init_response(&p, NULL);
	assert_int_equal(http1_next(&p, &in, &body), HTTP1_HEAD);
	assert_true(p.msg.upgrade);
	assert_true(scan_equal(http1_header(&p, "UPGRADE"), "a"));
	assert_null(http1_header(&p, "upgrad").ptr);
	assert_int_equal(http1_next(&p, &in, &body), HTTP1_END);
	assert_int_equal(in.len, 1);
	http1_free(&p);
}

static void test_release_while_a_head_arrives(void **state)
{
	struct span in = span_str("GET / HTTP/1.1\r\nHo"), rest = span_str("st: x\r\n\r\n"), body;
	struct http1 p;

	(void)state;
	http1_init_request(&p, NULL);
	assert_int_equal(http1_next(&p, &in, &body), HTTP1_MORE);
	http1_release(&p);
	assert_int_equal(http1_next(&p, &rest, &body), HTTP1_HEAD);
	assert_true(scan_equal(p.msg.method, "GET"));
	http1_free(&p);
}

static void target_parts(const char *target, const char *path, const char *query)
{
	struct span q = http1_query(span_str(target));

	if (!scan_equal(http1_path(span_str(target)), path))
		fail_msg("path of %s", target);
	if (query == NULL)
		assert_null(q.ptr);
	else
		assert_true(scan_equal(q, query));
}

static void test_targets(void **state)
{
	(void)state;
	target_parts("/a/b", "/a/b", NULL);
	target_parts("/a?", "/a", "");
	target_parts("/a?b?c", "/a", "b?c");
	target_parts("http://host:1/x?y", "/x", "y");
	target_parts("http://host", "/", NULL);
	target_parts("http://host?q", "/", "q");
	target_parts("/x?u=http://y/z", "/x", "u=http://y/z");
	target_parts("*", "*", NULL);
	target_parts("host:443", "host:443", NULL);
}

static void refused(const char *name, const char *value)
{
	struct buf b;

	buf_init(&b, 1000);
	http1_write_field_str(&b, name, value);
	assert_int_equal(b.err, -ERR_INVALID);
	assert_int_equal(b.len, 0);
	http1_write_field_str(&b, "good", "value");
	http1_write_head_end(&b);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void test_writer(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	http1_write_request(&b, "POST", "/wsman");
	http1_write_field_str(&b, "Host", "10.0.0.1:16992");
	http1_write_field_uint(&b, "Content-Length", 18446744073709551615ULL);
	http1_write_field(&b, "Empty", span_of(NULL, 0));
	http1_write_head_end(&b);
	http1_write_chunk(&b, span_str("x"));
	http1_write_chunk(&b, span_str(""));
	http1_write_chunk_end(&b);
	assert_string_equal(
		buf_cstr(&b),
		"POST /wsman HTTP/1.1\r\nHost: 10.0.0.1:16992\r\n"
		"Content-Length: 18446744073709551615\r\nEmpty: \r\n\r\n0001\r\nx\r\n0\r\n\r\n");
	buf_clear(&b);
	http1_write_response(&b, 404);
	http1_write_response(&b, 299);
	assert_string_equal(buf_cstr(&b), "HTTP/1.1 404 Not Found\r\nHTTP/1.1 299 \r\n");
	http1_write_response(&b, 99);
	assert_int_equal(b.err, -ERR_INVALID);
	buf_free(&b);
}

static void test_writer_refuses_injection(void **state)
{
	struct buf b;

	(void)state;
	refused("X", "a\r\nY: b");
	refused("X", "a\nY: b");
	refused("X", "a\rb");
	refused("X", "a\x01");
	refused("X\r\n", "a");
	refused("X:", "a");
	refused("", "a");
	buf_init(&b, 1000);
	http1_write_field(&b, "X", span_of("a\0b", 3));
	assert_int_equal(b.err, -ERR_INVALID);
	buf_clear(&b);
	http1_write_request(&b, "GET", "/ HTTP/1.1\r\nX: y");
	assert_int_equal(b.err, -ERR_INVALID);
	buf_clear(&b);
	http1_write_request(&b, "GET ", "/");
	assert_int_equal(b.err, -ERR_INVALID);
	buf_clear(&b);
	http1_write_request(&b, "GET", "");
	assert_int_equal(b.err, -ERR_INVALID);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_persistence),
		cmocka_unit_test(test_expectation),
		cmocka_unit_test(test_chunked),
		cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_start_lines),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_default_limits),
		cmocka_unit_test(test_header_count_limit),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_response_errors),
		cmocka_unit_test(test_head_response_has_no_body),
		cmocka_unit_test(test_firmware_shape),
		cmocka_unit_test(test_body_limit_can_change_at_the_head),
		cmocka_unit_test(test_upgrade_leaves_the_rest),
		cmocka_unit_test(test_release_while_a_head_arrives),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_writer_refuses_injection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
