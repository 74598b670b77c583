/* SPDX-License-Identifier: GPL-3.0-or-later */
/* settings.c: the schema of causewayd's configuration and the checks that need several keys. */
#include "gateway/settings.h"
#include "core/err.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOST_NAME_SIZE 256
#define FALLBACK_NAME  "causeway"

#define SECOND 1000ull
#define MINUTE (60 * SECOND)
#define KIB    1024ull
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)

static const char *const profiles[] = {"modern", "legacy", NULL};
_Static_assert(TLS_MODERN == 0 && TLS_LEGACY == 1,
               "profiles[] stands in the order of enum tls_profile");
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
_Static_assert(LOG_DEBUG == 0 && LOG_INFO == 1 && LOG_WARN == 2 && LOG_ERROR == 3,
               "as enum log_level");
static const char *const formats[] = {"text", "json", NULL};
_Static_assert(LOG_TEXT == 0 && LOG_JSON == 1, "as enum log_format");

#define AT(member)    .offset = offsetof(struct settings, member)
#define IN_ITEM(name) .offset = offsetof(struct settings_listener, name)

static const struct conf_field listener_fields[] = {
	{"address", CONF_ADDR, IN_ITEM(address), .min = 1, .required = true,
         .help = "Where this listener accepts devices."},
	{"profile", CONF_ENUM, IN_ITEM(profile), .value = "modern", .choices = profiles,
         .help = "TLS versions and suites: legacy adds TLS 1.0, 1.1 and CBC suites for AMT up to "
                 "11."},
	{"proxy_from", CONF_CIDR_LIST, IN_ITEM(proxy_from),
         .help = "Load balancers whose connections begin with a PROXY v2 header."},
};
static const struct conf_schema listener_schema = {listener_fields, ARRAY_LEN(listener_fields),
                                                   sizeof(struct settings_listener)};

static const struct conf_field fields[] = {
	{"cira.listen", CONF_ADDR_LIST, AT(cira.listen), .value = "[::]:4433", .max = 32,
         .help = "Where devices dial in. [::] takes IPv4 too; port 0 picks a free one."},
	{"cira.listeners", CONF_ITEMS, AT(cira.listeners), .items = &listener_schema, .max = 32,
         .help = "Further listeners with settings of their own. Replaces the default of "
                 "cira.listen."},
	{"cira.name", CONF_STR, AT(cira.name), .max = 253,
         .help = "Name in the certificate that devices see. They compare it with what they were "
                 "told to "
                 "dial. Empty: the host name."},
	{"cira.cert", CONF_STR, AT(cira.cert),
         .help = "PEM file with your own certificate for devices. Empty: one from our root."},
	{"cira.key", CONF_STR, AT(cira.key), .help = "PEM file with the key of cira.cert."},
	{"cira.chain", CONF_STR, AT(cira.chain),
         .help = "PEM file with the certificates between cira.cert and its root."},
	{"cira.client_ca", CONF_STR, AT(cira.client_ca),
         .help = "PEM file with the CAs whose client certificates authenticate a device. Empty: "
                 "passwords only."},
	{"cira.profile", CONF_ENUM, AT(cira.profile), .value = "modern", .choices = profiles,
         .help = "TLS versions and suites of cira.listen: legacy adds TLS 1.0, 1.1 and CBC suites "
                 "for AMT up to 11."},
	{"cira.keepalive", CONF_DURATION, AT(cira.keepalive_ms), .value = "30s", .min = 5 * SECOND,
         .max = 60 * MINUTE, .help = "How often a device shall show that it is alive."},
	{"cira.max_tunnels", CONF_INT, AT(cira.max_tunnels), .value = "100000", .min = 1,
         .max = 4000000, .help = "Most tunnels held at once; further devices are turned away."},
	{"cira.max_handshakes", CONF_INT, AT(cira.max_handshakes), .value = "1024", .min = 1,
         .max = 65536,
         .help = "Most TLS handshakes at once; further connections wait in the kernel."},
	{"cira.auth_timeout", CONF_DURATION, AT(cira.auth_timeout_ms), .value = "30s",
         .min = SECOND, .max = 10 * MINUTE,
         .help = "A connection that has not authenticated by then is closed."},
	{"cira.proxy_from", CONF_CIDR_LIST, AT(cira.proxy_from),
         .help = "Load balancers before cira.listen whose connections begin with a PROXY v2 "
                 "header."},
	{"api.listen", CONF_ADDR_LIST, AT(api.listen), .value = "[::]:8443", .min = 1, .max = 32,
         .help = "Where the API and the console are served. Port 0 picks a free one."},
	{"api.names", CONF_STR_LIST, AT(api.names), .max = 64,
         .help = "Further names for the API's own certificate."},
	{"api.cert", CONF_STR, AT(api.cert),
         .help = "PEM file with your own certificate (and its chain) for the API. Empty: one from "
                 "our root."},
	{"api.key", CONF_STR, AT(api.key), .help = "PEM file with the key of api.cert."},
	{"api.client_ca", CONF_STR, AT(api.client_ca),
         .help = "PEM file with the CAs whose client certificates may use the API. Empty: tokens "
                 "only."},
	{"api.cert_administrators", CONF_STR_LIST, AT(api.cert_administrators), .max = 64,
         .help = "Common names of client certificates that act as administrators."},
	{"api.cert_operators", CONF_STR_LIST, AT(api.cert_operators), .max = 64,
         .help = "Common names of client certificates that act as operators."},
	{"api.cert_viewers", CONF_STR_LIST, AT(api.cert_viewers), .max = 64,
         .help = "Common names of client certificates that may only read."},
	{"api.max_connections", CONF_INT, AT(api.max_connections), .value = "1000", .min = 1,
         .max = 1000000, .help = "Most API connections at once."},
	{"api.max_message", CONF_SIZE, AT(api.max_message_size), .value = "4MiB", .min = 64 * KIB,
         .max = 256 * MIB, .help = "Largest message that the API takes."},
	{"metrics.listen", CONF_ADDR, AT(metrics_listen), .value = "127.0.0.1:9464",
         .help = "Where Prometheus reads metrics, without TLS or authentication. Empty: nowhere."},
	{"log.level", CONF_ENUM, AT(log_level), .value = "info", .choices = levels,
         .help = "Least level that is logged."},
	{"log.format", CONF_ENUM, AT(log_format), .value = "text", .choices = formats,
         .help = "Form of log lines: key=value or JSON."},
	{"store.map_size", CONF_SIZE, AT(store_map_size), .value = "64GiB", .min = 16 * MIB,
         .max = 16384 * GIB,
         .help = "Largest size of the database. Address space, not disk or memory."},
	{"store.key_file", CONF_STR, AT(store_key_file),
         .help = "File with the key that seals secrets in the database. Empty: seal.key in the "
                 "data folder."},
	{"workers", CONF_INT, AT(workers), .value = "0", .max = 64,
         .help = "Worker threads. 0: one for each core. Where nofile is less than "
                 "cira.max_tunnels, each has as many descriptors."},
	{"handshake_threads", CONF_INT, AT(handshake_threads), .value = "0", .max = 255,
         .help = "Threads for TLS handshakes, beside the workers. 0: one for each core."},
	{"real_time", CONF_BOOL, AT(real_time), .value = "true",
         .help = "Workers ask for real-time priority while devices are called in a storm of "
                 "connects; without the right to it (LimitRTPRIO) they run as other programs do."},
	{"drain_timeout", CONF_DURATION, AT(drain_timeout_ms), .value = "10s", .max = 60 * MINUTE,
         .help = "How long a stop waits for operations and tunnels to end."},
};
const struct conf_schema settings_schema = {fields, ARRAY_LEN(fields), sizeof(struct settings)};

static void need_pair(const char *name, const char *const keys[2], const char *const values[2],
                      struct buf *errors)
{
	if ((values[0][0] == '\0') != (values[1][0] == '\0'))
		buf_printf(errors, "%s: %s needs %s (set both or neither)\n", name,
		           keys[values[0][0] == '\0'], keys[values[0][0] != '\0']);
}

/* What takes several keys to see. Appends to errors. */
static void check(const struct settings *s, const char *name, struct buf *errors)
{
	need_pair(name, (const char *const[]){"cira.cert", "cira.key"},
	          (const char *const[]){s->cira.cert, s->cira.key}, errors);
	need_pair(name, (const char *const[]){"api.cert", "api.key"},
	          (const char *const[]){s->api.cert, s->api.key}, errors);
	if (s->cira.chain[0] != '\0' && s->cira.cert[0] == '\0')
		buf_printf(errors, "%s: cira.chain needs cira.cert\n", name);
	if (s->cira.listen.n == 0 && s->cira.listeners.n == 0)
		buf_printf(errors, "%s: cira.listen is empty and there is no cira.listeners\n",
		           name);
}

static int fill_name(struct settings *s)
{
	char host[HOST_NAME_SIZE] = "";
	char *name;

	if (s->cira.name[0] != '\0')
		return 0;
	if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
		memcpy(host, FALLBACK_NAME, sizeof(FALLBACK_NAME));
	name = strdup(host);
	if (name == NULL)
		return -ERR_NOMEM;
	free(s->cira.name);
	s->cira.name = name;
	return 0;
}

static int finish(struct settings *s, const char *name, struct buf *errors)
{
	struct buf own = {.cap = CONF_FILE_MAX};
	int err;

	check(s, name, &own);
	err = own.len > 0 ? -ERR_INVALID : fill_name(s);
	buf_put_span(errors, buf_span(&own));
	buf_free(&own);
	if (err != 0)
		settings_free(s);
	return err;
}

int settings_load(const char *path, struct settings *out, struct buf *errors)
{
	int err;

	if (path == NULL)
		return settings_load_text(span_str(""), "defaults", out, errors);
	err = conf_load_file(path, &settings_schema, out, errors);
	return err != 0 ? err : finish(out, path, errors);
}

int settings_load_text(struct span text, const char *name, struct settings *out, struct buf *errors)
{
	int err = conf_load_text(text, name, &settings_schema, out, errors);

	return err != 0 ? err : finish(out, name, errors);
}

void settings_free(struct settings *s)
{
	conf_free(&settings_schema, s);
}

size_t settings_listeners(const struct settings *s, struct settings_listener *out, size_t max)
{
	const struct settings_listener *extra = s->cira.listeners.v;
	size_t n = 0;

	if (s->cira.listen.given || s->cira.listeners.n == 0)
		for (size_t i = 0; i < s->cira.listen.n && n < max; i++)
			out[n++] = (struct settings_listener){.address = s->cira.listen.v[i],
			                                      .profile = s->cira.profile,
			                                      .proxy_from = s->cira.proxy_from};
	for (size_t i = 0; i < s->cira.listeners.n && n < max; i++)
		out[n++] = extra[i];
	return n;
}
