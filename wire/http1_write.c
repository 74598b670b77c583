/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * http1_write.c: writers of HTTP/1.1 heads and chunks. Nothing that a caller passes can add a line.
 */
#include "wire/http1.h"
#include "core/err.h"
#include "wire/scan.h"

#include <stdio.h>
#include <string.h>

static const struct {
	uint16_t status;
	const char *text;
} reasons[] = {
	{100, "Continue"},
	{101, "Switching Protocols"},
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{417, "Expectation Failed"},
	{421, "Misdirected Request"},
	{426, "Upgrade Required"},
	{428, "Precondition Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{499, "Client Closed Request"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
	{507, "Insufficient Storage"},
};

const char *http1_reason(unsigned status)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "";
}

static bool refuse(struct buf *b, bool bad)
{
	if (bad && b->err == 0)
		b->err = -ERR_INVALID;
	return b->err != 0;
}

static bool is_target(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

static bool is_value(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.ptr[i] < ' ' && s.ptr[i] != '\t') || s.ptr[i] == 0x7f)
			return false;
	return true;
}

void http1_write_request(struct buf *b, const char *method, const char *target)
{
	if (refuse(b, !scan_is_token(span_str(method)) || !is_target(target)))
		return;
	buf_put_str(b, method);
	buf_put_u8(b, ' ');
	buf_put_str(b, target);
	buf_put_str(b, " HTTP/1.1\r\n");
}

void http1_write_response(struct buf *b, unsigned status)
{
	if (refuse(b, status < 100 || status > 999))
		return;
	buf_printf(b, "HTTP/1.1 %u %s\r\n", status, http1_reason(status));
}

void http1_write_field(struct buf *b, const char *name, struct span value)
{
	if (refuse(b, !scan_is_token(span_str(name)) || !is_value(value)))
		return;
	buf_put_str(b, name);
	buf_put_str(b, ": ");
	buf_put_span(b, value);
	buf_put_str(b, "\r\n");
}

void http1_write_field_str(struct buf *b, const char *name, const char *value)
{
	http1_write_field(b, name, span_str(value));
}

void http1_write_field_uint(struct buf *b, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	http1_write_field(b, name, span_str(text));
}

void http1_write_head_end(struct buf *b)
{
	buf_put_str(b, "\r\n");
}

size_t http1_chunk_head(char out[HTTP1_CHUNK_HEAD_MAX], uint64_t n)
{
	return (size_t)snprintf(out, HTTP1_CHUNK_HEAD_MAX, "%04llX\r\n", (unsigned long long)n);
}

void http1_write_chunk(struct buf *b, struct span data)
{
	char head[HTTP1_CHUNK_HEAD_MAX];

	if (data.len == 0)
		return;
	buf_put(b, head, http1_chunk_head(head, data.len));
	buf_put_span(b, data);
	buf_put_str(b, "\r\n");
}

void http1_write_chunk_end(struct buf *b)
{
	buf_put_str(b, "0\r\n\r\n");
}
