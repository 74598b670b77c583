/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tunnel_attempt.c: keeps the note that answers "why does this device not connect?" while a connection is being made. */
#include "gateway/internal.h"
#include "core/clock.h"

#include <stdlib.h>

const char *attempt_stage_name(enum attempt_stage s)
{
	static const char *const names[] = {"",     "tcp",      "tls",    "hello",
	                                    "user", "password", "policy", "ready"};

	return (size_t)s < ARRAY_LEN(names) ? names[s] : "";
}

struct attempt *attempt_begin(const struct addr *peer)
{
	struct attempt *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->time_ms = (uint64_t)clock_wall_ms();
	a->source = *peer;
	a->stage = ATTEMPT_TCP;
	a->stage_ms = (uint32_t)loop_now_ms(loop_current());
	return a;
}

void attempt_stage_done(struct tunnel *t, enum gw_stage stage)
{
	uint32_t now_ms = (uint32_t)loop_now_ms(t->w->loop);

	if (t->attempt == NULL)
		return;
	gw_stage(stage, now_ms - t->attempt->stage_ms);
	t->attempt->stage_ms = now_ms;
}

/*
 * stage 0: an end whose stage is the one reached; detail then adds to what is known. Details of a refusal are not overwritten by the
 * session's general close reason that follows.
 */
void attempt_reach(struct tunnel *t, enum attempt_stage stage, const char *detail)
{
	if (t->attempt == NULL || detail[0] == '\0')
		return;
	if (stage == 0 &&
	    (t->attempt->stage >= ATTEMPT_PASSWORD || t->attempt->stage == ATTEMPT_TLS))
		return;
	if (stage == 0 && t->attempt->stage == ATTEMPT_USER && t->attempt->user[0] != '\0')
		return;
	if (stage != 0)
		t->attempt->stage = stage;
	(void)str_copy(t->attempt->detail, sizeof(t->attempt->detail), detail);
}

void attempt_finish(struct tunnel *t)
{
	if (t->attempt == NULL)
		return;
	if (t->conn != NULL)
		conn_peer(t->conn, &t->attempt->source);
	attempts_add(t->w->g->attempts, t->attempt);
	free(t->attempt);
	t->attempt = NULL;
}

void attempt_refused(struct gateway *g, const struct addr *peer, const char *detail)
{
	struct attempt a = {
		.time_ms = (uint64_t)clock_wall_ms(), .source = *peer, .stage = ATTEMPT_TCP};

	(void)str_copy(a.detail, sizeof(a.detail), detail);
	attempts_add(g->attempts, &a);
}
