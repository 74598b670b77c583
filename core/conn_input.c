/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conn_input.c: the receive side. An open connection gets its data in place, out of the ring's buffers. Before that, and while
 * paused, octets are copied to the spill; before OPEN the receive is armed one buffer at a time, so that a stranger
 * cannot make us keep more than one while its handshake waits its turn.
 */
#include "core/conn_int.h"
#include "core/err.h"
#include "core/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void conn_recv_arm(struct conn *c)
{
	bool multi = c->stage == CONN_OPEN && !c->oneshot;

	if (c->recv_armed || c->eof || c->phase == PHASE_JOIN || c->stage == CONN_CONNECTING)
		return;
	if (c->stage == CONN_OPEN && c->paused)
		return;
	/* Before OPEN: first use what is here. */
	if (c->stage < CONN_OPEN && ((c->work & WORK_INPUT) != 0 || c->step != NULL))
		return;
	c->recv_armed = true;
	c->recv_cancelled = false;
	c->inflight++;
	io_recv(c->loop->io, &c->recv, c->fd, multi);
}

static bool spill_add(struct conn *c, struct span s)
{
	uint8_t *p = s.len <= CONN_SPILL_MAX - c->spill_len
	                     ? realloc(c->spill, c->spill_len + s.len)
	                     : NULL;

	if (p == NULL) {
		conn_fail(c, -ERR_NOMEM, 0);
		return false;
	}
	memcpy(p + c->spill_len, s.ptr, s.len);
	c->spill = p;
	c->spill_len += (uint32_t)s.len;
	return true;
}

static void spill_drop(struct conn *c, size_t n)
{
	c->spill_len -= (uint32_t)n;
	if (c->spill_len > 0) {
		memmove(c->spill, c->spill + n, c->spill_len);
		return;
	}
	free(c->spill);
	c->spill = NULL;
}

/* deliver: plaintext for the owner, or for the spill while paused. */
static void deliver(struct conn *c, struct span s)
{
	if (c->stage != CONN_OPEN)
		return;
	PROBE(conn_data, c, s.len);
	if (!c->paused && c->spill_len == 0) {
		c->ops->data(c, s);
		return;
	}
	if (!spill_add(c, s) || !c->recv_armed || c->recv_cancelled)
		return;
	c->oneshot = true;
	c->recv_cancelled = true;
	io_cancel(c->loop->io, &c->recv);
}

/* peer_closed: the end of the stream, after everything before it was delivered. */
static void peer_closed(struct conn *c)
{
	switch (c->stage) {
	case CONN_OPEN:
		/* After a failed send the reset was reported there, and the receive only sees the end. */
		conn_begin_close(c, c->send_broken ? -ERR_CLOSED : 0, CONN_PEER_CLOSE_MS);
		break;
	case CONN_CLOSING:
		if (c->phase == PHASE_LINGER)
			conn_shut(c);
		break;
	default:
		conn_fail(c, -ERR_CLOSED, 0);
		break;
	}
}

void conn_decrypt(struct conn *c)
{
	uint8_t *scratch = c->loop->conns->scratch;

	while (c->stage == CONN_OPEN) {
		ssize_t n = tls_read(c->tls, scratch, CONN_SCRATCH_SIZE);

		if (n > 0) {
			deliver(c, span_of(scratch, (size_t)n));
			continue;
		}
		if (n == -ERR_CLOSED) { /* close_notify: nothing counts that comes after it */
			c->eof = true;
			if (c->spill_len == 0)
				peer_closed(c);
		} else if (n != -ERR_AGAIN) {
			conn_fail(c, -ERR_TLS, CONN_PEER_CLOSE_MS);
		}
		return;
	}
}

static void input_preface(struct conn *c)
{
	struct addr peer;
	ssize_t n;

	conn_peer(c, &peer);
	n = c->preface(c->preface_arg, span_of(c->spill, c->spill_len), &peer);
	if (n < 0 || (n == 0 && c->spill_len >= CONN_PREFACE_MAX)) {
		conn_fail(c, n < 0 ? (int)n : -ERR_PROTOCOL, 0);
		return;
	}
	if (n == 0)
		return;
	ASSERT((size_t)n <= c->spill_len);
	memcpy(&c->peer, &peer.ss, MIN((size_t)peer.len, sizeof(c->peer)));
	spill_drop(c, (size_t)n);
	c->stage = CONN_TLS;
	if (c->tls == NULL)
		conn_opened(c);
	if (c->spill_len > 0)
		conn_work_add(c, WORK_INPUT);
}

/* input_resumed: what was received while paused. */
static void input_resumed(struct conn *c)
{
	uint8_t *p = c->spill;
	size_t n = c->spill_len;

	if (c->paused)
		return;
	c->spill = NULL;
	c->spill_len = 0;
	if (n > 0)
		c->ops->data(c, span_of(p, n));
	free(p);
	if (c->eof && c->stage == CONN_OPEN && c->spill_len == 0)
		peer_closed(c);
}

void conn_input(struct conn *c)
{
	if (c->stage == CONN_PROXY)
		input_preface(c);
	else if (c->stage == CONN_TLS)
		conn_handshake(c);
	else if (c->stage == CONN_OPEN)
		input_resumed(c);
	conn_work_add(c, WORK_RECV);
}

static void received(struct conn *c, struct span s)
{
	c->bytes_in += s.len;
	counter_add(&c->loop->n.bytes_in, s.len);
	if (c->stage == CONN_CLOSING)
		return;
	if (c->stage < CONN_OPEN) {
		if (spill_add(c, s))
			conn_work_add(c, WORK_INPUT);
	} else if (c->tls == NULL) {
		deliver(c, s);
	} else if (!c->eof) {
		tls_input(c->tls, s);
		conn_decrypt(c);
	}
}

static void recv_failed(struct conn *c, int res)
{
	if (c->stage == CONN_CLOSING)
		conn_shut(c);
	else
		conn_fail(c, res == -ETIMEDOUT ? -ERR_TIMEOUT : -ERR_CLOSED, 0);
}

void conn_recv_done(struct io_op *op, int res, uint32_t flags)
{
	struct conn *c = container_of(op, struct conn, recv);
	unsigned rearm = WORK_RECV;

	if ((flags & IO_MORE) == 0) {
		c->recv_armed = false;
		c->inflight--;
	}
	if (conn_joined(c))
		return;
	if (res > 0) {
		received(c, io_buffer(c->loop->io, res, flags));
	} else if (res == 0) {
		c->eof = true;
		if (c->stage != CONN_OPEN || c->spill_len == 0)
			peer_closed(c);
	} else if (res == -ENOBUFS || res == -EAGAIN || res == -ENOMEM) {
		rearm = WORK_STARVED;
	} else if (res != -ECANCELED && res != -EINTR) {
		recv_failed(c, res);
	}
	if (!c->recv_armed)
		conn_work_add(c, rearm);
}
