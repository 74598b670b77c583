/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tls_ticket_test.c: how old a ticket may be, which keys open it, and that it belongs to one kind of port. Time is set, not waited for. */
#include "tests/unit/support/ticket.h"

#define BEGIN_MS  1790000000000
#define AGE_MS    (TLS_TICKET_AGE_S * 1000LL)
#define SECOND_MS 1000

static struct {
	struct tls_tickets *tickets;
	struct tls_ctx *ctx;
} f;

static int setup(void **state)
{
	(void)state;
	ticket_now_ms = BEGIN_MS;
	f.tickets = tls_tickets_new(ticket_clock);
	assert_non_null(f.tickets);
	f.ctx = ticket_ctx(TLS_MODERN, f.tickets);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_ctx_unref(f.ctx);
	tls_tickets_unref(f.tickets);
	return 0;
}

static int open_at(int64_t ms, const struct sealed *s)
{
	ticket_now_ms = ms;
	return ticket_open(f.ctx, *s);
}

static void test_age(void **state)
{
	const struct sealed s = ticket_seal(f.ctx);

	(void)state;
	assert_int_equal(open_at(BEGIN_MS, &s), WOLFSSL_TICKET_RET_OK);
	assert_int_equal(open_at(BEGIN_MS + AGE_MS, &s), WOLFSSL_TICKET_RET_OK);
	assert_int_equal(open_at(BEGIN_MS + AGE_MS + SECOND_MS, &s), WOLFSSL_TICKET_RET_REJECT);
	assert_int_equal(open_at(BEGIN_MS + 1000 * AGE_MS, &s), WOLFSSL_TICKET_RET_REJECT);
	/* the clock was set back: a little is forgiven */
	assert_int_equal(open_at(BEGIN_MS - 60 * SECOND_MS, &s), WOLFSSL_TICKET_RET_OK);
	assert_int_equal(open_at(BEGIN_MS - 61 * SECOND_MS, &s), WOLFSSL_TICKET_RET_REJECT);
}

static void test_the_time_of_issue_cannot_be_changed(void **state)
{
	struct sealed s = ticket_seal(f.ctx);

	(void)state;
	s.iv[sizeof(s.iv) - 1] ^= 1; /* one second */
	assert_int_equal(open_at(BEGIN_MS, &s), WOLFSSL_TICKET_RET_REJECT);
}

static void test_keys_rotate(void **state)
{
	struct tls_ticket_key keys[3][TLS_TICKET_KEYS] = {
		{{.name = "first", .key = "1"}},
		{{.name = "second", .key = "2"}, {.name = "first", .key = "1"}},
		{{.name = "third", .key = "3"}, {.name = "second", .key = "2"}}};
	struct sealed first, second;

	(void)state;
	tls_tickets_set(f.tickets, keys[0], 1);
	first = ticket_seal(f.ctx);
	assert_int_equal(open_at(BEGIN_MS, &first), WOLFSSL_TICKET_RET_OK);
	tls_tickets_set(f.tickets, keys[1], 2);
	second = ticket_seal(f.ctx);
	assert_memory_equal(second.name, keys[1][0].name, sizeof(second.name));
	/* good, but the client is to have one of the newest key */
	assert_int_equal(open_at(BEGIN_MS, &first), WOLFSSL_TICKET_RET_CREATE);
	assert_int_equal(open_at(BEGIN_MS, &second), WOLFSSL_TICKET_RET_OK);
	tls_tickets_set(f.tickets, keys[2], 2);
	assert_int_equal(open_at(BEGIN_MS, &first), WOLFSSL_TICKET_RET_REJECT);
	assert_int_equal(open_at(BEGIN_MS, &second), WOLFSSL_TICKET_RET_CREATE);
	/* what names a key but was sealed with another is nothing */
	keys[2][1].key[0] ^= 1;
	tls_tickets_set(f.tickets, keys[2], 2);
	assert_int_equal(open_at(BEGIN_MS, &second), WOLFSSL_TICKET_RET_REJECT);
}

static void test_another_port_is_another_matter(void **state)
{
	struct tls_ctx *api = ticket_ctx(TLS_API, f.tickets);
	const struct sealed s = ticket_seal(api);

	(void)state;
	assert_int_equal(ticket_open(api, s), WOLFSSL_TICKET_RET_OK);
	assert_int_equal(ticket_open(f.ctx, s), WOLFSSL_TICKET_RET_REJECT);
	tls_ctx_unref(api);
}

static void test_sizes(void **state)
{
	static uint8_t text[2048];
	struct sealed s = {.text = ""};
	const int sizes[] = {-1, 0, 1025, sizeof(text)};
	int len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		for (int enc = 0; enc < 2; enc++)
			assert_int_equal(tls_on_ticket(NULL, s.name, s.iv, s.mac, enc, text,
			                               sizes[i], &len, f.ctx),
			                 WOLFSSL_TICKET_RET_REJECT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_age, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_time_of_issue_cannot_be_changed, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(test_keys_rotate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_port_is_another_matter, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
	};

	if (tls_global_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
