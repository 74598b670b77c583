/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * io_uring.c: io.h on io_uring. One ring, one ring of receive buffers and one doorbell a loop; used by its thread only.
 * user_data is the address of the io_op (aligned, so the low bits are free for tags). Completions are copied out of
 * the queue before they are dispatched, so that a handler may submit and even overflow the queue. A receive buffer is
 * returned (uring_bufs.h) as soon as done returns.
 */
#include "core/io.h"
#include "core/err.h"
#include "core/uring_bufs.h"
#include "core/uring_caps.h"
#include "core/uring_compat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TAG_NONE 0ULL /* results nobody waits for: cancellations */
#define TAG_WAKE 2ULL /* arrives from another ring */
#define TAG_BELL_FAILED \
	1ULL /* ored to a struct io_bell pointer: our wake-up of another ring failed */
#define FLAG_BID_SHIFT 16
#define WAIT_MAX_MS    3600000ULL
#define SUBMIT_TRIES   8

_Static_assert(_Alignof(struct io_op) >= 4 && _Alignof(struct io_bell) >= 2,
               "the low bits of user_data are tags");

struct msg_slot {
	struct msghdr msg;
	struct iovec iov[IO_IOV_MAX];
};

struct io {
	struct io_uring ring;
	struct uring_caps caps;
	struct io_counters *n;
	unsigned inflight;
	struct io_bell *bell;
	struct io_op bell_op;
	uint64_t bell_value;
	bool bell_armed, closing;
	struct io_op *failed, **failed_tail;
	struct uring_bufs bufs;
	/* As many as the submission queue has entries, each in use until its entry is submitted; in turn from the first, so that few are touched. */
	struct msg_slot *msgs;
	unsigned next_msg;
};

/* ---- doorbell ---------------------------------------------------------------------------------------------------- */

int io_bell_init(struct io_bell *b)
{
	b->eventfd = eventfd(0, EFD_CLOEXEC);
	atomic_init(&b->ring_fd, -1);
	return b->eventfd >= 0 ? 0 : err_from_errno(errno);
}

void io_bell_fini(struct io_bell *b)
{
	if (b->eventfd >= 0)
		close(b->eventfd);
	b->eventfd = -1;
}

static void bell_ring_eventfd(struct io_bell *b)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write(b->eventfd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

static struct io_uring_sqe *sqe_get(struct io *io);

void io_bell_ring(struct io_bell *target, struct io *mine)
{
	int fd = atomic_load_explicit(&target->ring_fd, memory_order_relaxed);
	struct io_uring_sqe *sqe = NULL;

	if (mine != NULL && fd >= 0 && mine->caps.msg_ring && target != mine->bell)
		sqe = sqe_get(mine);
	if (sqe == NULL) {
		bell_ring_eventfd(target);
		return;
	}
	io_uring_prep_msg_ring(sqe, fd, 0, TAG_WAKE, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = (uint64_t)(uintptr_t)target | TAG_BELL_FAILED;
}

static void bell_arm(struct io *io)
{
	struct io_uring_sqe *sqe = sqe_get(io);

	/* Cannot fail for long: retried in the next io_wait. */
	if (sqe == NULL)
		return;
	io_uring_prep_read(sqe, io->bell->eventfd, &io->bell_value, sizeof(io->bell_value), 0);
	sqe->user_data = (uint64_t)(uintptr_t)&io->bell_op;
	io->bell_armed = true;
	io->inflight++;
}

static void bell_done(struct io_op *op, int res, uint32_t flags)
{
	struct io *io = container_of(op, struct io, bell_op);

	(void)flags;
	io->bell_armed = false;
	if (res > 0)
		counter_add(&io->n->doorbells, 1);
	if (!io->closing)
		bell_arm(io);
}

/* ---- submission --------------------------------------------------------------------------------------------------- */

static struct io_uring_sqe *sqe_get(struct io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);

	for (unsigned i = 0; sqe == NULL && i < SUBMIT_TRIES; i++) {
		counter_add(&io->n->enters, 1);
		(void)io_uring_submit(&io->ring);
		sqe = io_uring_get_sqe(&io->ring);
	}
	return sqe;
}

/* op_sqe: an entry for op, or NULL after op was put on the list of those that end with -EAGAIN. */
static struct io_uring_sqe *op_sqe(struct io *io, struct io_op *op)
{
	struct io_uring_sqe *sqe = sqe_get(io);

	io->inflight++;
	if (sqe != NULL)
		return sqe;
	counter_add(&io->n->submit_failures, 1);
	op->next = NULL;
	*io->failed_tail = op;
	io->failed_tail = &op->next;
	return NULL;
}

static void op_bind(struct io_uring_sqe *sqe, struct io_op *op)
{
	sqe->user_data = (uint64_t)(uintptr_t)op;
}

void io_accept(struct io *io, struct io_op *op, int fd, struct addr *peer)
{
	struct io_uring_sqe *sqe = op_sqe(io, op);

	peer->len = sizeof(peer->ss);
	if (sqe == NULL)
		return;
	io_uring_prep_accept(sqe, fd, (struct sockaddr *)&peer->ss, &peer->len, SOCK_CLOEXEC);
	op_bind(sqe, op);
}

void io_recv(struct io *io, struct io_op *op, int fd, bool multi)
{
	struct io_uring_sqe *sqe = op_sqe(io, op);

	if (sqe == NULL)
		return;
	io_uring_prep_recv(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = URING_BUFS_GROUP;
	if (multi && io->caps.multishot)
		sqe->ioprio |= IORING_RECV_MULTISHOT;
	op_bind(sqe, op);
}

/* For the entry that was just taken. */
static struct msg_slot *msg_slot(struct io *io)
{
	if (io_uring_sq_ready(&io->ring) == 1)
		io->next_msg = 0;
	return &io->msgs[io->next_msg++ % URING_SQ_ENTRIES];
}

void io_sendmsg(struct io *io, struct io_op *op, int fd, const struct iovec *iov, unsigned n)
{
	struct io_uring_sqe *sqe = op_sqe(io, op);
	struct msg_slot *slot;

	ASSERT(n > 0 && n <= IO_IOV_MAX);
	if (sqe == NULL)
		return;
	slot = msg_slot(io);
	memcpy(slot->iov, iov, n * sizeof(*iov));
	slot->msg = (struct msghdr){.msg_iov = slot->iov, .msg_iovlen = n};
	/* No MSG_WAITALL: a short count shows the stall watch that the peer still reads. */
	io_uring_prep_sendmsg(sqe, fd, &slot->msg, MSG_NOSIGNAL);
	op_bind(sqe, op);
}

void io_connect(struct io *io, struct io_op *op, int fd, const struct addr *to)
{
	struct io_uring_sqe *sqe = op_sqe(io, op);

	if (sqe == NULL)
		return;
	io_uring_prep_connect(sqe, fd, (const struct sockaddr *)&to->ss, to->len);
	op_bind(sqe, op);
}

/* A cancellation that cannot be submitted is dropped: callers ask again or shut the socket down. */
void io_cancel(struct io *io, struct io_op *op)
{
	struct io_uring_sqe *sqe = sqe_get(io);

	if (sqe == NULL)
		return;
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)op, 0);
	sqe->user_data = TAG_NONE;
}

void io_cancel_fd(struct io *io, int fd)
{
	struct io_uring_sqe *sqe = sqe_get(io);

	if (sqe == NULL)
		return;
	io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
	sqe->user_data = TAG_NONE;
}

/* ---- completion --------------------------------------------------------------------------------------------------- */

struct span io_buffer(struct io *io, int res, uint32_t flags)
{
	size_t bid = flags >> FLAG_BID_SHIFT;

	ASSERT((flags & IO_BUFFER) != 0 && bid < io->bufs.limit && res >= 0 &&
	       res <= IO_BUFFER_SIZE);
	return span_of(uring_bufs_at(&io->bufs, bid), (size_t)res);
}

struct completion_copy {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
};

static void dispatch_one(struct io *io, const struct completion_copy *c)
{
	struct io_op *op = (struct io_op *)(uintptr_t)
	                           c->user_data; /* NOLINT: the kernel hands the pointer back */
	uint32_t flags = 0;

	if (c->user_data == TAG_NONE)
		return;
	if (c->user_data == TAG_WAKE) {
		counter_add(&io->n->doorbells, 1);
		return;
	}
	if ((c->user_data & TAG_BELL_FAILED) != 0) {
		bell_ring_eventfd((struct io_bell *)(uintptr_t)(c->user_data & ~TAG_BELL_FAILED));
		return;
	}
	if ((c->flags & IORING_CQE_F_MORE) != 0)
		flags |= IO_MORE;
	else
		io->inflight--;
	if ((c->flags & IORING_CQE_F_BUFFER) != 0)
		flags |= IO_BUFFER | (c->flags >> IORING_CQE_BUFFER_SHIFT) << FLAG_BID_SHIFT;
	op->done(op, c->res, flags);
	if ((flags & IO_BUFFER) != 0)
		uring_bufs_return(&io->bufs, flags >> FLAG_BID_SHIFT);
}

static void count_buffers(struct io *io)
{
	atomic_store_explicit(&io->n->buffers, io->bufs.given, memory_order_relaxed);
}

static unsigned dispatch_batch(struct io *io, unsigned most)
{
	struct completion_copy copy[IO_BATCH];
	struct io_uring_cqe *cqe;
	unsigned head, n = 0, used = 0, starved = 0;

	io_uring_for_each_cqe(&io->ring, head, cqe)
	{
		if (n == MIN(most, (unsigned)IO_BATCH))
			break;
		copy[n++] = (struct completion_copy){cqe->user_data, cqe->res, cqe->flags};
		used += (cqe->flags & IORING_CQE_F_BUFFER) != 0 ? 1 : 0;
		starved += cqe->res == -ENOBUFS ? 1 : 0;
	}
	io_uring_cq_advance(&io->ring, n);
	counter_add(&io->n->no_buffers, starved);
	uring_bufs_used(&io->bufs, used, starved);
	for (unsigned i = 0; i < n; i++)
		dispatch_one(io, &copy[i]);
	counter_add(&io->n->completions, n);
	count_buffers(io);
	return n;
}

static void dispatch_failed(struct io *io)
{
	struct io_op *op = io->failed;

	io->failed = NULL;
	io->failed_tail = &io->failed;
	while (op != NULL) {
		struct io_op *next = op->next;

		io->inflight--;
		op->done(op, -EAGAIN, 0);
		op = next;
	}
}

void io_wait(struct io *io, uint64_t timeout_ms)
{
	struct io_uring_cqe *cqe;
	struct __kernel_timespec ts = {
		.tv_sec = (long long)(MIN(timeout_ms, WAIT_MAX_MS) / 1000),
		.tv_nsec = (long long)(timeout_ms % 1000) * 1000000,
	};

	if (!io->bell_armed && !io->closing)
		bell_arm(io);
	counter_add(&io->n->enters, 1);
	/*
	 * Errors end the wait and nothing more: EINTR and ETIME are normal; EAGAIN, EBUSY and ENOMEM mean that the kernel wants
	 * completions reaped first, which the caller does next. What was not submitted stays in the queue for the next call.
	 */
	if (timeout_ms == 0 || io_uring_cq_ready(&io->ring) > 0 || io->failed != NULL)
		(void)io_uring_submit_and_get_events(&io->ring);
	else
		(void)io_uring_submit_and_wait_timeout(&io->ring, &cqe, 1, &ts, NULL);
}

unsigned io_dispatch(struct io *io, unsigned budget)
{
	unsigned total = 0, n;

	if (io_uring_cq_has_overflow(&io->ring)) {
		/* Nothing is lost (NODROP): the kernel kept them in a list and moves them when there is room again. */
		counter_add(&io->n->cq_overflows, 1);
		total += dispatch_batch(io, budget);
		(void)io_uring_get_events(&io->ring);
	}
	dispatch_failed(io);
	do {
		n = dispatch_batch(io, budget - total);
		total += n;
	} while (n > 0 && total < budget);
	return total;
}

bool io_pending(const struct io *io)
{
	return io->failed != NULL || io_uring_cq_ready(&io->ring) > 0 ||
	       io_uring_cq_has_overflow(&io->ring);
}

unsigned io_inflight(const struct io *io)
{
	return io->inflight - (io->bell_armed ? 1 : 0);
}

void io_trim(struct io *io)
{
	uring_bufs_trim(&io->bufs, io_pending(io));
}

bool io_multishot(const struct io *io)
{
	return io->caps.multishot;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

static void io_release(struct io *io)
{
	uring_bufs_close(&io->bufs);
	free(io->msgs);
	free(io);
}

int io_open(const struct io_opts *opts, struct io **out)
{
	struct io *io = calloc(1, sizeof(*io));
	int rc;

	if (io == NULL)
		return -ERR_NOMEM;
	uring_caps_read(opts->force_min, &io->caps);
	io->n = opts->counters;
	io->bell = opts->bell;
	io->bell_op.done = bell_done;
	io->failed_tail = &io->failed;
	io->msgs = calloc(URING_SQ_ENTRIES, sizeof(*io->msgs));
	rc = io->msgs != NULL ? uring_ring_init(&io->ring) : -ENOMEM;
	if (rc == 0) {
		ASSERT(*io->ring.sq.kring_entries <= URING_SQ_ENTRIES);
		rc = uring_bufs_open(&io->bufs, &io->ring,
		                     opts->buffers != 0 ? opts->buffers : IO_BUFFERS);
		if (rc != 0)
			io_uring_queue_exit(&io->ring);
	}
	if (rc != 0) {
		io_release(io);
		return err_from_errno(-rc);
	}
	if (io->caps.msg_ring && !opts->own_fds)
		atomic_store(&io->bell->ring_fd, io->ring.ring_fd);
	count_buffers(io);
	*out = io;
	return 0;
}

void io_close(struct io *io)
{
	ASSERT(io_inflight(io) == 0);
	atomic_store(&io->bell->ring_fd, -1);
	io->closing = true;
	/* The read of the doorbell points into io: it has to end before io is freed. */
	while (io->bell_armed) {
		io_cancel(io, &io->bell_op);
		io_wait(io, 100);
		(void)io_dispatch(io, IO_BATCH);
	}
	io_wait(io, 0);
	(void)io_dispatch(io, IO_BATCH);
	io_uring_queue_exit(&io->ring);
	io_release(io);
}
