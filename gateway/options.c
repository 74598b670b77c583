/* SPDX-License-Identifier: GPL-3.0-or-later */
/* options.c: the command line of causewayd and its help. */
#include "gateway/options.h"

#include <getopt.h>
#include <stdio.h>

static const char help[] =
	"Usage: causewayd [--config FILE] [--data DIR] [--check | --print-config | --restore "
	"BACKUP | --rotate-key]\n"
	"\n"
	"Holds the CIRA tunnels of Intel AMT devices and serves the management API.\n"
	"\n"
	"  -c, --config FILE   configuration (YAML); without it the defaults hold\n"
	"  -d, --data DIR      store, certificates, run.json (default /var/lib/causeway)\n"
	"      --check         check configuration, kernel and store, print findings, and exit\n"
	"      --print-config  print every configuration key with its default and meaning\n"
	"      --restore FILE  put a backup into an empty DIR (the sealing key has to be restored "
	"beside it)\n"
	"      --rotate-key    make a new sealing key, seal every secret anew, and exit (the "
	"daemon must not run)\n"
	"  -V, --version       print the version\n"
	"  -h, --help          print this\n"
	"\n"
	"First start makes DIR/root.crt (give it to devices) and DIR/admin.token (for 'causeway "
	"--data DIR ...').\n"
	"Signals: HUP reads configuration and certificates again, TERM and INT stop (a second one "
	"at once).\n"
	"Exit status: 0 stopped, 1 failed, 2 usage, 78 configuration, kernel or data need "
	"attention (the message says what).\n";

enum { OPT_CHECK = 256, OPT_PRINT_CONFIG, OPT_RESTORE, OPT_ROTATE_KEY };

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"data", required_argument, NULL, 'd'},
	{"check", no_argument, NULL, OPT_CHECK},
	{"print-config", no_argument, NULL, OPT_PRINT_CONFIG},
	{"restore", required_argument, NULL, OPT_RESTORE},
	{"rotate-key", no_argument, NULL, OPT_ROTATE_KEY},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int usage(const char *what)
{
	fprintf(stderr, "causewayd: %stry 'causewayd --help'\n", what);
	return EXIT_USAGE + 1;
}

int options_parse(int argc, char **argv, struct daemon_options *out)
{
	int c;

	*out = (struct daemon_options){.data = "/var/lib/causeway"};
	while ((c = getopt_long(argc, argv, "c:d:Vh", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			out->config = optarg;
			break;
		case 'd':
			out->data = optarg;
			break;
		case OPT_CHECK:
			out->mode = DAEMON_CHECK;
			break;
		case OPT_PRINT_CONFIG:
			out->mode = DAEMON_PRINT_CONFIG;
			break;
		case OPT_RESTORE:
			out->mode = DAEMON_RESTORE;
			out->backup = optarg;
			break;
		case OPT_ROTATE_KEY:
			out->mode = DAEMON_ROTATE_KEY;
			break;
		case 'V':
			puts("causewayd " CAUSEWAY_VERSION);
			return 1;
		case 'h':
			fputs(help, stdout);
			return 1;
		default:
			return usage("");
		}
	}
	return optind < argc ? usage("it takes no arguments but options; ") : 0;
}
