/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conf_tree.c: builds the tree from libyaml's events. No recursion: a node knows its parent, and depth is counted. What libyaml
 * calls a syntax error ends the parse; refused features are noted and the rest is still looked at.
 */
#include "core/conf_tree.h"
#include "core/err.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct builder {
	struct conf_tree *tree;
	int open; /* the list or mapping that is being filled; -1 at the top */
	unsigned depth;
	unsigned documents;
	char *key; /* of the value that comes next */
	unsigned key_line, key_column;
	bool key_bad;
	bool stop;
};

void conf_tree_problem(struct conf_tree *t, unsigned line, unsigned column, const char *fmt, ...)
{
	struct conf_problem *p;
	va_list ap;

	if (t->problems_len++ >= CONF_ERRORS_MAX)
		return;
	p = &t->problems[t->problems_len - 1];
	p->line = line;
	p->column = column;
	p->order = t->problems_len;
	va_start(ap, fmt);
	(void)vsnprintf(p->text, sizeof(p->text), fmt, ap);
	va_end(ap);
}

static int compare_problems(const void *a, const void *b)
{
	const struct conf_problem *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

void conf_tree_report(struct conf_tree *t, const char *name, struct buf *out)
{
	size_t n = MIN(t->problems_len, (size_t)CONF_ERRORS_MAX);

	qsort(t->problems, n, sizeof(t->problems[0]), compare_problems);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s:%u:%u: %s\n", name, t->problems[i].line, t->problems[i].column,
		           t->problems[i].text);
	if (t->problems_len > n)
		buf_printf(out, "%s: %zu more errors\n", name, t->problems_len - n);
}

bool conf_node_is_null(const struct conf_node *n)
{
	return n->kind == CONF_SCALAR && n->plain &&
	       (n->text[0] == '\0' || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0);
}

const char *conf_quote(const char *text, char out[CONF_QUOTE_MAX])
{
	bool whole = str_copy(out, CONF_QUOTE_MAX, text);

	for (char *p = out; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	if (!whole)
		memcpy(out + CONF_QUOTE_MAX - 4, "...", 4);
	return out;
}

static unsigned line_of(const yaml_event_t *e)
{
	return (unsigned)e->start_mark.line + 1;
}

static unsigned column_of(const yaml_event_t *e)
{
	return (unsigned)e->start_mark.column + 1;
}

/* Adds a node to the open list or mapping. NULL: the limit (noted) or no memory; the parse stops. */
static struct conf_node *add_node(struct builder *b, const yaml_event_t *e,
                                  enum conf_node_kind kind)
{
	struct conf_tree *t = b->tree;
	int index = (int)t->nodes_len;
	struct conf_node *n, *parent = b->open >= 0 ? &t->nodes[b->open] : NULL;

	if (t->nodes_len == CONF_NODES_MAX) {
		conf_tree_problem(t, line_of(e), column_of(e), "too many values (at most %d)",
		                  CONF_NODES_MAX);
		b->stop = true;
		return NULL;
	}
	n = &t->nodes[t->nodes_len++];
	*n = (struct conf_node){.kind = kind,
	                        .bad = b->key_bad,
	                        .parent = b->open,
	                        .first = -1,
	                        .last = -1,
	                        .next = -1,
	                        .line = line_of(e),
	                        .column = column_of(e),
	                        .key_line = b->key_line,
	                        .key_column = b->key_column,
	                        .key = b->key};
	b->key = NULL;
	b->key_bad = false;
	if (parent == NULL)
		return n;
	if (parent->last >= 0)
		t->nodes[parent->last].next = index;
	else
		parent->first = index;
	parent->last = index;
	return n;
}

static char *copy_scalar(struct builder *b, const yaml_event_t *e)
{
	const char *value = (const char *)e->data.scalar.value;
	char *copy = strdup(value);

	if (copy == NULL) {
		b->tree->err = -ERR_NOMEM;
		b->stop = true;
	} else if (strlen(value) != e->data.scalar.length) {
		conf_tree_problem(b->tree, line_of(e), column_of(e),
		                  "a NUL character is not allowed");
	}
	return copy;
}

static void take_key(struct builder *b, const yaml_event_t *e)
{
	const struct conf_node *map = &b->tree->nodes[b->open];
	char quoted[CONF_QUOTE_MAX];

	b->key = copy_scalar(b, e);
	b->key_line = line_of(e);
	b->key_column = column_of(e);
	if (b->key == NULL)
		return;
	for (int i = map->first; i >= 0; i = b->tree->nodes[i].next) {
		const struct conf_node *n = &b->tree->nodes[i];

		if (n->bad || strcmp(n->key, b->key) != 0)
			continue;
		b->key_bad = true;
		conf_tree_problem(b->tree, b->key_line, b->key_column,
		                  "\"%s\" is here a second time (first in line %u)",
		                  conf_quote(b->key, quoted), n->key_line);
		return;
	}
}

static bool expects_key(const struct builder *b)
{
	return b->open >= 0 && b->tree->nodes[b->open].kind == CONF_MAPPING && b->key == NULL;
}

/* Anchors and tags: noted, the value is still looked at. */
static void refuse_extras(struct builder *b, const yaml_event_t *e, const void *anchor,
                          const void *tag)
{
	if (anchor != NULL)
		conf_tree_problem(b->tree, line_of(e), column_of(e),
		                  "anchors are not allowed (write the value out)");
	if (tag != NULL)
		conf_tree_problem(b->tree, line_of(e), column_of(e),
		                  "tags are not allowed (write the value alone)");
}

static void on_scalar(struct builder *b, const yaml_event_t *e)
{
	struct conf_node *n;

	refuse_extras(b, e, e->data.scalar.anchor, e->data.scalar.tag);
	if (expects_key(b)) {
		take_key(b, e);
		return;
	}
	n = add_node(b, e, CONF_SCALAR);
	if (n == NULL)
		return;
	n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->text = copy_scalar(b, e);
}

static void on_alias(struct builder *b, const yaml_event_t *e)
{
	struct conf_node *n;

	conf_tree_problem(b->tree, line_of(e), column_of(e),
	                  "aliases are not allowed (write the value out)");
	if (expects_key(b)) {
		b->stop = true;
		return;
	}
	n = add_node(b, e, CONF_SCALAR);
	if (n == NULL)
		return;
	n->bad = true;
	n->text = strdup("");
	if (n->text == NULL) {
		b->tree->err = -ERR_NOMEM;
		b->stop = true;
	}
}

static void on_open(struct builder *b, const yaml_event_t *e, enum conf_node_kind kind)
{
	if (kind == CONF_SEQUENCE)
		refuse_extras(b, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
	else
		refuse_extras(b, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
	if (expects_key(b) || b->depth == CONF_DEPTH_MAX) {
		conf_tree_problem(b->tree, line_of(e), column_of(e),
		                  b->depth == CONF_DEPTH_MAX ? "nested too deep (at most %d levels)"
		                                             : "a key must be a single word",
		                  CONF_DEPTH_MAX);
		b->stop = true;
		return;
	}
	if (add_node(b, e, kind) == NULL)
		return;
	b->open = (int)b->tree->nodes_len - 1;
	b->depth++;
}

static void on_event(struct builder *b, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->documents++ > 0) {
			conf_tree_problem(b->tree, line_of(e), column_of(e),
			                  "a second document is not allowed (one per file)");
			b->stop = true;
		}
		break;
	case YAML_ALIAS_EVENT:
		on_alias(b, e);
		break;
	case YAML_SCALAR_EVENT:
		on_scalar(b, e);
		break;
	case YAML_SEQUENCE_START_EVENT:
		on_open(b, e, CONF_SEQUENCE);
		break;
	case YAML_MAPPING_START_EVENT:
		on_open(b, e, CONF_MAPPING);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->open = b->tree->nodes[b->open].parent;
		b->depth--;
		break;
	case YAML_STREAM_END_EVENT:
		b->stop = true;
		break;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	}
}

static void note_syntax_error(struct conf_tree *t, const yaml_parser_t *p)
{
	const char *problem = p->problem != NULL ? p->problem : "not YAML";

	if (p->error == YAML_MEMORY_ERROR)
		t->err = -ERR_NOMEM;
	else if (p->error == YAML_READER_ERROR)
		conf_tree_problem(t, (unsigned)p->mark.line + 1, (unsigned)p->mark.column + 1,
		                  "%s at octet %zu (UTF-8 text)", problem, p->problem_offset);
	else
		conf_tree_problem(t, (unsigned)p->problem_mark.line + 1,
		                  (unsigned)p->problem_mark.column + 1, "%s%s%s (YAML syntax)",
		                  problem, p->context != NULL ? " " : "",
		                  p->context != NULL ? p->context : "");
}

int conf_tree_parse(struct conf_tree *t, struct span text)
{
	struct builder b = {.tree = t, .open = -1};
	yaml_parser_t parser;
	yaml_event_t event;

	*t = (struct conf_tree){0};
	t->nodes = calloc(CONF_NODES_MAX, sizeof(*t->nodes));
	t->problems = calloc(CONF_ERRORS_MAX, sizeof(*t->problems));
	if (t->nodes == NULL || t->problems == NULL || yaml_parser_initialize(&parser) == 0)
		return -ERR_NOMEM;
	if (text.len > CONF_FILE_MAX) {
		conf_tree_problem(t, 1, 1, "too large (at most %d octets)", CONF_FILE_MAX);
		b.stop = true;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, text.len > 0 ? text.ptr : (const uint8_t *)"",
	                             text.len);
	while (!b.stop) {
		if (yaml_parser_parse(&parser, &event) == 0) {
			note_syntax_error(t, &parser);
			break;
		}
		on_event(&b, &event);
		yaml_event_delete(&event);
	}
	free(b.key);
	yaml_parser_delete(&parser);
	return t->err;
}

void conf_tree_free(struct conf_tree *t)
{
	for (size_t i = 0; i < t->nodes_len; i++) {
		free(t->nodes[i].key);
		free(t->nodes[i].text);
	}
	free(t->nodes);
	free(t->problems);
	*t = (struct conf_tree){0};
}
