/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * digest.h: HTTP digest authentication (RFC 7616; amt.md A.2, A.3), both sides. qop auth and
 * auth-int with MD5 and SHA-256; no session variants and no digest without qop. Pure: the caller
 * brings nonces. No heap, except what the caller's buf takes. One thread at a time.
 */
#pragma once

#include "core/base.h"
#include "core/buf.h"
#include "core/crypto.h"

#define DIGEST_TEXT_MAX 128 /* octets of a user name, realm, nonce, cnonce or opaque value */
#define DIGEST_URI_MAX  1024

enum digest_qop {
	DIGEST_AUTH = 1,
	DIGEST_AUTH_INT = 2,
};

/* ---- client ---------------------------------------------------------------------------------- */

struct digest_challenge {
	char realm[DIGEST_TEXT_MAX + 1];
	char nonce[DIGEST_TEXT_MAX + 1];
	char opaque[DIGEST_TEXT_MAX + 1];
	bool has_opaque;
	bool has_algorithm;
	bool stale;
	enum hash_kind hash;
	unsigned qops; /* of enum digest_qop, at least one */
};

/*
 * digest_challenge_parse(header, out): the value of one WWW-Authenticate header, which may hold
 * several challenges; the best usable one is taken (SHA-256 before MD5). 0; -ERR_UNSUPPORTED: none
 * that we can answer; -ERR_INVALID: not well formed; -ERR_TOO_BIG: a value beyond its limit.
 */
int digest_challenge_parse(struct span header, struct digest_challenge *out);

/* digest_realm_is_amt(realm): ^Digest:[0-9A-F]{32}$, what every AMT device uses (amt.md A.3). */
bool digest_realm_is_amt(const char *realm);

/*
 * What a client remembers of one server: the last challenge and how often its nonce was used.
 * Copyable.
 */
struct digest_client {
	struct digest_challenge challenge;
	uint32_t nc; /* 0: the nonce was not used yet */
	bool ready;
	bool amt_realm_only;
};

/* digest_client_init(c, amt_realm_only): no challenge yet. */
void digest_client_init(struct digest_client *c, bool amt_realm_only);

/*
 * digest_client_refused(c, headers, n): a 401 arrived with these WWW-Authenticate values. 0: send
 * the request again, with digest_client_authorize. -ERR_UNAUTHENTICATED: a fresh nonce was refused
 * and not as stale, so the user or password is wrong (or the account is locked: amt.md A.3). A
 * nonce that had worked before may have ended whatever stale says (A.9). The caller limits the
 * tries. -ERR_PROTOCOL: the realm is not an AMT device's (with amt_realm_only). Else as
 * digest_challenge_parse.
 */
int digest_client_refused(struct digest_client *c, const struct span *headers, size_t n);

struct digest_use {
	struct span method;
	struct span uri;  /* the request target as sent */
	struct span body; /* hashed for auth-int */
	struct span user; /* without ':' */
	struct span password;
	struct span cnonce; /* fresh random text: letters and digits, 1..DIGEST_TEXT_MAX */
};

/*
 * digest_client_authorize(c, use, out): appends the value of an Authorization header and counts the
 * use. auth-int is preferred when offered: it is right for devices with and without
 * AllowHttpQopAuthOnly (amt.md A.3). 0; -ERR_PRECONDITION: no challenge known; -ERR_INVALID: a
 * value that cannot be sent; or out's error.
 */
int digest_client_authorize(struct digest_client *c, const struct digest_use *use, struct buf *out);

/* ---- server ---------------------------------------------------------------------------------- */

struct digest_offer {
	const char *realm;
	const char *nonce;
	const char *opaque; /* NULL: none */
	enum hash_kind hash;
	unsigned qops;
	bool stale;
};

/*
 * digest_write_challenge(b, offer): appends the value of a WWW-Authenticate header, spaced as the
 * firmware does (A.2).
 */
void digest_write_challenge(struct buf *b, const struct digest_offer *offer);

struct digest_auth {
	char user[DIGEST_TEXT_MAX + 1];
	char realm[DIGEST_TEXT_MAX + 1];
	char nonce[DIGEST_TEXT_MAX + 1];
	char cnonce[DIGEST_TEXT_MAX + 1];
	char opaque[DIGEST_TEXT_MAX + 1];
	char uri[DIGEST_URI_MAX + 1];
	uint8_t response[32]; /* hash_size(hash) octets */
	enum hash_kind hash;
	enum digest_qop qop;
	uint32_t nc;     /* at least 1 */
	char nc_text[8]; /* as sent; no NUL */
};

/*
 * digest_auth_parse(header, out): the value of an Authorization header; nc and qop may be quoted or
 * not. 0; -ERR_UNSUPPORTED: another scheme or algorithm, no qop; -ERR_INVALID: not well formed;
 * -ERR_TOO_BIG.
 */
int digest_auth_parse(struct span header, struct digest_auth *out);

struct digest_check {
	struct span method;
	struct span target; /* the request target */
	struct span body;
	struct span user, password;
	struct span realm, nonce; /* as issued */
	enum hash_kind hash;
	unsigned qops; /* accepted ones */
	/* highest count seen with this nonce; raised on success; NULL: not checked */
	uint32_t *last_nc;
};

/*
 * digest_auth_verify(auth, check): 0; -ERR_UNAUTHENTICATED: wrong user, password, realm, algorithm
 * or qop, or another body or target than hashed; -ERR_AGAIN: all is right but the nonce is not ours
 * or its count was used: challenge with stale. Compares in constant time.
 */
int digest_auth_verify(const struct digest_auth *auth, const struct digest_check *check);
