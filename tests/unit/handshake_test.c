/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Handshake threads: whole handshakes, whose turn it is, steps that nobody wants any more. */
#include "core/handshake.h"
#include "core/err.h"
#include "core/metric.h"
#include "tests/unit/support/loops.h"
#include "tests/unit/support/test.h"
#include "tests/unit/support/tls_pair.h"

#include <string.h>

#define STEPS 40

static struct tls_ctx *make_ctx(bool server)
{
	const struct tls_pki *pki = tls_pki_get();
	struct tls_ctx_opts o = {.server = server, .max_version = 0x0303};

	if (server) {
		o.cert_chain_pem = buf_span(&pki->server_pem);
		o.key_pem = buf_span(&pki->server_key_pem);
	}
	return tls_ctx_made(&o);
}

/* A session that waits for a client's hello, which is the step's input. */
struct visitor {
	struct handshake_step step;
	struct tls_pair pair;
	unsigned turn; /* of coming back, from 1 */
};

static struct loop *loop;
static struct handshakes *pool;
static struct tls_ctx *server_ctx, *client_ctx;
static struct visitor visitors[STEPS];
static unsigned turns, wanted;

static void came_back(struct task *t)
{
	struct visitor *v = container_of(t, struct visitor, step.task);

	v->turn = ++turns;
	if (turns == wanted)
		loop_stop(loop);
}

static void visit(struct visitor *v, uint64_t source)
{
	memset(v, 0, sizeof(*v));
	tls_pair_init(&v->pair, client_ctx, server_ctx, "localhost");
	assert_int_equal(tls_handshake(v->pair.client), -ERR_AGAIN);
	v->step = (struct handshake_step){
		.task = {.run = came_back},
		.loop = loop,
		.tls = v->pair.server,
		.source = source,
		.in = buf_span(&v->pair.to_server.bytes),
	};
}

static void leave(struct visitor *v)
{
	buf_free(&v->step.out);
	tls_pair_free(&v->pair);
}

static int set_up(void **state)
{
	struct buf why;

	(void)loops_full_setup(state);
	buf_init(&why, 1024);
	server_ctx = make_ctx(true);
	client_ctx = make_ctx(false);
	loop = loops_new(0);
	pool = handshakes_new(1, &why);
	turns = 0;
	return pool != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	handshakes_free(pool);
	loop_free(loop);
	tls_ctx_unref(server_ctx);
	tls_ctx_unref(client_ctx);
	return 0;
}

static void post(struct visitor *v)
{
	assert_true(handshakes_post(pool, &v->step));
}

static void run(unsigned n)
{
	wanted = n;
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(turns, n);
}

static void test_a_step_answers(void **state)
{
	(void)state;
	visit(&visitors[0], 1);
	post(&visitors[0]);
	run(1);
	assert_int_equal(visitors[0].step.verdict, -ERR_AGAIN);
	assert_true(visitors[0].step.out.len > 100);
	leave(&visitors[0]);
}

static void test_cancelled_steps_are_not_taken(void **state)
{
	(void)state;
	for (unsigned i = 0; i < STEPS; i++) {
		visit(&visitors[i], 1);
		atomic_store(&visitors[i].step.cancelled, true);
		post(&visitors[i]);
	}
	run(STEPS);
	for (unsigned i = 0; i < STEPS; i++) {
		assert_int_equal(visitors[i].step.verdict, -ERR_CANCELLED);
		assert_int_equal(visitors[i].step.out.len, 0);
		leave(&visitors[i]);
	}
}

static unsigned steps_taken(void)
{
	return (unsigned)metric_value(metric_counter(
		"causeway_handshake_steps_total",
		"Steps of TLS handshakes that the handshake threads took.", "result=more"));
}

/* The last one to come, of another source or answered before, goes before the many that are in line. */
static void last_is_soon(uint64_t source, bool answered)
{
	struct visitor *last = &visitors[STEPS - 1];
	unsigned before = steps_taken(), taken;

	for (unsigned i = 0; i < STEPS; i++)
		visit(&visitors[i], i < STEPS - 1 ? 1 : source);
	last->step.answered = answered;
	for (unsigned i = 0; i < STEPS; i++)
		post(&visitors[i]);
	taken = steps_taken() - before;
	run(STEPS);
	/* One was under way, one was next, and the count may lag behind by one. */
	assert_in_range(last->turn, 1, taken + 3);
	for (unsigned i = 1; i < STEPS - 1; i++)
		assert_true(visitors[i].turn > visitors[i - 1].turn);
	for (unsigned i = 0; i < STEPS; i++)
		leave(&visitors[i]);
}

static void test_sources_take_turns(void **state)
{
	(void)state;
	last_is_soon(2, false);
}

static void test_answered_sessions_go_first(void **state)
{
	(void)state;
	last_is_soon(1, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_step_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancelled_steps_are_not_taken, set_up,
	                                        tear_down),
		cmocka_unit_test_setup_teardown(test_sources_take_turns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answered_sessions_go_first, set_up, tear_down),
	};
	int rc;

	if (tls_global_init() != 0)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	tls_global_fini();
	return rc;
}
