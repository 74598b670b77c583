/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lock.c: mutexes with priority inheritance, alone and as the parts of a lock that readers share. */
#include "core/lock.h"

#include <stdatomic.h>

void lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	/* A system without it leaves an ordinary mutex. */
	(void)pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	if (pthread_mutex_init(lock, &attr) != 0)
		pthread_mutex_init(lock, NULL);
	pthread_mutexattr_destroy(&attr);
}

/* The calling thread's part: threads take turns when they first ask. */
static unsigned own_part(void)
{
	static _Atomic unsigned threads;
	static _Thread_local unsigned own;

	if (own == 0)
		own = atomic_fetch_add(&threads, 1) % SHARED_LOCK_PARTS + 1;
	return own - 1;
}

void shared_lock_init(struct shared_lock *l)
{
	for (unsigned i = 0; i < SHARED_LOCK_PARTS; i++)
		lock_init(&l->parts[i].lock);
}

void shared_lock_fini(struct shared_lock *l)
{
	for (unsigned i = 0; i < SHARED_LOCK_PARTS; i++)
		pthread_mutex_destroy(&l->parts[i].lock);
}

void shared_lock_read(struct shared_lock *l)
{
	pthread_mutex_lock(&l->parts[own_part()].lock);
}

void shared_lock_read_end(struct shared_lock *l)
{
	pthread_mutex_unlock(&l->parts[own_part()].lock);
}

/* All writers take the parts in the same order, and a reader has but one: nobody waits in a circle. */
void shared_lock_write(struct shared_lock *l)
{
	for (unsigned i = 0; i < SHARED_LOCK_PARTS; i++)
		pthread_mutex_lock(&l->parts[i].lock);
}

void shared_lock_write_end(struct shared_lock *l)
{
	for (unsigned i = SHARED_LOCK_PARTS; i-- > 0;)
		pthread_mutex_unlock(&l->parts[i].lock);
}
