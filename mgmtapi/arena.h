/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * arena.h: memory that is given back all at once: blocks from malloc, carved from the front, with a cap. One owner, one thread.
 */
#pragma once

#include "core/base.h"

#define ARENA_BLOCK 4096

struct arena_block;

struct arena {
	struct arena_block *top;
	size_t total; /* octets handed out, counted with alignment */
	size_t cap;
};

/* arena_init: empty, owns nothing. */
void arena_init(struct arena *a, size_t cap);
void arena_free(struct arena *a);
/* arena_alloc: zeroed, aligned for anything; NULL at the cap or without memory. */
void *arena_alloc(struct arena *a, size_t n);
/* arena_mark / arena_release: everything allocated after the mark is given back. */
size_t arena_mark(const struct arena *a);
void arena_release(struct arena *a, size_t mark);
