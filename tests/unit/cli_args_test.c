/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli_args_test.c: the command table, the parser of the command line, the help and the completion scripts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "mgmtapi/cli/cli.h"
#include "mgmtapi/cli/show.h"
#include "tests/unit/support/test.h"

#define WORDS_MAX 16

static struct cli_args args;
static char why_text[512];

/* Parses the words, which end with NULL. */
static int parse(const char *const *words)
{
	char *argv[WORDS_MAX];
	struct buf why;
	int argc = 0, r;

	for (; *words != NULL; words++) {
		assert_true(argc < WORDS_MAX);
		argv[argc++] = (char *)(uintptr_t)*words;
	}
	buf_init(&why, sizeof(why_text));
	r = cli_args_parse(&args, argc, argv, &why);
	(void)snprintf(why_text, sizeof(why_text), "%s", buf_cstr(&why));
	buf_free(&why);
	return r;
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void assert_why(const char *part)
{
	if (strstr(why_text, part) == NULL)
		fail_msg("'%s' is not in: %s", part, why_text);
}

static void test_words_and_options(void **state)
{
	(void)state;
	assert_int_equal(PARSE("power", "--json", "set", "desk-1", "--delay=10m", "cycle",
	                       "--request-id", "x"),
	                 0);
	assert_string_equal(args.command->path, "power set");
	assert_int_equal(args.words_len, 2);
	assert_string_equal(cli_word(&args, 0), "desk-1");
	assert_string_equal(cli_word(&args, 1), "cycle");
	assert_null(cli_word(&args, 2));
	assert_string_equal(cli_arg(&args, "delay"), "10m");
	assert_string_equal(cli_arg(&args, "request-id"), "x");
	assert_true(cli_arg_has(&args, "json"));
	assert_false(cli_arg_has(&args, "force"));
	assert_int_equal(PARSE("device", "credentials", "set", "--", "--odd-name"), 0);
	assert_string_equal(args.command->path, "device credentials set");
	assert_string_equal(cli_word(&args, 0), "--odd-name");
	assert_int_equal(PARSE("token", "create", "--role", "viewer", "--group", "a", "--group=b"),
	                 0);
	assert_int_equal(cli_arg_count(&args, "group"), 2);
	assert_string_equal(cli_arg_nth(&args, "group", 0), "a");
	assert_string_equal(cli_arg_nth(&args, "group", 1), "b");
	assert_int_equal(PARSE("device", "update", "x", "--name", ""), 0);
	assert_string_equal(cli_arg(&args, "name"), "");
	assert_int_equal(PARSE("wsman", "put", "x", "C", "--body-file", "-"),
	                 0); /* a lone dash is a value */
	assert_string_equal(cli_arg(&args, "body-file"), "-");
	assert_int_equal(PARSE("-q", "audit"), 0);
	assert_true(cli_arg_has(&args, "quiet"));
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(PARSE("device", "show"), -ERR_INVALID);
	assert_why("needs more arguments: ID");
	assert_int_equal(PARSE("device", "show", "a", "b"), -ERR_INVALID);
	assert_why("too many arguments");
	assert_int_equal(PARSE("group", "list", "x"), -ERR_INVALID);
	assert_why("takes no argument");
	assert_int_equal(PARSE("power", "set", "a", "explode"), -ERR_INVALID);
	assert_why("'explode' is not one of on|off");
	assert_int_equal(PARSE("power", "set", "a", "on|off"), -ERR_INVALID);
	assert_int_equal(PARSE("power", "set", "a", ""), -ERR_INVALID);
	assert_int_equal(PARSE("power", "batch", "explode", "a"), -ERR_INVALID);
	assert_int_equal(PARSE("group", "create", "a", "--enroll", "maybe"), -ERR_INVALID);
	assert_why("--enroll must be one of");
	assert_int_equal(PARSE("audit", "--frobnicate"), -ERR_INVALID);
	assert_why("unknown option --frobnicate");
	assert_int_equal(PARSE("audit", "-x"), -ERR_INVALID);
	assert_int_equal(PARSE("audit", "--enroll", "hold"), -ERR_INVALID);
	assert_why("'audit' has no option --enroll");
	assert_int_equal(PARSE("audit", "--json=yes"), -ERR_INVALID);
	assert_why("takes no value");
	assert_int_equal(PARSE("audit", "--limit"), -ERR_INVALID);
	assert_why("needs a value");
	assert_int_equal(PARSE("audit", "--limit", "1", "--limit", "2"), -ERR_INVALID);
	assert_why("given twice");
	assert_int_equal(PARSE("devcie", "list"), 0);
	assert_null(args.command);
	assert_int_equal(PARSE("device"), 0);
	assert_null(args.command);
}

/* Asked for help, nothing else has to be right. */
static void test_help_wins(void **state)
{
	(void)state;
	assert_int_equal(PARSE("device", "show", "--help"), 0);
	assert_string_equal(args.command->path, "device show");
	assert_true(cli_arg_has(&args, "help"));
	assert_int_equal(PARSE("--version"), 0);
	assert_true(cli_arg_has(&args, "version"));
}

/* ---- the table */

static const struct cli_option *find(const struct cli_option *o, const char *name)
{
	for (; o != NULL && o->name != NULL; o++)
		if (strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

/* The parser collects words before it knows the command, so an option must take an argument everywhere or nowhere. */
static void test_table_is_consistent(void **state)
{
	(void)state;
	for (size_t i = 0; i < cli_commands_len; i++) {
		const struct cli_command *c = &cli_commands[i];

		assert_non_null(c->run);
		assert_true(c->words_min <= c->words_max);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(c->path, cli_commands[k].path);
		for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
			assert_null(find(cli_global_options, o->name));
			for (size_t k = 0; k < i; k++) {
				const struct cli_option *p = find(cli_commands[k].options, o->name);

				if (p != NULL)
					assert_int_equal(p->arg != NULL, o->arg != NULL);
			}
			if (strstr(o->name, "password") != NULL)
				assert_string_equal(o->arg,
				                    "FILE"); /* a password is never an argument */
		}
	}
}

static void test_names_that_others_rely_on(void **state)
{
	static const char *const paths[] = {"group create",
	                                    "group list",
	                                    "group show",
	                                    "group delete",
	                                    "device list",
	                                    "device show",
	                                    "device watch",
	                                    "device why",
	                                    "device approve",
	                                    "device delete",
	                                    "power get",
	                                    "power set",
	                                    "device credentials set",
	                                    "wsman get",
	                                    "wsman put",
	                                    "wsman enumerate",
	                                    "wsman invoke",
	                                    "tunnel list",
	                                    "tunnel disconnect",
	                                    "tunnel open",
	                                    "token create",
	                                    "token list",
	                                    "token revoke",
	                                    "audit",
	                                    "backup",
	                                    "version"};
	static const char *const actions[] = {"on",
	                                      "off",
	                                      "cycle",
	                                      "reset",
	                                      "soft-off",
	                                      "graceful-off",
	                                      "graceful-restart",
	                                      "sleep",
	                                      "hibernate",
	                                      "nmi"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		size_t k = 0;

		while (k < cli_commands_len && strcmp(cli_commands[k].path, paths[i]) != 0)
			k++;
		if (k == cli_commands_len)
			fail_msg("there is no command %s", paths[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		assert_int_equal(PARSE("power", "set", "x", actions[i]), 0);
		assert_true(cli_action_value(actions[i]) > 0);
		assert_string_equal(cli_action_word(cli_action_value(actions[i])), actions[i]);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(cli_action_value(actions[i]),
			                     cli_action_value(actions[k]));
	}
}

/* ---- whole runs without a server */

static char *out_text, *err_text_;

static int run(const char *const *words)
{
	char *argv[WORDS_MAX] = {(char *)(uintptr_t) "causeway"};
	size_t out_len, err_len;
	FILE *out, *err;
	int argc = 1, r;

	for (; *words != NULL && argc < WORDS_MAX; words++)
		argv[argc++] = (char *)(uintptr_t)*words;
	free(out_text);
	free(err_text_);
	out = open_memstream(&out_text, &out_len);
	err = open_memstream(&err_text_, &err_len);
	assert_true(out != NULL && err != NULL);
	r = cli_run(argc, argv, out, err);
	(void)fclose(out);
	(void)fclose(err);
	return r;
}
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void test_help(void **state)
{
	(void)state;
	assert_int_equal(RUN("--help"), 0);
	assert_string_equal(err_text_, "");
	for (size_t i = 0; i < cli_commands_len; i++)
		assert_non_null(strstr(out_text, cli_commands[i].path));
	assert_non_null(strstr(out_text, "  130  interrupted\n"));
	for (size_t i = 0; i < cli_commands_len; i++) {
		struct span w[CLI_PATH_WORDS];
		size_t n = cli_path_words(cli_commands[i].path, w);
		char word[CLI_PATH_WORDS][32];
		const char *words[CLI_PATH_WORDS + 2] = {0};

		for (size_t k = 0; k < n; k++) {
			(void)snprintf(word[k], sizeof(word[k]), "%.*s", (int)w[k].len,
			               (const char *)w[k].ptr);
			words[k] = word[k];
		}
		words[n] = "--help";
		assert_int_equal(run(words), 0);
		assert_non_null(strstr(out_text, "Usage: causeway "));
		assert_non_null(strstr(out_text, cli_commands[i].brief));
	}
	assert_int_equal(RUN("help", "power", "set"), 0);
	assert_non_null(strstr(out_text, "graceful-restart"));
	assert_int_equal(RUN("help", "power"), 0);
	assert_non_null(strstr(out_text, "power batch"));
	assert_int_equal(RUN("device"), CLI_USAGE);
	assert_non_null(strstr(err_text_, "device watch"));
	assert_int_equal(RUN("frob"), CLI_USAGE);
	assert_non_null(strstr(err_text_, "there is no command 'frob'"));
	assert_int_equal(RUN("help", "frob"), CLI_USAGE);
	assert_int_equal(RUN("version", "--client"), 0);
	assert_string_equal(out_text, "causeway " CAUSEWAY_VERSION "\n");
	assert_int_equal(RUN("audit", "--nope", "--json"), CLI_USAGE);
	free(out_text);
	free(err_text_);
	out_text = err_text_ = NULL;
}

static void test_completion(void **state)
{
	static const char script[] =
		"\nt() { COMP_WORDS=(\"$@\"); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _causeway; "
		"echo \"${COMPREPLY[*]}\"; }\n"
		"causeway() { local IFS=_; echo \"$*\"; echo id-1; }\n"
		"[ \"$(t causeway dev)\" = device ] || exit 11\n"
		"[ \"$(t causeway device credentials '')\" = 'set clear' ] || exit 12\n"
		"[ \"$(t causeway power set X c)\" = cycle ] || exit 13\n"
		"[ \"$(t causeway group create x --enroll r)\" = reject ] || exit 14\n"
		"[ \"$(t causeway device list --fi)\" = --filter ] || exit 15\n"
		"[ \"$(t causeway --data /d device show '')\" = "
		"'--data_/d_device_list_--ids_--timeout_2s id-1' ] || exit 16\n";
	FILE *bash;

	(void)state;
	assert_int_equal(RUN("completion", "bash"), 0);
	bash = popen("bash 2>/dev/null", "w");
	assert_non_null(bash);
	(void)fputs(out_text, bash);
	(void)fputs(script, bash);
	assert_int_equal(pclose(bash), 0);
	assert_int_equal(RUN("completion", "zsh"), 0);
	assert_non_null(strstr(out_text, "#compdef causeway"));
	assert_int_equal(RUN("completion", "fish"), 0);
	assert_non_null(strstr(out_text, "-a 'set clear'"));
	assert_int_equal(RUN("completion", "tcsh"), CLI_USAGE);
	free(out_text);
	free(err_text_);
	out_text = err_text_ = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_and_options),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_help_wins),
		cmocka_unit_test(test_table_is_consistent),
		cmocka_unit_test(test_names_that_others_rely_on),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_completion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
