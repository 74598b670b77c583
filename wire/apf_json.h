/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * apf_json.h: a streaming check that the body of a JSON_CONTROL message (apf.md 5.16, agent tunnels only) is one JSON
 * object whose member "action" is a string. It keeps no text, only where in the grammar it is: constant memory, bounded
 * depth. Pure; any thread.
 */
#pragma once

#include "core/base.h"

#define APF_JSON_DEPTH_MAX 16u

/* All zero is the start. Fields are private to apf_json.c. */
struct apf_json {
	uint32_t arrays; /* bit d: the container at depth d is an array */
	uint8_t state;
	uint8_t depth;
	uint8_t word; /* place in a number or in true, false, null; hexadecimal digits left in \u */
	uint8_t letters; /* letters of "action" that the present top-level name has matched, or MISMATCH */
	bool escape;
	bool found;
	bool bad;
};

/* apf_json_init(j): ready for the first octet of a body. */
void apf_json_init(struct apf_json *j);

/* apf_json_feed(j, piece): the next octets of the body. */
void apf_json_feed(struct apf_json *j, struct span piece);

/* apf_json_ok(j): after the last octet: well-formed, an object, with a string "action". */
bool apf_json_ok(const struct apf_json *j);
