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
