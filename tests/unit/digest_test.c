/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "tests/unit/support/test.h"
#include "wire/digest.h"
#include "wire/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AMT_REALM "Digest:A3829B3827DE4D33D4449B366831FD01"
#define AMT_NONCE "B9AX94iAAAAAAAAAx6rrSfPHGUrx/3uA"
#define CNONCE    "0a4f113b0a4f113b"

/* amt.md A.2: spaced exactly as recorded. */
#define AMT_CHALLENGE(qop) \
	"Digest realm=\"" AMT_REALM "\", nonce=\"" AMT_NONCE "\",stale=\"false\",qop=\"" qop "\""

static int refused_once(struct digest_client *c, const char *header)
{
	struct span s = span_str(header);

	return digest_client_refused(c, &s, 1);
}

static struct digest_use amt_use(void)
{
	return (struct digest_use){
		.method = span_str("POST"),
		.uri = span_str("/wsman"),
		.body = span_str("<x/>"),
		.user = span_str("admin"),
		.password = span_str("P@ssw0rd"),
		.cnonce = span_str(CNONCE),
	};
}

static struct digest_check amt_check(void)
{
	return (struct digest_check){
		.method = span_str("POST"),
		.target = span_str("/wsman"),
		.body = span_str("<x/>"),
		.user = span_str("admin"),
		.password = span_str("P@ssw0rd"),
		.realm = span_str(AMT_REALM),
		.nonce = span_str(AMT_NONCE),
		.hash = HASH_MD5,
		.qops = DIGEST_AUTH | DIGEST_AUTH_INT,
	};
}

static void authorized(struct digest_client *c, const struct digest_use *use, const char *want)
{
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(digest_client_authorize(c, use, &b), 0);
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
}

/* amt.md A.3, the vectors. */
static void test_amt_vectors(void **state)
{
	const struct digest_use use = amt_use();
	struct digest_client c;

	(void)state;
	digest_client_init(&c, true);
	assert_int_equal(refused_once(&c, AMT_CHALLENGE("auth")), 0);
	authorized(&c, &use,
	           "Digest username=\"admin\", realm=\"" AMT_REALM "\", nonce=\"" AMT_NONCE
	           "\", uri=\"/wsman\", qop=auth, nc=00000001, cnonce=\"" CNONCE
	           "\", response=\"b4482db419c6150a3ab34e868c3f36f0\"");
	digest_client_init(&c, true);
	assert_int_equal(refused_once(&c, AMT_CHALLENGE("auth,auth-int")), 0);
	authorized(&c, &use,
	           "Digest username=\"admin\", realm=\"" AMT_REALM "\", nonce=\"" AMT_NONCE
	           "\", uri=\"/wsman\", qop=auth-int, nc=00000001, cnonce=\"" CNONCE
	           "\", response=\"98759a0cddef81484002701829d95e29\"");
}

#define RFC_CHALLENGE(algorithm)                                                               \
	"Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=" algorithm \
	", "                                                                                   \
	"nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "                             \
	"opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
#define RFC_AUTH(algorithm, response)                                                             \
	"Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", "  \
	"algorithm=" algorithm                                                                    \
	", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, "                 \
	"cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"" response \
	"\", "                                                                                    \
	"opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""

/* RFC 7616 3.9.1 */
static void test_rfc_vectors(void **state)
{
	static const struct {
		enum hash_kind hash;
		const char *header;
	} cases[] = {
		{HASH_MD5, RFC_AUTH("MD5", "8ca523f5e9506fed4657c9700eebdbec")},
		{HASH_SHA256,
	         RFC_AUTH("SHA-256",
	                  "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1")},
	};
	struct digest_check check = {
		.method = span_str("GET"),
		.target = span_str("/dir/index.html"),
		.user = span_str("Mufasa"),
		.password = span_str("Circle of Life"),
		.realm = span_str("http-auth@example.org"),
		.nonce = span_str("7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"),
		.qops = DIGEST_AUTH,
	};
	struct digest_auth auth;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(digest_auth_parse(span_str(cases[i].header), &auth), 0);
		assert_int_equal(auth.hash, cases[i].hash);
		check.hash = cases[i].hash;
		assert_int_equal(digest_auth_verify(&auth, &check), 0);
		check.hash = cases[1 - i].hash;
		assert_int_equal(digest_auth_verify(&auth, &check), -ERR_UNAUTHENTICATED);
	}
}

static void test_nonce_is_reused(void **state)
{
	struct digest_use use = amt_use();
	struct digest_client c;
	struct digest_auth auth;
	struct digest_check check = amt_check();
	uint32_t last = 0;
	struct buf b;

	(void)state;
	check.last_nc = &last;
	digest_client_init(&c, true);
	buf_init(&b, 4096);
	assert_int_equal(digest_client_authorize(&c, &use, &b), -ERR_PRECONDITION);
	assert_int_equal(refused_once(&c, AMT_CHALLENGE("auth-int")), 0);
	for (uint32_t i = 1; i <= 20; i++) {
		buf_clear(&b);
		assert_int_equal(digest_client_authorize(&c, &use, &b), 0);
		assert_int_equal(digest_auth_parse(buf_span(&b), &auth), 0);
		assert_int_equal(auth.nc, i);
		assert_int_equal(digest_auth_verify(&auth, &check), 0);
		assert_int_equal(last, i);
		/* A replay is right in all but its count. */
		assert_int_equal(digest_auth_verify(&auth, &check), -ERR_AGAIN);
	}
	c.nc = UINT32_MAX;
	assert_int_equal(digest_client_authorize(&c, &use, &b), -ERR_PRECONDITION);
	buf_free(&b);
}

static void test_refusals(void **state)
{
	struct digest_use use = amt_use();
	struct digest_client c;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	digest_client_init(&c, true);
	assert_int_equal(refused_once(&c, AMT_CHALLENGE("auth")), 0);
	assert_int_equal(digest_client_authorize(&c, &use, &b), 0);
	/* The fresh nonce did not help. */
	assert_int_equal(refused_once(&c, "Digest realm=\"" AMT_REALM
	                                  "\", nonce=\"n2\",stale=\"false\",qop=\"auth\""),
	                 -ERR_UNAUTHENTICATED);
	assert_int_equal(digest_client_authorize(&c, &use, &b), 0);
	assert_int_equal(refused_once(&c, "Digest realm=\"" AMT_REALM
	                                  "\", nonce=\"n3\",stale=\"true\",qop=\"auth\""),
	                 0);
	/* A nonce that was used several times has ended. */
	assert_int_equal(digest_client_authorize(&c, &use, &b), 0);
	assert_int_equal(digest_client_authorize(&c, &use, &b), 0);
	assert_int_equal(refused_once(&c, "Digest realm=\"" AMT_REALM
	                                  "\", nonce=\"n4\",stale=\"false\",qop=\"auth\""),
	                 0);
	assert_int_equal(c.nc, 0);
	/* The same nonce again. */
	assert_int_equal(digest_client_authorize(&c, &use, &b), 0);
	assert_int_equal(digest_client_authorize(&c, &use, &b), 0);
	assert_int_equal(refused_once(&c, "Digest realm=\"" AMT_REALM
	                                  "\", nonce=\"n4\",stale=\"false\",qop=\"auth\""),
	                 -ERR_UNAUTHENTICATED);
	assert_int_equal(c.nc, 2);
	buf_free(&b);
}

static void test_realm(void **state)
{
	struct digest_client c;

	(void)state;
	assert_true(digest_realm_is_amt(AMT_REALM));
	assert_false(digest_realm_is_amt("Digest:a3829B3827DE4D33D4449B366831FD01"));
	assert_false(digest_realm_is_amt("Digest:A3829B3827DE4D33D4449B366831FD0"));
	assert_false(digest_realm_is_amt("Digest:A3829B3827DE4D33D4449B366831FD012"));
	assert_false(digest_realm_is_amt("digest:A3829B3827DE4D33D4449B366831FD01"));
	assert_false(digest_realm_is_amt("Digest:G3829B3827DE4D33D4449B366831FD01"));
	assert_false(digest_realm_is_amt(""));
	digest_client_init(&c, true);
	assert_int_equal(refused_once(&c, "Digest realm=\"evil\", nonce=\"n\", qop=\"auth\""),
	                 -ERR_PROTOCOL);
	assert_false(c.ready);
	digest_client_init(&c, false);
	assert_int_equal(refused_once(&c, "Digest realm=\"evil\", nonce=\"n\", qop=\"auth\""), 0);
}

static void test_challenge_grammar(void **state)
{
	struct digest_challenge c;

	(void)state;
	assert_int_equal(
		digest_challenge_parse(
			span_str("digest  REALM = \"a\\\"b\\\\c, d\" ,,nonce=n1 , qop=auth,"), &c),
		0);
	assert_string_equal(c.realm, "a\"b\\c, d");
	assert_string_equal(c.nonce, "n1");
	assert_int_equal(c.qops, DIGEST_AUTH);
	assert_false(c.has_algorithm || c.has_opaque || c.stale);
	assert_int_equal(
		digest_challenge_parse(
			span_str("Basic realm=\"x\", Negotiate, NTLM TlRM/TVNT+A==, "
	                         "Digest realm=r,nonce=n,qop=\"auth-int,future\",stale=TRUE"),
			&c),
		0);
	assert_int_equal(c.qops, DIGEST_AUTH_INT);
	assert_true(c.stale);
	assert_int_equal(digest_challenge_parse(
				 span_str(RFC_CHALLENGE("MD5") ", " RFC_CHALLENGE("SHA-256")), &c),
	                 0);
	assert_int_equal(c.hash, HASH_SHA256);
	assert_int_equal(digest_challenge_parse(
				 span_str(RFC_CHALLENGE("SHA-256") ", " RFC_CHALLENGE("MD5")), &c),
	                 0);
	assert_int_equal(c.hash, HASH_SHA256);
	assert_string_equal(c.opaque, "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS");
	assert_int_equal(
		digest_challenge_parse(
			span_str(RFC_CHALLENGE("SHA-512-256") ", " RFC_CHALLENGE("MD5")), &c),
		0);
	assert_int_equal(c.hash, HASH_MD5);
}

static void test_challenges_refused(void **state)
{
	static const struct {
		const char *header;
		int err;
	} bad[] = {
		{"", -ERR_UNSUPPORTED},
		{"Basic realm=\"x\"", -ERR_UNSUPPORTED},
		{"Digest", -ERR_UNSUPPORTED},
		{"Digest realm=\"r\", nonce=\"n\"", -ERR_UNSUPPORTED},
		{"Digest realm=\"r\", nonce=\"n\", qop=\"other\"", -ERR_UNSUPPORTED},
		{"Digest realm=\"r\", qop=\"auth\"", -ERR_UNSUPPORTED},
		{RFC_CHALLENGE("MD5-sess"), -ERR_UNSUPPORTED},
		{"Digest realm=\"r, nonce=\"n\", qop=\"auth\"", -ERR_INVALID},
		{"Digest realm=\"r", -ERR_INVALID},
		{"Digest realm=\"r\\", -ERR_INVALID},
		{"Digest realm=\"r\"nonce=\"n\"", -ERR_INVALID},
		{"Digest realm=\"r\" nonce=\"n\"", -ERR_INVALID},
		{"Digest realm=\"a\x01\", nonce=n, qop=auth", -ERR_INVALID},
		{"Digest realm=a, nonce=n, nonce=m, qop=auth", -ERR_INVALID},
		{"Digest =x", -ERR_INVALID},
		{"Digest(x)", -ERR_INVALID},
	};
	struct digest_challenge c;
	char text[400];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (digest_challenge_parse(span_str(bad[i].header), &c) != bad[i].err)
			fail_msg("%s", bad[i].header);
	for (int n = DIGEST_TEXT_MAX; n <= DIGEST_TEXT_MAX + 1; n++) {
		(void)snprintf(text, sizeof(text), "Digest realm=\"%0*d\", nonce=n, qop=auth", n,
		               0);
		assert_int_equal(digest_challenge_parse(span_str(text), &c),
		                 n == DIGEST_TEXT_MAX ? 0 : -ERR_TOO_BIG);
	}
}

static void test_every_prefix_of_a_header(void **state)
{
	const char *challenge = "Basic realm=x, " RFC_CHALLENGE("SHA-256");
	const char *auth = RFC_AUTH("MD5", "8ca523f5e9506fed4657c9700eebdbec");
	struct digest_challenge c;
	struct digest_auth a;

	(void)state;
	for (size_t n = 0; n < strlen(challenge); n++) {
		char *copy = strndup(challenge, n);
		int r = digest_challenge_parse(span_of(copy, n), &c);

		assert_true(r == 0 || r == -ERR_INVALID || r == -ERR_UNSUPPORTED);
		free(copy);
	}
	for (size_t n = 0; n < strlen(auth) - 70; n++)
		assert_true(digest_auth_parse(span_of(auth, n), &a) < 0);
}

/* Both quotings of qop and nc occur (amt.md A.3). */
static void test_quoting_of_credentials(void **state)
{
	static const char *const forms[] = {
		"Digest username=\"admin\",realm=\"" AMT_REALM "\",nonce=\"" AMT_NONCE
		"\",uri=\"/wsman\",qop=\"auth\","
		"nc=\"00000001\",cnonce=\"" CNONCE
		"\",response=\"b4482db419c6150a3ab34e868c3f36f0\"",
		"Digest username=admin,realm=" AMT_REALM ",nonce=" AMT_NONCE ",uri=/wsman,qop=auth,"
		"nc=00000001,cnonce=" CNONCE
		",response=B4482DB419C6150A3AB34E868C3F36F0,algorithm=\"MD5\"",
		"digest username=\"admin\" , realm=\"" AMT_REALM "\" , nonce=\"" AMT_NONCE
		"\" , uri=\"/wsman\" , "
		"qop=auth-int , nc=00000001 , cnonce=\"" CNONCE
		"\" , response=\"98759a0cddef81484002701829d95e29\"",
	};
	struct digest_check check = amt_check();
	struct digest_auth auth;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		assert_int_equal(digest_auth_parse(span_str(forms[i]), &auth), 0);
		assert_int_equal(digest_auth_verify(&auth, &check), 0);
	}
}

static void test_credentials_refused(void **state)
{
	static const struct {
		const char *header;
		int err;
	} bad[] = {
		{"", -ERR_INVALID},
		{"username=x", -ERR_INVALID},
		{"Basic YWRtaW46cGFzcw==", -ERR_UNSUPPORTED},
		{"Digest", -ERR_UNSUPPORTED},
		{RFC_AUTH("MD5-sess", "8ca523f5e9506fed4657c9700eebdbec"), -ERR_UNSUPPORTED},
		{RFC_AUTH("MD5", "8ca523f5e9506fed4657c9700eebdb"), -ERR_INVALID},
		{RFC_AUTH("MD5", "8ca523f5e9506fed4657c9700eebdbzz"), -ERR_INVALID},
		{RFC_AUTH("SHA-256", "8ca523f5e9506fed4657c9700eebdbec"), -ERR_INVALID},
		{RFC_AUTH("MD5", ""), -ERR_INVALID},
		{RFC_AUTH("MD5", "8ca523f5e9506fed4657c9700eebdbec") ", Digest x=y", -ERR_INVALID},
		{RFC_AUTH("MD5", "8ca523f5e9506fed4657c9700eebdbec") ", nc=00000002", -ERR_INVALID},
		{RFC_AUTH("MD5", "8ca523f5e9506fed4657c9700eebdbec") ", qop=auth-int",
	         -ERR_INVALID},
		{"Digest username=a,realm=r,nonce=n,uri=/,qop=auth,nc=00000000,cnonce=c,"
	         "response=8ca523f5e9506fed4657c9700eebdbec",
	         -ERR_INVALID},
		{"Digest "
	         "username=a,realm=r,nonce=n,uri=/"
	         ",qop=auth,nc=1,cnonce=c,response=8ca523f5e9506fed4657c9700eebdbec",
	         -ERR_INVALID},
		{"Digest "
	         "username=a,realm=r,nonce=n,qop=auth,nc=00000001,cnonce=c,response="
	         "8ca523f5e9506fed4657c9700eebdbec",
	         -ERR_INVALID},
		{"Digest "
	         "username=a,realm=r,nonce=n,uri=/"
	         ",nc=00000001,cnonce=c,response=8ca523f5e9506fed4657c9700eebdbec",
	         -ERR_UNSUPPORTED},
	};
	struct digest_auth auth;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (digest_auth_parse(span_str(bad[i].header), &auth) != bad[i].err)
			fail_msg("%s", bad[i].header);
}

static void test_verify_looks_at_everything(void **state)
{
	const struct digest_use use = amt_use();
	struct digest_client c;
	struct digest_auth auth;
	struct digest_check k;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	digest_client_init(&c, true);
	assert_int_equal(refused_once(&c, AMT_CHALLENGE("auth-int")), 0);
	assert_int_equal(digest_client_authorize(&c, &use, &b), 0);
	assert_int_equal(digest_auth_parse(buf_span(&b), &auth), 0);
#define WITH(change, want)                                             \
	do {                                                           \
		k = amt_check();                                       \
		change;                                                \
		assert_int_equal(digest_auth_verify(&auth, &k), want); \
	} while (0)
	WITH((void)0, 0);
	WITH(k.method = span_str("GET"), -ERR_UNAUTHENTICATED);
	WITH(k.target = span_str("/wsmam"), -ERR_UNAUTHENTICATED);
	WITH(k.body = span_str("<y/>"), -ERR_UNAUTHENTICATED);
	WITH(k.user = span_str("admim"), -ERR_UNAUTHENTICATED);
	WITH(k.password = span_str("P@ssw0rD"), -ERR_UNAUTHENTICATED);
	WITH(k.realm = span_str("Digest:A3829B3827DE4D33D4449B366831FD02"), -ERR_UNAUTHENTICATED);
	WITH(k.qops = DIGEST_AUTH, -ERR_UNAUTHENTICATED);
	WITH(k.hash = HASH_SHA256, -ERR_UNAUTHENTICATED);
	WITH(k.nonce = span_str("another"), -ERR_AGAIN);
	WITH((k.nonce = span_str("another"), k.password = span_str("x")), -ERR_UNAUTHENTICATED);
#undef WITH
	buf_free(&b);
}

static void test_values_that_cannot_be_sent(void **state)
{
	struct digest_client c;
	struct digest_use use;
	struct buf b;

	(void)state;
	digest_client_init(&c, true);
	assert_int_equal(refused_once(&c, AMT_CHALLENGE("auth")), 0);
	buf_init(&b, 4096);
#define WITH(change)                                                                   \
	do {                                                                           \
		use = amt_use();                                                       \
		change;                                                                \
		buf_clear(&b);                                                         \
		assert_int_equal(digest_client_authorize(&c, &use, &b), -ERR_INVALID); \
	} while (0)
	WITH(use.user = span_str("a:b"));
	WITH(use.user = span_str("a\r\nX: y"));
	WITH(use.cnonce = span_str(""));
	WITH(use.cnonce = span_str("a\"b"));
	WITH(use.uri = span_str("/\n"));
#undef WITH
	buf_clear(&b);
	use = amt_use();
	use.user = span_str("a\"b\\c");
	assert_int_equal(digest_client_authorize(&c, &use, &b), 0);
	assert_non_null(strstr(buf_cstr(&b), "username=\"a\\\"b\\\\c\", "));
	buf_free(&b);
}

static void test_written_challenge(void **state)
{
	struct digest_offer offer = {
		.realm = AMT_REALM, .nonce = AMT_NONCE, .hash = HASH_MD5, .qops = DIGEST_AUTH};
	struct digest_challenge c;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	digest_write_challenge(&b, &offer);
	assert_string_equal(buf_cstr(&b), AMT_CHALLENGE("auth"));
	buf_clear(&b);
	offer = (struct digest_offer){"r\"", "n", "o", HASH_SHA256, DIGEST_AUTH | DIGEST_AUTH_INT,
	                              true};
	digest_write_challenge(&b, &offer);
	assert_int_equal(digest_challenge_parse(buf_span(&b), &c), 0);
	assert_string_equal(c.realm, "r\"");
	assert_string_equal(c.opaque, "o");
	assert_true(c.stale && c.has_algorithm && c.hash == HASH_SHA256 && c.qops == 3);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amt_vectors),
		cmocka_unit_test(test_rfc_vectors),
		cmocka_unit_test(test_nonce_is_reused),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_realm),
		cmocka_unit_test(test_challenge_grammar),
		cmocka_unit_test(test_challenges_refused),
		cmocka_unit_test(test_every_prefix_of_a_header),
		cmocka_unit_test(test_quoting_of_credentials),
		cmocka_unit_test(test_credentials_refused),
		cmocka_unit_test(test_verify_looks_at_everything),
		cmocka_unit_test(test_values_that_cannot_be_sent),
		cmocka_unit_test(test_written_challenge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
