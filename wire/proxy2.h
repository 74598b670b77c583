/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * proxy2.h: the binary header of the PROXY protocol, version 2 (haproxy.org, proxy-protocol.txt
 * section 2.2), which a load balancer puts before the first byte of a connection. Stateless: the
 * caller keeps what it has received until the parser has an answer. Whether a peer may send the
 * header at all is the caller's decision.
 */
#pragma once

#include "core/base.h"

#define PROXY2_FIXED 16  /* signature, version and command, family, length */
#define PROXY2_MAX   536 /* the longest header that is accepted, TLVs included */

enum proxy2_family {
	/* LOCAL (a health check by the balancer itself), unspecified or Unix: keep the real peer */
	PROXY2_NONE,
	PROXY2_V4,
	PROXY2_V6,
};

struct proxy2 {
	enum proxy2_family family;
	uint8_t source[16]; /* network order; 4 or 16 bytes of it */
	uint8_t target[16];
	uint16_t source_port; /* host order */
	uint16_t target_port;
};

/*
 * proxy2_parse(in, out): number of octets of the header at the front of in, after which the
 * connection's own bytes begin; -ERR_MORE: so far it fits, give a longer in; -ERR_PROTOCOL: not
 * such a header; -ERR_TOO_BIG: longer than PROXY2_MAX. TLVs are skipped unread. Wrong bytes are
 * refused as soon as they are there.
 */
ssize_t proxy2_parse(struct span in, struct proxy2 *out);
