/* What nodes ask of batches by their spans: how far they are, what goes with their end, and which one a
 * node that is gone has left. */
#include "cluster_test.h"

static bool knows(const char *blob)
{
	bool known, deleted;

	MUST(store_blob_known(store, blob, &known, &deleted, &err));
	return known;
}

/* As it ends whoever has its spans; the pieces of other batches stay. */
static void a_final_batch_has_no_spans(void **state)
{
	static const struct {
		enum batch_status to;
		bool starts_cancelling;
	} ends[] = { { BATCH_COMPLETED, false },
		     { BATCH_FAILED, false },
		     { BATCH_EXPIRED, false },
		     { BATCH_CANCELLED, true } };
	struct owner me = enter(1);
	struct merge_state m = { 0 };
	bool moved, last;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
		struct batch b = put_spans(&ours, "m", 2, DAY);
		struct span_lent s[2];
		char(*whole)[ID_SIZE];
		size_t n;
		bool ends_whole = ends[i].to == BATCH_COMPLETED || ends[i].starts_cancelling;
		assert_true(claim(me, &s[0]));
		assert_true(claim_more(me, &s[0].id, 1, &s[1]));
		assert_true(settle_one(me, &s[0], "c-1-1-1"));
		assert_true(settle_one(me, &s[1], "c-1-1-1"));
		assert_true(finish(me, &s[0], &last));
		assert_true(knows("part-0-1"));
		if (ends_whole)
			assert_true(finish(me, &s[1], &last) && last);
		MUST(store_spans_whole(db, 10, &whole, &n, &err));
		assert_int_equal(n, ends_whole);
		free(whole);
		if (ends[i].starts_cancelling) {
			MUST(store_batch_move(store, b.id, 1u << BATCH_FINALIZING, BATCH_CANCELLING,
					      EPOCH_S, &moved, &err));
			assert_int_equal(hand("SELECT count(*) FROM spans"), 2);
		}
		if (ends[i].to == BATCH_FAILED)
			MUST(store_batch_fail(store, b.id, "[]", EPOCH_S, &moved, &err));
		else
			MUST(store_batch_finish(store, b.id, ends[i].to, &m, NULL, NULL, NULL,
						EPOCH_S, &moved, &err));
		assert_true(moved);
		assert_int_equal(hand("SELECT count(*) FROM spans"), 0);
		assert_int_equal(hand("SELECT count(*) FROM journal_pieces"), 0);
		assert_int_equal(hand("SELECT count(*) FROM whole_batches"), 0);
		assert_false(knows("part-0-1"));
		assert_false(settle_one(me, &s[1], "c-1-1-2"));
		assert_false(give_back(me, &s[1]));
		assert_false(finish(me, &s[1], &last));
		assert_false(last);
		assert_int_equal(hand("SELECT count(*) FROM whole_batches"), 0);
		MUST(store_spans_create(db, b.id, &(struct span_plan){ 0, 1, 10 }, 1, &n, &err));
		assert_int_equal(n, 0);
	}
}

static void parts_are_known_by_both_their_names(void **state)
{
	struct owner me = enter(1);
	struct span_end end = { .output = { "part-a", 1, 1 }, .error = { "part-b", 1, 1 } };
	struct span_lent s;
	bool finished, last;

	(void)state;
	put_spans(&ours, "m", 1, DAY);
	assert_true(claim(me, &s));
	assert_false(knows("part-a"));
	MUST(store_span_finish(db, me, &s.id, s.epoch, &end, &finished, &last, &err));
	assert_true(knows("part-a"));
	assert_true(knows("part-b"));
	assert_false(knows("part-c"));
}

static void progress_is_summed(void **state)
{
	struct owner a = enter(1), b = enter(2);
	struct batch first = put_spans(&ours, "m", 3, DAY), none = batch_of(&ours, EPOCH_S),
		     second = put_spans(&theirs, "m", 1, 2 * DAY);
	struct span_progress p[3];
	struct span_lent s[3];
	char ids[3][ID_SIZE];
	bool last;

	(void)state;
	memcpy(ids[0], second.id, ID_SIZE);
	memcpy(ids[1], none.id, ID_SIZE);
	memcpy(ids[2], first.id, ID_SIZE);
	for (unsigned i = 0; i < 3; i++)
		hand("UPDATE spans SET node = %d, node_epoch = 1, epoch = 1 WHERE batch = '%s'"
		     " AND n = %u",
		     i < 2 ? 1 : 2, first.id, i);
	for (unsigned i = 0; i < 3; i++)
		s[i] = (struct span_lent){ .id = { .n = i }, .epoch = 1 };
	for (unsigned i = 0; i < 3; i++)
		memcpy(s[i].id.batch, first.id, ID_SIZE);
	assert_true(settle_one(a, &s[0], "c-1-1-1"));
	assert_true(settle_one(b, &s[2], "c-2-1-1"));
	assert_true(finish(a, &s[1], &last));
	MUST(store_span_progress(db, ids, 3, p, &err));
	assert_int_equal(p[0].spans, 1);
	assert_int_equal(p[0].counts.total, 10);
	assert_int_equal(p[0].finished + p[0].lent + p[0].lent_lines, 0);
	assert_int_equal(p[1].spans, 0);
	assert_int_equal(p[1].counts.total, 0);
	assert_int_equal(p[2].spans, 3);
	assert_int_equal(p[2].finished, 1);
	assert_int_equal(p[2].lent, 2);
	assert_int_equal(p[2].lent_lines, 12);
	assert_int_equal(p[2].counts.total, 30);
	assert_int_equal(p[2].counts.completed, 3 + 9 + 3);
	assert_int_equal(p[2].counts.failed, 3);
	assert_int_equal(p[2].usage.input, 14);
	assert_int_equal(p[2].usage.total, 9 + 20 + 9);
	clock_forward_us(10 * PROTOCOL_S);
	assert_true(renew(a));
	clock_forward_us(10 * PROTOCOL_S); /* b's lease is over, and b not buried */
	MUST(store_span_progress(db, &ids[2], 1, p, &err));
	assert_int_equal(p[0].lent, 1);
	assert_int_equal(p[0].lent_lines, 6);
	hand("UPDATE nodes SET epoch = 2 WHERE id = 1");
	MUST(store_span_progress(db, &ids[2], 1, p, &err));
	assert_int_equal(p[0].lent, 0);
	MUST(store_span_progress(db, ids, 0, p, &err));
}

static uint64_t tokens_of(int64_t day)
{
	uint64_t ret;

	MUST(store_day_get(store, ours.id, day, &ret, &err));
	return ret;
}

/* Of who is refused nothing is counted, of a finish that is asked again once. */
static void a_finish_counts_for_its_day(void **state)
{
	struct owner a = enter(1), b = enter(2);
	struct span_end end = { .usage = { .input = 30, .output = 12 },
				.day = 7,
				.day_tokens = 42 };
	struct span_lent s[2];
	bool finished, last;

	(void)state;
	put_spans(&ours, "m", 2, DAY);
	assert_true(claim(a, &s[0]));
	assert_true(claim_more(a, &s[0].id, 1, &s[1]));
	MUST(store_span_finish(db, b, &s[0].id, s[0].epoch, &end, &finished, &last, &err));
	assert_false(finished);
	assert_int_equal(tokens_of(7), 0);
	for (int times = 0; times < 2; times++)
		MUST(store_span_finish(db, a, &s[0].id, s[0].epoch, &end, &finished, &last, &err));
	assert_int_equal(tokens_of(7), 42);
	end.day_tokens = 0;
	end.day = 8;
	MUST(store_span_finish(db, a, &s[1].id, s[1].epoch, &end, &finished, &last, &err));
	assert_true(finished);
	assert_int_equal(tokens_of(7), 42);
	assert_int_equal(hand("SELECT count(*) FROM org_day"), 1);
}

static void old_ones_that_are_validating_are_listed(void **state)
{
	struct batch late = batch_of(&ours, EPOCH_S), soon = batch_of(&theirs, EPOCH_S - 10),
		     young = batch_of(&ours, EPOCH_S + 1), begun = batch_of(&ours, EPOCH_S - 50);
	struct batch *all[] = { &late, &soon, &young, &begun };
	char id[ID_SIZE], (*ids)[ID_SIZE];
	bool moved;
	size_t n;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		MUST(store_batch_insert(store, all[i], NULL, false, 0, id, &err));
	MUST(store_batch_start(store, begun.id, 1, 1, "m", "o", "e", EPOCH_S, &moved, &err));
	MUST(store_batches_validating(store, EPOCH_S, 10, &ids, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(ids[0], soon.id);
	assert_string_equal(ids[1], late.id);
	free(ids);
	MUST(store_batches_validating(store, EPOCH_S, 1, &ids, &n, &err));
	assert_int_equal(n, 1);
	free(ids);
	MUST(store_batches_validating(store, EPOCH_S - 11, 10, &ids, &n, &err));
	assert_int_equal(n, 0);
	free(ids);
}

/* As long as an input's index has them, in bytes, of whatever characters; what is longer is nobody's fault. */
static void models_of_any_characters_are_listed(void **state)
{
	char longest[257], wide[401], (*listed)[SPAN_MODEL_SIZE];
	size_t n, seen = 0;

	(void)state;
	memset(longest, 'm', 256);
	for (size_t i = 0; i < 400; i += 2)
		memcpy(wide + i, "\xc3\xa4", 2);
	longest[256] = wide[400] = '\0';
	put_spans(&ours, wide, 1, DAY);
	wide[256] = '\0';
	put_spans(&ours, longest, 1, DAY);
	put_spans(&ours, wide, 1, DAY);
	put_spans(&ours, wide, 1, DAY);
	MUST(store_span_models(db, &listed, &n, &err));
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++)
		seen += strcmp(listed[i], longest) == 0 || strcmp(listed[i], wide) == 0;
	assert_int_equal(seen, 2);
	free(listed);
}

static void states_of_many_are_one_question(void **state)
{
	struct batch b[3];
	char ids[4][ID_SIZE] = { "batch_of_nobody" };
	struct batch_state got[4];
	bool done;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		b[i] = put_spans(&ours, "m", 1, DAY);
		memcpy(ids[3 - i], b[i].id, ID_SIZE);
	}
	MUST(store_batch_hold(store, b[1].id, BATCH_HELD, EPOCH_S, &done, &err));
	MUST(store_batch_move(store, b[2].id, 1u << BATCH_IN_PROGRESS, BATCH_CANCELLING, EPOCH_S,
			      &done, &err));
	MUST(store_batches_states(db, (const char(*)[ID_SIZE])ids, 4, got, &err));
	assert_false(got[0].is_there);
	for (unsigned i = 1; i < 4; i++)
		assert_true(got[i].is_there);
	assert_true(got[3].status == BATCH_IN_PROGRESS && got[3].hold == BATCH_GOES_ON);
	assert_true(got[2].status == BATCH_IN_PROGRESS && got[2].hold == BATCH_HELD);
	assert_true(got[1].status == BATCH_CANCELLING);
	MUST(store_batches_states(db, NULL, 0, got, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CLUSTER(a_final_batch_has_no_spans),
		WITH_CLUSTER(parts_are_known_by_both_their_names),
		WITH_CLUSTER(progress_is_summed),
		WITH_CLUSTER(models_of_any_characters_are_listed),
		WITH_CLUSTER(states_of_many_are_one_question),
		WITH_CLUSTER(a_finish_counts_for_its_day),
		WITH_CLUSTER(old_ones_that_are_validating_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
