/* SPDX-License-Identifier: GPL-3.0-or-later */
/* api_tls.h: the TLS context of the API port: the operator's certificate, or one from our root. For the composition root. */
#pragma once

#include "core/tls.h"
#include "gateway/settings.h"

/* api_tls_make: tickets may be NULL. NULL with a sentence in why. Blocks on disk, and on key generation at first start. */
struct tls_ctx *api_tls_make(const struct settings *s, const char *data_dir,
                             struct tls_tickets *tickets, struct buf *why);
