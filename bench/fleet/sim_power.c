/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sim_power.c: transitions as tables of phases: what the host is in after how long, and whether it boots then. */
#include "bench/fleet/sim_power.h"

#include <string.h>

#define BOOT_MS 8000 /* from power to a running agent, at real speed */

struct plan {
	uint8_t request;
	bool graceful;                         /* the host's system takes part */
	uint8_t from_on, from_sleep, from_off; /* 1: possible in this state */
	struct {
		uint16_t after_ms;
		uint8_t state;
		bool boot;
	} phases[SIM_POWER_PHASES];
};

static const struct plan plans[] = {
	{SIM_POWER_ON, false, 0, 1, 1, {{1000, SIM_POWER_ON, true}}},
	{SIM_POWER_SLEEP, true, 1, 0, 0, {{2000, SIM_POWER_SLEEP, false}}},
	{SIM_POWER_CYCLE,
         false,
         1,
         1,
         0,
         {{200, SIM_POWER_OFF, false}, {3200, SIM_POWER_ON, true}}},
	{SIM_POWER_HIBERNATE, true, 1, 0, 0, {{4000, SIM_POWER_HIBERNATE, false}}},
	{SIM_POWER_OFF, false, 1, 1, 0, {{1000, SIM_POWER_OFF, false}}},
	{SIM_POWER_RESET, false, 1, 1, 0, {{200, SIM_POWER_ON, true}}},
	{SIM_POWER_NMI, false, 1, 0, 0, {{500, SIM_POWER_ON, true}}},
	{SIM_POWER_OFF_GRACEFUL, true, 1, 0, 0, {{4000, SIM_POWER_OFF, false}}},
	{SIM_POWER_RESET_GRACEFUL, true, 1, 0, 0, {{4000, SIM_POWER_ON, true}}},
};

static uint64_t scaled(const struct sim_power *p, uint64_t ms)
{
	return ms * 100 / p->speed_pct;
}

void sim_power_init(struct sim_power *p, bool has_agent, uint32_t speed_pct)
{
	memset(p, 0, sizeof(*p));
	p->has_agent = has_agent;
	p->speed_pct = MAX(speed_pct, 1U);
	p->state = SIM_POWER_ON;
	p->boots = 1;
}

static void advance(struct sim_power *p, uint64_t now_ms)
{
	while (p->phases_len > 0 && p->phases[0].at_ms <= now_ms) {
		bool from_memory = p->state == SIM_POWER_SLEEP;

		p->state = p->phases[0].state;
		if (p->phases[0].boot) {
			p->boots++;
			p->booted_at_ms =
				p->phases[0].at_ms + (from_memory ? 0 : scaled(p, BOOT_MS));
		}
		p->phases_len--;
		memmove(&p->phases[0], &p->phases[1], p->phases_len * sizeof(p->phases[0]));
	}
}

uint8_t sim_power_state(struct sim_power *p, uint64_t now_ms)
{
	advance(p, now_ms);
	return p->state;
}

bool sim_power_busy(struct sim_power *p, uint64_t now_ms)
{
	advance(p, now_ms);
	return p->phases_len > 0;
}

static const struct plan *plan_of(uint32_t value)
{
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		if (plans[i].request == value)
			return &plans[i];
	}
	return NULL;
}

static bool possible(const struct sim_power *p, const struct plan *plan)
{
	switch (p->state) {
	case SIM_POWER_ON:
		return plan->from_on != 0;
	case SIM_POWER_SLEEP:
		return plan->from_sleep != 0;
	default:
		return plan->from_off != 0;
	}
}

enum sim_power_result sim_power_request(struct sim_power *p, uint32_t value, uint64_t now_ms)
{
	const struct plan *plan = plan_of(value);

	advance(p, now_ms);
	if (value < SIM_POWER_ON || value > SIM_POWER_CYCLE_HARD_GRACEFUL)
		return SIM_POWER_INVALID;
	if (p->broken)
		return SIM_POWER_FAILED;
	if (plan == NULL)
		return SIM_POWER_NOT_SUPPORTED;
	if (p->phases_len > 0)
		return SIM_POWER_IN_USE;
	if (!possible(p, plan) || (plan->graceful && !p->has_agent))
		return SIM_POWER_NOT_POSSIBLE;
	if (plan->graceful && now_ms < p->booted_at_ms)
		return SIM_POWER_NOT_IN_TIME;
	for (size_t i = 0; i < SIM_POWER_PHASES && plan->phases[i].state != 0; i++) {
		p->phases[i].at_ms = now_ms + scaled(p, plan->phases[i].after_ms);
		p->phases[i].state = plan->phases[i].state;
		p->phases[i].boot = plan->phases[i].boot;
		p->phases_len = i + 1;
	}
	return SIM_POWER_OK;
}

size_t sim_power_available(struct sim_power *p, uint64_t now_ms,
                           uint8_t out[SIM_POWER_AVAILABLE_MAX])
{
	/* The order of a recorded answer. */
	static const uint8_t order[] = {SIM_POWER_RESET,
	                                SIM_POWER_OFF,
	                                SIM_POWER_CYCLE,
	                                SIM_POWER_NMI,
	                                SIM_POWER_SLEEP,
	                                SIM_POWER_HIBERNATE,
	                                SIM_POWER_RESET_GRACEFUL,
	                                SIM_POWER_OFF_GRACEFUL,
	                                SIM_POWER_ON};
	size_t n = 0;

	advance(p, now_ms);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		const struct plan *plan = plan_of(order[i]);

		if (plan->graceful && (!p->has_agent || now_ms < p->booted_at_ms))
			continue;
		if (possible(p, plan) && n < SIM_POWER_AVAILABLE_MAX)
			out[n++] = order[i];
	}
	return n;
}
