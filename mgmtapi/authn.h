/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * authn.h: from what a caller shows (bearer token, client certificate) to a principal. Where tokens are kept is behind a
 * table of functions. Any thread.
 */
#pragma once

#include "mgmtapi/call.h"

#define AUTHN_TOKEN_TEXT_MAX 256

struct authn {
	void *arg;
	/* By the SHA-256 of the token's text; false: unknown. Must not wait. Expiry is checked by authn_check. */
	bool (*lookup_token)(void *arg, const uint8_t sha256[32], struct store_token *out);
	/* A client certificate (its chain is verified) by subject CN: role, groups and scopes into out; false: not mapped. NULL: none are. */
	bool (*lookup_cert)(void *arg, const char *cn, struct principal *out);
};

/*
 * authn_check: authorization is the header's value ("" none), cert_cn the verified client certificate's CN ("" none); a token wins. 0, or
 * -ERR_UNAUTHENTICATED with *why a static sentence for people.
 */
int authn_check(const struct authn *a, const char *authorization, const char *cert_cn,
                struct principal *out, const char **why) MUST_CHECK;
