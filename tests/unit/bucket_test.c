/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/bucket.h"
#include "tests/unit/support/test.h"

static void test_backoff_doubles_to_a_limit(void **state)
{
	static const uint32_t waits[] = {0,     0,     1000,   2000,   4000,   8000,  16000,
	                                 32000, 64000, 128000, 256000, 300000, 300000};
	struct span key = span_str("192.0.2.1");
	struct bucket_table t;
	uint64_t now_ms = 5000;

	(void)state;
	bucket_table_init(&t, 10);
	assert_int_equal(backoff_wait_ms(&t, key, now_ms), 0);
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		assert_int_equal(backoff_fail(&t, key, now_ms), waits[i]);
		assert_int_equal(backoff_wait_ms(&t, key, now_ms), waits[i]);
		assert_int_equal(backoff_wait_ms(&t, span_str("192.0.2.2"), now_ms), 0);
		if (waits[i] > 0)
			assert_int_equal(backoff_wait_ms(&t, key, now_ms + waits[i] - 1), 1);
		now_ms += waits[i];
		assert_int_equal(backoff_wait_ms(&t, key, now_ms), 0);
	}
	assert_int_equal(backoff_fail(&t, key, now_ms + BACKOFF_FORGET_MS), 0);
	backoff_ok(&t, key);
	assert_int_equal(bucket_table_count(&t), 0);
	bucket_table_free(&t);
}

static void test_flood_of_keys_does_not_free_the_waiting(void **state)
{
	struct span victim = span_str("waits");
	struct bucket_table t;

	(void)state;
	bucket_table_init(&t, 4);
	for (int i = 0; i < 3; i++)
		(void)backoff_fail(&t, victim, 0);
	for (uint32_t i = 0; i < 1000; i++)
		(void)backoff_fail(&t, span_of(&i, sizeof(i)), 1);
	assert_int_equal(bucket_table_count(&t), 4);
	assert_int_equal(t.evictions, 997);
	assert_int_equal(backoff_wait_ms(&t, victim, 1), 999);
	bucket_table_free(&t);
}

static void test_bucket_rate_and_burst(void **state)
{
	const struct bucket_rate rate = {.rate_per_s = 2, .burst = 3};
	struct span key = span_str("k");
	struct bucket_table t;

	(void)state;
	bucket_table_init(&t, 4);
	for (int i = 0; i < 3; i++)
		assert_true(bucket_take(&t, key, &rate, 100));
	assert_false(bucket_take(&t, key, &rate, 100));
	assert_false(bucket_take(&t, key, &rate, 599));
	assert_true(bucket_take(&t, key, &rate, 600));
	assert_false(bucket_take(&t, key, &rate, 600));
	assert_false(bucket_take(&t, key, &rate, 50)); /* the clock of another thread may lag */
	for (int i = 0; i < 3; i++)
		assert_true(bucket_take(&t, key, &rate, UINT64_MAX / 2));
	assert_false(bucket_take(&t, key, &rate, UINT64_MAX / 2));
	bucket_table_free(&t);
}

struct hammer {
	struct bucket_table *t;
	const struct bucket_rate *rate;
	uint32_t taken;
};

static void *hammer_main(void *arg)
{
	struct hammer *h = arg;

	for (uint32_t i = 0; i < 1000; i++) {
		h->taken += bucket_take(h->t, span_str("shared"), h->rate, 0) ? 1 : 0;
		(void)bucket_take(h->t, span_of(&i, sizeof(i)), h->rate, 0);
		if (i % 16 == 0)
			h->taken += bucket_take(h->t, span_str("shared"), h->rate, 0) ? 1 : 0;
	}
	return NULL;
}

static void test_threads_share_one_bucket(void **state)
{
	const struct bucket_rate rate = {.rate_per_s = 1, .burst = 500};
	struct hammer h[4];
	pthread_t threads[4];
	struct bucket_table t;
	uint32_t taken = 0;

	(void)state;
	bucket_table_init(&t, 2000);
	for (size_t i = 0; i < 4; i++) {
		h[i] = (struct hammer){&t, &rate, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, hammer_main, &h[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		taken += h[i].taken;
	}
	assert_int_equal(taken, 500);
	bucket_table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backoff_doubles_to_a_limit),
		cmocka_unit_test(test_flood_of_keys_does_not_free_the_waiting),
		cmocka_unit_test(test_bucket_rate_and_burst),
		cmocka_unit_test(test_threads_share_one_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
