/* Uploads in parts (contract 4): who sees them, what they count for, what their end leaves. */
#include "store_test.h"

#include "store/uploads.h"

static const struct file_quota no_quota;

static struct upload_row upload_of(const struct org *org, uint64_t bytes)
{
	struct upload_row u = { .bytes = bytes,
				.created_at = NOW,
				.expires_at = NOW + UPLOAD_PENDING_S };

	id_upload(u.id);
	id_file(u.blob);
	memcpy(u.org, org->id, sizeof(u.org));
	snprintf(u.filename, sizeof(u.filename), "in.jsonl");
	return u;
}

static struct upload_row put_upload(const struct org *org, uint64_t bytes)
{
	struct upload_row u = upload_of(org, bytes);
	char id[ID_SIZE];

	MUST(store_upload_insert(store, &u, &no_quota, 0, NULL, id, &err));
	assert_string_equal(id, u.id);
	return u;
}

static struct upload_row get(const struct upload_row *u, int64_t now)
{
	struct upload_row got;

	memset(&got, 0, sizeof(got));
	MUST(store_upload_get(store, u->org, u->id, now, &got, &err));
	return got;
}

/* In the upload's own blob, behind those before, or in one of its own. */
static struct upload_part part_of(const struct upload_row *u, uint64_t bytes, bool in_turn)
{
	struct upload_part p = { .bytes = bytes };

	id_part(p.id);
	memcpy(p.blob, in_turn ? u->blob : p.id, sizeof(p.blob));
	p.at = in_turn ? get(u, NOW).blob_bytes : 0;
	return p;
}

static struct upload_part put_part(const struct upload_row *u, uint64_t bytes, bool in_turn)
{
	struct upload_part p = part_of(u, bytes, in_turn);

	MUST(store_part_insert(store, u->org, u->id, &p, &no_quota, NOW, &err));
	return p;
}

static void assert_use(const struct org *org, int64_t now, uint64_t files, uint64_t bytes)
{
	struct file_use use;

	MUST(store_file_use(store, org->id, now, &use, &err));
	assert_int_equal(use.files, files);
	assert_int_equal(use.bytes, bytes);
}

static void assert_standing(const char *blob, bool known, bool deleted)
{
	bool is_known, is_deleted;

	MUST(store_blob_known(store, blob, &is_known, &is_deleted, &err));
	assert_int_equal(is_known, known);
	assert_int_equal(is_deleted, deleted);
}

/* Whether the blobs that may go are these and no others. */
static void assert_spare(size_t n, const char *const *ids)
{
	char spare[16][ID_SIZE];
	size_t found;

	MUST(store_blobs_spare(store, spare, ARRAY_LEN(spare), &found, &err));
	assert_int_equal(found, n);
	for (size_t i = 0; i < n; i++) {
		bool named = false;
		for (size_t k = 0; k < n; k++)
			named = named || strcmp(spare[k], ids[i]) == 0;
		assert_true(named);
		assert_standing(ids[i], false, true);
	}
}

static struct file file_for(const struct upload_row *u, const char *id)
{
	struct file f = { .bytes = u->bytes, .created_at = NOW + 10 };

	snprintf(f.id, sizeof(f.id), "%s", id);
	memcpy(f.org, u->org, sizeof(f.org));
	memcpy(f.filename, u->filename, sizeof(f.filename));
	return f;
}

static void complete(const struct upload_row *u, const char *file_id)
{
	struct file f = file_for(u, file_id);
	char list[65];

	memset(list, 'a', 64);
	list[64] = '\0';
	MUST(store_upload_complete(store, u->id, &f, list, &err));
}

/* ---- begin ---- */

static void an_upload_reads_back_whole(void **state)
{
	struct upload_row put = upload_of(&ours, UINT64_C(1) << 40), got;
	char id[ID_SIZE];

	(void)state;
	memset(put.filename, 0, sizeof(put.filename));
	memset(put.filename, 'n', sizeof(put.filename) - 1);
	put.expires_after_s = 7200;
	MUST(store_upload_insert(store, &put, &no_quota, 0, NULL, id, &err));
	got = get(&put, NOW);
	assert_memory_equal(&got, &put, sizeof(put));
	MUST(upload_is_pending(&got, &err));
	FAILS(store_upload_get(store, theirs.id, put.id, NOW, &got, &err), NOT_FOUND);
	assert_string_equal(err.param, "id");
	FAILS(store_upload_get(store, ours.id, "upload_x", NOW, &got, &err), NOT_FOUND);
}

static void a_repeated_call_makes_no_second(void **state)
{
	struct call call = { .route = "POST /v1/uploads", .idempotency_key = "k" };
	struct upload_row one = upload_of(&ours, 5), two = upload_of(&ours, 5);
	char id[ID_SIZE];

	(void)state;
	memset(call.fingerprint, 'a', 64);
	MUST(store_upload_insert(store, &one, &no_quota, 0, &call, id, &err));
	MUST(store_upload_insert(store, &two, &no_quota, 0, &call, id, &err));
	assert_string_equal(id, one.id);
	assert_use(&ours, NOW, 1, 5);
}

static void so_many_may_be_pending(void **state)
{
	struct upload_row one = upload_of(&ours, 5), two = upload_of(&ours, 5), ended;
	char id[ID_SIZE];

	(void)state;
	MUST(store_upload_insert(store, &one, &no_quota, 1, NULL, id, &err));
	FAILS(store_upload_insert(store, &two, &no_quota, 1, NULL, id, &err), RATE_LIMIT);
	assert_non_null(strstr(err.message, "limits.org.uploads"));
	put_upload(&theirs, 5);
	MUST(store_upload_cancel(store, ours.id, one.id, NOW, &ended, &err));
	MUST(store_upload_insert(store, &two, &no_quota, 1, NULL, id, &err));

	struct upload_row three = upload_of(&ours, 5);
	three.created_at = two.expires_at; /* that one is past its time, and not swept yet */
	MUST(store_upload_insert(store, &three, &no_quota, 1, NULL, id, &err));
}

/* ---- quota ---- */

static void its_bytes_count_from_the_beginning(void **state)
{
	struct file_quota quota = { .files_max = 2, .bytes_max = 100 };
	struct upload_row one = upload_of(&ours, 60), two = upload_of(&ours, 41);
	struct file f = file_of(&ours, NOW);
	char id[ID_SIZE];

	(void)state;
	MUST(store_upload_insert(store, &one, &quota, 0, NULL, id, &err));
	assert_use(&ours, NOW, 1, 60);
	assert_use(&theirs, NOW, 0, 0);
	FAILS(store_upload_insert(store, &two, &quota, 0, NULL, id, &err), INVALID);
	assert_string_equal(err.code, "file_quota_exceeded");
	FAILS(store_file_insert(store, &f, &quota, NULL, id, &err), INVALID);
	reopen();
	assert_use(&ours, NOW, 1, 60);
	two.bytes = 40;
	MUST(store_upload_insert(store, &two, &quota, 0, NULL, id, &err));
	f.bytes = 0;
	FAILS(store_file_insert(store, &f, &quota, NULL, id, &err), INVALID); /* a third */
}

static void parts_beyond_its_bytes_count_too(void **state)
{
	struct file_quota quota = { .bytes_max = 100 };
	struct upload_row u = put_upload(&ours, 60), ended;

	(void)state;
	put_part(&u, 50, true);
	assert_use(&ours, NOW, 1, 60);
	put_part(&u, 30, false);
	assert_use(&ours, NOW, 1, 80);

	struct upload_part p = part_of(&u, 21, true);
	FAILS(store_part_insert(store, u.org, u.id, &p, &quota, NOW, &err), INVALID);
	assert_string_equal(err.code, "file_quota_exceeded");
	assert_use(&ours, NOW, 1, 80);
	p.bytes = 20;
	MUST(store_part_insert(store, u.org, u.id, &p, &quota, NOW, &err));
	assert_use(&ours, NOW, 1, 100);
	assert_int_equal(get(&u, NOW).received, 100);
	MUST(store_upload_cancel(store, ours.id, u.id, NOW, &ended, &err));
	assert_use(&ours, NOW, 0, 0);
}

/* ---- parts ---- */

static void parts_are_found_by_their_ids(void **state)
{
	struct upload_row u = put_upload(&ours, 60), other = put_upload(&ours, 60);
	struct upload_part a = put_part(&u, 50, true), b = put_part(&u, 7, false),
			   c = put_part(&u, 10, true), strange = put_part(&other, 1, true);
	struct upload_part want[] = { c, a, b, a }, got[ARRAY_LEN(want)];

	(void)state;
	memset(got, 0, sizeof(got));
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		memcpy(got[i].id, want[i].id, sizeof(got[i].id));
	MUST(store_parts_get(store, u.id, got, ARRAY_LEN(got), &err));
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(c.at, 50);
	assert_int_equal(get(&u, NOW).blob_bytes, 60);
	assert_int_equal(get(&u, NOW).parts, 3);
	memcpy(got[2].id, strange.id, sizeof(got[2].id));
	FAILS(store_parts_get(store, u.id, got, ARRAY_LEN(got), &err), INVALID);
	assert_string_equal(err.param, "part_ids");
	assert_non_null(strstr(err.message, "part_ids[2]"));
}

static void no_more_parts_than_that(void **state)
{
	struct upload_row u = put_upload(&ours, 60);

	(void)state;
	MUST(db_exec(store->writer, "UPDATE upload SET parts = 16384", &err));
	struct upload_part p = part_of(&u, 1, true);
	FAILS(store_part_insert(store, u.org, u.id, &p, &no_quota, NOW, &err), INVALID);
}

static void no_part_of_another_organization_or_of_one_that_has_ended(void **state)
{
	struct upload_row u = put_upload(&ours, 60), ended;
	struct upload_part p = part_of(&u, 1, true);

	(void)state;
	FAILS(store_part_insert(store, theirs.id, u.id, &p, &no_quota, NOW, &err), NOT_FOUND);
	FAILS(store_part_insert(store, u.org, u.id, &p, &no_quota, u.expires_at, &err), INVALID);
	MUST(store_upload_cancel(store, u.org, u.id, NOW, &ended, &err));
	FAILS(store_part_insert(store, u.org, u.id, &p, &no_quota, NOW, &err), INVALID);
	assert_int_equal(number_of("SELECT count(*) FROM upload_part"), 0);
}

/* ---- the end ---- */

static void completed_in_its_own_blob(void **state)
{
	struct upload_row u = put_upload(&ours, 60);
	struct upload_part own = put_part(&u, 9, false);
	struct file f;

	(void)state;
	put_part(&u, 60, true);
	assert_standing(u.blob, true, false);
	assert_standing(own.blob, true, false);
	complete(&u, u.blob);
	assert_use(&ours, NOW + 10, 1, 60);
	assert_spare(1, (const char *const[]){ own.blob });
	assert_standing(u.blob, true, false);
	MUST(store_file_get(store, ours.id, u.blob, NOW + 10, &f, &err));

	struct upload_row got = get(&u, NOW + 10);
	assert_int_equal(got.status, UPLOAD_COMPLETED);
	assert_string_equal(got.file, u.blob);
	assert_int_equal(strlen(got.part_list), 64);
	MUST(take_blob(own.blob));
	assert_spare(0, NULL);
	assert_standing(own.blob, false, false);
}

static void completed_in_another_blob(void **state)
{
	struct upload_row u = put_upload(&ours, 60);
	struct upload_part own = put_part(&u, 9, false);
	char id[ID_SIZE];

	(void)state;
	put_part(&u, 51, true);
	id_file(id);
	complete(&u, id);
	assert_use(&ours, NOW + 10, 1, 60);
	assert_spare(2, (const char *const[]){ own.blob, u.blob });
}

static void one_end_and_no_other(void **state)
{
	struct upload_row u = put_upload(&ours, 60), got;
	char list[65] = "";

	(void)state;
	complete(&u, u.blob);
	FAILS(store_upload_cancel(store, ours.id, u.id, NOW, &got, &err), INVALID);
	assert_non_null(strstr(err.message, "completed"));
	struct file again = file_for(&u, "file-again");
	FAILS(store_upload_complete(store, u.id, &again, list, &err), INVALID);
	assert_use(&ours, NOW + 10, 1, 60);

	struct upload_row other = put_upload(&ours, 7);
	FAILS(store_upload_cancel(store, theirs.id, other.id, NOW, &got, &err), NOT_FOUND);
	MUST(store_upload_cancel(store, ours.id, other.id, NOW, &got, &err));
	assert_int_equal(got.status, UPLOAD_CANCELLED);
	struct file f = file_for(&other, other.blob);
	FAILS(store_upload_complete(store, other.id, &f, list, &err), INVALID);
	assert_spare(1, (const char *const[]){ other.blob });
}

static void past_its_time_before_and_after_the_sweep(void **state)
{
	struct upload_row u = put_upload(&ours, 60), got;
	struct upload_part own = put_part(&u, 9, false);
	int64_t end = u.expires_at, next;

	(void)state;
	assert_int_equal(get(&u, end - 1).status, UPLOAD_PENDING);
	for (int swept = 0; swept < 2; swept++) {
		assert_int_equal(get(&u, end).status, UPLOAD_EXPIRED);
		assert_false(get(&u, end).ended);
		assert_use(&ours, end, 0, 0);
		FAILS(store_upload_cancel(store, ours.id, u.id, end, &got, &err), INVALID);
		assert_non_null(strstr(err.message, "expired"));
		MUST(store_sweep(store, end - 1 + swept, &next, &err));
	}
	MUST(store_sweep(store, end, &next, &err));
	assert_true(get(&u, end).ended);
	assert_use(&ours, end - 1, 0, 0);
	assert_spare(2, (const char *const[]){ own.blob, u.blob });
	assert_int_equal(number_of("SELECT uploads FROM org WHERE name = 'ours'"), 0);
}

static void a_day_after_its_end_it_is_forgotten(void **state)
{
	struct upload_row u = put_upload(&ours, 60), got;
	int64_t next;

	(void)state;
	MUST(store_upload_cancel(store, ours.id, u.id, NOW + 5, &got, &err));
	MUST(store_sweep(store, NOW + 4 + DAY, &next, &err));
	assert_int_equal(get(&u, NOW + DAY).status, UPLOAD_CANCELLED);
	MUST(store_sweep(store, NOW + 5 + DAY, &next, &err));
	FAILS(store_upload_get(store, ours.id, u.id, NOW + DAY, &got, &err), NOT_FOUND);
}

static void it_is_known_how_many_are_pending(void **state)
{
	uint64_t pending;

	(void)state;
	put_upload(&ours, 60);
	put_upload(&theirs, 60);
	MUST(store_uploads_pending(store, ours.id, &pending, &err));
	assert_int_equal(pending, 1);
	MUST(store_uploads_pending(store, "nobody", &pending, &err));
	assert_int_equal(pending, 0);
}

/* ---- kills ---- */

static struct upload_row killed;

static void child_completes(void)
{
	setenv("LOWTIDE_FAILPOINTS", "store.commit=kill", 1);
	failpoints_init();
	complete(&killed, killed.blob);
}

static void killed_before_the_commit_it_is_pending(void **state)
{
	(void)state;
	killed = put_upload(&ours, 60);
	store_close(store);
	MUST(place_open());
	assert_true(was_killed(in_a_child(child_completes)));
	reopen();
	assert_int_equal(get(&killed, NOW).status, UPLOAD_PENDING);
	assert_use(&ours, NOW, 1, 60);
	assert_standing(killed.blob, true, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(an_upload_reads_back_whole),
		WITH_STORE(a_repeated_call_makes_no_second),
		WITH_STORE(so_many_may_be_pending),
		WITH_STORE(its_bytes_count_from_the_beginning),
		WITH_STORE(parts_beyond_its_bytes_count_too),
		WITH_STORE(parts_are_found_by_their_ids),
		WITH_STORE(no_more_parts_than_that),
		WITH_STORE(no_part_of_another_organization_or_of_one_that_has_ended),
		WITH_STORE(completed_in_its_own_blob),
		WITH_STORE(completed_in_another_blob),
		WITH_STORE(one_end_and_no_other),
		WITH_STORE(past_its_time_before_and_after_the_sweep),
		WITH_STORE(a_day_after_its_end_it_is_forgotten),
		WITH_STORE(it_is_known_how_many_are_pending),
		WITH_STORE(killed_before_the_commit_it_is_pending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
