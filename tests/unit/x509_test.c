/* SPDX-License-Identifier: GPL-3.0-or-later */
/* x509_test.c: certificates that OpenSSL accepts, facts read back, hostile input, PEM. */
#include "core/x509.h"
#include "core/err.h"
#include "core/text.h"
#include "tests/unit/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOT_BEFORE_S 1704067199 /* 2023-12-31 23:59:59 */
#define NOT_AFTER_S  2556143999 /* 2050-12-31 23:59:59: GeneralizedTime */

static struct x509_pair root, leaf, client;
static char folder[] = "/tmp/x509_test.XXXXXX";

static const char *const alt_names[] = {"mps.example.org", "*.wild.example.org", "192.0.2.7",
                                        "2001:db8::7", "gw.example.org"};

static int make_all(void **state)
{
	const struct x509_leaf_opts server_opts = {.common_name = "gw.example.org",
	                                           .alt_names = alt_names,
	                                           .alt_names_len = ARRAY_LEN(alt_names),
	                                           .not_before_s = NOT_BEFORE_S,
	                                           .not_after_s = NOT_AFTER_S};
	const struct x509_leaf_opts client_opts = {.common_name = "10.1.2.3",
	                                           .not_before_s = NOT_BEFORE_S,
	                                           .not_after_s = 1735689600,
	                                           .client_auth = true};

	(void)state;
	x509_pair_init(&root);
	x509_pair_init(&leaf);
	x509_pair_init(&client);
	if (mkdtemp(folder) == NULL)
		return -1;
	if (x509_make_root("Causeway Test Root", NOT_BEFORE_S, NOT_AFTER_S, &root) != 0)
		return -1;
	return x509_make_leaf(&root, &server_opts, &leaf) != 0 ||
	                       x509_make_leaf(&root, &client_opts, &client) != 0
	               ? -1
	               : 0;
}

static int free_all(void **state)
{
	(void)state;
	x509_pair_free(&root);
	x509_pair_free(&leaf);
	x509_pair_free(&client);
	return rmdir(folder);
}

static void test_root_facts(void **state)
{
	struct x509_info info;

	(void)state;
	assert_int_equal(x509_read(buf_span(&root.cert), &info), 0);
	assert_string_equal(info.subject_cn, "Causeway Test Root");
	assert_string_equal(info.issuer_cn, "Causeway Test Root");
	assert_true(info.is_ca);
	assert_int_equal(info.not_before_s, NOT_BEFORE_S);
	assert_int_equal(info.not_after_s, NOT_AFTER_S);
	assert_true(root.cert.len <= 4100);
	print_message("root: %zu octets, leaf: %zu\n", root.cert.len, leaf.cert.len);
}

static void test_leaf_facts(void **state)
{
	struct x509_info info, other;

	(void)state;
	assert_int_equal(x509_read(buf_span(&leaf.cert), &info), 0);
	assert_string_equal(info.subject_cn, "gw.example.org");
	assert_string_equal(info.issuer_cn, "Causeway Test Root");
	assert_false(info.is_ca);
	assert_int_equal(info.not_before_s, NOT_BEFORE_S);
	assert_int_equal(info.not_after_s, NOT_AFTER_S);
	assert_int_equal(strlen(info.serial_hex), 32);
	assert_int_equal(x509_read(buf_span(&client.cert), &other), 0);
	assert_int_equal(other.not_after_s, 1735689600);
	assert_string_not_equal(info.serial_hex, other.serial_hex);
	assert_memory_not_equal(info.sha256, other.sha256, 32);
}

static void test_host_names(void **state)
{
	static const struct {
		const char *host;
		bool matches;
	} cases[] = {
		{"gw.example.org", true},
		{"GW.Example.ORG", true},
		{"gw.example.org.", true},
		{"mps.example.org", true},
		{"a.wild.example.org", true},
		{"wild.example.org", false},
		{"a.b.wild.example.org", false},
		{".wild.example.org", false},
		{"192.0.2.7", true},
		{"192.0.2.8", false},
		{"2001:db8::7", true},
		{"2001:db8:0:0:0:0:0:7", true},
		{"2001:db8::8", false},
		{"example.org", false},
		{"", false},
		{"xgw.example.org", false},
	};
	struct span der = buf_span(&leaf.cert);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (x509_matches_host(der, cases[i].host) != cases[i].matches)
			fail_msg("%s", cases[i].host);
	assert_true(x509_matches_host(buf_span(&client.cert), "10.1.2.3"));
	/* no alternative names: the CN counts */
	assert_true(x509_matches_host(buf_span(&root.cert), "causeway test root"));
	assert_false(x509_matches_host(buf_span(&root.cert), "causeway"));
	assert_false(
		x509_matches_host(span_of(leaf.cert.data, leaf.cert.len - 1), "gw.example.org"));
}

static void test_key_matches(void **state)
{
	(void)state;
	assert_true(x509_key_matches(buf_span(&root.cert), buf_span(&root.key)));
	assert_true(x509_key_matches(buf_span(&leaf.cert), buf_span(&leaf.key)));
	assert_false(x509_key_matches(buf_span(&leaf.cert), buf_span(&client.key)));
	assert_false(x509_key_matches(buf_span(&leaf.cert), span_str("rubbish")));
	assert_false(x509_key_matches(span_str("rubbish"), buf_span(&leaf.key)));
	assert_false(x509_key_matches(span_of(NULL, 0), buf_span(&leaf.key)));
}

static void test_bad_requests(void **state)
{
	static const char *const bad_alt[] = {"a\nb"};
	struct x509_leaf_opts o = {.common_name = "x", .not_before_s = 5, .not_after_s = 6};
	struct x509_pair p, broken;
	char long_name[66];

	(void)state;
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	x509_pair_init(&p);
	x509_pair_init(&broken);
	assert_int_equal(x509_make_root("", 5, 6, &p), -ERR_INVALID);
	assert_int_equal(x509_make_root(long_name, 5, 6, &p), -ERR_INVALID);
	assert_int_equal(x509_make_root("x", 6, 5, &p), -ERR_INVALID);
	assert_int_equal(x509_make_root("x", -1, 5, &p), -ERR_INVALID);
	assert_int_equal(x509_make_root("x", 0, INT64_MAX, &p), -ERR_INVALID);
	assert_int_equal(x509_make_leaf(&broken, &o, &p), -ERR_CORRUPT);
	buf_put_span(&broken.cert, buf_span(&root.cert));
	assert_int_equal(x509_make_leaf(&broken, &o, &p), -ERR_CORRUPT);
	o.alt_names = bad_alt;
	o.alt_names_len = 1;
	assert_int_equal(x509_make_leaf(&root, &o, &p), -ERR_INVALID);
	x509_pair_free(&p);
	x509_pair_free(&broken);
}

static void test_read_damaged(void **state)
{
	struct x509_info info;
	uint8_t copy[2048];
	size_t n = leaf.cert.len;

	(void)state;
	assert_true(n <= sizeof(copy));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(x509_read(span_of(leaf.cert.data, i), &info), -ERR_CORRUPT);
	for (size_t i = 0; i < n; i++) {
		memcpy(copy, leaf.cert.data, n);
		for (int bit = 0; bit < 8; bit++) {
			copy[i] = leaf.cert.data[i] ^ (uint8_t)(1 << bit);
			/* most are refused; the sanitizers judge, and the facts must be bounded */
			if (x509_read(span_of(copy, n), &info) == 0)
				assert_true(memchr(info.subject_cn, 0, sizeof(info.subject_cn)) !=
				            NULL);
			(void)x509_matches_host(span_of(copy, n), "gw.example.org");
		}
	}
	memcpy(copy, leaf.cert.data, n);
	copy[n] = 0;
	assert_int_equal(x509_read(span_of(copy, n + 1), &info), -ERR_CORRUPT); /* rest behind it */
	assert_int_equal(x509_read(span_of(NULL, 0), &info), -ERR_CORRUPT);
}

static void write_pem(const char *name, const char *label, const struct buf *der)
{
	char path[100];
	struct buf text;
	FILE *f;

	buf_init(&text, 65536);
	pem_encode(label, buf_span(der), &text);
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
	assert_int_equal(fclose(f), 0);
	buf_free(&text);
}

/* Runs a command in the folder; what it prints comes first into out. Returns its status. */
static int shell(const char *command, char *out, size_t size)
{
	char whole[1000];
	FILE *f;
	size_t n;

	(void)snprintf(whole, sizeof(whole), "cd %s && %s 2>&1", folder, command);
	f = popen(whole, "r");
	assert_non_null(f);
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	return pclose(f);
}

static void assert_shell(const char *command, const char *expected)
{
	char out[8192];

	if (shell(command, out, sizeof(out)) != 0 || strstr(out, expected) == NULL)
		fail_msg("%s: %s", command, out);
}

static void test_openssl_accepts(void **state)
{
	char out[8192];

	(void)state;
	if (shell("openssl version", out, sizeof(out)) != 0)
		skip();
	write_pem("root.pem", "CERTIFICATE", &root.cert);
	write_pem("leaf.pem", "CERTIFICATE", &leaf.cert);
	write_pem("leaf.key", "RSA PRIVATE KEY", &leaf.key);
	write_pem("client.pem", "CERTIFICATE", &client.cert);
	assert_shell("openssl verify -x509_strict -CAfile root.pem root.pem", "root.pem: OK");
	assert_shell("openssl verify -x509_strict -purpose sslserver -CAfile root.pem leaf.pem",
	             "leaf.pem: OK");
	assert_shell("openssl verify -CAfile root.pem -verify_hostname mps.example.org leaf.pem",
	             "leaf.pem: OK");
	assert_shell("openssl verify -CAfile root.pem -verify_ip 192.0.2.7 leaf.pem",
	             "leaf.pem: OK");
	assert_shell("openssl verify -CAfile root.pem -verify_ip 2001:db8::7 leaf.pem",
	             "leaf.pem: OK");
	assert_shell(
		"openssl verify -purpose sslclient -attime 1720000000 -CAfile root.pem client.pem",
		"client.pem: OK");
	assert_int_not_equal(shell("openssl verify -purpose sslclient -CAfile root.pem leaf.pem",
	                           out, sizeof(out)),
	                     0);
	assert_int_not_equal(shell("openssl verify -CAfile root.pem -verify_ip 192.0.2.8 leaf.pem",
	                           out, sizeof(out)),
	                     0);
	assert_shell("openssl rsa -in leaf.key -check -noout", "RSA key ok");
	assert_shell("openssl x509 -in leaf.pem -noout -dates",
	             "notBefore=Dec 31 23:59:59 2023 GMT\nnotAfter=Dec 31 23:59:59 2050 GMT");
	assert_shell("openssl x509 -in root.pem -noout -text", "Public-Key: (3072 bit)");
	assert_shell("openssl x509 -in root.pem -noout -text", "Certificate Sign, CRL Sign");
	assert_shell("openssl x509 -in root.pem -noout -text",
	             "X509v3 Basic Constraints: critical\n                CA:TRUE");
	assert_shell("openssl x509 -in leaf.pem -noout -text",
	             "Digital Signature, Key Encipherment");
	assert_shell("openssl x509 -in leaf.pem -noout -text",
	             "Signature Algorithm: sha256WithRSAEncryption");
	assert_shell("openssl x509 -in leaf.pem -noout -text", "TLS Web Server Authentication");
	assert_shell("rm root.pem leaf.pem leaf.key client.pem && echo done", "done");
}

/* A root of the operator's, made elsewhere: PKCS#8 key; and an EC certificate for the API. */
static void test_foreign_keys(void **state)
{
	const struct x509_leaf_opts o = {.common_name = "gw.example.org",
	                                 .not_before_s = NOT_BEFORE_S,
	                                 .not_after_s = NOT_AFTER_S};
	struct x509_pair foreign, ec, made;
	char text[16384], out[8192];

	(void)state;
	if (shell("openssl version", out, sizeof(out)) != 0)
		skip();
	x509_pair_init(&foreign);
	x509_pair_init(&ec);
	x509_pair_init(&made);
	assert_int_equal(shell("openssl req -x509 -newkey rsa:2048 -nodes -subj /O=Acme/CN=Acme "
	                       "-days 100 -keyout /dev/stdout 2>/dev/null",
	                       text, sizeof(text)),
	                 0);
	assert_int_equal(pem_decode(span_str(text), NULL, 0, &foreign.key), 0);
	assert_int_equal(pem_decode(span_str(text), "CERTIFICATE", 0, &foreign.cert), 0);
	assert_true(x509_key_matches(buf_span(&foreign.cert), buf_span(&foreign.key)));
	assert_int_equal(x509_make_leaf(&foreign, &o, &made), 0);
	write_pem("root.pem", "CERTIFICATE", &foreign.cert);
	write_pem("leaf.pem", "CERTIFICATE", &made.cert);
	assert_shell("openssl verify -CAfile root.pem leaf.pem", "leaf.pem: OK");
	assert_shell("rm root.pem leaf.pem && echo done", "done");
	assert_int_equal(shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
	                       "-nodes -subj /CN=api -keyout /dev/stdout 2>/dev/null",
	                       text, sizeof(text)),
	                 0);
	assert_int_equal(pem_decode(span_str(text), NULL, 0, &ec.key), 0);
	assert_int_equal(pem_decode(span_str(text), "CERTIFICATE", 0, &ec.cert), 0);
	assert_true(x509_key_matches(buf_span(&ec.cert), buf_span(&ec.key)));
	assert_false(x509_key_matches(buf_span(&ec.cert), buf_span(&foreign.key)));
	x509_pair_free(&foreign);
	x509_pair_free(&ec);
	x509_pair_free(&made);
}

static void test_pem_both_ways(void **state)
{
	uint8_t data[200];
	struct buf text, back;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 5);
	buf_init(&text, 4096);
	buf_init(&back, 4096);
	for (size_t n = 1; n <= sizeof(data); n += 7) {
		buf_clear(&text);
		buf_clear(&back);
		buf_put_str(&text, "# a comment\n");
		pem_encode("CERTIFICATE", span_of(data, 3), &text);
		pem_encode("CERTIFICATE", span_of(data, n), &text);
		pem_encode("EC PRIVATE KEY", span_of(data, 5), &text);
		assert_int_equal(pem_decode(buf_span(&text), "CERTIFICATE", 1, &back), 0);
		assert_int_equal(back.len, n);
		assert_memory_equal(back.data, data, n);
		assert_int_equal(pem_decode(buf_span(&text), NULL, 0, &back), 0); /* appends */
		assert_int_equal(back.len, n + 5);
		assert_int_equal(pem_decode(buf_span(&text), "CERTIFICATE", 2, &back),
		                 -ERR_NOT_FOUND);
	}
	buf_free(&text);
	buf_free(&back);
}

static void test_pem_damaged(void **state)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{"", -ERR_NOT_FOUND},
		{"-----BEGIN CERT-----\nAAAA\n-----END CERT-----\n", -ERR_NOT_FOUND},
		{"-----BEGIN CERTIFICATE-----\nAAAA\n", -ERR_CORRUPT},
		{"-----BEGIN CERTIFICATE", -ERR_CORRUPT},
		{"-----BEGIN CERTIFICATE-----\nAA*A\n-----END CERTIFICATE-----\n", -ERR_CORRUPT},
		{"-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n", -ERR_CORRUPT},
		{"-----BEGIN CERTIFICATE-----\nAAAA\n-----END X-----\n", -ERR_CORRUPT},
		{"-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END "
	         "CERTIFICATE-----\n",
	         -ERR_UNSUPPORTED},
		{"-----BEGIN CERTIFICATE-----\r\n AAAA\r\n-----END CERTIFICATE-----", 0},
	};
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int r = pem_decode(span_str(cases[i].text), "CERTIFICATE", 0, &out);

		if (r != cases[i].result)
			fail_msg("case %zu: %s", i, err_name(r));
	}
	assert_int_equal(out.len, 3);
	assert_int_equal(pem_decode(span_str("-----BEGIN ENCRYPTED PRIVATE "
	                                     "KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"),
	                            NULL, 0, &out),
	                 -ERR_UNSUPPORTED);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root_facts),      cmocka_unit_test(test_leaf_facts),
		cmocka_unit_test(test_host_names),      cmocka_unit_test(test_key_matches),
		cmocka_unit_test(test_bad_requests),    cmocka_unit_test(test_read_damaged),
		cmocka_unit_test(test_openssl_accepts), cmocka_unit_test(test_foreign_keys),
		cmocka_unit_test(test_pem_both_ways),   cmocka_unit_test(test_pem_damaged),
	};

	return cmocka_run_group_tests(tests, make_all, free_all);
}
