/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records through the store: what is put comes back, after a reopen too; updates are isolated and grouped. */
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

/* ---- round trips ---- */

#define ROUND_TRIP(T, type, put_call, get_call)            \
	static int put_##T(struct store_txn *t, void *arg) \
	{                                                  \
		struct type *r = arg;                      \
		return put_call;                           \
	}                                                  \
	static int get_##T(struct store_txn *t, void *arg) \
	{                                                  \
		struct type *r = arg, *out = r + 1;        \
		return get_call;                           \
	}

ROUND_TRIP(group, store_group, store_group_put(t, r), store_group_get(t, r->name, out))
ROUND_TRIP(device, store_device, store_device_put(t, r), store_device_get(t, &r->key, out))
ROUND_TRIP(token, store_token, store_token_put(t, r), store_token_get(t, r->id, out))
ROUND_TRIP(operation, store_operation, store_operation_put(t, r),
           store_operation_get(t, r->id, out))
ROUND_TRIP(request, store_request, store_request_put(t, r),
           store_request_get(t, r->principal, r->request_id, out))

#define CHECK_ROUND_TRIP(T, type)                                              \
	do {                                                                   \
		static struct type r[2];                                       \
		for (unsigned full = 0; full < 2; full++) {                    \
			fill_##T(&r[0], full, full);                           \
			assert_int_equal(store_update(home.s, put_##T, r), 0); \
			assert_true(store_home_reopen(&home));                 \
			memset(&r[1], 0xee, sizeof(r[1]));                     \
			assert_int_equal(store_view(home.s, get_##T, r), 0);   \
			check_##T(&r[0], &r[1]);                               \
		}                                                              \
	} while (0)

static void same(const void *a, const void *b, size_t n)
{
	assert_memory_equal(a, b, n);
}

static void check_group(struct store_group *a, struct store_group *b)
{
	same(a, b, sizeof(*a));
}

static void check_device(struct store_device *a, struct store_device *b)
{
	same(a, b, sizeof(*a));
}

static void check_token(struct store_token *a, struct store_token *b)
{
	same(a, b, sizeof(*a));
}

static void check_blob(uint8_t *a, uint8_t **b, uint32_t len)
{
	if (len == 0) {
		assert_null(*b);
		return;
	}
	assert_ptr_not_equal(a, *b);
	assert_memory_equal(a, *b, len);
	free(*b);
	*b = a;
}

static void check_operation(struct store_operation *a, struct store_operation *b)
{
	check_blob(a->result, &b->result, a->result_len);
	same(a, b, sizeof(*a));
}

static void check_request(struct store_request *a, struct store_request *b)
{
	check_blob(a->response, &b->response, a->response_len);
	same(a, b, sizeof(*a));
}

static void test_round_trips(void **state)
{
	(void)state;
	CHECK_ROUND_TRIP(group, store_group);
	CHECK_ROUND_TRIP(device, store_device);
	CHECK_ROUND_TRIP(token, store_token);
	CHECK_ROUND_TRIP(operation, store_operation);
	CHECK_ROUND_TRIP(request, store_request);
}

static void test_the_longest_result_of_an_operation(void **state)
{
	static uint8_t result[OPERATION_RESULT_MAX + 1];
	static struct store_operation r[2];

	(void)state;
	memset(result, 0xd4, sizeof(result));
	fill_operation(&r[0], 1, true);
	r[0].result = result;
	r[0].result_len = OPERATION_RESULT_MAX;
	assert_int_equal(store_update(home.s, put_operation, r), 0);
	assert_true(store_home_reopen(&home));
	assert_int_equal(store_view(home.s, get_operation, r), 0);
	check_operation(&r[0], &r[1]);
	r[0].result_len++;
	assert_int_equal(store_update(home.s, put_operation, r), -ERR_TOO_BIG);
}

/* ---- audit ---- */

static int append_three(struct store_txn *t, void *arg)
{
	uint64_t *seq = arg;
	struct store_audit a;

	for (unsigned i = 0; i < 3; i++) {
		fill_audit(&a, i, true);
		if (store_audit_append(t, &a) != 0)
			return -ERR_INTERNAL;
		seq[i] = a.seq;
	}
	return 0;
}

struct seen {
	unsigned len;
	uint64_t seq[16];
	int stop_after;
};

static int note_audit(void *arg, struct span key, const void *record)
{
	const struct store_audit *a = record;
	struct store_audit want;
	struct seen *s = arg;

	fill_audit(&want, (unsigned)a->time_ms, true);
	want.seq = a->seq;
	assert_memory_equal(&want, a, sizeof(want));
	assert_int_equal(key.len, 8);
	s->seq[s->len++] = a->seq;
	return s->len == (unsigned)s->stop_after;
}

struct walk {
	const char *after;
	size_t after_len;
	bool reverse;
	struct seen seen;
};

static int walk_audit(struct store_txn *t, void *arg)
{
	struct walk *w = arg;

	return store_each(t, STORE_AUDIT, span_of(w->after, w->after_len), w->reverse, note_audit,
	                  &w->seen);
}

static void check_walk(struct walk w, const char *want)
{
	char got[64] = "";

	assert_int_equal(store_view(home.s, walk_audit, &w), 0);
	for (unsigned i = 0; i < w.seen.len; i++)
		(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%d ",
		               (int)w.seen.seq[i]);
	assert_string_equal(got, want);
}

static void test_audit_counts_up_and_each_walks_both_ways(void **state)
{
	uint64_t seq[6];

	(void)state;
	assert_int_equal(store_update(home.s, append_three, seq), 0);
	assert_true(store_home_reopen(&home));
	assert_int_equal(store_update(home.s, append_three, seq + 3), 0);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(seq[i], i + 1);
	check_walk((struct walk){.after = ""}, "1 2 3 4 5 6 ");
	check_walk((struct walk){.after = "", .reverse = true}, "6 5 4 3 2 1 ");
	check_walk((struct walk){.after = "\0\0\0\0\0\0\0\4", .after_len = 8}, "5 6 ");
	check_walk((struct walk){.after = "\0\0\0\0\0\0\0\4", .after_len = 8, .reverse = true},
	           "3 2 1 ");
	check_walk((struct walk){.after = "\1", .after_len = 1}, "");
	check_walk((struct walk){.after = "\1", .after_len = 1, .reverse = true}, "6 5 4 3 2 1 ");
	check_walk((struct walk){.after = "\0", .after_len = 1, .reverse = true}, "");
	check_walk((struct walk){.after = "", .seen.stop_after = 2}, "1 2 ");
}

/* ---- errors of records ---- */

static int get_missing(struct store_txn *t, void *arg)
{
	static struct store_device d;
	struct store_group g;
	char longname[600];

	(void)arg;
	memset(longname, 'a', sizeof(longname) - 1);
	longname[sizeof(longname) - 1] = '\0';
	memset(&d, 1, sizeof(d));
	assert_int_equal(store_group_get(t, "none", &g), -ERR_NOT_FOUND);
	assert_int_equal(store_group_get(t, "", &g), -ERR_NOT_FOUND);
	assert_int_equal(store_group_get(t, longname, &g), -ERR_NOT_FOUND);
	assert_int_equal(store_device_get(t, &(struct device_key){.instance = 1}, &d),
	                 -ERR_NOT_FOUND);
	assert_int_equal(store_group_delete(t, "none"),
	                 t->writable ? -ERR_NOT_FOUND : -ERR_READONLY);
	assert_int_equal(store_group_put(t, &g), t->writable ? -ERR_INVALID : -ERR_READONLY);
	return 0;
}

static int put_bad(struct store_txn *t, void *arg)
{
	static struct store_group g;
	static struct store_token tok;

	(void)arg;
	fill_group(&g, 1, false);
	g.enroll = 4;
	assert_int_equal(store_group_put(t, &g), -ERR_INVALID);
	fill_group(&g, 1, false);
	memset(g.amt.password, 'x', sizeof(g.amt.password));
	assert_int_equal(store_group_put(t, &g), -ERR_TOO_BIG);
	fill_group(&g, 1, false);
	g.extra.cut = true;
	assert_int_equal(store_group_put(t, &g), -ERR_TOO_BIG);
	fill_token(&tok, 1, true);
	tok.groups_len++;
	assert_int_equal(store_token_put(t, &tok), -ERR_TOO_BIG);
	assert_int_equal(store_setting_put(t, "s", span_of(&g, SETTING_VALUE_MAX + 1), false),
	                 -ERR_TOO_BIG);
	return 0;
}

static void test_errors_of_records(void **state)
{
	(void)state;
	assert_int_equal(store_view(home.s, get_missing, NULL), 0);
	assert_int_equal(store_update(home.s, get_missing, NULL), -0);
	assert_int_equal(store_update(home.s, put_bad, NULL), 0);
}

static int users_are_unique(struct store_txn *t, void *arg)
{
	struct store_group a, b;

	(void)arg;
	fill_group(&a, 1, false);
	fill_group(&b, 2, false);
	assert_int_equal(store_group_put(t, &a), 0);
	assert_int_equal(store_group_put(t, &a), 0);
	assert_true(str_copy(b.cira.user, sizeof(b.cira.user), a.cira.user));
	assert_int_equal(store_group_put(t, &b), -ERR_EXISTS);
	assert_true(str_copy(a.cira.user, sizeof(a.cira.user), "other"));
	assert_int_equal(store_group_put(t, &a), 0);
	assert_int_equal(store_group_put(t, &b), 0);
	assert_int_equal(store_group_delete(t, b.name), 0);
	assert_true(str_copy(a.cira.user, sizeof(a.cira.user), b.cira.user));
	assert_int_equal(store_group_put(t, &a), 0);
	return 0;
}

static void test_an_enrolment_user_names_one_group(void **state)
{
	(void)state;
	assert_int_equal(store_update(home.s, users_are_unique, NULL), 0);
}

/* ---- settings and secrets ---- */

static int put_settings(struct store_txn *t, void *arg)
{
	(void)arg;
	assert_int_equal(store_setting_put(t, "open", span_str("PLAINLY"), false), 0);
	assert_int_equal(store_setting_put(t, "hidden", span_str("SECRETsetting"), true), 0);
	assert_int_equal(store_setting_put(t, "empty", span_str(""), true), 0);
	return 0;
}

static int get_settings(struct store_txn *t, void *arg)
{
	struct buf *b = arg;

	assert_int_equal(store_setting_get(t, "open", b), 0);
	assert_int_equal(store_setting_get(t, "hidden", b), 0);
	assert_int_equal(store_setting_get(t, "empty", b), 0);
	assert_int_equal(store_setting_get(t, "none", b), -ERR_NOT_FOUND);
	return 0;
}

static void test_secrets_do_not_appear_in_the_file(void **state)
{
	struct store_group g;
	static struct store_device d;
	struct buf file, settings;

	(void)state;
	fill_group(&g, 1, true);
	memset(g.cira.user, 'u', 5); /* the users of the samples are no secrets */
	memset(g.amt.user, 'u', 5);
	fill_device(&d, 1, false);
	memset(d.cira.user, 'u', 5);
	assert_int_equal(store_update(home.s, put_group, &g), 0);
	assert_int_equal(store_update(home.s, put_device, &d), 0);
	assert_int_equal(store_update(home.s, put_settings, NULL), 0);
	buf_init(&settings, 100);
	assert_int_equal(store_view(home.s, get_settings, &settings), 0);
	assert_string_equal(buf_cstr(&settings), "PLAINLYSECRETsetting");
	buf_free(&settings);
	buf_init(&file, 16 << 20);
	assert_int_equal(file_read(store_home_path(&home, "store/data.mdb"), &file), 0);
	assert_non_null(memmem(file.data, file.len, "PLAINLY", 7)); /* the search works */
	assert_non_null(memmem(file.data, file.len, g.name, strlen(g.name)));
	assert_null(memmem(file.data, file.len, "SECRET", 6));
	buf_free(&file);
}

static void test_modes_of_files(void **state)
{
	static const struct {
		const char *name;
		mode_t mode;
	} files[] = {{"store", 0700},
	             {"store/data.mdb", 0600},
	             {"store/lock.mdb", 0600},
	             {"store/pid", 0600},
	             {"seal.key", 0600}};
	struct stat st;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		assert_int_equal(stat(store_home_path(&home, files[i].name), &st), 0);
		assert_int_equal(st.st_mode & 0777, files[i].mode);
	}
}

/* ---- isolation, groups of updates, the hook ---- */

struct write {
	unsigned from, count;
	int result;
};

static int write_groups(struct store_txn *t, void *arg)
{
	const struct write *w = arg;
	struct store_group g;

	for (unsigned i = w->from; i < w->from + w->count; i++) {
		fill_group(&g, i, false);
		if (store_group_put(t, &g) != 0)
			return -ERR_INTERNAL;
	}
	return w->result;
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

static unsigned groups_now(void)
{
	unsigned n = 0;

	assert_int_equal(store_view(home.s, count_groups, &n), 0);
	return n;
}

static void test_a_lone_failing_update_is_undone(void **state)
{
	struct write bad = {0, 10, -ERR_PRECONDITION}, good = {100, 3, 7};

	(void)state;
	assert_int_equal(store_update(home.s, write_groups, &bad), -ERR_PRECONDITION);
	assert_int_equal(groups_now(), 0);
	assert_int_equal(store_update(home.s, write_groups, &good), 7);
	assert_int_equal(groups_now(), 3);
}

/* Holds the writer inside a batch until enough others wait behind it. */
struct gate {
	_Atomic bool entered, open;
};

static int wait_for_gate(struct store_txn *t, void *arg)
{
	struct gate *g = arg;

	(void)t;
	atomic_store(&g->entered, true);
	while (!atomic_load(&g->open))
		usleep(1000);
	return 0;
}

struct job {
	pthread_t thread;
	store_apply_fn *apply;
	void *arg;
	int result;
	bool patient;
};

static void *run_job(void *arg)
{
	struct job *j = arg;

	j->result = (j->patient ? store_update_patient : store_update)(home.s, j->apply, j->arg);
	return NULL;
}

static void start(struct job *j)
{
	assert_int_equal(pthread_create(&j->thread, NULL, run_job, j), 0);
}

static void start_job(struct job *j, store_apply_fn *apply, void *arg)
{
	*j = (struct job){.apply = apply, .arg = arg};
	start(j);
}

static void wait_depth(uint64_t depth)
{
	struct store_stats st;

	do {
		usleep(1000);
		store_stats_read(home.s, &st);
	} while (st.queue_depth != depth);
}

static unsigned hook_calls, hook_changes;

static void on_commit(void *arg, const struct store_change *changes, size_t len)
{
	assert_ptr_equal(arg, &hook_calls);
	hook_calls++;
	hook_changes += (unsigned)len;
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(changes[i].table, STORE_GROUPS);
		assert_true(changes[i].exists);
	}
	assert_true(groups_now() >= len); /* reads inside see what was committed */
}

static void test_siblings_of_a_failing_update_are_kept(void **state)
{
	enum { JOBS = 30 };
	static struct write writes[JOBS];
	static struct job jobs[JOBS + 1];
	struct gate gate = {false, false};
	struct store_stats before, after;

	(void)state;
	hook_calls = hook_changes = 0;
	home.s->limits.batch_us = 60000000; /* a slow machine must not cut the batch */
	store_on_commit(home.s, on_commit, &hook_calls);
	start_job(&jobs[JOBS], wait_for_gate, &gate);
	while (!atomic_load(&gate.entered))
		usleep(1000);
	store_stats_read(home.s, &before);
	for (unsigned i = 0; i < JOBS; i++) {
		writes[i] = (struct write){i * 10, 4, i % 3 == 0 ? -ERR_PRECONDITION : 0};
		start_job(&jobs[i], write_groups, &writes[i]);
	}
	wait_depth(JOBS);
	atomic_store(&gate.open, true);
	for (unsigned i = 0; i <= JOBS; i++)
		pthread_join(jobs[i].thread, NULL);
	for (unsigned i = 0; i < JOBS; i++)
		assert_int_equal(jobs[i].result, writes[i].result);
	assert_int_equal(groups_now(), JOBS * 2 / 3 * 4);
	store_stats_read(home.s, &after);
	assert_int_equal(after.updates, JOBS * 2 / 3 + 1);
	assert_int_equal(after.commits - before.commits, 1); /* grouped */
	assert_int_equal(hook_changes, JOBS * 2 / 3 * 4);
	assert_in_range(hook_calls, 1, after.commits - before.commits);
}

/* Starts and ends so many patient updates, and, if wanted, one that is not when all of them wait. Returns the commits it took. */
static uint64_t patient_updates(unsigned n, bool urgent)
{
	static struct write writes[STORE_COMPANY], last;
	static struct job jobs[STORE_COMPANY];
	struct store_stats before, after;

	store_stats_read(home.s, &before);
	for (unsigned i = 0; i < n; i++) {
		writes[i] = (struct write){i * 10, 1, 0};
		jobs[i] = (struct job){.apply = write_groups, .arg = &writes[i], .patient = true};
		start(&jobs[i]);
	}
	if (urgent) {
		wait_depth(n);
		last = (struct write){n * 10, 1, 0};
		assert_int_equal(store_update(home.s, write_groups, &last), 0);
	}
	for (unsigned i = 0; i < n; i++) {
		pthread_join(jobs[i].thread, NULL);
		assert_int_equal(jobs[i].result, 0);
	}
	store_stats_read(home.s, &after);
	assert_int_equal(after.updates - before.updates, n + urgent);
	return after.commits - before.commits;
}

static void test_patient_updates_share_a_commit(void **state)
{
	(void)state;
	home.s->limits.batch_us = 60000000;
	home.s->limits.patience_us = 60000000;
	assert_int_equal(patient_updates(20, true), 1); /* who is in a hurry takes them along */
	assert_int_equal(patient_updates(STORE_COMPANY, false), 1); /* enough of them need nobody */
	home.s->limits.patience_us = 1000;
	assert_in_range(patient_updates(3, false), 1, 3); /* patience ends */
}

static int put_delete_put(struct store_txn *t, void *arg)
{
	struct store_group g;

	(void)arg;
	fill_group(&g, 1, false);
	assert_int_equal(store_group_put(t, &g), 0);
	assert_int_equal(store_group_delete(t, g.name), 0);
	fill_group(&g, 2, false);
	assert_int_equal(store_group_put(t, &g), 0);
	assert_int_equal(store_group_put(t, &g), 0);
	return 0;
}

static void check_merged(void *arg, const struct store_change *changes, size_t len)
{
	++*(unsigned *)arg;
	assert_int_equal(len, 2);
	assert_memory_equal(changes[0].key.ptr, "group-1", 7);
	assert_false(changes[0].exists);
	assert_memory_equal(changes[1].key.ptr, "group-2", 7);
	assert_true(changes[1].exists);
}

static void test_the_hook_sees_each_record_once(void **state)
{
	unsigned calls = 0;

	(void)state;
	store_on_commit(home.s, check_merged, &calls);
	assert_int_equal(store_update(home.s, put_delete_put, NULL), 0);
	assert_int_equal(calls, 1);
	assert_int_equal(store_update(home.s, put_settings, NULL), 0);
	assert_int_equal(calls, 1);
}

enum { THREADS = 8, UPDATES = 500 };

static void *many_updates(void *arg)
{
	unsigned base = *(unsigned *)arg;

	for (unsigned i = 0; i < UPDATES; i++) {
		struct write w = {base + i, 1, 0};

		if (store_update(home.s, write_groups, &w) != 0)
			return arg;
	}
	return NULL;
}

static void test_eight_threads_of_updates(void **state)
{
	pthread_t threads[THREADS];
	unsigned base[THREADS];
	struct store_stats st;
	void *failed;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		base[i] = i * UPDATES;
		assert_int_equal(pthread_create(&threads[i], NULL, many_updates, &base[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(groups_now(), THREADS * UPDATES);
	store_stats_read(home.s, &st);
	assert_int_equal(st.updates, THREADS * UPDATES);
	assert_int_equal(st.queue_depth, 0);
	assert_true(st.commits < st.updates);
	print_message("%u updates in %u commits\n", (unsigned)st.updates, (unsigned)st.commits);
	assert_true(store_home_reopen(&home));
	assert_int_equal(groups_now(), THREADS * UPDATES);
}

static void test_device_keys_as_text(void **state)
{
	static const char *const bad[] = {"",
	                                  "4c4c4544-0039-3410-8052-b4c04f39325",
	                                  "4c4c4544-0039-3410-8052-b4c04f393258#",
	                                  "4c4c4544-0039-3410-8052-b4c04f393258#0",
	                                  "4c4c4544-0039-3410-8052-b4c04f393258#01",
	                                  "4c4c4544-0039-3410-8052-b4c04f393258#65536",
	                                  "4c4c4544-0039-3410-8052-b4c04f393258x",
	                                  "4c4c4544-0039-3410-8052-b4c04f393258#1 "};
	char text[DEVICE_KEY_TEXT_MAX];
	struct device_key k;

	(void)state;
	assert_int_equal(
		device_key_parse(span_str("4C4C4544-0039-3410-8052-b4c04f393258#65535"), &k), 0);
	assert_int_equal(k.instance, 65535);
	device_key_format(&k, text);
	assert_string_equal(text, "4c4c4544-0039-3410-8052-b4c04f393258#65535");
	assert_int_equal(device_key_parse(span_of(text, GUID_TEXT_LEN), &k), 0);
	assert_int_equal(k.instance, 0);
	device_key_format(&k, text);
	assert_string_equal(text, "4c4c4544-0039-3410-8052-b4c04f393258");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(device_key_parse(span_str(bad[i]), &k), -ERR_INVALID);
}

#define WITH_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_round_trips),
		WITH_STORE(test_the_longest_result_of_an_operation),
		WITH_STORE(test_audit_counts_up_and_each_walks_both_ways),
		WITH_STORE(test_errors_of_records),
		WITH_STORE(test_an_enrolment_user_names_one_group),
		WITH_STORE(test_secrets_do_not_appear_in_the_file),
		WITH_STORE(test_modes_of_files),
		WITH_STORE(test_a_lone_failing_update_is_undone),
		WITH_STORE(test_siblings_of_a_failing_update_are_kept),
		WITH_STORE(test_patient_updates_share_a_commit),
		WITH_STORE(test_the_hook_sees_each_record_once),
		WITH_STORE(test_eight_threads_of_updates),
		cmocka_unit_test(test_device_keys_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
