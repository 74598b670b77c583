/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * apf_internal.h: what the parts of the APF session share: apf_session.c (input, timers, closing), apf_auth.c (until
 * authenticated), apf_global.c (requests and keep-alive), apf_channel.c (channels). Included by these four and their tests only.
 */
#pragma once

#include "wire/apf_channel.h"
#include "wire/apf_session.h"

#define APF_RATE_SHORT_MS 10000u
#define APF_RATE_LONG_MS  60000u
#define APF_NEVER         UINT64_MAX

/* What the octets that follow a streamed header are. */
enum apf_body {
	APF_BODY_NONE,
	APF_BODY_SKIP,
	APF_BODY_CHANNEL,
	APF_BODY_JSON,
};

enum apf_channel_state {
	APF_CHANNEL_OPENING,
	APF_CHANNEL_ZOMBIE, /* OPENING_Z: nobody waits for it, but the device may still confirm it */
	APF_CHANNEL_OPEN_STATE,
	APF_CHANNEL_CLOSE_SENT,
};

struct apf_channel {
	struct apf_channel *next;
	struct apf_session *session;
	const struct apf_channel_ops *ops; /* NULL once the opener has let go */
	void *ctx;
	uint64_t
		timer_ms; /* OPENING, ZOMBIE, CLOSE_SENT: answer due; OPEN: end of the silly-window wait */
	int64_t granted; /* octets the device may still send; negative only on agent tunnels */
	uint64_t unconsumed;
	uint64_t drained;                   /* consumed, not yet granted again */
	uint32_t id;                        /* A, ours */
	uint32_t peer;                      /* B, the device's; meaningless before OPEN */
	uint32_t window;                    /* W, ours */
	uint32_t window_first, window_most; /* what W began with and may grow to */
	uint32_t rtt_ms;                    /* from CHANNEL_OPEN to its answer */
	uint64_t adjusted_ms;               /* when W/2 was given back last */
	uint32_t credit;                    /* what we may send */
	uint32_t enough; /* credit worth sending when more is wanted: min(V/2, 1024), at least 1 */
	uint32_t wanted; /* octets that the last send left behind */
	uint8_t state;
	bool flush; /* the silly-window wait is over: any credit will do */
	bool stuck; /* the device owes an answer and its time is over */
};

/* apf_session.c */
/* apf_close: ends the session once; returns the error of its reason (the first reason if it was closed already). */
int apf_close(struct apf_session *s, enum apf_close_reason reason, uint32_t code);
int apf_error(const struct apf_session *s);
void apf_send(struct apf_session *s, const struct apf_msg *m);
void apf_glitch(struct apf_session *s, enum apf_glitch what);
/* apf_rate_exceeded: counts one event; true if there were more than max in this window. */
bool apf_rate_exceeded(struct apf_rate *r, uint64_t now_ms, uint32_t window_ms, uint32_t max);

/* Each handles one message and returns 0 or the error of the close. */
int apf_on_version(struct apf_session *s, const struct apf_msg *m); /* apf_auth.c */
int apf_on_service(struct apf_session *s, const struct apf_msg *m,
                   uint64_t now_ms); /* apf_auth.c */
int apf_on_userauth(struct apf_session *s, const struct apf_msg *m,
                    uint64_t now_ms); /* apf_auth.c */
int apf_on_global(struct apf_session *s, const struct apf_msg *m,
                  uint64_t now_ms); /* apf_global.c */
int apf_on_keepalive(struct apf_session *s, const struct apf_msg *m,
                     uint64_t now_ms);                                    /* apf_global.c */
int apf_on_options_reply(struct apf_session *s, const struct apf_msg *m); /* apf_global.c */
int apf_on_channel(struct apf_session *s, const struct apf_msg *m,
                   uint64_t now_ms); /* apf_channel.c */

/* apf_auth.c: settles a userauth. */
int apf_auth_settle(struct apf_session *s, bool ok, uint64_t now_ms);

/* apf_global.c: when message 210 and ready are due, and doing both. */
uint64_t apf_options_due(const struct apf_session *s);
void apf_options_send(struct apf_session *s);

/* apf_channel.c */
void apf_channel_body(struct apf_session *s, struct span octets);
int apf_channels_tick(struct apf_session *s, uint64_t now_ms);
uint64_t apf_channels_due(const struct apf_session *s);
void apf_channels_drop(struct apf_session *s);
