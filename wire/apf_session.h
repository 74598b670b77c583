/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * apf_session.h: the server's end of one APF tunnel (apf.md 6-10, 13): octets and the time in, callbacks and octets out.
 * A session does no I/O and reads no clock. It belongs to one thread; the caller serialises all calls on it and its
 * channels. An idle session holds no buffer: only this struct and the device's host name.
 *
 * Rules for callbacks. From any of them except send the caller may open, write, consume or close channels of the session
 * and call apf_session_disconnect. It must not call feed, tick, auth_result or fini from within a callback, and send must not
 * call back at all. Spans are valid during the callback only, come from a stranger, and may hold any octet unless stated.
 */
#pragma once

#include "core/base.h"
#include "core/buf.h"
#include "core/text.h"
#include "wire/apf.h"
#include "wire/apf_forward.h"
#include "wire/apf_json.h"

/* X(name, metric label, error that feed and tick return, phrase for people). */
#define APF_CLOSE_LIST(X)                                                                          \
	X(APF_CLOSE_NONE, "open", 0, "the tunnel is open")                                         \
	X(APF_CLOSE_NOT_APF, "not_apf", ERR_PROTOCOL, "the first octet is not APF")                \
	X(APF_CLOSE_UNKNOWN_TYPE, "unknown_type", ERR_PROTOCOL, "unknown message type")            \
	X(APF_CLOSE_TOO_LONG, "too_long", ERR_PROTOCOL, "a length is above its limit")             \
	X(APF_CLOSE_OUT_OF_ORDER, "out_of_order", ERR_PROTOCOL,                                    \
	  "a message that is not permitted at this stage")                                         \
	X(APF_CLOSE_VERSION, "version", ERR_PROTOCOL, "unsupported protocol version")              \
	X(APF_CLOSE_HELLO_REFUSED, "hello_refused", ERR_DENIED, "this device is not wanted")       \
	X(APF_CLOSE_SERVICE, "service", ERR_PROTOCOL, "unknown service name")                      \
	X(APF_CLOSE_AUTH_REJECTED, "auth_rejected", ERR_UNAUTHENTICATED, "wrong user or password") \
	X(APF_CLOSE_AUTH_METHOD, "auth_method", ERR_UNAUTHENTICATED,                               \
	  "the authentication method is not accepted")                                             \
	X(APF_CLOSE_AUTH_TEXT, "auth_text", ERR_UNAUTHENTICATED,                                   \
	  "the user name holds characters that are not permitted")                                 \
	X(APF_CLOSE_BLANK_GUID, "blank_guid", ERR_UNAUTHENTICATED,                                 \
	  "the device's UUID is all zeros or all ones")                                            \
	X(APF_CLOSE_PREAUTH_FLOOD, "preauth_flood", ERR_PROTOCOL,                                  \
	  "too much input before authentication")                                                  \
	X(APF_CLOSE_HANDSHAKE_TIMEOUT, "handshake_timeout", ERR_TIMEOUT,                           \
	  "did not authenticate in time")                                                          \
	X(APF_CLOSE_FORWARD_TIMEOUT, "forward_timeout", ERR_TIMEOUT,                               \
	  "did not forward any port in time")                                                      \
	X(APF_CLOSE_IDLE_TIMEOUT, "idle_timeout", ERR_TIMEOUT, "was silent for too long")          \
	X(APF_CLOSE_UNKNOWN_REQUEST, "unknown_request", ERR_PROTOCOL, "unknown global request")    \
	X(APF_CLOSE_REQUEST_FLOOD, "request_flood", ERR_PROTOCOL, "too many requests")             \
	X(APF_CLOSE_KEEPALIVE_FLOOD, "keepalive_flood", ERR_PROTOCOL,                              \
	  "too many keep-alive requests")                                                          \
	X(APF_CLOSE_STRAY_FLOOD, "stray_flood", ERR_PROTOCOL,                                      \
	  "too many messages for unknown channels")                                                \
	X(APF_CLOSE_CHANNEL_PROTOCOL, "channel_protocol", ERR_PROTOCOL,                            \
	  "broke the rules of channels")                                                           \
	X(APF_CLOSE_CHANNELS_STUCK, "channels_stuck", ERR_PROTOCOL,                                \
	  "left every channel slot unanswered")                                                    \
	X(APF_CLOSE_JSON, "json", ERR_PROTOCOL, "sent control text that is not accepted")          \
	X(APF_CLOSE_BY_DEVICE, "by_device", ERR_CLOSED, "the device said goodbye")                 \
	X(APF_CLOSE_BY_US, "by_us", ERR_CLOSED, "closed by the gateway")                           \
	X(APF_CLOSE_NOMEM, "nomem", ERR_NOMEM, "out of memory")

enum apf_close_reason {
#define X(name, label, err, text) name,
	APF_CLOSE_LIST(X)
#undef X
		APF_CLOSE_REASON_COUNT
};

/* X(name, metric label): what is ignored or put right, and counted. */
#define APF_GLITCH_LIST(X)                                                                         \
	X(APF_GLITCH_UNKNOWN_CONFIRM, "unknown_confirm")                                           \
	X(APF_GLITCH_UNKNOWN_OPEN_FAILURE, "unknown_open_failure")                                 \
	X(APF_GLITCH_UNKNOWN_DATA, "unknown_data")                                                 \
	X(APF_GLITCH_UNKNOWN_ADJUST, "unknown_adjust")                                             \
	X(APF_GLITCH_UNKNOWN_CLOSE, "unknown_close")                                               \
	X(APF_GLITCH_DATA_AFTER_CLOSE, "data_after_close")                                         \
	X(APF_GLITCH_EARLY_FRAME, "early_frame")   /* DATA, ADJUST or CLOSE before CONFIRMATION */ \
	X(APF_GLITCH_OVERRUN, "overrun")           /* DATA beyond the window we granted */         \
	X(APF_GLITCH_LATE_FAILURE, "late_failure") /* OPEN_FAILURE for an open channel */          \
	X(APF_GLITCH_ID_REUSED, "id_reused")       /* device reused an id without its CLOSE */     \
	X(APF_GLITCH_CREDIT_SATURATED, "credit_saturated")                                         \
	X(APF_GLITCH_OPEN_UNANSWERED, "open_unanswered")                                           \
	X(APF_GLITCH_CLOSE_UNANSWERED, "close_unanswered")                                         \
	X(APF_GLITCH_DEVICE_OPEN, "device_open") /* a channel that the device wanted */            \
	X(APF_GLITCH_KEEPALIVE_REPLY, "keepalive_reply")                                           \
	X(APF_GLITCH_OPTIONS_REPLY, "options_reply") /* unasked */                                 \
	X(APF_GLITCH_FORWARD_REFUSED, "forward_refused")                                           \
	X(APF_GLITCH_CANCEL_UNKNOWN, "cancel_unknown")                                             \
	X(APF_GLITCH_HOST_TEXT, "host_text") /* host name dropped: not printable */                \
	X(APF_GLITCH_JSON, "json")

enum apf_glitch {
#define X(name, label) name,
	APF_GLITCH_LIST(X)
#undef X
		APF_GLITCH_COUNT
};

/* Limits and timers (apf.md 9, 10). Shared, constant while sessions use it. */
struct apf_limits {
	const struct apf_caps *caps;
	const uint16_t *ports; /* which ports may be forwarded */
	uint32_t ports_len;    /* 0: any */
	uint32_t handshake_ms; /* from init (TLS done) to authenticated */
	uint32_t first_forward_ms;
	uint32_t options_quiet_ms;  /* message 210 so long after the last tcpip-forward ... */
	uint32_t options_latest_ms; /* ... or so long after the first */
	uint32_t keepalive_interval_s;
	uint32_t keepalive_timeout_s; /* second field of 210; 0 as production servers send */
	uint32_t idle_unknown_ms;     /* idle limit until message 211 tells the interval in force */
	uint32_t idle_min_ms;         /* after that max(this, 3 x interval) ... */
	uint32_t idle_max_ms;         /* ... but no more than this */
	uint32_t open_answer_ms;
	uint32_t close_answer_ms;
	uint32_t silly_wait_ms; /* apf.md 8.2.3 */
	uint32_t preauth_max;   /* octets */
	uint32_t requests_per_minute;
	uint32_t keepalives_per_10s;
	uint32_t strays_per_10s;
	uint32_t early_frames_max;
	uint32_t json_bad_max;
	uint32_t window;     /* granted to a channel that asks for no size */
	uint32_t window_max; /* most that a channel may ask for */
	uint32_t grown_max;  /* octets that the windows of all channels may grow by together */
	uint32_t chunk_max;  /* most octets in one DATA */
	uint32_t channels_max;
	bool agent_mode; /* MeshCentral agents: JSON_CONTROL, loose windows, never message 210 */
	bool refuse_blank_guids; /* M14 */
};

extern const struct apf_limits apf_limits_default; /* firmware */
extern const struct apf_limits apf_limits_agent;

enum apf_auth {
	APF_AUTH_REJECT,
	APF_AUTH_ACCEPT,
	APF_AUTH_PENDING, /* the caller will call apf_session_auth_result */
};

/* All are needed. ctx is what apf_session_init was given. */
struct apf_session_ops {
	/* Appends to the tunnel's output, in order. A DATA header and its body come as two calls. */
	void (*send)(void *ctx, struct span octets);
	/* The device named itself. false: close (unknown or unwanted device). */
	bool (*hello)(void *ctx, const struct guid *guid, uint32_t trigger);
	/* user is printable ASCII; the password is secret and may hold any octet. */
	enum apf_auth (*userauth)(void *ctx, struct span user, struct span password);
	/* Whether TLS verified a client certificate that stands for the GUID of hello (mutual TLS). */
	bool (*client_cert_verified)(void *ctx);
	/* The device has forwarded its first ports and keep-alive has been agreed or asked for. Once. */
	void (*ready)(void *ctx);
	/* host is printable ASCII, perhaps empty. */
	void (*forward_added)(void *ctx, uint16_t port, struct span host);
	void (*forward_removed)(void *ctx, uint16_t port);
	/* A datagram that the device wants sent (apf.md 5.5). It is not: count it. */
	void (*udp_send_to)(void *ctx, const struct apf_global *request);
	void (*glitch)(void *ctx, enum apf_glitch what);
	/* The device sent DISCONNECT with this code; feed returns an error next. */
	void (*disconnect)(void *ctx, uint32_t code);
	/* A channel slot has become free: an open that got -ERR_FULL may be tried again. */
	void (*slot_free)(void *ctx);
};

enum apf_state {
	APF_STATE_HELLO,
	APF_STATE_AUTH_SERVICE,
	APF_STATE_USERAUTH,
	APF_STATE_AUTH_WAIT,
	APF_STATE_PFWD_SERVICE,
	APF_STATE_FORWARD,
	APF_STATE_CLOSED,
};

/* Counts events in windows of fixed length. */
struct apf_rate {
	uint64_t start_ms;
	uint32_t n;
};

struct apf_channel;

/* Private to wire/apf_*.c; read through the functions below. */
struct apf_session {
	const struct apf_session_ops *ops;
	void *ctx;
	const struct apf_limits *limits;
	struct buf in;        /* part of a message, or what came while authentication is pending */
	uint64_t phase_ms;    /* init; then authentication; then first tcpip-forward */
	uint64_t forward_ms;  /* last tcpip-forward */
	uint64_t received_ms; /* last octet */
	struct apf_channel *channels;
	struct apf_forwards forwards;
	struct apf_rate requests;
	struct apf_rate keepalives;
	struct apf_rate strays;
	struct guid guid;
	uint32_t need;      /* octets that the message in `in` needs at least */
	uint32_t body_left; /* octets of DATA or JSON_CONTROL still to come */
	uint32_t body_id;   /* the channel they are for */
	uint32_t grown;     /* octets that windows have grown by; at most limits->grown_max */
	uint32_t next_id;
	uint32_t preauth; /* octets received before authentication */
	uint32_t interval_s;
	uint32_t disconnect_sent;
	uint32_t disconnect_received;
	struct apf_json json;
	uint8_t state;
	uint8_t reason;
	uint8_t body; /* enum apf_body */
	uint8_t early_frames;
	uint8_t json_bad;
	bool forwarded; /* at least one tcpip-forward was accepted */
	bool options_sent;
	bool interval_known;
	bool ready;
};

/*
 * apf_session_init(s, ops, ctx, limits, now_ms): a tunnel whose TLS handshake has just ended. limits NULL means
 * apf_limits_default; ops and limits must outlive the session.
 */
void apf_session_init(struct apf_session *s, const struct apf_session_ops *ops, void *ctx,
                      const struct apf_limits *limits, uint64_t now_ms);

/*
 * apf_session_fini(s): frees all. Channels that their callers still hold get closed(APF_CHANNEL_TUNNEL_LOST). Call
 * it once, whatever ended the connection (M42).
 */
void apf_session_fini(struct apf_session *s);

/*
 * apf_session_feed(s, in, now_ms): what the device sent, in pieces of any size. 0, or the negative error of the close
 * reason: then flush the output and close; all channels have been told. After that, input is discarded and the same error returned.
 */
int apf_session_feed(struct apf_session *s, struct span in, uint64_t now_ms) MUST_CHECK;

/*
 * apf_session_wants_input(s): false while authentication is pending and input is already held, and after the close: stop
 * reading from the connection. What had been read before may still be fed; 4096 octets of it are kept (T_AUTH_WAIT).
 */
bool apf_session_wants_input(const struct apf_session *s);

/*
 * apf_session_auth_result(s, ok, now_ms): the answer to a pending userauth, then handles the input that was held. Returns as
 * feed does. Without effect after the session has closed (say by timeout).
 */
int apf_session_auth_result(struct apf_session *s, bool ok, uint64_t now_ms) MUST_CHECK;

/* apf_session_tick(s, now_ms): does what is due; returns as feed does. Calling it early or late is harmless. */
int apf_session_tick(struct apf_session *s, uint64_t now_ms) MUST_CHECK;

/* apf_session_deadline(s): absolute time at which to call tick, UINT64_MAX for none. It changes with every call. */
uint64_t apf_session_deadline(const struct apf_session *s);

/*
 * apf_session_disconnect(s, code): ends the tunnel from our side (reason APF_CLOSE_BY_US), with DISCONNECT unless the code is 0.
 * Flush and close the connection after it. May be called from a callback; feed then returns -ERR_CLOSED.
 */
void apf_session_disconnect(struct apf_session *s, uint32_t code);

enum apf_state apf_session_state(const struct apf_session *s);
/* apf_session_reason(s): why it closed; APF_CLOSE_NONE while open. */
enum apf_close_reason apf_session_reason(const struct apf_session *s);
/* apf_session_disconnect_sent(s), _received(s): code of the DISCONNECT that was sent or received; 0 for none. */
uint32_t apf_session_disconnect_sent(const struct apf_session *s);
uint32_t apf_session_disconnect_received(const struct apf_session *s);
/* apf_session_guid(s): as in the hello; all zero before it. */
const struct guid *apf_session_guid(const struct apf_session *s);
/* apf_session_forwards(s): the ports and hosts now forwarded. */
const struct apf_forwards *apf_session_forwards(const struct apf_session *s);
/* apf_session_interval_s(s): the device's keep-alive interval, 0 if it has not told. */
uint32_t apf_session_interval_s(const struct apf_session *s);

/* Names for metrics and for people. Static strings. */
const char *apf_close_label(enum apf_close_reason r);
const char *apf_close_text(enum apf_close_reason r);
const char *apf_glitch_label(enum apf_glitch g);
