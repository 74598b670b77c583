/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * codec.h: records as bytes. A value is a msgpack array [version, map] whose map has small integers as keys. Each record family
 * is a table of fields (store/family.c); no family has code of its own here.
 *
 * Rules that let versions share a file: a key is never used for something else; a field that is empty or zero is left out; a
 * key that this version does not know is kept (struct record_extra); what an older version could misread (a new value of an
 * enumeration, another type) needs a new schema version and a migration.
 */
#pragma once

#include "core/buf.h"
#include "store/records.h"
#include "store/seal.h"

#define RECORD_VERSION   1
#define RECORD_KEY_MAX   96      /* longest key of any table */
#define RECORD_SIZE_MAX  1114112 /* longest value of any table */
#define SCAN_DEPTH_MAX   8
#define SCAN_OBJECTS_MAX 4096
#define FIELD_KEY_MAX    63 /* highest key of a known field */
#define NO_OFFSET        UINT16_MAX

enum field_kind {
	FIELD_STR,    /* char[size], NUL-terminated */
	FIELD_SECRET, /* char[size], sealed; padded to SECRET_PAD so that its length is not told */
	FIELD_UINT,   /* size 1, 2, 4 or 8 octets */
	FIELD_ENUM,   /* enum, 1..max; must be there */
	FIELD_BIN, /* uint8_t[size] that must be there, or with aux: bool that tells whether it is */
	FIELD_BYTES, /* uint8_t[size], uint16_t length at aux, only while bool at flag is false */
	FIELD_SEALED_BYTES, /* the same, sealed, while the bool at flag is true */
	FIELD_BLOB,         /* uint8_t *, uint32_t length at aux, at most max */
	FIELD_LABELS,       /* struct label[max], uint16_t count at aux: a map of strings */
	FIELD_NAMES, /* char[max][NAME_MAX_LEN + 1], uint16_t count at aux: an array of strings */
};

#define SECRET_PAD 32

struct field {
	uint8_t key;
	uint8_t kind;
	uint16_t offset;
	uint32_t size;
	uint16_t aux, flag;
	uint32_t max;
};

/* A record family. key writes the record's key into out and returns its length, 0 if the record has no valid one. */
struct family {
	const char *name;
	uint8_t table;
	size_t size;         /* of the struct */
	size_t extra_offset; /* of its record_extra */
	const struct field *fields;
	size_t fields_len;
	size_t (*key)(const void *record, uint8_t out[RECORD_KEY_MAX]);
};

/* family_of: the family of a table. */
const struct family *family_of(enum store_table table);

/* Keys of records whose struct is not at hand. Each returns the length. */
size_t record_key_device(const struct device_key *k, uint8_t out[RECORD_KEY_MAX]);
size_t record_key_u64(uint64_t v, uint8_t out[RECORD_KEY_MAX]); /* big-endian */
size_t record_key_request(const char *principal, const char *request_id,
                          uint8_t out[RECORD_KEY_MAX]);

/*
 * record_encode: appends the record's value. ring seals its secrets. 0, -ERR_INVALID (no valid key, enumeration out of range),
 * -ERR_TOO_BIG (a string without end, too many labels, extra keys that did not fit when it was read), -ERR_NOMEM.
 */
int record_encode(const struct family *f, const void *record, struct seal_ring *ring,
                  struct buf *out) MUST_CHECK;

/*
 * record_decode: value of key into out (all zero first, and after an error). Blobs are borrowed from value. ring NULL: secrets stay
 * empty. oldest (may be NULL) is lowered to the lowest id of the keys that sealed something in it. 0 or -ERR_CORRUPT, -ERR_NOMEM.
 */
struct record_input {
	struct span key, value;
	struct seal_ring *ring;
	uint32_t *oldest;
};
int record_decode(const struct family *f, const struct record_input *in, void *out) MUST_CHECK;

/*
 * scan_check: one complete msgpack object and nothing else, no deeper than SCAN_DEPTH_MAX, no more than SCAN_OBJECTS_MAX
 * objects, no count or length beyond the bytes that are there. msgpack_unpack trusts declared counts and would allocate a
 * gigabyte for five bytes (ecosystem.md 5), so nothing reaches it unscanned. 0 or -ERR_CORRUPT. Pure.
 */
int scan_check(struct span s) MUST_CHECK;
