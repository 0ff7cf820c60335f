/* Members set in the bodies of a batch's lines (contract 11.1, override): which bytes change, and that
 * jansson reads the same. */
#include "unit.h"

/* Two libraries, one set of names: in this file jansson's types are called otherwise. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_TRUE JANSSON_TRUE
#define JSON_FALSE JANSSON_FALSE
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL

#include "batch/override.h"

/* Reads a body that ends where its memory ends; NULL: refused. */
static char *applied(const char *override, struct slice body)
{
	unsigned n;
	struct override *o = override_new(override, &n);
	struct buf to = BUF(1u << 20);
	char *copy = malloc(body.n > 0 ? body.n : 1);

	assert_non_null(o);
	assert_non_null(copy);
	memcpy(copy, body.p, body.n);
	bool ok = override_apply(o, (struct slice){ copy, body.n }, &to);
	free(copy);
	override_free(o);
	buf_char(&to, '\0');
	assert_false(to.failed);
	if (ok)
		return to.p;
	buf_free(&to);
	return NULL;
}

static void members_are_set_and_the_rest_keeps_its_bytes(void **state)
{
	static const struct {
		const char *override, *body, *expected;
	} rows[] = {
		{ "{\"model\":\"m-2\",\"n\":1}", "{\"n\": 4, \"model\":\"m-1\" ,\"x\":[ 1.0]}",
		  "{\"n\": 1, \"model\":\"m-2\" ,\"x\":[ 1.0]}" },
		/* what it lacks stands behind its last member, before the space there */
		{ "{\"b\":2,\"c\":[3]}", "{ \"a\" : 1.0 }", "{ \"a\" : 1.0,\"b\":2,\"c\":[3] }" },
		{ "{\"b\":2}", "{}", "{\"b\":2}" },
		{ "{\"b\":2}", "{ \n}", "{\"b\":2 \n}" },
		{ "{}", "{\"a\":1}", "{\"a\":1}" },
		/* more than once, and however it is written */
		{ "{\"a\":9}", "{\"a\":1,\"b\":{\"a\":2},\"a\":[{\"a\":3}]}",
		  "{\"a\":9,\"b\":{\"a\":2}}" },
		{ "{\"a\":9}", "{\"a\":1 , \"a\" : 2, \"\\u0061\":3 ,\"b\":4, \"a\":5 }",
		  "{\"a\":9 ,\"b\":4 }" },
		{ "{\"a\":9,\"c\":8}", "{\"b\":0, \"a\":1,\"a\":2}", "{\"b\":0, \"a\":9,\"c\":8}" },
		{ "{\"m\\u006fdel\":\"x\"}", "{\"model\":\"y\"}", "{\"model\":\"x\"}" },
		{ "{\"model\":\"x\"}", "{\"\\u006dodel\":\"y\"}", "{\"\\u006dodel\":\"x\"}" },
		{ "{\"a\\\"\":1}", "{\"b\":2}", "{\"b\":2,\"a\\\"\":1}" },
		{ "{\"\":1}", "{\"\":2,\"a\":3}", "{\"\":1,\"a\":3}" },
		/* numbers, escapes and texts that look like members */
		{ "{\"seed\":18446744073709551616}",
		  "{\"x\":\"\\u00e9 \\\"seed\\\":1\",\"y\":9223372036854775808}",
		  "{\"x\":\"\\u00e9 \\\"seed\\\":1\",\"y\":9223372036854775808,"
		  "\"seed\":18446744073709551616}" },
		/* of a member that the override has twice the last counts */
		{ "{\"a\":1,\"a\":null}", "{\"a\":0}", "{\"a\":null}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *got = applied(rows[i].override, slice_of(rows[i].body));
		assert_non_null(got);
		assert_string_equal(got, rows[i].expected);
		free(got);
	}
	assert_null(applied("{\"a\":1}", SLICE("[1]")));
	assert_null(applied("{\"a\":1}", SLICE("{\"a\":1")));
	assert_null(applied("{\"a\":1}", SLICE("")));
}

static void its_own_text_is_read(void **state)
{
	AUTO(buf_free) struct buf text = BUF(4096);
	struct slice value;
	unsigned n;

	(void)state;
	struct override *o = override_new("{\"model\":\"m\\u00e9\",\"n\":1,\"n\":2,\"x\":{}}", &n);
	assert_non_null(o);
	assert_int_equal(n, 3);
	assert_int_equal(override_bytes(o), 9 + 1 + 2);
	assert_int_equal(override_member(o, "n", &value), JSON_NUMBER);
	assert_true(slice_is(value, "2"));
	assert_int_equal(override_member(o, "y", &value), JSON_BAD);
	assert_int_equal(override_member(NULL, "n", &value), JSON_BAD);
	char *model = override_text(o, "model");
	assert_string_equal(model, "mé");
	free(model);
	assert_null(override_text(o, "n"));
	override_free(o);
	override_free(NULL);
	assert_null(override_new("[]", &n));
	assert_null(override_new("{", &n));
	assert_true(n <= OVERRIDE_MEMBERS_MAX);
	for (unsigned i = 0; i <= OVERRIDE_MEMBERS_MAX; i++)
		buf_printf(&text, "%c\"%u\":0", i == 0 ? '{' : ',', i);
	buf_text(&text, "}");
	buf_char(&text, '\0');
	assert_null(override_new(text.p, &n));
	assert_true(n > OVERRIDE_MEMBERS_MAX);
}

/* ---- jansson agrees ---- */

static uint64_t seed = 1;

static uint32_t any(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(((seed >> 33) * below) >> 31);
}

/* The same key in several spellings is one row. */
static const char *const keys[][3] = {
	{ "model", "m\\u006fdel", "\\u006dodel" },
	{ "n", "\\u006e", "n" },
	{ "a\\\"b", "a\\u0022b", "a\\\"b" },
	{ "é", "\\u00e9", "\\u00E9" },
	{ "x", "x", "x" },
	{ "messages", "messages", "messages" },
};
static const char *const values[] = {
	"1",
	"1.0",
	"-0",
	"\"\"",
	"\"a\\\"},{:\"",
	"[1,{\"n\":2}]",
	"{\"model\":\"in\"}",
	"null",
	"true",
	"\"\\u0061é\"",
	"[ ]",
	"1e5",
	"{ }",
	"9007199254740993",
};
static const char *const spaces[] = { "", "", "", " ", "\n", "\t ", "\r\n" };

static const char *space(void)
{
	return spaces[any(ARRAY_LEN(spaces))];
}

/* A body, and what it has to become, by another way than override_apply() goes. */
static void body_make(const int set[ARRAY_LEN(keys)], struct buf *body, struct buf *expected)
{
	bool there[ARRAY_LEN(keys)] = { false };
	unsigned members = any(8);

	buf_printf(body, "{%s", members > 0 ? space() : "");
	buf_add(expected, buf_slice(body));
	for (unsigned i = 0; i < members; i++) {
		unsigned k = any(ARRAY_LEN(keys));
		AUTO(buf_free) struct buf head = BUF(1000);
		buf_printf(&head, "%s%s\"%s\"%s:%s", i > 0 ? space() : "", i > 0 ? "," : "",
			   keys[k][any(3)], space(), space());
		const char *value = values[any(ARRAY_LEN(values))];
		buf_add(body, buf_slice(&head));
		buf_text(body, value);
		if (set[k] >= 0 && there[k])
			continue; /* it is set once */
		buf_add(expected, buf_slice(&head));
		buf_text(expected, set[k] >= 0 ? values[set[k]] : value);
		there[k] = true;
	}
	for (size_t k = 0; k < ARRAY_LEN(keys); k++)
		if (set[k] >= 0 && !there[k])
			buf_printf(expected, "%s\"%s\":%s", members++ > 0 ? "," : "", keys[k][0],
				   values[set[k]]);
	const char *after = space();
	buf_printf(body, "%s}", after);
	buf_printf(expected, "%s}", after);
	buf_char(expected, '\0');
}

static json_t *read_json(const char *p, size_t n)
{
	return json_loadb(p, n, JSON_DECODE_INT_AS_REAL, NULL);
}

static void jansson_reads_the_same(void **state)
{
	(void)state;
	for (int round = 0; round < 20000; round++) {
		AUTO(buf_free) struct buf text = BUF(4000), body = BUF(8000), expected = BUF(16000);
		int set[ARRAY_LEN(keys)];
		bool first = true;
		buf_char(&text, '{');
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			set[k] = any(3) == 0 ? (int)any(ARRAY_LEN(values)) : -1;
			if (set[k] < 0)
				continue;
			buf_printf(&text, "%s\"%s\":%s", first ? "" : ",", keys[k][0],
				   values[set[k]]);
			first = false;
		}
		buf_text(&text, "}");
		buf_char(&text, '\0');
		body_make(set, &body, &expected);
		assert_false(text.failed || body.failed || expected.failed);
		char *got = applied(text.p, buf_slice(&body));
		assert_non_null(got);
		assert_string_equal(got, expected.p);
		json_t *before = read_json(body.p, body.n), *sets = read_json(text.p, text.n - 1),
		       *after = read_json(got, strlen(got));
		assert_true(before != NULL && sets != NULL && after != NULL);
		assert_int_equal(json_object_update(before, sets), 0);
		assert_true(json_equal(before, after));
		json_decref(before);
		json_decref(sets);
		json_decref(after);
		free(got);
	}
}

/* What is no JSON is refused, and what is made of the rest is JSON. */
static void mutants_make_json_or_nothing(void **state)
{
	static const char base[] =
		"{\"model\":\"m\",\"n\" : [1,{\"a\":\"\\u0041\"}] , \"x\":-1.5e3}";
	static const char bytes[] = "{}[]\",:\\u0 1a\n.-e\x80\xc3";

	(void)state;
	for (int round = 0; round < 50000; round++) {
		char text[sizeof(base)];
		memcpy(text, base, sizeof(base));
		for (unsigned i = 0; i < 1 + any(4); i++)
			text[any(sizeof(base) - 1)] = bytes[any(sizeof(bytes) - 1)];
		size_t n = 1 + any(sizeof(base) - 1);
		n = any(4) == 0 ? n : sizeof(base) - 1;
		char *got = applied("{\"n\":1,\"y\":[true]}", (struct slice){ text, n });
		json_t *body = json_loadb(text, n, JSON_DECODE_INT_AS_REAL, NULL);
		if (body != NULL && json_is_object(body))
			assert_non_null(got);
		if (got != NULL && body != NULL) {
			json_t *after = read_json(got, strlen(got));
			assert_non_null(after);
			assert_int_equal(json_object_set_new(body, "n", json_real(1)), 0);
			json_t *y = json_pack("[b]", 1);
			assert_int_equal(json_object_set_new(body, "y", y), 0);
			assert_true(json_equal(body, after));
			json_decref(after);
		}
		json_decref(body);
		free(got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_set_and_the_rest_keeps_its_bytes),
		cmocka_unit_test(its_own_text_is_read),
		cmocka_unit_test(jansson_reads_the_same),
		cmocka_unit_test(mutants_make_json_or_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
