/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pauses.c: says when the machine itself stood still. A virtual machine is stopped now and then, a processor at a time or all together, by its host: for a
 * quota that is used up, or for a neighbour. Nothing in the machine can run then, so what waited meanwhile says nothing about a program in it.
 *
 * On each processor a thread with a high real-time priority sleeps for two milliseconds, again and again. When it is late, the kernel tells for how long the
 * thread was ready but did not have the processor (the run delay of schedstat): that is the kernel's or another thread's doing. The rest is the
 * host's: not even the timer's interrupt came. A line for each pause: processor, begin (monotonic s), length (ms).
 *
 *   pauses SECONDS        ends earlier at SIGTERM
 */
#include "core/base.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PRIORITY   50
#define SLEEP_NS   2000000L
#define WORTH_S    0.005 /* shorter ones are the scheduler's business */
#define LINE_SIZE  128
#define EXIT_USAGE 2

static double end_s;

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* How long this thread has waited for its processor since it began; fd is open on its schedstat: "run delay slices", in ns. */
static double run_delay_s(int fd)
{
	char line[LINE_SIZE] = "";
	char *second;

	if (pread(fd, line, sizeof(line) - 1, 0) <= 0)
		return 0;
	(void)strtoull(line, &second, 10);
	return (double)strtoull(second, NULL, 10) / 1e9;
}

static void *watch(void *arg)
{
	const struct sched_param param = {.sched_priority = PRIORITY};
	unsigned cpu = (unsigned)(uintptr_t)arg;
	double last, delayed;
	char path[LINE_SIZE];
	cpu_set_t set;
	int fd;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)snprintf(path, sizeof(path), "/proc/self/task/%ld/schedstat", syscall(SYS_gettid));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0 ||
	    sched_setscheduler(0, SCHED_FIFO, &param) != 0 || fd < 0)
		return arg;
	delayed = run_delay_s(fd);
	for (last = now_s(); last < end_s;) {
		const struct timespec sleep = {.tv_nsec = SLEEP_NS};
		double now, waited, pause;

		nanosleep(&sleep, NULL);
		now = now_s();
		waited = run_delay_s(fd);
		pause = now - last - (waited - delayed);
		if (pause > WORTH_S)
			printf("%u %.4f %.1f\n", cpu, last, pause * 1e3);
		delayed = waited;
		last = now;
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[CPU_SETSIZE];
	unsigned n = 0;
	cpu_set_t mine;

	if (argc != 2 || sched_getaffinity(0, sizeof(mine), &mine) != 0) {
		fprintf(stderr, "usage: pauses SECONDS\n");
		return EXIT_USAGE;
	}
	end_s = now_s() + strtod(argv[1], NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &mine))
			continue;
		if (pthread_create(&threads[n], NULL, watch, (void *)(uintptr_t)cpu) != 0)
			return 1;
		n++;
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
