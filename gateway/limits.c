/* SPDX-License-Identifier: GPL-3.0-or-later */
/* limits.c: reads limits from the kernel and compares them with what the settings will need. */
#include "gateway/limits.h"
#include "core/fd_table.h"
#include "core/log.h"
#include "gateway/settings.h"
#include "gateway/workers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define NOFILE_OTHER 256 /* listeners, rings, doorbells, store, log, clients of the metrics */
#define MIB          (1024 * 1024)
#define LINE_SIZE    512

void limits_raise(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == r.rlim_max)
		return;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r); /* what it is afterwards is what limits_read says */
}

/* The first number of the line that begins with prefix; UINT64_MAX: no such line, or no number ("max"). */
static uint64_t number_in(const char *root, const char *path, const char *prefix)
{
	char line[LINE_SIZE];
	uint64_t value = UINT64_MAX;
	FILE *f;

	(void)snprintf(line, sizeof(line), "%s%s", root, path);
	f = fopen(line, "re");
	if (f == NULL)
		return value;
	while (value == UINT64_MAX && fgets(line, sizeof(line), f) != NULL) {
		const char *at = line + strlen(prefix);
		char *end;
		uint64_t v;

		if (strncmp(line, prefix, strlen(prefix)) != 0)
			continue;
		v = strtoull(at, &end, 10);
		if (end != at)
			value = v;
	}
	(void)fclose(f);
	return value;
}

static uint64_t left_of(uint64_t max, uint64_t used)
{
	if (max == UINT64_MAX || used == UINT64_MAX)
		return max;
	return max > used ? max - used : 0;
}

/* The group's folder under /sys/fs/cgroup: "0::/path" in version 2, "n:memory:/path" in version 1. */
static void group_memory(const char *root, struct limits *out)
{
	char line[LINE_SIZE], file[2 * LINE_SIZE], used[2 * LINE_SIZE];
	FILE *f;

	(void)snprintf(file, sizeof(file), "%s/proc/self/cgroup", root);
	f = fopen(file, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		char *name = strchr(line, ':'), *path = name != NULL ? strchr(name + 1, ':') : NULL;
		uint64_t left;
		bool v2;

		if (path == NULL)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		v2 = strcmp(line, "0:") == 0;
		if (!v2 && strcmp(name + 1, "memory") != 0)
			continue;
		(void)snprintf(file, sizeof(file), "/sys/fs/cgroup%s%s/%s", v2 ? "" : "/memory",
		               path, v2 ? "memory.max" : "memory.limit_in_bytes");
		(void)snprintf(used, sizeof(used), "/sys/fs/cgroup%s%s/%s", v2 ? "" : "/memory",
		               path, v2 ? "memory.current" : "memory.usage_in_bytes");
		left = left_of(number_in(root, file, ""), number_in(root, used, ""));
		out->memory_max = MIN(out->memory_max, left);
	}
	if (f != NULL)
		(void)fclose(f);
}

void limits_read(const char *root, struct limits *out)
{
	struct rlimit r;
	uint64_t kib = number_in(root, "/proc/meminfo", "MemAvailable:");
	uint64_t rmem = number_in(root, "/proc/sys/net/core/rmem_max", "");
	uint64_t wmem = number_in(root, "/proc/sys/net/core/wmem_max", "");

	*out = (struct limits){.nofile = UINT64_MAX, .memory_max = UINT64_MAX};
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur != RLIM_INFINITY)
		out->nofile = r.rlim_cur;
	out->own_tables = fd_table_can();
	out->somaxconn = number_in(root, "/proc/sys/net/core/somaxconn", "");
	out->socket_buffer = MIN(rmem, wmem);
	out->memory_available = kib > UINT64_MAX / 1024 ? UINT64_MAX : kib * 1024;
	group_memory(root, out);
}

uint64_t limits_files(const struct settings *s)
{
	return s->cira.max_tunnels + s->api.max_connections + NOFILE_OTHER;
}

static bool own_tables(const struct limits *l, const struct settings *s)
{
	return l->own_tables && l->nofile < limits_files(s);
}

bool limits_own_tables(const struct settings *s)
{
	struct limits l;

	limits_read("", &l);
	return own_tables(&l, s);
}

static void check_nofile(const struct limits *l, const struct settings *s, struct limit_finding *f)
{
	uint64_t workers = s->workers != 0 ? (uint64_t)s->workers : workers_default();
	bool own = own_tables(l, s);

	*f = (struct limit_finding){
		.what = LIMIT_NOFILE,
		.have = own ? left_of(l->nofile, NOFILE_OTHER) * workers + NOFILE_OTHER : l->nofile,
		.need = limits_files(s),
	};
	(void)snprintf(f->text, sizeof(f->text),
	               "about %" PRIu64 " tunnels fit, not cira.max_tunnels %" PRIu64
	               "; raise it with 'systemctl edit causewayd' and LimitNOFILE=%" PRIu64
	               ", or before starting by hand 'ulimit -n %" PRIu64 "'%s",
	               left_of(f->have, s->api.max_connections + NOFILE_OTHER), s->cira.max_tunnels,
	               f->need, f->need,
	               own ? ", or set more 'workers': each has a table of descriptors of its own"
	                   : "");
}

static void check_backlog(const struct limits *l, struct limit_finding *f)
{
	*f = (struct limit_finding){
		.what = LIMIT_BACKLOG, .have = l->somaxconn, .need = LIMITS_BACKLOG};
	(void)snprintf(f->text, sizeof(f->text),
	               "a storm of devices overflows the listening queue and they wait for TCP's "
	               "retries; raise it with 'sysctl -w net.core.somaxconn=%" PRIu64 "'",
	               f->need);
}

static void check_memory(const struct limits *l, const struct settings *s, struct limit_finding *f)
{
	*f = (struct limit_finding){
		.what = LIMIT_MEMORY,
		.have = MIN(l->memory_available, l->memory_max),
		.need = s->cira.max_tunnels * (LIMITS_TUNNEL_SIZE + LIMITS_KERNEL_SIZE),
	};
	(void)snprintf(f->text, sizeof(f->text),
	               "about %" PRIu64 " tunnels fit into %" PRIu64
	               " MiB, not cira.max_tunnels %" PRIu64 " (%" PRIu64
	               " MiB); set cira.max_tunnels lower, %s",
	               f->have / (LIMITS_TUNNEL_SIZE + LIMITS_KERNEL_SIZE), f->have / MIB,
	               s->cira.max_tunnels, f->need / MIB,
	               l->memory_max < l->memory_available
	                       ? "or 'systemctl set-property causewayd MemoryMax=...'"
	                       : "or give the machine more memory");
}

static void check_buffers(const struct limits *l, struct limit_finding *f)
{
	*f = (struct limit_finding){
		.what = LIMIT_BUFFERS, .have = l->socket_buffer, .need = LIMITS_BUFFER};
	(void)snprintf(f->text, sizeof(f->text),
	               "a relay over a path of 200 ms carries %" PRIu64
	               " KB/s at most; raise it with 'sysctl -w net.core.rmem_max=%" PRIu64
	               " net.core.wmem_max=%" PRIu64 "'",
	               f->have * 5 / 1000, f->need, f->need);
}

size_t limits_check(const struct limits *l, const struct settings *s,
                    struct limit_finding out[LIMITS_LEN])
{
	struct limit_finding all[LIMITS_LEN];
	size_t n = 0;

	check_nofile(l, s, &all[LIMIT_NOFILE]);
	check_backlog(l, &all[LIMIT_BACKLOG]);
	check_memory(l, s, &all[LIMIT_MEMORY]);
	check_buffers(l, &all[LIMIT_BUFFERS]);
	for (size_t i = 0; i < LIMITS_LEN; i++)
		if (all[i].have < all[i].need)
			out[n++] = all[i];
	return n;
}

static const char *const names[LIMITS_LEN] = {"nofile", "net.core.somaxconn", "memory",
                                              "socket_buffer"};

void limits_warn(const struct settings *s)
{
	struct limit_finding f[LIMITS_LEN];
	struct limits l;
	size_t n;

	limits_read("", &l);
	n = limits_check(&l, s, f);
	for (size_t i = 0; i < n; i++)
		log_event(LOG_WARN, "limit_low", LOG_STR("limit", names[f[i].what]),
		          LOG_U64("have", f[i].have), LOG_U64("need", f[i].need),
		          LOG_STR("why", f[i].text));
}

static void print_value(const char *name, uint64_t value, uint64_t unit, const char *unit_name)
{
	if (value == UINT64_MAX)
		printf("limit: %s no limit\n", name);
	else
		printf("limit: %s %" PRIu64 "%s\n", name, value / unit, unit_name);
}

void limits_print(const struct settings *s)
{
	struct limit_finding f[LIMITS_LEN];
	struct limits l;
	size_t n;

	limits_read("", &l);
	print_value("nofile", l.nofile, 1, "");
	print_value("net.core.somaxconn", l.somaxconn, 1, "");
	print_value("socket_buffer", l.socket_buffer, 1, "");
	print_value("memory", MIN(l.memory_available, l.memory_max), MIB, " MiB");
	n = limits_check(&l, s, f);
	for (size_t i = 0; i < n; i++)
		printf("limit: %s is too low: %s\n", names[f[i].what], f[i].text);
}
