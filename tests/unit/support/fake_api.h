/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fake_api.h: a gRPC server over TLS on a loopback port, in a thread of its own, that answers what a test has written down,
 * request by request. nghttp2's server side; nothing of Causeway's own front.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "core/buf.h"

#define FAKE_SEEN_MAX 32

enum fake_kind {
	FAKE_MESSAGES, /* the messages, then grpc-status 0 */
	FAKE_ERROR,    /* trailers only: status, message, details */
	FAKE_DROP,     /* the messages, then the connection is cut */
	FAKE_HANG,     /* the messages, then nothing */
	FAKE_HTTP,     /* no gRPC: HTTP status and a text */
	FAKE_ECHO,     /* every message of the request comes back, until its end */
	FAKE_RESET,    /* RST_STREAM with the code in status */
	FAKE_PARTIAL,  /* HTTP 200 and half a message, then grpc-status 0 */
};

/* What is done with one request; the last step is repeated. Everything is borrowed. */
struct fake_step {
	enum fake_kind kind;
	const ProtobufCMessage *messages[4]; /* up to the first NULL */
	int status;
	const char *message; /* as it travels: percent-encoded */
	struct span details; /* octets of grpc-status-details-bin */
	bool goaway;         /* GOAWAY behind the answer */
};

/* What the server saw of a request. */
struct fake_seen {
	char path[128], authorization[128], timeout[16], te[16], content_type[32];
	struct buf body; /* with gRPC's framing */
	bool ended;      /* the client ended its side */
	bool reset;      /* RST_STREAM with CANCEL came */
};

struct fake_api;

/* fake_api_start: the steps are borrowed until fake_api_stop. */
struct fake_api *fake_api_start(const struct fake_step *steps, size_t steps_len);
/* fake_api_stop: ends the thread; fake_api_seen is complete then. fake_api_free follows it. */
void fake_api_stop(struct fake_api *f);
void fake_api_free(struct fake_api *f);
uint16_t fake_api_port(const struct fake_api *f);
size_t fake_api_requests(const struct fake_api *f);
size_t fake_api_connections(const struct fake_api *f);
const struct fake_seen *fake_api_seen(const struct fake_api *f, size_t nth);
