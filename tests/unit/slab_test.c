/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/slab.h"
#include "tests/unit/support/test.h"

#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#define HEAP true
#else
#define HEAP false
#endif

enum { N = 1000 };

static void fill(uint8_t **blocks, size_t size)
{
	for (unsigned i = 0; i < N; i++) {
		blocks[i] = slab_alloc(size);
		assert_non_null(blocks[i]);
		assert_int_equal((uintptr_t)blocks[i] % 8, 0);
		memset(blocks[i], (int)(i % 251), size);
	}
}

static void check(uint8_t *const *blocks, size_t size)
{
	for (unsigned i = 0; i < N; i++)
		for (size_t k = 0; k < size; k += size - 1)
			assert_int_equal(blocks[i][k], i % 251);
}

static void test_blocks_of_a_size_share_pages(void **state)
{
	static const size_t sizes[] = {2, 8, 9, 64, 504, SLAB_SIZE_MAX};
	static uint8_t *blocks[ARRAY_LEN(sizes)][N];

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
		fill(blocks[s], sizes[s]);
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		check(blocks[s], sizes[s]);
		for (unsigned i = 0; i < N; i++)
			slab_free(blocks[s][i], sizes[s]);
	}
}

static void test_empty_pages_go_back(void **state)
{
	static uint8_t *blocks[N];
	size_t before, full;

	(void)state;
	slab_free(slab_alloc(504), 504); /* the page that stays */
	before = slab_held();
	fill(blocks, 504);
	full = slab_held();
	if (!HEAP)
		assert_true(full - before >= N * 504 - 8 * 504 && full <= before + N * 512 + 4096);
	for (unsigned i = 0; i < N; i += 2)
		slab_free(blocks[i], 504);
	assert_int_equal(slab_held(), full);
	for (unsigned i = 0; i < N; i += 2)
		blocks[i] = slab_alloc(504);
	assert_int_equal(slab_held(), full);
	for (unsigned i = 0; i < N; i++)
		slab_free(blocks[i], 504);
	assert_int_equal(slab_held(), before);
}

static void test_nothing_is_ignored(void **state)
{
	(void)state;
	slab_free(NULL, 1);
	slab_free(NULL, SLAB_SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_of_a_size_share_pages),
		cmocka_unit_test(test_empty_pages_go_back),
		cmocka_unit_test(test_nothing_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
