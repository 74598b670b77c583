/* SPDX-License-Identifier: GPL-3.0-or-later */
/* identity.c: who a device is, from the seed and its number alone, so that two runs have the same fleet. Any thread. */
#include "bench/fleet/fleet.h"

#include <stdio.h>
#include <string.h>

/* The finalizer of splitmix64: every output bit depends on every input bit. */
static uint64_t scramble(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t fleet_mix(uint64_t seed, uint64_t a, uint64_t b)
{
	return scramble(scramble(scramble(seed) ^ a) ^ b);
}

static void fill(uint64_t seed, uint64_t index, uint64_t what, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(fleet_mix(seed, index, what << 8 | i / 8) >> 8 * (i % 8));
}

void fleet_identity_make(uint64_t seed, size_t index, struct sim_facts *out)
{
	uint8_t realm[16];

	memset(out, 0, sizeof(*out));
	fill(seed, index, 1, out->guid.b, sizeof(out->guid.b));
	/* A random GUID of version 4 in text, which is octet 7 and 8 in wire order. */
	out->guid.b[7] = (uint8_t)((out->guid.b[7] & 0x0f) | 0x40);
	out->guid.b[8] = (uint8_t)((out->guid.b[8] & 0x3f) | 0x80);
	fill(seed, index, 2, realm, sizeof(realm));
	memcpy(out->realm, "Digest:", 7);
	for (size_t i = 0; i < sizeof(realm); i++)
		snprintf(out->realm + 7 + 2 * i, 3, "%02X", realm[i]);
	snprintf(out->host, sizeof(out->host), "amt%05zu", index);
	out->domain = "fleet.example";
	fill(seed, index, 3, out->mac, sizeof(out->mac));
	out->mac[0] = 0x02; /* locally administered */
	snprintf(out->serial, sizeof(out->serial), "CW%08zu", index);
	snprintf(out->address, sizeof(out->address), "10.%u.%u.%u", (unsigned)(index >> 16 & 255),
	         (unsigned)(index >> 8 & 255), (unsigned)(index & 255));
}
