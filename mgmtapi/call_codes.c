/* SPDX-License-Identifier: GPL-3.0-or-later */
/* call_codes.c: names of the status codes. Pure. */
#include "mgmtapi/call.h"

const char *call_code_name(int code)
{
	static const char *const names[CALL_CODE_COUNT] = {
		"OK",
		"CANCELLED",
		"UNKNOWN",
		"INVALID_ARGUMENT",
		"DEADLINE_EXCEEDED",
		"NOT_FOUND",
		"ALREADY_EXISTS",
		"PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED",
		"FAILED_PRECONDITION",
		"ABORTED",
		"OUT_OF_RANGE",
		"UNIMPLEMENTED",
		"INTERNAL",
		"UNAVAILABLE",
		"DATA_LOSS",
		"UNAUTHENTICATED",
	};

	return code >= 0 && code < CALL_CODE_COUNT ? names[code] : "UNKNOWN";
}
