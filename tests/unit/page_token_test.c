/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Page tokens come back as they went out, and only to the request that they belong to. */
#include "mgmtapi/page_token.h"
#include "core/err.h"
#include "tests/unit/support/test.h"

#include <string.h>

static const uint8_t key[PAGE_TOKEN_KEY_SIZE] = {1, 2, 3},
		     other_key[PAGE_TOKEN_KEY_SIZE] = {3, 2, 1};

static void test_round_trip(void **state)
{
	uint8_t position[PAGE_POSITION_MAX], out[PAGE_POSITION_MAX];
	char text[PAGE_TOKEN_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(position); i++)
		position[i] = (uint8_t)(i * 37 + 200);
	for (size_t n = 0; n <= PAGE_POSITION_MAX; n++) {
		page_token_write(key, span_str("list"), span_of(position, n), text);
		assert_int_equal(
			strspn(text,
		               "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
			strlen(text));
		assert_int_equal(page_token_read(key, span_str("list"), text, out), n);
		assert_memory_equal(out, position, n);
	}
}

static void test_refuses_what_is_not_its_own(void **state)
{
	uint8_t out[PAGE_POSITION_MAX];
	char text[PAGE_TOKEN_TEXT_MAX], long_text[2 * PAGE_TOKEN_TEXT_MAX];

	(void)state;
	page_token_write(key, span_str("list"), span_str("here"), text);
	assert_int_equal(page_token_read(key, span_str("lists"), text, out), -ERR_INVALID);
	assert_int_equal(page_token_read(other_key, span_str("list"), text, out), -ERR_INVALID);
	assert_int_equal(page_token_read(key, span_str("list"), "", out), -ERR_INVALID);
	assert_int_equal(page_token_read(key, span_str("list"), "AQ", out), -ERR_INVALID);
	memset(long_text, 'A', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(page_token_read(key, span_str("list"), long_text, out), -ERR_INVALID);
	for (size_t i = 0; text[i] != '\0'; i++) {
		char kept = text[i];

		text[i] = kept == 'A' ? 'Q' : 'A';
		/* The last character of the text has bits that are not part of the token. */
		if (text[i + 1] != '\0')
			assert_int_equal(page_token_read(key, span_str("list"), text, out),
			                 -ERR_INVALID);
		text[i] = kept;
	}
	assert_int_equal(page_token_read(key, span_str("list"), text, out), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refuses_what_is_not_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
