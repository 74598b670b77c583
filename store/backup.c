/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * backup.c: a copy of the environment while it is in use, and the way back. A backup holds no keys: its secrets are sealed with
 * the keys that were in the key file when it was made, so that file must be kept as long as the backup, and apart from it.
 */
#include "store/internal.h"
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_CHUNK 8192

/* The folder of a path, opened, to sync a rename in it. */
static int sync_folder(const char *path)
{
	char dir[PATH_MAX];
	char *slash;
	int fd, err = 0;

	if (!str_copy(dir, sizeof(dir), path))
		return -ERR_TOO_BIG;
	slash = strrchr(dir, '/');
	if (slash == NULL)
		(void)str_copy(dir, sizeof(dir), ".");
	else
		slash[slash == dir ? 1 : 0] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_from_errno(errno);
	if (fsync(fd) != 0)
		err = err_from_errno(errno);
	close(fd);
	return err;
}

static int give_name(const char *part, const char *path)
{
	if (renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) != 0)
		return err_from_errno(errno);
	return sync_folder(path);
}

int store_backup(struct store *s, const char *path, struct buf *why)
{
	char part[PATH_MAX];
	int fd, err = 0;

	if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part))
		return -ERR_TOO_BIG;
	(void)unlink(part);
	if (access(path, F_OK) == 0) {
		buf_printf(why, "%s is there already: give the backup a new name", path);
		return -ERR_EXISTS;
	}
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		err = err_from_errno(errno);
	if (err == 0)
		err = store_whole(s);
	if (err == 0)
		err = store_err(mdb_env_copyfd2(s->env, fd, MDB_CP_COMPACT));
	if (err == 0 && fsync(fd) != 0)
		err = err_from_errno(errno);
	if (fd >= 0 && close(fd) != 0 && err == 0)
		err = -ERR_IO;
	if (err == 0)
		err = give_name(part, path);
	if (err != 0) {
		if (fd >= 0)
			(void)unlink(part);
		buf_printf(why, "cannot write the backup %s: %s", path, err_text(err));
	}
	return err;
}

static int copy_bytes(int from, int to)
{
	uint8_t chunk[COPY_CHUNK];
	ssize_t n;

	while ((n = read(from, chunk, sizeof(chunk))) != 0) {
		ssize_t done = 0, m;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_from_errno(errno);
		for (; done < n; done += m) {
			m = write(to, chunk + done, (size_t)(n - done));
			if (m < 0)
				return err_from_errno(errno);
		}
	}
	return fsync(to) == 0 ? 0 : err_from_errno(errno);
}

static int copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out, err;

	if (in < 0)
		return err_from_errno(errno);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0) {
		err = err_from_errno(errno);
		close(in);
		return err;
	}
	err = copy_bytes(in, out);
	close(in);
	if (close(out) != 0 && err == 0)
		err = -ERR_IO;
	return err;
}

/* What the copy is worth is known before it gets its place. */
static int check_copy(const char *env, struct buf *why)
{
	struct store *s = store_open_for_check(env, why);
	char lines[PATH_MAX];
	struct buf out;
	int n;

	if (s == NULL)
		return -ERR_CORRUPT;
	buf_init(&out, 1 << 20);
	n = store_check(s, &out);
	store_close(s);
	if (n != 0) {
		(void)str_copy(lines, sizeof(lines), buf_cstr(&out));
		buf_printf(why, "the backup is damaged (%d problems): %s", n, lines);
	}
	buf_free(&out);
	if (file_path(lines, sizeof(lines), env, "lock.mdb") == 0)
		(void)unlink(lines);
	return n == 0 ? 0 : n < 0 ? n : -ERR_CORRUPT;
}

static int restore_into(const char *backup, const char *env, const char *place, struct buf *why)
{
	char data[PATH_MAX];
	size_t said = why->len;
	int err = file_path(data, sizeof(data), env, "data.mdb");

	if (err == 0)
		err = file_mkdir(env, 0700);
	if (err == 0)
		err = copy_file(backup, data);
	if (err == 0)
		err = check_copy(env, why);
	if (err == 0)
		err = sync_folder(data);
	if (err == 0)
		err = give_name(env, place);
	if (err != 0) {
		(void)unlink(data);
		(void)rmdir(env);
		if (why->len == said)
			buf_printf(why, "cannot restore %s to %s: %s", backup, place,
			           err_text(err));
		else
			buf_printf(why, " (a copy of %s, which was to be restored)", backup);
	}
	return err;
}

int store_restore(const char *backup, const char *dir, struct buf *why)
{
	char env[PATH_MAX], place[PATH_MAX];
	int err = file_path(env, sizeof(env), dir, "store.restore");

	if (err == 0)
		err = file_path(place, sizeof(place), dir, "store");
	if (err == 0)
		err = file_mkdir(dir, 0700);
	if (err != 0) {
		buf_printf(why, "cannot use the folder %s: %s", dir, err_text(err));
		return err;
	}
	if (access(place, F_OK) == 0) {
		buf_printf(why,
		           "there is a store in %s already: move it away first, or restore into "
		           "another folder",
		           dir);
		return -ERR_EXISTS;
	}
	return restore_into(backup, env, place, why);
}
