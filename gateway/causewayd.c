/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * causewayd.c: the composition root: reads the command line and the settings, makes the parts, wires them, and ends them in order. No logic
 * of its own: what is more than wiring lives in the part that owns it.
 */
#include "amt/amt.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/fd_table.h"
#include "core/file.h"
#include "core/log.h"
#include "core/tls_rsa.h"
#include "core/uring_caps.h"
#include "gateway/api_tls.h"
#include "gateway/gateway.h"
#include "gateway/limits.h"
#include "gateway/notify.h"
#include "gateway/options.h"
#include "gateway/runfile.h"
#include "gateway/settings.h"
#include "gateway/tickets.h"
#include "gateway/trim.h"
#include "gateway/workers.h"
#include "mgmtapi/bootstrap.h"
#include "mgmtapi/metrics_http.h"
#include "mgmtapi/metrics_sources.h"
#include "mgmtapi/mgmtapi.h"
#include "mgmtapi/services.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ADDRS_MAX 32
#define WHY_MAX   16384
#define RENEW_EVERY_MS \
	(6ull * 3600 * \
	 1000) /* certificates are looked at as often; a leaf is renewed long before its end */
#define STOP_GRACE_MS  5000 /* after draining, for connections to close */
#define CALLS_GRACE_MS 3000 /* for running calls, before tunnels are told to go */

/* Everything that main makes; NULL until made. */
struct daemon {
	struct daemon_options options;
	struct settings settings; /* of the start; listeners and limits that need a restart */
	struct settings reloaded; /* the last reload, kept for who borrows from it */
	pthread_mutex_t reload_lock;
	bool own_fds; /* each worker has a table of descriptors */
	struct store *store;
	struct workers *workers;
	struct gateway *gateway;
	struct api *api;
	struct mgmtapi *front;
	struct metrics_http *metrics;
	struct tls_ctx *api_tls;
	struct tls_tickets *tickets;
	atomic_bool draining;
	struct buf why;
};

static int complain(struct daemon *d, const char *what)
{
	fprintf(stderr, "causewayd: %s%s%s\n", what, what[0] != '\0' ? ": " : "",
	        buf_cstr(&d->why));
	return EXIT_CONFIGURATION;
}

/* ---- what the API asks of the process -------------------------------------------------------------------------------- */

/* Reads settings and certificates again. Used by SIGHUP, by ServerService.Reload and by the certificates' renewal. */
static int daemon_reload(void *arg, struct buf *why)
{
	struct daemon *d = arg;
	struct settings fresh;
	struct tls_ctx *tls;
	int err;

	pthread_mutex_lock(&d->reload_lock);
	err = settings_load(d->options.config, &fresh, why);
	if (err == 0) {
		err = gateway_reload(d->gateway, &fresh, why);
		tls = err == 0 ? api_tls_make(&fresh, d->options.data, d->tickets, why) : NULL;
		if (tls != NULL) {
			mgmtapi_set_tls(d->front, tls);
			tls_ctx_unref(tls);
			log_set_level((enum log_level)fresh.log_level);
		} else {
			err = err != 0 ? err : -ERR_INVALID;
		}
		settings_free(&d->reloaded);
		d->reloaded = fresh;
		if (err == 0)
			api_settings_reloaded(d->api);
	}
	pthread_mutex_unlock(&d->reload_lock);
	log_event(err == 0 ? LOG_INFO : LOG_ERROR, "reload", LOG_ERR("err", err),
	          LOG_STR("why", err == 0 ? "" : buf_cstr(why)));
	return err;
}

static void daemon_drain(void *arg)
{
	struct daemon *d = arg;

	if (atomic_exchange(&d->draining, true))
		return;
	log_event(LOG_INFO, "drain", LOG_U64("tunnels", gateway_tunnels(d->gateway)));
	gateway_drain(d->gateway);
}

/* ---- making and wiring ------------------------------------------------------------------------------------------------- */

static int make_store(struct daemon *d, bool read_only)
{
	const struct store_opts opts = {
		.dir = d->options.data,
		.key_file =
			d->settings.store_key_file[0] != '\0' ? d->settings.store_key_file : NULL,
		.map_size = d->settings.store_map_size,
		.read_only = read_only,
	};
	int err = file_mkdir(d->options.data, 0700);

	if (err != 0) {
		buf_printf(&d->why, "cannot make the data folder %s: %s", d->options.data,
		           err_text(err));
		return complain(d, "");
	}
	d->store = store_open(&opts, &d->why);
	return d->store != NULL ? 0 : complain(d, "store");
}

static int make_gateway(struct daemon *d)
{
	struct gateway_opts opts = {
		.store = d->store, .settings = &d->settings, .data_dir = d->options.data};

	d->tickets = opts.tickets = tls_tickets_new(clock_wall_ms);
	if (d->tickets == NULL)
		return complain(d, "out of memory");
	(void)tickets_refresh(d->store, d->tickets, (uint64_t)clock_wall_ms());

	d->workers = workers_new(
		&(struct workers_opts){
			.n = (unsigned)d->settings.workers,
			.handshake_threads = (unsigned)d->settings.handshake_threads,
			.own_fds = d->own_fds,
			.real_time = d->settings.real_time,
		},
		&d->why);
	if (d->workers == NULL)
		return complain(d, "workers");
	opts.loops = workers_loops(d->workers, &opts.loops_len);
	d->gateway = gateway_new(&opts, &d->why);
	if (d->gateway == NULL || gateway_listen(d->gateway, &d->why) != 0)
		return complain(d, "gateway");
	gateway_metrics(d->gateway);
	amt_metrics();
	gateway_on_ready(d->gateway, amt_on_ready, NULL);
	return 0;
}

static int make_api(struct daemon *d)
{
	const struct api_opts api = {
		.gateway = d->gateway,
		.store = d->store,
		.settings = &d->settings,
		.settings_file = d->options.config,
		.data_dir = d->options.data,
		.reload = daemon_reload,
		.drain = daemon_drain,
		.arg = d,
	};
	struct mgmtapi_opts front = {
		.message_max = (size_t)d->settings.api.max_message_size,
		.connections_max = (unsigned)d->settings.api.max_connections,
	};

	d->api = api_new(&api, &d->why);
	d->api_tls = d->api != NULL
	                     ? api_tls_make(&d->settings, d->options.data, d->tickets, &d->why)
	                     : NULL;
	if (d->api_tls == NULL)
		return complain(d, "api");
	front.loops = workers_loops(d->workers, &front.loops_len);
	front.services = api_services;
	front.services_len = api_services_len;
	front.authn = api_authn(d->api);
	front.user = d->api;
	front.tls = d->api_tls;
	d->front = mgmtapi_new(&front, &d->why);
	if (d->front == NULL)
		return complain(d, "api");
	for (size_t i = 0; i < d->settings.api.listen.n; i++)
		if (mgmtapi_listen(d->front, &d->settings.api.listen.v[i], &d->why) != 0)
			return complain(d, "api.listen");
	return 0;
}

static int make_metrics(struct daemon *d)
{
	size_t n;
	struct loop *const *loops = workers_loops(d->workers, &n);

	metrics_sources(d->store, loops, n);
	if (d->settings.metrics_listen.len == 0)
		return 0;
	d->metrics = metrics_http_new(loops[0], &d->settings.metrics_listen, &d->why);
	return d->metrics != NULL ? 0 : complain(d, "metrics.listen");
}

static int start(struct daemon *d)
{
	int status = make_store(d, false);

	if (status == 0)
		status = make_gateway(d);
	if (status == 0)
		status = make_api(d);
	if (status == 0)
		status = make_metrics(d);
	if (status == 0 && bootstrap_admin_token(d->store, d->options.data, &d->why) != 0)
		status = complain(d, "administrator's token");
	if (status == 0 && workers_start(d->workers, &d->why) != 0)
		status = complain(d, "workers");
	if (status != 0)
		return status;
	gateway_start(d->gateway);
	mgmtapi_start(d->front);
	if (d->metrics != NULL)
		metrics_http_start(d->metrics);
	return 0;
}

static int announce(struct daemon *d)
{
	struct addr cira[ADDRS_MAX], api[ADDRS_MAX];
	struct runfile run = {.cira = cira, .api = api};

	run.cira_len = gateway_cira_addrs(d->gateway, cira, ADDRS_MAX);
	run.api_len = mgmtapi_addrs(d->front, api, ADDRS_MAX);
	if (d->metrics != NULL)
		metrics_http_addr(d->metrics, &run.metrics);
	if (runfile_write(d->options.data, &run, &d->why) != 0)
		return complain(d, "");
	log_event(LOG_INFO, "started", LOG_STR("version", CAUSEWAY_VERSION),
	          LOG_ADDR("cira", &cira[0]), LOG_ADDR("api", &api[0]),
	          LOG_U64("devices", gateway_device_count(d->gateway)),
	          LOG_STR("rsa", tls_rsa_by()));
	notify_state("READY=1\nSTATUS=Holding tunnels");
	return 0;
}

/* ---- running and ending ------------------------------------------------------------------------------------------------ */

static void reload_by_signal(struct daemon *d)
{
	struct buf why;

	buf_init(&why, WHY_MAX);
	notify_state("RELOADING=1");
	(void)tickets_refresh(d->store, d->tickets, (uint64_t)clock_wall_ms());
	(void)daemon_reload(d, &why);
	notify_state("READY=1");
	buf_free(&why);
}

/* Until TERM or INT. Once a second: log budgets, memory after storms; a few times a day: certificates. */
static void serve(struct daemon *d, const sigset_t *signals)
{
	const struct timespec second = {.tv_sec = 1};
	uint64_t renewed = clock_mono_ms();
	struct trim trim = {.moved = 0};

	for (;;) {
		int sig = sigtimedwait(signals, NULL, &second);

		if (sig == SIGTERM || sig == SIGINT)
			return;
		if (sig == SIGHUP || clock_mono_ms() - renewed > RENEW_EVERY_MS) {
			renewed = clock_mono_ms();
			reload_by_signal(d);
		}
		log_tick();
		trim_tick(&trim, gateway_tunnels(d->gateway), gateway_channels());
	}
}

/* Waits until count(d) is 0, the time is over, or a second signal says "at once". */
static bool wait_for_none(struct daemon *d, size_t (*count)(struct daemon *d), uint64_t ms,
                          const sigset_t *signals)
{
	const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
	uint64_t end = clock_mono_ms() + ms;

	while (count(d) > 0 && clock_mono_ms() < end) {
		int sig = sigtimedwait(signals, NULL, &step);

		if (sig == SIGTERM || sig == SIGINT)
			return false;
	}
	return true;
}

static size_t calls_left(struct daemon *d)
{
	return mgmtapi_calls(d->front);
}

static size_t tunnels_left(struct daemon *d)
{
	return gateway_tunnels(d->gateway);
}

static size_t connections_left(struct daemon *d)
{
	return mgmtapi_connections(d->front) + mgmtapi_calls(d->front);
}

/* Stop accepting, let operations finish, DISCONNECT, close (issue: drain and graceful stop). */
static void drain(struct daemon *d, const sigset_t *signals)
{
	uint64_t patience = d->settings.drain_timeout_ms;

	notify_state("STOPPING=1\nSTATUS=Draining");
	mgmtapi_drain(d->front);
	if (wait_for_none(d, calls_left, MIN(patience, (uint64_t)CALLS_GRACE_MS), signals)) {
		daemon_drain(d);
		(void)wait_for_none(d, tunnels_left, patience, signals);
	}
	daemon_drain(d);
	mgmtapi_stop(d->front);
	if (d->metrics != NULL)
		metrics_http_stop(d->metrics);
	(void)wait_for_none(d, connections_left, STOP_GRACE_MS, signals);
}

static void end(struct daemon *d)
{
	if (d->workers != NULL)
		workers_stop(d->workers);
	if (d->metrics != NULL)
		metrics_http_free(d->metrics);
	metrics_sources_end();
	if (d->front != NULL)
		mgmtapi_free(d->front);
	if (d->api_tls != NULL)
		tls_ctx_unref(d->api_tls);
	if (d->api != NULL)
		api_free(d->api);
	gateway_free(d->gateway);
	tls_tickets_unref(d->tickets);
	if (d->store != NULL)
		store_close(d->store);
	workers_free(
		d->workers); /* last: the writer may still have had completions for the loops */
	settings_free(&d->reloaded);
	settings_free(&d->settings);
	buf_free(&d->why);
}

static void block_signals(sigset_t *signals)
{
	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, signals, NULL);
}

static int run(struct daemon *d)
{
	sigset_t signals;
	int status;

	block_signals(&signals);
	(void)log_start(); /* if not, loops wait for what they log */
	limits_warn(&d->settings);
	status = start(d);
	if (status == 0)
		status = announce(d);
	if (status == 0) {
		serve(d, &signals);
		drain(d, &signals);
		runfile_remove(d->options.data);
		log_event(LOG_INFO, "stopped",
		          LOG_U64("tunnels_left", gateway_tunnels(d->gateway)));
	}
	return status;
}

/* ---- the other modes ------------------------------------------------------------------------------------------------------ */

/* A data folder without a store is what a first start finds: the systemd unit checks before it. */
static int check_store(struct daemon *d)
{
	char path[4096];
	struct buf findings;
	int problems, status;

	if (file_path(path, sizeof(path), d->options.data, "store/data.mdb") == 0 &&
	    access(path, F_OK) != 0 && errno == ENOENT) {
		printf("store: none in %s yet; the first start makes it\n", d->options.data);
		return EXIT_SUCCESS;
	}
	status = make_store(d, true);
	if (status != 0)
		return status;
	buf_init(&findings, 1024 * 1024);
	problems = store_check(d->store, &findings);
	printf("store: %s\n%s", problems == 0 ? "every record can be read" : "needs attention",
	       buf_cstr(&findings));
	buf_free(&findings);
	return problems == 0 ? EXIT_SUCCESS : EXIT_CONFIGURATION;
}

static int check(struct daemon *d)
{
	struct uring_caps caps;

	if (uring_probe(&caps, &d->why) == 0)
		printf("kernel %u.%u: io_uring works%s\n", caps.kernel_major, caps.kernel_minor,
		       caps.multishot ? "" : " (with what kernel 6.1 has)");
	limits_print(&d->settings);
	printf("configuration: %s\n", d->options.config != NULL ? d->options.config : "(defaults)");
	return check_store(d);
}

static int rotate_key(struct daemon *d)
{
	int status = make_store(d, false);

	if (status == 0 && store_rotate_key(d->store, &d->why) != 0)
		status = complain(d, "the sealing key was not rotated");
	if (status == 0)
		puts("a new sealing key is in use; every secret was sealed anew");
	return status;
}

static int restore(struct daemon *d)
{
	if (file_mkdir(d->options.data, 0700) != 0 ||
	    store_restore(d->options.backup, d->options.data, &d->why) != 0)
		return complain(d, "restore");
	puts("restored; put the sealing key beside it and start causewayd");
	return EXIT_SUCCESS;
}

static int prepare(struct daemon *d)
{
	struct uring_caps caps;

	if (settings_load(d->options.config, &d->settings, &d->why) != 0)
		return complain(d, "configuration");
	log_init((enum log_format)d->settings.log_format, (enum log_level)d->settings.log_level);
	limits_raise();
	d->own_fds = limits_own_tables(&d->settings);
	if (!d->own_fds)
		fd_table_reserve(limits_files(&d->settings));
	trim_arenas();
	if (uring_probe(&caps, &d->why) != 0)
		return complain(d, "io_uring");
	if (tls_global_init() != 0)
		return complain(d, "the TLS library cannot be initialised");
	tls_rsa_use(&tls_rsa_libcrypto, TLS_RSA_IF_FASTER);
	return 0;
}

int main(int argc, char **argv)
{
	static struct daemon d = {.reload_lock = PTHREAD_MUTEX_INITIALIZER};
	int status = options_parse(argc, argv, &d.options);

	if (status != 0)
		return status - 1;
	buf_init(&d.why, WHY_MAX);
	if (d.options.mode == DAEMON_PRINT_CONFIG) {
		conf_print_defaults(stdout, &settings_schema);
		return EXIT_SUCCESS;
	}
	status = prepare(&d);
	if (status == 0) {
		static int (*const modes[])(struct daemon *) = {
			[DAEMON_RUN] = run,
			[DAEMON_CHECK] = check,
			[DAEMON_RESTORE] = restore,
			[DAEMON_ROTATE_KEY] = rotate_key,
		};

		status = modes[d.options.mode](&d);
	}
	end(&d);
	log_stop();
	tls_global_fini();
	return status;
}
