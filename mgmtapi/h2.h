/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * h2.h: one HTTP/2 connection as a server, without I/O: bytes and now_ms in, bytes out, calls made for its streams. Loop thread only.
 */
#pragma once

#include "core/sendq.h"
#include "mgmtapi/call_internal.h"

#define H2_STREAMS_MAX 200
#define H2_STREAM_WINDOW \
	262144 /* what a client may send ahead: octets that wait in memory, and are cold when they are read */
#define H2_STREAM_WINDOW_FAR 1048576 /* ... where a round trip needs more */
#define H2_CONN_WINDOW       16777216
#define H2_HEADER_LIST_MAX   8192 /* octets, 32 a field included (RFC 9113 6.5.2) */
#define H2_RESET_BURST       100  /* streams a client may reset ... */
#define H2_RESET_RATE        20   /* ... and how many it gets back a second */
#define H2_CONTINUATIONS_MAX 8
#define H2_SETTINGS_MAX      32
#define H2_ACKS_MAX          100 /* queued answers to PING and SETTINGS */
#define H2_PINGS_MAX         200 /* in H2_PINGS_MS */
#define H2_PINGS_MS          10000
#define H2_PING_IDLE_MS      45000 /* silence after which we ask */
#define H2_PING_WAIT_MS      20000
#define H2_IDLE_MS           900000  /* without a stream: closed */
#define H2_AGE_MS            3600000 /* then GOAWAY; streams may finish */
#define H2_LINGER_MS         2000    /* after our answer, for the rest of the request to come */
#define H2_OUTPUT_MAX        65536   /* gathered in one write */
#define H2_PREFACE           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

struct h2;

struct h2_opts {
	struct rpc_env *env;
	struct rpc_peer peer; /* cert_cn is borrowed for the connection's life */
	struct pool *pool;    /* for bodies; conn_pool, as a rule */
	bool far;             /* the client's round trip is long */
	/* Something may have become ready to send: call h2_output soon, not inside. */
	void (*kick)(void *arg);
	void *arg;
	uint32_t age_ms; /* 0: H2_AGE_MS */
};

/* h2_new: NULL without memory. h2_free: every call learns that its client is gone. */
struct h2 *h2_new(const struct h2_opts *opts, uint64_t now_ms);
void h2_free(struct h2 *h);

/* h2_input: 0, or a negative error: send what h2_output gives and close. */
int h2_input(struct h2 *h, struct span data, uint64_t now_ms) MUST_CHECK;
/* h2_output: appends what is to be sent, about H2_OUTPUT_MAX octets at most. 0, or a negative error: close. out->len 0: nothing. */
int h2_output(struct h2 *h, struct buf *out, uint64_t now_ms) MUST_CHECK;
/* h2_tick: about once a second. 0, or -ERR_TIMEOUT: the peer does not answer, close. */
int h2_tick(struct h2 *h, uint64_t now_ms) MUST_CHECK;
/* h2_drain: GOAWAY in two steps; streams under way finish. */
void h2_drain(struct h2 *h, uint64_t now_ms);
/* h2_done: nothing more will come or go: close. */
bool h2_done(const struct h2 *h);
size_t h2_streams(const struct h2 *h);
