/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Devices as they are written straight to the wire: the same octets as protobuf-c makes of a message that is filled here, field by field,
 * for many devices; and no field of devices.proto is forgotten.
 */
#include "mgmtapi/device_pack.h"
#include "mgmtapi/arena.h"
#include "mgmtapi/device_msg.h"
#include "mgmtapi/mutation.h"
#include "tests/unit/support/test.h"

#include <string.h>

#define ROUNDS 4000

/* ---- the message, as the .proto file says it ---- */

static void fill_labels(struct msg_mem *m, Causeway__V1__Device *d, const struct device_view *v)
{
	d->labels = msg_take(m, v->labels_len * sizeof(*d->labels));
	for (size_t i = 0; i < v->labels_len; i++) {
		Causeway__V1__Label *label = msg_take(m, sizeof(*label));

		causeway__v1__label__init(label);
		label->key = msg_text(m, v->labels[i].key);
		label->value = msg_text(m, v->labels[i].value);
		d->labels[d->n_labels++] = label;
	}
}

static void fill_tunnel(struct msg_mem *m, Causeway__V1__Device *d, const struct device_view *v)
{
	d->source_address = msg_addr(m, &v->source);
	d->connected_time = msg_time(m, v->connected_ms);
	d->tls_version = msg_text(m, v->tls_version);
	d->tls_cipher = msg_text(m, v->tls_cipher);
	d->forwarded_ports = msg_take(m, v->ports_len * sizeof(uint32_t));
	for (size_t i = 0; i < v->ports_len; i++)
		d->forwarded_ports[d->n_forwarded_ports++] = v->ports[i];
}

static void fill_record(struct msg_mem *m, Causeway__V1__Device *d, const struct device_view *v)
{
	char text[DEVICE_KEY_TEXT_MAX], etag[ETAG_TEXT_MAX];

	device_key_format(&v->key, text);
	d->id = msg_text(m, text);
	guid_format(&v->key.guid, text);
	d->guid = msg_text(m, text);
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
	view_etag(v, etag);
	d->etag = msg_text(m, etag);
	fill_labels(m, d, v);
}

static Causeway__V1__Device *fill(struct msg_mem *m, const struct device_view *v)
{
	Causeway__V1__Device *d = msg_take(m, sizeof(*d));

	causeway__v1__device__init(d);
	fill_record(m, d, v);
	d->connected = v->connected;
	if (v->connected)
		fill_tunnel(m, d, v);
	d->last_seen_time = msg_time(m, v->last_seen_ms);
	d->connects = v->connects;
	d->power_state = (Causeway__V1__PowerState)v->power;
	d->power_observed_time = msg_time(m, v->power_ms);
	d->amt_problem = msg_text(m, v->amt_problem);
	d->duplicate_suspected = v->duplicate_suspected;
	d->host_name = msg_text(m, v->facts.host_name);
	d->amt_version = msg_text(m, v->facts.amt_version);
	d->amt_build = msg_text(m, v->facts.build);
	d->sku = v->facts.sku;
	d->control_mode = msg_text(m, v->facts.control_mode);
	d->facts_time = msg_time(m, v->facts.observed_ms);
	assert_false(m->failed);
	return d;
}

/* ---- devices ---- */

static uint64_t seed;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Small numbers, large ones, and those where another octet begins. */
static uint64_t number(void)
{
	unsigned bits = (unsigned)(next() % 65);
	uint64_t edge = bits < 64 ? (uint64_t)1 << bits : 0;

	return next() % 2 == 0 ? edge - next() % 2 : next() & (edge - 1);
}

static uint64_t time_ms(void)
{
	const uint64_t odd[] = {0, 1, 999, 1000, 1001, 127999, 128000, 1735689600123};

	return next() % 4 != 0 ? odd[next() % ARRAY_LEN(odd)] : number() >> 12;
}

/* Any octets but NUL: names may be UTF-8, and nothing here looks into them. */
static const char *text(char *out, size_t max)
{
	size_t n = next() % 3 == 0 ? 0 : next() % 4 == 0 ? max : next() % (max + 1);

	for (size_t i = 0; i < n; i++)
		out[i] = (char)(1 + next() % 255);
	out[n] = '\0';
	return out;
}

static struct {
	char name[NAME_MAX_LEN + 1], group[NAME_MAX_LEN + 1], host_name[128], amt_version[32],
		build[32], control_mode[8], tls_version[16], tls_cipher[64], amt_problem[256];
	struct label labels[LABELS_MAX];
} texts;

static void make_addr(struct addr *a)
{
	const char *const all[] = {"1.2.3.4:5", "255.255.255.255:65535", "[::1]:1",
	                           "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	                           "[::ffff:10.0.0.1]:443"};
	size_t i = next() % (ARRAY_LEN(all) + 1);

	*a = (struct addr){.len = 0};
	if (i < ARRAY_LEN(all))
		assert_int_equal(addr_parse(all[i], a), 0);
}

static void make_record(struct device_view *v)
{
	for (size_t i = 0; i < sizeof(v->key.guid.b); i++)
		v->key.guid.b[i] = (uint8_t)next();
	v->key.instance = (uint16_t)(next() % 2 == 0 ? 0 : number());
	v->name = text(texts.name, NAME_MAX_LEN);
	v->group = text(texts.group, NAME_MAX_LEN);
	v->state = (enum device_state)(next() % 3);
	v->labels = texts.labels;
	v->labels_len = next() % 2 == 0 ? 0 : next() % (LABELS_MAX + 1);
	for (size_t i = 0; i < v->labels_len; i++) {
		(void)text(texts.labels[i].key, LABEL_KEY_MAX);
		(void)text(texts.labels[i].value, LABEL_VALUE_MAX);
	}
	v->created_ms = time_ms();
	v->updated_ms = time_ms();
	v->pinned = next() % 2 == 0;
	memset(v->pin_sha256, (int)next(), sizeof(v->pin_sha256));
	v->has_own_cira = next() % 2 == 0;
	v->has_own_amt = next() % 2 == 0;
}

static void make(struct device_view *v)
{
	*v = (struct device_view){.connected = next() % 2 == 0};
	make_record(v);
	make_addr(&v->source);
	v->connected_ms = time_ms();
	v->last_seen_ms = time_ms();
	v->ports_len = next() % 2 == 0 ? 0 : next() % (DEVICE_PORTS_MAX + 1);
	for (size_t i = 0; i < v->ports_len; i++)
		v->ports[i] = (uint16_t)number();
	v->tls_version = text(texts.tls_version, sizeof(texts.tls_version) - 1);
	v->tls_cipher = text(texts.tls_cipher, sizeof(texts.tls_cipher) - 1);
	v->power = (enum power_state)(next() % 9);
	v->power_ms = time_ms();
	v->facts.host_name = text(texts.host_name, sizeof(texts.host_name) - 1);
	v->facts.amt_version = text(texts.amt_version, sizeof(texts.amt_version) - 1);
	v->facts.build = text(texts.build, sizeof(texts.build) - 1);
	v->facts.control_mode = text(texts.control_mode, sizeof(texts.control_mode) - 1);
	v->facts.sku = (uint32_t)number();
	v->facts.observed_ms = time_ms();
	v->amt_problem = text(texts.amt_problem, sizeof(texts.amt_problem) - 1);
	v->duplicate_suspected = next() % 2 == 0;
	v->connects = number();
}

static const char *longest(char *out, size_t max)
{
	memset(out, 'x', max);
	out[max] = '\0';
	return out;
}

/* Every field is there and as long as it can be. */
static void make_longest(struct device_view *v)
{
	memset(&texts, 0, sizeof(texts));
	*v = (struct device_view){
		.key = {.instance = UINT16_MAX},
		.name = longest(texts.name, NAME_MAX_LEN),
		.group = longest(texts.group, NAME_MAX_LEN),
		.state = DEVICE_HELD,
		.labels = texts.labels,
		.labels_len = LABELS_MAX,
		.created_ms = UINT64_MAX,
		.updated_ms = UINT64_MAX,
		.pinned = true,
		.has_own_cira = true,
		.has_own_amt = true,
		.connected = true,
		.connected_ms = UINT64_MAX,
		.last_seen_ms = UINT64_MAX,
		.ports_len = DEVICE_PORTS_MAX,
		.tls_version = longest(texts.tls_version, sizeof(texts.tls_version) - 1),
		.tls_cipher = longest(texts.tls_cipher, sizeof(texts.tls_cipher) - 1),
		.power = POWER_OFF_SOFT,
		.power_ms = UINT64_MAX,
		.facts = {.host_name = longest(texts.host_name, sizeof(texts.host_name) - 1),
	                  .amt_version = longest(texts.amt_version, sizeof(texts.amt_version) - 1),
	                  .build = longest(texts.build, sizeof(texts.build) - 1),
	                  .control_mode =
	                          longest(texts.control_mode, sizeof(texts.control_mode) - 1),
	                  .sku = UINT32_MAX,
	                  .observed_ms = UINT64_MAX},
		.amt_problem = longest(texts.amt_problem, sizeof(texts.amt_problem) - 1),
		.duplicate_suspected = true,
		.connects = UINT64_MAX,
	};
	memset(v->ports, 0xff, sizeof(v->ports));
	for (size_t i = 0; i < LABELS_MAX; i++) {
		(void)longest(texts.labels[i].key, LABEL_KEY_MAX);
		(void)longest(texts.labels[i].value, LABEL_VALUE_MAX);
	}
	assert_int_equal(addr_parse("[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535", &v->source),
	                 0);
}

/* ---- tests ---- */

static void pack(struct buf *out, const struct device_view *v)
{
	struct pb w;

	buf_init(out, DEVICE_PACKED_MAX);
	w = pb_start(out, DEVICE_PACKED_MAX);
	device_pack(&w, v);
	pb_finish(&w);
	assert_int_equal(out->err, 0);
}

static void check(struct arena *arena, const struct device_view *v)
{
	static uint8_t expected[DEVICE_PACKED_MAX];
	ProtobufCAllocator from = mutation_allocator(arena);
	struct msg_mem m = msg_mem_of(&from);
	Causeway__V1__Device *d = fill(&m, v);
	struct buf packed;

	assert_true(causeway__v1__device__get_packed_size(d) <= sizeof(expected));
	pack(&packed, v);
	assert_int_equal(packed.len, causeway__v1__device__pack(d, expected));
	assert_memory_equal(packed.data, expected, packed.len);
	buf_free(&packed);
	arena_release(arena, 0);
}

static void test_same_octets_as_protobuf_c(void **state)
{
	struct arena arena;
	struct device_view v;

	(void)state;
	arena_init(&arena, 1024 * 1024);
	seed = 0x9e3779b97f4a7c15;
	v = (struct device_view){.name = "",
	                         .group = "",
	                         .tls_version = "",
	                         .tls_cipher = "",
	                         .facts = {"", "", "", "", 0, 0},
	                         .amt_problem = ""};
	check(&arena, &v);
	make_longest(&v);
	check(&arena, &v);
	for (unsigned i = 0; i < ROUNDS; i++) {
		make(&v);
		check(&arena, &v);
	}
	arena_free(&arena);
}

static bool is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const char *at = (const char *)m + f->offset;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)(const void *)((const char *)m + f->quantifier_offset) > 0;
	if (f->type == PROTOBUF_C_TYPE_STRING)
		return (*(const char *const *)(const void *)at)[0] != '\0';
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(const void *const *)(const void *)at != NULL;
	return *(const int *)(const void *)at != 0; /* all of them are set to large values */
}

/* A field that is new in devices.proto is missing here until device_pack knows it. */
static void test_every_field_of_the_proto_is_written(void **state)
{
	const ProtobufCMessageDescriptor *of = &causeway__v1__device__descriptor;
	struct device_view v;
	ProtobufCMessage *d;
	struct buf packed;

	(void)state;
	make_longest(&v);
	pack(&packed, &v);
	d = protobuf_c_message_unpack(of, NULL, packed.len, packed.data);
	assert_non_null(d);
	assert_int_equal(d->n_unknown_fields, 0);
	for (unsigned i = 0; i < of->n_fields; i++)
		if (!is_set(d, &of->fields[i]))
			fail_msg("device_pack does not write %s", of->fields[i].name);
	protobuf_c_message_free_unpacked(d, NULL);
	buf_free(&packed);
}

static void test_too_little_room_is_told(void **state)
{
	struct device_view v;
	struct buf out;

	(void)state;
	make_longest(&v);
	for (size_t max = 0; max < 1200; max++) {
		struct pb w;

		buf_init(&out, DEVICE_PACKED_MAX);
		buf_put_u8(&out, 'x');
		w = pb_start(&out, max);
		device_pack(&w, &v);
		pb_finish(&w);
		assert_int_equal(out.err, -ERR_TOO_BIG);
		assert_int_equal(out.len, 1);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_octets_as_protobuf_c),
		cmocka_unit_test(test_every_field_of_the_proto_is_written),
		cmocka_unit_test(test_too_little_room_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
