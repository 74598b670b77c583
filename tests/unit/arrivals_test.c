/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "gateway/arrivals.h"
#include "tests/unit/support/test.h"

static uint64_t source(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return addr_source(&a);
}

static void test_each_source_has_its_share(void **state)
{
	struct arrivals f;
	uint64_t a = source("10.0.0.1:1"), b = source("10.0.0.2:1");

	(void)state;
	arrivals_init(&f, 100);
	assert_true(a == source("10.0.0.1:999"));
	assert_true(a != b);
	assert_true(source("[2001:db8:1:2::3]:1") == source("[2001:db8:1:2:ffff::4]:2"));
	assert_true(source("[2001:db8:1:2::3]:1") != source("[2001:db8:1:3::3]:1"));
	assert_true(source("[::ffff:10.0.0.1]:1") == a);
	for (unsigned i = 0; i < 3; i++)
		assert_true(arrivals_take(&f, a, 3));
	assert_false(arrivals_take(&f, a, 3));
	assert_true(arrivals_take(&f, b, 3));
	arrivals_release(&f, a);
	assert_true(arrivals_take(&f, a, 3));
	for (unsigned i = 0; i < 3; i++)
		arrivals_release(&f, a);
	arrivals_release(&f, b);
	assert_int_equal(f.counts.count, 0);
	arrivals_fini(&f);
}

static void test_table_is_bounded(void **state)
{
	struct arrivals f;

	(void)state;
	arrivals_init(&f, 2);
	assert_true(arrivals_take(&f, 1, 9));
	assert_true(arrivals_take(&f, 2, 9));
	assert_false(arrivals_take(&f, 3, 9));
	arrivals_release(&f, 1);
	assert_true(arrivals_take(&f, 3, 9));
	arrivals_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_source_has_its_share),
		cmocka_unit_test(test_table_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
