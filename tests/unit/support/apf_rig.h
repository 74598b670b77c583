/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apf_rig.h: a session under test with everything it says recorded, and the golden vectors by name. */
#pragma once

#include "core/buf.h"
#include "wire/apf_channel.h"
#include "wire/apf_session.h"

struct apf_vector;

struct rig {
	struct apf_session s;
	uint64_t now;
	struct buf out; /* sent since the last expectation */
	size_t piece;   /* octets fed at a time; 0 means all at once */
	int rc;         /* of the last feed or tick */
	enum apf_auth answer;
	bool cert;
	bool refuse_hello;
	unsigned hellos, auths, readies, added, removed, datagrams, slots_freed, disconnects;
	unsigned glitches[APF_GLITCH_COUNT];
	uint32_t trigger;
	struct guid guid;
	char user[130];
	char password[2050];
	char host[256];
	struct buf datagram;
};

struct rig_channel {
	struct rig *rig;
	struct apf_channel *ch; /* NULL once it ended */
	unsigned opened, failed, credits, closed;
	uint32_t reason;
	enum apf_channel_end end;
	struct buf in;
	uint32_t window_most; /* for rig_open */
	bool consume;         /* report what arrives at once */
	bool close_on_data;
	bool close_on_open;
	bool disconnect_on_data;
	bool reopen_on_end;
	struct rig_channel *close_on_end;
	struct buf outgoing; /* sent from opened and credit */
};

/* All assert on failure (cmocka). */
void rig_init(struct rig *r, const struct apf_limits *limits, size_t piece);
void rig_fini(struct rig *r);
/* rig_hex: octets from hexadecimal text in which spaces do not count; into a buffer that the next call reuses. */
struct span rig_hex(const char *hex);
const struct apf_vector *rig_vector(const char *name);
struct span rig_vector_octets(const char *name);
void rig_feed(struct rig *r, struct span in);
void rig_feed_hex(struct rig *r, const char *hex);
void rig_feed_msg(struct rig *r, const struct apf_msg *m);
/* rig_feed_vectors, rig_expect_vectors: names separated by spaces; "V36" is V01 and V02. */
void rig_feed_vectors(struct rig *r, const char *names);
void rig_tick(struct rig *r, uint64_t after_ms);
void rig_expect(struct rig *r, struct span octets);
void rig_expect_hex(struct rig *r, const char *hex);
void rig_expect_vectors(struct rig *r, const char *names);
void rig_expect_msg(struct rig *r, const struct apf_msg *m);
void rig_expect_nothing(struct rig *r);
/* rig_expect_closed: closed for this reason; sent DISCONNECT code (0: nothing at all) and nothing else. */
void rig_expect_closed(struct rig *r, enum apf_close_reason reason, uint32_t code);
void rig_expect_alive(struct rig *r); /* open, and a keep-alive request is answered */
/* rig_begin: a fresh firmware tunnel that these vectors have been fed to; what it sent is forgotten. */
void rig_begin(struct rig *r, const char *names, size_t piece);
/* rig_closes: after these vectors, this input closes the tunnel for this reason; whole and octet by octet. */
void rig_closes(const char *names, const char *hex, enum apf_close_reason reason, uint32_t code);
/* rig_forward: through hello and authentication to T_FWD with port 16992 and 16993 forwarded. */
void rig_forward(struct rig *r);
void rig_open(struct rig *r, struct rig_channel *c, uint32_t window);
/* rig_confirm: the device confirms the channel under its id with a window. */
void rig_confirm(struct rig *r, struct rig_channel *c, uint32_t peer, uint32_t window);
void rig_channel_fini(struct rig_channel *c);
void rig_data(struct rig *r, uint32_t id, uint32_t n);
