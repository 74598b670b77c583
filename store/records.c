/* SPDX-License-Identifier: GPL-3.0-or-later */
/* records.c: device keys as text. */
#include "store/records.h"
#include "core/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INSTANCE_DIGITS_MAX 5

void device_key_format(const struct device_key *k, char out[DEVICE_KEY_TEXT_MAX])
{
	guid_format(&k->guid, out);
	if (k->instance > 0)
		(void)snprintf(out + GUID_TEXT_LEN, DEVICE_KEY_TEXT_MAX - GUID_TEXT_LEN,
		               "#%" PRIu16, k->instance);
}

/* A number 1..65535 without leading zeros: one text a key. */
static int parse_instance(struct span text, uint16_t *out)
{
	uint32_t v = 0;

	if (text.len == 0 || text.len > INSTANCE_DIGITS_MAX || text.ptr[0] == '0')
		return -ERR_INVALID;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return -ERR_INVALID;
		v = v * 10 + (uint32_t)(text.ptr[i] - '0');
	}
	if (v > UINT16_MAX)
		return -ERR_INVALID;
	*out = (uint16_t)v;
	return 0;
}

int device_key_parse(struct span text, struct device_key *out)
{
	*out = (struct device_key){.instance = 0};
	if (text.len < GUID_TEXT_LEN ||
	    guid_parse(span_of(text.ptr, GUID_TEXT_LEN), &out->guid) != 0)
		return -ERR_INVALID;
	if (text.len == GUID_TEXT_LEN)
		return 0;
	if (text.ptr[GUID_TEXT_LEN] != '#')
		return -ERR_INVALID;
	return parse_instance(span_of(text.ptr + GUID_TEXT_LEN + 1, text.len - GUID_TEXT_LEN - 1),
	                      &out->instance);
}
