/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd_server.c: the commands `server ...`, `backup` and `version`. One thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "causeway/v1/server.pb-c.h"
#include "core/crypto.h"
#include "core/err.h"
#include "core/text.h"
#include "mgmtapi/cli/show.h"
#include "mgmtapi/json.h"

#define SERVICE (&causeway__v1__server_service__descriptor)

/* ---- server */

static void print_status(struct cli *cli, const Causeway__V1__GetStatusResponse *s)
{
	struct buf text;

	buf_init(&text, 4096);
	cli_field_time(cli->out, "Started", s->start_time);
	cli_field(cli->out, "Devices", "%u connected, %u known", s->devices_connected,
	          s->devices_total);
	cli_strings(&text, s->cira_addresses, s->n_cira_addresses);
	cli_field(cli->out, "Devices dial", "%s", buf_cstr(&text));
	cli_field(cli->out, "Draining", "%s", s->draining ? "yes: no new tunnels are taken" : "no");
	buf_clear(&text);
	cli_size(&text, s->store_bytes);
	cli_field(cli->out, "Store", "%s", buf_cstr(&text));
	cli_field(cli->out, "Store problem", "%s", s->store_problem);
	buf_clear(&text);
	cli_size(&text, s->resident_bytes);
	cli_field(cli->out, "Memory", "%s", buf_cstr(&text));
	buf_free(&text);
}

int cli_server_status(struct cli *cli)
{
	Causeway__V1__GetStatusRequest req = CAUSEWAY__V1__GET_STATUS_REQUEST__INIT;
	ProtobufCMessage *m;
	int r = cli_call(cli, SERVICE, "GetStatus", &req.base, &m);

	if (r != 0)
		return r;
	if (cli->json)
		r = cli_print_json(cli, m);
	else
		print_status(cli, (Causeway__V1__GetStatusResponse *)m);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int cli_server_settings(struct cli *cli)
{
	static const char *const heads[] = {"KEY", "VALUE", "FROM"};
	Causeway__V1__GetSettingsRequest req = CAUSEWAY__V1__GET_SETTINGS_REQUEST__INIT;
	const Causeway__V1__GetSettingsResponse *s;
	ProtobufCMessage *m;
	struct cli_table t;
	int r = cli_call(cli, SERVICE, "GetSettings", &req.base, &m);

	if (r != 0)
		return r;
	s = (Causeway__V1__GetSettingsResponse *)m;
	if (cli->json) {
		r = cli_print_json(cli, m);
	} else {
		cli_table_init(&t, heads, ARRAY_LEN(heads));
		for (size_t i = 0; i < s->n_settings; i++) {
			cli_cell(&t, "%s", s->settings[i]->key);
			cli_cell(&t, "%s", s->settings[i]->value);
			cli_cell(&t, "%s", s->settings[i]->is_default ? "default" : s->file);
		}
		r = cli_print_table(cli, &t);
	}
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int cli_server_drain(struct cli *cli)
{
	Causeway__V1__DrainRequest req = CAUSEWAY__V1__DRAIN_REQUEST__INIT;
	ProtobufCMessage *m;
	int r = cli_call(cli, SERVICE, "Drain", &req.base, &m);

	if (r != 0)
		return r;
	r = cli_done(cli, m,
	             "Draining: %u tunnels were up; no new ones are taken. The process stays until "
	             "it is stopped.",
	             ((Causeway__V1__DrainResponse *)m)->tunnels);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

int cli_server_reload(struct cli *cli)
{
	Causeway__V1__ReloadRequest req = CAUSEWAY__V1__RELOAD_REQUEST__INIT;
	const Causeway__V1__ReloadResponse *a;
	ProtobufCMessage *m;
	struct buf text;
	int r = cli_call(cli, SERVICE, "Reload", &req.base, &m);

	if (r != 0)
		return r;
	a = (Causeway__V1__ReloadResponse *)m;
	buf_init(&text, 4096);
	buf_put_str(&text, "Configuration and certificates were read again.");
	if (a->n_needs_restart > 0) {
		buf_put_str(&text, " These take effect after a restart: ");
		cli_strings(&text, a->needs_restart, a->n_needs_restart);
	}
	r = cli_done(cli, m, "%s", buf_cstr(&text));
	buf_free(&text);
	protobuf_c_message_free_unpacked(m, NULL);
	return r;
}

/* ---- backup */

struct backup {
	const char *path; /* of the unfinished file */
	int fd;
	uint64_t written, total;
	uint8_t sha256[32];
	bool have_sum;
};

static int write_all(int fd, struct span data)
{
	while (data.len > 0) {
		ssize_t n = write(fd, data.ptr, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		data = span_of(data.ptr + n, data.len - (size_t)n);
	}
	return 0;
}

static int on_piece(struct cli *cli, const ProtobufCMessage *m, void *arg)
{
	const Causeway__V1__BackupResponse *p = (const Causeway__V1__BackupResponse *)m;
	struct backup *b = arg;
	int r = write_all(b->fd, span_of(p->data.data, p->data.len));

	if (r != 0)
		return cli_fail(cli, CLI_FAILED, NULL, "cannot write %s: %s", b->path, strerror(r));
	b->written += p->data.len;
	if (p->sha256.len == sizeof(b->sha256)) {
		memcpy(b->sha256, p->sha256.data, sizeof(b->sha256));
		b->total = p->total_bytes;
		b->have_sum = true;
	}
	return 0;
}

/* Whether the file, as it can be read back, is what the server sent. */
static int check_file(struct cli *cli, const struct backup *b)
{
	static const char hint[] = "the unfinished file was removed; make the backup again";
	uint8_t sum[32];
	struct span all;
	void *p = NULL;

	if (!b->have_sum || b->written != b->total)
		return cli_fail(cli, CLI_FAILED, hint,
		                "the backup is not complete (%llu of %llu octets)",
		                (unsigned long long)b->written, (unsigned long long)b->total);
	if (b->written > 0) {
		p = mmap(NULL, b->written, PROT_READ, MAP_SHARED, b->fd, 0);
		if (p == MAP_FAILED)
			return cli_fail(cli, CLI_FAILED, NULL, "cannot read %s back: %s", b->path,
			                strerror(errno));
	}
	all = span_of(p, b->written);
	hash_once(HASH_SHA256, &all, 1, sum);
	if (p != NULL)
		(void)munmap(p, b->written);
	if (memcmp(sum, b->sha256, sizeof(sum)) != 0)
		return cli_fail(cli, CLI_FAILED, hint,
		                "the backup was damaged on its way: its SHA-256 is wrong");
	return 0;
}

/* Makes the name of the file last as well. */
static void sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[CLI_PATH_MAX];
	int fd;

	if (slash == NULL)
		str_copy(dir, sizeof(dir), ".");
	else if (!str_copy_span(dir, sizeof(dir), span_of(path, (size_t)(slash - path + 1))))
		return;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fsync(fd);
	(void)close(fd);
}

static int receive(struct cli *cli, struct backup *b, const char *path)
{
	Causeway__V1__BackupRequest req = CAUSEWAY__V1__BACKUP_REQUEST__INIT;
	struct cli_stream_opts opts = {.on_message = on_piece, .arg = b};
	int r = cli_stream(cli, SERVICE, "Backup", &req.base, &opts);

	if (r == 0)
		r = check_file(cli, b);
	if (r == 0 && (fsync(b->fd) != 0 || rename(b->path, path) != 0))
		r = cli_fail(cli, CLI_FAILED, NULL, "cannot finish %s: %s", path, strerror(errno));
	if (r == 0)
		sync_folder(path);
	return r;
}

static int print_backup(struct cli *cli, const struct backup *b, const char *path)
{
	struct buf text;
	char sum[65];

	hex_encode(sum, span_of(b->sha256, sizeof(b->sha256)));
	buf_init(&text, CLI_ERROR_TEXT_MAX);
	if (cli->json) {
		buf_put_str(&text, "{\"file\":");
		pbjson_put_string(&text, span_str(path));
		buf_printf(&text, ",\"bytes\":\"%llu\",\"sha256\":\"%s\"}",
		           (unsigned long long)b->written, sum);
	} else {
		buf_printf(&text, "Backup in %s (", path);
		cli_size(&text, b->written);
		buf_printf(&text,
		           ", SHA-256 %s).\nThe key that opens its secrets is not in it: keep that "
		           "as well, elsewhere.",
		           sum);
	}
	(void)fprintf(cli->out, "%s\n", buf_cstr(&text));
	buf_free(&text);
	return CLI_OK;
}

int cli_backup(struct cli *cli)
{
	const char *path = cli_word(&cli->args, 0);
	struct backup b = {.fd = -1};
	char part[CLI_PATH_MAX];
	int n = snprintf(part, sizeof(part), "%s.part", path), r;

	if (n < 0 || (size_t)n >= sizeof(part))
		return cli_fail(cli, CLI_USAGE, NULL, "the file's name is too long");
	if (!cli_arg_has(&cli->args, "overwrite") && access(path, F_OK) == 0)
		return cli_fail(cli, CLI_USAGE, "name a new file, or use --overwrite",
		                "%s exists already", path);
	if (unlink(part) != 0 && errno != ENOENT)
		return cli_fail(cli, CLI_FAILED, NULL, "cannot remove %s: %s", part,
		                strerror(errno));
	b.path = part;
	b.fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (b.fd < 0)
		return cli_fail(cli, CLI_FAILED, NULL, "cannot make %s: %s", part, strerror(errno));
	r = receive(cli, &b, path);
	(void)close(b.fd);
	if (r != 0)
		(void)unlink(part);
	return r != 0 ? r : print_backup(cli, &b, path);
}

/* ---- version */

static void print_version(struct cli *cli, const Causeway__V1__GetVersionResponse *v)
{
	struct buf line;

	buf_init(&line, 4096);
	if (cli->json) {
		buf_put_str(&line,
		            "{\"client\":{\"version\":\"" CAUSEWAY_VERSION "\"},\"server\":");
		if (v == NULL || pbjson_encode(&v->base, NULL, &line) != 0)
			buf_put_str(&line, "null");
		buf_put_str(&line, "}");
	} else {
		buf_put_str(&line, "causeway " CAUSEWAY_VERSION);
		if (v != NULL) {
			buf_put_str(&line, "\ncausewayd ");
			cli_put_clean(&line, v->version);
			buf_put_str(&line, " (");
			cli_put_clean(&line, v->tls_library);
			buf_put_str(&line, ", kernel ");
			cli_put_clean(&line, v->kernel);
			buf_put_str(&line, ")");
		}
	}
	(void)fprintf(cli->out, "%s\n", buf_cstr(&line));
	buf_free(&line);
}

int cli_version(struct cli *cli)
{
	Causeway__V1__GetVersionRequest req = CAUSEWAY__V1__GET_VERSION_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	int r = cli_arg_has(&cli->args, "client")
	                ? 1
	                : cli_call(cli, SERVICE, "GetVersion", &req.base, &m);

	if (r == CLI_INTERRUPTED)
		return r;
	print_version(cli, r == 0 ? (Causeway__V1__GetVersionResponse *)m : NULL);
	if (r != 0 && cli->error.exit != CLI_OK && !cli->json)
		cli_note(cli, "The server's version is not known: %s",
		         buf_cstr(&cli->error.message));
	cli_error_clear(&cli->error);
	if (m != NULL)
		protobuf_c_message_free_unpacked(m, NULL);
	return CLI_OK;
}
