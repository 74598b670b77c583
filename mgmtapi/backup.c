/* SPDX-License-Identifier: GPL-3.0-or-later */
/* backup.c: see backup.h. */
#include "mgmtapi/backup.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/fiber.h"
#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct job {
	int (*fn)(void *arg);
	void *arg;
	struct completion done;
};

static void *job_main(void *arg)
{
	struct job *j = arg;

	completion_done(&j->done, j->fn(j->arg));
	return NULL;
}

int offload(int (*fn)(void *arg), void *arg)
{
	struct job j = {.fn = fn, .arg = arg};
	pthread_t thread;
	int err;

	completion_init(&j.done);
	if (pthread_create(&thread, NULL, job_main, &j) != 0)
		return -ERR_FULL;
	err = completion_wait(&j.done);
	(void)pthread_join(thread, NULL); /* it has only to return */
	return err;
}

static int hash_file(struct backup *b)
{
	struct span whole;
	struct stat st;
	void *at;

	if (fstat(b->fd, &st) != 0)
		return err_from_errno(errno);
	b->size = (uint64_t)st.st_size;
	if (b->size == 0)
		return -ERR_IO;
	at = mmap(NULL, b->size, PROT_READ, MAP_PRIVATE, b->fd, 0);
	if (at == MAP_FAILED)
		return err_from_errno(errno);
	whole = span_of(at, b->size);
	hash_once(HASH_SHA256, &whole, 1, b->sha256);
	(void)munmap(at, b->size);
	return 0;
}

int backup_make(void *arg)
{
	struct backup *b = arg;
	int err = store_backup(b->store, b->path, b->why);

	if (err != 0)
		return err;
	b->fd = open(b->path, O_RDONLY | O_CLOEXEC);
	return b->fd >= 0 ? hash_file(b) : err_from_errno(errno);
}

void backup_end(struct backup *b)
{
	if (b->fd >= 0)
		(void)close(b->fd);
	b->fd = -1;
	(void)unlink(b->path);
}

void backup_clean(const char *data_dir)
{
	DIR *d = opendir(data_dir);
	char path[PATH_MAX];

	if (d == NULL)
		return;
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		size_t n = strlen(e->d_name);

		if (strncmp(e->d_name, "backup-", 7) == 0 && n > 4 &&
		    strcmp(e->d_name + n - 4, ".tmp") == 0 &&
		    file_path(path, sizeof(path), data_dir, e->d_name) == 0)
			(void)unlink(path);
	}
	(void)closedir(d);
}
