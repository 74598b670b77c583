/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * apf_forward.h: the ports that a device has asked us to forward (tcpip-forward, apf.md 5.5) and the host name that it gave
 * with each. Host names are kept once each, in one block. Owned by a session; no thread affinity of its own.
 */
#pragma once

#include "core/base.h"

#define APF_FORWARDS_MAX 16u

struct apf_forwards {
	uint8_t *hosts; /* {length octet, octets} one after the other */
	uint16_t hosts_len;
	uint16_t n;
	uint16_t port[APF_FORWARDS_MAX];
	uint16_t host_at[APF_FORWARDS_MAX]; /* offset into hosts */
};

/* apf_forwards_find(f, port): its index, or -1. */
int apf_forwards_find(const struct apf_forwards *f, uint32_t port);

/*
 * apf_forwards_set(f, port, host): adds the port, or gives it a new host. 1 if the port is new, 0 if it was there,
 * -ERR_FULL beyond APF_FORWARDS_MAX, -ERR_NOMEM. host.len <= 255; it is copied.
 */
int apf_forwards_set(struct apf_forwards *f, uint16_t port, struct span host);

/* apf_forwards_remove(f, port): whether it was there. Host text that is no longer used goes at the next set. */
bool apf_forwards_remove(struct apf_forwards *f, uint32_t port);

/* apf_forwards_host(f, i): the host text of entry i; valid until the next change. */
struct span apf_forwards_host(const struct apf_forwards *f, int i);

/* apf_forwards_fini(f): releases the text and empties the list. */
void apf_forwards_fini(struct apf_forwards *f);
