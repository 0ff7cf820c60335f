/* The outbox: a delivery for each endpoint in the transaction of a final state, and what becomes of
 * it (contract 12). */
#include "store_test.h"

#include "store/webhooks.h"

static struct webhook_endpoint put_endpoint(const struct org *org, unsigned types)
{
	struct webhook_endpoint e = { .event_types = types, .created_at = NOW };

	id_endpoint(e.id);
	memcpy(e.org, org->id, sizeof(e.org));
	snprintf(e.name, sizeof(e.name), "n");
	snprintf(e.url, sizeof(e.url), "https://example.com/");
	snprintf(e.secret, sizeof(e.secret), "whsec_s");
	MUST(store_webhook_create(store, &e, 0, &err));
	return e;
}

static struct batch fails(const struct org *org, int64_t now)
{
	struct batch b = put_batch(org, NOW);
	bool moved;

	MUST(store_batch_fail(store, b.id, "[]", now, &moved, &err));
	assert_true(moved);
	return b;
}

static size_t due(const struct webhook_endpoint *e, struct webhook_due *ret, unsigned most)
{
	struct webhook_due *list;
	size_t n;

	MUST(store_webhook_due(store, e->id, most, &list, &n, &err));
	memcpy(ret, list, n * sizeof(*list));
	free(list);
	return n;
}

static size_t logged(const struct webhook_endpoint *e, struct webhook_delivery *ret)
{
	struct webhook_delivery *list;
	size_t n;
	bool more;

	MUST(store_delivery_list(store, e->org, e->id, NULL, WEBHOOK_LOG, &list, &n, &more, &err));
	memcpy(ret, list, n * sizeof(*list));
	free(list);
	return n;
}

static void record(const struct webhook_due *d, int64_t status, int64_t next_at, bool turned)
{
	struct webhook_result r = {
		.delivery = d->id,
		.began_at = d->began_at,
		.endpoint = d->endpoint,
		.status = status,
		.latency_ms = 12,
		.error = status == 200 ? NULL : "no",
		.next_at = next_at,
	};

	MUST(store_webhook_record(store, &r, 1, &err));
	assert_int_equal(r.turned, turned);
}

static void final_states_alone_make_deliveries(void **state)
{
	struct webhook_endpoint e = put_endpoint(&ours, WEBHOOK_ALL_TYPES);
	struct webhook_endpoint failed = put_endpoint(&ours, 1u << BATCH_FAILED);
	struct webhook_due list[8], one;
	struct batch b = put_batch(&ours, NOW);
	bool moved;

	(void)state;
	put_endpoint(&theirs, WEBHOOK_ALL_TYPES);
	MUST(store_batch_start(store, b.id, 1, 1, "m", "f1", "f2", NOW, &moved, &err));
	assert_int_equal(due(&e, list, 8), 0);
	struct merge_state m = { 0 };
	MUST(store_batch_move(store, b.id, 1u << BATCH_IN_PROGRESS, BATCH_FINALIZING, NOW, &moved,
			      &err));
	MUST(store_batch_finish(store, b.id, BATCH_COMPLETED, &m, NULL, NULL, NULL, NOW + 1, &moved,
				&err));
	assert_true(moved);
	assert_int_equal(due(&e, list, 8), 1);
	assert_string_equal(list[0].batch, b.id);
	assert_int_equal(list[0].type, BATCH_COMPLETED);
	assert_int_equal(list[0].at, NOW + 1);
	assert_int_equal(list[0].next_at, NOW + 1);
	assert_int_equal(list[0].attempts, 0);
	assert_string_equal(list[0].url, "https://example.com/");
	assert_string_equal(list[0].secret, "whsec_s");
	assert_int_equal(due(&failed, &one, 1), 0);
	/* a move that does not happen makes none */
	MUST(store_batch_fail(store, b.id, "[]", NOW, &moved, &err));
	assert_false(moved);
	assert_int_equal(due(&e, list, 8), 1);
	fails(&ours, NOW + 2);
	assert_int_equal(due(&e, list, 8), 2);
	assert_int_equal(due(&failed, &one, 1), 1);
	assert_string_equal(one.event, list[1].event); /* one event */
	assert_string_not_equal(one.id, list[1].id);   /* two deliveries */
	b = put_batch(&ours, NOW);
	MUST(store_batch_cancel_early(store, b.id, NOW + 3, &moved, &err));
	assert_int_equal(due(&e, list, 8), 3);
	assert_int_equal(list[2].type, BATCH_CANCELLED);
	fails(&theirs, NOW);
	assert_int_equal(due(&e, list, 8), 3);
}

static unsigned filled;

static void on_filled(void *ctx)
{
	(void)ctx;
	filled++;
}

static void whoever_watches_is_told_of_each_commit(void **state)
{
	struct webhook_endpoint e = put_endpoint(&ours, WEBHOOK_ALL_TYPES);
	const struct webhook_change change = { .url = "https://example.org/" };
	struct webhook_endpoint got;
	struct webhook_delivery d;
	struct webhook_due one;

	(void)state;
	filled = 0;
	store_outbox_watch(store, on_filled, NULL);
	put_batch(&ours, NOW);
	fails(&theirs, NOW);
	assert_int_equal(filled, 0);
	fails(&ours, NOW);
	assert_int_equal(filled, 1);
	assert_int_equal(due(&e, &one, 1), 1);
	record(&one, 200, 0, false);
	assert_int_equal(filled, 1);
	MUST(store_delivery_replay(store, ours.id, e.id, one.id, NOW, &d, &err));
	assert_int_equal(filled, 2);
	MUST(store_webhook_update(store, ours.id, e.id, &change, NOW, &got, &err));
	assert_int_equal(filled, 3);
	store_outbox_watch(store, NULL, NULL);
	fails(&ours, NOW);
	assert_int_equal(filled, 3);
}

static void results(void **state)
{
	struct webhook_endpoint e = put_endpoint(&ours, WEBHOOK_ALL_TYPES), got;
	struct webhook_delivery log[4];
	struct webhook_due list[4];
	int64_t oldest;

	(void)state;
	MUST(store_outbox_oldest(store, &oldest, &err));
	assert_int_equal(oldest, 0);
	fails(&ours, NOW + 1);
	fails(&ours, NOW + 2);
	MUST(store_outbox_oldest(store, &oldest, &err));
	assert_int_equal(oldest, NOW + 1);
	assert_int_equal(due(&e, list, 4), 2);
	record(&list[0], 500, NOW + 60, true);
	assert_int_equal(due(&e, list, 4), 2);
	assert_int_equal(list[0].at, NOW + 2);
	assert_int_equal(list[1].at, NOW + 1);
	assert_int_equal(list[1].next_at, NOW + 60);
	assert_int_equal(list[1].attempts, 1);
	assert_true(list[0].failing);
	record(&list[1], 0, NOW + 90, false);
	record(&list[0], 200, 0, true);
	assert_int_equal(due(&e, list, 4), 1);
	assert_false(list[0].failing);
	assert_int_equal(logged(&e, log), 2);
	assert_int_equal(log[0].status, 200);
	assert_int_equal(log[0].next_at, 0);
	assert_string_equal(log[0].error, "");
	assert_int_equal(log[0].latency_ms, 12);
	assert_int_equal(log[1].status, 0);
	assert_int_equal(log[1].attempts, 2);
	assert_string_equal(log[1].error, "no");
	record(&list[0], 500, 0, true); /* given up */
	assert_int_equal(due(&e, list, 4), 0);
	MUST(store_webhook_delete(store, ours.id, e.id, &err));
	record(&list[0], 500, 0, false); /* it is gone: nothing is there to change */
	FAILS(store_webhook_get(store, ours.id, e.id, &got, &err), NOT_FOUND);
	assert_int_equal(number_of("SELECT count(*) FROM webhook_delivery"), 0);
}

/* (12) What is to be sent is never removed; what is over is, but for the last hundred. */
static void the_last_hundred_are_kept(void **state)
{
	struct webhook_endpoint e = put_endpoint(&ours, WEBHOOK_ALL_TYPES);
	struct webhook_delivery log[WEBHOOK_LOG];
	struct webhook_due one[2];

	(void)state;
	fails(&ours, NOW);
	assert_int_equal(due(&e, one, 1), 1);
	char waits[ID_SIZE];
	memcpy(waits, one[0].id, sizeof(waits));
	record(&one[0], 500, NOW + DAY, true);
	for (int i = 0; i < 120; i++) {
		fails(&ours, NOW);
		assert_int_equal(due(&e, one, 2), 2);
		record(&one[0], 200, 0, i == 0);
	}
	assert_int_equal(logged(&e, log), 100);
	assert_int_equal(number_of("SELECT count(*) FROM webhook_delivery"), 101);
	assert_int_equal(due(&e, one, 2), 1);
	assert_string_equal(one[0].id, waits);
}

static void who_has_something_to_come(void **state)
{
	struct webhook_endpoint e[3];
	struct webhook_due one;
	char(*ids)[ID_SIZE];
	size_t n;

	(void)state;
	for (int i = 0; i < 3; i++)
		e[i] = put_endpoint(&ours, WEBHOOK_ALL_TYPES);
	MUST(store_webhooks_pending(store, &ids, &n, &err));
	assert_int_equal(n, 0);
	free(ids);
	for (int i = 0; i < 50; i++)
		fails(&ours, NOW);
	MUST(store_webhooks_pending(store, &ids, &n, &err));
	assert_int_equal(n, 3);
	assert_true(strcmp(ids[0], ids[1]) < 0 && strcmp(ids[1], ids[2]) < 0);
	free(ids);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(due(&e[1], &one, 1), 1);
		record(&one, 200, 0, false);
	}
	MUST(store_webhooks_pending(store, &ids, &n, &err));
	assert_int_equal(n, 2);
	assert_true(strcmp(ids[0], e[1].id) != 0 && strcmp(ids[1], e[1].id) != 0);
	free(ids);
}

static void the_clock_moves(void **state)
{
	struct webhook_endpoint e = put_endpoint(&ours, WEBHOOK_ALL_TYPES);
	struct webhook_due one;

	(void)state;
	fails(&ours, NOW);
	MUST(store_outbox_shift(store, -DAY, NOW, &err));
	assert_int_equal(due(&e, &one, 1), 1);
	assert_int_equal(one.next_at, NOW - DAY);
	assert_int_equal(one.began_at, NOW - DAY);
	assert_int_equal(one.at, NOW);
	MUST(store_outbox_shift(store, 3 * DAY, NOW + DAY, &err));
	assert_int_equal(due(&e, &one, 1), 1);
	assert_int_equal(one.next_at, NOW + DAY);
}

static void replays(void **state)
{
	struct webhook_endpoint e = put_endpoint(&ours, WEBHOOK_ALL_TYPES);
	struct webhook_delivery d;
	struct webhook_due one;

	(void)state;
	fails(&ours, NOW);
	assert_int_equal(due(&e, &one, 1), 1);
	record(&one, 500, 0, true);
	MUST(store_delivery_replay(store, ours.id, e.id, one.id, NOW + 7, &d, &err));
	assert_int_equal(d.next_at, NOW + 7);
	assert_int_equal(d.attempts, 1);
	assert_int_equal(due(&e, &one, 1), 1);
	assert_int_equal(one.attempts, 0);
	assert_int_equal(one.began_at, NOW + 7);
	FAILS(store_delivery_replay(store, ours.id, e.id, "wh_none", NOW, &d, &err), NOT_FOUND);
}

/* (12) What an attempt from before the replay comes to does not end it. */
static void a_replay_during_an_attempt_stays_due(void **state)
{
	struct webhook_endpoint e = put_endpoint(&ours, WEBHOOK_ALL_TYPES);
	struct webhook_delivery d;
	struct webhook_due one, again;

	(void)state;
	fails(&ours, NOW);
	assert_int_equal(due(&e, &one, 1), 1);
	MUST(store_delivery_replay(store, ours.id, e.id, one.id, NOW + 7, &d, &err));
	record(&one, 200, 0, false);
	assert_int_equal(due(&e, &again, 1), 1);
	assert_string_equal(again.id, one.id);
	assert_int_equal(again.next_at, NOW + 7);
	record(&again, 200, 0, false);
	assert_int_equal(due(&e, &again, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(final_states_alone_make_deliveries),
		WITH_STORE(whoever_watches_is_told_of_each_commit),
		WITH_STORE(results),
		WITH_STORE(the_last_hundred_are_kept),
		WITH_STORE(who_has_something_to_come),
		WITH_STORE(the_clock_moves),
		WITH_STORE(replays),
		WITH_STORE(a_replay_during_an_attempt_stays_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
