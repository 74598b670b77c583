/* SPDX-License-Identifier: GPL-3.0-or-later */
/* err.c: names and texts of the error list, and the way in from errno. */
#include "core/err.h"

#include <errno.h>

static const char *const names[] = {"ERR_OK",
#define X(name, text) #name,
                                    ERR_LIST(X)
#undef X
};

static const char *const texts[] = {"no error",
#define X(name, text) text,
                                    ERR_LIST(X)
#undef X
};

static size_t err_index(int e)
{
	size_t i = e < 0 ? (size_t) - (long)e : (size_t)e;

	return i < ERR_COUNT ? i : ERR_INTERNAL;
}

const char *err_name(int e)
{
	return names[err_index(e)];
}

const char *err_text(int e)
{
	return texts[err_index(e)];
}

static const struct {
	int from;
	int to;
} errno_map[] = {
	{ENOMEM, ERR_NOMEM},
	{EINVAL, ERR_INVALID},
	{EAGAIN, ERR_AGAIN},
	{ECONNRESET, ERR_CLOSED},
	{EPIPE, ERR_CLOSED},
	{ECONNABORTED, ERR_CLOSED},
	{ETIMEDOUT, ERR_TIMEOUT},
	{ETIME, ERR_TIMEOUT},
	{ECANCELED, ERR_CANCELLED},
	{EBUSY, ERR_BUSY},
	{ENOENT, ERR_NOT_FOUND},
	{EEXIST, ERR_EXISTS},
	{EACCES, ERR_DENIED},
	{EPERM, ERR_DENIED},
	{ENOSPC, ERR_NO_SPACE},
	{EDQUOT, ERR_NO_SPACE},
	{EMFILE, ERR_FULL},
	{ENFILE, ERR_FULL},
	{ENOBUFS, ERR_FULL},
	{EROFS, ERR_READONLY},
	{ECONNREFUSED, ERR_REFUSED},
	{EHOSTUNREACH, ERR_REFUSED},
	{ENETUNREACH, ERR_REFUSED},
	{ENOSYS, ERR_UNSUPPORTED},
	{EOPNOTSUPP, ERR_UNSUPPORTED},
	{EADDRINUSE, ERR_EXISTS},
};

int err_from_errno(int n)
{
	for (size_t i = 0; i < ARRAY_LEN(errno_map); i++)
		if (errno_map[i].from == n)
			return -errno_map[i].to;
	return -ERR_IO;
}
