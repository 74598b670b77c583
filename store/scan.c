/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scan.c: msgpack looked over without allocation, before it is unpacked. No recursion: a stack of SCAN_DEPTH_MAX counts. */
#include "core/err.h"
#include "store/codec.h"

/* What follows a lead byte: bytes of data, and objects inside. */
struct lead {
	uint64_t bytes, objects;
	bool container;
};

static uint64_t read_uint(struct cur *c, unsigned octets)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < octets; i++)
		v = v << 8 | cur_u8(c);
	return v;
}

/* 0xc0..0xdf: the forms with a length, a count or a fixed size of their own (msgpack specification, "Formats"). */
static int read_long_form(struct cur *c, uint8_t b, struct lead *l)
{
	static const uint8_t fixed[] = {
		/* c0 nil, c1 never used, c2 c3 booleans, c4..c9 variable, ca cb floats, cc..d3 integers */
		[0x0a] = 4, [0x0b] = 8, [0x0c] = 1, [0x0d] = 2, [0x0e] = 4,
		[0x0f] = 8, [0x10] = 1, [0x11] = 2, [0x12] = 4, [0x13] = 8,
		[0x14] = 2, [0x15] = 3, [0x16] = 5, [0x17] = 9, [0x18] = 17};

	if (b == 0xc1)
		return -ERR_CORRUPT;
	if (b >= 0xc4 && b <= 0xc6)
		l->bytes = read_uint(c, 1u << (b - 0xc4));
	else if (b >= 0xc7 && b <= 0xc9)
		l->bytes = read_uint(c, 1u << (b - 0xc7)) + 1;
	else if (b >= 0xd9 && b <= 0xdb)
		l->bytes = read_uint(c, 1u << (b - 0xd9));
	else if (b >= 0xdc) {
		l->container = true;
		l->objects = read_uint(c, (b & 1) == 0 ? 2 : 4) * (b >= 0xde ? 2 : 1);
	} else
		l->bytes = fixed[b - 0xc0];
	return c->err != 0 ? -ERR_CORRUPT : 0;
}

static int read_lead(struct cur *c, struct lead *l)
{
	uint8_t b = cur_u8(c);

	*l = (struct lead){.bytes = 0};
	if (c->err != 0)
		return -ERR_CORRUPT;
	if (b >= 0xc0 && b <= 0xdf)
		return read_long_form(c, b, l);
	if (b >= 0xa0 && b <= 0xbf)
		l->bytes = b & 0x1f;
	else if (b >= 0x80 && b <= 0x9f) {
		l->container = true;
		l->objects = (uint64_t)(b & 0x0f) * (b < 0x90 ? 2 : 1);
	}
	return 0;
}

int scan_check(struct span s)
{
	struct cur c = cur_of(s);
	uint64_t left[SCAN_DEPTH_MAX + 1] = {1}; /* objects still to come at each depth */
	unsigned depth = 0, total = 0;
	struct lead l;

	for (;;) {
		while (left[depth] == 0) {
			if (depth == 0)
				return c.left == 0 ? 0 : -ERR_CORRUPT;
			depth--;
		}
		left[depth]--;
		if (++total > SCAN_OBJECTS_MAX || read_lead(&c, &l) != 0)
			return -ERR_CORRUPT;
		if (l.bytes > c.left || l.objects > c.left)
			return -ERR_CORRUPT;
		(void)cur_bytes(&c, (size_t)l.bytes);
		if (!l.container)
			continue;
		if (++depth > SCAN_DEPTH_MAX)
			return -ERR_CORRUPT;
		left[depth] = l.objects;
	}
}
