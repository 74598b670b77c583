/* SPDX-License-Identifier: GPL-3.0-or-later */
/* log_queue.c: two buffers: loggers fill one while the thread writes the other. */
#include "core/log_queue.h"
#include "core/buf.h"
#include "core/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum state {
	OFF,
	RUNNING,
	STOPPING,
	STUCK, /* stopped while a write did not return: nobody else tries */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER, ended = PTHREAD_COND_INITIALIZER;
static enum state state;
static struct buf lines = {.cap = LOG_QUEUE_MAX};
static const _Atomic int *the_fd;
static _Atomic uint64_t lost;

/* As many whole lines as fit into PIPE_BUF: so much is written in one piece, even where several programs share the log. */
static size_t piece(struct span left)
{
	const uint8_t *end;

	if (left.len <= PIPE_BUF)
		return left.len;
	end = memrchr(left.ptr, '\n', PIPE_BUF);
	return end != NULL ? (size_t)(end - left.ptr) + 1 : PIPE_BUF;
}

static ssize_t write_some(struct span what)
{
	int fd = atomic_load(the_fd);
	ssize_t n = write(fd, what.ptr, what.len);

	if (n < 0 && errno == EAGAIN) {
		/* Who gave us the descriptor made it so: this thread has time. */
		(void)poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
		return 0;
	}
	return n < 0 && errno == EINTR ? 0 : n;
}

static void write_all(struct span left)
{
	while (left.len > 0) {
		ssize_t n = write_some(span_of(left.ptr, piece(left)));

		if (n < 0)
			return; /* nobody can be told that the log cannot be written */
		left = span_of(left.ptr + n, left.len - (size_t)n);
	}
}

static void tell_lost(uint64_t *told)
{
	uint64_t now = atomic_load(&lost);

	if (now == *told)
		return;
	log_event(LOG_WARN, "log_lost", LOG_U64("lines", now - *told),
	          LOG_STR("why", "the log was read or stored too slowly"));
	*told = now;
}

static void *writer_main(void *arg)
{
	struct buf taken = {.cap = LOG_QUEUE_MAX}, spare;
	uint64_t told = atomic_load(&lost);

	(void)arg;
	(void)pthread_setname_np(pthread_self(), "log");
	(void)buf_reserve(&taken, LOG_QUEUE_MAX);
	pthread_mutex_lock(&lock);
	for (;;) {
		while (lines.len == 0 && state == RUNNING)
			pthread_cond_wait(&more, &lock);
		if (lines.len == 0)
			break;
		spare = taken;
		taken = lines;
		lines = spare;
		pthread_mutex_unlock(&lock);
		write_all(buf_span(&taken));
		buf_clear(&taken);
		tell_lost(&told);
		pthread_mutex_lock(&lock);
	}
	buf_free(&lines);
	state = OFF;
	pthread_cond_signal(&ended);
	pthread_mutex_unlock(&lock);
	buf_free(&taken);
	return NULL;
}

bool log_queue_start(const _Atomic int *fd)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool started;

	pthread_attr_init(&attr);
	/* It may be in a write that never returns when the program ends. */
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&lock);
	the_fd = fd;
	/* All of it at once: nobody allocates later, and pages that no line reached cost nothing. */
	started = state == OFF && buf_reserve(&lines, LOG_QUEUE_MAX) != NULL &&
	          pthread_create(&thread, &attr, writer_main, NULL) == 0;
	if (started)
		state = RUNNING;
	pthread_mutex_unlock(&lock);
	pthread_attr_destroy(&attr);
	return started;
}

void log_queue_stop(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LOG_STOP_MS / 1000;
	pthread_mutex_lock(&lock);
	if (state == RUNNING)
		state = STOPPING;
	pthread_cond_signal(&more);
	while (state == STOPPING)
		if (pthread_cond_timedwait(&ended, &lock, &until) == ETIMEDOUT && state == STOPPING)
			state = STUCK;
	pthread_mutex_unlock(&lock);
}

bool log_queue_put(struct span line)
{
	bool queued;

	pthread_mutex_lock(&lock);
	queued = state != OFF;
	if (state != STUCK && queued && lines.len + line.len <= LOG_QUEUE_MAX) {
		buf_put_span(&lines, line);
		pthread_cond_signal(&more);
	} else if (queued)
		atomic_fetch_add(&lost, 1);
	pthread_mutex_unlock(&lock);
	return queued;
}

uint64_t log_queue_lost(void)
{
	return atomic_load(&lost);
}
