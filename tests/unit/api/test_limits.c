/* What organizations have under way: counted, bounded, reserved, let go. */
#include "unit.h"

#include "api/limits.h"
#include "api/request.h"
#include "base/log.h"
#include "base/sys.h"
#include "store/uploads.h"

#define NOW INT64_C(1750000000)
#define MB (UINT64_C(1) << 20)

static char *dir;
static struct store *store;
static struct org ours, theirs;
static struct api api;
static struct file_quota quota;
static int64_t own[ORG_LIMITS]; /* of every organization */
static struct error err;

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	dir = scratch_dir_new();
	assert_true(store_open(dir, &store, &err));
	assert_true(store_org_ensure(store, "ours", NOW, &ours, &err));
	assert_true(store_org_ensure(store, "theirs", NOW, &theirs, &err));
	api = (struct api){ .store = store };
	quota = (struct file_quota){ 0 };
	for (unsigned i = 0; i < ORG_LIMITS; i++)
		own[i] = LIMIT_AS_CONFIGURED;
	limits_open(&api.limits);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LIMITS_BUCKETS; i++)
		assert_null(api.limits.orgs[i]); /* nothing is left of what is over */
	limits_close(&api.limits);
	store_close(store);
	scratch_dir_remove(dir);
	return 0;
}

typedef bool (*begin_fn)(struct request *rq, struct http_response *r, struct error *err);

static bool begins(const struct org *org, begin_fn begin)
{
	struct request rq = { .api = &api };
	struct http_response r;

	memcpy(rq.key.org, org->id, sizeof(org->id));
	memcpy(rq.key.limits, own, sizeof(own));
	http_response_init(&r);
	bool ok = begin(&rq, &r, &err);
	if (!ok) {
		assert_int_equal(err.kind, ERR_RATE_LIMIT);
		assert_memory_equal(r.fields.p, "Retry-After: ", 13);
	}
	http_response_done(&r);
	return ok;
}

static void upload_ends(const struct org *org, uint64_t files, uint64_t bytes)
{
	limits_upload_end(&api.limits, org->id, &(struct file_use){ files, bytes });
}

static bool reserves(const struct org *org, uint64_t files, uint64_t bytes)
{
	struct file_use more = { files, bytes };

	if (limits_reserve(&api.limits, store, &quota, org->id, &more, &err))
		return true;
	assert_int_equal(err.kind, ERR_INVALID);
	assert_string_equal(err.code, "file_quota_exceeded");
	return false;
}

static void uploads_and_online_requests_are_so_many_at_once(void **state)
{
	(void)state;
	api.config.org_limits[LIMIT_UPLOADS] = 2;
	api.config.org_limits[LIMIT_ONLINE] = 1;
	assert_true(begins(&ours, limits_upload_begin));
	assert_true(begins(&ours, limits_upload_begin));
	assert_false(begins(&ours, limits_upload_begin));
	assert_non_null(strstr(err.message, "2 uploads at once (limits.org.uploads)"));
	assert_true(begins(&theirs, limits_upload_begin));
	assert_true(begins(&ours, limits_online_begin));
	assert_false(begins(&ours, limits_online_begin));
	assert_non_null(strstr(err.message, "limits.org.online"));
	upload_ends(&ours, 0, 0);
	assert_true(begins(&ours, limits_upload_begin));
	upload_ends(&ours, 0, 0);
	upload_ends(&ours, 0, 0);
	upload_ends(&theirs, 0, 0);
	limits_online_end(&api.limits, ours.id);
}

static void upload_in_parts(void)
{
	struct upload_row u = { .bytes = 1, .created_at = NOW, .expires_at = NOW + 3600 };
	char id[ID_SIZE];

	id_upload(u.id);
	id_file(u.blob);
	memcpy(u.org, ours.id, sizeof(u.org));
	assert_true(store_upload_insert(store, &u, &quota, 0, NULL, id, &err));
}

/* Contract 13.1: in the store, that is, while they are pending; of their parts as many at once. */
static void uploads_in_parts_count_too(void **state)
{
	(void)state;
	api.config.org_limits[LIMIT_UPLOADS] = 2;
	upload_in_parts();
	assert_true(begins(&ours, limits_upload_begin));
	assert_false(begins(&ours, limits_upload_begin));
	assert_true(begins(&ours, limits_part_begin));
	assert_true(begins(&ours, limits_part_begin));
	assert_false(begins(&ours, limits_part_begin));
	assert_non_null(strstr(err.message, "parts of uploads at once (limits.org.uploads)"));
	upload_ends(&ours, 0, 0);
	limits_part_end(&api.limits, ours.id);
	limits_part_end(&api.limits, ours.id);
	upload_in_parts(); /* what is refused leaves no entry */
	assert_false(begins(&ours, limits_upload_begin));
}

/* Contract 13.1: `lowtide org limit` */
static void an_organizations_own_limit_counts(void **state)
{
	(void)state;
	api.config.org_limits[LIMIT_UPLOADS] = 1;
	own[LIMIT_UPLOADS] = 2;
	assert_true(begins(&ours, limits_upload_begin));
	assert_true(begins(&ours, limits_upload_begin));
	assert_false(begins(&ours, limits_upload_begin));
	own[LIMIT_UPLOADS] = 0; /* none */
	assert_true(begins(&ours, limits_upload_begin));
	for (int i = 0; i < 3; i++)
		upload_ends(&ours, 0, 0);
}

static void nothing_is_no_limit(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(begins(&ours, limits_upload_begin));
	assert_true(reserves(&ours, 1000, UINT64_C(1) << 50));
	for (int i = 0; i < 1000; i++)
		upload_ends(&ours, 1,
			    (UINT64_C(1) << 50) / 1000 + (i == 0 ? (UINT64_C(1) << 50) % 1000 : 0));
}

/* E9 */
static void uploads_under_way_count_against_the_quota(void **state)
{
	(void)state;
	quota = (struct file_quota){ .files_max = 3, .bytes_max = 10 * MB };
	assert_true(begins(&ours, limits_upload_begin));
	assert_true(begins(&ours, limits_upload_begin));
	assert_true(reserves(&ours, 1, 6 * MB));
	assert_false(reserves(&ours, 1, 5 * MB));
	assert_true(reserves(&ours, 1, 4 * MB));
	assert_false(reserves(&ours, 0, 1));
	upload_ends(&ours, 1, 6 * MB);
	assert_true(reserves(&ours, 0, 1));
	upload_ends(&ours, 1, 4 * MB + 1);
}

static void files_that_are_there_and_uploads_count_together(void **state)
{
	struct file f = { .bytes = 3 * MB, .created_at = NOW };
	char id[ID_SIZE];

	(void)state;
	id_file(f.id);
	memcpy(f.org, ours.id, sizeof(f.org));
	assert_true(store_file_insert(store, &f, NULL, NULL, id, &err));
	quota = (struct file_quota){ .files_max = 2, .bytes_max = 10 * MB };
	assert_true(begins(&ours, limits_upload_begin));
	assert_false(reserves(&ours, 1, 8 * MB));
	assert_false(reserves(&ours, 2, 0));
	assert_true(reserves(&ours, 1, 7 * MB));
	assert_true(store_file_delete(store, ours.id, f.id, NOW, &err));
	assert_true(reserves(&ours, 1, 3 * MB));
	upload_ends(&ours, 2, 10 * MB);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* ---- calls a minute ---- */

static uint64_t fake_ms = 5000000;
static uint64_t (*real_clock)(void);

static uint64_t fake_clock(void)
{
	return fake_ms;
}

static struct call_rate rate;

/* Whether one more call may be made; *ret_wait_s: Retry-After of one that may not. */
static bool calls(const struct org *org, int64_t limit, int *ret_wait_s)
{
	struct request rq = { .api = &api };
	struct http_response r;

	memcpy(rq.key.org, org->id, sizeof(org->id));
	memcpy(rq.key.limits, own, sizeof(own));
	rq.key.limits[LIMIT_CALLS_PER_MINUTE] = limit;
	http_response_init(&r);
	bool ok = limits_call(&rq, &r, &err);
	if (!ok) {
		assert_int_equal(err.kind, ERR_RATE_LIMIT);
		assert_memory_equal(r.fields.p, "Retry-After: ", 13);
		*ret_wait_s = atoi(r.fields.p + 13); // NOLINT(cert-err34-c)
	}
	rate = rq.rate;
	http_response_done(&r);
	return ok;
}

static int calls_setup(void **state)
{
	setup(state);
	real_clock = sys.monotonic_ms;
	sys.monotonic_ms = fake_clock;
	return 0;
}

static int calls_teardown(void **state)
{
	(void)state;
	sys.monotonic_ms = real_clock;
	limits_close(&api.limits); /* what counts is let go with it */
	store_close(store);
	scratch_dir_remove(dir);
	return 0;
}

/* 13.1: as many as the limit at once, then one in its part of a minute. */
static void calls_come_back_one_after_another(void **state)
{
	int wait_s = 0;

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		assert_true(calls(&ours, 30, &wait_s));
		assert_int_equal(rate.limit, 30);
		assert_int_equal(rate.left, 29 - i);
		assert_int_equal(rate.full_ms, (i + 1) * 2000);
	}
	assert_false(calls(&ours, 30, &wait_s));
	assert_in_range(wait_s, 1, 3);
	assert_int_equal(rate.left, 0);
	assert_true(calls(&theirs, 30, &wait_s));
	fake_ms += 1999;
	assert_false(calls(&ours, 30, &wait_s));
	fake_ms += 1;
	assert_true(calls(&ours, 30, &wait_s));
	assert_false(calls(&ours, 30, &wait_s));
	fake_ms += 60000; /* a pause saves a minute's, no more */
	for (unsigned i = 0; i < 30; i++)
		assert_true(calls(&ours, 30, &wait_s));
	assert_false(calls(&ours, 30, &wait_s));
}

static void a_limit_of_calls_may_change_meanwhile(void **state)
{
	int wait_s = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_true(calls(&ours, 10, &wait_s));
	assert_false(calls(&ours, 10, &wait_s));
	assert_true(calls(&ours, 0, &wait_s)); /* none */
	assert_int_equal(rate.limit, 0);
	assert_false(calls(&ours, 1, &wait_s));
	assert_in_range(wait_s, 30, 60);
	fake_ms += 60000;
	assert_true(calls(&ours, 1, &wait_s));
	assert_false(calls(&ours, 1, &wait_s));
	assert_true(calls(&theirs, INT64_C(1) << 50, &wait_s));
	assert_true(calls(&theirs, INT64_C(1) << 50, &wait_s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(uploads_and_online_requests_are_so_many_at_once),
		WITH_STORE(uploads_in_parts_count_too),
		WITH_STORE(an_organizations_own_limit_counts),
		WITH_STORE(nothing_is_no_limit),
		WITH_STORE(uploads_under_way_count_against_the_quota),
		WITH_STORE(files_that_are_there_and_uploads_count_together),
		cmocka_unit_test_setup_teardown(calls_come_back_one_after_another, calls_setup,
						calls_teardown),
		cmocka_unit_test_setup_teardown(a_limit_of_calls_may_change_meanwhile, calls_setup,
						calls_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
