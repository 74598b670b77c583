/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole fleet against a tiny scripted server in a thread: real sockets, real TLS, one device. Also: identities are
 * deterministic, profiles and options say no to nonsense.
 */
#include "bench/fleet/fleet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "core/x509.h"
#include "tests/unit/support/test.h"

#define AUTH               \
	"0000001261757468" \
	"40616d742e696e74656c2e636f6d"
#define PFWD               \
	"0000001270667764" \
	"40616d742e696e74656c2e636f6d"

struct server {
	int listener, fd;
	struct tls_ctx *ctx;
	struct tls *tls;
	uint8_t wire[16384];
	struct buf plain;
	uint8_t header[5]; /* of the TLS record under way */
	size_t header_len, record_left;
	unsigned data_records;
	bool double_close;
	bool got_page, got_disconnect, authenticated;
	pthread_t thread;
};

static int server_output(void *arg, struct span s)
{
	struct server *v = arg;

	return write(v->fd, s.ptr, s.len) == (ssize_t)s.len ? 0 : -ERR_CLOSED;
}

/* Counts records of application data (type 23) in the device's octets. */
static void count_records(struct server *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (v->record_left > 0) {
			v->record_left--;
			continue;
		}
		v->header[v->header_len++] = v->wire[i];
		if (v->header_len < sizeof(v->header))
			continue;
		v->header_len = 0;
		v->record_left = (size_t)v->header[3] << 8 | v->header[4];
		v->data_records += v->header[0] == 23;
	}
}

/* Blocks for one receive and gathers the plaintext. */
static bool server_receive(struct server *v)
{
	uint8_t out[4096];
	ssize_t n = read(v->fd, v->wire, sizeof(v->wire));

	if (n <= 0)
		return false;
	count_records(v, (size_t)n);
	tls_input(v->tls, span_of(v->wire, (size_t)n));
	if (!tls_established(v->tls)) {
		int err = tls_handshake(v->tls);

		if (err != 0)
			return err == -ERR_AGAIN;
	}
	while ((n = tls_read(v->tls, out, sizeof(out))) > 0)
		buf_put(&v->plain, out, (size_t)n);
	return n == -ERR_AGAIN;
}

static bool server_want(struct server *v, size_t n)
{
	while (v->plain.len < n) {
		if (!server_receive(v))
			return false;
	}
	return true;
}

static void server_send(struct server *v, const char *hex)
{
	uint8_t bytes[512];
	ssize_t n = hex_decode(bytes, sizeof(bytes), span_str(hex));

	if (n > 0 && tls_write(v->tls, span_of(bytes, (size_t)n)) != 0)
		v->got_page = false;
}

static bool server_step(struct server *v, size_t n, uint8_t type, const char *answer)
{
	if (!server_want(v, n) || v->plain.data[0] != type)
		return false;
	buf_consume(&v->plain, n);
	server_send(v, answer);
	return true;
}

static void server_dialogue(struct server *v)
{
	/* PROTOCOLVERSION and SERVICE_REQUEST; USERAUTH of 64 octets; SERVICE_REQUEST; tcpip-forward with a name of 22. */
	if (!server_step(v, 93, 192, "") || !server_step(v, 23, 5, "06" AUTH))
		return;
	if (!server_step(v, 64, 50, "34") || !server_step(v, 23, 5, "06" PFWD))
		return;
	if (!server_step(v, 14 + 13 + 22, 80, "5100004260"))
		return;
	v->authenticated = true;
	server_send(v, "5a0000000f666f727761726465642d746370697000000004"
	               "00008000ffffffff00000000"
	               "00004260"
	               "00000007312e322e332e34"
	               "00000400");
}

static bool server_saw(const struct server *v, const void *bytes, size_t n)
{
	return v->plain.len >= n && memmem(v->plain.data, v->plain.len, bytes, n) != NULL;
}

/* Asks for the first page over the channel, closes it (once or twice) and reads to the end. */
static void server_page(struct server *v)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct buf b;

	if (!server_step(v, 17, 91, ""))
		return;
	buf_init(&b, 256);
	buf_put_u8(&b, 94);
	buf_put_u32(&b, 0);
	buf_put_u32(&b, sizeof(request) - 1);
	buf_put_str(&b, request);
	if (tls_write(v->tls, buf_span(&b)) != 0)
		return;
	buf_free(&b);
	while (!server_saw(v, "Location: /logon.htm", 20) || !server_saw(v, "\x61\0\0\0\x04", 5)) {
		if (!server_receive(v))
			return;
	}
	v->got_page = true;
	buf_clear(&v->plain);
	server_send(v, v->double_close ? "61000000006100000000" : "6100000000");
	while (server_receive(v))
		continue;
	v->got_disconnect = server_saw(v, "\x01\0\0\0\x02\0\0", 7);
}

static void *server_main(void *arg)
{
	struct server *v = arg;

	v->fd = accept(v->listener, NULL, NULL);
	v->tls = tls_new(v->ctx, NULL, server_output, v);
	if (v->fd >= 0 && v->tls != NULL) {
		server_dialogue(v);
		if (v->authenticated)
			server_page(v);
	}
	tls_free(v->tls);
	close(v->fd);
	close(v->listener);
	return NULL;
}

struct rig {
	struct server server;
	struct fleet *fleet;
	char password[64], ca[64], connect[64];
};

static void write_file(char *path, struct span content)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content.ptr, content.len), content.len);
	close(fd);
}

static void make_server(struct rig *r, const char *cn)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	struct x509_pair root, leaf;
	struct buf cert, key, why;
	int64_t now = (int64_t)time(NULL);

	x509_pair_init(&root);
	x509_pair_init(&leaf);
	buf_init(&cert, 16384);
	buf_init(&key, 16384);
	buf_init(&why, 1024);
	assert_int_equal(x509_make_root("test root", now - 1000, now + 86400, &root), 0);
	assert_int_equal(x509_make_leaf(&root,
	                                &(struct x509_leaf_opts){
						.common_name = cn,
						.alt_names = (const char *const[]){"mps.test"},
						.alt_names_len = 1,
						.not_before_s = now - 1000,
						.not_after_s = now + 86400},
	                                &leaf),
	                 0);
	pem_encode("CERTIFICATE", buf_span(&root.cert), &cert);
	write_file(r->ca, buf_span(&cert));
	buf_clear(&cert);
	pem_encode("CERTIFICATE", buf_span(&leaf.cert), &cert);
	pem_encode("RSA PRIVATE KEY", buf_span(&leaf.key), &key);
	r->server.ctx = tls_ctx_new(&(struct tls_ctx_opts){.server = true,
	                                                   .cert_chain_pem = buf_span(&cert),
	                                                   .key_pem = buf_span(&key)},
	                            &why);
	assert_non_null(r->server.ctx);
	x509_pair_free(&root);
	x509_pair_free(&leaf);
	buf_free(&cert);
	buf_free(&key);
	buf_free(&why);
	buf_init(&r->server.plain, 1 << 20);
	r->server.listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(r->server.listener, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(r->server.listener, 1), 0);
	assert_int_equal(getsockname(r->server.listener, (struct sockaddr *)&in, &len), 0);
	snprintf(r->connect, sizeof(r->connect), "127.0.0.1:%u", ntohs(in.sin_port));
}

static int run(struct rig *r, const char *cn, bool double_close, char *framing)
{
	int status;

	memset(r, 0, sizeof(*r));
	str_copy(r->password, sizeof(r->password), "/tmp/fleet-test-XXXXXX");
	str_copy(r->ca, sizeof(r->ca), "/tmp/fleet-test-XXXXXX");
	assert_int_equal(tls_global_init(), 0);
	write_file(r->password, span_str("P@ssw0rd\n"));
	make_server(r, cn);
	r->server.double_close = double_close;
	r->fleet = calloc(1, sizeof(*r->fleet));
	assert_non_null(r->fleet);
	char *argv[] = {"fleet",   "--connect",    r->connect,        "--count",   "1",
	                "--user",  "standalone01", "--password-file", r->password, "--ca",
	                r->ca,     "--name",       "mps.test",        "--framing", framing,
	                "--ports", "16992",        "--duration",      "2"};
	assert_int_equal(fleet_options_parse(r->fleet, ARRAY_LEN(argv), argv), 0);
	assert_int_equal(pthread_create(&r->server.thread, NULL, server_main, &r->server), 0);
	status = fleet_run(r->fleet);
	pthread_join(r->server.thread, NULL);
	return status;
}

static void rig_free(struct rig *r)
{
	tls_ctx_unref(r->server.ctx);
	buf_free(&r->server.plain);
	buf_free(&r->fleet->ca_pem);
	unlink(r->password);
	unlink(r->ca);
	free(r->fleet);
}

static void test_device_is_held_and_answers(void **state)
{
	struct rig r;

	(void)state;
	assert_int_equal(run(&r, "mps.test", false, "message"), 0);
	assert_true(r.server.got_page);
	assert_false(r.server.got_disconnect);
	assert_in_range(r.server.data_records, 5, 30);
	assert_int_equal(atomic_load(&r.fleet->counters.connected), 1);
	assert_int_equal(atomic_load(&r.fleet->counters.violations), 0);
	rig_free(&r);
}

static void test_one_octet_in_a_record(void **state)
{
	struct rig r;

	(void)state;
	assert_int_equal(run(&r, "mps.test", false, "octet"), 0);
	assert_true(r.server.got_page);
	/* The messages up to the page have 93 + 23 + 64 + 23 + 49 + 17 octets and more. */
	assert_true(r.server.data_records > 269);
	rig_free(&r);
}

static void test_violation_makes_status_3(void **state)
{
	struct rig r;

	(void)state;
	assert_int_equal(run(&r, "mps.test", true, "message"), 3);
	assert_true(r.server.got_page);
	assert_true(r.server.got_disconnect);
	assert_int_equal(atomic_load(&r.fleet->counters.violations), 1);
	rig_free(&r);
}

static void test_other_cn_is_refused_though_the_san_fits(void **state)
{
	struct rig r;

	(void)state;
	assert_int_equal(run(&r, "other.test", false, "message"), 1);
	assert_false(r.server.authenticated);
	assert_true(atomic_load(&r.fleet->counters.failed_name) >= 1);
	rig_free(&r);
}

static void test_identities(void **state)
{
	struct sim_facts a, b;

	(void)state;
	fleet_identity_make(1, 7, &a);
	fleet_identity_make(1, 7, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(strlen(a.realm), 39);
	assert_string_equal(a.host, "amt00007");
	assert_false(guid_is_placeholder(&a.guid));
	fleet_identity_make(1, 8, &b);
	assert_false(guid_equal(&a.guid, &b.guid));
	fleet_identity_make(2, 7, &b);
	assert_false(guid_equal(&a.guid, &b.guid));
}

static void test_profiles(void **state)
{
	struct fleet_profile p;

	(void)state;
	fleet_profile_default(&p);
	assert_int_equal(p.apf.ports_len, 7);
	assert_true(fleet_profile_holds(&p));
	assert_int_equal(fleet_profile_builtin(&p, "legacy"), 0);
	assert_int_equal(p.tls_max, 0x0301);
	assert_string_equal(p.tls_ciphers, "AES128-SHA");
	assert_int_equal(fleet_profile_set(&p, "ports", "16993+5900"), 0);
	assert_int_equal(p.apf.ports[1], 5900);
	assert_int_equal(fleet_profile_set(&p, "ports", "70000"), -ERR_INVALID);
	assert_int_equal(fleet_profile_set(&p, "window", "late"), 0);
	assert_int_equal(p.apf.late_window, 4096);
	assert_int_equal(fleet_profile_set(&p, "framing", "sideways"), -ERR_INVALID);
	assert_int_equal(fleet_profile_set(&p, "nonsense", "1"), -ERR_NOT_FOUND);
	assert_int_equal(fleet_profile_set(&p, "auth", "wrong"), 0);
	assert_false(fleet_profile_holds(&p));
	assert_int_equal(fleet_profile_builtin(&p, "nobody"), -ERR_NOT_FOUND);
}

static int parse(struct fleet *f, size_t n, char **argv)
{
	memset(f, 0, sizeof(*f));
	return fleet_options_parse(f, (int)n, argv);
}

static void test_options(void **state)
{
	struct fleet *f = calloc(1, sizeof(*f));
	char *good[] = {"x",         "--list-guids", "--define",    "mine:window=1,trigger=user",
	                "--profile", "mine:3",       "--keepalive", "off",
	                "--profile", "churn:2"};
	char *bad[] = {"x", "--list-guids", "--count", "0"};
	char *unused[] = {"x", "--list-guids", "--define", "mine:window=1"};
	char *nothing[] = {"x"};

	(void)state;
	assert_non_null(f);
	assert_int_equal(parse(f, ARRAY_LEN(good), good), 0);
	assert_int_equal(f->profiles_len, 3);
	assert_int_equal(f->profiles[1].count, 3);
	assert_int_equal(f->profiles[1].apf.window, 1);
	assert_int_equal(f->profiles[1].apf.keepalive_s, 30);
	assert_int_equal(f->profiles[2].apf.keepalive_s, 0);
	assert_int_equal(f->profiles[2].churn_s, 10);
	assert_true(parse(f, ARRAY_LEN(bad), bad) < 0);
	assert_true(parse(f, ARRAY_LEN(unused), unused) < 0);
	assert_true(parse(f, ARRAY_LEN(nothing), nothing) < 0);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device_is_held_and_answers),
		cmocka_unit_test(test_one_octet_in_a_record),
		cmocka_unit_test(test_violation_makes_status_3),
		cmocka_unit_test(test_other_cn_is_refused_though_the_san_fits),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
