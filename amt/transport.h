/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * transport.h: a byte stream to the device's WSMAN port: a channel to 16992, or TLS inside a channel to 16993 with the certificate pinned on
 * first use (amt.md A.4). In a fiber on the tunnel's worker.
 */
#pragma once

#include "amt/amt.h"

#define AMT_PORT_HTTP  16992
#define AMT_PORT_HTTPS 16993

struct transport;

/* transport_open: opens the channel and, for 16993, does the handshake and checks the pin. 0 or negative with why. */
int transport_open(struct tunnel *t, struct transport **out, struct amt_error *why) MUST_CHECK;
/* transport_write: 0 when all is taken. transport_read: > 0, 0 at the end, negative. */
int transport_write(struct transport *tr, struct span s) MUST_CHECK;
ssize_t transport_read(struct transport *tr, void *out, size_t n) MUST_CHECK;
/* transport_usable: another request may be sent on it: open, and nothing unexpected has arrived. */
bool transport_usable(const struct transport *tr);
/* transport_close: frees it; never blocks. */
void transport_close(struct transport *tr);
/* transport_port: which port it goes to. */
uint16_t transport_port(const struct transport *tr);
