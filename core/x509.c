/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * x509.c: reads certificates with an own bounded walk over the DER, so that the facts do not depend on what wolfSSL makes of
 * a hostile certificate, and compares names. Any thread; nothing is kept.
 */
#include <wolfssl/options.h>

#include "core/base.h" /* before wolfSSL, which defines MIN and MAX only if nobody has */

#include <wolfssl/ssl.h>

#include "core/crypto.h"
#include "core/err.h"
#include "core/text.h"
#include "core/x509.h"
#include "core/x509_internal.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define SERIAL_MAX       32
#define NAME_ENTRIES_MAX 64 /* RDNs, SAN entries and extensions looked at */

static bool is_oid(const struct der *d, struct span oid)
{
	return d->tag == DER_OID && d->body.len == oid.len &&
	       memcmp(d->body.ptr, oid.ptr, oid.len) == 0;
}

static bool split_validity(struct span s, struct x509_parts *p)
{
	struct cur c = cur_of(s);

	return der_next(&c, &p->not_before) && der_next(&c, &p->not_after) && c.left == 0;
}

static bool split_tbs(struct span tbs, struct x509_parts *p)
{
	struct cur c = cur_of(tbs);
	struct der d;

	(void)der_optional(&c, DER_CONTEXT_CONSTRUCTED | 0, &d); /* version */
	if (!der_expect(&c, DER_INTEGER, &d))
		return false;
	p->serial = d.body;
	if (!der_expect(&c, DER_SEQUENCE, &d)) /* signature algorithm */
		return false;
	if (!der_expect(&c, DER_SEQUENCE, &d))
		return false;
	p->issuer = d.body;
	if (!der_expect(&c, DER_SEQUENCE, &d) || !split_validity(d.body, p))
		return false;
	if (!der_expect(&c, DER_SEQUENCE, &d))
		return false;
	p->subject = d.body;
	if (!der_expect(&c, DER_SEQUENCE, &d))
		return false;
	p->public_key = d.whole;
	(void)der_optional(&c, DER_CONTEXT | 1, &d);
	(void)der_optional(&c, DER_CONTEXT | 2, &d);
	if (der_optional(&c, DER_CONTEXT_CONSTRUCTED | 3, &d)) {
		struct cur inner = cur_of(d.body);

		if (!der_expect(&inner, DER_SEQUENCE, &d))
			return false;
		p->extensions = d.body;
	}
	return c.err == 0 && c.left == 0;
}

bool x509_split(struct span der, struct x509_parts *p)
{
	struct cur c = cur_of(der), inner;
	struct der cert, tbs, d;

	*p = (struct x509_parts){0};
	if (der.len > X509_CERT_MAX || !der_expect(&c, DER_SEQUENCE, &cert) || c.left != 0)
		return false;
	inner = cur_of(cert.body);
	return der_expect(&inner, DER_SEQUENCE, &tbs) && der_expect(&inner, DER_SEQUENCE, &d) &&
	       der_expect(&inner, DER_BIT_STRING, &d) && inner.left == 0 && split_tbs(tbs.body, p);
}

/* Text of a directory string for people: printable ASCII; anything else, and a NUL above all, becomes '?'. */
static void copy_name(char *dst, size_t size, const struct der *value)
{
	size_t step = value->tag == DER_BMP ? 2 : 1, n = 0;

	for (size_t i = step - 1; i < value->body.len && n + 1 < size; i += step) {
		uint8_t ch = value->body.ptr[i];

		if (ch < 0x20 || ch > 0x7e || (step == 2 && value->body.ptr[i - 1] != 0))
			ch = '?';
		dst[n++] = (char)ch;
	}
	dst[n] = '\0';
}

/* The last CN of a name, which is the most specific one; "" if there is none. */
static bool read_common_name(struct span name, char *dst, size_t size)
{
	struct cur c = cur_of(name);
	struct der set, pair, oid, value;

	dst[0] = '\0';
	for (size_t i = 0; i < NAME_ENTRIES_MAX && der_next(&c, &set); i++) {
		struct cur in_set = cur_of(set.body);

		for (size_t j = 0; j < NAME_ENTRIES_MAX && der_next(&in_set, &pair); j++) {
			struct cur in_pair = cur_of(pair.body);

			if (!der_next(&in_pair, &oid) || !der_next(&in_pair, &value))
				return false;
			if (is_oid(&oid, OID_COMMON_NAME))
				copy_name(dst, size, &value);
		}
		if (in_set.err != 0)
			return false;
	}
	return c.err == 0;
}

bool x509_find_extension(const struct x509_parts *p, struct span oid, struct span *out)
{
	struct cur c = cur_of(p->extensions);
	struct der ext, id, value, critical;

	for (size_t i = 0; i < NAME_ENTRIES_MAX && der_next(&c, &ext); i++) {
		struct cur inner = cur_of(ext.body);

		if (!der_next(&inner, &id) || !is_oid(&id, oid))
			continue;
		(void)der_optional(&inner, DER_BOOLEAN, &critical);
		if (!der_expect(&inner, DER_OCTET_STRING, &value))
			return false;
		*out = value.body;
		return true;
	}
	return false;
}

static bool read_is_ca(const struct x509_parts *p)
{
	struct span s;
	struct cur c;
	struct der d;

	if (!x509_find_extension(p, OID_BASIC_CONSTRAINTS, &s))
		return false;
	c = cur_of(s);
	if (!der_expect(&c, DER_SEQUENCE, &d))
		return false;
	c = cur_of(d.body);
	return der_optional(&c, DER_BOOLEAN, &d) && d.body.len == 1 && d.body.ptr[0] != 0;
}

int x509_read(struct span der, struct x509_info *info)
{
	struct x509_parts p;

	*info = (struct x509_info){0};
	if (!x509_split(der, &p) ||
	    !read_common_name(p.subject, info->subject_cn, sizeof(info->subject_cn)) ||
	    !read_common_name(p.issuer, info->issuer_cn, sizeof(info->issuer_cn)))
		return -ERR_CORRUPT;
	if (der_time(&p.not_before, &info->not_before_s) != 0 ||
	    der_time(&p.not_after, &info->not_after_s) != 0)
		return -ERR_CORRUPT;
	if (p.serial.len > 1 && p.serial.ptr[0] == 0)
		p.serial = span_of(p.serial.ptr + 1, p.serial.len - 1);
	if (p.serial.len == 0 || p.serial.len > SERIAL_MAX)
		return -ERR_CORRUPT;
	hex_encode(info->serial_hex, p.serial);
	info->is_ca = read_is_ca(&p);
	hash_once(HASH_SHA256, &der, 1, info->sha256);
	return 0;
}

static bool same_text(struct span a, struct span b)
{
	return a.len == b.len && strncasecmp((const char *)a.ptr, (const char *)b.ptr, a.len) == 0;
}

/* A pattern of a certificate against a host name: equal, or "*." for exactly one label in front of at least two (RFC 9525 6.3). */
static bool dns_matches(struct span pattern, struct span host)
{
	const uint8_t *dot, *second;
	struct span rest;

	if (host.len > 0 && host.ptr[host.len - 1] == '.')
		host.len--;
	if (host.len == 0 || pattern.len == 0 || memchr(pattern.ptr, '\0', pattern.len) != NULL)
		return false;
	if (same_text(pattern, host))
		return true;
	dot = memchr(host.ptr, '.', host.len);
	if (pattern.len < 3 || pattern.ptr[0] != '*' || pattern.ptr[1] != '.' || dot == NULL ||
	    dot == host.ptr)
		return false;
	rest = span_of(dot, host.len - (size_t)(dot - host.ptr));
	second = memchr(rest.ptr + 1, '.', rest.len - 1);
	return second != NULL && same_text(span_of(pattern.ptr + 1, pattern.len - 1), rest);
}

size_t x509_ip_parse(const char *text, uint8_t out[16])
{
	if (inet_pton(AF_INET, text, out) == 1)
		return 4;
	return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

/* 1 matches, 0 does not though there are DNS or IP names, -1 there are none. */
static int match_alt_names(const struct x509_parts *p, const char *host)
{
	struct span s, ip, name = span_str(host);
	uint8_t octets[16];
	struct der d;
	struct cur c;
	int result = -1;

	ip = span_of(octets, x509_ip_parse(host, octets));
	if (!x509_find_extension(p, OID_SUBJECT_ALT_NAME, &s))
		return -1;
	c = cur_of(s);
	if (!der_expect(&c, DER_SEQUENCE, &d))
		return 0;
	c = cur_of(d.body);
	for (size_t i = 0; i < NAME_ENTRIES_MAX && der_next(&c, &d); i++) {
		if (d.tag == (DER_CONTEXT | 7) || d.tag == (DER_CONTEXT | 2))
			result = 0;
		if (d.tag == (DER_CONTEXT | 7) && ip.len > 0 && d.body.len == ip.len &&
		    memcmp(d.body.ptr, octets, ip.len) == 0)
			return 1;
		if (d.tag == (DER_CONTEXT | 2) && ip.len == 0 && dns_matches(d.body, name))
			return 1;
	}
	return c.err != 0 ? 0 : result;
}

bool x509_matches_host(struct span der, const char *host)
{
	char cn[sizeof(((struct x509_info *)NULL)->subject_cn)];
	struct x509_parts p;
	int r;

	if (!x509_split(der, &p))
		return false;
	r = match_alt_names(&p, host);
	if (r >= 0)
		return r == 1;
	return read_common_name(p.subject, cn, sizeof(cn)) &&
	       dns_matches(span_str(cn), span_str(host));
}

void x509_pair_init(struct x509_pair *p)
{
	buf_init(&p->cert, X509_CERT_MAX);
	buf_init(&p->key, X509_KEY_MAX);
}

void x509_pair_free(struct x509_pair *p)
{
	buf_free(&p->cert);
	buf_free_secret(&p->key);
}

bool x509_key_matches(struct span cert_der, struct span key_der)
{
	WOLFSSL_CTX *ctx;
	bool ok;

	if (cert_der.len == 0 || cert_der.len > X509_CERT_MAX || key_der.len == 0 ||
	    key_der.len > X509_KEY_MAX)
		return false;
	crypto_init();
	ctx = wolfSSL_CTX_new(wolfTLSv1_2_server_method());
	if (ctx == NULL)
		return false;
	ok = wolfSSL_CTX_use_certificate_buffer(ctx, cert_der.ptr, (long)cert_der.len,
	                                        WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS &&
	     wolfSSL_CTX_use_PrivateKey_buffer(ctx, key_der.ptr, (long)key_der.len,
	                                       WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS &&
	     wolfSSL_CTX_check_private_key(ctx) == WOLFSSL_SUCCESS;
	wolfSSL_CTX_free(ctx);
	return ok;
}
