/* Secrets and signatures (12), by the contract's test vector. */
#include "unit.h"

#include "base/attr.h"
#include "webhook/signature.h"

static const char vector_secret[] = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=";

/* (12, 16.25) */
static void the_test_vector(void **state)
{
	static const char body[] =
		"{\"id\": \"evt_685c059ae3a481909bdc86819b066fb6\", \"object\": \"event\", "
		"\"created_at\": 1750861210, \"type\": \"response.completed\", \"data\": {\"id\": "
		"\"resp_123\"}}";
	AUTO(buf_free) struct buf to = BUF(256);

	(void)state;
	assert_true(signature_append(vector_secret, "wh_685c059ae39c8190af8c71ed1022a24d",
				     1750861210, slice_of(body), &to));
	assert_true(slice_is(buf_slice(&to), "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY="));
}

static void secrets_are_made_anew(void **state)
{
	char one[WEBHOOK_SECRET_BYTES], other[WEBHOOK_SECRET_BYTES], hint[SECRET_HINT_BYTES];

	(void)state;
	secret_make(one);
	secret_make(other);
	assert_string_not_equal(one, other);
	assert_int_equal(strlen(one), strlen(vector_secret));
	assert_true(secret_is_good(one) && secret_is_good(other));
	secret_hint(vector_secret, hint);
	assert_string_equal(hint, "whsec_Rdva…");
}

static void what_is_no_secret(void **state)
{
	static const char *const secrets[] = {
		"",
		"whsec_",
		"RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
		"whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c",
		"whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c==",
		"whsec_Rdva=FYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
		"whsec_RdvaYFYUXuIFuEbv!HwMfYFhUf7aMYjYcmM24+Aj40c=",
		"whsec_c2hvcnQ=",
	};
	AUTO(buf_free) struct buf to = BUF(256);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
		if (secret_is_good(secrets[i]))
			fail_msg("%s passes", secrets[i]);
	assert_true(secret_is_good("whsec_c2l4dGVlbiBieXRlcyEhIQ=="));
	assert_false(signature_append("", "wh_1", 1, SLICE("{}"), &to));
	assert_int_equal(to.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_test_vector),
		cmocka_unit_test(secrets_are_made_anew),
		cmocka_unit_test(what_is_no_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
