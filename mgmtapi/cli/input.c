/* SPDX-License-Identifier: GPL-3.0-or-later */
/* input.c: passwords, files and values of options. Passwords never come from the command line itself: others can read that. One thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "core/err.h"
#include "core/file.h"
#include "core/text.h"
#include "mgmtapi/cli/cli.h"
#include "mgmtapi/cli/format.h"
#include "mgmtapi/cli/net.h"

/* Reads the descriptor to its end, or to the first line's end. */
static int read_fd(int fd, bool line, struct buf *out)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t chunk[4096];

	for (;;) {
		int r = cli_poll(&p, 1, 0);
		ssize_t n;

		if (r < 0)
			return r;
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -ERR_IO;
		buf_put(out, chunk, (size_t)n);
		secret_zero(chunk, sizeof(chunk));
		if (out->err != 0 || n == 0 || (line && memchr(out->data, '\n', out->len) != NULL))
			return out->err;
	}
}

int cli_read_file(struct cli *cli, const char *path, struct buf *out)
{
	bool from_stdin = strcmp(path, "-") == 0;
	int r = from_stdin ? read_fd(cli->in_fd, false, out) : file_read(path, out);

	if (r == -ERR_CANCELLED)
		return cli_fail(cli, CLI_INTERRUPTED, NULL, "interrupted");
	if (r == -ERR_TOO_BIG)
		return cli_fail(cli, CLI_USAGE, NULL, "%s is larger than %zu octets",
		                from_stdin ? "standard input" : path, out->cap);
	if (r != 0)
		return cli_fail(cli, r == -ERR_DENIED ? CLI_DENIED : CLI_FAILED, NULL,
		                "cannot read %s: %s", from_stdin ? "standard input" : path,
		                err_text(r));
	return 0;
}

static int take_password(struct cli *cli, const char *source, struct buf *text, struct secret *out)
{
	struct span s = buf_span(text);

	if (s.len > 0 && s.ptr[s.len - 1] == '\n')
		s.len--;
	if (s.len > 0 && s.ptr[s.len - 1] == '\r')
		s.len--;
	if (s.len == 0)
		return cli_fail(cli, CLI_USAGE, "it must hold the password on one line",
		                "%s holds no password", source);
	if (memchr(s.ptr, '\n', s.len) != NULL || memchr(s.ptr, '\0', s.len) != NULL)
		return cli_fail(cli, CLI_USAGE, "it must hold the password on one line",
		                "%s has more than one line", source);
	if (s.len > CLI_PASSWORD_MAX)
		return cli_fail(cli, CLI_USAGE, NULL, "the password is longer than %d octets",
		                CLI_PASSWORD_MAX);
	return secret_set(out, s) == 0 ? 0
	                               : cli_fail(cli, CLI_FAILED, NULL, "%s", err_text(ERR_NOMEM));
}

/* Asks once at the terminal, without echo. */
static int ask(struct cli *cli, const char *prompt, const char *what, struct secret *out)
{
	struct termios old, quiet;
	struct buf text;
	int r;

	(void)fprintf(cli->err, "%s%s: ", prompt, what);
	(void)fflush(cli->err);
	if (tcgetattr(cli->in_fd, &old) != 0)
		return cli_fail(cli, CLI_FAILED, NULL, "cannot read from the terminal");
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(cli->in_fd, TCSAFLUSH, &quiet);
	buf_init(&text, CLI_PASSWORD_MAX + 2);
	r = read_fd(cli->in_fd, true, &text);
	(void)tcsetattr(cli->in_fd, TCSAFLUSH, &old);
	(void)fputc('\n', cli->err);
	if (r == -ERR_CANCELLED)
		r = cli_fail(cli, CLI_INTERRUPTED, NULL, "interrupted");
	else if (r == -ERR_TOO_BIG)
		r = cli_fail(cli, CLI_USAGE, NULL, "the password is longer than %d octets",
		             CLI_PASSWORD_MAX);
	else if (r != 0)
		r = cli_fail(cli, CLI_FAILED, NULL, "cannot read from the terminal: %s",
		             err_text(r));
	else
		r = take_password(cli, "the input", &text, out);
	buf_free_secret(&text);
	return r;
}

int cli_password(struct cli *cli, const char *option, const char *what, struct secret *out)
{
	const char *path = cli_arg(&cli->args, option);
	struct secret again = {0};
	struct buf text;
	int r;

	if (path == NULL && !isatty(cli->in_fd))
		return cli_fail(
			cli, CLI_USAGE,
			"write it into a file that only you can read; '-' reads standard input",
			"--%s is needed (no terminal to ask for the password)", option);
	if (path == NULL) {
		r = ask(cli, "", what, out);
		if (r == 0)
			r = ask(cli, "Again, ", what, &again);
		if (r == 0 && !secret_matches(out, secret_reveal(&again)))
			r = cli_fail(cli, CLI_USAGE, NULL, "the passwords differ");
		secret_clear(&again);
		return r;
	}
	buf_init(&text, 4096);
	r = cli_read_file(cli, path, &text);
	if (r == 0)
		r = take_password(cli, strcmp(path, "-") == 0 ? "standard input" : path, &text,
		                  out);
	buf_free_secret(&text);
	return r;
}

int cli_arg_ms(struct cli *cli, const char *option, uint64_t *out)
{
	const char *text = cli_arg(&cli->args, option);

	if (text == NULL || cli_duration_parse(text, out) == 0)
		return 0;
	return cli_fail(cli, CLI_USAGE, "write it like 90s, 5m, 1h30m or 30d",
	                "--%s: '%s' is not a duration", option, text);
}

int cli_arg_u32(struct cli *cli, const char *option, uint32_t max, uint32_t *out)
{
	const char *text = cli_arg(&cli->args, option);
	size_t n = text != NULL ? strlen(text) : 0;
	unsigned long v;

	if (text == NULL)
		return 0;
	v = n > 0 && n <= 10 && strspn(text, "0123456789") == n ? strtoul(text, NULL, 10)
	                                                        : (unsigned long)max + 1;
	if (v > max)
		return cli_fail(cli, CLI_USAGE, NULL, "--%s: '%s' is not a number up to %u", option,
		                text, max);
	*out = (uint32_t)v;
	return 0;
}
