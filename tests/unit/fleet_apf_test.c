/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulated device's APF client: the vectors of apf.md section 12 as a client sees them, and each violation by name. */
#include "bench/fleet/sim_apf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "tests/unit/support/test.h"

#define AUTH_NAME          \
	"0000001261757468" \
	"40616d742e696e74656c2e636f6d"
#define PFWD_NAME          \
	"0000001270667764" \
	"40616d742e696e74656c2e636f6d"
#define V01                                \
	"c0000000010000000000000004"       \
	"44454c4c390010348052b4c04f4e5a31" \
	"00000000000000000000000000000000" \
	"00000000000000000000000000000000" \
	"00000000000000000000000000000000" \
	"00000000000000000000000000000000"
#define V02 "05" AUTH_NAME
#define V03 "06" AUTH_NAME
#define V05                                                                         \
	"320000000c7374616e64616c6f6e653031" PFWD_NAME "0000000870617373776f726400" \
	"000000085040737377307264"
#define V07 "34"
#define V08 "05" PFWD_NAME
#define V09 "06" PFWD_NAME
#define FORWARD                \
	"500000000d7463706970" \
	"2d666f727761726401"   \
	"0000000d616d7430312e6578616d706c65"
#define V10 FORWARD "00004261"
#define OPEN_HEAD                      \
	"5a0000000f666f72776172646564" \
	"2d7463706970"
#define OPEN_TAIL                \
	"ffffffff00000000"       \
	"00004260"               \
	"00000007312e322e332e34" \
	"00000400"
#define V22                  \
	OPEN_HEAD "00000004" \
		  "00008000" OPEN_TAIL
#define V23 "5b000000040000000000001000ffffffff"
#define V25 "5e000000000000001b474554202f20485454502f312e310d0a486f73743a20610d0a0d0a"

struct rig {
	struct sim_apf_opts opts;
	struct sim_apf apf;
	struct buf sent;
	struct buf data;
	size_t sends;
	unsigned opened, closed, drained, violations;
	bool ready, ended;
	enum sim_apf_end why;
	uint32_t code;
	char violation[96];
};

static void rig_send(void *user, struct span s)
{
	struct rig *r = user;

	r->sends++;
	buf_put_span(&r->sent, s);
}

static void rig_ready(void *user)
{
	((struct rig *)user)->ready = true;
}

static uint32_t rig_open(void *user, unsigned slot, uint16_t port)
{
	struct rig *r = user;

	(void)slot;
	r->opened++;
	return port == 5900 ? 2 : 0;
}

static void rig_data(void *user, unsigned slot, struct span s)
{
	struct rig *r = user;

	(void)slot;
	buf_put_span(&r->data, s);
}

static void rig_drained(void *user, unsigned slot)
{
	(void)slot;
	((struct rig *)user)->drained++;
}

static void rig_closed(void *user, unsigned slot)
{
	(void)slot;
	((struct rig *)user)->closed++;
}

static void rig_violation(void *user, const char *text, uint32_t a, uint32_t b)
{
	struct rig *r = user;

	(void)a;
	(void)b;
	r->violations++;
	str_copy(r->violation, sizeof(r->violation), text);
}

static void rig_ended(void *user, enum sim_apf_end why, uint32_t code)
{
	struct rig *r = user;

	assert_false(r->ended);
	r->ended = true;
	r->why = why;
	r->code = code;
}

static const struct sim_apf_ops rig_ops = {
	.send = rig_send,
	.ready = rig_ready,
	.open = rig_open,
	.data = rig_data,
	.drained = rig_drained,
	.closed = rig_closed,
	.violation = rig_violation,
	.ended = rig_ended,
};

static const struct sim_apf_identity identity = {
	.guid = {{0x44, 0x45, 0x4c, 0x4c, 0x39, 0x00, 0x10, 0x34, 0x80, 0x52, 0xb4, 0xc0, 0x4f,
                  0x4e, 0x5a, 0x31}},
	.host = "amt01.example",
	.user = "standalone01",
	.password = "P@ssw0rd",
};

static void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->opts = (struct sim_apf_opts){
		.trigger = 4,
		.ports = {16993, 16992},
		.ports_len = 2,
		.keepalive_s = 30,
		.timeout_s = 90,
		.obey_210 = true,
		.window = 4096,
		.strict = true,
	};
	buf_init(&r->sent, 1 << 20);
	buf_init(&r->data, 1 << 20);
	sim_apf_init(&r->apf, &r->opts, &rig_ops, r);
}

static void rig_free(struct rig *r)
{
	sim_apf_free(&r->apf);
	buf_free(&r->sent);
	buf_free(&r->data);
}

static void feed_at(struct rig *r, const char *hex, uint64_t now_ms)
{
	uint8_t bytes[4096];
	ssize_t n = hex_decode(bytes, sizeof(bytes), span_str(hex));

	assert_true(n > 0);
	sim_apf_input(&r->apf, span_of(bytes, (size_t)n), now_ms);
}

static void feed(struct rig *r, const char *hex)
{
	feed_at(r, hex, 1000);
}

static void expect_sent(struct rig *r, const char *hex)
{
	char *got = malloc(2 * r->sent.len + 1);

	assert_non_null(got);
	hex_encode(got, buf_span(&r->sent));
	assert_string_equal(got, hex);
	free(got);
	buf_clear(&r->sent);
}

/* Brings the tunnel to READY with 16993 and 16992 forwarded and forgets what was sent. */
static void make_ready(struct rig *r)
{
	sim_apf_start(&r->apf, &identity, 1000);
	feed(r, V03 V07 V09 "5100004261"
	                    "5100004260");
	assert_true(r->ready);
	buf_clear(&r->sent);
}

static void open_channel(struct rig *r)
{
	make_ready(r);
	feed(r, V22);
	expect_sent(r, V23);
}

static void test_sequence(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	sim_apf_start(&r.apf, &identity, 1000);
	assert_int_equal(r.sends, 2);
	expect_sent(&r, V01 V02);
	feed(&r, V03);
	expect_sent(&r, V05);
	feed(&r, V07);
	expect_sent(&r, V08);
	feed(&r, V09);
	expect_sent(&r, V10);
	assert_false(r.ready);
	feed(&r, "5100004261");
	expect_sent(&r, FORWARD "00004260");
	feed(&r, "5100004260");
	assert_true(r.ready);
	feed(&r, "d20000001e00000000");
	expect_sent(&r, "d30000001e00000000");
	feed(&r, "d00000002a");
	expect_sent(&r, "d10000002a");
	feed(&r, V22);
	expect_sent(&r, V23);
	feed(&r, V25);
	assert_int_equal(r.data.len, 27);
	assert_memory_equal(r.data.data, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
	expect_sent(&r, "5d000000040000001b");
	assert_int_equal(sim_apf_write(&r.apf, 0, span_str("HTTP/1.1 401 Unauthorized\r\n")), 0);
	expect_sent(&r, "5e000000040000001b485454502f312e312034303120556e617574686f72697a65640d0a");
	sim_apf_close(&r.apf, 0);
	expect_sent(&r, "6100000004");
	feed(&r, "6100000000");
	expect_sent(&r, "");
	assert_int_equal(r.closed, 0);
	assert_int_equal(r.apf.slots[0].state, SIM_SLOT_FREE);
	assert_int_equal(r.violations, 0);
	feed(&r, "010000000b0000");
	assert_true(r.ended && r.why == SIM_APF_END_DISCONNECT && r.code == 11);
	rig_free(&r);
}

static void test_same_one_octet_at_a_time(void **state)
{
	static const char script[] = V03 V07 V09 "5100004261"
						 "5100004260"
						 "d20000001e0000005a" V22 V25 "6100000000";
	uint8_t bytes[1024];
	ssize_t n = hex_decode(bytes, sizeof(bytes), span_str(script));
	struct rig r;

	(void)state;
	assert_true(n > 0);
	rig_init(&r);
	sim_apf_start(&r.apf, &identity, 1000);
	for (ssize_t i = 0; i < n; i++)
		sim_apf_input(&r.apf, span_of(bytes + i, 1), 1000);
	assert_int_equal(r.violations, 0);
	assert_int_equal(r.data.len, 27);
	assert_int_equal(r.closed, 1);
	assert_int_equal(r.apf.timeout_s, 90);
	rig_free(&r);
}

static void test_framing(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.framing = SIM_FRAMING_COALESCED;
	r.opts.pipelined = true;
	sim_apf_start(&r.apf, &identity, 1000);
	assert_int_equal(r.sends, 1);
	expect_sent(&r, V01 V02);
	feed(&r, V03 V07 V09);
	assert_int_equal(r.sends, 2);
	expect_sent(&r, V05 V08 V10 FORWARD "00004260");
	rig_free(&r);
	rig_init(&r);
	r.opts.framing = SIM_FRAMING_OCTET;
	sim_apf_start(&r.apf, &identity, 1000);
	assert_int_equal(r.sends, 93 + 23);
	expect_sent(&r, V01 V02);
	rig_free(&r);
}

static void test_auth_methods(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.auth = SIM_AUTH_NONE;
	sim_apf_start(&r.apf, &identity, 1000);
	buf_clear(&r.sent);
	feed(&r, V03);
	expect_sent(&r, "320000000c7374616e64616c6f6e653031" PFWD_NAME "000000046e6f6e65");
	feed(&r, "330000000870617373776f726400");
	assert_true(r.ended && r.why == SIM_APF_END_AUTH);
	assert_int_equal(r.violations, 0);
	rig_free(&r);
}

static void test_wrong_password_is_another_one(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.auth = SIM_AUTH_WRONG;
	sim_apf_start(&r.apf, &identity, 1000);
	buf_clear(&r.sent);
	feed(&r, V03);
	assert_null(memmem(r.sent.data, r.sent.len, "P@ssw0rd", 8));
	assert_non_null(memmem(r.sent.data, r.sent.len, "password", 8));
	rig_free(&r);
}

static void test_cancel_is_answered_by_one_octet(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.cancel_last = true;
	sim_apf_start(&r.apf, &identity, 1000);
	feed(&r, V03 V07 V09 "5100004261");
	buf_clear(&r.sent);
	feed(&r, "5100004260");
	expect_sent(&r, "500000001463616e63656c2d74637069702d666f727761726401"
	                "0000000d616d7430312e6578616d706c6500004260");
	feed(&r, "51" V22);
	expect_sent(&r, "5c00000004000000010000000000000000");
	assert_int_equal(r.violations, 0);
	rig_free(&r);
}

static void test_refused_forward(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	sim_apf_start(&r.apf, &identity, 1000);
	feed(&r, V03 V07 V09 "5100004261"
	                     "52");
	assert_true(r.ready);
	buf_clear(&r.sent);
	feed(&r, V22);
	expect_sent(&r, "5c00000004000000010000000000000000");
	rig_free(&r);
}

static void test_slots_lowest_first_and_eight(void **state)
{
	struct rig r;
	char hex[256];

	(void)state;
	rig_init(&r);
	make_ready(&r);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(hex, sizeof(hex),
		         OPEN_HEAD "%08x"
		                   "00008000" OPEN_TAIL,
		         i + 10);
		feed(&r, hex);
		snprintf(hex, sizeof(hex), "5b%08x%08x00001000ffffffff", i + 10, i);
		expect_sent(&r, hex);
	}
	feed(&r, OPEN_HEAD "00000063"
	                   "00008000" OPEN_TAIL);
	expect_sent(&r, "5c00000063000000040000000000000000");
	feed(&r, "6100000005");
	expect_sent(&r, "610000000f");
	feed(&r, "6100000002");
	expect_sent(&r, "610000000c");
	feed(&r, OPEN_HEAD "00000064"
	                   "00008000" OPEN_TAIL);
	expect_sent(&r, "5b000000640000000200001000ffffffff");
	assert_int_equal(r.violations, 0);
	rig_free(&r);
}

static void test_credit_of_the_server_is_obeyed(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	make_ready(&r);
	feed(&r, OPEN_HEAD "00000004"
	                   "00000003" OPEN_TAIL);
	buf_clear(&r.sent);
	assert_int_equal(sim_apf_write(&r.apf, 0, span_str("abcdef")), 0);
	expect_sent(&r, "5e0000000400000003616263");
	sim_apf_close(&r.apf, 0);
	expect_sent(&r, "");
	feed(&r, "5d0000000000000002");
	expect_sent(&r, "5e00000004000000026465");
	feed(&r, "5d0000000000000009");
	expect_sent(&r, "5e000000040000000166"
	                "6100000004");
	rig_free(&r);
}

static void test_adjust_batched_never_and_late(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.window = 4;
	r.opts.adjust = SIM_ADJUST_BATCHED;
	make_ready(&r);
	feed(&r, V22);
	buf_clear(&r.sent);
	feed(&r, "5e000000000000000141");
	expect_sent(&r, "");
	feed(&r, "5e000000000000000142");
	expect_sent(&r, "5d0000000400000002");
	rig_free(&r);
	rig_init(&r);
	r.opts.late_window = 4096;
	r.opts.late_ms = 100;
	r.opts.adjust = SIM_ADJUST_NEVER;
	make_ready(&r);
	feed(&r, V22);
	expect_sent(&r, "5b000000040000000000000000ffffffff");
	assert_int_equal(sim_apf_next_ms(&r.apf), 1100);
	sim_apf_tick(&r.apf, 1100);
	expect_sent(&r, "5d0000000400001000");
	feed(&r, V25);
	expect_sent(&r, "");
	assert_int_equal(r.violations, 0);
	rig_free(&r);
}

static void test_slow_confirmation(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.answer_ms = 50;
	make_ready(&r);
	feed(&r, V22);
	expect_sent(&r, "");
	sim_apf_tick(&r.apf, 1049);
	expect_sent(&r, "");
	sim_apf_tick(&r.apf, 1050);
	expect_sent(&r, V23);
	rig_free(&r);
}

static void test_late_data_after_close(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.late_data = true;
	open_channel(&r);
	feed(&r, "6100000000");
	expect_sent(&r, "5e00000004000000046c617465"
	                "5d0000000400000001"
	                "6100000004");
	assert_int_equal(r.closed, 1);
	rig_free(&r);
}

static void test_keepalive(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	make_ready(&r);
	assert_int_equal(sim_apf_next_ms(&r.apf), 31000);
	sim_apf_tick(&r.apf, 31000);
	expect_sent(&r, "d000000001");
	feed_at(&r, "d100000001", 31010);
	assert_int_equal(r.violations, 0);
	sim_apf_tick(&r.apf, 61000);
	expect_sent(&r, "d000000002");
	sim_apf_tick(&r.apf, 91000);
	expect_sent(&r, "");
	assert_false(r.ended);
	sim_apf_tick(&r.apf, 151000);
	assert_true(r.ended && r.why == SIM_APF_END_KEEPALIVE);
	assert_int_equal(sim_apf_next_ms(&r.apf), SIM_APF_NO_TIME);
	rig_free(&r);
}

static void test_210_is_obeyed(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	make_ready(&r);
	feed(&r, "d20000000a0000003c");
	expect_sent(&r, "d30000000a0000003c");
	assert_int_equal(sim_apf_next_ms(&r.apf), 11000);
	rig_free(&r);
}

static void test_alert_messages(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.udp_send = r.opts.direct_open = true;
	sim_apf_start(&r.apf, &identity, 1000);
	feed(&r, V03 V07 V09 "5100004261");
	buf_clear(&r.sent);
	feed(&r, "5100004260");
	expect_sent(&r, "50000000197564702d73656e642d746f40616d742e696e74656c2e636f6d00000000093139"
	                "322e302e322e39"
	                "000000a20000000a3139322e302e322e34320000029800000005"
	                "3003020100"
	                "5a0000000c6469726563742d74637069700000000000001000ffffffff000000093139322e"
	                "302e322e39"
	                "00004266000000093132372e302e302e3100004260");
	feed(&r, "5c00000000000000030000000000000000");
	assert_int_equal(r.violations, 0);
	assert_int_equal(r.apf.slots[0].state, SIM_SLOT_FREE);
	rig_free(&r);
}

static void test_direct_channel_delivers_and_closes(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.direct_open = true;
	make_ready(&r);
	feed(&r, "5b000000000000000700001000ffffffff");
	assert_int_equal(r.sent.data[0], 94);
	assert_memory_equal(r.sent.data + r.sent.len - 5, "\x61\0\0\0\x07", 5);
	feed(&r, "6100000000");
	assert_int_equal(r.closed, 0);
	assert_int_equal(r.violations, 0);
	assert_int_equal(r.apf.slots[0].state, SIM_SLOT_FREE);
	rig_free(&r);
}

static void test_local_disconnect_and_silence(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	open_channel(&r);
	r.apf.silent = true;
	feed(&r, "d00000002a" V25);
	expect_sent(&r, "");
	assert_int_equal(r.data.len, 0);
	r.apf.silent = false;
	sim_apf_disconnect(&r.apf, 10);
	expect_sent(&r, "010000000a0000");
	assert_true(r.ended && r.why == SIM_APF_END_LOCAL);
	assert_int_equal(r.closed, 1);
	rig_free(&r);
}

/* Feeds hex to a ready tunnel with channel 0 open and expects exactly this violation, DISCONNECT 2 and the end. */
static void expect_violation(const char *hex, const char *text)
{
	struct rig r;

	rig_init(&r);
	open_channel(&r);
	feed(&r, hex);
	if (r.violations != 1 || strncmp(r.violation, text, strlen(text)) != 0)
		print_message("after %s: %u violations, '%s'\n", hex, r.violations, r.violation);
	assert_int_equal(r.violations, 1);
	assert_memory_equal(r.violation, text, strlen(text));
	assert_true(r.ended && r.why == SIM_APF_END_VIOLATION);
	assert_true(r.sent.len >= 7);
	assert_memory_equal(r.sent.data + r.sent.len - 7, "\x01\0\0\0\x02\0\0", 7);
	rig_free(&r);
}

static void test_violations_on_channels(void **state)
{
	(void)state;
	expect_violation("6100000000"
	                 "6100000000",
	                 "CLOSE for an unknown channel, or a second");
	expect_violation("6100000003", "CLOSE for an unknown");
	expect_violation("61ffffffff", "CLOSE for an unknown");
	expect_violation("5e0000000700000001", "DATA for an unknown");
	expect_violation("6100000000"
	                 "5e000000000000000141",
	                 "DATA for an unknown");
	expect_violation("5e0000000000001001", "DATA beyond the window");
	expect_violation("5e00000000ffffffff", "DATA beyond the window");
	expect_violation("5d0000000700000001", "WINDOW_ADJUST for an unknown");
	expect_violation("5d00000000ffffffff", "WINDOW_ADJUST beyond");
	expect_violation(V22, "CHANNEL_OPEN with a sender channel that is in use");
	expect_violation(OPEN_HEAD "00000000"
	                           "00008000" OPEN_TAIL,
	                 "CHANNEL_OPEN with sender channel 0");
	expect_violation("5a0000000c6469726563742d74637069700000000900001000ffffffff000000000000426"
	                 "00000000000000000",
	                 "CHANNEL_OPEN of a type other");
	expect_violation(OPEN_HEAD "00000009"
	                           "00008000"
	                           "ffffffff00000000"
	                           "00014260"
	                           "0000000000000400",
	                 "CHANNEL_OPEN with an impossible port");
	expect_violation("5b000000000000000700001000ffffffff",
	                 "CONFIRMATION or OPEN_FAILURE for a channel");
	expect_violation("5c00000003000000010000000000000000",
	                 "CONFIRMATION or OPEN_FAILURE for a channel");
}

static void test_violations_on_the_tunnel(void **state)
{
	(void)state;
	expect_violation("00", "unknown message type");
	expect_violation("fa000000027b7d", "unknown message type");
	expect_violation("05" AUTH_NAME, "unknown message type");
	expect_violation("5a00000100", "unknown message type or impossible length");
	expect_violation("0600000800", "unknown message type or impossible length");
	expect_violation("d20000001e00000000"
	                 "d20000001e00000000",
	                 "KEEPALIVE_OPTIONS twice");
	expect_violation("d100000001", "KEEPALIVE_REPLY that was not asked");
	expect_violation("5100004260", "REQUEST_SUCCESS or REQUEST_FAILURE without");
	expect_violation("52", "REQUEST_SUCCESS or REQUEST_FAILURE without");
	expect_violation("34", "answer to USERAUTH that was not asked");
	expect_violation(V03, "SERVICE_ACCEPT out of order");
	expect_violation(V01, "PROTOCOLVERSION out of order");
}

static void expect_early(const char *hex, const char *text)
{
	struct rig r;

	rig_init(&r);
	sim_apf_start(&r.apf, &identity, 1000);
	feed(&r, hex);
	assert_int_equal(r.violations, 1);
	assert_memory_equal(r.violation, text, strlen(text));
	assert_true(r.ended);
	rig_free(&r);
}

static void test_violations_before_ready(void **state)
{
	(void)state;
	expect_early(V07, "answer to USERAUTH");
	expect_early(V09, "SERVICE_ACCEPT out of order");
	expect_early(V03 V07 V22, "CHANNEL_OPEN before port forwarding");
	expect_early(V03 V07 "d20000001e00000000", "KEEPALIVE_OPTIONS before");
	expect_early(V03 V07 V09 "51"
	                         "d20000001e00000000",
	             "REQUEST_SUCCESS of wrong size");
	expect_early(V03 V07 V09 "5100004260", "REQUEST_SUCCESS of wrong size or port");
	/* The 15-octet USERAUTH_FAILURE of other servers ends the tunnel one octet earlier. */
	expect_early(V01 V01, "PROTOCOLVERSION out of order");
}

static void test_close_before_confirmation(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.answer_ms = 50;
	make_ready(&r);
	feed(&r, V22 "6100000000");
	assert_int_equal(r.violations, 1);
	assert_string_equal(r.violation, "DATA, ADJUST or CLOSE before CONFIRMATION");
	rig_free(&r);
}

static void test_success_of_cancel_with_five_octets(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.cancel_last = true;
	make_ready(&r);
	feed(&r, "5100004260");
	assert_int_equal(r.violations, 1);
	assert_true(r.ended);
	rig_free(&r);
}

static void test_lenient_goes_on(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.opts.strict = false;
	open_channel(&r);
	feed(&r, "6100000005"
	         "5e000000070000000141"
	         "d100000009" V25);
	assert_int_equal(r.violations, 3);
	assert_false(r.ended);
	assert_int_equal(r.data.len, 27);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequence),
		cmocka_unit_test(test_same_one_octet_at_a_time),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_auth_methods),
		cmocka_unit_test(test_wrong_password_is_another_one),
		cmocka_unit_test(test_cancel_is_answered_by_one_octet),
		cmocka_unit_test(test_refused_forward),
		cmocka_unit_test(test_slots_lowest_first_and_eight),
		cmocka_unit_test(test_credit_of_the_server_is_obeyed),
		cmocka_unit_test(test_adjust_batched_never_and_late),
		cmocka_unit_test(test_slow_confirmation),
		cmocka_unit_test(test_late_data_after_close),
		cmocka_unit_test(test_keepalive),
		cmocka_unit_test(test_210_is_obeyed),
		cmocka_unit_test(test_alert_messages),
		cmocka_unit_test(test_direct_channel_delivers_and_closes),
		cmocka_unit_test(test_local_disconnect_and_silence),
		cmocka_unit_test(test_violations_on_channels),
		cmocka_unit_test(test_violations_on_the_tunnel),
		cmocka_unit_test(test_violations_before_ready),
		cmocka_unit_test(test_close_before_confirmation),
		cmocka_unit_test(test_success_of_cancel_with_five_octets),
		cmocka_unit_test(test_lenient_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
