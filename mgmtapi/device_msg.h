/* SPDX-License-Identifier: GPL-3.0-or-later */
/* device_msg.h: a device as a message, its fingerprint, and its fields in filters. Any thread; the memory's owner. */
#pragma once

#include "causeway/v1/devices.pb-c.h"
#include "gateway/gateway.h"
#include "mgmtapi/filter.h"
#include "mgmtapi/msg.h"

/* device_msg: what device_pack makes of a view, as a message. NULL without memory. */
Causeway__V1__Device *device_msg(struct msg_mem *m, const struct device_view *v);
/*
 * device_msg_record: puts what the record says over the message of a view: in a change, the answer is the record as it will be with the
 * live part as it was.
 */
void device_msg_record(struct msg_mem *m, Causeway__V1__Device *d, const struct store_device *rec);

/* The fingerprint of a record, also from its view: changes with every write of it. */
#define ETAG_TEXT_MAX 33
void view_etag(const struct device_view *v, char out[ETAG_TEXT_MAX]);
void device_etag(const struct store_device *d, char out[ETAG_TEXT_MAX]);
void group_etag(const struct store_group *g, char out[ETAG_TEXT_MAX]);

/* device_filter: fields of ListDevices' filter; device_filter_value reads them from a struct device_view. */
extern const struct filter_schema device_filter;
const char *device_filter_value(const void *view, const struct filter_cond *cond,
                                char scratch[FILTER_SCRATCH]);

/* power_state_word: "on", "off_soft", ... as in filters. */
const char *power_state_word(enum power_state s);
