/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * top_term.c: the terminal of `causeway top`. What a crash needs to put things back is static and only read after it was set; the
 * handlers use write, tcsetattr and what else may be called in a signal handler.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "mgmtapi/cli/net.h"
#include "mgmtapi/cli/top.h"

#define ENTER "\033[?1049h\033[?25l\033[H\033[2J"
#define LEAVE "\033[0m\033[?25h\033[?1049l"

static const int crashes[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

static struct {
	volatile sig_atomic_t entered;
	int in_fd, out_fd, signals;
	struct termios before, raw;
	struct sigaction crash_before[ARRAY_LEN(crashes)];
} term = {.signals = -1};

static void put(const char *text, size_t n)
{
	while (n > 0) {
		ssize_t r = write(term.out_fd, text, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return;
		text += r;
		n -= (size_t)r;
	}
}

static void screen_on(void)
{
	(void)tcsetattr(term.in_fd, TCSADRAIN, &term.raw);
	put(ENTER, sizeof(ENTER) - 1);
	term.entered = 1;
}

static void screen_off(void)
{
	if (!term.entered)
		return;
	term.entered = 0;
	(void)tcsetattr(term.in_fd, TCSANOW, &term.before);
	put(LEAVE, sizeof(LEAVE) - 1);
}

/* The handler was reset when it was called: the same signal again ends the process as it would have. */
static void on_crash(int sig)
{
	screen_off();
	(void)raise(sig);
}

static void watch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGWINCH);
	(void)sigaddset(&set, SIGTSTP);
	(void)sigaddset(&set, SIGQUIT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	term.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
		(void)sigaction(crashes[i], &sa, &term.crash_before[i]);
	cli_signals_leave(screen_off);
}

int top_term_enter(struct cli *cli)
{
	term.in_fd = cli->in_fd;
	term.out_fd = cli->out_fd;
	if (tcgetattr(term.in_fd, &term.before) != 0)
		return cli_fail(cli, CLI_FAILED, "use --batch, --once or --json",
		                "standard input is no terminal");
	term.raw = term.before;
	term.raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	term.raw.c_cc[VMIN] = 1;
	term.raw.c_cc[VTIME] = 0;
	watch_signals();
	if (term.signals < 0)
		return cli_fail(cli, CLI_FAILED, NULL, "no descriptor for signals: %s",
		                strerror(errno));
	screen_on();
	return 0;
}

void top_term_leave(void)
{
	screen_off();
	cli_signals_leave(NULL);
	for (size_t i = 0; term.signals >= 0 && i < ARRAY_LEN(crashes); i++)
		(void)sigaction(crashes[i], &term.crash_before[i], NULL);
	if (term.signals >= 0)
		(void)close(term.signals);
	term.signals = -1;
}

/* COLUMNS and LINES are for what is no terminal. */
static unsigned from_environment(const struct cli *cli, const char *name, unsigned otherwise,
                                 unsigned most)
{
	const char *text = cli->getenv(name);
	unsigned long v = text != NULL ? strtoul(text, NULL, 10) : 0;

	return v > 0 && v <= most ? (unsigned)v : otherwise;
}

void top_term_size(const struct cli *cli, unsigned *width, unsigned *height)
{
	struct winsize ws;

	if (ioctl(cli->out_fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 && ws.ws_row > 0) {
		*width = ws.ws_col;
		*height = ws.ws_row;
		return;
	}
	*width = from_environment(cli, "COLUMNS", 80, TOP_WIDTH_MAX);
	*height = from_environment(cli, "LINES", 24, TOP_HEIGHT_MAX);
}

int top_term_signals(void)
{
	return term.signals;
}

/* As a shell expects it: the terminal is put back while we are stopped. */
static void stop_here(void)
{
	screen_off();
	(void)raise(SIGSTOP);
	screen_on();
}

bool top_term_handle(void)
{
	struct signalfd_siginfo info;

	while (read(term.signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGQUIT)
			return false;
		if (info.ssi_signo == SIGTSTP)
			stop_here();
	}
	return true;
}
