/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls.h: TLS sessions without a descriptor (wolfSSL with its own input/output callbacks). The caller hands ciphertext in
 * and gets ciphertext out through a callback, so the same object serves a socket, an APF channel and a test.
 * A tls_ctx may be shared by threads and is reference-counted; a tls belongs to one thread at a time.
 */
#pragma once

#include "core/buf.h"
#include "core/tls_ticket.h"

enum tls_profile {
	TLS_MODERN, /* 1.2 (ECDHE and static RSA suites) and 1.3: AMT 12 and later, every API client */
	TLS_LEGACY, /* adds 1.0, 1.1 and CBC-SHA1 suites: AMT up to 11 */
	TLS_API,    /* 1.2 with ECDHE AEAD suites and 1.3 only (HTTP/2's cipher rules), ALPN */
};

enum tls_verify {
	TLS_VERIFY_NONE, /* client: accept any certificate; the caller checks the pin with tls_peer_sha256 */
	TLS_VERIFY_CA, /* client: chain to ca_pem and match server_name. server: ask for a certificate, must chain if sent */
	TLS_VERIFY_REQUIRED, /* server: a client certificate that chains to ca_pem must be sent */
};

struct tls_ctx_opts {
	bool server;
	enum tls_profile profile;
	struct span cert_chain_pem; /* leaf first; required for a server */
	struct span key_pem;
	struct span ca_pem; /* trust anchors for verify */
	enum tls_verify verify;
	const char *
		alpn; /* comma-separated in order of preference, for example "h2,http/1.1"; NULL none */
	const char *
		ciphers; /* replaces the profile's list (tests and the simulator); NULL the profile's own */
	int min_version, max_version; /* 0x0301..0x0304, 0: the profile's own */
	/* Servers that ask for no client certificate (a resumed session would not have one); NULL: no tickets. A reference is taken. */
	struct tls_tickets *tickets;
};

struct tls_ctx;
struct tls;

/* tls_global_init(): once per process, before any thread. 0 or -ERR_INTERNAL. tls_global_fini at exit. */
int tls_global_init(void) MUST_CHECK;
void tls_global_fini(void);
/* tls_library_version: of the TLS library that runs, "5.8.2". Static string. */
const char *tls_library_version(void);

/* tls_ctx_new: borrows everything in opts until return. NULL on error, with a sentence for people appended to why. */
struct tls_ctx *tls_ctx_new(const struct tls_ctx_opts *opts, struct buf *why);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *ctx);
void tls_ctx_unref(struct tls_ctx *ctx);

/* Where ciphertext goes. Returns 0, or a negative error that ends the session (for example -ERR_FULL). The span is borrowed. */
typedef int tls_output_fn(void *arg, struct span ciphertext);

/*
 * tls_new: a session; server or client as the ctx says. server_name: SNI and name check for clients (a DNS name, or an IP
 * address, which is checked but not sent), NULL none. NULL: no memory, or a name longer than 255 octets.
 * Until its first tls_handshake a server's session is a hundred octets: what TLS needs is made there, by the thread that takes the step.
 */
struct tls *tls_new(struct tls_ctx *ctx, const char *server_name, tls_output_fn *output, void *arg);
void tls_free(struct tls *t);
/* tls_set_output: from now on ciphertext goes there. */
void tls_set_output(struct tls *t, tls_output_fn *output, void *arg);

/* tls_input: makes ciphertext readable; borrowed until tls_input_left(t) is 0 or the next tls_input. The previous must be used up. */
void tls_input(struct tls *t, struct span ciphertext);
size_t tls_input_left(const struct tls *t);

/*
 * tls_records: how many of the first octets are whole records; all of them if they do not look like TLS. Who feeds a handshake
 * with whole records only gets something done in each step.
 */
size_t tls_records(struct span s);

/*
 * tls_handshake: drives it one step. 0 established, -ERR_AGAIN more input needed, -ERR_TLS failed (tls_error tells), -ERR_CLOSED.
 * When it returns 0, tls_input_left may not be 0: the rest is application data for tls_read. In TLS 1.3 a client is established
 * before the server has judged its certificate; it hears of a refusal from tls_read. Lack of memory is -ERR_TLS, too.
 */
int tls_handshake(struct tls *t) MUST_CHECK;
bool tls_established(const struct tls *t);

/* tls_read: > 0 plaintext octets, -ERR_AGAIN more input needed, -ERR_CLOSED after close_notify, -ERR_TLS. */
ssize_t tls_read(struct tls *t, void *out, size_t n) MUST_CHECK;

/* tls_write: encrypts all of data into records of at most 16 KiB and hands them to output. 0 or a negative error (the session is over). */
int tls_write(struct tls *t, struct span data) MUST_CHECK;

/* tls_close: sends close_notify once; only output is called. */
void tls_close(struct tls *t);

struct tls_info {
	const char *version; /* "TLSv1.2"; static string */
	const char *cipher;  /* static string */
	char alpn[16];       /* selected protocol or "" */
	bool peer_cert;      /* the peer sent one (servers: and it chained) */
};
void tls_info(const struct tls *t, struct tls_info *out);

/* tls_resumed: a ticket made the handshake short. */
bool tls_resumed(const struct tls *t);

/*
 * tls_peer_sha256: fingerprint of the peer's leaf certificate; false if it sent none. tls_peer_cn: its subject CN, "" if none;
 * printable ASCII, everything else replaced by '?'. Both only once established, when the peer has proven that it holds the key.
 */
bool tls_peer_sha256(const struct tls *t, uint8_t out[32]);
const char *tls_peer_cn(const struct tls *t);

/*
 * tls_error: why the session failed, for people: "alert 48 unknown_ca from the peer", "no common version (the peer offers up
 * to TLSv1.0)", "no common cipher suite". Valid until tls_free. Empty if it did not fail.
 */
const char *tls_error(const struct tls *t);
/* tls_alert: the alert number received (> 0), sent (< 0, negated) or 0. */
int tls_alert(const struct tls *t);
