/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was acknowledged is there after SIGKILL, and a full disk costs nothing that was acknowledged. */
#include "core/err.h"
#include "core/crypto.h"
#include "store/internal.h"
#include "tests/unit/support/store_help.h"
#include "tests/unit/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 30, WRITERS = 4, PER_WRITER = 100000, ACKS_MAX = 200000 };

static struct store_home home;

static int setup(void **state)
{
	(void)state;
	store_home_init(&home);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_home_free(&home);
	return 0;
}

/* A device and the audit line that goes with it: both or none. */
static int put_pair(struct store_txn *t, void *arg)
{
	struct store_device d;
	struct store_audit a;
	int err;

	fill_device(&d, *(uint32_t *)arg, false);
	fill_audit(&a, *(uint32_t *)arg, false);
	err = store_device_put(t, &d);
	return err != 0 ? err : store_audit_append(t, &a);
}

static int has_device(struct store_txn *t, void *arg)
{
	struct store_device d, want;
	int err;

	fill_device(&want, *(uint32_t *)arg, false);
	err = store_device_get(t, &want.key, &d);
	if (err == 0)
		assert_memory_equal(&d, &want, sizeof(d));
	return err;
}

static int table_entries(struct store_txn *t, void *arg)
{
	uint64_t *n = arg;
	MDB_stat st;

	assert_int_equal(mdb_stat(t->mdb, t->s->dbi[STORE_DEVICES], &st), 0);
	n[0] = st.ms_entries;
	assert_int_equal(mdb_stat(t->mdb, t->s->dbi[STORE_AUDIT], &st), 0);
	n[1] = st.ms_entries;
	return 0;
}

/* ---- kill -9 ---- */

struct writer {
	uint32_t base;
	int pipe;
};

static void *write_and_acknowledge(void *arg)
{
	struct writer *w = arg;

	for (uint32_t n = w->base; n < w->base + PER_WRITER; n++) {
		if (store_update(home.s, put_pair, &n) != 0)
			_exit(3);
		if (write(w->pipe, &n, sizeof(n)) != (ssize_t)sizeof(n))
			_exit(4);
	}
	return NULL;
}

static void child(uint32_t base, int pipe)
{
	struct writer w[WRITERS];
	pthread_t t;

	if (!store_home_reopen(&home))
		_exit(2);
	for (uint32_t i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){base + i * PER_WRITER, pipe};
		if (pthread_create(&t, NULL, write_and_acknowledge, &w[i]) != 0)
			_exit(5);
	}
	for (;;)
		pause();
}

/* Runs a child, kills it, returns how many numbers it acknowledged. */
static size_t run_and_kill(uint32_t base, uint32_t *acks)
{
	size_t n = 0;
	int fds[2], status;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		child(base, fds[1]);
	close(fds[1]);
	assert_int_equal(read(fds[0], &acks[n++], sizeof(acks[0])), sizeof(acks[0]));
	usleep((useconds_t)(random_u64() % 40000));
	kill(pid, SIGKILL);
	while ((got = read(fds[0], &acks[n], sizeof(acks[0]))) == (ssize_t)sizeof(acks[0]))
		if (++n == ACKS_MAX)
			break;
	assert_int_equal(got, 0);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	return n;
}

static void test_acknowledged_updates_survive_sigkill(void **state)
{
	uint32_t *acks = calloc(ACKS_MAX, sizeof(*acks));
	size_t total = 0;
	uint64_t entries[2];
	struct buf out;

	(void)state;
	assert_non_null(acks);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		store_close(home.s); /* no fork with an open environment */
		home.s = NULL;
		total += run_and_kill(round * WRITERS * PER_WRITER, acks + total);
		if (!store_home_reopen(&home))
			fail_msg("round %u: %s", (unsigned)round, buf_cstr(&home.why));
		for (size_t i = 0; i < total; i++)
			assert_int_equal(store_view(home.s, has_device, &acks[i]), 0);
		assert_int_equal(store_view(home.s, table_entries, entries), 0);
		assert_int_equal(entries[0], entries[1]); /* no half of a pair */
		assert_true(entries[0] >= total);
		buf_init(&out, 1 << 16);
		assert_int_equal(store_check(home.s, &out), 0);
		buf_free(&out);
	}
	print_message("%zu acknowledged, %llu there\n", total, (unsigned long long)entries[0]);
	free(acks);
}

/* ---- no space ---- */

/* Fills the disk; returns how many were acknowledged before it was full. */
static uint32_t fill_disk(uint32_t from)
{
	int err = 0;

	for (uint32_t n = from;; n++) {
		err = store_update(home.s, put_pair, &n);
		if (err == 0)
			continue;
		assert_int_equal(err, -ERR_NO_SPACE);
		return n;
	}
}

static void check_full(uint32_t end)
{
	uint64_t entries[2];
	struct store_stats st;
	struct buf out;

	assert_int_equal(store_writable(home.s), -ERR_NO_SPACE);
	assert_int_equal(store_update(home.s, put_pair, &end), -ERR_NO_SPACE);
	for (uint32_t n = 0; n < end; n++)
		assert_int_equal(store_view(home.s, has_device, &n), 0);
	assert_int_equal(store_view(home.s, has_device, &end), -ERR_NOT_FOUND);
	assert_int_equal(store_view(home.s, table_entries, entries), 0);
	assert_int_equal(entries[0], end);
	assert_int_equal(entries[1], end);
	store_stats_read(home.s, &st);
	assert_true(st.failed_commits >= 1);
	assert_true(st.refused >= 1);
	buf_init(&out, 1 << 16);
	assert_int_equal(store_check(home.s, &out), 0);
	buf_free(&out);
}

/* Space is back: writable again within a little more than STORE_RETRY_MS, without an update having to come. */
static void wait_writable(void)
{
	for (int i = 0; i < 100 && store_writable(home.s) != 0; i++)
		usleep(100000);
	assert_int_equal(store_writable(home.s), 0);
}

static void test_a_file_size_limit_is_no_space(void **state)
{
	struct rlimit old, small;
	struct store_stats st;
	uint32_t end, again;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	store_stats_read(home.s, &st);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur =
		st.file_bytes + 1000000; /* not a multiple of a page: the last write is cut short */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	end = fill_disk(0);
	assert_true(end > 100);
	check_full(end);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	wait_writable();
	again = end;
	assert_int_equal(store_update(home.s, put_pair, &again), 0);
	assert_true(store_home_reopen(&home));
	for (uint32_t n = 0; n <= end; n++)
		assert_int_equal(store_view(home.s, has_device, &n), 0);
}

/* A file system of its own that can be filled. False: not permitted. */
static bool mount_small(const char *dir)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", dir, "tmpfs", 0, "size=3m,mode=0700") == 0;
}

static void fill_with_file(const char *path)
{
	static const uint8_t zeros[4096];
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		continue;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

static void test_a_full_disk(void **state)
{
	char dir[PATH_MAX], filler[PATH_MAX];
	uint32_t end;

	(void)state;
	store_close(home.s);
	home.s = NULL;
	if (!mount_small(home.dir)) {
		print_message("a small tmpfs cannot be mounted: not permitted (%s)\n",
		              strerror(errno));
		skip();
	}
	(void)snprintf(dir, sizeof(dir), "%s", home.dir);
	(void)snprintf(filler, sizeof(filler), "%s", store_home_path(&home, "filler"));
	/* A first start on a full disk: words, not a signal. */
	fill_with_file(filler);
	assert_false(store_home_reopen(&home));
	assert_non_null(strstr(buf_cstr(&home.why), "no space"));
	assert_int_equal(unlink(filler), 0);
	assert_true(store_home_reopen(&home));
	end = fill_disk(0);
	fill_with_file(filler); /* the pages that are left */
	check_full(end);
	/* A start on the full disk: readable. */
	if (!store_home_reopen(&home))
		fail_msg("%s", buf_cstr(&home.why));
	for (uint32_t n = 0; n < end; n++)
		assert_int_equal(store_view(home.s, has_device, &n), 0);
	assert_int_equal(store_update(home.s, put_pair, &end), -ERR_NO_SPACE);
	assert_int_equal(unlink(filler), 0);
	assert_int_equal(mount("none", dir, NULL, MS_REMOUNT, "size=16m"), 0);
	wait_writable();
	assert_int_equal(store_update(home.s, put_pair, &end), 0);
	assert_true(store_home_reopen(&home));
	for (uint32_t n = 0; n <= end; n++)
		assert_int_equal(store_view(home.s, has_device, &n), 0);
	store_close(home.s);
	home.s = NULL;
	assert_int_equal(umount(dir), 0);
}

/* The map is the other space that can run out. */
static void test_a_full_map(void **state)
{
	struct store_opts opts = {.dir = home.dir, .map_size = 1 << 20};
	uint32_t end;

	(void)state;
	store_close(home.s);
	home.s = store_open(&opts, &home.why);
	assert_non_null(home.s);
	end = fill_disk(0);
	for (uint32_t n = 0; n < end; n++)
		assert_int_equal(store_view(home.s, has_device, &n), 0);
	assert_true(store_home_reopen(&home));
	assert_int_equal(store_update(home.s, put_pair, &end), 0);
}

#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_acknowledged_updates_survive_sigkill),
		WITH_STORE(test_a_file_size_limit_is_no_space),
		WITH_STORE(test_a_full_map),
		WITH_STORE(test_a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
