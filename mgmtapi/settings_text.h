/* SPDX-License-Identifier: GPL-3.0-or-later */
/* settings_text.h: settings as text, for people. Pure; any thread. */
#pragma once

#include "core/conf.h"

/* settings_text: appends the value of a field of conf (a struct of the field's schema); lists have one entry a line. */
void settings_text(const struct conf_field *f, const void *conf, struct buf *out);

/* settings_need_restart: a change of this key counts only after a restart. */
bool settings_need_restart(const char *key);
