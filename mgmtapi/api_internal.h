/* SPDX-License-Identifier: GPL-3.0-or-later */
/* api_internal.h: what the service files share. Everything in struct api is for any thread: it is constant or has its lock. */
#pragma once

#include "core/metric.h"
#include "gateway/settings.h"
#include "google/protobuf/field_mask.pb-c.h"
#include "mgmtapi/api_errors.h"
#include "mgmtapi/msg.h"
#include "mgmtapi/page_token.h"
#include "mgmtapi/services.h"

#include <pthread.h>
#include <stdatomic.h>

struct inflight;
struct pending_table;
struct operations;

struct api {
	struct gateway *gateway;
	struct store *store;
	const struct settings *settings; /* of the start */
	char *settings_file, *data_dir;
	int (*reload)(void *arg, struct buf *why);
	void (*drain)(void *arg);
	void *arg;
	uint64_t started_ms; /* Unix */
	uint64_t started_mono_ms;
	atomic_bool draining, backup_runs;
	uint8_t request_key[32], token_key[PAGE_TOKEN_KEY_SIZE];
	struct inflight *inflight;
	struct pending_table *pending;
	struct operations *operations;
	struct metric_group metrics;
	pthread_mutex_t settings_lock; /* now, has_now */
	struct settings now;           /* after a reload */
	bool has_now;
};

static inline struct api *api_of(const struct call *c)
{
	return call_user(c);
}

#define PAGE_SIZE_DEFAULT 100
#define PAGE_SIZE_MAX     1000

/* page_size: what the request's page_size means. */
size_t page_size(uint32_t asked);

/*
 * Tokens of lists: bound to method, caller and extra (the filter). page_open: 0 with *len octets of position in out (0: from the
 * start), or negative with the call's status set. page_close: the next token's text in the call's memory.
 */
int page_open(struct call *c, const char *extra, const char *token, uint8_t out[PAGE_POSITION_MAX],
              size_t *len) MUST_CHECK;
char *page_close(struct call *c, const char *extra, struct span position);

/* find_device: by what the caller typed; 0, or negative with the call's status set (NOT_FOUND, DEVICE_AMBIGUOUS). */
int find_device(struct call *c, const char *text, struct device_key *out) MUST_CHECK;
/* sees_device: the caller may see this device now. */
bool sees_device(struct call *c, const struct device_key *key);
/* device_gone: sets NOT_FOUND, the same for what is not there and what the caller may not see. -ERR_FAULT. */
int device_gone(struct call *c, const char *text);

/* need_all_groups: callers that are limited to groups may not do what concerns the whole server. 0, or negative with the status set. */
int need_all_groups(struct call *c) MUST_CHECK;
/* still_allowed: the caller's token has not been revoked and has not expired: for calls that last. Reads the store. */
bool still_allowed(struct call *c);
int no_longer_allowed(struct call *c);

/* no_memory: the call's memory is used up: status set, -ERR_FAULT. */
int no_memory(struct call *c);

/* Names: 1..64 of [A-Za-z0-9._-], starting with a letter or digit. */
bool name_is_valid(const char *name);
/* user_is_valid: 1..64 printable. password_is_valid: 1..max printable. */
bool user_is_valid(const char *user);
bool password_is_valid(const char *password, size_t max);

#define CIRA_PASSWORD_MAX 64 /* what fits the firmware's field for the MPS password (amt.md) */
#define AMT_PASSWORD_MAX  128

/* field_masked: whether a field mask names the field; an empty mask: fallback. */
bool field_masked(const Google__Protobuf__FieldMask *mask, const char *field, bool fallback);
/* mask_is_known: every path is one of names (ends with NULL); else negative with the call's status set. */
int mask_is_known(struct call *c, const Google__Protobuf__FieldMask *mask,
                  const char *const *names) MUST_CHECK;

/* One constant a service file. */
extern const struct service groups_service, devices_service, power_service, wsman_service,
	tunnels_service, tokens_service, audit_service, operations_service, server_service,
	debug_service;

/* token_scopes: what a token may be limited to; ends with NULL (svc_tokens.c). */
extern const char *const token_scopes[];

/* svc_device_watch.c, svc_explain.c: handlers of DeviceService that have a file of their own. */
int watch_devices(struct call *c, const ProtobufCMessage *request);
int explain_device(struct call *c, const ProtobufCMessage *request);
/* svc_statistics.c. */
int get_statistics(struct call *c, const ProtobufCMessage *request);
/* svc_power_batch.c. */
int batch_change_power(struct call *c, const ProtobufCMessage *request);
