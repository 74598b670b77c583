/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * idle_floor.c: what the layers of one idle tunnel hold, each measured alone in this process: octets of malloc (mallinfo2,
 * all arenas) per item while nothing moves, and the sizes of the structs that hold them. Prints a line for each:
 * key, octets, what it is, separated by tabs. bench/idle.sh reads them.
 */
#include "core/conn.h"
#include "core/conn_int.h"
#include "core/err.h"
#include "core/x509.h"
#include "gateway/internal.h"
#include "gateway/registry_internal.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SESSIONS   500 /* items that a figure is the mean of */
#define WARM       20  /* made before, so that what is shared is not counted */
#define PEM_MAX    (64u * 1024)
#define WIRE_MAX   (256u * 1024)
#define PIECE_SIZE 16384
#define SETTLE_MS  7000 /* the pools give back what a burst of handshakes took */

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "idle_floor: %s failed\n", what);
	exit(1);
}

static double heap_size(void)
{
	struct mallinfo2 m = mallinfo2();

	return (double)m.uordblks + (double)m.hblkhd;
}

static void print_row(const char *key, double octets, const char *what)
{
	printf("%s\t%.0f\t%s\n", key, octets, what);
	fflush(stdout);
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* ---- TLS over memory ---------------------------------------------------------------------------------------------- */

struct keys {
	struct buf cert_pem, key_pem;
};

static void to_pem(const char *label, const struct buf *der, struct buf *out)
{
	buf_init(out, PEM_MAX);
	pem_encode(label, buf_span(der), out);
	must(out->err == 0, "PEM");
}

static void keys_make(struct keys *k)
{
	int64_t now = time(NULL);
	const struct x509_leaf_opts o = {.common_name = "localhost",
	                                 .not_before_s = now - 86400,
	                                 .not_after_s = now + 86400};
	struct x509_pair root, leaf;

	x509_pair_init(&root);
	x509_pair_init(&leaf);
	must(x509_make_root("Bench Root", o.not_before_s, o.not_after_s, &root) == 0, "the root");
	must(x509_make_leaf(&root, &o, &leaf) == 0, "the leaf");
	to_pem("CERTIFICATE", &leaf.cert, &k->cert_pem);
	to_pem("RSA PRIVATE KEY", &leaf.key, &k->key_pem);
	x509_pair_free(&root);
	x509_pair_free(&leaf);
}

struct wire {
	struct buf bytes;
	uint8_t piece[PIECE_SIZE];
};

static int wire_put(void *arg, struct span ciphertext)
{
	struct wire *w = arg;

	buf_put_span(&w->bytes, ciphertext);
	return w->bytes.err;
}

static void wire_take(struct wire *w, struct tls *t)
{
	size_t n = MIN(w->bytes.len, sizeof(w->piece));

	if (tls_input_left(t) > 0 || n == 0)
		return;
	memcpy(w->piece, w->bytes.data, n);
	buf_consume(&w->bytes, n);
	tls_input(t, span_of(w->piece, n));
}

static struct tls_ctx *ctx_make(const struct keys *k, enum tls_profile profile, const char *ciphers,
                                int version)
{
	struct buf why = {.cap = 4096};
	const struct tls_ctx_opts o = {
		.server = k != NULL,
		.profile = profile,
		.cert_chain_pem = k != NULL ? buf_span(&k->cert_pem) : span_of("", 0),
		.key_pem = k != NULL ? buf_span(&k->key_pem) : span_of("", 0),
		.ciphers = ciphers,
		.min_version = version,
		.max_version = version};
	struct tls_ctx *ctx = tls_ctx_new(&o, &why);

	if (ctx == NULL)
		fprintf(stderr, "%s\n", buf_cstr(&why));
	must(ctx != NULL, "a TLS context");
	buf_free(&why);
	return ctx;
}

/* A server session that is established, its client gone. */
static struct tls *session_make(struct tls_ctx *server_ctx, struct tls_ctx *client_ctx)
{
	static struct wire up, down;
	struct tls *server, *client;
	int s = -ERR_AGAIN, c = -ERR_AGAIN;

	buf_init(&up.bytes, WIRE_MAX);
	buf_init(&down.bytes, WIRE_MAX);
	server = tls_new(server_ctx, NULL, wire_put, &down);
	client = tls_new(client_ctx, NULL, wire_put, &up);
	must(server != NULL && client != NULL, "tls_new");
	for (int i = 0; i < 20 && (s != 0 || c != 0); i++) {
		wire_take(&down, client);
		if (c != 0)
			c = tls_handshake(client);
		wire_take(&up, server);
		if (s != 0)
			s = tls_handshake(server);
	}
	must(s == 0 && c == 0, "a handshake over memory");
	tls_free(client);
	buf_free(&up.bytes);
	buf_free(&down.bytes);
	return server;
}

struct tls_case {
	const char *key, *what, *ciphers;
	enum tls_profile profile;
	int version;
};

static const struct tls_case tls_cases[] = {
	{"tls12_ecdhe_gcm", "wolfSSL session, TLS 1.2 ECDHE-RSA-AES128-GCM-SHA256",
         "ECDHE-RSA-AES128-GCM-SHA256", TLS_MODERN, 0x0303},
	{"tls12_rsa_gcm", "wolfSSL session, TLS 1.2 AES128-GCM-SHA256 (static RSA)",
         "AES128-GCM-SHA256", TLS_MODERN, 0x0303},
	{"tls13", "wolfSSL session, TLS 1.3", NULL, TLS_MODERN, 0x0304},
	{"tls10_rsa_cbc", "wolfSSL session, TLS 1.0 AES128-SHA (static RSA)", "AES128-SHA",
         TLS_LEGACY, 0x0301},
};

static void measure_tls(const struct keys *k, const struct tls_case *c)
{
	static struct tls *held[WARM + SESSIONS];
	struct tls_ctx *server = ctx_make(k, c->profile, NULL, 0);
	struct tls_ctx *client = ctx_make(NULL, c->profile, c->ciphers, c->version);
	double before = 0;

	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		if (i == WARM)
			before = heap_size();
		held[i] = session_make(server, client);
	}
	print_row(c->key, (heap_size() - before) / SESSIONS, c->what);
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		tls_free(held[i]);
	tls_ctx_unref(client);
	tls_ctx_unref(server);
}

/* ---- the APF session ---------------------------------------------------------------------------------------------- */

static void apf_send(void *ctx, struct span octets)
{
	(void)ctx;
	(void)octets;
}
static bool apf_hello(void *ctx, const struct guid *guid, uint32_t trigger)
{
	(void)ctx;
	(void)guid;
	(void)trigger;
	return true;
}
static enum apf_auth apf_userauth(void *ctx, struct span user, struct span password)
{
	(void)ctx;
	(void)user;
	(void)password;
	return APF_AUTH_ACCEPT;
}
static bool apf_no_cert(void *ctx)
{
	(void)ctx;
	return false;
}
static void apf_nothing(void *ctx)
{
	(void)ctx;
}
static void apf_forward_added(void *ctx, uint16_t port, struct span host)
{
	(void)ctx;
	(void)port;
	(void)host;
}
static void apf_forward_removed(void *ctx, uint16_t port)
{
	(void)ctx;
	(void)port;
}
static void apf_udp(void *ctx, const struct apf_global *request)
{
	(void)ctx;
	(void)request;
}
static void apf_glitched(void *ctx, enum apf_glitch what)
{
	(void)ctx;
	(void)what;
}
static void apf_disconnected(void *ctx, uint32_t code)
{
	(void)ctx;
	(void)code;
}
static const struct apf_session_ops apf_ops = {.send = apf_send,
                                               .hello = apf_hello,
                                               .userauth = apf_userauth,
                                               .client_cert_verified = apf_no_cert,
                                               .ready = apf_nothing,
                                               .forward_added = apf_forward_added,
                                               .forward_removed = apf_forward_removed,
                                               .udp_send_to = apf_udp,
                                               .glitch = apf_glitched,
                                               .disconnect = apf_disconnected,
                                               .slot_free = apf_nothing};

static void apf_feed(struct apf_session *s, const struct apf_msg *m, uint64_t now_ms)
{
	uint8_t out[APF_MESSAGE_MAX];
	ssize_t n = apf_pack(out, sizeof(out), m);

	must(n > 0, "apf_pack");
	must(apf_session_feed(s, span_of(out, (size_t)n), now_ms) == 0, "an APF message");
}

/* What a device sends until it is held: hello, both services, authentication, six ports, keep-alive. */
static void apf_establish(struct apf_session *s, unsigned number)
{
	static const uint16_t ports[] = {16993, 16992, 664, 623, 16995, 16994};
	struct apf_msg m = {.type = APF_VERSION,
	                    .version = {.major = 1, .trigger = 4, .guid = {{1, (uint8_t)number}}}};
	uint64_t now_ms = 1000;

	apf_session_init(s, &apf_ops, NULL, NULL, now_ms);
	apf_feed(s, &m, now_ms);
	m = (struct apf_msg){.type = APF_SERVICE_REQUEST, .service = span_str(APF_SERVICE_AUTH)};
	apf_feed(s, &m, now_ms);
	m = (struct apf_msg){.type = APF_USERAUTH_REQUEST,
	                     .auth = {.user = span_str("user"),
	                              .service = span_str(APF_SERVICE_PFWD),
	                              .method = span_str(APF_METHOD_PASSWORD),
	                              .password = span_str("password")}};
	apf_feed(s, &m, now_ms);
	m = (struct apf_msg){.type = APF_SERVICE_REQUEST, .service = span_str(APF_SERVICE_PFWD)};
	apf_feed(s, &m, now_ms);
	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		m = (struct apf_msg){.type = APF_GLOBAL_REQUEST,
		                     .global = {.kind = APF_REQUEST_FORWARD,
		                                .want_reply = true,
		                                .host = span_str("host-0001.example.com"),
		                                .port = ports[i]}};
		apf_feed(s, &m, now_ms);
	}
	must(apf_session_tick(s, now_ms + 60000) == 0, "apf_session_tick");
	m = (struct apf_msg){.type = APF_OPTIONS_REPLY, .options = {.interval_s = 30}};
	apf_feed(s, &m, now_ms + 60000);
	must(s->ready, "an APF session that is ready");
}

static void measure_apf(void)
{
	static struct apf_session held[SESSIONS];
	double before = heap_size();

	for (unsigned i = 0; i < SESSIONS; i++)
		apf_establish(&held[i], i);
	print_row("apf_heap", (heap_size() - before) / SESSIONS,
	          "APF session: what it holds beside its struct (host names)");
	for (unsigned i = 0; i < SESSIONS; i++)
		apf_session_fini(&held[i]);
}

/* ---- connections on a loop ---------------------------------------------------------------------------------------- */

static struct {
	struct loop *loop;
	struct listener *listener;
	struct conn_opts opts;
	struct task start;
	atomic_uint ready, closed;
} house;

static void conn_is_ready(struct conn *c)
{
	(void)c;
	atomic_fetch_add(&house.ready, 1);
}
static void conn_got(struct conn *c, struct span s)
{
	(void)c;
	(void)s;
}
static void conn_is_closed(struct conn *c, int err)
{
	(void)c;
	(void)err;
	atomic_fetch_add(&house.closed, 1);
}
static const struct conn_ops conn_ops = {
	.ready = conn_is_ready, .data = conn_got, .closed = conn_is_closed};

static void accepted(void *user, int fd, const struct addr *peer)
{
	(void)user;
	must(conn_accept(house.loop, fd, peer, &house.opts) != NULL, "conn_accept");
}

static void house_start(struct task *t)
{
	(void)t;
	must(listener_start(house.listener), "listener_start");
}

static void *house_main(void *arg)
{
	(void)arg;
	must(loop_run(house.loop) == 0, "the ring (io_uring blocked?)");
	return NULL;
}

static int fd_put(void *arg, struct span s)
{
	int fd = *(int *)arg;

	while (s.len > 0) {
		ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);

		if (n <= 0)
			return -ERR_IO;
		s = span_of(s.ptr + n, s.len - (size_t)n);
	}
	return 0;
}

/* A connection to the house whose client keeps nothing but the descriptor. */
static int dial(struct tls_ctx *client_ctx)
{
	static uint8_t piece[PIECE_SIZE];
	const struct addr *to = listener_addr(house.listener);
	int fd = socket(to->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), r = -ERR_AGAIN;
	struct tls *t;

	must(fd >= 0 && connect(fd, (const struct sockaddr *)&to->ss, to->len) == 0, "connect");
	if (client_ctx == NULL)
		return fd;
	t = tls_new(client_ctx, NULL, fd_put, &fd);
	must(t != NULL, "tls_new");
	while ((r = tls_handshake(t)) == -ERR_AGAIN) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);

		must(n > 0, "receiving a handshake");
		tls_input(t, span_of(piece, (size_t)n));
	}
	must(r == 0, "a handshake over a socket");
	tls_free(t);
	return fd;
}

static void dial_many(int *fds, unsigned n, struct tls_ctx *client_ctx)
{
	unsigned want = atomic_load(&house.ready) + n;

	for (unsigned i = 0; i < n; i++)
		fds[i] = dial(client_ctx);
	for (unsigned waited = 0; atomic_load(&house.ready) < want; waited++) {
		must(waited < 6000, "waiting for connections");
		sleep_ms(10);
	}
	sleep_ms(SETTLE_MS);
}

static void measure_conn(struct tls_ctx *server_ctx, struct tls_ctx *client_ctx, const char *key,
                         const char *what)
{
	static const struct loop_opts loop_opts;
	static int warm[WARM], held[SESSIONS];
	struct listener_opts lo = {.accepted = accepted};
	pthread_t thread;
	double before;
	int err = 0;

	memset(&house, 0, sizeof(house));
	house.loop = loop_new(&loop_opts);
	must(house.loop != NULL && addr_parse("127.0.0.1:0", &lo.addr) == 0, "a loop");
	house.opts = (struct conn_opts){.ops = &conn_ops, .tls = server_ctx};
	house.listener = listener_open(house.loop, &lo, &err);
	must(house.listener != NULL, "a listener");
	house.start.run = house_start;
	must(loop_post(house.loop, &house.start), "loop_post");
	must(pthread_create(&thread, NULL, house_main, NULL) == 0, "a thread");
	dial_many(warm, WARM, client_ctx);
	before = heap_size();
	dial_many(held, SESSIONS, client_ctx);
	must(atomic_load(&house.closed) == 0, "keeping connections");
	print_row(key, (heap_size() - before) / SESSIONS, what);
	loop_stop(house.loop);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < SESSIONS; i++)
		close(held[i]);
	for (unsigned i = 0; i < WARM; i++)
		close(warm[i]);
	loop_free(house.loop);
}

int main(void)
{
	struct tls_ctx *server, *client;
	struct keys k;

	must(tls_global_init() == 0, "tls_global_init");
	keys_make(&k);
	print_row("sizeof_tunnel", sizeof(struct tunnel),
	          "struct tunnel, with the APF session in it");
	print_row("sizeof_apf", sizeof(struct apf_session), "of that: struct apf_session");
	print_row("sizeof_live", sizeof(struct live),
	          "of that: struct live (what the registry shows)");
	print_row("sizeof_conn", sizeof(struct conn), "struct conn");
	print_row("sizeof_device", sizeof(struct device), "struct device (the registry's record)");
	print_row("sizeof_channel", sizeof(struct channel), "struct channel (none while idle)");
	measure_apf();
	for (size_t i = 0; i < ARRAY_LEN(tls_cases); i++)
		measure_tls(&k, &tls_cases[i]);
	measure_conn(NULL, NULL, "conn_plain", "connection without TLS on a loop, receive armed");
	server = ctx_make(&k, TLS_MODERN, NULL, 0);
	client = ctx_make(NULL, TLS_MODERN, tls_cases[0].ciphers, tls_cases[0].version);
	measure_conn(server, client, "conn_tls12", "connection with TLS 1.2 ECDHE GCM on a loop");
	tls_ctx_unref(client);
	tls_ctx_unref(server);
	buf_free(&k.cert_pem);
	buf_free_secret(&k.key_pem);
	tls_global_fini();
	return 0;
}
