/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reflect_test.c: server reflection through the whole stack: what a client asks to learn the API. */
#include "tests/unit/support/test.h"
#include "tests/unit/support/h2client.h"

#include <stdio.h>
#include <string.h>

#include "google/protobuf/descriptor.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "mgmtapi/health.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request_t;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_t;

/* v1 and v1alpha are the same on the wire. */
static response_t *ask(struct h2client *c, const char *version, const request_t *q)
{
	char path[128];
	struct request r = {.path = path, .token = ""};
	struct reply *reply;
	struct buf b;
	response_t *out;

	(void)snprintf(path, sizeof(path),
	               "/grpc.reflection.%s.ServerReflection/ServerReflectionInfo", version);
	buf_init(&b, 4096);
	envelope_msg(&b, &q->base);
	r.body = buf_span(&b);
	reply = h2client_request(c, &r);
	h2client_run(c);
	buf_free(&b);
	assert_string_equal(reply->grpc_status, "0");
	assert_true(reply->body.len > 5);
	out = grpc__reflection__v1__server_reflection_response__unpack(NULL, reply->body.len - 5,
	                                                               reply->body.data + 5);
	assert_non_null(out);
	return out;
}

static void done(response_t *r)
{
	grpc__reflection__v1__server_reflection_response__free_unpacked(r, NULL);
}

static void lists_services(void **state)
{
	static const char *const versions[] = {"v1", "v1alpha"};
	request_t q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;

	(void)state;
	q.message_request_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES;
	q.list_services = (char *)(uintptr_t) "*";
	q.host = (char *)(uintptr_t) "h";
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct h2client c;
		response_t *r;

		h2client_init(&c);
		r = ask(&c, versions[i], &q);
		assert_string_equal(r->valid_host, "h");
		assert_string_equal(r->original_request->list_services, "*");
		assert_int_equal(
			r->message_response_case,
			GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE);
		assert_int_equal(r->list_services_response->n_service, demo_services_len);
		assert_string_equal(r->list_services_response->service[0]->name,
		                    "causeway.v1.PowerService");
		done(r);
		h2client_free(&c);
	}
}

/* The first file is the one; all it needs follows, so that a client can build it without asking again. */
static void symbol_is_in(struct h2client *c, const char *symbol, const char *file)
{
	request_t q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	Google__Protobuf__FileDescriptorProto *f;
	response_t *r;

	q.message_request_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL;
	q.file_containing_symbol = (char *)(uintptr_t)symbol;
	r = ask(c, "v1", &q);
	if (file == NULL) {
		assert_int_equal(
			r->message_response_case,
			GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE);
		assert_int_equal(r->error_response->error_code, 5);
		done(r);
		return;
	}
	assert_int_equal(
		r->message_response_case,
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE);
	f = google__protobuf__file_descriptor_proto__unpack(
		NULL, r->file_descriptor_response->file_descriptor_proto[0].len,
		r->file_descriptor_response->file_descriptor_proto[0].data);
	assert_non_null(f);
	assert_string_equal(f->name, file);
	assert_true(r->file_descriptor_response->n_file_descriptor_proto >= 1 + f->n_dependency);
	google__protobuf__file_descriptor_proto__free_unpacked(f, NULL);
	done(r);
}

static void finds_symbols(void **state)
{
	struct h2client c;

	(void)state;
	h2client_init(&c);
	symbol_is_in(&c, "causeway.v1.PowerService", "causeway/v1/power.proto");
	symbol_is_in(&c, "causeway.v1.PowerService.ChangePower", "causeway/v1/power.proto");
	symbol_is_in(&c, "causeway.v1.Device", "causeway/v1/devices.proto");
	symbol_is_in(&c, "causeway.v1.Device.host_name", "causeway/v1/devices.proto");
	symbol_is_in(&c, "causeway.v1.PowerState", "causeway/v1/devices.proto");
	symbol_is_in(&c, "causeway.v1.access", "causeway/v1/options.proto");
	symbol_is_in(&c, "grpc.health.v1.HealthCheckResponse.ServingStatus",
	             "grpc/health/v1/health.proto");
	symbol_is_in(&c, "google.protobuf.FieldOptions.CType", "google/protobuf/descriptor.proto");
	symbol_is_in(&c, "google.rpc.Help.Link", "google/rpc/error_details.proto");
	symbol_is_in(&c, "causeway.v1.Devic", NULL);
	symbol_is_in(&c, "causeway.v1.PowerService.Nope", NULL);
	symbol_is_in(&c, "causeway.v1", NULL);
	symbol_is_in(&c, "", NULL);
	symbol_is_in(&c, ".", NULL);
	h2client_free(&c);
}

static void finds_extensions(void **state)
{
	Grpc__Reflection__V1__ExtensionRequest e = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
	request_t q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	struct h2client c;
	response_t *r;

	(void)state;
	h2client_init(&c);
	q.message_request_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION;
	q.file_containing_extension = &e;
	e.containing_type = (char *)(uintptr_t) "google.protobuf.MethodOptions";
	e.extension_number = 50710;
	r = ask(&c, "v1", &q);
	assert_int_equal(
		r->message_response_case,
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE);
	done(r);
	q.message_request_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE;
	q.all_extension_numbers_of_type = (char *)(uintptr_t) "google.protobuf.MethodOptions";
	r = ask(&c, "v1alpha", &q);
	assert_int_equal(r->all_extension_numbers_response->n_extension_number, 1);
	assert_int_equal(r->all_extension_numbers_response->extension_number[0], 50710);
	done(r);
	h2client_free(&c);
}

static int health(struct h2client *c, const char *service, const char *status)
{
	Grpc__Health__V1__HealthCheckRequest q = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	struct request r = {.path = "/grpc.health.v1.Health/Check", .token = ""};
	struct reply *reply;
	struct buf b;

	buf_init(&b, 4096);
	q.service = (char *)(uintptr_t)service;
	envelope_msg(&b, &q.base);
	r.body = buf_span(&b);
	reply = h2client_request(c, &r);
	h2client_run(c);
	buf_free(&b);
	assert_string_equal(reply->grpc_status, status);
	return reply->body.len == 7 ? reply->body.data[6] : 0;
}

static void health_check(void **state)
{
	struct h2client c;

	(void)state;
	h2client_init(&c);
	assert_int_equal(health(&c, "", "0"), 1);
	assert_int_equal(health(&c, "causeway.v1.PowerService", "0"), 1);
	assert_int_equal(health(&c, "nope", "5"), 0);
	health_set_serving(false);
	assert_int_equal(health(&c, "", "0"), 2);
	health_set_serving(true);
	h2client_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_services),
		cmocka_unit_test(finds_symbols),
		cmocka_unit_test(finds_extensions),
		cmocka_unit_test(health_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
