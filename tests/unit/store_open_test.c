/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening what should not be opened, migration, backup, check, trimming, limits. */
#include "core/clock.h"
#include "core/err.h"
#include "core/file.h"
#include "store/internal.h"
#include "tests/unit/support/store_help.h"
#include "tests/unit/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

#define WHY_HAS(text)                                                                \
	do {                                                                         \
		if (strstr(buf_cstr(&home.why), text) == NULL)                       \
			fail_msg("\"%s\" is not in: %s", text, buf_cstr(&home.why)); \
	} while (0)

static void close_store(void)
{
	store_close(home.s);
	home.s = NULL;
}

/* ---- in use, folders ---- */

static void test_a_second_opener_learns_who_has_it(void **state)
{
	const struct store_opts opts = {.dir = home.dir},
				reader = {.dir = home.dir, .read_only = true};
	char text[64];
	struct store *s;

	(void)state;
	assert_null(store_open(&opts, &home.why));
	(void)snprintf(text, sizeof(text), "in use by pid %d", (int)getpid());
	WHY_HAS(text);
	close_store();
	assert_true(store_home_reopen(&home));
	store_home_fill(&home);
	close_store();
	s = store_open(
		&reader,
		&home.why); /* LMDB allows one open of a file in a process; beside it is for other processes */
	assert_non_null(s);
	store_home_verify(s);
	assert_int_equal(store_update(s, put_groups, NULL), -ERR_READONLY);
	assert_int_equal(store_writable(s), -ERR_READONLY);
	store_assert_sound(s);
	store_close(s);
}

static void test_a_reader_works_beside_the_writer(void **state)
{
	const struct store_opts reader = {.dir = home.dir, .read_only = true};
	int status;
	pid_t pid;

	(void)state;
	store_home_fill(&home);
	close_store(); /* no fork with an open environment */
	pid = fork();
	if (pid == 0) {
		struct store *s = NULL;
		struct buf out;

		for (int i = 0; i < 200 && access(store_home_path(&home, "go"), F_OK) != 0; i++)
			usleep(10000);
		s = store_open(&reader, &home.why);
		_exit(s == NULL || store_problems(s, &out) != 0);
	}
	assert_true(store_home_reopen(&home));
	close(open(store_home_path(&home, "go"), O_CREAT | O_WRONLY, 0600));
	while (waitpid(pid, &status, WNOHANG) == 0)
		store_home_fill(&home);
	assert_int_equal(status, 0);
}

static void test_folders_that_cannot_be_used(void **state)
{
	struct store_opts opts = {.dir = "/proc/no/such"};

	(void)state;
	assert_null(store_open(&opts, &home.why));
	WHY_HAS("/proc/no/such");
	buf_clear(&home.why);
	opts.dir = "/tmp/causeway-nothing-here";
	opts.read_only = true;
	assert_null(store_open(&opts, &home.why));
	WHY_HAS("there is no store in /tmp/causeway-nothing-here");
}

/* ---- broken files ---- */

static void keep_copy(struct buf *file)
{
	buf_init(file, 64 << 20);
	assert_int_equal(file_read(store_home_path(&home, "store/data.mdb"), file), 0);
}

static void write_data(const void *data, size_t n)
{
	int fd = open(store_home_path(&home, "store/data.mdb"), O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	close(fd);
}

static void test_cut_files_are_refused_in_words(void **state)
{
	static const size_t cuts[] = {1, 100, 4095, 4096, 5000, 8191, 8192, 12288, 65536};
	struct buf file;

	(void)state;
	store_home_fill(&home);
	close_store();
	keep_copy(&file);
	for (size_t i = 0; i < ARRAY_LEN(cuts) + 2; i++) {
		size_t n = i < ARRAY_LEN(cuts)    ? cuts[i]
		           : i == ARRAY_LEN(cuts) ? file.len - 1
		                                  : file.len / 2;

		write_data(file.data, n);
		assert_false(store_home_reopen(&home));
		WHY_HAS(n < 4096 + 200 ? "its beginning was destroyed" : "cut off");
		WHY_HAS("restore a backup");
	}
	write_data(file.data, file.len);
	assert_true(store_home_reopen(&home));
	store_home_verify(home.s);
	buf_free(&file);
}

static void test_garbage_is_refused_in_words(void **state)
{
	uint8_t garbage[20000];

	(void)state;
	close_store();
	random_bytes(garbage, sizeof(garbage));
	write_data(garbage, sizeof(garbage));
	assert_false(store_home_reopen(&home));
	WHY_HAS("is not a store");
}

static void test_an_emptied_store_is_no_new_one(void **state)
{
	(void)state;
	close_store();
	write_data("", 0);
	assert_false(store_home_reopen(&home));
	WHY_HAS("data.mdb is empty");
	WHY_HAS("restore a backup");
	/* What a crash in the first instant of a first start leaves: there is no key yet. */
	assert_int_equal(unlink(store_home_path(&home, "seal.key")), 0);
	assert_true(store_home_reopen(&home));
}

/* One page of the file: the whole would be megabytes for each of thousands of steps. */
static void write_page(size_t page, const void *data)
{
	int fd = open(store_home_path(&home, "store/data.mdb"), O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, 4096, (off_t)page * 4096), 4096);
	assert_int_equal(close(fd), 0);
}

/* Every page in turn is overwritten or has a bit flipped: refused, reported, or not in use; never a crash. */
static void test_broken_pages_are_found(void **state)
{
	unsigned refused = 0, reported = 0, unused = 0;
	struct buf file, after, out;

	(void)state;
	store_home_fill(&home);
	close_store();
	keep_copy(&file);
	for (size_t page = 2; page < file.len / 4096; page++) {
		bool in_use = true;

		/* A page that may be overwritten as a whole is not in use: a flipped bit in it is nothing new. */
		for (int how = 0; how < 2 && in_use; how++) {
			uint8_t broken[4096];
			int n;

			memcpy(broken, file.data + page * 4096, sizeof(broken));
			if (how == 0)
				memset(broken, 0xa5, sizeof(broken));
			else
				broken[4000] ^= 0x20;
			write_page(page, broken);
			if (!store_home_reopen(&home)) {
				WHY_HAS("restore a backup");
				refused++;
			} else {
				n = store_problems(home.s, &out);
				assert_true(n >= 0);
				reported += n > 0 ? 1 : 0;
				in_use = n > 0;
				unused += in_use ? 0 : 1;
				buf_free(&out);
			}
			close_store();
			write_page(page, file.data + page * 4096);
		}
	}
	keep_copy(&after);
	assert_int_equal(after.len, file.len);
	assert_memory_equal(after.data, file.data, file.len);
	buf_free(&after);
	print_message("%u refused, %u reported, %u not in use\n", refused, reported, unused);
	assert_true(refused > 0);
	assert_true(reported > 0);
	buf_free(&file);
}

static int damage_a_record(struct store_txn *t, void *arg)
{
	MDB_val k = val_of(span_str("group-5")), v = val_of(span_str("nonsense"));

	(void)arg;
	return store_err(mdb_put(t->mdb, t->s->dbi[STORE_GROUPS], &k, &v, 0));
}

static int count_one(void *arg, struct span key, const void *record)
{
	(void)key;
	(void)record;
	++*(unsigned *)arg;
	return 0;
}

static int count_groups(struct store_txn *t, void *arg)
{
	return store_each(t, STORE_GROUPS, span_of("", 0), false, count_one, arg);
}

static int get_damaged(struct store_txn *t, void *arg)
{
	return store_group_get(t, "group-5", arg);
}

static void test_one_damaged_record_does_not_hide_the_others(void **state)
{
	struct store_group g;
	struct store_stats st;
	struct buf out;
	unsigned n = 0;

	(void)state;
	store_home_fill(&home);
	assert_int_equal(store_update(home.s, damage_a_record, NULL), 0);
	assert_int_equal(store_view(home.s, get_damaged, &g), -ERR_CORRUPT);
	assert_int_equal(store_view(home.s, count_groups, &n), 0);
	assert_int_equal(n, 99);
	store_stats_read(home.s, &st);
	assert_int_equal(st.damaged, 2);
	assert_int_equal(store_problems(home.s, &out), 1);
	assert_non_null(strstr(buf_cstr(&out), "groups: record \"group-5\": cannot be read"));
	buf_free(&out);
}

/* ---- formats ---- */

static int set_schema(struct store_txn *t, void *arg)
{
	return store_schema_put(t->s, t->mdb, *(uint32_t *)arg);
}

static void test_a_newer_format_is_refused_and_left_alone(void **state)
{
	const struct store_opts reader = {.dir = home.dir, .read_only = true};
	uint32_t version = STORE_SCHEMA + 1;
	struct buf before, after;

	(void)state;
	store_home_fill(&home);
	assert_int_equal(store_update(home.s, set_schema, &version), 0);
	close_store();
	keep_copy(&before);
	assert_false(store_home_reopen(&home));
	WHY_HAS("made by a newer version of causewayd");
	buf_clear(&home.why);
	assert_null(store_open(&reader, &home.why));
	WHY_HAS("made by a newer version of causewayd");
	keep_copy(&after);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.data, after.data, before.len);
	buf_free(&before);
	buf_free(&after);
}

static int steps;

static int step_one(struct store *s, MDB_txn *txn)
{
	MDB_val k = val_of(span_str("probe")), v = val_of(span_str("one"));

	assert_int_equal(steps++, 0);
	return store_err(mdb_put(txn, s->index[INDEX_META], &k, &v, 0));
}

static int step_two(struct store *s, MDB_txn *txn)
{
	MDB_val k = val_of(span_str("probe")), v;

	assert_int_equal(steps++, 1);
	assert_int_equal(mdb_get(txn, s->index[INDEX_META], &k, &v), 0);
	return 0;
}

static int step_fails(struct store *s, MDB_txn *txn)
{
	(void)s;
	(void)txn;
	return -ERR_CORRUPT;
}

static int migrate(const struct migration *list, size_t len, uint32_t to)
{
	uint32_t version = 0;
	MDB_txn *txn;
	int err;

	assert_int_equal(mdb_txn_begin(home.s->env, NULL, 0, &txn), 0);
	err = migrate_run(home.s, txn, list, len, to, &home.why);
	if (err == 0) {
		assert_int_equal(store_schema_get(home.s, txn, &version), 0);
		assert_int_equal(version, to);
	}
	mdb_txn_abort(txn);
	return err;
}

static void test_an_older_format_is_brought_up_step_by_step(void **state)
{
	const struct migration good[] = {{2, step_two}, {1, step_one}}, gap[] = {{2, step_two}},
			       bad[] = {{1, step_fails}};

	(void)state;
	steps = 0;
	assert_int_equal(migrate(good, 2, 3), 0);
	assert_int_equal(steps, 2);
	assert_int_equal(migrate(gap, 1, 3), -ERR_UNSUPPORTED);
	WHY_HAS("from format 1 to 3");
	buf_clear(&home.why);
	assert_int_equal(migrate(bad, 1, 2), -ERR_CORRUPT);
	WHY_HAS("nothing was changed");
}

/* ---- backup ---- */

static void *write_on(void *arg)
{
	_Atomic bool *stop = arg;
	struct range r = {1000, 3};

	while (!atomic_load(stop)) {
		if (store_update(home.s, put_groups, &r) != 0)
			return arg;
		r.from += 3;
	}
	return NULL;
}

static void test_backup_while_writing_and_restore(void **state)
{
	char backup[PATH_MAX], to[PATH_MAX];
	struct store_opts opts = {.dir = to};
	_Atomic bool stop = false;
	pthread_t thread;
	struct store *s;
	void *failed;
	struct buf key;

	(void)state;
	store_home_fill(&home);
	(void)snprintf(backup, sizeof(backup), "%s", store_home_path(&home, "backup"));
	(void)snprintf(to, sizeof(to), "%s", store_home_path(&home, "restored"));
	assert_int_equal(pthread_create(&thread, NULL, write_on, &stop), 0);
	for (int i = 0; i < 5; i++) {
		usleep(10000);
		(void)unlink(backup);
		if (store_backup(home.s, backup, &home.why) != 0)
			fail_msg("%s", buf_cstr(&home.why));
	}
	atomic_store(&stop, true);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(store_backup(home.s, backup, &home.why), -ERR_EXISTS);
	buf_clear(&home.why);
	if (store_restore(backup, to, &home.why) != 0)
		fail_msg("%s", buf_cstr(&home.why));
	assert_int_equal(store_restore(backup, to, &home.why), -ERR_EXISTS);
	assert_null(store_open(&opts, &home.why)); /* a backup holds no keys */
	WHY_HAS("there is no key file");
	buf_init(&key, 10000);
	assert_int_equal(file_read(store_home_path(&home, "seal.key"), &key), 0);
	assert_int_equal(
		file_write(store_home_path(&home, "restored/seal.key"), buf_span(&key), 0600), 0);
	buf_free_secret(&key);
	s = store_open(&opts, &home.why);
	assert_non_null(s);
	store_home_verify(s);
	store_assert_sound(s);
	store_close(s);
}

static void test_a_bad_backup_leaves_nothing(void **state)
{
	char backup[PATH_MAX];
	struct buf file;

	(void)state;
	store_home_fill(&home);
	(void)snprintf(backup, sizeof(backup), "%s", store_home_path(&home, "backup"));
	assert_int_equal(store_backup(home.s, backup, &home.why), 0);
	buf_init(&file, 64 << 20);
	assert_int_equal(file_read(backup, &file), 0);
	assert_int_equal(truncate(backup, (off_t)file.len - 4096), 0);
	assert_int_not_equal(store_restore(backup, store_home_path(&home, "r"), &home.why), 0);
	WHY_HAS("cut off");
	assert_int_equal(access(store_home_path(&home, "r/store"), F_OK), -1);
	assert_int_equal(access(store_home_path(&home, "r/store.restore"), F_OK), -1);
	buf_free(&file);
}

/* ---- limits ---- */

static int append_audits(struct store_txn *t, void *arg)
{
	struct store_audit a;

	for (unsigned i = 0; i < *(unsigned *)arg; i++) {
		fill_audit(&a, i, false);
		assert_int_equal(store_audit_append(t, &a), 0);
	}
	return 0;
}

static uint64_t entries(enum store_table table)
{
	MDB_txn *txn;
	MDB_stat st;

	assert_int_equal(mdb_txn_begin(home.s->env, NULL, MDB_RDONLY, &txn), 0);
	assert_int_equal(mdb_stat(txn, home.s->dbi[table], &st), 0);
	mdb_txn_abort(txn);
	return st.ms_entries;
}

static void test_the_oldest_audit_entries_are_trimmed(void **state)
{
	unsigned n = 2000, one = 1;

	(void)state;
	home.s->limits.audit_max = 1000;
	assert_int_equal(store_update(home.s, append_audits, &n), 0);
	assert_int_equal(entries(STORE_AUDIT),
	                 2000 - STORE_TRIM_PER_COMMIT); /* bounded in each commit */
	assert_int_equal(store_update(home.s, append_audits, &one), 0);
	assert_int_equal(entries(STORE_AUDIT), 1000);
	store_assert_sound(home.s);
}

static int put_request_at(struct store_txn *t, void *arg)
{
	static struct store_request r;
	uint64_t *n_and_ms = arg;

	fill_request(&r, (unsigned)n_and_ms[0], false);
	r.time_ms = n_and_ms[1];
	return store_request_put(t, &r);
}

static int put_operation_at(struct store_txn *t, void *arg)
{
	static struct store_operation o;
	uint64_t *n_and_ms = arg;

	fill_operation(&o, (unsigned)n_and_ms[0], true);
	o.updated_ms = n_and_ms[1];
	o.state = n_and_ms[2] != 0 ? OPERATION_RUNNING : OPERATION_FAILED;
	return store_operation_put(t, &o);
}

static void test_old_requests_and_operations_are_trimmed(void **state)
{
	uint64_t now = (uint64_t)clock_wall_ms(), day = 24ull * 3600 * 1000;
	uint64_t requests[][2] = {
		{1, now - day - 60000}, {2, now - day + 60000}, {3, now}, {1, now}, {4, 5}};
	uint64_t operations[][3] = {
		{1, now - 8 * day, 0}, {2, now - 8 * day, 1}, {3, now - 6 * day, 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		assert_int_equal(store_update(home.s, put_request_at, requests[i]), 0);
	assert_int_equal(entries(STORE_REQUESTS), 3); /* 4 is too old, 1 was and came again */
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		assert_int_equal(store_update(home.s, put_operation_at, operations[i]), 0);
	assert_int_equal(entries(STORE_OPERATIONS), 2); /* a running one stays */
	store_assert_sound(home.s);
	home.s->limits.requests_max = 2;
	assert_int_equal(store_update(home.s, put_request_at, (uint64_t[]){9, now + 1}), 0);
	assert_int_equal(entries(STORE_REQUESTS), 2);
	store_assert_sound(home.s);
}

static int hold(struct store_txn *t, void *arg)
{
	(void)t;
	while (!atomic_load((_Atomic bool *)arg))
		usleep(1000);
	return 0;
}

static void *hold_thread(void *arg)
{
	return store_update(home.s, hold, arg) == 0 ? NULL : arg;
}

static void test_the_queue_has_a_limit(void **state)
{
	_Atomic bool open = false;
	struct store_stats st;
	pthread_t thread;
	unsigned one = 1;
	void *failed;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, hold_thread, &open), 0);
	usleep(50000); /* the writer is inside hold */
	pthread_mutex_lock(&home.s->lock);
	home.s->stats.queue_depth += STORE_QUEUE_MAX; /* as if 16384 callers waited */
	pthread_mutex_unlock(&home.s->lock);
	assert_int_equal(store_update(home.s, append_audits, &one), -ERR_FULL);
	pthread_mutex_lock(&home.s->lock);
	home.s->stats.queue_depth -= STORE_QUEUE_MAX;
	pthread_mutex_unlock(&home.s->lock);
	atomic_store(&open, true);
	pthread_join(thread, &failed);
	assert_null(failed);
	store_stats_read(home.s, &st);
	assert_int_equal(st.refused, 1);
	assert_int_equal(store_update(home.s, append_audits, &one), 0);
}

#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_a_second_opener_learns_who_has_it),
		WITH_STORE(test_a_reader_works_beside_the_writer),
		WITH_STORE(test_folders_that_cannot_be_used),
		WITH_STORE(test_cut_files_are_refused_in_words),
		WITH_STORE(test_garbage_is_refused_in_words),
		WITH_STORE(test_an_emptied_store_is_no_new_one),
		WITH_STORE(test_broken_pages_are_found),
		WITH_STORE(test_one_damaged_record_does_not_hide_the_others),
		WITH_STORE(test_a_newer_format_is_refused_and_left_alone),
		WITH_STORE(test_an_older_format_is_brought_up_step_by_step),
		WITH_STORE(test_backup_while_writing_and_restore),
		WITH_STORE(test_a_bad_backup_leaves_nothing),
		WITH_STORE(test_the_oldest_audit_entries_are_trimmed),
		WITH_STORE(test_old_requests_and_operations_are_trimmed),
		WITH_STORE(test_the_queue_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
