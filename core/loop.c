/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * loop.c: the iteration: submit and wait, completions, timers, tasks (fibers run as tasks), connections' work. Each phase
 * has a budget; a phase with work left makes the wait zero. The loop's fields belong to its thread, except the
 * mailbox, sleeping, stop and the counters.
 *
 * Waking: a poster pushes, then looks at sleeping and takes it back with an exchange: only one of them rings. The loop sets
 * sleeping, then looks at the mailbox again. All four are sequentially consistent, so one of the two sees the other.
 */
#include "core/loop.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/handshake.h"
#include "core/loop_int.h"
#include "core/metric.h"
#include "core/priority.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COMPLETION_BUDGET 1024
#define TASK_BUDGET       256
#define BUSY_WINDOW_US    100000
#define HURRY_MS          200 /* from the last look that found a storm */

/*
 * Few: when very many are due at once, each is likely to send or to connect, and a kernel that is not preempted does all that an iteration
 * submits before it lets another thread have this processor (512 connects: 20 ms).
 */
#define TIMER_BUDGET 32

static _Thread_local struct loop *current;
static struct task mailbox_closed;

/* What one iteration takes, the wait apart: what is on the loop meanwhile waits as long. */
static struct metric *busy_metric(const struct loop *l)
{
	char labels[32];

	(void)snprintf(labels, sizeof(labels), "worker=%u", l->opts.index);
	return metric_histogram(LOOP_ITERATION_METRIC,
	                        "Time that an iteration of a loop worked, without its wait.",
	                        labels, &metric_latency_us);
}

struct loop *loop_new(const struct loop_opts *opts)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->opts = *opts;
	l->ready_tail = &l->ready;
	l->now_ms = clock_mono_ms();
	l->busy = busy_metric(l);
	wheel_init(&l->wheel, l->now_ms);
	l->pass = (struct fd_pass){.in = -1, .out = -1};
	l->bell.eventfd = -1;
	l->fibers = fiber_sched_new();
	if (l->fibers != NULL && io_bell_init(&l->bell) == 0 &&
	    (!opts->own_fds || fd_pass_init(&l->pass) == 0))
		return l;
	io_bell_fini(&l->bell);
	fiber_sched_free(l->fibers);
	free(l);
	return NULL;
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	ASSERT(l->io == NULL);
	if (l->part != NULL)
		l->part->free(l->conns);
	fiber_sched_free(l->fibers);
	io_bell_fini(&l->bell);
	fd_pass_fini(&l->pass);
	free(l);
}

struct loop *loop_current(void)
{
	return current;
}

unsigned loop_index(const struct loop *l)
{
	return l->opts.index;
}

struct io *loop_io(struct loop *l)
{
	return l->io;
}

struct fiber_sched *loop_fibers(struct loop *l)
{
	return l->fibers;
}

uint64_t loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

bool loop_stopping(const struct loop *l)
{
	return atomic_load((_Atomic bool *)&l->stop);
}

/* ---- tasks ---------------------------------------------------------------------------------------------------------- */

static void wake(struct loop *l)
{
	if (atomic_load(&l->sleeping) && atomic_exchange(&l->sleeping, false))
		io_bell_ring(&l->bell, current != NULL ? current->io : NULL);
}

bool loop_post_quietly(struct loop *l, struct task *t)
{
	struct task *head = atomic_load(&l->mailbox);

	do {
		if (head == &mailbox_closed)
			return false;
		t->next = head;
	} while (!atomic_compare_exchange_weak(&l->mailbox, &head, t));
	return true;
}

void loop_rouse(struct loop *l)
{
	if (current != l && atomic_load(&l->mailbox) != NULL)
		wake(l);
}

bool loop_post(struct loop *l, struct task *t)
{
	bool posted = loop_post_quietly(l, t);

	if (posted)
		loop_rouse(l);
	return posted;
}

void loop_defer(struct loop *l, struct task *t)
{
	ASSERT(current == l);
	t->next = NULL;
	*l->ready_tail = t;
	l->ready_tail = &t->next;
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	/* The eventfd: a signal handler must not touch a ring. */
	if (atomic_exchange(&l->sleeping, false))
		io_bell_ring(&l->bell, NULL);
}

/* mailbox_take: moves what others posted behind the ready tasks, oldest first. */
static void mailbox_take(struct loop *l)
{
	struct task *t =
		atomic_load(&l->mailbox) != NULL ? atomic_exchange(&l->mailbox, NULL) : NULL;
	struct task *oldest = NULL, *newest = t;

	while (t != NULL) {
		struct task *next = t->next;

		t->next = oldest;
		oldest = t;
		t = next;
	}
	if (oldest == NULL)
		return;
	*l->ready_tail = oldest;
	l->ready_tail = &newest->next;
}

static void run_tasks(struct loop *l)
{
	unsigned n = 0;

	mailbox_take(l);
	while (l->ready != NULL && n < TASK_BUDGET) {
		struct task *t = l->ready;

		l->ready = t->next;
		if (l->ready == NULL)
			l->ready_tail = &l->ready;
		n++;
		t->run(t);
	}
	counter_add(&l->n.tasks, n);
}

/* ---- timers ---------------------------------------------------------------------------------------------------------- */

void timer_set(struct loop *l, struct timer *t, uint64_t at_ms)
{
	wheel_set(&l->wheel, t, at_ms);
}

void timer_cancel(struct loop *l, struct timer *t)
{
	wheel_cancel(&l->wheel, t);
}

bool timer_armed(const struct timer *t)
{
	return t->prev != NULL;
}

/* ---- iteration -------------------------------------------------------------------------------------------------------- */

static void wait_for_work(struct loop *l, bool busy)
{
	uint64_t timeout_ms = 0;

	if (!busy && l->ready == NULL && !io_pending(l->io)) {
		timeout_ms = wheel_wait_ms(&l->wheel, clock_mono_ms());
		atomic_store(&l->sleeping, timeout_ms > 0);
		if (atomic_load(&l->mailbox) != NULL || (!l->ending && atomic_load(&l->stop)))
			timeout_ms = 0;
	}
	io_wait(l->io, timeout_ms);
	atomic_store(&l->sleeping, false);
}

unsigned loop_busy_percent(const struct loop *l)
{
	return l->busy_percent;
}

static void note_work(struct loop *l, uint64_t began_us)
{
	uint64_t now_us = clock_mono_us(), window_us = now_us - l->work_since_us;

	metric_observe(l->busy, now_us - began_us);
	l->work_us += now_us - began_us;
	if (window_us < BUSY_WINDOW_US)
		return;
	l->busy_percent = (unsigned)(MIN(l->work_us, window_us) * 100 / window_us);
	l->work_us = 0;
	l->work_since_us = now_us;
}

/*
 * In a storm of connects the handshake threads keep the processors busy, and a call to a device passes loops six times. Then loops have real-time
 * priority, so that none of these waits for a handshake thread's slice. Else they do not: who always runs at once does many things one
 * by one that would have been done together.
 */
static void follow_storm(struct loop *l)
{
	bool has = counter_read(&l->n.real_time) != 0, wants;

	if (!l->opts.real_time || l->opts.handshakes == NULL)
		return;
	if (handshakes_busy(l->opts.handshakes) && priority_is_urgent(l->now_ms))
		l->hurry_until_ms = l->now_ms + HURRY_MS;
	wants = l->now_ms < l->hurry_until_ms;
	if (wants == has)
		return;
	if (priority_real_time(wants))
		atomic_store(&l->n.real_time, wants ? 1 : 0);
	else
		l->opts.real_time = false; /* not allowed: not asked again */
}

static bool iterate(struct loop *l, bool busy)
{
	uint64_t began_us;

	wait_for_work(l, busy);
	began_us = clock_mono_us();
	l->now_ms = began_us / 1000;
	(void)io_dispatch(l->io, COMPLETION_BUDGET);
	counter_add(&l->n.timers, wheel_fire(&l->wheel, l->now_ms, TIMER_BUDGET));
	run_tasks(l);
	counter_add(&l->n.iterations, 1);
	busy = l->part != NULL && l->part->run(l);
	follow_storm(l); /* here, where it has just handed its own steps over */
	note_work(l, began_us);
	return busy;
}

/* end: after loop_stop. True when nothing is left and the mailbox is closed. */
static bool end(struct loop *l)
{
	struct task *none = NULL;

	if (fiber_sched_cancel_all(l->fibers) > 0)
		return false;
	if (l->part != NULL && l->part->close_all(l) > 0)
		return false;
	if (io_inflight(l->io) > 0 || l->ready != NULL)
		return false;
	return atomic_compare_exchange_strong(&l->mailbox, &none, &mailbox_closed);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------------------ */

#define FD_PASSED \
	(1        \
	 << 30) /* in what loop_fd_send returns: it is on its way; no descriptor has such a number */

int loop_fd_send(struct loop *to, int fd)
{
	int err;

	if (!to->opts.own_fds || to == current)
		return fd;
	err = fd_pass_send(&to->pass, fd);
	return err != 0 ? err : FD_PASSED;
}

int loop_fd_take(struct loop *l, int sent)
{
	ASSERT(l == current);
	return sent == FD_PASSED ? fd_pass_take(&l->pass) : sent;
}

static void name_thread(const struct loop *l)
{
	char name[16];
	cpu_set_t set;

	snprintf(name, sizeof(name), "loop-%u", l->opts.index % 100000);
	(void)pthread_setname_np(pthread_self(), name);
	if (l->opts.pin_cpu == 0 || l->opts.pin_cpu > CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET(l->opts.pin_cpu - 1, &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

int loop_run(struct loop *l)
{
	const struct io_opts opts = {
		.force_min = l->opts.force_min,
		.buffers = l->opts.recv_buffers,
		.bell = &l->bell,
		.own_fds = l->opts.own_fds,
		.counters = &l->io_counters,
	};
	bool busy = true;
	int rc;

	ASSERT(current == NULL && l->io == NULL);
	rc = l->opts.own_fds ? fd_table_own() : 0;
	if (rc == 0)
		rc = io_open(&opts, &l->io);
	if (rc != 0)
		return rc;
	atomic_store(&l->thread, l->opts.own_fds ? gettid() : 0);
	name_thread(l);
	l->opts.real_time = priority_answers() && l->opts.real_time;
	current = l;
	for (;;) {
		busy = iterate(l, busy);
		if (!atomic_load(&l->stop))
			continue;
		if (end(l))
			break;
		l->ending = true;
	}
	io_close(l->io);
	l->io = NULL;
	atomic_store(&l->thread, 0);
	current = NULL;
	return 0;
}

/* ---- statistics --------------------------------------------------------------------------------------------------------- */

/* Before Linux 6.2, which does not tell the length of a table: what most of them are. */
static uint64_t own_fds(const struct loop *l)
{
	pid_t thread = atomic_load((_Atomic pid_t *)&l->thread);
	uint64_t n = thread != 0 ? fd_table_len(thread) : 0;

	return n > 0 || thread == 0 ? n : counter_read(&l->n.conns_live);
}

void loop_stats_read(const struct loop *l, struct loop_stats *out)
{
	*out = (struct loop_stats){
		.iterations = counter_read(&l->n.iterations),
		.tasks = counter_read(&l->n.tasks),
		.timers = counter_read(&l->n.timers),
		.enters = counter_read(&l->io_counters.enters),
		.completions = counter_read(&l->io_counters.completions),
		.cq_overflows = counter_read(&l->io_counters.cq_overflows),
		.no_buffers = counter_read(&l->io_counters.no_buffers),
		.doorbells = counter_read(&l->io_counters.doorbells),
		.submit_failures = counter_read(&l->io_counters.submit_failures),
		.fibers_started = counter_read(&l->n.fibers_started),
		.fibers_refused = counter_read(&l->n.fibers_refused),
		.own_fds = own_fds(l),
		.fibers_live = counter_read(&l->n.fibers_live),
		.conns_opened = counter_read(&l->n.conns_opened),
		.conns_live = counter_read(&l->n.conns_live),
		.accept_errors = counter_read(&l->n.accept_errors),
		.handshakes_done = counter_read(&l->n.handshakes_done),
		.handshakes_resumed = counter_read(&l->n.handshakes_resumed),
		.handshakes_failed = counter_read(&l->n.handshakes_failed),
		.handshakes_queued = counter_read(&l->n.handshakes_queued),
		.real_time = counter_read(&l->n.real_time),
		.bytes_in = counter_read(&l->n.bytes_in),
		.bytes_out = counter_read(&l->n.bytes_out),
		.recv_buffers = counter_read(&l->io_counters.buffers),
		.send_memory_size = counter_read(&l->n.send_memory_size),
		.send_memory_refused = counter_read(&l->n.send_memory_refused),
	};
}
