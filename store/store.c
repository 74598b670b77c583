/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store.c: opens and closes: folder, lock, environment, sealing key, and the sentence that says why it did not work. */
#include "store/internal.h"
#include "core/file.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CANARY_KEY   "canary"
#define CANARY_TEXT  "causeway"
#define CANARY_TABLE 0xff /* no table has this number */
/* Allocated for LMDB's lock file, which it maps: a full disk must not end in SIGBUS. */
#define LOCK_SPACE 65536

const char *const store_table_names[STORE_TABLE_COUNT] = {
	"groups", "devices", "tokens", "audit", "operations", "requests", "settings"};
static const char *const index_names[INDEX_COUNT] = {"meta", "users", "times"};

int store_err(int mdb_rc)
{
	switch (mdb_rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ERR_NOT_FOUND;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return -ERR_NO_SPACE;
	case MDB_TXN_FULL:
	case MDB_READERS_FULL:
		return -ERR_FULL;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
		return -ERR_CORRUPT;
	case MDB_BAD_VALSIZE:
		return -ERR_INVALID;
	case MDB_PANIC:
		return -ERR_IO;
	default:
		return mdb_rc > 0 ? err_from_errno(mdb_rc) : -ERR_INTERNAL;
	}
}

/* ---- the environment ---- */

static int open_dbi(MDB_txn *txn, const char *name, bool create, MDB_dbi *out)
{
	return store_err(mdb_dbi_open(txn, name, create ? MDB_CREATE : 0, out));
}

/* Opens every database in one transaction. With create, missing ones are made and the schema is brought up to date. */
static int open_tables(struct store *s, bool create, struct buf *why)
{
	uint32_t version = 0;
	MDB_txn *txn;
	int err = store_begin(s, create ? 0 : MDB_RDONLY, &txn);

	if (err != 0)
		return err;
	for (size_t i = 0; i < INDEX_COUNT && err == 0; i++)
		err = open_dbi(txn, index_names[i], create, &s->index[i]);
	for (size_t i = 0; i < STORE_TABLE_COUNT && err == 0; i++)
		err = open_dbi(txn, store_table_names[i], create, &s->dbi[i]);
	if (err == 0 && create)
		err = migrate_run(s, txn, store_migrations, store_migrations_len, STORE_SCHEMA,
		                  why);
	else if (err == 0) {
		err = store_schema_get(s, txn, &version);
		if (err == 0 && version > STORE_SCHEMA)
			err = migrate_too_new(s, version, STORE_SCHEMA, why);
		else if (err == 0 && version < STORE_SCHEMA)
			err = -ERR_NOT_FOUND;
	}
	if (err == 0)
		return store_err(mdb_txn_commit(txn));
	mdb_txn_abort(txn);
	return err;
}

/* Nothing is written when everything is there, so that a store on a full disk can be opened. */
static int open_or_make_tables(struct store *s, struct buf *why)
{
	int err = open_tables(s, false, why);

	if (err != -ERR_NOT_FOUND)
		return err;
	if (!s->read_only)
		return open_tables(s, true, why);
	buf_printf(why,
	           "the store in %s is empty, or of another format than this version's: start "
	           "causewayd on it once",
	           s->dir);
	return -ERR_PRECONDITION;
}

int store_env_open(struct store *s, const char *path, uint64_t map_size, struct buf *why)
{
	unsigned flags = MDB_NOTLS | (s->read_only ? MDB_RDONLY : 0);
	size_t said = why->len;
	int dead, err;

	err = store_err(mdb_env_create(&s->env));
	if (err == 0)
		err = store_err(mdb_env_set_maxdbs(s->env, STORE_TABLE_COUNT + INDEX_COUNT));
	if (err == 0)
		err = store_err(mdb_env_set_maxreaders(s->env, STORE_READERS_MAX));
	if (err == 0)
		err = store_err(mdb_env_set_mapsize(s->env, map_size));
	if (err == 0)
		err = store_err(mdb_env_open(s->env, path, flags, 0600));
	if (err == 0) {
		(void)mdb_reader_check(s->env, &dead);
		store_grown(s);
		err = open_or_make_tables(s, why);
	}
	if (err != 0 && why->len == said)
		buf_printf(why, "cannot open the store in %s: %s", path, err_text(err));
	return err;
}

void store_env_close(struct store *s)
{
	if (s->env != NULL)
		mdb_env_close(s->env);
	s->env = NULL;
}

/* ---- folder and lock ---- */

static int make_folder(const char *path, struct buf *why)
{
	int err = file_mkdir(path, 0700);

	if (err != 0)
		buf_printf(why, "cannot make the folder %s: %s", path, err_text(err));
	return err;
}

static void say_in_use(int fd, const char *dir, struct buf *why)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	if (pid[0] != '\0')
		buf_printf(why,
		           "the store in %s is in use by pid %s: stop that process, or use another "
		           "data folder",
		           dir, pid);
	else
		buf_printf(why, "the store in %s is in use by another process", dir);
}

/* One process a store. The lock goes with the process; the pid in the file is only for people. */
static int take_lock(struct store *s, const char *path, struct buf *why)
{
	char pid[16];
	int n, err;

	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0) {
		err = err_from_errno(errno);
		buf_printf(why, "cannot open %s: %s", path, err_text(err));
		return err;
	}
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		say_in_use(s->lock_fd, s->dir, why);
		return -ERR_BUSY;
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (pwrite(s->lock_fd, pid, (size_t)n, 0) == n)
		(void)!ftruncate(s->lock_fd, n);
	return 0;
}

/* LMDB maps its lock file and writes through the map; give it real blocks first. Only while we hold our own lock. */
static int reserve_lock_file(const char *path, struct buf *why)
{
	static const uint8_t zeros[4096];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st = {.st_blocks = 0};
	int err = 0;

	if (fd < 0 || fstat(fd, &st) != 0)
		err = err_from_errno(errno);
	if (err == 0 && (uint64_t)st.st_blocks * 512 < LOCK_SPACE)
		for (off_t at = 0; at < LOCK_SPACE && err == 0; at += (off_t)sizeof(zeros))
			if (pwrite(fd, zeros, sizeof(zeros), at) != (ssize_t)sizeof(zeros))
				err = -ERR_NO_SPACE;
	if (fd >= 0)
		close(fd);
	if (err != 0)
		buf_printf(why, "cannot write %s: %s", path, err_text(err));
	return err;
}

/* ---- the sealing key ---- */

int canary_write(struct store_txn *t)
{
	const struct seal_place at = {.table = CANARY_TABLE};
	uint8_t sealed[sizeof(CANARY_TEXT) + SEAL_EXTRA];

	seal_value(&t->s->ring, &at, span_of(CANARY_TEXT, sizeof(CANARY_TEXT)), sealed);
	return index_put(t, INDEX_META, span_str(CANARY_KEY), span_of(sealed, sizeof(sealed)));
}

/* 0: opens with our keys; -ERR_NOT_FOUND: none in the store yet; else *id is the key that it wants. */
static int canary_read(struct store *s, uint32_t *id)
{
	const struct seal_place at = {.table = CANARY_TABLE};
	uint8_t plain[sizeof(CANARY_TEXT)];
	MDB_val k = val_of(span_str(CANARY_KEY)), v;
	MDB_txn *txn;
	int err = store_begin(s, MDB_RDONLY, &txn);

	if (err != 0)
		return err;
	err = store_err(mdb_get(txn, s->index[INDEX_META], &k, &v));
	if (err == 0) {
		*id = seal_id(span_of_val(v));
		err = v.mv_size == sizeof(plain) + SEAL_EXTRA
		              ? seal_open(&s->ring, &at, span_of_val(v), plain)
		              : -ERR_CORRUPT;
	}
	mdb_txn_abort(txn);
	return err;
}

/* A store without a canary is new: it gets the key of the file, or a new one. */
static int adopt_key(struct store *s, struct buf *why)
{
	struct store_txn t = {.s = s, .writable = true};
	int err = 0;

	if (s->read_only)
		return 0;
	if (seal_ring_newest(&s->ring) == 0)
		err = seal_ring_add(&s->ring, why);
	if (err != 0)
		return err;
	err = store_begin(s, 0, &t.mdb);
	if (err == 0) {
		err = canary_write(&t);
		if (err == 0)
			err = store_err(mdb_txn_commit(t.mdb));
		else
			mdb_txn_abort(t.mdb);
	}
	if (err != 0)
		buf_printf(why, "cannot write to the store in %s: %s", s->dir, err_text(err));
	return err;
}

static int open_keys(struct store *s, struct buf *why)
{
	uint32_t id = 0;
	int err = seal_ring_load(&s->ring, why);

	if (err != 0 && err != -ERR_NOT_FOUND)
		return err;
	err = canary_read(s, &id);
	if (err == -ERR_NOT_FOUND)
		return adopt_key(s, why);
	if (err != -ERR_CORRUPT)
		return err;
	if (seal_ring_newest(&s->ring) == 0)
		buf_printf(why,
		           "the secrets of the store in %s are sealed with key %u, but there is no "
		           "key file %s: put it back",
		           s->dir, id, s->ring.path);
	else if (!seal_ring_has(&s->ring, id))
		buf_printf(why,
		           "the secrets of the store in %s are sealed with key %u, which is not in "
		           "%s: put that key back",
		           s->dir, id, s->ring.path);
	else
		buf_printf(why,
		           "the key in %s is not the one that sealed the store in %s: put the "
		           "right key file back",
		           s->ring.path, s->dir);
	return -ERR_DENIED;
}

/* ---- open and close ---- */

/*
 * Looks at the file before LMDB maps it. The trees only while nobody writes: a reader beside a running daemon leaves them to
 * store_check.
 */
static int check_pages(struct store *s, const char *lock, struct buf *why)
{
	int fd = -1, err = page_check_meta(s->data_path, why);
	bool alone = true;

	if (err != 0)
		return err;
	if (s->read_only) {
		fd = open(lock, O_RDONLY | O_CLOEXEC);
		alone = fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0;
	}
	if (alone)
		err = page_check_tree(s->data_path, STORE_OPEN_PAGES_MAX, why);
	if (fd >= 0)
		close(fd);
	return err == -ERR_FULL ? 0 : err;
}

/*
 * An empty file is what a crash within the very first start leaves, and what an accident leaves of a store. The sealing key tells them apart:
 * it is made after the store. A new store in its place would look like the loss of all devices.
 */
static int check_not_emptied(struct store *s, struct buf *why)
{
	struct stat st;

	if (stat(s->data_path, &st) != 0 || st.st_size > 0 || access(s->ring.path, F_OK) != 0)
		return 0;
	buf_printf(why,
	           "%s is empty, but there is the sealing key %s of a store: restore a backup; to "
	           "start "
	           "with a new store, remove that empty file",
	           s->data_path, s->ring.path);
	return -ERR_CORRUPT;
}

static const struct store_limits default_limits = {
	.audit_max = STORE_AUDIT_MAX,
	.requests_max = STORE_REQUESTS_MAX,
	.operations_max = STORE_OPERATIONS_MAX,
	.request_keep_ms = STORE_REQUEST_KEEP_MS,
	.operation_keep_ms = STORE_OPERATION_KEEP_MS,
	.batch_us = STORE_BATCH_US,
	.patience_us = STORE_PATIENCE_MS * 1000,
};

static int open_files(struct store *s, const struct store_opts *opts, struct buf *why)
{
	char env[PATH_MAX], lock[PATH_MAX], mdb_lock[PATH_MAX];
	int err = 0;

	if (!str_copy(s->dir, sizeof(s->dir), opts->dir) ||
	    file_path(env, sizeof(env), s->dir, "store") != 0 ||
	    file_path(lock, sizeof(lock), env, "pid") != 0 ||
	    file_path(mdb_lock, sizeof(mdb_lock), env, "lock.mdb") != 0 ||
	    file_path(s->data_path, sizeof(s->data_path), env, "data.mdb") != 0 ||
	    seal_ring_init(&s->ring, opts->key_file, s->dir) != 0) {
		buf_printf(why, "the path of the data folder is too long");
		return -ERR_TOO_BIG;
	}
	if (!s->read_only) {
		err = make_folder(s->dir, why);
		if (err == 0)
			err = make_folder(env, why);
		if (err == 0)
			err = take_lock(s, lock, why);
		if (err == 0)
			err = reserve_lock_file(mdb_lock, why);
	}
	if (err == 0)
		err = check_pages(s, lock, why);
	if (err == 0)
		err = check_not_emptied(s, why);
	if (err == -ERR_NOT_FOUND && s->read_only)
		buf_printf(why, "there is no store in %s", s->dir);
	if (err == 0 || (err == -ERR_NOT_FOUND && !s->read_only))
		err = store_env_open(s, env, opts->map_size != 0 ? opts->map_size : STORE_MAP_SIZE,
		                     why);
	return err != 0 ? err : open_keys(s, why);
}

static struct store *store_new(bool read_only)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->lock_fd = -1;
	s->read_only = read_only;
	s->limits = default_limits;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

struct store *store_open(const struct store_opts *opts, struct buf *why)
{
	struct store *s = store_new(opts->read_only);
	int err;

	if (s == NULL) {
		buf_put_str(why, err_text(ERR_NOMEM));
		return NULL;
	}
	err = open_files(s, opts, why);
	if (err == 0 && !s->read_only) {
		err = writer_start(s);
		if (err != 0)
			buf_printf(why, "cannot start the store's thread: %s", err_text(err));
	}
	if (err == 0)
		return s;
	store_close(s);
	return NULL;
}

struct store *store_open_for_check(const char *env, struct buf *why)
{
	struct store *s = store_new(true);
	int err = -ERR_NOMEM;

	if (s == NULL)
		return NULL;
	if (str_copy(s->dir, sizeof(s->dir), env) && seal_ring_init(&s->ring, "", env) == 0 &&
	    file_path(s->data_path, sizeof(s->data_path), env, "data.mdb") == 0)
		err = page_check_tree(s->data_path, UINT64_MAX, why);
	if (err == 0)
		err = store_env_open(s, env, STORE_MAP_SIZE, why);
	if (err == 0)
		return s;
	store_close(s);
	return NULL;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	writer_stop(s);
	store_env_close(s);
	seal_ring_free(&s->ring);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void read_env(struct store *s, struct store_stats *out)
{
	MDB_txn *txn;
	MDB_envinfo info;
	MDB_stat st;

	if (store_begin(s, MDB_RDONLY, &txn) != 0)
		return;
	if (mdb_env_info(s->env, &info) == 0 && mdb_env_stat(s->env, &st) == 0) {
		out->used_bytes = (uint64_t)(info.me_last_pgno + 1) * st.ms_psize;
		out->map_bytes = info.me_mapsize;
		out->readers = info.me_numreaders;
		out->readers_max = info.me_maxreaders;
	}
	for (unsigned i = 0; i < STORE_TABLE_COUNT; i++)
		if (mdb_stat(txn, s->dbi[i], &st) == 0)
			out->records[i] = st.ms_entries;
	mdb_txn_abort(txn);
}

void store_stats_read(const struct store *s, struct store_stats *out)
{
	/* Only the lock inside changes; a reader of counters has no business with a writable store. */
	union {
		const struct store *in;
		struct store *out;
	} u = {.in = s};
	struct stat st;

	pthread_mutex_lock(&u.out->lock);
	*out = s->stats;
	pthread_mutex_unlock(&u.out->lock);
	out->file_bytes = stat(s->data_path, &st) == 0 ? (uint64_t)st.st_size : 0;
	out->damaged = atomic_load(&s->damaged);
	out->trimmed = atomic_load(&s->trimmed);
	out->audit_max = s->limits.audit_max;
	out->operations_max = s->limits.operations_max;
	out->requests_max = s->limits.requests_max;
	read_env(u.out, out);
}
