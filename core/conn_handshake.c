/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conn_handshake.c: the TLS stage of a connection. Ciphertext is collected until whole records are there, which costs nobody
 * anything; then a step runs: a server's on the loop's handshake threads if it has any, else here, a few an iteration. A step
 * under way counts as an operation in flight: meanwhile the session is not touched here, nothing is received, and a
 * connection that ends waits for it.
 */
#include "core/conn_int.h"
#include "core/err.h"
#include "core/handshake.h"

#include <stdlib.h>
#include <string.h>

/* A handshake takes two to four; a peer that cuts its messages into tiny records gets no more than these. */
#define STEPS_MAX 64

struct conn_step {
	struct handshake_step s;
	struct conn *conn;
	uint8_t *in; /* what s.in points into */
};

/* take_input: moves the first n octets of the spill to the step. */
static bool take_input(struct conn_step *st, struct conn *c, size_t n)
{
	size_t rest = c->spill_len - n;
	uint8_t *tail = NULL;

	if (rest > 0) {
		tail = malloc(rest);
		if (tail == NULL)
			return false;
		memcpy(tail, c->spill + n, rest);
	}
	st->in = c->spill;
	st->s.in = span_of(st->in, n);
	c->spill = tail;
	c->spill_len = (uint32_t)rest;
	return true;
}

/* established: hands out what came behind the handshake, first in the step's records, then in those that were not whole. */
static void established(struct conn *c)
{
	uint8_t *tail = c->spill;
	size_t n = c->spill_len;

	c->spill = NULL;
	c->spill_len = 0;
	counter_add(&c->loop->n.handshakes_done, 1);
	if (!c->client && tls_resumed(c->tls))
		counter_add(&c->loop->n.handshakes_resumed, 1);
	conn_opened(c);
	conn_decrypt(c);
	if (n > 0 && c->stage == CONN_OPEN && !c->eof) {
		tls_input(c->tls, span_of(tail, n));
		conn_decrypt(c);
	}
	free(tail);
}

/* step_over: the session is the connection's again. */
static void step_over(struct conn_step *st)
{
	struct conn *c = st->conn;
	int rc = st->s.verdict;

	tls_set_output(c->tls, conn_tls_output, c);
	if (st->s.out.len > 0) {
		int err = conn_tls_output(c, buf_span(&st->s.out));

		c->answered = true;
		rc = err != 0 ? err : rc;
	}
	if (rc == 0) {
		established(c);
	} else if (rc != -ERR_AGAIN) {
		counter_add(&c->loop->n.handshakes_failed, 1);
		conn_fail(c, rc, CONN_PEER_CLOSE_MS);
	} else {
		conn_work_add(c, WORK_RECV | (c->spill_len > 0 ? WORK_INPUT : 0));
	}
}

static void step_free(struct conn_step *st)
{
	buf_free(&st->s.out);
	free(st->in);
	free(st);
}

/* step_done: it was taken or cancelled. */
static void step_done(struct task *task)
{
	struct conn_step *st = container_of(task, struct conn_step, s.task);
	struct conn *c = st->conn;

	c->step = NULL;
	c->inflight--;
	if (!conn_joined(c))
		step_over(st);
	step_free(st);
}

/* step_new: a step with the first n octets of the spill. Fails the connection and returns NULL if memory lacks. */
static struct conn_step *step_new(struct conn *c, size_t n)
{
	struct conn_step *st = calloc(1, sizeof(*st));

	if (st == NULL || !take_input(st, c, n)) {
		free(st);
		conn_fail(c, -ERR_NOMEM, 0);
		return NULL;
	}
	st->conn = c;
	st->s.task.run = step_done;
	st->s.loop = c->loop;
	st->s.tls = c->tls;
	st->s.answered = c->answered;
	return st;
}

static void step_begun(struct conn_step *st)
{
	st->conn->step = st;
	st->conn->steps++;
	st->conn->inflight++;
}

static void step_away(struct conn_step *st, struct handshakes *pool)
{
	struct conn *c = st->conn;
	struct addr peer;

	conn_peer(c, &peer);
	st->s.source = addr_source(&peer);
	if (!handshakes_post(pool, &st->s)) {
		step_free(st);
		conn_fail(c, -ERR_FULL, 0);
		return;
	}
	step_begun(st);
}

/* As on the threads, steps that end a wait go first: in a storm a peer that was answered is not to wait for all the others' beginnings. */
static void step_here(struct conn_step *st)
{
	struct conn_sched *s = st->conn->loop->conns;

	buf_init(&st->s.out, HANDSHAKE_OUT_MAX);
	list_push_back(st->s.answered ? &s->answered : &s->first, &st->s.link);
	counter_add(&st->s.loop->n.handshakes_queued, 1);
	step_begun(st);
}

bool conn_handshakes_run(struct loop *l)
{
	struct conn_sched *s = l->conns;
	struct list *i;

	for (unsigned n = 0; n < CONN_HANDSHAKES_PER_ITERATION; n++) {
		struct handshake_step *step;

		i = list_pop_front(&s->answered);
		if (i == NULL)
			i = list_pop_front(&s->first);
		if (i == NULL)
			return false;
		counter_sub(&l->n.handshakes_queued, 1);
		step = container_of(i, struct handshake_step, link);
		if (atomic_load_explicit(&step->cancelled, memory_order_relaxed))
			step->verdict = -ERR_CANCELLED;
		else
			handshake_step_run(step);
		step->task.run(&step->task); /* as the loop does when a thread is done */
	}
	return !list_is_empty(&s->answered) || !list_is_empty(&s->first);
}

void conn_handshake(struct conn *c)
{
	struct handshakes *pool = c->client ? NULL : c->loop->opts.handshakes;
	size_t n = tls_records(span_of(c->spill, c->spill_len));
	struct conn_step *st;

	/* Without a record only a client has something to say, and only at first. */
	if (n == 0 && (!c->client || c->spill_len > 0))
		return;
	if (c->steps == STEPS_MAX) {
		conn_fail(c, -ERR_PROTOCOL, 0);
		return;
	}
	st = step_new(c, n);
	if (st == NULL)
		return;
	if (pool != NULL)
		step_away(st, pool);
	else
		step_here(st);
}

void conn_handshake_cancel(struct conn *c)
{
	if (c->step != NULL)
		atomic_store_explicit(&c->step->s.cancelled, true, memory_order_relaxed);
}
