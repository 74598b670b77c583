/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sim_wsman.h: the WS-Management service of one device: an envelope in, an envelope out (amt.md A.5 to A.8, B). Pure but for
 * the clock value; owned by one device.
 */
#pragma once

#include "bench/fleet/sim_power.h"
#include "bench/fleet/sim_soap.h"

#define SIM_WSMAN_CONTEXTS 4 /* enumerations under way; the oldest makes room */
#define SIM_WSMAN_VERSION  "15.0.23"
#define SIM_WSMAN_BUILD    "1706"

/* What tells devices apart; borrowed. */
struct sim_facts {
	struct guid guid;
	char realm[7 + 32 + 1]; /* "Digest:" and 32 hexadecimal digits */
	char host[32];
	const char *domain;
	uint8_t mac[6];
	char serial[16];
	char address[16];
};

struct sim_wsman {
	struct sim_cim cim;
	const struct sim_facts *facts;
	struct sim_power *power;
	uint64_t message_number;
	uint32_t next_context;
	struct {
		uint32_t id; /* 0: free */
		const struct sim_cim_class *cls;
		size_t pos;
	} contexts[SIM_WSMAN_CONTEXTS];
	uint32_t boots_seen; /* single-use boot settings end with a boot */
	int64_t clock_offset_s;
	uint64_t now_ms; /* of the request under way */
	uint64_t requests, faults;
};

void sim_wsman_init(struct sim_wsman *w, const struct sim_facts *facts, struct sim_power *power);
void sim_wsman_free(struct sim_wsman *w);

/* sim_wsman_handle: appends the answer; the HTTP status: 200, 400 with a fault in out, 0 for a body that is no envelope. */
int sim_wsman_handle(struct sim_wsman *w, struct span body, uint64_t now_ms, struct buf *out);

/*
 * Internal: runs the method; out members without ReturnValue are appended to out as lines.
 * The return value, or -ERR_NOT_FOUND if the class has no such method.
 */
int64_t sim_wsman_invoke(struct sim_wsman *w, const struct sim_cim_class *cls, const char *method,
                         struct span params, struct buf *out);
