/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sim_cim.h: the classes and instances that one simulated device answers for: a read-only table shared by all devices
 * (sim_cim_data.c) and what clients changed on top of it. Pure; owned by one device.
 *
 * An instance is text, one member a line, members in the order firmware sends them:
 *   Name=value               a plain value (arrays repeat the line)
 *   Name@Class|Key=v|Key=v   a reference to an instance of Class
 *   Name#2020-08-10T00:00:00Z  a date, sent as common:Datetime
 * Instances of a class are separated by an empty line. $word in the table is replaced by the device's own value.
 */
#pragma once

#include "core/buf.h"
#include "core/text.h"

#define SIM_CIM_TEXT_MAX     (16UL * 1024) /* one instance */
#define SIM_CIM_OVERLAYS_MAX 64            /* changed, created or deleted instances of one device */
#define SIM_CIM_NAME_MAX     64

enum sim_cim_flags {
	SIM_CIM_PUT = 1,
	SIM_CIM_CREATE = 2,
	SIM_CIM_DELETE = 4,
	SIM_CIM_STRICT = 8, /* a Put that contains a member of read_only is refused */
	SIM_CIM_COMMON =
		16, /* below CIM_ManagedSystemElement: answers declare the common namespace */
	SIM_CIM_ENUM_ONLY = 32, /* Get is not supported */
};

struct sim_cim_class {
	const char *name;
	const char
		*items; /* name of the class whose instances an enumeration yields; NULL: its own */
	const char *keys; /* names with a comma after each */
	unsigned flags;
	const char *instances; /* NULL with items */
	const char *optional;  /* members that a Put may add; with a comma after each; or NULL */
	const char *read_only; /* with SIM_CIM_STRICT; or NULL */
};

struct sim_cim_overlay;

struct sim_cim {
	/* Appends the device's value for $word; unknown words append nothing. */
	void (*variable)(void *user, const char *word, struct buf *out);
	void *user;
	struct sim_cim_overlay *overlays;
	size_t overlays_len;
};

void sim_cim_init(struct sim_cim *c, void (*variable)(void *, const char *, struct buf *),
                  void *user);
void sim_cim_free(struct sim_cim *c);

/* sim_cim_class_by_name: NULL if this firmware lacks it. sim_cim_class_by_uri: by resource URI; the prefix must be right, too. */
const struct sim_cim_class *sim_cim_class_by_name(const char *name);
const struct sim_cim_class *sim_cim_class_by_uri(const char *uri);
/* sim_cim_put_uri: appends the resource URI of a class name (amt.md A.5). */
void sim_cim_put_uri(struct buf *b, const char *name);

/* sim_cim_text: the index-th instance; 0, -ERR_NOT_FOUND past the end, -ERR_REFUSED for one that was deleted (go on). */
int sim_cim_text(const struct sim_cim *c, const struct sim_cim_class *cls, size_t index,
                 struct buf *out) MUST_CHECK;

/*
 * sim_cim_find: the instance that all selector lines match. index and text are set. 0; -ERR_NOT_FOUND; -ERR_INVALID: a selector
 * is no key, or none was given and there are several instances.
 */
int sim_cim_find(const struct sim_cim *c, const struct sim_cim_class *cls, struct span selectors,
                 size_t *index, struct buf *text) MUST_CHECK;

/* sim_cim_member: the value of the first line of that name: all after the name with its mark. false: absent. */
bool sim_cim_member(struct span text, const char *name, struct span *value);
/* sim_cim_value: the same as a string without the mark; false if absent or too long. */
bool sim_cim_value(struct span text, const char *name, char *out, size_t size);

/* sim_cim_replace: stores new text for an instance. 0, -ERR_FULL, -ERR_NOMEM. */
int sim_cim_replace(struct sim_cim *c, const struct sim_cim_class *cls, size_t index,
                    struct span text) MUST_CHECK;
int sim_cim_create(struct sim_cim *c, const struct sim_cim_class *cls, struct span text) MUST_CHECK;
int sim_cim_delete(struct sim_cim *c, const struct sim_cim_class *cls, size_t index) MUST_CHECK;
/* sim_cim_restore: forgets what was changed in a class. */
void sim_cim_restore(struct sim_cim *c, const struct sim_cim_class *cls);
/* sim_cim_set: changes one plain member of an instance. */
int sim_cim_set(struct sim_cim *c, const struct sim_cim_class *cls, size_t index,
                const char *line) MUST_CHECK;

/*
 * sim_cim_merge: what a Put of params makes of text: same members keep their place, optional ones go to theirs.
 * 0, -ERR_INVALID for a member that the class lacks or that may not be written.
 */
int sim_cim_merge(const struct sim_cim_class *cls, struct span text, struct span params,
                  struct buf *out) MUST_CHECK;

/* sim_cim_list_has: whether "a,b," has the name. */
bool sim_cim_list_has(const char *list, struct span name);
/* sim_cim_next_line: cuts the next line off *rest; false at the end. */
bool sim_cim_next_line(struct span *rest, struct span *line);
/* sim_cim_line_name: the member's name; its mark is the octet after it. */
struct span sim_cim_line_name(struct span line);

extern const struct sim_cim_class sim_cim_classes[];
extern const size_t sim_cim_classes_len;
