/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mgmtapi/bootstrap.h"
#include "core/crypto.h"
#include "core/file.h"
#include "tests/unit/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char dir[64], path[80];
	struct store *store;
	struct buf why;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct store_opts opts = {.dir = p->dir, .map_size = 64 << 20};

	buf_init(&p->why, 1000);
	(void)str_copy(p->dir, sizeof(p->dir), "/tmp/causeway-bootstrap-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	assert_int_equal(file_path(p->path, sizeof(p->path), p->dir, "admin.token"), 0);
	p->store = store_open(&opts, &p->why);
	assert_non_null(p->store);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char cmd[128];

	store_close(p->store);
	(void)snprintf(cmd, sizeof(cmd), "rm -r %s", p->dir);
	assert_int_equal(system(cmd), 0);
	buf_free(&p->why);
	free(p);
	return 0;
}

struct found {
	unsigned n;
	struct store_token last;
};

static int count(void *arg, struct span key, const void *record)
{
	struct found *f = arg;

	(void)key;
	f->n++;
	f->last = *(const struct store_token *)record;
	return 0;
}

static int count_all(struct store_txn *t, void *arg)
{
	const struct span start = {0};

	return store_each(t, STORE_TOKENS, start, false, count, arg);
}

static void read_token(const struct place *p, char text[TOKEN_TEXT_MAX])
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(file_read(p->path, &b), 0);
	assert_int_equal(b.data[b.len - 1], '\n');
	assert_true(str_copy_span(text, TOKEN_TEXT_MAX, span_of(b.data, b.len - 1)));
	buf_free(&b);
}

static void test_first_start_makes_one_token_that_the_store_knows(void **state)
{
	struct place *p = *state;
	struct found f = {0};
	struct stat st;
	char text[TOKEN_TEXT_MAX];
	uint8_t sha256[32];
	struct span s;

	assert_int_equal(bootstrap_admin_token(p->store, p->dir, &p->why), 0);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	read_token(p, text);
	assert_memory_equal(text, TOKEN_PREFIX, strlen(TOKEN_PREFIX));
	assert_int_equal(strlen(text), 4 + 16 + 1 + 43);
	assert_int_equal(store_view(p->store, count_all, &f), 0);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.last.role, ROLE_ADMINISTRATOR);
	s = span_str(text);
	hash_once(HASH_SHA256, &s, 1, sha256);
	assert_memory_equal(sha256, f.last.sha256, 32);
}

static void test_a_second_start_changes_nothing(void **state)
{
	struct place *p = *state;
	struct found f = {0};
	char before[TOKEN_TEXT_MAX], after[TOKEN_TEXT_MAX];

	assert_int_equal(bootstrap_admin_token(p->store, p->dir, &p->why), 0);
	read_token(p, before);
	assert_int_equal(bootstrap_admin_token(p->store, p->dir, &p->why), 0);
	read_token(p, after);
	assert_string_equal(before, after);
	assert_int_equal(store_view(p->store, count_all, &f), 0);
	assert_int_equal(f.n, 1);
}

static void test_a_lost_file_or_a_crash_in_between_is_made_good(void **state)
{
	struct place *p = *state;
	struct found f = {0};

	/* written, but the store never knew it */
	assert_int_equal(file_write(p->path, span_str("cwt_0000000000000000_x\n"), 0600), 0);
	assert_int_equal(bootstrap_admin_token(p->store, p->dir, &p->why), 0);
	assert_int_equal(store_view(p->store, count_all, &f), 0);
	assert_int_equal(f.n, 1);
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(bootstrap_admin_token(p->store, p->dir, &p->why), 0);
	assert_int_equal(access(p->path, F_OK), 0);
}

static int put(struct store_txn *t, void *arg)
{
	return store_token_put(t, arg);
}

static void test_somebody_elses_administrator_is_enough(void **state)
{
	struct place *p = *state;
	struct store_token t;
	char text[TOKEN_TEXT_MAX];

	token_make(&t, text);
	t.role = ROLE_ADMINISTRATOR;
	(void)str_copy(t.created_by, sizeof(t.created_by), "token:1234");
	assert_int_equal(store_update(p->store, put, &t), 0);
	assert_int_equal(bootstrap_admin_token(p->store, p->dir, &p->why), 0);
	assert_int_not_equal(access(p->path, F_OK), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_first_start_makes_one_token_that_the_store_knows),
		T(test_a_second_start_changes_nothing),
		T(test_a_lost_file_or_a_crash_in_between_is_made_good),
		T(test_somebody_elses_administrator_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
