/* SPDX-License-Identifier: GPL-3.0-or-later */
/* msg.c: see msg.h. */
#include "mgmtapi/msg.h"
#include "core/text.h"

#include <string.h>

#define SECONDS_MAX 253402300799LL /* end of the year 9999 */

void *msg_take(struct msg_mem *m, size_t n)
{
	void *p = m->from->alloc(m->from->allocator_data, n > 0 ? n : 1);

	if (p == NULL)
		m->failed = true;
	return p;
}

char *msg_span(struct msg_mem *m, struct span s)
{
	char *p = s.len > 0 ? msg_take(m, s.len + 1) : NULL;

	if (p == NULL)
		return (char *)(uintptr_t)protobuf_c_empty_string;
	memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return p;
}

char *msg_text(struct msg_mem *m, const char *text)
{
	return msg_span(m, span_str(text != NULL ? text : ""));
}

char *msg_hex(struct msg_mem *m, struct span s)
{
	char *p = msg_take(m, 2 * s.len + 1);

	if (p == NULL)
		return (char *)(uintptr_t)protobuf_c_empty_string;
	hex_encode(p, s);
	return p;
}

char *msg_addr(struct msg_mem *m, const struct addr *a)
{
	char text[ADDR_TEXT_MAX] = "";

	if (a->len > 0)
		addr_format(a, text);
	return msg_text(m, text);
}

char *msg_host(struct msg_mem *m, const struct addr *a)
{
	char text[ADDR_TEXT_MAX] = "";

	if (a->len > 0)
		addr_format_host(a, text);
	return msg_text(m, text);
}

Google__Protobuf__Timestamp *msg_time(struct msg_mem *m, uint64_t unix_ms)
{
	Google__Protobuf__Timestamp *t = unix_ms != 0 ? msg_take(m, sizeof(*t)) : NULL;

	if (t == NULL)
		return NULL;
	google__protobuf__timestamp__init(t);
	t->seconds = (int64_t)(unix_ms / 1000);
	t->nanos = (int32_t)(unix_ms % 1000 * 1000000);
	return t;
}

bool msg_time_read(const Google__Protobuf__Timestamp *t, uint64_t *unix_ms)
{
	*unix_ms = 0;
	if (t == NULL)
		return true;
	if (t->seconds < 0 || t->seconds > SECONDS_MAX || t->nanos < 0 || t->nanos > 999999999)
		return false;
	*unix_ms = (uint64_t)t->seconds * 1000 + (uint64_t)t->nanos / 1000000;
	return true;
}
