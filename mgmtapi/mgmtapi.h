/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * mgmtapi.h: the API's front as the composition root sees it: one port for gRPC and Connect over TLS (or plain, in tests), health and
 * reflection included. Connections are spread over the loops and stay on theirs.
 */
#pragma once

#include "core/conn.h"
#include "mgmtapi/authn.h"

#define MGMTAPI_CONNECTIONS_MAX 4096 /* default */
#define MGMTAPI_LISTENERS_MAX   16

struct mgmtapi;

struct mgmtapi_opts {
	struct loop *const *loops; /* borrowed until mgmtapi_free */
	size_t loops_len;
	const struct service *const *services; /* borrowed; health and reflection are added */
	size_t services_len;
	struct authn authn;
	void *user; /* call_user */
	struct tls_ctx *
		tls; /* profile TLS_API with ALPN "h2,http/1.1"; a reference is taken. NULL: plain */
	size_t message_max;       /* 0: RPC_MESSAGE_MAX */
	unsigned connections_max; /* 0: MGMTAPI_CONNECTIONS_MAX */
};

/* mgmtapi_new: NULL with a sentence in why. Any thread, before the loops run or after. */
struct mgmtapi *mgmtapi_new(const struct mgmtapi_opts *opts, struct buf *why);
/* mgmtapi_listen: opens a listener; call for each address, before mgmtapi_start. 0 or negative with why. */
int mgmtapi_listen(struct mgmtapi *m, const struct addr *addr, struct buf *why) MUST_CHECK;
/* mgmtapi_addrs: the real addresses; how many. */
size_t mgmtapi_addrs(const struct mgmtapi *m, struct addr *out, size_t max);
/* mgmtapi_start: starts accepting. Any thread, once the loops run. */
void mgmtapi_start(struct mgmtapi *m);
/* mgmtapi_accept: takes over a connected descriptor. Any thread. */
void mgmtapi_accept(struct mgmtapi *m, int fd, const struct addr *peer);
/* mgmtapi_set_tls: for new connections. Any thread. */
void mgmtapi_set_tls(struct mgmtapi *m, struct tls_ctx *tls);
/* mgmtapi_drain: no new connections, GOAWAY to the present ones, new calls get UNAVAILABLE, health says NOT_SERVING. Any thread. */
void mgmtapi_drain(struct mgmtapi *m);
/* mgmtapi_stop: closes the listeners and all connections; their calls are cancelled. Any thread. mgmtapi_connections falls to 0. */
void mgmtapi_stop(struct mgmtapi *m);
unsigned mgmtapi_connections(const struct mgmtapi *m);
/* mgmtapi_calls: calls under way, with handlers that still clean up. */
unsigned mgmtapi_calls(const struct mgmtapi *m);
/* mgmtapi_free: after the loops ended. */
void mgmtapi_free(struct mgmtapi *m);
