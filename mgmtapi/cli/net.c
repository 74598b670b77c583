/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * net.c: connects, encrypts, waits. The socket never blocks; the program waits in ppoll only, which is the one place where
 * signals get through, so that an interruption is never lost. One thread.
 */
#include "mgmtapi/cli/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/tls.h"

#define READ_SIZE    16384
#define READS_A_PUMP 4

struct cli_net {
	int fd;
	struct tls_ctx *ctx;
	struct tls *tls; /* NULL: plain */
	struct buf out;
	uint8_t in[READ_SIZE]; /* lent to tls */
};

/* ---- signals */

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t leave_at_once; /* while a library call blocks */
static sigset_t waiting_mask;               /* of ppoll: the one that the program started with */
static bool have_mask;
static void (*volatile leave_fn)(void);

static void on_signal(int sig)
{
	(void)sig;
	if (leave_at_once) {
		if (leave_fn != NULL)
			leave_fn();
		_exit(CLI_INTERRUPTED);
	}
	interrupted = 1;
}

void cli_signals_init(void)
{
	struct sigaction sa = {.sa_handler = on_signal}, old;
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t block;

	(void)sigemptyset(&block);
	for (size_t i = 0; i < ARRAY_LEN(caught); i++) {
		if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			continue; /* nohup, background jobs */
		(void)sigaction(caught[i], &sa, NULL);
		(void)sigaddset(&block, caught[i]);
	}
	(void)sigprocmask(SIG_BLOCK, &block, &waiting_mask);
	have_mask = true;
}

void cli_signals_leave(void (*fn)(void))
{
	leave_fn = fn;
}

bool cli_interrupted(void)
{
	return interrupted != 0;
}

int cli_poll(struct pollfd *fds, size_t n, uint64_t deadline_ms)
{
	for (;;) {
		uint64_t now = clock_mono_ms(), left = deadline_ms > now ? deadline_ms - now : 0;
		struct timespec ts = {(time_t)(left / 1000), (long)(left % 1000) * 1000000};
		int r = ppoll(fds, (nfds_t)n, deadline_ms != 0 ? &ts : NULL,
		              have_mask ? &waiting_mask : NULL);

		if (interrupted)
			return -ERR_CANCELLED;
		if (r > 0)
			return r;
		if (r == 0 && deadline_ms != 0 && clock_mono_ms() >= deadline_ms)
			return 0;
		if (r < 0 && errno != EINTR)
			return -ERR_IO;
	}
}

bool cli_sleep(uint64_t ms)
{
	return cli_poll(NULL, 0, clock_mono_ms() + ms) == 0;
}

/* ---- the connection */

static int on_ciphertext(void *arg, struct span data)
{
	struct cli_net *n = arg;

	buf_put_span(&n->out, data);
	return n->out.err;
}

struct cli_net *cli_net_plain(int fd)
{
	struct cli_net *n = calloc(1, sizeof(*n));

	if (n == NULL) {
		(void)close(fd);
		return NULL;
	}
	n->fd = fd;
	buf_init(&n->out, CLI_NET_OUT_MAX);
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	return n;
}

/* Sends what the socket takes. 0 or -ERR_CLOSED. */
static int flush(struct cli_net *n)
{
	size_t sent = 0;

	while (sent < n->out.len) {
		ssize_t r = send(n->fd, n->out.data + sent, n->out.len - sent, MSG_NOSIGNAL);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN)
			break;
		if (r < 0)
			return -ERR_CLOSED;
		sent += (size_t)r;
	}
	buf_consume(&n->out, sent);
	return 0;
}

void cli_net_free(struct cli_net *n)
{
	if (n == NULL)
		return;
	if (n->tls != NULL && tls_established(n->tls))
		tls_close(n->tls);
	(void)flush(n);
	tls_free(n->tls);
	tls_ctx_unref(n->ctx);
	if (n->fd >= 0)
		(void)close(n->fd);
	buf_free(&n->out);
	free(n);
}

int cli_net_send(struct cli_net *n, struct span data)
{
	if (n->tls != NULL)
		return tls_write(n->tls, data);
	buf_put_span(&n->out, data);
	return n->out.err;
}

size_t cli_net_unsent(const struct cli_net *n)
{
	return n->out.len;
}

int cli_net_wait(struct cli_net *n, const struct cli_net_wait *w)
{
	struct pollfd fds[CLI_POLL_MAX];
	int r;

	ASSERT(w->extra_len < CLI_POLL_MAX);
	r = flush(n);
	if (r != 0)
		return r;
	fds[0] = (struct pollfd){.fd = n->fd};
	fds[0].events = (short)((w->want_read ? POLLIN : 0) | (n->out.len > 0 ? POLLOUT : 0));
	if (fds[0].events == 0)
		fds[0].fd = -1; /* POLLHUP would come all the time */
	for (size_t i = 0; i < w->extra_len; i++)
		fds[i + 1] = w->extra[i];
	r = cli_poll(fds, w->extra_len + 1, w->deadline_ms);
	for (size_t i = 0; i < w->extra_len; i++)
		w->extra[i].revents = r > 0 ? fds[i + 1].revents : 0;
	if (r == 0)
		return -ERR_TIMEOUT;
	return r < 0 ? r : flush(n);
}

/* Reads ciphertext (or plaintext) once. > 0 octets, -ERR_AGAIN, -ERR_CLOSED. */
static ssize_t read_some(struct cli_net *n)
{
	ssize_t r;

	do
		r = recv(n->fd, n->in, sizeof(n->in), 0);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EAGAIN)
		return -ERR_AGAIN;
	return r > 0 ? r : -ERR_CLOSED;
}

static int pump_tls(struct cli_net *n, cli_net_input_fn *input, void *arg)
{
	uint8_t plain[READ_SIZE];
	ssize_t r;

	while ((r = tls_read(n->tls, plain, sizeof(plain))) > 0) {
		int k = input(arg, span_of(plain, (size_t)r));

		if (k < 0)
			return k;
	}
	return (int)r;
}

int cli_net_pump(struct cli_net *n, cli_net_input_fn *input, void *arg)
{
	for (int i = 0;; i++) {
		ssize_t r = n->tls != NULL ? pump_tls(n, input, arg) : -ERR_AGAIN;

		if (r != -ERR_AGAIN)
			return (int)r;
		if (i == READS_A_PUMP)
			return 0;
		r = read_some(n);
		if (r == -ERR_AGAIN)
			return 0;
		if (r < 0)
			return (int)r;
		if (n->tls != NULL)
			tls_input(n->tls, span_of(n->in, (size_t)r));
		else if ((r = input(arg, span_of(n->in, (size_t)r))) < 0)
			return (int)r;
	}
}

/* ---- opening it */

/* Tries one address. The connected socket, or a negative error with errno telling why. */
static int connect_one(const struct addrinfo *a, uint64_t deadline_ms)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1,
	    err = 0, r;
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(err);

	if (fd < 0)
		return -ERR_IO;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return fd;
	err = errno;
	if (err == EINPROGRESS) {
		r = cli_poll(&p, 1, deadline_ms);
		if (r < 0) {
			(void)close(fd);
			return r;
		}
		err = r == 0                                                  ? ETIMEDOUT
		      : getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 ? err
		                                                              : errno;
	}
	if (err == 0)
		return fd;
	(void)close(fd);
	errno = err;
	return -ERR_IO;
}

static int fail_connect(struct cli *cli, int why)
{
	const struct cli_target *t = &cli->target;
	const char *hint =
		why == ECONNREFUSED
			? "is causewayd running there, and is this its API port (api.listen)?"
			: "check the address, the network and the firewall";

	return cli_fail(cli, CLI_UNAVAILABLE, hint, "cannot connect to %s port %s: %s", t->host,
	                t->port, strerror(why));
}

static int resolve(struct cli *cli, struct addrinfo **out)
{
	static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	                                      .ai_flags = AI_NUMERICSERV};
	sigset_t now;
	int r;

	leave_at_once = 1;
	if (have_mask)
		(void)sigprocmask(SIG_SETMASK, &waiting_mask, &now);
	r = getaddrinfo(cli->target.host, cli->target.port, &hints, out);
	if (have_mask)
		(void)sigprocmask(SIG_SETMASK, &now, NULL);
	leave_at_once = 0;
	if (r != 0)
		return cli_fail(cli, CLI_UNAVAILABLE, "check the host name in --api",
		                "cannot find host '%s': %s", cli->target.host, gai_strerror(r));
	return 0;
}

/* A connected socket or -1 with the error set. */
static int connect_any(struct cli *cli, uint64_t deadline_ms)
{
	struct addrinfo *all, *a;
	int fd = -ERR_IO;

	if (resolve(cli, &all) != 0)
		return -1;
	for (a = all; a != NULL; a = a->ai_next) {
		fd = connect_one(a, deadline_ms);
		if (fd >= 0 || fd == -ERR_CANCELLED)
			break;
	}
	if (fd == -ERR_CANCELLED)
		(void)cli_fail(cli, CLI_INTERRUPTED, NULL, "interrupted");
	else if (fd < 0)
		(void)fail_connect(cli, errno);
	freeaddrinfo(all);
	return fd < 0 ? -1 : fd;
}

static bool make_tls(struct cli *cli, struct cli_net *n)
{
	const struct cli_target *t = &cli->target;
	struct tls_ctx_opts opts = {
		.profile = TLS_API,
		.verify = TLS_VERIFY_CA,
		.ca_pem = buf_span(&t->ca_pem),
		.cert_chain_pem = buf_span(&t->cert_pem),
		.key_pem = buf_span(&t->key_pem),
		.alpn = "h2",
	};
	struct buf why;

	buf_init(&why, CLI_ERROR_TEXT_MAX);
	n->ctx = tls_ctx_new(&opts, &why);
	if (n->ctx != NULL)
		n->tls = tls_new(n->ctx, t->host, on_ciphertext, n);
	if (n->tls == NULL)
		(void)cli_fail(cli, CLI_FAILED, "check --ca, --client-cert and --client-key",
		               "cannot set up TLS: %s",
		               why.len > 0 ? buf_cstr(&why) : err_text(ERR_NOMEM));
	buf_free(&why);
	return n->tls != NULL;
}

static int fail_tls(struct cli *cli, const struct cli_net *n, int r)
{
	const struct cli_target *t = &cli->target;
	struct buf hint;

	if (r == -ERR_CANCELLED)
		return cli_fail(cli, CLI_INTERRUPTED, NULL, "interrupted");
	if (r != -ERR_TLS)
		return cli_fail(cli, CLI_UNAVAILABLE,
		                "is this causewayd's API port (api.listen), not another service?",
		                "%s port %s closed the connection or did not answer during the TLS "
		                "handshake (%s)",
		                t->host, t->port, err_text(r));
	buf_init(&hint, CLI_ERROR_TEXT_MAX);
	buf_printf(&hint,
	           "the gateway's certificate must chain to %s and carry the name '%s'; give its "
	           "root certificate "
	           "(DIR/root.crt of the gateway) with --ca or CAUSEWAY_CA, and use a name from "
	           "api.names",
	           t->ca_path, t->host);
	r = cli_fail(cli, CLI_UNAVAILABLE, buf_cstr(&hint),
	             "no secure connection to %s port %s: %s", t->host, t->port, tls_error(n->tls));
	buf_free(&hint);
	return r;
}

/* The handshake. 0 or a negative error. */
static int shake_hands(struct cli_net *n, uint64_t deadline_ms)
{
	struct cli_net_wait w = {.want_read = true, .deadline_ms = deadline_ms};
	int r;

	while ((r = tls_handshake(n->tls)) == -ERR_AGAIN) {
		ssize_t k;

		r = cli_net_wait(n, &w);
		if (r != 0)
			return r;
		k = read_some(n);
		if (k > 0)
			tls_input(n->tls, span_of(n->in, (size_t)k));
		else if (k != -ERR_AGAIN)
			return (int)k;
	}
	(void)flush(n); /* our last flight, or the alert that says why */
	return r;
}

struct cli_net *cli_net_open(struct cli *cli, uint64_t deadline_ms)
{
	uint64_t limit = clock_mono_ms() + CLI_CONNECT_MS;
	struct tls_info info;
	struct cli_net *n;
	int fd, r;

	if (deadline_ms != 0)
		limit = MIN(limit, deadline_ms);
	fd = connect_any(cli, limit);
	if (fd < 0)
		return NULL;
	n = cli_net_plain(fd);
	if (n == NULL) {
		(void)cli_fail(cli, CLI_FAILED, NULL, "%s", err_text(ERR_NOMEM));
		return NULL;
	}
	r = make_tls(cli, n) ? shake_hands(n, limit) : 1;
	if (r < 0)
		(void)fail_tls(cli, n, r);
	if (r == 0) {
		tls_info(n->tls, &info);
		if (strcmp(info.alpn, "h2") == 0)
			return n;
		(void)cli_fail(cli, CLI_UNAVAILABLE,
		               "is this causewayd's API port (api.listen), not its CIRA port?",
		               "%s port %s does not speak HTTP/2", cli->target.host,
		               cli->target.port);
	}
	cli_net_free(n);
	return NULL;
}
