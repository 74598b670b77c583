/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cert.c: the certificates that devices show on their TLS ports, made when first needed: making a key takes a good part of a
 * second, so devices whose numbers agree modulo FLEET_CERTS_MAX share one until they are told to renew. Any thread.
 */
#include "bench/fleet/fleet.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/err.h"
#include "core/x509.h"

#define DAY_S INT64_C(86400)

static int make_root(struct fleet *f)
{
	int64_t now = (int64_t)time(NULL);
	int err;

	if (f->root != NULL)
		return 0;
	f->root = calloc(1, sizeof(*f->root));
	if (f->root == NULL)
		return -ERR_NOMEM;
	x509_pair_init(f->root);
	err = x509_make_root("Simulated AMT fleet", now - 365 * DAY_S, now + 3650 * DAY_S, f->root);
	if (err != 0) {
		x509_pair_free(f->root);
		free(f->root);
		f->root = NULL;
	}
	return err;
}

static int make_ctx(const struct x509_pair *pair, struct fleet_cert *out)
{
	struct buf cert, key, why;
	struct x509_info info;
	int err = x509_read(buf_span(&pair->cert), &info);

	buf_init(&cert, 16384);
	buf_init(&key, 16384);
	buf_init(&why, 1024);
	pem_encode("CERTIFICATE", buf_span(&pair->cert), &cert);
	pem_encode("RSA PRIVATE KEY", buf_span(&pair->key), &key);
	if (err == 0) {
		out->ctx = tls_ctx_new(
			&(struct tls_ctx_opts){
				.server = true,
				.profile = TLS_MODERN,
				.cert_chain_pem = buf_span(&cert),
				.key_pem = buf_span(&key),
			},
			&why);
		memcpy(out->sha256, info.sha256, sizeof(out->sha256));
		err = out->ctx != NULL ? 0 : -ERR_TLS;
	}
	buf_free(&cert);
	buf_free_secret(&key);
	buf_free(&why);
	return err;
}

static int make_cert(struct fleet *f, const struct fleet_device *d, struct fleet_cert *out)
{
	int64_t now = (int64_t)time(NULL);
	struct x509_pair pair;
	int err = make_root(f);

	if (err != 0)
		return err;
	x509_pair_init(&pair);
	err = x509_make_leaf(f->root,
	                     &(struct x509_leaf_opts){
				     .common_name = d->facts.host,
				     .not_before_s = now - 365 * DAY_S,
				     .not_after_s = now + 3650 * DAY_S,
			     },
	                     &pair);
	if (err == 0)
		err = make_ctx(&pair, out);
	x509_pair_free(&pair);
	return err;
}

static struct fleet_cert *present(struct fleet_device *d)
{
	return d->own_cert.ctx != NULL ? &d->own_cert
	                               : &d->fleet->certs[d->index % FLEET_CERTS_MAX];
}

struct tls_ctx *fleet_cert_ctx(struct fleet_device *d)
{
	struct fleet_cert *c = present(d);
	struct tls_ctx *ctx;

	pthread_mutex_lock(&d->fleet->certs_lock);
	if (c->ctx == NULL && make_cert(d->fleet, d, c) != 0)
		c->ctx = NULL;
	ctx = c->ctx;
	pthread_mutex_unlock(&d->fleet->certs_lock);
	return ctx;
}

int fleet_cert_renew(struct fleet_device *d)
{
	struct fleet_cert fresh = {.ctx = NULL};
	int err;

	pthread_mutex_lock(&d->fleet->certs_lock);
	err = make_cert(d->fleet, d, &fresh);
	pthread_mutex_unlock(&d->fleet->certs_lock);
	if (err != 0)
		return err;
	if (d->own_cert.ctx != NULL)
		tls_ctx_unref(d->own_cert.ctx);
	d->own_cert = fresh;
	return 0;
}

void fleet_cert_sha256(struct fleet_device *d, uint8_t out[32])
{
	if (fleet_cert_ctx(d) == NULL)
		memset(out, 0, 32);
	else
		memcpy(out, present(d)->sha256, 32);
}

void fleet_certs_free(struct fleet *f)
{
	for (size_t i = 0; i < FLEET_CERTS_MAX; i++) {
		if (f->certs[i].ctx != NULL)
			tls_ctx_unref(f->certs[i].ctx);
	}
	if (f->root != NULL) {
		x509_pair_free(f->root);
		free(f->root);
	}
}
