/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * api_errors.h: why something failed, as a value: it can be made on another thread than the call's, kept as a line of a batch, or
 * stored for a repeated request. Plus the one place where errors of devices become reasons and hints.
 */
#pragma once

#include "amt/amt.h"
#include "mgmtapi/call.h"

#define FAILURE_TEXT_MAX  320
#define FAILURE_INFO_MAX  4
#define FAILURE_VALUE_MAX 128

/* code CALL_OK: nothing failed. Zeroed: the same. */
struct failure {
	enum call_code code;
	const char *reason, *hint; /* static; hint may be NULL */
	char text[FAILURE_TEXT_MAX];
	char reason_text[40]; /* where reason points if it is not static */
	struct {
		const char *key; /* static */
		char value[FAILURE_VALUE_MAX];
	} info[FAILURE_INFO_MAX];
	unsigned info_len;
};

/* failure_set: -ERR_FAULT. */
int failure_set(struct failure *f, enum call_code code, const char *reason, const char *hint,
                const char *fmt, ...) PRINTF_LIKE(5, 6);
/* failure_info: adds to the metadata. */
void failure_info(struct failure *f, const char *key, const char *value);
/* api_fail: the failure becomes the call's status. -ERR_FAULT. */
int api_fail(struct call *c, const struct failure *f);

/*
 * An operation on a device, run on the tunnel's worker. started: fn began there; sent: something that changes the device may have
 * been sent to it (fn sets it before it sends).
 */
struct device_op {
	int (*fn)(struct tunnel *t, struct device_op *op);
	void *arg;
	uint32_t limit_ms; /* the operation ends by then, or by the fiber's deadline */
	bool started, sent;
	struct amt_error why;
};

#define DEVICE_OP_MS 60000 /* usual limit_ms */

/* device_op_run: gateway_run with a limit, once the device's ports are known. fn's result or gateway_run's errors. In a fiber. */
int device_op_run(struct gateway *g, const struct device_key *key, struct device_op *op) MUST_CHECK;

/* device_op_untouched: after err, the device has certainly not acted: the same request may be sent again. */
bool device_op_untouched(const struct device_op *op, int err);

/* failure_from_device: reason, hint and metadata for an error of device_op_run. what: "the power state was not changed". -ERR_FAULT. */
int failure_from_device(struct failure *f, struct gateway *g, const struct device_key *key,
                        const struct device_op *op, int err);
