/* SPDX-License-Identifier: GPL-3.0-or-later */
/* der_test.c: lengths in every form, times against the C library, and what is not DER. */
#include "core/der.h"
#include "core/err.h"
#include "tests/unit/support/test.h"

#include <stdlib.h>
#include <string.h>

static void test_lengths_both_ways(void **state)
{
	static const size_t sizes[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 70000};
	uint8_t *body = calloc(1, 70000);

	(void)state;
	assert_non_null(body);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct buf b;
		struct der d;
		struct cur c;

		buf_init(&b, 100000);
		der_put(&b, DER_OCTET_STRING, span_of(body, sizes[i]));
		buf_put_u8(&b, DER_NULL);
		buf_put_u8(&b, 0);
		c = cur_of(buf_span(&b));
		assert_false(der_optional(&c, DER_INTEGER, &d));
		assert_true(der_expect(&c, DER_OCTET_STRING, &d));
		assert_int_equal(d.body.len, sizes[i]);
		assert_int_equal(d.whole.len, b.len - 2);
		assert_true(der_expect(&c, DER_NULL, &d));
		assert_false(der_next(&c, &d));
		assert_int_equal(c.err, 0); /* the end is no error */
		assert_false(der_expect(&c, DER_NULL, &d));
		assert_int_equal(c.err, -ERR_CORRUPT); /* unless something was expected */
		buf_free(&b);
	}
	free(body);
}

static void test_not_der(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{"\x04", 1},                         /* no length */
		{"\x04\x02\x01", 3},                 /* too short */
		{"\x04\x81", 2},                     /* length cut off */
		{"\x04\x80\x00\x00", 4},             /* indefinite */
		{"\x04\x85\x00\x00\x00\x00\x01", 7}, /* too many octets of length */
		{"\x04\x84\xff\xff\xff\xff\x01", 7}, /* huge */
		{"\x1f\x01\x00", 3},                 /* tag of several octets */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cur c = cur_of(span_of(cases[i].bytes, cases[i].len));
		struct der d;

		assert_false(der_next(&c, &d));
		assert_int_equal(c.err, -ERR_CORRUPT);
		assert_false(der_next(&c, &d));
	}
}

static void test_times_both_ways(void **state)
{
	static const int64_t days[] = {0,     58,    59,    789,   10956, 11016,  19722,
	                               19782, 29219, 29220, 47540, 47541, 2932896};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(days); i++) {
		int64_t want = days[i] * 86400 + 86399, got;
		struct buf b;
		struct der d;
		struct cur c;

		buf_init(&b, 100);
		der_put_time(&b, want);
		c = cur_of(buf_span(&b));
		assert_true(der_next(&c, &d));
		assert_int_equal(d.tag, want < 2524608000 ? DER_UTC_TIME
		                                          : DER_GENERALIZED_TIME); /* 2050-01-01 */
		assert_int_equal(der_time(&d, &got), 0);
		assert_int_equal(got, want);
		buf_free(&b);
	}
}

static void test_time_forms(void **state)
{
	static const struct {
		uint8_t tag;
		const char *text;
		int result;
		int64_t time_s;
	} cases[] = {
		{DER_UTC_TIME, "500101000000Z", 0, -631152000}, /* 1950 */
		{DER_UTC_TIME, "491231235959Z", 0, 2524607999}, /* 2049 */
		{DER_GENERALIZED_TIME, "00010101000000Z", 0, -62135596800},
		{DER_GENERALIZED_TIME, "99991231235959Z", 0, 253402300799},
		{DER_UTC_TIME, "5001010000Z", -ERR_CORRUPT, 0},
		{DER_UTC_TIME, "500101000000+0100", -ERR_CORRUPT, 0},
		{DER_UTC_TIME, "501301000000Z", -ERR_CORRUPT, 0},
		{DER_UTC_TIME, "500100000000Z", -ERR_CORRUPT, 0},
		{DER_UTC_TIME, "500101240000Z", -ERR_CORRUPT, 0},
		{DER_UTC_TIME, "50 101000000Z", -ERR_CORRUPT, 0},
		{DER_UTC_TIME, "", -ERR_CORRUPT, 0},
		{DER_OCTET_STRING, "500101000000Z", -ERR_CORRUPT, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct der d = {.tag = cases[i].tag, .body = span_str(cases[i].text)};
		int64_t got = 0;

		assert_int_equal(der_time(&d, &got), cases[i].result);
		assert_int_equal(got, cases[i].time_s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths_both_ways),
		cmocka_unit_test(test_not_der),
		cmocka_unit_test(test_times_both_ways),
		cmocka_unit_test(test_time_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
