/* SPDX-License-Identifier: GPL-3.0-or-later */
/* backup.h: work that blocks, run in a thread of its own while a fiber waits; and the copy of the store that is sent to a client. */
#pragma once

#include "core/buf.h"
#include "store/store.h"

/* offload: runs fn(arg) in a new thread and waits in the calling fiber for its end. fn's result, or -ERR_FULL without a thread. */
int offload(int (*fn)(void *arg), void *arg) MUST_CHECK;

struct backup {
	struct store *store;
	char path[4096]; /* dir/backup-XXXX.tmp; removed by backup_end */
	uint64_t size;
	uint8_t sha256[32];
	struct buf *why;
	int fd;
};

/* backup_make: copies and hashes. Blocks: through offload. arg: a struct backup with store, path and why. */
int backup_make(void *arg);
void backup_end(struct backup *b);
/* backup_clean: removes copies that a crash left in the data folder. */
void backup_clean(const char *data_dir);
