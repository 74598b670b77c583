/* SPDX-License-Identifier: GPL-3.0-or-later */
/* args.c: parses the command line by the command table. Pure. */
#include "mgmtapi/cli/args.h"

#include <string.h>

#include "core/err.h"

bool cli_value_allowed(const char *values, const char *value)
{
	size_t n = strcspn(value, "|");

	if (value[n] != '\0')
		return false;
	for (const char *p = values; p != NULL; p = strchr(p, '|')) {
		p += *p == '|';
		if (strncmp(p, value, n) == 0 && (p[n] == '\0' || p[n] == '|'))
			return n > 0;
	}
	return false;
}

size_t cli_path_words(const char *path, struct span out[CLI_PATH_WORDS])
{
	size_t n = 0;

	while (n < CLI_PATH_WORDS && *path != '\0') {
		size_t len = strcspn(path, " ");

		out[n++] = span_of(path, len);
		path += len;
		path += *path == ' ';
	}
	return n;
}

/* How many of the words the path consists of; 0 if they are not its beginning. */
static size_t path_matches(const char *path, const char *const *words, size_t words_len)
{
	struct span parts[CLI_PATH_WORDS];
	size_t n = cli_path_words(path, parts);

	if (n > words_len)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (strlen(words[i]) != parts[i].len ||
		    memcmp(words[i], parts[i].ptr, parts[i].len) != 0)
			return 0;
	return n;
}

/* The command with the longest path that the words begin with. */
static const struct cli_command *find_command(const char *const *words, size_t words_len,
                                              size_t *used)
{
	const struct cli_command *best = NULL;

	*used = 0;
	for (size_t i = 0; i < cli_commands_len; i++) {
		size_t n = path_matches(cli_commands[i].path, words, words_len);

		if (n > *used) {
			*used = n;
			best = &cli_commands[i];
		}
	}
	return best;
}

static const struct cli_option *find_in(const struct cli_option *list, struct span name)
{
	for (; list != NULL && list->name != NULL; list++)
		if (strlen(list->name) == name.len && memcmp(list->name, name.ptr, name.len) == 0)
			return list;
	return NULL;
}

static const struct cli_option *find_letter(const struct cli_option *list, char letter)
{
	for (; list != NULL && list->name != NULL; list++)
		if (list->letter == letter)
			return list;
	return NULL;
}

/*
 * Which commands an option without a command word yet may belong to is not known, so the words are collected first: an
 * option takes an argument if any command's option of that name does. Names mean the same everywhere (tested).
 */
static const struct cli_option *find_anywhere(struct span name)
{
	const struct cli_option *o = find_in(cli_global_options, name);

	for (size_t i = 0; o == NULL && i < cli_commands_len; i++)
		o = find_in(cli_commands[i].options, name);
	return o;
}

/* One option: text is what stands behind the dashes. Returns how many further words it took, or -ERR_INVALID. */
static int take_option(struct cli_args *args, const char *text, bool is_long, const char *next,
                       struct buf *why)
{
	const char *equals = is_long ? strchr(text, '=') : NULL;
	struct span name = span_of(text, equals != NULL ? (size_t)(equals - text) : strlen(text));
	const struct cli_option *o = NULL;

	if (is_long)
		o = find_anywhere(name);
	else if (name.len == 1)
		o = find_letter(cli_global_options, text[0]);
	if (o == NULL) {
		buf_printf(why, "unknown option %s%.*s", is_long ? "--" : "-", (int)name.len, text);
		return -ERR_INVALID;
	}
	if (args->given_len == CLI_OPTIONS_MAX) {
		buf_printf(why, "more than %d options", CLI_OPTIONS_MAX);
		return -ERR_INVALID;
	}
	if (o->arg == NULL && equals != NULL) {
		buf_printf(why, "--%s takes no value", o->name);
		return -ERR_INVALID;
	}
	if (o->arg != NULL && equals == NULL && next == NULL) {
		buf_printf(why, "--%s needs a value (%s)", o->name, o->arg);
		return -ERR_INVALID;
	}
	args->given[args->given_len++] = (struct cli_given){o, o->arg == NULL   ? NULL
	                                                       : equals != NULL ? equals + 1
	                                                                        : next};
	return o->arg != NULL && equals == NULL;
}

/* The given options must be the command's or global, once, with allowed values; they point to the command's own after this. */
static int check_options(struct cli_args *args, struct buf *why)
{
	for (size_t i = 0; i < args->given_len; i++) {
		struct cli_given *g = &args->given[i];
		const struct cli_option *o = find_in(cli_global_options, span_str(g->option->name));

		if (o == NULL && args->command != NULL)
			o = find_in(args->command->options, span_str(g->option->name));
		if (o == NULL) {
			buf_printf(why, "'%s' has no option --%s",
			           args->command != NULL ? args->command->path : "causeway",
			           g->option->name);
			return -ERR_INVALID;
		}
		g->option = o;
		for (size_t k = 0; k < i && !o->repeat; k++) {
			if (args->given[k].option == o && o->arg != NULL) {
				buf_printf(why, "--%s is given twice", o->name);
				return -ERR_INVALID;
			}
		}
		if (o->values != NULL && !cli_value_allowed(o->values, g->value)) {
			buf_printf(why, "--%s must be one of %s", o->name, o->values);
			return -ERR_INVALID;
		}
	}
	return 0;
}

static int check_words(const struct cli_args *args, struct buf *why)
{
	const struct cli_command *c = args->command;

	if (args->words_len < c->words_min || args->words_len > c->words_max) {
		if (args->words_len < c->words_min)
			buf_printf(why, "'%s' needs more arguments: %s", c->path, c->synopsis);
		else if (c->words_max == 0)
			buf_printf(why, "'%s' takes no argument ('%s')", c->path, args->words[0]);
		else
			buf_printf(why, "too many arguments for '%s': %s", c->path, c->synopsis);
		return -ERR_INVALID;
	}
	if (c->values != NULL && args->words_len > c->values_at &&
	    !cli_value_allowed(c->values, args->words[c->values_at])) {
		buf_printf(why, "'%s' is not one of %s", args->words[c->values_at], c->values);
		return -ERR_INVALID;
	}
	return 0;
}

/* Splits argv into words and options. */
static int collect(struct cli_args *args, int argc, char *const argv[], struct buf *why)
{
	bool options = true;

	for (int i = 0; i < argc; i++) {
		const char *a = argv[i];

		if (options && strcmp(a, "--") == 0) {
			options = false;
		} else if (options && a[0] == '-' && a[1] != '\0') {
			bool is_long = a[1] == '-';
			int r = take_option(args, a + 1 + is_long, is_long,
			                    i + 1 < argc ? argv[i + 1] : NULL, why);

			if (r < 0)
				return r;
			i += r;
		} else if (args->words_len == CLI_WORDS_MAX) {
			buf_printf(why, "more than %d arguments", CLI_WORDS_MAX);
			return -ERR_INVALID;
		} else {
			args->words[args->words_len++] = a;
		}
	}
	return 0;
}

int cli_args_parse(struct cli_args *args, int argc, char *const argv[], struct buf *why)
{
	size_t used;
	int r;

	memset(args, 0, sizeof(*args));
	r = collect(args, argc, argv, why);
	args->command = find_command(args->words, args->words_len, &used);
	for (size_t i = 0; i < CLI_PATH_WORDS && i < args->words_len; i++)
		args->prefix[args->prefix_len++] = args->words[i];
	if (r != 0)
		return r;
	args->words_len -= used;
	memmove(args->words, args->words + used, args->words_len * sizeof(args->words[0]));
	if (cli_arg_has(args, "help") || (args->command == NULL && cli_arg_has(args, "version")))
		return 0;
	r = check_options(args, why);
	if (r != 0)
		return r;
	return args->command != NULL ? check_words(args, why) : 0;
}

const char *cli_arg_nth(const struct cli_args *args, const char *name, size_t nth)
{
	for (size_t i = 0; i < args->given_len; i++)
		if (strcmp(args->given[i].option->name, name) == 0 && nth-- == 0)
			return args->given[i].value;
	return NULL;
}

size_t cli_arg_count(const struct cli_args *args, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < args->given_len; i++)
		n += strcmp(args->given[i].option->name, name) == 0;
	return n;
}

const char *cli_arg(const struct cli_args *args, const char *name)
{
	size_t n = cli_arg_count(args, name);

	return n > 0 ? cli_arg_nth(args, name, n - 1) : NULL;
}

bool cli_arg_has(const struct cli_args *args, const char *name)
{
	return cli_arg_count(args, name) > 0;
}

const char *cli_word(const struct cli_args *args, size_t nth)
{
	return nth < args->words_len ? args->words[nth] : NULL;
}
