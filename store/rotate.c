/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rotate.c: a new sealing key. The key file holds the old and the new key until every secret is sealed with the new one, so a
 * crash at any point leaves a store that opens; calling store_rotate_key again then finishes the work. A key file that came as
 * a credential is never written: there the operator adds the new key first and removes the old one afterwards.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#define ROTATE_BATCH 128

static const enum store_table sealed_tables[] = {STORE_GROUPS, STORE_DEVICES, STORE_SETTINGS};

struct rotation {
	enum store_table table;
	uint8_t after[RECORD_KEY_MAX]; /* where the next batch starts */
	size_t after_len;
	bool ended;
};

/* Seals one record again if an older key sealed something in it. The value may move, so all of it is decoded first. */
static int reseal(struct store_txn *t, enum store_table table, struct span key, struct span value)
{
	const struct family *f = family_of(table);
	uint32_t oldest = UINT32_MAX;
	struct record_input in = {
		.key = key, .value = value, .ring = &t->s->ring, .oldest = &oldest};
	void *record = malloc(f->size);
	struct buf out;
	MDB_val k = val_of(key), v;
	int err;

	if (record == NULL)
		return -ERR_NOMEM;
	buf_init(&out, RECORD_SIZE_MAX);
	err = record_decode(f, &in, record);
	if (err == 0 && oldest < seal_ring_newest(&t->s->ring)) {
		err = record_encode(f, record, &t->s->ring, &out);
		v = val_of(buf_span(&out));
		if (err == 0)
			err = store_err(mdb_put(t->mdb, t->s->dbi[table], &k, &v, 0));
	}
	buf_free(&out);
	secret_zero(record, f->size);
	free(record);
	return err;
}

/* The next record behind r->after; its key goes there. */
static int step(struct store_txn *t, struct rotation *r, MDB_val *v)
{
	MDB_val k = val_of(span_of(r->after, r->after_len));
	MDB_cursor *c;
	int rc = mdb_cursor_open(t->mdb, t->s->dbi[r->table], &c);

	if (rc != 0)
		return store_err(rc);
	rc = mdb_cursor_get(c, &k, v, r->after_len == 0 ? MDB_FIRST : MDB_SET_RANGE);
	if (rc == 0 && k.mv_size == r->after_len && memcmp(k.mv_data, r->after, r->after_len) == 0)
		rc = mdb_cursor_get(c, &k, v, MDB_NEXT);
	if (rc == 0) {
		r->after_len = MIN(k.mv_size, sizeof(r->after));
		memcpy(r->after, k.mv_data, r->after_len);
	}
	mdb_cursor_close(c);
	return store_err(rc);
}

static int reseal_some(struct store_txn *t, void *arg)
{
	struct rotation *r = arg;
	MDB_val v = {.mv_size = 0};
	int err = 0;

	for (int i = 0; i < ROTATE_BATCH && err == 0; i++) {
		err = step(t, r, &v);
		if (err == -ERR_NOT_FOUND) {
			r->ended = true;
			return 0;
		}
		if (err == 0)
			err = reseal(t, r->table, span_of(r->after, r->after_len), span_of_val(v));
	}
	return err;
}

static int reseal_table(struct store *s, enum store_table table, struct buf *why)
{
	struct rotation r = {.table = table};
	int err = 0;

	while (err == 0 && !r.ended)
		err = store_update(s, reseal_some, &r);
	if (err != 0)
		buf_printf(why,
		           "cannot seal the %s again: %s; the old key is kept, run the rotation "
		           "again after repair",
		           store_table_names[table], err_text(err));
	return err;
}

static int take_new_key(struct store_txn *t, void *arg)
{
	(void)arg;
	return canary_write(t);
}

/* A new key, unless one waits already: an unfinished rotation, or a second key in a credential. */
static int prepare(struct store *s, struct buf *why)
{
	seal_ring_forget(&s->ring);
	if (seal_ring_len(&s->ring) > 1)
		return 0;
	if (!s->ring.external)
		return seal_ring_add(&s->ring, why);
	buf_printf(why,
	           "the sealing key is a credential (%s): add a second \"key ID HEX\" line with a "
	           "higher ID to it, restart, "
	           "rotate, then remove the old line",
	           s->ring.path);
	return -ERR_PRECONDITION;
}

int store_rotate_key(struct store *s, struct buf *why)
{
	size_t said = why->len;
	int err;

	if (s->read_only || atomic_exchange(&s->rotating, true)) {
		err = s->read_only ? -ERR_READONLY : -ERR_BUSY;
		buf_printf(why, "cannot rotate the sealing key now: %s", err_text(err));
		return err;
	}
	err = prepare(s, why);
	if (err == 0)
		err = store_update(s, take_new_key, NULL);
	for (size_t i = 0; i < ARRAY_LEN(sealed_tables) && err == 0; i++)
		err = reseal_table(s, sealed_tables[i], why);
	if (err == 0 && !s->ring.external)
		err = seal_ring_retire(&s->ring, why);
	atomic_store(&s->rotating, false);
	if (err != 0 && why->len == said)
		buf_printf(why, "cannot rotate the sealing key: %s; the old one stays valid",
		           err_text(err));
	return err;
}
