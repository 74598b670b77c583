/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pki.c: the kept root and the leaves made from it. A key is on disk before the certificate that names it. */
#include "gateway/pki.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/file.h"
#include "core/log.h"
#include "core/x509.h"
#include "gateway/gateway.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DAY_S     86400
#define NAMES_MAX 64

/* dir/base.suffix, for example data/mps.key. */
static int pair_path(char path[PATH_MAX], const char *dir, const char *base, const char *suffix)
{
	char name[32];
	int n = snprintf(name, sizeof(name), "%s.%s", base, suffix);

	return n > 0 && (size_t)n < sizeof(name) ? file_path(path, PATH_MAX, dir, name)
	                                         : -ERR_TOO_BIG;
}

static int fail(struct buf *why, const char *what, const char *path, int err)
{
	buf_printf(why, "%s %s: %s", what, path, err_text(err));
	return err;
}

/* Reads one PEM block of the file into DER. */
static int load_der(const char *path, const char *label, struct buf *der, struct buf *why)
{
	struct buf pem;
	int err;

	buf_init(&pem, PKI_PEM_MAX);
	err = file_read(path, &pem);
	if (err == 0) {
		err = pem_decode(buf_span(&pem), label, 0, der);
		if (err != 0)
			buf_printf(why, "%s holds no usable PEM block", path);
	} else if (err != -ERR_NOT_FOUND) {
		(void)fail(why, "cannot read", path, err);
	}
	buf_free_secret(&pem);
	return err;
}

static int save_pair(const char *dir, const char *base, const struct x509_pair *pair,
                     struct buf *why)
{
	char path[PATH_MAX];
	struct buf pem;
	int err;

	buf_init(&pem, PKI_PEM_MAX);
	pem_encode("RSA PRIVATE KEY", buf_span(&pair->key), &pem);
	err = pair_path(path, dir, base, "key");
	if (err == 0)
		err = pem.err != 0 ? pem.err : file_write(path, buf_span(&pem), 0600);
	buf_free_secret(&pem);
	if (err != 0)
		return fail(why, "cannot write", path, err);
	pem_encode("CERTIFICATE", buf_span(&pair->cert), &pem);
	err = pair_path(path, dir, base, "crt");
	if (err == 0)
		err = pem.err != 0 ? pem.err : file_write(path, buf_span(&pem), 0644);
	buf_free(&pem);
	return err == 0 ? 0 : fail(why, "cannot write", path, err);
}

/* Loads base.crt and base.key. -ERR_NOT_FOUND if the certificate is not there or does not belong to the key. */
static int load_pair(const char *dir, const char *base, struct x509_pair *pair, struct buf *why)
{
	char path[PATH_MAX];
	int err;

	err = pair_path(path, dir, base, "crt");
	if (err == 0)
		err = load_der(path, "CERTIFICATE", &pair->cert, why);
	if (err != 0)
		return err;
	err = pair_path(path, dir, base, "key");
	if (err == 0)
		err = load_der(path, NULL, &pair->key, why);
	if (err == 0 && !x509_key_matches(buf_span(&pair->cert), buf_span(&pair->key)))
		err = -ERR_NOT_FOUND;
	return err;
}

static int64_t now_s(void)
{
	return (int64_t)(clock_wall_ms() / 1000);
}

/*
 * The root is made once. A root certificate whose key is lost is not replaced in silence: every device trusts it, so the operator
 * has to decide.
 */
static int root_get(const char *dir, struct x509_pair *root, struct buf *why)
{
	char path[PATH_MAX];
	int err = load_pair(dir, "root", root, why);

	if (err != -ERR_NOT_FOUND)
		return err;
	if (file_path(path, sizeof(path), dir, "root.crt") == 0 && access(path, F_OK) == 0) {
		buf_printf(why,
		           "%s is there but root.key is missing or does not belong to it: restore "
		           "root.key from your backup, "
		           "or remove root.crt to start with a new root (every device must then be "
		           "given the new one)",
		           path);
		return -ERR_PRECONDITION;
	}
	x509_pair_free(root);
	log_event(LOG_INFO, "pki_root_make", LOG_STR("dir", dir));
	err = x509_make_root("Causeway Root", now_s() - PKI_BACKDATE_DAYS * (int64_t)DAY_S,
	                     now_s() + PKI_ROOT_YEARS * 365 * (int64_t)DAY_S, root);
	if (err != 0)
		return fail(why, "cannot make", "the root certificate", err);
	return save_pair(dir, "root", root, why);
}

/* A leaf is kept while it has time left, is ours and carries the name. */
static bool leaf_fits(const struct x509_pair *leaf, const struct x509_pair *root, const char *cn)
{
	struct x509_info info, issuer;

	if (x509_read(buf_span(&leaf->cert), &info) != 0 ||
	    x509_read(buf_span(&root->cert), &issuer) != 0)
		return false;
	return strcmp(info.subject_cn, cn) == 0 && strcmp(info.issuer_cn, issuer.subject_cn) == 0 &&
	       info.not_after_s - now_s() > PKI_RENEW_DAYS * (int64_t)DAY_S;
}

/* What a leaf was made for, so that a change of names makes a new one: stored beside it. */
static bool names_same(const char *dir, const char *base, struct span wanted)
{
	char path[PATH_MAX];
	struct buf b;
	bool same;

	buf_init(&b, PKI_PEM_MAX);
	same = pair_path(path, dir, base, "names") == 0 && file_read(path, &b) == 0 &&
	       b.len == wanted.len && memcmp(b.data, wanted.ptr, wanted.len) == 0;
	buf_free(&b);
	return same;
}

static int names_save(const char *dir, const char *base, struct span names, struct buf *why)
{
	char path[PATH_MAX];
	int err;

	err = pair_path(path, dir, base, "names");
	if (err == 0)
		err = file_write(path, names, 0644);
	return err == 0 ? 0 : fail(why, "cannot write", path, err);
}

struct leaf_request {
	const char *base;
	const char *cn;
	const char *const *alt_names;
	size_t alt_names_len;
};

static int leaf_make(const char *dir, const struct leaf_request *rq, const struct x509_pair *root,
                     struct x509_pair *leaf, struct buf *why)
{
	const struct x509_leaf_opts opts = {
		.common_name = rq->cn,
		.alt_names = rq->alt_names,
		.alt_names_len = rq->alt_names_len,
		.not_before_s = now_s() - PKI_BACKDATE_DAYS * (int64_t)DAY_S,
		.not_after_s = now_s() + PKI_LEAF_DAYS * (int64_t)DAY_S,
	};
	int err;

	x509_pair_free(leaf);
	log_event(LOG_INFO, "pki_leaf_make", LOG_STR("for", rq->base), LOG_STR("cn", rq->cn));
	err = x509_make_leaf(root, &opts, leaf);
	if (err != 0)
		return fail(why, "cannot make the certificate for", rq->cn, err);
	return save_pair(dir, rq->base, leaf, why);
}

static int leaf_pem(const char *dir, const struct leaf_request *rq, struct buf *cert_pem,
                    struct buf *key_pem, struct buf *why)
{
	struct x509_pair root, leaf;
	struct buf names;
	int err;

	x509_pair_init(&root);
	x509_pair_init(&leaf);
	buf_init(&names, PKI_PEM_MAX);
	buf_printf(&names, "%s\n", rq->cn);
	for (size_t i = 0; i < rq->alt_names_len; i++)
		buf_printf(&names, "%s\n", rq->alt_names[i]);
	err = names.err != 0 ? names.err : root_get(dir, &root, why);
	if (err == 0) {
		err = load_pair(dir, rq->base, &leaf, why);
		if (err == -ERR_NOT_FOUND ||
		    (err == 0 && (!leaf_fits(&leaf, &root, rq->cn) ||
		                  !names_same(dir, rq->base, buf_span(&names))))) {
			err = leaf_make(dir, rq, &root, &leaf, why);
			if (err == 0)
				err = names_save(dir, rq->base, buf_span(&names), why);
		}
	}
	if (err == 0) {
		pem_encode("CERTIFICATE", buf_span(&leaf.cert), cert_pem);
		pem_encode("CERTIFICATE", buf_span(&root.cert), cert_pem);
		pem_encode("RSA PRIVATE KEY", buf_span(&leaf.key), key_pem);
		err = cert_pem->err != 0 ? cert_pem->err : key_pem->err;
	}
	buf_free(&names);
	x509_pair_free(&leaf);
	x509_pair_free(&root);
	return err;
}

int pki_mps_pem(const char *data_dir, const char *name, struct buf *cert_pem, struct buf *key_pem,
                struct buf *why)
{
	const struct leaf_request rq = {.base = "mps", .cn = name};

	return leaf_pem(data_dir, &rq, cert_pem, key_pem, why);
}

int pki_api_pem(const char *data_dir, const char *const *names, size_t names_len,
                struct buf *cert_pem, struct buf *key_pem, struct buf *why)
{
	char host[HOST_NAME_MAX + 1] = "localhost";
	const char *all[NAMES_MAX] = {"localhost", "127.0.0.1", "::1"};
	struct leaf_request rq = {
		.base = "api", .cn = "localhost", .alt_names = all, .alt_names_len = 3};

	if (names_len > NAMES_MAX - 4) {
		buf_printf(why, "api.names has more than %d entries", NAMES_MAX - 4);
		return -ERR_TOO_BIG;
	}
	if (gethostname(host, sizeof(host)) == 0 && strcmp(host, "localhost") != 0)
		all[rq.alt_names_len++] = host;
	for (size_t i = 0; i < names_len; i++)
		all[rq.alt_names_len++] = names[i];
	rq.cn = names_len > 0 ? names[0] : host;
	return leaf_pem(data_dir, &rq, cert_pem, key_pem, why);
}
