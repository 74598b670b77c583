/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls_rsa.h: the RSA private operation of TLS servers by another library than wolfSSL, where that is faster (ADR 12). Only
 * the bare exponentiation leaves wolfSSL, through its crypto callback: padding, PSS and the silence about bad padding stay
 * there, and whatever the engine does not take or fails at wolfSSL computes itself. Included by core/tls*.c, who switches it on,
 * and tests.
 */
#pragma once

#include "core/base.h"

#define TLS_RSA_SIZE_MAX 512 /* octets of a modulus */

/* An engine's functions: any thread, several at once with one key. */
struct tls_rsa_engine {
	const char *name;
	/* From PKCS#1 or PKCS#8 (borrowed). NULL: it will not have it. */
	void *(*import)(struct span der);
	void (*drop)(void *key);
	/* out = in ^ d mod n; both have the modulus' size and do not overlap. False: out is not to be used. */
	bool (*compute)(void *key, const uint8_t *in, uint8_t *out);
};

/* OpenSSL's libcrypto, which has code for AVX-512 IFMA. In core/tls_libcrypto.c; who names it links that library. */
extern const struct tls_rsa_engine tls_rsa_libcrypto;

enum tls_rsa_choice {
	TLS_RSA_IF_FASTER, /* each key is tried with both when it is imported */
	TLS_RSA_ALWAYS,    /* tests and measurements */
};

/*
 * tls_rsa_use: keys that are imported from now on may use the engine; NULL (at start): none. After tls_global_init, before
 * threads that use TLS.
 */
void tls_rsa_use(const struct tls_rsa_engine *engine, enum tls_rsa_choice choice);

struct tls_rsa;

/*
 * tls_rsa_new: for a TLS server's private key in PEM (borrowed). NULL: wolfSSL keeps it to itself, because there is no
 * engine, it is not faster or does not get the same results, or the key is not an RSA key of 2048 to 4096 bits. Takes a few
 * operations with the key. One owner; the key must not be in use any more when it is freed (NULL is ignored).
 */
struct tls_rsa *tls_rsa_new(struct span key_pem);
void tls_rsa_free(struct tls_rsa *k);

/* The device number for wolfSSL contexts that have a struct tls_rsa; its callback is in place since tls_rsa_use. */
#define TLS_RSA_DEVICE 0x43575253

/* tls_rsa_enter: until the next call the calling thread's wolfSSL handshake is with this key (NULL: none). */
void tls_rsa_enter(struct tls_rsa *k);

/* tls_rsa_by: the name of the engine that present keys use, "wolfssl" if there is none. Static string; any thread. */
const char *tls_rsa_by(void);
