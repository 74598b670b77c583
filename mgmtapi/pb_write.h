/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pb_write.h: messages of protobuf written straight from what is in memory, for those that are sent by the thousand. Fields have to
 * come in the order of their numbers; what is zero or empty is left out, as proto3 asks, so that the octets are those that
 * protobuf-c would make of the same message. Whoever owns the buffer uses it; an error is sticky in the buffer.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"

#include <string.h>

#define PB_VARINT_MAX 10
#define PB_TAG_MAX    2 /* field numbers below 2048 */

enum pb_wire { PB_VARINT = 0, PB_LENGTH = 2 };

struct pb {
	struct buf *buf;
	uint8_t *at, *end;
};

/* pb_start: appends at most max octets to b. Nothing else may change b until pb_finish. */
static inline struct pb pb_start(struct buf *b, size_t max)
{
	uint8_t *at = buf_reserve(b, max);

	return (struct pb){b, at, at != NULL ? at + max : NULL};
}

/* pb_finish: what was written belongs to the buffer, or its err is set. */
static inline void pb_finish(struct pb *w)
{
	if (w->buf->err == 0)
		w->buf->len = (size_t)(w->at - w->buf->data);
}

static inline bool pb_room(struct pb *w, size_t n)
{
	if (w->buf->err == 0 && n > (size_t)(w->end - w->at))
		w->buf->err = -ERR_TOO_BIG;
	return w->buf->err == 0;
}

static inline void pb_put_varint(struct pb *w, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*w->at++ = (uint8_t)(v | 0x80);
	*w->at++ = (uint8_t)v;
}

static inline void pb_put_tag(struct pb *w, unsigned field, enum pb_wire wire)
{
	pb_put_varint(w, field << 3 | wire);
}

/* pb_varint: an element of a packed field. */
static inline void pb_varint(struct pb *w, uint64_t v)
{
	if (pb_room(w, PB_VARINT_MAX))
		pb_put_varint(w, v);
}

/* pb_uint: bool, enum, uint32, uint64, and int32 and int64 that are not negative. */
static inline void pb_uint(struct pb *w, unsigned field, uint64_t v)
{
	if (v == 0 || !pb_room(w, PB_TAG_MAX + PB_VARINT_MAX))
		return;
	pb_put_tag(w, field, PB_VARINT);
	pb_put_varint(w, v);
}

/* pb_span: a message that is packed already: there even if it is empty. */
static inline void pb_span(struct pb *w, unsigned field, struct span s)
{
	if (!pb_room(w, PB_TAG_MAX + PB_VARINT_MAX + s.len))
		return;
	pb_put_tag(w, field, PB_LENGTH);
	pb_put_varint(w, s.len);
	if (s.len > 0)
		memcpy(w->at, s.ptr, s.len);
	w->at += s.len;
}

static inline void pb_text(struct pb *w, unsigned field, const char *text)
{
	if (text[0] != '\0')
		pb_span(w, field, span_of(text, strlen(text)));
}

/*
 * pb_nest: begins a message, or a packed field, inside; returns what pb_unnest needs when it is complete. One octet is left for its
 * length; what needs more than that moves the content.
 */
static inline uint8_t *pb_nest(struct pb *w, unsigned field)
{
	if (pb_room(w, PB_TAG_MAX + 1)) {
		pb_put_tag(w, field, PB_LENGTH);
		w->at++;
	}
	return w->at;
}

static inline void pb_unnest(struct pb *w, uint8_t *content)
{
	size_t len, more = 0;

	if (w->buf->err != 0)
		return;
	len = (size_t)(w->at - content);
	for (size_t left = len >> 7; left > 0; left >>= 7)
		more++;
	if (!pb_room(w, more))
		return;
	if (more > 0)
		memmove(content + more, content, len);
	w->at = content - 1;
	pb_put_varint(w, len);
	w->at += len;
}

/* pb_time: a google.protobuf.Timestamp; 0: unset. */
static inline void pb_time(struct pb *w, unsigned field, uint64_t unix_ms)
{
	uint8_t *content;

	if (unix_ms == 0)
		return;
	content = pb_nest(w, field);
	pb_uint(w, 1, unix_ms / 1000);
	pb_uint(w, 2, unix_ms % 1000 * 1000000);
	pb_unnest(w, content);
}
