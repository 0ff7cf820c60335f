/* Batches on a screen and in a log, at given times. */
#include "unit.h"

#include "terminal/watch_view.h"

#define NOW 1000000

static struct buf out;
static struct watched all[4];
static size_t n;

static int setup(void **state)
{
	(void)state;
	out = BUF(1 << 20);
	n = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&out);
	for (size_t i = 0; i < n; i++)
		json_decref(all[i].batch);
	memset(all, 0, sizeof(all));
	return 0;
}

/* Objects are written with ' for ". */
static json_t *object(const char *text)
{
	char json[4096];
	json_error_t why;
	size_t i = 0;

	for (; text[i] != '\0'; i++) {
		json[i] = text[i];
		if (json[i] == '\'')
			json[i] = '"';
	}
	json_t *o = json_loadb(json, i, 0, &why);
	if (o == NULL)
		fail_msg("%s: %s", why.text, json);
	return o;
}

static void add(const char *text)
{
	watched_set(&all[n++], object(text), 1000);
}

static const char *screen(size_t columns, size_t rows)
{
	const struct watch_look look = { columns, rows, false, NOW };

	buf_clear(&out);
	watch_screen(all, n, &look, &out);
	buf_char(&out, '\0');
	assert_false(out.failed);
	return out.p;
}

#define RUNNING                                                                               \
	"{'id':'b_1','status':'in_progress','request_counts':{'total':3000,'completed':1200," \
	"'failed':12},'usage':{'total_tokens':100},'metadata':{'job':'x'},"                   \
	"'lowtide':{'expired':0,'cancelled':0,'rate_per_s':532.4,'eta_at':1000062,"           \
	"'stall_reason':null}}"
#define HELD                                                                             \
	"{'id':'b_2','status':'in_progress','request_counts':{'total':10,'completed':0," \
	"'failed':0},'lowtide':{'rate_per_s':0.0,'eta_at':null,'stall_reason':'held',"   \
	"'stall_message':'held since 21:00\\u001b[2J'}}"
#define DONE                                                                              \
	"{'id':'b_3','status':'completed','in_progress_at':999000,'completed_at':999125," \
	"'request_counts':{'total':3000,'completed':2988,'failed':12},'lowtide':{}}"

static void a_running_batch_has_a_bar(void **state)
{
	(void)state;
	add(RUNNING);
	assert_string_equal(
		screen(100, 24),
		"b_1  in_progress  job=x\n"
		"  [===========>                 ]   40%  1212/3000  12 failed  532 lines/s  0.0 tokens/s  ETA 1m02s\n");
}

static void tokens_are_counted_here(void **state)
{
	(void)state;
	add(RUNNING);
	json_t *next = object(RUNNING);
	json_object_set_new(json_object_get(next, "usage"), "total_tokens", json_integer(1100));
	watched_set(&all[0], next, 3000);
	assert_non_null(strstr(screen(120, 24), "  500 tokens/s  "));
}

static void why_it_waits_is_told_in_words_and_plain(void **state)
{
	(void)state;
	add(HELD);
	assert_string_equal(
		screen(70, 24),
		"b_2  in_progress\n"
		"  [>        ]    0%  0/10  0 failed  0.0 lines/s  0.0 tokens/s  ETA -\n"
		"  waits: held since 21:00\xef\xbf\xbd[2J\n");
}

static void one_that_has_ended_is_a_line(void **state)
{
	(void)state;
	add(DONE);
	assert_string_equal(screen(100, 24),
			    "b_3  completed  3000 of 3000 lines in 2m05s, 12 without an answer\n");
}

static void one_that_is_checked_has_no_bar_yet(void **state)
{
	(void)state;
	add("{'id':'b_4','status':'validating','request_counts':{'total':0}}");
	assert_string_equal(screen(100, 24), "b_4  validating\n  the input is being checked\n");
}

static void where_it_is_crowded_those_that_ended_are_counted(void **state)
{
	(void)state;
	add(DONE);
	add(HELD);
	add(DONE);
	assert_non_null(strstr(screen(80, 6), "b_3"));
	const char *text = screen(80, 5);
	assert_null(strstr(text, "b_3"));
	assert_non_null(strstr(text, "2 have ended\n"));
}

static void an_end_that_has_passed_is_now(void **state)
{
	const struct watch_look look = { 100, 24, false, NOW + 100 };

	(void)state;
	add(RUNNING);
	watch_screen(all, n, &look, &out);
	buf_char(&out, '\0');
	assert_non_null(strstr(out.p, "ETA 0s"));
}

/* ---- in a log ---- */

static const char *line(uint64_t now_ms)
{
	buf_clear(&out);
	watch_line(&all[0], NOW, now_ms, &out);
	buf_char(&out, '\0');
	return out.p;
}

static void a_log_has_changes_of_state_at_once_and_counts_now_and_then(void **state)
{
	(void)state;
	add(RUNNING);
	assert_string_equal(
		line(1000),
		"b_1 in_progress: 1212/3000 lines, 12 failed, 532 lines/s, 0.0 tokens/s, ETA 1m02s\n");
	assert_string_equal(line(50000), ""); /* nothing new */
	watched_set(&all[0], object(RUNNING), 51000);
	assert_string_equal(line(1000 + WATCH_LINE_EVERY_MS - 1), "");
	assert_string_not_equal(line(1000 + WATCH_LINE_EVERY_MS), "");
	watched_set(&all[0], object(HELD), 52000);
	assert_string_equal(
		line(1000 + WATCH_LINE_EVERY_MS + 1),
		"b_2 in_progress: 0/10 lines, 0 failed, 0.0 lines/s, 0.0 tokens/s, ETA -, "
		"waits: held since 21:00\xef\xbf\xbd[2J\n");
	watched_set(&all[0], object(DONE), 53000);
	assert_string_equal(line(1000 + WATCH_LINE_EVERY_MS + 2),
			    "b_3 completed:  3000 of 3000 lines in 2m05s, 12 without an answer\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_running_batch_has_a_bar),
		TEST(tokens_are_counted_here),
		TEST(why_it_waits_is_told_in_words_and_plain),
		TEST(one_that_has_ended_is_a_line),
		TEST(one_that_is_checked_has_no_bar_yet),
		TEST(where_it_is_crowded_those_that_ended_are_counted),
		TEST(an_end_that_has_passed_is_now),
		TEST(a_log_has_changes_of_state_at_once_and_counts_now_and_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
