/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "core/map.h"
#include "tests/unit/support/test.h"

#include <stdlib.h>
#include <string.h>

/* The example of the SipHash paper, appendix A, and the first vectors of the authors' test program. */
static void test_siphash_vectors(void **state)
{
	uint8_t key[16], data[16];

	(void)state;
	for (uint8_t i = 0; i < 16; i++) {
		key[i] = i;
		data[i] = i;
	}
	assert_true(siphash24(key, span_of(data, 15)) == 0xa129ca6149be45e5ull);
	assert_true(siphash24(key, span_of(data, 0)) == 0x726fdb47dd0e0e31ull);
	assert_true(siphash24(key, span_of(data, 8)) == 0x93f5f5799a932462ull);
}

static void test_limit_and_duplicates(void **state)
{
	int v[4];
	void *old;
	struct map m;
	char longest[MAP_KEY_MAX + 1];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	map_init(&m, 0, 3);
	assert_null(map_get(&m, span_str("a")));
	assert_null(map_remove(&m, span_str("a")));
	assert_int_equal(map_put(&m, span_str("a"), &v[0]), 0);
	assert_int_equal(map_put(&m, span_str("a"), &v[1]), -ERR_EXISTS);
	assert_ptr_equal(map_get(&m, span_str("a")), &v[0]);
	assert_int_equal(map_put(&m, span_str(""), &v[1]), 0);
	assert_int_equal(map_put(&m, span_of(longest, MAP_KEY_MAX), &v[2]), 0);
	assert_int_equal(map_put(&m, span_of(longest, MAP_KEY_MAX + 1), &v[2]), -ERR_TOO_BIG);
	assert_null(map_get(&m, span_of(longest, MAP_KEY_MAX + 1)));
	assert_int_equal(map_put(&m, span_str("b"), &v[3]), -ERR_FULL);
	assert_int_equal(map_replace(&m, span_str("a"), &v[3], &old), 0);
	assert_ptr_equal(old, &v[0]);
	assert_ptr_equal(map_remove(&m, span_str("")), &v[1]);
	assert_int_equal(map_put(&m, span_str("b"), &v[3]), 0);
	assert_int_equal(m.count, 3);
	map_free(&m);
}

static void test_fixed_keys_have_one_size(void **state)
{
	uint8_t k[16] = {0};
	struct map m;

	(void)state;
	map_init(&m, 16, 10);
	assert_int_equal(map_put(&m, span_of(k, 15), k), -ERR_TOO_BIG);
	assert_int_equal(map_put(&m, span_of(k, 16), k), 0);
	assert_ptr_equal(map_get(&m, span_of(k, 16)), k);
	assert_null(map_get(&m, span_of(k, 0)));
	map_free(&m);
}

#define MODEL_KEYS 512

/* Random puts and removes against an array, the whole content compared now and then. */
static void test_random_against_model(void **state)
{
	static char present[MODEL_KEYS], values[MODEL_KEYS];
	unsigned seed = 12345, count = 0;
	struct map m;

	(void)state;
	map_init(&m, 4, MODEL_KEYS);
	for (unsigned step = 0; step < 60000; step++) {
		uint32_t k = (uint32_t)rand_r(&seed) % MODEL_KEYS;
		struct span key = span_of(&k, sizeof(k));

		if (rand_r(&seed) % 2 != 0) {
			assert_int_equal(map_put(&m, key, &values[k]),
			                 present[k] ? -ERR_EXISTS : 0);
			count += present[k] ? 0 : 1;
			present[k] = 1;
		} else {
			assert_ptr_equal(map_remove(&m, key), present[k] ? &values[k] : NULL);
			count -= present[k] ? 1 : 0;
			present[k] = 0;
		}
		assert_int_equal(m.count, count);
		if (step % 1000 != 0)
			continue;
		for (k = 0; k < MODEL_KEYS; k++)
			assert_ptr_equal(map_get(&m, key), present[k] ? &values[k] : NULL);
	}
	map_free(&m);
}

static void test_iterates_over_each_once(void **state)
{
	char seen[100] = {0}, values[100];
	struct map m;
	uint32_t pos = 0, n = 0;
	struct span key;
	void *value;

	(void)state;
	map_init(&m, 1, 100);
	for (uint8_t i = 0; i < 100; i++)
		assert_int_equal(map_put(&m, span_of(&i, 1), &values[i]), 0);
	while (map_next(&m, &pos, &key, &value)) {
		assert_int_equal(key.len, 1);
		assert_ptr_equal(value, &values[key.ptr[0]]);
		assert_int_equal(seen[key.ptr[0]]++, 0);
		n++;
	}
	assert_int_equal(n, 100);
	map_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash_vectors),
		cmocka_unit_test(test_limit_and_duplicates),
		cmocka_unit_test(test_fixed_keys_have_one_size),
		cmocka_unit_test(test_random_against_model),
		cmocka_unit_test(test_iterates_over_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
