/* Making and locking a data directory, and telling whose database stands in it. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#include "base/log.h"
#include "cli/data_dir.h"

static char *scratch;
static char dir[PATH_MAX];

static int scratch_make(void **state)
{
	(void)state;
	scratch = scratch_dir_new();
	snprintf(dir, sizeof(dir), "%s/data", scratch);
	return 0;
}

static int scratch_drop(void **state)
{
	(void)state;
	scratch_dir_remove(scratch);
	return 0;
}

static void it_is_made_for_nobody_else(void **state)
{
	struct error err;
	struct stat st;

	(void)state;
	assert_true(data_dir_make(dir, &err));
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_true(data_dir_make(dir, &err)); /* it is there: fine */
}

static void what_cannot_be_one_is_named(void **state)
{
	char file[2 * PATH_MAX];
	struct error err;

	(void)state;
	snprintf(file, sizeof(file), "%s/file", scratch);
	close(open(file, O_WRONLY | O_CREAT, 0600));
	assert_false(data_dir_make(file, &err));
	assert_int_equal(err.sys, ENOTDIR);
	assert_non_null(strstr(err.detail, file));
	snprintf(file, sizeof(file), "%s/no/such", scratch);
	assert_false(data_dir_make(file, &err));
	assert_int_equal(err.sys, ENOENT);
}

/* flock belongs to the open file, so a second open of this process is like another process. */
static void one_holds_the_lock(void **state)
{
	struct error err;
	int fd, second, status;
	char pid[32];

	(void)state;
	assert_true(data_dir_make(dir, &err));
	assert_true(data_dir_lock(dir, &fd, &err));
	assert_false(data_dir_lock(dir, &second, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	snprintf(pid, sizeof(pid), "process %d;", (int)getpid());
	assert_non_null(strstr(err.message, dir));
	assert_non_null(strstr(err.message, pid));
	close(fd);

	pid_t child = fork(); /* a holder that is killed lets go */
	if (child == 0)
		_exit(data_dir_lock(dir, &fd, &err) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(data_dir_lock(dir, &fd, &err));
	close(fd);
}

/* D8: the name of a new directory is synced, which is a sync of its parent. */
static struct stat synced[8];
static int synced_n;

static int note_sync(int fd)
{
	assert_true(synced_n < (int)ARRAY_LEN(synced));
	assert_int_equal(fstat(fd, &synced[synced_n++]), 0);
	return 0;
}

static void its_parent_is_synced(void **state)
{
	const struct sys real = sys;
	char path[2 * PATH_MAX];
	struct stat parent;
	struct error err;

	(void)state;
	snprintf(path, sizeof(path), "%s/new", scratch);
	assert_int_equal(stat(scratch, &parent), 0);
	for (int n = 1; n <= 2; n++) { /* also where a crash has come before the sync */
		sys.fsync = note_sync;
		bool made = data_dir_make(path, &err);
		sys = real;
		assert_true(made);
		assert_int_equal(synced_n, n);
		assert_int_equal(synced[n - 1].st_ino, parent.st_ino);
	}
	snprintf(path, sizeof(path), "%s/another", scratch);
	sys_fail_nth(1, EIO);
	assert_false(data_dir_make(path, &err));
	assert_true(sys_restore());
}

/* ---- whose database (D1) ---- */

static struct store *store;

static int home_make(void **state)
{
	char path[2 * PATH_MAX];

	(void)state;
	log_set_level(LOG_OFF);
	scratch_make(state);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/files", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	store = NULL;
	return 0;
}

static int home_drop(void **state)
{
	store_close(store);
	return scratch_drop(state);
}

static void blob_put(void)
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/files/file-a.jsonl", dir);
	close(open(path, O_WRONLY | O_CREAT, 0600));
}

static void file_remove(const char *name)
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_true(unlink(path) == 0 || errno == ENOENT);
}

/* A start, as far as the directory is concerned. */
static bool join(bool adopt, struct error *err)
{
	store_close(store);
	store = NULL;
	if (!data_dir_check(dir, adopt, err))
		return false;
	if (!store_open(dir, &store, err))
		fail_msg("%s (%s)", err->message, err->detail);
	return data_dir_join(dir, store, adopt, err);
}

static void must_join(bool adopt)
{
	struct error err;

	if (!join(adopt, &err))
		fail_msg("%s (%s)", err.message, err.detail);
}

static void refuses(const char *why)
{
	struct error err;

	assert_false(join(false, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	if (strstr(err.message, why) == NULL || strstr(err.message, "--adopt") == NULL)
		fail_msg("'%s' does not say '%s'", err.message, why);
}

static void database_remove(void)
{
	store_close(store);
	store = NULL;
	file_remove("meta.db");
	file_remove("meta.db-wal");
	file_remove("meta.db-shm");
}

static struct store_directory row_now(void)
{
	struct store_directory d;
	struct error err;
	bool found;

	assert_true(store_directory_get(store, &d, &found, &err));
	assert_true(found);
	return d;
}

static void row_set(const char *id, uint64_t turns)
{
	struct store_directory d = { .turns = turns };
	struct error err;

	snprintf(d.id, sizeof(d.id), "%s", id);
	assert_true(store_directory_put(store, &d, 1, &err));
}

static void the_two_know_each_other(void **state)
{
	struct error err;

	(void)state;
	must_join(false);
	struct store_directory first = row_now();
	blob_put();
	must_join(false);
	assert_true(data_dir_leave(dir, store, &err));
	must_join(false);
	assert_string_equal(row_now().id, first.id);
	assert_int_equal(row_now().turns, first.turns + 3);
}

static void a_database_that_is_not_theirs_is_refused(void **state)
{
	(void)state;
	must_join(false);
	blob_put();
	struct store_directory d = row_now();
	database_remove();
	refuses("is missing");
	must_join(true); /* adopted: and from now on it is theirs */
	assert_string_not_equal(row_now().id, d.id);
	must_join(false);
	d = row_now();
	row_set(d.id, d.turns - 1);
	refuses("is older than they are");
	must_join(true);
	assert_int_equal(row_now().turns, d.turns + 1);
	row_set("0123456789abcdef0123456789abcdef", 100);
	refuses("is of another data directory");
	must_join(true);
	assert_int_equal(row_now().turns, 101);
	must_join(false);
	file_remove("lowtide.id");
	refuses("lowtide.id");
	must_join(true);
	must_join(false);
}

static void where_there_are_no_files_any_database_will_do(void **state)
{
	(void)state;
	must_join(false);
	database_remove();
	must_join(false);
	row_set("0123456789abcdef0123456789abcdef", 3);
	must_join(false);
	file_remove("lowtide.id");
	must_join(false);
}

/* A file of before there were ids, or a first start that was cut short: they belong together. */
static void a_row_that_was_never_counted_belongs_here(void **state)
{
	(void)state;
	must_join(false);
	blob_put();
	row_set("0123456789abcdef0123456789abcdef", 0);
	file_remove("lowtide.id");
	must_join(false);
	assert_string_equal(row_now().id, "0123456789abcdef0123456789abcdef");
	file_remove("lowtide.id");
	row_set("0123456789abcdef0123456789abcdef", 0);
	must_join(false);
	must_join(false);
}

/* Wherever a start or a stop fails, the next start goes on. */
static void any_single_fault_is_healed_by_the_next_start(void **state)
{
	bool fired = true;

	for (int nth = 1; fired; nth++) {
		struct error err;
		home_make(state);
		must_join(false);
		blob_put();
		database_remove();
		must_join(true);
		file_remove("lowtide.id");
		row_set(row_now().id, 0);
		sys_fail_nth(nth, EIO);
		bool ok = data_dir_join(dir, store, false, &err) &&
			  data_dir_leave(dir, store, &err);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
		must_join(false);
		home_drop(state);
	}
}

/* ---- nodes, each with a directory of its own, and one database ---- */

#define NODES 4

static char homes[NODES][2 * PATH_MAX];

static void nodes_make(void)
{
	struct error err;

	if (!store_open(dir, &store, &err))
		fail_msg("%s (%s)", err.message, err.detail);
	for (int i = 0; i < NODES; i++) {
		snprintf(homes[i], sizeof(homes[i]), "%s/node-%d", scratch, i);
		assert_int_equal(mkdir(homes[i], 0700), 0);
	}
}

static void id_of(const char *home, char ret[static 33], unsigned long long *turns)
{
	char path[3 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/lowtide.id", home);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "lowtide data directory id %32s turns %llu", ret, turns), 2);
	fclose(file);
}

static void *node_start(void *home)
{
	struct store *own;
	struct error err;

	if (!store_open(dir, &own, &err))
		return home;
	bool ok = data_dir_share(home, own, false, &err);
	store_close(own);
	return ok ? NULL : home;
}

static void nodes_that_start_at_one_time_share_an_id(void **state)
{
	unsigned long long turns, sum = 0;
	pthread_t threads[NODES];
	void *bad;
	char id[33];

	(void)state;
	nodes_make();
	for (int i = 0; i < NODES; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, node_start, homes[i]), 0);
	for (int i = 0; i < NODES; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	for (int i = 0; i < NODES; i++) {
		id_of(homes[i], id, &turns);
		assert_string_equal(id, row_now().id);
		sum += turns;
	}
	assert_int_equal(sum, 1 + 2 + 3 + 4); /* none was counted twice */
	assert_int_equal(row_now().turns, NODES);
}

static void node_refuses(const char *home, const char *why)
{
	struct error err;

	assert_false(data_dir_share(home, store, false, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	if (strstr(err.message, why) == NULL || strstr(err.message, "--adopt") == NULL)
		fail_msg("'%s' does not say '%s'", err.message, why);
}

static void must_share(const char *home, bool adopt)
{
	struct error err;

	if (!data_dir_share(home, store, adopt, &err))
		fail_msg("%s (%s)", err.message, err.detail);
}

static void a_directory_of_another_database_is_no_nodes(void **state)
{
	struct error err;
	struct store_directory d;

	(void)state;
	nodes_make();
	for (int i = 0; i < 3; i++) /* in turn, starts and stops */
		for (int k = 0; k < 2; k++) {
			must_share(homes[k], false);
			assert_true(data_dir_share_end(homes[k], store, &err));
		}
	d = row_now();
	assert_int_equal(d.turns, 12);
	row_set(d.id, 10); /* homes[1] has seen 12, homes[0] 10 */
	node_refuses(homes[1], "is older than they are");
	must_share(homes[0], false);
	row_set("0123456789abcdef0123456789abcdef", 100);
	node_refuses(homes[0], "is of another data directory");
	must_share(homes[2], false); /* a new one is fine */
	must_share(homes[0], true);
	must_share(homes[0], false);
	assert_int_equal(row_now().turns, 103);
	database_remove();
	if (!store_open(dir, &store, &err))
		fail_msg("%s (%s)", err.message, err.detail);
	node_refuses(homes[2], "is new");
}

static void files_without_an_id_are_no_nodes(void **state)
{
	(void)state;
	nodes_make();
	blob_put();
	node_refuses(dir, "beside files");
	must_share(dir, true);
	must_share(dir, false);
	must_join(false); /* and a server alone goes on there */
	must_share(dir, false);
}

static void a_node_starts_after_any_single_fault(void **state)
{
	bool fired = true;

	for (int nth = 1; fired; nth++) {
		struct error err;
		home_make(state);
		nodes_make();
		sys_fail_nth(nth, EIO);
		bool ok = data_dir_share(homes[0], store, false, &err) &&
			  data_dir_share_end(homes[0], store, &err);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
		must_share(homes[0], false);
		must_share(homes[1], false);
		home_drop(state);
	}
}

#define AT_HOME(test) cmocka_unit_test_setup_teardown(test, home_make, home_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_made_for_nobody_else),
		cmocka_unit_test(what_cannot_be_one_is_named),
		cmocka_unit_test(one_holds_the_lock),
		cmocka_unit_test(its_parent_is_synced),
	};

	const struct CMUnitTest at_home[] = {
		AT_HOME(the_two_know_each_other),
		AT_HOME(a_database_that_is_not_theirs_is_refused),
		AT_HOME(where_there_are_no_files_any_database_will_do),
		AT_HOME(a_row_that_was_never_counted_belongs_here),
		cmocka_unit_test(any_single_fault_is_healed_by_the_next_start),
		AT_HOME(nodes_that_start_at_one_time_share_an_id),
		AT_HOME(a_directory_of_another_database_is_no_nodes),
		AT_HOME(files_without_an_id_are_no_nodes),
		cmocka_unit_test(a_node_starts_after_any_single_fault),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_drop) +
	       cmocka_run_group_tests(at_home, NULL, NULL);
}
