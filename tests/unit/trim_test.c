/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "gateway/trim.h"
#include "tests/unit/support/test.h"

static void test_after_a_storm_and_only_once(void **state)
{
	struct trim t = {.calm = 0};
	unsigned due = 0;

	(void)state;
	for (size_t n = 0; n <= 1000; n += 100)
		assert_false(trim_due(&t, n));
	for (unsigned i = 0; i < TRIM_CALM_S; i++)
		assert_int_equal(trim_due(&t, 1000), i == TRIM_CALM_S - 1);
	for (unsigned i = 0; i < 100; i++)
		assert_false(trim_due(&t, 1000));
	for (unsigned i = 0; i < 2 * TRIM_CALM_S; i++) /* all leave at once */
		due += trim_due(&t, 0);
	assert_int_equal(due, 1);
}

static void test_a_trickle_adds_up(void **state)
{
	struct trim t = {.calm = 0};
	unsigned due = 0;

	(void)state;
	for (size_t n = 0; n < 2 * TRIM_CHANGE_MIN; n++)
		due += trim_due(&t, n);
	assert_int_equal(due, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_after_a_storm_and_only_once),
		cmocka_unit_test(test_a_trickle_adds_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
