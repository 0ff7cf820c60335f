/* test_weight.c: how many requests an engine makes of a body. */
#include "unit.h"

#include "batch/weight.h"

#define CHAT "/v1/chat/completions"
#define COMPLETIONS "/v1/completions"
#define EMBEDDINGS "/v1/embeddings"

static unsigned units(const char *endpoint, const char *body)
{
	/* a copy of just so many bytes, for the sanitizers */
	size_t n = strlen(body);
	char *copy = malloc(n > 0 ? n : 1);

	assert_non_null(copy);
	memcpy(copy, body, n);
	unsigned got = body_units((struct slice){ copy, n }, endpoint, 0);
	free(copy);
	return got;
}

struct row {
	const char *body;
	unsigned units;
};

#define check(endpoint, rows)                                    \
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {           \
		unsigned got = units(endpoint, (rows)[i].body);  \
		if (got != (rows)[i].units)                      \
			fail_msg("%s: %u", (rows)[i].body, got); \
	}

static void choices_count(void **state)
{
	static const struct row rows[] = {
		{ "{\"messages\":[]}", 1 },
		{ "{\"messages\":[],\"n\":1}", 1 },
		{ "{\"n\":4,\"messages\":[]}", 4 },
		{ "{ \"n\" \t:\n 4 }", 4 },
		{ "{\"n\":\"4\"}", 4 }, /* engines take it */
		{ "{\"n\":4.0}", 4 },
		{ "{\"n\":1e3}", 1000 },
		{ "{\"n\":0}", 1 },
		{ "{\"n\":-1}", 1 },
		{ "{\"n\":2.5}", 1 },
		{ "{\"n\":\"many\"}", 1 },
		{ "{\"n\":\"\"}", 1 },
		{ "{\"n\":null}", 1 },
		{ "{\"n\":true}", 1 },
		{ "{\"n\":[4]}", 1 },
		{ "{\"n\":{\"n\":4}}", 1 },
		{ "{\"n\":4096}", 4096 },
		{ "{\"n\":4097}", 4096 },
		{ "{\"n\":1e99}", 1 }, /* no engine takes that */
		{ "{\"n\":18446744073709551615}", 4096 },
		/* another's n */
		{ "{\"metadata\":{\"n\":7}}", 1 },
		{ "{\"messages\":[{\"n\":7}],\"n\":2}", 2 },
		{ "{\"messages\":\"\\\"n\\\":7\"}", 1 },
		{ "{\"user\":\"n\"}", 1 },
		{ "{\"user\":\"n\",\"n\":3}", 3 },
		{ "{\"nn\":7,\"N\":8}", 1 },
		/* the last of several counts */
		{ "{\"n\":8,\"n\":2}", 2 },
		{ "{\"n\":8,\"n\":null}", 1 },
		/* no body that an engine takes */
		{ "", 1 },
		{ "[{\"n\":4}]", 1 },
		{ "{\"n\":4", 1 },
		{ "{\"n\":4}}", 1 },
		{ "{\"n\":", 1 },
		{ "{\"n\"", 1 },
		{ "\"n\":4", 1 },
	};

	(void)state;
	check(CHAT, rows);
	check(COMPLETIONS, rows);
	assert_int_equal(units(EMBEDDINGS, "{\"n\":4,\"input\":\"x\"}"), 1);
	assert_int_equal(units("/v1/responses", "{\"n\":4,\"input\":[\"x\",\"y\"]}"), 1);
}

static void inputs_count_alike_wherever_they_stand(void **state)
{
	static const char *const places[][2] = {
		{ EMBEDDINGS, "input" },
		{ COMPLETIONS, "prompt" },
		{ "/v1/rerank", "documents" },
		{ "/v1/score", "text_2" },
	};
	static const struct row rows[] = {
		{ "\"one text\"", 1 },
		{ "[\"one\"]", 1 },
		{ "[\"one\",\"two\", \"three\"]", 3 },
		{ "[1,2,3]", 1 }, /* a list of tokens is one input */
		{ "[[1,2],[3],[4,5]]", 3 },
		{ "[{\"text\":\"a\"},{\"text\":\"b\"}]", 2 },
		{ "[]", 1 },
		{ "null", 1 },
		{ "{\"a\":[1,2]}", 1 },
		{ "[\"[\",\"]\"]", 2 },
	};
	char body[200];

	(void)state;
	for (size_t p = 0; p < ARRAY_LEN(places); p++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			snprintf(body, sizeof(body), "{\"model\":\"m\",\"%s\" : %s}", places[p][1],
				 rows[i].body);
			if (units(places[p][0], body) != rows[i].units)
				fail_msg("%s", body);
			/* the last counts */
			snprintf(body, sizeof(body), "{\"%s\":[\"a\",\"b\"],\"%s\":%s}",
				 places[p][1], places[p][1], rows[i].body);
			if (units(places[p][0], body) != rows[i].units)
				fail_msg("%s", body);
			assert_int_equal(units(CHAT, body), 1);
		}
}

static void best_of_counts_where_there_are_prompts(void **state)
{
	static const struct row rows[] = {
		{ "{\"best_of\":5}", 5 },
		{ "{\"best_of\":5,\"n\":2}", 5 },
		{ "{\"best_of\":2,\"n\":5}", 5 },
		{ "{\"best_of\":null,\"n\":2}", 2 },
	};

	(void)state;
	check(COMPLETIONS, rows);
	assert_int_equal(units(CHAT, "{\"best_of\":5}"), 1);
	assert_int_equal(units(CHAT, "{\"best_of\":5,\"n\":2}"), 2);
}

static void choices_are_of_each_prompt(void **state)
{
	(void)state;
	assert_int_equal(units(COMPLETIONS, "{\"prompt\":[\"a\",\"b\",\"c\"],\"n\":4}"), 12);
	assert_int_equal(units(COMPLETIONS, "{\"n\":2000,\"prompt\":[\"a\",\"b\",\"c\"]}"), 4096);
	assert_int_equal(units(COMPLETIONS, "{\"prompt\":[1,2,3],\"best_of\":2}"), 2);
}

static void what_the_index_counted_is_not_counted_again(void **state)
{
	const struct slice body = SLICE("{\"input\":[\"a\",\"b\"],\"prompt\":\"x\"}");

	(void)state;
	assert_int_equal(body_units(body, EMBEDDINGS, 50), 50);
	assert_int_equal(body_units(body, EMBEDDINGS, 0), 2);
	assert_int_equal(body_units(body, EMBEDDINGS, 1), 1);
	assert_int_equal(body_units(body, EMBEDDINGS, UINT32_MAX), UNITS_MAX);
	/* it counts every line's `input`, and elsewhere that is no list of requests */
	assert_int_equal(body_units(body, CHAT, 50), 1);
	assert_int_equal(body_units(body, COMPLETIONS, 50), 1);
	assert_int_equal(body_units(body, "/v1/responses", 50), 1);
}

/* Bodies cut and changed at random: an answer in range, and no byte outside. */
static void any_bytes_have_a_weight(void **state)
{
	static const char pieces[][16] = {
		"{",           "}",  "[",    "]",          "\"n\"",
		":",           ",",  "4",    "\"prompt\"", "\"input\"",
		"\"best_of\"", "\"", "\\",   " ",          "\"documents\"",
		"1e9",         "-",  "null", "\xff",       "\"a\"",
	};
	static const char *const endpoints[] = { CHAT, COMPLETIONS, EMBEDDINGS, "/v1/rerank" };
	uint32_t seed = 1;
	char body[400];

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		size_t n = 0;

		for (unsigned k = 0; k < i % 20; k++) {
			seed = seed * 1664525 + 1013904223;
			const char *piece = pieces[(seed >> 16) % ARRAY_LEN(pieces)];
			memcpy(body + n, piece, strlen(piece));
			n += strlen(piece);
		}
		body[n] = '\0';
		for (size_t e = 0; e < ARRAY_LEN(endpoints); e++)
			assert_in_range(units(endpoints[e], body), 1, UNITS_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(choices_count),
		cmocka_unit_test(inputs_count_alike_wherever_they_stand),
		cmocka_unit_test(best_of_counts_where_there_are_prompts),
		cmocka_unit_test(choices_are_of_each_prompt),
		cmocka_unit_test(what_the_index_counted_is_not_counted_again),
		cmocka_unit_test(any_bytes_have_a_weight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
