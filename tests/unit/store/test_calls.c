/* Repeated calls (contract 2.4): the same one makes one object, two that look alike make two. */
#include "store_test.h"

#define ROUTE "POST /v1/batches"

static struct call call_of(const char *idempotency_key, const char *fingerprint, bool resent)
{
	struct call call = { .key = "key_1", .route = ROUTE, .resent = resent };

	snprintf(call.idempotency_key, sizeof(call.idempotency_key), "%s", idempotency_key);
	snprintf(call.fingerprint, sizeof(call.fingerprint), "%s", fingerprint);
	return call;
}

/* Creates a batch with that call at `now`; true if it is a new one, with the id in `ret`. */
static bool create(const struct call *call, int64_t now, char ret[static ID_SIZE])
{
	struct batch b = batch_of(&ours, now);

	MUST(store_batch_insert(store, &b, call, false, 0, ret, &err));
	return strcmp(ret, b.id) == 0;
}

static void assert_found(struct call *call, int64_t now, const char *expected)
{
	char id[ID_SIZE] = "untouched";

	MUST(store_call_find(store, call, now, id, &err));
	assert_string_equal(id, expected);
}

static void a_key_again_is_the_first_answer(void **state)
{
	struct call call = call_of("k", "f", false);
	char first[ID_SIZE], again[ID_SIZE];

	(void)state;
	assert_found(&call, NOW, "");
	assert_true(create(&call, NOW, first));
	assert_false(create(&call, NOW + 1, again));
	assert_string_equal(first, again);
	assert_found(&call, NOW + DAY - 1, first);
}

static void a_key_with_other_content_is_refused(void **state)
{
	struct call call = call_of("k", "f", false), other = call_of("k", "g", false);
	struct batch b = batch_of(&ours, NOW);
	char id[ID_SIZE] = "untouched";

	(void)state;
	assert_true(create(&call, NOW, id));
	FAILS(store_call_find(store, &other, NOW, id, &err), KEY_REUSED);
	FAILS(store_batch_insert(store, &b, &other, false, 0, id, &err), KEY_REUSED);
	FAILS(store_batch_get(store, NULL, b.id, &b, &err), NOT_FOUND);
}

static void a_key_counts_for_24_hours(void **state)
{
	struct call call = call_of("k", "f", false), other = call_of("k", "g", false);
	char first[ID_SIZE], second[ID_SIZE];

	(void)state;
	assert_true(create(&call, NOW, first));
	assert_found(&call, NOW + DAY, "");
	assert_true(create(&other, NOW + DAY, second)); /* also before a sweep has forgotten it */
	assert_found(&other, NOW + DAY, second);
}

static void the_sweep_forgets_no_key_that_counts(void **state)
{
	struct call old = call_of("old", "f", false), young = call_of("young", "f", false);
	char old_id[ID_SIZE], young_id[ID_SIZE];
	int64_t next;

	(void)state;
	assert_true(create(&old, NOW, old_id));
	assert_true(create(&young, NOW + 1, young_id));
	MUST(store_sweep(store, NOW + DAY, &next, &err));
	assert_found(&young, NOW + DAY, young_id);
	assert_int_equal(number_of("SELECT count(*) FROM call"), 1);
}

static void keys_are_per_api_key_and_route(void **state)
{
	struct call call = call_of("k", "f", false);
	char first[ID_SIZE];

	(void)state;
	assert_true(create(&call, NOW, first));
	struct call elsewhere = call;
	elsewhere.route = "POST /v1/files";
	assert_found(&elsewhere, NOW, "");
	struct call other = call;
	snprintf(other.key, sizeof(other.key), "key_2");
	assert_found(&other, NOW, "");
}

static void plain_calls_are_never_suppressed(void **state)
{
	struct call call = call_of("", "f", false);
	char first[ID_SIZE], second[ID_SIZE];

	(void)state;
	assert_true(create(&call, NOW, first));
	assert_true(create(&call, NOW, second));
	assert_string_not_equal(first, second);
}

static void a_resend_finds_the_last_plain_call(void **state)
{
	struct call plain = call_of("", "f", false), resend = call_of("", "f", true);
	char first[ID_SIZE], second[ID_SIZE], again[ID_SIZE];

	(void)state;
	assert_found(&resend, NOW, "");
	assert_true(create(&plain, NOW, first));
	assert_found(&resend, NOW, first);
	assert_true(create(&plain, NOW, second)); /* in the same second, even */
	assert_false(create(&resend, NOW + 120, again));
	assert_string_equal(again, second);
	assert_found(&resend, NOW + 121, "");
}

static void a_resend_that_finds_nothing_is_found_by_the_next(void **state)
{
	struct call resend = call_of("", "f", true);
	char first[ID_SIZE], again[ID_SIZE];

	(void)state;
	assert_true(create(&resend, NOW, first));
	assert_false(create(&resend, NOW + 1, again));
	assert_string_equal(first, again);
}

static void a_resend_is_per_content_api_key_and_route(void **state)
{
	struct call plain = call_of("", "f", false), resend = call_of("", "g", true);
	char first[ID_SIZE];

	(void)state;
	assert_true(create(&plain, NOW, first));
	assert_found(&resend, NOW, "");
	resend = call_of("", "f", true);
	resend.route = "POST /v1/files";
	assert_found(&resend, NOW, "");
	resend = call_of("", "f", true);
	snprintf(resend.key, sizeof(resend.key), "key_2");
	assert_found(&resend, NOW, "");
}

/* A client that sends another key wants another object, also in a resend. */
static void calls_with_and_without_key_never_meet(void **state)
{
	struct call with = call_of("k1", "f", false), other = call_of("k2", "f", true);
	struct call resend = call_of("", "f", true);
	char first[ID_SIZE], second[ID_SIZE];

	(void)state;
	assert_true(create(&with, NOW, first));
	assert_found(&other, NOW, "");
	assert_found(&resend, NOW, "");
	assert_true(create(&resend, NOW, second));
	assert_found(&other, NOW, "");
}

static void a_refused_call_is_not_kept(void **state)
{
	struct call call = call_of("k", "f", false);
	struct file f = file_of(&ours, NOW);
	struct file_quota quota = { .bytes_max = 1 };
	char id[ID_SIZE];

	(void)state;
	FAILS(store_file_insert(store, &f, &quota, &call, id, &err), INVALID);
	assert_found(&call, NOW, "");
	MUST(store_file_insert(store, &f, NULL, &call, id, &err));
	assert_found(&call, NOW, f.id);
}

static void a_repeated_upload_is_the_first_also_over_the_quota(void **state)
{
	struct call call = call_of("k", "f", false);
	struct file f = file_of(&ours, NOW), again = file_of(&ours, NOW);
	struct file_quota quota = { .files_max = 1 };
	struct file found;
	char id[ID_SIZE];

	(void)state;
	MUST(store_file_insert(store, &f, &quota, &call, id, &err));
	MUST(store_file_insert(store, &again, &quota, &call, id, &err));
	assert_string_equal(id, f.id);
	FAILS(store_file_get(store, ours.id, again.id, NOW, &found, &err), NOT_FOUND);
}

/* ---- at once ---- */

static pthread_barrier_t start;

struct racer {
	pthread_t thread;
	struct batch batch;
	char id[ID_SIZE];
	bool ok;
};

static void *race(void *arg)
{
	struct call call = call_of("same", "f", false);
	struct racer *racer = arg;
	struct error mine;

	pthread_barrier_wait(&start);
	racer->ok = store_batch_insert(store, &racer->batch, &call, false, 0, racer->id, &mine);
	return NULL;
}

static void eight_at_once_make_one_batch(void **state)
{
	struct racer racers[8];
	struct batch *batches;
	size_t n;
	bool more;

	(void)state;
	for (int round = 0; round < 10; round++) {
		pthread_barrier_init(&start, NULL, ARRAY_LEN(racers));
		for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
			racers[i].batch = batch_of(&ours, NOW);
			assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]),
					 0);
		}
		for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
			pthread_join(racers[i].thread, NULL);
			assert_true(racers[i].ok);
			assert_string_equal(racers[i].id, racers[0].id);
		}
		pthread_barrier_destroy(&start);
		MUST(store_batch_list(store, &(struct batch_query){ .org = ours.id, .limit = 100 },
				      &batches, &n, &more, &err));
		assert_int_equal(n, 1);
		batch_done(&batches[0]);
		free(batches);
	}
}

/* Of nodes the resend may be entered first, and is then the answer of the plain call that it repeats; of one
 * that began later it is not, whatever the nodes' clocks say. */
static void a_resend_that_another_node_has_done_first(void **state)
{
	struct call plain = call_of("", "f", false), resent = call_of("", "f", true);
	struct call other = call_of("", "g", false);
	char first[ID_SIZE], id[ID_SIZE];

	(void)state;
	plain.of_nodes = resent.of_nodes = other.of_nodes = true;
	assert_found(&plain, NOW + 5, "");
	assert_true(create(&resent, NOW, first));
	assert_false(create(&plain, NOW + 5, id));
	assert_string_equal(id, first);
	assert_found(&other, NOW, "");
	assert_true(create(&other, NOW, id));
	assert_found(&plain, NOW - 5, "");
	assert_true(create(&plain, NOW - 5, id));
	assert_found(&resent, NOW + 4, id);
}

/* On one machine it was held off: two plain calls are two. */
static void one_machine_takes_no_plain_call_for_another(void **state)
{
	struct call plain = call_of("", "f", false), resent = call_of("", "f", true);
	char id[ID_SIZE];

	(void)state;
	assert_true(create(&resent, NOW + 2, id));
	assert_true(create(&plain, NOW, id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(a_key_again_is_the_first_answer),
		WITH_STORE(a_key_with_other_content_is_refused),
		WITH_STORE(a_key_counts_for_24_hours),
		WITH_STORE(the_sweep_forgets_no_key_that_counts),
		WITH_STORE(keys_are_per_api_key_and_route),
		WITH_STORE(plain_calls_are_never_suppressed),
		WITH_STORE(a_resend_finds_the_last_plain_call),
		WITH_STORE(a_resend_that_finds_nothing_is_found_by_the_next),
		WITH_STORE(a_resend_is_per_content_api_key_and_route),
		WITH_STORE(calls_with_and_without_key_never_meet),
		WITH_STORE(a_refused_call_is_not_kept),
		WITH_STORE(a_repeated_upload_is_the_first_also_over_the_quota),
		WITH_STORE(a_resend_that_another_node_has_done_first),
		WITH_STORE(one_machine_takes_no_plain_call_for_another),
		WITH_STORE(eight_at_once_make_one_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
