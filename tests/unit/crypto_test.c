/* SPDX-License-Identifier: GPL-3.0-or-later */
/* crypto_test.c: published vectors, and what sealing must refuse. */
#include "core/crypto.h"
#include "core/err.h"
#include "core/text.h"
#include "tests/unit/support/test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void assert_hex(const uint8_t *got, size_t n, const char *want)
{
	char text[2 * 128 + 1];

	assert_true(n <= 128);
	hex_encode(text, span_of(got, n));
	assert_string_equal(text, want);
}

static size_t unhex(uint8_t *out, size_t size, const char *text)
{
	ssize_t n = hex_decode(out, size, span_str(text));

	assert_true(n >= 0);
	return (size_t)n;
}

static void check_hash(enum hash_kind kind, const char *text, const char *want)
{
	struct span part = span_str(text);
	uint8_t out[HASH_SIZE_MAX];

	hash_once(kind, &part, 1, out);
	assert_hex(out, hash_size(kind), want);
}

/* RFC 1321 A.5, FIPS 180-4's examples */
static void test_hash_vectors(void **state)
{
	(void)state;
	check_hash(HASH_MD5, "", "d41d8cd98f00b204e9800998ecf8427e");
	check_hash(HASH_MD5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0");
	check_hash(
		HASH_MD5,
		"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
		"57edf4a22be3c955ac49da2e2107b67a");
	check_hash(HASH_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
	check_hash(HASH_SHA1, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	           "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
	check_hash(HASH_SHA256, "abc",
	           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	check_hash(HASH_SHA384, "abc",
	           "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2"
	           "358baeca134c825a7");
}

static void test_hash_parts_equal_whole(void **state)
{
	uint8_t data[300], whole[HASH_SIZE_MAX], parted[HASH_SIZE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (int kind = HASH_MD5; kind <= HASH_SHA384; kind++) {
		struct span all = span_of(data, sizeof(data));
		struct span parts[] = {span_of(data, 1), span_of(NULL, 0), span_of(data + 1, 128),
		                       span_of(data + 129, 171)};

		hash_once((enum hash_kind)kind, &all, 1, whole);
		hash_once((enum hash_kind)kind, parts, ARRAY_LEN(parts), parted);
		assert_memory_equal(whole, parted, hash_size((enum hash_kind)kind));
	}
	hash_once(HASH_SHA256, NULL, 0, whole);
	assert_hex(whole, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231 4.2, 4.3, 4.7 */
static void test_hmac_vectors(void **state)
{
	uint8_t key[131], out[32];

	(void)state;
	memset(key, 0x0b, 20);
	hmac_sha256(span_of(key, 20), span_str("Hi There"), out);
	assert_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	hmac_sha256(span_str("Jefe"), span_str("what do ya want for nothing?"), out);
	assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	hmac_sha256(span_of(key, sizeof(key)),
	            span_str("Test Using Larger Than Block-Size Key - Hash Key First"), out);
	assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	hmac_sha256(span_of(NULL, 0), span_of(NULL, 0), out);
	assert_hex(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* RFC 5869 A.1 (its info has octets F0..F9, none of them NUL) and A.3 (no salt, no info) */
static void test_hkdf_vectors(void **state)
{
	uint8_t ikm[22], salt[13], out[42];

	(void)state;
	memset(ikm, 0x0b, sizeof(ikm));
	unhex(salt, sizeof(salt), "000102030405060708090a0b0c");
	hkdf_sha256(span_of(ikm, sizeof(ikm)), span_of(salt, sizeof(salt)),
	            "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9", out, 42);
	assert_hex(out, 42,
	           "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b8871"
	           "85865");
	hkdf_sha256(span_of(ikm, sizeof(ikm)), span_of(NULL, 0), "", out, 42);
	assert_hex(out, 42,
	           "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61"
	           "a96c8");
}

static void test_random_does_not_repeat(void **state)
{
	uint64_t seen[512];
	uint8_t big[5000];
	unsigned histogram[256] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
		seen[i] = random_u64();
		for (size_t j = 0; j < i; j++)
			assert_true(seen[i] != seen[j]);
	}
	random_bytes(big, sizeof(big));
	for (size_t i = 0; i < sizeof(big); i++)
		histogram[big[i]]++;
	for (size_t i = 0; i < 256; i++)
		assert_true(histogram[i] < 100); /* about 20 expected */
	random_bytes(big, 0);
}

static void test_random_differs_after_fork(void **state)
{
	uint8_t mine[32], theirs[32];
	int fd[2], status;
	pid_t pid;

	(void)state;
	(void)random_u64(); /* the pool is now filled, and the child gets a copy */
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		random_bytes(theirs, sizeof(theirs));
		_exit(write(fd[1], theirs, sizeof(theirs)) == (ssize_t)sizeof(theirs) ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(read(fd[0], theirs, sizeof(theirs)), sizeof(theirs));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	random_bytes(mine, sizeof(mine));
	assert_memory_not_equal(mine, theirs, sizeof(mine));
	close(fd[0]);
	close(fd[1]);
}

/* The GCM specification's test case 16 (AES-256, 96-bit nonce, with aad): nonce, ciphertext and tag in our order */
static void test_open_published_vector(void **state)
{
	uint8_t key[32], aad[20], sealed[12 + 60 + 16], plain[60], want[60];

	(void)state;
	unhex(key, 32, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
	unhex(aad, 20, "feedfacedeadbeeffeedfacedeadbeefabaddad2");
	unhex(want, 60,
	      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf"
	      "0e2449a6b525b16aedf5aa0de657ba637b39");
	unhex(sealed, sizeof(sealed),
	      "cafebabefacedbaddecaf888"
	      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b0"
	      "8b1056828838c5f61e6393ba7a0abcc9f662"
	      "76fc6ece0f4e1768cddf8853bb2d551b");
	assert_int_equal(aead_open(key, span_of(aad, 20), span_of(sealed, sizeof(sealed)), plain),
	                 0);
	assert_memory_equal(plain, want, 60);
}

static void test_seal_and_tamper(void **state)
{
	static const char text[] = "a device's password";
	uint8_t key[32], sealed[sizeof(text) + SEAL_OVERHEAD], again[sizeof(sealed)],
		out[sizeof(text)];
	struct span aad = span_str("device/0001"), plain = span_of(text, sizeof(text)),
		    all = span_of(sealed, sizeof(sealed));

	(void)state;
	random_bytes(key, sizeof(key));
	aead_seal(key, aad, plain, sealed);
	aead_seal(key, aad, plain, again);
	assert_memory_not_equal(sealed, again, sizeof(sealed)); /* the nonce is fresh */
	assert_int_equal(aead_open(key, aad, all, out), 0);
	assert_memory_equal(out, text, sizeof(text));
	assert_int_equal(aead_open(key, span_str("device/0002"), all, out), -ERR_CORRUPT);
	assert_int_equal(aead_open(key, span_of(NULL, 0), all, out), -ERR_CORRUPT);
	for (size_t i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 0x20;
		assert_int_equal(aead_open(key, aad, all, out), -ERR_CORRUPT);
		sealed[i] ^= 0x20;
	}
	for (size_t n = 0; n < sizeof(sealed); n++)
		assert_int_equal(aead_open(key, aad, span_of(sealed, n), out), -ERR_CORRUPT);
	key[31] ^= 1;
	assert_int_equal(aead_open(key, aad, all, out), -ERR_CORRUPT);
	for (size_t i = 0; i < sizeof(out); i++)
		assert_int_equal(out[i], 0);
}

static void test_seal_of_nothing(void **state)
{
	uint8_t key[32], sealed[SEAL_OVERHEAD], out[1];

	(void)state;
	random_bytes(key, sizeof(key));
	aead_seal(key, span_str("k"), span_of(NULL, 0), sealed);
	assert_int_equal(aead_open(key, span_str("k"), span_of(sealed, sizeof(sealed)), out), 0);
	assert_int_equal(aead_open(key, span_str("K"), span_of(sealed, sizeof(sealed)), out),
	                 -ERR_CORRUPT);
}

static void *hammer(void *arg)
{
	struct span part = span_str("abc");
	uint8_t out[32], sealed[64 + SEAL_OVERHEAD], key[32] = {1};

	(void)arg;
	for (int i = 0; i < 200; i++) {
		hash_once(HASH_SHA256, &part, 1, out);
		random_bytes(out, sizeof(out));
		aead_seal(key, part, span_of(key, 32), sealed);
	}
	return NULL;
}

/* meant for ThreadSanitizer */
static void test_threads_share_nothing(void **state)
{
	pthread_t a, b;

	(void)state;
	assert_int_equal(pthread_create(&a, NULL, hammer, NULL), 0);
	assert_int_equal(pthread_create(&b, NULL, hammer, NULL), 0);
	assert_int_equal(pthread_join(a, NULL), 0);
	assert_int_equal(pthread_join(b, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_share_nothing), /* first: the first use is where the races would be */
		cmocka_unit_test(test_hash_vectors),
		cmocka_unit_test(test_hash_parts_equal_whole),
		cmocka_unit_test(test_hmac_vectors),
		cmocka_unit_test(test_hkdf_vectors),
		cmocka_unit_test(test_random_does_not_repeat),
		cmocka_unit_test(test_random_differs_after_fork),
		cmocka_unit_test(test_open_published_vector),
		cmocka_unit_test(test_seal_and_tamper),
		cmocka_unit_test(test_seal_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
