/* SPDX-License-Identifier: GPL-3.0-or-later */
/* power.h: doing a power action on a device, for the call, the delayed action and the batch alike. */
#pragma once

#include "mgmtapi/api_errors.h"

struct power_change {
	enum amt_power_action action;
	bool force;
	enum power_state before;
};

/* power_change_run: 0, or negative with *f set; *untouched: the device has certainly not acted. In a fiber. */
int power_change_run(struct gateway *g, const struct device_key *key, struct power_change *ch,
                     struct failure *f, bool *untouched) MUST_CHECK;
