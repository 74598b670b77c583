/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base.c: what happens when an ASSERT fails: one line on stderr, then a core dump. */
#include "core/base.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void assert_failed(const char *expr, const char *file, int line)
{
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expr);
	abort();
}
