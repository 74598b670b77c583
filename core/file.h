/* SPDX-License-Identifier: GPL-3.0-or-later */
/* file.h: whole small files: read with a limit, written so that a crash leaves the old or the new one. Any thread; blocks on disk. */
#pragma once

#include "core/buf.h"

/* file_read: appends the file to out (out->cap is the limit). 0, -ERR_NOT_FOUND, -ERR_DENIED, -ERR_TOO_BIG, -ERR_IO. */
int file_read(const char *path, struct buf *out) MUST_CHECK;

/* file_write: writes path.new, syncs it, renames it over path and syncs the folder. mode as for chmod. 0, -ERR_NO_SPACE, -ERR_DENIED, -ERR_IO. */
int file_write(const char *path, struct span data, mode_t mode) MUST_CHECK;

/* file_path: dir/name into out (a C string in a buffer of size n). 0 or -ERR_TOO_BIG. */
int file_path(char *out, size_t n, const char *dir, const char *name) MUST_CHECK;

/* file_mkdir: makes the folder with mode if it is not there. 0 or negative. */
int file_mkdir(const char *path, mode_t mode) MUST_CHECK;
