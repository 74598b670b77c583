/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * api_load.c: clients of the API as a load: gRPC over HTTP/2 and TLS on one loop, many connections with many streams each.
 *
 *	api_load KIND --api HOST:PORT [--ca FILE] --token-file FILE [--devices FILE] [--pid PID] [options]
 *
 * KIND: get-device, power-state and wsman-get call for one device after the other; list reads all devices page by page; watch follows
 * events on every stream; download and upload move octets through OpenTunnel. Each stream has one call under way. After --warm
 * milliseconds everything is counted for --seconds, and one JSON object is printed: counts, latencies in microseconds, the CPU
 * seconds of this program and of process --pid (the gateway) in between. --slow N: that many watches (or downloads) read nothing.
 */
#include "core/clock.h"
#include "core/conn.h"
#include "core/err.h"
#include "core/file.h"
#include "core/text.h"

#include "causeway/v1/devices.pb-c.h"
#include "causeway/v1/power.pb-c.h"
#include "causeway/v1/tunnels.pb-c.h"
#include "causeway/v1/wsman.pb-c.h"

#include <dirent.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINKS_MAX    4096
#define STREAMS_MAX  200
#define DEVICES_MAX  200000
#define FILE_MAX     (16u << 20)
#define MESSAGE_MAX  (8u << 20)
#define WINDOW       (16 << 20)
#define WINDOW_SLOW  65535
#define HEAD         5
#define UPLOAD_PIECE 16384
#define BODY_MAX     512
#define BUCKETS      1024 /* of latencies: 32 a doubling */

enum kind { GET_DEVICE, POWER_STATE, WSMAN_GET, LIST, WATCH, DOWNLOAD, UPLOAD, KINDS };

static const struct {
	const char *name, *path;
} kinds[KINDS] = {
	[GET_DEVICE] = {"get-device", "/causeway.v1.DeviceService/GetDevice"},
	[POWER_STATE] = {"power-state", "/causeway.v1.PowerService/GetPowerState"},
	[WSMAN_GET] = {"wsman-get", "/causeway.v1.WsmanService/GetInstance"},
	[LIST] = {"list", "/causeway.v1.DeviceService/ListDevices"},
	[WATCH] = {"watch", "/causeway.v1.DeviceService/WatchDevices"},
	[DOWNLOAD] = {"download", "/causeway.v1.TunnelService/OpenTunnel"},
	[UPLOAD] = {"upload", "/causeway.v1.TunnelService/OpenTunnel"},
};

static struct {
	enum kind kind;
	const char *api, *ca, *name, *token_file, *devices_file, *resource;
	unsigned connections, streams, seconds, warm_ms, port, page, slow, pid, ready_s;
} opt = {.name = "localhost",
         .resource = "AMT_GeneralSettings",
         .connections = 1,
         .streams = 1,
         .seconds = 3,
         .warm_ms = 1000,
         .port = 5900,
         .page = 1000,
         .ready_s = 30};

struct link;

struct stream {
	struct link *link;
	int32_t id;
	uint64_t begin_us;
	uint8_t body[BODY_MAX];
	size_t body_len, body_at;
	uint8_t head[HEAD];
	size_t head_len;
	uint32_t left; /* octets of the present message */
	struct buf message;
	int status;
	bool slow, open, failed;
	char page_token[BODY_MAX / 2];
};

struct link {
	struct conn *conn;
	nghttp2_session *session;
	struct task pump;
	bool pumping;
	struct stream streams[STREAMS_MAX];
};

struct counts {
	uint64_t calls, failed, messages, events, snapshot, devices, octets;
};

static struct {
	struct loop *loop;
	struct tls_ctx *tls;
	struct addr api;
	struct link *links;
	char authorization[256];
	char **devices;
	size_t devices_len, next_device;
	unsigned up, open, started_ms;
	struct task start;
	struct timer timer;
	struct counts n, first;
	uint64_t latency[BUCKETS], latency_max;
	double wall_s, cpu_s, pid_s;
	bool counting, done;
} load;

static uint8_t upload_message[HEAD + 4 + UPLOAD_PIECE];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "api_load: %s failed\n", what);
	exit(1);
}

/* ---- clocks ---- */

static double seconds_of(clockid_t clock)
{
	struct timespec ts;

	must(clock_gettime(clock, &ts) == 0, "a clock");
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t now_us(clockid_t clock)
{
	return (uint64_t)(seconds_of(clock) * 1e6);
}

/* The CPU time of all threads of a process, to the nanosecond; 0: no process was named. */
static double process_seconds(unsigned pid)
{
	char path[512];
	struct dirent *e;
	double sum = 0;
	DIR *d;

	if (pid == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%u/task", pid);
	d = opendir(path);
	must(d != NULL, "reading /proc of the gateway");
	while ((e = readdir(d)) != NULL) {
		char line[64] = "";
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/%u/task/%.20s/schedstat", pid, e->d_name);
		f = e->d_name[0] != '.' ? fopen(path, "r") : NULL;
		if (f == NULL)
			continue;
		if (fgets(line, sizeof(line), f) != NULL)
			sum += (double)strtoull(line, NULL, 10) / 1e9;
		(void)fclose(f);
	}
	(void)closedir(d);
	return sum;
}

static unsigned bucket_of(uint64_t us)
{
	unsigned log = 0;

	us = MAX(us, UINT64_C(32));
	while (us >> log >= 64)
		log++;
	return MIN(log * 32 + (unsigned)(us >> log) - 32, (unsigned)BUCKETS - 1);
}

static double bucket_us(unsigned b)
{
	return (double)((uint64_t)(b % 32 + 32) << (b / 32));
}

static void note_latency(uint64_t us)
{
	if (!load.counting)
		return;
	load.latency[bucket_of(us)]++;
	load.latency_max = MAX(load.latency_max, us);
}

static double percentile(double share)
{
	uint64_t all = 0, seen = 0;

	for (unsigned i = 0; i < BUCKETS; i++)
		all += load.latency[i];
	for (unsigned i = 0; i < BUCKETS; i++) {
		seen += load.latency[i];
		if (seen > 0 && (double)seen >= share * (double)all)
			return bucket_us(i);
	}
	return 0;
}

/* ---- requests ---- */

static void put_request(struct stream *s, const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);

	must(n + HEAD <= sizeof(s->body), "a short request");
	s->body[0] = s->body[1] = s->body[2] = 0;
	s->body[3] = (uint8_t)(n >> 8);
	s->body[4] = (uint8_t)n;
	s->body_len = HEAD + protobuf_c_message_pack(m, s->body + HEAD);
	s->body_at = 0;
}

static char *next_device(void)
{
	must(load.devices_len > 0, "finding devices in --devices");
	return load.devices[load.next_device++ % load.devices_len];
}

static void make_request(struct stream *s)
{
	Causeway__V1__GetDeviceRequest get = CAUSEWAY__V1__GET_DEVICE_REQUEST__INIT;
	Causeway__V1__GetPowerStateRequest power = CAUSEWAY__V1__GET_POWER_STATE_REQUEST__INIT;
	Causeway__V1__GetInstanceRequest wsman = CAUSEWAY__V1__GET_INSTANCE_REQUEST__INIT;
	Causeway__V1__ListDevicesRequest list = CAUSEWAY__V1__LIST_DEVICES_REQUEST__INIT;
	Causeway__V1__WatchDevicesRequest watch = CAUSEWAY__V1__WATCH_DEVICES_REQUEST__INIT;
	Causeway__V1__OpenTunnelTarget target = CAUSEWAY__V1__OPEN_TUNNEL_TARGET__INIT;
	Causeway__V1__OpenTunnelRequest tunnel = CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__INIT;
	const ProtobufCMessage *m = &get.base;

	switch (opt.kind) {
	case POWER_STATE:
		power.device = next_device();
		m = &power.base;
		break;
	case WSMAN_GET:
		wsman.device = next_device();
		wsman.resource = (char *)(uintptr_t)opt.resource;
		m = &wsman.base;
		break;
	case LIST:
		list.page_size = opt.page;
		list.page_token = s->page_token;
		m = &list.base;
		break;
	case WATCH:
		watch.updates_only = true;
		m = &watch.base;
		break;
	case DOWNLOAD:
	case UPLOAD:
		target.device = next_device();
		target.port = opt.port;
		tunnel.message_case = CAUSEWAY__V1__OPEN_TUNNEL_REQUEST__MESSAGE_OPEN;
		tunnel.open = &target;
		m = &tunnel.base;
		break;
	default:
		get.device = next_device();
		break;
	}
	put_request(s, m);
}

static bool streams_request(void)
{
	return opt.kind == DOWNLOAD || opt.kind == UPLOAD;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct stream *s = source->ptr;
	const uint8_t *from = s->body;
	size_t all = s->body_len, n;

	(void)session;
	(void)id;
	(void)user;
	if (opt.kind == UPLOAD && s->open) {
		from = upload_message;
		all = sizeof(upload_message);
	}
	n = MIN(len, all - s->body_at);
	memcpy(to, from + s->body_at, n);
	s->body_at += n;
	if (!streams_request() && s->body_at == all)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (from == upload_message) {
		load.n.octets += n;
		s->body_at %= all;
	}
	return streams_request() && n == 0 ? NGHTTP2_ERR_DEFERRED : (ssize_t)n;
}

static nghttp2_nv pair(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
	                    strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void kick(struct link *l)
{
	if (l->pumping)
		return;
	l->pumping = true;
	loop_defer(load.loop, &l->pump);
}

static void begin_call(struct stream *s)
{
	nghttp2_data_provider body = {.source = {.ptr = s}, .read_callback = read_body};
	const nghttp2_nv nv[] = {
		pair(":method", "POST"),
		pair(":scheme", "https"),
		pair(":authority", "localhost"),
		pair(":path", kinds[opt.kind].path),
		pair("te", "trailers"),
		pair("content-type", "application/grpc+proto"),
		pair("authorization", load.authorization),
	};

	make_request(s);
	s->head_len = 0;
	s->status = -1;
	s->open = false;
	s->begin_us = now_us(CLOCK_MONOTONIC);
	s->id = nghttp2_submit_request(s->link->session, NULL, nv, ARRAY_LEN(nv), &body, s);
	must(s->id > 0, "starting a call");
	kick(s->link);
}

/* ---- answers ---- */

static void took_device_page(struct stream *s)
{
	Causeway__V1__ListDevicesResponse *r = NULL;
	struct cur cur = cur_of(buf_span(&s->message));

	(void)r;
	s->page_token[0] = '\0';
	/* only the two fields matter, and unpacking a thousand devices would make the load the limit */
	while (cur.left > 0) {
		uint8_t tag = cur_u8(&cur), octet;
		uint64_t len = 0;
		unsigned shift = 0;

		do {
			octet = cur_u8(&cur);
			len |= (uint64_t)(octet & 0x7f) << shift;
			shift += 7;
		} while ((octet & 0x80) != 0 && shift < 35 && cur.err == 0);
		if (tag == (1 << 3 | 2)) {
			load.n.devices++;
			(void)cur_bytes(&cur, len);
		} else {
			must(tag == (2 << 3 | 2) &&
			             str_copy_span(s->page_token, sizeof(s->page_token),
			                           cur_bytes(&cur, len)),
			     "reading a page");
		}
	}
	must(cur.err == 0, "reading a page");
}

static void took_event(struct stream *s)
{
	Causeway__V1__WatchDevicesResponse *r =
		causeway__v1__watch_devices_response__unpack(NULL, s->message.len, s->message.data);
	uint64_t at_us, now = now_us(CLOCK_REALTIME);

	must(r != NULL, "reading an event");
	if (r->kind == CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_SYNC && !s->open) {
		s->open = true;
		load.open++;
	} else if (r->kind != CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_HEARTBEAT) {
		at_us = (uint64_t)r->event_time->seconds * 1000000 +
		        (uint64_t)r->event_time->nanos / 1000;
		load.n.events++;
		note_latency(now > at_us ? now - at_us : 0);
	}
	causeway__v1__watch_devices_response__free_unpacked(r, NULL);
}

static void took_message(struct stream *s)
{
	load.n.messages++;
	if (opt.kind == LIST)
		took_device_page(s);
	else if (opt.kind == WATCH)
		took_event(s);
	else if (streams_request() && !s->open) {
		s->open = true;
		s->body_at = opt.kind == UPLOAD ? 0 : s->body_at;
		load.open++;
		(void)nghttp2_session_resume_data(s->link->session, s->id);
		kick(s->link);
	}
	buf_clear(&s->message);
}

/* What only counts is not kept. */
static bool keeps_messages(void)
{
	return opt.kind == LIST || opt.kind == WATCH;
}

static void take(struct stream *s, struct span in)
{
	while (in.len > 0) {
		size_t n;

		if (s->head_len < HEAD) {
			s->head[s->head_len++] = in.ptr[0];
			in = span_of(in.ptr + 1, in.len - 1);
			s->left = s->head_len < HEAD
			                  ? 0
			                  : (uint32_t)s->head[1] << 24 |
			                            (uint32_t)s->head[2] << 16 |
			                            (uint32_t)s->head[3] << 8 | s->head[4];
			if (s->head_len < HEAD || s->left > 0)
				continue;
		}
		n = MIN(in.len, (size_t)s->left);
		if (keeps_messages())
			buf_put(&s->message, in.ptr, n);
		else if (opt.kind == DOWNLOAD)
			load.n.octets += n;
		must(s->message.err == 0, "holding a message");
		s->left -= (uint32_t)n;
		in = span_of(in.ptr + n, in.len - n);
		if (s->left > 0)
			continue;
		s->head_len = 0;
		took_message(s);
	}
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)flags;
	(void)user;
	if (s == NULL || (s->slow && s->open)) {
		(void)nghttp2_session_consume_connection(session, len);
		return 0;
	}
	(void)nghttp2_session_consume(session, id, len);
	take(s, span_of(data, len));
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)flags;
	(void)user;
	if (s == NULL || value_len == 0)
		return 0;
	if (name_len == 11 && memcmp(name, "grpc-status", 11) == 0)
		s->status = value_len == 1 ? value[0] - '0' : 99;
	if (name_len == 12 && memcmp(name, "grpc-message", 12) == 0 && !s->failed) {
		s->failed = true;
		fprintf(stderr, "api_load: %.*s\n", (int)value_len, (const char *)value);
	}
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)error;
	(void)user;
	if (s == NULL)
		return 0;
	load.n.calls++;
	load.n.failed += s->status != 0;
	if (opt.kind < WATCH && s->status == 0)
		note_latency(now_us(CLOCK_MONOTONIC) - s->begin_us);
	/* what should last is over: that was a failure, and beginning again would hide it */
	if (!load.done && opt.kind < WATCH)
		begin_call(s);
	return 0;
}

/* ---- connections ---- */

static nghttp2_session *make_session(struct link *l, bool slow)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, slow ? WINDOW_SLOW : WINDOW},
	};
	nghttp2_session_callbacks *cb;
	nghttp2_session *session;
	nghttp2_option *option;

	must(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&option) == 0,
	     "nghttp2");
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_option_set_no_auto_window_update(option, 1);
	must(nghttp2_session_client_new2(&session, cb, l, option) == 0, "an HTTP/2 session");
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	must(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) ==
	                     0 &&
	             nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, WINDOW) ==
	                     0,
	     "settings");
	return session;
}

static void pump(struct task *t)
{
	struct link *l = container_of(t, struct link, pump);

	l->pumping = false;
	while (l->conn != NULL && !conn_congested(l->conn)) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(l->session, &data);

		must(n >= 0, "making frames");
		if (n == 0)
			break;
		must(conn_write(l->conn, span_of(data, (size_t)n)) == 0, "sending");
	}
}

static void on_ready(struct conn *c)
{
	struct link *l = conn_user(c);
	size_t index = (size_t)(l - load.links);

	load.up++;
	for (unsigned i = 0; i < opt.streams; i++) {
		struct stream *s = &l->streams[i];

		s->link = l;
		s->slow = index * opt.streams + i < opt.slow;
		buf_init(&s->message, MESSAGE_MAX);
		begin_call(s);
	}
}

static void on_input(struct conn *c, struct span s)
{
	struct link *l = conn_user(c);

	must(nghttp2_session_mem_recv(l->session, s.ptr, s.len) == (ssize_t)s.len, "the server");
	kick(l);
}

static void on_drained(struct conn *c)
{
	kick(conn_user(c));
}

static void on_closed(struct conn *c, int err)
{
	struct link *l = conn_user(c);

	must(load.done, err == 0 ? "keeping a connection" : err_text(err));
	l->conn = NULL;
}

static const struct conn_ops conn_ops = {
	.ready = on_ready, .data = on_input, .drained = on_drained, .closed = on_closed};

static void start(struct task *t)
{
	const struct conn_opts o = {.ops = &conn_ops,
	                            .tls = load.tls,
	                            .server_name = opt.ca != NULL ? opt.name : NULL,
	                            .send_limit = 262144};

	(void)t;
	for (unsigned i = 0; i < opt.connections; i++) {
		struct link *l = &load.links[i];

		l->pump.run = pump;
		l->session = make_session(l, i * opt.streams < opt.slow);
		l->conn = conn_connect(load.loop, &load.api, NULL, &o);
		must(l->conn != NULL, "connecting");
		conn_set_user(l->conn, &conn_ops, l);
	}
	timer_set(load.loop, &load.timer, loop_now_ms(load.loop) + 20);
}

/* ---- measuring ---- */

static void begin_counting(void)
{
	load.counting = true;
	load.first = load.n;
	load.wall_s = seconds_of(CLOCK_MONOTONIC);
	load.cpu_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	load.pid_s = process_seconds(opt.pid);
}

static void report(void)
{
	double wall = seconds_of(CLOCK_MONOTONIC) - load.wall_s;
	double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - load.cpu_s;
	double pid = process_seconds(opt.pid) - load.pid_s;

	printf("{\"kind\": \"%s\", \"connections\": %u, \"streams\": %u, \"seconds\": %.3f, "
	       "\"calls\": %llu, \"failed\": %llu, \"messages\": %llu, \"events\": %llu, "
	       "\"devices\": %llu, \"octets\": %llu, \"open\": %u, \"client_cpu_s\": %.4f, "
	       "\"gateway_cpu_s\": %.4f, \"latency_us\": {\"p50\": %.0f, \"p99\": %.0f, "
	       "\"max\": %llu}}\n",
	       kinds[opt.kind].name, opt.connections, opt.streams, wall,
	       (unsigned long long)(load.n.calls - load.first.calls),
	       (unsigned long long)(load.n.failed - load.first.failed),
	       (unsigned long long)(load.n.messages - load.first.messages),
	       (unsigned long long)(load.n.events - load.first.events),
	       (unsigned long long)(load.n.devices - load.first.devices),
	       (unsigned long long)(load.n.octets - load.first.octets), load.open, cpu, pid,
	       percentile(0.5), percentile(0.99), (unsigned long long)load.latency_max);
}

/* Everything that lasts must be there before the warming begins. */
static bool all_there(void)
{
	if (load.up < opt.connections)
		return false;
	return opt.kind < WATCH || load.open == opt.connections * opt.streams;
}

static void tick(struct timer *t)
{
	static uint64_t ready_ms, begin_ms;
	uint64_t now_ms = loop_now_ms(load.loop);

	begin_ms = begin_ms != 0 ? begin_ms : now_ms;
	if (ready_ms == 0 && all_there())
		ready_ms = now_ms;
	must(ready_ms != 0 || now_ms - begin_ms < 1000ULL * opt.ready_s,
	     "waiting for connections and streams");
	if (ready_ms != 0 && !load.counting && now_ms >= ready_ms + opt.warm_ms)
		begin_counting();
	if (load.counting && seconds_of(CLOCK_MONOTONIC) - load.wall_s >= opt.seconds) {
		report();
		load.done = true;
		loop_stop(load.loop);
		return;
	}
	timer_set(load.loop, t, now_ms + 20);
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

int main(int argc, char **argv)
{
	opt.kind = KINDS;
	for (unsigned i = 0; argc > 1 && i < KINDS; i++)
		if (strcmp(argv[1], kinds[i].name) == 0)
			opt.kind = i;
	must(opt.kind < KINDS, "finding a KIND in the arguments");
	for (int i = 2; i < argc; i += 2)
		read_option(argv[i], argv[i + 1]);
	must(opt.api != NULL && opt.token_file != NULL && addr_parse(opt.api, &load.api) == 0 &&
	             opt.connections >= 1 && opt.connections <= LINKS_MAX && opt.streams >= 1 &&
	             opt.streams <= STREAMS_MAX,
	     "reading the options");
	/* the head of a message with UPLOAD_PIECE octets in field 2: the length, tag and a varint of three */
	memcpy(upload_message, "\0\0\0\x40\x04\x12\x80\x80\x01", HEAD + 4);
	must(tls_global_init() == 0, "tls_global_init");
	read_devices();
	read_token();
	make_tls();
	load.links = calloc(opt.connections, sizeof(*load.links));
	load.loop = loop_new(&(struct loop_opts){.index = 0});
	must(load.links != NULL && load.loop != NULL, "memory");
	load.start.run = start;
	load.timer.fire = tick;
	must(loop_post(load.loop, &load.start) && loop_run(load.loop) == 0, "the loop");
	return 0;
}
