/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tls_error.c: turns a failed session into a sentence for people: from the first octets that the peer sent, the alerts, the
 * certificate check and wolfSSL's code, in that order. The thread that owns the session.
 */
#include "core/tls_internal.h"

#include "core/err.h"

#include <string.h>

#define RECORD_HANDSHAKE       22
#define HELLO_CLIENT           1
#define EXT_SUPPORTED_VERSIONS 43
#define VERSION_TLS_MIN        0x0300
#define VERSION_TLS12          0x0303
#define VERSION_TLS13          0x0304
#define RANDOM_SIZE            32

/* The fields of a ClientHello in their order (RFC 5246 7.4.1.2, RFC 8446 4.1.2) */
enum phase {
	HELLO_TYPE,
	HELLO_VERSION,
	HELLO_SKIP, /* list_left octets, then phase next */
	HELLO_SESSION_ID,
	HELLO_SUITES,
	HELLO_SUITE,
	HELLO_COMPRESSION,
	HELLO_EXTENSIONS,
	HELLO_EXTENSION,
	HELLO_VERSIONS,
	HELLO_VERSION_ITEM,
	HELLO_DONE
};

static void expect(struct tls_hello *h, enum phase phase, uint16_t need)
{
	h->phase = (uint8_t)phase;
	h->need = need;
	h->field = 0;
}

static void skip(struct tls_hello *h, uint16_t n, enum phase next, uint16_t next_need)
{
	if (n == 0) {
		expect(h, next, next_need);
		return;
	}
	expect(h, HELLO_SKIP, n);
	h->next = (uint8_t)next;
	h->list_left = next_need;
}

static void on_suite(struct tls_hello *h)
{
	bool signal =
		h->field == 0x00ff || h->field == 0x5600; /* RFC 5746 3.3, RFC 7507: no suites */

	if (!signal && h->suites_len == TLS_SUITES_KEPT)
		h->more_suites = true;
	else if (!signal)
		h->suites[h->suites_len++] = (uint16_t)h->field;
	h->list_left = (uint16_t)(h->list_left - 2);
	if (h->list_left >= 2)
		expect(h, HELLO_SUITE, 2);
	else
		expect(h, HELLO_COMPRESSION, 1);
}

static void on_extension(struct tls_hello *h)
{
	uint16_t n = (uint16_t)h->field;

	if (h->field >> 16 == EXT_SUPPORTED_VERSIONS)
		expect(h, HELLO_VERSIONS, 1);
	else
		skip(h, n, HELLO_EXTENSION, 4);
}

static void on_version_item(struct tls_hello *h)
{
	uint16_t v = (uint16_t)h->field;

	if (v >= VERSION_TLS_MIN && v <= VERSION_TLS13 && v > h->version_max)
		h->version_max = v;
	h->list_left = (uint16_t)(h->list_left - 2);
	if (h->list_left >= 2)
		expect(h, HELLO_VERSION_ITEM, 2);
	else
		expect(h, HELLO_DONE, 0);
}

static void on_field(struct tls_hello *h)
{
	switch ((enum phase)h->phase) {
	case HELLO_TYPE: /* with the message's length */
		expect(h, h->field >> 24 == HELLO_CLIENT ? HELLO_VERSION : HELLO_DONE, 2);
		break;
	case HELLO_VERSION:
		h->version_max = (uint16_t)MIN(h->field, VERSION_TLS12);
		skip(h, RANDOM_SIZE, HELLO_SESSION_ID, 1);
		break;
	case HELLO_SKIP:
		expect(h, (enum phase)h->next, h->list_left);
		break;
	case HELLO_SESSION_ID:
		skip(h, (uint16_t)h->field, HELLO_SUITES, 2);
		break;
	case HELLO_SUITES:
		h->list_left = (uint16_t)h->field;
		expect(h, h->list_left >= 2 ? HELLO_SUITE : HELLO_COMPRESSION,
		       h->list_left >= 2 ? 2 : 1);
		break;
	case HELLO_SUITE:
		on_suite(h);
		break;
	case HELLO_COMPRESSION:
		skip(h, (uint16_t)h->field, HELLO_EXTENSIONS, 2);
		break;
	case HELLO_EXTENSIONS:
		expect(h, HELLO_EXTENSION, 4);
		break;
	case HELLO_EXTENSION:
		on_extension(h);
		break;
	case HELLO_VERSIONS:
		h->list_left = (uint16_t)h->field;
		h->version_max = 0; /* the extension replaces the field in front */
		expect(h, h->list_left >= 2 ? HELLO_VERSION_ITEM : HELLO_DONE, 2);
		break;
	case HELLO_VERSION_ITEM:
		on_version_item(h);
		break;
	case HELLO_DONE:
		break;
	}
}

void tls_hello_feed(struct tls_hello *h, bool server, struct span in)
{
	size_t i = 0;

	while (i < in.len && h->first_len < TLS_FIRST_MAX) {
		h->first[h->first_len++] = in.ptr[i++];
		if (h->first_len < TLS_FIRST_MAX)
			continue;
		h->record_left = (uint16_t)(h->first[3] << 8 | h->first[4]);
		expect(h, server && h->first[0] == RECORD_HANDSHAKE ? HELLO_TYPE : HELLO_DONE, 4);
	}
	if (h->first_len < TLS_FIRST_MAX)
		return;
	for (; i < in.len && h->record_left > 0 && h->phase != HELLO_DONE; i++) {
		h->record_left--;
		h->field = h->field << 8 | in.ptr[i];
		if (--h->need == 0)
			on_field(h);
	}
}

/* RFC 5246 7.2, RFC 8446 6, RFC 7301, RFC 6066 */
static const char *alert_name(int alert)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{0, "close_notify"},
		{10, "unexpected_message"},
		{20, "bad_record_mac"},
		{21, "decryption_failed"},
		{22, "record_overflow"},
		{30, "decompression_failure"},
		{40, "handshake_failure"},
		{41, "no_certificate"},
		{42, "bad_certificate"},
		{43, "unsupported_certificate"},
		{44, "certificate_revoked"},
		{45, "certificate_expired"},
		{46, "certificate_unknown"},
		{47, "illegal_parameter"},
		{48, "unknown_ca"},
		{49, "access_denied"},
		{50, "decode_error"},
		{51, "decrypt_error"},
		{60, "export_restriction"},
		{70, "protocol_version"},
		{71, "insufficient_security"},
		{80, "internal_error"},
		{86, "inappropriate_fallback"},
		{90, "user_canceled"},
		{100, "no_renegotiation"},
		{109, "missing_extension"},
		{110, "unsupported_extension"},
		{111, "certificate_unobtainable"},
		{112, "unrecognized_name"},
		{113, "bad_certificate_status_response"},
		{115, "unknown_psk_identity"},
		{116, "certificate_required"},
		{120, "no_application_protocol"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].number == alert)
			return names[i].name;
	return "unknown";
}

const char *tls_version_name(int version)
{
	static const char *const names[] = {"SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"};

	if (version < VERSION_TLS_MIN || version > VERSION_TLS13)
		return "SSLv2";
	return names[version - VERSION_TLS_MIN];
}

const char *tls_wolf_text(int code)
{
	const char *text = wolfSSL_ERR_reason_error_string((unsigned long)code);

	return text != NULL ? text : "unknown error";
}

static bool is_upper(uint8_t c)
{
	return c >= 'A' && c <= 'Z';
}

/* Says what else the peer speaks, if its first octets are not those of a TLS record. */
static bool explain_first(const struct tls_hello *h, struct buf *out)
{
	const uint8_t *f = h->first;

	if (h->first_len < TLS_FIRST_MAX || (f[0] >= 20 && f[0] <= 23 && f[1] == 3))
		return false;
	if (is_upper(f[0]) && is_upper(f[1]) && is_upper(f[2]) && (is_upper(f[3]) || f[3] == ' '))
		buf_put_str(out, "the peer speaks plain HTTP");
	else if (f[0] == 192 && f[1] == 0 && f[2] == 0)
		buf_put_str(out, "the peer speaks APF without TLS");
	else if ((f[0] & 0x80) != 0 && f[2] == HELLO_CLIENT)
		buf_put_str(out, "the peer sent an SSLv2 ClientHello");
	else
		buf_printf(out,
		           "the peer does not speak TLS (first octets %02x %02x %02x %02x %02x)",
		           f[0], f[1], f[2], f[3], f[4]);
	return true;
}

static void explain_version(const struct tls *t, struct buf *out)
{
	buf_put_str(out, "no common version");
	if (t->hello != NULL && t->hello->version_max != 0)
		buf_printf(out, " (the peer offers up to %s, this side wants %s or later)",
		           tls_version_name(t->hello->version_max),
		           tls_version_name(t->ctx->min_version));
}

static void explain_suites(const struct tls *t, struct buf *out)
{
	const struct tls_hello *h = t->hello;

	buf_put_str(out, "no common cipher suite");
	if (h == NULL || h->suites_len == 0)
		return;
	buf_put_str(out, " (the peer offers");
	for (size_t i = 0; i < h->suites_len; i++)
		buf_printf(out, "%s 0x%04x", i > 0 ? "," : "", h->suites[i]);
	buf_put_str(out, h->more_suites ? " and more)" : ")");
}

static void explain_verify(int code, struct buf *out)
{
	const char *why;

	switch (code) {
	case ASN_NO_SIGNER_E:
	case ASN_SELF_SIGNED_E:
	case ASN_SIG_CONFIRM_E:
		why = "no trusted CA issued it";
		break;
	case ASN_AFTER_DATE_E:
		why = "it has expired";
		break;
	case ASN_BEFORE_DATE_E:
		why = "it is not valid yet";
		break;
	case DOMAIN_NAME_MISMATCH:
		why = "it is for another host name or address";
		break;
	case EXTKEYUSE_AUTH_E:
		why = "its extended key usage does not allow this role";
		break;
	default:
		why = tls_wolf_text(code);
		break;
	}
	buf_printf(out, "the peer's certificate was refused: %s", why);
}

static void explain_code(const struct tls *t, int code, struct buf *out)
{
	switch (code) {
	case VERSION_ERROR:
		explain_version(t, out);
		break;
	case MATCH_SUITE_ERROR:
		explain_suites(t, out);
		break;
	case NO_PEER_CERT:
		buf_put_str(out, "the peer sent no certificate");
		break;
	case VERIFY_MAC_ERROR:
	case DECRYPT_ERROR:
	case AES_GCM_AUTH_E:
	case MAC_CMP_FAILED_E:
		buf_put_str(out, "a record was damaged or forged");
		break;
	case UNKNOWN_ALPN_PROTOCOL_NAME_E:
		buf_put_str(out, "no common application protocol (ALPN)");
		break;
	case MEMORY_E:
		buf_put_str(out, "out of memory");
		break;
	default:
		buf_printf(out, "%s (%d)", tls_wolf_text(code), code);
		break;
	}
}

void tls_explain(struct tls *t, int code, struct buf *out)
{
	int alert = tls_alert(t);

	if (t->output_error != 0)
		buf_printf(out, "the output was refused: %s", err_text(t->output_error));
	else if (t->hello != NULL && explain_first(t->hello, out))
		return;
	else if (alert > 0)
		buf_printf(out, "alert %d %s from the peer", alert, alert_name(alert));
	else if (t->verify_error != 0)
		explain_verify(t->verify_error, out);
	else if (t->hello != NULL && t->hello->version_max != 0 &&
	         t->hello->version_max < t->ctx->min_version)
		explain_version(t, out);
	else if (t->established && (code == OUT_OF_ORDER_E || code == DUPLICATE_MSG_E ||
	                            code == SECURE_RENEGOTIATION_E))
		buf_put_str(out, "the peer asked to renegotiate, which is refused");
	else
		explain_code(t, code, out);
}
