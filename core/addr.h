/* SPDX-License-Identifier: GPL-3.0-or-later */
/* addr.h: socket addresses as values, their text form, and networks (CIDR). Any thread. */
#pragma once

#include "core/base.h"
#include <sys/socket.h>

struct addr {
	struct sockaddr_storage ss;
	socklen_t len; /* 0: none */
};
#define ADDR_TEXT_MAX 72

/* addr_parse: "127.0.0.1:80", "[::1]:80", ":80" (any, IPv6 socket that takes IPv4 too), "localhost:80" (loopback only by name). 0 or -ERR_INVALID. */
int addr_parse(const char *text, struct addr *out) MUST_CHECK;
/* addr_format: "1.2.3.4:80" or "[::1]:80"; IPv4-mapped IPv6 prints as IPv4. */
void addr_format(const struct addr *a, char out[ADDR_TEXT_MAX]);
/* addr_format_host: without the port. */
void addr_format_host(const struct addr *a, char out[ADDR_TEXT_MAX]);
uint16_t addr_port(const struct addr *a);
/* addr_source: what names the place that an address belongs to: a keyed hash of the host, of the /64 for IPv6. Never 0. */
uint64_t addr_source(const struct addr *a);
/* addr_unmap: turns ::ffff:a.b.c.d into an IPv4 address. */
void addr_unmap(struct addr *a);

/* A network. family AF_UNSPEC: matches nothing. */
struct cidr {
	int family;
	uint8_t bytes[16];
	uint8_t prefix_len;
};
/*
 * cidr_parse: "10.0.0.0/8", "2001:db8::/32", or one address without a length. Bits behind the prefix must be zero, so that a
 * slip is not read as a larger network. 0 or -ERR_INVALID.
 */
int cidr_parse(const char *text, struct cidr *out) MUST_CHECK;
/* cidr_contains: IPv4-mapped IPv6 addresses are matched as IPv4. */
bool cidr_contains(const struct cidr *c, const struct addr *a);
