/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sim_digest.c: parameters of Authorization, the sums, the nonces. */
#include "bench/fleet/sim_digest.h"

#include <string.h>
#include <strings.h>

#include "core/crypto.h"
#include "core/text.h"

#define MD5_TEXT 32

struct fields {
	char user[64], realm[64], nonce[64], uri[128], cnonce[128], nc[16], qop[16], response[64];
};

struct field_place {
	const char *name;
	char *text;
	size_t size;
};

static void md5_text(const struct span *parts, size_t n, char out[MD5_TEXT + 1])
{
	uint8_t sum[HASH_SIZE_MAX];

	hash_once(HASH_MD5, parts, n, sum);
	hex_encode(out, span_of(sum, hash_size(HASH_MD5)));
}

static bool skip_space(struct span *s, const char *also)
{
	while (s->len > 0 &&
	       (s->ptr[0] == ' ' || s->ptr[0] == '\t' || strchr(also, s->ptr[0]) != NULL))
		*s = span_of(s->ptr + 1, s->len - 1);
	return s->len > 0;
}

/* One name=value or name="value"; quotes do not matter for any of them (amt.md A.3). */
static bool next_field(struct span *s, struct span *name, struct span *value)
{
	size_t n = 0;
	bool quoted;

	if (!skip_space(s, ","))
		return false;
	while (n < s->len && s->ptr[n] != '=')
		n++;
	if (n == s->len)
		return false;
	*name = span_of(s->ptr, n);
	*s = span_of(s->ptr + n + 1, s->len - n - 1);
	quoted = s->len > 0 && s->ptr[0] == '"';
	if (quoted)
		*s = span_of(s->ptr + 1, s->len - 1);
	n = 0;
	while (n < s->len && s->ptr[n] != (quoted ? '"' : ',') && (quoted || s->ptr[n] != ' '))
		n++;
	*value = span_of(s->ptr, n);
	*s = span_of(s->ptr + n, s->len - n);
	if (quoted && s->len > 0)
		*s = span_of(s->ptr + 1, s->len - 1);
	return true;
}

static bool read_fields(struct span header, struct fields *f)
{
	const struct field_place places[] = {
		{"username", f->user, sizeof(f->user)},
		{"realm", f->realm, sizeof(f->realm)},
		{"nonce", f->nonce, sizeof(f->nonce)},
		{"uri", f->uri, sizeof(f->uri)},
		{"cnonce", f->cnonce, sizeof(f->cnonce)},
		{"nc", f->nc, sizeof(f->nc)},
		{"qop", f->qop, sizeof(f->qop)},
		{"response", f->response, sizeof(f->response)},
	};
	struct span name, value;

	if (header.len < 7 || strncasecmp((const char *)header.ptr, "Digest ", 7) != 0)
		return false;
	header = span_of(header.ptr + 7, header.len - 7);
	while (next_field(&header, &name, &value)) {
		for (size_t i = 0; i < ARRAY_LEN(places); i++) {
			if (name.len != strlen(places[i].name) ||
			    strncasecmp((const char *)name.ptr, places[i].name, name.len) != 0)
				continue;
			if (!str_copy_span(places[i].text, places[i].size, value))
				return false;
		}
	}
	return f->nonce[0] != '\0' && f->response[0] != '\0' && strlen(f->nc) == 8;
}

static void expected_response(const struct sim_digest *d, const char *method,
                              const struct fields *f, struct span body, char out[MD5_TEXT + 1])
{
	char ha1[MD5_TEXT + 1], ha2[MD5_TEXT + 1], sum[MD5_TEXT + 1];
	struct span colon = span_str(":");
	bool integrity = strcmp(f->qop, "auth-int") == 0;

	md5_text((const struct span[]){span_str(d->user), colon, span_str(d->realm), colon,
	                               span_str(d->password)},
	         5, ha1);
	md5_text(&body, 1, sum);
	md5_text((const struct span[]){span_str(method), colon, span_str(f->uri), colon,
	                               span_str(sum)},
	         integrity ? 5 : 3, ha2);
	md5_text((const struct span[]){span_str(ha1), colon, span_str(f->nonce), colon,
	                               span_str(f->nc), colon, span_str(f->cnonce), colon,
	                               span_str(f->qop), colon, span_str(ha2)},
	         11, out);
	secret_zero(ha1, sizeof(ha1));
}

static bool qop_offered(const struct sim_digest *d, const char *qop)
{
	const char *both = strchr(d->qop, ',');

	return strcmp(d->qop, qop) == 0 ||
	       (both != NULL && (strcmp(qop, "auth") == 0 || strcmp(qop, "auth-int") == 0));
}

/* The nonce is one of ours and nc rose since its last use. */
static bool nonce_fresh(struct sim_digest *d, const struct fields *f)
{
	uint8_t b[4];
	uint32_t nc;

	if (hex_decode(b, sizeof(b), span_of(f->nc, 8)) != 4)
		return false;
	nc = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
	for (size_t i = 0; i < SIM_DIGEST_NONCES; i++) {
		if (d->nonces[i].text[0] == '\0' || strcmp(d->nonces[i].text, f->nonce) != 0)
			continue;
		if (nc <= d->nonces[i].last_nc)
			return false;
		d->nonces[i].last_nc = nc;
		return true;
	}
	return false;
}

static enum sim_digest_result failed(struct sim_digest *d, uint64_t now_ms)
{
	d->failures++;
	if (d->lock_after > 0 && d->failures >= d->lock_after) {
		d->failures = 0;
		d->locked_until_ms = now_ms + d->lock_ms;
	}
	return SIM_DIGEST_WRONG;
}

enum sim_digest_result sim_digest_check(struct sim_digest *d, const char *method,
                                        struct span header, struct span body, uint64_t now_ms)
{
	char want[MD5_TEXT + 1];
	struct fields f = {.user = ""};

	if (header.len == 0)
		return SIM_DIGEST_MISSING;
	if (now_ms < d->locked_until_ms)
		return SIM_DIGEST_LOCKED;
	if (!read_fields(header, &f) || !qop_offered(d, f.qop))
		return failed(d, now_ms);
	if (strcmp(f.user, d->user) != 0 || strcmp(f.realm, d->realm) != 0)
		return failed(d, now_ms);
	expected_response(d, method, &f, body, want);
	if (!secret_equal(span_str(want), span_str(f.response)))
		return failed(d, now_ms);
	if (!nonce_fresh(d, &f))
		return SIM_DIGEST_STALE;
	d->failures = 0;
	return SIM_DIGEST_OK;
}

void sim_digest_challenge(struct sim_digest *d, struct buf *out)
{
	uint8_t raw[SIM_DIGEST_NONCE_TEXT / 4 * 3];

	random_bytes(raw, sizeof(raw));
	base64_encode(d->nonces[d->next].text, span_of(raw, sizeof(raw)), true);
	d->nonces[d->next].last_nc = 0;
	buf_printf(out,
	           "WWW-Authenticate: Digest realm=\"%s\", "
	           "nonce=\"%s\",stale=\"false\",qop=\"%s\"\r\n",
	           d->realm, d->nonces[d->next].text, d->qop);
	d->next = (d->next + 1) % SIM_DIGEST_NONCES;
}
