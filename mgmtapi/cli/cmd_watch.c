/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cmd_watch.c: `device watch`: what happens to devices, as it happens. A lost connection is made again with growing
 * pauses, and the watch goes on where it was. One thread.
 */
#include <string.h>

#include "causeway/v1/devices.pb-c.h"
#include "core/clock.h"
#include "core/text.h"
#include "mgmtapi/call.h"
#include "mgmtapi/cli/show.h"

#define SERVICE        (&causeway__v1__device_service__descriptor)
#define TOKEN_MAX      1024
#define FILTER_MAX     1024
#define HEARTBEAT_S    15
#define QUIET_MS       45000 /* three heartbeats: the connection is dead */
#define PAUSE_FIRST_MS 1000
#define PAUSE_MAX_MS   30000

struct watch {
	char token[TOKEN_MAX];
	uint64_t devices; /* of the snapshot */
	uint64_t pause_ms;
	bool came; /* something came on the present connection */
};

static const char *event_word(const Causeway__V1__WatchDevicesResponse *e)
{
	switch ((int)e->kind) {
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_SNAPSHOT:
		return e->device != NULL && e->device->connected ? "connected" : "offline";
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_ADDED:
		return "added";
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_UPDATED:
		return "updated";
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_REMOVED:
		return "removed";
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_CONNECTED:
		return "connected";
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_DISCONNECTED:
		return "disconnected";
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_POWER:
		return "power";
	default:
		return "other";
	}
}

/* What belongs behind the event's word. */
static void put_detail(struct buf *out, const Causeway__V1__WatchDevicesResponse *e)
{
	const Causeway__V1__Device *d = e->device;

	switch ((int)e->kind) {
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_POWER:
		buf_put_str(out, cli_power_word((int)d->power_state));
		break;
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_CONNECTED:
		cli_put_clean(out, d->source_address);
		break;
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_SNAPSHOT:
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_ADDED:
	case CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_UPDATED:
		buf_printf(out, "power %s", cli_power_word((int)d->power_state));
		if (d->state == CAUSEWAY__V1__DEVICE_STATE__DEVICE_STATE_HELD)
			buf_put_str(out, ", held");
		break;
	default:
		break;
	}
}

static void print_event(struct cli *cli, const Causeway__V1__WatchDevicesResponse *e)
{
	const Causeway__V1__Device *d = e->device;
	struct buf line;

	buf_init(&line, 4096);
	cli_local_time(&line, e->event_time != NULL ? cli_ms_of(e->event_time) : clock_wall_ms(),
	               false);
	buf_put_str(&line, "  ");
	cli_put_clean(&line, d->id);
	if (d->name[0] != '\0') {
		buf_put_str(&line, " (");
		cli_put_clean(&line, d->name);
		buf_put_str(&line, ")");
	}
	buf_printf(&line, "  %s", event_word(e));
	buf_put_str(&line, "  ");
	put_detail(&line, e);
	while (line.len > 0 && line.data[line.len - 1] == ' ')
		line.len--;
	(void)fprintf(cli->out, "%s\n", buf_cstr(&line));
	buf_free(&line);
}

static int on_event(struct cli *cli, const ProtobufCMessage *message, void *arg)
{
	const Causeway__V1__WatchDevicesResponse *e =
		(const Causeway__V1__WatchDevicesResponse *)message;
	bool heartbeat = e->kind == CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_HEARTBEAT;
	struct watch *w = arg;
	int r = 0;

	w->came = true;
	w->pause_ms = PAUSE_FIRST_MS;
	if (e->resume_token[0] != '\0' && !str_copy(w->token, sizeof(w->token), e->resume_token))
		w->token[0] =
			'\0'; /* too long to keep: the next connection begins with a snapshot */
	if (e->kind == CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_SNAPSHOT)
		w->devices++;
	if (e->kind == CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_SYNC) {
		cli_note(cli, "-- %llu devices; changes follow (Ctrl-C ends) --",
		         (unsigned long long)w->devices);
		w->devices = 0;
	}
	if (cli->json && !heartbeat)
		r = cli_print_json(cli, message);
	else if (!cli->json && e->device != NULL)
		print_event(cli, e);
	if (fflush(cli->out) != 0)
		return cli_fail(cli, CLI_FAILED, NULL, "cannot write the output");
	return r;
}

/* The filter of the request: --filter, and the device if one is named. */
static int make_filter(struct cli *cli, char *out, size_t size)
{
	const char *filter = cli_arg(&cli->args, "filter"), *id = NULL;
	uint64_t timeout = cli->timeout_ms;
	ProtobufCMessage *m;
	int r, n;

	if (cli->args.words_len > 0)
		id = cli_word(&cli->args, 0);
	if (id == NULL)
		return str_copy(out, size, filter != NULL ? filter : "")
		               ? 0
		               : cli_fail(cli, CLI_USAGE, NULL, "--filter is too long");
	if (timeout == 0)
		cli->timeout_ms = CLI_TIMEOUT_MS; /* this call is none without end */
	r = cli_device_get(cli, id, &m);
	cli->timeout_ms = timeout;
	if (r != 0)
		return r;
	n = snprintf(out, size, "id=%s%s%s", ((Causeway__V1__Device *)m)->id,
	             filter != NULL ? " AND " : "", filter != NULL ? filter : "");
	protobuf_c_message_free_unpacked(m, NULL);
	return n > 0 && (size_t)n < size ? 0
	                                 : cli_fail(cli, CLI_USAGE, NULL, "--filter is too long");
}

/* Whether another connection may help, once the watch has begun. */
static bool may_resume(const struct cli *cli)
{
	return cli->error.lost || cli->error.code == CALL_UNAVAILABLE ||
	       (cli->error.code < 0 && cli->error.exit == CLI_UNAVAILABLE);
}

/* Pauses after a lost connection. False: interrupted. */
static bool pause_before_retry(struct cli *cli, struct watch *w, uint64_t until_ms)
{
	uint64_t ms = w->pause_ms, now = clock_mono_ms();

	cli_note(cli, "causeway: %s; trying again in %llu s", buf_cstr(&cli->error.message),
	         (unsigned long long)ms / 1000);
	w->pause_ms = MIN(w->pause_ms * 2, PAUSE_MAX_MS);
	w->came = false;
	w->devices = 0;
	if (until_ms != 0)
		ms = MIN(ms, until_ms > now ? until_ms - now : 0);
	cli_disconnect(cli);
	return cli_sleep(ms);
}

int cli_device_watch(struct cli *cli)
{
	Causeway__V1__WatchDevicesRequest req = CAUSEWAY__V1__WATCH_DEVICES_REQUEST__INIT;
	Google__Protobuf__Duration heartbeat = GOOGLE__PROTOBUF__DURATION__INIT;
	struct watch w = {.pause_ms = PAUSE_FIRST_MS};
	struct cli_stream_opts opts = {.on_message = on_event, .arg = &w, .quiet_ms = QUIET_MS};
	char filter[FILTER_MAX];
	uint64_t last_ms = 0;
	bool begun = false;
	int r = cli_arg_ms(cli, "for", &last_ms);

	if (r == 0)
		r = make_filter(cli, filter, sizeof(filter));
	if (r != 0)
		return r;
	opts.until_ms = last_ms != 0 ? clock_mono_ms() + last_ms : 0;
	heartbeat.seconds = HEARTBEAT_S;
	req.heartbeat_interval = &heartbeat;
	req.filter = filter;
	req.updates_only = cli_arg_has(&cli->args, "updates-only");
	for (;;) {
		req.resume_token = w.token;
		r = cli_stream(cli, SERVICE, "WatchDevices", &req.base, &opts);
		if (opts.until_ms != 0 && clock_mono_ms() >= opts.until_ms &&
		    (r == 0 || may_resume(cli)))
			return CLI_OK;
		if (r == 0) {
			r = cli_fail_status(cli, CALL_UNAVAILABLE, "the server ended the watch",
			                    span_of(NULL, 0));
			cli->error.lost = true;
		}
		begun = begun || w.came;
		if (r == CLI_INTERRUPTED)
			cli_error_clear(
				&cli->error); /* the usual end of a watch needs no comment */
		if (r == CLI_INTERRUPTED || !begun || !may_resume(cli))
			return r;
		if (!pause_before_retry(cli, &w, opts.until_ms))
			return CLI_INTERRUPTED;
	}
}
