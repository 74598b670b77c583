/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apf_pack.c: the writing half of the APF codec: one message into a caller's buffer. Pure; any thread. */
#include "wire/apf.h"
#include "core/err.h"

#include <string.h>

#define RESERVED_WINDOW 0xffffffffu /* in the place of SSH's largest packet (apf.md 5.7, 5.8) */

struct writer {
	uint8_t *out;
	size_t size;
	size_t at;
	bool full;
};

static void write_bytes(struct writer *w, const void *p, size_t n)
{
	if (w->full || n > w->size - w->at) {
		w->full = true;
		return;
	}
	if (n > 0)
		memcpy(w->out + w->at, p, n);
	w->at += n;
}

static void write_zeros(struct writer *w, size_t n)
{
	static const uint8_t zeros[64];

	ASSERT(n <= sizeof(zeros));
	write_bytes(w, zeros, n);
}

static void write_u8(struct writer *w, uint8_t v)
{
	write_bytes(w, &v, 1);
}

static void write_u32(struct writer *w, uint32_t v)
{
	const uint8_t x[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
	                      (uint8_t)v};

	write_bytes(w, x, sizeof(x));
}

static void write_string(struct writer *w, struct span s)
{
	if (s.len > UINT32_MAX) {
		w->full = true;
		return;
	}
	write_u32(w, (uint32_t)s.len);
	write_bytes(w, s.ptr, s.len);
}

static void write_userauth(struct writer *w, const struct apf_userauth *a)
{
	write_string(w, a->user);
	write_string(w, a->service);
	write_string(w, a->method);
	if (!apf_is(a->method, APF_METHOD_PASSWORD))
		return;
	write_u8(w, a->change);
	write_string(w, a->password);
}

static void write_global(struct writer *w, const struct apf_global *g)
{
	static const char *const names[] = {
		[APF_REQUEST_FORWARD] = "tcpip-forward",
		[APF_REQUEST_CANCEL] = "cancel-tcpip-forward",
		[APF_REQUEST_UDP_SEND] = "udp-send-to@amt.intel.com",
	};

	write_string(w, span_str(names[g->kind]));
	write_u8(w, g->want_reply);
	write_string(w, g->host);
	write_u32(w, g->port);
	if (g->kind != APF_REQUEST_UDP_SEND)
		return;
	write_string(w, g->originator);
	write_u32(w, g->originator_port);
	write_string(w, g->datagram);
}

static void write_open(struct writer *w, const struct apf_open *o)
{
	write_string(w, o->type);
	write_u32(w, o->sender);
	write_u32(w, o->window);
	write_u32(w, RESERVED_WINDOW);
	write_string(w, o->host);
	write_u32(w, o->port);
	write_string(w, o->originator);
	write_u32(w, o->originator_port);
}

static bool write_channel_message(struct writer *w, const struct apf_msg *m)
{
	switch (m->type) {
	case APF_CHANNEL_OPEN:
		write_open(w, &m->open);
		return true;
	case APF_CHANNEL_CONFIRM:
		write_u32(w, m->confirm.recipient);
		write_u32(w, m->confirm.sender);
		write_u32(w, m->confirm.window);
		write_u32(w, RESERVED_WINDOW);
		return true;
	case APF_CHANNEL_OPEN_FAILURE:
		write_u32(w, m->failure.recipient);
		write_u32(w, m->failure.reason);
		write_zeros(w, 8);
		return true;
	case APF_CHANNEL_ADJUST:
	case APF_CHANNEL_DATA:
		write_u32(w, m->channel.recipient);
		write_u32(w, m->channel.len);
		return true;
	case APF_CHANNEL_CLOSE:
		write_u32(w, m->channel.recipient);
		return true;
	default:
		return false;
	}
}

static void write_version(struct writer *w, const struct apf_msg *m)
{
	write_u32(w, m->version.major);
	write_u32(w, m->version.minor);
	write_u32(w, m->version.trigger);
	write_bytes(w, m->version.guid.b, sizeof(m->version.guid.b));
	write_zeros(w, 64);
}

static bool write_tunnel_message(struct writer *w, const struct apf_msg *m)
{
	switch (m->type) {
	case APF_DISCONNECT:
		write_u32(w, m->disconnect);
		write_zeros(w, 2);
		return true;
	case APF_SERVICE_REQUEST:
	case APF_SERVICE_ACCEPT:
		write_string(w, m->service);
		return true;
	case APF_USERAUTH_REQUEST:
		write_userauth(w, &m->auth);
		return true;
	case APF_USERAUTH_FAILURE:
		write_string(w, m->auth_failure.methods);
		write_u8(w, m->auth_failure.partial);
		return true;
	case APF_USERAUTH_SUCCESS:
	case APF_REQUEST_FAILURE:
		return true;
	case APF_GLOBAL_REQUEST:
		write_global(w, &m->global);
		return true;
	case APF_REQUEST_SUCCESS:
		if (m->success.has_port)
			write_u32(w, m->success.port);
		return true;
	case APF_VERSION:
		write_version(w, m);
		return true;
	case APF_KEEPALIVE_REQUEST:
	case APF_KEEPALIVE_REPLY:
		write_u32(w, m->cookie);
		return true;
	case APF_OPTIONS_REQUEST:
	case APF_OPTIONS_REPLY:
		write_u32(w, m->options.interval_s);
		write_u32(w, m->options.timeout_s);
		return true;
	case APF_JSON_CONTROL:
		write_u32(w, m->json_len);
		return true;
	default:
		return write_channel_message(w, m);
	}
}

ssize_t apf_pack(uint8_t *out, size_t size, const struct apf_msg *m)
{
	struct writer w = {.out = out, .size = size};

	write_u8(&w, m->type);
	if (!write_tunnel_message(&w, m))
		return -ERR_UNSUPPORTED;
	return w.full ? -ERR_TOO_BIG : (ssize_t)w.at;
}
