/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "core/log.h"
#include "tests/unit/support/test.h"

#include <jansson.h>
#include <pthread.h>
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

/* ---- a thread that writes ---------------------------------------------------------------------------------------------- */

/* Names of events with budgets of their own: together more than a queue and a pipe hold. */
static const char *const many[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
static const char *const others[] = {"m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x"};

_Static_assert(ARRAY_LEN(many) == ARRAY_LEN(others), "log_much takes either");

static void log_much(const char *const names[])
{
	char text[1000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(many) * LOG_BURST; i++)
		log_event(LOG_WARN, names[i % ARRAY_LEN(many)], LOG_STR("text", text));
}

static size_t read_lines(int fd)
{
	static char all[4 * 1024 * 1024];
	size_t len = 0, n = 0;
	ssize_t got;

	while ((got = read(fd, all + len, sizeof(all) - len)) > 0)
		len += (size_t)got;
	for (size_t i = 0; i < len; i++)
		n += all[i] == '\n' ? 1 : 0;
	return n;
}

struct reader {
	pthread_t thread;
	int fd;
	size_t lines;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;

	r->lines = read_lines(r->fd);
	return NULL;
}

/* Would wait for ever if those who log wrote: nobody reads until all is logged. */
static void test_a_full_pipe_stops_nobody(void **state)
{
	uint64_t lost = log_lost(), suppressed = log_suppressed();
	struct reader r;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	log_redirect(fds[1]);
	assert_true(log_start());
	log_much(many);
	lost = log_lost() - lost;
	assert_true(lost > 0);
	r = (struct reader){.fd = fds[0]};
	assert_int_equal(pthread_create(&r.thread, NULL, reader_main, &r), 0);
	log_stop();
	log_redirect(-1);
	close(fds[1]);
	assert_int_equal(pthread_join(r.thread, NULL), 0);
	close(fds[0]);
	/* Every line was read, lost or over its budget; and one tells what was lost. */
	assert_int_equal(r.lines + lost + (log_suppressed() - suppressed),
	                 ARRAY_LEN(many) * LOG_BURST + 1);
}

static void test_lines_keep_their_order(void **state)
{
	char line[LOG_LINE_MAX], want[64];
	FILE *f = tmpfile();

	(void)state;
	log_redirect(fileno(f));
	log_event(LOG_WARN, "order", LOG_U64("n", 0));
	assert_true(log_start());
	for (unsigned i = 1; i < LOG_BURST - 1; i++)
		log_event(LOG_WARN, "order", LOG_U64("n", i));
	log_stop();
	log_event(LOG_WARN, "order", LOG_U64("n", LOG_BURST - 1));
	rewind(f);
	for (unsigned i = 0; i < LOG_BURST; i++) {
		snprintf(want, sizeof(want), "event=order n=%u\n", i);
		assert_non_null(fgets(line, sizeof(line), f));
		assert_non_null(strstr(line, want));
	}
	log_redirect(-1);
	fclose(f);
}

/* The last test: its thread stays in a write that does not return. */
static void test_the_end_does_not_wait_for_ever(void **state)
{
	uint64_t lost = log_lost();
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	log_redirect(fds[1]);
	assert_true(log_start());
	log_much(others);
	log_stop();
	assert_true(log_lost() > lost);
	lost = log_lost();
	log_event(LOG_ERROR, "after_all");
	assert_int_equal(log_lost(), lost + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds_in_both_formats),
		cmocka_unit_test(test_values_cannot_forge),
		cmocka_unit_test(test_long_lines_are_cut_and_marked),
		cmocka_unit_test(test_level_rate_and_journal),
		cmocka_unit_test(test_lines_keep_their_order),
		cmocka_unit_test(test_a_full_pipe_stops_nobody),
		cmocka_unit_test(test_the_end_does_not_wait_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
