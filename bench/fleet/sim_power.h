/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sim_power.h: the host behind one AMT device: its power state as it changes with time after a request (amt.md B.2). Lazy:
 * the state is brought up to the time that a caller names, so no timers are needed. Pure; owned by one device.
 */
#pragma once

#include "core/base.h"

/* CIM power states and requests (amt.md B.2). */
enum sim_power_value {
	SIM_POWER_ON = 2,
	SIM_POWER_SLEEP_LIGHT = 3,
	SIM_POWER_SLEEP = 4,
	SIM_POWER_CYCLE = 5,
	SIM_POWER_OFF_HARD = 6,
	SIM_POWER_HIBERNATE = 7,
	SIM_POWER_OFF = 8,
	SIM_POWER_CYCLE_HARD = 9,
	SIM_POWER_RESET = 10,
	SIM_POWER_NMI = 11,
	SIM_POWER_OFF_GRACEFUL = 12,
	SIM_POWER_OFF_HARD_GRACEFUL = 13,
	SIM_POWER_RESET_GRACEFUL = 14,
	SIM_POWER_CYCLE_GRACEFUL = 15,
	SIM_POWER_CYCLE_HARD_GRACEFUL = 16,
};

/* What RequestPowerStateChange returns. */
enum sim_power_result {
	SIM_POWER_OK = 0,
	SIM_POWER_NOT_SUPPORTED = 1,
	SIM_POWER_NOT_POSSIBLE = 2, /* not in the present state, or graceful without an agent */
	SIM_POWER_NOT_IN_TIME = 3,  /* graceful while the host still boots */
	SIM_POWER_FAILED = 4,       /* by option */
	SIM_POWER_INVALID = 5,
	SIM_POWER_IN_USE = 6, /* a transition is under way */
};

#define SIM_POWER_PHASES        2
#define SIM_POWER_AVAILABLE_MAX 8

struct sim_power {
	bool has_agent;        /* the host's system answers graceful requests once booted */
	bool broken;           /* every request fails with 4 */
	uint8_t state;         /* 2, 4, 7 or 8 */
	uint32_t speed_pct;    /* durations are divided by this / 100 */
	uint32_t boots;        /* times that the host started to boot */
	uint64_t booted_at_ms; /* from then on the agent is there, if the host has one */
	size_t phases_len;
	struct {
		uint64_t at_ms;
		uint8_t state;
		bool boot;
	} phases[SIM_POWER_PHASES];
};

/* sim_power_init: on and booted. speed_pct: 100 is real time, 1000 ten times as fast. */
void sim_power_init(struct sim_power *p, bool has_agent, uint32_t speed_pct);
/* sim_power_state: brings the host up to now; a CIM power state. */
uint8_t sim_power_state(struct sim_power *p, uint64_t now_ms);
/* sim_power_request: as RequestPowerStateChange. value is what the client sent. */
enum sim_power_result sim_power_request(struct sim_power *p, uint32_t value, uint64_t now_ms);
/* sim_power_available: AvailableRequestedPowerStates now, in the order firmware lists them; the count. */
size_t sim_power_available(struct sim_power *p, uint64_t now_ms,
                           uint8_t out[SIM_POWER_AVAILABLE_MAX]);
/* sim_power_busy: a transition is under way. */
bool sim_power_busy(struct sim_power *p, uint64_t now_ms);
