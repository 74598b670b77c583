/* SPDX-License-Identifier: GPL-3.0-or-later */
/* run.c: one run of the program, from the command line to the exit status. One thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/tls.h"
#include "mgmtapi/cli/cli.h"
#include "mgmtapi/cli/format.h"

static const char *environment(const char *name)
{
	return secure_getenv(name);
}

void cli_init(struct cli *cli, FILE *out, FILE *err)
{
	memset(cli, 0, sizeof(*cli));
	cli->out = out;
	cli->err = err;
	cli->in_fd = STDIN_FILENO;
	cli->out_fd = STDOUT_FILENO;
	cli->timeout_ms = CLI_TIMEOUT_MS;
	cli->getenv = environment;
	cli_error_init(&cli->error);
	cli_target_free(&cli->target); /* sets its limits */
}

void cli_free(struct cli *cli)
{
	cli_disconnect(cli);
	cli_target_free(&cli->target);
	cli_error_free(&cli->error);
}

/* A terminal that shows colours, and nobody asked for none (no-color.org). */
static bool wants_color(const struct cli *cli)
{
	const char *no = cli->getenv("NO_COLOR"), *term = cli->getenv("TERM");

	return (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0 &&
	       isatty(fileno(cli->out)) && isatty(fileno(cli->err));
}

static int fail_usage(struct cli *cli, const char *why)
{
	struct buf hint;
	int r;

	buf_init(&hint, 256);
	buf_printf(&hint, "see 'causeway%s%s --help'", cli->args.command != NULL ? " " : "",
	           cli->args.command != NULL ? cli->args.command->path : "");
	r = cli_fail(cli, CLI_USAGE, buf_cstr(&hint), "%s", why);
	buf_free(&hint);
	return r;
}

/* No command of that name: says what there is. */
static int fail_no_command(struct cli *cli)
{
	const struct cli_args *a = &cli->args;

	if (a->prefix_len == 0) {
		(void)cli_help_print(cli->err, NULL, 0);
		return CLI_USAGE;
	}
	for (size_t n = a->prefix_len; !cli->json && n > 0; n--) {
		if (!cli_is_topic(a->prefix, n))
			continue;
		(void)fprintf(cli->err, "causeway: no such command\n");
		(void)cli_help_print(cli->err, a->prefix, n);
		return CLI_USAGE;
	}
	return cli_fail(cli, CLI_USAGE, "'causeway help' lists all commands",
	                "there is no command '%s'", a->prefix[0]);
}

static int print_help(struct cli *cli)
{
	const struct cli_command *c = cli->args.command;
	struct span parts[CLI_PATH_WORDS];

	for (size_t n = c != NULL ? cli_path_words(c->path, parts) : cli->args.prefix_len;; n--)
		if (n == 0 || cli_is_topic(cli->args.prefix, n))
			return cli_help_print(cli->out, cli->args.prefix, n) ? CLI_OK : CLI_FAILED;
}

static int apply_globals(struct cli *cli)
{
	const struct cli_command *c = cli->args.command;
	const char *id = cli_arg(&cli->args, "request-id");

	cli->quiet = cli_arg_has(&cli->args, "quiet");
	cli->color = wants_color(cli);
	cli->timeout_ms = c->streams ? 0 : c->timeout_ms != 0 ? c->timeout_ms : CLI_TIMEOUT_MS;
	if (id != NULL && (id[0] == '\0' || strlen(id) > 63))
		return cli_fail(cli, CLI_USAGE, NULL, "--request-id takes 1 to 63 characters");
	return cli_arg_ms(cli, "timeout", &cli->timeout_ms);
}

static int run_command(struct cli *cli)
{
	int r = apply_globals(cli);

	if (r == 0)
		r = cli->args.command->run(cli);
	if (r == 0 && (fflush(cli->out) != 0 || ferror(cli->out)))
		r = cli_fail(cli, CLI_FAILED, NULL, "cannot write the output: %s", strerror(errno));
	return r;
}

static int run_args(struct cli *cli, int argc, char *const argv[])
{
	struct buf why;
	int r;

	buf_init(&why, CLI_ERROR_TEXT_MAX);
	r = cli_args_parse(&cli->args, argc, argv, &why);
	cli->json = cli_arg_has(&cli->args, "json");
	if (r != 0)
		r = fail_usage(cli, buf_cstr(&why));
	else if (cli_arg_has(&cli->args, "help"))
		r = print_help(cli);
	else if (cli->args.command == NULL && cli_arg_has(&cli->args, "version"))
		(void)fprintf(cli->out, "causeway %s\n", CAUSEWAY_VERSION);
	else if (cli->args.command == NULL)
		r = fail_no_command(cli);
	else
		r = run_command(cli);
	buf_free(&why);
	return r;
}

int cli_run(int argc, char *const argv[], FILE *out, FILE *err)
{
	struct cli *cli = malloc(sizeof(*cli));
	int r;

	if (cli == NULL || tls_global_init() != 0) {
		free(cli);
		(void)fputs("causeway: cannot start: out of memory or no working cryptography\n",
		            err);
		return CLI_FAILED;
	}
	cli_init(cli, out, err);
	r = run_args(cli, argc - 1, argv + 1);
	(void)fflush(out);
	cli_error_print(cli);
	cli_free(cli);
	free(cli);
	tls_global_fini();
	return r;
}
