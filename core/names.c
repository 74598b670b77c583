/* SPDX-License-Identifier: GPL-3.0-or-later */
/* names.c: a map from the text to a counted copy of it. */
#include "core/names.h"

#include <stdlib.h>
#include <string.h>

struct name {
	size_t refs;
	char text[];
};

void names_init(struct names *n, uint32_t max)
{
	map_init(&n->map, 0, max);
}

void names_free(struct names *n)
{
	ASSERT(n->map.count == 0);
	map_free(&n->map);
}

const char *names_take(struct names *n, const char *text)
{
	struct span key = span_str(text);
	struct name *name = map_get(&n->map, key);

	if (name == NULL) {
		name = malloc(sizeof(*name) + key.len + 1);
		if (name == NULL)
			return NULL;
		name->refs = 0;
		memcpy(name->text, text, key.len + 1);
		if (map_put(&n->map, key, name) != 0) {
			free(name);
			return NULL;
		}
	}
	name->refs++;
	return name->text;
}

void names_give(struct names *n, const char *text)
{
	struct name *name;

	if (text == NULL)
		return;
	name = map_get(&n->map, span_str(text));
	ASSERT(name != NULL && name->text == text && name->refs > 0);
	if (--name->refs > 0)
		return;
	(void)map_remove(&n->map, span_str(text));
	free(name);
}
