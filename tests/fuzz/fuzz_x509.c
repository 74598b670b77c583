/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fuzz_x509.c: any octets as a certificate: refused, or facts within their bounds; host names never crash. */
#include "core/err.h"
#include "core/text.h"
#include "core/x509.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t size)
{
	size_t n = strnlen(s, size);

	ASSERT(n < size && text_is_printable(span_of(s, n)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span der = span_of(data, size);
	struct x509_info info;

	if (x509_read(der, &info) == 0) {
		check_text(info.subject_cn, sizeof(info.subject_cn));
		check_text(info.issuer_cn, sizeof(info.issuer_cn));
		check_text(info.serial_hex, sizeof(info.serial_hex));
		ASSERT(info.serial_hex[0] != '\0');
	}
	(void)x509_matches_host(der, "gw.example.org");
	(void)x509_matches_host(der, "192.0.2.7");
	ASSERT(!x509_matches_host(der, ""));
	return 0;
}
