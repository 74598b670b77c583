/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wolf_heap.h: counts wolfSSL's blocks, and refuses some, for tests of what a TLS session costs and of lack of memory. Any thread. */
#pragma once

#include <stdbool.h>

/* wolf_heap_watch: from now on, before wolfSSL allocates anything. False: the library was built without that. */
bool wolf_heap_watch(void);
/* wolf_heap_blocks: how many wolfSSL has now. */
long wolf_heap_blocks(void);
/* wolf_heap_allow: the next n allocations succeed, those after them fail. Negative: all succeed. */
void wolf_heap_allow(long n);
