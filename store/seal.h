/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * seal.h: the sealing keys and what is sealed with them. A sealed value is: key id (u32 big-endian), then aead_seal's output
 * with the place (table, field number, record key) as associated data, so that a value cannot be moved.
 *
 * Key file: text, one "key ID HEX" line a key, '#' lines are comments. The highest id seals, the others only open.
 */
#pragma once

#include "core/buf.h"
#include "core/crypto.h"

#include <limits.h>
#include <pthread.h>

#define SEAL_KEYS_MAX      8
#define SEAL_FILE_MAX      4096
#define SEAL_ID_SIZE       4
#define SEAL_EXTRA         (SEAL_ID_SIZE + SEAL_OVERHEAD)
#define SEAL_CREDENTIAL    "causeway-seal-key" /* in $CREDENTIALS_DIRECTORY */
#define SEAL_DEFAULT_NAME  "seal.key"
#define SEAL_PLACE_KEY_MAX 128

struct seal_key {
	uint32_t id;
	uint8_t key[SEAL_KEY_SIZE];
};

/* Any thread; the lock guards keys and len. keys are in the order of their ids. */
struct seal_ring {
	pthread_rwlock_t lock;
	struct seal_key keys[SEAL_KEYS_MAX];
	size_t len;
	size_t retired; /* the first ones: no longer in the file, kept for read transactions that began before the rotation ended */
	char path[PATH_MAX];
	bool external; /* from a credential: we never write it */
};

/* Where a value lies. */
struct seal_place {
	uint8_t table, field;
	struct span key;
};

/* seal_ring_init: decides where the key file is (opt may be NULL). 0, -ERR_TOO_BIG. */
int seal_ring_init(struct seal_ring *r, const char *opt, const char *dir) MUST_CHECK;
/* seal_ring_free: overwrites the keys. */
void seal_ring_free(struct seal_ring *r);

/* seal_ring_load: reads the file. 0, -ERR_NOT_FOUND (no such file; why untouched), or negative with a sentence in why. */
int seal_ring_load(struct seal_ring *r, struct buf *why) MUST_CHECK;
/*
 * seal_ring_add: a new random key with the next id. It is in the file, on disk, before anything can be sealed with it.
 * seal_ring_retire: takes all but the newest out of the file; they still open values. seal_ring_forget: drops retired ones.
 */
int seal_ring_add(struct seal_ring *r, struct buf *why) MUST_CHECK;
int seal_ring_retire(struct seal_ring *r, struct buf *why) MUST_CHECK;
void seal_ring_forget(struct seal_ring *r);
/* seal_ring_len: keys that are in the file. */
size_t seal_ring_len(struct seal_ring *r);
/* seal_ring_newest: its id, 0: no key is loaded. */
uint32_t seal_ring_newest(struct seal_ring *r);
bool seal_ring_has(struct seal_ring *r, uint32_t id);

/* seal_value: writes plain.len + SEAL_EXTRA octets. */
void seal_value(struct seal_ring *r, const struct seal_place *at, struct span plain, uint8_t *out);
/* seal_open: writes sealed.len - SEAL_EXTRA octets. -ERR_CORRUPT: damaged, moved, or no such key. */
int seal_open(struct seal_ring *r, const struct seal_place *at, struct span sealed,
              uint8_t *out) MUST_CHECK;
/* seal_id: the id of the key of a sealed value, 0 if it is too short. */
uint32_t seal_id(struct span sealed);
