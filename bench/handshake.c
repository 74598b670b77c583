/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * handshake.c: what a TLS handshake costs with bare wolfSSL, through memory, as our listeners are configured: the reference of
 * the scenarios that count connects. For each kind it prints CPU microseconds of the server's and the client's side, run by run.
 * The kinds that end with _libcrypto are the full ones again, with the server's RSA operation done by libcrypto (ADR 12); the
 * others have no part of ours in them.
 *
 *   handshake [--count N] [--runs R]
 *   {"tls12_full": {"server_us": [...], "client_us": [...]}, "tls12_full_libcrypto": ..., "tls12_resumed": ..., "tls13_full": ...,
 *    "tls13_full_libcrypto": ..., "tls13_resumed": ...}
 */
#include "core/tls_rsa.h"
#include "core/x509.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#define PIPE_SIZE  (64UL * 1024)
#define STEPS_MAX  20
#define PEM_MAX    (64UL * 1024)
#define RUNS_MAX   99
#define WARM_COUNT 20

struct pipe {
	uint8_t bytes[PIPE_SIZE];
	size_t len, read;
};

struct end {
	WOLFSSL_CTX *ctx;
	WOLFSSL *ssl;
	struct pipe *in, *out;
	struct tls_rsa *rsa; /* NULL: wolfSSL alone */
	uint64_t cpu_ns;
};

struct kind {
	const char *name;
	bool tls13, resumed, libcrypto;
};

static const struct kind kinds[] = {
	{.name = "tls12_full"},
	{.name = "tls12_full_libcrypto", .libcrypto = true},
	{.name = "tls12_resumed", .resumed = true},
	{.name = "tls13_full", .tls13 = true},
	{.name = "tls13_full_libcrypto", .tls13 = true, .libcrypto = true},
	{.name = "tls13_resumed", .tls13 = true, .resumed = true},
};

static struct x509_pair root, leaf;
static struct pipe up, down;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "handshake: %s failed\n", what);
	exit(1);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int on_recv(WOLFSSL *ssl, char *out, int size, void *arg)
{
	struct pipe *p = arg;
	size_t n = MIN(p->len - p->read, (size_t)size);

	(void)ssl;
	if (n == 0)
		return WOLFSSL_CBIO_ERR_WANT_READ;
	memcpy(out, p->bytes + p->read, n);
	p->read += n;
	if (p->read == p->len)
		p->read = p->len = 0;
	return (int)n;
}

static int on_send(WOLFSSL *ssl, char *data, int size, void *arg)
{
	struct pipe *p = arg;

	(void)ssl;
	must(p->len + (size_t)size <= PIPE_SIZE, "a flight within the pipe");
	memcpy(p->bytes + p->len, data, (size_t)size);
	p->len += (size_t)size;
	return size;
}

static WOLFSSL_CTX *ctx_make(bool server, const struct kind *k)
{
	WOLFSSL_METHOD *method;
	WOLFSSL_CTX *ctx;

	if (server)
		method = k->tls13 ? wolfTLSv1_3_server_method() : wolfTLSv1_2_server_method();
	else
		method = k->tls13 ? wolfTLSv1_3_client_method() : wolfTLSv1_2_client_method();
	ctx = wolfSSL_CTX_new(method);
	must(ctx != NULL, "a context");
	must(wolfSSL_CTX_set_cipher_list(ctx, k->tls13 ? "TLS13-AES128-GCM-SHA256"
	                                               : "ECDHE-RSA-AES128-GCM-SHA256") ==
	             WOLFSSL_SUCCESS,
	     "the cipher suite");
	(void)wolfSSL_CTX_set_group_messages(ctx);
	wolfSSL_CTX_SetIORecv(ctx, on_recv);
	wolfSSL_CTX_SetIOSend(ctx, on_send);
	if (!k->resumed)
		(void)wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
	return ctx;
}

static void server_make(struct end *e, const struct kind *k)
{
	struct buf chain = {.cap = PEM_MAX}, key = {.cap = PEM_MAX};

	e->ctx = ctx_make(true, k);
	pem_encode("CERTIFICATE", buf_span(&leaf.cert), &chain);
	pem_encode("RSA PRIVATE KEY", buf_span(&leaf.key), &key);
	must(wolfSSL_CTX_use_certificate_chain_buffer(e->ctx, chain.data, (long)chain.len) ==
	             WOLFSSL_SUCCESS,
	     "the certificate");
	must(wolfSSL_CTX_use_PrivateKey_buffer(e->ctx, key.data, (long)key.len,
	                                       WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS,
	     "the key");
	*e = (struct end){.ctx = e->ctx, .in = &up, .out = &down};
	if (k->libcrypto) {
		e->rsa = tls_rsa_new(buf_span(&key));
		must(e->rsa != NULL &&
		             wolfSSL_CTX_SetDevId(e->ctx, TLS_RSA_DEVICE) == WOLFSSL_SUCCESS,
		     "libcrypto");
	}
	buf_free(&chain);
	buf_free_secret(&key);
}

static void client_make(struct end *e, const struct kind *k)
{
	e->ctx = ctx_make(false, k);
	must(wolfSSL_CTX_load_verify_buffer(e->ctx, root.cert.data, (long)root.cert.len,
	                                    WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS,
	     "the root");
#ifdef HAVE_SESSION_TICKET
	if (k->resumed && !k->tls13)
		(void)wolfSSL_CTX_UseSessionTicket(e->ctx);
#endif
	*e = (struct end){.ctx = e->ctx, .in = &down, .out = &up};
}

static void end_open(struct end *e)
{
	uint64_t began = cpu_ns();

	e->ssl = wolfSSL_new(e->ctx);
	must(e->ssl != NULL, "a session");
	wolfSSL_SetIOReadCtx(e->ssl, e->in);
	wolfSSL_SetIOWriteCtx(e->ssl, e->out);
	e->cpu_ns += cpu_ns() - began;
}

/* One step of an end; true once it is established. */
static bool end_step(struct end *e, bool server)
{
	uint64_t began = cpu_ns();
	int r;

	tls_rsa_enter(e->rsa);
	r = server ? wolfSSL_accept(e->ssl) : wolfSSL_connect(e->ssl);
	e->cpu_ns += cpu_ns() - began;
	if (r != WOLFSSL_SUCCESS && wolfSSL_get_error(e->ssl, r) != WOLFSSL_ERROR_WANT_READ) {
		fprintf(stderr, "handshake: error %d\n", wolfSSL_get_error(e->ssl, r));
		exit(1);
	}
	return r == WOLFSSL_SUCCESS;
}

/* One octet down: a TLS 1.3 client reads its tickets with it. */
static void take_tickets(struct end *s, struct end *c)
{
	char octet = 0;

	must(wolfSSL_write(s->ssl, &octet, 1) == 1 && wolfSSL_read(c->ssl, &octet, 1) == 1,
	     "an octet from the server");
}

/* A handshake; with keep the client's session is stored there, with session it is offered. */
static void shake(struct end *s, struct end *c, WOLFSSL_SESSION *session, WOLFSSL_SESSION **keep)
{
	bool s_done = false, c_done = false;

	end_open(s);
	end_open(c);
	if (session != NULL)
		must(wolfSSL_set_session(c->ssl, session) == WOLFSSL_SUCCESS,
		     "a session to resume");
	for (int i = 0; i < STEPS_MAX && !(s_done && c_done); i++) {
		if (!c_done)
			c_done = end_step(c, false);
		if (!s_done)
			s_done = end_step(s, true);
	}
	must(s_done && c_done, "a handshake");
	if (session != NULL)
		must(wolfSSL_session_reused(c->ssl) == 1, "resumption");
	if (keep != NULL) {
		take_tickets(s, c);
		*keep = wolfSSL_get1_session(c->ssl);
		must(*keep != NULL, "keeping a session");
	}
	wolfSSL_free(s->ssl);
	wolfSSL_free(c->ssl);
	up.len = up.read = down.len = down.read = 0;
}

static void print_runs(const char *name, const double *us, size_t runs)
{
	printf("\"%s\": [", name);
	for (size_t i = 0; i < runs; i++)
		printf("%s%.2f", i > 0 ? ", " : "", us[i]);
	printf("]");
}

static void measure(const struct kind *k, size_t runs, size_t count)
{
	double server_us[RUNS_MAX], client_us[RUNS_MAX];
	WOLFSSL_SESSION *session = NULL;
	struct end s, c;

	server_make(&s, k);
	client_make(&c, k);
	if (k->resumed)
		shake(&s, &c, NULL, &session);
	for (size_t i = 0; i < WARM_COUNT; i++)
		shake(&s, &c, session, NULL);
	for (size_t run = 0; run < runs; run++) {
		s.cpu_ns = c.cpu_ns = 0;
		for (size_t i = 0; i < count; i++)
			shake(&s, &c, session, NULL);
		server_us[run] = (double)s.cpu_ns / 1e3 / (double)count;
		client_us[run] = (double)c.cpu_ns / 1e3 / (double)count;
	}
	printf("\"%s\": {", k->name);
	print_runs("server_us", server_us, runs);
	printf(", ");
	print_runs("client_us", client_us, runs);
	printf("}");
	if (session != NULL)
		wolfSSL_SESSION_free(session);
	wolfSSL_CTX_free(s.ctx);
	wolfSSL_CTX_free(c.ctx);
	tls_rsa_free(s.rsa);
}

int main(int argc, char **argv)
{
	size_t count = 500, runs = 5;
	int64_t now = time(NULL);

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--count") == 0)
			count = strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--runs") == 0)
			runs = strtoul(argv[i + 1], NULL, 10);
		else
			must(false, argv[i]);
	}
	must(count >= 1 && runs >= 1 && runs <= RUNS_MAX, "reading the options");
	must(wolfSSL_Init() == WOLFSSL_SUCCESS, "wolfSSL_Init");
	tls_rsa_use(&tls_rsa_libcrypto, TLS_RSA_ALWAYS);
	x509_pair_init(&root);
	x509_pair_init(&leaf);
	must(x509_make_root("Bench Root", now - 86400, now + 86400, &root) == 0, "the root");
	must(x509_make_leaf(&root,
	                    &(struct x509_leaf_opts){.common_name = "localhost",
	                                             .not_before_s = now - 86400,
	                                             .not_after_s = now + 86400},
	                    &leaf) == 0,
	     "the leaf");
	printf("{");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		printf("%s", i > 0 ? ",\n " : "");
		measure(&kinds[i], runs, count);
	}
	printf("}\n");
	x509_pair_free(&root);
	x509_pair_free(&leaf);
	(void)wolfSSL_Cleanup();
	return 0;
}
