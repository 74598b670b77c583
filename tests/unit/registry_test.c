/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is it, and what is known of it: the registry over a real store in a folder of its own. */
#include "core/clock.h"
#include "core/err.h"
#include "gateway/registry.h"
#include "tests/unit/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUID_A "4c4c4544-0039-3410-8052-b4c04f4e5a31"
#define GUID_B "11111111-2222-3333-4444-555555555555"

struct fixture {
	char dir[64];
	struct store *store;
	struct events *events;
	struct registry *r;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct store_opts opts = {.dir = f->dir, .map_size = 64 << 20};
	struct buf why;

	buf_init(&why, 1000);
	(void)str_copy(f->dir, sizeof(f->dir), "/tmp/causeway-registry-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->store = store_open(&opts, &why);
	assert_string_equal(buf_cstr(&why), "");
	assert_non_null(f->store);
	f->events = events_new(NULL, 0);
	f->r = registry_new(f->store, f->events, &why);
	assert_non_null(f->r);
	buf_free(&why);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];

	registry_free(f->r);
	store_close(f->store);
	events_free(f->events);
	(void)snprintf(cmd, sizeof(cmd), "rm -r %s", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

static int put_group(struct store_txn *t, void *arg)
{
	return store_group_put(t, arg);
}

static int put_device(struct store_txn *t, void *arg)
{
	return store_device_put(t, arg);
}

static int delete_device(struct store_txn *t, void *arg)
{
	return store_device_delete(t, arg);
}

static void group(struct fixture *f, const char *name, const char *user, const char *password,
                  enum enroll_policy enroll)
{
	struct store_group g = {.enroll = enroll};

	(void)str_copy(g.name, sizeof(g.name), name);
	(void)str_copy(g.cira.user, sizeof(g.cira.user), user);
	(void)str_copy(g.cira.password, sizeof(g.cira.password), password);
	(void)str_copy(g.amt.user, sizeof(g.amt.user), "admin");
	(void)str_copy(g.amt.password, sizeof(g.amt.password), "Amt-1234");
	assert_int_equal(store_update(f->store, put_group, &g), 0);
}

static struct device_key key_of(const char *guid, uint16_t instance)
{
	struct device_key k = {.instance = instance};

	assert_int_equal(guid_parse(span_str(guid), &k.guid), 0);
	return k;
}

static void device(struct fixture *f, const char *guid, uint16_t instance, const char *group_name,
                   const char *own_user)
{
	struct store_device *d = calloc(1, sizeof(*d));

	d->key = key_of(guid, instance);
	d->state = DEVICE_APPROVED;
	(void)str_copy(d->group, sizeof(d->group), group_name);
	(void)snprintf(d->name, sizeof(d->name), "pc-%.4s-%u", guid, instance);
	(void)str_copy(d->cira.user, sizeof(d->cira.user), own_user);
	if (own_user[0] != '\0')
		(void)str_copy(d->cira.password, sizeof(d->cira.password), "own-secret");
	assert_int_equal(store_update(f->store, put_device, d), 0);
	free(d);
}

static struct auth_result auth(struct fixture *f, const char *guid, const char *user,
                               const char *password)
{
	struct device_key k = key_of(guid, 0);
	struct auth_result r;

	registry_authenticate(f->r, &k.guid, span_str(user), span_str(password), &r);
	return r;
}

static void test_unknown_users_and_wrong_passwords(void **state)
{
	struct fixture *f = *state;

	group(f, "office", "enrol", "Pass-word1", ENROLL_ACCEPT);
	assert_int_equal(auth(f, GUID_A, "nobody", "Pass-word1").verdict, AUTH_BAD_USER);
	assert_int_equal(auth(f, GUID_A, "", "").verdict, AUTH_BAD_USER);
	assert_int_equal(auth(f, GUID_A, "enrol", "Pass-word2").verdict, AUTH_BAD_PASSWORD);
	assert_int_equal(auth(f, GUID_A, "enrol", "Pass-word").verdict, AUTH_BAD_PASSWORD);
	assert_int_equal(auth(f, GUID_A, "enrol", "").verdict, AUTH_BAD_PASSWORD);
	assert_int_equal(auth(f, GUID_A, "enrol", "Pass-word1").verdict, AUTH_ENROLL);
}

static void test_policies_of_groups(void **state)
{
	struct fixture *f = *state;

	group(f, "in", "u-in", "Pass-word1", ENROLL_ACCEPT);
	group(f, "wait", "u-wait", "Pass-word1", ENROLL_HOLD);
	group(f, "out", "u-out", "Pass-word1", ENROLL_REJECT);
	assert_int_equal(auth(f, GUID_A, "u-in", "Pass-word1").state, DEVICE_APPROVED);
	assert_int_equal(auth(f, GUID_A, "u-wait", "Pass-word1").state, DEVICE_HELD);
	assert_int_equal(auth(f, GUID_A, "u-out", "Pass-word1").verdict, AUTH_POLICY);
	device(f, GUID_A, 0, "out", "");
	assert_int_equal(auth(f, GUID_A, "u-out", "Pass-word1").verdict, AUTH_KNOWN);
	assert_int_equal(
		auth(f, "03000200-0400-0500-0006-000700080009", "u-in", "Pass-word1").verdict,
		AUTH_POLICY);
}

static void test_own_credentials_shut_the_group_out(void **state)
{
	struct fixture *f = *state;
	struct auth_result r;

	group(f, "office", "enrol", "Pass-word1", ENROLL_ACCEPT);
	device(f, GUID_A, 0, "office", "dev-a");
	r = auth(f, GUID_A, "dev-a", "own-secret");
	assert_int_equal(r.verdict, AUTH_KNOWN);
	assert_int_equal(r.key.instance, 0);
	assert_int_equal(auth(f, GUID_A, "dev-a", "other").verdict, AUTH_BAD_PASSWORD);
	/* The enrolment password is no key to a device that has its own: a stranger becomes another instance. */
	r = auth(f, GUID_A, "enrol", "Pass-word1");
	assert_int_equal(r.verdict, AUTH_ENROLL);
	assert_int_equal(r.key.instance, 1);
	/* and its own credentials say nothing about other GUIDs */
	assert_int_equal(auth(f, GUID_B, "dev-a", "own-secret").verdict, AUTH_BAD_USER);
}

static void test_same_guid_in_two_groups_is_two_devices(void **state)
{
	struct fixture *f = *state;
	struct auth_result r;

	group(f, "one", "u1", "Pass-word1", ENROLL_ACCEPT);
	group(f, "two", "u2", "Pass-word2", ENROLL_ACCEPT);
	device(f, GUID_A, 0, "one", "");
	r = auth(f, GUID_A, "u2", "Pass-word2");
	assert_int_equal(r.verdict, AUTH_ENROLL);
	assert_int_equal(r.key.instance, 1);
	device(f, GUID_A, 1, "two", "");
	assert_int_equal(auth(f, GUID_A, "u2", "Pass-word2").key.instance, 1);
	assert_int_equal(auth(f, GUID_A, "u1", "Pass-word1").key.instance, 0);
}

static void test_certificate_names_a_known_device(void **state)
{
	struct fixture *f = *state;
	struct device_key a = key_of(GUID_A, 0);
	struct auth_result r;

	group(f, "one", "u1", "Pass-word1", ENROLL_ACCEPT);
	registry_authenticate_cert(f->r, &a.guid, GUID_A, &r);
	assert_int_equal(r.verdict, AUTH_POLICY);
	device(f, GUID_A, 0, "one", "");
	registry_authenticate_cert(f->r, &a.guid, GUID_A, &r);
	assert_int_equal(r.verdict, AUTH_KNOWN);
	registry_authenticate_cert(f->r, &a.guid, GUID_B, &r);
	assert_int_equal(r.verdict, AUTH_POLICY);
	registry_authenticate_cert(f->r, &a.guid, "", &r);
	assert_int_equal(r.verdict, AUTH_POLICY);
}

static struct live live_at(uint64_t handle, const char *source)
{
	struct addr a;
	struct live l = {.handle = handle, .tls_version = "TLSv1.2", .tls_cipher = "x"};

	assert_int_equal(addr_parse(source, &a), 0);
	addr_pack(&l.source, &a);
	return l;
}

static void test_a_newer_tunnel_replaces_and_the_older_cannot_detach_it(void **state)
{
	struct fixture *f = *state;
	struct live l1 = live_at(7, "10.0.0.1:1000"), l2 = live_at(8, "10.0.0.1:1001");
	struct device_key a = key_of(GUID_A, 0);
	struct live_ref ref;

	group(f, "one", "u1", "Pass-word1", ENROLL_ACCEPT);
	assert_int_equal(registry_attach(f->r, &a, &l1, &ref), -ERR_NOT_FOUND);
	device(f, GUID_A, 0, "one", "");
	assert_int_equal(registry_live(f->r, &a, &ref, NULL), -ERR_OFFLINE);
	assert_int_equal(registry_attach(f->r, &a, &l1, &ref), 0);
	assert_int_equal(ref.handle, 0);
	assert_int_equal(registry_attach(f->r, &a, &l2, &ref), 0);
	assert_int_equal(ref.handle, 7);
	registry_detach(f->r, &a, &l1);
	assert_int_equal(registry_live(f->r, &a, &ref, NULL), 0);
	assert_int_equal(ref.handle, 8);
	registry_detach(f->r, &a, &l2);
	assert_int_equal(registry_live(f->r, &a, &ref, NULL), -ERR_OFFLINE);
}

static void is_suspected(void *arg, const struct device_view *v)
{
	*(bool *)arg = v->duplicate_suspected;
}

static void test_flapping_between_addresses_is_reported(void **state)
{
	struct fixture *f = *state;
	struct live l[2] = {live_at(1, "10.0.0.1:1000"), live_at(2, "10.9.9.9:1000")};
	struct device_key a = key_of(GUID_A, 0);
	struct live_ref ref;
	bool suspected = true;

	group(f, "one", "u1", "Pass-word1", ENROLL_ACCEPT);
	device(f, GUID_A, 0, "one", "");
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(registry_attach(f->r, &a, &l[i % 2], &ref), 0);
	assert_int_equal(registry_view(f->r, &a, is_suspected, &suspected), 0);
	assert_false(suspected);
	assert_int_equal(registry_attach(f->r, &a, &l[1], &ref), 0);
	assert_int_equal(registry_view(f->r, &a, is_suspected, &suspected), 0);
	assert_true(suspected);
	registry_detach(f->r, &a, &l[1]);
}

static bool visible_one(void *arg, const char *group_name)
{
	(void)arg;
	return strcmp(group_name, "one") == 0;
}

static void test_finds_by_key_and_by_unambiguous_name(void **state)
{
	struct fixture *f = *state;
	struct device_facts facts = {.host_name = "shared-host"};
	struct device_key a = key_of(GUID_A, 0), b = key_of(GUID_B, 0), got;

	group(f, "one", "u1", "Pass-word1", ENROLL_ACCEPT);
	group(f, "two", "u2", "Pass-word2", ENROLL_ACCEPT);
	device(f, GUID_A, 0, "one", "");
	device(f, GUID_B, 0, "two", "");
	assert_int_equal(registry_find(f->r, "devices/" GUID_A, NULL, NULL, &got), 0);
	assert_int_equal(
		registry_find(f->r, "4C4C4544-0039-3410-8052-B4C04F4E5A31", NULL, NULL, &got), 0);
	assert_int_equal(registry_find(f->r, GUID_A "#3", NULL, NULL, &got), -ERR_NOT_FOUND);
	assert_int_equal(registry_find(f->r, "PC-1111-0", NULL, NULL, &got), 0);
	assert_true(guid_equal(&got.guid, &b.guid));
	assert_int_equal(registry_find(f->r, "pc-1111-0", visible_one, NULL, &got), -ERR_NOT_FOUND);
	assert_int_equal(registry_find(f->r, GUID_B, visible_one, NULL, &got), -ERR_NOT_FOUND);
	registry_set_facts(f->r, &a, &facts);
	registry_set_facts(f->r, &b, &facts);
	assert_int_equal(registry_find(f->r, "shared-host", NULL, NULL, &got), -ERR_EXISTS);
	assert_int_equal(registry_find(f->r, "shared-host", visible_one, NULL, &got), 0);
	assert_true(guid_equal(&got.guid, &a.guid));
	assert_int_equal(registry_find(f->r, "", NULL, NULL, &got), -ERR_NOT_FOUND);
}

struct collected {
	size_t n;
	struct device_key keys[8];
};

static bool collect(void *arg, const struct device_view *v)
{
	struct collected *c = arg;

	c->keys[c->n++] = v->key;
	return c->n < 2;
}

static void test_lists_in_order_and_goes_on_after_a_key(void **state)
{
	struct fixture *f = *state;
	struct collected c = {0};

	group(f, "one", "u1", "Pass-word1", ENROLL_ACCEPT);
	device(f, GUID_B, 0, "one", "");
	device(f, GUID_A, 1, "one", "");
	device(f, GUID_A, 0, "one", "");
	registry_each(f->r, NULL, collect, &c);
	assert_int_equal(c.n, 2);
	c.n = 0;
	registry_each(f->r, &c.keys[1], collect, &c);
	assert_int_equal(c.n, 1);
	assert_int_equal(registry_count(f->r), 3);
}

static void test_events_tell_what_happened(void **state)
{
	struct fixture *f = *state;
	struct live l = live_at(7, "10.0.0.1:1000");
	struct device_key a = key_of(GUID_A, 0);
	struct device_event ev[8];
	struct live_ref ref;
	uint64_t before = (uint64_t)clock_wall_ms();
	static const enum device_event_kind want[] = {DEVICE_EVENT_ADDED, DEVICE_EVENT_CONNECTED,
	                                              DEVICE_EVENT_POWER, DEVICE_EVENT_DISCONNECTED,
	                                              DEVICE_EVENT_REMOVED};

	group(f, "one", "u1", "Pass-word1", ENROLL_ACCEPT);
	device(f, GUID_A, 0, "one", "");
	assert_int_equal(registry_attach(f->r, &a, &l, &ref), 0);
	registry_set_power(f->r, &a, POWER_OFF_SOFT);
	registry_set_power(f->r, &a, POWER_OFF_SOFT); /* no change, no event */
	registry_detach(f->r, &a, &l);
	assert_int_equal(store_update(f->store, delete_device, &a), 0);
	assert_int_equal(events_read(f->events, 0, ev, 8), ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(ev[i].kind, want[i]);
		assert_int_equal(ev[i].seq, i + 1);
		assert_string_equal(ev[i].group, "one");
		assert_memory_equal(&ev[i].key, &a, sizeof(a));
		assert_int_equal(ev[i].power, i < 2 ? POWER_UNKNOWN : POWER_OFF_SOFT);
		assert_in_range(ev[i].time_ms, before, (uint64_t)clock_wall_ms());
	}
	assert_int_equal(events_read(f->events, 5, ev, 8), 0);
	assert_int_equal(events_read(f->events, 6, ev, 8), -ERR_NOT_FOUND);
}

static void test_amt_account_is_own_or_groups_and_refusals_reset(void **state)
{
	struct fixture *f = *state;
	struct device_key a = key_of(GUID_A, 0);
	struct credential c;

	group(f, "one", "u1", "Pass-word1", ENROLL_ACCEPT);
	device(f, GUID_A, 0, "one", "");
	assert_true(registry_amt_credential(f->r, &a, &c));
	assert_string_equal(c.password, "Amt-1234");
	assert_int_equal(registry_amt_refusals(f->r, &a, 1), 1);
	assert_int_equal(registry_amt_refusals(f->r, &a, 1), 2);
	device(f, GUID_A, 0, "one", ""); /* rewritten without new credentials */
	assert_int_equal(registry_amt_refusals(f->r, &a, 0), 2);
	struct store_group g = {
		.name = "one", .enroll = ENROLL_ACCEPT, .amt = {"admin", "New-1234"}};
	assert_int_equal(store_update(f->store, put_group, &g), 0);
	assert_int_equal(registry_amt_refusals(f->r, &a, 0), 0);
}

static void test_loads_what_is_stored(void **state)
{
	struct fixture *f = *state;
	struct registry *again;
	struct buf why;

	group(f, "one", "u1", "Pass-word1", ENROLL_ACCEPT);
	device(f, GUID_A, 0, "one", "dev-a");
	buf_init(&why, 100);
	registry_free(f->r);
	again = registry_new(f->store, f->events, &why);
	assert_non_null(again);
	f->r = again;
	assert_int_equal(auth(f, GUID_A, "dev-a", "own-secret").verdict, AUTH_KNOWN);
	assert_int_equal(auth(f, GUID_B, "u1", "Pass-word1").verdict, AUTH_ENROLL);
	buf_free(&why);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_unknown_users_and_wrong_passwords),
		T(test_policies_of_groups),
		T(test_own_credentials_shut_the_group_out),
		T(test_same_guid_in_two_groups_is_two_devices),
		T(test_certificate_names_a_known_device),
		T(test_a_newer_tunnel_replaces_and_the_older_cannot_detach_it),
		T(test_flapping_between_addresses_is_reported),
		T(test_finds_by_key_and_by_unambiguous_name),
		T(test_lists_in_order_and_goes_on_after_a_key),
		T(test_events_tell_what_happened),
		T(test_amt_account_is_own_or_groups_and_refusals_reset),
		T(test_loads_what_is_stored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
