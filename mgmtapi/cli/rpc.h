/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rpc.h: the steps of one call, for what moves octets both ways; everything else uses cli_call and cli_stream. One thread. */
#pragma once

#include "mgmtapi/cli/cli.h"
#include "mgmtapi/cli/net.h"

/* cli_rpc_start: connects if there is no connection, and begins the call. 0 or an exit status with the error set. */
int cli_rpc_start(struct cli *cli, const ProtobufCServiceDescriptor *service,
                  const char *method) MUST_CHECK;
/* cli_rpc_send: queues a message. cli_rpc_end: no more will come. 0 or an exit status. */
int cli_rpc_send(struct cli *cli, const ProtobufCMessage *m) MUST_CHECK;
void cli_rpc_end(struct cli *cli);
/* cli_rpc_unsent: octets that the server has not taken yet. */
size_t cli_rpc_unsent(const struct cli *cli);
/*
 * cli_rpc_step: waits until something happened: on the connection (if w->want_read), on one of the extra descriptors, or w's
 * deadline passed (that is no error). The call's own deadline and an interruption cancel the call. 0 or an exit status.
 */
int cli_rpc_step(struct cli *cli, struct cli_net_wait *w) MUST_CHECK;
/* cli_rpc_next: the next message that has come, to be freed with free_unpacked; NULL none. 0 or an exit status. */
int cli_rpc_next(struct cli *cli, ProtobufCMessage **m) MUST_CHECK;
/* cli_rpc_ended: the server ended the call and every message was taken. cli_rpc_result: how; 0 or an exit status. */
bool cli_rpc_ended(const struct cli *cli);
int cli_rpc_result(struct cli *cli) MUST_CHECK;
/* cli_rpc_cancel: ends it from here. */
void cli_rpc_cancel(struct cli *cli);
/* cli_rpc_adopt: uses a connected descriptor without TLS instead of connecting (tests). 0 or -ERR_NOMEM. */
int cli_rpc_adopt(struct cli *cli, int fd) MUST_CHECK;
