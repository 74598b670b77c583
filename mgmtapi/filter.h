/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * filter.h: the filter language of lists: conditions joined by AND, each FIELD=VALUE or FIELD!=VALUE. "*" in a value stands for any
 * text; letters match in either case. A value with spaces or quotes stands in double quotes, with \" and \\ inside; a quoted
 * "*" is a wildcard, too. What the fields are is the caller's. Pure; any thread.
 */
#pragma once

#include "core/buf.h"

#define FILTER_TEXT_MAX  2048
#define FILTER_CONDS_MAX 32
#define FILTER_VALUE_MAX 255
#define FILTER_KEY_MAX   63

/* A field that can be asked for. */
struct filter_field {
	const char *name; /* "group"; with keyed: "label" for label.KEY */
	const char *const *
		choices; /* NULL: any text; else the values there are, ends with NULL (wildcards are allowed) */
	bool keyed;
};

struct filter_schema {
	const struct filter_field *fields;
	size_t fields_len;
};

struct filter_cond {
	unsigned field; /* index in the schema */
	bool negate;
	char key[FILTER_KEY_MAX + 1]; /* of a keyed field */
	char value[FILTER_VALUE_MAX + 1];
};

/* 10 KiB: on the heap. */
struct filter {
	size_t conds_len;
	struct filter_cond conds[FILTER_CONDS_MAX];
};

/* filter_parse: an empty text matches everything. 0, or -ERR_INVALID with a sentence that says where and what is allowed in why. */
int filter_parse(const char *text, const struct filter_schema *schema, struct filter *out,
                 struct buf *why) MUST_CHECK;

/* filter_matches: value gives the text of a field of the thing (NULL or "": it has none); scratch is for values that have to be written. */
#define FILTER_SCRATCH 128
typedef const char *filter_value_fn(const void *thing, const struct filter_cond *cond,
                                    char scratch[FILTER_SCRATCH]);
bool filter_matches(const struct filter *f, filter_value_fn *value, const void *thing);

/* glob_matches: "*" in pattern stands for any text, also none; ASCII letters in either case. Time at most pattern times text. */
bool glob_matches(const char *pattern, const char *text);
