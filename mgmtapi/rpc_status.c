/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_status.c: a call's status as google.rpc.Status with its details. */
#include <stdio.h>
#include <string.h>

#include "google/rpc/error_details.pb-c.h"
#include "mgmtapi/call_internal.h"
#include "mgmtapi/pb_write.h"

#define DETAIL_MAX 2048
#define URL_MAX    64

static void each_info(const struct call *c, rpc_detail_fn *fn, void *arg)
{
	Google__Rpc__ErrorInfo__MetadataEntry entries[RPC_STATUS_INFO_MAX + 1];
	Google__Rpc__ErrorInfo__MetadataEntry *list[RPC_STATUS_INFO_MAX + 1];
	Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
	uint8_t packed[DETAIL_MAX * 4];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		google__rpc__error_info__metadata_entry__init(&entries[i]);
		list[i] = &entries[i];
	}
	if (c->hint != NULL) {
		entries[n].key = (char *)(uintptr_t) "hint";
		entries[n++].value = (char *)(uintptr_t)c->hint;
	}
	for (size_t i = 0; i < c->info_len; i++) {
		entries[n].key = (char *)(uintptr_t)c->info[i].name;
		entries[n++].value = (char *)(uintptr_t)c->info[i].value;
	}
	info.reason = (char *)(uintptr_t)c->reason;
	info.domain = (char *)(uintptr_t) "causeway";
	info.n_metadata = n;
	info.metadata = list;
	if (google__rpc__error_info__get_packed_size(&info) <= sizeof(packed))
		fn(arg, "google.rpc.ErrorInfo",
		   span_of(packed, google__rpc__error_info__pack(&info, packed)));
}

void rpc_details_each(const struct call *c, rpc_detail_fn *fn, void *arg)
{
	Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
	Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
	uint8_t packed[64];

	each_info(c, fn, arg);
	if (c->retry_ms == 0)
		return;
	delay.seconds = c->retry_ms / 1000;
	delay.nanos = (int32_t)(c->retry_ms % 1000) * 1000000;
	retry.retry_delay = &delay;
	fn(arg, "google.rpc.RetryInfo",
	   span_of(packed, google__rpc__retry_info__pack(&retry, packed)));
}

/* google.rpc.Status.details: one google.protobuf.Any {type_url = 1, value = 2}. */
static void put_any(void *arg, const char *type, struct span value)
{
	struct pb *w = arg;
	uint8_t *any = pb_nest(w, 3);
	char url[URL_MAX];

	(void)snprintf(url, sizeof(url), "type.googleapis.com/%s", type);
	pb_text(w, 1, url);
	pb_span(w, 2, value);
	pb_unnest(w, any);
}

void rpc_status_pack(const struct call *c, struct buf *out)
{
	struct pb w = pb_start(out, out->cap - out->len);

	pb_uint(&w, 1, (uint64_t)c->code);
	pb_text(&w, 2, c->message);
	rpc_details_each(c, put_any, &w);
	pb_finish(&w);
}
