/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conn_rig.c: a listener, counting connections and a blocking peer. */
#include "tests/unit/support/conn_rig.h"
#include "core/err.h"
#include "tests/unit/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct rig *rig_of(struct conn *c)
{
	return conn_user(c);
}

static void end_if_over(struct rig *r)
{
	if (r->peer_ended && r->closed == r->opened && r->opened > 0 && !r->by_hand)
		loop_stop(r->loop);
}

static void peer_done_run(struct task *t)
{
	struct rig *r = container_of(t, struct rig, peer_done);

	r->peer_ended = true;
	end_if_over(r);
}

void rig_data_count(struct conn *c, struct span s)
{
	struct rig *r = rig_of(c);

	assert_int_equal(rig_check(s, r->received), 0);
	r->received += s.len;
}

void rig_data_echo(struct conn *c, struct span s)
{
	rig_of(c)->received += s.len;
	assert_int_equal(conn_write(c, s), 0);
	if (conn_congested(c))
		conn_pause(c, true);
}

void rig_drained_resume(struct conn *c)
{
	rig_of(c)->drained++;
	conn_pause(c, false);
}

static void rig_ready(struct conn *c)
{
	rig_of(c)->ready++;
}

void rig_closed(struct conn *c, int err)
{
	struct rig *r = rig_of(c);

	r->closed++;
	r->last_err = err;
	r->last_stage = conn_end_stage(c);
	if (r->last == c)
		r->last = NULL;
	end_if_over(r);
}

static void accepted(void *user, int fd, const struct addr *peer)
{
	struct rig *r = user;

	r->last = conn_accept(r->loop, fd, peer, &r->opts);
	assert_non_null(r->last);
	r->opened++;
}

static void *peer_main(void *arg)
{
	struct rig *r = arg;

	r->peer(r);
	(void)loop_post(r->loop, &r->peer_done);
	return NULL;
}

static void rig_start(void *arg)
{
	struct rig *r = arg;

	assert_true(listener_start(r->listener));
	if (r->start != NULL)
		r->start(r);
}

static void fill_defaults(struct rig *r)
{
	if (r->ops.ready == NULL)
		r->ops.ready = rig_ready;
	if (r->ops.data == NULL)
		r->ops.data = rig_data_count;
	if (r->ops.drained == NULL)
		r->ops.drained = rig_drained_resume;
	if (r->ops.closed == NULL)
		r->ops.closed = rig_closed;
	r->opts.ops = &r->ops;
	r->opts.user = r;
	r->peer_done.run = peer_done_run;
	if (r->listen_on == NULL)
		r->listen_on = "127.0.0.1:0";
}

void rig_run(struct rig *r)
{
	struct listener_opts lo = {.accepted = accepted, .user = r};
	unsigned fds = loops_fds();
	pthread_t thread;
	int err = 0;

	fill_defaults(r);
	r->loop = loops_new(r->recv_buffers);
	assert_int_equal(addr_parse(r->listen_on, &lo.addr), 0);
	r->listener = listener_open(r->loop, &lo, &err);
	if (r->listener == NULL)
		fail_msg("listen: %s", err_name(err));
	r->addr = *listener_addr(r->listener);
	if (r->peer != NULL)
		assert_int_equal(pthread_create(&thread, NULL, peer_main, r), 0);
	loops_run_keep(r->loop, rig_start, r);
	if (r->peer != NULL)
		pthread_join(thread, NULL);
	loop_stats_read(r->loop, &r->stats);
	loops_free(r->loop);
	assert_int_equal(r->closed, r->opened);
	assert_int_equal(r->stats.conns_live, 0);
	assert_int_equal(loops_fds(), fds);
}

/* ---- the peer ---------------------------------------------------------------------------------------------------------- */

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
	abort();
}

int rig_dial(const struct rig *r)
{
	int fd = socket(r->addr.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0, "socket");
	must(connect(fd, (const struct sockaddr *)&r->addr.ss, r->addr.len) == 0, "connect");
	return fd;
}

void rig_send(int fd, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		must(k > 0, "send");
		p += k;
		n -= (size_t)k;
	}
}

uint8_t rig_byte(uint64_t pos)
{
	return (uint8_t)(pos * 131 + (pos >> 8) * 17 + (pos >> 16) * 5);
}

size_t rig_check(struct span s, uint64_t from)
{
	size_t wrong = 0;

	for (size_t i = 0; i < s.len; i++)
		wrong += s.ptr[i] != rig_byte(from + i);
	return wrong;
}

void rig_send_pattern(int fd, uint64_t from, uint64_t n)
{
	uint8_t chunk[8192];

	while (n > 0) {
		size_t k = (size_t)MIN(n, (uint64_t)sizeof(chunk));

		for (size_t i = 0; i < k; i++)
			chunk[i] = rig_byte(from + i);
		rig_send(fd, chunk, k);
		from += k;
		n -= k;
	}
}

uint64_t rig_recv_pattern(int fd, uint64_t from, uint64_t n, size_t piece)
{
	static _Thread_local uint8_t buf[65536];
	uint64_t got = 0;

	while (got < n) {
		size_t want = (size_t)MIN(n - got, (uint64_t)MIN(piece, sizeof(buf)));
		ssize_t k = recv(fd, buf, want, 0);

		if (k <= 0 || rig_check(span_of(buf, (size_t)k), from + got) != 0)
			break;
		got += (uint64_t)k;
	}
	return got;
}
