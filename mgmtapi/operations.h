/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * operations.h: long-running operations of this process: in memory with their results while they run, in the store when they begin,
 * as they go on, and when they end. Any thread: the table has a lock.
 */
#pragma once

#include "causeway/v1/operations.pb-c.h"
#include "mgmtapi/api_errors.h"
#include "mgmtapi/msg.h"

struct operations;
struct operation;

#define OPERATIONS_RUNNING_MAX 16    /* batches at once */
#define OPERATION_PARTS_MAX    10000 /* devices of one */
#define OPERATION_TEXT_MAX     160   /* octets of a part's message */
#define OPERATION_PERSIST_MS   2000  /* how often progress is stored */
#define OPERATION_ID_LEN       32

/* What came out for one device. */
struct operation_part {
	struct device_key key;
	bool done;
	int code;           /* gRPC */
	const char *reason; /* static */
	char *text;         /* malloc'ed or NULL */
};

/* What an operation is made of; copied. */
struct operation_spec {
	const char *kind, *principal, *method, *resource;
	const struct device_key *keys;
	size_t keys_len;
};

struct operations *operations_new(struct store *store);
void operations_free(struct operations *o);
/* operations_running: how many run, of OPERATIONS_RUNNING_MAX. */
unsigned operations_running(struct operations *o);

/* operations_add: an operation with a new id in state RUNNING, one reference. NULL: OPERATIONS_RUNNING_MAX or no memory. */
struct operation *operations_add(struct operations *o, const struct operation_spec *spec);
/* operations_find: a reference, NULL if it does not run in this process. operation_unref: the last one frees. */
struct operation *operations_find(struct operations *o, const char *id);
void operation_unref(struct operation *op);
/* operation_drop: it is not to run after all (its record was not stored). The caller's reference stays. */
void operation_drop(struct operation *op);

const char *operation_id(const struct operation *op);
void operation_cancel(struct operation *op);
bool operation_cancelled(const struct operation *op);
bool operation_ended(const struct operation *op);

/* operation_take: the next part that nobody has begun, false at the end or after a cancel. operation_key: its device. */
bool operation_take(struct operation *op, size_t *part);
const struct device_key *operation_key(const struct operation *op, size_t part);
/* operation_report: a part has ended. f code CALL_OK: done. */
void operation_report(struct operation *op, size_t part, const struct failure *f);

/* operation_put: the record as it is now, in a store transaction of the caller. */
int operation_put(struct operation *op, struct store_txn *txn) MUST_CHECK;
/*
 * operation_persist: stores progress and an audit record for each part that has ended since the last time. end: the state becomes DONE or
 * CANCELLED and the operation leaves the table. In a fiber. 0, or an error of the store (progress stays in memory).
 */
int operation_persist(struct operation *op, bool end);

/* operation_msg: as it is now. with_results false: for lists. NULL without memory. */
Causeway__V1__Operation *operation_msg(struct operation *op, struct msg_mem *m, bool with_results);
/* operation_msg_record: of a stored record. */
Causeway__V1__Operation *operation_msg_record(const struct store_operation *rec, struct msg_mem *m,
                                              bool with_results);
/* operations_interrupt: at start: what was RUNNING is INTERRUPTED. Blocks: not on a loop. */
int operations_interrupt(struct store *store) MUST_CHECK;
