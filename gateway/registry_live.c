/* SPDX-License-Identifier: GPL-3.0-or-later */
/* registry_live.c: which tunnel a device has, and what is learned through it. */
#include "gateway/internal.h"
#include "gateway/registry_internal.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

#define FLAP_WINDOW_MS (10ull * 60 * 1000)
#define FLAPS_SUSPECT  3

/*
 * Two machines with one GUID and one password push each other out for ever. Being replaced from another address again and again within
 * minutes is how that looks from here.
 */
static void count_flap(struct device *d, const struct live *now)
{
	uint64_t ms = (uint64_t)clock_wall_ms();
	char was[ADDR_TEXT_MAX], is[ADDR_TEXT_MAX];
	struct addr a;

	addr_unpack(&a, &d->live->source);
	addr_format_host(&a, was);
	addr_unpack(&a, &now->source);
	addr_format_host(&a, is);
	if (strcmp(was, is) == 0)
		return;
	if (ms - d->replaced_ms > FLAP_WINDOW_MS)
		d->flaps = 0;
	d->replaced_ms = ms;
	if (++d->flaps < FLAPS_SUSPECT || d->duplicate_suspected)
		return;
	d->duplicate_suspected = true;
	gw_count(GW_DUPLICATE_SUSPECTED);
	log_event(LOG_WARN, "duplicate_guid_suspected", LOG_GUID("device", &d->key.guid),
	          LOG_STR("address", was), LOG_STR("other_address", is));
}

int registry_attach(struct registry *r, const struct device_key *key, struct live *live,
                    struct live_ref *replaced)
{
	struct device *d;

	*replaced = (struct live_ref){0};
	shared_lock_write(&r->lock);
	d = registry_device(r, key);
	if (d != NULL) {
		if (d->live != NULL) {
			*replaced = (struct live_ref){d->live->worker, d->live->handle};
			count_flap(d, live);
		}
		r->connected += d->live == NULL ? 1 : 0;
		d->live = live;
		d->connects++;
		device_event(r, d, DEVICE_EVENT_CONNECTED);
	}
	shared_lock_write_end(&r->lock);
	return d != NULL ? 0 : -ERR_NOT_FOUND;
}

void registry_detach(struct registry *r, const struct device_key *key, struct live *live)
{
	struct device *d;

	shared_lock_write(&r->lock);
	d = registry_device(r, key);
	if (d != NULL && d->live == live) {
		d->live = NULL;
		r->connected--;
		device_event(r, d, DEVICE_EVENT_DISCONNECTED);
	}
	shared_lock_write_end(&r->lock);
}

void registry_live_port(struct registry *r, struct live *live, uint16_t port, bool added)
{
	size_t i = 0;

	shared_lock_write(&r->lock);
	while (i < live->ports_len && live->ports[i] != port)
		i++;
	if (added && i == live->ports_len && i < DEVICE_PORTS_MAX)
		live->ports[live->ports_len++] = port;
	if (!added && i < live->ports_len)
		live->ports[i] = live->ports[--live->ports_len];
	shared_lock_write_end(&r->lock);
}

int registry_live(struct registry *r, const struct device_key *key, struct live_ref *out,
                  enum device_state *state)
{
	const struct device *d;
	int err = -ERR_NOT_FOUND;

	shared_lock_read(&r->lock);
	d = registry_device(r, key);
	if (d != NULL && state != NULL)
		*state = d->state;
	if (d != NULL && d->live == NULL)
		err = -ERR_OFFLINE;
	if (d != NULL && d->live != NULL) {
		*out = (struct live_ref){d->live->worker, d->live->handle};
		err = 0;
	}
	shared_lock_read_end(&r->lock);
	return err;
}

bool registry_amt_credential(struct registry *r, const struct device_key *key,
                             struct credential *out)
{
	const struct device *d;
	const struct store_group *g;
	bool have = false;

	shared_lock_read(&r->lock);
	d = registry_device(r, key);
	if (d != NULL && d->amt != NULL) {
		*out = *d->amt;
		have = true;
	} else if (d != NULL) {
		g = map_get(&r->groups, span_str(d->group));
		have = g != NULL && g->amt.user[0] != '\0';
		if (have)
			*out = g->amt;
	}
	shared_lock_read_end(&r->lock);
	return have;
}

bool registry_pin(struct registry *r, const struct device_key *key, uint8_t out_sha256[32])
{
	const struct device *d;
	bool pinned;

	shared_lock_read(&r->lock);
	d = registry_device(r, key);
	pinned = d != NULL && d->pin_sha256 != NULL;
	if (pinned)
		memcpy(out_sha256, d->pin_sha256, 32);
	shared_lock_read_end(&r->lock);
	return pinned;
}

void registry_set_power(struct registry *r, const struct device_key *key, enum power_state state)
{
	struct device *d;

	shared_lock_write(&r->lock);
	d = registry_device(r, key);
	if (d != NULL) {
		bool changed = d->power != (uint8_t)state;

		d->power = (uint8_t)state;
		d->power_ms = (uint64_t)clock_wall_ms();
		if (changed)
			device_event(r, d, DEVICE_EVENT_POWER);
	}
	shared_lock_write_end(&r->lock);
}

void registry_set_facts(struct registry *r, const struct device_key *key,
                        const struct device_facts *facts)
{
	struct kept_facts *kept = facts_keep(facts);
	struct device *d;

	shared_lock_write(&r->lock);
	d = registry_device(r, key);
	if (d != NULL && kept != NULL) {
		free(d->facts);
		d->facts = kept;
		kept = NULL;
		device_event(r, d, DEVICE_EVENT_UPDATED);
	}
	shared_lock_write_end(&r->lock);
	free(kept);
}

void registry_set_amt_problem(struct registry *r, const struct device_key *key, const char *text)
{
	struct device *d;

	shared_lock_write(&r->lock);
	d = registry_device(r, key);
	if (d != NULL) {
		bool changed = strcmp(d->amt_problem != NULL ? d->amt_problem : "", text) != 0;

		free(d->amt_problem);
		d->amt_problem = text[0] != '\0' ? strdup(text) : NULL;
		if (text[0] == '\0')
			d->amt_refusals = 0;
		if (changed)
			device_event(r, d, DEVICE_EVENT_UPDATED);
	}
	shared_lock_write_end(&r->lock);
}

unsigned registry_amt_refusals(struct registry *r, const struct device_key *key, unsigned add)
{
	struct device *d;
	unsigned n = 0;

	shared_lock_write(&r->lock);
	d = registry_device(r, key);
	if (d != NULL)
		n = d->amt_refusals += add;
	shared_lock_write_end(&r->lock);
	return n;
}
