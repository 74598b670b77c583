/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tls_internal.h: what core/tls*.c share. Nobody else includes it. */
#pragma once

#include <wolfssl/options.h>

#include "core/base.h" /* before wolfSSL, which defines MIN and MAX only if nobody has */

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>

#include "core/tls.h"

#include <stdatomic.h>

#define TLS_FIRST_MAX 5 /* octets of a record header */
#define TLS_SUITES_KEPT \
	6 /* of the client's cipher suites, for the reason "no common cipher suite" */

/*
 * What the peer said first, for tls_error; it lives until the session is established. A server walks through the first
 * record of the ClientHello, one octet at a time, without keeping it.
 */
struct tls_hello {
	uint8_t first[TLS_FIRST_MAX];
	uint8_t first_len;
	uint8_t phase, next; /* enum of tls_error.c */
	uint8_t suites_len;
	bool more_suites;
	uint16_t need;        /* octets until the present field is complete */
	uint16_t list_left;   /* octets of the present list */
	uint16_t record_left; /* octets of the first record */
	uint16_t version_max; /* 0: not known */
	uint16_t suites[TLS_SUITES_KEPT];
	uint32_t field;
};

/* The peer's leaf certificate in short; allocated when one was sent. */
struct tls_peer {
	uint8_t sha256[32];
	char cn[];
};

struct tls_ctx {
	WOLFSSL_CTX *wolf;
	atomic_uint refs;
	bool server;
	enum tls_verify verify;
	uint8_t profile;             /* enum tls_profile */
	struct tls_tickets *tickets; /* NULL: none */
	struct tls_rsa *rsa;         /* NULL: the key is wolfSSL's alone */
	int min_version, max_version;
	char alpn[64]; /* "" none */
};

struct tls {
	WOLFSSL *ssl; /* NULL before a server's first step */
	struct tls_ctx *ctx;
	tls_output_fn *output;
	void *arg;
	struct span in;          /* borrowed ciphertext, not yet taken */
	struct tls_hello *hello; /* NULL before a server's first step and once established */
	struct tls_peer *peer;   /* NULL if the peer sent no certificate */
	char *server_name;       /* clients; NULL once established */
	char *error;             /* NULL if the session has not failed */
	int output_error;        /* what output returned */
	int verify_error;        /* why the certificate was refused: wolfSSL's code */
	bool established, failed, closed, close_sent;
};

/* The verify callback; store->userCtx is the struct tls. In tls.c, installed by tls_ctx.c. */
int tls_on_verify(int ok, WOLFSSL_X509_STORE_CTX *store);
/* The input and output callbacks of every session. In tls.c. */
int tls_on_recv(WOLFSSL *ssl, char *out, int n, void *arg);
int tls_on_send(WOLFSSL *ssl, char *data, int n, void *arg);

/* Seals and opens tickets; arg is the struct tls_ctx. In tls_ticket.c. */
int tls_on_ticket(WOLFSSL *ssl, unsigned char *name, unsigned char *iv, unsigned char *mac, int enc,
                  unsigned char *text, int len, int *out_len, void *arg);

/* tls_hello_feed: looks at ciphertext of the peer before the session is established. In tls_error.c. */
void tls_hello_feed(struct tls_hello *h, bool server, struct span in);
/* tls_explain: appends the reason for people; code is wolfSSL's error. In tls_error.c. */
void tls_explain(struct tls *t, int code, struct buf *out);
/* tls_wolf_text: wolfSSL's own words for a code. Static string. */
const char *tls_wolf_text(int code);
/* tls_version_name: "TLSv1.2" for 0x0303. Static string. */
const char *tls_version_name(int version);
