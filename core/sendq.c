/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sendq.c: a list of blocks. A new block is as large as what is queued already (up to the pool's largest), so that one small
 * answer takes a small block and a bulk transfer few large ones.
 */
#include "core/sendq.h"
#include "core/err.h"

#include <string.h>

struct sendq_block {
	struct sendq_block *next;
	uint32_t size;       /* of the block with this header */
	uint32_t start, end; /* the octets: data[start..end) */
	uint8_t data[];
};

#define BLOCK_DATA_MAX (POOL_BLOCK_MAX - sizeof(struct sendq_block))

static size_t room(const struct sendq_block *b)
{
	return b != NULL ? b->size - sizeof(*b) - b->end : 0;
}

static void free_chain(struct sendq_block *b, struct pool *p)
{
	while (b != NULL) {
		struct sendq_block *next = b->next;

		pool_release(p, b, b->size);
		b = next;
	}
}

/* make_chain: blocks for n octets behind each other; NULL if the pool refuses. */
static struct sendq_block *make_chain(struct pool *p, size_t n, size_t queued)
{
	struct sendq_block *first = NULL, **link = &first;

	while (n > 0) {
		size_t want = MIN(MAX(n, queued), BLOCK_DATA_MAX), size;
		struct sendq_block *b = pool_alloc(p, sizeof(*b) + want, &size);

		if (b == NULL) {
			free_chain(first, p);
			return NULL;
		}
		*b = (struct sendq_block){.size = (uint32_t)size};
		*link = b;
		link = &b->next;
		n -= MIN(n, room(b));
	}
	return first;
}

static struct span fill(struct sendq_block *b, struct span s)
{
	size_t n = MIN(room(b), s.len);

	if (n > 0) {
		memcpy(b->data + b->end, s.ptr, n);
		b->end += (uint32_t)n;
	}
	return span_of(s.ptr + n, s.len - n);
}

int sendq_append(struct sendq *q, struct pool *p, struct span s)
{
	size_t have = room(q->tail);
	struct sendq_block *chain = NULL;

	if (s.len == 0)
		return 0;
	if (s.len > have) {
		chain = make_chain(p, s.len - have, q->len);
		if (chain == NULL)
			return -ERR_NOMEM;
	}
	q->len += s.len;
	if (q->tail != NULL) {
		s = fill(q->tail, s);
		q->tail->next = chain;
	} else {
		q->head = chain;
	}
	for (; chain != NULL; chain = chain->next) {
		s = fill(chain, s);
		q->tail = chain;
	}
	return 0;
}

struct span sendq_first(const struct sendq *q)
{
	return q->head != NULL
	               ? span_of(q->head->data + q->head->start, q->head->end - q->head->start)
	               : span_of(NULL, 0);
}

unsigned sendq_iov(const struct sendq *q, struct iovec *iov, unsigned max)
{
	unsigned n = 0;

	for (struct sendq_block *b = q->head; b != NULL && n < max; b = b->next)
		iov[n++] = (struct iovec){b->data + b->start, b->end - b->start};
	return n;
}

void sendq_consume(struct sendq *q, struct pool *p, size_t n)
{
	ASSERT(n <= q->len);
	q->len -= n;
	while (n > 0) {
		struct sendq_block *b = q->head;
		size_t take = MIN(n, (size_t)(b->end - b->start));

		b->start += (uint32_t)take;
		n -= take;
		if (b->start < b->end)
			break;
		q->head = b->next;
		pool_release(p, b, b->size);
	}
	if (q->head == NULL)
		q->tail = NULL;
}

void sendq_take(struct sendq *q, struct pool *p, uint8_t *out, size_t n)
{
	ASSERT(n <= q->len);
	while (n > 0) {
		struct span s = sendq_first(q);
		size_t part = MIN(s.len, n);

		ASSERT(part > 0); /* what is counted is there */
		memcpy(out, s.ptr, part);
		sendq_consume(q, p, part);
		out += part;
		n -= part;
	}
}

void sendq_clear(struct sendq *q, struct pool *p)
{
	free_chain(q->head, p);
	*q = (struct sendq){0};
}
