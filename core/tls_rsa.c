/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls_rsa.c: between wolfSSL's crypto callback and an engine. There is one device for the whole process, registered before
 * threads start, since wolfSSL's table of devices has eight places and no lock; which key is meant says the thread that shakes
 * hands, and its modulus has to be that of the key wolfSSL holds.
 */
#include <wolfssl/options.h>

#include "core/base.h" /* before wolfSSL, which defines MIN and MAX only if nobody has */

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/cryptocb.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "core/buf.h"
#include "core/crypto.h"
#include "core/metric.h"
#include "core/tls_rsa.h"
#include "core/x509.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIZE_MIN 256  /* octets of a modulus: 2048 bits */
#define DER_MAX  8192 /* of a key */
#define TRIALS   5
/* Less than a fifth of the time is not worth a second library's part in it. */
#define FASTER_OF   5
#define FASTER_THAN 4

struct tls_rsa {
	const struct tls_rsa_engine *engine;
	void *key; /* the engine's */
	size_t size;
	uint8_t modulus[TLS_RSA_SIZE_MAX];
};

static const struct tls_rsa_engine *used_engine;
static enum tls_rsa_choice used_choice;
static atomic_uint keys; /* that an engine has */
static struct metric *keys_gauge, *done, *refused;
static _Thread_local struct tls_rsa *present;

/* ---- an operation ------------------------------------------------------------------------------------------------------ */

static bool modulus_of(RsaKey *key, uint8_t n[TLS_RSA_SIZE_MAX], size_t *size)
{
	uint8_t e[TLS_RSA_SIZE_MAX];
	word32 e_len = sizeof(e), n_len = TLS_RSA_SIZE_MAX;

	if (wc_RsaFlattenPublicKey(key, e, &e_len, n, &n_len) != 0)
		return false;
	*size = n_len;
	return true;
}

static bool is_present(RsaKey *key)
{
	uint8_t n[TLS_RSA_SIZE_MAX];
	size_t size;

	return present != NULL && modulus_of(key, n, &size) && size == present->size &&
	       memcmp(n, present->modulus, size) == 0;
}

/* wolfSSL refuses 0, 1, n - 1 and more. Whatever is near to one of them is left to it: what the peer sent is no secret. */
static bool is_ordinary(const struct tls_rsa *k, const uint8_t *in)
{
	static const uint8_t zeros[TLS_RSA_SIZE_MAX];

	return memcmp(in, zeros, k->size - 1) != 0 && memcmp(in, k->modulus, k->size - 1) < 0;
}

static bool compute(const struct tls_rsa *k, const uint8_t *in, uint8_t *out)
{
	uint8_t result
		[TLS_RSA_SIZE_MAX]; /* wolfSSL's in and out are the same, and it needs in if this fails */
	bool good = is_ordinary(k, in) && k->engine->compute(k->key, in, result);

	if (good)
		memcpy(out, result, k->size);
	explicit_bzero(result, k->size);
	return good;
}

static int on_rsa(wc_CryptoInfo *info)
{
	word32 *out_len = info->pk.rsa.outLen;

	if (info->pk.rsa.type != RSA_PRIVATE_ENCRYPT && info->pk.rsa.type != RSA_PRIVATE_DECRYPT)
		return CRYPTOCB_UNAVAILABLE;
	if (!is_present(info->pk.rsa.key) || info->pk.rsa.inLen != present->size ||
	    *out_len < present->size || !compute(present, info->pk.rsa.in, info->pk.rsa.out)) {
		metric_inc(refused);
		return CRYPTOCB_UNAVAILABLE;
	}
	*out_len = (word32)present->size;
	metric_inc(done);
	return 0;
}

/* wolfSSL gives the device to everything that a handshake makes. A key for records asks once, and then never again. */
static void dismiss_aes(wc_CryptoInfo *info)
{
	Aes *aes = info->cipher.enc ? info->cipher.aesgcm_enc.aes : info->cipher.aesgcm_dec.aes;

	aes->devId = INVALID_DEVID;
	explicit_bzero(aes->devKey, sizeof(aes->devKey)); /* a copy of the key for the device */
}

static int on_crypto(int device, wc_CryptoInfo *info, void *arg)
{
	(void)device;
	(void)arg;
	if (info->algo_type == WC_ALGO_TYPE_PK && info->pk.type == WC_PK_TYPE_RSA)
		return on_rsa(info);
	if (info->algo_type == WC_ALGO_TYPE_CIPHER && info->cipher.type == WC_CIPHER_AES_GCM)
		dismiss_aes(info);
	return CRYPTOCB_UNAVAILABLE;
}

void tls_rsa_enter(struct tls_rsa *k)
{
	present = k;
}

/* ---- a key ------------------------------------------------------------------------------------------------------------- */

struct trial {
	const struct tls_rsa *k;
	RsaKey *key;
	WC_RNG *rng;
	uint8_t in[TLS_RSA_SIZE_MAX];
};

typedef bool trial_fn(struct trial *t, uint8_t *out);

static bool by_wolfssl(struct trial *t, uint8_t *out)
{
	word32 n = (word32)t->k->size;

	return wc_RsaFunction(t->in, n, out, &n, RSA_PRIVATE_ENCRYPT, t->key, t->rng) == 0 &&
	       n == t->k->size;
}

static bool by_engine(struct trial *t, uint8_t *out)
{
	return compute(t->k, t->in, out);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* The fastest of some runs, since whatever disturbs one makes it slower. UINT64_MAX: it failed. */
static uint64_t fastest(trial_fn *fn, struct trial *t, uint8_t *out)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < TRIALS; i++) {
		uint64_t began = cpu_ns(), took;

		if (!fn(t, out))
			return UINT64_MAX;
		took = cpu_ns() - began;
		best = MIN(best, took);
	}
	return best;
}

/* Whether the engine gets what wolfSSL gets, and soon enough. */
static bool is_worth_it(struct trial *t)
{
	uint8_t ours[TLS_RSA_SIZE_MAX] = {0}, theirs[TLS_RSA_SIZE_MAX] = {0};
	uint64_t wolfssl_ns, engine_ns;

	random_bytes(t->in, t->k->size);
	t->in[0] = 0; /* less than the modulus */
	wolfssl_ns = fastest(by_wolfssl, t, ours);
	engine_ns = fastest(by_engine, t, theirs);
	if (wolfssl_ns == UINT64_MAX || engine_ns == UINT64_MAX ||
	    memcmp(ours, theirs, t->k->size) != 0)
		return false;
	return used_choice == TLS_RSA_ALWAYS || engine_ns < wolfssl_ns / FASTER_OF * FASTER_THAN;
}

static bool try_key(struct tls_rsa *k, struct span der, RsaKey *key, WC_RNG *rng)
{
	struct trial t = {.k = k, .key = key, .rng = rng};
	word32 at = 0;

	if (wc_RsaPrivateKeyDecode(der.ptr, &at, key, (word32)der.len) != 0 ||
	    wc_RsaSetRNG(key, rng) != 0 || !modulus_of(key, k->modulus, &k->size) ||
	    k->size < SIZE_MIN)
		return false;
	k->key = k->engine->import(der);
	return k->key != NULL && is_worth_it(&t);
}

static bool import(struct tls_rsa *k, struct span der)
{
	bool good = false;
	WC_RNG rng;
	RsaKey key;

	if (wc_InitRng(&rng) != 0)
		return false;
	if (wc_InitRsaKey_ex(&key, NULL, INVALID_DEVID) == 0) {
		good = try_key(k, der, &key, &rng);
		(void)wc_FreeRsaKey(&key);
	}
	(void)wc_FreeRng(&rng);
	return good;
}

static void drop(struct tls_rsa *k)
{
	if (k->key != NULL)
		k->engine->drop(k->key);
	free(k);
}

struct tls_rsa *tls_rsa_new(struct span key_pem)
{
	struct tls_rsa *k;
	struct buf der;
	bool good;

	if (used_engine == NULL)
		return NULL;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return NULL;
	k->engine = used_engine;
	buf_init(&der, DER_MAX);
	good = pem_decode(key_pem, NULL, 0, &der) == 0 && import(k, buf_span(&der));
	buf_free_secret(&der);
	if (!good) {
		drop(k);
		return NULL;
	}
	metric_set(keys_gauge, atomic_fetch_add(&keys, 1) + 1);
	return k;
}

void tls_rsa_free(struct tls_rsa *k)
{
	if (k == NULL)
		return;
	metric_set(keys_gauge, atomic_fetch_sub(&keys, 1) - 1);
	drop(k);
}

void tls_rsa_use(const struct tls_rsa_engine *engine, enum tls_rsa_choice choice)
{
	static const char name[] = "causeway_rsa_operations_total";
	static const char help[] =
		"RSA private operations offered to libcrypto; wolfSSL did those that it refused.";

	used_engine = engine;
	used_choice = choice;
	done = metric_counter(name, help, "result=done");
	refused = metric_counter(name, help, "result=refused");
	keys_gauge = metric_gauge(
		"causeway_rsa_keys",
		"Private keys, one a TLS context, that libcrypto computes with; 0: wolfSSL does.",
		NULL);
	ASSERT(wc_CryptoCb_RegisterDevice(TLS_RSA_DEVICE, on_crypto, NULL) == 0);
}

const char *tls_rsa_by(void)
{
	return used_engine != NULL && atomic_load(&keys) > 0 ? used_engine->name : "wolfssl";
}
