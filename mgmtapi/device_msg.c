/* SPDX-License-Identifier: GPL-3.0-or-later */
/* device_msg.c: see device_msg.h. */
#include "mgmtapi/device_msg.h"
#include "core/map.h"
#include "core/text.h"

#include <string.h>

/* The API's numbers are ours: messages are filled by a cast. */
_Static_assert((int)CAUSEWAY__V1__DEVICE_STATE__DEVICE_STATE_APPROVED == (int)DEVICE_APPROVED,
               "state");
_Static_assert((int)CAUSEWAY__V1__DEVICE_STATE__DEVICE_STATE_HELD == (int)DEVICE_HELD, "state");
_Static_assert((int)CAUSEWAY__V1__POWER_STATE__POWER_STATE_ON == (int)POWER_ON, "power");
_Static_assert((int)CAUSEWAY__V1__POWER_STATE__POWER_STATE_OFF_HARD == (int)POWER_OFF_HARD,
               "power");
_Static_assert((int)CAUSEWAY__V1__POWER_STATE__POWER_STATE_OFF_SOFT == (int)POWER_OFF_SOFT,
               "power");

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

static char *view_etag(struct msg_mem *m, const struct device_view *v)
{
	const struct fingerprint f = {v->created_ms, v->updated_ms, (uint32_t)v->state,
	                              v->pinned,     v->name,       v->group};
	char text[ETAG_TEXT_MAX];

	fingerprint_text(&f, text);
	return msg_text(m, text);
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

static void put_ports(struct msg_mem *m, Causeway__V1__Device *d, const struct device_view *v)
{
	d->forwarded_ports = v->ports_len > 0 ? msg_take(m, v->ports_len * sizeof(uint32_t)) : NULL;
	for (size_t i = 0; d->forwarded_ports != NULL && i < v->ports_len; i++)
		d->forwarded_ports[d->n_forwarded_ports++] = v->ports[i];
}

static void put_facts(struct msg_mem *m, Causeway__V1__Device *d, const struct device_facts *f)
{
	d->host_name = msg_text(m, f->host_name);
	d->amt_version = msg_text(m, f->amt_version);
	d->amt_build = msg_text(m, f->build);
	d->sku = f->sku;
	d->control_mode = msg_text(m, f->control_mode);
	d->facts_time = msg_time(m, f->observed_ms);
}

static void put_live(struct msg_mem *m, Causeway__V1__Device *d, const struct device_view *v)
{
	d->connected = v->connected;
	d->last_seen_time = msg_time(m, v->last_seen_ms);
	d->connects = v->connects;
	d->power_state = (Causeway__V1__PowerState)v->power;
	d->power_observed_time = msg_time(m, v->power_ms);
	d->amt_problem = msg_text(m, v->amt_problem);
	d->duplicate_suspected = v->duplicate_suspected;
	if (!v->connected)
		return;
	d->source_address = msg_addr(m, &v->source);
	d->connected_time = msg_time(m, v->connected_ms);
	d->tls_version = msg_text(m, v->tls_version);
	d->tls_cipher = msg_text(m, v->tls_cipher);
	put_ports(m, d, v);
}

Causeway__V1__Device *device_msg_id(struct msg_mem *m, const struct device_key *key)
{
	Causeway__V1__Device *d = msg_take(m, sizeof(*d));
	char text[DEVICE_KEY_TEXT_MAX], guid[GUID_TEXT_LEN + 1];

	if (d == NULL)
		return NULL;
	causeway__v1__device__init(d);
	device_key_format(key, text);
	d->id = msg_text(m, text);
	d->guid = d->id;
	if (key->instance > 0) {
		guid_format(&key->guid, guid);
		d->guid = msg_text(m, guid);
	}
	return m->failed ? NULL : d;
}

Causeway__V1__Device *device_msg(struct msg_mem *m, const struct device_view *v)
{
	Causeway__V1__Device *d = device_msg_id(m, &v->key);

	if (d == NULL)
		return NULL;
	d->name = msg_text(m, v->name);
	d->group = msg_text(m, v->group);
	d->state = (Causeway__V1__DeviceState)v->state;
	d->has_cira_credentials = v->has_own_cira;
	d->has_amt_credentials = v->has_own_amt;
	d->created_time = msg_time(m, v->created_ms);
	d->updated_time = msg_time(m, v->updated_ms);
	if (v->pinned)
		d->pinned_certificate_sha256 =
			msg_hex(m, span_of(v->pin_sha256, sizeof(v->pin_sha256)));
	d->etag = view_etag(m, v);
	put_labels(m, d, v->labels, v->labels_len);
	put_facts(m, d, &v->facts);
	put_live(m, d, v);
	return m->failed ? NULL : d;
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
