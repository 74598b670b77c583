/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * priority.h: what share of the processors a thread asks the kernel for. There are two kinds: those that answer, microseconds for each of
 * many who wait, and those that compute for milliseconds. Where the processors are busy (a fleet that dials in after an outage), the second
 * must not keep the first waiting.
 */
#pragma once

#include "core/base.h"

/*
 * priority_answers: the calling thread answers. real_time: it asks for real-time priority, the lowest of SCHED_RR, which needs CAP_SYS_NICE or a
 * limit RLIMIT_RTPRIO of at least 1 (systemd: LimitRTPRIO=1). The kernel keeps a twentieth of each processor for everything else. Without it, or if
 * the system says no, the thread asks for short slices, which does what it can at an ordinary share. A thread that was given a policy (chrt,
 * systemd's CPUSchedulingPolicy=) keeps it. Returns whether the thread has real-time priority now. Threads that it starts do not inherit it.
 */
bool priority_answers(bool real_time);

/* priority_computes: the calling thread computes: never real-time, and nice 10, about a tenth of a core while ordinary threads want it. */
void priority_computes(void);
