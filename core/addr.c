/* SPDX-License-Identifier: GPL-3.0-or-later */
/* addr.c: text forms of socket addresses and networks. Never asks a name server. */
#include "core/addr.h"
#include "core/err.h"
#include "core/map.h"
#include "core/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* A decimal number 0..max that fills the whole text; -1 otherwise. No sign, no leading zeros. */
static int parse_number(const char *text, int max)
{
	int v = 0;

	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return -1;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		v = v * 10 + (*text - '0');
		if (v > max)
			return -1;
	}
	return v;
}

static struct addr make_v4(struct in_addr ip, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip};
	struct addr a = {.len = sizeof(sin)};

	memcpy(&a.ss, &sin, sizeof(sin));
	return a;
}

static struct addr make_v6(const struct in6_addr *ip, uint16_t port)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *ip};
	struct addr a = {.len = sizeof(sin6)};

	memcpy(&a.ss, &sin6, sizeof(sin6));
	return a;
}

/* The host part without brackets; v6 tells that it stood in brackets. */
static int parse_host(const char *host, bool v6, uint16_t port, struct addr *out)
{
	struct in6_addr ip6;
	struct in_addr ip4;

	if (v6) {
		if (inet_pton(AF_INET6, host, &ip6) != 1)
			return -ERR_INVALID;
		*out = make_v6(&ip6, port);
		return 0;
	}
	if (host[0] == '\0') {
		*out = make_v6(&in6addr_any, port);
		return 0;
	}
	if (strcmp(host, "localhost") == 0)
		ip4.s_addr = htonl(INADDR_LOOPBACK);
	else if (inet_pton(AF_INET, host, &ip4) != 1)
		return -ERR_INVALID;
	*out = make_v4(ip4, port);
	return 0;
}

int addr_parse(const char *text, struct addr *out)
{
	bool v6 = text[0] == '[';
	const char *end = v6 ? strchr(text, ']') : strchr(text, ':');
	const char *colon = end != NULL && v6 ? end + 1 : end;
	char host[ADDR_TEXT_MAX];
	int port;

	*out = (struct addr){.len = 0};
	if (end == NULL || *colon != ':')
		return -ERR_INVALID;
	text += v6 ? 1 : 0;
	if (!str_copy_span(host, sizeof(host), span_of(text, (size_t)(end - text))))
		return -ERR_INVALID;
	port = parse_number(colon + 1, UINT16_MAX);
	return port < 0 ? -ERR_INVALID : parse_host(host, v6, (uint16_t)port, out);
}

/* The bytes of the IP address: 4 or 16, 0 if it is neither; an IPv4-mapped one counts as IPv4. */
static size_t ip_bytes(const struct addr *a, uint8_t out[16])
{
	struct sockaddr_in6 sin6;
	struct sockaddr_in sin;

	if (a->len >= sizeof(sin) && a->ss.ss_family == AF_INET) {
		memcpy(&sin, &a->ss, sizeof(sin));
		memcpy(out, &sin.sin_addr, 4);
		return 4;
	}
	if (a->len < sizeof(sin6) || a->ss.ss_family != AF_INET6)
		return 0;
	memcpy(&sin6, &a->ss, sizeof(sin6));
	if (memcmp(&sin6.sin6_addr, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		memcpy(out, (const uint8_t *)&sin6.sin6_addr + sizeof(mapped_prefix), 4);
		return 4;
	}
	memcpy(out, &sin6.sin6_addr, 16);
	return 16;
}

static char *put_number(char *out, unsigned v)
{
	char digits[10];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	while (n > 0)
		*out++ = digits[--n];
	return out;
}

/* By hand: inet_ntop prints with a format, and lists of devices are full of these. Returns the end. */
static char *put_v4(char *out, const uint8_t ip[4])
{
	for (unsigned i = 0; i < 4; i++) {
		if (i > 0)
			*out++ = '.';
		out = put_number(out, ip[i]);
	}
	*out = '\0';
	return out;
}

void addr_format_host(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	uint8_t ip[16];
	size_t n = ip_bytes(a, ip);

	if (n == 4)
		(void)put_v4(out, ip);
	else if (n == 0 || inet_ntop(AF_INET6, ip, out, ADDR_TEXT_MAX) == NULL)
		(void)str_copy(out, ADDR_TEXT_MAX, "none");
}

void addr_format(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX];
	uint8_t ip[16];
	size_t n = ip_bytes(a, ip);

	if (n == 4) {
		char *end = put_v4(out, ip);

		*end++ = ':';
		*put_number(end, addr_port(a)) = '\0';
		return;
	}
	addr_format_host(a, host);
	if (n == 0)
		(void)str_copy(out, ADDR_TEXT_MAX, host);
	else
		(void)snprintf(out, ADDR_TEXT_MAX, "[%.46s]:%u", host, (unsigned)addr_port(a));
}

uint16_t addr_port(const struct addr *a)
{
	struct sockaddr_in6 sin6 = {0};
	struct sockaddr_in sin = {0};

	if (a->len >= sizeof(sin) && a->ss.ss_family == AF_INET) {
		memcpy(&sin, &a->ss, sizeof(sin));
		return ntohs(sin.sin_port);
	}
	if (a->len >= sizeof(sin6) && a->ss.ss_family == AF_INET6) {
		memcpy(&sin6, &a->ss, sizeof(sin6));
		return ntohs(sin6.sin6_port);
	}
	return 0;
}

void addr_unmap(struct addr *a)
{
	struct in_addr ip4;
	uint8_t ip[16];

	if (a->ss.ss_family != AF_INET6 || ip_bytes(a, ip) != 4)
		return;
	memcpy(&ip4, ip, sizeof(ip4));
	*a = make_v4(ip4, addr_port(a));
}

#define SOURCE_BYTES_V6 8 /* who has one address of a /64 has them all */

uint64_t addr_source(const struct addr *a)
{
	uint8_t ip[16] = {0};
	size_t n = ip_bytes(a, ip);
	uint64_t h = map_hash(span_of(ip, MIN(n, (size_t)SOURCE_BYTES_V6)));

	return h != 0 ? h : 1;
}

/* Are all bits behind the first n zero? */
static bool host_bits_are_zero(const struct cidr *c)
{
	for (unsigned bit = c->prefix_len; bit < 128; bit++)
		if ((c->bytes[bit / 8] & 0x80u >> bit % 8) != 0)
			return false;
	return true;
}

int cidr_parse(const char *text, struct cidr *out)
{
	const char *slash = strchr(text, '/');
	size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);
	char host[ADDR_TEXT_MAX];
	struct cidr c = {0};
	int max, len;

	*out = (struct cidr){.family = AF_UNSPEC};
	if (!str_copy_span(host, sizeof(host), span_of(text, n)))
		return -ERR_INVALID;
	c.family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET;
	max = c.family == AF_INET6 ? 128 : 32;
	if (inet_pton(c.family, host, c.bytes) != 1)
		return -ERR_INVALID;
	len = slash != NULL ? parse_number(slash + 1, max) : max;
	if (len < 0)
		return -ERR_INVALID;
	c.prefix_len = (uint8_t)len;
	if (!host_bits_are_zero(&c))
		return -ERR_INVALID;
	*out = c;
	return 0;
}

bool cidr_contains(const struct cidr *c, const struct addr *a)
{
	uint8_t ip[16];
	size_t n = ip_bytes(a, ip), whole = c->prefix_len / 8;
	uint8_t mask = (uint8_t)(0xff00u >> c->prefix_len % 8);

	if (n != (c->family == AF_INET ? 4u : c->family == AF_INET6 ? 16u : SIZE_MAX))
		return false;
	if (memcmp(ip, c->bytes, whole) != 0)
		return false;
	return mask == 0 || ((ip[whole] ^ c->bytes[whole]) & mask) == 0;
}
