/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * handshake.c: one lock, one line of steps that end a wait, and a ring of lanes for first steps: the lane at the front gives
 * one step and goes to the back. A session has at most one step under way, so that connections' limits bound the line.
 */
#include "core/handshake.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/lock.h"
#include "core/metric.h"
#include "core/priority.h"
#include "core/tls.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEPS_OWED 4    /* about a millisecond of them */
#define OUT_FIRST  4096 /* what a first answer takes with a certificate or two, and the later ones */
#define OUT_LATER  1024

/* First steps of the sources that share a hash. On the ring while it has any. */
struct lane {
	struct list link;
	struct list steps;
};

struct counters {
	struct metric *done, *more, *failed, *cancelled, *refused, *wait;
};

struct handshakes {
	pthread_mutex_t lock;
	sem_t work; /* not a condition variable: to signal one may wait for a waiter that has lost its processor, and loops must not */
	struct list answered; /* steps */
	struct list ring;     /* lanes */
	unsigned queued, idle, running;
	atomic_bool busy; /* queued or running; written with the lock */
	bool stop;
	struct counters n;
	struct metric_group metrics;
	unsigned threads_len;
	pthread_t threads[HANDSHAKE_THREADS_MAX];
	struct lane lanes[HANDSHAKE_LANES];
};

/* ---- a step ------------------------------------------------------------------------------------------------------------ */

static int keep(void *arg, struct span s)
{
	struct handshake_step *step = arg;

	buf_put_span(&step->out, s);
	return step->out.err;
}

void handshake_step_run(struct handshake_step *s)
{
	tls_set_output(s->tls, keep, s);
	if (s->in.len > 0)
		tls_input(s->tls, s->in);
	s->verdict = tls_handshake(s->tls);
	if (s->out.err != 0)
		s->verdict = -ERR_NOMEM;
}

static void count(const struct counters *n, int verdict)
{
	metric_inc(verdict == 0                ? n->done
	           : verdict == -ERR_AGAIN     ? n->more
	           : verdict == -ERR_CANCELLED ? n->cancelled
	                                       : n->failed);
}

/* take_step: gives the loop that has the step back, and sleeps on. */
static struct loop *take_step(struct handshakes *h, struct handshake_step *s)
{
	struct loop *loop = s->loop;

	metric_observe(h->n.wait, clock_mono_us() - s->queued_us);
	if (atomic_load_explicit(&s->cancelled, memory_order_relaxed))
		s->verdict = -ERR_CANCELLED;
	else
		handshake_step_run(s);
	count(&h->n, s->verdict);
	/* From here on it belongs to its loop, which cannot have ended: the connection waits for the step. */
	ASSERT(loop_post_quietly(loop, &s->task));
	return loop;
}

/* ---- the line ---------------------------------------------------------------------------------------------------------- */

static void push(struct handshakes *h, struct handshake_step *s)
{
	struct lane *lane = &h->lanes[s->source % HANDSHAKE_LANES];

	h->queued++;
	if (s->answered) {
		list_push_back(&h->answered, &s->link);
		return;
	}
	if (list_is_empty(&lane->steps))
		list_push_back(&h->ring, &lane->link);
	list_push_back(&lane->steps, &s->link);
}

static void note_busy(struct handshakes *h)
{
	atomic_store_explicit(&h->busy, h->queued + h->running > 0, memory_order_relaxed);
}

static struct handshake_step *pop(struct handshakes *h)
{
	struct list *i = list_pop_front(&h->answered);
	struct lane *lane;

	if (i == NULL && h->queued > 0) {
		lane = container_of(list_pop_front(&h->ring), struct lane, link);
		i = list_pop_front(&lane->steps);
		if (!list_is_empty(&lane->steps))
			list_push_back(&h->ring, &lane->link);
	}
	if (i == NULL)
		return NULL;
	h->queued--;
	return container_of(i, struct handshake_step, link);
}

bool handshakes_post(struct handshakes *h, struct handshake_step *s)
{
	bool room, wake;

	buf_init(&s->out, HANDSHAKE_OUT_MAX);
	/* From the loop's heap, which frees it: that of a thread that has lost its processor may be locked for milliseconds. */
	(void)buf_reserve(&s->out, s->answered ? OUT_LATER : OUT_FIRST);
	list_init(&s->link);
	s->queued_us = clock_mono_us();
	pthread_mutex_lock(&h->lock);
	room = h->queued < HANDSHAKE_QUEUE_MAX;
	if (room)
		push(h, s);
	note_busy(h);
	wake = room && h->idle > 0;
	h->idle -= wake ? 1 : 0;
	pthread_mutex_unlock(&h->lock);
	if (wake)
		(void)sem_post(&h->work);
	if (!room)
		metric_inc(h->n.refused);
	return room;
}

/* ---- threads ------------------------------------------------------------------------------------------------------------ */

/* Loops that sleep on although a step is theirs again. */
struct owed {
	struct loop *loops[STEPS_OWED];
	unsigned len;
};

static void rouse(struct owed *o)
{
	for (unsigned i = 0; i < o->len; i++)
		loop_rouse(o->loops[i]);
	o->len = 0;
}

/* next_step: waits for one; nobody is owed a bell meanwhile. NULL: the end. With the lock held, but not while it waits. */
static struct handshake_step *next_step(struct handshakes *h, struct owed *o)
{
	struct handshake_step *s;

	while ((s = pop(h)) == NULL && !h->stop) {
		h->idle++;
		pthread_mutex_unlock(&h->lock);
		rouse(o);
		while (sem_wait(&h->work) != 0)
			;
		pthread_mutex_lock(&h->lock);
	}
	return s;
}

/*
 * While more is in line loops are woken for some steps together. In a storm they have long seen most of them then, for they were awake for something
 * else: a bell for each step would cost more than a tenth of the step, and take the processor from this thread.
 */
static void *thread_main(void *arg)
{
	struct handshakes *h = arg;
	struct handshake_step *s;
	struct owed owed = {.len = 0};

	(void)pthread_setname_np(pthread_self(), "handshake");
	priority_computes();
	pthread_mutex_lock(&h->lock);
	while ((s = next_step(h, &owed)) != NULL) {
		h->running++;
		pthread_mutex_unlock(&h->lock);
		owed.loops[owed.len++] = take_step(h, s);
		if (owed.len == STEPS_OWED)
			rouse(&owed);
		pthread_mutex_lock(&h->lock);
		h->running--;
		note_busy(h);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

struct figures {
	uint64_t queued, queue_limit, running, threads;
};

static const struct metric_field fields[] = {
	{"causeway_handshake_queue", "Steps of TLS handshakes that wait for a thread.", NULL, false,
         offsetof(struct figures, queued), 1},
	{"causeway_handshake_queue_limit", "Steps of TLS handshakes that may wait.", NULL, false,
         offsetof(struct figures, queue_limit), 1},
	{"causeway_handshake_running", "Handshake threads at work.", NULL, false,
         offsetof(struct figures, running), 1},
	{"causeway_handshake_threads", "Threads for TLS handshakes.", NULL, false,
         offsetof(struct figures, threads), 1},
};

static void read_figures(void *arg, void *stats)
{
	struct handshakes *h = arg;
	struct figures *f = stats;

	pthread_mutex_lock(&h->lock);
	*f = (struct figures){h->queued, HANDSHAKE_QUEUE_MAX, h->running, h->threads_len};
	pthread_mutex_unlock(&h->lock);
}

static void make_counters(struct handshakes *h)
{
	static const char name[] = "causeway_handshake_steps_total";
	static const char help[] = "Steps of TLS handshakes that the handshake threads took.";

	h->n = (struct counters){
		.done = metric_counter(name, help, "result=established"),
		.more = metric_counter(name, help, "result=more"),
		.failed = metric_counter(name, help, "result=failed"),
		.cancelled = metric_counter(name, help, "result=cancelled"),
		.refused = metric_counter(name, help, "result=refused"),
		.wait = metric_histogram("causeway_handshake_wait_seconds",
	                                 "How long a step of a handshake waited for a thread.",
	                                 NULL, &metric_latency_us),
	};
}

static void make_metrics(struct handshakes *h)
{
	h->metrics = (struct metric_group){
		.fields = fields, .fields_len = ARRAY_LEN(fields), .read = read_figures, .arg = h};
	metric_group_add(&h->metrics);
}

struct handshakes *handshakes_new(unsigned threads, struct buf *why)
{
	struct handshakes *h = calloc(1, sizeof(*h));
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (h == NULL) {
		buf_put_str(why, "out of memory");
		return NULL;
	}
	if (threads == 0)
		threads = cores > 0 ? (unsigned)cores : 1;
	threads = MIN(threads, (unsigned)HANDSHAKE_THREADS_MAX);
	lock_init(&h->lock);
	(void)sem_init(&h->work, 0, 0);
	list_init(&h->answered);
	list_init(&h->ring);
	for (size_t i = 0; i < HANDSHAKE_LANES; i++) {
		list_init(&h->lanes[i].link);
		list_init(&h->lanes[i].steps);
	}
	make_counters(h);
	while (h->threads_len < threads &&
	       pthread_create(&h->threads[h->threads_len], NULL, thread_main, h) == 0)
		h->threads_len++;
	if (h->threads_len == threads) {
		make_metrics(h);
		return h;
	}
	buf_printf(why, "cannot start handshake thread %u: check ulimit -u and memory",
	           h->threads_len);
	handshakes_free(h);
	return NULL;
}

void handshakes_free(struct handshakes *h)
{
	if (h == NULL)
		return;
	pthread_mutex_lock(&h->lock);
	ASSERT(h->queued == 0);
	h->stop = true;
	pthread_mutex_unlock(&h->lock);
	for (unsigned i = 0; i < h->threads_len; i++)
		(void)sem_post(&h->work);
	for (unsigned i = 0; i < h->threads_len; i++)
		(void)pthread_join(h->threads[i], NULL);
	metric_group_remove(&h->metrics);
	(void)sem_destroy(&h->work);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

bool handshakes_busy(const struct handshakes *h)
{
	return atomic_load_explicit(&h->busy, memory_order_relaxed);
}

unsigned handshakes_threads(const struct handshakes *h)
{
	return h->threads_len;
}
