/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * scan.h: comparing, trimming and splitting of borrowed text, for the parsers of this folder. Any
 * thread.
 */
#pragma once

#include "core/base.h"

/* scan_equal(s, t): the same bytes. */
bool scan_equal(struct span s, const char *t);

/* scan_equal_nocase(s, t): the same but for the case of ASCII letters. */
bool scan_equal_nocase(struct span s, const char *t);

/* scan_trim(s): without spaces and tabs at both ends. */
struct span scan_trim(struct span s);

/* scan_skip(s, n): without the first n bytes; n is at most s.len. */
static inline struct span scan_skip(struct span s, size_t n)
{
	return span_of(s.ptr + n, s.len - n);
}

/*
 * scan_u64(s, out): decimal digits only, at least one. 0, or -ERR_INVALID (also when it does not
 * fit).
 */
int scan_u64(struct span s, uint64_t *out);

/* scan_hex_digit(c): 0..15, or -1. */
int scan_hex_digit(uint8_t c);

/*
 * scan_list_next(list, item): takes the next item of a comma-separated list off its front, trimmed;
 * empty items are skipped. False at the end. Commas within quotes are not treated specially.
 */
bool scan_list_next(struct span *list, struct span *item);

/* scan_list_has(list, token): whether a comma-separated list holds the token, in any case. */
bool scan_list_has(struct span list, const char *token);

/* scan_is_token(s): a non-empty HTTP token (RFC 9110 5.6.2). */
bool scan_is_token(struct span s);

/* scan_token_len(s): how many bytes at the front may stand in a token. */
size_t scan_token_len(struct span s);
