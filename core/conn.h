/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conn.h: one TCP connection on a loop, plain or under TLS: armed receive, send queue with one send in flight, pause,
 * deadlines and the teardown order of style-study 7.8 (shutdown, join, close). Loop thread only, but for conn_accept's fd.
 * An idle connection owns no buffers.
 */
#pragma once

#include "core/addr.h"
#include "core/loop.h"
#include "core/tls.h"

struct conn;
struct pool;

enum conn_stage { CONN_CONNECTING, CONN_PROXY, CONN_TLS, CONN_OPEN, CONN_CLOSING };

struct conn_ops {
	/* The connection (and its TLS handshake) is established. Optional. */
	void (*ready)(struct conn *c);
	/* Plaintext, in place, borrowed. All of it counts as taken. conn_close may be called inside. */
	void (*data)(struct conn *c, struct span s);
	/*
	 * The send queue fell under half of send_limit after conn_write had said -ERR_AGAIN or had filled it beyond that half: so
	 * whoever stops feeding because of conn_queued does so above send_limit / 2 (conn_congested). Optional.
	 */
	void (*drained)(struct conn *c);
	/*
	 * The last call, exactly once: the peer closed (err 0), conn_close finished (0), or -ERR_x: -ERR_TLS (see tls_error on
	 * conn_tls, still valid here), -ERR_TIMEOUT (conn_end_stage tells which), -ERR_CLOSED (reset, or end of stream before it was
	 * ready), -ERR_REFUSED and others (connecting), what preface returned, -ERR_NOMEM, -ERR_CANCELLED (the loop ends).
	 * What the peer closed is answered: queued octets are still sent, for at most CONN_PEER_CLOSE_MS.
	 * The descriptor is closed already; the conn is freed after closed returns.
	 */
	void (*closed)(struct conn *c, int err);
};

struct conn_opts {
	const struct conn_ops *ops;
	void *user;
	struct tls_ctx *tls;     /* NULL: plain. A reference is taken. */
	const char *server_name; /* client: SNI and name check */
	uint32_t handshake_ms;   /* connect + PROXY + TLS must be done by then; 0: 30 s */
	uint32_t
		send_stall_ms; /* queued bytes that make no progress for so long close the connection; 0: 30 s */
	size_t send_limit; /* octets of plaintext queue beyond which conn_write refuses; 0: 1 MiB */
	/*
	 * Something comes before TLS or the data (a PROXY header): called with all octets so far until it returns > 0, the
	 * number of octets it used, having set *peer if it knows better; 0: more are needed (at most CONN_PREFACE_MAX);
	 * a negative error closes the connection. NULL: nothing comes first.
	 */
	ssize_t (*preface)(void *arg, struct span s, struct addr *peer);
	void *preface_arg;
};

#define CONN_PREFACE_MAX     4096
#define CONN_PEER_CLOSE_MS   1000
#define CONN_SEND_LIMIT      (1024 * 1024)          /* the default of send_limit */
#define CONN_SEND_MEMORY_MAX (256UL * 1024 * 1024)  /* octets of queues of one loop */
#define CONN_HELD_MEMORY_MAX (1024UL * 1024 * 1024) /* of conn_pool */
#define CONN_HANDSHAKES_PER_ITERATION \
	4 /* TLS steps on the loop itself, so that open connections are served in between */

/* conn_accept: takes over an accepted descriptor. NULL: no memory (fd is closed). Any callback comes later, never inside. */
struct conn *conn_accept(struct loop *l, int fd, const struct addr *peer,
                         const struct conn_opts *opts);
/* conn_connect: starts to connect. NULL: no descriptor or memory. */
struct conn *conn_connect(struct loop *l, const struct addr *to, const struct addr *from_or_null,
                          const struct conn_opts *opts);

/*
 * conn_write: queues a copy of s; what is queued is sent at the end of the loop's iteration. 0; -ERR_AGAIN if the queue is at
 * its limit (nothing taken: wait for drained), otherwise s is taken whole, so that the queue may exceed the limit by one
 * call; -ERR_CLOSED; -ERR_NOMEM (CONN_SEND_MEMORY_MAX). Allowed before ready.
 */
int conn_write(struct conn *c, struct span s) MUST_CHECK;
/*
 * conn_pool: blocks for others on the loop who hold octets that came from connections or go to them, as their peers' windows allow. Its limit
 * is a backstop: who grants windows stops making them larger when it is pressed (pool_pressed). NULL: no memory.
 */
struct pool *conn_pool(struct loop *l);
/* conn_queued: octets accepted by conn_write that the kernel has not taken yet (under TLS with the overhead of records). */
size_t conn_queued(const struct conn *c);
/* conn_held: octets received that the owner has not taken (paused, or before it is open). */
size_t conn_held(const struct conn *c);
/* conn_congested: more than half of send_limit is queued; drained will be called. A good moment to stop feeding. */
bool conn_congested(const struct conn *c);
/*
 * conn_pause: stops (true) or resumes (false) calls of data; resuming never calls data inside. Octets already received are kept:
 * what the kernel had delivered at the first pause, one receive buffer at later ones. While paused, the peer's
 * closing is noticed only after resuming, or when sending fails.
 */
void conn_pause(struct conn *c, bool paused);

/*
 * conn_close: flush_ms > 0: sends what is queued and close_notify, then waits for the peer's end of stream (so that a reset
 * does not overtake the data), all for at most so long; 0: at once. No data or drained any more; closed() follows later.
 */
void conn_close(struct conn *c, uint32_t flush_ms);

/*
 * conn_buffers: how many octets the kernel may hold for the connection, received and not read, sent and not acknowledged, within
 * net.core.rmem_max and wmem_max; 0: as it is. A path with a round trip of t carries at most so many octets in t.
 */
void conn_buffers(struct conn *c, int rcvbuf, int sndbuf);

/* conn_rtt_ms: the path's round trip as TCP sees it now; a system call. */
uint32_t conn_rtt_ms(const struct conn *c);

void *conn_user(const struct conn *c);
void conn_set_user(struct conn *c, const struct conn_ops *ops, void *user);
struct loop *conn_loop(const struct conn *c);
/* conn_peer: the far end; behind a PROXY header, what the header says (once in stage TLS or later). len 0: not an IP socket. */
void conn_peer(const struct conn *c, struct addr *out);
enum conn_stage conn_stage(const struct conn *c);
/* conn_end_stage: the stage in which closing began; in closed(). */
enum conn_stage conn_end_stage(const struct conn *c);
/* conn_tls: NULL when plain, and while a step of the handshake is under way elsewhere. */
struct tls *conn_tls(const struct conn *c);
uint64_t conn_bytes_in(const struct conn *c);
uint64_t conn_bytes_out(const struct conn *c);

/* A listening socket whose accepts complete on one loop. */
struct listener;
struct listener_opts {
	struct addr addr;       /* port 0: the kernel picks */
	unsigned backlog;       /* 0: as many as net.core.somaxconn allows */
	unsigned accepts_armed; /* 0: 16 */
	int rcvbuf,
		sndbuf; /* what accepted sockets begin with: conn_buffers changes it; 0: the system's */
	/* A new connection: takes over fd. Loop thread. */
	void (*accepted)(void *user, int fd, const struct addr *peer);
	void *user;
};
/* listener_open: binds and listens in the calling thread; accepting starts with listener_start on the loop's thread.
 * IPv6 sockets are V6ONLY=0 for [::]. NULL with *err set (-ERR_EXISTS: in use, -ERR_DENIED: needs privilege, ...). */
struct listener *listener_open(struct loop *l, const struct listener_opts *opts, int *err);
const struct addr *listener_addr(const struct listener *l); /* the real port */
/* listener_start: on the loop's thread, once. False: no memory. */
bool listener_start(struct listener *l) MUST_CHECK;
/* listener_v4_only: [::] was asked for, but the system has no IPv6: it listens on 0.0.0.0. */
bool listener_v4_only(const struct listener *l);
/*
 * listener_pause: stops accepting (admission); the backlog absorbs. A connection that was just being accepted may still come.
 * Loop thread, after listener_start.
 */
void listener_pause(struct listener *l, bool paused);
/* listener_close: loop thread (or after loop_run has returned, if it was never started); memory is freed when the last accept ended. */
void listener_close(struct listener *l);
