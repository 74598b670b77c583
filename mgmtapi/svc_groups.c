/* SPDX-License-Identifier: GPL-3.0-or-later */
/* svc_groups.c: GroupService. Handlers run in their call's fiber, apply_* on the store's writer thread. */
#include "causeway/v1/groups.pb-c.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/map.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/device_msg.h"
#include "mgmtapi/mutation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *bare_name(const char *name)
{
	return strncmp(name, "groups/", 7) == 0 ? name + 7 : name;
}

static int group_gone(struct call *c, const char *name)
{
	return call_fail(c, CALL_NOT_FOUND, "GROUP_NOT_FOUND", "list groups to see what there is",
	                 "there is no group %.80s", name);
}

static int mutation_gone(struct mutation *m, const char *name)
{
	return mutation_fail(m, CALL_NOT_FOUND, "GROUP_NOT_FOUND",
	                     "list groups to see what there is", "there is no group %.80s", name);
}

static bool sees(struct call *c, const char *group)
{
	return principal_sees_group((void *)(uintptr_t)call_principal(c), group);
}

static void group_done(struct store_group *g)
{
	if (g != NULL)
		secret_zero(g, sizeof(*g));
	free(g);
}

static Causeway__V1__Group *group_msg(struct msg_mem *m, const struct store_group *g,
                                      uint32_t devices)
{
	Causeway__V1__Group *out = msg_take(m, sizeof(*out));
	char etag[ETAG_TEXT_MAX];

	if (out == NULL)
		return NULL;
	causeway__v1__group__init(out);
	group_etag(g, etag);
	out->name = msg_text(m, g->name);
	out->cira_user = msg_text(m, g->cira.user);
	out->enroll = (Causeway__V1__EnrollPolicy)g->enroll;
	out->amt_user = msg_text(m, g->amt.user);
	out->device_count = devices;
	out->created_time = msg_time(m, g->created_ms);
	out->updated_time = msg_time(m, g->updated_ms);
	out->etag = msg_text(m, etag);
	return m->failed ? NULL : out;
}

struct counting {
	const char *group;
	uint32_t count;
};

static bool count_one(void *arg, const struct device_view *v)
{
	struct counting *n = arg;

	n->count += strcmp(v->group, n->group) == 0 ? 1 : 0;
	return true;
}

static uint32_t count_devices(struct call *c, const char *group)
{
	struct counting n = {.group = group};

	gateway_device_each(api_of(c)->gateway, NULL, count_one, &n);
	return n.count;
}

/* ---- what a new state must be ---- */

static int check_account(struct mutation *m, const struct credential *cred, const char *what,
                         size_t password_max)
{
	if (!user_is_valid(cred->user))
		return mutation_fail(m, CALL_INVALID_ARGUMENT, "USER_INVALID",
		                     "give 1 to 64 printable ASCII characters",
		                     "%s_user is empty, too long or has other characters", what);
	if (!password_is_valid(cred->password, password_max))
		return mutation_fail(
			m, CALL_INVALID_ARGUMENT, "PASSWORD_INVALID",
			"give printable ASCII characters, at least one; a CIRA password has at "
			"most 64, an AMT password at most 128",
			"%s_password is empty, too long or has other characters", what);
	return 0;
}

static int check_group(struct mutation *m, const struct store_group *g)
{
	int err = check_account(m, &g->cira, "cira", CIRA_PASSWORD_MAX);

	if (err == 0 && (g->amt.user[0] != '\0' || g->amt.password[0] != '\0'))
		err = check_account(m, &g->amt, "amt", AMT_PASSWORD_MAX);
	return err;
}

static int put_group(struct mutation *m, struct store_txn *txn, const struct store_group *g)
{
	int err = store_group_put(txn, g);

	if (err == -ERR_EXISTS)
		return mutation_fail(
			m, CALL_ALREADY_EXISTS, "CIRA_USER_EXISTS", "take another cira_user",
			"another group has the cira_user %s: it tells groups apart", g->cira.user);
	return err;
}

static int respond(struct mutation *m, const struct store_group *g, uint32_t devices)
{
	struct msg_mem mem = msg_mem_of(&m->allocator);
	Causeway__V1__Group *msg = group_msg(&mem, g, devices);

	return msg != NULL ? mutation_respond(m, &msg->base) : -ERR_NOMEM;
}

/* A text of the request that is too long for the record is told by a value that is not valid. */
static void take_text(char *dst, size_t size, const char *src)
{
	if (!str_copy(dst, size, src))
		(void)str_copy(dst, size, "\x01");
}

/* ---- create ---- */

static int apply_create(struct mutation *m, struct store_txn *txn, void *arg)
{
	struct store_group *g = arg, *have = calloc(1, sizeof(*have));
	int err = have != NULL ? store_group_get(txn, g->name, have) : -ERR_NOMEM;

	group_done(have);
	if (err == 0)
		return mutation_fail(m, CALL_ALREADY_EXISTS, "GROUP_EXISTS",
		                     "take another name, or update it", "there is a group %s",
		                     g->name);
	if (err != -ERR_NOT_FOUND)
		return err;
	g->created_ms = g->updated_ms = (uint64_t)clock_wall_ms();
	err = check_group(m, g);
	if (err == 0)
		err = put_group(m, txn, g);
	return err == 0 ? respond(m, g, 0) : err;
}

static int check_create(struct call *c, const Causeway__V1__Group *in)
{
	if (in == NULL || !name_is_valid(in->name))
		return call_fail(c, CALL_INVALID_ARGUMENT, "NAME_INVALID",
		                 "1 to 64 characters of [A-Za-z0-9._-], first a letter or digit",
		                 "group.name is missing or not a valid name");
	if (!sees(c, in->name))
		return call_fail(c, CALL_PERMISSION_DENIED, "LIMITED_TO_GROUPS",
		                 "use a token that is not limited to groups",
		                 "the caller may not make a group of this name");
	if (in->enroll < 0 || in->enroll > CAUSEWAY__V1__ENROLL_POLICY__ENROLL_POLICY_REJECT)
		return call_fail(c, CALL_INVALID_ARGUMENT, "ENROLL_INVALID",
		                 "accept, hold or reject", "group.enroll is none of the policies");
	return 0;
}

static int create_group(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__CreateGroupRequest *rq = (const void *)request;
	const Causeway__V1__Group *in = rq->group;
	int err = check_create(c, in);
	struct mutation *m = err == 0 ? mutation_new(c, request) : NULL;
	struct store_group *g = m != NULL ? calloc(1, sizeof(*g)) : NULL;

	if (g == NULL) {
		mutation_free(m);
		return err != 0 ? err : -ERR_NOMEM;
	}
	take_text(g->name, sizeof(g->name), in->name);
	take_text(g->cira.user, sizeof(g->cira.user), in->cira_user);
	take_text(g->cira.password, sizeof(g->cira.password), in->cira_password);
	take_text(g->amt.user, sizeof(g->amt.user), in->amt_user);
	take_text(g->amt.password, sizeof(g->amt.password), in->amt_password);
	g->enroll = in->enroll != 0 ? (enum enroll_policy)in->enroll : ENROLL_HOLD;
	mutation_about(m, "groups/%s", g->name);
	err = mutation_run(m, apply_create, g);
	group_done(g);
	return mutation_finish(m, err);
}

/* ---- update ---- */

struct update {
	const Causeway__V1__UpdateGroupRequest *rq;
	const char *name;
	uint32_t devices;
};

static void note_change(struct mutation *m, const char *field)
{
	size_t n = strlen(m->detail);

	(void)snprintf(m->detail + n, sizeof(m->detail) - n, "%s%s", n > 0 ? ", " : "", field);
}

static void change_text(struct mutation *m, const struct update *u, const char *field,
                        const char *value, char *dst, size_t size)
{
	if (!field_masked(u->rq->update_mask, field, value[0] != '\0'))
		return;
	take_text(dst, size, value);
	note_change(m, field);
}

static int apply_update(struct mutation *m, struct store_txn *txn, void *arg)
{
	const struct update *u = arg;
	const Causeway__V1__Group *in = u->rq->group;
	struct store_group *g = calloc(1, sizeof(*g));
	char etag[ETAG_TEXT_MAX];
	int err = g != NULL ? store_group_get(txn, u->name, g) : -ERR_NOMEM;

	if (err == -ERR_NOT_FOUND)
		err = mutation_gone(m, u->name);
	if (err == 0) {
		group_etag(g, etag);
		if (in->etag[0] != '\0' && strcmp(in->etag, etag) != 0)
			err = mutation_fail(m, CALL_ABORTED, "ETAG_MISMATCH",
			                    "read the group again and redo the change",
			                    "somebody changed the group meanwhile");
	}
	if (err == 0) {
		m->detail[0] = '\0';
		change_text(m, u, "cira_user", in->cira_user, g->cira.user, sizeof(g->cira.user));
		change_text(m, u, "cira_password", in->cira_password, g->cira.password,
		            sizeof(g->cira.password));
		change_text(m, u, "amt_user", in->amt_user, g->amt.user, sizeof(g->amt.user));
		change_text(m, u, "amt_password", in->amt_password, g->amt.password,
		            sizeof(g->amt.password));
		if (g->amt.user[0] == '\0') /* removing the user removes the account */
			secret_zero(g->amt.password, sizeof(g->amt.password));
		if (field_masked(u->rq->update_mask, "enroll", in->enroll != 0)) {
			g->enroll = in->enroll != 0 ? (enum enroll_policy)in->enroll : ENROLL_HOLD;
			note_change(m, "enroll");
		}
		g->updated_ms = MAX((uint64_t)clock_wall_ms(), g->updated_ms + 1);
		err = check_group(m, g);
	}
	if (err == 0)
		err = put_group(m, txn, g);
	if (err == 0)
		err = respond(m, g, u->devices);
	group_done(g);
	return err;
}

static int update_group(struct call *c, const ProtobufCMessage *request)
{
	static const char *const fields[] = {"cira_user", "cira_password", "enroll",
	                                     "amt_user",  "amt_password",  NULL};
	struct update u = {.rq = (const void *)request};
	struct mutation *m;
	int err;

	u.name = u.rq->group != NULL ? bare_name(u.rq->group->name) : "";
	if (!sees(c, u.name) || u.name[0] == '\0')
		return group_gone(c, u.name);
	err = mask_is_known(c, u.rq->update_mask, fields);
	if (err != 0)
		return err;
	if (u.rq->group->enroll < 0 ||
	    u.rq->group->enroll > CAUSEWAY__V1__ENROLL_POLICY__ENROLL_POLICY_REJECT)
		return call_fail(c, CALL_INVALID_ARGUMENT, "ENROLL_INVALID",
		                 "accept, hold or reject", "group.enroll is none of the policies");
	m = mutation_new(c, request);
	if (m == NULL)
		return -ERR_NOMEM;
	u.devices = count_devices(c, u.name);
	mutation_about(m, "groups/%.64s", u.name);
	err = mutation_run(m, apply_update, &u);
	return mutation_finish(m, err);
}

/* ---- delete ---- */

struct removal {
	const Causeway__V1__DeleteGroupRequest *rq;
	const char *name;
	bool used;
};

static int find_member(void *arg, struct span key, const void *record)
{
	struct removal *r = arg;
	const struct store_device *d = record;

	(void)key;
	r->used = strcmp(d->group, r->name) == 0;
	return r->used ? 1 : 0;
}

static int not_empty(struct mutation *m, const char *name)
{
	return mutation_fail(m, CALL_FAILED_PRECONDITION, "GROUP_NOT_EMPTY",
	                     "move its devices to another group with UpdateDevice, or delete them",
	                     "devices belong to the group %s", name);
}

static int apply_delete(struct mutation *m, struct store_txn *txn, void *arg)
{
	struct removal *r = arg;
	Causeway__V1__DeleteGroupResponse empty = CAUSEWAY__V1__DELETE_GROUP_RESPONSE__INIT;
	struct store_group *g = calloc(1, sizeof(*g));
	char etag[ETAG_TEXT_MAX] = "";
	int err = g != NULL ? store_group_get(txn, r->name, g) : -ERR_NOMEM;

	if (err == 0)
		group_etag(g, etag);
	group_done(g);
	if (err != 0)
		return err == -ERR_NOT_FOUND ? mutation_gone(m, r->name) : err;
	if (r->rq->etag[0] != '\0' && strcmp(r->rq->etag, etag) != 0)
		return mutation_fail(m, CALL_ABORTED, "ETAG_MISMATCH", "read the group again",
		                     "somebody changed the group meanwhile");
	r->used = false;
	err = store_each(txn, STORE_DEVICES, span_of(NULL, 0), false, find_member, r);
	if (err >= 0 && r->used)
		return not_empty(m, r->name);
	if (err >= 0)
		err = store_group_delete(txn, r->name);
	return err == 0 ? mutation_respond(m, &empty.base) : err;
}

static int delete_group(struct call *c, const ProtobufCMessage *request)
{
	struct removal r = {.rq = (const void *)request};
	struct mutation *m;

	r.name = bare_name(r.rq->name);
	if (!sees(c, r.name) || r.name[0] == '\0')
		return group_gone(c, r.name);
	/* Cheap first: the transaction's own look reads every device. */
	if (count_devices(c, r.name) > 0)
		return call_fail(
			c, CALL_FAILED_PRECONDITION, "GROUP_NOT_EMPTY",
			"move its devices to another group with UpdateDevice, or delete them",
			"devices belong to the group %.64s", r.name);
	m = mutation_new(c, request);
	if (m == NULL)
		return -ERR_NOMEM;
	mutation_about(m, "groups/%.64s", r.name);
	return mutation_finish(m, mutation_run(m, apply_delete, &r));
}

/* ---- reading ---- */

static int get_group(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__GetGroupRequest *rq = (const void *)request;
	const char *name = bare_name(rq->name);
	struct msg_mem mem = msg_mem_of(call_allocator(c));
	struct store_group *g = calloc(1, sizeof(*g));
	Causeway__V1__Group *msg = NULL;
	int err = g != NULL ? -ERR_NOT_FOUND : -ERR_NOMEM;

	if (g != NULL && sees(c, name))
		err = gateway_group_get(api_of(c)->gateway, name, g);
	if (err == 0)
		msg = group_msg(&mem, g, count_devices(c, name));
	group_done(g);
	if (err == -ERR_NOT_FOUND)
		return group_gone(c, name);
	return msg != NULL ? call_send(c, &msg->base) : no_memory(c);
}

struct listing {
	struct call *c;
	struct msg_mem mem;
	Causeway__V1__ListGroupsResponse out;
	Causeway__V1__Group **list;
	size_t max, len;
	bool more;
	char last[NAME_MAX_LEN + 1];
	char after[NAME_MAX_LEN + 1];
	struct map counts;
};

static int list_one(void *arg, struct span key, const void *record)
{
	struct listing *l = arg;
	const struct store_group *g = record;
	Causeway__V1__Group *msg;

	(void)key;
	if (!sees(l->c, g->name))
		return 0;
	if (l->len == l->max) {
		l->more = true;
		return 1;
	}
	msg = group_msg(&l->mem, g, 0);
	if (msg == NULL)
		return -ERR_NOMEM;
	l->list[l->len++] = msg;
	(void)str_copy(l->last, sizeof(l->last), g->name);
	return 0;
}

static int view_groups(struct store_txn *txn, void *arg)
{
	struct listing *l = arg;

	return store_each(txn, STORE_GROUPS, span_str(l->after), false, list_one, l);
}

static bool count_into(void *arg, const struct device_view *v)
{
	struct listing *l = arg;
	Causeway__V1__Group *g = map_get(&l->counts, span_str(v->group));

	if (g != NULL)
		g->device_count++;
	return true;
}

/* One walk over the devices for the whole page. */
static void count_page(struct listing *l)
{
	map_init(&l->counts, 0, PAGE_SIZE_MAX);
	for (size_t i = 0; i < l->len; i++)
		if (map_put(&l->counts, span_str(l->list[i]->name), l->list[i]) != 0)
			break; /* no memory: counts stay 0 */
	gateway_device_each(api_of(l->c)->gateway, NULL, count_into, l);
	map_free(&l->counts);
}

static int list_groups(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__ListGroupsRequest *rq = (const void *)request;
	struct listing l = {
		.c = c, .mem = msg_mem_of(call_allocator(c)), .max = page_size(rq->page_size)};
	uint8_t position[PAGE_POSITION_MAX];
	size_t len;
	int err = page_open(c, "", rq->page_token, position, &len);

	if (err != 0)
		return err;
	(void)str_copy_span(l.after, sizeof(l.after), span_of(position, len));
	causeway__v1__list_groups_response__init(&l.out);
	l.list = call_alloc(c, l.max * sizeof(*l.list));
	if (l.list == NULL)
		return no_memory(c);
	err = store_view(api_of(c)->store, view_groups, &l);
	if (err < 0)
		return err == -ERR_NOMEM ? no_memory(c) : call_fail_err(c, err, "the groups");
	count_page(&l);
	l.out.groups = l.list;
	l.out.n_groups = l.len;
	if (l.more)
		l.out.next_page_token = page_close(c, "", span_str(l.last));
	return l.out.next_page_token != NULL ? call_send(c, &l.out.base) : no_memory(c);
}

static const struct service_method methods[] = {
	{"CreateGroup", &causeway__v1__create_group_request__descriptor,
         &causeway__v1__group__descriptor, create_group},
	{"GetGroup", &causeway__v1__get_group_request__descriptor, &causeway__v1__group__descriptor,
         get_group},
	{"ListGroups", &causeway__v1__list_groups_request__descriptor,
         &causeway__v1__list_groups_response__descriptor, list_groups},
	{"UpdateGroup", &causeway__v1__update_group_request__descriptor,
         &causeway__v1__group__descriptor, update_group},
	{"DeleteGroup", &causeway__v1__delete_group_request__descriptor,
         &causeway__v1__delete_group_response__descriptor, delete_group},
};

const struct service groups_service = {"causeway.v1.GroupService", methods, ARRAY_LEN(methods),
                                       false};
