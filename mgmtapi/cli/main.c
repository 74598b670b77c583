/* SPDX-License-Identifier: GPL-3.0-or-later */
/* main.c: the program causeway. */
#include <locale.h>

#include "mgmtapi/cli/cli.h"

int main(int argc, char *argv[])
{
	(void)setlocale(LC_TIME, "C");
	cli_signals_init();
	return cli_run(argc, argv, stdout, stderr);
}
