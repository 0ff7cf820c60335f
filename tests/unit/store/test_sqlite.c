/* Statements: each is served by an index; a row that makes no sense is an error. */
#include "base/buf.h"
#include "store_test.h"

/* Those that may read a whole table: a short one, or in an administrator's command. */
static bool may_scan(enum sql id)
{
	return id == SQL_org_list || id == SQL_key_list || id == SQL_key_count;
}

/* SQLite's plan for a statement, a line for each step. The caller's to free. */
static char *plan_of(enum sql id)
{
	struct buf plan = BUF(1 << 16);
	sqlite3_stmt *statement;
	char *explain;

	assert_true(asprintf(&explain, "EXPLAIN QUERY PLAN %s",
			     sqlite3_sql(sqlite_of(store->writer)->statements[id])) > 0);
	int code = sqlite3_prepare_v2(sqlite_of(store->writer)->handle, explain, -1, &statement,
				      NULL);
	while (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
		buf_printf(&plan, "%s\n", (const char *)sqlite3_column_text(statement, 3));
	sqlite3_finalize(statement);
	free(explain);
	assert_int_equal(code, SQLITE_OK);
	buf_char(&plan, '\0');
	return plan.p;
}

/* "SCAN pending" of the statement that makes those rows, one from the other: WITH RECURSIVE. */
static bool is_of_its_own(enum sql id, const char *step)
{
	char table[64], head[96];

	if (sscanf(step, "SCAN %63s", table) != 1)
		return false;
	snprintf(head, sizeof(head), "WITH RECURSIVE %s (", table);
	return strstr(sqlite3_sql(sqlite_of(store->writer)->statements[id]), head) != NULL;
}

/* "SCAN batch USING INDEX batch_open" reads just what is wanted; a bare SCAN, all there is. A
 * temporary B-tree sorts what an index should have had in order. */
static bool step_is_served(enum sql id, const char *step)
{
	if (strstr(step, "TEMP B-TREE") != NULL)
		return false;
	if (is_of_its_own(id, step))
		return true;
	return strncmp(step, "SCAN ", 5) != 0 || strcmp(step, "SCAN CONSTANT ROW") == 0 ||
	       (strstr(step, " INDEX ") != NULL && strstr(step, "autoindex") == NULL);
}

static void every_statement_is_served_by_an_index(void **state)
{
	(void)state;
	for (enum sql id = SQL_org_insert; id < SQL_COUNT; id++) {
		char *plan = plan_of(id), *rest = plan, *step;
		while ((step = strsep(&rest, "\n")) != NULL)
			if (!step_is_served(id, step) && !may_scan(id))
				fail_msg("%s: %s", sql_name(id), step);
		free(plan);
	}
}

/* The comment at the head of each file names the indexes; this keeps it honest. */
static void the_indexes_are_those_that_the_comment_names(void **state)
{
	(void)state;
	for (enum sql id = SQL_org_insert; id < SQL_COUNT; id++) {
		char *plan = plan_of(id), *rest = plan, *step, name[64];
		while ((step = strsep(&rest, "\n")) != NULL) {
			const char *index = strstr(step, " INDEX ");
			if (index == NULL || sscanf(index, " INDEX %63s", name) != 1 ||
			    strstr(name, "autoindex") != NULL || may_scan(id))
				continue;
			if (strstr(sqlite3_sql(sqlite_of(store->writer)->statements[id]), name) ==
			    NULL)
				fail_msg("%s: does not name %s", sql_name(id), name);
		}
		free(plan);
	}
}

static void readers_cannot_write(void **state)
{
	struct db *db = reader_borrow(store);

	(void)state;
	FAILS(sql_run(db, SQL_call_forget, VALUES(num(0)), NULL, &err), INTERNAL);
	reader_return(&db);
}

static void a_row_that_makes_no_sense_is_an_error(void **state)
{
	static const char *const damage[] = {
		"UPDATE file SET bytes = -1",
		"UPDATE file SET purpose = 'poetry'",
		"UPDATE file SET filename = printf('%.*c', 600, 'x')",
		"UPDATE file SET sha256 = 'a' || char(0) || 'b'",
	};
	struct file f = put_file(&ours, NOW), got, *page;
	struct file_query q = { .org = ours.id, .limit = 1, .now = NOW };
	size_t n;
	bool more;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
		MUST(db_exec(store->writer, damage[i], &err));
		FAILS(store_file_get(store, NULL, f.id, NOW, &got, &err), INTERNAL);
		assert_string_equal(err.detail,
				    "file_get: a column of its row holds what none can");
		FAILS(store_file_list(store, &q, &page, &n, &more, &err), INTERNAL);
		MUST(db_exec(store->writer, "DELETE FROM file", &err));
		f = put_file(&ours, NOW);
		MUST(store_file_get(store, NULL, f.id, NOW, &got, &err));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(every_statement_is_served_by_an_index),
		WITH_STORE(the_indexes_are_those_that_the_comment_names),
		WITH_STORE(readers_cannot_write),
		WITH_STORE(a_row_that_makes_no_sense_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
