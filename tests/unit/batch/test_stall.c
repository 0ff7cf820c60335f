/* The words for why a batch waits: those of contract 11.2, of the log and of the console stay as
 * they are. */
#include "unit.h"

#include "batch/stall.h"

static void is(const char *word, const char *expected)
{
	if (expected == NULL)
		assert_null(word);
	else
		assert_string_equal(word, expected);
}

static void words_of_each(void **state)
{
	static const struct {
		enum batch_stall stall;
		const char *api, *log, *upstream, *terminal;
	} rows[] = {
		{ STALL_NONE, NULL, "upstream.flows", "flows", NULL },
		{ STALL_ONLINE, "online", NULL, NULL, "online" },
		{ STALL_ELSEWHERE, "elsewhere", NULL, "elsewhere",
		  "other nodes drive its upstreams" },
		{ STALL_THROTTLED, "upstream_429", "upstream.slows_down", "throttled",
		  "the upstream is busy" },
		{ STALL_DOWN, "upstream_down", "upstream.down", "down", "the upstream is down" },
		{ STALL_REFUSED, "upstream_refused", "upstream.refused", "refused",
		  "the upstream refuses, see above" },
		{ STALL_PAUSED, "paused", "batch.paused", NULL, "paused, see the log" },
		{ STALL_HELD, "held", "batch.held", NULL, "held" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct stall_words *words = stall_words(rows[i].stall);
		is(words->api, rows[i].api);
		is(words->log, rows[i].log);
		is(words->upstream, rows[i].upstream);
		is(words->terminal, rows[i].terminal);
	}
}

static void the_later_outweighs_the_earlier(void **state)
{
	(void)state;
	assert_true(STALL_NONE < STALL_ONLINE && STALL_ONLINE < STALL_THROTTLED &&
		    STALL_THROTTLED < STALL_DOWN && STALL_DOWN < STALL_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_of_each),
		cmocka_unit_test(the_later_outweighs_the_earlier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
