/* SPDX-License-Identifier: GPL-3.0-or-later */
/* metrics_sources.h: figures of the store, the loops and the process as metrics that are read when they are shown. */
#pragma once

#include "core/loop.h"
#include "store/store.h"

/* metrics_sources: registers them; once. Everything is borrowed until metrics_sources_end. */
void metrics_sources(struct store *store, struct loop *const *loops, size_t loops_len);
/* metrics_sources_end: forgets them; before the store or a loop goes away. */
void metrics_sources_end(void);
