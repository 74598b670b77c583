/* SPDX-License-Identifier: GPL-3.0-or-later */
/* measure.c: counts, latencies, and the CPU time of this program and of the gateway. */
#include "bench/api_load/api_load.h"

#include <dirent.h>
#include <time.h>

#define BUCKETS 1024 /* of latencies: 32 a doubling */

struct counts counts;

static struct {
	struct counts first;
	uint64_t latency[BUCKETS], latency_max;
	double wall_s, cpu_s, pid_s;
	bool begun;
} measured;

static double seconds_of(clockid_t clock)
{
	struct timespec ts;

	must(clock_gettime(clock, &ts) == 0, "a clock");
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

uint64_t now_us(clockid_t clock)
{
	return (uint64_t)(seconds_of(clock) * 1e6);
}

/* The CPU time of all threads of a process, to the nanosecond; 0: no process was named. */
static double process_seconds(unsigned pid)
{
	char path[512];
	struct dirent *e;
	double sum = 0;
	DIR *d;

	if (pid == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%u/task", pid);
	d = opendir(path);
	must(d != NULL, "reading /proc of the gateway");
	while ((e = readdir(d)) != NULL) {
		char line[64] = "";
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/%u/task/%.20s/schedstat", pid, e->d_name);
		f = e->d_name[0] != '.' ? fopen(path, "r") : NULL;
		if (f == NULL)
			continue;
		if (fgets(line, sizeof(line), f) != NULL)
			sum += (double)strtoull(line, NULL, 10) / 1e9;
		(void)fclose(f);
	}
	(void)closedir(d);
	return sum;
}

static unsigned bucket_of(uint64_t us)
{
	unsigned log = 0;

	us = MAX(us, UINT64_C(32));
	while (us >> log >= 64)
		log++;
	return MIN(log * 32 + (unsigned)(us >> log) - 32, (unsigned)BUCKETS - 1);
}

static double bucket_us(unsigned b)
{
	return (double)((uint64_t)(b % 32 + 32) << (b / 32));
}

void measure_latency(uint64_t us)
{
	if (!measured.begun)
		return;
	measured.latency[bucket_of(us)]++;
	measured.latency_max = MAX(measured.latency_max, us);
}

static double percentile(double share)
{
	uint64_t all = 0, seen = 0;

	for (unsigned i = 0; i < BUCKETS; i++)
		all += measured.latency[i];
	for (unsigned i = 0; i < BUCKETS; i++) {
		seen += measured.latency[i];
		if (seen > 0 && (double)seen >= share * (double)all)
			return bucket_us(i);
	}
	return 0;
}

void measure_begin(void)
{
	measured.begun = true;
	measured.first = counts;
	measured.wall_s = seconds_of(CLOCK_MONOTONIC);
	measured.cpu_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	measured.pid_s = process_seconds(opt.pid);
}

double measure_seconds(void)
{
	return measured.begun ? seconds_of(CLOCK_MONOTONIC) - measured.wall_s : 0;
}

void measure_print(unsigned open)
{
	double wall = measure_seconds();
	double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - measured.cpu_s;
	double pid = process_seconds(opt.pid) - measured.pid_s;

	printf("{\"kind\": \"%s\", \"connections\": %u, \"streams\": %u, \"seconds\": %.3f, "
	       "\"calls\": %llu, \"failed\": %llu, \"messages\": %llu, \"events\": %llu, "
	       "\"devices\": %llu, \"octets\": %llu, \"open\": %u, \"client_cpu_s\": %.4f, "
	       "\"gateway_cpu_s\": %.4f, \"latency_us\": {\"p50\": %.0f, \"p99\": %.0f, "
	       "\"max\": %llu}}\n",
	       opt.kind->name, opt.connections, opt.streams, wall,
	       (unsigned long long)(counts.calls - measured.first.calls),
	       (unsigned long long)(counts.failed - measured.first.failed),
	       (unsigned long long)(counts.messages - measured.first.messages),
	       (unsigned long long)(counts.events - measured.first.events),
	       (unsigned long long)(counts.devices - measured.first.devices),
	       (unsigned long long)(counts.octets - measured.first.octets), open, cpu, pid,
	       percentile(0.5), percentile(0.99), (unsigned long long)measured.latency_max);
}
