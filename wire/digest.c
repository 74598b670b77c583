/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * digest.c: the grammar of challenges and credentials (RFC 9110 11.2-11.4) and the computation,
 * shared by both sides. The password only ever goes from the caller's memory into the hash; what is
 * derived from it is overwritten.
 */
#include "wire/digest.h"
#include "core/err.h"
#include "core/text.h"
#include "wire/scan.h"

#include <stdio.h>
#include <string.h>

#define HEX_SIZE (2 * 32 + 1)

/* ---- grammar --------------------------------------------------------------------------------- */

enum item_kind { ITEM_END, ITEM_SCHEME, ITEM_PARAM };

struct item {
	enum item_kind kind;
	struct span name;
	char value[DIGEST_URI_MAX + 1]; /* unescaped, NUL-terminated; no control characters */
	size_t value_len;
};

static struct span skip_blank(struct span s, bool commas)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t' || (commas && s.ptr[0] == ',')))
		s = scan_skip(s, 1);
	return s;
}

static int put_char(struct item *it, uint8_t c)
{
	if (c < ' ' || c == 0x7f)
		return -ERR_INVALID;
	if (it->value_len == DIGEST_URI_MAX)
		return -ERR_TOO_BIG;
	it->value[it->value_len++] = (char)c;
	return 0;
}

/* After the opening quote. */
static int take_quoted(struct span *in, struct item *it)
{
	int r = 0;

	while (r == 0) {
		if (in->len == 0)
			return -ERR_INVALID;
		if (in->ptr[0] == '"') {
			*in = scan_skip(*in, 1);
			return 0;
		}
		if (in->ptr[0] == '\\') {
			*in = scan_skip(*in, 1);
			if (in->len == 0)
				return -ERR_INVALID;
		}
		r = put_char(it, in->ptr[0]);
		*in = scan_skip(*in, 1);
	}
	return r;
}

static int take_value(struct span *in, struct item *it)
{
	int r = 0;

	it->value_len = 0;
	if (in->len > 0 && in->ptr[0] == '"') {
		*in = scan_skip(*in, 1);
		r = take_quoted(in, it);
	} else {
		while (r == 0 && in->len > 0 && strchr(" \t,\"", in->ptr[0]) == NULL) {
			r = put_char(it, in->ptr[0]);
			*in = scan_skip(*in, 1);
		}
		if (r == 0 && it->value_len == 0)
			r = -ERR_INVALID;
	}
	it->value[it->value_len] = '\0';
	*in = skip_blank(*in, false);
	if (r == 0 && in->len > 0 && in->ptr[0] != ',')
		r = -ERR_INVALID;
	return r;
}

/* What other schemes carry in place of parameters: base64 text up to a comma (RFC 9110 11.2). */
static struct span skip_token68(struct span in)
{
	size_t n = 0;

	while (n < in.len && (scan_token_len(span_of(in.ptr + n, 1)) == 1 || in.ptr[n] == '/'))
		n++;
	while (n > 0 && n < in.len && in.ptr[n] == '=')
		n++;
	if (n > 0 && (n == in.len || in.ptr[n] == ','))
		return scan_skip(in, n);
	return in;
}

static int next_item(struct span *in, struct item *it)
{
	struct span rest = skip_blank(*in, true);
	size_t n = scan_token_len(rest);

	it->kind = ITEM_END;
	*in = rest;
	if (rest.len == 0)
		return 0;
	if (n == 0)
		return -ERR_INVALID;
	it->name = span_of(rest.ptr, n);
	rest = scan_skip(rest, n);
	*in = skip_blank(rest, false);
	if (in->len > 0 && in->ptr[0] == '=') {
		it->kind = ITEM_PARAM;
		*in = skip_blank(scan_skip(*in, 1), false);
		return take_value(in, it);
	}
	/* A scheme stands alone or is followed by a space. */
	if (in->len > 0 && in->ptr[0] != ',' && in->len == rest.len)
		return -ERR_INVALID;
	it->kind = ITEM_SCHEME;
	*in = skip_token68(*in);
	return 0;
}

/* Copies a value that may come once. */
static int set_text(char *dst, size_t size, const struct item *it)
{
	if (dst[0] != '\0')
		return -ERR_INVALID;
	return str_copy(dst, size, it->value) ? 0 : -ERR_TOO_BIG;
}

static int parse_algorithm(const struct item *it, enum hash_kind *out)
{
	struct span v = span_of(it->value, it->value_len);

	if (scan_equal_nocase(v, "MD5"))
		*out = HASH_MD5;
	else if (scan_equal_nocase(v, "SHA-256"))
		*out = HASH_SHA256;
	else
		return -ERR_UNSUPPORTED;
	return 0;
}

static unsigned parse_qops(const struct item *it)
{
	struct span v = span_of(it->value, it->value_len);

	return (scan_list_has(v, "auth") ? (unsigned)DIGEST_AUTH : 0U) |
	       (scan_list_has(v, "auth-int") ? (unsigned)DIGEST_AUTH_INT : 0U);
}

/* ---- the computation ------------------------------------------------------------------------- */

struct inputs {
	enum hash_kind hash;
	enum digest_qop qop;
	struct span nc; /* as text: the peer's case of its digits is hashed */
	struct span user, realm, password, method, uri, body, nonce, cnonce;
};

static struct span hash_hex(enum hash_kind kind, const struct span *parts, size_t n, char *hex)
{
	uint8_t raw[HASH_SIZE_MAX];

	hash_once(kind, parts, n, raw);
	hex_encode(hex, span_of(raw, hash_size(kind)));
	secret_zero(raw, sizeof(raw));
	return span_of(hex, 2 * hash_size(kind));
}

/* RFC 7616 3.4.1 - 3.4.3. The result lies in hex. */
static struct span compute(const struct inputs *in, char hex[HEX_SIZE])
{
	const struct span colon = span_of(":", 1);
	char a1[HEX_SIZE], a2[HEX_SIZE], body[HEX_SIZE];
	struct span ha1, ha2, hbody, result;

	ha1 = hash_hex(in->hash,
	               (const struct span[]){in->user, colon, in->realm, colon, in->password}, 5,
	               a1);
	if (in->qop == DIGEST_AUTH_INT) {
		hbody = hash_hex(in->hash, &in->body, 1, body);
		ha2 = hash_hex(in->hash,
		               (const struct span[]){in->method, colon, in->uri, colon, hbody}, 5,
		               a2);
	} else {
		ha2 = hash_hex(in->hash, (const struct span[]){in->method, colon, in->uri}, 3, a2);
	}
	result = hash_hex(in->hash,
	                  (const struct span[]){
				  ha1, colon, in->nonce, colon, in->nc, colon, in->cnonce, colon,
				  span_str(in->qop == DIGEST_AUTH_INT ? "auth-int" : "auth"), colon,
				  ha2},
	                  11, hex);
	secret_zero(a1, sizeof(a1));
	return result;
}

/* ---- challenges ------------------------------------------------------------------------------ */

/* One parameter of a Digest challenge; bad is set when we cannot answer this challenge. */
static int challenge_param(const struct item *it, struct digest_challenge *c, bool *bad)
{
	struct span value = span_of(it->value, it->value_len);

	if (scan_equal_nocase(it->name, "realm"))
		return set_text(c->realm, sizeof(c->realm), it);
	if (scan_equal_nocase(it->name, "nonce"))
		return set_text(c->nonce, sizeof(c->nonce), it);
	if (scan_equal_nocase(it->name, "opaque")) {
		c->has_opaque = true;
		return set_text(c->opaque, sizeof(c->opaque), it);
	}
	if (scan_equal_nocase(it->name, "stale"))
		c->stale = scan_equal_nocase(value, "true");
	if (scan_equal_nocase(it->name, "qop"))
		c->qops = parse_qops(it);
	if (scan_equal_nocase(it->name, "algorithm")) {
		c->has_algorithm = true;
		*bad |= parse_algorithm(it, &c->hash) != 0;
	}
	return 0;
}

static void keep_better(struct digest_challenge *best, const struct digest_challenge *c, bool bad)
{
	if (bad || c->qops == 0 || c->nonce[0] == '\0')
		return;
	if (best->qops == 0 || (best->hash == HASH_MD5 && c->hash == HASH_SHA256))
		*best = *c;
}

int digest_challenge_parse(struct span header, struct digest_challenge *out)
{
	const struct digest_challenge none = {.hash = HASH_MD5};
	struct digest_challenge c = none;
	struct item it;
	bool ours = false, bad = true, any_scheme = false;
	int r;

	*out = none;
	for (;;) {
		r = next_item(&header, &it);
		if (r != 0)
			return r;
		if (it.kind != ITEM_PARAM) {
			keep_better(out, &c, !ours || bad);
			if (it.kind == ITEM_END)
				break;
			c = none;
			bad = false;
			any_scheme = true;
			ours = scan_equal_nocase(it.name, "Digest");
		} else if (!any_scheme) {
			return -ERR_INVALID;
		} else if (ours) {
			r = challenge_param(&it, &c, &bad);
			if (r != 0)
				return r;
		}
	}
	return out->qops != 0 ? 0 : -ERR_UNSUPPORTED;
}

bool digest_realm_is_amt(const char *realm)
{
	struct span s = span_str(realm);

	if (s.len != 7 + 32 || memcmp(s.ptr, "Digest:", 7) != 0)
		return false;
	for (size_t i = 7; i < s.len; i++)
		if (scan_hex_digit(s.ptr[i]) < 0 || s.ptr[i] >= 'a')
			return false;
	return true;
}

/* A quoted string; a character that cannot stand in one sets b->err. */
static void put_quoted(struct buf *b, struct span s)
{
	buf_put_u8(b, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < ' ' || s.ptr[i] == 0x7f) {
			b->err = b->err != 0 ? b->err : -ERR_INVALID;
			return;
		}
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			buf_put_u8(b, '\\');
		buf_put_u8(b, s.ptr[i]);
	}
	buf_put_u8(b, '"');
}

void digest_write_challenge(struct buf *b, const struct digest_offer *offer)
{
	ASSERT((offer->qops & (DIGEST_AUTH | DIGEST_AUTH_INT)) != 0);
	ASSERT(offer->hash == HASH_MD5 || offer->hash == HASH_SHA256);
	buf_put_str(b, "Digest realm=");
	put_quoted(b, span_str(offer->realm));
	buf_put_str(b, ", nonce=");
	put_quoted(b, span_str(offer->nonce));
	buf_printf(b, ",stale=\"%s\",qop=\"%s%s%s\"", offer->stale ? "true" : "false",
	           offer->qops & DIGEST_AUTH ? "auth" : "",
	           offer->qops == (DIGEST_AUTH | DIGEST_AUTH_INT) ? "," : "",
	           offer->qops & DIGEST_AUTH_INT ? "auth-int" : "");
	if (offer->hash == HASH_SHA256)
		buf_put_str(b, ",algorithm=SHA-256");
	if (offer->opaque != NULL) {
		buf_put_str(b, ",opaque=");
		put_quoted(b, span_str(offer->opaque));
	}
}

/* ---- client ---------------------------------------------------------------------------------- */

void digest_client_init(struct digest_client *c, bool amt_realm_only)
{
	*c = (struct digest_client){.amt_realm_only = amt_realm_only};
}

/* The best of all headers; the first error if there is none. */
static int best_challenge(const struct span *headers, size_t n, struct digest_challenge *best)
{
	struct digest_challenge c;
	int err = -ERR_UNSUPPORTED;

	*best = (struct digest_challenge){.qops = 0};
	for (size_t i = 0; i < n; i++) {
		int r = digest_challenge_parse(headers[i], &c);

		if (r == 0)
			keep_better(best, &c, false);
		else if (err == -ERR_UNSUPPORTED)
			err = r;
	}
	return best->qops != 0 ? 0 : err;
}

int digest_client_refused(struct digest_client *c, const struct span *headers, size_t n)
{
	struct digest_challenge best;
	bool tried_fresh = c->ready && c->nc == 1, same;
	int r = best_challenge(headers, n, &best);

	if (r == 0 && c->amt_realm_only && !digest_realm_is_amt(best.realm))
		r = -ERR_PROTOCOL;
	if (r != 0) {
		c->ready = false;
		return r;
	}
	same = c->ready && c->nc > 0 && strcmp(best.nonce, c->challenge.nonce) == 0;
	if (!same)
		c->nc = 0;
	c->challenge = best;
	c->ready = true;
	/* The same nonce again means that it was not the nonce that displeased. */
	return (tried_fresh || same) && !best.stale ? -ERR_UNAUTHENTICATED : 0;
}

static bool is_plain(struct span s)
{
	return s.len > 0 && s.len <= DIGEST_TEXT_MAX && scan_is_token(s);
}

static bool is_user(struct span s)
{
	return s.len <= DIGEST_TEXT_MAX && (s.len == 0 || memchr(s.ptr, ':', s.len) == NULL);
}

static void put_authorization(struct buf *out, const struct digest_challenge *c,
                              const struct inputs *in, struct span response)
{
	buf_put_str(out, "Digest username=");
	put_quoted(out, in->user);
	buf_put_str(out, ", realm=");
	put_quoted(out, in->realm);
	buf_put_str(out, ", nonce=");
	put_quoted(out, in->nonce);
	buf_put_str(out, ", uri=");
	put_quoted(out, in->uri);
	if (c->has_algorithm)
		buf_printf(out, ", algorithm=%s", in->hash == HASH_SHA256 ? "SHA-256" : "MD5");
	buf_printf(out,
	           ", qop=%s, nc=%.8s, cnonce=", in->qop == DIGEST_AUTH_INT ? "auth-int" : "auth",
	           (const char *)in->nc.ptr);
	put_quoted(out, in->cnonce);
	buf_put_str(out, ", response=");
	put_quoted(out, response);
	if (c->has_opaque) {
		buf_put_str(out, ", opaque=");
		put_quoted(out, span_str(c->opaque));
	}
}

int digest_client_authorize(struct digest_client *c, const struct digest_use *use, struct buf *out)
{
	struct inputs in;
	char hex[HEX_SIZE], nc[9];

	if (!c->ready || c->nc == UINT32_MAX)
		return -ERR_PRECONDITION;
	if (!is_plain(use->cnonce) || !is_user(use->user) || use->uri.len > DIGEST_URI_MAX)
		return -ERR_INVALID;
	(void)snprintf(nc, sizeof(nc), "%08x", ++c->nc);
	in = (struct inputs){
		.hash = c->challenge.hash,
		.qop = c->challenge.qops & DIGEST_AUTH_INT ? DIGEST_AUTH_INT : DIGEST_AUTH,
		.nc = span_of(nc, 8),
		.user = use->user,
		.realm = span_str(c->challenge.realm),
		.password = use->password,
		.method = use->method,
		.uri = use->uri,
		.body = use->body,
		.nonce = span_str(c->challenge.nonce),
		.cnonce = use->cnonce,
	};
	put_authorization(out, &c->challenge, &in, compute(&in, hex));
	return out->err;
}

/* ---- server ---------------------------------------------------------------------------------- */

static int parse_nc(const struct item *it, struct digest_auth *out)
{
	uint32_t v = 0;

	if (it->value_len != 8 || out->nc != 0)
		return -ERR_INVALID;
	for (size_t i = 0; i < 8; i++) {
		int digit = scan_hex_digit((uint8_t)it->value[i]);

		if (digit < 0)
			return -ERR_INVALID;
		v = v << 4 | (uint32_t)digit;
	}
	memcpy(out->nc_text, it->value, 8);
	out->nc = v;
	return v != 0 ? 0 : -ERR_INVALID;
}

struct auth_parse {
	struct digest_auth *out;
	size_t response_len;
	unsigned qops;
	bool unsupported;
};

static int set_response(struct auth_parse *a, const struct item *it)
{
	ssize_t n = hex_decode(a->out->response, sizeof(a->out->response),
	                       span_of(it->value, it->value_len));

	if (n <= 0 || a->response_len != 0)
		return -ERR_INVALID;
	a->response_len = (size_t)n;
	return 0;
}

static int auth_param(struct auth_parse *a, const struct item *it)
{
	struct digest_auth *o = a->out;
	const struct {
		const char *name;
		char *dst;
		size_t size;
	} texts[] = {
		{"username", o->user, sizeof(o->user)}, {"realm", o->realm, sizeof(o->realm)},
		{"nonce", o->nonce, sizeof(o->nonce)},  {"cnonce", o->cnonce, sizeof(o->cnonce)},
		{"uri", o->uri, sizeof(o->uri)},        {"opaque", o->opaque, sizeof(o->opaque)},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (scan_equal_nocase(it->name, texts[i].name))
			return set_text(texts[i].dst, texts[i].size, it);
	if (scan_equal_nocase(it->name, "nc"))
		return parse_nc(it, o);
	if (scan_equal_nocase(it->name, "response"))
		return set_response(a, it);
	if (scan_equal_nocase(it->name, "qop"))
		a->qops |= parse_qops(it);
	if (scan_equal_nocase(it->name, "algorithm"))
		a->unsupported |= parse_algorithm(it, &o->hash) != 0;
	return 0;
}

static int auth_complete(const struct auth_parse *a)
{
	const struct digest_auth *o = a->out;

	if (a->unsupported || a->qops == 0)
		return -ERR_UNSUPPORTED;
	if (a->qops == (DIGEST_AUTH | DIGEST_AUTH_INT) || a->response_len != hash_size(o->hash))
		return -ERR_INVALID;
	if (o->nonce[0] == '\0' || o->cnonce[0] == '\0' || o->uri[0] == '\0' || o->nc == 0)
		return -ERR_INVALID;
	return 0;
}

int digest_auth_parse(struct span header, struct digest_auth *out)
{
	struct auth_parse a = {.out = out};
	struct item it;
	int r;

	*out = (struct digest_auth){.hash = HASH_MD5};
	r = next_item(&header, &it);
	if (r != 0)
		return r;
	if (it.kind != ITEM_SCHEME)
		return -ERR_INVALID;
	if (!scan_equal_nocase(it.name, "Digest"))
		return -ERR_UNSUPPORTED;
	for (;;) {
		r = next_item(&header, &it);
		if (r != 0)
			return r;
		if (it.kind == ITEM_END)
			break;
		if (it.kind != ITEM_PARAM)
			return -ERR_INVALID;
		r = auth_param(&a, &it);
		if (r != 0)
			return r;
	}
	r = auth_complete(&a);
	out->qop = a.qops == DIGEST_AUTH_INT ? DIGEST_AUTH_INT : DIGEST_AUTH;
	return r;
}

static bool same_text(const char *a, struct span b)
{
	return secret_equal(span_str(a), b);
}

int digest_auth_verify(const struct digest_auth *auth, const struct digest_check *check)
{
	const struct inputs in = {
		.hash = check->hash,
		.qop = auth->qop,
		.nc = span_of(auth->nc_text, 8),
		.user = check->user,
		.realm = check->realm,
		.password = check->password,
		.method = check->method,
		.uri = check->target,
		.body = check->body,
		.nonce = span_str(auth->nonce),
		.cnonce = span_str(auth->cnonce),
	};
	uint8_t want[32];
	char hex[HEX_SIZE];
	struct span text = compute(&in, hex);
	ssize_t n = hex_decode(want, sizeof(want), text);
	bool good;

	ASSERT(n == (ssize_t)hash_size(check->hash));
	good = secret_equal(span_of(want, (size_t)n),
	                    span_of(auth->response, hash_size(auth->hash)));
	good &= same_text(auth->user, check->user);
	good &= same_text(auth->realm, check->realm);
	good &= same_text(auth->uri, check->target);
	good &= (check->qops & (unsigned)auth->qop) != 0;
	if (!good)
		return -ERR_UNAUTHENTICATED;
	if (!same_text(auth->nonce, check->nonce) ||
	    (check->last_nc != NULL && auth->nc <= *check->last_nc))
		return -ERR_AGAIN;
	if (check->last_nc != NULL)
		*check->last_nc = auth->nc;
	return 0;
}
