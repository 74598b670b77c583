/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * migrate.c: the schema version of the file. A change that only adds fields needs no new version (store/codec.h). A new
 * version needs a step here; steps run in one transaction, so that a crash leaves the old version or the new one.
 */
#include "store/internal.h"

#include <inttypes.h>
#include <string.h>

#define SCHEMA_KEY "schema"

/* Version 1 is the first. A step {1, f} would lead from 1 to 2. */
const struct migration store_migrations[] = {{0, NULL}};
const size_t store_migrations_len = 0;

int store_schema_get(struct store *s, MDB_txn *txn, uint32_t *version)
{
	MDB_val k = val_of(span_str(SCHEMA_KEY)), v;
	int rc = mdb_get(txn, s->index[INDEX_META], &k, &v);
	struct cur c;

	if (rc != 0)
		return store_err(rc);
	c = cur_of(span_of_val(v));
	*version = cur_u32(&c);
	return c.err == 0 && c.left == 0 && *version > 0 ? 0 : -ERR_CORRUPT;
}

int store_schema_put(struct store *s, MDB_txn *txn, uint32_t version)
{
	uint8_t be[4] = {(uint8_t)(version >> 24), (uint8_t)(version >> 16),
	                 (uint8_t)(version >> 8), (uint8_t)version};
	MDB_val k = val_of(span_str(SCHEMA_KEY)), v = val_of(span_of(be, sizeof(be)));

	return store_err(mdb_put(txn, s->index[INDEX_META], &k, &v, 0));
}

static const struct migration *find_step(const struct migration *list, size_t len, uint32_t from)
{
	for (size_t i = 0; i < len; i++)
		if (list[i].from == from)
			return &list[i];
	return NULL;
}

int migrate_too_new(const struct store *s, uint32_t version, uint32_t known, struct buf *why)
{
	buf_printf(why,
	           "the store in %s has format %" PRIu32
	           ", made by a newer version of causewayd; this one knows "
	           "formats up to %" PRIu32
	           ": install the newer version again, or restore a backup made before it",
	           s->dir, version, known);
	return -ERR_UNSUPPORTED;
}

int migrate_run(struct store *s, MDB_txn *txn, const struct migration *list, size_t len,
                uint32_t to, struct buf *why)
{
	uint32_t version = to;
	int err = store_schema_get(s, txn, &version);

	if (err == -ERR_NOT_FOUND) /* just made */
		return store_schema_put(s, txn, to);
	if (err == 0 && version > to)
		return migrate_too_new(s, version, to, why);
	for (; err == 0 && version < to; version++) {
		const struct migration *step = find_step(list, len, version);

		err = step != NULL ? step->run(s, txn) : -ERR_UNSUPPORTED;
		if (err == 0)
			err = store_schema_put(s, txn, version + 1);
		if (err != 0)
			break;
	}
	if (err != 0)
		buf_printf(why,
		           "cannot bring the store in %s from format %" PRIu32 " to %" PRIu32
		           ": %s; nothing was changed",
		           s->dir, version, to, err_text(err));
	return err;
}
