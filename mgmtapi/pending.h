/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pending.h: delayed power actions: at most one a device, in memory only (a restart of the server forgets them). Each is a fiber on the
 * loop that it was asked on. The table is for any thread; pending_add and the fibers need a loop.
 */
#pragma once

#include "amt/amt.h"

#define PENDING_MAX 1024 /* delayed actions at once */

struct api;
struct pending_table;

struct pending_power {
	struct device_key key;
	enum amt_power_action action;
	bool force;
	uint64_t due_ms; /* Unix */
	char principal[96];
};

struct pending_table *pending_new(struct api *a);
/* pending_free: after the loops ended. */
void pending_free(struct pending_table *t);
/* pending_count: how many wait, of PENDING_MAX. */
unsigned pending_count(struct pending_table *t);

/* pending_add: replaces one that waits. 0, -ERR_FULL, -ERR_NOMEM. On a loop. */
int pending_add(struct pending_table *t, const struct pending_power *p) MUST_CHECK;
/* pending_find: a copy of the one that waits. pending_remove: the same, and it will not be done. False: there is none. */
bool pending_find(struct pending_table *t, const struct device_key *key, struct pending_power *out);
bool pending_remove(struct pending_table *t, const struct device_key *key,
                    struct pending_power *out);
