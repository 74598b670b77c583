/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/list.h"
#include "core/pool.h"
#include "core/sendq.h"
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
	assert_int_equal(p.n.kept[2], POOL_FREE_SIZE / 4096);
	assert_int_equal(p.n.held_size, POOL_FREE_SIZE);
	for (unsigned i = 0; i < N; i++)
		blocks[i] = pool_alloc(&p, 256, NULL);
	for (unsigned i = 0; i < N; i++)
		pool_release(&p, blocks[i], 256);
	pool_trim(&p);
	pool_trim(&p);
	assert_int_equal(p.n.kept[0], POOL_FREE_MIN);
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

static void test_pressed_beyond_half(void **state)
{
	struct pool p;
	void *a, *b;

	(void)state;
	pool_init(&p, 2048);
	a = pool_alloc(&p, 1024, NULL);
	assert_false(pool_pressed(&p));
	b = pool_alloc(&p, 256, NULL);
	assert_true(pool_pressed(&p));
	pool_release(&p, b, 256);
	assert_false(pool_pressed(&p));
	pool_release(&p, a, 1024);
	pool_fini(&p);
}

#define TAKEN_MAX 40000

/* Across blocks, in pieces that do not match what was appended. */
static void test_queue_is_taken_in_order(void **state)
{
	static uint8_t in[TAKEN_MAX], out[TAKEN_MAX];
	static const size_t pieces[] = {1, 255, 3000, 16384, 20360};
	struct sendq q = {0};
	struct pool p;
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < TAKEN_MAX; i++)
		in[i] = (uint8_t)(i * 7 + i / 251);
	pool_init(&p, SIZE_MAX / 2);
	for (size_t i = 0; i < ARRAY_LEN(pieces); at += pieces[i++])
		assert_int_equal(sendq_append(&q, &p, span_of(in + at, pieces[i])), 0);
	assert_int_equal(q.len, TAKEN_MAX);
	for (size_t n, taken = 0; q.len > 0; taken += n) {
		n = MIN(q.len, (size_t)777);
		sendq_take(&q, &p, out + taken, n);
	}
	assert_memory_equal(in, out, TAKEN_MAX);
	assert_int_equal(p.n.used_size, 0);
	pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes_and_limit),
		cmocka_unit_test(test_trim_follows_the_peak),
		cmocka_unit_test(test_list_order_and_removal),
		cmocka_unit_test(test_pressed_beyond_half),
		cmocka_unit_test(test_queue_is_taken_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
