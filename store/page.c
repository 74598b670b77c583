/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * page.c: looks at the data file without LMDB, which maps it and would die (SIGBUS, an assertion) on a file that was cut off
 * or overwritten. The layout is that of LMDB 0.9 (lmdb's mdb.c: MDB_page, MDB_meta, MDB_db, MDB_node), data version 1, of this
 * machine's byte order and word size.
 */
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define META_MAGIC   0xBEEFC0DEu
#define META_VERSION 1
#define PAGE_MIN     256
#define PAGE_MAX     65536
#define NO_PAGE      UINT64_MAX
#define HEADER_SIZE  16
#define NODE_SIZE    8
#define DEPTH_MAX    32
#define TREES_MAX    32
enum { PAGE_BRANCH = 0x01, PAGE_LEAF = 0x02, PAGE_OVERFLOW = 0x04, PAGE_KIND = 0x6f };
enum { NODE_BIG = 0x01, NODE_TREE = 0x02, NODE_DUP = 0x04 };

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
	struct meta_page meta;           /* the newer one */
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

	return m->magic == META_MAGIC && m->version == META_VERSION && size >= PAGE_MIN &&
	       size <= PAGE_MAX && (size & (size - 1)) == 0;
}

static bool root_valid(const struct meta_page *m, const struct db_head *db)
{
	return db->root == NO_PAGE || (db->root >= 2 && db->root <= m->last_pg);
}

static int read_metas(struct page_file *f, const char *path, struct buf *why)
{
	struct meta_page second;
	uint64_t need;

	if (read_at(f->fd, 0, &f->meta, sizeof(f->meta)) != 0 || !meta_valid(&f->meta) ||
	    read_at(f->fd, f->meta.dbs[0].pad, &second, sizeof(second)) != 0 ||
	    !meta_valid(&second) || second.dbs[0].pad != f->meta.dbs[0].pad) {
		buf_printf(why,
		           "%s is not a store, or its beginning was destroyed: restore a backup",
		           path);
		return -ERR_CORRUPT;
	}
	if (second.txnid > f->meta.txnid)
		f->meta = second;
	f->page_size = f->meta.dbs[0].pad;
	f->pages = f->meta.last_pg + 1;
	need = f->pages * f->page_size;
	if (f->pages < 2 || f->pages > f->size / f->page_size) {
		buf_printf(why,
		           "%s is cut off: it has %llu octets and should have at least %llu; "
		           "restore a backup",
		           path, (unsigned long long)f->size, (unsigned long long)need);
		return -ERR_CORRUPT;
	}
	if (root_valid(&f->meta, &f->meta.dbs[0]) && root_valid(&f->meta, &f->meta.dbs[1]))
		return 0;
	buf_printf(why, "%s is damaged: its root page does not exist; restore a backup", path);
	return -ERR_CORRUPT;
}

static int open_file(struct page_file *f, const char *path, struct buf *why)
{
	struct stat st = {.st_size = 0};
	int err = 0;

	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0 || fstat(f->fd, &st) != 0) {
		err = err_from_errno(errno);
		if (err != -ERR_NOT_FOUND)
			buf_printf(why, "cannot read %s: %s", path, err_text(err));
	}
	if (err == 0) {
		f->size = (uint64_t)st.st_size;
		if (f->size >
		    0) /* an empty one is what a crash at the very first start leaves; LMDB starts anew */
			err = read_metas(f, path, why);
	}
	if (err != 0 && f->fd >= 0) {
		close(f->fd);
		f->fd = -1;
	}
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

/* ---- the trees ---- */

struct frame {
	unsigned at, count;
};

struct walker {
	struct page_file f;
	const char *path;
	struct buf *why;
	uint8_t *seen;  /* a bit a page */
	uint8_t *pages; /* DEPTH_MAX page buffers */
	struct frame frames[DEPTH_MAX];
	struct db_head trees[TREES_MAX]; /* main first; the named ones are found in it */
	size_t trees_len;
	bool main_tree, free_tree; /* which one is being walked */
	uint64_t visited, visited_max, nodes;
};

struct node { /* of a leaf */
	uint32_t data_len;
	uint16_t flags, key_len;
	const uint8_t *data;
};

static uint16_t load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int bad_page(struct walker *w, uint64_t pgno, const char *what)
{
	buf_printf(w->why, "%s is damaged: page %llu %s; restore a backup", w->path,
	           (unsigned long long)pgno, what);
	return -ERR_CORRUPT;
}

/* Every page is used once: a second use, a page beyond the end, or a free page in use is damage. */
static int claim(struct walker *w, uint64_t pgno)
{
	if (pgno < 2 || pgno >= w->f.pages)
		return bad_page(w, pgno, "is used and does not exist");
	if ((w->seen[pgno / 8] & 1u << pgno % 8) != 0)
		return bad_page(w, pgno, "is used twice");
	w->seen[pgno / 8] = (uint8_t)(w->seen[pgno / 8] | 1u << pgno % 8);
	return ++w->visited > w->visited_max ? -ERR_FULL : 0;
}

/* All nodes of a page lie inside it. */
static bool nodes_fit(const struct walker *w, const uint8_t *page, unsigned count, bool leaf)
{
	uint16_t upper = load16(page + 14);

	for (unsigned i = 0; i < count; i++) {
		size_t at = load16(page + HEADER_SIZE + (size_t)2 * i), need;
		const uint8_t *n = page + at;

		if (at < upper || at + NODE_SIZE > w->f.page_size)
			return false;
		need = NODE_SIZE + (size_t)load16(n + 6);
		if (leaf)
			need += (load16(n + 4) & NODE_BIG) != 0
			                ? 8
			                : (size_t)load16(n) | (size_t)load16(n + 2) << 16;
		if (need > w->f.page_size - at)
			return false;
	}
	return true;
}

/* Loads a page of a tree into the buffer of its level. */
static int enter(struct walker *w, unsigned level, uint64_t pgno, bool leaf)
{
	uint8_t *page = w->pages + level * w->f.page_size;
	uint16_t lower, upper;
	int err = claim(w, pgno);

	if (err == 0 && read_at(w->f.fd, pgno * w->f.page_size, page, w->f.page_size) != 0)
		err = bad_page(w, pgno, "cannot be read");
	if (err != 0)
		return err;
	lower = load16(page + 12);
	upper = load16(page + 14);
	if (load64(page) != pgno ||
	    (load16(page + 10) & PAGE_KIND) != (leaf ? PAGE_LEAF : PAGE_BRANCH))
		return bad_page(w, pgno, "is not what it should be");
	if (lower < HEADER_SIZE + (leaf ? 2 : 4) || (lower & 1) != 0 || lower > upper ||
	    upper > w->f.page_size || !nodes_fit(w, page, (lower - HEADER_SIZE) / 2u, leaf))
		return bad_page(w, pgno, "has broken contents");
	w->frames[level] = (struct frame){.count = (lower - HEADER_SIZE) / 2u};
	return 0;
}

/* A value that fills pages of its own. */
static int claim_overflow(struct walker *w, uint64_t pgno, uint32_t len)
{
	uint64_t n = (HEADER_SIZE - 1 + (uint64_t)len) / w->f.page_size + 1;
	uint8_t head[HEADER_SIZE];
	uint32_t pages;
	int err = 0;

	if (pgno >= w->f.pages || read_at(w->f.fd, pgno * w->f.page_size, head, sizeof(head)) != 0)
		return bad_page(w, pgno, "is used and does not exist");
	memcpy(&pages, head + 12, sizeof(pages));
	if (load64(head) != pgno || (load16(head + 10) & PAGE_KIND) != PAGE_OVERFLOW || pages < n)
		return bad_page(w, pgno, "is not what it should be");
	for (uint64_t i = 0; i < pages && err == 0; i++)
		err = claim(w, pgno + i);
	return err;
}

/* A value of the free list: a count and page numbers. chunk by chunk, as it may be megabytes. */
static int claim_free(struct walker *w, const struct node *n)
{
	uint64_t ids[256], count = 0, left = n->data_len / 8, at = 0;
	int err = 0;

	if ((n->flags & NODE_BIG) != 0)
		at = load64(n->data) * w->f.page_size + HEADER_SIZE;
	for (uint64_t done = 0; err == 0 && left > 0; done += ARRAY_LEN(ids)) {
		size_t m = (size_t)MIN(left, (uint64_t)ARRAY_LEN(ids)), i = 0;

		if (at == 0)
			memcpy(ids, n->data + done * 8, m * 8);
		else if (read_at(w->f.fd, at + done * 8, ids, m * 8) != 0)
			return bad_page(w, at / w->f.page_size, "cannot be read");
		left -= m;
		if (done == 0) {
			count = ids[i++];
			if (count > n->data_len / 8 - 1)
				return bad_page(w, w->f.meta.dbs[0].root,
				                "leads to a broken list of free pages");
		}
		for (; i < m && count > 0 && err == 0; i++, count--)
			err = claim(w, ids[i]);
	}
	return err;
}

static int visit_leaf(struct walker *w, const uint8_t *p)
{
	struct node n = {.data_len = (uint32_t)load16(p) | (uint32_t)load16(p + 2) << 16,
	                 .flags = load16(p + 4),
	                 .key_len = load16(p + 6)};
	int err = 0;

	n.data = p + NODE_SIZE + n.key_len;
	w->nodes++;
	if ((n.flags & NODE_BIG) != 0)
		err = claim_overflow(w, load64(n.data), n.data_len);
	if (err == 0 && w->free_tree)
		return claim_free(w, &n);
	if (err != 0 || (n.flags & (NODE_TREE | NODE_DUP)) == 0)
		return err;
	if (!w->main_tree || n.flags != NODE_TREE || n.data_len != sizeof(struct db_head) ||
	    w->trees_len == TREES_MAX)
		return bad_page(w, w->f.meta.dbs[1].root, "leads to a table that cannot be");
	memcpy(&w->trees[w->trees_len++], n.data, sizeof(struct db_head));
	return 0;
}

/* Depth first; the depth of every leaf is the tree's. */
static int walk_tree(struct walker *w, const struct db_head *db)
{
	unsigned top = 0, last = db->depth - 1u;
	int err;

	w->nodes = 0;
	if (db->root == NO_PAGE)
		return 0;
	if (db->depth == 0 || db->depth > DEPTH_MAX)
		return bad_page(w, db->root, "has an impossible depth");
	err = enter(w, 0, db->root, last == 0);
	while (err == 0) {
		struct frame *f = &w->frames[top];
		const uint8_t *page = w->pages + top * w->f.page_size, *n;

		if (f->at == f->count) {
			if (top == 0)
				break;
			top--;
			continue;
		}
		n = page + load16(page + HEADER_SIZE + (size_t)2 * f->at++);
		if (top == last) {
			err = visit_leaf(w, n);
			continue;
		}
		top++;
		err = enter(w, top,
		            load16(n) | (uint64_t)load16(n + 2) << 16 |
		                    (uint64_t)load16(n + 4) << 32,
		            top == last);
	}
	if (err == 0 && w->nodes != db->entries)
		return bad_page(w, db->root, "has another number of entries than it should");
	return err;
}

static int walk_all(struct walker *w)
{
	int err = 0;

	w->trees[0] = w->f.meta.dbs[1];
	w->trees_len = 1;
	for (size_t i = 0; i < w->trees_len && err == 0; i++) {
		w->main_tree = i == 0;
		err = walk_tree(w, &w->trees[i]);
	}
	w->main_tree = false;
	w->free_tree = true;
	return err != 0 ? err : walk_tree(w, &w->f.meta.dbs[0]);
}

int page_check_tree(const char *path, uint64_t pages_max, struct buf *why)
{
	struct walker *w = calloc(1, sizeof(*w));
	int err;

	if (w == NULL)
		return -ERR_NOMEM;
	w->path = path;
	w->why = why;
	w->visited_max = pages_max;
	err = open_file(&w->f, path, why);
	if (err == 0 && w->f.size > 0) {
		w->seen = calloc(1, w->f.pages / 8 + 1);
		w->pages = malloc(DEPTH_MAX * w->f.page_size);
		err = w->seen != NULL && w->pages != NULL ? walk_all(w) : -ERR_NOMEM;
	}
	if (w->f.fd >= 0)
		close(w->f.fd);
	free(w->seen);
	free(w->pages);
	free(w);
	return err;
}
