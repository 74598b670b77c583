/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check.c: looks at everything in the store: pages, records, indexes. In a read transaction of the calling thread, which is long. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#define CHECK_LINES_MAX 1000 /* problems that are spelled out; more are only counted */

struct check {
	struct store *s;
	MDB_txn *txn;
	struct buf *out;
	int problems;
	uint64_t users, times[STORE_TABLE_COUNT]; /* entries that the indexes should have */
};

static void problem(struct check *c, enum store_table table, struct span key, const char *what)
{
	char hex[2 * RECORD_KEY_MAX + 1];

	if (c->problems++ >= CHECK_LINES_MAX)
		return;
	hex_encode(hex, span_of(key.ptr, MIN(key.len, (size_t)RECORD_KEY_MAX)));
	buf_printf(c->out, "%s: record ", store_table_names[table]);
	if (text_is_printable(key) && key.len <= RECORD_KEY_MAX)
		buf_printf(c->out, "\"%.*s\": %s\n", (int)key.len, (const char *)key.ptr, what);
	else
		buf_printf(c->out, "%s: %s\n", hex, what);
}

static bool index_has(struct check *c, enum store_index index, struct span key, struct span value)
{
	MDB_val k = val_of(key), v;

	return mdb_get(c->txn, c->s->index[index], &k, &v) == 0 && v.mv_size == value.len &&
	       (value.len == 0 || memcmp(v.mv_data, value.ptr, value.len) == 0);
}

static void check_time(struct check *c, enum store_table table, uint64_t ms, struct span key)
{
	uint8_t k[TIMES_KEY_MAX];

	c->times[table]++;
	if (!index_has(c, INDEX_TIMES, span_of(k, times_key(k, table, ms, key)), span_of("", 0)))
		problem(c, table, key, "is missing in the index of times");
}

/* What the indexes must say about a record. */
static void check_indexes(struct check *c, enum store_table table, struct span key,
                          const void *record)
{
	const struct store_group *g = record;
	const struct store_operation *o = record;
	const struct store_request *r = record;

	if (table == STORE_GROUPS && g->cira.user[0] != '\0') {
		c->users++;
		if (!index_has(c, INDEX_USERS, span_str(g->cira.user), key))
			problem(c, table, key, "is missing in the index of enrolment users");
	}
	if (table == STORE_OPERATIONS && o->state != OPERATION_RUNNING)
		check_time(c, table, o->updated_ms, key);
	if (table == STORE_REQUESTS)
		check_time(c, table, r->time_ms, key);
}

static int check_table(struct check *c, enum store_table table)
{
	const struct family *f = family_of(table);
	struct record_input in = {.ring = seal_ring_newest(&c->s->ring) != 0 ? &c->s->ring : NULL};
	void *record = malloc(f->size);
	MDB_cursor *cursor;
	MDB_val k, v;
	int rc, err;

	if (record == NULL)
		return -ERR_NOMEM;
	rc = mdb_cursor_open(c->txn, c->s->dbi[table], &cursor);
	if (rc != 0) {
		free(record);
		return store_err(rc);
	}
	while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
		in.key = span_of_val(k);
		in.value = span_of_val(v);
		err = record_decode(f, &in, record);
		if (err == 0)
			check_indexes(c, table, in.key, record);
		else
			problem(c, table, in.key,
			        "cannot be read: damaged, or sealed with another key");
	}
	mdb_cursor_close(cursor);
	secret_zero(record, f->size);
	free(record);
	return rc == MDB_NOTFOUND ? 0 : store_err(rc);
}

/* Every record was found in its index; equal numbers mean that nothing else is in there. */
static int check_counts(struct check *c)
{
	uint64_t times = 0;
	MDB_stat st;
	int rc = mdb_stat(c->txn, c->s->index[INDEX_USERS], &st);

	if (rc == 0 && st.ms_entries != c->users && c->problems++ < CHECK_LINES_MAX)
		buf_printf(c->out, "the index of enrolment users has %llu entries, not %llu\n",
		           (unsigned long long)st.ms_entries, (unsigned long long)c->users);
	for (size_t i = 0; i < STORE_TABLE_COUNT; i++)
		times += c->times[i];
	if (rc == 0)
		rc = mdb_stat(c->txn, c->s->index[INDEX_TIMES], &st);
	if (rc == 0 && st.ms_entries != times && c->problems++ < CHECK_LINES_MAX)
		buf_printf(c->out, "the index of times has %llu entries, not %llu\n",
		           (unsigned long long)st.ms_entries, (unsigned long long)times);
	return store_err(rc);
}

int store_check(struct store *s, struct buf *out)
{
	struct check c = {.s = s, .out = out};
	int err = store_begin(s, MDB_RDONLY, &c.txn);

	if (err != 0)
		return err;
	/* Records on broken pages are left alone: LMDB trusts its pages. */
	err = page_check_tree(s->data_path, UINT64_MAX, out);
	if (err == -ERR_CORRUPT) {
		buf_put_str(out, "\n");
		mdb_txn_abort(c.txn);
		return 1;
	}
	for (unsigned i = 0; i < STORE_TABLE_COUNT && err == 0; i++)
		err = check_table(&c, (enum store_table)i);
	if (err == 0 && c.problems == 0)
		err = check_counts(&c);
	mdb_txn_abort(c.txn);
	return err != 0 ? err : c.problems;
}
