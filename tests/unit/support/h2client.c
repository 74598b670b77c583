/* SPDX-License-Identifier: GPL-3.0-or-later */
/* h2client.c: see h2client.h. */
#include "tests/unit/support/test.h"
#include "tests/unit/support/h2client.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "causeway/v1/power.pb-c.h"
#include "causeway/v1/tunnels.pb-c.h"
#include "causeway/v1/wsman.pb-c.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/log.h"
#include "core/text.h"
#include "mgmtapi/descriptors.h"
#include "mgmtapi/health.h"
#include "mgmtapi/reflect.h"
#include "tests/unit/support/coro.h"

#define REPLIES_MAX 512
#define BODY_MAX    (64 * 1024 * 1024)
#define POOL_SIZE   (64 * 1024 * 1024)

/* ---- the demo service ----------------------------------------------------------------------------------------------- */

struct demo_state demo;

static int demo_send(struct call *c, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	struct buf packed = {.cap = BODY_MAX};
	uint8_t *at;
	int err;

	if (!demo.packed)
		return call_send(c, m);
	at = buf_reserve(&packed, n);
	if (at != NULL)
		packed.len = protobuf_c_message_pack(m, at);
	err = call_send_packed(c, &packed);
	ASSERT(packed.data == NULL);
	return err;
}

static int get_power_state(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__GetPowerStateRequest *q = (const void *)request;
	Causeway__V1__GetPowerStateResponse r = CAUSEWAY__V1__GET_POWER_STATE_RESPONSE__INIT;

	demo.calls++;
	(void)str_copy(demo.principal, sizeof(demo.principal), call_principal(c)->name);
	if (strcmp(q->device, "missing") == 0) {
		(void)call_fail(c, CALL_NOT_FOUND, "DEVICE_NOT_FOUND", "list devices",
		                "no device \"%s\" \xc3\xa4\n", q->device);
		call_fail_info(c, "device", q->device);
		call_fail_retry(c, 1500);
		return -ERR_FAULT;
	}
	if (strcmp(q->device, "silent") == 0)
		return 0;
	while (strcmp(q->device, "slow") == 0) {
		demo.last_err = coro_exec.wait();
		if (demo.last_err != 0)
			return demo.last_err;
	}
	r.device = q->device;
	r.power_state = CAUSEWAY__V1__POWER_STATE__POWER_STATE_ON;
	return demo_send(c, &r.base);
}

static int change_power(struct call *c, const ProtobufCMessage *request)
{
	Causeway__V1__ChangePowerResponse r = CAUSEWAY__V1__CHANGE_POWER_RESPONSE__INIT;

	(void)request;
	demo.calls++;
	(void)str_copy(demo.request_id, sizeof(demo.request_id), call_request_id(c));
	return call_send(c, &r.base);
}

/* max_items messages of 64 KiB each; resource "fail": an error after them. */
static int enumerate(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__EnumerateInstancesRequest *q = (const void *)request;
	Causeway__V1__EnumerateInstancesResponse r =
		CAUSEWAY__V1__ENUMERATE_INSTANCES_RESPONSE__INIT;
	char *body = call_alloc(c, 65537);

	demo.calls++;
	memset(body, 'x', 65536);
	r.body = body;
	for (unsigned i = 0; i < q->max_items; i++) {
		demo.last_err = demo_send(c, &r.base);
		if (demo.last_err != 0)
			return demo.last_err;
		demo.received = i + 1;
	}
	if (strcmp(q->resource, "fail") == 0)
		return call_fail(c, CALL_ABORTED, "STOPPED", NULL, "stopped");
	return 0;
}

static int open_tunnel(struct call *c, const ProtobufCMessage *unused)
{
	ProtobufCMessage *m;
	int err;

	(void)unused;
	demo.calls++;
	while ((err = call_recv(c, &m)) == 1) {
		Causeway__V1__OpenTunnelRequest *q = (void *)m;
		Causeway__V1__OpenTunnelResponse r = CAUSEWAY__V1__OPEN_TUNNEL_RESPONSE__INIT;

		demo.received++;
		r.message_case = CAUSEWAY__V1__OPEN_TUNNEL_RESPONSE__MESSAGE_DATA;
		if (q->message_case == CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__MESSAGE_DATA)
			r.data = q->data;
		err = call_send(c, &r.base);
		if (err != 0)
			break;
	}
	demo.last_err = err;
	return err;
}

static const struct service_method power_methods[] = {
	{"GetPowerState", &causeway__v1__get_power_state_request__descriptor,
         &causeway__v1__get_power_state_response__descriptor, get_power_state},
	{"ChangePower", &causeway__v1__change_power_request__descriptor,
         &causeway__v1__change_power_response__descriptor, change_power},
};
static const struct service_method wsman_methods[] = {
	{"EnumerateInstances", &causeway__v1__enumerate_instances_request__descriptor,
         &causeway__v1__enumerate_instances_response__descriptor, enumerate},
};
static const struct service_method tunnel_methods[] = {
	{"OpenTunnel", &causeway__v1__open_tunnel_request__descriptor,
         &causeway__v1__open_tunnel_response__descriptor, open_tunnel},
};
static const struct service demo_power = {"causeway.v1.PowerService", power_methods,
                                          ARRAY_LEN(power_methods), false};
static const struct service demo_wsman = {"causeway.v1.WsmanService", wsman_methods,
                                          ARRAY_LEN(wsman_methods), false};
static const struct service demo_tunnel = {"causeway.v1.TunnelService", tunnel_methods,
                                           ARRAY_LEN(tunnel_methods), false};
const struct service *const demo_services[] = {
	&demo_power,
	&demo_wsman,
	&demo_tunnel,
	&reflection_v1_service,
	&reflection_v1alpha_service,
	&health_service,
};
const size_t demo_services_len = ARRAY_LEN(demo_services);

/* Tokens: DEMO_TOKEN an administrator, "cwt_viewer" a viewer, "cwt_old" an expired one. */
static bool lookup(void *arg, const uint8_t sha256[32], struct store_token *out)
{
	static const struct {
		const char *text;
		enum role role;
		uint64_t expires_ms;
	} tokens[] = {{DEMO_TOKEN, ROLE_ADMINISTRATOR, 0},
	              {"cwt_viewer", ROLE_VIEWER, 0},
	              {"cwt_old", ROLE_VIEWER, 1}};

	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
		struct span s = span_str(tokens[i].text);
		uint8_t digest[32];

		hash_once(HASH_SHA256, &s, 1, digest);
		if (memcmp(digest, sha256, sizeof(digest)) != 0)
			continue;
		(void)str_copy(out->id, sizeof(out->id), tokens[i].text);
		out->role = tokens[i].role;
		out->expires_ms = tokens[i].expires_ms;
		return true;
	}
	return false;
}

/* Uploads live here until the client goes: a stream that is reset never asks for the rest. */
static struct upload {
	struct span data;
	bool end;
} uploads[REPLIES_MAX];
static size_t uploads_len;

/* ---- the client ----------------------------------------------------------------------------------------------------- */

static void copy(char *to, size_t size, const uint8_t *value, size_t len)
{
	(void)str_copy_span(to, size, span_of(value, len));
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
	struct reply *r = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);
	const char *n = (const char *)name;
	char text[16];

	(void)flags;
	(void)name_len;
	(void)user;
	if (r == NULL)
		return 0;
	if (strcmp(n, ":status") == 0) {
		copy(text, sizeof(text), value, value_len);
		r->status = (unsigned)strtoul(text, NULL, 10);
	} else if (strcmp(n, "content-type") == 0) {
		copy(r->content_type, sizeof(r->content_type), value, value_len);
	} else if (strcmp(n, "grpc-status") == 0) {
		copy(r->grpc_status, sizeof(r->grpc_status), value, value_len);
	} else if (strcmp(n, "grpc-message") == 0) {
		copy(r->grpc_message, sizeof(r->grpc_message), value, value_len);
	} else if (strcmp(n, "grpc-status-details-bin") == 0) {
		copy(r->details, sizeof(r->details), value, value_len);
	}
	return 0;
}

static int on_frame_recv(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct h2client *c = user;
	struct reply *r = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);

	if (frame->hd.type == NGHTTP2_GOAWAY) {
		c->goaway = true;
		c->goaway_error = frame->goaway.error_code;
	}
	if (r != NULL && frame->hd.type == NGHTTP2_HEADERS)
		r->head_frames++;
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *user)
{
	struct reply *r = nghttp2_session_get_stream_user_data(s, id);

	(void)flags;
	(void)user;
	if (r != NULL)
		buf_put(&r->body, data, len);
	return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t error, void *user)
{
	struct reply *r = nghttp2_session_get_stream_user_data(s, id);

	(void)user;
	if (r != NULL) {
		r->closed = true;
		r->error = error;
	}
	return 0;
}

static void no_kick(void *arg)
{
	(void)arg;
}

static void init(struct h2client *c, bool far)
{
	const struct authn authn = {.lookup_token = lookup};
	nghttp2_session_callbacks *cb;
	struct h2_opts opts = {.peer = {.cert_cn = "", .trailers = true},
	                       .pool = &c->pool,
	                       .far = far,
	                       .kick = no_kick};
	struct buf why;

	memset(c, 0, sizeof(*c));
	memset(&demo, 0, sizeof(demo));
	uploads_len = 0;
	log_set_level(LOG_ERROR);
	c->now_ms = 1000000;
	coro_set_now(c->now_ms);
	buf_init(&why, 1024);
	c->dispatch = dispatch_new(demo_services, demo_services_len,
	                           span_of(api_descriptors, api_descriptors_len), &why);
	if (c->dispatch == NULL)
		fail_msg("%s", buf_cstr(&why));
	buf_free(&why);
	health_set_services(demo_services, demo_services_len);
	reflect_set_services(demo_services, demo_services_len);
	rpc_env_init(&c->env, c->dispatch, &authn, &coro_exec);
	pool_init(&c->pool, POOL_SIZE);
	opts.env = &c->env;
	c->h = h2_new(&opts, c->now_ms);
	assert_non_null(c->h);
	assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	assert_int_equal(nghttp2_session_client_new(&c->session, cb, c), 0);
	nghttp2_session_callbacks_del(cb);
	assert_int_equal(nghttp2_submit_settings(c->session, 0, NULL, 0), 0);
	c->replies = calloc(REPLIES_MAX, sizeof(*c->replies));
	h2client_run(c);
}

void h2client_init(struct h2client *c)
{
	init(c, false);
}

void h2client_init_far(struct h2client *c)
{
	init(c, true);
}

void h2client_free(struct h2client *c)
{
	h2_free(c->h);
	pool_fini(&c->pool);             /* every block came back */
	assert_int_equal(coro_run(), 0); /* cancelled handlers end */
	assert_int_equal(c->env.calls, 0);
	assert_int_equal(c->env.buffered, 0);
	dispatch_free(c->dispatch);
	nghttp2_session_del(c->session);
	for (size_t i = 0; i < c->replies_len; i++)
		buf_free(&c->replies[i].body);
	free(c->replies);
}

static ssize_t read_upload(nghttp2_session *s, int32_t id, uint8_t *to, size_t len, uint32_t *flags,
                           nghttp2_data_source *source, void *user)
{
	struct upload *u = source->ptr;
	size_t n = MIN(len, u->data.len);

	(void)s;
	(void)id;
	(void)user;
	memcpy(to, u->data.ptr, n);
	u->data.ptr += n;
	u->data.len -= n;
	if (u->data.len == 0) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (!u->end)
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	}
	return (ssize_t)n;
}

static nghttp2_nv nv(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
	                    strlen(value), 0};
}

void h2client_send(struct h2client *c, int32_t id, struct span data, bool end)
{
	struct upload *u = &uploads[uploads_len++];
	nghttp2_data_provider p = {.source = {.ptr = u}, .read_callback = read_upload};

	*u = (struct upload){data, end};
	assert_true(uploads_len < REPLIES_MAX);
	/* Fails when the server has refused and closed the stream meanwhile. */
	(void)nghttp2_submit_data(c->session, end ? NGHTTP2_FLAG_END_STREAM : 0, id, &p);
}

struct reply *h2client_request(struct h2client *c, const struct request *q)
{
	struct reply *r = &c->replies[c->replies_len++];
	const char *token = q->token != NULL ? q->token : DEMO_TOKEN;
	char bearer[256];
	nghttp2_nv h[16];
	size_t n = 0;

	assert_true(c->replies_len < REPLIES_MAX);
	buf_init(&r->body, BODY_MAX);
	(void)snprintf(bearer, sizeof(bearer), "Bearer %s", token);
	h[n++] = nv(":method", q->method != NULL ? q->method : "POST");
	h[n++] = nv(":scheme", "https");
	h[n++] = nv(":path", q->path);
	h[n++] = nv(":authority", "localhost");
	h[n++] = nv("te", "trailers");
	h[n++] = nv("content-type", q->content_type != NULL ? q->content_type : "application/grpc");
	if (token[0] != '\0')
		h[n++] = nv("authorization", bearer);
	for (size_t i = 0; i < ARRAY_LEN(q->extra) && q->extra[i].name != NULL; i++)
		h[n++] = nv(q->extra[i].name, q->extra[i].value);
	r->id = nghttp2_submit_headers(
		c->session, q->keep_open || q->body.len > 0 ? 0 : NGHTTP2_FLAG_END_STREAM, -1, NULL,
		h, n, r);
	assert_true(r->id > 0);
	if (q->body.len > 0) {
		h2client_run(c);
		h2client_send(c, r->id, q->body, !q->keep_open);
	}
	return r;
}

void h2client_reset(struct h2client *c, int32_t id)
{
	(void)nghttp2_submit_rst_stream(c->session, 0, id, NGHTTP2_CANCEL);
}

int h2client_input(struct h2client *c, struct span data)
{
	int err = h2_input(c->h, data, c->now_ms);

	if (err != 0)
		c->h2_failed = true;
	return err;
}

void h2client_run(struct h2client *c)
{
	bool moved = true;

	while (moved && !c->h2_failed) {
		const uint8_t *data;
		struct buf out;
		ssize_t n;

		moved = false;
		while ((n = nghttp2_session_mem_send(c->session, &data)) > 0) {
			moved = true;
			c->to_server += (size_t)n;
			if (h2client_input(c, span_of(data, (size_t)n)) != 0)
				break;
		}
		(void)coro_run();
		buf_init(&out, 1 << 24);
		assert_int_equal(h2_output(c->h, &out, c->now_ms), 0);
		if (out.len > 0) {
			moved = true;
			assert_true(nghttp2_session_mem_recv(c->session, out.data, out.len) >= 0);
		}
		buf_free(&out);
		(void)coro_run();
	}
}

void envelope(struct buf *out, uint8_t flags, struct span payload)
{
	buf_put_u8(out, flags);
	buf_put_u32(out, (uint32_t)payload.len);
	buf_put_span(out, payload);
}

void envelope_msg(struct buf *out, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *at;

	buf_put_u8(out, 0);
	buf_put_u32(out, (uint32_t)n);
	at = buf_reserve(out, n + 1);
	out->len += protobuf_c_message_pack(m, at);
}
