/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reflect.h: server reflection v1 and v1alpha over the embedded descriptor set. */
#pragma once

#include "mgmtapi/call.h"

extern const struct service reflection_v1_service;
extern const struct service reflection_v1alpha_service;

/*
 * reflect_set_services: which services are listed, in this order. Call once before serving; the array must stay. Until then
 * all services of the descriptor set are listed.
 */
void reflect_set_services(const struct service *const *services, size_t len);
