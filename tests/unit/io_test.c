/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ring by itself: full queues, cancellation, and many sends in one submission. */
#include "core/err.h"
#include "core/io.h"
#include "tests/unit/support/loops.h"
#include "tests/unit/support/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLOOD   12000 /* more than the completion queue of 8192 holds */
#define SENDERS 1500  /* goes round the submission queue of 512 more than once */

struct ring {
	struct io *io;
	struct io_bell bell;
	struct io_counters counters;
};

static void ring_open(struct ring *r)
{
	struct io_opts o = {.force_min = loops_min, .bell = &r->bell, .counters = &r->counters};

	memset(r, 0, sizeof(*r));
	assert_int_equal(io_bell_init(&r->bell), 0);
	assert_int_equal(io_open(&o, &r->io), 0);
}

static void ring_close(struct ring *r)
{
	io_close(r->io);
	io_bell_fini(&r->bell);
}

struct op {
	struct io_op op;
	unsigned done;
	int res;
};

static void op_done(struct io_op *io_op, int res, uint32_t flags)
{
	struct op *op = container_of(io_op, struct op, op);

	assert_int_equal(flags & IO_MORE, 0);
	op->done++;
	op->res = res;
}

static void run_until_idle(struct ring *r)
{
	for (unsigned i = 0; io_inflight(r->io) > 0 && i < 10000; i++) {
		io_wait(r->io, 1000);
		(void)io_dispatch(r->io, 1024);
	}
	assert_int_equal(io_inflight(r->io), 0);
}

static struct op *make_ops(unsigned n)
{
	struct op *ops = calloc(n, sizeof(*ops));

	assert_non_null(ops);
	for (unsigned i = 0; i < n; i++)
		ops[i].op.done = op_done;
	return ops;
}

/* Receives on no descriptor complete while they are submitted: both queues run over before anything is reaped. */
static void test_overflow_loses_nothing(void **state)
{
	struct op *ops = make_ops(FLOOD);
	struct ring r;

	(void)state;
	ring_open(&r);
	for (unsigned i = 0; i < FLOOD; i++)
		io_recv(r.io, &ops[i].op, -1, false);
	assert_int_equal(io_inflight(r.io), FLOOD);
	run_until_idle(&r);
	for (unsigned i = 0; i < FLOOD; i++) {
		assert_int_equal(ops[i].done, 1);
		assert_int_equal(ops[i].res, -EBADF);
	}
	assert_true(counter_read(&r.counters.cq_overflows) > 0);
	ring_close(&r);
	free(ops);
}

/* Every message keeps its own header until the kernel has taken it, also when the submission queue wraps. */
static void test_many_sends_in_one_iteration(void **state)
{
	struct op *ops = make_ops(SENDERS);
	uint32_t *numbers = calloc(SENDERS, sizeof(*numbers));
	struct ring r;
	int sv[2];

	(void)state;
	assert_non_null(numbers);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	ring_open(&r);
	for (unsigned round = 0; round < SENDERS;
	     round += 100) { /* the socket holds some hundred packets */
		for (unsigned i = round; i < round + 100; i++) {
			struct iovec iov[2] = {{&numbers[i], 2}, {(char *)&numbers[i] + 2, 2}};

			numbers[i] = i * 2654435761U;
			io_sendmsg(r.io, &ops[i].op, sv[0], iov, 2);
			memset(iov, 0, sizeof(iov));
		}
		run_until_idle(&r);
		for (unsigned i = round; i < round + 100; i++) {
			uint32_t got = 0;

			assert_int_equal(ops[i].res, 4);
			assert_int_equal(recv(sv[1], &got, sizeof(got), 0), 4);
			assert_int_equal(got, numbers[i]);
		}
	}
	ring_close(&r);
	close(sv[0]);
	close(sv[1]);
	free(numbers);
	free(ops);
}

static void test_cancel_ends_a_receive(void **state)
{
	struct op *ops = make_ops(2);
	struct ring r;
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	ring_open(&r);
	io_recv(r.io, &ops[0].op, sv[0], true);
	io_wait(r.io, 10);
	assert_int_equal(io_dispatch(r.io, 10), 0);
	io_cancel(r.io, &ops[0].op);
	run_until_idle(&r);
	assert_int_equal(ops[0].res, -ECANCELED);
	io_recv(r.io, &ops[1].op, sv[1], true);
	io_cancel_fd(r.io, sv[1]); /* in the same submission */
	run_until_idle(&r);
	assert_int_equal(ops[1].done, 1);
	ring_close(&r);
	close(sv[0]);
	close(sv[1]);
	free(ops);
}

static int window_scale(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_snd_wscale; /* the one that the peer chose */
}

static int buffer(int fd, int name)
{
	int n = 0;
	socklen_t len = sizeof(n);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, name, &n, &len), 0);
	return n;
}

/* A small first buffer must not hold the connection to small windows for ever. */
static void test_small_buffers_can_grow(void **state)
{
	struct io_listen_opts o = {.backlog = 1, .rcvbuf = 32768, .sndbuf = 65536};
	struct io_listening l;
	int client, server;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1:0", &o.addr), 0);
	assert_int_equal(io_listen(&o, &l), 0);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&l.addr.ss, l.addr.len), 0);
	server = accept(l.fd, NULL, NULL);
	assert_true(server >= 0);
	io_fix_buffers(server);
	assert_int_equal(buffer(server, SO_RCVBUF), 2 * 32768);
	assert_int_equal(buffer(server, SO_SNDBUF), 2 * 65536);
	assert_true(window_scale(client) > 0);
	assert_true(io_rtt_us(client) > 0);
	assert_int_equal(io_rtt_us(STDIN_FILENO), 0);
	io_buffers(server, 131072, 0);
	assert_int_equal(buffer(server, SO_RCVBUF), 2 * 131072);
	assert_int_equal(buffer(server, SO_SNDBUF), 2 * 65536);
	io_buffers(server, 32768, 131072);
	assert_int_equal(buffer(server, SO_RCVBUF), 2 * 32768);
	assert_int_equal(buffer(server, SO_SNDBUF), 2 * 131072);
	close(client);
	close(server);
	close(l.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOPS_TEST(test_overflow_loses_nothing),
		LOOPS_TEST(test_many_sends_in_one_iteration),
		LOOPS_TEST(test_cancel_ends_a_receive),
		cmocka_unit_test(test_small_buffers_can_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
