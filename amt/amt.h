/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amt.h: an AMT device as functions. Every one runs in an operation of gateway_run (a fiber on the tunnel's worker), blocks that
 * fiber only, and ends by its deadline. Other folders include this header only.
 *
 * A device's account is tried at most twice with wrong credentials (firmware locks accounts); after that functions fail with
 * -ERR_UNAUTHENTICATED without asking the device, until the credentials change.
 */
#pragma once

#include "core/buf.h"
#include "gateway/gateway.h"

#define AMT_REPLY_MAX     (1024 * 1024) /* octets of a SOAP answer */
#define AMT_SELECTORS_MAX 8

/* Why it failed, for people and for typed errors of the API. Valid when a function returned a negative error. */
struct amt_error {
	int http_status;  /* 0: no answer */
	char subcode[64]; /* of a SOAP fault, without prefix: "DestinationUnreachable"; "" none */
	bool absent;      /* the fault says that the class, instance or feature is not there */
	bool has_return_value;
	int64_t return_value;    /* of a method that refused: CIM value or PT_STATUS (amt.md A.8) */
	uint8_t seen_sha256[32]; /* with -ERR_PIN: the certificate that the device showed */
	char text[256];          /* a sentence for people */
};

/*
 * Common errors: -ERR_OFFLINE / -ERR_CLOSED (tunnel lost), -ERR_TIMEOUT, -ERR_CANCELLED, -ERR_PRECONDITION (no AMT account is set),
 * -ERR_UNAUTHENTICATED (account refused), -ERR_PIN (certificate changed), -ERR_REFUSED (neither 16992 nor 16993 is forwarded, or the device
 * refused the channel), -ERR_FAULT (SOAP fault or a return value that is not 0), -ERR_PROTOCOL (not HTTP or not SOAP), -ERR_TOO_BIG.
 */

/* ---- power (amt.md B.2) ---- */

enum amt_power_action { /* Redfish's words; what they are in CIM: power.c */
	                AMT_POWER_ON = 1,
	                AMT_POWER_FORCE_OFF,
	                AMT_POWER_CYCLE,
	                AMT_POWER_FORCE_RESTART,
	                AMT_POWER_GRACEFUL_SHUTDOWN,
	                AMT_POWER_GRACEFUL_RESTART,
	                AMT_POWER_SOFT_OFF,
	                AMT_POWER_SLEEP,
	                AMT_POWER_HIBERNATE,
	                AMT_POWER_NMI,
	                AMT_POWER_ACTION_COUNT
};

struct amt_power {
	enum power_state state;
	bool offered[AMT_POWER_ACTION_COUNT]; /* what the device accepts now */
};

/* amt_power_action_name: "graceful-restart". Static string. */
const char *amt_power_action_name(enum amt_power_action a);

/* amt_power_get: state and what is offered; the state is also told to the gateway (gateway_set_power). */
int amt_power_get(struct tunnel *t, struct amt_power *out, struct amt_error *why) MUST_CHECK;

/*
 * amt_power_change: does it. Graceful ones, sleep and hibernate only if the device offers them now (unless force): -ERR_UNSUPPORTED otherwise.
 * *before: the state before. 0 when the device accepted the action; the new state follows by amt_power_follow.
 */
int amt_power_change(struct tunnel *t, enum amt_power_action action, bool force,
                     enum power_state *before, struct amt_error *why) MUST_CHECK;

/* amt_power_follow: watches the state in a fiber of its own for a minute after a change, so that watchers see off and on. At most one a tunnel. */
void amt_power_follow(struct tunnel *t);

/* ---- general facts (amt.md B.1) ---- */

/* amt_facts_refresh: version, SKU, host name, control mode and power state; told to the gateway. */
int amt_facts_refresh(struct tunnel *t, struct amt_error *why) MUST_CHECK;

/* amt_on_ready: what to do with a tunnel that has just become ready: facts. For gateway_on_ready. */
int amt_on_ready(struct tunnel *t, void *arg);

/* ---- any class ---- */

struct amt_selector {
	const char *name, *value;
};

/* Which instance. resource: a class name with its prefix (AMT_, CIM_, IPS_) or a whole resource URI. */
struct amt_target {
	const char *resource;
	const struct amt_selector *selectors;
	size_t selectors_len;
};

/* Bodies are XML text of one element (the instance, METHOD_INPUT, METHOD_OUTPUT). out is appended to. -ERR_INVALID: body is not well-formed or resource is no name. */
int amt_get(struct tunnel *t, const struct amt_target *at, struct buf *out,
            struct amt_error *why) MUST_CHECK;
int amt_put(struct tunnel *t, const struct amt_target *at, struct span body, struct buf *out,
            struct amt_error *why) MUST_CHECK;
int amt_create(struct tunnel *t, const struct amt_target *at, struct span body, struct buf *out,
               struct amt_error *why) MUST_CHECK;
int amt_delete(struct tunnel *t, const struct amt_target *at, struct amt_error *why) MUST_CHECK;

/* amt_enumerate: item is called for each instance as text, in this fiber; negative ends the enumeration with that error, 1 ends it well. */
typedef int amt_item_fn(void *arg, struct span item);
int amt_enumerate(struct tunnel *t, const struct amt_target *at, amt_item_fn *item, void *arg,
                  struct amt_error *why) MUST_CHECK;

struct amt_invocation {
	struct amt_target at;
	const char *method;
	struct span input; /* the METHOD_INPUT element, empty: an empty one is made */
};
/* amt_invoke: the METHOD_OUTPUT element; why->has_return_value / return_value are set on success, too (0 or not: raw callers judge). */
int amt_invoke(struct tunnel *t, const struct amt_invocation *call, struct buf *out,
               struct amt_error *why) MUST_CHECK;

/* ---- certificate pinning of 16993 ---- */

/* amt_pin_store: how a first-seen certificate is made durable; set once by the composition root. Runs in the operation's fiber; negative: the call fails. */
typedef int amt_pin_fn(void *arg, const struct device_key *key, const uint8_t sha256[32]);
void amt_set_pin_store(amt_pin_fn *fn, void *arg);

/* ---- where calls spend their time ---- */

enum amt_stage {
	AMT_STAGE_QUEUE,   /* waits for the device's other calls: one at a time goes out */
	AMT_STAGE_CHANNEL, /* opens a channel through the tunnel */
	AMT_STAGE_TLS,     /* TLS inside it, for port 16993 */
	AMT_STAGE_SEND,    /* hands the request over, with waiting for the device's window */
	AMT_STAGE_DEVICE,  /* until the first octet of the answer */
	AMT_STAGE_ANSWER,  /* the rest of it */
	AMT_STAGE_LEN
};
/* The histogram of each stage, label stage. A call counts in the stages that it was in: a channel that is used again is not opened. */
#define AMT_STAGE_METRIC "causeway_wsman_stage_seconds"
#define AMT_CALL_METRIC  "causeway_wsman_seconds"
/* amt_stage_name: "queue". Static string. */
const char *amt_stage_name(enum amt_stage s);

/* A call that is under way. */
struct amt_running {
	struct device_key key;
	enum amt_stage stage;
	uint64_t age_us, stage_us; /* since it began, since the stage began */
	const char *op;            /* "get"; static */
	char class_name[96], method[64];
};
/* amt_running: the calls of the calling thread's worker, the oldest first; how many in out. */
size_t amt_running(struct amt_running *out, size_t max);

/* amt_metrics: registers metrics. Once. */
void amt_metrics(void);
