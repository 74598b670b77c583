/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/err.h"
#include "mgmtapi/cli/top.h"
#include "tests/unit/support/test.h"

#define SERIES_MAX 32

/* An answer that is built piece by piece; memory of the process. */
struct building {
	Causeway__V1__GetStatisticsResponse m;
	Google__Protobuf__Timestamp time;
	Causeway__V1__Statistic *list[SERIES_MAX], series[SERIES_MAX];
	Causeway__V1__StatisticLabel labels[SERIES_MAX], *label_of[SERIES_MAX];
	Causeway__V1__StatisticHistogram histograms[SERIES_MAX];
};

static void begin(struct building *b, uint64_t uptime_ms)
{
	memset(b, 0, sizeof(*b));
	causeway__v1__get_statistics_response__init(&b->m);
	google__protobuf__timestamp__init(&b->time);
	b->time.seconds = 1700000000;
	b->m.time = &b->time;
	b->m.uptime_ms = uptime_ms;
	b->m.statistics = b->list;
}

static Causeway__V1__Statistic *add(struct building *b, const char *name, const char *key,
                                    const char *value, double v)
{
	size_t i = b->m.n_statistics++;
	Causeway__V1__Statistic *s = &b->series[i];

	assert_true(i < SERIES_MAX);
	causeway__v1__statistic__init(s);
	s->name = (char *)(uintptr_t)name;
	s->value = v;
	b->list[i] = s;
	if (key == NULL)
		return s;
	causeway__v1__statistic_label__init(&b->labels[i]);
	b->labels[i].key = (char *)(uintptr_t)key;
	b->labels[i].value = (char *)(uintptr_t)value;
	b->label_of[i] = &b->labels[i];
	s->labels = &b->label_of[i];
	s->n_labels = 1;
	return s;
}

static void add_times(struct building *b, Causeway__V1__Statistic *s, uint64_t *counts, double sum)
{
	static double bounds[] = {0.001, 0.01, 0.1, 1};
	Causeway__V1__StatisticHistogram *h = &b->histograms[s - b->series];

	causeway__v1__statistic_histogram__init(h);
	h->bounds = bounds;
	h->counts = counts;
	h->n_bounds = h->n_counts = ARRAY_LEN(bounds);
	for (size_t i = 0; i < h->n_counts; i++)
		h->count += counts[i];
	h->sum = sum;
	s->histogram = h;
}

/* n: how far the fixed story has gone. */
static void tell(struct building *b, uint64_t uptime_ms, uint64_t n)
{
	static uint64_t none[4], some[4] = {0, 50, 49, 1}, busy[4] = {10, 0, 0, 0};

	begin(b, uptime_ms);
	add(b, "causeway_tunnels", NULL, NULL, 91234);
	add(b, "causeway_tunnels_limit", NULL, NULL, 100000);
	add(b, "causeway_cira_handshakes", NULL, NULL, 768);
	add(b, "causeway_cira_handshakes_limit", NULL, NULL, 1024);
	add(b, "causeway_devices_connected", NULL, NULL, 90466);
	add(b, "causeway_devices", NULL, NULL, 104220);
	add(b, "causeway_send_memory_bytes", NULL, NULL, 3 * 1024 * 1024);
	add(b, "causeway_send_memory_limit_bytes", NULL, NULL, 512.0 * 1024 * 1024);
	add(b, "causeway_cira_accepted_total", NULL, NULL, 1000000 + 1250.0 * (double)n);
	add(b, "causeway_cira_refused_total", "reason", "backoff", 7);
	add(b, "causeway_cira_refused_total", "reason", "source_limit", 20.0 * (double)n);
	add(b, "causeway_cira_auth_total", "result", "ok", 500);
	add(b, "causeway_cira_auth_total", "result", "bad_password", 3.0 * (double)n);
	add(b, "causeway_received_bytes_total", NULL, NULL, 2048.0 * (double)n);
	add(b, "process_cpu_seconds_total", NULL, NULL, 100 + 1.5 * (double)n);
	add(b, "process_resident_memory_bytes", NULL, NULL, 612.5 * 1024 * 1024);
	add(b, "causeway_workers", NULL, NULL, 2);
	add_times(b, add(b, "causeway_wsman_seconds", NULL, NULL, 0), n > 0 ? some : none,
	          n > 0 ? 2.5 : 0);
	add_times(b, add(b, "causeway_loop_iteration_seconds", "worker", "0", 0),
	          n > 0 ? busy : none, n > 0 ? 1.9 : 0);
	add_times(b, add(b, "causeway_loop_iteration_seconds", "worker", "1", 0), none, 0);
}

static void figures(struct top_figures *f)
{
	static struct building before, now;

	tell(&before, 93784000, 0);
	tell(&now, 93786000, 2);
	top_figures(&before.m, &now.m, f);
}

static void test_figures(void **state)
{
	struct top_figures f;

	(void)state;
	figures(&f);
	assert_true(f.rates_known);
	assert_true(fabs(f.cpu - 1.5) < 1e-9);
	assert_true(fabs(f.busy_most - 0.95) < 1e-9 && fabs(f.busy_mean - 0.475) < 1e-9);
	assert_string_equal(f.rates[0].key, "accepted");
	assert_true(f.rates[0].per_s == 1250 && f.rates[0].total == 1002500);
	assert_true(f.rates[1].per_s == 20 && f.rates[1].total == 47);
	/* login failed: whatever is not ok */
	assert_true(f.rates[3].per_s == 3 && f.rates[3].total == 6);
	assert_int_equal(f.reasons_len, 2);
	assert_string_equal(f.reasons[0].name, "source_limit");
	/* 50 of 100 up to 10 ms, 99 up to 100 ms */
	assert_true(fabs(f.latencies[3].p50_s - 0.01) < 1e-9);
	assert_true(fabs(f.latencies[3].p99_s - 0.1) < 1e-9);
	assert_true(fabs(f.latencies[3].mean_s - 0.025) < 1e-9);
	assert_true(isnan(f.latencies[0].p50_s));
}

/* Without an earlier answer, and after a restart of the server, nothing is known about seconds. */
static void test_restart(void **state)
{
	static struct building before, now;
	struct top_figures f;

	(void)state;
	tell(&before, 93784000, 2);
	tell(&now, 1000, 0);
	top_figures(&before.m, &now.m, &f);
	assert_false(f.rates_known);
	assert_true(f.rates[0].per_s == 0 && f.rates[0].total == 1000000);
	top_figures(NULL, &now.m, &f);
	assert_false(f.rates_known);
	assert_true(isnan(f.latencies[3].p99_s));
}

/* A histogram that does not fit its own bounds, or those of its sisters, is passed over. */
static void test_odd_answers(void **state)
{
	static struct building before, now;
	static uint64_t counts[4] = {1, 1, 1, 1};
	struct top_figures f;

	(void)state;
	begin(&before, 1000);
	begin(&now, 2000);
	add_times(&now, add(&now, "causeway_wsman_seconds", NULL, NULL, 0), counts, 1);
	now.histograms[0].n_bounds = 3;
	add(&now, "causeway_tunnels", NULL, NULL, NAN);
	add(&now, "causeway_tunnels_limit", NULL, NULL, INFINITY);
	add(&now, "causeway_received_bytes_total", NULL, NULL, INFINITY);
	add(&now, "causeway_cira_refused_total", "reason", "an-\033[31m-unreasonably-long-one",
	    1e300);
	top_figures(&before.m, &now.m, &f);
	assert_true(isnan(f.latencies[3].p50_s));
	for (unsigned width = 1; width < 100; width += 7)
		for (unsigned height = 1; height < 30; height++) {
			struct top_view v = {.width = width,
			                     .height = height,
			                     .server = "gw\033]0;x",
			                     .status = "so\nso"};
			unsigned lines = 0;
			struct buf out;

			buf_init(&out, 1 << 20);
			top_draw(&v, &f, TOP_PLAIN, &out);
			assert_int_equal(out.err, 0);
			for (size_t i = 0, column = 0; i < out.len; i++) {
				column = out.data[i] == '\n' ? 0 : column + 1;
				assert_true(column <= width);
				assert_true(out.data[i] == '\n' ||
				            (out.data[i] >= 0x20 && out.data[i] < 0x7f));
				lines += out.data[i] == '\n' ? 1 : 0;
			}
			assert_int_equal(lines, height);
			buf_free(&out);
		}
}

static const char golden[] =
	"causeway top  gw.example.org:8443        up 1d 02:03:06                22:13:20\n"
	"cpu 150 %   memory 612.5 MiB   workers 2: busy 48 %, most 95 %\n"
	"IN USE               now     limit used  HAPPENING         a second      in all\n"
	"tunnels           91,234   100,000  91%  connects             1,250   1,002,500\n"
	"handshakes           768     1,024  75%  refused               20.0          47\n"
	"devices up        90,466   104,220  86%  TLS failed             0.0           0\n"
	"channels               0                 login failed           3.0           6\n"
	"openers waiting        0                 tunnels ready          0.0           0\n"
	"API connections        0                 API calls              0.0           0\n"
	"API calls              0                 API failures           0.0           0\n"
	"watchers               0                 WSMAN calls            0.0           0\n"
	"fibers                 0                 WSMAN failures         0.0           0\n"
	"store queue            0                 store updates          0.0           0\n"
	"send memory      3.0 MiB 512.0 MiB   0%  received           2.0 KiB     4.0 KiB\n"
	"descriptors            0                 sent                   0 B         0 B\n"
	"REFUSED a second    source_limit 20.0\n"
	"TIME            a second        median          99 %          mean\n"
	"connect: TLS         0.0             -             -             -\n"
	"connect: login       0.0             -             -             -\n"
	"API call             0.0             -             -             -\n"
	"WSMAN call          50.0       10.0 ms        100 ms       25.0 ms\n"
	"store update         0.0             -             -             -\n"
	"loop iteration       5.0        500 us        990 us        190 ms\n"
	"every 1 s   q quits   space holds   ? explains\n";

static void draw(enum top_form form, struct buf *out)
{
	const struct top_view v = {.width = 80,
	                           .height = 24,
	                           .server = "gw.example.org:8443",
	                           .status = "every 1 s   q quits   space holds   ? explains",
	                           .interval_ms = 1000};
	struct top_figures f;

	figures(&f);
	buf_init(out, 1 << 20);
	top_draw(&v, &f, form, out);
	assert_int_equal(out->err, 0);
}

static void test_golden(void **state)
{
	struct buf out;

	(void)state;
	draw(TOP_PLAIN, &out);
	assert_string_equal(buf_cstr(&out), golden);
	buf_free(&out);
}

/* On a terminal nothing scrolls, and colours stand for what is near a limit. */
static void test_terminal(void **state)
{
	struct buf out;

	(void)state;
	draw(TOP_MONO, &out);
	assert_memory_equal(out.data, "\033[H", 3);
	assert_null(strstr(buf_cstr(&out), "\033[0;"));
	assert_string_equal(buf_cstr(&out) + out.len - strlen("explains\033[K\033[J"),
	                    "explains\033[K\033[J");
	buf_free(&out);
	draw(TOP_COLOUR, &out);
	assert_non_null(strstr(buf_cstr(&out), "\033[0;1;31mtunnels"));
	assert_non_null(strstr(buf_cstr(&out), "\033[0;33mhandshakes"));
	assert_non_null(strstr(buf_cstr(&out), "\033[0;33mrefused"));
	assert_null(strstr(buf_cstr(&out), "mdevices up"));
	buf_free(&out);
}

static void test_json(void **state)
{
	struct top_figures f;
	struct buf out;

	(void)state;
	figures(&f);
	buf_init(&out, 1 << 20);
	assert_int_equal(top_json(&f, &out), 0);
	assert_non_null(strstr(buf_cstr(&out), "\"tunnels\":{\"now\":91234.0,\"limit\":100000.0}"));
	assert_non_null(strstr(buf_cstr(&out), "\"channels\":{\"now\":0.0,\"limit\":null}"));
	assert_non_null(
		strstr(buf_cstr(&out), "\"accepted\":{\"perSecond\":1250.0,\"total\":1002500.0}"));
	assert_non_null(
		strstr(buf_cstr(&out), "\"source_limit\":{\"perSecond\":20.0,\"total\":40.0}"));
	assert_non_null(strstr(buf_cstr(&out), "\"p50Seconds\":null"));
	assert_int_equal(out.data[out.len - 1], '\n');
	buf_free(&out);
}

/* The request asks for every name that is looked at. */
static void test_names(void **state)
{
	size_t n = 0;

	(void)state;
	for (; top_names[n] != NULL; n++)
		for (size_t i = 0; i < n; i++)
			assert_string_not_equal(top_names[i], top_names[n]);
	assert_true(n > 30 && n < 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures),     cmocka_unit_test(test_restart),
		cmocka_unit_test(test_odd_answers), cmocka_unit_test(test_golden),
		cmocka_unit_test(test_terminal),    cmocka_unit_test(test_json),
		cmocka_unit_test(test_names),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
