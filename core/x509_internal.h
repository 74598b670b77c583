/* SPDX-License-Identifier: GPL-3.0-or-later */
/* x509_internal.h: what core/x509*.c share. Nobody else includes it. */
#pragma once

#include "core/der.h"

/* The parts of a certificate (RFC 5280 4.1), borrowed from it. Names without their outer SEQUENCE. */
struct x509_parts {
	struct span serial, issuer, subject, extensions;
	struct span public_key; /* the subjectPublicKeyInfo, whole */
	struct der not_before, not_after;
};

/* x509_split: false if it is not a well-formed certificate of at most X509_CERT_MAX octets. */
bool x509_split(struct span der, struct x509_parts *out);

/* x509_find_extension: its value (inside the OCTET STRING); false if it is not there. */
bool x509_find_extension(const struct x509_parts *p, struct span oid, struct span *out);

#define X509_CERT_MAX (64u * 1024)
#define X509_KEY_MAX  (16u * 1024)

#define OID_SPAN(...) \
	span_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define OID_COMMON_NAME       OID_SPAN(0x55, 0x04, 0x03)
#define OID_SUBJECT_KEY_ID    OID_SPAN(0x55, 0x1d, 0x0e)
#define OID_KEY_USAGE         OID_SPAN(0x55, 0x1d, 0x0f)
#define OID_SUBJECT_ALT_NAME  OID_SPAN(0x55, 0x1d, 0x11)
#define OID_BASIC_CONSTRAINTS OID_SPAN(0x55, 0x1d, 0x13)
#define OID_AUTHORITY_KEY_ID  OID_SPAN(0x55, 0x1d, 0x23)
#define OID_EXT_KEY_USAGE     OID_SPAN(0x55, 0x1d, 0x25)
