/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * control.c: commands for tests, a line each, from standard input ("--control -") or a unix socket, one client at a time.
 * Answers are one line: "ok ..." or "error ...". Own thread; a command for a device runs on the loop of its worker.
 */
#include "bench/fleet/fleet.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/err.h"

#define LINE_MAX_OCTETS 512
#define POLL_MS         200

static struct {
	struct fleet *fleet;
	pthread_t thread;
	bool running;
	int listener;
	atomic_bool stop;
} control = {.listener = -1};

struct command {
	struct task task;
	struct fleet_device *device;
	const char *verb, *argument;
	char reply[LINE_MAX_OCTETS];
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void do_power(struct command *c)
{
	struct fleet_device *d = c->device;
	uint64_t now_ms = loop_now_ms(d->worker->loop);
	uint32_t value = (uint32_t)strtoul(c->argument, NULL, 10);

	if (c->argument[0] != '\0')
		snprintf(c->reply, sizeof(c->reply), "ok result %d",
		         (int)sim_power_request(&d->power, value, now_ms));
	else
		snprintf(c->reply, sizeof(c->reply), "ok state %u boots %u%s",
		         sim_power_state(&d->power, now_ms), d->power.boots,
		         sim_power_busy(&d->power, now_ms) ? " changing" : "");
}

static void do_drop(struct command *c)
{
	fleet_device_drop(c->device, strcmp(c->argument, "polite") == 0);
	str_copy(c->reply, sizeof(c->reply), "ok");
}

static void do_cert(struct command *c)
{
	uint8_t sum[32];
	char hex[65];

	if (strcmp(c->argument, "new") == 0 && fleet_cert_renew(c->device) != 0) {
		str_copy(c->reply, sizeof(c->reply), "error no certificate could be made");
		return;
	}
	fleet_cert_sha256(c->device, sum);
	hex_encode(hex, span_of(sum, sizeof(sum)));
	snprintf(c->reply, sizeof(c->reply), "ok sha256 %s", hex);
}

static void do_silent(struct command *c)
{
	fleet_device_silence(c->device, strcmp(c->argument, "off") != 0);
	str_copy(c->reply, sizeof(c->reply), "ok");
}

static void do_state(struct command *c)
{
	snprintf(c->reply, sizeof(c->reply),
	         "ok device %zu profile %s %s requests %" PRIu64 " faults %" PRIu64,
	         c->device->index, c->device->profile->name,
	         fleet_device_held(c->device) ? "connected" : "away", c->device->wsman.requests,
	         c->device->wsman.faults);
}

static const struct {
	const char *verb;
	void (*run)(struct command *c);
} verbs[] = {
	{"power", do_power},   {"drop", do_drop},   {"cert", do_cert},
	{"silent", do_silent}, {"state", do_state},
};

static void run_on_loop(struct task *t)
{
	struct command *c = container_of(t, struct command, task);

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(verbs[i].verb, c->verb) == 0)
			verbs[i].run(c);
	}
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static bool verb_known(const char *verb)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(verbs[i].verb, verb) == 0)
			return true;
	}
	return false;
}

static struct fleet_device *find_device(const char *text)
{
	struct fleet *f = control.fleet;
	struct guid guid;

	if (guid_parse(span_str(text), &guid) != 0)
		return NULL;
	for (size_t i = 0; i < f->count; i++) {
		if (guid_equal(&f->devices[i].facts.guid, &guid))
			return &f->devices[i];
	}
	return NULL;
}

static void device_command(const char *verb, const char *guid, const char *argument,
                           struct buf *out)
{
	struct command c = {.verb = verb, .argument = argument};

	c.device = find_device(guid);
	c.task.run = run_on_loop;
	if (c.device == NULL) {
		buf_put_str(out, "error no such device\n");
		return;
	}
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.cond, NULL);
	if (loop_post(c.device->worker->loop, &c.task)) {
		pthread_mutex_lock(&c.lock);
		while (!c.done)
			pthread_cond_wait(&c.cond, &c.lock);
		pthread_mutex_unlock(&c.lock);
	} else {
		str_copy(c.reply, sizeof(c.reply), "error the fleet has stopped");
	}
	buf_printf(out, "%s\n", c.reply);
	pthread_mutex_destroy(&c.lock);
	pthread_cond_destroy(&c.cond);
}

static void put_stats(struct buf *out)
{
	const struct fleet *f = control.fleet;

	buf_printf(out, "ok devices %zu ready_now %" PRIu64, f->count, atomic_load(&f->ready_now));
#define X(name, text) buf_printf(out, " " #name " %" PRIu64, atomic_load(&f->counters.name));
	FLEET_COUNTERS(X)
#undef X
	buf_put_u8(out, '\n');
}

static void run_line(char *line, struct buf *out)
{
	char *save = NULL;
	const char *verb = strtok_r(line, " \t\r", &save), *guid = strtok_r(NULL, " \t\r", &save);
	const char *argument = strtok_r(NULL, " \t\r", &save);

	if (verb == NULL)
		return;
	if (strcmp(verb, "stats") == 0) {
		put_stats(out);
	} else if (strcmp(verb, "go") == 0) {
		buf_put_str(out, fleet_go(control.fleet) ? "ok\n" : "error they dial already\n");
	} else if (strcmp(verb, "quit") == 0) {
		fleet_request_stop();
		buf_put_str(out, "ok\n");
	} else if (strcmp(verb, "help") == 0) {
		buf_put_str(out,
		            "ok stats | go | quit | power GUID [VALUE] | drop GUID [polite] | cert "
		            "GUID [new] | "
		            "silent GUID [off] | state GUID\n");
	} else if (!verb_known(verb) || guid == NULL) {
		buf_put_str(out, "error unknown command, or no GUID; try help\n");
	} else {
		device_command(verb, guid, argument != NULL ? argument : "", out);
	}
}

static bool write_all(int fd, struct span s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = span_of(s.ptr + n, s.len - (size_t)n);
	}
	return true;
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (!atomic_load(&control.stop)) {
		if (poll(&p, 1, POLL_MS) > 0)
			return true;
	}
	return false;
}

/* Serves one stream to its end. */
static void serve(int in_fd, int out_fd)
{
	char line[LINE_MAX_OCTETS];
	size_t len = 0;

	while (readable(in_fd)) {
		char c;
		struct buf out;
		bool ok;

		if (read(in_fd, &c, 1) != 1)
			return;
		if (c != '\n' && len < sizeof(line) - 1) {
			line[len++] = c;
			continue;
		}
		line[len] = '\0';
		len = 0;
		buf_init(&out, 4096);
		run_line(line, &out);
		ok = write_all(out_fd, buf_span(&out));
		buf_free(&out);
		if (!ok)
			return;
	}
}

static void *control_main(void *arg)
{
	(void)arg;
	if (control.listener < 0) {
		serve(STDIN_FILENO, STDOUT_FILENO);
		return NULL;
	}
	while (readable(control.listener)) {
		int fd = accept(control.listener, NULL, NULL);

		if (fd < 0)
			continue;
		serve(fd, fd);
		close(fd);
	}
	return NULL;
}

static int listen_on(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd;

	if (!str_copy(sun.sun_path, sizeof(sun.sun_path), path))
		return -ERR_TOO_BIG;
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_from_errno(errno);
	if (bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) != 0 || listen(fd, 4) != 0) {
		int err = err_from_errno(errno);

		close(fd);
		return err;
	}
	control.listener = fd;
	return 0;
}

int fleet_control_start(struct fleet *f)
{
	int err = 0;

	control.fleet = f;
	if (f->control == NULL)
		return 0;
	if (strcmp(f->control, "-") != 0)
		err = listen_on(f->control);
	if (err == 0 && pthread_create(&control.thread, NULL, control_main, NULL) != 0)
		err = -ERR_INTERNAL;
	control.running = err == 0;
	return err;
}

void fleet_control_stop(void)
{
	atomic_store(&control.stop, true);
	if (control.running)
		pthread_join(control.thread, NULL);
	if (control.listener >= 0) {
		close(control.listener);
		unlink(control.fleet->control);
	}
	control.running = false;
	control.listener = -1;
}
