/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * buf.h: a growable byte buffer with a hard cap and a sticky error, for building messages, and a bounds-checked
 * read cursor. No thread affinity: whoever owns the buffer uses it.
 */
#pragma once

#include "core/base.h"
#include <stdarg.h>

/* Bytes live in data[0..len). An all-zero struct with a cap is an empty buffer that owns nothing. */
struct buf {
	uint8_t *data;
	size_t len;
	size_t alloc;
	size_t cap; /* most bytes it may ever hold; appends beyond set err */
	int err;    /* sticky: 0, -ERR_NOMEM or -ERR_TOO_BIG */
};

/* buf_init(b, cap): empty buffer that may grow to cap bytes. Allocates nothing. */
void buf_init(struct buf *b, size_t cap);

/* buf_free(b): releases the memory; b is empty again with the same cap, err 0. */
void buf_free(struct buf *b);

/* buf_free_secret(b): as buf_free, after overwriting the bytes. */
void buf_free_secret(struct buf *b);

/* buf_clear(b): len 0 and err 0; keeps the memory. */
void buf_clear(struct buf *b);

/* buf_reserve(b, n): room for n more bytes; pointer to the place or NULL (err is set). Does not change len. */
uint8_t *buf_reserve(struct buf *b, size_t n);

/* Appends. After an error they do nothing; check b->err once at the end. Integers are big-endian. */
void buf_put(struct buf *b, const void *data, size_t n);
void buf_put_span(struct buf *b, struct span s);
void buf_put_str(struct buf *b, const char *s); /* without the NUL */
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/* buf_consume(b, n): drops the first n bytes (n <= len), moving the rest down; frees memory when it gets empty. */
void buf_consume(struct buf *b, size_t n);

/* buf_cstr(b): the content as a NUL-terminated string owned by b, valid until the next change; "" on error. */
const char *buf_cstr(struct buf *b);

static inline struct span buf_span(const struct buf *b)
{
	return span_of(b->data, b->len);
}

/* A read cursor over borrowed bytes. Reading past the end sets err = -ERR_MORE and yields zeros. Big-endian. */
struct cur {
	const uint8_t *ptr;
	size_t left;
	int err;
};

struct cur cur_of(struct span s);
uint8_t cur_u8(struct cur *c);
uint16_t cur_u16(struct cur *c);
uint32_t cur_u32(struct cur *c);
struct span cur_bytes(struct cur *c, size_t n);
