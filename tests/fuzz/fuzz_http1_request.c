/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests, whole and cut by the first octet: both must give the same bodies and the same end, and
 * every head must be something that the parser promised.
 */
#include "core/buf.h"
#include "wire/http1.h"
#include "wire/scan.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_MAX (1 << 20)

static void check_head(const struct http1 *p)
{
	struct span name, value;

	ASSERT(scan_is_token(p->msg.method) && p->msg.target.len > 0);
	ASSERT(!(p->msg.chunked && p->msg.has_length));
	ASSERT(http1_header_count(p) <= HTTP1_HEADERS_MAX);
	for (size_t i = 0; i < http1_header_count(p); i++) {
		http1_header_at(p, i, &name, &value);
		ASSERT(scan_is_token(name));
		ASSERT(value.len == 0 ||
		       (memchr(value.ptr, '\n', value.len) == NULL && value.ptr[0] != ' '));
	}
	(void)http1_path(p->msg.target);
	(void)http1_query(p->msg.target);
}

static void parse(struct span in, size_t piece, struct buf *out)
{
	struct http1 p;
	struct span rest, body;
	enum http1_event e = HTTP1_MORE;

	http1_init_request(&p, NULL);
	while (in.len > 0 && e != HTTP1_ERROR) {
		rest = span_of(in.ptr, MIN(piece, in.len));
		in = scan_skip(in, rest.len);
		while ((e = http1_next(&p, &rest, &body)) != HTTP1_MORE && e != HTTP1_ERROR) {
			if (e == HTTP1_HEAD)
				check_head(&p);
			if (e == HTTP1_BODY)
				buf_put_span(out, body);
			else
				buf_put_u8(out, (uint8_t)('0' + e));
		}
	}
	buf_printf(out, "%u", p.error_status);
	(void)http1_eof(&p);
	http1_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, cut;

	if (size == 0)
		return 0;
	buf_init(&whole, OUT_MAX);
	buf_init(&cut, OUT_MAX);
	parse(span_of(data + 1, size - 1), SIZE_MAX, &whole);
	parse(span_of(data + 1, size - 1), data[0] % 16U + 1U, &cut);
	ASSERT(whole.len == cut.len &&
	       (whole.len == 0 || memcmp(whole.data, cut.data, whole.len) == 0));
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
