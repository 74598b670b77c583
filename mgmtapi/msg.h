/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * msg.h: building messages in memory that is given back all at once. Failures of memory are sticky: build, then look at failed once.
 * One thread at a time.
 */
#pragma once

#include "core/addr.h"
#include "google/protobuf/timestamp.pb-c.h"

struct msg_mem {
	ProtobufCAllocator *from;
	bool failed;
};

static inline struct msg_mem msg_mem_of(ProtobufCAllocator *from)
{
	return (struct msg_mem){.from = from};
}

/* msg_take: zeroed, as memory of arenas is; NULL (and failed) without memory. */
void *msg_take(struct msg_mem *m, size_t n);
/* msg_text: a copy; "" for "" (no memory), and when it fails. msg_span: of octets without NUL. */
char *msg_text(struct msg_mem *m, const char *text);
char *msg_span(struct msg_mem *m, struct span s);
char *msg_hex(struct msg_mem *m, struct span s);
/* msg_addr, msg_host: "1.2.3.4:5"; without port. "" for none. */
char *msg_addr(struct msg_mem *m, const struct addr *a);
char *msg_host(struct msg_mem *m, const struct addr *a);
/* msg_time: a timestamp; NULL for 0 (unset) and when it fails. */
Google__Protobuf__Timestamp *msg_time(struct msg_mem *m, uint64_t unix_ms);
/* msg_time_read: Unix milliseconds of a timestamp from a client; false: out of range. NULL: 0. */
bool msg_time_read(const Google__Protobuf__Timestamp *t, uint64_t *unix_ms);
