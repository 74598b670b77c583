/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fuzz_apf_codec.c: unpacks arbitrary octets as one APF message. Whatever unpacks must pack to the same length and unpack to the
 * same again, must not unpack from fewer octets, and the need that is told for fewer must never be too much.
 */
#include "core/err.h"
#include "wire/apf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* From memory of exactly this size. */
static ssize_t unpack_exact(struct span in, const struct apf_unpack_opts *opts, size_t *need)
{
	uint8_t *copy = malloc(in.len + 1);
	struct apf_msg m;
	ssize_t n;

	ASSERT(copy != NULL);
	memcpy(copy + 1, in.ptr, in.len);
	n = apf_unpack(span_of(copy + 1, in.len), opts, &m, need);
	free(copy);
	return n;
}

static void check_prefix(struct span in, size_t len, const struct apf_unpack_opts *opts)
{
	size_t need = 0;

	ASSERT(unpack_exact(span_of(in.ptr, len), opts, &need) == -ERR_MORE);
	ASSERT(need > len && need <= in.len);
}

static void check_round(const struct apf_msg *m, size_t len, const struct apf_unpack_opts *opts)
{
	uint8_t once[APF_MESSAGE_MAX];
	uint8_t twice[APF_MESSAGE_MAX];
	struct apf_msg again;
	size_t need = 0;

	ASSERT(apf_pack(once, sizeof(once), m) == (ssize_t)len);
	ASSERT(apf_pack(twice, len - 1, m) == -ERR_TOO_BIG);
	ASSERT(apf_unpack(span_of(once, len), opts, &again, &need) == (ssize_t)len);
	ASSERT(apf_pack(twice, sizeof(twice), &again) == (ssize_t)len);
	ASSERT(memcmp(once, twice, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct apf_unpack_opts opts = {.caps = &apf_caps_default};
	struct apf_msg m;
	struct span in;
	size_t need = 0;
	ssize_t n;

	if (size == 0)
		return 0;
	opts.caps = (data[0] & 1) != 0 ? &apf_caps_agent : &apf_caps_default;
	opts.success_has_port = (data[0] & 2) != 0;
	in = span_of(data + 1, size - 1);
	(void)apf_looks_like_http(in);
	n = apf_unpack(in, &opts, &m, &need);
	if (n == -ERR_MORE)
		ASSERT(need > in.len);
	if (n <= 0)
		return 0;
	ASSERT((size_t)n <= in.len && n <= (ssize_t)APF_MESSAGE_MAX);
	in.len = (size_t)n;
	for (size_t len = 0; len < in.len; len += 1 + len / 16)
		check_prefix(in, len, &opts);
	check_round(&m, in.len, &opts);
	return 0;
}
