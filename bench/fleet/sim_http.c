/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sim_http.c: request framing and the answers' headers, in the order and spelling that was recorded. */
#include "bench/fleet/sim_http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/err.h"

#define SERVER "Intel(R) Active Management Technology " SIM_WSMAN_VERSION "." SIM_WSMAN_BUILD
#define LOGON_FAILED                                                                               \
	"<html><head><title>Log On</title></head><body><h2>Log on failed. Incorrect user name or " \
	"password, or user account temporarily locked.</h2></body></html>"
#define BAD_REQUEST                                                                         \
	"<html><head><title>Error</title></head><body><h2>Bad Request. The request is not " \
	"valid.</h2></body></html>"
#define LOGON_PAGE "<html><head><title>Log On</title></head><body><h1>Log On</h1></body></html>"

struct http_request {
	char method[16];
	char target[128];
	struct span authorization;
	bool chunked, close;
	size_t length; /* Content-Length */
	size_t head;   /* octets of the head with its empty line */
	size_t total;  /* with the body as it came */
	struct buf body;
};

void sim_http_init(struct sim_http *h, struct sim_wsman *wsman, struct sim_digest *digest)
{
	memset(h, 0, sizeof(*h));
	h->wsman = wsman;
	h->digest = digest;
	buf_init(&h->in, SIM_HTTP_HEAD_MAX + 2 * SIM_SOAP_BODY_MAX);
}

void sim_http_free(struct sim_http *h)
{
	buf_free(&h->in);
}

static void put_common(struct buf *out, const char *status)
{
	char date[64];
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	buf_printf(out,
	           "HTTP/1.1 %s\r\nDate: %s\r\nServer: " SERVER "\r\nX-Frame-Options: DENY\r\n",
	           status, date);
}

static void put_html(struct buf *out, const char *html)
{
	buf_printf(out,
	           "Content-Type: text/html\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
	           strlen(html), html);
}

static enum sim_http_next bad_request(struct buf *out)
{
	put_common(out, "400 Bad Request");
	put_html(out, BAD_REQUEST);
	return SIM_HTTP_CLOSE;
}

static enum sim_http_next unauthorized(struct sim_http *h, struct buf *out)
{
	h->unauthorized++;
	put_common(out, "401 Unauthorized");
	sim_digest_challenge(h->digest, out);
	put_html(out, LOGON_FAILED);
	return SIM_HTTP_CLOSE;
}

static void put_chunks(struct buf *out, struct span body)
{
	while (body.len > 0) {
		size_t n = MIN(body.len, (size_t)SIM_HTTP_CHUNK_MAX);

		buf_printf(out, "%04X\r\n", (unsigned)n);
		buf_put(out, body.ptr, n);
		buf_put_str(out, "\r\n");
		body = span_of(body.ptr + n, body.len - n);
	}
	buf_put_str(out, "0\r\n\r\n");
}

static bool header_is(struct span line, const char *name, struct span *value)
{
	size_t n = strlen(name);

	if (line.len <= n || line.ptr[n] != ':' ||
	    strncasecmp((const char *)line.ptr, name, n) != 0)
		return false;
	*value = span_of(line.ptr + n + 1, line.len - n - 1);
	while (value->len > 0 && value->ptr[0] == ' ')
		*value = span_of(value->ptr + 1, value->len - 1);
	while (value->len > 0 &&
	       (value->ptr[value->len - 1] == '\r' || value->ptr[value->len - 1] == ' '))
		value->len--;
	return true;
}

static bool value_is(struct span value, const char *word)
{
	return value.len == strlen(word) &&
	       strncasecmp((const char *)value.ptr, word, value.len) == 0;
}

static int decimal(struct span s, size_t *out)
{
	*out = 0;
	if (s.len == 0 || s.len > 9)
		return -ERR_PROTOCOL;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return -ERR_PROTOCOL;
		*out = *out * 10 + (size_t)(s.ptr[i] - '0');
	}
	return 0;
}

static int read_request_line(struct span line, struct http_request *r)
{
	char text[256], *save, *version;
	const char *method, *target;

	if (!str_copy_span(text, sizeof(text), line))
		return -ERR_PROTOCOL;
	method = strtok_r(text, " ", &save);
	target = strtok_r(NULL, " ", &save);
	version = strtok_r(NULL, " \r", &save);
	if (method == NULL || target == NULL || version == NULL ||
	    strncmp(version, "HTTP/1.", 7) != 0)
		return -ERR_PROTOCOL;
	if (!str_copy(r->method, sizeof(r->method), method) ||
	    !str_copy(r->target, sizeof(r->target), target))
		return -ERR_PROTOCOL;
	r->close = strcmp(version, "HTTP/1.0") == 0;
	return 0;
}

static int read_head(struct span in, struct http_request *r)
{
	const uint8_t *end = memmem(in.ptr, in.len, "\r\n\r\n", 4);
	struct span rest, line, value;
	int err;

	if (end == NULL)
		return in.len > SIM_HTTP_HEAD_MAX ? -ERR_TOO_BIG : -ERR_MORE;
	r->head = (size_t)(end - in.ptr) + 4;
	rest = span_of(in.ptr, r->head - 2);
	if (!sim_cim_next_line(&rest, &line))
		return -ERR_PROTOCOL;
	err = read_request_line(line, r);
	while (err == 0 && sim_cim_next_line(&rest, &line)) {
		if (header_is(line, "Authorization", &value))
			r->authorization = value;
		else if (header_is(line, "Content-Length", &value))
			err = decimal(value, &r->length);
		else if (header_is(line, "Transfer-Encoding", &value))
			r->chunked = value_is(value, "chunked");
		else if (header_is(line, "Connection", &value))
			r->close = r->close || value_is(value, "close");
	}
	return err;
}

/* One chunk at *at of in; its data goes to body. 1 more to come, 0 the last was read. */
static int read_chunk(struct span in, size_t *at, struct buf *body)
{
	const uint8_t *eol = memchr(in.ptr + *at, '\n', in.len - *at);
	char size_text[16];
	size_t start, n;
	char *end;

	if (eol == NULL)
		return in.len - *at > 32 ? -ERR_PROTOCOL : -ERR_MORE;
	start = (size_t)(eol - in.ptr) + 1;
	if (!str_copy_span(size_text, sizeof(size_text), span_of(in.ptr + *at, start - *at - 1)))
		return -ERR_PROTOCOL;
	n = strtoul(size_text, &end, 16);
	if (end == size_text || (*end != '\0' && *end != '\r' && *end != ';'))
		return -ERR_PROTOCOL;
	if (n > SIM_SOAP_BODY_MAX)
		return -ERR_TOO_BIG;
	if (in.len - start < n + 2)
		return -ERR_MORE;
	buf_put(body, in.ptr + start, n);
	*at = start + n + 2;
	return n > 0;
}

static int read_body(struct span in, struct http_request *r)
{
	size_t at = r->head;
	int err;

	if (!r->chunked) {
		if (r->length > SIM_SOAP_BODY_MAX)
			return -ERR_TOO_BIG;
		if (in.len - r->head < r->length)
			return -ERR_MORE;
		buf_put(&r->body, in.ptr + r->head, r->length);
		r->total = r->head + r->length;
		return r->body.err;
	}
	do {
		err = read_chunk(in, &at, &r->body);
	} while (err > 0);
	r->total = at;
	return err != 0 ? err : r->body.err;
}

static enum sim_http_next answer_soap(struct sim_http *h, const struct http_request *r,
                                      uint64_t now_ms, struct buf *out)
{
	struct buf xml;
	int status;

	buf_init(&xml, SIM_SOAP_RESPONSE_MAX);
	status = sim_wsman_handle(h->wsman, buf_span(&r->body), now_ms, &xml);
	if (status == 0 || xml.err != 0) {
		buf_free(&xml);
		return bad_request(out);
	}
	put_common(out, status == 200 ? "200 OK" : "400 Bad Request");
	if (status != 200 || r->close)
		buf_put_str(out, "Connection: close\r\n");
	buf_put_str(out, "Content-Type: application/soap+xml; charset=UTF-8\r\nTransfer-Encoding: "
	                 "chunked\r\n\r\n");
	put_chunks(out, buf_span(&xml));
	buf_free(&xml);
	return status != 200 || r->close ? SIM_HTTP_CLOSE : SIM_HTTP_KEEP;
}

static enum sim_http_next answer_page(const struct http_request *r, struct buf *out)
{
	if (strcmp(r->target, "/") == 0) {
		put_common(out, "303 See Other");
		buf_put_str(out, "Location: /logon.htm\r\n");
		put_html(out, "");
	} else if (strcmp(r->target, "/logon.htm") == 0) {
		put_common(out, "200 OK");
		put_html(out, LOGON_PAGE);
	} else {
		put_common(out, "404 Not Found");
		put_html(out, BAD_REQUEST);
	}
	return SIM_HTTP_CLOSE;
}

static enum sim_http_next answer(struct sim_http *h, const struct http_request *r, uint64_t now_ms,
                                 struct buf *out)
{
	h->requests++;
	if (strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0)
		return answer_page(r, out);
	if (strcmp(r->method, "POST") != 0 || strcmp(r->target, "/wsman") != 0)
		return bad_request(out);
	if (sim_digest_check(h->digest, r->method, r->authorization, buf_span(&r->body), now_ms) !=
	    SIM_DIGEST_OK)
		return unauthorized(h, out);
	return answer_soap(h, r, now_ms, out);
}

enum sim_http_next sim_http_input(struct sim_http *h, struct span s, uint64_t now_ms,
                                  struct buf *out)
{
	enum sim_http_next next = SIM_HTTP_KEEP;

	buf_put_span(&h->in, s);
	if (h->in.err != 0)
		return bad_request(out);
	while (next == SIM_HTTP_KEEP && h->in.len > 0) {
		struct http_request r = {.method = ""};
		int err;

		buf_init(&r.body, SIM_SOAP_BODY_MAX);
		err = read_head(buf_span(&h->in), &r);
		if (err == 0)
			err = read_body(buf_span(&h->in), &r);
		if (err == 0)
			next = answer(h, &r, now_ms, out);
		else if (err != -ERR_MORE)
			next = bad_request(out);
		buf_free(&r.body);
		if (err == -ERR_MORE)
			break;
		if (err == 0)
			buf_consume(&h->in, r.total);
	}
	return next;
}
