/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * page.c: looks at the data file without LMDB, which maps it and would die (SIGBUS, an assertion) on a file that was cut off
 * or overwritten. The layout is that of LMDB 0.9 (lmdb's mdb.c: MDB_page, MDB_meta, MDB_db, MDB_node), data version 1, of this
 * machine's byte order and word size.
 */
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define META_MAGIC   0xBEEFC0DEu
#define META_VERSION 1
#define PAGE_MIN     256
#define PAGE_MAX     65536
#define NO_PAGE	     UINT64_MAX

struct db_head { /* MDB_db */
	uint32_t pad;
	uint16_t flags, depth;
	uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct meta_page { /* a page header and MDB_meta */
	uint64_t pgno;
	uint16_t pad, flags, lower, upper;
	uint32_t magic, version;
	uint64_t address, mapsize;
	struct db_head dbs[2]; /* free list, main */
	uint64_t last_pg, txnid;
};

struct page_file {
	int fd;
	uint64_t size, page_size, pages; /* pages: last used + 1 */
	struct meta_page meta;		 /* the newer one */
};

static int read_at(int fd, uint64_t at, void *out, size_t n)
{
	ssize_t got;

	do
		got = pread(fd, out, n, (off_t)at);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_from_errno(errno);
	return (size_t)got == n ? 0 : -ERR_CORRUPT;
}

static bool meta_valid(const struct meta_page *m)
{
	uint32_t size = m->dbs[0].pad;

	return m->magic == META_MAGIC && m->version == META_VERSION && size >= PAGE_MIN && size <= PAGE_MAX &&
	       (size & (size - 1)) == 0;
}

static bool root_valid(const struct meta_page *m, const struct db_head *db)
{
	return db->root == NO_PAGE || (db->root >= 2 && db->root <= m->last_pg);
}

static int read_metas(struct page_file *f, const char *path, struct buf *why)
{
	struct meta_page second;

	if (read_at(f->fd, 0, &f->meta, sizeof(f->meta)) != 0 || !meta_valid(&f->meta) ||
	    read_at(f->fd, f->meta.dbs[0].pad, &second, sizeof(second)) != 0 || !meta_valid(&second) ||
	    second.dbs[0].pad != f->meta.dbs[0].pad) {
		buf_printf(why, "%s is not a store, or its beginning was destroyed: restore a backup", path);
		return -ERR_CORRUPT;
	}
	if (second.txnid > f->meta.txnid)
		f->meta = second;
	f->page_size = f->meta.dbs[0].pad;
	f->pages = f->meta.last_pg + 1;
	if (f->pages < 2 || f->pages > f->size / f->page_size) {
		buf_printf(why,
			   "%s is cut off: it has %llu octets and should have at least %llu; restore a backup", path,
			   (unsigned long long)f->size, (unsigned long long)(f->pages * f->page_size));
		return -ERR_CORRUPT;
	}
	if (root_valid(&f->meta, &f->meta.dbs[0]) && root_valid(&f->meta, &f->meta.dbs[1]))
		return 0;
	buf_printf(why, "%s is damaged: its root page does not exist; restore a backup", path);
	return -ERR_CORRUPT;
}

static int open_file(struct page_file *f, const char *path, struct buf *why)
{
	struct stat st;
	int err = 0;

	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0 || fstat(f->fd, &st) != 0) {
		err = err_from_errno(errno);
		if (err != -ERR_NOT_FOUND)
			buf_printf(why, "cannot read %s: %s", path, err_text(err));
	}
	if (err == 0) {
		f->size = (uint64_t)st.st_size;
		if (f->size > 0) /* an empty one is what a crash at the very first start leaves; LMDB starts anew */
			err = read_metas(f, path, why);
	}
	if (err != 0 && f->fd >= 0)
		close(f->fd);
	return err;
}

int page_check_meta(const char *path, struct buf *why)
{
	struct page_file f;
	int err = open_file(&f, path, why);

	if (err == 0)
		close(f.fd);
	return err;
}
