/* SPDX-License-Identifier: GPL-3.0-or-later */
/* workers.c: loops and their threads. */
#include "gateway/workers.h"
#include "core/err.h"
#include "core/handshake.h"
#include "core/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS_LIMIT 64

struct worker_thread {
	pthread_t thread;
	struct loop *loop;
	bool started;
};

struct workers {
	size_t n;
	struct handshakes *handshakes;
	struct worker_thread threads[WORKERS_LIMIT];
	struct loop *loops[WORKERS_LIMIT];
};

unsigned workers_default(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores > 0 ? MIN((unsigned)cores, (unsigned)WORKERS_LIMIT) : 1;
}

struct workers *workers_new(const struct workers_opts *opts, struct buf *why)
{
	struct workers *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->n = opts->n != 0 ? MIN(opts->n, (unsigned)WORKERS_LIMIT) : workers_default();
	w->handshakes = handshakes_new(opts->handshake_threads, why);
	if (w->handshakes == NULL) {
		workers_free(w);
		return NULL;
	}
	for (unsigned i = 0; i < w->n; i++) {
		w->loops[i] = w->threads[i].loop =
			loop_new(&(struct loop_opts){.index = i,
		                                     .handshakes = w->handshakes,
		                                     .own_fds = opts->own_fds,
		                                     .real_time = opts->real_time});
		if (w->loops[i] == NULL) {
			buf_printf(why, "cannot make worker %u: out of memory", i);
			workers_free(w);
			return NULL;
		}
	}
	return w;
}

struct loop *const *workers_loops(const struct workers *w, size_t *n)
{
	*n = w->n;
	return w->loops;
}

/* A worker that cannot run its ring is the end of the process: its tunnels would hang for ever. */
static void *run(void *arg)
{
	struct worker_thread *t = arg;
	char name[16];
	int err;

	(void)snprintf(name, sizeof(name), "worker-%u", loop_index(t->loop));
	(void)pthread_setname_np(pthread_self(), name);
	err = loop_run(t->loop);
	if (err != 0) {
		log_event(LOG_ERROR, "worker_failed", LOG_U64("worker", loop_index(t->loop)),
		          LOG_ERR("err", err));
		_exit(EXIT_FAILURE);
	}
	return NULL;
}

int workers_start(struct workers *w, struct buf *why)
{
	for (size_t i = 0; i < w->n; i++) {
		if (pthread_create(&w->threads[i].thread, NULL, run, &w->threads[i]) != 0) {
			buf_printf(why,
			           "cannot start worker thread %zu: check ulimit -u and memory", i);
			return -ERR_FULL;
		}
		w->threads[i].started = true;
	}
	return 0;
}

void workers_stop(struct workers *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->threads[i].started)
			loop_stop(w->threads[i].loop);
	for (size_t i = 0; i < w->n; i++) {
		if (w->threads[i].started)
			(void)pthread_join(w->threads[i].thread, NULL);
		w->threads[i].started = false;
	}
}

void workers_free(struct workers *w)
{
	if (w == NULL)
		return;
	handshakes_free(w->handshakes); /* they post to the loops */
	for (size_t i = 0; i < w->n; i++)
		if (w->loops[i] != NULL)
			loop_free(w->loops[i]);
	free(w);
}
