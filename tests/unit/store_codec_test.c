/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records as bytes: what is kept, what is refused, and that no bytes can do harm. */
#include "core/err.h"
#include "store/codec.h"
#include "tests/unit/support/store_help.h"
#include "tests/unit/support/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct seal_ring ring;
static char key_path[64];

static int setup(void **state)
{
	struct buf why;

	(void)state;
	buf_init(&why, 1000);
	(void)snprintf(key_path, sizeof(key_path), "/tmp/causeway-codec-%d.key", (int)getpid());
	assert_int_equal(seal_ring_init(&ring, key_path, "/"), 0);
	assert_int_equal(seal_ring_add(&ring, &why), 0);
	buf_free(&why);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	seal_ring_free(&ring);
	return unlink(key_path);
}

static int decode(enum store_table table, struct span key, struct span value, void *out)
{
	const struct record_input in = {.key = key, .value = value, .ring = &ring};

	return record_decode(family_of(table), &in, out);
}

static int decode_token(const char *bytes, size_t n, struct store_token *out)
{
	return decode(STORE_TOKENS, span_str("0123456789abcdef"), span_of(bytes, n), out);
}

#define ID         \
	"\x01\xb0" \
	"0123456789abcdef"
#define HASH           \
	"\x02\xc4\x20" \
	"01234567890123456789012345678901"
#define ROLE         "\x04\x01"
#define TOKEN(bytes) bytes, sizeof(bytes) - 1

static void test_a_minimal_record_and_its_defects(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
		int err;
	} cases[] = {
		{"minimal", TOKEN("\x92\x01\x83" ID HASH ROLE), 0},
		{"integers in wider forms",
	         TOKEN("\xdc\x00\x02\xcc\x01\xdf\x00\x00\x00\x03" ID HASH
	               "\xcd\x00\x04\xce\x00\x00\x00\x01"),
	         0},
		{"empty", TOKEN(""), -ERR_CORRUPT},
		{"not an array", TOKEN("\x83" ID HASH ROLE), -ERR_CORRUPT},
		{"array of one", TOKEN("\x91\x01"), -ERR_CORRUPT},
		{"newer version", TOKEN("\x92\x02\x83" ID HASH ROLE), -ERR_CORRUPT},
		{"version as text",
	         TOKEN("\x92\xa1"
	               "1\x83" ID HASH ROLE),
	         -ERR_CORRUPT},
		{"map missing", TOKEN("\x92\x01\x01"), -ERR_CORRUPT},
		{"role missing", TOKEN("\x92\x01\x82" ID HASH), -ERR_CORRUPT},
		{"hash missing", TOKEN("\x92\x01\x82" ID ROLE), -ERR_CORRUPT},
		{"hash short", TOKEN("\x92\x01\x83" ID "\x02\xc4\x01x" ROLE), -ERR_CORRUPT},
		{"hash as text",
	         TOKEN("\x92\x01\x83" ID "\x02\xd9\x20"
	               "01234567890123456789012345678901" ROLE),
	         -ERR_CORRUPT},
		{"role 0", TOKEN("\x92\x01\x83" ID HASH "\x04\x00"), -ERR_CORRUPT},
		{"role 4", TOKEN("\x92\x01\x83" ID HASH "\x04\x04"), -ERR_CORRUPT},
		{"role negative", TOKEN("\x92\x01\x83" ID HASH "\x04\xff"), -ERR_CORRUPT},
		{"role true", TOKEN("\x92\x01\x83" ID HASH "\x04\xc3"), -ERR_CORRUPT},
		{"role as float", TOKEN("\x92\x01\x83" ID HASH "\x04\xca\x3f\x80\x00\x00"),
	         -ERR_CORRUPT},
		{"key as text", TOKEN("\x92\x01\x84" ID HASH ROLE "\xa1x\x01"), -ERR_CORRUPT},
		{"key negative", TOKEN("\x92\x01\x84" ID HASH ROLE "\xff\x01"), -ERR_CORRUPT},
		{"twice the same key", TOKEN("\x92\x01\x84" ID HASH ROLE ROLE), -ERR_CORRUPT},
		{"another record's key",
	         TOKEN("\x92\x01\x83\x01\xb0"
	               "0123456789abcdee" HASH ROLE),
	         -ERR_CORRUPT},
		{"id too long",
	         TOKEN("\x92\x01\x83\x01\xb1"
	               "0123456789abcdefg" HASH ROLE),
	         -ERR_CORRUPT},
		{"NUL in a text",
	         TOKEN("\x92\x01\x84" ID HASH ROLE "\x03\xa2"
	               "a\0"),
	         -ERR_CORRUPT},
		{"groups as map", TOKEN("\x92\x01\x84" ID HASH ROLE "\x05\x81\x01\x01"),
	         -ERR_CORRUPT},
		{"group as number", TOKEN("\x92\x01\x84" ID HASH ROLE "\x05\x91\x01"),
	         -ERR_CORRUPT},
		{"time as nil", TOKEN("\x92\x01\x84" ID HASH ROLE "\x06\xc0"), -ERR_CORRUPT},
		{"bytes behind", TOKEN("\x92\x01\x83" ID HASH ROLE "\x00"), -ERR_CORRUPT},
		{"cut off", TOKEN("\x92\x01\x84" ID HASH ROLE), -ERR_CORRUPT},
		{"32 bit array count", TOKEN("\xdd\x02\x00\x00\x00"), -ERR_CORRUPT},
		{"unused lead byte", TOKEN("\xc1"), -ERR_CORRUPT},
	};
	struct store_token t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (decode_token(cases[i].bytes, cases[i].len, &t) != cases[i].err)
			fail_msg("%s", cases[i].what);
}

static void test_unknown_keys_survive_a_rewrite(void **state)
{
	/* 100: {"a": [1, -2, nil]}, 200: 1.5, 4294967296: bin */
	static const char bytes[] = "\x92\x01\x86" ID "\x64\x81\xa1"
				    "a\x93\x01\xfe\xc0" HASH "\xcc\xc8\xcb\x3f\xf8\0\0\0\0\0\0" ROLE
				    "\xcf\0\0\0\1\0\0\0\0\xc4\x02hi";
	static const char kept[] =
		"\x64\x81\xa1"
		"a\x93\x01\xfe\xc0\xcc\xc8\xcb\x3f\xf8\0\0\0\0\0\0\xcf\0\0\0\1\0\0\0\0\xc4\x02hi";
	struct store_token t, again;
	struct buf out;

	(void)state;
	assert_int_equal(decode_token(bytes, sizeof(bytes) - 1, &t), 0);
	assert_int_equal(t.extra.count, 3);
	assert_int_equal(t.extra.len, sizeof(kept) - 1);
	assert_memory_equal(t.extra.bytes, kept, sizeof(kept) - 1);
	t.role = ROLE_ADMINISTRATOR;
	buf_init(&out, RECORD_SIZE_MAX);
	assert_int_equal(record_encode(family_of(STORE_TOKENS), &t, &ring, &out), 0);
	assert_int_equal(decode_token((const char *)out.data, out.len, &again), 0);
	assert_memory_equal(&again, &t, sizeof(t));
	assert_non_null(memmem(out.data, out.len, kept, sizeof(kept) - 1));
	buf_free(&out);
}

static void test_too_many_unknown_keys_are_not_lost_silently(void **state)
{
	struct store_token t;
	struct buf in, out;

	(void)state;
	buf_init(&in, 4000);
	buf_put(&in, "\x92\x01\x84" ID HASH ROLE "\x64\xc5\x04\x00",
	        sizeof("\x92\x01\x84" ID HASH ROLE "\x64\xc5\x04\x00") - 1);
	for (int i = 0; i < 1024; i++)
		buf_put_u8(&in, 7);
	assert_int_equal(decode_token((const char *)in.data, in.len, &t), 0);
	assert_true(t.extra.cut);
	buf_init(&out, RECORD_SIZE_MAX);
	assert_int_equal(record_encode(family_of(STORE_TOKENS), &t, &ring, &out), -ERR_TOO_BIG);
	buf_free(&in);
	buf_free(&out);
}

static void test_deep_and_wide_values_are_refused(void **state)
{
	uint8_t deep[SCAN_DEPTH_MAX + 2], wide[3 + SCAN_OBJECTS_MAX];

	(void)state;
	memset(deep, 0x91, sizeof(deep));
	deep[SCAN_DEPTH_MAX] = 0x01;
	assert_int_equal(scan_check(span_of(deep, SCAN_DEPTH_MAX + 1)), 0);
	deep[SCAN_DEPTH_MAX] = 0x91;
	deep[SCAN_DEPTH_MAX + 1] = 0x01;
	assert_int_equal(scan_check(span_of(deep, sizeof(deep))), -ERR_CORRUPT);
	memset(wide, 0x01, sizeof(wide));
	wide[0] = 0xdc;
	wide[1] = (SCAN_OBJECTS_MAX - 1) >> 8;
	wide[2] = (SCAN_OBJECTS_MAX - 1) & 0xff;
	assert_int_equal(scan_check(span_of(wide, sizeof(wide) - 1)), 0);
	wide[1] = SCAN_OBJECTS_MAX >> 8;
	wide[2] = SCAN_OBJECTS_MAX & 0xff;
	assert_int_equal(scan_check(span_of(wide, sizeof(wide))), -ERR_CORRUPT);
}

/* Every form of msgpack, with the number of octets that follow its lead (msgpack specification, "Formats"). */
static void test_the_scan_knows_every_form(void **state)
{
	static const struct {
		const char *head;
		size_t head_len, rest;
	} forms[] = {
		{"\x7f", 1, 0},
		{"\xe0", 1, 0},
		{"\x80", 1, 0},
		{"\x81", 1, 2},
		{"\x90", 1, 0},
		{"\x9f", 1, 15},
		{"\xa0", 1, 0},
		{"\xbf", 1, 31},
		{"\xc0", 1, 0},
		{"\xc2", 1, 0},
		{"\xc3", 1, 0},
		{"\xc4\x03", 2, 3},
		{"\xc5\x01\x00", 3, 256},
		{"\xc6\0\0\x01\x00", 5, 256},
		{"\xc7\x03", 2, 4},
		{"\xc8\x01\x00", 3, 257},
		{"\xc9\0\0\x01\x00", 5, 257},
		{"\xca", 1, 4},
		{"\xcb", 1, 8},
		{"\xcc", 1, 1},
		{"\xcd", 1, 2},
		{"\xce", 1, 4},
		{"\xcf", 1, 8},
		{"\xd0", 1, 1},
		{"\xd1", 1, 2},
		{"\xd2", 1, 4},
		{"\xd3", 1, 8},
		{"\xd4", 1, 2},
		{"\xd5", 1, 3},
		{"\xd6", 1, 5},
		{"\xd7", 1, 9},
		{"\xd8", 1, 17},
		{"\xd9\x03", 2, 3},
		{"\xda\x01\x00", 3, 256},
		{"\xdb\0\0\x01\x00", 5, 256},
		{"\xdc\0\x03", 3, 3},
		{"\xdd\0\0\0\x03", 5, 3},
		{"\xde\0\x03", 3, 6},
		{"\xdf\0\0\0\x03", 5, 6},
	};
	uint8_t bytes[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		size_t n = forms[i].head_len + forms[i].rest;

		memset(bytes, 1, sizeof(bytes));
		memcpy(bytes, forms[i].head, forms[i].head_len);
		if (scan_check(span_of(bytes, n)) != 0)
			fail_msg("form %02x is refused", bytes[0]);
		for (size_t cut = 0; cut < n; cut++)
			if (scan_check(span_of(bytes, cut)) == 0)
				fail_msg("form %02x cut to %zu is accepted", bytes[0], cut);
		if (scan_check(span_of(bytes, n + 1)) == 0)
			fail_msg("form %02x with a byte behind is accepted", bytes[0]);
	}
}

/* ---- sealed values ---- */

static void encode_group(struct store_group *g, struct buf *out)
{
	fill_group(g, 1, true);
	buf_init(out, RECORD_SIZE_MAX);
	assert_int_equal(record_encode(family_of(STORE_GROUPS), g, &ring, out), 0);
}

static void test_every_flipped_bit_of_a_secret_is_noticed(void **state)
{
	struct store_group g, got;
	struct buf value;
	size_t at;

	(void)state;
	encode_group(&g, &value);
	assert_int_equal(decode(STORE_GROUPS, span_str(g.name), buf_span(&value), &got), 0);
	assert_memory_equal(&g, &got, sizeof(g));
	/* field 5, a bin of 8-bit length: id, nonce, 160 octets, tag */
	at = (size_t)((uint8_t *)memmem(value.data, value.len, "\x05\xc4\xc0", 3) - value.data) + 3;
	for (size_t i = at; i < at + 192; i++) {
		value.data[i] ^= 0x10;
		assert_int_equal(decode(STORE_GROUPS, span_str(g.name), buf_span(&value), &got),
		                 -ERR_CORRUPT);
		assert_int_equal(got.cira.password[0], 0); /* nothing stays behind after an error */
		value.data[i] ^= 0x10;
	}
	buf_free(&value);
}

static void test_a_secret_cannot_be_moved(void **state)
{
	uint8_t plain[SECRET_MAX_LEN], sealed[SECRET_MAX_LEN + SEAL_EXTRA];
	struct seal_place at = {.table = 1, .field = 2, .key = span_str("key")};

	(void)state;
	memset(plain, 7, sizeof(plain));
	seal_value(&ring, &at, span_of(plain, sizeof(plain)), sealed);
	assert_int_equal(seal_open(&ring, &at, span_of(sealed, sizeof(sealed)), plain), 0);
	at.table = 2;
	assert_int_equal(seal_open(&ring, &at, span_of(sealed, sizeof(sealed)), plain),
	                 -ERR_CORRUPT);
	at.table = 1;
	at.field = 3;
	assert_int_equal(seal_open(&ring, &at, span_of(sealed, sizeof(sealed)), plain),
	                 -ERR_CORRUPT);
	at.field = 2;
	at.key = span_str("kez");
	assert_int_equal(seal_open(&ring, &at, span_of(sealed, sizeof(sealed)), plain),
	                 -ERR_CORRUPT);
	at.key = span_str("key");
	for (size_t n = 0; n < SEAL_EXTRA + 2; n++)
		assert_int_equal(seal_open(&ring, &at, span_of(sealed, n), plain), -ERR_CORRUPT);
}

static void test_the_length_of_a_password_is_not_told(void **state)
{
	struct store_group g;
	struct buf a, b;

	(void)state;
	fill_group(&g, 1, false);
	buf_init(&a, RECORD_SIZE_MAX);
	buf_init(&b, RECORD_SIZE_MAX);
	assert_true(str_copy(g.amt.password, sizeof(g.amt.password), "1"));
	assert_int_equal(record_encode(family_of(STORE_GROUPS), &g, &ring, &a), 0);
	assert_true(str_copy(g.amt.password, sizeof(g.amt.password),
	                     "1234567890123456789012345678901"));
	assert_int_equal(record_encode(family_of(STORE_GROUPS), &g, &ring, &b), 0);
	assert_int_equal(a.len, b.len);
	buf_free(&a);
	buf_free(&b);
}

/* Cuts and flips of real records: refused or decoded, never a crash; under the sanitizers this means more. */
static void test_mutants_do_no_harm(void **state)
{
	static struct store_device d, got;
	struct buf value;
	uint8_t key[RECORD_KEY_MAX];
	size_t n;

	(void)state;
	fill_device(&d, 3, true);
	d.labels_len = 2;
	n = record_key_device(&d.key, key);
	buf_init(&value, RECORD_SIZE_MAX);
	assert_int_equal(record_encode(family_of(STORE_DEVICES), &d, &ring, &value), 0);
	for (size_t cut = 0; cut < value.len; cut++)
		assert_int_equal(
			decode(STORE_DEVICES, span_of(key, n), span_of(value.data, cut), &got),
			-ERR_CORRUPT);
	for (size_t i = 0; i < value.len; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			value.data[i] ^= (uint8_t)(1u << bit);
			(void)!decode(STORE_DEVICES, span_of(key, n), buf_span(&value), &got);
			value.data[i] ^= (uint8_t)(1u << bit);
		}
	assert_int_equal(decode(STORE_DEVICES, span_of(key, n), buf_span(&value), &got), 0);
	buf_free(&value);
}

static void test_no_family_uses_a_number_twice(void **state)
{
	(void)state;
	for (unsigned t = 0; t < STORE_TABLE_COUNT; t++) {
		const struct family *f = family_of((enum store_table)t);
		uint64_t seen = 0;

		assert_int_equal(f->table, t);
		for (size_t i = 0; i < f->fields_len; i++) {
			assert_in_range(f->fields[i].key, 1, FIELD_KEY_MAX);
			assert_int_equal(seen & 1ull << f->fields[i].key, 0);
			seen |= 1ull << f->fields[i].key;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_minimal_record_and_its_defects),
		cmocka_unit_test(test_unknown_keys_survive_a_rewrite),
		cmocka_unit_test(test_too_many_unknown_keys_are_not_lost_silently),
		cmocka_unit_test(test_deep_and_wide_values_are_refused),
		cmocka_unit_test(test_the_scan_knows_every_form),
		cmocka_unit_test(test_every_flipped_bit_of_a_secret_is_noticed),
		cmocka_unit_test(test_a_secret_cannot_be_moved),
		cmocka_unit_test(test_the_length_of_a_password_is_not_told),
		cmocka_unit_test(test_mutants_do_no_harm),
		cmocka_unit_test(test_no_family_uses_a_number_twice),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
