/* Claims on uploads: one appends, one completes, and the one who completes knows whether another
 * appends. */
#include "unit.h"

#include "api/upload_claims.h"

static struct upload_claims claims = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void one_appends_at_a_time(void **state)
{
	struct upload_claim a = { 0 }, b = { 0 }, other = { 0 };

	(void)state;
	assert_true(upload_claim_blob(&claims, &a, "upload_a"));
	assert_false(upload_claim_blob(&claims, &b, "upload_a"));
	assert_true(upload_claim_blob(&claims, &other, "upload_b"));
	upload_claim_end(&claims, &b); /* nothing is held */
	upload_claim_end(&claims, &a);
	upload_claim_end(&claims, &a);
	assert_true(upload_claim_blob(&claims, &b, "upload_a"));
	upload_claim_end(&claims, &b);
	upload_claim_end(&claims, &other);
	assert_null(claims.first);
}

static void one_completes_and_nobody_appends_meanwhile(void **state)
{
	struct upload_claim a = { 0 }, b = { 0 }, part = { 0 };
	bool alone;

	(void)state;
	assert_true(upload_claim_complete(&claims, &a, "upload_a", &alone));
	assert_true(alone);
	assert_false(upload_claim_complete(&claims, &b, "upload_a", &alone));
	assert_false(upload_claim_blob(&claims, &part, "upload_a"));
	upload_claim_end(&claims, &a);
	assert_true(upload_claim_blob(&claims, &part, "upload_a"));
	assert_true(upload_claim_complete(&claims, &b, "upload_a", &alone));
	assert_false(alone);
	upload_claim_end(&claims, &part);
	upload_claim_end(&claims, &b);
	assert_null(claims.first);
}

static void no_id_of_ours_claims_nothing(void **state)
{
	struct upload_claim a = { 0 }, b = { 0 };
	char longest[300];
	bool alone;

	(void)state;
	memset(longest, 'u', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_false(upload_claim_blob(&claims, &a, longest));
	assert_true(upload_claim_complete(&claims, &a, longest, &alone));
	assert_true(upload_claim_complete(&claims, &b, longest, &alone));
	assert_null(claims.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_appends_at_a_time),
		cmocka_unit_test(one_completes_and_nobody_appends_meanwhile),
		cmocka_unit_test(no_id_of_ours_claims_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
