/* What there is to tell, and what a listener that is behind gets of it (contract 11.3): every state
 * while it is taken, else the newest. Listeners are the test's own. */
#include "unit.h"

#include "api/feeds.h"

#define GIVEN_MAX 64u

static struct feeds feeds;

/* ---- in the listener's place ---- */

struct taker {
	struct event_listener l;
	int64_t given[GIVEN_MAX];
	bool counts[GIVEN_MAX];
	unsigned n, room; /* that it takes before it is full */
};

static struct taker *taker_of(const struct event_listener *l)
{
	return (struct taker *)((char *)l - offsetof(struct taker, l));
}

bool listener_is_free(const struct event_listener *l)
{
	return !l->ended && taker_of(l)->n < taker_of(l)->room;
}

void listener_give(struct event_listener *l, struct event_text *t)
{
	struct taker *k = taker_of(l);

	assert_true(listener_is_free(l) && k->n < GIVEN_MAX);
	k->counts[k->n] = t->counts;
	k->given[k->n++] = t->changed;
	l->headed = true;
}

void listener_end(struct event_listener *l)
{
	l->ended = true;
}

/* ---- */

static struct event_text *text(int64_t changed, bool counts, enum batch_status status)
{
	struct batch row = { .changed = changed, .status = status };
	struct event_text *t = event_text_new(&row, counts, NULL);

	assert_non_null(t);
	buf_text(&t->bytes, "{}");
	assert_true(event_text_seal(t));
	return t;
}

static void push(struct feed_batch *b, int64_t changed, bool counts, enum batch_status status)
{
	struct event_text *t = text(changed, counts, status);

	feed_batch_push(b, t);
	event_text_unref(t);
}

static void change(struct feed_org *o, int64_t number)
{
	struct event_text *t = text(number, false, BATCH_IN_PROGRESS);

	feed_org_push(o, t);
	event_text_unref(t);
}

static struct feed_batch *batch(const char *id, struct taker *k)
{
	struct feed_batch *b = feed_batch_get(&feeds, id, NULL);

	k->room = GIVEN_MAX;
	k->l.next = b->listeners;
	b->listeners = &k->l;
	return b;
}

static void end(struct feed_batch *b)
{
	b->listeners = NULL;
	feed_batch_tidy(&feeds, b);
}

/* ---- an event ---- */

static void an_event_has_an_id_unless_it_is_of_counts(void **state)
{
	struct event_text *t = text(7, false, BATCH_IN_PROGRESS);

	(void)state;
	assert_true(slice_is(buf_slice(&t->bytes), "id: 7\nevent: batch\ndata: {}\n\n"));
	assert_memory_equal(t->bytes.p + t->json_at, "{}", t->json_n);
	assert_int_equal(t->json_n, 2);
	event_text_unref(t);
	t = text(7, true, BATCH_IN_PROGRESS);
	assert_true(slice_is(buf_slice(&t->bytes), "event: batch\ndata: {}\n\n"));
	event_text_unref(t);
	event_text_unref(NULL);
}

/* ---- of a batch ---- */

static void a_listener_gets_every_state_then_ends(void **state)
{
	struct taker k = { 0 };
	struct feed_batch *b = batch("batch_a", &k);

	(void)state;
	push(b, 1, false, BATCH_VALIDATING);
	push(b, 2, false, BATCH_IN_PROGRESS);
	push(b, 3, false, BATCH_FINALIZING);
	feed_batch_serve(b, &k.l);
	assert_int_equal(k.n, 3);
	assert_false(k.l.ended);
	push(b, 4, false, BATCH_COMPLETED);
	feed_batch_serve(b, &k.l);
	assert_int_equal(k.given[3], 4);
	assert_true(k.l.ended);
	end(b);
}

static void of_counts_it_gets_the_newest(void **state)
{
	struct taker k = { 0 };
	struct feed_batch *b = batch("batch_a", &k);

	(void)state;
	push(b, 2, false, BATCH_IN_PROGRESS);
	k.room = 1;
	feed_batch_serve(b, &k.l);
	for (unsigned i = 0; i < 100; i++)
		push(b, 2, true, BATCH_IN_PROGRESS);
	assert_int_equal(b->n, 2); /* nothing queues */
	k.room = GIVEN_MAX;
	feed_batch_serve(b, &k.l);
	assert_int_equal(k.n, 2);
	assert_true(k.counts[1]);
	feed_batch_serve(b, &k.l);
	assert_int_equal(k.n, 2);
	push(b, 2, true, BATCH_IN_PROGRESS);
	push(b, 3, false, BATCH_FINALIZING); /* newer than the counts */
	feed_batch_serve(b, &k.l);
	assert_int_equal(k.n, 3);
	assert_false(k.counts[2]);
	end(b);
}

static void more_states_than_are_kept_leave_the_newest(void **state)
{
	struct taker k = { 0 };
	struct feed_batch *b = batch("batch_a", &k);

	(void)state;
	for (int64_t i = 1; i <= 40; i++)
		push(b, i, false, BATCH_IN_PROGRESS);
	feed_batch_serve(b, &k.l);
	assert_int_equal(k.n, FEED_STATES);
	assert_int_equal(k.given[FEED_STATES - 1], 40);
	end(b);
}

static void a_long_poll_takes_another_state(void **state)
{
	struct taker k = { .l = { .kind = LISTENER_WAIT, .since = BATCH_IN_PROGRESS } };
	struct feed_batch *b = batch("batch_a", &k);

	(void)state;
	push(b, 2, false, BATCH_IN_PROGRESS);
	push(b, 2, true, BATCH_IN_PROGRESS);
	feed_batch_serve(b, &k.l);
	assert_int_equal(k.n, 0);
	push(b, 3, false, BATCH_FINALIZING);
	push(b, 4, false, BATCH_COMPLETED);
	feed_batch_serve(b, &k.l);
	feed_batch_serve(b, &k.l);
	assert_int_equal(k.n, 1);
	assert_int_equal(k.given[0], 4);
	end(b);
}

static void a_feed_without_listeners_goes(void **state)
{
	struct taker k = { 0 };
	struct feed_batch *b = batch("batch_a", &k);

	(void)state;
	push(b, 1, false, BATCH_VALIDATING);
	feed_batch_tidy(&feeds, b);
	assert_ptr_equal(feed_batch_find(&feeds, "batch_a"), b);
	end(b);
	assert_null(feed_batch_find(&feeds, "batch_a"));
}

/* ---- of an organization ---- */

static void a_ring_keeps_the_last_changes_and_says_from_where(void **state)
{
	struct feed_org *o = feed_org_get(&feeds, "org_a");

	(void)state;
	feed_org_forget(o, 10);
	assert_null(feed_org_next(o, 10));
	for (int64_t i = 11; i <= 10 + FEED_CHANGES; i++)
		change(o, i);
	assert_int_equal(o->complete_from, 10);
	assert_int_equal(feed_org_next(o, 10)->changed, 11);
	for (int64_t i = 1; i <= 5; i++)
		change(o, o->last + 2); /* a number may be left out */
	assert_int_equal(o->n, FEED_CHANGES);
	assert_int_equal(o->complete_from, 15);
	assert_int_equal(feed_org_next(o, 15)->changed, 16);
	assert_int_equal(feed_org_next(o, o->last - 1)->changed, o->last);
	assert_null(feed_org_next(o, o->last));
	feed_org_forget(o, 200);
	assert_int_equal(o->n, 0);
	assert_int_equal(o->bytes, 0);
	feed_org_tidy(&feeds, o);
	assert_null(feed_org_find(&feeds, "org_a"));
}

static void its_counts_are_in_the_order_in_which_they_came(void **state)
{
	struct feed_org *o = feed_org_get(&feeds, "org_a");
	struct feed_batch *b[3] = { feed_batch_get(&feeds, "batch_0", o),
				    feed_batch_get(&feeds, "batch_1", o),
				    feed_batch_get(&feeds, "batch_2", o) };

	(void)state;
	feed_org_counted(o, b[1]);
	feed_org_counted(o, b[0]);
	feed_org_counted(o, b[1]);
	assert_ptr_equal(o->newest, b[1]);
	assert_ptr_equal(o->newest->before, b[0]);
	assert_ptr_equal(o->oldest, b[2]);
	assert_int_equal(b[1]->counted, 3);
	assert_int_equal(b[2]->counted, 0);
	feed_batch_leave(b[0]);
	feed_batch_tidy(&feeds, b[0]);
	assert_ptr_equal(o->newest->before, b[2]);
	feed_org_tidy(&feeds, o); /* its batches go with it */
	assert_null(feed_batch_find(&feeds, "batch_1"));
	assert_null(feed_batch_find(&feeds, "batch_2"));
}

static void a_batch_that_is_listened_to_outlives_its_organizations_feed(void **state)
{
	struct taker k = { 0 };
	struct feed_org *o = feed_org_get(&feeds, "org_a");
	struct feed_batch *b = batch("batch_a", &k);

	(void)state;
	assert_ptr_equal(feed_batch_get(&feeds, "batch_a", o), b);
	feed_org_tidy(&feeds, o);
	assert_ptr_equal(feed_batch_find(&feeds, "batch_a"), b);
	assert_null(b->org);
	end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_has_an_id_unless_it_is_of_counts),
		cmocka_unit_test(a_listener_gets_every_state_then_ends),
		cmocka_unit_test(of_counts_it_gets_the_newest),
		cmocka_unit_test(more_states_than_are_kept_leave_the_newest),
		cmocka_unit_test(a_long_poll_takes_another_state),
		cmocka_unit_test(a_feed_without_listeners_goes),
		cmocka_unit_test(a_ring_keeps_the_last_changes_and_says_from_where),
		cmocka_unit_test(its_counts_are_in_the_order_in_which_they_came),
		cmocka_unit_test(a_batch_that_is_listened_to_outlives_its_organizations_feed),
	};

	return cmocka_run_group_tests_name("api/feeds", tests, NULL, NULL);
}
