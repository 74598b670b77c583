/* SPDX-License-Identifier: GPL-3.0-or-later */
/* device_msg.c: see device_msg.h. */
#include "mgmtapi/device_msg.h"
#include "core/map.h"
#include "core/text.h"
#include "mgmtapi/device_pack.h"

#include <string.h>

/* ---- fingerprints ---- */

#define FINGERPRINT_MAX 512 /* numbers and two names or accounts */

struct fingerprint {
	uint64_t created_ms, updated_ms;
	uint32_t state, pinned;
	const char *name, *group;
};

static void fingerprint_text(const struct fingerprint *f, char out[ETAG_TEXT_MAX])
{
	static const uint8_t
		key[16]; /* nobody gains by a collision: the same text everywhere matters more */
	uint8_t all[FINGERPRINT_MAX], digest[8];
	size_t name = strlen(f->name) + 1, group = strlen(f->group), at = 24;
	uint64_t hash;

	ASSERT(at + name + group <= sizeof(all));
	memcpy(all, &f->created_ms, 8);
	memcpy(all + 8, &f->updated_ms, 8);
	memcpy(all + 16, &f->state, 4);
	memcpy(all + 20, &f->pinned, 4);
	memcpy(all + at, f->name, name);
	memcpy(all + at + name, f->group, group);
	hash = siphash24(key, span_of(all, at + name + group));
	memcpy(digest, &hash, sizeof(digest));
	hex_encode(out, span_of(digest, sizeof(digest)));
}

void device_etag(const struct store_device *d, char out[ETAG_TEXT_MAX])
{
	const struct fingerprint f = {d->created_ms, d->updated_ms, (uint32_t)d->state,
	                              d->pinned,     d->name,       d->group};

	fingerprint_text(&f, out);
}

void group_etag(const struct store_group *g, char out[ETAG_TEXT_MAX])
{
	const struct fingerprint f = {g->created_ms, g->updated_ms, (uint32_t)g->enroll, 0,
	                              g->cira.user,  g->amt.user};

	fingerprint_text(&f, out);
}

void view_etag(const struct device_view *v, char out[ETAG_TEXT_MAX])
{
	const struct fingerprint f = {v->created_ms, v->updated_ms, (uint32_t)v->state,
	                              v->pinned,     v->name,       v->group};

	fingerprint_text(&f, out);
}

/* ---- messages ---- */

static void put_labels(struct msg_mem *m, Causeway__V1__Device *d, const struct label *labels,
                       size_t n)
{
	Causeway__V1__Label **list = n > 0 ? msg_take(m, n * sizeof(*list)) : NULL;
	Causeway__V1__Label *all = n > 0 ? msg_take(m, n * sizeof(*all)) : NULL;

	d->n_labels = 0;
	d->labels = list;
	if (list == NULL || all == NULL)
		return;
	for (size_t i = 0; i < n; i++) {
		causeway__v1__label__init(&all[i]);
		all[i].key = msg_text(m, labels[i].key);
		all[i].value = msg_text(m, labels[i].value);
		list[i] = &all[i];
	}
	d->n_labels = n;
}

Causeway__V1__Device *device_msg(struct msg_mem *m, const struct device_view *v)
{
	Causeway__V1__Device *d = NULL;
	struct buf packed;
	struct pb w;

	buf_init(&packed, DEVICE_PACKED_MAX);
	w = pb_start(&packed, DEVICE_PACKED_MAX);
	device_pack(&w, v);
	pb_finish(&w);
	if (packed.err == 0)
		d = causeway__v1__device__unpack(m->from, packed.len, packed.data);
	buf_free(&packed);
	m->failed = m->failed || d == NULL;
	return d;
}

void device_msg_record(struct msg_mem *m, Causeway__V1__Device *d, const struct store_device *rec)
{
	char etag[ETAG_TEXT_MAX];

	d->name = msg_text(m, rec->name);
	d->group = msg_text(m, rec->group);
	d->state = (Causeway__V1__DeviceState)rec->state;
	d->has_cira_credentials = rec->cira.user[0] != '\0';
	d->has_amt_credentials = rec->amt.user[0] != '\0';
	d->created_time = msg_time(m, rec->created_ms);
	d->updated_time = msg_time(m, rec->updated_ms);
	d->pinned_certificate_sha256 =
		rec->pinned ? msg_hex(m, span_of(rec->pin_sha256, sizeof(rec->pin_sha256)))
			    : msg_text(m, "");
	device_etag(rec, etag);
	d->etag = msg_text(m, etag);
	put_labels(m, d, rec->labels, rec->labels_len);
}

/* ---- filters ---- */

enum device_field {
	FIELD_ID,
	FIELD_GUID,
	FIELD_NAME,
	FIELD_HOST_NAME,
	FIELD_GROUP,
	FIELD_STATE,
	FIELD_CONNECTED,
	FIELD_POWER_STATE,
	FIELD_AMT_VERSION,
	FIELD_CONTROL_MODE,
	FIELD_LABEL,
	FIELD_DUPLICATE,
};

static const char *const states[] = {"approved", "held", NULL};
static const char *const bools[] = {"true", "false", NULL};
static const char *const powers[] = {"unknown", "on",       "sleep_light", "sleep_deep", "cycling",
                                     "off",     "off_hard", "hibernate",   "off_soft",   NULL};

static const struct filter_field device_fields[] = {
	[FIELD_ID] = {.name = "id"},
	[FIELD_GUID] = {.name = "guid"},
	[FIELD_NAME] = {.name = "name"},
	[FIELD_HOST_NAME] = {.name = "host_name"},
	[FIELD_GROUP] = {.name = "group"},
	[FIELD_STATE] = {.name = "state", .choices = states},
	[FIELD_CONNECTED] = {.name = "connected", .choices = bools},
	[FIELD_POWER_STATE] = {.name = "power_state", .choices = powers},
	[FIELD_AMT_VERSION] = {.name = "amt_version"},
	[FIELD_CONTROL_MODE] = {.name = "control_mode"},
	[FIELD_LABEL] = {.name = "label", .keyed = true},
	[FIELD_DUPLICATE] = {.name = "duplicate_suspected", .choices = bools},
};

const struct filter_schema device_filter = {device_fields, ARRAY_LEN(device_fields)};

const char *power_state_word(enum power_state s)
{
	static const char *const words[] = {
		[POWER_UNKNOWN] = "unknown",         [POWER_ON] = "on",
		[POWER_SLEEP_LIGHT] = "sleep_light", [POWER_SLEEP_DEEP] = "sleep_deep",
		[POWER_CYCLING] = "cycling",         [POWER_OFF_HARD] = "off_hard",
		[POWER_HIBERNATE] = "hibernate",     [POWER_OFF_SOFT] = "off_soft",
	};

	return (size_t)s < ARRAY_LEN(words) && words[s] != NULL ? words[s] : "unknown";
}

/* "off" asks for both kinds of off: then both have that name. */
static const char *power_value(const struct device_view *v, const struct filter_cond *cond)
{
	bool off = v->power == POWER_OFF_HARD || v->power == POWER_OFF_SOFT;

	return off && glob_matches(cond->value, "off") ? "off" : power_state_word(v->power);
}

static const char *label_value(const struct device_view *v, const char *key)
{
	for (size_t i = 0; i < v->labels_len; i++)
		if (strcmp(v->labels[i].key, key) == 0)
			return v->labels[i].value;
	return "";
}

const char *device_filter_value(const void *view, const struct filter_cond *cond,
                                char scratch[FILTER_SCRATCH])
{
	const struct device_view *v = view;

	switch ((enum device_field)cond->field) {
	case FIELD_ID:
		device_key_format(&v->key, scratch);
		return scratch;
	case FIELD_GUID:
		guid_format(&v->key.guid, scratch);
		return scratch;
	case FIELD_NAME:
		return v->name;
	case FIELD_HOST_NAME:
		return v->facts.host_name;
	case FIELD_GROUP:
		return v->group;
	case FIELD_STATE:
		return v->state == DEVICE_HELD ? "held" : "approved";
	case FIELD_CONNECTED:
		return v->connected ? "true" : "false";
	case FIELD_POWER_STATE:
		return power_value(v, cond);
	case FIELD_AMT_VERSION:
		return v->facts.amt_version;
	case FIELD_CONTROL_MODE:
		return v->facts.control_mode;
	case FIELD_LABEL:
		return label_value(v, cond->key);
	case FIELD_DUPLICATE:
		return v->duplicate_suspected ? "true" : "false";
	}
	return "";
}
