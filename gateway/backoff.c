/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * backoff.c: wrong credentials have to wait. The key is source and GUID together, so that a stranger cannot lock a device out by
 * guessing under its GUID from elsewhere, and one misconfigured device does not stop its whole site; a source that fails
 * with many GUIDs waits as a whole.
 */
#include "gateway/internal.h"

#include <string.h>

#define SOURCE_KEY_LEN 8
#define PAIR_KEY_LEN   (SOURCE_KEY_LEN + 16)

static struct span source_key(const struct addr *source, uint8_t key[PAIR_KEY_LEN])
{
	uint64_t h = addr_source(source);

	memcpy(key, &h, SOURCE_KEY_LEN);
	return span_of(key, SOURCE_KEY_LEN);
}

static struct span pair_key(const struct addr *source, const struct guid *guid,
                            uint8_t key[PAIR_KEY_LEN])
{
	(void)source_key(source, key);
	memcpy(key + SOURCE_KEY_LEN, guid->b, 16);
	return span_of(key, PAIR_KEY_LEN);
}

uint32_t backoff_of_source(struct gateway *g, const struct addr *source, uint64_t now_ms)
{
	uint8_t key[PAIR_KEY_LEN];

	return backoff_wait_ms(&g->backoff_source, source_key(source, key), now_ms);
}

uint32_t backoff_of_pair(struct gateway *g, const struct addr *source, const struct guid *guid,
                         uint64_t now_ms)
{
	uint8_t key[PAIR_KEY_LEN];

	return backoff_wait_ms(&g->backoff_pair, pair_key(source, guid, key), now_ms);
}

void backoff_failed(struct gateway *g, const struct addr *source, const struct guid *guid,
                    uint64_t now_ms)
{
	static const struct bucket_rate allowed = {.rate_per_s = 1, .burst = BACKOFF_SOURCE_FAILS};
	uint8_t key[PAIR_KEY_LEN];

	(void)backoff_fail(&g->backoff_pair, pair_key(source, guid, key), now_ms);
	if (!bucket_take(&g->source_fails, source_key(source, key), &allowed, now_ms))
		(void)backoff_fail(&g->backoff_source, source_key(source, key), now_ms);
}

void backoff_succeeded(struct gateway *g, const struct addr *source, const struct guid *guid)
{
	uint8_t key[PAIR_KEY_LEN];

	backoff_ok(&g->backoff_pair, pair_key(source, guid, key));
}
