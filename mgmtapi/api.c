/* SPDX-License-Identifier: GPL-3.0-or-later */
/* api.c: the object that all services share: its making, what composition gives it, and who may call. */
#include "core/crypto.h"
#include "core/err.h"
#include "core/file.h"
#include "core/log.h"
#include "core/clock.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/backup.h"
#include "mgmtapi/metrics_api.h"
#include "mgmtapi/mutation.h"
#include "mgmtapi/operations.h"
#include "mgmtapi/pending.h"

#include <stdlib.h>
#include <string.h>

const struct service *const api_services[] = {
	&groups_service, &devices_service, &power_service,      &wsman_service,  &tunnels_service,
	&tokens_service, &audit_service,   &operations_service, &server_service, &debug_service,
};
const size_t api_services_len = ARRAY_LEN(api_services);

#define KEY_SETTING "api.request_key"

/* ---- making ---- */

struct key_job {
	uint8_t key[32];
};

/* The key that request hashes and page tokens are made with; kept sealed, for hashes of passwords must not be guessed from a copy. */
static int txn_key(struct store_txn *txn, void *arg)
{
	struct key_job *job = arg;
	struct buf have;
	int err;

	buf_init(&have, SETTING_VALUE_MAX);
	err = store_setting_get(txn, KEY_SETTING, &have);
	if (err == 0 && have.len != sizeof(job->key))
		err = -ERR_CORRUPT;
	if (err == 0)
		memcpy(job->key, have.data, sizeof(job->key));
	if (err == -ERR_NOT_FOUND) {
		random_bytes(job->key, sizeof(job->key));
		err = store_setting_put(txn, KEY_SETTING, span_of(job->key, sizeof(job->key)),
		                        true);
	}
	buf_free_secret(&have);
	return err;
}

/* A read-only disk must not keep the daemon from starting: then the key that is there is used. */
static int load_keys(struct api *a, struct buf *why)
{
	struct key_job job;
	int err = store_view(a->store, txn_key, &job);

	if (err != 0)
		err = store_update(a->store, txn_key, &job);
	if (err != 0) {
		buf_printf(why, "the key of request ids cannot be read or kept: %s", err_text(err));
		return err;
	}
	memcpy(a->request_key, job.key, sizeof(a->request_key));
	hkdf_sha256(span_of(job.key, sizeof(job.key)), span_of(NULL, 0), "causeway page tokens",
	            a->token_key, sizeof(a->token_key));
	secret_zero(&job, sizeof(job));
	return 0;
}

struct pin_job {
	const struct device_key *key;
	const uint8_t *sha256;
};

static int txn_pin(struct store_txn *txn, void *arg)
{
	const struct pin_job *job = arg;
	struct store_device *d = calloc(1, sizeof(*d));
	char resource[DEVICE_KEY_TEXT_MAX + 16] = "devices/", detail[80] = "sha256 ";
	const struct audit_entry e = {
		.principal = "system",
		.method = "system/PinCertificate",
		.resource = resource,
		.outcome = "OK",
		.detail = detail,
	};
	int err = d != NULL ? store_device_get(txn, job->key, d) : -ERR_NOMEM;

	if (err == 0 && d->pinned)
		err = memcmp(d->pin_sha256, job->sha256, 32) == 0 ? 1 : -ERR_PIN;
	if (err == 0) {
		d->pinned = true;
		memcpy(d->pin_sha256, job->sha256, sizeof(d->pin_sha256));
		d->updated_ms = MAX((uint64_t)clock_wall_ms(), d->updated_ms + 1);
		err = store_device_put(txn, d);
	}
	if (err == 0) {
		device_key_format(job->key, resource + strlen(resource));
		hex_encode(detail + strlen(detail), span_of(job->sha256, 32));
		err = mutation_audit(txn, &e);
	}
	if (d != NULL)
		secret_zero(d, sizeof(*d));
	free(d);
	return err == 1 ? 0 : err;
}

static int store_pin(void *arg, const struct device_key *key, const uint8_t sha256[32])
{
	struct api *a = arg;
	struct pin_job job = {key, sha256};

	return store_update(a->store, txn_pin, &job);
}

static int fill(struct api *a, const struct api_opts *opts, struct buf *why)
{
	int err;

	a->gateway = opts->gateway;
	a->store = opts->store;
	a->settings = opts->settings;
	a->reload = opts->reload;
	a->drain = opts->drain;
	a->arg = opts->arg;
	a->started_ms = (uint64_t)clock_wall_ms();
	a->started_mono_ms = clock_mono_ms();
	(void)pthread_mutex_init(&a->settings_lock, NULL);
	a->settings_file = strdup(opts->settings_file != NULL ? opts->settings_file : "");
	a->data_dir = strdup(opts->data_dir);
	a->inflight = inflight_new();
	a->pending = pending_new(a);
	a->operations = operations_new(a->store);
	if (a->settings_file == NULL || a->data_dir == NULL || a->inflight == NULL ||
	    a->pending == NULL || a->operations == NULL) {
		buf_put_str(why, "out of memory");
		return -ERR_NOMEM;
	}
	err = load_keys(a, why);
	if (err == 0 && operations_interrupt(a->store) != 0)
		log_event(LOG_WARN, "operations_not_marked",
		          LOG_STR("why", "the store takes no changes now"));
	return err;
}

struct api *api_new(const struct api_opts *opts, struct buf *why)
{
	struct api *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		buf_put_str(why, "out of memory");
		return NULL;
	}
	if (fill(a, opts, why) != 0) {
		api_free(a);
		return NULL;
	}
	backup_clean(a->data_dir);
	metrics_api(a);
	amt_set_pin_store(store_pin, a);
	return a;
}

void api_free(struct api *a)
{
	if (a == NULL)
		return;
	metric_group_remove(&a->metrics);
	operations_free(a->operations);
	pending_free(a->pending);
	inflight_free(a->inflight);
	if (a->has_now)
		settings_free(&a->now);
	(void)pthread_mutex_destroy(&a->settings_lock);
	secret_zero(a->request_key, sizeof(a->request_key));
	free(a->settings_file);
	free(a->data_dir);
	free(a);
}

void api_settings_reloaded(struct api *a)
{
	struct settings fresh;
	struct buf errors;
	int err;

	buf_init(&errors, 64 * 1024);
	err = settings_load(a->settings_file[0] != '\0' ? a->settings_file : NULL, &fresh, &errors);
	buf_free(&errors);
	if (err != 0)
		return; /* changed again meanwhile: the next reload tells */
	pthread_mutex_lock(&a->settings_lock);
	if (a->has_now)
		settings_free(&a->now);
	a->now = fresh;
	a->has_now = true;
	pthread_mutex_unlock(&a->settings_lock);
}

/* ---- who calls ---- */

static bool lookup_token(void *arg, const uint8_t sha256[32], struct store_token *out)
{
	const struct api *a = arg;

	return gateway_token_lookup(a->gateway, sha256, out);
}

static bool is_listed(const struct conf_strs *names, const char *cn)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->v[i], cn) == 0)
			return true;
	return false;
}

/* A name that is on no list may do nothing: the CA may have other uses. */
static bool lookup_cert(void *arg, const char *cn, struct principal *out)
{
	struct api *a = arg;
	const struct settings_api *s;

	pthread_mutex_lock(&a->settings_lock);
	s = a->has_now ? &a->now.api : &a->settings->api;
	out->role = is_listed(&s->cert_administrators, cn) ? ROLE_ADMINISTRATOR
	            : is_listed(&s->cert_operators, cn)    ? ROLE_OPERATOR
	            : is_listed(&s->cert_viewers, cn)      ? ROLE_VIEWER
	                                                   : (enum role)0;
	pthread_mutex_unlock(&a->settings_lock);
	return out->role != (enum role)0;
}

struct authn api_authn(struct api *a)
{
	return (struct authn){.arg = a, .lookup_token = lookup_token, .lookup_cert = lookup_cert};
}
