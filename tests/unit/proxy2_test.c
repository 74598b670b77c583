/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "core/text.h"
#include "tests/unit/support/test.h"
#include "wire/proxy2.h"

#include <stdlib.h>
#include <string.h>

#define SIG "0d0a0d0a000d0a515549540a"

/* Decodes hex and appends zeros up to total octets (for TLVs and Unix paths). */
static size_t bytes_of(const char *hex, size_t total, uint8_t *out, size_t size)
{
	ssize_t n = hex_decode(out, size, span_str(hex));

	assert_true(n >= 0);
	if (total > (size_t)n) {
		assert_true(total <= size);
		memset(out + n, 0, total - (size_t)n);
		return total;
	}
	return (size_t)n;
}

/*
 * Every shorter prefix asks for more; the whole, and the whole with bytes after it, give the
 * result.
 */
static struct proxy2 accepted(const char *hex, size_t total)
{
	uint8_t in[PROXY2_MAX + 8];
	size_t n = bytes_of(hex, total, in, sizeof(in));
	struct proxy2 out;

	memset(in + n, 0x16, MIN(sizeof(in) - n, 8U));
	for (size_t i = 0; i < n; i++) {
		uint8_t *copy = malloc(i + 1);

		assert_non_null(copy);
		memcpy(copy, in, i);
		assert_int_equal(proxy2_parse(span_of(copy, i), &out), -ERR_MORE);
		assert_int_equal(out.family, PROXY2_NONE);
		free(copy);
	}
	assert_int_equal(proxy2_parse(span_of(in, n), &out), n);
	assert_int_equal(proxy2_parse(span_of(in, sizeof(in)), &out), n);
	return out;
}

static void refused(const char *hex, int err)
{
	uint8_t in[64];
	size_t n = bytes_of(hex, 0, in, sizeof(in));
	struct proxy2 out;

	/* The last octet of hex is the wrong one: before it everything is well. */
	assert_int_equal(proxy2_parse(span_of(in, n - 1), &out), -ERR_MORE);
	assert_int_equal(proxy2_parse(span_of(in, n), &out), err);
}

static void test_v4(void **state)
{
	struct proxy2 p = accepted(SIG "2111000c"
	                               "c0000201"
	                               "c6336402"
	                               "d431"
	                               "1151",
	                           0);

	(void)state;
	assert_int_equal(p.family, PROXY2_V4);
	assert_memory_equal(p.source, "\xc0\x00\x02\x01", 4);
	assert_memory_equal(p.target, "\xc6\x33\x64\x02", 4);
	assert_int_equal(p.source_port, 54321);
	assert_int_equal(p.target_port, 4433);
}

static void test_v6_with_tlvs(void **state)
{
	struct proxy2 p = accepted(SIG "21210030"
	                               "20010db8000000000000000000000001"
	                               "20010db8000000000000000000000002"
	                               "0001"
	                               "ffff"
	                               "0400090000000000000000"
	                               "04",
	                           0);

	(void)state;
	assert_int_equal(p.family, PROXY2_V6);
	assert_int_equal(p.source[15], 1);
	assert_int_equal(p.target[15], 2);
	assert_int_equal(p.source_port, 1);
	assert_int_equal(p.target_port, 65535);
}

static void test_without_address(void **state)
{
	(void)state;
	assert_int_equal(accepted(SIG "20000000", 0).family, PROXY2_NONE);
	/* LOCAL with a family and an address: both are ignored. */
	assert_int_equal(accepted(SIG "2011000cc0000201c6336402d4311151", 0).family, PROXY2_NONE);
	assert_int_equal(accepted(SIG "20ff0000", 0).family, PROXY2_NONE);
	assert_int_equal(accepted(SIG "21000000", 0).family, PROXY2_NONE);
	assert_int_equal(accepted(SIG "21000003040000", 0).family, PROXY2_NONE);
	assert_int_equal(accepted(SIG "213100d8", 16 + 216).family, PROXY2_NONE);
}

static void test_longest(void **state)
{
	(void)state;
	/* 536 - 16 = 0x208 */
	assert_int_equal(accepted(SIG "21110208", PROXY2_MAX).family, PROXY2_V4);
	refused(SIG "21110209", -ERR_TOO_BIG);
	refused(SIG "2111ffff", -ERR_TOO_BIG);
	refused(SIG "20000209", -ERR_TOO_BIG);
}

static void test_refused(void **state)
{
	(void)state;
	refused("16", -ERR_PROTOCOL); /* a TLS hello */
	refused("0d0a0d0b", -ERR_PROTOCOL);
	refused("0d0a0d0a000d0a515549540b", -ERR_PROTOCOL);
	refused(SIG "11", -ERR_PROTOCOL);   /* version 1 */
	refused(SIG "22", -ERR_PROTOCOL);   /* an unknown command */
	refused(SIG "2112", -ERR_PROTOCOL); /* UDP */
	refused(SIG "2122", -ERR_PROTOCOL);
	refused(SIG "2110", -ERR_PROTOCOL);
	refused(SIG "2141", -ERR_PROTOCOL);
	refused(SIG "2111000b", -ERR_PROTOCOL); /* too short for its family */
	refused(SIG "21210023", -ERR_PROTOCOL);
	refused(SIG "213100d7", -ERR_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v4),
		cmocka_unit_test(test_v6_with_tlvs),
		cmocka_unit_test(test_without_address),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
