/* SPDX-License-Identifier: GPL-3.0-or-later */
/* svc_server.c: ServerService. What concerns the whole server is not for callers that are limited to groups. */
#include "causeway/v1/server.pb-c.h"
#include "core/err.h"
#include "core/file.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/backup.h"
#include "mgmtapi/health.h"
#include "mgmtapi/mutation.h"
#include "mgmtapi/settings_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/crypto.h"

#define PIECE             (256 * 1024) /* octets of a backup in one message */
#define ADDRS_MAX         64
#define WHY_MAX           4096
#define NEEDS_RESTART_MAX 64

/* ---- version and status ---- */

static int get_version(struct call *c, const ProtobufCMessage *request)
{
	Causeway__V1__GetVersionResponse out = CAUSEWAY__V1__GET_VERSION_RESPONSE__INIT;
	char *apis[] = {(char *)(uintptr_t) "causeway.v1"};
	struct utsname un;

	(void)request;
	out.version = (char *)(uintptr_t)CAUSEWAY_VERSION;
	out.tls_library = call_printf(c, "wolfSSL %s", tls_library_version());
	out.kernel = uname(&un) == 0 ? call_printf(c, "%s %s", un.sysname, un.release)
	                             : call_strdup(c, "");
	out.api_versions = apis;
	out.n_api_versions = ARRAY_LEN(apis);
	return out.tls_library != NULL && out.kernel != NULL ? call_send(c, &out.base)
	                                                     : no_memory(c);
}

/* /proc/self/statm: pages in all, then resident ones. */
static uint64_t resident_bytes(void)
{
	struct buf text;
	const char *second = NULL;
	uint64_t pages = 0;

	buf_init(&text, 256);
	if (file_read("/proc/self/statm", &text) == 0)
		second = strchr(buf_cstr(&text), ' ');
	if (second != NULL)
		pages = strtoull(second, NULL, 10);
	buf_free(&text);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct counting {
	struct call *c;
	uint32_t total, connected;
};

static bool count_one(void *arg, const struct device_view *v)
{
	struct counting *n = arg;

	if (principal_sees_group((void *)(uintptr_t)call_principal(n->c), v->group)) {
		n->total++;
		n->connected += v->connected ? 1 : 0;
	}
	return true;
}

static int get_status(struct call *c, const ProtobufCMessage *request)
{
	Causeway__V1__GetStatusResponse out = CAUSEWAY__V1__GET_STATUS_RESPONSE__INIT;
	struct msg_mem mem = msg_mem_of(call_allocator(c));
	struct counting n = {.c = c};
	struct api *a = api_of(c);
	struct addr *addrs = call_alloc(c, ADDRS_MAX * sizeof(*addrs));
	struct store_stats st;
	int writable = store_writable(a->store);
	size_t len;

	(void)request;
	out.cira_addresses = call_alloc(c, ADDRS_MAX * sizeof(*out.cira_addresses));
	if (addrs == NULL || out.cira_addresses == NULL)
		return no_memory(c);
	gateway_device_each(a->gateway, NULL, count_one, &n);
	store_stats_read(a->store, &st);
	out.start_time = msg_time(&mem, a->started_ms);
	out.devices_connected = n.connected;
	out.devices_total = n.total;
	out.draining = atomic_load(&a->draining);
	out.store_problem = msg_text(&mem, writable != 0 ? err_text(writable) : "");
	out.store_bytes = st.file_bytes;
	out.resident_bytes = resident_bytes();
	len = gateway_cira_addrs(a->gateway, addrs, ADDRS_MAX);
	for (size_t i = 0; i < len; i++)
		out.cira_addresses[out.n_cira_addresses++] = msg_addr(&mem, &addrs[i]);
	return mem.failed ? no_memory(c) : call_send(c, &out.base);
}

/* ---- settings ---- */

/* The settings in force; the caller holds settings_lock. */
static const struct settings *in_force(const struct api *a)
{
	return a->has_now ? &a->now : a->settings;
}

static bool fill_settings(struct api *a, struct msg_mem *mem,
                          Causeway__V1__GetSettingsResponse *out)
{
	struct settings *defaults = calloc(1, sizeof(*defaults));
	struct buf value, plain;

	if (defaults == NULL)
		return false;
	conf_defaults(&settings_schema, defaults);
	buf_init(&value, WHY_MAX * 4);
	buf_init(&plain, WHY_MAX * 4);
	out->settings = msg_take(mem, settings_schema.fields_len * sizeof(*out->settings));
	pthread_mutex_lock(&a->settings_lock);
	for (size_t i = 0; i < settings_schema.fields_len && !mem->failed; i++) {
		const struct conf_field *f = &settings_schema.fields[i];
		Causeway__V1__Setting *s = msg_take(mem, sizeof(*s));

		if (s == NULL)
			break;
		causeway__v1__setting__init(s);
		buf_clear(&value);
		buf_clear(&plain);
		settings_text(f, in_force(a), &value);
		settings_text(f, defaults, &plain);
		s->key = msg_text(mem, f->key);
		s->value = msg_text(mem, buf_cstr(&value));
		s->is_default = strcmp(buf_cstr(&value), buf_cstr(&plain)) == 0;
		out->settings[out->n_settings++] = s;
	}
	pthread_mutex_unlock(&a->settings_lock);
	buf_free(&value);
	buf_free(&plain);
	conf_free(&settings_schema, defaults);
	free(defaults);
	return !mem->failed;
}

static int by_key(const void *x, const void *y)
{
	const Causeway__V1__Setting *const *a = x, *const *b = y;

	return strcmp((*a)->key, (*b)->key);
}

static int get_settings(struct call *c, const ProtobufCMessage *request)
{
	Causeway__V1__GetSettingsResponse out = CAUSEWAY__V1__GET_SETTINGS_RESPONSE__INIT;
	struct msg_mem mem = msg_mem_of(call_allocator(c));
	int err = need_all_groups(c);

	(void)request;
	if (err != 0)
		return err;
	if (!fill_settings(api_of(c), &mem, &out))
		return no_memory(c);
	qsort(out.settings, out.n_settings, sizeof(*out.settings), by_key);
	out.file = api_of(c)->settings_file;
	return call_send(c, &out.base);
}

/* ---- drain and reload ---- */

static int drain(struct call *c, const ProtobufCMessage *request)
{
	Causeway__V1__DrainResponse out = CAUSEWAY__V1__DRAIN_RESPONSE__INIT;
	struct api *a = api_of(c);
	struct mutation *m;
	int err = need_all_groups(c);

	m = err == 0 ? mutation_new(c, request) : NULL;
	if (m == NULL)
		return err != 0 ? err : -ERR_NOMEM;
	mutation_about(m, "server");
	err = mutation_begin(m);
	if (err != 0)
		return mutation_finish(m, err == 1 ? 0 : err);
	out.tunnels = (uint32_t)gateway_tunnels(a->gateway);
	atomic_store(&a->draining, true);
	health_set_serving(false);
	if (a->drain != NULL)
		a->drain(a->arg);
	else
		gateway_drain(a->gateway);
	return mutation_finish(m, mutation_end(m, &out.base, false));
}

struct reloading {
	struct api *api;
	struct buf why;
};

static int reload_there(void *arg)
{
	struct reloading *r = arg;
	int err = r->api->reload(r->api->arg, &r->why);

	if (err == 0)
		api_settings_reloaded(r->api);
	return err;
}

/* Keys that only count at start and that the file has changed since. */
static void list_restart(struct api *a, struct msg_mem *mem, Causeway__V1__ReloadResponse *out)
{
	struct buf now, then;

	buf_init(&now, WHY_MAX * 4);
	buf_init(&then, WHY_MAX * 4);
	out->needs_restart = msg_take(mem, NEEDS_RESTART_MAX * sizeof(char *));
	pthread_mutex_lock(&a->settings_lock);
	for (size_t i = 0; i < settings_schema.fields_len &&
	                   out->n_needs_restart < NEEDS_RESTART_MAX && !mem->failed;
	     i++) {
		const struct conf_field *f = &settings_schema.fields[i];

		if (!settings_need_restart(f->key))
			continue;
		buf_clear(&now);
		buf_clear(&then);
		settings_text(f, in_force(a), &now);
		settings_text(f, a->settings, &then);
		if (strcmp(buf_cstr(&now), buf_cstr(&then)) != 0)
			out->needs_restart[out->n_needs_restart++] = msg_text(mem, f->key);
	}
	pthread_mutex_unlock(&a->settings_lock);
	buf_free(&now);
	buf_free(&then);
}

static int run_reload(struct mutation *m)
{
	Causeway__V1__ReloadResponse out = CAUSEWAY__V1__RELOAD_RESPONSE__INIT;
	struct msg_mem mem = msg_mem_of(call_allocator(m->call));
	struct reloading r = {.api = api_of(m->call)};
	int err;

	buf_init(&r.why, WHY_MAX);
	err = r.api->reload != NULL ? offload(reload_there, &r) : -ERR_UNSUPPORTED;
	if (err != 0)
		err = failure_set(
			&m->failure, CALL_INVALID_ARGUMENT, "SETTINGS_INVALID",
			"correct the file and reload again; the old settings stay in force",
			"%.300s", r.why.len > 0 ? buf_cstr(&r.why) : err_text(err));
	else
		list_restart(r.api, &mem, &out);
	buf_free(&r.why);
	return mutation_end(m, err == 0 ? &out.base : NULL, err != 0);
}

static int reload(struct call *c, const ProtobufCMessage *request)
{
	struct mutation *m;
	int err = need_all_groups(c);

	m = err == 0 ? mutation_new(c, request) : NULL;
	if (m == NULL)
		return err != 0 ? err : -ERR_NOMEM;
	mutation_about(m, "server");
	err = mutation_begin(m);
	if (err != 0)
		return mutation_finish(m, err == 1 ? 0 : err);
	return mutation_finish(m, run_reload(m));
}

/* ---- backup ---- */

static int send_pieces(struct call *c, const struct backup *b)
{
	uint8_t *piece = call_alloc(c, PIECE);
	uint64_t at = 0;
	int err = piece != NULL ? 0 : -ERR_NOMEM;

	while (err == 0 && at < b->size) {
		Causeway__V1__BackupResponse out = CAUSEWAY__V1__BACKUP_RESPONSE__INIT;
		ssize_t n = pread(b->fd, piece, PIECE, (off_t)at);

		if (n <= 0)
			return -ERR_IO;
		at += (uint64_t)n;
		out.data = (ProtobufCBinaryData){.len = (size_t)n, .data = piece};
		if (at == b->size) {
			out.total_bytes = b->size;
			out.sha256 = (ProtobufCBinaryData){.len = sizeof(b->sha256),
			                                   .data = (uint8_t *)(uintptr_t)b->sha256};
		}
		err = call_send(c, &out.base);
	}
	return err;
}

static int run_backup(struct mutation *m)
{
	struct api *a = api_of(m->call);
	struct backup *b = calloc(1, sizeof(*b));
	struct buf why;
	int err = b != NULL ? 0 : -ERR_NOMEM;

	buf_init(&why, WHY_MAX);
	if (err == 0) {
		b->store = a->store;
		b->why = &why;
		b->fd = -1;
		(void)snprintf(b->path, sizeof(b->path), "%s/backup-%016llx.tmp", a->data_dir,
		               (unsigned long long)random_u64());
		err = offload(backup_make, b);
		if (err == 0)
			err = send_pieces(m->call, b);
		backup_end(b);
	}
	if (err != 0)
		(void)failure_set(
			&m->failure,
			err == -ERR_NO_SPACE ? CALL_RESOURCE_EXHAUSTED : CALL_UNAVAILABLE,
			"BACKUP_FAILED",
			"the copy needs as much room in the data folder as the store; try again",
			"%.250s", why.len > 0 ? buf_cstr(&why) : err_text(err));
	buf_free(&why);
	free(b);
	return err;
}

/* A repeated backup is made anew: the request id is only for the audit. */
static int backup(struct call *c, const ProtobufCMessage *request)
{
	static const Causeway__V1__BackupResponse nothing = CAUSEWAY__V1__BACKUP_RESPONSE__INIT;
	struct api *a = api_of(c);
	struct mutation *m;
	int err = need_all_groups(c);

	(void)request;
	if (err != 0)
		return err;
	if (atomic_exchange(&a->backup_runs, true))
		return call_fail(c, CALL_RESOURCE_EXHAUSTED, "BACKUP_RUNNING",
		                 "wait until it has ended", "a backup is under way");
	m = mutation_new(c, NULL);
	err = m != NULL ? 0 : -ERR_NOMEM;
	if (err == 0) {
		mutation_about(m, "server");
		err = mutation_begin(m);
	}
	if (err == 0) {
		err = run_backup(m);
		err = mutation_end(m, err == 0 ? &nothing.base : NULL, false);
	}
	mutation_free(m);
	atomic_store(&a->backup_runs, false);
	return err;
}

static const struct service_method methods[] = {
	{"GetVersion", &causeway__v1__get_version_request__descriptor,
         &causeway__v1__get_version_response__descriptor, get_version},
	{"GetSettings", &causeway__v1__get_settings_request__descriptor,
         &causeway__v1__get_settings_response__descriptor, get_settings},
	{"GetStatus", &causeway__v1__get_status_request__descriptor,
         &causeway__v1__get_status_response__descriptor, get_status},
	{"GetStatistics", &causeway__v1__get_statistics_request__descriptor,
         &causeway__v1__get_statistics_response__descriptor, get_statistics},
	{"Drain", &causeway__v1__drain_request__descriptor,
         &causeway__v1__drain_response__descriptor, drain},
	{"Reload", &causeway__v1__reload_request__descriptor,
         &causeway__v1__reload_response__descriptor, reload},
	{"Backup", &causeway__v1__backup_request__descriptor,
         &causeway__v1__backup_response__descriptor, backup},
};

const struct service server_service = {"causeway.v1.ServerService", methods, ARRAY_LEN(methods),
                                       false};
