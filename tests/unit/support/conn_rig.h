/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conn_rig.h: a listener on a loop in the test's own thread whose connections count what happens to them, and one thread that
 * plays the peer with blocking sockets. The loop ends when the peer thread has ended and no connection is left.
 */
#pragma once

#include "core/conn.h"
#include "core/loop.h"
#include "tests/unit/support/loops.h"

#include <stdatomic.h>

struct rig {
	/* set by the test */
	struct conn_ops ops;
	struct conn_opts opts;
	const char *listen_on; /* "127.0.0.1:0" */
	unsigned recv_buffers;
	void (*peer)(struct rig *r);  /* in its thread */
	void (*start)(struct rig *r); /* on the loop, optional, before the peer */
	void *user;
	/* what happened */
	struct loop *loop;
	struct listener *listener;
	struct addr addr; /* where it listens */
	unsigned opened, closed, ready, drained;
	int last_err;
	enum conn_stage last_stage;
	uint64_t received;
	struct conn *last;       /* the last one opened and not closed */
	struct loop_stats stats; /* at the end */
	struct task peer_done;
	bool peer_ended;
	bool by_hand; /* the test itself stops the loop */
};

/* rig_run: until the end as above. Callbacks that the test leaves NULL count; rig_data echoes. */
void rig_run(struct rig *r);
void rig_data_echo(struct conn *c, struct span s);
void rig_data_count(struct conn *c, struct span s);
void rig_drained_resume(struct conn *c);
void rig_closed(struct conn *c, int err);
struct rig *rig_of(struct conn *c);

/* For the peer: blocking, abort on error. rig_recv_all: until the end of the stream; returns the octets and checks the pattern. */
int rig_dial(const struct rig *r);
void rig_send(int fd, const void *data, size_t n);
/* rig_byte: the octet at a position of the test pattern. */
uint8_t rig_byte(uint64_t pos);
void rig_send_pattern(int fd, uint64_t from, uint64_t n);
/* rig_check: how many octets of s are not the pattern's at from. */
size_t rig_check(struct span s, uint64_t from);
/* rig_recv_pattern: reads n octets in pieces of at most piece; returns how many came right before an end or a fault. */
uint64_t rig_recv_pattern(int fd, uint64_t from, uint64_t n, size_t piece);
