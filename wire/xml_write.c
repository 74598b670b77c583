/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * xml_write.c: the escaping writer, and subtrees back to text. No recursion: the walk follows
 * parent and next.
 */
#include "wire/xml.h"
#include "core/err.h"

#include <stdio.h>
#include <string.h>

static void invalid(struct buf *b)
{
	if (b->err == 0)
		b->err = -ERR_INVALID;
}

/* Length of the valid UTF-8 sequence of an XML character at the front; 0 if there is none. */
static size_t utf8_len(struct span s)
{
	uint8_t c = s.ptr[0];
	size_t n = c < 0x80                ? 1
	           : c >= 0xc2 && c < 0xe0 ? 2
	           : c >= 0xe0 && c < 0xf0 ? 3
	           : c >= 0xf0 && c < 0xf5 ? 4
	                                   : 0;
	uint32_t v;

	if (n == 0 || n > s.len)
		return 0;
	if (n == 1)
		return c >= ' ' || c == '\t' || c == '\n' || c == '\r' ? 1 : 0;
	v = c & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s.ptr[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (s.ptr[i] & 0x3fU);
	}
	/*
	 * Overlong forms, surrogates, the two non-characters that XML 1.0 excludes, and what lies
	 * beyond Unicode.
	 */
	if ((n == 3 && v < 0x800) || (v >= 0xd800 && v < 0xe000) || v == 0xfffe || v == 0xffff ||
	    (n == 4 && v < 0x10000) || v > 0x10ffff)
		return 0;
	return n;
}

static const char *escape_of(uint8_t c)
{
	switch (c) {
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '&':
		return "&amp;";
	case '"':
		return "&quot;";
	case '\r': /* a reader would turn it into LF */
		return "&#13;";
	default:
		return NULL;
	}
}

/* How many octets at the front are ASCII that stands for itself. */
static size_t plain_len(struct span s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] >= ' ' && s.ptr[n] < 0x80 && escape_of(s.ptr[n]) == NULL)
		n++;
	return n;
}

static void put_escaped(struct buf *b, struct span text, bool attr)
{
	size_t n;

	for (; text.len > 0 && b->err == 0; text = span_of(text.ptr + n, text.len - n)) {
		const char *esc;

		n = plain_len(text);
		if (n > 0) {
			buf_put(b, text.ptr, n);
			continue;
		}
		esc = escape_of(text.ptr[0]);
		n = utf8_len(text);
		if (n == 0) {
			invalid(b);
			return;
		}
		if (attr && (text.ptr[0] == '\n' || text.ptr[0] == '\t'))
			esc = text.ptr[0] == '\n' ? "&#10;" : "&#9;";
		if (esc != NULL)
			buf_put_str(b, esc);
		else
			buf_put(b, text.ptr, n);
	}
}

void xml_put_text(struct buf *b, struct span text)
{
	put_escaped(b, text, false);
}

static void put_attr(struct buf *b, const char *prefix, const char *name, const char *value)
{
	buf_put_u8(b, ' ');
	buf_put_str(b, prefix);
	buf_put_str(b, name);
	buf_put_str(b, "=\"");
	put_escaped(b, span_str(value), true);
	buf_put_u8(b, '"');
}

void xml_put_open(struct buf *b, const char *name)
{
	buf_put_u8(b, '<');
	buf_put_str(b, name);
	buf_put_u8(b, '>');
}

void xml_put_open_ns(struct buf *b, const char *name, const char *attr, const char *value)
{
	buf_put_u8(b, '<');
	buf_put_str(b, name);
	put_attr(b, "", attr, value);
	buf_put_u8(b, '>');
}

void xml_put_close(struct buf *b, const char *name)
{
	buf_put_str(b, "</");
	buf_put_str(b, name);
	buf_put_u8(b, '>');
}

void xml_put_element(struct buf *b, const char *name, struct span text)
{
	xml_put_open(b, name);
	xml_put_text(b, text);
	xml_put_close(b, name);
}

void xml_put_element_str(struct buf *b, const char *name, const char *text)
{
	xml_put_element(b, name, span_str(text));
}

void xml_put_element_uint(struct buf *b, const char *name, uint64_t v)
{
	buf_printf(b, "<%s>%llu</%s>", name, (unsigned long long)v, name);
}

bool xml_is_name(struct span s)
{
	if (s.len == 0 || s.len > XML_NAME_MAX || (s.ptr[0] >= '0' && s.ptr[0] <= '9') ||
	    s.ptr[0] == '-' || s.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    c != '_' && c != '-' && c != '.')
			return false;
	}
	return true;
}

/* ---- subtrees -------------------------------------------------------------------------------- */

#define XML_NAMESPACE "http://www.w3.org/XML/1998/namespace"

static void put_node_attrs(struct buf *b, const struct xml_node *node)
{
	unsigned n = 0;

	for (const struct xml_attr *a = node->attrs; a != NULL; a = a->next) {
		char prefix[16] = "", decl[16];

		if (strcmp(a->ns, XML_NAMESPACE) == 0) {
			put_attr(b, "xml:", a->name, a->value);
			continue;
		}
		if (a->ns[0] != '\0') {
			/*
			 * An attribute has a namespace only through a prefix: one for each, cheap
			 * and right.
			 */
			(void)snprintf(decl, sizeof(decl), "a%u", n);
			(void)snprintf(prefix, sizeof(prefix), "a%u:", n++);
			put_attr(b, "xmlns:", decl, a->ns);
		}
		put_attr(b, prefix, a->name, a->value);
	}
}

static void put_node_open(struct buf *b, const struct xml_node *node, const struct xml_node *top)
{
	const char *around = node != top ? node->parent->ns : "";

	buf_put_u8(b, '<');
	buf_put_str(b, node->name);
	if (strcmp(node->ns, around) != 0)
		put_attr(b, "", "xmlns", node->ns);
	put_node_attrs(b, node);
	buf_put_u8(b, '>');
	xml_put_text(b, span_of(node->text, node->text_len));
}

void xml_write_node(struct buf *b, const struct xml_node *top)
{
	const struct xml_node *node = top;

	put_node_open(b, node, top);
	for (;;) {
		if (node->child != NULL) {
			node = node->child;
			put_node_open(b, node, top);
			continue;
		}
		xml_put_close(b, node->name);
		while (node != top && node->next == NULL) {
			node = node->parent;
			xml_put_close(b, node->name);
		}
		if (node == top)
			return;
		node = node->next;
		put_node_open(b, node, top);
	}
}

int xml_normalize(struct span text, const struct xml_limits *limits, struct buf *out)
{
	struct xml_doc doc;
	int r = xml_parse(&doc, text, limits);

	if (r != 0)
		return r;
	xml_write_node(out, doc.root);
	xml_free(&doc);
	return out->err;
}
