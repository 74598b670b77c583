/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dispatch.h: from a request's path to the method that serves it, with what the .proto file says about it: stream flags and access
 * rule. Built once at start, read-only then; any thread.
 */
#pragma once

#include <stdatomic.h>

#include "mgmtapi/call.h"

struct metric;
struct dispatch;

/* The access rule of a method. role 0: nobody (unless the service is open). */
struct access_rule {
	enum role role;
	char scope[SCOPE_NAME_MAX + 1];
	bool mutates;
};

struct method {
	const struct service *service;
	const struct service_method *def;
	char *path; /* "/causeway.v1.PowerService/ChangePower" */
	bool client_streaming, server_streaming;
	struct access_rule access;
	int request_id_field; /* index in the request's descriptor, -1 none */
	_Atomic(struct metric *) handled[CALL_CODE_COUNT]; /* made when first used */
	struct metric *latency;
};

/*
 * dispatch_new: finds every method of the services in the descriptor set. NULL with a sentence in why: a method that the set does not have, one
 * whose types differ, or one without an access rule in a service that is not open.
 */
struct dispatch *dispatch_new(const struct service *const *services, size_t services_len,
                              struct span descriptors, struct buf *why);
void dispatch_free(struct dispatch *d);

/* dispatch_find: the method of a path, NULL if there is none. *service_known: the service exists. */
struct method *dispatch_find(struct dispatch *d, struct span path, bool *service_known);

/* dispatch_service: the n-th service's name, NULL past the end. dispatch_has_service: by name. */
const char *dispatch_service(const struct dispatch *d, size_t n);
bool dispatch_has_service(const struct dispatch *d, const char *name);

/* access_allows: 0, or -ERR_DENIED with a sentence in why (a static string). */
int access_allows(const struct method *m, const struct principal *p, const char **why) MUST_CHECK;

/* method_count: counts an ended call in the metrics. */
void method_count(struct method *m, int code, uint64_t took_ms);
