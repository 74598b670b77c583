/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd_token.c: the commands `token ...`. A new token's text is shown once, or goes into a file. One thread. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "causeway/v1/tokens.pb-c.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/file.h"
#include "core/text.h"
#include "mgmtapi/cli/show.h"

#define SERVICE    (&causeway__v1__token_service__descriptor)
#define GROUPS_MAX 32
#define SCOPES_MAX 32

static void role_word(int role, char out[32])
{
	cli_enum_word(&causeway__v1__role__descriptor, role, out, 32);
}

/* --expires: a duration, a date of RFC 3339, or "never". */
static int take_expiry(struct cli *cli, Google__Protobuf__Timestamp *t, bool *never)
{
	const char *text = cli_arg(&cli->args, "expires");
	uint64_t ms;
	int64_t at;

	*never = text == NULL || strcmp(text, "never") == 0;
	if (*never)
		return 0;
	if (cli_duration_parse(text, &ms) == 0 && ms > 0)
		at = clock_wall_ms() + (int64_t)ms;
	else if (clock_parse(span_str(text), &at) != 0)
		return cli_fail(
			cli, CLI_USAGE,
			"write a duration (30d, 12h), a time (2030-01-31T00:00:00Z) or never",
			"--expires: '%s' is not understood", text);
	t->seconds = at / 1000;
	return 0;
}

static size_t take_repeated(struct cli *cli, const char *option, char **out, size_t max)
{
	size_t n = MIN(cli_arg_count(&cli->args, option), max);

	for (size_t i = 0; i < n; i++)
		out[i] = CLI_TEXT(cli_arg_nth(&cli->args, option, i));
	return n;
}

/* Before the token is made: a text that cannot be written would be lost. */
static int check_out_file(struct cli *cli, const char *path)
{
	if (path == NULL)
		return 0;
	if (access(path, F_OK) == 0)
		return cli_fail(cli, CLI_USAGE, "name a new file", "%s exists already", path);
	return 0;
}

static int write_secret(struct cli *cli, const char *path, const char *secret)
{
	struct buf text;
	int r;

	buf_init(&text, CLI_TOKEN_MAX);
	buf_put_str(&text, secret);
	buf_put_u8(&text, '\n');
	r = text.err != 0 ? text.err : file_write(path, buf_span(&text), 0600);
	buf_free_secret(&text);
	if (r != 0)
		return cli_fail(
			cli, CLI_FAILED,
			"revoke the token ('causeway token list' shows it) and make a new one",
			"the token was made, but its text could not be written to %s: %s", path,
			err_text(r));
	return 0;
}

static int show_token(struct cli *cli, Causeway__V1__CreateTokenResponse *a)
{
	const char *path = cli_arg(&cli->args, "out");
	const char *id = a->token != NULL ? a->token->id : "";
	int r = 0;

	if (a->secret[0] == '\0')
		return cli_fail(cli, CLI_FAILED,
		                "it was shown when it was made; revoke it and make a new one with "
		                "a new request id",
		                "this request id made token %s before: its text is not kept", id);
	if (path != NULL) {
		r = write_secret(cli, path, a->secret);
		secret_zero(a->secret, strlen(a->secret));
	}
	if (r != 0)
		return r;
	if (cli->json)
		return cli_print_json(cli, &a->base);
	if (path != NULL) {
		cli_note(cli, "Token %s written to %s.", id, path);
		return 0;
	}
	(void)fprintf(cli->out, "%s\n", a->secret);
	(void)fflush(cli->out);
	cli_note(cli, "Token %s. Keep the text: it is not shown again.", id);
	return 0;
}

int cli_token_create(struct cli *cli)
{
	Causeway__V1__CreateTokenRequest req = CAUSEWAY__V1__CREATE_TOKEN_REQUEST__INIT;
	Google__Protobuf__Timestamp expires = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	const char *role = cli_arg(&cli->args, "role"),
		   *description = cli_arg(&cli->args, "description");
	char *groups[GROUPS_MAX], *scopes[SCOPES_MAX];
	ProtobufCMessage *m;
	bool never;
	int r;

	if (role == NULL)
		return cli_fail(
			cli, CLI_USAGE,
			"viewer reads, operator acts on devices, administrator does everything",
			"--role is needed");
	if (cli_arg_count(&cli->args, "group") > GROUPS_MAX ||
	    cli_arg_count(&cli->args, "scope") > SCOPES_MAX)
		return cli_fail(cli, CLI_USAGE, NULL, "more than %d groups or %d scopes",
		                GROUPS_MAX, SCOPES_MAX);
	r = take_expiry(cli, &expires, &never);
	if (r == 0)
		r = check_out_file(cli, cli_arg(&cli->args, "out"));
	if (r != 0)
		return r;
	req.role = (Causeway__V1__Role)cli_enum_value(&causeway__v1__role__descriptor, role);
	req.description = CLI_TEXT(description != NULL ? description : "");
	req.groups = groups;
	req.n_groups = take_repeated(cli, "group", groups, GROUPS_MAX);
	req.scopes = scopes;
	req.n_scopes = take_repeated(cli, "scope", scopes, SCOPES_MAX);
	req.expire_time = never ? NULL : &expires;
	r = cli_call(cli, SERVICE, "CreateToken", &req.base, &m);
	if (r != 0)
		return r;
	r = show_token(cli, (Causeway__V1__CreateTokenResponse *)m);
	secret_zero(((Causeway__V1__CreateTokenResponse *)m)->secret,
	            strlen(((Causeway__V1__CreateTokenResponse *)m)->secret));
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

static void token_row(struct cli *cli, const ProtobufCMessage *item, void *arg)
{
	const Causeway__V1__Token *k = (const Causeway__V1__Token *)item;
	struct cli_table *t = arg;
	struct buf groups, scopes;
	char role[32];

	(void)cli;
	buf_init(&groups, 4096);
	buf_init(&scopes, 4096);
	role_word((int)k->role, role);
	cli_strings(&groups, k->groups, k->n_groups);
	cli_strings(&scopes, k->scopes, k->n_scopes);
	cli_cell(t, "%s", k->id);
	cli_cell(t, "%s", role);
	cli_cell(t, "%s", groups.len > 0 ? buf_cstr(&groups) : "all");
	cli_cell(t, "%s", scopes.len > 0 ? buf_cstr(&scopes) : "all");
	if (k->expire_time != NULL)
		cli_cell_age(t, k->expire_time);
	else
		cli_cell(t, "never");
	cli_cell_age(t, k->created_time);
	cli_cell(t, "%s", k->created_by);
	cli_cell(t, "%s", k->description);
	buf_free(&groups);
	buf_free(&scopes);
}

int cli_token_list(struct cli *cli)
{
	static const char *const heads[] = {"ID",      "ROLE",    "GROUPS", "SCOPES",
	                                    "EXPIRES", "CREATED", "BY",     "DESCRIPTION"};
	Causeway__V1__ListTokensRequest req = CAUSEWAY__V1__LIST_TOKENS_REQUEST__INIT;
	struct cli_table t;

	cli_table_init(&t, heads, ARRAY_LEN(heads));
	return cli_list_table(cli, SERVICE, "ListTokens", &req.base, token_row, &t);
}

int cli_token_revoke(struct cli *cli)
{
	Causeway__V1__RevokeTokenRequest req = CAUSEWAY__V1__REVOKE_TOKEN_REQUEST__INIT;
	ProtobufCMessage *m;
	int r;

	req.id = CLI_TEXT(cli_word(&cli->args, 0));
	r = cli_call(cli, SERVICE, "RevokeToken", &req.base, &m);
	if (r != 0)
		return r;
	r = cli_done(cli, m, "Token %s revoked.", req.id);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}
