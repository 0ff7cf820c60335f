/* Batches: the state table and nothing but it, and what goes with a move, whole or not at all. */
#include "store_test.h"

#define BIT(status) (1u << BATCH_##status)
#define ANY_STATUS ((1u << BATCH_STATUS_COUNT) - 1)

static struct batch get(const char *id)
{
	struct batch b;

	MUST(store_batch_get(store, NULL, id, &b, &err));
	return b;
}

static bool move(const char *id, unsigned from, enum batch_status to, int64_t now)
{
	bool moved;

	MUST(store_batch_move(store, id, from, to, now, &moved, &err));
	return moved;
}

static bool start(const char *id, int64_t now)
{
	bool moved;

	MUST(store_batch_start(store, id, 1000, 5000, "model", "file-out", "file-err", now, &moved,
			       &err));
	return moved;
}

/* A new batch, brought to `status` along the edges. */
static struct batch batch_in(enum batch_status status)
{
	static const struct {
		unsigned n;
		enum batch_status via[3];
	} paths[] = {
		[BATCH_VALIDATING] = { 0, { 0 } },
		[BATCH_IN_PROGRESS] = { 1, { BATCH_IN_PROGRESS } },
		[BATCH_FINALIZING] = { 2, { BATCH_IN_PROGRESS, BATCH_FINALIZING } },
		[BATCH_CANCELLING] = { 1, { BATCH_CANCELLING } },
		[BATCH_COMPLETED] = { 3, { BATCH_IN_PROGRESS, BATCH_FINALIZING, BATCH_COMPLETED } },
		[BATCH_FAILED] = { 1, { BATCH_FAILED } },
		[BATCH_EXPIRED] = { 1, { BATCH_EXPIRED } },
		[BATCH_CANCELLED] = { 2, { BATCH_CANCELLING, BATCH_CANCELLED } },
	};
	struct batch b = put_batch(&ours, NOW);
	enum batch_status at = BATCH_VALIDATING;

	for (unsigned i = 0; i < paths[status].n; i++) {
		assert_true(move(b.id, 1u << at, paths[status].via[i], NOW + 1 + i));
		at = paths[status].via[i];
	}
	return b;
}

/* ---- making and reading ---- */

static void a_batch_reads_back_whole(void **state)
{
	struct batch put = batch_of(&ours, NOW), got;
	char id[ID_SIZE], metadata[] = "{\"job\":\"Ä \\u0041\"}", override[] = "{\"n\":1}";

	(void)state;
	put.options = (struct batch_options){ true, true, true,          2, 3,
					      4,    5,    "01:00-02:00", 6, override };
	strcpy(put.retried_from, "batch_0");
	put.output_expires_after_s = 3600;
	put.metadata = metadata;
	MUST(store_batch_insert(store, &put, NULL, false, 0, id, &err));
	MUST(store_batch_get(store, ours.id, put.id, &got, &err));
	assert_string_equal(got.id, put.id);
	assert_string_equal(got.org, ours.id);
	assert_string_equal(got.endpoint, put.endpoint);
	assert_true(got.options.skip_invalid && got.options.mixed_models &&
		    got.options.by_completion);
	assert_int_equal(got.options.max_attempts, 2);
	assert_int_equal(got.options.line_timeout_s, 3);
	assert_int_equal(got.options.canary, 4);
	assert_int_equal(got.options.not_before, 5);
	assert_string_equal(got.options.hours, "01:00-02:00");
	assert_int_equal(got.options.token_budget, 6);
	assert_string_equal(got.options.override, override);
	assert_string_equal(got.retried_from, "batch_0");
	assert_string_equal(got.input_file_id, put.input_file_id);
	assert_false(got.input_missing);
	assert_string_equal(got.completion_window, "24h");
	assert_int_equal(got.status, BATCH_VALIDATING);
	assert_int_equal(got.created_at, NOW);
	assert_int_equal(got.expires_at, NOW + DAY);
	assert_int_equal(got.output_expires_after_s, 3600);
	assert_string_equal(got.metadata, metadata);
	assert_null(got.model);
	assert_null(got.errors);
	assert_string_equal(got.output_file_id, "");
	assert_string_equal(got.error_file_id, "");
	for (int i = 0; i < BATCH_STATUS_COUNT; i++)
		assert_int_equal(got.at[i], 0);
	assert_int_equal(got.counts.total, 0);
	assert_int_equal(got.usage.total, 0);
	batch_done(&got);
}

static void the_trace_that_it_was_made_in(void **state)
{
	static const char given[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	struct batch with = batch_of(&ours, NOW), without = put_batch(&ours, NOW);
	char id[ID_SIZE], traceparent[BATCH_TRACEPARENT_SIZE];

	(void)state;
	strcpy(with.traceparent, given);
	MUST(store_batch_insert(store, &with, NULL, false, 0, id, &err));
	reopen();
	MUST(store_batch_trace(store, with.id, traceparent, &err));
	assert_string_equal(traceparent, given);
	MUST(store_batch_trace(store, without.id, traceparent, &err));
	assert_string_equal(traceparent, "");
	MUST(store_batch_trace(store, "batch_x", traceparent, &err));
	assert_string_equal(traceparent, "");
}

static void others_batches_are_not_found(void **state)
{
	struct batch b = put_batch(&ours, NOW), got;

	(void)state;
	FAILS(store_batch_get(store, theirs.id, b.id, &got, &err), NOT_FOUND);
	FAILS(store_batch_get(store, ours.id, "batch_none", &got, &err), NOT_FOUND);
	assert_string_equal(err.message, "No batch found with id 'batch_none'.");
	assert_string_equal(err.param, "");
}

static void assert_input_refused(const char *input, bool may_miss)
{
	struct batch b = batch_of(&ours, NOW), got;
	char id[ID_SIZE] = "untouched";

	snprintf(b.input_file_id, sizeof(b.input_file_id), "%s", input);
	FAILS(store_batch_insert(store, &b, NULL, may_miss, 0, id, &err), INVALID);
	assert_string_equal(err.param, "input_file_id");
	assert_string_equal(err.code, "invalid_value");
	assert_string_equal(id, "untouched");
	FAILS(store_batch_get(store, NULL, b.id, &got, &err), NOT_FOUND);
}

static void the_input_must_be_there(void **state)
{
	struct file foreign = put_file(&theirs, NOW), deleted = put_file(&ours, NOW);
	struct file expired = file_of(&ours, NOW), output = file_of(&ours, NOW);
	char id[ID_SIZE];

	(void)state;
	expired.expires_at = NOW;
	output.purpose = PURPOSE_BATCH_OUTPUT;
	MUST(store_file_insert(store, &expired, NULL, NULL, id, &err));
	MUST(store_file_insert(store, &output, NULL, NULL, id, &err));
	MUST(store_file_delete(store, ours.id, deleted.id, NOW, &err));
	assert_input_refused("file-none", false);
	assert_input_refused(foreign.id, false);
	assert_input_refused(deleted.id, false);
	assert_input_refused(expired.id, false);
	assert_input_refused(output.id, false);
	assert_input_refused(output.id, true);
}

static void a_missing_input_is_noted_where_it_may_miss(void **state)
{
	struct file foreign = put_file(&theirs, NOW);
	const char *missing[] = { "file-none", foreign.id };
	char id[ID_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(missing); i++) {
		struct batch b = batch_of(&ours, NOW);
		snprintf(b.input_file_id, sizeof(b.input_file_id), "%s", missing[i]);
		MUST(store_batch_insert(store, &b, NULL, true, 0, id, &err));
		struct batch got = get(b.id);
		assert_true(got.input_missing);
		assert_string_equal(got.input_file_id, missing[i]);
		batch_done(&got);
	}
	struct batch b = batch_of(&ours, NOW);
	MUST(store_batch_insert(store, &b, NULL, true, 0, id, &err));
	MUST(store_file_delete(store, ours.id, b.input_file_id, NOW, &err));
	struct batch got = get(b.id);
	assert_false(got.input_missing); /* it was there then */
	batch_done(&got);
}

/* ---- the state table ---- */

static void every_edge_from_every_state(void **state)
{
	(void)state;
	for (int at = 0; at < BATCH_STATUS_COUNT; at++)
		for (int from = 0; from < BATCH_STATUS_COUNT; from++)
			for (int to = 0; to < BATCH_STATUS_COUNT; to++) {
				if (!batch_may((enum batch_status)from, (enum batch_status)to))
					continue;
				struct batch b = batch_in((enum batch_status)at);
				struct batch before = get(b.id);
				bool moved = move(b.id, 1u << from, (enum batch_status)to,
						  NOW + 50);
				struct batch after = get(b.id);
				assert_int_equal(moved, at == from);
				assert_int_equal(after.status, moved ? to : at);
				for (int i = 0; i < BATCH_STATUS_COUNT; i++)
					assert_int_equal(after.at[i], moved && i == to
									      ? NOW + 50
									      : before.at[i]);
				batch_done(&before);
				batch_done(&after);
			}
}

static struct batch victim;
static enum batch_status wrong_from, wrong_to;

static void move_wrongly(void)
{
	bool moved;

	fclose(stderr); /* the assertion says so there */
	(void)!store_batch_move(store, victim.id, 1u << wrong_from, wrong_to, NOW, &moved, &err);
}

static void an_edge_that_is_not_in_the_table_is_our_mistake(void **state)
{
	static const enum batch_status wrong[][2] = {
		{ BATCH_COMPLETED, BATCH_IN_PROGRESS },   { BATCH_CANCELLING, BATCH_COMPLETED },
		{ BATCH_CANCELLING, BATCH_EXPIRED },      { BATCH_FINALIZING, BATCH_EXPIRED },
		{ BATCH_VALIDATING, BATCH_FINALIZING },   { BATCH_CANCELLED, BATCH_CANCELLING },
		{ BATCH_IN_PROGRESS, BATCH_IN_PROGRESS }, { BATCH_FAILED, BATCH_VALIDATING },
	};

	(void)state;
	victim = put_batch(&ours, NOW);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		wrong_from = wrong[i][0];
		wrong_to = wrong[i][1];
		int status = in_a_child(move_wrongly);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
	assert_int_equal(status_of(victim.id), BATCH_VALIDATING);
}

static void a_move_may_start_from_several_states(void **state)
{
	unsigned stoppable = BIT(VALIDATING) | BIT(IN_PROGRESS) | BIT(FINALIZING);

	(void)state;
	for (int at = 0; at < BATCH_STATUS_COUNT; at++) {
		struct batch b = batch_in((enum batch_status)at);
		assert_int_equal(move(b.id, stoppable, BATCH_CANCELLING, NOW + 9),
				 (stoppable >> at) & 1);
	}
	assert_false(move("batch_none", stoppable, BATCH_CANCELLING, NOW));
}

/* The clock was set back: contract 16.4 holds all the same. */
static void no_state_is_entered_before_the_batch_was_made(void **state)
{
	struct batch b = put_batch(&ours, NOW);

	(void)state;
	assert_true(move(b.id, BIT(VALIDATING), BATCH_CANCELLING, NOW - 100));
	struct batch got = get(b.id);
	assert_int_equal(got.at[BATCH_CANCELLING], NOW);
	batch_done(&got);
}

/* ---- moves that carry something ---- */

static void a_start_notes_what_validation_found(void **state)
{
	(void)state;
	for (int at = 0; at < BATCH_STATUS_COUNT; at++) {
		struct batch b = batch_in((enum batch_status)at);
		bool moved = start(b.id, NOW + 7);
		struct batch got = get(b.id);
		assert_int_equal(moved, at == BATCH_VALIDATING);
		assert_int_equal(got.counts.total, moved ? 1000 : 0);
		if (moved) {
			assert_int_equal(got.status, BATCH_IN_PROGRESS);
			assert_int_equal(got.at[BATCH_IN_PROGRESS], NOW + 7);
			assert_string_equal(got.model, "model");
			assert_string_equal(got.output_file_id, "file-out");
			assert_string_equal(got.error_file_id, "file-err");
		} else {
			assert_int_equal(got.status, at);
			assert_null(got.model);
			assert_string_equal(got.output_file_id, "");
		}
		batch_done(&got);
	}
}

static void a_batch_of_several_models_has_none(void **state)
{
	struct batch b = put_batch(&ours, NOW);
	bool moved;

	(void)state;
	MUST(store_batch_start(store, b.id, 1, 1, NULL, "file-o", "file-e", NOW, &moved, &err));
	struct batch got = get(b.id);
	assert_null(got.model);
	batch_done(&got);
}

static void a_failure_keeps_its_errors(void **state)
{
	const char *errors = "[{\"code\":\"empty_file\"}]";
	bool moved;

	(void)state;
	for (int at = 0; at < BATCH_STATUS_COUNT; at++) {
		struct batch b = batch_in((enum batch_status)at);
		MUST(store_batch_fail(store, b.id, errors, NOW + 7, &moved, &err));
		struct batch got = get(b.id);
		assert_int_equal(moved, batch_may((enum batch_status)at, BATCH_FAILED));
		assert_int_equal(got.status, moved ? (int)BATCH_FAILED : at);
		if (moved) {
			assert_string_equal(got.errors, errors);
			assert_int_equal(got.at[BATCH_FAILED], NOW + 7);
			assert_string_equal(got.output_file_id, "");
			assert_string_equal(got.error_file_id, "");
		} else {
			assert_null(got.errors);
		}
		batch_done(&got);
	}
}

static void an_early_cancel_stamps_both_times(void **state)
{
	bool moved;

	(void)state;
	for (int at = 0; at < BATCH_STATUS_COUNT; at++) {
		struct batch b = batch_in((enum batch_status)at);
		struct batch before = get(b.id);
		MUST(store_batch_cancel_early(store, b.id, NOW + 7, &moved, &err));
		struct batch got = get(b.id);
		assert_int_equal(moved, at == BATCH_VALIDATING);
		assert_int_equal(got.status, moved ? (int)BATCH_CANCELLED : at);
		assert_int_equal(got.at[BATCH_CANCELLING],
				 moved ? NOW + 7 : before.at[BATCH_CANCELLING]);
		assert_int_equal(got.at[BATCH_CANCELLED],
				 moved ? NOW + 7 : before.at[BATCH_CANCELLED]);
		batch_done(&before);
		batch_done(&got);
	}
}

/* ---- progress ---- */

static const struct merge_state some = {
	.segments = 3,
	.output_bytes = 1000,
	.error_bytes = 200,
	.output_lines = 10,
	.error_lines = 2,
	.journal_from = 4096,
	.counts = { .completed = 10, .failed = 2, .expired = 3, .cancelled = 4, .retried = 5 },
	.usage = { .input = 11, .cached = 12, .output = 13, .reasoning = 14, .total = 15 },
};

static void progress_reads_back_whole(void **state)
{
	struct batch b = put_batch(&ours, NOW);
	struct merge_state got;

	(void)state;
	MUST(store_merge_get(store, b.id, &got, &err));
	assert_memory_equal(&got, &(struct merge_state){ 0 }, sizeof(got));
	assert_true(start(b.id, NOW));
	MUST(store_merge_put(store, b.id, &some, &err));
	MUST(store_merge_get(store, b.id, &got, &err));
	assert_int_equal(got.counts.total, 1000);
	got.counts.total = 0;
	assert_memory_equal(&got, &some, sizeof(got));

	struct batch whole = get(b.id);
	assert_int_equal(whole.counts.total, 1000);
	assert_int_equal(whole.counts.completed, 10);
	assert_int_equal(whole.counts.failed, 2);
	assert_int_equal(whole.counts.expired, 3);
	assert_int_equal(whole.counts.cancelled, 4);
	assert_int_equal(whole.counts.retried, 5);
	assert_memory_equal(&whole.usage, &some.usage, sizeof(some.usage));
	batch_done(&whole);
	FAILS(store_merge_get(store, "batch_none", &got, &err), NOT_FOUND);
}

static void progress_of_a_final_batch_stands(void **state)
{
	struct batch b = batch_in(BATCH_COMPLETED);
	struct merge_state got;

	(void)state;
	FAILS(store_merge_put(store, b.id, &some, &err), NOT_FOUND);
	FAILS(store_merge_put(store, "batch_none", &some, &err), NOT_FOUND);
	MUST(store_merge_get(store, b.id, &got, &err));
	assert_int_equal(got.counts.completed, 0);
}

/* ---- the end ---- */

static struct file result(void)
{
	struct file f = file_of(&ours, NOW + 60);

	f.purpose = PURPOSE_BATCH_OUTPUT;
	f.sha256[0] = '\0';
	return f;
}

static void a_finished_batch_has_all_of_it(void **state)
{
	enum batch_status ends[] = { BATCH_COMPLETED, BATCH_FAILED, BATCH_EXPIRED,
				     BATCH_CANCELLED };
	bool moved;

	(void)state;
	for (size_t e = 0; e < ARRAY_LEN(ends); e++)
		for (int at = 0; at < BATCH_STATUS_COUNT; at++) {
			struct batch b = batch_in((enum batch_status)at);
			struct file output = result(), error = result(), found;
			const char *errors = ends[e] == BATCH_FAILED ? "[]" : NULL;
			MUST(store_batch_finish(store, b.id, ends[e], &some, &output, &error,
						errors, NOW + 60, &moved, &err));
			/* one that was not said to be finalizing is so on the way */
			bool passes = at == BATCH_IN_PROGRESS && ends[e] == BATCH_COMPLETED;
			assert_int_equal(moved,
					 passes || batch_may((enum batch_status)at, ends[e]));
			struct batch got = get(b.id);
			if (passes)
				assert_int_equal(got.at[BATCH_FINALIZING], NOW + 60);
			if (moved) {
				assert_int_equal(got.status, ends[e]);
				assert_int_equal(got.at[ends[e]], NOW + 60);
				assert_string_equal(got.output_file_id, output.id);
				assert_string_equal(got.error_file_id, error.id);
				assert_int_equal(got.counts.completed, 10);
				assert_int_equal(got.usage.total, 15);
				assert_int_equal(got.errors != NULL, errors != NULL);
				MUST(store_file_get(store, ours.id, output.id, NOW, &found, &err));
				MUST(store_file_get(store, ours.id, error.id, NOW, &found, &err));
			} else {
				assert_int_equal(got.status, at);
				assert_int_equal(got.counts.completed, 0);
				assert_string_equal(got.output_file_id, "");
				FAILS(store_file_get(store, NULL, output.id, NOW, &found, &err),
				      NOT_FOUND);
			}
			batch_done(&got);
		}
}

static void a_file_without_lines_is_none(void **state)
{
	struct batch b = put_batch(&ours, NOW);
	struct file error = result();
	bool moved;

	(void)state;
	assert_true(start(b.id, NOW));
	assert_true(move(b.id, BIT(IN_PROGRESS), BATCH_FINALIZING, NOW));
	MUST(store_batch_finish(store, b.id, BATCH_COMPLETED, &some, NULL, &error, NULL, NOW,
				&moved, &err));
	assert_true(moved);
	struct batch got = get(b.id);
	assert_string_equal(got.output_file_id, "");
	assert_string_equal(got.error_file_id, error.id);
	batch_done(&got);
}

/* The second file's row cannot be written: then there is no first one either, and no end. */
static void an_end_that_fails_half_way_has_not_begun(void **state)
{
	struct batch b = put_batch(&ours, NOW);
	struct file output = result(), error = put_file(&ours, NOW), found;
	bool moved;

	(void)state;
	assert_true(start(b.id, NOW));
	assert_true(move(b.id, BIT(IN_PROGRESS), BATCH_FINALIZING, NOW));
	FAILS(store_batch_finish(store, b.id, BATCH_COMPLETED, &some, &output, &error, NULL, NOW,
				 &moved, &err),
	      INTERNAL);
	struct batch got = get(b.id);
	assert_int_equal(got.status, BATCH_FINALIZING);
	assert_int_equal(got.counts.completed, 0);
	assert_string_equal(got.output_file_id, "file-out");
	batch_done(&got);
	FAILS(store_file_get(store, NULL, output.id, NOW, &found, &err), NOT_FOUND);
}

/* ---- lists ---- */

static void open_batches_are_listed_by_their_deadline(void **state)
{
	struct batch late = put_batch(&ours, NOW + 9), soon = put_batch(&theirs, NOW);
	char(*ids)[ID_SIZE];
	size_t n;

	(void)state;
	for (int at = BATCH_COMPLETED; at < BATCH_STATUS_COUNT; at++)
		batch_in((enum batch_status)at);
	MUST(store_batches_open(store, &ids, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(ids[0], soon.id);
	assert_string_equal(ids[1], late.id);
	free(ids);
	assert_true(move(soon.id, BIT(VALIDATING), BATCH_CANCELLING, NOW));
	MUST(store_batches_open(store, &ids, &n, &err));
	assert_int_equal(n, 2); /* it has yet to be ended */
	free(ids);
}

static void assert_enqueued(const char *model, const char *except, uint64_t requests,
			    uint64_t tokens)
{
	uint64_t got_requests, got_tokens;

	MUST(store_batches_enqueued(store, ours.id, model, except, &got_requests, &got_tokens,
				    &err));
	assert_int_equal(got_requests, requests);
	assert_int_equal(got_tokens, tokens);
}

static void what_is_enqueued_is_what_is_left_to_do(void **state)
{
	struct batch a = put_batch(&ours, NOW), b = put_batch(&ours, NOW), mixed, foreign;
	bool moved;

	(void)state;
	assert_enqueued("model", NULL, 0, 0);
	assert_true(start(a.id, NOW)); /* 1,000 lines, 5,000 tokens */
	assert_true(start(b.id, NOW));
	mixed = put_batch(&ours, NOW);
	MUST(store_batch_start(store, mixed.id, 7, 70, NULL, "o", "e", NOW, &moved, &err));
	foreign = put_batch(&theirs, NOW);
	assert_true(start(foreign.id, NOW));
	assert_enqueued("model", NULL, 2000, 10000);
	assert_enqueued("model", a.id, 1000, 5000);
	assert_enqueued(NULL, NULL, 7, 70);
	assert_enqueued("other", NULL, 0, 0);
	struct merge_state half = { .counts = { .completed = 400, .failed = 100 } };
	MUST(store_merge_put(store, a.id, &half, &err));
	assert_enqueued("model", b.id, 500, 2500);
	MUST(store_batch_fail(store, a.id, "[]", NOW, &moved, &err));
	assert_enqueued("model", NULL, 1000, 5000);
}

static void huge_estimates_do_not_overflow(void **state)
{
	struct batch b = put_batch(&ours, NOW);
	bool moved;

	(void)state;
	MUST(store_batch_start(store, b.id, 50000000, UINT64_C(1) << 50, "m", "o", "e", NOW, &moved,
			       &err));
	assert_enqueued("m", NULL, 50000000, UINT64_C(1) << 50);
}

static size_t list(const char *after, unsigned limit, struct batch **ret, bool *ret_more)
{
	size_t n;

	MUST(store_batch_list(
		store, &(struct batch_query){ .org = ours.id, .after = after, .limit = limit }, ret,
		&n, ret_more, &err));
	return n;
}

/* Contract 10, W6: the order of making, though all are of three seconds and the clock steps
 * back. */
static void paging_yields_each_batch_once_newest_first(void **state)
{
	enum { BATCHES = 60 };
	static struct batch made[BATCHES];

	(void)state;
	srandom(3);
	for (int i = 0; i < BATCHES; i++) {
		made[i] = put_batch(&ours, NOW + random() % 3);
		put_batch(&theirs, NOW + random() % 3);
	}
	for (unsigned limit = 1; limit <= 100; limit = limit * 2 + 1) {
		char after[ID_SIZE] = "";
		size_t seen = 0;
		bool more = true;
		while (more) {
			struct batch *page;
			size_t n = list(after[0] ? after : NULL, limit, &page, &more);
			assert_true(n > 0 && n <= limit);
			for (size_t k = 0; k < n; k++) {
				assert_string_equal(page[k].id, made[BATCHES - 1 - seen - k].id);
				memcpy(after, page[k].id, sizeof(after));
				batch_done(&page[k]);
			}
			seen += n;
			free(page);
		}
		assert_int_equal(seen, BATCHES);
	}
	struct batch *page;
	bool more;
	struct batch foreign = put_batch(&theirs, NOW);
	size_t n;
	FAILS(store_batch_list(
		      store,
		      &(struct batch_query){ .org = ours.id, .after = foreign.id, .limit = 5 },
		      &page, &n, &more, &err),
	      INVALID);
	assert_string_equal(err.param, "after");
	FAILS(store_batch_list(
		      store,
		      &(struct batch_query){ .org = ours.id, .after = "batch_none", .limit = 5 },
		      &page, &n, &more, &err),
	      INVALID);
}

/* Contract 10, W6: within one second, and after a step back of the clock. */
static void a_batch_made_while_paging_is_on_no_later_page(void **state)
{
	struct batch first = put_batch(&ours, NOW), second = put_batch(&ours, NOW), *page;
	bool more;

	(void)state;
	for (int i = 0; i < 32; i++) {
		put_batch(&ours, NOW - i % 2 * 100);
		assert_int_equal(list(second.id, 100, &page, &more), 1);
		assert_string_equal(page[0].id, first.id);
		batch_done(&page[0]);
		free(page);
	}
}

/* E8: a page has an edge in bytes, too; the rest is on the next ones. */
static void a_page_of_long_errors_is_short(void **state)
{
	enum { BATCHES = 7 };
	struct batch made[BATCHES], *page;
	size_t long_bytes = STORE_PAGE_TEXT_BYTES / 2 - 10;
	char *errors = malloc(STORE_PAGE_TEXT_BYTES + 4);
	bool more, moved;

	(void)state;
	assert_non_null(errors);
	for (int i = 0; i < BATCHES; i++) {
		/* the newest but one alone is more than a page may have */
		size_t bytes = i == BATCHES - 2 ? STORE_PAGE_TEXT_BYTES + 1 : long_bytes;
		snprintf(errors, bytes + 1, "[\"%0*d\"]", (int)bytes - 4, 0);
		made[i] = put_batch(&ours, NOW);
		MUST(store_batch_fail(store, made[i].id, errors, NOW, &moved, &err));
	}
	free(errors);
	const size_t sizes[] = { 1, 1, 2, 2, 1 };
	const char *after = NULL;
	size_t seen = 0;
	for (size_t p = 0; p < ARRAY_LEN(sizes); p++) {
		size_t n = list(after, 100, &page, &more);
		assert_int_equal(n, sizes[p]);
		assert_int_equal(more, p + 1 < ARRAY_LEN(sizes));
		for (size_t i = 0; i < n; i++, seen++) {
			assert_string_equal(page[i].id, made[BATCHES - 1 - seen].id);
			assert_true(strlen(page[i].errors) >= long_bytes);
			batch_done(&page[i]);
		}
		after = made[BATCHES - seen].id;
		free(page);
	}
	assert_int_equal(seen, BATCHES);
}

static void an_empty_list_is_empty(void **state)
{
	struct batch *page;
	bool more;

	(void)state;
	assert_int_equal(list(NULL, 20, &page, &more), 0);
	assert_false(more);
	free(page);
}

/* ---- kills ---- */

#ifdef LOWTIDE_FAILPOINTS

/* The batch is `victim`; a child takes the step and is killed at `point`. Then the store is opened
 * again, as after any crash. */
static void killed_at(const char *point, void (*step)(void))
{
	char entry[64];

	store_close(store); /* SQLite does not go through a fork */
	store = NULL;
	snprintf(entry, sizeof(entry), "%s=kill", point);
	setenv("LOWTIDE_FAILPOINTS", entry, 1);
	int status = in_a_child(step);
	unsetenv("LOWTIDE_FAILPOINTS");
	assert_true(was_killed(status));
	MUST(place_open());
}

static bool child_open(void)
{
	failpoints_init();
	return place_open();
}

static void child_insert(void)
{
	char id[ID_SIZE];

	if (child_open())
		(void)!store_batch_insert(store, &victim, NULL, true, 0, id, &err);
}

static void child_start(void)
{
	bool moved;

	if (child_open())
		(void)!store_batch_start(store, victim.id, 10, 10, "m", "file-o", "file-e", NOW,
					 &moved, &err);
}

static void child_cancel(void)
{
	bool moved;

	if (child_open())
		(void)!store_batch_move(store, victim.id, BIT(IN_PROGRESS), BATCH_CANCELLING, NOW,
					&moved, &err);
}

static struct file victim_output;

static void child_finish(void)
{
	bool moved;

	if (child_open())
		(void)!store_batch_finish(store, victim.id, BATCH_COMPLETED, &some, &victim_output,
					  NULL, NULL, NOW, &moved, &err);
}

static void a_kill_after_the_insert_keeps_the_batch(void **state)
{
	(void)state;
	victim = batch_of(&ours, NOW);
	killed_at("batch.after_insert", child_insert);
	assert_int_equal(status_of(victim.id), BATCH_VALIDATING);
}

static void a_kill_before_in_progress_leaves_it_validating(void **state)
{
	(void)state;
	victim = put_batch(&ours, NOW);
	killed_at("batch.before_in_progress", child_start);
	struct batch got = get(victim.id);
	assert_int_equal(got.status, BATCH_VALIDATING);
	assert_int_equal(got.counts.total, 0);
	batch_done(&got);
}

static void a_kill_after_cancelling_keeps_it(void **state)
{
	(void)state;
	victim = batch_in(BATCH_IN_PROGRESS);
	killed_at("cancel.after_cancelling", child_cancel);
	assert_int_equal(status_of(victim.id), BATCH_CANCELLING);
}

static void a_kill_around_the_end_leaves_all_or_nothing(void **state)
{
	struct file found;

	(void)state;
	victim = batch_in(BATCH_FINALIZING);
	victim_output = result();
	killed_at("batch.before_final", child_finish);
	assert_int_equal(status_of(victim.id), BATCH_FINALIZING);
	FAILS(store_file_get(store, NULL, victim_output.id, NOW, &found, &err), NOT_FOUND);
	killed_at("batch.after_final", child_finish);
	assert_int_equal(status_of(victim.id), BATCH_COMPLETED);
	MUST(store_file_get(store, NULL, victim_output.id, NOW, &found, &err));
}

#endif

/* limits.org.open_batches */
static void an_organization_has_so_many_open_batches(void **state)
{
	struct batch first = put_batch(&ours, NOW), b = batch_of(&ours, NOW),
		     c = batch_of(&theirs, NOW);
	char id[ID_SIZE];
	bool moved;

	(void)state;
	FAILS(store_batch_insert(store, &b, NULL, false, 1, id, &err), RATE_LIMIT);
	assert_non_null(strstr(err.message, "limits.org.open_batches"));
	MUST(store_batch_insert(store, &c, NULL, false, 1, id, &err)); /* others have their own */
	MUST(store_batch_cancel_early(store, first.id, NOW, &moved, &err));
	MUST(store_batch_insert(store, &b, NULL, false, 1, id, &err));
}

/* 11.3, retry: the child and its input are both there, or neither is. */
static void a_batch_and_its_input_are_made_together(void **state)
{
	const struct file_quota none = { 1, 0 }, room = { 9, 0 };
	struct batch b = batch_of(&ours, NOW), again = batch_of(&ours, NOW), got;
	struct file f = { .purpose = PURPOSE_BATCH, .bytes = 5, .created_at = NOW }, found;
	struct call call = { .route = "POST /v1/batches/{id}/retry" };
	char id[ID_SIZE];

	(void)state;
	(void)put_batch(&ours, NOW);
	id_file(f.id);
	memcpy(f.org, ours.id, sizeof(f.org));
	memcpy(b.input_file_id, f.id, sizeof(f.id));
	strcpy(b.retried_from, "batch_0");
	strcpy(call.idempotency_key, "once");
	strcpy(call.fingerprint, "f");
	FAILS(store_batch_insert_with(store, &b, &f, &none, &call, 0, id, &err), INVALID);
	assert_string_equal(err.code, "file_quota_exceeded");
	FAILS(store_batch_insert_with(store, &b, &f, &room, &call, 1, id, &err), RATE_LIMIT);
	FAILS(store_file_get(store, NULL, f.id, NOW, &found, &err), NOT_FOUND);
	FAILS(store_batch_get(store, NULL, b.id, &got, &err), NOT_FOUND);
	MUST(store_batch_insert_with(store, &b, &f, &room, &call, 0, id, &err));
	assert_string_equal(id, b.id);
	MUST(store_file_get(store, ours.id, f.id, NOW, &found, &err));
	MUST(store_batch_get(store, ours.id, b.id, &got, &err));
	assert_string_equal(got.retried_from, "batch_0");
	assert_string_equal(got.input_file_id, f.id);
	assert_false(got.input_missing);
	batch_done(&got);
	id_file(f.id); /* the same call again makes nothing */
	MUST(store_batch_insert_with(store, &again, &f, &room, &call, 0, id, &err));
	assert_string_equal(id, b.id);
	FAILS(store_file_get(store, NULL, f.id, NOW, &found, &err), NOT_FOUND);
}

/* 11.3: held and resumed while lines may be sent; anything else changes nothing. */
static void a_batch_is_held_and_goes_on(void **state)
{
	struct batch b = put_batch(&ours, NOW), got;
	bool changed, moved;

	(void)state;
	MUST(store_batch_hold(store, b.id, BATCH_GOES_ON, NOW, &changed, &err));
	assert_false(changed);
	MUST(store_batch_hold(store, b.id, BATCH_HELD, NOW + 1, &changed, &err));
	assert_true(changed);
	MUST(store_batch_hold(store, b.id, BATCH_HELD, NOW + 2, &changed, &err));
	assert_false(changed);
	MUST(store_batch_get(store, NULL, b.id, &got, &err));
	assert_int_equal(got.hold, BATCH_HELD);
	assert_int_equal(got.held_at, NOW + 1);
	batch_done(&got);
	MUST(store_batch_hold(store, b.id, BATCH_GOES_ON, NOW + 3, &changed, &err));
	assert_true(changed);
	MUST(store_batch_get(store, NULL, b.id, &got, &err));
	assert_int_equal(got.hold, BATCH_GOES_ON);
	assert_int_equal(got.held_at, 0);
	batch_done(&got);
	assert_false(got.canary_over);
	MUST(store_batch_hold(store, b.id, BATCH_CANARY, NOW + 3, &changed, &err));
	MUST(store_batch_hold(store, b.id, BATCH_GOES_ON, NOW + 3, &changed, &err));
	MUST(store_batch_get(store, NULL, b.id, &got, &err));
	assert_true(got.canary_over && got.hold == BATCH_GOES_ON);
	batch_done(&got);
	MUST(store_batch_cancel_early(store, b.id, NOW, &moved, &err));
	MUST(store_batch_hold(store, b.id, BATCH_HELD, NOW + 4, &changed, &err));
	assert_false(changed);
	MUST(store_batch_hold(store, "batch_none", BATCH_HELD, NOW + 4, &changed, &err));
	assert_false(changed);
}

/* E15: what the operator cancels is told once, and only while it can be cancelled. */
static void the_batches_of_a_suspended_organization_are_to_be_cancelled(void **state)
{
	struct batch b = put_batch(&ours, NOW);
	char(*ids)[ID_SIZE];
	size_t n;
	bool moved;

	(void)state;
	(void)put_batch(&theirs, NOW);
	MUST(store_org_suspend(store, "ours", NOW, false, &err));
	MUST(store_batches_to_cancel(store, 10, &ids, &n, &err));
	assert_int_equal(n, 0);
	free(ids);
	MUST(store_org_suspend(store, "ours", NOW, true, &err));
	MUST(store_batches_to_cancel(store, 10, &ids, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(ids[0], b.id);
	free(ids);
	MUST(store_batch_cancel_early(store, b.id, NOW, &moved, &err));
	MUST(store_batches_to_cancel(store, 10, &ids, &n, &err));
	assert_int_equal(n, 0);
	free(ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(an_organization_has_so_many_open_batches),
		WITH_STORE(a_batch_and_its_input_are_made_together),
		WITH_STORE(a_batch_is_held_and_goes_on),
		WITH_STORE(the_batches_of_a_suspended_organization_are_to_be_cancelled),
		WITH_STORE(a_batch_reads_back_whole),
		WITH_STORE(the_trace_that_it_was_made_in),
		WITH_STORE(others_batches_are_not_found),
		WITH_STORE(the_input_must_be_there),
		WITH_STORE(a_missing_input_is_noted_where_it_may_miss),
		WITH_STORE(every_edge_from_every_state),
		WITH_STORE(an_edge_that_is_not_in_the_table_is_our_mistake),
		WITH_STORE(a_move_may_start_from_several_states),
		WITH_STORE(no_state_is_entered_before_the_batch_was_made),
		WITH_STORE(a_start_notes_what_validation_found),
		WITH_STORE(a_batch_of_several_models_has_none),
		WITH_STORE(a_failure_keeps_its_errors),
		WITH_STORE(an_early_cancel_stamps_both_times),
		WITH_STORE(progress_reads_back_whole),
		WITH_STORE(progress_of_a_final_batch_stands),
		WITH_STORE(a_finished_batch_has_all_of_it),
		WITH_STORE(a_file_without_lines_is_none),
		WITH_STORE(an_end_that_fails_half_way_has_not_begun),
		WITH_STORE(open_batches_are_listed_by_their_deadline),
		WITH_STORE(what_is_enqueued_is_what_is_left_to_do),
		WITH_STORE(huge_estimates_do_not_overflow),
		WITH_STORE(paging_yields_each_batch_once_newest_first),
		WITH_STORE(a_batch_made_while_paging_is_on_no_later_page),
		WITH_STORE(a_page_of_long_errors_is_short),
		WITH_STORE(an_empty_list_is_empty),
#ifdef LOWTIDE_FAILPOINTS
		WITH_STORE(a_kill_after_the_insert_keeps_the_batch),
		WITH_STORE(a_kill_before_in_progress_leaves_it_validating),
		WITH_STORE(a_kill_after_cancelling_keeps_it),
		WITH_STORE(a_kill_around_the_end_leaves_all_or_nothing),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
