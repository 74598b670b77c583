/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * top_view.c: the screen of `causeway top`: text is put into a grid of cells, which cuts what does not fit, and the grid is written out.
 * Only printable ASCII gets into it. Pure.
 */
#include "mgmtapi/cli/top.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "mgmtapi/cli/format.h"

#define CELL_TEXT 128 /* octets of one piece of text */
#define RIGHT     41  /* column of the right half */

enum attr { PLAIN, BOLD, WARN, ALARM };
static const char *const colours[] = {"\033[0m", "\033[0;1m", "\033[0;33m", "\033[0;1;31m"};

struct grid {
	unsigned width, height;
	char *text;
	uint8_t *attrs;
};

static bool grid_init(struct grid *g, const struct top_view *v)
{
	g->width = MAX(1u, MIN(v->width, (unsigned)TOP_WIDTH_MAX));
	g->height = MAX(1u, MIN(v->height, (unsigned)TOP_HEIGHT_MAX));
	g->text = malloc((size_t)g->width * g->height);
	g->attrs = calloc((size_t)g->width * g->height, 1);
	if (g->text == NULL || g->attrs == NULL) {
		free(g->text);
		free(g->attrs);
		return false;
	}
	memset(g->text, ' ', (size_t)g->width * g->height);
	return true;
}

static void put(struct grid *g, unsigned row, unsigned column, enum attr a, const char *text)
{
	for (; row < g->height && column < g->width && *text != '\0'; text++, column++) {
		size_t at = (size_t)row * g->width + column;

		g->text[at] = *text >= 0x20 && *text < 0x7f ? *text : '?';
		g->attrs[at] = (uint8_t)a;
	}
}

/* Ends in the column before end. */
static void put_right(struct grid *g, unsigned row, unsigned end, enum attr a, const char *text)
{
	size_t n = strlen(text);

	put(g, row, n < end ? end - (unsigned)n : 0, a, text);
}

static void write_row(const struct grid *g, unsigned row, enum top_form form, struct buf *out)
{
	const char *text = g->text + (size_t)row * g->width;
	const uint8_t *attrs = g->attrs + (size_t)row * g->width;
	unsigned n = g->width, now = PLAIN;

	while (n > 0 && text[n - 1] == ' ')
		n--;
	for (unsigned i = 0; i < n; i++) {
		if (form == TOP_COLOUR && attrs[i] != now)
			buf_put_str(out, colours[attrs[i]]);
		now = attrs[i];
		buf_put_u8(out, (uint8_t)text[i]);
	}
	if (form == TOP_COLOUR && now != PLAIN)
		buf_put_str(out, colours[PLAIN]);
}

/* A terminal's last row gets no line end: it would scroll. */
static void grid_write(struct grid *g, enum top_form form, struct buf *out)
{
	if (form != TOP_PLAIN)
		buf_put_str(out, "\033[H");
	for (unsigned row = 0; row < g->height; row++) {
		write_row(g, row, form, out);
		if (form == TOP_PLAIN)
			buf_put_u8(out, '\n');
		else
			buf_put_str(out, row + 1 < g->height ? "\033[K\r\n" : "\033[K");
	}
	if (form != TOP_PLAIN)
		buf_put_str(out, "\033[J");
	free(g->text);
	free(g->attrs);
}

/* ---- forms of numbers ---- */

/* Cut where it is full: no cell of the screen is as wide. */
static void piece(char out[CELL_TEXT], const char *fmt, ...) PRINTF_LIKE(2, 3);
static void piece(char out[CELL_TEXT], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(out, CELL_TEXT, fmt, ap);
	va_end(ap);
}

/* "1,234,567"; beyond nine characters "123.4M". */
static void count_text(double v, char out[CELL_TEXT])
{
	char digits[CELL_TEXT];
	size_t n, at = 0;

	v = v > 0 ? v : 0;
	if (v >= 1e7) {
		const char *unit = v >= 1e12 ? "T" : v >= 1e9 ? "G" : "M";

		piece(out, "%.1f%s", v / (v >= 1e12 ? 1e12 : v >= 1e9 ? 1e9 : 1e6), unit);
		return;
	}
	n = (size_t)snprintf(digits, sizeof(digits), "%.0f", v);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
}

static void amount_text(double v, enum top_unit unit, char out[CELL_TEXT])
{
	struct buf b;

	if (unit == TOP_COUNT) {
		count_text(v, out);
		return;
	}
	buf_init(&b, CELL_TEXT);
	cli_size(&b, v > 0 ? (uint64_t)MIN(v, 1e18) : 0);
	piece(out, "%s", buf_cstr(&b));
	buf_free(&b);
}

static void rate_text(double v, enum top_unit unit, char out[CELL_TEXT])
{
	if (unit == TOP_COUNT && v < 1000)
		piece(out, "%.1f", v);
	else
		amount_text(v, unit, out);
}

static void time_text(double s, char out[CELL_TEXT])
{
	if (isnan(s))
		piece(out, "-");
	else if (s < 1e-3)
		piece(out, "%.0f us", s * 1e6);
	else if (s < 1)
		piece(out, s < 0.09995 ? "%.1f ms" : "%.0f ms", s * 1e3);
	else
		piece(out, "%.1f s", s);
}

static void uptime_text(uint64_t ms, char out[CELL_TEXT])
{
	unsigned long long s = ms / 1000;

	if (s >= 86400)
		piece(out, "up %llud %02llu:%02llu:%02llu", s / 86400, s / 3600 % 24, s / 60 % 60,
		      s % 60);
	else
		piece(out, "up %02llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
}

/* ---- the parts of the screen ---- */

static void draw_title(struct grid *g, const struct top_view *v, const struct top_figures *f)
{
	char text[CELL_TEXT], memory[CELL_TEXT];
	struct buf when;

	put(g, 0, 0, BOLD, "causeway top");
	put(g, 0, 14, PLAIN, v->server);
	uptime_text(f->uptime_ms, text);
	put(g, 0, RIGHT, PLAIN, text);
	buf_init(&when, CELL_TEXT);
	cli_local_time(&when, f->time_ms, false);
	put_right(g, 0, 79, PLAIN, buf_cstr(&when));
	buf_free(&when);

	amount_text(f->resident_bytes, TOP_BYTES, memory);
	if (f->rates_known)
		piece(text, "cpu %.0f %%   memory %s   workers %.0f: busy %.0f %%, most %.0f %%",
		      f->cpu * 100, memory, f->workers, f->busy_mean * 100, f->busy_most * 100);
	else
		piece(text, "cpu -   memory %s   workers %.0f: busy -", memory, f->workers);
	put(g, 1, 0, f->busy_most >= 0.9 ? WARN : PLAIN, text);
}

static void draw_uses(struct grid *g, unsigned row, const struct top_figures *f)
{
	char text[CELL_TEXT];

	put(g, row, 0, BOLD, "IN USE");
	put_right(g, row, 24, BOLD, "now");
	put_right(g, row, 34, BOLD, "limit");
	put_right(g, row, 39, BOLD, "used");
	for (unsigned i = 0; i < TOP_USES; i++) {
		const struct top_use *u = &f->uses[i];
		double part = u->limit > 0 ? u->now / u->limit : 0;
		/* All devices being there is no alarm. */
		enum attr a = strcmp(u->key, "devices") == 0 ? PLAIN
		              : part >= 0.9                  ? ALARM
		              : part >= 0.7                  ? WARN
		                                             : PLAIN;

		row++;
		put(g, row, 0, a, u->label);
		amount_text(u->now, u->unit, text);
		put_right(g, row, 24, a, text);
		if (u->limit <= 0)
			continue;
		amount_text(u->limit, u->unit, text);
		put_right(g, row, 34, PLAIN, text);
		piece(text, "%.0f%%", floor(part * 100));
		put_right(g, row, 39, a, text);
	}
}

static void draw_rates(struct grid *g, unsigned row, const struct top_figures *f)
{
	char text[CELL_TEXT];

	put(g, row, RIGHT, BOLD, "HAPPENING");
	put_right(g, row, RIGHT + 26, BOLD, "a second");
	put_right(g, row, 79, BOLD, "in all");
	for (unsigned i = 0; i < TOP_RATES; i++) {
		const struct top_rate *r = &f->rates[i];
		enum attr a = r->bad && r->per_s > 0 ? WARN : PLAIN;

		row++;
		put(g, row, RIGHT, a, r->label);
		if (f->rates_known)
			rate_text(r->per_s, r->unit, text);
		put_right(g, row, RIGHT + 26, a, f->rates_known ? text : "-");
		amount_text(r->total, r->unit, text);
		put_right(g, row, 79, PLAIN, text);
	}
}

/* One line: the reasons that are happening, or else those that have happened. */
static void draw_reasons(struct grid *g, unsigned row, const struct top_figures *f)
{
	bool now = f->reasons_len > 0 && f->reasons[0].per_s > 0;
	unsigned column = 20, shown = 0;
	char text[CELL_TEXT], number[CELL_TEXT];

	put(g, row, 0, BOLD, now ? "REFUSED a second" : "REFUSED in all");
	for (size_t i = 0; i < f->reasons_len; i++) {
		const struct top_reason *r = &f->reasons[i];

		if ((now ? r->per_s : r->total) <= 0)
			continue;
		if (now)
			rate_text(r->per_s, TOP_COUNT, number);
		else
			count_text(r->total, number);
		piece(text, "%s %s", r->name, number);
		if (column + strlen(text) > MAX(g->width, 79u))
			break;
		put(g, row, column, now ? WARN : PLAIN, text);
		column += (unsigned)strlen(text) + 3;
		shown++;
	}
	if (shown == 0)
		put(g, row, column, PLAIN, "none");
}

static void draw_latencies(struct grid *g, unsigned row, const struct top_figures *f)
{
	static const unsigned ends[] = {24, 38, 52, 66};
	static const char *const heads[] = {"a second", "median", "99 %", "mean"};
	char text[CELL_TEXT];

	put(g, row, 0, BOLD, "TIME");
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		put_right(g, row, ends[i], BOLD, heads[i]);
	for (unsigned i = 0; i < TOP_LATENCIES; i++) {
		const struct top_latency *l = &f->latencies[i];
		const double times[] = {l->p50_s, l->p99_s, l->mean_s};

		row++;
		put(g, row, 0, PLAIN, l->label);
		if (f->rates_known)
			rate_text(l->per_s, TOP_COUNT, text);
		put_right(g, row, ends[0], PLAIN, f->rates_known ? text : "-");
		for (size_t k = 0; k < ARRAY_LEN(times); k++) {
			time_text(times[k], text);
			put_right(g, row, ends[k + 1], PLAIN, text);
		}
	}
}

static void draw_status(struct grid *g, const struct top_view *v)
{
	for (unsigned i = 0; i < g->width; i++)
		put(g, g->height - 1, i, PLAIN, " ");
	put(g, g->height - 1, 0, v->warn ? ALARM : BOLD, v->status);
}

void top_draw(const struct top_view *v, const struct top_figures *f, enum top_form form,
              struct buf *out)
{
	struct grid g;

	if (!grid_init(&g, v))
		return;
	draw_title(&g, v, f);
	draw_uses(&g, 2, f);
	draw_rates(&g, 2, f);
	draw_reasons(&g, 3 + TOP_USES, f);
	draw_latencies(&g, 4 + TOP_USES, f);
	if (v->status[0] != '\0')
		draw_status(&g, v);
	grid_write(&g, form, out);
}

void top_draw_help(const struct top_view *v, enum top_form form, struct buf *out)
{
	static const char *const lines[] = {
		"causeway top",
		"",
		"  q       quit",
		"  space   hold the screen, and go on",
		"  ?       this page, and back",
		"",
		"IN USE      what is held now, and its limit. 'devices up' stands beside the",
		"            devices that are known. From 70 % of a limit it is yellow, from",
		"            90 % red: docs/OPERATIONS.md says what to do.",
		"HAPPENING   in a second of the last interval, and since the server started.",
		"REFUSED     connections of devices that were refused, by reason.",
		"TIME        of what ended in the last interval. API call: unary methods. WSMAN",
		"            call: with waiting for its turn. Loop iteration: what is on the",
		"            same worker meanwhile waits as long.",
		"cpu         100 % is one core. busy: the part of the time in which a worker",
		"            works: the mean of all, and of the busiest.",
	};
	struct grid g;

	if (!grid_init(&g, v))
		return;
	for (unsigned i = 0; i < ARRAY_LEN(lines); i++)
		put(&g, i, 0, i == 0 ? BOLD : PLAIN, lines[i]);
	draw_status(&g, v);
	grid_write(&g, form, out);
}

/* ---- JSON ---- */

/* A number, null for NAN. */
static json_t *number(double v)
{
	return isnan(v) ? json_null() : json_real(v);
}

/* An object under its key in parent; jansson takes NULLs, and the dump fails then. */
static void set(json_t *parent, const char *key, json_t *value)
{
	(void)json_object_set_new(parent, key, value);
}

static void json_lists(const struct top_figures *f, json_t *all)
{
	json_t *uses = json_object(), *rates = json_object(), *times = json_object(),
	       *reasons = json_object();

	for (size_t i = 0; i < TOP_USES; i++)
		set(uses, f->uses[i].key,
		    json_pack("{s:f,s:o}", "now", f->uses[i].now, "limit",
		              f->uses[i].limit > 0 ? number(f->uses[i].limit) : json_null()));
	for (size_t i = 0; i < TOP_RATES; i++)
		set(rates, f->rates[i].key,
		    json_pack("{s:f,s:f}", "perSecond", f->rates[i].per_s, "total",
		              f->rates[i].total));
	for (size_t i = 0; i < f->reasons_len; i++)
		set(reasons, f->reasons[i].name,
		    json_pack("{s:f,s:f}", "perSecond", f->reasons[i].per_s, "total",
		              f->reasons[i].total));
	for (size_t i = 0; i < TOP_LATENCIES; i++)
		set(times, f->latencies[i].key,
		    json_pack("{s:f,s:o,s:o,s:o}", "perSecond", f->latencies[i].per_s, "p50Seconds",
		              number(f->latencies[i].p50_s), "p99Seconds",
		              number(f->latencies[i].p99_s), "meanSeconds",
		              number(f->latencies[i].mean_s)));
	set(all, "use", uses);
	set(all, "rates", rates);
	set(all, "refused", reasons);
	set(all, "times", times);
}

int top_json(const struct top_figures *f, struct buf *out)
{
	json_t *all = json_pack("{s:I,s:f,s:f,s:f,s:f,s:f,s:f}", "timeMs", (json_int_t)f->time_ms,
	                        "uptimeSeconds", (double)f->uptime_ms / 1000, "cpuCores", f->cpu,
	                        "residentBytes", f->resident_bytes, "workers", f->workers,
	                        "busyMean", f->busy_mean, "busyMost", f->busy_most);
	char *text;

	if (all == NULL)
		return -ERR_NOMEM;
	json_lists(f, all);
	text = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(all);
	if (text == NULL)
		return -ERR_NOMEM;
	buf_put_str(out, text);
	buf_put_u8(out, '\n');
	free(text);
	return out->err;
}
