/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * err.h: the one list of error codes. Functions return 0 or a count on success and -ERR_... on failure;
 * errno values stay inside core/ and are translated there (err_from_errno).
 */
#pragma once

#include "core/base.h"

#define ERR_LIST(X)                                              \
	X(ERR_NOMEM, "out of memory")                            \
	X(ERR_INVALID, "invalid argument or value")              \
	X(ERR_TOO_BIG, "larger than the limit")                  \
	X(ERR_MORE, "more input is needed")                      \
	X(ERR_AGAIN, "would block")                              \
	X(ERR_PROTOCOL, "the peer broke the protocol")           \
	X(ERR_CLOSED, "the connection was closed")               \
	X(ERR_TIMEOUT, "timed out")                              \
	X(ERR_CANCELLED, "cancelled")                            \
	X(ERR_BUSY, "busy")                                      \
	X(ERR_NOT_FOUND, "not found")                            \
	X(ERR_EXISTS, "exists already")                          \
	X(ERR_DENIED, "not permitted")                           \
	X(ERR_UNAUTHENTICATED, "wrong or missing credentials")   \
	X(ERR_PRECONDITION, "not possible in the present state") \
	X(ERR_IO, "input/output error")                          \
	X(ERR_TLS, "TLS error")                                  \
	X(ERR_PIN, "the certificate is not the pinned one")      \
	X(ERR_FULL, "a limit was reached")                       \
	X(ERR_NO_SPACE, "no space left on the device")           \
	X(ERR_UNSUPPORTED, "not supported")                      \
	X(ERR_CORRUPT, "damaged data")                           \
	X(ERR_READONLY, "read-only")                             \
	X(ERR_OFFLINE, "the device is not connected")            \
	X(ERR_REFUSED, "refused by the peer")                    \
	X(ERR_FAULT, "the device answered with a fault")         \
	X(ERR_INTERNAL, "internal error")

enum err {
	ERR_OK = 0,
#define X(name, text) name,
	ERR_LIST(X)
#undef X
		ERR_COUNT
};

/* err_name(e): "ERR_TIMEOUT" for -ERR_TIMEOUT or ERR_TIMEOUT. Static string; any thread. */
const char *err_name(int e);

/* err_text(e): a phrase for people, lower case, no full stop. Static string; any thread. */
const char *err_text(int e);

/* err_from_errno(n): the negative error nearest to a (positive) errno value; never 0. */
int err_from_errno(int n);
