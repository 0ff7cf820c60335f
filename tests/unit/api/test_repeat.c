/* Which calls under way hold others off (contract 2.4). */
#include "unit.h"

// NOLINTNEXTLINE(bugprone-suspicious-include): its statics are what is tested
#include "../../../src/api/repeat.c"

static struct api api = { .claims.lock = PTHREAD_MUTEX_INITIALIZER };

static struct request call(const char *key, const char *route, const char *idempotency_key,
			   const char *content, bool resent)
{
	struct request rq = { .api = &api };
	struct call *c = &rq.claim.call;

	snprintf(c->key, sizeof(c->key), "%s", key);
	snprintf(c->idempotency_key, sizeof(c->idempotency_key), "%s", idempotency_key);
	snprintf(c->fingerprint, sizeof(c->fingerprint), "%s", content);
	c->route = route;
	c->resent = resent;
	return rq;
}

/* Whether `second` may go on while `first` runs; and that it may after it. */
static bool may(struct request first, struct request second)
{
	assert_true(claim(&api.claims, &first.claim));
	bool ok = claim(&api.claims, &second.claim);
	repeat_end(&first);
	repeat_end(&first); /* twice is fine */
	if (!ok)
		assert_true(claim(&api.claims, &second.claim));
	repeat_end(&second);
	assert_null(api.claims.first);
	return ok;
}

static void a_key_holds_off_the_same_key(void **state)
{
	(void)state;
	struct request one = call("k1", "POST /v1/files", "idem", "", false);
	assert_false(may(one, one));
	assert_false(may(one, call("k1", "POST /v1/files", "idem", "other", true)));
	assert_true(may(one, call("k2", "POST /v1/files", "idem", "", false)));
	assert_true(may(one, call("k1", "POST /v1/batches", "idem", "", false)));
	assert_true(may(one, call("k1", "POST /v1/files", "idem2", "", false)));
	assert_true(may(one, call("k1", "POST /v1/files", "", "", true)));
}

static void content_holds_off_resends_alone(void **state)
{
	(void)state;
	struct request one = call("k1", "POST /v1/files", "", "c", false);
	struct request again = call("k1", "POST /v1/files", "", "c", true);
	assert_true(may(one, one));
	assert_false(may(one, again));
	assert_false(may(again, again));
	assert_true(may(again, one));
	assert_true(may(one, call("k1", "POST /v1/files", "", "other", true)));
	assert_true(may(one, call("k2", "POST /v1/files", "", "c", true)));
}

static void many_at_once(void **state)
{
	struct request calls[20];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		char key[8];
		snprintf(key, sizeof(key), "%zu", i);
		calls[i] = call("k", "POST /v1/files", key, "", false);
		assert_true(claim(&api.claims, &calls[i].claim));
	}
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) /* not in the order they came */
		repeat_end(&calls[i * 7 % ARRAY_LEN(calls)]);
	assert_null(api.claims.first);
}

static void fingerprints(void **state)
{
	struct error err;
	char hex[65];

	(void)state;
	assert_true(fingerprint(SLICE("abc"), hex, &err));
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_holds_off_the_same_key),
		cmocka_unit_test(content_holds_off_resends_alone),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(fingerprints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
