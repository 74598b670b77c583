/* SPDX-License-Identifier: GPL-3.0-or-later */
/* runfile.h: DIR/run.json, by which tools find a running daemon and its real ports. */
#pragma once

#include "core/addr.h"
#include "core/buf.h"

struct runfile {
	const struct addr *cira, *api;
	size_t cira_len, api_len;
	struct addr metrics; /* len 0: off */
};

/* runfile_write: {"pid":N,"cira":["host:port"],"api":[...],"metrics":"host:port"}, atomically. An any-address shows as loopback. */
int runfile_write(const char *dir, const struct runfile *r, struct buf *why) MUST_CHECK;
/* runfile_remove: on a clean stop. */
void runfile_remove(const char *dir);
