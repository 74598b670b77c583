/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bootstrap.c: how the first administrator gets in: a token in a file that only the owner of the data folder can read. */
#include "mgmtapi/bootstrap.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/file.h"
#include "core/log.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_SECRET_SIZE 32
#define BOOTSTRAP_BY      "local:bootstrap"

void token_make(struct store_token *out, char text[TOKEN_TEXT_MAX])
{
	uint8_t id[8], secret[TOKEN_SECRET_SIZE];
	char coded[48];
	struct span whole;

	*out = (struct store_token){.role = ROLE_VIEWER};
	random_bytes(id, sizeof(id));
	random_bytes(secret, sizeof(secret));
	hex_encode(out->id, span_of(id, sizeof(id)));
	(void)base64_encode(coded, span_of(secret, sizeof(secret)), false);
	for (char *p = coded; *p != '\0';
	     p++) /* the URL alphabet: nothing that a shell or header minds */
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	(void)snprintf(text, TOKEN_TEXT_MAX, TOKEN_PREFIX "%s_%s", out->id, coded);
	whole = span_str(text);
	hash_once(HASH_SHA256, &whole, 1, out->sha256);
	secret_zero(secret, sizeof(secret));
	secret_zero(coded, sizeof(coded));
}

struct seen {
	uint64_t now_ms;
	bool other_admin; /* somebody made an administrator token of their own */
	bool ours;        /* one from here is there */
};

static int look(void *arg, struct span key, const void *record)
{
	const struct store_token *t = record;
	struct seen *s = arg;

	(void)key;
	if (t->role != ROLE_ADMINISTRATOR || t->groups_len > 0 ||
	    (t->expires_ms != 0 && t->expires_ms <= s->now_ms))
		return 0;
	if (strcmp(t->created_by, BOOTSTRAP_BY) == 0)
		s->ours = true;
	else
		s->other_admin = true;
	return 0;
}

static int look_at_tokens(struct store_txn *txn, void *arg)
{
	const struct span start = {0};

	return store_each(txn, STORE_TOKENS, start, false, look, arg);
}

struct birth {
	struct store_token token;
	struct store_audit audit;
};

static int put_token(struct store_txn *txn, void *arg)
{
	struct birth *b = arg;
	int err = store_token_put(txn, &b->token);

	return err == 0 ? store_audit_append(txn, &b->audit) : err;
}

static int make(struct store *store, const char *path, struct buf *why)
{
	struct birth b = {.audit = {.time_ms = (uint64_t)clock_wall_ms()}};
	char text[TOKEN_TEXT_MAX + 1];
	int err;

	token_make(&b.token, text);
	b.token.role = ROLE_ADMINISTRATOR;
	b.token.created_ms = b.audit.time_ms;
	(void)str_copy(b.token.description, sizeof(b.token.description), "made at first start");
	(void)str_copy(b.token.created_by, sizeof(b.token.created_by), BOOTSTRAP_BY);
	(void)str_copy(b.audit.principal, sizeof(b.audit.principal), "system");
	(void)str_copy(b.audit.method, sizeof(b.audit.method), "system/Bootstrap");
	(void)snprintf(b.audit.resource, sizeof(b.audit.resource), "tokens/%s", b.token.id);
	(void)str_copy(b.audit.outcome, sizeof(b.audit.outcome), "OK");
	/* The file first: a token that the store knows and nobody holds would lock everybody out. */
	(void)strncat(text, "\n", sizeof(text) - strlen(text) - 1);
	err = file_write(path, span_str(text), 0600);
	secret_zero(text, sizeof(text));
	if (err != 0) {
		buf_printf(why, "cannot write %s: %s", path, err_text(err));
		return err;
	}
	err = store_update(store, put_token, &b);
	if (err != 0) {
		buf_printf(why, "the token could not be stored: %s", err_text(err));
		(void)unlink(path);
		return err;
	}
	log_event(LOG_INFO, "admin_token_made", LOG_STR("file", path), LOG_STR("id", b.token.id));
	return 0;
}

/* Whether the file holds a token that the store knows: a crash between the two writes leaves one that it does not. */
struct known {
	uint8_t sha256[32];
	bool found;
};

static int match(void *arg, struct span key, const void *record)
{
	const struct store_token *t = record;
	struct known *k = arg;

	(void)key;
	k->found = k->found || memcmp(t->sha256, k->sha256, sizeof(k->sha256)) == 0;
	return 0;
}

static int match_all(struct store_txn *txn, void *arg)
{
	const struct span start = {0};

	return store_each(txn, STORE_TOKENS, start, false, match, arg);
}

static bool file_is_known(struct store *store, const char *path)
{
	struct known k = {.found = false};
	struct span token;
	struct buf b;

	buf_init(&b, 4096);
	if (file_read(path, &b) == 0) {
		token = buf_span(&b);
		while (token.len > 0 &&
		       (token.ptr[token.len - 1] == '\n' || token.ptr[token.len - 1] == '\r'))
			token.len--;
		hash_once(HASH_SHA256, &token, 1, k.sha256);
		k.found = store_view(store, match_all, &k) == 0 && k.found;
	}
	buf_free_secret(&b);
	return k.found;
}

int bootstrap_admin_token(struct store *store, const char *dir, struct buf *why)
{
	struct seen s = {.now_ms = (uint64_t)clock_wall_ms()};
	char path[PATH_MAX];
	int err = file_path(path, sizeof(path), dir, "admin.token");

	if (err == 0)
		err = store_view(store, look_at_tokens, &s);
	if (err != 0) {
		buf_printf(why, "cannot read the tokens: %s", err_text(err));
		return err;
	}
	if (s.other_admin || (s.ours && access(path, F_OK) == 0))
		return 0;
	if (!s.ours && access(path, F_OK) == 0 && file_is_known(store, path))
		return 0;
	return make(store, path, why);
}
