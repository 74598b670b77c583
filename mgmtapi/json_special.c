/* SPDX-License-Identifier: GPL-3.0-or-later */
/* json_special.c: the well-known messages with a JSON form of their own. Pure. */
#include "mgmtapi/json_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "google/protobuf/any.pb-c.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/field_mask.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "google/rpc/error_details.pb-c.h"

#define NANOS_PER_S     1000000000
#define TIMESTAMP_S_MIN (-62135596800LL) /* 0001-01-01 */
#define TIMESTAMP_S_MAX 253402300799LL   /* 9999-12-31 */
#define DURATION_S_MAX  315576000000LL
#define MASK_PATHS_MAX  64

enum pbjson_special pbjson_special_of(const ProtobufCMessageDescriptor *d)
{
	if (d == &google__protobuf__timestamp__descriptor)
		return PBJSON_TIMESTAMP;
	if (d == &google__protobuf__duration__descriptor)
		return PBJSON_DURATION;
	if (d == &google__protobuf__field_mask__descriptor)
		return PBJSON_FIELD_MASK;
	if (d == &google__protobuf__any__descriptor)
		return PBJSON_ANY;
	return PBJSON_PLAIN;
}

const ProtobufCMessageDescriptor *pbjson_any_type(const char *type_url)
{
	static const ProtobufCMessageDescriptor *const known[] = {
		&google__rpc__error_info__descriptor,
		&google__rpc__retry_info__descriptor,
		&google__rpc__help__descriptor,
	};
	const char *slash = strrchr(type_url, '/');
	const char *name = slash != NULL ? slash + 1 : type_url;

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i]->name, name) == 0)
			return known[i];
	return NULL;
}

void *pbjson_alloc(ProtobufCAllocator *alloc, size_t n)
{
	void *p = alloc != NULL ? alloc->alloc(alloc->allocator_data, n) : malloc(n);

	if (p != NULL)
		memset(p, 0, n);
	return p;
}

char *pbjson_strdup(ProtobufCAllocator *alloc, struct span s)
{
	char *p = pbjson_alloc(alloc, s.len + 1);

	if (p != NULL && s.len > 0)
		memcpy(p, s.ptr, s.len);
	return p;
}

/* Fractions have 0, 3, 6 or 9 digits. */
static void put_fraction(struct buf *out, uint32_t nanos)
{
	if (nanos == 0)
		return;
	if (nanos % 1000000 == 0)
		buf_printf(out, ".%03u", nanos / 1000000);
	else if (nanos % 1000 == 0)
		buf_printf(out, ".%06u", nanos / 1000);
	else
		buf_printf(out, ".%09u", nanos);
}

static int put_timestamp(struct buf *out, const Google__Protobuf__Timestamp *t)
{
	char text[CLOCK_TEXT_MAX];
	char *dot;

	if (t->seconds < TIMESTAMP_S_MIN || t->seconds > TIMESTAMP_S_MAX || t->nanos < 0 ||
	    t->nanos >= NANOS_PER_S)
		return -ERR_INVALID;
	clock_format(t->seconds * 1000, text);
	dot = strchr(text, '.');
	if (dot != NULL)
		*dot = '\0';
	buf_printf(out, "\"%s", text);
	put_fraction(out, (uint32_t)t->nanos);
	buf_put_str(out, "Z\"");
	return 0;
}

static int put_duration(struct buf *out, const Google__Protobuf__Duration *d)
{
	bool negative = d->seconds < 0 || d->nanos < 0;

	if (d->seconds < -DURATION_S_MAX || d->seconds > DURATION_S_MAX ||
	    d->nanos <= -NANOS_PER_S || d->nanos >= NANOS_PER_S ||
	    (d->seconds > 0 && d->nanos < 0) || (d->seconds < 0 && d->nanos > 0))
		return -ERR_INVALID;
	buf_printf(out, "\"%s%lld", negative ? "-" : "",
	           (long long)(d->seconds < 0 ? -d->seconds : d->seconds));
	put_fraction(out, (uint32_t)(d->nanos < 0 ? -d->nanos : d->nanos));
	buf_put_str(out, "s\"");
	return 0;
}

/* Field paths have letters, digits, underscores and dots only. */
static bool is_path(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		uint8_t ch = s.ptr[i];

		if (!(ch >= 'a' && ch <= 'z') && !(ch >= 'A' && ch <= 'Z') &&
		    !(ch >= '0' && ch <= '9') && ch != '_' && ch != '.')
			return false;
	}
	return s.len > 0 && s.len < PBJSON_NAME_MAX;
}

static int put_field_mask(struct buf *out, const Google__Protobuf__FieldMask *m)
{
	char name[PBJSON_NAME_MAX];

	buf_put_u8(out, '"');
	for (size_t i = 0; i < m->n_paths; i++) {
		pbjson_camel(m->paths[i], name, sizeof(name));
		if (!is_path(span_str(name)))
			return -ERR_INVALID;
		buf_printf(out, "%s%s", i > 0 ? "," : "", name);
	}
	buf_put_u8(out, '"');
	return 0;
}

int pbjson_put_special(struct buf *out, const ProtobufCMessage *m, enum pbjson_special s)
{
	switch (s) {
	case PBJSON_TIMESTAMP:
		return put_timestamp(out, (const Google__Protobuf__Timestamp *)(const void *)m);
	case PBJSON_DURATION:
		return put_duration(out, (const Google__Protobuf__Duration *)(const void *)m);
	case PBJSON_FIELD_MASK:
		return put_field_mask(out, (const Google__Protobuf__FieldMask *)(const void *)m);
	case PBJSON_PLAIN:
	case PBJSON_ANY:
		break;
	}
	return -ERR_INVALID;
}

/* ".123456789" at *p to nanoseconds; at most nine digits. */
static bool get_fraction(const char **p, int32_t *nanos)
{
	int32_t scale = NANOS_PER_S;
	int32_t v = 0;

	*nanos = 0;
	if (**p != '.')
		return true;
	(*p)++;
	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		if (scale == 1)
			return false;
		scale /= 10;
		v += (**p - '0') * scale;
	}
	*nanos = v;
	return true;
}

static int get_timestamp(Google__Protobuf__Timestamp *t, const char *text)
{
	const char *dot = strchr(text, '.');
	int32_t nanos = 0;
	int64_t ms;

	if (clock_parse(span_str(text), &ms) != 0 || (dot != NULL && !get_fraction(&dot, &nanos)))
		return -ERR_INVALID;
	/* The milliseconds that clock_parse found are part of nanos; floor the seconds, also before 1970. */
	t->seconds = ms / 1000 - (ms % 1000 < 0 ? 1 : 0);
	t->nanos = nanos;
	if (t->seconds < TIMESTAMP_S_MIN || t->seconds > TIMESTAMP_S_MAX)
		return -ERR_INVALID;
	return 0;
}

static int get_duration(Google__Protobuf__Duration *d, const char *text)
{
	bool negative = *text == '-';
	const char *p = text + (negative ? 1 : 0);
	int64_t s = 0;
	int32_t nanos;

	if (*p < '0' || *p > '9')
		return -ERR_INVALID;
	for (; *p >= '0' && *p <= '9'; p++) {
		s = s * 10 + (*p - '0');
		if (s > DURATION_S_MAX)
			return -ERR_INVALID;
	}
	if (!get_fraction(&p, &nanos) || strcmp(p, "s") != 0)
		return -ERR_INVALID;
	d->seconds = negative ? -s : s;
	d->nanos = negative ? -nanos : nanos;
	return 0;
}

/* One lowerCamelCase path to snake_case. */
static char *snake_of(struct span camel, ProtobufCAllocator *alloc)
{
	char text[2 * PBJSON_NAME_MAX];
	size_t n = 0;

	if (!is_path(camel))
		return NULL;
	for (size_t i = 0; i < camel.len; i++) {
		uint8_t ch = camel.ptr[i];

		if (ch >= 'A' && ch <= 'Z') {
			text[n++] = '_';
			ch = (uint8_t)(ch - 'A' + 'a');
		}
		text[n++] = (char)ch;
	}
	return pbjson_strdup(alloc, span_of(text, n));
}

static int get_field_mask(Google__Protobuf__FieldMask *m, const char *text,
                          ProtobufCAllocator *alloc)
{
	if (*text == '\0')
		return 0;
	m->paths = pbjson_alloc(alloc, MASK_PATHS_MAX * sizeof(*m->paths));
	if (m->paths == NULL)
		return -ERR_NOMEM;
	for (const char *p = text;; p++) {
		size_t len = strcspn(p, ",");

		if (m->n_paths == MASK_PATHS_MAX)
			return -ERR_INVALID;
		m->paths[m->n_paths] = snake_of(span_of(p, len), alloc);
		if (m->paths[m->n_paths] == NULL)
			return -ERR_INVALID;
		m->n_paths++;
		p += len;
		if (*p == '\0')
			return 0;
	}
}

int pbjson_get_special(ProtobufCMessage *m, enum pbjson_special s, const char *text,
                       ProtobufCAllocator *alloc)
{
	switch (s) {
	case PBJSON_TIMESTAMP:
		return get_timestamp((Google__Protobuf__Timestamp *)(void *)m, text);
	case PBJSON_DURATION:
		return get_duration((Google__Protobuf__Duration *)(void *)m, text);
	case PBJSON_FIELD_MASK:
		return get_field_mask((Google__Protobuf__FieldMask *)(void *)m, text, alloc);
	case PBJSON_PLAIN:
	case PBJSON_ANY:
		break;
	}
	return -ERR_INVALID;
}
