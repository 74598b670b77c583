/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * io.h: the seam between the loop and the kernel. Everything that waits for the outside goes through here, so that a simulated
 * network can stand behind the same names (link another implementation of this header instead of io_uring.c).
 *
 * An operation is a struct io_op embedded in its owner. The owner is not freed while an operation is in flight: until
 * done was called without IO_MORE in flags. Everything but io_bell_ring belongs to the thread that called io_open.
 * Starting an operation never fails in the call: what cannot be submitted is reported by done with -EAGAIN, later.
 */
#pragma once

#include "core/addr.h"

#include <stdatomic.h>
#include <sys/uio.h>

/* Receive buffers of a ring, powers of two: the most, and what an idle one has. They come back within the iteration. */
#define IO_BUFFERS     256
#define IO_BUFFERS_MIN 32
#define IO_BUFFER_SIZE 4096
#define IO_IOV_MAX     16
#define IO_BATCH       256 /* completions copied out before they are dispatched */

struct io;

/* done: res is a count or a negative errno, as from the system call. flags: IO_MORE, IO_BUFFER. Never called inside io_recv and so on. */
struct io_op {
	void (*done)(struct io_op *op, int res, uint32_t flags);
	struct io_op *next; /* internal: the list of those that could not be submitted */
};
#define IO_MORE   1u /* the operation goes on (multishot); otherwise it has ended */
#define IO_BUFFER 2u /* res octets are in a receive buffer: io_buffer */

/* Single-writer counters (relaxed); any thread may read. */
struct io_counters {
	_Atomic uint64_t enters; /* system calls that submit or wait */
	_Atomic uint64_t completions;
	_Atomic uint64_t cq_overflows;    /* iterations that found the completion queue overflown */
	_Atomic uint64_t no_buffers;      /* receives that ended for want of a buffer */
	_Atomic uint64_t doorbells;       /* wake-ups by other threads */
	_Atomic uint64_t submit_failures; /* operations that could not be submitted at once */
	_Atomic uint64_t
		buffers; /* present value: receive buffers that are in use or with the kernel */
};

static inline void counter_add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
	                      memory_order_relaxed);
}

static inline uint64_t counter_read(const _Atomic uint64_t *c)
{
	return atomic_load_explicit((_Atomic uint64_t *)c, memory_order_relaxed);
}

/* What other threads need to wake a loop. Outlives the ring, so that a late bell finds it. */
struct io_bell {
	int eventfd;
	_Atomic int ring_fd; /* -1: use the eventfd */
};
int io_bell_init(struct io_bell *b) MUST_CHECK;
void io_bell_fini(struct io_bell *b);
/* io_bell_ring: any thread; mine is the caller's own io or NULL. The bell rings at the caller's next submission. */
void io_bell_ring(struct io_bell *target, struct io *mine);

struct io_opts {
	bool force_min;   /* only what kernel 6.1 has */
	unsigned buffers; /* the most receive buffers; 0: IO_BUFFERS; a power of two */
	bool own_fds; /* the ring's descriptor is in the calling thread's table only: others ring by the eventfd */
	struct io_bell *bell;
	struct io_counters *counters;
};

/* io_open: makes the ring in the calling thread, which is the only one that may use it. 0 or a negative error. */
int io_open(const struct io_opts *opts, struct io **out) MUST_CHECK;
/* io_close: no operation may be in flight. */
void io_close(struct io *io);

/*
 * io_wait: submits and waits until something completes or timeout_ms have passed (0: does not wait).
 * io_dispatch: calls done for at most budget completions; returns how many. io_pending: more are there.
 */
void io_wait(struct io *io, uint64_t timeout_ms);
unsigned io_dispatch(struct io *io, unsigned budget);
bool io_pending(const struct io *io);
/* io_inflight: operations whose end was not reported yet. */
unsigned io_inflight(const struct io *io);
/* io_trim: every few seconds, not inside done: receive buffers that were not needed since the last time give their memory back. */
void io_trim(struct io *io);
/* io_multishot: io_recv may be given IO_RECV_MULTI. */
bool io_multishot(const struct io *io);

/* io_accept: one connection. peer receives the address and must stay until done; res is the new descriptor (close-on-exec). */
void io_accept(struct io *io, struct io_op *op, int fd, struct addr *peer);
/* io_recv: into a buffer of the ring. -ENOBUFS: none is free now; there are more the next time, up to the limit. With multi it goes on until it says otherwise. */
void io_recv(struct io *io, struct io_op *op, int fd, bool multi);
/* io_buffer: the octets of a completion with IO_BUFFER; valid inside done only. */
struct span io_buffer(struct io *io, int res, uint32_t flags);
/* io_sendmsg: n <= IO_IOV_MAX parts; the array is copied, what it points to must stay until done. May send less than all. */
void io_sendmsg(struct io *io, struct io_op *op, int fd, const struct iovec *iov, unsigned n);
/* io_connect: to must stay until done. */
void io_connect(struct io *io, struct io_op *op, int fd, const struct addr *to);
/* io_cancel: asks op to end soon; its done tells when. io_cancel_fd: all operations on a descriptor; slow with many on the ring. */
void io_cancel(struct io *io, struct io_op *op);
void io_cancel_fd(struct io *io, int fd);

/* Direct, they do not wait (io_socket.c). */
void io_shutdown(int fd, int how);
void io_fd_close(int fd);
/* io_client_socket: a stream socket to connect with, bound to from if given; a descriptor or a negative error. */
int io_client_socket(int family, const struct addr *from_or_null);

/*
 * io_buffers: what the kernel may hold for a connection, in octets of its window (it reserves twice as many); 0: as it is. Bounded by
 * net.core.rmem_max and wmem_max. io_fix_buffers: it keeps the sizes it has now; the kernel does not tune them.
 */
void io_buffers(int fd, int rcvbuf, int sndbuf);
void io_fix_buffers(int fd);

/* io_rtt_us: the round trip that TCP has measured; 0: none, or no TCP. */
uint32_t io_rtt_us(int fd);

struct io_listen_opts {
	struct addr addr;
	unsigned backlog;
	int rcvbuf, sndbuf; /* 0: the system's */
};
struct io_listening {
	int fd;
	struct addr addr; /* with the real port */
	bool v4_only;     /* 0.0.0.0 instead of [::] */
};
/*
 * io_listen: binds and listens. A receive buffer that is given here does not limit what a connection can be given later: the window scale,
 * which TCP fixes as it is made, is chosen for the system's largest buffer. Accepted sockets inherit no-delay, keep-alive, the user timeout and the buffer sizes. 0 or an error. */
int io_listen(const struct io_listen_opts *opts, struct io_listening *out) MUST_CHECK;
