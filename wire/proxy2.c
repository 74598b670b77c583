/* SPDX-License-Identifier: GPL-3.0-or-later */
/* proxy2.c: see proxy2.h. Only stream transports are accepted: the listeners are TCP. */
#include "wire/proxy2.h"
#include "core/buf.h"
#include "core/err.h"

#include <string.h>

#define SIGNATURE_LEN 12
#define CMD_LOCAL     0x20 /* version 2 in the upper half */
#define CMD_PROXY     0x21
#define FAMILY_UNSPEC 0x00
#define FAMILY_TCP4   0x11
#define FAMILY_TCP6   0x21
#define FAMILY_UNIX   0x31
#define V4_LEN        12
#define V6_LEN        36
#define UNIX_LEN      216

static const uint8_t signature[SIGNATURE_LEN] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static void take_addresses(struct cur *c, size_t n, struct proxy2 *out)
{
	memcpy(out->source, cur_bytes(c, n).ptr, n);
	memcpy(out->target, cur_bytes(c, n).ptr, n);
	out->source_port = cur_u16(c);
	out->target_port = cur_u16(c);
}

/*
 * Octets of addresses that the family needs, or -ERR_PROTOCOL for one that cannot be on a TCP
 * listener.
 */
static ssize_t address_len(uint8_t family)
{
	switch (family) {
	case FAMILY_UNSPEC:
		return 0;
	case FAMILY_TCP4:
		return V4_LEN;
	case FAMILY_TCP6:
		return V6_LEN;
	case FAMILY_UNIX:
		return UNIX_LEN;
	default:
		return -ERR_PROTOCOL;
	}
}

/*
 * The fields that have arrived after the signature; -ERR_MORE when the fixed part is good so far
 * but incomplete.
 */
static int check_fixed(struct span in)
{
	if (in.len > 12 && in.ptr[12] != CMD_LOCAL && in.ptr[12] != CMD_PROXY)
		return -ERR_PROTOCOL;
	/* LOCAL: the family is to be ignored, and so is the address. */
	if (in.len > 13 && in.ptr[12] == CMD_PROXY && address_len(in.ptr[13]) < 0)
		return -ERR_PROTOCOL;
	return in.len < PROXY2_FIXED ? -ERR_MORE : 0;
}

ssize_t proxy2_parse(struct span in, struct proxy2 *out)
{
	struct cur c = cur_of(in);
	bool proxied;
	uint8_t family;
	size_t n;
	int r;

	*out = (struct proxy2){0};
	if (in.len == 0)
		return -ERR_MORE;
	if (memcmp(in.ptr, signature, MIN(in.len, (size_t)SIGNATURE_LEN)) != 0)
		return -ERR_PROTOCOL;
	r = check_fixed(in);
	if (r != 0)
		return r;
	(void)cur_bytes(&c, SIGNATURE_LEN);
	proxied = cur_u8(&c) == CMD_PROXY;
	family = cur_u8(&c);
	n = cur_u16(&c);
	if (n > PROXY2_MAX - PROXY2_FIXED)
		return -ERR_TOO_BIG;
	if (proxied && n < (size_t)address_len(family))
		return -ERR_PROTOCOL;
	if (c.left < n)
		return -ERR_MORE;
	if (proxied && family == FAMILY_TCP4) {
		out->family = PROXY2_V4;
		take_addresses(&c, 4, out);
	} else if (proxied && family == FAMILY_TCP6) {
		out->family = PROXY2_V6;
		take_addresses(&c, 16, out);
	}
	return (ssize_t)(PROXY2_FIXED + n);
}
