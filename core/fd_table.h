/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fd_table.h: a table of descriptors for a thread of its own. The limit on descriptors (RLIMIT_NOFILE) counts for a table, and threads share
 * one unless they ask otherwise (unshare(2), CLONE_FILES): with a table for each worker, a process holds as many connections as that limit
 * times its workers. What was open before is in both tables, under the same number; what is opened later is in one of them only, so that a
 * connection accepted in one thread has to be passed to another one's table.
 */
#pragma once

#include "core/base.h"

#include <sys/types.h>

/* fd_table_can: whether a thread may take a table of its own here (tries it in one that ends at once; containers may forbid it). */
bool fd_table_can(void);
/* fd_table_own: the calling thread stops sharing its table. 0 or a negative error. */
int fd_table_own(void) MUST_CHECK;
/* fd_table_len: descriptors in the table of a thread of this process (0: of the caller's); 0 if the kernel does not tell (before 6.2). */
uint64_t fd_table_len(pid_t thread);

/*
 * fd_table_reserve: the calling thread's table has room for n descriptors (less if their limit is lower) from now on; 8 octets each, in the kernel.
 * A table that threads share doubles when it is full, and whoever wants a descriptor meanwhile waits for a grace period of RCU, tens of milliseconds.
 * Best before there are threads. Failing means only that it grows later.
 */
void fd_table_reserve(uint64_t n);

/* A way from threads with any table to one with a table of its own: a pair of local sockets, made before the tables part. */
struct fd_pass {
	int in, out;
};
/* fd_pass_init / fd_pass_fini: 0 or a negative error; fini in any table closes the numbers there. */
int fd_pass_init(struct fd_pass *p) MUST_CHECK;
void fd_pass_fini(struct fd_pass *p);
/*
 * fd_pass_send: any thread; puts fd on its way and closes it here, also if that fails: 0, or -ERR_FULL (some hundred are on their way).
 * fd_pass_take: the receiving thread, once for each that was sent, in that order: the descriptor in this table, or a negative error
 * (-ERR_FULL: the table is full). Neither waits.
 */
int fd_pass_send(struct fd_pass *p, int fd) MUST_CHECK;
int fd_pass_take(struct fd_pass *p) MUST_CHECK;
