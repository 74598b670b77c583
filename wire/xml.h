/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * xml.h: a safe reader of small XML documents (over expat) into a tree, and an escaping writer on
 * struct buf.
 *
 * DOCTYPE, and with it every entity of the document's own, is refused; depth, elements, attributes,
 * names, text and memory are limited. The tree lives in an arena inside struct xml_doc and dies
 * with it. Good for data like SOAP bodies: the text of an element is one string, its place between
 * child elements is not kept, and white space around children, comments and processing instructions
 * are dropped. One thread at a time.
 */
#pragma once

#include "core/base.h"
#include "core/buf.h"

#define XML_TEXT_MAX       1048576 /* octets of a document: 1 MiB, default */
#define XML_DEPTH_MAX      32      /* default; the root is 1 */
#define XML_ELEMENTS_MAX   32768   /* default */
#define XML_ATTRS_MAX      16      /* of one element, default */
#define XML_NAME_MAX       256     /* octets of a local name or prefix */
#define XML_URI_MAX        512     /* octets of a namespace URI */
#define XML_NAMESPACES_MAX 64 /* different namespace URIs of a document, and declarations in it */
#define XML_BLOCKS_MAX     14 /* arena blocks, doubling from XML_BLOCK_MIN: 64 MiB in all */
#define XML_BLOCK_MIN      4096

struct xml_limits {
	size_t text_max;
	unsigned depth_max;
	unsigned elements_max;
	unsigned attrs_max;
};

struct xml_attr {
	const struct xml_attr *next;
	const char *ns; /* "" without a namespace */
	const char *name;
	const char *value;
};

/* A namespace declaration, kept so that QNames in text can be resolved. */
struct xml_decl {
	const struct xml_decl *next;
	const char *prefix; /* "" for the default namespace */
	const char *uri;    /* "" where the default is undone */
};

struct xml_node {
	const char *ns;   /* "" without a namespace */
	const char *name; /* local name */
	/* all character data, "" if none; white space alone is "" when there are children */
	const char *text;
	size_t text_len;
	const struct xml_attr *attrs;
	const struct xml_decl *decls;
	struct xml_node *parent; /* NULL at the root */
	struct xml_node *child;  /* first */
	struct xml_node *last;   /* last child */
	struct xml_node *next;   /* sibling */
};

struct xml_doc {
	struct xml_node *root;
	const char *error; /* static text why xml_parse failed */
	unsigned error_line;
	/* private */
	struct buf blocks[XML_BLOCKS_MAX];
	unsigned blocks_len;
};

/*
 * xml_parse(doc, text, limits): builds the tree; limits NULL: the defaults. 0; -ERR_PROTOCOL: not
 * well-formed, or a DOCTYPE; -ERR_TOO_BIG: a limit; -ERR_NOMEM. On failure doc holds nothing but
 * error and error_line. Text has to be UTF-8. doc needs no initialisation; after success xml_free
 * it.
 */
int xml_parse(struct xml_doc *doc, struct span text, const struct xml_limits *limits);

/* xml_free(doc): releases the tree, overwriting it (it may hold passwords). Harmless twice. */
void xml_free(struct xml_doc *doc);

/* Lookups go by local name, in any namespace. All take NULL for node and then return NULL. */
const struct xml_node *xml_child(const struct xml_node *node, const char *name);
const struct xml_node *xml_next(const struct xml_node *node,
                                const char *name); /* the next sibling of that name */
const struct xml_node *xml_child_ns(const struct xml_node *node, const char *ns, const char *name);
const char *xml_attr(const struct xml_node *node, const char *name);

/* xml_is(node, ns, name): node is not NULL and has this name. */
bool xml_is(const struct xml_node *node, const char *ns, const char *name);

/*
 * xml_text(node): its text, or NULL for NULL. xml_child_text: the text of the first child of a
 * name, or NULL.
 */
const char *xml_text(const struct xml_node *node);
const char *xml_child_text(const struct xml_node *node, const char *name);

/*
 * Values: 0, -ERR_NOT_FOUND for node NULL, -ERR_INVALID. White space around them is allowed. Bools:
 * true false 1 0.
 */
int xml_u64(const struct xml_node *node, uint64_t *out);
int xml_u32(const struct xml_node *node, uint32_t *out);
int xml_i64(const struct xml_node *node, int64_t *out);
int xml_bool(const struct xml_node *node, bool *out);

/*
 * xml_resolve(node, qname, local): the namespace of a QName in the text of node, "" if its prefix
 * is unknown; local points into qname.
 */
const char *xml_resolve(const struct xml_node *node, const char *qname, const char **local);

/*
 * xml_write_node(b, node): the subtree as text, without a declaration. Namespaces are declared as
 * defaults where they change, so prefixes are not kept, and a QName in text loses its meaning.
 */
void xml_write_node(struct buf *b, const struct xml_node *node);

/*
 * xml_normalize(text, limits, out): parses a document or fragment with one root and appends what
 * xml_write_node makes of it; what a stranger sent can then be put inside another document. Errors
 * as xml_parse, or out's.
 */
int xml_normalize(struct span text, const struct xml_limits *limits, struct buf *out);

/*
 * Writer. name and attribute names are trusted; text is escaped, and characters that XML cannot
 * carry (controls, invalid UTF-8) set b->err = -ERR_INVALID.
 */
void xml_put_text(struct buf *b, struct span text);
void xml_put_open(struct buf *b, const char *name); /* <name> */
void xml_put_open_ns(struct buf *b, const char *name, const char *attr,
                     const char *value); /* <name attr="value"> */
void xml_put_close(struct buf *b, const char *name);
void xml_put_element(struct buf *b, const char *name,
                     struct span text); /* open, text, close; never self-closed */
void xml_put_element_str(struct buf *b, const char *name, const char *text);
void xml_put_element_uint(struct buf *b, const char *name, uint64_t v);

/* xml_is_name(s): an ASCII XML name without a colon: what may be passed as name from outside. */
bool xml_is_name(struct span s);
