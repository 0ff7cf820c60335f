/* Lines that are drawn anew where they stand, read from a pipe as a terminal would. */
#include "unit.h"

#include "terminal/frame.h"

static int pipe_fds[2];
static struct frame frame;
static char got[65536];

static int setup(void **state)
{
	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	frame_open(&frame, pipe_fds[1]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	frame_close(&frame);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return 0;
}

/* Draws, and what came of it. "": nothing. */
static const char *draw(const char *text, size_t columns, size_t rows)
{
	frame_draw(&frame, slice_of(text), columns, rows);
	assert_int_equal(write(pipe_fds[1], "", 1), 1);
	ssize_t n = read(pipe_fds[0], got, sizeof(got));
	assert_true(n > 0);
	return got;
}

static void the_cursor_goes_up_and_ends_below(void **state)
{
	(void)state;
	assert_string_equal(draw("one\ntwo\n", 80, 24), "one\033[K\ntwo\033[K\n\033[J");
	assert_string_equal(draw("uno\n", 80, 24), "\033[2Auno\033[K\n\033[J");
	assert_string_equal(draw("a\nb\nc\n", 80, 24), "\033[1Aa\033[K\nb\033[K\nc\033[K\n\033[J");
}

static void the_same_is_not_drawn_again(void **state)
{
	(void)state;
	draw("one\n", 80, 24);
	assert_string_equal(draw("one\n", 80, 24), "");
	assert_string_equal(draw("one\n", 2, 24), "\033[1Ao\xe2\x80\xa6\033[K\n\033[J");
}

static void colours_take_no_room_and_are_ended(void **state)
{
	(void)state;
	assert_string_equal(draw("\033[31mabcdef\033[0m gh\n", 4, 24),
			    "\033[31mabc\xe2\x80\xa6\033[0m\033[K\n\033[J");
	assert_string_equal(draw("ab\033[1mcd\033[0mef\n", 6, 24),
			    "\033[1Aab\033[1mcd\033[0mef\033[K\n\033[J");
}

static void what_is_too_high_says_how_much_is_missing(void **state)
{
	(void)state;
	assert_string_equal(draw("1\n2\n3\n", 80, 4), "1\033[K\n2\033[K\n3\033[K\n\033[J");
	assert_string_equal(draw("1\n2\n3\n4\n", 80, 4),
			    "\033[3A1\033[K\n2\033[K\n\xe2\x80\xa6 2 more lines\033[K\n\033[J");
	assert_string_equal(draw("1\n2\n", 80, 1),
			    "\033[3A\xe2\x80\xa6 2 more lines\033[K\n\033[J");
	assert_string_equal(draw("", 80, 24), "\033[1A\033[J");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_cursor_goes_up_and_ends_below),
		TEST(the_same_is_not_drawn_again),
		TEST(colours_take_no_room_and_are_ended),
		TEST(what_is_too_high_says_how_much_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
