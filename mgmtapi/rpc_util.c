/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc_util.c: request heads, error details and decompression: the pure parts of a call. */
#include <string.h>
#include <zlib.h>

#include "core/err.h"
#include "core/text.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "mgmtapi/call_internal.h"

#define DETAIL_MAX    2048
#define GZIP_WINDOW   (15 + 16)
#define INFLATE_CHUNK 16384

/* ---- request heads -------------------------------------------------------------------------------------------------- */

static const char *const field_names[RPC_F_COUNT] = {
	[RPC_F_CONTENT_TYPE] = "content-type",
	[RPC_F_AUTHORIZATION] = "authorization",
	[RPC_F_GRPC_TIMEOUT] = "grpc-timeout",
	[RPC_F_GRPC_ENCODING] = "grpc-encoding",
	[RPC_F_CONNECT_TIMEOUT] = "connect-timeout-ms",
	[RPC_F_CONNECT_VERSION] = "connect-protocol-version",
	[RPC_F_CONTENT_ENCODING] = "content-encoding",
	[RPC_F_CONNECT_ENCODING] = "connect-content-encoding",
	[RPC_F_CONTENT_LENGTH] = "content-length",
};

void rpc_head_init(struct rpc_head *h)
{
	memset(h, 0, sizeof(*h));
	buf_init(&h->mem, RPC_HEAD_MAX);
}

void rpc_head_free(struct rpc_head *h)
{
	buf_free_secret(&h->mem);
}

static bool is(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

void rpc_head_add(struct rpc_head *h, struct span name, struct span value)
{
	if (is(name, ":method") || is(name, ":path")) {
		bool path = name.ptr[1] == 'p';
		const uint8_t *query = path ? memchr(value.ptr, '?', value.len) : NULL;

		if (query != NULL)
			value.len = (size_t)(query - value.ptr);
		if (!str_copy_span(path ? h->path : h->method,
		                   path ? sizeof(h->path) : sizeof(h->method), value))
			h->bad = true;
		return;
	}
	for (size_t i = 0; i < RPC_F_COUNT; i++) {
		if (!is(name, field_names[i]))
			continue;
		/* The first one of a name counts; two different credentials or types would be an ambiguity. */
		if (h->at[i] != 0 || !text_is_printable(value)) {
			h->bad = true;
			return;
		}
		h->at[i] = (uint32_t)h->mem.len + 1;
		buf_put_span(&h->mem, value);
		buf_put_u8(&h->mem, 0);
		if (h->mem.err != 0)
			h->bad = true;
		return;
	}
}

const char *rpc_head_get(const struct rpc_head *h, enum rpc_field f)
{
	if (h->at[f] == 0 || h->at[f] > h->mem.len)
		return "";
	return (const char *)h->mem.data + h->at[f] - 1;
}

/* ---- error details -------------------------------------------------------------------------------------------------- */

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

static void put_varint(struct buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_put_u8(out, (uint8_t)(v | 0x80));
	buf_put_u8(out, (uint8_t)v);
}

static size_t varint_len(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

/* google.rpc.Status.details (3): one google.protobuf.Any {type_url = 1, value = 2}, written by hand to spare a copy. */
static void put_any(void *arg, const char *type, struct span value)
{
	static const char prefix[] = "type.googleapis.com/";
	struct buf *out = arg;
	size_t url = strlen(prefix) + strlen(type);

	put_varint(out, 3 << 3 | 2);
	put_varint(out, 1 + varint_len(url) + url + 1 + varint_len(value.len) + value.len);
	put_varint(out, 1 << 3 | 2);
	put_varint(out, url);
	buf_put_str(out, prefix);
	buf_put_str(out, type);
	put_varint(out, 2 << 3 | 2);
	put_varint(out, value.len);
	buf_put_span(out, value);
}

void rpc_status_pack(const struct call *c, struct buf *out)
{
	put_varint(out, 1 << 3 | 0);
	put_varint(out, (uint64_t)c->code);
	put_varint(out, 2 << 3 | 2);
	put_varint(out, strlen(c->message));
	buf_put_str(out, c->message);
	rpc_details_each(c, put_any, out);
}

/* ---- gzip ----------------------------------------------------------------------------------------------------------- */

int rpc_inflate(struct span in, size_t cap, struct buf *out)
{
	z_stream z = {0};
	int ret = Z_OK;

	buf_init(out, cap);
	if (in.len > UINT32_MAX || inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		return -ERR_NOMEM;
	z.next_in = (Bytef *)(uintptr_t)in.ptr;
	z.avail_in = (uInt)in.len;
	while (ret == Z_OK) {
		size_t room = MIN((size_t)INFLATE_CHUNK, cap - out->len);
		uint8_t *at = buf_reserve(out, room > 0 ? room : 1);

		if (at == NULL)
			break;
		z.next_out = at;
		z.avail_out = (uInt)room;
		ret = inflate(&z, Z_NO_FLUSH);
		out->len += room - z.avail_out;
		if (ret == Z_BUF_ERROR || (ret == Z_OK && room == 0))
			break;
	}
	(void)inflateEnd(&z);
	if (ret == Z_STREAM_END)
		return 0;
	return out->err == -ERR_TOO_BIG || out->len == cap ? -ERR_TOO_BIG : -ERR_INVALID;
}
