/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * registry.h: groups, devices and tokens in memory, as the store has them, plus what is known of live tunnels. Connecting and
 * listing never read the store: the store's commit hook keeps this in step before the writer's callers go on. Any thread: one
 * read-write lock, held shortly.
 */
#pragma once

#include "core/addr_pack.h"
#include "gateway/events.h"

#include <stdatomic.h>

struct registry;

#define GUID_INSTANCES_MAX   16 /* devices that claim one GUID */
#define REGISTRY_DEVICES_MAX 1000000
#define REGISTRY_GROUPS_MAX  10000
#define REGISTRY_TOKENS_MAX  10000

/* registry_new: loads everything and subscribes to the store's commits. NULL with why. */
struct registry *registry_new(struct store *store, struct events *events, struct buf *why);
void registry_free(struct registry *r);

/* ---- who is it? ---- */

enum auth_verdict {
	AUTH_KNOWN,    /* key is set */
	AUTH_ENROLL,   /* right group credentials, new device: key and state are what to store */
	AUTH_BAD_USER, /* nobody has this user name */
	AUTH_BAD_PASSWORD,
	AUTH_POLICY, /* right credentials, but not wanted; detail says why */
};

struct auth_result {
	enum auth_verdict verdict;
	struct device_key key;
	enum device_state state;
	char group[NAME_MAX_LEN + 1]; /* of the device or of the user; "" unknown */
	const char *detail;           /* static string for people, or "" */
};

/*
 * registry_authenticate: user and password against the device's own credentials and the groups', in time that does not tell
 * which of them was wrong. Design section 5: a GUID is only a claim; other credentials make another instance of it.
 */
void registry_authenticate(struct registry *r, const struct guid *guid, struct span user,
                           struct span password, struct auth_result *out);
/* registry_authenticate_cert: a client certificate that chained, with this CN: the canonical GUID of a known device. */
void registry_authenticate_cert(struct registry *r, const struct guid *guid, const char *cn,
                                struct auth_result *out);

/* ---- live tunnels ---- */

/* What a tunnel tells. Owned by the tunnel; the registry points to it between attach and detach. */
struct live {
	uint64_t handle; /* of the tunnel on its worker */
	unsigned worker;
	struct addr_pack source;
	uint64_t connected_ms;
	_Atomic uint64_t last_seen_ms; /* written by the tunnel's thread, relaxed */
	const char *tls_version, *tls_cipher;
	uint32_t trigger;
	uint16_t ports[DEVICE_PORTS_MAX];
	size_t ports_len; /* changes under the lock: registry_live_port */
};

/* Where a tunnel is. worker is only valid if handle is not 0. */
struct live_ref {
	unsigned worker;
	uint64_t handle;
};

/*
 * registry_attach: the device's tunnel is now live; *replaced is the one before, to be closed (handle 0: none). -ERR_NOT_FOUND: the
 * device was deleted meanwhile. Publishes CONNECTED. Counts quick replacements from other addresses: duplicate_suspected.
 */
int registry_attach(struct registry *r, const struct device_key *key, struct live *live,
                    struct live_ref *replaced) MUST_CHECK;
/* registry_detach: if live is still the device's. Publishes DISCONNECTED then. */
void registry_detach(struct registry *r, const struct device_key *key, struct live *live);
void registry_live_port(struct registry *r, struct live *live, uint16_t port, bool added);
/* registry_live: where its tunnel is. -ERR_NOT_FOUND, -ERR_OFFLINE. state may be NULL. */
int registry_live(struct registry *r, const struct device_key *key, struct live_ref *out,
                  enum device_state *state) MUST_CHECK;

/* registry_on_removed: called (any thread, no lock held) when a device with a tunnel is deleted from the store. */
typedef void registry_removed_fn(void *arg, struct live_ref ref);
void registry_on_removed(struct registry *r, registry_removed_fn *fn, void *arg);

/* ---- the rest, as gateway.h says ---- */

int registry_view(struct registry *r, const struct device_key *key, device_view_fn *fn,
                  void *arg) MUST_CHECK;
void registry_each(struct registry *r, const struct device_key *after, device_each_fn *fn,
                   void *arg);
size_t registry_count(struct registry *r);
/* registry_stats: what is held in memory; connected: devices that have a tunnel. */
struct registry_stats {
	uint64_t devices, connected, groups, tokens;
};
void registry_stats(struct registry *r, struct registry_stats *out);
int registry_find(struct registry *r, const char *text, group_visible_fn *visible, void *arg,
                  struct device_key *out) MUST_CHECK;
bool registry_amt_credential(struct registry *r, const struct device_key *key,
                             struct credential *out);
bool registry_pin(struct registry *r, const struct device_key *key, uint8_t out_sha256[32]);
void registry_set_power(struct registry *r, const struct device_key *key, enum power_state state);
void registry_set_facts(struct registry *r, const struct device_key *key,
                        const struct device_facts *facts);
void registry_set_amt_problem(struct registry *r, const struct device_key *key, const char *text);
unsigned registry_amt_refusals(struct registry *r, const struct device_key *key, unsigned add);
bool registry_token(struct registry *r, const uint8_t sha256[32], struct store_token *out);
int registry_group(struct registry *r, const char *name, struct store_group *out) MUST_CHECK;
