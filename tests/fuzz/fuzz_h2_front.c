/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a stranger sends to the API's port: the first octet chooses HTTP/1.1 or HTTP/2, the second how the rest is cut. Handlers run
 * as soon as the input pauses and never wait. Every call must end when the connection does.
 */
#include <string.h>

#include "causeway/v1/power.pb-c.h"
#include "causeway/v1/tunnels.pb-c.h"
#include "causeway/v1/wsman.pb-c.h"
#include "core/err.h"
#include "core/log.h"
#include "mgmtapi/descriptors.h"
#include "mgmtapi/h1.h"
#include "mgmtapi/h2.h"
#include "mgmtapi/reflect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define JOBS_MAX  256
#define INPUT_MAX (256 * 1024)
#define POOL_SIZE (64 * 1024 * 1024)

/* Stands for a struct fiber: a handler that has not run yet. */
struct fiber {
	fiber_fn *fn;
	void *arg;
	bool used;
};
static struct fiber jobs[JOBS_MAX];

static struct fiber *spawn(const char *name, fiber_fn *fn, void *arg, uint64_t deadline_ms)
{
	(void)name;
	(void)deadline_ms;
	for (size_t i = 0; i < JOBS_MAX; i++)
		if (!jobs[i].used) {
			jobs[i] = (struct fiber){fn, arg, true};
			return &jobs[i];
		}
	return NULL;
}

static int no_wait(void)
{
	return -ERR_CANCELLED;
}

static void nothing(struct fiber *f)
{
	(void)f;
}

static const struct call_exec exec_now = {
	.spawn = spawn, .wait = no_wait, .wake = nothing, .cancel = nothing};

static void run_jobs(void)
{
	for (size_t i = 0; i < JOBS_MAX; i++)
		if (jobs[i].used) {
			jobs[i].used = false;
			jobs[i].fn(jobs[i].arg);
		}
}

/* Answers every unary method with an empty response, streams with three. */
static int answer(struct call *c, const ProtobufCMessage *request)
{
	Causeway__V1__GetPowerStateResponse state = CAUSEWAY__V1__GET_POWER_STATE_RESPONSE__INIT;
	Causeway__V1__EnumerateInstancesResponse item =
		CAUSEWAY__V1__ENUMERATE_INSTANCES_RESPONSE__INIT;
	Causeway__V1__OpenTunnelResponse piece = CAUSEWAY__V1__OPEN_TUNNEL_RESPONSE__INIT;
	ProtobufCMessage *m;
	int err = 0;

	if (request == NULL) {
		while ((err = call_recv(c, &m)) == 1 && err > 0)
			if (call_send(c, &piece.base) != 0)
				return -ERR_CANCELLED;
		return err;
	}
	if (request->descriptor == &causeway__v1__get_power_state_request__descriptor)
		return call_send(c, &state.base);
	for (unsigned i = 0; i < 3 && err == 0; i++)
		err = call_send(c, &item.base);
	return err;
}

static const struct service_method power_methods[] = {
	{"GetPowerState", &causeway__v1__get_power_state_request__descriptor,
         &causeway__v1__get_power_state_response__descriptor, answer},
};
static const struct service_method wsman_methods[] = {
	{"EnumerateInstances", &causeway__v1__enumerate_instances_request__descriptor,
         &causeway__v1__enumerate_instances_response__descriptor, answer},
};
static const struct service_method tunnel_methods[] = {
	{"OpenTunnel", &causeway__v1__open_tunnel_request__descriptor,
         &causeway__v1__open_tunnel_response__descriptor, answer},
};
static const struct service power = {"causeway.v1.PowerService", power_methods, 1, false};
static const struct service wsman = {"causeway.v1.WsmanService", wsman_methods, 1, false};
static const struct service tunnel = {"causeway.v1.TunnelService", tunnel_methods, 1, false};
static const struct service *const services[] = {&power, &wsman, &tunnel, &reflection_v1_service,
                                                 &reflection_v1alpha_service};

static bool lookup(void *arg, const uint8_t sha256[32], struct store_token *out)
{
	(void)arg;
	(void)sha256;
	out->role = ROLE_ADMINISTRATOR;
	return true;
}

static void kick(void *arg)
{
	(void)arg;
}

static void feed_h2(struct rpc_env *env, struct span in, size_t piece)
{
	struct pool pool;
	const struct h2_opts opts = {
		.env = env, .peer = {.cert_cn = "", .trailers = true}, .pool = &pool, .kick = kick};
	struct h2 *h;
	uint64_t now_ms = 1000;
	int err = 0;

	pool_init(&pool, POOL_SIZE);
	h = h2_new(&opts, 1000);
	ASSERT(h != NULL);
	while (in.len > 0 && err == 0) {
		size_t n = MIN(piece, in.len);
		struct buf out;

		err = h2_input(h, span_of(in.ptr, n), ++now_ms);
		in.ptr += n;
		in.len -= n;
		run_jobs();
		do {
			buf_init(&out, 1 << 20);
			if (h2_output(h, &out, now_ms) != 0)
				err = -ERR_PROTOCOL;
			n = out.len;
			buf_free(&out);
		} while (n > 0 && err == 0);
		run_jobs();
	}
	if (err == 0)
		err = h2_tick(h, now_ms + 61000);
	ASSERT(err <= 0);
	h2_free(h);
	pool_fini(&pool); /* every block came back */
}

static void feed_h1(struct rpc_env *env, struct span in, size_t piece)
{
	const struct h1_opts opts = {.env = env, .peer = {.cert_cn = ""}, .kick = kick};
	struct h1 *h = h1_new(&opts, 1000);
	uint64_t now_ms = 1000;
	int err = 0;

	ASSERT(h != NULL);
	while (in.len > 0 && err == 0 && !h1_done(h)) {
		size_t n = MIN(piece, in.len);
		struct buf out;

		err = h1_input(h, span_of(in.ptr, n), ++now_ms);
		in.ptr += n;
		in.len -= n;
		run_jobs();
		do {
			buf_init(&out, 1 << 20);
			if (h1_output(h, &out, now_ms) != 0)
				err = -ERR_PROTOCOL;
			n = out.len;
			buf_free(&out);
			run_jobs();
		} while (n > 0 && err == 0);
	}
	if (err == 0)
		err = h1_tick(h, now_ms + 61000);
	ASSERT(err <= 0);
	h1_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct authn authn = {.lookup_token = lookup};
	static struct dispatch *d;
	static struct rpc_env env;
	struct span in = span_of(data + 2, size - 2);
	size_t piece;
	struct buf why;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	if (d == NULL) {
		log_set_level(LOG_ERROR);
		buf_init(&why, 1024);
		d = dispatch_new(services, ARRAY_LEN(services),
		                 span_of(api_descriptors, api_descriptors_len), &why);
		ASSERT(d != NULL);
		buf_free(&why);
		rpc_env_init(&env, d, &authn, &exec_now);
	}
	piece = data[1] == 0 ? size : data[1];
	if (data[0] & 1)
		feed_h1(&env, in, piece);
	else
		feed_h2(&env, in, piece);
	run_jobs();
	ASSERT(env.calls == 0 && env.buffered == 0);
	return 0;
}
