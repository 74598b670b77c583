/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * uring_caps.c: capability probe. Features are chosen by kernel version where the kernel offers no other way to learn
 * whether a known defect is fixed (multishot receive before 6.6 lets one stream take every buffer).
 */
#include "core/uring_caps.h"
#include "core/err.h"
#include "core/uring_compat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SELF_TEST_NOPS   3
#define SELF_TEST_WAIT_S 2

static bool kernel_at_least(unsigned major, unsigned minor, unsigned want_major,
                            unsigned want_minor)
{
	return major > want_major || (major == want_major && minor >= want_minor);
}

static void kernel_version(const char *release, unsigned *major, unsigned *minor)
{
	char *end = NULL;
	unsigned long a = strtoul(release, &end, 10);
	unsigned long b = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;

	*major = (unsigned)MIN(a, 9999UL);
	*minor = (unsigned)MIN(b, 9999UL);
}

void uring_caps_read(bool force_min, struct uring_caps *caps)
{
	const char *env = getenv("CAUSEWAY_URING");
	struct utsname u;
	bool full;

	*caps = (struct uring_caps){0};
	if (uname(&u) == 0)
		kernel_version(u.release, &caps->kernel_major, &caps->kernel_minor);
	caps->min = force_min || (env != NULL && strcmp(env, "min") == 0);
	full = !caps->min && kernel_at_least(caps->kernel_major, caps->kernel_minor, 6, 6);
	caps->multishot = full;
	caps->msg_ring = full;
}

/*
 * Three no-operations must come back with their user_data: a library that disagrees with the kernel about the layout of the
 * rings reports no error, it only loses or invents completions.
 */
static int self_test(struct io_uring *ring)
{
	struct __kernel_timespec ts = {.tv_sec = SELF_TEST_WAIT_S};
	struct io_uring_cqe *cqe;
	unsigned seen = 0;
	int rc;

	for (unsigned i = 0; i < SELF_TEST_NOPS; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		if (sqe == NULL)
			return -EPROTO;
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data64(sqe, 1ULL << i);
	}
	do
		rc = io_uring_submit_and_wait_timeout(ring, &cqe, SELF_TEST_NOPS, &ts, NULL);
	while (rc == -EINTR);
	if (io_uring_cq_ready(ring) != SELF_TEST_NOPS)
		return -EPROTO;
	while (io_uring_peek_cqe(ring, &cqe) == 0) {
		if (cqe->res != 0 || cqe->user_data > 1ULL << (SELF_TEST_NOPS - 1))
			return -EPROTO;
		seen |= (unsigned)cqe->user_data;
		io_uring_cqe_seen(ring, cqe);
	}
	return seen == (1U << SELF_TEST_NOPS) - 1 ? 0 : -EPROTO;
}

int uring_ring_init(struct io_uring *ring)
{
	struct io_uring_params p = {0};
	unsigned workers[2] = {2, 4}; /* bounded, unbounded: the socket path never uses them */
	int rc;

	/* DEFER_TASKRUN: completions are made only when we ask, so no other thread's work runs in the middle of ours. */
	p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
	          IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL;
	p.cq_entries = URING_CQ_ENTRIES;
	rc = io_uring_queue_init_params(URING_SQ_ENTRIES, ring, &p);
	if (rc != 0)
		return rc;
	if ((p.features & IORING_FEAT_NODROP) == 0 || (p.features & IORING_FEAT_EXT_ARG) == 0)
		rc = -EINVAL;
	if (rc == 0)
		rc = self_test(ring);
	if (rc != 0) {
		io_uring_queue_exit(ring);
		return rc;
	}
	/* Both only save time; without them the ring works the same. */
	(void)io_uring_register_ring_fd(ring);
	(void)io_uring_register_iowq_max_workers(ring, workers);
	return 0;
}

static int disabled_sysctl(void)
{
	char text[8] = "";
	int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (fd >= 0)
		close(fd);
	return n > 0 && text[0] >= '0' && text[0] <= '9' ? text[0] - '0' : -1;
}

void uring_explain(const struct uring_refusal *r, struct buf *why)
{
	bool new_enough = kernel_at_least(r->kernel_major, r->kernel_minor, 6, 1);

	buf_printf(why, "io_uring cannot be used (%s): ", strerror(r->error));
	if (r->error == EPROTO) {
		buf_put_str(why, "the self-test failed: liburing and the kernel disagree about the "
		                 "ring; install a matching liburing");
	} else if (r->error == EMFILE || r->error == ENFILE) {
		buf_put_str(why, "no descriptor is left; raise LimitNOFILE (ulimit -n)");
	} else if (r->error == ENOMEM) {
		buf_put_str(why, "no memory for the ring; raise the memory limit of the service or "
		                 "container (memory cgroup) "
		                 "or LimitMEMLOCK (ulimit -l)");
	} else if (!new_enough) {
		buf_printf(why,
		           "the kernel is %s, and 6.1 is the oldest that will do; install a newer "
		           "kernel",
		           r->release);
	} else if (r->error == EPERM && r->disabled > 0) {
		buf_printf(why,
		           "the sysctl kernel.io_uring_disabled is %d; set it to 0: sysctl -w "
		           "kernel.io_uring_disabled=0",
		           r->disabled);
	} else if (r->error == EPERM || r->error == EACCES) {
		buf_printf(why,
		           "kernel.io_uring_disabled is %d, so a seccomp filter or a security "
		           "module blocks it; container "
		           "runtimes do so by default: allow io_uring_setup, io_uring_enter and "
		           "io_uring_register in the "
		           "container's seccomp profile or in the unit's SystemCallFilter",
		           r->disabled);
	} else if (r->error == ENOSYS) {
		buf_printf(why,
		           "kernel %s is new enough, so it was built without CONFIG_IO_URING or a "
		           "seccomp filter hides it; "
		           "allow io_uring_setup, io_uring_enter and io_uring_register in the "
		           "seccomp profile",
		           r->release);
	} else {
		buf_printf(why, "kernel %s refused the set-up", r->release);
	}
}

int uring_probe(struct uring_caps *caps, struct buf *why)
{
	struct uring_refusal r = {.disabled = disabled_sysctl()};
	struct io_uring ring;
	struct utsname u;
	int rc;

	uring_caps_read(false, caps);
	rc = uring_ring_init(&ring);
	if (rc == 0) {
		io_uring_queue_exit(&ring);
		return 0;
	}
	memset(&u, 0, sizeof(u));
	(void)uname(&u);
	r.error = -rc;
	r.release = u.release;
	r.kernel_major = caps->kernel_major;
	r.kernel_minor = caps->kernel_minor;
	uring_explain(&r, why);
	return err_from_errno(-rc);
}
