/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * backoff.c: wrong credentials have to wait. The key is source and GUID together, so that a stranger cannot lock a device out by
 * guessing under its GUID from elsewhere, and one misconfigured device does not stop its whole site; a source that fails
 * with many GUIDs waits as a whole.
 */
#include "gateway/internal.h"

#include <string.h>

#define HOST_KEY_LEN 16

static size_t host_key(const struct addr *source, uint8_t key[HOST_KEY_LEN + 16])
{
	char text[ADDR_TEXT_MAX];
	uint64_t h;

	addr_format_host(source, text);
	h = map_hash(span_str(text));
	memset(key, 0, HOST_KEY_LEN);
	memcpy(key, &h, sizeof(h));
	memcpy(key + sizeof(h), text, MIN(strlen(text), HOST_KEY_LEN - sizeof(h)));
	return HOST_KEY_LEN;
}

static struct span pair_key(const struct addr *source, const struct guid *guid,
                            uint8_t key[HOST_KEY_LEN + 16])
{
	size_t n = host_key(source, key);

	memcpy(key + n, guid->b, 16);
	return span_of(key, n + 16);
}

uint32_t backoff_of_source(struct gateway *g, const struct addr *source, uint64_t now_ms)
{
	uint8_t key[HOST_KEY_LEN + 16];
	size_t n = host_key(source, key);

	return backoff_wait_ms(&g->backoff_source, span_of(key, n), now_ms);
}

uint32_t backoff_of_pair(struct gateway *g, const struct addr *source, const struct guid *guid,
                         uint64_t now_ms)
{
	uint8_t key[HOST_KEY_LEN + 16];

	return backoff_wait_ms(&g->backoff_pair, pair_key(source, guid, key), now_ms);
}

void backoff_failed(struct gateway *g, const struct addr *source, const struct guid *guid,
                    uint64_t now_ms)
{
	static const struct bucket_rate allowed = {.rate_per_s = 1, .burst = BACKOFF_SOURCE_FAILS};
	uint8_t key[HOST_KEY_LEN + 16];
	size_t n;

	(void)backoff_fail(&g->backoff_pair, pair_key(source, guid, key), now_ms);
	n = host_key(source, key);
	if (!bucket_take(&g->source_fails, span_of(key, n), &allowed, now_ms))
		(void)backoff_fail(&g->backoff_source, span_of(key, n), now_ms);
}

void backoff_succeeded(struct gateway *g, const struct addr *source, const struct guid *guid)
{
	uint8_t key[HOST_KEY_LEN + 16];

	backoff_ok(&g->backoff_pair, pair_key(source, guid, key));
}
