/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls.c: one TLS session over wolfSSL without a descriptor. wolfSSL takes ciphertext from the span that tls_input lent and
 * gives ciphertext to the caller's output function at once, so nothing is buffered here. After a failure wolfSSL is not
 * called any more. One thread at a time per session.
 */
#include "core/tls_internal.h"

#include <wolfssl/internal.h> /* the session object inside WOLFSSL: see drop_session */

#include "core/crypto.h"
#include "core/err.h"
#include "core/text.h"
#include "core/tls_rsa.h"
#include "core/x509.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 255        /* of a host name, RFC 1035 */
#define CHUNK_MAX    (1u << 30) /* wolfSSL's lengths are int */
#define ERROR_MAX    512

#define RECORD_HEADER 5
#define RECORD_MAX    (16384 + 2048) /* RFC 5246 6.2.3 */

int tls_on_recv(WOLFSSL *ssl, char *out, int n, void *arg)
{
	struct tls *t = arg;
	size_t take = MIN(t->in.len, (size_t)n);

	(void)ssl;
	if (take == 0)
		return WOLFSSL_CBIO_ERR_WANT_READ;
	memcpy(out, t->in.ptr, take);
	t->in = span_of(t->in.ptr + take, t->in.len - take);
	return (int)take;
}

int tls_on_send(WOLFSSL *ssl, char *data, int n, void *arg)
{
	struct tls *t = arg;
	int r;

	(void)ssl;
	if (t->output_error != 0)
		return WOLFSSL_CBIO_ERR_GENERAL;
	r = t->output(t->arg, span_of(data, (size_t)n));
	if (r < 0) {
		t->output_error = r;
		return WOLFSSL_CBIO_ERR_GENERAL;
	}
	return n;
}

/* wolfSSL keeps no certificate, so the facts that callers need are taken here. */
static bool keep_peer(struct tls *t, struct span der)
{
	struct x509_info info;
	size_t n;

	if (x509_read(der, &info) != 0)
		return false;
	n = strlen(info.subject_cn) + 1;
	free(t->peer);
	t->peer = malloc(sizeof(*t->peer) + n);
	if (t->peer == NULL)
		return false;
	memcpy(t->peer->sha256, info.sha256, sizeof(t->peer->sha256));
	memcpy(t->peer->cn, info.subject_cn, n);
	return true;
}

/* Called for the leaf (depth 0) always, even if none was sent; for the other certificates of the chain when something is wrong with them. */
int tls_on_verify(int ok, WOLFSSL_X509_STORE_CTX *store)
{
	struct tls *t = store->userCtx;
	struct span leaf;

	if (!ok && t->ctx->verify != TLS_VERIFY_NONE) {
		t->verify_error = store->error;
		return 0;
	}
	if (store->error_depth != 0)
		return 1;
	if (store->totalCerts < 1 || store->certs == NULL)
		return ok &&
		       t->ctx->server; /* a client without a certificate: wolfSSL knows whether it needs one */
	leaf = span_of(store->certs[0].buffer, store->certs[0].length);
	if (!keep_peer(t, leaf)) {
		t->verify_error = ASN_PARSE_E;
		return 0;
	}
	if (!t->ctx->server && t->ctx->verify != TLS_VERIFY_NONE && t->server_name != NULL &&
	    !x509_matches_host(leaf, t->server_name)) {
		t->verify_error = DOMAIN_NAME_MISMATCH;
		return 0;
	}
	return 1;
}

static bool set_name(struct tls *t, const char *server_name)
{
	uint8_t ip[16];

	if (t->ctx->server || server_name == NULL)
		return true;
	if (strlen(server_name) > NAME_MAX_LEN)
		return false;
	t->server_name = strdup(server_name);
	if (t->server_name == NULL)
		return false;
	if (x509_ip_parse(server_name, ip) != 0) /* RFC 6066 3: no addresses */
		return true;
	return wolfSSL_UseSNI(t->ssl, WOLFSSL_SNI_HOST_NAME, server_name,
	                      (unsigned short)strlen(server_name)) == WOLFSSL_SUCCESS;
}

static bool set_alpn(struct tls *t)
{
	char list[sizeof(t->ctx->alpn)]; /* wolfSSL writes into it */

	if (t->ctx->alpn[0] == '\0')
		return true;
	memcpy(list, t->ctx->alpn, sizeof(list));
	return wolfSSL_UseALPN(t->ssl, list, (unsigned)strlen(list),
	                       WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) == WOLFSSL_SUCCESS;
}

/*
 * begin: makes wolfSSL's session, which is nearly all of what a session costs. On failure tls_free gives back what there is.
 */
static bool begin(struct tls *t, const char *server_name)
{
	t->hello = calloc(1, sizeof(*t->hello));
	t->ssl = wolfSSL_new(t->ctx->wolf);
	if (t->hello == NULL || t->ssl == NULL || !set_name(t, server_name) || !set_alpn(t))
		return false;
	wolfSSL_SetIOReadCtx(t->ssl, t);
	wolfSSL_SetIOWriteCtx(t->ssl, t);
	wolfSSL_SetCertCbCtx(t->ssl, t);
	return true;
}

struct tls *tls_new(struct tls_ctx *ctx, const char *server_name, tls_output_fn *output, void *arg)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->ctx = tls_ctx_ref(ctx);
	t->output = output;
	t->arg = arg;
	if (!ctx->server && !begin(t, server_name)) {
		tls_free(t);
		return NULL;
	}
	return t;
}

void tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	wolfSSL_free(t->ssl);
	tls_ctx_unref(t->ctx);
	free(t->hello);
	free(t->peer);
	free(t->server_name);
	free(t->error);
	free(t);
}

void tls_set_output(struct tls *t, tls_output_fn *output, void *arg)
{
	t->output = output;
	t->arg = arg;
}

/* Judges as much of a record's header as is there: type, version 3.x, length. */
static bool looks_like_record(struct span s)
{
	if (s.len > 0 && (s.ptr[0] < 20 || s.ptr[0] > 24))
		return false;
	if (s.len > 1 && s.ptr[1] != 3)
		return false;
	return s.len < RECORD_HEADER || s.ptr[3] * 256 + s.ptr[4] <= RECORD_MAX;
}

size_t tls_records(struct span s)
{
	size_t at = 0;

	while (at < s.len) {
		struct span left = span_of(s.ptr + at, s.len - at);
		size_t n;

		if (!looks_like_record(left))
			return s.len;
		n = left.len < RECORD_HEADER ? RECORD_HEADER + 1
		                             : RECORD_HEADER + left.ptr[3] * 256u + left.ptr[4];
		if (n > left.len)
			break;
		at += n;
	}
	return at;
}

void tls_input(struct tls *t, struct span ciphertext)
{
	ASSERT(t->in.len == 0);
	t->in = ciphertext;
}

size_t tls_input_left(const struct tls *t)
{
	return t->in.len;
}

/* What wolfSSL's last call means. Everything that is neither "more input" nor the peer's close_notify ends the session. */
static int outcome(struct tls *t, int ret)
{
	int code = wolfSSL_get_error(t->ssl, ret);
	struct buf text;

	if (code == WOLFSSL_ERROR_WANT_READ)
		return -ERR_AGAIN;
	if (code == WOLFSSL_ERROR_ZERO_RETURN) {
		t->closed = true;
		return -ERR_CLOSED;
	}
	t->failed = true;
	buf_init(&text, ERROR_MAX);
	tls_explain(t, code, &text);
	t->error = strdup(buf_cstr(&text));
	buf_free(&text);
	return -ERR_TLS;
}

static int ended(const struct tls *t)
{
	return t->failed ? -ERR_TLS : t->closed ? -ERR_CLOSED : 0;
}

/*
 * What a later connection could resume is for the cache, which is off, or went to the client in a ticket. wolfSSL looks at
 * it again only in handshakes, and a second one on a connection is refused; it frees and invalidates only what is there.
 */
static void drop_session(struct tls *t)
{
	if (!t->ctx->server)
		return; /* a client may still get tickets */
	wolfSSL_SESSION_free(t->ssl->session);
	t->ssl->session = NULL;
}

static void on_established(struct tls *t)
{
	t->established = true;
	(void)wolfSSL_SetDevId(t->ssl, INVALID_DEVID); /* records need no other library */
	drop_session(t);
	free(t->hello);
	t->hello = NULL;
	free(t->server_name);
	t->server_name = NULL;
}

static int accept_step(struct tls *t)
{
	int r;

	tls_rsa_enter(t->ctx->rsa);
	r = wolfSSL_accept(t->ssl);
	tls_rsa_enter(NULL);
	return r;
}

int tls_handshake(struct tls *t)
{
	int r = ended(t);

	if (r != 0 || t->established)
		return r;
	if (t->ssl == NULL && !begin(t, NULL)) {
		t->failed = true; /* tls_error: out of memory */
		return -ERR_TLS;
	}
	/* Between two calls the input was used up, so that no octet is looked at twice. */
	tls_hello_feed(t->hello, t->ctx->server, t->in);
	r = t->ctx->server ? accept_step(t) : wolfSSL_connect(t->ssl);
	if (r != WOLFSSL_SUCCESS)
		return outcome(t, r);
	on_established(t);
	return 0;
}

bool tls_established(const struct tls *t)
{
	return t->established;
}

ssize_t tls_read(struct tls *t, void *out, size_t n)
{
	int r = ended(t);

	ASSERT(t->established && n > 0);
	if (r != 0)
		return r;
	r = wolfSSL_read(t->ssl, out, (int)MIN(n, CHUNK_MAX));
	return r > 0 ? r : outcome(t, r);
}

int tls_write(struct tls *t, struct span data)
{
	ASSERT(t->established);
	if (t->failed)
		return t->output_error != 0 ? t->output_error : -ERR_TLS;
	if (t->close_sent)
		return -ERR_CLOSED;
	while (data.len > 0) {
		size_t n = MIN(data.len, CHUNK_MAX);
		int r = wolfSSL_write(t->ssl, data.ptr, (int)n);

		if (r <= 0) {
			r = outcome(t, r);
			return t->output_error != 0 ? t->output_error : r;
		}
		data = span_of(data.ptr + r, data.len - (size_t)r);
	}
	return 0;
}

void tls_close(struct tls *t)
{
	if (!t->established || t->failed || t->close_sent)
		return;
	t->close_sent = true;
	(void)wolfSSL_shutdown(
		t->ssl); /* once only: the first call sends, a second one would read */
}

void tls_info(const struct tls *t, struct tls_info *out)
{
	unsigned short n = 0;
	char *name = NULL;

	*out = (struct tls_info){.version = "", .cipher = ""};
	if (!t->established)
		return;
	switch (wolfSSL_version(t->ssl)) {
	case 0x0301:
	case 0x0302:
	case 0x0303:
	case 0x0304:
		out->version = tls_version_name(wolfSSL_version(t->ssl));
		break;
	default:
		break;
	}
	out->cipher = wolfSSL_get_cipher_name(t->ssl);
	if (out->cipher == NULL)
		out->cipher = "";
	if (t->ctx->alpn[0] != '\0' &&
	    wolfSSL_ALPN_GetProtocol(t->ssl, &name, &n) == WOLFSSL_SUCCESS && name != NULL)
		(void)str_copy_span(out->alpn, sizeof(out->alpn), span_of(name, n));
	out->peer_cert = t->peer != NULL;
}

bool tls_resumed(const struct tls *t)
{
	return t->established && wolfSSL_session_reused(t->ssl) != 0;
}

bool tls_peer_sha256(const struct tls *t, uint8_t out[32])
{
	if (!t->established || t->peer == NULL)
		return false;
	memcpy(out, t->peer->sha256, 32);
	return true;
}

const char *tls_peer_cn(const struct tls *t)
{
	return t->established && t->peer != NULL ? t->peer->cn : "";
}

const char *tls_error(const struct tls *t)
{
	if (!t->failed)
		return "";
	return t->error != NULL ? t->error : "out of memory";
}

int tls_alert(const struct tls *t)
{
	WOLFSSL_ALERT_HISTORY h;

	if (!t->failed || t->ssl == NULL ||
	    wolfSSL_get_alert_history(t->ssl, &h) != WOLFSSL_SUCCESS)
		return 0;
	if (h.last_rx.code > 0)
		return h.last_rx.code;
	return h.last_tx.code > 0 ? -h.last_tx.code : 0;
}
