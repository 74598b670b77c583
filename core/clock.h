/* SPDX-License-Identifier: GPL-3.0-or-later */
/* clock.h: the two clocks of the process and the text form of times (RFC 3339). Any thread. */
#pragma once

#include "core/base.h"

#define CLOCK_TEXT_MAX 32 /* "2026-01-31T23:59:59.123Z" and a NUL, with room */

/* clock_mono_ms: monotonic milliseconds, for deadlines and intervals. */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
/* clock_wall_ms: milliseconds since 1970-01-01T00:00:00Z, for records and people. */
int64_t clock_wall_ms(void);

/* clock_format: RFC 3339 in UTC with milliseconds. Years 0000..9999; others print as the nearest of these. */
void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_MAX]);
/*
 * clock_parse: RFC 3339 date-time with "Z" or a numeric offset; fractions beyond milliseconds are cut; a leap second
 * (:60) counts as the second after :59. 0 or -ERR_INVALID.
 */
int clock_parse(struct span text, int64_t *wall_ms) MUST_CHECK;
