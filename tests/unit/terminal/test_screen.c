/* Progress for another program, which may read it or not. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "terminal/screen.h"

#define EVERY_MS UINT64_C(500)
#define TOTAL UINT64_C(1000)

struct watched {
	int reader, writer;
	struct screen screen;
	uint64_t now_ms, done;
};

static void open_watched(struct watched *w)
{
	int ends[2];

	*w = (struct watched){ 0 };
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	w->reader = ends[0];
	w->writer = ends[1];
	assert_true(fcntl(w->writer, F_SETPIPE_SZ, 4096) >= 4096);
	screen_open_status(&w->screen, w->writer, 0);
}

static void close_watched(struct watched *w)
{
	screen_close(&w->screen);
	close(w->reader);
	close(w->writer);
}

static void show(struct watched *w, bool last)
{
	struct meter_view view = { .done = ++w->done, .total = TOTAL };

	w->now_ms += EVERY_MS;
	screen_show(&w->screen, &view, 0, w->now_ms, last);
}

/* What stands in the pipe: whole lines; the done of the last one. */
static uint64_t drain(struct watched *w, size_t *ret_lines)
{
	char text[8192];
	unsigned long long done = 0;

	*ret_lines = 0;
	ssize_t n = read(w->reader, text, sizeof(text) - 1);
	assert_true(n > 0 && text[n - 1] == '\n');
	text[n] = '\0';
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		assert_int_equal(sscanf(line, "{\"done\":%llu,", &done), 1);
		assert_int_equal(line[strlen(line) - 1], '}');
		++*ret_lines;
	}
	return done;
}

static void lines_that_nobody_reads_are_left_out(void **state)
{
	struct watched w;
	size_t lines;

	(void)state;
	open_watched(&w);
	for (int i = 0; i < 200; i++)
		show(&w, false); /* 30 KB */
	assert_true(drain(&w, &lines) < w.done);
	assert_true(lines > 0 && lines < 200);
	show(&w, false);
	assert_int_equal(drain(&w, &lines), w.done); /* and who reads again sees how it is now */
	assert_int_equal(lines, 1);
	close_watched(&w);
}

static int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void the_last_line_waits_but_not_for_good(void **state)
{
	struct watched w;
	size_t lines;

	(void)state;
	open_watched(&w);
	for (int i = 0; i < 200; i++)
		show(&w, false);
	int64_t from_ms = clock_ms();
	show(&w, true);
	assert_in_range(clock_ms() - from_ms, 500, 20000);
	assert_true(drain(&w, &lines) < w.done);
	show(&w, true);
	assert_int_equal(drain(&w, &lines), w.done);
	close_watched(&w);
}

static void a_reader_that_has_gone_is_no_fault(void **state)
{
	struct watched w;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	open_watched(&w);
	close(w.reader);
	show(&w, false);
	show(&w, true);
	w.reader = -1;
	close_watched(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_that_nobody_reads_are_left_out),
		cmocka_unit_test(the_last_line_waits_but_not_for_good),
		cmocka_unit_test(a_reader_that_has_gone_is_no_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
