/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "gateway/trim.h"
#include "tests/unit/support/test.h"

static void test_after_a_storm_and_only_once(void **state)
{
	struct trim t = {.moved = 0};
	unsigned due = 0;

	(void)state;
	for (size_t n = 0; n <= 1000; n += 100)
		assert_false(trim_due(&t, n, 0));
	for (unsigned i = 0; i < TRIM_CALM_S; i++)
		assert_int_equal(trim_due(&t, 1000, 0), i == TRIM_CALM_S - 1);
	for (unsigned i = 0; i < 100; i++)
		assert_false(trim_due(&t, 1000, 0));
	for (unsigned i = 0; i < 2 * TRIM_CALM_S; i++) /* all leave at once */
		due += trim_due(&t, 0, 0);
	assert_int_equal(due, 1);
}

static void test_a_trickle_adds_up(void **state)
{
	struct trim t = {.moved = 0};
	unsigned due = 0;

	(void)state;
	for (size_t n = 0; n < 2 * TRIM_CHANGE_MIN; n++)
		due += trim_due(&t, n, 0);
	assert_int_equal(due, 1);
}

static void test_waits_for_channels_to_close(void **state)
{
	struct trim t = {.moved = 0};

	(void)state;
	assert_false(trim_due(&t, 1000, 0));
	for (size_t channels = 1000; channels > 0; channels -= 100)
		assert_false(trim_due(&t, 1000, channels));
	for (unsigned i = 0; i < TRIM_CALM_S; i++)
		assert_false(trim_due(&t, 1000, 0));
	assert_true(trim_due(&t, 1000, 0));
}

static void test_does_not_wait_for_calls_to_end(void **state)
{
	struct trim t = {.moved = 0};
	unsigned due = 0, last = 0;

	(void)state;
	for (unsigned i = 0; i < 3 * TRIM_PATIENCE_S; i++) {
		if (!trim_due(&t, 1000, i % 2 * 100))
			continue;
		due++;
		last = i;
	}
	assert_int_equal(due, 1);
	assert_int_equal(last, TRIM_PATIENCE_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_after_a_storm_and_only_once),
		cmocka_unit_test(test_a_trickle_adds_up),
		cmocka_unit_test(test_waits_for_channels_to_close),
		cmocka_unit_test(test_does_not_wait_for_calls_to_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
