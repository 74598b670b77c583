/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulated host's power: transitions over time, what is refused and why, scaling. */
#include "bench/fleet/sim_power.h"

#include "tests/unit/support/test.h"

static void expect_available(struct sim_power *p, uint64_t now_ms, const uint8_t *want, size_t n)
{
	uint8_t got[SIM_POWER_AVAILABLE_MAX];

	assert_int_equal(sim_power_available(p, now_ms, got), n);
	assert_memory_equal(got, want, n);
}

static void test_cycle_goes_off_and_comes_back(void **state)
{
	struct sim_power p;

	(void)state;
	sim_power_init(&p, true, 100);
	assert_int_equal(sim_power_state(&p, 1000), SIM_POWER_ON);
	assert_int_equal(sim_power_request(&p, SIM_POWER_CYCLE, 1000), SIM_POWER_OK);
	assert_int_equal(sim_power_state(&p, 1100), SIM_POWER_ON);
	assert_int_equal(sim_power_request(&p, SIM_POWER_RESET, 1100), SIM_POWER_IN_USE);
	assert_int_equal(sim_power_state(&p, 1200), SIM_POWER_OFF);
	assert_int_equal(sim_power_state(&p, 4199), SIM_POWER_OFF);
	assert_true(sim_power_busy(&p, 4199));
	assert_int_equal(sim_power_state(&p, 4200), SIM_POWER_ON);
	assert_false(sim_power_busy(&p, 4200));
	assert_int_equal(p.boots, 2);
}

static void test_late_look_sees_every_phase_done(void **state)
{
	struct sim_power p;

	(void)state;
	sim_power_init(&p, true, 100);
	assert_int_equal(sim_power_request(&p, SIM_POWER_CYCLE, 1000), SIM_POWER_OK);
	assert_int_equal(sim_power_state(&p, 100000), SIM_POWER_ON);
	assert_int_equal(p.boots, 2);
	assert_int_equal(sim_power_request(&p, SIM_POWER_OFF_GRACEFUL, 100000), SIM_POWER_OK);
}

static void test_off_and_on(void **state)
{
	static const uint8_t off[] = {SIM_POWER_ON};
	struct sim_power p;

	(void)state;
	sim_power_init(&p, false, 1000);
	assert_int_equal(sim_power_request(&p, SIM_POWER_ON, 0), SIM_POWER_NOT_POSSIBLE);
	assert_int_equal(sim_power_request(&p, SIM_POWER_OFF, 0), SIM_POWER_OK);
	assert_int_equal(sim_power_state(&p, 99), SIM_POWER_ON);
	assert_int_equal(sim_power_state(&p, 100), SIM_POWER_OFF);
	expect_available(&p, 100, off, sizeof(off));
	assert_int_equal(sim_power_request(&p, SIM_POWER_CYCLE, 100), SIM_POWER_NOT_POSSIBLE);
	assert_int_equal(sim_power_request(&p, SIM_POWER_ON, 100), SIM_POWER_OK);
	assert_int_equal(sim_power_state(&p, 200), SIM_POWER_ON);
}

static void test_graceful_needs_an_agent_that_runs(void **state)
{
	static const uint8_t with[] = {10, 8, 5, 11, 4, 7, 14, 12};
	static const uint8_t without[] = {10, 8, 5, 11};
	struct sim_power p;

	(void)state;
	sim_power_init(&p, false, 100);
	expect_available(&p, 0, without, sizeof(without));
	assert_int_equal(sim_power_request(&p, SIM_POWER_OFF_GRACEFUL, 0), SIM_POWER_NOT_POSSIBLE);
	sim_power_init(&p, true, 100);
	expect_available(&p, 0, with, sizeof(with));
	assert_int_equal(sim_power_request(&p, SIM_POWER_RESET, 0), SIM_POWER_OK);
	assert_int_equal(sim_power_state(&p, 200), SIM_POWER_ON);
	expect_available(&p, 200, without, sizeof(without));
	assert_int_equal(sim_power_request(&p, SIM_POWER_RESET_GRACEFUL, 8199),
	                 SIM_POWER_NOT_IN_TIME);
	assert_int_equal(sim_power_request(&p, SIM_POWER_RESET_GRACEFUL, 8200), SIM_POWER_OK);
}

static void test_sleep_and_resume(void **state)
{
	static const uint8_t asleep[] = {10, 8, 5, 2};
	struct sim_power p;

	(void)state;
	sim_power_init(&p, true, 100);
	assert_int_equal(sim_power_request(&p, SIM_POWER_SLEEP, 0), SIM_POWER_OK);
	assert_int_equal(sim_power_state(&p, 2000), SIM_POWER_SLEEP);
	expect_available(&p, 2000, asleep, sizeof(asleep));
	assert_int_equal(sim_power_request(&p, SIM_POWER_ON, 3000), SIM_POWER_OK);
	assert_int_equal(sim_power_state(&p, 4000), SIM_POWER_ON);
	assert_int_equal(sim_power_request(&p, SIM_POWER_HIBERNATE, 4000), SIM_POWER_OK);
	assert_int_equal(sim_power_state(&p, 8000), SIM_POWER_HIBERNATE);
}

static void test_nmi_restarts_the_host(void **state)
{
	struct sim_power p;

	(void)state;
	sim_power_init(&p, true, 100);
	assert_int_equal(sim_power_request(&p, SIM_POWER_NMI, 0), SIM_POWER_OK);
	assert_int_equal(sim_power_state(&p, 500), SIM_POWER_ON);
	assert_int_equal(p.boots, 2);
}

static void test_refusals(void **state)
{
	struct sim_power p;

	(void)state;
	sim_power_init(&p, true, 100);
	assert_int_equal(sim_power_request(&p, 0, 0), SIM_POWER_INVALID);
	assert_int_equal(sim_power_request(&p, 17, 0), SIM_POWER_INVALID);
	assert_int_equal(sim_power_request(&p, UINT32_MAX, 0), SIM_POWER_INVALID);
	assert_int_equal(sim_power_request(&p, SIM_POWER_SLEEP_LIGHT, 0), SIM_POWER_NOT_SUPPORTED);
	assert_int_equal(sim_power_request(&p, SIM_POWER_CYCLE_HARD, 0), SIM_POWER_NOT_SUPPORTED);
	p.broken = true;
	assert_int_equal(sim_power_request(&p, SIM_POWER_RESET, 0), SIM_POWER_FAILED);
	assert_int_equal(sim_power_state(&p, 100000), SIM_POWER_ON);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cycle_goes_off_and_comes_back),
		cmocka_unit_test(test_late_look_sees_every_phase_done),
		cmocka_unit_test(test_off_and_on),
		cmocka_unit_test(test_graceful_needs_an_agent_that_runs),
		cmocka_unit_test(test_sleep_and_resume),
		cmocka_unit_test(test_nmi_restarts_the_host),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
