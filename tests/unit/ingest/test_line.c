/* line_scan: the facts of one line. */
#include "unit.h"

#include "ingest/line.h"

static struct line_facts scan(const char *line)
{
	size_t n = strlen(line);
	char *copy = malloc(n > 0 ? n : 1); /* ends where the line ends, for ASan */
	struct line_facts facts;

	memcpy(copy, line, n);
	line_scan((struct slice){ copy, n }, &facts);
	/* the slices again in the text that lives on */
	struct slice *const slices[] = { &facts.custom_id, &facts.body, &facts.url, &facts.model,
					 &facts.method };
	for (size_t i = 0; i < ARRAY_LEN(slices); i++)
		if (slices[i]->n > 0)
			slices[i]->p = line + (slices[i]->p - copy);
	free(copy);
	return facts;
}

static uint32_t flags(const char *line)
{
	return scan(line).flags;
}

/* The flags of a line that is good but for what `member` adds behind its other members. */
static uint32_t with(const char *member)
{
	char line[2048];

	snprintf(line, sizeof(line),
		 "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/x\","
		 "\"body\":{\"model\":\"m\",\"messages\":[]}%s%s}",
		 member[0] != '\0' ? "," : "", member);
	return flags(line);
}

static uint32_t with_body(const char *body)
{
	char member[1024];

	snprintf(member, sizeof(member), "\"body\":%s", body);
	return with(member);
}

static void a_good_line(void **state)
{
	struct line_facts f = scan(
		" { \"custom_id\" : \"r\\u002d1\", \"method\": \"POST\", \"url\":"
		"\"/v1/chat/completions\", \"body\" : { \"model\": \"m\","
		" \"messages\": [ ] } , \"x\": [1] } \r");

	(void)state;
	assert_int_equal(f.flags, 0);
	assert_true(slice_is(f.custom_id, "r\\u002d1"));
	assert_true(slice_is(f.method, "POST"));
	assert_true(slice_is(f.url, "/v1/chat/completions"));
	assert_true(slice_is(f.body, "{ \"model\": \"m\", \"messages\": [ ] }"));
	assert_true(slice_is(f.model, "m"));
	assert_int_equal(f.inputs, 1);
	assert_null(f.sampling);
	assert_int_equal(with(""), 0);
}

static void what_is_no_object(void **state)
{
	static const char *const not_json[] = {
		"x",
		"{",
		"{}}",
		"{} {}",
		"{\"a\":1,}",
		"{\"custom_id\":\"\xff\"}",
		"\xef\xbb\xbf{}",
		"[1,2",
		"\"\\x\"",
		"{\"body\":{\"model\":\"m\"}",
		"{\"body\":{]}",
		"{\"body\":[}",
		"{\"custom_id\":tru}",
		"{\"body\":{\"input\":[1,]}}",
		"{\"body\":{\"stream\":x}}",
		"",
		"\r",
	};
	static const char *const not_object[] = { "1", "\"a\"", "[]", "null", " true \r", "[{}]" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(not_json); i++) {
		struct line_facts f = scan(not_json[i]);
		if (f.flags != LINE_NOT_JSON || f.custom_id.p != NULL || f.body.p != NULL)
			fail_msg("%s", not_json[i]);
		assert_int_equal(f.inputs, 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(not_object); i++)
		assert_int_equal(flags(not_object[i]), LINE_NOT_OBJECT);
}

static void members_that_are_missing(void **state)
{
	uint32_t no_body = LINE_BODY_MISSING | LINE_MODEL_MISSING | LINE_MESSAGES_MISSING;

	(void)state;
	assert_int_equal(flags("{}"),
			 LINE_CUSTOM_ID_MISSING | LINE_METHOD_MISSING | LINE_URL_MISSING | no_body);
	assert_int_equal(with("\"custom_id\":null"), LINE_CUSTOM_ID_MISSING);
	assert_int_equal(with("\"method\":null"), LINE_METHOD_MISSING);
	assert_int_equal(with("\"url\":null"), LINE_URL_MISSING);
	assert_int_equal(with("\"body\":null"), no_body);
	assert_int_equal(with_body("{}"), LINE_MODEL_MISSING | LINE_MESSAGES_MISSING);
}

static void members_of_the_wrong_kind(void **state)
{
	uint32_t no_body = LINE_BODY_NOT_OBJECT | LINE_MODEL_MISSING | LINE_MESSAGES_MISSING;

	(void)state;
	assert_int_equal(with("\"custom_id\":1"), LINE_CUSTOM_ID_NOT_STRING);
	assert_int_equal(with("\"custom_id\":[\"a\"]"), LINE_CUSTOM_ID_NOT_STRING);
	assert_int_equal(with("\"custom_id\":\"\""), LINE_CUSTOM_ID_LENGTH);
	assert_int_equal(with("\"method\":\"GET\""), LINE_METHOD_NOT_POST);
	assert_int_equal(with("\"method\":\"post\""), LINE_METHOD_NOT_POST);
	assert_int_equal(with("\"method\":1"), LINE_METHOD_NOT_POST);
	assert_int_equal(with("\"method\":{}"), LINE_METHOD_NOT_POST);
	assert_int_equal(with("\"method\":\"P\\u004fST\""), 0);
	assert_int_equal(with("\"url\":1"), 0);
	assert_int_equal(with_body("[]"), no_body);
	assert_int_equal(with_body("\"x\""), no_body);
	assert_int_equal(with_body("1"), no_body);
	assert_true(slice_is(scan("{\"method\":[1, 2]}").method, "[1, 2]"));
	struct line_facts f = scan("{\"url\":7}");
	assert_true(f.url.p != NULL && f.url.n == 0);
	assert_null(scan("{}").url.p);
}

static void facts_of_the_body(void **state)
{
	(void)state;
	assert_int_equal(with_body("{\"model\":\"\",\"messages\":1}"), LINE_MODEL_MISSING);
	assert_int_equal(with_body("{\"model\":3,\"messages\":1}"), LINE_MODEL_MISSING);
	assert_int_equal(with_body("{\"model\":null,\"messages\":1}"), LINE_MODEL_MISSING);
	assert_int_equal(with_body("{\"model\":\"m\",\"messages\":null}"), LINE_MESSAGES_MISSING);
#define GOOD "\"model\":\"m\",\"messages\":[]"
	assert_int_equal(with_body("{" GOOD ",\"stream\":true}"), LINE_STREAM);
	assert_int_equal(with_body("{" GOOD ",\"stream\":\"no\"}"), LINE_STREAM);
	assert_int_equal(with_body("{" GOOD ",\"stream\":0}"), LINE_STREAM);
	assert_int_equal(with_body("{" GOOD ",\"stream\":{}}"), LINE_STREAM);
	assert_int_equal(with_body("{" GOOD ",\"stream\":false}"), 0);
	assert_int_equal(with_body("{" GOOD ",\"stream\":null}"), 0);
	assert_int_equal(with_body("{" GOOD ",\"str\\u0065am\":true}"), LINE_STREAM);
	assert_int_equal(with_body("{" GOOD ",\"background\":true}"), LINE_BACKGROUND);
	assert_int_equal(with_body("{" GOOD ",\"background\":1,\"stream\":1}"),
			 LINE_BACKGROUND | LINE_STREAM);
	assert_int_equal(with_body("{" GOOD ",\"background\":true,\"background\":false}"), 0);
	assert_int_equal(with_body("{" GOOD ",\"background\":null}"), 0);
	/* what stands deeper is none of our business */
	assert_int_equal(with_body("{" GOOD ",\"x\":{\"stream\":true,\"n\":1}}"), 0);
}

static void sampling_parameters(void **state)
{
	static const char *const names[] = { "temperature", "top_p", "n", "presence_penalty",
					     "frequency_penalty" };
	char line[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(line, sizeof(line), "{\"body\":{\"%s\":0}}", names[i]);
		struct line_facts f = scan(line);
		assert_true((f.flags & LINE_SAMPLING) != 0);
		assert_string_equal(f.sampling, names[i]);
		snprintf(line, sizeof(line), "{\"body\":{\"%s\":1,\"%s\":null}}", names[i],
			 names[i]);
		f = scan(line);
		assert_true((f.flags & LINE_SAMPLING) == 0 && f.sampling == NULL);
	}
	assert_string_equal(scan("{\"body\":{\"n\":1,\"top_p\":1}}").sampling, "top_p");
}

static void inputs_are_counted(void **state)
{
	static const struct {
		const char *input;
		uint32_t inputs;
	} cases[] = {
		{ "\"text\"", 1 },
		{ "[\"a\",\"b\",\"c\"]", 3 },
		{ "[1,2,3]", 1 },
		{ "[[1,2],[3,4]]", 2 },
		{ "[]", 1 },
		{ "null", 1 },
		{ "[\"a\",2]", 1 },
		{ "[ [ ] , [ ] , [ ] ]", 3 },
		{ "{\"a\":[1]}", 1 },
		{ "[-1.5]", 1 },
		{ "[{\"a\":\"b\"},null]", 2 },
	};
	char line[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(line, sizeof(line), "{\"body\":{\"input\":%s}}", cases[i].input);
		assert_int_equal(scan(line).inputs, cases[i].inputs);
	}
	assert_int_equal(scan("{\"body\":{\"input\":[\"a\",\"b\"],\"input\":1}}").inputs, 1);
}

static void the_last_of_a_member_counts(void **state)
{
	struct line_facts f;

	(void)state;
	f = scan(
		"{\"custom_id\":7,\"custom_id\":\"b\",\"method\":\"GET\",\"method\":\"POST\","
		"\"url\":null,\"url\":\"/v1/x\",\"body\":[],\"body\":{\"model\":\"old\",\"stream\":"
		"true,\"messages\":1,\"n\":1,\"input\":[\"\",\"\"]},\"b\\u006fdy\":{\"model\":null,"
		"\"model\":\"new\",\"stream\":true,\"stream\":false,\"messages\":null,"
		"\"messages\":[]}}");
	assert_int_equal(f.flags, 0);
	assert_true(slice_is(f.custom_id, "b"));
	assert_true(slice_is(f.url, "/v1/x"));
	assert_true(slice_is(f.model, "new"));
	assert_int_equal(f.inputs, 1);
	f = scan("{\"custom_id\":\"a\",\"custom_id\":null,\"method\":\"POST\",\"method\":null,"
		 "\"url\":\"u\",\"url\":null,\"body\":{\"model\":\"m\",\"messages\":[]},"
		 "\"body\":null}");
	assert_int_equal(f.flags, LINE_CUSTOM_ID_MISSING | LINE_METHOD_MISSING | LINE_URL_MISSING |
					  LINE_BODY_MISSING | LINE_MODEL_MISSING |
					  LINE_MESSAGES_MISSING);
	assert_null(f.custom_id.p);
	assert_null(f.url.p);
	assert_null(f.body.p);
	assert_null(f.model.p);
}

/* `unit` again and again: `bytes` of decoded text. */
static uint32_t custom_id_of(const char *unit, size_t unit_bytes, size_t bytes)
{
	char *line = malloc(16 + 6 * bytes + 8);
	size_t n = (size_t)sprintf(line, "{\"custom_id\":\"");
	struct line_facts facts;

	for (size_t have = 0; have < bytes; have += unit_bytes, n += strlen(unit))
		memcpy(line + n, unit, strlen(unit));
	n += (size_t)sprintf(line + n, "\"}");
	line_scan((struct slice){ line, n }, &facts);
	free(line);
	return facts.flags & LINE_CUSTOM_ID_LENGTH;
}

static void custom_ids_of_512_bytes_of_any_script(void **state)
{
	(void)state;
	assert_false(custom_id_of("a", 1, 1));
	assert_false(custom_id_of("a", 1, 512));
	assert_true(custom_id_of("a", 1, 513));
	assert_false(custom_id_of("\xc3\xa9", 2, 512));
	assert_true(custom_id_of("\xc3\xa9", 2, 514));
	assert_false(custom_id_of("\xe4\xbd\xa0", 3, 510));
	assert_true(custom_id_of("\xe4\xbd\xa0", 3, 513));
	assert_false(custom_id_of("\xf0\x9f\x98\x80", 4, 512));
	assert_true(custom_id_of("\xf0\x9f\x98\x80", 4, 516));
	assert_false(custom_id_of("\\u0061", 1, 512));
	assert_true(custom_id_of("\\u0061", 1, 513));
	assert_false(custom_id_of("\\u4f60", 3, 510));
	assert_true(custom_id_of("\\u4f60", 3, 513));
	assert_false(custom_id_of("\\ud83d\\ude00", 4, 512));
	assert_true(custom_id_of("\\ud83d\\ude00", 4, 516));
	assert_false(custom_id_of("\\n", 1, 512));
}

/* Deeper than the scanner goes: no JSON to us, and no stack used up. */
static void bombs(void **state)
{
	static char line[1 << 20];
	struct line_facts facts;

	(void)state;
	memset(line, '[', sizeof(line));
	memcpy(line, "{\"body\":", 8);
	line_scan((struct slice){ line, sizeof(line) }, &facts);
	assert_int_equal(facts.flags, LINE_NOT_JSON);
}

/* ---- prefixes ---- */

/* A string of JSON of that many bytes with its quotes. */
static const char *string_of(char *to, char fill, size_t bytes)
{
	memset(to, fill, bytes);
	to[0] = to[bytes - 1] = '"';
	to[bytes] = '\0';
	return to;
}

/* Of the line that these texts are together. */
static struct prefix prefix_of(const char *const *parts)
{
	size_t n = 0;

	for (size_t i = 0; parts[i] != NULL; i++)
		n += strlen(parts[i]);
	char *line = malloc(n + 1);
	*line = '\0';
	for (size_t i = 0; parts[i] != NULL; i++)
		strcat(line, parts[i]);
	struct prefix prefix = scan(line).prefix;
	free(line);
	return prefix;
}

#define LINE_PREFIX(...) prefix_of((const char *const[]){ __VA_ARGS__, NULL })
#define BODY_PREFIX(...) LINE_PREFIX("{\"body\":{", __VA_ARGS__, "}}")

/* Levels, from the first on, at which both are there and the same; all others differ or are 0. */
static unsigned agree(struct prefix a, struct prefix b)
{
	unsigned n = 0;

	while (n < PREFIX_LEVELS && a.hash[n] != 0 && a.hash[n] == b.hash[n])
		n++;
	for (unsigned i = n; i < PREFIX_LEVELS; i++)
		assert_true(a.hash[i] == 0 || a.hash[i] != b.hash[i]);
	return n;
}

static unsigned levels(struct prefix prefix)
{
	return agree(prefix, prefix);
}

static void prefixes_are_as_long_as_the_prompt(void **state)
{
	static char text[PREFIX_BYTES(PREFIX_LEVELS) + 1];

	(void)state;
	for (unsigned level = 0; level < PREFIX_LEVELS; level++) {
		string_of(text, 'x', PREFIX_BYTES(level) - 1);
		assert_int_equal(levels(BODY_PREFIX("\"messages\":", text)), level);
		string_of(text, 'x', PREFIX_BYTES(level));
		assert_int_equal(levels(BODY_PREFIX("\"messages\": ", text, " ")), level + 1);
	}
	string_of(text, 'x', sizeof(text) - 1);
	assert_int_equal(levels(BODY_PREFIX("\"messages\":", text)), PREFIX_LEVELS);
}

static void prefixes_agree_up_to_the_first_difference(void **state)
{
	static char text[20001];
	struct prefix all;

	(void)state;
	all = BODY_PREFIX("\"messages\":", string_of(text, 'x', 20000));
	for (unsigned level = 0; level < PREFIX_LEVELS; level++) {
		string_of(text, 'x', 20000);
		text[PREFIX_BYTES(level) - 1] = 'y';
		assert_int_equal(agree(all, BODY_PREFIX("\"messages\":", text)), level);
		string_of(text, 'x', 20000);
		text[PREFIX_BYTES(level)] = 'y';
		assert_int_equal(agree(all, BODY_PREFIX("\"messages\":", text)), level + 1);
	}
	/* the prompt ends, the other goes on: what both have is the same */
	assert_int_equal(agree(all, BODY_PREFIX("\"messages\":", string_of(text, 'x', 5000))), 4);
}

static void the_prompt_is_raw_text(void **state)
{
	static char text[2001];
	struct prefix plain = BODY_PREFIX("\"messages\":[", string_of(text, 'x', 2000), "]");

	(void)state;
	assert_int_equal(levels(plain), 2);
	memcpy(text + 1, "\\u0078", 6); /* an x */
	assert_int_equal(agree(plain, BODY_PREFIX("\"messages\":[", text, "]")), 0);
	string_of(text, 'x', 2000);
	assert_int_equal(agree(plain, BODY_PREFIX("\"messages\":[ ", text, "]")), 0);
	assert_int_equal(agree(plain, BODY_PREFIX("\"messages\" : [", text, " ]")), 2);
	assert_int_equal(agree(plain, BODY_PREFIX("\"m\\u0065ssages\":[", text, "]")), 2);
}

static void other_members_go_anywhere(void **state)
{
	static char text[3001], long_text[5001];
	struct prefix alone = BODY_PREFIX("\"messages\":", string_of(text, 'x', 3000));

	(void)state;
	string_of(long_text, 'y', 5000);
	assert_int_equal(agree(alone, BODY_PREFIX("\"model\":\"m\",\"messages\":", text)), 3);
	assert_int_equal(agree(alone,
			       BODY_PREFIX("\"messages\":", text, ",\"n\":2,\"stop\":", long_text)),
			 3);
	assert_int_equal(agree(alone, BODY_PREFIX("\"user\":", long_text, ",\"messages\":", text)),
			 3);
	assert_int_equal(levels(BODY_PREFIX("\"user\":", long_text, ",\"messages\":[]")), 0);
	assert_int_equal(levels(LINE_PREFIX("{\"messages\":", text, "}")), 0);
	assert_int_equal(levels(BODY_PREFIX("\"x\":{\"messages\":", text, "}")), 0);
}

static void tools_part_lines(void **state)
{
	static char text[3001];
	struct prefix without = BODY_PREFIX("\"messages\":", string_of(text, 'x', 3000));
	struct prefix with_a = BODY_PREFIX("\"tools\":[\"a\"],\"messages\":", text);
	struct prefix with_b = BODY_PREFIX("\"tools\":[\"b\"],\"messages\":", text);

	(void)state;
	assert_int_equal(levels(with_a), 3);
	assert_int_equal(agree(without, with_a), 0);
	assert_int_equal(agree(with_a, with_b), 0);
	assert_int_equal(agree(with_a, BODY_PREFIX("\"messages\":", text, ",\"tools\":[\"a\"]")),
			 3);
	assert_int_equal(agree(without, BODY_PREFIX("\"tools\":null,\"messages\":", text)), 3);
	assert_int_equal(agree(with_b, BODY_PREFIX("\"tools\":[\"a\"],\"messages\":", text,
						   ",\"tools\":[\"b\"]")),
			 3);
	assert_int_equal(agree(without, BODY_PREFIX("\"tools\":[\"a\"],\"messages\":", text,
						    ",\"tools\":null")),
			 3);
	/* they are before the prompt, but no part of it */
	assert_int_equal(levels(BODY_PREFIX("\"messages\":[],\"tools\":", text)), 0);
}

/* /v1/messages (contract 1): engines put it before the messages. */
static void system_goes_before_messages(void **state)
{
	static char text[3001], system[701];
	struct prefix with_s = BODY_PREFIX("\"system\":", string_of(system, 's', 700),
					   ",\"messages\":", string_of(text, 'x', 3000));
	struct prefix short_s = BODY_PREFIX("\"messages\":[],\"system\":", system);

	(void)state;
	assert_int_equal(levels(with_s), 3);
	assert_int_equal(levels(short_s), 1);
	assert_int_equal(agree(with_s, short_s), 1);
	text[2000] = 'y'; /* the 2,700th byte of both */
	assert_int_equal(agree(with_s, BODY_PREFIX("\"messages\":", text, ",\"system\":", system)),
			 3);
	text[1200] = 'y';
	assert_int_equal(agree(with_s, BODY_PREFIX("\"messages\":", text, ",\"system\":", system)),
			 2);
	assert_int_equal(agree(BODY_PREFIX("\"messages\":", text),
			       BODY_PREFIX("\"system\":null,\"messages\":", text)),
			 3);
	system[9] = 'z';
	assert_int_equal(agree(with_s, BODY_PREFIX("\"messages\":", text, ",\"system\":", system)),
			 0);
}

static void messages_else_prompt_else_input(void **state)
{
	static char x[601], y[601], z[601];
	struct prefix of_x = BODY_PREFIX("\"messages\":", string_of(x, 'x', 600));
	struct prefix of_y = BODY_PREFIX("\"prompt\":", string_of(y, 'y', 600));
	struct prefix of_z = BODY_PREFIX("\"input\":", string_of(z, 'z', 600));

	(void)state;
	assert_true(levels(of_x) == 1 && levels(of_y) == 1 && levels(of_z) == 1);
	assert_true(agree(of_x, of_y) == 0 && agree(of_y, of_z) == 0);
	assert_int_equal(
		agree(of_x, BODY_PREFIX("\"input\":", z, ",\"prompt\":", y, ",\"messages\":", x)),
		1);
	assert_int_equal(agree(of_y, BODY_PREFIX("\"prompt\":", y, ",\"input\":", z)), 1);
	assert_int_equal(agree(of_y, BODY_PREFIX("\"messages\":null,\"prompt\":", y)), 1);
	assert_int_equal(agree(of_z, BODY_PREFIX("\"input\":", z, ",\"prompt\":null")), 1);
	assert_int_equal(levels(BODY_PREFIX("\"messages\":[],\"prompt\":", y)), 0);
	assert_int_equal(levels(BODY_PREFIX("\"input\":", z, ",\"input\":null")), 0);
	assert_int_equal(levels(BODY_PREFIX("\"input\": [", z, ",", y, "]")), 2);
	assert_int_equal(agree(BODY_PREFIX("\"input\":[", z, ",", y, "]"),
			       BODY_PREFIX("\"input\":[", z, ",", x, "]")),
			 1);
}

static void the_last_prompt_counts(void **state)
{
	static char x[601], y[601];
	struct prefix of_x = BODY_PREFIX("\"messages\":", string_of(x, 'x', 600));
	struct prefix of_y = BODY_PREFIX("\"prompt\":", string_of(y, 'y', 600));

	(void)state;
	assert_int_equal(agree(of_x, BODY_PREFIX("\"messages\":", y, ",\"messages\":", x)), 1);
	assert_int_equal(agree(of_y, BODY_PREFIX("\"messages\":", x, ",\"messages\":null,",
						 "\"prompt\":", y)),
			 1);
	assert_int_equal(levels(BODY_PREFIX("\"messages\":", x, ",\"messages\":[]")), 0);
	assert_int_equal(agree(of_y, LINE_PREFIX("{\"body\":{\"tools\":[],\"messages\":", x,
						 "},\"body\":{\"prompt\":", y, "}}")),
			 1);
	assert_int_equal(levels(LINE_PREFIX("{\"body\":{\"messages\":", x, "},\"body\":null}")), 0);
	assert_int_equal(levels(LINE_PREFIX("{\"body\":{\"messages\":", x, "},\"body\":{}}")), 0);
	assert_int_equal(levels(LINE_PREFIX("{\"body\":{\"messages\":", x, "}")), 0);
	assert_int_equal(levels(LINE_PREFIX("{\"body\":{\"messages\":", x, "}}x")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_line),
		cmocka_unit_test(what_is_no_object),
		cmocka_unit_test(members_that_are_missing),
		cmocka_unit_test(members_of_the_wrong_kind),
		cmocka_unit_test(facts_of_the_body),
		cmocka_unit_test(sampling_parameters),
		cmocka_unit_test(inputs_are_counted),
		cmocka_unit_test(the_last_of_a_member_counts),
		cmocka_unit_test(custom_ids_of_512_bytes_of_any_script),
		cmocka_unit_test(bombs),
		cmocka_unit_test(prefixes_are_as_long_as_the_prompt),
		cmocka_unit_test(prefixes_agree_up_to_the_first_difference),
		cmocka_unit_test(system_goes_before_messages),
		cmocka_unit_test(the_prompt_is_raw_text),
		cmocka_unit_test(other_members_go_anywhere),
		cmocka_unit_test(tools_part_lines),
		cmocka_unit_test(messages_else_prompt_else_input),
		cmocka_unit_test(the_last_prompt_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
