/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "core/text.h"
#include "tests/unit/support/test.h"

#include <string.h>

static void test_guid_is_mixed_endian(void **state)
{
	struct guid g;
	char text[GUID_TEXT_LEN + 1];

	(void)state;
	assert_int_equal(hex_decode(g.b, 16, span_str("00112233445566778899aabbccddeeff")), 16);
	guid_format(&g, text);
	assert_string_equal(text, "33221100-5544-7766-8899-aabbccddeeff");
	struct guid back;
	assert_int_equal(guid_parse(span_str("33221100-5544-7766-8899-AABBCCDDEEFF"), &back), 0);
	assert_true(guid_equal(&g, &back));
	assert_int_equal(guid_parse(span_str("33221100-5544-7766-8899-AABBCCDDEEF"), &back),
	                 -ERR_INVALID);
	assert_int_equal(guid_parse(span_str("3322110005544-7766-8899-AABBCCDDEEFF"), &back),
	                 -ERR_INVALID);
}

static void test_guid_placeholders(void **state)
{
	static const char *const bad[] = {
		"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
		"03000200-0400-0500-0006-000700080009", "78563412-0009-0000-0000-000000000000"};
	struct guid g;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(guid_parse(span_str(bad[i]), &g), 0);
		assert_true(guid_is_placeholder(&g));
	}
	assert_int_equal(guid_parse(span_str("4c4c4544-0039-3410-8052-b4c04f4e5a31"), &g), 0);
	assert_false(guid_is_placeholder(&g));
}

static void test_base64_both_ways(void **state)
{
	static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
	static const char *const coded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
	                                    "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
	static const char *const wrong[] = {"Z", "Zg=", "Zh==", "Zg==Zg==", "Z g=", "===="};
	char text[16];
	uint8_t raw[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		base64_encode(text, span_str(plain[i]), true);
		assert_string_equal(text, coded[i]);
		assert_int_equal(base64_decode(raw, sizeof(raw), span_str(coded[i])),
		                 strlen(plain[i]));
		base64_encode(text, span_str(plain[i]), false);
		assert_int_equal(base64_decode(raw, sizeof(raw), span_str(text)), strlen(plain[i]));
		assert_memory_equal(raw, plain[i], strlen(plain[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(base64_decode(raw, sizeof(raw), span_str(wrong[i])), -ERR_INVALID);
	assert_int_equal(base64_decode(raw, 2, span_str("Zm9v")), -ERR_TOO_BIG);
}

static void test_copies_are_bounded(void **state)
{
	char dst[4];

	(void)state;
	assert_true(str_copy(dst, sizeof(dst), "abc"));
	assert_false(str_copy(dst, sizeof(dst), "abcd"));
	assert_string_equal(dst, "abc");
	assert_false(str_copy_span(dst, sizeof(dst), span_of("a\0b", 3)));
	assert_string_equal(dst, "a");
}

static void test_secret_equal(void **state)
{
	(void)state;
	assert_true(secret_equal(span_str("same"), span_str("same")));
	assert_false(secret_equal(span_str("same"), span_str("sama")));
	assert_false(secret_equal(span_str("same"), span_str("sam")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guid_is_mixed_endian),
		cmocka_unit_test(test_guid_placeholders),
		cmocka_unit_test(test_base64_both_ways),
		cmocka_unit_test(test_copies_are_bounded),
		cmocka_unit_test(test_secret_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
