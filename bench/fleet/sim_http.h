/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sim_http.h: the HTTP server of firmware on one connection (amt.md A.1, A.2): one request at a time, digest, chunks of at most
 * 762 octets, answers that close. Pure; owned by one channel of one device.
 */
#pragma once

#include "bench/fleet/sim_digest.h"
#include "bench/fleet/sim_wsman.h"

#define SIM_HTTP_HEAD_MAX  (8UL * 1024)
#define SIM_HTTP_CHUNK_MAX 762

struct sim_http {
	struct sim_wsman *wsman;   /* borrowed */
	struct sim_digest *digest; /* borrowed */
	struct buf in;
	uint32_t requests, unauthorized;
};

enum sim_http_next { SIM_HTTP_KEEP, SIM_HTTP_CLOSE };

void sim_http_init(struct sim_http *h, struct sim_wsman *wsman, struct sim_digest *digest);
void sim_http_free(struct sim_http *h);
/* sim_http_input: takes octets of the client, appends answers to out; CLOSE: the connection ends after them. */
enum sim_http_next sim_http_input(struct sim_http *h, struct span s, uint64_t now_ms,
                                  struct buf *out);
