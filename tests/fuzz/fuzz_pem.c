/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fuzz_pem.c: any text as PEM: what decodes, encodes to something that decodes to the same. */
#include "core/err.h"
#include "core/x509.h"

#include <string.h>

#define OUT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct span text, const char *label, size_t nth)
{
	struct buf der, again, back;
	int r;

	buf_init(&der, OUT_MAX);
	buf_init(&again, 2 * OUT_MAX);
	buf_init(&back, OUT_MAX);
	r = pem_decode(text, label, nth, &der);
	ASSERT(r == 0 || der.len == 0);
	if (r == 0) {
		ASSERT(der.len > 0 && der.len <= OUT_MAX);
		pem_encode("X", buf_span(&der), &again);
		ASSERT(again.err == 0 && pem_decode(buf_span(&again), "X", 0, &back) == 0);
		ASSERT(back.len == der.len && memcmp(back.data, der.data, der.len) == 0);
	}
	buf_free(&der);
	buf_free(&again);
	buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(span_of(data, size), "CERTIFICATE", 0);
	check(span_of(data, size), "CERTIFICATE", 1);
	check(span_of(data, size), NULL, 0);
	return 0;
}
