/* Findings as a person reads them: the first of each code, and a table of the rest. */
#include "unit.h"

#include "cli/findings.h"

static char *text;
static size_t text_n;
static struct findings findings;

static int setup(void **state)
{
	(void)state;
	findings = (struct findings){ .path = "f", .to = open_memstream(&text, &text_n) };
	return findings.to == NULL;
}

static int teardown(void **state)
{
	(void)state;
	fclose(findings.to);
	free(text);
	return 0;
}

static void add(const char *code, uint64_t line, const char *message)
{
	findings_add(&findings,
		     &(struct finding){ .code = code, .line = line, .message = message });
}

static const char *said(void)
{
	findings_end(&findings);
	fflush(findings.to);
	return text;
}

static void a_few_are_all_shown(void **state)
{
	(void)state;
	add("a", 0, "whole");
	add("b", 3, "x\x1b[2J\ny\xff");
	assert_string_equal(said(), "f:0: a: whole\n"
				    "f:3: b: x\xef\xbf\xbd[2J\xef\xbf\xbdy\xef\xbf\xbd\n");
}

static void of_many_the_first_are_shown_and_all_counted(void **state)
{
	(void)state;
	for (uint64_t line = 1; line <= 1000; line++)
		add(line % 100 == 0 ? "rare" : "often", line, "m");
	assert_null(strstr(said(), "f:11: often: m\n"));
	assert_non_null(strstr(text, "f:1000: rare: m\n"));
	assert_non_null(
		strstr(text, "         990  often                         the first in line 1\n"));
	assert_non_null(strstr(
		text, "          10  rare                          the first in line 100\n"));
	assert_non_null(strstr(text, "         980  not shown; lowtide check --all"));
	assert_int_equal(findings.count, 1000);
}

static void all_are_shown_when_asked(void **state)
{
	(void)state;
	findings.all = true;
	for (uint64_t line = 1; line <= 100; line++)
		add("c", line, "m");
	assert_non_null(strstr(said(), "f:100: c: m\n"));
	assert_null(strstr(text, "not shown"));
}

static void what_the_file_is_stands_for_its_lines(void **state)
{
	(void)state;
	findings.kind = "It is a poem.";
	for (uint64_t line = 1; line <= 100; line++)
		add("c", line, "m");
	add("d", 0, "whole");
	assert_string_equal(said(), "f:0: d: whole\nf:0: not_jsonl: It is a poem.\n");
}

static void what_most_lines_share_is_told_once(void **state)
{
	struct json_fault comma = { .kind = JSON_FAULT_END_COMMA, .column = 4, .reason = "r" };
	struct finding finding = { .code = "c", .line = 1, .message = "m.", .fault = &comma };

	(void)state;
	findings_add(&findings, &finding);
	findings_add(&findings, &finding);
	add("d", 3, "m");
	assert_non_null(strstr(said(), "f:1: c: m. Column 4: r.\n"));
	assert_non_null(strstr(text, "not_jsonl: Lines end with a comma"));
}

static void more_codes_than_there_is_room_for(void **state)
{
	char codes[FINDING_CODES_MAX + 5][8];

	(void)state;
	for (unsigned i = 0; i < FINDING_CODES_MAX + 5; i++) {
		snprintf(codes[i], sizeof(codes[i]), "c%u", i);
		add(codes[i], i + 1, "m");
	}
	assert_int_equal(findings.count, FINDING_CODES_MAX + 5);
	assert_int_equal(findings.code_count, FINDING_CODES_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_few_are_all_shown),
		TEST(of_many_the_first_are_shown_and_all_counted),
		TEST(all_are_shown_when_asked),
		TEST(what_the_file_is_stands_for_its_lines),
		TEST(what_most_lines_share_is_told_once),
		TEST(more_codes_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
