/* SPDX-License-Identifier: GPL-3.0-or-later */
/* device_pack.h: a causeway.v1.Device from a view, as it goes out. Beside devices.proto, the one place that knows its fields. Any thread. */
#pragma once

#include "gateway/gateway.h"
#include "mgmtapi/pb_write.h"

/* No device takes more: 32 labels of the longest are most of it. */
#define DEVICE_PACKED_MAX 13312

/* device_pack: everything of a view. device_pack_id: only id and guid (of a device that is gone). */
void device_pack(struct pb *w, const struct device_view *v);
void device_pack_id(struct pb *w, const struct device_key *key);
