/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * xml.c: the reader. expat splits, this file builds and limits. Character data of the open elements
 * lies in one scratch buffer used as a stack: a child's text is above its parent's and is cut off
 * when the child ends.
 */
#include "wire/xml.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/text.h"
#include "wire/scan.h"

#include <expat.h>
#include <pthread.h>
#include <string.h>

#define SPARE_DOCUMENT_MAX 65536

/* Between URI, local name and nothing else (no prefix triplets). Cannot occur in XML text. */
#define SEPARATOR '\x01'

static const struct xml_limits default_limits = {
	.text_max = XML_TEXT_MAX,
	.depth_max = XML_DEPTH_MAX,
	.elements_max = XML_ELEMENTS_MAX,
	.attrs_max = XML_ATTRS_MAX,
};

struct build {
	struct xml_doc *doc;
	const struct xml_limits *limits;
	XML_Parser parser;
	struct xml_node *open; /* innermost open element */
	struct buf text;
	size_t *text_at; /* start of each open element's text, by depth */
	unsigned depth, elements, decls, uris_len;
	const char *uris[XML_NAMESPACES_MAX];
	const struct xml_decl *pending; /* declared for the next element */
	int err;
};

/* ---- arena ----------------------------------------------------------------------------------- */

static void *arena_get(struct xml_doc *doc, size_t n, size_t align)
{
	struct buf *b = doc->blocks_len > 0 ? &doc->blocks[doc->blocks_len - 1] : NULL;
	size_t pad = b != NULL ? (align - b->len % align) % align : 0, size;
	uint8_t *p;

	if (b == NULL || n + pad > b->cap - b->len) {
		if (doc->blocks_len == XML_BLOCKS_MAX)
			return NULL;
		size = MAX((size_t)XML_BLOCK_MIN << doc->blocks_len, n);
		b = &doc->blocks[doc->blocks_len++];
		pad = 0;
		/* Reserved whole once, so that it never moves. */
		buf_init(b, size);
		if (buf_reserve(b, size) == NULL)
			return NULL;
	}
	p = b->data + b->len + pad;
	b->len += pad + n;
	return p;
}

/*
 * Newer expat has the same under another name, with 64 bits, and calls this one deprecated; documents here are far below 2^32 lines, and
 * Debian 12 has only this one.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static unsigned line_of(XML_Parser parser)
{
	return (unsigned)XML_GetCurrentLineNumber(parser);
}
#pragma GCC diagnostic pop

static void stop(struct build *s, int err, const char *why)
{
	if (s->err != 0)
		return;
	s->err = err;
	s->doc->error = why;
	s->doc->error_line = line_of(s->parser);
	(void)XML_StopParser(s->parser, XML_FALSE);
}

static void *get(struct build *s, size_t n, size_t align)
{
	void *p = arena_get(s->doc, n, align);

	if (p == NULL)
		stop(s, -ERR_NOMEM, "the tree needs too much memory");
	return p;
}

static const char *get_text(struct build *s, const void *text, size_t n)
{
	char *p;

	if (n == 0)
		return "";
	p = get(s, n + 1, 1);
	if (p == NULL)
		return "";
	memcpy(p, text, n);
	p[n] = '\0';
	return p;
}

/* One copy of each namespace URI. */
static const char *intern(struct build *s, const char *uri, size_t n)
{
	if (n == 0)
		return "";
	for (unsigned i = s->uris_len; i > 0; i--)
		if (strncmp(s->uris[i - 1], uri, n) == 0 && s->uris[i - 1][n] == '\0')
			return s->uris[i - 1];
	if (n > XML_URI_MAX || s->uris_len == XML_NAMESPACES_MAX) {
		stop(s, -ERR_TOO_BIG, "too many or too long namespaces");
		return "";
	}
	s->uris[s->uris_len] = get_text(s, uri, n);
	return s->uris[s->uris_len++];
}

/* Splits expat's "uri SEPARATOR name" or "name". */
static void take_name(struct build *s, const char *full, const char **ns, const char **name)
{
	const char *sep = strchr(full, SEPARATOR);
	const char *local = sep != NULL ? sep + 1 : full;
	size_t n = strlen(local);

	if (n > XML_NAME_MAX)
		stop(s, -ERR_TOO_BIG, "a name is too long");
	*ns = sep != NULL ? intern(s, full, (size_t)(sep - full)) : "";
	*name = s->err == 0 ? get_text(s, local, n) : "";
}

/* ---- what expat calls ------------------------------------------------------------------------ */

static void on_doctype(void *user, const XML_Char *name, const XML_Char *sysid,
                       const XML_Char *pubid, int internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)internal;
	stop(user, -ERR_PROTOCOL, "a DOCTYPE is not allowed");
}

static void on_namespace(void *user, const XML_Char *prefix, const XML_Char *uri)
{
	struct build *s = user;
	struct xml_decl *d;

	if (s->err != 0)
		return;
	if (++s->decls > XML_NAMESPACES_MAX || (prefix != NULL && strlen(prefix) > XML_NAME_MAX)) {
		stop(s, -ERR_TOO_BIG, "too many or too long namespace declarations");
		return;
	}
	d = get(s, sizeof(*d), _Alignof(struct xml_decl));
	if (d == NULL)
		return;
	d->next = s->pending;
	d->prefix = prefix != NULL ? get_text(s, prefix, strlen(prefix)) : "";
	d->uri = uri != NULL ? intern(s, uri, strlen(uri)) : "";
	s->pending = d;
}

static const struct xml_attr *take_attrs(struct build *s, const XML_Char **attrs)
{
	const struct xml_attr *first = NULL, **tail = &first;
	unsigned n = 0;

	for (; attrs[0] != NULL; attrs += 2) {
		struct xml_attr *a;

		if (++n > s->limits->attrs_max) {
			stop(s, -ERR_TOO_BIG, "too many attributes");
			return NULL;
		}
		a = get(s, sizeof(*a), _Alignof(struct xml_attr));
		if (a == NULL)
			return NULL;
		a->next = NULL;
		take_name(s, attrs[0], &a->ns, &a->name);
		a->value = get_text(s, attrs[1], strlen(attrs[1]));
		*tail = a;
		tail = &a->next;
	}
	return first;
}

static void link_node(struct build *s, struct xml_node *node)
{
	struct xml_node *parent = s->open;

	node->parent = parent;
	if (parent == NULL)
		s->doc->root = node;
	else if (parent->last == NULL)
		parent->child = node;
	else
		parent->last->next = node;
	if (parent != NULL)
		parent->last = node;
	s->open = node;
}

static void on_start(void *user, const XML_Char *name, const XML_Char **attrs)
{
	struct build *s = user;
	struct xml_node *node;

	if (s->err != 0)
		return;
	if (s->depth == s->limits->depth_max || s->elements == s->limits->elements_max) {
		stop(s, -ERR_TOO_BIG,
		     s->depth == s->limits->depth_max ? "elements nest too deep"
		                                      : "too many elements");
		return;
	}
	node = get(s, sizeof(*node), _Alignof(struct xml_node));
	if (node == NULL)
		return;
	*node = (struct xml_node){.text = "", .decls = s->pending};
	s->pending = NULL;
	s->text_at[s->depth++] = s->text.len;
	s->elements++;
	take_name(s, name, &node->ns, &node->name);
	node->attrs = take_attrs(s, attrs);
	link_node(s, node);
}

static bool is_white(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r' && p[i] != '\n')
			return false;
	return true;
}

static void on_end(void *user, const XML_Char *name)
{
	struct build *s = user;
	struct xml_node *node = s->open;
	size_t at, n;

	(void)name;
	if (s->err != 0)
		return;
	at = s->text_at[--s->depth];
	n = s->text.len - at;
	if (n > 0 && !(node->child != NULL && is_white(s->text.data + at, n))) {
		node->text = get_text(s, s->text.data + at, n);
		node->text_len = n;
	}
	s->text.len = at;
	s->open = node->parent;
}

static void on_text(void *user, const XML_Char *text, int n)
{
	struct build *s = user;

	if (s->err != 0)
		return;
	buf_put(&s->text, text, (size_t)n);
	if (s->text.err != 0)
		stop(s, s->text.err, "too much text");
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void set_handlers(struct build *s)
{
	XML_SetUserData(s->parser, s);
	XML_SetElementHandler(s->parser, on_start, on_end);
	XML_SetCharacterDataHandler(s->parser, on_text);
	XML_SetNamespaceDeclHandler(s->parser, on_namespace, NULL);
	XML_SetStartDoctypeDeclHandler(s->parser, on_doctype);
}

static void run(struct build *s, struct span text)
{
	if (XML_Parse(s->parser, (const char *)text.ptr, (int)text.len, 1) == XML_STATUS_OK)
		return;
	if (XML_GetErrorCode(s->parser) == XML_ERROR_NO_MEMORY)
		stop(s, -ERR_NOMEM, "out of memory");
	else
		stop(s, -ERR_PROTOCOL, XML_ErrorString(XML_GetErrorCode(s->parser)));
}

/* Newer expat wants 16 octets under another name and calls this one deprecated; Debian 12 has only this one. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void salt(XML_Parser parser)
{
	(void)XML_SetHashSalt(parser, (unsigned long)random_u64() | 1);
}
#pragma GCC diagnostic pop

/*
 * A parser takes a dozen allocations and a system call for its salt, more than a usual document takes to parse; so each thread keeps
 * the last one. Nothing of a document is left in it that could be seen by the next.
 */
static pthread_key_t spare_key;
static pthread_once_t spare_once = PTHREAD_ONCE_INIT;

static void spare_free(void *parser)
{
	XML_ParserFree(parser);
}

static void spare_make(void)
{
	ASSERT(pthread_key_create(&spare_key, spare_free) == 0);
}

static XML_Parser parser_get(void)
{
	XML_Parser p;

	(void)pthread_once(&spare_once, spare_make);
	p = pthread_getspecific(spare_key);
	if (p != NULL)
		(void)pthread_setspecific(spare_key, NULL);
	else
		p = XML_ParserCreateNS("UTF-8", SEPARATOR);
	if (p != NULL)
		salt(p);
	return p;
}

/* A large document's memory is not worth keeping. */
static void parser_put(XML_Parser p, size_t parsed)
{
	if (parsed <= SPARE_DOCUMENT_MAX && pthread_getspecific(spare_key) == NULL &&
	    XML_ParserReset(p, "UTF-8") == XML_TRUE && pthread_setspecific(spare_key, p) == 0)
		return;
	XML_ParserFree(p);
}

int xml_parse(struct xml_doc *doc, struct span text, const struct xml_limits *limits)
{
	size_t text_at[4 * XML_DEPTH_MAX];
	struct build s = {.doc = doc,
	                  .limits = limits != NULL ? limits : &default_limits,
	                  .text_at = text_at};

	*doc = (struct xml_doc){0};
	ASSERT(s.limits->depth_max <= ARRAY_LEN(text_at) && s.limits->text_max <= INT32_MAX / 2);
	if (text.len > s.limits->text_max) {
		doc->error = "the document is too long";
		return -ERR_TOO_BIG;
	}
	s.parser = parser_get();
	if (s.parser == NULL) {
		doc->error = "out of memory";
		return -ERR_NOMEM;
	}
	buf_init(&s.text, s.limits->text_max);
	set_handlers(&s);
	run(&s, text);
	parser_put(s.parser, text.len);
	buf_free_secret(&s.text);
	if (s.err != 0) {
		const struct xml_doc failed = {.error = doc->error, .error_line = doc->error_line};

		xml_free(doc);
		*doc = failed;
	}
	return s.err;
}

void xml_free(struct xml_doc *doc)
{
	for (unsigned i = 0; i < doc->blocks_len; i++)
		buf_free_secret(&doc->blocks[i]);
	*doc = (struct xml_doc){0};
}

/* ---- lookups --------------------------------------------------------------------------------- */

static const struct xml_node *find(const struct xml_node *node, const char *name)
{
	while (node != NULL && strcmp(node->name, name) != 0)
		node = node->next;
	return node;
}

const struct xml_node *xml_child(const struct xml_node *node, const char *name)
{
	return node != NULL ? find(node->child, name) : NULL;
}

const struct xml_node *xml_next(const struct xml_node *node, const char *name)
{
	return node != NULL ? find(node->next, name) : NULL;
}

bool xml_is(const struct xml_node *node, const char *ns, const char *name)
{
	return node != NULL && strcmp(node->name, name) == 0 && strcmp(node->ns, ns) == 0;
}

const struct xml_node *xml_child_ns(const struct xml_node *node, const char *ns, const char *name)
{
	const struct xml_node *n = node != NULL ? node->child : NULL;

	while (n != NULL && !xml_is(n, ns, name))
		n = n->next;
	return n;
}

const char *xml_attr(const struct xml_node *node, const char *name)
{
	const struct xml_attr *a = node != NULL ? node->attrs : NULL;

	while (a != NULL && strcmp(a->name, name) != 0)
		a = a->next;
	return a != NULL ? a->value : NULL;
}

const char *xml_text(const struct xml_node *node)
{
	return node != NULL ? node->text : NULL;
}

const char *xml_child_text(const struct xml_node *node, const char *name)
{
	return xml_text(xml_child(node, name));
}

static struct span trimmed(const struct xml_node *node)
{
	struct span s = span_of(node->text, node->text_len);

	while (s.len > 0 && is_white(s.ptr, 1))
		s = scan_skip(s, 1);
	while (s.len > 0 && is_white(s.ptr + s.len - 1, 1))
		s.len--;
	return s;
}

int xml_u64(const struct xml_node *node, uint64_t *out)
{
	return node != NULL ? scan_u64(trimmed(node), out) : -ERR_NOT_FOUND;
}

int xml_u32(const struct xml_node *node, uint32_t *out)
{
	uint64_t v;
	int r = xml_u64(node, &v);

	if (r == 0 && v > UINT32_MAX)
		r = -ERR_INVALID;
	if (r == 0)
		*out = (uint32_t)v;
	return r;
}

int xml_i64(const struct xml_node *node, int64_t *out)
{
	struct span s;
	uint64_t v;
	bool minus;
	int r;

	if (node == NULL)
		return -ERR_NOT_FOUND;
	s = trimmed(node);
	minus = s.len > 0 && s.ptr[0] == '-';
	r = scan_u64(minus ? scan_skip(s, 1) : s, &v);
	if (r != 0 || v > (uint64_t)INT64_MAX + (minus ? 1 : 0))
		return -ERR_INVALID;
	/* The least number has no positive counterpart. */
	*out = !minus ? (int64_t)v : v == 0 ? 0 : -(int64_t)(v - 1) - 1;
	return 0;
}

int xml_bool(const struct xml_node *node, bool *out)
{
	struct span s;

	if (node == NULL)
		return -ERR_NOT_FOUND;
	s = trimmed(node);
	*out = scan_equal(s, "true") || scan_equal(s, "1");
	return *out || scan_equal(s, "false") || scan_equal(s, "0") ? 0 : -ERR_INVALID;
}

static const char *prefix_uri(const struct xml_node *node, const char *prefix, size_t n)
{
	for (; node != NULL; node = node->parent)
		for (const struct xml_decl *d = node->decls; d != NULL; d = d->next)
			if (strncmp(d->prefix, prefix, n) == 0 && d->prefix[n] == '\0')
				return d->uri;
	return "";
}

const char *xml_resolve(const struct xml_node *node, const char *qname, const char **local)
{
	const char *colon = strchr(qname, ':');

	*local = colon != NULL ? colon + 1 : qname;
	return prefix_uri(node, qname, colon != NULL ? (size_t)(colon - qname) : 0);
}
