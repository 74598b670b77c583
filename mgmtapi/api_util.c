/* SPDX-License-Identifier: GPL-3.0-or-later */
/* api_util.c: what handlers share: finding devices within the caller's groups, pages, masks, and checks of what was sent. */
#include "core/clock.h"
#include "core/crypto.h"
#include "core/err.h"
#include "mgmtapi/api_internal.h"

#include <stdlib.h>
#include <string.h>

size_t page_size(uint32_t asked)
{
	return asked == 0 ? PAGE_SIZE_DEFAULT : MIN((size_t)asked, (size_t)PAGE_SIZE_MAX);
}

static void page_context(struct call *c, const char *extra, uint8_t out[32])
{
	const char *who = call_principal(c)->name, *what = call_method(c);
	const struct span parts[] = {span_of(what, strlen(what) + 1), span_of(who, strlen(who) + 1),
	                             span_str(extra)};

	hash_once(HASH_SHA256, parts, ARRAY_LEN(parts), out);
}

int page_open(struct call *c, const char *extra, const char *token, uint8_t out[PAGE_POSITION_MAX],
              size_t *len)
{
	uint8_t context[32];
	ssize_t n;

	*len = 0;
	if (token[0] == '\0')
		return 0;
	page_context(c, extra, context);
	n = page_token_read(api_of(c)->token_key, span_of(context, sizeof(context)), token, out);
	if (n <= 0)
		return call_fail(
			c, CALL_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID",
			"start again without page_token; send a token with unchanged other fields",
			"the token is not one of this list");
	*len = (size_t)n;
	return 0;
}

char *page_close(struct call *c, const char *extra, struct span position)
{
	uint8_t context[32];
	char text[PAGE_TOKEN_TEXT_MAX];

	page_context(c, extra, context);
	page_token_write(api_of(c)->token_key, span_of(context, sizeof(context)), position, text);
	return call_strdup(c, text);
}

/* ---- devices ---- */

static bool visible(void *arg, const char *group)
{
	return principal_sees_group(arg, group);
}

static void *principal_arg(struct call *c)
{
	return (void *)(uintptr_t)call_principal(c);
}

int device_gone(struct call *c, const char *text)
{
	return call_fail(c, CALL_NOT_FOUND, "DEVICE_NOT_FOUND", "list devices to see what there is",
	                 "there is no device %.80s", text);
}

int find_device(struct call *c, const char *text, struct device_key *out)
{
	int err;

	if (text[0] == '\0')
		return call_fail(c, CALL_INVALID_ARGUMENT, "DEVICE_MISSING",
		                 "give a GUID or a name", "the field device is empty");
	err = gateway_device_find(api_of(c)->gateway, text, visible, principal_arg(c), out);
	if (err == -ERR_EXISTS)
		return call_fail(c, CALL_INVALID_ARGUMENT, "DEVICE_AMBIGUOUS",
		                 "take the device's GUID instead",
		                 "several devices are called %.80s", text);
	return err != 0 ? device_gone(c, text) : 0;
}

struct seen {
	struct call *c;
	bool sees;
};

static void look(void *arg, const struct device_view *v)
{
	struct seen *s = arg;

	s->sees = principal_sees_group(principal_arg(s->c), v->group);
}

bool sees_device(struct call *c, const struct device_key *key)
{
	struct seen s = {.c = c};

	return gateway_device_view(api_of(c)->gateway, key, look, &s) == 0 && s.sees;
}

/* ---- callers ---- */

int need_all_groups(struct call *c)
{
	if (call_principal(c)->groups_len == 0)
		return 0;
	return call_fail(c, CALL_PERMISSION_DENIED, "LIMITED_TO_GROUPS",
	                 "use a token that is not limited to groups",
	                 "this concerns the whole server, and the caller may only see some groups");
}

static int view_token(struct store_txn *txn, void *arg)
{
	struct store_token *tok = calloc(1, sizeof(*tok));
	int err = tok != NULL ? store_token_get(txn, arg, tok) : -ERR_NOMEM;

	if (err == 0 && tok->expires_ms != 0 && (int64_t)tok->expires_ms <= clock_wall_ms())
		err = -ERR_UNAUTHENTICATED;
	free(tok);
	return err;
}

bool still_allowed(struct call *c)
{
	static const char prefix[] = "token:";
	const char *who = call_principal(c)->name;
	int err;

	if (strncmp(who, prefix, strlen(prefix)) != 0)
		return true;
	err = store_view(api_of(c)->store, view_token, (void *)(uintptr_t)(who + strlen(prefix)));
	return err != -ERR_NOT_FOUND && err != -ERR_UNAUTHENTICATED;
}

int no_longer_allowed(struct call *c)
{
	return call_fail(c, CALL_UNAUTHENTICATED, "TOKEN_ENDED",
	                 "get a new token from an administrator",
	                 "the token was revoked or has expired while the call was under way");
}

int no_memory(struct call *c)
{
	return call_fail(c, CALL_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY",
	                 "ask for less at a time, or try again later",
	                 "the answer needs more memory than a call may take");
}

/* ---- what was sent ---- */

static bool is_alnum(char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
}

bool name_is_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > NAME_MAX_LEN || !is_alnum(name[0]))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!is_alnum(name[i]) && strchr("._-", name[i]) == NULL)
			return false;
	return true;
}

bool user_is_valid(const char *user)
{
	size_t n = strlen(user);

	return n > 0 && n <= NAME_MAX_LEN && text_is_printable(span_str(user));
}

bool password_is_valid(const char *password, size_t max)
{
	size_t n = strlen(password);

	return n > 0 && n <= max && text_is_printable(span_str(password));
}

bool field_masked(const Google__Protobuf__FieldMask *mask, const char *field, bool fallback)
{
	if (mask == NULL || mask->n_paths == 0)
		return fallback;
	for (size_t i = 0; i < mask->n_paths; i++)
		if (strcmp(mask->paths[i], field) == 0)
			return true;
	return false;
}

static bool is_one_of(const char *path, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(path, *names) == 0)
			return true;
	return false;
}

int mask_is_known(struct call *c, const Google__Protobuf__FieldMask *mask, const char *const *names)
{
	for (size_t i = 0; mask != NULL && i < mask->n_paths; i++)
		if (!is_one_of(mask->paths[i], names))
			return call_fail(c, CALL_INVALID_ARGUMENT, "FIELD_UNKNOWN",
			                 "see the method's description for what can be changed",
			                 "update_mask names a field that cannot be changed: %.64s",
			                 mask->paths[i]);
	return 0;
}
