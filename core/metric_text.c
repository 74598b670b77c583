/* SPDX-License-Identifier: GPL-3.0-or-later */
/* metric_text.c: the Prometheus text format 0.0.4. */
#include "core/metric.h"
#include "core/text.h"

#include <math.h>
#include <string.h>

struct rendering {
	struct buf *out;
	const char *last; /* the name before; NULL at the start */
};

static void put_escaped(struct buf *out, struct span s, bool quote_too)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = (char)s.ptr[i];

		if (c == '\n')
			buf_put_str(out, "\\n");
		else if (c == '\\' || (c == '"' && quote_too))
			buf_printf(out, "\\%c", c);
		else
			buf_put_u8(out, (uint8_t)c);
	}
}

/* name and suffix, then {labels} with an le label behind them if le is not NULL, then a space. */
static void put_sample_name(struct buf *out, const struct metric_view *v, const char *suffix,
                            const char *le)
{
	const char *labels = v->labels;
	struct span key, value;
	char open = '{';

	buf_put_str(out, v->name);
	buf_put_str(out, suffix);
	while (metric_label(&labels, &key, &value)) {
		buf_put_u8(out, (uint8_t)open);
		buf_put_span(out, key);
		buf_put_str(out, "=\"");
		put_escaped(out, value, true);
		buf_put_u8(out, '"');
		open = ',';
	}
	if (le != NULL) {
		buf_printf(out, "%cle=\"%s\"", open, le);
		open = ',';
	}
	buf_put_str(out, open == ',' ? "} " : " ");
}

static void put_number(struct buf *out, double v)
{
	if (isnan(v))
		buf_put_str(out, "NaN\n");
	else if (isinf(v))
		buf_put_str(out, v > 0 ? "+Inf\n" : "-Inf\n");
	else
		buf_printf(out, "%.15g\n", v);
}

static void put_histogram(struct buf *out, const struct metric_view *v)
{
	const struct metric_buckets *b = v->buckets;
	uint64_t below = 0;
	char le[32];
	struct buf text = {.cap = sizeof(le)};

	for (size_t i = 0; i < b->bounds_len; i++) {
		below += v->counts[i];
		buf_clear(&text);
		buf_printf(&text, "%.9g", (double)b->bounds[i] * b->scale);
		(void)str_copy(le, sizeof(le), buf_cstr(&text));
		put_sample_name(out, v, "_bucket", le);
		buf_printf(out, "%llu\n", (unsigned long long)below);
	}
	buf_free(&text);
	put_sample_name(out, v, "_bucket", "+Inf");
	buf_printf(out, "%llu\n", (unsigned long long)v->count);
	put_sample_name(out, v, "_sum", NULL);
	put_number(out, v->sum);
	put_sample_name(out, v, "_count", NULL);
	buf_printf(out, "%llu\n", (unsigned long long)v->count);
}

static void put_view(void *arg, const struct metric_view *v)
{
	struct rendering *r = arg;

	if (r->last == NULL || strcmp(r->last, v->name) != 0) {
		buf_printf(r->out, "# HELP %s ", v->name);
		put_escaped(r->out, span_str(v->help), false);
		buf_printf(r->out, "\n# TYPE %s %s\n", v->name,
		           v->buckets != NULL ? "histogram"
		           : v->counter       ? "counter"
		                              : "gauge");
	}
	r->last = v->name;
	if (v->buckets != NULL) {
		put_histogram(r->out, v);
		return;
	}
	put_sample_name(r->out, v, "", NULL);
	put_number(r->out, v->value);
}

void metric_render(struct buf *out)
{
	struct rendering r = {.out = out};

	metric_each(put_view, &r);
}

double metric_quantile(const struct metric_view *v, double q)
{
	const struct metric_buckets *b = v->buckets;
	double rank = q * (double)v->count;
	uint64_t below = 0;

	if (b == NULL || b->bounds_len == 0 || v->count == 0)
		return 0;
	for (size_t i = 0; i < b->bounds_len; i++) {
		below += v->counts[i];
		if (below > 0 && (double)below >= rank)
			return (double)b->bounds[i] * b->scale;
	}
	return (double)b->bounds[b->bounds_len - 1] * b->scale;
}
