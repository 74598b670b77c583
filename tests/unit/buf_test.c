/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/buf.h"
#include "core/err.h"
#include "tests/unit/support/test.h"

static void test_appends_and_reads_back(void **state)
{
	struct buf b;
	struct cur c;

	(void)state;
	buf_init(&b, 1024);
	buf_put_u8(&b, 0x7f);
	buf_put_u16(&b, 0x1234);
	buf_put_u32(&b, 0xdeadbeef);
	buf_printf(&b, "%s-%d", "text", 42);
	c = cur_of(buf_span(&b));
	assert_int_equal(cur_u8(&c), 0x7f);
	assert_int_equal(cur_u16(&c), 0x1234);
	assert_int_equal(cur_u32(&c), 0xdeadbeef);
	assert_memory_equal(cur_bytes(&c, 7).ptr, "text-42", 7);
	assert_int_equal(c.left, 0);
	assert_int_equal(cur_u8(&c), 0);
	assert_int_equal(c.err, -ERR_MORE);
	buf_free(&b);
}

static void test_cap_is_hard_and_sticky(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	buf_put(&b, "abcd", 4);
	assert_int_equal(b.err, 0);
	assert_string_equal(buf_cstr(&b), "abcd");
	buf_put_u8(&b, 1);
	assert_int_equal(b.err, -ERR_TOO_BIG);
	buf_clear(&b);
	buf_printf(&b, "%d", 12345);
	assert_int_equal(b.err, -ERR_TOO_BIG);
	buf_free(&b);
}

static void test_consume_frees_when_empty(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_put(&b, "hello", 5);
	buf_consume(&b, 2);
	assert_memory_equal(b.data, "llo", 3);
	buf_consume(&b, 3);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends_and_reads_back),
		cmocka_unit_test(test_cap_is_hard_and_sticky),
		cmocka_unit_test(test_consume_frees_when_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
