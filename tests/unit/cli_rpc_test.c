/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli_rpc_test.c: whole runs of the command line against a scripted gRPC server over TLS. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "causeway/v1/devices.pb-c.h"
#include "causeway/v1/operations.pb-c.h"
#include "causeway/v1/power.pb-c.h"
#include "causeway/v1/server.pb-c.h"
#include "causeway/v1/tokens.pb-c.h"
#include "causeway/v1/tunnels.pb-c.h"
#include "core/crypto.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "mgmtapi/cli/cli.h"
#include "mgmtapi/cli/h2_client.h"
#include "tests/unit/support/fake_api.h"
#include "tests/unit/support/test.h"
#include "tests/unit/support/tls_pair.h"

#define WORDS_MAX 32

/* A folder with a CA and a token, and what the last run printed. */
struct bench {
	char dir[64];
	char ca[96], token[96];
	char *out, *err;
	size_t out_len, err_len;
};

static void write_file(const char *path, struct span data)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data.ptr, 1, data.len, f), data.len);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	(void)snprintf(b->dir, sizeof(b->dir), "/tmp/causeway-cli-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	(void)snprintf(b->ca, sizeof(b->ca), "%s/ca.pem", b->dir);
	(void)snprintf(b->token, sizeof(b->token), "%s/token", b->dir);
	write_file(b->ca, buf_span(&tls_pki_get()->root_pem));
	write_file(b->token, span_str("cwt_secret\n"));
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", b->dir);
	assert_int_equal(system(command), 0);
	free(b->out);
	free(b->err);
	free(b);
	return 0;
}

/* Runs the program on the server; words end with NULL. The exit status. */
static int run(struct bench *b, const struct fake_api *f, const char *const *words)
{
	char url[64], *argv[WORDS_MAX] = {(char *)(uintptr_t) "causeway",
	                                  (char *)(uintptr_t) "--api",
	                                  url,
	                                  (char *)(uintptr_t) "--ca",
	                                  b->ca,
	                                  (char *)(uintptr_t) "--token-file",
	                                  b->token};
	FILE *out, *err;
	int argc = 7, r;

	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u", fake_api_port(f));
	for (; *words != NULL; words++) {
		assert_true(argc < WORDS_MAX);
		argv[argc++] = (char *)(uintptr_t)*words;
	}
	free(b->out);
	free(b->err);
	out = open_memstream(&b->out, &b->out_len);
	err = open_memstream(&b->err, &b->err_len);
	assert_true(out != NULL && err != NULL);
	r = cli_run(argc, argv, out, err);
	(void)fclose(out);
	(void)fclose(err);
	return r;
}
#define RUN(b, f, ...) run(b, f, (const char *const[]){__VA_ARGS__, NULL})

static void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("'%s' is not in: %s", part, text);
}

/* The one message of a request. */
static ProtobufCMessage *request_of(const struct fake_api *f, size_t nth,
                                    const ProtobufCMessageDescriptor *d)
{
	const struct buf *body = &fake_api_seen(f, nth)->body;
	ProtobufCMessage *m;

	assert_true(body->len >= 5);
	assert_int_equal(body->data[0], 0);
	m = protobuf_c_message_unpack(d, NULL, body->len - 5, body->data + 5);
	assert_non_null(m);
	return m;
}

/* ---- unary calls */

static void test_unary(void **state)
{
	struct bench *b = *state;
	Causeway__V1__GetPowerStateResponse answer = CAUSEWAY__V1__GET_POWER_STATE_RESPONSE__INIT;
	struct fake_step step = {.kind = FAKE_MESSAGES, .messages = {&answer.base}};
	struct fake_api *f = fake_api_start(&step, 1);
	Causeway__V1__GetPowerStateRequest *req;

	answer.device = (char *)(uintptr_t) "4c4c4544-0039-3410-8052-b4c04f383132";
	answer.power_state = CAUSEWAY__V1__POWER_STATE__POWER_STATE_OFF_SOFT;
	assert_int_equal(RUN(b, f, "power", "get", "desk-1", "--timeout", "20s"), 0);
	assert_string_equal(b->out, "off\n");
	assert_string_equal(b->err, "");
	assert_int_equal(RUN(b, f, "power", "get", "desk-1", "--json"), 0);
	assert_has(b->out, "\"powerState\":\"POWER_STATE_OFF_SOFT\"");
	fake_api_stop(f);
	assert_int_equal(fake_api_requests(f), 2);
	assert_string_equal(fake_api_seen(f, 0)->path, "/causeway.v1.PowerService/GetPowerState");
	assert_string_equal(fake_api_seen(f, 0)->authorization, "Bearer cwt_secret");
	assert_string_equal(fake_api_seen(f, 0)->timeout, "20000m");
	assert_string_equal(fake_api_seen(f, 1)->timeout, "60000m");
	assert_string_equal(fake_api_seen(f, 0)->te, "trailers");
	assert_has(fake_api_seen(f, 0)->content_type, "application/grpc");
	req = (void *)request_of(f, 0, &causeway__v1__get_power_state_request__descriptor);
	assert_string_equal(req->device, "desk-1");
	protobuf_c_message_free_unpacked(&req->base, NULL);
	fake_api_free(f);
}

/* A status with an ErrorInfo: reason and hint, and one more fact. */
static void pack_details(struct buf *out)
{
	Google__Rpc__ErrorInfo__MetadataEntry hint = GOOGLE__RPC__ERROR_INFO__METADATA_ENTRY__INIT;
	Google__Rpc__ErrorInfo__MetadataEntry fact = GOOGLE__RPC__ERROR_INFO__METADATA_ENTRY__INIT;
	Google__Rpc__ErrorInfo__MetadataEntry *entries[] = {&hint, &fact};
	Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT, *list[] = {&any};
	Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
	uint8_t packed[512];

	hint.key = (char *)(uintptr_t) "hint";
	hint.value = (char *)(uintptr_t) "wait until it dials in";
	fact.key = (char *)(uintptr_t) "last_seen";
	fact.value = (char *)(uintptr_t) "yesterday";
	info.reason = (char *)(uintptr_t) "DEVICE_OFFLINE";
	info.domain = (char *)(uintptr_t) "causeway";
	info.metadata = entries;
	info.n_metadata = 2;
	assert_true(google__rpc__error_info__get_packed_size(&info) <= sizeof(packed));
	any.type_url = (char *)(uintptr_t) "type.googleapis.com/google.rpc.ErrorInfo";
	any.value = (ProtobufCBinaryData){google__rpc__error_info__pack(&info, packed), packed};
	status.code = 9;
	status.details = list;
	status.n_details = 1;
	buf_init(out, 1024);
	assert_non_null(buf_reserve(out, google__rpc__status__get_packed_size(&status)));
	out->len = google__rpc__status__pack(&status, out->data);
}

static void test_error_details(void **state)
{
	struct bench *b = *state;
	struct buf details;
	struct fake_step step = {.kind = FAKE_ERROR, .status = 9};
	struct fake_api *f;

	pack_details(&details);
	step.details = buf_span(&details);
	step.message = "device desk%2D1 is%20not connected%1b[2J 100%";
	f = fake_api_start(&step, 1);
	assert_int_equal(RUN(b, f, "power", "get", "desk-1"), CLI_STATE);
	assert_string_equal(b->out, "");
	assert_string_equal(b->err,
	                    "causeway: device desk-1 is not connected?[2J 100% (DEVICE_OFFLINE)\n"
	                    "What to do: wait until it dials in\nlast_seen: yesterday\n");
	assert_int_equal(RUN(b, f, "power", "get", "desk-1", "--json"), CLI_STATE);
	assert_has(b->err, "\"code\":\"FAILED_PRECONDITION\",\"reason\":\"DEVICE_OFFLINE\"");
	assert_has(b->err, "\"hint\":\"wait until it dials in\",\"exitStatus\":4");
	fake_api_free(f);
	buf_free(&details);
}

static void test_exit_statuses(void **state)
{
	static const struct {
		int status, exit;
	} cases[] = {{3, 1}, {4, 6},  {5, 3},  {6, 1},  {7, 5},  {8, 1},
	             {9, 4}, {10, 4}, {12, 1}, {13, 1}, {14, 6}, {16, 5}};
	struct fake_step steps[ARRAY_LEN(cases)];
	struct fake_api *f;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		steps[i] = (struct fake_step){
			.kind = FAKE_ERROR, .status = cases[i].status, .message = "no"};
	f = fake_api_start(steps, ARRAY_LEN(steps));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(RUN(*state, f, "device", "show", "x"), cases[i].exit);
	assert_int_equal(fake_api_requests(f),
	                 ARRAY_LEN(cases)); /* an answer is not a lost connection: no repeat */
	fake_api_free(f);
}

static void test_not_grpc(void **state)
{
	struct bench *b = *state;
	static const struct fake_step steps[] = {{.kind = FAKE_HTTP, .message = "404"},
	                                         {.kind = FAKE_HTTP, .message = "503"},
	                                         {.kind = FAKE_RESET, .status = 11},
	                                         {.kind = FAKE_PARTIAL},
	                                         {.kind = FAKE_MESSAGES}};
	struct fake_api *f = fake_api_start(steps, ARRAY_LEN(steps));

	assert_int_equal(RUN(b, f, "power", "get", "x"), CLI_FAILED);
	assert_has(b->err, "HTTP status 404");
	assert_has(b->err, "(UNIMPLEMENTED)");
	assert_int_equal(RUN(b, f, "power", "get", "x"), CLI_UNAVAILABLE);
	assert_int_equal(RUN(b, f, "power", "get", "x"), CLI_FAILED);
	assert_has(b->err, "(RESOURCE_EXHAUSTED)");
	assert_int_equal(RUN(b, f, "power", "get", "x"), CLI_FAILED); /* half a message */
	assert_has(b->err, "not one message");
	assert_int_equal(RUN(b, f, "power", "get", "x"), CLI_FAILED); /* none */
	fake_api_free(f);
}

static void test_repeat_with_same_id(void **state)
{
	struct bench *b = *state;
	Causeway__V1__ChangePowerResponse answer = CAUSEWAY__V1__CHANGE_POWER_RESPONSE__INIT;
	struct fake_step steps[] = {{.kind = FAKE_DROP},
	                            {.kind = FAKE_MESSAGES, .messages = {&answer.base}},
	                            {.kind = FAKE_DROP}};
	struct fake_api *f = fake_api_start(steps, ARRAY_LEN(steps));
	Causeway__V1__ChangePowerRequest *one, *two;

	answer.device = (char *)(uintptr_t) "desk-1";
	answer.action = CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_POWER_CYCLE;
	assert_int_equal(RUN(b, f, "power", "set", "desk-1", "cycle"), 0);
	assert_has(b->err, "trying once more");
	assert_has(b->out, "desk-1: cycle accepted");
	assert_int_equal(RUN(b, f, "power", "set", "desk-1", "cycle", "--request-id", "mine"),
	                 CLI_UNAVAILABLE);
	fake_api_stop(f);
	assert_int_equal(fake_api_requests(f), 4); /* repeated once, not for ever */
	assert_int_equal(fake_api_connections(f), 4);
	one = (void *)request_of(f, 0, &causeway__v1__change_power_request__descriptor);
	two = (void *)request_of(f, 1, &causeway__v1__change_power_request__descriptor);
	assert_int_equal(one->action, CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_POWER_CYCLE);
	assert_int_equal(strlen(one->request_id), 36);
	assert_int_equal(one->request_id[14], '4'); /* a random UUID */
	assert_string_equal(one->request_id, two->request_id);
	protobuf_c_message_free_unpacked(&one->base, NULL);
	protobuf_c_message_free_unpacked(&two->base, NULL);
	two = (void *)request_of(f, 3, &causeway__v1__change_power_request__descriptor);
	assert_string_equal(two->request_id, "mine");
	protobuf_c_message_free_unpacked(&two->base, NULL);
	fake_api_free(f);
}

static void test_deadline(void **state)
{
	struct bench *b = *state;
	static const struct fake_step step = {.kind = FAKE_HANG};
	struct fake_api *f = fake_api_start(&step, 1);

	assert_int_equal(RUN(b, f, "power", "get", "x", "--timeout", "100ms"), CLI_UNAVAILABLE);
	assert_has(b->err, "no answer within 0.1 s (DEADLINE_EXCEEDED)");
	fake_api_stop(f);
	assert_true(fake_api_seen(f, 0)->reset); /* the server hears that nobody waits */
	fake_api_free(f);
}

static void test_not_trusted(void **state)
{
	struct bench *b = *state;
	static const struct fake_step step = {.kind = FAKE_HANG};
	struct fake_api *f = fake_api_start(&step, 1);

	write_file(b->ca, buf_span(&tls_pki_get()->other_root_pem));
	assert_int_equal(RUN(b, f, "power", "get", "x"), CLI_UNAVAILABLE);
	assert_has(b->err, "no trusted CA issued it");
	assert_has(b->err, "--ca");
	fake_api_stop(f);
	assert_int_equal(fake_api_requests(f), 0); /* the token was not shown */
	assert_int_equal(RUN(b, f, "power", "get", "x"), CLI_UNAVAILABLE);
	assert_has(b->err, "Connection refused");
	fake_api_free(f);
}

/* ---- lists */

static Causeway__V1__Device *device(Causeway__V1__Device *d, const char *id, const char *name)
{
	causeway__v1__device__init(d);
	d->id = d->guid = (char *)(uintptr_t)id;
	d->name = (char *)(uintptr_t)name;
	d->connected = true;
	return d;
}

static void test_pages(void **state)
{
	struct bench *b = *state;
	Causeway__V1__Device d[3],
		*one[] = {device(&d[0], "id-1", "caf\xc3\xa9"),
	                  device(&d[1], "id-2", "\033[31mred")},
		*two[] = {device(&d[2], "id-3", "")};
	Causeway__V1__ListDevicesResponse first = CAUSEWAY__V1__LIST_DEVICES_RESPONSE__INIT,
					  second = first;
	struct fake_step steps[] = {
		{.kind = FAKE_MESSAGES, .messages = {&first.base}},
		{.kind = FAKE_MESSAGES, .messages = {&second.base}, .goaway = true},
		{.kind = FAKE_MESSAGES, .messages = {&first.base}},
		{.kind = FAKE_MESSAGES, .messages = {&second.base}},
		{.kind = FAKE_MESSAGES, .messages = {&first.base}}};
	struct fake_api *f = fake_api_start(steps, ARRAY_LEN(steps));
	Causeway__V1__ListDevicesRequest *req;

	first.devices = one;
	first.n_devices = 2;
	first.next_page_token = (char *)(uintptr_t) "more";
	second.devices = two;
	second.n_devices = 1;
	assert_int_equal(RUN(b, f, "device", "list", "--filter", "connected=true"), 0);
	assert_string_equal(b->out, "ID    NAME      GROUP  STATE      POWER  AMT  SEEN\n"
	                            "id-1  caf\xc3\xa9      -      connected  ?      -    -\n"
	                            "id-2  ?[31mred  -      connected  ?      -    -\n"
	                            "id-3  -         -      connected  ?      -    -\n");
	assert_int_equal(RUN(b, f, "device", "list", "--json"), 0);
	assert_has(b->out, "{\"devices\":[\n{");
	assert_has(b->out, "\"guid\":\"id-1\"");
	assert_has(b->out, "\"guid\":\"id-3\"");
	assert_has(b->out, "\n]}\n");
	assert_int_equal(RUN(b, f, "device", "list", "--ids", "--limit", "1"), 0);
	assert_string_equal(b->out, "id-1\n");
	fake_api_stop(f);
	assert_int_equal(fake_api_requests(f), 5);
	req = (void *)request_of(f, 1, &causeway__v1__list_devices_request__descriptor);
	assert_string_equal(req->page_token, "more");
	assert_string_equal(req->filter, "connected=true");
	protobuf_c_message_free_unpacked(&req->base, NULL);
	fake_api_free(f);
}

/* ---- streams */

static void test_watch_resumes(void **state)
{
	struct bench *b = *state;
	Causeway__V1__Device d;
	Causeway__V1__WatchDevicesResponse snapshot = CAUSEWAY__V1__WATCH_DEVICES_RESPONSE__INIT,
					   sync = snapshot, off = snapshot, on = snapshot;
	struct fake_step steps[] = {
		{.kind = FAKE_DROP, .messages = {&snapshot.base, &sync.base, &off.base}},
		{.kind = FAKE_HANG, .messages = {&on.base}}};
	struct fake_api *f;
	Causeway__V1__WatchDevicesRequest *req;
	Causeway__V1__Device d2;

	device(&d, "id-1", "desk-1");
	d.power_state = CAUSEWAY__V1__POWER_STATE__POWER_STATE_OFF_SOFT;
	d2 = d;
	d2.power_state = CAUSEWAY__V1__POWER_STATE__POWER_STATE_ON;
	snapshot.kind = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_SNAPSHOT;
	snapshot.device = &d2;
	sync.kind = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_SYNC;
	off.kind = on.kind = CAUSEWAY__V1__DEVICE_EVENT_KIND__DEVICE_EVENT_KIND_POWER;
	off.device = &d;
	off.resume_token = (char *)(uintptr_t) "t-3";
	on.device = &d2;
	f = fake_api_start(steps, ARRAY_LEN(steps));
	assert_int_equal(RUN(b, f, "device", "watch", "--for", "2s"), 0);
	assert_has(b->out, "  id-1 (desk-1)  connected  power on\n");
	assert_has(b->out, "  id-1 (desk-1)  power  off\n");
	assert_has(b->out, "  id-1 (desk-1)  power  on\n");
	assert_has(b->err, "-- 1 devices; changes follow");
	assert_has(b->err, "was lost");
	assert_has(b->err, "trying again in 1 s");
	fake_api_stop(f);
	req = (void *)request_of(f, 1, &causeway__v1__watch_devices_request__descriptor);
	assert_string_equal(req->resume_token, "t-3");
	assert_true(req->heartbeat_interval != NULL && req->heartbeat_interval->seconds > 0);
	protobuf_c_message_free_unpacked(&req->base, NULL);
	assert_string_equal(fake_api_seen(f, 0)->timeout, ""); /* no limit for a watch */
	assert_true(fake_api_seen(f, 1)->reset);
	fake_api_free(f);
}

static void test_batch_progress(void **state)
{
	struct bench *b = *state;
	Causeway__V1__Operation running = CAUSEWAY__V1__OPERATION__INIT, done = running;
	Causeway__V1__DeviceResult good = CAUSEWAY__V1__DEVICE_RESULT__INIT, bad = good,
				   *results[] = {&good, &bad};
	struct fake_step steps[] = {{.kind = FAKE_MESSAGES, .messages = {&running.base}},
	                            {.kind = FAKE_MESSAGES, .messages = {&done.base}}};
	struct fake_api *f = fake_api_start(steps, ARRAY_LEN(steps));
	Causeway__V1__BatchChangePowerRequest *req;

	running.id = done.id = (char *)(uintptr_t) "op-1";
	running.state = CAUSEWAY__V1__OPERATION_STATE__OPERATION_STATE_RUNNING;
	done.state = CAUSEWAY__V1__OPERATION_STATE__OPERATION_STATE_DONE;
	running.progress_total = done.progress_total = done.progress_done = 2;
	good.device = (char *)(uintptr_t) "a";
	bad.device = (char *)(uintptr_t) "b";
	bad.code = 9;
	bad.reason = (char *)(uintptr_t) "DEVICE_OFFLINE";
	bad.message = (char *)(uintptr_t) "not connected";
	done.results = results;
	done.n_results = 2;
	assert_int_equal(RUN(b, f, "power", "batch", "off", "a", "b"), CLI_FAILED);
	assert_string_equal(
		b->out,
		"DEVICE  RESULT          WHAT HAPPENED\nb       DEVICE_OFFLINE  not connected\n");
	assert_has(b->err, "0 of 2 done\n2 of 2 done\n");
	assert_has(b->err, "causeway: 1 of 2 devices failed\n");
	fake_api_stop(f);
	req = (void *)request_of(f, 0, &causeway__v1__batch_change_power_request__descriptor);
	assert_int_equal(req->n_devices, 2);
	assert_string_equal(req->devices[1], "b");
	assert_int_equal(req->action, CAUSEWAY__V1__POWER_ACTION__POWER_ACTION_FORCE_OFF);
	protobuf_c_message_free_unpacked(&req->base, NULL);
	assert_string_equal(fake_api_seen(f, 1)->path,
	                    "/causeway.v1.OperationService/WaitOperation");
	fake_api_free(f);
}

static void test_backup(void **state)
{
	struct bench *b = *state;
	Causeway__V1__BackupResponse one = CAUSEWAY__V1__BACKUP_RESPONSE__INIT, two = one, wrong;
	struct fake_step steps[] = {{.kind = FAKE_MESSAGES, .messages = {&one.base, &two.base}},
	                            {.kind = FAKE_MESSAGES, .messages = {&one.base, &wrong.base}},
	                            {.kind = FAKE_MESSAGES, .messages = {&one.base}}};
	uint8_t sum[32], bad[32] = {0};
	struct span parts[] = {span_str("hello "), span_str("store")};
	char path[128], part[136], text[32] = "";
	struct fake_api *f = fake_api_start(steps, ARRAY_LEN(steps));
	struct stat st;
	FILE *file;

	hash_once(HASH_SHA256, parts, 2, sum);
	one.data = (ProtobufCBinaryData){6, (uint8_t *)(uintptr_t) "hello "};
	two.data = (ProtobufCBinaryData){5, (uint8_t *)(uintptr_t) "store"};
	two.total_bytes = 11;
	two.sha256 = (ProtobufCBinaryData){32, sum};
	wrong = two;
	wrong.sha256.data = bad;
	(void)snprintf(path, sizeof(path), "%s/b.db", b->dir);
	(void)snprintf(part, sizeof(part), "%s.part", path);
	assert_int_equal(RUN(b, f, "backup", path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fread(text, 1, sizeof(text), file), 11);
	(void)fclose(file);
	assert_string_equal(text, "hello store");
	assert_int_equal(RUN(b, f, "backup", path), CLI_USAGE); /* not over an old one */
	(void)unlink(path);
	assert_int_equal(RUN(b, f, "backup", path), CLI_FAILED);
	assert_has(b->err, "SHA-256");
	assert_int_not_equal(stat(path, &st), 0);
	assert_int_not_equal(stat(part, &st), 0);
	assert_int_equal(RUN(b, f, "backup", path), CLI_FAILED);
	assert_has(b->err, "not complete");
	assert_int_not_equal(stat(path, &st), 0);
	fake_api_free(f);
}

static void test_token_once(void **state)
{
	struct bench *b = *state;
	Causeway__V1__Token token = CAUSEWAY__V1__TOKEN__INIT;
	Causeway__V1__CreateTokenResponse answer = CAUSEWAY__V1__CREATE_TOKEN_RESPONSE__INIT;
	struct fake_step step = {.kind = FAKE_MESSAGES, .messages = {&answer.base}};
	struct fake_api *f = fake_api_start(&step, 1);
	Causeway__V1__CreateTokenRequest *req;
	char path[128], text[32] = "";
	struct stat st;
	FILE *file;

	token.id = (char *)(uintptr_t) "0123456789abcdef";
	answer.token = &token;
	answer.secret = (char *)(uintptr_t) "cwt_0123_topsecret";
	(void)snprintf(path, sizeof(path), "%s/new.token", b->dir);
	assert_int_equal(RUN(b, f, "token", "create", "--role", "operator", "--group", "g1",
	                     "--group", "g2", "--expires", "30d"),
	                 0);
	assert_string_equal(b->out, "cwt_0123_topsecret\n");
	assert_null(strstr(b->err, "topsecret"));
	assert_int_equal(RUN(b, f, "token", "create", "--role", "viewer", "--out", path), 0);
	assert_null(strstr(b->out, "topsecret"));
	assert_null(strstr(b->err, "topsecret"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	(void)fclose(file);
	assert_string_equal(text, "cwt_0123_topsecret\n");
	assert_int_equal(RUN(b, f, "token", "create", "--role", "viewer", "--out", path),
	                 CLI_USAGE);
	fake_api_stop(f);
	assert_int_equal(fake_api_requests(f),
	                 2); /* a file that exists is noticed before a token is made */
	req = (void *)request_of(f, 0, &causeway__v1__create_token_request__descriptor);
	assert_int_equal(req->role, CAUSEWAY__V1__ROLE__ROLE_OPERATOR);
	assert_int_equal(req->n_groups, 2);
	assert_string_equal(req->groups[1], "g2");
	assert_non_null(req->expire_time);
	protobuf_c_message_free_unpacked(&req->base, NULL);
	fake_api_free(f);
}

/* ---- octets both ways */

#define ECHO_SIZE (3 * 1024 * 1024) /* more than windows and queues hold */

static void test_tunnel_echo(void **state)
{
	struct bench *b = *state;
	static const struct fake_step step = {.kind = FAKE_ECHO};
	struct fake_api *f = fake_api_start(&step, 1);
	char url[64], in_path[128], out_path[128];
	char *argv[] = {(char *)(uintptr_t) "tunnel",       (char *)(uintptr_t) "open",
	                (char *)(uintptr_t) "desk-1",       (char *)(uintptr_t) "16992",
	                (char *)(uintptr_t) "--api",        url,
	                (char *)(uintptr_t) "--ca",         b->ca,
	                (char *)(uintptr_t) "--token-file", b->token};
	uint8_t *data = malloc(ECHO_SIZE), *back = malloc(ECHO_SIZE + 1);
	struct cli *cli = malloc(sizeof(*cli));
	struct buf why;

	assert_true(data != NULL && back != NULL && cli != NULL);
	random_bytes(data, ECHO_SIZE);
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u", fake_api_port(f));
	(void)snprintf(in_path, sizeof(in_path), "%s/in", b->dir);
	(void)snprintf(out_path, sizeof(out_path), "%s/out", b->dir);
	write_file(in_path, span_of(data, ECHO_SIZE));
	buf_init(&why, 1000);
	cli_init(cli, stdout, stderr);
	cli->quiet = true;
	cli->timeout_ms = 0;
	cli->in_fd = open(in_path, O_RDONLY);
	cli->out_fd = open(out_path, O_RDWR | O_CREAT, 0600);
	assert_true(cli->in_fd >= 0 && cli->out_fd >= 0);
	assert_int_equal(cli_args_parse(&cli->args, ARRAY_LEN(argv), argv, &why), 0);
	assert_int_equal(cli_tunnel_open(cli), 0);
	assert_int_equal(pread(cli->out_fd, back, ECHO_SIZE + 1, 0), ECHO_SIZE);
	assert_memory_equal(back, data, ECHO_SIZE);
	(void)close(cli->in_fd);
	(void)close(cli->out_fd);
	cli_free(cli);
	free(cli);
	fake_api_stop(f);
	assert_true(fake_api_seen(f, 0)->ended);
	fake_api_free(f);
	free(data);
	free(back);
}

/* ---- small forms */

static void assert_decoded(const char *text, const char *expected)
{
	struct buf out;

	buf_init(&out, 256);
	h2_client_percent_decode(&out, span_str(text));
	assert_string_equal(buf_cstr(&out), expected);
	buf_free(&out);
}

static void test_small_forms(void **state)
{
	char text[16], id[40], other[40];

	(void)state;
	assert_decoded("", "");
	assert_decoded("a%20b%2fc%2F", "a b/c/");
	assert_decoded("100%", "100%");
	assert_decoded("%4", "%4");
	assert_decoded("%zz%c3%A4", "%zz\xc3\xa4");
	h2_client_timeout(1500, text);
	assert_string_equal(text, "1500m");
	h2_client_timeout(99999999, text);
	assert_string_equal(text, "99999999m");
	h2_client_timeout(100000000, text);
	assert_string_equal(text, "100000S");
	cli_request_id(id);
	cli_request_id(other);
	assert_string_not_equal(id, other);
	assert_true(strchr("89ab", id[19]) != NULL);
}

/* ---- interruption: the last test, for what was interrupted stays so */

static void *interrupt(void *main_thread)
{
	(void)usleep(300000);
	(void)pthread_kill(*(pthread_t *)main_thread, SIGINT);
	return NULL;
}

static void test_interrupted(void **state)
{
	struct bench *b = *state;
	static const struct fake_step step = {.kind = FAKE_HANG};
	struct fake_api *f = fake_api_start(&step, 1);
	Causeway__V1__ChangePowerRequest *req;
	pthread_t self = pthread_self(), other;

	cli_signals_init();
	assert_int_equal(pthread_create(&other, NULL, interrupt, &self), 0);
	assert_int_equal(RUN(b, f, "power", "set", "desk-1", "off"), CLI_INTERRUPTED);
	(void)pthread_join(other, NULL);
	fake_api_stop(f);
	assert_true(fake_api_seen(f, 0)->reset);
	req = (void *)request_of(f, 0, &causeway__v1__change_power_request__descriptor);
	assert_has(b->err, "the server may have done it (request id ");
	assert_has(b->err, req->request_id); /* so that it can be asked again */
	protobuf_c_message_free_unpacked(&req->base, NULL);
	fake_api_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error_details, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exit_statuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_grpc, setup, teardown),
		cmocka_unit_test_setup_teardown(test_repeat_with_same_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_trusted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch_resumes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batch_progress, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_token_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tunnel_echo, setup, teardown),
		cmocka_unit_test(test_small_forms),
		cmocka_unit_test_setup_teardown(test_interrupted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
