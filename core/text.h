/* SPDX-License-Identifier: GPL-3.0-or-later */
/* text.h: small text forms: hexadecimal, base64, GUIDs, bounded copies, constant-time compare. Any thread. */
#pragma once

#include "core/base.h"

/* str_copy(dst, size, src): copies with a NUL; false (and a truncated copy) if it did not fit. size > 0. */
bool str_copy(char *dst, size_t size, const char *src);
/* str_copy_span: the same from a span; embedded NULs end the copy and return false. */
bool str_copy_span(char *dst, size_t size, struct span s);

/* span_is: the octets of s are exactly those of text. */
bool span_is(struct span s, const char *text);

/* hex_encode(dst, src): lower-case, writes 2*len+1 bytes with NUL. dst must have room. */
void hex_encode(char *dst, struct span src);
/* hex_decode(dst, size, text): number of bytes, or -ERR_INVALID / -ERR_TOO_BIG. */
ssize_t hex_decode(uint8_t *dst, size_t size, struct span text);

/* base64_encoded_len(n): bytes that base64_encode writes with padding, without the NUL. */
size_t base64_encoded_len(size_t n);
/* base64_encode: standard alphabet; pad selects '='; writes a NUL; returns the text length. */
size_t base64_encode(char *dst, struct span src, bool pad);
/* base64_decode: standard or URL alphabet, padded or not, no white space; count or -ERR_INVALID/-ERR_TOO_BIG. */
ssize_t base64_decode(uint8_t *dst, size_t size, struct span text);

/*
 * A system UUID exactly as it travels on the wire: SMBIOS order, the first three fields little-endian
 * (reference: apf.md 3.1). The canonical text swaps them: wire 44454c4c 3900 1034 8052... is 4c4c4544-0039-3410-8052-...
 */
struct guid {
	uint8_t b[16];
};
#define GUID_TEXT_LEN 36

/* guid_format(g, out): canonical lower-case text with NUL into out[37]. */
void guid_format(const struct guid *g, char out[GUID_TEXT_LEN + 1]);
/* guid_parse(text, g): canonical text in either case; 0 or -ERR_INVALID. */
int guid_parse(struct span text, struct guid *g);
bool guid_equal(const struct guid *a, const struct guid *b);
/* guid_is_placeholder: all zero, all ones, or a vendor placeholder that several machines share (apf.md 3.1). */
bool guid_is_placeholder(const struct guid *g);

/* secret_equal: compares in time that depends only on the lengths; false if they differ. */
bool secret_equal(struct span a, struct span b);
/* secret_zero: overwrites memory in a way that the compiler keeps. */
void secret_zero(void *p, size_t n);

/* text_is_printable: only 0x20..0x7e. */
bool text_is_printable(struct span s);
