/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * metrics_http.h: a small HTTP listener of its own for /metrics (Prometheus text) and /healthz, plain and meant for loopback or a
 * monitoring network: it shows no device and takes no input.
 */
#pragma once

#include "core/addr.h"
#include "core/buf.h"
#include "core/loop.h"

#define METRICS_CONNECTIONS_MAX 32
#define METRICS_TEXT_MAX        (4 * 1024 * 1024)
#define METRICS_IDLE_MS         30000

struct metrics_http;

/* metrics_http_new: opens the listener; it lives on loop. NULL with a sentence in why. */
struct metrics_http *metrics_http_new(struct loop *loop, const struct addr *addr, struct buf *why);
void metrics_http_addr(const struct metrics_http *m, struct addr *out);
/* metrics_http_start, metrics_http_stop: any thread, each once. stop closes listener and connections. */
void metrics_http_start(struct metrics_http *m);
void metrics_http_stop(struct metrics_http *m);
/* metrics_http_free: after the loop ended. */
void metrics_http_free(struct metrics_http *m);
