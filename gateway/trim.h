/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trim.h: gives memory back to the system after a storm of connects or of departures. Main thread. */
#pragma once

#include "core/base.h"

/*
 * trim_arenas: before threads: as many heaps as cores need, for loops and for handshake threads, which must not share them: a handshake thread
 * that loses its processor inside the allocator keeps a loop waiting for milliseconds. The allocator would make one for each thread, however many
 * workers there are, and what lies idle in each counts: 300 octets a tunnel at 10,000 tunnels with 6 workers.
 */
void trim_arenas(void);

/*
 * When the number of tunnels has moved by TRIM_CHANGE_MIN since memory was last given back, and is calm. So should be the number of channels:
 * new devices are asked for facts, and what that took is free when their channels close, seconds later. Where calls always open and
 * close channels, that is not waited for longer than TRIM_PATIENCE_S. All zero at start.
 */
#define TRIM_CHANGE_MIN 500
#define TRIM_CALM_S     5
#define TRIM_PATIENCE_S 60

struct trim_watch {
	size_t last;   /* how many a second ago */
	unsigned calm; /* seconds without much movement */
};

struct trim {
	struct trim_watch tunnels, channels;
	size_t moved; /* tunnels that came and went since then, as far as a look every second shows */
};

/* trim_due: once a second with the numbers of tunnels and channels; true: now is the time. Pure. */
bool trim_due(struct trim *t, size_t tunnels, size_t channels);
/* trim_tick: the same, and does it. */
void trim_tick(struct trim *t, size_t tunnels, size_t channels);
