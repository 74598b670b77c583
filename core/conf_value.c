/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf_value.c: parsing, checking and describing single values. */
#include "core/conf_value.h"
#include "core/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit time_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                         {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit size_units[] = {{"TiB", 1ull << 40},
                                         {"GiB", 1ull << 30},
                                         {"MiB", 1ull << 20},
                                         {"KiB", 1ull << 10},
                                         {"", 1},
                                         {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum conf_type type)
{
	return type == CONF_DURATION ? time_units : type == CONF_SIZE ? size_units : no_units;
}

bool conf_type_is_list(enum conf_type type)
{
	return type >= CONF_STR_LIST;
}

uint64_t conf_list_max(const struct conf_field *f)
{
	return f->max > 0 ? f->max : CONF_LIST_MAX;
}

/* Digits and a unit. A bare 0 is a duration too. */
static enum conf_verdict parse_number(const struct conf_field *f, const char *text, uint64_t *out)
{
	const struct unit *u = units_of(f->type);
	uint64_t v = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return CONF_OUT_OF_RANGE;
	if (p == text || (text[0] == '0' && p - text > 1))
		return CONF_WRONG_TYPE;
	while (u->name != NULL && strcmp(u->name, p) != 0)
		u++;
	if (u->name == NULL && (v != 0 || *p != '\0'))
		return CONF_WRONG_TYPE;
	if (u->name != NULL && __builtin_mul_overflow(v, u->factor, &v))
		return CONF_OUT_OF_RANGE;
	if (v < f->min || (f->max > 0 && v > f->max))
		return CONF_OUT_OF_RANGE;
	*out = v;
	return CONF_OK;
}

static enum conf_verdict set_enum(const struct conf_field *f, const char *text, unsigned *out)
{
	for (unsigned i = 0; f->choices[i] != NULL; i++) {
		if (strcmp(f->choices[i], text) != 0)
			continue;
		*out = i;
		return CONF_OK;
	}
	return CONF_WRONG_TYPE;
}

static enum conf_verdict set_str(const struct conf_field *f, const char *text, char **out)
{
	size_t n = strlen(text);
	char *copy;

	if (n < f->min || n > (f->max > 0 ? f->max : CONF_STR_MAX))
		return CONF_OUT_OF_RANGE;
	copy = strdup(text);
	if (copy == NULL)
		return CONF_NO_MEMORY;
	free(*out);
	*out = copy;
	return CONF_OK;
}

static enum conf_verdict set_addr(const struct conf_field *f, const char *text, struct addr *out)
{
	struct addr a = {.len = 0};

	if ((text[0] != '\0' || f->min > 0) && addr_parse(text, &a) != 0)
		return CONF_WRONG_TYPE;
	*out = a;
	return CONF_OK;
}

enum conf_verdict conf_value_set(const struct conf_field *f, const char *text, void *member)
{
	bool *flag = member;

	switch (f->type) {
	case CONF_BOOL:
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
			return CONF_WRONG_TYPE;
		*flag = text[0] == 't';
		return CONF_OK;
	case CONF_INT:
	case CONF_DURATION:
	case CONF_SIZE:
		return parse_number(f, text, member);
	case CONF_ENUM:
		return set_enum(f, text, member);
	case CONF_STR:
		return set_str(f, text, member);
	case CONF_ADDR:
		return set_addr(f, text, member);
	case CONF_STR_LIST:
	case CONF_ADDR_LIST:
	case CONF_CIDR_LIST:
	case CONF_ITEMS:
		break;
	}
	return CONF_WRONG_TYPE;
}

/* A copy of the list with room for one more, or NULL. The old one is gone then. */
static void *one_more(void *v, size_t n, size_t size)
{
	return realloc(v, (n + 1) * size);
}

static enum conf_verdict append_str(const char *text, struct conf_strs *list)
{
	size_t n = strlen(text);
	char **v;

	if (n == 0 || n > CONF_STR_MAX)
		return CONF_WRONG_TYPE;
	v = one_more(list->v, list->n, sizeof(*v));
	if (v == NULL)
		return CONF_NO_MEMORY;
	list->v = v;
	v[list->n] = strdup(text);
	if (v[list->n] == NULL)
		return CONF_NO_MEMORY;
	list->n++;
	return CONF_OK;
}

static enum conf_verdict append_addr(const char *text, struct conf_addrs *list)
{
	struct addr a, *v;

	if (addr_parse(text, &a) != 0)
		return CONF_WRONG_TYPE;
	v = one_more(list->v, list->n, sizeof(*v));
	if (v == NULL)
		return CONF_NO_MEMORY;
	list->v = v;
	v[list->n++] = a;
	return CONF_OK;
}

static enum conf_verdict append_cidr(const char *text, struct conf_cidrs *list)
{
	struct cidr c, *v;

	if (cidr_parse(text, &c) != 0)
		return CONF_WRONG_TYPE;
	v = one_more(list->v, list->n, sizeof(*v));
	if (v == NULL)
		return CONF_NO_MEMORY;
	list->v = v;
	v[list->n++] = c;
	return CONF_OK;
}

enum conf_verdict conf_value_append(const struct conf_field *f, const char *text, void *member)
{
	/* The list structs differ only in the type of v. */
	const struct conf_strs *any = member;

	if (any->n >= conf_list_max(f))
		return CONF_OUT_OF_RANGE;
	if (f->type == CONF_STR_LIST)
		return append_str(text, member);
	if (f->type == CONF_ADDR_LIST)
		return append_addr(text, member);
	ASSERT(f->type == CONF_CIDR_LIST);
	return append_cidr(text, member);
}

void conf_value_clear(const struct conf_field *f, void *member)
{
	struct conf_strs *strs = member;
	struct conf_addrs *addrs = member;
	struct conf_cidrs *cidrs = member;
	char **str = member;

	if (f->type == CONF_STR) {
		free(*str);
		*str = NULL;
	} else if (f->type == CONF_STR_LIST) {
		for (size_t i = 0; i < strs->n; i++)
			free(strs->v[i]);
		free(strs->v);
		*strs = (struct conf_strs){0};
	} else if (f->type == CONF_ADDR_LIST) {
		free(addrs->v);
		*addrs = (struct conf_addrs){0};
	} else if (f->type == CONF_CIDR_LIST) {
		free(cidrs->v);
		*cidrs = (struct conf_cidrs){0};
	}
}

/* The number in its largest whole unit. */
static void put_number(struct buf *out, enum conf_type type, uint64_t v)
{
	const struct unit *u = units_of(type);

	while (v != 0 && v % u->factor != 0)
		u++;
	buf_printf(out, "%" PRIu64 "%s", v != 0 ? v / u->factor : 0, v != 0 ? u->name : "");
}

static void describe_number(const struct conf_field *f, struct buf *out)
{
	static const char *const what[] = {
		[CONF_INT] = "a whole number",
		[CONF_DURATION] = "a duration like 500ms, 30s, 5m, 24h or 7d",
		[CONF_SIZE] = "a size in octets or like 64KiB, 4MiB or 64GiB"};

	buf_put_str(out, what[f->type]);
	buf_put_str(out, ", from ");
	put_number(out, f->type, f->min);
	if (f->max > 0) {
		buf_put_str(out, " to ");
		put_number(out, f->type, f->max);
	}
}

static void describe_text(const struct conf_field *f, struct buf *out)
{
	buf_printf(out, "a text of %s%" PRIu64 " octets", f->min > 0 ? "1 to " : "at most ",
	           f->max > 0 ? f->max : CONF_STR_MAX);
}

const char *conf_value_describe(const struct conf_field *f, char out[CONF_DESCRIBE_MAX])
{
	struct buf b = {.cap = CONF_DESCRIBE_MAX - 1};

	switch (f->type) {
	case CONF_BOOL:
		buf_put_str(&b, "true or false");
		break;
	case CONF_INT:
	case CONF_DURATION:
	case CONF_SIZE:
		describe_number(f, &b);
		break;
	case CONF_ENUM:
		buf_put_str(&b, "one of");
		for (size_t i = 0; f->choices[i] != NULL; i++)
			buf_printf(&b, "%s %s", i > 0 ? "," : "", f->choices[i]);
		break;
	case CONF_STR:
		describe_text(f, &b);
		break;
	case CONF_ADDR:
		buf_printf(&b, "\"host:port\" like \"127.0.0.1:80\" or \"[::]:80\"%s",
		           f->min > 0 ? "" : ", or \"\" for none");
		break;
	case CONF_STR_LIST:
		buf_put_str(&b, "a list of texts");
		break;
	case CONF_ADDR_LIST:
		buf_put_str(&b, "a list of \"host:port\" like [\"0.0.0.0:80\", \"[::1]:80\"]");
		break;
	case CONF_CIDR_LIST:
		buf_put_str(&b, "a list of networks like [\"10.0.0.0/8\", \"2001:db8::/32\"]");
		break;
	case CONF_ITEMS:
		buf_put_str(&b, "a list of mappings");
		break;
	}
	if (conf_type_is_list(f->type))
		buf_printf(&b, ", %s%" PRIu64 " entries", f->min > 0 ? "1 to " : "at most ",
		           conf_list_max(f));
	(void)str_copy(out, CONF_DESCRIBE_MAX, buf_cstr(&b));
	buf_free(&b);
	return out;
}
