/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * inflight.h: how many connections of each source are on their way in (accepted, TLS not done). One source may hold only a part of
 * what the gateway takes at once, so that half-open connections from one place do not shut others out. Any thread.
 */
#pragma once

#include "core/addr.h"
#include "core/map.h"

#include <pthread.h>

struct inflight {
	pthread_mutex_t lock;
	struct map counts; /* hash of the source host -> its count, as a pointer-sized number */
};

void inflight_init(struct inflight *f, uint32_t sources_max);
void inflight_fini(struct inflight *f);

/* inflight_source: what names a source below: a keyed hash of its host. Never 0. */
uint64_t inflight_source(const struct addr *peer);
/* inflight_take: counts one more; false (and not counted) if the source has max already, or the table is full. */
bool inflight_take(struct inflight *f, uint64_t source, uint32_t max);
/* inflight_release: gives back one that was taken. */
void inflight_release(struct inflight *f, uint64_t source);
