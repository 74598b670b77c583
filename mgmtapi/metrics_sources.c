/* SPDX-License-Identifier: GPL-3.0-or-later */
/* metrics_sources.c: a group for the store, one for the loops and one for the process. */
#include "mgmtapi/metrics_sources.h"
#include "core/clock.h"
#include "core/conn.h"
#include "core/fd_table.h"
#include "core/fiber.h"
#include "core/file.h"
#include "core/io.h"
#include "core/log.h"
#include "core/metric.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the store ---- */

struct store_figures {
	struct store_stats st;
	uint64_t queue_limit, writable;
};

#define STORE(m)     .offset = offsetof(struct store_figures, st.m)
#define RECORDS(of)  .offset = offsetof(struct store_figures, st.records[of])
#define RECORDS_NAME "causeway_store_records", "Records in the store, by table."
#define LIMIT_NAME   "causeway_store_records_limit", "Records beyond which the oldest are trimmed."

static const struct metric_field store_fields[] = {
	{"causeway_store_commits_total", "Commits of the store.", NULL, true, STORE(commits)},
	{"causeway_store_commits_failed_total", "Commits that failed.", NULL, true,
         STORE(failed_commits)},
	{"causeway_store_updates_total", "Updates that were committed.", NULL, true,
         STORE(updates)},
	{"causeway_store_updates_refused_total",
         "Updates that were refused: the queue was full or the store takes no changes.", NULL, true,
         STORE(refused)},
	{"causeway_store_damaged_reads_total", "Reads of records that cannot be decoded.", NULL,
         true, STORE(damaged)},
	{"causeway_store_records_trimmed_total",
         "Records deleted because of their age or a table's limit.", NULL, true, STORE(trimmed)},
	{"causeway_store_queue", "Updates that wait for the writer.", NULL, false,
         STORE(queue_depth)},
	{"causeway_store_queue_limit", "Updates that may wait; more are refused.", NULL, false,
         .offset = offsetof(struct store_figures, queue_limit)},
	{"causeway_store_queue_peak", "Most updates that waited at once since the start.", NULL,
         false, STORE(queue_depth_max)},
	{"causeway_store_writable", "1 while changes can be stored.", NULL, false,
         .offset = offsetof(struct store_figures, writable)},
	{"causeway_store_file_bytes", "Size of the store's file.", NULL, false, STORE(file_bytes)},
	{"causeway_store_used_bytes", "Part of the store's file that is in use.", NULL, false,
         STORE(used_bytes)},
	{"causeway_store_map_limit_bytes", "Size that the store's file may reach (store.map_size).",
         NULL, false, STORE(map_bytes)},
	{"causeway_store_readers", "Slots that read transactions have taken.", NULL, false,
         STORE(readers)},
	{"causeway_store_readers_limit", "Slots for read transactions.", NULL, false,
         STORE(readers_max)},
	{RECORDS_NAME, "table=groups", false, RECORDS(STORE_GROUPS)},
	{RECORDS_NAME, "table=devices", false, RECORDS(STORE_DEVICES)},
	{RECORDS_NAME, "table=tokens", false, RECORDS(STORE_TOKENS)},
	{RECORDS_NAME, "table=audit", false, RECORDS(STORE_AUDIT)},
	{RECORDS_NAME, "table=operations", false, RECORDS(STORE_OPERATIONS)},
	{RECORDS_NAME, "table=requests", false, RECORDS(STORE_REQUESTS)},
	{RECORDS_NAME, "table=settings", false, RECORDS(STORE_SETTINGS)},
	{LIMIT_NAME, "table=audit", false, STORE(audit_max)},
	{LIMIT_NAME, "table=operations", false, STORE(operations_max)},
	{LIMIT_NAME, "table=requests", false, STORE(requests_max)},
};

_Static_assert(sizeof(struct store_figures) <= METRIC_GROUP_SIZE, "a group's struct is too large");

static void read_store(void *arg, void *stats)
{
	struct store *store = arg;
	struct store_figures *f = stats;

	store_stats_read(store, &f->st);
	f->queue_limit = STORE_QUEUE_MAX;
	f->writable = store_writable(store) == 0 ? 1 : 0;
}

static struct metric_group store_group = {
	.fields = store_fields, .fields_len = ARRAY_LEN(store_fields), .read = read_store};

/* ---- the loops ---- */

struct loop_figures {
	struct loop_stats sum;
	uint64_t workers, fibers_limit, send_memory_limit, buffers_limit;
};

#define LOOP(m) .offset = offsetof(struct loop_figures, sum.m)

static const struct metric_field loop_fields[] = {
	{"causeway_workers", "Worker threads, each with a loop.", NULL, false,
         .offset = offsetof(struct loop_figures, workers)},
	{"causeway_workers_real_time",
         "Worker threads that have real-time priority now: in a storm of connects, while "
         "devices are called.",
         NULL, false, LOOP(real_time)},
	{"causeway_loop_tasks_total", "Tasks that ran on loops.", NULL, true, LOOP(tasks)},
	{"causeway_loop_timers_total", "Timers that fired on loops.", NULL, true, LOOP(timers)},
	{"causeway_loop_doorbells_total", "Wake-ups of loops by other threads.", NULL, true,
         LOOP(doorbells)},
	{"causeway_io_uring_enters_total", "System calls that submitted or waited.", NULL, true,
         LOOP(enters)},
	{"causeway_io_uring_completions_total", "Completions of the rings.", NULL, true,
         LOOP(completions)},
	{"causeway_io_uring_overflows_total", "Iterations that found a completion queue overflown.",
         NULL, true, LOOP(cq_overflows)},
	{"causeway_io_uring_buffers",
         "Receive buffers of 4 KiB that rings have; few while idle, more at once when they are "
         "used.",
         NULL, false, LOOP(recv_buffers)},
	{"causeway_io_uring_buffers_limit", "Receive buffers that rings may have.", NULL, false,
         .offset = offsetof(struct loop_figures, buffers_limit)},
	{"causeway_io_uring_no_buffers_total", "Receives that found no buffer and had to wait.",
         NULL, true, LOOP(no_buffers)},
	{"causeway_io_uring_submit_failures_total",
         "Operations that could not be submitted at once.", NULL, true, LOOP(submit_failures)},
	{"causeway_fibers", "Fibers that live.", NULL, false, LOOP(fibers_live)},
	{"causeway_fibers_limit", "Fibers that may live, all loops together.", NULL, false,
         .offset = offsetof(struct loop_figures, fibers_limit)},
	{"causeway_fibers_started_total", "Fibers that were started.", NULL, true,
         LOOP(fibers_started)},
	{"causeway_fibers_refused_total",
         "Fibers that could not be started: the limit or no memory.", NULL, true,
         LOOP(fibers_refused)},
	{"causeway_connections", "Connections of all kinds.", NULL, false, LOOP(conns_live)},
	{"causeway_connections_opened_total", "Connections of all kinds that were opened.", NULL,
         true, LOOP(conns_opened)},
	{"causeway_accept_errors_total", "Accepts that failed, mostly for want of descriptors.",
         NULL, true, LOOP(accept_errors)},
	{"causeway_tls_handshakes_total", "TLS handshakes on all ports.", "result=ok", true,
         LOOP(handshakes_done)},
	{"causeway_tls_handshakes_total", "TLS handshakes on all ports.", "result=failed", true,
         LOOP(handshakes_failed)},
	{"causeway_tls_resumed_total", "TLS handshakes of clients that a ticket made short.", NULL,
         true, LOOP(handshakes_resumed)},
	{"causeway_tls_steps_waiting", "Steps of TLS handshakes that wait for their turn.", NULL,
         false, LOOP(handshakes_queued)},
	{"causeway_send_memory_bytes",
         "Memory of send queues, and of octets that wait in channels and answers.", NULL, false,
         LOOP(send_memory_size)},
	{"causeway_send_memory_limit_bytes", "Memory that send queues may have, all loops.", NULL,
         false, .offset = offsetof(struct loop_figures, send_memory_limit)},
	{"causeway_send_memory_refused_total",
         "Blocks that such queues did not get; the connection, channel or call is ended.", NULL,
         true, LOOP(send_memory_refused)},
	{"causeway_received_bytes_total", "Octets received.", NULL, true, LOOP(bytes_in)},
	{"causeway_sent_bytes_total", "Octets sent.", NULL, true, LOOP(bytes_out)},
};

_Static_assert(sizeof(struct loop_figures) <= METRIC_GROUP_SIZE, "a group's struct is too large");

static struct loop *const *the_loops;
static size_t the_loops_len;

static void read_loops(void *arg, void *stats)
{
	struct loop_figures *f = stats;
	struct loop_stats one;
	uint64_t *sum = (uint64_t *)&f->sum, *add = (uint64_t *)&one;

	(void)arg;
	for (size_t i = 0; i < the_loops_len; i++) {
		loop_stats_read(the_loops[i], &one);
		for (size_t k = 0; k < sizeof(one) / sizeof(uint64_t); k++)
			sum[k] += add[k];
	}
	f->workers = the_loops_len;
	f->fibers_limit = the_loops_len * FIBERS_PER_LOOP_MAX;
	f->buffers_limit = the_loops_len * IO_BUFFERS;
	f->send_memory_limit = the_loops_len * (CONN_SEND_MEMORY_MAX + CONN_HELD_MEMORY_MAX);
}

static struct metric_group loop_group = {
	.fields = loop_fields, .fields_len = ARRAY_LEN(loop_fields), .read = read_loops};

/* ---- the process ---- */

struct process_figures {
	uint64_t cpu_us, resident, virtual, fds, fds_limit, started_ms, suppressed, lost;
	uint64_t series, series_limit, dropped;
};

#define PROCESS(m) .offset = offsetof(struct process_figures, m)

static const struct metric_field process_fields[] = {
	{"process_cpu_seconds_total", "Processor time, user and system.", NULL, true,
         PROCESS(cpu_us), 1e-6},
	{"process_resident_memory_bytes", "Memory of the process.", NULL, false, PROCESS(resident)},
	{"process_virtual_memory_bytes", "Address space of the process.", NULL, false,
         PROCESS(virtual)},
	{"process_open_fds", "Open descriptors, of all tables.", NULL, false, PROCESS(fds)},
	{"process_max_fds", "Descriptors that may be open: nofile, for each table of a worker.",
         NULL, false, PROCESS(fds_limit)},
	{"process_start_time_seconds", "When the process started, since 1970.", NULL, false,
         PROCESS(started_ms), 1e-3},
	{"causeway_log_suppressed_total", "Log lines left out because their event had no budget.",
         NULL, true, PROCESS(suppressed)},
	{"causeway_log_lost_total", "Log lines left out because those before were not yet written.",
         NULL, true, PROCESS(lost)},
	{"causeway_metrics_series", "Metric series that are kept.", NULL, false, PROCESS(series)},
	{"causeway_metrics_series_limit", "Metric series that may be kept.", NULL, false,
         PROCESS(series_limit)},
	{"causeway_metrics_dropped_total", "Metric series that found no room.", NULL, true,
         PROCESS(dropped)},
};

static uint64_t started_ms;

/* /proc/self/statm: pages in all, then resident ones. */
static void read_memory(struct process_figures *f)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	char *second;
	struct buf b;

	buf_init(&b, 4096);
	if (file_read("/proc/self/statm", &b) == 0) {
		f->virtual = strtoull(buf_cstr(&b), &second, 10) * page;
		f->resident = strtoull(second, NULL, 10) * page;
	}
	buf_free(&b);
}

/*
 * Since Linux 6.2 the size of /proc/self/fd is the number of descriptors. Before, the lowest free one is near enough: reading a
 * folder of a hundred thousand entries would hold up the loop.
 */
static uint64_t table_of_the_process(void)
{
	uint64_t n = fd_table_len(getpid());
	int lowest;

	if (n > 0)
		return n;
	lowest = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	if (lowest < 0)
		return 0;
	close(lowest);
	return (uint64_t)lowest;
}

/* Of all tables, and how many tables have the limit for themselves. */
static void read_descriptors(struct process_figures *f)
{
	struct loop_stats st;
	struct rlimit rl;
	uint64_t tables = 0;

	f->fds = table_of_the_process();
	for (size_t i = 0; i < the_loops_len; i++) {
		loop_stats_read(the_loops[i], &st);
		f->fds += st.own_fds;
		tables += st.own_fds > 0 ? 1 : 0;
	}
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0)
		f->fds_limit =
			rl.rlim_cur == RLIM_INFINITY ? rl.rlim_cur : rl.rlim_cur * MAX(tables, 1u);
}

static uint64_t micro(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

static void read_process(void *arg, void *stats)
{
	struct process_figures *f = stats;
	struct rusage ru;

	(void)arg;
	if (getrusage(RUSAGE_SELF, &ru) == 0)
		f->cpu_us = micro(&ru.ru_utime) + micro(&ru.ru_stime);
	read_memory(f);
	read_descriptors(f);
	f->started_ms = started_ms;
	f->suppressed = log_suppressed();
	f->lost = log_lost();
	f->series = metric_series();
	f->series_limit = METRIC_MAX;
	f->dropped = metric_dropped();
}

static struct metric_group process_group = {
	.fields = process_fields, .fields_len = ARRAY_LEN(process_fields), .read = read_process};

void metrics_sources(struct store *store, struct loop *const *loops, size_t loops_len)
{
	the_loops = loops;
	the_loops_len = loops_len;
	started_ms = (uint64_t)clock_wall_ms();
	store_group.arg = store;
	metric_group_add(&store_group);
	metric_group_add(&loop_group);
	metric_group_add(&process_group);
	metric_set(metric_gauge("causeway_build_info", "The version that runs.",
	                        "version=" CAUSEWAY_VERSION),
	           1);
}

void metrics_sources_end(void)
{
	metric_group_remove(&store_group);
	metric_group_remove(&loop_group);
	metric_group_remove(&process_group);
}
