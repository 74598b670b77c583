/* SPDX-License-Identifier: GPL-3.0-or-later */
/* error.c: what went wrong, from here or from the server, for people, programs and shells. One thread. */
#include <string.h>

#include "core/err.h"
#include "core/text.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "mgmtapi/call.h"
#include "mgmtapi/cli/cli.h"
#include "mgmtapi/cli/format.h"
#include "mgmtapi/json.h"

#define ERROR_INFO_TYPE "google.rpc.ErrorInfo"

void cli_error_init(struct cli_error *e)
{
	memset(e, 0, sizeof(*e));
	buf_init(&e->message, CLI_ERROR_TEXT_MAX);
	buf_init(&e->hint, CLI_ERROR_TEXT_MAX);
	buf_init(&e->info, CLI_ERROR_TEXT_MAX);
}

void cli_error_clear(struct cli_error *e)
{
	buf_clear(&e->message);
	buf_clear(&e->hint);
	buf_clear(&e->info);
	e->exit = CLI_OK;
	e->code = 0;
	e->lost = false;
	e->reason[0] = '\0';
}

void cli_error_free(struct cli_error *e)
{
	buf_free(&e->message);
	buf_free(&e->hint);
	buf_free(&e->info);
}

enum cli_exit cli_exit_of(int code)
{
	switch (code) {
	case CALL_OK:
		return CLI_OK;
	case CALL_NOT_FOUND:
		return CLI_NOT_FOUND;
	case CALL_FAILED_PRECONDITION:
	case CALL_ABORTED:
		return CLI_STATE;
	case CALL_UNAUTHENTICATED:
	case CALL_PERMISSION_DENIED:
		return CLI_DENIED;
	case CALL_UNAVAILABLE:
	case CALL_DEADLINE_EXCEEDED:
		return CLI_UNAVAILABLE;
	default:
		return CLI_FAILED;
	}
}

int cli_fail(struct cli *cli, enum cli_exit exit, const char *hint, const char *fmt, ...)
{
	struct cli_error *e = &cli->error;
	struct buf text;
	va_list ap;

	buf_init(&text, CLI_ERROR_TEXT_MAX); /* the arguments may come from the earlier error */
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	cli_error_clear(e);
	e->exit = exit;
	e->code = -1;
	buf_put_span(&e->message, buf_span(&text));
	buf_put_str(&e->hint, hint != NULL ? hint : "");
	buf_free(&text);
	return exit;
}

/* What to do about statuses that came without a hint. */
static const char *default_hint(int code)
{
	switch (code) {
	case CALL_UNAUTHENTICATED:
		return "check the token (--token-file, CAUSEWAY_TOKEN_FILE): it may be wrong, "
		       "revoked or expired";
	case CALL_PERMISSION_DENIED:
		return "use a token with a higher role or the needed scope ('causeway token "
		       "create')";
	case CALL_DEADLINE_EXCEEDED:
		return "try again, or allow more time with --timeout";
	case CALL_UNIMPLEMENTED:
		return "client and server may have different versions ('causeway version' shows "
		       "both)";
	default:
		return "";
	}
}

static void take_info(struct cli_error *e, const Google__Protobuf__Any *any)
{
	const char *slash = any->type_url != NULL ? strrchr(any->type_url, '/') : NULL;
	Google__Rpc__ErrorInfo *info;

	if (slash == NULL || strcmp(slash + 1, ERROR_INFO_TYPE) != 0)
		return;
	info = google__rpc__error_info__unpack(NULL, any->value.len, any->value.data);
	if (info == NULL)
		return;
	str_copy(e->reason, sizeof(e->reason), info->reason);
	for (size_t i = 0; i < info->n_metadata; i++) {
		const Google__Rpc__ErrorInfo__MetadataEntry *m = info->metadata[i];

		if (strcmp(m->key, "hint") == 0)
			buf_put_str(&e->hint, m->value);
		else
			buf_printf(&e->info, "%s: %s\n", m->key, m->value);
	}
	google__rpc__error_info__free_unpacked(info, NULL);
}

int cli_fail_status(struct cli *cli, int code, const char *message, struct span details)
{
	struct cli_error *e = &cli->error;
	Google__Rpc__Status *status;

	cli_error_clear(e);
	e->code = code;
	e->exit = cli_exit_of(code);
	status = details.len > 0 ? google__rpc__status__unpack(NULL, details.len, details.ptr)
	                         : NULL;
	for (size_t i = 0; status != NULL && i < status->n_details; i++)
		take_info(e, status->details[i]);
	if (status != NULL)
		google__rpc__status__free_unpacked(status, NULL);
	buf_put_str(&e->message, message);
	if (e->message.len == 0)
		buf_put_str(&e->message, "the server gave no explanation");
	if (e->hint.len == 0)
		buf_put_str(&e->hint, default_hint(code));
	return e->exit;
}

static void print_json_error(struct cli *cli)
{
	const struct cli_error *e = &cli->error;
	struct buf out;

	buf_init(&out, 8 * CLI_ERROR_TEXT_MAX);
	buf_put_str(&out, "{\"error\":{\"code\":");
	pbjson_put_string(&out, span_str(e->code >= 0 ? call_code_name(e->code) : "LOCAL"));
	buf_put_str(&out, ",\"reason\":");
	pbjson_put_string(&out, span_str(e->reason));
	buf_put_str(&out, ",\"message\":");
	pbjson_put_string(&out, buf_span(&e->message));
	buf_put_str(&out, ",\"hint\":");
	pbjson_put_string(&out, buf_span(&e->hint));
	buf_printf(&out, ",\"exitStatus\":%d}}\n", e->exit);
	(void)fputs(buf_cstr(&out), cli->err);
	buf_free(&out);
}

void cli_error_print(struct cli *cli)
{
	struct cli_error *e = &cli->error;
	struct buf out;

	if (e->exit == CLI_OK)
		return;
	if (cli->json) {
		print_json_error(cli);
		return;
	}
	buf_init(&out, 4 * CLI_ERROR_TEXT_MAX);
	buf_put_str(&out, "causeway: ");
	cli_put_clean_lines(&out, buf_cstr(&e->message));
	if (e->code >= 0)
		buf_printf(&out, " (%s)",
		           e->reason[0] != '\0' ? e->reason : call_code_name(e->code));
	buf_put_str(&out, "\n");
	if (e->hint.len > 0) {
		buf_put_str(&out, "What to do: ");
		cli_put_clean_lines(&out, buf_cstr(&e->hint));
		buf_put_str(&out, "\n");
	}
	cli_put_clean_lines(&out, buf_cstr(&e->info));
	(void)fputs(buf_cstr(&out), cli->err);
	buf_free(&out);
}
