/* Forms in any order, split at any byte, well-formed and not. */
#include "unit.h"

#include "base/buf.h"
#include "http/multipart.h"

#define TYPE "multipart/form-data; boundary=XX"

/* What the parser told, as text: "[name|filename]content" for each part; no filename is "-". */
struct told {
	struct buf text;
	unsigned pieces_left; /* then it says stop */
};

static bool note(void *ctx, const struct multipart_part *part, struct slice piece)
{
	struct told *t = ctx;

	if (part->first) {
		assert_int_equal(piece.n, 0);
		buf_printf(&t->text, "[%s|%s]", part->name,
			   part->filename != NULL ? part->filename : "-");
	}
	buf_add(&t->text, piece);
	return t->pieces_left-- > 0;
}

static bool parse(const char *type, struct slice form, size_t chunk, struct buf *ret)
{
	struct told t = { .text = BUF(1 << 20), .pieces_left = UINT32_MAX };
	struct multipart *m = multipart_open(type, note, &t);
	bool ok = true;

	assert_non_null(m);
	for (size_t at = 0; at < form.n; at += chunk) {
		size_t n = form.n - at < chunk ? form.n - at : chunk;
		/* a copy of exactly that size: reading beyond it is seen by ASan */
		char *piece = malloc(n);
		memcpy(piece, form.p + at, n);
		ok = multipart_write(m, (struct slice){ piece, n }) && ok;
		free(piece);
	}
	bool whole = multipart_close(m);
	*ret = t.text;
	return ok && whole;
}

/* The same for pieces of every size, and for two pieces split at every byte. */
static void check(const char *type, struct slice form, const char *expected, size_t expected_n)
{
	for (size_t chunk = 1; chunk <= form.n + 1; chunk++) {
		struct buf told;
		bool ok = parse(type, form, chunk, &told);
		assert_int_equal(ok, expected != NULL);
		if (ok) {
			assert_int_equal(told.n, expected_n);
			assert_memory_equal(told.p, expected, expected_n);
		}
		buf_free(&told);
	}
}

#define GIVES(form, expected) check(TYPE, SLICE(form), expected, sizeof(expected) - 1)
#define REFUSED(form) check(TYPE, SLICE(form), NULL, 0)
#define DISPOSITION "Content-Disposition: form-data; "

static void fields_in_any_order(void **state)
{
	(void)state;
	GIVES("--XX\r\n" DISPOSITION "name=\"purpose\"\r\n\r\nbatch\r\n"
	      "--XX\r\n" DISPOSITION "name=\"file\"; filename=\"a.jsonl\"\r\n"
	      "Content-Type: application/jsonl\r\n\r\n{}\n\r\n--XX--\r\n",
	      "[purpose|-]batch[file|a.jsonl]{}\n");
	GIVES("--XX\r\n" DISPOSITION "filename=a.jsonl; name=file\r\n\r\n{}\r\n"
	      "--XX\r\n" DISPOSITION "name=purpose\r\n\r\nbatch\r\n--XX--",
	      "[file|a.jsonl]{}[purpose|-]batch");
}

static void what_stands_around_the_form_is_ignored(void **state)
{
	(void)state;
	GIVES("preamble\r\n--X\r\n--XX \t\r\n" DISPOSITION
	      "name=a\r\n\r\n1\r\n--XX--\r\nepilogue\r\n--XX\r\n",
	      "[a|-]1");
	GIVES("--XX\r\ncontent-DISPOSITION:form-data;name=a\r\nX-Other: y\r\n\r\n\r\n--XX--",
	      "[a|-]");
	GIVES("--XX\r\nContent-Type: text/plain\r\n\r\nno name\r\n--XX--", "[|-]no name");
	GIVES("--XX--\r\n", "");
}

static void content_may_hold_anything_but_the_delimiter(void **state)
{
	(void)state;
	GIVES("--XX\r\n" DISPOSITION "name=a\r\n\r\n"
	      "\r\n\r\r\n-\r\n--\r\n--X\r\r\n--XY\n--XX\r--XX\0--XX--\r\n--XX--",
	      "[a|-]\r\n\r\r\n-\r\n--\r\n--X\r\r\n--XY\n--XX\r--XX\0--XX--");
}

static void filenames(void **state)
{
	static const struct {
		const char *parameter, *expected;
	} names[] = {
		{ "filename=\"\"", "" },
		{ "filename=\"a b;c=d.jsonl\"", "a b;c=d.jsonl" },
		{ "filename=\"quo\\\"te\\\\.jsonl\"", "quo\"te\\.jsonl" },
		{ "filename=\"quo%22te%2f.jsonl\"", "quo\"te%2f.jsonl" },
		{ "filename=\"C:\\dir\\a.jsonl\"", "C:\\dir\\a.jsonl" },
		{ "filename=\"t\xc3\xa4glich.jsonl\"", "t\xc3\xa4glich.jsonl" },
		{ "filename=\"x\"; filename*=UTF-8''t%C3%A4g.jsonl", "t\xc3\xa4g.jsonl" },
		{ "filename*=utf-8'en'a%20b.jsonl; filename=\"x\"", "a b.jsonl" },
		{ "FileName=bare.jsonl", "bare.jsonl" },
		{ "filename=\"never closed", "never closed" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char form[300], expected[300];
		int n = snprintf(form, sizeof(form),
				 "--XX\r\n" DISPOSITION "name=\"file\"; %s\r\n\r\n1\r\n--XX--",
				 names[i].parameter);
		int m = snprintf(expected, sizeof(expected), "[file|%s]1", names[i].expected);
		check(TYPE, (struct slice){ form, (size_t)n }, expected, (size_t)m);
	}
}

static void malformed_forms(void **state)
{
	(void)state;
	REFUSED("--XX\r\n" DISPOSITION "name=a\r\n\r\nnot closed");
	REFUSED("--XX\r\n" DISPOSITION "name=a\r\n\r\nnot closed\r\n--XX");
	REFUSED("--XX\r\n" DISPOSITION "name=a\r\n\r\nnot closed\r\n--XX-");
	REFUSED("--XX\r\n" DISPOSITION "name=a\r\n\r\n1\r\n--XXY\r\n\r\n--XX--");
	REFUSED("--XX\r\nno colon\r\n\r\n1\r\n--XX--");
	REFUSED("--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--XX--");
	REFUSED("--XX\r\n" DISPOSITION "name=\"a\0b\"\r\n\r\n1\r\n--XX--");
	REFUSED("--XX\r\n" DISPOSITION "name=a; filename*=UTF-8''a%00b\r\n\r\n1\r\n--XX--");
	REFUSED("--XX\r\n" DISPOSITION "name=a; filename*=plain\r\n\r\n1\r\n--XX--");
	REFUSED("nothing like a form");
	REFUSED("--");
}

static void a_head_has_a_largest_size(void **state)
{
	static char form[40000];
	struct buf told;

	(void)state;
	for (size_t n = 1000; n <= 30000; n += 29000) {
		int at = snprintf(form, sizeof(form), "--XX\r\nX: ");
		memset(form + at, 'y', n);
		snprintf(form + at + n, sizeof(form) - (size_t)at - n, "\r\n\r\n1\r\n--XX--");
		for (size_t chunk = 1; chunk < 40000; chunk = chunk * 7 + 1) {
			assert_int_equal(parse(TYPE, slice_of(form), chunk, &told), n == 1000);
			buf_free(&told);
		}
	}
	/* many short lines, and a delimiter's line that never ends */
	size_t at = (size_t)sprintf(form, "--XX\r\n");
	while (at < 20000)
		at += (size_t)sprintf(form + at, "X: y\r\n");
	sprintf(form + at, "\r\n1\r\n--XX--");
	assert_false(parse(TYPE, slice_of(form), 1000, &told));
	buf_free(&told);
	memset(form + 4, ' ', 30000);
	assert_false(parse(TYPE, slice_of(form), 1000, &told));
	buf_free(&told);
}

static void boundaries(void **state)
{
	static const char form[] = "--a b:c\r\n" DISPOSITION "name=n\r\n\r\n1\r\n--a b:c--";
	static const char *const none[] = { "",
					    "text/plain",
					    "application/json",
					    "multipart/form-data",
					    "multipart/form-data; boundary=",
					    "multipart/form-data; boundary=\"\"",
					    "multipart/mixed; boundary=XX",
					    "multipart/form-dataX; boundary=XX" };
	char type[400] = "multipart/form-data; boundary=";

	(void)state;
	check("Multipart/Form-Data;charset=x ; Boundary=\"a b:c\"", slice_of(form), "[n|-]1", 6);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_null(multipart_open(none[i], note, NULL));
	assert_null(multipart_open(NULL, note, NULL));
	memset(type + strlen(type), 'b', 201);
	assert_null(multipart_open(type, note, NULL));
	assert_false(multipart_close(NULL));
}

static void the_reader_may_stop_it(void **state)
{
	static const char form[] = "--XX\r\n" DISPOSITION "name=a\r\n\r\n1\r\n--XX--";

	(void)state;
	for (unsigned pieces = 0; pieces < 2; pieces++) {
		struct told t = { .text = BUF(100), .pieces_left = pieces };
		struct multipart *m = multipart_open(TYPE, note, &t);
		assert_false(multipart_write(m, slice_of(form)));
		assert_false(multipart_write(m, SLICE("more")));
		assert_false(multipart_close(m));
		buf_free(&t.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_in_any_order),
		cmocka_unit_test(what_stands_around_the_form_is_ignored),
		cmocka_unit_test(content_may_hold_anything_but_the_delimiter),
		cmocka_unit_test(filenames),
		cmocka_unit_test(malformed_forms),
		cmocka_unit_test(a_head_has_a_largest_size),
		cmocka_unit_test(boundaries),
		cmocka_unit_test(the_reader_may_stop_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
