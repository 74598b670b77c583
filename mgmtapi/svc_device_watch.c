/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc_device_watch.c: DeviceService.WatchDevices. A watcher is its call's fiber and a place in the gateway's journal of events; nobody
 * waits for it. It sends a device as it is when it comes to it, so that a slow watcher that has many events before it sends one
 * message a device. When the journal has forgotten its place, it starts with a new snapshot.
 */
#include "core/clock.h"
#include "core/err.h"
#include "core/map.h"
#include "google/protobuf/duration.pb-c.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/device_msg.h"
#include "mgmtapi/device_pack.h"
#include "mgmtapi/metrics_api.h"

#include <stdlib.h>
#include <string.h>

#define HEARTBEAT_MS     30000
#define HEARTBEAT_MIN_MS 1000
#define HEARTBEAT_MAX_MS 300000
#define SNAPSHOT_STEP    64      /* devices copied under the registry's lock at a time */
#define BATCH            512     /* events read at a time; a full batch is coalesced */
#define SHOWN_MAX        4000000 /* devices that a watcher may have been shown */
#define STILL_ALLOWED_MS 1000
#define EVENT_MAX        (DEVICE_PACKED_MAX + 512) /* octets of a message: a device, its place and time */

struct watch {
	struct call *c;
	struct gateway *g;
	const char *filter_text;
	struct filter *filter;
	struct device_event *batch;
	bool tracks;  /* filter or groups: what was shown matters for REMOVED */
	bool resumed; /* what was shown before is not known */
	struct map shown;
	uint64_t seq, heartbeat_ms, look_ms, sent_ms;
	struct metric *behind;
};

/* ---- tokens ---- */

static int read_token(struct watch *w, const char *token, bool *fresh)
{
	uint8_t position[PAGE_POSITION_MAX];
	struct cur cur;
	uint64_t run;
	size_t len;
	int err = page_open(w->c, w->filter_text, token, position, &len);

	*fresh = len == 0;
	if (err != 0 || len == 0)
		return err;
	cur = cur_of(span_of(position, len));
	run = (uint64_t)cur_u32(&cur) << 32;
	run |= cur_u32(&cur);
	w->seq = (uint64_t)cur_u32(&cur) << 32;
	w->seq |= cur_u32(&cur);
	*fresh = run != gateway_run_id(w->g); /* another run of the server: a new snapshot */
	return 0;
}

static char *write_token(struct watch *w, uint64_t seq)
{
	const uint64_t values[2] = {gateway_run_id(w->g), seq};
	uint8_t raw[16];

	for (unsigned i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(values[i / 8] >> (56 - 8 * (i % 8)));
	return page_close(w->c, w->filter_text, span_of(raw, sizeof(raw)));
}

/* ---- sending ---- */

struct sending {
	Causeway__V1__DeviceEventKind kind;
	struct span device; /* packed; empty: none */
	uint64_t time_ms, seq;
};

/* A message WatchDevicesResponse of devices.proto. */
static int send_event(struct watch *w, const struct sending *s)
{
	const char *token = write_token(w, s->seq);
	struct buf out;
	struct pb pb;

	w->sent_ms = clock_mono_ms();
	if (token == NULL)
		return -ERR_NOMEM;
	buf_init(&out, EVENT_MAX);
	pb = pb_start(&out, s->device.len + EVENT_MAX - DEVICE_PACKED_MAX);
	pb_uint(&pb, 1, s->kind);
	if (s->device.len > 0)
		pb_span(&pb, 2, s->device);
	pb_time(&pb, 3, s->time_ms != 0 ? s->time_ms : (uint64_t)clock_wall_ms());
	pb_text(&pb, 4, token);
	pb_finish(&pb);
	return call_send_packed(w->c, &out);
}

static bool sees(const struct watch *w, const char *group)
{
	return principal_sees_group((void *)(uintptr_t)call_principal(w->c), group);
}

static int note_shown(struct watch *w, const struct device_key *key, bool is_shown)
{
	char text[DEVICE_KEY_TEXT_MAX];
	void *old;

	if (!w->tracks)
		return 0;
	device_key_format(key, text);
	if (is_shown)
		return map_replace(&w->shown, span_str(text), w, &old);
	(void)map_remove(&w->shown, span_str(text));
	return 0;
}

static bool was_shown(const struct watch *w, const struct device_key *key)
{
	char text[DEVICE_KEY_TEXT_MAX];

	device_key_format(key, text);
	return map_get(&w->shown, span_str(text)) != NULL;
}

/* ---- snapshot ---- */

struct copying {
	struct watch *w;
	struct buf packed; /* len devices, one behind the other */
	size_t ends[SNAPSHOT_STEP];
	struct device_key keys[SNAPSHOT_STEP];
	size_t len, looked;
	struct device_key last;
	bool more;
};

static bool copy_one(void *arg, const struct device_view *v)
{
	struct copying *cp = arg;
	struct pb pb;

	cp->more = cp->len == SNAPSHOT_STEP || cp->looked == 32UL * SNAPSHOT_STEP;
	if (cp->more)
		return false;
	cp->looked++;
	cp->last = v->key;
	if (!sees(cp->w, v->group) || !filter_matches(cp->w->filter, device_filter_value, v))
		return true;
	pb = pb_start(&cp->packed, DEVICE_PACKED_MAX);
	device_pack(&pb, v);
	pb_finish(&pb);
	cp->ends[cp->len] = cp->packed.len;
	cp->keys[cp->len++] = v->key;
	return cp->packed.err == 0;
}

static int send_copies(struct watch *w, struct copying *cp)
{
	size_t at = 0;
	int err = cp->packed.err;

	for (size_t i = 0; i < cp->len && err == 0; at = cp->ends[i++]) {
		/* Resuming in the middle of a snapshot is a new snapshot: the token's place is before any event. */
		struct sending s = {CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_SNAPSHOT,
		                    span_of(cp->packed.data + at, cp->ends[i] - at), 0, UINT64_MAX};

		err = note_shown(w, &cp->keys[i], true);
		if (err == 0)
			err = send_event(w, &s);
	}
	buf_free(&cp->packed);
	return err;
}

static int send_snapshot(struct watch *w)
{
	struct sending sync = {.kind = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_SYNC};
	struct copying *cp = calloc(1, sizeof(*cp));
	const struct device_key *after = NULL;
	size_t mark = call_mark(w->c);
	int err = cp != NULL ? 0 : -ERR_NOMEM;

	w->seq = gateway_events_last(w->g);
	map_free(&w->shown);
	w->resumed = false;
	while (err == 0) {
		cp->w = w;
		buf_init(&cp->packed, (size_t)SNAPSHOT_STEP * DEVICE_PACKED_MAX);
		cp->len = cp->looked = 0;
		cp->more = false;
		gateway_device_each(w->g, after, copy_one, cp);
		after = &cp->last;
		err = send_copies(w, cp);
		call_release(w->c, mark);
		if (!cp->more)
			break;
		fiber_yield();
	}
	free(cp);
	sync.seq = w->seq;
	return err == 0 ? send_event(w, &sync) : err;
}

/* ---- events ---- */

struct looking {
	struct watch *w;
	const struct device_event *ev;
	struct buf packed;
	bool matches;
};

static void look(void *arg, const struct device_view *v)
{
	struct looking *l = arg;
	struct device_view then = *v;
	struct pb pb;

	l->matches = sees(l->w, v->group) && filter_matches(l->w->filter, device_filter_value, v);
	if (!l->matches)
		return;
	if (l->ev->kind == DEVICE_EVENT_POWER)
		then.power = l->ev->power;
	pb = pb_start(&l->packed, DEVICE_PACKED_MAX);
	device_pack(&pb, &then);
	pb_finish(&pb);
}

static Causeway__V1__DeviceEventKind kind_of(enum device_event_kind k)
{
	static const Causeway__V1__DeviceEventKind kinds[] = {
		[DEVICE_EVENT_ADDED] = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_ADDED,
		[DEVICE_EVENT_UPDATED] = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_UPDATED,
		[DEVICE_EVENT_REMOVED] = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_REMOVED,
		[DEVICE_EVENT_CONNECTED] =
			CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_CONNECTED,
		[DEVICE_EVENT_DISCONNECTED] =
			CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_DISCONNECTED,
		[DEVICE_EVENT_POWER] = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_POWER,
	};

	return (size_t)k < ARRAY_LEN(kinds)
	               ? kinds[k]
	               : CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_UPDATED;
}

/* The device is gone, or is nothing for this watcher any more: told only to who may know of it. */
static int send_removed(struct watch *w, const struct device_event *ev, bool may_know)
{
	struct sending s = {.kind = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_REMOVED,
	                    .time_ms = ev->time_ms,
	                    .seq = ev->seq};
	bool known = !w->tracks ? ev->kind == DEVICE_EVENT_REMOVED
	                        : was_shown(w, &ev->key) || (w->resumed && may_know);
	struct buf packed = {.cap = DEVICE_PACKED_MAX};
	struct pb pb;
	int err;

	if (!known)
		return 0;
	(void)note_shown(w, &ev->key, false);
	pb = pb_start(&packed, 4 * DEVICE_KEY_TEXT_MAX);
	device_pack_id(&pb, &ev->key);
	pb_finish(&pb);
	s.device = buf_span(&packed);
	err = packed.err != 0 ? packed.err : send_event(w, &s);
	buf_free(&packed);
	return err;
}

static int send_changed(struct watch *w, const struct device_event *ev, struct span device)
{
	struct sending s = {kind_of(ev->kind), device, ev->time_ms, ev->seq};
	int err;

	if (w->tracks && !w->resumed && !was_shown(w, &ev->key))
		s.kind = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_ADDED;
	/* A removal that was followed by a new start is told by the later event. */
	if (ev->kind == DEVICE_EVENT_REMOVED)
		s.kind = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_UPDATED;
	err = note_shown(w, &ev->key, true);
	return err != 0 ? err : send_event(w, &s);
}

static int send_one(struct watch *w, const struct device_event *ev)
{
	struct looking l = {.w = w, .ev = ev, .packed = {.cap = DEVICE_PACKED_MAX}};
	size_t mark = call_mark(w->c);
	bool there = gateway_device_view(w->g, &ev->key, look, &l) == 0;
	int err = l.packed.err;

	if (err == 0)
		err = there && l.matches ? send_changed(w, ev, buf_span(&l.packed))
		                         : send_removed(w, ev, sees(w, ev->group));
	buf_free(&l.packed);
	call_release(w->c, mark);
	return err;
}

/* In a full batch only the last event of each device counts. seq 0 marks what is left out. */
static int coalesce(struct device_event *batch, size_t n)
{
	struct map seen;
	char text[DEVICE_KEY_TEXT_MAX];
	int err = 0;

	map_init(&seen, 0, BATCH);
	for (size_t i = n; i-- > 0 && err == 0;) {
		device_key_format(&batch[i].key, text);
		err = map_put(&seen, span_str(text), batch);
		if (err == -ERR_EXISTS) {
			batch[i].seq = 0;
			err = 0;
		}
	}
	map_free(&seen);
	return err;
}

/* How many events were read; 0: there were none. */
static ssize_t send_batch(struct watch *w)
{
	ssize_t n = gateway_events_read(w->g, w->seq, w->batch, BATCH);
	int err = 0;

	if (n == -ERR_NOT_FOUND) { /* too far behind */
		metric_inc(w->behind);
		return send_snapshot(w);
	}
	if (n <= 0)
		return n;
	w->seq = w->batch[n - 1].seq;
	if (n == BATCH)
		err = coalesce(w->batch, (size_t)n);
	for (ssize_t i = 0; i < n && err == 0; i++)
		if (w->batch[i].seq != 0)
			err = send_one(w, &w->batch[i]);
	return err != 0 ? err : n;
}

static int check_token(struct watch *w)
{
	if (clock_mono_ms() < w->look_ms)
		return 0;
	w->look_ms = clock_mono_ms() + STILL_ALLOWED_MS;
	return still_allowed(w->c) ? 0 : no_longer_allowed(w->c);
}

static int follow(struct watch *w)
{
	int err = 0;

	while (err == 0) {
		ssize_t n = send_batch(w);

		err = n < 0 ? (int)n : check_token(w);
		if (err != 0 || n > 0)
			continue;
		if (clock_mono_ms() >= w->sent_ms + w->heartbeat_ms) {
			struct sending beat = {
				.kind = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_HEARTBEAT,
				.seq = w->seq};
			size_t mark = call_mark(w->c);

			err = send_event(w, &beat);
			call_release(w->c, mark);
		}
		if (err == 0)
			err = gateway_events_wait(w->g, w->seq,
			                          MIN(w->sent_ms + w->heartbeat_ms, w->look_ms));
		if (err == -ERR_TIMEOUT && clock_mono_ms() < fiber_deadline_ms())
			err = 0;
	}
	return err;
}

/* ---- the call ---- */

static int read_request(struct watch *w, const Causeway__V1__WatchDevicesRequest *rq, bool *fresh)
{
	const Google__Protobuf__Duration *beat = rq->heartbeat_interval;
	struct buf why;
	int err;

	w->filter_text = rq->filter;
	w->heartbeat_ms = HEARTBEAT_MS;
	if (beat != NULL && (beat->seconds < 0 || beat->seconds > HEARTBEAT_MAX_MS / 1000))
		return call_fail(w->c, CALL_INVALID_ARGUMENT, "HEARTBEAT_INVALID", "1 s to 300 s",
		                 "heartbeat_interval is out of range");
	if (beat != NULL) {
		w->heartbeat_ms = (uint64_t)(beat->seconds * 1000 + beat->nanos / 1000000);
		w->heartbeat_ms = MIN(MAX(w->heartbeat_ms, (uint64_t)HEARTBEAT_MIN_MS),
		                      (uint64_t)HEARTBEAT_MAX_MS);
	}
	buf_init(&why, CALL_MESSAGE_MAX);
	err = filter_parse(rq->filter, &device_filter, w->filter, &why);
	if (err != 0)
		err = call_fail(w->c, CALL_INVALID_ARGUMENT, "FILTER_INVALID", "as in ListDevices",
		                "%s", buf_cstr(&why));
	buf_free(&why);
	return err != 0 ? err : read_token(w, rq->resume_token, fresh);
}

static int begin(struct watch *w, const Causeway__V1__WatchDevicesRequest *rq, bool fresh)
{
	struct sending sync = {.kind = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_SYNC};

	if (!fresh) {
		w->resumed = true;
		return 0;
	}
	if (!rq->updates_only)
		return send_snapshot(w);
	w->resumed = true;
	w->seq = sync.seq = gateway_events_last(w->g);
	return send_event(w, &sync);
}

int watch_devices(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__WatchDevicesRequest *rq = (const void *)request;
	struct watch w = {.c = c, .g = api_of(c)->gateway};
	struct metric *watchers =
		metric_gauge("causeway_device_watchers", "Calls of WatchDevices under way.", NULL);
	bool fresh = true;
	int err;

	w.filter = call_alloc(c, sizeof(*w.filter));
	w.batch = calloc(BATCH, sizeof(*w.batch));
	if (w.filter == NULL || w.batch == NULL) {
		free(w.batch);
		return no_memory(c);
	}
	map_init(&w.shown, 0, SHOWN_MAX);
	err = read_request(&w, rq, &fresh);
	w.tracks = w.filter->conds_len > 0 || call_principal(c)->groups_len > 0;
	w.sent_ms = clock_mono_ms();
	w.look_ms = w.sent_ms + STILL_ALLOWED_MS;
	w.behind = metrics_watchers_behind();
	metric_move(watchers, 1);
	if (err == 0)
		err = begin(&w, rq, fresh);
	if (err == 0)
		err = follow(&w);
	metric_move(watchers, -1);
	map_free(&w.shown);
	free(w.batch);
	return call_fail_err(c, err, "the watch");
}
