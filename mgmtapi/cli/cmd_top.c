/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cmd_top.c: `causeway top`: asks for the server's figures at intervals and shows what they say. A server that is lost is asked again;
 * the last figures stay on the screen meanwhile. One thread.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "mgmtapi/cli/net.h"
#include "mgmtapi/cli/rpc.h"
#include "mgmtapi/cli/show.h"
#include "mgmtapi/cli/top.h"

#define SERVICE      (&causeway__v1__server_service__descriptor)
#define SCREEN_MAX   (1024 * 1024)
#define RETRY_MAX_MS 10000
#define KEYS_AT_ONCE 64
#define KEYS         "q quits   space holds   ? explains"

struct top {
	struct cli *cli;
	bool live, json, once, held, help, quit;
	uint64_t interval_ms, retry_ms;
	Causeway__V1__GetStatisticsResponse *before, *now;
	struct top_figures figures;
	char server[CLI_HOST_MAX + 16];
	struct buf status;
	bool lost;
	struct pollfd fds[2]; /* keys, signals */
};

/* ---- the screen ---- */

static enum top_form form_of(const struct top *t)
{
	return !t->live ? TOP_PLAIN : t->cli->color ? TOP_COLOUR : TOP_MONO;
}

static int write_all(struct top *t, const struct buf *b)
{
	if (b->err != 0 || fwrite(b->data, 1, b->len, t->cli->out) != b->len ||
	    fflush(t->cli->out) != 0)
		return cli_fail(t->cli, CLI_FAILED, NULL, "cannot write the output: %s",
		                b->err != 0 ? err_text(b->err) : strerror(errno));
	return 0;
}

static int draw(struct top *t)
{
	struct top_view v = {.server = t->server, .interval_ms = t->interval_ms};
	struct buf out;
	int r = 0;

	buf_init(&out, SCREEN_MAX);
	top_term_size(t->cli, &v.width, &v.height);
	v.status = t->status.len > 0 ? buf_cstr(&t->status) : "";
	v.warn = t->lost;
	if (!t->live)
		v.height = 23; /* the status line is for keys */
	if (t->json)
		r = top_json(&t->figures, &out);
	else if (t->help)
		top_draw_help(&v, form_of(t), &out);
	else
		top_draw(&v, &t->figures, form_of(t), &out);
	r = r == 0 ? write_all(t, &out) : cli_fail(t->cli, CLI_FAILED, NULL, "%s", err_text(r));
	buf_free(&out);
	return r;
}

/* What the last line says while all is well. */
static void say_keys(struct top *t)
{
	t->lost = false;
	buf_clear(&t->status);
	if (t->live)
		buf_printf(&t->status, "%severy %.3g s   " KEYS, t->held ? "held   " : "",
		           (double)t->interval_ms / 1000);
}

/* ---- keys and signals ---- */

static void take_key(struct top *t, char key)
{
	if (key == 'q' || key == 'Q')
		t->quit = true;
	else if (key == ' ')
		t->held = !t->held;
	else if (key == '?' || key == 'h')
		t->help = !t->help;
}

/* What has come on the descriptors. Keys that send escape sequences (arrows, ...) mean nothing here. */
static void take_input(struct top *t)
{
	char keys[KEYS_AT_ONCE];
	ssize_t n;

	if ((t->fds[1].revents & POLLIN) != 0 && !top_term_handle())
		t->quit = true;
	if (t->fds[0].revents == 0)
		return;
	n = read(t->fds[0].fd, keys, sizeof(keys));
	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		t->quit = true; /* the terminal is gone */
	for (ssize_t i = 0; i < n && keys[0] != '\033'; i++)
		take_key(t, keys[i]);
}

/* Until the time has come, with keys and signals. 0 or CLI_INTERRUPTED. */
static int wait_until(struct top *t, uint64_t at_ms)
{
	while (!t->quit && (t->held || clock_mono_ms() < at_ms)) {
		bool help = t->help, held = t->held;
		int r = cli_poll(t->fds, t->live ? ARRAY_LEN(t->fds) : 0, t->held ? 0 : at_ms);

		if (r < 0)
			return CLI_INTERRUPTED;
		if (r == 0)
			continue;
		take_input(t);
		if (held != t->held && !t->lost)
			say_keys(t);
		/* Also after a change of the size. */
		r = t->quit ? 0 : draw(t);
		if (r != 0)
			return r;
		if (help && !t->help)
			break; /* back from the help: fresh figures */
	}
	return 0;
}

/* ---- asking ---- */

static int receive(struct top *t, ProtobufCMessage **m)
{
	struct cli_net_wait w = {
		.want_read = true, .extra = t->fds, .extra_len = t->live ? ARRAY_LEN(t->fds) : 0};
	ProtobufCMessage *more = NULL;
	int r = 0;

	while (r == 0 && !t->quit) {
		r = cli_rpc_next(t->cli, *m == NULL ? m : &more);
		if (more != NULL)
			protobuf_c_message_free_unpacked(more, NULL);
		more = NULL;
		if (r != 0 || cli_rpc_ended(t->cli))
			break;
		r = cli_rpc_step(t->cli, &w);
		if (r == 0 && t->live)
			take_input(t);
	}
	if (r == 0 && t->quit)
		cli_rpc_cancel(t->cli);
	else if (r == 0)
		r = cli_rpc_result(t->cli);
	return r;
}

static int ask(struct top *t)
{
	Causeway__V1__GetStatisticsRequest req = CAUSEWAY__V1__GET_STATISTICS_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	int r = cli_rpc_start(t->cli, SERVICE, "GetStatistics");

	req.names = (char **)(uintptr_t)top_names;
	while (top_names[req.n_names] != NULL)
		req.n_names++;
	if (r == 0)
		r = cli_rpc_send(t->cli, &req.base);
	if (r != 0)
		return r;
	cli_rpc_end(t->cli);
	r = receive(t, &m);
	if (r != 0 || m == NULL) {
		if (m != NULL)
			protobuf_c_message_free_unpacked(m, NULL);
		return r != 0 || t->quit
		               ? r
		               : cli_fail(t->cli, CLI_FAILED, NULL, "the server's answer is empty");
	}
	if (t->before != NULL)
		causeway__v1__get_statistics_response__free_unpacked(t->before, NULL);
	t->before = t->now;
	t->now = (Causeway__V1__GetStatisticsResponse *)m;
	top_figures(t->before, t->now, &t->figures);
	return 0;
}

/* A failure after which asking again may help: then the status says it. */
static bool note_lost(struct top *t, int r)
{
	struct cli_error *e = &t->cli->error;

	if (t->now == NULL || t->once || (r != CLI_UNAVAILABLE && !e->lost))
		return false;
	t->lost = true;
	t->retry_ms = MIN(MAX(2 * t->retry_ms, (uint64_t)1000), (uint64_t)RETRY_MAX_MS);
	buf_clear(&t->status);
	buf_printf(&t->status, "%s; trying again in %llu s", buf_cstr(&e->message),
	           (unsigned long long)t->retry_ms / 1000);
	if (!t->live)
		cli_note(t->cli, "causeway: %s", buf_cstr(&t->status));
	cli_error_clear(e);
	cli_disconnect(t->cli);
	return true;
}

/* ---- the command ---- */

static int begin_live(struct top *t)
{
	int r = t->live ? top_term_enter(t->cli) : 0;

	if (t->live && r == 0)
		t->fds[1].fd = top_term_signals();
	return r;
}

/* One round: ask, show, wait. */
static int round_once(struct top *t)
{
	uint64_t began = clock_mono_ms();
	int r = ask(t);
	bool lost = r != 0 && note_lost(t, r);

	if (t->quit || (r != 0 && !lost))
		return r;
	if (!lost) {
		t->retry_ms = 0;
		say_keys(t);
	}
	/* Scripts want rates: their first frame is the second answer. */
	r = t->live || (!lost && t->figures.rates_known) ? draw(t) : 0;
	if (r != 0)
		return r;
	if (t->once && t->figures.rates_known) {
		t->quit = true;
		return 0;
	}
	return wait_until(t, lost ? clock_mono_ms() + t->retry_ms : began + t->interval_ms);
}

static int run(struct top *t)
{
	int r = ask(t); /* what is wrong with address or token is said on the plain terminal */

	if (r == 0)
		r = begin_live(t);
	if (r == 0 && t->live) {
		say_keys(t);
		r = draw(t);
	}
	if (r == 0)
		r = wait_until(t, clock_mono_ms() + t->interval_ms);
	while (r == 0 && !t->quit)
		r = round_once(t);
	return r;
}

static int read_options(struct top *t)
{
	struct cli *cli = t->cli;
	int r = cli_arg_ms(cli, "interval", &t->interval_ms);

	if (r != 0)
		return r;
	if (t->interval_ms < TOP_INTERVAL_MIN_MS || t->interval_ms > TOP_INTERVAL_MAX_MS)
		return cli_fail(cli, CLI_USAGE, NULL, "--interval takes 100ms to 1h");
	t->json = cli->json;
	t->once = cli_arg_has(&cli->args, "once");
	t->live = !t->json && !t->once && !cli_arg_has(&cli->args, "batch") && isatty(cli->in_fd) &&
	          isatty(cli->out_fd);
	return 0;
}

int cli_top(struct cli *cli)
{
	struct top t = {.cli = cli, .interval_ms = 1000};
	int r = read_options(&t);

	t.fds[0] = (struct pollfd){.fd = cli->in_fd, .events = POLLIN};
	t.fds[1] = (struct pollfd){.fd = -1, .events = POLLIN};
	buf_init(&t.status, CLI_ERROR_TEXT_MAX);
	if (r == 0)
		r = cli_target_find(cli);
	if (r == 0) {
		(void)snprintf(t.server, sizeof(t.server), "%s:%s", cli->target.host,
		               cli->target.port);
		r = run(&t);
		top_term_leave();
	}
	if (r == CLI_INTERRUPTED)
		cli_error_clear(&cli->error); /* the usual end needs no comment */
	if (t.before != NULL)
		causeway__v1__get_statistics_response__free_unpacked(t.before, NULL);
	if (t.now != NULL)
		causeway__v1__get_statistics_response__free_unpacked(t.now, NULL);
	buf_free(&t.status);
	return r;
}
