/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wheel by itself, with made-up time, against a list as the model. */
#include "core/wheel.h"
#include "tests/unit/support/test.h"

#include <stdlib.h>
#include <string.h>

#define TIMERS 2000

struct probe {
	struct timer timer;
	uint64_t want_ms;
	unsigned fired;
};

static uint64_t now_ms;
static unsigned early, late;
static uint64_t late_by_ms;

static void probe_fired(struct timer *t)
{
	struct probe *p = container_of(t, struct probe, timer);

	p->fired++;
	if (now_ms < p->want_ms)
		early++;
	if (now_ms >= p->want_ms + WHEEL_TICK_MS + late_by_ms)
		late++;
}

static uint64_t xorshift(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Time goes by exactly as wheel_wait_ms says, so lateness is the wheel's own. */
static void random_timers(uint64_t start_ms, uint64_t range_ms)
{
	static struct probe probes[TIMERS];
	uint64_t seed = start_ms + range_ms + 1;
	unsigned cancelled = 0, fired = 0;
	struct wheel w;
	uint64_t wait_ms;

	memset(probes, 0, sizeof(probes));
	now_ms = start_ms;
	early = late = 0;
	late_by_ms = 0;
	wheel_init(&w, now_ms);
	for (unsigned i = 0; i < TIMERS; i++) {
		probes[i].timer.fire = probe_fired;
		probes[i].want_ms = now_ms + xorshift(&seed) % range_ms;
		wheel_set(&w, &probes[i].timer, probes[i].want_ms);
	}
	for (unsigned i = 0; i < TIMERS; i += 7) { /* move some, cancel others */
		if (i % 2 == 0) {
			wheel_cancel(&w, &probes[i].timer);
			wheel_cancel(&w, &probes[i].timer);
			cancelled++;
		} else {
			probes[i].want_ms = now_ms + xorshift(&seed) % range_ms;
			wheel_set(&w, &probes[i].timer, probes[i].want_ms);
		}
	}
	while ((wait_ms = wheel_wait_ms(&w, now_ms)) != UINT64_MAX) {
		now_ms += wait_ms;
		(void)wheel_fire(&w, now_ms, TIMERS);
	}
	for (unsigned i = 0; i < TIMERS; i++) {
		assert_in_range(probes[i].fired, 0, 1);
		assert_null(probes[i].timer.prev);
		fired += probes[i].fired;
	}
	assert_int_equal(fired, TIMERS - cancelled);
	assert_int_equal(early, 0);
	assert_int_equal(late, 0);
}

static void test_never_early_never_a_tick_late(void **state)
{
	static const uint64_t starts[] = {0,
	                                  15,
	                                  16ULL * 64 * 64 - 3,
	                                  123456789,
	                                  ((1ULL << 30) - 5) * 16,
	                                  ((1ULL << 30) - 1) * 16,
	                                  (1ULL << 36) * 16 - 1};
	static const uint64_t ranges[] = {1, 40, 3000, 70000, 86400000, 400ULL * 86400000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		for (size_t k = 0; k < ARRAY_LEN(ranges); k++)
			random_timers(starts[i], ranges[k]);
}

static void test_cancel_makes_the_wheel_quiet(void **state)
{
	struct probe p = {.timer = {.fire = probe_fired}};
	struct wheel w;

	(void)state;
	wheel_init(&w, 1000);
	assert_true(wheel_wait_ms(&w, 1000) == UINT64_MAX);
	wheel_set(&w, &p.timer, 90000);
	assert_in_range(wheel_wait_ms(&w, 1000), 1, 89016);
	wheel_cancel(&w, &p.timer);
	assert_true(wheel_wait_ms(&w, 1000) == UINT64_MAX);
	wheel_set(&w, &p.timer, 10); /* the past */
	assert_int_equal(wheel_wait_ms(&w, 1000), 0);
	wheel_cancel(&w, &p.timer);
	assert_true(wheel_wait_ms(&w, 1000) == UINT64_MAX);
	assert_int_equal(p.fired, 0);
}

struct again {
	struct timer timer;
	struct wheel *w;
	struct timer *victim;
	unsigned fired;
};

static void again_fired(struct timer *t)
{
	struct again *a = container_of(t, struct again, timer);

	a->fired++;
	wheel_set(a->w, t, 0);
	if (a->victim != NULL)
		wheel_cancel(a->w, a->victim);
}

/* Re-arming for now inside fire must not starve the rest; cancelling what is due next must work. */
static void test_rearm_and_cancel_inside_fire(void **state)
{
	struct wheel w;
	struct again a = {.timer = {.fire = again_fired}, .w = &w};
	struct probe victim = {.timer = {.fire = probe_fired}};

	(void)state;
	wheel_init(&w, 0);
	a.victim = &victim.timer;
	wheel_set(&w, &a.timer, 0);
	wheel_set(&w, &victim.timer, 0);
	assert_int_equal(wheel_fire(&w, 100, 1000), 1);
	assert_int_equal(a.fired, 1);
	assert_int_equal(victim.fired, 0);
	assert_int_equal(wheel_fire(&w, 100, 1000), 1);
	assert_int_equal(a.fired, 2);
	wheel_cancel(&w, &a.timer);
	assert_true(wheel_wait_ms(&w, 100) == UINT64_MAX);
}

static void test_budget_leaves_the_rest_for_later(void **state)
{
	struct probe p[10];
	struct wheel w;

	(void)state;
	memset(p, 0, sizeof(p));
	wheel_init(&w, 0);
	now_ms = 1000;
	late_by_ms = 1000;
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		p[i].timer.fire = probe_fired;
		wheel_set(&w, &p[i].timer, i);
	}
	assert_int_equal(wheel_fire(&w, 1000, 4), 4);
	assert_int_equal(wheel_wait_ms(&w, 1000), 0);
	wheel_cancel(&w, &p[1].timer); /* the order within a tick is last in, first out */
	assert_int_equal(wheel_fire(&w, 1000, 100), 5);
	assert_int_equal(p[1].fired, 0);
	assert_true(wheel_wait_ms(&w, 1000) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_early_never_a_tick_late),
		cmocka_unit_test(test_cancel_makes_the_wheel_quiet),
		cmocka_unit_test(test_rearm_and_cancel_inside_fire),
		cmocka_unit_test(test_budget_leaves_the_rest_for_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
