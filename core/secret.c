/* SPDX-License-Identifier: GPL-3.0-or-later */
/* secret.c: copies, overwrites and compares secrets. */
#include "core/secret.h"
#include "core/err.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

int secret_set(struct secret *s, struct span value)
{
	uint8_t *p;

	if (value.len > SECRET_MAX) {
		secret_clear(s);
		return -ERR_TOO_BIG;
	}
	p = malloc(value.len + 1);
	if (p != NULL) {
		/* Before the old content goes: value may point into it. */
		if (value.len > 0)
			memcpy(p, value.ptr, value.len);
		p[value.len] = '\0';
	}
	secret_clear(s);
	if (p == NULL)
		return -ERR_NOMEM;
	s->hidden = p;
	s->len = value.len;
	return 0;
}

void secret_clear(struct secret *s)
{
	if (s->hidden != NULL)
		secret_zero(s->hidden, s->len);
	free(s->hidden);
	*s = (struct secret){0};
}

struct span secret_reveal(const struct secret *s)
{
	return s->hidden != NULL ? span_of(s->hidden, s->len) : span_str("");
}

bool secret_matches(const struct secret *s, struct span candidate)
{
	return secret_equal(secret_reveal(s), candidate);
}
