/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memory.c: memory that is there before the devices of a held fleet dial. A heap that grows page by page while they do costs a system call and a page
 * fault for each 4 KiB, which the simulated devices, standing for other machines, take from what is measured beside them.
 */
#include "bench/fleet/fleet.h"
#include "core/fd_table.h"

#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* What a device takes while all shake hands is 9 KiB with this program around it, afterwards 7; and room for pieces that fit nowhere. */
#define DEVICE_SIZE 12288
#define BLOCK_SIZE  32768              /* below what the allocator maps by itself */
#define HEAP_SIZE   (64 * 1024 * 1024) /* glibc's HEAP_MAX_SIZE where long has 64 bits */
#define FILES_OTHER 64

void fleet_memory_keep(const struct fleet *f)
{
	/* Heaps of threads are accessible as a whole from the beginning, and nothing is given back. */
	(void)mallopt(M_TOP_PAD, HEAP_SIZE);
	(void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
	fd_table_reserve(f->count + FILES_OTHER);
}

void fleet_memory_prepare(size_t devices)
{
	struct block {
		struct block *next;
	} *all = NULL, *b;

	for (size_t n = devices * DEVICE_SIZE / BLOCK_SIZE + 1; n > 0; n--) {
		b = malloc(BLOCK_SIZE);
		if (b == NULL)
			break; /* then the devices will see for themselves */
		memset(b, 1, BLOCK_SIZE);
		b->next = all;
		all = b;
	}
	while (all != NULL) {
		b = all;
		all = b->next;
		free(b);
	}
}
