/* SPDX-License-Identifier: GPL-3.0-or-later */
/* format.c: text forms for people. Pure but for cli_table_print and cli_field. */
#include "mgmtapi/cli/format.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/err.h"
#include "core/text.h"

#define FIELD_MAX     65536 /* octets of one field's text */
#define LABEL_WIDTH   18
#define COLUMN_SPACES 2

/* ---- durations, ages, sizes */

struct unit {
	const char *name;
	uint64_t ms;
};
static const struct unit units[] = {
	{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

/* The index of the unit that text begins with, or -1. */
static int find_unit(const char *text, size_t *len)
{
	*len = strspn(text, "abcdefghijklmnopqrstuvwxyz");
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strlen(units[i].name) == *len && memcmp(units[i].name, text, *len) == 0)
			return (int)i;
	return -1;
}

int cli_duration_parse(const char *text, uint64_t *ms)
{
	int last = -1;

	*ms = 0;
	if (text[0] == '\0')
		return -ERR_INVALID;
	while (*text != '\0') {
		size_t digits = strspn(text, "0123456789"), len = 0;
		uint64_t n = 0;
		int unit;

		if (digits == 0 || digits > 12)
			return -ERR_INVALID;
		for (size_t i = 0; i < digits; i++)
			n = n * 10 + (uint64_t)(text[i] - '0');
		text += digits;
		unit = *text == '\0' && last < 0 ? 3 : find_unit(text, &len);
		if (unit < 0 || unit <= last || n > CLI_DURATION_MAX_MS / units[unit].ms)
			return -ERR_INVALID;
		text += *text == '\0' ? 0 : len;
		last = unit;
		*ms += n * units[unit].ms;
	}
	return *ms <= CLI_DURATION_MAX_MS ? 0 : -ERR_INVALID;
}

void cli_age(struct buf *out, int64_t then_ms, int64_t now_ms)
{
	bool future = then_ms > now_ms;
	uint64_t diff = future ? (uint64_t)then_ms - (uint64_t)now_ms
	                       : (uint64_t)now_ms - (uint64_t)then_ms;
	size_t i = 0;

	if (then_ms == 0) {
		buf_put_str(out, "-");
		return;
	}
	while (i < 3 && diff < units[i].ms)
		i++;
	if (i == 3 && diff < 1000) {
		buf_put_str(out, "now");
		return;
	}
	buf_printf(out, "%s%llu%s%s", future ? "in " : "", (unsigned long long)(diff / units[i].ms),
	           units[i].name, future ? "" : " ago");
}

void cli_local_time(struct buf *out, int64_t ms, bool date)
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;
	char text[32];

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(text, sizeof(text), date ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &tm) == 0)
		str_copy(text, sizeof(text), "-");
	buf_put_str(out, text);
}

void cli_size(struct buf *out, uint64_t octets)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double v = (double)octets;
	size_t i = 0;

	while (v >= 1024 && i + 1 < ARRAY_LEN(names)) {
		v /= 1024;
		i++;
	}
	if (i == 0)
		buf_printf(out, "%llu B", (unsigned long long)octets);
	else
		buf_printf(out, "%.1f %s", v, names[i]);
}

/* ---- UTF-8 */

/* The code point at s and its length; -1 and length 1 if it is not UTF-8. */
static int32_t code_point(const char *s, size_t *len)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	int32_t cp;

	*len = 1;
	if (n == 1)
		return p[0];
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return -1;
	cp = p[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) /* a NUL ends here too */
			return -1;
		cp = cp << 6 | (p[i] & 0x3f);
	}
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return -1;
	*len = n;
	return cp;
}

struct range {
	int32_t first, last;
};

static bool in_ranges(int32_t cp, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cp >= r[i].first && cp <= r[i].last)
			return true;
	return false;
}

static size_t point_width(int32_t cp)
{
	static const struct range none[] = {
		{0x300, 0x36f}, {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}};
	static const struct range wide[] = {
		{0x1100, 0x115f}, {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},
		{0xf900, 0xfaff}, {0xfe30, 0xfe6f},   {0xff00, 0xff60},
		{0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd},
	};

	if (in_ranges(cp, none, ARRAY_LEN(none)))
		return 0;
	return in_ranges(cp, wide, ARRAY_LEN(wide)) ? 2 : 1;
}

/* Characters that could steer a terminal or turn a line around. */
static bool is_harmful(int32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069) || cp == 0x2028 || cp == 0x2029;
}

static void put_clean(struct buf *out, const char *s, bool lines)
{
	size_t len;

	for (; s != NULL && *s != '\0'; s += len) {
		int32_t cp = code_point(s, &len);

		if (cp == '\n' || cp == '\t')
			buf_put_u8(out, lines ? (uint8_t)cp : ' ');
		else if (is_harmful(cp)) /* also -1 */
			buf_put_u8(out, '?');
		else
			buf_put(out, s, len);
	}
}

void cli_put_clean(struct buf *out, const char *s)
{
	put_clean(out, s, false);
}

void cli_put_clean_lines(struct buf *out, const char *s)
{
	put_clean(out, s, true);
}

size_t cli_width(const char *s)
{
	size_t n = 0, len;

	for (; *s != '\0'; s += len)
		n += point_width(code_point(s, &len));
	return n;
}

/* ---- enums */

/* The length of the prefix that all values share up to a '_': the type's name in capitals. */
static size_t prefix_len(const ProtobufCEnumDescriptor *type)
{
	const char *zero = NULL;
	size_t n;

	for (unsigned i = 0; i < type->n_values; i++)
		if (type->values[i].value == 0)
			zero = type->values[i].name;
	n = zero != NULL ? strlen(zero) : 0;
	return n > strlen("UNSPECIFIED") ? n - strlen("UNSPECIFIED") : 0;
}

void cli_enum_word(const ProtobufCEnumDescriptor *type, int value, char *out, size_t size)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(type, value);
	size_t skip = prefix_len(type);

	if (v == NULL || strlen(v->name) < skip) {
		(void)snprintf(out, size, "%d", value);
		return;
	}
	str_copy(out, size, v->name + skip);
	for (char *p = out; *p != '\0'; p++)
		*p = *p == '_' ? '-' : (char)tolower((unsigned char)*p);
}

int cli_enum_value(const ProtobufCEnumDescriptor *type, const char *word)
{
	char name[64];

	for (unsigned i = 0; i < type->n_values; i++) {
		if (type->values[i].value == 0)
			continue;
		cli_enum_word(type, type->values[i].value, name, sizeof(name));
		if (strcmp(name, word) == 0)
			return type->values[i].value;
	}
	return -1;
}

/* ---- tables */

void cli_table_init(struct cli_table *t, const char *const *heads, size_t columns)
{
	ASSERT(columns > 0 && columns <= CLI_COLUMNS_MAX);
	*t = (struct cli_table){.heads = heads, .columns = columns};
	buf_init(&t->text, CLI_TABLE_MAX);
	for (size_t i = 0; i < columns; i++)
		t->width[i] = cli_width(heads[i]);
}

void cli_cell(struct cli_table *t, const char *fmt, ...)
{
	struct buf raw;
	size_t start = t->text.len, column = t->cells % t->columns, width;
	va_list ap;

	buf_init(&raw, FIELD_MAX);
	va_start(ap, fmt);
	buf_vprintf(&raw, fmt, ap);
	va_end(ap);
	cli_put_clean(&t->text, buf_cstr(&raw));
	buf_free(&raw);
	if (t->text.len == start)
		buf_put_str(&t->text, "-");
	buf_put_u8(&t->text, '\0');
	t->cells++;
	if (t->text.err != 0)
		return;
	width = cli_width((const char *)t->text.data + start);
	t->width[column] = MAX(t->width[column], width);
}

static void print_cell(const struct cli_table *t, size_t column, const char *cell, FILE *out)
{
	(void)fputs(cell, out);
	if (column + 1 < t->columns)
		(void)fprintf(out, "%*s", (int)(t->width[column] - cli_width(cell) + COLUMN_SPACES),
		              "");
}

int cli_table_print(struct cli_table *t, FILE *out, bool color)
{
	size_t at = 0, cells = t->text.err == 0 ? t->cells - t->cells % t->columns : 0;
	int r = t->text.err;

	(void)fputs(color ? "\033[1m" : "", out);
	for (size_t i = 0; i < t->columns; i++)
		print_cell(t, i, t->heads[i], out);
	(void)fputs(color ? "\033[0m\n" : "\n", out);
	for (size_t i = 0; i < cells && at < t->text.len; i++) {
		const char *cell = (const char *)t->text.data + at;

		print_cell(t, i % t->columns, cell, out);
		if ((i + 1) % t->columns == 0)
			(void)fputc('\n', out);
		at += strlen(cell) + 1;
	}
	buf_free(&t->text);
	return r;
}

void cli_field(FILE *out, const char *label, const char *fmt, ...)
{
	struct buf raw, clean;
	va_list ap;

	buf_init(&raw, FIELD_MAX);
	buf_init(&clean, FIELD_MAX);
	va_start(ap, fmt);
	buf_vprintf(&raw, fmt, ap);
	va_end(ap);
	cli_put_clean(&clean, buf_cstr(&raw));
	if (clean.len > 0)
		(void)fprintf(out, "%s:%*s %s\n", label,
		              (int)(LABEL_WIDTH - MIN(strlen(label), LABEL_WIDTH)), "",
		              buf_cstr(&clean));
	buf_free(&raw);
	buf_free(&clean);
}
