/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * path.c: a long path between two network namespaces, where `tc netem` is not to be had: each has a TUN device, and every IP packet that
 * one sends comes out of the other after --delay milliseconds. TCP on both sides is the kernel's own, so windows, buffers and
 * acknowledgements behave as over a real distance. Nothing outside the two namespaces changes; they end with this program.
 *
 *	path --delay MS
 *
 * Needs CAP_SYS_ADMIN, CAP_NET_ADMIN and /dev/net/tun. Prints one JSON line: how to enter each side (setns) and its address; then
 * carries packets until standard input ends. Beyond QUEUE_MAX packets a direction drops, as a router does.
 */
#include "core/base.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MTU          1500
#define QUEUE_MAX    16384 /* packets on their way, a direction; a power of two */
#define DEVICE_QUEUE 10000 /* packets that wait for us in a device */
#define BURST        256   /* packets taken from a device before the others have their turn */
#define DELAY_MS_MAX 10000
#define NS_PER_MS    1000000ULL

struct packet {
	uint64_t due_ns;
	size_t len;
	uint8_t octets[MTU];
};

/* One direction: what came from one device waits for its time to go into the other. */
struct way {
	int from, to;
	uint64_t in, out, dropped; /* packets ever */
	struct packet *packets;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "path: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* ---- the namespaces and their devices ---- */

static void set_address(int s, const char *name, unsigned long request, const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct ifreq r = {0};

	must(inet_pton(AF_INET, text, &in.sin_addr) == 1, "an address");
	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	memcpy(&r.ifr_addr, &in, sizeof(in));
	must(ioctl(s, request, &r) == 0, "setting an address");
}

static void bring_up(int s, const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_UP | IFF_RUNNING};

	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	must(ioctl(s, SIOCSIFFLAGS, &r) == 0, "bringing a device up");
}

/* A namespace with loopback and a TUN device of this address; the caller is in it afterwards. Returns the device. */
static int make_side(const char *address)
{
	struct ifreq r = {.ifr_name = "path0", .ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd, s;

	must(unshare(CLONE_NEWNET) == 0, "making a network namespace");
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	must(fd >= 0, "opening /dev/net/tun");
	must(ioctl(fd, TUNSETIFF, &r) == 0, "making a TUN device");
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	must(s >= 0, "a socket");
	set_address(s, r.ifr_name, SIOCSIFADDR, address);
	set_address(s, r.ifr_name, SIOCSIFNETMASK, "255.255.255.0");
	r.ifr_mtu = MTU;
	must(ioctl(s, SIOCSIFMTU, &r) == 0, "setting the MTU");
	r.ifr_qlen = DEVICE_QUEUE;
	must(ioctl(s, SIOCSIFTXQLEN, &r) == 0, "setting the device's queue");
	bring_up(s, r.ifr_name);
	bring_up(s, "lo");
	close(s);
	return fd;
}

static int this_namespace(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	must(fd >= 0, "opening the namespace");
	return fd;
}

/* ---- carrying ---- */

static void take(struct way *w, uint64_t now, uint64_t delay_ns)
{
	for (unsigned i = 0; i < BURST; i++) {
		struct packet *p = &w->packets[w->in % QUEUE_MAX];
		uint8_t lost[MTU];
		bool full = w->in - w->out == QUEUE_MAX;
		ssize_t n = read(w->from, full ? lost : p->octets, MTU);

		if (n <= 0)
			return;
		if (full) {
			w->dropped++;
			continue;
		}
		p->due_ns = now + delay_ns;
		p->len = (size_t)n;
		w->in++;
	}
}

/* Gives on what is due; when the next one is. */
static uint64_t give(struct way *w, uint64_t now)
{
	while (w->out < w->in) {
		struct packet *p = &w->packets[w->out % QUEUE_MAX];

		if (p->due_ns > now)
			return p->due_ns;
		if (write(w->to, p->octets, p->len) < 0)
			w->dropped++;
		w->out++;
	}
	return UINT64_MAX;
}

static void carry(struct way ways[2], uint64_t delay_ns)
{
	struct pollfd p[3] = {{.fd = ways[0].from, .events = POLLIN},
	                      {.fd = ways[1].from, .events = POLLIN},
	                      {.fd = STDIN_FILENO, .events = POLLIN}};
	uint64_t next = UINT64_MAX;
	char ignored[64];

	for (;;) {
		uint64_t now = now_ns(), wait = next > now ? next - now : 0;
		struct timespec ts = {.tv_sec = (time_t)(wait / 1000000000ULL),
		                      .tv_nsec = (long)(wait % 1000000000ULL)};

		must(ppoll(p, ARRAY_LEN(p), next == UINT64_MAX ? NULL : &ts, NULL) >= 0, "waiting");
		if (p[2].revents != 0 && read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0)
			return;
		now = now_ns();
		next = UINT64_MAX;
		for (unsigned i = 0; i < 2; i++) {
			uint64_t due;

			if (p[i].revents != 0)
				take(&ways[i], now, delay_ns);
			due = give(&ways[i], now);
			next = MIN(next, due);
		}
	}
}

int main(int argc, char **argv)
{
	static const char near[] = "10.77.0.1", far[] = "10.77.0.2";
	struct way ways[2] = {0};
	unsigned long ms = argc == 3 && strcmp(argv[1], "--delay") == 0 ? strtoul(argv[2], NULL, 10)
	                                                                : DELAY_MS_MAX + 1;
	int a, b, near_namespace;

	errno = EINVAL;
	must(ms <= DELAY_MS_MAX, "path --delay MS");
	a = make_side(near);
	near_namespace = this_namespace();
	b = make_side(far);
	ways[0].from = ways[1].to = a;
	ways[1].from = ways[0].to = b;
	for (unsigned i = 0; i < 2; i++) {
		ways[i].packets = calloc(QUEUE_MAX, sizeof(struct packet));
		must(ways[i].packets != NULL, "memory");
	}
	printf("{\"near\": {\"namespace\": \"/proc/%d/fd/%d\", \"address\": \"%s\"}, "
	       "\"far\": {\"namespace\": \"/proc/%d/ns/net\", \"address\": \"%s\"}}\n",
	       (int)getpid(), near_namespace, near, (int)getpid(), far);
	fflush(stdout);
	carry(ways, ms * NS_PER_MS);
	for (unsigned i = 0; i < 2; i++)
		free(ways[i].packets);
	printf("{\"packets\": [%llu, %llu], \"dropped\": [%llu, %llu]}\n",
	       (unsigned long long)ways[0].out, (unsigned long long)ways[1].out,
	       (unsigned long long)ways[0].dropped, (unsigned long long)ways[1].dropped);
	return 0;
}
