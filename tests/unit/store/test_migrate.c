/* Opening a database: made when absent, left alone when it is not ours or too new. */
#include "store_test.h"

#define VERSION 20 /* of this program */

static void path_of(char ret[static PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/meta.db", dir);
}

static int scratch_setup(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	dir = scratch_dir_new();
	store = NULL;
	return 0;
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, teardown)

/* Runs `sql` on meta.db behind the store's back. */
static void by_hand(const char *sql)
{
	char path[PATH_MAX];
	sqlite3 *db;

	path_of(path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_new_database_is_made_and_found_again(void **state)
{
	struct org org;

	(void)state;
	MUST(store_open(dir, &store, &err));
	assert_int_equal(number_of("PRAGMA application_id"), 0x4c6f7754);
	assert_int_equal(number_of("PRAGMA user_version"), VERSION);
	MUST(store_org_create(store, "ours", NOW, &org, &err));
	reopen();
	FAILS(store_org_create(store, "ours", NOW, &org, &err), INVALID);
}

static void it_is_in_wal_mode_with_full_syncs_and_foreign_keys(void **state)
{
	(void)state;
	MUST(store_open(dir, &store, &err));
	assert_true(scratch_exists(dir, "meta.db-wal"));
	assert_int_equal(number_of("PRAGMA synchronous"), 2);
	assert_int_equal(number_of("PRAGMA foreign_keys"), 1);
}

static void the_directory_has_to_be_there(void **state)
{
	char path[PATH_MAX];

	(void)state;
	snprintf(path, sizeof(path), "%s/data", dir);
	FAILS(store_open(path, &store, &err), INTERNAL);
	assert_int_equal(err.sys, ENOENT);
}

static void it_is_for_the_owner_alone(void **state)
{
	static const char *const names[] = { "meta.db", "meta.db-wal", "meta.db-shm" };
	char path[PATH_MAX];
	struct stat st;

	(void)state;
	mode_t old = umask(0);
	MUST(store_open(dir, &store, &err));
	umask(old);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void a_newer_database_is_refused(void **state)
{
	(void)state;
	MUST(store_open(dir, &store, &err));
	store_close(store);
	store = NULL;
	char message[120], newest[60];
	snprintf(message, sizeof(message),
		 "meta.db has version 1000, made by a newer lowtide; this one knows versions up to "
		 "%d",
		 VERSION);
	snprintf(newest, sizeof(newest), "PRAGMA user_version = %d", VERSION);
	by_hand("PRAGMA user_version = 1000");
	FAILS(store_open(dir, &store, &err), INTERNAL);
	assert_string_equal(err.message, message);
	assert_null(store);
	by_hand(newest);
	MUST(store_open(dir, &store, &err));
}

static void somebody_elses_database_is_left_alone(void **state)
{
	struct stat before, after;
	char path[PATH_MAX];

	(void)state;
	by_hand("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
	path_of(path);
	assert_int_equal(stat(path, &before), 0);
	FAILS(store_open(dir, &store, &err), INTERNAL);
	assert_string_equal(err.message, "meta.db is not a database of lowtide");
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	assert_int_equal(before.st_size, after.st_size);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
	char path[PATH_MAX];

	(void)state;
	path_of(path);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 5000; i++)
		fprintf(f, "no database\n");
	fclose(f);
	FAILS(store_open(dir, &store, &err), INTERNAL);
	assert_int_equal(err.sqlite, SQLITE_NOTADB);
	assert_int_equal(err.sys, 0);
}

/* A migration that failed, or was cut off, has not begun. */
static void a_migration_is_all_or_nothing(void **state)
{
	struct sqlite_db db = { 0 };
	char path[PATH_MAX];

	(void)state;
	path_of(path);
	by_hand("PRAGMA journal_mode = WAL");
	assert_int_equal(sqlite3_open(path, &db.handle), SQLITE_OK);
	MUST(sqlite_exec(&db.base, "PRAGMA max_page_count = 4", &err));
	FAILS(sqlite_migrate(&db, &err), NO_SPACE);
	sqlite3_close(db.handle);
	MUST(store_open(dir, &store, &err));
	assert_int_equal(number_of("PRAGMA user_version"), VERSION);
}

/* ---- from earlier versions ---- */

/* The database as a program of version 1 left it: its tables, and rows in them. */
static void version_1_put(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = fopen(MIGRATIONS "/001_initial.sql", "r");

	assert_non_null(file);
	assert_true(getdelim(&text, &size, '\0', file) > 0);
	fclose(file);
	by_hand(text);
	free(text);
	by_hand("PRAGMA journal_mode = WAL; PRAGMA application_id = 0x4c6f7754;"
		"PRAGMA user_version = 1;"
		"INSERT INTO org (id, name, created_at) VALUES ('org-1', 'old', 5);"
		"INSERT INTO api_key VALUES ('key_1', 'org-1', 'hash', 'sk-1', 6, NULL);"
		"INSERT INTO file (id, org, purpose, bytes, created_at, deleted_at, sha256, filename)"
		" VALUES ('file-1', 'org-1', 'batch', 7, 6, NULL, '', ''),"
		" ('file-2', 'org-1', 'batch', 8, 6, NULL, '', ''),"
		" ('file-3', 'org-1', 'batch', 100, 6, 7, '', ''),"
		" ('file-4', 'org-1', 'batch_output', 1000, 6, NULL, '', '')");
}

static void version_1_gains_what_an_organization_has(void **state)
{
	struct file_use use;

	(void)state;
	version_1_put();
	MUST(store_open(dir, &store, &err));
	MUST(store_file_use(store, "org-1", NOW, &use, &err));
	assert_int_equal(use.files, 2);
	assert_int_equal(use.bytes, 15);
	MUST(store_file_delete(store, "org-1", "file-1", NOW, &err));
	MUST(store_file_use(store, "org-1", NOW, &use, &err));
	assert_int_equal(use.files, 1);
	assert_int_equal(use.bytes, 8);
}

static void version_1_gains_weights(void **state)
{
	struct org *orgs, org;
	struct key key;
	unsigned weight;
	size_t n;

	(void)state;
	version_1_put();
	MUST(store_open(dir, &store, &err));
	assert_int_equal(number_of("PRAGMA user_version"), VERSION);
	MUST(store_org_list(store, &orgs, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(orgs[0].name, "old");
	assert_int_equal(orgs[0].created_at, 5);
	assert_int_equal(orgs[0].weight, 1);
	assert_int_equal(orgs[0].keys, 1);
	free(orgs);
	MUST(store_key_find(store, "hash", &key, &err));
	assert_string_equal(key.org_name, "old");
	MUST(store_org_weigh(store, "old", 7, &err));
	reopen(); /* nothing is migrated twice */
	MUST(store_org_weight(store, "org-1", &weight, &err));
	assert_int_equal(weight, 7);
	MUST(store_org_create(store, "new", NOW, &org, &err));
	assert_int_equal(org.weight, 1);
}

/* Contract 10: what was made before lists kept the order of making has it from the rowid, whatever
 * created_at says. */
static void version_1_gains_an_order(void **state)
{
	struct file_query q = { .org = "org-1", .limit = 3, .now = NOW }; /* others are older */
	struct batch *batches;
	struct file *files;
	size_t n;
	bool more;

	(void)state;
	version_1_put();
	by_hand("INSERT INTO file (id, org, purpose, bytes, created_at, sha256, filename) VALUES"
		" ('file-z', 'org-1', 'batch', 1, 9, '', 'f'), ('file-a', 'org-1', 'batch', 1, 9, '', 'f'),"
		" ('file-m', 'org-1', 'batch', 1, 8, '', 'f');"
		"INSERT INTO batch (id, org, endpoint, input_file_id, input_missing, completion_window,"
		" output_expires_after_s, created_at, expires_at) VALUES"
		" ('batch_z', 'org-1', '/v1/chat/completions', 'file-z', 0, '24h', 0, 9, 10),"
		" ('batch_a', 'org-1', '/v1/chat/completions', 'file-z', 0, '24h', 0, 9, 10);"
		"INSERT INTO progress (batch) VALUES ('batch_z'), ('batch_a')");
	MUST(store_open(dir, &store, &err));
	MUST(store_file_list(store, &q, &files, &n, &more, &err));
	assert_int_equal(n, 3);
	assert_string_equal(files[0].id, "file-m");
	assert_string_equal(files[1].id, "file-a");
	assert_string_equal(files[2].id, "file-z");
	free(files);
	MUST(store_batch_list(store, &(struct batch_query){ .org = "org-1", .limit = 10 }, &batches,
			      &n, &more, &err));
	assert_int_equal(n, 2);
	assert_string_equal(batches[0].id, "batch_a");
	assert_string_equal(batches[1].id, "batch_z");
	batch_done(&batches[0]);
	batch_done(&batches[1]);
	free(batches);
}

static size_t listed(const struct batch_query *q)
{
	struct batch *batches;
	size_t n;
	bool more;

	MUST(store_batch_list(store, q, &batches, &n, &more, &err));
	for (size_t i = 0; i < n; i++)
		batch_done(&batches[i]);
	free(batches);
	return n;
}

/* Contract 11.3: what was made before there were filters is found by them; after a step back of
 * the clock, too. */
static void version_1_gains_filters(void **state)
{
	const struct batch_label label = { "job", "a\"b" };
	struct batch_query q = { .org = "org-1", .limit = 10 };

	(void)state;
	version_1_put();
	by_hand("INSERT INTO batch (id, org, endpoint, input_file_id, input_missing, completion_window,"
		" output_expires_after_s, metadata, created_at, expires_at) VALUES"
		" ('batch_1', 'org-1', '/v1', 'f', 0, '24h', 0, '{\"job\":\"a\\\"b\"}', 5, 10),"
		" ('batch_2', 'org-1', '/v1', 'f', 0, '24h', 0, NULL, 9, 10),"
		" ('batch_3', 'org-1', '/v1', 'f', 0, '24h', 0,"
		"  '{\"job\":\"x\",\"job\":\"a\\\"b\"}', 3, 10),"
		" ('batch_4', 'org-1', '/v1', 'f', 0, '24h', 0, '{\"job\":\"x\"}', 4, 10);"
		"INSERT INTO progress (batch) SELECT id FROM batch");
	MUST(store_open(dir, &store, &err));
	assert_int_equal(listed(&q), 4);
	q.created_after = 3;
	q.created_before = 9;
	assert_int_equal(listed(&q), 2);
	q.created_after = q.created_before = 0;
	q.labels = &label;
	q.label_count = 1;
	assert_int_equal(listed(&q), 2);
	q.statuses = 1u << BATCH_FAILED;
	assert_int_equal(listed(&q), 0);
}

/* D1: a database that was used before there were ids gets one, and a new one has none yet. */
static void a_used_database_gains_a_directory_id(void **state)
{
	struct store_directory d, again;
	bool found;

	(void)state;
	version_1_put();
	MUST(store_open(dir, &store, &err));
	MUST(store_directory_get(store, &d, &found, &err));
	assert_true(found);
	assert_int_equal(strlen(d.id), 32);
	assert_int_equal(d.turns, 0);
	reopen();
	MUST(store_directory_get(store, &again, &found, &err));
	assert_string_equal(d.id, again.id);
}

static void a_new_database_has_no_directory(void **state)
{
	struct store_directory d = { "0123456789abcdef0123456789abcdef", 7 }, back;
	int64_t newest;
	bool found;

	(void)state;
	MUST(store_open(dir, &store, &err));
	MUST(store_newest(store, &newest, &err));
	assert_int_equal(newest, 0);
	MUST(store_directory_get(store, &back, &found, &err));
	assert_false(found);
	MUST(store_directory_put(store, &d, NOW, &err));
	d.turns = 8;
	MUST(store_directory_put(store, &d, NOW + 1, &err));
	MUST(store_directory_get(store, &back, &found, &err));
	assert_true(found);
	assert_string_equal(back.id, d.id);
	assert_int_equal(back.turns, 8);
	MUST(store_newest(store, &newest, &err));
	assert_int_equal(newest, NOW + 1);
}

/* ---- many at once ---- */

static void child_open(void)
{
	struct org org;

	if (!store_open(dir, &store, &err) || !store_org_ensure(store, "same", NOW, &org, &err)) {
		fprintf(stderr, "%s (%s)\n", err.message, err.detail);
		_exit(1);
	}
	store_close(store);
}

static void processes_that_open_at_once_agree(void **state)
{
	pid_t pids[8];
	int status;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			child_open();
			_exit(0);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	MUST(store_open(dir, &store, &err));
	assert_int_equal(number_of("SELECT count(*) FROM org"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCRATCH(a_new_database_is_made_and_found_again),
		IN_SCRATCH(it_is_in_wal_mode_with_full_syncs_and_foreign_keys),
		IN_SCRATCH(the_directory_has_to_be_there),
		IN_SCRATCH(it_is_for_the_owner_alone),
		IN_SCRATCH(a_newer_database_is_refused),
		IN_SCRATCH(somebody_elses_database_is_left_alone),
		IN_SCRATCH(a_file_that_is_no_database_is_refused),
		IN_SCRATCH(a_migration_is_all_or_nothing),
		IN_SCRATCH(version_1_gains_weights),
		IN_SCRATCH(version_1_gains_an_order),
		IN_SCRATCH(version_1_gains_filters),
		IN_SCRATCH(a_used_database_gains_a_directory_id),
		IN_SCRATCH(a_new_database_has_no_directory),
		IN_SCRATCH(version_1_gains_what_an_organization_has),
		IN_SCRATCH(processes_that_open_at_once_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
