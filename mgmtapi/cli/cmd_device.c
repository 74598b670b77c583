/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd_device.c: the commands `device ...` but for watching. One thread. */
#include <string.h>

#include "causeway/v1/devices.pb-c.h"
#include "core/clock.h"
#include "mgmtapi/cli/show.h"

#define SERVICE    (&causeway__v1__device_service__descriptor)
#define LABELS_MAX 32 /* of one device */

/* "connected", "offline", "held" (and whether it is there). */
static const char *state_word(const Causeway__V1__Device *d)
{
	if (d->state == CAUSEWAY__V1__DEVICE_STATE__DEVICE_STATE_HELD)
		return d->connected ? "held" : "held, offline";
	return d->connected ? "connected" : "offline";
}

static const char *name_of(const Causeway__V1__Device *d)
{
	return d->name[0] != '\0' ? d->name : d->host_name;
}

/* ---- list */

static void device_row(struct cli *cli, const ProtobufCMessage *item, void *arg)
{
	const Causeway__V1__Device *d = (const Causeway__V1__Device *)item;
	struct cli_table *t = arg;

	(void)cli;
	cli_cell(t, "%s", d->id);
	cli_cell(t, "%s", name_of(d));
	cli_cell(t, "%s", d->group);
	cli_cell(t, "%s", state_word(d));
	cli_cell(t, "%s", cli_power_word((int)d->power_state));
	cli_cell(t, "%s", d->amt_version);
	cli_cell_age(t, d->last_seen_time);
}

static void id_row(struct cli *cli, const ProtobufCMessage *item, void *arg)
{
	struct buf clean;

	(void)arg;
	buf_init(&clean, 256);
	cli_put_clean(&clean, ((const Causeway__V1__Device *)item)->id);
	(void)fprintf(cli->out, "%s\n", buf_cstr(&clean));
	buf_free(&clean);
}

int cli_device_list(struct cli *cli)
{
	static const char *const heads[] = {"ID", "NAME", "GROUP", "STATE", "POWER", "AMT", "SEEN"};
	Causeway__V1__ListDevicesRequest req = CAUSEWAY__V1__LIST_DEVICES_REQUEST__INIT;
	struct cli_list_opts opts = {.row = device_row};
	const char *filter = cli_arg(&cli->args, "filter");
	uint32_t limit = 0;
	struct cli_table t;
	int r;

	if (cli_arg_has(&cli->args, "watch"))
		return cli_device_watch(cli);
	r = cli_arg_u32(cli, "limit", UINT32_MAX - 1, &limit);
	if (r != 0)
		return r;
	opts.limit = limit;
	if (filter != NULL)
		req.filter = CLI_TEXT(filter);
	if (cli_arg_has(&cli->args, "ids")) {
		opts.row = id_row;
		return cli_list(cli, SERVICE, "ListDevices", &req.base, &opts);
	}
	cli_table_init(&t, heads, ARRAY_LEN(heads));
	opts.arg = &t;
	r = cli_list(cli, SERVICE, "ListDevices", &req.base, &opts);
	if (r == 0)
		return cli_print_table(cli, &t);
	buf_free(&t.text);
	return r;
}

/* ---- show */

static void show_firmware(struct cli *cli, const Causeway__V1__Device *d)
{
	FILE *out = cli->out;

	cli_field(out, "AMT version", "%s%s%s", d->amt_version,
	          d->amt_build[0] != '\0' ? " build " : "", d->amt_build);
	if (d->sku != 0)
		cli_field(out, "SKU", "0x%x", d->sku);
	cli_field(out, "Control mode", "%s", d->control_mode);
	cli_field_time(out, "Facts read", d->facts_time);
	cli_field(out, "AMT account", "%s", d->has_amt_credentials ? "its own" : "its group's");
	cli_field(out, "AMT problem", "%s", d->amt_problem);
	cli_field(out, "CIRA account", "%s", d->has_cira_credentials ? "its own" : "its group's");
	cli_field(out, "Pinned certificate", "%s", d->pinned_certificate_sha256);
}

static void show_tunnel(struct cli *cli, const Causeway__V1__Device *d)
{
	struct buf ports;

	buf_init(&ports, 1024);
	cli_ports(&ports, d->forwarded_ports, d->n_forwarded_ports);
	cli_field(cli->out, "From", "%s", d->source_address);
	cli_field_time(cli->out, "Connected", d->connected_time);
	cli_field_time(cli->out, "Last seen", d->last_seen_time);
	cli_field(cli->out, "Connects", "%llu since the server started",
	          (unsigned long long)d->connects);
	cli_field(cli->out, "TLS", "%s%s%s", d->tls_version, d->tls_cipher[0] != '\0' ? " " : "",
	          d->tls_cipher);
	cli_field(cli->out, "Ports", "%s", buf_cstr(&ports));
	buf_free(&ports);
}

static int show(struct cli *cli, const ProtobufCMessage *m)
{
	const Causeway__V1__Device *d = (const Causeway__V1__Device *)m;

	if (cli->json)
		return cli_print_json(cli, m);
	cli_field(cli->out, "ID", "%s", d->id);
	if (strcmp(d->id, d->guid) != 0)
		cli_field(cli->out, "GUID", "%s", d->guid);
	cli_field(cli->out, "Name", "%s", d->name);
	cli_field(cli->out, "Host name", "%s", d->host_name);
	cli_field(cli->out, "Group", "%s", d->group);
	cli_field(cli->out, "State", "%s", state_word(d));
	cli_field(cli->out, "Power", "%s", cli_power_word((int)d->power_state));
	cli_field_time(cli->out, "Power read", d->power_observed_time);
	show_tunnel(cli, d);
	show_firmware(cli, d);
	for (size_t i = 0; i < d->n_labels; i++)
		cli_field(cli->out, "Label", "%s=%s", d->labels[i]->key, d->labels[i]->value);
	if (d->duplicate_suspected)
		cli_field(cli->out, "Warning",
		          "several machines seem to use this GUID or this device's credentials");
	cli_field_time(cli->out, "First accepted", d->created_time);
	cli_field_time(cli->out, "Changed", d->updated_time);
	return CLI_OK;
}

int cli_device_get(struct cli *cli, const char *id, ProtobufCMessage **m)
{
	Causeway__V1__GetDeviceRequest req = CAUSEWAY__V1__GET_DEVICE_REQUEST__INIT;

	req.device = CLI_TEXT(id);
	return cli_call(cli, SERVICE, "GetDevice", &req.base, m);
}

int cli_device_show(struct cli *cli)
{
	ProtobufCMessage *m;
	int r = cli_device_get(cli, cli_word(&cli->args, 0), &m);

	if (r != 0)
		return r;
	r = show(cli, m);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

/* ---- why */

static int print_why(struct cli *cli, const Causeway__V1__ExplainDeviceResponse *a)
{
	static const char *const heads[] = {"WHEN",    "FROM", "GUID",
	                                    "CAME TO", "USER", "WHAT HAPPENED"};
	struct cli_table t;
	char stage[32];
	struct buf text;

	buf_init(&text, CLI_ERROR_TEXT_MAX);
	cli_put_clean(&text, a->summary);
	if (a->advice[0] != '\0') {
		buf_put_str(&text, "\nWhat to do: ");
		cli_put_clean(&text, a->advice);
	}
	(void)fprintf(cli->out, "%s\n", buf_cstr(&text));
	buf_free(&text);
	if (a->n_attempts == 0)
		return CLI_OK;
	(void)fputc('\n', cli->out);
	cli_table_init(&t, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < a->n_attempts; i++) {
		const Causeway__V1__Attempt *at = a->attempts[i];

		cli_enum_word(&causeway__v1__attempt_stage__descriptor, (int)at->stage, stage,
		              sizeof(stage));
		cli_cell_age(&t, at->attempt_time);
		cli_cell(&t, "%s", at->source_address);
		cli_cell(&t, "%s", at->guid);
		cli_cell(&t, "%s", stage);
		cli_cell(&t, "%s", at->user);
		cli_cell(&t, "%s", at->detail);
	}
	return cli_print_table(cli, &t);
}

int cli_device_why(struct cli *cli)
{
	Causeway__V1__ExplainDeviceRequest req = CAUSEWAY__V1__EXPLAIN_DEVICE_REQUEST__INIT;
	const char *id = cli_word(&cli->args, 0), *source = cli_arg(&cli->args, "source");
	ProtobufCMessage *m;
	int r;

	if (id != NULL && source != NULL)
		return cli_fail(cli, CLI_USAGE, NULL, "give a device or --source, not both");
	if (id != NULL) {
		req.target_case = CAUSEWAY__V1__EXPLAIN_DEVICE_REQUEST__TARGET_DEVICE;
		req.device = CLI_TEXT(id);
	} else if (source != NULL) {
		req.target_case = CAUSEWAY__V1__EXPLAIN_DEVICE_REQUEST__TARGET_SOURCE_ADDRESS;
		req.source_address = CLI_TEXT(source);
	}
	r = cli_arg_u32(cli, "limit", 1000, &req.page_size);
	if (r == 0)
		r = cli_call(cli, SERVICE, "ExplainDevice", &req.base, &m);
	if (r != 0)
		return r;
	r = cli->json ? cli_print_json(cli, m)
	              : print_why(cli, (Causeway__V1__ExplainDeviceResponse *)m);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

/* ---- changes */

/* Calls a method and says what was done with the device that it answers with. */
static int change(struct cli *cli, const char *method, ProtobufCMessage *req, const char *what)
{
	ProtobufCMessage *m;
	int r = cli_call(cli, SERVICE, method, req, &m);

	if (r != 0)
		return r;
	if (m->descriptor == &causeway__v1__device__descriptor)
		r = cli_done(cli, m, "Device %s %s.", ((Causeway__V1__Device *)m)->id, what);
	else
		r = cli_done(cli, m, "Device %s %s.", cli_word(&cli->args, 0), what);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int cli_device_approve(struct cli *cli)
{
	Causeway__V1__ApproveDeviceRequest req = CAUSEWAY__V1__APPROVE_DEVICE_REQUEST__INIT;

	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	return change(cli, "ApproveDevice", &req.base, "approved");
}

int cli_device_delete(struct cli *cli)
{
	Causeway__V1__DeleteDeviceRequest req = CAUSEWAY__V1__DELETE_DEVICE_REQUEST__INIT;

	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	return change(cli, "DeleteDevice", &req.base, "deleted");
}

int cli_device_unpin(struct cli *cli)
{
	Causeway__V1__UnpinDeviceCertificateRequest req =
		CAUSEWAY__V1__UNPIN_DEVICE_CERTIFICATE_REQUEST__INIT;

	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	return change(cli, "UnpinDeviceCertificate", &req.base,
	              "unpinned: the next connection pins the certificate it sees");
}

static int set_amt(struct cli *cli, const char *user, const char *password, const char *what)
{
	Causeway__V1__SetDeviceCredentialsRequest req =
		CAUSEWAY__V1__SET_DEVICE_CREDENTIALS_REQUEST__INIT;

	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	req.user = CLI_TEXT(user);
	req.password = CLI_TEXT(password);
	return change(cli, "SetDeviceCredentials", &req.base, what);
}

static int set_cira(struct cli *cli, const char *user, const char *password, const char *what)
{
	Causeway__V1__SetDeviceCiraCredentialsRequest req =
		CAUSEWAY__V1__SET_DEVICE_CIRA_CREDENTIALS_REQUEST__INIT;

	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	req.user = CLI_TEXT(user);
	req.password = CLI_TEXT(password);
	return change(cli, "SetDeviceCiraCredentials", &req.base, what);
}

typedef int set_fn(struct cli *cli, const char *user, const char *password, const char *what);

static int set_account(struct cli *cli, set_fn *set, const char *prompt, const char *what)
{
	const char *user = cli_arg(&cli->args, "user");
	struct secret password = {0};
	int r;

	if (user == NULL || user[0] == '\0')
		return cli_fail(cli, CLI_USAGE, NULL, "--user is needed");
	r = cli_password(cli, "password-file", prompt, &password);
	if (r == 0)
		r = set(cli, user, (const char *)secret_reveal(&password).ptr, what);
	secret_clear(&password);
	return r;
}

int cli_device_credentials_set(struct cli *cli)
{
	return set_account(cli, set_amt, "AMT password", "has an AMT account of its own now");
}

int cli_device_credentials_clear(struct cli *cli)
{
	return set_amt(cli, "", "", "uses its group's AMT account now");
}

int cli_device_cira_credentials_set(struct cli *cli)
{
	return set_account(cli, set_cira, "CIRA password", "has a CIRA account of its own now");
}

int cli_device_cira_credentials_clear(struct cli *cli)
{
	return set_cira(cli, "", "", "logs in with its group's CIRA account now");
}

/* ---- update */

/* The labels that a device shall have. Keys and values are borrowed. */
struct labels {
	Causeway__V1__Label label[LABELS_MAX];
	Causeway__V1__Label *list[LABELS_MAX];
	char keys[LABELS_MAX][64]; /* of those from the command line */
	size_t keys_len, len;
};

static size_t find_label(const struct labels *l, const char *key)
{
	for (size_t i = 0; i < l->len; i++)
		if (strcmp(l->label[i].key, key) == 0)
			return i;
	return l->len;
}

static int put_label(struct cli *cli, struct labels *l, const char *key, const char *value)
{
	size_t i = find_label(l, key);

	if (i == LABELS_MAX)
		return cli_fail(cli, CLI_USAGE, NULL, "a device has at most %d labels", LABELS_MAX);
	if (i == l->len) {
		causeway__v1__label__init(&l->label[i]);
		l->list[i] = &l->label[i];
		l->len++;
	}
	l->label[i].key = CLI_TEXT(key);
	l->label[i].value = CLI_TEXT(value);
	return 0;
}

/* One --label KEY=VALUE, or KEY= to remove it. */
static int apply_label(struct cli *cli, struct labels *l, const char *text)
{
	size_t n = strcspn(text, "="), i;
	char *key;

	if (text[n] != '=' || n == 0 || n >= sizeof(l->keys[0]) || l->keys_len == LABELS_MAX)
		return cli_fail(cli, CLI_USAGE,
		                "write it as KEY=VALUE (at most 32 of them), or KEY= to remove it",
		                "--label '%s' is not a label", text);
	key = l->keys[l->keys_len++];
	memcpy(key, text, n);
	key[n] = '\0';
	if (text[n + 1] != '\0')
		return put_label(cli, l, key, text + n + 1);
	i = find_label(l, key);
	if (i < l->len)
		l->label[i] = l->label[--l->len];
	return 0;
}

/* The present labels with the changes of the command line. */
static int merge_labels(struct cli *cli, const Causeway__V1__Device *now, struct labels *l)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < now->n_labels; i++)
		r = put_label(cli, l, now->labels[i]->key, now->labels[i]->value);
	for (size_t i = 0; r == 0 && i < cli_arg_count(&cli->args, "label"); i++)
		r = apply_label(cli, l, cli_arg_nth(&cli->args, "label", i));
	return r;
}

int cli_device_update(struct cli *cli)
{
	Causeway__V1__UpdateDeviceRequest req = CAUSEWAY__V1__UPDATE_DEVICE_REQUEST__INIT;
	Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
	const char *name = cli_arg(&cli->args, "name"), *group = cli_arg(&cli->args, "group");
	bool labels = cli_arg_has(&cli->args, "label");
	struct labels l = {.len = 0};
	ProtobufCMessage *now = NULL;
	char *paths[3];
	int r = 0;

	mask.paths = paths;
	req.update_mask = &mask;
	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	if (name != NULL) {
		req.name = CLI_TEXT(name);
		paths[mask.n_paths++] = CLI_TEXT("name");
	}
	if (group != NULL) {
		req.group = CLI_TEXT(group);
		paths[mask.n_paths++] = CLI_TEXT("group");
	}
	if (!labels && mask.n_paths == 0)
		return cli_fail(cli, CLI_USAGE, "see 'causeway device update --help'",
		                "nothing to change was given");
	if (labels) {
		paths[mask.n_paths++] = CLI_TEXT("labels");
		r = cli_device_get(cli, req.device, &now);
		if (r == 0)
			r = merge_labels(cli, (Causeway__V1__Device *)now, &l);
		if (r == 0)
			req.etag = ((Causeway__V1__Device *)now)
			                   ->etag; /* nobody else's label gets lost */
		req.labels = l.list;
		req.n_labels = l.len;
	}
	if (r == 0)
		r = change(cli, "UpdateDevice", &req.base, "changed");
	if (now != NULL)
		protobuf_c_message_free_unpacked(now, NULL);
	return r;
}
