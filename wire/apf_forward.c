/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apf_forward.c: the list of forwarded ports. At most 16 entries, so searching is a loop. */
#include "wire/apf_forward.h"
#include "core/err.h"

#include <stdlib.h>
#include <string.h>

#define HOST_LEN_MAX 255u

int apf_forwards_find(const struct apf_forwards *f, uint32_t port)
{
	for (int i = 0; i < f->n; i++) {
		if (f->port[i] == port)
			return i;
	}
	return -1;
}

struct span apf_forwards_host(const struct apf_forwards *f, int i)
{
	const uint8_t *p;

	ASSERT(i >= 0 && i < f->n && f->hosts != NULL);
	p = f->hosts + f->host_at[i];
	return span_of(p + 1, p[0]);
}

/* Where block already holds this text, or -1. */
static int host_find(const uint8_t *block, size_t len, struct span host)
{
	size_t at = 0;

	while (at < len) {
		if (block[at] == host.len &&
		    (host.len == 0 || memcmp(block + at + 1, host.ptr, host.len) == 0))
			return (int)at;
		at += 1u + block[at];
	}
	return -1;
}

static size_t host_append(uint8_t *block, size_t *len, struct span host)
{
	int found = host_find(block, *len, host);
	size_t at = *len;

	if (found >= 0)
		return (size_t)found;
	block[at] = (uint8_t)host.len;
	if (host.len > 0)
		memcpy(block + at + 1, host.ptr, host.len);
	*len = at + 1 + host.len;
	return at;
}

/* Rebuilds the block from the hosts in use and one more; returns that one's offset or -ERR_NOMEM. */
static int hosts_rebuild(struct apf_forwards *f, struct span extra)
{
	size_t size = f->hosts_len + 1 + extra.len;
	size_t len = 0;
	size_t at;
	uint8_t *block = malloc(size);

	if (block == NULL)
		return -ERR_NOMEM;
	for (int i = 0; i < f->n; i++)
		f->host_at[i] = (uint16_t)host_append(block, &len, apf_forwards_host(f, i));
	at = host_append(block, &len, extra);
	free(f->hosts);
	f->hosts = block;
	f->hosts_len = (uint16_t)len;
	return (int)at;
}

int apf_forwards_set(struct apf_forwards *f, uint16_t port, struct span host)
{
	int i = apf_forwards_find(f, port);
	int at;

	ASSERT(host.len <= HOST_LEN_MAX);
	if (i < 0 && f->n == APF_FORWARDS_MAX)
		return -ERR_FULL;
	at = f->hosts == NULL ? -1 : host_find(f->hosts, f->hosts_len, host);
	if (at < 0)
		at = hosts_rebuild(f, host);
	if (at < 0)
		return at;
	if (i >= 0) {
		f->host_at[i] = (uint16_t)at;
		return 0;
	}
	f->port[f->n] = port;
	f->host_at[f->n++] = (uint16_t)at;
	return 1;
}

bool apf_forwards_remove(struct apf_forwards *f, uint32_t port)
{
	int i = apf_forwards_find(f, port);

	if (i < 0)
		return false;
	f->n--;
	for (; i < f->n; i++) {
		f->port[i] = f->port[i + 1];
		f->host_at[i] = f->host_at[i + 1];
	}
	return true;
}

void apf_forwards_fini(struct apf_forwards *f)
{
	free(f->hosts);
	*f = (struct apf_forwards){0};
}
