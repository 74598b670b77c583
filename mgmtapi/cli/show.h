/* SPDX-License-Identifier: GPL-3.0-or-later */
/* show.h: what the commands share in showing messages of the API. One thread. */
#pragma once

#include "google/protobuf/timestamp.pb-c.h"
#include "mgmtapi/cli/cli.h"
#include "mgmtapi/cli/format.h"

#define CLI_TEXT(s) \
	((char *)(uintptr_t)(s)) /* protobuf-c's strings lack the const; they are only packed */

/* cli_ms_of: milliseconds since 1970; 0 for NULL. */
int64_t cli_ms_of(const Google__Protobuf__Timestamp *t);
/* cli_cell_age: a table's cell. cli_field_time: "2026-01-31 12:00:01 (3m ago)"; nothing if unset. */
void cli_cell_age(struct cli_table *t, const Google__Protobuf__Timestamp *when);
void cli_field_time(FILE *out, const char *label, const Google__Protobuf__Timestamp *when);
/* cli_power_word: "on", "off", "sleep", "?" for what is not known. Static string. */
const char *cli_power_word(int state);
/* cli_action_value: the PowerAction that a word of `power set` means; 0 if none. cli_action_word: the other way. */
int cli_action_value(const char *word);
const char *cli_action_word(int action);
#define CLI_ACTIONS "on|off|cycle|reset|soft-off|graceful-off|graceful-restart|sleep|hibernate|nmi"
/* cli_ports: "16992,16993"; "-" for none. */
void cli_ports(struct buf *out, const uint32_t *ports, size_t n);
/* cli_strings: joined by commas. */
void cli_strings(struct buf *out, char *const *s, size_t n);

/* cli_operation_follow: waits for the operation's end with progress on cli->err; frees it. The exit status for its outcome. */
int cli_operation_follow(struct cli *cli, ProtobufCMessage *operation);
/* cli_list_table: cli_list with a row function that fills the table; prints and frees it. */
int cli_list_table(struct cli *cli, const ProtobufCServiceDescriptor *service, const char *method,
                   ProtobufCMessage *request, cli_row_fn *row, struct cli_table *t);
/* cli_print_table: prints (not with --json) and frees the table. 0 or an exit status. */
int cli_print_table(struct cli *cli, struct cli_table *t);
/* cli_device_get: the device by id or name; to be freed. 0 or an exit status. */
int cli_device_get(struct cli *cli, const char *id, ProtobufCMessage **m) MUST_CHECK;
