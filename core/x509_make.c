/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * x509_make.c: makes the root and the leaves. The certificate is written as DER here (RFC 5280), which gives exact dates and
 * extensions; wolfCrypt makes the keys and the signature. Any thread; slow (a key takes up to seconds).
 */
#include <wolfssl/options.h>

#include "core/base.h" /* before wolfSSL, which defines MIN and MAX only if nobody has */

#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "core/crypto.h"
#include "core/err.h"
#include "core/text.h"
#include "core/x509.h"
#include "core/x509_internal.h"

#include <string.h>

#define ROOT_BITS    3072
#define LEAF_BITS    2048
#define RSA_BITS_MAX 4096
#define EXPONENT     65537
#define NAME_MAX_LEN 64 /* X.520's ub-common-name */
#define SERIAL_SIZE  16
#define KEY_ID_SIZE  20
#define TIME_MAX_S   INT64_C(253402300799) /* 9999-12-31 23:59:59 */
#define DIGEST_SIZE  32

#define OID_SHA256_RSA  OID_SPAN(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b)
#define OID_SHA256      OID_SPAN(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01)
#define OID_SERVER_AUTH OID_SPAN(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01)
#define OID_CLIENT_AUTH OID_SPAN(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02)

/* What goes into a certificate. All borrowed. */
struct content {
	struct span issuer; /* a Name's content, without its SEQUENCE */
	struct span subject;
	struct span public_key;
	struct span extensions; /* the content of the SEQUENCE of extensions */
	int64_t not_before_s, not_after_s;
};

static bool is_printable_string(const char *s)
{
	for (; *s != '\0'; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		      (*s >= '0' && *s <= '9') || strchr(" '()+,-./:=?", *s) != NULL))
			return false;
	return true;
}

static void put_algorithm(struct buf *out, struct span oid)
{
	struct buf inner;

	buf_init(&inner, X509_CERT_MAX);
	der_put(&inner, DER_OID, oid);
	der_put(&inner, DER_NULL, span_of(NULL, 0));
	der_put_wrapped(out, DER_SEQUENCE, &inner);
}

/* A Name of one CN, without the outer SEQUENCE. */
static void put_name(struct buf *out, const char *common_name)
{
	struct buf pair, set;

	buf_init(&pair, X509_CERT_MAX);
	buf_init(&set, X509_CERT_MAX);
	der_put(&pair, DER_OID, OID_COMMON_NAME);
	der_put(&pair, is_printable_string(common_name) ? DER_PRINTABLE : DER_UTF8,
	        span_str(common_name));
	der_put_wrapped(&set, DER_SEQUENCE, &pair);
	der_put_wrapped(out, DER_SET, &set);
}

/* Appends one extension and empties value. */
static void put_extension(struct buf *out, struct span oid, bool critical, struct buf *value)
{
	static const uint8_t yes = 0xff;
	struct buf ext;

	buf_init(&ext, X509_CERT_MAX);
	der_put(&ext, DER_OID, oid);
	if (critical)
		der_put(&ext, DER_BOOLEAN, span_of(&yes, 1));
	der_put_wrapped(&ext, DER_OCTET_STRING, value);
	der_put_wrapped(out, DER_SEQUENCE, &ext);
}

/* bits: the first octet of the BIT STRING, unused: how many of its low bits do not count (RFC 5280 4.2.1.3). */
static void put_key_usage(struct buf *out, uint8_t bits, uint8_t unused)
{
	const uint8_t body[] = {unused, bits};
	struct buf value;

	buf_init(&value, X509_CERT_MAX);
	der_put(&value, DER_BIT_STRING, span_of(body, sizeof(body)));
	put_extension(out, OID_KEY_USAGE, true, &value);
}

static void put_basic_constraints(struct buf *out, bool is_ca)
{
	static const uint8_t yes = 0xff;
	struct buf inner, value;

	buf_init(&inner, X509_CERT_MAX);
	buf_init(&value, X509_CERT_MAX);
	if (is_ca)
		der_put(&inner, DER_BOOLEAN, span_of(&yes, 1));
	der_put_wrapped(&value, DER_SEQUENCE, &inner);
	put_extension(out, OID_BASIC_CONSTRAINTS, is_ca, &value);
}

static void put_subject_key_id(struct buf *out, const uint8_t id[KEY_ID_SIZE])
{
	struct buf value;

	buf_init(&value, X509_CERT_MAX);
	der_put(&value, DER_OCTET_STRING, span_of(id, KEY_ID_SIZE));
	put_extension(out, OID_SUBJECT_KEY_ID, false, &value);
}

static void put_authority_key_id(struct buf *out, struct span id)
{
	struct buf inner, value;

	buf_init(&inner, X509_CERT_MAX);
	buf_init(&value, X509_CERT_MAX);
	der_put(&inner, DER_CONTEXT | 0, id);
	der_put_wrapped(&value, DER_SEQUENCE, &inner);
	put_extension(out, OID_AUTHORITY_KEY_ID, false, &value);
}

static void put_ext_key_usage(struct buf *out, bool client)
{
	struct buf inner, value;

	buf_init(&inner, X509_CERT_MAX);
	buf_init(&value, X509_CERT_MAX);
	der_put(&inner, DER_OID, client ? OID_CLIENT_AUTH : OID_SERVER_AUTH);
	der_put_wrapped(&value, DER_SEQUENCE, &inner);
	put_extension(out, OID_EXT_KEY_USAGE, false, &value);
}

static void put_general_name(struct buf *out, const char *name)
{
	uint8_t ip[16];
	size_t n = x509_ip_parse(name, ip);

	if (n > 0)
		der_put(out, DER_CONTEXT | 7, span_of(ip, n));
	else
		der_put(out, DER_CONTEXT | 2, span_str(name));
}

static void put_alt_names(struct buf *out, const struct x509_leaf_opts *opts)
{
	struct buf inner, value;

	buf_init(&inner, X509_CERT_MAX);
	buf_init(&value, X509_CERT_MAX);
	put_general_name(&inner, opts->common_name);
	for (size_t i = 0; i < opts->alt_names_len; i++)
		if (strcmp(opts->alt_names[i], opts->common_name) != 0)
			put_general_name(&inner, opts->alt_names[i]);
	der_put_wrapped(&value, DER_SEQUENCE, &inner);
	put_extension(out, OID_SUBJECT_ALT_NAME, false, &value);
}

/* RFC 5280 4.2.1.2 (1): SHA-1 of the key's BIT STRING without its count of unused bits. */
static bool key_id(struct span public_key, uint8_t out[KEY_ID_SIZE])
{
	struct cur c = cur_of(public_key);
	struct der d;
	struct span bits;

	if (!der_expect(&c, DER_SEQUENCE, &d))
		return false;
	c = cur_of(d.body);
	if (!der_expect(&c, DER_SEQUENCE, &d) || !der_expect(&c, DER_BIT_STRING, &d) ||
	    d.body.len < 1)
		return false;
	bits = span_of(d.body.ptr + 1, d.body.len - 1);
	hash_once(HASH_SHA1, &bits, 1, out);
	return true;
}

static void put_tbs(struct buf *out, const struct content *what)
{
	static const uint8_t v3 = 2;
	uint8_t serial[SERIAL_SIZE];
	struct buf tbs, inner, list;

	buf_init(&tbs, X509_CERT_MAX);
	buf_init(&inner, X509_CERT_MAX);
	buf_init(&list, X509_CERT_MAX);
	der_put(&inner, DER_INTEGER, span_of(&v3, 1));
	der_put_wrapped(&tbs, DER_CONTEXT_CONSTRUCTED | 0, &inner);
	random_bytes(serial, sizeof(serial));
	serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and always of this length */
	der_put(&tbs, DER_INTEGER, span_of(serial, sizeof(serial)));
	put_algorithm(&tbs, OID_SHA256_RSA);
	der_put(&tbs, DER_SEQUENCE, what->issuer);
	der_put_time(&inner, what->not_before_s);
	der_put_time(&inner, what->not_after_s);
	der_put_wrapped(&tbs, DER_SEQUENCE, &inner);
	der_put(&tbs, DER_SEQUENCE, what->subject);
	buf_put_span(&tbs, what->public_key);
	der_put(&list, DER_SEQUENCE, what->extensions);
	der_put_wrapped(&tbs, DER_CONTEXT_CONSTRUCTED | 3, &list);
	der_put_wrapped(out, DER_SEQUENCE, &tbs);
}

/* PKCS#1 v1.5 with SHA-256, as a BIT STRING. */
static int put_signature(struct buf *out, struct span tbs, RsaKey *key, WC_RNG *rng)
{
	uint8_t digest[DIGEST_SIZE], signature[RSA_BITS_MAX / 8 + 1];
	struct buf inner, info;
	int n;

	hash_once(HASH_SHA256, &tbs, 1, digest);
	buf_init(&inner, X509_CERT_MAX);
	buf_init(&info, X509_CERT_MAX);
	put_algorithm(&inner, OID_SHA256);
	der_put(&inner, DER_OCTET_STRING, span_of(digest, sizeof(digest)));
	der_put_wrapped(&info, DER_SEQUENCE, &inner);
	if (info.err != 0)
		return info.err;
	signature[0] = 0; /* no unused bits */
	n = wc_RsaSSL_Sign(info.data, (word32)info.len, signature + 1, sizeof(signature) - 1, key,
	                   rng);
	buf_free(&info);
	if (n <= 0)
		return -ERR_INTERNAL;
	der_put(out, DER_BIT_STRING, span_of(signature, (size_t)n + 1));
	return out->err;
}

static int put_certificate(struct buf *out, const struct content *what, RsaKey *key, WC_RNG *rng)
{
	struct buf body;
	int r;

	buf_init(&body, X509_CERT_MAX);
	put_tbs(&body, what);
	r = body.err;
	if (r == 0) {
		struct buf signature;

		buf_init(&signature, X509_CERT_MAX);
		r = put_signature(&signature, buf_span(&body), key, rng);
		put_algorithm(&body, OID_SHA256_RSA);
		buf_put_span(&body, buf_span(&signature));
		buf_free(&signature);
	}
	der_put_wrapped(out, DER_SEQUENCE, &body);
	return r != 0 ? r : out->err;
}

/* A fresh key; its private part appended to key_der, its public part to public_der. */
static int make_key(RsaKey *key, int bits, WC_RNG *rng, struct buf *key_der, struct buf *public_der)
{
	uint8_t *to;
	int n;

	if (wc_MakeRsaKey(key, bits, EXPONENT, rng) != 0)
		return -ERR_INTERNAL;
	to = buf_reserve(key_der, X509_KEY_MAX);
	n = to != NULL ? wc_RsaKeyToDer(key, to, X509_KEY_MAX) : 0;
	if (n <= 0)
		return to == NULL ? key_der->err : -ERR_INTERNAL;
	key_der->len += (size_t)n;
	to = buf_reserve(public_der, X509_KEY_MAX);
	n = to != NULL ? wc_RsaKeyToPublicDer(key, to, X509_KEY_MAX) : 0;
	if (n <= 0)
		return to == NULL ? public_der->err : -ERR_INTERNAL;
	public_der->len += (size_t)n;
	return 0;
}

static int load_key(RsaKey *key, struct span der)
{
	word32 at = 0;
	int n;

	if (der.len == 0 || der.len > X509_KEY_MAX)
		return -ERR_CORRUPT;
	if (wc_RsaPrivateKeyDecode(der.ptr, &at, key, (word32)der.len) == 0)
		return 0;
	at = 0;
	n = wc_GetPkcs8TraditionalOffset((byte *)(uintptr_t)der.ptr, &at,
	                                 (word32)der.len); /* does not write to it */
	if (n <= 0 || wc_RsaPrivateKeyDecode(der.ptr, &at, key, (word32)der.len) != 0)
		return -ERR_CORRUPT;
	return wc_RsaEncryptSize(key) <= RSA_BITS_MAX / 8 ? 0 : -ERR_UNSUPPORTED;
}

static bool request_ok(const char *common_name, int64_t not_before_s, int64_t not_after_s)
{
	size_t n = strlen(common_name);

	return n >= 1 && n <= NAME_MAX_LEN && text_is_printable(span_str(common_name)) &&
	       not_before_s >= 0 && not_before_s <= not_after_s && not_after_s <= TIME_MAX_S;
}

static int root_under(RsaKey *key, WC_RNG *rng, struct content *what, struct x509_pair *out)
{
	struct buf public_key, extensions;
	uint8_t id[KEY_ID_SIZE];
	int r;

	buf_init(&public_key, X509_CERT_MAX);
	buf_init(&extensions, X509_CERT_MAX);
	r = make_key(key, ROOT_BITS, rng, &out->key, &public_key);
	if (r == 0 && !key_id(buf_span(&public_key), id))
		r = -ERR_INTERNAL;
	if (r == 0) {
		put_basic_constraints(&extensions, true);
		put_key_usage(&extensions, 0x06, 1); /* keyCertSign, cRLSign */
		put_subject_key_id(&extensions, id);
		what->public_key = buf_span(&public_key);
		what->extensions = buf_span(&extensions);
		r = extensions.err != 0 ? extensions.err
		                        : put_certificate(&out->cert, what, key, rng);
	}
	buf_free(&public_key);
	buf_free(&extensions);
	return r;
}

/* The issuer's key identifier: its own extension, or computed. */
static bool issuer_key_id(const struct x509_parts *root, uint8_t computed[KEY_ID_SIZE],
                          struct span *out)
{
	struct span value;
	struct cur c;
	struct der d;

	if (x509_find_extension(root, OID_SUBJECT_KEY_ID, &value)) {
		c = cur_of(value);
		if (!der_expect(&c, DER_OCTET_STRING, &d))
			return false;
		*out = d.body;
		return true;
	}
	*out = span_of(computed, KEY_ID_SIZE);
	return key_id(root->public_key, computed);
}

static int leaf_extensions(const struct x509_leaf_opts *opts, const struct x509_parts *root,
                           struct span public_key, struct buf *out)
{
	uint8_t id[KEY_ID_SIZE], issuer_computed[KEY_ID_SIZE];
	struct span issuer_id;

	if (!key_id(public_key, id))
		return -ERR_INTERNAL;
	if (!issuer_key_id(root, issuer_computed, &issuer_id))
		return -ERR_CORRUPT;
	put_basic_constraints(out, false);
	put_key_usage(out, 0xa0, 5); /* digitalSignature, keyEncipherment */
	put_ext_key_usage(out, opts->client_auth);
	put_alt_names(out, opts);
	put_subject_key_id(out, id);
	put_authority_key_id(out, issuer_id);
	return out->err;
}

static int leaf_under(const struct x509_pair *root, const struct x509_leaf_opts *opts, WC_RNG *rng,
                      struct x509_pair *out)
{
	struct content what = {.not_before_s = opts->not_before_s,
	                       .not_after_s = opts->not_after_s};
	struct buf public_key, extensions, subject;
	struct x509_parts issuer;
	RsaKey key, root_key;
	int r;

	if (!x509_split(buf_span(&root->cert), &issuer))
		return -ERR_CORRUPT;
	buf_init(&public_key, X509_CERT_MAX);
	buf_init(&extensions, X509_CERT_MAX);
	buf_init(&subject, X509_CERT_MAX);
	ASSERT(wc_InitRsaKey(&key, NULL) == 0 && wc_InitRsaKey(&root_key, NULL) == 0);
	ASSERT(wc_RsaSetRNG(&root_key, rng) == 0); /* blinding */
	r = load_key(&root_key, buf_span(&root->key));
	if (r == 0)
		r = make_key(&key, LEAF_BITS, rng, &out->key, &public_key);
	if (r == 0)
		r = leaf_extensions(opts, &issuer, buf_span(&public_key), &extensions);
	if (r == 0) {
		put_name(&subject, opts->common_name);
		what.issuer = issuer.subject;
		what.subject = buf_span(&subject);
		what.public_key = buf_span(&public_key);
		what.extensions = buf_span(&extensions);
		r = subject.err != 0 ? subject.err
		                     : put_certificate(&out->cert, &what, &root_key, rng);
	}
	(void)wc_FreeRsaKey(&key);
	(void)wc_FreeRsaKey(&root_key);
	buf_free(&public_key);
	buf_free(&extensions);
	buf_free(&subject);
	return r;
}

static void restart(struct x509_pair *out)
{
	buf_clear(&out->cert);
	buf_clear(&out->key);
}

int x509_make_root(const char *common_name, int64_t not_before_s, int64_t not_after_s,
                   struct x509_pair *out)
{
	struct content what = {.not_before_s = not_before_s, .not_after_s = not_after_s};
	struct buf name;
	RsaKey key;
	WC_RNG rng;
	int r;

	if (!request_ok(common_name, not_before_s, not_after_s))
		return -ERR_INVALID;
	crypto_init();
	restart(out);
	ASSERT(wc_InitRng(&rng) == 0 && wc_InitRsaKey(&key, NULL) == 0);
	ASSERT(wc_RsaSetRNG(&key, &rng) == 0); /* blinding */
	buf_init(&name, X509_CERT_MAX);
	put_name(&name, common_name);
	what.issuer = buf_span(&name);
	what.subject = buf_span(&name);
	r = name.err != 0 ? name.err : root_under(&key, &rng, &what, out);
	buf_free(&name);
	(void)wc_FreeRsaKey(&key);
	(void)wc_FreeRng(&rng);
	return r;
}

int x509_make_leaf(const struct x509_pair *root, const struct x509_leaf_opts *opts,
                   struct x509_pair *out)
{
	WC_RNG rng;
	int r;

	if (!request_ok(opts->common_name, opts->not_before_s, opts->not_after_s))
		return -ERR_INVALID;
	for (size_t i = 0; i < opts->alt_names_len; i++)
		if (opts->alt_names[i][0] == '\0' ||
		    !text_is_printable(span_str(opts->alt_names[i])))
			return -ERR_INVALID;
	crypto_init();
	restart(out);
	ASSERT(wc_InitRng(&rng) == 0);
	r = leaf_under(root, opts, &rng, out);
	(void)wc_FreeRng(&rng);
	return r;
}
