/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls_rsa_test.c: RSA private operations by libcrypto against wolfSSL's own: the same signatures and plaintexts, the same silence
 * about what strangers send as an encrypted secret, and wolfSSL's help when the engine fails.
 */
#include <wolfssl/options.h>

#include "core/base.h" /* before wolfSSL, which defines MIN and MAX only if nobody has */

#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "core/crypto.h"
#include "core/err.h"
#include "core/metric.h"
#include "core/text.h"
#include "core/tls_rsa.h"
#include "tests/unit/support/test.h"
#include "tests/unit/support/tls_pair.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE        256 /* octets of the server's modulus */
#define CKE_HEADERS 11  /* of a ClientKeyExchange: record 5, message 4, length of the secret 2 */
#define THREADS     4

static struct {
	WC_RNG rng;
	RsaKey plain, offered; /* the server's key twice: wolfSSL's alone, and with the device */
	struct tls_rsa *rsa;
} k;

/* ---- helpers ----------------------------------------------------------------------------------------------------------- */

struct wanted {
	const char *name, *labels;
	int64_t value;
};

static void look(void *arg, const struct metric_view *v)
{
	struct wanted *w = arg;

	if (strcmp(v->name, w->name) == 0 && strcmp(v->labels, w->labels) == 0)
		w->value = (int64_t)v->value;
}

static int64_t figure(const char *name, const char *labels)
{
	struct wanted w = {name, labels, -1};

	metric_each(look, &w);
	assert_true(w.value >= 0);
	return w.value;
}

static int64_t done(void)
{
	return figure("causeway_rsa_operations_total", "result=done");
}

static int64_t refused(void)
{
	return figure("causeway_rsa_operations_total", "result=refused");
}

static void read_key(RsaKey *key, struct span der, int device)
{
	word32 at = 0;

	assert_int_equal(wc_InitRsaKey_ex(key, NULL, device), 0);
	assert_int_equal(wc_RsaPrivateKeyDecode(der.ptr, &at, key, (word32)der.len), 0);
	assert_int_equal(wc_RsaSetRNG(key, &k.rng), 0);
}

static struct tls_ctx *make_ctx(bool server, int version, const char *suite)
{
	const struct tls_pki *pki = tls_pki_get();
	struct tls_ctx_opts o = {.server = server, .min_version = version, .max_version = version};

	if (server) {
		o.cert_chain_pem = buf_span(&pki->server_pem);
		o.key_pem = buf_span(&pki->server_key_pem);
	} else {
		o.ciphers = suite;
	}
	return tls_ctx_made(&o);
}

static void make_pair(struct tls_pair *p, int version, const char *suite)
{
	struct tls_ctx *c = make_ctx(false, version, suite), *s = make_ctx(true, version, NULL);

	tls_pair_init(p, c, s, NULL);
	tls_ctx_unref(c);
	tls_ctx_unref(s);
}

static bool echo(struct tls_pair *p)
{
	struct buf got;
	bool good;

	buf_init(&got, 100);
	good = tls_pair_send(p, true, span_str("ping"), &got) == -ERR_AGAIN &&
	       tls_pair_send(p, false, span_str("pong"), &got) == -ERR_AGAIN &&
	       span_is(buf_span(&got), "pingpong");
	buf_free(&got);
	return good;
}

/* ---- operations -------------------------------------------------------------------------------------------------------- */

static void test_signatures(void **state)
{
	uint8_t digest[32], ours[SIZE], theirs[SIZE];
	int64_t before = done();

	(void)state;
	for (int i = 0; i < 20; i++) {
		random_bytes(digest, sizeof(digest));
		assert_int_equal(wc_RsaSSL_Sign(digest, 32, ours, SIZE, &k.plain, &k.rng), SIZE);
		assert_int_equal(done(), before + i);
		assert_int_equal(wc_RsaSSL_Sign(digest, 32, theirs, SIZE, &k.offered, &k.rng),
		                 SIZE);
		assert_int_equal(done(), before + i + 1);
		assert_memory_equal(ours, theirs, SIZE);
	}
}

static void test_pss(void **state)
{
	uint8_t digest[32], signature[SIZE], text[SIZE];
	int64_t before = done();
	int n;

	(void)state;
	random_bytes(digest, sizeof(digest));
	assert_int_equal(wc_RsaPSS_Sign(digest, 32, signature, SIZE, WC_HASH_TYPE_SHA256,
	                                WC_MGF1SHA256, &k.offered, &k.rng),
	                 SIZE);
	assert_int_equal(done(), before + 1);
	n = wc_RsaPSS_Verify(signature, SIZE, text, SIZE, WC_HASH_TYPE_SHA256, WC_MGF1SHA256,
	                     &k.plain);
	assert_true(n > 0);
	assert_int_equal(wc_RsaPSS_CheckPadding(digest, 32, text, (word32)n, WC_HASH_TYPE_SHA256),
	                 0);
}

static void assert_same_plaintext(const uint8_t *in, size_t n)
{
	uint8_t ours[SIZE] = {0}, theirs[SIZE] = {0};
	int a = wc_RsaPrivateDecrypt(in, (word32)n, ours, SIZE, &k.plain),
	    b = wc_RsaPrivateDecrypt(in, (word32)n, theirs, SIZE, &k.offered);

	assert_int_equal(a, b);
	if (a > 0)
		assert_memory_equal(ours, theirs, (size_t)a);
}

/* The modulus, plus what is added to its last octet; it is odd and the octet rarely at an end. */
static void near_modulus(uint8_t out[SIZE], int add)
{
	uint8_t e[8];
	word32 e_len = sizeof(e), n_len = SIZE;

	assert_int_equal(wc_RsaFlattenPublicKey(&k.plain, e, &e_len, out, &n_len), 0);
	for (size_t i = SIZE; i-- > 0 && add != 0;) {
		int sum = out[i] + add;

		out[i] = (uint8_t)(sum & 0xff);
		add = sum < 0 ? -1 : sum > 255 ? 1 : 0;
	}
}

static void test_decryption(void **state)
{
	uint8_t secret[48], in[SIZE];
	int64_t before;

	(void)state;
	random_bytes(secret, sizeof(secret));
	for (int i = 0; i < 20; i++) {
		assert_int_equal(
			wc_RsaPublicEncrypt(secret, 1 + (word32)i * 2, in, SIZE, &k.plain, &k.rng),
			SIZE);
		before = done();
		assert_same_plaintext(in, SIZE);
		assert_int_equal(done(), before + 1);
	}
	for (int i = 0; i < 20; i++) { /* bad padding */
		random_bytes(in, SIZE);
		in[0] &= 0x7f;
		before = done();
		assert_same_plaintext(in, SIZE);
		assert_int_equal(done(), before + 1);
	}
}

static void test_extreme_values(void **state)
{
	uint8_t in[SIZE] = {0};
	int64_t before = done(), held_back = refused();

	(void)state;
	for (uint8_t i = 0; i < 4; i++) {
		in[SIZE - 1] = i;
		assert_same_plaintext(in, SIZE);
	}
	for (int add = -2; add <= 2; add++) {
		near_modulus(in, add);
		assert_same_plaintext(in, SIZE);
	}
	memset(in, 0xff, SIZE);
	assert_same_plaintext(in, SIZE);
	for (size_t n = 1; n < SIZE; n += 51) {
		random_bytes(in, SIZE);
		assert_same_plaintext(in, n);
	}
	assert_int_equal(done(), before);
	assert_true(refused() > held_back);
}

/* A key that the thread did not name is wolfSSL's, and so is a public operation. */
static void test_other_key(void **state)
{
	const struct tls_pki *pki = tls_pki_get();
	uint8_t digest[32] = {1}, ours[SIZE], theirs[SIZE];
	int64_t before = done();
	RsaKey with, without;

	(void)state;
	read_key(&with, buf_span(&pki->client.key), TLS_RSA_DEVICE);
	read_key(&without, buf_span(&pki->client.key), INVALID_DEVID);
	assert_int_equal(wc_RsaSSL_Sign(digest, 32, ours, SIZE, &without, &k.rng), SIZE);
	assert_int_equal(wc_RsaSSL_Sign(digest, 32, theirs, SIZE, &with, &k.rng), SIZE);
	assert_memory_equal(ours, theirs, SIZE);
	assert_int_equal(wc_RsaSSL_Verify(ours, SIZE, theirs, SIZE, &with), 32);
	tls_rsa_enter(NULL);
	assert_int_equal(wc_RsaSSL_Sign(digest, 32, theirs, SIZE, &k.offered, &k.rng), SIZE);
	assert_int_equal(done(), before);
	wc_FreeRsaKey(&with);
	wc_FreeRsaKey(&without);
}

/* ---- keys -------------------------------------------------------------------------------------------------------------- */

/* A P-256 key of no use, without its frame. */
static const char ec_key[] = "MHcCAQEEIAjDQ8VEqGy8UBZwCbefpHY4Czhb7+HoCfZfOf2PBlEgoAoGCCqGSM49\n"
			     "AwEHoUQDQgAExlTbSlAaGF0/PYXvUXiOHOANM1vnNpwKw7zgsXixGTYdHAFxzDlQ\n"
			     "yu2Gm1hY2ve+/7JvkRHYHY75Ja3sEXmcvQ==\n";

static void test_kinds_of_keys(void **state)
{
	struct span key = buf_span(&tls_pki_get()->server.key);
	static uint8_t pkcs8[4000];
	struct buf pem;
	struct tls_rsa *rsa;
	word32 n = sizeof(pkcs8);

	(void)state;
	buf_init(&pem, 10000);
	buf_printf(&pem, "-----BEGIN %s-----\n%s-----END %s-----\n", "EC PRIVATE KEY", ec_key,
	           "EC PRIVATE KEY");
	assert_null(tls_rsa_new(buf_span(&pem)));
	assert_null(tls_rsa_new(buf_span(&tls_pki_get()->server_pem)));
	assert_null(tls_rsa_new(span_str("")));
	buf_free(&pem);
	buf_init(&pem, 10000);
	assert_true(wc_CreatePKCS8Key(pkcs8, &n, (byte *)key.ptr, (word32)key.len, RSAk, NULL, 0) >
	            0);
	pem_encode("PRIVATE KEY", span_of(pkcs8, n), &pem);
	rsa = tls_rsa_new(buf_span(&pem));
	assert_non_null(rsa);
	tls_rsa_free(rsa);
	buf_free(&pem);
}

static void test_keys(void **state)
{
	const struct tls_pki *pki = tls_pki_get();
	int64_t before = figure("causeway_rsa_keys", "");
	struct buf pem, der;
	struct tls_rsa *rsa;

	(void)state;
	buf_init(&pem, 10000);
	pem_encode("RSA PRIVATE KEY", buf_span(&pki->root.key), &pem); /* of 3072 bits */
	rsa = tls_rsa_new(buf_span(&pem));
	assert_non_null(rsa);
	assert_int_equal(figure("causeway_rsa_keys", ""), before + 1);
	tls_rsa_free(rsa);
	assert_int_equal(figure("causeway_rsa_keys", ""), before);
	buf_init(&der, 10000);
	buf_put_span(&der, buf_span(&pki->root.key));
	for (size_t n = 0; n < der.len; n += 97) { /* cut off */
		buf_free(&pem);
		buf_init(&pem, 10000);
		pem_encode("RSA PRIVATE KEY", span_of(der.data, n), &pem);
		assert_null(tls_rsa_new(buf_span(&pem)));
	}
	buf_free(&pem);
	buf_free(&der);
	assert_int_equal(figure("causeway_rsa_keys", ""), before);
}

static bool computes_nothing(void *key, const uint8_t *in, uint8_t *out)
{
	(void)key;
	memset(out, in[1], 1);
	return false;
}

static bool computes_wrong(void *key, const uint8_t *in, uint8_t *out)
{
	bool good = tls_rsa_libcrypto.compute(key, in, out);

	out[SIZE - 1] ^= 1;
	return good;
}

static atomic_bool broken;

static bool breaks_later(void *key, const uint8_t *in, uint8_t *out)
{
	return !broken && tls_rsa_libcrypto.compute(key, in, out);
}

static void *no_key(struct span der)
{
	(void)der;
	return NULL;
}

static void use(struct tls_rsa_engine *e, bool (*compute)(void *, const uint8_t *, uint8_t *))
{
	*e = tls_rsa_libcrypto;
	e->compute = compute;
	tls_rsa_use(e, TLS_RSA_ALWAYS);
}

static void use_libcrypto(void)
{
	tls_rsa_use(&tls_rsa_libcrypto, TLS_RSA_ALWAYS);
}

static void test_engines_that_fail(void **state)
{
	static struct tls_rsa_engine e;
	struct span pem = buf_span(&tls_pki_get()->server_key_pem);
	struct tls_pair p;
	int64_t before;

	(void)state;
	use(&e, computes_nothing);
	assert_null(tls_rsa_new(pem));
	use(&e, computes_wrong);
	assert_null(tls_rsa_new(pem));
	e.import = no_key;
	assert_null(tls_rsa_new(pem));
	tls_rsa_use(NULL, TLS_RSA_ALWAYS);
	assert_null(tls_rsa_new(pem));
	use(&e, breaks_later);
	make_pair(&p, 0x0303, "ECDHE-RSA-AES128-GCM-SHA256");
	broken = true;
	before = refused();
	assert_true(tls_pair_handshake(&p) && echo(&p));
	assert_int_equal(refused(), before + 1);
	tls_pair_free(&p);
	use_libcrypto();
}

static void test_choice(void **state)
{
	struct span pem = buf_span(&tls_pki_get()->server_key_pem);
	struct tls_rsa *rsa;

	(void)state;
	tls_rsa_use(&tls_rsa_libcrypto, TLS_RSA_IF_FASTER);
	rsa = tls_rsa_new(pem); /* whatever this machine makes of it */
	print_message("this machine: %s\n", rsa != NULL ? "libcrypto" : "wolfssl");
	tls_rsa_free(rsa);
	use_libcrypto();
	assert_string_equal(tls_rsa_by(), "libcrypto");
}

/* ---- handshakes -------------------------------------------------------------------------------------------------------- */

static void test_handshakes(void **state)
{
	static const struct {
		int version;
		const char *suite;
	} cases[] = {
		{0x0301, "AES128-SHA"},
		{0x0301, "ECDHE-RSA-AES128-SHA"},
		{0x0303, "AES128-SHA"},
		{0x0303, "AES128-GCM-SHA256"},
		{0x0303, "ECDHE-RSA-AES128-SHA256"},
		{0x0303, "ECDHE-RSA-AES128-GCM-SHA256"},
		{0x0303, "ECDHE-RSA-CHACHA20-POLY1305"},
		{0x0304, "TLS13-AES128-GCM-SHA256"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t before = done(), held_back = refused();
		struct tls_pair p;

		make_pair(&p, cases[i].version, cases[i].suite);
		assert_true(tls_pair_handshake(&p) && echo(&p));
		assert_int_equal(done(), before + 1);
		assert_int_equal(refused(), held_back);
		tls_pair_free(&p);
	}
}

static void pass_on(struct tls *t, struct tls_wire *w, uint8_t *kept, int *result)
{
	size_t n = w->bytes.len;

	assert_true(n <= 8192);
	memcpy(kept, w->bytes.data, n);
	buf_consume(&w->bytes, n);
	tls_input(t, span_of(kept, n));
	*result = tls_handshake(t);
	assert_int_equal(*result, -ERR_AGAIN);
	assert_int_equal(tls_input_left(t), 0);
}

/* What the client sends as the encrypted secret: a value, or 0 octets for its own. */
struct secret {
	uint8_t octets[SIZE + 1];
	size_t n;
};

static void replace(struct buf *flight, const struct secret *s)
{
	uint8_t copy[8192], *at;
	size_t n = flight->len, from = CKE_HEADERS + SIZE, rest = n - from;

	assert_true(n > from && n <= sizeof(copy));
	assert_true(flight->data[0] == 22 && flight->data[5] == 16);
	memcpy(copy, flight->data, n);
	buf_consume(flight, n);
	at = copy;
	at[3] = (uint8_t)((s->n + 6) >> 8);
	at[4] = (uint8_t)(s->n + 6);
	at[7] = (uint8_t)((s->n + 2) >> 8);
	at[8] = (uint8_t)(s->n + 2);
	at[9] = (uint8_t)(s->n >> 8);
	at[10] = (uint8_t)s->n;
	buf_put(flight, copy, CKE_HEADERS);
	buf_put(flight, s->octets, s->n);
	buf_put(flight, copy + from, rest);
}

/* What the server makes of a secret: its result, alert and words. */
static int judge(const struct secret *s, char *words, size_t size)
{
	static uint8_t kept[8192], kept2[8192];
	struct tls_pair p;
	int alert;

	make_pair(&p, 0x0303, "AES128-SHA");
	assert_int_equal(tls_handshake(p.client), -ERR_AGAIN);
	pass_on(p.server, &p.to_server, kept, &p.server_result);
	pass_on(p.client, &p.to_client, kept2, &p.client_result);
	if (s->n > 0)
		replace(&p.to_server.bytes, s);
	(void)tls_pair_handshake(&p);
	alert = tls_alert(p.server);
	assert_true((size_t)snprintf(words, size, "%d %d %s", p.server_result, p.client_result,
	                             tls_error(p.server)) < size);
	tls_pair_free(&p);
	return alert;
}

static void encrypt(struct secret *s, const uint8_t *text, size_t n)
{
	s->n = SIZE;
	assert_int_equal(wc_RsaPublicEncrypt(text, (word32)n, s->octets, SIZE, &k.plain, &k.rng),
	                 SIZE);
}

static size_t make_secrets(struct secret *s)
{
	uint8_t text[48] = {3, 3};
	size_t i = 0;

	s[i++].n = 0; /* the right one */
	for (size_t n = SIZE - 1; n <= SIZE + 1;
	     n++) { /* garbage of a wrong and of the right length */
		memset(s[i].octets, 0x42, n);
		s[i++].n = n;
	}
	s[i].n = 1;
	s[i++].octets[0] = 7;
	s[i++].n = SIZE; /* zero */
	s[i].octets[SIZE - 1] = 1;
	s[i++].n = SIZE;
	for (int add = -1; add <= 1; add++) {
		near_modulus(s[i].octets, add);
		s[i++].n = SIZE;
	}
	memset(s[i].octets, 0xff, SIZE);
	s[i++].n = SIZE;
	encrypt(&s[i++], text, 48); /* good padding, and not what the client took */
	text[1] = 1;
	encrypt(&s[i++], text, 48); /* another version */
	encrypt(&s[i++], text, 47);
	encrypt(&s[i++], text, 1);
	return i;
}

/* Strangers learn the same from a server with the engine as from one without. */
static void test_bad_secrets(void **state)
{
	static struct secret secrets[20];
	size_t n = make_secrets(secrets);

	(void)state;
	assert_true(n <= ARRAY_LEN(secrets));
	for (size_t i = 0; i < n; i++) {
		char ours[300], theirs[300];
		int without, with;
		int64_t before = done();

		tls_rsa_use(NULL, TLS_RSA_ALWAYS);
		without = judge(&secrets[i], ours, sizeof(ours));
		assert_int_equal(done(), before);
		use_libcrypto();
		with = judge(&secrets[i], theirs, sizeof(theirs));
		print_message("%zu: alert %d, %s\n", i, with, theirs);
		assert_int_equal(without, with);
		assert_string_equal(ours, theirs);
		if (i == 0)
			assert_string_equal(theirs, "0 0 ");
	}
}

/* ---- threads ----------------------------------------------------------------------------------------------------------- */

static struct {
	pthread_mutex_t lock;
	struct tls_ctx *server, *client;
	atomic_int good;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct tls_ctx *get_server(void)
{
	struct tls_ctx *ctx;

	pthread_mutex_lock(&shared.lock);
	ctx = tls_ctx_ref(shared.server);
	pthread_mutex_unlock(&shared.lock);
	return ctx;
}

static void *shake_hands(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10; i++) {
		struct tls_ctx *server = get_server();
		struct tls_pair p;

		tls_pair_init(&p, shared.client, server, NULL);
		tls_ctx_unref(server);
		if (tls_pair_handshake(&p) && echo(&p))
			atomic_fetch_add(&shared.good, 1);
		tls_pair_free(&p);
	}
	return NULL;
}

/* The certificate is loaded again and again meanwhile; sessions keep the context that they began with. */
static void test_threads_and_reloads(void **state)
{
	int64_t before = done(), held = figure("causeway_rsa_keys", "");
	pthread_t threads[THREADS];

	(void)state;
	shared.client = make_ctx(false, 0x0303, NULL);
	shared.server = make_ctx(true, 0, NULL);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, shake_hands, NULL), 0);
	for (int i = 0; i < 5; i++) {
		struct tls_ctx *fresh = make_ctx(true, 0, NULL), *old;

		pthread_mutex_lock(&shared.lock);
		old = shared.server;
		shared.server = fresh;
		pthread_mutex_unlock(&shared.lock);
		tls_ctx_unref(old);
	}
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	tls_ctx_unref(shared.server);
	tls_ctx_unref(shared.client);
	assert_int_equal(shared.good, THREADS * 10);
	assert_int_equal(done(), before + THREADS * 10);
	assert_int_equal(figure("causeway_rsa_keys", ""), held);
}

/* ---- start and end ----------------------------------------------------------------------------------------------------- */

static int start(void **state)
{
	const struct tls_pki *pki;

	(void)state;
	if (tls_global_init() != 0)
		return -1;
	use_libcrypto();
	pki = tls_pki_get();
	assert_int_equal(wc_InitRng(&k.rng), 0);
	read_key(&k.plain, buf_span(&pki->server.key), INVALID_DEVID);
	read_key(&k.offered, buf_span(&pki->server.key), TLS_RSA_DEVICE);
	k.rsa = tls_rsa_new(buf_span(&pki->server_key_pem));
	assert_non_null(k.rsa);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	wc_FreeRsaKey(&k.plain);
	wc_FreeRsaKey(&k.offered);
	wc_FreeRng(&k.rng);
	tls_rsa_free(k.rsa);
	tls_global_fini();
	return 0;
}

static int enter(void **state)
{
	(void)state;
	tls_rsa_enter(k.rsa);
	return 0;
}

static int leave(void **state)
{
	(void)state;
	tls_rsa_enter(NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_signatures, enter, leave),
		cmocka_unit_test_setup_teardown(test_pss, enter, leave),
		cmocka_unit_test_setup_teardown(test_decryption, enter, leave),
		cmocka_unit_test_setup_teardown(test_extreme_values, enter, leave),
		cmocka_unit_test_setup_teardown(test_other_key, enter, leave),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_kinds_of_keys),
		cmocka_unit_test(test_engines_that_fail),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_handshakes),
		cmocka_unit_test(test_bad_secrets),
		cmocka_unit_test(test_threads_and_reloads),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
