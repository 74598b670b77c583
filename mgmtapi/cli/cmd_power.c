/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd_power.c: the commands `power ...`. One thread. */
#include <string.h>

#include "causeway/v1/power.pb-c.h"
#include "core/clock.h"
#include "mgmtapi/cli/show.h"

#define SERVICE (&causeway__v1__power_service__descriptor)

int cli_power_get(struct cli *cli)
{
	Causeway__V1__GetPowerStateRequest req = CAUSEWAY__V1__GET_POWER_STATE_REQUEST__INIT;
	Google__Protobuf__Duration max_age = GOOGLE__PROTOBUF__DURATION__INIT;
	const Causeway__V1__GetPowerStateResponse *a;
	uint64_t age_ms = 0;
	ProtobufCMessage *m;
	struct buf text;
	int r = cli_arg_ms(cli, "max-age", &age_ms);

	if (r != 0)
		return r;
	if (age_ms != 0) {
		max_age.seconds = (int64_t)(age_ms / 1000);
		max_age.nanos = (int32_t)(age_ms % 1000) * 1000000;
		req.max_age = &max_age;
	}
	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	r = cli_call(cli, SERVICE, "GetPowerState", &req.base, &m);
	if (r != 0)
		return r;
	a = (Causeway__V1__GetPowerStateResponse *)m;
	buf_init(&text, 128);
	buf_put_str(&text, cli_power_word((int)a->power_state));
	if (a->cached) {
		buf_put_str(&text, " (read ");
		cli_age(&text, cli_ms_of(a->observed_time), clock_wall_ms());
		buf_put_str(&text, ")");
	}
	r = cli_done(cli, m, "%s", buf_cstr(&text));
	buf_free(&text);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

static void put_pending(struct buf *out, const Causeway__V1__PendingPower *p)
{
	buf_printf(out, "%s ", cli_action_word((int)p->action));
	cli_age(out, cli_ms_of(p->due_time), clock_wall_ms());
	if (p->requested_by[0] != '\0')
		buf_printf(out, ", asked for by %s", p->requested_by);
}

int cli_power_capabilities(struct cli *cli)
{
	Causeway__V1__GetPowerCapabilitiesRequest req =
		CAUSEWAY__V1__GET_POWER_CAPABILITIES_REQUEST__INIT;
	const Causeway__V1__GetPowerCapabilitiesResponse *a;
	ProtobufCMessage *m;
	struct buf text;
	int r;

	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	r = cli_call(cli, SERVICE, "GetPowerCapabilities", &req.base, &m);
	if (r != 0)
		return r;
	a = (Causeway__V1__GetPowerCapabilitiesResponse *)m;
	if (cli->json) {
		r = cli_print_json(cli, m);
	} else {
		buf_init(&text, 1024);
		for (size_t i = 0; i < a->n_actions; i++)
			buf_printf(&text, "%s%s", i > 0 ? " " : "",
			           cli_action_word((int)a->actions[i]));
		cli_field(cli->out, "Power", "%s", cli_power_word((int)a->power_state));
		cli_field(cli->out, "Accepts now", "%s", buf_cstr(&text));
		buf_clear(&text);
		if (a->pending != NULL)
			put_pending(&text, a->pending);
		cli_field(cli->out, "Waiting", "%s", buf_cstr(&text));
		buf_free(&text);
	}
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

static int print_change(struct cli *cli, const ProtobufCMessage *m)
{
	const Causeway__V1__ChangePowerResponse *a = (const Causeway__V1__ChangePowerResponse *)m;
	struct buf text;
	int r;

	buf_init(&text, 256);
	if (a->due_time != NULL) {
		buf_put_str(&text, "will be done ");
		cli_age(&text, cli_ms_of(a->due_time), clock_wall_ms());
		buf_put_str(&text, "; 'causeway power cancel' takes it back");
	} else {
		buf_put_str(&text, "accepted by the device");
		if (a->previous_state != CAUSEWAY__V1__POWER_STATE__POWER_STATE_UNSPECIFIED)
			buf_printf(&text, " (it was %s)", cli_power_word((int)a->previous_state));
	}
	r = cli_done(cli, m, "%s: %s %s.", a->device, cli_action_word((int)a->action),
	             buf_cstr(&text));
	buf_free(&text);
	return r;
}

int cli_power_set(struct cli *cli)
{
	Causeway__V1__ChangePowerRequest req = CAUSEWAY__V1__CHANGE_POWER_REQUEST__INIT;
	Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
	uint64_t delay_ms = 0;
	ProtobufCMessage *m;
	int r = cli_arg_ms(cli, "delay", &delay_ms);

	if (r != 0)
		return r;
	if (delay_ms != 0) {
		delay.seconds = (int64_t)(delay_ms / 1000);
		delay.nanos = (int32_t)(delay_ms % 1000) * 1000000;
		req.delay = &delay;
	}
	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	req.action = (Causeway__V1__PowerAction)cli_action_value(cli_word(&cli->args, 1));
	req.force = cli_arg_has(&cli->args, "force");
	r = cli_call(cli, SERVICE, "ChangePower", &req.base, &m);
	if (r != 0)
		return r;
	r = print_change(cli, m);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int cli_power_cancel(struct cli *cli)
{
	Causeway__V1__CancelPendingPowerRequest req =
		CAUSEWAY__V1__CANCEL_PENDING_POWER_REQUEST__INIT;
	const Causeway__V1__CancelPendingPowerResponse *a;
	ProtobufCMessage *m;
	struct buf text;
	int r;

	req.device = CLI_TEXT(cli_word(&cli->args, 0));
	r = cli_call(cli, SERVICE, "CancelPendingPower", &req.base, &m);
	if (r != 0)
		return r;
	a = (Causeway__V1__CancelPendingPowerResponse *)m;
	buf_init(&text, 256);
	if (a->cancelled != NULL)
		put_pending(&text, a->cancelled);
	r = cli_done(cli, m, "Taken back: %s.", buf_cstr(&text));
	buf_free(&text);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int cli_power_batch(struct cli *cli)
{
	Causeway__V1__BatchChangePowerRequest req = CAUSEWAY__V1__BATCH_CHANGE_POWER_REQUEST__INIT;
	const char *filter = cli_arg(&cli->args, "filter");
	ProtobufCMessage *m;
	int r;

	if (cli->args.words_len < 2 && filter == NULL)
		return cli_fail(
			cli, CLI_USAGE,
			"name devices, or choose them with --filter (all of them: --filter 'id=*')",
			"no device named");
	if (filter != NULL)
		req.filter = CLI_TEXT(filter);
	req.action = (Causeway__V1__PowerAction)cli_action_value(cli_word(&cli->args, 0));
	req.force = cli_arg_has(&cli->args, "force");
	req.n_devices = cli->args.words_len - 1;
	req.devices = (char **)(uintptr_t)(cli->args.words + 1); /* packed only */
	r = cli_arg_u32(cli, "parallel", 256, &req.parallel);
	if (r == 0)
		r = cli_call(cli, SERVICE, "BatchChangePower", &req.base, &m);
	if (r != 0)
		return r;
	if (!cli_arg_has(&cli->args, "no-wait"))
		return cli_operation_follow(cli, m);
	r = cli_done(cli, m, "%s", ((Causeway__V1__Operation *)m)->id);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}
