/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/addr.h"
#include "core/err.h"
#include "core/secret.h"
#include "tests/unit/support/test.h"

static void test_parses_and_formats(void **state)
{
	static const char *const pairs[][2] = {
		{"127.0.0.1:80", "127.0.0.1:80"},
		{"0.0.0.0:0", "0.0.0.0:0"},
		{"[::1]:65535", "[::1]:65535"},
		{"[2001:DB8:0:0::1]:4433", "[2001:db8::1]:4433"},
		{"[::ffff:192.0.2.1]:80", "192.0.2.1:80"},
		{":4433", "[::]:4433"},
		{"localhost:1", "127.0.0.1:1"},
	};
	static const char *const bad[] = {
		"",
		":",
		"1.2.3.4",
		"1.2.3.4:",
		"1.2.3.4:65536",
		"1.2.3.4:-1",
		"1.2.3.4:+1",
		"1.2.3.4:080",
		"::1:80",
		"[::1]",
		"[::1]80",
		"[::1:80",
		"[1.2.3.4]:80",
		"example.com:80",
		"1.2.3.4:80 ",
		"[fe80::1%lo]:80",
		"256.0.0.1:1",
		"1.2.3:4:5",
	};
	char text[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		assert_int_equal(addr_parse(pairs[i][0], &a), 0);
		addr_format(&a, text);
		assert_string_equal(text, pairs[i][1]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(addr_parse(bad[i], &a), -ERR_INVALID);
		assert_int_equal(a.len, 0);
	}
	addr_format(&a, text);
	assert_string_equal(text, "none");
}

static void test_unmap_keeps_the_port(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse("[::ffff:10.1.2.3]:8080", &a), 0);
	assert_int_equal(a.ss.ss_family, AF_INET6);
	addr_unmap(&a);
	assert_int_equal(a.ss.ss_family, AF_INET);
	assert_int_equal(addr_port(&a), 8080);
	addr_format_host(&a, text);
	assert_string_equal(text, "10.1.2.3");
}

static bool inside(const char *network, const char *address)
{
	struct addr a;
	struct cidr c;

	assert_int_equal(cidr_parse(network, &c), 0);
	assert_int_equal(addr_parse(address, &a), 0);
	return cidr_contains(&c, &a);
}

static void test_networks(void **state)
{
	static const char *const bad[] = {
		"",       "/8",        "10.0.0.0/33", "10.0.0.1/8", "2001:db8::1/64",
		"::/129", "10.0.0.0/", "10.0.0.0/08", "x/8",        "10.0.0.0/8/8"};
	struct cidr c;
	struct addr a;

	(void)state;
	assert_true(inside("10.0.0.0/8", "10.255.255.255:1"));
	assert_false(inside("10.0.0.0/8", "11.0.0.0:1"));
	assert_true(inside("192.0.2.64/27", "192.0.2.95:1"));
	assert_false(inside("192.0.2.64/27", "192.0.2.96:1"));
	assert_true(inside("192.0.2.1", "192.0.2.1:1"));
	assert_false(inside("192.0.2.1", "192.0.2.0:1"));
	assert_true(inside("0.0.0.0/0", "8.8.8.8:1"));
	assert_false(inside("0.0.0.0/0", "[2001:db8::1]:1"));
	assert_true(inside("10.0.0.0/8", "[::ffff:10.0.0.1]:1"));
	assert_true(inside("2001:db8::/33", "[2001:db8:7fff::1]:1"));
	assert_false(inside("2001:db8::/33", "[2001:db8:8000::1]:1"));
	assert_true(inside("::/0", "[2001:db8::1]:1"));
	assert_false(inside("::/0", "10.0.0.1:1"));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(cidr_parse(bad[i], &c), -ERR_INVALID);
	assert_int_equal(addr_parse("0.0.0.0:1", &a), 0);
	assert_false(cidr_contains(&c, &a));
}

static void test_secrets_compare_and_clear(void **state)
{
	struct secret s = {0};

	(void)state;
	assert_true(secret_matches(&s, span_str("")));
	assert_int_equal(secret_set(&s, span_str("P@ssw0rd")), 0);
	assert_true(secret_matches(&s, span_str("P@ssw0rd")));
	assert_false(secret_matches(&s, span_str("P@ssw0re")));
	assert_false(secret_matches(&s, span_str("P@ssw0r")));
	assert_int_equal(secret_set(&s, span_of(secret_reveal(&s).ptr + 2, 3)), 0);
	assert_string_equal((const char *)secret_reveal(&s).ptr, "ssw");
	assert_int_equal(secret_set(&s, span_of(NULL, SECRET_MAX + 1)), -ERR_TOO_BIG);
	assert_int_equal(secret_reveal(&s).len, 0);
	secret_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parses_and_formats),
		cmocka_unit_test(test_unmap_keeps_the_port),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_secrets_compare_and_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
