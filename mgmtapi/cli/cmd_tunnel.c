/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd_tunnel.c: the commands `tunnel ...`; `open` moves octets between the standard streams and a device's port. One thread. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "causeway/v1/tunnels.pb-c.h"
#include "core/err.h"
#include "mgmtapi/cli/rpc.h"
#include "mgmtapi/cli/show.h"

#define SERVICE       (&causeway__v1__tunnel_service__descriptor)
#define CHUNK_SIZE    16384
#define WRITE_SIZE    4096 /* a pipe that polls writable takes PIPE_BUF octets without blocking */
#define UNSENT_MAX    (256 * 1024)  /* then standard input waits */
#define UNWRITTEN_MAX (1024 * 1024) /* then the connection waits */

static void tunnel_row(struct cli *cli, const ProtobufCMessage *item, void *arg)
{
	const Causeway__V1__Tunnel *u = (const Causeway__V1__Tunnel *)item;
	struct cli_table *t = arg;
	struct buf ports;

	(void)cli;
	buf_init(&ports, 1024);
	cli_ports(&ports, u->forwarded_ports, u->n_forwarded_ports);
	cli_cell(t, "%s", u->device);
	cli_cell(t, "%s", u->group);
	cli_cell(t, "%s", u->source_address);
	cli_cell_age(t, u->connected_time);
	cli_cell_age(t, u->last_seen_time);
	cli_cell(t, "%s", u->tls_version);
	cli_cell(t, "%s", buf_cstr(&ports));
	buf_free(&ports);
}

int cli_tunnel_list(struct cli *cli)
{
	static const char *const heads[] = {"DEVICE", "GROUP", "FROM", "SINCE",
	                                    "SEEN",   "TLS",   "PORTS"};
	Causeway__V1__ListTunnelsRequest req = CAUSEWAY__V1__LIST_TUNNELS_REQUEST__INIT;
	struct cli_table t;

	cli_table_init(&t, heads, ARRAY_LEN(heads));
	return cli_list_table(cli, SERVICE, "ListTunnels", &req.base, tunnel_row, &t);
}

int cli_tunnel_disconnect(struct cli *cli)
{
	Causeway__V1__DisconnectTunnelRequest req = CAUSEWAY__V1__DISCONNECT_TUNNEL_REQUEST__INIT;
	ProtobufCMessage *m;
	int r;

	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	r = cli_call(cli, SERVICE, "DisconnectTunnel", &req.base, &m);
	if (r != 0)
		return r;
	r = cli_done(cli, m, "Tunnel of %s closed; the device dials in again by itself.",
	             req.device);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

/* ---- open */

struct pipe {
	struct buf out; /* for standard output */
	bool in_ended;
	bool opened;
};

static int send_open(struct cli *cli)
{
	Causeway__V1__OpenTunnelRequest req = CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__INIT;
	Causeway__V1__OpenTunnelTarget target = CAUSEWAY__V1__OPEN_TUNNEL_TARGET__INIT;
	const char *port = cli_word(&cli->args, 1);

	for (const char *p = port; *p != '\0'; p++)
		target.port = *p >= '0' && *p <= '9' && target.port < 100000
		                      ? target.port * 10 + (uint32_t)(*p - '0')
		                      : 100000;
	if (target.port == 0 || target.port > 65535)
		return cli_fail(cli, CLI_USAGE, "such as 16992", "'%s' is not a port", port);
	target.device = CLI_TEXT(cli_word(&cli->args, 0));
	req.message_case = CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__MESSAGE_OPEN;
	req.open = &target;
	return cli_rpc_send(cli, &req.base);
}

/* Standard input is readable: one piece, or its end. */
static int read_input(struct cli *cli, struct pipe *p)
{
	Causeway__V1__OpenTunnelRequest req = CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__INIT;
	uint8_t chunk[CHUNK_SIZE];
	ssize_t n = read(cli->in_fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) {
		p->in_ended = true;
		cli_rpc_end(cli);
		return 0;
	}
	req.message_case = CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__MESSAGE_DATA;
	req.data = (ProtobufCBinaryData){(size_t)n, chunk};
	return cli_rpc_send(cli, &req.base);
}

/* Standard output is writable. Nobody reading it is no failure of the tunnel, but its end. */
static int write_output(struct cli *cli, struct pipe *p)
{
	ssize_t n = write(cli->out_fd, p->out.data, MIN(p->out.len, WRITE_SIZE));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0)
		return cli_fail(cli, CLI_FAILED, NULL, "cannot write to standard output: %s",
		                strerror(errno));
	buf_consume(&p->out, (size_t)n);
	return 0;
}

/* Takes what the server sent. */
static int take_messages(struct cli *cli, struct pipe *p)
{
	ProtobufCMessage *m;
	int r;

	while ((r = cli_rpc_next(cli, &m)) == 0 && m != NULL) {
		const Causeway__V1__OpenTunnelResponse *a = (Causeway__V1__OpenTunnelResponse *)m;

		if (a->message_case == CAUSEWAY__V1__OPEN_TUNNEL_RESPONSE__MESSAGE_OPENED) {
			p->opened = true;
			cli_note(cli, "causeway: connected to %s port %s", a->opened->device,
			         cli_word(&cli->args, 1));
		} else if (a->message_case == CAUSEWAY__V1__OPEN_TUNNEL_RESPONSE__MESSAGE_DATA) {
			buf_put(&p->out, a->data.data, a->data.len);
		}
		protobuf_c_message_free_unpacked(m, NULL);
		if (p->out.err != 0)
			return cli_fail(cli, CLI_FAILED, NULL, "%s", err_text(p->out.err));
	}
	return r;
}

/* Writes the rest, however long its reader takes. */
static int drain_output(struct cli *cli, struct pipe *p)
{
	int r = 0;

	while (r == 0 && p->out.len > 0) {
		struct pollfd fd = {.fd = cli->out_fd, .events = POLLOUT};

		if (cli_poll(&fd, 1, 0) < 0)
			return cli_fail(cli, CLI_INTERRUPTED, NULL, "interrupted");
		r = write_output(cli, p);
	}
	return r;
}

static int move_octets(struct cli *cli, struct pipe *p)
{
	int r = 0;

	while (r == 0 && !cli_rpc_ended(cli)) {
		bool in = p->opened && !p->in_ended && cli_rpc_unsent(cli) < UNSENT_MAX;
		struct pollfd fds[] = {
			{.fd = in ? cli->in_fd : -1, .events = POLLIN},
			{.fd = p->out.len > 0 ? cli->out_fd : -1, .events = POLLOUT}};
		struct cli_net_wait w = {.want_read = p->out.len < UNWRITTEN_MAX,
		                         .extra = fds,
		                         .extra_len = ARRAY_LEN(fds)};

		r = cli_rpc_step(cli, &w);
		if (r == 0)
			r = take_messages(cli, p);
		if (r == 0 && (fds[1].revents & (POLLOUT | POLLERR | POLLHUP)) != 0 &&
		    p->out.len > 0)
			r = write_output(cli, p);
		if (r == 0 && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
			r = read_input(cli, p);
	}
	return r;
}

int cli_tunnel_open(struct cli *cli)
{
	struct pipe p = {.opened = false};
	int r;

	buf_init(&p.out, UNWRITTEN_MAX + CLI_MESSAGE_MAX);
	r = cli_rpc_start(cli, SERVICE, "OpenTunnel");
	if (r != 0)
		return r;
	r = send_open(cli);
	if (r == 0)
		r = move_octets(cli, &p);
	if (r == 0)
		r = drain_output(cli, &p);
	if (r == 0)
		r = cli_rpc_result(cli);
	else
		cli_rpc_cancel(cli);
	buf_free_secret(&p.out);
	return r;
}
