/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * x509.h: makes and reads the certificates that Causeway needs: its root, the leaves under it, and facts about others'.
 * Any thread. DER in, DER out; PEM helpers for files. Requirements of AMT: apf.md section 2, design section 4.
 */
#pragma once

#include "core/buf.h"

/* A private key and certificate in DER; the key is overwritten by x509_pair_free. */
struct x509_pair {
	struct buf cert;
	struct buf key; /* PKCS#1 RSAPrivateKey or PKCS#8, as TLS takes it */
};

void x509_pair_init(struct x509_pair *p);
void x509_pair_free(struct x509_pair *p);

struct x509_leaf_opts {
	const char *common_name; /* also becomes a SAN (DNS or IP, whichever it is) */
	const char *const
		*alt_names; /* more DNS names and IP addresses, told apart by their form */
	size_t alt_names_len;
	int64_t not_before_s, not_after_s; /* Unix seconds */
	bool client_auth;                  /* EKU clientAuth instead of serverAuth */
};

/*
 * Both makers: the dates are taken to the second, 1970..9999. common_name: 1..64 printable ASCII characters. -ERR_INVALID if
 * these do not hold, -ERR_CORRUPT if the root cannot be read, -ERR_NOMEM. out is overwritten.
 */
/* x509_make_root: self-signed RSA-3072, SHA-256, CA:true, keyCertSign + cRLSign, DER <= 4100 octets. Slow (seconds). */
int x509_make_root(const char *common_name, int64_t not_before_s, int64_t not_after_s,
                   struct x509_pair *out) MUST_CHECK;

/* x509_make_leaf: RSA-2048, SHA-256, KU digitalSignature + keyEncipherment, SKI/AKI, random serial, issued by root. */
int x509_make_leaf(const struct x509_pair *root, const struct x509_leaf_opts *opts,
                   struct x509_pair *out) MUST_CHECK;

struct x509_info {
	char subject_cn[128];
	char issuer_cn[128];
	int64_t not_before_s, not_after_s;
	uint8_t sha256[32]; /* fingerprint of the DER */
	char serial_hex[65];
	bool is_ca;
};

/* x509_read(der, info): facts about one certificate, not verified. 0, -ERR_CORRUPT. Safe on hostile input. */
int x509_read(struct span der, struct x509_info *info) MUST_CHECK;

/*
 * x509_matches_host: whether the certificate is for this DNS name or IP address: the subject alternative names decide; the CN
 * only counts if there is no DNS or IP name among them. Safe on hostile input.
 */
bool x509_matches_host(struct span der, const char *host);

/* x509_ip_parse: 4 or 16 octets of an IPv4 or IPv6 address in out, or 0 if the text is something else. */
size_t x509_ip_parse(const char *text, uint8_t out[16]);

/* x509_key_matches(cert, key): whether the DER private key belongs to the certificate. */
bool x509_key_matches(struct span cert_der, struct span key_der);

/* pem_encode(label, der, out): appends "-----BEGIN label-----" ... lines of 64 characters. */
void pem_encode(const char *label, struct span der, struct buf *out);
/*
 * pem_decode(text, label, nth, out): appends the content of the nth block (from 0) with this label ("CERTIFICATE"; NULL: any
 * "... PRIVATE KEY"). -ERR_NOT_FOUND, -ERR_CORRUPT, -ERR_UNSUPPORTED (an encrypted key), -ERR_TOO_BIG (out's cap).
 */
int pem_decode(struct span text, const char *label, size_t nth, struct buf *out) MUST_CHECK;
