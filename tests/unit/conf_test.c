/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "gateway/settings.h"
#include "tests/unit/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int load(const char *text, struct settings *s, struct buf *errors)
{
	buf_clear(errors);
	return settings_load_text(span_str(text), "f", s, errors);
}

/* The text must be refused, and the first line of the errors must begin so. */
static void refused(const char *text, const char *expect)
{
	struct buf errors = {.cap = 1 << 16};
	struct settings s, zero;

	memset(&zero, 0, sizeof(zero));
	assert_int_equal(load(text, &s, &errors), -ERR_INVALID);
	if (strncmp(buf_cstr(&errors), expect, strlen(expect)) != 0)
		fail_msg("for:\n%s\nexpected: %s\ngot:      %s", text, expect, buf_cstr(&errors));
	assert_memory_equal(&s, &zero, sizeof(s));
	buf_free(&errors);
}

static void test_defaults(void **state)
{
	struct buf errors = {.cap = 1 << 16};
	struct settings_listener l[4];
	char text[ADDR_TEXT_MAX], host[256] = "";
	struct settings s;

	(void)state;
	assert_int_equal(settings_load(NULL, &s, &errors), 0);
	assert_int_equal(s.cira.listen.n, 1);
	addr_format(&s.cira.listen.v[0], text);
	assert_string_equal(text, "[::]:4433");
	addr_format(&s.api.listen.v[0], text);
	assert_string_equal(text, "[::]:8443");
	addr_format(&s.metrics_listen, text);
	assert_string_equal(text, "127.0.0.1:9464");
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	assert_string_equal(s.cira.name, host);
	assert_string_equal(s.cira.cert, "");
	assert_int_equal(s.cira.keepalive_ms, 30000);
	assert_int_equal(s.cira.max_tunnels, 100000);
	assert_int_equal(s.cira.max_handshakes, 1024);
	assert_int_equal(s.cira.auth_timeout_ms, 30000);
	assert_int_equal(s.cira.profile, TLS_MODERN);
	assert_int_equal(s.api.max_connections, 1000);
	assert_int_equal(s.api.max_message_size, 4 << 20);
	assert_int_equal(s.log_level, LOG_INFO);
	assert_int_equal(s.log_format, LOG_TEXT);
	assert_int_equal(s.workers, 0);
	assert_true(s.store_map_size == 64ull << 30);
	assert_int_equal(s.drain_timeout_ms, 10000);
	assert_int_equal(settings_listeners(&s, l, 4), 1);
	assert_int_equal(errors.len, 0);
	settings_free(&s);
	buf_free(&errors);
}

static void test_every_kind_of_value(void **state)
{
	static const char text[] = "# comment\n"
				   "cira:\n"
				   "  listen: [\"0.0.0.0:4433\", \"[2001:db8::1]:0\"]\n"
				   "  listeners:\n"
				   "    - address: 127.0.0.1:4434\n"
				   "      profile: legacy\n"
				   "      proxy_from: [10.0.0.0/8]\n"
				   "    - {address: \"[::1]:4435\"}\n"
				   "  name: mps.example.com\n"
				   "  keepalive: 2m\n"
				   "  proxy_from: [192.0.2.0/24, '2001:db8::/32']\n"
				   "api:\n"
				   "  names:\n"
				   "    - a.example\n"
				   "    - b.example\n"
				   "  max_message: 64KiB\n"
				   "metrics: {listen: \"\"}\n"
				   "log.level: debug\n"
				   "store:\n"
				   "workers: 3\n"
				   "drain_timeout: 0\n";
	struct buf errors = {.cap = 1 << 16};
	struct settings_listener l[8];
	char a[ADDR_TEXT_MAX];
	struct settings s;

	(void)state;
	if (load(text, &s, &errors) != 0)
		fail_msg("%s", buf_cstr(&errors));
	assert_int_equal(settings_listeners(&s, l, 8), 4);
	addr_format(&l[1].address, a);
	assert_string_equal(a, "[2001:db8::1]:0");
	assert_int_equal(l[1].profile, TLS_MODERN);
	assert_int_equal(l[1].proxy_from.n, 2);
	addr_format(&l[2].address, a);
	assert_string_equal(a, "127.0.0.1:4434");
	assert_int_equal(l[2].profile, TLS_LEGACY);
	assert_int_equal(l[2].proxy_from.n, 1);
	assert_int_equal(l[3].profile, TLS_MODERN);
	assert_int_equal(l[3].proxy_from.n, 0);
	assert_int_equal(settings_listeners(&s, l, 2), 2);
	assert_string_equal(s.cira.name, "mps.example.com");
	assert_int_equal(s.cira.keepalive_ms, 120000);
	assert_int_equal(s.api.names.n, 2);
	assert_string_equal(s.api.names.v[1], "b.example");
	assert_int_equal(s.api.max_message_size, 65536);
	assert_int_equal(s.metrics_listen.len, 0);
	assert_int_equal(s.log_level, LOG_DEBUG);
	assert_int_equal(s.workers, 3);
	assert_int_equal(s.drain_timeout_ms, 0);
	settings_free(&s);
	assert_int_equal(load("cira: {listeners: [{address: '127.0.0.1:1'}]}", &s, &errors), 0);
	assert_int_equal(settings_listeners(&s, l, 8), 1);
	assert_int_equal(addr_port(&l[0].address), 1);
	settings_free(&s);
	buf_free(&errors);
}

static const struct {
	const char *text, *error;
} mistakes[] = {
	{"bogus: 1", "f:1:1: unknown key \"bogus\" (known: cira, api, metrics, log, store, "
                     "workers, handshake_threads, real_time, drain_timeout)"},
	{"cira:\n  lisen: []",
         "f:2:3: unknown key \"lisen\" in cira (known: listen, listeners, name,"},
	{"log:\n  level: loud",
         "f:2:10: log.level: \"loud\" is not valid (one of debug, info, warn, error)"},
	{"workers: many", "f:1:10: workers: \"many\" is not valid (a whole number, from 0 to 64)"},
	{"workers: 256", "f:1:10: workers: \"256\" is out of range (a whole number, from 0 to 64)"},
	{"workers: -1", "f:1:10: workers: \"-1\" is not valid"},
	{"workers: 99999999999999999999999",
         "f:1:10: workers: \"99999999999999999999999\" is out of range"},
	{"workers: \"3\"", "f:1:10: workers is a quoted text"},
	{"workers:", "f:1:9: workers has no value"},
	{"workers: [1]", "f:1:10: workers must be a single value"},
	{"workers: 1\nworkers: 2", "f:2:1: \"workers\" is here a second time (first in line 1)"},
	{"log: {level: info}\nlog.level: warn", "f:2:1: log.level is set already in line 1"},
	{"cira: 5", "f:1:7: cira must be a mapping"},
	{"cira: {keepalive: 30}", "f:1:19: cira.keepalive: \"30\" is not valid (a duration "
                                  "like 500ms, 30s, 5m, 24h or 7d, from 5s to 1h)"},
	{"cira: {keepalive: 2h}", "f:1:19: cira.keepalive: \"2h\" is out of range"},
	{"cira: {listen: \"a:1\"}", "f:1:16: cira.listen must be a list (a list of \"host:port\""},
	{"cira: {listen: [a, \"1.2.3.4:5\", b]}", "f:1:17: cira.listen: \"a\" is not valid"},
	{"cira: {listen: [\"::1:5\"]}", "f:1:17: cira.listen: \"::1:5\" is not valid"},
	{"cira: {listen: []}", "f: cira.listen is empty and there is no cira.listeners"},
	{"cira: {listeners: [{profile: legacy}]}",
         "f:1:20: cira.listeners: \"address\" is missing"},
	{"cira: {listeners: [{address: ''}]}", "f:1:30: address: \"\" is not valid"},
	{"cira: {listeners: [{address: ':1', x: 1}]}",
         "f:1:36: unknown key \"x\" (known: address, profile, proxy_from)"},
	{"cira: {listeners: [\":1\"]}",
         "f:1:20: cira.listeners has an entry that is not a mapping"},
	{"cira: {proxy_from: [10.0.0.1/8]}",
         "f:1:21: cira.proxy_from: \"10.0.0.1/8\" is not valid (a list of networks"},
	{"cira: {cert: a}", "f: cira.cert needs cira.key (set both or neither)"},
	{"api: {key: a}", "f: api.key needs api.cert"},
	{"cira: {chain: a}", "f: cira.chain needs cira.cert"},
	{"api: {listen: []}", "f:1:15: api.listen has too few entries"},
	{"store: {map_size: 1EiB}",
         "f:1:19: store.map_size: \"1EiB\" is not valid (a size in octets or like"},
	{"store: {map_size: 1B}", "f:1:19: store.map_size: \"1B\" is not valid"},
	{"a: &x 1", "f:1:1: unknown key \"a\""},
	{"workers: &x 1", "f:1:10: anchors are not allowed"},
	{"workers: !!int 1", "f:1:10: tags are not allowed"},
	{"workers: *x", "f:1:10: aliases are not allowed"},
	{"<<: {workers: 1}", "f:1:1: unknown key \"<<\""},
	{"? [a]\n: 1", "f:1:3: a key must be a single word"},
	{"workers: 1\n---\nworkers: 2", "f:2:1: a second document is not allowed"},
	{"- a", "f:1:1: the file must be a mapping"},
	{"cira: {name: \"a\\0b\"}", "f:1:14: a NUL character is not allowed"},
	{"cira: {name: \"\\e[2J\xc3\xa9\"}\nx: \"",
         "f:2:5: found unexpected end of stream while scanning a quoted scalar (YAML "
         "syntax)"},
	{"x: [[[[[[[[[[1]]]]]]]]]]",
         "f:1:1: unknown key \"x\" (known: cira, api, metrics, log, store, workers, "
         "handshake_threads, real_time, drain_timeout)\nf:1:11: nested too deep (at most 8 "
         "levels)\n"},
	{"\"\\e[2J\": 1", "f:1:1: unknown key \"?[2J\""},
	{"workers: \xff", "f:1:1: invalid leading UTF-8 octet at octet 9"},
};

static void test_each_mistake_has_its_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++)
		refused(mistakes[i].text, mistakes[i].error);
}

static void test_all_mistakes_in_the_order_of_the_file(void **state)
{
	struct buf errors = {.cap = 1 << 16};
	struct settings s;
	const char *at;

	(void)state;
	assert_int_equal(load("workers: x\ncira:\n  nope: 1\n  keepalive: 1ms\n  name: &a b\nlog: "
	                      "{format: xml}\n",
	                      &s, &errors),
	                 -ERR_INVALID);
	at = buf_cstr(&errors);
	for (const char *const *p = (const char *const[]){"f:1:10: ", "f:3:3: ", "f:4:14: ",
	                                                  "f:5:9: ", "f:6:15: ", NULL};
	     *p; p++) {
		assert_ptr_equal(strstr(at, *p), at);
		at = strchr(at, '\n') + 1;
	}
	assert_string_equal(at, "");
	buf_free(&errors);
}

static void test_limits(void **state)
{
	struct buf text = {.cap = 4 << 20}, errors = {.cap = 1 << 16};
	struct settings s;

	(void)state;
	buf_put_str(&text, "api:\n  names:\n");
	for (int i = 0; i < 65; i++)
		buf_printf(&text, "  - n%d\n", i);
	refused(buf_cstr(&text), "f:67:5: api.names has too many entries");
	buf_clear(&text);
	for (int i = 0; i < CONF_NODES_MAX + 10; i++)
		buf_printf(&text, "k%d: 1\n", i);
	assert_int_equal(load(buf_cstr(&text), &s, &errors), -ERR_INVALID);
	assert_non_null(strstr(buf_cstr(&errors), "more errors\n"));
	buf_clear(&text);
	buf_put_str(&text, "cira: {name: ");
	for (int i = 0; i < 254; i++)
		buf_put_str(&text, "x");
	buf_put_str(&text, "}");
	refused(buf_cstr(&text),
	        "f:1:14: cira.name: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" is out of "
	        "range");
	buf_clear(&text);
	while (text.len <= CONF_FILE_MAX)
		buf_put_str(&text, "# comment\n");
	refused(buf_cstr(&text), "f:1:1: too large");
	buf_free(&text);
	buf_free(&errors);
}

/* The sample loads as it is, and with every key uncommented it still says the defaults. */
static void test_sample_is_a_valid_file(void **state)
{
	struct buf errors = {.cap = 1 << 16}, bare = {.cap = 1 << 16};
	struct settings s, d;
	char line[1024];
	size_t keys = 0;
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	conf_print_defaults(f, &settings_schema);
	rewind(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *hash = strchr(line, '#');

		if (hash != NULL && hash[1] != ' ') {
			memmove(hash, hash + 1, strlen(hash));
			keys++;
		}
		buf_put_str(&bare, line);
	}
	fclose(f);
	assert_int_equal(keys, settings_schema.fields_len);
	if (load(buf_cstr(&bare), &s, &errors) != 0)
		fail_msg("%s", buf_cstr(&errors));
	assert_int_equal(settings_load(NULL, &d, &errors), 0);
	assert_int_equal(s.cira.listen.n, 1);
	assert_memory_equal(s.cira.listen.v, d.cira.listen.v, sizeof(struct addr));
	assert_true(s.cira.listen.given && s.cira.listeners.given && !d.cira.listen.given);
	assert_memory_equal(&s.metrics_listen, &d.metrics_listen, sizeof(struct addr));
	assert_int_equal(s.cira.max_tunnels, d.cira.max_tunnels);
	assert_true(s.store_map_size == d.store_map_size);
	assert_int_equal(s.log_level, d.log_level);
	settings_free(&s);
	settings_free(&d);
	buf_free(&bare);
	buf_free(&errors);
}

static void test_reads_a_file(void **state)
{
	char path[] = "/tmp/causeway-conf-XXXXXX";
	struct buf errors = {.cap = 1 << 16};
	int fd = mkstemp(path);
	struct settings s;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "workers: 2\n", 11), 11);
	close(fd);
	assert_int_equal(settings_load(path, &s, &errors), 0);
	assert_int_equal(s.workers, 2);
	settings_free(&s);
	unlink(path);
	assert_int_equal(settings_load(path, &s, &errors), -ERR_NOT_FOUND);
	assert_non_null(strstr(buf_cstr(&errors), ": not found\n"));
	buf_free(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_kind_of_value),
		cmocka_unit_test(test_each_mistake_has_its_message),
		cmocka_unit_test(test_all_mistakes_in_the_order_of_the_file),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_sample_is_a_valid_file),
		cmocka_unit_test(test_reads_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
