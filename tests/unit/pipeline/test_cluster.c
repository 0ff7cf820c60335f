/* The connections of a node, which are the test's. */
#include "unit.h"

#include "pipeline/cluster_impl.h"

bool __wrap_node_db_open(const char *url, struct db **ret, struct error *err);
void __wrap_node_db_close(struct db *db);

static struct error err;
static char dbs[16]; /* a byte stands for each */
static unsigned opened, closed, most;

bool __wrap_node_db_open(const char *url, struct db **ret, struct error *e)
{
	(void)url;
	if (opened == most)
		return fail(e, ERR_UNAVAILABLE, "too many connections");
	*ret = (struct db *)(void *)&dbs[opened++];
	return true;
}

void __wrap_node_db_close(struct db *db)
{
	closed += db != NULL;
}

static const struct cluster_config config = { .url = "postgresql://" };

static int dbs_none(void **state)
{
	(void)state;
	opened = closed = 0;
	most = sizeof(dbs);
	return 0;
}

/* With all borrowed that works and views have, a view and a work, and the recorder, have theirs. */
static void each_has_its_own(void **state)
{
	struct cluster cl = { .config = &config };
	struct db *views[DBS_OF_VIEWS], *works[DBS_OF_WORKS];

	(void)state;
	assert_true(cluster_dbs_open(&cl, &err));
	for (unsigned i = 0; i < DBS_OF_VIEWS; i++)
		views[i] = cluster_view_db_borrow(&cl);
	for (unsigned i = 0; i < DBS_OF_WORKS; i++)
		works[i] = cluster_db_borrow(&cl);
	struct db *recorder = cluster_recorder_db(&cl);
	for (unsigned i = 0; i < DBS_OF_WORKS; i++) {
		assert_ptr_not_equal(works[i], recorder);
		for (unsigned j = 0; j < DBS_OF_VIEWS; j++)
			assert_true(views[j] != works[i] && views[j] != recorder);
	}
	cluster_db_return(&cl, works[2]);
	assert_ptr_equal(cluster_db_borrow(&cl), works[2]);
	for (unsigned i = 0; i < DBS_OF_WORKS; i++)
		cluster_db_return(&cl, works[i]);
	for (unsigned i = 0; i < DBS_OF_VIEWS; i++)
		cluster_view_db_return(&cl, views[i]);
	cluster_dbs_close(&cl);
	assert_int_equal(opened, DBS_OF_WORKS + DBS_OF_VIEWS + 1);
	assert_int_equal(closed, opened);
}

static void those_that_could_be_opened_are_closed(void **state)
{
	(void)state;
	for (most = 0; most < DBS_OF_WORKS + DBS_OF_VIEWS + 1; most++) {
		struct cluster cl = { .config = &config };
		opened = closed = 0;
		assert_false(cluster_dbs_open(&cl, &err));
		cluster_dbs_close(&cl);
		assert_int_equal(opened, most);
		assert_int_equal(closed, opened);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_has_its_own, dbs_none),
		cmocka_unit_test_setup(those_that_could_be_opened_are_closed, dbs_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
