/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sealing key: what is said about a wrong one, rotation, credentials. */
#include "core/clock.h"
#include "core/err.h"
#include "core/file.h"
#include "store/internal.h"
#include "tests/unit/support/store_help.h"
#include "tests/unit/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct store_home home;

static int setup(void **state)
{
	(void)state;
	store_home_init(&home);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_home_free(&home);
	return 0;
}

#define WHY_HAS(text)                                                                \
	do {                                                                         \
		if (strstr(buf_cstr(&home.why), text) == NULL)                       \
			fail_msg("\"%s\" is not in: %s", text, buf_cstr(&home.why)); \
	} while (0)

static void close_store(void)
{
	store_close(home.s);
	home.s = NULL;
}

/* ---- keys ---- */

static void write_key(const char *text)
{
	assert_int_equal(file_write(store_home_path(&home, "seal.key"), span_str(text), 0600), 0);
}

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_wrong_keys_are_refused_in_words(void **state)
{
	(void)state;
	store_home_fill(&home);
	close_store();
	write_key("key 1 " HEX64 "\n");
	assert_false(store_home_reopen(&home));
	WHY_HAS("is not the one that sealed the store");
	write_key("# a comment\n\nkey 7 " HEX64);
	assert_false(store_home_reopen(&home));
	WHY_HAS("sealed with key 1, which is not in");
	write_key("key 1 " HEX64 "00\n");
	assert_false(store_home_reopen(&home));
	WHY_HAS("line 1 of the sealing key file");
	write_key("key 1 " HEX64 "\nkey 1 " HEX64 "\n");
	assert_false(store_home_reopen(&home));
	WHY_HAS("line 2 of the sealing key file");
	write_key("");
	assert_false(store_home_reopen(&home));
	WHY_HAS("has no key");
	assert_int_equal(chmod(store_home_path(&home, "seal.key"), 0644), 0);
	assert_false(store_home_reopen(&home));
	WHY_HAS("chmod 600");
	assert_int_equal(unlink(store_home_path(&home, "seal.key")), 0);
	assert_false(store_home_reopen(&home));
	WHY_HAS("there is no key file");
	assert_int_equal(access(store_home_path(&home, "seal.key"), F_OK),
	                 -1); /* none was made up */
}

static unsigned keys_in_file(void)
{
	unsigned n = 0;
	struct buf b;

	buf_init(&b, 10000);
	assert_int_equal(file_read(store_home_path(&home, "seal.key"), &b), 0);
	for (const char *p = buf_cstr(&b); (p = strstr(p, "\nkey ")) != NULL; p++)
		n++;
	buf_free(&b);
	return n;
}

static int check_setting(struct store_txn *t, void *arg)
{
	struct buf b;

	(void)arg;
	buf_init(&b, 100);
	assert_int_equal(store_setting_get(t, "api.cursor_key", &b), 0);
	assert_string_equal(buf_cstr(&b), "SECRETsetting");
	buf_free(&b);
	return 0;
}

static void test_rotation(void **state)
{
	struct buf old, new;

	(void)state;
	buf_init(&old, 10000);
	buf_init(&new, 10000);
	store_home_fill(&home);
	assert_int_equal(file_read(store_home_path(&home, "seal.key"), &old), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_rotate_key(home.s, &home.why), 0);
		assert_int_equal(keys_in_file(), 1);
		store_home_verify(home.s);
	}
	assert_int_equal(file_read(store_home_path(&home, "seal.key"), &new), 0);
	assert_string_not_equal(buf_cstr(&old), buf_cstr(&new));
	store_assert_sound(home.s);
	assert_true(store_home_reopen(&home));
	store_home_verify(home.s);
	assert_int_equal(store_view(home.s, check_setting, NULL), 0);
	store_assert_sound(home.s);
	close_store();
	write_key(buf_cstr(&old));
	assert_false(store_home_reopen(&home));
	buf_free(&old);
	buf_free(&new);
}

/* A rotation that was cut off at a moment of its own choosing: the store opens, and the next rotation ends the work. */
static void test_a_rotation_cut_off_in_the_middle(void **state)
{
	unsigned unfinished = 0;

	(void)state;
	store_home_fill(&home);
	close_store();
	for (int i = 0; i < 12; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			if (!store_home_reopen(&home))
				_exit(2);
			for (;;)
				(void)!store_rotate_key(home.s, &home.why);
		}
		usleep((useconds_t)(15000 + random_u64() % 30000));
		assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		unfinished += keys_in_file() > 1 ? 1 : 0;
		assert_true(store_home_reopen(&home));
		store_home_verify(home.s);
		store_assert_sound(home.s);
		if (i % 2 == 0)
			assert_int_equal(store_rotate_key(home.s, &home.why), 0);
		close_store();
	}
	print_message("%u of 12 were in the middle\n", unfinished);
	assert_true(store_home_reopen(&home));
	assert_int_equal(store_rotate_key(home.s, &home.why), 0);
	assert_int_equal(keys_in_file(), 1);
	store_home_verify(home.s);
}

static void test_a_key_from_a_credential_is_not_written(void **state)
{
	char two[3 * sizeof(HEX64)];
	struct stat before, after;
	const char *credential;

	(void)state;
	close_store();
	remove_tree(store_home_path(&home, "store"));
	(void)unlink(store_home_path(&home, "seal.key"));
	assert_int_equal(mkdir(store_home_path(&home, "cred"), 0700), 0);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", store_home_path(&home, "cred"), 1), 0);
	credential = store_home_path(&home, "cred/" SEAL_CREDENTIAL);
	assert_int_equal(file_write(credential, span_str("key 1 " HEX64 "\n"), 0440), 0);
	assert_true(store_home_reopen(&home));
	store_home_fill(&home);
	assert_int_equal(access(store_home_path(&home, "seal.key"), F_OK), -1);
	assert_int_equal(store_rotate_key(home.s, &home.why), -ERR_PRECONDITION);
	WHY_HAS("add a second");
	credential = store_home_path(&home, "cred/" SEAL_CREDENTIAL);
	(void)snprintf(two, sizeof(two), "key 1 %s\nkey 2 ff%s\n", HEX64, &HEX64[2]);
	assert_int_equal(file_write(credential, span_str(two), 0440), 0);
	assert_int_equal(stat(credential, &before), 0);
	assert_true(store_home_reopen(&home));
	buf_clear(&home.why);
	assert_int_equal(store_rotate_key(home.s, &home.why), 0);
	credential = store_home_path(&home, "cred/" SEAL_CREDENTIAL);
	assert_int_equal(stat(credential, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(file_write(credential, span_str(strchr(two, '\n') + 1), 0440), 0);
	assert_true(store_home_reopen(&home));
	store_home_verify(home.s);
	store_assert_sound(home.s);
	unsetenv("CREDENTIALS_DIRECTORY");
}

#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_wrong_keys_are_refused_in_words),
		WITH_STORE(test_rotation),
		WITH_STORE(test_a_rotation_cut_off_in_the_middle),
		WITH_STORE(test_a_key_from_a_credential_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
