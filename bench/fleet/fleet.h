/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fleet.h: a fleet of simulated devices: what its parts share. Threads: every device belongs to one worker and is touched by
 * that worker's loop only; struct fleet is read-only once the workers run, but for the counters (atomic) and the certificates
 * (own lock).
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "bench/fleet/sim_apf.h"
#include "bench/fleet/sim_http.h"
#include "core/addr.h"
#include "core/conn.h"
#include "core/loop.h"
#include "core/tls.h"

#define FLEET_DEVICES_MAX    200000
#define FLEET_THREADS_MAX    64
#define FLEET_SERVERS_MAX    16
#define FLEET_PROFILES_MAX   64
#define FLEET_CERTS_MAX      64 /* certificates that devices share by index, made when first needed */
#define FLEET_NAME_MAX       32
#define FLEET_COUNT_UNUSED   UINT32_MAX
#define FLEET_BACKOFF_MIN_MS 1000

enum fleet_hostile {
	FLEET_HOSTILE_NONE,
	FLEET_HOSTILE_HALF_OPEN, /* TCP, then nothing */
	FLEET_HOSTILE_MUTE,      /* TLS, then nothing */
	FLEET_HOSTILE_DRIP,      /* one octet a second */
	FLEET_HOSTILE_GARBAGE,   /* random octets after TLS */
};

/* What redirection ports do with a stream. */
enum fleet_stream { FLEET_STREAM_ECHO, FLEET_STREAM_SOURCE, FLEET_STREAM_SINK };

enum fleet_closes { FLEET_CLOSES_FIRST, FLEET_CLOSES_LAST, FLEET_CLOSES_ALWAYS };

/* How a group of devices behaves; see fleet_profile_help. Periods in seconds, 0 off. */
struct fleet_profile {
	char name[FLEET_NAME_MAX];
	uint32_t
		count; /* devices with this profile; 0: the rest; FLEET_COUNT_UNUSED: defined only */
	struct sim_apf_opts apf;
	bool host_empty;
	enum fleet_closes closes;
	enum fleet_stream stream;
	enum fleet_hostile hostile;
	int tls_min, tls_max;
	char tls_ciphers[128]; /* empty: the profile's own list */
	bool tls_legacy;
	const char *qop;
	uint32_t lock_after;
	uint32_t churn_s, overlap_s, silent_s;
	uint32_t delay_ms; /* before an answer of a service */
	bool agent, power_broken;
	struct tls_ctx *tls; /* client side of the tunnel */
};

#define FLEET_COUNTERS(X)                                                     \
	X(connects, "connection attempts")                                    \
	X(connected, "tunnels that reached ready")                            \
	X(failed_tcp, "attempts that failed at TCP")                          \
	X(failed_tls, "attempts that failed in the TLS handshake")            \
	X(failed_name, "servers whose certificate has another CN")            \
	X(failed_hello, "tunnels lost before authentication was answered")    \
	X(failed_auth, "authentications refused")                             \
	X(failed_forward, "tunnels lost between authentication and ready")    \
	X(lost_closed, "ready tunnels that the server or the network closed") \
	X(lost_disconnect, "ready tunnels ended by DISCONNECT")               \
	X(lost_keepalive, "ready tunnels whose keep-alive stayed unanswered") \
	X(lost_local, "ready tunnels ended on purpose")                       \
	X(violations, "violations of the protocol by the server")             \
	X(channels, "channels opened by the server")                          \
	X(requests, "WSMAN requests answered")                                \
	X(faults, "of these with a fault")                                    \
	X(unauthorized, "requests answered with 401")                         \
	X(bytes_in, "octets of channel data received")                        \
	X(bytes_out, "octets of channel data sent")

struct fleet_counters {
#define X(name, text) atomic_uint_fast64_t name;
	FLEET_COUNTERS(X)
#undef X
};

struct fleet_cert {
	struct tls_ctx *ctx;
	uint8_t sha256[32];
};

struct fleet {
	/* options */
	struct addr servers[FLEET_SERVERS_MAX];
	size_t servers_len;
	size_t count;
	uint64_t seed;
	char user[128], password[128];
	char amt_user[64], amt_password[128];
	struct buf ca_pem; /* empty: any certificate will do */
	char name[256];    /* expected CN; also SNI */
	const char *domain;
	double rate; /* connects per second; 0: at once */
	uint32_t duration_s, stats_s;
	unsigned threads;
	uint32_t source_addresses; /* 0: the kernel chooses */
	uint32_t source_net;       /* second octet of these */
	uint32_t speed_pct;
	uint32_t backoff_max_s;
	bool json, print, list_guids, quiet;
	bool hold; /* everything is made, and nothing dials before fleet_go */
	const char *control;
	struct fleet_profile profiles[FLEET_PROFILES_MAX];
	size_t profiles_len;
	/* state */
	struct fleet_worker *workers;
	struct fleet_device *devices;
	struct fleet_counters counters;
	double cpu_s; /* of this process, at the end */
	size_t memory_kib;
	atomic_uint_fast64_t ready_now;
	atomic_bool gone;
	sem_t prepared; /* a worker has what it needs */
	pthread_mutex_t certs_lock;
	struct fleet_cert certs[FLEET_CERTS_MAX];
	struct x509_pair *root;
};

struct fleet_worker {
	struct fleet *fleet;
	struct loop *loop;
	pthread_t thread;
	struct task start, finish;
	size_t index;
	size_t next; /* device to start */
	size_t held, should_hold;
	int result;
	bool stopping;
};

struct fleet_tunnel;

struct fleet_device {
	struct fleet *fleet;
	struct fleet_worker *worker;
	const struct fleet_profile *profile;
	size_t index;
	struct sim_facts facts;
	struct sim_power power;
	struct sim_wsman wsman;
	struct sim_digest digest;
	struct fleet_tunnel *tunnel; /* the present one */
	struct fleet_tunnel *old;    /* left half-open by overlap */
	struct timer timer;
	uint64_t connect_at_ms; /* next attempt; SIM_APF_NO_TIME while connected */
	uint64_t act_at_ms;     /* churn, overlap or silence is due */
	uint32_t failures;
	struct fleet_cert own_cert; /* after "cert GUID new" */
};

/* profile.c */
int fleet_profile_set(struct fleet_profile *p, const char *key,
                      const char *value) MUST_CHECK; /* -ERR_NOT_FOUND, -ERR_INVALID */
int fleet_profile_builtin(struct fleet_profile *p,
                          const char *name) MUST_CHECK; /* on top of what p is; -ERR_NOT_FOUND */
void fleet_profile_default(struct fleet_profile *p);
void fleet_profile_help(void);
/* Whether a device with it is expected to be connected at the end. */
bool fleet_profile_holds(const struct fleet_profile *p);

/* options.c: 0; 1 help was printed; negative: a message was printed. */
int fleet_options_parse(struct fleet *f, int argc, char **argv) MUST_CHECK;

/* identity.c: facts from seed and index alone. */
void fleet_identity_make(uint64_t seed, size_t index, struct sim_facts *out);
uint64_t fleet_mix(uint64_t seed, uint64_t a, uint64_t b);

/* device.c: loop thread of the device's worker. */
void fleet_device_init(struct fleet_device *d, struct fleet *f, size_t index);
void fleet_device_free(struct fleet_device *d);
void fleet_device_start(struct fleet_device *d);
void fleet_device_arm(struct fleet_device *d); /* sets the timer to what is due next */
bool fleet_device_held(const struct fleet_device *d);
void fleet_device_drop(struct fleet_device *d, bool polite);
/* fleet_device_congested: so much waits for the network that a source had better stop; fleet_service_more follows. */
bool fleet_device_congested(const struct fleet_device *d);
void fleet_device_silence(struct fleet_device *d, bool silent);

/* service.c: what answers on a channel. */
struct fleet_service;
struct fleet_service_opts {
	struct fleet_device *device;
	struct sim_apf *apf;
	unsigned slot;
	uint16_t port;
};
struct fleet_service *
fleet_service_new(const struct fleet_service_opts *opts); /* NULL: no memory or certificate */
void fleet_service_free(struct fleet_service *s);
/* fleet_service_input / fleet_service_tick: false: it has closed its channel and must be freed. */
bool fleet_service_input(struct fleet_service *s, struct span data, uint64_t now_ms);
/* fleet_service_more: the channel is open or its queue has become empty: a source goes on. */
void fleet_service_more(struct fleet_service *s);
bool fleet_service_tick(struct fleet_service *s, uint64_t now_ms);
/* Answers that wait (delay_ms) are due then; SIM_APF_NO_TIME: none. */
uint64_t fleet_service_next_ms(const struct fleet_service *s);

/* cert.c */
struct tls_ctx *
fleet_cert_ctx(struct fleet_device *d); /* NULL on failure; a reference that the device keeps */
int fleet_cert_renew(struct fleet_device *d) MUST_CHECK;
void fleet_cert_sha256(struct fleet_device *d, uint8_t out[32]);
void fleet_certs_free(struct fleet *f);

/* memory.c: for a fleet that holds. keep: before there are threads; prepare: on the thread of a worker with so many devices. */
void fleet_memory_keep(const struct fleet *f);
void fleet_memory_prepare(size_t devices);

/* run.c: makes devices and workers, waits, reports; the exit status. */
int fleet_run(struct fleet *f);
/* fleet_go: the devices begin to dial; any thread, once the workers are made. False: they have already. */
bool fleet_go(struct fleet *f);
void fleet_request_stop(void);

/* report.c */
void fleet_report_line(const struct fleet *f);
/* fleet_report_usage: takes down memory and CPU while everything is still up. */
void fleet_report_usage(struct fleet *f);
void fleet_report_final(const struct fleet *f, size_t held, size_t should_hold);

/* control.c: a thread that reads commands; 0 or negative. */
int fleet_control_start(struct fleet *f) MUST_CHECK;
void fleet_control_stop(void);

#define FLEET_COUNT(f, name) atomic_fetch_add_explicit(&(f)->counters.name, 1, memory_order_relaxed)
#define FLEET_ADD(f, name, n) \
	atomic_fetch_add_explicit(&(f)->counters.name, (n), memory_order_relaxed)
