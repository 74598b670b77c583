/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * mutation.h: the one way in which the API changes something: request ids, audit and the answer that is kept for a repeated request.
 *
 * A change of the store alone (mutation_run) is one transaction: the request id is checked, the change applied, the packed answer kept
 * with the request id, and the audit record appended. A change of a device (mutation_begin, mutation_end) is two: the first keeps that
 * the request STARTED, with an audit record, before anything is sent; the second keeps what came of it.
 *
 * The same caller with the same id gets: the kept answer, if it is done; ABORTED REQUEST_IN_PROGRESS while it runs in this process;
 * ABORTED REQUEST_OUTCOME_UNKNOWN if an earlier run of the daemon ended in between: it is never sent a second time; INVALID_ARGUMENT
 * REQUEST_ID_REUSED if method or content differ. What certainly did not reach the device may be tried again with the same id.
 *
 * What is kept of a request is an HMAC under a key of the store, for requests hold passwords. Answers with secrets are not kept
 * whole: mutation_respond takes what may be kept, and the handler sends its own answer when replayed is false.
 *
 * A mutation belongs to the call's fiber. apply runs on the store's writer thread while that fiber waits; it must not touch the call.
 */
#pragma once

#include "mgmtapi/api_errors.h"
#include "mgmtapi/arena.h"
#include "store/store.h"

#include <pthread.h>

struct api;

#define INFLIGHT_MAX       65536 /* device mutations with a request id that run at once */
#define MUTATION_ARENA_MAX (1024 * 1024)

/* Request ids whose device mutations run in this process. */
struct inflight;
struct inflight *inflight_new(void);
void inflight_free(struct inflight *f);
/* inflight_count: how many there are, of INFLIGHT_MAX. */
unsigned inflight_count(struct inflight *f);

struct mutation {
	struct call *call;
	char resource[160]; /* what is changed; for the audit */
	char detail[256];   /* more, for people; never a secret */
	bool replayed;      /* the answer is the kept one of an earlier request */
	bool keep_status;   /* mutation_end: the call's status says it better than failure */

	/* for apply */
	struct failure failure;
	ProtobufCAllocator allocator; /* for the answer; lives as long as the mutation */

	/* private */
	struct arena arena;
	struct buf response;
	const ProtobufCMessage *request;
	uint8_t hash[32], key[32];
	int (*apply)(struct mutation *m, struct store_txn *txn, void *arg);
	void *arg;
	uint32_t status;
	struct buf message;
	bool running, untouched;
};

/* mutation_new: request NULL: the method has no single request (streams). NULL: the call's status is set. */
struct mutation *mutation_new(struct call *c, const ProtobufCMessage *request);
/* mutation_about: sets resource. mutation_note: sets detail. May be called until the end, in apply too. */
void mutation_about(struct mutation *m, const char *fmt, ...) PRINTF_LIKE(2, 3);
void mutation_note(struct mutation *m, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * mutation_run: apply changes the store and calls mutation_respond, or returns mutation_fail(...). It may be run again from the start.
 * 0, or negative with the call's status set.
 */
typedef int mutation_apply_fn(struct mutation *m, struct store_txn *txn, void *arg);
int mutation_run(struct mutation *m, mutation_apply_fn *apply, void *arg) MUST_CHECK;
/*
 * mutation_kept: for changes of the store alone, before what the request names is looked for (it may be gone by then): 1: replayed, the answer
 * is there; 0: not seen before; negative: the call's status is set.
 */
int mutation_kept(struct mutation *m) MUST_CHECK;
/* In apply: the answer (packed at once), or why not: -ERR_FAULT. */
int mutation_respond(struct mutation *m, const ProtobufCMessage *answer) MUST_CHECK;
int mutation_fail(struct mutation *m, enum call_code code, const char *reason, const char *hint,
                  const char *fmt, ...) PRINTF_LIKE(5, 6);

/*
 * mutation_begin: 0: go on; 1: replayed, the answer is there; negative: the call's status is set. After 0 mutation_end is called
 * exactly once: answer after a success; NULL with m->failure set after a failure, untouched telling that the device has
 * certainly not acted. 0, or negative with the call's status set (also when the outcome could not be kept).
 */
int mutation_begin(struct mutation *m) MUST_CHECK;
int mutation_end(struct mutation *m, const ProtobufCMessage *answer, bool untouched) MUST_CHECK;

/* mutation_finish: sends the answer if err is 0, frees the mutation and returns what the handler returns. */
int mutation_finish(struct mutation *m, int err);
/* mutation_free: without sending. */
void mutation_free(struct mutation *m);

/* mutation_allocator: an arena as protobuf-c's allocator. */
ProtobufCAllocator mutation_allocator(struct arena *arena);

/* mutation_audit: appends a record for something that the server does by itself or for a caller who is gone. In a store transaction. */
struct audit_entry {
	const char *principal, *method, *resource, *request_id, *outcome, *detail;
};
int mutation_audit(struct store_txn *txn, const struct audit_entry *e) MUST_CHECK;
