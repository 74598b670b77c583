/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sim_cim.c: looking instances up, and the overlay of what clients changed. */
#include "bench/fleet/sim_cim.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/text.h"

#define CREATED SIZE_MAX

struct sim_cim_overlay {
	struct sim_cim_overlay *next;
	const struct sim_cim_class *cls;
	size_t index; /* of the table's instance, or CREATED */
	bool deleted;
	size_t len;
	char text[];
};

static const struct {
	const char *prefix, *uri;
} schemas[] = {
	{"AMT_", "http://intel.com/wbem/wscim/1/amt-schema/1/"},
	{"CIM_", "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"},
	{"IPS_", "http://intel.com/wbem/wscim/1/ips-schema/1/"},
};

void sim_cim_init(struct sim_cim *c, void (*variable)(void *, const char *, struct buf *),
                  void *user)
{
	*c = (struct sim_cim){.variable = variable, .user = user};
}

void sim_cim_free(struct sim_cim *c)
{
	while (c->overlays != NULL) {
		struct sim_cim_overlay *o = c->overlays;

		c->overlays = o->next;
		free(o);
	}
	c->overlays_len = 0;
}

const struct sim_cim_class *sim_cim_class_by_name(const char *name)
{
	for (size_t i = 0; i < sim_cim_classes_len; i++) {
		if (strcmp(sim_cim_classes[i].name, name) == 0)
			return &sim_cim_classes[i];
	}
	return NULL;
}

const struct sim_cim_class *sim_cim_class_by_uri(const char *uri)
{
	for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
		size_t n = strlen(schemas[i].uri);

		if (strncmp(uri, schemas[i].uri, n) == 0 &&
		    strncmp(uri + n, schemas[i].prefix, 4) == 0)
			return sim_cim_class_by_name(uri + n);
	}
	return NULL;
}

void sim_cim_put_uri(struct buf *b, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
		if (strncmp(name, schemas[i].prefix, 4) == 0)
			buf_put_str(b, schemas[i].uri);
	}
	buf_put_str(b, name);
}

bool sim_cim_next_line(struct span *rest, struct span *line)
{
	const uint8_t *end;

	if (rest->len == 0)
		return false;
	end = memchr(rest->ptr, '\n', rest->len);
	*line = span_of(rest->ptr, end == NULL ? rest->len : (size_t)(end - rest->ptr));
	*rest = span_of(rest->ptr + line->len, rest->len - line->len);
	if (end != NULL)
		*rest = span_of(rest->ptr + 1, rest->len - 1);
	return true;
}

struct span sim_cim_line_name(struct span line)
{
	size_t n = 0;

	while (n < line.len && line.ptr[n] != '=' && line.ptr[n] != '@' && line.ptr[n] != '#')
		n++;
	return span_of(line.ptr, n);
}

static bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool sim_cim_list_has(const char *list, struct span name)
{
	struct span rest = span_str(list != NULL ? list : "");

	while (rest.len > 0) {
		const uint8_t *comma = memchr(rest.ptr, ',', rest.len);
		size_t n = comma == NULL ? rest.len : (size_t)(comma - rest.ptr);

		if (span_equal(span_of(rest.ptr, n), name))
			return true;
		n = MIN(n + 1, rest.len);
		rest = span_of(rest.ptr + n, rest.len - n);
	}
	return false;
}

bool sim_cim_member(struct span text, const char *name, struct span *value)
{
	struct span line;

	while (sim_cim_next_line(&text, &line)) {
		struct span n = sim_cim_line_name(line);

		if (!span_equal(n, span_str(name)))
			continue;
		*value = span_of(line.ptr + n.len, line.len - n.len);
		return true;
	}
	return false;
}

bool sim_cim_value(struct span text, const char *name, char *out, size_t size)
{
	struct span v;

	if (!sim_cim_member(text, name, &v) || v.len == 0)
		return false;
	return str_copy_span(out, size, span_of(v.ptr + 1, v.len - 1));
}

/* The index-th block of the class's table text; false past the end. */
static bool table_block(const struct sim_cim_class *cls, size_t index, struct span *out)
{
	const char *at = cls->instances;

	while (at != NULL && *at != '\0') {
		const char *end = strstr(at, "\n\n");

		if (index-- == 0) {
			*out = span_of(at, end == NULL ? strlen(at) : (size_t)(end - at) + 1);
			return true;
		}
		at = end == NULL ? NULL : end + 2;
	}
	return false;
}

static void expand(const struct sim_cim *c, struct span text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char word[SIM_CIM_NAME_MAX];
		size_t n = 0;

		if (text.ptr[i] != '$') {
			buf_put_u8(out, text.ptr[i]);
			continue;
		}
		while (i + 1 < text.len && text.ptr[i + 1] >= 'a' && text.ptr[i + 1] <= 'z' &&
		       n < sizeof(word) - 1)
			word[n++] = (char)text.ptr[++i];
		word[n] = '\0';
		c->variable(c->user, word, out);
	}
}

static struct sim_cim_overlay *overlay_of(const struct sim_cim *c, const struct sim_cim_class *cls,
                                          size_t index)
{
	for (struct sim_cim_overlay *o = c->overlays; o != NULL; o = o->next) {
		if (o->cls == cls && o->index == index)
			return o;
	}
	return NULL;
}

/* The nth created instance, oldest first (the list is newest first). */
static struct sim_cim_overlay *created_of(const struct sim_cim *c, const struct sim_cim_class *cls,
                                          size_t nth)
{
	size_t total = 0;

	for (struct sim_cim_overlay *o = c->overlays; o != NULL; o = o->next)
		total += o->cls == cls && o->index == CREATED;
	if (nth >= total)
		return NULL;
	nth = total - 1 - nth;
	for (struct sim_cim_overlay *o = c->overlays; o != NULL; o = o->next) {
		if (o->cls == cls && o->index == CREATED && nth-- == 0)
			return o;
	}
	return NULL;
}

static size_t table_len(const struct sim_cim_class *cls)
{
	struct span block;
	size_t n = 0;

	while (table_block(cls, n, &block))
		n++;
	return n;
}

int sim_cim_text(const struct sim_cim *c, const struct sim_cim_class *cls, size_t index,
                 struct buf *out)
{
	struct sim_cim_overlay *o;
	size_t n = table_len(cls);
	struct span block;

	o = index < n ? overlay_of(c, cls, index) : created_of(c, cls, index - n);
	if (o != NULL && o->deleted)
		return -ERR_REFUSED;
	if (o != NULL) {
		buf_put(out, o->text, o->len);
		return out->err;
	}
	if (!table_block(cls, index, &block))
		return -ERR_NOT_FOUND;
	expand(c, block, out);
	return out->err;
}

static bool matches(struct span text, struct span selectors)
{
	struct span line, value;

	while (sim_cim_next_line(&selectors, &line)) {
		struct span name = sim_cim_line_name(line);
		char key[SIM_CIM_NAME_MAX];

		if (!str_copy_span(key, sizeof(key), name) || !sim_cim_member(text, key, &value))
			return false;
		if (!span_equal(value, span_of(line.ptr + name.len, line.len - name.len)))
			return false;
	}
	return true;
}

int sim_cim_find(const struct sim_cim *c, const struct sim_cim_class *cls, struct span selectors,
                 size_t *index, struct buf *text)
{
	struct span rest = selectors, line;
	size_t found = 0;
	int err = 0;

	while (sim_cim_next_line(&rest, &line)) {
		if (!sim_cim_list_has(cls->keys, sim_cim_line_name(line)))
			return -ERR_INVALID;
	}
	for (size_t i = 0; err != -ERR_NOT_FOUND; i++) {
		struct buf t;

		buf_init(&t, SIM_CIM_TEXT_MAX);
		err = sim_cim_text(c, cls, i, &t);
		if (err == 0 && matches(buf_span(&t), selectors) && found++ == 0) {
			*index = i;
			buf_put_span(text, buf_span(&t));
		}
		buf_free(&t);
		if (err == -ERR_TOO_BIG || err == -ERR_NOMEM)
			return err;
	}
	if (found > 1)
		return -ERR_INVALID;
	return found == 1 ? text->err : -ERR_NOT_FOUND;
}

static void unlink_overlay(struct sim_cim *c, struct sim_cim_overlay *gone)
{
	for (struct sim_cim_overlay **at = &c->overlays; *at != NULL; at = &(*at)->next) {
		if (*at != gone)
			continue;
		*at = gone->next;
		free(gone);
		c->overlays_len--;
		return;
	}
}

static int put_overlay(struct sim_cim *c, struct sim_cim_overlay **place,
                       const struct sim_cim_overlay *head, struct span text)
{
	struct sim_cim_overlay *o;

	if (c->overlays_len >= SIM_CIM_OVERLAYS_MAX)
		return -ERR_FULL;
	o = malloc(sizeof(*o) + text.len);
	if (o == NULL)
		return -ERR_NOMEM;
	*o = *head;
	o->len = text.len;
	if (text.len > 0)
		memcpy(o->text, text.ptr, text.len);
	o->next = *place;
	*place = o;
	c->overlays_len++;
	return 0;
}

static int replace(struct sim_cim *c, const struct sim_cim_class *cls, size_t index,
                   const struct span *text)
{
	struct sim_cim_overlay head = {.cls = cls, .index = index, .deleted = text == NULL};
	size_t n = table_len(cls);
	struct sim_cim_overlay *old =
		index < n ? overlay_of(c, cls, index) : created_of(c, cls, index - n);
	struct sim_cim_overlay **place = &c->overlays;
	int err;

	if (index >= n && old == NULL)
		return -ERR_NOT_FOUND;
	if (index >= n)
		head.index = CREATED;
	if (index >= n && text == NULL) {
		unlink_overlay(c, old);
		return 0;
	}
	/* Right behind the old one, so that created instances keep their order. */
	if (old != NULL)
		place = &old->next;
	err = put_overlay(c, place, &head, text == NULL ? span_of(NULL, 0) : *text);
	if (err == 0 && old != NULL)
		unlink_overlay(c, old);
	return err;
}

int sim_cim_replace(struct sim_cim *c, const struct sim_cim_class *cls, size_t index,
                    struct span text)
{
	return replace(c, cls, index, &text);
}

int sim_cim_delete(struct sim_cim *c, const struct sim_cim_class *cls, size_t index)
{
	return replace(c, cls, index, NULL);
}

int sim_cim_create(struct sim_cim *c, const struct sim_cim_class *cls, struct span text)
{
	struct sim_cim_overlay head = {.cls = cls, .index = CREATED};

	return put_overlay(c, &c->overlays, &head, text);
}

void sim_cim_restore(struct sim_cim *c, const struct sim_cim_class *cls)
{
	struct sim_cim_overlay *o = c->overlays;

	while (o != NULL) {
		struct sim_cim_overlay *next = o->next;

		if (o->cls == cls)
			unlink_overlay(c, o);
		o = next;
	}
}

int sim_cim_set(struct sim_cim *c, const struct sim_cim_class *cls, size_t index, const char *line)
{
	struct buf text, merged;
	int err;

	buf_init(&text, SIM_CIM_TEXT_MAX);
	buf_init(&merged, SIM_CIM_TEXT_MAX);
	err = sim_cim_text(c, cls, index, &text);
	if (err == 0) {
		struct sim_cim_class lax = *cls;

		lax.flags &= ~(unsigned)SIM_CIM_STRICT;
		err = sim_cim_merge(&lax, buf_span(&text), span_str(line), &merged);
	}
	if (err == 0)
		err = sim_cim_replace(c, cls, index, buf_span(&merged));
	buf_free(&text);
	buf_free(&merged);
	return err;
}

static bool has_member(struct span text, struct span name)
{
	struct span line;

	while (sim_cim_next_line(&text, &line)) {
		if (span_equal(sim_cim_line_name(line), name))
			return true;
	}
	return false;
}

/* Appends every line of params with that name. */
static void put_members(struct span params, struct span name, struct buf *out)
{
	struct span line;

	while (sim_cim_next_line(&params, &line)) {
		if (!span_equal(sim_cim_line_name(line), name))
			continue;
		buf_put_span(out, line);
		buf_put_u8(out, '\n');
	}
}

static bool name_before(struct span a, struct span b)
{
	int d = memcmp(a.ptr, b.ptr, MIN(a.len, b.len));

	return d < 0 || (d == 0 && a.len < b.len);
}

/* Appends the members of params that text lacks and whose names sort before limit (NULL: all that are left). */
static void put_new_members(struct span text, struct span params, const struct span *limit,
                            struct buf *out)
{
	struct span rest = params, line;

	while (sim_cim_next_line(&rest, &line)) {
		struct span name = sim_cim_line_name(line);

		if (has_member(text, name) || has_member(buf_span(out), name))
			continue;
		if (limit == NULL || name_before(name, *limit))
			put_members(params, name, out);
	}
}

int sim_cim_merge(const struct sim_cim_class *cls, struct span text, struct span params,
                  struct buf *out)
{
	struct span rest = params, line, last = span_of(NULL, 0);

	while (sim_cim_next_line(&rest, &line)) {
		struct span name = sim_cim_line_name(line);

		if ((cls->flags & SIM_CIM_STRICT) != 0 && sim_cim_list_has(cls->read_only, name))
			return -ERR_INVALID;
		if (!has_member(text, name) && !sim_cim_list_has(cls->optional, name))
			return -ERR_INVALID;
	}
	rest = text;
	while (sim_cim_next_line(&rest, &line)) {
		struct span name = sim_cim_line_name(line);

		put_new_members(text, params, &name, out);
		if (!has_member(params, name)) {
			buf_put_span(out, line);
			buf_put_u8(out, '\n');
		} else if (!span_equal(name, last)) {
			put_members(params, name, out);
		}
		last = name;
	}
	put_new_members(text, params, NULL, out);
	return out->err;
}
