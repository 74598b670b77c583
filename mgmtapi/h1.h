/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * h1.h: one HTTP/1.1 connection as a server of the Connect protocol, without I/O; the same shape as h2.h. One request at a time. Loop
 * thread only.
 */
#pragma once

#include "mgmtapi/call_internal.h"

#define H1_REST_MAX \
	(64 *       \
	 1024) /* input that waits for the present answer (pipelining); more closes the connection */
#define H1_IDLE_MS    90000 /* between requests, and for a head to come */
#define H1_OUTPUT_MAX 65536

struct h1;

struct h1_opts {
	struct rpc_env *env;
	struct rpc_peer peer;
	void (*kick)(void *arg);
	void *arg;
};

struct h1 *h1_new(const struct h1_opts *opts, uint64_t now_ms);
void h1_free(struct h1 *h);

/* h1_input: 0, or negative: send what h1_output gives and close. */
int h1_input(struct h1 *h, struct span data, uint64_t now_ms) MUST_CHECK;
/* h1_output: appends what is to be sent; also where a finished exchange is ended and the next request begun. */
int h1_output(struct h1 *h, struct buf *out, uint64_t now_ms) MUST_CHECK;
int h1_tick(struct h1 *h, uint64_t now_ms) MUST_CHECK;
/* h1_drain: the connection closes after the present answer. */
void h1_drain(struct h1 *h);
/* h1_done: everything is sent and the connection should close. */
bool h1_done(const struct h1 *h);
