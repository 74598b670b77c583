/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PROXY headers: the answer for a prefix must be "more" or the same refusal, and the length must
 * lie in the input.
 */
#include "core/err.h"
#include "wire/proxy2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy2 out, part;
	ssize_t r = proxy2_parse(span_of(data, size), &out);

	ASSERT(r == -ERR_MORE || r == -ERR_PROTOCOL || r == -ERR_TOO_BIG ||
	       (r >= PROXY2_FIXED && r <= PROXY2_MAX && (size_t)r <= size));
	for (size_t n = 0; n < size && n < PROXY2_MAX; n++) {
		ssize_t q = proxy2_parse(span_of(data, n), &part);

		ASSERT(q == -ERR_MORE || q == r);
	}
	return 0;
}
