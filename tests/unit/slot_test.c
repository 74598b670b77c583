/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "core/slot.h"
#include "tests/unit/support/test.h"

static void test_stale_and_foreign_handles_find_nothing(void **state)
{
	struct slot_table t, other;
	uint64_t a, b, foreign;
	int *item;

	(void)state;
	slot_table_init(&t, sizeof(int), 10, 3);
	slot_table_init(&other, sizeof(int), 10, 4);
	assert_null(slot_get(&t, SLOT_NONE));
	item = slot_alloc(&t, &a);
	assert_non_null(item);
	assert_int_equal(*item, 0);
	assert_int_equal(slot_owner(a), 3);
	*item = 42;
	assert_ptr_equal(slot_get(&t, a), item);
	assert_non_null(slot_alloc(&other, &foreign));
	assert_null(slot_get(&t, foreign));
	assert_int_equal(slot_free(&t, a), 0);
	assert_int_equal(slot_free(&t, a), -ERR_NOT_FOUND);
	assert_null(slot_get(&t, a));
	assert_ptr_equal(slot_alloc(&t, &b), item);
	assert_int_equal(*item, 0);
	assert_true(a != b);
	assert_null(slot_get(&t, a));
	assert_null(slot_get(&t, b | 0xffffff));
	assert_null(slot_get(&t, b + 1)); /* there is a place for it, but nobody ever had it */
	slot_table_free(&t);
	slot_table_free(&other);
}

static void test_items_stay_in_place_and_are_bounded(void **state)
{
	enum { N = 3 * SLOT_CHUNK_ITEMS + 1 };
	static uint64_t handles[N];
	static uint32_t *items[N];
	struct slot_table t;
	uint64_t handle;
	uint32_t pos = 0, n = 0, *item;

	(void)state;
	slot_table_init(&t, sizeof(uint32_t), N, 0);
	for (uint32_t i = 0; i < N; i++) {
		items[i] = slot_alloc(&t, &handles[i]);
		assert_non_null(items[i]);
		*items[i] = i;
	}
	assert_null(slot_alloc(&t, &handle));
	assert_true(handle == SLOT_NONE);
	for (uint32_t i = 0; i < N; i++) {
		assert_ptr_equal(slot_get(&t, handles[i]), items[i]);
		assert_int_equal(*items[i], i);
	}
	/* freeing the present item while walking */
	while ((item = slot_next(&t, &pos, &handle)) != NULL) {
		assert_true(handle == handles[*item]);
		if (*item % 2 == 0)
			assert_int_equal(slot_free(&t, handle), 0);
		n++;
	}
	assert_int_equal(n, N);
	assert_int_equal(t.count, N / 2);
	slot_table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stale_and_foreign_handles_find_nothing),
		cmocka_unit_test(test_items_stay_in_place_and_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
