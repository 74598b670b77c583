/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The filter language: what it accepts, what it refuses and where, and what matches. */
#include "mgmtapi/filter.h"
#include "core/err.h"
#include "tests/unit/support/test.h"

#include <stdio.h>
#include <string.h>

static const char *const yes_no[] = {"true", "false", NULL};
static const struct filter_field fields[] = {
	{.name = "name"},
	{.name = "connected", .choices = yes_no},
	{.name = "label", .keyed = true},
};
static const struct filter_schema schema = {fields, ARRAY_LEN(fields)};

static const char *value_of(const void *thing, const struct filter_cond *cond,
                            char scratch[FILTER_SCRATCH])
{
	const char *const *values = thing;

	(void)snprintf(scratch, FILTER_SCRATCH, "%s-value", cond->key);
	return cond->field == 2 ? scratch : values[cond->field];
}

static int parse(const char *text, struct filter *f, char *why, size_t size)
{
	struct buf b;
	int err;

	buf_init(&b, 1024);
	err = filter_parse(text, &schema, f, &b);
	(void)snprintf(why, size, "%s", buf_cstr(&b));
	buf_free(&b);
	return err;
}

static bool matches(const char *text, const char *name, const char *connected)
{
	const char *const thing[] = {name, connected};
	static struct filter f;
	char why[1024];

	assert_int_equal(parse(text, &f, why, sizeof(why)), 0);
	return filter_matches(&f, value_of, thing);
}

static void test_matches(void **state)
{
	(void)state;
	assert_true(matches("", "pc", "true"));
	assert_true(matches("  ", "pc", "true"));
	assert_true(matches("name=pc AND connected=true", "pc", "true"));
	assert_false(matches("name=pc AND connected=true", "pc", "false"));
	assert_true(matches("name!=pc", "mac", "true"));
	assert_true(matches("name=P*-1*7", "pc-1997", "true"));
	assert_false(matches("name=p*8", "pc-1997", "true"));
	assert_true(matches("name=\"two words\" AND connected != false", "Two Words", "true"));
	assert_true(matches("name=\"a\\\"b\\\\\"", "a\"b\\", "true"));
	assert_true(matches("label.site/x=site/x-*", "", "true"));
	assert_true(matches("name=\"\"", "", "true"));
	assert_true(matches("name=*", "", "true"));
}

static void test_says_what_is_wrong_and_where(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"name", "character 5: expected = or !="},
		{"=x", "character 1: expected FIELD=VALUE"},
		{"nope=1", "there are name, connected, label.KEY"},
		{"label=1", "no such field"},
		{"label.=1", "no such field"},
		{"connected=maybe", "true, false"},
		{"name=a b", "expected AND"},
		{"name=a AND", "expected AND"},
		{"name=a AND ", "expected FIELD=VALUE"},
		{"name=", "expected a value"},
		{"name=\"a", "the quote has no end"},
		{"name=a\"b", "put the whole value in quotes"},
		{"name=\"a\"AND name=b", "expected AND"},
	};
	static struct filter f;
	char why[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(parse(bad[i].text, &f, why, sizeof(why)), -ERR_INVALID);
		if (strstr(why, bad[i].says) == NULL)
			fail_msg("%s: says \"%s\"", bad[i].text, why);
	}
}

static void test_limits(void **state)
{
	static struct filter f;
	static char text[4096];
	char why[1024];

	(void)state;
	for (unsigned i = 0; i < FILTER_CONDS_MAX; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%sname=a",
		               i > 0 ? " AND " : "");
	assert_int_equal(parse(text, &f, why, sizeof(why)), 0);
	assert_int_equal(f.conds_len, FILTER_CONDS_MAX);
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), " AND name=a");
	assert_int_equal(parse(text, &f, why, sizeof(why)), -ERR_INVALID);
	memset(text, 'a', 3000);
	memcpy(text, "name=", 5);
	text[5 + FILTER_VALUE_MAX] = '\0';
	assert_int_equal(parse(text, &f, why, sizeof(why)), 0);
	text[5 + FILTER_VALUE_MAX] = 'a';
	text[6 + FILTER_VALUE_MAX] = '\0';
	assert_int_equal(parse(text, &f, why, sizeof(why)), -ERR_INVALID);
	text[6 + FILTER_VALUE_MAX] = 'a';
	assert_int_equal(parse(text, &f, why, sizeof(why)), -ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_says_what_is_wrong_and_where),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
