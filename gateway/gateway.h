/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * gateway.h: the MPS as the other folders see it: devices and their tunnels, channels to a device's ports, events, and
 * "why does this device not connect?". The only header of gateway/ that others include (besides settings.h).
 *
 * Threads: a tunnel lives on one worker's loop. gateway_run takes an operation there; inside it the channel_* calls block the
 * fiber. Everything else may be called from any thread unless said.
 */
#pragma once

#include "core/addr.h"
#include "core/buf.h"
#include "core/fiber.h"
#include "core/tls.h"
#include "store/store.h"

struct gateway;
struct tunnel;
struct channel;
struct settings;

struct gateway_opts {
	struct loop *const *loops; /* the workers */
	size_t loops_len;
	struct store *store;
	const struct settings
		*settings; /* borrowed until gateway_free; replaced by gateway_reload */
	const char *data_dir;
	struct tls_tickets *tickets; /* borrowed; NULL: no session tickets */
};

/* gateway_new: loads groups, devices and tokens into memory, makes certificates at first start. NULL with a sentence in why. */
struct gateway *gateway_new(const struct gateway_opts *opts, struct buf *why);

/* gateway_listen: opens the CIRA listeners of the settings. 0 or negative with a sentence in why. Before the loops run. */
int gateway_listen(struct gateway *g, struct buf *why) MUST_CHECK;
/* gateway_start: starts accepting. Once the loops run. Any thread. */
void gateway_start(struct gateway *g);
/* gateway_cira_addrs: the real addresses; up to max; returns how many. */
size_t gateway_cira_addrs(const struct gateway *g, struct addr *out, size_t max);

/*
 * gateway_reload: new settings and certificates for new connections; tunnels stay. 0 or negative with why (the old ones stay in
 * force).
 */
int gateway_reload(struct gateway *g, const struct settings *settings, struct buf *why) MUST_CHECK;

/* gateway_drain: stops accepting, sends DISCONNECT to every tunnel and closes. Returns at once; gateway_tunnels() falls to 0. */
void gateway_drain(struct gateway *g);
size_t gateway_tunnels(const struct gateway *g);
/* gateway_channels: open to devices, or being opened; of all gateways in the process. Any thread. */
size_t gateway_channels(void);
/* gateway_free: after the loops ended. */
void gateway_free(struct gateway *g);

/* ---- devices ---------------------------------------------------------------------------------------------------- */

enum power_state { /* CIM values, amt.md B.2; UNKNOWN when never read */
	           POWER_UNKNOWN = 0,
	           POWER_ON = 2,
	           POWER_SLEEP_LIGHT = 3,
	           POWER_SLEEP_DEEP = 4,
	           POWER_CYCLING = 5,
	           POWER_OFF_HARD = 6,
	           POWER_HIBERNATE = 7,
	           POWER_OFF_SOFT = 8,
};

/* General facts read from the device at connect and on demand. Empty strings: not known. */
struct device_facts {
	char amt_version[32]; /* "15.0.23" */
	char build[32];
	uint32_t sku; /* bit mask, amt.md B.1 */
	char host_name[128];
	char control_mode[8]; /* "acm", "ccm", "none" */
	uint64_t observed_ms; /* Unix; 0 never */
};

#define DEVICE_PORTS_MAX 16

/* A device as it is now. Borrowed, valid inside the callback only. No text is NULL. */
struct device_view {
	struct device_key key;
	const char *name, *group;
	enum device_state state;
	const struct label *labels;
	size_t labels_len;
	uint64_t created_ms, updated_ms;
	bool pinned;
	uint8_t pin_sha256[32];
	bool has_own_cira, has_own_amt;

	bool connected;
	struct addr source;
	uint64_t connected_ms, last_seen_ms; /* Unix */
	uint16_t ports[DEVICE_PORTS_MAX];
	size_t ports_len;
	const char *tls_version, *tls_cipher; /* "" when not connected */
	uint32_t trigger;                     /* APF trigger, apf.md 5.1 */
	enum power_state power;
	uint64_t power_ms;
	struct { /* of struct device_facts */
		const char *host_name, *amt_version, *build, *control_mode;
		uint32_t sku;
		uint64_t observed_ms;
	} facts;
	const char *amt_problem; /* "" or why the AMT account is not usable, for people */
	bool duplicate_suspected;
	uint64_t connects, tunnel_id; /* connects since start; 0: no tunnel */
};

/* gateway_device_view: calls fn under the registry's lock: fn must be short and not wait. 0 or -ERR_NOT_FOUND. */
typedef void device_view_fn(void *arg, const struct device_view *v);
int gateway_device_view(struct gateway *g, const struct device_key *key, device_view_fn *fn,
                        void *arg) MUST_CHECK;

/* gateway_device_each: devices in key order, after `after` (NULL: all), until fn returns false. Same rules for fn. */
typedef bool device_each_fn(void *arg, const struct device_view *v);
void gateway_device_each(struct gateway *g, const struct device_key *after, device_each_fn *fn,
                         void *arg);
size_t gateway_device_count(struct gateway *g);

/*
 * gateway_device_find: what an operator typed: "devices/X", a GUID, GUID#n, or a friendly or host name that only one device
 * has. visible(arg, group) limits the search to groups the caller may see (NULL: all). 0, -ERR_NOT_FOUND, -ERR_EXISTS
 * (ambiguous).
 */
typedef bool group_visible_fn(void *arg, const char *group);
int gateway_device_find(struct gateway *g, const char *text, group_visible_fn *visible, void *arg,
                        struct device_key *out) MUST_CHECK;

/* ---- operations on a device ----------------------------------------------------------------------------------------- */

/*
 * gateway_run: runs fn(tunnel, arg) in a fiber on the tunnel's worker with the caller's deadline and returns its result. In a
 * fiber. -ERR_NOT_FOUND, -ERR_OFFLINE: no tunnel; -ERR_PRECONDITION: the device is held; -ERR_FULL. arg may live on the
 * caller's stack.
 */
typedef int tunnel_fn(struct tunnel *t, void *arg);
int gateway_run(struct gateway *g, const struct device_key *key, tunnel_fn *fn,
                void *arg) MUST_CHECK;

/* Inside such an operation (or one spawned by gateway_on_ready) only: */
struct gateway *tunnel_gateway(const struct tunnel *t);
const struct device_key *tunnel_device(const struct tunnel *t);
bool tunnel_has_port(const struct tunnel *t, uint16_t port);
bool tunnel_alive(const struct tunnel *t);
/* tunnel_wait_ready: until the device has forwarded its ports (a tunnel may just have come up). 0, -ERR_CLOSED, -ERR_TIMEOUT, -ERR_CANCELLED. */
int tunnel_wait_ready(struct tunnel *t) MUST_CHECK;
/* tunnel_ref / tunnel_unref: keep the object (not the connection) for a fiber spawned inside an operation. */
struct tunnel *tunnel_ref(struct tunnel *t);
void tunnel_unref(struct tunnel *t);
/*
 * tunnel_ext: one object that another folder keeps with the tunnel (amt/'s session). lost: the connection is gone: close what no
 * fiber is using. free: the last reference to the tunnel is gone. Both on the loop, outside fibers; lost comes first.
 */
struct tunnel_ext_ops {
	void (*lost)(void *ext);
	void (*free)(void *ext);
};
void *tunnel_ext(const struct tunnel *t);
void tunnel_set_ext(struct tunnel *t, void *ext, const struct tunnel_ext_ops *ops);
struct loop *tunnel_loop(const struct tunnel *t);
/* tunnel_amt_credential: the device's AMT account or its group's. false: none. Zero it after use. */
bool tunnel_amt_credential(struct tunnel *t, struct credential *out);
/* tunnel_pin: the pinned certificate of 16993; false: none yet. */
bool tunnel_pin(struct tunnel *t, uint8_t out_sha256[32]);

/* What operations learn. Kept in memory; changes make events. Any thread. */
void gateway_set_power(struct gateway *g, const struct device_key *key, enum power_state state);
void gateway_set_facts(struct gateway *g, const struct device_key *key,
                       const struct device_facts *facts);
/* gateway_set_amt_problem: a sentence, or "" when it works. Cleared by a change of credentials. */
void gateway_set_amt_problem(struct gateway *g, const struct device_key *key, const char *text);
/* gateway_amt_refused: counts a refused AMT logon; returns how many since the credentials last changed. */
unsigned gateway_amt_refused(struct gateway *g, const struct device_key *key);
/* gateway_amt_refusals: that count. Two end all further tries: firmware locks accounts. */
unsigned gateway_amt_refusals(struct gateway *g, const struct device_key *key);

/*
 * A channel: a byte stream to one of the device's ports, in a fiber on the tunnel's worker. At most six of the firmware's
 * eight slots are used at once; further openers wait their turn (first come, first served) until their fiber's deadline.
 */
struct channel_opts {
	uint16_t port;
	uint32_t window; /* what the device may send ahead; 0: 65536 (WSMAN); consoles use 262144 */
	uint32_t
		window_most; /* what that may grow to on a long path (4 MiB a tunnel in all); 0: it does not grow */
	struct addr origin; /* the client's address for the OPEN message; len 0: none */
};
/*
 * channel_open: 0; -ERR_REFUSED (port not forwarded, or the device's refusal), -ERR_TIMEOUT, -ERR_FULL (64 wait already),
 * -ERR_CLOSED, -ERR_CANCELLED.
 */
int channel_open(struct tunnel *t, const struct channel_opts *opts,
                 struct channel **out) MUST_CHECK;
/* channel_read: > 0 octets; 0 the device closed it; -ERR_TIMEOUT, -ERR_CANCELLED, -ERR_CLOSED (tunnel lost). Returns credit. */
ssize_t channel_read(struct channel *c, void *out, size_t n) MUST_CHECK;
/* channel_write: 0 when all of s is taken; blocks under back-pressure. Negative as for read. */
int channel_write(struct channel *c, struct span s) MUST_CHECK;
/* channel_close: sends CLOSE as the rules say and frees c. Never blocks. Must be called for every opened channel. */
void channel_close(struct channel *c);
/* channel_is_open: neither side closed it and the tunnel lives. */
bool channel_is_open(const struct channel *c);
/* Non-blocking use by relays, same thread. channel_set_waiter: fiber_wake(f) whenever something may have become possible. */
size_t channel_readable(const struct channel *c);
/* channel_peek: what is readable, or its first part, in place until the next wait or consume. channel_consume: n of it are done with; the device gets credit. */
struct span channel_peek(const struct channel *c);
void channel_consume(struct channel *c, size_t n);
void channel_set_waiter(struct channel *c, struct fiber *f);
/*
 * channel_set_sink: what comes from the device is offered to sink first, on the way in, while nothing is readable; what it does not take
 * is readable as ever. It returns how many octets it has copied and does not wait or touch the channel.
 */
typedef size_t channel_sink_fn(void *arg, struct span s);
void channel_set_sink(struct channel *c, channel_sink_fn *sink, void *arg);
/* channel_write_some: octets taken now (may be 0), or negative. */
ssize_t channel_write_some(struct channel *c, struct span s) MUST_CHECK;

/* gateway_on_ready: fn runs in its own fiber on the tunnel's worker when an approved device's tunnel is READY (32 at once a worker). */
void gateway_on_ready(struct gateway *g, tunnel_fn *fn, void *arg);

/* gateway_disconnect: sends DISCONNECT and closes the device's tunnel. 0 or -ERR_OFFLINE. */
int gateway_disconnect(struct gateway *g, const struct device_key *key) MUST_CHECK;

/* ---- looking inside ------------------------------------------------------------------------------------------------- */

/* gateway_worker_loop: the loop of worker i; NULL: there are no more. Any thread. */
struct loop *gateway_worker_loop(const struct gateway *g, size_t i);

/* What a tunnel holds beside its fixed parts, in octets. */
struct tunnel_load {
	struct device_key key; /* all zero before it has authenticated */
	uint64_t tunnel_id;
	unsigned worker;
	uint64_t send,
		receive; /* of its connection: queued for the device; received and not taken */
	uint64_t session, channel; /* part of a message; received for channels and not read */
	uint64_t total;
	unsigned channels, openers; /* channels, and of these what still waits to be opened */
};
/* gateway_tunnel_loads: the tunnels that hold most, largest first, up to max (<= TUNNEL_LOADS_MAX). In a fiber. How many, or negative. */
#define TUNNEL_LOADS_MAX 1000
ssize_t gateway_tunnel_loads(struct gateway *g, struct tunnel_load *out, size_t max) MUST_CHECK;

/* ---- events --------------------------------------------------------------------------------------------------------- */

enum device_event_kind {
	DEVICE_EVENT_ADDED = 1,
	DEVICE_EVENT_UPDATED,
	DEVICE_EVENT_REMOVED,
	DEVICE_EVENT_CONNECTED,
	DEVICE_EVENT_DISCONNECTED,
	DEVICE_EVENT_POWER,
};

struct device_event {
	uint64_t seq; /* counts up from 1 in one run of the daemon */
	enum device_event_kind kind;
	struct device_key key;
	enum power_state power; /* for DEVICE_EVENT_POWER */
	uint64_t time_ms;
	char group[NAME_MAX_LEN + 1]; /* so that a removal can be filtered too */
};
#define GATEWAY_EVENTS_KEPT 65536

/* gateway_events_last: the newest seq. gateway_run_id: random, one a run; resume tokens carry both. */
uint64_t gateway_events_last(struct gateway *g);
uint64_t gateway_run_id(const struct gateway *g);
/* gateway_events_read: events after seq into out; how many; -ERR_NOT_FOUND when they are no longer kept (take a new snapshot). */
ssize_t gateway_events_read(struct gateway *g, uint64_t after_seq, struct device_event *out,
                            size_t max) MUST_CHECK;
/* gateway_events_wait: in a fiber: until an event newer than seq is there. 0, -ERR_TIMEOUT (at_ms, monotonic), -ERR_CANCELLED. */
int gateway_events_wait(struct gateway *g, uint64_t after_seq, uint64_t at_ms) MUST_CHECK;

/* ---- why does this device not connect? ------------------------------------------------------------------------------ */

enum attempt_stage {
	ATTEMPT_TCP = 1,
	ATTEMPT_TLS,
	ATTEMPT_HELLO,
	ATTEMPT_USER,
	ATTEMPT_PASSWORD,
	ATTEMPT_POLICY,
	ATTEMPT_READY
};

struct attempt {
	uint64_t time_ms;  /* Unix */
	uint32_t stage_ms; /* low half of the monotonic time at which its present stage began */
	struct addr source;
	bool has_guid;
	struct guid guid;
	enum attempt_stage stage;     /* where it ended; READY: it connected */
	char user[NAME_MAX_LEN + 1];  /* as sent, if printable */
	char detail[160];             /* for people: what happened and what to do */
	char group[NAME_MAX_LEN + 1]; /* of the device or the user, if known: who may read it */
};
/* attempt_stage_name: "tls", "password", ... Static string. */
const char *attempt_stage_name(enum attempt_stage s);

#define ATTEMPTS_PER_KEY  8
#define ATTEMPTS_KEYS_MAX 4096

/* gateway_attempts: newest first, for a GUID or a source address (the other NULL; both NULL: the newest of all); how many in out. */
size_t gateway_attempts(struct gateway *g, const struct guid *guid, const struct addr *source,
                        struct attempt *out, size_t max);

/* ---- tokens and groups in memory ------------------------------------------------------------------------------------ */

/* gateway_token_lookup: by the SHA-256 of the presented token; false: unknown (expiry is the caller's to check). */
bool gateway_token_lookup(struct gateway *g, const uint8_t sha256[32], struct store_token *out);
/* gateway_group_get: 0 or -ERR_NOT_FOUND. Zero the secrets after use. */
int gateway_group_get(struct gateway *g, const char *name, struct store_group *out) MUST_CHECK;

/* gateway_metrics: registers this gateway's metrics. Once. */
void gateway_metrics(struct gateway *g);

/* ---- certificates (gateway/pki.c) ------------------------------------------------------------------------------------ */

/*
 * pki_api_pem: the API's certificate chain and key from the kept root, with localhost, the loopback addresses, the host name
 * and names in it; made or renewed when needed. 0 or negative with why.
 */
int pki_api_pem(const char *data_dir, const char *const *names, size_t names_len,
                struct buf *cert_pem, struct buf *key_pem, struct buf *why) MUST_CHECK;
