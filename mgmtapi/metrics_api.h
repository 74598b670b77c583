/* SPDX-License-Identifier: GPL-3.0-or-later */
/* metrics_api.h: figures of the services. */
#pragma once

#include "core/metric.h"

#define METRICS_REASONS_MAX \
	128 /* reasons of failures that are told apart; the last one is "OTHER" */
#define METRICS_REASON_SIZE 40

struct api;

/* metrics_api: registers what the services hold, as api->metrics; the caller removes it before the tables go. */
void metrics_api(struct api *a);

/* metrics_watchers, metrics_watchers_behind: those of WatchDevices. Any thread. */
struct metric *metrics_watchers(void);
struct metric *metrics_watchers_behind(void);
/* metrics_relays: open streams of OpenTunnel. Any thread. */
struct metric *metrics_relays(void);

/* metrics_api_failed: counts a call that failed. reason: the one of its google.rpc.ErrorInfo, written in our code. Any thread. */
void metrics_api_failed(const char *reason);
