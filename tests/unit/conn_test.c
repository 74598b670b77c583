/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plain connections over loopback and socket pairs. */
#include "core/err.h"
#include "tests/unit/support/conn_rig.h"
#include "tests/unit/support/test.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SCALE 8 /* instrumented code is slow */
#else
#define SCALE 1
#endif
#define MIB       (1024ULL * 1024)
#define ECHO_SIZE (64 * MIB / SCALE)
#define CHURN     (2000 / SCALE)

static void *send_all(void *arg)
{
	rig_send_pattern(*(int *)arg, 0, ECHO_SIZE);
	return NULL;
}

static uint64_t echoed;

static void echo_peer(struct rig *r)
{
	int fd = rig_dial(r);
	pthread_t sender;

	if (pthread_create(&sender, NULL, send_all, &fd) != 0)
		abort();
	echoed = rig_recv_pattern(fd, 0, ECHO_SIZE, 600);
	pthread_join(sender, NULL);
	close(fd);
}

static void test_echo_with_tiny_reads(void **state)
{
	struct rig r = {.ops = {.data = rig_data_echo}, .peer = echo_peer};

	(void)state;
	rig_run(&r);
	assert_int_equal(echoed, ECHO_SIZE);
	assert_int_equal(r.received, ECHO_SIZE);
	assert_int_equal(r.last_err, 0);
	assert_true(r.stats.bytes_in == ECHO_SIZE && r.stats.bytes_out == ECHO_SIZE);
}

/* ---- a reader that is slow, or does not read ------------------------------------------------------------------------------ */

#define FLOOD_SIZE  (8 * MIB)
#define FLOOD_LIMIT 100000

static uint64_t flooded;
static size_t most_queued;

static void flood(struct conn *c)
{
	uint8_t piece[5000];
	int rc = 0;

	while (flooded < FLOOD_SIZE && rc == 0) {
		size_t n = (size_t)MIN(FLOOD_SIZE - flooded, (uint64_t)sizeof(piece));

		for (size_t i = 0; i < n; i++)
			piece[i] = rig_byte(flooded + i);
		rc = conn_write(c, span_of(piece, n));
		if (rc == 0)
			flooded += n;
		most_queued = MAX(most_queued, conn_queued(c));
	}
	assert_true(rc == 0 || rc == -ERR_AGAIN);
	if (rc == 0)
		conn_close(c, 20000);
}

static void flood_drained(struct conn *c)
{
	rig_of(c)->drained++;
	assert_false(conn_congested(c));
	flood(c);
}

static void slow_peer(struct rig *r)
{
	int fd = rig_dial(r);
	char end;

	usleep(100000);
	for (echoed = 0; echoed < FLOOD_SIZE;) {
		uint64_t n = rig_recv_pattern(fd, echoed, MIN(FLOOD_SIZE - echoed, MIB / 2), 65536);

		if (n == 0)
			break;
		echoed += n;
		usleep(2000);
	}
	if (recv(fd, &end, 1, 0) != 0) /* and nothing behind it */
		echoed = 0;
	close(fd);
}

static void test_slow_reader_gets_everything(void **state)
{
	struct rig r = {.ops = {.ready = flood, .drained = flood_drained},
	                .opts = {.send_limit = FLOOD_LIMIT},
	                .peer = slow_peer};

	(void)state;
	flooded = most_queued = 0;
	rig_run(&r);
	assert_int_equal(echoed, FLOOD_SIZE);
	assert_in_range(most_queued, FLOOD_LIMIT, FLOOD_LIMIT + 5000);
	assert_true(r.drained > 10);
	assert_int_equal(r.last_err, 0);
	assert_int_equal(r.last_stage, CONN_OPEN);
}

static void deaf_peer(struct rig *r)
{
	int fd = rig_dial(r);
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	(void)poll(&p, 1, 10000);
	close(fd);
}

static void test_stalled_sending_closes(void **state)
{
	struct rig r = {.ops = {.ready = flood}, .opts = {.send_stall_ms = 200}, .peer = deaf_peer};

	(void)state;
	flooded = 0;
	r.opts.send_limit = FLOOD_SIZE / 2;
	rig_run(&r);
	assert_int_equal(r.last_err, -ERR_TIMEOUT);
	assert_int_equal(r.last_stage, CONN_OPEN);
}

static void close_with_queue(struct conn *c)
{
	flood(c);
	assert_int_equal(conn_stage(c), CONN_CLOSING);
	assert_int_equal(conn_write(c, span_str("late")), -ERR_CLOSED);
}

static void chatty_slow_peer(struct rig *r)
{
	int fd = rig_dial(r);

	/* Unread input makes a careless close() send a reset that overtakes the data. */
	rig_send_pattern(fd, 0, 10000);
	usleep(50000);
	echoed = rig_recv_pattern(fd, 0, FLOOD_SIZE + 1, 65536);
	close(fd);
}

static void test_close_sends_what_is_queued(void **state)
{
	struct rig r = {.ops = {.ready = close_with_queue},
	                .opts = {.send_limit = 2 * FLOOD_SIZE},
	                .peer = chatty_slow_peer};

	(void)state;
	flooded = 0;
	rig_run(&r);
	assert_int_equal(echoed, FLOOD_SIZE);
	assert_int_equal(r.last_err, 0);
}

/* ---- pause ------------------------------------------------------------------------------------------------------------------ */

struct pauser {
	struct timer timer;
	struct conn *conn;
	unsigned pauses;
	bool paused;
};

static struct pauser pauser;

static void resume(struct timer *t)
{
	(void)t;
	pauser.paused = false;
	conn_pause(pauser.conn, false);
	assert_false(pauser.paused); /* data is not called inside */
}

static void pausing_data(struct conn *c, struct span s)
{
	assert_false(pauser.paused);
	rig_data_count(c, s);
	if (pauser.pauses >= 40)
		return;
	pauser.pauses++;
	pauser.paused = true;
	pauser.conn = c;
	conn_pause(c, true);
	timer_set(conn_loop(c), &pauser.timer,
	          loop_now_ms(conn_loop(c)) + (pauser.pauses % 2) * 20);
}

static void sending_peer(struct rig *r)
{
	int fd = rig_dial(r);

	rig_send_pattern(fd, 0, 4 * MIB);
	close(fd);
}

/* The peer is gone long before everything was taken: the end of the stream comes last. */
static void test_pause_and_resume(void **state)
{
	struct rig r = {.ops = {.data = pausing_data}, .peer = sending_peer};

	(void)state;
	memset(&pauser, 0, sizeof(pauser));
	pauser.timer.fire = resume;
	rig_run(&r);
	assert_int_equal(r.received, 4 * MIB);
	assert_int_equal(pauser.pauses, 40);
	assert_int_equal(r.last_err, 0);
}

/* ---- ends -------------------------------------------------------------------------------------------------------------------- */

static void resetting_peer(struct rig *r)
{
	const struct linger now = {1, 0};
	int fd = rig_dial(r);

	rig_send_pattern(fd, 0, 1000);
	(void)rig_recv_pattern(fd, 0, 100000, 65536);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void test_reset_in_mid_flight(void **state)
{
	struct rig r = {.ops = {.ready = flood, .drained = flood_drained},
	                .opts = {.send_limit = MIB},
	                .peer = resetting_peer};

	(void)state;
	flooded = 0;
	rig_run(&r);
	assert_int_equal(r.last_err, -ERR_CLOSED);
	assert_int_equal(r.received, 1000);
}

static void half_closing_peer(struct rig *r)
{
	int fd = rig_dial(r);

	rig_send_pattern(fd, 0, 100000);
	shutdown(fd, SHUT_WR);
	echoed = rig_recv_pattern(fd, 0, 100001, 65536);
	close(fd);
}

static void test_half_close_is_answered(void **state)
{
	struct rig r = {.ops = {.data = rig_data_echo}, .peer = half_closing_peer};

	(void)state;
	rig_run(&r);
	assert_int_equal(echoed, 100000);
	assert_int_equal(r.last_err, 0);
}

static void close_at_once(struct conn *c, struct span s)
{
	(void)s;
	assert_int_equal(conn_write(c, span_str("never sent")), 0);
	conn_close(c, 0);
	conn_close(c, 0);
}

static void short_peer(struct rig *r)
{
	int fd = rig_dial(r);

	rig_send_pattern(fd, 0, 100);
	echoed = rig_recv_pattern(fd, 0, 100, 100);
	close(fd);
}

static void test_close_at_once_inside_data(void **state)
{
	struct rig r = {.ops = {.data = close_at_once}, .peer = short_peer};

	(void)state;
	rig_run(&r);
	assert_int_equal(r.closed, 1);
	assert_int_equal(r.last_err, 0);
	assert_int_equal(echoed, 0);
}

static void stop_peer(struct rig *r)
{
	int fd[50];
	char c;

	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = rig_dial(r);
		rig_send(fd[i], "x", 1);
		if (recv(fd[i], &c, 1, 0) != 1)
			abort();
	}
	loop_stop(r->loop);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		(void)!recv(fd[i], &c, 1, 0);
		close(fd[i]);
	}
}

static void test_the_end_of_the_loop_closes_all(void **state)
{
	struct rig r = {.ops = {.data = rig_data_echo}, .peer = stop_peer, .by_hand = true};

	(void)state;
	rig_run(&r);
	assert_int_equal(r.opened, 50);
	assert_int_equal(r.last_err, -ERR_CANCELLED);
}

static void churn_peer(struct rig *r)
{
	echoed = 0;
	for (unsigned i = 0; i < CHURN; i++) {
		int fd = rig_dial(r);

		rig_send_pattern(fd, 0, 100);
		echoed += rig_recv_pattern(fd, 0, 100, 100);
		if (i % 2 == 0)
			shutdown(fd, SHUT_RDWR);
		close(fd);
	}
}

static void test_churn_leaves_nothing_behind(void **state)
{
	struct rig r = {.ops = {.data = rig_data_echo}, .peer = churn_peer};

	(void)state;
	rig_run(&r); /* counts descriptors before and after */
	assert_int_equal(r.opened, CHURN);
	assert_int_equal(r.ready, CHURN);
	assert_int_equal(echoed, CHURN * 100);
}

/* ---- more readable sockets than buffers --------------------------------------------------------------------------------------- */

#define CROWD 1500

static int crowd_fds[CROWD];

static void crowd_data(struct conn *c, struct span s)
{
	struct rig *r = rig_of(c);

	r->received += s.len;
}

static void crowd_start(struct rig *r)
{
	const struct addr none = {.len = 0};

	for (unsigned i = 0; i < CROWD; i++) {
		int sv[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
		crowd_fds[i] = sv[1];
		assert_non_null(conn_accept(r->loop, sv[0], &none, &r->opts));
		r->opened++;
		rig_send_pattern(sv[1], 0, 20000);
	}
	r->peer_ended = true;
}

static struct timer crowd_timer;

static void crowd_check(struct timer *t)
{
	(void)t;
	for (unsigned i = 0; i < CROWD; i++)
		close(crowd_fds[i]);
}

static void crowd_start_timed(struct rig *r)
{
	crowd_timer.fire = crowd_check;
	crowd_start(r);
	timer_set(r->loop, &crowd_timer, loop_now_ms(r->loop) + 100);
}

static void test_more_readable_sockets_than_buffers(void **state)
{
	struct rig few = {
		.ops = {.data = crowd_data}, .start = crowd_start_timed, .recv_buffers = 8};
	struct rig all = {.ops = {.data = crowd_data}, .start = crowd_start_timed};

	(void)state;
	rig_run(&few);
	assert_int_equal(few.received, CROWD * 20000ULL);
	assert_true(few.stats.no_buffers > 0);
	rig_run(&all);
	assert_int_equal(all.received, CROWD * 20000ULL);
}

/* ---- connecting and listening -------------------------------------------------------------------------------------------------- */

static void connect_start(struct rig *r)
{
	r->last = conn_connect(r->loop, &r->addr, NULL, &r->opts);
	assert_non_null(r->last);
	assert_int_equal(conn_stage(r->last), CONN_CONNECTING);
	r->opened++;
	r->peer_ended = true;
}

static void greet(struct conn *c)
{
	struct rig *r = rig_of(c);
	struct addr peer;

	conn_peer(c, &peer);
	assert_int_equal(peer.ss.ss_family, AF_INET);
	if (++r->ready == 2)
		conn_close(c, 1000);
}

static void test_connecting(void **state)
{
	struct rig r = {.ops = {.ready = greet}, .start = connect_start};

	(void)state;
	rig_run(&r); /* both ends on one loop */
	assert_int_equal(r.opened, 2);
	assert_int_equal(r.last_err, 0);
}

static void refused_start(struct rig *r)
{
	struct addr nowhere;
	char text[] = "127.0.0.1:1";

	assert_int_equal(addr_parse(text, &nowhere), 0);
	r->last = conn_connect(r->loop, &nowhere, &r->addr, &r->opts);
	assert_null(r->last); /* the address to bind to is in use */
	r->last = conn_connect(r->loop, &nowhere, NULL, &r->opts);
	assert_non_null(r->last);
	r->opened++;
	r->peer_ended = true;
}

static void test_refused(void **state)
{
	struct rig r = {.start = refused_start};

	(void)state;
	rig_run(&r);
	assert_int_equal(r.last_err, -ERR_REFUSED);
	assert_int_equal(r.last_stage, CONN_CONNECTING);
	assert_int_equal(r.ready, 0);
}

static void cancelled_start(struct rig *r)
{
	refused_start(r);
	conn_close(r->last, 5000);
}

static void test_close_while_connecting(void **state)
{
	struct rig r = {.start = cancelled_start};

	(void)state;
	rig_run(&r);
	assert_int_equal(r.last_err, 0);
	assert_int_equal(r.closed, 1);
}

static void any_peer(struct rig *r)
{
	struct rig v4 = {.addr = r->addr};
	int fd;

	if (addr_parse("127.0.0.1:1", &v4.addr) != 0)
		abort();
	((struct sockaddr_in *)(void *)&v4.addr.ss)->sin_port = htons(addr_port(&r->addr));
	fd = rig_dial(&v4);
	rig_send_pattern(fd, 0, 10);
	close(fd);
}

static void test_any_address_takes_ipv4_too(void **state)
{
	struct rig r = {.ops = {.ready = greet}, .listen_on = ":0", .peer = any_peer};

	(void)state;
	rig_run(&r); /* greet asserts that the peer is AF_INET and not a mapped address */
	assert_int_equal(r.received, 10);
}

static void test_address_in_use(void **state)
{
	struct listener_opts o = {.accepted = NULL};
	struct loop *l = loops_new(0);
	struct listener *a, *b;
	int err = 0;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1:0", &o.addr), 0);
	a = listener_open(l, &o, &err);
	assert_non_null(a);
	o.addr = *listener_addr(a);
	b = listener_open(l, &o, &err);
	assert_null(b);
	assert_int_equal(err, -ERR_EXISTS);
	listener_close(a);
	loop_free(l);
}

/* Out of descriptors: accepting backs off and goes on when there are some again. */
static struct rlimit old_limit;
static struct timer refill;

static void refill_now(struct timer *t)
{
	(void)t;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old_limit), 0);
}

static void starve_start(struct rig *r)
{
	struct rlimit low = old_limit;
	int probe = dup(0);

	low.rlim_cur = (rlim_t)probe + 1; /* the peer's socket takes the last one */
	close(probe);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	refill.fire = refill_now;
	timer_set(r->loop, &refill, loop_now_ms(r->loop) + 300);
}

static void starved_peer(struct rig *r)
{
	int fd;

	usleep(50000);
	fd = rig_dial(r);
	rig_send_pattern(fd, 0, 10);
	echoed = rig_recv_pattern(fd, 0, 10, 10);
	close(fd);
}

static void test_out_of_descriptors(void **state)
{
	struct rig r = {
		.ops = {.data = rig_data_echo}, .start = starve_start, .peer = starved_peer};

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old_limit), 0);
	rig_run(&r);
	assert_int_equal(echoed, 10);
	assert_in_range(r.stats.accept_errors, 1, 16 * 10);
}

/* While paused nothing is accepted: the backlog keeps it. */
static struct timer unpause;
static struct rig *pausing_rig;

static void unpause_now(struct timer *t)
{
	(void)t;
	assert_int_equal(pausing_rig->opened, 0);
	listener_pause(pausing_rig->listener, false);
}

static void paused_start(struct rig *r)
{
	pausing_rig = r;
	listener_pause(r->listener, true);
	listener_pause(r->listener, false); /* the cancelled accepts come back */
	listener_pause(r->listener, true);
	unpause.fire = unpause_now;
	timer_set(r->loop, &unpause, loop_now_ms(r->loop) + 200);
}

static void test_paused_listener(void **state)
{
	struct rig r = {
		.ops = {.data = rig_data_echo}, .start = paused_start, .peer = starved_peer};

	(void)state;
	rig_run(&r);
	assert_int_equal(r.opened, 1);
	assert_int_equal(echoed, 10);
	assert_int_equal(r.stats.accept_errors, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOPS_TEST(test_echo_with_tiny_reads),
		LOOPS_TEST(test_slow_reader_gets_everything),
		LOOPS_TEST(test_stalled_sending_closes),
		LOOPS_TEST(test_close_sends_what_is_queued),
		LOOPS_TEST(test_pause_and_resume),
		LOOPS_TEST(test_reset_in_mid_flight),
		LOOPS_TEST(test_half_close_is_answered),
		LOOPS_TEST(test_close_at_once_inside_data),
		LOOPS_TEST(test_the_end_of_the_loop_closes_all),
		LOOPS_TEST(test_churn_leaves_nothing_behind),
		LOOPS_TEST(test_more_readable_sockets_than_buffers),
		LOOPS_TEST(test_connecting),
		LOOPS_TEST(test_refused),
		LOOPS_TEST(test_close_while_connecting),
		LOOPS_TEST(test_any_address_takes_ipv4_too),
		LOOPS_TEST(test_address_in_use),
		LOOPS_TEST(test_out_of_descriptors),
		LOOPS_TEST(test_paused_listener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
