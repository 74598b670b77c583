/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * net.h: one connection of the command line program: a socket with TLS (or without, in tests), and waiting that a
 * signal interrupts. One thread.
 */
#pragma once

#include <poll.h>

#include "mgmtapi/cli/cli.h"

#define CLI_CONNECT_MS  10000             /* for name, connection and TLS together */
#define CLI_NET_OUT_MAX (8 * 1024 * 1024) /* ciphertext that waits for the socket */
#define CLI_POLL_MAX    4

struct cli_net;

/* Plaintext from the peer; a negative value ends the reading. */
typedef int cli_net_input_fn(void *arg, struct span data);

/*
 * cli_net_open: connects to cli->target and sets up TLS with ALPN h2. NULL with the error set. deadline_ms: monotonic, 0 none;
 * CLI_CONNECT_MS counts too.
 */
struct cli_net *cli_net_open(struct cli *cli, uint64_t deadline_ms);
/* cli_net_plain: takes the descriptor over, without TLS. NULL: no memory (the descriptor is closed). */
struct cli_net *cli_net_plain(int fd);
/* cli_net_free: sends what waits if the socket takes it at once, and closes. NULL is fine. */
void cli_net_free(struct cli_net *n);

/* cli_net_send: queues; cli_net_wait sends. 0 or negative: the connection is over. */
int cli_net_send(struct cli_net *n, struct span data) MUST_CHECK;
/* cli_net_unsent: octets that wait. */
size_t cli_net_unsent(const struct cli_net *n);

/*
 * cli_net_wait: sends, and waits until there is something to read (if want_read), to send, one of the extra descriptors is
 * ready, or the deadline (0: none). 0, -ERR_TIMEOUT, -ERR_CANCELLED (a signal), -ERR_CLOSED.
 */
struct cli_net_wait {
	bool want_read;
	uint64_t deadline_ms;
	struct pollfd *extra;
	size_t extra_len; /* CLI_POLL_MAX - 1 at most; entries with fd -1 are ignored */
};
int cli_net_wait(struct cli_net *n, const struct cli_net_wait *w) MUST_CHECK;

/* cli_net_pump: hands what has come (some 64 KiB at most) to input. 0, -ERR_CLOSED, -ERR_TLS, or what input returned. */
int cli_net_pump(struct cli_net *n, cli_net_input_fn *input, void *arg) MUST_CHECK;

/* cli_poll: poll(2) that a signal interrupts. > 0 ready, 0 the deadline passed, -ERR_CANCELLED, -ERR_IO. */
int cli_poll(struct pollfd *fds, size_t n, uint64_t deadline_ms) MUST_CHECK;
