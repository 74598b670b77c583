/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dispatch_test.c: the method table, access rules from the .proto files, and the call's memory. */
#include "tests/unit/support/test.h"

#include <string.h>

#include "causeway/v1/devices.pb-c.h"
#include "causeway/v1/power.pb-c.h"
#include "causeway/v1/tunnels.pb-c.h"
#include "core/err.h"
#include "core/text.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "mgmtapi/arena.h"
#include "mgmtapi/descriptors.h"
#include "mgmtapi/dispatch.h"

static int handler(struct call *c, const ProtobufCMessage *m)
{
	(void)c;
	(void)m;
	return 0;
}

static const struct service_method methods[] = {
	{"ChangePower", &causeway__v1__change_power_request__descriptor,
         &causeway__v1__change_power_response__descriptor, handler},
	{"GetPowerState", &causeway__v1__get_power_state_request__descriptor,
         &causeway__v1__get_power_state_response__descriptor, handler},
};
static const struct service power = {"causeway.v1.PowerService", methods, ARRAY_LEN(methods),
                                     false};
static const struct service_method stream_methods[] = {
	{"OpenTunnel", &causeway__v1__open_tunnel_request__descriptor,
         &causeway__v1__open_tunnel_response__descriptor, handler},
};
static const struct service tunnel = {"causeway.v1.TunnelService", stream_methods, 1, false};
static const struct service *const services[] = {&power, &tunnel};

static struct dispatch *make(const struct service *const *list, size_t n, const char *because)
{
	struct buf why;
	struct dispatch *d;

	buf_init(&why, 1024);
	d = dispatch_new(list, n, span_of(api_descriptors, api_descriptors_len), &why);
	if (because == NULL ? d == NULL : d != NULL || strstr(buf_cstr(&why), because) == NULL)
		fail_msg("%s", buf_cstr(&why));
	buf_free(&why);
	return d;
}

static void flags_and_rules(void **state)
{
	struct dispatch *d = make(services, 2, NULL);
	struct method *m;
	bool known;

	(void)state;
	m = dispatch_find(d, span_str("/causeway.v1.PowerService/ChangePower"), &known);
	assert_non_null(m);
	assert_int_equal(m->access.role, ROLE_OPERATOR);
	assert_string_equal(m->access.scope, "power.write");
	assert_true(m->access.mutates);
	assert_false(m->client_streaming || m->server_streaming);
	assert_string_equal(m->def->request->fields[m->request_id_field].name, "request_id");
	m = dispatch_find(d, span_str("/causeway.v1.PowerService/GetPowerState"), &known);
	assert_int_equal(m->access.role, ROLE_VIEWER);
	assert_false(m->access.mutates);
	assert_int_equal(m->request_id_field, -1);
	m = dispatch_find(d, span_str("/causeway.v1.TunnelService/OpenTunnel"), &known);
	assert_true(m->client_streaming && m->server_streaming);
	assert_int_equal(m->access.role, ROLE_ADMINISTRATOR);
	dispatch_free(d);
}

static void unknown_paths(void **state)
{
	static const char *const paths[] = {
		"",
		"/",
		"x",
		"//",
		"/causeway.v1.PowerService",
		"/causeway.v1.PowerService/",
		"/causeway.v1.PowerService/changepower",
		"/causeway.v1.PowerService/ChangePowerX",
		"causeway.v1.PowerService/ChangePower",
		"/causeway.v1.Power/ChangePower",
	};
	struct dispatch *d = make(services, 2, NULL);
	bool known;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_null(dispatch_find(d, span_str(paths[i]), &known));
	assert_null(dispatch_find(d, span_str("/causeway.v1.PowerService/Nope"), &known));
	assert_true(known);
	assert_null(dispatch_find(d, span_str("/causeway.v1.NopeService/Nope"), &known));
	assert_false(known);
	dispatch_free(d);
}

static void wrong_tables_are_refused(void **state)
{
	static const struct service_method wrong[] = {
		{"ChangePower", &causeway__v1__get_power_state_request__descriptor,
	         &causeway__v1__change_power_response__descriptor, handler},
	};
	static const struct service_method missing[] = {
		{"Explode", &causeway__v1__get_power_state_request__descriptor,
	         &causeway__v1__change_power_response__descriptor, handler},
	};
	static const struct service bad[] = {
		{"causeway.v1.PowerService", wrong, 1, false},
		{"causeway.v1.PowerService", missing, 1, false},
		{"causeway.v1.NoService", methods, 2, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct service *list[] = {&bad[i]};

		(void)make(list, 1, "not in the .proto files");
	}
}

/* Every method of causeway.v1 has a rule, and what mutates takes a request_id (a stream's first message apart). */
static void every_method_has_a_rule(void **state)
{
	Google__Protobuf__FileDescriptorSet *set = google__protobuf__file_descriptor_set__unpack(
		NULL, api_descriptors_len, api_descriptors);
	size_t seen = 0;

	(void)state;
	assert_non_null(set);
	for (size_t i = 0; i < set->n_file; i++) {
		const Google__Protobuf__FileDescriptorProto *f = set->file[i];

		if (f->package == NULL || strcmp(f->package, "causeway.v1") != 0)
			continue;
		for (size_t j = 0; j < f->n_service; j++)
			for (size_t k = 0; k < f->service[j]->n_method; k++) {
				const Google__Protobuf__MethodDescriptorProto *m =
					f->service[j]->method[k];

				if (m->options == NULL || m->options->base.n_unknown_fields != 1 ||
				    m->options->base.unknown_fields[0].tag != 50710)
					fail_msg("%s.%s has no access option", f->service[j]->name,
					         m->name);
				seen++;
			}
	}
	assert_true(seen >= 40);
	google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
}

static void roles_and_scopes(void **state)
{
	struct dispatch *d = make(services, 2, NULL);
	struct principal p = {.role = ROLE_VIEWER};
	const char *why = "";
	bool known;
	struct method *m =
		dispatch_find(d, span_str("/causeway.v1.PowerService/ChangePower"), &known);

	(void)state;
	assert_int_equal(access_allows(m, &p, &why), -ERR_DENIED);
	p.role = ROLE_OPERATOR;
	assert_int_equal(access_allows(m, &p, &why), 0);
	p.role = ROLE_ADMINISTRATOR;
	assert_int_equal(access_allows(m, &p, &why), 0);
	p.scopes_len = 1;
	assert_true(str_copy(p.scopes[0], sizeof(p.scopes[0]), "devices.read"));
	assert_int_equal(access_allows(m, &p, &why), -ERR_DENIED);
	assert_true(str_copy(p.scopes[0], sizeof(p.scopes[0]), "power.write"));
	assert_int_equal(access_allows(m, &p, &why), 0);
	p.role = 0;
	assert_int_equal(access_allows(m, &p, &why), -ERR_DENIED);
	m->access.role = 0;
	p.role = ROLE_ADMINISTRATOR;
	assert_int_equal(access_allows(m, &p, &why), -ERR_DENIED);
	dispatch_free(d);
}

static void groups(void **state)
{
	struct principal p = {0};

	(void)state;
	assert_true(principal_sees_group(&p, "any"));
	p.groups_len = 2;
	assert_true(str_copy(p.groups[0], sizeof(p.groups[0]), "a"));
	assert_true(str_copy(p.groups[1], sizeof(p.groups[1]), "b"));
	assert_true(principal_sees_group(&p, "b"));
	assert_false(principal_sees_group(&p, "c"));
	assert_false(principal_sees_group(&p, ""));
}

static void arenas(void **state)
{
	struct arena a;
	size_t mark;
	uint8_t *p;

	(void)state;
	arena_init(&a, 100000);
	p = arena_alloc(&a, 10);
	assert_non_null(p);
	memset(p, 1, 10);
	mark = arena_mark(&a);
	for (unsigned i = 0; i < 100; i++) {
		uint8_t *q = arena_alloc(&a, 500);

		assert_non_null(q);
		assert_int_equal(q[499], 0);
		assert_int_equal((uintptr_t)q % _Alignof(max_align_t), 0);
		memset(q, 0xff, 500);
	}
	assert_null(arena_alloc(&a, 60000));
	assert_null(arena_alloc(&a, SIZE_MAX));
	arena_release(&a, mark);
	assert_int_equal(arena_mark(&a), mark);
	assert_int_equal(p[9], 1);
	assert_non_null(arena_alloc(&a, 60000));
	arena_free(&a);
	assert_int_equal(arena_mark(&a), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_and_rules),
		cmocka_unit_test(unknown_paths),
		cmocka_unit_test(wrong_tables_are_refused),
		cmocka_unit_test(every_method_has_a_rule),
		cmocka_unit_test(roles_and_scopes),
		cmocka_unit_test(groups),
		cmocka_unit_test(arenas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
