/* SPDX-License-Identifier: GPL-3.0-or-later */
/* registry_facts.c: a device's facts as they are kept: as long as their texts, not as the longest that they may be. */
#include "gateway/registry_internal.h"

#include <stdlib.h>
#include <string.h>

struct kept_facts {
	uint64_t observed_ms;
	uint32_t sku;
	char text[]; /* host name, AMT version, build, control mode, each with its NUL */
};

#define TEXTS 4

struct kept_facts *facts_keep(const struct device_facts *f)
{
	const char *const texts[TEXTS] = {f->host_name, f->amt_version, f->build, f->control_mode};
	size_t len[TEXTS], all = 0, at = 0;
	struct kept_facts *k;

	for (unsigned i = 0; i < TEXTS; i++) {
		len[i] = strlen(texts[i]) + 1;
		all += len[i];
	}
	k = malloc(sizeof(*k) + all);
	if (k == NULL)
		return NULL;
	k->observed_ms = f->observed_ms;
	k->sku = f->sku;
	for (unsigned i = 0; i < TEXTS; at += len[i++])
		memcpy(k->text + at, texts[i], len[i]);
	return k;
}

void facts_read(const struct kept_facts *k, struct device_view *v)
{
	v->facts.observed_ms = k->observed_ms;
	v->facts.sku = k->sku;
	v->facts.host_name = k->text;
	v->facts.amt_version = strchr(v->facts.host_name, '\0') + 1;
	v->facts.build = strchr(v->facts.amt_version, '\0') + 1;
	v->facts.control_mode = strchr(v->facts.build, '\0') + 1;
}

const char *facts_host_name(const struct kept_facts *k)
{
	return k->text;
}
