/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * attempts.h: the last connection attempts, by GUID and by source address, so that an operator can see why a device does not
 * connect. Bounded: ATTEMPTS_PER_KEY a key, ATTEMPTS_KEYS_MAX keys; the key that was idle longest makes room. Any thread.
 */
#pragma once

#include "gateway/gateway.h"

struct attempts;

struct attempts *attempts_new(void);
void attempts_free(struct attempts *a);

/* attempts_add: records a copy. */
void attempts_add(struct attempts *a, const struct attempt *at);

/* attempts_get: as gateway_attempts. */
size_t attempts_get(struct attempts *a, const struct guid *guid, const struct addr *source,
                    struct attempt *out, size_t max);

/* attempts_stats: keys that are kept of at most ATTEMPTS_KEYS_MAX each, and keys that made room for others since the start. */
struct attempts_stats {
	uint64_t guids, sources, evictions;
};
void attempts_stats(struct attempts *a, struct attempts_stats *out);
