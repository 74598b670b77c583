/* SPDX-License-Identifier: GPL-3.0-or-later */
/* notify.h: tells the service manager how it goes (the sd_notify datagram). */
#pragma once

/* notify_state: for example "READY=1\nSTATUS=..."; does nothing when nobody listens ($NOTIFY_SOCKET). */
void notify_state(const char *state);
