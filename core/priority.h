/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * priority.h: what share of the processors a thread asks the kernel for. There are two kinds: those that answer, microseconds for each of
 * many who wait, and those that compute for milliseconds. Where the processors are busy (a fleet that dials in after an outage), the second
 * must not keep the first waiting.
 */
#pragma once

#include "core/base.h"

/*
 * priority_answers: the calling thread answers: it asks for short slices, which let it run soon after it wakes, at an ordinary share. Returns
 * whether priority_real_time may be tried: false if it was given another policy (chrt, systemd's CPUSchedulingPolicy=), which it keeps.
 */
bool priority_answers(void);

/*
 * priority_real_time: on: real-time priority for the calling thread, the lowest of SCHED_RR: no ordinary thread delays it. That takes CAP_SYS_NICE or a
 * limit RLIMIT_RTPRIO of at least 1 (systemd: LimitRTPRIO=1). The kernel keeps a twentieth of each processor for everything else. Off: as
 * priority_answers. Returns whether it is so now; false: the system says no, and will again. Threads that it starts do not inherit it.
 */
bool priority_real_time(bool on);

/*
 * priority_urgent: somebody waits for what this process does now (a call to a device, octets of a session). priority_is_urgent: that was so within the
 * last PRIORITY_URGENT_MS. Times of clock_mono_ms; any thread.
 */
#define PRIORITY_URGENT_MS 1000
void priority_urgent(uint64_t now_ms);
bool priority_is_urgent(uint64_t now_ms);

/* priority_computes: the calling thread computes: never real-time, and nice 10, about a tenth of a core while ordinary threads want it. */
void priority_computes(void);
