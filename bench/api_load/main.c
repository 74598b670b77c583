/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * main.c of api_load: clients of the API as a load: gRPC over HTTP/2 and TLS on one loop, many connections with many streams each.
 *
 *	api_load KIND --api HOST:PORT [--ca FILE] --token-file FILE [--devices FILE] [--pid PID] [options]
 *
 * KIND: get-device, power-state and wsman-get call for one device after the other; list reads all devices page by page; watch follows
 * events on every stream; download and upload move octets through OpenTunnel. Each stream has one call under way. After --warm
 * milliseconds everything is counted for --seconds, and one JSON object is printed: counts, latencies in microseconds, the CPU
 * seconds of this program and of process --pid (the gateway) in between. --slow N: that many watches (or downloads) read nothing.
 */
#include "bench/api_load/api_load.h"
#include "core/err.h"
#include "core/file.h"
#include "core/loop.h"
#include "core/text.h"

#include <string.h>

#define DEVICES_MAX 200000
#define FILE_MAX    (16u << 20)
#define TICK_MS     20

struct options opt = {.name = "localhost",
                      .resource = "AMT_GeneralSettings",
                      .connections = 1,
                      .streams = 1,
                      .seconds = 3,
                      .warm_ms = 1000,
                      .port = 5900,
                      .page = 1000,
                      .ready_s = 30};

static struct {
	struct loop *loop;
	struct tls_ctx *tls;
	struct addr api;
	char authorization[TOKEN_MAX];
	char **devices;
	size_t devices_len, next_device;
	struct task start;
	struct timer timer;
} load;

char *next_device(void)
{
	must(load.devices_len > 0, "finding devices in --devices");
	return load.devices[load.next_device++ % load.devices_len];
}

static void start(struct task *t)
{
	(void)t;
	client_start(load.loop, load.tls, &load.api, load.authorization);
	timer_set(load.loop, &load.timer, loop_now_ms(load.loop) + TICK_MS);
}

/* Everything that lasts must be there before the warming begins. */
static void tick(struct timer *t)
{
	static uint64_t ready_ms, begin_ms;
	uint64_t now_ms = loop_now_ms(load.loop);

	begin_ms = begin_ms != 0 ? begin_ms : now_ms;
	if (ready_ms == 0 && client_ready())
		ready_ms = now_ms;
	must(ready_ms != 0 || now_ms - begin_ms < 1000ULL * opt.ready_s,
	     "waiting for connections and streams");
	if (ready_ms != 0 && measure_seconds() == 0 && now_ms >= ready_ms + opt.warm_ms)
		measure_begin();
	if (measure_seconds() >= opt.seconds) {
		measure_print(client_open());
		client_stop();
		loop_stop(load.loop);
		return;
	}
	timer_set(load.loop, t, now_ms + TICK_MS);
}

/* ---- set-up ---- */

static void read_file(const char *path, struct buf *out)
{
	buf_init(out, FILE_MAX);
	must(file_read(path, out) == 0, path);
}

static void read_devices(void)
{
	static struct buf text;
	char *line, *rest = NULL;

	load.devices = calloc(DEVICES_MAX, sizeof(*load.devices));
	must(load.devices != NULL, "memory");
	if (opt.devices_file == NULL)
		return;
	read_file(opt.devices_file, &text);
	buf_put_u8(&text, 0);
	must(text.err == 0, "reading devices");
	for (line = strtok_r((char *)text.data, "\n", &rest);
	     line != NULL && load.devices_len < DEVICES_MAX; line = strtok_r(NULL, "\n", &rest))
		load.devices[load.devices_len++] = line;
}

static void read_token(void)
{
	struct buf text;
	size_t n;

	read_file(opt.token_file, &text);
	n = strcspn(buf_cstr(&text), "\r\n");
	(void)snprintf(load.authorization, sizeof(load.authorization), "Bearer %.*s", (int)n,
	               buf_cstr(&text));
	buf_free_secret(&text);
}

static void make_tls(void)
{
	struct buf ca, why = {.cap = 4096};
	struct tls_ctx_opts o = {.profile = TLS_API, .alpn = "h2"};

	buf_init(&ca, FILE_MAX);
	if (opt.ca != NULL) {
		read_file(opt.ca, &ca);
		o.ca_pem = buf_span(&ca);
		o.verify = TLS_VERIFY_CA;
	}
	load.tls = tls_ctx_new(&o, &why);
	must(load.tls != NULL, buf_cstr(&why));
	buf_free(&why);
	buf_free(&ca);
}

static const struct {
	const char *name;
	const char **text;
	unsigned *number;
} options[] = {
	{"--api", &opt.api, NULL},
	{"--ca", &opt.ca, NULL},
	{"--name", &opt.name, NULL},
	{"--token-file", &opt.token_file, NULL},
	{"--devices", &opt.devices_file, NULL},
	{"--resource", &opt.resource, NULL},
	{"--connections", NULL, &opt.connections},
	{"--streams", NULL, &opt.streams},
	{"--seconds", NULL, &opt.seconds},
	{"--warm", NULL, &opt.warm_ms},
	{"--port", NULL, &opt.port},
	{"--page", NULL, &opt.page},
	{"--slow", NULL, &opt.slow},
	{"--pid", NULL, &opt.pid},
	{"--ready", NULL, &opt.ready_s},
};

static void read_option(const char *name, const char *value)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strcmp(options[i].name, name) != 0)
			continue;
		must(value != NULL, name);
		if (options[i].text != NULL)
			*options[i].text = value;
		else
			*options[i].number = (unsigned)strtoul(value, NULL, 10);
		return;
	}
	must(false, name);
}

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < kinds_len; i++)
		if (strcmp(name, kinds[i].name) == 0)
			return &kinds[i];
	return NULL;
}

int main(int argc, char **argv)
{
	opt.kind = argc > 1 ? find_kind(argv[1]) : NULL;
	must(opt.kind != NULL, "finding a KIND in the arguments");
	for (int i = 2; i < argc; i += 2)
		read_option(argv[i], argv[i + 1]);
	must(opt.api != NULL && opt.token_file != NULL && addr_parse(opt.api, &load.api) == 0 &&
	             opt.connections >= 1 && opt.connections <= LINKS_MAX && opt.streams >= 1 &&
	             opt.streams <= STREAMS_MAX,
	     "reading the options");
	must(tls_global_init() == 0, "tls_global_init");
	read_devices();
	read_token();
	make_tls();
	load.loop = loop_new(&(struct loop_opts){.index = 0});
	must(load.loop != NULL, "memory");
	load.start.run = start;
	load.timer.fire = tick;
	must(loop_post(load.loop, &load.start) && loop_run(load.loop) == 0, "the loop");
	return 0;
}
