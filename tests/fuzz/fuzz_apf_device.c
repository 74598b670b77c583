/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fuzz_apf_device.c: the simulated device's APF client under a hostile server. The first octet picks the behaviour; then come pieces:
 * a length octet and as many octets. The device's invariants are checked after each.
 */
#include "bench/fleet/sim_apf.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rig {
	struct sim_apf apf;
	bool ended;
};

static void on_send(void *user, struct span s)
{
	(void)user;
	ASSERT(s.len > 0);
}

static void on_ready(void *user)
{
	ASSERT(!((struct rig *)user)->ended);
}

static uint32_t on_open(void *user, unsigned slot, uint16_t port)
{
	(void)user;
	ASSERT(slot < SIM_APF_SLOTS);
	return port == 16994 ? 2 : 0;
}

/* Echo: so that windows and queues of both directions are used. */
static void on_data(void *user, unsigned slot, struct span s)
{
	struct rig *r = user;

	ASSERT(slot < SIM_APF_SLOTS && r->apf.slots[slot].state == SIM_SLOT_OPEN);
	if (sim_apf_write(&r->apf, slot, s) != 0)
		sim_apf_close(&r->apf, slot);
}

static void on_closed(void *user, unsigned slot)
{
	(void)user;
	ASSERT(slot < SIM_APF_SLOTS);
}

static void on_violation(void *user, const char *text, uint32_t a, uint32_t b)
{
	(void)user;
	(void)a;
	(void)b;
	ASSERT(text[0] != '\0');
}

static void on_ended(void *user, enum sim_apf_end why, uint32_t code)
{
	struct rig *r = user;

	(void)why;
	(void)code;
	ASSERT(!r->ended); /* once */
	r->ended = true;
}

static const struct sim_apf_ops ops = {
	.send = on_send,
	.ready = on_ready,
	.open = on_open,
	.data = on_data,
	.closed = on_closed,
	.violation = on_violation,
	.ended = on_ended,
};

static void check(const struct rig *r)
{
	ASSERT(r->apf.in.len <= SIM_APF_MSG_MAX);
	ASSERT(r->apf.fifo_len <= SIM_APF_FIFO_MAX && r->apf.forwarded_len <= SIM_APF_PORTS_MAX);
	for (unsigned i = 0; i < SIM_APF_SLOTS; i++)
		ASSERT(r->apf.slots[i].queue.len <= SIM_APF_QUEUE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sim_apf_identity id = {
		.guid = {{1, 2, 3}}, .host = "h.example", .user = "u", .password = "p"};
	uint8_t how = size > 0 ? data[0] : 0;
	const struct sim_apf_opts opts = {
		.trigger = 4,
		.framing = (enum sim_framing)(how % 3),
		.adjust = (enum sim_adjust)(how / 3 % 3),
		.ports = {16992, 16993, 16994},
		.ports_len = 3,
		.pipelined = (how & 16) != 0,
		.keepalive_s = 30,
		.timeout_s = 90,
		.obey_210 = true,
		.window = (how & 32) != 0 ? 1 : 4096,
		.strict = (how & 64) != 0,
		.late_data = (how & 128) != 0,
	};
	struct rig r = {.ended = false};
	uint64_t now = 1000;

	sim_apf_init(&r.apf, &opts, &ops, &r);
	sim_apf_start(&r.apf, &id, now);
	for (size_t at = 1; at < size && !r.ended;) {
		size_t n = MIN((size_t)data[at], size - at - 1);

		sim_apf_input(&r.apf, span_of(data + at + 1, n), now);
		at += n + 1;
		now += 500;
		if (!r.ended)
			sim_apf_tick(&r.apf, now);
		check(&r);
	}
	sim_apf_free(&r.apf);
	return 0;
}
