/* SPDX-License-Identifier: GPL-3.0-or-later */
/* device_pack.c: see device_pack.h. Field numbers are those of message Device in devices.proto. */
#include "mgmtapi/device_pack.h"
#include "mgmtapi/device_msg.h"

/* The API's numbers are ours. */
_Static_assert((int)CAUSEWAY__V1__DEVICE_STATE__DEVICE_STATE_APPROVED == (int)DEVICE_APPROVED,
               "state");
_Static_assert((int)CAUSEWAY__V1__DEVICE_STATE__DEVICE_STATE_HELD == (int)DEVICE_HELD, "state");
_Static_assert((int)CAUSEWAY__V1__POWER_STATE__POWER_STATE_ON == (int)POWER_ON, "power");
_Static_assert((int)CAUSEWAY__V1__POWER_STATE__POWER_STATE_OFF_HARD == (int)POWER_OFF_HARD,
               "power");
_Static_assert((int)CAUSEWAY__V1__POWER_STATE__POWER_STATE_OFF_SOFT == (int)POWER_OFF_SOFT,
               "power");

#define PIN_SIZE sizeof(((struct device_view *)NULL)->pin_sha256)

void device_pack_id(struct pb *w, const struct device_key *key)
{
	char text[DEVICE_KEY_TEXT_MAX];

	device_key_format(key, text);
	pb_text(w, 1, text);
	pb_span(w, 2, span_of(text, GUID_TEXT_LEN)); /* the instance follows it */
}

static void put_source(struct pb *w, const struct device_view *v)
{
	char text[ADDR_TEXT_MAX] = "";

	if (v->source.len > 0)
		addr_format(&v->source, text);
	pb_text(w, 8, text);
	pb_time(w, 9, v->connected_ms);
}

static void put_facts(struct pb *w, const struct device_view *v)
{
	pb_text(w, 13, v->facts.amt_version);
	pb_text(w, 14, v->facts.build);
	pb_uint(w, 15, v->facts.sku);
	pb_text(w, 16, v->facts.control_mode);
	pb_time(w, 17, v->facts.observed_ms);
}

static void put_tunnel(struct pb *w, const struct device_view *v)
{
	uint8_t *ports;

	if (v->ports_len > 0) {
		ports = pb_nest(w, 18);
		for (size_t i = 0; i < v->ports_len; i++)
			pb_varint(w, v->ports[i]);
		pb_unnest(w, ports);
	}
	pb_text(w, 19, v->tls_version);
	pb_text(w, 20, v->tls_cipher);
}

static void put_labels(struct pb *w, const struct device_view *v)
{
	for (size_t i = 0; i < v->labels_len; i++) {
		uint8_t *label = pb_nest(w, 21);

		pb_text(w, 1, v->labels[i].key);
		pb_text(w, 2, v->labels[i].value);
		pb_unnest(w, label);
	}
}

static void put_pin(struct pb *w, const struct device_view *v)
{
	char text[2 * PIN_SIZE + 1];

	if (!v->pinned)
		return;
	hex_encode(text, span_of(v->pin_sha256, PIN_SIZE));
	pb_span(w, 23, span_of(text, sizeof(text) - 1));
}

void device_pack(struct pb *w, const struct device_view *v)
{
	char etag[ETAG_TEXT_MAX];

	device_pack_id(w, &v->key);
	pb_text(w, 3, v->name);
	pb_text(w, 4, v->facts.host_name);
	pb_text(w, 5, v->group);
	pb_uint(w, 6, v->state);
	pb_uint(w, 7, v->connected);
	if (v->connected)
		put_source(w, v);
	pb_time(w, 10, v->last_seen_ms);
	pb_uint(w, 11, v->power);
	pb_time(w, 12, v->power_ms);
	put_facts(w, v);
	if (v->connected)
		put_tunnel(w, v);
	put_labels(w, v);
	pb_uint(w, 22, v->duplicate_suspected);
	put_pin(w, v);
	pb_uint(w, 24, v->has_own_cira);
	pb_uint(w, 25, v->has_own_amt);
	pb_text(w, 26, v->amt_problem);
	pb_time(w, 27, v->created_ms);
	pb_time(w, 28, v->updated_ms);
	pb_uint(w, 29, v->connects);
	view_etag(v, etag);
	pb_text(w, 30, etag);
}
