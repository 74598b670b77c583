/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * wheel.c: a timer for tick e stands on the level of the highest base-64 digit in which e differs from the present tick, in
 * the slot of that digit. So all of a level is due before any of the next, and the lowest occupied slot of the
 * lowest occupied level is what comes next. Reaching a slot of a higher level spreads its timers over the lower ones.
 */
#include "core/wheel.h"

#define DIGIT_BITS 6
#define DIGIT_MASK (WHEEL_SLOTS - 1)
#define TICKS_MAX  ((1ULL << (DIGIT_BITS * WHEEL_LEVELS)) - 1)

void wheel_init(struct wheel *w, uint64_t now_ms)
{
	*w = (struct wheel){.tick = now_ms / WHEEL_TICK_MS};
	w->due_tail = &w->due;
}

static void link_first(struct timer **head, struct timer *t)
{
	t->next = *head;
	t->prev = head;
	if (t->next != NULL)
		t->next->prev = &t->next;
	*head = t;
}

static void link_due(struct wheel *w, struct timer *t)
{
	t->next = NULL;
	t->prev = w->due_tail;
	*w->due_tail = t;
	w->due_tail = &t->next;
}

/* place: puts t where its time belongs, seen from the present tick. */
static void place(struct wheel *w, struct timer *t)
{
	uint64_t tick = t->at_ms / WHEEL_TICK_MS + (t->at_ms % WHEEL_TICK_MS != 0);
	uint64_t diff;
	unsigned level, slot;

	if (tick <= w->tick) {
		link_due(w, t);
		return;
	}
	/* Beyond the horizon: the farthest slot; the timer is placed anew when that is reached. */
	if ((tick ^ w->tick) > TICKS_MAX)
		tick = w->tick | TICKS_MAX;
	if (tick == w->tick)
		tick++;
	diff = (tick ^ w->tick) & TICKS_MAX;
	level = (63U - (unsigned)__builtin_clzll(diff)) / DIGIT_BITS;
	slot = (unsigned)(tick >> (DIGIT_BITS * level)) & DIGIT_MASK;
	w->used[level] |= 1ULL << slot;
	link_first(&w->slots[level][slot], t);
}

void wheel_set(struct wheel *w, struct timer *t, uint64_t at_ms)
{
	ASSERT(t->fire != NULL);
	wheel_cancel(w, t);
	t->at_ms = at_ms;
	place(w, t);
}

static void unlink_timer(struct wheel *w, struct timer *t)
{
	*t->prev = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	else if (w->due_tail == &t->next)
		w->due_tail = t->prev;
	t->next = NULL;
	t->prev = NULL;
}

void wheel_cancel(struct wheel *w, struct timer *t)
{
	struct timer **first = &w->slots[0][0];
	struct timer **prev = t->prev;

	if (prev == NULL)
		return;
	unlink_timer(w, t);
	/* The last one of a slot: clear the slot's bit, so that nobody wakes up for it. */
	if (prev >= first && prev < first + (size_t)WHEEL_LEVELS * WHEEL_SLOTS && *prev == NULL) {
		size_t i = (size_t)(prev - first);

		w->used[i / WHEEL_SLOTS] &= ~(1ULL << (i % WHEEL_SLOTS));
	}
}

/* next_tick: when the first occupied slot begins; UINT64_MAX if all are empty. */
static uint64_t next_tick(const struct wheel *w, unsigned *level)
{
	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		unsigned shift = DIGIT_BITS * l;
		unsigned digit = (unsigned)(w->tick >> shift) & DIGIT_MASK;
		uint64_t base = w->tick >> shift >> DIGIT_BITS;
		uint64_t later = digit == DIGIT_MASK ? 0 : w->used[l] & (UINT64_MAX << (digit + 1));
		uint64_t wrapped = w->used[l] & ~later;

		*level = l;
		if (later != 0)
			return (base << DIGIT_BITS | (unsigned)__builtin_ctzll(later)) << shift;
		/* Only the top level turns around. */
		if (wrapped != 0 && l == WHEEL_LEVELS - 1)
			return ((base + 1) << DIGIT_BITS | (unsigned)__builtin_ctzll(wrapped))
			       << shift;
	}
	return UINT64_MAX;
}

static void advance(struct wheel *w, uint64_t tick)
{
	unsigned level;
	uint64_t at;

	while ((at = next_tick(w, &level)) <= tick) {
		unsigned slot = (unsigned)(at >> (DIGIT_BITS * level)) & DIGIT_MASK;
		struct timer *t;

		w->tick = at;
		w->used[level] &= ~(1ULL << slot);
		t = w->slots[level][slot];
		w->slots[level][slot] = NULL;
		while (t != NULL) {
			struct timer *next = t->next;

			place(w, t);
			t = next;
		}
	}
	if (w->tick < tick)
		w->tick = tick;
}

unsigned wheel_fire(struct wheel *w, uint64_t now_ms, unsigned budget)
{
	unsigned n = 0;

	advance(w, now_ms / WHEEL_TICK_MS);
	if (w->firing == NULL && w->due != NULL) {
		w->firing = w->due;
		w->firing->prev = &w->firing;
		w->due = NULL;
		w->due_tail = &w->due;
	}
	while (w->firing != NULL && n < budget) {
		struct timer *t = w->firing;

		unlink_timer(w, t);
		n++;
		t->fire(t);
	}
	return n;
}

uint64_t wheel_wait_ms(const struct wheel *w, uint64_t now_ms)
{
	unsigned level;
	uint64_t tick;

	if (w->due != NULL || w->firing != NULL)
		return 0;
	tick = next_tick(w, &level);
	if (tick == UINT64_MAX)
		return UINT64_MAX;
	return tick * WHEEL_TICK_MS > now_ms ? tick * WHEEL_TICK_MS - now_ms : 0;
}
