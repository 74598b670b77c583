/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls_relay.c: the reference of the relay scenarios: an empty TLS-to-TLS relay on core/. Sources dial in on one port and sinks on
 * another, as devices and API clients do; the relay hands on what it has decrypted, with the connections' own back-pressure and nothing
 * else. Sources, relay and sinks are loops of one process; the relay's CPU is its thread's.
 *
 *	tls_relay [--pairs N] [--seconds S] [--piece OCTETS]
 *
 * Prints one JSON object: octets per CPU second of the relay, and what the load itself took.
 */
#include "core/conn.h"
#include "core/err.h"
#include "core/x509.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAIRS_MAX 512
#define PEM_MAX   65536u
#define PIECE_MAX 65536u
#define WARM_MS   1000
#define WAIT_MS   30000
#define SUITE     "ECDHE-RSA-AES128-GCM-SHA256" /* what devices speak: TLS 1.2 */

static struct {
	unsigned pairs, seconds;
	size_t piece;
} opt = {1, 3, 4105};

static uint8_t payload[PIECE_MAX];

struct side {
	struct conn *source, *sink; /* the relay's ends of a pair */
};

static struct {
	struct loop *loop, *source_loop, *sink_loop;
	struct listener *in, *out;
	struct tls_ctx *server, *device, *client;
	struct side pairs[PAIRS_MAX];
	unsigned sources, sinks;
	struct task start, start_sources, start_sinks;
	atomic_uint ready;
	_Atomic uint64_t octets;
} bench;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "tls_relay: %s failed\n", what);
	exit(1);
}

static void closed(struct conn *c, int err)
{
	(void)c;
	must(err == 0 || err == -ERR_CANCELLED || err == -ERR_CLOSED, "a connection");
}

/* ---- the relay ---- */

static void relay_data(struct conn *c, struct span s)
{
	const struct side *p = conn_user(c);

	must(conn_write(p->sink, s) == 0, "handing on");
	if (conn_congested(p->sink))
		conn_pause(p->source, true);
}

static void relay_drained(struct conn *c)
{
	const struct side *p = conn_user(c);

	conn_pause(p->source, false);
}

static void relay_ignore(struct conn *c, struct span s)
{
	(void)c;
	(void)s;
}

static void source_in(struct conn *c)
{
	/* no octet is taken before its way out is there */
	conn_pause(c, true);
	atomic_fetch_add(&bench.ready, 1);
}

static void sink_in(struct conn *c)
{
	(void)c;
	atomic_fetch_add(&bench.ready, 1);
}

static const struct conn_ops source_ops = {
	.ready = source_in, .data = relay_data, .closed = closed};
static const struct conn_ops sink_ops = {
	.ready = sink_in, .data = relay_ignore, .drained = relay_drained, .closed = closed};

static void accepted_source(void *user, int fd, const struct addr *peer)
{
	struct side *p = &bench.pairs[bench.sources++];
	const struct conn_opts o = {.ops = &source_ops, .user = p, .tls = bench.server};

	(void)user;
	must(bench.sources <= opt.pairs, "counting sources");
	p->source = conn_accept(bench.loop, fd, peer, &o);
	must(p->source != NULL, "accepting");
}

static void accepted_sink(void *user, int fd, const struct addr *peer)
{
	struct side *p = &bench.pairs[bench.sinks++];
	const struct conn_opts o = {
		.ops = &sink_ops, .user = p, .tls = bench.server, .send_limit = 262144};

	(void)user;
	must(bench.sinks <= opt.pairs, "counting sinks");
	p->sink = conn_accept(bench.loop, fd, peer, &o);
	must(p->sink != NULL, "accepting");
}

static void relay_start(struct task *t)
{
	(void)t;
	must(listener_start(bench.in) && listener_start(bench.out), "listening");
}

static void relay_go(struct task *t)
{
	(void)t;
	for (unsigned i = 0; i < opt.pairs; i++)
		conn_pause(bench.pairs[i].source, false);
}

/* ---- the load ---- */

static void pump(struct conn *c)
{
	while (!conn_congested(c))
		must(conn_write(c, span_of(payload, opt.piece)) == 0, "sending");
}

static void taken(struct conn *c, struct span s)
{
	(void)c;
	atomic_fetch_add_explicit(&bench.octets, s.len, memory_order_relaxed);
}

static const struct conn_ops device_ops = {
	.ready = pump, .data = relay_ignore, .drained = pump, .closed = closed};
static const struct conn_ops client_ops = {.data = taken, .closed = closed};

static void dial(struct loop *l, const struct listener *to, const struct conn_ops *ops,
                 struct tls_ctx *ctx)
{
	const struct conn_opts o = {.ops = ops, .tls = ctx, .send_limit = 262144};

	for (unsigned i = 0; i < opt.pairs; i++)
		must(conn_connect(l, listener_addr(to), NULL, &o) != NULL, "dialling");
}

static void sources_start(struct task *t)
{
	(void)t;
	dial(bench.source_loop, bench.in, &device_ops, bench.device);
}

static void sinks_start(struct task *t)
{
	(void)t;
	dial(bench.sink_loop, bench.out, &client_ops, bench.client);
}

/* ---- set-up ---- */

static struct tls_ctx *ctx(const struct tls_ctx_opts *o)
{
	struct buf why = {.cap = 4096};
	struct tls_ctx *c = tls_ctx_new(o, &why);

	if (c == NULL)
		fprintf(stderr, "tls_relay: %s\n", buf_cstr(&why));
	must(c != NULL, "a TLS context");
	buf_free(&why);
	return c;
}

static void make_contexts(void)
{
	int64_t now = time(NULL);
	const struct x509_leaf_opts o = {.common_name = "localhost",
	                                 .not_before_s = now - 86400,
	                                 .not_after_s = now + 86400};
	struct x509_pair root, leaf;
	struct buf cert, key;

	x509_pair_init(&root);
	x509_pair_init(&leaf);
	buf_init(&cert, PEM_MAX);
	buf_init(&key, PEM_MAX);
	must(x509_make_root("Bench Root", o.not_before_s, o.not_after_s, &root) == 0, "the root");
	must(x509_make_leaf(&root, &o, &leaf) == 0, "the leaf");
	pem_encode("CERTIFICATE", buf_span(&leaf.cert), &cert);
	pem_encode("RSA PRIVATE KEY", buf_span(&leaf.key), &key);
	bench.server = ctx(&(struct tls_ctx_opts){.server = true,
	                                          .profile = TLS_MODERN,
	                                          .cert_chain_pem = buf_span(&cert),
	                                          .key_pem = buf_span(&key)});
	bench.device = ctx(&(struct tls_ctx_opts){.profile = TLS_MODERN,
	                                          .ciphers = SUITE,
	                                          .min_version = 0x0303,
	                                          .max_version = 0x0303});
	bench.client = ctx(&(struct tls_ctx_opts){.profile = TLS_API});
	x509_pair_free(&root);
	x509_pair_free(&leaf);
	buf_free(&cert);
	buf_free_secret(&key);
}

static struct listener *listen_on(void (*accepted)(void *, int, const struct addr *))
{
	struct listener_opts o = {.accepted = accepted};
	struct listener *l;
	int err = 0;

	must(addr_parse("127.0.0.1:0", &o.addr) == 0, "an address");
	l = listener_open(bench.loop, &o, &err);
	must(l != NULL, "a listener");
	return l;
}

static void *run_loop(void *arg)
{
	must(loop_run(arg) == 0, "a loop");
	return NULL;
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static double seconds(clockid_t clock)
{
	struct timespec ts;

	must(clock_gettime(clock, &ts) == 0, "a clock");
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

struct reading {
	double wall_s, relay_s, source_s, sink_s, octets;
};

static struct reading look(const pthread_t threads[3])
{
	clockid_t c[3];

	for (unsigned i = 0; i < 3; i++)
		must(pthread_getcpuclockid(threads[i], &c[i]) == 0, "a thread's clock");
	return (struct reading){seconds(CLOCK_MONOTONIC), seconds(c[0]), seconds(c[1]),
	                        seconds(c[2]), (double)atomic_load(&bench.octets)};
}

static void print(const struct reading *a, const struct reading *b)
{
	double octets = b->octets - a->octets, cpu_s = b->relay_s - a->relay_s;

	printf("{\"pairs\": %u, \"seconds\": %.3f, \"octets\": %.0f, \"octets_per_s\": %.0f, "
	       "\"relay_cpu_s\": %.4f, \"octets_per_cpu_s\": %.0f, \"source_cpu_s\": %.4f, "
	       "\"sink_cpu_s\": %.4f}\n",
	       opt.pairs, b->wall_s - a->wall_s, octets, octets / (b->wall_s - a->wall_s), cpu_s,
	       octets / cpu_s, b->source_s - a->source_s, b->sink_s - a->sink_s);
}

static void measure(void)
{
	struct loop *loops[3] = {bench.loop, bench.source_loop, bench.sink_loop};
	struct task go = {.run = relay_go};
	struct reading a, b;
	pthread_t threads[3];

	must(loop_post(bench.loop, &bench.start) &&
	             loop_post(bench.source_loop, &bench.start_sources) &&
	             loop_post(bench.sink_loop, &bench.start_sinks),
	     "loop_post");
	for (unsigned i = 0; i < 3; i++)
		must(pthread_create(&threads[i], NULL, run_loop, loops[i]) == 0, "a thread");
	for (unsigned ms = 0; atomic_load(&bench.ready) < 2 * opt.pairs; ms += 10) {
		must(ms < WAIT_MS, "waiting for connections");
		sleep_ms(10);
	}
	must(loop_post(bench.loop, &go), "loop_post");
	sleep_ms(WARM_MS);
	a = look(threads);
	sleep_ms(1000L * opt.seconds);
	b = look(threads);
	print(&a, &b);
	for (unsigned i = 0; i < 3; i++)
		loop_stop(loops[i]);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < 3; i++)
		loop_free(loops[i]);
}

static unsigned number(const char *text, unsigned min, unsigned max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	must(*text != '\0' && *end == '\0' && v >= min && v <= max, "reading a number");
	return (unsigned)v;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		must(i + 1 < argc, "reading the options");
		if (strcmp(argv[i], "--pairs") == 0)
			opt.pairs = number(argv[i + 1], 1, PAIRS_MAX);
		else if (strcmp(argv[i], "--seconds") == 0)
			opt.seconds = number(argv[i + 1], 1, 600);
		else if (strcmp(argv[i], "--piece") == 0)
			opt.piece = number(argv[i + 1], 1, PIECE_MAX);
		else
			must(false, "reading the options");
	}
	must(tls_global_init() == 0, "tls_global_init");
	make_contexts();
	bench.loop = loop_new(&(struct loop_opts){.index = 0});
	bench.source_loop = loop_new(&(struct loop_opts){.index = 1});
	bench.sink_loop = loop_new(&(struct loop_opts){.index = 2});
	must(bench.loop != NULL && bench.source_loop != NULL && bench.sink_loop != NULL, "a loop");
	bench.in = listen_on(accepted_source);
	bench.out = listen_on(accepted_sink);
	bench.start.run = relay_start;
	bench.start_sources.run = sources_start;
	bench.start_sinks.run = sinks_start;
	measure();
	tls_ctx_unref(bench.client);
	tls_ctx_unref(bench.device);
	tls_ctx_unref(bench.server);
	tls_global_fini();
	return 0;
}
