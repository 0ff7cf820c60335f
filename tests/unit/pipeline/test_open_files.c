/* test_open_files.c: which batches' files stay open, which are closed for others, and what a
 * process without descriptors does. */
#include "pipeline_unit.h"

#include <sys/resource.h>

#define BATCHES 3u
#define LINES 2u

static struct batch_of_test {
	struct open_files files;
	char name[16];
	bool busy;
	int starved; /* told so; -1: told that it is over */
} b[BATCHES];

static struct open_table table;

static bool on_busy(void *ctx)
{
	return ((struct batch_of_test *)ctx)->busy;
}

static void on_starved(void *ctx, const struct error *why)
{
	((struct batch_of_test *)ctx)->starved = why != NULL ? 1 : -1;
}

static const struct open_files_ops ops = { on_busy, on_starved };

static void nothing(void *ctx, const struct journal_head *head, uint64_t at)
{
	(void)ctx;
	(void)head;
	(void)at;
}

static void batch_open(struct batch_of_test *t, unsigned number)
{
	char path[PATH_MAX];
	struct journal_found found;

	memset(t, 0, sizeof(*t));
	snprintf(t->name, sizeof(t->name), "batch-%u", number);
	t->files = (struct open_files){
		.table = &table,
		.ops = &ops,
		.ctx = t,
		.input = { .blobs = world.blobs, .file_id = world.file_id, .batch_id = t->name },
	};
	MUST(input_open(&t->files.input, 0, &err));
	snprintf(path, sizeof(path), "%s/batches/%s.journal", world.dir, t->name);
	MUST(journal_open(path, 0, LINES, nothing, NULL, &t->files.journal, &found, &err));
	open_files_add(&t->files);
}

static int setup(void **state)
{
	(void)state;
	world_open();
	upload_lines(LINES);
	open_table_init(&table);
	table.most = 2;
	batch_open(&b[0], 0);
	batch_open(&b[1], 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BATCHES; i++)
		if (b[i].files.table != NULL)
			open_files_close(&b[i].files);
	memset(b, 0, sizeof(b));
	open_table_done(&table);
	recorder_close(world.recorder);
	world_close();
	return 0;
}

static bool is_open(unsigned i)
{
	return b[i].files.open;
}

/* What a worker does with them. */
static void use(unsigned i)
{
	AUTO(buf_free) struct buf to = BUF(1 << 16);
	struct request_line line;

	MUST(open_files_pin(&b[i].files, &err));
	MUST(input_line(&b[i].files.input, 1, &to, &line, &err));
	MUST(journal_sync(b[i].files.journal, &err));
	open_files_unpin(&b[i].files);
}

static void test_the_one_not_used_for_longest_is_closed(void **state)
{
	(void)state;
	b[0].files.used = b[1].files.used = false;
	batch_open(&b[2], 2);
	assert_false(is_open(0));
	assert_true(is_open(1) && is_open(2));
	assert_int_equal(table.open, 2);
}

static void test_what_was_used_is_passed_over_once(void **state)
{
	(void)state;
	b[1].files.used = false;
	use(0);
	batch_open(&b[2], 2);
	assert_true(is_open(0));
	assert_false(is_open(1));
}

static void test_lines_in_flight_keep_files_open_while_others_do_not(void **state)
{
	(void)state;
	b[0].files.used = b[1].files.used = false;
	b[0].busy = true;
	batch_open(&b[2], 2);
	assert_true(is_open(0));
	assert_false(is_open(1));
}

static void test_pinned_files_are_never_closed(void **state)
{
	(void)state;
	MUST(open_files_pin(&b[0].files, &err));
	MUST(open_files_pin(&b[1].files, &err));
	batch_open(&b[2], 2);
	assert_true(is_open(0) && is_open(1) && is_open(2)); /* over the edge, rather than fail */
	open_files_unpin(&b[0].files);
	open_files_unpin(&b[1].files);
}

static void test_closed_files_go_on_where_they_were(void **state)
{
	(void)state;
	batch_open(&b[2], 2);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < BATCHES; i++)
			use(i);
	assert_int_equal(table.open, 2);
}

static void test_all_that_is_idle_is_closed_when_descriptors_are_short(void **state)
{
	(void)state;
	struct error why = { .sys = ENOSPC };

	MUST(open_files_pin(&b[1].files, &err));
	open_table_spare(&table, &why);
	assert_true(is_open(0)); /* a full disk is no shortage of descriptors */
	why.sys = EMFILE;
	open_table_spare(&table, &why);
	assert_false(is_open(0));
	assert_true(is_open(1));
	open_files_unpin(&b[1].files);
}

static void test_without_descriptors_a_batch_starves_and_goes_on_later(void **state)
{
	(void)state;
	const struct error why = { .sys = EMFILE };
	struct rlimit before, none;

	open_table_spare(&table, &why);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	bool pinned = open_files_pin(&b[0].files, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_false(pinned);
	assert_int_equal(err.sys, EMFILE);
	assert_int_equal(b[0].starved, 1);
	assert_true(open_files_starved(&b[0].files));
	use(0);
	assert_int_equal(b[0].starved, -1);
	assert_false(open_files_starved(&b[0].files));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_one_not_used_for_longest_is_closed),
		TEST(test_what_was_used_is_passed_over_once),
		TEST(test_lines_in_flight_keep_files_open_while_others_do_not),
		TEST(test_pinned_files_are_never_closed),
		TEST(test_closed_files_go_on_where_they_were),
		TEST(test_all_that_is_idle_is_closed_when_descriptors_are_short),
		TEST(test_without_descriptors_a_batch_starves_and_goes_on_later),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
