/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rpc.c: calls: messages in gRPC's framing over one connection, deadlines, cancelling, statuses. One call at a time; the connection
 * stays for the next one. One thread.
 */
#include "mgmtapi/cli/rpc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/text.h"
#include "mgmtapi/call.h"
#include "mgmtapi/cli/h2_client.h"

#define FRAME_HEAD 5 /* octets: compressed flag, length */
#define DEADLINE_GRACE_MS \
	2000 /* the server's own answer to a missed deadline says more: wait for it a little */
#define PATH_MAX_LEN 128

struct cli_conn {
	struct cli_net *net;
	struct h2_client *h2;
	const ProtobufCMethodDescriptor *method;
	uint64_t deadline_ms; /* 0: none */
	uint64_t timeout_ms;
	uint64_t heard_ms; /* when something last came */
	bool broken;
	const char *why; /* it broke; static text */
};

/* ---- the connection */

static int on_octets_out(void *arg, struct span data)
{
	struct cli_conn *conn = arg;

	return cli_net_send(conn->net, data);
}

static int on_octets_in(void *arg, struct span data)
{
	struct cli_conn *conn = arg;

	conn->heard_ms = clock_mono_ms();
	return h2_client_input(conn->h2, data);
}

void cli_disconnect(struct cli *cli)
{
	if (cli->conn == NULL)
		return;
	if (!cli->conn->broken && h2_client_flush(cli->conn->h2) != 0)
		cli->conn->broken =
			true; /* what a last RST_STREAM could not say, the closing says */
	h2_client_free(cli->conn->h2);
	cli_net_free(cli->conn->net);
	free(cli->conn);
	cli->conn = NULL;
}

static int adopt(struct cli *cli, struct cli_net *net)
{
	struct cli_conn *conn = calloc(1, sizeof(*conn));

	if (conn != NULL)
		conn->h2 = h2_client_new(on_octets_out, conn);
	if (conn == NULL || conn->h2 == NULL) {
		free(conn);
		cli_net_free(net);
		return cli_fail(cli, CLI_FAILED, NULL, "%s", err_text(ERR_NOMEM));
	}
	conn->net = net;
	cli->conn = conn;
	return 0;
}

int cli_rpc_adopt(struct cli *cli, int fd)
{
	struct cli_net *net = cli_net_plain(fd);

	return net != NULL && adopt(cli, net) == 0 ? 0 : -ERR_NOMEM;
}

static int connect_if_needed(struct cli *cli, uint64_t deadline_ms)
{
	struct cli_net *net;
	int r;

	if (cli->conn != NULL && (cli->conn->broken || !h2_client_usable(cli->conn->h2)))
		cli_disconnect(cli);
	if (cli->conn != NULL)
		return 0;
	r = cli_target_find(cli);
	if (r != 0)
		return r;
	net = cli_net_open(cli, deadline_ms);
	return net != NULL ? adopt(cli, net) : cli->error.exit;
}

/* The connection broke while a call was open. */
static int fail_lost(struct cli *cli, const char *why)
{
	int r;

	cli->conn->broken = true;
	r = cli_fail_status(cli, CALL_UNAVAILABLE, "", span_of(NULL, 0));
	buf_clear(&cli->error.message);
	buf_printf(&cli->error.message, "the connection to %s port %s was lost (%s)",
	           cli->target.host, cli->target.port, why);
	buf_put_str(&cli->error.hint, "see if causewayd still runs, and try again");
	cli->error.lost = true;
	return r;
}

/* ---- one call */

int cli_rpc_start(struct cli *cli, const ProtobufCServiceDescriptor *service, const char *method)
{
	char path[PATH_MAX_LEN], authority[CLI_HOST_MAX + 16];
	uint64_t timeout = cli->timeout_ms, deadline = timeout != 0 ? clock_mono_ms() + timeout : 0;
	struct h2_client_request request = {
		.authority = authority, .path = path, .timeout_ms = timeout};
	struct buf bearer;
	int r;

	r = connect_if_needed(cli, deadline);
	if (r != 0)
		return r;
	cli->conn->method = protobuf_c_service_descriptor_get_method_by_name(service, method);
	ASSERT(cli->conn->method != NULL);
	cli->conn->deadline_ms = deadline;
	cli->conn->timeout_ms = timeout;
	cli->conn->heard_ms = clock_mono_ms();
	(void)snprintf(path, sizeof(path), "/%s/%s", service->name, method);
	(void)snprintf(authority, sizeof(authority),
	               strchr(cli->target.host, ':') != NULL ? "[%s]:%s" : "%s:%s",
	               cli->target.host, cli->target.port);
	buf_init(&bearer, CLI_TOKEN_MAX + 16);
	if (cli->target.token.len > 0) {
		buf_put_str(&bearer, "Bearer ");
		buf_put_span(&bearer, secret_reveal(&cli->target.token));
		request.authorization = buf_span(&bearer);
	}
	r = h2_client_start(cli->conn->h2, &request);
	buf_free_secret(&bearer);
	return r == 0 ? 0 : fail_lost(cli, err_text(r));
}

int cli_rpc_send(struct cli *cli, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	struct buf frame;
	uint8_t *room;
	int r;

	buf_init(&frame, CLI_SEND_MAX + FRAME_HEAD);
	buf_put_u8(&frame, 0);
	buf_put_u32(&frame, (uint32_t)MIN(n, UINT32_MAX));
	room = buf_reserve(&frame, n);
	if (room != NULL)
		frame.len += protobuf_c_message_pack(m, room);
	r = room != NULL ? h2_client_data(cli->conn->h2, buf_span(&frame)) : -ERR_TOO_BIG;
	buf_free_secret(&frame); /* may hold a password */
	if (r != 0)
		return cli_fail(cli, CLI_FAILED, NULL, "cannot send the request: %s", err_text(r));
	return 0;
}

void cli_rpc_end(struct cli *cli)
{
	h2_client_end(cli->conn->h2);
}

size_t cli_rpc_unsent(const struct cli *cli)
{
	return h2_client_unsent(cli->conn->h2) + cli_net_unsent(cli->conn->net);
}

void cli_rpc_cancel(struct cli *cli)
{
	struct cli_net_wait w = {.deadline_ms = clock_mono_ms() + 1};

	if (cli->conn == NULL || cli->conn->broken)
		return;
	h2_client_cancel(cli->conn->h2);
	if (h2_client_flush(cli->conn->h2) != 0 || cli_net_wait(cli->conn->net, &w) == -ERR_CLOSED)
		cli->conn->broken = true;
}

static int fail_deadline(struct cli *cli)
{
	char text[96];

	cli_rpc_cancel(cli);
	(void)snprintf(text, sizeof(text), "no answer within %.3g s",
	               (double)cli->conn->timeout_ms / 1000);
	return cli_fail_status(cli, CALL_DEADLINE_EXCEEDED, text, span_of(NULL, 0));
}

int cli_rpc_step(struct cli *cli, struct cli_net_wait *w)
{
	struct cli_conn *conn = cli->conn;
	uint64_t own = conn->deadline_ms != 0 ? conn->deadline_ms + DEADLINE_GRACE_MS : 0;
	struct cli_net_wait mine = *w;
	int r;

	if (own != 0 && (mine.deadline_ms == 0 || own < mine.deadline_ms))
		mine.deadline_ms = own;
	if (conn->broken)
		return fail_lost(cli, conn->why);
	r = h2_client_flush(conn->h2);
	if (r == 0)
		r = cli_net_wait(conn->net, &mine);
	if (r == -ERR_TIMEOUT)
		return own != 0 && clock_mono_ms() >= own ? fail_deadline(cli) : 0;
	if (r == -ERR_CANCELLED) {
		cli_rpc_cancel(cli);
		return cli_fail(cli, CLI_INTERRUPTED, NULL, "interrupted");
	}
	if (w->want_read && (r == 0 || r == -ERR_CLOSED)) { /* what came before the end counts */
		int k = cli_net_pump(conn->net, on_octets_in, conn);

		r = r == 0 ? k : r;
	}
	if (r == 0)
		r = h2_client_flush(conn->h2);
	if (r != 0) { /* told by the next step: messages may have come first */
		conn->broken = true;
		conn->why = err_text(r);
	}
	return 0;
}

int cli_rpc_next(struct cli *cli, ProtobufCMessage **m)
{
	struct buf *body = &h2_client_answer(cli->conn->h2)->body;
	uint32_t len;

	*m = NULL;
	if (body->len < FRAME_HEAD || !h2_client_answer(cli->conn->h2)->is_grpc)
		return 0;
	len = (uint32_t)body->data[1] << 24 | (uint32_t)body->data[2] << 16 |
	      (uint32_t)body->data[3] << 8 | body->data[4];
	if (body->data[0] != 0 || len > CLI_MESSAGE_MAX) {
		cli_rpc_cancel(cli);
		return cli_fail_status(cli, CALL_INTERNAL,
		                       "the server sent a message that is compressed or too large",
		                       span_of(NULL, 0));
	}
	if (body->len < FRAME_HEAD + (size_t)len)
		return 0;
	*m = protobuf_c_message_unpack(cli->conn->method->output, NULL, len,
	                               body->data + FRAME_HEAD);
	if (*m == NULL) {
		cli_rpc_cancel(cli);
		return cli_fail_status(cli, CALL_INTERNAL,
		                       "the server sent a message that cannot be read",
		                       span_of(NULL, 0));
	}
	buf_consume(body, FRAME_HEAD + (size_t)len);
	return 0;
}

bool cli_rpc_ended(const struct cli *cli)
{
	return h2_client_answer(cli->conn->h2)->closed;
}

/* gRPC's http-grpc-status-mapping.md: what an answer of HTTP alone means. */
static int code_of_http(int status)
{
	switch (status) {
	case 400:
		return CALL_INTERNAL;
	case 401:
		return CALL_UNAUTHENTICATED;
	case 403:
		return CALL_PERMISSION_DENIED;
	case 404:
		return CALL_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return CALL_UNAVAILABLE;
	default:
		return CALL_UNKNOWN;
	}
}

/* The same document on RST_STREAM's codes (RFC 9113, section 7). */
static int code_of_reset(uint32_t reset)
{
	switch (reset) {
	case 0x7: /* REFUSED_STREAM */
		return CALL_UNAVAILABLE;
	case 0x8: /* CANCEL */
		return CALL_CANCELLED;
	case 0xb: /* ENHANCE_YOUR_CALM */
		return CALL_RESOURCE_EXHAUSTED;
	case 0xc: /* INADEQUATE_SECURITY */
		return CALL_PERMISSION_DENIED;
	default:
		return CALL_INTERNAL;
	}
}

int cli_rpc_result(struct cli *cli)
{
	struct h2_client_answer *a = h2_client_answer(cli->conn->h2);
	char text[128];

	if (a->grpc_status == CALL_OK)
		return 0;
	if (a->grpc_status != H2_CLIENT_STATUS_NONE)
		return cli_fail_status(cli, a->grpc_status, buf_cstr(&a->message),
		                       buf_span(&a->details));
	if (a->refused)
		return fail_lost(cli, "the server takes no more calls on it");
	if (a->reset != 0) {
		(void)snprintf(text, sizeof(text),
		               "the server broke the call off (HTTP/2 error %" PRIu32 ")",
		               a->reset);
		return cli_fail_status(cli, code_of_reset(a->reset), text, span_of(NULL, 0));
	}
	(void)snprintf(text, sizeof(text),
	               "not an answer of causewayd's API: HTTP status %d without a gRPC status",
	               a->http_status);
	return cli_fail_status(cli, code_of_http(a->http_status), text, span_of(NULL, 0));
}

/* ---- whole calls */

void cli_request_id(char out[40])
{
	struct guid g;

	random_bytes(g.b, sizeof(g.b));
	g.b[7] = (uint8_t)((g.b[7] & 0x0f) |
	                   0x40); /* version 4; the field is little-endian in struct guid */
	g.b[8] = (uint8_t)((g.b[8] & 0x3f) | 0x80);
	guid_format(&g, out);
}

static char **string_field(ProtobufCMessage *m, const char *name)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);

	return f != NULL && f->type == PROTOBUF_C_TYPE_STRING
	               ? (char **)(void *)((char *)m + f->offset)
	               : NULL;
}

/* Gives the request its request_id, if it takes one. id must live as long as the request is used. */
static const char *put_request_id(struct cli *cli, ProtobufCMessage *request, char id[40])
{
	char **field = string_field(request, "request_id");
	const char *given = cli_arg(&cli->args, "request-id");

	if (field == NULL)
		return NULL;
	if ((*field)[0] == '\0') {
		cli_request_id(id);
		*field = (char *)(uintptr_t)(given != NULL ? given : id); /* packed only */
	}
	return *field;
}

/* Steps until a message or the end is there; *m may stay NULL at the end. 0 or an exit status. */
static int wait_message(struct cli *cli, struct cli_net_wait *w, ProtobufCMessage **m)
{
	int r = cli_rpc_next(cli, m);

	while (r == 0 && *m == NULL && !cli_rpc_ended(cli)) {
		r = cli_rpc_step(cli, w);
		if (r == 0)
			r = cli_rpc_next(cli, m);
		if (w->deadline_ms != 0 && clock_mono_ms() >= w->deadline_ms)
			break;
	}
	return r;
}

static int call_once(struct cli *cli, const ProtobufCServiceDescriptor *service, const char *method,
                     const ProtobufCMessage *request, ProtobufCMessage **response)
{
	struct cli_net_wait w = {.want_read = true};
	ProtobufCMessage *more = NULL;
	int r;

	*response = NULL;
	r = cli_rpc_start(cli, service, method);
	if (r != 0)
		return r;
	r = cli_rpc_send(cli, request);
	cli_rpc_end(cli);
	if (r == 0)
		r = wait_message(cli, &w, response);
	if (r == 0)
		r = wait_message(cli, &w, &more); /* the end, with the status */
	if (more != NULL)
		protobuf_c_message_free_unpacked(more, NULL);
	if (r == 0)
		r = cli_rpc_result(cli);
	if (r == 0 && (*response == NULL || more != NULL))
		r = cli_fail_status(cli, CALL_INTERNAL, "the server's answer is not one message",
		                    span_of(NULL, 0));
	if (r != 0 && *response != NULL) {
		protobuf_c_message_free_unpacked(*response, NULL);
		*response = NULL;
	}
	return r;
}

int cli_call(struct cli *cli, const ProtobufCServiceDescriptor *service, const char *method,
             ProtobufCMessage *request, ProtobufCMessage **response)
{
	char id[40];
	const char *used = put_request_id(cli, request, id);
	int r = call_once(cli, service, method, request, response);

	if (r != 0 && cli->error.lost) {
		cli_note(cli, "causeway: %s; trying once more", buf_cstr(&cli->error.message));
		cli_disconnect(cli);
		r = call_once(cli, service, method, request, response);
	}
	if (r == CLI_INTERRUPTED && used != NULL)
		return cli_fail(cli, CLI_INTERRUPTED,
		                "look at the device or 'causeway audit' before doing it again",
		                "interrupted; the server may have done it (request id %s)", used);
	return r;
}

/* When a stream must have been heard of, or ends. 0: never. */
static uint64_t stream_deadline(const struct cli *cli, const struct cli_stream_opts *opts)
{
	uint64_t quiet = opts->quiet_ms != 0 ? cli->conn->heard_ms + opts->quiet_ms : 0;

	if (quiet == 0 || (opts->until_ms != 0 && opts->until_ms < quiet))
		return opts->until_ms;
	return quiet;
}

/* Messages until the end. 1: the stream is to be ended from here. */
static int read_stream(struct cli *cli, const struct cli_stream_opts *opts)
{
	struct cli_net_wait w = {.want_read = true};
	ProtobufCMessage *m;
	char text[64];
	int r;

	for (;;) {
		w.deadline_ms = stream_deadline(cli, opts);
		r = wait_message(cli, &w, &m);
		if (r != 0)
			return r;
		if (m != NULL) {
			r = opts->on_message(cli, m, opts->arg);
			protobuf_c_message_free_unpacked(m, NULL);
			if (r != 0) {
				cli_rpc_cancel(cli);
				return r;
			}
		} else if (cli_rpc_ended(cli)) {
			return cli_rpc_result(cli);
		}
		if (opts->until_ms != 0 && clock_mono_ms() >= opts->until_ms) {
			cli_rpc_cancel(cli);
			return 0;
		}
		if (opts->quiet_ms != 0 &&
		    clock_mono_ms() >= cli->conn->heard_ms + opts->quiet_ms) {
			(void)snprintf(text, sizeof(text), "nothing was heard for %" PRIu64 " s",
			               opts->quiet_ms / 1000);
			return fail_lost(cli, text);
		}
	}
}

int cli_stream(struct cli *cli, const ProtobufCServiceDescriptor *service, const char *method,
               ProtobufCMessage *request, const struct cli_stream_opts *opts)
{
	char id[40];
	int r;

	(void)put_request_id(cli, request, id);
	r = cli_rpc_start(cli, service, method);
	if (r == 0)
		r = cli_rpc_send(cli, request);
	if (r != 0)
		return r;
	cli_rpc_end(cli);
	return read_stream(cli, opts);
}
