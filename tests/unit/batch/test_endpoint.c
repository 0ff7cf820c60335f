/* Endpoints: which there are (contract 1), how they may be written (7.1), and the refusals
 * (5.2). */
#include "unit.h"

#include "batch/endpoint.h"

#define CHAT "/v1/chat/completions"

static void assert_listed(enum profile profile, const char *expected)
{
	AUTO(buf_free) struct buf list = BUF(1024);

	endpoint_list(profile, &list);
	buf_char(&list, '\0');
	assert_false(list.failed);
	assert_string_equal(list.p, expected);
}

static void endpoints_by_profile(void **state)
{
	static const char *const nobodys[] = { "/v1/images/generations", "/v1/images/edits",
					       "/v1/videos", "/v1/x" };

	(void)state;
	assert_listed(PROFILE_KIMI, "'" CHAT "'");
	assert_listed(PROFILE_OPENAI,
		      "'" CHAT "', '/v1/completions', '/v1/embeddings', '/v1/responses', "
		      "'/v1/moderations', '/v1/rerank', '/v1/score', '/v1/messages'");
	for (size_t i = 0; i < ARRAY_LEN(nobodys); i++) {
		assert_null(endpoint_path(slice_of(nobodys[i])));
		assert_false(endpoint_in_profile(nobodys[i], PROFILE_OPENAI));
	}
	assert_true(endpoint_in_profile("/v1/embeddings", PROFILE_OPENAI));
	assert_false(endpoint_in_profile("/v1/embeddings", PROFILE_KIMI));
}

/* Each endpoint in each vendor's way of writing. */
static void aliases_of_other_vendors(void **state)
{
	static const char *const names[] = {
		"/chat/completions", "/completions", "/embeddings", "/responses",
		"/moderations",      "/rerank",      "/score",      "/messages"
	};
	static const char *const prefixes[] = { "/v1", "", "/v4", "/openai/v1" };
	char given[64], path[64];

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(names); n++)
		for (size_t p = 0; p < ARRAY_LEN(prefixes); p++) {
			snprintf(given, sizeof(given), "%s%s", prefixes[p], names[n]);
			snprintf(path, sizeof(path), "/v1%s", names[n]);
			assert_string_equal(endpoint_path(slice_of(given)), path);
		}
}

static void what_is_no_alias(void **state)
{
	static const char *const wrong[] = {
		"",
		"/",
		"/v1",
		"chat/completions",
		"/v1/",
		CHAT "/",
		"/v1" CHAT,
		"/V1/chat/completions",
		"/v2/chat/completions",
		"/v4",
		"/openai/chat/completions",
		"/v1/chat/completions?a=b",
		"https://host" CHAT,
		" " CHAT,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_null(endpoint_path(slice_of(wrong[i])));
	assert_null(endpoint_path((struct slice){ CHAT "\0", sizeof(CHAT) }));
	assert_null(endpoint_path((struct slice){ NULL, 0 }));
}

static void whole_urls(void **state)
{
	const char *path = "";

	(void)state;
	assert_true(endpoint_is_url(SLICE("https://api.openai.com" CHAT), &path));
	assert_string_equal(path, CHAT);
	assert_true(endpoint_is_url(SLICE("HTTP://127.0.0.1:1/openai/v1/embeddings"), &path));
	assert_string_equal(path, "/v1/embeddings");
	assert_true(endpoint_is_url(SLICE("https://host/v1/x"), &path));
	assert_null(path);
	assert_true(endpoint_is_url(SLICE("https://"), &path));
	assert_null(path);
	assert_false(endpoint_is_url(SLICE(CHAT), &path));
	assert_false(endpoint_is_url(SLICE("https:" CHAT), &path));
	assert_false(endpoint_is_url(SLICE(""), &path));
}

static void assert_refused(const char *given, enum profile profile, const char *expected)
{
	AUTO(buf_free) struct buf refusal = BUF(1024);

	endpoint_refusal(slice_of(given), profile, &refusal);
	buf_char(&refusal, '\0');
	assert_string_equal(refusal.p, expected);
}

/* 5.2's text first; then what to do about it (F14, 7.1). */
static void refusals_say_what_to_do(void **state)
{
	(void)state;
	assert_refused("/v1/x", PROFILE_KIMI,
		       "Invalid value: '/v1/x'. Supported values are: '" CHAT "'.");
	assert_refused("/v1/embeddings", PROFILE_KIMI,
		       "Invalid value: '/v1/embeddings'. Supported values are: '" CHAT "'. "
		       "'/v1/embeddings' is taken where the server is set to profile: openai.");
	assert_refused("https://host" CHAT, PROFILE_KIMI,
		       "Invalid value: 'https://host" CHAT "'. Supported values are: '" CHAT "'. "
		       "Write the path alone: '" CHAT "'.");
	assert_refused("https://host/v1/x", PROFILE_KIMI,
		       "Invalid value: 'https://host/v1/x'. Supported values are: '" CHAT "'. "
		       "Write a path alone, without a host.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_by_profile),
		cmocka_unit_test(aliases_of_other_vendors),
		cmocka_unit_test(what_is_no_alias),
		cmocka_unit_test(whole_urls),
		cmocka_unit_test(refusals_say_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
