/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * trim.c: the allocator keeps what is free between blocks that live, since it only gives back the end of its heaps by itself.
 * Handshakes leave many such holes. Closing them takes the heaps' locks for milliseconds, hence not in the storm but after it.
 */
#include "gateway/trim.h"

#include <malloc.h>
#include <unistd.h>

#define CORES_MAX    64
#define OTHER_ARENAS 2 /* the first thread's and the store's */

void trim_arenas(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	(void)mallopt(M_ARENA_MAX, (int)(2 * MAX(MIN(cores, CORES_MAX), 1) + OTHER_ARENAS));
}

/* Counts another second without much movement, or from the beginning; returns how much it moved. */
static size_t watch(struct trim_watch *w, size_t now)
{
	size_t step = now > w->last ? now - w->last : w->last - now;

	w->last = now;
	w->calm = step > TRIM_CHANGE_MIN / 100 ? 0 : w->calm + 1;
	return step;
}

bool trim_due(struct trim *t, size_t tunnels, size_t channels)
{
	t->moved += watch(&t->tunnels, tunnels);
	(void)watch(&t->channels, channels);
	if (t->moved < TRIM_CHANGE_MIN || t->tunnels.calm < TRIM_CALM_S)
		return false;
	if (t->channels.calm < TRIM_CALM_S && t->tunnels.calm < TRIM_PATIENCE_S)
		return false;
	*t = (struct trim){.tunnels.last = tunnels, .channels.last = channels};
	return true;
}

void trim_tick(struct trim *t, size_t tunnels, size_t channels)
{
	if (trim_due(t, tunnels, channels))
		(void)malloc_trim(0);
}
