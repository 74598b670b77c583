/* SPDX-License-Identifier: GPL-3.0-or-later */
/* front.h: what mgmtapi.c and http_front.c share: the server, its part on each loop, and a connection. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "core/list.h"
#include "core/metric.h"
#include "mgmtapi/call_internal.h"
#include "mgmtapi/h1.h"
#include "mgmtapi/h2.h"
#include "mgmtapi/mgmtapi.h"

#define FRONT_SEND_LIMIT 262144
#define FRONT_FIRST_MAX  65536 /* what one delivery of a connection can bring */
#define FRONT_TICK_MS    1000
#define FRONT_FLUSH_MS   5000
#define FRONT_DETECT_MS  30000
#define FRONT_FAR_MS     5 /* a client with a longer round trip may send more ahead */

/* Why a connection was refused or ended from here. */
enum front_failed {
	FRONT_FAILED_LIMIT,    /* api.max_connections */
	FRONT_FAILED_TLS,      /* the handshake */
	FRONT_FAILED_PROTOCOL, /* what it sent: no HTTP, or a flood that HTTP/2's limits name */
	FRONT_FAILED_TIMEOUT,  /* silence where something had to come */
	FRONT_FAILED_MEMORY,
	FRONT_FAILED_LEN
};

/* The server's part on one loop; its thread only, but for the tasks that are posted to it. */
struct front_worker {
	struct mgmtapi *api;
	struct loop *loop;
	struct list conns;
	struct timer timer;
	struct task start, drain, stop;
	struct buf
		out; /* what is being written, empty in between; kept, for every connection fills it again */
	atomic_uint conns_len;
	bool draining, stopped;
};

struct mgmtapi {
	struct rpc_env env;
	const struct service **services;
	size_t services_len;
	struct front_worker *workers;
	size_t workers_len;
	struct listener *listeners[MGMTAPI_LISTENERS_MAX];
	size_t listeners_len;
	pthread_mutex_t tls_lock; /* tls */
	struct tls_ctx *tls;
	unsigned connections_max;
	atomic_uint connections;
	struct metric_group metrics;
	struct metric *failed[FRONT_FAILED_LEN];
	atomic_bool started, drain_asked, stop_asked;
};

/* front_open: a connection on this worker's loop; its thread. */
void front_open(struct front_worker *w, int fd, const struct addr *peer);
/* front_tick, front_drain_all, front_close_all: for every connection of the worker. */
void front_tick(struct front_worker *w, uint64_t now_ms);
void front_drain_all(struct front_worker *w);
void front_close_all(struct front_worker *w);
