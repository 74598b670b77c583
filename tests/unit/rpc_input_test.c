/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_input.c: messages that are taken where they lie. */
#include "mgmtapi/call_internal.h"
#include "tests/unit/support/test.h"

#include <string.h>

static struct rpc_env env;

/* A call that has received these messages and nothing else; each is given without its envelope. */
static void received(struct call *c, const char *const messages[], size_t n)
{
	memset(c, 0, sizeof(*c));
	memset(&env, 0, sizeof(env));
	c->env = &env;
	buf_init(&c->in, 1 << 20);
	for (size_t i = 0; i < n; i++) {
		buf_put_u8(&c->in, 0);
		buf_put_u32(&c->in, (uint32_t)strlen(messages[i]));
		buf_put_str(&c->in, messages[i]);
	}
	c->ready = n;
	c->scan_at = c->held = c->accounted = c->in.len;
	env.buffered = c->in.len;
}

static void test_octets_in_place(void **state)
{
	static const char *const messages[] = {"\x12\x05hello", "\x12\x03you"};
	struct span s;
	struct call c;

	(void)state;
	received(&c, messages, 2);
	assert_true(call_peek_octets(&c, 2, &s));
	assert_int_equal(s.len, 5);
	assert_memory_equal(s.ptr, "hello", 5);
	assert_true(call_peek_octets(&c, 2, &s)); /* it stays until it is dropped */
	assert_int_equal(s.len, 5);
	call_drop_message(&c);
	assert_true(call_peek_octets(&c, 2, &s));
	assert_memory_equal(s.ptr, "you", 3);
	call_drop_message(&c);
	assert_false(call_peek_octets(&c, 2, &s));
	assert_int_equal(c.held, 0);
	assert_int_equal(env.buffered, 0);
	buf_free(&c.in);
}

static void test_long_octets(void **state)
{
	static char text[300 + 4];
	const char *const message = text;
	struct span s;
	struct call c;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "\x12\xac\x02", 3); /* 300 */
	received(&c, &message, 1);
	assert_true(call_peek_octets(&c, 2, &s));
	assert_int_equal(s.len, 300);
	buf_free(&c.in);
}

/* Whatever is not that one field alone is call_recv's. */
static void test_other_messages(void **state)
{
	static const char *const others[] = {
		"",                                  /* nothing is set */
		"\x12",                              /* no length */
		"\x12\x05hell",                      /* one octet short */
		"\x12\x05hello!",                    /* one octet long */
		"\x0a\x05hello",                     /* another field */
		"\x10\x05",                          /* a number */
		"\x12\x01x\x12\x01y",                /* twice */
		"\x12\x85\x80\x80\x80\x80\x01hello", /* a length without end */
		"\x12\xff\xff\xff\xff\x7f",          /* a length beyond everything */
	};
	struct span s;
	struct call c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		received(&c, &others[i], 1);
		assert_false(call_peek_octets(&c, 2, &s));
		buf_free(&c.in);
	}
	received(&c, (const char *const[]){"\x12\x05hello"}, 1);
	c.in.data[0] = 1; /* compressed */
	assert_false(call_peek_octets(&c, 2, &s));
	c.in.data[0] = 0;
	c.json = true;
	assert_false(call_peek_octets(&c, 2, &s));
	c.json = false;
	assert_true(call_peek_octets(&c, 2, &s));
	buf_free(&c.in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_octets_in_place),
		cmocka_unit_test(test_long_octets),
		cmocka_unit_test(test_other_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
