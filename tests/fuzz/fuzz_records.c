/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fuzz_records.c: any octets as a record of any family: table, length of the key, key, value. What decodes must encode, and
 * decode to the same again.
 */
#include "core/err.h"
#include "store/codec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Blobs point into the input: compare what they hold and take them out. */
static void same_blob(uint8_t **a, uint8_t **b, uint32_t a_len, uint32_t b_len)
{
	ASSERT(a_len == b_len);
	ASSERT(a_len == 0 || memcmp(*a, *b, a_len) == 0);
	*a = *b = NULL;
}

static void same(enum store_table table, void *a, void *b)
{
	struct store_operation *o = a, *p = b;
	struct store_request *q = a, *r = b;

	if (table == STORE_OPERATIONS)
		same_blob(&o->result, &p->result, o->result_len, p->result_len);
	if (table == STORE_REQUESTS)
		same_blob(&q->response, &r->response, q->response_len, r->response_len);
	ASSERT(memcmp(a, b, family_of(table)->size) == 0);
}

static void check(enum store_table table, struct record_input *in, struct seal_ring *ring)
{
	const struct family *f = family_of(table);
	void *first = malloc(f->size), *second = malloc(f->size);
	const struct record_extra *x;
	struct buf out;

	ASSERT(first != NULL && second != NULL);
	buf_init(&out, 2 * RECORD_SIZE_MAX);
	if (record_decode(f, in, first) == 0) {
		x = (const void *)((const uint8_t *)first + f->extra_offset);
		ASSERT(record_encode(f, first, ring, &out) == (x->cut ? -ERR_TOO_BIG : 0));
		in->value = buf_span(&out);
		if (!x->cut) {
			ASSERT(record_decode(f, in, second) == 0);
			same(table, first, second);
		}
	}
	buf_free(&out);
	free(first);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seal_ring ring = {.lock = PTHREAD_RWLOCK_INITIALIZER,
	                                .len = 1,
	                                .keys = {{.id = 1, .key = {1, 2, 3}}}};
	struct record_input in = {.ring = &ring};

	if (size < 2 || data[0] >= STORE_TABLE_COUNT ||
	    data[1] > MIN(size - 2, (size_t)RECORD_KEY_MAX))
		return 0;
	in.key = span_of(data + 2, data[1]);
	in.value = span_of(data + 2 + data[1], size - 2 - data[1]);
	check((enum store_table)data[0], &in, &ring);
	return 0;
}
