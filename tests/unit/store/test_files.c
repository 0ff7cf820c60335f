/* Files: who sees them and how long, the quota, paging, and when their blobs may go. */
#include "store_test.h"

static void assert_not_there(const char *org, const char *id, int64_t now)
{
	struct file f;

	FAILS(store_file_get(store, org, id, now, &f, &err), NOT_FOUND);
	assert_string_equal(err.param, "id");
}

static void put_expiring(struct file *f, int64_t expires_at)
{
	char id[ID_SIZE];

	*f = file_of(&ours, NOW);
	f->expires_at = expires_at;
	MUST(store_file_insert(store, f, NULL, NULL, id, &err));
}

/* ---- one file ---- */

static void a_file_reads_back_whole(void **state)
{
	struct file put = file_of(&ours, NOW), got;
	char id[ID_SIZE];

	(void)state;
	put.purpose = PURPOSE_BATCH_OUTPUT;
	put.bytes = UINT64_C(1) << 40;
	put.expires_at = NOW + 3600;
	memset(put.filename, 0, sizeof(put.filename));
	memset(put.filename, 'n', sizeof(put.filename) - 1); /* the longest name there is */
	memcpy(put.filename, "Ä\"'\\%", 6);
	MUST(store_file_insert(store, &put, NULL, NULL, id, &err));
	memset(&got, 0, sizeof(got));
	MUST(store_file_get(store, ours.id, put.id, NOW, &got, &err));
	assert_memory_equal(&got, &put, sizeof(put));
}

static void others_files_are_not_found(void **state)
{
	struct file f = put_file(&ours, NOW), got;

	(void)state;
	assert_not_there(theirs.id, f.id, NOW);
	FAILS(store_file_delete(store, theirs.id, f.id, NOW, &err), NOT_FOUND);
	MUST(store_file_get(store, NULL, f.id, NOW, &got, &err));
	assert_string_equal(got.org, ours.id);
}

static void unknown_ids_are_not_found_however_odd(void **state)
{
	char longest[5000];

	(void)state;
	memset(longest, 'f', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_not_there(ours.id, "", NOW);
	assert_not_there(ours.id, "file-' OR 1=1 --", NOW);
	assert_not_there(ours.id, "\xff\xfe", NOW);
	assert_not_there(ours.id, longest, NOW);
}

static void a_deleted_file_is_gone_at_once(void **state)
{
	struct file f = put_file(&ours, NOW);

	(void)state;
	MUST(store_file_delete(store, ours.id, f.id, NOW, &err));
	assert_not_there(ours.id, f.id, NOW);
	FAILS(store_file_delete(store, ours.id, f.id, NOW, &err), NOT_FOUND);
}

static void an_expired_file_is_gone_before_any_sweep(void **state)
{
	struct file f, got;

	(void)state;
	put_expiring(&f, NOW + 10);
	MUST(store_file_get(store, ours.id, f.id, NOW + 9, &got, &err));
	assert_not_there(ours.id, f.id, NOW + 10);
	FAILS(store_file_delete(store, ours.id, f.id, NOW + 10, &err), NOT_FOUND);
}

/* ---- quota ---- */

static void the_number_of_files_is_limited(void **state)
{
	struct file_quota quota = { .files_max = 2 };
	struct file a = put_file(&ours, NOW), b, c = file_of(&ours, NOW + 20);
	char id[ID_SIZE] = "untouched";

	(void)state;
	put_expiring(&b, NOW + 50);
	put_file(&theirs, NOW);
	FAILS(store_file_insert(store, &c, &quota, NULL, id, &err), INVALID);
	assert_string_equal(err.code, "file_quota_exceeded");
	assert_string_equal(err.message, "The number of files you have uploaded exceeded the max "
					 "file count 2, please delete previous uploaded files "
					 "(limits.org.files)");
	assert_string_equal(id, "untouched");
	MUST(store_file_delete(store, ours.id, a.id, NOW + 20, &err));
	MUST(store_file_insert(store, &c, &quota, NULL, id, &err));

	struct file d = file_of(&ours, NOW + 20);
	FAILS(store_file_insert(store, &d, &quota, NULL, id, &err), INVALID);
	d.created_at = NOW + 50; /* `b` has expired */
	MUST(store_file_insert(store, &d, &quota, NULL, id, &err));
}

static void their_bytes_are_limited(void **state)
{
	struct file_quota quota = { .bytes_max = 250 };
	struct file f = file_of(&ours, NOW);
	char id[ID_SIZE];

	(void)state;
	put_file(&ours, NOW); /* 100 bytes */
	f.bytes = 151;
	FAILS(store_file_insert(store, &f, &quota, NULL, id, &err), INVALID);
	assert_string_equal(err.code, "file_quota_exceeded");
	f.bytes = UINT64_C(1) << 62;
	FAILS(store_file_insert(store, &f, &quota, NULL, id, &err), INVALID);
	f.bytes = 150;
	MUST(store_file_insert(store, &f, &quota, NULL, id, &err));
	f = file_of(&ours, NOW);
	quota.bytes_max = 100; /* lowered below what is there */
	f.bytes = 0;
	FAILS(store_file_insert(store, &f, &quota, NULL, id, &err), INVALID);
}

static void has(const struct org *org, int64_t now, uint64_t files, uint64_t bytes)
{
	struct file_use use;

	MUST(store_file_use(store, org->id, now, &use, &err));
	assert_int_equal(use.files, files);
	assert_int_equal(use.bytes, bytes);
}

/* E12: what an organization has is kept, not counted; in every way in which files come and go. */
static void what_an_organization_has_is_kept(void **state)
{
	struct file one = put_file(&ours, NOW), two = file_of(&ours, NOW),
		    output = file_of(&ours, NOW);
	char id[ID_SIZE];
	int64_t next;

	(void)state;
	two.bytes = 11;
	two.expires_at = NOW + 10;
	output.purpose = PURPOSE_BATCH_OUTPUT;
	MUST(store_file_insert(store, &two, NULL, NULL, id, &err));
	MUST(store_file_insert(store, &output, NULL, NULL, id, &err));
	has(&ours, NOW, 2, 111);
	has(&theirs, NOW, 0, 0);
	has(&ours, NOW + 10, 1, 100); /* expired, though no sweep has come by */
	MUST(store_sweep(store, NOW + 10, &next, &err));
	has(&ours, NOW + 10, 1, 100);
	MUST(store_file_delete(store, ours.id, one.id, NOW + 10, &err));
	FAILS(store_file_delete(store, ours.id, one.id, NOW + 10, &err), NOT_FOUND);
	has(&ours, NOW + 10, 0, 0);
	MUST(take_blob(one.id));
	MUST(take_blob(two.id));
	MUST(store_sweep(store, NOW + 2 * DAY, &next, &err)); /* the tombstones go */
	has(&ours, NOW + 2 * DAY, 0, 0);
}

/* No step of SQLite's machine for each file that is there. */
static void a_quota_costs_the_same_however_many_files_there_are(void **state)
{
	(void)state;
	if (postgres_url[0] != '\0')
		skip();
	for (int i = 0; i < 300; i++)
		(void)put_file(&ours, NOW);
	has(&ours, NOW, 300, 30000);
	for (int i = 1; i < READERS; i++)
		has(&ours, NOW, 300, 30000);
	int steps = 0;
	for (int i = 0; i < READERS; i++) {
		sqlite3_stmt *statement = sqlite_of(store->readers[i])->statements[SQL_file_usage];
		if (statement != NULL) /* else it has not used that one */
			steps += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 0);
	}
	assert_in_range(steps, 1, 80 * READERS);
}

static void result_files_are_outside_the_quota(void **state)
{
	struct file_quota quota = { .files_max = 1, .bytes_max = 150 };
	struct file output = file_of(&ours, NOW), input = file_of(&ours, NOW);
	char id[ID_SIZE];

	(void)state;
	output.purpose = PURPOSE_BATCH_OUTPUT;
	MUST(store_file_insert(store, &output, &quota, NULL, id, &err));
	MUST(store_file_insert(store, &input, &quota, NULL, id, &err));
}

/* ---- lists ---- */

struct page {
	struct file *files;
	size_t n;
	bool more;
};

static struct page list(struct file_query q)
{
	struct page page;

	if (q.org == NULL)
		q.org = ours.id;
	if (q.now == 0)
		q.now = NOW;
	MUST(store_file_list(store, &q, &page.files, &page.n, &page.more, &err));
	return page;
}

static void a_list_is_newest_first_and_the_other_way_round(void **state)
{
	/* Contract 10: in the order of making; the clock has stepped back twice. */
	struct file f[3] = { put_file(&ours, NOW + 1), put_file(&ours, NOW), put_file(&ours, NOW) };

	(void)state;
	put_file(&theirs, NOW);
	struct page page = list((struct file_query){ .limit = 2 });
	assert_int_equal(page.n, 2);
	assert_true(page.more);
	assert_string_equal(page.files[0].id, f[2].id);
	assert_string_equal(page.files[1].id, f[1].id);
	free(page.files);
	page = list((struct file_query){ .limit = 2, .after = f[1].id });
	assert_int_equal(page.n, 1);
	assert_false(page.more);
	assert_string_equal(page.files[0].id, f[0].id);
	free(page.files);
	page = list((struct file_query){ .limit = 3, .ascending = true });
	assert_int_equal(page.n, 3);
	assert_false(page.more);
	assert_string_equal(page.files[0].id, f[0].id);
	assert_string_equal(page.files[2].id, f[2].id);
	free(page.files);
	page = list((struct file_query){ .limit = 3, .ascending = true, .after = f[2].id });
	assert_int_equal(page.n, 0);
	assert_false(page.more);
	free(page.files);
}

static void a_list_can_be_of_one_purpose(void **state)
{
	struct file input = put_file(&ours, NOW), output = file_of(&ours, NOW + 1);
	char id[ID_SIZE];

	(void)state;
	output.purpose = PURPOSE_BATCH_OUTPUT;
	MUST(store_file_insert(store, &output, NULL, NULL, id, &err));
	for (int ascending = 0; ascending < 2; ascending++) {
		struct file_query q = { .limit = 10, .ascending = ascending };
		q.purpose = "batch";
		struct page page = list(q);
		assert_int_equal(page.n, 1);
		assert_string_equal(page.files[0].id, input.id);
		free(page.files);
		q.purpose = "batch_output";
		page = list(q);
		assert_int_equal(page.n, 1);
		assert_string_equal(page.files[0].id, output.id);
		free(page.files);
		q.purpose = "fine-tune";
		page = list(q);
		assert_int_equal(page.n, 0);
		free(page.files);
	}
}

/* Contract 10, W6: within one second, and after a step back of the clock; and of one purpose. */
static void a_file_made_while_paging_is_on_no_later_page(void **state)
{
	struct file first = put_file(&ours, NOW), second = put_file(&ours, NOW);

	(void)state;
	for (int i = 0; i < 32; i++) {
		put_file(&ours, NOW - i % 2 * 100);
		struct page page = list((struct file_query){
			.limit = 100, .after = second.id, .purpose = i % 3 ? "batch" : NULL });
		assert_int_equal(page.n, 1);
		assert_string_equal(page.files[0].id, first.id);
		free(page.files);
	}
}

/* The number of one that is forgotten may be given again: the order of those that are there
 * stays. */
static void the_newest_may_be_forgotten(void **state)
{
	struct file old = put_file(&ours, NOW), newest = put_file(&ours, NOW);
	int64_t next;

	(void)state;
	MUST(store_file_delete(store, ours.id, newest.id, NOW, &err));
	MUST(take_blob(newest.id));
	MUST(store_sweep(store, NOW + DAY, &next, &err));
	struct file newer = put_file(&ours, NOW);
	struct page page = list((struct file_query){ .limit = 10 });
	assert_int_equal(page.n, 2);
	assert_string_equal(page.files[0].id, newer.id);
	assert_string_equal(page.files[1].id, old.id);
	free(page.files);
}

static void an_unknown_after_is_refused(void **state)
{
	struct file foreign = put_file(&theirs, NOW);
	struct file_query q = { .org = ours.id, .limit = 10, .now = NOW, .after = "file-none" };
	struct page page;

	(void)state;
	FAILS(store_file_list(store, &q, &page.files, &page.n, &page.more, &err), INVALID);
	assert_string_equal(err.param, "after");
	assert_string_equal(err.code, "invalid_value");
	q.after = foreign.id;
	FAILS(store_file_list(store, &q, &page.files, &page.n, &page.more, &err), INVALID);
	q.after = "";
	FAILS(store_file_list(store, &q, &page.files, &page.n, &page.more, &err), INVALID);
}

static void a_deleted_after_is_valid_for_24_hours(void **state)
{
	struct file old = put_file(&ours, NOW), cursor = put_file(&ours, NOW + 1);
	struct file_query q = { .org = ours.id, .limit = 10, .now = NOW + DAY, .after = cursor.id };
	struct page page;
	int64_t next;

	(void)state;
	MUST(store_file_delete(store, ours.id, cursor.id, NOW + 1, &err));
	MUST(take_blob(cursor.id));
	MUST(store_sweep(store, NOW + DAY, &next, &err));
	page = list(q);
	assert_int_equal(page.n, 1);
	assert_string_equal(page.files[0].id, old.id);
	free(page.files);
	q.now = NOW + 1 + DAY;
	FAILS(store_file_list(store, &q, &page.files, &page.n, &page.more, &err), INVALID);
	MUST(store_sweep(store, NOW + 1 + DAY, &next, &err));
	q.now = NOW + DAY; /* the tombstone is gone now */
	FAILS(store_file_list(store, &q, &page.files, &page.n, &page.more, &err), INVALID);
}

static void an_expired_after_is_valid_for_24_hours(void **state)
{
	struct file cursor;
	int64_t next;

	(void)state;
	put_expiring(&cursor, NOW + 5);
	struct file_query q = {
		.org = ours.id, .limit = 10, .now = NOW + 4 + DAY, .after = cursor.id
	};
	struct page page;
	for (int swept = 0; swept < 2; swept++) {
		q.now = NOW + 4 + DAY;
		free(list(q).files);
		q.now = NOW + 5 + DAY;
		FAILS(store_file_list(store, &q, &page.files, &page.n, &page.more, &err), INVALID);
		MUST(store_sweep(store, NOW + 4 + DAY, &next, &err));
	}
}

static void expired_files_are_in_no_list(void **state)
{
	struct file f;

	(void)state;
	put_expiring(&f, NOW + 5);
	struct page page = list((struct file_query){ .limit = 10, .now = NOW + 4 });
	assert_int_equal(page.n, 1);
	free(page.files);
	page = list((struct file_query){ .limit = 10, .now = NOW + 5 });
	assert_int_equal(page.n, 0);
	free(page.files);
}

/* Contract 16.20: many items in one second, and deletes while paging. */
static void paging_yields_each_file_once(void **state)
{
	enum { FILES = 400 };
	static struct file files[FILES];
	static int seen[FILES];
	static bool deleted[FILES];

	(void)state;
	srandom(7);
	for (int i = 0; i < FILES; i++) {
		files[i] = put_file(&ours, NOW + random() % 4);
		put_file(&theirs, NOW + random() % 4);
	}
	for (unsigned limit = 1; limit <= 300; limit = limit * 3 + 1) {
		bool ascending = limit % 2, more = true;
		char after[ID_SIZE] = "";
		int last = ascending ? -1 : FILES;

		memset(seen, 0, sizeof(seen));
		while (more) {
			struct page page = list(
				(struct file_query){ .limit = limit,
						     .ascending = ascending,
						     .purpose = limit % 3 ? NULL : "batch",
						     .after = after[0] != '\0' ? after : NULL });
			more = page.more;
			assert_true(page.n > 0 && page.n <= limit);
			for (size_t k = 0; k < page.n; k++) {
				const struct file *f = &page.files[k];
				for (int i = 0; i < FILES; i++) {
					if (strcmp(files[i].id, f->id) != 0)
						continue;
					assert_true(ascending ? i > last : i < last);
					last = i;
					seen[i]++;
				}
			}
			memcpy(after, page.files[page.n - 1].id, sizeof(after));
			/* The cursor itself goes, and some file anywhere. */
			int victim = (int)(random() % FILES);
			for (int i = 0; i < FILES && random() % 4 == 0; i++)
				if (strcmp(files[i].id, after) == 0)
					victim = i;
			if (random() % 8 == 0 && !deleted[victim]) {
				MUST(store_file_delete(store, ours.id, files[victim].id, NOW,
						       &err));
				deleted[victim] = true;
				if (!seen[victim])
					seen[victim] = 1; /* went before its turn */
			}
			free(page.files);
		}
		for (int i = 0; i < FILES; i++)
			if (!deleted[i])
				assert_int_equal(seen[i], 1);
			else
				assert_true(seen[i] <= 1);
	}
}

static void ten_thousand_files_are_one_page(void **state)
{
	struct txn t = { 0 };

	(void)state;
	MUST(txn_begin(&t, store, &err));
	for (int i = 0; i < 10001; i++) {
		struct file f = file_of(&ours, NOW + i / 100);
		MUST(file_insert(t.db, &f, &err));
	}
	MUST(txn_commit(&t, &err));
	txn_end(&t);
	struct page page = list((struct file_query){ .limit = 10000 });
	assert_int_equal(page.n, 10000);
	assert_true(page.more);
	char last[ID_SIZE];
	memcpy(last, page.files[9999].id, sizeof(last));
	free(page.files);
	page = list((struct file_query){ .limit = 10000, .after = last });
	assert_int_equal(page.n, 1);
	assert_false(page.more);
	free(page.files);
}

/* ---- what goes ---- */

static void the_sweep_tells_when_to_come_again(void **state)
{
	struct file soon, later, never = put_file(&ours, NOW);
	int64_t next;

	(void)state;
	MUST(store_sweep(store, NOW, &next, &err));
	assert_int_equal(next, 0);
	put_expiring(&soon, NOW + 10);
	put_expiring(&later, NOW + 20);
	MUST(store_sweep(store, NOW, &next, &err));
	assert_int_equal(next, NOW + 10);
	MUST(store_sweep(store, NOW + 10, &next, &err));
	assert_int_equal(next, NOW + 20);
	assert_not_there(ours.id, soon.id, NOW); /* for good, whatever the clock says */
	MUST(store_sweep(store, NOW + 20, &next, &err));
	assert_int_equal(next, 0);
	MUST(store_file_get(store, ours.id, never.id, NOW + 20, &never, &err));
}

static size_t spare(char ids[static 10][ID_SIZE])
{
	size_t n;

	MUST(store_blobs_spare(store, ids, 10, &n, &err));
	return n;
}

static bool known(const char *id)
{
	bool ret, deleted;

	MUST(store_blob_known(store, id, &ret, &deleted, &err));
	assert_false(ret && deleted);
	return ret;
}

/* The database itself says that the blob went; one that it never heard of is another matter
 * (D1). */
static bool deleted(const char *id)
{
	bool known, ret;

	MUST(store_blob_known(store, id, &known, &ret, &err));
	return ret;
}

static void a_deleted_files_blob_may_go(void **state)
{
	struct file a = put_file(&ours, NOW), b = put_file(&ours, NOW), c = put_file(&ours, NOW);
	char ids[10][ID_SIZE];
	size_t n;

	(void)state;
	assert_int_equal(spare(ids), 0);
	MUST(store_file_delete(store, ours.id, b.id, NOW + 1, &err));
	MUST(store_file_delete(store, ours.id, a.id, NOW, &err));
	MUST(store_blobs_spare(store, ids, 1, &n, &err));
	assert_int_equal(n, 1);
	assert_int_equal(spare(ids), 2);
	assert_string_equal(ids[0], a.id);
	assert_string_equal(ids[1], b.id);
	assert_true(known(a.id)); /* until it is gone */
	assert_false(deleted(a.id));
	MUST(take_blob(a.id));
	assert_false(known(a.id));
	assert_true(deleted(a.id));
	assert_int_equal(spare(ids), 1);
	assert_true(known(c.id));
	assert_false(known("file-none"));
	assert_false(deleted("file-none"));
	MUST(take_blob("file-none"));
	MUST(take_blob(c.id)); /* not deleted: it has to be there */
	assert_true(known(c.id));
}

static void an_open_batch_keeps_its_input(void **state)
{
	struct batch b = put_batch(&ours, NOW);
	char ids[10][ID_SIZE];
	bool moved;

	(void)state;
	MUST(store_file_delete(store, ours.id, b.input_file_id, NOW, &err));
	assert_int_equal(spare(ids), 0);
	MUST(store_batch_start(store, b.id, 1, 1, "m", "file-out", "file-err", NOW, &moved, &err));
	assert_int_equal(spare(ids), 0);
	MUST(store_batch_fail(store, b.id, "[]", NOW, &moved, &err));
	assert_true(moved);
	assert_int_equal(spare(ids), 1);
	assert_string_equal(ids[0], b.input_file_id);
}

static void an_open_batch_keeps_its_result_files(void **state)
{
	struct batch b = put_batch(&ours, NOW);
	bool moved;

	(void)state;
	assert_false(known("file-out"));
	MUST(store_batch_start(store, b.id, 1, 1, "m", "file-out", "file-err", NOW, &moved, &err));
	assert_true(known("file-out"));
	assert_true(known("file-err"));
	MUST(store_batch_fail(store, b.id, "[]", NOW, &moved, &err));
	assert_false(known("file-out"));
	assert_false(known("file-err"));
}

static void a_tombstone_stays_while_its_blob_is_there(void **state)
{
	struct file f = put_file(&ours, NOW);
	char ids[10][ID_SIZE];
	int64_t next;

	(void)state;
	MUST(store_file_delete(store, ours.id, f.id, NOW, &err));
	MUST(store_sweep(store, NOW + 9 * DAY, &next, &err));
	assert_int_equal(spare(ids), 1); /* a crash before the removal leaves nothing behind */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(a_file_reads_back_whole),
		WITH_STORE(others_files_are_not_found),
		WITH_STORE(unknown_ids_are_not_found_however_odd),
		WITH_STORE(a_deleted_file_is_gone_at_once),
		WITH_STORE(an_expired_file_is_gone_before_any_sweep),
		WITH_STORE(the_number_of_files_is_limited),
		WITH_STORE(their_bytes_are_limited),
		WITH_STORE(what_an_organization_has_is_kept),
		WITH_STORE(a_quota_costs_the_same_however_many_files_there_are),
		WITH_STORE(result_files_are_outside_the_quota),
		WITH_STORE(a_list_is_newest_first_and_the_other_way_round),
		WITH_STORE(a_list_can_be_of_one_purpose),
		WITH_STORE(a_file_made_while_paging_is_on_no_later_page),
		WITH_STORE(the_newest_may_be_forgotten),
		WITH_STORE(an_unknown_after_is_refused),
		WITH_STORE(a_deleted_after_is_valid_for_24_hours),
		WITH_STORE(an_expired_after_is_valid_for_24_hours),
		WITH_STORE(expired_files_are_in_no_list),
		WITH_STORE(paging_yields_each_file_once),
		WITH_STORE(ten_thousand_files_are_one_page),
		WITH_STORE(the_sweep_tells_when_to_come_again),
		WITH_STORE(a_deleted_files_blob_may_go),
		WITH_STORE(an_open_batch_keeps_its_input),
		WITH_STORE(an_open_batch_keeps_its_result_files),
		WITH_STORE(a_tombstone_stays_while_its_blob_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
