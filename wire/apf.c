/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * apf.c: names, limits and the reading half of the APF codec. Every length is checked against its cap the moment it has
 * been read, and compared with what is left by subtraction, so no sum can overflow. Pure; any thread.
 */
#include "wire/apf.h"
#include "core/err.h"

#include <string.h>

const struct apf_caps apf_caps_default = {
	.service_max = 64,
	.user_max = 128,
	.method_max = 32,
	.password_max = 64,
	.request_max = 64,
	.host_max = 255,
	.datagram_max = 2048,
	.channel_type_max = 32,
	.data_max = 1u << 20,
	.json_max = 64u << 10,
};

const struct apf_caps apf_caps_agent = {
	.service_max = 64,
	.user_max = 128,
	.method_max = 32,
	.password_max = 2048,
	.request_max = 64,
	.host_max = 255,
	.datagram_max = 2048,
	.channel_type_max = 32,
	.data_max = 1u << 20,
	.json_max = 64u << 10,
};

/* Reads forward; the first shortage or excess sticks, later reads yield zeros. */
struct reader {
	struct span in;
	size_t at;
	size_t need; /* octets in all that the failed read wanted */
	int err;
};

static struct span read_bytes(struct reader *r, size_t n)
{
	struct span s = {NULL, 0};

	if (r->err != 0)
		return s;
	if (n > r->in.len - r->at) {
		r->err = -ERR_MORE;
		r->need = r->at + n;
		return s;
	}
	s = span_of(r->in.ptr + r->at, n);
	r->at += n;
	return s;
}

static uint8_t read_u8(struct reader *r)
{
	struct span s = read_bytes(r, 1);

	return s.len == 1 ? s.ptr[0] : 0;
}

static uint32_t read_u32(struct reader *r)
{
	struct span s = read_bytes(r, 4);

	if (s.len != 4)
		return 0;
	return (uint32_t)s.ptr[0] << 24 | (uint32_t)s.ptr[1] << 16 | (uint32_t)s.ptr[2] << 8 |
	       s.ptr[3];
}

static uint32_t read_length(struct reader *r, uint32_t max)
{
	uint32_t n = read_u32(r);

	if (r->err == 0 && n > max)
		r->err = -ERR_TOO_BIG;
	return n;
}

static struct span read_string(struct reader *r, uint32_t max)
{
	return read_bytes(r, read_length(r, max));
}

bool apf_is(struct span s, const char *text)
{
	size_t n = strlen(text);

	return s.len == n && memcmp(s.ptr, text, n) == 0;
}

static void read_userauth(struct reader *r, const struct apf_caps *caps, struct apf_userauth *a)
{
	*a = (struct apf_userauth){.user = read_string(r, caps->user_max)};
	a->service = read_string(r, caps->service_max);
	a->method = read_string(r, caps->method_max);
	if (r->err != 0 || !apf_is(a->method, APF_METHOD_PASSWORD))
		return;
	a->change = read_u8(r) != 0;
	a->password = read_string(r, caps->password_max);
}

static const struct {
	const char *name;
	enum apf_request kind;
} requests[] = {
	{"tcpip-forward", APF_REQUEST_FORWARD},
	{"cancel-tcpip-forward", APF_REQUEST_CANCEL},
	{"udp-send-to@amt.intel.com", APF_REQUEST_UDP_SEND},
};

static int request_kind(struct span name, enum apf_request *kind)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (apf_is(name, requests[i].name)) {
			*kind = requests[i].kind;
			return 0;
		}
	}
	return -ERR_UNSUPPORTED;
}

static void read_global(struct reader *r, const struct apf_caps *caps, struct apf_global *g)
{
	struct span name = read_string(r, caps->request_max);

	*g = (struct apf_global){.kind = APF_REQUEST_FORWARD};
	if (r->err != 0)
		return;
	r->err = request_kind(name, &g->kind);
	g->want_reply = read_u8(r) != 0;
	g->host = read_string(r, caps->host_max);
	g->port = read_u32(r);
	if (r->err != 0 || g->kind != APF_REQUEST_UDP_SEND)
		return;
	g->originator = read_string(r, caps->host_max);
	g->originator_port = read_u32(r);
	g->datagram = read_string(r, caps->datagram_max);
}

static void read_open(struct reader *r, const struct apf_caps *caps, struct apf_open *o)
{
	o->type = read_string(r, caps->channel_type_max);
	o->sender = read_u32(r);
	o->window = read_u32(r);
	(void)read_u32(r); /* SSH's largest packet; always ffffffff here */
	o->host = read_string(r, caps->host_max);
	o->port = read_u32(r);
	o->originator = read_string(r, caps->host_max);
	o->originator_port = read_u32(r);
}

static void read_version(struct reader *r, struct apf_msg *m)
{
	struct span guid;

	m->version.major = read_u32(r);
	m->version.minor = read_u32(r);
	m->version.trigger = read_u32(r);
	guid = read_bytes(r, sizeof(m->version.guid.b));
	if (r->err == 0)
		memcpy(m->version.guid.b, guid.ptr, guid.len);
	(void)read_bytes(r, 64);
}

static void read_channel_message(struct reader *r, const struct apf_caps *caps, struct apf_msg *m)
{
	switch (m->type) {
	case APF_CHANNEL_OPEN:
		read_open(r, caps, &m->open);
		break;
	case APF_CHANNEL_CONFIRM:
		m->confirm.recipient = read_u32(r);
		m->confirm.sender = read_u32(r);
		m->confirm.window = read_u32(r);
		(void)read_u32(r);
		break;
	case APF_CHANNEL_OPEN_FAILURE:
		m->failure.recipient = read_u32(r);
		m->failure.reason = read_u32(r);
		(void)read_bytes(r, 8);
		break;
	case APF_CHANNEL_ADJUST:
		m->channel.recipient = read_u32(r);
		m->channel.len = read_u32(r);
		break;
	case APF_CHANNEL_DATA:
		m->channel.recipient = read_u32(r);
		m->channel.len = read_length(r, caps->data_max);
		break;
	case APF_CHANNEL_CLOSE:
		m->channel.recipient = read_u32(r);
		break;
	default:
		r->err = -ERR_UNSUPPORTED;
	}
}

static void read_tunnel_message(struct reader *r, const struct apf_unpack_opts *opts,
                                struct apf_msg *m)
{
	const struct apf_caps *caps = opts->caps;

	switch (m->type) {
	case APF_DISCONNECT:
		m->disconnect = read_u32(r);
		(void)read_bytes(r, 2);
		break;
	case APF_SERVICE_REQUEST:
	case APF_SERVICE_ACCEPT:
		m->service = read_string(r, caps->service_max);
		break;
	case APF_USERAUTH_REQUEST:
		read_userauth(r, caps, &m->auth);
		break;
	case APF_USERAUTH_FAILURE:
		m->auth_failure.methods = read_string(r, caps->service_max);
		m->auth_failure.partial = read_u8(r) != 0;
		break;
	case APF_USERAUTH_SUCCESS:
	case APF_REQUEST_FAILURE:
		break;
	case APF_GLOBAL_REQUEST:
		read_global(r, caps, &m->global);
		break;
	case APF_REQUEST_SUCCESS:
		m->success.has_port = opts->success_has_port;
		m->success.port = opts->success_has_port ? read_u32(r) : 0;
		break;
	case APF_VERSION:
		read_version(r, m);
		break;
	case APF_KEEPALIVE_REQUEST:
	case APF_KEEPALIVE_REPLY:
		m->cookie = read_u32(r);
		break;
	case APF_OPTIONS_REQUEST:
	case APF_OPTIONS_REPLY:
		m->options.interval_s = read_u32(r);
		m->options.timeout_s = read_u32(r);
		break;
	case APF_JSON_CONTROL:
		m->json_len = read_length(r, caps->json_max);
		break;
	default:
		read_channel_message(r, caps, m);
	}
}

ssize_t apf_unpack(struct span in, const struct apf_unpack_opts *opts, struct apf_msg *m,
                   size_t *need)
{
	struct reader r = {.in = in};

	*m = (struct apf_msg){.type = read_u8(&r)};
	if (r.err == 0)
		read_tunnel_message(&r, opts, m);
	if (r.err == -ERR_MORE)
		*need = r.need;
	return r.err != 0 ? r.err : (ssize_t)r.at;
}

const char *apf_type_name(uint8_t type)
{
	switch (type) {
#define X(name, number) \
	case number:    \
		return #name;
		APF_TYPE_LIST(X)
#undef X
	default:
		return NULL;
	}
}

enum apf_http apf_looks_like_http(struct span in)
{
	static const char *const starts[] = {"GET ", "HEAD "};
	enum apf_http answer = APF_HTTP_NO;

	if (in.len == 0)
		return APF_HTTP_MORE;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		size_t n = strlen(starts[i]);

		if (memcmp(in.ptr, starts[i], MIN(n, in.len)) != 0)
			continue;
		answer = in.len >= n ? APF_HTTP_YES : APF_HTTP_MORE;
	}
	return answer;
}
