/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * h2_client.h: the client side of gRPC over HTTP/2 (gRPC's PROTOCOL-HTTP2.md) without I/O: octets of the connection in and
 * out, one call at a time. Bodies are counted against the connection's windows as they come in: who does not feed
 * input holds the server back. One thread.
 */
#pragma once

#include "core/buf.h"

#define H2_CLIENT_WINDOW      (1024 * 1024) /* octets that the server may send ahead */
#define H2_CLIENT_VALUE_MAX   16384         /* octets of one header that is kept */
#define H2_CLIENT_STATUS_NONE (-1)

struct h2_client;

/* Takes octets for the server; 0 or a negative error that ends the connection. */
typedef int h2_client_send_fn(void *arg, struct span data);

/* h2_client_new: NULL if memory is short. The connection's preface goes out with the first h2_client_flush. */
struct h2_client *h2_client_new(h2_client_send_fn *send, void *arg);
void h2_client_free(struct h2_client *c);

struct h2_client_request {
	const char *authority;     /* "host:port" */
	const char *path;          /* "/causeway.v1.PowerService/GetPowerState" */
	struct span authorization; /* "Bearer ..."; empty: none. Never indexed by HPACK. */
	uint64_t timeout_ms;       /* 0: none */
};

/* h2_client_start: begins a call; an earlier one is forgotten. 0, -ERR_CLOSED if the connection takes no more calls, -ERR_NOMEM. */
int h2_client_start(struct h2_client *c, const struct h2_client_request *r) MUST_CHECK;
/* h2_client_data: queues octets of the request's body; h2_client_end: that was all. 0 or -ERR_TOO_BIG / -ERR_NOMEM. */
int h2_client_data(struct h2_client *c, struct span data) MUST_CHECK;
void h2_client_end(struct h2_client *c);
/* h2_client_unsent: octets of the body that wait for the server's window. */
size_t h2_client_unsent(const struct h2_client *c);
/* h2_client_cancel: RST_STREAM with CANCEL, if the call is still open. */
void h2_client_cancel(struct h2_client *c);

/* h2_client_input: octets from the server. 0 or -ERR_PROTOCOL. h2_client_flush: hands out what is to be sent. 0 or negative. */
int h2_client_input(struct h2_client *c, struct span data) MUST_CHECK;
int h2_client_flush(struct h2_client *c) MUST_CHECK;
/* h2_client_usable: another call may be started. */
bool h2_client_usable(const struct h2_client *c);

/* What came back for the call so far. */
struct h2_client_answer {
	bool closed;  /* the stream ended */
	bool refused; /* it was not processed (REFUSED_STREAM, GOAWAY): the call may be repeated */
	uint32_t reset;     /* RST_STREAM's error code if it ended so */
	int http_status;    /* 0: no head yet */
	int grpc_status;    /* H2_CLIENT_STATUS_NONE: none came */
	bool is_grpc;       /* content-type is application/grpc... */
	struct buf message; /* percent-decoded */
	struct buf details; /* decoded octets of grpc-status-details-bin */
	struct buf body;    /* the reader consumes it */
};
struct h2_client_answer *h2_client_answer(struct h2_client *c);

/* h2_client_percent_decode: appends; wrong escapes stay as they are. */
void h2_client_percent_decode(struct buf *out, struct span text);
/* h2_client_timeout: grpc-timeout's value: at most eight digits and a unit. */
void h2_client_timeout(uint64_t ms, char out[16]);
