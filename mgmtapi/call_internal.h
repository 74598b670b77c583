/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * call_internal.h: one exchange from request head to the end of the response, between a transport (an HTTP/2 stream, an
 * HTTP/1.1 request), the protocol on it (gRPC, Connect) and the handler. No I/O, no clock: bytes and now_ms come in through
 * rpc_*, bytes go out through the transport's table. All of a call happens on its connection's loop.
 *
 * Life: rpc_open makes a call; the transport owns it until it says rpc_gone or the call's memory ends with the handler, whichever
 * is later. After rpc_gone the call never touches the transport again.
 */
#pragma once

#include <stdatomic.h>

#include "mgmtapi/arena.h"
#include "mgmtapi/authn.h"
#include "mgmtapi/dispatch.h"

#define RPC_HEAD_MAX       8192    /* octets of request header values that are kept */
#define RPC_MESSAGE_MAX    4194304 /* default limit of one message, both ways */
#define RPC_SEND_QUEUE_MAX 131072  /* a handler waits while so much is queued */
#define RPC_BUFFERED_MAX \
	268435456 /* default limit of requests held in memory, all calls of the server */
#define RPC_CALLS_MAX       4096  /* default limit of calls under way, all connections */
#define RPC_STATUS_MAX      16384 /* octets of a status's texts */
#define RPC_UPLOAD_MS       60000 /* a request must be complete by then */
#define RPC_STATUS_INFO_MAX 8
#define RPC_PATH_MAX        256
#define RPC_ENVELOPE_HEAD   5 /* flags and length in front of a message */
#define RPC_IN_EXTRA \
	3145728 /* of a stream, beyond one message: the window, what was taken of it, a frame */

/* What runs handlers; call_exec_fibers on a loop, something simpler in tests. */
struct call_exec {
	struct fiber *(*spawn)(const char *name, fiber_fn *fn, void *arg, uint64_t deadline_ms);
	int (*wait)(void);
	void (*wake)(struct fiber *f);
	void (*cancel)(struct fiber *f);
};
extern const struct call_exec call_exec_fibers;

/* What all calls of a server share. Set up before the first call; counters are atomic. */
struct rpc_env {
	struct dispatch *dispatch;
	struct authn authn;
	const struct call_exec *exec;
	void *user; /* call_user */
	size_t message_max;
	size_t buffered_max;
	unsigned calls_max;
	atomic_size_t buffered;
	atomic_uint calls;
	atomic_uint streams;  /* of HTTP/2, open on all connections */
	atomic_bool draining; /* new calls get UNAVAILABLE */
};

/* rpc_env_init: defaults for all limits. */
void rpc_env_init(struct rpc_env *env, struct dispatch *d, const struct authn *a,
                  const struct call_exec *exec);

struct http_pair {
	const char *name; /* lower case */
	const char *value;
};

struct http_stream;

/* What a transport does for a call. Everything is copied. */
struct http_stream_ops {
	/* Starts the response. end: nothing follows. */
	void (*head)(struct http_stream *s, unsigned status, const struct http_pair *f, size_t n,
	             bool end);
	/* Body octets; queued. */
	void (*body)(struct http_stream *s, struct span data);
	/* Ends the response, with trailers if n > 0 (HTTP/2 only; a transport without trailers ignores them). */
	void (*end)(struct http_stream *s, const struct http_pair *trailers, size_t n);
	/* n octets of request body are used up: the client may send on. */
	void (*consume)(struct http_stream *s, size_t n);
	/* Body octets that are queued and not sent. */
	size_t (*queued)(const struct http_stream *s);
};

struct http_stream {
	const struct http_stream_ops *ops;
	struct call *call;
};

enum rpc_field {
	RPC_F_CONTENT_TYPE,
	RPC_F_AUTHORIZATION,
	RPC_F_GRPC_TIMEOUT,
	RPC_F_GRPC_ENCODING,
	RPC_F_CONNECT_TIMEOUT,
	RPC_F_CONNECT_VERSION,
	RPC_F_CONTENT_ENCODING,
	RPC_F_CONNECT_ENCODING,
	RPC_F_CONTENT_LENGTH,
	RPC_F_COUNT
};

/* A request's head as a transport collects it. Values are NUL-terminated in mem. */
struct rpc_head {
	struct buf mem;
	uint32_t at[RPC_F_COUNT]; /* offset + 1, 0 absent */
	char method[16];
	char path[RPC_PATH_MAX];
	bool bad; /* too long, or a value with control characters */
};

void rpc_head_init(struct rpc_head *h);
void rpc_head_free(struct rpc_head *h);
/* rpc_head_add: ":method", ":path" or a header (name in lower case); others are ignored. */
void rpc_head_add(struct rpc_head *h, struct span name, struct span value);
const char *rpc_head_get(const struct rpc_head *h, enum rpc_field f); /* "" if absent */

enum rpc_kind { RPC_PLAIN, RPC_GRPC, RPC_CONNECT_UNARY, RPC_CONNECT_STREAM };

struct rpc_peer {
	struct addr addr;
	const char *cert_cn; /* verified client certificate's CN, "" none */
	bool trailers;       /* the transport has trailers (HTTP/2): gRPC is possible */
};

/*
 * rpc_open: a request's head has come. Never NULL but for want of memory (answer 503). The answer may be complete on return. head is borrowed.
 */
struct call *rpc_open(struct rpc_env *env, struct http_stream *hs, const struct rpc_head *head,
                      const struct rpc_peer *peer, uint64_t now_ms);
/* rpc_data: a piece of the request's body. rpc_end: it is complete. */
void rpc_data(struct call *c, struct span data);
void rpc_end(struct call *c);
/* rpc_writable: the transport's queue fell. */
void rpc_writable(struct call *c);
/* rpc_tick: about once a second: ends requests that take too long to come. */
void rpc_tick(struct call *c, uint64_t now_ms);
/* rpc_gone: the stream is over, well or not; the transport forgets c. */
void rpc_gone(struct call *c, uint64_t now_ms);

struct call {
	struct rpc_env *env;
	struct http_stream *hs; /* NULL once gone */
	struct method *method;  /* NULL: refused before it was known */
	struct principal principal;
	struct addr peer;
	char path[RPC_PATH_MAX];
	char request_id[CALL_REQUEST_ID_MAX + 1];
	struct arena arena;
	struct arena recv_arena; /* the last received message */
	struct arena
		status_arena; /* texts of the status: a handler's call_release must not take them */
	ProtobufCAllocator allocator, recv_allocator;

	enum rpc_kind kind;
	bool json;
	bool gzip; /* messages may come compressed */
	uint64_t start_ms, deadline_ms;

	/* request */
	struct buf in;
	size_t in_at;     /* octets at the front of `in` that were taken */
	size_t scan_at;   /* first octet of `in` that belongs to no complete message */
	size_t ready;     /* complete messages in front of scan_at */
	size_t held;      /* octets that the transport has not been given credit for */
	size_t accounted; /* of `in`, in env->buffered */
	bool in_end;      /* the client sent all */
	bool in_bad;      /* what it sent is refused; the status is set */
	ProtobufCMessage *request;

	/* handler */
	struct fiber *fiber; /* while it runs */
	bool started;

	/* response */
	struct buf response; /* the one message of a unary response, serialized */
	struct buf body;     /* the same as it goes out, when that differs (JSON) */
	bool have_response;
	bool head_sent;
	bool finished;
	bool logged;
	uint64_t sent, received; /* messages */

	/* status */
	enum call_code code;
	bool failed; /* a status was set */
	const char *message, *reason, *hint;
	struct http_pair info[RPC_STATUS_INFO_MAX];
	size_t info_len;
	uint32_t retry_ms;
};

/* call.c, rpc.c to the protocols */
/* rpc_refuse: sets the status and ends the call without a handler. */
void rpc_refuse(struct call *c, enum call_code code, const char *reason, const char *text);
/* rpc_finish: sends the status (and a unary response) in the call's protocol, once. */
void rpc_finish(struct call *c);
/* rpc_status_pack: the google.rpc.Status of the call. */
void rpc_status_pack(const struct call *c, struct buf *out);
/* rpc_details_each: each packed detail with its type name. */
typedef void rpc_detail_fn(void *arg, const char *type, struct span value);
void rpc_details_each(const struct call *c, rpc_detail_fn *fn, void *arg);
/* rpc_put_envelope: five octets of flags and length, and the payload, to the transport's queue. */
void rpc_put_envelope(struct call *c, uint8_t flags, struct span payload);
/* rpc_put_envelope_head: the five octets alone; len octets of body follow. */
void rpc_put_envelope_head(struct call *c, uint8_t flags, size_t len);

/* rpc_head.c */
/* rpc_head_check: true: the call may go on. Otherwise it is refused or answered. */
bool rpc_head_check(struct call *c, const struct rpc_head *head, const struct rpc_peer *peer);

/* rpc_input.c */
/* rpc_take_input: octets of the body. False: they are refused; the status is set. */
bool rpc_take_input(struct call *c, struct span data) MUST_CHECK;
/* rpc_take_request: the one message of a request that is complete, in c->request. False: there is not one, the status is set. */
bool rpc_take_request(struct call *c) MUST_CHECK;
/* rpc_take_message: the first complete message, unpacked in the arena; NULL with the status set if it is none. */
ProtobufCMessage *rpc_take_message(struct call *c);
/* rpc_drop_input: gives back the credit for octets that nobody will read any more. */
void rpc_drop_input(struct call *c);
/* rpc_inflate: gzip to out, at most cap octets. 0, -ERR_TOO_BIG, -ERR_INVALID. */
int rpc_inflate(struct span in, size_t cap, struct buf *out) MUST_CHECK;

/* grpc.c */
/* grpc_content_type: application/grpc or application/grpc+proto, with parameters. */
bool grpc_content_type(const char *value);
/* grpc_timeout_ms: 0..8 digits and a unit; -1 malformed, INT64_MAX absent. Rounded up. */
int64_t grpc_timeout_ms(const char *value);
void grpc_percent_encode(struct buf *out, const char *text);
void grpc_send_head(struct call *c);
void grpc_finish(struct call *c);

/* connect.c */
/* connect_kind: RPC_PLAIN if it is none of Connect's content types. */
enum rpc_kind connect_kind(const char *content_type, bool *json);
int64_t connect_timeout_ms(const char *value);
unsigned connect_http_status(enum call_code code);
const char *connect_code_name(enum call_code code);
void connect_send_head(struct call *c);
void connect_finish_unary(struct call *c);
void connect_finish_stream(struct call *c);
