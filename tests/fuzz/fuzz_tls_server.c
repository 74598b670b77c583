/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fuzz_tls_server.c: any octets from a client: the server waits, or fails with a reason in printable text. */
#include "core/err.h"
#include "core/text.h"
#include "core/tls.h"
#include "core/x509.h"

#include <string.h>

static struct tls_ctx *ctx;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int drop(void *arg, struct span ciphertext)
{
	(void)arg;
	ASSERT(ciphertext.len > 0);
	return 0;
}

/* A root serves as the server's certificate: nobody here checks its usage. */
static void start(void)
{
	struct tls_ctx_opts o = {.server = true, .profile = TLS_LEGACY, .alpn = "h2,http/1.1"};
	struct x509_pair pair;
	struct buf text;

	x509_pair_init(&pair);
	buf_init(&text, 64 * 1024);
	ASSERT(tls_global_init() == 0);
	ASSERT(x509_make_root("fuzz", 0, INT32_MAX, &pair) == 0);
	pem_encode("CERTIFICATE", buf_span(&pair.cert), &text);
	pem_encode("RSA PRIVATE KEY", buf_span(&pair.key), &text);
	o.cert_chain_pem = o.key_pem = buf_span(&text);
	ctx = tls_ctx_new(&o, &text);
	ASSERT(ctx != NULL);
	buf_free_secret(&text);
	x509_pair_free(&pair);
}

/* The first octet says in pieces of how many octets the rest arrives. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step, at = 1;
	struct tls *t;
	int r = -ERR_AGAIN;

	if (size == 0)
		return 0;
	if (ctx == NULL)
		start();
	step = data[0] == 0 ? size : data[0];
	t = tls_new(ctx, NULL, drop, NULL);
	ASSERT(t != NULL);
	while (r == -ERR_AGAIN && at < size) {
		size_t n = MIN(step, size - at);

		tls_input(t, span_of(data + at, n));
		r = tls_handshake(t);
		ASSERT(r != -ERR_AGAIN || tls_input_left(t) == 0);
		at += n;
	}
	ASSERT((r == -ERR_TLS) == (tls_error(t)[0] != '\0') &&
	       text_is_printable(span_str(tls_error(t))));
	tls_free(t);
	return 0;
}
