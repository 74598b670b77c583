/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_help.c: see store_help.h. */
#include "tests/unit/support/store_help.h"
#include "tests/unit/support/test.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t blob[MAX(OPERATION_RESULT_MAX, REQUEST_RESPONSE_MAX)];

void store_home_init(struct store_home *h)
{
	memset(h, 0, sizeof(*h));
	(void)snprintf(h->dir, sizeof(h->dir), "/tmp/causeway-store-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	buf_init(&h->why, 4096);
	if (!store_home_reopen(h))
		fail_msg("%s", buf_cstr(&h->why));
}

bool store_home_reopen(struct store_home *h)
{
	const struct store_opts opts = {.dir = h->dir};

	store_close(h->s);
	buf_clear(&h->why);
	h->s = store_open(&opts, &h->why);
	return h->s != NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void remove_tree(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void store_home_free(struct store_home *h)
{
	store_close(h->s);
	h->s = NULL;
	remove_tree(h->dir);
	buf_free(&h->why);
}

const char *store_home_path(const struct store_home *h, const char *name)
{
	static char path[PATH_MAX + 64];

	(void)snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	return path;
}

/* A text that differs with n and fills its member when full. */
static void fill_text(char *dst, size_t size, const char *what, unsigned n, bool full)
{
	int len = snprintf(dst, size, "%s-%u", what, n);

	if (full && (size_t)len < size - 1) {
		memset(dst + len, 'x', size - 1 - (size_t)len);
		dst[size - 1] = '\0';
	}
}

#define FILL(m, what) fill_text(m, sizeof(m), what, n, full)

static void fill_extra(struct record_extra *x, bool full)
{
	static const uint8_t head[] = {0xcc, 0xc8, 0xc5, 0x03, 0xfb}; /* 200: bin of 1019 octets */

	*x = (struct record_extra){.len = 0};
	if (!full)
		return;
	memcpy(x->bytes, head, sizeof(head));
	memset(x->bytes + sizeof(head), 0x5a, EXTRA_MAX - sizeof(head));
	x->len = EXTRA_MAX;
	x->count = 1;
}

static void fill_credential(struct credential *c, const char *what, unsigned n, bool full)
{
	FILL(c->user, what);
	FILL(c->password, what);
}

void fill_group(struct store_group *g, unsigned n, bool full)
{
	memset(g, 0, sizeof(*g));
	FILL(g->name, "group");
	fill_credential(&g->cira, "SECRETcira", n, full);
	fill_credential(&g->amt, "SECRETamt", n, full);
	g->enroll = full ? ENROLL_REJECT : ENROLL_ACCEPT;
	g->created_ms = full ? UINT64_MAX : 1;
	g->updated_ms = 2;
	fill_extra(&g->extra, full);
}

void fill_device(struct store_device *d, unsigned n, bool full)
{
	memset(d, 0, sizeof(*d));
	for (unsigned i = 0; i < 16; i++)
		d->key.guid.b[i] = (uint8_t)(n >> (8 * (i & 3)));
	d->key.instance = full ? UINT16_MAX : 0;
	FILL(d->name, "device");
	FILL(d->group, "group");
	d->state = DEVICE_HELD;
	fill_credential(&d->cira, "SECRETdev", n, full);
	d->created_ms = 5;
	if (!full)
		return;
	fill_credential(&d->amt, "SECRETdevamt", n, full);
	memset(d->pin_sha256, 0xab, sizeof(d->pin_sha256));
	d->pinned = true;
	d->updated_ms = UINT64_MAX;
	d->labels_len = LABELS_MAX;
	for (unsigned i = 0; i < LABELS_MAX; i++) {
		fill_text(d->labels[i].key, sizeof(d->labels[i].key), "key", i, true);
		fill_text(d->labels[i].value, sizeof(d->labels[i].value), "value", i, true);
	}
	fill_extra(&d->extra, full);
}

void fill_token(struct store_token *t, unsigned n, bool full)
{
	memset(t, 0, sizeof(*t));
	(void)snprintf(t->id, sizeof(t->id), "%016x", n);
	memset(t->sha256, (int)n, sizeof(t->sha256));
	FILL(t->description, "token");
	t->role = ROLE_OPERATOR;
	t->created_ms = 7;
	FILL(t->created_by, "token:admin");
	if (!full)
		return;
	t->groups_len = TOKEN_GROUPS_MAX;
	for (unsigned i = 0; i < TOKEN_GROUPS_MAX; i++)
		fill_text(t->groups[i], sizeof(t->groups[i]), "group", i, true);
	t->scopes_len = TOKEN_SCOPES_MAX;
	for (unsigned i = 0; i < TOKEN_SCOPES_MAX; i++)
		fill_text(t->scopes[i], sizeof(t->scopes[i]), "scope", i, true);
	t->expires_ms = UINT64_MAX;
	fill_extra(&t->extra, full);
}

void fill_audit(struct store_audit *a, unsigned n, bool full)
{
	memset(a, 0, sizeof(*a));
	a->time_ms = n;
	FILL(a->principal, "token:1");
	FILL(a->method, "causeway.v1.X/Y");
	FILL(a->resource, "devices/1");
	FILL(a->request_id, "id");
	FILL(a->outcome, "OK");
	FILL(a->detail, "text");
	fill_extra(&a->extra, full);
}

void fill_operation(struct store_operation *o, unsigned n, bool full)
{
	memset(o, 0, sizeof(*o));
	(void)snprintf(o->id, sizeof(o->id), "%032x", n);
	FILL(o->kind, "power");
	FILL(o->principal, "token:1");
	FILL(o->resource, "devices/1");
	o->state = full ? OPERATION_DONE : OPERATION_RUNNING;
	o->progress_done = UINT32_MAX;
	o->progress_total = 3;
	o->created_ms = 1;
	o->updated_ms = UINT64_MAX; /* recent: not to be trimmed */
	if (full) {
		memset(blob, 0xc1, sizeof(blob));
		o->result = blob;
		o->result_len = sizeof(blob);
	}
	fill_extra(&o->extra, full);
}

void fill_request(struct store_request *r, unsigned n, bool full)
{
	memset(r, 0, sizeof(*r));
	FILL(r->principal, "token:1");
	FILL(r->request_id, "id");
	FILL(r->method, "causeway.v1.X/Y");
	memset(r->request_sha256, (int)n, sizeof(r->request_sha256));
	r->state = REQUEST_DONE;
	r->time_ms = UINT64_MAX;
	r->status = 14;
	FILL(r->message, "message");
	if (full) {
		memset(blob, 0xc1, sizeof(blob));
		r->response = blob;
		r->response_len = REQUEST_RESPONSE_MAX;
	}
	fill_extra(&r->extra, full);
}

int put_groups(struct store_txn *t, void *arg)
{
	const struct range *r = arg;
	struct store_group g;

	for (unsigned i = r->from; i < r->from + r->count; i++) {
		fill_group(&g, i, false);
		assert_int_equal(store_group_put(t, &g), 0);
	}
	return 0;
}

int check_groups(struct store_txn *t, void *arg)
{
	const struct range *r = arg;
	struct store_group g, want;

	for (unsigned i = r->from; i < r->from + r->count; i++) {
		fill_group(&want, i, false);
		assert_int_equal(store_group_get(t, want.name, &g), 0);
		assert_memory_equal(&g, &want, sizeof(g));
	}
	return 0;
}

static int put_much(struct store_txn *t, void *arg)
{
	static struct store_device d;
	static struct store_request q;
	static struct store_operation o;
	static struct store_audit a;

	for (unsigned i = 0; i < *(unsigned *)arg; i++) {
		fill_device(&d, i, i % 4 == 0);
		assert_int_equal(store_device_put(t, &d), 0);
		fill_request(&q, i, i % 10 == 0);
		assert_int_equal(store_request_put(t, &q), 0);
		fill_operation(&o, i, i % 10 == 1);
		assert_int_equal(store_operation_put(t, &o), 0);
		fill_audit(&a, i, false);
		assert_int_equal(store_audit_append(t, &a), 0);
	}
	return store_setting_put(t, "api.cursor_key", span_str("SECRETsetting"), true);
}

/* Groups and everything else, several commits, some of it replaced so that there are free pages. */
void store_home_fill(struct store_home *h)
{
	struct range r = {0, 100};
	unsigned n = 60;

	assert_int_equal(store_update(h->s, put_groups, &r), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(store_update(h->s, put_much, &n), 0);
}

void store_home_verify(struct store *s)
{
	struct range r = {0, 100};

	assert_int_equal(store_view(s, check_groups, &r), 0);
}

int store_problems(struct store *s, struct buf *out)
{
	buf_init(out, 1 << 20);
	return store_check(s, out);
}

void store_assert_sound(struct store *s)
{
	struct buf out;
	int n = store_problems(s, &out);

	if (n != 0)
		fail_msg("%d: %s", n, buf_cstr(&out));
	buf_free(&out);
}
