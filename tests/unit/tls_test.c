/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tls_test.c: two sessions over memory: versions, suites, certificates, damage, and what tls_error says about it. */
#include "core/tls.h"
#include "core/err.h"
#include "tests/unit/support/test.h"
#include "tests/unit/support/tls_pair.h"

#include <stdlib.h>
#include <string.h>

static struct tls_ctx *make_ctx(const struct tls_ctx_opts *o)
{
	struct tls_ctx *ctx;
	struct buf why;

	buf_init(&why, 1000);
	ctx = tls_ctx_new(o, &why);
	if (ctx == NULL)
		fail_msg("tls_ctx_new: %s", buf_cstr(&why));
	buf_free(&why);
	return ctx;
}

static struct tls_ctx_opts server_opts(enum tls_profile profile)
{
	const struct tls_pki *pki = tls_pki_get();

	return (struct tls_ctx_opts){.server = true,
				     .profile = profile,
				     .cert_chain_pem = buf_span(&pki->server_pem),
				     .key_pem = buf_span(&pki->server_key_pem)};
}

static struct tls_ctx_opts client_opts(int version, const char *ciphers)
{
	const struct tls_pki *pki = tls_pki_get();

	return (struct tls_ctx_opts){.profile = TLS_LEGACY,
				     .min_version = version,
				     .max_version = version,
				     .ciphers = ciphers,
				     .verify = TLS_VERIFY_CA,
				     .ca_pem = buf_span(&pki->root_pem)};
}

/* Makes a pair from options and shakes hands. */
static bool connect_pair(struct tls_pair *p, const struct tls_ctx_opts *client, const struct tls_ctx_opts *server,
			 const char *name)
{
	struct tls_ctx *c = make_ctx(client), *s = make_ctx(server);

	tls_pair_init(p, c, s, name);
	tls_ctx_unref(c); /* the sessions keep theirs */
	tls_ctx_unref(s);
	return tls_pair_handshake(p);
}

static void assert_echo(struct tls_pair *p, struct span data)
{
	struct buf got;

	for (int from_client = 0; from_client < 2; from_client++) {
		buf_init(&got, data.len + 1);
		assert_int_equal(tls_pair_send(p, from_client != 0, data, &got), -ERR_AGAIN);
		assert_int_equal(got.len, data.len);
		assert_memory_equal(got.data, data.ptr, data.len);
		buf_free(&got);
	}
}

struct combination {
	enum tls_profile profile;
	int version;
	const char *suite;
	bool accepted;
	const char *error; /* part of what the server says */
};

static const struct combination combinations[] = {
	{TLS_MODERN, 0x0301, "AES128-SHA", false, "no common version (the peer offers up to TLSv1.0, this side wants TLSv1.2 or later)"},
	{TLS_MODERN, 0x0302, "AES256-SHA", false, "no common version (the peer offers up to TLSv1.1"},
	{TLS_MODERN, 0x0303, "AES128-SHA", true, NULL},
	{TLS_MODERN, 0x0303, "AES256-SHA256", true, NULL},
	{TLS_MODERN, 0x0303, "AES128-GCM-SHA256", true, NULL},
	{TLS_MODERN, 0x0303, "ECDHE-RSA-AES256-GCM-SHA384", true, NULL},
	{TLS_MODERN, 0x0303, "ECDHE-RSA-AES128-SHA256", true, NULL},
	{TLS_MODERN, 0x0304, "TLS13-AES128-GCM-SHA256", true, NULL},
	{TLS_LEGACY, 0x0301, "AES128-SHA", true, NULL},
	{TLS_LEGACY, 0x0301, "ECDHE-RSA-AES256-SHA", true, NULL},
	{TLS_LEGACY, 0x0302, "AES256-SHA", true, NULL},
	{TLS_LEGACY, 0x0303, "AES128-GCM-SHA256", true, NULL},
	{TLS_LEGACY, 0x0303, "ECDHE-RSA-AES128-GCM-SHA256", true, NULL},
	{TLS_LEGACY, 0x0304, "TLS13-AES256-GCM-SHA384", true, NULL},
	{TLS_API, 0x0302, "AES256-SHA", false, "no common version (the peer offers up to TLSv1.1"},
	{TLS_API, 0x0303, "AES128-GCM-SHA256", false, "no common cipher suite (the peer offers 0x009c"},
	{TLS_API, 0x0303, "ECDHE-RSA-AES128-SHA", false, "no common cipher suite (the peer offers 0xc013"},
	{TLS_API, 0x0303, "ECDHE-RSA-AES128-GCM-SHA256", true, NULL},
	{TLS_API, 0x0304, "TLS13-CHACHA20-POLY1305-SHA256", true, NULL},
};

static void test_profiles_against_versions(void **state)
{
	static const char *const names[] = {"TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(combinations); i++) {
		const struct combination *k = &combinations[i];
		struct tls_ctx_opts c = client_opts(k->version, k->suite), s = server_opts(k->profile);
		struct tls_info info;
		struct tls_pair p;

		print_message("profile %d, %s %s\n", (int)k->profile, names[k->version - 0x0301], k->suite);
		assert_int_equal(connect_pair(&p, &c, &s, "localhost"), k->accepted);
		if (k->accepted) {
			tls_info(p.server, &info);
			assert_string_equal(info.version, names[k->version - 0x0301]);
			tls_info(p.client, &info);
			assert_string_equal(info.version, names[k->version - 0x0301]);
			assert_true(info.cipher[0] != '\0');
			assert_true(info.peer_cert);
			assert_echo(&p, span_str("a few octets"));
		} else {
			assert_int_equal(p.server_result, -ERR_TLS);
			assert_non_null(strstr(tls_error(p.server), k->error));
			assert_true(tls_alert(p.server) < 0);
			assert_int_equal(p.client_result, -ERR_TLS);
			assert_non_null(strstr(tls_error(p.client), "from the peer"));
			assert_int_equal(tls_alert(p.client), -tls_alert(p.server));
		}
		tls_pair_free(&p);
	}
}

static int start(void **state)
{
	(void)state;
	return tls_global_init();
}

static int stop(void **state)
{
	(void)state;
	tls_global_fini();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_profiles_against_versions),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
