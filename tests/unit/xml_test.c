/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/err.h"
#include "tests/unit/support/test.h"
#include "wire/xml.h"

#include <stdlib.h>
#include <string.h>

/* Parses an exact heap copy, so that the sanitizer sees a read beyond it. */
static int parse_copy(struct xml_doc *doc, struct span text, const struct xml_limits *limits)
{
	uint8_t *copy = malloc(text.len + 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, text.ptr, text.len);
	r = xml_parse(doc, span_of(copy, text.len), limits);
	free(copy);
	return r;
}

static int parse_str(struct xml_doc *doc, const char *text)
{
	return parse_copy(doc, span_str(text), NULL);
}

static void refused(const char *text, int err)
{
	struct xml_doc doc;
	int r = parse_str(&doc, text);

	if (r != err)
		fail_msg("%s: %d, not %d", text, r, err);
	assert_null(doc.root);
	assert_non_null(doc.error);
	assert_int_equal(doc.blocks_len, 0);
	xml_free(&doc);
}

static void normalized(const char *text, const char *want)
{
	struct buf b, again;

	buf_init(&b, 100000);
	buf_init(&again, 100000);
	assert_int_equal(xml_normalize(span_str(text), NULL, &b), 0);
	assert_string_equal(buf_cstr(&b), want);
	/* What was written reads back the same. */
	assert_int_equal(xml_normalize(buf_span(&b), NULL, &again), 0);
	assert_string_equal(buf_cstr(&again), want);
	buf_free(&b);
	buf_free(&again);
}

static void test_tree(void **state)
{
	struct xml_doc doc;
	const struct xml_node *n;
	uint32_t v;

	(void)state;
	assert_int_equal(
		parse_str(&doc, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><a:r "
	                        "xmlns:a=\"urn:a\" xmlns=\"urn:d\">"
	                        "\n <p x=\"1\" a:y=\"&lt;2&gt;\">t&amp;<![CDATA[<u>]]>&#65;</p>\n "
	                        "<q/><a:p> 7 </a:p></a:r>"),
		0);
	assert_true(xml_is(doc.root, "urn:a", "r"));
	assert_string_equal(doc.root->text, "");
	n = xml_child(doc.root, "p");
	assert_true(xml_is(n, "urn:d", "p"));
	assert_string_equal(n->text, "t&<u>A");
	assert_int_equal(n->text_len, 6);
	assert_string_equal(xml_attr(n, "x"), "1");
	assert_string_equal(n->attrs->ns, "");
	assert_string_equal(xml_attr(n, "y"), "<2>");
	assert_string_equal(n->attrs->next->ns, "urn:a");
	assert_null(xml_attr(n, "z"));
	n = xml_next(n, "p");
	assert_true(n == xml_child_ns(doc.root, "urn:a", "p"));
	assert_int_equal(xml_u32(n, &v), 0);
	assert_int_equal(v, 7);
	assert_null(xml_next(n, "p"));
	assert_string_equal(xml_child_text(doc.root, "q"), "");
	assert_null(xml_child_text(doc.root, "none"));
	assert_true(n->parent == doc.root);
	xml_free(&doc);
	xml_free(&doc);
}

static void test_null_is_harmless(void **state)
{
	uint64_t v;
	bool b;

	(void)state;
	assert_null(xml_child(NULL, "x"));
	assert_null(xml_next(NULL, "x"));
	assert_null(xml_child_ns(NULL, "", "x"));
	assert_null(xml_attr(NULL, "x"));
	assert_null(xml_text(NULL));
	assert_false(xml_is(NULL, "", "x"));
	assert_int_equal(xml_u64(NULL, &v), -ERR_NOT_FOUND);
	assert_int_equal(xml_bool(NULL, &b), -ERR_NOT_FOUND);
}

static void test_values(void **state)
{
	struct xml_doc doc;
	int64_t i;
	uint64_t u64;
	uint32_t u32;
	bool b;

	(void)state;
	assert_int_equal(
		parse_str(&doc,
	                  "<r><a>-9223372036854775808</a><b>9223372036854775808</b><c>4294967296</"
	                  "c><d>"
	                  "\n true </d><e>0</e><f>yes</f><g></g><h>-1</h><i>-0</i><j>1 2</j></r>"),
		0);
	assert_int_equal(xml_i64(xml_child(doc.root, "a"), &i), 0);
	assert_true(i == INT64_MIN);
	assert_int_equal(xml_i64(xml_child(doc.root, "b"), &i), -ERR_INVALID);
	assert_int_equal(xml_u64(xml_child(doc.root, "b"), &u64), 0);
	assert_true(u64 == 9223372036854775808ULL);
	assert_int_equal(xml_u32(xml_child(doc.root, "c"), &u32), -ERR_INVALID);
	assert_int_equal(xml_bool(xml_child(doc.root, "d"), &b), 0);
	assert_true(b);
	assert_int_equal(xml_bool(xml_child(doc.root, "e"), &b), 0);
	assert_false(b);
	assert_int_equal(xml_bool(xml_child(doc.root, "f"), &b), -ERR_INVALID);
	assert_int_equal(xml_bool(xml_child(doc.root, "g"), &b), -ERR_INVALID);
	assert_int_equal(xml_u64(xml_child(doc.root, "g"), &u64), -ERR_INVALID);
	assert_int_equal(xml_u64(xml_child(doc.root, "h"), &u64), -ERR_INVALID);
	assert_int_equal(xml_i64(xml_child(doc.root, "h"), &i), 0);
	assert_int_equal(i, -1);
	assert_int_equal(xml_i64(xml_child(doc.root, "i"), &i), 0);
	assert_int_equal(xml_u64(xml_child(doc.root, "j"), &u64), -ERR_INVALID);
	xml_free(&doc);
}

static void test_qnames(void **state)
{
	struct xml_doc doc;
	const char *local;
	const struct xml_node *n;

	(void)state;
	assert_int_equal(parse_str(&doc, "<r xmlns=\"urn:d\" xmlns:p=\"urn:1\"><a "
	                                 "xmlns:p=\"urn:2\">p:x</a><b>p:y</b></r>"),
	                 0);
	n = xml_child(doc.root, "a");
	assert_string_equal(xml_resolve(n, n->text, &local), "urn:2");
	assert_string_equal(local, "x");
	n = xml_child(doc.root, "b");
	assert_string_equal(xml_resolve(n, n->text, &local), "urn:1");
	assert_string_equal(xml_resolve(n, "plain", &local), "urn:d");
	assert_string_equal(xml_resolve(n, "q:z", &local), "");
	assert_string_equal(local, "z");
	xml_free(&doc);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"x",
		"<a>",
		"<a></b>",
		"<a/><b/>",
		"<a/>x",
		" <?xml version=\"1.0\"?><a/>",
		"<p:a/>",
		"<a x=\"1\" x=\"2\"/>",
		"<a>&undefined;</a>",
		"<a>&#0;</a>",
		"<a>\xff</a>",
		"<a>\xed\xa0\x80</a>",
		"<a>\x01</a>",
		"<!DOCTYPE a><a/>",
		"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
		"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
		"<!DOCTYPE a [<!ENTITY % x SYSTEM \"http://127.0.0.1/\"> %x;]><a/>",
		"<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b "
		"\"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
		"<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">]><a>&c;</a>",
		"<!DOCTYPE a [<!ATTLIST a b CDATA \"c\">]><a/>",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		refused(bad[i], -ERR_PROTOCOL);
}

/* Every shorter text is refused, and cleanly. */
static void test_truncated(void **state)
{
	const char *text =
		"<a:r xmlns:a=\"urn:a\"><b c=\"d\">e&amp;<![CDATA[f]]></b><!-- g --><h/></a:r>";
	struct xml_doc doc;

	(void)state;
	for (size_t n = 0; n < strlen(text); n++)
		assert_int_equal(parse_copy(&doc, span_of(text, n), NULL), -ERR_PROTOCOL);
	assert_int_equal(parse_str(&doc, text), 0);
	xml_free(&doc);
}

/* n times open, then body, then n times close. */
static void repeat(struct buf *b, unsigned n, const char *text)
{
	for (unsigned i = 0; i < n; i++)
		buf_put_str(b, text);
}

static int parse_buf(struct buf *b)
{
	struct xml_doc doc;
	int r = parse_copy(&doc, buf_span(b), NULL);

	assert_int_equal(b->err, 0);
	xml_free(&doc);
	buf_free(b);
	return r;
}

static void test_depth_limit(void **state)
{
	struct buf b;

	(void)state;
	for (unsigned n = XML_DEPTH_MAX; n <= XML_DEPTH_MAX + 1; n++) {
		buf_init(&b, 1 << 20);
		repeat(&b, n, "<a>");
		repeat(&b, n, "</a>");
		assert_int_equal(parse_buf(&b), n == XML_DEPTH_MAX ? 0 : -ERR_TOO_BIG);
	}
	buf_init(&b, 1 << 20);
	repeat(&b, 200000, "<a>");
	assert_int_equal(parse_buf(&b), -ERR_TOO_BIG);
}

static void test_element_limit(void **state)
{
	struct buf b;

	(void)state;
	for (unsigned n = XML_ELEMENTS_MAX; n <= XML_ELEMENTS_MAX + 1; n++) {
		buf_init(&b, 1 << 20);
		buf_put_str(&b, "<r>");
		repeat(&b, n - 1, "<a/>");
		buf_put_str(&b, "</r>");
		assert_int_equal(parse_buf(&b), n == XML_ELEMENTS_MAX ? 0 : -ERR_TOO_BIG);
	}
}

static void test_attribute_limit(void **state)
{
	struct buf b;

	(void)state;
	for (unsigned n = XML_ATTRS_MAX; n <= XML_ATTRS_MAX + 1; n++) {
		buf_init(&b, 1 << 20);
		buf_put_str(&b, "<r");
		for (unsigned i = 0; i < n; i++)
			buf_printf(&b, " a%u=\"\"", i);
		buf_put_str(&b, "/>");
		assert_int_equal(parse_buf(&b), n == XML_ATTRS_MAX ? 0 : -ERR_TOO_BIG);
	}
}

static void test_text_limit(void **state)
{
	struct buf b;

	(void)state;
	for (unsigned n = XML_TEXT_MAX; n <= XML_TEXT_MAX + 1; n++) {
		buf_init(&b, 2 << 20);
		buf_put_str(&b, "<r>");
		repeat(&b, n - 7, "x");
		buf_put_str(&b, "</r>");
		assert_int_equal(parse_buf(&b), n == XML_TEXT_MAX ? 0 : -ERR_TOO_BIG);
	}
}

static void test_name_and_namespace_limits(void **state)
{
	struct buf b;

	(void)state;
	for (unsigned n = XML_NAME_MAX; n <= XML_NAME_MAX + 1; n++) {
		buf_init(&b, 1 << 20);
		buf_put_str(&b, "<");
		repeat(&b, n, "n");
		buf_put_str(&b, "/>");
		assert_int_equal(parse_buf(&b), n == XML_NAME_MAX ? 0 : -ERR_TOO_BIG);
	}
	for (unsigned n = XML_URI_MAX; n <= XML_URI_MAX + 1; n++) {
		buf_init(&b, 1 << 20);
		buf_put_str(&b, "<r xmlns=\"");
		repeat(&b, n, "u");
		buf_put_str(&b, "\"/>");
		assert_int_equal(parse_buf(&b), n == XML_URI_MAX ? 0 : -ERR_TOO_BIG);
	}
	for (unsigned n = XML_NAMESPACES_MAX; n <= XML_NAMESPACES_MAX + 1; n++) {
		buf_init(&b, 1 << 20);
		buf_put_str(&b, "<r>");
		for (unsigned i = 0; i < n; i++)
			buf_printf(&b, "<a xmlns=\"urn:%u\"/>", i);
		buf_put_str(&b, "</r>");
		assert_int_equal(parse_buf(&b), n == XML_NAMESPACES_MAX ? 0 : -ERR_TOO_BIG);
	}
}

static void test_subtree_as_text(void **state)
{
	(void)state;
	normalized("<a/>", "<a></a>");
	normalized("<p:a xmlns:p=\"urn:p\" "
	           "xmlns:q=\"urn:q\">\n<p:b>1</p:b>\n<q:c><q:d/></q:c><e/><p:b>2</p:b></p:a>",
	           "<a xmlns=\"urn:p\"><b>1</b><c xmlns=\"urn:q\"><d></d></c><e "
	           "xmlns=\"\"></e><b>2</b></a>");
	normalized("<a x='&quot;&#10;&lt;' xml:lang=\"en\" xmlns:i=\"urn:i\" "
	           "i:nil=\"true\">&lt;&amp;&gt;\"&#13;</a>",
	           "<a x=\"&quot;&#10;&lt;\" xml:lang=\"en\" xmlns:a0=\"urn:i\" a0:nil=\"true\">"
	           "&lt;&amp;&gt;&quot;&#13;</a>");
	normalized("<a> \xc3\xa4\xf0\x9f\x98\x80 </a>", "<a> \xc3\xa4\xf0\x9f\x98\x80 </a>");
	normalized("<a>  </a>", "<a>  </a>");
}

static void test_normalize_refuses(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(xml_normalize(span_str("<a></a></a:Body>"), NULL, &b), -ERR_PROTOCOL);
	assert_int_equal(xml_normalize(span_str("<a/><b/>"), NULL, &b), -ERR_PROTOCOL);
	assert_int_equal(b.len, 0);
	buf_free(&b);
	buf_init(&b, 3);
	assert_int_equal(xml_normalize(span_str("<a/>"), NULL, &b), -ERR_TOO_BIG);
	buf_free(&b);
}

static void text_refused(const char *text, size_t n)
{
	struct buf b;

	buf_init(&b, 100);
	xml_put_text(&b, span_of(text, n));
	assert_int_equal(b.err, -ERR_INVALID);
	buf_free(&b);
}

static void test_writer(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	xml_put_open_ns(&b, "p:a", "xmlns:p", "urn:\"&");
	xml_put_element_str(&b, "p:b", "<&>\"'");
	xml_put_element_uint(&b, "c", 12);
	xml_put_close(&b, "p:a");
	assert_string_equal(
		buf_cstr(&b),
		"<p:a xmlns:p=\"urn:&quot;&amp;\"><p:b>&lt;&amp;&gt;&quot;'</p:b><c>12</c></p:a>");
	buf_free(&b);
	text_refused("a\0b", 3);
	text_refused("\x01", 1);
	text_refused("\x80", 1);
	text_refused("\xc0\xaf", 2);
	text_refused("\xe0\x80\x80", 3);
	text_refused("\xed\xa0\x80", 3);
	text_refused("\xef\xbf\xbf", 3);
	text_refused("\xf0\x80\x80\x80", 4);
	text_refused("\xf4\x90\x80\x80", 4);
	text_refused("\xc3", 1);
	assert_true(xml_is_name(span_str("RequestPowerStateChange_INPUT")));
	assert_false(xml_is_name(span_str("")));
	assert_false(xml_is_name(span_str("1a")));
	assert_false(xml_is_name(span_str("a b")));
	assert_false(xml_is_name(span_str("a:b")));
	assert_false(xml_is_name(span_str("a>")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_null_is_harmless),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_qnames),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_depth_limit),
		cmocka_unit_test(test_element_limit),
		cmocka_unit_test(test_attribute_limit),
		cmocka_unit_test(test_text_limit),
		cmocka_unit_test(test_name_and_namespace_limits),
		cmocka_unit_test(test_subtree_as_text),
		cmocka_unit_test(test_normalize_refuses),
		cmocka_unit_test(test_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
