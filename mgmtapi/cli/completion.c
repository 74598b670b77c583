/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * completion.c: completion scripts for shells, from the command table. Device ids come from the server while bash completes
 * (for at most two seconds); the other words are in the script. One thread.
 */
#include <string.h>

#include "mgmtapi/cli/cli.h"

/* ---- words that follow a path */

/* The word behind the first n words of a path, if the path begins with them; an empty span if not. */
static struct span next_word(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	if (n > 0 && (strncmp(path, prefix, n) != 0 || path[n] != ' '))
		return span_of(NULL, 0);
	path += n > 0 ? n + 1 : 0;
	return span_of(path, strcspn(path, " "));
}

/* Prints each word that may follow the prefix once. The table has the commands of one topic together. */
static void print_next_words(FILE *out, const char *prefix)
{
	struct span last = span_of(NULL, 0);

	for (size_t i = 0; i < cli_commands_len; i++) {
		struct span w = next_word(cli_commands[i].path, prefix);

		if (w.len == 0 || (w.len == last.len && memcmp(w.ptr, last.ptr, w.len) == 0))
			continue;
		(void)fprintf(out, "%s%.*s", last.len > 0 ? " " : "", (int)w.len,
		              (const char *)w.ptr);
		last = w;
	}
}

/* Calls each for every prefix of commands that is no command itself: "", "device", "device credentials". */
static void each_topic(FILE *out, void (*each)(FILE *out, const char *topic))
{
	char last[2][64] = {"", ""}, topic[64];

	each(out, "");
	for (size_t i = 0; i < cli_commands_len; i++) {
		struct span parts[CLI_PATH_WORDS];
		size_t n = cli_path_words(cli_commands[i].path, parts);

		for (size_t k = 1; k < n; k++) {
			size_t len = (size_t)(parts[k].ptr - parts[0].ptr) - 1;

			(void)snprintf(topic, sizeof(topic), "%.*s", (int)len,
			               cli_commands[i].path);
			if (strcmp(topic, last[k - 1]) == 0)
				continue;
			(void)snprintf(last[k - 1], sizeof(last[0]), "%s", topic);
			each(out, topic);
		}
	}
}

static void print_option_names(FILE *out, const struct cli_option *o)
{
	for (; o != NULL && o->name != NULL; o++)
		(void)fprintf(out, " --%s", o->name);
}

static void print_values(FILE *out, const char *values)
{
	for (const char *p = values; p != NULL && *p != '\0'; p++)
		(void)fputc(*p == '|' ? ' ' : *p, out);
}

/* ---- bash */

static void bash_topic(FILE *out, const char *topic)
{
	(void)fprintf(out, "\t'%s') words='", topic);
	print_next_words(out, topic);
	(void)fputs("' ;;\n", out);
}

static void bash_option(FILE *out, const struct cli_option *o)
{
	if (o->arg == NULL)
		return;
	(void)fprintf(out, "\t--%s) ", o->name);
	if (o->values != NULL) {
		(void)fputs("COMPREPLY=($(compgen -W '", out);
		print_values(out, o->values);
		(void)fputs("' -- \"$cur\"))", out);
	} else if (o->kind == CLI_KIND_FILE) {
		(void)fputs("COMPREPLY=($(compgen -f -- \"$cur\"))", out);
	} else if (o->kind == CLI_KIND_DIR) {
		(void)fputs("COMPREPLY=($(compgen -d -- \"$cur\"))", out);
	} else {
		(void)fputs(":", out);
	}
	(void)fputs("; return ;;\n", out);
}

/* Options of the same name take the same kind of argument everywhere, so each is listed once. */
static bool listed_before(size_t command, const struct cli_option *o)
{
	for (size_t i = 0; i < command; i++)
		for (const struct cli_option *p = cli_commands[i].options;
		     p != NULL && p->name != NULL; p++)
			if (strcmp(p->name, o->name) == 0)
				return true;
	return false;
}

static void bash_command(FILE *out, const struct cli_command *c)
{
	(void)fprintf(out, "\t'%s') options='", c->path);
	print_option_names(out, c->options);
	(void)fputs("'", out);
	if (c->kind == CLI_KIND_DEVICE)
		(void)fputs("; [ $rest -eq 0 ] && words=$(_causeway_ids)", out);
	if (c->kind == CLI_KIND_FILE)
		(void)fputs("; [ $rest -eq 0 ] && files=1", out);
	if (c->values != NULL) {
		(void)fprintf(out, "; [ $rest -eq %zu ] && words='", c->values_at);
		print_values(out, c->values);
		(void)fputs("'", out);
	}
	(void)fputs(" ;;\n", out);
}

static void print_bash(FILE *out)
{
	(void)fputs("# bash completion for causeway; made by 'causeway completion bash'\n"
	            "_causeway_ids() {\n"
	            "\tlocal i args=()\n"
	            "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	            "\t\tcase ${COMP_WORDS[i]} in\n"
	            "\t\t--api|--token-file|--ca|--client-cert|--client-key|--data) "
	            "args+=(\"${COMP_WORDS[i]}\" \"${COMP_WORDS[i+1]}\") ;;\n"
	            "\t\tesac\n"
	            "\tdone\n"
	            "\tcauseway \"${args[@]}\" device list --ids --timeout 2s 2>/dev/null\n"
	            "}\n"
	            "_causeway() {\n"
	            "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	            "\tlocal path='' words='' options='' files='' rest=0 i w\n"
	            "\tCOMPREPLY=()\n"
	            "\tcase $prev in\n",
	            out);
	for (const struct cli_option *o = cli_global_options; o->name != NULL; o++)
		bash_option(out, o);
	for (size_t i = 0; i < cli_commands_len; i++)
		for (const struct cli_option *o = cli_commands[i].options;
		     o != NULL && o->name != NULL; o++)
			if (!listed_before(i, o))
				bash_option(out, o);
	(void)fputs("\tesac\n\tfor ((i = 1; i < COMP_CWORD; i++)); "
	            "do\n\t\tw=${COMP_WORDS[i]}\n\t\tcase $w in\n\t\t",
	            out);
	for (const struct cli_option *o = cli_global_options; o->name != NULL; o++)
		if (o->arg != NULL)
			(void)fprintf(out, "--%s|", o->name);
	for (size_t i = 0; i < cli_commands_len; i++)
		for (const struct cli_option *o = cli_commands[i].options;
		     o != NULL && o->name != NULL; o++)
			if (o->arg != NULL && !listed_before(i, o))
				(void)fprintf(out, "--%s|", o->name);
	(void)fputs("--) ((i++)) ;;\n\t\t-*) ;;\n\t\t*) case \" $_causeway_paths \" in\n"
	            "\t\t\t*\"|${path:+$path }$w|\"*|*\"|${path:+$path }$w \"*) path=${path:+$path "
	            "}$w ;;\n"
	            "\t\t\t*) ((rest++)) ;;\n\t\t\tesac ;;\n\t\tesac\n\tdone\n\tcase $path in\n",
	            out);
	each_topic(out, bash_topic);
	for (size_t i = 0; i < cli_commands_len; i++)
		bash_command(out, &cli_commands[i]);
	(void)fputs("\tesac\n\tcase $cur in\n\t-*) words=\"$options", out);
	print_option_names(out, cli_global_options);
	(void)fputs("\"; files='' ;;\n\tesac\n"
	            "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	            "\t[ -n \"$files\" ] && COMPREPLY=($(compgen -f -- \"$cur\"))\n"
	            "\treturn 0\n}\n_causeway_paths='|",
	            out);
	for (size_t i = 0; i < cli_commands_len; i++)
		(void)fprintf(out, "%s|", cli_commands[i].path);
	(void)fputs("'\ncomplete -F _causeway causeway\n", out);
}

/* ---- zsh: bash's own function, through zsh's emulation of it */

static void print_zsh(FILE *out)
{
	(void)fputs("#compdef causeway\nautoload -U +X bashcompinit && bashcompinit\n", out);
	print_bash(out);
}

/* ---- fish */

/* A text within single quotes. */
static void fish_text(FILE *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\'' || *s == '\\')
			(void)fputc('\\', out);
		(void)fputc(*s, out);
	}
}

static void fish_topic(FILE *out, const char *topic)
{
	(void)fprintf(out, "complete -c causeway -n \"test (__causeway_path) = '%s'\" -a '", topic);
	print_next_words(out, topic);
	(void)fputs("'\n", out);
}

static void fish_option(FILE *out, const char *path, const struct cli_option *o)
{
	(void)fputs("complete -c causeway", out);
	if (path != NULL)
		(void)fprintf(out, " -n \"string match -q -- '%s*' (__causeway_path)\"", path);
	(void)fprintf(out, " -l %s", o->name);
	if (o->arg != NULL)
		(void)fputs(o->kind == CLI_KIND_FILE || o->kind == CLI_KIND_DIR ? " -rF" : " -x",
		            out);
	if (o->values != NULL) {
		(void)fputs(" -a '", out);
		print_values(out, o->values);
		(void)fputs("'", out);
	}
	(void)fputs(" -d '", out);
	fish_text(out, o->brief);
	(void)fputs("'\n", out);
}

static void print_fish(FILE *out)
{
	(void)fputs("# fish completion for causeway; made by 'causeway completion fish'\n"
	            "function __causeway_path\n"
	            "\tset -l path\n"
	            "\tfor w in (commandline -opc)[2..-1]\n"
	            "\t\tstring match -q -- '-*' $w; or set -a path $w\n"
	            "\tend\n"
	            "\techo \"$path\"\n"
	            "end\n"
	            "complete -c causeway -f\n",
	            out);
	each_topic(out, fish_topic);
	for (const struct cli_option *o = cli_global_options; o->name != NULL; o++)
		fish_option(out, NULL, o);
	for (size_t i = 0; i < cli_commands_len; i++) {
		const struct cli_command *c = &cli_commands[i];

		for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++)
			fish_option(out, c->path, o);
		if (c->kind == CLI_KIND_DEVICE)
			(void)fprintf(
				out,
				"complete -c causeway -n \"test (__causeway_path) = '%s'\" "
				"-a '(causeway device list --ids --timeout 2s 2>/dev/null)'\n",
				c->path);
		if (c->values == NULL)
			continue;
		(void)fprintf(out,
		              "complete -c causeway -n \"string match -q -- '%s*' "
		              "(__causeway_path)\" -a '",
		              c->path);
		print_values(out, c->values);
		(void)fputs("'\n", out);
	}
}

int cli_completion(struct cli *cli)
{
	const char *shell = cli_word(&cli->args, 0);

	if (strcmp(shell, "bash") == 0)
		print_bash(cli->out);
	else if (strcmp(shell, "zsh") == 0)
		print_zsh(cli->out);
	else
		print_fish(cli->out);
	return CLI_OK;
}
