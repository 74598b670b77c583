/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The APF codec against the golden vectors, in both directions, and against what is cut short or too long. */
#include "core/err.h"
#include "tests/golden/apf_vectors.h"
#include "tests/unit/support/apf_rig.h"
#include "tests/unit/support/test.h"

#include <stdlib.h>
#include <string.h>

static void assert_span(struct span a, struct span b)
{
	assert_int_equal(a.len, b.len);
	if (a.len > 0)
		assert_memory_equal(a.ptr, b.ptr, a.len);
}

static void assert_global(const struct apf_global *a, const struct apf_global *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->want_reply, b->want_reply);
	assert_span(a->host, b->host);
	assert_int_equal(a->port, b->port);
	assert_span(a->originator, b->originator);
	assert_int_equal(a->originator_port, b->originator_port);
	assert_span(a->datagram, b->datagram);
}

static void assert_open(const struct apf_open *a, const struct apf_open *b)
{
	assert_span(a->type, b->type);
	assert_int_equal(a->sender, b->sender);
	assert_int_equal(a->window, b->window);
	assert_span(a->host, b->host);
	assert_int_equal(a->port, b->port);
	assert_span(a->originator, b->originator);
	assert_int_equal(a->originator_port, b->originator_port);
}

static void assert_auth(const struct apf_userauth *a, const struct apf_userauth *b)
{
	assert_span(a->user, b->user);
	assert_span(a->service, b->service);
	assert_span(a->method, b->method);
	assert_span(a->password, b->password);
	assert_int_equal(a->change, b->change);
}

static void assert_version(const struct apf_msg *a, const struct apf_msg *b)
{
	assert_int_equal(a->version.major, b->version.major);
	assert_int_equal(a->version.minor, b->version.minor);
	assert_int_equal(a->version.trigger, b->version.trigger);
	assert_true(guid_equal(&a->version.guid, &b->version.guid));
}

static void assert_msg(const struct apf_msg *a, const struct apf_msg *b)
{
	assert_int_equal(a->type, b->type);
	switch (a->type) {
	case APF_SERVICE_REQUEST:
	case APF_SERVICE_ACCEPT:
		assert_span(a->service, b->service);
		break;
	case APF_USERAUTH_REQUEST:
		assert_auth(&a->auth, &b->auth);
		break;
	case APF_USERAUTH_FAILURE:
		assert_span(a->auth_failure.methods, b->auth_failure.methods);
		assert_int_equal(a->auth_failure.partial, b->auth_failure.partial);
		break;
	case APF_GLOBAL_REQUEST:
		assert_global(&a->global, &b->global);
		break;
	case APF_CHANNEL_OPEN:
		assert_open(&a->open, &b->open);
		break;
	case APF_VERSION:
		assert_version(a, b);
		break;
	case APF_CHANNEL_CONFIRM: /* three numbers; the others have at most two, the rest is zero in both */
		assert_int_equal(a->confirm.window, b->confirm.window);
		/* fall through */
	default:
		assert_int_equal(a->channel.recipient, b->channel.recipient);
		assert_int_equal(a->channel.len, b->channel.len);
	}
}

/* What the receiver of this vector knows. */
static bool wants_port(const struct apf_vector *v)
{
	return v->msg.type == APF_REQUEST_SUCCESS && v->msg.success.has_port;
}

/* The message alone in memory of its size, with what the receiver of this vector knows. */
static ssize_t unpack(const struct apf_vector *v, const uint8_t *octets, size_t len,
                      struct apf_msg *m)
{
	const struct apf_unpack_opts opts = {.caps = &apf_caps_default,
	                                     .success_has_port = wants_port(v)};
	uint8_t *exact = malloc(len + 1);
	size_t need = 0;
	ssize_t n;

	assert_non_null(exact);
	memcpy(exact + 1, octets, len);
	n = apf_unpack(span_of(exact + 1, len), &opts, m, &need);
	if (n == -ERR_MORE) {
		assert_true(need > len);
		assert_true(need <= v->len);
	}
	free(exact);
	return n;
}

static size_t message_len(const struct apf_vector *v)
{
	size_t body = v->body != NULL ? strlen(v->body) : 0;

	return v->len - body - (v->inexact ? 1 : 0);
}

static void test_every_vector_unpacks_to_its_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(apf_vectors); i++) {
		const struct apf_vector *v = &apf_vectors[i];
		struct span octets = rig_vector_octets(v->name);
		const struct apf_unpack_opts opts = {.caps = &apf_caps_default,
		                                     .success_has_port = wants_port(v)};
		struct apf_msg m;
		size_t need = 0;
		ssize_t n = apf_unpack(octets, &opts, &m, &need);

		assert_int_equal(n, message_len(v));
		assert_msg(&m, &v->msg);
		if (v->body != NULL)
			assert_span(span_of(octets.ptr + n, octets.len - (size_t)n),
			            span_str(v->body));
	}
}

static void test_every_vector_packs_to_its_octets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(apf_vectors); i++) {
		const struct apf_vector *v = &apf_vectors[i];
		struct span octets = rig_vector_octets(v->name);
		size_t len = message_len(v);
		uint8_t out[128];

		assert_int_equal(apf_pack(out, sizeof(out), &v->msg), len);
		assert_memory_equal(out, octets.ptr, len);
		for (size_t size = 0; size < len; size++)
			assert_int_equal(apf_pack(out, size, &v->msg), -ERR_TOO_BIG);
		assert_int_equal(apf_pack(out, len, &v->msg), len);
	}
}

static void test_every_vector_cut_short_asks_for_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(apf_vectors); i++) {
		const struct apf_vector *v = &apf_vectors[i];
		struct span octets = rig_vector_octets(v->name);
		struct apf_msg m;

		for (size_t len = 0; len < message_len(v); len++)
			assert_int_equal(unpack(v, octets.ptr, len, &m), -ERR_MORE);
		assert_int_equal(unpack(v, octets.ptr, message_len(v), &m), message_len(v));
	}
}

static void test_a_message_ends_exactly(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(apf_vectors); i++) {
		const struct apf_vector *v = &apf_vectors[i];
		struct span octets = rig_vector_octets(v->name);
		uint8_t more[256];
		struct apf_msg m;

		memcpy(more, octets.ptr, octets.len);
		memset(more + octets.len, 0xd0, 5);
		assert_int_equal(unpack(v, more, octets.len + 5, &m), message_len(v));
	}
}

static void test_guid_order(void **state)
{
	char text[GUID_TEXT_LEN + 1];

	(void)state;
	guid_format(&rig_vector("V01")->msg.version.guid, text);
	assert_string_equal(text, "4c4c4544-0039-3410-8052-b4c04f4e5a31");
	guid_format(&rig_vector("FIELD")->msg.version.guid, text);
	assert_string_equal(text, "4c4c4544-004d-4d10-8050-b2c04f325133");
}

static ssize_t unpack_hex(const char *hex)
{
	const struct apf_unpack_opts opts = {.caps = &apf_caps_default};
	struct apf_msg m;
	size_t need = 0;

	return apf_unpack(rig_hex(hex), &opts, &m, &need);
}

static void test_lengths_above_a_cap_fail_at_the_length(void **state)
{
	(void)state;
	assert_int_equal(unpack_hex("05 00000040"), -ERR_MORE);
	assert_int_equal(unpack_hex("05 00000041"), -ERR_TOO_BIG);
	assert_int_equal(unpack_hex("05 ffffffff"), -ERR_TOO_BIG);
	assert_int_equal(unpack_hex("32 00000080"), -ERR_MORE);
	assert_int_equal(unpack_hex("32 00000081"), -ERR_TOO_BIG);
	assert_int_equal(unpack_hex("32 00000000 00000041"), -ERR_TOO_BIG);
	assert_int_equal(unpack_hex("32 00000000 00000000 00000021"), -ERR_TOO_BIG);
	assert_int_equal(unpack_hex("32 00000000 00000000 00000008 70617373776f7264 00 00000040"),
	                 -ERR_MORE);
	assert_int_equal(unpack_hex("32 00000000 00000000 00000008 70617373776f7264 00 00000041"),
	                 -ERR_TOO_BIG);
	assert_int_equal(unpack_hex("33 00000041"), -ERR_TOO_BIG);
	assert_int_equal(unpack_hex("50 00000041"), -ERR_TOO_BIG);
	assert_int_equal(unpack_hex("50" HEX_FORWARD "01 000000ff"), -ERR_MORE);
	assert_int_equal(unpack_hex("50" HEX_FORWARD "01 00000100"), -ERR_TOO_BIG);
	assert_int_equal(unpack_hex("5a 00000021"), -ERR_TOO_BIG);
	assert_int_equal(unpack_hex("5a 00000000 00000001 00000001 ffffffff 00000100"),
	                 -ERR_TOO_BIG);
	assert_int_equal(
		unpack_hex("5a 00000000 00000001 00000001 ffffffff 00000000 00000001 00000100"),
		-ERR_TOO_BIG);
	assert_int_equal(unpack_hex("5e 00000001 00100000"), 9);
	assert_int_equal(unpack_hex("5e 00000001 00100001"), -ERR_TOO_BIG);
	assert_int_equal(unpack_hex("fa 00010000"), 5);
	assert_int_equal(unpack_hex("fa 00010001"), -ERR_TOO_BIG);
}

static void test_unknown_types_and_requests(void **state)
{
	unsigned known = 0;
	struct apf_msg m = {0};
	uint8_t out[16];

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		uint8_t octet = (uint8_t)type;
		const struct apf_unpack_opts opts = {.caps = &apf_caps_default};
		size_t need = 0;
		ssize_t n = apf_unpack(span_of(&octet, 1), &opts, &m, &need);

		assert_true((n == -ERR_UNSUPPORTED) == (apf_type_name(octet) == NULL));
		known += apf_type_name(octet) != NULL;
	}
	assert_int_equal(known, 21);
	assert_int_equal(unpack_hex("50 00000003 666f6f"), -ERR_UNSUPPORTED);
	assert_int_equal(unpack_hex("50 00000000"), -ERR_UNSUPPORTED);
	m.type = 98;
	assert_int_equal(apf_pack(out, sizeof(out), &m), -ERR_UNSUPPORTED);
}

static void test_a_largest_message_fits_the_buffer(void **state)
{
	static uint8_t zeros[2048];
	uint8_t out[APF_MESSAGE_MAX];
	const struct apf_msg auth = {.type = APF_USERAUTH_REQUEST,
	                             .auth = {span_of(zeros, 128), span_of(zeros, 64),
	                                      span_str("password"), span_of(zeros, 2048), false}};
	const struct apf_msg udp = {.type = APF_GLOBAL_REQUEST,
	                            .global = {.kind = APF_REQUEST_UDP_SEND,
	                                       .host = span_of(zeros, 255),
	                                       .originator = span_of(zeros, 255),
	                                       .datagram = span_of(zeros, 2048)}};
	const struct apf_unpack_opts opts = {.caps = &apf_caps_agent};
	struct apf_msg m;
	size_t need = 0;
	ssize_t n;

	(void)state;
	n = apf_pack(out, sizeof(out), &auth);
	assert_true(n > 2048);
	assert_int_equal(apf_unpack(span_of(out, (size_t)n), &opts, &m, &need), n);
	assert_int_equal(m.auth.password.len, 2048);
	n = apf_pack(out, sizeof(out), &udp);
	assert_int_equal(n, 26 + 25 + 255 + 255 + 2048);
	assert_int_equal(apf_unpack(span_of(out, (size_t)n), &opts, &m, &need), n);
}

static void test_http_is_recognised(void **state)
{
	(void)state;
	assert_int_equal(apf_looks_like_http(span_of("", 0)), APF_HTTP_MORE);
	assert_int_equal(apf_looks_like_http(span_str("G")), APF_HTTP_MORE);
	assert_int_equal(apf_looks_like_http(span_str("GET")), APF_HTTP_MORE);
	assert_int_equal(apf_looks_like_http(span_str("HEAD")), APF_HTTP_MORE);
	assert_int_equal(apf_looks_like_http(span_str("GET /")), APF_HTTP_YES);
	assert_int_equal(apf_looks_like_http(span_str("HEAD / HTTP/1.1")), APF_HTTP_YES);
	assert_int_equal(apf_looks_like_http(span_str("GETS ")), APF_HTTP_NO);
	assert_int_equal(apf_looks_like_http(span_str("\n")), APF_HTTP_NO);
	assert_int_equal(apf_looks_like_http(rig_vector_octets("V01")), APF_HTTP_NO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_vector_unpacks_to_its_fields),
		cmocka_unit_test(test_every_vector_packs_to_its_octets),
		cmocka_unit_test(test_every_vector_cut_short_asks_for_more),
		cmocka_unit_test(test_a_message_ends_exactly),
		cmocka_unit_test(test_guid_order),
		cmocka_unit_test(test_lengths_above_a_cap_fail_at_the_length),
		cmocka_unit_test(test_unknown_types_and_requests),
		cmocka_unit_test(test_a_largest_message_fits_the_buffer),
		cmocka_unit_test(test_http_is_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
