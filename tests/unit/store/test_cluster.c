/* The transactions of many machines, one by one: what each does, asked once, twice, and by a
 * zombie. The same against the protocol's own functions: test_cluster_model.c; at one time:
 * test_cluster_threads.c. */
#include "cluster_test.h"

/* ---- nodes ---- */

static void a_node_enters_once(void **state)
{
	struct node_seen *seen;
	uint64_t epoch;
	size_t n;

	(void)state;
	MUST(store_node_enter(db, 7, &about, NOBODY, &epoch, &err));
	assert_int_equal(epoch, 1);
	clock_forward_us(PROTOCOL_S);
	MUST(store_node_enter(db, 7, &about, NOBODY, &epoch, &err));
	assert_int_equal(epoch, 1);
	MUST(store_node_list(db, &seen, &n, &err));
	assert_int_equal(n, 1);
	assert_int_equal(seen[0].id, 7);
	assert_int_equal(seen[0].lease_left_us, LEASE_US - PROTOCOL_S); /* the first's */
	assert_false(seen[0].draining);
	assert_string_equal(seen[0].address, about.address);
	assert_string_equal(seen[0].version, about.version);
	assert_string_equal(seen[0].config, about.config);
	free(seen);
}

static void a_renewal_tells_the_epoch(void **state)
{
	struct owner me = enter(7);
	struct node_seen *seen;
	bool renewed, left;
	uint64_t epoch;
	size_t n;

	(void)state;
	hand("LISTEN lowtide_nodes");
	clock_forward_us(5 * PROTOCOL_S);
	MUST(store_node_renew(db, me, 40, true, &renewed, &epoch, &err));
	assert_true(renewed);
	assert_int_equal(epoch, 1);
	MUST(store_node_renew(db, me, 30, true, &renewed, &epoch, &err)); /* a floor stays */
	MUST(store_node_list(db, &seen, &n, &err));
	assert_int_equal(seen[0].lease_left_us, LEASE_US);
	assert_int_equal(seen[0].floor, 40);
	assert_true(seen[0].draining);
	free(seen);
	assert_int_equal(hand("SELECT extract(epoch FROM held_since) FROM nodes"), EPOCH_S);
	clock_forward_us(LEASE_GAP_US + 1); /* too late for no gap */
	assert_true(renew(me));
	assert_int_equal(hand("SELECT extract(epoch FROM held_since) FROM nodes"), EPOCH_S + 12);
	assert_int_equal(told("lowtide_nodes"), 0);
	MUST(store_node_leave(db, me, &left, &err));
	assert_true(left);
	assert_int_equal(told("lowtide_nodes"), 1);
	MUST(store_node_leave(db, me, &left, &err));
	assert_false(left);
	assert_int_equal(told("lowtide_nodes"), 0);
	MUST(store_node_renew(db, me, 0, false, &renewed, &epoch, &err));
	assert_false(renewed);
	assert_int_equal(epoch, 2);
	assert_true(renew((struct owner){ 7, 2 }));
	MUST(store_node_renew(db, (struct owner){ 8, 1 }, 0, false, &renewed, &epoch, &err));
	assert_false(renewed);
	assert_int_equal(epoch, 0);
}

static void a_start_ends_the_one_before(void **state)
{
	struct owner before = enter(7);
	uint64_t epoch;

	(void)state;
	for (int i = 0; i < 2; i++) {
		MUST(store_node_enter(db, 8, &about, 7, &epoch, &err));
		assert_false(renew(before));
		assert_int_equal(hand("SELECT epoch FROM nodes WHERE id = 7"), 2);
	}
}

static void only_who_may_buries(void **state)
{
	struct owner a = enter(1), b = enter(2);
	uint64_t buried;

	(void)state;
	hand("LISTEN lowtide_nodes");
	clock_forward_us(LEASE_US); /* to the end, and not past it */
	assert_true(renew(a));
	MUST(store_node_bury(db, a, &buried, &err));
	assert_int_equal(buried, 0);
	clock_forward_us(1); /* over; but its own was not renewed without a gap */
	MUST(store_node_bury(db, a, &buried, &err));
	assert_int_equal(buried, 0);
	clock_forward_us(LEASE_GRACE_US);
	assert_true(renew(a));
	MUST(store_node_bury(db, (struct owner){ 1, 2 }, &buried, &err));
	assert_int_equal(buried, 0);
	assert_int_equal(told("lowtide_nodes"), 0);
	MUST(store_node_bury(db, a, &buried, &err));
	assert_int_equal(buried, 1);
	assert_int_equal(told("lowtide_nodes"), 1);
	MUST(store_node_bury(db, a, &buried, &err));
	assert_int_equal(buried, 0);
	assert_false(renew(b));
	assert_true(renew((struct owner){ 2, 2 }));
}

/* ---- upstreams ---- */

static bool take(struct owner me, uint64_t *ret_epoch)
{
	bool taken;

	MUST(store_upstream_take(db, me, "http://u", &taken, ret_epoch, &err));
	return taken;
}

static bool release(struct owner me, uint64_t epoch)
{
	bool released;

	MUST(store_upstream_release(db, me, "http://u", epoch, &released, &err));
	return released;
}

static void an_upstream_has_one_driver(void **state)
{
	struct owner a = enter(1), b = enter(2);
	struct upstream_seen *seen;
	struct node_seen *nodes;
	uint64_t epoch;
	size_t n;

	(void)state;
	hand("LISTEN lowtide_upstreams");
	assert_true(take(a, &epoch));
	assert_true(take(a, &epoch)); /* as it stands */
	assert_int_equal(epoch, 1);
	assert_false(take(b, &epoch));
	assert_false(release(b, 1));
	assert_false(release(a, 2));
	MUST(store_node_list(db, &nodes, &n, &err));
	assert_int_equal(nodes[0].driven, 1);
	assert_int_equal(nodes[1].driven, 0);
	free(nodes);
	assert_int_equal(told("lowtide_upstreams"), 0);
	assert_true(release(a, 1));
	assert_int_equal(told("lowtide_upstreams"), 1);
	assert_false(release(a, 1));
	assert_true(take(b, &epoch));
	assert_int_equal(epoch, 2);
	assert_true(release(b, 2));
	assert_true(take(a, &epoch));
	assert_false(release(a, 1)); /* late, of the tenure before */
	bury_all_but(b);
	MUST(store_upstream_list(db, &seen, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(seen[0].upstream, "http://u");
	assert_int_equal(seen[0].owner.node, 1);
	assert_true(seen[0].is_free);
	free(seen);
	assert_false(take(a, &epoch));
	assert_true(take(b, &epoch));
	assert_int_equal(epoch, 4);
	assert_false(release(a, 3)); /* a zombie's */
	clock_forward_us(LEASE_US);
	assert_false(take(b, &epoch)); /* not even its own, once its lease is over */
}

/* ---- spans ---- */

static void spans_are_made_once(void **state)
{
	struct batch b = batch_of(&ours, EPOCH_S);
	struct span_plan plan[] = { { 0, 16, 16384 }, { 16, 3, 3000 } };
	struct span_lent s;
	struct owner me = enter(1);
	char id[ID_SIZE];
	bool moved;
	size_t n;

	(void)state;
	hand("LISTEN lowtide_batches");
	MUST(store_spans_create(db, b.id, plan, 2, &n, &err));
	assert_int_equal(n, 0); /* no such batch */
	MUST(store_batch_insert(store, &b, NULL, false, 0, id, &err));
	MUST(store_spans_create(db, b.id, plan, 2, &n, &err));
	assert_int_equal(n, 2);
	MUST(store_spans_create(db, b.id, plan, 1, &n, &err)); /* cut otherwise */
	assert_int_equal(n, 2);
	assert_false(claim(me, &s));
	(void)told("");
	MUST(store_batch_start(store, b.id, 19384, 1, "m", "file-o", "file-e", EPOCH_S, &moved,
			       &err));
	assert_int_equal(told("lowtide_batches"), 1);
	assert_true(claim(me, &s));
	assert_string_equal(s.id.batch, b.id);
	assert_int_equal(s.id.n, 0);
	assert_int_equal(s.epoch, 1);
	assert_int_equal(s.segments, 16);
	assert_int_equal(s.lines, 16384);
	assert_int_equal(s.counts.total, 16384);
	assert_int_equal(s.status, BATCH_IN_PROGRESS);
	assert_false(s.has_ended);
	assert_int_equal(s.n_pieces, 0);
	assert_true(claim_more(me, &s.id, 1, &s));
	assert_int_equal(s.first_segment, 16);
	b = batch_of(&ours, EPOCH_S);
	MUST(store_batch_insert(store, &b, NULL, false, 0, id, &err));
	MUST(store_batch_cancel_early(store, b.id, EPOCH_S, &moved, &err));
	MUST(store_spans_create(db, b.id, plan, 2, &n, &err));
	assert_int_equal(n, 0);
}

static void a_claim_whose_answer_was_lost_is_lent_again(void **state)
{
	struct owner a = enter(1), b = enter(2);
	struct span_lent s, again;

	(void)state;
	put_spans(&ours, "m", 1, DAY);
	assert_true(claim(a, &s));
	assert_false(claim(b, &s));
	struct span_wanted late = { 1, models, 1, NULL, 0 }; /* a's first once more */
	bool lent;
	MUST(store_span_claim(db, a, &late, &again, &lent, &err));
	assert_false(lent);
	assert_true(claim(a, &again));
	assert_int_equal(again.epoch, 2);
	assert_false(claim_more(a, &again.id, 1, &again));
}

static void zombies_are_refused(void **state)
{
	struct owner a = enter(1), b = enter(2);
	struct span_lent old, s;
	bool last;

	(void)state;
	put_spans(&ours, "m", 1, DAY);
	assert_true(claim(a, &old));
	assert_true(settle_one(a, &old, "c-1-1-1"));
	clock_forward_us(LEASE_US);
	assert_true(settle_one(a, &old, "c-1-1-2")); /* its lease is past, and it is not buried */
	assert_false(claim(b, &s));
	assert_true(renew(b));
	bury_all_but(b);
	assert_false(settle_one(a, &old, "c-1-1-3")); /* nobody has claimed it since */
	assert_false(give_back(a, &old));
	assert_false(finish(a, &old, &last));
	assert_false(claim(a, &s));
	assert_true(claim(b, &s));
	assert_int_equal(s.epoch, 2);
	assert_int_equal(s.n_pieces, 2);
	assert_string_equal(s.pieces[1].chunk, "c-1-1-2");
	assert_int_equal(s.pieces[1].lines, 4);
	assert_int_equal(s.counts.completed, 6);
	span_lent_done(&s);
	struct owner next = { 1, 2 };
	assert_true(renew(next)); /* the node is back; what it had is not */
	assert_false(settle_one(next, &old, "c-1-2-1"));
	assert_false(give_back(next, &old));
	assert_false(finish(next, &old, &last));
	old.epoch = s.epoch;
	assert_false(settle_one(next, &old, "c-1-2-1"));
	assert_true(give_back(b, &s));
	assert_false(settle_one(b, &s, "c-2-1-1"));
	assert_false(finish(b, &s, &last));
	assert_int_equal(hand("SELECT completed FROM spans"), 6);
}

static void spans_are_given_back(void **state)
{
	struct owner a = enter(1), b = enter(2);
	struct span_lent s;

	(void)state;
	hand("LISTEN lowtide_spans");
	put_spans(&ours, "m", 1, DAY);
	assert_true(claim(a, &s));
	assert_false(give_back(b, &s));
	assert_true(give_back(a, &s));
	assert_int_equal(told("lowtide_spans"), 1);
	assert_false(give_back(a, &s));
	assert_int_equal(told("lowtide_spans"), 0);
	assert_true(claim(b, &s));
	assert_int_equal(s.epoch, 2);
}

/* ---- finished lines ---- */

static void a_chunk_is_settled_once(void **state)
{
	struct owner a = enter(1), b = enter(2);
	struct span_lent s[3];
	struct span_piece *pieces;
	struct piece_settled p[3];
	struct span_id held[2];
	size_t n;

	(void)state;
	put_spans(&ours, "m", 3, DAY);
	for (size_t i = 0; i < 2; i++) {
		assert_true(claim_more(a, held, i, &s[i]));
		held[i] = s[i].id;
	}
	assert_true(claim(b, &s[2]));
	for (unsigned i = 0; i < 3; i++)
		p[i] = (struct piece_settled){ .span = s[2 - i].id,
					       .epoch = s[2 - i].epoch,
					       .at = 100 * i,
					       .length = 100,
					       .counts = { .completed = i, .retried = 1 },
					       .usage = { 1, 2, 3, 4, 5 } };
	for (int times = 0; times < 3; times++) {
		MUST(store_pieces_settle(db, a, "c", p, 3, &err));
		assert_false(p[0].is_held); /* b's */
		assert_true(p[1].is_held);
		assert_true(p[2].is_held);
	}
	assert_int_equal(hand("SELECT sum(completed) FROM spans"), 3);
	assert_int_equal(hand("SELECT completed FROM spans WHERE n = 0"), 2);
	assert_int_equal(hand("SELECT sum(retried) FROM spans"), 2);
	assert_int_equal(hand("SELECT total_tokens FROM spans WHERE n = 1"), 5);
	MUST(store_pieces_list(db, &s[0].id, &pieces, &n, &err));
	assert_int_equal(n, 1);
	assert_int_equal(pieces[0].at, 200);
	assert_int_equal(pieces[0].length, 100);
	free(pieces);
	MUST(store_pieces_settle(db, a, "empty", NULL, 0, &err));
}

static void the_last_span_ends_the_batch(void **state)
{
	struct owner me = enter(1);
	struct batch b = put_spans(&ours, "m", 2, DAY);
	struct span_lent s[2];
	struct span_seen *seen;
	char(*whole)[ID_SIZE];
	size_t n;
	bool last;

	(void)state;
	assert_true(claim(me, &s[0]));
	assert_true(claim_more(me, &s[0].id, 1, &s[1]));
	assert_true(settle_one(me, &s[0], "c-1-1-1"));
	assert_true(finish(me, &s[1], &last));
	assert_false(last);
	assert_int_equal(hand("SELECT count(*) FROM journal_pieces"), 1);
	MUST(store_spans_whole(db, 10, &whole, &n, &err));
	assert_int_equal(n, 0);
	free(whole);
	MUST(store_span_manifest(db, b.id, &seen, &n, &err));
	assert_int_equal(seen[0].after, -1);
	assert_int_equal(seen[1].after, 0);
	free(seen);
	assert_false(finish((struct owner){ 1, 2 }, &s[0], &last));
	assert_int_equal(status_of(b.id), BATCH_IN_PROGRESS);
	assert_int_equal(hand("SELECT count(*) FROM journal_pieces"), 1);
	int64_t changed = hand("SELECT changed FROM batch WHERE id = '%s'", b.id);
	assert_true(finish(me, &s[0], &last));
	assert_true(last);
	assert_false(finish(me, &s[0], &last)); /* it is */
	assert_int_equal(status_of(b.id), BATCH_FINALIZING);
	assert_int_equal(hand("SELECT changed FROM batch WHERE id = '%s'", b.id), changed + 1);
	assert_int_equal(hand("SELECT finalizing_at FROM batch WHERE id = '%s'", b.id), EPOCH_S);
	assert_int_equal(hand("SELECT count(*) FROM journal_pieces"), 0);
	assert_false(settle_one(me, &s[0], "c-1-1-2"));
	assert_false(give_back(me, &s[0]));
	MUST(store_spans_whole(db, 10, &whole, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(whole[0], b.id);
	free(whole);
	MUST(store_span_manifest(db, b.id, &seen, &n, &err));
	assert_int_equal(n, 2);
	assert_int_equal(seen[0].n, 0);
	assert_true(seen[0].is_finished);
	assert_int_equal(seen[0].after, 1);
	assert_int_equal(seen[1].after, 0);
	assert_string_equal(seen[0].end.output.name, "part-0-1");
	assert_int_equal(seen[0].end.output.bytes, 1000);
	assert_string_equal(seen[0].end.error.name, "");
	assert_int_equal(seen[1].end.counts.completed, 9);
	assert_int_equal(seen[1].end.usage.total, 20);
	free(seen);
}

/* ---- garbage ---- */

static uint64_t mark(const char *const *names, size_t n)
{
	struct object_listed listed[8] = { 0 };
	unsigned long long node, epoch, number;
	uint64_t marked;

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(sscanf(names[i], "%*[a-z]-%llu-%llu-%llu", &node, &epoch, &number),
				 3);
		snprintf(listed[i].name, OBJECT_NAME_SIZE, "%s", names[i]);
		listed[i].made = (struct object_name){ { node, epoch }, number };
	}
	MUST(store_garbage_mark(db, listed, n, &marked, &err));
	return marked;
}

static void only_what_is_out_of_reach_goes(void **state)
{
	static const char *const names[] = { "c-1-1-1", "c-1-1-2", "c-2-1-1", "c-2-1-2",
					     "c-9-1-1" };
	struct owner a = enter(1), b = enter(2);
	char(*due)[OBJECT_NAME_SIZE];
	struct span_lent s;
	uint64_t epoch;
	bool renewed;
	size_t n;

	(void)state;
	put_spans(&ours, "m", 1, DAY);
	assert_true(claim(a, &s));
	assert_true(settle_one(a, &s, "c-1-1-1"));
	assert_int_equal(mark(names, 5), 1); /* nobody was ever node 9 */
	clock_forward_us(PROTOCOL_S);
	MUST(store_node_renew(db, b, 2, false, &renewed, &epoch, &err));
	assert_int_equal(mark(names, 5), 1); /* below the floor */
	bury_all_but(b);
	assert_int_equal(mark(names, 5), 1); /* of an epoch that is over, and not named */
	assert_int_equal(mark(names, 5), 0);
	clock_forward_us(GARBAGE_US - 18 * PROTOCOL_S);
	MUST(store_garbage_due(db, GARBAGE_US, 10, &due, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(due[0], "c-9-1-1");
	free(due);
	clock_forward_us(18 * PROTOCOL_S + 1);
	hand("INSERT INTO journal_pieces VALUES ('x', 0, 'c-1-1-2', 0, 0)"); /* which none can */
	MUST(store_garbage_due(db, GARBAGE_US, 10, &due, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(due[1], "c-2-1-1");
	MUST(store_garbage_forget(db, due, n, &err));
	MUST(store_garbage_forget(db, due, n, &err));
	free(due);
	assert_int_equal(hand("SELECT count(*) FROM garbage"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CLUSTER(a_node_enters_once),
		WITH_CLUSTER(a_renewal_tells_the_epoch),
		WITH_CLUSTER(a_start_ends_the_one_before),
		WITH_CLUSTER(only_who_may_buries),
		WITH_CLUSTER(an_upstream_has_one_driver),
		WITH_CLUSTER(spans_are_made_once),
		WITH_CLUSTER(a_claim_whose_answer_was_lost_is_lent_again),
		WITH_CLUSTER(zombies_are_refused),
		WITH_CLUSTER(spans_are_given_back),
		WITH_CLUSTER(a_chunk_is_settled_once),
		WITH_CLUSTER(the_last_span_ends_the_batch),
		WITH_CLUSTER(only_what_is_out_of_reach_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
