/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * listener.c: one-shot accepts, several in flight, each with its own place for the peer's address (a multishot accept
 * cannot give it). Runs on its loop's thread; freed when the last accept has ended.
 */
#include "core/conn_int.h"
#include "core/err.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BACKLOG       65535 /* the kernel grants as much of it as net.core.somaxconn says */
#define ACCEPTS_ARMED 16
#define ACCEPTS_MAX   256
#define BACK_OFF_MS   100 /* out of descriptors or memory: trying at once would spin */

struct accept_slot {
	struct io_op op;
	struct listener *listener;
	struct addr peer;
	bool armed;
};

struct listener {
	struct loop *loop;
	struct listener_opts opts;
	struct io_listening socket;
	struct list link;
	struct timer back_off;
	unsigned inflight;
	bool started, paused, closing;
	unsigned slots_len;
	struct accept_slot slots[];
};

const struct addr *listener_addr(const struct listener *l)
{
	return &l->socket.addr;
}

bool listener_v4_only(const struct listener *l)
{
	return l->socket.v4_only;
}

static void arm(struct listener *l)
{
	if (!l->started || l->paused || l->closing || timer_armed(&l->back_off))
		return;
	for (unsigned i = 0; i < l->slots_len; i++) {
		struct accept_slot *s = &l->slots[i];

		if (s->armed)
			continue;
		s->armed = true;
		l->inflight++;
		io_accept(l->loop->io, &s->op, l->socket.fd, &s->peer);
	}
}

static void release_if_done(struct listener *l)
{
	if (!l->closing || l->inflight > 0)
		return;
	timer_cancel(l->loop, &l->back_off);
	list_remove(&l->link);
	if (l->started)
		l->loop->conns->listeners_live--;
	io_fd_close(l->socket.fd);
	free(l);
}

static void back_off_over(struct timer *t)
{
	arm(container_of(t, struct listener, back_off));
}

static void accept_failed(struct listener *l, int res)
{
	switch (res) {
	case -ECONNABORTED:
	case -EAGAIN:
	case -EINTR:
	case -ECANCELED:
	case -EPROTO:
		return;
	default:
		counter_add(&l->loop->n.accept_errors, 1);
		timer_set(l->loop, &l->back_off, loop_now_ms(l->loop) + BACK_OFF_MS);
	}
}

static void accept_done(struct io_op *op, int res, uint32_t flags)
{
	struct accept_slot *s = container_of(op, struct accept_slot, op);
	struct listener *l = s->listener;

	(void)flags;
	s->armed = false;
	if (res >= 0 && l->closing) {
		io_fd_close(res);
	} else if (res >= 0) {
		struct addr peer = s->peer;

		addr_unmap(&peer);
		if (l->opts.rcvbuf > 0)
			io_fix_buffers(res);
		l->opts.accepted(l->opts.user, res, &peer);
	} else if (!l->closing) {
		accept_failed(l, res);
	}
	/* Only now: accepted may have closed the listener. */
	l->inflight--;
	arm(l);
	release_if_done(l);
}

struct listener *listener_open(struct loop *l, const struct listener_opts *opts, int *err)
{
	const struct io_listen_opts o = {
		.addr = opts->addr,
		.backlog = opts->backlog != 0 ? opts->backlog : BACKLOG,
		.rcvbuf = opts->rcvbuf,
		.sndbuf = opts->sndbuf,
	};
	unsigned slots =
		opts->accepts_armed != 0 ? MIN(opts->accepts_armed, ACCEPTS_MAX) : ACCEPTS_ARMED;
	struct listener *ls = calloc(1, sizeof(*ls) + slots * sizeof(ls->slots[0]));

	*err = -ERR_NOMEM;
	if (ls == NULL)
		return NULL;
	*err = io_listen(&o, &ls->socket);
	if (*err != 0) {
		free(ls);
		return NULL;
	}
	ls->loop = l;
	ls->opts = *opts;
	ls->back_off.fire = back_off_over;
	ls->slots_len = slots;
	list_init(&ls->link);
	for (unsigned i = 0; i < slots; i++) {
		ls->slots[i].op.done = accept_done;
		ls->slots[i].listener = ls;
	}
	return ls;
}

bool listener_start(struct listener *l)
{
	struct conn_sched *s = conn_sched_of(l->loop);

	ASSERT(l->loop == loop_current() && !l->started);
	if (s == NULL)
		return false;
	list_push_back(&s->listeners, &l->link);
	s->listeners_live++;
	l->started = true;
	arm(l);
	return true;
}

void listener_pause(struct listener *l, bool paused)
{
	l->paused = paused;
	for (unsigned i = 0; paused && i < l->slots_len; i++)
		if (l->slots[i].armed)
			io_cancel(l->loop->io, &l->slots[i].op);
	arm(l);
}

void listener_close(struct listener *l)
{
	if (l->closing)
		return;
	l->closing = true;
	/* Ends the accepts, and the listening: other tables of descriptors may have the socket, too. The cancellation covers accepts that are just being made. */
	io_shutdown(l->socket.fd, SHUT_RDWR);
	if (l->inflight > 0)
		io_cancel_fd(l->loop->io, l->socket.fd);
	release_if_done(l);
}

unsigned listener_close_all(struct conn_sched *s)
{
	struct list *i, *next;

	for (i = s->listeners.next; i != &s->listeners; i = next) {
		next = i->next;
		listener_close(container_of(i, struct listener, link));
	}
	return s->listeners_live;
}
