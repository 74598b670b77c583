/* SPDX-License-Identifier: GPL-3.0-or-later */
/* file.c: whole small files. */
#include "core/file.h"
#include "core/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_CHUNK 4096

int file_read(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return err_from_errno(errno);
	while (n > 0) {
		size_t room = MIN((size_t)READ_CHUNK, out->cap - out->len);
		uint8_t *p = buf_reserve(out, MAX(room, (size_t)1));

		if (p == NULL)
			break;
		n = read(fd, p, MAX(room, (size_t)1));
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			out->len += (size_t)n;
	}
	if (n < 0)
		out->err = out->err != 0 ? out->err : -ERR_IO;
	close(fd);
	return out->err;
}

static int write_all(int fd, struct span data)
{
	while (data.len > 0) {
		ssize_t n = write(fd, data.ptr, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_from_errno(errno);
		data = span_of(data.ptr + n, data.len - (size_t)n);
	}
	return fsync(fd) == 0 ? 0 : err_from_errno(errno);
}

/* A rename is durable only when the folder that holds it is synced. */
static int sync_folder_of(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, err = 0;

	(void)snprintf(dir, sizeof(dir), "%.*s", slash != NULL ? (int)MAX(slash - path, 1) : 1,
	               slash != NULL ? path : ".");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_from_errno(errno);
	if (fsync(fd) != 0 && errno != EINVAL)
		err = err_from_errno(errno);
	close(fd);
	return err;
}

int file_write(const char *path, struct span data, mode_t mode)
{
	char tmp[PATH_MAX];
	int fd, err;

	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return -ERR_TOO_BIG;
	(void)unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return err_from_errno(errno);
	err = fchmod(fd, mode) == 0 ? write_all(fd, data) : err_from_errno(errno);
	if (close(fd) != 0 && err == 0)
		err = -ERR_IO;
	if (err == 0 && rename(tmp, path) != 0)
		err = err_from_errno(errno);
	if (err != 0) {
		(void)unlink(tmp);
		return err;
	}
	return sync_folder_of(path);
}

int file_path(char *out, size_t n, const char *dir, const char *name)
{
	int len = snprintf(out, n, "%s/%s", dir, name);

	return len >= 0 && (size_t)len < n ? 0 : -ERR_TOO_BIG;
}

int file_mkdir(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0)
		return 0;
	return errno == EEXIST ? 0 : err_from_errno(errno);
}
