/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * service.c: what answers on an open channel: WSMAN on 16992 and 623, the same under TLS on 16993 and 664; on the redirection
 * ports (under TLS on 16995) an echo, or, for measurements, a source that never ends or a sink. Loop thread of the device.
 */
#include "bench/fleet/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"

#define READ_SIZE     4096
#define RESPONSES_MAX (1024UL * 1024)
#define SOURCE_PIECE  16384

struct fleet_service {
	struct fleet_service_opts opts;
	bool echo, closing, closed, writing;
	struct sim_http http;
	struct tls *tls;
	struct buf waiting; /* an answer that is held back */
	uint64_t due_ms;
};

static int tls_output(void *arg, struct span ciphertext)
{
	struct fleet_service *s = arg;

	return sim_apf_write(s->opts.apf, s->opts.slot, ciphertext);
}

static bool port_is_tls(uint16_t port)
{
	return port == 16993 || port == 664 || port == 16995;
}

static bool port_is_wsman(uint16_t port)
{
	return port == 16992 || port == 16993 || port == 623 || port == 664;
}

struct fleet_service *fleet_service_new(const struct fleet_service_opts *opts)
{
	struct fleet_service *s = calloc(1, sizeof(*s));
	struct fleet_device *d = opts->device;

	if (s == NULL)
		return NULL;
	s->opts = *opts;
	s->echo = !port_is_wsman(opts->port);
	s->due_ms = SIM_APF_NO_TIME;
	sim_http_init(&s->http, &d->wsman, &d->digest);
	buf_init(&s->waiting, RESPONSES_MAX);
	if (port_is_tls(opts->port)) {
		struct tls_ctx *ctx = fleet_cert_ctx(d);

		s->tls = ctx != NULL ? tls_new(ctx, NULL, tls_output, s) : NULL;
		if (s->tls == NULL) {
			fleet_service_free(s);
			return NULL;
		}
	}
	return s;
}

void fleet_service_free(struct fleet_service *s)
{
	if (s == NULL)
		return;
	if (s->tls != NULL)
		tls_free(s->tls);
	sim_http_free(&s->http);
	buf_free(&s->waiting);
	free(s);
}

static void close_channel(struct fleet_service *s)
{
	if (s->closed)
		return;
	s->closed = true;
	if (s->tls != NULL && tls_established(s->tls))
		tls_close(s->tls);
	sim_apf_close(s->opts.apf, s->opts.slot);
}

/* Sends what was answered, now that it may go, and closes the way the profile does. */
static void release(struct fleet_service *s)
{
	int err = 0;

	FLEET_ADD(s->opts.device->fleet, bytes_out, s->waiting.len);
	if (s->waiting.len > 0 && s->tls != NULL)
		err = tls_write(s->tls, buf_span(&s->waiting));
	else if (s->waiting.len > 0)
		err = sim_apf_write(s->opts.apf, s->opts.slot, buf_span(&s->waiting));
	buf_free(&s->waiting);
	s->due_ms = SIM_APF_NO_TIME;
	if (err != 0 || s->closing)
		close_channel(s);
}

static void serve_http(struct fleet_service *s, struct span plain, uint64_t now_ms)
{
	struct fleet_device *d = s->opts.device;
	uint64_t requests = d->wsman.requests, faults = d->wsman.faults;
	uint32_t unauthorized = s->http.unauthorized, all = s->http.requests;
	bool ends = sim_http_input(&s->http, plain, now_ms, &s->waiting) == SIM_HTTP_CLOSE;

	FLEET_ADD(d->fleet, requests, d->wsman.requests - requests);
	FLEET_ADD(d->fleet, faults, d->wsman.faults - faults);
	FLEET_ADD(d->fleet, unauthorized, s->http.unauthorized - unauthorized);
	if (d->profile->closes == FLEET_CLOSES_ALWAYS && s->http.requests != all)
		ends = true;
	s->closing = ends && d->profile->closes != FLEET_CLOSES_LAST;
}

/*
 * A source: as much as the server's window and the connection take. What is over the window waits in the slot's queue, whose drained
 * comes back here, also from inside sim_apf_write.
 */
void fleet_service_more(struct fleet_service *s)
{
	static const uint8_t piece[SOURCE_PIECE];
	const struct fleet_device *d = s->opts.device;
	const struct sim_slot *slot = &s->opts.apf->slots[s->opts.slot];

	if (!s->echo || d->profile->stream != FLEET_STREAM_SOURCE || s->tls != NULL || s->writing)
		return;
	s->writing = true;
	while (slot->queue.len == 0 && !fleet_device_congested(d) &&
	       sim_apf_write(s->opts.apf, s->opts.slot, span_of(piece, sizeof(piece))) == 0)
		FLEET_ADD(d->fleet, bytes_out, sizeof(piece));
	s->writing = false;
}

static void serve(struct fleet_service *s, struct span plain, uint64_t now_ms)
{
	uint32_t delay = s->opts.device->profile->delay_ms;

	FLEET_ADD(s->opts.device->fleet, bytes_in, plain.len);
	if (s->closing)
		return;
	if (s->echo && s->opts.device->profile->stream != FLEET_STREAM_ECHO)
		return;
	if (s->echo)
		buf_put_span(&s->waiting, plain);
	else
		serve_http(s, plain, now_ms);
	if (s->waiting.len == 0 && !s->closing)
		return;
	if (delay == 0)
		release(s);
	else if (s->due_ms == SIM_APF_NO_TIME)
		s->due_ms = now_ms + delay;
}

static void serve_tls(struct fleet_service *s, struct span ciphertext, uint64_t now_ms)
{
	uint8_t plain[READ_SIZE];
	ssize_t n = -ERR_AGAIN;

	tls_input(s->tls, ciphertext);
	if (!tls_established(s->tls)) {
		int err = tls_handshake(s->tls);

		if (err != 0 && err != -ERR_AGAIN)
			close_channel(s);
		if (err != 0)
			return;
	}
	while (!s->closed && (n = tls_read(s->tls, plain, sizeof(plain))) > 0)
		serve(s, span_of(plain, (size_t)n), now_ms);
	if (!s->closed && n != -ERR_AGAIN)
		close_channel(s);
}

bool fleet_service_input(struct fleet_service *s, struct span data, uint64_t now_ms)
{
	if (s->tls != NULL)
		serve_tls(s, data, now_ms);
	else
		serve(s, data, now_ms);
	return !s->closed;
}

uint64_t fleet_service_next_ms(const struct fleet_service *s)
{
	return s->due_ms;
}

bool fleet_service_tick(struct fleet_service *s, uint64_t now_ms)
{
	if (s->due_ms <= now_ms)
		release(s);
	return !s->closed;
}
