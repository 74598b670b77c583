/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc_tokens.c: TokenService. Nobody makes a token that may do more than its maker; callers with group limits see only tokens within
 * their groups. The text of a token is in one answer only: what is kept for a repeated request has none.
 */
#include "causeway/v1/tokens.pb-c.h"
#include "core/clock.h"
#include "core/err.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/bootstrap.h"
#include "mgmtapi/mutation.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)CAUSEWAY__V1__ROLE__ROLE_ADMINISTRATOR == (int)ROLE_ADMINISTRATOR, "roles");

/* The scopes that methods ask for (options in the .proto files; a test compares). */
const char *const token_scopes[] = {
	"audit.read",       "devices.admin",
	"devices.approve",  "devices.read",
	"devices.write",    "groups.read",
	"groups.write",     "operations.read",
	"operations.write", "power.read",
	"power.write",      "server.admin",
	"server.backup",    "server.read",
	"tokens.read",      "tokens.write",
	"tunnels.open",     "tunnels.read",
	"tunnels.write",    "wsman.read",
	"wsman.write",      NULL,
};

static char **text_list(struct msg_mem *m, const char (*texts)[NAME_MAX_LEN + 1], size_t n)
{
	char **list = msg_take(m, (n + 1) * sizeof(*list));

	for (size_t i = 0; list != NULL && i < n; i++)
		list[i] = msg_text(m, texts[i]);
	return list;
}

static Causeway__V1__Token *token_msg(struct msg_mem *m, const struct store_token *tok)
{
	Causeway__V1__Token *out = msg_take(m, sizeof(*out));

	if (out == NULL)
		return NULL;
	causeway__v1__token__init(out);
	out->id = msg_text(m, tok->id);
	out->description = msg_text(m, tok->description);
	out->role = (Causeway__V1__Role)tok->role;
	out->groups = text_list(m, tok->groups, tok->groups_len);
	out->n_groups = tok->groups_len;
	out->scopes = text_list(m, tok->scopes, tok->scopes_len);
	out->n_scopes = tok->scopes_len;
	out->created_time = msg_time(m, tok->created_ms);
	out->expire_time = msg_time(m, tok->expires_ms);
	out->created_by = msg_text(m, tok->created_by);
	return m->failed ? NULL : out;
}

/* ---- what may be made ---- */

static bool is_scope(const char *text)
{
	for (const char *const *s = token_scopes; *s != NULL; s++)
		if (strcmp(*s, text) == 0)
			return true;
	return false;
}

static bool has_scope(const struct principal *p, const char *scope)
{
	for (size_t i = 0; i < p->scopes_len; i++)
		if (strcmp(p->scopes[i], scope) == 0)
			return true;
	return p->scopes_len == 0;
}

static int too_much(struct call *c, const char *what)
{
	return call_fail(c, CALL_PERMISSION_DENIED, "MORE_THAN_OWN",
	                 "limit the token to what you may do yourself",
	                 "a token cannot be given %s that its maker does not have", what);
}

static int fill_groups(struct call *c, const Causeway__V1__CreateTokenRequest *rq,
                       struct store_token *tok)
{
	const struct principal *p = call_principal(c);

	if (rq->n_groups > TOKEN_GROUPS_MAX)
		return call_fail(c, CALL_INVALID_ARGUMENT, "GROUPS_TOO_MANY",
		                 "32 at most, or none for all", "too many groups");
	if (rq->n_groups == 0 && p->groups_len > 0)
		return too_much(c, "all groups");
	for (size_t i = 0; i < rq->n_groups; i++) {
		if (!name_is_valid(rq->groups[i]))
			return call_fail(c, CALL_INVALID_ARGUMENT, "NAME_INVALID",
			                 "take names of groups", "a group's name is not valid");
		if (!principal_sees_group((void *)(uintptr_t)p, rq->groups[i]))
			return too_much(c, "a group");
		(void)str_copy(tok->groups[i], sizeof(tok->groups[i]), rq->groups[i]);
	}
	tok->groups_len = (uint16_t)rq->n_groups;
	return 0;
}

static int fill_scopes(struct call *c, const Causeway__V1__CreateTokenRequest *rq,
                       struct store_token *tok)
{
	const struct principal *p = call_principal(c);

	if (rq->n_scopes > TOKEN_SCOPES_MAX)
		return call_fail(c, CALL_INVALID_ARGUMENT, "SCOPES_TOO_MANY",
		                 "16 at most, or none for all of the role", "too many scopes");
	if (rq->n_scopes == 0 && p->scopes_len > 0)
		return too_much(c, "all scopes");
	for (size_t i = 0; i < rq->n_scopes; i++) {
		if (!is_scope(rq->scopes[i]))
			return call_fail(c, CALL_INVALID_ARGUMENT, "SCOPE_UNKNOWN",
			                 "such as devices.read or power.write",
			                 "there is no scope %.40s", rq->scopes[i]);
		if (!has_scope(p, rq->scopes[i]))
			return too_much(c, "a scope");
		(void)str_copy(tok->scopes[i], sizeof(tok->scopes[i]), rq->scopes[i]);
	}
	tok->scopes_len = (uint16_t)rq->n_scopes;
	return 0;
}

static int fill_token(struct call *c, const Causeway__V1__CreateTokenRequest *rq,
                      struct store_token *tok)
{
	const struct principal *p = call_principal(c);

	if ((int)rq->role < ROLE_VIEWER || (int)rq->role > ROLE_ADMINISTRATOR)
		return call_fail(c, CALL_INVALID_ARGUMENT, "ROLE_INVALID",
		                 "viewer, operator or administrator",
		                 "the role is missing or not known");
	if ((int)rq->role > (int)p->role)
		return too_much(c, "a role");
	if (!msg_time_read(rq->expire_time, &tok->expires_ms) ||
	    (rq->expire_time != NULL && (int64_t)tok->expires_ms <= clock_wall_ms()))
		return call_fail(c, CALL_INVALID_ARGUMENT, "EXPIRY_INVALID",
		                 "a time to come, or none", "expire_time is in the past");
	if (!str_copy(tok->description, sizeof(tok->description), rq->description))
		return call_fail(c, CALL_INVALID_ARGUMENT, "DESCRIPTION_TOO_LONG",
		                 "127 octets at most", "the description is too long");
	tok->role = (enum role)rq->role;
	tok->created_ms = (uint64_t)clock_wall_ms();
	(void)str_copy(tok->created_by, sizeof(tok->created_by), p->name);
	return 0;
}

static int apply_create(struct mutation *m, struct store_txn *txn, void *arg)
{
	Causeway__V1__CreateTokenResponse out = CAUSEWAY__V1__CREATE_TOKEN_RESPONSE__INIT;
	struct msg_mem mem = msg_mem_of(&m->allocator);
	int err = store_token_put(txn, arg);

	if (err != 0)
		return err;
	out.token = token_msg(&mem, arg);
	return out.token != NULL ? mutation_respond(m, &out.base) : -ERR_NOMEM;
}

static int send_created(struct call *c, const struct store_token *tok, char *text)
{
	Causeway__V1__CreateTokenResponse out = CAUSEWAY__V1__CREATE_TOKEN_RESPONSE__INIT;
	struct msg_mem mem = msg_mem_of(call_allocator(c));

	out.token = token_msg(&mem, tok);
	out.secret = text;
	return out.token != NULL ? call_send(c, &out.base) : no_memory(c);
}

static int create_token(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__CreateTokenRequest *rq = (const void *)request;
	char text[TOKEN_TEXT_MAX] = "";
	struct mutation *m = NULL;
	struct store_token *tok = call_alloc(c, sizeof(*tok));
	int err;

	if (tok == NULL)
		return no_memory(c);
	token_make(tok, text); /* first: it empties the record */
	err = fill_token(c, rq, tok);
	if (err == 0)
		err = fill_groups(c, rq, tok);
	if (err == 0)
		err = fill_scopes(c, rq, tok);
	if (err == 0)
		m = mutation_new(c, request);
	if (m == NULL)
		return err != 0 ? err : -ERR_NOMEM;
	mutation_about(m, "tokens/%s", tok->id);
	mutation_note(m, "%.127s", tok->description);
	err = mutation_run(m, apply_create, tok);
	if (err == 0 && !m->replayed) {
		err = send_created(c, tok, text);
		mutation_free(m);
	} else {
		err = mutation_finish(m, err);
	}
	secret_zero(text, sizeof(text));
	return err;
}

/* ---- list and revoke ---- */

/* A caller with group limits sees tokens that are limited to its groups. */
static bool sees_token(const struct principal *p, const struct store_token *tok)
{
	if (p->groups_len == 0)
		return true;
	for (size_t i = 0; i < tok->groups_len; i++)
		if (!principal_sees_group((void *)(uintptr_t)p, tok->groups[i]))
			return false;
	return tok->groups_len > 0;
}

struct listing {
	struct call *c;
	struct msg_mem mem;
	Causeway__V1__Token **list;
	size_t len, max;
	bool more;
	char last[sizeof(((struct store_token *)0)->id)],
		after[sizeof(((struct store_token *)0)->id)];
};

static int list_one(void *arg, struct span key, const void *record)
{
	struct listing *l = arg;
	const struct store_token *tok = record;

	(void)key;
	if (!sees_token(call_principal(l->c), tok))
		return 0;
	l->more = l->len == l->max;
	if (l->more)
		return 1;
	l->list[l->len] = token_msg(&l->mem, tok);
	if (l->list[l->len] == NULL)
		return -ERR_NOMEM;
	l->len++;
	(void)str_copy(l->last, sizeof(l->last), tok->id);
	return 0;
}

static int view_tokens(struct store_txn *txn, void *arg)
{
	struct listing *l = arg;

	return store_each(txn, STORE_TOKENS, span_str(l->after), false, list_one, l);
}

static int list_tokens(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__ListTokensRequest *rq = (const void *)request;
	Causeway__V1__ListTokensResponse out = CAUSEWAY__V1__LIST_TOKENS_RESPONSE__INIT;
	struct listing l = {
		.c = c, .mem = msg_mem_of(call_allocator(c)), .max = page_size(rq->page_size)};
	uint8_t position[PAGE_POSITION_MAX];
	size_t len;
	int err = page_open(c, "", rq->page_token, position, &len);

	if (err != 0)
		return err;
	(void)str_copy_span(l.after, sizeof(l.after), span_of(position, len));
	l.list = call_alloc(c, l.max * sizeof(*l.list));
	if (l.list == NULL)
		return no_memory(c);
	err = store_view(api_of(c)->store, view_tokens, &l);
	if (err < 0)
		return err == -ERR_NOMEM ? no_memory(c) : call_fail_err(c, err, "the tokens");
	out.tokens = l.list;
	out.n_tokens = l.len;
	if (l.more)
		out.next_page_token = page_close(c, "", span_str(l.last));
	return out.next_page_token != NULL ? call_send(c, &out.base) : no_memory(c);
}

static int apply_revoke(struct mutation *m, struct store_txn *txn, void *arg)
{
	Causeway__V1__RevokeTokenResponse out = CAUSEWAY__V1__REVOKE_TOKEN_RESPONSE__INIT;
	const char *id = arg;
	struct store_token *tok = calloc(1, sizeof(*tok));
	int err = tok != NULL ? store_token_get(txn, id, tok) : -ERR_NOMEM;

	if (err == 0 && !sees_token(call_principal(m->call), tok))
		err = -ERR_NOT_FOUND;
	if (err == 0)
		mutation_note(m, "%.127s", tok->description);
	free(tok);
	if (err == 0)
		err = store_token_delete(txn, id);
	if (err == -ERR_NOT_FOUND)
		return mutation_fail(m, CALL_NOT_FOUND, "TOKEN_NOT_FOUND",
		                     "list tokens to see what there is", "there is no token %.32s",
		                     id);
	return err == 0 ? mutation_respond(m, &out.base) : err;
}

static int revoke_token(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__RevokeTokenRequest *rq = (const void *)request;
	char *id = strncmp(rq->id, "tokens/", 7) == 0 ? rq->id + 7 : rq->id;
	struct mutation *m;

	if (strlen(id) != 16)
		return call_fail(c, CALL_NOT_FOUND, "TOKEN_NOT_FOUND",
		                 "give the id: 16 hexadecimal digits", "there is no such token");
	m = mutation_new(c, request);
	if (m == NULL)
		return -ERR_NOMEM;
	mutation_about(m, "tokens/%.32s", id);
	return mutation_finish(m, mutation_run(m, apply_revoke, id));
}

static const struct service_method methods[] = {
	{"CreateToken", &causeway__v1__create_token_request__descriptor,
         &causeway__v1__create_token_response__descriptor, create_token},
	{"ListTokens", &causeway__v1__list_tokens_request__descriptor,
         &causeway__v1__list_tokens_response__descriptor, list_tokens},
	{"RevokeToken", &causeway__v1__revoke_token_request__descriptor,
         &causeway__v1__revoke_token_response__descriptor, revoke_token},
};

const struct service tokens_service = {"causeway.v1.TokenService", methods, ARRAY_LEN(methods),
                                       false};
