/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * stages.h: where a call to a device is, and how long each stage took: a clock read at each change. The record lives on the stack of
 * amt_call's fiber and on a list of its worker while the call runs. Worker's thread.
 */
#pragma once

#include "amt/amt.h"
#include "core/list.h"
#include "wire/wsman.h"

struct amt_session;

struct amt_stages {
	struct list link; /* of the worker's calls */
	struct tunnel *t;
	const struct wsman_request *rq;
	uint64_t began_us, at_us; /* the call, the present stage */
	uint64_t spent_us[AMT_STAGE_LEN];
	enum amt_stage stage;
	unsigned seen; /* bit per stage that it was in */
};

/* stages_metrics: registers the histograms. Once, before the first call. */
void stages_metrics(void);
/* stages_begin: a call begins, in AMT_STAGE_QUEUE. stages_end: it has ended; its times are counted. Returns what it took in all. */
void stages_begin(struct amt_stages *m, struct tunnel *t, const struct wsman_request *rq);
uint64_t stages_end(struct amt_stages *m);
/* stages_enter: the call goes on to a stage; the same one may come again. NULL: no call is measured. */
void stages_enter(struct amt_stages *m, enum amt_stage stage);
/* stages_of: those of the call that has the tunnel's session now; NULL: none. */
struct amt_stages *stages_of(const struct tunnel *t);
