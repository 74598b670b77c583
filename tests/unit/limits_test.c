/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "gateway/limits.h"
#include "gateway/settings.h"
#include "tests/unit/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENOUGH_FILES (100000 + 1000 + 256)

static const struct limits plenty = {.nofile = ENOUGH_FILES,
                                     .somaxconn = LIMITS_BACKLOG,
                                     .socket_buffer = LIMITS_BUFFER,
                                     .memory_available = UINT64_MAX,
                                     .memory_max = UINT64_MAX};
static const struct settings settings = {.cira.max_tunnels = 100000, .api.max_connections = 1000};

static void test_exactly_enough_and_one_less(void **state)
{
	uint64_t memory = 100000ull * (LIMITS_TUNNEL_SIZE + LIMITS_KERNEL_SIZE);
	struct limit_finding f[LIMITS_LEN];
	struct limits l = plenty;

	(void)state;
	l.memory_max = memory;
	assert_int_equal(limits_check(&l, &settings, f), 0);
	l.memory_max = memory - 1;
	assert_int_equal(limits_check(&l, &settings, f), 1);
	assert_int_equal(f[0].what, LIMIT_MEMORY);
	assert_non_null(strstr(f[0].text, "MemoryMax"));
	l.nofile--;
	l.somaxconn--;
	l.memory_available = memory - 2;
	l.socket_buffer = 212992;
	assert_int_equal(limits_check(&l, &settings, f), 4);
	assert_non_null(strstr(f[LIMIT_BUFFERS].text, "1064 KB/s"));
	assert_non_null(strstr(f[LIMIT_BUFFERS].text, "net.core.wmem_max=4194304"));
	assert_int_equal(f[LIMIT_NOFILE].need, ENOUGH_FILES);
	assert_non_null(strstr(f[LIMIT_NOFILE].text, "LimitNOFILE=101256"));
	assert_non_null(strstr(f[LIMIT_BACKLOG].text, "sysctl -w net.core.somaxconn=4096"));
	assert_non_null(strstr(f[LIMIT_MEMORY].text, "99999 tunnels"));
}

/* Where workers may have tables of their own, what one table lacks counts once for each worker. */
static void test_a_table_for_each_worker(void **state)
{
	struct limits l = plenty;
	struct settings s = settings;
	struct limit_finding f[LIMITS_LEN];

	(void)state;
	l.own_tables = true;
	l.nofile = 20000;
	s.workers = 5;
	assert_int_equal(limits_check(&l, &s, f), 1);
	assert_int_equal(f[0].have, 5 * (20000 - 256) + 256);
	assert_non_null(strstr(f[0].text, "set more 'workers'"));
	s.workers = 6;
	assert_int_equal(limits_check(&l, &s, f), 0);
	l.own_tables = false;
	assert_int_equal(limits_check(&l, &s, f), 1);
	assert_int_equal(f[0].have, 20000);
	assert_null(strstr(f[0].text, "workers"));
}

static void test_without_limits(void **state)
{
	struct limit_finding f[LIMITS_LEN];
	const struct limits none = {UINT64_MAX, false,      UINT64_MAX,
	                            UINT64_MAX, UINT64_MAX, UINT64_MAX};

	(void)state;
	assert_int_equal(limits_check(&none, &settings, f), 0);
}

static void write_file(const char *root, const char *path, const char *text)
{
	char name[512];
	FILE *f;

	snprintf(name, sizeof(name), "%s%s", root, path);
	for (char *at = strchr(name + strlen(root) + 1, '/'); at != NULL;
	     at = strchr(at + 1, '/')) {
		*at = '\0';
		(void)mkdir(name, 0700);
		*at = '/';
	}
	f = fopen(name, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_reading(void **state)
{
	char root[] = "/tmp/causeway-limits-XXXXXX", command[600];
	struct limits l;

	(void)state;
	assert_non_null(mkdtemp(root));
	limits_read(root, &l);
	assert_int_equal(l.somaxconn, UINT64_MAX);
	assert_int_equal(l.memory_available, UINT64_MAX);
	assert_int_equal(l.memory_max, UINT64_MAX);
	write_file(root, "/proc/sys/net/core/somaxconn", "128\n");
	write_file(root, "/proc/sys/net/core/rmem_max", "4194304\n");
	write_file(root, "/proc/sys/net/core/wmem_max", "212992\n");
	write_file(root, "/proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    2048 kB\n");
	write_file(root, "/proc/self/cgroup", "0::/system.slice/c.service\n");
	write_file(root, "/sys/fs/cgroup/system.slice/c.service/memory.max", "max\n");
	limits_read(root, &l);
	assert_int_equal(l.somaxconn, 128);
	assert_int_equal(l.socket_buffer, 212992);
	assert_int_equal(l.memory_available, 2048 * 1024);
	assert_int_equal(l.memory_max, UINT64_MAX);
	write_file(root, "/sys/fs/cgroup/system.slice/c.service/memory.max", "1000000\n");
	write_file(root, "/sys/fs/cgroup/system.slice/c.service/memory.current", "400000\n");
	limits_read(root, &l);
	assert_int_equal(l.memory_max, 600000);
	write_file(root, "/proc/self/cgroup", "junk\n4:memory:/old\n");
	write_file(root, "/sys/fs/cgroup/memory/old/memory.limit_in_bytes", "5000\n");
	limits_read(root, &l);
	assert_int_equal(l.memory_max, 5000);
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	assert_int_equal(system(command), 0);
}

static void test_raising(void **state)
{
	struct rlimit before, after, low;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	limits_raise();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
	assert_int_equal(after.rlim_cur, before.rlim_max);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exactly_enough_and_one_less),
		cmocka_unit_test(test_a_table_for_each_worker),
		cmocka_unit_test(test_without_limits),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_raising),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
