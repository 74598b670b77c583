/* SPDX-License-Identifier: GPL-3.0-or-later */
/* priority.c: Linux's scheduling policies and nice values, which are of a thread, not of the process. */
#include "core/priority.h"

#include <pthread.h>
#include <sched.h>
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

static int policy_now(void)
{
	return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

/* Short slices make the scheduler (EEVDF, since Linux 6.12) let a thread run soon after it wakes. Older kernels ignore it. */
static void ask_for_short_slices(void)
{
	const struct slice_attr attr = {.size = sizeof(attr),
	                                .policy = SCHED_OTHER,
	                                .nice = getpriority(PRIO_PROCESS, 0),
	                                .runtime = SLICE_NS};

	(void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

bool priority_answers(bool real_time)
{
	const struct sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_RR)};
	int policy = policy_now();

	if (policy != SCHED_OTHER)
		return policy == SCHED_RR || policy == SCHED_FIFO;
	if (real_time && sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) == 0)
		return true;
	ask_for_short_slices();
	return false;
}

void priority_computes(void)
{
	const struct sched_param zero = {0};
	int policy = policy_now();

	if (policy == SCHED_RR || policy == SCHED_FIFO)
		(void)sched_setscheduler(0, SCHED_OTHER, &zero);
	(void)setpriority(PRIO_PROCESS, 0, COMPUTING_NICE);
}
