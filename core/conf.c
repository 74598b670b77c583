/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conf.c: walks the tree of the file against the schema. A key is "name" or "section.name", written nested or with the dot; a
 * member is set once. Mistakes are noted in the tree and the walk goes on.
 */
#include "core/conf.h"
#include "core/conf_tree.h"
#include "core/conf_value.h"
#include "core/err.h"
#include "core/file.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

#define CONF_KEY_MAX 96

struct walk {
	struct conf_tree *tree;
	const struct conf_schema *schema; /* of the whole file */
	uint8_t *out;
	unsigned *set_in; /* for each field of schema: the line that set it, 0 not set */
};

static void *member_of(const struct conf_field *f, void *out)
{
	return (uint8_t *)out + f->offset;
}

/* Frees all but the entries of CONF_ITEMS. */
static void free_plain(const struct conf_schema *s, void *out)
{
	for (size_t i = 0; i < s->fields_len; i++)
		if (s->fields[i].type != CONF_ITEMS)
			conf_value_clear(&s->fields[i], member_of(&s->fields[i], out));
}

static void free_items(const struct conf_field *f, struct conf_items *items)
{
	for (size_t i = 0; i < items->n; i++)
		free_plain(f->items, (uint8_t *)items->v + i * f->items->size);
	free(items->v);
	*items = (struct conf_items){0};
}

void conf_free(const struct conf_schema *schema, void *out)
{
	for (size_t i = 0; i < schema->fields_len; i++)
		if (schema->fields[i].type == CONF_ITEMS)
			free_items(&schema->fields[i], member_of(&schema->fields[i], out));
	free_plain(schema, out);
	memset(out, 0, schema->size);
}

/* The default of a list, entry by entry. */
static bool default_list(const struct conf_field *f, void *member)
{
	const char *p = f->value;
	char entry[CONF_KEY_MAX];

	while (p != NULL && *p != '\0') {
		size_t n = strcspn(p, ",");

		ASSERT(str_copy_span(entry, sizeof(entry), span_of(p, n)));
		if (conf_value_append(f, entry, member) != CONF_OK)
			return false;
		p += n;
		p += strspn(p, ", ");
	}
	return true;
}

void conf_defaults(const struct conf_schema *schema, void *out)
{
	memset(out, 0, schema->size);
	for (size_t i = 0; i < schema->fields_len; i++) {
		const struct conf_field *f = &schema->fields[i];

		if (conf_type_is_list(f->type))
			ASSERT(default_list(f, member_of(f, out)));
		else if (f->value != NULL)
			ASSERT(conf_value_set(f, f->value, member_of(f, out)) == CONF_OK);
		else if (f->type == CONF_STR) {
			char **str = member_of(f, out);

			*str = strdup("");
			ASSERT(*str != NULL);
		}
	}
}

static void note(struct walk *w, const struct conf_node *n, const struct conf_field *f,
                 const char *what)
{
	char allowed[CONF_DESCRIBE_MAX];

	conf_tree_problem(w->tree, n->line, n->column, "%s %s (%s)", f->key, what,
	                  conf_value_describe(f, allowed));
}

/* Notes what is wrong with the value of a scalar node. */
static void note_verdict(struct walk *w, const struct conf_node *n, const struct conf_field *f,
                         enum conf_verdict verdict)
{
	char allowed[CONF_DESCRIBE_MAX], quoted[CONF_QUOTE_MAX];

	if (verdict == CONF_NO_MEMORY)
		w->tree->err = -ERR_NOMEM;
	else if (verdict != CONF_OK)
		conf_tree_problem(w->tree, n->line, n->column, "%s: \"%s\" is %s (%s)", f->key,
		                  conf_quote(n->text, quoted),
		                  verdict == CONF_OUT_OF_RANGE ? "out of range" : "not valid",
		                  conf_value_describe(f, allowed));
}

static const struct conf_node *child_of(const struct walk *w, const struct conf_node *n)
{
	return n->first >= 0 ? &w->tree->nodes[n->first] : NULL;
}

static const struct conf_node *next_of(const struct walk *w, const struct conf_node *n)
{
	return n->next >= 0 ? &w->tree->nodes[n->next] : NULL;
}

static void apply_scalar(struct walk *w, const struct conf_field *f, const struct conf_node *n,
                         void *member)
{
	bool word = f->type == CONF_BOOL || f->type == CONF_INT;

	if (n->kind != CONF_SCALAR)
		note(w, n, f, "must be a single value");
	else if (conf_node_is_null(n))
		note(w, n, f, "has no value; leave the key out for the default");
	else if (word && !n->plain)
		note(w, n, f, "is a quoted text");
	else
		note_verdict(w, n, f, conf_value_set(f, n->text, member));
}

static void apply_list(struct walk *w, const struct conf_field *f, const struct conf_node *n,
                       void *member)
{
	/* The list structs differ only in the type of v. */
	struct conf_strs *any = member;
	uint64_t count = 0;

	if (n->kind != CONF_SEQUENCE) {
		note(w, n, f, "must be a list");
		return;
	}
	conf_value_clear(f, member);
	any->given = true;
	for (const struct conf_node *e = child_of(w, n); e != NULL; e = next_of(w, e)) {
		if (++count > conf_list_max(f)) {
			note(w, e, f, "has too many entries");
			return;
		}
		if (e->bad)
			continue;
		if (e->kind != CONF_SCALAR || conf_node_is_null(e))
			note(w, e, f, "has an entry that is not a single value");
		else
			note_verdict(w, e, f, conf_value_append(f, e->text, member));
	}
	if (count < f->min)
		note(w, n, f, "has too few entries");
}

/* Any field but CONF_ITEMS. */
static void apply_plain(struct walk *w, const struct conf_field *f, const struct conf_node *n,
                        void *out)
{
	if (conf_type_is_list(f->type))
		apply_list(w, f, n, member_of(f, out));
	else
		apply_scalar(w, f, n, member_of(f, out));
}

static const struct conf_field *find_field(const struct conf_schema *s, const char *key)
{
	for (size_t i = 0; i < s->fields_len; i++)
		if (strcmp(s->fields[i].key, key) == 0)
			return &s->fields[i];
	return NULL;
}

/* Does the key of the field stand in this section ("" is the top)? The name in the section, or NULL. */
static const char *name_in_section(const struct conf_field *f, const char *section)
{
	size_t n = strlen(section);

	if (n == 0)
		return f->key;
	return strncmp(f->key, section, n) == 0 && f->key[n] == '.' ? f->key + n + 1 : NULL;
}

static void note_unknown(struct walk *w, const struct conf_node *n, const struct conf_schema *s,
                         const char *section)
{
	char quoted[CONF_QUOTE_MAX];
	struct buf known = {.cap = CONF_MESSAGE_MAX - 128};
	const char *before = NULL;
	size_t last = 0;

	for (size_t i = 0; i < s->fields_len; i++) {
		const char *name = name_in_section(&s->fields[i], section);
		size_t len = name != NULL ? strcspn(name, ".") : 0;

		/* At the top a section counts once: its fields stand together. */
		if (name == NULL ||
		    (before != NULL && len == last && strncmp(name, before, len) == 0))
			continue;
		before = name;
		last = len;
		buf_printf(&known, "%s%.*s", known.len > 0 ? ", " : "", (int)len, name);
	}
	known.err = 0;
	conf_tree_problem(w->tree, n->key_line, n->key_column, "unknown key \"%s\"%s%s (known: %s)",
	                  conf_quote(n->key, quoted), section[0] != '\0' ? " in " : "", section,
	                  buf_cstr(&known));
	buf_free(&known);
}

static void apply_item(struct walk *w, const struct conf_field *f, const struct conf_node *n,
                       void *item)
{
	bool seen[CONF_DEPTH_MAX * 4] = {false};

	ASSERT(f->items->fields_len <= ARRAY_LEN(seen));
	for (const struct conf_node *e = child_of(w, n); e != NULL; e = next_of(w, e)) {
		const struct conf_field *g = find_field(f->items, e->key);

		if (g != NULL)
			seen[g - f->items->fields] = true;
		if (e->bad)
			continue;
		if (g == NULL)
			note_unknown(w, e, f->items, "");
		else
			apply_plain(w, g, e, item);
	}
	for (size_t i = 0; i < f->items->fields_len; i++)
		if (f->items->fields[i].required && !seen[i])
			conf_tree_problem(w->tree, n->line, n->column, "%s: \"%s\" is missing",
			                  f->key, f->items->fields[i].key);
}

static void apply_items(struct walk *w, const struct conf_field *f, const struct conf_node *n)
{
	struct conf_items *items = member_of(f, w->out);
	size_t size = f->items->size;

	ASSERT(size > 0);
	if (n->kind != CONF_SEQUENCE) {
		note(w, n, f, "must be a list");
		return;
	}
	items->given = true;
	for (const struct conf_node *e = child_of(w, n); e != NULL; e = next_of(w, e)) {
		uint8_t *v;

		if (items->n == conf_list_max(f)) {
			note(w, e, f, "has too many entries");
			return;
		}
		if (e->bad)
			continue;
		if (e->kind != CONF_MAPPING) {
			note(w, e, f, "has an entry that is not a mapping");
			continue;
		}
		v = reallocarray(items->v, items->n + 1, size);
		if (v == NULL) {
			w->tree->err = -ERR_NOMEM;
			return;
		}
		items->v = v;
		conf_defaults(f->items, v + items->n * size);
		apply_item(w, f, e, v + items->n++ * size);
	}
	if (items->n < f->min)
		note(w, n, f, "has too few entries");
}

static void apply_field(struct walk *w, const struct conf_field *f, const struct conf_node *n)
{
	unsigned *set_in = &w->set_in[f - w->schema->fields];

	if (*set_in != 0) {
		conf_tree_problem(w->tree, n->key_line, n->key_column,
		                  "%s is set already in line %u", f->key, *set_in);
		return;
	}
	*set_in = n->key_line;
	if (f->type == CONF_ITEMS)
		apply_items(w, f, n);
	else
		apply_plain(w, f, n, w->out);
}

static bool is_section(const struct conf_schema *s, const char *name)
{
	for (size_t i = 0; i < s->fields_len; i++)
		if (name[0] != '\0' && name_in_section(&s->fields[i], name) != NULL)
			return true;
	return false;
}

static void apply_section(struct walk *w, const struct conf_node *section)
{
	char path[CONF_KEY_MAX];

	if (conf_node_is_null(section))
		return;
	if (section->kind != CONF_MAPPING) {
		conf_tree_problem(w->tree, section->line, section->column,
		                  "%s must be a mapping (keys and values below it)", section->key);
		return;
	}
	for (const struct conf_node *n = child_of(w, section); n != NULL; n = next_of(w, n)) {
		const struct conf_field *f = NULL;

		if (n->bad)
			continue;
		if ((size_t)snprintf(path, sizeof(path), "%s.%s", section->key, n->key) <
		    sizeof(path))
			f = find_field(w->schema, path);
		if (f != NULL)
			apply_field(w, f, n);
		else
			note_unknown(w, n, w->schema, section->key);
	}
}

static void apply_root(struct walk *w)
{
	const struct conf_node *root = w->tree->nodes;

	if (w->tree->nodes_len == 0 || conf_node_is_null(root))
		return;
	if (root->kind != CONF_MAPPING) {
		conf_tree_problem(w->tree, root->line, root->column,
		                  "the file must be a mapping (keys and values)");
		return;
	}
	for (const struct conf_node *n = child_of(w, root); n != NULL; n = next_of(w, n)) {
		const struct conf_field *f = find_field(w->schema, n->key);

		if (n->bad)
			continue;
		if (f != NULL)
			apply_field(w, f, n);
		else if (is_section(w->schema, n->key))
			apply_section(w, n);
		else
			note_unknown(w, n, w->schema, "");
	}
}

int conf_load_text(struct span text, const char *name, const struct conf_schema *schema, void *out,
                   struct buf *errors)
{
	struct conf_tree tree;
	struct walk w = {.tree = &tree, .schema = schema, .out = out};
	int err = conf_tree_parse(&tree, text);

	conf_defaults(schema, out);
	ASSERT(schema->fields_len > 0);
	w.set_in = calloc(schema->fields_len, sizeof(*w.set_in));
	if (err == 0 && w.set_in != NULL)
		apply_root(&w);
	if (err == 0)
		err = w.set_in != NULL ? tree.err : -ERR_NOMEM;
	if (err != 0)
		buf_printf(errors, "%s: %s\n", name, err_text(err));
	else if (tree.problems_len > 0) {
		conf_tree_report(&tree, name, errors);
		err = -ERR_INVALID;
	}
	if (err != 0)
		conf_free(schema, out);
	free(w.set_in);
	conf_tree_free(&tree);
	return err;
}

int conf_load_file(const char *path, const struct conf_schema *schema, void *out,
                   struct buf *errors)
{
	struct buf text = {.cap = CONF_FILE_MAX};
	int err = file_read(path, &text);

	if (err == 0) {
		err = conf_load_text(buf_span(&text), path, schema, out, errors);
	} else {
		memset(out, 0, schema->size);
		buf_printf(errors, "%s: %s\n", path, err_text(err));
	}
	buf_free(&text);
	return err;
}

static void print_help(FILE *to, const struct conf_field *f, const char *indent)
{
	char allowed[CONF_DESCRIBE_MAX];

	fprintf(to, "%s# %s\n%s# Allowed: %s.\n", indent, f->help, indent,
	        conf_value_describe(f, allowed));
}

/* "key: default" as YAML that loads. */
static void print_value(FILE *to, const struct conf_field *f, const char *name)
{
	const char *p = f->value != NULL ? f->value : "", *between = "";
	bool quote = f->type == CONF_STR || f->type == CONF_ADDR;

	if (!conf_type_is_list(f->type)) {
		fprintf(to, quote ? "%s: \"%s\"\n" : "%s: %s\n", name, p);
		return;
	}
	fprintf(to, "%s: [", name);
	for (size_t n; *p != '\0'; p += n, p += strspn(p, ", ")) {
		n = strcspn(p, ",");
		fprintf(to, "%s\"%.*s\"", between, (int)n, p);
		between = ", ";
	}
	fputs("]\n", to);
}

static void print_items(FILE *to, const struct conf_field *f, const char *indent)
{
	fprintf(to, "%s# Each entry has:\n", indent);
	for (size_t i = 0; i < f->items->fields_len; i++) {
		const struct conf_field *g = &f->items->fields[i];
		char allowed[CONF_DESCRIBE_MAX];

		fprintf(to, "%s#   %s: %s %s: %s.\n", indent, g->key, g->help,
		        g->required ? "Required" : "Allowed", conf_value_describe(g, allowed));
	}
}

void conf_print_defaults(FILE *to, const struct conf_schema *schema)
{
	char section[CONF_KEY_MAX] = "";

	for (size_t i = 0; i < schema->fields_len; i++) {
		const struct conf_field *f = &schema->fields[i];
		const char *dot = strchr(f->key, '.');
		const char *indent = dot != NULL ? "  " : "";
		size_t n = dot != NULL ? (size_t)(dot - f->key) : 0;

		if (strlen(section) != n || strncmp(section, f->key, n) != 0) {
			ASSERT(str_copy_span(section, sizeof(section), span_of(f->key, n)));
			if (n > 0)
				fprintf(to, "%s%s:\n", i > 0 ? "\n" : "", section);
		}
		if (n == 0)
			fputs("\n", to);
		print_help(to, f, indent);
		if (f->type == CONF_ITEMS)
			print_items(to, f, indent);
		fprintf(to, "%s#", indent);
		print_value(to, f, dot != NULL ? dot + 1 : f->key);
	}
}
