/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * limits.h: what the system allows this process, beside what the settings ask for: descriptors, the listening queue, memory.
 * Looked at once, at start and by --check.
 */
#pragma once

#include "core/buf.h"

#include <stddef.h>
#include <stdint.h>

struct settings;

/* One held tunnel: process memory rounded up from docs/adr/0010, kernel memory a rough figure for its socket. */
#define LIMITS_TUNNEL_SIZE 6144
#define LIMITS_KERNEL_SIZE 10240
#define LIMITS_BACKLOG     4096    /* Linux's own default of somaxconn since 5.4 */
#define LIMITS_BUFFER      4194304 /* what a relay's socket may be given: gateway/room.c */

/* What the system says; UINT64_MAX: no limit, or it does not say. */
struct limits {
	uint64_t nofile;           /* soft, after it was raised to the hard one; of one table */
	bool own_tables;           /* threads may take tables of descriptors of their own */
	uint64_t somaxconn;        /* net.core.somaxconn */
	uint64_t socket_buffer;    /* the smaller of net.core.rmem_max and wmem_max */
	uint64_t memory_available; /* octets: MemAvailable */
	uint64_t memory_max; /* octets: of the control group, what it uses already taken off */
};

/* limits_raise: the soft limit of descriptors to the hard one. Before threads. Harmless if it fails. */
void limits_raise(void);
/* limits_read: from the kernel; root is put before /proc and /sys ("" in production, a folder in tests). */
void limits_read(const char *root, struct limits *out);

/*
 * limits_own_tables: whether each worker takes a table of descriptors of its own (core/fd_table.h): when one table is too small for
 * cira.max_tunnels and the system allows it. Otherwise they share one, which spares passing accepted connections on.
 */
bool limits_own_tables(const struct settings *s);
/* limits_files: descriptors that connections and everything else will need. Pure. */
uint64_t limits_files(const struct settings *s);

enum limit_what { LIMIT_NOFILE, LIMIT_BACKLOG, LIMIT_MEMORY, LIMIT_BUFFERS, LIMITS_LEN };

/* What is too low, in words. */
struct limit_finding {
	enum limit_what what;
	uint64_t have, need;
	char text[320]; /* for people: what will happen, and the command that raises it */
};

/* limits_check: findings for these settings into out; how many. Pure. */
size_t limits_check(const struct limits *l, const struct settings *s,
                    struct limit_finding out[LIMITS_LEN]);

/* limits_warn: reads, checks and logs each finding as a warning "limit_low". limits_print: for --check, to stdout, all values. */
void limits_warn(const struct settings *s);
void limits_print(const struct settings *s);
