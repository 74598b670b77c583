/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_help.h: a store in a temporary folder, and sample records, for the store's tests. */
#pragma once

#include "core/buf.h"
#include "store/store.h"

#include <limits.h>

struct store_home {
	char dir[PATH_MAX];
	struct store *s;
	struct buf why;
};

/* store_home_init: makes the folder and opens a store in it; asserts. store_home_free closes and removes everything. */
void store_home_init(struct store_home *h);
void store_home_free(struct store_home *h);
/* store_home_reopen: closes if open, opens again; false: h->why says why. */
bool store_home_reopen(struct store_home *h);
/* store_home_path: dir/name, in a static buffer. */
const char *store_home_path(const struct store_home *h, const char *name);
void remove_tree(const char *dir);

/* fill_*: valid records number n, with every member as long as it may be when full. */
void fill_group(struct store_group *g, unsigned n, bool full);
void fill_device(struct store_device *d, unsigned n, bool full);
void fill_token(struct store_token *t, unsigned n, bool full);
void fill_audit(struct store_audit *a, unsigned n, bool full);
void fill_operation(struct store_operation *o, unsigned n, bool full);
void fill_request(struct store_request *r, unsigned n, bool full);

/* Groups from..from+count-1: store_update's and store_view's functions for a struct range. */
struct range {
	unsigned from, count;
};
int put_groups(struct store_txn *t, void *arg);
int check_groups(struct store_txn *t, void *arg);
/* store_home_fill: something in every table, in several commits, some of it replaced. verify: its groups are there. */
void store_home_fill(struct store_home *h);
void store_home_verify(struct store *s);
/* store_problems: store_check with out initialised; the caller frees it. store_assert_sound: there are none. */
int store_problems(struct store *s, struct buf *out);
void store_assert_sound(struct store *s);
