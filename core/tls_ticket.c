/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls_ticket.c: wolfSSL's ticket callback. A ticket is sealed with AES-256-GCM; its time of issue (in the iv, in clear) and the
 * kind of context are authenticated with it, so that a ticket of one port's rules is nothing to another.
 */
#include "core/tls_internal.h"

#include "core/crypto.h"
#include "core/text.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NONCE_SIZE  12
#define TAG_SIZE    16
#define TICKET_MAX  1024
#define CLOCK_SLACK 60 /* seconds that the clock may have been set back */

_Static_assert(NONCE_SIZE + TAG_SIZE == SEAL_OVERHEAD, "as aead_seal lays them out");
_Static_assert(NONCE_SIZE + 4 == WOLFSSL_TICKET_IV_SZ, "the time of issue follows the nonce");
_Static_assert(TAG_SIZE <= WOLFSSL_TICKET_MAC_SZ, "the tag stands where wolfSSL wants a MAC");
_Static_assert(TLS_TICKET_NAME_SIZE == WOLFSSL_TICKET_NAME_SZ, "wolfSSL's");

struct tls_tickets {
	atomic_uint refs;
	int64_t (*wall_ms)(void);
	pthread_rwlock_t lock;
	struct tls_ticket_key keys[TLS_TICKET_KEYS];
	size_t len;
};

struct place {
	uint8_t profile;
	uint8_t name[TLS_TICKET_NAME_SIZE];
	uint8_t issued[4];
};

struct tls_tickets *tls_tickets_new(int64_t (*wall_ms)(void))
{
	struct tls_tickets *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	atomic_init(&t->refs, 1);
	t->wall_ms = wall_ms;
	pthread_rwlock_init(&t->lock, NULL);
	random_bytes(&t->keys[0], sizeof(t->keys[0]));
	t->len = 1;
	return t;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *t)
{
	(void)atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void tls_tickets_unref(struct tls_tickets *t)
{
	if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_rwlock_destroy(&t->lock);
	secret_zero(t, sizeof(*t));
	free(t);
}

void tls_tickets_set(struct tls_tickets *t, const struct tls_ticket_key *keys, size_t n)
{
	ASSERT(n > 0 && n <= TLS_TICKET_KEYS);
	pthread_rwlock_wrlock(&t->lock);
	secret_zero(t->keys, sizeof(t->keys));
	memcpy(t->keys, keys, n * sizeof(*keys));
	t->len = n;
	pthread_rwlock_unlock(&t->lock);
}

/* find_key: the newest (name NULL) or the one with that name. False: there is none. */
static bool find_key(struct tls_tickets *t, const uint8_t *name, struct tls_ticket_key *out,
                     bool *newest)
{
	bool found = false;

	pthread_rwlock_rdlock(&t->lock);
	for (size_t i = 0; i < t->len && !found; i++) {
		found = name == NULL || memcmp(t->keys[i].name, name, TLS_TICKET_NAME_SIZE) == 0;
		if (found)
			*out = t->keys[i];
		*newest = i == 0;
	}
	pthread_rwlock_unlock(&t->lock);
	return found;
}

static struct place place_of(const struct tls_ctx *ctx, const uint8_t *name, const uint8_t *iv)
{
	struct place p = {.profile = ctx->profile};

	memcpy(p.name, name, sizeof(p.name));
	memcpy(p.issued, iv + NONCE_SIZE, sizeof(p.issued));
	return p;
}

static uint32_t now_s(const struct tls_tickets *t)
{
	return (uint32_t)(t->wall_ms() / 1000);
}

/* The parts of a ticket, where wolfSSL has them. */
struct ticket {
	uint8_t *name, *iv, *mac, *text;
	size_t len;
};

static int seal(const struct tls_ctx *ctx, const struct ticket *k)
{
	uint8_t sealed[TICKET_MAX + SEAL_OVERHEAD];
	struct tls_ticket_key key;
	uint32_t now = now_s(ctx->tickets);
	struct place p;
	bool newest;

	if (!find_key(ctx->tickets, NULL, &key, &newest))
		return WOLFSSL_TICKET_RET_FATAL;
	memcpy(k->name, key.name, sizeof(key.name));
	for (int i = 0; i < 4; i++)
		k->iv[NONCE_SIZE + i] = (uint8_t)(now >> (24 - 8 * i));
	p = place_of(ctx, k->name, k->iv);
	aead_seal(key.key, span_of(&p, sizeof(p)), span_of(k->text, k->len), sealed);
	memcpy(k->iv, sealed, NONCE_SIZE);
	memcpy(k->text, sealed + NONCE_SIZE, k->len);
	memcpy(k->mac, sealed + NONCE_SIZE + k->len, TAG_SIZE);
	memset(k->mac + TAG_SIZE, 0, WOLFSSL_TICKET_MAC_SZ - TAG_SIZE);
	secret_zero(&key, sizeof(key));
	return WOLFSSL_TICKET_RET_OK;
}

static bool is_fresh(const uint8_t *issued, uint32_t now)
{
	uint32_t then = (uint32_t)issued[0] << 24 | (uint32_t)issued[1] << 16 |
	                (uint32_t)issued[2] << 8 | issued[3];
	int64_t age = (int64_t)now - then;

	return age >= -CLOCK_SLACK && age <= TLS_TICKET_AGE_S;
}

static int unseal(const struct tls_ctx *ctx, const struct ticket *k)
{
	uint8_t sealed[TICKET_MAX + SEAL_OVERHEAD], plain[TICKET_MAX];
	struct tls_ticket_key key;
	struct place p = place_of(ctx, k->name, k->iv);
	bool newest, ok;

	if (!is_fresh(p.issued, now_s(ctx->tickets)) ||
	    !find_key(ctx->tickets, k->name, &key, &newest))
		return WOLFSSL_TICKET_RET_REJECT;
	memcpy(sealed, k->iv, NONCE_SIZE);
	memcpy(sealed + NONCE_SIZE, k->text, k->len);
	memcpy(sealed + NONCE_SIZE + k->len, k->mac, TAG_SIZE);
	ok = aead_open(key.key, span_of(&p, sizeof(p)), span_of(sealed, k->len + SEAL_OVERHEAD),
	               plain) == 0;
	if (ok)
		memcpy(k->text, plain, k->len);
	secret_zero(plain, sizeof(plain));
	secret_zero(&key, sizeof(key));
	if (!ok)
		return WOLFSSL_TICKET_RET_REJECT;
	return newest ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_CREATE;
}

int tls_on_ticket(WOLFSSL *ssl, unsigned char *name, unsigned char *iv, unsigned char *mac, int enc,
                  unsigned char *text, int len, int *out_len, void *arg)
{
	const struct ticket k = {name, iv, mac, text, (size_t)len};

	(void)ssl;
	if (len <= 0 || len > TICKET_MAX)
		return WOLFSSL_TICKET_RET_REJECT;
	*out_len = len;
	return enc ? seal(arg, &k) : unseal(arg, &k);
}
