/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "core/file.h"
#include "tests/unit/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_writes_whole_and_reads_back(void **state)
{
	char dir[] = "/tmp/causeway-file-XXXXXX", path[64];
	struct buf b;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(file_path(path, sizeof(path), dir, "x"), 0);
	buf_init(&b, 10000);
	assert_int_equal(file_read(path, &b), -ERR_NOT_FOUND);
	assert_int_equal(file_write(path, span_str("first"), 0600), 0);
	assert_int_equal(file_write(path, span_str("second!"), 0600), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	buf_clear(&b);
	assert_int_equal(file_read(path, &b), 0);
	assert_string_equal(buf_cstr(&b), "second!");
	buf_free(&b);
	buf_init(&b, 6);
	assert_int_equal(file_read(path, &b), -ERR_TOO_BIG);
	buf_free(&b);
	buf_init(&b, 7);
	assert_int_equal(file_read(path, &b), -ERR_TOO_BIG); /* cannot know that it ended */
	buf_free(&b);
	assert_int_equal(file_write("/nowhere/at/all", span_str("x"), 0600), -ERR_NOT_FOUND);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_writes_whole_and_reads_back)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
