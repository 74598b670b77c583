/* SPDX-License-Identifier: GPL-3.0-or-later */
/* health.h: grpc.health.v1.Health: one state for the server and all of its services. */
#pragma once

#include "mgmtapi/call.h"

extern const struct service health_service;

/* health_set_serving: any thread. Watchers learn it within HEALTH_POLL_MS. Starts as serving. */
#define HEALTH_POLL_MS 1000
void health_set_serving(bool serving);
/* health_set_services: the names that are known; before serving; the array must stay. */
void health_set_services(const struct service *const *services, size_t len);
