/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h2client.h: an HTTP/2 client in memory (nghttp2's client side) against a struct h2, with a demo service behind it. */
#pragma once

#include "mgmtapi/h2.h"

struct nghttp2_session;

#define DEMO_TOKEN "cwt_demo"

/* What came back on a stream. */
struct reply {
	int32_t id;
	unsigned status;
	char content_type[64];
	char grpc_status[8]; /* "" none */
	char grpc_message[256];
	char details[2048];
	struct buf body;
	unsigned head_frames; /* HEADERS frames: 1 is trailers-only */
	bool closed;
	uint32_t error;
};

struct h2client {
	struct nghttp2_session *session;
	struct h2 *h;
	struct rpc_env env;
	struct dispatch *dispatch;
	uint64_t now_ms;
	struct reply *replies;
	size_t replies_len;
	uint32_t goaway_error;
	bool goaway, h2_failed;
	size_t to_server; /* octets */
	struct pool pool;
};

/* The demo service stands in for PowerService, WsmanService and TunnelService; what its handlers saw last. */
struct demo_state {
	unsigned calls;
	int last_err; /* of the last wait or recv that failed */
	unsigned received;
	bool packed; /* set by tests: GetPowerState and EnumerateInstances answer by call_send_packed */
	char principal[PRINCIPAL_NAME_MAX];
	char request_id[CALL_REQUEST_ID_MAX + 1];
};
extern struct demo_state demo;
extern const struct service *const demo_services[];
extern const size_t demo_services_len;

/* h2client_init_far: its round trip is long. */
void h2client_init(struct h2client *c);
void h2client_init_far(struct h2client *c);
void h2client_free(struct h2client *c);

struct request {
	const char *method; /* NULL: POST */
	const char *path;
	const char *content_type; /* NULL: application/grpc */
	const char *token;        /* NULL: DEMO_TOKEN; "": none */
	struct http_pair extra[4];
	struct span body;
	bool keep_open; /* no END_STREAM: h2client_send follows */
};

/* h2client_request: submits; the reply is filled by h2client_run. */
struct reply *h2client_request(struct h2client *c, const struct request *r);
/* h2client_send: more of the body of a request that was kept open. */
void h2client_send(struct h2client *c, int32_t id, struct span data, bool end);
void h2client_reset(struct h2client *c, int32_t id);
/* h2client_run: moves bytes both ways and runs handlers until nothing happens. */
void h2client_run(struct h2client *c);
/* h2client_input: raw octets into the server. */
int h2client_input(struct h2client *c, struct span data);

/* envelope: flags, length and payload appended to out. */
void envelope(struct buf *out, uint8_t flags, struct span payload);
void envelope_msg(struct buf *out, const ProtobufCMessage *m);
