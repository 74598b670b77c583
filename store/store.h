/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * store.h: what must survive: LMDB behind one writer thread with group commit (256 updates or 5 ms, full sync). An update
 * that returned 0 is on disk. Values are msgpack maps with small-integer keys; keys this version does not know are kept when a
 * record is rewritten. Secrets are sealed in the file (AES-256-GCM, bound to table and key) and plain in these structs.
 */
#pragma once

#include "core/buf.h"
#include "store/records.h"

struct store;
struct store_txn;

struct store_opts {
	const char *dir; /* made with mode 0700 if missing; the environment is dir/store */
	/* Sealing keys; NULL: $CREDENTIALS_DIRECTORY/causeway-seal-key if there, else dir/seal.key (made at first start, 0600). */
	const char *key_file;
	uint64_t map_size; /* 0: 64 GiB (sparse) */
	bool read_only;    /* --check and tools */
};

/*
 * store_open: opens or makes, checks the format version and migrates. Starts the writer thread. NULL on error with a sentence that says
 * what is wrong and what to do appended to why (truncated file, wrong key, newer version, no permission, in use by pid N).
 */
struct store *store_open(const struct store_opts *opts, struct buf *why);
/*
 * store_close: finishes queued updates, stops the writer. Before loop_free of any loop whose fibers used the store: the writer may
 * still be inside loop_post when the last fiber has its result.
 */
void store_close(struct store *s);

/* store_check: walks every table and decodes every record; writes one line a problem to out; number of problems or negative error. */
int store_check(struct store *s, struct buf *out);

/*
 * store_update: runs apply(txn, arg) on the writer thread inside the current batch's transaction and returns after the commit.
 * In a fiber only the fiber waits; elsewhere the thread blocks. apply must not wait. When apply returns an error everything it
 * wrote is undone (its siblings in the batch are not) and that error is returned. Other errors: -ERR_FULL (queue of
 * STORE_QUEUE_MAX), -ERR_NO_SPACE / -ERR_IO / -ERR_READONLY: nothing was kept and the store is read-only until space is there again.
 */
typedef int store_apply_fn(struct store_txn *txn, void *arg);
#define STORE_QUEUE_MAX 16384
int store_update(struct store *s, store_apply_fn *apply, void *arg) MUST_CHECK;

/*
 * store_update_patient: the same for what no person waits for: its batch may begin STORE_PATIENCE_MS later, so that others share the commit, which
 * costs a millisecond of processor time and two syncs whatever is in it. An update without patience, or STORE_COMPANY of them, end the wait.
 */
#define STORE_PATIENCE_MS 30
#define STORE_COMPANY     64
int store_update_patient(struct store *s, store_apply_fn *apply, void *arg) MUST_CHECK;

/* store_view: runs read(txn, arg) in a read transaction of the calling thread. It must be short and must not wait. */
int store_view(struct store *s, store_apply_fn *read, void *arg) MUST_CHECK;

/*
 * store_on_commit: fn is called on the writer thread after each commit, before the callers of store_update return, once for every
 * changed record of the tables GROUPS, DEVICES and TOKENS. One subscriber. exists: false after a delete. Reads inside are allowed
 * through store_view. Register before the first update.
 */
struct store_change {
	enum store_table table;
	struct span key;
	bool exists;
};
typedef void store_commit_fn(void *arg, const struct store_change *changes, size_t len);
void store_on_commit(struct store *s, store_commit_fn *fn, void *arg);

/* store_writable: 0, or why updates are refused now. Any thread. */
int store_writable(const struct store *s);

/* Records. get: 0, -ERR_NOT_FOUND, -ERR_CORRUPT. put: inserts or replaces; -ERR_TOO_BIG. Inside update or view only. */
int store_group_get(struct store_txn *t, const char *name, struct store_group *out) MUST_CHECK;
int store_group_put(struct store_txn *t, const struct store_group *g) MUST_CHECK;
int store_group_delete(struct store_txn *t, const char *name) MUST_CHECK;

int store_device_get(struct store_txn *t, const struct device_key *k,
                     struct store_device *out) MUST_CHECK;
int store_device_put(struct store_txn *t, const struct store_device *d) MUST_CHECK;
int store_device_delete(struct store_txn *t, const struct device_key *k) MUST_CHECK;

int store_token_get(struct store_txn *t, const char *id, struct store_token *out) MUST_CHECK;
int store_token_put(struct store_txn *t, const struct store_token *tok) MUST_CHECK;
int store_token_delete(struct store_txn *t, const char *id) MUST_CHECK;

/* A group's enrolment user is unique: store_group_put returns -ERR_EXISTS when another group has it. */

/* store_audit_append: sets a->seq to the next number. The oldest beyond STORE_AUDIT_MAX are trimmed. */
#define STORE_AUDIT_MAX 1000000
int store_audit_append(struct store_txn *t, struct store_audit *a) MUST_CHECK;

int store_operation_get(struct store_txn *t, const char *id,
                        struct store_operation *out) MUST_CHECK;
int store_operation_put(struct store_txn *t, const struct store_operation *o) MUST_CHECK;

/* Ended operations are trimmed STORE_OPERATION_KEEP_MS after updated_ms, or when there are more operations than STORE_OPERATIONS_MAX. */
#define STORE_OPERATION_KEEP_MS (7ull * 24 * 3600 * 1000)
#define STORE_OPERATIONS_MAX    100000
#define STORE_REQUESTS_MAX \
	1000000 /* beyond, the oldest are trimmed even within STORE_REQUEST_KEEP_MS */

/* Request ids (kept STORE_REQUEST_KEEP_MS; older ones are trimmed by the writer). response is borrowed in put, owned by the caller's buf in get. */
#define STORE_REQUEST_KEEP_MS (24ull * 3600 * 1000)
int store_request_get(struct store_txn *t, const char *principal, const char *request_id,
                      struct store_request *out) MUST_CHECK;
int store_request_put(struct store_txn *t, const struct store_request *r) MUST_CHECK;

/* Settings: small values by name ("api.cursor_key", ...). secret ones are sealed. */
int store_setting_get(struct store_txn *t, const char *name, struct buf *out) MUST_CHECK;
int store_setting_put(struct store_txn *t, const char *name, struct span value,
                      bool secret) MUST_CHECK;

/*
 * store_each: calls fn for records of a table in key order, starting after the key `after` (empty: from the start), or backwards from before
 * it when reverse; fn returns 0 to go on, 1 to stop, negative to fail. record points to the table's struct (store_group, ...),
 * blobs in it are borrowed; it is overwritten after fn returned. fn does not write to the table. A damaged record is logged, counted
 * (store_stats.damaged) and skipped: one bad record must not hide the others. get tells -ERR_CORRUPT for it.
 */
typedef int store_each_fn(void *arg, struct span key, const void *record);
int store_each(struct store_txn *t, enum store_table table, struct span after, bool reverse,
               store_each_fn *fn, void *arg) MUST_CHECK;

/* store_backup: a consistent copy of the environment (compacted) into the new file path, while running. Calling thread blocks: not on a loop. */
int store_backup(struct store *s, const char *path, struct buf *why) MUST_CHECK;
/* store_restore: puts a backup into an empty dir (refuses if a store is there), checks it. */
int store_restore(const char *backup, const char *dir, struct buf *why) MUST_CHECK;
/*
 * store_rotate_key: makes a new sealing key, re-seals every secret in batches, then drops the old key from the file. Cut off by a
 * crash or an error, the old key stays in the file and the next call ends the work. Calling thread blocks: not on a loop.
 * -ERR_BUSY: one is under way. -ERR_PRECONDITION: the key is a credential and has no second, newer key yet (why says how).
 */
int store_rotate_key(struct store *s, struct buf *why) MUST_CHECK;

struct store_stats {
	uint64_t commits, updates, failed_commits, queue_depth, queue_depth_max, commit_us_sum,
		commit_us_last, file_bytes, refused,
		damaged;                /* damaged: reads of records that could not be decoded */
	uint64_t trimmed;               /* records deleted to keep tables within their limits */
	uint64_t used_bytes, map_bytes; /* of the file: in use, and the largest it may become */
	uint64_t readers, readers_max;  /* read transactions that have a slot */
	uint64_t records[STORE_TABLE_COUNT], audit_max, operations_max, requests_max;
};
void store_stats_read(const struct store *s, struct store_stats *out);
