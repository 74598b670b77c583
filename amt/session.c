/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session.c: the AMT session of a tunnel: lock, reused transport, idle end. */
#include "amt/session.h"
#include "core/err.h"

#include <stdlib.h>

#define TRANSPORT_IDLE_MS \
	5000 /* AMT closes idle connections quickly (amt.md A.4), and a slot is worth having back */

void session_drop_transport(struct amt_session *s)
{
	struct transport *tr = s->tr;

	s->tr = NULL;
	if (tr != NULL)
		transport_close(tr);
}

static void idle_fire(struct timer *timer)
{
	struct amt_session *s = container_of(timer, struct amt_session, idle);

	if (!s->lock.held)
		session_drop_transport(s);
}

static void session_lost(void *ext)
{
	struct amt_session *s = ext;

	if (!s->lock.held)
		session_drop_transport(s);
}

static void session_free(void *ext)
{
	struct amt_session *s = ext;

	timer_cancel(tunnel_loop(s->t), &s->idle);
	session_drop_transport(s);
	free(s);
}

static const struct tunnel_ext_ops ext_ops = {.lost = session_lost, .free = session_free};

struct amt_session *session_of(struct tunnel *t)
{
	struct amt_session *s = tunnel_ext(t);

	if (s != NULL)
		return s;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->t = t;
	s->idle.fire = idle_fire;
	digest_client_init(&s->digest, true);
	tunnel_set_ext(t, s, &ext_ops);
	return s;
}

int session_acquire(struct amt_session *s)
{
	int err = fiber_lock_acquire(&s->lock);

	if (err == 0)
		timer_cancel(tunnel_loop(s->t), &s->idle);
	return err;
}

void session_release(struct amt_session *s)
{
	if (s->tr != NULL && (!tunnel_alive(s->t) || !transport_usable(s->tr)))
		session_drop_transport(s);
	if (s->tr != NULL)
		timer_set(tunnel_loop(s->t), &s->idle,
		          loop_now_ms(tunnel_loop(s->t)) + TRANSPORT_IDLE_MS);
	fiber_lock_release(&s->lock);
}
