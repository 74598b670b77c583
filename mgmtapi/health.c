/* SPDX-License-Identifier: GPL-3.0-or-later */
/* health.c: the health service. The state is one atomic; a watcher looks once a second, which needs no list of watchers. */
#include "mgmtapi/health.h"

#include <stdatomic.h>
#include <string.h>

#include "core/err.h"
#include "grpc/health/v1/health.pb-c.h"

typedef Grpc__Health__V1__HealthCheckRequest request_t;
typedef Grpc__Health__V1__HealthCheckResponse response_t;

static atomic_bool not_serving;
static const struct service *const *known;
static size_t known_len;

void health_set_serving(bool serving)
{
	atomic_store(&not_serving, !serving);
}

void health_set_services(const struct service *const *services, size_t len)
{
	known = services;
	known_len = len;
}

static int status_of(const char *service)
{
	bool found = service[0] == '\0';

	for (size_t i = 0; i < known_len && !found; i++)
		found = strcmp(known[i]->name, service) == 0;
	if (!found)
		return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
	return atomic_load(&not_serving)
	               ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
	               : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
}

static int send_status(struct call *c, int status)
{
	response_t r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

	r.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
	return call_send(c, &r.base);
}

static int check(struct call *c, const ProtobufCMessage *request)
{
	const request_t *q = (const request_t *)(const void *)request;
	int status = status_of(q->service);

	if (status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN)
		return call_fail(c, CALL_NOT_FOUND, "SERVICE_UNKNOWN",
		                 "server reflection lists the services",
		                 "there is no such service");
	return send_status(c, status);
}

static int watch(struct call *c, const ProtobufCMessage *request)
{
	const request_t *q = (const request_t *)(const void *)request;
	int last = -1;
	int err = 0;

	while (err == 0) {
		int status = status_of(q->service);

		if (status != last) {
			err = send_status(c, status);
			if (err != 0)
				return err;
		}
		last = status;
		err = fiber_sleep(HEALTH_POLL_MS);
	}
	return err;
}

static const struct service_method methods[] = {
	{"Check", &grpc__health__v1__health_check_request__descriptor,
         &grpc__health__v1__health_check_response__descriptor, check},
	{"Watch", &grpc__health__v1__health_check_request__descriptor,
         &grpc__health__v1__health_check_response__descriptor, watch},
};
const struct service health_service = {"grpc.health.v1.Health", methods, ARRAY_LEN(methods), true};
