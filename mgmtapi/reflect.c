/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * reflect.c: server reflection. Answers are slices of the embedded FileDescriptorSet: each entry of its field 1 is one file, ready to
 * send. The parsed set is only an index. v1 and v1alpha have the same messages under two names, so one handler serves both.
 */
#include "mgmtapi/reflect.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"
#include "mgmtapi/descriptors.h"

#define FILES_MAX      64
#define EXTENSIONS_MAX 64

typedef Grpc__Reflection__V1__ServerReflectionRequest request_t;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_t;
typedef Google__Protobuf__FileDescriptorProto file_t;

static struct {
	pthread_once_t once;
	Google__Protobuf__FileDescriptorSet *set;
	struct span slices[FILES_MAX]; /* of set->file[i] */
	const struct service *const *services;
	size_t services_len;
} index_ = {.once = PTHREAD_ONCE_INIT};

static uint64_t varint(struct cur *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b = cur_u8(c);

		v |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80)
			break;
	}
	return v;
}

static void build_index(void)
{
	struct cur c = cur_of(span_of(api_descriptors, api_descriptors_len));

	index_.set = google__protobuf__file_descriptor_set__unpack(NULL, api_descriptors_len,
	                                                           api_descriptors);
	ASSERT(index_.set != NULL && index_.set->n_file <= FILES_MAX);
	for (size_t i = 0; i < index_.set->n_file; i++) {
		uint64_t tag = varint(&c);
		size_t len = (size_t)varint(&c);

		ASSERT(tag == (1 << 3 | 2));
		index_.slices[i] = cur_bytes(&c, len);
	}
	ASSERT(c.err == 0 && c.left == 0);
}

void reflect_set_services(const struct service *const *services, size_t len)
{
	index_.services = services;
	index_.services_len = len;
}

/* ---- finding -------------------------------------------------------------------------------------------------------- */

static int file_by_name(const char *name)
{
	for (size_t i = 0; i < index_.set->n_file; i++)
		if (strcmp(index_.set->file[i]->name, name) == 0)
			return (int)i;
	return -1;
}

/* Does *rest begin with the name as a whole segment? Moves *rest behind it: to the next segment, or to its end. */
static bool segment(const char **rest, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(*rest, name, n) != 0 || ((*rest)[n] != '\0' && (*rest)[n] != '.'))
		return false;
	*rest += n + ((*rest)[n] == '.' ? 1 : 0);
	return true;
}

static bool enum_declares(Google__Protobuf__EnumDescriptorProto *const *list, size_t n,
                          const char *rest)
{
	for (size_t i = 0; i < n; i++) {
		const char *r = rest;

		if (segment(&r, list[i]->name) && *r == '\0')
			return true;
	}
	return false;
}

/* Down through nested messages, one segment a step: a message, an enum in it, or a field. */
static bool message_declares(const Google__Protobuf__DescriptorProto *m, const char *rest)
{
	while (*rest != '\0') {
		const Google__Protobuf__DescriptorProto *inner = NULL;

		for (size_t i = 0; i < m->n_nested_type && inner == NULL; i++)
			if (segment(&rest, m->nested_type[i]->name))
				inner = m->nested_type[i];
		if (inner == NULL) {
			for (size_t i = 0; i < m->n_field; i++)
				if (strcmp(rest, m->field[i]->name) == 0)
					return true;
			return enum_declares(m->enum_type, m->n_enum_type, rest);
		}
		m = inner;
	}
	return true;
}

static bool service_declares(const Google__Protobuf__ServiceDescriptorProto *s, const char *rest)
{
	if (*rest == '\0')
		return true;
	for (size_t i = 0; i < s->n_method; i++)
		if (strcmp(s->method[i]->name, rest) == 0)
			return true;
	return false;
}

static bool file_declares(const file_t *f, const char *symbol)
{
	const char *rest = symbol;

	if (f->package != NULL && f->package[0] != '\0' &&
	    (!segment(&rest, f->package) || *rest == '\0'))
		return false;
	for (size_t i = 0; i < f->n_service; i++) {
		const char *r = rest;

		if (segment(&r, f->service[i]->name))
			return service_declares(f->service[i], r);
	}
	for (size_t i = 0; i < f->n_message_type; i++) {
		const char *r = rest;

		if (segment(&r, f->message_type[i]->name))
			return message_declares(f->message_type[i], r);
	}
	for (size_t i = 0; i < f->n_extension; i++)
		if (strcmp(f->extension[i]->name, rest) == 0)
			return true;
	return enum_declares(f->enum_type, f->n_enum_type, rest);
}

static int file_by_symbol(const char *symbol)
{
	for (size_t i = 0; i < index_.set->n_file; i++)
		if (file_declares(index_.set->file[i], symbol))
			return (int)i;
	return -1;
}

/* extendee is ".pkg.Type" in the file and without the dot in the request. */
static bool extends(const Google__Protobuf__FieldDescriptorProto *e, const char *type)
{
	return e->extendee != NULL && e->extendee[0] == '.' && strcmp(e->extendee + 1, type) == 0;
}

static int file_by_extension(const char *type, int32_t number)
{
	for (size_t i = 0; i < index_.set->n_file; i++)
		for (size_t j = 0; j < index_.set->file[i]->n_extension; j++)
			if (extends(index_.set->file[i]->extension[j], type) &&
			    index_.set->file[i]->extension[j]->number == number)
				return (int)i;
	return -1;
}

/* ---- answering ------------------------------------------------------------------------------------------------------ */

struct answer {
	struct call *call;
	response_t response;
	Grpc__Reflection__V1__FileDescriptorResponse files;
	Grpc__Reflection__V1__ExtensionNumberResponse numbers;
	Grpc__Reflection__V1__ListServiceResponse services;
	Grpc__Reflection__V1__ErrorResponse error;
	bool taken[FILES_MAX];
};

static void set_error(struct answer *a, int code, const char *text)
{
	a->error.error_code = code;
	a->error.error_message = (char *)(uintptr_t)text;
	a->response.error_response = &a->error;
	a->response.message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
}

/* The file, then what it imports, each once. The list grows while it is walked. */
static void set_files(struct answer *a, int first)
{
	ProtobufCBinaryData *out;
	size_t order[FILES_MAX];
	size_t n = 0;

	if (first < 0) {
		set_error(a, CALL_NOT_FOUND, "not found");
		return;
	}
	out = call_alloc(a->call, FILES_MAX * sizeof(*out));
	if (out == NULL) {
		set_error(a, CALL_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	order[n++] = (size_t)first;
	a->taken[first] = true;
	for (size_t i = 0; i < n; i++) {
		const file_t *f = index_.set->file[order[i]];

		out[i].data = (uint8_t *)(uintptr_t)index_.slices[order[i]].ptr;
		out[i].len = index_.slices[order[i]].len;
		for (size_t j = 0; j < f->n_dependency; j++) {
			int dep = file_by_name(f->dependency[j]);

			if (dep >= 0 && !a->taken[dep]) {
				a->taken[dep] = true;
				order[n++] = (size_t)dep;
			}
		}
	}
	a->files.n_file_descriptor_proto = n;
	a->files.file_descriptor_proto = out;
	a->response.file_descriptor_response = &a->files;
	a->response.message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
}

static void set_numbers(struct answer *a, const char *type)
{
	int32_t *out = call_alloc(a->call, EXTENSIONS_MAX * sizeof(*out));
	size_t n = 0;

	for (size_t i = 0; out != NULL && i < index_.set->n_file; i++)
		for (size_t j = 0; j < index_.set->file[i]->n_extension && n < EXTENSIONS_MAX; j++)
			if (extends(index_.set->file[i]->extension[j], type))
				out[n++] = index_.set->file[i]->extension[j]->number;
	if (n == 0 && file_by_symbol(type) < 0) {
		set_error(a, CALL_NOT_FOUND, "not found");
		return;
	}
	a->numbers.base_type_name = (char *)(uintptr_t)type;
	a->numbers.n_extension_number = n;
	a->numbers.extension_number = out;
	a->response.all_extension_numbers_response = &a->numbers;
	a->response.message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
}

static void add_service(struct answer *a, const char *name)
{
	Grpc__Reflection__V1__ServiceResponse *s = call_alloc(a->call, sizeof(*s));

	if (s == NULL || a->services.n_service == FILES_MAX)
		return;
	grpc__reflection__v1__service_response__init(s);
	s->name = (char *)(uintptr_t)name;
	a->services.service[a->services.n_service++] = s;
}

static void set_services(struct answer *a)
{
	a->services.service = call_alloc(a->call, FILES_MAX * sizeof(*a->services.service));
	if (a->services.service == NULL) {
		set_error(a, CALL_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	for (size_t i = 0; i < index_.services_len; i++)
		add_service(a, index_.services[i]->name);
	for (size_t i = 0; index_.services_len == 0 && i < index_.set->n_file; i++)
		for (size_t j = 0; j < index_.set->file[i]->n_service; j++)
			add_service(a, call_printf(a->call, "%s.%s", index_.set->file[i]->package,
			                           index_.set->file[i]->service[j]->name));
	a->response.list_services_response = &a->services;
	a->response.message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
}

static void answer(struct answer *a, request_t *q)
{
	a->response.valid_host = q->host;
	a->response.original_request = q;
	switch (q->message_request_case) {
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
		set_files(a, file_by_name(q->file_by_filename));
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
		set_files(a, file_by_symbol(q->file_containing_symbol));
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
		set_files(a, file_by_extension(q->file_containing_extension->containing_type,
		                               q->file_containing_extension->extension_number));
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
		set_numbers(a, q->all_extension_numbers_of_type);
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
		set_services(a);
		break;
	default:
		set_error(a, CALL_INVALID_ARGUMENT, "the request asks nothing");
	}
}

/* The same message under another name. NULL if memory is short. */
static ProtobufCMessage *renamed(struct call *c, const ProtobufCMessage *m,
                                 const ProtobufCMessageDescriptor *to)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *bytes = call_alloc(c, n);

	if (bytes == NULL)
		return NULL;
	(void)protobuf_c_message_pack(m, bytes);
	return protobuf_c_message_unpack(to, call_allocator(c), n, bytes);
}

static int answer_one(struct call *c, struct answer *a, ProtobufCMessage *msg)
{
	bool alpha = msg->descriptor ==
	             &grpc__reflection__v1alpha__server_reflection_request__descriptor;
	ProtobufCMessage *out;

	if (alpha)
		msg = renamed(c, msg, &grpc__reflection__v1__server_reflection_request__descriptor);
	if (msg == NULL)
		return -ERR_NOMEM;
	memset(a, 0, sizeof(*a));
	a->call = c;
	grpc__reflection__v1__server_reflection_response__init(&a->response);
	grpc__reflection__v1__file_descriptor_response__init(&a->files);
	grpc__reflection__v1__extension_number_response__init(&a->numbers);
	grpc__reflection__v1__list_service_response__init(&a->services);
	grpc__reflection__v1__error_response__init(&a->error);
	answer(a, (request_t *)(void *)msg);
	out = &a->response.base;
	if (alpha)
		out = renamed(c, out,
		              &grpc__reflection__v1alpha__server_reflection_response__descriptor);
	return out != NULL ? call_send(c, out) : -ERR_NOMEM;
}

static int reflection_info(struct call *c, const ProtobufCMessage *unused)
{
	struct answer *a = call_alloc(c, sizeof(*a));
	ProtobufCMessage *msg;
	size_t mark;
	int err;

	(void)unused;
	(void)pthread_once(&index_.once, build_index);
	if (a == NULL)
		return -ERR_NOMEM;
	mark = call_mark(c);
	while ((err = call_recv(c, &msg)) == 1) {
		err = answer_one(c, a, msg);
		if (err != 0)
			return err;
		call_release(c, mark);
	}
	return err;
}

static const struct service_method v1_methods[] = {
	{"ServerReflectionInfo", &grpc__reflection__v1__server_reflection_request__descriptor,
         &grpc__reflection__v1__server_reflection_response__descriptor, reflection_info},
};
const struct service reflection_v1_service = {"grpc.reflection.v1.ServerReflection", v1_methods,
                                              ARRAY_LEN(v1_methods), true};

static const struct service_method v1alpha_methods[] = {
	{"ServerReflectionInfo", &grpc__reflection__v1alpha__server_reflection_request__descriptor,
         &grpc__reflection__v1alpha__server_reflection_response__descriptor, reflection_info},
};
const struct service reflection_v1alpha_service = {"grpc.reflection.v1alpha.ServerReflection",
                                                   v1alpha_methods, ARRAY_LEN(v1alpha_methods),
                                                   true};
