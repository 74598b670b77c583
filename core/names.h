/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * names.h: one copy of each of a few short strings that many records carry (the group of a device, of an event), counted by
 * who holds it. Not locked: used under the owner's lock or from one thread.
 */
#pragma once

#include "core/map.h"

struct names {
	struct map map; /* text -> struct name */
};

/* names_init: at most max different strings. names_free: every string must have been given back. */
void names_init(struct names *n, uint32_t max);
void names_free(struct names *n);

/* names_take: the kept copy of text (at most MAP_KEY_MAX octets), to be given back once. NULL: no memory, too long or too many. */
const char *names_take(struct names *n, const char *text) MUST_CHECK;
/* names_give: text is what names_take returned; NULL is ignored. */
void names_give(struct names *n, const char *text);
