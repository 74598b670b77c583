/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * writer.c: the one thread that writes. It takes what is queued into one LMDB transaction, up to STORE_BATCH_MAX updates or
 * STORE_BATCH_US, commits as soon as the queue is empty, and only then tells the callers. The first update of a batch runs in the
 * transaction itself (a lone update pays nothing for isolation), the others in a nested one each, so that a failing update
 * leaves no trace and its siblings stay. A queue of nothing but patient updates is left to grow for a moment first.
 *
 * When a commit fails (no space, I/O error) nothing of the batch was kept and all its callers are told so. From then on updates are
 * refused until a tiny commit succeeds, tried every STORE_RETRY_MS.
 */
#include "store/internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/metric.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#define NO_SPACE_BELOW (1u << 20) /* octets free: an I/O error is then blamed on lack of space */

/* ---- one update ---- */

static int run_in(struct store *s, MDB_txn *mdb, struct op *op)
{
	struct store_txn t = {.s = s, .mdb = mdb, .writable = true};

	return op->apply(&t, op->arg);
}

/* The first update of a batch: an error throws the whole (so far empty) transaction away. */
static int run_first(struct store *s, MDB_txn **txn, struct op *op)
{
	op->result = run_in(s, *txn, op);
	if (op->result >= 0)
		return 0;
	changes_undo(&s->changes, 0);
	mdb_txn_abort(*txn);
	*txn = NULL;
	return store_begin(s, 0, txn);
}

static void run_nested(struct store *s, MDB_txn *txn, struct op *op)
{
	size_t mark = s->changes.len;
	MDB_txn *child;
	int rc = mdb_txn_begin(s->env, txn, 0, &child);

	if (rc != 0) {
		op->result = store_err(rc);
		return;
	}
	op->result = run_in(s, child, op);
	if (op->result < 0) {
		mdb_txn_abort(child);
		changes_undo(&s->changes, mark);
		return;
	}
	rc = mdb_txn_commit(child);
	if (rc != 0) {
		op->result = store_err(rc);
		changes_undo(&s->changes, mark);
	}
}

/* ---- failures ---- */

/* LMDB reports a write that was cut short as EIO; with no space left that is what happened. */
static int blame(const struct store *s, int err)
{
	struct rlimit limit;
	struct statvfs fs;
	struct stat st;

	if (err != -ERR_IO)
		return err;
	if (statvfs(s->data_path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < NO_SPACE_BELOW)
		return -ERR_NO_SPACE;
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    stat(s->data_path, &st) == 0 && (uint64_t)st.st_size + NO_SPACE_BELOW > limit.rlim_cur)
		return -ERR_NO_SPACE;
	return err;
}

static void set_write_err(struct store *s, int err)
{
	int old = atomic_exchange(&s->write_err, err);

	if (err != 0)
		s->retry_us = clock_mono_us() + STORE_RETRY_MS * 1000ull;
	if (old == err)
		return;
	if (err != 0)
		log_event(LOG_ERROR, "store_read_only", LOG_ERR("why", err),
		          LOG_STR("file", s->data_path));
	else
		log_event(LOG_INFO, "store_writable_again", LOG_STR("file", s->data_path));
}

static int commit(struct store *s, MDB_txn *txn)
{
	uint64_t start = clock_mono_us(), took;
	int err = blame(s, store_err(mdb_txn_commit(txn)));

	store_grown(s);
	took = clock_mono_us() - start;
	pthread_mutex_lock(&s->lock);
	if (err == 0) {
		s->stats.commits++;
		s->stats.commit_us_last = took;
		s->stats.commit_us_sum += took;
	} else
		s->stats.failed_commits++;
	pthread_mutex_unlock(&s->lock);
	metric_observe(s->commit_time, took);
	set_write_err(s, err);
	return err;
}

/* While read-only: a tiny commit from time to time tells whether space is back. True: updates may run. */
static bool probe(struct store *s)
{
	static const char key[] = "probe";
	uint64_t now = clock_mono_us();
	MDB_val k = val_of(span_str(key)), v = val_of(span_of(&now, sizeof(now)));
	MDB_txn *txn;
	int err;

	if (atomic_load(&s->write_err) == 0)
		return true;
	if (now < s->retry_us)
		return false;
	err = store_begin(s, 0, &txn);
	if (err != 0) {
		set_write_err(s, blame(s, err));
		return false;
	}
	err = store_err(mdb_put(txn, s->index[INDEX_META], &k, &v, 0));
	if (err == 0)
		return commit(s, txn) == 0;
	mdb_txn_abort(txn);
	set_write_err(s, err);
	return false;
}

/* ---- batches ---- */

static struct op *pop(struct store *s)
{
	struct op *op;

	pthread_mutex_lock(&s->lock);
	op = s->head;
	if (op != NULL) {
		s->head = op->next;
		if (s->head == NULL)
			s->tail = &s->head;
		s->stats.queue_depth--;
		s->urgent -= op->patient ? 0 : 1;
		op->next = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	return op;
}

struct batch {
	struct op *head, **tail;
	size_t len, kept; /* kept: updates that did not fail */
};

static void batch_add(struct batch *b, struct op *op)
{
	*b->tail = op;
	b->tail = &op->next;
	b->len++;
	b->kept += op->result >= 0 ? 1 : 0;
}

/* Runs updates into *txn until the queue is empty or the batch is full. */
static int gather(struct store *s, struct batch *b, MDB_txn **txn)
{
	uint64_t end = clock_mono_us() + s->limits.batch_us;
	struct op *op;
	int err = 0;

	while (err == 0 && b->len < STORE_BATCH_MAX && (b->len == 0 || clock_mono_us() < end)) {
		op = pop(s);
		if (op == NULL)
			break;
		if (b->kept == 0)
			err = run_first(s, txn, op);
		else
			run_nested(s, *txn, op);
		batch_add(b, op);
	}
	return err;
}

static void trim(struct store *s, MDB_txn *txn)
{
	struct op op = {.apply = store_trim};
	struct store_txn t = {.s = s, .mdb = txn, .writable = true};

	if (store_trim_needed(&t))
		run_nested(s, txn, &op);
	if (op.result < 0)
		log_event(LOG_ERROR, "store_trim_failed", LOG_ERR("err", op.result));
}

/* Tells the callers. err: why those that had not failed by themselves were not kept. */
static void finish(struct store *s, struct batch *b, int err)
{
	struct op *op, *next;

	pthread_mutex_lock(&s->lock);
	s->stats.updates += err == 0 ? b->kept : 0;
	for (op = b->head; op != NULL; op = next) {
		next = op->next; /* op is gone once its caller knows */
		if (err != 0 && op->result >= 0)
			op->result = err;
		if (op->in_fiber) {
			completion_done(&op->completion, op->result);
			continue;
		}
		op->done = true;
		pthread_cond_signal(&op->cond);
	}
	pthread_mutex_unlock(&s->lock);
}

/* Refuses everything that is queued now. */
static void refuse(struct store *s, int err)
{
	struct batch b = {.tail = &b.head};
	struct op *op;

	while (b.len < STORE_QUEUE_MAX && (op = pop(s)) != NULL) {
		op->result = err;
		batch_add(&b, op);
	}
	pthread_mutex_lock(&s->lock);
	s->stats.refused += b.len;
	pthread_mutex_unlock(&s->lock);
	finish(s, &b, err);
}

static void run_batch(struct store *s)
{
	struct batch b = {.tail = &b.head};
	MDB_txn *txn = NULL;
	int err = store_begin(s, 0, &txn);

	if (err != 0) {
		set_write_err(s, blame(s, err));
		refuse(s, err);
		return;
	}
	changes_undo(&s->changes, 0);
	err = gather(s, &b, &txn);
	if (err == 0 && b.kept > 0) {
		trim(s, txn);
		err = commit(s, txn);
		if (err == 0)
			changes_deliver(&s->changes, s->hook, s->hook_arg);
	} else if (txn != NULL)
		mdb_txn_abort(txn);
	finish(s, &b, err);
}

/* When idle: slots of readers that died, and what became too old. */
static void housekeep(struct store *s)
{
	struct store_txn t = {.s = s, .writable = true};
	int dead;

	(void)mdb_reader_check(s->env, &dead);
	if (store_whole(s) != 0 || !probe(s) || store_begin(s, 0, &t.mdb) != 0)
		return;
	if (!store_trim_needed(&t)) {
		mdb_txn_abort(t.mdb);
		return;
	}
	trim(s, t.mdb);
	(void)commit(s, t.mdb);
}

/* With the lock held. A queue of nothing but patient updates waits for more of them. */
static void wait_for_company(struct store *s)
{
	uint64_t end_us = s->head->queued_us + s->limits.patience_us;
	struct timespec until = {.tv_sec = (time_t)(end_us / 1000000),
	                         .tv_nsec = (long)(end_us % 1000000) * 1000};
	int rc = 0;

	while (s->urgent == 0 && s->stats.queue_depth < STORE_COMPANY && !s->stopping && rc == 0)
		rc = pthread_cond_timedwait(&s->wake, &s->lock, &until);
}

/* Waits for work. False: stop. *idle: nothing came for a while. */
static bool wait_for_work(struct store *s, bool *idle)
{
	uint64_t ms = atomic_load(&s->write_err) != 0 ? STORE_RETRY_MS : STORE_HOUSEKEEPING_MS;
	struct timespec until;
	bool go;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	pthread_mutex_lock(&s->lock);
	while (s->head == NULL && !s->stopping && rc == 0)
		rc = pthread_cond_timedwait(&s->wake, &s->lock, &until);
	if (s->head != NULL)
		wait_for_company(s);
	*idle = s->head == NULL;
	go = s->head != NULL || !s->stopping;
	pthread_mutex_unlock(&s->lock);
	return go;
}

static void *writer_main(void *arg)
{
	struct store *s = arg;
	bool idle;

	(void)pthread_setname_np(pthread_self(), "store");
	while (wait_for_work(s, &idle)) {
		if (idle)
			housekeep(s);
		else if (probe(s))
			run_batch(s);
		else
			refuse(s, atomic_load(&s->write_err));
	}
	return NULL;
}

int writer_start(struct store *s)
{
	pthread_condattr_t attr;
	int rc;

	s->commit_time = metric_histogram("causeway_store_commit_seconds",
	                                  "Time of a commit to disk.", NULL, &metric_latency_us);
	s->update_time = metric_histogram(
		"causeway_store_update_seconds",
		"Time from an update's request to its commit, with waiting in the queue.", NULL,
		&metric_latency_us);

	s->tail = &s->head;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = pthread_create(&s->thread, NULL, writer_main, s);
	s->thread_runs = rc == 0;
	return rc == 0 ? 0 : err_from_errno(rc);
}

void writer_stop(struct store *s)
{
	if (!s->thread_runs)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	s->thread_runs = false;
	pthread_cond_destroy(&s->wake);
	changes_free(&s->changes);
}

/* ---- callers ---- */

/* With the lock held. */
static int enqueue(struct store *s, struct op *op)
{
	if (s->stopping)
		return -ERR_CLOSED;
	if (s->stats.queue_depth >= STORE_QUEUE_MAX) {
		s->stats.refused++;
		return -ERR_FULL;
	}
	*s->tail = op;
	s->tail = &op->next;
	s->stats.queue_depth++;
	s->stats.queue_depth_max = MAX(s->stats.queue_depth_max, s->stats.queue_depth);
	s->urgent += op->patient ? 0 : 1;
	if (!op->patient || s->stats.queue_depth == 1 || s->stats.queue_depth >= STORE_COMPANY)
		pthread_cond_signal(&s->wake);
	return 0;
}

static int update_and_block(struct store *s, struct op *op)
{
	int err;

	pthread_cond_init(&op->cond, NULL);
	pthread_mutex_lock(&s->lock);
	err = enqueue(s, op);
	while (err == 0 && !op->done)
		pthread_cond_wait(&op->cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
	pthread_cond_destroy(&op->cond);
	return err != 0 ? err : op->result;
}

static int update_in_fiber(struct store *s, struct op *op)
{
	int err;

	op->in_fiber = true;
	completion_init(&op->completion);
	pthread_mutex_lock(&s->lock);
	err = enqueue(s, op);
	pthread_mutex_unlock(&s->lock);
	return err != 0 ? err : completion_wait(&op->completion);
}

static int update(struct store *s, store_apply_fn *apply, void *arg, bool patient)
{
	uint64_t began_us = clock_mono_us();
	struct op op = {.apply = apply, .arg = arg, .queued_us = began_us, .patient = patient};
	int err;

	if (s->read_only)
		return -ERR_READONLY;
	ASSERT(!pthread_equal(pthread_self(), s->thread)); /* it would wait for itself */
	err = fiber_current() != NULL ? update_in_fiber(s, &op) : update_and_block(s, &op);
	metric_observe(s->update_time, clock_mono_us() - began_us);
	return err;
}

int store_update(struct store *s, store_apply_fn *apply, void *arg)
{
	return update(s, apply, arg, false);
}

int store_update_patient(struct store *s, store_apply_fn *apply, void *arg)
{
	return update(s, apply, arg, true);
}

int store_view(struct store *s, store_apply_fn *read, void *arg)
{
	struct store_txn t = {.s = s, .writable = false};
	int rc = store_begin(s, MDB_RDONLY, &t.mdb);

	if (rc != 0)
		return rc;
	rc = read(&t, arg);
	mdb_txn_abort(t.mdb);
	return rc;
}

void store_on_commit(struct store *s, store_commit_fn *fn, void *arg)
{
	s->hook = fn;
	s->hook_arg = arg;
}

int store_writable(const struct store *s)
{
	if (atomic_load(&s->broken))
		return -ERR_CORRUPT;
	return s->read_only ? -ERR_READONLY : atomic_load(&s->write_err);
}
