/* SPDX-License-Identifier: GPL-3.0-or-later */
/* registry.c: loading, and keeping in step with the store through its commit hook. */
#include "gateway/internal.h"
#include "gateway/registry_internal.h"
#include "core/err.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

void device_key_pack(const struct device_key *k, uint8_t out[DEVICE_KEY_SIZE])
{
	memcpy(out, k->guid.b, 16);
	out[16] = (uint8_t)(k->instance >> 8);
	out[17] = (uint8_t)k->instance;
}

static void device_key_unpack(struct span packed, struct device_key *k)
{
	ASSERT(packed.len == DEVICE_KEY_SIZE);
	memcpy(k->guid.b, packed.ptr, 16);
	k->instance = (uint16_t)(packed.ptr[16] << 8 | packed.ptr[17]);
}

struct device *registry_device(struct registry *r, const struct device_key *key)
{
	uint8_t packed[DEVICE_KEY_SIZE];

	device_key_pack(key, packed);
	return map_get(&r->devices, span_of(packed, sizeof(packed)));
}

void device_event(struct registry *r, const struct device *d, enum device_event_kind kind)
{
	struct device_event ev = {.kind = kind, .key = d->key, .power = d->power};

	(void)str_copy(ev.group, sizeof(ev.group), d->group);
	events_publish(r->events, &ev);
}

static void credential_free(struct credential *c)
{
	if (c != NULL)
		secret_zero(c, sizeof(*c));
	free(c);
}

/* Replaces *place by a copy of c, or by NULL when c has no user. */
static int credential_keep(struct credential **place, const struct credential *c)
{
	struct credential *copy = NULL;

	if (c->user[0] != '\0') {
		copy = malloc(sizeof(*copy));
		if (copy == NULL)
			return -ERR_NOMEM;
		*copy = *c;
	}
	credential_free(*place);
	*place = copy;
	return 0;
}

static bool credential_same(const struct credential *a, const struct credential *b)
{
	if (a == NULL)
		return b->user[0] == '\0';
	return strcmp(a->user, b->user) == 0 && strcmp(a->password, b->password) == 0;
}

/* New credentials deserve new tries. */
static void amt_retry(struct device *d)
{
	free(d->amt_problem);
	d->amt_problem = NULL;
	d->amt_refusals = 0;
}

/* The record's parts that are kept outside struct device, since most devices have few of them. NULL where there is nothing. */
struct parts {
	const char *group;
	char *name;
	uint8_t *pin_sha256;
	struct label *labels;
};

static void *copy_of(const void *data, size_t n, bool wanted, int *err)
{
	void *copy = wanted ? malloc(n) : NULL;

	if (copy != NULL)
		memcpy(copy, data, n);
	else if (wanted)
		*err = -ERR_NOMEM;
	return copy;
}

static void parts_free(struct registry *r, const struct parts *p)
{
	names_give(&r->names, p->group);
	free(p->name);
	free(p->pin_sha256);
	free(p->labels);
}

static int parts_make(struct registry *r, const struct store_device *rec, struct parts *p)
{
	int err = 0;

	p->group = names_take(&r->names, rec->group);
	p->name = copy_of(rec->name, strlen(rec->name) + 1, rec->name[0] != '\0', &err);
	p->pin_sha256 = copy_of(rec->pin_sha256, sizeof(rec->pin_sha256), rec->pinned, &err);
	p->labels = copy_of(rec->labels, rec->labels_len * sizeof(rec->labels[0]),
	                    rec->labels_len > 0, &err);
	if (p->group != NULL && err == 0)
		return 0;
	parts_free(r, p);
	return -ERR_NOMEM;
}

static int device_apply(struct registry *r, struct device *d, const struct store_device *rec)
{
	const struct parts old = {d->group, d->name, d->pin_sha256, d->labels};
	struct parts p;

	if (!credential_same(d->amt, &rec->amt))
		amt_retry(d);
	if (credential_keep(&d->cira, &rec->cira) != 0 || credential_keep(&d->amt, &rec->amt) != 0)
		return -ERR_NOMEM;
	if (parts_make(r, rec, &p) != 0)
		return -ERR_NOMEM;
	parts_free(r, &old);
	d->group = p.group;
	d->name = p.name;
	d->pin_sha256 = p.pin_sha256;
	d->labels = p.labels;
	d->labels_len = rec->labels_len;
	d->key = rec->key;
	d->state = (uint8_t)rec->state;
	d->created_ms = rec->created_ms;
	d->updated_ms = rec->updated_ms;
	return 0;
}

static void device_free(struct registry *r, struct device *d)
{
	parts_free(r, &(struct parts){d->group, d->name, d->pin_sha256, d->labels});
	credential_free(d->cira);
	credential_free(d->amt);
	free(d->facts);
	free(d->amt_problem);
	free(d);
}

/* Where the key stands or would stand in the sorted array. */
static size_t sorted_at(const struct registry *r, const struct device_key *key)
{
	uint8_t want[DEVICE_KEY_SIZE], have[DEVICE_KEY_SIZE];
	size_t lo = 0, hi = r->sorted_len;

	device_key_pack(key, want);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		device_key_pack(&r->sorted[mid]->key, have);
		if (memcmp(have, want, DEVICE_KEY_SIZE) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int sorted_insert(struct registry *r, struct device *d)
{
	size_t at;

	if (r->sorted_len == r->sorted_alloc) {
		size_t n = r->sorted_alloc > 0 ? r->sorted_alloc * 2 : 256;
		struct device **p = reallocarray(r->sorted, n, sizeof(r->sorted[0]));

		if (p == NULL)
			return -ERR_NOMEM;
		r->sorted = p;
		r->sorted_alloc = n;
	}
	at = sorted_at(r, &d->key);
	memmove(&r->sorted[at + 1], &r->sorted[at], (r->sorted_len - at) * sizeof(r->sorted[0]));
	r->sorted[at] = d;
	r->sorted_len++;
	return 0;
}

static void sorted_remove(struct registry *r, const struct device *d)
{
	size_t at = sorted_at(r, &d->key);

	ASSERT(at < r->sorted_len && r->sorted[at] == d);
	r->sorted_len--;
	memmove(&r->sorted[at], &r->sorted[at + 1], (r->sorted_len - at) * sizeof(r->sorted[0]));
}

static int device_add(struct registry *r, const struct store_device *rec)
{
	uint8_t packed[DEVICE_KEY_SIZE];
	struct device *d = calloc(1, sizeof(*d));
	int err = d != NULL ? device_apply(r, d, rec) : -ERR_NOMEM;

	device_key_pack(&rec->key, packed);
	if (err == 0)
		err = map_put(&r->devices, span_of(packed, sizeof(packed)), d);
	if (err == 0) {
		err = sorted_insert(r, d);
		if (err != 0)
			(void)map_remove(&r->devices, span_of(packed, sizeof(packed)));
	}
	if (err != 0 && d != NULL)
		device_free(r, d);
	return err;
}

static int device_put(struct registry *r, const struct store_device *rec)
{
	struct device *d = registry_device(r, &rec->key);
	int err = d != NULL ? device_apply(r, d, rec) : device_add(r, rec);
	bool added = d == NULL;

	if (err == 0)
		device_event(r, registry_device(r, &rec->key),
		             added ? DEVICE_EVENT_ADDED : DEVICE_EVENT_UPDATED);
	return err;
}

/* Returns where the tunnel of the removed device is, so that it can be closed. */
static struct live_ref device_remove(struct registry *r, const struct device_key *key)
{
	uint8_t packed[DEVICE_KEY_SIZE];
	struct live_ref ref = {0};
	struct device *d;

	device_key_pack(key, packed);
	d = map_remove(&r->devices, span_of(packed, sizeof(packed)));
	if (d == NULL)
		return ref;
	if (d->live != NULL)
		ref = (struct live_ref){d->live->worker, d->live->handle};
	r->connected -= d->live != NULL ? 1 : 0;
	sorted_remove(r, d);
	device_event(r, d, DEVICE_EVENT_REMOVED);
	device_free(r, d);
	return ref;
}

/* ---- groups and tokens ---- */

static void group_remove(struct registry *r, const char *name)
{
	struct store_group *g = map_remove(&r->groups, span_str(name));

	if (g == NULL)
		return;
	if (map_get(&r->cira_users, span_str(g->cira.user)) == g)
		(void)map_remove(&r->cira_users, span_str(g->cira.user));
	secret_zero(g, sizeof(*g));
	free(g);
}

/* A group's new AMT account is worth a new try on all its devices without their own. */
static void group_amt_retry(struct registry *r, const char *name)
{
	for (size_t i = 0; i < r->sorted_len; i++)
		if (r->sorted[i]->amt == NULL && strcmp(r->sorted[i]->group, name) == 0)
			amt_retry(r->sorted[i]);
}

static int group_put(struct registry *r, const struct store_group *rec)
{
	const struct store_group *old = map_get(&r->groups, span_str(rec->name));
	struct store_group *g = malloc(sizeof(*g));
	int err;

	if (g == NULL)
		return -ERR_NOMEM;
	if (old != NULL && !credential_same(&old->amt, &rec->amt))
		group_amt_retry(r, rec->name);
	*g = *rec;
	group_remove(r, rec->name);
	err = map_put(&r->groups, span_str(g->name), g);
	if (err != 0) {
		secret_zero(g, sizeof(*g));
		free(g);
		return err;
	}
	if (g->cira.user[0] != '\0')
		err = map_put(&r->cira_users, span_str(g->cira.user), g);
	return err;
}

static void token_remove(struct registry *r, const char *id)
{
	struct store_token *t = map_remove(&r->token_ids, span_str(id));

	if (t == NULL)
		return;
	(void)map_remove(&r->tokens, span_of(t->sha256, 32));
	free(t);
}

static int token_put(struct registry *r, const struct store_token *rec)
{
	struct store_token *t = malloc(sizeof(*t));
	int err;

	if (t == NULL)
		return -ERR_NOMEM;
	*t = *rec;
	token_remove(r, rec->id);
	err = map_put(&r->token_ids, span_str(t->id), t);
	if (err != 0) {
		free(t);
		return err;
	}
	err = map_put(&r->tokens, span_of(t->sha256, 32), t);
	if (err != 0)
		token_remove(r, rec->id);
	return err;
}

/* ---- loading and following the store ---- */

static int load_group(void *arg, struct span key, const void *record)
{
	(void)key;
	return group_put(arg, record);
}

static int load_device(void *arg, struct span key, const void *record)
{
	(void)key;
	return device_add(arg, record);
}

static int load_token(void *arg, struct span key, const void *record)
{
	(void)key;
	return token_put(arg, record);
}

static int load_all(struct store_txn *t, void *arg)
{
	const struct span start = {0};
	int err = store_each(t, STORE_GROUPS, start, false, load_group, arg);

	if (err == 0)
		err = store_each(t, STORE_DEVICES, start, false, load_device, arg);
	if (err == 0)
		err = store_each(t, STORE_TOKENS, start, false, load_token, arg);
	return err;
}

struct follow {
	struct registry *r;
	const struct store_change *change;
};

/* Reads the changed record and puts it in place. Records are large: static per thread would be shared; the heap is right. */
static int follow_one(struct store_txn *t, void *arg)
{
	const struct follow *f = arg;
	union {
		struct store_group group;
		struct store_device device;
		struct store_token token;
	} *rec = malloc(sizeof(*rec));
	char name[NAME_MAX_LEN + 1];
	int err;

	if (rec == NULL)
		return -ERR_NOMEM;
	(void)str_copy_span(name, sizeof(name),
	                    f->change->table == STORE_DEVICES ? span_str("") : f->change->key);
	if (f->change->table == STORE_GROUPS) {
		err = store_group_get(t, name, &rec->group);
		err = err == 0 ? group_put(f->r, &rec->group) : err;
	} else if (f->change->table == STORE_DEVICES) {
		struct device_key key;

		device_key_unpack(f->change->key, &key);
		err = store_device_get(t, &key, &rec->device);
		err = err == 0 ? device_put(f->r, &rec->device) : err;
	} else {
		err = store_token_get(t, name, &rec->token);
		err = err == 0 ? token_put(f->r, &rec->token) : err;
	}
	secret_zero(rec, sizeof(*rec));
	free(rec);
	return err;
}

static struct live_ref follow_removal(struct registry *r, const struct store_change *c)
{
	struct live_ref none = {0};
	struct device_key key;
	char name[NAME_MAX_LEN + 1];

	if (c->table == STORE_DEVICES) {
		device_key_unpack(c->key, &key);
		return device_remove(r, &key);
	}
	(void)str_copy_span(name, sizeof(name), c->key);
	if (c->table == STORE_GROUPS)
		group_remove(r, name);
	else
		token_remove(r, name);
	return none;
}

/* Memory and store are out of step until a restart: the limits of registry.h, or no memory. */
static void follow_failed(int err)
{
	gw_count(GW_REGISTRY_FAILED);
	log_event(LOG_ERROR, "registry_follow", LOG_ERR("err", err));
}

static void follow(void *arg, const struct store_change *changes, size_t len)
{
	struct registry *r = arg;

	for (size_t i = 0; i < len; i++) {
		struct follow f = {.r = r, .change = &changes[i]};
		struct live_ref gone = {0};
		int err = 0;

		shared_lock_write(&r->lock);
		if (changes[i].exists)
			err = store_view(r->store, follow_one, &f);
		else
			gone = follow_removal(r, &changes[i]);
		shared_lock_write_end(&r->lock);
		if (err != 0 && err != -ERR_NOT_FOUND)
			follow_failed(err);
		if (gone.handle != 0 && r->removed != NULL)
			r->removed(r->removed_arg, gone);
	}
}

struct registry *registry_new(struct store *store, struct events *events, struct buf *why)
{
	struct registry *r = calloc(1, sizeof(*r));
	int err;

	if (r == NULL)
		return NULL;
	r->store = store;
	r->events = events;
	shared_lock_init(&r->lock);
	map_init(&r->devices, DEVICE_KEY_SIZE, REGISTRY_DEVICES_MAX);
	names_init(&r->names, REGISTRY_DEVICES_MAX);
	map_init(&r->groups, 0, REGISTRY_GROUPS_MAX);
	map_init(&r->cira_users, 0, REGISTRY_GROUPS_MAX);
	map_init(&r->tokens, 32, REGISTRY_TOKENS_MAX);
	map_init(&r->token_ids, 0, REGISTRY_TOKENS_MAX);
	store_on_commit(store, follow, r);
	err = store_view(store, load_all, r);
	if (err != 0) {
		buf_printf(why,
		           "cannot load the records of the store: %s; causewayd --check says which",
		           err_text(err));
		registry_free(r);
		return NULL;
	}
	return r;
}

void registry_free(struct registry *r)
{
	struct span key;
	void *value;
	uint32_t pos = 0;

	if (r == NULL)
		return;
	store_on_commit(r->store, NULL, NULL);
	for (size_t i = 0; i < r->sorted_len; i++)
		device_free(r, r->sorted[i]);
	free(r->sorted);
	while (map_next(&r->groups, &pos, &key, &value)) {
		secret_zero(value, sizeof(struct store_group));
		free(value);
	}
	pos = 0;
	while (map_next(&r->token_ids, &pos, &key, &value))
		free(value);
	map_free(&r->devices);
	names_free(&r->names);
	map_free(&r->groups);
	map_free(&r->cira_users);
	map_free(&r->tokens);
	map_free(&r->token_ids);
	shared_lock_fini(&r->lock);
	free(r);
}

void registry_on_removed(struct registry *r, registry_removed_fn *fn, void *arg)
{
	r->removed_arg = arg;
	r->removed = fn;
}

bool registry_token(struct registry *r, const uint8_t sha256[32], struct store_token *out)
{
	const struct store_token *t;

	shared_lock_read(&r->lock);
	t = map_get(&r->tokens, span_of(sha256, 32));
	if (t != NULL)
		*out = *t;
	shared_lock_read_end(&r->lock);
	return t != NULL;
}

int registry_group(struct registry *r, const char *name, struct store_group *out)
{
	const struct store_group *g;

	shared_lock_read(&r->lock);
	g = map_get(&r->groups, span_str(name));
	if (g != NULL)
		*out = *g;
	shared_lock_read_end(&r->lock);
	return g != NULL ? 0 : -ERR_NOT_FOUND;
}
