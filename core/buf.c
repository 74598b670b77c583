/* SPDX-License-Identifier: GPL-3.0-or-later */
/* buf.c: growable buffer and read cursor. Growth doubles, so appending n bytes costs O(n) in all. */
#include "core/buf.h"
#include "core/err.h"
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_ALLOC_MIN 64

void buf_init(struct buf *b, size_t cap)
{
	*b = (struct buf){.cap = cap};
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.cap = b->cap};
}

void buf_free_secret(struct buf *b)
{
	if (b->data != NULL)
		secret_zero(b->data, b->alloc);
	buf_free(b);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->err = 0;
}

/* Grows to hold at least need bytes. One byte beyond cap may be allocated, for buf_cstr's NUL. */
static bool grow(struct buf *b, size_t need)
{
	size_t n = b->alloc > 0 ? b->alloc : BUF_ALLOC_MIN;
	uint8_t *p;

	while (n < need)
		n = n > SIZE_MAX / 2 ? need : n * 2;
	p = malloc(n);
	if (p == NULL) {
		b->err = -ERR_NOMEM;
		return false;
	}
	if (b->data != NULL) {
		memcpy(p, b->data, b->len);
		secret_zero(b->data, b->len);
		free(b->data);
	}
	b->data = p;
	b->alloc = n;
	return true;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	if (b->err != 0)
		return NULL;
	if (n > b->cap - b->len) {
		b->err = -ERR_TOO_BIG;
		return NULL;
	}
	if (n > b->alloc - b->len && !grow(b, b->len + n))
		return NULL;
	return b->data + b->len;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
	uint8_t *p;

	if (n == 0)
		return;
	p = buf_reserve(b, n);
	if (p == NULL)
		return;
	memcpy(p, data, n);
	b->len += n;
}

void buf_put_span(struct buf *b, struct span s)
{
	buf_put(b, s.ptr, s.len);
}

void buf_put_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
	const uint8_t x[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	buf_put(b, x, sizeof(x));
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	const uint8_t x[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
	                      (uint8_t)v};

	buf_put(b, x, sizeof(x));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	size_t room = b->alloc - b->len;
	va_list again;
	int n;

	if (b->err != 0)
		return;
	/* Most often it fits in what is there, and once is enough. */
	va_copy(again, ap);
	n = vsnprintf(room > 0 ? (char *)b->data + b->len : NULL, room, fmt, again);
	va_end(again);
	if (n < 0) {
		b->err = -ERR_INVALID;
		return;
	}
	if ((size_t)n > b->cap - b->len) {
		b->err = -ERR_TOO_BIG;
		return;
	}
	if ((size_t)n >= room) {
		if (!grow(b, b->len + (size_t)n + 1))
			return;
		(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	}
	b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
	ASSERT(n <= b->len);
	if (n == b->len) {
		free(b->data);
		b->data = NULL;
		b->alloc = 0;
		b->len = 0;
		return;
	}
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

const char *buf_cstr(struct buf *b)
{
	if (b->err != 0 || (b->len == b->alloc && !grow(b, b->len + 1)))
		return "";
	b->data[b->len] = '\0';
	return (const char *)b->data;
}

struct cur cur_of(struct span s)
{
	return (struct cur){.ptr = s.ptr, .left = s.len};
}

struct span cur_bytes(struct cur *c, size_t n)
{
	struct span s;

	if (c->err != 0 || n > c->left) {
		c->err = c->err != 0 ? c->err : -ERR_MORE;
		return (struct span){NULL, 0};
	}
	s = span_of(c->ptr, n);
	c->ptr += n;
	c->left -= n;
	return s;
}

uint8_t cur_u8(struct cur *c)
{
	struct span s = cur_bytes(c, 1);

	return s.ptr != NULL ? s.ptr[0] : 0;
}

uint16_t cur_u16(struct cur *c)
{
	struct span s = cur_bytes(c, 2);

	return s.ptr != NULL ? (uint16_t)(s.ptr[0] << 8 | s.ptr[1]) : 0;
}

uint32_t cur_u32(struct cur *c)
{
	struct span s = cur_bytes(c, 4);

	if (s.ptr == NULL)
		return 0;
	return (uint32_t)s.ptr[0] << 24 | (uint32_t)s.ptr[1] << 16 | (uint32_t)s.ptr[2] << 8 |
	       s.ptr[3];
}
