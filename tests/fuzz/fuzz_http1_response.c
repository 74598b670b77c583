/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responses, whole and cut. Bit 7 of the first octet: they answer a HEAD request; the lower bits:
 * the size of the pieces.
 */
#include "core/buf.h"
#include "wire/http1.h"
#include "wire/scan.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_MAX (1 << 20)

static void parse(struct span in, size_t piece, bool head, struct buf *out)
{
	struct http1 p;
	struct span rest, body;
	enum http1_event e = HTTP1_MORE;

	http1_init_response(&p, NULL);
	if (head)
		http1_expect_head(&p);
	while (in.len > 0 && e != HTTP1_ERROR) {
		rest = span_of(in.ptr, MIN(piece, in.len));
		in = scan_skip(in, rest.len);
		while ((e = http1_next(&p, &rest, &body)) != HTTP1_MORE && e != HTTP1_ERROR) {
			if (e == HTTP1_HEAD) {
				ASSERT(p.msg.status >= 101 && p.msg.status <= 999);
				ASSERT(!p.msg.until_close || !p.msg.keep_alive);
			}
			if (e == HTTP1_BODY)
				buf_put_span(out, body);
			else
				buf_put_u8(out, (uint8_t)('0' + e));
		}
	}
	buf_put_u8(out, (uint8_t)('0' + http1_eof(&p)));
	http1_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, cut;
	bool head;

	if (size == 0)
		return 0;
	head = (data[0] & 0x80) != 0;
	buf_init(&whole, OUT_MAX);
	buf_init(&cut, OUT_MAX);
	parse(span_of(data + 1, size - 1), SIZE_MAX, head, &whole);
	parse(span_of(data + 1, size - 1), data[0] % 16U + 1U, head, &cut);
	ASSERT(whole.len == cut.len && memcmp(whole.data, cut.data, whole.len) == 0);
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
