/* SPDX-License-Identifier: GPL-3.0-or-later */
/* metrics_http.c: GET /metrics and GET /healthz over HTTP/1.1. Everything lives on one loop. */
#include "mgmtapi/metrics_http.h"
#include "core/conn.h"
#include "core/err.h"
#include "core/list.h"
#include "core/log.h"
#include "core/metric.h"
#include "wire/http1.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD_MAX 1024
#define FLUSH_MS 2000

struct metrics_http {
	struct loop *loop;
	struct listener *listener;
	struct addr addr;
	struct list conns;
	unsigned conns_len;
	struct metric *open, *refused;
	struct task start, stop;
};

struct client {
	struct list link;
	struct metrics_http *m;
	struct conn *conn;
	struct http1 parser;
	struct timer idle;
};

/* ---- answers ---------------------------------------------------------------------------------------------------------- */

static void answer(struct client *c, unsigned status, const char *type, struct span body)
{
	bool head_only =
		c->parser.msg.method.len == 4 && memcmp(c->parser.msg.method.ptr, "HEAD", 4) == 0;
	struct buf head;

	buf_init(&head, HEAD_MAX);
	http1_write_response(&head, status);
	http1_write_field_str(&head, "Content-Type", type);
	http1_write_field_uint(&head, "Content-Length", body.len);
	http1_write_field_str(&head, "Cache-Control", "no-store");
	if (status == 405)
		http1_write_field_str(&head, "Allow", "GET, HEAD");
	if (!c->parser.msg.keep_alive)
		http1_write_field_str(&head, "Connection", "close");
	http1_write_head_end(&head);
	if (head.err != 0 || conn_write(c->conn, buf_span(&head)) != 0 ||
	    (!head_only && body.len > 0 && conn_write(c->conn, body) != 0))
		conn_close(c->conn, 0);
	buf_free(&head);
}

static void answer_metrics(struct client *c)
{
	struct buf text;

	buf_init(&text, METRICS_TEXT_MAX);
	metric_render(&text);
	if (text.err == 0)
		answer(c, 200, "text/plain; version=0.0.4; charset=utf-8", buf_span(&text));
	else
		answer(c, 500, "text/plain; charset=utf-8",
		       span_str("the metrics are too large\n"));
	buf_free(&text);
}

static bool is(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

static void serve(struct client *c)
{
	struct span path = http1_path(c->parser.msg.target);

	if (!is(c->parser.msg.method, "GET") && !is(c->parser.msg.method, "HEAD"))
		answer(c, 405, "text/plain; charset=utf-8", span_str("only GET is served here\n"));
	else if (is(path, "/metrics"))
		answer_metrics(c);
	else if (is(path, "/healthz"))
		answer(c, 200, "text/plain; charset=utf-8", span_str("ok\n"));
	else
		answer(c, 404, "text/plain; charset=utf-8", span_str("try /metrics or /healthz\n"));
}

/* ---- connections -------------------------------------------------------------------------------------------------------- */

static void idle_fire(struct timer *t)
{
	conn_close(container_of(t, struct client, idle)->conn, 0);
}

static void on_ready(struct conn *conn)
{
	struct client *c = conn_user(conn);

	timer_set(c->m->loop, &c->idle, loop_now_ms(c->m->loop) + METRICS_IDLE_MS);
}

static void on_data(struct conn *conn, struct span in)
{
	struct client *c = conn_user(conn);
	struct span body;

	for (;;) {
		switch (http1_next(&c->parser, &in, &body)) {
		case HTTP1_MORE:
			return;
		case HTTP1_END:
			serve(c);
			timer_set(c->m->loop, &c->idle, loop_now_ms(c->m->loop) + METRICS_IDLE_MS);
			if (!c->parser.msg.keep_alive) {
				conn_close(conn, FLUSH_MS);
				return;
			}
			http1_release(&c->parser);
			break;
		case HTTP1_ERROR:
			c->parser.msg.keep_alive = false;
			answer(c, c->parser.error_status, "text/plain; charset=utf-8",
			       span_str("not understood\n"));
			conn_close(conn, FLUSH_MS);
			return;
		case HTTP1_HEAD:
		case HTTP1_BODY:
		default:
			break;
		}
	}
}

static void on_closed(struct conn *conn, int err)
{
	struct client *c = conn_user(conn);

	(void)err;
	timer_cancel(c->m->loop, &c->idle);
	http1_free(&c->parser);
	list_remove(&c->link);
	c->m->conns_len--;
	metric_move(c->m->open, -1);
	free(c);
}

static const struct conn_ops client_ops = {.ready = on_ready, .data = on_data, .closed = on_closed};

static void accepted(void *user, int fd, const struct addr *peer)
{
	static const struct http1_limits limits = {
		.head_max = 8192, .start_line_max = 1024, .headers_max = 32, .body_max = 0};
	struct metrics_http *m = user;
	struct conn_opts opts = {.ops = &client_ops, .send_limit = METRICS_TEXT_MAX};
	struct client *c = m->conns_len < METRICS_CONNECTIONS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (c == NULL) {
		metric_inc(m->refused);
		close(fd);
		return;
	}
	c->m = m;
	c->idle.fire = idle_fire;
	http1_init_request(&c->parser, &limits);
	list_push_back(&m->conns, &c->link);
	m->conns_len++;
	metric_move(m->open, 1);
	opts.user = c;
	c->conn = conn_accept(m->loop, fd, peer, &opts);
	if (c->conn != NULL)
		return;
	list_remove(&c->link);
	m->conns_len--;
	metric_move(m->open, -1);
	free(c);
}

/* ---- life --------------------------------------------------------------------------------------------------------------- */

static void run_start(struct task *t)
{
	struct metrics_http *m = container_of(t, struct metrics_http, start);

	if (!listener_start(m->listener))
		log_event(LOG_ERROR, "metrics_listener_failed", LOG_ADDR("address", &m->addr));
}

static void run_stop(struct task *t)
{
	struct metrics_http *m = container_of(t, struct metrics_http, stop);

	listener_close(m->listener);
	m->listener = NULL;
	for (struct list *i = m->conns.next; i != &m->conns; i = i->next)
		conn_close(container_of(i, struct client, link)->conn, 0);
}

struct metrics_http *metrics_http_new(struct loop *loop, const struct addr *addr, struct buf *why)
{
	struct metrics_http *m = calloc(1, sizeof(*m));
	struct listener_opts opts = {
		.addr = *addr, .accepts_armed = 4, .accepted = accepted, .user = m};
	char text[ADDR_TEXT_MAX];
	int err;

	if (m == NULL)
		return NULL;
	m->loop = loop;
	m->open = metric_gauge("causeway_metrics_connections", "Connections to the metrics port.",
	                       NULL);
	m->refused =
		metric_counter("causeway_metrics_connections_refused_total",
	                       "Connections to the metrics port that were closed at once.", NULL);
	metric_set(metric_gauge("causeway_metrics_connections_limit",
	                        "Connections that the metrics port takes.", NULL),
	           METRICS_CONNECTIONS_MAX);
	list_init(&m->conns);
	m->start.run = run_start;
	m->stop.run = run_stop;
	m->listener = listener_open(loop, &opts, &err);
	if (m->listener == NULL) {
		addr_format(addr, text);
		buf_printf(why, "cannot listen on %s: %s", text,
		           err == -ERR_EXISTS ? "another program uses this port" : err_text(err));
		free(m);
		return NULL;
	}
	m->addr = *listener_addr(m->listener);
	return m;
}

void metrics_http_addr(const struct metrics_http *m, struct addr *out)
{
	*out = m->addr;
}

void metrics_http_start(struct metrics_http *m)
{
	(void)loop_post(m->loop, &m->start);
}

void metrics_http_stop(struct metrics_http *m)
{
	(void)loop_post(m->loop, &m->stop);
}

void metrics_http_free(struct metrics_http *m)
{
	free(m);
}
