/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kinds.c: what each kind of load asks for, and what it makes of the answers. */
#include "bench/api_load/api_load.h"
#include "core/err.h"
#include "core/text.h"

#include "causeway/v1/devices.pb-c.h"
#include "causeway/v1/power.pb-c.h"
#include "causeway/v1/tunnels.pb-c.h"
#include "causeway/v1/wsman.pb-c.h"

#include <string.h>
#include <time.h>

#define UPLOAD_PIECE 16384

static void put_request(struct stream *s, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);

	must(n + MESSAGE_HEAD <= sizeof(s->body), "a short request");
	s->body[0] = s->body[1] = s->body[2] = 0;
	s->body[3] = (uint8_t)(n >> 8);
	s->body[4] = (uint8_t)n;
	s->body_len = MESSAGE_HEAD + protobuf_c_message_pack(m, s->body + MESSAGE_HEAD);
}

/* ---- calls about one device ---- */

static void ask_device(struct stream *s)
{
	Causeway__V1__GetDeviceRequest rq = CAUSEWAY__V1__GET_DEVICE_REQUEST__INIT;

	rq.device = next_device();
	put_request(s, &rq.base);
}

static void ask_power(struct stream *s)
{
	Causeway__V1__GetPowerStateRequest rq = CAUSEWAY__V1__GET_POWER_STATE_REQUEST__INIT;

	rq.device = next_device();
	put_request(s, &rq.base);
}

static void ask_wsman(struct stream *s)
{
	Causeway__V1__GetInstanceRequest rq = CAUSEWAY__V1__GET_INSTANCE_REQUEST__INIT;

	rq.device = next_device();
	rq.resource = (char *)(uintptr_t)opt.resource;
	put_request(s, &rq.base);
}

/* ---- lists ---- */

static void ask_page(struct stream *s)
{
	Causeway__V1__ListDevicesRequest rq = CAUSEWAY__V1__LIST_DEVICES_REQUEST__INIT;

	rq.page_size = opt.page;
	rq.page_token = s->page_token;
	put_request(s, &rq.base);
}

static uint64_t varint(struct cur *cur)
{
	uint64_t v = 0;
	uint8_t octet;

	for (unsigned shift = 0; shift < 35 && cur->err == 0; shift += 7) {
		octet = cur_u8(cur);
		v |= (uint64_t)(octet & 0x7f) << shift;
		if ((octet & 0x80) == 0)
			break;
	}
	return v;
}

/* Only the two fields matter, and unpacking a thousand devices would make the load the limit. */
static void took_page(struct stream *s)
{
	struct cur cur = cur_of(buf_span(&s->message));

	s->page_token[0] = '\0';
	while (cur.left > 0 && cur.err == 0) {
		uint8_t tag = cur_u8(&cur);
		struct span value = cur_bytes(&cur, varint(&cur));

		if (tag == (1 << 3 | 2))
			counts.devices++;
		else
			must(tag == (2 << 3 | 2) &&
			             str_copy_span(s->page_token, sizeof(s->page_token), value),
			     "reading a page");
	}
	must(cur.err == 0, "reading a page");
}

/* ---- watches ---- */

static void ask_watch(struct stream *s)
{
	Causeway__V1__WatchDevicesRequest rq = CAUSEWAY__V1__WATCH_DEVICES_REQUEST__INIT;

	rq.updates_only = true;
	put_request(s, &rq.base);
}

static void took_event(struct stream *s)
{
	Causeway__V1__WatchDevicesResponse *r =
		causeway__v1__watch_devices_response__unpack(NULL, s->message.len, s->message.data);
	uint64_t at_us, now = now_us(CLOCK_REALTIME);

	must(r != NULL, "reading an event");
	if (r->kind == CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_SYNC && !s->open) {
		stream_opened(s);
	} else if (r->kind != CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_HEARTBEAT) {
		at_us = (uint64_t)r->event_time->seconds * 1000000 +
		        (uint64_t)r->event_time->nanos / 1000;
		counts.events++;
		measure_latency(now > at_us ? now - at_us : 0);
	}
	causeway__v1__watch_devices_response__free_unpacked(r, NULL);
}

/* ---- relays ---- */

static void ask_tunnel(struct stream *s)
{
	Causeway__V1__OpenTunnelTarget target = CAUSEWAY__V1__OPEN_TUNNEL_TARGET__INIT;
	Causeway__V1__OpenTunnelRequest rq = CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__INIT;

	target.device = next_device();
	target.port = opt.port;
	rq.message_case = CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__MESSAGE_OPEN;
	rq.open = &target;
	put_request(s, &rq.base);
}

static void took_piece(struct stream *s)
{
	if (!s->open)
		stream_opened(s);
}

/* A message with UPLOAD_PIECE octets in field 2: its length, tag and a varint of three. */
static const uint8_t upload_message[MESSAGE_HEAD + 4 + UPLOAD_PIECE] = {
	0, 0, 0, 0x40, 0x04, 0x12, 0x80, 0x80, 0x01};

const struct kind kinds[] = {
	{.name = "get-device",
         .path = "/causeway.v1.DeviceService/GetDevice",
         .request = ask_device},
	{.name = "power-state",
         .path = "/causeway.v1.PowerService/GetPowerState",
         .request = ask_power},
	{.name = "wsman-get",
         .path = "/causeway.v1.WsmanService/GetInstance",
         .request = ask_wsman},
	{.name = "list",
         .path = "/causeway.v1.DeviceService/ListDevices",
         .request = ask_page,
         .message = took_page,
         .keeps = true},
	{.name = "watch",
         .path = "/causeway.v1.DeviceService/WatchDevices",
         .request = ask_watch,
         .message = took_event,
         .keeps = true,
         .lasts = true},
	{.name = "download",
         .path = "/causeway.v1.TunnelService/OpenTunnel",
         .request = ask_tunnel,
         .message = took_piece,
         .lasts = true,
         .bidirectional = true,
         .counts_in = true},
	{.name = "upload",
         .path = "/causeway.v1.TunnelService/OpenTunnel",
         .request = ask_tunnel,
         .message = took_piece,
         .lasts = true,
         .bidirectional = true,
         .endless = {upload_message, sizeof(upload_message)}},
};
const size_t kinds_len = ARRAY_LEN(kinds);
