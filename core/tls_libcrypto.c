/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls_libcrypto.c: the engine of core/tls_rsa.h over OpenSSL 3. Blinding stays on, and libcrypto checks each result of the
 * Chinese remainder theorem itself. A key is only read, which libcrypto allows to many threads.
 */
#include "core/tls_rsa.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

static void *import(struct span der)
{
	const unsigned char *at = der.ptr;
	EVP_PKEY *key;

	/* no configuration file decides here, and nothing is torn down while a thread may still compute */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) != 1)
		return NULL;
	key = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
	if (key != NULL && !EVP_PKEY_is_a(key, "RSA")) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	ERR_clear_error();
	return key;
}

static void drop(void *key)
{
	EVP_PKEY_free(key);
}

static bool compute(void *key, const uint8_t *in, uint8_t *out)
{
	size_t size = (size_t)EVP_PKEY_get_size(key), n = size;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool good = ctx != NULL && EVP_PKEY_decrypt_init(ctx) > 0 &&
	            EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) > 0 &&
	            EVP_PKEY_decrypt(ctx, out, &n, in, size) > 0 && n == size;

	EVP_PKEY_CTX_free(ctx);
	if (!good)
		ERR_clear_error();
	return good;
}

const struct tls_rsa_engine tls_rsa_libcrypto = {"libcrypto", import, drop, compute};
