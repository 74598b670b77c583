/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections under TLS, and what comes before it: handshakes, their deadline and budget, the preface, alerts, pause. */
#include "core/clock.h"
#include "core/err.h"
#include "tests/unit/support/conn_rig.h"
#include "tests/unit/support/test.h"
#include "tests/unit/support/tls_pair.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SCALE 8
#else
#define SCALE 1
#endif
#define BULK_SIZE (16ULL * 1024 * 1024 / SCALE)
#define CROWD     200 /* also here: of few, all begin while the loop once loses its processor */

static struct tls_ctx *server_ctx(int version)
{
	const struct tls_pki *pki = tls_pki_get();
	const struct tls_ctx_opts o = {
		.server = true,
		.cert_chain_pem = buf_span(&pki->server_pem),
		.key_pem = buf_span(&pki->server_key_pem),
		.min_version = version,
		.max_version = version,
	};
	struct tls_ctx *ctx;
	struct buf why;

	buf_init(&why, 1024);
	ctx = tls_ctx_new(&o, &why);
	if (ctx == NULL)
		fail_msg("%s", buf_cstr(&why));
	buf_free(&why);
	return ctx;
}

static struct tls_ctx *client_ctx(void)
{
	const struct tls_ctx_opts o = {.ca_pem = buf_span(&tls_pki_get()->root_pem),
	                               .verify = TLS_VERIFY_CA};
	struct tls_ctx *ctx;
	struct buf why;

	buf_init(&why, 1024);
	ctx = tls_ctx_new(&o, &why);
	if (ctx == NULL)
		fail_msg("%s", buf_cstr(&why));
	buf_free(&why);
	return ctx;
}

/* ---- a client on the same loop that sends a pattern and checks the echo ---------------------------------------------------- */

struct client {
	struct conn *conn;
	struct rig *rig;
	uint64_t sent, got, size;
	int err;
	bool over;
	bool pausing;
	unsigned pauses;
	struct timer timer;
	char version[16];
};

static struct client clients[CROWD + 1];
static struct tls_ctx *client_tls;
static unsigned established,
	answered_at_first; /* clients; those that had been answered when the first was established */

static void note_established(void)
{
	if (established++ > 0)
		return;
	for (unsigned i = 0; i < CROWD; i++)
		answered_at_first += clients[i].conn != NULL && conn_bytes_in(clients[i].conn) > 0;
}

static void client_feed(struct conn *c)
{
	struct client *cl = conn_user(c);
	static uint8_t piece[50000];

	while (cl->sent < cl->size && !conn_congested(c)) {
		/* Now and then several records at once: they go another way if nothing is queued before them. */
		size_t most = cl->sent % 5 == 0 ? sizeof(piece) : 3000;
		size_t n = (size_t)MIN(cl->size - cl->sent, (uint64_t)(1 + cl->sent % most));

		for (size_t i = 0; i < n; i++)
			piece[i] = rig_byte(cl->sent + i);
		assert_int_equal(conn_write(c, span_of(piece, n)), 0);
		cl->sent += n;
	}
}

static void client_ready(struct conn *c)
{
	struct client *cl = conn_user(c);
	struct tls_info info;

	note_established();
	if (conn_tls(c) != NULL) {
		tls_info(conn_tls(c), &info);
		strncpy(cl->version, info.version, sizeof(cl->version) - 1);
	}
	client_feed(c);
}

static void client_resume(struct timer *t)
{
	struct client *cl = container_of(t, struct client, timer);

	conn_pause(cl->conn, false);
}

static void client_data(struct conn *c, struct span s)
{
	struct client *cl = conn_user(c);

	assert_int_equal(rig_check(s, cl->got), 0);
	cl->got += s.len;
	if (cl->got == cl->size) {
		conn_close(c, 2000);
	} else if (cl->pausing && cl->pauses < 30) {
		cl->pauses++;
		conn_pause(c, true);
		timer_set(conn_loop(c), &cl->timer, loop_now_ms(conn_loop(c)) + 1);
	}
}

static void client_closed(struct conn *c, int err)
{
	struct client *cl = conn_user(c);

	cl->err = err;
	cl->over = true;
	timer_cancel(conn_loop(c), &cl->timer);
	cl->rig->closed++;
	if (cl->rig->closed == cl->rig->opened)
		loop_stop(cl->rig->loop);
}

static const struct conn_ops client_ops = {client_ready, client_data, client_feed, client_closed};

static void client_start(struct rig *r, struct client *cl)
{
	const struct conn_opts o = {
		.ops = &client_ops, .user = cl, .tls = client_tls, .server_name = "localhost"};

	cl->rig = r;
	cl->timer.fire = client_resume;
	cl->conn = conn_connect(r->loop, &r->addr, NULL, &o);
	assert_non_null(cl->conn);
	r->opened++;
}

static void one_client(struct rig *r)
{
	client_start(r, &clients[0]);
	r->peer_ended = true;
}

static void echo_over_tls(int version, bool pausing, const char *want)
{
	struct rig r = {.ops = {.data = rig_data_echo}, .start = one_client};

	memset(clients, 0, sizeof(clients));
	clients[0].size = BULK_SIZE;
	clients[0].pausing = pausing;
	r.opts.tls = server_ctx(version);
	client_tls = client_ctx();
	rig_run(&r);
	tls_ctx_unref(r.opts.tls);
	tls_ctx_unref(client_tls);
	assert_true(clients[0].over);
	assert_int_equal(clients[0].err, 0);
	assert_int_equal(clients[0].got, BULK_SIZE);
	assert_string_equal(clients[0].version, want);
	assert_int_equal(r.stats.handshakes_done, 2);
	assert_int_equal(r.stats.handshakes_failed, 0);
	if (pausing)
		assert_int_equal(clients[0].pauses, 30);
}

static void test_echo_tls12(void **state)
{
	(void)state;
	echo_over_tls(0x0303, false, "TLSv1.2");
	echo_over_tls(0x0303, true, "TLSv1.2");
}

static void test_echo_tls13(void **state)
{
	(void)state;
	echo_over_tls(0x0304, false, "TLSv1.3");
	echo_over_tls(0x0304, true, "TLSv1.3");
}

static unsigned server_pieces;

static void server_data(struct conn *c, struct span s)
{
	server_pieces++;
	rig_data_echo(c, s);
}

/* TLS hands out a record at a time, so that pieces that the server gets are the records that the client made. */
static void test_small_writes_share_a_record(void **state)
{
	struct rig r = {.ops = {.data = server_data}, .start = one_client};

	(void)state;
	memset(clients, 0, sizeof(clients));
	clients[0].size = 5000; /* a dozen writes, in blocks of several sizes */
	server_pieces = 0;
	r.opts.tls = server_ctx(0x0303);
	client_tls = client_ctx();
	rig_run(&r);
	tls_ctx_unref(r.opts.tls);
	tls_ctx_unref(client_tls);
	assert_int_equal(clients[0].got, 5000);
	assert_int_equal(server_pieces, 1);
}

static void crowd_start(struct rig *r)
{
	for (unsigned i = 0; i < CROWD; i++) {
		clients[i].size = 1000;
		client_start(r, &clients[i]);
	}
	r->peer_ended = true;
}

static void test_many_handshakes_at_once(void **state)
{
	struct rig r = {.ops = {.data = rig_data_echo}, .start = crowd_start};

	(void)state;
	memset(clients, 0, sizeof(clients));
	established = answered_at_first = 0;
	r.opts.tls = server_ctx(0);
	client_tls = client_ctx();
	rig_run(&r);
	tls_ctx_unref(r.opts.tls);
	tls_ctx_unref(client_tls);
	assert_int_equal(r.stats.handshakes_done, 2 * CROWD);
	/* Who was answered does not wait until all the others have begun. */
	assert_in_range(answered_at_first, 1, CROWD / 2);
	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(clients[i].got, 1000);
}

/* ---- handshakes that fail ------------------------------------------------------------------------------------------------------ */

static char first_reply[16];
static ssize_t reply_len;

static void silent_peer(struct rig *r)
{
	int fd = rig_dial(r);

	reply_len = recv(fd, first_reply, sizeof(first_reply), 0);
	close(fd);
}

static void test_handshake_deadline(void **state)
{
	struct rig r = {.opts = {.handshake_ms = 150}, .peer = silent_peer};

	(void)state;
	r.opts.tls = server_ctx(0);
	rig_run(&r);
	tls_ctx_unref(r.opts.tls);
	assert_int_equal(r.last_err, -ERR_TIMEOUT);
	assert_int_equal(r.last_stage, CONN_TLS);
	assert_int_equal(r.ready, 0);
}

static void garbage_peer(struct rig *r)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = rig_dial(r);

	rig_send(fd, http, sizeof(http) - 1);
	reply_len = recv(fd, first_reply, sizeof(first_reply), MSG_WAITALL);
	close(fd);
}

static char why_closed[200];

static void explain_closed(struct conn *c, int err)
{
	strncpy(why_closed, tls_error(conn_tls(c)), sizeof(why_closed) - 1);
	rig_closed(c, err);
}

static void test_garbage_is_not_tls(void **state)
{
	struct rig r = {.ops = {.closed = explain_closed}, .peer = garbage_peer};

	(void)state;
	memset(why_closed, 0, sizeof(why_closed));
	r.opts.tls = server_ctx(0);
	rig_run(&r);
	tls_ctx_unref(r.opts.tls);
	assert_int_equal(r.last_err, -ERR_TLS);
	assert_int_equal(r.last_stage, CONN_TLS);
	assert_true(strlen(why_closed) > 0);
	assert_int_equal(r.stats.handshakes_failed, 1);
}

static void quitting_peer(struct rig *r)
{
	int fd = rig_dial(r);

	rig_send(fd, "\x16\x03\x01", 3);
	close(fd);
}

static void test_end_of_stream_in_the_handshake(void **state)
{
	struct rig r = {.peer = quitting_peer};

	(void)state;
	r.opts.tls = server_ctx(0);
	rig_run(&r);
	tls_ctx_unref(r.opts.tls);
	assert_int_equal(r.last_err, -ERR_CLOSED);
	assert_int_equal(r.last_stage, CONN_TLS);
}

static void untrusting_client(struct rig *r)
{
	one_client(r);
}

static void test_alert_reaches_the_server(void **state)
{
	struct rig r = {.ops = {.closed = explain_closed}, .start = untrusting_client};
	const struct tls_ctx_opts o = {.ca_pem = buf_span(&tls_pki_get()->other_root_pem),
	                               .verify = TLS_VERIFY_CA};
	struct buf why;

	(void)state;
	buf_init(&why, 1024);
	memset(clients, 0, sizeof(clients));
	memset(why_closed, 0, sizeof(why_closed));
	client_tls = tls_ctx_new(&o, &why);
	assert_non_null(client_tls);
	buf_free(&why);
	r.opts.tls = server_ctx(0x0303);
	rig_run(&r);
	tls_ctx_unref(r.opts.tls);
	tls_ctx_unref(client_tls);
	assert_int_equal(clients[0].err, -ERR_TLS);
	assert_int_equal(r.last_err, -ERR_TLS);
	if (strstr(why_closed, "alert") == NULL)
		fail_msg("'%s' does not speak of an alert", why_closed);
}

/* ---- preface ------------------------------------------------------------------------------------------------------------------------ */

/* "P<digit>": the peer is 10.0.0.<digit>. */
static ssize_t preface(void *arg, struct span s, struct addr *peer)
{
	char text[] = "10.0.0.0:7";

	atomic_fetch_add((atomic_uint *)arg, 1);
	if (s.len > 0 && s.ptr[0] != 'P')
		return -ERR_PROTOCOL;
	if (s.len < 2)
		return 0;
	text[7] = (char)s.ptr[1];
	return addr_parse(text, peer) == 0 ? 2 : -ERR_PROTOCOL;
}

static char peer_text[ADDR_TEXT_MAX];

static void preface_ready(struct conn *c)
{
	struct addr peer;

	conn_peer(c, &peer);
	addr_format(&peer, peer_text);
	rig_of(c)->ready++;
}

static void preface_peer(struct rig *r)
{
	int fd = rig_dial(r);

	rig_send(fd, "P", 1);
	while (atomic_load((atomic_uint *)r->opts.preface_arg) == 0)
		usleep(1000); /* the half of it was looked at */
	rig_send(fd, "5", 1);
	rig_send_pattern(fd, 0, 100000);
	close(fd);
}

static void test_preface(void **state)
{
	atomic_uint calls = 0;
	struct rig r = {.ops = {.ready = preface_ready},
	                .opts = {.preface = preface, .preface_arg = &calls},
	                .peer = preface_peer};

	(void)state;
	rig_run(&r);
	assert_int_equal(r.received, 100000);
	assert_string_equal(peer_text, "10.0.0.5:7");
	assert_true(calls >= 2);
}

static void test_wrong_preface(void **state)
{
	atomic_uint calls = 0;
	struct rig r = {.opts = {.preface = preface, .preface_arg = &calls}, .peer = garbage_peer};

	(void)state;
	rig_run(&r);
	assert_int_equal(r.last_err, -ERR_PROTOCOL);
	assert_int_equal(r.last_stage, CONN_PROXY);
	assert_int_equal(r.ready, 0);
}

static ssize_t never_enough(void *arg, struct span s, struct addr *peer)
{
	(void)arg;
	(void)s;
	(void)peer;
	return 0;
}

static void long_peer(struct rig *r)
{
	uint8_t zeros[CONN_PREFACE_MAX] = {0};
	int fd = rig_dial(r);

	rig_send(fd, zeros, sizeof(zeros));
	(void)!recv(fd, first_reply, 1, 0);
	close(fd);
}

static void test_endless_preface(void **state)
{
	struct rig r = {.opts = {.preface = never_enough}, .peer = long_peer};

	(void)state;
	rig_run(&r);
	assert_int_equal(r.last_err, -ERR_PROTOCOL);
}

static void test_preface_deadline(void **state)
{
	atomic_uint calls = 0;
	struct rig r = {.opts = {.preface = preface, .preface_arg = &calls, .handshake_ms = 100},
	                .peer = silent_peer};

	(void)state;
	rig_run(&r);
	assert_int_equal(r.last_err, -ERR_TIMEOUT);
	assert_int_equal(r.last_stage, CONN_PROXY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOPS_TEST(test_echo_tls12),
		LOOPS_THREADS_TEST(test_echo_tls12),
		LOOPS_TEST(test_echo_tls13),
		LOOPS_THREADS_TEST(test_echo_tls13),
		LOOPS_TEST(test_small_writes_share_a_record),
		LOOPS_TEST(test_many_handshakes_at_once),
		LOOPS_THREADS_TEST(test_many_handshakes_at_once),
		LOOPS_TEST(test_handshake_deadline),
		LOOPS_THREADS_TEST(test_handshake_deadline),
		LOOPS_TEST(test_garbage_is_not_tls),
		LOOPS_THREADS_TEST(test_garbage_is_not_tls),
		LOOPS_TEST(test_end_of_stream_in_the_handshake),
		LOOPS_THREADS_TEST(test_end_of_stream_in_the_handshake),
		LOOPS_TEST(test_alert_reaches_the_server),
		LOOPS_THREADS_TEST(test_alert_reaches_the_server),
		LOOPS_TEST(test_preface),
		LOOPS_TEST(test_wrong_preface),
		LOOPS_TEST(test_endless_preface),
		LOOPS_TEST(test_preface_deadline),
	};
	int rc;

	if (tls_global_init() != 0)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	tls_global_fini();
	return rc;
}
