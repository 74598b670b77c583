/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tls_pair.c: see tls_pair.h. */
#include "tests/unit/support/tls_pair.h"

#include "core/err.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define WIRE_MAX (64u * 1024 * 1024)
#define PEM_MAX  (64u * 1024)
#define WHY_MAX  1024

static struct tls_pki pki;
static bool pki_made;

struct tls_ctx *tls_ctx_made(const struct tls_ctx_opts *o)
{
	struct tls_ctx *ctx;
	struct buf why;

	buf_init(&why, WHY_MAX);
	ctx = tls_ctx_new(o, &why);
	if (ctx == NULL)
		fprintf(stderr, "tls_ctx_new: %s\n", buf_cstr(&why));
	ASSERT(ctx != NULL);
	buf_free(&why);
	return ctx;
}

static void to_pem(const char *label, const struct buf *der, struct buf *out)
{
	buf_init(out, PEM_MAX);
	pem_encode(label, buf_span(der), out);
	ASSERT(out->err == 0);
}

static void make_leaf(const struct x509_pair *root, const char *name, bool client,
                      struct x509_pair *out)
{
	static const char *const names[] = {"localhost", "gw.example.org", "127.0.0.1"};
	int64_t now = time(NULL);
	struct x509_leaf_opts o = {.common_name = name,
	                           .alt_names = names,
	                           .alt_names_len = client ? 0 : ARRAY_LEN(names),
	                           .not_before_s = now - 86400,
	                           .not_after_s = now + 86400,
	                           .client_auth = client};

	x509_pair_init(out);
	ASSERT(x509_make_leaf(root, &o, out) == 0);
}

const struct tls_pki *tls_pki_get(void)
{
	struct x509_pair other_root, other;
	int64_t now = time(NULL);

	if (pki_made)
		return &pki;
	x509_pair_init(&pki.root);
	x509_pair_init(&other_root);
	ASSERT(x509_make_root("Test Root", now - 86400, now + 86400, &pki.root) == 0);
	ASSERT(x509_make_root("Other Root", now - 86400, now + 86400, &other_root) == 0);
	make_leaf(&pki.root, "localhost", false, &pki.server);
	make_leaf(&pki.root, "device-7", true, &pki.client);
	make_leaf(&other_root, "stranger", true, &other);
	to_pem("CERTIFICATE", &pki.root.cert, &pki.root_pem);
	to_pem("CERTIFICATE", &pki.server.cert, &pki.server_pem);
	to_pem("RSA PRIVATE KEY", &pki.server.key, &pki.server_key_pem);
	to_pem("CERTIFICATE", &pki.client.cert, &pki.client_pem);
	to_pem("RSA PRIVATE KEY", &pki.client.key, &pki.client_key_pem);
	to_pem("CERTIFICATE", &other_root.cert, &pki.other_root_pem);
	to_pem("CERTIFICATE", &other.cert, &pki.other_pem);
	to_pem("RSA PRIVATE KEY", &other.key, &pki.other_key_pem);
	x509_pair_free(&other_root);
	x509_pair_free(&other);
	pki_made = true;
	return &pki;
}

static int to_wire(void *arg, struct span ciphertext)
{
	struct tls_wire *w = arg;

	buf_put_span(&w->bytes, ciphertext);
	return w->bytes.err;
}

void tls_pair_init(struct tls_pair *p, struct tls_ctx *client, struct tls_ctx *server,
                   const char *server_name)
{
	*p = (struct tls_pair){.client_result = -ERR_AGAIN, .server_result = -ERR_AGAIN};
	buf_init(&p->to_server.bytes, WIRE_MAX);
	buf_init(&p->to_client.bytes, WIRE_MAX);
	p->client = tls_new(client, server_name, to_wire, &p->to_server);
	p->server = tls_new(server, NULL, to_wire, &p->to_client);
	ASSERT(p->client != NULL && p->server != NULL);
}

void tls_pair_free(struct tls_pair *p)
{
	tls_free(p->client);
	tls_free(p->server);
	buf_free(&p->to_server.bytes);
	buf_free(&p->to_client.bytes);
	p->client = p->server = NULL;
}

/* Lends the session its next piece. False if there is nothing on the wire. */
static bool feed(struct tls *t, struct tls_wire *w)
{
	size_t n = MIN(w->bytes.len, sizeof(w->piece));

	if (tls_input_left(t) > 0)
		return true;
	if (w->step > 0)
		n = MIN(n, w->step);
	if (n == 0)
		return false;
	memcpy(w->piece, w->bytes.data, n);
	buf_consume(&w->bytes, n);
	tls_input(t, span_of(w->piece, n));
	return true;
}

static bool shake(struct tls *t, struct tls_wire *w, int *result, bool may_start)
{
	if (*result != -ERR_AGAIN || (!feed(t, w) && !may_start))
		return false;
	*result = tls_handshake(t);
	return true;
}

bool tls_pair_handshake(struct tls_pair *p)
{
	bool first = true;

	for (;;) {
		bool client = shake(p->client, &p->to_client, &p->client_result, first);
		bool server = shake(p->server, &p->to_server, &p->server_result, false);

		first = false;
		if (!client && !server)
			break;
	}
	return p->client_result == 0 && p->server_result == 0;
}

int tls_pair_drain(struct tls_pair *p, bool at_client, struct buf *got)
{
	struct tls *t = at_client ? p->client : p->server;
	struct tls_wire *w = at_client ? &p->to_client : &p->to_server;
	uint8_t text[5000];
	ssize_t n;

	for (;;) {
		n = tls_read(t, text, sizeof(text));
		if (n > 0 && got != NULL)
			buf_put(got, text, (size_t)n);
		else if (n < 0 && (n != -ERR_AGAIN || !feed(t, w)))
			return (int)n;
	}
}

int tls_pair_send(struct tls_pair *p, bool from_client, struct span data, struct buf *got)
{
	int r = tls_write(from_client ? p->client : p->server, data);

	return r != 0 ? r : tls_pair_drain(p, !from_client, got);
}
