/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * json.h: protobuf-c messages to and from JSON by reflection over their descriptors, after the proto3 JSON mapping: lowerCamelCase
 * names (original ones are read too), enums by name (numbers are read too), 64-bit integers as strings, bytes as
 * base64, Timestamp, Duration, FieldMask and Any in their special forms. Used by server and command line alike. Pure; any thread.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "core/buf.h"

#define PBJSON_DEPTH_MAX    32       /* nesting of arrays and objects in a text that is read */
#define PBJSON_TEXT_MAX     16777216 /* octets of a text that is read */
#define PBJSON_REPEATED_MAX 1000000  /* elements of one array that is read */

struct pbjson_opts {
	bool emit_defaults;  /* print fields that have their default value too */
	bool proto_names;    /* print original field names */
	bool ignore_unknown; /* read: skip fields that the message does not have */
	int indent;          /* print: spaces per level, 0 all in one line */
};

/*
 * pbjson_encode: appends msg as JSON. opts may be NULL. Text that is not UTF-8 comes out with U+FFFD in place of the bad octets. 0,
 * -ERR_TOO_BIG / -ERR_NOMEM (out's limit), -ERR_INVALID (nested deeper than PBJSON_DEPTH_MAX, a time out of range).
 */
int pbjson_encode(const ProtobufCMessage *msg, const struct pbjson_opts *opts,
                  struct buf *out) MUST_CHECK;

/*
 * pbjson_decode: a new message of the descriptor's type from alloc (NULL: malloc; free with
 * protobuf_c_message_free_unpacked). NULL on error with a sentence that says where appended to why. opts may be NULL.
 */
ProtobufCMessage *pbjson_decode(const ProtobufCMessageDescriptor *desc, struct span text,
                                const struct pbjson_opts *opts, ProtobufCAllocator *alloc,
                                struct buf *why);

/* pbjson_put_string: appends s as a JSON string with its quotes, repaired to UTF-8. */
void pbjson_put_string(struct buf *out, struct span s);
/* pbjson_put_base64: appends the octets as a quoted base64 string. */
void pbjson_put_base64(struct buf *out, struct span s, bool pad);
/* pbjson_utf8_len: octets of the UTF-8 sequence at p (left > 0), 0 if it is no valid one (overlong, surrogate, beyond U+10FFFF, cut). */
size_t pbjson_utf8_len(const uint8_t *p, size_t left);
/* pbjson_camel: snake_case to lowerCamelCase, cut at size - 1. */
void pbjson_camel(const char *snake, char *out, size_t size);
