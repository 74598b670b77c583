/* SPDX-License-Identifier: GPL-3.0-or-later */
/* registry_internal.h: what the registry's files share. Everything is under lock unless said. */
#pragma once

#include "core/lock.h"
#include "core/map.h"
#include "core/names.h"
#include "gateway/registry.h"

#include <pthread.h>

#define DEVICE_KEY_SIZE 18 /* guid, instance big-endian: the store's key, too */

/* A device in memory: the durable part is replaced from the store, the rest is of this run. */
struct device {
	struct device_key key;
	bool duplicate_suspected;
	uint8_t state, power; /* enum device_state, enum power_state */
	char *name;           /* NULL: none */
	const char *group;    /* of names */
	uint8_t *pin_sha256;  /* 32 octets; NULL: nothing is pinned */
	uint64_t created_ms, updated_ms;
	struct label *labels; /* labels_len of them, NULL when none */
	size_t labels_len;
	struct credential *cira, *amt; /* NULL: the group's */

	struct live *live; /* NULL: not connected */
	uint64_t connects, replaced_ms;
	uint64_t power_ms;
	struct kept_facts *facts; /* NULL: not read yet */
	char *amt_problem;        /* NULL: none */
	unsigned flaps, amt_refusals;
};

struct registry {
	struct store *store;
	struct events *events;
	registry_removed_fn *removed;
	void *removed_arg;

	struct shared_lock lock;
	struct map devices;     /* DEVICE_KEY_SIZE -> struct device */
	struct device **sorted; /* by key */
	size_t sorted_len, sorted_alloc;
	size_t connected;      /* devices with a tunnel */
	struct names names;    /* the groups of devices */
	struct map groups;     /* name -> struct store_group */
	struct map cira_users; /* user -> the same struct store_group */
	struct map tokens;     /* SHA-256 -> struct store_token */
	struct map token_ids;  /* id -> the same struct store_token */
};

void device_key_pack(const struct device_key *k, uint8_t out[DEVICE_KEY_SIZE]);
struct device *registry_device(struct registry *r, const struct device_key *key);
void device_event(struct registry *r, const struct device *d, enum device_event_kind kind);

/* registry_facts.c. facts_keep: NULL: no memory. facts_read: lends v the texts. facts_host_name: "" if it is not known. */
struct kept_facts *facts_keep(const struct device_facts *f);
void facts_read(const struct kept_facts *k, struct device_view *v);
const char *facts_host_name(const struct kept_facts *k);

static inline const char *device_name(const struct device *d)
{
	return d->name != NULL ? d->name : "";
}
