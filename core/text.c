/* SPDX-License-Identifier: GPL-3.0-or-later */
/* text.c: hexadecimal, base64, GUID text and secret handling. */
#include "core/text.h"
#include "core/err.h"

#include <string.h>

bool str_copy_span(char *dst, size_t size, struct span s)
{
	size_t n = s.len < size ? s.len : size - 1;
	const void *nul = n > 0 ? memchr(s.ptr, '\0', n) : NULL;

	ASSERT(size > 0);
	if (nul != NULL)
		n = (size_t)((const uint8_t *)nul - s.ptr);
	if (n > 0)
		memcpy(dst, s.ptr, n);
	dst[n] = '\0';
	return n == s.len;
}

bool str_copy(char *dst, size_t size, const char *src)
{
	return str_copy_span(dst, size, span_str(src));
}

bool span_is(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

void hex_encode(char *dst, struct span src)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < src.len; i++) {
		*dst++ = digits[src.ptr[i] >> 4];
		*dst++ = digits[src.ptr[i] & 15];
	}
	*dst = '\0';
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

ssize_t hex_decode(uint8_t *dst, size_t size, struct span text)
{
	if (text.len % 2 != 0)
		return -ERR_INVALID;
	if (text.len / 2 > size)
		return -ERR_TOO_BIG;
	for (size_t i = 0; i < text.len; i += 2) {
		int hi = hex_digit(text.ptr[i]), lo = hex_digit(text.ptr[i + 1]);

		if (hi < 0 || lo < 0)
			return -ERR_INVALID;
		dst[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	return (ssize_t)(text.len / 2);
}

size_t base64_encoded_len(size_t n)
{
	return (n + 2) / 3 * 4;
}

size_t base64_encode(char *dst, struct span src, bool pad)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *p = dst;

	for (size_t i = 0; i < src.len; i += 3) {
		size_t n = MIN(src.len - i, (size_t)3);
		uint32_t v = (uint32_t)src.ptr[i] << 16;

		v |= n > 1 ? (uint32_t)src.ptr[i + 1] << 8 : 0;
		v |= n > 2 ? (uint32_t)src.ptr[i + 2] : 0;
		*p++ = alphabet[v >> 18];
		*p++ = alphabet[v >> 12 & 63];
		if (n > 1)
			*p++ = alphabet[v >> 6 & 63];
		else if (pad)
			*p++ = '=';
		if (n > 2)
			*p++ = alphabet[v & 63];
		else if (pad)
			*p++ = '=';
	}
	*p = '\0';
	return (size_t)(p - dst);
}

static int base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

ssize_t base64_decode(uint8_t *dst, size_t size, struct span text)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t out = 0, n = text.len;

	for (unsigned i = 0; i < 2 && n > 0 && text.ptr[n - 1] == '='; i++)
		n--;
	if ((n != text.len && text.len % 4 != 0) || n % 4 == 1)
		return -ERR_INVALID;
	for (size_t i = 0; i < n; i++) {
		int d = base64_digit(text.ptr[i]);

		if (d < 0)
			return -ERR_INVALID;
		acc = acc << 6 | (uint32_t)d;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (out == size)
			return -ERR_TOO_BIG;
		dst[out++] = (uint8_t)(acc >> bits);
		acc &= (1u << bits) - 1;
	}
	return acc == 0 ? (ssize_t)out : -ERR_INVALID;
}

/* Where each octet of the canonical text stands on the wire (apf.md 3.1). */
static const uint8_t guid_order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

void guid_format(const struct guid *g, char out[GUID_TEXT_LEN + 1])
{
	char *p = out;

	for (size_t i = 0; i < 16; i++) {
		hex_encode(p, span_of(&g->b[guid_order[i]], 1));
		p += 2;
		if (i == 3 || i == 5 || i == 7 || i == 9)
			*p++ = '-';
	}
	*p = '\0';
}

int guid_parse(struct span text, struct guid *g)
{
	const uint8_t *p = text.ptr;

	if (text.len != GUID_TEXT_LEN)
		return -ERR_INVALID;
	for (size_t i = 0; i < 16; i++) {
		if (hex_decode(&g->b[guid_order[i]], 1, span_of(p, 2)) != 1)
			return -ERR_INVALID;
		p += 2;
		if (i == 3 || i == 5 || i == 7 || i == 9) {
			if (*p++ != '-')
				return -ERR_INVALID;
		}
	}
	return 0;
}

bool guid_equal(const struct guid *a, const struct guid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool guid_is_placeholder(const struct guid *g)
{
	/* 03000200-0400-0500-0006-000700080009 (AMI default) and 78563412-0009-0000-.... (rpc-go#1119) */
	static const uint8_t ami[16] = {0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9};
	static const uint8_t seq[6] = {0x12, 0x34, 0x56, 0x78, 0x09, 0x00};
	size_t same = 1;

	while (same < 16 && g->b[same] == g->b[0])
		same++;
	if (same == 16 && (g->b[0] == 0x00 || g->b[0] == 0xff))
		return true;
	return memcmp(g->b, ami, sizeof(ami)) == 0 || memcmp(g->b, seq, sizeof(seq)) == 0;
}

bool secret_equal(struct span a, struct span b)
{
	uint8_t diff = 0;

	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		diff |= (uint8_t)(a.ptr[i] ^ b.ptr[i]);
	return diff == 0;
}

void secret_zero(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

bool text_is_printable(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e)
			return false;
	return true;
}
