/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * arrivals.h: how many connections of each source are on their way in (accepted, TLS not done). One source may hold only a part of
 * what the gateway takes at once, so that half-open connections from one place do not shut others out. Any thread.
 */
#pragma once

#include "core/addr.h"
#include "core/map.h"

#include <pthread.h>

struct arrivals {
	pthread_mutex_t lock;
	struct map counts; /* hash of the source host -> its count, as a pointer-sized number */
};

void arrivals_init(struct arrivals *f, uint32_t sources_max);
void arrivals_fini(struct arrivals *f);

/* arrivals_take: counts one more of a source (addr_source); false (and not counted) if the source has max already, or the table is full. */
bool arrivals_take(struct arrivals *f, uint64_t source, uint32_t max);
/* arrivals_release: gives back one that was taken. */
void arrivals_release(struct arrivals *f, uint64_t source);
/* arrivals_sources: sources that have something under way. */
uint32_t arrivals_sources(struct arrivals *f);
