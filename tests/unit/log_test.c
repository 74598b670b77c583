/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "core/log.h"
#include "tests/unit/support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHEN 1767225600123ll /* 2026-01-01T00:00:00.123Z */

static const char *format_one(enum log_format format, const struct log_field *fields, size_t n,
                              struct buf *out)
{
	struct log_line line = {.format = format,
	                        .level = LOG_WARN,
	                        .wall_ms = WHEN,
	                        .event = "ev",
	                        .fields = fields,
	                        .fields_len = n};

	log_format_line(&line, out);
	assert_int_equal(out->err, 0);
	assert_true(out->len <= LOG_LINE_MAX);
	assert_int_equal(out->data[out->len - 1], '\n');
	assert_ptr_equal(memchr(out->data, '\n', out->len), out->data + out->len - 1);
	return buf_cstr(out);
}

static void test_kinds_in_both_formats(void **state)
{
	const struct guid guid = {
		{0x4c, 0x4c, 0x45, 0x44, 0x39, 0, 0x10, 0x34, 0x80, 0x52, 1, 2, 3, 4, 5, 6}};
	struct buf out = {.cap = LOG_LINE_MAX};
	struct addr addr;

	(void)state;
	assert_int_equal(addr_parse("[2001:db8::1]:4433", &addr), 0);
	const struct log_field f[] = {
		LOG_STR("s", "plain"),        LOG_STR("e", ""),        LOG_STR("n", NULL),
		LOG_U64("u", UINT64_MAX),     LOG_I64("i", INT64_MIN), LOG_BOOL("b", true),
		LOG_ERR("err", -ERR_TIMEOUT), LOG_GUID("g", &guid),    LOG_ADDR("a", &addr),
	};
	assert_string_equal(
		format_one(LOG_TEXT, f, ARRAY_LEN(f), &out),
		"time=2026-01-01T00:00:00.123Z level=warn event=ev s=plain e=\"\" n=\"\" "
		"u=18446744073709551615 i=-9223372036854775808 b=true err=ERR_TIMEOUT "
		"g=44454c4c-0039-3410-8052-010203040506 a=[2001:db8::1]:4433\n");
	assert_string_equal(
		format_one(LOG_JSON, f, ARRAY_LEN(f), &out),
		"{\"time\":\"2026-01-01T00:00:00.123Z\",\"level\":\"warn\",\"event\":\"ev\","
		"\"s\":\"plain\",\"e\":\"\",\"n\":\"\",\"u\":18446744073709551615,"
		"\"i\":-9223372036854775808,\"b\":true,\"err\":\"ERR_TIMEOUT\","
		"\"g\":\"44454c4c-0039-3410-8052-010203040506\",\"a\":\"[2001:db8::1]:4433\"}\n");
	buf_free(&out);
}

static void test_values_cannot_forge(void **state)
{
	static const char evil[] =
		"a b=\"c\"\\\n\x1b[2J\x7f\xff\xc3\xa9\xc0\x80\xed\xa0\x80\xe2\x80\xae\xc2\x9b";
	const struct log_field f[] = {LOG_SPAN("v", span_of(evil, sizeof(evil)))};
	struct buf out = {.cap = LOG_LINE_MAX};

	(void)state;
	assert_string_equal(
		format_one(LOG_TEXT, f, 1, &out),
		"time=2026-01-01T00:00:00.123Z level=warn event=ev v=\"a b=\\\"c\\\"\\\\\\n"
		"\\x1b["
		"2J\\x7f\\xff\xc3\xa9\\xc0\\x80\\xed\\xa0\\x80\\xe2\\x80\\xae\\xc2\\x9b\\x00\"\n");
	(void)format_one(LOG_JSON, f, 1, &out);
	assert_non_null(strstr(buf_cstr(&out), "\\u001b[2J\\u007f\\\\xff\xc3\xa9\\\\xc0"));
	buf_free(&out);
}

/* Every line is short enough and, in JSON, a document, whatever the values and their sizes. */
static void test_long_lines_are_cut_and_marked(void **state)
{
	static const uint8_t fill[] = {'x', '"', '\n', 0xff, 0x01};
	static uint8_t big[4096];
	struct buf out = {.cap = LOG_LINE_MAX};
	json_t *doc;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(fill); k++) {
		memset(big, fill[k], sizeof(big));
		for (size_t n = 0; n < 1100; n += 7) {
			const struct log_field f[] = {
				LOG_SPAN("a", span_of(big, n)), LOG_SPAN("b", span_of(big, n)),
				LOG_SPAN("c", span_of(big, n)), LOG_U64("last", 7)};

			doc = json_loads(format_one(LOG_JSON, f, 4, &out), 0, NULL);
			assert_non_null(doc);
			assert_int_equal(json_is_true(json_object_get(doc, "truncated")),
			                 json_object_get(doc, "last") == NULL);
			json_decref(doc);
			(void)format_one(LOG_TEXT, f, 4, &out);
			assert_true((strstr(buf_cstr(&out), " last=7\n") == NULL) ==
			            (strstr(buf_cstr(&out), " truncated=true\n") != NULL));
		}
	}
	assert_true(out.len > LOG_LINE_MAX - 64);
	buf_free(&out);
}

static size_t count_lines(FILE *f, const char *part)
{
	char line[LOG_LINE_MAX + 1];
	size_t n = 0;

	rewind(f);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, part) != NULL ? 1 : 0;
	return n;
}

static void test_level_rate_and_journal(void **state)
{
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	setenv("JOURNAL_STREAM", "8:12345", 1);
	log_init(LOG_TEXT, LOG_WARN);
	log_redirect(fileno(f));
	log_event(LOG_INFO, "quiet");
	log_event(LOG_ERROR, "loud", LOG_U64("n", 1));
	assert_int_equal(count_lines(f, "quiet"), 0);
	assert_int_equal(count_lines(f, "<3>time="), 1);
	for (unsigned i = 0; i < 1000; i++)
		log_event(LOG_WARN, "flood", LOG_U64("i", i));
	assert_true(count_lines(f, "event=flood") >= LOG_BURST);
	assert_true(count_lines(f, "event=flood") < LOG_BURST + 10 * LOG_RATE_PER_S);
	log_event(LOG_WARN, "other");
	assert_int_equal(count_lines(f, "event=other"), 1);
	usleep(120 * 1000);
	log_tick();
	log_tick();
	assert_int_equal(count_lines(f, "event=log_suppressed name=flood suppressed="), 1);
	log_redirect(-1);
	unsetenv("JOURNAL_STREAM");
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds_in_both_formats),
		cmocka_unit_test(test_values_cannot_forge),
		cmocka_unit_test(test_long_lines_are_cut_and_marked),
		cmocka_unit_test(test_level_rate_and_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
