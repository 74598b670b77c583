/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exec.c: handlers run in the loop's fibers. A file of its own, so that tests of the protocols need no loop. */
#include "mgmtapi/call_internal.h"

const struct call_exec call_exec_fibers = {
	.spawn = fiber_spawn,
	.wait = fiber_wait,
	.wake = fiber_wake,
	.cancel = fiber_cancel,
};
