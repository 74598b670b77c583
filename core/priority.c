/* SPDX-License-Identifier: GPL-3.0-or-later */
/* priority.c: Linux's scheduling policies and nice values, which are of a thread, not of the process. */
#include "core/priority.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS       100000 /* the least that Linux grants */
#define COMPUTING_NICE 10

/* struct sched_attr of sched_setattr(2), version 0; Debian 12's libc does not have it. */
struct slice_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

#define FLAG_RESET_ON_FORK 1 /* of sched_attr */

static _Atomic uint64_t urgent_until_ms;

static int policy_now(void)
{
	return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

/*
 * Short slices make the scheduler (EEVDF, since Linux 6.12) let a thread run soon after it wakes. Older kernels ignore the wish. Who has no capability
 * may not take reset-on-fork back, which comes with real-time priority.
 */
static bool set_ordinary(void)
{
	int policy = sched_getscheduler(0);
	bool reset = policy >= 0 && (policy & SCHED_RESET_ON_FORK) != 0;
	const struct slice_attr attr = {.size = sizeof(attr),
	                                .policy = SCHED_OTHER,
	                                .flags = reset ? FLAG_RESET_ON_FORK : 0,
	                                .nice = getpriority(PRIO_PROCESS, 0),
	                                .runtime = SLICE_NS};

	return syscall(SYS_sched_setattr, 0, &attr, 0) == 0;
}

bool priority_answers(void)
{
	if (policy_now() != SCHED_OTHER)
		return false;
	(void)set_ordinary();
	return true;
}

bool priority_real_time(bool on)
{
	const struct sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_RR)};

	return on ? sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) == 0
	          : set_ordinary();
}

void priority_urgent(uint64_t now_ms)
{
	atomic_store_explicit(&urgent_until_ms, now_ms + PRIORITY_URGENT_MS, memory_order_relaxed);
}

bool priority_is_urgent(uint64_t now_ms)
{
	return now_ms < atomic_load_explicit(&urgent_until_ms, memory_order_relaxed);
}

void priority_computes(void)
{
	const struct sched_param zero = {0};
	int policy = policy_now();

	if (policy == SCHED_RR || policy == SCHED_FIFO)
		(void)sched_setscheduler(0, SCHED_OTHER, &zero);
	(void)setpriority(PRIO_PROCESS, 0, COMPUTING_NICE);
}
