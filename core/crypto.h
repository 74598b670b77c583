/* SPDX-License-Identifier: GPL-3.0-or-later */
/* crypto.h: hashes, randomness and sealing, over wolfCrypt. Any thread; no state of the caller's is kept. */
#pragma once

#include "core/base.h"

enum hash_kind { HASH_MD5, HASH_SHA1, HASH_SHA256, HASH_SHA384 };
#define HASH_SIZE_MAX 48

/*
 * crypto_init: finds out once what the processor can do; every function here calls it, so that nobody has to. Any thread.
 * Call it before the process drops to a system call filter, and before wolfSSL is used directly.
 */
void crypto_init(void);

/* hash_size(kind): octets of a digest. */
size_t hash_size(enum hash_kind kind);

/* hash_once: digest of the parts one after another, into out[hash_size(kind)]. Cannot fail. */
void hash_once(enum hash_kind kind, const struct span *parts, size_t parts_len, uint8_t *out);

/* hmac_sha256(key, data, out[32]). */
void hmac_sha256(struct span key, struct span data, uint8_t out[32]);

/* hkdf_sha256(key, salt, info, out, n): RFC 5869; 1 <= n <= 255 * 32. No salt: an empty span. */
void hkdf_sha256(struct span key, struct span salt, const char *info, uint8_t *out, size_t n);

/* random_bytes: from the kernel (getrandom), buffered per thread so that small requests cost no system call. Fork-safe. */
void random_bytes(void *out, size_t n);
uint64_t random_u64(void);

#define SEAL_KEY_SIZE 32
#define SEAL_OVERHEAD 28 /* 12 nonce + 16 tag */

/*
 * aead_seal / aead_open: AES-256-GCM with a random nonce in front. aad binds the ciphertext to its place (for example
 * the record's key). seal writes plain.len + SEAL_OVERHEAD octets to out; open writes sealed.len - SEAL_OVERHEAD and
 * returns 0 or -ERR_CORRUPT (wrong key, wrong place or damaged; out is then zero). in and out must not overlap. At most 2^32
 * messages a key (random nonces). Lengths up to 1 GiB.
 */
void aead_seal(const uint8_t key[SEAL_KEY_SIZE], struct span aad, struct span plain, uint8_t *out);
int aead_open(const uint8_t key[SEAL_KEY_SIZE], struct span aad, struct span sealed,
              uint8_t *out) MUST_CHECK;
