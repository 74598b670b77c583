/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scan.c: small text scanning. ASCII only and independent of the locale. */
#include "wire/scan.h"
#include "core/err.h"

#include <string.h>

bool scan_equal(struct span s, const char *t)
{
	size_t n = strlen(t);

	return s.len == n && (n == 0 || memcmp(s.ptr, t, n) == 0);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool scan_equal_nocase(struct span s, const char *t)
{
	if (s.len != strlen(t))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (lower(s.ptr[i]) != lower((uint8_t)t[i]))
			return false;
	return true;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

struct span scan_trim(struct span s)
{
	while (s.len > 0 && is_blank(s.ptr[0]))
		s = scan_skip(s, 1);
	while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

int scan_u64(struct span s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.len == 0)
		return -ERR_INVALID;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return -ERR_INVALID;
		if (__builtin_mul_overflow(v, 10U, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.ptr[i] - '0'), &v))
			return -ERR_INVALID;
	}
	*out = v;
	return 0;
}

int scan_hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool scan_list_next(struct span *list, struct span *item)
{
	while (list->len > 0) {
		const uint8_t *comma = memchr(list->ptr, ',', list->len);
		size_t n = comma != NULL ? (size_t)(comma - list->ptr) : list->len;

		*item = scan_trim(span_of(list->ptr, n));
		*list = scan_skip(*list, comma != NULL ? n + 1 : n);
		if (item->len > 0)
			return true;
	}
	return false;
}

bool scan_list_has(struct span list, const char *token)
{
	struct span item;

	while (scan_list_next(&list, &item))
		if (scan_equal_nocase(item, token))
			return true;
	return false;
}

static bool is_token_char(uint8_t c)
{
	if ((c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z'))
		return true;
	return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

size_t scan_token_len(struct span s)
{
	size_t n = 0;

	while (n < s.len && is_token_char(s.ptr[n]))
		n++;
	return n;
}

bool scan_is_token(struct span s)
{
	return s.len > 0 && scan_token_len(s) == s.len;
}
