/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls_ticket.h: the keys that seal session tickets (RFC 5077, RFC 8446 4.6.1). One object serves every context and thread;
 * who owns it keeps the keys across restarts and gives new ones from time to time.
 */
#pragma once

#include "core/base.h"

#define TLS_TICKET_NAME_SIZE 16
#define TLS_TICKET_KEYS      2           /* the newest seals, the one before it still opens */
#define TLS_TICKET_AGE_S     (12 * 3600) /* older tickets are passed over: a full handshake follows */

struct tls_ticket_key {
	uint8_t name[TLS_TICKET_NAME_SIZE]; /* stands in clear in the ticket */
	uint8_t key[32];
};

struct tls_tickets;

/*
 * tls_tickets_new: with a random key of its own. wall_ms tells the time, from which tickets get their age: clock_wall_ms, but for tests;
 * any thread. NULL: no memory. References as tls_ctx.
 */
struct tls_tickets *tls_tickets_new(int64_t (*wall_ms)(void));
struct tls_tickets *tls_tickets_ref(struct tls_tickets *t);
void tls_tickets_unref(struct tls_tickets *t);

/* tls_tickets_set: 1 <= n <= TLS_TICKET_KEYS keys, the newest first, replace all that were there. Any thread. */
void tls_tickets_set(struct tls_tickets *t, const struct tls_ticket_key *keys, size_t n);
