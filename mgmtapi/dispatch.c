/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dispatch.c: the table of methods. protobuf-c's service descriptors lack stream flags and options, so both are read from the
 * descriptor set. Built once at start; read-only then, but for metric handles. Any thread.
 */
#include "mgmtapi/dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "causeway/v1/options.pb-c.h"
#include "core/err.h"
#include "core/map.h"
#include "core/metric.h"
#include "core/text.h"
#include "google/protobuf/descriptor.pb-c.h"

#define ACCESS_FIELD    50710 /* of causeway.v1.access in options.proto */
#define METHODS_MAX     512
#define METHOD_PATH_MAX 160

struct dispatch {
	struct method *methods;
	size_t methods_len;
	const struct service *const *services;
	size_t services_len;
};

/* The payload of a length-delimited unknown field: protobuf-c keeps its length prefix in front. */
static struct span without_prefix(const ProtobufCMessageUnknownField *u)
{
	size_t i = 0;

	while (i < u->len && (u->data[i] & 0x80) != 0)
		i++;
	if (i >= u->len)
		return span_of(NULL, 0);
	return span_of(u->data + i + 1, u->len - i - 1);
}

static int read_access(const Google__Protobuf__MethodOptions *options, struct access_rule *out)
{
	Causeway__V1__Access *access = NULL;
	int err = 0;

	if (options == NULL)
		return 0;
	for (unsigned i = 0; i < options->base.n_unknown_fields; i++) {
		const ProtobufCMessageUnknownField *u = &options->base.unknown_fields[i];
		struct span s = without_prefix(u);

		if (u->tag == ACCESS_FIELD && u->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
			access = causeway__v1__access__unpack(NULL, s.len, s.ptr);
	}
	if (access == NULL)
		return 0;
	out->role = (enum role)access->role;
	out->mutates = access->mutates;
	if (!str_copy(out->scope, sizeof(out->scope), access->scope))
		err = -ERR_TOO_BIG;
	causeway__v1__access__free_unpacked(access, NULL);
	return err;
}

static const Google__Protobuf__ServiceDescriptorProto *
find_service(const Google__Protobuf__FileDescriptorSet *set, const char *name)
{
	char full[METHOD_PATH_MAX];

	for (size_t i = 0; i < set->n_file; i++) {
		const Google__Protobuf__FileDescriptorProto *file = set->file[i];

		for (size_t j = 0; j < file->n_service; j++) {
			(void)snprintf(full, sizeof(full), "%s.%s", file->package,
			               file->service[j]->name);
			if (strcmp(full, name) == 0)
				return file->service[j];
		}
	}
	return NULL;
}

static const Google__Protobuf__MethodDescriptorProto *
find_method(const Google__Protobuf__ServiceDescriptorProto *s, const char *name)
{
	for (size_t i = 0; s != NULL && i < s->n_method; i++)
		if (strcmp(s->method[i]->name, name) == 0)
			return s->method[i];
	return NULL;
}

/* ".causeway.v1.Device" against a descriptor's name. */
static bool same_type(const char *dotted, const ProtobufCMessageDescriptor *d)
{
	return dotted != NULL && dotted[0] == '.' && strcmp(dotted + 1, d->name) == 0;
}

static int request_id_index(const ProtobufCMessageDescriptor *d)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(d, "request_id");

	if (f == NULL || f->type != PROTOBUF_C_TYPE_STRING || f->label == PROTOBUF_C_LABEL_REPEATED)
		return -1;
	return (int)(f - d->fields);
}

static int fill_method(struct method *m, const Google__Protobuf__MethodDescriptorProto *proto)
{
	char labels[METRIC_LABELS_MAX];
	int err;

	if (proto == NULL || !same_type(proto->input_type, m->def->request) ||
	    !same_type(proto->output_type, m->def->response))
		return -ERR_NOT_FOUND;
	m->client_streaming = proto->has_client_streaming && proto->client_streaming;
	m->server_streaming = proto->has_server_streaming && proto->server_streaming;
	m->request_id_field = request_id_index(m->def->request);
	err = read_access(proto->options, &m->access);
	if (err == 0 && m->access.role == 0 && !m->service->open)
		err = -ERR_DENIED;
	if (err == 0 && asprintf(&m->path, "/%s/%s", m->service->name, m->def->name) < 0) {
		m->path = NULL;
		err = -ERR_NOMEM;
	}
	(void)snprintf(labels, sizeof(labels), "grpc_service=%s,grpc_type=%s", m->service->name,
	               m->client_streaming   ? "bidi_stream"
	               : m->server_streaming ? "server_stream"
	                                     : "unary");
	m->latency = metric_histogram("causeway_grpc_server_handling_seconds",
	                              "Time from request to the end of a call.", labels,
	                              &metric_latency_ms);
	return err;
}

static int fill(struct dispatch *d, const Google__Protobuf__FileDescriptorSet *set, struct buf *why)
{
	for (size_t i = 0; i < d->services_len; i++) {
		const struct service *service = d->services[i];
		const Google__Protobuf__ServiceDescriptorProto *proto =
			find_service(set, service->name);

		for (size_t j = 0; j < service->methods_len; j++) {
			struct method *m = &d->methods[d->methods_len];
			int err;

			m->service = service;
			m->def = &service->methods[j];
			err = fill_method(m, find_method(proto, m->def->name));
			if (err != 0) {
				buf_printf(why, "method %s of %s: %s", m->def->name, service->name,
				           err == -ERR_NOT_FOUND
				                   ? "not in the .proto files, or with other types"
				           : err == -ERR_DENIED ? "has no access option"
				                                : err_text(err));
				return err;
			}
			d->methods_len++;
		}
	}
	return 0;
}

struct dispatch *dispatch_new(const struct service *const *services, size_t services_len,
                              struct span descriptors, struct buf *why)
{
	Google__Protobuf__FileDescriptorSet *set = google__protobuf__file_descriptor_set__unpack(
		NULL, descriptors.len, descriptors.ptr);
	struct dispatch *d = calloc(1, sizeof(*d));
	size_t n = 0;
	int err = -ERR_NOMEM;

	for (size_t i = 0; i < services_len; i++)
		n += services[i]->methods_len;
	if (set == NULL || d == NULL || n > METHODS_MAX) {
		buf_put_str(why, "the descriptor set is unusable");
	} else {
		d->services = services;
		d->services_len = services_len;
		d->methods = calloc(n + 1, sizeof(*d->methods));
		if (d->methods != NULL)
			err = fill(d, set, why);
	}
	if (set != NULL)
		google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
	if (err == 0)
		return d;
	dispatch_free(d);
	return NULL;
}

void dispatch_free(struct dispatch *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->methods_len; i++)
		free(d->methods[i].path);
	free(d->methods);
	free(d);
}

struct method *dispatch_find(struct dispatch *d, struct span path, bool *service_known)
{
	const uint8_t *slash = path.len > 1 ? memchr(path.ptr + 1, '/', path.len - 1) : NULL;

	*service_known = false;
	for (size_t i = 0; slash != NULL && i < d->methods_len; i++) {
		const char *p = d->methods[i].path;
		size_t service_len = (size_t)(slash - path.ptr) + 1;

		if (strncmp(p, (const char *)path.ptr, service_len) != 0)
			continue;
		*service_known = true;
		if (strlen(p) == path.len && memcmp(p, path.ptr, path.len) == 0)
			return &d->methods[i];
	}
	return NULL;
}

const char *dispatch_service(const struct dispatch *d, size_t n)
{
	return n < d->services_len ? d->services[n]->name : NULL;
}

bool dispatch_has_service(const struct dispatch *d, const char *name)
{
	for (size_t i = 0; i < d->services_len; i++)
		if (strcmp(d->services[i]->name, name) == 0)
			return true;
	return false;
}

int access_allows(const struct method *m, const struct principal *p, const char **why)
{
	static const char *const need[] = {
		[ROLE_VIEWER] = "the role viewer is needed",
		[ROLE_OPERATOR] = "the role operator is needed",
		[ROLE_ADMINISTRATOR] = "the role administrator is needed",
	};

	if (m->service->open)
		return 0;
	if (m->access.role < ROLE_VIEWER || m->access.role > ROLE_ADMINISTRATOR) {
		*why = "nobody may call this method";
		return -ERR_DENIED;
	}
	if (p->role < m->access.role) {
		*why = need[m->access.role];
		return -ERR_DENIED;
	}
	if (p->scopes_len == 0)
		return 0;
	for (size_t i = 0; i < p->scopes_len; i++)
		if (strcmp(p->scopes[i], m->access.scope) == 0)
			return 0;
	*why = "the token's scopes do not include this method's";
	return -ERR_DENIED;
}

void method_count(struct method *m, int code, uint64_t took_ms)
{
	int known = code >= 0 && code < CALL_CODE_COUNT ? code : CALL_UNKNOWN;
	struct metric *counter = atomic_load_explicit(&m->handled[known], memory_order_acquire);
	char labels[METRIC_LABELS_MAX];

	if (counter == NULL) {
		/* Two threads may come here at once; the registry gives both the same handle. */
		(void)snprintf(labels, sizeof(labels),
		               "grpc_service=%s,grpc_method=%s,grpc_code=%s", m->service->name,
		               m->def->name, call_code_name(known));
		counter = metric_counter("causeway_grpc_server_handled_total",
		                         "Calls that ended, by status code.", labels);
		atomic_store_explicit(&m->handled[known], counter, memory_order_release);
	}
	metric_inc(counter);
	metric_observe(m->latency, took_ms);
}
