/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tickets.h: the keys of session tickets, in the store under seal, so that devices and API clients resume after a restart. All
 * workers and ports share them; a new one every 12 hours, and the one before it still opens.
 */
#pragma once

#include "core/tls_ticket.h"
#include "store/store.h"

/*
 * tickets_refresh: gives t the keys that are stored, after making a new one if the newest is due. A store that cannot be written
 * leaves a new key to this process alone. now_ms: Unix. Blocks on the store: not on a worker. 0, or why the store failed (logged; t has keys).
 */
int tickets_refresh(struct store *s, struct tls_tickets *t, uint64_t now_ms);
