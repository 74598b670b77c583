/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cli.h: what the parts of the command line program share: one run of it, its error, exit statuses, calls of the API, and
 * output. The program is a client of the API like any other; it has one thread and blocks where it waits.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

#include "core/buf.h"
#include "core/secret.h"
#include "mgmtapi/cli/args.h"

/* Exit statuses; the help documents them. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,      /* the server said no, or something here failed */
	CLI_USAGE = 2,       /* wrong command line */
	CLI_NOT_FOUND = 3,   /* no such device, group, ... */
	CLI_STATE = 4,       /* device not connected, or its state does not allow it */
	CLI_DENIED = 5,      /* not authenticated or not permitted */
	CLI_UNAVAILABLE = 6, /* no connection, no answer in time */
	CLI_INTERRUPTED = 130,
};

#define CLI_TIMEOUT_MS     60000
#define CLI_MESSAGE_MAX    (32 * 1024 * 1024) /* octets of one message from the server */
#define CLI_SEND_MAX       (4 * 1024 * 1024)  /* octets of one message to it */
#define CLI_HOST_MAX       256
#define CLI_REASON_MAX     64
#define CLI_ERROR_TEXT_MAX 8192
#define CLI_PATH_MAX       4096
#define CLI_TOKEN_MAX      512
#define CLI_PASSWORD_MAX   128 /* octets, as the API has it */
#define CLI_PEM_MAX        (1024 * 1024)
#define CLI_BODY_MAX       (1024 * 1024) /* octets of a --body-file */
#define CLI_DATA_DEFAULT   "/var/lib/causeway"

/* Why a command failed. */
struct cli_error {
	int exit;  /* enum cli_exit; 0: no error */
	int code;  /* gRPC status code, -1: the failure is local */
	bool lost; /* the connection broke: the same call may work on a new one */
	char reason[CLI_REASON_MAX];
	struct buf message; /* a sentence for people */
	struct buf hint;    /* what to do; may be empty */
	struct buf info;    /* lines "key: value" of more facts; may be empty */
};

/* Where the server is and what to show it. Filled by cli_target_find. */
struct cli_target {
	char host[CLI_HOST_MAX]; /* name or address without brackets */
	char port[8];
	struct secret token; /* empty: none */
	struct buf ca_pem;
	struct buf cert_pem, key_pem; /* client certificate; empty: none */
	char ca_path[CLI_PATH_MAX];   /* where ca_pem comes from, for messages */
};

struct cli_conn;

/* One run of the program. */
struct cli {
	struct cli_args args;
	struct cli_target target;
	struct cli_conn *conn; /* NULL: not connected */
	FILE *out, *err;
	int in_fd, out_fd; /* for `tunnel open` and passwords */
	bool json, color, quiet;
	uint64_t timeout_ms; /* of a call; 0: none */
	bool timeout_given;
	const char *(*getenv)(const char *name); /* the environment; tests have their own */
	struct cli_error error;
};

/* cli_run: a whole run with argv as main got it; the exit status. Output goes to out and err. */
int cli_run(int argc, char *const argv[], FILE *out, FILE *err);

/* cli_init / cli_free: around the use of the parts by tests and cli_run. */
void cli_init(struct cli *cli, FILE *out, FILE *err);
void cli_free(struct cli *cli);

/* ---- errors (error.c) */

/*
 * cli_fail: sets a local error (an earlier one is replaced) and returns exit, so that a handler can write return
 * cli_fail(...). hint: what to do about it, NULL none. Never put a secret into it.
 */
int cli_fail(struct cli *cli, enum cli_exit exit, const char *hint, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* cli_fail_status: sets the error of a call: gRPC status, message, and the content of grpc-status-details-bin. Returns the exit status. */
int cli_fail_status(struct cli *cli, int code, const char *message, struct span details);
void cli_error_init(struct cli_error *e);
void cli_error_clear(struct cli_error *e);
void cli_error_free(struct cli_error *e);
/* cli_error_print: to cli->err, for people, or as JSON with --json. Nothing if there is no error. */
void cli_error_print(struct cli *cli);
/* cli_exit_of: the exit status of a gRPC status code. */
enum cli_exit cli_exit_of(int code);

/* ---- where the server is (target.c) */

/* cli_target_find: from options, environment and data folder. 0 or an exit status with the error set. Repeatable. */
int cli_target_find(struct cli *cli) MUST_CHECK;
/* cli_url_parse: "https://host[:port][/]", into host and port. 0 or -ERR_INVALID. */
int cli_url_parse(const char *url, struct cli_target *t) MUST_CHECK;
void cli_target_free(struct cli_target *t);

/* ---- calls (rpc.c) */

/*
 * cli_call: one unary call. An empty request_id is filled in; after a lost connection the call is repeated once with the same
 * id. *response is to be freed with protobuf_c_message_free_unpacked(*response, NULL). 0 or an exit status with the error
 * set.
 */
int cli_call(struct cli *cli, const ProtobufCServiceDescriptor *service, const char *method,
             ProtobufCMessage *request, ProtobufCMessage **response) MUST_CHECK;

/* A message of a stream; returns 0 to go on or an exit status (with the error set) that ends the call. */
typedef int cli_message_fn(struct cli *cli, const ProtobufCMessage *message, void *arg);

/* cli_stream: a server-streaming call until its end. quiet_ms: the longest silence that counts as a connection, 0: any. Not repeated. */
struct cli_stream_opts {
	cli_message_fn *on_message;
	void *arg;
	uint64_t quiet_ms;
	uint64_t until_ms; /* monotonic: then the stream is ended without an error; 0: never */
};
int cli_stream(struct cli *cli, const ProtobufCServiceDescriptor *service, const char *method,
               ProtobufCMessage *request, const struct cli_stream_opts *opts) MUST_CHECK;

/* What is done with the items of a list. */
typedef void cli_row_fn(struct cli *cli, const ProtobufCMessage *item, void *arg);
struct cli_list_opts {
	cli_row_fn *row; /* called for each item if not --json */
	void *arg;
	uint64_t limit; /* at most so many items; 0: all */
};
/*
 * cli_list: calls a List method until the last page; with --json prints all items as one document under the JSON name of the
 * response's list.
 */
int cli_list(struct cli *cli, const ProtobufCServiceDescriptor *service, const char *method,
             ProtobufCMessage *request, const struct cli_list_opts *opts) MUST_CHECK;

/* cli_request_id: a new random UUID as text. */
void cli_request_id(char out[40]);
/* cli_disconnect: closes the connection if there is one. */
void cli_disconnect(struct cli *cli);

/* ---- interruption (net.c) */

/* cli_signals_init: SIGINT, SIGTERM and SIGHUP set a flag from here on, and get through only while cli_poll waits. */
void cli_signals_init(void);
/* cli_signals_leave: fn, which may be called in a signal handler, runs when a signal ends the process at once; NULL: nothing does. */
void cli_signals_leave(void (*fn)(void));
bool cli_interrupted(void);
/* cli_sleep: false if interrupted. */
bool cli_sleep(uint64_t ms);

/* ---- input (input.c) */

/*
 * cli_password: from the file that the option names ("-": standard input), or asked for at the terminal twice without echo when the
 * option is missing. One line end at the end is dropped. 0 or an exit status with the error set.
 */
int cli_password(struct cli *cli, const char *option, const char *what,
                 struct secret *out) MUST_CHECK;
/* cli_read_file: a whole file, or standard input for "-"; out->cap is the limit. */
int cli_read_file(struct cli *cli, const char *path, struct buf *out) MUST_CHECK;
/* cli_arg_ms: a duration option in milliseconds; absent leaves *out. */
int cli_arg_ms(struct cli *cli, const char *option, uint64_t *out) MUST_CHECK;
/* cli_arg_u32: a number option; absent leaves *out. */
int cli_arg_u32(struct cli *cli, const char *option, uint32_t max, uint32_t *out) MUST_CHECK;

/* ---- output (list.c) */

/* cli_print_json: the message as one line. 0 or an exit status. */
int cli_print_json(struct cli *cli, const ProtobufCMessage *m);
/* cli_note: a line for people on cli->err, unless --quiet. */
void cli_note(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* cli_done: "text" on out for people; with --json the message instead. Returns CLI_OK or the error's status. */
int cli_done(struct cli *cli, const ProtobufCMessage *m, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ---- handlers */
int cli_group_create(struct cli *cli);
int cli_group_list(struct cli *cli);
int cli_group_show(struct cli *cli);
int cli_group_update(struct cli *cli);
int cli_group_delete(struct cli *cli);
int cli_device_list(struct cli *cli);
int cli_device_show(struct cli *cli);
int cli_device_watch(struct cli *cli);
int cli_device_why(struct cli *cli);
int cli_device_approve(struct cli *cli);
int cli_device_delete(struct cli *cli);
int cli_device_update(struct cli *cli);
int cli_device_credentials_set(struct cli *cli);
int cli_device_credentials_clear(struct cli *cli);
int cli_device_cira_credentials_set(struct cli *cli);
int cli_device_cira_credentials_clear(struct cli *cli);
int cli_device_unpin(struct cli *cli);
int cli_power_get(struct cli *cli);
int cli_power_capabilities(struct cli *cli);
int cli_power_set(struct cli *cli);
int cli_power_cancel(struct cli *cli);
int cli_power_batch(struct cli *cli);
int cli_wsman_get(struct cli *cli);
int cli_wsman_put(struct cli *cli);
int cli_wsman_enumerate(struct cli *cli);
int cli_wsman_invoke(struct cli *cli);
int cli_wsman_create(struct cli *cli);
int cli_wsman_delete(struct cli *cli);
int cli_tunnel_list(struct cli *cli);
int cli_tunnel_disconnect(struct cli *cli);
int cli_tunnel_open(struct cli *cli);
int cli_token_create(struct cli *cli);
int cli_token_list(struct cli *cli);
int cli_token_revoke(struct cli *cli);
int cli_audit(struct cli *cli);
int cli_operation_list(struct cli *cli);
int cli_operation_show(struct cli *cli);
int cli_operation_cancel(struct cli *cli);
int cli_operation_wait(struct cli *cli);
int cli_server_status(struct cli *cli);
int cli_server_settings(struct cli *cli);
int cli_server_drain(struct cli *cli);
int cli_server_reload(struct cli *cli);
int cli_top(struct cli *cli);
int cli_debug_calls(struct cli *cli);
int cli_debug_operations(struct cli *cli);
int cli_debug_tunnels(struct cli *cli);
int cli_debug_loops(struct cli *cli);
int cli_backup(struct cli *cli);
int cli_version(struct cli *cli);
int cli_completion(struct cli *cli);
int cli_help(struct cli *cli);

/* cli_help_print: the overview (no words), a topic ("device") or a command. False if there is none of that name. */
bool cli_help_print(FILE *out, const char *const *words, size_t words_len);
/* cli_is_topic: do commands begin with these words? */
bool cli_is_topic(const char *const *words, size_t words_len);
