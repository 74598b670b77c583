/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dstream.h: an operation on a device that gives octets to a call, or takes them from it, while both go on: a relay (relay.h) with the
 * fiber on the call's loop that runs the operation with gateway_run. A side that cannot go on waits with fiber_wait; the other
 * side's progress wakes it. So a slow client ends up as a closed APF window, and a slow device as a closed HTTP/2 window.
 *
 * Life: counted: the call and the operation's fiber hold it, so that either may end first. The call ends its part with dstream_leave,
 * which cancels the operation if it still runs. Functions say which side may call them.
 */
#pragma once

#include "mgmtapi/api_errors.h"
#include "mgmtapi/relay.h"

struct dstream;

/* By who writes. */
enum dstream_way { DSTREAM_TO_CLIENT = RELAY_DEVICE, DSTREAM_TO_DEVICE = RELAY_CLIENT };

/*
 * dstream_start: call's side. fn runs on the tunnel's worker as in device_op_run; the relay is its op->arg. user: for fn, borrowed
 * until dstream_ended says true or, if the call leaves earlier, owned by free_user. NULL: no memory.
 */
struct dstream_opts {
	struct gateway *gateway;
	struct device_key key;
	int (*fn)(struct tunnel *t, struct device_op *op);
	uint32_t limit_ms;
	void *user;
	void (*free_user)(void *user); /* with the last reference */
};
struct dstream *dstream_start(const struct dstream_opts *opts);
void *dstream_user(const struct dstream *r);

/* Both sides: dstream_put: octets taken (less than s.len: full). dstream_take: octets given (0: empty). Each wakes the other side. */
size_t dstream_put(struct dstream *r, enum dstream_way way, struct span s);
size_t dstream_take(struct dstream *r, enum dstream_way way, void *out, size_t n);
/* dstream_peek: what can be taken, or its first part, in place until dstream_consume says how much of it is done with. */
struct span dstream_peek(struct dstream *r, enum dstream_way way);
void dstream_consume(struct dstream *r, enum dstream_way way, size_t n);
size_t dstream_held(struct dstream *r, enum dstream_way way);

/* Device's side. dstream_device_here: from now on the calling fiber is woken. dstream_device_gone: no longer; before fn returns. */
void dstream_device_here(struct dstream *r);
void dstream_device_gone(struct dstream *r);
void dstream_opened(struct dstream *r); /* the channel is open: the call learns it */
/* dstream_put_all: blocks until all of s is in. 0, -ERR_TIMEOUT, -ERR_CANCELLED. Device's side only. */
int dstream_put_all(struct dstream *r, enum dstream_way way, struct span s) MUST_CHECK;
bool dstream_client_ended(struct dstream *r); /* the client will send no more */
bool dstream_client_left(struct dstream *r);

/* Call's side. */
void dstream_client_end(struct dstream *r);
bool dstream_is_open(struct dstream *r);
/* dstream_ended: the operation has returned. *op: its outcome, result in *err. */
bool dstream_ended(struct dstream *r, const struct device_op **op, int *err);
void dstream_leave(struct dstream *r);
