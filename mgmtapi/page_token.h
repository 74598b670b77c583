/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * page_token.h: the opaque tokens of lists and watches: a position, bound to the request that it belongs to, with a truncated HMAC under
 * a key of the store, so that what comes back is what was given out. Pure; any thread.
 */
#pragma once

#include "core/base.h"

#define PAGE_TOKEN_KEY_SIZE 32
#define PAGE_POSITION_MAX   96  /* octets of a position */
#define PAGE_TOKEN_TEXT_MAX 192 /* with its NUL */

/*
 * page_token_write: position.len <= PAGE_POSITION_MAX. context: what must be the same in the next request (method, filter, caller).
 * Writes text of [A-Za-z0-9_-].
 */
void page_token_write(const uint8_t key[PAGE_TOKEN_KEY_SIZE], struct span context,
                      struct span position, char out[PAGE_TOKEN_TEXT_MAX]);
/* page_token_read: the position into out[PAGE_POSITION_MAX]; its length, or -ERR_INVALID: not ours, or of another request. */
ssize_t page_token_read(const uint8_t key[PAGE_TOKEN_KEY_SIZE], struct span context,
                        const char *text, uint8_t *out) MUST_CHECK;
