/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * lock.h: locks between event loops and threads of a lower priority. Whoever holds one runs at the priority of who waits for it: else a loop, which may be
 * real-time (priority.h), waits for a thread that does not get a processor.
 *
 * Not pthread_rwlock_t: in the GNU C library readers spin while a writer is between two steps of taking or leaving it. A writer of a lower priority that
 * loses its processor just there does not get it back from a spinning real-time reader, until the kernel takes it from both after a second (seen: 1.0 s).
 */
#pragma once

#include "core/base.h"

#include <pthread.h>

/* lock_init: a mutex whose holder inherits the priority of who waits; an ordinary one where the system has none such. Any thread. */
void lock_init(pthread_mutex_t *lock);

#define SHARED_LOCK_PARTS 8

/*
 * shared_lock: many may read at once, or one may write. A reader takes one part, its thread's own as long as there are no more than SHARED_LOCK_PARTS threads;
 * a writer takes all. Not recursive: who reads must not read again. Any thread.
 */
struct shared_lock {
	union shared_lock_part {
		pthread_mutex_t lock;
		char apart[64]; /* a cache line each: readers do not meet */
	} parts[SHARED_LOCK_PARTS];
};

void shared_lock_init(struct shared_lock *l);
void shared_lock_fini(struct shared_lock *l);
void shared_lock_read(struct shared_lock *l);
void shared_lock_read_end(struct shared_lock *l);
void shared_lock_write(struct shared_lock *l);
void shared_lock_write_end(struct shared_lock *l);
