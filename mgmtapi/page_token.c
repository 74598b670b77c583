/* SPDX-License-Identifier: GPL-3.0-or-later */
/* page_token.c: version, MAC of context and position, position; base64 with the URL alphabet, without padding. Pure. */
#include "mgmtapi/page_token.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/text.h"

#include <string.h>

#define VERSION   1
#define MAC_SIZE  12
#define HEAD_SIZE (1 + MAC_SIZE)

static void make_mac(const uint8_t key[PAGE_TOKEN_KEY_SIZE], struct span context,
                     struct span position, uint8_t out[MAC_SIZE])
{
	uint8_t parts[64], full[32];

	/* Two digests side by side: what belongs to which cannot be shifted. */
	hash_once(HASH_SHA256, &context, 1, parts);
	hash_once(HASH_SHA256, &position, 1, parts + 32);
	hmac_sha256(span_of(key, PAGE_TOKEN_KEY_SIZE), span_of(parts, sizeof(parts)), full);
	memcpy(out, full, MAC_SIZE);
}

void page_token_write(const uint8_t key[PAGE_TOKEN_KEY_SIZE], struct span context,
                      struct span position, char out[PAGE_TOKEN_TEXT_MAX])
{
	uint8_t raw[HEAD_SIZE + PAGE_POSITION_MAX];

	ASSERT(position.len <= PAGE_POSITION_MAX);
	raw[0] = VERSION;
	make_mac(key, context, position, raw + 1);
	if (position.len > 0)
		memcpy(raw + HEAD_SIZE, position.ptr, position.len);
	(void)base64_encode(out, span_of(raw, HEAD_SIZE + position.len), false);
	for (char *p = out; *p != '\0'; p++)
		*p = (char)(*p == '+' ? '-' : *p == '/' ? '_' : *p);
}

ssize_t page_token_read(const uint8_t key[PAGE_TOKEN_KEY_SIZE], struct span context,
                        const char *text, uint8_t *out)
{
	uint8_t raw[HEAD_SIZE + PAGE_POSITION_MAX], mac[MAC_SIZE];
	struct span position;
	ssize_t n;

	if (strlen(text) >= PAGE_TOKEN_TEXT_MAX)
		return -ERR_INVALID;
	n = base64_decode(raw, sizeof(raw), span_str(text));
	if (n < HEAD_SIZE || raw[0] != VERSION)
		return -ERR_INVALID;
	position = span_of(raw + HEAD_SIZE, (size_t)n - HEAD_SIZE);
	make_mac(key, context, position, mac);
	if (!secret_equal(span_of(mac, MAC_SIZE), span_of(raw + 1, MAC_SIZE)))
		return -ERR_INVALID;
	memcpy(out, position.ptr, position.len);
	return (ssize_t)position.len;
}
