/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * slab.h: small memory for what lives as long as its tunnel or device but is made amid what is gone at once: in the heap each such block keeps a hole
 * of its own around it. Blocks of one size share pages, which go back to the system when they are empty. One for the process; any thread, but none
 * that runs at a lower priority than loops do, for there is one lock. Bounded by its users. Builds with AddressSanitizer take each from the heap.
 */
#pragma once

#include "core/base.h"

#define SLAB_SIZE_MAX 512

/* slab_alloc: size octets (1..SLAB_SIZE_MAX), uninitialised, aligned to 8. NULL: no memory. */
void *slab_alloc(size_t size);
/* slab_free: size is what was asked for. NULL is ignored. */
void slab_free(void *block, size_t size);
/* slab_held: octets of all pages now. */
size_t slab_held(void);
