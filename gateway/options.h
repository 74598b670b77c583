/* SPDX-License-Identifier: GPL-3.0-or-later */
/* options.h: the command line of causewayd. */
#pragma once

#include "core/base.h"

#define EXIT_USAGE 2
#define EXIT_CONFIGURATION \
	78 /* sysexits' EX_CONFIG: something outside the program has to be put right */

enum daemon_mode {
	DAEMON_RUN,
	DAEMON_CHECK,
	DAEMON_PRINT_CONFIG,
	DAEMON_RESTORE,
	DAEMON_ROTATE_KEY
};

struct daemon_options {
	const char *config; /* NULL: the defaults */
	const char *data;
	const char *backup; /* DAEMON_RESTORE: the file */
	enum daemon_mode mode;
};

/* options_parse: fills out. 0 to go on; otherwise the exit status plus 1 (help and version were printed, or usage was wrong). */
int options_parse(int argc, char **argv, struct daemon_options *out) MUST_CHECK;
