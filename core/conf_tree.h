/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf_tree.h: the YAML document as a bounded tree with positions, and the list of mistakes. Internal to core/conf*.c. */
#pragma once

#include "core/conf.h"

#define CONF_MESSAGE_MAX 512

enum conf_node_kind { CONF_SCALAR, CONF_SEQUENCE, CONF_MAPPING };

/* Nodes stand in document order: a parent comes before its children. Indices, -1: none. */
struct conf_node {
	enum conf_node_kind kind;
	bool plain; /* scalar without quotes */
	bool bad;   /* a mistake was reported: to be ignored */
	int parent, first, last, next;
	unsigned line, column;         /* from 1 */
	unsigned key_line, key_column; /* of the key, if it is in a mapping */
	char *key;                     /* NULL outside mappings */
	char *text;                    /* scalar */
};

struct conf_problem {
	unsigned line, column;
	size_t order;
	char text[CONF_MESSAGE_MAX];
};

struct conf_tree {
	struct conf_node *nodes;
	size_t nodes_len;
	struct conf_problem *problems; /* CONF_ERRORS_MAX of them */
	size_t problems_len;           /* may be more than are kept */
	int err;                       /* -ERR_NOMEM */
};

/* conf_tree_parse: parses; mistakes are in problems. 0 or -ERR_NOMEM. conf_tree_free in any case. */
int conf_tree_parse(struct conf_tree *t, struct span text);
void conf_tree_free(struct conf_tree *t);
/* conf_tree_problem: notes a mistake. */
void conf_tree_problem(struct conf_tree *t, unsigned line, unsigned column, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* conf_tree_report: appends the mistakes in the order of the file. */
void conf_tree_report(struct conf_tree *t, const char *name, struct buf *out);
/* conf_node_is_null: nothing was written, or null or ~. */
bool conf_node_is_null(const struct conf_node *n);
/* conf_quote: text for a message: cut, and without anything but printable ASCII. */
#define CONF_QUOTE_MAX 48
const char *conf_quote(const char *text, char out[CONF_QUOTE_MAX]);
