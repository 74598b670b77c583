/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trim.c: keeps audit, requests and ended operations within their limits, a bounded number of records a commit. Writer thread. */
#include "store/internal.h"
#include "core/clock.h"

#include <string.h>

/* What may stay of a table that is indexed by time. */
struct keep {
	enum store_table table;
	uint64_t max, before_ms;
};

static void keep_of(const struct store *s, struct keep out[2])
{
	uint64_t now = (uint64_t)clock_wall_ms();

	out[0] = (struct keep){STORE_REQUESTS, s->limits.requests_max,
	                       now - MIN(now, s->limits.request_keep_ms)};
	out[1] = (struct keep){STORE_OPERATIONS, s->limits.operations_max,
	                       now - MIN(now, s->limits.operation_keep_ms)};
}

static uint64_t entries(struct store_txn *t, MDB_dbi dbi)
{
	MDB_stat st;

	return mdb_stat(t->mdb, dbi, &st) == 0 ? st.ms_entries : 0;
}

/* The oldest entry of a table in the index of times; its record's key lies in *k behind the first 9 octets. */
static int oldest(MDB_cursor *c, enum store_table table, MDB_val *k, uint64_t *ms)
{
	uint8_t first[1] = {(uint8_t)table};
	struct cur at;
	uint64_t high;
	MDB_val v;
	int rc;

	*k = val_of(span_of(first, 1));
	rc = mdb_cursor_get(c, k, &v, MDB_SET_RANGE);
	if (rc != 0)
		return rc;
	at = cur_of(span_of_val(*k));
	if (cur_u8(&at) != table)
		return MDB_NOTFOUND;
	high = cur_u32(&at);
	*ms = high << 32 | cur_u32(&at);
	return at.err == 0 ? 0 : MDB_CORRUPTED;
}

static bool is_due(struct store_txn *t, MDB_cursor *c, const struct keep *keep)
{
	uint64_t ms = 0;
	MDB_val k;

	if (oldest(c, keep->table, &k, &ms) != 0)
		return false;
	return ms < keep->before_ms || entries(t, t->s->dbi[keep->table]) > keep->max;
}

bool store_trim_needed(struct store_txn *t)
{
	struct keep keep[2];
	MDB_cursor *c;
	bool due;

	if (entries(t, t->s->dbi[STORE_AUDIT]) > t->s->limits.audit_max)
		return true;
	if (mdb_cursor_open(t->mdb, t->s->index[INDEX_TIMES], &c) != 0)
		return false;
	keep_of(t->s, keep);
	due = is_due(t, c, &keep[0]) || is_due(t, c, &keep[1]);
	mdb_cursor_close(c);
	return due;
}

static int trim_audit(struct store_txn *t)
{
	uint64_t over = entries(t, t->s->dbi[STORE_AUDIT]);
	MDB_cursor *c;
	MDB_val k, v;
	int rc;

	over -= MIN(over, t->s->limits.audit_max);
	if (over == 0)
		return 0;
	rc = mdb_cursor_open(t->mdb, t->s->dbi[STORE_AUDIT], &c);
	if (rc != 0)
		return store_err(rc);
	for (uint64_t n = MIN(over, (uint64_t)STORE_TRIM_PER_COMMIT); n > 0 && rc == 0; n--) {
		rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
		if (rc == 0)
			rc = mdb_cursor_del(c, 0);
		atomic_fetch_add(&t->s->trimmed, rc == 0 ? 1 : 0);
	}
	mdb_cursor_close(c);
	return store_err(rc);
}

static int trim_by_time(struct store_txn *t, const struct keep *keep)
{
	MDB_cursor *c;
	MDB_val k, record;
	uint64_t ms;
	int rc = mdb_cursor_open(t->mdb, t->s->index[INDEX_TIMES], &c);

	if (rc != 0)
		return store_err(rc);
	for (int n = 0; n < STORE_TRIM_PER_COMMIT && rc == 0 && is_due(t, c, keep); n++) {
		uint8_t copy[RECORD_KEY_MAX];

		rc = oldest(c, keep->table, &k, &ms);
		if (rc != 0)
			break;
		/* The page under k may move when the record is deleted. */
		record = (MDB_val){.mv_size = MIN(k.mv_size - 9, sizeof(copy)), .mv_data = copy};
		memcpy(copy, (uint8_t *)k.mv_data + 9, record.mv_size);
		rc = mdb_cursor_del(c, 0);
		if (rc == 0)
			rc = mdb_del(t->mdb, t->s->dbi[keep->table], &record, NULL);
		rc = rc == MDB_NOTFOUND ? 0 : rc;
		atomic_fetch_add(&t->s->trimmed, rc == 0 ? 1 : 0);
	}
	mdb_cursor_close(c);
	return store_err(rc);
}

int store_trim(struct store_txn *t, void *arg)
{
	struct keep keep[2];
	int err = trim_audit(t);

	(void)arg;
	keep_of(t->s, keep);
	for (size_t i = 0; i < ARRAY_LEN(keep) && err == 0; i++)
		err = trim_by_time(t, &keep[i]);
	return err;
}
