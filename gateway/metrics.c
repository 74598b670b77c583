/* SPDX-License-Identifier: GPL-3.0-or-later */
/* metrics.c: the gateway's figures. One table says which series each counter is, another which field each present value and limit. */
#include "gateway/internal.h"

static const struct {
	const char *name, *help, *labels;
} series[GW_COUNT_LEN] = {
	[GW_ACCEPTED] = {"causeway_cira_accepted_total", "Connections accepted on the CIRA ports.",
                         NULL},
	[GW_REFUSED_BACKOFF] = {"causeway_cira_refused_total",
                                "Connections refused before authentication.", "reason=backoff"},
	[GW_REFUSED_LIMIT] = {"causeway_cira_refused_total",
                              "Connections refused before authentication.", "reason=limit"},
	[GW_REFUSED_SOURCE] = {"causeway_cira_refused_total",
                               "Connections refused before authentication.", "reason=source_limit"},
	[GW_REFUSED_DESCRIPTORS] = {"causeway_cira_refused_total",
                                    "Connections refused before authentication.",
                                    "reason=descriptors"},
	[GW_TLS_OK] = {"causeway_cira_tls_handshakes_total", "TLS handshakes on the CIRA ports.",
                       "result=ok"},
	[GW_TLS_FAILED] = {"causeway_cira_tls_handshakes_total",
                           "TLS handshakes on the CIRA ports.", "result=failed"},
	[GW_AUTH_OK] = {"causeway_cira_auth_total", "Authentications of devices.", "result=ok"},
	[GW_AUTH_BAD_USER] = {"causeway_cira_auth_total", "Authentications of devices.",
                              "result=bad_user"},
	[GW_AUTH_BAD_PASSWORD] = {"causeway_cira_auth_total", "Authentications of devices.",
                                  "result=bad_password"},
	[GW_AUTH_POLICY] = {"causeway_cira_auth_total", "Authentications of devices.",
                            "result=policy"},
	[GW_ENROLLED] = {"causeway_enrolled_total", "New devices stored.", "result=ok"},
	[GW_ENROLL_FAILED] = {"causeway_enrolled_total", "New devices stored.", "result=failed"},
	[GW_REPLACED] = {"causeway_tunnels_replaced_total",
                         "Tunnels ended because a newer one of the device authenticated.", NULL},
	[GW_READY] = {"causeway_tunnels_ready_total", "Tunnels that became ready for operations.",
                      NULL},
	[GW_PAGES] = {"causeway_cira_pages_total", "Pages shown to browsers on the CIRA ports.",
                      NULL},
	[GW_UDP_SEND_TO] = {"causeway_udp_send_to_total",
                            "Datagrams devices wanted sent (not delivered).", NULL},
	[GW_CHANNELS_OPENED] = {"causeway_channels_opened_total", "Channels opened to devices.",
                                "result=ok"},
	[GW_CHANNELS_FAILED] = {"causeway_channels_opened_total", "Channels opened to devices.",
                                "result=failed"},
	[GW_CHANNELS_REFUSED_FULL] = {"causeway_channels_opened_total",
                                      "Channels opened to devices.", "result=queue_full"},
	[GW_QUEUE_OVERFLOW] = {"causeway_tunnel_queue_overflow_total",
                               "Tunnels closed because the device did not read.", NULL},
	[GW_DUPLICATE_SUSPECTED] = {"causeway_duplicate_guids_total",
                                    "Devices found to take turns from several addresses: two "
                                    "machines may have one GUID.",
                                    NULL},
	[GW_REGISTRY_FAILED] = {"causeway_registry_failures_total",
                                "Stored changes that did not get into memory.", NULL},
	[GW_PAUSED] = {"causeway_cira_paused_total",
                       "Times that accepting was paused: too many handshakes under way.", NULL},
	[GW_PACED] = {"causeway_cira_paced_total",
                      "Times that accepting waited for the next tick of 16 ms: enough had come in "
                      "this one.",
                      NULL},
	[GW_ROOM_REFUSED] = {"causeway_socket_room_refused_total",
                             "Buffers of tunnels' sockets that did not grow: all tunnels together "
                             "had their limit.",
                             NULL},
	[GW_READY_SKIPPED] = {"causeway_ready_skipped_total",
                              "Tunnels whose facts were not read at connect: no fiber.", NULL},
};

static const struct {
	const char *name, *help, *labels;
} gauges[GW_GAUGE_LEN] = {
	[GW_CHANNELS] = {"causeway_channels", "Channels to devices, open or being opened.", NULL},
	[GW_OPENERS] = {"causeway_channel_openers", "Operations that wait for a channel to open.",
                        NULL},
	[GW_READY_WAITING] = {"causeway_ready_waiting",
                              "New tunnels that wait for their facts to be read.", NULL},
	[GW_READY_RUNNING] = {"causeway_ready_running", "New tunnels whose facts are being read.",
                              NULL},
};

static const char *const stages[GW_STAGE_LEN] = {[GW_STAGE_TLS] = "stage=tls",
                                                 [GW_STAGE_LOGIN] = "stage=login",
                                                 [GW_STAGE_READY] = "stage=ready"};

/* Registration is idempotent and cheap enough for the first use; afterwards the handle is kept. */
static struct metric *handles[GW_COUNT_LEN];
static struct metric *close_handles[APF_CLOSE_REASON_COUNT];
static struct metric *glitch_handles[APF_GLITCH_COUNT];
static struct metric *gauge_handles[GW_GAUGE_LEN], *stage_handles[GW_STAGE_LEN];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct metric *labelled(const char *name, const char *help, const char *key,
                               const char *value)
{
	struct buf b;
	struct metric *m;

	buf_init(&b, METRIC_LABELS_MAX);
	buf_printf(&b, "%s=%s", key, value);
	m = metric_counter(name, help, buf_cstr(&b));
	buf_free(&b);
	return m;
}

static void make_handles(void)
{
	for (size_t i = 0; i < GW_COUNT_LEN; i++)
		handles[i] = metric_counter(series[i].name, series[i].help, series[i].labels);
	for (size_t i = 0; i < GW_GAUGE_LEN; i++)
		gauge_handles[i] = metric_gauge(gauges[i].name, gauges[i].help, gauges[i].labels);
	for (size_t i = 0; i < GW_STAGE_LEN; i++)
		stage_handles[i] = metric_histogram("causeway_cira_connect_seconds",
		                                    "Time that a stage of a device's connect took.",
		                                    stages[i], &metric_latency_ms);
	for (unsigned i = 0; i < APF_CLOSE_REASON_COUNT; i++)
		close_handles[i] =
			labelled("causeway_apf_closed_total", "APF sessions ended, by reason.",
		                 "reason", apf_close_label((enum apf_close_reason)i));
	for (unsigned i = 0; i < APF_GLITCH_COUNT; i++)
		glitch_handles[i] = labelled("causeway_apf_glitches_total",
		                             "Oddities of devices that were tolerated.", "kind",
		                             apf_glitch_label((enum apf_glitch)i));
}

void gw_count(enum gw_count what)
{
	(void)pthread_once(&once, make_handles);
	metric_inc(handles[what]);
}

void gw_count_close(enum apf_close_reason why)
{
	(void)pthread_once(&once, make_handles);
	metric_inc(close_handles[why]);
}

void gw_count_glitch(enum apf_glitch what)
{
	(void)pthread_once(&once, make_handles);
	metric_inc(glitch_handles[what]);
}

void gw_move(enum gw_gauge what, int delta)
{
	(void)pthread_once(&once, make_handles);
	metric_move(gauge_handles[what], delta);
}

size_t gateway_channels(void)
{
	(void)pthread_once(&once, make_handles);
	return (size_t)MAX(metric_value(gauge_handles[GW_CHANNELS]), (int64_t)0);
}

void gw_stage(enum gw_stage what, uint32_t ms)
{
	(void)pthread_once(&once, make_handles);
	metric_observe(stage_handles[what], ms);
}

/* ---- present values and their limits ---- */

struct figures {
	uint64_t tunnels, tunnels_limit, handshakes, handshakes_limit, handshakes_source_limit;
	uint64_t sources, sources_limit, draining, paused;
	struct registry_stats registry;
	uint64_t devices_limit, groups_limit, tokens_limit;
	struct bucket_stats backoff_source, backoff_pair, source_fails;
	struct attempts_stats attempts;
	uint64_t attempts_limit, events, events_limit, watchers;
	uint64_t ready_limit, openers_limit, channels_limit, room, room_limit;
};

_Static_assert(sizeof(struct figures) <= METRIC_GROUP_SIZE, "a group's struct is too large");

#define AT(m) .offset = offsetof(struct figures, m)
#define BACKOFF \
	"causeway_backoff_keys", "Sources and devices whose failures are remembered, by table."
#define BACKOFF_LIMIT "causeway_backoff_keys_limit", "Keys that a table of failures holds."
#define BACKOFF_GONE                                                                        \
	"causeway_backoff_evictions_total", "Keys that made room for others in a table of " \
					    "failures."
#define ATTEMPTS "causeway_attempts_keys", "GUIDs and sources whose last attempts are kept."

static const struct metric_field fields[] = {
	{"causeway_tunnels", "CIRA connections held, authenticated or not.", NULL, false,
         AT(tunnels)},
	{"causeway_tunnels_limit", "CIRA connections that may be held (cira.max_tunnels).", NULL,
         false, AT(tunnels_limit)},
	{"causeway_cira_handshakes", "Connections whose TLS handshake is not done.", NULL, false,
         AT(handshakes)},
	{"causeway_cira_handshakes_limit",
         "Handshakes that may be under way (cira.max_handshakes); accepting pauses then.", NULL,
         false, AT(handshakes_limit)},
	{"causeway_cira_handshakes_source_limit",
         "Handshakes that one source may have under way once half of all are taken.", NULL, false,
         AT(handshakes_source_limit)},
	{"causeway_cira_sources", "Sources with a handshake under way.", NULL, false, AT(sources)},
	{"causeway_cira_sources_limit", "Sources that may have a handshake under way.", NULL, false,
         AT(sources_limit)},
	{"causeway_cira_paused",
         "1 while accepting waits for handshakes to end or for the next tick.", NULL, false,
         AT(paused)},
	{"causeway_draining", "1 when the gateway takes no new tunnels.", NULL, false,
         AT(draining)},
	{"causeway_devices", "Devices known.", NULL, false, AT(registry.devices)},
	{"causeway_devices_limit", "Devices that are held in memory at most.", NULL, false,
         AT(devices_limit)},
	{"causeway_devices_connected", "Devices with an authenticated tunnel.", NULL, false,
         AT(registry.connected)},
	{"causeway_groups", "Groups.", NULL, false, AT(registry.groups)},
	{"causeway_groups_limit", "Groups that there may be.", NULL, false, AT(groups_limit)},
	{"causeway_tokens", "API tokens.", NULL, false, AT(registry.tokens)},
	{"causeway_tokens_limit", "API tokens that there may be.", NULL, false, AT(tokens_limit)},
	{BACKOFF, "table=source", false, AT(backoff_source.keys)},
	{BACKOFF, "table=device", false, AT(backoff_pair.keys)},
	{BACKOFF, "table=budget", false, AT(source_fails.keys)},
	{BACKOFF_LIMIT, "table=source", false, AT(backoff_source.keys_max)},
	{BACKOFF_LIMIT, "table=device", false, AT(backoff_pair.keys_max)},
	{BACKOFF_LIMIT, "table=budget", false, AT(source_fails.keys_max)},
	{BACKOFF_GONE, "table=source", true, AT(backoff_source.evictions)},
	{BACKOFF_GONE, "table=device", true, AT(backoff_pair.evictions)},
	{BACKOFF_GONE, "table=budget", true, AT(source_fails.evictions)},
	{ATTEMPTS, "table=guid", false, AT(attempts.guids)},
	{ATTEMPTS, "table=source", false, AT(attempts.sources)},
	{"causeway_attempts_keys_limit",
         "GUIDs, and sources, whose last attempts are kept at most.", NULL, false,
         AT(attempts_limit)},
	{"causeway_attempts_evictions_total", "GUIDs and sources that made room for others.", NULL,
         true, AT(attempts.evictions)},
	{"causeway_device_events_total", "Events of devices.", NULL, true, AT(events)},
	{"causeway_device_events_kept",
         "Newest events that a watcher can still be given; one that is further behind starts anew.",
         NULL, false, AT(events_limit)},
	{"causeway_device_events_waiters", "Watchers that have seen every event and wait.", NULL,
         false, AT(watchers)},
	{"causeway_ready_running_limit", "New tunnels whose facts may be read at once.", NULL,
         false, AT(ready_limit)},
	{"causeway_channel_openers_limit",
         "Operations that may wait for a channel of one device; more are refused.", NULL, false,
         AT(openers_limit)},
	{"causeway_channels_device_limit", "Channels that one device has at once.", NULL, false,
         AT(channels_limit)},
	{"causeway_socket_room_bytes",
         "What buffers of tunnels' sockets may hold beyond what they begin with.", NULL, false,
         AT(room)},
	{"causeway_socket_room_limit_bytes", "What they may have in all.", NULL, false,
         AT(room_limit)},
};

static void read_config(struct gateway *g, struct figures *f)
{
	struct gateway_config *c = config_get(g);

	f->tunnels_limit = c->max_tunnels;
	f->handshakes_limit = c->max_handshakes;
	f->handshakes_source_limit = c->max_handshakes_source;
	config_put(c);
}

static void read_figures(void *arg, void *stats)
{
	struct gateway *g = arg;
	struct figures *f = stats;

	read_config(g, f);
	f->tunnels = atomic_load(&g->tunnels);
	f->handshakes = atomic_load(&g->handshakes);
	f->sources = arrivals_sources(&g->arrivals);
	f->sources_limit = ARRIVALS_SOURCES_MAX;
	f->paused = f->handshakes >= f->handshakes_limit ? 1 : 0;
	f->draining = atomic_load(&g->draining) ? 1 : 0;
	registry_stats(g->registry, &f->registry);
	f->devices_limit = REGISTRY_DEVICES_MAX;
	f->groups_limit = REGISTRY_GROUPS_MAX;
	f->tokens_limit = REGISTRY_TOKENS_MAX;
	bucket_table_stats(&g->backoff_source, &f->backoff_source);
	bucket_table_stats(&g->backoff_pair, &f->backoff_pair);
	bucket_table_stats(&g->source_fails, &f->source_fails);
	attempts_stats(g->attempts, &f->attempts);
	f->attempts_limit = ATTEMPTS_KEYS_MAX;
	f->events = events_last(g->events);
	f->events_limit = GATEWAY_EVENTS_KEPT;
	f->watchers = events_waiting(g->events);
	f->ready_limit = g->workers_len * READY_RUNNING_MAX;
	f->openers_limit = CHANNEL_WAITING_MAX;
	f->channels_limit = CHANNEL_SLOTS;
	f->room = atomic_load(&g->room);
	f->room_limit = ROOM_MAX;
}

void gateway_metrics(struct gateway *g)
{
	(void)pthread_once(&once, make_handles);
	g->metrics = (struct metric_group){
		.fields = fields, .fields_len = ARRAY_LEN(fields), .read = read_figures, .arg = g};
	metric_group_add(&g->metrics);
}
