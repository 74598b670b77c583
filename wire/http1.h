/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * http1.h: HTTP/1.1 (RFC 9110, RFC 9112) without I/O: an incremental parser of requests or
 * responses, and writers.
 *
 * The parser is pulled: the caller hands it the bytes it has and gets one event at a time. The head
 * is copied into the parser (bounded); bodies are never copied but handed out as views of the
 * caller's bytes. Between messages, once http1_release was called, a parser owns no heap memory.
 * One thread at a time; the owner's.
 *
 *	while ((event = http1_next(&p, &in, &body)) != HTTP1_MORE)
 *		HTTP1_HEAD: p.msg is filled. HTTP1_BODY: body is a piece. HTTP1_END: act on the
 *		message, http1_release. HTTP1_ERROR: answer error_status, leave the loop, close.
 *
 * What is refused, so that no two parties can disagree on where a message ends: Content-Length
 * together with Transfer-Encoding (in a request), Content-Length values that differ, transfer
 * codings other than chunked, folded header lines, lines that end in LF alone, control characters,
 * white space before the colon.
 */
#pragma once

#include "core/base.h"
#include "core/buf.h"

#define HTTP1_HEAD_MAX       16384   /* start line and header lines, default */
#define HTTP1_START_LINE_MAX 8192    /* default */
#define HTTP1_HEADERS_MAX    64      /* default */
#define HTTP1_BODY_MAX       1048576 /* 1 MiB, default */
#define HTTP1_TRAILER_MAX    4096    /* trailer lines are read and dropped */
#define HTTP1_CHUNK_EXT_MAX  256     /* octets after a chunk's size, dropped */
#define HTTP1_BLANK_MAX      2       /* empty lines before a request line */
#define HTTP1_INTERIM_MAX    8       /* 1xx responses before the final one */
#define HTTP1_CHUNK_HEAD_MAX 20      /* what http1_chunk_head writes, with NUL */

struct http1_limits {
	uint32_t head_max; /* octets, at most 65535 */
	uint32_t start_line_max;
	uint32_t headers_max;
	uint64_t body_max; /* octets of a body after removal of the chunk framing */
};

enum http1_event {
	HTTP1_MORE,  /* all input was taken; give more */
	HTTP1_HEAD,  /* msg is filled; valid until http1_release or the next message */
	HTTP1_BODY,  /* the next piece of the body; valid as long as the input */
	HTTP1_END,   /* the message is complete; the rest of the input belongs to the next one */
	HTTP1_ERROR, /* error_status and error_text are set; the connection has to be closed */
};

struct http1_msg {
	struct span method;   /* requests: a token, as sent (methods are case-sensitive) */
	struct span target;   /* requests: printable ASCII without spaces, not empty */
	struct span reason;   /* responses; may be empty */
	uint16_t status;      /* responses: 100..999 */
	uint8_t minor;        /* 0 for HTTP/1.0, 1 for HTTP/1.1 and above */
	bool keep_alive;      /* the connection may carry another message after this one */
	bool expect_continue; /* a 1.1 client waits for 100 before it sends the body */
	bool upgrade;         /* Connection lists "upgrade" and there is an Upgrade header */
	bool chunked;
	bool until_close; /* a response whose body ends with the connection */
	bool has_length;
	uint64_t length; /* with has_length */
};

struct http1 {
	struct http1_msg msg;
	uint16_t error_status; /* what a server should answer; 502 from a response parser */
	const char *error_text;
	struct http1_limits limits; /* body_max may be changed when HTTP1_HEAD was returned */
	/* private */
	struct buf head;
	struct buf fields;
	uint64_t left;
	uint64_t body_len;
	uint32_t line_at;
	uint16_t line_len;
	uint8_t state;
	uint8_t interim;
	bool response;
	bool head_request;
};

/*
 * http1_init_request, http1_init_response: limits may be NULL for the defaults. Allocates nothing.
 */
void http1_init_request(struct http1 *p, const struct http1_limits *limits);
void http1_init_response(struct http1 *p, const struct http1_limits *limits);

/* http1_free(p): releases everything; p must be initialised again before use. */
void http1_free(struct http1 *p);

/*
 * http1_next(p, in, body): takes bytes off the front of *in and returns what they made. After
 * HTTP1_END it starts on the next message when called again; after a message that ends the
 * connection it drops all further input. A 1xx response other than 101 is skipped. 101 is returned
 * as a message without body; what follows in *in is the new protocol's. A body beyond
 * limits.body_max is refused after HTTP1_HEAD and before any of it, or of the chunk, is handed out.
 */
enum http1_event http1_next(struct http1 *p, struct span *in, struct span *body);

/*
 * http1_eof(p): the peer closed. HTTP1_END completes a body that ends so, HTTP1_MORE: nothing was
 * under way, else ERROR.
 */
enum http1_event http1_eof(struct http1 *p);

/*
 * http1_expect_head(p): the next final response answers a HEAD request and has no body (responses
 * only).
 */
void http1_expect_head(struct http1 *p);

/*
 * http1_release(p): forgets the head; its views end. For use from HTTP1_HEAD on; does nothing while
 * a head arrives.
 */
void http1_release(struct http1 *p);

/* http1_idle(p): no message is under way. */
bool http1_idle(const struct http1 *p);

/*
 * Headers of msg, in order of arrival; values are trimmed. http1_header: the first of a name (any
 * case), or ptr NULL.
 */
size_t http1_header_count(const struct http1 *p);
void http1_header_at(const struct http1 *p, size_t i, struct span *name, struct span *value);
struct span http1_header(const struct http1 *p, const char *name);

/*
 * http1_path, http1_query: the parts of an origin-form or absolute-form target; the query is
 * without '?', ptr NULL if none.
 */
struct span http1_path(struct span target);
struct span http1_query(struct span target);

/*
 * Writers append to b. A value that would break the framing (CR, LF, other control characters, a
 * bad name) sets b->err = -ERR_INVALID and nothing more is written. A head is a start line, fields,
 * and http1_write_head_end.
 */
void http1_write_request(struct buf *b, const char *method, const char *target);
void http1_write_response(struct buf *b,
                          unsigned status); /* HTTP/1.1, with the status's usual phrase */
void http1_write_field(struct buf *b, const char *name, struct span value);
void http1_write_field_str(struct buf *b, const char *name, const char *value);
void http1_write_field_uint(struct buf *b, const char *name, uint64_t value);
void http1_write_head_end(struct buf *b);

/*
 * http1_write_chunk(b, data): one chunk, its size in at least four upper-case hexadecimal digits as
 * the firmware writes it (amt.md A.2). Nothing for empty data, which would end the body.
 * http1_write_chunk_end: the last chunk, no trailers.
 */
void http1_write_chunk(struct buf *b, struct span data);
void http1_write_chunk_end(struct buf *b);

/*
 * http1_chunk_head(out, n): the line before n octets of a chunk, for writing data in place; CRLF
 * follows the data.
 */
size_t http1_chunk_head(char out[HTTP1_CHUNK_HEAD_MAX], uint64_t n);

/* http1_reason(status): the usual phrase, or "" for a status without one. */
const char *http1_reason(unsigned status);
