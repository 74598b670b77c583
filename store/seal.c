/* SPDX-License-Identifier: GPL-3.0-or-later */
/* seal.c: the key file and sealed values. */
#include "store/seal.h"
#include "core/err.h"
#include "core/file.h"
#include "core/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_LINE_HEAD "key "
#define ID_DIGITS_MAX 9

int seal_ring_init(struct seal_ring *r, const char *opt, const char *dir)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");

	*r = (struct seal_ring){.len = 0};
	pthread_rwlock_init(&r->lock, NULL);
	if (opt != NULL)
		return str_copy(r->path, sizeof(r->path), opt) ? 0 : -ERR_TOO_BIG;
	if (credentials != NULL &&
	    file_path(r->path, sizeof(r->path), credentials, SEAL_CREDENTIAL) == 0 &&
	    access(r->path, F_OK) == 0) {
		r->external = true;
		return 0;
	}
	return file_path(r->path, sizeof(r->path), dir, SEAL_DEFAULT_NAME);
}

void seal_ring_free(struct seal_ring *r)
{
	secret_zero(r->keys, sizeof(r->keys));
	r->len = 0;
	pthread_rwlock_destroy(&r->lock);
}

/* "ID HEX" -> a key. Ids are 1..999999999. */
static int parse_key(struct span line, struct seal_key *out)
{
	const uint8_t *space = memchr(line.ptr, ' ', line.len);
	size_t digits = space != NULL ? (size_t)(space - line.ptr) : 0;
	struct span hex;

	out->id = 0;
	if (digits == 0 || digits > ID_DIGITS_MAX)
		return -ERR_INVALID;
	for (size_t i = 0; i < digits; i++) {
		if (line.ptr[i] < '0' || line.ptr[i] > '9')
			return -ERR_INVALID;
		out->id = out->id * 10 + (uint32_t)(line.ptr[i] - '0');
	}
	hex = span_of(space + 1, line.len - digits - 1);
	if (out->id == 0 || hex_decode(out->key, sizeof(out->key), hex) != SEAL_KEY_SIZE)
		return -ERR_INVALID;
	return 0;
}

/* Keeps the keys in the order of their ids; a second key with the same id is an error. */
static int insert_key(struct seal_ring *r, const struct seal_key *k)
{
	size_t at = 0;

	if (r->len == SEAL_KEYS_MAX)
		return -ERR_FULL;
	while (at < r->len && r->keys[at].id < k->id)
		at++;
	if (at < r->len && r->keys[at].id == k->id)
		return -ERR_EXISTS;
	memmove(&r->keys[at + 1], &r->keys[at], (r->len - at) * sizeof(*k));
	r->keys[at] = *k;
	r->len++;
	return 0;
}

static int parse_line(struct seal_ring *r, struct span line)
{
	const size_t head = sizeof(KEY_LINE_HEAD) - 1;
	struct seal_key k;
	int err;

	while (line.len > 0 && (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == ' '))
		line.len--;
	if (line.len == 0 || line.ptr[0] == '#')
		return 0;
	if (line.len < head || memcmp(line.ptr, KEY_LINE_HEAD, head) != 0)
		return -ERR_INVALID;
	err = parse_key(span_of(line.ptr + head, line.len - head), &k);
	if (err == 0)
		err = insert_key(r, &k);
	secret_zero(&k, sizeof(k));
	return err;
}

static int parse_file(struct seal_ring *r, struct span text, struct buf *why)
{
	for (int number = 1; text.len > 0; number++) {
		const uint8_t *end = memchr(text.ptr, '\n', text.len);
		size_t n = end != NULL ? (size_t)(end - text.ptr) : text.len;

		if (parse_line(r, span_of(text.ptr, n)) != 0) {
			buf_printf(why,
			           "line %d of the sealing key file %s is not \"key ID "
			           "64-hex-digits\" "
			           "with an id of its own",
			           number, r->path);
			return -ERR_INVALID;
		}
		n += end != NULL ? 1 : 0;
		text = span_of(text.ptr + n, text.len - n);
	}
	if (r->len > 0)
		return 0;
	buf_printf(why, "the sealing key file %s has no key in it", r->path);
	return -ERR_INVALID;
}

/* Keys that others may read are no secret. Credentials are guarded by their folder. */
static int check_mode(const struct seal_ring *r, struct buf *why)
{
	struct stat st;

	if (r->external || stat(r->path, &st) != 0 || (st.st_mode & 0077) == 0)
		return 0;
	buf_printf(why, "others may read the sealing key file %s: run chmod 600 on it", r->path);
	return -ERR_DENIED;
}

int seal_ring_load(struct seal_ring *r, struct buf *why)
{
	struct buf text;
	int err;

	buf_init(&text, SEAL_FILE_MAX);
	err = file_read(r->path, &text);
	if (err == -ERR_NOT_FOUND) {
		buf_free_secret(&text);
		return err;
	}
	pthread_rwlock_wrlock(&r->lock);
	if (err != 0)
		buf_printf(why, "cannot read the sealing key file %s: %s", r->path, err_text(err));
	else
		err = check_mode(r, why);
	if (err == 0)
		err = parse_file(r, buf_span(&text), why);
	pthread_rwlock_unlock(&r->lock);
	buf_free_secret(&text);
	return err;
}

static int write_file(const char *path, const struct seal_key *keys, size_t len, struct buf *why)
{
	char hex[2 * SEAL_KEY_SIZE + 1];
	struct buf text;
	int err;

	buf_init(&text, SEAL_FILE_MAX);
	(void)buf_reserve(&text, SEAL_FILE_MAX / 2); /* growing would leave copies behind */
	buf_put_str(&text,
	            "# Seals the secrets in the store. Keep a copy apart from the backups.\n");
	for (size_t i = 0; i < len; i++) {
		hex_encode(hex, span_of(keys[i].key, SEAL_KEY_SIZE));
		buf_printf(&text, KEY_LINE_HEAD "%" PRIu32 " %s\n", keys[i].id, hex);
	}
	secret_zero(hex, sizeof(hex));
	err = text.err != 0 ? text.err : file_write(path, buf_span(&text), 0600);
	buf_free_secret(&text);
	if (err != 0)
		buf_printf(why, "cannot write the sealing key file %s: %s", path, err_text(err));
	return err;
}

int seal_ring_add(struct seal_ring *r, struct buf *why)
{
	int err = -ERR_FULL;
	struct seal_key *k;

	pthread_rwlock_wrlock(&r->lock);
	if (r->len < SEAL_KEYS_MAX) {
		k = &r->keys[r->len];
		k->id = r->len > 0 ? k[-1].id + 1 : 1;
		random_bytes(k->key, sizeof(k->key));
		err = write_file(r->path, r->keys + r->retired, r->len + 1 - r->retired, why);
		if (err == 0)
			r->len++;
		else
			secret_zero(k, sizeof(*k));
	} else
		buf_printf(why, "the sealing key file %s has too many keys", r->path);
	pthread_rwlock_unlock(&r->lock);
	return err;
}

int seal_ring_retire(struct seal_ring *r, struct buf *why)
{
	int err = 0;

	pthread_rwlock_wrlock(&r->lock);
	if (r->len > r->retired + 1) {
		err = write_file(r->path, r->keys + r->len - 1, 1, why);
		if (err == 0)
			r->retired = r->len - 1;
	}
	pthread_rwlock_unlock(&r->lock);
	return err;
}

void seal_ring_forget(struct seal_ring *r)
{
	pthread_rwlock_wrlock(&r->lock);
	memmove(r->keys, r->keys + r->retired, (r->len - r->retired) * sizeof(r->keys[0]));
	secret_zero(r->keys + r->len - r->retired, r->retired * sizeof(r->keys[0]));
	r->len -= r->retired;
	r->retired = 0;
	pthread_rwlock_unlock(&r->lock);
}

size_t seal_ring_len(struct seal_ring *r)
{
	size_t n;

	pthread_rwlock_rdlock(&r->lock);
	n = r->len - r->retired;
	pthread_rwlock_unlock(&r->lock);
	return n;
}

static bool find_key(struct seal_ring *r, uint32_t id, struct seal_key *out)
{
	bool found = false;

	pthread_rwlock_rdlock(&r->lock);
	for (size_t i = 0; i < r->len && !found; i++)
		if (r->keys[i].id == id) {
			*out = r->keys[i];
			found = true;
		}
	pthread_rwlock_unlock(&r->lock);
	return found;
}

uint32_t seal_ring_newest(struct seal_ring *r)
{
	uint32_t id;

	pthread_rwlock_rdlock(&r->lock);
	id = r->len > 0 ? r->keys[r->len - 1].id : 0;
	pthread_rwlock_unlock(&r->lock);
	return id;
}

bool seal_ring_has(struct seal_ring *r, uint32_t id)
{
	struct seal_key k;
	bool found = find_key(r, id, &k);

	secret_zero(&k, sizeof(k));
	return found;
}

static struct span place_bytes(const struct seal_place *at, uint8_t out[2 + SEAL_PLACE_KEY_MAX])
{
	ASSERT(at->key.len <= SEAL_PLACE_KEY_MAX);
	out[0] = at->table;
	out[1] = at->field;
	if (at->key.len > 0)
		memcpy(out + 2, at->key.ptr, at->key.len);
	return span_of(out, 2 + at->key.len);
}

void seal_value(struct seal_ring *r, const struct seal_place *at, struct span plain, uint8_t *out)
{
	uint8_t aad[2 + SEAL_PLACE_KEY_MAX];
	struct seal_key k;

	ASSERT(find_key(r, seal_ring_newest(r), &k));
	out[0] = (uint8_t)(k.id >> 24);
	out[1] = (uint8_t)(k.id >> 16);
	out[2] = (uint8_t)(k.id >> 8);
	out[3] = (uint8_t)k.id;
	aead_seal(k.key, place_bytes(at, aad), plain, out + SEAL_ID_SIZE);
	secret_zero(&k, sizeof(k));
}

uint32_t seal_id(struct span sealed)
{
	struct cur c = cur_of(sealed);

	return cur_u32(&c);
}

int seal_open(struct seal_ring *r, const struct seal_place *at, struct span sealed, uint8_t *out)
{
	uint8_t aad[2 + SEAL_PLACE_KEY_MAX];
	struct seal_key k;
	int err;

	if (sealed.len < SEAL_EXTRA || !find_key(r, seal_id(sealed), &k))
		return -ERR_CORRUPT;
	sealed = span_of(sealed.ptr + SEAL_ID_SIZE, sealed.len - SEAL_ID_SIZE);
	err = aead_open(k.key, place_bytes(at, aad), sealed, out);
	secret_zero(&k, sizeof(k));
	return err;
}
