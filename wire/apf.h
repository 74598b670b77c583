/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * apf.h: the APF messages (AMT Port Forwarding, apf.md 3-5) as bytes and as structs, in both directions. Pure functions
 * without state; any thread. Spans in an unpacked message point into the input. Bodies of DATA and JSON_CONTROL are
 * never part of a message here: only their headers are, so that bodies can be streamed.
 */
#pragma once

#include "core/base.h"
#include "core/text.h"

/* X(name, number): apf.md 4. */
#define APF_TYPE_LIST(X)            \
	X(DISCONNECT, 1)            \
	X(SERVICE_REQUEST, 5)       \
	X(SERVICE_ACCEPT, 6)        \
	X(USERAUTH_REQUEST, 50)     \
	X(USERAUTH_FAILURE, 51)     \
	X(USERAUTH_SUCCESS, 52)     \
	X(GLOBAL_REQUEST, 80)       \
	X(REQUEST_SUCCESS, 81)      \
	X(REQUEST_FAILURE, 82)      \
	X(CHANNEL_OPEN, 90)         \
	X(CHANNEL_CONFIRM, 91)      \
	X(CHANNEL_OPEN_FAILURE, 92) \
	X(CHANNEL_ADJUST, 93)       \
	X(CHANNEL_DATA, 94)         \
	X(CHANNEL_CLOSE, 97)        \
	X(VERSION, 192)             \
	X(KEEPALIVE_REQUEST, 208)   \
	X(KEEPALIVE_REPLY, 209)     \
	X(OPTIONS_REQUEST, 210)     \
	X(OPTIONS_REPLY, 211)       \
	X(JSON_CONTROL, 250)

enum apf_type {
#define X(name, number) APF_##name = number,
	APF_TYPE_LIST(X)
#undef X
};

/* DISCONNECT codes that we send or name (apf.md 5.15). */
enum apf_disconnect {
	APF_DISCONNECT_NONE = 0, /* close without the message */
	APF_DISCONNECT_PROTOCOL_ERROR = 2,
	APF_DISCONNECT_SERVICE_NOT_AVAILABLE = 7,
	APF_DISCONNECT_VERSION_NOT_SUPPORTED = 8,
	APF_DISCONNECT_CONNECTION_LOST = 10,
	APF_DISCONNECT_BY_APPLICATION = 11,
	APF_DISCONNECT_TOO_MANY_CONNECTIONS = 12,
};

/* CHANNEL_OPEN_FAILURE reasons (apf.md 5.9). */
enum apf_open_failure {
	APF_OPEN_PROHIBITED = 1,
	APF_OPEN_CONNECT_FAILED = 2,
	APF_OPEN_UNKNOWN_TYPE = 3,
	APF_OPEN_RESOURCE_SHORTAGE = 4,
};

enum apf_request {
	APF_REQUEST_FORWARD,  /* tcpip-forward */
	APF_REQUEST_CANCEL,   /* cancel-tcpip-forward */
	APF_REQUEST_UDP_SEND, /* udp-send-to@amt.intel.com */
};

#define APF_SERVICE_AUTH      "auth@amt.intel.com"
#define APF_SERVICE_PFWD      "pfwd@amt.intel.com"
#define APF_METHOD_NONE       "none"
#define APF_METHOD_PASSWORD   "password"
#define APF_CHANNEL_FORWARDED "forwarded-tcpip"
#define APF_CHANNEL_DIRECT    "direct-tcpip"
#define APF_VERSION_MAJOR     1u
#define APF_DATA_HEADER_LEN   9u
#define APF_JSON_HEADER_LEN   5u
#define APF_PORT_MAX          65535u

/* Most octets that a message without a streamed body can have within apf_caps_agent (apf.md 10). */
#define APF_MESSAGE_MAX 4096u

struct apf_userauth {
	struct span user;
	struct span service;
	struct span method;
	struct span password; /* empty unless method is "password" */
	bool change;          /* the RFC 4252 change flag; only with "password" */
};

struct apf_global {
	enum apf_request kind;
	bool want_reply;
	struct span host;
	uint32_t port;
	struct span originator; /* this and below: UDP_SEND only */
	uint32_t originator_port;
	struct span datagram;
};

struct apf_open {
	struct span type;
	uint32_t sender;
	uint32_t window;
	struct span host;
	uint32_t port;
	struct span originator;
	uint32_t originator_port;
};

/* One message. Which member of the union is set follows from type; FAILURE 82, SUCCESS 52 have none. */
struct apf_msg {
	uint8_t type;
	union {
		uint32_t disconnect;      /* DISCONNECT: code */
		struct span service;      /* SERVICE_REQUEST, SERVICE_ACCEPT: name */
		struct apf_userauth auth; /* USERAUTH_REQUEST */
		struct {
			struct span methods;
			bool partial;
		} auth_failure;           /* USERAUTH_FAILURE */
		struct apf_global global; /* GLOBAL_REQUEST */
		struct {
			bool has_port; /* the answer to tcpip-forward has one, to cancel not (apf.md 5.6) */
			uint32_t port;
		} success;            /* REQUEST_SUCCESS */
		struct apf_open open; /* CHANNEL_OPEN */
		struct {
			uint32_t recipient;
			uint32_t sender;
			uint32_t window;
		} confirm; /* CHANNEL_CONFIRM */
		struct {
			uint32_t recipient;
			uint32_t reason;
		} failure; /* CHANNEL_OPEN_FAILURE */
		struct {
			uint32_t recipient;
			uint32_t
				len; /* ADJUST: credit to add; DATA: octets of body that follow; CLOSE: 0 */
		} channel;           /* CHANNEL_ADJUST, CHANNEL_DATA, CHANNEL_CLOSE */
		struct {
			uint32_t major;
			uint32_t minor;
			uint32_t trigger;
			struct guid guid;
		} version;       /* VERSION */
		uint32_t cookie; /* KEEPALIVE_REQUEST, KEEPALIVE_REPLY */
		struct {
			uint32_t interval_s;
			uint32_t timeout_s;
		} options;         /* OPTIONS_REQUEST, OPTIONS_REPLY */
		uint32_t json_len; /* JSON_CONTROL: octets of body that follow */
	};
};

/* Most octets of each variable part (apf.md 10). */
struct apf_caps {
	uint32_t service_max; /* also the method list of USERAUTH_FAILURE */
	uint32_t user_max;
	uint32_t method_max;
	uint32_t password_max;
	uint32_t request_max;
	uint32_t host_max;
	uint32_t datagram_max;
	uint32_t channel_type_max;
	uint32_t data_max;
	uint32_t json_max;
};

extern const struct apf_caps apf_caps_default; /* firmware */
extern const struct apf_caps apf_caps_agent;   /* MeshCentral agents: longer passwords */

struct apf_unpack_opts {
	const struct apf_caps *caps;
	bool success_has_port; /* receiver of REQUEST_SUCCESS: what its oldest open request expects */
};

/*
 * apf_unpack(in, opts, m, need): one message from the start of in. Returns the octets it takes, or
 * -ERR_MORE (*need is then how many octets in all are needed at least; always more than in.len),
 * -ERR_TOO_BIG as soon as a length above its cap is seen, -ERR_UNSUPPORTED for an unknown type or an
 * unknown global request (their length cannot be known, apf.md 5.5). in.len may be 0.
 */
ssize_t apf_unpack(struct span in, const struct apf_unpack_opts *opts, struct apf_msg *m,
                   size_t *need);

/*
 * apf_pack(out, size, m): writes the message (headers only for DATA and JSON_CONTROL); octets written or
 * -ERR_TOO_BIG if size is too small, -ERR_UNSUPPORTED for an unknown type.
 */
ssize_t apf_pack(uint8_t *out, size_t size, const struct apf_msg *m);

/* apf_type_name(type): "CHANNEL_OPEN" or NULL if there is no such type. Static string. */
const char *apf_type_name(uint8_t type);

/* apf_is(s, text): whether the span is exactly this text. */
bool apf_is(struct span s, const char *text);

enum apf_http {
	APF_HTTP_NO,
	APF_HTTP_YES,
	APF_HTTP_MORE, /* so far it could be either */
};

/* apf_looks_like_http(in): whether a connection's first octets are an HTTP GET or HEAD (apf.md 2). Never feed
 * a session before the answer is no. */
enum apf_http apf_looks_like_http(struct span in);
