/* SPDX-License-Identifier: GPL-3.0-or-later */
/* metrics_api.c: what the services hold, and why calls fail. */
#include "mgmtapi/metrics_api.h"
#include "core/text.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/mutation.h"
#include "mgmtapi/operations.h"
#include "mgmtapi/pending.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* ---- tables ---- */

struct figures {
	uint64_t operations, operations_limit, delayed, delayed_limit, inflight, inflight_limit;
};

#define AT(m) .offset = offsetof(struct figures, m)

static const struct metric_field fields[] = {
	{"causeway_operations_running", "Long-running operations under way.", NULL, false,
         AT(operations)},
	{"causeway_operations_running_limit", "Long-running operations that may be under way.",
         NULL, false, AT(operations_limit)},
	{"causeway_delayed_actions", "Power actions that wait for their time.", NULL, false,
         AT(delayed)},
	{"causeway_delayed_actions_limit", "Power actions that may wait for their time.", NULL,
         false, AT(delayed_limit)},
	{"causeway_api_changes_running", "Changes of devices with a request id under way.", NULL,
         false, AT(inflight)},
	{"causeway_api_changes_running_limit",
         "Changes of devices with a request id that may be under way.", NULL, false,
         AT(inflight_limit)},
};

static void read_figures(void *arg, void *stats)
{
	struct api *a = arg;
	struct figures *f = stats;

	f->operations = operations_running(a->operations);
	f->operations_limit = OPERATIONS_RUNNING_MAX;
	f->delayed = pending_count(a->pending);
	f->delayed_limit = PENDING_MAX;
	f->inflight = inflight_count(a->inflight);
	f->inflight_limit = INFLIGHT_MAX;
}

struct metric *metrics_watchers(void)
{
	return metric_gauge("causeway_device_watchers", "Calls of WatchDevices under way.", NULL);
}

struct metric *metrics_relays(void)
{
	return metric_gauge("causeway_relays",
	                    "Streams of octets between clients and devices (OpenTunnel).", NULL);
}

struct metric *metrics_watchers_behind(void)
{
	return metric_counter(
		"causeway_device_watchers_behind_total",
		"Times that a slow watcher lost its place and was sent a new snapshot.", NULL);
}

void metrics_api(struct api *a)
{
	(void)metrics_watchers();
	(void)metrics_watchers_behind();
	(void)metrics_relays();
	a->metrics = (struct metric_group){
		.fields = fields, .fields_len = ARRAY_LEN(fields), .read = read_figures, .arg = a};
	metric_group_add(&a->metrics);
}

/* ---- why calls fail ---- */

#define FAILURES "causeway_api_failures_total", "Calls that failed, by reason."

static struct {
	pthread_mutex_t lock;
	size_t len;
	struct reason {
		char name[METRICS_REASON_SIZE];
		struct metric *count;
	} list[METRICS_REASONS_MAX];
} reasons = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The lock is held. NULL: not there yet. */
static struct metric *find(const char *name)
{
	for (size_t i = 0; i < reasons.len; i++)
		if (strcmp(reasons.list[i].name, name) == 0)
			return reasons.list[i].count;
	return NULL;
}

static struct metric *add(const char *name)
{
	char labels[METRICS_REASON_SIZE + sizeof("reason=")];
	struct reason *r = &reasons.list[reasons.len++];

	if (!str_copy(r->name, sizeof(r->name), name) || reasons.len == METRICS_REASONS_MAX)
		(void)str_copy(r->name, sizeof(r->name), "OTHER");
	(void)snprintf(labels, sizeof(labels), "reason=%s", r->name);
	r->count = metric_counter(FAILURES, labels);
	return r->count;
}

void metrics_api_failed(const char *reason)
{
	struct metric *m;

	if (reason[0] == '\0')
		reason = "OTHER";
	pthread_mutex_lock(&reasons.lock);
	m = find(reason);
	if (m == NULL)
		m = reasons.len < METRICS_REASONS_MAX ? add(reason) : find("OTHER");
	pthread_mutex_unlock(&reasons.lock);
	metric_inc(m);
}
