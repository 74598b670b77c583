/* SPDX-License-Identifier: GPL-3.0-or-later */
/* relay.c: see relay.h for state, ownership and threads. */
#include "mgmtapi/relay.h"
#include "core/text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Positions count all octets ever written and read; written - read is what is held. */
struct ring {
	uint64_t written, read;
	bool finished;
	uint8_t octets[RELAY_ROOM];
};

struct end {
	struct task task;
	struct relay *relay;
	struct loop *loop;   /* under the lock; NULL: detached */
	struct fiber *fiber; /* of the loop's thread */
	bool queued;         /* under the lock: task is posted and has not run */
	bool left;
	int result;
};

struct relay {
	pthread_mutex_t lock;
	atomic_uint refs;
	struct end ends[2];
	struct ring rings[2]; /* by their writer */
};

static enum relay_side other(enum relay_side side)
{
	return side == RELAY_CLIENT ? RELAY_DEVICE : RELAY_CLIENT;
}

static void relay_unref(struct relay *r)
{
	if (atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	(void)pthread_mutex_destroy(&r->lock);
	secret_zero(r->rings, sizeof(r->rings)); /* consoles carry passwords */
	free(r);
}

/* On the loop that the end was attached to. The fiber may have detached meanwhile. */
static void end_run(struct task *t)
{
	struct end *e = container_of(t, struct end, task);
	struct relay *r = e->relay;
	struct fiber *f;

	pthread_mutex_lock(&r->lock);
	e->queued = false;
	f = e->loop == loop_current() ? e->fiber : NULL;
	pthread_mutex_unlock(&r->lock);
	if (f != NULL)
		fiber_wake(f);
	relay_unref(r);
}

/*
 * Under the lock. A loop that has ended takes no task; its fiber is gone, too. Posting under the lock keeps the loop of an attached
 * end alive: a fiber detaches, which takes the lock, before its loop can end.
 */
static void end_wake(struct end *e)
{
	if (e->loop == NULL || e->queued)
		return;
	e->queued = true;
	(void)atomic_fetch_add(&e->relay->refs, 1);
	if (loop_post(e->loop, &e->task))
		return;
	e->queued = false;
	(void)atomic_fetch_sub(&e->relay->refs, 1); /* never the last: the caller has one */
}

struct relay *relay_new(void)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	(void)pthread_mutex_init(&r->lock, NULL);
	atomic_store(&r->refs, 2);
	for (size_t i = 0; i < ARRAY_LEN(r->ends); i++) {
		r->ends[i].relay = r;
		r->ends[i].task.run = end_run;
	}
	return r;
}

void relay_attach(struct relay *r, enum relay_side side)
{
	struct end *e = &r->ends[side];

	pthread_mutex_lock(&r->lock);
	ASSERT(e->loop == NULL && !e->left);
	e->fiber = fiber_current();
	e->loop = loop_current();
	pthread_mutex_unlock(&r->lock);
}

void relay_detach(struct relay *r, enum relay_side side)
{
	struct end *e = &r->ends[side];

	pthread_mutex_lock(&r->lock);
	e->loop = NULL;
	e->fiber = NULL;
	pthread_mutex_unlock(&r->lock);
}

void relay_leave(struct relay *r, enum relay_side side, int result)
{
	struct end *e = &r->ends[side];

	pthread_mutex_lock(&r->lock);
	ASSERT(e->loop == NULL && !e->left);
	e->left = true;
	e->result = result;
	r->rings[side].finished = true;
	end_wake(&r->ends[other(side)]);
	pthread_mutex_unlock(&r->lock);
	relay_unref(r);
}

bool relay_left(struct relay *r, enum relay_side side, int *result)
{
	const struct end *e = &r->ends[other(side)];
	bool left;

	pthread_mutex_lock(&r->lock);
	left = e->left;
	if (left && result != NULL)
		*result = e->result;
	pthread_mutex_unlock(&r->lock);
	return left;
}

struct relay_space relay_reserve(struct relay *r, enum relay_side side)
{
	struct ring *g = &r->rings[side];
	struct relay_space s;
	size_t at;

	pthread_mutex_lock(&r->lock);
	at = (size_t)(g->written % RELAY_ROOM);
	s.len = MIN(RELAY_ROOM - (size_t)(g->written - g->read), RELAY_ROOM - at);
	s.ptr = g->octets + at;
	pthread_mutex_unlock(&r->lock);
	return s;
}

void relay_commit(struct relay *r, enum relay_side side, size_t n)
{
	struct ring *g = &r->rings[side];

	if (n == 0)
		return;
	pthread_mutex_lock(&r->lock);
	ASSERT(!g->finished && g->written + n - g->read <= RELAY_ROOM);
	g->written += n;
	end_wake(&r->ends[other(side)]);
	pthread_mutex_unlock(&r->lock);
}

size_t relay_put(struct relay *r, enum relay_side side, struct span s)
{
	size_t put = 0;

	/* Twice at most: up to the ring's end and from its start. */
	while (put < s.len) {
		struct relay_space room = relay_reserve(r, side);
		size_t n = MIN(room.len, s.len - put);

		if (n == 0)
			break;
		memcpy(room.ptr, s.ptr + put, n);
		relay_commit(r, side, n);
		put += n;
	}
	return put;
}

void relay_finish(struct relay *r, enum relay_side side)
{
	pthread_mutex_lock(&r->lock);
	r->rings[side].finished = true;
	end_wake(&r->ends[other(side)]);
	pthread_mutex_unlock(&r->lock);
}

struct span relay_peek(struct relay *r, enum relay_side side)
{
	const struct ring *g = &r->rings[other(side)];
	struct span s;
	size_t at;

	pthread_mutex_lock(&r->lock);
	at = (size_t)(g->read % RELAY_ROOM);
	s = span_of(g->octets + at, MIN((size_t)(g->written - g->read), RELAY_ROOM - at));
	pthread_mutex_unlock(&r->lock);
	return s;
}

void relay_consume(struct relay *r, enum relay_side side, size_t n)
{
	struct ring *g = &r->rings[other(side)];

	if (n == 0)
		return;
	pthread_mutex_lock(&r->lock);
	ASSERT(n <= g->written - g->read);
	g->read += n;
	end_wake(&r->ends[other(side)]);
	pthread_mutex_unlock(&r->lock);
}

bool relay_ended(struct relay *r, enum relay_side side)
{
	const struct ring *g = &r->rings[other(side)];
	bool ended;

	pthread_mutex_lock(&r->lock);
	ended = g->finished && g->written == g->read;
	pthread_mutex_unlock(&r->lock);
	return ended;
}

void relay_wake(struct relay *r, enum relay_side side)
{
	pthread_mutex_lock(&r->lock);
	end_wake(&r->ends[side]);
	pthread_mutex_unlock(&r->lock);
}
