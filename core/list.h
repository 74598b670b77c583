/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * list.h: an intrusive doubly linked list: a ring through a head. An item that is on no list points at itself, so that removing
 * it twice is harmless. The list owns nothing; one thread at a time.
 */
#pragma once

#include "core/base.h"

struct list {
	struct list *next, *prev;
};

/* list_init: an empty head, or an item that is on no list. Required before anything else. */
static inline void list_init(struct list *l)
{
	l->next = l;
	l->prev = l;
}

/* list_is_empty: of a head; of an item: it is on no list. */
static inline bool list_is_empty(const struct list *l)
{
	return l->next == l;
}

/* list_insert_after: item, on no list, goes behind at. */
static inline void list_insert_after(struct list *at, struct list *item)
{
	item->prev = at;
	item->next = at->next;
	at->next->prev = item;
	at->next = item;
}

static inline void list_push_front(struct list *head, struct list *item)
{
	list_insert_after(head, item);
}

static inline void list_push_back(struct list *head, struct list *item)
{
	list_insert_after(head->prev, item);
}

/* list_remove: takes the item off whatever list it is on. */
static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

/* list_pop_front: the first item, taken off, or NULL. */
static inline struct list *list_pop_front(struct list *head)
{
	struct list *item = head->next;

	if (item == head)
		return NULL;
	list_remove(item);
	return item;
}

/* list_first, list_last: without taking it off; NULL if empty. */
static inline struct list *list_first(const struct list *head)
{
	return head->next != head ? head->next : NULL;
}

static inline struct list *list_last(const struct list *head)
{
	return head->prev != head ? head->prev : NULL;
}

/* list_splice_back: moves all items of from behind those of head; from is empty afterwards. */
static inline void list_splice_back(struct list *head, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = head->prev;
	from->prev->next = head;
	head->prev->next = from->next;
	head->prev = from->prev;
	list_init(from);
}

#define list_entry(item, type, member) container_of(item, type, member)

/* Walks all items. The body may remove (and free) the present item, nothing else: after holds the one behind it. */
#define LIST_FOREACH(item, after, head)                                             \
	for (struct list *item = (head)->next, *after = item->next; item != (head); \
	     item = after, after = item->next)
