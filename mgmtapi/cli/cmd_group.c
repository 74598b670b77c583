/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd_group.c: the commands `group ...`. One thread. */
#include <string.h>

#include "causeway/v1/groups.pb-c.h"
#include "mgmtapi/cli/show.h"

#define SERVICE (&causeway__v1__group_service__descriptor)

static void policy_word(int policy, char out[32])
{
	cli_enum_word(&causeway__v1__enroll_policy__descriptor, policy, out, 32);
}

/* Passwords of a group while a request is made. */
struct passwords {
	struct secret cira, amt;
};

static void forget(struct passwords *p)
{
	secret_clear(&p->cira);
	secret_clear(&p->amt);
}

/* Puts the options into the group. Strings are borrowed from argv and p. */
static int take_options(struct cli *cli, Causeway__V1__Group *g, struct passwords *p,
                        bool need_cira)
{
	const char *enroll = cli_arg(&cli->args, "enroll"),
		   *user = cli_arg(&cli->args, "cira-user");
	const char *amt_user = cli_arg(&cli->args, "amt-user");
	int r;

	if (need_cira && user == NULL)
		return cli_fail(cli, CLI_USAGE, "devices of the group log in with it",
		                "--cira-user is needed");
	if (enroll != NULL)
		g->enroll = (Causeway__V1__EnrollPolicy)cli_enum_value(
			&causeway__v1__enroll_policy__descriptor, enroll);
	if (user != NULL)
		g->cira_user = CLI_TEXT(user);
	if (need_cira || cli_arg_has(&cli->args, "cira-password-file")) {
		r = cli_password(cli, "cira-password-file", "CIRA password", &p->cira);
		if (r != 0)
			return r;
		g->cira_password = CLI_TEXT(secret_reveal(&p->cira).ptr);
	}
	if (amt_user != NULL)
		g->amt_user = CLI_TEXT(amt_user);
	if (cli_arg_has(&cli->args, "amt-password-file") || (need_cira && amt_user != NULL)) {
		if (need_cira && amt_user == NULL)
			return cli_fail(cli, CLI_USAGE, NULL,
			                "--amt-password-file needs --amt-user");
		r = cli_password(cli, "amt-password-file", "AMT password", &p->amt);
		if (r != 0)
			return r;
		g->amt_password = CLI_TEXT(secret_reveal(&p->amt).ptr);
	}
	return 0;
}

int cli_group_create(struct cli *cli)
{
	Causeway__V1__CreateGroupRequest req = CAUSEWAY__V1__CREATE_GROUP_REQUEST__INIT;
	Causeway__V1__Group group = CAUSEWAY__V1__GROUP__INIT, *got;
	struct passwords p = {0};
	ProtobufCMessage *m = NULL;
	char policy[32];
	int r;

	group.name = CLI_TEXT(cli_word(&cli->args, 0));
	req.group = &group;
	r = take_options(cli, &group, &p, true);
	if (r == 0)
		r = cli_call(cli, SERVICE, "CreateGroup", &req.base, &m);
	forget(&p);
	if (r != 0)
		return r;
	got = (Causeway__V1__Group *)m;
	policy_word((int)got->enroll, policy);
	r = cli_done(cli, m, "Group %s created: CIRA user %s, unknown devices: %s.", got->name,
	             got->cira_user, policy);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

static void group_row(struct cli *cli, const ProtobufCMessage *item, void *arg)
{
	const Causeway__V1__Group *g = (const Causeway__V1__Group *)item;
	struct cli_table *t = arg;
	char policy[32];

	(void)cli;
	policy_word((int)g->enroll, policy);
	cli_cell(t, "%s", g->name);
	cli_cell(t, "%s", g->cira_user);
	cli_cell(t, "%s", policy);
	cli_cell(t, "%s", g->amt_user);
	cli_cell(t, "%u", g->device_count);
	cli_cell_age(t, g->created_time);
}

int cli_group_list(struct cli *cli)
{
	static const char *const heads[] = {"NAME",     "CIRA USER", "ENROLL",
	                                    "AMT USER", "DEVICES",   "CREATED"};
	Causeway__V1__ListGroupsRequest req = CAUSEWAY__V1__LIST_GROUPS_REQUEST__INIT;
	struct cli_table t;

	cli_table_init(&t, heads, ARRAY_LEN(heads));
	return cli_list_table(cli, SERVICE, "ListGroups", &req.base, group_row, &t);
}

static int show(struct cli *cli, const ProtobufCMessage *m)
{
	const Causeway__V1__Group *g = (const Causeway__V1__Group *)m;
	char policy[32];

	if (cli->json)
		return cli_print_json(cli, m);
	policy_word((int)g->enroll, policy);
	cli_field(cli->out, "Name", "%s", g->name);
	cli_field(cli->out, "CIRA user", "%s", g->cira_user);
	cli_field(cli->out, "Unknown devices", "%s", policy);
	cli_field(cli->out, "AMT user", "%s", g->amt_user);
	cli_field(cli->out, "Devices", "%u", g->device_count);
	cli_field_time(cli->out, "Created", g->created_time);
	cli_field_time(cli->out, "Changed", g->updated_time);
	return CLI_OK;
}

int cli_group_show(struct cli *cli)
{
	Causeway__V1__GetGroupRequest req = CAUSEWAY__V1__GET_GROUP_REQUEST__INIT;
	ProtobufCMessage *m;
	int r;

	req.name = CLI_TEXT(cli_word(&cli->args, 0));
	r = cli_call(cli, SERVICE, "GetGroup", &req.base, &m);
	if (r != 0)
		return r;
	r = show(cli, m);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int cli_group_update(struct cli *cli)
{
	Causeway__V1__UpdateGroupRequest req = CAUSEWAY__V1__UPDATE_GROUP_REQUEST__INIT;
	Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
	Causeway__V1__Group group = CAUSEWAY__V1__GROUP__INIT;
	static const char *const fields[][2] = {{"cira-user", "cira_user"},
	                                        {"cira-password-file", "cira_password"},
	                                        {"enroll", "enroll"},
	                                        {"amt-user", "amt_user"},
	                                        {"amt-password-file", "amt_password"}};
	char *paths[ARRAY_LEN(fields)];
	struct passwords p = {0};
	ProtobufCMessage *m = NULL;
	int r;

	mask.paths = paths;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (cli_arg_has(&cli->args, fields[i][0]))
			paths[mask.n_paths++] = CLI_TEXT(fields[i][1]);
	if (mask.n_paths == 0)
		return cli_fail(cli, CLI_USAGE, "see 'causeway group update --help'",
		                "nothing to change was given");
	group.name = CLI_TEXT(cli_word(&cli->args, 0));
	req.group = &group;
	req.update_mask = &mask;
	r = take_options(cli, &group, &p, false);
	if (r == 0)
		r = cli_call(cli, SERVICE, "UpdateGroup", &req.base, &m);
	forget(&p);
	if (r != 0)
		return r;
	r = cli_done(cli, m, "Group %s changed.", ((Causeway__V1__Group *)m)->name);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int cli_group_delete(struct cli *cli)
{
	Causeway__V1__DeleteGroupRequest req = CAUSEWAY__V1__DELETE_GROUP_REQUEST__INIT;
	ProtobufCMessage *m;
	int r;

	req.name = CLI_TEXT(cli_word(&cli->args, 0));
	r = cli_call(cli, SERVICE, "DeleteGroup", &req.base, &m);
	if (r != 0)
		return r;
	r = cli_done(cli, m, "Group %s deleted.", req.name);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}
