/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * args.h: the command table's types and the parser of the command line. A command is one to three
 * words; options may stand anywhere, "--" ends them. Pure: no I/O. One thread.
 */
#pragma once

#include "core/buf.h"

#define CLI_WORDS_MAX   4096 /* device ids after "power batch" */
#define CLI_OPTIONS_MAX 128
#define CLI_PATH_WORDS  3

struct cli;

/* What an argument is, for shell completion. */
enum cli_kind { CLI_KIND_TEXT, CLI_KIND_FILE, CLI_KIND_DIR, CLI_KIND_DEVICE, CLI_KIND_GROUP };

struct cli_option {
	const char *name;   /* without "--"; NULL ends a list */
	const char *arg;    /* what follows, such as "FILE"; NULL: nothing follows */
	const char *brief;  /* one line for the help */
	const char *values; /* words that are allowed, separated by "|"; NULL: any */
	enum cli_kind kind;
	bool repeat; /* may be given more than once */
	char letter; /* "-h"; 0: none */
};

struct cli_command {
	const char *path;     /* "device list" */
	const char *synopsis; /* its arguments without options: "ID ACTION" */
	const char *brief;    /* one line */
	const char *help;     /* more, with examples; lines of at most 100 characters */
	const struct cli_option *options;
	int (*run)(struct cli *cli); /* exit status; on failure cli->error is set */
	size_t words_min, words_max;
	const char *values;  /* allowed words of the argument at values_at, as in cli_option */
	size_t values_at;    /* 0 is the first */
	enum cli_kind kind;  /* of the first argument */
	bool streams;        /* no time limit unless --timeout is given */
	uint32_t timeout_ms; /* of a call; 0: CLI_TIMEOUT_MS */
};

extern const struct cli_command cli_commands[];
extern const size_t cli_commands_len;
extern const struct cli_option cli_global_options[];

struct cli_given {
	const struct cli_option *option;
	const char *value; /* borrowed from argv; NULL for options without an argument */
};

/* What a command line says. Everything is borrowed from argv. */
struct cli_args {
	const struct cli_command *command; /* NULL: none was named */
	const char *words[CLI_WORDS_MAX];  /* arguments behind the command's own words */
	size_t words_len;
	struct cli_given given[CLI_OPTIONS_MAX];
	size_t given_len;
	const char *prefix[CLI_PATH_WORDS]; /* with no command: the words that were given */
	size_t prefix_len;
};

/*
 * cli_args_parse: argv without the program's name. 0, or -ERR_INVALID with a sentence for people appended to why; args->command
 * is set as far as it was found. Asked for --help or --version, missing arguments are no error.
 */
int cli_args_parse(struct cli_args *args, int argc, char *const argv[], struct buf *why) MUST_CHECK;

/* cli_arg: the value of an option; the last one counts. NULL: not given. */
const char *cli_arg(const struct cli_args *args, const char *name);
bool cli_arg_has(const struct cli_args *args, const char *name);
/* cli_arg_count, cli_arg_nth: for options that repeat. */
size_t cli_arg_count(const struct cli_args *args, const char *name);
const char *cli_arg_nth(const struct cli_args *args, const char *name, size_t nth);
/* cli_word: the nth argument; NULL if there are fewer. */
const char *cli_word(const struct cli_args *args, size_t nth);

/* cli_value_allowed: is value one of the words in values ("a|b|c")? */
bool cli_value_allowed(const char *values, const char *value);
/* cli_path_words: splits a command's path; the number of words. */
size_t cli_path_words(const char *path, struct span out[CLI_PATH_WORDS]);
