/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * services.h: the services of causeway.v1 as the composition root sees them: one object that the handlers share (call_user), the list
 * of services, and how tokens and client certificates become principals.
 *
 * Order of life: api_new after gateway_new and before the loops run; api_free after the loops ended and before gateway_free.
 */
#pragma once

#include "gateway/gateway.h"
#include "mgmtapi/authn.h"

struct api;
struct settings;

struct api_opts {
	struct gateway *gateway;
	struct store *store;
	const struct settings *settings; /* of the start; borrowed until api_free */
	const char *settings_file;       /* NULL or "": none; copied */
	const char *data_dir;            /* copied */
	/*
	 * What SIGHUP does: reads settings and certificates again. 0, or negative with a sentence (line and column) in why; then the
	 * old ones stay in force. Runs in a thread of its own, not on a loop. NULL: not offered.
	 */
	int (*reload)(void *arg, struct buf *why);
	/* No new tunnels, present ones end; returns at once. May be called again. Any thread. NULL: gateway_drain only. */
	void (*drain)(void *arg);
	void *arg;
};

/*
 * api_new: makes the keys that requests and page tokens are authenticated with (first start), marks operations that a crash or stop cut
 * off as INTERRUPTED, and gives amt/ its store of pinned certificates. Blocks on the store: not on a loop. NULL with a sentence in why.
 */
struct api *api_new(const struct api_opts *opts, struct buf *why);
void api_free(struct api *a);

/*
 * api_settings_reloaded: the composition root has put fresh settings in force: GetSettings shows them and Reload tells what waits for a
 * restart. Reads api_opts.settings_file once more. Any thread.
 */
void api_settings_reloaded(struct api *a);

/* The services, for mgmtapi_opts. */
extern const struct service *const api_services[];
extern const size_t api_services_len;

/* api_authn: tokens by the gateway's table in memory; client certificates by the CN lists api.cert_* of the settings. */
struct authn api_authn(struct api *a);
