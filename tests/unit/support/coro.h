/* SPDX-License-Identifier: GPL-3.0-or-later */
/* coro.h: handlers without a loop: coroutines that a test steps by hand. One thread. */
#pragma once

#include "mgmtapi/call_internal.h"

extern const struct call_exec coro_exec;

/* coro_run: runs everything that can run, until all wait. Returns how many are left. */
size_t coro_run(void);
/* coro_set_now: from now on the waits of all coroutines that have a deadline before now_ms end with -ERR_TIMEOUT. */
void coro_set_now(uint64_t now_ms);
