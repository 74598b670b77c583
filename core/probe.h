/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * probe.h: static probes (USDT) of the data path, for bpftrace, perf and SystemTap: docs/PROBES.md lists them. A probe is one no-op
 * instruction and a note in the ELF file; arguments are integers and pointers that are at hand anyway, never secrets. Where
 * <sys/sdt.h> is missing at build time there are none.
 */
#pragma once

#if defined(__has_include)
#if __has_include(<sys/sdt.h>)
#define SDT_USE_VARIADIC
#include <sys/sdt.h>
#endif
#endif

#ifdef STAP_PROBEV
#define PROBE(name, ...) STAP_PROBEV(causeway, name, ##__VA_ARGS__)
#else
/* Arguments still count as used, and cost nothing: they have no side effects. */
static inline void probe_none(int unused, ...)
{
	(void)unused;
}
#define PROBE(name, ...)                              \
	do {                                          \
		if (false)                            \
			probe_none(0, ##__VA_ARGS__); \
	} while (false)
#endif
