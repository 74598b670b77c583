/* SPDX-License-Identifier: GPL-3.0-or-later */
/* clock.c: CLOCK_MONOTONIC, CLOCK_REALTIME and RFC 3339. Calendar arithmetic is our own: no time zone of the machine. */
#include "core/clock.h"
#include "core/err.h"

#include <stdio.h>
#include <time.h>

#define DAY_MS       86400000ll
#define YEAR_0000_MS (-62167219200000ll) /* 0000-01-01T00:00:00Z */
#define YEAR_9999_MS 253402300799999ll   /* 9999-12-31T23:59:59.999Z */

uint64_t clock_mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

int64_t clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Days since 1970-01-01 of a proleptic Gregorian date; the year counts from March so that leap days come last. */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int days_in_month(int year, int month)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_MAX])
{
	int64_t t = MIN(MAX(wall_ms, YEAR_0000_MS), YEAR_9999_MS);
	int64_t days = (t >= 0 ? t : t - DAY_MS + 1) / DAY_MS;
	int64_t ms = t - days * DAY_MS, z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9;
	int64_t year = yoe + era * 400 + (month <= 2 ? 1 : 0);

	(void)snprintf(out, CLOCK_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
	               (unsigned)year % 10000, (unsigned)month % 100,
	               (unsigned)(doy - (153 * mp + 2) / 5 + 1) % 100,
	               (unsigned)(ms / 3600000) % 100, (unsigned)(ms / 60000 % 60),
	               (unsigned)(ms / 1000 % 60), (unsigned)(ms % 1000));
}

/* Takes n decimal digits; -1 if they are not there. */
static int take_digits(struct span *s, size_t n)
{
	int v = 0;

	if (s->len < n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (s->ptr[i] < '0' || s->ptr[i] > '9')
			return -1;
		v = v * 10 + (s->ptr[i] - '0');
	}
	*s = span_of(s->ptr + n, s->len - n);
	return v;
}

/* Takes one octet if it is among the characters of any. */
static bool take_one_of(struct span *s, const char *any)
{
	for (; s->len > 0 && *any != '\0'; any++) {
		if (s->ptr[0] != (uint8_t)*any)
			continue;
		*s = span_of(s->ptr + 1, s->len - 1);
		return true;
	}
	return false;
}

/* The optional fraction in milliseconds; -1 if it is malformed. */
static int take_fraction(struct span *s)
{
	int ms = 0, scale = 100;

	if (!take_one_of(s, "."))
		return 0;
	if (s->len == 0 || s->ptr[0] < '0' || s->ptr[0] > '9')
		return -1;
	for (; s->len > 0 && s->ptr[0] >= '0' && s->ptr[0] <= '9'; scale /= 10) {
		ms += (s->ptr[0] - '0') * scale;
		*s = span_of(s->ptr + 1, s->len - 1);
	}
	return ms;
}

/* "Z" or an offset in minutes; false if neither. */
static bool take_zone(struct span *s, int *minutes)
{
	bool minus = s->len > 0 && s->ptr[0] == '-';
	int h, m;

	*minutes = 0;
	if (take_one_of(s, "Zz"))
		return true;
	if (!take_one_of(s, "+-"))
		return false;
	h = take_digits(s, 2);
	if (h < 0 || h > 23 || !take_one_of(s, ":"))
		return false;
	m = take_digits(s, 2);
	if (m < 0 || m > 59)
		return false;
	*minutes = (h * 60 + m) * (minus ? -1 : 1);
	return true;
}

int clock_parse(struct span text, int64_t *wall_ms)
{
	static const char *const separators[6] = {"-", "-", "Tt ", ":", ":", NULL};
	int f[6], fraction, zone;

	for (size_t i = 0; i < 6; i++) {
		f[i] = take_digits(&text, i == 0 ? 4 : 2);
		if (f[i] < 0 || (separators[i] != NULL && !take_one_of(&text, separators[i])))
			return -ERR_INVALID;
	}
	fraction = take_fraction(&text);
	if (fraction < 0 || !take_zone(&text, &zone) || text.len != 0)
		return -ERR_INVALID;
	if (f[1] < 1 || f[1] > 12 || f[2] < 1 || f[2] > days_in_month(f[0], f[1]))
		return -ERR_INVALID;
	if (f[3] > 23 || f[4] > 59 || f[5] > 60)
		return -ERR_INVALID;
	*wall_ms = days_from_civil(f[0], f[1], f[2]) * DAY_MS + f[3] * 3600000ll +
	           (f[4] - zone) * 60000ll + f[5] * 1000ll + fraction;
	return 0;
}
