/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * internal.h: what the files of store/ share. Nobody outside store/ (and its tests) includes it.
 *
 * Layout of the environment (dir/store/data.mdb): one named database a table, plus
 *   meta   "schema" u32 BE; "canary" a sealed text that tells the right key from a wrong one
 *   users  enrolment user -> group name, so that a user names one group
 *   times  table, time BE, record key -> nothing: what may be trimmed, oldest first
 */
#pragma once

#include "core/err.h"
#include "core/fiber.h"
#include "store/codec.h"
#include "store/seal.h"
#include "store/store.h"

#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define STORE_BATCH_MAX       256
#define STORE_BATCH_US        5000
#define STORE_RETRY_MS        2000  /* between probes while read-only */
#define STORE_HOUSEKEEPING_MS 60000 /* between rounds of trimming and reader checks when idle */
#define STORE_TRIM_PER_COMMIT 512
#define STORE_READERS_MAX     512
#define STORE_MAP_SIZE        (64ull << 30)
#define STORE_SCHEMA          1

enum store_index { INDEX_META, INDEX_USERS, INDEX_TIMES, INDEX_COUNT };

struct store_txn {
	struct store *s;
	MDB_txn *mdb;
	bool writable;
};

/* A queued update, on the stack of its caller. */
struct op {
	struct op *next;
	store_apply_fn *apply;
	void *arg;
	int result;
	uint64_t queued_us;
	bool patient;
	bool in_fiber; /* completion, else done and cond under the store's lock */
	bool done;
	pthread_cond_t cond;
	struct completion completion;
};

/* The changes of a batch, for the commit hook: keys lie one after another in a buffer. */
struct change {
	enum store_table table;
	bool exists;
	uint32_t order;
	size_t off, len;
};
struct changes {
	struct change *list;
	size_t len, alloc;
	struct buf keys;
};

/* Limits that tests lower. */
struct store_limits {
	uint64_t audit_max, requests_max, operations_max;
	uint64_t request_keep_ms, operation_keep_ms;
	uint64_t batch_us; /* how long the writer takes updates into one commit */
	uint64_t patience_us;
};

struct store {
	MDB_env *env;
	MDB_dbi dbi[STORE_TABLE_COUNT];
	MDB_dbi index[INDEX_COUNT];
	struct seal_ring ring;
	struct store_limits limits;
	char dir[PATH_MAX];       /* the data folder */
	char data_path[PATH_MAX]; /* dir/store/data.mdb */
	int lock_fd;
	bool read_only;

	store_commit_fn *hook;
	void *hook_arg;

	/* The writer: lock guards the queue, the flags of operations, and stats. */
	pthread_t thread;
	bool thread_runs;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct op *head, **tail;
	size_t urgent; /* those in the queue that are not patient */
	bool stopping;
	struct store_stats stats;
	_Atomic int write_err;      /* 0, or why updates are refused */
	_Atomic bool broken;        /* the data file was cut off or removed under us: for ever */
	_Atomic uint64_t file_size; /* of the data file after the last commit: it never shrinks */
	_Atomic bool rotating;
	_Atomic uint64_t damaged; /* records that could not be read */
	_Atomic uint64_t trimmed; /* records deleted by trim.c */
	struct metric *commit_time, *update_time;
	uint64_t retry_us;      /* writer only: when to probe again */
	struct changes changes; /* writer only */
};

/* store.c */
int store_err(int mdb_rc); /* an LMDB or errno code as ours */
extern const char *const store_table_names[STORE_TABLE_COUNT];
/* store_env_open: the environment at path (a folder) with its databases; made if missing unless read_only. */
int store_env_open(struct store *s, const char *path, uint64_t map_size, struct buf *why);
void store_env_close(struct store *s);

/*
 * whole.c: a data file that was cut off or removed while it is mapped. store_begin: a transaction of the environment, or -ERR_CORRUPT
 * without touching the map. store_whole: the same look alone. store_grown: after a commit, and once after opening.
 */
int store_begin(struct store *s, unsigned flags, MDB_txn **txn) MUST_CHECK;
int store_whole(struct store *s) MUST_CHECK;
void store_grown(struct store *s);

/* writer.c */
int writer_start(struct store *s);
void writer_stop(struct store *s);

/* trim.c: deletes what is over the limits, at most STORE_TRIM_PER_COMMIT records. */
bool store_trim_needed(struct store_txn *t);
int store_trim(struct store_txn *t, void *arg);

/* change.c */
int changes_add(struct changes *c, enum store_table table, struct span key, bool exists);
void changes_undo(struct changes *c, size_t len); /* back to the first len */
void changes_deliver(struct changes *c, store_commit_fn *fn, void *arg);
void changes_free(struct changes *c);

/* table.c: records of any table. */
int table_get(struct store_txn *t, enum store_table table, struct span key, void *out);
int table_put(struct store_txn *t, enum store_table table, const void *record);
int table_delete(struct store_txn *t, enum store_table table, struct span key);
/* table_decode: value of table at key into out (blobs borrowed); with NULL ring in the store, secrets are left empty. */
int table_decode(struct store *s, enum store_table table, struct span key, struct span value,
                 void *out);
int index_put(struct store_txn *t, enum store_index index, struct span key, struct span value);
int index_delete(struct store_txn *t, enum store_index index, struct span key);
int index_get(struct store_txn *t, enum store_index index, struct span key, struct span *value);

/* migrate.c: brings the environment from its version to STORE_SCHEMA inside one transaction. */
struct migration {
	uint32_t from; /* leads to from + 1 */
	int (*run)(struct store *s, MDB_txn *txn);
};
int migrate_run(struct store *s, MDB_txn *txn, const struct migration *list, size_t len,
                uint32_t to, struct buf *why);
int migrate_too_new(const struct store *s, uint32_t version, uint32_t known, struct buf *why);
int store_schema_get(struct store *s, MDB_txn *txn, uint32_t *version);
int store_schema_put(struct store *s, MDB_txn *txn, uint32_t version);
extern const struct migration store_migrations[];
extern const size_t store_migrations_len;

/*
 * page.c: the structure of a data file, read without LMDB. meta: the two heads and the length. tree: every page in use or free,
 * up to pages_max of them (then -ERR_FULL, nothing bad seen so far). With writers about, inside a read transaction only.
 * 0, -ERR_NOT_FOUND (no file; why untouched), -ERR_CORRUPT and others with a sentence in why.
 */
#define STORE_OPEN_PAGES_MAX \
	16384 /* 64 MiB: what store_open looks through; store_check has no limit */
int page_check_meta(const char *path, struct buf *why);
int page_check_tree(const char *path, uint64_t pages_max, struct buf *why);

/* store_open_for_check: a read-only store on an environment's folder, without keys: its secrets stay sealed. */
struct store *store_open_for_check(const char *env, struct buf *why);
/* canary_write: seals the text by which store_open knows the right key, with the newest key. */
int canary_write(struct store_txn *t);

/* times index */
#define TIMES_KEY_MAX (1 + 8 + RECORD_KEY_MAX)
size_t times_key(uint8_t out[TIMES_KEY_MAX], enum store_table table, uint64_t ms, struct span key);

static inline MDB_val val_of(struct span s)
{
	union {
		const void *in;
		void *out;
	} p = {.in = s.ptr};

	return (MDB_val){.mv_size = s.len, .mv_data = p.out};
}

static inline struct span span_of_val(MDB_val v)
{
	return span_of(v.mv_data, v.mv_size);
}
