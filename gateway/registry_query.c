/* SPDX-License-Identifier: GPL-3.0-or-later */
/* registry_query.c: views of devices, lists, and finding what an operator meant. */
#include "gateway/registry_internal.h"
#include "core/err.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void view_live(const struct live *live, struct device_view *v)
{
	v->connected = true;
	addr_unpack(&v->source, &live->source);
	v->connected_ms = live->connected_ms;
	v->last_seen_ms = atomic_load_explicit(&live->last_seen_ms, memory_order_relaxed);
	v->tls_version = live->tls_version;
	v->tls_cipher = live->tls_cipher;
	v->trigger = live->trigger;
	v->tunnel_id = live->handle;
	v->ports_len = live->ports_len;
	memcpy(v->ports, live->ports, sizeof(v->ports));
}

static void view_make(const struct device *d, struct device_view *v)
{
	*v = (struct device_view){
		.key = d->key,
		.name = device_name(d),
		.group = d->group,
		.state = d->state,
		.labels = d->labels,
		.labels_len = d->labels_len,
		.created_ms = d->created_ms,
		.updated_ms = d->updated_ms,
		.pinned = d->pin_sha256 != NULL,
		.has_own_cira = d->cira != NULL,
		.has_own_amt = d->amt != NULL,
		.tls_version = "",
		.tls_cipher = "",
		.power = d->power,
		.power_ms = d->power_ms,
		.facts = {.host_name = "", .amt_version = "", .build = "", .control_mode = ""},
		.amt_problem = d->amt_problem != NULL ? d->amt_problem : "",
		.duplicate_suspected = d->duplicate_suspected,
		.connects = d->connects,
	};
	if (d->pin_sha256 != NULL)
		memcpy(v->pin_sha256, d->pin_sha256, sizeof(v->pin_sha256));
	if (d->facts != NULL)
		facts_read(d->facts, v);
	if (d->live != NULL)
		view_live(d->live, v);
}

int registry_view(struct registry *r, const struct device_key *key, device_view_fn *fn, void *arg)
{
	const struct device *d;
	struct device_view v;

	shared_lock_read(&r->lock);
	d = registry_device(r, key);
	if (d != NULL) {
		view_make(d, &v);
		fn(arg, &v);
	}
	shared_lock_read_end(&r->lock);
	return d != NULL ? 0 : -ERR_NOT_FOUND;
}

static int compare_keys(const struct device_key *a, const struct device_key *b)
{
	uint8_t x[DEVICE_KEY_SIZE], y[DEVICE_KEY_SIZE];

	device_key_pack(a, x);
	device_key_pack(b, y);
	return memcmp(x, y, DEVICE_KEY_SIZE);
}

/*
 * Whoever reads all devices waits for memory most of the time: each is in three or four places. So what comes soon is asked for ahead,
 * the device first, what hangs on it when the device itself is there. Inline: a function that only asks ahead has no effect that GCC
 * knows of, and is left out.
 */
#define AHEAD 8

static inline __attribute__((always_inline)) void fetch_ahead(const struct registry *r, size_t i)
{
	const struct device *d;

	if (r->sorted_len - i <= (size_t)2 * AHEAD)
		return;
	d = r->sorted[i + (size_t)2 * AHEAD];
	__builtin_prefetch(d);
	__builtin_prefetch(&d->live);
	d = r->sorted[i + AHEAD];
	__builtin_prefetch(d->live);
	__builtin_prefetch(&d->live->ports_len);
	__builtin_prefetch(d->facts);
	__builtin_prefetch(d->name);
	__builtin_prefetch(d->labels);
}

void registry_each(struct registry *r, const struct device_key *after, device_each_fn *fn,
                   void *arg)
{
	struct device_view v;
	size_t lo = 0, hi;

	shared_lock_read(&r->lock);
	hi = after != NULL ? r->sorted_len : 0;
	while (lo < hi) { /* first key > after */
		size_t mid = lo + (hi - lo) / 2;

		if (compare_keys(&r->sorted[mid]->key, after) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < r->sorted_len; lo++) {
		fetch_ahead(r, lo);
		view_make(r->sorted[lo], &v);
		if (!fn(arg, &v))
			break;
	}
	shared_lock_read_end(&r->lock);
}

size_t registry_count(struct registry *r)
{
	size_t n;

	shared_lock_read(&r->lock);
	n = r->sorted_len;
	shared_lock_read_end(&r->lock);
	return n;
}

void registry_stats(struct registry *r, struct registry_stats *out)
{
	shared_lock_read(&r->lock);
	*out = (struct registry_stats){r->sorted_len, r->connected, r->groups.count,
	                               r->tokens.count};
	shared_lock_read_end(&r->lock);
}

/* A GUID or GUID#n stands for one device, as long as the caller may see it. */
static int find_by_key(struct registry *r, const struct device_key *key, group_visible_fn *visible,
                       void *arg, struct device_key *out)
{
	const struct device *d = registry_device(r, key);

	if (d == NULL || (visible != NULL && !visible(arg, d->group)))
		return -ERR_NOT_FOUND;
	*out = d->key;
	return 0;
}

static bool has_name(const struct device *d, const char *text)
{
	return strcasecmp(device_name(d), text) == 0 ||
	       (d->facts != NULL && strcasecmp(facts_host_name(d->facts), text) == 0);
}

int registry_find(struct registry *r, const char *text, group_visible_fn *visible, void *arg,
                  struct device_key *out)
{
	struct device_key key;
	unsigned hits = 0;
	int err;

	if (strncmp(text, "devices/", 8) == 0)
		text += 8;
	if (text[0] == '\0')
		return -ERR_NOT_FOUND;
	shared_lock_read(&r->lock);
	if (device_key_parse(span_str(text), &key) == 0) {
		err = find_by_key(r, &key, visible, arg, out);
	} else {
		for (size_t i = 0; i < r->sorted_len && hits < 2; i++) {
			if (!has_name(r->sorted[i], text) ||
			    (visible != NULL && !visible(arg, r->sorted[i]->group)))
				continue;
			*out = r->sorted[i]->key;
			hits++;
		}
		err = hits == 1 ? 0 : hits == 0 ? -ERR_NOT_FOUND : -ERR_EXISTS;
	}
	shared_lock_read_end(&r->lock);
	return err;
}
