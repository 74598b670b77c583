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

bool trim_due(struct trim *t, size_t tunnels)
{
	size_t step = tunnels > t->last ? tunnels - t->last : t->last - tunnels;

	t->last = tunnels;
	t->moved += step;
	t->calm = step > TRIM_CHANGE_MIN / 100 ? 0 : t->calm + 1;
	if (t->moved < TRIM_CHANGE_MIN || t->calm < TRIM_CALM_S)
		return false;
	*t = (struct trim){.last = tunnels};
	return true;
}

void trim_tick(struct trim *t, size_t tunnels)
{
	if (trim_due(t, tunnels))
		(void)malloc_trim(0);
}
