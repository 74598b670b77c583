/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * crypto.c: hashes, HMAC, HKDF, randomness and AES-256-GCM sealing over wolfCrypt. Owns nothing but the per-thread pool of
 * random octets. Any thread. A wolfCrypt call that fails here can only be a programmer's error (sizes and keys are ours), so
 * it asserts; what a peer sends is only ever data.
 */
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include "core/crypto.h"
#include "core/err.h"
#include "core/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#define NONCE_SIZE       12
#define TAG_SIZE         16
#define RANDOM_POOL_SIZE 1024 /* a getrandom of this size costs about as much as one of 32 octets */
#define UPDATE_MAX       (1u << 30) /* wolfCrypt's lengths are 32 bits wide */

static const struct {
	enum wc_HashType type;
	size_t size;
} hashes[] = {
	[HASH_MD5] = {WC_HASH_TYPE_MD5, 16},
	[HASH_SHA1] = {WC_HASH_TYPE_SHA, 20},
	[HASH_SHA256] = {WC_HASH_TYPE_SHA256, 32},
	[HASH_SHA384] = {WC_HASH_TYPE_SHA384, 48},
};

static pthread_once_t warm_once = PTHREAD_ONCE_INIT;

/*
 * wolfCrypt looks at the processor's features when an algorithm is first used and keeps the result in plain statics; doing
 * it here once keeps threads from racing for them.
 */
static void warm_up(void)
{
	static const uint8_t key[SEAL_KEY_SIZE];
	wc_HashAlg h;
	Aes aes;

	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		ASSERT(wc_HashInit(&h, hashes[i].type) == 0);
		(void)wc_HashFree(&h, hashes[i].type);
	}
	ASSERT(wc_AesInit(&aes, NULL, INVALID_DEVID) == 0);
	ASSERT(wc_AesGcmSetKey(&aes, key, sizeof(key)) == 0);
	wc_AesFree(&aes);
}

void crypto_init(void)
{
	ASSERT(pthread_once(&warm_once, warm_up) == 0);
}

size_t hash_size(enum hash_kind kind)
{
	return hashes[kind].size;
}

static void update_all(wc_HashAlg *h, enum wc_HashType type, struct span s)
{
	while (s.len > 0) {
		size_t n = MIN(s.len, UPDATE_MAX);

		ASSERT(wc_HashUpdate(h, type, s.ptr, (word32)n) == 0);
		s = span_of(s.ptr + n, s.len - n);
	}
}

void hash_once(enum hash_kind kind, const struct span *parts, size_t parts_len, uint8_t *out)
{
	enum wc_HashType type = hashes[kind].type;
	wc_HashAlg h;

	crypto_init();
	ASSERT(wc_HashInit(&h, type) == 0);
	for (size_t i = 0; i < parts_len; i++)
		update_all(&h, type, parts[i]);
	ASSERT(wc_HashFinal(&h, type, out) == 0);
	(void)wc_HashFree(&h, type);
	secret_zero(&h, sizeof(h));
}

void hmac_sha256(struct span key, struct span data, uint8_t out[32])
{
	static const uint8_t none[1];
	Hmac h;

	crypto_init();
	ASSERT(key.len <= UPDATE_MAX && data.len <= UPDATE_MAX);
	ASSERT(wc_HmacInit(&h, NULL, INVALID_DEVID) == 0);
	ASSERT(wc_HmacSetKey(&h, WC_SHA256, key.len > 0 ? key.ptr : none, (word32)key.len) == 0);
	if (data.len > 0)
		ASSERT(wc_HmacUpdate(&h, data.ptr, (word32)data.len) == 0);
	ASSERT(wc_HmacFinal(&h, out) == 0);
	wc_HmacFree(&h);
	secret_zero(&h, sizeof(h));
}

void hkdf_sha256(struct span key, struct span salt, const char *info, uint8_t *out, size_t n)
{
	static const uint8_t none[1];

	crypto_init();
	ASSERT(n > 0 && n <= 255u * WC_SHA256_DIGEST_SIZE && key.len <= UPDATE_MAX &&
	       salt.len <= UPDATE_MAX);
	ASSERT(wc_HKDF(WC_SHA256, key.len > 0 ? key.ptr : none, (word32)key.len,
	               salt.len > 0 ? salt.ptr : NULL, (word32)salt.len, (const byte *)info,
	               (word32)strlen(info), out, (word32)n) == 0);
}

/*
 * Randomness. The pool is per thread; consumed octets are overwritten so that a later reader of the memory cannot learn what
 * was handed out. A forked child must not repeat its parent's octets: the generation tells.
 */
struct random_pool {
	uint8_t bytes[RANDOM_POOL_SIZE];
	size_t left; /* the last `left` octets are unused */
	unsigned generation;
};

static _Thread_local struct random_pool pool;
static atomic_uint fork_generation;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void after_fork(void)
{
	atomic_fetch_add_explicit(&fork_generation, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
	ASSERT(pthread_atfork(NULL, NULL, after_fork) == 0);
}

static void from_kernel(uint8_t *out, size_t n)
{
	while (n > 0) {
		ssize_t got = getrandom(out, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		ASSERT(got >
		       0); /* cannot fail once the kernel has been seeded; without randomness nothing may go on */
		out += got;
		n -= (size_t)got;
	}
}

void random_bytes(void *out, size_t n)
{
	unsigned generation;
	uint8_t *from;

	if (n > RANDOM_POOL_SIZE / 4) {
		from_kernel(out, n);
		return;
	}
	ASSERT(pthread_once(&fork_once, watch_forks) == 0);
	generation = atomic_load_explicit(&fork_generation, memory_order_relaxed);
	if (pool.left < n || pool.generation != generation) {
		from_kernel(pool.bytes, sizeof(pool.bytes));
		pool.left = sizeof(pool.bytes);
		pool.generation = generation;
	}
	if (n == 0)
		return;
	from = pool.bytes + sizeof(pool.bytes) - pool.left;
	memcpy(out, from, n);
	secret_zero(from, n);
	pool.left -= n;
}

uint64_t random_u64(void)
{
	uint64_t v;

	random_bytes(&v, sizeof(v));
	return v;
}

static void gcm_begin(Aes *aes, const uint8_t key[SEAL_KEY_SIZE], size_t aad_len, size_t text_len)
{
	crypto_init();
	ASSERT(aad_len <= UPDATE_MAX && text_len <= UPDATE_MAX);
	ASSERT(wc_AesInit(aes, NULL, INVALID_DEVID) == 0);
	ASSERT(wc_AesGcmSetKey(aes, key, SEAL_KEY_SIZE) == 0);
}

static void gcm_end(Aes *aes)
{
	wc_AesFree(aes);
	secret_zero(aes, sizeof(*aes));
}

void aead_seal(const uint8_t key[SEAL_KEY_SIZE], struct span aad, struct span plain, uint8_t *out)
{
	uint8_t *nonce = out, *text = out + NONCE_SIZE, *tag = text + plain.len;
	Aes aes;

	gcm_begin(&aes, key, aad.len, plain.len);
	random_bytes(nonce, NONCE_SIZE);
	ASSERT(wc_AesGcmEncrypt(&aes, text, plain.ptr, (word32)plain.len, nonce, NONCE_SIZE, tag,
	                        TAG_SIZE, aad.ptr, (word32)aad.len) == 0);
	gcm_end(&aes);
}

int aead_open(const uint8_t key[SEAL_KEY_SIZE], struct span aad, struct span sealed, uint8_t *out)
{
	size_t n;
	Aes aes;
	int r;

	if (sealed.len < SEAL_OVERHEAD || sealed.len > UPDATE_MAX)
		return -ERR_CORRUPT;
	n = sealed.len - SEAL_OVERHEAD;
	gcm_begin(&aes, key, aad.len, n);
	r = wc_AesGcmDecrypt(&aes, out, sealed.ptr + NONCE_SIZE, (word32)n, sealed.ptr, NONCE_SIZE,
	                     sealed.ptr + NONCE_SIZE + n, TAG_SIZE, aad.ptr, (word32)aad.len);
	gcm_end(&aes);
	if (r == 0)
		return 0;
	if (n > 0)
		secret_zero(out, n); /* wolfCrypt may have decrypted before it compared the tag */
	return -ERR_CORRUPT;
}

/* Called by wolfSSL for every random octet that it needs (tools/wolfssl.sh names it); declared here as its caller declares it. */
int crypto_wolfssl_random(unsigned char *out, unsigned int n);

int crypto_wolfssl_random(unsigned char *out, unsigned int n)
{
	random_bytes(out, n);
	return 0;
}
