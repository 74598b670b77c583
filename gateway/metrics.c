/* SPDX-License-Identifier: GPL-3.0-or-later */
/* metrics.c: the gateway's counters. One table says which series each of them is. */
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
};

/* Registration is idempotent and cheap enough for the first use; afterwards the handle is kept. */
static struct metric *handles[GW_COUNT_LEN];
static struct metric *close_handles[APF_CLOSE_REASON_COUNT];
static struct metric *glitch_handles[APF_GLITCH_COUNT];
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

static double read_tunnels(void *arg)
{
	return (double)gateway_tunnels(arg);
}

static double read_handshakes(void *arg)
{
	const struct gateway *g = arg;

	return (double)atomic_load(&g->handshakes);
}

static double read_devices(void *arg)
{
	return (double)gateway_device_count(arg);
}

static double read_events(void *arg)
{
	return (double)gateway_events_last(arg);
}

void gateway_metrics(struct gateway *g)
{
	(void)pthread_once(&once, make_handles);
	metric_gauge_fn("causeway_tunnels", "CIRA connections held, authenticated or not.", NULL,
	                read_tunnels, g);
	metric_gauge_fn("causeway_cira_handshakes", "Connections whose TLS handshake is not done.",
	                NULL, read_handshakes, g);
	metric_gauge_fn("causeway_devices", "Devices known.", NULL, read_devices, g);
	metric_gauge_fn("causeway_device_events", "Number of the newest device event.", NULL,
	                read_events, g);
}
