/* SPDX-License-Identifier: GPL-3.0-or-later */
/* json_internal.h: what the files of the JSON mapping share: the special messages. Pure. */
#pragma once

#include "mgmtapi/json.h"

#define PBJSON_NAME_MAX 128 /* longest field name with NUL */

enum pbjson_special {
	PBJSON_PLAIN,
	PBJSON_TIMESTAMP,
	PBJSON_DURATION,
	PBJSON_FIELD_MASK,
	PBJSON_ANY,
};

/* pbjson_special_of: which special form a message type has. */
enum pbjson_special pbjson_special_of(const ProtobufCMessageDescriptor *d);

/* pbjson_is_map: a repeated field of generated map entries (key = 1, value = 2). */
bool pbjson_is_map(const ProtobufCFieldDescriptor *f);

/* pbjson_put_special: Timestamp, Duration and FieldMask as a JSON string. 0 or -ERR_INVALID. */
int pbjson_put_special(struct buf *out, const ProtobufCMessage *m,
                       enum pbjson_special s) MUST_CHECK;

/* pbjson_get_special: fills a new, initialised message from the text. 0, -ERR_INVALID or -ERR_NOMEM. */
int pbjson_get_special(ProtobufCMessage *m, enum pbjson_special s, const char *text,
                       ProtobufCAllocator *alloc) MUST_CHECK;

/* pbjson_any_type: the descriptor of a detail type that is printed open, NULL for others. */
const ProtobufCMessageDescriptor *pbjson_any_type(const char *type_url);

/* Memory in protobuf-c's terms; alloc NULL: malloc. */
void *pbjson_alloc(ProtobufCAllocator *alloc, size_t n);
char *pbjson_strdup(ProtobufCAllocator *alloc, struct span s);
