/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conn_output.c: the send side: writes are queued, encrypted and sent once an iteration, with at most one send in flight.
 * Under TLS plaintext waits in its own queue while CONN_CIPHER_MAX of ciphertext is queued, so that the limit that the
 * caller sees counts everything.
 */
#include "core/conn_int.h"
#include "core/err.h"
#include "core/probe.h"

#include <errno.h>
#include <sys/socket.h>

size_t conn_queued(const struct conn *c)
{
	return c->out.len + c->plain.len;
}

size_t conn_held(const struct conn *c)
{
	return c->spill_len;
}

bool conn_congested(const struct conn *c)
{
	return conn_queued(c) > c->send_limit / 2;
}

/* queue_started: the queue was empty and is not any more: the stall watch begins. */
static void queue_started(struct conn *c)
{
	c->progress_ms = loop_now_ms(c->loop);
	if (c->stage == CONN_OPEN && !timer_armed(&c->timer))
		timer_set(c->loop, &c->timer, c->progress_ms + c->stall_ms);
}

static int queue(struct conn *c, struct sendq *q, struct span s)
{
	bool was_empty = conn_queued(c) == 0;
	int rc = sendq_append(q, &c->loop->conns->pool, s);

	if (rc == 0 && was_empty && s.len > 0)
		queue_started(c);
	return rc;
}

/*
 * straight: whole records are encrypted from where they lie if nothing is queued before them: a bulk transfer saves a move. Returns
 * the rest; *err: the session failed and the connection is closing.
 */
static struct span straight(struct conn *c, struct span s, int *err)
{
	while (*err == 0 && s.len >= CONN_SCRATCH_SIZE && c->out.len < CONN_CIPHER_MAX) {
		*err = tls_write(c->tls, span_of(s.ptr, CONN_SCRATCH_SIZE));
		s = span_of(s.ptr + CONN_SCRATCH_SIZE, s.len - CONN_SCRATCH_SIZE);
	}
	if (*err != 0)
		conn_fail(c, *err, 0);
	return s;
}

int conn_write(struct conn *c, struct span s)
{
	int rc;

	if (c->stage == CONN_CLOSING || c->send_broken)
		return -ERR_CLOSED;
	if (conn_queued(c) >= c->send_limit) {
		c->want_drained = true;
		return -ERR_AGAIN;
	}
	rc = 0;
	if (c->tls != NULL && c->stage == CONN_OPEN && c->plain.len == 0)
		s = straight(c, s, &rc);
	if (rc == 0)
		rc = queue(c, c->tls != NULL ? &c->plain : &c->out, s);
	if (rc != 0)
		return rc;
	if (conn_congested(c))
		c->want_drained = true;
	if (c->stage == CONN_OPEN)
		conn_work_add(c, WORK_OUTPUT);
	return 0;
}

int conn_tls_output(void *arg, struct span s)
{
	struct conn *c = arg;
	int rc = queue(c, &c->out, s);

	if (rc == 0)
		conn_work_add(c, WORK_OUTPUT);
	return rc;
}

void conn_stall_check(struct conn *c)
{
	uint64_t due_ms = c->progress_ms + c->stall_ms;

	if (c->send_broken)
		conn_fail(c, -ERR_CLOSED, 0);
	else if (conn_queued(c) == 0)
		return;
	else if (loop_now_ms(c->loop) >= due_ms)
		conn_fail(c, -ERR_TIMEOUT, 0);
	else
		timer_set(c->loop, &c->timer, due_ms);
}

/*
 * encrypt: moves plaintext to the queue of ciphertext. Small blocks are gathered, for a record costs both ends more than a move; large ones
 * are not moved. False: the session failed and the connection is closing.
 */
static bool encrypt(struct conn *c)
{
	uint8_t *scratch = c->loop->conns->scratch;
	struct pool *pool = &c->loop->conns->pool;

	while (c->plain.len > 0 && c->out.len < CONN_CIPHER_MAX) {
		size_t n = MIN(c->plain.len, (size_t)CONN_SCRATCH_SIZE);
		struct span s = sendq_first(&c->plain);
		bool gathered = s.len < MIN(n, (size_t)CONN_SCRATCH_SIZE / 4);
		int rc;

		if (gathered) {
			sendq_take(&c->plain, pool, scratch, n);
			s = span_of(scratch, n);
		}
		rc = tls_write(c->tls, s);
		if (rc != 0) {
			conn_fail(c, rc, 0);
			return false;
		}
		if (!gathered)
			sendq_consume(&c->plain, pool, s.len);
	}
	return true;
}

static void send_start(struct conn *c)
{
	struct iovec iov[IO_IOV_MAX];
	unsigned n = sendq_iov(&c->out, iov, IO_IOV_MAX);

	c->sending = true;
	c->inflight++;
	io_sendmsg(c->loop->io, &c->send, c->fd, iov, n);
}

/* flushed: closing, and everything was sent. */
static void flushed(struct conn *c)
{
	if (c->eof) {
		conn_shut(c);
		return;
	}
	c->phase = PHASE_LINGER;
	io_shutdown(c->fd, SHUT_WR);
	conn_work_add(c, WORK_RECV);
}

void conn_output(struct conn *c)
{
	bool flushing = c->phase == PHASE_FLUSH;

	if (c->sending || c->send_broken || c->phase > PHASE_FLUSH || c->stage == CONN_CONNECTING)
		return;
	if (c->tls != NULL && c->step == NULL && tls_established(c->tls)) {
		if (!encrypt(c))
			return;
		if (flushing && c->plain.len == 0)
			tls_close(c->tls);
	}
	/* Plaintext of a session that was never established cannot be sent. */
	if (c->out.len > 0 && (c->tls != NULL || c->stage >= CONN_OPEN))
		send_start(c);
	else if (flushing)
		flushed(c);
}

static void check_drained(struct conn *c)
{
	if (!c->want_drained || c->stage == CONN_CLOSING || conn_congested(c))
		return;
	c->want_drained = false;
	if (c->ops->drained != NULL)
		c->ops->drained(c);
}

/*
 * The connection is broken, but what the peer sent before it broke may still be readable and say why: let the receive end
 * by itself, for a moment.
 */
static void send_failed(struct conn *c)
{
	struct pool *p = &c->loop->conns->pool;

	if (c->stage != CONN_OPEN || !c->recv_armed || c->paused) {
		conn_fail(c, -ERR_CLOSED, 0);
		return;
	}
	c->send_broken = true;
	sendq_clear(&c->out, p);
	sendq_clear(&c->plain, p);
	timer_set(c->loop, &c->timer, loop_now_ms(c->loop) + CONN_PEER_CLOSE_MS);
}

void conn_send_done(struct io_op *op, int res, uint32_t flags)
{
	struct conn *c = container_of(op, struct conn, send);

	(void)flags;
	c->sending = false;
	c->inflight--;
	PROBE(conn_sent, c, res);
	if (conn_joined(c))
		return;
	if (res > 0) {
		sendq_consume(&c->out, &c->loop->conns->pool, (size_t)res);
		c->progress_ms = loop_now_ms(c->loop);
		c->bytes_out += (size_t)res;
		counter_add(&c->loop->n.bytes_out, (uint64_t)res);
		conn_work_add(c, WORK_OUTPUT);
		check_drained(c);
	} else if (res == -EAGAIN || res == -EINTR || res == -ENOBUFS || res == -ENOMEM) {
		conn_work_later(c, WORK_OUTPUT);
	} else {
		send_failed(c);
	}
}
