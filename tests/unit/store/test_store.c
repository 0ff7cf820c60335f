/* The store as a whole: many threads, a kill at any moment, a full disk, a database held by
 * others. */
#include "store_test.h"

/* ---- readers and the writer ---- */

static void reads_do_not_wait_for_writes(void **state)
{
	struct file before = put_file(&ours, NOW), during = file_of(&ours, NOW), got;
	struct txn t = { 0 };

	(void)state;
	MUST(txn_begin(&t, store, &err));
	MUST(file_insert(t.db, &during, &err));
	MUST(store_file_get(store, ours.id, before.id, NOW, &got, &err));
	FAILS(store_file_get(store, ours.id, during.id, NOW, &got, &err), NOT_FOUND);
	MUST(txn_commit(&t, &err));
	txn_end(&t);
	MUST(store_file_get(store, ours.id, during.id, NOW, &got, &err));
}

static void what_is_not_committed_is_rolled_back(void **state)
{
	struct file f = file_of(&ours, NOW), got;
	struct txn t = { 0 };

	(void)state;
	MUST(txn_begin(&t, store, &err));
	MUST(file_insert(t.db, &f, &err));
	txn_end(&t);
	FAILS(store_file_get(store, ours.id, f.id, NOW, &got, &err), NOT_FOUND);
	put_file(&ours, NOW); /* the writer is free again */
}

/* More threads than readers, reading and writing all they can. */
static void *work(void *arg)
{
	struct error mine;
	(void)arg;

	for (int i = 0; i < 25; i++) {
		struct file f = file_of(&ours, NOW), got;
		struct file_query q = { .org = ours.id, .limit = 20, .now = NOW };
		struct file *files;
		char id[ID_SIZE];
		size_t n;
		bool more;
		if (!store_file_insert(store, &f, NULL, NULL, id, &mine) ||
		    !store_file_get(store, ours.id, f.id, NOW, &got, &mine) ||
		    !store_file_list(store, &q, &files, &n, &more, &mine))
			return arg;
		free(files);
		if (!store_file_delete(store, ours.id, f.id, NOW, &mine))
			return arg;
	}
	return NULL;
}

static void many_threads_share_a_store(void **state)
{
	pthread_t threads[16];
	void *failed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, store), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(number_of("SELECT count(*) FROM file"), 16 * 25);
}

/* ---- another process ---- */

static void a_database_held_too_long_is_unavailable(void **state)
{
	struct store *other;
	struct file f = file_of(&ours, NOW), got;
	struct txn t = { 0 };
	char id[ID_SIZE];

	(void)state;
	MUST(store_open(dir, &other, &err));
	MUST(txn_begin(&t, other, &err));
	store->write_wait_ms = 20;
	FAILS(store_file_insert(store, &f, NULL, NULL, id, &err), UNAVAILABLE);
	assert_int_equal(err.sqlite & 0xff, SQLITE_BUSY);
	FAILS(store_file_get(store, NULL, f.id, NOW, &got, &err), NOT_FOUND); /* reads go on */
	txn_end(&t);
	MUST(store_file_insert(store, &f, NULL, NULL, id, &err));
	store_close(other);
}

static void *insert_one(void *failed)
{
	struct file f = file_of(&ours, NOW);
	struct error mine;
	char id[ID_SIZE];

	(void)failed;
	bool ok = store_file_insert(store, &f, NULL, NULL, id, &mine);
	return !ok && mine.kind == ERR_UNAVAILABLE ? NULL : store;
}

/* E3: each waits as long as it waits, not as long as those before it do, one after another. */
static void many_that_wait_give_up_together(void **state)
{
	pthread_t threads[8];
	struct store *other;
	struct txn t = { 0 };
	void *failed;

	(void)state;
	MUST(store_open(dir, &other, &err));
	MUST(txn_begin(&t, other, &err));
	store->write_wait_ms = 300;
	uint64_t began_ms = sys.monotonic_ms();
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, insert_one, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_in_range(sys.monotonic_ms() - began_ms, 250, 1800); /* in turn: 2400 */
	txn_end(&t);
	store_close(other);
}

static pthread_barrier_t held;

static void *hold_shortly(void *other)
{
	struct txn t = { 0 };
	struct error mine;
	bool ok = txn_begin(&t, other, &mine);

	pthread_barrier_wait(&held);
	usleep(100000);
	txn_end(&t);
	return ok ? other : NULL;
}

static void a_database_held_shortly_is_waited_for(void **state)
{
	struct store *other;
	pthread_t thread;
	void *ok;

	(void)state;
	MUST(store_open(dir, &other, &err));
	pthread_barrier_init(&held, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, hold_shortly, other), 0);
	pthread_barrier_wait(&held);
	put_file(&ours, NOW);
	pthread_join(thread, &ok);
	assert_non_null(ok);
	pthread_barrier_destroy(&held);
	store_close(other);
}

/* ---- a kill ---- */

static int acknowledged[2]; /* a pipe: ids of files whose insert has returned */

static void *write_for_ever(void *arg)
{
	struct error mine;

	for (int i = 0;; i++) {
		struct file f = file_of(&ours, NOW);
		char id[ID_SIZE] = "";
		/* A fork inherits the random numbers that its parent has in stock. */
		snprintf(f.id, sizeof(f.id), "file-%d-%s-%d", (int)getpid(), (char *)arg, i);
		if (!store_file_insert(store, &f, NULL, NULL, id, &mine) ||
		    write(acknowledged[1], id, sizeof(id)) != sizeof(id))
			_exit(1);
	}
}

/* Several threads, so that commits are several threads' as well. */
static void write_until_killed(void)
{
	static char names[][2] = { "a", "b", "c", "d" };
	pthread_t thread;

	if (!store_open(dir, &store, &err))
		_exit(1);
	for (size_t i = 1; i < ARRAY_LEN(names); i++)
		if (pthread_create(&thread, NULL, write_for_ever, names[i]) != 0)
			_exit(1);
	write_for_ever(names[0]);
}

static void assert_stored(const char *id)
{
	struct file got;

	MUST(store_file_get(store, ours.id, id, NOW, &got, &err));
}

static void what_was_acknowledged_survives_a_kill(void **state)
{
	static const char damage[] = "SELECT count(*) FROM pragma_integrity_check "
				     "WHERE integrity_check <> 'ok'";
	char ids[64][ID_SIZE];
	int status;

	(void)state;
	for (int round = 0; round < 5; round++) {
		int n = 0, wanted = 1 + 7 * round;
		store_close(store); /* SQLite does not go through a fork */
		store = NULL;
		assert_int_equal(pipe(acknowledged), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			write_until_killed();
		close(acknowledged[1]);
		while (n < wanted && read(acknowledged[0], ids[n], ID_SIZE) == ID_SIZE)
			n++;
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(was_killed(status));
		while (n < (int)ARRAY_LEN(ids) && read(acknowledged[0], ids[n], ID_SIZE) == ID_SIZE)
			n++;
		close(acknowledged[0]);
		assert_true(n >= wanted);
		MUST(store_open(dir, &store, &err));
		for (int i = 0; i < n; i++)
			assert_stored(ids[i]);
		assert_int_equal(number_of(damage), 0);
	}
}

/* ---- a full disk ---- */

static void a_full_database_is_no_space_and_stays_usable(void **state)
{
	struct file f, got, first = put_file(&ours, NOW);
	char limit[64], id[ID_SIZE];
	int fitted = 0;

	(void)state;
	snprintf(limit, sizeof(limit), "PRAGMA max_page_count = %d",
		 (int)number_of("PRAGMA page_count") + 3);
	MUST(db_exec(store->writer, limit, &err));
	for (;; fitted++) {
		f = file_of(&ours, NOW);
		if (!store_file_insert(store, &f, NULL, NULL, id, &err))
			break;
		assert_true(fitted < 1000);
	}
	assert_int_equal(err.kind, ERR_NO_SPACE);
	assert_int_equal(err.sqlite, SQLITE_FULL);
	assert_int_equal(err.sys, ENOSPC);
	assert_string_equal(err.message,
			    "The server's disk is full; nothing was stored. Try again later.");
	FAILS(store_file_get(store, ours.id, f.id, NOW, &got, &err), NOT_FOUND);
	MUST(store_file_get(store, ours.id, first.id, NOW, &got, &err));
	MUST(store_file_delete(store, ours.id, first.id, NOW, &err)); /* needs no more room */
	MUST(db_exec(store->writer, "PRAGMA max_page_count = 1000000", &err));
	MUST(store_file_insert(store, &f, NULL, NULL, id, &err));
}

/* SQLite's own table of system calls: the n-th write fails. */
static struct {
	ssize_t (*real)(int, const void *, size_t, off_t);
	int calls_left, error;
	bool fired;
} write_fault;

static ssize_t faulty_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (--write_fault.calls_left != 0)
		return write_fault.real(fd, p, n, at);
	write_fault.fired = true;
	(void)!write_fault.real(fd, p, n / 2, at);
	errno = write_fault.error;
	return -1;
}

static void set_pwrite(sqlite3_syscall_ptr call)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	vfs->xSetSystemCall(vfs, "pwrite", call); /* whichever it was built with */
	vfs->xSetSystemCall(vfs, "pwrite64", call);
}

static void fail_nth_write(int nth, int error)
{
	write_fault.real = pwrite;
	write_fault.calls_left = nth;
	write_fault.error = error;
	write_fault.fired = false;
	set_pwrite((sqlite3_syscall_ptr)faulty_pwrite);
}

static void each_write_fails(int error, enum error_kind expected)
{
	bool fired = true;
	int failures = 0;

	for (int nth = 1; fired; nth++) {
		struct batch b = put_batch(&ours, NOW);
		struct file output = file_of(&ours, NOW), got;
		bool moved = false;
		MUST(store_batch_start(store, b.id, 1, 1, "m", "o", "e", NOW, &moved, &err));
		fail_nth_write(nth, error);
		bool ok = store_batch_finish(store, b.id, BATCH_EXPIRED,
					     &(struct merge_state){ .segments = 1 }, &output, NULL,
					     NULL, NOW, &moved, &err);
		fired = write_fault.fired;
		set_pwrite(NULL);
		if (!ok) {
			failures++;
			assert_int_equal(err.kind, expected);
			assert_int_equal(status_of(b.id), BATCH_IN_PROGRESS);
			FAILS(store_file_get(store, NULL, output.id, NOW, &got, &err), NOT_FOUND);
			MUST(store_batch_finish(store, b.id, BATCH_EXPIRED,
						&(struct merge_state){ .segments = 1 }, &output,
						NULL, NULL, NOW, &moved, &err));
		}
		assert_int_equal(status_of(b.id), BATCH_EXPIRED);
		MUST(store_file_get(store, NULL, output.id, NOW, &got, &err));
	}
	assert_true(failures > 1);
}

static void a_disk_that_fills_up_at_any_write_changes_nothing(void **state)
{
	(void)state;
	each_write_fails(ENOSPC, ERR_NO_SPACE);
}

static void a_spent_quota_is_a_full_disk(void **state)
{
	(void)state;
	each_write_fails(EDQUOT, ERR_NO_SPACE);
}

static void a_failing_disk_at_any_write_changes_nothing(void **state)
{
	(void)state;
	each_write_fails(EIO, ERR_INTERNAL);
}

#ifdef LOWTIDE_FAILPOINTS

static void a_commit_can_be_made_to_fail(void **state)
{
	struct file f = file_of(&ours, NOW), got;
	char entry[PATH_MAX + 32], flag[PATH_MAX], id[ID_SIZE];

	(void)state;
	snprintf(flag, sizeof(flag), "%s/full", dir);
	snprintf(entry, sizeof(entry), "store.commit=enospc:%s", flag);
	setenv("LOWTIDE_FAILPOINTS", entry, 1);
	failpoints_init();
	FILE *made = fopen(flag, "w");
	assert_non_null(made);
	fclose(made);
	FAILS(store_file_insert(store, &f, NULL, NULL, id, &err), NO_SPACE);
	FAILS(store_file_get(store, NULL, f.id, NOW, &got, &err), NOT_FOUND);
	unlink(flag);
	MUST(store_file_insert(store, &f, NULL, NULL, id, &err));
	unsetenv("LOWTIDE_FAILPOINTS");
	failpoints_init();
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(reads_do_not_wait_for_writes),
		WITH_STORE(what_is_not_committed_is_rolled_back),
		WITH_STORE(many_threads_share_a_store),
		WITH_STORE(a_database_held_too_long_is_unavailable),
		WITH_STORE(many_that_wait_give_up_together),
		WITH_STORE(a_database_held_shortly_is_waited_for),
		WITH_STORE(what_was_acknowledged_survives_a_kill),
		WITH_STORE(a_full_database_is_no_space_and_stays_usable),
		WITH_STORE(a_disk_that_fills_up_at_any_write_changes_nothing),
		WITH_STORE(a_spent_quota_is_a_full_disk),
		WITH_STORE(a_failing_disk_at_any_write_changes_nothing),
#ifdef LOWTIDE_FAILPOINTS
		WITH_STORE(a_commit_can_be_made_to_fail),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
