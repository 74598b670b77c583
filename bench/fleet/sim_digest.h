/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sim_digest.h: HTTP digest as firmware asks for it and checks it (amt.md A.2, A.3): realm per device, nonces that live until
 * a new challenge pushes them out, rising nc, an account that locks. Pure but for random nonces; owned by one device.
 */
#pragma once

#include "core/buf.h"

#define SIM_DIGEST_NONCES     4
#define SIM_DIGEST_NONCE_TEXT 32 /* base64 of 24 octets */

struct sim_digest {
	const char *user, *password, *realm; /* borrowed */
	const char *qop;                     /* offered: "auth", "auth-int" or "auth,auth-int" */
	uint32_t lock_after;                 /* failures in a row; 0: never locks */
	uint32_t lock_ms;
	uint32_t failures;
	uint64_t locked_until_ms;
	size_t next;
	struct {
		char text[SIM_DIGEST_NONCE_TEXT + 1];
		uint32_t last_nc;
	} nonces[SIM_DIGEST_NONCES];
};

enum sim_digest_result {
	SIM_DIGEST_OK,
	SIM_DIGEST_MISSING,
	SIM_DIGEST_STALE,
	SIM_DIGEST_WRONG,
	SIM_DIGEST_LOCKED
};

/* sim_digest_check: header is the value of Authorization; len 0 if there is none. */
enum sim_digest_result sim_digest_check(struct sim_digest *d, const char *method,
                                        struct span header, struct span body, uint64_t now_ms);
/* sim_digest_challenge: appends the WWW-Authenticate line with a fresh nonce. */
void sim_digest_challenge(struct sim_digest *d, struct buf *out);
