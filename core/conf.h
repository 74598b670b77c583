/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conf.h: strict YAML configuration. A schema maps keys to members of a struct; everything in the file must be known to it, of
 * the right type and in range. All mistakes are reported at once, each as "file:line:column: what (what is allowed)". Anchors,
 * aliases, tags and further documents are refused. Any thread; used at start and at reload.
 */
#pragma once

#include "core/addr.h"
#include "core/buf.h"

#include <stdio.h>

#define CONF_FILE_MAX   (1024 * 1024)
#define CONF_DEPTH_MAX  8    /* nested lists and mappings */
#define CONF_NODES_MAX  4096 /* values in a file */
#define CONF_LIST_MAX   256  /* entries of a list, unless the field says less */
#define CONF_STR_MAX    4096 /* octets of a text, unless the field says less */
#define CONF_ERRORS_MAX 64   /* reported; the rest is only mentioned */

/* In brackets the type of the member. Numbers are in ms for durations and octets for sizes. */
enum conf_type {
	CONF_BOOL,      /* [bool] true, false */
	CONF_INT,       /* [uint64_t] 42 */
	CONF_DURATION,  /* [uint64_t] 500ms, 30s, 5m, 24h, 7d, 0 */
	CONF_SIZE,      /* [uint64_t] 512, 64KiB, 4MiB, 64GiB, 1TiB */
	CONF_ENUM,      /* [unsigned] index into choices */
	CONF_STR,       /* [char *] never NULL; owned by the struct, as everything below */
	CONF_ADDR,      /* [struct addr] host:port; the empty text gives len 0 if min is 0 */
	CONF_STR_LIST,  /* [struct conf_strs] */
	CONF_ADDR_LIST, /* [struct conf_addrs] */
	CONF_CIDR_LIST, /* [struct conf_cidrs] */
	CONF_ITEMS, /* [struct conf_items] a list of mappings with a schema of their own (without CONF_ITEMS in it) */
};

/* Lists. given: it stood in the file, even if empty. */
struct conf_strs {
	char **v;
	size_t n;
	bool given;
};
struct conf_addrs {
	struct addr *v;
	size_t n;
	bool given;
};
struct conf_cidrs {
	struct cidr *v;
	size_t n;
	bool given;
};
struct conf_items {
	void *v; /* n structs of the size in the item schema */
	size_t n;
	bool given;
};

struct conf_schema;

struct conf_field {
	const char *key; /* "name" or "section.name"; fields of a section stand together */
	enum conf_type type;
	size_t offset;
	const char *
		value; /* the default as it would stand in the file; lists: separated by ", "; NULL: empty or zero */
	uint64_t min,
		max; /* numbers: range; texts: length; lists: entries. max 0: the limit of the type */
	const char *help;
	const char *const *choices;      /* CONF_ENUM: names, ends with NULL */
	const struct conf_schema *items; /* CONF_ITEMS */
	bool required;                   /* in an item schema: must stand in each item */
};

struct conf_schema {
	const struct conf_field *fields;
	size_t fields_len;
	size_t size; /* sizeof the struct */
};

/*
 * conf_load_file: fills out (uninitialised on entry) with the defaults and what the file says. 0; -ERR_INVALID or the error of
 * reading, with lines appended to errors and out zeroed. Free with conf_free.
 */
int conf_load_file(const char *path, const struct conf_schema *schema, void *out,
                   struct buf *errors) MUST_CHECK;
/* conf_load_text: the same from memory; name stands for the file in messages. */
int conf_load_text(struct span text, const char *name, const struct conf_schema *schema, void *out,
                   struct buf *errors) MUST_CHECK;
/* conf_defaults: the defaults alone. ASSERTs that each default is valid. */
void conf_defaults(const struct conf_schema *schema, void *out);
/* conf_free: releases what the members own and zeroes the struct. */
void conf_free(const struct conf_schema *schema, void *out);
/* conf_print_defaults: a sample file with every key, commented out, with its help, default and range. */
void conf_print_defaults(FILE *to, const struct conf_schema *schema);
