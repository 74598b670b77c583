/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * session.h: what is kept with a tunnel for AMT: the transport that is reused, the digest challenge, the lock that lets one request at a time
 * through (amt.md A.1), the counter of message ids. Made at the first use.
 */
#pragma once

#include "amt/transport.h"
#include "wire/digest.h"
#include "wire/http1.h"

struct amt_stages;

struct amt_session {
	struct tunnel *t; /* owner */
	struct fiber_lock lock;
	struct transport *tr; /* NULL: none open */
	struct timer idle;
	struct digest_client digest;
	uint32_t message_id;
	struct amt_stages *stages; /* of the call that holds the lock; NULL: none */
	bool proven;               /* the account worked on this tunnel */
	bool following;            /* amt_power_follow runs */
};

/* session_of: the tunnel's session. NULL: no memory. */
struct amt_session *session_of(struct tunnel *t);

/* An HTTP exchange with /wsman, digest included. In a fiber that holds the lock. */
struct amt_exchange {
	struct span body; /* SOAP request */
	bool repeatable; /* may be sent again when an idle connection turns out to be dead: reads */
	struct buf answer; /* SOAP answer: init before, free after */
	int status;        /* HTTP status of the final answer */
};

/*
 * http_exchange: sends the request, answers a digest challenge, reconnects as the firmware's habits demand (amt.md A.3: it closes after 401).
 * 0 when a SOAP answer (of any status) is there; negative with why.
 */
int http_exchange(struct amt_session *s, struct amt_exchange *x, struct amt_error *why) MUST_CHECK;

/* session_acquire / session_release: the lock around an exchange; release arms the idle timer. */
int session_acquire(struct amt_session *s) MUST_CHECK;
void session_release(struct amt_session *s);
void session_drop_transport(struct amt_session *s);
