/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ring by itself: full queues, cancellation, many sends in one submission, and receive buffers as they are needed. */
#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "tests/unit/support/loops.h"
#include "tests/unit/support/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* ---- receive buffers ---------------------------------------------------------------------------------------------- */

#define CROWD     200
#define LENGTH_OF 17 /* a peer sends its number plus this, times 17 octets */

/* One socket with a receive; the octets that its peer sends tell who that is. */
struct peer {
	struct io_op op;
	struct crowd *crowd;
	int fd, other;
	unsigned number;
	bool armed;
	struct buf got, sent;
};

struct crowd {
	struct ring r;
	struct peer peers[CROWD];
	uint8_t *first_buffer; /* the lowest address that was seen */
};

static void crowd_arm(struct peer *p)
{
	p->armed = true;
	io_recv(p->crowd->r.io, &p->op, p->fd, false);
}

static void crowd_done(struct io_op *op, int res, uint32_t flags)
{
	struct peer *p = container_of(op, struct peer, op);
	struct crowd *c = p->crowd;
	struct span s;

	assert_int_equal(flags & IO_MORE, 0);
	p->armed = false;
	if (res == -ENOBUFS)
		return;
	assert_true(res > 0);
	s = io_buffer(c->r.io, res, flags);
	buf_put(&p->got, s.ptr, s.len);
	if (c->first_buffer == NULL || s.ptr < c->first_buffer)
		c->first_buffer = (uint8_t *)(uintptr_t)s.ptr;
}

static struct crowd *crowd_new(void)
{
	struct crowd *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	ring_open(&c->r);
	for (unsigned i = 0; i < CROWD; i++) {
		struct peer *p = &c->peers[i];
		int sv[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
		*p = (struct peer){.op.done = crowd_done,
		                   .crowd = c,
		                   .number = i,
		                   .fd = sv[0],
		                   .other = sv[1]};
		buf_init(&p->got, 1 << 20);
		buf_init(&p->sent, 1 << 20);
	}
	return c;
}

/* Compares what came with what was sent. */
static void crowd_free(struct crowd *c)
{
	for (unsigned i = 0; i < CROWD; i++) {
		struct peer *p = &c->peers[i];

		assert_false(p->armed);
		assert_int_equal(p->got.len, p->sent.len);
		assert_memory_equal(p->got.data, p->sent.data, p->got.len);
		buf_free(&p->got);
		buf_free(&p->sent);
		close(p->fd);
		close(p->other);
	}
	ring_close(&c->r);
	free(c);
}

static void crowd_send(struct peer *p, unsigned seed)
{
	uint8_t octets[(CROWD + LENGTH_OF) * 17];
	size_t n = (p->number + LENGTH_OF) * 17;

	for (size_t i = 0; i < n; i++)
		octets[i] = (uint8_t)(p->number * 31 + seed * 7 + i);
	assert_int_equal(write(p->other, octets, n), (ssize_t)n);
	buf_put(&p->sent, octets, n);
}

static void crowd_start(struct crowd *c, unsigned n, unsigned seed)
{
	for (unsigned i = 0; i < n; i++) {
		crowd_send(&c->peers[i], seed);
		crowd_arm(&c->peers[i]);
	}
}

/* Each receive that found no buffer is armed again. Returns how many did not. */
static unsigned crowd_finish(struct crowd *c)
{
	unsigned starved = 0;

	run_until_idle(&c->r);
	for (unsigned i = 0; i < CROWD; i++) {
		if (c->peers[i].got.len == c->peers[i].sent.len)
			continue;
		starved++;
		crowd_arm(&c->peers[i]);
	}
	run_until_idle(&c->r);
	return starved;
}

/* The first n peers send at once. Returns how many receives found no buffer at first. */
static unsigned crowd_burst(struct crowd *c, unsigned n, unsigned seed)
{
	crowd_start(c, n, seed);
	return crowd_finish(c);
}

static uint64_t buffers_now(const struct crowd *c)
{
	return counter_read(&c->r.counters.buffers);
}

/* How many of the buffers have memory. The first one must have been seen. */
static unsigned resident(const struct crowd *c)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char in[IO_BUFFERS];
	unsigned n = 0;

	assert_int_equal(page, IO_BUFFER_SIZE);
	assert_int_equal(mincore(c->first_buffer, (size_t)IO_BUFFERS * page, in), 0);
	for (unsigned i = 0; i < IO_BUFFERS; i++)
		n += in[i] & 1;
	return n;
}

/* One after the other, so that every buffer that the kernel has is used in turn. */
static void crowd_trickle(struct crowd *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(crowd_burst(c, 1, i), 0);
}

static void test_buffers_grow_at_want(void **state)
{
	struct crowd *c = crowd_new();
	unsigned starved;

	(void)state;
	assert_int_equal(buffers_now(c), IO_BUFFERS_MIN);
	starved = crowd_burst(c, CROWD, 1);
	assert_int_equal(starved, CROWD - IO_BUFFERS_MIN);
	assert_int_equal(counter_read(&c->r.counters.no_buffers), starved);
	assert_int_equal(buffers_now(c), IO_BUFFERS);
	/* Enough for the next ones. */
	for (unsigned i = 2; i < 6; i++)
		assert_int_equal(crowd_burst(c, CROWD, i), 0);
	assert_int_equal(counter_read(&c->r.counters.no_buffers), starved);
	crowd_free(c);
}

static void test_buffers_grow_before_they_run_out(void **state)
{
	struct crowd *c = crowd_new();

	(void)state;
	assert_int_equal(crowd_burst(c, IO_BUFFERS_MIN / 2, 1), 0);
	assert_int_equal(buffers_now(c), IO_BUFFERS_MIN);
	for (unsigned n = IO_BUFFERS_MIN; n < IO_BUFFERS; n *= 2)
		assert_int_equal(crowd_burst(c, n - n / 8, n), 0);
	assert_int_equal(counter_read(&c->r.counters.no_buffers), 0);
	assert_int_equal(buffers_now(c), IO_BUFFERS);
	crowd_free(c);
}

static void test_buffers_shrink_when_calm(void **state)
{
	struct crowd *c = crowd_new();

	(void)state;
	(void)crowd_burst(c, CROWD, 1);
	(void)crowd_burst(c, CROWD, 2);
	(void)crowd_burst(c, CROWD, 3);
	assert_int_equal(buffers_now(c), IO_BUFFERS);
	assert_int_equal(resident(c), IO_BUFFERS);
	io_trim(c->r.io); /* they were needed until now */
	assert_int_equal(resident(c), IO_BUFFERS);
	for (unsigned n = IO_BUFFERS / 2; n >= IO_BUFFERS_MIN; n /= 2) {
		io_trim(c->r.io);
		assert_true(resident(c) <= n);
	}
	/* The kernel still has all; those too many stay out when they were used. */
	assert_int_equal(buffers_now(c), IO_BUFFERS);
	crowd_trickle(c, IO_BUFFERS + 10);
	assert_int_equal(buffers_now(c), IO_BUFFERS_MIN);
	io_trim(c->r.io);
	assert_int_equal(resident(c), IO_BUFFERS_MIN);
	crowd_trickle(c, IO_BUFFERS);
	assert_int_equal(resident(c), IO_BUFFERS_MIN);
	/* And come back when they are wanted again, also while some are still on their way out. */
	for (unsigned round = 0; round < 4; round++) {
		(void)crowd_burst(c, CROWD, round);
		assert_int_equal(buffers_now(c), IO_BUFFERS);
		for (unsigned i = 0; i < 5; i++)
			io_trim(c->r.io);
		crowd_trickle(c, 50 * round);
	}
	assert_true(buffers_now(c) >= IO_BUFFERS_MIN && buffers_now(c) <= IO_BUFFERS);
	crowd_free(c);
}

/* What was received and not looked at yet keeps its memory. */
static void test_a_trim_spares_what_waits(void **state)
{
	struct crowd *c = crowd_new();

	(void)state;
	(void)crowd_burst(c, CROWD, 1);
	for (unsigned round = 0; round < 3; round++) {
		crowd_start(c, CROWD, round);
		io_wait(c->r.io, 1000);
		for (unsigned i = 0; i < 5; i++)
			io_trim(c->r.io);
		(void)io_dispatch(c->r.io, 10);
		io_trim(c->r.io);
		(void)crowd_finish(c);
	}
	crowd_free(c);
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
		LOOPS_TEST(test_buffers_grow_at_want),
		LOOPS_TEST(test_buffers_grow_before_they_run_out),
		LOOPS_TEST(test_buffers_shrink_when_calm),
		LOOPS_TEST(test_a_trim_spares_what_waits),
		cmocka_unit_test(test_small_buffers_can_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
