/* SPDX-License-Identifier: GPL-3.0-or-later */
/* slab.c: pages of one size of blocks each; a page's header stands at its start, where every block of it finds it. */
#include "core/slab.h"
#include "core/list.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define STEP    8 /* sizes are multiples of it */
#define CLASSES (SLAB_SIZE_MAX / STEP)
#define PAGE    4096u

struct free_block {
	struct free_block *next;
};

struct page {
	struct list link; /* of the open ones of its class; on no list: full */
	struct free_block *free;
	uint16_t used;  /* blocks handed out now */
	uint16_t begun; /* blocks that were ever handed out: the first ones */
	_Alignas(STEP) uint8_t blocks[];
};

static struct {
	pthread_mutex_t lock;
	struct list open[CLASSES]; /* pages with room; next NULL: none yet */
	size_t held;
} slab = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t class_of(size_t size)
{
	ASSERT(size > 0 && size <= SLAB_SIZE_MAX);
	return (size - 1) / STEP;
}

static struct page *page_map(void)
{
	struct page *p =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	slab.held += PAGE;
	list_init(&p->link);
	return p;
}

static void page_unmap(struct page *p)
{
	list_remove(&p->link);
	slab.held -= PAGE;
	(void)munmap(p, PAGE);
}

/* A page of the class with room for one more, in the list. NULL: no memory. */
static struct page *page_open(struct list *open)
{
	struct page *p;

	if (open->next == NULL)
		list_init(open);
	if (!list_is_empty(open))
		return container_of(list_first(open), struct page, link);
	p = page_map();
	if (p != NULL)
		list_push_front(open, &p->link);
	return p;
}

static void *page_take(struct page *p, size_t size)
{
	struct free_block *b = p->free;

	if (b != NULL)
		p->free = b->next;
	else
		b = (struct free_block *)(void *)(p->blocks + size * p->begun++);
	p->used++;
	if (p->free == NULL && sizeof(*p) + size * (p->begun + 1u) > PAGE)
		list_remove(&p->link);
	return b;
}

static void *block_take(size_t class)
{
	struct page *p;
	void *b = NULL;

	pthread_mutex_lock(&slab.lock);
	p = page_open(&slab.open[class]);
	if (p != NULL)
		b = page_take(p, (class + 1) * STEP);
	pthread_mutex_unlock(&slab.lock);
	return b;
}

/* An empty page goes, unless it is the only one with room: what is given back is often wanted again. */
static void block_give(void *block, size_t class)
{
	struct page *p = (struct page *)(void *)((uint8_t *)block - (uintptr_t)block % PAGE);
	struct list *open = &slab.open[class];
	struct free_block *b = block;

	pthread_mutex_lock(&slab.lock);
	ASSERT(p->used > 0);
	if (list_is_empty(&p->link))
		list_push_front(open, &p->link);
	b->next = p->free;
	p->free = b;
	if (--p->used == 0 && open->next != open->prev)
		page_unmap(p);
	pthread_mutex_unlock(&slab.lock);
}

#ifdef __SANITIZE_ADDRESS__
#define HEAP true
#else
#define HEAP false
#endif

void *slab_alloc(size_t size)
{
	size_t class = class_of(size);

	return HEAP ? malloc(size) : block_take(class);
}

void slab_free(void *block, size_t size)
{
	size_t class = class_of(size);

	if (HEAP)
		free(block);
	else if (block != NULL)
		block_give(block, class);
}

size_t slab_held(void)
{
	size_t held;

	pthread_mutex_lock(&slab.lock);
	held = slab.held;
	pthread_mutex_unlock(&slab.lock);
	return held;
}
