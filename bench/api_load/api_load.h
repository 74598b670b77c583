/* SPDX-License-Identifier: GPL-3.0-or-later */
/* api_load.h: what the parts of api_load share: options, a stream, kinds of load, the client, measuring. One thread. */
#pragma once

#include "core/addr.h"
#include "core/buf.h"
#include "core/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LINKS_MAX    4096
#define STREAMS_MAX  200
#define MESSAGE_MAX  (8u << 20)
#define MESSAGE_HEAD 5 /* octets of gRPC in front of a message */
#define BODY_MAX     512
#define TOKEN_MAX    256

struct loop;
struct link;
struct stream;

/* must: ends the program with a sentence if not ok. */
static inline void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "api_load: %s failed\n", what);
	exit(1);
}

/* ---- options (main.c) ---- */

struct options {
	const struct kind *kind;
	const char *api, *ca, *name, *token_file, *devices_file, *resource;
	unsigned connections, streams, seconds, warm_ms, port, page, slow, pid, ready_s;
};
extern struct options opt;

/* next_device: the devices of the file in turn. */
char *next_device(void);

/* ---- kinds of load (kinds.c) ---- */

struct kind {
	const char *name, *path;
	/* Fills in the request with stream_request. */
	void (*request)(struct stream *s);
	/* A whole message has come. NULL: it is only counted. keeps: it is in s->message. */
	void (*message)(struct stream *s);
	bool keeps;
	bool lasts;          /* a call has no end, and is open once the kind says stream_opened */
	bool bidirectional;  /* the request is not ended */
	bool counts_in;      /* octets that come are counted */
	struct span endless; /* what is sent again and again once the stream is open */
};
extern const struct kind kinds[];
extern const size_t kinds_len;

/* ---- the client (client.c) ---- */

struct stream {
	struct link *link;
	int32_t id;
	uint64_t begin_us;
	uint8_t body[BODY_MAX]; /* the request */
	size_t body_len, body_at;
	uint8_t head[MESSAGE_HEAD];
	size_t head_len;
	uint32_t left; /* octets of the present message */
	struct buf message;
	int status;
	bool slow, open, failed;
	char page_token[TOKEN_MAX];
};

/* client_start: opens all connections; a call begins on every stream, and again when it ends well or not, unless it should last. */
void client_start(struct loop *loop, struct tls_ctx *tls, const struct addr *api,
                  const char *authorization);
/* client_ready: everything is connected, and what lasts is open. client_stop: calls may end now. */
bool client_ready(void);
unsigned client_open(void); /* how many are open */
void client_stop(void);
/* stream_opened: what lasts has begun. */
void stream_opened(struct stream *s);

/* ---- measuring (measure.c) ---- */

struct counts {
	uint64_t calls, failed, messages, events, devices, octets;
};
extern struct counts counts;

uint64_t now_us(clockid_t clock);
/* measure_begin: from now on. measure_seconds: since then; 0: it has not begun. */
void measure_begin(void);
double measure_seconds(void);
void measure_latency(uint64_t us);
/* measure_print: one JSON object about what was counted since. */
void measure_print(unsigned open);
