/* SPDX-License-Identifier: GPL-3.0-or-later */
/* metrics_sources.c: one table for the store and one for the loops: name, help, and where the figure stands in the struct. */
#include "mgmtapi/metrics_sources.h"
#include "core/file.h"
#include "core/metric.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct store *the_store;
static struct loop *const *the_loops;
static size_t the_loops_len;

struct source {
	const char *name, *help;
	size_t offset; /* of a uint64_t in the stats */
	double scale;
};

static const struct source store_sources[] = {
	{"causeway_store_commits", "Commits of the store.", offsetof(struct store_stats, commits),
         1},
	{"causeway_store_updates", "Updates that were committed.",
         offsetof(struct store_stats, updates), 1},
	{"causeway_store_failed_commits", "Commits that failed.",
         offsetof(struct store_stats, failed_commits), 1},
	{"causeway_store_refused", "Updates that were refused.",
         offsetof(struct store_stats, refused), 1},
	{"causeway_store_queue", "Updates that wait.", offsetof(struct store_stats, queue_depth),
         1},
	{"causeway_store_queue_max", "Most updates that waited at once.",
         offsetof(struct store_stats, queue_depth_max), 1},
	{"causeway_store_commit_seconds_sum", "Time spent in commits.",
         offsetof(struct store_stats, commit_us_sum), 1e-6},
	{"causeway_store_commit_seconds_last", "Time of the last commit.",
         offsetof(struct store_stats, commit_us_last), 1e-6},
	{"causeway_store_file_bytes", "Size of the store's file.",
         offsetof(struct store_stats, file_bytes), 1},
};

static const struct source loop_sources[] = {
	{"causeway_loop_iterations", "Iterations of all loops.",
         offsetof(struct loop_stats, iterations), 1},
	{"causeway_loop_tasks", "Tasks that ran.", offsetof(struct loop_stats, tasks), 1},
	{"causeway_loop_completions", "Completions of the rings.",
         offsetof(struct loop_stats, completions), 1},
	{"causeway_loop_cq_overflows", "Completion queues that overflowed.",
         offsetof(struct loop_stats, cq_overflows), 1},
	{"causeway_loop_no_buffers", "Receives that found no buffer.",
         offsetof(struct loop_stats, no_buffers), 1},
	{"causeway_loop_doorbells", "Wake-ups between loops.",
         offsetof(struct loop_stats, doorbells), 1},
	{"causeway_fibers", "Fibers that live.", offsetof(struct loop_stats, fibers_live), 1},
	{"causeway_fibers_refused", "Fibers that could not be started.",
         offsetof(struct loop_stats, fibers_refused), 1},
	{"causeway_connections", "Connections of all kinds.",
         offsetof(struct loop_stats, conns_live), 1},
	{"causeway_accept_errors", "Accepts that failed.",
         offsetof(struct loop_stats, accept_errors), 1},
	{"causeway_handshakes_queued", "TLS steps that wait for their turn.",
         offsetof(struct loop_stats, handshakes_queued), 1},
	{"causeway_send_memory_bytes", "Memory of send queues.",
         offsetof(struct loop_stats, send_memory_size), 1},
	{"causeway_received_bytes", "Octets received.", offsetof(struct loop_stats, bytes_in), 1},
	{"causeway_sent_bytes", "Octets sent.", offsetof(struct loop_stats, bytes_out), 1},
};

static uint64_t figure(const void *stats, const struct source *s)
{
	return *(const uint64_t *)((const char *)stats + s->offset);
}

static double read_store(void *arg)
{
	const struct source *s = arg;
	struct store_stats stats;

	store_stats_read(the_store, &stats);
	return (double)figure(&stats, s) * s->scale;
}

static double read_loops(void *arg)
{
	const struct source *s = arg;
	struct loop_stats stats;
	uint64_t sum = 0;

	for (size_t i = 0; i < the_loops_len; i++) {
		loop_stats_read(the_loops[i], &stats);
		sum += figure(&stats, s);
	}
	return (double)sum * s->scale;
}

static double read_writable(void *arg)
{
	return store_writable(arg) == 0 ? 1 : 0;
}

/* The second number of /proc/self/statm, in pages. */
static double read_resident(void *arg)
{
	struct buf b;
	char *second;
	double pages = 0;

	(void)arg;
	buf_init(&b, 4096);
	if (file_read("/proc/self/statm", &b) == 0) {
		second = strchr(buf_cstr(&b), ' ');
		pages = second != NULL ? (double)strtoul(second, NULL, 10) : 0;
	}
	buf_free(&b);
	return pages * (double)sysconf(_SC_PAGESIZE);
}

static char process_arg;

void metrics_sources(struct store *store, struct loop *const *loops, size_t loops_len)
{
	the_store = store;
	the_loops = loops;
	the_loops_len = loops_len;
	for (size_t i = 0; i < ARRAY_LEN(store_sources); i++)
		metric_gauge_fn(store_sources[i].name, store_sources[i].help, NULL, read_store,
		                (void *)(uintptr_t)&store_sources[i]);
	for (size_t i = 0; i < ARRAY_LEN(loop_sources); i++)
		metric_gauge_fn(loop_sources[i].name, loop_sources[i].help, NULL, read_loops,
		                (void *)(uintptr_t)&loop_sources[i]);
	metric_gauge_fn("causeway_store_writable", "1 while changes can be stored.", NULL,
	                read_writable, store);
	metric_gauge_fn("process_resident_memory_bytes", "Memory of the process.", NULL,
	                read_resident, &process_arg);
	metric_set(metric_gauge("causeway_build_info", "The version that runs.",
	                        "version=" CAUSEWAY_VERSION),
	           1);
}

void metrics_sources_end(void)
{
	for (size_t i = 0; i < ARRAY_LEN(store_sources); i++)
		metric_gauge_fn_remove((void *)(uintptr_t)&store_sources[i]);
	for (size_t i = 0; i < ARRAY_LEN(loop_sources); i++)
		metric_gauge_fn_remove((void *)(uintptr_t)&loop_sources[i]);
	metric_gauge_fn_remove(the_store);
	metric_gauge_fn_remove(&process_arg);
}
