/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * events.c: journal and waiters. Publishing locks the ring shortly and then posts one task to each worker that has waiters; the
 * task is posted again only after it ran, so a burst of events costs one wake-up a worker.
 */
#include "gateway/events.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/names.h"
#include "core/text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define TIME_SPAN (1ull << 40) /* of the times that an event as it is kept can tell apart */

/* A fiber in events_wait; on its stack, in its worker's list. */
struct waiter {
	struct waiter *next, **prev;
	struct fiber *fiber;
};

/* What one worker's loop owns, but for the atomics. */
struct waiting {
	struct task wake;
	struct loop *loop;
	struct waiter *list;
	atomic_uint count;
	atomic_bool posted;
};

/* A device_event as it is kept: tens of thousands of them. */
struct kept {
	const char *
		group; /* of names; NULL: there was no memory, so nobody may read it but who sees all groups */
	uint32_t time_low;     /* the lowest 32 bits of the time and the next 8: see time_near */
	struct device_key key; /* aligned to 2 */
	uint8_t time_high;
	uint8_t kind : 3, power : 5; /* the largest of power_state is 8 */
};
_Static_assert(sizeof(struct kept) <= 32, "a journal is 65,536 of these");
_Static_assert(DEVICE_EVENT_POWER < 8, "kinds have three bits");

struct events {
	pthread_mutex_t lock; /* ring, groups */
	_Atomic uint64_t last;
	struct kept *ring; /* seq s stands at s % GATEWAY_EVENTS_KEPT */
	struct names groups;
	size_t waiting_len;
	struct waiting waiting[];
};

static void wake_all(struct task *t)
{
	struct waiting *w = container_of(t, struct waiting, wake);

	atomic_store(&w->posted, false);
	for (struct waiter *x = w->list; x != NULL; x = x->next)
		fiber_wake(x->fiber);
}

struct events *events_new(struct loop *const *loops, size_t loops_len)
{
	struct events *e = calloc(1, sizeof(*e) + loops_len * sizeof(e->waiting[0]));

	if (e == NULL)
		return NULL;
	e->ring = calloc(GATEWAY_EVENTS_KEPT, sizeof(e->ring[0]));
	if (e->ring == NULL) {
		free(e);
		return NULL;
	}
	pthread_mutex_init(&e->lock, NULL);
	names_init(&e->groups, GATEWAY_EVENTS_KEPT);
	e->waiting_len = loops_len;
	for (size_t i = 0; i < loops_len; i++) {
		e->waiting[i].loop = loops[i];
		e->waiting[i].wake.run = wake_all;
	}
	return e;
}

void events_free(struct events *e)
{
	if (e == NULL)
		return;
	for (size_t i = 0; i < GATEWAY_EVENTS_KEPT; i++)
		names_give(&e->groups, e->ring[i].group);
	names_free(&e->groups);
	pthread_mutex_destroy(&e->lock);
	free(e->ring);
	free(e);
}

/* The time that ends in these 40 bits and is nearest to now: 17 years this way or that, for the clock may be set back. */
static uint64_t time_near(uint64_t now_ms, uint64_t low)
{
	uint64_t behind = (now_ms - low) % TIME_SPAN;

	return behind <= TIME_SPAN / 2 ? now_ms - behind : now_ms + (TIME_SPAN - behind);
}

/* Under the lock. */
static void keep(struct events *e, const struct device_event *ev)
{
	struct kept *k = &e->ring[ev->seq % GATEWAY_EVENTS_KEPT];

	names_give(&e->groups, k->group);
	*k = (struct kept){.time_low = (uint32_t)ev->time_ms,
	                   .time_high = (uint8_t)(ev->time_ms >> 32),
	                   .group = names_take(&e->groups, ev->group),
	                   .key = ev->key,
	                   .kind = (unsigned)ev->kind & 7u,
	                   .power = (unsigned)ev->power & 31u};
}

static void tell(const struct events *e, uint64_t seq, uint64_t now_ms, struct device_event *out)
{
	const struct kept *k = &e->ring[seq % GATEWAY_EVENTS_KEPT];

	*out = (struct device_event){
		.seq = seq,
		.kind = (enum device_event_kind)k->kind,
		.key = k->key,
		.power = (enum power_state)k->power,
		.time_ms = time_near(now_ms, (uint64_t)k->time_high << 32 | k->time_low)};
	(void)str_copy(out->group, sizeof(out->group), k->group != NULL ? k->group : "");
}

void events_publish(struct events *e, struct device_event *ev)
{
	ev->time_ms = (uint64_t)clock_wall_ms();
	pthread_mutex_lock(&e->lock);
	ev->seq = atomic_load(&e->last) + 1;
	keep(e, ev);
	atomic_store(&e->last, ev->seq);
	pthread_mutex_unlock(&e->lock);
	/* A waiter counts itself before it looks at last, so either it sees this event or it is counted here (seq_cst). */
	for (size_t i = 0; i < e->waiting_len; i++) {
		struct waiting *w = &e->waiting[i];

		if (atomic_load(&w->count) > 0 && !atomic_exchange(&w->posted, true))
			loop_post(w->loop, &w->wake);
	}
}

uint64_t events_last(struct events *e)
{
	return atomic_load(&e->last);
}

ssize_t events_read(struct events *e, uint64_t after_seq, struct device_event *out, size_t max)
{
	uint64_t last, now_ms = (uint64_t)clock_wall_ms();
	size_t n = 0;

	pthread_mutex_lock(&e->lock);
	last = atomic_load(&e->last);
	if (after_seq > last || last - after_seq > GATEWAY_EVENTS_KEPT) {
		pthread_mutex_unlock(&e->lock);
		return -ERR_NOT_FOUND;
	}
	while (n < max && after_seq + n < last) {
		tell(e, after_seq + n + 1, now_ms, &out[n]);
		n++;
	}
	pthread_mutex_unlock(&e->lock);
	return (ssize_t)n;
}

int events_wait(struct events *e, uint64_t after_seq, uint64_t at_ms)
{
	struct waiting *w = &e->waiting[loop_index(loop_current())];
	struct waiter self = {.next = w->list, .prev = &w->list, .fiber = fiber_current()};
	int err = 0;

	if (self.next != NULL)
		self.next->prev = &self.next;
	w->list = &self;
	atomic_fetch_add(&w->count, 1);
	while (err == 0 && atomic_load(&e->last) <= after_seq)
		err = fiber_wait_until(at_ms);
	atomic_fetch_sub(&w->count, 1);
	*self.prev = self.next;
	if (self.next != NULL)
		self.next->prev = self.prev;
	return err;
}

uint64_t events_waiting(struct events *e)
{
	uint64_t n = 0;

	for (size_t i = 0; i < e->waiting_len; i++)
		n += atomic_load(&e->waiting[i].count);
	return n;
}
