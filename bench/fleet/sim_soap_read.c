/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sim_soap_read.c: a SOAP request into its parts, on expat. No document type, bounded depth and sizes. */
#include "bench/fleet/sim_soap.h"

#include <expat.h>
#include <string.h>

#include "core/err.h"
#include "core/text.h"

#define NS_SEPARATOR ' '

struct reader {
	XML_Parser parser;
	struct sim_soap_request *out;
	unsigned depth;
	bool in_header, in_body, in_set;
	bool seen_envelope;
	char member[SIM_CIM_NAME_MAX]; /* body child's child, or selector, under way */
	char key[SIM_CIM_NAME_MAX];    /* selector inside a reference */
	unsigned member_depth;         /* its depth; 0: none under way */
	char mark;                     /* '=', '@' or '#' */
	struct buf text;               /* character data of the innermost element */
	struct buf value;              /* what was put together for a reference */
	int err;
};

static const char *local_name(const char *qname)
{
	const char *at = strrchr(qname, NS_SEPARATOR);

	return at != NULL ? at + 1 : qname;
}

static void fail(struct reader *r, int err)
{
	r->err = err;
	XML_StopParser(r->parser, XML_FALSE);
}

static void on_doctype(void *user, const XML_Char *name, const XML_Char *sys, const XML_Char *pub,
                       int internal)
{
	(void)name;
	(void)sys;
	(void)pub;
	(void)internal;
	fail(user, -ERR_CORRUPT);
}

static const char *name_attribute(const char **atts)
{
	for (; atts[0] != NULL; atts += 2) {
		if (strcmp(atts[0], "Name") == 0)
			return atts[1];
	}
	return "";
}

static void begin_member(struct reader *r, const char *name)
{
	if (!str_copy(r->member, sizeof(r->member), name) || strpbrk(name, "=@#|\n") != NULL) {
		fail(r, -ERR_TOO_BIG);
		return;
	}
	r->member_depth = r->depth;
	r->mark = '=';
	buf_clear(&r->value);
}

/* An element inside a member: a reference's parts or a date. */
static void inside_member(struct reader *r, const char *name, const char **atts)
{
	if (strcmp(name, "Datetime") == 0 || strcmp(name, "Interval") == 0) {
		r->mark = '#';
	} else if (strcmp(name, "ReferenceParameters") == 0) {
		r->mark = '@';
	} else if (strcmp(name, "Selector") == 0 &&
	           !str_copy(r->key, sizeof(r->key), name_attribute(atts))) {
		fail(r, -ERR_TOO_BIG);
	}
}

static void on_start(void *user, const XML_Char *qname, const XML_Char **atts)
{
	struct reader *r = user;
	const char *name = local_name(qname);

	if (++r->depth > SIM_SOAP_DEPTH_MAX) {
		fail(r, -ERR_TOO_BIG);
		return;
	}
	buf_clear(&r->text);
	if (r->depth == 1)
		r->seen_envelope = strcmp(name, "Envelope") == 0;
	if (r->depth == 2) {
		r->in_header = strcmp(name, "Header") == 0;
		r->in_body = strcmp(name, "Body") == 0;
	}
	if (r->in_header && r->depth == 3)
		r->in_set = strcmp(name, "SelectorSet") == 0;
	if (r->in_body && r->depth == 3 &&
	    !str_copy(r->out->body_name, sizeof(r->out->body_name), name))
		fail(r, -ERR_TOO_BIG);
	if (r->member_depth > 0)
		inside_member(r, name, atts);
	else if (r->in_header && r->in_set && r->depth == 4)
		begin_member(r, name_attribute(atts));
	else if (r->in_body && r->depth == 4)
		begin_member(r, name);
}

static struct span trimmed(struct span s)
{
	while (s.len > 0 && strchr(" \t\r\n", s.ptr[0]) != NULL)
		s = span_of(s.ptr + 1, s.len - 1);
	while (s.len > 0 && strchr(" \t\r\n", s.ptr[s.len - 1]) != NULL)
		s.len--;
	return s;
}

static void end_member(struct reader *r)
{
	struct buf *lines = r->in_header ? &r->out->selectors : &r->out->params;
	struct span v = r->mark == '@' ? buf_span(&r->value) : buf_span(&r->text);

	if (r->mark == '#')
		v = buf_span(&r->value);
	buf_printf(lines, "%s%c", r->member, r->mark);
	for (size_t i = 0; i < v.len; i++)
		buf_put_u8(lines, v.ptr[i] == '\n' ? ' ' : v.ptr[i]);
	buf_put_u8(lines, '\n');
	r->member_depth = 0;
	if (lines->err != 0)
		fail(r, -ERR_TOO_BIG);
}

/* The end of an element inside a member. A reference's URI comes before its selectors, as every peer writes it. */
static void end_inside_member(struct reader *r, const char *name)
{
	struct span text = trimmed(buf_span(&r->text));

	if (strcmp(name, "Datetime") == 0 || strcmp(name, "Interval") == 0) {
		buf_put_span(&r->value, text);
	} else if (strcmp(name, "ResourceURI") == 0) {
		const uint8_t *slash = text.len > 0 ? memrchr(text.ptr, '/', text.len) : NULL;
		size_t skip = slash == NULL ? 0 : (size_t)(slash - text.ptr) + 1;

		buf_put(&r->value, text.ptr + skip, text.len - skip);
	} else if (strcmp(name, "Selector") == 0) {
		buf_printf(&r->value, "|%s=", r->key);
		buf_put_span(&r->value, text);
	}
}

static void end_header_child(struct reader *r, const char *name)
{
	struct span text = trimmed(buf_span(&r->text));
	bool fits = true;

	if (strcmp(name, "Action") == 0)
		fits = str_copy_span(r->out->action, sizeof(r->out->action), text);
	else if (strcmp(name, "MessageID") == 0)
		fits = str_copy_span(r->out->message_id, sizeof(r->out->message_id), text);
	else if (strcmp(name, "ResourceURI") == 0)
		fits = str_copy_span(r->out->resource, sizeof(r->out->resource), text);
	if (!fits)
		fail(r, -ERR_TOO_BIG);
}

static void on_end(void *user, const XML_Char *qname)
{
	struct reader *r = user;
	const char *name = local_name(qname);

	if (r->member_depth == r->depth)
		end_member(r);
	else if (r->member_depth > 0)
		end_inside_member(r, name);
	else if (r->in_header && r->depth == 3)
		end_header_child(r, name);
	buf_clear(&r->text);
	r->depth--;
}

static void on_text(void *user, const XML_Char *s, int len)
{
	struct reader *r = user;

	buf_put(&r->text, s, (size_t)len);
	if (r->text.err != 0)
		fail(r, -ERR_TOO_BIG);
}

int sim_soap_read(struct span xml, struct sim_soap_request *out)
{
	struct reader r = {.out = out};

	memset(out, 0, sizeof(*out));
	buf_init(&out->selectors, SIM_SOAP_BODY_MAX);
	buf_init(&out->params, SIM_SOAP_BODY_MAX);
	if (xml.len > SIM_SOAP_BODY_MAX)
		return -ERR_TOO_BIG;
	buf_init(&r.text, SIM_SOAP_BODY_MAX);
	buf_init(&r.value, SIM_SOAP_BODY_MAX);
	r.parser = XML_ParserCreateNS(NULL, NS_SEPARATOR);
	if (r.parser == NULL)
		return -ERR_NOMEM;
	XML_SetUserData(r.parser, &r);
	XML_SetElementHandler(r.parser, on_start, on_end);
	XML_SetCharacterDataHandler(r.parser, on_text);
	XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
	if (XML_Parse(r.parser, (const char *)xml.ptr, (int)xml.len, XML_TRUE) != XML_STATUS_OK &&
	    r.err == 0)
		r.err = -ERR_CORRUPT;
	if (r.err == 0 && !r.seen_envelope)
		r.err = -ERR_CORRUPT;
	XML_ParserFree(r.parser);
	buf_free(&r.text);
	buf_free(&r.value);
	return r.err;
}

void sim_soap_request_free(struct sim_soap_request *r)
{
	buf_free(&r->selectors);
	buf_free(&r->params);
}
