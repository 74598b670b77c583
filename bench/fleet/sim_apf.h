/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sim_apf.h: the device's end of an APF tunnel, as Intel AMT firmware behaves (apf.md sections 3 to 8 and 15). Bytes and a
 * clock value in; messages and events out through callbacks. It shares no code with wire/apf on purpose: what the gateway
 * misreads must fail here. Owned by one device, used by its loop's thread only. No I/O, no allocation but its buffers.
 */
#pragma once

#include "core/buf.h"
#include "core/text.h"

#define SIM_APF_SLOTS      8    /* firmware has slots 0..7 (apf.md section 10) */
#define SIM_APF_PORTS_MAX  16   /* ports that one device advertises */
#define SIM_APF_FIFO_MAX   32   /* global requests that wait for their answer */
#define SIM_APF_MSG_MAX    4096 /* a control message of the server */
#define SIM_APF_STRING_MAX 255
#define SIM_APF_DATA_MAX   4096            /* octets in one DATA that we send */
#define SIM_APF_QUEUE_MAX  (1024UL * 1024) /* octets queued for one channel */
#define SIM_APF_NO_TIME    UINT64_MAX

enum sim_auth { SIM_AUTH_PASSWORD, SIM_AUTH_NONE, SIM_AUTH_WRONG };
enum sim_framing { SIM_FRAMING_MESSAGE, SIM_FRAMING_COALESCED, SIM_FRAMING_OCTET };
enum sim_adjust { SIM_ADJUST_EACH, SIM_ADJUST_BATCHED, SIM_ADJUST_NEVER };

/* How one tunnel behaves. Borrowed by sim_apf for its life. Seconds and octets. */
struct sim_apf_opts {
	uint32_t trigger; /* 4 periodic, 1 user, 2 alert (apf.md 5.1) */
	enum sim_auth auth;
	enum sim_framing framing;
	enum sim_adjust adjust;
	uint16_t ports[SIM_APF_PORTS_MAX];
	size_t ports_len;
	bool pipelined;       /* asks for all ports at once instead of waiting for each answer */
	uint32_t keepalive_s; /* 0: sends none */
	uint32_t timeout_s;   /* an unanswered keep-alive ends the tunnel after this; 0: never */
	bool obey_210;
	uint32_t window;      /* V of CONFIRMATION */
	uint32_t late_window; /* V is 0 and this follows as ADJUST after late_ms; 0: off */
	uint32_t late_ms;
	uint32_t answer_ms; /* delay before CONFIRMATION (slow devices) */
	bool late_data;     /* sends DATA and ADJUST after the server's CLOSE, before its own */
	bool strict;        /* a violation ends the tunnel */
	bool udp_send;      /* emits udp-send-to when ready */
	bool direct_open;   /* emits a direct-tcpip CHANNEL_OPEN when ready */
	bool cancel_last;   /* cancels its last forward when ready */
};

struct sim_apf_identity {
	struct guid guid;
	const char *host; /* sent with tcpip-forward; "" for an empty host */
	const char *user;
	const char *password;
};

enum sim_apf_stage {
	SIM_APF_IDLE,
	SIM_APF_AUTH_SERVICE, /* waits for SERVICE_ACCEPT auth */
	SIM_APF_USERAUTH,
	SIM_APF_PFWD_SERVICE,
	SIM_APF_FORWARDING, /* pfwd started, not every port answered yet */
	SIM_APF_READY,
	SIM_APF_ENDED,
};

enum sim_apf_end {
	SIM_APF_END_AUTH,       /* USERAUTH_FAILURE */
	SIM_APF_END_DISCONNECT, /* the server sent DISCONNECT */
	SIM_APF_END_KEEPALIVE,  /* keep-alive unanswered */
	SIM_APF_END_VIOLATION,  /* strict mode */
	SIM_APF_END_LOCAL,      /* sim_apf_disconnect */
};

struct sim_apf;

struct sim_apf_ops {
	/* One record's worth of octets for the server; borrowed. */
	void (*send)(void *user, struct span s);
	/* Every port was answered: the tunnel is up. */
	void (*ready)(void *user);
	/* The server opened slot toward port. 0 accepts; else the reason of CHANNEL_OPEN_FAILURE. */
	uint32_t (*open)(void *user, unsigned slot, uint16_t port);
	/* CONFIRMATION was sent: octets may be written. Optional. */
	void (*opened)(void *user, unsigned slot);
	void (*data)(void *user, unsigned slot, struct span s);
	/* The queue of the slot got empty after a write. Optional. */
	void (*drained)(void *user, unsigned slot);
	/* The slot was closed by the server or by the end of the tunnel: drop what hangs on it. */
	void (*closed)(void *user, unsigned slot);
	/* The server broke the protocol. text: static string for people; a and b its numbers. */
	void (*violation)(void *user, const char *text, uint32_t a, uint32_t b);
	/* The tunnel is over and must be closed by the owner; code: DISCONNECT's reason if there is one. Called once, last. */
	void (*ended)(void *user, enum sim_apf_end why, uint32_t code);
};

enum sim_slot_state {
	SIM_SLOT_FREE,
	SIM_SLOT_OPENING,
	SIM_SLOT_OPEN,
	SIM_SLOT_CLOSE_SENT,
	SIM_SLOT_DIRECT
};

struct sim_slot {
	enum sim_slot_state state;
	uint16_t port;
	bool close_wanted;     /* close when the queue is empty */
	bool direct;           /* we opened it */
	uint32_t peer;         /* the server's id */
	uint32_t credit;       /* octets that we may send */
	uint32_t granted;      /* octets that the server may send */
	uint32_t owed;         /* taken, not given back yet (batched ADJUST) */
	uint64_t answer_at_ms; /* CONFIRMATION is due */
	uint64_t grant_at_ms;  /* late window is due */
	struct buf queue;
};

struct sim_apf {
	const struct sim_apf_opts *opts;
	const struct sim_apf_ops *ops;
	void *user;
	enum sim_apf_stage stage;
	bool silent; /* owner: takes everything, answers nothing */
	bool got_version, got_210;
	bool dispatching;
	uint32_t keepalive_s, timeout_s;
	uint32_t cookie;
	bool keepalive_waits;
	uint64_t now_ms, keepalive_at_ms, reply_due_ms;
	size_t next_port; /* index of the next port to ask for */
	uint16_t forwarded[SIM_APF_PORTS_MAX];
	size_t forwarded_len;
	struct {
		bool cancel;
		uint16_t port;
	} fifo[SIM_APF_FIFO_MAX];
	size_t fifo_head, fifo_len;
	struct sim_slot slots[SIM_APF_SLOTS];
	struct buf in;                 /* the start of an unfinished control message */
	struct buf out;                /* coalesced framing: messages of this turn */
	uint32_t data_left, data_slot; /* rest of a DATA payload; slot >= SIM_APF_SLOTS: skip it */
	struct sim_apf_identity id;
};

/* sim_apf_init: everything borrowed; nothing is sent yet. */
void sim_apf_init(struct sim_apf *a, const struct sim_apf_opts *opts, const struct sim_apf_ops *ops,
                  void *user);
/* sim_apf_free: releases buffers without callbacks. */
void sim_apf_free(struct sim_apf *a);

/* sim_apf_start: sends the first flight (apf.md section 6). id's strings are borrowed until the tunnel is READY. */
void sim_apf_start(struct sim_apf *a, const struct sim_apf_identity *id, uint64_t now_ms);

/* sim_apf_input: octets of the server, cut anywhere. Stops at the end of the tunnel. */
void sim_apf_input(struct sim_apf *a, struct span s, uint64_t now_ms);

/* sim_apf_tick: timers; call at or after sim_apf_next_ms, which returns SIM_APF_NO_TIME when nothing is due. */
void sim_apf_tick(struct sim_apf *a, uint64_t now_ms);
uint64_t sim_apf_next_ms(const struct sim_apf *a);

/* sim_apf_write: queues octets for the server on an open slot and sends what its window allows. 0, -ERR_CLOSED, -ERR_FULL. */
int sim_apf_write(struct sim_apf *a, unsigned slot, struct span s) MUST_CHECK;
/* sim_apf_close: sends CLOSE once the queue is empty; no callback follows for the slot. */
void sim_apf_close(struct sim_apf *a, unsigned slot);
/* sim_apf_disconnect: sends DISCONNECT with reason and ends the tunnel. */
void sim_apf_disconnect(struct sim_apf *a, uint32_t reason);

/* Internal to sim_apf*.c. */
#define SIM_APF_DISCARD SIM_APF_SLOTS
void sim_apf_emit(struct sim_apf *a, struct buf *msg);
void sim_apf_flush(struct sim_apf *a);
void sim_apf_end(struct sim_apf *a, enum sim_apf_end why, uint32_t code);
void sim_apf_violation(struct sim_apf *a, const char *text, uint32_t p, uint32_t q);
void sim_apf_take(struct sim_apf *a, struct sim_slot *s, uint32_t n);
void sim_apf_pump(struct sim_apf *a, unsigned slot);
void sim_apf_send_close(struct sim_apf *a, unsigned slot);
void sim_apf_slot_free(struct sim_slot *s);
void sim_apf_confirm(struct sim_apf *a, unsigned slot);
void sim_apf_request_ports(struct sim_apf *a);
void sim_apf_extras(struct sim_apf *a);
void sim_apf_service_request(struct sim_apf *a, const char *name);
void sim_apf_userauth(struct sim_apf *a);
void sim_apf_dispatch(struct sim_apf *a, struct span msg);
#define SIM_APF_SERVICE_AUTH "auth@amt.intel.com"
#define SIM_APF_SERVICE_PFWD "pfwd@amt.intel.com"
