/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * call.h: one call of the API as a service sees it. A handler is straight-line code in a fiber on the loop of the client's
 * connection; it never learns whether the client speaks gRPC or Connect. A call and all that is unpacked or allocated
 * for it live until the handler has returned.
 *
 * Before a handler runs, the front has checked the bearer token or client certificate, the method's access option (role and
 * scope), the message size, and, for methods with one request, that the request is a valid message. Which groups the
 * caller may see (principal_sees_group) is the handler's to enforce: another group's device is "not found".
 *
 * The call's deadline is the fiber's deadline: waits return -ERR_TIMEOUT after it. When the client cancels or goes away, the fiber
 * is cancelled: waits return -ERR_CANCELLED. A handler then cleans up and returns call_fail_err(c, err); what it answers
 * is no longer sent to a client that went away.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "core/addr.h"
#include "core/buf.h"
#include "core/fiber.h"
#include "store/records.h"

struct call;

/* Status codes of gRPC (statuscodes.md); CALL_OK is 0. */
enum call_code {
	CALL_OK = 0,
	CALL_CANCELLED = 1,
	CALL_UNKNOWN = 2,
	CALL_INVALID_ARGUMENT = 3,
	CALL_DEADLINE_EXCEEDED = 4,
	CALL_NOT_FOUND = 5,
	CALL_ALREADY_EXISTS = 6,
	CALL_PERMISSION_DENIED = 7,
	CALL_RESOURCE_EXHAUSTED = 8,
	CALL_FAILED_PRECONDITION = 9,
	CALL_ABORTED = 10,
	CALL_OUT_OF_RANGE = 11,
	CALL_UNIMPLEMENTED = 12,
	CALL_INTERNAL = 13,
	CALL_UNAVAILABLE = 14,
	CALL_DATA_LOSS = 15,
	CALL_UNAUTHENTICATED = 16,
};
#define CALL_CODE_COUNT 17

/* call_code_name: "NOT_FOUND". Static string; "UNKNOWN" for a number that is none. */
const char *call_code_name(int code);

#define CALL_MESSAGE_MAX    1024     /* octets of an error's message */
#define CALL_HINT_MAX       512      /* octets of its hint */
#define CALL_ARENA_MAX      33554432 /* what a call may unpack and allocate in all */
#define CALL_REQUEST_ID_MAX 63

#define PRINCIPAL_NAME_MAX   96
#define PRINCIPAL_SCOPES_MAX 16
#define SCOPE_NAME_MAX       31

/* Who calls. Valid as long as the call. */
struct principal {
	char name
		[PRINCIPAL_NAME_MAX]; /* "token:ID", "cert:CN"; "" for methods that need no credentials */
	enum role role;
	uint16_t groups_len; /* 0: all groups */
	uint16_t scopes_len; /* 0: all scopes of the role */
	char groups[TOKEN_GROUPS_MAX][NAME_MAX_LEN + 1];
	char scopes[PRINCIPAL_SCOPES_MAX][SCOPE_NAME_MAX + 1];
};

/* principal_sees_group: may this caller see the group? Signature fits gateway_device_find's group_visible_fn (arg: the principal). */
bool principal_sees_group(void *principal, const char *group);

/*
 * A handler. request: the one request of a unary or server-streaming method, of the type of the method's input descriptor; NULL for
 * client-streaming and bidirectional methods, which use call_recv. Returns 0 after a success or the (negative) value of
 * call_fail / call_fail_err, whose status is then sent. Returning another negative error sends the status that belongs to it
 * (see call_fail_err).
 */
typedef int call_handler_fn(struct call *c, const ProtobufCMessage *request);

/* One method. Stream flags and the access rule come from the .proto file by the path. */
struct service_method {
	const char *name; /* "ChangePower" */
	const ProtobufCMessageDescriptor *request;
	const ProtobufCMessageDescriptor *response;
	call_handler_fn *handler;
};

/* One service; one constant per service file: extern const struct service power_service; */
struct service {
	const char *name; /* "causeway.v1.PowerService" */
	const struct service_method *methods;
	size_t methods_len;
	bool open; /* needs no credentials (health, reflection); everything else without an access option is refused */
};

/*
 * call_send: one response message, packed at once (msg may be reused or freed after). Exactly one for methods that do not
 * stream responses; any number otherwise. Blocks the fiber while the client's flow-control window or the call's
 * send queue is full. 0, -ERR_TIMEOUT, -ERR_CANCELLED, -ERR_CLOSED, -ERR_TOO_BIG (over the size that clients accept),
 * -ERR_NOMEM.
 */
int call_send(struct call *c, const ProtobufCMessage *msg) MUST_CHECK;

/*
 * call_recv: the next request of a client-streaming or bidirectional call. 1: *msg is it, in the call's memory, valid until the next
 * call_recv; 0: the client sent its last; -ERR_TIMEOUT, -ERR_CANCELLED; -ERR_INVALID: not a valid message (the status is set:
 * return it). Flow control: the client may send on when the handler asks for the next message.
 */
int call_recv(struct call *c, ProtobufCMessage **msg) MUST_CHECK;

/*
 * call_peek_octets: call_recv for a stream of octets. True: the next message is there and is nothing but that field, which is bytes and has
 * a number below 16; *out is what it holds, in place until the handler waits or receives. When it is done with them, call_drop_message. False:
 * call_recv knows what is the matter (no message yet, another one, JSON, compressed).
 */
bool call_peek_octets(struct call *c, unsigned field, struct span *out) MUST_CHECK;
void call_drop_message(struct call *c);

/* call_recv_ready: true if call_recv would not block now. */
bool call_recv_ready(struct call *c);

/*
 * call_send_ready: true if call_send would not block now. A handler that moves bytes both ways waits with fiber_wait: the call wakes its
 * fiber whenever a message came, room was made, or the client went away.
 */
bool call_send_ready(struct call *c);

/*
 * call_fail: sets the status of the call. reason: stable name in capitals ("DEVICE_OFFLINE"), hint: what to do about it (NULL: none); both
 * become a google.rpc.ErrorInfo with domain "causeway". fmt: a sentence for people; never a secret. The last one wins.
 * Returns -ERR_FAULT so that a handler can write: return call_fail(...).
 */
int call_fail(struct call *c, enum call_code code, const char *reason, const char *hint,
              const char *fmt, ...) PRINTF_LIKE(5, 6);
/* call_fail_info: adds a key and value to the metadata of the error that call_fail has set (8 at most, 1 KiB in all). */
void call_fail_info(struct call *c, const char *key, const char *value);
/* call_fail_retry: adds a google.rpc.RetryInfo (for RESOURCE_EXHAUSTED and UNAVAILABLE). */
void call_fail_retry(struct call *c, uint32_t after_ms);
/*
 * call_fail_err: sets the status that belongs to an error of core/err.h, unless a status is set already: ERR_NOT_FOUND -> NOT_FOUND,
 * ERR_OFFLINE -> FAILED_PRECONDITION DEVICE_OFFLINE, ERR_TIMEOUT -> DEADLINE_EXCEEDED, ERR_CANCELLED -> CANCELLED,
 * ERR_FULL -> RESOURCE_EXHAUSTED, ERR_NO_SPACE / ERR_READONLY -> UNAVAILABLE and so on. what: what was tried, for people.
 */
int call_fail_err(struct call *c, int err, const char *what);
/* call_status: the code that is set so far; call_status_message: its text (borrowed). */
enum call_code call_status(const struct call *c);
const char *call_status_message(const struct call *c);

const struct principal *call_principal(const struct call *c);
/* call_method: "causeway.v1.PowerService/ChangePower". */
const char *call_method(const struct call *c);
/* call_request_id: the request's request_id, "" if empty or if the method has none. At most CALL_REQUEST_ID_MAX printable characters. */
const char *call_request_id(const struct call *c);
/* call_mutates: the method's access option says so. */
bool call_mutates(const struct call *c);
/* call_peer: the client's address. */
const struct addr *call_peer(const struct call *c);
/* call_user: what the composition gave to mgmtapi_start for the services (struct api *, see services.h). */
void *call_user(const struct call *c);

/*
 * call_alloc: zeroed memory that lives as long as the call, for responses. Never NULL for sizes that fit; NULL when the call's limit
 * CALL_ARENA_MAX is reached or memory is short. call_strdup, call_printf: the same for text.
 */
void *call_alloc(struct call *c, size_t n);
char *call_strdup(struct call *c, const char *s);
char *call_printf(struct call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* call_mark / call_release: gives back everything allocated since the mark (handlers that stream for long call it after each message). */
size_t call_mark(struct call *c);
void call_release(struct call *c, size_t mark);
/* call_allocator: the same memory for protobuf-c. */
ProtobufCAllocator *call_allocator(struct call *c);

/* call_cache: keeps the call's single response also as bytes (borrowed until the end of the call): what is stored for a request_id. */
struct span call_response_bytes(const struct call *c);
/* call_send_bytes: as call_send with an already serialized message of the response type (answers that are repeated). */
int call_send_bytes(struct call *c, struct span packed) MUST_CHECK;
/* call_send_packed: the same for a message that was packed for this call; packed is empty afterwards, also after an error. */
int call_send_packed(struct call *c, struct buf *packed) MUST_CHECK;
/* call_send_max: octets that a packed message may have so that it can be sent also as what the client takes (JSON is larger). */
size_t call_send_max(const struct call *c);
