/* test_event_reader.c: the form of server-sent events, in pieces of any size. */
#include "unit.h"

#include "remote/event_reader.h"

/* "name|id|data;" of each event, read in pieces of `size`. */
static void read_all(const char *text, size_t size, char to[static 256])
{
	struct event_reader e;
	size_t n = strlen(text);

	event_reader_init(&e);
	to[0] = '\0';
	for (size_t at = 0; at < n; at += size) {
		struct slice piece = { text + at, n - at < size ? n - at : size };
		bool event;
		do {
			assert_true(event_reader_next(&e, &piece, &event));
			if (event)
				snprintf(to + strlen(to), 256 - strlen(to), "%s|%s|%.*s;", e.name,
					 e.id, SLICE_ARG(buf_slice(&e.data)));
		} while (event);
	}
	event_reader_free(&e);
}

static void forms(void **state)
{
	(void)state;
	static const struct {
		const char *text, *events;
	} rows[] = {
		{ "event: a\ndata: 1\n\n", "a||1;" },
		{ "event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", "a||1;||2;" },
		{ "data: 1\r\n\ndata: 2\n\n", "||1;||2;" },
		{ "event:a\rdata:1\r\rdata: 2\r\r", "a||1;||2;" },
		{ "data: 1\ndata: 2\n\n", "||1\n2;" },
		{ "data\n\n", "||;" },
		{ "data:\ndata:\n\n", "||\n;" },
		{ ": a comment\n\n:\n\ndata: 1\n\n", "||1;" },
		{ "id: 7\ndata: 1\n\ndata: 2\n\n", "|7|1;|7|2;" },
		{ "event: lost\n\ndata: 1\n\n", "||1;" },
		{ "data:  two blanks\n\n", "|| two blanks;" },
		{ "retry: 10\nunknown: x\ndata: a:b\n\n", "||a:b;" },
		{ "data: cut", "" },
		{ "data: 1\n", "" },
	};
	char got[256];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t size = 1; size <= strlen(rows[i].text); size++) {
			read_all(rows[i].text, size, got);
			assert_string_equal(got, rows[i].events);
		}
}

static void a_restart_forgets_what_was_half_read(void **state)
{
	(void)state;
	struct event_reader e;
	struct slice half = SLICE("id: 3\nevent: a\ndata: 1\ndata: h"),
		     whole = SLICE("data: 2\n\n");
	bool event;
	event_reader_init(&e);
	assert_true(event_reader_next(&e, &half, &event));
	assert_false(event);
	event_reader_restart(&e);
	assert_true(event_reader_next(&e, &whole, &event));
	assert_true(event);
	assert_string_equal(e.name, "");
	assert_string_equal(e.id, "3");
	assert_true(slice_is(buf_slice(&e.data), "2"));
	event_reader_free(&e);
}

static void an_event_without_end_is_refused(void **state)
{
	(void)state;
	struct event_reader e;
	char piece[1 << 16];
	bool event, good = true;
	memset(piece, 'x', sizeof(piece));
	event_reader_init(&e);
	for (unsigned i = 0; good && i <= EVENT_BYTES_MAX / sizeof(piece); i++)
		good = event_reader_next(&e, &(struct slice){ piece, sizeof(piece) }, &event);
	assert_false(good);
	event_reader_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(a_restart_forgets_what_was_half_read),
		cmocka_unit_test(an_event_without_end_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
