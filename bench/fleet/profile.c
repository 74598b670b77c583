/* SPDX-License-Identifier: GPL-3.0-or-later */
/* profile.c: every toggle of apf.md section 15 as a key with a value, and named sets of them. */
#include "bench/fleet/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

struct word {
	const char *text;
	int value;
};

static const struct word words_bool[] = {{"yes", 1}, {"no", 0}, {"on", 1}, {"off", 0},
                                         {"1", 1},   {"0", 0},  {NULL, 0}};
static const struct word words_trigger[] = {{"periodic", 4}, {"user", 1}, {"alert", 2}, {"4", 4},
                                            {"1", 1},        {"2", 2},    {NULL, 0}};
static const struct word words_auth[] = {{"password", SIM_AUTH_PASSWORD},
                                         {"none", SIM_AUTH_NONE},
                                         {"wrong", SIM_AUTH_WRONG},
                                         {NULL, 0}};
static const struct word words_framing[] = {{"message", SIM_FRAMING_MESSAGE},
                                            {"coalesced", SIM_FRAMING_COALESCED},
                                            {"octet", SIM_FRAMING_OCTET},
                                            {NULL, 0}};
static const struct word words_adjust[] = {{"each", SIM_ADJUST_EACH},
                                           {"batched", SIM_ADJUST_BATCHED},
                                           {"never", SIM_ADJUST_NEVER},
                                           {NULL, 0}};
static const struct word words_closes[] = {{"first", FLEET_CLOSES_FIRST},
                                           {"last", FLEET_CLOSES_LAST},
                                           {"always", FLEET_CLOSES_ALWAYS},
                                           {NULL, 0}};
static const struct word words_stream[] = {{"echo", FLEET_STREAM_ECHO},
                                           {"source", FLEET_STREAM_SOURCE},
                                           {"sink", FLEET_STREAM_SINK},
                                           {NULL, 0}};
static const struct word words_hostile[] = {
	{"none", FLEET_HOSTILE_NONE},       {"half-open", FLEET_HOSTILE_HALF_OPEN},
	{"mute", FLEET_HOSTILE_MUTE},       {"drip", FLEET_HOSTILE_DRIP},
	{"garbage", FLEET_HOSTILE_GARBAGE}, {NULL, 0}};
static const struct word words_host[] = {{"fqdn", 0}, {"empty", 1}, {NULL, 0}};
static const struct word words_tls[] = {{"1.0", 0x0301}, {"1.1", 0x0302}, {"1.2", 0x0303},
                                        {"1.3", 0x0304}, {"any", 0},      {NULL, 0}};

static int find_word(const struct word *words, const char *text)
{
	for (; words->text != NULL; words++) {
		if (strcmp(words->text, text) == 0)
			return words->value;
	}
	return -ERR_INVALID;
}

static int read_number(const char *text, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long v;

	if (strcmp(text, "off") == 0)
		text = "0";
	if (text[0] < '0' || text[0] > '9')
		return -ERR_INVALID;
	v = strtoul(text, &end, 10);
	if (*end != '\0' || v > max)
		return -ERR_INVALID;
	*out = (uint32_t)v;
	return 0;
}

static int set_trigger(struct fleet_profile *p, const char *v)
{
	int n = find_word(words_trigger, v);

	p->apf.trigger = n < 0 ? p->apf.trigger : (uint32_t)n;
	return MIN(n, 0);
}

/* The order in which firmware advertises (apf.md 5.5). */
static int set_ports(struct fleet_profile *p, const char *v)
{
	static const struct {
		const char *name, *list;
	} names[] = {{"full", "16993+16992+664+623+16995+16994+5900"},
	             {"tls", "16993"},
	             {"four", "16992+16993+623+664"}};
	uint32_t port;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i].name, v) == 0)
			v = names[i].list;
	}
	for (p->apf.ports_len = 0; *v != '\0'; v += *v == '+') {
		char one[8];
		size_t n = strcspn(v, "+");

		if (!str_copy_span(one, sizeof(one), span_of(v, n)) ||
		    read_number(one, UINT16_MAX, &port) != 0 || port == 0 ||
		    p->apf.ports_len == SIM_APF_PORTS_MAX)
			return -ERR_INVALID;
		p->apf.ports[p->apf.ports_len++] = (uint16_t)port;
		v += n;
	}
	return p->apf.ports_len > 0 ? 0 : -ERR_INVALID;
}

static int set_window(struct fleet_profile *p, const char *v)
{
	p->apf.late_window = strcmp(v, "late") == 0 ? 4096 : 0;
	p->apf.late_ms = 100;
	if (p->apf.late_window > 0)
		return 0;
	return read_number(v, INT32_MAX, &p->apf.window);
}

static int set_tls(struct fleet_profile *p, const char *v)
{
	int n = find_word(words_tls, v);

	if (n < 0)
		return n;
	p->tls_min = p->tls_max = n;
	p->tls_legacy = n == 0x0301 || n == 0x0302;
	return 0;
}

static int set_suites(struct fleet_profile *p, const char *v)
{
	return str_copy(p->tls_ciphers, sizeof(p->tls_ciphers), strcmp(v, "any") == 0 ? "" : v)
	               ? 0
	               : -ERR_INVALID;
}

static int set_qop(struct fleet_profile *p, const char *v)
{
	static const char *const known[] = {"auth", "auth-int", "auth,auth-int"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(known[i], v) == 0 || (i == 2 && strcmp(v, "both") == 0)) {
			p->qop = known[i];
			return 0;
		}
	}
	return -ERR_INVALID;
}

enum kind { KIND_FN, KIND_WORD, KIND_BOOL, KIND_NUMBER };

#define AT(member) offsetof(struct fleet_profile, member)

static const struct key {
	const char *name;
	enum kind kind;
	size_t at;
	const struct word *words;
	int (*set)(struct fleet_profile *p, const char *v);
	const char *help;
} keys[] = {
	{"trigger", KIND_FN, 0, NULL, set_trigger, "periodic | user | alert"},
	{"auth", KIND_WORD, AT(apf.auth), words_auth, NULL, "password | none | wrong"},
	{"ports", KIND_FN, 0, NULL, set_ports, "full | tls | four | a list like 16992+16993"},
	{"host", KIND_BOOL, AT(host_empty), words_host, NULL, "fqdn | empty (sent with each port)"},
	{"framing", KIND_WORD, AT(apf.framing), words_framing, NULL,
         "message | coalesced | octet (per TLS record)"},
	{"pipelined", KIND_BOOL, AT(apf.pipelined), words_bool, NULL,
         "no | yes: asks for all ports at once"},
	{"keepalive", KIND_NUMBER, AT(apf.keepalive_s), NULL, NULL,
         "seconds between keep-alives, or off (30)"},
	{"timeout", KIND_NUMBER, AT(apf.timeout_s), NULL, NULL,
         "seconds until an unanswered one ends the tunnel (90)"},
	{"obey210", KIND_BOOL, AT(apf.obey_210), words_bool, NULL,
         "yes | no: takes over the server's keep-alive options"},
	{"window", KIND_FN, 0, NULL, set_window, "4096 | 1 | 65536 | late (0, then ADJUST)"},
	{"adjust", KIND_WORD, AT(apf.adjust), words_adjust, NULL, "each | batched | never"},
	{"closes", KIND_WORD, AT(closes), words_closes, NULL,
         "first | last | always (after every answer)"},
	{"stream", KIND_WORD, AT(stream), words_stream, NULL,
         "echo | source | sink (on redirection ports)"},
	{"late-data", KIND_BOOL, AT(apf.late_data), words_bool, NULL,
         "no | yes: DATA after the server's CLOSE"},
	{"strict", KIND_BOOL, AT(apf.strict), words_bool, NULL,
         "yes | no: hangs up on a violation"},
	{"udp", KIND_BOOL, AT(apf.udp_send), words_bool, NULL,
         "no | yes: sends udp-send-to when ready"},
	{"direct", KIND_BOOL, AT(apf.direct_open), words_bool, NULL,
         "no | yes: opens direct-tcpip when ready"},
	{"cancel", KIND_BOOL, AT(apf.cancel_last), words_bool, NULL,
         "no | yes: cancels its last port when ready"},
	{"tls", KIND_FN, 0, NULL, set_tls, "any | 1.0 | 1.1 | 1.2 | 1.3"},
	{"suites", KIND_FN, 0, NULL, set_suites, "any | names like AES128-SHA:AES256-SHA"},
	{"qop", KIND_FN, 0, NULL, set_qop, "auth | auth-int | both"},
	{"lock", KIND_NUMBER, AT(lock_after), NULL, NULL,
         "wrong passwords until the account locks for 30 s (5; off)"},
	{"slow", KIND_NUMBER, AT(apf.answer_ms), NULL, NULL,
         "milliseconds until CHANNEL_OPEN is confirmed (off)"},
	{"delay", KIND_NUMBER, AT(delay_ms), NULL, NULL,
         "milliseconds until a request is answered (off)"},
	{"churn", KIND_NUMBER, AT(churn_s), NULL, NULL,
         "mean seconds until it drops the tunnel and returns (off)"},
	{"overlap", KIND_NUMBER, AT(overlap_s), NULL, NULL,
         "seconds until it dials anew with the old tunnel half-open (off)"},
	{"silent", KIND_NUMBER, AT(silent_s), NULL, NULL,
         "seconds after which it stops answering (off)"},
	{"hostile", KIND_WORD, AT(hostile), words_hostile, NULL,
         "none | half-open | mute | drip | garbage"},
	{"agent", KIND_BOOL, AT(agent), words_bool, NULL,
         "yes | no: the host takes graceful power requests"},
	{"power-fails", KIND_BOOL, AT(power_broken), words_bool, NULL,
         "no | yes: power requests return 4"},
};

static const struct {
	const char *name, *settings, *help;
} builtins[] = {
	{"default", "", "an AMT 15 device that does everything right"},
	{"legacy", "tls=1.0,suites=AES128-SHA,keepalive=90",
         "AMT up to 11: TLS 1.0 with static RSA"},
	{"tls-only", "ports=tls", "forwards only 16993"},
	{"four-ports", "ports=four", "AMT 18's list"},
	{"tiny-window", "window=1", "grants one octet at a time"},
	{"late-window", "window=late", "grants nothing at first"},
	{"coalesced", "framing=coalesced,pipelined=yes", "many messages in a record"},
	{"octets", "framing=octet", "one octet in a record"},
	{"alert", "trigger=alert,udp=yes,direct=yes", "comes to deliver an event"},
	{"intruder", "auth=wrong", "does not know the password"},
	{"churn", "churn=10,late-data=yes", "comes and goes"},
	{"overlap", "overlap=20", "dials again while its old tunnel is half dead"},
	{"silent", "silent=5", "goes dead without a word"},
	{"slow", "slow=500,delay=1000", "takes its time"},
	{"no-agent", "agent=no", "its host ignores graceful requests"},
	{"half-open", "hostile=half-open", "opens TCP and waits"},
	{"drip", "hostile=drip", "sends one octet a second"},
	{"garbage", "hostile=garbage", "sends noise after TLS"},
};

static int set_by_kind(struct fleet_profile *p, const struct key *k, const char *value)
{
	void *place = (char *)p + k->at;
	uint32_t number;
	int n;

	switch (k->kind) {
	case KIND_FN:
		return k->set(p, value);
	case KIND_NUMBER:
		n = read_number(value, 86400 * 1000, &number);
		if (n == 0)
			*(uint32_t *)place = number;
		return n;
	case KIND_BOOL:
		n = find_word(k->words, value);
		if (n >= 0)
			*(bool *)place = n != 0;
		return MIN(n, 0);
	default:
		/* Every enumeration here is an unsigned int to the compiler; memcpy needs no such promise of aliasing. */
		n = find_word(k->words, value);
		if (n >= 0)
			memcpy(place, &n, sizeof(n));
		return MIN(n, 0);
	}
}

int fleet_profile_set(struct fleet_profile *p, const char *key, const char *value)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].name, key) == 0)
			return set_by_kind(p, &keys[i], value);
	}
	return -ERR_NOT_FOUND;
}

void fleet_profile_default(struct fleet_profile *p)
{
	memset(p, 0, sizeof(*p));
	str_copy(p->name, sizeof(p->name), "default");
	p->apf.trigger = 4;
	p->apf.keepalive_s = 30;
	p->apf.timeout_s = 90;
	p->apf.obey_210 = true;
	p->apf.window = 4096;
	p->apf.strict = true;
	p->qop = "auth";
	p->lock_after = 5;
	p->agent = true;
	ASSERT(set_ports(p, "full") == 0);
}

int fleet_profile_builtin(struct fleet_profile *p, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(builtins); i++) {
		char text[128], *save = NULL, *pair;

		if (strcmp(builtins[i].name, name) != 0)
			continue;
		str_copy(p->name, sizeof(p->name), name);
		ASSERT(str_copy(text, sizeof(text), builtins[i].settings));
		for (pair = strtok_r(text, ",", &save); pair != NULL;
		     pair = strtok_r(NULL, ",", &save)) {
			char *value = strchr(pair, '=');

			*value++ = '\0';
			ASSERT(fleet_profile_set(p, pair, value) == 0);
		}
		return 0;
	}
	return -ERR_NOT_FOUND;
}

bool fleet_profile_holds(const struct fleet_profile *p)
{
	return p->apf.auth == SIM_AUTH_PASSWORD && p->hostile == FLEET_HOSTILE_NONE &&
	       p->churn_s == 0 && p->silent_s == 0;
}

void fleet_profile_help(void)
{
	printf("\nHow devices behave (each is an option --KEY VALUE, or part of --define "
	       "NAME:KEY=VALUE,...):\n");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		printf("  --%-12s %s\n", keys[i].name, keys[i].help);
	printf("\nProfiles that are ready for --profile NAME[:COUNT]:\n");
	for (size_t i = 0; i < ARRAY_LEN(builtins); i++)
		printf("  %-12s %s%s%s%s\n", builtins[i].name, builtins[i].help,
		       builtins[i].settings[0] ? " (" : "", builtins[i].settings,
		       builtins[i].settings[0] ? ")" : "");
}
