/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * log_queue.h: log lines on their way to their descriptor, which a thread of its own writes. Whoever reads a log may be slow or have stopped, and a
 * disk may be busy: the event loops, which log, must not wait for them. Used by log.c alone.
 */
#pragma once

#include "core/base.h"

#define LOG_QUEUE_MAX (256u * 1024) /* octets that may wait; a line on top is lost, and counted */
#define LOG_STOP_MS   2000 /* patience of log_queue_stop with a descriptor that takes nothing */

/*
 * log_queue_start: starts the thread, which writes to *fd (read anew for each write, as it may change). False: none could be started, lines are written by
 * those who log them, as before the start.
 */
bool log_queue_start(const _Atomic int *fd);
/* log_queue_stop: waits until all is written, at most LOG_STOP_MS. Lines logged after that are written by those who log them, or lost if the descriptor took nothing. */
void log_queue_stop(void);
/* log_queue_put: a whole line, which is copied. False: no thread is there, the caller writes it. Any thread, never waits for the descriptor. */
bool log_queue_put(struct span line) MUST_CHECK;
/* log_queue_lost: lines lost since the program started. Any thread. */
uint64_t log_queue_lost(void);
