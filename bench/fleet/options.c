/* SPDX-License-Identifier: GPL-3.0-or-later */
/* options.c: the command line. Keys of profile.c are options, too: they change the base profile. */
#include "bench/fleet/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/file.h"

#define FILE_MAX (64UL * 1024)

struct parse {
	struct fleet *f;
	const char *name; /* of the option under way */
	const char *value;
};

static int complain(const struct parse *p, const char *what)
{
	fprintf(stderr, "causeway-fleet: --%s %s: %s\n", p->name, p->value != NULL ? p->value : "",
	        what);
	return -ERR_INVALID;
}

static int read_u64(const struct parse *p, uint64_t min, uint64_t max, uint64_t *out)
{
	char *end;
	unsigned long long v = strtoull(p->value, &end, 0);

	if (p->value[0] < '0' || p->value[0] > '9' || *end != '\0' || v < min || v > max)
		return complain(p, "not a number in the allowed range");
	*out = v;
	return 0;
}

static int read_text(const struct parse *p, char *out, size_t size)
{
	return str_copy(out, size, p->value) ? 0 : complain(p, "too long");
}

/* The first line of a file. */
static int read_secret(const struct parse *p, char *out, size_t size)
{
	struct buf b;
	size_t n;
	int err;

	buf_init(&b, FILE_MAX);
	err = file_read(p->value, &b);
	n = b.len > 0 ? strcspn(buf_cstr(&b), "\r\n") : 0;
	if (err != 0)
		err = complain(p, err_text(err));
	else if (n == 0 || !str_copy_span(out, size, span_of(b.data, n)))
		err = complain(p, "empty, or its first line is too long");
	buf_free_secret(&b);
	return err;
}

static int opt_connect(struct parse *p)
{
	struct fleet *f = p->f;

	if (f->servers_len == FLEET_SERVERS_MAX)
		return complain(p, "too many servers");
	if (addr_parse(p->value, &f->servers[f->servers_len]) != 0)
		return complain(p, "not an address like 127.0.0.1:4433 or [::1]:4433");
	f->servers_len++;
	return 0;
}

static int opt_number(struct parse *p)
{
	struct fleet *f = p->f;
	const struct {
		const char *name;
		uint64_t min, max;
		void *place;
		size_t size;
	} numbers[] = {
		{"count", 1, FLEET_DEVICES_MAX, &f->count, sizeof(f->count)},
		{"seed", 0, UINT64_MAX, &f->seed, sizeof(f->seed)},
		{"duration", 0, 31536000, &f->duration_s, sizeof(f->duration_s)},
		{"threads", 1, FLEET_THREADS_MAX, &f->threads, sizeof(f->threads)},
		{"source-addresses", 0, 60000, &f->source_addresses, sizeof(f->source_addresses)},
		{"source-net", 1, 255, &f->source_net, sizeof(f->source_net)},
		{"stats-interval", 0, 86400, &f->stats_s, sizeof(f->stats_s)},
		{"backoff-max", 1, 86400, &f->backoff_max_s, sizeof(f->backoff_max_s)},
	};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uint64_t v;
		int err;

		if (strcmp(numbers[i].name, p->name) != 0)
			continue;
		err = read_u64(p, numbers[i].min, numbers[i].max, &v);
		if (err == 0 && numbers[i].size == sizeof(uint64_t))
			*(uint64_t *)numbers[i].place = v;
		else if (err == 0)
			*(uint32_t *)numbers[i].place = (uint32_t)v;
		return err;
	}
	return -ERR_NOT_FOUND;
}

static int opt_factor(struct parse *p)
{
	char *end;
	double v = strtod(p->value, &end);

	if (end == p->value || *end != '\0' || !(v >= 0) || v > 1e6)
		return complain(p, "not a number in the allowed range");
	if (strcmp(p->name, "rate") == 0)
		p->f->rate = v;
	else if (v < 0.01)
		return complain(p, "too small");
	else
		p->f->speed_pct = (uint32_t)(v * 100);
	return 0;
}

static int opt_text(struct parse *p)
{
	struct fleet *f = p->f;

	if (strcmp(p->name, "user") == 0)
		return read_text(p, f->user, sizeof(f->user));
	if (strcmp(p->name, "amt-user") == 0)
		return read_text(p, f->amt_user, sizeof(f->amt_user));
	if (strcmp(p->name, "name") == 0)
		return read_text(p, f->name, sizeof(f->name));
	if (strcmp(p->name, "password-file") == 0)
		return read_secret(p, f->password, sizeof(f->password));
	if (strcmp(p->name, "amt-password-file") == 0)
		return read_secret(p, f->amt_password, sizeof(f->amt_password));
	f->control = p->value;
	return 0;
}

static int opt_ca(struct parse *p)
{
	int err = file_read(p->value, &p->f->ca_pem);

	return err == 0 ? 0 : complain(p, err_text(err));
}

static int opt_flag(struct parse *p)
{
	struct fleet *f = p->f;

	if (strcmp(p->name, "json") == 0)
		f->json = true;
	else if (strcmp(p->name, "print") == 0)
		f->print = true;
	else if (strcmp(p->name, "hold") == 0)
		f->hold = true;
	else
		f->list_guids = true;
	return 0;
}

static struct fleet_profile *add_profile(struct parse *p, const char *name)
{
	struct fleet *f = p->f;
	struct fleet_profile *made;

	if (f->profiles_len == FLEET_PROFILES_MAX) {
		complain(p, "too many profiles");
		return NULL;
	}
	made = &f->profiles[f->profiles_len];
	*made = f->profiles[0];
	made->count = 0;
	if (!str_copy(made->name, sizeof(made->name), name)) {
		complain(p, "name too long");
		return NULL;
	}
	f->profiles_len++;
	return made;
}

/* NAME[:COUNT] */
static int opt_profile(struct parse *p)
{
	char text[64], *colon;
	struct fleet_profile *made;
	uint64_t count = 0;

	if (!str_copy(text, sizeof(text), p->value))
		return complain(p, "too long");
	colon = strchr(text, ':');
	if (colon != NULL) {
		struct parse number = {p->f, p->name, colon + 1};

		*colon = '\0';
		if (read_u64(&number, 1, FLEET_DEVICES_MAX, &count) != 0)
			return -ERR_INVALID;
	}
	for (size_t i = 1; i < p->f->profiles_len; i++) {
		if (strcmp(p->f->profiles[i].name, text) == 0 &&
		    p->f->profiles[i].count == FLEET_COUNT_UNUSED) {
			p->f->profiles[i].count = (uint32_t)count;
			return 0;
		}
	}
	made = add_profile(p, text);
	if (made == NULL)
		return -ERR_INVALID;
	made->count = (uint32_t)count;
	return fleet_profile_builtin(made, text) == 0
	               ? 0
	               : complain(p, "no such profile; --help lists them");
}

/* NAME:KEY=VALUE,KEY=VALUE; used by a --profile NAME after it. */
static int opt_define(struct parse *p)
{
	char *text = strdup(p->value), *save = NULL, *pair;
	char *colon = text != NULL ? strchr(text, ':') : NULL;
	struct fleet_profile *made;
	int err = 0;

	if (colon != NULL)
		*colon = '\0';
	made = colon != NULL ? add_profile(p, text) : NULL;
	if (made == NULL) {
		free(text);
		return complain(p, "expected NAME:KEY=VALUE,...");
	}
	made->count = FLEET_COUNT_UNUSED;
	for (pair = strtok_r(colon + 1, ",", &save); pair != NULL && err == 0;
	     pair = strtok_r(NULL, ",", &save)) {
		char *value = strchr(pair, '=');

		if (value != NULL)
			*value++ = '\0';
		err = value == NULL ? -ERR_INVALID : fleet_profile_set(made, pair, value);
	}
	free(text);
	return err == 0 ? 0 : complain(p, "unknown key or value; --help lists them");
}

static const struct option_row {
	const char *name;
	int (*set)(struct parse *p);
	const char *argument, *help;
} options[] = {
	{"connect", opt_connect, "HOST:PORT",
         "a server's CIRA address; repeat for several, devices are dealt in turn"},
	{"count", opt_number, "N", "devices (20)"},
	{"seed", opt_number, "S", "GUIDs, names, realms and MAC addresses follow from it (1)"},
	{"user", opt_text, "U", "CIRA user"},
	{"password-file", opt_text, "F", "file with the CIRA password"},
	{"amt-user", opt_text, "U", "user of the devices' WSMAN service (admin)"},
	{"amt-password-file", opt_text, "F", "file with its password"},
	{"ca", opt_ca, "F", "verify the server against this root, as AMT does (default: take any)"},
	{"name", opt_text, "NAME",
         "name that the server's certificate must have as CN; also sent as SNI"},
	{"rate", opt_factor, "N", "first connects per second (0: all at once)"},
	{"duration", opt_number, "S",
         "end after so many seconds; status 0 only if all that should be held are"},
	{"threads", opt_number, "N", "worker threads (1)"},
	{"source-addresses", opt_number, "N",
         "spread over N addresses from 127.1.0.1 on, so that ports suffice"},
	{"source-net", opt_number, "N", "take these from 127.N.0.1 on (1)"},
	{"speed", opt_factor, "X", "power transitions run X times as fast (1)"},
	{"backoff-max", opt_number, "S", "longest wait before dialling again (60)"},
	{"stats-interval", opt_number, "S", "a line of figures on standard error every so often"},
	{"profile", opt_profile, "NAME[:COUNT]",
         "give COUNT devices this behaviour (no count: all the rest)"},
	{"define", opt_define, "NAME:K=V,...",
         "make a profile of your own, for a --profile after it"},
	{"control", opt_text, "PATH",
         "take commands from a unix socket, or - for standard input (send help)"},
	{"hold", opt_flag, NULL,
         "make all devices with their memory, and dial after the command go (needs --control)"},
	{"json", opt_flag, NULL, "final report as JSON on standard output"},
	{"print", opt_flag, NULL, "print each device: number, GUID, name, profile"},
	{"list-guids", opt_flag, NULL,
         "print the GUIDs, one a line; without --connect that is all"},
};

static void print_help(void)
{
	printf("causeway-fleet: simulated Intel AMT devices that dial in to a CIRA gateway, hold "
	       "their tunnels and answer\n"
	       "WSMAN requests with power states that change as on real machines.\n\n"
	       "  causeway-fleet --connect 127.0.0.1:4433 --user U --password-file F "
	       "--amt-password-file G --count 20\n\n"
	       "Exit status: 0 all devices that should be held are, 1 not so, 2 wrong options, 3 "
	       "the server broke the protocol\n"
	       "(each violation is printed). Give options that change behaviour before the "
	       "profiles that build on them.\n\n");
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		printf("  --%s %-*s %s\n", options[i].name, (int)(22 - strlen(options[i].name)),
		       options[i].argument != NULL ? options[i].argument : "", options[i].help);
	fleet_profile_help();
	printf("\nCommands on --control: stats, go, quit, state GUID, power GUID [VALUE], drop "
	       "GUID "
	       "[polite], cert GUID [new],\n"
	       "silent GUID [off]. Each is answered by one line that starts with ok or error.\n");
}

static const struct option_row *find_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	}
	return NULL;
}

/* One option at argv[i]; the number of words used, or negative. */
static int parse_one(struct fleet *f, int argc, char **argv, int i)
{
	struct parse p = {.f = f, .name = argv[i] + 2};
	const struct option_row *row;
	int err;

	if (strncmp(argv[i], "--", 2) != 0) {
		fprintf(stderr, "causeway-fleet: unexpected word '%s'; --help explains\n", argv[i]);
		return -ERR_INVALID;
	}
	row = find_option(p.name);
	if (row != NULL && row->argument == NULL)
		return row->set(&p) == 0 ? 1 : -ERR_INVALID;
	p.value = i + 1 < argc ? argv[i + 1] : NULL;
	if (p.value == NULL)
		return complain(&p, "a value is missing, or no such option");
	if (row != NULL)
		return row->set(&p) == 0 ? 2 : -ERR_INVALID;
	err = fleet_profile_set(&f->profiles[0], p.name, p.value);
	if (err != 0)
		return complain(&p, err == -ERR_NOT_FOUND ? "no such option; --help lists them"
		                                          : "value not allowed");
	return 2;
}

static int check(const struct fleet *f)
{
	for (size_t i = 1; i < f->profiles_len; i++) {
		if (f->profiles[i].count == FLEET_COUNT_UNUSED) {
			fprintf(stderr, "causeway-fleet: profile %s is defined but not used\n",
			        f->profiles[i].name);
			return -ERR_INVALID;
		}
	}
	if (f->servers_len == 0 && !f->print && !f->list_guids) {
		fprintf(stderr, "causeway-fleet: --connect is missing; --help explains\n");
		return -ERR_INVALID;
	}
	if (f->hold && f->control == NULL) {
		fprintf(stderr, "causeway-fleet: --hold needs --control, where go can be said\n");
		return -ERR_INVALID;
	}
	if (f->servers_len > 0 && (f->user[0] == '\0' || f->password[0] == '\0')) {
		fprintf(stderr, "causeway-fleet: --user and --password-file are needed\n");
		return -ERR_INVALID;
	}
	return 0;
}

int fleet_options_parse(struct fleet *f, int argc, char **argv)
{
	f->count = 20;
	f->seed = 1;
	f->threads = 1;
	f->speed_pct = 100;
	f->source_net = 1;
	f->backoff_max_s = 60;
	f->profiles_len = 1;
	buf_init(&f->ca_pem, FILE_MAX);
	str_copy(f->amt_user, sizeof(f->amt_user), "admin");
	fleet_profile_default(&f->profiles[0]);
	for (int i = 1; i < argc;) {
		int n;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_help();
			return 1;
		}
		n = parse_one(f, argc, argv, i);
		if (n < 0)
			return n;
		i += n;
	}
	return check(f);
}
