/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/clock.h"
#include "core/err.h"
#include "tests/unit/support/test.h"

#include <time.h>

static void test_formats_like_gmtime(void **state)
{
	char text[CLOCK_TEXT_MAX], expect[CLOCK_TEXT_MAX];
	int64_t back;

	(void)state;
	clock_format(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
	clock_format(-1, text);
	assert_string_equal(text, "1969-12-31T23:59:59.999Z");
	clock_format(INT64_MIN, text);
	assert_string_equal(text, "0000-01-01T00:00:00.000Z");
	clock_format(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999Z");
	/* every 41 hours from 1890 to 2110 */
	for (int64_t s = -2524600000; s < 4420000000; s += 147601) {
		time_t t = (time_t)s;
		struct tm tm;

		clock_format(s * 1000 + 7, text);
		gmtime_r(&t, &tm);
		assert_true(strftime(expect, sizeof(expect), "%Y-%m-%dT%H:%M:%S.007Z", &tm) > 0);
		assert_string_equal(text, expect);
		assert_int_equal(clock_parse(span_str(text), &back), 0);
		assert_true(back == s * 1000 + 7);
	}
}

static void test_parses_offsets_and_fractions(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"1985-04-12T23:20:50.52Z", 482196050520},
		{"1996-12-19T16:39:57-08:00", 851042397000},
		{"1990-12-31T23:59:60Z", 662688000000},
		{"1937-01-01T12:00:27.87+00:20", -1041337172130},
		{"2024-02-29t00:00:00.123456789z", 1709164800123},
	};
	static const char *const bad[] = {
		"",
		"2024",
		"2023-02-29T00:00:00Z",
		"2024-13-01T00:00:00Z",
		"2024-00-01T00:00:00Z",
		"2024-01-01T24:00:00Z",
		"2024-01-01T00:60:00Z",
		"2024-01-01T00:00:61Z",
		"2024-01-01T00:00:00",
		"2024-01-01T00:00:00.Z",
		"2024-01-01T00:00:00+24:00",
		"2024-01-01T00:00:00Z ",
		"2024-01-01T00:00:00+0000",
		"+024-01-01T00:00:00Z",
		"1900-02-29T00:00:00Z",
	};
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(clock_parse(span_str(good[i].text), &ms), 0);
		assert_true(ms == good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(clock_parse(span_str(bad[i]), &ms), -ERR_INVALID);
}

static void test_clocks_run(void **state)
{
	uint64_t us = clock_mono_us(), ms = clock_mono_ms();

	(void)state;
	assert_true(ms >= us / 1000);
	while (clock_mono_us() == us)
		continue;
	assert_true(clock_wall_ms() / 1000 - (int64_t)time(NULL) >= -1);
	assert_true(clock_wall_ms() / 1000 - (int64_t)time(NULL) <= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats_like_gmtime),
		cmocka_unit_test(test_parses_offsets_and_fractions),
		cmocka_unit_test(test_clocks_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
