/* SPDX-License-Identifier: GPL-3.0-or-later */
/* filter.c: parser and matcher of the filter language. No recursion; all input is bounded. Pure. */
#include "mgmtapi/filter.h"
#include "core/err.h"
#include "core/text.h"

#include <string.h>

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool glob_matches(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			retry = text;
		} else if (*pattern != '\0' && lower(*pattern) == lower(*text)) {
			pattern++;
			text++;
		} else if (star != NULL) {
			pattern = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool filter_matches(const struct filter *f, filter_value_fn *value, const void *thing)
{
	char scratch[FILTER_SCRATCH];

	for (size_t i = 0; i < f->conds_len; i++) {
		const struct filter_cond *cond = &f->conds[i];
		const char *text = value(thing, cond, scratch);

		if (glob_matches(cond->value, text != NULL ? text : "") == cond->negate)
			return false;
	}
	return true;
}

/* ---- parsing ---- */

struct parser {
	const char *start, *at;
	const struct filter_schema *schema;
	struct buf *why;
};

static int bad(const struct parser *p, const char *what)
{
	buf_printf(p->why, "filter, character %zu: %s", (size_t)(p->at - p->start) + 1, what);
	return -ERR_INVALID;
}

static void skip_spaces(struct parser *p)
{
	while (*p->at == ' ' || *p->at == '\t')
		p->at++;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '.' || c == '/' || c == '-';
}

static int unknown_field(const struct parser *p)
{
	(void)bad(p, "no such field; there are");
	for (size_t i = 0; i < p->schema->fields_len; i++)
		buf_printf(p->why, "%s %s%s", i > 0 ? "," : "", p->schema->fields[i].name,
		           p->schema->fields[i].keyed ? ".KEY" : "");
	return -ERR_INVALID;
}

static int read_field(struct parser *p, struct filter_cond *cond)
{
	const char *name = p->at, *end = name;

	while (is_name_char(*end))
		end++;
	for (unsigned i = 0; i < p->schema->fields_len; i++) {
		const struct filter_field *f = &p->schema->fields[i];
		size_t n = strlen(f->name), len = (size_t)(end - name);

		if (len < n || strncmp(name, f->name, n) != 0)
			continue;
		if (f->keyed ? len < n + 2 || name[n] != '.' : len != n)
			continue;
		cond->field = i;
		if (f->keyed && !str_copy_span(cond->key, sizeof(cond->key),
		                               span_of(name + n + 1, len - n - 1)))
			return bad(p, "the key is too long");
		p->at = end;
		return 0;
	}
	return name == end ? bad(p, "expected FIELD=VALUE") : unknown_field(p);
}

static int read_operator(struct parser *p, struct filter_cond *cond)
{
	skip_spaces(p);
	cond->negate = *p->at == '!';
	if (cond->negate)
		p->at++;
	if (*p->at != '=')
		return bad(p, "expected = or !=");
	p->at++;
	skip_spaces(p);
	return 0;
}

/* A quoted value ends at its quote, another one at a space. */
static int read_value(struct parser *p, struct filter_cond *cond)
{
	bool quoted = *p->at == '"';
	size_t n = 0;

	if (quoted)
		p->at++;
	while (*p->at != '\0' && (quoted ? *p->at != '"' : *p->at != ' ' && *p->at != '\t')) {
		if (quoted && *p->at == '\\' && (p->at[1] == '"' || p->at[1] == '\\'))
			p->at++;
		else if (!quoted && *p->at == '"')
			return bad(p, "a quote inside a value: put the whole value in quotes");
		if (n == FILTER_VALUE_MAX)
			return bad(p, "the value is too long");
		cond->value[n++] = *p->at++;
	}
	cond->value[n] = '\0';
	if (!quoted)
		return n > 0 ? 0 : bad(p, "expected a value (\"\" for none)");
	if (*p->at != '"')
		return bad(p, "the quote has no end");
	p->at++;
	return 0;
}

static int check_choice(const struct parser *p, const struct filter_cond *cond)
{
	const struct filter_field *f = &p->schema->fields[cond->field];

	if (f->choices == NULL)
		return 0;
	for (size_t i = 0; f->choices[i] != NULL; i++)
		if (glob_matches(cond->value, f->choices[i]))
			return 0;
	buf_printf(p->why, "filter: %s has no value \"%s\"; there are", f->name, cond->value);
	for (size_t i = 0; f->choices[i] != NULL; i++)
		buf_printf(p->why, "%s %s", i > 0 ? "," : "", f->choices[i]);
	return -ERR_INVALID;
}

static int read_and(struct parser *p)
{
	const char *before = p->at;

	skip_spaces(p);
	if (*p->at == '\0')
		return 0;
	if (p->at == before || strncmp(p->at, "AND", 3) != 0 ||
	    (p->at[3] != ' ' && p->at[3] != '\t'))
		return bad(p, "expected AND and another condition");
	p->at += 3;
	skip_spaces(p);
	return 1;
}

static int read_condition(struct parser *p, struct filter *out)
{
	struct filter_cond *cond = &out->conds[out->conds_len];
	int err;

	if (out->conds_len == FILTER_CONDS_MAX)
		return bad(p, "more than 32 conditions");
	*cond = (struct filter_cond){.field = 0};
	err = read_field(p, cond);
	if (err == 0)
		err = read_operator(p, cond);
	if (err == 0)
		err = read_value(p, cond);
	if (err == 0)
		err = check_choice(p, cond);
	out->conds_len += err == 0 ? 1 : 0;
	return err;
}

int filter_parse(const char *text, const struct filter_schema *schema, struct filter *out,
                 struct buf *why)
{
	struct parser p = {.start = text, .at = text, .schema = schema, .why = why};
	int rc = 1;

	out->conds_len = 0;
	if (strlen(text) > FILTER_TEXT_MAX)
		return bad(&p, "the filter is longer than 2048 octets");
	skip_spaces(&p);
	if (*p.at == '\0')
		return 0;
	while (rc == 1) {
		rc = read_condition(&p, out);
		if (rc == 0)
			rc = read_and(&p);
	}
	return rc;
}
