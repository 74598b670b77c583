/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "core/metric.h"
#include "tests/unit/support/test.h"

#include <pthread.h>
#include <string.h>

static double read_number(void *arg)
{
	return *(double *)arg;
}

static void test_text_format(void **state)
{
	static const uint64_t bounds[] = {10, 250};
	static const struct metric_buckets buckets = {bounds, 2, 0.001};
	static const char expect[] = "# HELP t_handshakes_total Handshakes \\\\ by\\nresult.\n"
				     "# TYPE t_handshakes_total counter\n"
				     "t_handshakes_total{result=\"ok\"} 3\n"
				     "t_handshakes_total{result=\"a\\\"b\\\\c\",x=\"\"} 1\n"
				     "# HELP t_open Open.\n"
				     "# TYPE t_open gauge\n"
				     "t_open -2\n"
				     "t_open{kind=\"read\"} 0.5\n"
				     "# HELP t_wait_seconds Wait.\n"
				     "# TYPE t_wait_seconds histogram\n"
				     "t_wait_seconds_bucket{op=\"get\",le=\"0.01\"} 1\n"
				     "t_wait_seconds_bucket{op=\"get\",le=\"0.25\"} 3\n"
				     "t_wait_seconds_bucket{op=\"get\",le=\"+Inf\"} 4\n"
				     "t_wait_seconds_sum{op=\"get\"} 1.271\n"
				     "t_wait_seconds_count{op=\"get\"} 4\n";
	struct metric *ok, *open, *odd, *wait;
	double number = 0.5;
	struct buf out;

	(void)state;
	ok = metric_counter("t_handshakes_total", "Handshakes \\ by\nresult.", "result=ok");
	open = metric_gauge("t_open", "Open.", NULL);
	odd = metric_counter("t_handshakes_total", "Handshakes \\ by\nresult.",
	                     "result=a\"b\\c,x=");
	metric_gauge_fn("t_open", "Open.", "kind=read", read_number, &number);
	wait = metric_histogram("t_wait_seconds", "Wait.", "op=get", &buckets);
	assert_ptr_equal(metric_counter("t_handshakes_total", "", "result=ok"), ok);
	metric_inc(ok);
	metric_add(ok, 2);
	metric_inc(odd);
	metric_set(open, 5);
	metric_move(open, -7);
	metric_observe(wait, 10);
	metric_observe(wait, 11);
	metric_observe(wait, 250);
	metric_observe(wait, 1000);
	buf_init(&out, 1 << 16);
	metric_render(&out);
	assert_int_equal(out.err, 0);
	assert_string_equal(buf_cstr(&out), expect);
	metric_gauge_fn_remove(&number);
	buf_clear(&out);
	metric_render(&out);
	assert_null(strstr(buf_cstr(&out), "kind="));
	buf_free(&out);
}

static void *count_main(void *arg)
{
	for (int i = 0; i < 100000; i++)
		metric_inc(arg);
	return NULL;
}

static void test_threads_lose_nothing(void **state)
{
	struct metric *m = metric_counter("t_threads_total", "Threads.", NULL);
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_main, m), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metric_value(m), 400000);
}

static void test_registry_is_bounded(void **state)
{
	static char names[METRIC_MAX + 2][16];
	struct metric *last = NULL;
	struct buf out;

	(void)state;
	for (size_t i = 0; i < METRIC_MAX + 2; i++) {
		names[i][0] = 'n';
		for (size_t d = 0, v = i; d < 5; d++, v /= 10)
			names[i][5 - d] = (char)('0' + v % 10);
		last = metric_counter(names[i], "Many.", NULL);
	}
	metric_inc(last);
	buf_init(&out, 1 << 20);
	metric_render(&out);
	assert_non_null(strstr(buf_cstr(&out), "\ncauseway_metrics_dropped "));
	assert_null(strstr(buf_cstr(&out), names[METRIC_MAX + 1]));
	buf_free(&out);
	buf_init(&out, 100);
	metric_render(&out);
	assert_int_equal(out.err, -ERR_TOO_BIG);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_format),
		cmocka_unit_test(test_threads_lose_nothing),
		cmocka_unit_test(test_registry_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
