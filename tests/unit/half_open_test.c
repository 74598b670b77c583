/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * half_open_test.c: a server's TLS session before the first record and at it: nothing is held for a peer that says nothing, the
 * first step makes the session, and lack of memory there ends it in order. Sessions alone, as steps, and under connections.
 */
#include "core/err.h"
#include "core/handshake.h"
#include "tests/unit/support/conn_rig.h"
#include "tests/unit/support/test.h"
#include "tests/unit/support/tls_pair.h"
#include "tests/unit/support/wolf_heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS      20
#define REFUSE_MAX 200 /* allocations that a first step may take */

static struct tls_ctx *server_ctx, *client_ctx;
static uint8_t hello[2000];
static size_t hello_len;

/* Contexts, and the first octets of a client. What wolfSSL keeps for the process is made at the first handshake. */
static int set_up(void **state)
{
	const struct tls_pki *pki = tls_pki_get();
	struct tls_pair p;

	(void)state;
	if (!wolf_heap_watch() || tls_global_init() != 0)
		return -1;
	server_ctx =
		tls_ctx_made(&(struct tls_ctx_opts){.server = true,
	                                            .cert_chain_pem = buf_span(&pki->server_pem),
	                                            .key_pem = buf_span(&pki->server_key_pem),
	                                            .alpn = "h2,http/1.1"});
	client_ctx = tls_ctx_made(&(struct tls_ctx_opts){.max_version = 0x0303});
	tls_pair_init(&p, client_ctx, server_ctx, NULL);
	assert_int_equal(tls_handshake(p.client), -ERR_AGAIN);
	hello_len = p.to_server.bytes.len;
	assert_in_range(hello_len, 50, sizeof(hello));
	memcpy(hello, p.to_server.bytes.data, hello_len);
	assert_true(tls_pair_handshake(&p));
	tls_pair_free(&p);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_ctx_unref(server_ctx);
	tls_ctx_unref(client_ctx);
	tls_global_fini();
	return 0;
}

/* ---- alone ------------------------------------------------------------------------------------------------------------ */

static int drop(void *arg, struct span s)
{
	(void)arg;
	(void)s;
	return 0;
}

static void test_first_step_makes_the_session(void **state)
{
	long before = wolf_heap_blocks();
	struct tls *t = tls_new(server_ctx, NULL, drop, NULL);
	struct tls_info info;

	(void)state;
	assert_non_null(t);
	tls_input(t, span_of(hello, hello_len));
	assert_int_equal(wolf_heap_blocks(), before);
	/* What may be asked of a session that is not there yet. */
	tls_info(t, &info);
	tls_close(t);
	assert_string_equal(info.version, "");
	assert_string_equal(tls_error(t), "");
	assert_string_equal(tls_peer_cn(t), "");
	assert_int_equal(tls_alert(t), 0);
	assert_false(tls_established(t) || tls_resumed(t));

	assert_int_equal(tls_handshake(t), -ERR_AGAIN);
	assert_true(wolf_heap_blocks() > before);
	tls_free(t);
	assert_int_equal(wolf_heap_blocks(), before);
}

static void test_never_begun(void **state)
{
	long before = wolf_heap_blocks();

	(void)state;
	tls_free(tls_new(server_ctx, NULL, drop, NULL));
	assert_int_equal(wolf_heap_blocks(), before);
}

/* Each allocation of the first step fails in turn, until there are no more. */
static void test_no_memory_for_the_first_step(void **state)
{
	long before = wolf_heap_blocks();
	int failed = 0, result = -ERR_TLS;

	(void)state;
	for (long n = 0; result != -ERR_AGAIN; n++) {
		struct tls *t = tls_new(server_ctx, NULL, drop, NULL);

		assert_true(n < REFUSE_MAX);
		tls_input(t, span_of(hello, hello_len));
		wolf_heap_allow(n);
		result = tls_handshake(t);
		wolf_heap_allow(-1);
		if (result != -ERR_AGAIN) {
			failed++;
			assert_int_equal(result, -ERR_TLS);
			assert_int_equal(tls_handshake(t), -ERR_TLS);
			assert_true(tls_error(t)[0] != '\0');
		}
		if (n == 0)
			assert_string_equal(tls_error(t), "out of memory");
		tls_free(t);
		assert_int_equal(wolf_heap_blocks(), before);
	}
	assert_true(failed > 1);
}

/* ---- as steps --------------------------------------------------------------------------------------------------------- */

static struct loop *loop;

static void stop_loop(struct task *t)
{
	(void)t;
	loop_stop(loop);
}

static void take_step(struct handshake_step *s, struct tls *t, bool cancelled)
{
	struct handshakes *pool;
	struct buf why;

	(void)loops_full_setup(NULL);
	buf_init(&why, 1024);
	loop = loops_new(0);
	pool = handshakes_new(1, &why);
	assert_non_null(pool);
	*s = (struct handshake_step){.task = {.run = stop_loop},
	                             .loop = loop,
	                             .tls = t,
	                             .in = span_of(hello, hello_len)};
	atomic_init(&s->cancelled, cancelled);
	assert_true(handshakes_post(pool, s));
	assert_int_equal(loop_run(loop), 0);
	handshakes_free(pool);
	loop_free(loop);
}

static void test_cancelled_step_makes_no_session(void **state)
{
	long before = wolf_heap_blocks();
	struct tls *t = tls_new(server_ctx, NULL, drop, NULL);
	struct handshake_step s;

	(void)state;
	take_step(&s, t, true);
	assert_int_equal(s.verdict, -ERR_CANCELLED);
	assert_int_equal(wolf_heap_blocks(), before);
	buf_free(&s.out);
	tls_free(t);
}

static void test_step_makes_the_session(void **state)
{
	long before = wolf_heap_blocks();
	struct tls *t = tls_new(server_ctx, NULL, drop, NULL);
	struct handshake_step s;

	(void)state;
	take_step(&s, t, false);
	assert_int_equal(s.verdict, -ERR_AGAIN);
	assert_true(s.out.len > 100);
	assert_true(wolf_heap_blocks() > before);
	buf_free(&s.out);
	tls_free(t); /* here, not where it was made */
	assert_int_equal(wolf_heap_blocks(), before);
}

/* ---- under connections ------------------------------------------------------------------------------------------------ */

static struct rig *blocks_rig;
static long blocks_before, blocks_seen;
static char why_closed[200];

static void note_blocks(struct conn *c, int err)
{
	blocks_seen = MAX(blocks_seen, wolf_heap_blocks());
	strncpy(why_closed, tls_error(conn_tls(c)), sizeof(why_closed) - 1);
	rig_closed(c, err);
}

static struct rig rig_for(void (*peer)(struct rig *r))
{
	blocks_before = blocks_seen = wolf_heap_blocks();
	memset(why_closed, 0, sizeof(why_closed));
	return (struct rig){
		.ops = {.closed = note_blocks}, .opts = {.tls = server_ctx}, .peer = peer};
}

/* Half of them begin a record that they do not finish. */
static void waiting_peers(struct rig *r)
{
	int fds[PEERS];
	char c;

	for (unsigned i = 0; i < PEERS; i++) {
		fds[i] = rig_dial(r);
		if (i % 2 == 0)
			rig_send(fds[i], hello, hello_len - 1);
	}
	for (unsigned i = 0; i < PEERS; i++) {
		if (i >= PEERS / 2)
			(void)!recv(fds[i], &c, 1, 0);
		close(fds[i]);
	}
}

static void test_half_open_connections_have_no_session(void **state)
{
	struct rig r = rig_for(waiting_peers);

	(void)state;
	r.opts.handshake_ms = 100;
	rig_run(&r);
	assert_int_equal(r.closed, PEERS);
	assert_int_equal(r.last_stage, CONN_TLS);
	assert_int_equal(blocks_seen, blocks_before);
}

/* Connections end, one way or the other, while their first steps wait or are taken. */
static void leaving_peers(struct rig *r)
{
	static const struct linger reset = {.l_onoff = 1};

	for (unsigned i = 0; i < PEERS; i++) {
		int fd = rig_dial(r);

		rig_send(fd, hello, hello_len);
		if (i % 2 == 0)
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
	}
}

static void test_ends_at_the_first_step(void **state)
{
	struct rig r = rig_for(leaving_peers);

	(void)state;
	rig_run(&r);
	assert_int_equal(r.closed, PEERS);
	assert_int_equal(r.ready, 0);
	assert_int_equal(wolf_heap_blocks(), blocks_before);
}

static void hello_peer(struct rig *r)
{
	int fd = rig_dial(r);
	char c;

	rig_send(fd, hello, hello_len);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
}

static void test_connection_without_memory(void **state)
{
	struct rig r = rig_for(hello_peer);

	(void)state;
	wolf_heap_allow(0);
	rig_run(&r);
	wolf_heap_allow(-1);
	assert_int_equal(r.last_err, -ERR_TLS);
	assert_string_equal(why_closed, "out of memory");
	assert_int_equal(r.stats.handshakes_failed, 1);
	assert_int_equal(wolf_heap_blocks(), blocks_before);
}

/* Its owner says something and closes before the peer has said anything: there is no session to say it with. */
static struct timer closing;

static void close_last(struct timer *t)
{
	struct rig *r = blocks_rig;

	(void)t;
	assert_non_null(r->last);
	assert_int_equal(conn_write(r->last, span_str("good morning")), 0);
	conn_close(r->last, 1000);
}

static void close_soon(struct rig *r)
{
	blocks_rig = r;
	closing.fire = close_last;
	timer_set(r->loop, &closing, loop_now_ms(r->loop) + 50);
}

static void silent_peer(struct rig *r)
{
	int fd = rig_dial(r);
	char c;

	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
}

static void test_closed_before_the_first_record(void **state)
{
	struct rig r = rig_for(silent_peer);

	(void)state;
	r.start = close_soon;
	rig_run(&r);
	assert_int_equal(r.last_err, 0);
	assert_int_equal(r.last_stage, CONN_TLS);
	assert_int_equal(blocks_seen, blocks_before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_step_makes_the_session),
		cmocka_unit_test(test_never_begun),
		cmocka_unit_test(test_no_memory_for_the_first_step),
		cmocka_unit_test(test_cancelled_step_makes_no_session),
		cmocka_unit_test(test_step_makes_the_session),
		LOOPS_TEST(test_half_open_connections_have_no_session),
		LOOPS_THREADS_TEST(test_half_open_connections_have_no_session),
		LOOPS_TEST(test_ends_at_the_first_step),
		LOOPS_THREADS_TEST(test_ends_at_the_first_step),
		LOOPS_TEST(test_closed_before_the_first_record),
		LOOPS_TEST(test_connection_without_memory),
		LOOPS_THREADS_TEST(test_connection_without_memory),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
