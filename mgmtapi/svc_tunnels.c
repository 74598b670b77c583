/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc_tunnels.c: TunnelService. OpenTunnel's handler moves octets between the client and a relay; tunnel_there does the same between the
 * relay and the device's channel, on the tunnel's worker.
 */
#include "causeway/v1/tunnels.pb-c.h"
#include "core/clock.h"
#include "core/err.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/mutation.h"
#include "mgmtapi/dstream.h"
#include "mgmtapi/metrics_api.h"

#include <stdlib.h>
#include <string.h>

#define OPEN_MS          30000 /* a channel that does not open by then fails */
#define STREAM_MAX_MS    (24u * 3600 * 1000)
#define DATA_FIELD       2     /* of OpenTunnelRequest */
#define PIECE            16384 /* octets of one message to the client */
#define CONSOLE_WINDOW   262144
#define CONSOLE_MOST     (4u << 20) /* on a path of 200 ms: 20 MB/s */
#define STILL_ALLOWED_MS 2000       /* how often a revoked token is noticed */

/* ---- list ---- */

struct listing {
	struct call *c;
	struct msg_mem mem;
	Causeway__V1__Tunnel **list;
	size_t len, max;
	struct device_key last;
	bool more;
};

static Causeway__V1__Tunnel *tunnel_msg(struct msg_mem *m, const struct device_view *v)
{
	Causeway__V1__Tunnel *t = msg_take(m, sizeof(*t));
	char text[DEVICE_KEY_TEXT_MAX];

	if (t == NULL)
		return NULL;
	causeway__v1__tunnel__init(t);
	device_key_format(&v->key, text);
	t->device = msg_text(m, text);
	t->tunnel_id = v->tunnel_id;
	t->group = msg_text(m, v->group);
	t->source_address = msg_addr(m, &v->source);
	t->connected_time = msg_time(m, v->connected_ms);
	t->last_seen_time = msg_time(m, v->last_seen_ms);
	t->tls_version = msg_text(m, v->tls_version);
	t->tls_cipher = msg_text(m, v->tls_cipher);
	t->trigger = v->trigger;
	t->forwarded_ports = msg_take(m, MAX(v->ports_len, (size_t)1) * sizeof(uint32_t));
	for (size_t i = 0; t->forwarded_ports != NULL && i < v->ports_len; i++)
		t->forwarded_ports[t->n_forwarded_ports++] = v->ports[i];
	return m->failed ? NULL : t;
}

static bool list_one(void *arg, const struct device_view *v)
{
	struct listing *l = arg;
	Causeway__V1__Tunnel *t;

	if (!v->connected ||
	    !principal_sees_group((void *)(uintptr_t)call_principal(l->c), v->group))
		return true;
	l->more = l->len == l->max;
	t = l->more ? NULL : tunnel_msg(&l->mem, v);
	if (t == NULL)
		return false;
	l->list[l->len++] = t;
	l->last = v->key;
	return true;
}

static int list_tunnels(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__ListTunnelsRequest *rq = (const void *)request;
	Causeway__V1__ListTunnelsResponse out = CAUSEWAY__V1__LIST_TUNNELS_RESPONSE__INIT;
	struct listing l = {
		.c = c, .mem = msg_mem_of(call_allocator(c)), .max = page_size(rq->page_size)};
	uint8_t position[PAGE_POSITION_MAX];
	char text[DEVICE_KEY_TEXT_MAX];
	struct device_key after;
	size_t len;
	int err = page_open(c, "", rq->page_token, position, &len);

	if (err == 0 && len > 0)
		err = device_key_parse(span_of(position, len), &after);
	if (err != 0)
		return err;
	l.list = call_alloc(c, l.max * sizeof(*l.list));
	if (l.list == NULL)
		return no_memory(c);
	gateway_device_each(api_of(c)->gateway, len > 0 ? &after : NULL, list_one, &l);
	if (l.mem.failed)
		return no_memory(c);
	out.tunnels = l.list;
	out.n_tunnels = l.len;
	device_key_format(&l.last, text);
	if (l.more)
		out.next_page_token = page_close(c, "", span_str(text));
	return out.next_page_token != NULL ? call_send(c, &out.base) : no_memory(c);
}

/* ---- disconnect ---- */

static int disconnect_tunnel(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__DisconnectTunnelRequest *rq = (const void *)request;
	Causeway__V1__DisconnectTunnelResponse out = CAUSEWAY__V1__DISCONNECT_TUNNEL_RESPONSE__INIT;
	struct mutation *m;
	struct device_key key;
	char text[DEVICE_KEY_TEXT_MAX];
	int err = find_device(c, rq->device, &key);

	m = err == 0 ? mutation_new(c, request) : NULL;
	if (m == NULL)
		return err != 0 ? err : -ERR_NOMEM;
	device_key_format(&key, text);
	mutation_about(m, "devices/%s", text);
	err = mutation_begin(m);
	if (err != 0)
		return mutation_finish(m, err == 1 ? 0 : err);
	err = gateway_disconnect(api_of(c)->gateway, &key);
	if (err != 0)
		(void)failure_set(&m->failure, CALL_FAILED_PRECONDITION, "DEVICE_OFFLINE",
		                  "there is nothing to disconnect", "the device is not connected");
	return mutation_finish(m, mutation_end(m, err == 0 ? &out.base : NULL, true));
}

/* ---- the stream, device's side ---- */

struct stream {
	uint16_t port;
	struct addr origin;
};

/* From the client to the device. True: something moved. Negative in *err: the channel is over. */
static bool to_device(struct dstream *r, struct channel *ch, int *err)
{
	struct span s = dstream_peek(r, DSTREAM_TO_DEVICE);
	ssize_t n = s.len > 0 ? channel_write_some(ch, s) : 0;

	if (n < 0)
		*err = (int)n;
	else
		dstream_consume(r, DSTREAM_TO_DEVICE, (size_t)n);
	return n > 0;
}

/* From the device to the client, as much as the relay has room for: reading gives the device its window back. */
static bool to_client(struct dstream *r, struct channel *ch)
{
	size_t n = dstream_put(r, DSTREAM_TO_CLIENT, channel_peek(ch));

	channel_consume(ch, n);
	return n > 0;
}

/* The short way of to_client: into the relay at once. */
static size_t straight_on(void *arg, struct span s)
{
	return dstream_put(arg, DSTREAM_TO_CLIENT, s);
}

/* The device closed: 0 when all of it is with the client. Otherwise the error of the tunnel. */
static int channel_over(struct channel *ch)
{
	uint8_t none[1];
	ssize_t n = channel_read(
		ch, none, sizeof(none)); /* does not wait: nothing is readable and it is not open */

	return n < 0 ? (int)n : 0;
}

static int move(struct dstream *r, struct channel *ch)
{
	int err = 0;

	while (err == 0) {
		bool out = to_device(r, ch, &err), in = to_client(r, ch);

		if (dstream_client_left(r))
			return -ERR_CANCELLED;
		if (!channel_is_open(ch) && channel_readable(ch) == 0)
			return channel_over(ch);
		if (dstream_client_ended(r) && dstream_held(r, DSTREAM_TO_DEVICE) == 0)
			return 0;
		if (!channel_is_open(ch))
			err = 0; /* writing failed, but there is something left to read */
		if (err == 0 && !out && !in)
			err = fiber_wait();
	}
	return err;
}

static int tunnel_there(struct tunnel *t, struct device_op *op)
{
	struct dstream *r = op->arg;
	struct stream *s = dstream_user(r);
	const struct channel_opts opts = {.port = s->port,
	                                  .window = CONSOLE_WINDOW,
	                                  .window_most = CONSOLE_MOST,
	                                  .origin = s->origin};
	uint64_t before = fiber_deadline_ms();
	struct channel *ch;
	int err;

	(void)fiber_set_deadline(MIN(before, clock_mono_ms() + OPEN_MS));
	err = channel_open(t, &opts, &ch);
	(void)fiber_set_deadline(before);
	if (err != 0)
		return err;
	dstream_device_here(r);
	channel_set_waiter(ch, fiber_current());
	channel_set_sink(ch, straight_on, r);
	dstream_opened(r);
	err = move(r, ch);
	dstream_device_gone(r);
	channel_close(ch);
	return err;
}

/* ---- the stream, client's side ---- */

struct client {
	struct call *c;
	struct dstream *r;
	struct span pending; /* of the present message; valid until the next call_recv */
	size_t passed;       /* octets of the next message that are in the relay already */
	bool in_ended;
	uint64_t look_ms; /* when the token is looked at again */
};

static int send_piece(struct client *cl, bool *moved)
{
	Causeway__V1__OpenTunnelResponse out = CAUSEWAY__V1__OPEN_TUNNEL_RESPONSE__INIT;
	struct span s =
		call_send_ready(cl->c) ? dstream_peek(cl->r, DSTREAM_TO_CLIENT) : span_of(NULL, 0);
	size_t n = MIN(s.len, (size_t)PIECE);
	int err;

	if (n == 0)
		return 0;
	*moved = true;
	out.message_case = CAUSEWAY__V1__OPEN_TUNNEL_RESPONSE__MESSAGE_DATA;
	out.data = (ProtobufCBinaryData){.len = n, .data = (uint8_t *)(uintptr_t)s.ptr};
	err = call_send(cl->c, &out.base); /* does not wait: it was ready */
	dstream_consume(cl->r, DSTREAM_TO_CLIENT, n);
	return err;
}

static int take_message(struct client *cl)
{
	ProtobufCMessage *msg;
	const Causeway__V1__OpenTunnelRequest *rq;
	int rc = call_recv(cl->c, &msg);

	if (rc == 0) {
		cl->in_ended = true;
		dstream_client_end(cl->r);
	}
	if (rc <= 0)
		return rc;
	rq = (const void *)msg;
	if (rq->message_case != CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__MESSAGE_DATA)
		return call_fail(cl->c, CALL_INVALID_ARGUMENT, "DATA_EXPECTED",
		                 "send open once, then data", "only the first message opens");
	cl->pending = span_of(rq->data.data, rq->data.len);
	return 0;
}

/* The usual message, straight into the relay: as much as there is room for. False: it is another one. */
static bool pass_in_place(struct client *cl, bool *moved)
{
	struct span s;
	size_t n;

	if (!call_peek_octets(cl->c, DATA_FIELD, &s))
		return false;
	n = dstream_put(cl->r, DSTREAM_TO_DEVICE, span_of(s.ptr + cl->passed, s.len - cl->passed));
	cl->passed += n;
	*moved = *moved || n > 0 || s.len == 0;
	if (cl->passed == s.len) {
		call_drop_message(cl->c);
		cl->passed = 0;
	}
	return true;
}

static int pass_on(struct client *cl, bool *moved)
{
	size_t n;

	if (cl->pending.len == 0 && !cl->in_ended && pass_in_place(cl, moved))
		return 0;
	if (cl->pending.len == 0 && !cl->in_ended && call_recv_ready(cl->c)) {
		*moved = true;
		return take_message(cl);
	}
	if (cl->pending.len == 0)
		return 0;
	n = dstream_put(cl->r, DSTREAM_TO_DEVICE, cl->pending);
	cl->pending = span_of(cl->pending.ptr + n, cl->pending.len - n);
	*moved = *moved || n > 0;
	return 0;
}

/* Waits for either side; looks now and then whether the caller may still do this. */
static int wait_for_more(struct client *cl)
{
	int err = fiber_wait_until(cl->look_ms);

	if (clock_mono_ms() < cl->look_ms)
		return err;
	if (!still_allowed(cl->c))
		return no_longer_allowed(cl->c);
	cl->look_ms = clock_mono_ms() + STILL_ALLOWED_MS;
	return err == -ERR_TIMEOUT && clock_mono_ms() < fiber_deadline_ms() ? 0 : err;
}

static int tell_opened(struct client *cl, const struct device_key *key)
{
	Causeway__V1__OpenTunnelResponse out = CAUSEWAY__V1__OPEN_TUNNEL_RESPONSE__INIT;
	Causeway__V1__OpenedTunnel opened = CAUSEWAY__V1__OPENED_TUNNEL__INIT;
	char text[DEVICE_KEY_TEXT_MAX];

	device_key_format(key, text);
	opened.device = text;
	out.message_case = CAUSEWAY__V1__OPEN_TUNNEL_RESPONSE__MESSAGE_OPENED;
	out.opened = &opened;
	return call_send(cl->c, &out.base);
}

/* Until the operation has ended and everything from the device is sent. 0: *op and *result tell its outcome. */
static int serve(struct client *cl, const struct device_key *key, const struct device_op **op,
                 int *result)
{
	bool told = false;
	int err = 0;

	while (err == 0) {
		bool moved = false, ended = dstream_ended(cl->r, op, result);

		if (!told && dstream_is_open(cl->r)) {
			told = true;
			err = tell_opened(cl, key);
		}
		if (err == 0)
			err = send_piece(cl, &moved);
		if (err == 0 && !ended)
			err = pass_on(cl, &moved);
		if (err == 0 && ended && dstream_held(cl->r, DSTREAM_TO_CLIENT) == 0)
			return 0;
		if (err == 0 && !moved)
			err = wait_for_more(cl);
	}
	return err;
}

static int run_stream(struct mutation *m, const struct device_key *key, uint16_t port)
{
	struct client cl = {.c = m->call, .look_ms = clock_mono_ms() + STILL_ALLOWED_MS};
	struct dstream_opts opts = {
		.gateway = api_of(m->call)->gateway,
		.key = *key,
		.fn = tunnel_there,
		.limit_ms = STREAM_MAX_MS,
		.free_user = free,
	};
	struct stream *s = calloc(1, sizeof(*s));
	const struct device_op *op;
	int err, result = 0;

	if (s != NULL) {
		s->port = port;
		s->origin = *call_peer(m->call);
		opts.user = s;
		cl.r = dstream_start(&opts);
	}
	if (cl.r == NULL) {
		free(s);
		return failure_set(&m->failure, CALL_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY",
		                   "try again later", "too much is under way");
	}
	metric_move(metrics_relays(), 1);
	err = serve(&cl, key, &op, &result);
	metric_move(metrics_relays(), -1);
	m->keep_status = err != 0 && call_status(m->call) != CALL_OK;
	if (err == 0 && result != 0)
		err = failure_from_device(&m->failure, opts.gateway, key, op, result);
	else if (m->keep_status)
		(void)failure_set(&m->failure, call_status(m->call), "STREAM_ENDED", NULL, "%.200s",
		                  call_status_message(m->call));
	else if (err != 0)
		(void)failure_set(&m->failure,
		                  err == -ERR_TIMEOUT ? CALL_DEADLINE_EXCEEDED : CALL_CANCELLED,
		                  "STREAM_ENDED", "open it again",
		                  "the client ended the stream: %s", err_text(err));
	dstream_leave(cl.r);
	return err;
}

static int read_target(struct call *c, struct device_key *key, uint16_t *port)
{
	const Causeway__V1__OpenTunnelRequest *rq;
	ProtobufCMessage *msg;
	int rc = call_recv(c, &msg);

	if (rc < 0)
		return call_fail_err(c, rc, "the first message");
	rq = rc > 0 ? (const void *)msg : NULL;
	if (rq == NULL || rq->message_case != CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__MESSAGE_OPEN)
		return call_fail(c, CALL_INVALID_ARGUMENT, "OPEN_EXPECTED",
		                 "send open with device and port first",
		                 "the first message does not open");
	if (rq->open->port == 0 || rq->open->port > UINT16_MAX)
		return call_fail(c, CALL_INVALID_ARGUMENT, "PORT_INVALID",
		                 "take one of the device's forwarded_ports",
		                 "the port is not 1 to 65535");
	*port = (uint16_t)rq->open->port;
	return find_device(c, rq->open->device, key);
}

static int open_tunnel(struct call *c, const ProtobufCMessage *request)
{
	static const Causeway__V1__OpenTunnelResponse nothing =
		CAUSEWAY__V1__OPEN_TUNNEL_RESPONSE__INIT;
	struct mutation *m;
	struct device_key key;
	char text[DEVICE_KEY_TEXT_MAX];
	uint16_t port = 0;
	int err = read_target(c, &key, &port);

	(void)request;
	m = err == 0 ? mutation_new(c, NULL) : NULL;
	if (m == NULL)
		return err != 0 ? err : -ERR_NOMEM;
	device_key_format(&key, text);
	mutation_about(m, "devices/%s", text);
	mutation_note(m, "port %u", port);
	err = mutation_begin(m);
	if (err == 0) {
		err = run_stream(m, &key, port);
		err = mutation_end(m, err == 0 ? &nothing.base : NULL, false);
	}
	mutation_free(m);
	return err;
}

static const struct service_method methods[] = {
	{"ListTunnels", &causeway__v1__list_tunnels_request__descriptor,
         &causeway__v1__list_tunnels_response__descriptor, list_tunnels},
	{"DisconnectTunnel", &causeway__v1__disconnect_tunnel_request__descriptor,
         &causeway__v1__disconnect_tunnel_response__descriptor, disconnect_tunnel},
	{"OpenTunnel", &causeway__v1__open_tunnel_request__descriptor,
         &causeway__v1__open_tunnel_response__descriptor, open_tunnel},
};

const struct service tunnels_service = {"causeway.v1.TunnelService", methods, ARRAY_LEN(methods),
                                        false};
