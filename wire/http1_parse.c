/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * http1_parse.c: the incremental parser. Lines of the head are collected in p->head and checked as
 * each one ends; p->fields holds where names and values lie (offsets, because the head moves while
 * it grows). When the head is complete, interpret() decides how the body is framed, and no later
 * byte can change that.
 */
#include "wire/http1.h"
#include "core/err.h"
#include "wire/scan.h"

#include <string.h>

enum state {
	ST_IDLE, /* between messages */
	ST_START,
	ST_FIELDS,
	ST_BODY, /* the head was returned; how the body starts is decided next */
	ST_LENGTH,
	ST_UNTIL_CLOSE,
	ST_CHUNK_SIZE,
	ST_CHUNK_BLANK, /* white space after a size: only CR or an extension may follow */
	ST_CHUNK_EXT,
	ST_CHUNK_LF,
	ST_CHUNK_DATA,
	ST_CHUNK_DATA_CR,
	ST_CHUNK_DATA_LF,
	ST_TRAILER,
	ST_TRAILER_LF,
	ST_END,   /* to be reported */
	ST_DRAIN, /* the last message of the connection is over */
	ST_ERROR,
};

/* What a step returns when it made no event and the next step may go on. */
#define STEP_ON (-1)

struct field_pos {
	uint16_t name, name_len, value, value_len;
};

static const struct http1_limits default_limits = {
	.head_max = HTTP1_HEAD_MAX,
	.start_line_max = HTTP1_START_LINE_MAX,
	.headers_max = HTTP1_HEADERS_MAX,
	.body_max = HTTP1_BODY_MAX,
};

static void init(struct http1 *p, const struct http1_limits *limits, bool response)
{
	*p = (struct http1){.response = response,
	                    .limits = limits != NULL ? *limits : default_limits};
	ASSERT(p->limits.head_max <= UINT16_MAX);
	buf_init(&p->head, p->limits.head_max);
	buf_init(&p->fields, p->limits.headers_max * sizeof(struct field_pos));
}

void http1_init_request(struct http1 *p, const struct http1_limits *limits)
{
	init(p, limits, false);
}

void http1_init_response(struct http1 *p, const struct http1_limits *limits)
{
	init(p, limits, true);
}

void http1_release(struct http1 *p)
{
	if (p->state == ST_START || p->state == ST_FIELDS)
		return;
	/* A head may carry credentials. */
	buf_free_secret(&p->head);
	buf_free(&p->fields);
	p->msg.method = p->msg.target = p->msg.reason = (struct span){NULL, 0};
}

void http1_free(struct http1 *p)
{
	buf_free_secret(&p->head);
	buf_free(&p->fields);
	*p = (struct http1){.state = ST_DRAIN};
}

void http1_expect_head(struct http1 *p)
{
	ASSERT(p->response);
	p->head_request = true;
}

bool http1_idle(const struct http1 *p)
{
	return p->state == ST_IDLE || (p->state == ST_START && p->head.len == 0);
}

static int fail(struct http1 *p, uint16_t status, const char *text)
{
	p->state = ST_ERROR;
	p->error_status = p->response ? 502 : status;
	p->error_text = text;
	return HTTP1_ERROR;
}

/* ---- the head -------------------------------------------------------------------------------- */

static void begin_message(struct http1 *p)
{
	http1_release(p);
	p->msg = (struct http1_msg){0};
	p->body_len = 0;
	p->line_at = 0;
	p->line_len = 0;
	p->state = ST_START;
}

/* Moves bytes up to and with the next LF into the head. HTTP1_MORE: the line is not complete. */
static int take_line(struct http1 *p, struct span *in)
{
	const uint8_t *lf;
	size_t n;

	if (in->len == 0)
		return HTTP1_MORE;
	lf = memchr(in->ptr, '\n', in->len);
	n = lf != NULL ? (size_t)(lf - in->ptr) + 1 : in->len;
	if (p->state == ST_START && p->head.len + n > p->limits.start_line_max)
		return fail(p, 414, "the start line is too long");
	if (n > p->limits.head_max - p->head.len)
		return fail(p, 431, "the header is too long");
	buf_put(&p->head, in->ptr, n);
	if (p->head.err != 0)
		return fail(p, 503, "out of memory");
	*in = scan_skip(*in, n);
	if (lf == NULL)
		return HTTP1_MORE;
	n = p->head.len - p->line_at;
	if (n < 2 || p->head.data[p->head.len - 2] != '\r')
		return fail(p, 400, "a line ends in LF without CR");
	return STEP_ON;
}

/* The line that was just completed, without its CRLF. */
static struct span current_line(const struct http1 *p)
{
	return span_of(p->head.data + p->line_at, p->head.len - p->line_at - 2);
}

/* Takes up to the next space off the front. False without one. */
static bool take_word(struct span *line, struct span *word)
{
	const uint8_t *sp = line->len > 0 ? memchr(line->ptr, ' ', line->len) : NULL;

	if (sp == NULL)
		return false;
	*word = span_of(line->ptr, (size_t)(sp - line->ptr));
	*line = scan_skip(*line, word->len + 1);
	return true;
}

/* "HTTP/1.x": 0; another version: 505; not a version: 400. */
static uint16_t parse_version(struct span v, uint8_t *minor)
{
	if (v.len != 8 || memcmp(v.ptr, "HTTP/", 5) != 0 || v.ptr[6] != '.' || v.ptr[5] < '0' ||
	    v.ptr[5] > '9' || v.ptr[7] < '0' || v.ptr[7] > '9')
		return 400;
	if (v.ptr[5] != '1')
		return 505;
	*minor = v.ptr[7] == '0' ? 0 : 1;
	return 0;
}

static int parse_request_line(struct http1 *p, struct span line)
{
	uint16_t status;

	if (!take_word(&line, &p->msg.method) || !scan_is_token(p->msg.method))
		return fail(p, 400, "no valid method");
	if (!take_word(&line, &p->msg.target) || p->msg.target.len == 0)
		return fail(p, 400, "no request target");
	for (size_t i = 0; i < p->msg.target.len; i++)
		if (p->msg.target.ptr[i] <= ' ' || p->msg.target.ptr[i] > '~')
			return fail(p, 400, "invalid character in the request target");
	status = parse_version(line, &p->msg.minor);
	if (status != 0)
		return fail(p, status, "not HTTP/1.0 or HTTP/1.1");
	return STEP_ON;
}

static bool is_field_value(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.ptr[i] < ' ' && s.ptr[i] != '\t') || s.ptr[i] == 0x7f)
			return false;
	return true;
}

static int parse_status_line(struct http1 *p, struct span line)
{
	struct span version, code = line;
	uint64_t status;

	/* The space after the code is missing in some servers' answers when there is no phrase. */
	if (!take_word(&line, &version) || parse_version(version, &p->msg.minor) != 0)
		return fail(p, 502, "not an HTTP/1 response");
	if (!take_word(&line, &code)) {
		code = line;
		line = scan_skip(line, line.len);
	}
	if (code.len != 3 || scan_u64(code, &status) != 0 || status < 100 || !is_field_value(line))
		return fail(p, 502, "invalid status line");
	p->msg.status = (uint16_t)status;
	p->msg.reason = line;
	return STEP_ON;
}

static int step_start(struct http1 *p, struct span *in)
{
	int r = take_line(p, in);
	struct span line;

	if (r != STEP_ON)
		return r;
	line = current_line(p);
	if (line.len == 0) {
		/* RFC 9112 2.2: some clients send an empty line after a body. */
		if (p->response || ++p->line_len > HTTP1_BLANK_MAX)
			return fail(p, 400, "an empty line instead of a start line");
		buf_free(&p->head);
		return STEP_ON;
	}
	r = p->response ? parse_status_line(p, line) : parse_request_line(p, line);
	if (r != STEP_ON)
		return r;
	p->line_at = (uint32_t)p->head.len;
	p->state = ST_FIELDS;
	return STEP_ON;
}

static int parse_field(struct http1 *p, struct span line)
{
	size_t n = scan_token_len(line);
	struct span value;
	struct field_pos pos;

	if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
		return fail(p, 400, "a folded header line");
	if (n == 0 || n == line.len || line.ptr[n] != ':')
		return fail(p, 400, "invalid header name");
	value = scan_trim(scan_skip(line, n + 1));
	if (!is_field_value(value))
		return fail(p, 400, "invalid character in a header");
	if (http1_header_count(p) >= p->limits.headers_max)
		return fail(p, 431, "too many headers");
	pos = (struct field_pos){(uint16_t)p->line_at, (uint16_t)n,
	                         (uint16_t)(value.ptr - p->head.data), (uint16_t)value.len};
	buf_put(&p->fields, &pos, sizeof(pos));
	if (p->fields.err != 0)
		return fail(p, 503, "out of memory");
	return STEP_ON;
}

/* ---- what the headers say -------------------------------------------------------------------- */

struct framing {
	unsigned hosts;
	unsigned codings;
	bool close, keep, upgrade, upgrade_to;
};

static int see_length(struct http1 *p, struct span value)
{
	uint64_t n;

	if (scan_u64(value, &n) != 0)
		return fail(p, 400, "invalid Content-Length");
	if (p->msg.has_length && n != p->msg.length)
		return fail(p, 400, "Content-Length values that differ");
	p->msg.has_length = true;
	p->msg.length = n;
	return STEP_ON;
}

static int see_coding(struct http1 *p, struct span value, struct framing *f)
{
	if (!scan_equal_nocase(value, "chunked"))
		return fail(p, 501, "a transfer coding other than chunked");
	if (f->codings++ > 0)
		return fail(p, 400, "more than one transfer coding");
	p->msg.chunked = true;
	return STEP_ON;
}

static int see_field(struct http1 *p, size_t i, struct framing *f)
{
	struct span name, value;

	http1_header_at(p, i, &name, &value);
	if (scan_equal_nocase(name, "content-length"))
		return see_length(p, value);
	if (scan_equal_nocase(name, "transfer-encoding"))
		return see_coding(p, value, f);
	if (scan_equal_nocase(name, "host"))
		f->hosts++;
	if (scan_equal_nocase(name, "upgrade"))
		f->upgrade_to = true;
	if (scan_equal_nocase(name, "connection")) {
		f->close |= scan_list_has(value, "close");
		f->keep |= scan_list_has(value, "keep-alive");
		f->upgrade |= scan_list_has(value, "upgrade");
	}
	if (!p->response && scan_equal_nocase(name, "expect")) {
		if (!scan_equal_nocase(value, "100-continue"))
			return fail(p, 417, "an unknown expectation");
		p->msg.expect_continue = p->msg.minor > 0;
	}
	return STEP_ON;
}

static int judge_request(struct http1 *p, const struct framing *f)
{
	if (f->hosts > 1 || (f->hosts == 0 && p->msg.minor > 0))
		return fail(p, 400, "not exactly one Host header");
	if (p->msg.chunked && p->msg.has_length)
		return fail(p, 400, "Content-Length and Transfer-Encoding together");
	if (p->msg.chunked && p->msg.minor == 0)
		return fail(p, 400, "Transfer-Encoding in an HTTP/1.0 request");
	return HTTP1_HEAD;
}

static bool status_is_interim(unsigned status)
{
	return status < 200 && status != 101;
}

static int judge_response(struct http1 *p)
{
	if (status_is_interim(p->msg.status)) {
		if (++p->interim > HTTP1_INTERIM_MAX)
			return fail(p, 502, "too many interim responses");
		p->state = ST_IDLE;
		return STEP_ON;
	}
	p->interim = 0;
	/*
	 * RFC 9112 6.1: the coding wins, and the connection is not used again. The same for a
	 * coding from HTTP/1.0.
	 */
	if (p->msg.chunked && (p->msg.has_length || p->msg.minor == 0)) {
		p->msg.has_length = false;
		p->msg.keep_alive = false;
	}
	if (p->head_request || p->msg.status == 101 || p->msg.status == 204 ||
	    p->msg.status == 304) {
		p->head_request = false;
		p->msg.chunked = false;
		p->msg.has_length = true;
		p->msg.length = 0;
	}
	p->msg.until_close = !p->msg.chunked && !p->msg.has_length;
	if (p->msg.until_close)
		p->msg.keep_alive = false;
	return HTTP1_HEAD;
}

static int finish_head(struct http1 *p)
{
	struct framing f = {0};
	struct span start;
	int r;

	/* The head lies still now: take the views of the start line again. */
	start = span_of(p->head.data, (size_t)((uint8_t *)memchr(p->head.data, '\r', p->head.len) -
	                                       p->head.data));
	r = p->response ? parse_status_line(p, start) : parse_request_line(p, start);
	for (size_t i = 0; r == STEP_ON && i < http1_header_count(p); i++)
		r = see_field(p, i, &f);
	if (r != STEP_ON)
		return r;
	p->msg.keep_alive = !f.close && (p->msg.minor > 0 || f.keep);
	p->msg.upgrade = f.upgrade && f.upgrade_to;
	p->state = ST_BODY;
	return p->response ? judge_response(p) : judge_request(p, &f);
}

static int step_fields(struct http1 *p, struct span *in)
{
	int r = take_line(p, in);
	struct span line;

	if (r != STEP_ON)
		return r;
	line = current_line(p);
	if (line.len == 0)
		return finish_head(p);
	r = parse_field(p, line);
	p->line_at = (uint32_t)p->head.len;
	return r;
}

/* ---- the body -------------------------------------------------------------------------------- */

static int step_body(struct http1 *p)
{
	if (p->msg.chunked) {
		p->line_len = 0;
		p->left = 0;
		p->state = ST_CHUNK_SIZE;
	} else if (p->msg.until_close) {
		p->state = ST_UNTIL_CLOSE;
	} else {
		if (p->msg.has_length && p->msg.length > p->limits.body_max)
			return fail(p, 413, "the body is too long");
		p->left = p->msg.has_length ? p->msg.length : 0;
		p->state = p->left > 0 ? ST_LENGTH : ST_END;
	}
	return STEP_ON;
}

static int step_until_close(struct http1 *p, struct span *in, struct span *body)
{
	if (in->len == 0)
		return HTTP1_MORE;
	if (in->len > p->limits.body_max - p->body_len)
		return fail(p, 413, "the body is too long");
	*body = *in;
	*in = scan_skip(*in, in->len);
	p->body_len += body->len;
	return HTTP1_BODY;
}

static int step_data(struct http1 *p, struct span *in, struct span *body)
{
	size_t n = (size_t)MIN(p->left, (uint64_t)in->len);

	if (n == 0)
		return HTTP1_MORE;
	*body = span_of(in->ptr, n);
	*in = scan_skip(*in, n);
	p->left -= n;
	p->body_len += n;
	if (p->left == 0)
		p->state = p->state == ST_LENGTH ? ST_END : ST_CHUNK_DATA_CR;
	return HTTP1_BODY;
}

static int chunk_after_size(struct http1 *p, uint8_t c)
{
	if (c == '\r')
		p->state = ST_CHUNK_LF;
	else if (c == ';')
		p->state = ST_CHUNK_EXT;
	else if (c == ' ' || c == '\t')
		p->state = ST_CHUNK_BLANK;
	else
		return fail(p, 400, "an invalid chunk size");
	if (++p->line_len > HTTP1_CHUNK_EXT_MAX)
		return fail(p, 400, "a chunk extension that is too long");
	return STEP_ON;
}

/* One octet of "size [ext] CR". line_len counts digits, then octets of the extension. */
static int chunk_size_octet(struct http1 *p, uint8_t c)
{
	int digit = scan_hex_digit(c);

	if (digit >= 0) {
		if (p->left > UINT64_MAX >> 4 || p->line_len++ >= 16)
			return fail(p, 400, "a chunk size that is too long");
		p->left = p->left << 4 | (uint64_t)digit;
		return STEP_ON;
	}
	if (p->line_len == 0)
		return fail(p, 400, "a chunk without a size");
	p->line_len = 0;
	return chunk_after_size(p, c);
}

static int chunk_ext_octet(struct http1 *p, uint8_t c)
{
	if (c == '\r') {
		p->state = ST_CHUNK_LF;
		return STEP_ON;
	}
	if ((c < ' ' && c != '\t') || c == 0x7f)
		return fail(p, 400, "invalid character in a chunk extension");
	if (++p->line_len > HTTP1_CHUNK_EXT_MAX)
		return fail(p, 400, "a chunk extension that is too long");
	return STEP_ON;
}

static int chunk_size_end(struct http1 *p, uint8_t c)
{
	if (c != '\n')
		return fail(p, 400, "CR without LF after a chunk size");
	if (p->left > p->limits.body_max - p->body_len)
		return fail(p, 413, "the body is too long");
	p->line_len = 0;
	p->line_at = 0;
	p->state = p->left > 0 ? ST_CHUNK_DATA : ST_TRAILER;
	return STEP_ON;
}

/* Trailers are dropped: line_len counts all of them, line_at the octets of the present line. */
static int trailer_octet(struct http1 *p, uint8_t c)
{
	if (++p->line_len > HTTP1_TRAILER_MAX)
		return fail(p, 431, "trailers that are too long");
	if (p->state == ST_TRAILER_LF) {
		if (c != '\n')
			return fail(p, 400, "CR without LF in the trailers");
		p->state = p->line_at == 0 ? ST_END : ST_TRAILER;
		p->line_at = 0;
		return STEP_ON;
	}
	if (c == '\r') {
		p->state = ST_TRAILER_LF;
		return STEP_ON;
	}
	if ((c < ' ' && c != '\t') || c == 0x7f)
		return fail(p, 400, "invalid character in the trailers");
	p->line_at++;
	return STEP_ON;
}

static int data_end_octet(struct http1 *p, uint8_t c)
{
	if (c != (p->state == ST_CHUNK_DATA_CR ? '\r' : '\n'))
		return fail(p, 400, "a chunk is longer than its size");
	p->state = p->state == ST_CHUNK_DATA_CR ? ST_CHUNK_DATA_LF : ST_CHUNK_SIZE;
	return STEP_ON;
}

static int step_chunk_line(struct http1 *p, struct span *in)
{
	uint8_t c;

	if (in->len == 0)
		return HTTP1_MORE;
	c = in->ptr[0];
	*in = scan_skip(*in, 1);
	switch (p->state) {
	case ST_CHUNK_SIZE:
		return chunk_size_octet(p, c);
	case ST_CHUNK_BLANK:
		return chunk_after_size(p, c);
	case ST_CHUNK_EXT:
		return chunk_ext_octet(p, c);
	case ST_CHUNK_LF:
		return chunk_size_end(p, c);
	case ST_CHUNK_DATA_CR:
	case ST_CHUNK_DATA_LF:
		return data_end_octet(p, c);
	default:
		return trailer_octet(p, c);
	}
}

static int step_end(struct http1 *p)
{
	p->state = p->msg.keep_alive ? ST_IDLE : ST_DRAIN;
	return HTTP1_END;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int step(struct http1 *p, struct span *in, struct span *body)
{
	switch (p->state) {
	case ST_IDLE:
		if (in->len == 0)
			return HTTP1_MORE;
		begin_message(p);
		return STEP_ON;
	case ST_START:
		return step_start(p, in);
	case ST_FIELDS:
		return step_fields(p, in);
	case ST_BODY:
		return step_body(p);
	case ST_LENGTH:
	case ST_CHUNK_DATA:
		return step_data(p, in, body);
	case ST_UNTIL_CLOSE:
		return step_until_close(p, in, body);
	case ST_END:
		return step_end(p);
	case ST_DRAIN:
		*in = scan_skip(*in, in->len);
		return HTTP1_MORE;
	case ST_ERROR:
		return HTTP1_ERROR;
	default:
		return step_chunk_line(p, in);
	}
}

enum http1_event http1_next(struct http1 *p, struct span *in, struct span *body)
{
	int r;

	do
		r = step(p, in, body);
	while (r == STEP_ON);
	return (enum http1_event)r;
}

enum http1_event http1_eof(struct http1 *p)
{
	if (p->state == ST_UNTIL_CLOSE || p->state == ST_END ||
	    (p->state == ST_BODY && p->msg.until_close)) {
		p->state = ST_DRAIN;
		return HTTP1_END;
	}
	if (p->state == ST_DRAIN || (http1_idle(p) && !p->interim))
		return HTTP1_MORE;
	if (p->state != ST_ERROR)
		(void)fail(p, 400, "the connection was closed within a message");
	return HTTP1_ERROR;
}

/* ---- the header table ------------------------------------------------------------------------ */

size_t http1_header_count(const struct http1 *p)
{
	return p->fields.len / sizeof(struct field_pos);
}

void http1_header_at(const struct http1 *p, size_t i, struct span *name, struct span *value)
{
	struct field_pos pos;

	ASSERT(i < http1_header_count(p));
	memcpy(&pos, p->fields.data + i * sizeof(pos), sizeof(pos));
	*name = span_of(p->head.data + pos.name, pos.name_len);
	*value = span_of(p->head.data + pos.value, pos.value_len);
}

struct span http1_header(const struct http1 *p, const char *name)
{
	struct span n, value;

	for (size_t i = 0; i < http1_header_count(p); i++) {
		http1_header_at(p, i, &n, &value);
		if (scan_equal_nocase(n, name))
			return value;
	}
	return (struct span){NULL, 0};
}

static struct span without_origin(struct span target)
{
	const uint8_t *colon = target.len > 0 ? memchr(target.ptr, ':', target.len) : NULL;
	size_t n = colon != NULL ? (size_t)(colon - target.ptr) : 0;

	if (n == 0 || target.ptr[0] == '/' || target.len < n + 3 || memcmp(colon, "://", 3) != 0)
		return target;
	target = scan_skip(target, n + 3);
	while (target.len > 0 && target.ptr[0] != '/' && target.ptr[0] != '?')
		target = scan_skip(target, 1);
	return target;
}

struct span http1_query(struct span target)
{
	struct span s = without_origin(target);
	const uint8_t *mark = s.len > 0 ? memchr(s.ptr, '?', s.len) : NULL;

	return mark != NULL ? scan_skip(s, (size_t)(mark - s.ptr) + 1) : (struct span){NULL, 0};
}

struct span http1_path(struct span target)
{
	struct span s = without_origin(target);
	const uint8_t *mark = s.len > 0 ? memchr(s.ptr, '?', s.len) : NULL;

	if (mark != NULL)
		s.len = (size_t)(mark - s.ptr);
	/* http://host means http://host/ (RFC 9112 3.2.2). */
	return s.len == 0 && target.len > 0 && target.ptr[0] != '?' ? span_of("/", 1) : s;
}
