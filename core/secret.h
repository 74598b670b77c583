/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * secret.h: the type in which passwords, tokens and keys travel, so that they cannot slip into a log, a metric or a message by
 * accident: no formatter takes it. Memory is overwritten before it is released. Any thread, one at a time per object.
 */
#pragma once

#include "core/base.h"

#define SECRET_MAX (64 * 1024)

/* An all-zero struct is an empty secret that owns nothing. */
struct secret {
	uint8_t *hidden; /* len octets and a NUL; use secret_reveal */
	size_t len;
};

/* secret_set: copies; the old content is overwritten first. 0, -ERR_TOO_BIG or -ERR_NOMEM (then empty). */
int secret_set(struct secret *s, struct span value) MUST_CHECK;
/* secret_clear: overwrites and releases. */
void secret_clear(struct secret *s);
/* secret_reveal: the bytes, borrowed until the secret changes; a NUL follows them. */
struct span secret_reveal(const struct secret *s);
/* secret_matches: in time that depends only on the lengths. */
bool secret_matches(const struct secret *s, struct span candidate);
