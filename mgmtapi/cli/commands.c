/* SPDX-License-Identifier: GPL-3.0-or-later */
/* commands.c: the command table: what the help, the parser and the completion are made from. Constant. */
#include "mgmtapi/cli/cli.h"
#include "mgmtapi/cli/show.h"

/* clang-format off */

const struct cli_option cli_global_options[] = {
	{"api", "URL", "the server's API, such as https://gw.example.org:8443", NULL, CLI_KIND_TEXT, false, 0},
	{"token-file", "FILE", "file with the API token", NULL, CLI_KIND_FILE, false, 0},
	{"ca", "FILE", "certificates (PEM) to trust for the server", NULL, CLI_KIND_FILE, false, 0},
	{"client-cert", "FILE", "client certificate (PEM), instead of a token", NULL, CLI_KIND_FILE, false, 0},
	{"client-key", "FILE", "its private key (PEM)", NULL, CLI_KIND_FILE, false, 0},
	{"data", "DIR", "data folder of a server on this machine: address, token and certificate come from it",
	 NULL, CLI_KIND_DIR, false, 0},
	{"timeout", "TIME", "how long a call may take (60s; streams: no limit), such as 10s or 5m",
	 NULL, CLI_KIND_TEXT, false, 0},
	{"request-id", "ID", "id of a change (a random UUID): the same id again has no second effect",
	 NULL, CLI_KIND_TEXT, false, 0},
	{"json", NULL, "print JSON: one document, or one object per line for streams", NULL, CLI_KIND_TEXT, false, 0},
	{"quiet", NULL, "no progress and no remarks on standard error", NULL, CLI_KIND_TEXT, false, 'q'},
	{"help", NULL, "explain the command", NULL, CLI_KIND_TEXT, false, 'h'},
	{"version", NULL, "print the version of this program", NULL, CLI_KIND_TEXT, false, 'V'},
	{0},
};

#define FILTER_OPTION \
	{"filter", "FILTER", "only devices that match, such as 'connected=true AND label.site=berlin'", \
	 NULL, CLI_KIND_TEXT, false, 0}
#define FOR_OPTION(what) {"for", "TIME", what, NULL, CLI_KIND_TEXT, false, 0}
#define LIMIT_OPTION(what) {"limit", "N", what, NULL, CLI_KIND_TEXT, false, 0}

#define GROUP_OPTIONS \
	{"cira-user", "USER", "user that devices of the group log in with", NULL, CLI_KIND_TEXT, false, 0}, \
	{"cira-password-file", "FILE", "its password ('-': standard input)", NULL, CLI_KIND_FILE, false, 0}, \
	{"enroll", "POLICY", "unknown devices: accept, hold (until approved) or reject", "accept|hold|reject", \
	 CLI_KIND_TEXT, false, 0}, \
	{"amt-user", "USER", "AMT account of devices that have none of their own", NULL, CLI_KIND_TEXT, false, 0}, \
	{"amt-password-file", "FILE", "its password ('-': standard input)", NULL, CLI_KIND_FILE, false, 0}, \
	{0}
static const struct cli_option group_options[] = {GROUP_OPTIONS};

static const struct cli_option top_options[] = {
	{"interval", "TIME", "time between two screens (1s), 100ms to 1h", NULL, CLI_KIND_TEXT, false, 0},
	{"once", NULL, "print one screen, of one interval, and leave", NULL, CLI_KIND_TEXT, false, 0},
	{"batch", NULL, "print screens as plain text, also on a terminal", NULL, CLI_KIND_TEXT, false, 0},
	{0},
};
static const struct cli_option list_options[] = {
	FILTER_OPTION,
	LIMIT_OPTION("at most so many devices"),
	{"ids", NULL, "print ids only, one a line", NULL, CLI_KIND_TEXT, false, 0},
	{"watch", NULL, "go on as 'device watch' does", NULL, CLI_KIND_TEXT, false, 0},
	FOR_OPTION("with --watch: end after this time, with exit status 0"),
	{0},
};
static const struct cli_option watch_options[] = {
	FILTER_OPTION,
	{"updates-only", NULL, "leave out how the devices are at the beginning", NULL, CLI_KIND_TEXT, false, 0},
	FOR_OPTION("end after this time, with exit status 0"),
	{0},
};
static const struct cli_option why_options[] = {
	{"source", "ADDRESS", "attempts from this address instead of a device's", NULL, CLI_KIND_TEXT, false, 0},
	LIMIT_OPTION("at most so many attempts (8)"),
	{0},
};
static const struct cli_option update_options[] = {
	{"name", "NAME", "friendly name; '' removes it", NULL, CLI_KIND_TEXT, false, 0},
	{"group", "GROUP", "group that it shall belong to", NULL, CLI_KIND_GROUP, false, 0},
	{"label", "KEY=VALUE", "add or change a label; KEY= removes it; may be repeated", NULL, CLI_KIND_TEXT, true, 0},
	{0},
};
static const struct cli_option account_options[] = {
	{"user", "USER", "user name", NULL, CLI_KIND_TEXT, false, 0},
	{"password-file", "FILE", "its password ('-': standard input); without it you are asked",
	 NULL, CLI_KIND_FILE, false, 0},
	{0},
};
static const struct cli_option get_options[] = {
	{"max-age", "TIME", "a remembered state of at most this age will do", NULL, CLI_KIND_TEXT, false, 0},
	{0},
};
static const struct cli_option set_options[] = {
	{"delay", "TIME", "do it after this time (at most 24h); a server that stops meanwhile forgets it",
	 NULL, CLI_KIND_TEXT, false, 0},
	{"force", NULL, "do it also if the device does not offer the action now", NULL, CLI_KIND_TEXT, false, 0},
	{0},
};
static const struct cli_option batch_options[] = {
	FILTER_OPTION,
	{"force", NULL, "do it also if a device does not offer the action now", NULL, CLI_KIND_TEXT, false, 0},
	{"parallel", "N", "devices at the same time (32, at most 256)", NULL, CLI_KIND_TEXT, false, 0},
	{"no-wait", NULL, "print the operation's id and leave", NULL, CLI_KIND_TEXT, false, 0},
	{0},
};
#define SELECTOR_OPTION \
	{"selector", "KEY=VALUE", "picks the instance; may be repeated", NULL, CLI_KIND_TEXT, true, 0}
#define BODY_OPTION {"body-file", "FILE", "XML element for the SOAP body ('-': standard input)", \
	NULL, CLI_KIND_FILE, false, 0}
static const struct cli_option selector_options[] = {SELECTOR_OPTION, {0}};
static const struct cli_option body_options[] = {BODY_OPTION, {0}};
static const struct cli_option selector_body_options[] = {SELECTOR_OPTION, BODY_OPTION, {0}};
static const struct cli_option enumerate_options[] = {LIMIT_OPTION("at most so many instances"), {0}};
static const struct cli_option token_options[] = {
	{"role", "ROLE", "viewer, operator or administrator", "viewer|operator|administrator", CLI_KIND_TEXT, false, 0},
	{"group", "GROUP", "limit it to this group; may be repeated", NULL, CLI_KIND_GROUP, true, 0},
	{"scope", "SCOPE", "limit it to this scope, such as power.write; may be repeated", NULL, CLI_KIND_TEXT, true, 0},
	{"expires", "TIME", "when it ends: 30d, 2030-01-31T00:00:00Z or never (never)", NULL, CLI_KIND_TEXT, false, 0},
	{"description", "TEXT", "what it is for", NULL, CLI_KIND_TEXT, false, 0},
	{"out", "FILE", "write its text into this new file (mode 0600) instead of printing it",
	 NULL, CLI_KIND_FILE, false, 0},
	{0},
};
static const struct cli_option audit_options[] = {
	LIMIT_OPTION("at most so many records (100; 0: all)"),
	{"filter", "FILTER", "only what matches, such as 'principal=token:* AND outcome=OK'", NULL, CLI_KIND_TEXT, false, 0},
	{"since", "TIME", "only what is younger, such as 24h", NULL, CLI_KIND_TEXT, false, 0},
	{0},
};
static const struct cli_option operations_options[] = {
	LIMIT_OPTION("at most so many operations"),
	{"state", "STATE", "only those in this state", "running|done|failed|cancelled|interrupted", CLI_KIND_TEXT, false, 0},
	{0},
};
static const struct cli_option wait_options[] = {FOR_OPTION("give up waiting after this time, with exit status 6"), {0}};
static const struct cli_option backup_options[] = {
	{"overwrite", NULL, "replace FILE if it exists", NULL, CLI_KIND_TEXT, false, 0},
	{0},
};
static const struct cli_option debug_call_options[] = {LIMIT_OPTION("at most so many calls (100)"), {0}};
static const struct cli_option debug_tunnel_options[] = {LIMIT_OPTION("at most so many tunnels (20)"), {0}};
static const struct cli_option version_options[] = {
	{"client", NULL, "do not ask the server", NULL, CLI_KIND_TEXT, false, 0},
	{0},
};

#define ID_NOTE "ID is a GUID (GUID#2 if several devices report it), or a name that only one device has."

#define CMD(p, s, b, h, o, f) .path = (p), .synopsis = (s), .brief = (b), .help = (h), .options = (o), .run = (f)
#define ONE(k) .words_min = 1, .words_max = 1, .kind = (k)

const struct cli_command cli_commands[] = {
	{CMD("group create", "NAME", "make a group of devices",
	 "A group has one CIRA account: a device that dials in with it joins the group. Passwords come from a\n"
	 "file, or are asked for at the terminal.\n\n"
	 "  causeway group create office --cira-user office --cira-password-file office.pw --enroll hold\n"
	 "  causeway group create lab --cira-user lab --cira-password-file lab.pw --enroll accept \\\n"
	 "           --amt-user admin --amt-password-file amt.pw\n",
	 group_options, cli_group_create), ONE(CLI_KIND_TEXT)},
	{CMD("group list", "", "list groups", NULL, NULL, cli_group_list)},
	{CMD("group show", "NAME", "show a group", NULL, NULL, cli_group_show), ONE(CLI_KIND_GROUP)},
	{CMD("group update", "NAME", "change a group",
	 "Only what is given changes.\n\n"
	 "  causeway group update office --enroll reject\n", group_options, cli_group_update), ONE(CLI_KIND_GROUP)},
	{CMD("group delete", "NAME", "delete an empty group", NULL, NULL, cli_group_delete), ONE(CLI_KIND_GROUP)},

	{CMD("device list", "", "list devices",
	 "With --json one document: {\"devices\":[...]}, each with its guid in canonical lower-case text.\n"
	 "Filters join FIELD=VALUE and FIELD!=VALUE with AND; '*' stands for any text. Fields: id, guid, name,\n"
	 "host_name, group, state, connected, power_state, amt_version, control_mode, label.KEY,\n"
	 "duplicate_suspected.\n\n"
	 "  causeway device list --filter 'connected=true AND amt_version=15.*'\n"
	 "  causeway device list --json | jq -r '.devices[].guid'\n", list_options, cli_device_list), .streams = true},
	{CMD("device show", "ID", "show a device", ID_NOTE "\n", NULL, cli_device_show), ONE(CLI_KIND_DEVICE)},
	{CMD("device watch", "[ID]", "follow what happens to devices",
	 "First how the devices are, then each change as a line. After a lost connection it goes on where it\n"
	 "was. Ctrl-C ends it (exit status 130). With --json one object per line.\n\n"
	 "  12:00:01  4c4c4544-0039-3410-8052-b4c04f383132 (desk-1)  power  off\n", watch_options, cli_device_watch),
	 .words_max = 1, .kind = CLI_KIND_DEVICE, .streams = true},
	{CMD("device why", "[ID]", "why a device does not connect",
	 "The last attempts to connect, how far each came (tcp, tls, hello, user, password, policy, ready), and\n"
	 "what to do. Without ID: the newest attempts of all.\n\n"
	 "  causeway device why 4c4c4544-0039-3410-8052-b4c04f383132\n"
	 "  causeway device why --source 192.0.2.7\n", why_options, cli_device_why),
	 .words_max = 1, .kind = CLI_KIND_DEVICE},
	{CMD("device approve", "ID", "let a held device in", NULL, NULL, cli_device_approve), ONE(CLI_KIND_DEVICE)},
	{CMD("device delete", "ID", "forget a device and close its tunnel",
	 "Its record, credentials and pinned certificate are removed. It may enrol again if its group allows.\n",
	 NULL, cli_device_delete), ONE(CLI_KIND_DEVICE)},
	{CMD("device update", "ID", "change a device's name, labels or group",
	 "Labels that are not named stay.\n\n"
	 "  causeway device update 4c4c4544-0039-3410-8052-b4c04f383132 --name desk-1 --label site=berlin\n",
	 update_options, cli_device_update), ONE(CLI_KIND_DEVICE)},
	{CMD("device credentials set", "ID", "give a device an AMT account of its own",
	 "The firmware's own user (often admin) and password, used instead of the group's. Setting it also\n"
	 "allows new tries after wrong ones stopped them.\n\n"
	 "  causeway device credentials set desk-1 --user admin --password-file amt.pw\n",
	 account_options, cli_device_credentials_set), ONE(CLI_KIND_DEVICE)},
	{CMD("device credentials clear", "ID", "use the group's AMT account again", NULL, NULL,
	 cli_device_credentials_clear), ONE(CLI_KIND_DEVICE)},
	{CMD("device cira-credentials set", "ID", "let a device log in with a CIRA account of its own",
	 "The device itself is not changed: set the same user and password there.\n", account_options,
	 cli_device_cira_credentials_set), ONE(CLI_KIND_DEVICE)},
	{CMD("device cira-credentials clear", "ID", "let it log in with its group's account again", NULL, NULL,
	 cli_device_cira_credentials_clear), ONE(CLI_KIND_DEVICE)},
	{CMD("device unpin", "ID", "forget the certificate pinned for its TLS port",
	 "Do it after the device's certificate was changed on purpose: the next connection to port 16993 pins\n"
	 "the one it sees.\n", NULL, cli_device_unpin), ONE(CLI_KIND_DEVICE)},

	{CMD("power get", "ID", "read the power state",
	 "Prints on, off, sleep, light-sleep, hibernate, cycling, or ? if the device does not say.\n",
	 get_options, cli_power_get), ONE(CLI_KIND_DEVICE)},
	{CMD("power capabilities", "ID", "which actions the device accepts now", NULL, NULL, cli_power_capabilities),
	 ONE(CLI_KIND_DEVICE)},
	{CMD("power set", "ID ACTION", "power a device on, off, and so on",
	 "ACTION is one of:\n"
	 "  on                turn on\n"
	 "  off               turn off at once; the operating system is not asked\n"
	 "  cycle             turn off and on again at once\n"
	 "  reset             reset at once, without cutting the power\n"
	 "  soft-off          turn off to S5\n"
	 "  graceful-off      ask the operating system to shut down\n"
	 "  graceful-restart  ask the operating system to restart\n"
	 "  sleep, hibernate  ask the operating system to sleep or hibernate\n"
	 "  nmi               diagnostic interrupt\n"
	 "Returns when the device accepted it; 'device watch' shows the new state.\n\n"
	 "  causeway power set desk-1 cycle\n"
	 "  causeway power set desk-1 graceful-off --delay 10m\n",
	 set_options, cli_power_set), .words_min = 2, .words_max = 2, .values = CLI_ACTIONS, .values_at = 1,
	 .kind = CLI_KIND_DEVICE},
	{CMD("power cancel", "ID", "take back a delayed action", NULL, NULL, cli_power_cancel), ONE(CLI_KIND_DEVICE)},
	{CMD("power batch", "ACTION [ID...]", "the same action on many devices",
	 "Shows progress, then the devices that failed. Exit status 1 if one failed. Ctrl-C leaves the\n"
	 "operation running ('operation cancel' stops it).\n\n"
	 "  causeway power batch off --filter 'label.site=berlin AND power_state=on'\n"
	 "  causeway power batch on desk-1 desk-2 desk-3\n",
	 batch_options, cli_power_batch), .words_min = 1, .words_max = CLI_WORDS_MAX, .values = CLI_ACTIONS,
	 .values_at = 0},

	{CMD("wsman get", "ID CLASS", "read an instance of a firmware class as XML",
	 "CLASS is a class name or a whole resource URI.\n\n"
	 "  causeway wsman get desk-1 AMT_GeneralSettings\n", selector_options, cli_wsman_get),
	 .words_min = 2, .words_max = 2, .kind = CLI_KIND_DEVICE},
	{CMD("wsman put", "ID CLASS", "replace an instance",
	 "  causeway wsman put desk-1 AMT_GeneralSettings --body-file settings.xml\n", selector_body_options,
	 cli_wsman_put), .words_min = 2, .words_max = 2, .kind = CLI_KIND_DEVICE},
	{CMD("wsman enumerate", "ID CLASS", "read all instances of a class",
	 "One XML element after the other; with --json one object per line.\n", enumerate_options, cli_wsman_enumerate),
	 .words_min = 2, .words_max = 2, .kind = CLI_KIND_DEVICE, .timeout_ms = 300000},
	{CMD("wsman invoke", "ID CLASS METHOD", "call a method of a class",
	 "Exit status 1 if the method returns a value other than 0. Without --body-file the method has no\n"
	 "arguments.\n\n"
	 "  causeway wsman invoke desk-1 AMT_RemoteAccessService SetConnectionDetection --body-file in.xml\n",
	 selector_body_options, cli_wsman_invoke), .words_min = 3, .words_max = 3, .kind = CLI_KIND_DEVICE},
	{CMD("wsman create", "ID CLASS", "make an instance", NULL, body_options, cli_wsman_create),
	 .words_min = 2, .words_max = 2, .kind = CLI_KIND_DEVICE},
	{CMD("wsman delete", "ID CLASS", "delete an instance", NULL, selector_options, cli_wsman_delete),
	 .words_min = 2, .words_max = 2, .kind = CLI_KIND_DEVICE},

	{CMD("tunnel list", "", "list the tunnels that are up", NULL, NULL, cli_tunnel_list)},
	{CMD("tunnel disconnect", "ID", "close a device's tunnel", "Devices dial in again by themselves.\n", NULL,
	 cli_tunnel_disconnect), ONE(CLI_KIND_DEVICE)},
	{CMD("tunnel open", "ID PORT", "connect standard input and output to a device's port",
	 "The end of standard input closes the channel after what was sent is delivered.\n\n"
	 "  printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' | causeway tunnel open desk-1 16992\n", NULL, cli_tunnel_open),
	 .words_min = 2, .words_max = 2, .kind = CLI_KIND_DEVICE, .streams = true},

	{CMD("token create", "", "make an API token",
	 "Its text is printed once, alone, on standard output; only a hash of it is kept.\n\n"
	 "  causeway token create --role operator --group office --expires 30d --out ops.token\n",
	 token_options, cli_token_create)},
	{CMD("token list", "", "list tokens, without their text", NULL, NULL, cli_token_list)},
	{CMD("token revoke", "TOKEN-ID", "end a token at once", NULL, NULL, cli_token_revoke), ONE(CLI_KIND_TEXT)},

	{CMD("operation list", "", "list long-running operations, newest first", NULL, operations_options,
	 cli_operation_list)},
	{CMD("operation show", "OPERATION-ID", "show an operation with its results", NULL, NULL, cli_operation_show),
	 ONE(CLI_KIND_TEXT)},
	{CMD("operation wait", "OPERATION-ID", "wait for an operation's end",
	 "The exit status tells how it ended, as for 'power batch'.\n", wait_options, cli_operation_wait),
	 ONE(CLI_KIND_TEXT)},
	{CMD("operation cancel", "OPERATION-ID", "stop an operation", "What was done stays done.\n", NULL,
	 cli_operation_cancel), ONE(CLI_KIND_TEXT)},

	{CMD("audit", "", "who changed what, newest first",
	 "Filters: principal, method, resource, request_id, outcome.\n\n"
	 "  causeway audit --since 24h --filter 'method=*ChangePower'\n", audit_options, cli_audit)},

	{CMD("top", "", "watch what the server does",
	 "A screen that is drawn anew every second: what is in use beside its limits, what happens in a second,\n"
	 "refused connections by reason, times with median and 99th percentile, processor and memory. Keys:\n"
	 "q quits, space holds, ? explains. A lost server is asked again. Needs the role viewer, for all groups.\n"
	 "Without a terminal, or with --batch, a screen follows the other as plain text; with --json a line each.\n\n"
	 "  causeway top\n"
	 "  causeway top --once\n"
	 "  causeway top --json --interval 10s\n", top_options, cli_top), .timeout_ms = 5000},
	{CMD("server status", "", "how the server is doing", NULL, NULL, cli_server_status)},
	{CMD("server settings", "", "the settings in force, without secrets", NULL, NULL, cli_server_settings)},
	{CMD("server drain", "", "take no new tunnels and send present ones elsewhere",
	 "Before a stop: the process stays until it is stopped.\n", NULL, cli_server_drain)},
	{CMD("server reload", "", "read configuration and certificates again", "Tunnels stay up.\n", NULL,
	 cli_server_reload)},
	{CMD("debug calls", "", "where calls to devices spend their time",
	 "Since the server started, by stage: queue (waits for its turn at the device), channel (opens one through\n"
	 "the tunnel), tls (inside it), send, device (until its first octet), answer (the rest). A channel that is\n"
	 "used again is not opened, so that stages count less often than calls.\n", NULL, cli_debug_calls)},
	{CMD("debug operations", "", "calls to devices that are under way, with their stage",
	 "'operation list --state running' shows the batches that make some of them.\n", debug_call_options,
	 cli_debug_operations)},
	{CMD("debug tunnels", "", "the tunnels that hold most memory in queues and channels", NULL,
	 debug_tunnel_options, cli_debug_tunnels)},
	{CMD("debug loops", "", "how busy the server's event loops are",
	 "DELAY is how long a task had to wait just now, MEAN to P99 how long an iteration works.\n", NULL,
	 cli_debug_loops)},
	{CMD("backup", "FILE", "copy the server's store into a file",
	 "A consistent copy, taken while the server runs, with mode 0600. It is written to FILE.part, checked\n"
	 "against the server's size and SHA-256, and renamed. Secrets in it are sealed; the key is not in it.\n\n"
	 "  causeway backup causeway-$(date +%F).db\n", backup_options, cli_backup),
	 .words_min = 1, .words_max = 1, .kind = CLI_KIND_FILE, .streams = true},
	{CMD("version", "", "versions of this program and the server",
	 "Works without a server, too.\n", version_options, cli_version), .timeout_ms = 5000},
	{CMD("completion", "SHELL", "print a completion script for bash, zsh or fish",
	 "  causeway completion bash >/etc/bash_completion.d/causeway\n"
	 "  causeway completion zsh >/usr/local/share/zsh/site-functions/_causeway\n"
	 "  causeway completion fish >~/.config/fish/completions/causeway.fish\n", NULL, cli_completion),
	 .words_min = 1, .words_max = 1, .values = "bash|zsh|fish", .values_at = 0},
	{CMD("help", "[COMMAND...]", "explain a command", NULL, NULL, cli_help), .words_max = CLI_PATH_WORDS},
};
/* clang-format on */

const size_t cli_commands_len = ARRAY_LEN(cli_commands);
