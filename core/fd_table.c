/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fd_table.c: unshare(2) for one thread, and SCM_RIGHTS (unix(7)) between tables. */
#include "core/fd_table.h"
#include "core/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASS_BUFFER 262144 /* some hundred messages, as the kernel counts them */

/* Room for one descriptor, aligned as cmsg(3) wants it. */
union pass_control {
	struct cmsghdr head;
	char octets[CMSG_SPACE(sizeof(int))];
};

int fd_table_own(void)
{
	return unshare(CLONE_FILES) == 0 ? 0 : err_from_errno(errno);
}

static void *try_own(void *arg)
{
	*(int *)arg = fd_table_own();
	return NULL;
}

/* ThreadSanitizer knows one table for the process: equal numbers in two tables are races to it. */
#ifdef __SANITIZE_THREAD__
#define TOLD_APART false
#else
#define TOLD_APART true
#endif

bool fd_table_can(void)
{
	pthread_t thread;
	int rc = -ERR_DENIED;

	if (!TOLD_APART || pthread_create(&thread, NULL, try_own, &rc) != 0)
		return false;
	(void)pthread_join(thread, NULL);
	return rc == 0;
}

uint64_t fd_table_len(pid_t thread)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/fd",
	               thread != 0 ? thread : gettid());
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

void fd_table_reserve(uint64_t n)
{
	int any = open("/", O_PATH | O_CLOEXEC), last;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0)
		n = MIN(n, (uint64_t)r.rlim_cur);
	/* The highest one makes the table as large as that, and it stays so. */
	last = any >= 0 && n > 0 && n <= INT_MAX ? fcntl(any, F_DUPFD_CLOEXEC, (int)(n - 1)) : -1;
	if (last >= 0)
		close(last);
	if (any >= 0)
		close(any);
}

int fd_pass_init(struct fd_pass *p)
{
	int pair[2];
	const int size = PASS_BUFFER;

	*p = (struct fd_pass){.in = -1, .out = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return err_from_errno(errno);
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	*p = (struct fd_pass){.in = pair[0], .out = pair[1]};
	return 0;
}

void fd_pass_fini(struct fd_pass *p)
{
	if (p->in >= 0)
		close(p->in);
	if (p->out >= 0)
		close(p->out);
	*p = (struct fd_pass){.in = -1, .out = -1};
}

int fd_pass_send(struct fd_pass *p, int fd)
{
	char octet = 0;
	struct iovec iov = {.iov_base = &octet, .iov_len = 1};
	union pass_control control = {.octets = {0}};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.octets,
	                     .msg_controllen = sizeof(control.octets)};
	ssize_t n;

	control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd)),
	                                .cmsg_level = SOL_SOCKET,
	                                .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	do
		n = sendmsg(p->in, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	close(fd);
	/* ETOOMANYREFS: as many are on their way as the limit on descriptors allows. */
	if (n < 0)
		return errno == EAGAIN || errno == ETOOMANYREFS ? -ERR_FULL : err_from_errno(errno);
	return 0;
}

int fd_pass_take(struct fd_pass *p)
{
	char octet;
	struct iovec iov = {.iov_base = &octet, .iov_len = 1};
	union pass_control control = {.octets = {0}};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.octets,
	                     .msg_controllen = sizeof(control.octets)};
	ssize_t n;
	int fd;

	do
		n = recvmsg(p->out, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_from_errno(errno);
	if (msg.msg_controllen < CMSG_LEN(sizeof(fd)) || control.head.cmsg_type != SCM_RIGHTS)
		return -ERR_FULL; /* the kernel drops what does not fit into the table */
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}
