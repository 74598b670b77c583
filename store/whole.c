/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * whole.c: notices that somebody cut the data file off, or removed it, under the running daemon. LMDB maps the file: touching a page that
 * is gone is SIGBUS, and with it every tunnel. So each transaction looks at the file's size first (one fstat), and a store that is
 * not whole any more is left alone until the daemon is started on a file that is. What this cannot catch is a cut within
 * the milliseconds of a transaction.
 */
#include "core/log.h"
#include "store/internal.h"

#include <sys/stat.h>

static bool file_stat(const struct store *s, struct stat *st)
{
	mdb_filehandle_t fd;

	return mdb_env_get_fd(s->env, &fd) == 0 && fstat(fd, st) == 0;
}

void store_grown(struct store *s)
{
	struct stat st;

	if (file_stat(s, &st) && (uint64_t)st.st_size > atomic_load(&s->file_size))
		atomic_store(&s->file_size, (uint64_t)st.st_size);
}

static void broken(struct store *s, const char *what)
{
	if (atomic_exchange(&s->broken, true))
		return;
	log_event(LOG_ERROR, "store_broken", LOG_STR("file", s->data_path), LOG_STR("why", what),
	          LOG_STR("do", "tunnels stay; stop the daemon and restore a backup"));
}

int store_whole(struct store *s)
{
	/* Before the look at the file: the writer may make both larger meanwhile. */
	uint64_t least = atomic_load(&s->file_size);
	struct stat st;

	if (atomic_load(&s->broken))
		return -ERR_CORRUPT;
	if (!file_stat(s, &st))
		return -ERR_IO;
	if ((uint64_t)st.st_size < least)
		broken(s, "the file was cut off while the daemon was running");
	else if (!s->read_only && st.st_nlink == 0)
		broken(s, "the file was removed while the daemon was running");
	return atomic_load(&s->broken) ? -ERR_CORRUPT : 0;
}

int store_begin(struct store *s, unsigned flags, MDB_txn **txn)
{
	int err = store_whole(s);

	return err != 0 ? err : store_err(mdb_txn_begin(s->env, NULL, flags, txn));
}
