/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * io_socket.c: the socket calls of io.h that never wait. Options are set on the listening socket: Linux lets accepted
 * sockets inherit them, which saves the calls per connection. Never O_NONBLOCK: io_uring waits by itself.
 */
#include "core/err.h"
#include "core/io.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_COUNT      4
#ifndef SO_BUF_LOCK /* Linux 5.15; glibc has it since 2.35 */
#define SO_BUF_LOCK 72
#endif
#ifndef SOCK_SNDBUF_LOCK
#define SOCK_SNDBUF_LOCK 1
#define SOCK_RCVBUF_LOCK 2
#endif
#define USER_TIMEOUT_MS 120000 /* sent octets unacknowledged for so long end the connection */

void io_shutdown(int fd, int how)
{
	(void)shutdown(fd, how);
}

void io_fd_close(int fd)
{
	(void)close(fd);
}

static void set_int(int fd, int level, int name, int value)
{
	/* A refusal costs comfort, not correctness. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_tcp(int fd)
{
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
}

int io_client_socket(int family, const struct addr *from_or_null)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return err_from_errno(errno);
	set_tcp(fd);
	if (from_or_null == NULL)
		return fd;
	set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (bind(fd, (const struct sockaddr *)&from_or_null->ss, from_or_null->len) == 0)
		return fd;
	rc = err_from_errno(errno);
	close(fd);
	return rc;
}

static bool is_any6(const struct addr *a)
{
	struct sockaddr_in6 in6;

	memcpy(&in6, &a->ss, sizeof(in6));
	return a->ss.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr);
}

static void to_any4(struct addr *a)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr_port(a))};

	memset(&a->ss, 0, sizeof(a->ss));
	memcpy(&a->ss, &in, sizeof(in));
	a->len = sizeof(in);
}

void io_fix_buffers(int fd)
{
	set_int(fd, SOL_SOCKET, SO_BUF_LOCK, SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK);
}

void io_buffers(int fd, int rcvbuf, int sndbuf)
{
	if (rcvbuf > 0) {
		set_int(fd, SOL_SOCKET, SO_RCVBUF, rcvbuf);
		/* The window stays within what the buffer was as the connection was made, unless this says otherwise. */
		set_int(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, rcvbuf);
	}
	if (sndbuf > 0)
		set_int(fd, SOL_SOCKET, SO_SNDBUF, sndbuf);
}

uint32_t io_rtt_us(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_rtt : 0;
}

/* Unlocks the size: a locked one would be the limit for which the scale of all windows is chosen. Accepted sockets inherit it none the less. */
static void set_first_rcvbuf(int fd, int size)
{
	set_int(fd, SOL_SOCKET, SO_RCVBUF, size);
	set_int(fd, SOL_SOCKET, SO_BUF_LOCK, SOCK_SNDBUF_LOCK);
}

static int bind_and_listen(int fd, const struct io_listen_opts *opts, struct io_listening *out)
{
	if (opts->sndbuf > 0)
		set_int(fd, SOL_SOCKET, SO_SNDBUF, opts->sndbuf);
	if (opts->rcvbuf > 0)
		set_first_rcvbuf(fd, opts->rcvbuf);
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_tcp(fd);
	if (out->addr.ss.ss_family == AF_INET6)
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_any6(&out->addr) ? 0 : 1);
	if (bind(fd, (const struct sockaddr *)&out->addr.ss, out->addr.len) != 0)
		return -errno;
	if (listen(fd, (int)opts->backlog) != 0)
		return -errno;
	out->addr.len = sizeof(out->addr.ss);
	return getsockname(fd, (struct sockaddr *)&out->addr.ss, &out->addr.len) == 0 ? 0 : -errno;
}

static int try_listen(const struct io_listen_opts *opts, struct io_listening *out)
{
	int fd = socket(out->addr.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	rc = bind_and_listen(fd, opts, out);
	if (rc != 0)
		close(fd);
	else
		out->fd = fd;
	return rc;
}

int io_listen(const struct io_listen_opts *opts, struct io_listening *out)
{
	int rc;

	*out = (struct io_listening){.fd = -1, .addr = opts->addr};
	rc = try_listen(opts, out);
	/* Without IPv6 in the kernel there is no such socket; with it switched off by sysctl, no such address. */
	if ((rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL) && is_any6(&opts->addr)) {
		out->addr = opts->addr;
		to_any4(&out->addr);
		out->v4_only = true;
		rc = try_listen(opts, out);
	}
	if (rc == -EADDRINUSE)
		return -ERR_EXISTS;
	return rc == 0 ? 0 : err_from_errno(-rc);
}
