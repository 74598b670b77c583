/* SPDX-License-Identifier: GPL-3.0-or-later */
/* api_errors.c: failures as values, and errors of devices as reasons (amt.h, gateway.h). failure_*: any thread. */
#include "mgmtapi/api_errors.h"
#include "core/clock.h"
#include "core/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int failure_set(struct failure *f, enum call_code code, const char *reason, const char *hint,
                const char *fmt, ...)
{
	va_list ap;

	f->code = code;
	f->reason = reason;
	f->hint = hint;
	f->info_len = 0;
	va_start(ap, fmt);
	(void)vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return -ERR_FAULT;
}

void failure_info(struct failure *f, const char *key, const char *value)
{
	if (f->info_len == FAILURE_INFO_MAX)
		return;
	f->info[f->info_len].key = key;
	(void)str_copy(f->info[f->info_len].value, FAILURE_VALUE_MAX, value);
	f->info_len++;
}

int api_fail(struct call *c, const struct failure *f)
{
	int err = call_fail(c, f->code, f->reason, f->hint, "%s", f->text);

	for (unsigned i = 0; i < f->info_len; i++)
		call_fail_info(c, f->info[i].key, f->info[i].value);
	return err;
}

/* ---- operations on devices ---- */

static int run_there(struct tunnel *t, void *arg)
{
	struct device_op *op = arg;
	int err;

	op->started = true;
	err = tunnel_wait_ready(t);
	return err != 0 ? err : op->fn(t, op);
}

int device_op_run(struct gateway *g, const struct device_key *key, struct device_op *op)
{
	uint64_t before = fiber_deadline_ms();
	int err;

	op->started = op->sent = false;
	(void)fiber_set_deadline(MIN(before, clock_mono_ms() + op->limit_ms));
	err = gateway_run(g, key, run_there, op);
	(void)fiber_set_deadline(before);
	return err;
}

/* These come before a request reaches the firmware's service, or say that it did not accept the caller. */
bool device_op_untouched(const struct device_op *op, int err)
{
	static const int before_it[] = {
		ERR_UNSUPPORTED, ERR_PRECONDITION, ERR_UNAUTHENTICATED,
		ERR_PIN,         ERR_REFUSED,      ERR_INVALID,
	};

	if (!op->started || !op->sent)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(before_it); i++)
		if (err == -before_it[i])
			return true;
	return false;
}

static void pinned_of(void *arg, const struct device_view *v)
{
	char *out = arg;

	if (v->pinned)
		hex_encode(out, span_of(v->pin_sha256, sizeof(v->pin_sha256)));
}

static int certificate_changed(struct failure *f, struct gateway *g, const struct device_key *key,
                               const struct device_op *op)
{
	char pinned[65] = "", seen[65];

	hex_encode(seen, span_of(op->why.seen_sha256, sizeof(op->why.seen_sha256)));
	if (gateway_device_view(g, key, pinned_of, pinned) != 0)
		pinned[0] = '\0';
	(void)failure_set(f, CALL_FAILED_PRECONDITION, "CERTIFICATE_CHANGED",
	                  "if the change is expected (firmware update, new certificate), call "
	                  "UnpinDeviceCertificate; otherwise somebody may stand between",
	                  "the device's TLS certificate is not the one that was pinned");
	failure_info(f, "pinned_sha256", pinned);
	failure_info(f, "seen_sha256", seen);
	return -ERR_FAULT;
}

/* A SOAP fault, or a method's return value that is not 0. */
static int amt_fault(struct failure *f, const struct device_op *op, int err)
{
	bool is_fault = op->why.subcode[0] != '\0';
	enum call_code code = op->why.absent || err == -ERR_NOT_FOUND ? CALL_NOT_FOUND
	                      : err == -ERR_INVALID                   ? CALL_INVALID_ARGUMENT
	                                                              : CALL_FAILED_PRECONDITION;
	char number[24];

	(void)failure_set(f, code, is_fault ? "WSMAN_FAULT" : "AMT_FAULT",
	                  op->why.absent
	                          ? "this firmware does not have it, or not in its present mode"
	                          : "see what the device answered; its state may not allow it",
	                  "%s", op->why.text[0] != '\0' ? op->why.text : "the device refused");
	if (is_fault)
		failure_info(f, "subcode", op->why.subcode);
	if (op->why.has_return_value) {
		(void)snprintf(number, sizeof(number), "%" PRId64, op->why.return_value);
		failure_info(f, "return_value", number);
	}
	return -ERR_FAULT;
}

/* Before the operation began on the worker: the device's state. */
static int not_started(struct failure *f, int err)
{
	switch (-err) {
	case ERR_OFFLINE:
		return failure_set(
			f, CALL_FAILED_PRECONDITION, "DEVICE_OFFLINE",
			"wait until it connects; \"causeway device why\" tells why it does not",
			"the device is not connected");
	case ERR_PRECONDITION:
		return failure_set(
			f, CALL_FAILED_PRECONDITION, "DEVICE_HELD",
			"approve it with ApproveDevice (causeway device approve)",
			"the device is held: no operation reaches it before it is approved");
	case ERR_NOT_FOUND:
		return failure_set(f, CALL_NOT_FOUND, "DEVICE_NOT_FOUND",
		                   "list devices to see what there is", "there is no such device");
	case ERR_FULL:
		return failure_set(f, CALL_RESOURCE_EXHAUSTED, "TOO_MANY_OPERATIONS",
		                   "try again in a moment",
		                   "too many operations are under way on this worker");
	default:
		return 0;
	}
}

static const struct {
	int err;
	enum call_code code;
	const char *reason, *hint;
} by_error[] = {
	{ERR_PRECONDITION, CALL_FAILED_PRECONDITION, "AMT_ACCOUNT_MISSING",
         "set one with SetDeviceCredentials, or a default for the group with UpdateGroup"},
	{ERR_UNAUTHENTICATED, CALL_FAILED_PRECONDITION, "AMT_ACCOUNT_REFUSED",
         "set the right user and password with SetDeviceCredentials; no further try is made "
         "before"},
	{ERR_UNSUPPORTED, CALL_FAILED_PRECONDITION, "NOT_OFFERED",
         "set force to do it anyway, or take an action that GetPowerCapabilities lists"},
	{ERR_REFUSED, CALL_FAILED_PRECONDITION, "PORT_REFUSED",
         "forwarded_ports of the device tells which ports it forwards; a console may be disabled"},
	{ERR_INVALID, CALL_INVALID_ARGUMENT, "INVALID_REQUEST", "correct the request"},
	{ERR_OFFLINE, CALL_UNAVAILABLE, "CONNECTION_LOST",
         "the outcome is not known: read the state when the device is back"},
	{ERR_CLOSED, CALL_UNAVAILABLE, "CONNECTION_LOST",
         "the outcome is not known: read the state when the device is back"},
	{ERR_TIMEOUT, CALL_DEADLINE_EXCEEDED, "DEVICE_TIMEOUT",
         "the outcome is not known: read the state, then try again or allow more time"},
	{ERR_CANCELLED, CALL_CANCELLED, "CANCELLED", "the outcome is not known: read the state"},
	{ERR_TLS, CALL_UNAVAILABLE, "DEVICE_TLS",
         "TLS with the device's port 16993 failed; see the log"},
	{ERR_PROTOCOL, CALL_INTERNAL, "DEVICE_PROTOCOL",
         "the device's answer could not be understood"},
	{ERR_TOO_BIG, CALL_RESOURCE_EXHAUSTED, "TOO_BIG", "ask for less at a time"},
	{ERR_FULL, CALL_RESOURCE_EXHAUSTED, "DEVICE_BUSY",
         "other operations wait for this device; try later"},
	{ERR_BUSY, CALL_UNAVAILABLE, "DEVICE_BUSY", "try again in a moment"},
	{ERR_NOMEM, CALL_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "try again later"},
};

int failure_from_device(struct failure *f, struct gateway *g, const struct device_key *key,
                        const struct device_op *op, int err)
{
	if (!op->started && not_started(f, err) != 0)
		return -ERR_FAULT;
	if (err == -ERR_PIN)
		return certificate_changed(f, g, key, op);
	if (err == -ERR_FAULT || err == -ERR_NOT_FOUND || op->why.subcode[0] != '\0')
		return amt_fault(f, op, err);
	for (size_t i = 0; i < ARRAY_LEN(by_error); i++)
		if (by_error[i].err == -err)
			return failure_set(f, by_error[i].code, by_error[i].reason,
			                   by_error[i].hint, "%s",
			                   op->why.text[0] != '\0' ? op->why.text : err_text(err));
	return failure_set(f, CALL_INTERNAL, "INTERNAL", NULL, "%s", err_text(err));
}
