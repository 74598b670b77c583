/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table.c: records of any table inside a transaction. Blobs that decode yields point into the file's pages until the transaction ends. */
#include "store/internal.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

int table_decode(struct store *s, enum store_table table, struct span key, struct span value,
                 void *out)
{
	const struct record_input in = {.key = key,
	                                .value = value,
	                                .ring = seal_ring_newest(&s->ring) != 0 ? &s->ring : NULL};
	char hex[2 * RECORD_KEY_MAX + 1];
	int err = record_decode(family_of(table), &in, out);

	if (err == -ERR_CORRUPT) {
		atomic_fetch_add(&s->damaged, 1);
		hex_encode(hex, span_of(key.ptr, MIN(key.len, (size_t)RECORD_KEY_MAX)));
		log_event(LOG_ERROR, "store_record_damaged",
		          LOG_STR("table", store_table_names[table]), LOG_STR("key", hex));
	}
	return err;
}

int table_get(struct store_txn *t, enum store_table table, struct span key, void *out)
{
	MDB_val k = val_of(key), v;
	int rc = MDB_NOTFOUND;

	if (key.len > 0 && key.len <= RECORD_KEY_MAX)
		rc = mdb_get(t->mdb, t->s->dbi[table], &k, &v);
	if (rc != 0) {
		memset(out, 0, family_of(table)->size);
		return store_err(rc);
	}
	return table_decode(t->s, table, key, span_of_val(v), out);
}

int table_put(struct store_txn *t, enum store_table table, const void *record)
{
	const struct family *f = family_of(table);
	uint8_t key[RECORD_KEY_MAX];
	struct buf value;
	MDB_val k, v;
	int err;

	if (!t->writable)
		return -ERR_READONLY;
	buf_init(&value, RECORD_SIZE_MAX);
	err = record_encode(f, record, &t->s->ring, &value);
	if (err == 0) {
		k = val_of(span_of(key, f->key(record, key)));
		v = val_of(buf_span(&value));
		err = store_err(mdb_put(t->mdb, t->s->dbi[table], &k, &v, 0));
	}
	if (err == 0)
		err = changes_add(&t->s->changes, table, span_of_val(k), true);
	buf_free(&value);
	return err;
}

int table_delete(struct store_txn *t, enum store_table table, struct span key)
{
	MDB_val k = val_of(key);
	int err;

	if (!t->writable)
		return -ERR_READONLY;
	if (key.len == 0 || key.len > RECORD_KEY_MAX)
		return -ERR_NOT_FOUND;
	err = store_err(mdb_del(t->mdb, t->s->dbi[table], &k, NULL));
	return err != 0 ? err : changes_add(&t->s->changes, table, key, false);
}

int index_put(struct store_txn *t, enum store_index index, struct span key, struct span value)
{
	MDB_val k = val_of(key), v = val_of(value);

	return t->writable ? store_err(mdb_put(t->mdb, t->s->index[index], &k, &v, 0))
	                   : -ERR_READONLY;
}

int index_delete(struct store_txn *t, enum store_index index, struct span key)
{
	MDB_val k = val_of(key);
	int rc;

	if (!t->writable)
		return -ERR_READONLY;
	rc = mdb_del(t->mdb, t->s->index[index], &k, NULL);
	return rc == MDB_NOTFOUND ? 0 : store_err(rc);
}

int index_get(struct store_txn *t, enum store_index index, struct span key, struct span *value)
{
	MDB_val k = val_of(key), v;
	int rc = mdb_get(t->mdb, t->s->index[index], &k, &v);

	if (rc != 0)
		return store_err(rc);
	*value = span_of_val(v);
	return 0;
}

/* Puts the cursor on the first record to be shown. */
static int seek(MDB_cursor *c, struct span after, bool reverse, MDB_val *k, MDB_val *v)
{
	int rc;

	if (after.len == 0)
		return mdb_cursor_get(c, k, v, reverse ? MDB_LAST : MDB_FIRST);
	*k = val_of(after);
	rc = mdb_cursor_get(c, k, v, MDB_SET_RANGE);
	if (reverse)
		return mdb_cursor_get(c, k, v, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
	if (rc == 0 && k->mv_size == after.len && memcmp(k->mv_data, after.ptr, after.len) == 0)
		rc = mdb_cursor_get(c, k, v, MDB_NEXT);
	return rc;
}

int store_each(struct store_txn *t, enum store_table table, struct span after, bool reverse,
               store_each_fn *fn, void *arg)
{
	const struct family *f = family_of(table);
	void *record = malloc(f->size);
	MDB_cursor *c = NULL;
	MDB_val k, v;
	int rc, err = 0;

	if (record == NULL)
		return -ERR_NOMEM;
	rc = mdb_cursor_open(t->mdb, t->s->dbi[table], &c);
	if (rc == 0)
		rc = seek(c, after, reverse, &k, &v);
	for (; rc == 0 && err == 0; rc = mdb_cursor_get(c, &k, &v, reverse ? MDB_PREV : MDB_NEXT)) {
		err = table_decode(t->s, table, span_of_val(k), span_of_val(v), record);
		if (err == 0)
			err = fn(arg, span_of_val(k), record);
		else if (err == -ERR_CORRUPT)
			err = 0; /* logged and counted; the others are still good */
	}
	if (c != NULL)
		mdb_cursor_close(c);
	secret_zero(record, f->size);
	free(record);
	if (err != 0)
		return err < 0 ? err : 0;
	return rc == MDB_NOTFOUND ? 0 : store_err(rc);
}
