/* Files that are something else all through, by how they begin. */
#include "unit.h"

#include "base/attr.h"
#include "terminal/file_kind.h"

#define OBJECT "{\"custom_id\":\"a\"}\n"

static void kinds(void **state)
{
	static const struct {
		struct slice beginning;
		const char *told; /* NULL: nothing */
	} cases[] = {
		{ SLICE(OBJECT OBJECT), NULL },
		{ SLICE(""), NULL },
		{ SLICE("\xef\xbb\xbf" OBJECT), NULL },
		{ SLICE("{\"a\":1},\n"), NULL },     /* the findings' own to tell */
		{ SLICE("{\"a\":\n" OBJECT), NULL }, /* one bad line, then a good one */
		{ SLICE("rubbish\n" OBJECT), NULL },
		{ SLICE("a, b\n" OBJECT), NULL },
		{ SLICE("[\n  {"), "array" },
		{ SLICE("\xef\xbb\xbf \r\n[{\"a\":1}]"), "array" },
		{ SLICE("{\n  \"a\": 1\n}\n"), "several lines" },
		{ SLICE("{\n\"a\": 1\n}\n"), "several lines" },
		{ SLICE("{\"a\": {\r\n\t\"b\""), "several lines" },
		{ SLICE("id,prompt\n1,x\n"), "CSV" },
		{ SLICE("id;prompt\n1;x\n"), "CSV" },
		{ SLICE("id\tprompt\n"), "CSV" },
		{ SLICE("<!DOCTYPE html>"), "HTML" },
		{ SLICE("\x1f\x8b\x08"), "gunzip" },
		{ SLICE("\x28\xb5\x2f\xfd"), "unzstd" },
		{ SLICE("BZh9"), "bunzip2" },
		{ SLICE("PK\x03\x04"), "ZIP" },
		{ SLICE("PAR1"), "Parquet" },
		{ SLICE("\xff\xfe{\0"), "UTF-16" },
		{ SLICE("\xfe\xff\0{"), "UTF-16" },
		{ SLICE("{\0\"\0"), "UTF-16" },
		{ SLICE("\0{\0\""), "UTF-16" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *kind = file_kind(cases[i].beginning);
		if ((kind == NULL) != (cases[i].told == NULL) ||
		    (kind != NULL && strstr(kind, cases[i].told) == NULL))
			fail_msg("%.20s: %s", cases[i].beginning.p,
				 kind != NULL ? kind : "nothing");
	}
}

/* What is looked at may be cut off anywhere. */
static void beginnings_of_any_length(void **state)
{
	static const char text[] = "\xef\xbb\xbf {\n  \"a\": [1, 2],\n  \"b\": 2\n}\n";

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		char *copy = malloc(n > 0 ? n : 1); /* ASan sees what is read behind it */
		memcpy(copy, text, n);
		(void)file_kind((struct slice){ copy, n });
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(beginnings_of_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
