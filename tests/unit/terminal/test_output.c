/* The three forms of what a command answers. */
#include "unit.h"

#include "terminal/output.h"

static const struct table_column list[] = { { "ID", "id" }, { "BYTES", "bytes", TABLE_BYTES } };
static const struct table_column whole[] = { { "id", "id" }, { "name", "name" } };
static const char *const plain[] = { "id", "bytes", "name", "a.b", NULL };
static const struct output_layout layout = { list,  ARRAY_LEN(list), whole, ARRAY_LEN(whole),
					     plain, "no files" };

static char *text;
static size_t text_n;
static struct output o;

static void begin(enum output_form form)
{
	output_open(&o, form);
	o.to = open_memstream(&text, &text_n);
	assert_non_null(o.to);
}

static int teardown(void **state)
{
	(void)state;
	fclose(o.to);
	free(text);
	return 0;
}

static json_t *one(void)
{
	return json_pack("{s:s, s:i, s:s, s:{s:f}, s:n}", "id", "f_1", "bytes", 1536, "name",
			 "a\tb\n\x7f\xc2\x9b\xe4\xbd\xa0", "a", "b", 0.1, "n");
}

static const char *of_list(enum output_form form, unsigned rows)
{
	struct error err;

	begin(form);
	output_list(&o, &layout);
	for (unsigned i = 0; i < rows; i++) {
		json_t *object = one();
		assert_true(output_row(&o, object, &err));
		json_decref(object);
	}
	assert_true(output_end(&o, true, &err));
	return text;
}

static const char *of_object(enum output_form form)
{
	struct error err;
	json_t *object = one();

	begin(form);
	assert_true(output_object(&o, &layout, object, &err));
	json_decref(object);
	return text;
}

#define OBJECT_JSON                                                                              \
	"{\"id\":\"f_1\",\"bytes\":1536,\"name\":\"a\\tb\\n\\u007f\\u009b\xe4\xbd\xa0\",\"a\":{" \
	"\"b\":0.1},\"n\":null}"
#define OBJECT_PLAIN               \
	"f_1\t1536\ta\xef\xbf\xbd" \
	"b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xe4\xbd\xa0\t0.1\n"

static void a_list_in_json_is_an_array(void **state)
{
	(void)state;
	assert_string_equal(of_list(OUTPUT_JSON, 2), "[" OBJECT_JSON ",\n" OBJECT_JSON "]\n");
}

static void a_list_that_broke_off_is_no_array(void **state)
{
	struct error err;
	json_t *object = one();

	(void)state;
	begin(OUTPUT_JSON);
	output_list(&o, &layout);
	assert_true(output_row(&o, object, &err));
	assert_true(output_end(&o, false, &err));
	assert_string_equal(text, "[" OBJECT_JSON "\n");
	json_decref(object);
}

static void an_empty_list_in_json_is_one_too(void **state)
{
	(void)state;
	assert_string_equal(of_list(OUTPUT_JSON, 0), "[]\n");
}

static void a_list_in_plain_has_a_line_for_each(void **state)
{
	(void)state;
	assert_string_equal(of_list(OUTPUT_PLAIN, 2), OBJECT_PLAIN OBJECT_PLAIN);
}

static void a_list_as_a_table(void **state)
{
	(void)state;
	assert_string_equal(of_list(OUTPUT_TABLE, 1), "ID    BYTES\nf_1  1.5 KB\n");
}

static void an_empty_table_is_nothing_on_standard_output(void **state)
{
	(void)state;
	of_list(OUTPUT_TABLE, 0);
	assert_int_equal(text_n, 0);
}

static void one_object_in_json(void **state)
{
	(void)state;
	assert_string_equal(of_object(OUTPUT_JSON), OBJECT_JSON "\n");
}

static void one_object_in_plain_is_as_in_a_list(void **state)
{
	(void)state;
	assert_string_equal(of_object(OUTPUT_PLAIN), OBJECT_PLAIN);
}

static void one_object_as_a_table(void **state)
{
	(void)state;
	assert_string_equal(of_object(OUTPUT_TABLE),
			    "id    f_1\n"
			    "name  a\xef\xbf\xbd"
			    "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xe4\xbd\xa0\n");
}

static void a_full_disk_is_told(void **state)
{
	struct error err;
	json_t *object = one();

	(void)state;
	begin(OUTPUT_JSON);
	FILE *memory = o.to;
	o.to = fopen("/dev/full", "w");
	assert_non_null(o.to);
	assert_false(output_object(&o, &layout, object, &err));
	assert_int_equal(err.sys, ENOSPC);
	assert_string_equal(err.detail, "standard output");
	fclose(o.to);
	o.to = memory;
	json_decref(object);
}

static void names_of_forms(void **state)
{
	enum output_form form = OUTPUT_TABLE;

	(void)state;
	assert_true(output_form_read("plain", &form));
	assert_int_equal(form, OUTPUT_PLAIN);
	assert_true(output_form_read("json", &form));
	assert_true(output_form_read("table", &form));
	assert_false(output_form_read("", &form));
	assert_false(output_form_read("JSON", &form));
	assert_int_equal(form, OUTPUT_TABLE);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_list_in_json_is_an_array),
		TEST(a_list_that_broke_off_is_no_array),
		TEST(an_empty_list_in_json_is_one_too),
		TEST(a_list_in_plain_has_a_line_for_each),
		TEST(a_list_as_a_table),
		TEST(an_empty_table_is_nothing_on_standard_output),
		TEST(one_object_in_json),
		TEST(one_object_in_plain_is_as_in_a_list),
		TEST(one_object_as_a_table),
		TEST(a_full_disk_is_told),
		cmocka_unit_test(names_of_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
