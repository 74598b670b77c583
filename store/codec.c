/* SPDX-License-Identifier: GPL-3.0-or-later */
/* codec.c: encodes and decodes records by their table of fields. Pure but for random nonces; any thread. */
#include "store/codec.h"
#include "core/err.h"

#include <msgpack.h>
#include <string.h>

#define SEALED_MAX (SETTING_VALUE_MAX + SEAL_EXTRA)

/* ---- members of a struct by offset ---- */

static const void *member(const void *record, uint16_t offset)
{
	return (const uint8_t *)record + offset;
}

static void *member_mut(void *record, uint16_t offset)
{
	return (uint8_t *)record + offset;
}

static uint16_t get_u16(const void *record, uint16_t offset)
{
	uint16_t v;

	memcpy(&v, member(record, offset), sizeof(v));
	return v;
}

static uint32_t get_u32(const void *record, uint16_t offset)
{
	uint32_t v;

	memcpy(&v, member(record, offset), sizeof(v));
	return v;
}

static bool get_bool(const void *record, uint16_t offset)
{
	return *(const bool *)member(record, offset);
}

static void set_u16(void *record, uint16_t offset, size_t value)
{
	uint16_t v = (uint16_t)value;

	memcpy(member_mut(record, offset), &v, sizeof(v));
}

static uint64_t get_uint(const struct field *f, const void *record)
{
	const void *p = member(record, f->offset);
	uint64_t v = 0;

	switch (f->size) {
	case 1:
		return *(const uint8_t *)p;
	case 2:
		return get_u16(record, f->offset);
	case 4:
		return get_u32(record, f->offset);
	default:
		memcpy(&v, p, sizeof(v));
		return v;
	}
}

static void set_uint(const struct field *f, void *record, uint64_t v)
{
	uint32_t v32 = (uint32_t)v;

	switch (f->size) {
	case 1:
		*(uint8_t *)member_mut(record, f->offset) = (uint8_t)v;
		break;
	case 2:
		set_u16(record, f->offset, (size_t)v);
		break;
	case 4:
		memcpy(member_mut(record, f->offset), &v32, sizeof(v32));
		break;
	default:
		memcpy(member_mut(record, f->offset), &v, sizeof(v));
	}
}

static const struct record_extra *extra_of(const struct family *f, const void *record)
{
	return (const struct record_extra *)(const void *)((const uint8_t *)record +
	                                                   f->extra_offset);
}

/* ---- encoding ---- */

struct encoder {
	const struct family *family;
	const void *record;
	struct seal_ring *ring;
	struct span key;
	msgpack_packer pk;
};

static int pack_to_buf(void *arg, const char *data, size_t n)
{
	struct buf *b = arg;

	buf_put(b, data, n);
	return b->err == 0 ? 0 : -1;
}

static void pack_str(msgpack_packer *pk, const char *s, size_t n)
{
	msgpack_pack_str(pk, n);
	msgpack_pack_str_body(pk, s, n);
}

static void pack_bin(msgpack_packer *pk, struct span s)
{
	msgpack_pack_bin(pk, s.len);
	msgpack_pack_bin_body(pk, s.ptr, s.len);
}

/* Whether the field goes into the map; negative when its content is not valid. */
static int wanted_list(const struct field *f, const void *record)
{
	uint16_t n = get_u16(record, f->aux);
	size_t stride = f->kind == FIELD_LABELS ? sizeof(struct label) : NAME_MAX_LEN + 1;
	const char *p = member(record, f->offset);

	if (n > f->max)
		return -ERR_TOO_BIG;
	for (size_t i = 0; i < n; i++, p += stride) {
		const struct label *l = (const struct label *)(const void *)p;

		if (f->kind == FIELD_NAMES && strnlen(p, stride) == stride)
			return -ERR_TOO_BIG;
		if (f->kind == FIELD_LABELS &&
		    (strnlen(l->key, sizeof(l->key)) == sizeof(l->key) ||
		     strnlen(l->value, sizeof(l->value)) == sizeof(l->value)))
			return -ERR_TOO_BIG;
	}
	return n > 0;
}

static int wanted(const struct field *f, const void *record)
{
	size_t n;

	switch (f->kind) {
	case FIELD_STR:
	case FIELD_SECRET:
		n = strnlen(member(record, f->offset), f->size);
		return n == f->size ? -ERR_TOO_BIG : n > 0;
	case FIELD_UINT:
		return get_uint(f, record) != 0;
	case FIELD_ENUM:
		return get_uint(f, record) >= 1 && get_uint(f, record) <= f->max ? 1 : -ERR_INVALID;
	case FIELD_BIN:
		return f->aux == NO_OFFSET || get_bool(record, f->aux);
	case FIELD_BYTES:
	case FIELD_SEALED_BYTES:
		if (get_u16(record, f->aux) > f->size)
			return -ERR_TOO_BIG;
		return get_bool(record, f->flag) == (f->kind == FIELD_SEALED_BYTES);
	case FIELD_BLOB:
		n = get_u32(record, f->aux);
		return n > f->max ? -ERR_TOO_BIG : n > 0;
	default:
		return wanted_list(f, record);
	}
}

static void pack_sealed(struct encoder *e, const struct field *f, struct span plain)
{
	const struct seal_place at = {.table = e->family->table, .field = f->key, .key = e->key};
	uint8_t out[SEALED_MAX];

	seal_value(e->ring, &at, plain, out);
	pack_bin(&e->pk, span_of(out, plain.len + SEAL_EXTRA));
}

static void pack_secret(struct encoder *e, const struct field *f)
{
	const char *s = member(e->record, f->offset);
	uint8_t padded[SECRET_MAX_LEN + SECRET_PAD] = {0};
	size_t n = strlen(s);

	(void)str_copy((char *)padded, sizeof(padded), s);
	pack_sealed(e, f, span_of(padded, (n / SECRET_PAD + 1) * SECRET_PAD));
	secret_zero(padded, sizeof(padded));
}

static void pack_list(struct encoder *e, const struct field *f)
{
	uint16_t n = get_u16(e->record, f->aux);
	const struct label *l = member(e->record, f->offset);
	const char *name = member(e->record, f->offset);

	if (f->kind == FIELD_NAMES) {
		msgpack_pack_array(&e->pk, n);
		for (uint16_t i = 0; i < n; i++, name += NAME_MAX_LEN + 1)
			pack_str(&e->pk, name, strlen(name));
		return;
	}
	msgpack_pack_map(&e->pk, n);
	for (uint16_t i = 0; i < n; i++, l++) {
		pack_str(&e->pk, l->key, strlen(l->key));
		pack_str(&e->pk, l->value, strlen(l->value));
	}
}

static void pack_field(struct encoder *e, const struct field *f)
{
	const void *p = member(e->record, f->offset);
	const void *blob;

	msgpack_pack_uint8(&e->pk, f->key);
	switch (f->kind) {
	case FIELD_STR:
		pack_str(&e->pk, p, strlen(p));
		break;
	case FIELD_SECRET:
		pack_secret(e, f);
		break;
	case FIELD_UINT:
	case FIELD_ENUM:
		msgpack_pack_uint64(&e->pk, get_uint(f, e->record));
		break;
	case FIELD_BIN:
		pack_bin(&e->pk, span_of(p, f->size));
		break;
	case FIELD_BYTES:
		pack_bin(&e->pk, span_of(p, get_u16(e->record, f->aux)));
		break;
	case FIELD_SEALED_BYTES:
		pack_sealed(e, f, span_of(p, get_u16(e->record, f->aux)));
		break;
	case FIELD_BLOB:
		memcpy(&blob, p, sizeof(blob));
		pack_bin(&e->pk, span_of(blob, get_u32(e->record, f->aux)));
		break;
	default:
		pack_list(e, f);
	}
}

int record_encode(const struct family *f, const void *record, struct seal_ring *ring,
                  struct buf *out)
{
	const struct record_extra *extra = extra_of(f, record);
	uint8_t key[RECORD_KEY_MAX];
	struct encoder e = {.family = f, .record = record, .ring = ring};
	size_t count = extra->count;

	e.key = span_of(key, f->key(record, key));
	if (e.key.len == 0)
		return -ERR_INVALID;
	if (extra->cut || extra->len > EXTRA_MAX)
		return -ERR_TOO_BIG;
	for (size_t i = 0; i < f->fields_len; i++) {
		int w = wanted(&f->fields[i], record);

		if (w < 0)
			return w;
		count += (size_t)w;
	}
	msgpack_packer_init(&e.pk, out, pack_to_buf);
	msgpack_pack_array(&e.pk, 2);
	msgpack_pack_uint8(&e.pk, RECORD_VERSION);
	msgpack_pack_map(&e.pk, count);
	for (size_t i = 0; i < f->fields_len; i++)
		if (wanted(&f->fields[i], record) > 0)
			pack_field(&e, &f->fields[i]);
	buf_put(out, extra->bytes, extra->len);
	return out->err;
}

/* ---- decoding ---- */

struct decoder {
	const struct family *family;
	const struct record_input *in;
	void *record;
	uint64_t seen; /* bit n: field n was there */
};

static struct span bytes_of(const msgpack_object *o)
{
	if (o->type == MSGPACK_OBJECT_STR)
		return span_of(o->via.str.ptr, o->via.str.size);
	return span_of(o->via.bin.ptr, o->via.bin.size);
}

static bool read_str(const msgpack_object *o, char *dst, size_t size)
{
	return o->type == MSGPACK_OBJECT_STR && str_copy_span(dst, size, bytes_of(o));
}

/* A plain value that was padded loses the padding; what is left must fit the member. */
static ssize_t check_plain(const struct field *f, struct span plain)
{
	size_t n = plain.len;

	if (f->kind != FIELD_SECRET)
		return n <= f->size ? (ssize_t)n : -ERR_CORRUPT;
	while (n > 0 && plain.ptr[n - 1] == 0)
		n--;
	return n < f->size && memchr(plain.ptr, 0, n) == NULL ? (ssize_t)n : -ERR_CORRUPT;
}

/* Opens a sealed value into its member; the length or -ERR_CORRUPT. */
static ssize_t read_sealed(struct decoder *d, const struct field *f, struct span sealed)
{
	const struct seal_place at = {
		.table = d->family->table, .field = f->key, .key = d->in->key};
	uint8_t plain[SEALED_MAX];
	ssize_t n;

	if (sealed.len < SEAL_EXTRA || sealed.len > SEALED_MAX)
		return -ERR_CORRUPT;
	if (d->in->oldest != NULL)
		*d->in->oldest = MIN(*d->in->oldest, seal_id(sealed));
	if (d->in->ring == NULL)
		return 0;
	n = seal_open(d->in->ring, &at, sealed, plain);
	if (n == 0)
		n = check_plain(f, span_of(plain, sealed.len - SEAL_EXTRA));
	if (n > 0)
		memcpy(member_mut(d->record, f->offset), plain, (size_t)n);
	secret_zero(plain, sizeof(plain));
	return n;
}

static int read_bytes(struct decoder *d, const struct field *f, struct span s)
{
	bool sealed = f->kind == FIELD_SEALED_BYTES;
	ssize_t n = (ssize_t)s.len;

	if (sealed)
		n = read_sealed(d, f, s);
	else if (s.len > f->size)
		return -ERR_CORRUPT;
	else if (s.len > 0)
		memcpy(member_mut(d->record, f->offset), s.ptr, s.len);
	if (n < 0)
		return -ERR_CORRUPT;
	set_u16(d->record, f->aux, (size_t)n);
	*(bool *)member_mut(d->record, f->flag) = sealed;
	return 0;
}

static int read_blob(struct decoder *d, const struct field *f, struct span s)
{
	uint32_t n = (uint32_t)s.len;

	if (s.len > f->max)
		return -ERR_CORRUPT;
	memcpy(member_mut(d->record, f->offset), &s.ptr, sizeof(s.ptr));
	memcpy(member_mut(d->record, f->aux), &n, sizeof(n));
	return 0;
}

static int read_bin(struct decoder *d, const struct field *f, const msgpack_object *o)
{
	struct span s = bytes_of(o);

	if (o->type != MSGPACK_OBJECT_BIN)
		return -ERR_CORRUPT;
	switch (f->kind) {
	case FIELD_SECRET:
		return read_sealed(d, f, s) < 0 ? -ERR_CORRUPT : 0;
	case FIELD_BLOB:
		return read_blob(d, f, s);
	case FIELD_BIN:
		if (s.len != f->size)
			return -ERR_CORRUPT;
		memcpy(member_mut(d->record, f->offset), s.ptr, s.len);
		if (f->aux != NO_OFFSET)
			*(bool *)member_mut(d->record, f->aux) = true;
		return 0;
	default:
		return read_bytes(d, f, s);
	}
}

static int read_uint(struct decoder *d, const struct field *f, const msgpack_object *o)
{
	uint64_t most = f->size == 8 ? UINT64_MAX : (1ull << (8 * f->size)) - 1;

	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return -ERR_CORRUPT;
	if (f->kind == FIELD_ENUM ? o->via.u64 < 1 || o->via.u64 > f->max : o->via.u64 > most)
		return -ERR_CORRUPT;
	set_uint(f, d->record, o->via.u64);
	return 0;
}

static int read_labels(struct decoder *d, const struct field *f, const msgpack_object *o)
{
	struct label *l = member_mut(d->record, f->offset);

	if (o->type != MSGPACK_OBJECT_MAP || o->via.map.size > f->max)
		return -ERR_CORRUPT;
	for (uint32_t i = 0; i < o->via.map.size; i++)
		if (!read_str(&o->via.map.ptr[i].key, l[i].key, sizeof(l[i].key)) ||
		    !read_str(&o->via.map.ptr[i].val, l[i].value, sizeof(l[i].value)))
			return -ERR_CORRUPT;
	set_u16(d->record, f->aux, o->via.map.size);
	return 0;
}

static int read_names(struct decoder *d, const struct field *f, const msgpack_object *o)
{
	char *to = member_mut(d->record, f->offset);

	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > f->max)
		return -ERR_CORRUPT;
	for (uint32_t i = 0; i < o->via.array.size; i++, to += NAME_MAX_LEN + 1)
		if (!read_str(&o->via.array.ptr[i], to, NAME_MAX_LEN + 1))
			return -ERR_CORRUPT;
	set_u16(d->record, f->aux, o->via.array.size);
	return 0;
}

static int read_field(struct decoder *d, const struct field *f, const msgpack_object *o)
{
	switch (f->kind) {
	case FIELD_STR:
		return read_str(o, member_mut(d->record, f->offset), f->size) ? 0 : -ERR_CORRUPT;
	case FIELD_UINT:
	case FIELD_ENUM:
		return read_uint(d, f, o);
	case FIELD_LABELS:
		return read_labels(d, f, o);
	case FIELD_NAMES:
		return read_names(d, f, o);
	default:
		return read_bin(d, f, o);
	}
}

/* Keeps an unknown key and its value as they were. */
static int keep_extra(struct decoder *d, const msgpack_object_kv *kv)
{
	struct record_extra *x = member_mut(d->record, (uint16_t)d->family->extra_offset);
	msgpack_packer pk;
	struct buf b;

	buf_init(&b, EXTRA_MAX);
	msgpack_packer_init(&pk, &b, pack_to_buf);
	msgpack_pack_object(&pk, kv->key);
	msgpack_pack_object(&pk, kv->val);
	if (b.err == -ERR_NOMEM)
		return -ERR_NOMEM;
	if (b.err != 0 || b.len > (size_t)(EXTRA_MAX - x->len))
		x->cut = true;
	if (!x->cut) {
		memcpy(x->bytes + x->len, b.data, b.len);
		x->len = (uint16_t)(x->len + b.len);
		x->count++;
	}
	buf_free(&b);
	return 0;
}

static const struct field *find_field(const struct family *f, uint64_t key)
{
	for (size_t i = 0; i < f->fields_len; i++)
		if (f->fields[i].key == key)
			return &f->fields[i];
	return NULL;
}

static int read_pair(struct decoder *d, const msgpack_object_kv *kv)
{
	const struct field *f;

	if (kv->key.type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return -ERR_CORRUPT;
	f = find_field(d->family, kv->key.via.u64);
	if (f == NULL)
		return keep_extra(d, kv);
	if ((d->seen & 1ull << f->key) != 0)
		return -ERR_CORRUPT;
	d->seen |= 1ull << f->key;
	return read_field(d, f, &kv->val);
}

/* Fields that every record has, and a key that fits the place where the value lay. */
static int check_whole(const struct decoder *d)
{
	const struct family *f = d->family;
	uint8_t key[RECORD_KEY_MAX];
	size_t n;

	for (size_t i = 0; i < f->fields_len; i++) {
		const struct field *field = &f->fields[i];
		bool must = field->kind == FIELD_ENUM ||
		            (field->kind == FIELD_BIN && field->aux == NO_OFFSET);

		if (must && (d->seen & 1ull << field->key) == 0)
			return -ERR_CORRUPT;
	}
	n = f->key(d->record, key);
	return n > 0 && n == d->in->key.len && memcmp(key, d->in->key.ptr, n) == 0 ? 0
	                                                                           : -ERR_CORRUPT;
}

static int read_record(struct decoder *d, const msgpack_object *o)
{
	const msgpack_object *part = o->via.array.ptr;
	int err = 0;

	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != 2)
		return -ERR_CORRUPT;
	if (part[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER || part[0].via.u64 != RECORD_VERSION ||
	    part[1].type != MSGPACK_OBJECT_MAP)
		return -ERR_CORRUPT;
	for (uint32_t i = 0; i < part[1].via.map.size && err == 0; i++)
		err = read_pair(d, &part[1].via.map.ptr[i]);
	return err != 0 ? err : check_whole(d);
}

int record_decode(const struct family *f, const struct record_input *in, void *out)
{
	struct decoder d = {.family = f, .in = in, .record = out};
	msgpack_unpacked msg;
	size_t off = 0;
	int err = -ERR_CORRUPT;

	memset(out, 0, f->size);
	if (in->value.len > RECORD_SIZE_MAX || scan_check(in->value) != 0)
		return -ERR_CORRUPT;
	msgpack_unpacked_init(&msg);
	switch (msgpack_unpack_next(&msg, (const char *)in->value.ptr, in->value.len, &off)) {
	case MSGPACK_UNPACK_SUCCESS:
		err = read_record(&d, &msg.data);
		break;
	case MSGPACK_UNPACK_NOMEM_ERROR:
		err = -ERR_NOMEM;
		break;
	default:
		break;
	}
	msgpack_unpacked_destroy(&msg);
	if (err != 0)
		secret_zero(out, f->size);
	return err;
}
