/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tickets_test.c: keys of tickets in the store: when they change, and that no ticket is lost before its time. Time is set, not waited for. */
#include "gateway/tickets.h"
#include "core/err.h"
#include "tests/unit/support/store_help.h"
#include "tests/unit/support/ticket.h"

#define HOUR_MS  (3600 * 1000LL)
#define BEGIN_MS 1790000000000
#define LOOK_H   6 /* how often the daemon looks */

static struct {
	struct store_home home;
	struct tls_tickets *tickets;
	struct tls_ctx *ctx;
} f;

static void start(void)
{
	f.tickets = tls_tickets_new(ticket_clock);
	assert_non_null(f.tickets);
	f.ctx = ticket_ctx(TLS_MODERN, f.tickets);
}

static void stop(void)
{
	tls_ctx_unref(f.ctx);
	tls_tickets_unref(f.tickets);
}

static int setup(void **state)
{
	(void)state;
	store_home_init(&f.home);
	start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stop();
	store_home_free(&f.home);
	return 0;
}

/* The daemon looks at a time; what would be sealed then. */
static struct sealed look(int64_t ms)
{
	ticket_now_ms = ms;
	assert_int_equal(tickets_refresh(f.home.s, f.tickets, (uint64_t)ms), 0);
	return ticket_seal(f.ctx);
}

static bool same_key(const struct sealed *a, const struct sealed *b)
{
	return memcmp(a->name, b->name, sizeof(a->name)) == 0;
}

static void test_a_key_serves_twelve_hours(void **state)
{
	const struct sealed first = look(BEGIN_MS);
	struct sealed s = look(BEGIN_MS + 12 * HOUR_MS - 1);

	(void)state;
	assert_true(same_key(&first, &s));
	s = look(BEGIN_MS + 12 * HOUR_MS);
	assert_false(same_key(&first, &s));
	assert_int_equal(ticket_open(f.ctx, first), WOLFSSL_TICKET_RET_CREATE);
}

static void test_a_restart_keeps_them(void **state)
{
	const struct sealed first = look(BEGIN_MS), second = look(BEGIN_MS + 12 * HOUR_MS);
	struct sealed s;

	(void)state;
	stop();
	start(); /* with a key of its own, until it looks */
	assert_int_equal(ticket_open(f.ctx, second), WOLFSSL_TICKET_RET_REJECT);
	s = look(BEGIN_MS + 12 * HOUR_MS);
	assert_true(same_key(&s, &second));
	assert_int_equal(ticket_open(f.ctx, second), WOLFSSL_TICKET_RET_OK);
	assert_int_equal(ticket_open(f.ctx, first), WOLFSSL_TICKET_RET_CREATE);
}

/* Ten days of looks: each key seals for 12 to 18 hours, and every ticket opens as long as its age allows. */
static void test_no_ticket_is_lost_before_its_time(void **state)
{
	enum { LOOKS = 10 * 24 / LOOK_H, AGE = 12 / LOOK_H };
	struct sealed all[LOOKS];
	int64_t since_ms = BEGIN_MS;

	(void)state;
	for (int i = 0; i < LOOKS; i++) {
		/* seconds late, as a daemon is */
		int64_t now = BEGIN_MS + (int64_t)i * LOOK_H * HOUR_MS + i % 5 * 1000;

		all[i] = look(now);
		if (i > 0 && !same_key(&all[i], &all[i - 1])) {
			assert_in_range(now - since_ms, 12 * HOUR_MS, 18 * HOUR_MS + 5000);
			since_ms = now;
		}
		assert_true(now - since_ms < 18 * HOUR_MS);
		ticket_now_ms = BEGIN_MS + (int64_t)i * LOOK_H * HOUR_MS;
		for (int j = MAX(0, i - AGE); j <= i; j++)
			assert_int_not_equal(ticket_open(f.ctx, all[j]), WOLFSSL_TICKET_RET_REJECT);
		if (i > AGE)
			assert_int_equal(ticket_open(f.ctx, all[i - AGE - 1]),
			                 WOLFSSL_TICKET_RET_REJECT);
	}
	assert_true(since_ms > BEGIN_MS + 200 * HOUR_MS);
}

/* A key from the future would never be due: it is replaced. */
static void test_the_clock_is_set_back(void **state)
{
	const struct sealed future = look(BEGIN_MS), now = look(BEGIN_MS - 1000 * HOUR_MS);

	(void)state;
	assert_false(same_key(&future, &now));
	assert_int_equal(ticket_open(f.ctx, now), WOLFSSL_TICKET_RET_OK);
}

static int put_damaged(struct store_txn *txn, void *arg)
{
	const struct span *value = arg;

	return store_setting_put(txn, "tls.ticket_keys", *value, true);
}

static void test_what_is_no_ring_is_replaced(void **state)
{
	static const uint8_t zeros[200];
	const size_t sizes[] = {0, 1, 55, 57, 113, 168};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct span value = span_of(zeros, sizes[i]);
		struct sealed before = look(BEGIN_MS), after;

		assert_int_equal(store_update(f.home.s, put_damaged, &value), 0);
		after = look(BEGIN_MS);
		assert_false(same_key(&before, &after));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_key_serves_twelve_hours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_restart_keeps_them, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_ticket_is_lost_before_its_time, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(test_the_clock_is_set_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_no_ring_is_replaced, setup, teardown),
	};

	if (tls_global_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
