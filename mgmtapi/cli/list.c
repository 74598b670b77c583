/* SPDX-License-Identifier: GPL-3.0-or-later */
/* list.c: List methods page by page, by reflection over their messages, and output of whole messages. One thread. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "mgmtapi/cli/cli.h"
#include "mgmtapi/cli/format.h"
#include "mgmtapi/json.h"

#define JSON_MAX      (1024 * 1024 * 1024)
#define PAGE_SIZE_MAX 1000 /* the server's limit, common.proto */

static const struct pbjson_opts json_opts = {.emit_defaults = true};

int cli_print_json(struct cli *cli, const ProtobufCMessage *m)
{
	struct buf out;
	int r;

	buf_init(&out, JSON_MAX);
	r = pbjson_encode(m, &json_opts, &out);
	buf_put_u8(&out, '\n');
	if (r == 0 && out.err == 0)
		(void)fwrite(out.data, 1, out.len, cli->out);
	else
		r = cli_fail(cli, CLI_FAILED, NULL, "cannot print the answer as JSON: %s",
		             err_text(r != 0 ? r : out.err));
	buf_free_secret(&out); /* a new token's text may be in it */
	return r;
}

void cli_note(struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->quiet)
		return;
	va_start(ap, fmt);
	(void)vfprintf(cli->err, fmt, ap);
	va_end(ap);
	(void)fputc('\n', cli->err);
	(void)fflush(cli->err);
}

int cli_done(struct cli *cli, const ProtobufCMessage *m, const char *fmt, ...)
{
	va_list ap;

	struct buf raw, clean;

	if (cli->json)
		return cli_print_json(cli, m);
	buf_init(&raw, CLI_ERROR_TEXT_MAX);
	buf_init(&clean, CLI_ERROR_TEXT_MAX);
	va_start(ap, fmt);
	buf_vprintf(&raw, fmt, ap);
	va_end(ap);
	cli_put_clean_lines(&clean, buf_cstr(&raw));
	(void)fprintf(cli->out, "%s\n", buf_cstr(&clean));
	buf_free(&raw);
	buf_free(&clean);
	return CLI_OK;
}

/* ---- lists */

struct listing {
	const struct cli_list_opts *opts;
	const ProtobufCFieldDescriptor *items; /* of the response */
	struct buf json;
	uint64_t count;
};

static void *field_at(const ProtobufCMessage *m, const char *name)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);

	ASSERT(f != NULL);
	return (char *)(uintptr_t)m + f->offset;
}

static const ProtobufCFieldDescriptor *items_field(const ProtobufCMessageDescriptor *d)
{
	for (unsigned i = 0; i < d->n_fields; i++)
		if (d->fields[i].label == PROTOBUF_C_LABEL_REPEATED &&
		    d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			return &d->fields[i];
	ASSERT(false);
	return NULL;
}

/* One page's items, to the printer or into the JSON document. */
static int take_page(struct cli *cli, struct listing *l, const ProtobufCMessage *page)
{
	const char *base = (const char *)page;
	size_t n = *(const size_t *)(const void *)(base + l->items->quantifier_offset);
	ProtobufCMessage *const *items =
		*(ProtobufCMessage *const *const *)(const void *)(base + l->items->offset);

	for (size_t i = 0; i < n && (l->opts->limit == 0 || l->count < l->opts->limit);
	     i++, l->count++) {
		if (!cli->json) {
			l->opts->row(cli, items[i], l->opts->arg);
			continue;
		}
		buf_put_str(&l->json, l->count > 0 ? ",\n" : "\n");
		if (pbjson_encode(items[i], &json_opts, &l->json) != 0 || l->json.err != 0)
			return cli_fail(cli, CLI_FAILED, "narrow the list with --filter or --limit",
			                "the list is too long for one JSON document");
	}
	return 0;
}

static int take_pages(struct cli *cli, struct listing *l, const ProtobufCServiceDescriptor *service,
                      const char *method, ProtobufCMessage *request)
{
	char **token = field_at(request, "page_token");
	uint32_t *size = field_at(request, "page_size");
	ProtobufCMessage *page = NULL, *old;
	int r;

	do {
		uint64_t left = l->opts->limit != 0 ? l->opts->limit - l->count : PAGE_SIZE_MAX;

		*size = (uint32_t)MIN(left, PAGE_SIZE_MAX);
		old = page; /* the token in the request is its */
		r = cli_call(cli, service, method, request, &page);
		if (old != NULL)
			protobuf_c_message_free_unpacked(old, NULL);
		if (r != 0)
			return r;
		r = take_page(cli, l, page);
		*token = *(char **)field_at(page, "next_page_token");
	} while (r == 0 && (*token)[0] != '\0' &&
	         (l->opts->limit == 0 || l->count < l->opts->limit));
	protobuf_c_message_free_unpacked(page, NULL);
	return r;
}

int cli_list(struct cli *cli, const ProtobufCServiceDescriptor *service, const char *method,
             ProtobufCMessage *request, const struct cli_list_opts *opts)
{
	const ProtobufCMethodDescriptor *m =
		protobuf_c_service_descriptor_get_method_by_name(service, method);
	struct listing l = {.opts = opts, .items = items_field(m->output)};
	char name[64];
	int r;

	buf_init(&l.json, JSON_MAX);
	pbjson_camel(l.items->name, name, sizeof(name));
	buf_printf(&l.json, "{\"%s\":[", name);
	r = take_pages(cli, &l, service, method, request);
	if (r == 0 && cli->json) {
		buf_put_str(&l.json, l.count > 0 ? "\n]}\n" : "]}\n");
		(void)fwrite(l.json.data, 1, l.json.len, cli->out);
	}
	buf_free(&l.json);
	return r;
}
