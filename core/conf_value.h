/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf_value.h: one configuration value: from text to the member of a struct, and its description. Internal to core/conf*.c. */
#pragma once

#include "core/conf.h"

enum conf_verdict { CONF_OK, CONF_WRONG_TYPE, CONF_OUT_OF_RANGE, CONF_NO_MEMORY };

#define CONF_DESCRIBE_MAX 320

/* conf_value_set: parses a scalar into member (which held a valid value before). Not for lists. */
enum conf_verdict conf_value_set(const struct conf_field *f, const char *text, void *member);
/* conf_value_append: parses one entry of a list (not CONF_ITEMS) and appends it. CONF_OUT_OF_RANGE: too many. */
enum conf_verdict conf_value_append(const struct conf_field *f, const char *text, void *member);
/* conf_value_clear: frees what the member owns and makes it empty (not CONF_ITEMS); never NULL strings come from set. */
void conf_value_clear(const struct conf_field *f, void *member);
/* conf_value_describe: what is allowed, for messages and the sample file. */
const char *conf_value_describe(const struct conf_field *f, char out[CONF_DESCRIBE_MAX]);
bool conf_type_is_list(enum conf_type type);
/* conf_list_max: most entries of a list field. */
uint64_t conf_list_max(const struct conf_field *f);
