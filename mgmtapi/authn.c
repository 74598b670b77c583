/* SPDX-License-Identifier: GPL-3.0-or-later */
/* authn.c: tokens are looked up by hash, so that no comparison depends on a secret. Any thread. */
#include "mgmtapi/authn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/text.h"

static int by_token(const struct authn *a, struct span token, struct principal *out,
                    const char **why)
{
	struct store_token *found = calloc(1, sizeof(*found));
	uint8_t sha256[32];
	int err = -ERR_UNAUTHENTICATED;

	if (found == NULL) {
		*why = "out of memory";
		return -ERR_UNAUTHENTICATED;
	}
	hash_once(HASH_SHA256, &token, 1, sha256);
	if (a->lookup_token == NULL || !a->lookup_token(a->arg, sha256, found)) {
		*why = "the token is not known: it was revoked or belongs to another server";
	} else if (found->expires_ms != 0 && (int64_t)found->expires_ms <= clock_wall_ms()) {
		*why = "the token has expired";
	} else {
		(void)snprintf(out->name, sizeof(out->name), "token:%s", found->id);
		out->role = found->role;
		out->groups_len = MIN(found->groups_len, (uint16_t)TOKEN_GROUPS_MAX);
		memcpy(out->groups, found->groups, out->groups_len * sizeof(out->groups[0]));
		out->scopes_len = MIN(found->scopes_len, (uint16_t)PRINCIPAL_SCOPES_MAX);
		for (size_t i = 0; i < out->scopes_len; i++)
			(void)str_copy(out->scopes[i], sizeof(out->scopes[i]), found->scopes[i]);
		err = 0;
	}
	secret_zero(sha256, sizeof(sha256));
	free(found);
	return err;
}

int authn_check(const struct authn *a, const char *authorization, const char *cert_cn,
                struct principal *out, const char **why)
{
	static const char scheme[] = "Bearer ";
	size_t len = strlen(authorization);

	out->name[0] = '\0';
	out->role = (enum role)0;
	out->groups_len = out->scopes_len =
		0; /* what they count is large and not looked at beyond */
	if (len > 0) {
		if (strncasecmp(authorization, scheme, strlen(scheme)) != 0 ||
		    len > AUTHN_TOKEN_TEXT_MAX) {
			*why = "the authorization header is not \"Bearer TOKEN\"";
			return -ERR_UNAUTHENTICATED;
		}
		return by_token(a, span_str(authorization + strlen(scheme)), out, why);
	}
	if (cert_cn[0] != '\0') {
		if (a->lookup_cert != NULL && a->lookup_cert(a->arg, cert_cn, out)) {
			(void)snprintf(out->name, sizeof(out->name), "cert:%.64s", cert_cn);
			return 0;
		}
		*why = "the client certificate's name is not allowed to call this API";
		return -ERR_UNAUTHENTICATED;
	}
	*why = "no token: send the header \"authorization: Bearer TOKEN\"";
	return -ERR_UNAUTHENTICATED;
}
