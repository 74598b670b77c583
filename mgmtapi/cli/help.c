/* SPDX-License-Identifier: GPL-3.0-or-later */
/* help.c: the help, from the command table. One thread. */
#include <string.h>

#include "mgmtapi/cli/cli.h"

#define COMMAND_WIDTH 32
#define OPTION_WIDTH  28

static const char environment[] = "Finding the server:\n"
				  "  --data DIR (or CAUSEWAY_DATA) is enough on the server's "
				  "machine: DIR/run.json, DIR/root.crt and\n"
				  "  DIR/admin.token say the rest. Elsewhere: --api, --token-file "
				  "and --ca (or CAUSEWAY_API,\n"
				  "  CAUSEWAY_TOKEN_FILE, CAUSEWAY_CA; for client certificates "
				  "CAUSEWAY_CLIENT_CERT, CAUSEWAY_CLIENT_KEY).\n"
				  "  With none of these, the data folder " CLI_DATA_DEFAULT
				  " is tried. With --api but no --ca or --data, the\n"
				  "  system's certificates (/etc/ssl/certs) are trusted. Options "
				  "count more than the environment.\n"
				  "  NO_COLOR switches colours off.\n";

static const char statuses[] =
	"Exit status:\n"
	"  0    done\n"
	"  1    failed: the server refused, or part of the work failed\n"
	"  2    wrong command line\n"
	"  3    not found\n"
	"  4    the device is not connected, or the present state does not allow it\n"
	"  5    not authenticated or not permitted\n"
	"  6    no connection to the server, or no answer in time\n"
	"  130  interrupted\n";

static void print_options(FILE *out, const struct cli_option *o)
{
	for (; o != NULL && o->name != NULL; o++) {
		char text[80], letter[8] = "    ";

		if (o->letter != 0)
			(void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		(void)snprintf(text, sizeof(text), "%s--%s%s%s", letter, o->name,
		               o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");
		(void)fprintf(out, "  %-*s  %s\n", OPTION_WIDTH, text, o->brief);
	}
}

static void print_commands(FILE *out, const char *topic)
{
	size_t n = topic != NULL ? strlen(topic) : 0;

	for (size_t i = 0; i < cli_commands_len; i++) {
		const struct cli_command *c = &cli_commands[i];
		char text[96];

		if (topic != NULL &&
		    (strncmp(c->path, topic, n) != 0 || (c->path[n] != ' ' && c->path[n] != '\0')))
			continue;
		(void)snprintf(text, sizeof(text), "%s%s%s", c->path,
		               c->synopsis[0] != '\0' ? " " : "", c->synopsis);
		(void)fprintf(out, "  %-*s  %s\n", COMMAND_WIDTH, text, c->brief);
	}
}

static void print_overview(FILE *out)
{
	(void)fputs("causeway: commands a Causeway gateway and the Intel AMT devices that dial in "
	            "to it.\n\n"
	            "Usage: causeway [OPTIONS] COMMAND [ARGUMENTS]\n\nCommands:\n",
	            out);
	print_commands(out, NULL);
	(void)fputs("\nOptions (of every command, anywhere):\n", out);
	print_options(out, cli_global_options);
	(void)fprintf(out, "\n%s\n%s\n'causeway COMMAND --help' explains a command.\n", environment,
	              statuses);
}

static void print_command(FILE *out, const struct cli_command *c)
{
	(void)fprintf(out, "causeway %s: %s\n\nUsage: causeway %s%s%s%s\n", c->path, c->brief,
	              c->path, c->synopsis[0] != '\0' ? " " : "", c->synopsis,
	              c->options != NULL ? " [OPTIONS]" : "");
	if (c->help != NULL)
		(void)fprintf(out, "\n%s", c->help);
	if (c->options != NULL) {
		(void)fputs("\nOptions:\n", out);
		print_options(out, c->options);
	}
	(void)fputs("\nOptions of every command:\n", out);
	print_options(out, cli_global_options);
}

/* Whether the words are the path, or (topic) its beginning. */
static bool is_path(const char *path, const char *const *words, size_t words_len, bool topic)
{
	struct span parts[CLI_PATH_WORDS];
	size_t n = cli_path_words(path, parts);

	if (words_len > n || (!topic && words_len < n))
		return false;
	for (size_t i = 0; i < words_len; i++)
		if (strlen(words[i]) != parts[i].len ||
		    memcmp(words[i], parts[i].ptr, parts[i].len) != 0)
			return false;
	return true;
}

bool cli_is_topic(const char *const *words, size_t words_len)
{
	for (size_t i = 0; i < cli_commands_len; i++)
		if (is_path(cli_commands[i].path, words, words_len, true))
			return true;
	return false;
}

bool cli_help_print(FILE *out, const char *const *words, size_t words_len)
{
	char topic[96] = "";
	size_t n = 0;

	if (words_len == 0) {
		print_overview(out);
		return true;
	}
	for (size_t i = 0; i < cli_commands_len; i++) {
		if (is_path(cli_commands[i].path, words, words_len, false)) {
			print_command(out, &cli_commands[i]);
			return true;
		}
	}
	if (!cli_is_topic(words, words_len))
		return false;
	for (size_t i = 0; i < words_len && n < sizeof(topic); i++)
		n += (size_t)snprintf(topic + n, sizeof(topic) - n, "%s%s", i > 0 ? " " : "",
		                      words[i]);
	(void)fprintf(out, "Commands of causeway %s:\n", topic);
	print_commands(out, topic);
	(void)fputs("\n'causeway COMMAND --help' explains a command.\n", out);
	return true;
}

int cli_help(struct cli *cli)
{
	if (!cli_help_print(cli->out, cli->args.words, cli->args.words_len))
		return cli_fail(cli, CLI_USAGE, "'causeway help' lists all commands",
		                "there is no command '%s'", cli_word(&cli->args, 0));
	return CLI_OK;
}
