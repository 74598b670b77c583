/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conn_int.h: struct conn and what core/conn*.c share. Not for others.
 */
#pragma once

#include "core/conn.h"
#include "core/loop_int.h"
#include "core/sendq.h"

#include <netinet/in.h>

#define CONN_SCRATCH_SIZE 16384 /* plaintext of one TLS record */
#define CONN_SPILL_MAX                 \
	(IO_BUFFERS * IO_BUFFER_SIZE * \
	 2)                   /* cannot be reached: a receive is cancelled at the first spill */
#define CONN_CIPHER_MAX 65536 /* plaintext waits while so much ciphertext is queued */
#define CONN_JOIN_MS \
	1000 /* after shutdown: how long until operations are cancelled by force, again and again */
#define CONN_HANDSHAKE_MS 30000
#define CONN_STALL_MS     30000
#define CONN_WORK_BUDGET  4096 /* connections looked at in one iteration */
#define CONN_REARM_BUDGET 64   /* starved receives armed in one iteration */
#define CONN_POOL_TRIM_MS 5000

/* What a connection has to do at the end of the iteration. */
enum conn_work {
	WORK_INPUT = 1,   /* the spill: preface, handshake step, delivery after a pause */
	WORK_OUTPUT = 2,  /* encrypt and send */
	WORK_RECV = 4,    /* arm the receive if it should be */
	WORK_STARVED = 8, /* the same, after no buffer was free */
	WORK_START = 16,  /* accepted: the first stage */
	WORK_END = 32,    /* nothing is in flight any more: report and free */
};

/* Where a connection in stage CLOSING is: send the rest, wait for the peer's end, wait for the operations' end. */
enum conn_phase { PHASE_NONE, PHASE_FLUSH, PHASE_LINGER, PHASE_JOIN };

struct conn {
	struct io_op recv;
	struct io_op send; /* also the connect */
	struct loop *loop;
	const struct conn_ops *ops;
	void *user;
	struct tls *tls;
	struct conn_step *step; /* a step of the handshake that is under way: tls belongs to it */
	struct list link;       /* of all */
	struct conn *work_next;
	struct timer timer; /* by stage: handshake, stall, flush, join */
	struct sendq out;   /* octets for the kernel */
	struct sendq plain; /* TLS: what is not encrypted yet */
	uint8_t *
		spill; /* received and not taken: before OPEN raw octets, then plaintext; while connecting the address */
	uint32_t spill_len;
	uint32_t stall_ms;
	uint64_t progress_ms; /* when the queue last moved */
	uint64_t bytes_in, bytes_out;
	ssize_t (*preface)(void *arg, struct span s, struct addr *peer);
	void *preface_arg;
	union {
		sa_family_t family;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} peer;
	uint32_t send_limit;
	int fd;
	int16_t err; /* for closed */
	uint8_t stage, end_stage, phase;
	uint8_t work, inflight;
	uint8_t steps; /* of the handshake */
	bool queued : 1, recv_armed : 1, recv_cancelled : 1, sending : 1, paused : 1;
	bool oneshot : 1; /* was paused once: from then on receives are armed one by one, which bounds the spill */
	bool eof : 1;         /* the peer has closed its side */
	bool send_broken : 1; /* sending failed; the receive will tell why */
	bool want_drained : 1;
	bool client : 1;
	bool answered : 1; /* the handshake has sent something */
};
_Static_assert(sizeof(struct conn) <= 320, "idle connections are counted in hundreds of thousands");

struct conn_sched {
	struct list conns;
	struct list listeners;
	struct conn *work, **work_tail;   /* first in, first out */
	struct conn *later, **later_tail; /* over budget: the next iteration */
	struct list answered, first;      /* steps of handshakes that wait to be taken here */
	unsigned rearms_left;
	unsigned live, listeners_live;
	struct pool pool; /* of send queues */
	struct pool held; /* conn_pool */
	struct timer trim;
	uint8_t scratch[CONN_SCRATCH_SIZE];
};

/* conn_sched.c. conn_sched_of: attaches the scheduler to the loop if need be; NULL: no memory. */
struct conn_sched *conn_sched_of(struct loop *l);
void conn_work_add(struct conn *c, unsigned work);
/* conn_work_later: in the next iteration. */
void conn_work_later(struct conn *c, unsigned work);

/* conn.c. conn_start: the socket is connected. conn_fail: drops what is queued in plaintext, sends what is left (an alert) for flush_ms, closes with err. */
void conn_start(struct conn *c);
void conn_opened(struct conn *c);
void conn_fail(struct conn *c, int err, uint32_t flush_ms);
void conn_begin_close(struct conn *c, int err, uint32_t flush_ms);
void conn_shut(struct conn *c);
/* conn_joined: an operation ended while closing; true: the connection is in phase JOIN and there is nothing else to do. */
bool conn_joined(struct conn *c);
void conn_end(struct conn *c);

/* conn_handshake.c. conn_handshake: a step, if there is input for one. conn_handshake_cancel: a step under way is not wanted any more. */
void conn_handshake(struct conn *c);
void conn_handshake_cancel(struct conn *c);
/* conn_handshakes_run: takes some of the steps that wait on the loop itself. True: there are more. */
bool conn_handshakes_run(struct loop *l);

/* conn_input.c. conn_decrypt: hands out what TLS has until it wants more. */
void conn_decrypt(struct conn *c);
void conn_recv_arm(struct conn *c);
void conn_recv_done(struct io_op *op, int res, uint32_t flags);
void conn_input(struct conn *c);

/* conn_output.c */
int conn_tls_output(void *arg, struct span s);
void conn_send_done(struct io_op *op, int res, uint32_t flags);
void conn_output(struct conn *c);
/* conn_stall_check: the timer fired in stage OPEN. */
void conn_stall_check(struct conn *c);

/* listener.c */
unsigned listener_close_all(struct conn_sched *s);
