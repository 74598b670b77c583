/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pending.c: the table holds what waits; an entry's fiber owns the entry. Who takes an entry out of the table before it is due posts a
 * wake to the fiber's loop, and the fiber frees the entry only after that wake has run.
 */
#include "mgmtapi/pending.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/map.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/mutation.h"
#include "mgmtapi/power.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct pending_table *table;
	struct pending_power what;
	struct task wake;
	struct loop *loop;
	struct fiber *fiber;
	uint64_t due_mono_ms;
	bool removed; /* under the table's lock: wake was posted */
	bool woken;   /* loop thread: wake has run */
};

struct pending_table {
	struct api *api;
	pthread_mutex_t lock;
	struct map entries; /* device key as text */
};

struct pending_table *pending_new(struct api *a)
{
	struct pending_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->api = a;
	(void)pthread_mutex_init(&t->lock, NULL);
	map_init(&t->entries, 0, PENDING_MAX);
	return t;
}

void pending_free(struct pending_table *t)
{
	if (t == NULL)
		return;
	map_free(&t->entries); /* the fibers, which own the entries, have ended with their loops */
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}

unsigned pending_count(struct pending_table *t)
{
	unsigned n;

	pthread_mutex_lock(&t->lock);
	n = t->entries.count;
	pthread_mutex_unlock(&t->lock);
	return n;
}

static void wake_entry(struct task *task)
{
	struct entry *e = container_of(task, struct entry, wake);

	e->woken = true;
	fiber_wake(e->fiber);
}

/* Table locked. */
static void detach(struct entry *e)
{
	e->removed = true;
	(void)loop_post(e->loop, &e->wake);
}

/* ---- when it is due ---- */

struct note {
	const struct pending_power *p;
	const char *outcome, *detail;
};

static int txn_note(struct store_txn *txn, void *arg)
{
	const struct note *n = arg;
	char resource[DEVICE_KEY_TEXT_MAX + 16] = "devices/";
	const struct audit_entry e = {
		.principal = n->p->principal,
		.method = "system/DelayedPower",
		.resource = resource,
		.outcome = n->outcome,
		.detail = n->detail,
	};

	device_key_format(&n->p->key, resource + strlen(resource));
	return mutation_audit(txn, &e);
}

static int audit(struct api *a, const struct pending_power *p, const char *outcome,
                 const char *detail)
{
	struct note n = {p, outcome, detail};

	return store_update(a->store, txn_note, &n);
}

/* As with any change of a device: what is about to be done is on disk first. */
static void perform(struct api *a, const struct pending_power *p)
{
	struct power_change ch = {.action = p->action, .force = p->force};
	struct failure *f = calloc(1, sizeof(*f));
	bool untouched;
	int err = f != NULL ? audit(a, p, "STARTED", amt_power_action_name(p->action)) : -ERR_NOMEM;

	if (err != 0)
		log_event(LOG_ERROR, "delayed_power_not_done",
		          LOG_STR("action", amt_power_action_name(p->action)),
		          LOG_GUID("device", &p->key.guid), LOG_ERR("err", err));
	if (err == 0) {
		err = power_change_run(a->gateway, &p->key, &ch, f, &untouched);
		if (audit(a, p, err == 0 ? "OK" : call_code_name((int)f->code),
		          err == 0 ? "" : f->text) != 0)
			log_event(LOG_ERROR, "outcome_not_kept", LOG_GUID("device", &p->key.guid));
	}
	free(f);
}

static void entry_fiber(void *arg)
{
	struct entry *e = arg;
	struct pending_table *t = e->table;
	char text[DEVICE_KEY_TEXT_MAX];
	bool due = false, removed;
	int err = 0;

	while (err == 0 && !e->woken && clock_mono_ms() < e->due_mono_ms) {
		err = fiber_wait_until(e->due_mono_ms);
		if (err == -ERR_TIMEOUT)
			err = 0;
	}
	device_key_format(&e->what.key, text);
	pthread_mutex_lock(&t->lock);
	removed = e->removed;
	if (!removed) {
		(void)map_remove(&t->entries, span_str(text));
		due = err == 0;
	}
	pthread_mutex_unlock(&t->lock);
	while (removed && !e->woken)
		fiber_yield();
	if (due)
		perform(t->api, &e->what);
	free(e);
}

/* ---- the table ---- */

int pending_add(struct pending_table *t, const struct pending_power *p)
{
	struct entry *e = calloc(1, sizeof(*e));
	char text[DEVICE_KEY_TEXT_MAX];
	uint64_t wall = (uint64_t)clock_wall_ms();
	void *old = NULL;
	int err;

	if (e == NULL)
		return -ERR_NOMEM;
	*e = (struct entry){.table = t, .what = *p, .wake.run = wake_entry, .loop = loop_current()};
	e->due_mono_ms = clock_mono_ms() + (p->due_ms > wall ? p->due_ms - wall : 0);
	e->fiber = fiber_spawn("delayed-power", entry_fiber, e, FIBER_NO_DEADLINE);
	if (e->fiber == NULL) {
		free(e);
		return -ERR_FULL;
	}
	device_key_format(&p->key, text);
	pthread_mutex_lock(&t->lock);
	err = map_replace(&t->entries, span_str(text), e, &old);
	if (err == 0 && old != NULL)
		detach(old);
	if (err != 0)
		detach(e);
	pthread_mutex_unlock(&t->lock);
	return err;
}

bool pending_find(struct pending_table *t, const struct device_key *key, struct pending_power *out)
{
	char text[DEVICE_KEY_TEXT_MAX];
	struct entry *e;

	device_key_format(key, text);
	pthread_mutex_lock(&t->lock);
	e = map_get(&t->entries, span_str(text));
	if (e != NULL)
		*out = e->what;
	pthread_mutex_unlock(&t->lock);
	return e != NULL;
}

bool pending_remove(struct pending_table *t, const struct device_key *key,
                    struct pending_power *out)
{
	char text[DEVICE_KEY_TEXT_MAX];
	struct entry *e;

	device_key_format(key, text);
	pthread_mutex_lock(&t->lock);
	e = map_remove(&t->entries, span_str(text));
	if (e != NULL) {
		*out = e->what;
		detach(e);
	}
	pthread_mutex_unlock(&t->lock);
	return e != NULL;
}
