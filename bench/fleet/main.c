/* SPDX-License-Identifier: GPL-3.0-or-later */
/* main.c: causeway-fleet, a fleet of simulated Intel AMT devices. */
#include "bench/fleet/fleet.h"

#include <stdlib.h>

#define EXIT_USAGE 2

int main(int argc, char **argv)
{
	struct fleet *f = calloc(1, sizeof(*f));
	int status, parsed;

	if (f == NULL)
		return EXIT_USAGE;
	parsed = fleet_options_parse(f, argc, argv);
	if (parsed == 0)
		status = fleet_run(f);
	else
		status = parsed > 0 ? 0 : EXIT_USAGE;
	buf_free(&f->ca_pem);
	secret_zero(f->password, sizeof(f->password));
	secret_zero(f->amt_password, sizeof(f->amt_password));
	free(f);
	return status;
}
