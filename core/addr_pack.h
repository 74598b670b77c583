/* SPDX-License-Identifier: GPL-3.0-or-later */
/* addr_pack.h: an IP address and port in 32 octets instead of struct addr's 136, for what is kept by the hundred thousand. */
#pragma once

#include "core/addr.h"

#include <netinet/in.h>
#include <string.h>

struct addr_pack {
	_Alignas(4) uint8_t octets[sizeof(struct sockaddr_in6)];
	uint8_t len; /* 0: none, or not an IP address */
};

static inline void addr_pack(struct addr_pack *out, const struct addr *a)
{
	*out = (struct addr_pack){.len = 0};
	if (a->len > sizeof(out->octets))
		return;
	memcpy(out->octets, &a->ss, a->len);
	out->len = (uint8_t)a->len;
}

static inline void addr_unpack(struct addr *out, const struct addr_pack *p)
{
	*out = (struct addr){.len = p->len};
	memcpy(&out->ss, p->octets, p->len);
}
