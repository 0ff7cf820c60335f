/* test_events.c: a stream of events over breaks. */
#include "world.h"

#define EVENT(id, n) "id: " id "\nevent: batch\ndata: {\"n\":" n "}\n\n"

struct heard {
	char text[128];
	unsigned n, enough_at;
};

static enum remote_taken each(void *ctx, const char *event, const json_t *data, struct error *err)
{
	struct heard *h = ctx;
	char one[32];

	(void)err;
	snprintf(one, sizeof(one), "%s%d ", event,
		 (int)json_integer_value(json_object_get(data, "n")));
	strcat(h->text, one);
	return ++h->n == h->enough_at ? REMOTE_ENOUGH : REMOTE_MORE;
}

static void it_goes_on_behind_the_last_id(void **state)
{
	(void)state;
	struct world w;
	struct heard h = { .enough_at = 4 };
	world_open(&w, "k");
	world_says(&w, 200, EVENT("7", "1") EVENT("8", "2") "id: 9\nevent: batch\ndata: {\"n\"");
	world_breaks(&w, EXCHANGE_UNREACHABLE, "refused");
	world_says(&w, 200, EVENT("9", "3"));
	world_says(&w, 200, EVENT("10", "4") EVENT("11", "5"));
	assert_true(remote_events(w.remote, "/lowtide/events", each, &h, &w.err));
	assert_string_equal(h.text, "batch1 batch2 batch3 batch4 ");
	assert_string_equal(w.asked[0].header, "");
	assert_string_equal(w.asked[2].header, "Last-Event-ID: 9");
	assert_string_equal(w.asked[3].header, "Last-Event-ID: 9");
	world_close(&w);
}

static void a_stream_that_hangs_is_asked_for_anew(void **state)
{
	(void)state;
	struct world w;
	struct heard h = { .enough_at = 2 };
	world_open(&w, "k");
	struct fake_answer *a = world_says(&w, 200, EVENT("1", "1"));
	a->gap_ms = 1000000;
	world_says(&w, 200, EVENT("2", "2"));
	uint64_t from = client_fake_now_ms();
	assert_true(remote_events(w.remote, "/x", each, &h, &w.err));
	assert_string_equal(h.text, "batch1 batch2 ");
	assert_int_equal(client_fake_now_ms() - from, 45000 + 1000);
	world_close(&w);
}

static void one_that_is_refused_fails(void **state)
{
	(void)state;
	struct world w;
	struct heard h = { 0 };
	world_open(&w, "k");
	world_says(&w, 200, EVENT("1", "1"));
	world_says(&w, 401, "{\"error\":{\"message\":\"Revoked.\"}}");
	assert_false(remote_events(w.remote, "/x", each, &h, &w.err));
	assert_int_equal(w.err.kind, ERR_BAD_KEY);
	assert_int_equal(w.asked_n, 2);
	world_close(&w);
}

static void one_without_an_event_fails_at_last(void **state)
{
	(void)state;
	struct world w;
	struct heard h = { 0 };
	world_open(&w, "k");
	w.remote->patience_s = 10;
	world_says(&w, 200, "");
	assert_false(remote_events(w.remote, "/x", each, &h, &w.err));
	assert_in_range(w.asked_n, 10, 12);
	world_close(&w);
}

static void what_is_no_event_fails(void **state)
{
	(void)state;
	struct world w;
	struct heard h = { 0 };
	world_open(&w, "k");
	world_says(&w, 200, "data: {\"n\"\n\n");
	assert_false(remote_events(w.remote, "/x", each, &h, &w.err));
	assert_int_equal(w.err.kind, ERR_UPSTREAM);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_goes_on_behind_the_last_id),
		cmocka_unit_test(a_stream_that_hangs_is_asked_for_anew),
		cmocka_unit_test(one_that_is_refused_fails),
		cmocka_unit_test(one_without_an_event_fails_at_last),
		cmocka_unit_test(what_is_no_event_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
