/* line_scan_like: whatever lines came before, a line's facts are those that line_scan() finds. */
#include "unit.h"

#include "ingest/template.h"

/* A random number below `n`, the same in each run. */
static unsigned below(unsigned n)
{
	static uint64_t state = 1;

	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)((state >> 33) % n);
}

static void assert_same(struct slice a, struct slice b)
{
	assert_ptr_equal(a.p, b.p);
	assert_int_equal(a.n, b.n);
}

/* Whether the template served. */
static bool check(struct line_template *t, const char *text, size_t n)
{
	char *line = malloc(n > 0 ? n : 1); /* ends where the line ends, for ASan */
	struct slice whole = { line, n };
	struct line_facts want, got;

	memcpy(line, text, n);
	line_scan(whole, &want);
	t->misses = t->pause = 0;
	line_scan_like(t, whole, &got);
	assert_int_equal(got.flags, want.flags);
	assert_int_equal(got.inputs, want.inputs);
	assert_ptr_equal(got.sampling, want.sampling);
	assert_same(got.custom_id, want.custom_id);
	assert_same(got.body, want.body);
	assert_same(got.url, want.url);
	assert_same(got.model, want.model);
	assert_same(got.method, want.method);
	assert_same(got.texts.messages, want.texts.messages);
	assert_same(got.texts.prompt, want.texts.prompt);
	assert_same(got.texts.input, want.texts.input);
	assert_same(got.texts.tools, want.texts.tools);
	assert_same(got.texts.system, want.texts.system);
	assert_memory_equal(&got.prefix, &want.prefix, sizeof(want.prefix));
	free(line);
	return t->misses == 0;
}

/* $: a text. */
static const char *const shapes[] = {
	"{\"custom_id\":\"$\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":"
	"\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"$\"}],\"max_tokens\":20}}",
	"{\"custom_id\": \"$\", \"method\": \"POST\", \"url\": \"/v1/chat/completions\", \"body\": "
	"{\"messages\": [{\"role\": \"system\", \"content\": \"$\"}, {\"role\" : \"user\", "
	"\"content\": [{\"type\": \"text\", \"text\" :\"$\"}]}], \"model\": \"m\", \"n\": 2}}\r",
	"{\"body\":{\"input\":[\"$\",\"$\",\"$\"],\"model\":\"m\"},\"url\":\"/v1/embeddings\",\"custom_id\":"
	"\"$\",\"method\":\"POST\"}",
	"{\"custom_id\":\"x\",\"custom_id\":\"$\",\"method\":\"GET\",\"url\":1,\"body\":{\"messages\":[\"a\"],"
	"\"messages\":\"$\",\"system\":\"$\",\"tools\":[{\"name\":\"t\"}],\"stream\":true}}",
	"{\"custom_id\":\"$\",\"method\":\"POST\",\"url\":\"u\",\"body\":{\"model\":\"m\",\"prompt\":\"$\","
	"\"temperature\":null,\"top_p\":0.5},\"x\":{\"y\":[\"$\"]}}",
	"{\"custom_id\":\"$\",\"url\":\"\",\"body\":{\"model\":\"\",\"input\":[[1,2],[3]],\"messages\":null}}",
	"{\"custom_id\":\"$\",\"url\":\"u\",\"method\":\"POST\",\"body\":{\"model\":\"m\",\"messages\":[]},"
	"\"body\":{\"model\":\"m\",\"messages\":[{\"content\":\"$\",\"$\":\"$\"}]}}",
	"{\"custom_id\":7,\"body\":{\"prompt\":\"$\"}}",
	"[\"$\"]",
};

static const char *const units[] = {
	"a", "tide ",          "\\n",   "\\\"", "\\u00e9", "\xc3\xa9", "\xe4\xbd\xa0",
	":", "\\ud83d\\ude00", "{}[],", "\\\\", " "
};
static const char *const bad[] = { "\"", "\\", "\n", "\xff", "\xc3", "\\u12", "\x01", "\\x" };

static size_t text_make(char *to, bool may_be_bad)
{
	unsigned lengths[] = { 0, 1, 3, 20, 120, 700 };
	size_t n = 0, most = lengths[below(6)];

	while (n < most) {
		const char *unit = may_be_bad && below(60) == 0 ? bad[below(ARRAY_LEN(bad))]
								: units[below(ARRAY_LEN(units))];
		memcpy(to + n, unit, strlen(unit));
		n += strlen(unit);
	}
	return n;
}

static size_t line_make(char *to, const char *shape, bool may_be_bad)
{
	size_t n = 0;

	for (; *shape != '\0'; shape++) {
		if (*shape == '$')
			n += text_make(to + n, may_be_bad);
		else
			to[n++] = *shape;
	}
	return n;
}

static size_t line_break(char *line, size_t n)
{
	static const char bytes[] = "\"\\{}[]:,0n \x80";
	size_t at = below((unsigned)n);

	switch (below(4)) {
	case 0:
		line[at] = bytes[below(sizeof(bytes))];
		break;
	case 1:
		memmove(line + at + 1, line + at, n - at);
		line[at] = bytes[below(sizeof(bytes))];
		return n + 1;
	case 2:
		memmove(line + at, line + at + 1, n - at - 1);
		return n - 1;
	default:
		return at;
	}
	return n;
}

static void lines_of_every_shape(void **state)
{
	static char line[16384];
	static struct line_template t;
	unsigned served = 0;

	(void)state;
	for (unsigned round = 0; round < 60000; round++) {
		static unsigned shape;
		if (below(8) == 0)
			shape = below(ARRAY_LEN(shapes));
		size_t n = line_make(line, shapes[shape], below(3) == 0);
		if (n > 0 && below(3) == 0)
			n = line_break(line, n);
		served += check(&t, line, n);
	}
	assert_in_range(served, 2000, 40000); /* else nothing was compared */
}

static bool served_after(const char *first, const char *second)
{
	struct line_template t = { 0 };

	check(&t, first, strlen(first));
	return check(&t, second, strlen(second));
}

#define LINE(id, method, model, role, text, tail)                                            \
	"{\"custom_id\":\"" id "\",\"method\":\"" method                                     \
	"\",\"url\":\"u\",\"body\":{\"model\":\"" model "\",\"messages\":[{\"role\":\"" role \
	"\",\"content\":\"" text "\"}]}}" tail

static void what_is_alike(void **state)
{
	static const char *const first = LINE("a", "POST", "m", "user", "hello", "");

	(void)state;
	assert_true(served_after(first, LINE("bcd", "POST", "m", "system", "", "")));
	assert_true(served_after(first, LINE("\\u0061", "POST", "m", "user", "\\\"\xc3\xa9", "")));
	assert_false(served_after(first, LINE("", "POST", "m", "user", "hello", "")));
	assert_false(served_after(first, LINE("a", "PUT", "m", "user", "hello", "")));
	assert_false(served_after(first, LINE("a", "POST", "n", "user", "hello", "")));
	assert_false(served_after(first, LINE("a", "POST", "m", "user", "hello", " ")));
	assert_false(served_after(first, LINE("a", "POST", "m", "user", "\xff", "")));
	assert_false(served_after(first, LINE("a", "POST", "m", "user", "a\",\"b\":\"", "")));
}

/* Lines that are never alike are not compared each time; once they are alike again they are served. */
static void odd_lines_are_passed_by(void **state)
{
	struct line_template t = { 0 };
	struct line_facts facts;
	char line[256];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		size_t n = (size_t)sprintf(line, LINE("a", "POST", "m-%d", "user", "hello", ""), i);
		line_scan_like(&t, (struct slice){ line, n }, &facts);
	}
	assert_in_range(t.misses, 8, 300);
	for (int i = 0; i < 300; i++) {
		size_t n = (size_t)sprintf(line, LINE("%d", "POST", "m", "user", "hello", ""), i);
		line_scan_like(&t, (struct slice){ line, n }, &facts);
	}
	assert_int_equal(t.misses, 0);
}

static void as_many_texts_as_there_is_room_for(void **state)
{
	static char line[2][8192];

	(void)state;
	for (unsigned texts = TEMPLATE_TEXTS - 3; texts < TEMPLATE_TEXTS + 3; texts++) {
		for (unsigned k = 0; k < 2; k++) {
			size_t n = (size_t)sprintf(
				line[k],
				"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"u\",\"body\":{"
				"\"model\":\"m\",\"input\":[\"\"");
			for (unsigned i = 2; i < texts; i++)
				n += (size_t)sprintf(line[k] + n, ",\"%u\"", i * (1 + k * 100));
			sprintf(line[k] + n, "]}}");
		}
		assert_int_equal(served_after(line[0], line[1]), texts <= TEMPLATE_TEXTS);
	}
	for (int more = TEMPLATE_BYTES - 400; more < TEMPLATE_BYTES + 400; more++) {
		for (unsigned k = 0; k < 2; k++)
			sprintf(line[k], LINE("%s", "POST", "m", "user", "hello", "%*s"),
				k == 0 ? "a" : "bb", more, "");
		bool fits = strlen(line[0]) - strlen("a"
						     "user"
						     "hello") <=
			    TEMPLATE_BYTES;
		assert_int_equal(served_after(line[0], line[1]), fits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_every_shape),
		cmocka_unit_test(what_is_alike),
		cmocka_unit_test(odd_lines_are_passed_by),
		cmocka_unit_test(as_many_texts_as_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
