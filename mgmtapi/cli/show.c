/* SPDX-License-Identifier: GPL-3.0-or-later */
/* show.c: times, power states and lists of the API's messages for people. One thread. */
#include "mgmtapi/cli/show.h"

#include <string.h>

#include "causeway/v1/devices.pb-c.h"
#include "causeway/v1/power.pb-c.h"
#include "core/clock.h"

int64_t cli_ms_of(const Google__Protobuf__Timestamp *t)
{
	if (t == NULL || t->seconds > 253402300799 || t->seconds < -62135596800)
		return 0;
	return t->seconds * 1000 + t->nanos / 1000000;
}

void cli_cell_age(struct cli_table *t, const Google__Protobuf__Timestamp *when)
{
	struct buf text;

	buf_init(&text, 64);
	cli_age(&text, cli_ms_of(when), clock_wall_ms());
	cli_cell(t, "%s", buf_cstr(&text));
	buf_free(&text);
}

void cli_field_time(FILE *out, const char *label, const Google__Protobuf__Timestamp *when)
{
	struct buf text;

	if (cli_ms_of(when) == 0)
		return;
	buf_init(&text, 128);
	cli_local_time(&text, cli_ms_of(when), true);
	buf_put_str(&text, " (");
	cli_age(&text, cli_ms_of(when), clock_wall_ms());
	buf_put_str(&text, ")");
	cli_field(out, label, "%s", buf_cstr(&text));
	buf_free(&text);
}

const char *cli_power_word(int state)
{
	switch (state) {
	case CAUSEWAY__V1__POWER_STATE__POWER_STATE_ON:
		return "on";
	case CAUSEWAY__V1__POWER_STATE__POWER_STATE_SLEEP_LIGHT:
		return "light-sleep";
	case CAUSEWAY__V1__POWER_STATE__POWER_STATE_SLEEP_DEEP:
		return "sleep";
	case CAUSEWAY__V1__POWER_STATE__POWER_STATE_CYCLING:
		return "cycling";
	case CAUSEWAY__V1__POWER_STATE__POWER_STATE_OFF_HARD:
	case CAUSEWAY__V1__POWER_STATE__POWER_STATE_OFF_SOFT:
		return "off";
	case CAUSEWAY__V1__POWER_STATE__POWER_STATE_HIBERNATE:
		return "hibernate";
	default:
		return "?";
	}
}

struct action {
	const char *word;
	int value;
};
static const struct action actions[] = {
	{"on", CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_ON},
	{"off", CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_FORCE_OFF},
	{"cycle", CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_POWER_CYCLE},
	{"reset", CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_FORCE_RESTART},
	{"soft-off", CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_SOFT_OFF},
	{"graceful-off", CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_GRACEFUL_SHUTDOWN},
	{"graceful-restart", CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_GRACEFUL_RESTART},
	{"sleep", CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_SLEEP},
	{"hibernate", CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_HIBERNATE},
	{"nmi", CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_NMI},
};

int cli_action_value(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(actions[i].word, word) == 0)
			return actions[i].value;
	return 0;
}

const char *cli_action_word(int action)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (actions[i].value == action)
			return actions[i].word;
	return "?";
}

void cli_ports(struct buf *out, const uint32_t *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%u", i > 0 ? "," : "", ports[i]);
}

void cli_strings(struct buf *out, char *const *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%s", i > 0 ? "," : "", s[i]);
}

int cli_print_table(struct cli *cli, struct cli_table *t)
{
	int r = t->text.err;

	if (cli->json)
		buf_free(&t->text);
	else
		r = cli_table_print(t, cli->out, cli->color);
	return r == 0 ? 0
	              : cli_fail(cli, CLI_FAILED, "narrow it with --filter or --limit",
	                         "the list is too long to show");
}

int cli_list_table(struct cli *cli, const ProtobufCServiceDescriptor *service, const char *method,
                   ProtobufCMessage *request, cli_row_fn *row, struct cli_table *t)
{
	struct cli_list_opts opts = {.row = row, .arg = t};
	int r = cli_list(cli, service, method, request, &opts);

	if (r == 0)
		return cli_print_table(cli, t);
	buf_free(&t->text);
	return r;
}
