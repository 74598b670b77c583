/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * target.c: finds the server: address, token and trusted certificate, from options, the environment or a data folder.
 * A data folder's token goes only to the server of that folder, or to the one that was named together with the folder.
 * One thread.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/file.h"
#include "core/text.h"
#include "mgmtapi/cli/cli.h"

#define RUN_JSON_MAX 65536
#define SYSTEM_CA    "/etc/ssl/certs/ca-certificates.crt"
#define DEFAULT_PORT "8443"

/* An option or, without it, the environment variable; NULL if both are missing or empty. */
static const char *setting(const struct cli *cli, const char *option, const char *variable)
{
	const char *v = cli_arg(&cli->args, option);

	if (v == NULL)
		v = cli->getenv(variable);
	return v != NULL && v[0] != '\0' ? v : NULL;
}

/* host:port, [v6]:port or host alone, into the target. */
static int put_authority(struct cli_target *t, struct span a)
{
	const char *p = (const char *)a.ptr;
	struct span host = a, port = span_str(DEFAULT_PORT);
	const char *close = a.len > 0 && p[0] == '[' ? memchr(p, ']', a.len) : NULL;
	const char *colon = close != NULL ? close + 1 : memrchr(p, ':', a.len);

	if (a.len > 0 && p[0] == '[' && close == NULL)
		return -ERR_INVALID;
	if (colon != NULL && colon < p + a.len) {
		if (*colon != ':' || (close == NULL && memchr(p, ':', (size_t)(colon - p)) != NULL))
			return -ERR_INVALID;
		port = span_of(colon + 1, (size_t)(p + a.len - colon - 1));
		host.len = (size_t)(colon - p);
	}
	if (close != NULL)
		host = span_of(p + 1, (size_t)(close - p - 1));
	if (port.len == 0 || port.len > 5 ||
	    strspn((const char *)port.ptr, "0123456789") < port.len)
		return -ERR_INVALID;
	if (host.len > 0 && memchr(host.ptr, '@', host.len) != NULL)
		return -ERR_INVALID;
	return str_copy_span(t->host, sizeof(t->host), host) &&
	                       str_copy_span(t->port, sizeof(t->port), port) && host.len > 0
	               ? 0
	               : -ERR_INVALID;
}

int cli_url_parse(const char *url, struct cli_target *t)
{
	static const char scheme[] = "https://";
	size_t n;

	if (strncmp(url, scheme, strlen(scheme)) != 0)
		return -ERR_INVALID;
	url += strlen(scheme);
	n = strcspn(url, "/");
	if (url[n] == '/' && url[n + 1] != '\0')
		return -ERR_INVALID;
	return put_authority(t, span_of(url, n));
}

/* ---- files */

/* Reads a file that the user or a data folder names; what: "the token". Errors say what to do. */
static int read_named(struct cli *cli, const char *path, const char *what, struct buf *out)
{
	int r = file_read(path, out);

	if (r == -ERR_DENIED)
		return cli_fail(cli, CLI_DENIED,
		                "run as root or as the gateway's user (sudo), or get a token of "
		                "your own ('causeway token create')",
		                "no permission to read %s (%s)", path, what);
	if (r == -ERR_NOT_FOUND)
		return cli_fail(cli, CLI_FAILED, "check the name", "%s is not there (%s)", path,
		                what);
	if (r != 0)
		return cli_fail(cli, CLI_FAILED, NULL, "cannot read %s (%s): %s", path, what,
		                err_text(r));
	return 0;
}

static int read_token(struct cli *cli, const char *path)
{
	struct buf text;
	struct span s;
	int r;

	buf_init(&text, CLI_TOKEN_MAX);
	r = read_named(cli, path, "the API token", &text);
	if (r == 0) {
		s = buf_span(&text);
		while (s.len > 0 && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r' ||
		                     s.ptr[s.len - 1] == ' '))
			s.len--;
		if (s.len == 0 || !text_is_printable(s) || memchr(s.ptr, ' ', s.len) != NULL)
			r = cli_fail(cli, CLI_DENIED,
			             "it must hold the text of one token, as 'causeway token "
			             "create' prints it",
			             "%s holds no API token", path);
		else if (secret_set(&cli->target.token, s) != 0)
			r = cli_fail(cli, CLI_FAILED, NULL, "%s", err_text(ERR_NOMEM));
	}
	buf_free_secret(&text);
	return r;
}

static int read_ca(struct cli *cli, const char *path)
{
	struct cli_target *t = &cli->target;

	if (!str_copy(t->ca_path, sizeof(t->ca_path), path))
		return cli_fail(cli, CLI_USAGE, NULL, "the name of the CA file is too long");
	return read_named(cli, path, "the certificates to trust", &t->ca_pem);
}

static int read_client_cert(struct cli *cli)
{
	const char *cert = setting(cli, "client-cert", "CAUSEWAY_CLIENT_CERT");
	const char *key = setting(cli, "client-key", "CAUSEWAY_CLIENT_KEY");
	int r;

	if (cert == NULL && key == NULL)
		return 0;
	if (cert == NULL || key == NULL)
		return cli_fail(cli, CLI_USAGE, NULL,
		                "--client-cert and --client-key belong together");
	r = read_named(cli, cert, "the client certificate", &cli->target.cert_pem);
	return r != 0 ? r
	              : read_named(cli, key, "the client certificate's key", &cli->target.key_pem);
}

/* ---- the data folder */

/* A wildcard address is listened on, not connected to. */
static void to_loopback(struct cli_target *t)
{
	if (strcmp(t->host, "0.0.0.0") == 0)
		str_copy(t->host, sizeof(t->host), "127.0.0.1");
	else if (strcmp(t->host, "::") == 0)
		str_copy(t->host, sizeof(t->host), "::1");
}

static int take_run_json(struct cli *cli, const char *path, struct span text)
{
	json_error_t why;
	json_t *root = json_loadb((const char *)text.ptr, text.len, 0, &why);
	const char *api = json_string_value(json_array_get(json_object_get(root, "api"), 0));
	int r = 0;

	if (root == NULL)
		r = cli_fail(cli, CLI_FAILED, "stop causewayd, remove the file, and start it again",
		             "%s is not what causewayd writes: %s", path, why.text);
	else if (api == NULL || put_authority(&cli->target, span_str(api)) != 0)
		r = cli_fail(cli, CLI_FAILED, "is api.listen set in causewayd's configuration?",
		             "%s names no API address", path);
	else
		to_loopback(&cli->target);
	json_decref(root);
	return r;
}

static int read_run_json(struct cli *cli, const char *dir, bool named)
{
	char path[CLI_PATH_MAX];
	struct buf text;
	struct stat st;
	int r;

	if (file_path(path, sizeof(path), dir, "run.json") != 0)
		return cli_fail(cli, CLI_USAGE, NULL, "the name of the data folder is too long");
	buf_init(&text, RUN_JSON_MAX);
	r = file_read(path, &text);
	if (r == 0)
		r = take_run_json(cli, path, buf_span(&text));
	else if (r == -ERR_DENIED)
		r = cli_fail(cli, CLI_DENIED,
		             "run as root or as the gateway's user (sudo), or use --api, "
		             "--token-file and --ca",
		             "no permission to read %s", path);
	else if (r == -ERR_NOT_FOUND && !named)
		r = cli_fail(cli, CLI_UNAVAILABLE,
		             "name the server with --data DIR on its machine, or with --api URL, "
		             "--token-file FILE and --ca FILE "
		             "(or CAUSEWAY_DATA, CAUSEWAY_API, CAUSEWAY_TOKEN_FILE, CAUSEWAY_CA)",
		             "no server named, and none runs here: %s is not there", path);
	else if (r == -ERR_NOT_FOUND)
		r = cli_fail(
			cli, CLI_UNAVAILABLE,
			stat(dir, &st) == 0
				? "is causewayd running? It writes this file when it has started"
				: "check the folder's name: it does not exist",
			"%s is not there", path);
	else
		r = cli_fail(cli, CLI_FAILED, NULL, "cannot read %s: %s", path, err_text(r));
	buf_free(&text);
	return r;
}

/* ---- all together */

static int find_address(struct cli *cli, const char *api, const char *data, bool named)
{
	if (api == NULL)
		return read_run_json(cli, data, named);
	if (cli_url_parse(api, &cli->target) != 0)
		return cli_fail(cli, CLI_USAGE, "write it as https://host:port",
		                "'%s' is not the URL of an API", api);
	return 0;
}

static int find_trust(struct cli *cli, const char *data, bool use_data)
{
	const char *ca = setting(cli, "ca", "CAUSEWAY_CA");
	char path[CLI_PATH_MAX];

	if (ca == NULL && use_data && file_path(path, sizeof(path), data, "root.crt") == 0)
		ca = path;
	return read_ca(cli, ca != NULL ? ca : SYSTEM_CA);
}

static int find_token(struct cli *cli, const char *data, bool use_data)
{
	const char *token = setting(cli, "token-file", "CAUSEWAY_TOKEN_FILE");
	char path[CLI_PATH_MAX];

	if (token == NULL && cli->target.cert_pem.len > 0)
		return 0; /* the certificate says who calls */
	if (token == NULL && use_data && file_path(path, sizeof(path), data, "admin.token") == 0)
		token = path;
	if (token == NULL)
		return cli_fail(cli, CLI_DENIED,
		                "use --token-file FILE, CAUSEWAY_TOKEN_FILE, or --client-cert and "
		                "--client-key",
		                "no API token given for %s port %s", cli->target.host,
		                cli->target.port);
	return read_token(cli, token);
}

int cli_target_find(struct cli *cli)
{
	const char *api = setting(cli, "api", "CAUSEWAY_API");
	const char *data = setting(cli, "data", "CAUSEWAY_DATA");
	bool api_option = cli_arg_has(&cli->args, "api"),
	     data_option = cli_arg_has(&cli->args, "data");
	bool named, use_data;
	int r;

	cli_target_free(&cli->target);
	if (data_option && !api_option)
		api = NULL; /* an option counts more than the environment */
	if (api_option && !data_option)
		data = NULL; /* the environment's folder may belong to another server: its token is not for this one */
	named = data != NULL;
	use_data = named || api == NULL;
	if (data == NULL)
		data = CLI_DATA_DEFAULT;
	r = find_address(cli, api, data, named);
	if (r == 0)
		r = read_client_cert(cli);
	if (r == 0)
		r = find_trust(cli, data, use_data);
	if (r == 0)
		r = find_token(cli, data, use_data);
	return r;
}

void cli_target_free(struct cli_target *t)
{
	secret_clear(&t->token);
	buf_free(&t->ca_pem);
	buf_free(&t->cert_pem);
	buf_free_secret(&t->key_pem);
	memset(t, 0, sizeof(*t));
	buf_init(&t->ca_pem, CLI_PEM_MAX);
	buf_init(&t->cert_pem, CLI_PEM_MAX);
	buf_init(&t->key_pem, CLI_PEM_MAX);
}
