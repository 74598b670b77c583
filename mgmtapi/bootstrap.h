/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bootstrap.h: the first start's administrator token. */
#pragma once

#include "core/buf.h"
#include "store/store.h"

#define TOKEN_PREFIX   "cwt_"
#define TOKEN_TEXT_MAX 96

/* token_make: a new random token: id and SHA-256 into out, the token's text (shown once) into text. Times are left to the caller. */
void token_make(struct store_token *out, char text[TOKEN_TEXT_MAX]);

/*
 * bootstrap_admin_token: makes an administrator token and writes it to dir/admin.token (0600) if the store has no valid administrator
 * token without group limits, or if it has none but one from here whose file is gone. Never overwrites a file. 0 or negative with why. Before
 * the loops run.
 */
int bootstrap_admin_token(struct store *store, const char *dir, struct buf *why) MUST_CHECK;
