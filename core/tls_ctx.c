/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls_ctx.c: process-wide start of wolfSSL and the settings that sessions share: profile, certificate, trust anchors. A
 * tls_ctx is not changed once it is made, which is why threads may share it.
 */
#include "core/tls_internal.h"

#include <wolfssl/internal.h> /* WOLFSSL_METHOD's fields: there is no other way to a highest version without OPENSSL_EXTRA */

#include "core/crypto.h"
#include "core/err.h"
#include "core/text.h"
#include "core/tls_rsa.h"

#include <stdlib.h>
#include <string.h>

#define VERSION_MIN 0x0301
#define VERSION_MAX 0x0304
#define PEM_MAX     (1024u * 1024)

#define SUITES_13 "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256"
#define SUITES_ECDHE                                                 \
	"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:" \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384:" \
	"ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-CHACHA20-POLY1305"
#define SUITES_ECDHE_CBC                                   \
	"ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384:" \
	"ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA"
#define SUITES_RSA \
	"AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA"

#define SUITES_AEAD SUITES_13 ":" SUITES_ECDHE

/*
 * The RSA key exchange and CBC suites are what devices of the generations 11 and 12 offer (apf.md
 * T6, T7); a version below 1.2 only ever gets the SHA-1 ones of them.
 */
#define SUITES_DEVICES SUITES_AEAD ":" SUITES_ECDHE_CBC ":" SUITES_RSA

static const struct {
	int min_version;
	const char *suites;
} profiles[] = {
	[TLS_MODERN] = {0x0303, SUITES_DEVICES},
	[TLS_LEGACY] = {0x0301, SUITES_DEVICES},
	[TLS_API] = {0x0303, SUITES_AEAD},
};

int tls_global_init(void)
{
	crypto_init();
	return wolfSSL_Init() == WOLFSSL_SUCCESS ? 0 : -ERR_INTERNAL;
}

const char *tls_library_version(void)
{
	return wolfSSL_lib_version();
}

void tls_global_fini(void)
{
	(void)wolfSSL_Cleanup();
}

static WOLFSSL_METHOD *method_for(const struct tls_ctx *ctx)
{
	WOLFSSL_METHOD *m = ctx->server ? wolfSSLv23_server_method() : wolfSSLv23_client_method();

	if (m != NULL)
		m->version.minor = (byte)(ctx->max_version & 0xff);
	return m;
}

static bool fail(struct buf *why, const char *what, int code)
{
	buf_printf(why, "%s: %s (%d)", what, tls_wolf_text(code), code);
	return false;
}

static bool set_versions(struct tls_ctx *ctx, const struct tls_ctx_opts *opts, struct buf *why)
{
	ctx->min_version =
		opts->min_version != 0 ? opts->min_version : profiles[opts->profile].min_version;
	ctx->max_version = opts->max_version != 0 ? opts->max_version : VERSION_MAX;
	if (ctx->min_version >= VERSION_MIN && ctx->max_version <= VERSION_MAX &&
	    ctx->min_version <= ctx->max_version)
		return true;
	buf_printf(why, "no TLS version between 0x%04x and 0x%04x", (unsigned)ctx->min_version,
	           (unsigned)ctx->max_version);
	return false;
}

static bool set_protocol(struct tls_ctx *ctx, const struct tls_ctx_opts *opts, struct buf *why)
{
	static const int versions[] = {WOLFSSL_TLSV1, WOLFSSL_TLSV1_1, WOLFSSL_TLSV1_2,
	                               WOLFSSL_TLSV1_3};
	const char *suites = opts->ciphers != NULL ? opts->ciphers : profiles[opts->profile].suites;
	WOLFSSL_METHOD *method = method_for(ctx);
	int r;

	ctx->wolf = method != NULL ? wolfSSL_CTX_new(method) : NULL;
	if (ctx->wolf == NULL)
		return fail(why, "the TLS context could not be made", MEMORY_E);
	r = wolfSSL_CTX_SetMinVersion(ctx->wolf, versions[ctx->min_version - VERSION_MIN]);
	if (r != WOLFSSL_SUCCESS)
		return fail(why, "the lowest TLS version could not be set", r);
	if (wolfSSL_CTX_set_cipher_list(ctx->wolf, suites) != WOLFSSL_SUCCESS) {
		buf_printf(why, "no known cipher suite in \"%s\"", suites);
		return false;
	}
	(void)wolfSSL_CTX_set_session_cache_mode(ctx->wolf, WOLFSSL_SESS_CACHE_OFF);
	(void)wolfSSL_CTX_set_group_messages(ctx->wolf);
	wolfSSL_CTX_SetIORecv(ctx->wolf, tls_on_recv);
	wolfSSL_CTX_SetIOSend(ctx->wolf, tls_on_send);
	/* a resumed session has no client certificate, so that tickets and client certificates exclude each other */
	if (ctx->server && opts->tickets != NULL && opts->verify == TLS_VERIFY_NONE) {
		ctx->tickets = tls_tickets_ref(opts->tickets);
		(void)wolfSSL_CTX_set_TicketEncCb(ctx->wolf, tls_on_ticket);
		(void)wolfSSL_CTX_set_TicketEncCtx(ctx->wolf, ctx);
		(void)wolfSSL_CTX_set_TicketHint(ctx->wolf, TLS_TICKET_AGE_S);
		(void)wolfSSL_CTX_set_timeout(ctx->wolf, TLS_TICKET_AGE_S);
	} else if (ctx->server) {
		(void)wolfSSL_CTX_NoTicketTLSv12(ctx->wolf);
		/* refuses below 1.3, where there is nothing to switch off */
		(void)wolfSSL_CTX_no_ticket_TLSv13(ctx->wolf);
	}
	return true;
}

static bool set_identity(struct tls_ctx *ctx, const struct tls_ctx_opts *opts, struct buf *why)
{
	struct span cert = opts->cert_chain_pem, key = opts->key_pem;
	int r;

	if (cert.len == 0 && !ctx->server)
		return true;
	if (cert.len == 0 || key.len == 0 || cert.len > PEM_MAX || key.len > PEM_MAX) {
		buf_put_str(why, "a certificate and its private key are needed");
		return false;
	}
	r = wolfSSL_CTX_use_certificate_chain_buffer(ctx->wolf, cert.ptr, (long)cert.len);
	if (r != WOLFSSL_SUCCESS)
		return fail(why, "the certificate cannot be used", r);
	r = wolfSSL_CTX_use_PrivateKey_buffer(ctx->wolf, key.ptr, (long)key.len,
	                                      WOLFSSL_FILETYPE_PEM);
	if (r != WOLFSSL_SUCCESS)
		return fail(why, "the private key cannot be used (PEM, not encrypted, RSA or EC)",
		            r);
	r = wolfSSL_CTX_check_private_key(ctx->wolf);
	if (r != WOLFSSL_SUCCESS) {
		buf_put_str(why, "the private key does not belong to the certificate");
		return false;
	}
	ctx->rsa = ctx->server ? tls_rsa_new(key) : NULL;
	if (ctx->rsa != NULL)
		(void)wolfSSL_CTX_SetDevId(ctx->wolf, TLS_RSA_DEVICE);
	return true;
}

static bool set_trust(struct tls_ctx *ctx, const struct tls_ctx_opts *opts, struct buf *why)
{
	int mode = WOLFSSL_VERIFY_NONE, r;

	if (opts->verify != TLS_VERIFY_NONE) {
		if (opts->ca_pem.len == 0 || opts->ca_pem.len > PEM_MAX) {
			buf_put_str(why,
			            "trust anchors are needed to check the peer's certificate");
			return false;
		}
		r = wolfSSL_CTX_load_verify_buffer(ctx->wolf, opts->ca_pem.ptr,
		                                   (long)opts->ca_pem.len, WOLFSSL_FILETYPE_PEM);
		if (r != WOLFSSL_SUCCESS)
			return fail(why, "the trust anchors cannot be used", r);
		mode = WOLFSSL_VERIFY_PEER;
		if (ctx->server && opts->verify == TLS_VERIFY_REQUIRED)
			mode |= WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	}
	wolfSSL_CTX_set_verify(ctx->wolf, mode,
	                       ctx->server && opts->verify == TLS_VERIFY_NONE ? NULL
	                                                                      : tls_on_verify);
	return true;
}

struct tls_ctx *tls_ctx_new(const struct tls_ctx_opts *opts, struct buf *why)
{
	struct tls_ctx *ctx = calloc(1, sizeof(*ctx));

	ASSERT((size_t)opts->profile < ARRAY_LEN(profiles));
	if (ctx == NULL) {
		buf_put_str(why, "out of memory");
		return NULL;
	}
	atomic_init(&ctx->refs, 1);
	ctx->server = opts->server;
	ctx->verify = opts->verify;
	ctx->profile = (uint8_t)opts->profile;
	if (opts->alpn != NULL && !str_copy(ctx->alpn, sizeof(ctx->alpn), opts->alpn)) {
		buf_put_str(why, "the list of application protocols is too long");
		tls_ctx_unref(ctx);
		return NULL;
	}
	if (!set_versions(ctx, opts, why) || !set_protocol(ctx, opts, why) ||
	    !set_identity(ctx, opts, why) || !set_trust(ctx, opts, why)) {
		tls_ctx_unref(ctx);
		return NULL;
	}
	return ctx;
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *ctx)
{
	(void)atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
	return ctx;
}

void tls_ctx_unref(struct tls_ctx *ctx)
{
	if (ctx == NULL || atomic_fetch_sub_explicit(&ctx->refs, 1, memory_order_acq_rel) != 1)
		return;
	wolfSSL_CTX_free(ctx->wolf);
	tls_tickets_unref(ctx->tickets);
	tls_rsa_free(ctx->rsa);
	free(ctx);
}
