/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd_wsman.c: the commands `wsman ...`: bodies go in and come out as XML, unchanged. One thread. */
#include <stdlib.h>
#include <string.h>

#include "causeway/v1/wsman.pb-c.h"
#include "core/err.h"
#include "mgmtapi/cli/show.h"

#define SERVICE       (&causeway__v1__wsman_service__descriptor)
#define SELECTORS_MAX 16
#define KEY_MAX       128

struct selectors {
	Causeway__V1__Selector one[SELECTORS_MAX];
	Causeway__V1__Selector *list[SELECTORS_MAX];
	char keys[SELECTORS_MAX][KEY_MAX];
	size_t len;
};

static int take_selectors(struct cli *cli, struct selectors *s)
{
	size_t count = cli_arg_count(&cli->args, "selector");

	s->len = 0;
	if (count > SELECTORS_MAX)
		return cli_fail(cli, CLI_USAGE, NULL, "more than %d selectors", SELECTORS_MAX);
	for (size_t i = 0; i < count; i++) {
		const char *text = cli_arg_nth(&cli->args, "selector", i);
		size_t n = strcspn(text, "=");

		if (text[n] != '=' || n == 0 || n >= KEY_MAX)
			return cli_fail(cli, CLI_USAGE,
			                "write it as KEY=VALUE, such as InstanceID='Intel(r) AMT'",
			                "--selector '%s' is not a selector", text);
		memcpy(s->keys[i], text, n);
		s->keys[i][n] = '\0';
		causeway__v1__selector__init(&s->one[i]);
		s->one[i].name = s->keys[i];
		s->one[i].value = CLI_TEXT(text + n + 1);
		s->list[i] = &s->one[i];
		s->len++;
	}
	return 0;
}

/* The content of --body-file; required: it must be given. */
static int take_body(struct cli *cli, bool required, struct buf *out)
{
	const char *path = cli_arg(&cli->args, "body-file");
	int r;

	if (path == NULL)
		return required ? cli_fail(cli, CLI_USAGE, "'-' reads standard input",
		                           "--body-file is needed")
		                : 0;
	r = cli_read_file(cli, path, out);
	if (r == 0 && out->len > 0 && memchr(out->data, '\0', out->len) != NULL)
		r = cli_fail(cli, CLI_USAGE, NULL, "%s is not XML text", path);
	return r;
}

/* Prints an instance and a line end. */
static void print_body(struct cli *cli, const char *body)
{
	size_t n = strlen(body);

	(void)fputs(body, cli->out);
	if (n > 0 && body[n - 1] != '\n')
		(void)fputc('\n', cli->out);
}

/* Calls, and shows the answer's body, of which `body` is the member. */
static int call(struct cli *cli, const char *method, ProtobufCMessage *req)
{
	const ProtobufCFieldDescriptor *f;
	ProtobufCMessage *m;
	int r = cli_call(cli, SERVICE, method, req, &m);

	if (r != 0)
		return r;
	f = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, "body");
	if (cli->json)
		r = cli_print_json(cli, m);
	else if (f != NULL)
		print_body(cli, *(char **)(void *)((char *)m + f->offset));
	else
		(void)fputs("Done.\n", cli->out);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int cli_wsman_get(struct cli *cli)
{
	Causeway__V1__GetInstanceRequest req = CAUSEWAY__V1__GET_INSTANCE_REQUEST__INIT;
	struct selectors s;
	int r = take_selectors(cli, &s);

	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	req.resource = CLI_TEXT(cli_word(&cli->args, 1));
	req.selectors = s.list;
	req.n_selectors = s.len;
	return r != 0 ? r : call(cli, "GetInstance", &req.base);
}

int cli_wsman_put(struct cli *cli)
{
	Causeway__V1__PutInstanceRequest req = CAUSEWAY__V1__PUT_INSTANCE_REQUEST__INIT;
	struct selectors s;
	struct buf body;
	int r = take_selectors(cli, &s);

	buf_init(&body, CLI_BODY_MAX);
	if (r == 0)
		r = take_body(cli, true, &body);
	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	req.resource = CLI_TEXT(cli_word(&cli->args, 1));
	req.selectors = s.list;
	req.n_selectors = s.len;
	req.body = CLI_TEXT(buf_cstr(&body));
	if (r == 0)
		r = call(cli, "PutInstance", &req.base);
	buf_free_secret(&body);
	return r;
}

int cli_wsman_create(struct cli *cli)
{
	Causeway__V1__CreateInstanceRequest req = CAUSEWAY__V1__CREATE_INSTANCE_REQUEST__INIT;
	struct buf body;
	int r;

	buf_init(&body, CLI_BODY_MAX);
	r = take_body(cli, true, &body);
	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	req.resource = CLI_TEXT(cli_word(&cli->args, 1));
	req.body = CLI_TEXT(buf_cstr(&body));
	if (r == 0)
		r = call(cli, "CreateInstance", &req.base);
	buf_free_secret(&body);
	return r;
}

int cli_wsman_delete(struct cli *cli)
{
	Causeway__V1__DeleteInstanceRequest req = CAUSEWAY__V1__DELETE_INSTANCE_REQUEST__INIT;
	struct selectors s;
	int r = take_selectors(cli, &s);

	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	req.resource = CLI_TEXT(cli_word(&cli->args, 1));
	req.selectors = s.list;
	req.n_selectors = s.len;
	return r != 0 ? r : call(cli, "DeleteInstance", &req.base);
}

/* A method that ran but says that it failed is a failure for a script, too. */
static int print_invoked(struct cli *cli, const ProtobufCMessage *m)
{
	const Causeway__V1__InvokeMethodResponse *a = (const Causeway__V1__InvokeMethodResponse *)m;
	int r = 0;

	if (cli->json)
		r = cli_print_json(cli, m);
	else
		print_body(cli, a->body);
	if (r == 0 && a->has_return_value && a->return_value != 0)
		r = cli_fail(
			cli, CLI_FAILED,
			"the meaning of the value is the method's; see the class's documentation",
			"the method returned %lld", (long long)a->return_value);
	return r;
}

int cli_wsman_invoke(struct cli *cli)
{
	Causeway__V1__InvokeMethodRequest req = CAUSEWAY__V1__INVOKE_METHOD_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct selectors s;
	struct buf body;
	int r = take_selectors(cli, &s);

	buf_init(&body, CLI_BODY_MAX);
	if (r == 0)
		r = take_body(cli, false, &body);
	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	req.resource = CLI_TEXT(cli_word(&cli->args, 1));
	req.method = CLI_TEXT(cli_word(&cli->args, 2));
	req.selectors = s.list;
	req.n_selectors = s.len;
	req.body = CLI_TEXT(buf_cstr(&body));
	if (r == 0)
		r = cli_call(cli, SERVICE, "InvokeMethod", &req.base, &m);
	buf_free_secret(&body);
	if (r != 0)
		return r;
	r = print_invoked(cli, m);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

static int on_instance(struct cli *cli, const ProtobufCMessage *m, void *arg)
{
	(void)arg;
	if (cli->json)
		return cli_print_json(cli, m);
	print_body(cli, ((const Causeway__V1__EnumerateInstancesResponse *)m)->body);
	return 0;
}

int cli_wsman_enumerate(struct cli *cli)
{
	Causeway__V1__EnumerateInstancesRequest req =
		CAUSEWAY__V1__ENUMERATE_INSTANCES_REQUEST__INIT;
	struct cli_stream_opts opts = {.on_message = on_instance};
	int r = cli_arg_u32(cli, "limit", UINT32_MAX - 1, &req.max_items);

	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	req.resource = CLI_TEXT(cli_word(&cli->args, 1));
	return r != 0 ? r : cli_stream(cli, SERVICE, "EnumerateInstances", &req.base, &opts);
}
