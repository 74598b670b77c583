/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * json_decode.c: JSON to messages: the text is read by jansson, the tree is matched with the descriptors. Nesting is checked before
 * jansson sees the text, because its parser and ours go down with it on the stack. Pure.
 */
#include "mgmtapi/json_internal.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/text.h"
#include "google/protobuf/any.pb-c.h"

#define FIELDS_SEEN_MAX 128
#define FIELD_SHOWN_MAX 64 /* octets of a field's name in an error: a stranger chose it */

struct dec {
	const struct pbjson_opts *opts;
	ProtobufCAllocator *alloc;
	struct buf *why;
	const char *field; /* the innermost name, for messages */
	int depth;
};

static int fail(struct dec *d, const char *what)
{
	if (d->why->len == 0)
		buf_printf(d->why, "field \"%.*s\": %s", FIELD_SHOWN_MAX, d->field, what);
	return -ERR_INVALID;
}

/* Deepest nesting of brackets outside strings. */
static bool too_deep(struct span text)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t ch = text.ptr[i];

		if (in_string) {
			if (ch == '\\')
				i++;
			else if (ch == '"')
				in_string = false;
		} else if (ch == '"') {
			in_string = true;
		} else if (ch == '{' || ch == '[') {
			if (++depth > PBJSON_DEPTH_MAX)
				return true;
		} else if (ch == '}' || ch == ']') {
			depth--;
		}
	}
	return false;
}

/* A JSON number or a string of digits as a 64-bit integer within min..max (max as unsigned; min <= 0). */
static bool integer_from_text(const char *s, int64_t *i, uint64_t *u, bool *negative)
{
	uint64_t v = 0;

	*negative = *s == '-';
	if (*negative)
		s++;
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		unsigned digit = (unsigned)(*s - '0');

		if (*s < '0' || *s > '9' || v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (*negative && v > (uint64_t)INT64_MAX + 1)
		return false;
	*u = v;
	*i = *negative ? (int64_t)(0 - v) : (int64_t)v;
	return *negative || v <= INT64_MAX || *u == v;
}

static bool integer_of(const json_t *v, int64_t *i, uint64_t *u, bool *negative)
{
	double real;

	if (json_is_string(v))
		return integer_from_text(json_string_value(v), i, u, negative);
	if (json_is_integer(v)) {
		*i = json_integer_value(v);
		*negative = *i < 0;
		*u = (uint64_t)*i;
		return true;
	}
	if (!json_is_real(v))
		return false;
	real = json_real_value(v);
	if (real != trunc(real) || fabs(real) > 9007199254740992.0)
		return false;
	*i = (int64_t)real;
	*negative = *i < 0;
	*u = (uint64_t)*i;
	return true;
}

static int get_signed(struct dec *d, const json_t *v, void *p, bool wide)
{
	bool negative = false;
	int64_t i = 0;
	uint64_t u = 0;

	if (!integer_of(v, &i, &u, &negative) || (!negative && u > INT64_MAX))
		return fail(d, "an integer is expected");
	if (!wide && (i < INT32_MIN || i > INT32_MAX))
		return fail(d, "does not fit in 32 bits");
	if (wide)
		*(int64_t *)p = i;
	else
		*(int32_t *)p = (int32_t)i;
	return 0;
}

static int get_unsigned(struct dec *d, const json_t *v, void *p, bool wide)
{
	bool negative = false;
	int64_t i = 0;
	uint64_t u = 0;

	if (!integer_of(v, &i, &u, &negative))
		return fail(d, "an integer is expected");
	if (negative && u != 0)
		return fail(d, "must not be negative");
	if (!wide && u > UINT32_MAX)
		return fail(d, "does not fit in 32 bits");
	if (wide)
		*(uint64_t *)p = u;
	else
		*(uint32_t *)p = (uint32_t)u;
	return 0;
}

static bool real_from_text(const char *s, double *out)
{
	char *end;

	if (strcmp(s, "NaN") == 0)
		*out = (double)NAN;
	else if (strcmp(s, "Infinity") == 0)
		*out = (double)INFINITY;
	else if (strcmp(s, "-Infinity") == 0)
		*out = -(double)INFINITY;
	else if (strchr("-0123456789", s[0]) == NULL || s[0] == '\0' ||
	         strpbrk(s, "xXpPnN") != NULL)
		return false;
	else {
		*out = strtod(s, &end);
		return *end == '\0' && isfinite(*out);
	}
	return true;
}

static int get_real(struct dec *d, const json_t *v, void *p, bool wide)
{
	double real;

	if (json_is_number(v))
		real = json_number_value(v);
	else if (!json_is_string(v) || !real_from_text(json_string_value(v), &real))
		return fail(d, "a number is expected");
	if (wide) {
		*(double *)p = real;
		return 0;
	}
	if (isfinite(real) && fabs(real) > 3.4028234663852886e38)
		return fail(d, "does not fit in a float");
	*(float *)p = (float)real;
	return 0;
}

static int get_enum(struct dec *d, const ProtobufCFieldDescriptor *f, const json_t *v, int32_t *p)
{
	const ProtobufCEnumValue *value;

	if (json_is_integer(v))
		return get_signed(d, v, p, false);
	if (!json_is_string(v))
		return fail(d, "the name of an enum value is expected");
	value = protobuf_c_enum_descriptor_get_value_by_name(f->descriptor, json_string_value(v));
	if (value == NULL)
		return fail(d, "there is no enum value of this name");
	*p = value->value;
	return 0;
}

static int get_string(struct dec *d, const json_t *v, char **p)
{
	if (!json_is_string(v))
		return fail(d, "a string is expected");
	*p = pbjson_strdup(d->alloc, span_of(json_string_value(v), json_string_length(v)));
	return *p != NULL ? 0 : -ERR_NOMEM;
}

static int get_bytes(struct dec *d, const json_t *v, ProtobufCBinaryData *p)
{
	ssize_t n;

	if (!json_is_string(v))
		return fail(d, "base64 text is expected");
	if (json_string_length(v) == 0)
		return 0;
	p->data = pbjson_alloc(d->alloc, json_string_length(v));
	if (p->data == NULL)
		return -ERR_NOMEM;
	n = base64_decode(p->data, json_string_length(v),
	                  span_of(json_string_value(v), json_string_length(v)));
	if (n < 0)
		return fail(d, "not base64");
	p->len = (size_t)n;
	return 0;
}

static int get_message(struct dec *d, const ProtobufCMessageDescriptor *desc, const json_t *v,
                       ProtobufCMessage **p);

static int get_value(struct dec *d, const ProtobufCFieldDescriptor *f, const json_t *v, void *p)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return get_signed(d, v, p, false);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return get_signed(d, v, p, true);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return get_unsigned(d, v, p, false);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return get_unsigned(d, v, p, true);
	case PROTOBUF_C_TYPE_FLOAT:
		return get_real(d, v, p, false);
	case PROTOBUF_C_TYPE_DOUBLE:
		return get_real(d, v, p, true);
	case PROTOBUF_C_TYPE_BOOL:
		if (!json_is_boolean(v))
			return fail(d, "true or false is expected");
		*(protobuf_c_boolean *)p = json_is_true(v);
		return 0;
	case PROTOBUF_C_TYPE_ENUM:
		return get_enum(d, f, v, p);
	case PROTOBUF_C_TYPE_STRING:
		return get_string(d, v, p);
	case PROTOBUF_C_TYPE_BYTES:
		return get_bytes(d, v, p);
	case PROTOBUF_C_TYPE_MESSAGE:
		return get_message(d, f->descriptor, v, p);
	}
	return -ERR_INVALID;
}

/* Largest size of an array element of any type. */
static size_t element_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	default:
		return 4;
	}
}

_Static_assert(sizeof(protobuf_c_boolean) == 4, "protobuf-c keeps a bool in an int");

static int get_map(struct dec *d, const ProtobufCFieldDescriptor *f, json_t *v,
                   ProtobufCMessage **items, size_t *count)
{
	const ProtobufCMessageDescriptor *entry = f->descriptor;
	const char *key;
	json_t *value;
	char **name;
	int err;

	json_object_foreach(v, key, value)
	{
		ProtobufCMessage *m = pbjson_alloc(d->alloc, entry->sizeof_message);

		if (m == NULL)
			return -ERR_NOMEM;
		protobuf_c_message_init(entry, m);
		items[(*count)++] = m;
		name = (char **)(void *)((char *)m + entry->fields[0].offset);
		*name = pbjson_strdup(d->alloc, span_str(key));
		if (*name == NULL)
			return -ERR_NOMEM;
		err = get_value(d, &entry->fields[1], value, (char *)m + entry->fields[1].offset);
		if (err != 0)
			return err;
	}
	return 0;
}

static int get_repeated(struct dec *d, const ProtobufCFieldDescriptor *f, json_t *v,
                        ProtobufCMessage *m)
{
	size_t *count = (size_t *)(void *)((char *)m + f->quantifier_offset);
	void **items = (void **)(void *)((char *)m + f->offset);
	bool map = pbjson_is_map(f);
	size_t n = map ? json_object_size(v) : json_array_size(v);
	int err = 0;

	if (map ? !json_is_object(v) : !json_is_array(v))
		return fail(d, map ? "an object is expected" : "an array is expected");
	if (n == 0)
		return 0;
	if (n > PBJSON_REPEATED_MAX)
		return fail(d, "too many elements");
	*items = pbjson_alloc(d->alloc, n * element_size(f));
	if (*items == NULL)
		return -ERR_NOMEM;
	if (map)
		return get_map(d, f, v, *items, count);
	for (size_t i = 0; i < n && err == 0; i++) {
		json_t *item = json_array_get(v, i);

		if (json_is_null(item))
			return fail(d, "null is not allowed in an array");
		(*count)++; /* counted first: what is half done is freed with the message */
		err = get_value(d, f, item, (char *)*items + i * element_size(f));
	}
	return err;
}

/* The field that a JSON name means: lowerCamelCase or original. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *desc,
                                                  const char *key, unsigned *index)
{
	char camel[PBJSON_NAME_MAX];

	for (unsigned i = 0; i < desc->n_fields; i++) {
		pbjson_camel(desc->fields[i].name, camel, sizeof(camel));
		if (strcmp(camel, key) == 0 || strcmp(desc->fields[i].name, key) == 0) {
			*index = i;
			return &desc->fields[i];
		}
	}
	return NULL;
}

static int get_field(struct dec *d, const ProtobufCFieldDescriptor *f, json_t *v,
                     ProtobufCMessage *m)
{
	char *base = (char *)m;
	int err;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return get_repeated(d, f, v, m);
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		uint32_t *which = (uint32_t *)(void *)(base + f->quantifier_offset);

		if (*which != 0)
			return fail(d, "another field of the same oneof is set too");
		/* Zero the shared storage, then choose: freeing a half-built message must see a valid pointer. */
		memset(base + f->offset, 0, element_size(f));
		*which = f->id;
	} else if (f->label == PROTOBUF_C_LABEL_OPTIONAL && f->quantifier_offset != 0) {
		*(protobuf_c_boolean *)(void *)(base + f->quantifier_offset) = 1;
	}
	err = get_value(d, f, v, base + f->offset);
	return err;
}

static int get_fields(struct dec *d, json_t *v, ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *desc = m->descriptor;
	uint8_t seen[FIELDS_SEEN_MAX] = {0};
	const char *key;
	json_t *value;
	int err = 0;

	ASSERT(desc->n_fields <= FIELDS_SEEN_MAX);
	json_object_foreach(v, key, value)
	{
		unsigned index = 0;
		const ProtobufCFieldDescriptor *f = find_field(desc, key, &index);
		const char *outer = d->field;

		d->field = key;
		if (f == NULL && !d->opts->ignore_unknown)
			err = fail(d, "there is no such field");
		else if (f != NULL && seen[index]++)
			err = fail(d, "given twice");
		else if (f != NULL && !json_is_null(value))
			err = get_field(d, f, value, m);
		d->field = outer;
		if (err != 0)
			return err;
	}
	return 0;
}

/* Any: only the form that keeps the octets. */
static int get_any(struct dec *d, json_t *v, Google__Protobuf__Any *any)
{
	json_t *type = json_object_get(v, "@type");
	json_t *value = json_object_get(v, "value");
	int err;

	if (!json_is_string(type))
		return fail(d, "\"@type\" is missing");
	err = get_string(d, type, &any->type_url);
	if (err == 0 && value != NULL)
		err = get_bytes(d, value, &any->value);
	return err;
}

static int get_message(struct dec *d, const ProtobufCMessageDescriptor *desc, const json_t *v,
                       ProtobufCMessage **p)
{
	enum pbjson_special special = pbjson_special_of(desc);
	ProtobufCMessage *m;
	int err = 0;

	if (special != PBJSON_PLAIN && special != PBJSON_ANY) {
		if (!json_is_string(v))
			return fail(d, "a string is expected");
	} else if (!json_is_object(v)) {
		return fail(d, "an object is expected");
	}
	if (++d->depth > PBJSON_DEPTH_MAX)
		return fail(d, "nested too deep");
	m = pbjson_alloc(d->alloc, desc->sizeof_message);
	if (m == NULL)
		return -ERR_NOMEM;
	protobuf_c_message_init(desc, m);
	*p = m;
	if (special == PBJSON_ANY)
		err = get_any(d, (json_t *)(uintptr_t)v, (Google__Protobuf__Any *)(void *)m);
	else if (special == PBJSON_PLAIN)
		err = get_fields(d, (json_t *)(uintptr_t)v, m);
	else if (pbjson_get_special(m, special, json_string_value(v), d->alloc) != 0)
		err = fail(d, special == PBJSON_TIMESTAMP  ? "not an RFC 3339 time"
		              : special == PBJSON_DURATION ? "not a duration such as \"1.5s\""
		                                           : "not a list of field names");
	d->depth--;
	return err;
}

ProtobufCMessage *pbjson_decode(const ProtobufCMessageDescriptor *desc, struct span text,
                                const struct pbjson_opts *opts, ProtobufCAllocator *alloc,
                                struct buf *why)
{
	static const struct pbjson_opts plain;
	struct dec d = {
		.opts = opts != NULL ? opts : &plain, .alloc = alloc, .why = why, .field = ""};
	ProtobufCMessage *m = NULL;
	json_error_t error;
	json_t *root;
	int err;

	if (text.len > PBJSON_TEXT_MAX || too_deep(text)) {
		buf_put_str(why, "the JSON text is too large or nested too deep");
		return NULL;
	}
	root = json_loadb((const char *)text.ptr, text.len,
	                  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (root == NULL) {
		buf_printf(why, "line %d column %d: %s", error.line, error.column, error.text);
		return NULL;
	}
	err = get_message(&d, desc, root, &m);
	json_decref(root);
	if (err == 0)
		return m;
	if (why->len == 0)
		buf_put_str(why, err_text(err));
	if (m != NULL)
		protobuf_c_message_free_unpacked(m, alloc);
	return NULL;
}
