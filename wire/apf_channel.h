/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * apf_channel.h: channels that we open to a port of the device (apf.md 7.3, 8). The session allocates a channel and keeps it
 * until the device has answered for it; the opener holds it only from open until open_failed, closed or its own
 * apf_channel_close, whichever comes first, and must not touch it afterwards. Same thread and callback rules as the session.
 */
#pragma once

#include "core/base.h"
#include "wire/apf_session.h"

/* X(name, metric label): why a channel ended. */
#define APF_CHANNEL_END_LIST(X)                                                              \
	X(APF_CHANNEL_BY_DEVICE, "by_device")                                                \
	X(APF_CHANNEL_FAILED_LATE, "failed_late") /* OPEN_FAILURE after it had been open */  \
	X(APF_CHANNEL_OVERRUN, "overrun")         /* device sent more than it was granted */ \
	X(APF_CHANNEL_TUNNEL_LOST, "tunnel_lost")

enum apf_channel_end {
#define X(name, label) name,
	APF_CHANNEL_END_LIST(X)
#undef X
		APF_CHANNEL_END_COUNT
};

/* Reasons of open_failed that are not the device's (its own are enum apf_open_failure or any other u32). */
#define APF_OPEN_TIMED_OUT   0xfffffff0u /* no answer in time */
#define APF_OPEN_VIOLATION   0xfffffff1u /* the device used the channel before confirming it */
#define APF_OPEN_TUNNEL_LOST 0xfffffff2u

struct apf_channel_ops {
	void (*opened)(void *ctx);
	void (*open_failed)(void *ctx, uint32_t reason);
	/* Octets from the device, in place. Report them with apf_channel_consumed when they are gone. */
	void (*data)(void *ctx, struct span octets);
	/* apf_channel_send would now take some of what it left. */
	void (*credit)(void *ctx);
	/* Only for a channel that had opened. */
	void (*closed)(void *ctx, enum apf_channel_end why);
};

struct apf_channel_args {
	const struct apf_channel_ops *ops; /* outlives the channel */
	void *ctx;
	uint16_t port;          /* one of the forwarded ports; the host follows from it */
	struct span originator; /* address of the console as text, at most 255 octets */
	uint16_t originator_port;
	uint32_t window; /* octets we can hold for the channel; 0: limits->window */
	uint32_t
		window_most; /* what it may grow to on a long path, within limits->grown_max; less than window: it does not grow */
};

/*
 * apf_channel_open(s, args, now_ms, out): sends CHANNEL_OPEN. 0, -ERR_PRECONDITION (tunnel not that far or closed),
 * -ERR_REFUSED (port not forwarded), -ERR_FULL (limits->channels_max in use: queue and try again after a channel has
 * ended), -ERR_INVALID, -ERR_NOMEM.
 */
int apf_channel_open(struct apf_session *s, const struct apf_channel_args *args, uint64_t now_ms,
                     struct apf_channel **out) MUST_CHECK;

/*
 * apf_channel_send(ch, octets, now_ms): sends what the credit permits and returns how many octets that was. If it is not all,
 * keep the rest, and call again from credit or with more octets. Small scraps of credit are left to gather (apf.md 8.2.3).
 */
size_t apf_channel_send(struct apf_channel *ch, struct span octets, uint64_t now_ms) MUST_CHECK;

/*
 * apf_channel_consumed(ch, n): n more octets of what data delivered have left us; returns credit to the device. When the device
 * used up half a window within a round trip and we kept up with it, the path is longer than the window: it is doubled.
 */
void apf_channel_consumed(struct apf_channel *ch, size_t n);

/* apf_channel_close(ch, now_ms): the opener lets go in any state. No callback follows; the session does the rest. */
void apf_channel_close(struct apf_channel *ch, uint64_t now_ms);

/* apf_channel_window(ch): octets that the device may have on the way at once, now. */
uint32_t apf_channel_window(const struct apf_channel *ch);
/* apf_channel_stay(ch): its window does not grow any more. */
void apf_channel_stay(struct apf_channel *ch);
/* apf_channel_windows(s, above): the sum of the windows larger than above of all channels from which octets may still come. */
uint64_t apf_channel_windows(const struct apf_session *s, uint32_t above);
/* apf_channel_far(ch): its round trip is so long that windows grow. */
bool apf_channel_far(const struct apf_channel *ch);
uint32_t apf_channel_id(const struct apf_channel *ch);
/* apf_channel_credit(ch): octets that may be sent now. */
uint32_t apf_channel_credit(const struct apf_channel *ch);
/* apf_channel_count(s): slots in use, including those that wait for the device's last word. */
unsigned apf_channel_count(const struct apf_session *s);
const char *apf_channel_end_label(enum apf_channel_end why);
