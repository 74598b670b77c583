/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/names.h"
#include "tests/unit/support/test.h"

#include <string.h>

static void test_one_copy_while_anybody_holds_it(void **state)
{
	struct names n;
	char text[] = "bench";
	const char *a, *b;

	(void)state;
	names_init(&n, 4);
	a = names_take(&n, text);
	text[0] = 'x';
	assert_string_equal(a, "bench");
	b = names_take(&n, "bench");
	assert_ptr_equal(a, b);
	names_give(&n, a);
	assert_int_equal(n.map.count, 1);
	assert_string_equal(b, "bench");
	names_give(&n, b);
	names_give(&n, NULL);
	assert_int_equal(n.map.count, 0);
	names_free(&n);
}

static void test_limits(void **state)
{
	struct names n;
	char text[MAP_KEY_MAX + 2] = "";
	const char *empty, *longest;

	(void)state;
	names_init(&n, 2);
	memset(text, 'a', MAP_KEY_MAX);
	longest = names_take(&n, text);
	assert_string_equal(longest, text);
	text[MAP_KEY_MAX] = 'a';
	assert_null(names_take(&n, text));
	empty = names_take(&n, "");
	assert_string_equal(empty, "");
	assert_null(names_take(&n, "one too many"));
	names_give(&n, longest);
	names_give(&n, empty);
	names_free(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_copy_while_anybody_holds_it),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
