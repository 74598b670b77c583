/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Devices as messages and in filters; the scopes that tokens may name are those of the .proto files. */
#include "mgmtapi/device_msg.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/arena.h"
#include "mgmtapi/descriptors.h"
#include "mgmtapi/mutation.h"
#include "tests/unit/support/store_help.h"
#include "tests/unit/support/test.h"

#include <stdlib.h>
#include <string.h>

static const struct label labels[] = {{"site", "berlin"}};

static struct device_view view_of(const struct store_device *d)
{
	return (struct device_view){
		.key = d->key,
		.name = d->name,
		.group = d->group,
		.state = d->state,
		.labels = d->labels,
		.labels_len = d->labels_len,
		.created_ms = d->created_ms,
		.updated_ms = d->updated_ms,
		.pinned = d->pinned,
		.tls_version = "",
		.tls_cipher = "",
		.facts = {.host_name = "", .amt_version = "", .build = "", .control_mode = ""},
		.amt_problem = "",
	};
}

static void test_view_and_record_have_the_same_fingerprint(void **state)
{
	struct store_device *d = calloc(1, sizeof(*d));
	struct arena arena;
	ProtobufCAllocator from;
	struct msg_mem m;
	struct device_view v;
	Causeway__V1__Device *msg;
	char etag[ETAG_TEXT_MAX], after[ETAG_TEXT_MAX];

	(void)state;
	assert_non_null(d);
	arena_init(&arena, 1024 * 1024);
	from = mutation_allocator(&arena);
	m = msg_mem_of(&from);
	fill_device(d, 7, true);
	d->updated_ms = 1234567;
	v = view_of(d);
	msg = device_msg(&m, &v);
	assert_non_null(msg);
	device_etag(d, etag);
	assert_string_equal(msg->etag, etag);
	assert_int_equal(msg->n_labels, LABELS_MAX);
	d->updated_ms++;
	device_etag(d, after);
	assert_string_not_equal(etag, after);
	device_msg_record(&m, msg, d);
	assert_string_equal(msg->etag, after);
	assert_true(msg->has_cira_credentials && msg->has_amt_credentials);
	arena_free(&arena);
	free(d);
}

static void test_want_of_memory_is_told(void **state)
{
	static struct store_device d;
	struct arena arena;
	ProtobufCAllocator from;
	struct msg_mem m;
	struct device_view v;

	(void)state;
	arena_init(&arena, 1024); /* the labels do not fit */
	from = mutation_allocator(&arena);
	m = msg_mem_of(&from);
	fill_device(&d, 7, true);
	v = view_of(&d);
	assert_null(device_msg(&m, &v));
	assert_true(m.failed);
	arena_free(&arena);
}

static bool matches(const char *text, const struct device_view *v)
{
	static struct filter f;
	struct buf why;

	buf_init(&why, 1024);
	assert_int_equal(filter_parse(text, &device_filter, &f, &why), 0);
	buf_free(&why);
	return filter_matches(&f, device_filter_value, v);
}

static void test_filters(void **state)
{
	struct device_view v = {.name = "pc",
	                        .group = "office",
	                        .state = DEVICE_HELD,
	                        .labels = labels,
	                        .labels_len = 1,
	                        .connected = true,
	                        .power = POWER_OFF_SOFT,
	                        .facts = {.amt_version = "15.0.23"}};

	(void)state;
	assert_true(matches("connected=true AND label.site=berlin AND amt_version=15.*", &v));
	assert_true(matches("state=held AND group=office AND label.rack=\"\"", &v));
	assert_true(matches("power_state=off", &v));
	assert_true(matches("power_state=off_soft", &v));
	assert_false(matches("power_state!=off", &v));
	assert_false(matches("power_state=on", &v));
	v.power = POWER_ON;
	assert_true(matches("power_state!=off", &v));
	assert_false(matches("power_state=off", &v));
	assert_true(matches("id=00000000-* AND duplicate_suspected=false", &v));
}

static bool in_descriptors(const char *text)
{
	return memmem(api_descriptors, api_descriptors_len, text, strlen(text)) != NULL;
}

static void test_scopes_are_those_of_the_methods(void **state)
{
	(void)state;
	for (const char *const *s = token_scopes; *s != NULL; s++)
		if (!in_descriptors(*s))
			fail_msg("no method asks for %s", *s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_view_and_record_have_the_same_fingerprint),
		cmocka_unit_test(test_want_of_memory_is_told),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_scopes_are_those_of_the_methods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
