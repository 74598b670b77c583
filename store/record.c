/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * record.c: get, put and delete of each table, as store.h promises, and the indexes that go with them: an enrolment user
 * names one group; finished operations and requests stand in the order of their times so that trimming finds the oldest.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- groups ---- */

int store_group_get(struct store_txn *t, const char *name, struct store_group *out)
{
	return table_get(t, STORE_GROUPS, span_str(name), out);
}

/* Takes the stored group's user out of the index. */
static int forget_user(struct store_txn *t, const char *name)
{
	struct store_group old;
	int err = store_group_get(t, name, &old);

	if (err == 0 && old.cira.user[0] != '\0')
		err = index_delete(t, INDEX_USERS, span_str(old.cira.user));
	secret_zero(&old, sizeof(old));
	return err == -ERR_NOT_FOUND ? 0 : err;
}

int store_group_put(struct store_txn *t, const struct store_group *g)
{
	struct span owner, name = span_of(g->name, strnlen(g->name, sizeof(g->name)));
	struct span user = span_of(g->cira.user, strnlen(g->cira.user, sizeof(g->cira.user)));
	int err;

	if (!t->writable)
		return -ERR_READONLY;
	if (name.len == 0)
		return -ERR_INVALID;
	if (name.len == sizeof(g->name) || user.len == sizeof(g->cira.user))
		return -ERR_TOO_BIG;
	if (user.len > 0) {
		err = index_get(t, INDEX_USERS, user, &owner);
		if (err == 0 &&
		    (owner.len != name.len || memcmp(owner.ptr, name.ptr, name.len) != 0))
			return -ERR_EXISTS;
		if (err != 0 && err != -ERR_NOT_FOUND)
			return err;
	}
	err = forget_user(t, g->name);
	if (err == 0)
		err = table_put(t, STORE_GROUPS, g);
	if (err == 0 && user.len > 0)
		err = index_put(t, INDEX_USERS, user, name);
	return err;
}

int store_group_delete(struct store_txn *t, const char *name)
{
	int err = forget_user(t, name);

	return err != 0 ? err : table_delete(t, STORE_GROUPS, span_str(name));
}

/* ---- devices and tokens ---- */

int store_device_get(struct store_txn *t, const struct device_key *k, struct store_device *out)
{
	uint8_t key[RECORD_KEY_MAX];

	return table_get(t, STORE_DEVICES, span_of(key, record_key_device(k, key)), out);
}

int store_device_put(struct store_txn *t, const struct store_device *d)
{
	return table_put(t, STORE_DEVICES, d);
}

int store_device_delete(struct store_txn *t, const struct device_key *k)
{
	uint8_t key[RECORD_KEY_MAX];

	return table_delete(t, STORE_DEVICES, span_of(key, record_key_device(k, key)));
}

int store_token_get(struct store_txn *t, const char *id, struct store_token *out)
{
	return table_get(t, STORE_TOKENS, span_str(id), out);
}

int store_token_put(struct store_txn *t, const struct store_token *tok)
{
	return table_put(t, STORE_TOKENS, tok);
}

int store_token_delete(struct store_txn *t, const char *id)
{
	return table_delete(t, STORE_TOKENS, span_str(id));
}

/* ---- audit ---- */

/* The number of the last entry, 0: none. */
static int last_seq(struct store_txn *t, uint64_t *seq)
{
	MDB_cursor *c;
	MDB_val k, v;
	int rc = mdb_cursor_open(t->mdb, t->s->dbi[STORE_AUDIT], &c);

	*seq = 0;
	if (rc != 0)
		return store_err(rc);
	rc = mdb_cursor_get(c, &k, &v, MDB_LAST);
	if (rc == 0) {
		struct cur at = cur_of(span_of_val(k));
		uint64_t high = cur_u32(&at);

		*seq = high << 32 | cur_u32(&at);
		rc = at.err != 0 ? MDB_CORRUPTED : 0;
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : store_err(rc);
}

int store_audit_append(struct store_txn *t, struct store_audit *a)
{
	int err;

	if (!t->writable)
		return -ERR_READONLY;
	err = last_seq(t, &a->seq);
	if (err != 0)
		return err;
	a->seq++;
	return table_put(t, STORE_AUDIT, a);
}

/* ---- operations and requests ---- */

size_t times_key(uint8_t out[TIMES_KEY_MAX], enum store_table table, uint64_t ms, struct span key)
{
	uint8_t be[RECORD_KEY_MAX];

	ASSERT(key.len <= RECORD_KEY_MAX);
	out[0] = (uint8_t)table;
	memcpy(out + 1, be, record_key_u64(ms, be));
	memcpy(out + 9, key.ptr, key.len);
	return 9 + key.len;
}

static int times_set(struct store_txn *t, enum store_table table, uint64_t ms, struct span key)
{
	uint8_t k[TIMES_KEY_MAX];

	return index_put(t, INDEX_TIMES, span_of(k, times_key(k, table, ms, key)), span_of("", 0));
}

static int times_clear(struct store_txn *t, enum store_table table, uint64_t ms, struct span key)
{
	uint8_t k[TIMES_KEY_MAX];

	return index_delete(t, INDEX_TIMES, span_of(k, times_key(k, table, ms, key)));
}

/* A blob that outlives the transaction. On failure the record must not keep the borrowed one. */
static int own_blob(uint8_t **blob, uint32_t len)
{
	uint8_t *copy;

	if (len == 0) {
		*blob = NULL;
		return 0;
	}
	copy = malloc(len);
	if (copy != NULL)
		memcpy(copy, *blob, len);
	*blob = copy;
	return copy != NULL ? 0 : -ERR_NOMEM;
}

static bool operation_ended(const struct store_operation *o)
{
	return o->state != OPERATION_RUNNING;
}

int store_operation_get(struct store_txn *t, const char *id, struct store_operation *out)
{
	int err = table_get(t, STORE_OPERATIONS, span_str(id), out);

	return err != 0 ? err : own_blob(&out->result, out->result_len);
}

int store_operation_put(struct store_txn *t, const struct store_operation *o)
{
	struct store_operation old;
	struct span key = span_of(o->id, strnlen(o->id, sizeof(o->id)));
	int err;

	if (!t->writable)
		return -ERR_READONLY;
	err = table_get(t, STORE_OPERATIONS, key, &old);
	if (err == 0 && operation_ended(&old))
		err = times_clear(t, STORE_OPERATIONS, old.updated_ms, key);
	if (err == 0 || err == -ERR_NOT_FOUND)
		err = table_put(t, STORE_OPERATIONS, o);
	if (err == 0 && operation_ended(o))
		err = times_set(t, STORE_OPERATIONS, o->updated_ms, key);
	return err;
}

int store_request_get(struct store_txn *t, const char *principal, const char *request_id,
                      struct store_request *out)
{
	uint8_t key[RECORD_KEY_MAX];
	int err = table_get(t, STORE_REQUESTS,
	                    span_of(key, record_key_request(principal, request_id, key)), out);

	return err != 0 ? err : own_blob(&out->response, out->response_len);
}

int store_request_put(struct store_txn *t, const struct store_request *r)
{
	const struct family *f = family_of(STORE_REQUESTS);
	uint8_t bytes[RECORD_KEY_MAX];
	struct span key = span_of(bytes, f->key(r, bytes));
	struct store_request old;
	int err;

	if (!t->writable)
		return -ERR_READONLY;
	if (key.len == 0)
		return -ERR_INVALID;
	err = table_get(t, STORE_REQUESTS, key, &old);
	if (err == 0)
		err = times_clear(t, STORE_REQUESTS, old.time_ms, key);
	if (err == 0 || err == -ERR_NOT_FOUND)
		err = table_put(t, STORE_REQUESTS, r);
	if (err == 0)
		err = times_set(t, STORE_REQUESTS, r->time_ms, key);
	return err;
}

/* ---- settings ---- */

int store_setting_get(struct store_txn *t, const char *name, struct buf *out)
{
	struct store_setting s;
	int err = table_get(t, STORE_SETTINGS, span_str(name), &s);

	if (err == 0) {
		buf_put(out, s.value, s.value_len);
		err = out->err;
	}
	secret_zero(&s, sizeof(s));
	return err;
}

int store_setting_put(struct store_txn *t, const char *name, struct span value, bool secret)
{
	struct store_setting s;
	int err = table_get(t, STORE_SETTINGS, span_str(name),
	                    &s); /* for what a newer version keeps in it */

	if (value.len > SETTING_VALUE_MAX || !str_copy(s.name, sizeof(s.name), name))
		err = -ERR_TOO_BIG;
	if (err == 0 || err == -ERR_NOT_FOUND) {
		s.secret = secret;
		s.value_len = (uint16_t)value.len;
		if (value.len > 0)
			memcpy(s.value, value.ptr, value.len);
		err = table_put(t, STORE_SETTINGS, &s);
	}
	secret_zero(&s, sizeof(s));
	return err;
}
