/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * family.c: the fields of every record family and their numbers in the file. A number, once released, is never used for another
 * field. Fields that make up the record's key are in the value too, so that a value in the wrong place is noticed.
 */
#include "core/err.h"
#include "store/codec.h"

#include <string.h>

#define AT(m)        .offset = offsetof(R, m), .size = sizeof(((R *)0)->m)
#define OFF(m)       offsetof(R, m)
#define STR(k, m)    .key = (k), .kind = FIELD_STR, AT(m), .aux = NO_OFFSET
#define SECRET(k, m) .key = (k), .kind = FIELD_SECRET, AT(m), .aux = NO_OFFSET
#define UINT(k, m)   .key = (k), .kind = FIELD_UINT, AT(m), .aux = NO_OFFSET
#define ENUM(k, m, highest) \
	.key = (k), .kind = FIELD_ENUM, AT(m), .aux = NO_OFFSET, .max = (highest)
#define BIN(k, m)            .key = (k), .kind = FIELD_BIN, AT(m), .aux = NO_OFFSET
#define BIN_IF(k, m, has)    .key = (k), .kind = FIELD_BIN, AT(m), .aux = OFF(has)
#define BLOB(k, m, n, most)  .key = (k), .kind = FIELD_BLOB, AT(m), .aux = OFF(n), .max = (most)
#define LABELS(k, m, n)      .key = (k), .kind = FIELD_LABELS, AT(m), .aux = OFF(n), .max = LABELS_MAX
#define NAMES(k, m, n, most) .key = (k), .kind = FIELD_NAMES, AT(m), .aux = OFF(n), .max = (most)
#define BYTES(k, m, n, b)    .key = (k), .kind = FIELD_BYTES, AT(m), .aux = OFF(n), .flag = OFF(b)
#define SEALED(k, m, n, b) \
	.key = (k), .kind = FIELD_SEALED_BYTES, AT(m), .aux = OFF(n), .flag = OFF(b)

#define R struct store_group
static const struct field group_fields[] = {
	{STR(1, name)},        {STR(2, cira.user)},       {SECRET(3, cira.password)},
	{STR(4, amt.user)},    {SECRET(5, amt.password)}, {ENUM(6, enroll, ENROLL_REJECT)},
	{UINT(7, created_ms)}, {UINT(8, updated_ms)},
};
#undef R

#define R struct store_device
static const struct field device_fields[] = {
	{BIN(1, key.guid.b)},
	{UINT(2, key.instance)},
	{STR(3, name)},
	{STR(4, group)},
	{ENUM(5, state, DEVICE_HELD)},
	{STR(6, cira.user)},
	{SECRET(7, cira.password)},
	{STR(8, amt.user)},
	{SECRET(9, amt.password)},
	{BIN_IF(10, pin_sha256, pinned)},
	{UINT(11, created_ms)},
	{UINT(12, updated_ms)},
	{LABELS(13, labels, labels_len)},
};
#undef R

#define R struct store_token
static const struct field token_fields[] = {
	{STR(1, id)},
	{BIN(2, sha256)},
	{STR(3, description)},
	{ENUM(4, role, ROLE_ADMINISTRATOR)},
	{NAMES(5, groups, groups_len, TOKEN_GROUPS_MAX)},
	{UINT(6, created_ms)},
	{UINT(7, expires_ms)},
	{STR(8, created_by)},
	{NAMES(9, scopes, scopes_len, TOKEN_SCOPES_MAX)},
};
#undef R

#define R struct store_audit
static const struct field audit_fields[] = {
	{UINT(1, seq)},     {UINT(2, time_ms)},   {STR(3, principal)}, {STR(4, method)},
	{STR(5, resource)}, {STR(6, request_id)}, {STR(7, outcome)},   {STR(8, detail)},
};
#undef R

#define R struct store_operation
static const struct field operation_fields[] = {
	{STR(1, id)},
	{STR(2, kind)},
	{STR(3, principal)},
	{STR(4, resource)},
	{ENUM(5, state, OPERATION_INTERRUPTED)},
	{UINT(6, progress_done)},
	{UINT(7, progress_total)},
	{UINT(8, created_ms)},
	{UINT(9, updated_ms)},
	{BLOB(10, result, result_len, OPERATION_RESULT_MAX)},
};
#undef R

#define R struct store_request
static const struct field request_fields[] = {
	{STR(1, principal)},
	{STR(2, request_id)},
	{STR(3, method)},
	{BIN(4, request_sha256)},
	{ENUM(5, state, REQUEST_DONE)},
	{UINT(6, time_ms)},
	{UINT(7, status)},
	{STR(8, message)},
	{BLOB(9, response, response_len, REQUEST_RESPONSE_MAX)},
};
#undef R

#define R struct store_setting
static const struct field setting_fields[] = {
	{STR(1, name)},
	{BYTES(2, value, value_len, secret)},
	{SEALED(3, value, value_len, secret)},
};
#undef R

/* The text of a member as a key; 0 if it is empty or has no end. */
static size_t text_key(const char *s, size_t size, uint8_t out[RECORD_KEY_MAX])
{
	size_t n = strnlen(s, size);

	if (n == 0 || n == size || n > RECORD_KEY_MAX)
		return 0;
	memcpy(out, s, n);
	return n;
}

static size_t group_key(const void *record, uint8_t out[RECORD_KEY_MAX])
{
	const struct store_group *g = record;

	return text_key(g->name, sizeof(g->name), out);
}

static size_t device_record_key(const void *record, uint8_t out[RECORD_KEY_MAX])
{
	return record_key_device(&((const struct store_device *)record)->key, out);
}

static size_t token_key(const void *record, uint8_t out[RECORD_KEY_MAX])
{
	const struct store_token *t = record;

	return text_key(t->id, sizeof(t->id), out);
}

static size_t audit_key(const void *record, uint8_t out[RECORD_KEY_MAX])
{
	return record_key_u64(((const struct store_audit *)record)->seq, out);
}

static size_t operation_key(const void *record, uint8_t out[RECORD_KEY_MAX])
{
	const struct store_operation *o = record;

	return text_key(o->id, sizeof(o->id), out);
}

static size_t request_key(const void *record, uint8_t out[RECORD_KEY_MAX])
{
	const struct store_request *r = record;

	if (strnlen(r->principal, sizeof(r->principal)) == sizeof(r->principal) ||
	    strnlen(r->request_id, sizeof(r->request_id)) == sizeof(r->request_id) ||
	    r->request_id[0] == '\0')
		return 0;
	return record_key_request(r->principal, r->request_id, out);
}

static size_t setting_key(const void *record, uint8_t out[RECORD_KEY_MAX])
{
	const struct store_setting *s = record;

	return text_key(s->name, sizeof(s->name), out);
}

size_t record_key_device(const struct device_key *k, uint8_t out[RECORD_KEY_MAX])
{
	memcpy(out, k->guid.b, sizeof(k->guid.b));
	out[sizeof(k->guid.b)] = (uint8_t)(k->instance >> 8);
	out[sizeof(k->guid.b) + 1] = (uint8_t)k->instance;
	return sizeof(k->guid.b) + 2;
}

size_t record_key_u64(uint64_t v, uint8_t out[RECORD_KEY_MAX])
{
	for (unsigned i = 0; i < 8; i++)
		out[i] = (uint8_t)(v >> (56 - 8 * i));
	return 8;
}

size_t record_key_request(const char *principal, const char *request_id,
                          uint8_t out[RECORD_KEY_MAX])
{
	/* The NUL between them keeps "ab" + "c" and "a" + "bc" apart. */
	const struct span parts[] = {span_of(principal, strlen(principal) + 1),
	                             span_str(request_id)};

	hash_once(HASH_SHA256, parts, ARRAY_LEN(parts), out);
	return hash_size(HASH_SHA256);
}

#define FAMILY(t, word, type, f, k)                   \
	[t] = {.name = (word),                        \
	       .table = (t),                          \
	       .size = sizeof(type),                  \
	       .extra_offset = offsetof(type, extra), \
	       .fields = (f),                         \
	       .fields_len = ARRAY_LEN(f),            \
	       .key = (k)}

static const struct family families[STORE_TABLE_COUNT] = {
	FAMILY(STORE_GROUPS, "group", struct store_group, group_fields, group_key),
	FAMILY(STORE_DEVICES, "device", struct store_device, device_fields, device_record_key),
	FAMILY(STORE_TOKENS, "token", struct store_token, token_fields, token_key),
	FAMILY(STORE_AUDIT, "audit", struct store_audit, audit_fields, audit_key),
	FAMILY(STORE_OPERATIONS, "operation", struct store_operation, operation_fields,
               operation_key),
	FAMILY(STORE_REQUESTS, "request", struct store_request, request_fields, request_key),
	FAMILY(STORE_SETTINGS, "setting", struct store_setting, setting_fields, setting_key),
};

const struct family *family_of(enum store_table table)
{
	ASSERT(table < STORE_TABLE_COUNT);
	return &families[table];
}
