/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report.c: counters as a line now and then, and as text or JSON at the end. Any thread. */
#include "bench/fleet/fleet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Resident memory of this process. */
static size_t memory_kib(void)
{
	char line[128] = "", *at;
	FILE *in = fopen("/proc/self/statm", "re");
	size_t pages = 0;

	if (in == NULL)
		return 0;
	if (fgets(line, sizeof(line), in) != NULL) {
		at = strchr(line, ' '); /* the total size comes first */
		pages = at != NULL ? strtoul(at, NULL, 10) : 0;
	}
	fclose(in);
	return pages * ((size_t)sysconf(_SC_PAGESIZE) / 1024);
}

void fleet_report_line(const struct fleet *f)
{
	const struct fleet_counters *c = &f->counters;
	uint64_t failed = atomic_load(&c->failed_tcp) + atomic_load(&c->failed_tls) +
	                  atomic_load(&c->failed_name) + atomic_load(&c->failed_hello) +
	                  atomic_load(&c->failed_auth) + atomic_load(&c->failed_forward);
	uint64_t lost = atomic_load(&c->lost_closed) + atomic_load(&c->lost_disconnect) +
	                atomic_load(&c->lost_keepalive);

	fprintf(stderr,
	        "fleet: %" PRIu64 " of %zu connected, %" PRIu64 " attempts, %" PRIu64
	        " failed, %" PRIu64 " lost, %" PRIu64 " requests, %" PRIu64
	        " violations, %.1f s CPU, %zu MiB\n",
	        atomic_load(&f->ready_now), f->count, atomic_load(&c->connects), failed, lost,
	        atomic_load(&c->requests), atomic_load(&c->violations), cpu_seconds(),
	        memory_kib() / 1024);
}

void fleet_report_usage(struct fleet *f)
{
	f->cpu_s = cpu_seconds();
	f->memory_kib = memory_kib();
}

void fleet_report_final(const struct fleet *f, size_t held, size_t should_hold)
{
	const struct {
		const char *name, *text;
		uint64_t value;
	} rows[] = {
#define X(name, text) {#name, text, atomic_load(&f->counters.name)},
		FLEET_COUNTERS(X)
#undef X
	};

	if (f->json) {
		printf("{\"devices\":%zu,\"should_hold\":%zu,\"held\":%zu,\"cpu_seconds\":%.3f,"
		       "\"memory_kib\":%zu",
		       f->count, should_hold, held, f->cpu_s, f->memory_kib);
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			printf(",\"%s\":%" PRIu64, rows[i].name, rows[i].value);
		printf("}\n");
	} else {
		printf("held to the end: %zu of %zu that should be (%zu devices)\n", held,
		       should_hold, f->count);
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			if (rows[i].value > 0)
				printf("%12" PRIu64 "  %s\n", rows[i].value, rows[i].text);
		}
		printf("%12.1f  seconds of CPU\n%12zu  KiB of memory\n", f->cpu_s, f->memory_kib);
	}
	fflush(stdout);
}
