/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli_format_test.c: durations, ages, sizes, harmless text, widths, enum words, tables; where the server is found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "causeway/v1/groups.pb-c.h"
#include "causeway/v1/options.pb-c.h"
#include "core/err.h"
#include "mgmtapi/cli/cli.h"
#include "mgmtapi/cli/format.h"
#include "tests/unit/support/test.h"

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"90s", 90000},     {"250ms", 250},
	            {"1h30m", 5400000}, {"30d", 2592000000},
	            {"15", 15000},      {"1d2h3m4s5ms", 93784005},
	            {"0s", 0},          {"3650d", CLI_DURATION_MAX_MS}};
	static const char *const bad[] = {
		"",    "s",   "1x",     "1.5h",          "-1s",      "1s1m", "1m1m",
		"1m1", "1 s", "99999d", "9999999999999", "3650d1ms", "1H",   "1hm"};
	uint64_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(cli_duration_parse(good[i].text, &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (cli_duration_parse(bad[i], &ms) != -ERR_INVALID)
			fail_msg("'%s' was taken as a duration", bad[i]);
}

static void assert_age(int64_t then, int64_t now, const char *expected)
{
	struct buf out;

	buf_init(&out, 64);
	cli_age(&out, then, now);
	assert_string_equal(buf_cstr(&out), expected);
	buf_free(&out);
}

static void test_ages(void **state)
{
	const int64_t now = 1700000000000;

	(void)state;
	assert_age(0, now, "-");
	assert_age(now, now, "now");
	assert_age(now - 999, now, "now");
	assert_age(now - 1000, now, "1s ago");
	assert_age(now - 59999, now, "59s ago");
	assert_age(now - 180000, now, "3m ago");
	assert_age(now - 2 * 3600000, now, "2h ago");
	assert_age(now - 400ll * 86400000, now, "400d ago");
	assert_age(now + 300000, now, "in 5m");
	assert_age(INT64_MIN, INT64_MAX, "213503982334d ago");
}

static void assert_size(uint64_t n, const char *expected)
{
	struct buf out;

	buf_init(&out, 64);
	cli_size(&out, n);
	assert_string_equal(buf_cstr(&out), expected);
	buf_free(&out);
}

static void test_sizes(void **state)
{
	(void)state;
	assert_size(0, "0 B");
	assert_size(1023, "1023 B");
	assert_size(1536, "1.5 KiB");
	assert_size(12ull << 20, "12.0 MiB");
	assert_size(UINT64_MAX, "16777216.0 TiB");
}

static void assert_clean(const char *text, const char *expected)
{
	struct buf out;

	buf_init(&out, 256);
	cli_put_clean(&out, text);
	assert_string_equal(buf_cstr(&out), expected);
	buf_free(&out);
}

static void test_clean_text(void **state)
{
	(void)state;
	assert_clean("plain caf\xc3\xa9 \xe6\xbc\xa2", "plain caf\xc3\xa9 \xe6\xbc\xa2");
	assert_clean("a\033[2Jb\x07", "a?[2Jb?");
	assert_clean("a\nb\tc", "a b c");
	assert_clean("\xc2\x9b"
	             "31m",
	             "?31m");                     /* C1 */
	assert_clean("x\xe2\x80\xaey", "x?y");    /* right-to-left override */
	assert_clean("\xff\xc3", "??");           /* no UTF-8 */
	assert_clean("\xc0\xaf", "??");           /* overlong */
	assert_clean("\xed\xa0\x80", "???");      /* surrogate */
	assert_clean("\xf4\x90\x80\x80", "????"); /* beyond U+10FFFF */
	assert_clean("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80");
}

static void test_width(void **state)
{
	(void)state;
	assert_int_equal(cli_width(""), 0);
	assert_int_equal(cli_width("abc"), 3);
	assert_int_equal(cli_width("caf\xc3\xa9"), 4);
	assert_int_equal(cli_width("e\xcc\x81"), 1);
	assert_int_equal(cli_width("\xe6\xbc\xa2\xe5\xad\x97"), 4);
}

static void test_enum_words(void **state)
{
	char word[32];

	(void)state;
	cli_enum_word(&causeway__v1__enroll_policy__descriptor, 2, word, sizeof(word));
	assert_string_equal(word, "hold");
	cli_enum_word(&causeway__v1__enroll_policy__descriptor, 77, word, sizeof(word));
	assert_string_equal(word, "77");
	assert_int_equal(cli_enum_value(&causeway__v1__enroll_policy__descriptor, "reject"), 3);
	assert_int_equal(cli_enum_value(&causeway__v1__role__descriptor, "administrator"), 3);
	assert_int_equal(cli_enum_value(&causeway__v1__role__descriptor, "unspecified"), -1);
	assert_int_equal(cli_enum_value(&causeway__v1__role__descriptor, "root"), -1);
}

static void test_table(void **state)
{
	static const char *const heads[] = {"NAME", "N"};
	struct cli_table t;
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	cli_table_init(&t, heads, 2);
	cli_cell(&t, "%s", "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2");
	cli_cell(&t, "%d", 5);
	cli_cell(&t, "%s", "");
	cli_cell(&t, "%s", "a\nb");
	assert_int_equal(cli_table_print(&t, out, false), 0);
	cli_table_init(&t, heads, 2);
	assert_int_equal(cli_table_print(&t, out, true), 0);
	(void)fclose(out);
	assert_string_equal(text,
	                    "NAME    N\n\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2  5\n-       a b\n"
	                    "\033[1mNAME  N\033[0m\n");
	free(text);
}

/* ---- where the server is */

static char dir[64];
static const char *env_api, *env_data;

static const char *fake_env(const char *name)
{
	if (strcmp(name, "CAUSEWAY_API") == 0)
		return env_api;
	return strcmp(name, "CAUSEWAY_DATA") == 0 ? env_data : NULL;
}

static void put_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (text == NULL) {
		(void)unlink(path);
		return;
	}
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/causeway-cli-XXXXXX");
	assert_non_null(mkdtemp(dir));
	put_file("run.json", "{\"pid\":1,\"cira\":[\"0.0.0.0:4433\"],\"api\":[\"[::]:8444\",\"0.0."
	                     "0.0:8443\"],\"metrics\":\"\"}");
	put_file("root.crt", "root\n");
	put_file("admin.token", "cwt_admin\n");
	env_api = env_data = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	put_file("run.json", NULL);
	put_file("root.crt", NULL);
	put_file("admin.token", NULL);
	return rmdir(dir);
}

/* Looks for the server with these options; checks the exit status and a part of the message or hint. */
static struct cli *find(const char *const *options, int exit, const char *part)
{
	static struct cli cli;
	char *argv[16] = {(char *)(uintptr_t) "audit"};
	struct buf why;
	int argc = 1;

	for (; *options != NULL; options++)
		argv[argc++] = (char *)(uintptr_t)*options;
	buf_init(&why, 1000);
	cli_init(&cli, stdout, stderr);
	cli.getenv = fake_env;
	assert_int_equal(cli_args_parse(&cli.args, argc, argv, &why), 0);
	assert_int_equal(cli_target_find(&cli), exit);
	if (part != NULL && strstr(buf_cstr(&cli.error.message), part) == NULL &&
	    strstr(buf_cstr(&cli.error.hint), part) == NULL)
		fail_msg("'%s' is not in: %s / %s", part, buf_cstr(&cli.error.message),
		         buf_cstr(&cli.error.hint));
	return &cli;
}
#define FIND(exit, part, ...) find((const char *const[]){__VA_ARGS__, NULL}, exit, part)

static void test_data_folder(void **state)
{
	struct cli *cli;

	(void)state;
	cli = FIND(0, NULL, "--data", dir);
	assert_string_equal(cli->target.host, "::1"); /* listened on everywhere, dialled at home */
	assert_string_equal(cli->target.port, "8444");
	assert_string_equal((const char *)secret_reveal(&cli->target.token).ptr, "cwt_admin");
	assert_string_equal(buf_cstr(&cli->target.ca_pem), "root\n");
	cli_free(cli);
	env_data = dir;
	cli = FIND(0, NULL, NULL);
	assert_string_equal(cli->target.port, "8444");
	cli_free(cli);
}

static void test_broken_folder(void **state)
{
	(void)state;
	put_file("run.json", "{\"pid\":1");
	cli_free(FIND(CLI_FAILED, "is not what causewayd writes", "--data", dir));
	put_file("run.json", "{\"pid\":1,\"api\":[]}");
	cli_free(FIND(CLI_FAILED, "names no API address", "--data", dir));
	put_file("run.json", "{\"api\":\"x:1\"}");
	cli_free(FIND(CLI_FAILED, "names no API address", "--data", dir));
	put_file("run.json", NULL);
	cli_free(FIND(CLI_UNAVAILABLE, "is causewayd running?", "--data", dir));
	cli_free(FIND(CLI_UNAVAILABLE, "does not exist", "--data", "/nonexistent-causeway"));
	put_file("run.json", "{\"api\":[\"127.0.0.1:1\"]}");
	put_file("root.crt", NULL);
	cli_free(FIND(CLI_FAILED, "root.crt is not there", "--data", dir));
	put_file("root.crt", "root\n");
	put_file("admin.token", "");
	cli_free(FIND(CLI_DENIED, "holds no API token", "--data", dir));
	put_file("admin.token", "two words\n");
	cli_free(FIND(CLI_DENIED, "holds no API token", "--data", dir));
	put_file("admin.token", NULL);
	cli_free(FIND(CLI_FAILED, "admin.token is not there", "--data", dir));
}

static void test_no_permission(void **state)
{
	char path[128];

	(void)state;
	if (geteuid() == 0)
		return; /* root reads everything: test_broken_folder has the other cases */
	(void)snprintf(path, sizeof(path), "%s/admin.token", dir);
	assert_int_equal(chmod(path, 0), 0);
	cli_free(FIND(CLI_DENIED, "no permission to read", "--data", dir));
}

static void test_api_option(void **state)
{
	char token[128], ca[128];
	struct cli *cli;

	(void)state;
	(void)snprintf(token, sizeof(token), "%s/admin.token", dir);
	(void)snprintf(ca, sizeof(ca), "%s/root.crt", dir);
	cli = FIND(0, NULL, "--api", "https://gw.example.org", "--token-file", token, "--ca", ca);
	assert_string_equal(cli->target.host, "gw.example.org");
	assert_string_equal(cli->target.port, "8443");
	cli_free(cli);
	cli = FIND(0, NULL, "--api", "https://10.0.0.1:9/", "--data", dir);
	assert_string_equal(cli->target.port, "9");
	assert_int_equal(cli->target.token.len, 9);
	cli_free(cli);
	/* a folder from the environment may be another server's: its token stays here */
	env_data = dir;
	cli_free(FIND(CLI_DENIED, "no API token given", "--api", "https://gw.example.org", "--ca",
	              ca));
	env_api = "https://elsewhere:1";
	cli = FIND(0, NULL, "--data", dir);
	assert_string_equal(cli->target.port, "8444"); /* the option counts */
	cli_free(cli);
	cli_free(FIND(CLI_USAGE, "belong together", "--data", dir, "--client-cert", ca));
}

static void test_urls(void **state)
{
	static const char *const bad[] = {"",
	                                  "gw:1",
	                                  "http://gw:1",
	                                  "https://",
	                                  "https://:1",
	                                  "https://gw:",
	                                  "https://gw:x",
	                                  "https://gw:123456",
	                                  "https://gw/path",
	                                  "https://::1",
	                                  "https://[::1",
	                                  "https://[::1]x",
	                                  "https://user@gw:1"};
	struct cli_target t = {0};

	(void)state;
	assert_int_equal(cli_url_parse("https://[::1]:8443", &t), 0);
	assert_string_equal(t.host, "::1");
	assert_string_equal(t.port, "8443");
	assert_int_equal(cli_url_parse("https://[fe80::1]/", &t), 0);
	assert_string_equal(t.host, "fe80::1");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (cli_url_parse(bad[i], &t) != -ERR_INVALID)
			fail_msg("'%s' was taken as a URL", bad[i]);
}

/* ---- passwords */

static void assert_password(const char *content, int exit, const char *expected)
{
	char *argv[] = {(char *)(uintptr_t) "device",
	                (char *)(uintptr_t) "credentials",
	                (char *)(uintptr_t) "set",
	                (char *)(uintptr_t) "x",
	                (char *)(uintptr_t) "--password-file",
	                NULL};
	static struct cli cli;
	struct secret s = {0};
	struct buf why;
	char path[128];

	put_file("admin.token", content);
	(void)snprintf(path, sizeof(path), "%s/admin.token", dir);
	argv[5] = path;
	buf_init(&why, 1000);
	cli_init(&cli, stdout, stderr);
	assert_int_equal(cli_args_parse(&cli.args, 6, argv, &why), 0);
	assert_int_equal(cli_password(&cli, "password-file", "password", &s), exit);
	if (expected != NULL)
		assert_string_equal((const char *)secret_reveal(&s).ptr, expected);
	else if (strstr(buf_cstr(&cli.error.message), content) != NULL && content[0] != '\0')
		fail_msg("the password is in the message");
	secret_clear(&s);
	cli_free(&cli);
}

static void test_passwords(void **state)
{
	char longest[CLI_PASSWORD_MAX + 2];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[CLI_PASSWORD_MAX] = '\0';
	assert_password("P@ss w0rd", 0, "P@ss w0rd");
	assert_password("P@ss\n", 0, "P@ss");
	assert_password("P@ss\r\n", 0, "P@ss");
	assert_password(" P@ss ", 0, " P@ss "); /* spaces belong to it */
	assert_password(longest, 0, longest);
	assert_password("", CLI_USAGE, NULL);
	assert_password("\n", CLI_USAGE, NULL);
	assert_password("one\ntwo\n", CLI_USAGE, NULL);
	longest[CLI_PASSWORD_MAX] = 'x';
	longest[CLI_PASSWORD_MAX + 1] = '\0';
	assert_password(longest, CLI_USAGE, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_clean_text),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_enum_words),
		cmocka_unit_test(test_table),
		cmocka_unit_test_setup_teardown(test_data_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_permission, setup, teardown),
		cmocka_unit_test_setup_teardown(test_api_option, setup, teardown),
		cmocka_unit_test(test_urls),
		cmocka_unit_test_setup_teardown(test_passwords, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
