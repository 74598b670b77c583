/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/list.h"
#include "core/pool.h"
#include "tests/unit/support/test.h"

#include <string.h>

static void test_classes_and_limit(void **state)
{
	struct pool p;
	size_t got;
	void *a, *b;

	(void)state;
	pool_init(&p, 1024 + 256);
	a = pool_alloc(&p, 257, &got);
	assert_non_null(a);
	assert_int_equal(got, 1024);
	memset(a, 1, got);
	b = pool_alloc(&p, 1, NULL);
	assert_non_null(b);
	assert_null(pool_alloc(&p, 1, NULL));
	assert_int_equal(p.n.refusals, 1);
	assert_int_equal(p.n.used_size, 1280);
	pool_release(&p, b, 1);
	assert_null(pool_alloc(&p, 300, NULL));
	pool_release(&p, a, 257);
	pool_release(&p, NULL, 1);
	assert_int_equal(p.n.used_size, 0);
	assert_int_equal(p.n.held_size, 1280);
	assert_ptr_equal(pool_alloc(&p, 1024, NULL), a);
	pool_release(&p, a, 1024);
	pool_fini(&p);
	assert_int_equal(p.n.held_size, 0);
}

static void test_trim_follows_the_peak(void **state)
{
	enum { N = 200 };
	void *blocks[N];
	struct pool p;

	(void)state;
	pool_init(&p, SIZE_MAX / 2);
	for (unsigned i = 0; i < N; i++)
		blocks[i] = pool_alloc(&p, 4096, NULL);
	for (unsigned i = 0; i < N; i++)
		pool_release(&p, blocks[i], 4096);
	assert_int_equal(p.n.kept[2], N);
	pool_trim(&p);
	assert_int_equal(p.n.kept[2], N / POOL_FREE_SHARE);
	pool_trim(&p);
	assert_int_equal(p.n.kept[2], POOL_FREE_MIN);
	assert_int_equal(p.n.held_size, POOL_FREE_MIN * 4096);
	pool_fini(&p);
}

struct item {
	int n;
	struct list link;
};

static void test_list_order_and_removal(void **state)
{
	struct item items[5];
	struct list head, other;
	int expect = 0;

	(void)state;
	list_init(&head);
	list_init(&other);
	assert_null(list_pop_front(&head));
	assert_null(list_first(&head));
	for (int i = 0; i < 5; i++) {
		items[i].n = i;
		list_init(&items[i].link);
		list_push_back(i < 3 ? &head : &other, &items[i].link);
	}
	list_splice_back(&head, &other);
	assert_true(list_is_empty(&other));
	LIST_FOREACH(at, after, &head)
	{
		struct item *it = list_entry(at, struct item, link);

		assert_int_equal(it->n, expect++);
		if (it->n % 2 == 0)
			list_remove(&it->link);
	}
	assert_int_equal(expect, 5);
	list_remove(&items[0].link);
	assert_ptr_equal(list_last(&head), &items[3].link);
	assert_ptr_equal(list_pop_front(&head), &items[1].link);
	list_push_front(&head, &items[4].link);
	assert_ptr_equal(list_first(&head), &items[4].link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes_and_limit),
		cmocka_unit_test(test_trim_follows_the_peak),
		cmocka_unit_test(test_list_order_and_removal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
