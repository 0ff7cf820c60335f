/* The JSON scanner: what it accepts and refuses, what it finds, and that jansson agrees. */
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

#include "base/json.h"

/* A copy that ends where its memory ends: ASan sees a byte read too many. */
static struct slice exact(struct slice text)
{
	char *p = malloc(text.n > 0 ? text.n : 1);

	assert_non_null(p);
	if (text.n > 0)
		memcpy(p, text.p, text.n);
	return (struct slice){ p, text.n };
}

static bool valid(struct slice text)
{
	struct slice copy = exact(text), value;
	struct json j;

	json_init(&j, copy);
	bool ok = json_skip(&j, &value) && json_end(&j);
	if (ok) {
		assert_true(value.p >= copy.p && value.p + value.n <= copy.p + copy.n);
		assert_true(value.n > 0 && value.p[0] != ' ' && value.p[value.n - 1] != ' ');
	}
	free((char *)copy.p);
	return ok;
}

/* ---- what is JSON ---- */

static void accepts_what_the_grammar_has(void **state)
{
	/* clang-format off */
	static const char *const texts[] = {
		"{}", "[]", "\"\"", "0", "-0", "1", "-1", "10", "0.5", "-0.0", "1e5", "1E+5",
		"1e-05", "123456789012345678901234567890", "1.5e300", "1e999",
		"9223372036854775808", "true", "false", "null", " 1 ", "\t\r\n[ ]\n", "[1]",
		"[1,2]", "[ 1 , 2 ]", "[[],{},[[]]]", "{\"a\":1}", "{ \"a\" : 1 , \"b\" : [ ] }",
		"{\"\":0}", "{\"a\":1,\"a\":2}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
		"\"\\u0041\\uabcd\\uABCD\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\\ud800\"",
		"\"\\ud83d\\ude00\"", "\"\x7f\"", "\"é\"", "\"\xc2\x80\"", "\"\xdf\xbf\"",
		"\"\xe0\xa0\x80\"", "\"\xed\x9f\xbf\"", "\"\xee\x80\x80\"", "\"\xef\xbf\xbf\"",
		"\"\xf0\x90\x80\x80\"", "\"\xf4\x8f\xbf\xbf\"",
		"\"\xe6\x95\x8f\xe6\x8d\xb7 and \xf0\x9f\x98\x80\"",
		"{\"k\":{\"k\":{\"k\":[null]}}}", "\"/\"", "\"'\"", "[\"a\",\"b\"]",
		"[true,false,null]"
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!valid(slice_of(texts[i])))
			fail_msg("refused: %s", texts[i]);
}

static void refuses_all_else(void **state)
{
	/* clang-format off */
	static const char *const texts[] = {
		"", " ", "{", "}", "[", "]", "\"", ":", ",", "{]", "[}", "[1", "[1,", "[1,]",
		"[,1]", "[,]", "[1 2]", "[1,,2]", "[1:2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
		"{,}", "{\"a\" 1}", "{a:1}", "{'a':1}", "{1:1}", "{null:1}", "{\"a\":1 \"b\":2}",
		"{\"a\":1,,\"b\":2}", "{\"a\"::1}", "{\"a\",1}", "[\"a\":1]", "{\"a\":1",
		"{\"a\":", "{\"a\"", "{\"a", "{\"", "1 2", "{}{}", "[] []", "1,", "{} x",
		"null null", "nul", "nulll", "tru", "True", "TRUE", "truefalse", "falsé", "NaN",
		"Infinity", "-Infinity", "undefined", "+1", "-", "--1", "01", "-01", "00", "1.",
		".5", "-.5", "1.e5", "1e", "1e+", "1e5.5", "1.2.3", "0x10", "1_000", "1a", "0e",
		"1e5e5", "[-]", "[01]", "[1.]", "[.1]", "[1e]", "'a'", "\"a", "\"a\\\"", "\"\\",
		"\"\\x\"", "\"\\'\"", "\"\\0\"", "\"\\u\"", "\"\\u12\"", "\"\\u123\"",
		"\"\\u123g\"", "\"\\u-123\"", "\"\\U0041\"", "\"\\u12", "\"\\ud800\\u\"", "\"\n\"",
		"\"\t\"", "\"\r\"", "\"\x01\"", "\"\x1f\"", "\"\x80\"", "\"\xbf\"", "\"\xc0\x80\"",
		"\"\xc1\xbf\"", "\"\xc2\"", "\"\xc2 \"", "\"\xe0\x80\x80\"", "\"\xe0\x9f\xbf\"",
		"\"\xe1\x80\"", "\"\xed\xa0\x80\"", "\"\xed\xbf\xbf\"", "\"\xf0\x80\x80\x80\"",
		"\"\xf0\x8f\xbf\xbf\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"",
		"\"\xf0\x90\x80\"", "\"\xf0\x90\"", "\"\xf0\"", "\"\xff\"", "\"\xfe\"",
		"\"\xe6\x95", "\xef\xbb\xbf{}", "\xc2\xa0{}", "{}\f", "\v1", "/*c*/1", "1//c",
		"[1]#", "{\"a\":1}}", "[1]]", "[[1]", "{\"a\":{}", "\"a\"\"b\"", "[\"a\"\"b\"]",
		"[\"\",]", "{\"a\":tru}", "[nul]", "{\"\\x\":1}", "{\"\x01\":1}", "{\"\xff\":1}",
		"-\"1\"", "[1]\xff"
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (valid(slice_of(texts[i])))
			fail_msg("accepted: %s", texts[i]);
	assert_false(valid(SLICE("\"a\0b\"")));
	assert_false(valid(SLICE("1\0")));
	assert_false(valid(SLICE("\0")));
	assert_false(valid((struct slice){ NULL, 0 }));
}

/* Strings are read sixteen bytes at a time: whatever may happen in one happens here at each place
 * of a block, in strings of each length about a block's. */
static void every_byte_counts_wherever_it_stands(void **state)
{
	char text[64];

	(void)state;
	for (size_t length = 0; length < 50; length++) {
		for (size_t at = 0; at < length; at++) {
			for (unsigned byte = 0; byte < 256; byte++) {
				memset(text, 'x', sizeof(text));
				text[0] = text[length + 1] = '"';
				text[at + 1] = (char)byte;
				bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' &&
					     byte != '\\';
				if (valid((struct slice){ text, length + 2 }) != plain)
					fail_msg("byte %02x at %zu of %zu", byte, at, length);
			}
		}
		memset(text, 'x', sizeof(text));
		text[0] = '"';
		assert_false(valid((struct slice){ text, length + 1 }));
	}
}

static size_t nest(char *to, size_t depth, const char *open, const char *close)
{
	size_t n = 0;

	for (size_t i = 0; i < depth; i++, n += strlen(open))
		memcpy(to + n, open, strlen(open));
	to[n++] = '1';
	for (size_t i = 0; i < depth; i++, n += strlen(close))
		memcpy(to + n, close, strlen(close));
	return n;
}

static void depth_has_an_edge(void **state)
{
	static char text[200000];

	(void)state;
	for (size_t depth = 1; depth < 1100; depth += depth < 1000 ? 37 : 1) {
		bool fits = depth <= JSON_DEPTH_MAX;
		assert_int_equal(valid((struct slice){ text, nest(text, depth, "[", "]") }), fits);
		assert_int_equal(valid((struct slice){ text, nest(text, depth, "{\"a\":", "}") }),
				 fits);
		if (depth % 2 == 0)
			assert_int_equal(valid((struct slice){
						 text, nest(text, depth / 2, "[{\"a\":", "}]") }),
					 fits);
	}
	memset(text, '[', sizeof(text));
	assert_false(valid((struct slice){ text, sizeof(text) }));
}

/* ---- what the scanner finds ---- */

static void finds_members_and_where_they_stand(void **state)
{
	static const char text[] =
		" {\"a\" : 1.50 , \"b\\u0062\":[ \"x\" ,{} ], \"c\":{\"d\":null}} ";
	struct json j;
	struct slice key, value;

	(void)state;
	json_init(&j, slice_of(text));
	assert_int_equal(json_peek(&j), JSON_OBJECT);
	assert_int_equal(json_offset(&j), 1);
	assert_int_equal(json_next(&j), JSON_OBJECT);
	assert_true(json_member(&j, &key));
	assert_true(json_key_is(key, "a"));
	assert_int_equal(json_next(&j), JSON_NUMBER);
	assert_true(slice_is(j.value, "1.50"));
	assert_true(json_member(&j, &key));
	assert_true(slice_is(key, "b\\u0062") && json_key_is(key, "bb"));
	assert_int_equal(json_peek(&j), JSON_ARRAY);
	assert_true(json_skip(&j, &value));
	assert_true(slice_is(value, "[ \"x\" ,{} ]"));
	assert_int_equal(json_array_count(value), 2);
	assert_true(json_member(&j, &key));
	assert_int_equal(json_next(&j), JSON_OBJECT);
	assert_true(json_member(&j, &key));
	assert_true(slice_is(key, "d"));
	assert_int_equal(json_next(&j), JSON_NULL);
	assert_false(json_end(&j));
	assert_false(json_member(&j, &key));
	assert_false(json_member(&j, &key));
	assert_true(json_end(&j));
}

static void an_error_stays(void **state)
{
	struct json j;
	struct slice key, value;

	(void)state;
	json_init(&j, SLICE("{\"a\":tru,\"b\":1}"));
	assert_int_equal(json_next(&j), JSON_OBJECT);
	assert_true(json_member(&j, &key));
	assert_int_equal(json_next(&j), JSON_BAD);
	assert_false(json_member(&j, &key));
	assert_false(json_element(&j));
	assert_false(json_skip(&j, &value));
	assert_int_equal(json_peek(&j), JSON_BAD);
	assert_int_equal(json_next(&j), JSON_BAD);
	assert_false(json_end(&j));
}

static void asking_in_the_wrong_place_is_an_error_too(void **state)
{
	struct json j;
	struct slice key;

	(void)state;
	json_init(&j, SLICE("[1]"));
	assert_int_equal(json_next(&j), JSON_ARRAY);
	assert_false(json_member(&j, &key));
	assert_false(json_end(&j));
	json_init(&j, SLICE("1 2"));
	assert_int_equal(json_next(&j), JSON_NUMBER);
	assert_int_equal(json_next(&j), JSON_BAD);
	json_init(&j, SLICE("1"));
	assert_false(json_element(&j));
	json_init(&j, SLICE("  "));
	assert_false(json_end(&j));
}

/* ---- strings ---- */

static void decodes(const char *raw, const char *want, size_t want_n)
{
	struct slice copy = exact(slice_of(raw));
	char text[64];

	for (size_t size = 0; size <= want_n + 1; size++) {
		memset(text, '#', sizeof(text));
		assert_int_equal(json_decode(copy, text, size), want_n);
		size_t held = size < want_n ? size : want_n;
		assert_memory_equal(text, want, held);
		assert_int_equal(text[held], '#');
	}
	free((char *)copy.p);
}

static void strings_are_decoded(void **state)
{
	(void)state;
	decodes("", "", 0);
	decodes("plain", "plain", 5);
	decodes("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8);
	decodes("\\u0061\\u00e9\\u4f60", "a\xc3\xa9\xe4\xbd\xa0", 6);
	decodes("\\u0000x", "\0x", 2);
	decodes("\\ud83d\\ude00!", "\xf0\x9f\x98\x80!", 5);
	decodes("\\uD83D\\uDE00", "\xf0\x9f\x98\x80", 4);
	decodes("\\ud83d", "\xef\xbf\xbd", 3);
	decodes("\\ude00\\ud83d", "\xef\xbf\xbd\xef\xbf\xbd", 6);
	decodes("\\ud83d\\u0061",
		"\xef\xbf\xbd"
		"a",
		4);
	decodes("\\ud83d\\ud83d\\ude00", "\xef\xbf\xbd\xf0\x9f\x98\x80", 7);
	decodes("\\ud83dx", "\xef\xbf\xbdx", 4);
	/* bytes that were not validated */
	decodes("\\", "\\", 1);
	decodes("\\u12", "\\u12", 4);
	decodes("\\q\\n", "\\q\n", 3);
	decodes("\\ud83d\\u", "\xef\xbf\xbd\\u", 5);
}

static void strings_are_compared_decoded(void **state)
{
	(void)state;
	assert_true(json_key_is(SLICE("model"), "model"));
	assert_true(json_key_is(SLICE("m\\u006fdel"), "model"));
	assert_true(json_key_is(SLICE(""), ""));
	assert_false(json_key_is(SLICE("model"), "mode"));
	assert_false(json_key_is(SLICE("mode"), "model"));
	assert_false(json_key_is(SLICE("m\\u006fde"), "model"));
	assert_false(json_key_is(SLICE("m\\u006fdel\\u0000"), "model"));
	assert_false(json_key_is(SLICE("\\u0000"), ""));
	assert_true(json_same_string(SLICE("\\u0061b"), SLICE("a\\u0062")));
	assert_true(json_same_string(SLICE("\\ud83d\\ude00"), SLICE("\xf0\x9f\x98\x80")));
	assert_true(json_same_string(SLICE("\\/"), SLICE("/")));
	assert_true(json_same_string((struct slice){ NULL, 0 }, SLICE("")));
	assert_false(json_same_string((struct slice){ NULL, 0 }, SLICE("\\n")));
	assert_false(json_same_string(SLICE("a"), SLICE("A")));
	assert_false(json_same_string(SLICE("a\\u0000"), SLICE("a")));
	assert_false(json_same_string(SLICE("a"), SLICE("a\\u0000b")));
}

/* ---- the helpers ---- */

static void numbers_that_are_counts(void **state)
{
	static const char *const none[] = { "",
					    "-0",
					    "-1",
					    "1.0",
					    "1e3",
					    "01",
					    "00",
					    "x",
					    " 1",
					    "18446744073709551616",
					    "99999999999999999999" };
	uint64_t value = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_false(json_u64(slice_of(none[i]), &value));
	assert_int_equal(value, 7);
	assert_true(json_u64(SLICE("0"), &value) && value == 0);
	assert_true(json_u64(SLICE("120"), &value) && value == 120);
	assert_true(json_u64(SLICE("18446744073709551615"), &value) && value == UINT64_MAX);
}

static void line_breaks_go_and_nothing_else(void **state)
{
	char text[100], to[100], want[100];

	(void)state;
	srandom(1);
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)random() % sizeof(text), want_n = 0;
		for (size_t i = 0; i < n; i++) {
			text[i] = "\n\r ab{\"é"[random() % (random() % 8 == 0 ? 8 : 64) % 8];
			if (text[i] != '\n' && text[i] != '\r')
				want[want_n++] = text[i];
		}
		struct slice copy = exact((struct slice){ text, n });
		memset(to, '#', sizeof(to));
		assert_int_equal(json_copy_one_line(copy, to), want_n);
		assert_memory_equal(to, want, want_n);
		for (size_t i = n; i < sizeof(to); i++)
			assert_int_equal(to[i], '#');
		free((char *)copy.p);
	}
	assert_int_equal(json_copy_one_line((struct slice){ NULL, 0 }, to), 0);
}

static void elements_are_counted(void **state)
{
	(void)state;
	assert_int_equal(json_array_count(SLICE("[]")), 0);
	assert_int_equal(json_array_count(SLICE(" [1,[2,3],\"]\",{\"a\":[4]}]")), 4);
	assert_int_equal(json_array_count(SLICE("{}")), 0);
	assert_int_equal(json_array_count(SLICE("\"a,b\"")), 0);
}

/* ---- jansson agrees ---- */

static json_t *tree(struct json *j, enum json_type type);

static json_t *tree_string(struct slice raw)
{
	char text[4096];
	size_t n = json_decode(raw, text, sizeof(text));

	assert_true(n <= sizeof(text));
	return json_stringn(text, n);
}

static json_t *tree_object(struct json *j)
{
	json_t *object = json_object();
	struct slice key;

	while (json_member(j, &key)) {
		char name[4096];
		size_t n = json_decode(key, name, sizeof(name) - 1);
		assert_true(n < sizeof(name));
		name[n] = '\0';
		json_t *value = tree(j, json_next(j));
		assert_true(value == NULL || json_object_set_new_nocheck(object, name, value) == 0);
	}
	return object;
}

/* Everything in the value at hand, as jansson would have it; garbage after an error. */
static json_t *tree(struct json *j, enum json_type type)
{
	json_t *array;

	switch (type) {
	case JSON_OBJECT:
		return tree_object(j);
	case JSON_ARRAY:
		array = json_array();
		while (json_element(j))
			json_array_append_new(array, tree(j, json_next(j)));
		return array;
	case JSON_STRING:
		return tree_string((struct slice){ j->value.p + 1, j->value.n - 2 });
	case JSON_NUMBER:
		return json_loadb(j->value.p, j->value.n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL,
				  NULL);
	case JSON_BAD:
		return NULL;
	default:
		return type == JSON_NULL ? json_null() : json_boolean(type == JSON_TRUE);
	}
}

/* Where jansson is narrower than the grammar: halves of surrogate pairs, NUL in keys, numbers that
 * a double does not hold. */
static bool jansson_is_narrow(const char *message)
{
	return strstr(message, "invalid Unicode") != NULL || strstr(message, "NUL byte") != NULL ||
	       strstr(message, "overflow") != NULL || strstr(message, "too big") != NULL;
}

static void agree(struct slice text)
{
	json_error_t error;
	struct json j;
	struct slice copy = exact(text);

	json_t *theirs = json_loadb(
		copy.p, copy.n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
	json_init(&j, copy);
	json_t *ours = tree(&j, json_next(&j));
	bool ok = json_end(&j);

	if (theirs == NULL && ok && !jansson_is_narrow(error.text))
		fail_msg("jansson: %s: %.*s", error.text, SLICE_ARG(text));
	if (theirs != NULL && (!ok || json_equal(ours, theirs) != 1))
		fail_msg("jansson has it otherwise: %.*s", SLICE_ARG(text));
	assert_int_equal(ok, valid(text));
	json_decref(ours);
	json_decref(theirs);
	free((char *)copy.p);
}

static const char *const seeds[] = {
	"{\"custom_id\":\"r-1\",\"body\":{\"messages\":[{\"content\":\"How do you do?\"}],\"n\":1}}",
	"[1, 2.5, -3e10, 0, true, false, null, \"\", [], {}, [[1]], {\"a\": {\"b\": [\"c\"]}}]",
	"{\"a\\u0062\": \"\\ud83d\\ude00 \\n \xe6\x95\x8f\xe6\x8d\xb7 \xf0\x9f\x98\x80 \xc3\xa9\", \"k\": -0.5e-7}",
	"\"a rather long string that goes on for more than sixteen bytes, \\\"quoted\\\" \\\\ too\"",
};

static size_t mutate(char *text, size_t n, size_t room)
{
	/* clang-format off */
	static const char *const tokens[] = {
		"{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud83d", "\\ude00", "\\u0041",
		"0", "-", ".", "e", "E+", "9", "true", "null", " ", "\n", "\t", "\xc3\xa9",
		"\xe6\x95\x8f", "\xf0\x9f", "\x80", "\xed\xa0\x80", "\x01", "\x7f", "\"a\":", "1,"
	};
	/* clang-format on */
	size_t at = n > 0 ? (size_t)random() % n : 0;

	switch (random() % 4) {
	case 0: /* another byte */
		if (n > 0)
			text[at] = (char)random();
		return n;
	case 1: { /* some bytes gone */
		size_t gone = (size_t)random() % 4;
		gone = gone < n - at ? gone : n - at;
		memmove(text + at, text + at + gone, n - at - gone);
		return n - gone;
	}
	case 2: { /* a token more */
		const char *token = tokens[(size_t)random() % ARRAY_LEN(tokens)];
		size_t k = strlen(token);
		if (n + k > room)
			return n;
		memmove(text + at + k, text + at, n - at);
		memcpy(text + at, token, k);
		return n + k;
	}
	default: { /* a piece of itself again */
		size_t k = (size_t)random() % 20;
		if (at + k > n || n + k > room)
			return n;
		memmove(text + at + k, text + at, n - at);
		return n + k;
	}
	}
}

static void jansson_agrees_on_mutants(void **state)
{
	char text[1024];

	(void)state;
	srandom(2026);
	for (int round = 0; round < 100000; round++) {
		const char *seed = seeds[(size_t)random() % ARRAY_LEN(seeds)];
		size_t n = strlen(seed);
		memcpy(text, seed, n);
		for (long changes = random() % 4; changes >= 0; changes--)
			n = mutate(text, n, sizeof(text));
		agree((struct slice){ text, n });
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_what_the_grammar_has),
		cmocka_unit_test(refuses_all_else),
		cmocka_unit_test(every_byte_counts_wherever_it_stands),
		cmocka_unit_test(depth_has_an_edge),
		cmocka_unit_test(finds_members_and_where_they_stand),
		cmocka_unit_test(an_error_stays),
		cmocka_unit_test(asking_in_the_wrong_place_is_an_error_too),
		cmocka_unit_test(strings_are_decoded),
		cmocka_unit_test(strings_are_compared_decoded),
		cmocka_unit_test(numbers_that_are_counts),
		cmocka_unit_test(line_breaks_go_and_nothing_else),
		cmocka_unit_test(elements_are_counted),
		cmocka_unit_test(jansson_agrees_on_mutants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
