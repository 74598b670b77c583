/* SPDX-License-Identifier: GPL-3.0-or-later */
/* api_tls.c: certificate and trust of the API port. */
#include "gateway/api_tls.h"
#include "core/err.h"
#include "core/file.h"
#include "gateway/gateway.h"
#include "gateway/pki.h"

static int read_named(const char *key, const char *path, struct buf *out, struct buf *why)
{
	int err = file_read(path, out);

	if (err != 0)
		buf_printf(why, "%s: cannot read %s: %s", key, path, err_text(err));
	return err;
}

static int certificate(const struct settings *s, const char *data_dir, struct buf *cert,
                       struct buf *key, struct buf *why)
{
	int err;

	if (s->api.cert[0] == '\0')
		return pki_api_pem(data_dir, (const char *const *)s->api.names.v, s->api.names.n,
		                   cert, key, why);
	err = read_named("api.cert", s->api.cert, cert, why);
	return err == 0 ? read_named("api.key", s->api.key, key, why) : err;
}

struct tls_ctx *api_tls_make(const struct settings *s, const char *data_dir,
                             struct tls_tickets *tickets, struct buf *why)
{
	struct tls_ctx_opts opts = {
		.server = true, .profile = TLS_API, .alpn = "h2,http/1.1", .tickets = tickets};
	struct tls_ctx *ctx = NULL;
	struct buf cert, key, ca;
	int err;

	buf_init(&cert, PKI_PEM_MAX);
	buf_init(&key, PKI_PEM_MAX);
	buf_init(&ca, PKI_PEM_MAX);
	err = certificate(s, data_dir, &cert, &key, why);
	if (err == 0 && s->api.client_ca[0] != '\0')
		err = read_named("api.client_ca", s->api.client_ca, &ca, why);
	if (err == 0) {
		opts.cert_chain_pem = buf_span(&cert);
		opts.key_pem = buf_span(&key);
		opts.ca_pem = buf_span(&ca);
		opts.verify = ca.len > 0 ? TLS_VERIFY_CA : TLS_VERIFY_NONE;
		ctx = tls_ctx_new(&opts, why);
	}
	buf_free(&cert);
	buf_free_secret(&key);
	buf_free(&ca);
	return ctx;
}
