/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ticket.h: what wolfSSL does with tickets, without a connection: a server's context seals and opens them at a time that the test sets. */
#pragma once

#include "core/tls_internal.h"
#include "tests/unit/support/test.h"
#include "tests/unit/support/tls_pair.h"

#include <string.h>

#define TICKET_TEXT "what a session needs to go on"

struct sealed {
	uint8_t name[WOLFSSL_TICKET_NAME_SZ], iv[WOLFSSL_TICKET_IV_SZ], mac[WOLFSSL_TICKET_MAC_SZ];
	uint8_t text[sizeof(TICKET_TEXT)];
};

static int64_t ticket_now_ms;

static inline int64_t ticket_clock(void)
{
	return ticket_now_ms;
}

static inline struct tls_ctx *ticket_ctx(enum tls_profile profile, struct tls_tickets *tickets)
{
	const struct tls_pki *pki = tls_pki_get();
	const struct tls_ctx_opts o = {.server = true,
	                               .profile = profile,
	                               .cert_chain_pem = buf_span(&pki->server_pem),
	                               .key_pem = buf_span(&pki->server_key_pem),
	                               .tickets = tickets};
	struct buf why = {.cap = 1000};
	struct tls_ctx *ctx = tls_ctx_new(&o, &why);

	assert_string_equal(buf_cstr(&why), "");
	assert_non_null(ctx);
	buf_free(&why);
	return ctx;
}

static inline struct sealed ticket_seal(struct tls_ctx *ctx)
{
	struct sealed s = {.text = TICKET_TEXT};
	int len = 0;

	assert_int_equal(
		tls_on_ticket(NULL, s.name, s.iv, s.mac, 1, s.text, sizeof(s.text), &len, ctx),
		WOLFSSL_TICKET_RET_OK);
	assert_int_equal(len, sizeof(s.text));
	assert_memory_not_equal(s.text, TICKET_TEXT, sizeof(s.text));
	return s;
}

/* ticket_open: what wolfSSL is told: OK, CREATE (good, but give a new one), REJECT. */
static inline int ticket_open(struct tls_ctx *ctx, struct sealed s)
{
	int len = 0, r;

	r = tls_on_ticket(NULL, s.name, s.iv, s.mac, 0, s.text, sizeof(s.text), &len, ctx);
	if (r == WOLFSSL_TICKET_RET_REJECT)
		return r;
	assert_int_equal(len, sizeof(s.text));
	assert_memory_equal(s.text, TICKET_TEXT, sizeof(s.text));
	return r;
}
