/* SPDX-License-Identifier: GPL-3.0-or-later */
/* run.c: makes the devices and the workers, waits for the end, collects what was held. */
#include "bench/fleet/fleet.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/uring_caps.h"

#define EXIT_NOT_HELD  1
#define EXIT_VIOLATION 3
#define WAIT_MS        100

#define STARTS_PER_ITERATION 8

static atomic_bool stop_wanted;

void fleet_request_stop(void)
{
	atomic_store(&stop_wanted, true);
}

/*
 * Devices are dealt to workers in turn; each worker walks its own, a few in each iteration of its loop: the kernel takes the connects of an
 * iteration in one go, and hundreds of them would keep this processor from all others who share it, the gateway among them.
 */
static void worker_start(struct task *t)
{
	struct fleet_worker *w = container_of(t, struct fleet_worker, start);

	for (unsigned n = 0; n < STARTS_PER_ITERATION && w->next < w->fleet->count; n++) {
		fleet_device_start(&w->fleet->devices[w->next]);
		w->next += w->fleet->threads;
	}
	if (w->next < w->fleet->count && !w->stopping)
		(void)loop_post(w->loop, &w->start);
}

static void worker_finish(struct task *t)
{
	struct fleet_worker *w = container_of(t, struct fleet_worker, finish);

	w->stopping = true;
	for (size_t i = w->index; i < w->fleet->count; i += w->fleet->threads) {
		struct fleet_device *d = &w->fleet->devices[i];

		if (fleet_profile_holds(d->profile)) {
			w->should_hold++;
			w->held += fleet_device_held(d);
		}
		timer_cancel(w->loop, &d->timer);
		fleet_device_drop(d, false);
	}
	loop_stop(w->loop);
}

static void *worker_main(void *arg)
{
	struct fleet_worker *w = arg;
	struct fleet *f = w->fleet;

	if (f->hold)
		fleet_memory_prepare(f->count / f->threads + 1);
	sem_post(&f->prepared);
	w->result = loop_run(w->loop);
	return NULL;
}

static int make_tls(struct fleet *f, struct fleet_profile *p)
{
	struct buf why;

	buf_init(&why, 1024);
	p->tls = tls_ctx_new(
		&(struct tls_ctx_opts){
			.profile = p->tls_legacy ? TLS_LEGACY : TLS_MODERN,
			.ca_pem = buf_span(&f->ca_pem),
			.verify = f->ca_pem.len > 0 ? TLS_VERIFY_CA : TLS_VERIFY_NONE,
			.ciphers = p->tls_ciphers[0] != '\0' ? p->tls_ciphers : NULL,
			.min_version = p->tls_min,
			.max_version = p->tls_max,
		},
		&why);
	if (p->tls == NULL)
		fprintf(stderr, "causeway-fleet: profile %s: %s\n", p->name, buf_cstr(&why));
	buf_free(&why);
	return p->tls != NULL ? 0 : -ERR_TLS;
}

/* The profile of device i: profiles with a count come first, the last one without a count takes the rest. */
static const struct fleet_profile *profile_of(const struct fleet *f, size_t index)
{
	const struct fleet_profile *rest = &f->profiles[0];

	for (size_t i = 1; i < f->profiles_len; i++) {
		const struct fleet_profile *p = &f->profiles[i];

		if (p->count == 0) {
			rest = p;
		} else if (index < p->count) {
			return p;
		} else {
			index -= p->count;
		}
	}
	return rest;
}

static int make_devices(struct fleet *f)
{
	f->devices = calloc(f->count, sizeof(*f->devices));
	if (f->devices == NULL)
		return -ERR_NOMEM;
	for (size_t i = 0; i < f->count; i++) {
		f->devices[i].profile = profile_of(f, i);
		fleet_device_init(&f->devices[i], f, i);
	}
	return 0;
}

static int make_workers(struct fleet *f)
{
	f->workers = calloc(f->threads, sizeof(*f->workers));
	if (f->workers == NULL)
		return -ERR_NOMEM;
	for (unsigned i = 0; i < f->threads; i++) {
		struct fleet_worker *w = &f->workers[i];

		w->fleet = f;
		w->index = w->next = i;
		w->start.run = worker_start;
		w->finish.run = worker_finish;
		w->loop = loop_new(&(struct loop_opts){.index = i});
		if (w->loop == NULL)
			return -ERR_NOMEM;
	}
	for (size_t i = 0; i < f->count; i++)
		f->devices[i].worker = &f->workers[i % f->threads];
	return 0;
}

bool fleet_go(struct fleet *f)
{
	if (atomic_exchange(&f->gone, true))
		return false;
	for (unsigned i = 0; i < f->threads; i++)
		(void)loop_post(f->workers[i].loop, &f->workers[i].start);
	return true;
}

/* Returns when all have what they need. */
static int start_workers(struct fleet *f)
{
	sem_init(&f->prepared, 0, 0);
	for (unsigned i = 0; i < f->threads; i++) {
		if (pthread_create(&f->workers[i].thread, NULL, worker_main, &f->workers[i]) != 0)
			return -ERR_INTERNAL;
	}
	for (unsigned i = 0; i < f->threads; i++) {
		while (sem_wait(&f->prepared) != 0)
			; /* a signal */
	}
	return 0;
}

static void print_devices(const struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		char guid[GUID_TEXT_LEN + 1];

		guid_format(&f->devices[i].facts.guid, guid);
		if (f->list_guids)
			printf("%s\n", guid);
		else
			printf("%zu %s %s.%s %s\n", i, guid, f->devices[i].facts.host,
			       f->devices[i].facts.domain, f->devices[i].profile->name);
	}
	fflush(stdout);
}

/* Until a signal, the duration's end, or "quit". */
static void wait_for_end(const struct fleet *f, const sigset_t *signals)
{
	uint64_t begin_ms = clock_mono_ms(), stats_at_ms = begin_ms + f->stats_s * UINT64_C(1000);
	uint64_t end_ms =
		f->duration_s > 0 ? begin_ms + f->duration_s * UINT64_C(1000) : UINT64_MAX;

	while (!atomic_load(&stop_wanted)) {
		uint64_t now_ms = clock_mono_ms();
		struct timespec ts = {.tv_nsec = WAIT_MS * 1000000L};

		if (now_ms >= end_ms || sigtimedwait(signals, NULL, &ts) > 0)
			return;
		if (f->stats_s > 0 && now_ms >= stats_at_ms) {
			stats_at_ms = now_ms + f->stats_s * UINT64_C(1000);
			fleet_report_line(f);
		}
	}
}

static int finish_workers(struct fleet *f)
{
	size_t held = 0, should_hold = 0;
	int result = 0;

	fleet_report_usage(f);
	for (unsigned i = 0; i < f->threads; i++)
		(void)loop_post(f->workers[i].loop, &f->workers[i].finish);
	for (unsigned i = 0; i < f->threads; i++) {
		pthread_join(f->workers[i].thread, NULL);
		held += f->workers[i].held;
		should_hold += f->workers[i].should_hold;
		if (f->workers[i].result != 0)
			result = f->workers[i].result;
	}
	fleet_report_final(f, held, should_hold);
	if (result != 0) {
		fprintf(stderr, "causeway-fleet: the event loop: %s\n", err_text(result));
		return EXIT_NOT_HELD;
	}
	if (atomic_load(&f->counters.violations) > 0)
		return EXIT_VIOLATION;
	return held == should_hold ? 0 : EXIT_NOT_HELD;
}

static void free_all(struct fleet *f)
{
	for (size_t i = 0; f->devices != NULL && i < f->count; i++)
		fleet_device_free(&f->devices[i]);
	for (unsigned i = 0; f->workers != NULL && i < f->threads; i++) {
		if (f->workers[i].loop != NULL)
			loop_free(f->workers[i].loop);
	}
	for (size_t i = 0; i < f->profiles_len; i++) {
		if (f->profiles[i].tls != NULL)
			tls_ctx_unref(f->profiles[i].tls);
	}
	fleet_certs_free(f);
	free(f->devices);
	free(f->workers);
}

/* Says what blocks io_uring, as the gateway does. */
static int check_kernel(const struct fleet *f)
{
	struct uring_caps caps;
	struct buf why;
	int err;

	if (f->servers_len == 0)
		return 0; /* nothing but names is wanted */
	buf_init(&why, 1024);
	err = uring_probe(&caps, &why);
	if (err != 0)
		fprintf(stderr, "causeway-fleet: %s\n", buf_cstr(&why));
	buf_free(&why);
	return err;
}

/* Commands are taken when everything is there: who can say go finds devices that only dial. */
static int run_workers(struct fleet *f, const sigset_t *signals, int *status)
{
	int err = make_workers(f);

	if (err == 0)
		err = start_workers(f);
	if (err != 0)
		return err;
	err = fleet_control_start(f);
	if (err == 0) {
		if (!f->hold)
			(void)fleet_go(f);
		wait_for_end(f, signals);
		fleet_control_stop();
	}
	*status = finish_workers(f);
	return err;
}

int fleet_run(struct fleet *f)
{
	sigset_t signals;
	int status = EXIT_NOT_HELD, err;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	pthread_mutex_init(&f->certs_lock, NULL);
	if (f->hold)
		fleet_memory_keep(f);
	err = check_kernel(f);
	if (err == 0)
		err = tls_global_init();
	for (size_t i = 0; err == 0 && i < f->profiles_len; i++)
		err = make_tls(f, &f->profiles[i]);
	if (err == 0)
		err = make_devices(f);
	if (err == 0 && (f->print || f->list_guids))
		print_devices(f);
	if (err == 0 && f->servers_len == 0)
		status = 0;
	else if (err == 0)
		err = run_workers(f, &signals, &status);
	if (err != 0)
		fprintf(stderr, "causeway-fleet: cannot start: %s\n", err_text(err));
	free_all(f);
	tls_global_fini();
	return status;
}
