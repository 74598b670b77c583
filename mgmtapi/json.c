/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * json.c: messages to JSON. Follows the descriptors down; the depth is bounded by PBJSON_DEPTH_MAX, so the recursion is as well. Pure.
 */
#include "mgmtapi/json_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/text.h"
#include "google/protobuf/any.pb-c.h"

struct enc {
	struct buf *out;
	const struct pbjson_opts *opts;
	int depth;
};

void pbjson_camel(const char *snake, char *out, size_t size)
{
	size_t n = 0;
	bool up = false;

	for (; *snake != '\0' && n + 1 < size; snake++) {
		if (*snake == '_') {
			up = true;
			continue;
		}
		out[n++] =
			up && *snake >= 'a' && *snake <= 'z' ? (char)(*snake - 'a' + 'A') : *snake;
		up = false;
	}
	out[n] = '\0';
}

size_t pbjson_utf8_len(const uint8_t *p, size_t left)
{
	uint32_t cp;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
		return 0;
	cp = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3fu);
	}
	if ((n == 3 && cp < 0x800) || (n == 4 && (cp < 0x10000 || cp > 0x10ffff)) ||
	    (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	return n;
}

static void put_escaped(struct buf *out, uint8_t ch)
{
	switch (ch) {
	case '"':
		buf_put_str(out, "\\\"");
		break;
	case '\\':
		buf_put_str(out, "\\\\");
		break;
	case '\n':
		buf_put_str(out, "\\n");
		break;
	case '\r':
		buf_put_str(out, "\\r");
		break;
	case '\t':
		buf_put_str(out, "\\t");
		break;
	default:
		buf_printf(out, "\\u%04x", ch);
	}
}

void pbjson_put_string(struct buf *out, struct span s)
{
	size_t i = 0;
	size_t start = 0;

	buf_put_u8(out, '"');
	while (i < s.len) {
		uint8_t ch = s.ptr[i];
		size_t n = pbjson_utf8_len(s.ptr + i, s.len - i);

		if (n > 0 && ch >= 0x20 && ch != '"' && ch != '\\' && ch != 0x7f) {
			i += n;
			continue;
		}
		buf_put(out, s.ptr + start, i - start);
		if (n == 0)
			buf_put_str(out, "\xef\xbf\xbd");
		else
			put_escaped(out, ch);
		start = ++i;
	}
	if (i > start)
		buf_put(out, s.ptr + start, i - start);
	buf_put_u8(out, '"');
}

void pbjson_put_base64(struct buf *out, struct span s, bool pad)
{
	uint8_t *at;

	buf_put_u8(out, '"');
	at = buf_reserve(out, base64_encoded_len(s.len) + 1);
	if (at == NULL)
		return;
	out->len += base64_encode((char *)at, s, pad);
	buf_put_u8(out, '"');
}

static void put_double(struct buf *out, double v, int digits)
{
	if (isnan(v))
		buf_put_str(out, "\"NaN\"");
	else if (isinf(v))
		buf_put_str(out, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	else if (v == 0 && signbit(v))
		buf_put_str(out, "-0.0"); /* as an integer it would lose its sign */
	else
		buf_printf(out, "%.*g", digits, v);
}

static void put_enum(struct buf *out, const ProtobufCEnumDescriptor *d, int32_t v)
{
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(d, v);

	if (value != NULL)
		buf_printf(out, "\"%s\"", value->name);
	else
		buf_printf(out, "%d", v);
}

static struct span text_of(const char *s)
{
	return span_str(s != NULL ? s : "");
}

static int put_message(struct enc *e, const ProtobufCMessage *m);

/* One value at p, which points to the member or the array element. */
static int put_value(struct enc *e, const ProtobufCFieldDescriptor *f, const void *p)
{
	const ProtobufCBinaryData *bytes = p;

	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		buf_printf(e->out, "%d", *(const int32_t *)p);
		return 0;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		buf_printf(e->out, "%u", *(const uint32_t *)p);
		return 0;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		buf_printf(e->out, "\"%lld\"", (long long)*(const int64_t *)p);
		return 0;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		buf_printf(e->out, "\"%llu\"", (unsigned long long)*(const uint64_t *)p);
		return 0;
	case PROTOBUF_C_TYPE_FLOAT:
		put_double(e->out, (double)*(const float *)p, 9);
		return 0;
	case PROTOBUF_C_TYPE_DOUBLE:
		put_double(e->out, *(const double *)p, 17);
		return 0;
	case PROTOBUF_C_TYPE_BOOL:
		buf_put_str(e->out, *(const protobuf_c_boolean *)p ? "true" : "false");
		return 0;
	case PROTOBUF_C_TYPE_ENUM:
		put_enum(e->out, f->descriptor, *(const int32_t *)p);
		return 0;
	case PROTOBUF_C_TYPE_STRING:
		pbjson_put_string(e->out, text_of(*(const char *const *)p));
		return 0;
	case PROTOBUF_C_TYPE_BYTES:
		pbjson_put_base64(e->out, span_of(bytes->data, bytes->len), true);
		return 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return put_message(e, *(const ProtobufCMessage *const *)p);
	}
	return -ERR_INVALID;
}

static size_t size_of_type(ProtobufCType t)
{
	switch (t) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

bool pbjson_is_map(const ProtobufCFieldDescriptor *f)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;
	size_t n;

	if (f->label != PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE ||
	    d->n_fields != 2)
		return false;
	n = strlen(d->short_name);
	return n > 5 && strcmp(d->short_name + n - 5, "Entry") == 0 &&
	       strcmp(d->fields[0].name, "key") == 0 && strcmp(d->fields[1].name, "value") == 0 &&
	       d->fields[0].type == PROTOBUF_C_TYPE_STRING;
}

static void put_newline(struct enc *e)
{
	if (e->opts->indent > 0)
		buf_printf(e->out, "\n%*s", e->depth * e->opts->indent, "");
}

static void put_name(struct enc *e, const char *name)
{
	char camel[PBJSON_NAME_MAX];

	if (!e->opts->proto_names) {
		pbjson_camel(name, camel, sizeof(camel));
		name = camel;
	}
	buf_printf(e->out, e->opts->indent > 0 ? "\"%s\": " : "\"%s\":", name);
}

static int put_map(struct enc *e, const ProtobufCFieldDescriptor *f, const void *items, size_t n)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;
	const ProtobufCMessage *const *entries = items;
	int err = 0;

	buf_put_u8(e->out, '{');
	e->depth++;
	for (size_t i = 0; i < n && err == 0; i++) {
		const char *base = (const char *)entries[i];

		if (i > 0)
			buf_put_u8(e->out, ',');
		put_newline(e);
		pbjson_put_string(
			e->out,
			text_of(*(const char *const *)(const void *)(base + d->fields[0].offset)));
		buf_put_str(e->out, e->opts->indent > 0 ? ": " : ":");
		err = put_value(e, &d->fields[1], base + d->fields[1].offset);
	}
	e->depth--;
	if (n > 0)
		put_newline(e);
	buf_put_u8(e->out, '}');
	return err;
}

static int put_repeated(struct enc *e, const ProtobufCFieldDescriptor *f, const void *items,
                        size_t n)
{
	size_t step = size_of_type(f->type);
	int err = 0;

	if (pbjson_is_map(f))
		return put_map(e, f, items, n);
	buf_put_u8(e->out, '[');
	e->depth++;
	for (size_t i = 0; i < n && err == 0; i++) {
		if (i > 0)
			buf_put_u8(e->out, ',');
		put_newline(e);
		err = put_value(e, f, (const char *)items + i * step);
	}
	e->depth--;
	if (n > 0)
		put_newline(e);
	buf_put_u8(e->out, ']');
	return err;
}

/* Without presence, a field is there if it differs from its type's zero. */
static bool differs_from_default(const ProtobufCFieldDescriptor *f, const void *p)
{
	static const char zero[8];
	const ProtobufCBinaryData *bytes = p;
	const char *text;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		text = *(const char *const *)p;
		return text != NULL && text[0] != '\0';
	case PROTOBUF_C_TYPE_BYTES:
		return bytes->len > 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return *(const void *const *)p != NULL;
	default:
		return memcmp(p, zero, size_of_type(f->type)) != 0;
	}
}

static bool is_present(const struct enc *e, const ProtobufCMessage *m,
                       const ProtobufCFieldDescriptor *f)
{
	const char *base = (const char *)m;

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)(const void *)(base + f->quantifier_offset) == f->id;
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return e->opts->emit_defaults ||
		       *(const size_t *)(const void *)(base + f->quantifier_offset) > 0;
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return differs_from_default(f, base + f->offset);
	if (f->label == PROTOBUF_C_LABEL_OPTIONAL && f->quantifier_offset != 0 &&
	    f->type != PROTOBUF_C_TYPE_STRING)
		return *(const protobuf_c_boolean *)(const void *)(base + f->quantifier_offset);
	return e->opts->emit_defaults || differs_from_default(f, base + f->offset);
}

/* The fields of m, after `first` has said whether one is there already. */
static int put_fields(struct enc *e, const ProtobufCMessage *m, bool first)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	const char *base = (const char *)m;
	int err = 0;

	for (unsigned i = 0; i < d->n_fields && err == 0; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];

		if (!is_present(e, m, f))
			continue;
		if (!first)
			buf_put_u8(e->out, ',');
		first = false;
		put_newline(e);
		put_name(e, f->name);
		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			err = put_repeated(
				e, f, *(const void *const *)(const void *)(base + f->offset),
				*(const size_t *)(const void *)(base + f->quantifier_offset));
		else
			err = put_value(e, f, base + f->offset);
	}
	return err;
}

/* Detail types that we know are printed open; others as base64 under "value". */
static int put_any(struct enc *e, const Google__Protobuf__Any *any)
{
	const ProtobufCMessageDescriptor *d = pbjson_any_type(any->type_url);
	ProtobufCMessage *m = NULL;
	int err = 0;

	if (d != NULL)
		m = protobuf_c_message_unpack(d, NULL, any->value.len, any->value.data);
	put_newline(e);
	buf_put_str(e->out, e->opts->indent > 0 ? "\"@type\": " : "\"@type\":");
	pbjson_put_string(e->out, text_of(any->type_url));
	if (m != NULL) {
		err = put_fields(e, m, false);
		protobuf_c_message_free_unpacked(m, NULL);
		return err;
	}
	buf_put_u8(e->out, ',');
	put_newline(e);
	put_name(e, "value");
	pbjson_put_base64(e->out, span_of(any->value.data, any->value.len), true);
	return err;
}

static int put_message(struct enc *e, const ProtobufCMessage *m)
{
	enum pbjson_special special = pbjson_special_of(m->descriptor);
	size_t at;
	int err;

	if (e->depth >= PBJSON_DEPTH_MAX)
		return -ERR_INVALID;
	if (special != PBJSON_PLAIN && special != PBJSON_ANY)
		return pbjson_put_special(e->out, m, special);
	buf_put_u8(e->out, '{');
	at = e->out->len;
	e->depth++;
	if (special == PBJSON_ANY)
		err = put_any(e, (const Google__Protobuf__Any *)(const void *)m);
	else
		err = put_fields(e, m, true);
	e->depth--;
	if (e->out->len > at)
		put_newline(e);
	buf_put_u8(e->out, '}');
	return err;
}

int pbjson_encode(const ProtobufCMessage *msg, const struct pbjson_opts *opts, struct buf *out)
{
	static const struct pbjson_opts plain;
	struct enc e = {.out = out, .opts = opts != NULL ? opts : &plain};
	int err = put_message(&e, msg);

	return err != 0 ? err : out->err;
}
