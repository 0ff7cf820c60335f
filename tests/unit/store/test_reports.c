/* What nodes tell one another, and the history that they keep together. */
#include "cluster_test.h"

#include "store/node_history.h"
#include "store/reports.h"

static void put(struct owner me, const char *scheduling)
{
	char batches[] = "batch\tb";
	const struct report_text r = { me.node, 77, 1, (char *)scheduling, batches };

	MUST(store_report_put(db, &r, me.epoch, false, &err));
}

static size_t list(uint64_t but, struct report_text **ret)
{
	size_t n;

	MUST(store_report_list(db, but, ret, &n, &err));
	return n;
}

static size_t count(uint64_t but)
{
	struct report_text *texts;
	size_t n = list(but, &texts);

	report_texts_free(texts, n);
	return n;
}

static void the_last_of_each_is_read(void **state)
{
	struct owner a = enter(1), b = enter(2), c = enter(3);
	struct report_text *texts;

	(void)state;
	assert_int_equal(count(1), 0);
	put(c, "c");
	put(a, "a");
	put(b, "b");
	put(b, "b again");
	assert_int_equal(list(1, &texts), 2);
	assert_int_equal(texts[0].node, 2);
	assert_int_equal(texts[0].since, 77);
	assert_int_equal(texts[0].format, 1);
	assert_string_equal(texts[0].scheduling, "b again");
	assert_string_equal(texts[0].batches, "batch\tb");
	assert_string_equal(texts[1].scheduling, "c");
	report_texts_free(texts, 2);
}

static void a_node_whose_lease_is_over_says_nothing(void **state)
{
	struct owner a = enter(1), b = enter(2);
	bool left;

	(void)state;
	put(a, "a");
	put(b, "b");
	clock_forward_us(LEASE_US - 1);
	assert_int_equal(count(3), 2);
	assert_true(renew(a));
	clock_forward_us(1);
	assert_int_equal(count(3), 1);
	bury_all_but(a);
	put(b, "a zombie's"); /* of an epoch that is over */
	assert_true(renew((struct owner){ 2, 2 }));
	assert_int_equal(count(1), 0);
	put((struct owner){ 2, 2 }, "b goes on");
	assert_int_equal(count(1), 1);
	put(b, "a zombie's");
	assert_int_equal(hand("SELECT count(*) FROM node_reports WHERE scheduling = 'b goes on'"),
			 1);
	MUST(store_node_leave(db, (struct owner){ 2, 2 }, &left, &err));
	assert_int_equal(count(1), 0);
	char text[] = "a";
	const struct report_text r = { a.node, 77, 1, text, text };
	MUST(store_report_put(db, &r, a.epoch, true, &err));
	assert_int_equal(hand("SELECT count(*) FROM node_reports"), 1);
}

static void ticks_are_added_up(void **state)
{
	const struct ticks_row one[] = { { "", 600, 5, 50, 100, 1 },
					 { "org-1", 600, 3, 30, 0, 0 },
					 { "", 602, 7, 0, 0, 0 },
					 { "org-2", 602, 7, 0, 0, 0 } };
	const struct ticks_row two[] = { { "", 600, 10, 1, 50, 2 },
					 { "org-1", 600, 10, 1, 50, 2 } };
	struct ticks_row *rows;
	size_t n;

	(void)state;
	MUST(store_ticks_add(db, 1, one, 4, 0, &err));
	MUST(store_ticks_add(db, 1, one, 4, 0, &err)); /* its answer was lost */
	MUST(store_ticks_add(db, 2, two, 2, 0, &err));
	MUST(store_ticks_read(db, "", 600, 1, &rows, &n, &err));
	assert_int_equal(n, 2);
	assert_true(rows[0].tick == 600 && rows[0].lines == 15 && rows[0].tokens == 51);
	assert_true(rows[0].first_ms == 150 && rows[0].firsts == 3);
	assert_true(rows[1].tick == 602 && rows[1].lines == 7);
	free(rows);
	MUST(store_ticks_read(db, "org-1", 600, 1, &rows, &n, &err));
	assert_int_equal(n, 2); /* in the second others did something: it was there */
	assert_true(rows[0].lines == 13 && rows[1].lines == 0);
	free(rows);
	MUST(store_ticks_read(db, "org-2", 0, 30, &rows, &n, &err));
	assert_int_equal(n, 1);
	assert_true(rows[0].tick == 20 && rows[0].lines == 7);
	free(rows);
	MUST(store_ticks_add(db, 2, two, 2, 601, &err));
	assert_int_equal(hand("SELECT count(*) FROM history_ticks"), 2); /* of 602 */
	hand("BEGIN");
	hand("DELETE FROM history_ticks WHERE org = 'org-2'"); /* as another node does at this time */
	MUST(store_ticks_add(db, 2, two, 2, 603, &err));
	hand("ROLLBACK");
	assert_int_equal(hand("SELECT count(*) FROM history_ticks"), 1);
	MUST(store_ticks_add(db, 2, two, 2, 603, &err)); /* whose organization did nothing since */
	assert_int_equal(hand("SELECT count(*) FROM history_ticks"), 0);
}

static void paces_of_each_node(void **state)
{
	struct pace_text of[] = { { "batch-1", 1000, 1, "1,2,3" }, { "batch-2", 1001, 2, "" } };
	struct pace_text *rows;
	size_t n;

	(void)state;
	MUST(store_paces_put(db, 1, of, 2, 0, &err));
	MUST(store_paces_put(db, 2, of, 1, 0, &err));
	snprintf(of[0].lines, sizeof(of[0].lines), "1,2,3,4");
	MUST(store_paces_put(db, 1, of, 1, 0, &err));
	MUST(store_paces_list(db, "batch-1", &rows, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].lines, "1,2,3,4");
	assert_string_equal(rows[1].lines, "1,2,3");
	assert_true(rows[1].begun == 1000 && rows[1].step_s == 1);
	free(rows);
	clock_forward_us(100 * PROTOCOL_S);
	MUST(store_paces_put(db, 1, of, 1, 99, &err));
	assert_int_equal(hand("SELECT count(*) FROM batch_paces"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CLUSTER(the_last_of_each_is_read),
		WITH_CLUSTER(a_node_whose_lease_is_over_says_nothing),
		WITH_CLUSTER(ticks_are_added_up),
		WITH_CLUSTER(paces_of_each_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
