/* SPDX-License-Identifier: GPL-3.0-or-later */
/* transport.c: channel, and TLS inside the channel. TLS output is gathered in a buffer, for only the fiber may block on the channel. */
#include "amt/transport.h"
#include "amt/stages.h"
#include "core/err.h"
#include "core/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CIPHER_CHUNK 4096
#define TLS_OUT_MAX  (2 * AMT_REPLY_MAX)
#define HANDSHAKE_MS 30000 /* old firmware's RSA is slow (apf.md 9) */

struct transport {
	struct channel *ch;
	struct tls *tls; /* NULL: plain */
	struct buf out;  /* ciphertext not yet written */
	uint8_t *in;     /* CIPHER_CHUNK octets that tls_input borrows */
	uint16_t port;
};

static amt_pin_fn *pin_store;
static void *pin_store_arg;

void amt_set_pin_store(amt_pin_fn *fn, void *arg)
{
	pin_store_arg = arg;
	pin_store = fn;
}

static struct tls_ctx *client_ctx;
static pthread_once_t client_once = PTHREAD_ONCE_INIT;

/* Any version that a firmware generation speaks; what proves the device is the pin, not a chain (it signs its own certificate). */
static void client_ctx_make(void)
{
	const struct tls_ctx_opts opts = {
		.server = false, .profile = TLS_LEGACY, .verify = TLS_VERIFY_NONE};
	struct buf why;

	buf_init(&why, 512);
	client_ctx = tls_ctx_new(&opts, &why);
	if (client_ctx == NULL)
		log_event(LOG_ERROR, "amt_tls_ctx", LOG_STR("why", buf_cstr(&why)));
	buf_free(&why);
}

static int gather(void *arg, struct span ciphertext)
{
	struct transport *tr = arg;

	buf_put_span(&tr->out, ciphertext);
	return tr->out.err;
}

static int flush(struct transport *tr)
{
	int err = tr->out.err;

	if (err == 0 && tr->out.len > 0)
		err = channel_write(tr->ch, buf_span(&tr->out));
	buf_free(&tr->out);
	return err;
}

/* Reads more ciphertext. 0, -ERR_CLOSED at the end, or as channel_read. */
static int fill(struct transport *tr)
{
	ssize_t n;

	ASSERT(tls_input_left(tr->tls) == 0);
	n = channel_read(tr->ch, tr->in, CIPHER_CHUNK);
	if (n <= 0)
		return n == 0 ? -ERR_CLOSED : (int)n;
	tls_input(tr->tls, span_of(tr->in, (size_t)n));
	return 0;
}

static int handshake(struct transport *tr, struct amt_error *why)
{
	for (;;) {
		int err = tls_handshake(tr->tls), sent = flush(tr);

		if (err == 0 || sent != 0)
			return sent;
		if (err == -ERR_AGAIN)
			err = fill(tr);
		if (err != 0) {
			(void)snprintf(
				why->text, sizeof(why->text), "TLS to port %u failed: %s", tr->port,
				tls_error(tr->tls)[0] != '\0' ? tls_error(tr->tls) : err_text(err));
			return err;
		}
	}
}

/* Trust on first use: the first certificate is stored durably before anything is sent through it. */
static int check_pin(struct tunnel *t, struct transport *tr, struct amt_error *why)
{
	uint8_t pinned[32];
	int err;

	if (!tls_peer_sha256(tr->tls, why->seen_sha256)) {
		(void)snprintf(why->text, sizeof(why->text),
		               "the device showed no certificate on port %u", tr->port);
		return -ERR_TLS;
	}
	if (tunnel_pin(t, pinned)) {
		if (memcmp(pinned, why->seen_sha256, sizeof(pinned)) == 0)
			return 0;
		(void)snprintf(why->text, sizeof(why->text),
		               "the device's certificate on port %u is not the one that was "
		               "pinned; if it was changed on purpose, unpin it "
		               "with 'causeway device unpin'",
		               tr->port);
		gateway_set_amt_problem(tunnel_gateway(t), tunnel_device(t), why->text);
		return -ERR_PIN;
	}
	if (pin_store == NULL)
		return 0;
	err = pin_store(pin_store_arg, tunnel_device(t), why->seen_sha256);
	if (err != 0)
		(void)snprintf(why->text, sizeof(why->text),
		               "the device's certificate could not be pinned: %s", err_text(err));
	return err;
}

static int start_tls(struct tunnel *t, struct transport *tr, struct amt_error *why)
{
	uint64_t before, until = loop_now_ms(tunnel_loop(t)) + HANDSHAKE_MS;
	int err;

	(void)pthread_once(&client_once, client_ctx_make);
	tr->in = malloc(CIPHER_CHUNK);
	if (client_ctx == NULL || tr->in == NULL)
		return -ERR_NOMEM;
	tr->tls = tls_new(client_ctx, NULL, gather, tr);
	if (tr->tls == NULL)
		return -ERR_NOMEM;
	before = fiber_deadline_ms();
	(void)fiber_set_deadline(MIN(before, until));
	err = handshake(tr, why);
	(void)fiber_set_deadline(before);
	return err == 0 ? check_pin(t, tr, why) : err;
}

/* The clear port inside the tunnel's TLS costs the device half the work; newer firmware forwards only the TLS one. */
static int choose_port(struct tunnel *t, uint16_t *port, struct amt_error *why)
{
	if (tunnel_has_port(t, AMT_PORT_HTTP))
		*port = AMT_PORT_HTTP;
	else if (tunnel_has_port(t, AMT_PORT_HTTPS))
		*port = AMT_PORT_HTTPS;
	else {
		(void)snprintf(
			why->text, sizeof(why->text),
			"the device forwards neither port 16992 nor 16993 through its tunnel");
		return -ERR_REFUSED;
	}
	return 0;
}

int transport_open(struct tunnel *t, struct transport **out, struct amt_error *why)
{
	struct channel_opts opts = {0};
	struct transport *tr;
	int err;

	stages_enter(stages_of(t), AMT_STAGE_CHANNEL);
	err = tunnel_wait_ready(t);
	*out = NULL;
	if (err == 0)
		err = choose_port(t, &opts.port, why);
	if (err != 0)
		return err;
	tr = calloc(1, sizeof(*tr));
	if (tr == NULL)
		return -ERR_NOMEM;
	tr->port = opts.port;
	buf_init(&tr->out, TLS_OUT_MAX);
	err = channel_open(t, &opts, &tr->ch);
	if (err != 0 && why->text[0] == '\0')
		(void)snprintf(why->text, sizeof(why->text),
		               "the channel to port %u could not be opened: %s", opts.port,
		               err_text(err));
	if (err == 0 && opts.port == AMT_PORT_HTTPS) {
		stages_enter(stages_of(t), AMT_STAGE_TLS);
		err = start_tls(t, tr, why);
	}
	if (err != 0) {
		transport_close(tr);
		return err;
	}
	*out = tr;
	return 0;
}

void transport_close(struct transport *tr)
{
	if (tr->tls != NULL)
		tls_free(tr->tls);
	if (tr->ch != NULL)
		channel_close(tr->ch);
	buf_free_secret(&tr->out);
	free(tr->in);
	free(tr);
}

int transport_write(struct transport *tr, struct span s)
{
	int err;

	if (tr->tls == NULL)
		return channel_write(tr->ch, s);
	err = tls_write(tr->tls, s);
	return err == 0 ? flush(tr) : err;
}

ssize_t transport_read(struct transport *tr, void *out, size_t n)
{
	if (tr->tls == NULL)
		return channel_read(tr->ch, out, n);
	for (;;) {
		ssize_t got = tls_read(tr->tls, out, n);
		int err = flush(tr); /* TLS 1.3 may have had something to say */

		if (got > 0)
			return got;
		if (got == -ERR_CLOSED)
			return 0;
		if (got != -ERR_AGAIN)
			return got;
		if (err == 0)
			err = fill(tr);
		if (err != 0)
			return err == -ERR_CLOSED && !channel_is_open(tr->ch) ? 0 : err;
	}
}

bool transport_usable(const struct transport *tr)
{
	/* TLS 1.3 session tickets may wait unread; they are no answer to anything. */
	return channel_is_open(tr->ch) && (tr->tls != NULL || channel_readable(tr->ch) == 0);
}

uint16_t transport_port(const struct transport *tr)
{
	return tr->port;
}
