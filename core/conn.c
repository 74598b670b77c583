/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conn.c: birth, stages, deadlines and death of a connection. Death has one order: (flush, linger,) shutdown, join, close:
 * closing the descriptor while an operation is in flight would leave the socket alive and its number free for reuse.
 * A connection is freed by conn_end only, which runs from conn_sched.c when no operation is in flight.
 */
#include "core/conn_int.h"
#include "core/err.h"
#include "core/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void *conn_user(const struct conn *c)
{
	return c->user;
}

void conn_set_user(struct conn *c, const struct conn_ops *ops, void *user)
{
	c->ops = ops;
	c->user = user;
}

struct loop *conn_loop(const struct conn *c)
{
	return c->loop;
}

void conn_peer(const struct conn *c, struct addr *out)
{
	*out = (struct addr){0};
	if (c->peer.family == AF_INET)
		out->len = sizeof(c->peer.in);
	else if (c->peer.family == AF_INET6)
		out->len = sizeof(c->peer.in6);
	memcpy(&out->ss, &c->peer, out->len);
}

enum conn_stage conn_stage(const struct conn *c)
{
	return c->stage;
}

enum conn_stage conn_end_stage(const struct conn *c)
{
	return c->end_stage;
}

struct tls *conn_tls(const struct conn *c)
{
	return c->step == NULL ? c->tls : NULL;
}

uint64_t conn_bytes_in(const struct conn *c)
{
	return c->bytes_in;
}

uint64_t conn_bytes_out(const struct conn *c)
{
	return c->bytes_out;
}

/* ---- death ----------------------------------------------------------------------------------------------------------- */

void conn_shut(struct conn *c)
{
	if (c->phase == PHASE_JOIN)
		return;
	c->phase = PHASE_JOIN;
	conn_handshake_cancel(c);
	io_shutdown(c->fd, SHUT_RDWR);
	if (c->end_stage == CONN_CONNECTING && c->inflight > 0)
		io_cancel(c->loop->io, &c->send);
	timer_set(c->loop, &c->timer, loop_now_ms(c->loop) + CONN_JOIN_MS);
	(void)conn_joined(c);
}

bool conn_joined(struct conn *c)
{
	if (c->phase != PHASE_JOIN)
		return false;
	if (c->inflight == 0)
		conn_work_add(c, WORK_END);
	return true;
}

void conn_begin_close(struct conn *c, int err, uint32_t flush_ms)
{
	if (c->stage == CONN_CLOSING) {
		if (flush_ms == 0)
			conn_shut(c);
		return;
	}
	c->end_stage = c->stage;
	c->stage = CONN_CLOSING;
	c->err = (int16_t)err;
	if (flush_ms == 0 || c->end_stage < CONN_TLS || c->send_broken || c->step != NULL) {
		conn_shut(c);
		return;
	}
	c->phase = PHASE_FLUSH;
	timer_set(c->loop, &c->timer, loop_now_ms(c->loop) + flush_ms);
	conn_work_add(c, WORK_OUTPUT | WORK_RECV);
}

void conn_fail(struct conn *c, int err, uint32_t flush_ms)
{
	sendq_clear(&c->plain, &c->loop->conns->pool);
	conn_begin_close(c, err, flush_ms);
}

void conn_close(struct conn *c, uint32_t flush_ms)
{
	conn_begin_close(c, 0, flush_ms);
}

void conn_end(struct conn *c)
{
	struct loop *l = c->loop;
	struct pool *p = &l->conns->pool;

	ASSERT(c->inflight == 0 && !c->queued && c->phase == PHASE_JOIN);
	timer_cancel(l, &c->timer);
	PROBE(conn_end, c, c->err, c->bytes_in, c->bytes_out);
	c->queued = true; /* whatever closed() calls must not queue it again */
	io_fd_close(c->fd);
	sendq_clear(&c->out, p);
	sendq_clear(&c->plain, p);
	c->ops->closed(c, c->err);
	list_remove(&c->link);
	l->conns->live--;
	counter_sub(&l->n.conns_live, 1);
	tls_free(c->tls);
	free(c->spill);
	free(c);
}

static void timer_fired(struct timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);

	if (c->stage == CONN_OPEN) {
		conn_stall_check(c);
	} else if (c->stage != CONN_CLOSING) {
		conn_fail(c, -ERR_TIMEOUT, 0);
	} else if (c->phase == PHASE_JOIN) {
		/* Each by itself: a cancellation by descriptor looks at every operation of the ring, and many may end at once. */
		io_cancel(c->loop->io, &c->recv);
		io_cancel(c->loop->io, &c->send);
		timer_set(c->loop, t, loop_now_ms(c->loop) + CONN_JOIN_MS);
	} else {
		conn_shut(c);
	}
}

/* ---- birth ----------------------------------------------------------------------------------------------------------- */

void conn_opened(struct conn *c)
{
	c->stage = CONN_OPEN;
	PROBE(conn_open, c, c->fd);
	timer_cancel(c->loop, &c->timer);
	if (conn_queued(c) > 0)
		timer_set(c->loop, &c->timer, loop_now_ms(c->loop) + c->stall_ms);
	c->progress_ms = loop_now_ms(c->loop);
	conn_work_add(c, WORK_OUTPUT | WORK_RECV);
	if (c->ops->ready != NULL)
		c->ops->ready(c);
}

void conn_start(struct conn *c)
{
	if (c->stage != CONN_CONNECTING)
		return;
	c->stage = c->preface != NULL ? CONN_PROXY : CONN_TLS;
	if (c->preface == NULL && c->tls == NULL) {
		conn_opened(c);
		return;
	}
	/* A client speaks first. A server's first step waits for octets. */
	conn_work_add(c, c->client ? WORK_INPUT | WORK_RECV : WORK_RECV);
}

static void connect_done(struct io_op *op, int res, uint32_t flags)
{
	struct conn *c = container_of(op, struct conn, send);

	(void)flags;
	c->inflight--;
	free(c->spill);
	c->spill = NULL;
	if (conn_joined(c))
		return;
	if (res != 0) {
		conn_fail(c, err_from_errno(-res), 0);
		return;
	}
	c->send.done = conn_send_done;
	conn_start(c);
}

static struct conn *conn_new(struct loop *l, int fd, const struct addr *peer,
                             const struct conn_opts *opts)
{
	struct conn_sched *s = conn_sched_of(l);
	struct conn *c = s != NULL ? calloc(1, sizeof(*c)) : NULL;

	if (c == NULL)
		return NULL;
	c->loop = l;
	if (opts->tls != NULL) {
		c->tls = tls_new(opts->tls, opts->server_name, conn_tls_output, c);
		if (c->tls == NULL) {
			free(c);
			return NULL;
		}
	}
	c->recv.done = conn_recv_done;
	c->send.done = conn_send_done;
	c->ops = opts->ops;
	c->user = opts->user;
	c->preface = opts->preface;
	c->preface_arg = opts->preface_arg;
	c->stall_ms = opts->send_stall_ms != 0 ? opts->send_stall_ms : CONN_STALL_MS;
	c->send_limit = opts->send_limit != 0 ? (uint32_t)MIN(opts->send_limit, (size_t)UINT32_MAX)
	                                      : CONN_SEND_LIMIT;
	c->fd = fd;
	c->timer.fire = timer_fired;
	if (peer->len <= sizeof(c->peer) &&
	    (peer->ss.ss_family == AF_INET || peer->ss.ss_family == AF_INET6))
		memcpy(&c->peer, &peer->ss, peer->len);
	list_push_back(&s->conns, &c->link);
	s->live++;
	timer_set(l, &c->timer,
	          loop_now_ms(l) +
	                  (opts->handshake_ms != 0 ? opts->handshake_ms : CONN_HANDSHAKE_MS));
	if (!timer_armed(&s->trim))
		timer_set(l, &s->trim, loop_now_ms(l) + CONN_POOL_TRIM_MS);
	counter_add(&l->n.conns_live, 1);
	counter_add(&l->n.conns_opened, 1);
	return c;
}

struct conn *conn_accept(struct loop *l, int fd, const struct addr *peer,
                         const struct conn_opts *opts)
{
	struct conn *c;

	ASSERT(l == loop_current());
	c = conn_new(l, fd, peer, opts);
	if (c == NULL) {
		io_fd_close(fd);
		return NULL;
	}
	conn_work_add(c, WORK_START);
	return c;
}

struct conn *conn_connect(struct loop *l, const struct addr *to, const struct addr *from_or_null,
                          const struct conn_opts *opts)
{
	int fd = io_client_socket(to->ss.ss_family, from_or_null);
	struct addr *copy = fd >= 0 ? malloc(sizeof(*copy)) : NULL;
	struct conn *c = copy != NULL ? conn_new(l, fd, to, opts) : NULL;

	if (c == NULL) {
		free(copy);
		if (fd >= 0)
			io_fd_close(fd);
		return NULL;
	}
	*copy = *to;
	c->spill = (uint8_t *)copy;
	c->client = true;
	c->send.done = connect_done;
	c->inflight++;
	io_connect(l->io, &c->send, fd, copy);
	return c;
}

void conn_buffers(struct conn *c, int rcvbuf, int sndbuf)
{
	io_buffers(c->fd, rcvbuf, sndbuf);
}

uint32_t conn_rtt_ms(const struct conn *c)
{
	return io_rtt_us(c->fd) / 1000;
}

void conn_pause(struct conn *c, bool paused)
{
	if (c->paused == paused)
		return;
	c->paused = paused;
	if (!paused)
		conn_work_add(c, WORK_INPUT);
}
