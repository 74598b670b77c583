/* SPDX-License-Identifier: GPL-3.0-or-later */
/* config.c: what the settings mean for new connections: certificates, TLS profiles and APF limits, replaced as a whole by a reload. */
#include "gateway/internal.h"
#include "core/err.h"
#include "core/file.h"
#include "gateway/pki.h"

#include <stdlib.h>

/* Of the handshakes that run at once, one source may hold this part: a site behind NAT is one source, and so is an attacker. */
#define SOURCE_SHARE 4
#define SOURCE_MIN   16

/* The operator's own certificate, or the one from our root. */
static int load_certificate(const struct settings *s, const char *data_dir, struct buf *cert,
                            struct buf *key, struct buf *why)
{
	int err;

	if (s->cira.cert[0] == '\0')
		return pki_mps_pem(data_dir, s->cira.name, cert, key, why);
	err = file_read(s->cira.cert, cert);
	if (err != 0) {
		buf_printf(why, "cira.cert: cannot read %s: %s", s->cira.cert, err_text(err));
		return err;
	}
	if (s->cira.chain[0] != '\0') {
		err = file_read(s->cira.chain, cert);
		if (err != 0) {
			buf_printf(why, "cira.chain: cannot read %s: %s", s->cira.chain,
			           err_text(err));
			return err;
		}
	}
	err = file_read(s->cira.key, key);
	if (err != 0)
		buf_printf(why, "cira.key: cannot read %s: %s", s->cira.key, err_text(err));
	return err;
}

static int make_contexts(struct gateway_config *c, const struct gateway *g,
                         const struct settings *s, struct buf *why)
{
	struct buf cert, key, ca;
	struct tls_ctx_opts opts = {.server = true, .tickets = g->tickets};
	int err;

	buf_init(&cert, PKI_PEM_MAX);
	buf_init(&key, PKI_PEM_MAX);
	buf_init(&ca, PKI_PEM_MAX);
	err = load_certificate(s, g->data_dir, &cert, &key, why);
	if (err == 0 && s->cira.client_ca[0] != '\0') {
		err = file_read(s->cira.client_ca, &ca);
		if (err != 0)
			buf_printf(why, "cira.client_ca: cannot read %s: %s", s->cira.client_ca,
			           err_text(err));
	}
	if (err == 0) {
		opts.cert_chain_pem = buf_span(&cert);
		opts.key_pem = buf_span(&key);
		opts.ca_pem = buf_span(&ca);
		opts.verify = ca.len > 0 ? TLS_VERIFY_CA : TLS_VERIFY_NONE;
		opts.profile = TLS_MODERN;
		c->modern = tls_ctx_new(&opts, why);
		opts.profile = TLS_LEGACY;
		c->legacy = c->modern != NULL ? tls_ctx_new(&opts, why) : NULL;
		err = c->legacy != NULL ? 0 : -ERR_TLS;
	}
	buf_free(&cert);
	buf_free_secret(&key);
	buf_free(&ca);
	return err;
}

struct gateway_config *config_make(const struct gateway *g, const struct settings *s,
                                   struct buf *why)
{
	struct gateway_config *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	atomic_init(&c->refs, 1);
	c->limits = apf_limits_default;
	c->limits.keepalive_interval_s = (uint32_t)(s->cira.keepalive_ms / 1000);
	c->limits.handshake_ms = (uint32_t)s->cira.auth_timeout_ms;
	c->limits.channels_max = CHANNEL_SLOTS;
	c->max_tunnels = (uint32_t)s->cira.max_tunnels;
	c->max_handshakes = (uint32_t)s->cira.max_handshakes;
	c->max_handshakes_source = MAX(c->max_handshakes / SOURCE_SHARE, (uint32_t)SOURCE_MIN);
	if (make_contexts(c, g, s, why) == 0)
		return c;
	config_put(c);
	return NULL;
}

struct gateway_config *config_get(struct gateway *g)
{
	struct gateway_config *c;

	pthread_mutex_lock(&g->config_lock);
	c = g->config;
	atomic_fetch_add(&c->refs, 1);
	pthread_mutex_unlock(&g->config_lock);
	return c;
}

void config_put(struct gateway_config *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	tls_ctx_unref(c->modern);
	tls_ctx_unref(c->legacy);
	free(c);
}
