/* Changes of several threads in one commit: what one of them does to the others, and when they are
 * told and seen. */
#include "store_test.h"

/* A thread that makes a change as soon as it is its turn. */
struct helper {
	pthread_t thread;
	struct file file; /* that it inserts */
	const struct file_quota *quota;
	bool inserted, done;
	struct error err;
};

static void *helper_main(void *arg)
{
	struct helper *h = arg;
	char id[ID_SIZE];

	h->inserted = store_file_insert(store, &h->file, h->quota, NULL, id, &h->err);
	__atomic_store_n(&h->done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static bool is_done(const struct helper *h)
{
	return __atomic_load_n(&h->done, __ATOMIC_SEQ_CST);
}

static unsigned asked(void)
{
	pthread_mutex_lock(&store->turn_lock);
	unsigned n = store->turns_asked;
	pthread_mutex_unlock(&store->turn_lock);
	return n;
}

/* Starts it while another has the turn: returns once it waits. */
static void helper_start(struct helper *h, const struct file_quota *quota)
{
	unsigned before = asked();

	*h = (struct helper){ .file = file_of(&ours, NOW), .quota = quota };
	assert_int_equal(pthread_create(&h->thread, NULL, helper_main, h), 0);
	while (asked() == before)
		usleep(100);
}

static void helper_end(struct helper *h)
{
	pthread_join(h->thread, NULL);
}

static bool is_there(const char *id)
{
	struct file got;

	return store_file_get(store, NULL, id, NOW, &got, &err);
}

/* ---- together ---- */

static unsigned commits; /* each is a sync: PRAGMA synchronous = FULL */

static int on_commit(void *ctx)
{
	(void)ctx;
	commits++;
	return 0;
}

static void what_waits_is_committed_together(void **state)
{
	struct helper helpers[8];
	struct file first = file_of(&ours, NOW);
	struct txn t = { 0 };

	(void)state;
	MUST(txn_begin(&t, store, &err));
	MUST(file_insert(t.db, &first, &err));
	for (size_t i = 0; i < ARRAY_LEN(helpers); i++)
		helper_start(&helpers[i], NULL);
	sqlite3_commit_hook(sqlite_of(store->writer)->handle, on_commit, NULL);
	MUST(txn_commit(&t, &err));
	for (size_t i = 0; i < ARRAY_LEN(helpers); i++)
		helper_end(&helpers[i]);
	assert_true(is_there(first.id));
	for (size_t i = 0; i < ARRAY_LEN(helpers); i++)
		assert_true(helpers[i].inserted && is_there(helpers[i].file.id));
	assert_int_equal(commits, 1);
}

/* ---- one thing goes wrong ---- */

/* `h` waits for its turn, and the first to change something commits: `h` is of its group. */
static bool commit_with(struct helper *h, const struct file_quota *quota, struct file *ret)
{
	struct txn t = { 0 };

	*ret = file_of(&ours, NOW);
	MUST(txn_begin(&t, store, &err));
	MUST(file_insert(t.db, ret, &err));
	helper_start(h, quota);
	bool ok = txn_commit(&t, &err);
	helper_end(h);
	return ok;
}

static void one_that_fails_is_rolled_back_alone(void **state)
{
	const struct file_quota none = { .files_max = 1, .bytes_max = 1 };
	struct helper h;
	struct file first;

	(void)state;
	MUST(commit_with(&h, &none, &first));
	assert_false(h.inserted);
	assert_int_equal(h.err.kind, ERR_INVALID);
	assert_true(is_there(first.id));
	assert_false(is_there(h.file.id));
	put_file(&ours, NOW); /* the writer is free */
}

/* The first is rolled back while another waits: that one begins anew. */
static void one_that_ends_without_a_commit_leaves_the_turn(void **state)
{
	struct file first = file_of(&ours, NOW);
	struct txn t = { 0 };
	struct helper h;

	(void)state;
	MUST(txn_begin(&t, store, &err));
	MUST(file_insert(t.db, &first, &err));
	helper_start(&h, NULL);
	txn_end(&t);
	helper_end(&h);
	assert_true(h.inserted && is_there(h.file.id));
	assert_false(is_there(first.id));
}

static bool fails;

static ssize_t failing_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (!fails)
		return pwrite(fd, p, n, at);
	errno = ENOSPC;
	return -1;
}

static void pwrite_set(sqlite3_syscall_ptr call)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	vfs->xSetSystemCall(vfs, "pwrite", call);
	vfs->xSetSystemCall(vfs, "pwrite64", call);
}

static void a_commit_that_fails_fails_all(void **state)
{
	struct helper h;
	struct file first;

	(void)state;
	pwrite_set((sqlite3_syscall_ptr)failing_pwrite);
	fails = true;
	FAILS(commit_with(&h, NULL, &first), NO_SPACE);
	fails = false;
	pwrite_set(NULL);
	assert_false(h.inserted);
	assert_int_equal(h.err.kind, ERR_NO_SPACE);
	assert_false(is_there(first.id) || is_there(h.file.id));
	MUST(commit_with(&h, NULL, &first));
	assert_true(h.inserted && is_there(first.id) && is_there(h.file.id));
}

/* However SQLite takes it: who is told that its change was made finds it, and nobody else. */
static void a_full_database_tells_each_what_became_of_it(void **state)
{
	char limit[64];
	unsigned failed = 0;

	(void)state;
	snprintf(limit, sizeof(limit), "PRAGMA max_page_count = %d",
		 (int)number_of("PRAGMA page_count") + 2);
	MUST(db_exec(store->writer, limit, &err));
	for (unsigned i = 0; i < 200 && failed < 4; i++) {
		struct file first = file_of(&ours, NOW);
		struct txn t = { 0 };
		struct helper h;
		MUST(txn_begin(&t, store, &err));
		bool ok = file_insert(t.db, &first, &err);
		helper_start(&h, NULL);
		ok = ok && txn_commit(&t, &err);
		txn_end(&t);
		helper_end(&h);
		assert_int_equal(ok, is_there(first.id));
		assert_int_equal(h.inserted, is_there(h.file.id));
		failed += !ok + !h.inserted;
		assert_true(h.inserted || h.err.kind == ERR_NO_SPACE);
	}
	assert_true(failed > 0);
	MUST(db_exec(store->writer, "PRAGMA max_page_count = 1000000", &err));
	put_file(&ours, NOW);
}

/* ---- who sees what, and when ---- */

static void *commit_main(void *arg)
{
	struct helper *h = arg;
	struct txn t = { 0 };

	h->inserted = txn_begin(&t, store, &h->err) && file_insert(t.db, &h->file, &h->err);
	while (asked() == 0) /* until the test's own transaction is to be of this group */
		usleep(100);
	h->inserted = h->inserted && txn_commit(&t, &h->err);
	__atomic_store_n(&h->done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Until a thread has begun. */
static void writer_wait(void)
{
	bool writing = false;

	while (!writing) {
		usleep(100);
		pthread_mutex_lock(&store->turn_lock);
		writing = store->writing;
		pthread_mutex_unlock(&store->turn_lock);
	}
}

/* A change is neither acknowledged nor seen before the commit; the group's next one sees it, and what
 * it does with that waits for it. */
static void nothing_is_told_or_seen_before_the_commit(void **state)
{
	struct helper h = { .file = file_of(&ours, NOW) };
	struct txn t = { 0 };
	struct file got;
	bool found;

	(void)state;
	assert_int_equal(pthread_create(&h.thread, NULL, commit_main, &h), 0);
	writer_wait();
	MUST(txn_begin(&t, store, &err));
	MUST(file_find(t.db, NULL, h.file.id, NOW, &got, &found, &err));
	assert_true(found);
	usleep(20000);
	assert_false(is_done(&h));
	assert_false(is_there(h.file.id));
	MUST(txn_undo(&t, &err)); /* changes nothing, and says that what it read is durable */
	assert_true(is_there(h.file.id));
	helper_end(&h);
	assert_true(h.inserted);
}

static void what_was_read_of_a_group_that_fails_is_not_so(void **state)
{
	struct helper h = { .file = file_of(&ours, NOW) };
	struct txn t = { 0 };
	struct file got;
	bool found;

	(void)state;
	assert_int_equal(pthread_create(&h.thread, NULL, commit_main, &h), 0);
	writer_wait();
	MUST(txn_begin(&t, store, &err));
	MUST(file_find(t.db, NULL, h.file.id, NOW, &got, &found, &err));
	assert_true(found);
	pwrite_set((sqlite3_syscall_ptr)failing_pwrite);
	fails = true;
	FAILS(txn_undo(&t, &err), NO_SPACE);
	fails = false;
	pwrite_set(NULL);
	helper_end(&h);
	assert_false(h.inserted || is_there(h.file.id));
}

/* ---- who watches ---- */

static struct batch told[8];
static unsigned told_n;

static bool on_wanted(void *ctx)
{
	(void)ctx;
	return true;
}

static void on_moved(void *ctx, struct batch *row)
{
	(void)ctx;
	assert_non_null(row);
	assert_true(told_n < ARRAY_LEN(told));
	told[told_n++] = *row;
}

struct mover {
	char id[ID_SIZE];
	bool moved;
	struct error err;
};

static void *mover_main(void *arg)
{
	struct mover *m = arg;

	if (!store_batch_move(store, m->id, 1u << BATCH_VALIDATING, BATCH_FAILED, NOW, &m->moved,
			      &m->err))
		m->moved = false;
	return NULL;
}

/* In the order of their numbers, each batch as it is in the end. */
static void a_group_is_told_in_the_order_of_its_changes(void **state)
{
	const struct batch_watch watch = { on_wanted, on_moved, NULL };
	struct batch a = put_batch(&ours, NOW), b = put_batch(&ours, NOW);
	struct mover other = { 0 }, same = { 0 };
	pthread_t threads[2];
	struct txn t = { 0 };

	(void)state;
	memcpy(other.id, b.id, ID_SIZE);
	memcpy(same.id, a.id, ID_SIZE);
	store_watch(store, &watch);
	MUST(txn_begin(&t, store, &err));
	txn_tell(&t, a.id, batch_tell);
	assert_int_equal(pthread_create(&threads[0], NULL, mover_main, &other), 0);
	while (asked() < 1)
		usleep(100);
	assert_int_equal(pthread_create(&threads[1], NULL, mover_main, &same), 0);
	while (asked() < 2)
		usleep(100);
	MUST(txn_commit(&t, &err));
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_true(other.moved && same.moved);
	assert_int_equal(told_n, 2);
	assert_true(told[0].changed < told[1].changed);
	for (unsigned i = 0; i < told_n; i++) {
		assert_int_equal(told[i].status, BATCH_FAILED);
		batch_done(&told[i]);
	}
	store_watch(store, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(what_waits_is_committed_together),
		WITH_STORE(one_that_fails_is_rolled_back_alone),
		WITH_STORE(one_that_ends_without_a_commit_leaves_the_turn),
		WITH_STORE(a_commit_that_fails_fails_all),
		WITH_STORE(a_full_database_tells_each_what_became_of_it),
		WITH_STORE(nothing_is_told_or_seen_before_the_commit),
		WITH_STORE(what_was_read_of_a_group_that_fails_is_not_so),
		WITH_STORE(a_group_is_told_in_the_order_of_its_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
