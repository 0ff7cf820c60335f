/* test_input.c: lines are read by the index; an index that is gone is made anew; a place that lies
 * outside its line is not believed. */
#include "pipeline_unit.h"

#include "batch/override.h"

#define LINES 100u /* more than are cached */

static struct input in;

static int setup(void **state)
{
	(void)state;
	world_open();
	upload_lines(LINES);
	in = (struct input){ .blobs = world.blobs, .file_id = world.file_id, .batch_id = "b" };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	input_close(&in);
	recorder_close(world.recorder);
	world_close();
	return 0;
}

static void assert_line(uint64_t record, const char *custom_id)
{
	AUTO(buf_free) struct buf to = BUF(1 << 16);
	struct request_line line;

	MUST(input_line(&in, record, &to, &line, &err));
	assert_int_equal(line.custom_id.n, strlen(custom_id));
	assert_memory_equal(line.custom_id.p, custom_id, line.custom_id.n);
	assert_int_equal(line.body.p[0], '{');
	assert_int_equal(line.body.p[line.body.n - 1], '}');
}

static void test_lines_are_read_in_any_order(void **state)
{
	(void)state;
	MUST(input_open(&in, 0, &err));
	assert_int_equal(input_lines(&in), LINES);
	assert_line(0, "c-0");
	assert_line(LINES - 1, "c-99");
	assert_line(1, "c-1");
}

static void test_a_line_says_how_many_inputs_it_has(void **state)
{
	AUTO(buf_free) struct buf to = BUF(1 << 16);
	struct request_line line = { .inputs = 7 };
	struct input other;

	(void)state;
	MUST(input_open(&in, 0, &err));
	MUST(input_line(&in, 3, &to, &line, &err));
	assert_int_equal(line.inputs, 1);
	upload("{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/embeddings\","
	       "\"body\":{\"model\":\"m\",\"input\":[\"x\",\"y\",\"z\"]}}\n");
	other = (struct input){ .blobs = world.blobs, .file_id = world.file_id, .batch_id = "o" };
	MUST(input_open(&other, 0, &err));
	buf_clear(&to);
	MUST(input_line(&other, 0, &to, &line, &err));
	assert_int_equal(line.inputs, 3);
	input_close(&other);
}

/* 11.1, override: another body stands behind the line; the custom_id is still the line's. */
static void test_a_body_is_set(void **state)
{
	static const char expected[] = "{\"model\":\"m-2\",\"messages\":[{\"role\":\"user\","
				       "\"content\":\"3\"}],\"input\":[1]}";
	AUTO(buf_free) struct buf to = BUF(1 << 16);
	struct request_line line;
	struct line_look plain, set;
	unsigned n;

	(void)state;
	struct override *o = override_new("{\"input\":[1],\"model\":\"m-2\"}", &n);
	MUST(input_open(&in, 0, &err));
	MUST(input_look(&in, 3, &plain, &err));
	in.override = o;
	MUST(input_look(&in, 3, &set, &err));
	assert_int_equal(set.body_bytes, plain.body_bytes + override_bytes(o));
	MUST(input_line(&in, 3, &to, &line, &err));
	assert_true(slice_is(line.custom_id, "c-3"));
	assert_true(slice_is(line.body, expected));
	assert_int_equal(line.inputs, 0); /* to be counted in the body */
	override_free(o);
}

static void test_what_the_schedule_wants_to_know(void **state)
{
	(void)state;
	struct line_look look;

	MUST(input_open(&in, 0, &err));
	MUST(input_look(&in, 10, &look, &err));
	assert_true(look.body_bytes > 20);
	assert_int_equal(input_line_number(&in, 10), 11);
}

static void test_a_custom_id_is_read_without_its_line(void **state)
{
	(void)state;
	AUTO(buf_free) struct buf to = BUF(64);

	assert_false(input_custom_id(&in, 0, &to)); /* it is not open: lost */
	MUST(input_open(&in, 0, &err));
	assert_true(input_custom_id(&in, 42, &to));
	assert_int_equal(to.n, 4);
	assert_memory_equal(to.p, "c-42", 4);
}

static void test_it_goes_on_after_it_was_let_go(void **state)
{
	(void)state;
	MUST(input_open(&in, 0, &err));
	assert_line(3, "c-3");
	input_release(&in);
	MUST(input_take_up(&in, &err));
	assert_line(3, "c-3");
	assert_int_equal(input_line_number(&in, 3), 4);
}

static void test_an_index_that_is_gone_is_made_anew(void **state)
{
	(void)state;
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s/files/%s.index", world.dir, world.file_id);
	assert_int_equal(unlink(name), 0);
	MUST(input_open(&in, 0, &err));
	assert_line(LINES - 1, "c-99");
	assert_int_equal(access(name, F_OK), 0);
}

static void test_bytes_that_are_gone_are_lost(void **state)
{
	(void)state;
	MUST(blob_remove(world.blobs, world.file_id, &err));
	assert_false(input_open(&in, 0, &err));
	assert_true(data_is_lost(&err));
}

static void test_a_file_that_was_cut_is_lost_where_it_was_cut(void **state)
{
	(void)state;
	AUTO(buf_free) struct buf to = BUF(1 << 16);
	struct request_line line;
	char name[PATH_MAX];

	MUST(input_open(&in, 0, &err));
	snprintf(name, sizeof(name), "%s/files/%s.jsonl", world.dir, world.file_id);
	assert_int_equal(truncate(name, 1000), 0);
	assert_line(0, "c-0");
	assert_false(input_line(&in, LINES - 1, &to, &line, &err));
	assert_true(data_is_lost(&err));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines_are_read_in_any_order),
		TEST(test_a_line_says_how_many_inputs_it_has),
		TEST(test_a_body_is_set),
		TEST(test_what_the_schedule_wants_to_know),
		TEST(test_a_custom_id_is_read_without_its_line),
		TEST(test_it_goes_on_after_it_was_let_go),
		TEST(test_an_index_that_is_gone_is_made_anew),
		TEST(test_bytes_that_are_gone_are_lost),
		TEST(test_a_file_that_was_cut_is_lost_where_it_was_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
