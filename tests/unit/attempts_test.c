/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "gateway/attempts.h"
#include "tests/unit/support/test.h"

#include <stdio.h>
#include <string.h>

static struct attempt attempt_from(const char *source, uint8_t guid, uint64_t time_ms)
{
	struct attempt a = {.time_ms = time_ms, .has_guid = guid != 0, .stage = ATTEMPT_TLS};

	a.guid.b[0] = guid;
	assert_int_equal(addr_parse(source, &a.source), 0);
	return a;
}

static void test_newest_first_by_guid_and_by_source(void **state)
{
	struct attempts *all = attempts_new();
	struct attempt a, out[16];
	struct guid g = {{1}};

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		a = attempt_from(i % 2 == 0 ? "10.0.0.1:5" : "10.0.0.2:6", 1, i);
		attempts_add(all, &a);
	}
	assert_int_equal(attempts_get(all, &g, NULL, out, 16), ATTEMPTS_PER_KEY);
	assert_int_equal(out[0].time_ms, 19);
	assert_int_equal(out[7].time_ms, 12);
	a = attempt_from("10.0.0.1:99", 1, 0); /* the port does not matter */
	assert_int_equal(attempts_get(all, NULL, &a.source, out, 3), 3);
	assert_int_equal(out[0].time_ms, 18);
	assert_int_equal(attempts_get(all, NULL, NULL, out, 16), 16);
	g.b[0] = 9;
	assert_int_equal(attempts_get(all, &g, NULL, out, 16), 0);
	attempts_free(all);
}

static void test_every_number_of_attempts(void **state)
{
	struct attempts *all = attempts_new();
	struct attempt a, out[16];

	(void)state;
	for (unsigned n = 1; n <= 3 * ATTEMPTS_PER_KEY; n++) {
		unsigned want = n < ATTEMPTS_PER_KEY ? n : ATTEMPTS_PER_KEY;

		a = attempt_from("10.0.0.1:5", 1, n);
		attempts_add(all, &a);
		assert_int_equal(attempts_get(all, &a.guid, NULL, out, 16), want);
		for (unsigned i = 0; i < want; i++)
			assert_int_equal(out[i].time_ms, n - i);
	}
	attempts_free(all);
}

static void test_bounded_and_the_oldest_key_makes_room(void **state)
{
	struct attempts *all = attempts_new();
	struct attempt a, out[2];
	char source[40];

	(void)state;
	for (unsigned i = 0; i < ATTEMPTS_KEYS_MAX + 10; i++) {
		(void)snprintf(source, sizeof(source), "10.1.%u.%u:1", i / 250, i % 250);
		a = attempt_from(source, 0, i);
		attempts_add(all, &a);
		a = attempt_from("10.2.0.1:1", 0, i); /* is in use all the time, so it stays */
		attempts_add(all, &a);
	}
	a = attempt_from("10.1.0.0:1", 0, 0);
	assert_int_equal(attempts_get(all, NULL, &a.source, out, 2), 0);
	a = attempt_from("10.2.0.1:1", 0, 0);
	assert_int_equal(attempts_get(all, NULL, &a.source, out, 2), 2);
	attempts_free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newest_first_by_guid_and_by_source),
		cmocka_unit_test(test_every_number_of_attempts),
		cmocka_unit_test(test_bounded_and_the_oldest_key_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
