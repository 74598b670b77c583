/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * internal.h: the structs that gateway/'s files share: the gateway, its workers, tunnels and channels. A worker's parts are touched
 * by its loop's thread only, but for the atomics.
 */
#pragma once

#include "core/bucket.h"
#include "core/conn.h"
#include "core/metric.h"
#include "core/sendq.h"
#include "core/slot.h"
#include "gateway/attempts.h"
#include "gateway/gateway.h"
#include "gateway/arrivals.h"
#include "gateway/registry.h"
#include "gateway/settings.h"
#include "wire/apf_channel.h"
#include "wire/apf_session.h"

#include <stdatomic.h>

#define WORKERS_MAX          64
#define LISTENERS_MAX        16
#define READY_RUNNING_MAX    32 /* fibers of gateway_on_ready at once, a worker */
#define BACKOFF_KEYS_MAX     65536
#define ARRIVALS_SOURCES_MAX 65536
#define CHANNEL_SLOTS        6  /* of the firmware's eight (apf.md 10) */
#define CHANNEL_WAITING_MAX  64 /* openers in line, a tunnel */
#define TUNNEL_QUEUE_MAX     (1024 * 1024)
#define TUNNEL_FLUSH_MS      2000 /* apf.md 7.1 T_CLOSING */
#define READY_WAIT_MS        15000 /* how long an operation waits for a tunnel that has just connected */

enum tunnel_state {
	TUNNEL_TLS,   /* connection is being set up */
	TUNNEL_SNIFF, /* no octet yet: a browser or a device? */
	TUNNEL_APF,
	TUNNEL_CLOSING, /* conn_close was called or the connection is gone */
};

/* A fiber that waits for a change of a tunnel; on its stack. */
struct tunnel_waiter {
	struct tunnel_waiter *next, **prev;
	struct fiber *fiber;
};

struct tunnel {
	struct worker *w;
	uint64_t handle;   /* in w->tunnels */
	uint64_t source;   /* addr_source, until TLS is done */
	struct conn *conn; /* NULL once closed */
	struct gateway_config *config;
	struct apf_session apf;
	struct timer timer; /* apf_session_deadline */
	enum tunnel_state state;
	unsigned refs; /* connection (1) + operations */
	bool attached; /* in the registry, with a key */
	bool ready;    /* apf.md: forwards are in, keep-alive agreed */
	bool apf_made;
	bool pending; /* enrolment is being stored */
	uint8_t room; /* room.c: how often its socket's buffers have doubled */
	uint8_t sniff_len;
	uint8_t sniff[8];
	struct device_key key;
	struct live live;
	struct channel *channels;
	struct fiber_lock open_lock; /* held by the opener whose turn it is to get a channel slot */
	unsigned openers;            /* fibers inside channel_open */
	struct tunnel_waiter *waiters, **waiters_tail; /* in order of coming */
	void *ext;
	const struct tunnel_ext_ops *ext_ops; /* NULL: no ext */
	struct attempt *attempt;              /* what "why" will say; NULL once ready or told */
	struct tunnel *ready_next;            /* in w->ready_queue */
};

/* One worker: a loop and its tunnels. */
struct worker {
	struct gateway *g;
	struct loop *loop;
	unsigned index;
	struct slot_table tunnels;
	struct tunnel *ready_head, **ready_tail;
	unsigned ready_running,
		ready_limit;     /* fibers of gateway_on_ready, and how many there may be now */
	struct timer ready_pace; /* armed while tunnels are in line; looks at ready_limit again */
	atomic_uint load;        /* tunnels + those on their way here */
	struct task drain;
};

struct cira_listener {
	struct gateway *g;
	struct listener *l;
	struct addr addr;
	struct conf_cidrs proxy_from; /* borrowed from the settings of the start */
	enum tls_profile profile;
};

/* Certificates and limits in force. A reload makes a new one; a connection keeps the one it began with. */
struct gateway_config {
	atomic_uint refs;
	struct tls_ctx *modern, *legacy;
	struct apf_limits limits;
	uint32_t max_tunnels, max_handshakes;
	uint32_t max_handshakes_source; /* of one source */
};

struct gateway {
	struct store *store;
	struct events *events;
	struct registry *registry;
	struct attempts *attempts;
	const char *data_dir;
	struct tls_tickets *tickets; /* borrowed */
	uint64_t run_id;
	const struct settings *settings; /* of the start: what a listener is */
	pthread_mutex_t config_lock;
	struct gateway_config *config;      /* under config_lock: config_get */
	struct bucket_table backoff_source; /* source host */
	struct bucket_table backoff_pair;   /* source host + GUID */
	struct bucket_table source_fails;   /* failures a source may have, over all GUIDs */
	tunnel_fn *on_ready;
	void *on_ready_arg;
	struct cira_listener listeners[LISTENERS_MAX];
	size_t listeners_len;
	atomic_uint tunnels, handshakes;
	atomic_size_t room; /* octets that buffers of sockets have beyond what they begin with */
	struct arrivals arrivals; /* handshakes, by source */
	atomic_bool draining;
	struct metric_group metrics;
	bool listeners_paused;                /* accepting loop only */
	struct gateway_config *accept_config; /* accepting loop only */
	struct timer pace;                    /* accepting loop only: until arrived counts anew */
	unsigned arrived;                     /* accepting loop only: in this tick */
	struct task start, stop, resume;      /* on the accepting loop */
	atomic_bool resume_posted;
	size_t workers_len;
	struct worker workers[];
};

struct channel {
	struct tunnel *t;
	struct apf_channel *apf;      /* NULL once the session let go of it */
	struct channel *next, **prev; /* in t->channels */
	struct pool *pool;            /* of the loop: rx's blocks */
	struct sendq rx;       /* received, not read; bounded by the window that was granted */
	channel_sink_fn *sink; /* NULL: everything goes to rx */
	void *sink_arg;
	uint32_t window; /* that room.c knows of */
	struct fiber *waiter;
	bool opened;
	bool eof; /* the device closed it */
	int err;  /* why it failed, 0 */
};

/* tunnel.c */
/* An accepted connection on its way to a worker. */
struct arrival {
	const struct cira_listener *l;
	struct addr peer;
	uint64_t source; /* addr_source of the socket's peer */
	int fd;
};
/* tunnel_accept: makes a tunnel of it; the descriptor is taken over in any case. Worker's thread. */
void tunnel_accept(struct worker *w, const struct arrival *a);
struct tunnel *tunnel_by_handle(struct worker *w, uint64_t handle);
/* tunnel_close: DISCONNECT with the APF code (0: none), flush, close. Harmless when closing already. */
void tunnel_close(struct tunnel *t, uint32_t disconnect_code, const char *why);
/* tunnel_changed: wakes all who wait for something about the tunnel. */
void tunnel_changed(struct tunnel *t);
/* tunnel_wait: in a fiber: until tunnel_changed. 0 or as fiber_wait. */
int tunnel_wait(struct tunnel *t) MUST_CHECK;
/* tunnel_rearm: after anything that may have changed the session's deadline. */
void tunnel_rearm(struct tunnel *t);

/* tunnel_auth.c: the session's questions about identity. */
bool tunnel_hello(void *ctx, const struct guid *guid, uint32_t trigger);
enum apf_auth tunnel_userauth(void *ctx, struct span user, struct span password);
bool tunnel_client_cert(void *ctx);

/* tunnel_attempt.c */
/* attempt_begin: starts the note of an attempt from peer; NULL: no memory (then it is not noted). */
struct attempt *attempt_begin(const struct addr *peer);
void attempt_reach(struct tunnel *t, enum attempt_stage stage, const char *detail);
/* attempt_stage_done: the stage of the connect has ended well: its time is noted. */
enum gw_stage;
void attempt_stage_done(struct tunnel *t, enum gw_stage stage);
/* attempt_finish: stores the note; no more will come. */
void attempt_finish(struct tunnel *t);
/* attempt_refused: a connection that was closed before a tunnel was made. */
void attempt_refused(struct gateway *g, const struct addr *peer, const char *detail);

/* config.c */
struct gateway_config *config_make(const struct gateway *g, const struct settings *s,
                                   struct buf *why);
struct gateway_config *config_get(struct gateway *g);
void config_put(struct gateway_config *c);

/* acceptor.c */
int acceptor_open(struct gateway *g, struct buf *why) MUST_CHECK;
/* acceptor_finished: a connection is no longer on its way in (its handshake ended, either way). Any thread. */
void acceptor_finished(struct gateway *g, uint64_t source);
/* acceptor_stop: no more connections. Any thread. */
void acceptor_stop(struct gateway *g);
void acceptor_start(struct gateway *g);
/* acceptor_refresh: the accepting loop takes the settings in force and accepts again if it may. Any thread. */
void acceptor_refresh(struct gateway *g);
/* acceptor_wants_proxy: the peer is a listed load balancer: a PROXY v2 header must come before TLS. */
bool acceptor_wants_proxy(const struct cira_listener *l, const struct addr *peer);
/* acceptor_proxy_preface: reads that header; as conn_opts.preface. */
ssize_t acceptor_proxy_preface(void *arg, struct span in, struct addr *peer);

/* gateway.c */
/* gateway_close_ref: closes a tunnel wherever it lives. Any thread. */
void gateway_close_ref(struct gateway *g, struct live_ref ref, const char *why);
void gateway_close_removed(void *g, struct live_ref ref);

/* page.c */
void page_answer(struct tunnel *t, struct span first);

/*
 * room.c: buffers of tunnels' sockets. A tunnel begins with small ones: CIRA carries small messages, and strangers, silent and
 * hostile peers are many. A relay gets what its windows need, within ROOM_MAX of all tunnels together, until it is closed.
 */
#define ROOM_RECEIVE_FIRST 32768
#define ROOM_SEND_FIRST    65536
#define ROOM_RECEIVE_STEPS 7 /* doublings: 4 MiB */
#define ROOM_SEND_STEPS    6
#define ROOM_MAX           (512UL * 1024 * 1024)
/* room_fit: a channel was opened, its window has changed, the device is done with it, or the tunnel has ended. */
void room_fit(struct tunnel *t);
/* room_send_more: the socket takes less than the device has room for. */
void room_send_more(struct tunnel *t);

/* ready.c */
void ready_enqueue(struct tunnel *t);
void ready_pace(struct timer *timer);

/* backoff.c */
#define BACKOFF_SOURCE_FAILS \
	20 /* failures of a source at once, over all GUIDs, before it waits as a whole: NAT hides sites */
uint32_t backoff_of_source(struct gateway *g, const struct addr *source, uint64_t now_ms);
uint32_t backoff_of_pair(struct gateway *g, const struct addr *source, const struct guid *guid,
                         uint64_t now_ms);
void backoff_failed(struct gateway *g, const struct addr *source, const struct guid *guid,
                    uint64_t now_ms);
void backoff_succeeded(struct gateway *g, const struct addr *source, const struct guid *guid);

/* metrics.c: counters, by what they count. */
enum gw_count {
	GW_ACCEPTED,
	GW_REFUSED_BACKOFF,
	GW_REFUSED_LIMIT,
	GW_REFUSED_SOURCE,
	GW_REFUSED_DESCRIPTORS,
	GW_TLS_OK,
	GW_TLS_FAILED,
	GW_AUTH_OK,
	GW_AUTH_BAD_USER,
	GW_AUTH_BAD_PASSWORD,
	GW_AUTH_POLICY,
	GW_ENROLLED,
	GW_ENROLL_FAILED,
	GW_REPLACED,
	GW_READY,
	GW_PAGES,
	GW_UDP_SEND_TO,
	GW_CHANNELS_OPENED,
	GW_CHANNELS_FAILED,
	GW_CHANNELS_REFUSED_FULL,
	GW_QUEUE_OVERFLOW,
	GW_DUPLICATE_SUSPECTED,
	GW_REGISTRY_FAILED,
	GW_READY_SKIPPED,
	GW_PAUSED,
	GW_PACED,
	GW_ROOM_REFUSED,
	GW_COUNT_LEN
};
void gw_count(enum gw_count what);
/* Present values that workers' threads hold. */
enum gw_gauge {
	GW_CHANNELS,      /* that exist, being opened or open */
	GW_OPENERS,       /* fibers in channel_open */
	GW_READY_WAITING, /* tunnels in line for gateway_on_ready */
	GW_READY_RUNNING,
	GW_GAUGE_LEN
};
void gw_move(enum gw_gauge what, int delta);
/* gw_stage: how long a stage of a connect took. */
enum gw_stage {
	GW_STAGE_TLS,   /* from the accepted connection to the end of the handshake */
	GW_STAGE_LOGIN, /* from there to the authenticated device */
	GW_STAGE_READY, /* from there to the forwarded ports */
	GW_STAGE_LEN
};
void gw_stage(enum gw_stage what, uint32_t ms);
void gw_count_close(enum apf_close_reason why);
void gw_count_glitch(enum apf_glitch what);
