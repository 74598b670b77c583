/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tls_test.c: two sessions over memory: versions, suites, certificates, damage, and what tls_error says about it. */
#include "core/tls.h"
#include "core/err.h"
#include "tests/unit/support/test.h"
#include "tests/unit/support/tls_pair.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
static bool connect_pair(struct tls_pair *p, const struct tls_ctx_opts *client,
                         const struct tls_ctx_opts *server, const char *name)
{
	struct tls_ctx *c = tls_ctx_made(client), *s = tls_ctx_made(server);

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
	{TLS_MODERN, 0x0301, "AES128-SHA", false,
         "no common version (the peer offers up to TLSv1.0, this side wants TLSv1.2 or later)"},
	{TLS_MODERN, 0x0302, "AES256-SHA", false,
         "no common version (the peer offers up to TLSv1.1"},
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
	{TLS_API, 0x0303, "AES128-GCM-SHA256", false,
         "no common cipher suite (the peer offers 0x009c"},
	{TLS_API, 0x0303, "ECDHE-RSA-AES128-SHA", false,
         "no common cipher suite (the peer offers 0xc013"},
	{TLS_API, 0x0303, "ECDHE-RSA-AES128-GCM-SHA256", true, NULL},
	{TLS_API, 0x0304, "TLS13-CHACHA20-POLY1305-SHA256", true, NULL},
};

static void test_profiles_against_versions(void **state)
{
	static const char *const names[] = {"TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(combinations); i++) {
		const struct combination *k = &combinations[i];
		struct tls_ctx_opts c = client_opts(k->version, k->suite),
				    s = server_opts(k->profile);
		struct tls_info info;
		struct tls_pair p;

		print_message("profile %d, %s %s\n", (int)k->profile, names[k->version - 0x0301],
		              k->suite);
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

static void test_any_split_of_the_stream(void **state)
{
	static const int versions[] = {0x0301, 0x0303, 0x0304};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct tls_ctx_opts c = client_opts(versions[i], NULL), s = server_opts(TLS_LEGACY);
		struct tls_ctx *cc = tls_ctx_made(&c), *sc = tls_ctx_made(&s);
		struct tls_pair p;

		tls_pair_init(&p, cc, sc, "localhost");
		p.to_client.step = p.to_server.step = 1;
		assert_true(tls_pair_handshake(&p));
		assert_echo(&p, span_str("one octet at a time"));
		tls_pair_free(&p);
		tls_ctx_unref(cc);
		tls_ctx_unref(sc);
	}
}

static void test_coalesced_records(void **state)
{
	struct tls_ctx_opts c = client_opts(0x0303, NULL), s = server_opts(TLS_MODERN);
	struct tls_pair p;
	struct buf got;

	(void)state;
	buf_init(&got, 1000);
	assert_true(connect_pair(&p, &c, &s, "localhost"));
	assert_int_equal(tls_write(p.client, span_str("first ")), 0);
	assert_int_equal(tls_write(p.client, span_str("second ")), 0);
	assert_int_equal(tls_write(p.client, span_str("third")), 0);
	assert_int_equal(tls_pair_drain(&p, false, &got), -ERR_AGAIN);
	assert_string_equal(buf_cstr(&got), "first second third");
	assert_int_equal(tls_input_left(p.server), 0);
	buf_free(&got);
	tls_pair_free(&p);
}

static void test_large_writes(void **state)
{
	static const int versions[] = {0x0301, 0x0303, 0x0304};
	const size_t n = 1024 * 1024 + 13;
	uint8_t *data = malloc(n);

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)(i * 31 >> 3);
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct tls_ctx_opts c = client_opts(versions[i], NULL), s = server_opts(TLS_LEGACY);
		struct tls_pair p;

		assert_true(connect_pair(&p, &c, &s, "localhost"));
		assert_echo(&p, span_of(data, n));
		tls_pair_free(&p);
	}
	free(data);
}

static void test_alpn(void **state)
{
	static const struct {
		const char *offer, *want;
	} cases[] = {{"h2,http/1.1", "h2"},
	             {"http/1.1", "http/1.1"},
	             {"http/1.1,h2", NULL},
	             {"spdy/1", ""},
	             {NULL, ""}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_ctx_opts c = client_opts(0x0304, NULL), s = server_opts(TLS_API);
		struct tls_info ci, si;
		struct tls_pair p;

		s.alpn = "h2,http/1.1";
		c.alpn = cases[i].offer;
		assert_true(connect_pair(&p, &c, &s, "localhost"));
		tls_info(p.client, &ci);
		tls_info(p.server, &si);
		assert_string_equal(ci.alpn, si.alpn);
		if (cases[i].want != NULL)
			assert_string_equal(si.alpn, cases[i].want);
		else
			assert_true(si.alpn[0] == 'h');
		assert_echo(&p, span_str("x"));
		tls_pair_free(&p);
	}
}

static void test_close_notify(void **state)
{
	static const int versions[] = {0x0301, 0x0303, 0x0304};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct tls_ctx_opts c = client_opts(versions[i], NULL), s = server_opts(TLS_LEGACY);
		struct tls_pair p;
		struct buf got;
		size_t n;

		buf_init(&got, 100);
		assert_true(connect_pair(&p, &c, &s, "localhost"));
		assert_int_equal(tls_write(p.client, span_str("last words")), 0);
		tls_close(p.client);
		n = p.to_server.bytes.len;
		tls_close(p.client);
		assert_int_equal(p.to_server.bytes.len, n); /* once only */
		assert_int_equal(tls_write(p.client, span_str("too late")), -ERR_CLOSED);
		assert_int_equal(tls_pair_drain(&p, false, &got), -ERR_CLOSED);
		assert_string_equal(buf_cstr(&got), "last words");
		assert_string_equal(tls_error(p.server), "");
		assert_int_equal(tls_alert(p.server), 0);
		tls_close(p.server);
		assert_int_equal(tls_pair_drain(&p, true, NULL), -ERR_CLOSED);
		buf_free(&got);
		tls_pair_free(&p);
	}
}

static void test_damaged_record(void **state)
{
	static const struct {
		int version;
		const char *suite;
	} cases[] = {{0x0301, "AES128-SHA"},
	             {0x0303, "AES128-SHA256"},
	             {0x0303, "ECDHE-RSA-AES128-GCM-SHA256"},
	             {0x0304, "TLS13-AES128-GCM-SHA256"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_ctx_opts c = client_opts(cases[i].version, cases[i].suite),
				    s = server_opts(TLS_LEGACY);
		struct tls_pair p;

		assert_true(connect_pair(&p, &c, &s, "localhost"));
		assert_int_equal(tls_pair_drain(&p, true, NULL), -ERR_AGAIN);
		assert_int_equal(tls_write(p.client, span_str("to be damaged on its way")), 0);
		p.to_server.bytes.data[p.to_server.bytes.len - 1] ^= 1;
		assert_int_equal(tls_pair_drain(&p, false, NULL), -ERR_TLS);
		print_message("%s\n", tls_error(p.server));
		assert_non_null(strstr(tls_error(p.server), "damaged or forged"));
		assert_int_equal(tls_alert(p.server), -20);
		assert_int_equal(tls_write(p.server, span_str("x")), -ERR_TLS);
		assert_int_equal(tls_pair_drain(&p, true, NULL), -ERR_TLS);
		assert_string_equal(tls_error(p.client), "alert 20 bad_record_mac from the peer");
		tls_pair_free(&p);
	}
}

struct client_cert {
	enum tls_verify verify;
	int which; /* 0 none, 1 good, 2 of another CA, 3 a server's */
	bool accepted;
	const char *error;
};

static const struct client_cert client_certs[] = {
	{TLS_VERIFY_NONE, 1, true, NULL},
	{TLS_VERIFY_CA, 0, true, NULL},
	{TLS_VERIFY_CA, 1, true, NULL},
	{TLS_VERIFY_CA, 2, false, "no trusted CA issued it"},
	{TLS_VERIFY_CA, 3, false, "extended key usage"},
	{TLS_VERIFY_REQUIRED, 1, true, NULL},
	{TLS_VERIFY_REQUIRED, 0, false, "the peer sent no certificate"},
	{TLS_VERIFY_REQUIRED, 2, false, "no trusted CA issued it"},
};

static void give_cert(struct tls_ctx_opts *o, int which)
{
	const struct tls_pki *pki = tls_pki_get();
	const struct buf *certs[] = {NULL, &pki->client_pem, &pki->other_pem, &pki->server_pem};
	const struct buf *keys[] = {NULL, &pki->client_key_pem, &pki->other_key_pem,
	                            &pki->server_key_pem};

	if (which == 0)
		return;
	o->cert_chain_pem = buf_span(certs[which]);
	o->key_pem = buf_span(keys[which]);
}

static void check_client_cert(const struct client_cert *k, int version)
{
	const struct tls_pki *pki = tls_pki_get();
	struct tls_ctx_opts c = client_opts(version, NULL), s = server_opts(TLS_LEGACY);
	bool sent = k->which == 1 && k->verify != TLS_VERIFY_NONE;
	struct x509_info want;
	struct tls_info info;
	struct tls_pair p;
	uint8_t sha256[32];

	print_message("version %04x, verify %d, certificate %d\n", (unsigned)version,
	              (int)k->verify, k->which);
	s.verify = k->verify;
	s.ca_pem = buf_span(&pki->root_pem);
	give_cert(&c, k->which);
	(void)connect_pair(
		&p, &c, &s,
		"localhost"); /* in 1.3 a client is established before it hears of the refusal */
	if ((p.server_result == 0) != k->accepted)
		print_message("  server: %s; client: %s\n", tls_error(p.server),
		              tls_error(p.client));
	assert_int_equal(p.server_result, k->accepted ? 0 : -ERR_TLS);
	tls_info(p.server, &info);
	assert_int_equal(info.peer_cert, sent);
	assert_int_equal(tls_peer_sha256(p.server, sha256), sent);
	assert_string_equal(tls_peer_cn(p.server), sent ? "device-7" : "");
	if (sent) {
		assert_int_equal(x509_read(buf_span(&pki->client.cert), &want), 0);
		assert_memory_equal(sha256, want.sha256, 32);
	}
	if (k->accepted) {
		assert_echo(&p, span_str("hello"));
	} else {
		print_message("  %s\n", tls_error(p.server));
		assert_non_null(strstr(tls_error(p.server), k->error));
	}
	tls_pair_free(&p);
}

static void test_client_certificates(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(client_certs); i++)
		for (int version = 0x0302; version <= 0x0304; version++)
			check_client_cert(&client_certs[i], version);
}

/* What a client makes of the server's certificate. */
static void test_server_name_and_pin(void **state)
{
	static const struct {
		enum tls_verify verify;
		const char *name;
		bool own_root, accepted;
		const char *error;
	} cases[] = {
		{TLS_VERIFY_CA, "localhost", true, true, NULL},
		{TLS_VERIFY_CA, "GW.example.org", true, true, NULL},
		{TLS_VERIFY_CA, "127.0.0.1", true, true, NULL},
		{TLS_VERIFY_CA, NULL, true, true, NULL},
		{TLS_VERIFY_CA, "127.0.0.2", true, false, "another host name or address"},
		{TLS_VERIFY_CA, "example.org", true, false, "another host name or address"},
		{TLS_VERIFY_CA, "localhost", false, false, "no trusted CA issued it"},
		{TLS_VERIFY_NONE, "whatever.example", false, true, NULL},
	};
	const struct tls_pki *pki = tls_pki_get();
	struct x509_info want;
	uint8_t sha256[32];

	(void)state;
	assert_int_equal(x509_read(buf_span(&pki->server.cert), &want), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int version = 0x0303; version <= 0x0304; version++) {
			struct tls_ctx_opts c = client_opts(version, NULL),
					    s = server_opts(TLS_MODERN);
			struct tls_pair p;

			c.verify = cases[i].verify;
			c.ca_pem =
				buf_span(cases[i].own_root ? &pki->root_pem : &pki->other_root_pem);
			assert_int_equal(connect_pair(&p, &c, &s, cases[i].name),
			                 cases[i].accepted);
			assert_int_equal(tls_peer_sha256(p.client, sha256), cases[i].accepted);
			if (cases[i].accepted) {
				assert_memory_equal(sha256, want.sha256, 32);
				assert_string_equal(tls_peer_cn(p.client), "localhost");
			} else {
				assert_non_null(strstr(tls_error(p.client), cases[i].error));
				assert_true(tls_alert(p.client) < 0);
				assert_int_equal(p.server_result, -ERR_TLS);
				print_message("%s | %s\n", tls_error(p.client),
				              tls_error(p.server));
			}
			tls_pair_free(&p);
		}
	}
}

static int drop(void *arg, struct span ciphertext)
{
	(void)arg;
	(void)ciphertext;
	return 0;
}

static void test_other_protocols(void **state)
{
	static const struct {
		struct span bytes;
		const char *error;
	} cases[] = {
		{{(const uint8_t *)"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 28},
	         "the peer speaks plain HTTP"},
		{{(const uint8_t *)"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24},
	         "the peer speaks plain HTTP"},
		{{(const uint8_t *)"\xc0\0\0\0\1\0\0\0\0", 9}, "the peer speaks APF without TLS"},
		{{(const uint8_t *)"\x80\x2e\x01\x03\x01\0\x15", 7},
	         "the peer sent an SSLv2 ClientHello"},
		{{(const uint8_t *)"\x10\x20\0\4MQTT\4\2", 10},
	         "the peer does not speak TLS (first octets 10 20 00 04 4d)"},
	};
	struct tls_ctx_opts o = server_opts(TLS_MODERN);
	struct tls_ctx *ctx = tls_ctx_made(&o);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls *t = tls_new(ctx, NULL, drop, NULL);

		assert_non_null(t);
		assert_int_equal(tls_handshake(t), -ERR_AGAIN);
		tls_input(t, cases[i].bytes);
		assert_int_equal(tls_handshake(t), -ERR_TLS);
		assert_string_equal(tls_error(t), cases[i].error);
		assert_int_equal(tls_handshake(t), -ERR_TLS); /* stays so */
		tls_free(t);
	}
	tls_ctx_unref(ctx);
}

static int refuse(void *arg, struct span ciphertext)
{
	int *calls = arg;

	(void)ciphertext;
	return ++*calls > 1 ? -ERR_FULL : 0;
}

static void test_output_refused(void **state)
{
	struct tls_ctx_opts c = client_opts(0x0304, NULL), s = server_opts(TLS_MODERN);
	struct tls_ctx *cc = tls_ctx_made(&c), *sc = tls_ctx_made(&s);
	struct tls_pair p;
	int calls = 1;

	(void)state;
	tls_pair_init(&p, cc, sc, NULL);
	tls_free(p.server);
	p.server = tls_new(sc, NULL, refuse, &calls);
	assert_false(tls_pair_handshake(&p));
	assert_int_equal(p.server_result, -ERR_TLS);
	assert_string_equal(tls_error(p.server), "the output was refused: a limit was reached");
	tls_pair_free(&p);
	tls_ctx_unref(cc);
	tls_ctx_unref(sc);
}

/* Bad settings are refused with a reason. */
static void assert_refused(const struct tls_ctx_opts *o, const char *reason)
{
	struct buf why;

	buf_init(&why, 1000);
	assert_null(tls_ctx_new(o, &why));
	if (strstr(buf_cstr(&why), reason) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", buf_cstr(&why), reason);
	buf_free(&why);
}

static void test_bad_settings(void **state)
{
	const struct tls_pki *pki = tls_pki_get();
	struct tls_ctx_opts o;
	struct tls_ctx *ctx;
	char name[257];

	(void)state;
	o = (struct tls_ctx_opts){.server = true};
	assert_refused(&o, "a certificate and its private key are needed");
	o = server_opts(TLS_MODERN);
	o.key_pem = buf_span(&pki->client_key_pem);
	assert_refused(&o, "the private key");
	o = server_opts(TLS_MODERN);
	o.key_pem = span_str("rubbish");
	assert_refused(&o, "the private key cannot be used");
	o = server_opts(TLS_MODERN);
	o.cert_chain_pem = span_str("rubbish");
	assert_refused(&o, "the certificate cannot be used");
	o = server_opts(TLS_MODERN);
	o.verify = TLS_VERIFY_REQUIRED;
	assert_refused(&o, "trust anchors are needed");
	o.ca_pem = span_str("rubbish");
	assert_refused(&o, "the trust anchors cannot be used");
	o = server_opts(TLS_MODERN);
	o.ciphers = "NO-SUCH-SUITE";
	assert_refused(&o, "no known cipher suite");
	o = server_opts(TLS_MODERN);
	o.max_version = 0x0302;
	assert_refused(&o, "no TLS version between 0x0303 and 0x0302");
	o = client_opts(0x0303, NULL);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ctx = tls_ctx_made(&o);
	assert_null(tls_new(ctx, name, drop, NULL));
	tls_ctx_unref(ctx);
}

#define IDLE_SESSIONS 200
#define IDLE_HEAP_MAX 5000

/* Octets of heap that one established server session holds, its client gone; measured over many. */
static size_t idle_heap(int version, const char *suite, int client_cert)
{
	struct tls_ctx_opts c = client_opts(version, suite), s = server_opts(TLS_LEGACY);
	struct tls_ctx *cc, *sc;
	struct tls *idle[IDLE_SESSIONS + 1];
	size_t before = 0;

	s.verify = TLS_VERIFY_CA;
	s.ca_pem = buf_span(&tls_pki_get()->root_pem);
	give_cert(&c, client_cert);
	cc = tls_ctx_made(&c);
	sc = tls_ctx_made(&s);
	for (int i = 0; i <= IDLE_SESSIONS; i++) {
		struct tls_pair p;
		uint8_t record[300] = {0};

		if (i == 1)
			before = mallinfo2().uordblks;
		tls_pair_init(&p, cc, sc, NULL);
		assert_true(tls_pair_handshake(&p));
		assert_echo(&p, span_of(record, sizeof(record)));
		idle[i] = p.server;
		p.server = NULL;
		tls_pair_free(&p);
	}
	before = mallinfo2().uordblks - before;
	for (int i = 0; i <= IDLE_SESSIONS; i++)
		tls_free(idle[i]);
	tls_ctx_unref(cc);
	tls_ctx_unref(sc);
	return before / IDLE_SESSIONS;
}

static void test_idle_heap(void **state)
{
	static const struct {
		int version;
		const char *suite;
	} cases[] = {{0x0303, "ECDHE-RSA-AES128-GCM-SHA256"},
	             {0x0303, "AES128-SHA"},
	             {0x0301, "AES128-SHA"},
	             {0x0304, NULL}};

	(void)state;
	if (mallinfo2().uordblks == 0)
		skip(); /* another allocator: a sanitizer's */
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t bare = idle_heap(cases[i].version, cases[i].suite, 0),
		       cert = idle_heap(cases[i].version, cases[i].suite, 1);

		print_message("%04x %s: %zu octets a session, %zu with a client certificate\n",
		              (unsigned)cases[i].version,
		              cases[i].suite != NULL ? cases[i].suite : "", bare, cert);
		assert_true(bare > 1000 && bare <= IDLE_HEAP_MAX);
		assert_true(cert > bare && cert <= IDLE_HEAP_MAX);
	}
}

struct sharer {
	struct tls_ctx *client, *server;
	atomic_int good;
};

static void *share(void *arg)
{
	struct sharer *s = arg;

	for (int i = 0; i < 8; i++) {
		struct tls_pair p;
		struct buf got;

		buf_init(&got, 100);
		tls_pair_init(&p, s->client, s->server, "localhost");
		if (tls_pair_handshake(&p) &&
		    tls_pair_send(&p, true, span_str("ping"), &got) == -ERR_AGAIN && got.len == 4 &&
		    strcmp(tls_peer_cn(p.server), "device-7") == 0)
			atomic_fetch_add(&s->good, 1);
		tls_close(p.client);
		tls_pair_free(&p);
		buf_free(&got);
	}
	tls_ctx_unref(s->client);
	tls_ctx_unref(s->server);
	return NULL;
}

/* meant for ThreadSanitizer */
static void test_threads_share_contexts(void **state)
{
	static const int versions[] = {0x0303, 0x0304};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct tls_ctx_opts c = client_opts(versions[i], NULL), s = server_opts(TLS_MODERN);
		struct sharer all = {0};
		pthread_t threads[2];

		s.verify = TLS_VERIFY_CA;
		s.ca_pem = buf_span(&tls_pki_get()->root_pem);
		give_cert(&c, 1);
		all.client = tls_ctx_made(&c);
		all.server = tls_ctx_made(&s);
		(void)tls_ctx_ref(all.client); /* the last thread frees them */
		(void)tls_ctx_ref(all.server);
		for (size_t k = 0; k < ARRAY_LEN(threads); k++)
			assert_int_equal(pthread_create(&threads[k], NULL, share, &all), 0);
		for (size_t k = 0; k < ARRAY_LEN(threads); k++)
			assert_int_equal(pthread_join(threads[k], NULL), 0);
		assert_int_equal(all.good, 16);
	}
}

static const char *run(const char *command, char *out, size_t size)
{
	FILE *f = popen(command, "r");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	return pclose(f) == 0 && n > 0 ? out : NULL;
}

/* Keys as operators have them: EC (SEC 1 and PKCS#8) and RSA in PKCS#8, in one file with the certificate. */
static void test_foreign_keys(void **state)
{
	static const char *const commands[] = {
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "
		"/CN=api -keyout /dev/stdout 2>/dev/null",
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -subj "
		"/CN=api -keyout /dev/stdout 2>/dev/null",
		"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=api -keyout /dev/stdout "
		"2>/dev/null",
		"t=$(mktemp) && openssl ecparam -name prime256v1 -genkey -noout -out $t && cat $t "
		"&& "
		"openssl req -x509 -key $t -subj /CN=api 2>/dev/null; r=$?; rm -f $t; exit $r",
	};
	char pem[16384];

	(void)state;
	if (run("openssl version 2>/dev/null", pem, sizeof(pem)) == NULL)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		struct tls_ctx_opts c = {.profile = TLS_API},
				    s = {.server = true, .profile = TLS_API};
		struct tls_pair p;

		assert_non_null(run(commands[i], pem, sizeof(pem)));
		s.cert_chain_pem = s.key_pem = c.ca_pem = span_str(pem);
		c.verify = TLS_VERIFY_CA;
		assert_true(connect_pair(&p, &c, &s, "api"));
		assert_string_equal(tls_peer_cn(p.client), "api");
		tls_pair_free(&p);
	}
}

/* A recorded sort of client: 1.2, one suite of no use, and the signal that renegotiation is understood. */
static void test_useless_suites(void **state)
{
	static const uint8_t hello[] = {
		22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 3, /* then 32 random octets */
		1,  2, 3, 4, 5,  6, 7, 8, 9,  1, 2, 3, 4, 5, 6, 7, 8, 9,   1, 2, 3,
		4,  5, 6, 7, 8,  9, 1, 2, 3,  4, 5, 0, 0, 4, 0, 5, 0, 255, 1, 0};
	struct tls_ctx_opts o = server_opts(TLS_MODERN);
	struct tls_ctx *ctx = tls_ctx_made(&o);
	struct tls *t = tls_new(ctx, NULL, drop, NULL);

	(void)state;
	tls_input(t, span_of(hello, sizeof(hello)));
	assert_int_equal(tls_handshake(t), -ERR_TLS);
	assert_string_equal(tls_error(t), "no common cipher suite (the peer offers 0x0005)");
	tls_free(t);
	tls_ctx_unref(ctx);
}

/* A session that the peer never finishes must not leak, at whatever octet it stops. */
static void test_abandoned_handshakes(void **state)
{
	struct tls_ctx_opts c = client_opts(0x0304, NULL), s = server_opts(TLS_MODERN);
	struct tls_ctx *cc = tls_ctx_made(&c), *sc = tls_ctx_made(&s);
	uint8_t hello[2000];
	struct tls_pair p;
	size_t n;

	(void)state;
	tls_pair_init(&p, cc, sc, "localhost");
	assert_int_equal(tls_handshake(p.client), -ERR_AGAIN);
	n = p.to_server.bytes.len;
	assert_true(n > 100 && n < sizeof(hello));
	memcpy(hello, p.to_server.bytes.data, n);
	tls_pair_free(&p);
	for (size_t i = 0; i < n; i += 5) {
		struct tls *t = tls_new(sc, NULL, drop, NULL);

		tls_input(t, span_of(hello, i));
		assert_int_equal(tls_handshake(t), -ERR_AGAIN);
		assert_string_equal(tls_error(t), "");
		tls_free(t);
	}
	tls_ctx_unref(cc);
	tls_ctx_unref(sc);
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
		cmocka_unit_test(
			test_threads_share_contexts), /* first: the first use is where the races would be */
		cmocka_unit_test(test_profiles_against_versions),
		cmocka_unit_test(test_any_split_of_the_stream),
		cmocka_unit_test(test_coalesced_records),
		cmocka_unit_test(test_large_writes),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_close_notify),
		cmocka_unit_test(test_damaged_record),
		cmocka_unit_test(test_client_certificates),
		cmocka_unit_test(test_server_name_and_pin),
		cmocka_unit_test(test_other_protocols),
		cmocka_unit_test(test_output_refused),
		cmocka_unit_test(test_bad_settings),
		cmocka_unit_test(test_useless_suites),
		cmocka_unit_test(test_idle_heap),
		cmocka_unit_test(test_foreign_keys),
		cmocka_unit_test(test_abandoned_handshakes),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
