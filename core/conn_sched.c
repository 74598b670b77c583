/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conn_sched.c: the connections' part of an iteration. Completion handlers and callers only mark what a connection has to do;
 * it is done here, once an iteration: so writes coalesce, data is never called inside conn_pause, and a connection is freed
 * in one place only. TLS handshake steps and the re-arming of starved receives have budgets; the rest waits its turn.
 */
#include "core/conn_int.h"
#include "core/err.h"

#include <stdlib.h>

static void append(struct conn ***tail, struct conn *c)
{
	c->work_next = NULL;
	**tail = c;
	*tail = &c->work_next;
	c->queued = true;
}

void conn_work_add(struct conn *c, unsigned work)
{
	c->work = (uint8_t)(c->work | work);
	if (!c->queued)
		append(&c->loop->conns->work_tail, c);
}

void conn_work_later(struct conn *c, unsigned work)
{
	c->work = (uint8_t)(c->work | work);
	if (!c->queued)
		append(&c->loop->conns->later_tail, c);
}

static void do_work(struct conn_sched *s, struct conn *c)
{
	unsigned work = c->work;

	c->work = 0;
	if ((work & WORK_END) != 0) {
		conn_end(c);
		return;
	}
	if ((work & WORK_START) != 0)
		conn_start(c);
	if ((work & WORK_INPUT) != 0)
		conn_input(c);
	if ((work & WORK_OUTPUT) != 0)
		conn_output(c);
	if ((work & WORK_STARVED) != 0 && s->rearms_left == 0) {
		conn_work_later(c, WORK_STARVED);
	} else if ((work & (WORK_RECV | WORK_STARVED)) != 0) {
		s->rearms_left -= (work & WORK_STARVED) != 0 ? 1 : 0;
		conn_recv_arm(c);
	}
}

static struct conn *take(struct conn_sched *s)
{
	struct conn *c = s->work;

	if (c == NULL)
		return NULL;
	s->work = c->work_next;
	if (s->work == NULL)
		s->work_tail = &s->work;
	c->queued = false;
	return c;
}

static void run_work(struct conn_sched *s, unsigned *budget)
{
	struct conn *c;

	for (; *budget > 0 && (c = take(s)) != NULL; --*budget)
		do_work(s, c);
}

static bool sched_run(struct loop *l)
{
	struct conn_sched *s = l->conns;
	unsigned budget = CONN_WORK_BUDGET;
	bool more;

	s->rearms_left = CONN_REARM_BUDGET;
	/* What had to wait comes first. */
	if (s->later != NULL) {
		*s->later_tail = s->work;
		if (s->work == NULL)
			s->work_tail = s->later_tail;
		s->work = s->later;
		s->later = NULL;
		s->later_tail = &s->later;
	}
	run_work(s, &budget);
	more = conn_handshakes_run(l);
	run_work(s, &budget); /* what the steps want sent */
	atomic_store_explicit(&l->n.send_memory_size, s->pool.n.held_size + s->held.n.held_size,
	                      memory_order_relaxed);
	atomic_store_explicit(&l->n.send_memory_refused, s->pool.n.refusals + s->held.n.refusals,
	                      memory_order_relaxed);
	return more || s->work != NULL || s->later != NULL;
}

static unsigned sched_close_all(struct loop *l)
{
	struct conn_sched *s = l->conns;
	struct list *i, *next;

	for (i = s->conns.next; i != &s->conns; i = next) {
		struct conn *c = container_of(i, struct conn, link);

		next = i->next;
		if (c->stage != CONN_CLOSING)
			conn_fail(c, -ERR_CANCELLED, 0);
		else
			conn_close(c, 0);
	}
	return s->live + listener_close_all(s);
}

static void sched_free(struct conn_sched *s)
{
	ASSERT(s->live == 0);
	pool_fini(&s->pool);
	pool_fini(&s->held);
	free(s);
}

static const struct loop_part part = {sched_run, sched_close_all, sched_free};

static void trim(struct timer *t)
{
	struct conn_sched *s = container_of(t, struct conn_sched, trim);

	pool_trim(&s->pool);
	pool_trim(&s->held);
	io_trim(loop_current()->io);
	timer_set(loop_current(), t, loop_now_ms(loop_current()) + CONN_POOL_TRIM_MS);
}

struct pool *conn_pool(struct loop *l)
{
	struct conn_sched *s = conn_sched_of(l);

	return s != NULL ? &s->held : NULL;
}

struct conn_sched *conn_sched_of(struct loop *l)
{
	struct conn_sched *s = l->conns;

	if (s != NULL)
		return s;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	list_init(&s->conns);
	list_init(&s->listeners);
	list_init(&s->answered);
	list_init(&s->first);
	s->work_tail = &s->work;
	s->later_tail = &s->later;
	pool_init(&s->pool, CONN_SEND_MEMORY_MAX);
	pool_init(&s->held, CONN_HELD_MEMORY_MAX);
	s->trim.fire = trim;
	l->conns = s;
	l->part = &part;
	return s;
}
