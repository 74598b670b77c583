/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * grpc.c: what is gRPC's own in a call: timeout, status trailers, percent-encoding (gRPC over HTTP/2, PROTOCOL-HTTP2.md). Pure but for
 * the transport's table.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/err.h"
#include "core/text.h"
#include "mgmtapi/call_internal.h"

#define STATUS_MAX \
	4096 /* octets of the packed status; with the message below the 8 KiB that clients take */
#define MESSAGE_TEXT_MAX (3 * CALL_MESSAGE_MAX + 16)

bool grpc_content_type(const char *value)
{
	static const char base[] = "application/grpc";
	size_t n = strlen(base);

	if (strncasecmp(value, base, n) != 0)
		return false;
	if (strncasecmp(value + n, "+proto", 6) == 0)
		n += 6;
	return value[n] == '\0' || value[n] == ';' || value[n] == ' ';
}

int64_t grpc_timeout_ms(const char *value)
{
	int64_t v = 0;
	size_t digits = strspn(value, "0123456789");

	if (value[0] == '\0')
		return INT64_MAX;
	if (digits == 0 || digits > 8 || value[digits] == '\0' || value[digits + 1] != '\0')
		return -1;
	for (size_t i = 0; i < digits; i++)
		v = v * 10 + (value[i] - '0');
	switch (value[digits]) {
	case 'H':
		return v * 3600000;
	case 'M':
		return v * 60000;
	case 'S':
		return v * 1000;
	case 'm':
		return v;
	case 'u':
		return (v + 999) / 1000;
	case 'n':
		return (v + 999999) / 1000000;
	default:
		return -1;
	}
}

void grpc_percent_encode(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		uint8_t ch = (uint8_t)*text;

		if (ch < 0x20 || ch > 0x7e || ch == '%')
			buf_printf(out, "%%%02X", ch);
		else
			buf_put_u8(out, ch);
	}
}

void grpc_send_head(struct call *c)
{
	static const struct http_pair fields[] = {
		{"content-type", "application/grpc+proto"},
		{"grpc-accept-encoding", "identity,gzip"},
	};

	c->head_sent = true;
	c->hs->ops->head(c->hs, 200, fields, ARRAY_LEN(fields), false);
}

void grpc_finish(struct call *c)
{
	struct http_pair f[5];
	struct buf message;
	struct buf status;
	struct buf text;
	char code[8];
	size_t n = 0;

	buf_init(&message, MESSAGE_TEXT_MAX);
	buf_init(&status, STATUS_MAX);
	buf_init(&text, (size_t)STATUS_MAX * 2);
	if (c->code == CALL_OK && c->have_response) {
		grpc_send_head(c);
		rpc_put_envelope(c, 0, buf_span(&c->response));
	}
	if (!c->head_sent) {
		f[n++] = (struct http_pair){"content-type", "application/grpc+proto"};
		f[n++] = (struct http_pair){"grpc-accept-encoding", "identity,gzip"};
	}
	(void)snprintf(code, sizeof(code), "%d", (int)c->code);
	f[n++] = (struct http_pair){"grpc-status", code};
	if (c->code != CALL_OK) {
		grpc_percent_encode(&message, c->message);
		f[n++] = (struct http_pair){"grpc-message", buf_cstr(&message)};
		rpc_status_pack(c, &status);
		if (status.err == 0 &&
		    buf_reserve(&text, base64_encoded_len(status.len) + 1) != NULL) {
			(void)base64_encode((char *)text.data, buf_span(&status), false);
			f[n++] = (struct http_pair){"grpc-status-details-bin",
			                            (const char *)text.data};
		}
	}
	if (c->head_sent)
		c->hs->ops->end(c->hs, f, n);
	else
		c->hs->ops->head(c->hs, 200, f, n, true);
	buf_free(&message);
	buf_free(&status);
	buf_free(&text);
}
