/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wolf_heap.c: wolfSSL's allocator is the C library's with two counts. */
#include "tests/unit/support/wolf_heap.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/memory.h>

#include <stdatomic.h>
#include <stdlib.h>

static atomic_long blocks;
static atomic_long allowed = -1;

static bool refused(void)
{
	long n = atomic_load(&allowed);

	while (n > 0 && !atomic_compare_exchange_weak(&allowed, &n, n - 1))
		;
	return n == 0;
}

static void *get(size_t n)
{
	void *p = refused() ? NULL : malloc(n);

	if (p != NULL)
		atomic_fetch_add(&blocks, 1);
	return p;
}

static void put(void *p)
{
	if (p != NULL)
		atomic_fetch_sub(&blocks, 1);
	free(p);
}

static void *change(void *p, size_t n)
{
	void *q = refused() ? NULL : realloc(p, n);

	if (p == NULL && q != NULL)
		atomic_fetch_add(&blocks, 1);
	return q;
}

bool wolf_heap_watch(void)
{
	return wolfSSL_SetAllocators(get, put, change) == 0;
}

long wolf_heap_blocks(void)
{
	return atomic_load(&blocks);
}

void wolf_heap_allow(long n)
{
	atomic_store(&allowed, n);
}
