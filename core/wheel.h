/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * wheel.h: a hierarchical timer wheel of 16 ms ticks: set, cancel and fire are O(1), the next deadline is found in O(levels).
 * Pure: time comes in as an argument. Never fires early; late by at most one tick (plus the caller's own delay).
 */
#pragma once

#include "core/loop.h"

#define WHEEL_TICK_MS 16
#define WHEEL_LEVELS  5 /* 64^5 ticks: 198 days; later times are looked at again then */
#define WHEEL_SLOTS   64

struct wheel {
	uint64_t tick;               /* everything up to here has been moved to due */
	uint64_t used[WHEEL_LEVELS]; /* a bit for each slot that may hold timers */
	struct timer *slots[WHEEL_LEVELS][WHEEL_SLOTS];
	struct timer *due, **due_tail; /* first in, first out */
	struct timer *firing;          /* the part of due that wheel_fire works on */
};

void wheel_init(struct wheel *w, uint64_t now_ms);
void wheel_set(struct wheel *w, struct timer *t, uint64_t at_ms);
void wheel_cancel(struct wheel *w, struct timer *t);
/* wheel_fire: calls what is due at now_ms, at most budget timers; timers set meanwhile wait for the next call. Returns how many. */
unsigned wheel_fire(struct wheel *w, uint64_t now_ms, unsigned budget);
/* wheel_wait_ms: how long nothing will be due; 0: something is, UINT64_MAX: nothing is set. May be too short, never too long. */
uint64_t wheel_wait_ms(const struct wheel *w, uint64_t now_ms);
