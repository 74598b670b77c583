/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * der.h: reads and writes the part of DER that certificates and keys need: definite lengths, tags of one octet. The reader
 * borrows and checks every bound; it is safe on hostile input. Any thread.
 */
#pragma once

#include "core/buf.h"

enum {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_UTF8 = 0x0c,
	DER_PRINTABLE = 0x13,
	DER_T61 = 0x14,
	DER_IA5 = 0x16,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_BMP = 0x1e,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT = 0x80,            /* | number: implicit, primitive */
	DER_CONTEXT_CONSTRUCTED = 0xa0 /* | number */
};

/* One element: its tag, its content, and the element as a whole. All borrowed from the input. */
struct der {
	uint8_t tag;
	struct span body;
	struct span whole;
};

/* der_next: takes the next element off c. False at the end or (c->err set to -ERR_CORRUPT) if it is not well formed. */
bool der_next(struct cur *c, struct der *out);
/* der_expect: as der_next; anything but this tag is an error too. */
bool der_expect(struct cur *c, uint8_t tag, struct der *out);
/* der_optional: takes the next element only if it has this tag. */
bool der_optional(struct cur *c, uint8_t tag, struct der *out);

/* der_time: UTCTime or GeneralizedTime in the only form that RFC 5280 allows (seconds, "Z"), as Unix seconds. 0 or -ERR_CORRUPT. */
int der_time(const struct der *d, int64_t *out_s) MUST_CHECK;

/* der_put: appends one element. */
void der_put(struct buf *out, uint8_t tag, struct span body);
/* der_put_wrapped: appends an element whose content is inner, and empties inner; inner's error becomes out's. */
void der_put_wrapped(struct buf *out, uint8_t tag, struct buf *inner);
/* der_put_time: UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280 4.1.2.5). time_s: 0..9999-12-31. */
void der_put_time(struct buf *out, int64_t time_s);
