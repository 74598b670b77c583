/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Challenges and credentials. A challenge that is accepted must lead to credentials that the server
 * side accepts.
 */
#include "core/err.h"
#include "wire/digest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct span challenge)
{
	const struct digest_use use = {
		.method = span_str("POST"),
		.uri = span_str("/wsman"),
		.user = span_str("admin"),
		.password = span_str("secret"),
		.cnonce = span_str("c0ffee"),
	};
	struct digest_check check = {
		.method = use.method,
		.target = use.uri,
		.user = use.user,
		.password = use.password,
		.qops = DIGEST_AUTH | DIGEST_AUTH_INT,
	};
	struct digest_client c;
	struct digest_auth auth;
	struct buf b;

	digest_client_init(&c, false);
	if (digest_client_refused(&c, &challenge, 1) != 0)
		return;
	buf_init(&b, 16384);
	ASSERT(digest_client_authorize(&c, &use, &b) == 0);
	ASSERT(digest_auth_parse(buf_span(&b), &auth) == 0);
	check.realm = span_str(c.challenge.realm);
	check.nonce = span_str(c.challenge.nonce);
	check.hash = c.challenge.hash;
	ASSERT(digest_auth_verify(&auth, &check) == 0);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct digest_auth auth;
	int r = digest_auth_parse(span_of(data, size), &auth);

	ASSERT(r == 0 || r == -ERR_INVALID || r == -ERR_UNSUPPORTED || r == -ERR_TOO_BIG);
	if (r == 0)
		ASSERT(auth.nc > 0 && auth.nonce[0] != '\0' && strlen(auth.uri) <= DIGEST_URI_MAX);
	answer(span_of(data, size));
	return 0;
}
