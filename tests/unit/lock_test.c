/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Locks between threads: writers alone, readers together, more threads than parts. */
#include "core/lock.h"
#include "tests/unit/support/test.h"

#include <stdatomic.h>
#include <string.h>

#define THREADS (3 * SHARED_LOCK_PARTS)
#define TURNS   2000

static struct shared_lock shared;
static uint64_t both[2]; /* equal, except while a writer is inside */
static _Atomic unsigned torn;

static void *reads_and_writes(void *arg)
{
	uintptr_t number = (uintptr_t)arg;

	for (unsigned i = 0; i < TURNS; i++) {
		if ((i + number) % 4 == 0) {
			shared_lock_write(&shared);
			both[0]++;
			both[1]++;
			shared_lock_write_end(&shared);
			continue;
		}
		shared_lock_read(&shared);
		if (both[0] != both[1])
			atomic_fetch_add(&torn, 1);
		shared_lock_read_end(&shared);
	}
	return NULL;
}

static void test_writers_are_alone(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	shared_lock_init(&shared);
	memset(both, 0, sizeof(both));
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reads_and_writes, (void *)i), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(torn, 0);
	assert_int_equal(both[0], THREADS * TURNS / 4);
	shared_lock_fini(&shared);
}

static void *reads(void *arg)
{
	(void)arg;
	shared_lock_read(&shared);
	shared_lock_read_end(&shared);
	return NULL;
}

/* A second reader does not wait for the first: the join would hang. Two threads in turn have different parts. */
static void test_readers_are_together(void **state)
{
	pthread_t thread;

	(void)state;
	shared_lock_init(&shared);
	shared_lock_read(&shared);
	assert_int_equal(pthread_create(&thread, NULL, reads, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	shared_lock_read_end(&shared);
	shared_lock_fini(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writers_are_alone),
		cmocka_unit_test(test_readers_are_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
