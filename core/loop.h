/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * loop.h: one worker's event loop: ring completions, tasks posted from other threads, timers. Everything that lives on a
 * loop is touched by its thread only; other threads reach it with loop_post.
 */
#pragma once

#include "core/base.h"

struct loop;
struct io;
struct fiber_sched;
struct handshakes;

struct loop_opts {
	unsigned index; /* worker number, for names and metrics */
	bool force_min; /* use only what kernel 6.1 has (also with CAUSEWAY_URING=min in the environment) */
	unsigned pin_cpu; /* CPU + 1 to pin the thread to, 0 none */
	unsigned
		recv_buffers; /* the most receive buffers of the ring (a power of two), 0: IO_BUFFERS; tests make it small */
	/* Where servers' TLS handshakes run; must outlive loop_run. NULL: on the loop itself. */
	struct handshakes *handshakes;
	/* The thread takes a table of descriptors of its own (fd_table.h). All loops that post to one another alike, and all are made before one runs. */
	bool own_fds;
	/* While handshake threads work and something is urgent (priority.h), the thread asks for real-time priority. */
	bool real_time;
};

/*
 * loop_new / loop_free: any thread. The ring itself is made by loop_run in its own thread. Free a loop only when every thread
 * that may post to it has ended or is known to be past loop_post: join all loops, then free them.
 */
struct loop *loop_new(const struct loop_opts *opts);
void loop_free(struct loop *l);

/*
 * loop_run: runs until loop_stop, then cancels the fibers that are left and runs until they have ended, then closes the
 * connections and listeners that are left and runs until no operation is in flight. Timers still armed are forgotten.
 * Returns 0, or a negative error if the ring cannot be made.
 */
int loop_run(struct loop *l) MUST_CHECK;
/* loop_stop: any thread, also in a signal handler. */
void loop_stop(struct loop *l);
/* loop_stopping: loop_stop was called. Any thread. */
bool loop_stopping(const struct loop *l);

/* loop_current: the loop of the calling thread, NULL outside one. */
struct loop *loop_current(void);
unsigned loop_index(const struct loop *l);
struct io *loop_io(struct loop *l);
struct fiber_sched *loop_fibers(struct loop *l);

/* loop_now_ms: monotonic milliseconds sampled once an iteration. Loop thread only. */
uint64_t loop_now_ms(const struct loop *l);

/* loop_busy_percent: how much of the last tenth of a second or so the loop worked instead of waiting. Loop thread only. */
unsigned loop_busy_percent(const struct loop *l);

/*
 * A task: work for another thread's loop. The memory belongs to the poster until run is called and may be freed or posted
 * again inside it. Posting never fails and never allocates, so that credits and completions cannot be lost; what bounds the
 * queue is that every task is embedded in an object that has its own limit. A task must not be posted while still queued.
 */
struct task {
	struct task *next; /* internal */
	void (*run)(struct task *t);
};

/*
 * loop_post: any thread. Runs t->run on l's thread in the order of posting by one thread. Works before loop_run, too. False: the
 * loop has ended (loop_run returned) and t will never run; whoever knows that the loop is running may ignore it.
 */
bool loop_post(struct loop *l, struct task *t);
/*
 * loop_post_quietly: as loop_post, but a loop that sleeps sleeps on: it sees t when something else wakes it. Who has posted quietly calls
 * loop_rouse soon: it wakes a loop that has not seen yet what was posted. Any thread.
 */
bool loop_post_quietly(struct loop *l, struct task *t);
void loop_rouse(struct loop *l);
/* loop_defer: loop thread only: the same for this loop, later in this iteration, without a wake-up. */
void loop_defer(struct loop *l, struct task *t);

/*
 * loop_fd_send: gives fd, which is open in the calling loop's table, to the loop to. What it returns goes with a task that is posted right
 * after it from this thread, and in that task loop_fd_take makes it a descriptor there. Both return a negative error when fd was lost (closed):
 * too many are on their way, or the other table is full. Without own_fds, or if to is the calling loop, it is fd itself.
 */
int loop_fd_send(struct loop *to, int fd) MUST_CHECK;
int loop_fd_take(struct loop *l, int sent) MUST_CHECK;

/* A timer, embedded in its owner. All zero: not armed. Loop thread only. Accuracy: 16 ms. */
struct timer {
	struct timer *next, **prev; /* internal: list in a wheel slot; prev NULL: not armed */
	uint64_t at_ms;
	void (*fire)(struct timer *t); /* set by the owner; the timer is disarmed when called */
};

/* timer_set: arms or re-arms for the absolute monotonic time; a time in the past fires in the next iteration. O(1). */
void timer_set(struct loop *l, struct timer *t, uint64_t at_ms);
/* timer_cancel: disarms; harmless if not armed. */
void timer_cancel(struct loop *l, struct timer *t);
bool timer_armed(const struct timer *t);

/* The histogram of what an iteration takes, label worker (loop_index). */
#define LOOP_ITERATION_METRIC "causeway_loop_iteration_seconds"

/* What a loop has done and holds. Everything but the last group only grows. */
struct loop_stats {
	uint64_t iterations, tasks, timers;
	uint64_t enters, completions, cq_overflows, no_buffers, doorbells,
		submit_failures; /* see struct io_counters */
	uint64_t fibers_started, fibers_refused;
	uint64_t conns_opened, accept_errors, handshakes_done, handshakes_failed,
		handshakes_resumed, bytes_in, bytes_out;
	uint64_t send_memory_refused; /* blocks that send queues did not get */
	/* present values; own_fds: descriptors in the loop's own table, 0 if it has none */
	uint64_t own_fds, recv_buffers;
	uint64_t fibers_live, conns_live, handshakes_queued, send_memory_size, real_time;
};
/* loop_stats_read: any thread; values are each right but not from one instant. */
void loop_stats_read(const struct loop *l, struct loop_stats *out);
