/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rpc_input.c: the request's octets: collected under the limits, cut into messages, inflated and unpacked; and the credit that the client
 * gets back for what was taken.
 */
#include <string.h>
#include <zlib.h>

#include "core/err.h"
#include "mgmtapi/call_internal.h"
#include "mgmtapi/json.h"
#include "mgmtapi/pb_write.h"

#define GZIP_WINDOW   (15 + 16)
#define INFLATE_CHUNK 16384
#define AHEAD_MAX     65536 /* octets reserved for what a message has said will come */

/* Brings env->buffered in line with what the call holds. */
static void account(struct call *c)
{
	size_t held = c->in.len - c->in_at;

	if (held > c->accounted)
		atomic_fetch_add_explicit(&c->env->buffered, held - c->accounted,
		                          memory_order_relaxed);
	else if (held < c->accounted)
		atomic_fetch_sub_explicit(&c->env->buffered, c->accounted - held,
		                          memory_order_relaxed);
	c->accounted = held;
}

/* Gives back the credit for octets that nobody will read any more. */
void rpc_drop_input(struct call *c)
{
	if (c->hs != NULL && c->held > 0)
		c->hs->ops->consume(c->hs, c->held);
	c->held = 0;
	c->ready = 0;
	c->scan_at = c->in_at = 0;
	buf_free_secret(&c->in);
	account(c);
}

/* ---- messages ---- */

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

/* Enveloped: what stands at the front of `in`. */
static struct span front_message(const struct call *c, uint8_t *flags)
{
	struct cur cur = cur_of(span_of(c->in.data + c->in_at, c->in.len - c->in_at));
	uint32_t len;

	*flags = cur_u8(&cur);
	len = cur_u32(&cur);
	return cur_bytes(&cur, len);
}

static ProtobufCMessage *unpack(struct call *c, struct span s, ProtobufCAllocator *alloc)
{
	const ProtobufCMessageDescriptor *d = c->method->def->request;
	ProtobufCMessage *m;
	struct buf why;

	if (!c->json) {
		m = protobuf_c_message_unpack(d, alloc, s.len, s.ptr);
		if (m == NULL)
			(void)call_fail(c, CALL_INTERNAL, "MALFORMED", NULL,
			                "the request is no valid %s", d->name);
		return m;
	}
	buf_init(&why, CALL_MESSAGE_MAX);
	/* An empty body is an empty request, as a convenience for curl. */
	m = pbjson_decode(d, s.len > 0 ? s : span_str("{}"), NULL, alloc, &why);
	if (m == NULL)
		(void)call_fail(c, CALL_INVALID_ARGUMENT, "MALFORMED",
		                "see the .proto files for the fields", "%s", buf_cstr(&why));
	buf_free(&why);
	return m;
}

static ProtobufCMessage *unpack_any(struct call *c, struct span s, bool compressed,
                                    ProtobufCAllocator *alloc)
{
	ProtobufCMessage *m = NULL;
	struct buf plain;
	int err;

	if (!compressed)
		return unpack(c, s, alloc);
	err = rpc_inflate(s, c->env->message_max, &plain);
	if (err == -ERR_TOO_BIG)
		(void)call_fail(c, CALL_RESOURCE_EXHAUSTED, "TOO_BIG", NULL,
		                "the message is larger than %zu octets", c->env->message_max);
	else if (err != 0)
		(void)call_fail(c, CALL_INTERNAL, "MALFORMED", NULL,
		                "the message is no valid gzip data");
	else
		m = unpack(c, buf_span(&plain), alloc);
	buf_free_secret(&plain);
	return m;
}

/* The front message is done with; what is left moves down only if it is the smaller part, so that an octet moves once at most. */
static void drop_front(struct call *c, size_t n)
{
	c->in_at += n;
	if (c->in_at > c->in.len / 2) {
		buf_consume(&c->in, c->in_at);
		c->scan_at -= c->in_at;
		c->in_at = 0;
	}
	c->ready--;
	account(c);
	/* Without another complete message all that is held is the start of the next one: the client has to be able to send its rest. */
	n = c->ready == 0 ? c->held : MIN(n, c->held);
	c->held -= n;
	if (c->hs != NULL && n > 0)
		c->hs->ops->consume(c->hs, n);
}

ProtobufCMessage *rpc_take_message(struct call *c)
{
	uint8_t flags;
	struct span s = front_message(c, &flags);
	ProtobufCMessage *m = unpack_any(c, s, (flags & 1) != 0, &c->recv_allocator);

	if (m == NULL)
		c->in_bad = true;
	drop_front(c, RPC_ENVELOPE_HEAD + s.len);
	return m;
}

bool call_peek_octets(struct call *c, unsigned field, struct span *out)
{
	struct cur cur;
	uint8_t flags, octet = 0;
	uint64_t len = 0;

	ASSERT(field > 0 && field < 16);
	if (c->ready == 0 || c->json)
		return false;
	cur = cur_of(front_message(c, &flags));
	if (flags != 0 || cur_u8(&cur) != (field << 3 | PB_LENGTH))
		return false;
	for (unsigned shift = 0; shift < 35; shift += 7) {
		octet = cur_u8(&cur);
		len |= (uint64_t)(octet & 0x7f) << shift;
		if ((octet & 0x80) == 0)
			break;
	}
	*out = span_of(cur.ptr, cur.left);
	return cur.err == 0 && (octet & 0x80) == 0 && len == cur.left;
}

void call_drop_message(struct call *c)
{
	uint8_t flags;
	struct span s = front_message(c, &flags);

	ASSERT(c->ready > 0);
	drop_front(c, RPC_ENVELOPE_HEAD + s.len);
}

static bool envelope_ok(struct call *c, uint8_t flags, uint32_t len)
{
	if (len > c->env->message_max) {
		(void)call_fail(c, CALL_RESOURCE_EXHAUSTED, "TOO_BIG", "send less in one message",
		                "the message has %u octets, the limit is %zu", len,
		                c->env->message_max);
		return false;
	}
	if (flags > 1) {
		(void)call_fail(c, CALL_INTERNAL, "MALFORMED", NULL, "unknown message flags 0x%02x",
		                flags);
		return false;
	}
	if (flags == 1 && !c->gzip) {
		(void)call_fail(c, CALL_INTERNAL, "MALFORMED", NULL,
		                "a compressed message without an encoding header");
		return false;
	}
	return true;
}

/* Counts complete messages; refuses one by its declared length before it is there. */
static bool scan(struct call *c)
{
	while (c->in.len - c->scan_at >= RPC_ENVELOPE_HEAD) {
		struct cur cur = cur_of(span_of(c->in.data + c->scan_at, c->in.len - c->scan_at));
		uint8_t flags = cur_u8(&cur);
		uint32_t len = cur_u32(&cur);

		if (!envelope_ok(c, flags, len))
			return false;
		if (cur.left < len) {
			/* It grows once, not with each piece; a mere claim does not get more than this. */
			(void)buf_reserve(&c->in, MIN(len - cur.left, (size_t)AHEAD_MAX));
			break;
		}
		c->scan_at += RPC_ENVELOPE_HEAD + (size_t)len;
		c->ready++;
	}
	if (!c->method->client_streaming &&
	    (c->ready > 1 || (c->ready == 1 && c->in.len > c->scan_at))) {
		(void)call_fail(c, CALL_UNIMPLEMENTED, "MALFORMED", NULL,
		                "this method takes exactly one message");
		return false;
	}
	return true;
}

bool rpc_take_input(struct call *c, struct span data)
{
	size_t before = atomic_load_explicit(&c->env->buffered, memory_order_relaxed);

	if (before + data.len > c->env->buffered_max) {
		(void)call_fail(c, CALL_RESOURCE_EXHAUSTED, "OVERLOADED", "try again later",
		                "the server holds too many requests");
		return false;
	}
	buf_put_span(&c->in, data);
	account(c);
	if (c->in.err != 0) {
		(void)call_fail(c, CALL_RESOURCE_EXHAUSTED, "TOO_BIG", "send less in one message",
		                "the request is larger than %zu octets", c->env->message_max);
		return false;
	}
	return c->kind == RPC_CONNECT_UNARY || scan(c);
}

bool rpc_take_request(struct call *c)
{
	struct span s = buf_span(&c->in);
	uint8_t flags = c->gzip ? 1 : 0;

	if (c->kind != RPC_CONNECT_UNARY) {
		if (c->ready != 1) {
			bool cut = c->in.len > 0;

			(void)call_fail(c, cut ? CALL_INTERNAL : CALL_UNIMPLEMENTED, "MALFORMED",
			                NULL,
			                cut ? "the request ends inside a message"
			                    : "this method takes exactly one message");
			return false;
		}
		s = front_message(c, &flags);
	}
	c->request = unpack_any(c, s, (flags & 1) != 0, &c->allocator);
	return c->request != NULL;
}
