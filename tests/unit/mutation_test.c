/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes through a real store: request ids, audit and kept answers, also across an end of the process in between. */
#include "mgmtapi/mutation.h"
#include "causeway/v1/groups.pb-c.h"
#include "core/err.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/call_internal.h"
#include "mgmtapi/dispatch.h"
#include "tests/unit/support/store_help.h"
#include "tests/unit/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct store_home home;
static struct api api;
static struct rpc_env env = {.user = &api};
static struct method method = {.path = (char *)(uintptr_t) "/causeway.v1.GroupService/DeleteGroup"};
static unsigned applied;

static int setup(void **state)
{
	(void)state;
	store_home_init(&home);
	api = (struct api){.store = home.s, .inflight = inflight_new()};
	memset(api.request_key, 7, sizeof(api.request_key));
	applied = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	inflight_free(api.inflight);
	store_home_free(&home);
	return 0;
}

/* A call of principal who with a request id, as handlers see it. */
static struct call *call_of(const char *who, const char *request_id)
{
	struct call *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->env = &env;
	c->method = &method;
	arena_init(&c->arena, CALL_ARENA_MAX);
	arena_init(&c->status_arena, CALL_ARENA_MAX);
	(void)snprintf(c->principal.name, sizeof(c->principal.name), "%s", who);
	(void)snprintf(c->request_id, sizeof(c->request_id), "%s", request_id);
	return c;
}

static void call_done(struct call *c)
{
	arena_free(&c->arena);
	arena_free(&c->status_arena);
	free(c);
}

static Causeway__V1__DeleteGroupRequest request_of(const char *name, const char *id)
{
	Causeway__V1__DeleteGroupRequest rq = CAUSEWAY__V1__DELETE_GROUP_REQUEST__INIT;

	rq.name = (char *)(uintptr_t)name;
	rq.request_id = (char *)(uintptr_t)id;
	return rq;
}

/* Answers with how often it was applied. */
static int apply(struct mutation *m, struct store_txn *txn, void *arg)
{
	Causeway__V1__Group out = CAUSEWAY__V1__GROUP__INIT;

	(void)txn;
	if (arg != NULL)
		return mutation_fail(m, CALL_NOT_FOUND, "GROUP_NOT_FOUND", "look again",
		                     "there is none");
	out.device_count = ++applied;
	return mutation_respond(m, &out.base);
}

static uint32_t answer_of(const struct mutation *m)
{
	Causeway__V1__Group *g =
		causeway__v1__group__unpack(NULL, m->response.len, m->response.data);
	uint32_t n;

	assert_non_null(g);
	n = g->device_count;
	causeway__v1__group__free_unpacked(g, NULL);
	return n;
}

struct tried {
	int err;
	uint32_t answer;
	bool replayed;
	enum call_code code;
	char reason[64];
};

static struct tried try_run(const char *who, const char *id, const char *name, void *arg)
{
	Causeway__V1__DeleteGroupRequest rq = request_of(name, id);
	struct call *c = call_of(who, id);
	struct mutation *m = mutation_new(c, &rq.base);
	struct tried t = {.err = 0};

	assert_non_null(m);
	mutation_about(m, "groups/%s", name);
	t.err = mutation_run(m, apply, arg);
	t.replayed = m->replayed;
	t.answer = t.err == 0 ? answer_of(m) : 0;
	t.code = call_status(c);
	(void)snprintf(t.reason, sizeof(t.reason), "%s", c->reason != NULL ? c->reason : "");
	mutation_free(m);
	call_done(c);
	return t;
}

/* What the audit trail ends with, newest first. */
static char trail[512];

static int note(void *arg, struct span key, const void *record)
{
	const struct store_audit *a = record;

	(void)arg;
	(void)key;
	(void)snprintf(trail + strlen(trail), sizeof(trail) - strlen(trail), "%s:%s ", a->resource,
	               a->outcome);
	return 0;
}

static int read_trail(struct store_txn *txn, void *arg)
{
	return store_each(txn, STORE_AUDIT, span_of(NULL, 0), true, note, arg);
}

static const char *audit_trail(void)
{
	trail[0] = '\0';
	assert_int_equal(store_view(home.s, read_trail, NULL), 0);
	return trail;
}

static void test_a_repeated_id_has_no_second_effect(void **state)
{
	struct tried t;

	(void)state;
	t = try_run("token:a", "id1", "g", NULL);
	assert_true(t.err == 0 && !t.replayed && t.answer == 1);
	t = try_run("token:a", "id1", "g", NULL);
	assert_true(t.err == 0 && t.replayed && t.answer == 1);
	t = try_run("token:b", "id1", "g", NULL); /* another caller's id is another one */
	assert_true(t.err == 0 && !t.replayed && t.answer == 2);
	t = try_run("token:a", "id1", "other", NULL);
	assert_int_equal(t.code, CALL_INVALID_ARGUMENT);
	assert_string_equal(t.reason, "REQUEST_ID_REUSED");
	t = try_run("token:a", "", "g", NULL);
	t = try_run("token:a", "", "g", NULL);
	assert_true(t.err == 0 && !t.replayed && t.answer == 4);
	assert_string_equal(audit_trail(), "groups/g:OK groups/g:OK groups/g:OK groups/g:OK ");
}

static void test_a_refused_change_leaves_nothing(void **state)
{
	struct tried t;

	(void)state;
	t = try_run("token:a", "id1", "g", &applied);
	assert_int_equal(t.code, CALL_NOT_FOUND);
	assert_string_equal(t.reason, "GROUP_NOT_FOUND");
	assert_string_equal(audit_trail(), "");
	t = try_run("token:a", "id1", "g", NULL); /* the id was not used up */
	assert_true(t.err == 0 && !t.replayed);
}

/* A device's change: begins; the caller says how it ends. */
static struct mutation *begin(struct call *c, Causeway__V1__DeleteGroupRequest *rq, int *rc)
{
	struct mutation *m = mutation_new(c, &rq->base);

	assert_non_null(m);
	mutation_about(m, "devices/d");
	*rc = mutation_begin(m);
	return m;
}

static void expect_begin(const char *id, int want, const char *reason)
{
	Causeway__V1__DeleteGroupRequest rq = request_of("d", id);
	struct call *c = call_of("token:a", id);
	int rc;
	struct mutation *m = begin(c, &rq, &rc);

	assert_int_equal(rc, want);
	assert_string_equal(c->reason != NULL ? c->reason : "", reason);
	mutation_free(m);
	call_done(c);
}

static void end_with(const char *id, bool failed, bool untouched)
{
	Causeway__V1__DeleteGroupResponse out = CAUSEWAY__V1__DELETE_GROUP_RESPONSE__INIT;
	Causeway__V1__DeleteGroupRequest rq = request_of("d", id);
	struct call *c = call_of("token:a", id);
	int rc;
	struct mutation *m = begin(c, &rq, &rc);

	assert_int_equal(rc, 0);
	if (failed)
		(void)failure_set(&m->failure, CALL_UNAVAILABLE, "CONNECTION_LOST", NULL,
		                  "it is gone");
	assert_int_equal(mutation_end(m, failed ? NULL : &out.base, untouched),
	                 failed ? -ERR_FAULT : 0);
	mutation_free(m);
	call_done(c);
}

static void test_a_devices_change_is_on_disk_before_it_is_sent(void **state)
{
	Causeway__V1__DeleteGroupRequest rq = request_of("d", "id1");
	struct call *c = call_of("token:a", "id1");
	int rc;
	struct mutation *m = begin(c, &rq, &rc);

	(void)state;
	assert_int_equal(rc, 0);
	assert_string_equal(audit_trail(), "devices/d:STARTED ");
	expect_begin("id1", -ERR_FAULT, "REQUEST_IN_PROGRESS");
	/* The process ends here: a new one knows only what is on disk. */
	mutation_free(m);
	call_done(c);
	inflight_free(api.inflight);
	api.inflight = inflight_new();
	assert_true(store_home_reopen(&home));
	api.store = home.s;
	expect_begin("id1", -ERR_FAULT, "REQUEST_OUTCOME_UNKNOWN");
	expect_begin("id1", -ERR_FAULT, "REQUEST_OUTCOME_UNKNOWN");
}

static void test_outcomes_of_devices_changes(void **state)
{
	(void)state;
	end_with("done", false, false);
	expect_begin("done", 1, "");
	end_with("lost", true, false); /* may have been done: never again */
	expect_begin("lost", -ERR_FAULT, "CONNECTION_LOST");
	end_with("offline", true, true); /* certainly not done: may be tried again */
	end_with("offline", false, false);
	expect_begin("offline", 1, "");
	assert_string_equal(
		audit_trail(),
		"devices/d:OK devices/d:STARTED devices/d:UNAVAILABLE devices/d:STARTED "
		"devices/d:UNAVAILABLE devices/d:STARTED devices/d:OK devices/d:STARTED ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_repeated_id_has_no_second_effect, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(test_a_refused_change_leaves_nothing, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(test_a_devices_change_is_on_disk_before_it_is_sent,
	                                        setup, teardown),
		cmocka_unit_test_setup_teardown(test_outcomes_of_devices_changes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
