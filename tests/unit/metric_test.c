/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "core/metric.h"
#include "tests/unit/support/test.h"

#include <pthread.h>
#include <string.h>

struct numbers {
	uint64_t first, micro;
};

static void read_numbers(void *arg, void *stats)
{
	memcpy(stats, arg, sizeof(struct numbers));
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
				     "# HELP t_wait_seconds Wait.\n"
				     "# TYPE t_wait_seconds histogram\n"
				     "t_wait_seconds_bucket{op=\"get\",le=\"0.01\"} 1\n"
				     "t_wait_seconds_bucket{op=\"get\",le=\"0.25\"} 3\n"
				     "t_wait_seconds_bucket{op=\"get\",le=\"+Inf\"} 4\n"
				     "t_wait_seconds_sum{op=\"get\"} 1.271\n"
				     "t_wait_seconds_count{op=\"get\"} 4\n"
				     "# HELP t_used Used.\n"
				     "# TYPE t_used gauge\n"
				     "t_used{kind=\"read\"} 7\n"
				     "# HELP t_cpu_seconds_total Time.\n"
				     "# TYPE t_cpu_seconds_total counter\n"
				     "t_cpu_seconds_total 1.5\n";
	static const struct metric_field fields[] = {
		{"t_used", "Used.", "kind=read", false, offsetof(struct numbers, first), 0},
		{"t_cpu_seconds_total", "Time.", NULL, true, offsetof(struct numbers, micro), 1e-6},
	};
	struct numbers numbers = {7, 1500000};
	struct metric_group group = {fields, ARRAY_LEN(fields), read_numbers, &numbers, NULL};
	struct metric *ok, *open, *odd, *wait;
	struct buf out;

	(void)state;
	ok = metric_counter("t_handshakes_total", "Handshakes \\ by\nresult.", "result=ok");
	open = metric_gauge("t_open", "Open.", NULL);
	odd = metric_counter("t_handshakes_total", "Handshakes \\ by\nresult.",
	                     "result=a\"b\\c,x=");
	metric_group_add(&group);
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
	metric_group_remove(&group);
	metric_group_remove(&group);
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

struct seen {
	unsigned counters, gauges, histograms;
	uint64_t count, slow;
	double sum;
};

static void see(void *arg, const struct metric_view *v)
{
	struct seen *s = arg;

	if (strncmp(v->name, "t_each", 6) != 0)
		return;
	assert_string_equal(v->labels, v->buckets != NULL ? "" : "a=1,b=2");
	s->counters += v->counter ? 1 : 0;
	s->gauges += !v->counter && v->buckets == NULL ? 1 : 0;
	if (v->buckets == NULL)
		return;
	s->histograms++;
	s->count = v->count;
	s->slow = v->counts[2];
	s->sum = v->sum;
}

static void test_each(void **state)
{
	struct metric *h = metric_histogram("t_each_seconds", "Time.", NULL, &metric_latency_us);
	const char *labels = "a=1,b=2";
	struct span key, value;
	struct seen s = {0};

	(void)state;
	metric_inc(metric_counter("t_each_total", "Things.", labels));
	metric_set(metric_gauge("t_each", "Things.", labels), -3);
	metric_observe(h, 60);
	metric_observe(h, 150);
	metric_observe(h, 60000000);
	metric_each(see, &s);
	assert_int_equal(s.counters, 1);
	assert_int_equal(s.gauges, 1);
	assert_int_equal(s.histograms, 1);
	assert_int_equal(s.count, 3);
	assert_int_equal(s.slow, 1);
	assert_true(s.sum > 60.0002 && s.sum < 60.0003);
	assert_true(metric_label(&labels, &key, &value));
	assert_true((key.len == strlen("a") && memcmp(key.ptr, "a", strlen("a")) == 0) &&
	            (value.len == strlen("1") && memcmp(value.ptr, "1", strlen("1")) == 0));
	assert_true(metric_label(&labels, &key, &value));
	assert_true((key.len == strlen("b") && memcmp(key.ptr, "b", strlen("b")) == 0) &&
	            (value.len == strlen("2") && memcmp(value.ptr, "2", strlen("2")) == 0));
	assert_false(metric_label(&labels, &key, &value));
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
	assert_int_equal(metric_series(), METRIC_MAX);
	assert_true(metric_dropped() >= 2);
	assert_null(strstr(buf_cstr(&out), names[METRIC_MAX + 1]));
	buf_free(&out);
	buf_init(&out, 100);
	metric_render(&out);
	assert_int_equal(out.err, -ERR_TOO_BIG);
	buf_free(&out);
}

/* The upper limit of the bucket that holds it: never too small, and the last limit for what lies beyond. */
static void test_quantile(void **state)
{
	static const uint64_t bounds[] = {10, 100, 1000}, counts[] = {50, 40, 9}, none[3];
	static const struct metric_buckets buckets = {bounds, 3, 0.001};
	struct metric_view v = {.buckets = &buckets, .counts = counts, .count = 100};

	(void)state;
	assert_float_equal(metric_quantile(&v, 0), 0.01, 1e-9);
	assert_float_equal(metric_quantile(&v, 0.5), 0.01, 1e-9);
	assert_float_equal(metric_quantile(&v, 0.51), 0.1, 1e-9);
	assert_float_equal(metric_quantile(&v, 0.9), 0.1, 1e-9);
	assert_float_equal(metric_quantile(&v, 0.99), 1, 1e-9);
	assert_float_equal(metric_quantile(&v, 1), 1, 1e-9);
	v.counts = none;
	assert_float_equal(metric_quantile(&v, 0.5), 1, 1e-9); /* all beyond the last */
	v.count = 0;
	assert_float_equal(metric_quantile(&v, 0.5), 0, 1e-9);
	v.buckets = NULL;
	assert_float_equal(metric_quantile(&v, 0.5), 0, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_format),
		cmocka_unit_test(test_threads_lose_nothing),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_quantile),
		cmocka_unit_test(test_registry_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
