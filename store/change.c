/* SPDX-License-Identifier: GPL-3.0-or-later */
/* change.c: what a batch changed, for the commit hook. Writer thread. The list lasts from the first update of a batch to its end. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#define CHANGES_MAX     (1u << 20)
#define CHANGE_KEYS_MAX (64u << 20)

int changes_add(struct changes *c, enum store_table table, struct span key, bool exists)
{
	if (table != STORE_GROUPS && table != STORE_DEVICES && table != STORE_TOKENS)
		return 0;
	if (c->len == CHANGES_MAX)
		return -ERR_FULL;
	if (c->len == c->alloc) {
		size_t alloc = c->alloc > 0 ? 2 * c->alloc : 64;
		struct change *list = realloc(c->list, alloc * sizeof(*list));

		if (list == NULL)
			return -ERR_NOMEM;
		c->list = list;
		c->alloc = alloc;
	}
	c->keys.cap = CHANGE_KEYS_MAX;
	c->list[c->len] = (struct change){table, exists, (uint32_t)c->len, c->keys.len, key.len};
	buf_put_span(&c->keys, key);
	if (c->keys.err != 0)
		return -ERR_NOMEM;
	c->len++;
	return 0;
}

void changes_undo(struct changes *c, size_t len)
{
	if (len < c->len)
		c->keys.len = c->list[len].off;
	c->keys.err = 0;
	c->len = len;
}

void changes_free(struct changes *c)
{
	free(c->list);
	buf_free(&c->keys);
	*c = (struct changes){.len = 0};
}

/* By table and key; the latest change of a record first. */
static int compare(const void *a, const void *b, void *keys)
{
	const struct change *x = a, *y = b;
	const uint8_t *base = keys;
	int d = (int)x->table - (int)y->table;

	if (d == 0)
		d = memcmp(base + x->off, base + y->off, MIN(x->len, y->len));
	if (d == 0 && x->len != y->len)
		d = x->len < y->len ? -1 : 1;
	return d != 0 ? d : (x->order > y->order ? -1 : 1);
}

void changes_deliver(struct changes *c, store_commit_fn *fn, void *arg)
{
	struct store_change *out;
	size_t n = 0;

	if (c->len == 0 || fn == NULL)
		return;
	out = calloc(c->len, sizeof(*out));
	ASSERT(out != NULL); /* a subscriber that misses a change serves what is no longer true */
	qsort_r(c->list, c->len, sizeof(*c->list), compare, c->keys.data);
	for (size_t i = 0; i < c->len; i++) {
		const struct change *x = &c->list[i];
		struct span key = span_of(c->keys.data + x->off, x->len);

		if (n > 0 && out[n - 1].table == x->table && out[n - 1].key.len == key.len &&
		    memcmp(out[n - 1].key.ptr, key.ptr, key.len) == 0)
			continue;
		out[n++] = (struct store_change){x->table, key, x->exists};
	}
	fn(arg, out, n);
	free(out);
}
